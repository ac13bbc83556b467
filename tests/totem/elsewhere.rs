//! Rules that tests elsewhere show, because they need whole systems, or are a rule of Totem under another name.
//!
//! Torc does not keep two requirements of the Redundant Ring Protocol, A3 and P2: that networks stay in step. It waits for no slow network, since the first
//! copy counts. In return what a slow network brings late must do no harm, and that is what the test in the table shows.

use std::fs;
use std::path::Path;

/// A rule, the file with the test, and the test.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("rrp_a2", "sim/scenarios/paths.rs", "a_slow_network_delays_nothing"),
    ("rrp_a2", "sim/scenarios/copies.rs", "s45_each_packet_counts_once_however_its_copies_come"),
    ("rrp_a3", "sim/scenarios/paths.rs", "a_slow_network_delays_nothing"),
    ("rrp_a4", "sim/scenarios/paths.rs", "flapping_networks_are_masked_whatever_the_period"),
    ("rrp_p1", "totem/ordering.rs", "accelerated_ring_only_what_the_last_visit_knew_is_requested"),
    ("rrp_p2", "sim/scenarios/paths.rs", "a_slow_network_delays_nothing"),
    ("rrp_p3", "sim/scenarios/quiet.rs", "a_network_that_dies_in_a_quiet_time_delays_no_message"),
    ("evs_5", "totem/delivery.rs", "srp_4_2_an_answer_is_delivered_behind_its_question"),
    ("evs_5", "sim/checker/tests.rs", "a_cause_comes_before_its_effect"),
    ("evs_6_3", "totem/membership.rs", "srp_7_2_behind_a_hole_only_members_are_believed"),
    ("evs_6_3", "sim/checker/tests.rs", "there_is_no_hole_before_a_delivery"),
    ("evs_7_1", "totem/membership.rs", "srp_7_2_what_is_owed_outlives_a_recovery_that_fails"),
    ("evs_7_2", "sim/checker/tests.rs", "safe_means_that_all_have_installed"),
];

/// The rules of the two papers. 1.2 of extended virtual synchrony, that the events of one daemon are in order, holds for any program.
const RULES: &[&str] = &[
    "rrp_a1", "rrp_a2", "rrp_a3", "rrp_a4", "rrp_a5", "rrp_a6", "rrp_p1", "rrp_p2", "rrp_p3", "rrp_p4", "rrp_p5",
    "evs_1_1", "evs_1_3", "evs_1_4", "evs_2_1", "evs_2_2", "evs_2_3", "evs_2_4", "evs_3", "evs_4", "evs_5", "evs_6_1",
    "evs_6_2", "evs_6_3", "evs_7_1", "evs_7_2",
];

/// The names of the tests in a file of `tests`.
fn tests_of(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let tests = lines.windows(2).filter(|pair| pair[0] == "#[test]").filter_map(|pair| pair[1].strip_prefix("fn "));
    tests.filter_map(|rest| Some(rest.split_once('(')?.0.to_string())).collect()
}

/// The rules in the name of a test: `rrp_a5_p4_…` has two.
fn rules_of(test: &str) -> Vec<String> {
    let Some((paper, rest)) = test.split_once('_') else { return Vec::new() };
    let parts: Vec<&str> = rest.split('_').collect();
    let is_number = |part: &&&str| part.parse::<u32>().is_ok();
    match paper {
        "rrp" => parts.iter().take_while(|part| part.len() == 2).map(|part| format!("rrp_{part}")).collect(),
        // Sections 3 to 5 have one rule each, the others a number in the section.
        "evs" => match parts.iter().take_while(is_number).copied().collect::<Vec<_>>()[..] {
            [section] => vec![format!("evs_{section}")],
            ref numbers => numbers.chunks(2).map(|pair| format!("evs_{}", pair.join("_"))).collect(),
        },
        _ => Vec::new(),
    }
}

#[test]
fn each_test_of_the_table_exists() {
    for (rule, file, test) in ELSEWHERE {
        assert!(RULES.contains(rule), "{rule} is no rule");
        assert!(tests_of(file).iter().any(|name| name == test), "{rule}: tests/{file} has no test {test}");
    }
}

#[test]
fn each_rule_has_a_test() {
    let here: Vec<String> = ["totem/evs.rs", "totem/rrp.rs"]
        .iter()
        .flat_map(|file| tests_of(file))
        .flat_map(|test| rules_of(&test))
        .collect();
    for rule in RULES {
        let is_elsewhere = ELSEWHERE.iter().any(|(shown, _, _)| shown == rule);
        assert!(is_elsewhere || here.iter().any(|shown| shown == rule), "{rule} has no test");
    }
    assert!(
        here.iter().all(|shown| RULES.contains(&shown.as_str())),
        "a test names a rule that is not listed: {here:?}"
    );
}
