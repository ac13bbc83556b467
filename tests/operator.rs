//! Who operates the daemon: the service manager, signals, the control socket, the user that it is, and what it says of the others.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod solo;

use std::fs;
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use solo::{PATIENCE, Setup, Solo, eventually, is_root};

/// How long an orderly end may take.
const END: Duration = Duration::from_millis(100);

fn spmonitor(daemon: &Solo, words: &[&str]) -> Output {
    let port = daemon.port.to_string();
    Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(words).args(["-s", &port]).output().unwrap()
}

/// Waits for a datagram with this word.
fn expect_word(socket: &UnixDatagram, word: &str) {
    let mut bytes = [0; 1024];
    loop {
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {word}: {error}"));
        if String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line.starts_with(word)) {
            return;
        }
    }
}

fn expect_words(socket: &UnixDatagram, setup: Setup) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut daemon = setup.env("WATCHDOG_USEC", "400000").start();
    expect_word(socket, "READY=1");
    daemon.expect_log(&["ready: the first ring is formed"]);
    expect_word(socket, "STATUS=1 daemons in the ring");
    (0..3).for_each(|_| expect_word(socket, "WATCHDOG=1"));
    daemon.signal("-HUP");
    expect_word(socket, "RELOADING=1");
    expect_word(socket, "READY=1");
    daemon.expect_well();
    daemon.signal("-TERM");
    expect_word(socket, "STOPPING=1");
    assert_eq!(daemon.end().code(), Some(0));
}

#[test]
fn the_service_manager_hears_that_the_ring_stands_that_the_loop_turns_and_that_it_ends() {
    let setup = Setup::new("notify", "");
    let place = setup.directory.join("notify");
    let socket = UnixDatagram::bind(&place).unwrap();
    expect_words(&socket, setup.env("NOTIFY_SOCKET", &place));
}

#[test]
fn a_service_manager_may_have_a_name_outside_the_file_system() {
    let setup = Setup::new("abstract", "");
    let name = format!("torc-notify-{}", setup.port);
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    expect_words(&socket, setup.env("NOTIFY_SOCKET", format!("@{name}")));
}

#[test]
fn a_service_manager_that_does_not_read_holds_up_nobody() {
    let setup = Setup::new("deaf", "");
    let place = setup.directory.join("notify");
    let _socket = UnixDatagram::bind(&place).unwrap();
    let mut daemon = setup.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "4").start();
    (0..300).for_each(|_| daemon.expect_well());
    assert_eq!(daemon.stop().0.code(), Some(0));
}

#[test]
fn an_orderly_end_takes_less_than_a_tenth_of_a_second_even_if_an_operator_does_not_go_on() {
    let mut daemon = Setup::new("quick", "").start();
    daemon.expect_well();
    let mut silent = UnixStream::connect(format!("/tmp/{}.control", daemon.port)).unwrap();
    silent.write_all(b"sta").unwrap();
    let (status, time) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    // Other tests may have the processors.
    assert!(time < 5 * END, "{time:?}");
}

#[test]
fn a_slow_operator_does_not_keep_the_others_out_for_long() {
    let daemon = Setup::new("slow-operator", "").start();
    daemon.expect_well();
    let mut slow = UnixStream::connect(format!("/tmp/{}.control", daemon.port)).unwrap();
    slow.write_all(b"s").unwrap();
    let status = eventually(|| Some(spmonitor(&daemon, &["status"])).filter(|output| output.status.success()));
    assert!(String::from_utf8_lossy(&status.stdout).contains("name     solo"));
}

#[test]
fn another_user_is_told_who_may_ask() {
    let daemon = Setup::new("other-user", "").start();
    daemon.expect_well();
    if !is_root() {
        return eprintln!("skipped: needs root to be another user");
    }
    let port = daemon.port.to_string();
    for words in [&["status"][..], &["reload"], &["terminate"]] {
        let mut spmonitor = Command::new(env!("CARGO_BIN_EXE_spmonitor"));
        let output = spmonitor.args(words).args(["-s", &port]).uid(65_534).gid(65_534).output().unwrap();
        let says = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{says}");
        assert!(says.contains("only the daemon's own user and root may ask it here"), "{says}");
    }
    daemon.expect_well();
}

