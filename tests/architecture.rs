//! The walls of the house: arrows point down only, and below the I/O line there is no clock, no socket, no hash order.
//! The table here is changed on purpose or not at all.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the modules of ours that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("rng", &[]),
    ("known_bugs", &[]),
    ("wire", &["rng"]),
    ("ring", &["wire", "time", "rng", "known_bugs"]),
    ("multipath", &["wire", "time", "rng"]),
    ("groups", &["ring", "wire", "time", "rng", "known_bugs"]),
    ("session", &["wire", "time", "rng"]),
    ("node", &["groups", "multipath", "ring", "session", "wire", "time", "rng"]),
    ("net", &["wire", "time"]),
    ("daemon", &["net", "node", "groups", "multipath", "ring", "session", "wire", "time", "rng"]),
    ("client", &["wire"]),
    ("ffi", &["client", "daemon", "wire"]),
];

/// Modules below the I/O line.
const BELOW: &[&str] = &["time", "rng", "known_bugs", "wire", "ring", "multipath", "groups", "session", "node"];

/// What has no place below the I/O line.
const BANNED: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "std::thread",
    "std::fs",
    "std::io",
    "std::net::Udp",
    "std::net::Tcp",
    "UnixStream",
    "HashMap",
    "HashSet",
    "RandomState",
    "thread_rng",
    "socket2",
    "libc::",
    "mio::",
    "parking_lot",
    "unsafe ",
];

/// The only folders with unsafe code.
const UNSAFE: &[&str] = &["ffi", "net", "client/platform.rs"];

fn source(module: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut open = vec![root.join(module), root.join(format!("{module}.rs"))];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("readable").map(|entry| entry.expect("readable").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.exists() {
            let text = fs::read_to_string(&path).expect("readable");
            files.push((path, text));
        }
    }
    assert!(!files.is_empty(), "module {module} is gone: change the table");
    files
}

/// The code without comments and without its tests.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    body.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_module_is_in_the_table() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut listed: Vec<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    declared.sort();
    listed.sort();
    assert_eq!(declared, listed);
}

#[test]
fn arrows_point_down_only() {
    for (module, may) in ARROWS {
        for (path, text) in source(module) {
            for (other, _) in ARROWS.iter().filter(|(other, _)| other != module && !may.contains(other)) {
                let code = code(&text);
                let names = [format!("crate::{other}::"), format!("crate::{other};"), format!("crate::{{{other}")];
                let found = names.iter().find(|name| code.contains(name.as_str()));
                assert!(found.is_none(), "{} names {other}", path.display());
            }
        }
    }
}

#[test]
fn nothing_below_the_line_touches_the_world() {
    for module in BELOW {
        for (path, text) in source(module) {
            for banned in BANNED {
                assert!(!code(&text).contains(banned), "{} has {banned}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    for (module, _) in ARROWS {
        for (path, text) in source(module) {
            let place = path.display().to_string();
            if !UNSAFE.iter().any(|allowed| place.contains(&format!("src/{allowed}"))) {
                assert!(!code(&text).contains("unsafe {"), "{place} has unsafe code");
            }
        }
    }
}

#[test]
fn files_stay_small() {
    for (module, _) in ARROWS {
        for (path, text) in source(module) {
            let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
            assert!(lines <= 500, "{} has {lines} lines before its tests: split it by idea", path.display());
        }
    }
}
