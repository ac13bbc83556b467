//! The monitor at daemons on loopback: by the classic protocol, and by the control socket.

use std::path::{Path, PathBuf};
use std::process::Command;

use spread::daemon::config::Configuration;
use spread::daemon::{Options, Running, StartError, spawn};

use crate::{Daemon, SPMONITOR, Tool, free_port, run, text};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Three daemons, and the file that they and their monitors read.
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
            let host = format!("127.78.0.{}", index + 1);
            format!("{name} {host} {{ D {host} C {host} }}\n")
        };
        let daemons: String = NAMES.iter().enumerate().map(daemon).collect();
        let text = format!("Spread_Segment unicast:{port} {{\n{daemons}}}\nDangerousMonitor = {dangerous}\n");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(test);
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("spread.conf");
        std::fs::write(&file, &text).unwrap();
        let configuration = Configuration::parse("monitor", text.as_bytes()).unwrap();
        let options = configuration.daemons.iter().map(|daemon| {
            let mut options = Options::from_configuration(&configuration, daemon);
            options.control_socket = Some(directory.join(&daemon.name));
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
        self.options[place].control_socket.as_ref().unwrap().to_str().unwrap()
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
fn windows_change_and_a_daemon_ends_where_that_is_allowed() {
    let system = System::start("dangerous", true);
    let mut monitor = system.monitor();
    monitor.type_in("5\n100\n30\n0\n\n40\n6\n7\n");
    monitor.expect("a window is a number from 1 to 32767");
    monitor.expect("flow control sent");
    monitor.expect("  all together         100");
    system.expect_report("one", "windows: 100 ring, 30 personal");
    monitor.type_in("8\nthree\n\n");
    monitor.expect("terminate sent to 1 daemons");
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
    for expected in ["daemon\n", "name     one", "members  127.78.0.1,127.78.0.2,127.78.0.3", "network  link"] {
        assert!(status.contains(expected), "no {expected} in {status}");
    }
    let output = run(Command::new(SPMONITOR).args(["paths", "-s", system.control(0)]), "");
    let paths = text(&output.stdout);
    assert!(paths.starts_with("network  link") && !paths.contains("members"), "{paths}");
    assert!(paths.lines().any(|line| line.starts_with("127.78.0.3") && line.contains("healthy")), "{paths}");
}

#[test]
fn a_network_is_switched_off_and_on_again() {
    let system = System::start("network", false);
    system.expect_report("one", "ring: 3 daemons");
    let switch = |words: &[&str], says: &str| {
        let output = run(Command::new(SPMONITOR).args(words).args(["-s", system.control(2)]), "");
        assert!(text(&output.stdout).contains(says), "{output:?}");
    };
    switch(&["network", "0", "off"], "network 0 is off");
    system.expect_report("one", "ring: 2 daemons");
    switch(&["paths"], "off");
    switch(&["network", "0", "on"], "network 0 is on");
    system.expect_report("one", "ring: 3 daemons");
}

#[test]
fn what_a_monitor_cannot_do_is_a_line_and_status_1() {
    let daemon = Daemon::start();
    let port = daemon.address.split('@').next().unwrap();
    crate::expect_failure(Command::new(SPMONITOR).args(["network", "7", "off", "-s", port]), "there is no network 7");
    crate::expect_failure(Command::new(SPMONITOR).args(["status", "-s", "/nowhere"]), "no daemon listens at /nowhere");
    crate::expect_failure(Command::new(SPMONITOR).args(["-c", "/nowhere"]), "/nowhere");
}
