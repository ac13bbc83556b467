//! The monitor at daemons on loopback: by the classic protocol, and by the control socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::config::Settings;
use spread::daemon::{Options, Running, StartError, spawn};
use spread::multipath::Policy;
use spread::wire::{FrameType, Name, NetworkId};

use crate::{Daemon, SPMONITOR, Tool, expect_failure, free_port, run, text};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Three daemons on two networks, and the file that they and their monitors read.
struct System {
    daemons: Vec<Running>,
    file: PathBuf,
    options: Vec<Options>,
}

impl System {
    /// Another test may take the port between the look for it and its use, so that is tried again.
    fn start(test: &str, dangerous: bool) -> System {
        std::iter::repeat_with(|| System::start_once(test, dangerous)).take(10).find_map(Result::ok).unwrap()
    }

    fn start_once(test: &str, dangerous: bool) -> Result<System, StartError> {
        let port = free_port();
        let daemon = |(index, name): (usize, &&str)| {
            let [host, other] = [78, 79].map(|network| format!("127.{network}.0.{}", index + 1));
            format!("{name} {host} {{ D {host} D {other} C {host} }}\n")
        };
        let daemons: String = NAMES.iter().enumerate().map(daemon).collect();
        let text =
            format!("Spread_Segment unicast:{port} unicast:{port} {{\n{daemons}}}\nDangerousMonitor = {dangerous}\n");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(test);
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("spread.conf");
        std::fs::write(&file, &text).unwrap();
        let settings = Settings::parse("monitor", text.as_bytes()).unwrap();
        let options = settings.table.daemons.iter().map(|daemon| {
            let mut options = Options::from_settings(&settings, daemon);
            options.control_sockets = vec![directory.join(&daemon.name)];
            options
        });
        let options: Vec<Options> = options.collect();
        let daemons = options.iter().cloned().map(spawn).collect::<Result<_, _>>()?;
        Ok(System { daemons, file, options })
    }

    fn monitor(&self) -> Tool {
        let mut command = Command::new(SPMONITOR);
        Tool::start(command.args(["-p", "0", "-n", "one", "-t", "1", "-c"]).arg(&self.file))
    }

    /// Asks for reports of a daemon until one says this.
    fn expect_report(&self, daemon: &str, says: &str) {
        let mut monitor = self.monitor();
        monitor.type_in(&format!("0\n{daemon}\n\n"));
        monitor.expect(says);
    }

    fn control(&self, place: usize) -> &str {
        self.options[place].control_sockets[0].to_str().unwrap()
    }
}

#[test]
fn every_daemon_reports_to_a_monitor() {
    let system = System::start("reports", false);
    system.expect_report("two", "ring: 3 daemons in 1 segments, led by one, accelerated ring");
    let mut monitor = system.monitor();
    monitor.expect("3 daemons, reports at port ");
    monitor.type_in("0\nall\nnobody\n\n");
    monitor.expect("there is no daemon nobody");
    // Whoever comes first has none before it.
    monitor.expect("since the report before: 0 messages");
    monitor.type_in("0\nnone\n\nx\nq\n");
    monitor.expect("unknown command: x");
    assert_eq!(monitor.status(), 0);
}

#[test]
fn a_partition_parts_daemons_that_allow_it_until_it_is_ended() {
    let system = System::start("partition", true);
    system.expect_report("three", "ring: 3 daemons");
    let mut monitor = system.monitor();
    monitor.type_in("1\n0\n0\nx\n1\n2\n3\n");
    monitor.expect("a component is a number from 0 to 32767");
    monitor.expect("partition sent");
    monitor.expect("  three                component 1");
    system.expect_report("one", "ring: 2 daemons");
    system.expect_report("three", "ring: 1 daemons");
    monitor.type_in("4\n3\n");
    monitor.expect("no partition is in force");
    system.expect_report("three", "ring: 3 daemons");
}

