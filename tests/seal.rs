//! Real daemons on loopback that seal their packets: with the same key they form a ring, keys change under way, with another key they do
//! not hear each other and say why, and a key file that is of no use keeps a daemon from starting.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use spread::config::Settings;
use spread::daemon::{Options, Running, make_key_file, read_key_file, spawn};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two daemons on loopback addresses of their own, each with its copy of the key file.
struct Pair {
    settings: Settings,
    files: [PathBuf; 2],
    running: Vec<Running>,
}

impl Pair {
    fn new(test: &str, net: u8) -> Pair {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let daemon = |name, host| format!("{name} 127.0.{net}.{host} {{ D 127.0.{net}.{host} C 127.0.{net}.{host} }}");
        let text = format!("Spread_Segment unicast:{port} {{ {} {} }}", daemon("one", 1), daemon("two", 2));
        let settings = Settings::parse("pair", text.as_bytes()).unwrap();
        let directory = directory(test);
        let files = ["one.key", "two.key"].map(|name| directory.join(name));
        make_key_file(&files[0]).unwrap();
        write_key(&files[1], &fs::read_to_string(&files[0]).unwrap());
        Pair { settings, files, running: Vec::new() }
    }

    fn start(&mut self) {
        for (daemon, file) in self.settings.table.daemons.iter().zip(&self.files) {
            let mut settings = self.settings.clone();
            settings.live.key_file = Some(file.display().to_string());
            let mut options = Options::from_settings(&settings, daemon);
            (options.unix_sockets, options.control_sockets) = (Vec::new(), Vec::new());
            options.read_files().unwrap();
            self.running.push(spawn(options).unwrap());
        }
    }

    fn is_whole(&self) -> bool {
        let members = |running: &Running| running.handle().status().configuration.map(|ring| ring.members.len());
        self.running.iter().all(|running| members(running) == Some(2))
    }

    fn gathers(&self) -> Vec<u64> {
        self.running.iter().map(|running| running.handle().status().ring.gathers).collect()
    }
}

#[test]
fn daemons_with_one_key_form_a_ring_and_change_the_key_without_a_gather() {
    let mut pair = Pair::new("rotation", 81);
    pair.start();
    eventually("a ring of two", || pair.is_whole());
    let old = read_key_file(&pair.files[0]).unwrap().ids().next().unwrap();
    assert!(pair.running.iter().all(|running| running.handle().status().key == Some(old)));
    let gathers = pair.gathers();
    let fresh = directory("rotation").join("fresh.key");
    let new = make_key_file(&fresh).unwrap();
    for (running, file) in pair.running.iter().zip(&pair.files) {
        let both = fs::read_to_string(file).unwrap() + &fs::read_to_string(&fresh).unwrap();
        write_key(file, &both);
        running.handle().rekey();
    }
    let uses = |running: &Running| running.handle().status().key == Some(new.id());
    eventually("the new key at both", || pair.running.iter().all(uses));
    for (running, file) in pair.running.iter().zip(&pair.files) {
        write_key(file, &fs::read_to_string(&fresh).unwrap());
        running.handle().rekey();
        let status = running.handle().status_after_requests(PATIENCE);
        assert_eq!((status.keys, status.key_error), (vec![new.id()], None));
    }
    assert!(pair.is_whole() && pair.gathers() == gathers, "nothing was gathered anew");
    assert!(pair.running.iter().all(|running| running.handle().status().packets.not_opened == 0));
    fs::set_permissions(&pair.files[0], fs::Permissions::from_mode(0o644)).unwrap();
    pair.running[0].handle().rekey();
    let error = pair.running[0].handle().status_after_requests(PATIENCE).key_error.unwrap();
    assert!(error.contains("others can read"), "{error}");
    assert!(pair.is_whole());
}

#[test]
fn a_reload_reads_the_key_file_again_and_takes_another_one_but_no_daemon_begins_or_ends_to_seal() {
    let mut pair = Pair::new("reload", 84);
    pair.start();
    eventually("a ring of two", || pair.is_whole());
    let gathers = pair.gathers();
    let (old, fresh) = (fs::read_to_string(&pair.files[0]).unwrap(), directory("reload").join("fresh.key"));
    let new = make_key_file(&fresh).unwrap();
    let both = old + &fs::read_to_string(&fresh).unwrap();
    let with = |file: Option<&PathBuf>| {
        let mut settings = pair.settings.clone();
        settings.live.key_file = file.map(|file| file.display().to_string());
        settings
    };
    write_key(&pair.files[0], &both);
    let changes = pair.running[0].handle().reload(with(Some(&pair.files[0]))).unwrap();
    assert_eq!(changes.to_string(), "nothing has changed");
    let other = directory("reload").join("other.key");
    write_key(&other, &both);
    let changes = pair.running[1].handle().reload(with(Some(&other))).unwrap();
    assert_eq!((changes.now.len(), changes.at_restart.len()), (1, 0), "{changes}");
    let uses = |running: &Running| running.handle().status().key == Some(new.id());
    eventually("the new key at both", || pair.running.iter().all(uses));
    fs::set_permissions(&other, fs::Permissions::from_mode(0o604)).unwrap();
    let error = pair.running[1].handle().reload(with(Some(&other))).unwrap_err().to_string();
    assert!(error.contains("others can read") && error.contains("chmod 600"), "{error}");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let changes = pair.running[1].handle().reload(with(None)).unwrap().to_string();
    assert!(changes.starts_with("only after a restart: KeyFile was \""), "{changes}");
    assert!(pair.is_whole() && uses(&pair.running[1]) && pair.gathers() == gathers);
    pair.running[1].handle().rekey();
    assert_eq!(pair.running[1].handle().status_after_requests(PATIENCE).key_error, None, "the file is still known");
}