#[test]
fn the_exit_status_says_whether_the_daemon_is_to_be_started_again() {
    for (words, status) in [(&["terminate"][..], 0), (&["terminate", "--restart"], 75)] {
        let mut daemon = Setup::new("terminate", "").start();
        daemon.expect_well();
        let output = spmonitor(&daemon, words);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(daemon.end().code(), Some(status));
        daemon.expect_log(&["operator_command", "command=terminate", "by=process "]);
    }
}

#[test]
fn a_reload_by_the_operator_and_by_signal_ends_nothing() {
    let daemon = Setup::new("reload", "").start();
    let client = daemon.connect();
    daemon.signal("-HUP");
    daemon.expect_log(&["reloaded"]);
    assert!(spmonitor(&daemon, &["reload"]).status.success());
    daemon.expect_log(&["operator_command", "command=reload"]);
    solo::expect_echo(&client);
}

#[test]
fn a_file_that_has_changed_counts_and_one_with_a_mistake_does_not() {
    let daemon = Setup::new("reload-file", "").start();
    let client = daemon.connect();
    let file = daemon.directory.join("spread.conf");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}SlowClient = block-senders\n")).unwrap();
    daemon.signal("-HUP");
    daemon.expect_log(&["setting_changed", "SlowClient was disconnect and is block-senders"]);
    daemon.expect_log(&["reloaded", "the configuration is read again"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    fs::write(&file, format!("{before}DaemonUser = other\nMetricsAddress = {address}\n")).unwrap();
    let told = spmonitor(&daemon, &["reload"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("the daemon has read its files again: MetricsAddress was not set and is "), "{told}");
    assert!(told.contains("; SlowClient was block-senders and is disconnect; "), "{told}");
    assert!(told.contains("only after a restart: DaemonUser was \"root\" and is \"other\""), "{told}");
    assert!(told.contains(&format!("; but MetricsAddress: port {} of 127.0.0.1 is in use", address.port())), "{told}");
    fs::write(&file, format!("{before}MaxSessions = many\n")).unwrap();
    let refused = spmonitor(&daemon, &["reload"]);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && says.contains("expected a number of 1 to 6 digits, found \"many\""), "{says}");
    fs::write(&file, before.replace("solo", "other")).unwrap();
    daemon.signal("-HUP");
    daemon.expect_log(&["reload_failed", "the file has no daemon solo, which this one is"]);
    fs::remove_file(&file).unwrap();
    assert!(String::from_utf8_lossy(&spmonitor(&daemon, &["reload"]).stderr).contains("cannot be read"));
    solo::expect_echo(&client);
}

/// Lets the daemon read its file again, which is refused; the reason.
fn refused_reload(daemon: &Solo) -> String {
    let output = spmonitor(daemon, &["reload"]);
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_reload_whose_log_or_key_file_cannot_be_opened_changes_nothing() {
    let daemon = Setup::new("reload-files", "").start();
    daemon.expect_well();
    let file = daemon.directory.join("spread.conf");
    let before = fs::read_to_string(&file).unwrap();
    for (line, reason) in [
        ("EventLogFile = /no/such/log", "EventLogFile /no/such/log: No such file"),
        ("KeyFile = /no/such/key", "key file /no/such/key: "),
    ] {
        fs::write(&file, format!("{before}MaxSessions = 7\n{line}\n")).unwrap();
        let says = refused_reload(&daemon);
        assert!(says.contains(reason), "{says}");
        // The next file is compared with the one before, so the refused one has not counted.
        fs::write(&file, &before).unwrap();
        let told = spmonitor(&daemon, &["reload"]);
        assert!(String::from_utf8_lossy(&told.stdout).contains("nothing has changed"), "{told:?}");
    }
    assert!(!daemon.log().contains("MaxSessions"), "{}", daemon.log());
}

#[test]
fn a_log_file_that_cannot_be_opened_again_stays_and_the_rest_of_the_file_counts() {
    let place = Path::new("/tmp").join(format!("torc-log-stays-{}", std::process::id()));
    let daemon = Setup::new("log-stays", &format!("EventLogFile = {}", place.display())).start();
    daemon.expect_well();
    let away = place.with_extension("old");
    fs::rename(&place, &away).unwrap();
    fs::create_dir(&place).unwrap();
    let file = daemon.directory.join("spread.conf");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}MaxSessions = 7\nEventTimeStamp = <%Y>\n")).unwrap();
    let told = spmonitor(&daemon, &["reload"]);
    fs::remove_dir(&place).unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("MaxSessions was 10000 and is 7") && told.contains("cannot be opened again: "), "{told}");
    let text = || fs::read_to_string(&away).unwrap();
    eventually(|| {
        text().lines().any(|line| line.starts_with("<20") && line.contains("log_not_reopened")).then_some(())
    });
    assert!(text().contains("setting_changed"), "{}", text());
    fs::remove_file(&away).unwrap();
}

