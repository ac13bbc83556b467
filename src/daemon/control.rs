//! The daemon's control socket: an operator on this machine sends one line and gets a few lines back.
//!
//! Only the daemon's own user can open the file, so whoever can open it may also give commands. A thread serves the socket through a
//! [`Handle`], as other programs do: the loop never waits for an operator. Answers are [`records`](super::records).

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::handle::{Handle, Outcome};
use super::origin::Origin;
use super::unix_socket::{Access, UnixSocket};
use crate::multipath::Policy;
use crate::wire::NetworkId;

/// The daemon's own user may connect.
const MODE: u32 = 0o600;
/// Bytes of a request.
const REQUEST_LIMIT: u64 = 256;
/// How long an operator's program may take over its line, and over its answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// The commands that end the daemon.
const TERMINATE: &str = "terminate";
const RESTART: &str = "terminate restart";

const DOOR: Token = Token(0);
const STOP: Token = Token(1);

/// The socket and the thread that serves it. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Control {
    stop: Waker,
    guest: Guest,
    thread: Option<JoinHandle<()>>,
}

/// The connection that is being served. The end of the daemon shuts it down, so that it need not wait for a slow operator.
type Guest = Arc<Mutex<Option<UnixStream>>>;

/// Opens the control socket at the first of these places where that works. If several daemons of a machine share a port, only one has
/// the file.
pub(super) fn open(places: &[PathBuf], owner: Option<(u32, u32)>, handle: &Handle) -> Option<Control> {
    let mut failures = Vec::new();
    for file in places {
        match Control::open(file, owner, handle.clone()) {
            Ok(control) => return Some(control),
            Err(error) => failures.push(format!("{}: {error}", file.display())),
        }
    }
    if !failures.is_empty() {
        let reasons = failures.join("; ");
        error!(name: "control_closed", "nobody can operate the daemon by its control socket: {reasons}");
    }
    None
}

