//! The daemon's log: it never stops the daemon, whatever becomes of its reader; nobody from outside can fill it; and it has what the
//! configuration and the operator want.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "strangers come from plain sockets, and waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod solo;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use solo::{Setup, Solo, eventually};
use spread::client::{ConnectOptions, Mailbox};
use spread::wire::{DaemonId, FrameType, MonitorCommand, MonitorRequest, Name};

/// A daemon whose log has more than any pipe holds.
fn talkative(test: &str) -> Setup {
    Setup::new(test, "").env("SPREAD_LOG", "trace")
}

/// Clients that are refused, each for a few lines of a log at debug.
fn knock(daemon: &Solo, count: usize) {
    for _ in 0..count {
        let mut stream = daemon.raw();
        stream.write_all(&[4, 4, 0, 1, 3, b'a', b'#', b'b']).unwrap();
        // The daemon has served it when this ends.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// It serves clients while it logs more than a pipe holds, and it ends when it is told to.
fn expect_service_and_end(daemon: &mut Solo) {
    daemon.expect_well();
    knock(daemon, 1000);
    daemon.expect_well();
    let (status, time) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[test]
fn a_full_disk_stops_neither_the_daemon_nor_its_end() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    expect_service_and_end(&mut talkative("full").start_into(full));
}

#[test]
fn a_closed_pipe_stops_neither_the_daemon_nor_its_end() {
    let (reader, writer) = io::pipe().unwrap();
    let mut daemon = talkative("closed").start_into(OwnedFd::from(writer));
    daemon.expect_well();
    drop(reader);
    expect_service_and_end(&mut daemon);
}

#[test]
fn a_pipe_that_nobody_reads_stops_neither_the_daemon_nor_its_end() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut daemon = talkative("unread").start_into(OwnedFd::from(writer));
    expect_service_and_end(&mut daemon);
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    assert!(text.len() > 60_000, "the pipe was not full: {}", text.len());
}

#[test]
fn a_named_pipe_that_nobody_reads_is_an_error_at_start_and_harmless_later() {
    let pipe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("solo").join("fifo").join("pipe");
    let setup = || {
        let setup = Setup::new("fifo", &format!("EventLogFile = \"{}\"", pipe.display())).env("SPREAD_LOG", "trace");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        setup
    };
    setup().expect_refusal("nobody reads this pipe");
    let setup = setup();
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut daemon = setup.start();
    daemon.expect_well();
    knock(&daemon, 1000);
    drop(reader);
    daemon.signal("-HUP");
    expect_service_and_end(&mut daemon);
}

#[test]
fn lines_that_were_lost_are_counted_in_the_log() {
    let (mut reader, writer) = io::pipe().unwrap();
    let daemon = talkative("lost").start_into(OwnedFd::from(writer));
    daemon.expect_well();
    // The queue holds a megabyte, and the pipe less.
    knock(&daemon, 10_000);
    let (mut text, mut bytes) = (String::new(), vec![0; 1 << 16]);
    while !text.contains(" lines of the log are lost: ") {
        let length = reader.read(&mut bytes).unwrap();
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        assert!(text.len() < 1 << 22, "nothing was lost");
        knock(&daemon, 1);
    }
}

#[test]
fn a_client_that_breaks_the_protocol_does_not_fill_the_log() {
    let daemon = Setup::new("violations", "").start();
    daemon.expect_well();
    for _ in 0..1000 {
        let mut stream = daemon.raw();
        // An old library, which does without authentication, and then a frame of noise.
        stream.write_all(&[[3, 15, 0, 0, 0].as_slice(), &[0x55; 48]].concat()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    daemon.expect_well();
    // A hundred lines of a kind that names no source, and few of the one that does.
    assert!(daemon.log().len() < 20_000, "{} bytes", daemon.log().len());
    daemon.expect_log(&["suppressed", "more like this", "127.0.0.1"]);
}

#[test]
fn who_is_not_let_in_is_logged_with_the_reason_and_does_not_fill_the_log() {
    let daemon = Setup::new("refused", "MaxSessions = 1").start();
    let _first = daemon.connect();
    let options = ConnectOptions { daemon: format!("{}@127.0.0.1", daemon.port), ..Default::default() };
    (0..100).for_each(|_| assert!(Mailbox::connect(&options).is_err()));
    daemon.expect_log(&["WARN client_refused: ", "from=solo (127.0.0.1):", "reason=too many sessions"]);
    assert!(daemon.log().matches("client_refused").count() < 20, "{}", daemon.log());
}

#[test]
fn who_opens_connections_and_says_nothing_is_named_and_does_not_fill_the_log() {
    let daemon = Setup::new("evicted", "MaxSessions = 40").start();
    daemon.expect_well();
    let _silent: Vec<_> = (0..40).map(|_| daemon.raw()).collect();
    // Clients of another source take the places of those that say nothing.
    let place = format!("/tmp/{}", daemon.port);
    let _others: Vec<_> = (0..15).map(|_| UnixStream::connect(&place).unwrap()).collect();
    daemon.expect_log(&["WARN session_ended: ", "evicted during the handshake", "from=solo (127.0.0.1)"]);
    daemon.expect_log(&["suppressed", "like=session_ended", "127.0.0.1"]);
    assert!(daemon.log().matches("session_ended: ").count() <= 6, "{}", daemon.log());
}

#[test]
fn refused_monitors_do_not_fill_the_log_and_stop_nobody() {
    let daemon = Setup::new("monitors", "DangerousMonitor = true").start();
    daemon.expect_well();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let command = |request| {
        let (from, configuration) = (DaemonId(0x7f00_0001), MonitorCommand::ANY_CONFIGURATION);
        MonitorCommand { from, reply_port: 9, configuration, request }.encode()
    };
    let stop = command(MonitorRequest::Partition(vec![MonitorCommand::TERMINATE]));
    let reload = command(MonitorRequest::Reload);
    for _ in 0..20 {
        for _ in 0..500 {
            for datagram in [&stop, &reload] {
                sender.send_to(datagram, (Ipv4Addr::LOCALHOST, daemon.port)).unwrap();
            }
        }
        daemon.expect_well();
    }
    daemon.expect_log(&[
        "monitor_refused",
        "wants this daemon to stop",
        "source=solo (127.0.0.1) claims=solo (127.0.0.1)",
    ]);
    assert!(daemon.log().len() < 10_000, "{} bytes", daemon.log().len());
    daemon.expect_log(&["suppressed", "more like this"]);
}

#[test]
fn what_a_rule_for_groups_refuses_is_logged() {
    let mut setup = Setup::new("rules", "");
    // The daemon looks for its access file in its working directory first.
    fs::write(setup.directory.join("spread.access_ip"), "group pay send nobody\ngroup pay join nobody\n").unwrap();
    setup.command.current_dir(&setup.directory);
    let daemon = setup.start();
    let client = daemon.connect();
    let pay = Name::new(b"pay").unwrap();
    client.join(pay).unwrap();
    (0..20).for_each(|_| client.multicast(FrameType::AGREED, &[pay], 0, b"pay me").unwrap());
    daemon.expect_log(&["WARN rule_refused: ", "from=", "action=join group=pay"]);
    daemon.expect_log(&["WARN rule_refused: ", "from=", "action=send group=pay"]);
    daemon.expect_well();
    // Five at once, and perhaps one more on a slow machine.
    assert!(daemon.log().matches("WARN rule_refused: ").count() <= 6, "{}", daemon.log());
}

#[test]
fn control_characters_of_strangers_are_escaped() {
    let daemon = Setup::new("control", "").env("SPREAD_LOG", "debug").start();
    daemon.expect_well();
    for name in ["a\x1b[2Jb", "a\nb", "\u{9b}31m"] {
        let mut stream = daemon.raw();
        stream.write_all(&[&[4, 4, 0, 1, name.len() as u8], name.as_bytes()].concat()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    daemon.expect_well();
    daemon.expect_log(&["the connection of a client is closed"]);
    assert!(daemon.log().chars().all(|c| c == '\n' || !c.is_control()), "{:?}", daemon.log());
}

#[test]
fn levels_that_mean_nothing_are_refused() {
    for wrong in ["verbose", "info,verbose", "ring=debug", "spread::ring=loud"] {
        Setup::new("wrong-levels", "").env("SPREAD_LOG", wrong).expect_refusal("SPREAD_LOG: ");
    }
    Setup::new("wrong-format", "").env("SPREAD_LOG_FORMAT", "xml").expect_refusal("write text or json");
    Setup::new("no-folder", "EventLogFile = /no/such/folder/log").expect_refusal("/no/such/folder/log");
}

#[test]
fn a_log_folder_that_is_not_there_is_found_by_the_check() {
    let setup = Setup::new("check", "EventLogFile = /no/such/folder/log");
    let file = setup.directory.join("spread.conf");
    let file = file.to_str().unwrap();
    for words in [&["--check", file][..], &["-c", file, "--check"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_spread")).args(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("warning: the folder /no/such/folder of EventLogFile is not there"), "{text}");
    }
}

#[test]
fn the_file_has_the_host_name_the_stamp_and_the_priority_of_the_configuration() {
    let file = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join("solo").join("file").join(name);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let lines = format!(
        "EventLogFile = \"{}\"\nEventPriority = WARNING\nEventTimeStamp = \"[%Y-%m-%d %H:%M:%S]\"\nEventPreciseTimeStamp",
        file("log_%h").display()
    );
    let mut daemon = Setup::new("file", &lines).start();
    daemon.expect_well();
    daemon.stop();
    let text = fs::read_to_string(file(&format!("log_{}", host.trim()))).unwrap();
    assert!(text.contains("WARN not_sealed: ") && !text.contains("INFO"), "{text}");
    for line in text.lines() {
        let (stamp, rest) = line[1..].split_once("] ").unwrap();
        let digits: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(digits, "0000-00-00 00:00:00.000000", "{line}");
        assert!(rest.trim_start().starts_with("WARN ") || rest.trim_start().starts_with("ERROR "), "{line}");
    }
    assert_eq!(daemon.log(), "", "nothing goes to standard output");
}

#[test]
fn a_file_that_was_renamed_is_opened_again_at_the_signal_and_the_daemon_goes_on() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("solo").join("renamed").join("events");
    let mut daemon = Setup::new("renamed", &format!("EventLogFile = \"{}\"", file.display())).start();
    let client = daemon.connect();
    fs::rename(&file, file.with_extension("old")).unwrap();
    daemon.signal("-HUP");
    eventually(|| fs::read_to_string(&file).ok().filter(|text| text.contains("reloaded")));
    solo::expect_echo(&client);
    daemon.stop();
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    assert!(read(&file.with_extension("old")).contains("starting") && read(&file).contains("ended"));
}

#[test]
fn every_line_for_programs_is_an_object() {
    let mut daemon = Setup::new("json", "EventLogFormat = json").env("SPREAD_LOG", "debug").start();
    daemon.expect_well();
    daemon.stop();
    let log = daemon.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for field in ["time", "level", "event", "part", "message"] {
        assert!(lines.iter().all(|line| line[field].is_string()), "{field}");
    }
    let ring = lines.iter().find(|line| line["event"] == "ring_installed").unwrap();
    assert_eq!((&ring["daemons"], &ring["members"]), (&1.into(), &"[solo (127.0.0.1)]".into()));
}

#[test]
fn the_journal_gets_the_priority_of_each_line_and_no_time() {
    let setup = Setup::new("journal", "EventTimeStamp");
    let file = File::create(setup.directory.join("log")).unwrap();
    let metadata = file.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut daemon = setup.env("JOURNAL_STREAM", stream).start_into(file);
    daemon.expect_well();
    daemon.stop();
    let log = daemon.log();
    assert!(log.lines().all(|line| line.starts_with("<6> INFO") || line.starts_with("<4> WARN")), "{log}");
    assert!(log.contains("<4> WARN not_sealed: "), "{log}");
}

#[test]
fn an_operator_changes_the_levels_while_the_daemon_runs_and_the_log_says_who() {
    let daemon = Setup::new("levels", "").start();
    daemon.expect_well();
    let order = |words: &[&str]| {
        let port = daemon.port.to_string();
        Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(words).args(["-s", &port]).output().unwrap()
    };
    assert!(!daemon.log().contains("DEBUG"));
    let wrong = order(&["log", "verbose"]);
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("\"verbose\" is no level") && wrong.status.code() == Some(1)
    );
    assert!(order(&["log", "spread::daemon=debug,info"]).status.success());
    daemon.expect_well();
    daemon.expect_log(&["DEBUG", "client gone"]);
    assert!(order(&["log", "error"]).status.success());
    let before = daemon.log().len();
    daemon.expect_well();
    assert_eq!(daemon.log().len(), before);
    daemon.expect_log(&["INFO operator_command", "command=log spread::daemon=debug,info", "by=process ", " of user "]);
    daemon.expect_log(&["WARN operator_refused", "command=log verbose", "is no level"]);
}

#[test]
fn flags_name_the_parts_that_log_for_who_searches_a_fault() {
    let mut daemon = Setup::new("flags", "EventPriority = pDEBUG\nDebugFlags = { ALL !SESSION }").start();
    daemon.expect_well();
    knock(&daemon, 10);
    daemon.expect_well();
    daemon.stop();
    let log = daemon.log();
    assert!(log.contains("DEBUG spread::") && !log.contains("DEBUG spread::daemon"), "{log}");
}

#[test]
fn a_reload_moves_the_log_and_changes_its_look_and_its_lines() {
    let setup = Setup::new("moved", "");
    let (file, other) = (setup.directory.join("spread.conf"), setup.directory.join("other"));
    let daemon = setup.start();
    daemon.expect_well();
    let lines = format!("EventLogFile = \"{}\"\nEventLogFormat = json\nDebugFlags = {{ SESSION }}\n", other.display());
    fs::write(&file, fs::read_to_string(&file).unwrap() + &lines).unwrap();
    daemon.signal("-HUP");
    let text = || fs::read_to_string(&other).unwrap_or_default();
    eventually(|| text().contains("\"event\":\"reloaded\"").then_some(()));
    knock(&daemon, 1);
    eventually(|| text().contains("\"level\":\"debug\"").then_some(()));
    daemon.expect_well();
}
