//! The documents lead somewhere: every relative link of the readme and the book names a file, and the book names every chapter.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::Command;

use spread::multipath::Policy;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The files that a document links to, without those of other hosts and without places inside a file.
fn links(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if fenced || line.starts_with("    ") && !line.trim_start().starts_with('-') {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let targets = targets.map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned());
        found.extend(targets.filter(|target| !target.is_empty() && !target.contains("://")));
    }
    found
}

fn chapters() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "examples/README.md",
        "bindings/python/README.md",
    ];
    for document in chapters().into_iter().chain(others.map(|name| Path::new(ROOT).join(name))) {
        for link in links(&document) {
            let target = document.parent().unwrap().join(&link);
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
        }
    }
}

/// What `make install` puts into the folder of documents can be read there, without the tree that it came from.
#[test]
#[cfg(unix)]
fn every_link_of_an_installed_document_leads_to_an_installed_file() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed-documents");
    let _ = fs::remove_dir_all(&root);
    let mut make = Command::new("make");
    make.args(["-s", "-C", ROOT, "install-documents", "PREFIX=/usr", "PROFILE_DIR=/nowhere"]);
    make.arg(format!("DESTDIR={}", root.display()));
    // The settings of a make that runs the tests are not for this one.
    assert!(make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").status().unwrap().success());
    let (mut folders, mut documents) = (vec![root.join("usr/share/doc/torc")], 0);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents += 1;
                for link in links(&path) {
                    let target = path.parent().unwrap().join(&link);
                    assert!(target.exists(), "{} links to {link}, which is not installed", path.display());
                }
            }
        }
    }
    assert!(documents > chapters().len(), "the readme, the book and more are installed");
}

/// Its web pages lie apart from the tree.
#[test]
fn no_link_of_a_chapter_leaves_the_book() {
    for chapter in chapters() {
        for link in links(&chapter) {
            assert!(!link.starts_with("../"), "{} links to {link}, which is not in the book", chapter.display());
        }
    }
}

#[test]
fn the_book_names_every_chapter() {
    let named: BTreeSet<_> = links(&Path::new(ROOT).join("docs/SUMMARY.md")).into_iter().collect();
    let there = chapters().into_iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let there: BTreeSet<_> = there.filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(named, there);
}

#[test]
fn every_policy_and_every_fault_has_a_picture() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/multipath.md")).unwrap();
    let sections = |chapter: &str| -> Vec<&str> {
        let chapter = text.split("\n## ").find(|text| text.starts_with(chapter)).unwrap();
        chapter.split("\n### ").skip(1).filter(|section| !section.starts_with("Which one?")).collect()
    };
    let (policies, faults) = (sections("Policies"), sections("What fails"));
    for section in policies.iter().chain(&faults) {
        assert!(section.contains("](pictures/"), "no picture: {}", section.lines().next().unwrap());
    }
    for word in Policy::WORDS {
        assert!(policies.iter().any(|section| section.lines().next() == Some(word)), "no section: {word}");
    }
    assert_eq!((policies.len() - Policy::WORDS.len(), faults.len()), (1, 8));
}

/// The documentation of the client has the program too, where it is compiled.
#[test]
fn the_rust_program_of_the_book_is_the_one_that_is_compiled() {
    let lines = |file: &str, mark: &str| -> Vec<String> {
        let text = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        let plain = text.lines().map(|line| line.trim_start_matches("//!").trim_start_matches([' ', '#']));
        let program = plain.skip_while(|line| !line.starts_with(mark)).skip(1).take_while(|line| *line != "```");
        program.map(str::to_owned).collect()
    };
    let program = lines("docs/interfaces.md", "```rust");
    assert!(program.len() > 10);
    assert_eq!(program, lines("src/client/mod.rs", "```no_run"));
}

#[test]
fn links_are_found_where_they_are() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("links.md");
    fs::write(
        &file,
        "[a](one.md) ![b](two.svg#x)\n```\n[c](three.md)\n```\n    [d](four.md)\n[e](https://torc.example/)\n",
    )
    .unwrap();
    assert_eq!(links(&file), ["one.md", "two.svg"]);
}
