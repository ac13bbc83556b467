//! The daemon's control socket: what an operator on this machine asks of a running daemon, one line in, a few lines out.
//!
//! The file is for the daemon's own user alone, so who can open it may also switch networks. A thread serves it and goes through
//! a [`Handle`] like everybody else: the loop never waits for an operator. An answer is records, a line each: what it is about,
//! then `key=value` words. New keys may come; who reads them shows what it finds.

use std::fmt::Write as _;
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

use super::handle::{Handle, Status};
use super::origin::Origin;
use super::unix_socket::{Access, UnixSocket};
use crate::counters::Counter;
use crate::multipath::{self, Hearing, PathState, Policy};
use crate::seal::KeyId;
use crate::wire::NetworkId;

/// The daemon's own user may connect.
const MODE: u32 = 0o600;
/// Bytes of a request.
const REQUEST_LIMIT: u64 = 256;
/// How long an operator's program may take over its line, and over its answer.
const PATIENCE: Duration = Duration::from_secs(1);

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

/// Whoever is being served, so that the end of the daemon need not wait for them.
type Guest = Arc<Mutex<Option<UnixStream>>>;

/// Opens the control socket at the first of these places that can be had. Several daemons of one machine may share a port, and then
/// one has the file.
pub(super) fn open(places: &[PathBuf], owner: Option<(u32, u32)>, name: &str, handle: &Handle) -> Option<Control> {
    let mut failures = Vec::new();
    for file in places {
        match Control::open(file, owner, name, handle.clone()) {
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
    /// Listens at `path` for who wants to talk to the daemon of this name.
    fn open(path: &Path, owner: Option<(u32, u32)>, name: &str, handle: Handle) -> io::Result<Control> {
        let mut socket = UnixSocket::open(path, Access { mode: MODE, owner })?;
        let poll = Poll::new()?;
        poll.registry().register(&mut socket.listener, DOOR, Interest::READABLE)?;
        let stop = Waker::new(poll.registry(), STOP)?;
        let guest = Guest::default();
        let server = Server { socket, poll, name: name.to_owned(), handle, guest: Arc::clone(&guest) };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(|| server.run())?;
        Ok(Control { stop, guest, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let woken = self.stop.wake();
        // What the guest has not said or read by now is not waited for.
        self.guest.lock().iter().for_each(|guest| _ = guest.shutdown(Shutdown::Both));
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
    name: String,
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
                // Whoever hangs up before the answer does not want it.
                let _ = self.serve(stream.into());
                *self.guest.lock() = None;
            }
        }
    }

    fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        *self.guest.lock() = Some(stream.try_clone()?);
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = request(&stream);
        // Who says nothing only looks whether somebody is here, as a second daemon does.
        if request.as_deref().is_ok_and(|request| request.trim().is_empty()) {
            return Ok(());
        }
        let answer = match &request {
            Ok(request) => self.answer(request, Origin::local(&stream)),
            Err(error) => format!("error {error}\n"),
        };
        let written = stream.write_all(answer.as_bytes());
        // Only now, as the end of the daemon ends this conversation.
        match request.as_deref().map(str::trim_ascii) {
            Ok(TERMINATE) => self.handle.stop(),
            Ok(RESTART) => self.handle.restart(),
            _ => {}
        }
        written
    }

    fn answer(&self, request: &str, by: Origin) -> String {
        let words: Vec<&str> = request.split_whitespace().collect();
        match words[..] {
            ["status"] => return records(&self.name, &self.handle.status()),
            ["counters"] => return counters(&self.handle.status()),
            _ => {}
        }
        let result = self.obey(&words);
        log_command(request, by, &result);
        result.map_or_else(|error| format!("error {error}\n"), |()| "ok\n".to_owned())
    }

    /// Does what changes the daemon.
    fn obey(&self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["network", number, switch @ ("on" | "off")] => self.switch(number, switch == "on"),
            ["drill", number, switch @ ("on" | "off")] => self.drill(number, switch == "on"),
            ["policy", ref policy @ ..] => self.set_policy(policy),
            ["rekey"] => self.rekey(),
            ["log", levels] => (self.handle.program()?.set_log)(levels),
            ["reload"] => (self.handle.program()?.reload)(),
            _ if [TERMINATE, RESTART].contains(&words.join(" ").as_str()) => Ok(()),
            _ => Err("unknown request".to_owned()),
        }
    }

    fn switch(&self, number: &str, on: bool) -> Result<(), String> {
        let network = self.network(number)?;
        self.handle.set_network_enabled(network, on);
        match self.handle.status_after_requests(PATIENCE).enabled.has(network) {
            is if is == on => Ok(()),
            true => Err(format!("network {number} stays on: no other one is")),
            false => Err(format!("network {number} is not on yet: the daemon is busy, ask for its status")),
        }
    }

    fn drill(&self, number: &str, on: bool) -> Result<(), String> {
        self.handle.drill(self.network(number)?, on);
        self.handle.status_after_requests(PATIENCE);
        Ok(())
    }

    /// The newest key may be in use only later, when all daemons have it; that it is known can be said at once.
    fn rekey(&self) -> Result<(), String> {
        if self.handle.status().keys.is_empty() {
            return Err("packets are not sealed: set KeyFile and start the daemon again".to_owned());
        }
        self.handle.rekey();
        match self.handle.status_after_requests(PATIENCE).key_error {
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
        self.handle.status_after_requests(PATIENCE);
        Ok(())
    }

    fn network(&self, number: &str) -> Result<NetworkId, String> {
        let networks = self.handle.status().links.len();
        let network = number.parse().ok().filter(|&network| usize::from(network) < networks);
        network.map(NetworkId).ok_or_else(|| format!("there is no network {number}"))
    }
}

/// Who changed what.
fn log_command(command: &str, by: Origin, result: &Result<(), String>) {
    match result {
        Ok(()) => info!(name: "operator_command", command, %by, "an operator's command is done"),
        Err(error) => warn!(name: "operator_refused", command, %by, error, "an operator's command is not done"),
    }
}

/// The line that the operator's program sends.
fn request(stream: &UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    let end = Instant::now() + PATIENCE;
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

/// A status as records.
fn records(name: &str, status: &Status) -> String {
    let mut text = String::new();
    let version = env!("CARGO_PKG_VERSION");
    let (state, clients) = (status.ring_state, status.clients);
    let _ = writeln!(text, "daemon name={name} version={version} state={state} clients={clients}");
    if let Some(configuration) = &status.configuration {
        let members: Vec<String> = configuration.members.iter().map(|member| member.to_string()).collect();
        let _ =
            writeln!(text, "ring id={} daemons={} members={}", configuration.ring, members.len(), members.join(","));
    }
    let ring = &status.ring;
    let _ = write!(
        text,
        "traffic messages={} sent={} retransmitted={}",
        ring.messages, ring.packets_sent, ring.retransmitted
    );
    let _ = write!(
        text,
        " duplicates={} tokens={} tokens_again={}",
        ring.duplicates, ring.tokens, ring.tokens_retransmitted
    );
    let _ = writeln!(text, " configurations={} gathers={}", ring.configurations, ring.gathers);
    let packets = &status.packets;
    let _ = write!(text, "packets first={} copies={} malformed={}", packets.first, packets.copies, packets.malformed);
    let _ = write!(text, " other_system={} unknown_sender={}", packets.other_system, packets.unknown_sender);
    let _ = write!(text, " past_life={} crossed={} repeated={}", packets.past_life, packets.crossed, packets.repeated);
    let _ = write!(text, " foreign_source={} not_opened={}", packets.foreign_source, packets.not_opened);
    let _ = writeln!(text, " other_version={} strangers={}", packets.other_version, packets.strangers);
    let ids: Vec<String> = status.keys.iter().map(KeyId::to_string).collect();
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let using = or_dash(status.key.map(|key| key.to_string()).unwrap_or_default());
    let _ = writeln!(text, "seal key={using} keys={}", or_dash(ids.join(",")));
    let policy = status.policy.to_string();
    let (name, copies) = policy.split_once(' ').unwrap_or((&policy, "-"));
    let _ = writeln!(text, "data policy={name} copies={copies}");
    write_files(&mut text, status);
    write_networks(&mut text, status);
    for path in &status.paths {
        let state = shown_state(path, &status.paths);
        let _ = write!(text, "path daemon={} network={} state={state}", path.daemon, path.network.0);
        let or_dash = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let round_trip = path.round_trip.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        let seconds = status.at.since(path.since).as_secs();
        let (loss, loss_there) = (path.loss.map(u64::from), path.loss_there.map(u64::from));
        let _ =
            write!(text, " for_s={seconds} loss_percent={} loss_there_percent={}", or_dash(loss), or_dash(loss_there));
        let _ = write!(text, " round_trip_us={}", or_dash(round_trip));
        let _ = writeln!(text, " heard={} first={}", path.heard, path.first);
    }
    for Hearing { by, of, networks } in &status.matrix {
        let networks: Vec<String> = networks.iter().map(|network| network.0.to_string()).collect();
        let networks = if networks.is_empty() { "-".to_owned() } else { networks.join(",") };
        let _ = writeln!(text, "matrix daemon={by} hears={of} networks={networks}");
    }
    text
}

/// Every counter as a record.
fn counters(status: &Status) -> String {
    let mut text = String::new();
    status.visit(&mut |network, Counter { section, key, value, .. }| {
        let network = network.map_or("-".to_owned(), |network| network.0.to_string());
        let _ = writeln!(text, "counter section={section} key={key} network={network} value={value}");
    });
    text
}

/// A path is silent if its daemon is not heard at all. One that was switched on just now has yet to show that it works.
fn shown_state(path: &multipath::Path, all: &[multipath::Path]) -> PathState {
    let heard = |other: &&multipath::Path| matches!(other.state, PathState::Healthy | PathState::Probation);
    let elsewhere = all.iter().filter(|other| other.daemon == path.daemon).any(|other| heard(&other));
    if path.state == PathState::Silent && elsewhere { PathState::Probation } else { path.state }
}

/// What the files of daemons have that others do not.
fn write_files(text: &mut String, status: &Status) {
    if let Some(daemons) = &status.waits_for {
        let daemons: Vec<String> = daemons.iter().map(ToString::to_string).collect();
        let daemons = if daemons.is_empty() { "-".to_owned() } else { daemons.join(",") };
        let _ = writeln!(text, "next waits_for={daemons}");
    }
    for (daemon, differs) in &status.differing {
        let _ = writeln!(text, "differs daemon={daemon} in={}", differs.words().join(","));
    }
}

fn write_networks(text: &mut String, status: &Status) {
    let switch = |on| if on { "on" } else { "off" };
    for (link, network) in status.links.iter().zip((0..).map(NetworkId)) {
        let (counters, number) = (&link.counters, network.0);
        let (up, switched) = (if link.up { "up" } else { "down" }, switch(status.enabled.has(network)));
        let _ = write!(text, "network network={number} link={up} switched={switched} drill={}", switch(link.drilled));
        let priority = status.priorities.get(usize::from(number)).copied().unwrap_or_default();
        let _ = write!(text, " priority={priority} sent={}", counters.sent);
        let _ =
            write!(text, " received={} congested={} failed={}", counters.received, counters.congested, counters.failed);
        let _ = write!(text, " unsent={} lost_in_drill={}", counters.unsent, counters.drilled);
        let _ = write!(text, " in_pieces={} refused={}", counters.in_pieces, counters.refused);
        let _ = writeln!(text, " foreign={}", counters.foreign);
    }
}

fn no_policy() -> String {
    let counted: Vec<&str> = Policy::WORDS.into_iter().filter(|word| Policy::takes_copies(word)).collect();
    format!("a policy is {}; a number of networks may follow {}", Policy::WORDS.join(", "), counted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipath::{Networks, Path};
    use crate::net::{Counters, LinkStatus};
    use crate::time::Instant;
    use crate::wire::DaemonId;

    #[test]
    fn a_path_is_called_silent_only_while_its_daemon_is_not_heard_at_all() {
        let path = |daemon, network, state| Path {
            daemon: DaemonId(daemon),
            network: NetworkId(network),
            state,
            since: Instant::ZERO,
            last: None,
            heard: 0,
            first: 0,
            loss: None,
            loss_there: None,
            round_trip: None,
        };
        let [silent, healthy, faulty] = [PathState::Silent, PathState::Healthy, PathState::Faulty];
        let paths = vec![path(1, 0, silent), path(1, 1, healthy), path(2, 0, silent), path(2, 1, faulty)];
        let text = records("alpha", &Status { paths, ..Status::default() });
        let states = text.split_whitespace().filter_map(|word| word.strip_prefix("state=")).skip(1);
        assert_eq!(states.collect::<Vec<_>>(), ["probation", "healthy", "silent", "faulty"]);
    }

    #[test]
    fn every_record_is_a_line_of_keys_and_values() {
        let path = Path {
            daemon: DaemonId(0x0a00_0002),
            network: NetworkId(1),
            state: PathState::Faulty,
            since: Instant::from_millis(1000),
            last: None,
            heard: 7,
            first: 3,
            loss: Some(12),
            loss_there: None,
            round_trip: Some(Duration::from_micros(250)),
        };
        let hearing = |networks| Hearing { by: path.daemon, of: DaemonId(0x0a00_0003), networks };
        let matrix = vec![hearing(Networks::first(2)), hearing(Networks::NONE)];
        let status = Status {
            ring_state: "operational",
            clients: 2,
            paths: vec![path],
            matrix,
            links: vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }],
            enabled: Networks::from(NetworkId(1)),
            policy: Policy::Copies(2),
            priorities: vec![7],
            at: Instant::from_millis(3500),
            ..Status::default()
        };
        let text = records("alpha", &status);
        let lines: Vec<&str> = text.lines().collect();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(lines[0], format!("daemon name=alpha version={version} state=operational clients=2"));
        assert_eq!(lines[3], "seal key=- keys=-");
        assert_eq!(lines[4], "data policy=active copies=2");
        let network = "network network=0 link=up switched=off drill=off priority=7 sent=0 ";
        assert!(lines[5].starts_with(network), "{}", lines[5]);
        assert_eq!(
            lines[6],
            "path daemon=10.0.0.2 network=1 state=faulty for_s=2 loss_percent=12 loss_there_percent=- round_trip_us=250 heard=7 first=3"
        );
        assert_eq!(lines[7], "matrix daemon=10.0.0.2 hears=10.0.0.3 networks=0,1");
        assert_eq!(lines[8], "matrix daemon=10.0.0.2 hears=10.0.0.3 networks=-");
        assert!(lines.iter().all(|line| line.split(' ').skip(1).all(|word| word.split('=').count() == 2)), "{text}");
    }
}
