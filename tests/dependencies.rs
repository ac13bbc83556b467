//! What we depend on: only crates of the registry, under licences that go with ours, each in one version unless a line here says why.
//!
//! `cargo deny` checks the same and more, but building it takes longer than all our other checks, and its list of unmaintained crates
//! must be downloaded. Where it is installed, `cargo deny check advisories` adds that.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use spdx::Expression;

/// Licences that a program under MIT or Apache-2.0 may include.
const LICENCES: &[&str] =
    &["MIT", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "Unicode-3.0", "Zlib"];

/// Crates with another licence that we only use to build or test, and why that is allowed.
const TOOLS: &[(&str, &str, &str)] = &[("cbindgen", "MPL-2.0", "generates the headers; nothing of it is in them")];

/// Crates that come in several versions, and who keeps the older one.
const DUPLICATES: &[(&str, &str)] = &[
    ("getrandom", "ring uses version 0.2"),
    ("windows-sys", "ring uses version 0.52, on Windows only"),
    ("syn", "cbindgen uses version 2"),
    ("winnow", "the TOML reader inside cbindgen uses two versions"),
];

struct Package {
    name: String,
    version: String,
    licence: String,
    source: Option<String>,
}

/// Every package that any of our targets, features and tests needs.
fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features"];
    let output =
        Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages = metadata["packages"].as_array().expect("a list").iter().map(|package| Package {
        name: text(&package["name"]).expect("a name"),
        version: text(&package["version"]).expect("a version"),
        licence: text(&package["license"]).unwrap_or_default(),
        source: text(&package["source"]),
    });
    packages.collect()
}

fn allows(licence: &str, also: &[&str]) -> bool {
    // Old manifests write `/` for OR.
    let expression = Expression::parse(&licence.replace('/', " OR "));
    let is_listed = |name: &str| LICENCES.contains(&name) || also.contains(&name);
    expression.is_ok_and(|expression| {
        expression.evaluate(|requirement| requirement.license.id().is_some_and(|id| is_listed(id.name)))
    })
}

#[test]
fn every_licence_goes_with_ours() {
    let mut wrong = Vec::new();
    for Package { name, version, licence, .. } in packages() {
        let also: Vec<&str> = TOOLS.iter().filter(|tool| tool.0 == name).map(|tool| tool.1).collect();
        if !allows(&licence, &also) {
            wrong.push(format!("{name} {version} has licence {licence:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_comes_from_the_registry() {
    let ours = |package: &Package| package.name == "torc" && package.source.is_none();
    let from_registry =
        |package: &Package| package.source.as_deref().is_some_and(|source| source.starts_with("registry+"));
    let wrong: Vec<String> = packages()
        .into_iter()
        .filter(|package| !ours(package) && !from_registry(package))
        .map(|package| package.name)
        .collect();
    assert!(wrong.is_empty(), "not from a registry: {wrong:?}");
}

#[test]
fn every_crate_has_one_version() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(package.name).or_default().push(package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let excused = |name: &str| DUPLICATES.iter().any(|(excused, _)| *excused == name);
    let wrong: Vec<_> = versions.iter().filter(|(name, _)| !excused(name)).collect();
    assert!(wrong.is_empty(), "several versions of {wrong:?}: see `cargo tree --duplicates`");
}

#[test]
fn no_excuse_has_outlived_its_reason() {
    let packages = packages();
    for (tool, licence, _) in TOOLS {
        let needed = packages.iter().any(|package| package.name == *tool && !allows(&package.licence, &[]));
        assert!(needed, "{tool} no longer needs {licence}: take it out of the list");
    }
    for (name, _) in DUPLICATES {
        let count = packages.iter().filter(|package| package.name == *name).count();
        assert!(count > 1, "{name} has one version now: take it out of the list");
    }
}

#[test]
fn the_check_tells_licences_apart() {
    for fine in ["MIT", "MIT OR GPL-3.0-only", "Apache-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert!(allows(fine, &[]), "{fine}");
    }
    for wrong in ["GPL-3.0-only", "MIT AND GPL-2.0-only", "", "LGPL-2.1-or-later", "no licence"] {
        assert!(!allows(wrong, &[]), "{wrong}");
    }
    assert!(allows("MPL-2.0", &["MPL-2.0"]) && !allows("MPL-2.0", &[]));
}
