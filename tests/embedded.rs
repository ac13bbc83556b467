//! Daemons inside C programs, linked with the built library: started by hand, and by a variable for a program that knows of none.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "a plain socket holds a port")]

#[expect(dead_code, reason = "shared with the tests of the C interface")]
mod c_programs;
mod process;
#[path = "network/rig.rs"]
#[expect(dead_code, reason = "shared with the tests of networks")]
mod rig;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::ptr;

use c_programs::{C, CXX, Library, ROOT};
use process::Process;
use rig::Rig;
use spread::counters::{Counter, Value};
use spread::daemon::Status;
use spread::ffi;
use spread::net::{Counters, LinkStatus};

/// The daemons one and two on loopback, on a port of their own.
struct Site {
    port: u16,
    configuration: String,
}

impl Site {
    fn new() -> Site {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = |name, host| format!("{name} 127.0.0.{host} {{ D 127.0.0.{host} C 127.0.0.{host} }}");
        let configuration =
            format!("Spread_Segment unicast:{port} {{\n{}\n{}\n}}\n", daemon("one", 1), daemon("two", 2));
        Site { port, configuration }
    }

    /// The configuration as a file.
    fn file(&self, library: &Library) -> PathBuf {
        let file = library.directory().join(format!("{}.conf", self.port));
        std::fs::write(&file, &self.configuration).unwrap();
        file
    }
}

fn source(program: &str) -> PathBuf {
    Path::new(ROOT).join("tests/c").join(program).with_extension("c")
}

#[test]
fn a_thousand_starts_and_stops_leave_no_descriptor_and_no_thread() {
    let (library, site) = (Library::prepare("embedded"), Site::new());
    library.run(&source("embedded"), &C[1], &[&site.configuration, &site.port.to_string(), "1000"]);
    assert!(!Path::new("/tmp").join(site.port.to_string()).exists(), "the last daemon's socket goes with the program");
}

#[test]
fn cxx_programs_have_daemons_too() {
    let (library, site) = (Library::prepare("embedded"), Site::new());
    library.run(&source("embedded"), &CXX[0], &[&site.configuration, &site.port.to_string(), "3"]);
}

/// C programs reach everything that any monitor shows of a daemon with one network.
#[test]
fn no_counter_is_unreachable_for_c() {
    let configuration = CString::new(Site::new().configuration).unwrap();
    let mut daemon = ptr::null_mut();
    // SAFETY: all of these are ours.
    assert_eq!(unsafe { ffi::torc_start(configuration.as_ptr(), c"one".as_ptr(), &mut daemon) }, ffi::TORC_OK);
    let mut counters: Vec<ffi::torc_counter> = Vec::with_capacity(1000);
    // Those of the network are told when the daemon has looked at it.
    while counters.last().is_none_or(|last| last.network < 0) {
        counters.clear();
        // SAFETY: there is room for a thousand, and the counters are as many as is said.
        unsafe {
            let count = usize::try_from(ffi::torc_counters(daemon, counters.as_mut_ptr(), 1000)).unwrap();
            counters.set_len(count.min(1000));
        }
    }
    // SAFETY: the names are texts that stay.
    let text = |name| unsafe { CStr::from_ptr(name) }.to_str().unwrap().to_owned();
    let found: BTreeSet<_> = counters.iter().map(|it| (text(it.section), text(it.key), it.kind)).collect();
    assert_eq!(found.len(), counters.len(), "each once");
    let mut all = BTreeSet::new();
    let links = vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }];
    Status { links, ..Status::default() }.visit(&mut |_, Counter { section, key, value, .. }| {
        let kind = match value {
            Value::Count(_) => ffi::TORC_COUNT,
            Value::Level(_) => ffi::TORC_LEVEL,
            Value::Times(_) => ffi::TORC_TIMES,
        };
        all.insert((section.to_owned(), key.to_owned(), kind));
    });
    assert_eq!(found, all);
    assert_eq!(ffi::torc_stop(daemon), ffi::TORC_OK);
}

