//! The link of one network: its sockets, while they can be opened, and its counters.
//!
//! Sockets stay when an interface is switched off and on. They are reopened when the address was removed or moved to another interface, because
//! a multicast membership ends silently with its interface.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Interest, Registry};
use socket2::SockAddr;
use tracing::warn;

use super::links::{LinkStatus, Role, Slot, SocketId};
use super::open::{NetworkCount, OpenError, Sockets, Surroundings};
use super::platform::{self, Interfaces};
use super::{Arrived, Batches, Complaints, Counters, Datagram, LinkEvent, Network, Remainder};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, NetworkId};

/// The shortest time between two reports of failed sends.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The time after which longer packets are tried again.
const PATH_LIMIT_LIFETIME: Duration = Duration::from_secs(600);

/// One network's link.
#[derive(Debug)]
pub(super) struct Link {
    id: NetworkId,
    /// Which sockets it has among those that are polled.
    slot: Slot,
    network: Network,
    /// The daemons of the network have changed, and its sockets still send to the old ones.
    readdressed: bool,
    network_count: NetworkCount,
    sockets: Option<Sockets>,
    status: Option<Result<(), String>>,
    drilled: bool,
    counters: Counters,
    failures: Failures,
    limits: Limits,
    runs: Runs,
    /// Daemons that refuse datagrams, according to the system, until this is reported.
    refusing: BTreeSet<DaemonId>,
}

/// How datagrams of equal size leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Many at once, which something on the way cuts into datagrams.
    Allowed,
    /// Each by itself.
    Forbidden,
}

/// How long packets may be, headers included.
#[derive(Debug, Default)]
struct Limits {
    /// The limit of the interface, if the system tells it.
    interface: Option<usize>,
    /// The limit of the path behind it, if a router reported one.
    path: Option<usize>,
    /// The time of the first check after that report.
    path_seen: Option<Instant>,
    /// The limit that was reported last.
    told: Option<usize>,
}

/// Failed sends since the last report.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<io::Error>,
    reported: Instant,
}

/// Why a link does not work.
pub(super) enum Fault {
    /// The interface is the reason.
    Interface(String),
    /// A socket is.
    Open(OpenError),
}

impl Link {
    /// A link that was not checked yet.
    pub(super) fn new(id: NetworkId, slot: Slot, network: Network, network_count: NetworkCount) -> Link {
        Link {
            id,
            slot,
            readdressed: false,
            network,
            network_count,
            sockets: None,
            status: None,
            drilled: false,
            counters: Counters::default(),
            failures: Failures::default(),
            limits: Limits::default(),
            runs: Runs::Allowed,
            refusing: BTreeSet::new(),
        }
    }

    /// The number of its network.
    pub(super) fn id(&self) -> NetworkId {
        self.id
    }

    /// Which sockets it has.
    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Makes this the link of the given network, which differs only in its daemons. Waiting datagrams still go to their old destinations.
    pub(super) fn renew(&mut self, id: NetworkId, network: Network, network_count: NetworkCount) {
        if id != self.id {
            self.status = None;
        }
        (self.id, self.network, self.network_count, self.readdressed) = (id, network, network_count, true);
    }

    /// A link that was left becomes the link of this network again. It has not reported yet that it is up, and a drill
    /// has ended.
    pub(super) fn come_back(&mut self, id: NetworkId, network: Network, network_count: NetworkCount) {
        self.renew(id, network, network_count);
        (self.status, self.drilled) = (None, false);
    }

