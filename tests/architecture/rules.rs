//! The rules, each as a function from what was read to the places that break it.

use std::path::{Path, PathBuf};

use super::reader::Source;

/// A file of a module.
pub struct File {
    /// Its place below `src`: `ring/window.rs`.
    pub place: String,
    /// What is in it.
    pub source: Source,
}

/// What has no place below the I/O line: any path that begins so, or has this part if it is one word.
pub const BANNED: &[&str] = &[
    "std::time",
    "std::thread",
    "std::fs",
    "std::io",
    "std::os",
    "std::env",
    "std::process",
    // Under a glob or another name of its own, `std` can be named in ways that are not seen here.
    "std::*",
    "mpsc",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "SystemTime",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "HashMap",
    "HashSet",
    "RandomState",
    "thread_rng",
    "socket2",
    "libc",
    "mio",
    "parking_lot",
];

/// A length of time is no clock.
pub const HARMLESS: &[&str] = &["std::time::Duration"];

/// How long a file may be before its tests, and how long a function.
pub const FILE_LINES: usize = 500;
pub const FUNCTION_LINES: usize = 70;

/// The modules of `all` that this file names and that are not `own`.
pub fn named_modules<'a>(file: &'a File, own: &'a str, all: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let names = move |module: &&str| {
        file.source.paths.iter().any(|path| {
            path.first().is_some_and(|first| first == "crate") && path.get(1).is_some_and(|second| second == *module)
        })
    };
    all.iter().copied().filter(move |module| *module != own).filter(names)
}

/// Modules that the crate declares and the table lacks, and the other way round.
pub fn differences(crate_root: &str, listed: &[&str]) -> Vec<String> {
    let root = syn::parse_file(crate_root).expect("our own source is Rust");
    let declared: Vec<String> = root
        .items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect();
    let unlisted = declared.iter().filter(|module| !listed.contains(&module.as_str()));
    let undeclared = listed.iter().filter(|module| !declared.iter().any(|declared| declared == *module));
    let unlisted = unlisted.map(|module| format!("{module} is not in the table"));
    unlisted.chain(undeclared.map(|module| format!("the crate does not declare {module}"))).collect()
}

/// Files that are there and that no rule reads, although they are not of tests alone.
pub fn unread(there: &[PathBuf], read: &[PathBuf]) -> Vec<String> {
    let is_of_tests = |path: &Path| {
        path.ends_with("tests.rs")
            || path.ends_with("testing.rs")
            || path.parent().is_some_and(|folder| folder.ends_with("tests"))
    };
    let missed = there.iter().filter(|path| !read.contains(path) && !is_of_tests(path));
    missed.map(|path| format!("{} is not read", path.display())).collect()
}

/// Arrows that are not in the table.
pub fn forbidden_arrows(file: &File, own: &str, may: &[&str], all: &[&str]) -> Vec<String> {
    let named = named_modules(file, own, all).filter(|module| !may.contains(module));
    let mut found: Vec<String> = named.map(|module| format!("{} names {module}", file.place)).collect();
    // A glob over the crate's root names everything.
    let everything = file.source.paths.contains(&vec!["crate".to_string(), "*".to_string()]);
    found.extend(everything.then(|| format!("{} imports crate::*", file.place)));
    found
}

/// Arrows of the table that no file of `own` needs.
pub fn unused_arrows(files: &[File], own: &str, may: &[&str], all: &[&str]) -> Vec<String> {
    let used = |module: &str| files.iter().any(|file| named_modules(file, own, all).any(|named| named == module));
    let unused = may.iter().filter(|module| !used(module));
    unused.map(|module| format!("{own} no longer names {module}: take it out of the table")).collect()
}

/// Leaves that no module names.
pub fn unused_leaves<'a>(files: impl Iterator<Item = &'a File> + Clone, leaves: &[&str]) -> Vec<String> {
    let used = |leaf: &str| {
        let outside = files.clone().filter(|file| !is_within(file, leaf));
        outside.flat_map(|file| &file.source.paths).any(|path| starts_with(path, &["crate", leaf]))
    };
    let unused = leaves.iter().filter(|leaf| !used(leaf));
    unused.map(|leaf| format!("nobody names {leaf}: take it out of the leaves")).collect()
}

fn starts_with(path: &[String], parts: &[&str]) -> bool {
    path.len() >= parts.len() && path.iter().zip(parts).all(|(part, wanted)| part == wanted)
}

