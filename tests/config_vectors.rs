//! What a classic daemon did with many configuration files, against what ours does.
//!
//! The recorded line numbers count from 0 and are those of the token at which the classic parser stopped; ours count from 1 and
//! are those of the mistake. Where we decide differently the case is listed with its reason.

#![expect(clippy::unwrap_used, reason = "vectors that are not as expected stop the test")]

use std::net::IpAddr;

use serde_json::Value;
use spread::daemon::config::{ConfigError, Configuration};

/// Cases that we decide differently, on purpose.
const OTHERWISE: [(&str, &str); 5] = [
    ("trailing space after number", "a blank after a number means nothing"),
    ("comment after number", "a blank after a number means nothing"),
    ("tab after number", "a blank after a number means nothing"),
    ("dup ip", "two daemons with one id cannot be told apart"),
    ("name with # quoted", "such a name makes private groups ambiguous"),
];

/// Cases whose mistake we report elsewhere: the case, our line, the reason.
const OTHER_LINE: [(&str, u32, &str); 4] = [
    ("name too long (20)", 6, "the name is there; the classic parser had read one line further"),
    ("dup name", 7, "the second daemon is there; the classic parser had read one line further"),
    ("21 segments", 65, "segment 21 begins there; the classic parser had read to its end"),
    ("129 daemons", 134, "daemon 129 is there; the classic parser had read one line further"),
];

/// Cases about the command line, not the file.
const ARGUMENTS: [&str; 2] = ["usage -h", "-l x"];

struct Outcome {
    name: String,
    id: String,
    port: u16,
}

/// What we do with the file of a case: the own entry, or the line and message of the first mistake (line 0 for none).
fn decide(case: &Value) -> Result<Outcome, (u32, String)> {
    let file = case["file"].as_str().unwrap();
    let resolve = |name: &str| (name == "localhost").then_some(IpAddr::from([127, 0, 0, 1]));
    let configuration = Configuration::parse_with("FILE", file.as_bytes(), &resolve).map_err(|error| match error {
        ConfigError::Invalid(errors) => (errors[0].at.line, errors[0].to_string()),
        other => (0, other.to_string()),
    })?;
    let me = configuration.me(named(case), &[IpAddr::from([127, 0, 0, 1])]).map_err(|error| (0, error.to_string()))?;
    let port = configuration.segment_of(me).client_port();
    Ok(Outcome { name: me.name.clone(), id: me.id.to_string(), port })
}

/// The value of the option -n.
fn named(case: &Value) -> Option<&str> {
    let arguments: Vec<&str> = case["arguments"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    arguments.windows(2).find(|pair| pair[0].starts_with("-n")).map(|pair| pair[1])
}

fn cases() -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("vectors/23_configuration_cases.json")).unwrap();
    vectors["cases"].as_array().unwrap().clone()
}

fn label(case: &Value) -> &str {
    case["case"].as_str().unwrap()
}

fn was_accepted(case: &Value) -> bool {
    case["outcome"].as_str().unwrap().starts_with("accepted")
}

#[test]
fn every_file_is_accepted_or_refused_as_recorded() {
    for case in cases().iter().filter(|case| !ARGUMENTS.contains(&label(case))) {
        let otherwise = OTHERWISE.iter().any(|(name, _)| *name == label(case));
        let ours = decide(case);
        assert_eq!(ours.is_ok(), was_accepted(case) != otherwise, "{}: {:?}", label(case), ours.err());
    }
}

#[test]
fn every_accepted_file_gives_the_recorded_entry() {
    let mut compared = 0;
    for case in cases() {
        let (Some(name), Ok(ours)) = (case["own_name"].as_str(), decide(&case)) else {
            continue;
        };
        assert_eq!(ours.name, name, "{}", label(&case));
        assert_eq!(ours.id, case["own_id"].as_str().unwrap(), "{}", label(&case));
        assert_eq!(u64::from(ours.port), case["port"].as_u64().unwrap(), "{}", label(&case));
        compared += 1;
    }
    assert_eq!(compared, 45);
}

#[test]
fn every_mistake_is_reported_in_its_line() {
    let mut compared = 0;
    for case in cases() {
        let (Some(stopped), Err((line, message))) = (case["reported_line"].as_u64(), decide(&case)) else {
            continue;
        };
        let other = OTHER_LINE.iter().find(|(name, _, _)| *name == label(&case));
        let expected = other.map_or(stopped as u32 + 1, |(_, line, _)| *line);
        assert_eq!(line, expected, "{}: {message}", label(&case));
        assert!(message.starts_with(&format!("FILE:{line}:")), "{message}");
        compared += 1;
    }
    assert_eq!(compared, 29);
}

#[test]
fn every_exception_names_a_case() {
    let cases = cases();
    let known = |name: &str| cases.iter().any(|case| label(case) == name);
    assert!(OTHERWISE.iter().all(|(name, _)| known(name)));
    assert!(OTHER_LINE.iter().all(|(name, _, _)| known(name)));
    assert!(ARGUMENTS.iter().all(|name| known(name)));
}