/// Runs the program that knows of no daemon with this variable.
fn unmodified(library: &Library, variable: &str, daemon: &str) -> (Option<i32>, String, String) {
    let program = library.build(&source("unmodified"), &C[0]);
    let Output { status, stdout, stderr } =
        Command::new(program).arg(daemon).env("SPREAD_EMBEDDED", variable).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_variable_gives_an_unmodified_program_its_daemon() {
    let (library, site) = (Library::prepare("unmodified"), Site::new());
    let by_name = format!("{}#two", site.file(&library).display());
    let by_text = format!("{}#one", site.configuration);
    for (variable, host, name) in
        [(&by_name, "@127.0.0.2", "two"), (&by_text, "@localhost", "one"), (&by_text, "", "one")]
    {
        let (code, said, complaint) = unmodified(&library, variable, &format!("{}{host}", site.port));
        assert_eq!((code, said, complaint.as_str()), (Some(0), format!("#me#{name}: hello\n"), ""));
    }
}

#[test]
fn a_variable_that_gives_no_daemon_says_why() {
    let (library, site) = (Library::prepare("unmodified-fails"), Site::new());
    let port = site.port.to_string();
    let holder = UdpSocket::bind(("127.0.0.1", site.port)).unwrap();
    for (variable, complaint) in [
        ("/no/such/file".to_string(), "SPREAD_EMBEDDED: /no/such/file: cannot be read"),
        (format!("{}#three", site.configuration), "SPREAD_EMBEDDED: the configuration has no daemon \"three\""),
        (format!("{}#one", site.configuration), "is in use: is another spread running?\n"),
    ] {
        let (code, said, complaints) = unmodified(&library, &variable, &port);
        assert_eq!(code, Some(1));
        assert!(said.starts_with("SP_error: (-2) ") && complaints.contains(complaint), "{said}{complaints}");
    }
    drop(holder);
    for (variable, daemon) in [(String::new(), port.as_str()), (format!("{}#one", site.configuration), "1")] {
        let (code, _, complaints) = unmodified(&library, &variable, daemon);
        assert_eq!((code, complaints.as_str()), (Some(1), ""), "it was not asked for at this port");
    }
}

/// How many messages each member of the mixed ring sends.
const MESSAGES: usize = 2000;

#[test]
fn embedded_and_separate_daemons_are_one_ring() {
    let Some(rig) = Rig::up(3, 2) else { return };
    let names = ["alpha", "beta", "gamma"];
    let daemon = |node: usize| {
        let [first, second] = [0, 1].map(|network| Rig::address(network, node));
        format!("{} {first} {{ D {first} D {second} C 127.0.0.1 }}\n", names[node])
    };
    let daemons: String = (0..3).map(daemon).collect();
    let file = rig.directory().join("spread.conf");
    let text = format!("Spread_Segment 239.77.0.1 239.77.1.1 {{\n{daemons}}}\nDaemonUser = root\nDaemonGroup = root\n");
    std::fs::write(&file, text).unwrap();
    let mut separate = rig.command(0, Path::new(env!("CARGO_BIN_EXE_spread")));
    separate.arg("-c").arg(&file).args(["-n", names[0]]);
    let _separate = Process::start(separate, &rig.directory().join(names[0]));
    let program = Library::prepare("mixed").build(&source("ring"), &C[1]);
    let sequence = |node: usize| rig.directory().join(format!("sequence{node}"));
    let start = |node: usize| {
        let mut command = rig.command(node, &program);
        command.args(["4803", ["a", "b", "c"][node], "ring", "3", &MESSAGES.to_string(), "100", "1"]);
        if node > 0 {
            command.env("SPREAD_EMBEDDED", format!("{}#{}", file.display(), names[node]));
        }
        command.stdin(Stdio::null()).stdout(File::create(sequence(node)).unwrap()).spawn().unwrap()
    };
    let mut members: [Child; 3] = std::array::from_fn(start);
    for member in &mut members {
        assert!(member.wait().unwrap().success());
    }
    let sequences: [Vec<String>; 3] = std::array::from_fn(|node| numbered(&sequence(node)));
    assert_eq!(sequences[0].len(), 3 * MESSAGES);
    assert!(sequences[1] == sequences[0] && sequences[2] == sequences[0], "one order for all");
}

/// The numbered messages that a member got. A daemon goes with its program, so views may follow the last of them.
fn numbered(sequence: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(sequence).unwrap();
    let messages = text.lines().filter(|line| !line.starts_with('=') && !line.ends_with(" end"));
    messages.map(str::to_owned).collect()
}