/// A script that rotates logs, or a hasty operator, does not know how far the start is. And a file that is a pipe holds up nobody later.
#[test]
fn a_hangup_while_the_daemon_starts_does_not_end_it() {
    let setup = Setup::new("early-hangup", "");
    let file = setup.directory.join("spread.conf");
    let text = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let mut daemon = setup.start();
    // The daemon reads its file by now, and waits for its end.
    let mut pipe = fs::File::options().write(true).open(&file).unwrap();
    daemon.signal("-HUP");
    pipe.write_all(&text).unwrap();
    drop(pipe);
    daemon.expect_log(&["reload_failed", "it is a pipe or a device, and these cannot be read again"]);
    daemon.expect_well();
    let says = refused_reload(&daemon);
    assert!(says.contains("cannot be read again"), "{says}");
    assert_eq!(daemon.stop().0.code(), Some(0));
}

/// A field of a thread's status.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn root_becomes_the_user_of_the_configuration_in_every_thread_and_cleans_up_behind_itself() {
    if !is_root() {
        let _ = writeln!(io::stderr(), "skipped: needs root");
        return;
    }
    let runtime = Path::new("/tmp").join(format!("torc-runtime-{}", std::process::id()));
    let lines =
        format!("DaemonUser = nobody\nDaemonGroup = nogroup\nRuntimeDir = {}\nEventLogFile = {{}}", runtime.display());
    let log = Path::new("/tmp").join(format!("torc-log-{}", std::process::id()));
    let mut daemon = Setup::new("nobody", &lines.replace("{}", &log.display().to_string())).start();
    daemon.expect_well();
    let text = || fs::read_to_string(&log).unwrap_or_default();
    eventually(|| text().contains("root_given_up: root privileges are dropped for good account=nobody").then_some(()));
    let uid = field(&fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).unwrap(), "Uid:");
    assert_eq!(uid.split(' ').next(), Some("65534"));
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.process.id())).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for (name, value) in [
            ("Uid:", "65534 65534 65534 65534"),
            ("Gid:", "65534 65534 65534 65534"),
            ("Groups:", "65534"),
            ("NoNewPrivs:", "1"),
            ("CapEff:", "0000000000000000"),
            ("CapPrm:", "0000000000000000"),
        ] {
            assert_eq!(field(&status, name), value, "{name} {status}");
        }
    }
    let sockets: Vec<PathBuf> = vec![
        runtime.join(daemon.port.to_string()),
        runtime.join(format!("{}.control", daemon.port)),
        format!("/tmp/{}", daemon.port).into(),
    ];
    assert!(sockets.iter().all(|socket| socket.exists()), "{sockets:?}");
    // The file can be opened again though root made it.
    fs::rename(&log, log.with_extension("old")).unwrap();
    daemon.signal("-HUP");
    eventually(|| {
        text().contains("reloaded").then_some(()).or_else(|| {
            fs::read_to_string(log.with_extension("old")).unwrap().contains("cannot be opened again").then_some(())
        })
    });
    assert_eq!(daemon.stop().0.code(), Some(0));
    assert!(sockets.iter().all(|socket| !socket.exists()), "{sockets:?}");
    fs::remove_dir(&runtime).unwrap();
    [log.with_extension("old"), log].iter().for_each(|file| _ = fs::remove_file(file));
}

