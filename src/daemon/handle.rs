//! The requests that other threads can make to a running daemon. The loop never waits for them: it takes their requests when it is woken, and
//! publishes its status for them to read.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
#[cfg(unix)]
use std::{io, os::unix::net::UnixStream};

use mio::Waker;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::{error, warn};

#[cfg(unix)]
use super::entrance::{Entrance, Newcomer};
use super::journal::{Happening, Journal};
use super::progress::{PathEvent, Progress, RunState};
use super::records::Lists;
use super::reload::InForce;
use super::setup::Membership;
use crate::config::{ClientAddresses, Live};
use crate::groups;
use crate::multipath::{self, Differs, Hearing, Networks, Path, Policy};
use crate::net::LinkStatus;
use crate::node::ClientStats;
use crate::ring::{self, Configuration};
use crate::seal::{KeyId, Keys};
#[cfg(unix)]
use crate::session::Peer;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, NetworkId};

/// The state of a daemon, at most a second old.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The last regular configuration.
    pub configuration: Option<Configuration>,
    /// The ring's state: gather, form, recovery or operational.
    pub ring_state: &'static str,
    /// The daemon at which the token rests; none while the token goes round.
    pub rests_at: Option<DaemonId>,
    /// Counters of the ring.
    pub ring: ring::Stats,
    /// Counters of the packets of all networks.
    pub packets: multipath::Stats,
    /// Requests that the groups dropped, by reason.
    pub groups: groups::Dropped,
    /// How many clients are connected.
    pub clients: usize,
    /// Counters of the clients.
    pub client_stats: ClientStats,
    /// Our side of each network.
    pub links: Vec<LinkStatus>,
    /// The other daemons on each network.
    pub paths: Vec<Path>,
    /// Which daemon hears which other one, as far as this one knows.
    pub matrix: Vec<Hearing>,
    /// The keys that open packets, the newest last; none if packets are not sealed.
    pub keys: Vec<KeyId>,
    /// The key that seals packets.
    pub key: Option<KeyId>,
    /// The daemons that are not known to have the newest key.
    pub without_newest_key: Vec<DaemonId>,
    /// Why the key file could not be used when it was last read again; `None` if it could.
    pub key_error: Option<String>,
    /// The daemons as which two hosts run. This one is among them if it is the host that gives way.
    pub two_hosts: Vec<DaemonId>,
    /// The digest of the membership table.
    pub system: u32,
    /// The members of the ring that have not read the next membership table; `None` if there is no next one.
    pub waits_for: Option<Vec<DaemonId>>,
    /// The daemons whose files differ from this one's, with the differences.
    pub differing: Vec<(DaemonId, Differs)>,
    /// Why the last reload was refused; `None` if it was not.
    pub reload_error: Option<String>,
    /// The networks that are switched on.
    pub enabled: Networks,
    /// The policy for data.
    pub policy: Policy,
    /// The priority of each network; networks with higher ones are preferred.
    pub priorities: Vec<u8>,
    /// When this status was made, by the clock that paths use.
    pub at: Instant,
}

/// A way to use a running daemon from other threads. Clones are for the same daemon.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// Requests that may wait for the loop; further ones are refused.
const REQUEST_LIMIT: usize = 64;

/// A request to the loop.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Apply settings that were read again.
    Settings(Box<News>),
    /// Begin or end a failure drill.
    Drill { network: NetworkId, on: bool },
    /// Switch a network on or off.
    Network { network: NetworkId, on: bool },
    /// Use this policy for data.
    Policy(Policy),
    /// Use these priorities, one for each network.
    Priorities(Vec<u8>),
    /// Read the key file again.
    Rekey,
    /// List groups and sessions, at most this many of each.
    List { limit: usize },
}

/// The settings of a reload.
#[derive(Clone, Debug)]
pub(super) struct News {
    /// Those that take effect at once.
    pub live: Live,
    /// Whether the file has another policy than before. If not, the present one stays, which an operator may have chosen.
    pub has_new_policy: bool,
    /// The keys that were read again; none if packets are not sealed.
    pub keys: Keys,
    /// The membership table; if it is new, it takes effect when all members have read it.
    pub membership: Membership,
    /// The addresses for TCP clients, if they have changed.
    pub clients: Option<ClientAddresses>,
}

/// Requests that wait, and how many were ever made.
#[derive(Debug, Default)]
struct Requests {
    waiting: Vec<Request>,
    made: u64,
}

