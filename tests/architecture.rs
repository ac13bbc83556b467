//! The walls of the house: arrows point down only, and below the I/O line there is no clock, no socket, no hash order.
//! The tables here are changed on purpose or not at all; what they allow and nobody uses is an error too.

#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/reader.rs"]
mod reader;
#[path = "architecture/rules.rs"]
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rules::{
    File, HARMLESS, differences, forbidden_arrows, misplaced_unsafe, organs_out_of_place, states_that_name_their_table,
    too_long, touches_the_world, unneeded_exceptions, unread, unused_arrows, unused_leaves, unused_unsafe,
};

/// Leaves, which every module may name.
const LEAVES: &[&str] = &["time", "rng", "counters"];

/// Each other module and the modules of ours that it may name beside the leaves.
const ARROWS: &[(&str, &[&str])] = &[
    ("system", &[]),
    ("pipe", &[]),
    ("wire", &[]),
    ("ring", &["wire"]),
    ("seal", &["wire"]),
    ("multipath", &["seal", "wire"]),
    ("groups", &["ring", "wire"]),
    ("session", &["wire"]),
    ("config", &["multipath", "ring", "session", "wire"]),
    ("node", &["config", "groups", "multipath", "ring", "seal", "session", "wire"]),
    ("net", &["config", "wire"]),
    ("daemon", &["config", "net", "node", "groups", "multipath", "pipe", "ring", "seal", "session", "system", "wire"]),
    ("client", &["pipe", "system", "wire"]),
    ("ffi", &["client", "config", "daemon", "system", "wire"]),
];

/// Organs of `multipath`, and those of its organs that each may name.
const ORGANS: &[(&str, &[&str])] = &[("health", &[]), ("inbound", &["health"]), ("outbound", &["health", "inbound"])];

/// Modules below the I/O line.
const BELOW: &[&str] =
    &["time", "rng", "counters", "wire", "ring", "seal", "multipath", "groups", "session", "config", "node"];

/// The states of a ring, each in a file of its own.
const STATES: &[&str] = &["gather", "form", "recovery", "operational", "circulation", "rest", "handover"];

/// The only folders and files with unsafe code.
const UNSAFE: &[&str] = &["ffi", "net", "client/platform.rs", "pipe/linux.rs", "system.rs"];

/// The only files of the programs with unsafe code: calls of the system, and of other C libraries in the benchmark.
const UNSAFE_PROGRAMS: &[&str] = &[
    "bin/bench/classic.rs",
    "bin/bench/clock.rs",
    "bin/bench/cpg.rs",
    "bin/bench/crew.rs",
    "bin/bench/system.rs",
    "bin/tools/editor.rs",
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a module, without those that are declared for tests only.
fn files(module: &str) -> &'static [File] {
    static FILES: OnceLock<BTreeMap<&str, Vec<File>>> = OnceLock::new();
    &FILES.get_or_init(|| modules().into_iter().map(|module| (module, read_files(module))).collect())[module]
}

fn read_files(module: &str) -> Vec<File> {
    let mut files = Vec::new();
    let mut open = vec![src().join(format!("{module}.rs")), src().join(module).join("mod.rs")];
    open.retain(|path| path.exists());
    assert!(!open.is_empty(), "module {module} is gone: change the table");
    while let Some(path) = open.pop() {
        let file = read_file(&path);
        let folder = src().join(file.place.trim_end_matches(".rs").trim_end_matches("/mod"));
        open.extend(children(&folder, &file.source.test_modules));
        files.push(file);
    }
    files
}

fn read_file(path: &Path) -> File {
    let place = path.strip_prefix(src()).expect("it is below").to_string_lossy().into_owned();
    let parts: Vec<&str> = place.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let source = reader::read(&parts, &fs::read_to_string(path).expect("readable"));
    File { place, source }
}

/// The files of the modules in this folder.
fn children(folder: &Path, tests: &[String]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("readable").path());
    let paths = paths.map(|path| if path.is_dir() { path.join("mod.rs") } else { path });
    let is_test = |path: &Path| {
        let stem = if path.ends_with("mod.rs") { path.parent().and_then(Path::file_stem) } else { path.file_stem() };
        stem.is_some_and(|stem| tests.iter().any(|test| stem == test.as_str()))
    };
    let own = folder.join("mod.rs");
    paths
        .filter(|path| path.extension().is_some_and(|rs| rs == "rs") && *path != own && path.exists() && !is_test(path))
        .collect()
}