    /// Its network.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// Checks the interface and makes the sockets that are missing.
    pub(super) fn check(&mut self, now: Instant, interfaces: &Interfaces, registry: &Registry) -> Result<(), Fault> {
        let own = self.network.own;
        let Some(interface) = interfaces.find(own, self.network.interface.as_deref()) else {
            self.close();
            let of = self.network.interface.as_deref().unwrap_or("any interface");
            return Err(Fault::Interface(format!("{own} is not an address of {of}")));
        };
        let shared_host = self.network.peers.iter().any(|peer| interfaces.find(peer.address.ip(), None).is_some());
        let near_peers = self.network.peers.iter().any(|peer| peer.near);
        let around = Surroundings { network_count: self.network_count, shared_host, near_peers };
        let fits = |sockets: &Sockets| sockets.interface == interface.index && sockets.around == around;
        match &mut self.sockets {
            Some(sockets) if fits(sockets) => {
                if self.readdressed {
                    sockets.address(&self.network, &interface);
                }
            }
            _ => {
                self.close();
                let mut sockets = Sockets::open(&self.network, &interface, around).map_err(Fault::Open)?;
                register(&mut sockets, self.slot, registry)
                    .map_err(|error| Fault::Interface(format!("the sockets cannot be polled: {error}")))?;
                sockets.offload = self.runs == Runs::Allowed;
                self.sockets = Some(sockets);
            }
        }
        self.readdressed = false;
        self.limits.interface = platform::packet_limit(&interface.name);
        self.limits.age(now);
        let off = || Fault::Interface(format!("the interface {} is off or has no carrier", interface.name));
        if interface.running { Ok(()) } else { Err(off()) }
    }

    /// Records the result of a check; returns an event if it differs from the last one.
    pub(super) fn record_outcome(&mut self, now: Instant, outcome: Result<(), Fault>) -> Option<LinkEvent> {
        self.failures.report(now, self.id);
        let status = outcome.map_err(|fault| match fault {
            Fault::Interface(reason) => reason,
            Fault::Open(error) => error.to_string(),
        });
        if self.status.as_ref() == Some(&status) {
            return None;
        }
        self.status = Some(status.clone());
        Some(match status {
            Ok(()) => LinkEvent::Up(self.id),
            Err(reason) => LinkEvent::Down(self.id, reason),
        })
    }

    /// The longest datagram that leaves without fragmentation, as far as it is known.
    pub(super) fn datagram_limit(&self) -> Option<usize> {
        const UDP_HEADER: usize = 8;
        let ip_header = if self.network.own.is_ipv4() { 20 } else { 40 };
        Some(self.limits.packet()?.saturating_sub(ip_header + UDP_HEADER))
    }

    /// The same, if it has changed since the last call.
    fn take_limit(&mut self) -> Option<LinkEvent> {
        let limit = self.datagram_limit()?;
        if self.limits.told.replace(limit) == Some(limit) {
            return None;
        }
        if let Some(sockets) = &mut self.sockets {
            sockets.offload = self.runs == Runs::Allowed;
        }
        Some(LinkEvent::Limit(self.id, limit))
    }

    /// The system's reports since the last call: daemons that refuse datagrams, and a new limit of length.
    pub(super) fn take_news(&mut self) -> impl Iterator<Item = LinkEvent> + use<> {
        let (network, limit) = (self.id, self.take_limit());
        let refusing = std::mem::take(&mut self.refusing).into_iter();
        refusing.map(move |daemon| LinkEvent::Refused(network, daemon)).chain(limit)
    }