/// The newest status, and how many requests had been served when it was made.
#[derive(Debug, Default)]
struct Newest {
    status: Status,
    served: u64,
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// For good.
    Stop,
    /// The service manager starts it again.
    Restart,
}

/// The result of an operator's request: a text, which may be empty, or the reason why it was refused.
pub type Outcome = Result<String, String>;

/// Functions of the program around a daemon that an operator may call.
pub struct Program {
    /// Reloads the files, and returns what changed.
    pub reload: Box<dyn Fn() -> Outcome + Send + Sync>,
    /// Changes the levels of the log.
    pub set_log: Box<dyn Fn(&str) -> Outcome + Send + Sync>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

/// Data that the loop and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    waker: Waker,
    stopping: AtomicBool,
    /// The service manager is to start it again.
    restart: AtomicBool,
    program: OnceLock<Program>,
    requests: Mutex<Requests>,
    newest: Mutex<Newest>,
    renewed: Condvar,
    progress: Progress,
    in_force: Mutex<InForce>,
    journal: Journal,
    lists: Mutex<Lists>,
    #[cfg(unix)]
    entrance: Entrance,
    /// Makes the loop panic, to test what happens to the clients.
    #[cfg(test)]
    pub(super) fault: AtomicBool,
}

/// Lives as long as the daemon's sockets, and notifies other threads when they are closed.
#[derive(Debug)]
pub(super) struct Ending(pub Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        #[cfg(unix)]
        // First, so that no new client enters a daemon that nobody runs.
        self.0.entrance.close();
        if thread::panicking() {
            error!(name: "daemon_panicked", "the daemon's thread panicked: its clients have lost their connections");
        }
        self.0.progress.end(if thread::panicking() { RunState::Crashed } else { RunState::Stopped });
    }
}

impl Shared {
    /// Shared with the loop that `waker` wakes.
    pub(super) fn new(waker: Waker, in_force: InForce) -> Arc<Shared> {
        Arc::new(Shared {
            waker,
            stopping: AtomicBool::new(false),
            restart: AtomicBool::new(false),
            program: OnceLock::new(),
            requests: Mutex::default(),
            newest: Mutex::default(),
            renewed: Condvar::new(),
            progress: Progress::default(),
            in_force: Mutex::new(in_force),
            journal: Journal::default(),
            lists: Mutex::default(),
            #[cfg(unix)]
            entrance: Entrance::new(),
            #[cfg(test)]
            fault: AtomicBool::new(false),
        })
    }

    /// Whether a stop was requested.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// How the daemon is to end.
    pub(super) fn exit(&self) -> Exit {
        if self.restart.load(Ordering::Acquire) { Exit::Restart } else { Exit::Stop }
    }

    /// The requests since the last call.
    pub(super) fn take_requests(&self) -> Vec<Request> {
        mem::take(&mut self.requests.lock().waiting)
    }

    /// Records an event for operators.
    pub(super) fn happened(&self, event: &'static str, text: String) {
        self.journal.record(event, text);
    }

    /// Stores the lists that a request asked for.
    pub(super) fn list(&self, lists: Lists) {
        *self.lists.lock() = lists;
    }

    /// Notifies threads that wait for changes of paths.
    pub(super) fn record_paths(&self, paths: &[Path]) {
        self.progress.record(paths);
    }

    /// Publishes a new status. The loop has served all requests that it has taken.
    pub(super) fn publish(&self, status: Status) {
        self.progress.record(&status.paths);
        let requests = self.requests.lock();
        let served = requests.made - requests.waiting.len() as u64;
        drop(requests);
        *self.newest.lock() = Newest { status, served };
        self.renewed.notify_all();
    }

    /// Streams that clients in this process handed over since the last call.
    #[cfg(unix)]
    pub(super) fn take_newcomers(&self) -> Vec<Newcomer> {
        self.entrance.take()
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            warn!(name: "wake_failed", %error, "cannot wake the loop of the daemon; requests may be late");
        }
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Handle {
        Handle(shared)
    }