#[test]
fn windows_change_where_that_is_allowed_and_a_daemon_ends_for_its_operator_only() {
    let system = System::start("dangerous", true);
    let mut monitor = system.monitor();
    monitor.type_in("5\n100\n30\n0\n\n40\n6\n7\n");
    monitor.expect("a window is a number from 1 to 32767");
    monitor.expect("flow control sent");
    monitor.expect("  all together         100");
    system.expect_report("one", "windows: 100 ring, 30 personal");
    // Anybody could have sent that.
    monitor.type_in("8\nall\n\n");
    monitor.expect("asked 3 daemons to end; daemons refuse that to a datagram");
    monitor.type_in("r\n");
    monitor.expect("asked for a reload; daemons refuse that to a datagram: use spmonitor reload");
    system.expect_report("three", "ring: 3 daemons");
    assert!(ask(&system, 2, &["terminate"]).contains("the daemon ends"));
    system.expect_report("one", "ring: 2 daemons");
    drop(system.daemons);
}

#[test]
fn without_leave_a_monitor_changes_nothing() {
    let system = System::start("harmless", false);
    system.expect_report("one", "ring: 3 daemons");
    let mut monitor = system.monitor();
    monitor.type_in("8\nall\n\n5\n7\n\n\n\n6\n");
    monitor.expect("flow control sent");
    system.expect_report("three", "windows: 512 ring, 128 personal");
    system.expect_report("three", "ring: 3 daemons");
}

#[test]
fn the_daemon_of_this_machine_shows_its_networks_and_paths() {
    let system = System::start("paths", false);
    system.expect_report("one", "ring: 3 daemons");
    let output = run(Command::new(SPMONITOR).args(["status", "-s", system.control(0)]), "");
    let status = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for expected in ["daemon\n", "name     one", "members   127.78.0.1,127.78.0.2,127.78.0.3", "network  link"] {
        assert!(status.contains(expected), "no {expected} in {status}");
    }
    let output = run(Command::new(SPMONITOR).args(["paths", "-s", system.control(0)]), "");
    let paths = text(&output.stdout);
    assert!(paths.starts_with("data\n  policy  active") && !paths.contains("members"), "{paths}");
    assert!(paths.contains("\nnetwork  link  switched  drill  priority  sent"), "{paths}");
    assert!(paths.lines().any(|line| line.starts_with("127.78.0.3") && line.contains("healthy")), "{paths}");
}

/// What a daemon answers to these words of its operator.
#[test]
fn programs_get_json_with_everything_that_is_counted() {
    let system = System::start("json", false);
    expect_line(&system, 0, "paths", &["127.78.0.3", "0", "healthy"]);
    let json = |words: &[&str]| -> serde_json::Value { serde_json::from_str(&ask(&system, 0, words)).unwrap() };
    let status = json(&["status", "--json"]);
    assert_eq!(status["daemon"].as_array().map_or(&status["daemon"]["name"], |list| &list[0]["name"]), "one");
    assert_eq!(status["network"].as_array().unwrap().len(), 2);
    assert_eq!(status["path"].as_array().unwrap().len(), 4);
    assert!(json(&["paths", "--json"]).get("ring").is_none());
    // Paths may be healthy before the first token has come.
    let has_tokens = |counters: &serde_json::Value| {
        let mut counters = counters["counter"].as_array().unwrap().iter();
        counters.any(|counter| counter["section"] == "ring" && counter["key"] == "tokens" && counter["value"] != 0)
    };
    let mut counters = json(&["counters", "--json"]);
    for _ in 0..400 {
        if has_tokens(&counters) {
            break;
        }
        counters = json(&["counters", "--json"]);
    }
    let value = |section: &str, key: &str, network: serde_json::Value| {
        let counters = counters["counter"].as_array().unwrap();
        let of = |counter: &&serde_json::Value| counter["section"] == section && counter["key"] == key;
        let found = counters.iter().filter(of).find(|counter| counter["network"] == network);
        found.and_then(|counter| counter["value"].as_u64()).unwrap_or_else(|| panic!("no {section} {key} {network}"))
    };
    assert!(value("ring", "tokens", serde_json::Value::Null) > 0);
    assert_eq!(value("gathers", "start", serde_json::Value::Null), 1);
    assert!(
        value("network", "received", 1.into()) > 0 && value("packets", "path_changes", serde_json::Value::Null) > 0
    );
}