    /// Sends to one daemon, or to all.
    pub(super) fn send(&mut self, to: Option<DaemonId>, batch: &[Datagram<'_>], registry: &Registry) {
        let count = batch.len() as u64;
        if self.drilled {
            self.counters.drilled += count;
            return;
        }
        let Some(Sockets { own, everybody, peers, offload, queue, .. }) = &mut self.sockets else {
            self.counters.unsent += count;
            return;
        };
        let was_empty = queue.is_empty();
        let one = |daemon| peers.binary_search_by_key(&daemon, |peer| peer.0).map(|at| &peers[at].1).ok();
        let mut tally = Tally::new(&mut self.counters, &mut self.failures);
        let mut send = |address: &SockAddr| {
            let dealt_with = if queue.is_empty() { Batches::send(own, address, batch, offload, &mut tally) } else { 0 };
            let lost = queue.push(address, &batch[dealt_with..]);
            tally.congested(lost);
        };
        match to.map(one) {
            None => everybody.iter().for_each(&mut send),
            Some(Some(address)) => send(address),
            Some(None) => tally.counters.unsent += count,
        }
        let complained = tally.complained;
        if was_empty && !queue.is_empty() {
            self.await_room(registry);
        }
        if complained {
            self.hear_complaints();
        }
    }

    /// The link's own socket may have room again.
    pub(super) fn handle_room(&mut self, registry: &Registry) {
        let Some(Sockets { own, offload, queue, .. }) = &mut self.sockets else { return };
        let mut tally = Tally::new(&mut self.counters, &mut self.failures);
        while let Some((to, batch)) = queue.front() {
            let (dealt_with, count) = (Batches::send(own, to, &batch, offload, &mut tally), batch.len());
            queue.pop(dealt_with);
            if dealt_with < count {
                return;
            }
        }
        self.await_room(registry);
    }

    /// Takes a bounded number of datagrams out of a socket.
    pub(super) fn receive(&mut self, role: Role, batches: &mut Batches, into: &mut Vec<Arrived>) -> Remainder {
        let Some(socket) = self.socket(role) else { return Remainder::Nothing };
        let only = self.sockets.as_ref().and_then(|sockets| sockets.only);
        let before = into.len();
        let result = batches.receive(socket, only, into);
        let count = (into.len() - before) as u64;
        if self.drilled {
            into.truncate(before);
            self.counters.drilled += count;
        } else {
            self.counters.received += count;
        }
        match result {
            Ok(intake) => {
                self.counters.foreign += intake.foreign;
                intake.remainder
            }
            Err(_) => {
                let is_explained = role == Role::Own && self.hear_complaints();
                self.counters.receive_errors += u64::from(!is_explained);
                Remainder::Unknown
            }
        }
    }

    /// Begins or ends dropping everything.
    pub(super) fn set_drilled(&mut self, drilled: bool) {
        self.drilled = drilled;
    }

    /// How its datagrams leave from now on.
    pub(super) fn set_runs(&mut self, runs: Runs) {
        if std::mem::replace(&mut self.runs, runs) != runs
            && let Some(sockets) = &mut self.sockets
        {
            sockets.offload = runs == Runs::Allowed;
        }
    }

    /// Its state.
    pub(super) fn status(&self) -> LinkStatus {
        LinkStatus { up: self.status == Some(Ok(())), drilled: self.drilled, counters: self.counters }
    }

    /// Polls for room only while datagrams wait, because otherwise the poll would report room after every datagram.
    fn await_room(&mut self, registry: &Registry) {
        let Some(Sockets { own, queue, .. }) = &mut self.sockets else { return };
        let interest = if queue.is_empty() { Interest::READABLE } else { Interest::READABLE.add(Interest::WRITABLE) };
        let token = SocketId { slot: self.slot, role: Role::Own }.token();
        if let Err(error) = registry.reregister(own, token, interest) {
            warn!(name: "poll_failed", network = self.id.0, %error, "cannot wait for room in the socket; datagrams in the queue may be late");
        }
    }

    /// Reads the system's errors about sent datagrams; returns whether there were any.
    fn hear_complaints(&mut self) -> bool {
        let Some(sockets) = &self.sockets else { return false };
        let complaints = Complaints::take(&sockets.own);
        self.counters.refused += complaints.refused.len() as u64;
        let peers = &self.network.peers;
        let refusing = |at| peers.iter().find(|peer| is_same_place(peer.address, at)).map(|peer| peer.daemon);
        self.refusing.extend(complaints.refused.into_iter().filter_map(refusing));
        if let Some(limit) = complaints.packet_limit {
            (self.limits.path, self.limits.path_seen) = (Some(limit), None);
        }
        complaints.count > 0
    }

    fn close(&mut self) {
        if let Some(sockets) = self.sockets.take() {
            self.counters.unsent += sockets.queue.len() as u64;
        }
        self.limits = Limits::default();
    }

    fn socket(&self, role: Role) -> Option<&UdpSocket> {
        let sockets = self.sockets.as_ref()?;
        match role {
            Role::Group => sockets.group.as_ref(),
            Role::Own => Some(&sockets.own),
        }
    }
}

/// Whether two addresses are equal apart from parts that have a meaning on this machine only, such as the number of an
/// interface.
fn is_same_place(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

fn register(sockets: &mut Sockets, slot: Slot, registry: &Registry) -> io::Result<()> {
    registry.register(&mut sockets.own, SocketId { slot, role: Role::Own }.token(), Interest::READABLE)?;
    match &mut sockets.group {
        Some(group) => registry.register(group, SocketId { slot, role: Role::Group }.token(), Interest::READABLE),
        None => Ok(()),
    }
}

/// Where the results of sending are recorded.
pub(super) struct Tally<'a> {
    counters: &'a mut Counters,
    failures: &'a mut Failures,
    complained: bool,
}

impl Limits {
    fn packet(&self) -> Option<usize> {
        self.interface.into_iter().chain(self.path).min()
    }

