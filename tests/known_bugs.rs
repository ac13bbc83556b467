//! Keeps the known bugs (`known_bugs/bugs.txt`) in step with the source, and makes the copy of the tree in which they can be put back.
//!
//!     PLANT=target/known-bugs cargo test --test known_bugs     makes the copy; `make test-the-tester` does this and runs the simulator there

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// One change of the source.
#[derive(Debug, Default)]
struct Change<'a> {
    file: &'a str,
    before: Vec<&'a str>,
    after: Vec<&'a str>,
}

/// The bugs with what they do, and all changes.
#[derive(Debug, Default)]
struct List<'a> {
    bugs: Vec<(&'a str, &'a str)>,
    changes: Vec<Change<'a>>,
}

fn list() -> List<'static> {
    let mut list = List::default();
    for line in include_str!("known_bugs/bugs.txt").lines() {
        if let Some((name, what)) = line.strip_prefix("bug ").and_then(|bug| bug.split_once(": ")) {
            list.bugs.push((name, what));
        } else if let Some(file) = line.strip_prefix("in ") {
            list.changes.push(Change { file, ..Change::default() });
        } else if let Some(before) = line.strip_prefix("- ") {
            list.changes.last_mut().unwrap().before.push(before);
        } else if let Some(after) = line.strip_prefix("+ ") {
            list.changes.last_mut().unwrap().after.push(after);
        }
    }
    list
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files with all changes made.
fn changed(list: &List) -> BTreeMap<PathBuf, String> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for change in &list.changes {
        let path = PathBuf::from(change.file);
        let text = || fs::read_to_string(root().join(&path)).unwrap().lines().map(str::to_owned).collect();
        let lines = files.entry(path.clone()).or_insert_with(text);
        let same =
            |window: &[String]| window.iter().map(|line| line.trim()).eq(change.before.iter().map(|line| line.trim()));
        let places: Vec<usize> = lines
            .windows(change.before.len())
            .enumerate()
            .filter(|(_, window)| same(window))
            .map(|(at, _)| at)
            .collect();
        let [place] = places[..] else {
            panic!("{}: these lines are there {} times, not once: {:#?}", change.file, places.len(), change.before);
        };
        let after = change.after.iter().map(|line| spelt_out(line, list));
        lines.splice(place..place + change.before.len(), after);
    }
    files.into_iter().map(|(path, lines)| (path, lines.join("\n") + "\n")).collect()
}

/// The question whether a bug is back, as the compiler reads it.
fn spelt_out(line: &str, list: &List) -> String {
    let ask = |text: String, (name, _): &(&str, &str)| {
        let asks = format!("crate::known_bugs::is_back(crate::known_bugs::KnownBug::{name})");
        text.replace(&format!("is_back({name})"), &asks)
    };
    list.bugs.iter().fold(line.to_owned(), ask)
}

/// The module that knows which bug is back.
fn module(list: &List) -> String {
    let variants: Vec<String> = list.bugs.iter().map(|(name, what)| format!("    /// {what}\n    {name},")).collect();
    include_str!("known_bugs/module.rs").replace("    // THE BUGS", &variants.join("\n"))
}

/// Copies the tree but for what was built.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if ["target", "build", ".git"].iter().any(|built| name == *built) || path.is_symlink() {
            continue;
        }
        let target = to.join(name);
        if path.is_dir() {
            copy(&path, &target);
        } else if fs::read(&target).ok() != Some(fs::read(&path).unwrap()) {
            // What is the same keeps its time, so that little is compiled again.
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn every_known_bug_fits_the_source_and_is_looked_for() {
    let list = list();
    let files = changed(&list);
    for (name, _) in &list.bugs {
        let asked = format!("KnownBug::{name})");
        assert!(files.values().any(|text| text.contains(&asked)), "no change puts {name} back");
        let looked_for = include_str!("known_bugs/search.rs").contains(&format!("(KnownBug::{name}, "));
        assert!(looked_for, "known_bugs/search.rs does not look for {name}");
    }
    let Some(place) = env::var_os("PLANT") else { return };
    let place = root().join(place);
    copy(root(), &place);
    let mut planted = files;
    planted.insert("src/known_bugs.rs".into(), module(&list));
    planted.insert("tests/sim/known_bugs.rs".into(), include_str!("known_bugs/search.rs").to_owned());
    for (path, text) in planted {
        fs::write(place.join(path), text).unwrap();
    }
}