impl Control {
    /// Listens at `path` for operators.
    fn open(path: &Path, owner: Option<(u32, u32)>, handle: Handle) -> io::Result<Control> {
        let mut socket = UnixSocket::open(path, Access { mode: MODE, owner })?;
        let poll = Poll::new()?;
        poll.registry().register(&mut socket.listener, DOOR, Interest::READABLE)?;
        let stop = Waker::new(poll.registry(), STOP)?;
        let guest = Guest::default();
        let server = Server { socket, poll, handle, guest: Arc::clone(&guest) };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(|| server.run())?;
        Ok(Control { stop, guest, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let woken = self.stop.wake();
        // Cut the connection before the join: the end of the daemon does not wait for a slow operator.
        if let Some(guest) = &*self.guest.lock() {
            let _ = guest.shutdown(Shutdown::Both);
        }
        if let Err(error) = woken {
            warn!(name: "control_failed", %error, "the control socket cannot be closed");
        } else if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!(name: "control_failed", "the control socket's thread panicked");
        }
    }
}

struct Server {
    socket: UnixSocket,
    poll: Poll,
    handle: Handle,
    guest: Guest,
}

impl Server {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    error!(name: "control_failed", %error, "the control socket is not served any more");
                    return;
                }
                _ if events.iter().any(|event| event.token() == STOP) => return,
                _ => {}
            }
            while let Ok((stream, _)) = self.socket.listener.accept() {
                // An error means that the operator hung up before the answer.
                let _ = self.serve(stream.into());
                *self.guest.lock() = None;
            }
        }
    }

    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        *self.guest.lock() = Some(stream.try_clone()?);
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(COMMAND_TIMEOUT))?;
        let request = request(&stream);
        // An empty request only tests whether a daemon listens here; a second daemon sends one at its start.
        if request.as_deref().is_ok_and(|request| request.trim().is_empty()) {
            return Ok(());
        }
        let answer = match &request {
            Ok(request) => self.answer(request, Origin::local(&stream)),
            Err(error) => format!("error {error}\n"),
        };
        let written = stream.write_all(answer.as_bytes());
        // Only after the answer, because the end of the daemon ends this connection.
        match request.as_deref().map(str::trim_ascii) {
            Ok(TERMINATE) => self.handle.stop(),
            Ok(RESTART) => self.handle.restart(),
            _ => {}
        }
        written
    }

    fn answer(&self, request: &str, by: Origin) -> String {
        let words: Vec<&str> = request.split_whitespace().collect();
        if let [what] = words[..]
            && let Some(records) = self.handle.records(what)
        {
            return records;
        }
        let result = self.obey(&words);
        log_command(request, by, &result);
        if result.is_ok() {
            self.handle.happened("operator_command", format!("an operator: {request}"));
        }
        result.map_or_else(|error| format!("error {error}\n"), |told| format!("ok {told}").trim_end().to_owned() + "\n")
    }

    /// Carries out a command that changes the daemon. Returns what it changed, in words.
    fn obey(&self, words: &[&str]) -> Outcome {
        let done = match *words {
            ["log", levels] => return (self.handle.program()?.set_log)(levels),
            ["reload"] => return (self.handle.program()?.reload)(),
            ["network", number, switch @ ("on" | "off")] => self.set_network_enabled(number, switch == "on"),
            ["drill", number, "on"] => self.drill(number, Handle::begin_drill),
            ["drill", number, "off"] => self.drill(number, Handle::end_drill),
            ["policy", ref policy @ ..] => self.set_policy(policy),
            ["rekey"] => self.rekey(),
            _ if [TERMINATE, RESTART].contains(&words.join(" ").as_str()) => Ok(()),
            _ => Err("unknown request".to_owned()),
        };
        done.map(|()| String::new())
    }

    fn set_network_enabled(&self, number: &str, enabled: bool) -> Result<(), String> {
        let network = self.network(number)?;
        self.handle.set_network_enabled(network, enabled);
        match self.handle.status_after_requests(COMMAND_TIMEOUT).enabled.has(network) {
            is if is == enabled => Ok(()),
            true => Err(format!("network {number} stays on: no other one is")),
            false => Err(format!("network {number} is not on yet: the daemon is busy, ask for its status")),
        }
    }

    fn drill(&self, number: &str, begin_or_end: fn(&Handle, NetworkId)) -> Result<(), String> {
        begin_or_end(&self.handle, self.network(number)?);
        self.handle.status_after_requests(COMMAND_TIMEOUT);
        Ok(())
    }

    /// Reads the key file again. The answer says only whether that worked: a new key is used later, when all daemons have it.
    fn rekey(&self) -> Result<(), String> {
        if self.handle.status().keys.is_empty() {
            return Err("packets are not sealed: set KeyFile and start the daemon again".to_owned());
        }
        self.handle.rekey();
        match self.handle.status_after_requests(COMMAND_TIMEOUT).key_error {
            Some(error) => Err(format!("the keys stay as they are: {error}")),
            None => Ok(()),
        }
    }

    fn set_policy(&self, words: &[&str]) -> Result<(), String> {
        let networks = self.handle.status().links.len();
        let (word, copies) = match words {
            [word] => (*word, None),
            [word, copies] if Policy::takes_copies(word) => match copies.parse() {
                Ok(count) if (1..=networks).contains(&usize::from(count)) => (*word, Some(count)),
                _ => return Err(format!("{word} takes a number of networks from 1 to {networks}")),
            },
            _ => return Err(no_policy()),
        };
        let policy = Policy::from_words(word, copies).ok_or_else(no_policy)?;
        self.handle.set_policy(policy);
        self.handle.status_after_requests(COMMAND_TIMEOUT);
        Ok(())
    }

    fn network(&self, number: &str) -> Result<NetworkId, String> {
        let networks = self.handle.status().links.len();
        let network = number.parse().ok().filter(|&network| usize::from(network) < networks);
        network.map(NetworkId).ok_or_else(|| format!("there is no network {number}"))
    }
}

/// Logs who changed what.
fn log_command(command: &str, by: Origin, result: &Outcome) {
    match result {
        Ok(_) => info!(name: "operator_command", command, %by, "an operator's command was carried out"),
        Err(error) => warn!(name: "operator_refused", command, %by, error, "an operator's command was refused"),
    }
}

/// The line that the operator's program sent.
fn request(stream: &UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    let end = Instant::now() + COMMAND_TIMEOUT;
    for _ in 0..REQUEST_LIMIT {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match (&mut &*stream).read(&mut byte)? {
            0 => break,
            _ if byte == *b"\n" => break,
            _ => line.extend(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn no_policy() -> String {
    let counted: Vec<&str> = Policy::WORDS.into_iter().filter(|word| Policy::takes_copies(word)).collect();
    format!("a policy is {}; a number of networks may follow {}", Policy::WORDS.join(", "), counted.join(", "))
}