/// A daemon that gives up root says at its start that it could not read a file again, and not at the first reload.
#[test]
fn a_daemon_that_gives_up_root_does_not_start_if_its_user_cannot_read_its_files() {
    if !is_root() {
        let _ = writeln!(io::stderr(), "skipped: needs root");
        return;
    }
    // The user must be able to enter the working directory.
    let place = Path::new("/tmp").join(format!("torc-files-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let key = place.join("torc.key");
    spread::daemon::make_key_file(&key).unwrap();
    fs::write(place.join("spread.access_pword"), "").unwrap();
    fs::write(place.join("spread.access_ip"), "group g join *\n").unwrap();
    let mode = |file: &Path, mode| fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    let lines = "DaemonUser = nobody\nDaemonGroup = nogroup\n";
    let keyed = format!("{lines}KeyFile = {}", key.display());
    for (file, lines) in [
        (key.as_path(), keyed.as_str()),
        (Path::new("spread.access_pword"), &format!("{lines}RequiredAuthMethods = PWORD")),
        (Path::new("spread.access_ip"), lines),
    ] {
        let at = place.join(file);
        mode(&at, 0o600);
        let mut setup = Setup::new("unreadable", lines);
        setup.command.current_dir(&place);
        let says = format!(
            "its owner root keeps it from user nobody; a daemon that runs as this user needs 'chown root:nogroup {0}; chmod 640 {0}'",
            file.display()
        );
        fs::copy(setup.directory.join("spread.conf"), place.join("spread.conf")).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_spread")).arg("--check").current_dir(&place).output().unwrap();
        let complaint = String::from_utf8(checked.stderr).unwrap();
        assert!(checked.status.code() == Some(1) && complaint.contains(&says), "{complaint}");
        setup.expect_refusal(&says);
        std::os::unix::fs::chown(&at, None, Some(65_534)).unwrap();
        mode(&at, 0o640);
    }
    let mut setup = Setup::new("unreadable", &keyed);
    setup.command.current_dir(&place);
    let daemon = setup.start();
    daemon.expect_well();
    assert!(spmonitor(&daemon, &["rekey"]).status.success());
    mode(&key, 0o600);
    let says = refused_reload(&daemon);
    assert!(says.contains(&format!("chmod 640 {}", key.display())), "{says}");
    mode(&key, 0o640);
    // Rules for groups that cannot be read do not vanish: nothing changes.
    mode(&place.join("spread.access_ip"), 0o600);
    let says = refused_reload(&daemon);
    assert!(says.contains("chmod 640 spread.access_ip"), "{says}");
    fs::remove_dir_all(&place).unwrap();
}

/// Runs the check and the daemon on this file and in its directory. Neither likes it, and both say the same; gives that.
fn refused_by_check_and_start(setup: &Setup) -> String {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spread"));
        // A daemon that starts is ended, so that the test fails and does not wait.
        command.args(words).current_dir(&setup.directory).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let ended = solo::within_patience(|| process.try_wait().unwrap());
        let _ = process.kill();
        let errors = String::from_utf8(process.wait_with_output().unwrap().stderr).unwrap();
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{words:?}: {errors}");
        errors
    };
    let checked = run(&["-n", "solo", "--check"]);
    assert_eq!(run(&["-n", "solo", "--check", "--print"]), checked);
    assert_eq!(run(&["-n", "solo"]), checked);
    checked
}

#[test]
fn the_check_refuses_the_files_with_which_the_daemon_does_not_start() {
    for (test, file, text, lines, says) in [
        ("rules", "spread.access_ip", "10.1.2.3\ngroup\n", "", "line 2: expected a group's name"),
        ("passwords", "spread.access_pword", "alice\n", "RequiredAuthMethods = PWORD", "spread.access_pword: line 1: "),
        ("keys", "torc.key", "aes-256-gcm 00ff\n", "KeyFile = torc.key", "must have 64 hexadecimal digits"),
        ("no-keys", "other.key", "", "KeyFile = torc.key", "key file torc.key: it does not exist"),
    ] {
        let setup = Setup::new(&format!("check-{test}"), lines);
        let file = setup.directory.join(file);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let said = refused_by_check_and_start(&setup);
        assert!(said.contains(says), "{said}");
    }
}

/// The file is often checked on another machine, which has no keys of the daemons.
#[test]
fn a_key_file_that_is_missing_on_another_machine_is_a_warning_of_the_check() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere.conf");
    fs::write(&file, "Spread_Segment 192.0.2.255 { a 192.0.2.1 }\nKeyFile = /no/such/key\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_spread")).arg("--check").arg(&file).output().unwrap();
    let says = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && says.contains("warning: key file /no/such/key: it does not exist"), "{says}");
}