#[test]
fn a_daemon_whose_settings_name_a_key_file_never_starts_without_its_keys() {
    let pair = Pair::new("unread", 85);
    let mut settings = pair.settings.clone();
    settings.live.key_file = Some(pair.files[0].display().to_string());
    let mut options = Options::from_settings(&settings, &settings.table.daemons[0]);
    (options.unix_sockets, options.control_sockets) = (Vec::new(), Vec::new());
    let error = spawn(options).unwrap_err().to_string();
    assert!(error.contains("its keys were not read"), "{error}");
}

#[test]
fn daemons_with_different_keys_do_not_hear_each_other() {
    let mut pair = Pair::new("different", 82);
    fs::remove_file(&pair.files[1]).unwrap();
    make_key_file(&pair.files[1]).unwrap();
    pair.start();
    let refused = |running: &Running| running.handle().status().packets.not_opened > 20;
    eventually("packets that do not open", || pair.running.iter().all(refused));
    for running in &pair.running {
        let status = running.handle().status();
        assert_eq!((status.packets.first, status.configuration.unwrap().members.len()), (0, 1));
        assert!(status.paths.iter().all(|path| path.heard == 0));
    }
}

#[test]
fn a_datagram_from_an_address_that_no_daemon_has_is_dropped_and_counted() {
    let pair = Pair::new("foreign", 83);
    let daemon = &pair.settings.table.daemons[0];
    let mut options = Options::from_settings(&pair.settings, daemon);
    (options.unix_sockets, options.control_sockets) = (Vec::new(), Vec::new());
    let to = pair.settings.table.traffic_address(daemon, spread::wire::NetworkId(0)).unwrap();
    let running = spawn(options).unwrap();
    let stranger = UdpSocket::bind("127.0.83.9:0").unwrap();
    let member = UdpSocket::bind("127.0.83.2:0").unwrap();
    eventually("drops by reason", || {
        stranger.send_to(b"junk", to).unwrap();
        member.send_to(b"junk", to).unwrap();
        let packets = running.handle().status().packets;
        packets.foreign_source > 0 && packets.malformed > 0
    });
}

#[test]
fn a_key_is_made_once_and_a_key_file_of_no_use_keeps_the_daemon_from_starting() {
    let directory = directory("start");
    let (file, conf) = (directory.join("made.key"), directory.join("spread.conf"));
    fs::write(&conf, "Spread_Segment 127.0.0.1:4803 { solo 127.0.0.1 }\n").unwrap();
    let made = spread(&["--make-key".as_ref(), file.as_os_str()]);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    let again = spread(&["--make-key".as_ref(), file.as_os_str()]);
    assert!(!again.status.success() && errors(&again).contains("it exists and is left as it is"), "{again:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let (open, short, missing) = (directory.join("open"), directory.join("short"), directory.join("missing"));
    write_key(&open, &String::from_utf8(before).unwrap());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    write_key(&short, "aes-256-gcm 00ff\n");
    for (file, says) in [
        (&open, format!("others can read or change it (mode 644); do 'chmod 600 {}'", open.display())),
        (&short, "the key of line 1 must have 64 hexadecimal digits".to_string()),
        (&missing, format!("make it with 'spread --make-key {}'", missing.display())),
    ] {
        let arguments = ["-c".as_ref(), conf.as_os_str(), "-n".as_ref(), "solo".as_ref(), "--key-file".as_ref()];
        let refused = spread(&[&arguments[..], &[file.as_os_str()]].concat());
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(errors(&refused).contains(&says) && errors(&refused).lines().count() == 1, "{}", errors(&refused));
    }
}

fn spread(arguments: &[&std::ffi::OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spread")).args(arguments).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write_key(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A directory for this test and this run alone.
fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seal").join(std::process::id().to_string()).join(test);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "no {what}");
        sleep(Duration::from_millis(20));
    }
}