    /// Makes the daemon leave the ring and end. Returns at once.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        self.0.wake();
    }

    /// Makes the daemon leave the ring and end, so that the service manager starts it again. Returns at once.
    pub fn restart(&self) {
        self.0.restart.store(true, Ordering::Release);
        self.stop();
    }

    /// Sets the functions of the program around the daemon. Only the first call counts.
    pub fn set_program(&self, program: Program) {
        // A second call is a mistake of the caller, and changes nothing.
        let _ = self.0.program.set(program);
    }

    /// The functions of the program around the daemon, if it has set them.
    #[cfg(unix)]
    pub(super) fn program(&self) -> Result<&Program, String> {
        let inside = "the daemon is inside another program, which decides about its files and its log";
        self.0.program.get().ok_or_else(|| inside.to_owned())
    }

    /// Begins a failure drill: everything to and from the network is dropped, and the ring is not notified.
    pub fn begin_drill(&self, network: NetworkId) {
        self.ask(Request::Drill { network, on: true });
    }

    /// Ends a failure drill.
    pub fn end_drill(&self, network: NetworkId) {
        self.ask(Request::Drill { network, on: false });
    }

    /// Switches a network on or off. The daemon sends nothing on a network that is off, and the other daemons know that this is no fault.
    /// The last network that is on stays on.
    pub fn set_network_enabled(&self, network: NetworkId, enabled: bool) {
        self.ask(Request::Network { network, on: enabled });
    }

    /// Uses this policy for data from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.ask(Request::Policy(policy));
    }

    /// Sets the priority of each network. Where the policy has a choice, it prefers the network with the highest priority, and the first
    /// among equals. A reload sets those of the file again.
    pub fn set_priorities(&self, priorities: &[u8]) {
        self.ask(Request::Priorities(priorities.iter().copied().take(NetworkId::LIMIT).collect()));
    }

    /// Makes the daemon read its key file again. If the file cannot be used, the keys stay as they are, and the log says so.
    pub fn rekey(&self) {
        self.ask(Request::Rekey);
    }

    /// The state of the daemon.
    pub fn status(&self) -> Status {
        self.0.newest.lock().status.clone()
    }

    /// The state of the daemon after it has served all earlier requests. Waits for that at most for `patience`, and not at all if the
    /// daemon stops.
    pub fn status_after_requests(&self, patience: Duration) -> Status {
        let made = self.0.requests.lock().made;
        let mut newest = self.0.newest.lock();
        let nothing = |newest: &mut Newest| newest.served < made && !self.0.is_stopping();
        self.0.renewed.wait_while_for(&mut newest, nothing, patience);
        newest.status.clone()
    }

    /// The latest events of ring, networks and files, the oldest first.
    pub fn happenings(&self) -> Vec<Happening> {
        self.0.journal.all()
    }

    /// Records what an operator did.
    pub(super) fn happened(&self, event: &'static str, text: String) {
        self.0.happened(event, text);
    }

    /// The lists that were made last.
    pub(super) fn newest_lists(&self) -> Lists {
        self.0.lists.lock().clone()
    }

    /// The settings in force. Nobody else changes them while the guard lives.
    pub(super) fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.0.in_force.lock()
    }

    /// Makes a request and waits at most for `patience`. Returns whether the loop has served it.
    pub(super) fn obey(&self, request: Request, patience: Duration) -> bool {
        let Some(made) = self.ask(request) else { return false };
        let mut newest = self.0.newest.lock();
        let nothing = |newest: &mut Newest| newest.served < made && !self.0.is_stopping();
        self.0.renewed.wait_while_for(&mut newest, nothing, patience);
        newest.served >= made
    }

    /// Whether the daemon is still there.
    pub fn run_state(&self) -> RunState {
        self.0.progress.run_state()
    }

    /// The first change of a path after the one with this number. Waits for it at most for `patience`. `None` if there is none in that
    /// time, and at once if the daemon has ended.
    pub fn next_path_event(&self, after: u64, patience: Duration) -> Option<PathEvent> {
        self.0.progress.next_path_event(after, patience)
    }

    /// A client's stream to the daemon, without a port or a file. The client counts as coming from `peer`.
    #[cfg(unix)]
    pub fn connect(&self, peer: Peer) -> io::Result<UnixStream> {
        let stream = self.0.entrance.enter(peer)?;
        self.0.wake();
        Ok(stream)
    }

    /// Makes a request. Returns its number, or `None` if too many wait.
    fn ask(&self, request: Request) -> Option<u64> {
        let mut requests = self.0.requests.lock();
        let fits = requests.waiting.len() < REQUEST_LIMIT;
        if fits {
            requests.waiting.push(request);
            requests.made += 1;
        }
        let made = requests.made;
        drop(requests);
        self.0.wake();
        fits.then_some(made)
    }

    /// Makes the loop panic.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.0.fault.store(true, Ordering::Release);
        self.0.wake();
    }
}
