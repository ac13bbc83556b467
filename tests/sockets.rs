//! The places where programs of this machine look for the daemon: who may be taken for it there, and what else may be in its way.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

mod solo;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use solo::{Setup, eventually, free_port, is_root};
use spread::client::{ConnectError, ConnectOptions, Mailbox};

/// The user that an impostor is.
const NOBODY: u32 = 65534;

/// Where the impostor listens. A test of this name is the impostor's program.
const IMPOSTOR: &str = "TORC_TEST_IMPOSTOR";

/// Takes connections at a path, says something ugly to each, and prints what it hears.
#[test]
fn impostor() {
    let Ok(place) = std::env::var(IMPOSTOR) else { return };
    let listener = UnixListener::bind(&place).unwrap();
    fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).unwrap();
    for stream in listener.incoming() {
        let (mut stream, mut heard) = (stream.unwrap(), [0; 100]);
        let _ = stream.write_all(b"daemon name=\x1b[2Jevil\n");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        if let Ok(length @ 1..) = stream.read(&mut heard) {
            let _ = writeln!(io::stdout(), "heard {:?}", heard[..length].escape_ascii().to_string());
        }
    }
}

/// A program of another user at a socket's place. It ends with the test.
struct Impostor {
    process: Child,
    place: PathBuf,
}

impl Impostor {
    fn start(place: &Path) -> Option<Impostor> {
        if !is_root() || Command::new("setpriv").arg("--version").output().is_err() {
            let _ = writeln!(io::stderr(), "skipped: needs root and setpriv");
            return None;
        }
        let _ = fs::remove_file(place);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "impostor", "--nocapture"]).env(IMPOSTOR, place);
        let process = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        eventually(|| UnixStream::connect(place).ok());
        Some(Impostor { process, place: place.to_owned() })
    }

    /// What it heard of those who took it for the daemon.
    fn heard(mut self) -> String {
        let mut text = String::new();
        self.process.kill().unwrap();
        self.process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.place);
    }
}

fn connect(daemon: &str) -> Result<Mailbox, ConnectError> {
    let options = ConnectOptions { daemon: daemon.to_owned(), timeout: Some(solo::PATIENCE), ..Default::default() };
    Mailbox::connect(&options)
}

#[test]
fn the_library_tells_an_impostor_nothing() {
    let port = free_port();
    let Some(impostor) = Impostor::start(Path::new(&format!("/tmp/{port}"))) else { return };
    let error = connect(&port.to_string()).unwrap_err();
    assert_eq!(error, ConnectError::Untrusted(NOBODY));
    assert!(error.to_string().contains("SPREAD_TRUST_USER=65534"), "{error}");
    assert!(!impostor.heard().contains("heard"), "the client has said something");
}

#[test]
fn a_user_who_is_trusted_by_the_environment_may_be_the_daemon() {
    let port = free_port();
    let Some(_impostor) = Impostor::start(Path::new(&format!("/tmp/{port}"))) else { return };
    let spuser = |trusted: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spuser"));
        command.args(["-s", &port.to_string()]).env("SPREAD_TRUST_USER", trusted).stdin(Stdio::null());
        String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
    };
    assert!(spuser("65533").contains("user 65534 listens in the daemon's place"));
    for trusted in ["65534", "nobody"] {
        let said = spuser(trusted);
        assert!(said.contains("cannot connect") && !said.contains("listens in the daemon's place"), "{said}");
    }
}

#[test]
fn the_monitor_believes_no_impostor() {
    let port = free_port();
    let Some(impostor) = Impostor::start(Path::new(&format!("/tmp/{port}.control"))) else { return };
    let mut monitor = Command::new(env!("CARGO_BIN_EXE_spmonitor"));
    let output = monitor.args(["status", "-s", &port.to_string()]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && errors.contains("user 65534 listens"), "{errors}");
    assert!(!impostor.heard().contains("heard"), "the monitor has said something");
}

#[test]
fn the_monitor_prints_no_control_characters_of_a_daemon() {
    let setup = Setup::new("escape", "");
    let place = setup.directory.join("control");
    let listener = UnixListener::bind(&place).unwrap();
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"daemon name=\x1b[2Jevil clients=\x07\x9b\n").unwrap();
    });
    let mut monitor = Command::new(env!("CARGO_BIN_EXE_spmonitor"));
    let output = monitor.arg("status").arg("-s").arg(&place).output().unwrap();
    answer.join().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(text.iter().all(|&byte| byte == b'\n' || (byte >= 0x20 && byte != 0x7f)), "{text:?}");
}

