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

use rules::{File, forbidden_arrows, is_within, misplaced_unsafe, named_modules, too_long, touches_the_world};

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

/// The only folders and files with unsafe code.
const UNSAFE: &[&str] = &["ffi", "net", "client/platform.rs", "pipe/linux.rs", "system.rs"];

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
        let place = path.strip_prefix(src()).expect("it is below").to_string_lossy().into_owned();
        let parts: Vec<&str> = place.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
        let text = fs::read_to_string(&path).expect("readable");
        let source = reader::read(&parts, &text);
        let folder = parts.iter().fold(src(), |folder, part| folder.join(part));
        open.extend(children(&folder, &source.test_modules));
        files.push(File { place, source });
    }
    files
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

fn all_files() -> impl Iterator<Item = &'static File> {
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
    let lib = syn::parse_file(&fs::read_to_string(src().join("lib.rs")).unwrap()).unwrap();
    let mut declared: Vec<String> = lib
        .items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect();
    let mut listed = modules();
    declared.sort();
    listed.sort();
    assert_eq!(declared, listed);
}

#[test]
fn every_file_of_a_module_is_read() {
    let mut read: Vec<PathBuf> = all_files().map(|file| src().join(&file.place)).collect();
    let (mut open, mut there) = (modules().iter().map(|module| src().join(module)).collect::<Vec<_>>(), Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() { open.push(path) } else { there.push(path) }
        }
    }
    there.extend(modules().iter().map(|module| src().join(format!("{module}.rs"))).filter(|path| path.exists()));
    read.sort();
    there.sort();
    let missed: Vec<_> = there.iter().filter(|path| read.binary_search(path).is_err()).collect();
    let is_of_tests = |path: &Path| {
        path.ends_with("tests.rs")
            || path.ends_with("testing.rs")
            || path.parent().is_some_and(|it| it.ends_with("tests"))
    };
    assert!(missed.iter().all(|path| is_of_tests(path)), "not read: {missed:?}");
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
    let mut unused = Vec::new();
    for (own, may) in ARROWS {
        let used: Vec<&str> = files(own).iter().flat_map(|file| named_modules(file, own, &all)).collect();
        for module in may.iter().filter(|module| !used.contains(module)) {
            unused.push(format!("{own} no longer names {module}: take it out of the table"));
        }
    }
    expect_none(unused);
}

#[test]
fn what_is_known_of_paths_names_neither_the_way_in_nor_the_way_out() {
    let mut found = Vec::new();
    for (organ, may) in ORGANS {
        let own = format!("multipath/{organ}");
        assert!(files("multipath").iter().any(|file| is_within(file, &own)), "{own} is gone: change the table");
        for file in files("multipath").iter().filter(|file| is_within(file, &own)) {
            for (other, _) in ORGANS.iter().filter(|(other, _)| other != organ && !may.contains(other)) {
                let named = |path: &Vec<String>| path.starts_with(&["crate", "multipath", other].map(String::from));
                found.extend(file.source.paths.iter().find(|path| named(path)).map(|_| format!("{own} names {other}")));
            }
        }
    }
    expect_none(found);
}

#[test]
fn the_states_of_a_ring_do_not_name_the_table_of_states() {
    let files = || files("ring").iter();
    let of_states = ["gather", "form", "recovery", "operational", "circulation", "rest", "handover"];
    let mut found = Vec::new();
    for state in of_states {
        let place = format!("ring/{state}.rs");
        let file =
            files().find(|file| file.place == place).unwrap_or_else(|| panic!("{place} is gone: change the list"));
        let named = |path: &&Vec<String>| path.starts_with(&["crate", "ring", "state"].map(String::from));
        found.extend(
            file.source.paths.iter().find(named).map(|_| format!("{place} names ring/state.rs, which names it")),
        );
    }
    expect_none(found);
}

#[test]
fn nothing_below_the_line_touches_the_world() {
    let mut found = Vec::new();
    for file in BELOW.iter().flat_map(|module| files(module)) {
        found.extend(touches_the_world(file));
        found.extend(misplaced_unsafe(file, &[]));
    }
    expect_none(found);
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    expect_none(all_files().flat_map(|file| misplaced_unsafe(file, UNSAFE)).collect());
    let mut unused = Vec::new();
    for place in UNSAFE {
        if !all_files().any(|file| is_within(file, place) && !file.source.unsafe_lines.is_empty()) {
            unused.push(format!("{place} has no unsafe code any more: take it out of the table"));
        }
    }
    expect_none(unused);
}

#[test]
fn files_and_functions_stay_small() {
    expect_none(all_files().flat_map(too_long).collect());
}
