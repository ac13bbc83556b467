//! The rules, each as a function from what was read to the places that break it.

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
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::os",
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
const HARMLESS: &[&str] = &["std::time::Duration"];

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

/// Arrows that are not in the table.
pub fn forbidden_arrows(file: &File, own: &str, may: &[&str], all: &[&str]) -> Vec<String> {
    let named = named_modules(file, own, all).filter(|module| !may.contains(module));
    let mut found: Vec<String> = named.map(|module| format!("{} names {module}", file.place)).collect();
    // A glob over the crate's root names everything.
    let everything = file.source.paths.contains(&vec!["crate".to_string(), "*".to_string()]);
    found.extend(everything.then(|| format!("{} imports crate::*", file.place)));
    found
}

/// Clocks, threads, sockets, files and hash order below the I/O line.
pub fn touches_the_world(file: &File) -> Vec<String> {
    let hits = |path: &Vec<String>, banned: &str| match banned.split("::").collect::<Vec<_>>().as_slice() {
        [word] => path.iter().any(|part| part == word),
        parts => path.len() >= parts.len() && path.iter().zip(parts).all(|(part, banned)| part == banned),
    };
    let paths = file.source.paths.iter().filter(|path| !HARMLESS.contains(&path.join("::").as_str()));
    let found = paths.filter_map(|path| Some((path, BANNED.iter().find(|banned| hits(path, banned))?)));
    found.map(|(path, banned)| format!("{} names {} ({banned})", file.place, path.join("::"))).collect()
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

/// Files and functions over their limits.
pub fn too_long(file: &File) -> Vec<String> {
    let long = (file.source.lines > FILE_LINES)
        .then(|| format!("{} has {} lines before its tests: split it by idea", file.place, file.source.lines));
    let functions = file.source.functions.iter().filter(|(_, lines)| *lines > FUNCTION_LINES);
    let functions = functions.map(|(name, lines)| format!("{}: fn {name} has {lines} lines", file.place));
    long.into_iter().chain(functions).collect()
}