#[test]
fn the_daemon_says_as_an_error_who_holds_its_name_and_clients_find_it_in_its_own_directory() {
    let runtime = Path::new("/tmp").join(format!("torc-run-{}", std::process::id()));
    let setup = Setup::new("impostor", &format!("RuntimeDir = {}", runtime.display()));
    let place = PathBuf::from(format!("/tmp/{}", setup.port));
    let Some(_impostor) = Impostor::start(&place) else { return };
    let mut daemon = setup.start();
    daemon.expect_well();
    daemon.expect_log(&["ERROR socket_taken", "user 65534 listens there", &place.display().to_string()]);
    let socket = runtime.join(daemon.port.to_string());
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(fs::metadata(&runtime).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(UnixStream::connect(&socket).is_ok());
    assert_eq!(daemon.stop().0.code(), Some(0));
    assert!(place.exists() && !socket.exists());
    fs::remove_dir(&runtime).unwrap();
}

#[test]
fn a_plain_file_in_the_sockets_place_is_named_and_kept() {
    let setup = Setup::new("plain", "");
    let place = PathBuf::from(format!("/tmp/{}", setup.port));
    fs::write(&place, "letters").unwrap();
    let mut daemon = setup.start();
    daemon.expect_well();
    daemon.expect_log(&["ERROR socket_failed", "there is a file that is not a socket: remove it"]);
    daemon.stop();
    assert_eq!(fs::read_to_string(&place).unwrap(), "letters");
    fs::remove_file(&place).unwrap();
}

#[test]
fn a_port_that_ended_connections_hold_is_waited_for() {
    let setup = Setup::new("held", "");
    let far = {
        // Another program's listener, which does not allow others the port, and ends first. So the connection stays half closed.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, setup.port)).into()).unwrap();
        socket.listen(1).unwrap();
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, setup.port)).unwrap();
        let listener = TcpListener::from(socket);
        drop(listener.accept().unwrap());
        far
    };
    assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, setup.port)).is_err(), "nothing holds the port");
    let daemon = setup.start();
    daemon.expect_log(&["WARN port_held", "as soon as the system frees it"]);
    daemon.expect_log(&["INFO started", "clients can connect, except to the addresses named above"]);
    // With a reset the other side is gone at once.
    socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    daemon.expect_log(&["clients_welcome"]);
    daemon.expect_well();
}

#[test]
fn a_port_that_somebody_serves_is_an_error() {
    let setup = Setup::new("served", "");
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, setup.port)).unwrap();
    let port = setup.port.to_string();
    setup.expect_refusal(&format!("TCP port {port} of 0.0.0.0 is in use: is another spread running?"));
}

/// A C program that connects, and prints the code.
const C: &str = r#"
#include <stdio.h>
#include <sp.h>
int main(int count, char **arguments) {
    mailbox box; char group[MAX_GROUP_NAME];
    printf("%d\n", SP_connect(arguments[count - 1], "x", 0, 0, &box, group));
    return 0;
}
"#;

#[test]
fn a_program_with_borrowed_rights_reads_no_variable() {
    if !is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        let _ = writeln!(io::stderr(), "skipped: needs root and setpriv");
        return;
    }
    let directory = Setup::new("setuid", "").directory;
    let (source, program, secret) = (directory.join("p.c"), directory.join("p"), directory.join("secret"));
    fs::write(&source, C).unwrap();
    fs::write(&secret, "topsecret words\n").unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let library = std::env::current_exe().unwrap().with_file_name("libspread.so");
    let _ = std::os::unix::fs::symlink(&library, directory.join("libspread.so.3"));
    let mut compile = Command::new("cc");
    compile.arg(&source).arg("-o").arg(&program).arg("-I").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"));
    compile.arg(directory.join("libspread.so.3")).arg(format!("-Wl,-rpath,{}", directory.display()));
    assert!(compile.status().unwrap().success());
    let run = |mode: u32| {
        fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg(free_port().to_string());
        let output = command.env("SPREAD_EMBEDDED", &secret).env("SPREAD_EXPLAIN", "1").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "-2\n", "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let ordinary = run(0o755);
    assert!(ordinary.contains("secret: cannot be read") && ordinary.contains("cannot connect to"), "{ordinary}");
    assert_eq!(run(0o4755), "", "a program of root has read a variable of its caller");
}