fn all_files() -> impl Iterator<Item = &'static File> + Clone {
    modules().into_iter().flat_map(files)
}

fn modules() -> Vec<&'static str> {
    ARROWS.iter().map(|(module, _)| *module).chain(LEAVES.iter().copied()).collect()
}

/// What a module may name: leaves name nothing.
fn arrows() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let table = ARROWS.iter().map(|(own, may)| (*own, may.iter().chain(LEAVES).copied().collect()));
    table.chain(LEAVES.iter().map(|leaf| (*leaf, Vec::new())))
}

fn expect_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    expect_none(differences(&fs::read_to_string(src().join("lib.rs")).unwrap(), &modules()));
}

/// Every file below this folder.
fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    let (mut open, mut there) = (vec![folder], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() { open.push(path) } else { there.push(path) }
        }
    }
    there
}

/// The files of the programs. They are of no module: each program names the library and what it shares with others.
fn programs() -> &'static [File] {
    static PROGRAMS: OnceLock<Vec<File>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let paths =
            files_below(src().join("bin")).into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
        let read = paths.map(|path| read_file(&path)).collect::<Vec<_>>();
        let of_tests: Vec<String> = read.iter().flat_map(places_of_tests).collect();
        read.into_iter().filter(|file| !of_tests.contains(&file.place)).collect()
    })
}

/// Where the modules are that this file declares for tests only.
fn places_of_tests(file: &File) -> Vec<String> {
    let folder = file.place.trim_end_matches(".rs").trim_end_matches("/mod");
    file.source.test_modules.iter().map(|module| format!("{folder}/{module}.rs")).collect()
}

#[test]
fn every_file_of_a_module_is_read() {
    let read: Vec<PathBuf> = all_files().map(|file| src().join(&file.place)).collect();
    let mut there: Vec<PathBuf> = modules().iter().flat_map(|module| files_below(src().join(module))).collect();
    there.extend(modules().iter().map(|module| src().join(format!("{module}.rs"))).filter(|path| path.exists()));
    expect_none(unread(&there, &read));
}

#[test]
fn arrows_point_down_only() {
    let all = modules();
    let mut found = Vec::new();
    for (own, may) in arrows() {
        for file in files(own) {
            found.extend(forbidden_arrows(file, own, &may, &all));
        }
    }
    expect_none(found);
}

#[test]
fn every_arrow_of_the_table_is_used() {
    let all = modules();
    expect_none(ARROWS.iter().flat_map(|(own, may)| unused_arrows(files(own), own, may, &all)).collect());
    expect_none(unused_leaves(all_files(), LEAVES));
}

#[test]
fn what_is_known_of_paths_names_neither_the_way_in_nor_the_way_out() {
    expect_none(organs_out_of_place(files("multipath"), "multipath", ORGANS));
}

#[test]
fn the_states_of_a_ring_do_not_name_the_table_of_states() {
    expect_none(states_that_name_their_table(files("ring"), STATES));
}

#[test]
fn nothing_below_the_line_touches_the_world() {
    let below = || BELOW.iter().flat_map(|module| files(module));
    expect_none(below().flat_map(touches_the_world).collect());
    expect_none(below().flat_map(|file| misplaced_unsafe(file, &[])).collect());
    expect_none(unneeded_exceptions(below(), HARMLESS));
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    expect_none(all_files().flat_map(|file| misplaced_unsafe(file, UNSAFE)).collect());
    expect_none(unused_unsafe(all_files(), UNSAFE));
    expect_none(programs().iter().flat_map(|file| misplaced_unsafe(file, UNSAFE_PROGRAMS)).collect());
    expect_none(unused_unsafe(programs().iter(), UNSAFE_PROGRAMS));
}

#[test]
fn files_and_functions_stay_small() {
    assert!(programs().iter().any(|file| file.place == "bin/spread.rs"), "the programs are read");
    expect_none(all_files().chain(programs()).flat_map(too_long).collect());
}
