//! One daemon on loopback, named solo, that a test starts in its own way: with other lines in its file, another standard output,
//! another environment, another user.

#![expect(dead_code, reason = "each test file uses a part")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::wire::{FrameType, Name};

/// The longest that a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon to be started.
pub struct Setup {
    /// A directory for this test alone.
    pub directory: PathBuf,
    /// The daemon's port for clients and for daemons.
    pub port: u16,
    /// How it is started.
    pub command: Command,
}

impl Setup {
    /// One with these lines in its file besides its own.
    pub fn new(test: &str, lines: &str) -> Setup {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("solo").join(test);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let (port, file) = (free_port(), directory.join("spread.conf"));
        let user = if lines.contains("DaemonUser") { "" } else { "DaemonUser = root\nDaemonGroup = root\n" };
        // Daemons of other tests have the runtime directory of the machine.
        let place = if lines.contains("RuntimeDir") { "" } else { "RuntimeDir = /no/such/directory\n" };
        fs::write(&file, format!("Spread_Segment 127.0.0.1:{port} {{ solo 127.0.0.1 }}\n{user}{place}{lines}\n"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_spread"));
        command.arg("-c").arg(&file).args(["-n", "solo"]).stdin(Stdio::null());
        command.env_remove("SPREAD_LOG").env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET");
        Setup { directory, port, command }
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Setup {
        self.command.env(name, value);
        self
    }

    /// Starts it with its log in a file.
    pub fn start(self) -> Solo {
        let file = File::create(self.log()).unwrap();
        self.start_into(file)
    }

    /// Starts it with this standard output.
    pub fn start_into(mut self, output: impl Into<Stdio>) -> Solo {
        let errors = File::create(self.directory.join("errors")).unwrap();
        let process = self.command.stdout(output).stderr(errors).spawn().unwrap();
        Solo { log: self.log(), directory: self.directory, port: self.port, process }
    }

    /// Runs it to its end, which must be a line of this kind and status 1.
    pub fn expect_refusal(mut self, says: &str) {
        let output = self.command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.lines().count() == 1 && errors.contains(says), "one line about {says}: {errors}");
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// A running daemon. Dropping it kills it; if that is because a test failed, its log is shown.
pub struct Solo {
    pub directory: PathBuf,
    pub port: u16,
    pub process: Child,
    log: PathBuf,
}

impl Solo {
    /// Its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until its log has all these texts in one line.
    pub fn expect_log(&self, texts: &[&str]) -> String {
        let has_all = |line: &&str| texts.iter().all(|text| line.contains(text));
        within_patience(|| self.log().lines().find(has_all).map(str::to_owned))
            .unwrap_or_else(|| panic!("no line with {texts:?} in the log"))
    }

    /// A session, as soon as the daemon is there.
    pub fn connect(&self) -> Mailbox {
        self.connect_to(&format!("{}@127.0.0.1", self.port))
    }

    /// A session by this name of the daemon.
    pub fn connect_to(&self, daemon: &str) -> Mailbox {
        let options = ConnectOptions { daemon: daemon.to_owned(), timeout: Some(PATIENCE), ..Default::default() };
        eventually(|| Mailbox::connect(&options).ok())
    }

    /// A bare connection.
    pub fn raw(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap()
    }

    /// It still takes clients and orders their messages.
    pub fn expect_well(&self) {
        expect_echo(&self.connect());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Tells it to stop, and how it ended and how long that took.
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("-TERM");
        let status = self.end();
        (status, start.elapsed())
    }

    /// How it ended.
    pub fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(1));
        }
        panic!("the daemon does not end");
    }
}

impl Drop for Solo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let errors = fs::read_to_string(self.directory.join("errors")).unwrap_or_default();
            eprintln!("--- {}\n{}{errors}", self.log.display(), self.log());
        }
    }
}

/// This client joins a group, sends to it, and gets what it sent.
pub fn expect_echo(mailbox: &Mailbox) {
    let group = Name::new(b"echo").unwrap();
    mailbox.join(group).unwrap();
    mailbox.multicast(FrameType::SAFE, &[group], 7, b"are you well?").unwrap();
    while !matches!(mailbox.receive().unwrap(), Received::Message(message) if message.mess_type == 7) {}
}

/// Whether this process may do anything; tests with users need that.
pub fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

/// A port that is free on loopback for clients and for daemons, with the socket names that belong to it.
pub fn free_port() -> u16 {
    let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::iter::repeat_with(any).find(|&port| is_free(port)).unwrap()
}

fn is_free(port: u16) -> bool {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
    port < u16::MAX && free(port) && free(port + 1) && !Path::new(&format!("/tmp/{port}")).exists()
}

/// What this gives once it gives something.
pub fn eventually<T>(attempt: impl FnMut() -> Option<T>) -> T {
    within_patience(attempt).unwrap_or_else(|| panic!("nothing after {PATIENCE:?}"))
}

pub fn within_patience<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(result) = attempt() {
            return Some(result);
        }
        sleep(Duration::from_millis(5));
    }
    None
}