    fn age(&mut self, now: Instant) {
        if self.path.is_some() && now.since(*self.path_seen.get_or_insert(now)) >= PATH_LIMIT_LIFETIME {
            (self.path, self.path_seen) = (None, None);
        }
    }
}

impl<'a> Tally<'a> {
    fn new(counters: &'a mut Counters, failures: &'a mut Failures) -> Tally<'a> {
        Tally { counters, failures, complained: false }
    }

    /// A datagram was too long for the network. The next ones are shorter, and its content is sent again in fragments.
    #[cfg(target_os = "linux")]
    pub(super) fn too_long(&mut self) {
        self.counters.too_long += 1;
    }

    /// The system may have reported an error.
    #[cfg(target_os = "linux")]
    pub(super) fn complained(&mut self) {
        self.complained = true;
    }

    /// The system accepted this many datagrams.
    pub(super) fn sent(&mut self, count: usize) {
        self.counters.sent += count as u64;
    }

    /// There was no room for this many.
    pub(super) fn congested(&mut self, count: usize) {
        self.counters.congested += count as u64;
    }

    /// The system refused this many.
    pub(super) fn failed(&mut self, count: usize, error: io::Error) {
        self.counters.failed += count as u64;
        self.failures.count += count as u64;
        self.failures.last = Some(error);
    }
}

impl Failures {
    fn report(&mut self, now: Instant, network: NetworkId) {
        if now.since(self.reported) < REPORT_INTERVAL {
            return;
        }
        if let Some(error) = self.last.take() {
            warn!(name: "datagrams_unsent", network = network.0, count = self.count, %error, "datagrams could not be sent");
            *self = Failures { reported: now, ..Failures::default() };
        }
    }
}

#[cfg(test)]
impl Tally<'_> {
    /// Runs `act` with a tally of its own and gives back what it counted.
    pub(super) fn of(act: impl FnOnce(&mut Tally<'_>)) -> Counters {
        let (mut counters, mut failures) = (Counters::default(), Failures::default());
        act(&mut Tally::new(&mut counters, &mut failures));
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_outcome_is_told_once() {
        let network = Network {
            kind: super::super::Kind::Unicast,
            port: 1,
            own: [127, 0, 0, 1].into(),
            peers: vec![],
            interface: None,
        };
        let mut link = Link::new(NetworkId(3), Slot::first(), network, NetworkCount::One);
        let fault = |reason: &str| Err(Fault::Interface(reason.to_string()));
        assert_eq!(
            link.record_outcome(Instant::ZERO, fault("a")),
            Some(LinkEvent::Down(NetworkId(3), "a".to_string()))
        );
        assert_eq!(link.record_outcome(Instant::ZERO, fault("a")), None);
        assert_eq!(
            link.record_outcome(Instant::ZERO, fault("b")),
            Some(LinkEvent::Down(NetworkId(3), "b".to_string()))
        );
        assert_eq!(link.record_outcome(Instant::ZERO, Ok(())), Some(LinkEvent::Up(NetworkId(3))));
        assert_eq!(link.record_outcome(Instant::ZERO, Ok(())), None);
    }
}
