//! What a classic daemon did with many configuration files, against what ours does.
//!
//! The recorded line numbers count from 0 and are those of the token at which the classic parser stopped; ours count from 1 and
//! are those of the mistake. Where we decide differently the case is listed with its reason.

#![expect(clippy::unwrap_used, reason = "vectors that are not as expected stop the test")]

use std::net::IpAddr;

use serde_json::Value;
use spread::config::{Hosts, Invalid, Settings};

/// Cases that we decide differently, on purpose.
const OTHERWISE: [(&str, &str); 9] = [
    ("trailing space after number", "a blank after a number means nothing"),
    ("comment after number", "a blank after a number means nothing"),
    ("tab after number", "a blank after a number means nothing"),
    ("one timeout only", "each timer has a default and may be set alone"),
    ("name too long (20)", "it is cut with a warning, as 5.x does"),
    ("ip only", "the daemon is called by its address, as in 5.x"),
    ("port 99999", "no such port: whoever writes it does not mean 34463"),
    ("dup ip", "two daemons with one id cannot be told apart"),
    ("name with # quoted", "such a name makes private groups ambiguous"),
];

/// Cases whose mistake we report elsewhere: the case, our line, the reason.
const OTHER_LINE: [(&str, u32, &str); 3] = [
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

/// Reads a text on a machine that knows one name.
fn read(text: &str) -> Result<Settings, Invalid> {
    let lookup = |name: &str| if name == "localhost" { vec![IpAddr::from([127, 0, 0, 1])] } else { Vec::new() };
    Settings::parse_with("FILE", text.as_bytes(), &Hosts { lookup: &lookup, own: &[] })
}

/// What we do with the file of a case: the own entry, or the line and message of the first mistake (line 0 for none).
fn decide(case: &Value) -> Result<Outcome, (u32, String)> {
    let file = case["file"].as_str().unwrap();
    let settings = read(file).map_err(|error| (error.0[0].at.line, error.0[0].to_string()))?;
    let table = &settings.table;
    // A daemon without a name has its address for one.
    let name = if label(case) == "ip only" { Some("127.0.0.1") } else { named(case) };
    let me = table.me(name, &[IpAddr::from([127, 0, 0, 1])]).map_err(|error| (0, error.to_string()))?;
    let port = table.segment_of(me).client_port();
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
    assert_eq!(compared, 44);
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
    assert_eq!(compared, 27);
}

#[test]
fn every_exception_names_a_case() {
    let cases = cases();
    let known = |name: &str| cases.iter().any(|case| label(case) == name);
    assert!(OTHERWISE.iter().all(|(name, _)| known(name)));
    assert!(OTHER_LINE.iter().all(|(name, _, _)| known(name)));
    assert!(ARGUMENTS.iter().all(|name| known(name)));
}

#[test]
fn every_accepted_file_is_written_and_read_as_the_same() {
    let mut compared = 0;
    for case in cases() {
        let Ok(settings) = read(case["file"].as_str().unwrap_or_default()) else { continue };
        assert_same(label(&case), &settings);
        compared += 1;
    }
    assert!(compared > 45, "{compared}");
}

/// What is written of settings is read as the same, and written the same again.
fn assert_same(name: &str, settings: &Settings) {
    let written = settings.to_string();
    let again = Settings::parse("WRITTEN", written.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(written, again.to_string(), "{name}");
    assert_eq!(again.table, settings.table, "{name}");
    let shown = |settings: &Settings| format!("{:?} {:?}", settings.live, settings.process);
    assert_eq!(shown(&again), shown(settings), "{name}");
}