#[test]
fn health_is_a_line_and_a_status_for_scripts() {
    let mut system = System::start("health", false);
    let await_health = |system: &System, status: i32, begin: &str| {
        for _ in 0..400 {
            let output = run(Command::new(SPMONITOR).args(["health", "-s", system.control(0)]), "");
            let line = text(&output.stdout).to_owned();
            if output.status.code() == Some(status) && line.starts_with(begin) {
                assert_eq!(line.lines().count(), 1, "{line}");
                return line;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("health never became {begin}");
    };
    await_health(&system, 0, "well: a ring of 3");
    system.daemons[0].handle().begin_drill(NetworkId(1));
    await_health(&system, 2, "degraded: a ring of 3; ");
    system.daemons[0].handle().end_drill(NetworkId(1));
    await_health(&system, 0, "well: a ring of 3");
    system.daemons.pop().unwrap().stop();
    // First it is only outside the ring.
    await_health(&system, 2, "degraded: a ring of 2; three (127.78.0.3) is not heard");
    let output = run(Command::new(SPMONITOR).args(["health", "-s", "/nowhere"]), "");
    assert_eq!(
        (output.status.code(), text(&output.stdout).contains("failed: the daemon does not answer: ")),
        (Some(3), true)
    );
}

#[test]
fn what_is_watched_is_shown_again() {
    let system = System::start("watch", false);
    let mut tool = Tool::start(Command::new(SPMONITOR).args(["status", "--watch", "1", "-s", system.control(0)]));
    tool.expect("operational");
    tool.expect("operational");
}

fn ask(system: &System, place: usize, words: &[&str]) -> String {
    let output = run(Command::new(SPMONITOR).args(words).args(["-s", system.control(place)]), "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    text(&output.stdout).to_owned()
}

/// Asks a daemon until one line of its answer has all these words.
fn expect_line(system: &System, place: usize, command: &str, words: &[&str]) {
    let has_all = |line: &str| words.iter().all(|word| line.split_whitespace().any(|other| other == *word));
    while !ask(system, place, &[command]).lines().any(has_all) {}
}

/// A client at a daemon, who is in a group with so many members.
fn member(system: &System, place: usize, group: Name, members: usize) -> Mailbox {
    let options = &system.options[place];
    let daemon = format!("{}@127.78.0.{}", options.client_port, place + 1);
    let mailbox = Mailbox::connect(&ConnectOptions { daemon, ..ConnectOptions::default() }).unwrap();
    mailbox.join(group).unwrap();
    await_view(&mailbox, members);
    mailbox
}

fn await_view(mailbox: &Mailbox, members: usize) {
    while !matches!(mailbox.receive().unwrap(), Received::View(view) if view.members.len() == members) {}
}

#[test]
fn a_network_is_switched_off_and_on_again_and_nothing_is_lost() {
    let system = System::start("network", false);
    system.expect_report("one", "ring: 3 daemons");
    let group = Name::new(b"switch").unwrap();
    let one = member(&system, 0, group, 1);
    let three = member(&system, 2, group, 2);
    await_view(&one, 2);
    let mut number = 0;
    let mut talk = || {
        for _ in 0..100 {
            number += 1;
            three.multicast(FrameType::AGREED, &[group], number, b"").unwrap();
            for mailbox in [&one, &three] {
                let received = mailbox.receive().unwrap();
                assert!(matches!(&received, Received::Message(it) if it.mess_type == number), "{received:?}");
            }
        }
    };
    for network in ["1", "0"] {
        talk();
        assert!(ask(&system, 2, &["network", network, "off"]).contains(&format!("network {network} is off")));
        talk();
        expect_line(&system, 2, "status", &[network, "up", "off"]);
        expect_line(&system, 0, "paths", &["127.78.0.3", network, "off"]);
        let other = if network == "1" { "0" } else { "1" };
        let last = format!("network {other} stays on: no other one is");
        crate::expect_failure(Command::new(SPMONITOR).args(["network", other, "off", "-s", system.control(2)]), &last);
        talk();
        assert!(ask(&system, 2, &["network", network, "on"]).contains(&format!("network {network} is on")));
        expect_line(&system, 0, "paths", &["127.78.0.3", network, "healthy"]);
    }
    talk();
}

#[test]
fn a_policy_is_chosen_while_the_daemon_runs() {
    let system = System::start("policy", false);
    let policies: [(&[&str], &str, &str); 4] = [
        (&["primary"], "primary", "-"),
        (&["passive"], "passive", "-"),
        (&["active", "1"], "active", "1"),
        (&["active"], "active", "-"),
    ];
    for (words, name, copies) in policies {
        let said = ask(&system, 0, &[&["policy"], words].concat());
        assert_eq!(said.trim_end(), format!("the policy is {}", words.join(" ")));
        let status = ask(&system, 0, &["status"]);
        assert!(status.contains(&format!("data\n  policy  {name}\n  copies  {copies}\n")), "{status}");
    }
    system.expect_report("one", "ring: 3 daemons");
}

#[test]
fn a_drill_is_a_failure_that_nobody_is_told_of() {
    let system = System::start("drill", false);
    system.expect_report("one", "ring: 3 daemons");
    for network in ["0", "1"] {
        assert!(ask(&system, 2, &["drill", network, "on"]).contains(&format!("the drill on network {network} is on")));
    }
    system.expect_report("one", "ring: 2 daemons");
    expect_line(&system, 2, "paths", &["1", "up", "on", "on"]);
    for network in ["0", "1"] {
        ask(&system, 2, &["drill", network, "off"]);
    }
    system.expect_report("one", "ring: 3 daemons");
}

#[test]
fn what_a_monitor_cannot_do_is_a_line_and_status_1() {
    let daemon = Daemon::start();
    let port = daemon.address.split('@').next().unwrap();
    crate::expect_failure(Command::new(SPMONITOR).args(["network", "7", "off", "-s", port]), "there is no network 7");
    crate::expect_failure(Command::new(SPMONITOR).args(["drill", "1", "on", "-s", port]), "there is no network 1");
    crate::expect_failure(Command::new(SPMONITOR).args(["network", "0", "off", "-s", port]), "network 0 stays on");
    let policies = format!("a policy is {}; a number of networks may follow active", Policy::WORDS.join(", "));
    for (words, says) in [
        (["policy", "active", "2"], "active takes a number of networks from 1 to 1"),
        (["policy", "primary", "1"], &policies),
    ] {
        crate::expect_failure(Command::new(SPMONITOR).args(words).args(["-s", port]), says);
    }
    crate::expect_failure(Command::new(SPMONITOR).args(["status", "-s", "/nowhere"]), "no daemon listens at /nowhere");
    crate::expect_failure(Command::new(SPMONITOR).args(["-c", "/nowhere"]), "/nowhere");
}

/// A probe of daemon 10.77.0.2, in ring 10.77.0.1/4.
const PROBE: &str =
    "5443050501000000 0a4d0002 00000000 00007030 000000000000beef 0000000000000011 0000000000000004 0a4d0001 00000000";

#[test]
fn a_captured_datagram_is_explained() {
    let words = "probe from 10.77.0.2 to all on network 1, counter 17, life 000000000000beef, system 00007030\n  ring 10.77.0.1/4\n";
    let output = run(Command::new(SPMONITOR).args(["decode", PROBE]), "");
    assert_eq!((text(&output.stdout), text(&output.stderr)), (words, ""));
    let output = run(Command::new(SPMONITOR).arg("decode"), &format!("{PROBE}\n{PROBE}\n"));
    assert_eq!(text(&output.stdout), words.repeat(2));
    // The first bytes are those of the frame that carried the datagram.
    let bytes: String = format!("45000030{PROBE}").split_whitespace().collect();
    let dump: Vec<String> = bytes
        .as_bytes()
        .chunks(32)
        .enumerate()
        .map(|(line, bytes)| format!("\t0x{:04x}:  {}\n", 16 * line, text(bytes)))
        .collect();
    let capture = format!("12:00:00 IP 10.77.0.2.4803 > 239.77.1.1.4803: UDP\n{}", dump.concat());
    let output = run(Command::new(SPMONITOR).arg("decode"), &capture.repeat(2));
    assert_eq!(text(&output.stdout), words.repeat(2));
    expect_failure(Command::new(SPMONITOR).args(["decode", "xy"]), "xy: expected an even number of hexadecimal digits");
}