#[test]
fn root_without_another_user_is_a_warning_and_a_user_that_is_not_there_an_error() {
    if !is_root() {
        let _ = writeln!(io::stderr(), "skipped: needs root");
        return;
    }
    let daemon = Setup::new("root", "").start();
    daemon.expect_log(&["WARN running_as_root: ", "because DaemonUser is root"]);
    Setup::new("no-user", "DaemonUser = no-such-user").expect_refusal("there is no user no-such-user");
    Setup::new("no-group", "DaemonUser = nobody\nDaemonGroup = no-such-group").expect_refusal("no group no-such-group");
}

/// Two daemons of one ring.
fn pair(test: &str) -> [Solo; 2] {
    ring(test, [("alpha", ""), ("beta", "")])
}

/// Daemons of one ring, each with these lines in its file besides those of all.
fn ring<const N: usize>(test: &str, daemons: [(&str, &str); N]) -> [Solo; N] {
    let port = solo::free_port();
    let entry = |(number, (name, _)): (usize, &(&str, &str))| {
        let address = format!("127.88.0.{}", number + 1);
        format!("{name} {address} {{ D {address} C {address} }} ")
    };
    let entries: String = daemons.iter().enumerate().map(entry).collect();
    let segment = format!("Spread_Segment unicast:{port} {{ {entries} }}");
    let common = "Network 0 { Name = office }\nDaemonUser = root\nDaemonGroup = root\n";
    daemons.map(|(name, lines)| {
        let mut setup = Setup::new(&format!("{test}-{name}"), "");
        let file = setup.directory.join("pair.conf");
        // They share a port, so each has its own place for its sockets.
        let place = format!("RuntimeDir = {}\n", setup.directory.display());
        fs::write(&file, format!("{segment}\n{common}{place}{lines}")).unwrap();
        setup.port = port;
        let mut command = Command::new(env!("CARGO_BIN_EXE_spread"));
        command.arg("-c").arg(file).args(["-n", name]).env_remove("SPREAD_LOG");
        setup.command = command;
        setup.start()
    })
}

#[test]
fn a_member_that_is_lost_is_a_warning_with_its_name_and_one_that_stops_is_not() {
    let [alpha, mut beta] = pair("lost");
    alpha.expect_log(&["INFO member_joined: beta (127.88.0.2) is in the ring"]);
    beta.process.kill().unwrap();
    let lost = alpha.expect_log(&["WARN member_lost: beta (127.88.0.2) is lost: nothing came from it for "]);
    assert!(lost.contains(" daemon=beta (127.88.0.2) silent_ms=") && lost.contains(" networks=0"), "{lost}");
    let [alpha, mut beta] = pair("stopped");
    alpha.expect_log(&["member_joined: beta"]);
    beta.stop();
    alpha.expect_log(&["INFO member_stopped: beta (127.88.0.2) has stopped in order"]);
    alpha.expect_log(&["INFO path: beta (127.88.0.2)", "silent", "because it stopped"]);
    assert!(!alpha.log().contains("member_lost"), "a planned stop is no loss");
    assert!(!alpha.log().lines().any(|line| line.contains("WARN") && line.contains("beta")), "{}", alpha.log());
    alpha.expect_log(&["network=0 (office)"]);
}

