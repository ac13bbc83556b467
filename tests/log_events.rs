//! Every line that an operator sees has a name that does not change, and `docs/logging.md` lists each with its fields, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Events that somebody outside can cause although they are about no client.
const OUTSIDE: [&str; 4] = ["datagrams_refused", "monitor_partition", "monitor_refused", "monitor_windows"];

/// Names of an event's fields.
type Fields = BTreeSet<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The arguments of the calls of a macro, each call's as one text.
fn calls<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let starts = text.match_indices(name).filter(|(at, _)| {
        text[..*at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_')
    });
    starts.map(|(at, _)| arguments(&text[at + name.len()..])).collect()
}

/// What stands before the parenthesis that closes the one before this text.
fn arguments(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("a call without an end: {text:.80}");
}

/// Arguments one by one.
fn split(arguments: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0, false, false);
    for (at, character) in arguments.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

/// The event's name and its fields: what stands before the message.
fn event(arguments: &str) -> Option<(String, Fields)> {
    let parts = split(arguments);
    let name = parts.first()?.strip_prefix("name:")?.trim().trim_matches('"').to_owned();
    let fields = parts[1..].iter().take_while(|part| !part.starts_with('"'));
    let field =
        |part: &&str| part.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']).to_owned();
    Some((name, fields.map(field).collect()))
}

/// Each call of the code that logs something, with its name and fields.
fn events() -> Vec<(String, Fields)> {
    let mut events = Vec::new();
    for file in sources(&root().join("src")) {
        // Programs other than the daemon, and client libraries, have no log of their own.
        let place = file.strip_prefix(root().join("src")).expect("it is below").display().to_string();
        if place.starts_with("client/") || place.starts_with("ffi/") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for call in ["info!(", "warn!(", "error!("].iter().flat_map(|name| calls(code, name)) {
            events.push(event(call).unwrap_or_else(|| panic!("{place}: a line without a name: {call:.80}")));
        }
    }
    events
}

/// What the code logs.
fn logged() -> BTreeMap<String, Fields> {
    let mut logged: BTreeMap<String, Fields> = BTreeMap::new();
    for (name, fields) in events() {
        logged.entry(name).or_default().extend(fields);
    }
    // What the log says of itself.
    for (name, fields) in [("suppressed", "like count from"), ("log_lost", "count reason"), ("log_not_reopened", "")] {
        logged.insert(name.to_owned(), fields.split_whitespace().map(str::to_owned).collect());
    }
    logged
}

/// The fields by which the log limits the lines of one source.
fn source_fields() -> Fields {
    let text = fs::read_to_string(root().join("src/bin/service/log/line.rs")).expect("readable");
    let list = text.split("const SOURCES: ").nth(1).and_then(|rest| rest.split(';').nth(1)).expect("the list is there");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What the page lists: rows of `| level | name | fields | meaning |`.
fn documented() -> BTreeMap<String, Fields> {
    let text = fs::read_to_string(root().join("docs/logging.md")).expect("readable");
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let [name] = &words(cells[2])[..] else { panic!("no name: {line}") };
        (name.clone(), words(cells[3]).into_iter().collect())
    };
    rows.map(row).collect()
}

#[test]
fn the_page_lists_every_event_with_its_fields_and_no_other() {
    let (logged, documented) = (logged(), documented());
    for (name, fields) in &logged {
        assert_eq!(documented.get(name), Some(fields), "docs/logging.md: {name}");
    }
    let names = |events: &BTreeMap<String, Fields>| events.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&logged), names(&documented));
}

#[test]
fn what_somebody_outside_causes_names_the_source_that_the_limit_counts() {
    let sources = source_fields();
    assert!(sources.contains("from") && sources.len() >= 4, "{sources:?}");
    let mut nameless = Vec::new();
    for (name, fields) in events() {
        let is_caused = fields.contains("client") || fields.contains("user") || OUTSIDE.contains(&name.as_str());
        if is_caused && fields.is_disjoint(&sources) {
            nameless.push(name);
        }
    }
    assert!(nameless.is_empty(), "one source can fill the log with these: {nameless:?}");
}

#[test]
fn the_reader_finds_names_and_fields() {
    let code = r#"info!(name: "a", x, %y, z = ?f(1, ","), "text, (with {x}", b); rewarn!(1); warn!("no name")"#;
    assert_eq!(calls(code, "info!(").len(), 1);
    let fields = ["x", "y", "z"].map(str::to_owned).into();
    assert_eq!(event(calls(code, "info!(")[0]), Some(("a".to_owned(), fields)));
    assert_eq!(event(calls(code, "warn!(")[0]), None);
}
