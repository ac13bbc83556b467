//! The memory that clients may take if the configuration file sets no limit: a quarter of the machine's memory, or of the limit of the
//! process's control group if that is lower.

use std::fs;
use std::path::{Path, PathBuf};

/// Clients may take the memory divided by this.
const PART: usize = 4;
/// The default lies between these, whatever the machine has.
const LEAST: usize = 64 << 20;
const MOST: usize = 16 << 30;
/// The default if the system does not tell its memory.
const UNKNOWN: usize = 1 << 30;

/// Bytes that all clients of a daemon may take by default.
pub(super) fn default_limit() -> usize {
    limit(Path::new("/"))
}

/// The same for a machine whose files are below `root`.
fn limit(root: &Path) -> usize {
    let total = read(&root.join("proc/meminfo")).and_then(|text| machine(&text));
    let memory = total.into_iter().chain(groups(root)).min();
    memory.map_or(UNKNOWN, |bytes| (bytes / PART).clamp(LEAST, MOST))
}

/// The memory in the text of `/proc/meminfo`.
fn machine(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1 << 10)
}

/// The limits of this process's control group and of the groups around it, for both versions of control groups.
fn groups(root: &Path) -> Vec<usize> {
    let text = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let places = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some((root.join("sys/fs/cgroup"), path, "memory.max")),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((root.join("sys/fs/cgroup/memory"), path, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    places.flat_map(|(mount, path, file)| above(&mount, path, file)).collect()
}

/// The limits in the files of this name: in the directory `path` below `mount`, and in all directories between them.
fn above(mount: &Path, path: &str, file: &str) -> Vec<usize> {
    let place: PathBuf = mount.join(path);
    let places = place.ancestors().take_while(|place| place.starts_with(mount));
    places.filter_map(|place| read(&place.join(file))?.trim().parse().ok()).collect()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Identity;

    /// The limit on a machine with these files.
    fn limit_with(files: &[(&str, &str)]) -> usize {
        let root = std::env::temp_dir().join(format!("torc-memory-{:x}", Identity::new(None).seed));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = limit(&root);
        _ = fs::remove_dir_all(&root);
        found
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");

    #[test]
    fn a_quarter_of_the_machine_or_of_the_tightest_control_group() {
        assert_eq!(limit_with(&[MACHINE]), 2 << 30);
        let inside = ("proc/self/cgroup", "0::/system.slice/spread.service\n");
        let own = |text| ("sys/fs/cgroup/system.slice/spread.service/memory.max", text);
        let outer = |text| ("sys/fs/cgroup/system.slice/memory.max", text);
        assert_eq!(limit_with(&[MACHINE, inside, own("max\n")]), 2 << 30);
        assert_eq!(limit_with(&[MACHINE, inside, own("max\n"), outer("4294967296\n")]), 1 << 30);
        assert_eq!(limit_with(&[MACHINE, inside, own("2147483648\n"), outer("4294967296\n")]), 512 << 20);
        let old = ("proc/self/cgroup", "5:cpu,memory:/x\n3:pids:/x\n");
        let limit = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1073741824\n");
        assert_eq!(limit_with(&[MACHINE, old, limit]), 256 << 20);
    }

    #[test]
    fn the_default_lies_between_bounds() {
        assert_eq!(limit_with(&[]), UNKNOWN);
        assert_eq!(limit_with(&[("proc/meminfo", "MemTotal: 65536 kB\n")]), LEAST);
        assert_eq!(limit_with(&[("proc/meminfo", "MemTotal: 1099511627776 kB\n")]), MOST);
        assert!((LEAST..=MOST).contains(&default_limit()));
    }
}