/// What each organ of a module names of the others and may not, and what it may name and does not.
pub fn organs_out_of_place(files: &[File], module: &str, organs: &[(&str, &[&str])]) -> Vec<String> {
    let mut found = Vec::new();
    for (organ, may) in organs {
        let own = format!("{module}/{organ}");
        let inside: Vec<&File> = files.iter().filter(|file| is_within(file, &own)).collect();
        if inside.is_empty() {
            found.push(format!("{own} is gone: change the table"));
        }
        for (other, _) in organs.iter().filter(|(other, _)| other != organ) {
            let names = |file: &&&File| file.source.paths.iter().any(|it| starts_with(it, &["crate", module, other]));
            match (inside.iter().find(names), may.contains(other)) {
                (Some(file), false) => found.push(format!("{} names {other}", file.place)),
                (None, true) => found.push(format!("{own} no longer names {other}: take it out of the table")),
                _ => {}
            }
        }
    }
    found
}

/// States of a ring that name the table of states, which names them; and states whose file is gone.
pub fn states_that_name_their_table(files: &[File], states: &[&str]) -> Vec<String> {
    let of_state = |state: &&str| {
        let place = format!("ring/{state}.rs");
        let Some(file) = files.iter().find(|file| file.place == place) else {
            return Some(format!("{place} is gone: change the list"));
        };
        let names = file.source.paths.iter().any(|path| starts_with(path, &["crate", "ring", "state"]));
        names.then(|| format!("{place} names ring/state.rs, which names it"))
    };
    states.iter().filter_map(of_state).collect()
}

/// Clocks, threads, sockets, files and hash order below the I/O line.
pub fn touches_the_world(file: &File) -> Vec<String> {
    let paths = file.source.paths.iter().filter(|path| !HARMLESS.contains(&path.join("::").as_str()));
    let found = paths.filter_map(|path| Some((path, BANNED.iter().find(|banned| is_banned(path, banned))?)));
    found.map(|(path, banned)| format!("{} names {} ({banned})", file.place, path.join("::"))).collect()
}

fn is_banned(path: &[String], banned: &str) -> bool {
    match banned.split("::").collect::<Vec<_>>().as_slice() {
        [word] => path.iter().any(|part| part == word),
        parts => starts_with(path, parts),
    }
}

/// Exceptions from the ban that no file needs, or that are not banned.
pub fn unneeded_exceptions<'a>(files: impl Iterator<Item = &'a File> + Clone, harmless: &[&str]) -> Vec<String> {
    let needed = |exception: &str| {
        let parts: Vec<String> = exception.split("::").map(String::from).collect();
        BANNED.iter().any(|banned| is_banned(&parts, banned))
            && files.clone().any(|file| file.source.paths.contains(&parts))
    };
    let unneeded = harmless.iter().filter(|exception| !needed(exception));
    unneeded.map(|exception| format!("nobody needs {exception}: take it out of the exceptions")).collect()
}

/// Whether one of these folders or files is this file's.
pub fn is_within(file: &File, allowed: &str) -> bool {
    file.place == allowed || file.place == format!("{allowed}.rs") || file.place.starts_with(&format!("{allowed}/"))
}

/// Unsafe code outside the places that may have it.
pub fn misplaced_unsafe(file: &File, allowed: &[&str]) -> Vec<String> {
    let lines = file.source.unsafe_lines.iter();
    let here = !allowed.iter().any(|allowed| is_within(file, allowed));
    lines.filter(|_| here).map(|line| format!("{}:{line} has unsafe code", file.place)).collect()
}

/// Places that may have unsafe code and have none.
pub fn unused_unsafe<'a>(files: impl Iterator<Item = &'a File> + Clone, allowed: &[&str]) -> Vec<String> {
    let used = |place: &str| files.clone().any(|file| is_within(file, place) && !file.source.unsafe_lines.is_empty());
    let unused = allowed.iter().filter(|place| !used(place));
    unused.map(|place| format!("{place} has no unsafe code any more: take it out of the table")).collect()
}

/// Files and functions over their limits.
pub fn too_long(file: &File) -> Vec<String> {
    let long = (file.source.lines > FILE_LINES)
        .then(|| format!("{} has {} lines before its tests: split it by idea", file.place, file.source.lines));
    let functions = file.source.functions.iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
    let functions = functions.map(|(name, lines)| format!("{}: fn {name} has {lines} lines", file.place));
    long.into_iter().chain(functions).collect()
}