/// The daemons whose files differ from that of this one, and what differs, as its status says.
fn differing(daemon: &Solo) -> Vec<String> {
    let socket = daemon.directory.join(format!("{}.control", daemon.port));
    let spmonitor = Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(["status", "--json", "-s"]).arg(socket).output();
    let status = spmonitor.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let word = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let records = status["differs"].as_array().cloned().unwrap_or_default();
    records.iter().map(|record| format!("{} {}", word(record, "daemon"), word(record, "in"))).collect()
}

#[test]
fn a_daemon_whose_policy_or_timers_differ_is_named_by_the_others_with_what_differs() {
    let [alpha, beta, gamma] =
        ring("differ", [("alpha", ""), ("beta", "NetworkPolicy = passive"), ("gamma", "TokenTimeout = 1100")]);
    let [of_beta, of_gamma] = [
        ["WARN other_settings: beta (127.88.0.2) uses other settings: the policy should be the same in both files"],
        ["WARN other_settings: gamma (127.88.0.3) uses other settings: TokenTimeout should be the same"],
    ];
    alpha.expect_log(&of_beta);
    alpha.expect_log(&of_gamma);
    gamma.expect_log(&["other_settings: beta (127.88.0.2)", "the policy and TokenTimeout"]);
    beta.expect_log(&["other_settings: alpha (127.88.0.1)", "the policy should be"]);
    assert_eq!(differing(&alpha), ["127.88.0.2 policy", "127.88.0.3 TokenTimeout"]);
    // The operator mends the files.
    for (daemon, lines) in [(&beta, "NetworkPolicy = passive"), (&gamma, "TokenTimeout = 1100")] {
        let file = daemon.directory.join("pair.conf");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.strip_suffix(lines).unwrap()).unwrap();
        daemon.signal("-HUP");
        daemon.expect_log(&[" reloaded: "]);
    }
    eventually(|| differing(&alpha).is_empty().then_some(()));
}

/// A daemon that is not in the same ring, because its file has other networks, is named with the first thing that differs.
#[test]
fn a_daemon_with_another_table_is_named_by_the_others_with_what_differs() {
    let [alpha, beta] = pair("other-table");
    alpha.expect_log(&["member_joined: beta"]);
    beta.signal("-KILL");
    let file = beta.directory.join("pair.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("alpha ", "alfa ")).unwrap();
    let mut again = Setup::new("other-table-again", "");
    again.command = Command::new(env!("CARGO_BIN_EXE_spread"));
    again.command.arg("-c").arg(file).args(["-n", "beta"]).env_remove("SPREAD_LOG");
    let again = again.start();
    let told = "has another configuration, so it is not heard: the daemons' names must be the same in both files";
    alpha.expect_log(&["WARN other_configuration: beta (127.88.0.2)", told]);
    again.expect_log(&["WARN other_configuration: alfa (127.88.0.1)", told]);
    eventually(|| (differing(&alpha) == ["127.88.0.2 names"]).then_some(()));
}

#[test]
fn who_finds_no_entry_of_its_own_is_told_which_addresses_were_compared() {
    let mut setup = Setup::new("no-entry", "");
    let file = setup.directory.join("far.conf");
    fs::write(&file, "Spread_Segment 192.0.2.255:4803 { far 192.0.2.7 }\nDaemonUser = root\n").unwrap();
    setup.command = Command::new(env!("CARGO_BIN_EXE_spread"));
    setup.command.arg("-c").arg(&file);
    setup.expect_refusal("say which to be with -n NAME (this machine has 127.0.0.1");
    let mut setup = Setup::new("no-entry-names", "");
    setup.command = Command::new(env!("CARGO_BIN_EXE_spread"));
    setup.command.arg("-c").arg(&file);
    setup.expect_refusal("the daemons are far 192.0.2.7)");
}
