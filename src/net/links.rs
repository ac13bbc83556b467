//! All networks of one daemon: the interface of [`crate::net`].
//!
//! It has the verbs of the core, with sockets behind them: send, receive, the time of the next call, events.

use std::collections::VecDeque;

use mio::event::Event;
use mio::{Registry, Token};
use tracing::{debug, warn};

use super::change::Change;
use super::link::{Fault, Link, Runs};
use super::open::NetworkCount;
use super::platform::Interfaces;
use super::{
    Arrived, Batches, Buffers, Counters, Datagram, InterfaceWatch, LinkEvent, Network, OpenError, Remainder, wires,
};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, NetworkId};

/// How often every link is checked, even if the system reports no change.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while all links work and the kernel tells when something changes.
const RARE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The shortest time between two checks, however much changes.
const CHECK_PAUSE: Duration = Duration::from_millis(10);

/// How many links there may be: those of the present networks, of the next ones, and of those that were left.
const SLOT_LIMIT: usize = 3 * NetworkId::LIMIT;

/// How many sockets there may be for datagrams; their poll tokens are below it.
pub const SOCKET_LIMIT: usize = 2 * SLOT_LIMIT;

/// All poll tokens of the links are below it.
pub const TOKEN_LIMIT: usize = SOCKET_LIMIT + 1;

const WATCH: Token = Token(SOCKET_LIMIT);

/// One socket of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId {
    pub(super) slot: Slot,
    pub(super) role: Role,
}

/// The place of a link among the links with polled sockets. A link keeps its place when its network gets another
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u8);

impl Slot {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Slot> {
        (0..SLOT_LIMIT as u8).map(Slot)
    }

    /// The first one.
    #[cfg(test)]
    pub(super) fn first() -> Slot {
        Slot(0)
    }
}

/// The traffic that a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Datagrams for all.
    Group,
    /// Datagrams for this daemon alone.
    Own,
}

impl SocketId {
    /// All sockets that may exist, in the order in which the daemon empties them. Data goes to all, and the token to one daemon.
    /// So the data that the token counts is read first.
    pub fn all() -> impl Iterator<Item = SocketId> {
        (0..SOCKET_LIMIT).filter_map(|number| SocketId::from_token(Token(number)))
    }

    /// The socket behind a poll token, if it is one of ours.
    pub fn from_token(token: Token) -> Option<SocketId> {
        let slot = Slot(u8::try_from(token.0 % SLOT_LIMIT).ok()?);
        match token.0 / SLOT_LIMIT {
            0 => Some(SocketId { slot, role: Role::Group }),
            1 => Some(SocketId { slot, role: Role::Own }),
            _ => None,
        }
    }

    /// Its poll token.
    pub fn token(self) -> Token {
        let slot = usize::from(self.slot.0);
        match self.role {
            Role::Group => Token(slot),
            Role::Own => Token(SLOT_LIMIT + slot),
        }
    }
}

/// The state of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether it works as far as this machine can see.
    pub up: bool,
    /// Whether a failure drill is on.
    pub drilled: bool,
    /// Its counters.
    pub counters: Counters,
}

/// The links to all networks.
#[derive(Debug)]
pub struct Links {
    pub(super) links: Vec<Link>,
    /// The links of networks that come next, and of those that were left.
    pub(super) change: Change,
    pub(super) registry: Registry,
    batches: Batches,
    events: VecDeque<LinkEvent>,
    watch: Option<InterfaceWatch>,
    /// The last report about networks that are not separate.
    shared_wires: Vec<String>,
    pub(super) last_look: Instant,
    next_look: Instant,
}

impl Links {
    /// Opens the links, at most [`NetworkId::LIMIT`]; their sockets are polled with the tokens below [`TOKEN_LIMIT`].
    ///
    /// An absent network is no error, but a port that cannot be opened is.
    pub fn open(
        networks: Vec<Network>,
        buffers: Buffers,
        registry: Registry,
        now: Instant,
    ) -> Result<Links, OpenError> {
        assert!(networks.len() <= NetworkId::LIMIT, "{} networks", networks.len());
        let count = NetworkCount::of(networks.len());
        let numbered = (0..).map(NetworkId).zip(Slot::all()).zip(networks);
        let links = numbered.map(|((id, slot), network)| Link::new(id, slot, network, count)).collect();
        let batches = Batches::new(buffers);
        let watch = InterfaceWatch::open(&registry, WATCH);
        let watch = watch.inspect_err(|error| debug!(%error, "only the timer finds changes of interfaces")).ok();
        let events = VecDeque::new();
        let (last_look, next_look, shared_wires) = (now, now, Vec::new());
        let change = Change::default();
        let mut links = Links { links, change, registry, batches, events, watch, shared_wires, last_look, next_look };
        for (link, outcome) in links.check(now) {
            match outcome {
                Err(Fault::Open(error)) if error.is_lasting() => return Err(error),
                outcome => links.record_outcome(now, link, outcome),
            }
        }
        Ok(links)
    }

    /// Sends datagrams on a network, in order: to one daemon, or to every other daemon on it.
    pub fn send(&mut self, network: NetworkId, to: Option<DaemonId>, batch: &[Datagram<'_>]) {
        if let Some(link) = self.links.get_mut(usize::from(network.0)) {
            link.send(to, batch, &self.registry);
            self.events.extend(link.take_news());
        }
    }

    /// Takes a bounded number of datagrams out of a socket.
    pub fn receive(&mut self, socket: SocketId, into: &mut Vec<Arrived>) -> Remainder {
        let mut links = self.links.iter_mut().chain(self.change.links_mut());
        let Some(link) = links.find(|link| link.slot() == socket.slot) else { return Remainder::Nothing };
        let remainder = link.receive(socket.role, &mut self.batches, into);
        self.events.extend(link.take_news());
        remainder
    }

    /// The present number of the network that a socket belongs to. For a network that comes next it is the future number.
    pub fn network_of(&self, socket: SocketId) -> NetworkId {
        let link = self.links.iter().chain(self.change.links()).find(|link| link.slot() == socket.slot);
        link.map_or(NetworkId(0), Link::id)
    }

    /// Begins or ends a failure drill: everything to and from the network is dropped silently.
    pub fn set_drilled(&mut self, network: NetworkId, drilled: bool) {
        if let Some(link) = self.links.get_mut(usize::from(network.0)) {
            link.set_drilled(drilled);
        }
    }

    /// The poll has something: room to send on a socket, or news of the interfaces.
    pub fn handle_event(&mut self, event: &Event) {
        if event.is_writable()
            && let Some(socket) = SocketId::from_token(event.token())
            && socket.role == Role::Own
            && let Some(link) = self.links.iter_mut().find(|link| link.slot() == socket.slot)
        {
            link.handle_room(&self.registry);
            self.events.extend(link.take_news());
        }
        if event.token() == WATCH && self.watch.as_ref().is_some_and(InterfaceWatch::take_news) {
            self.next_look = self.next_look.min(self.last_look + CHECK_PAUSE);
        }
    }

    /// Checks every link if it is time to.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_look {
            self.change.forget(now);
            for (link, outcome) in self.check(now) {
                self.record_outcome(now, link, outcome);
            }
        }
    }

    /// When [`Links::handle_timeout`] must be called.
    pub fn poll_timeout(&self) -> Instant {
        self.next_look
    }

    /// Whether [`Links::poll_event`] has something.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next change of a link, or report of the system.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    /// The length of the longest datagram that leaves whole, by network, if it is known.
    pub fn datagram_limits(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        self.links.iter().map(Link::datagram_limit)
    }

    /// How datagrams leave on each network from now on.
    pub fn set_runs(&mut self, of: impl Fn(NetworkId) -> Runs) {
        self.links.iter_mut().for_each(|link| link.set_runs(of(link.id())));
    }

    /// Each link's status, by network.
    pub fn status(&self) -> impl Iterator<Item = LinkStatus> + '_ {
        self.links.iter().map(Link::status)
    }

    pub(super) fn check(&mut self, now: Instant) -> Vec<(usize, Result<(), Fault>)> {
        let interfaces = Interfaces::snapshot();
        self.report_shared_wires(interfaces.as_ref().ok());
        let registry = &self.registry;
        let check = |link: &mut Link| match &interfaces {
            Ok(interfaces) => link.check(now, interfaces, registry),
            Err(error) => Err(Fault::Interface(format!("the system does not list its addresses: {error}"))),
        };
        let outcomes: Vec<_> = self.links.iter_mut().map(check).enumerate().collect();
        let changing = self.change.links().next().is_some();
        let watched = self.watch.is_some() && !changing && outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let interval = if watched { RARE_CHECK_INTERVAL } else { CHECK_INTERVAL };
        (self.last_look, self.next_look) = (now, now + interval);
        outcomes
    }

    /// Logs which networks are not separate, when that has changed.
    fn report_shared_wires(&mut self, interfaces: Option<&Interfaces>) {
        let networks = self.links.iter().map(Link::network);
        let shared = interfaces.map(|interfaces| wires::among(networks, interfaces)).unwrap_or_default();
        for new in shared.iter().filter(|shared| !self.shared_wires.contains(shared)) {
            warn!(name: "networks_shared", "{new}");
        }
        self.shared_wires = shared;
    }

    pub(super) fn record_outcome(&mut self, now: Instant, link: usize, outcome: Result<(), Fault>) {
        let link = &mut self.links[link];
        self.events.extend(link.record_outcome(now, outcome));
        self.events.extend(link.take_news());
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    use mio::{Events, Poll};
    use socket2::{Domain, Socket, Type};

    use super::super::{Kind, RemoteDaemon};
    use super::*;

    /// The links of one daemon on loopback, and what they received.
    struct Station {
        poll: Poll,
        links: Links,
    }

    impl Station {
        fn open(networks: Vec<Network>) -> Result<Station, OpenError> {
            let poll = Poll::new().unwrap();
            let registry = poll.registry().try_clone().unwrap();
            Ok(Station { poll, links: Links::open(networks, Buffers::Shared, registry, Instant::ZERO)? })
        }

        fn send(&mut self, to: Option<DaemonId>, datagrams: &[Vec<u8>]) {
            let batch: Vec<Datagram<'_>> =
                datagrams.iter().map(|bytes| Datagram { header: &bytes[..2], body: &bytes[2..] }).collect();
            self.links.send(NetworkId(0), to, &batch);
        }

        /// Waits for this many datagrams, then takes what is there.
        fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
            let mut slices = Vec::new();
            let mut events = Events::with_capacity(8);
            let mut patience = 50;
            loop {
                for socket in SocketId::all() {
                    while self.links.receive(socket, &mut slices) == Remainder::Unknown {}
                }
                if slices.len() >= count || patience == 0 {
                    return slices.iter().map(|arrived| arrived.bytes.to_vec()).collect();
                }
                self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
                patience -= 1;
            }
        }

        fn counters(&self) -> Counters {
            self.links.status().next().unwrap().counters
        }
    }

    /// Three hosts on loopback.
    const ADDRESSES: [[u8; 4]; 3] = [[127, 0, 71, 1], [127, 0, 71, 2], [127, 0, 71, 3]];

    fn daemon(number: usize) -> DaemonId {
        DaemonId(u32::from_be_bytes(ADDRESSES[number]))
    }

    /// A port that is free on every address of these tests.
    fn free_port() -> u16 {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::from(([0, 0, 0, 0], 0)).into()).unwrap();
        socket.local_addr().unwrap().as_socket().unwrap().port()
    }

    fn network(me: usize, kind: Kind, port: u16) -> Network {
        let others = (0..ADDRESSES.len()).filter(|&number| number != me);
        let peers = others.map(|number| RemoteDaemon {
            daemon: daemon(number),
            address: SocketAddr::from((ADDRESSES[number], port)),
            near: true,
        });
        Network { kind, port, own: IpAddr::from(ADDRESSES[me]), peers: peers.collect(), interface: None }
    }

    fn stations(kind: Kind) -> [Station; 3] {
        let port = free_port();
        [0, 1, 2].map(|me| Station::open(vec![network(me, kind, port)]).unwrap())
    }

    fn numbered(count: u16, size: usize) -> Vec<Vec<u8>> {
        (0..count).map(|number| number.to_be_bytes().iter().copied().cycle().take(size).collect()).collect()
    }

    #[test]
    fn tokens_name_their_sockets_and_groups_come_first() {
        let all: Vec<SocketId> = SocketId::all().collect();
        assert_eq!(all.len(), SOCKET_LIMIT);
        assert!(all.iter().all(|&id| SocketId::from_token(id.token()) == Some(id)));
        assert!(all[..SLOT_LIMIT].iter().all(|id| id.role == Role::Group));
        assert_eq!(SocketId::from_token(Token(SOCKET_LIMIT)), None);
    }

    #[test]
    fn without_a_group_everybody_gets_a_copy() {
        let [mut a, mut b, mut c] = stations(Kind::Unicast);
        assert_eq!(a.links.poll_event(), Some(LinkEvent::Up(NetworkId(0))));
        let datagrams = [b"hello".to_vec(), b"hi".to_vec()];
        a.send(None, &datagrams);
        assert_eq!(b.receive(2), datagrams);
        assert_eq!(c.receive(2), datagrams);
        assert_eq!((a.counters().sent, b.counters().received), (4, 2));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_port_that_nobody_has_is_told_with_the_daemon_whose_it_was() {
        let [mut a, b, _c] = stations(Kind::Unicast);
        while a.links.poll_event().is_some() {}
        drop(b);
        a.send(Some(daemon(1)), &[b"anybody?".to_vec()]);
        a.send(Some(daemon(2)), &[b"for c".to_vec()]);
        let mut events = Events::with_capacity(8);
        a.poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
        assert!(a.receive(0).is_empty());
        assert!(a.links.has_event());
        assert_eq!(a.links.poll_event(), Some(LinkEvent::Refused(NetworkId(0), daemon(1))));
        assert_eq!((a.links.poll_event(), a.counters().refused), (None, 1));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_broadcast_address_of_no_interface_is_told_with_what_to_write() {
        let mut station =
            Station::open(vec![network(0, Kind::Broadcast([203, 0, 113, 255].into()), free_port())]).unwrap();
        let Some(LinkEvent::Down(_, reason)) = station.links.poll_event() else { panic!("it cannot be up") };
        assert!(reason.contains("no interface of this machine has this broadcast address"), "{reason}");
    }

    #[test]
    fn what_is_for_one_reaches_one() {
        let [mut a, mut b, mut c] = stations(Kind::Unicast);
        a.send(Some(daemon(1)), &[b"for b".to_vec()]);
        a.send(Some(daemon(2)), &[b"for c".to_vec()]);
        assert_eq!(b.receive(1), [b"for b"]);
        assert_eq!(c.receive(1), [b"for c"]);
        a.send(Some(DaemonId(1)), &[b"for nobody".to_vec()]);
        assert_eq!((a.counters().sent, a.counters().unsent), (2, 1));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_group_on_loopback_reaches_all_who_joined() {
        let [mut a, mut b, mut c] = stations(Kind::Multicast([239, 71, 0, 1].into()));
        a.send(None, &numbered(3, 40));
        a.send(Some(daemon(1)), &[b"for b".to_vec()]);
        assert_eq!(c.receive(3), numbered(3, 40));
        let at_b = b.receive(4);
        assert_eq!((&at_b[..3], &at_b[3][..]), (&numbered(3, 40)[..], &b"for b"[..]));
        assert_eq!(a.counters().sent, 4);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_for_all_stays_at_the_site() {
        let port = free_port();
        let group = Kind::Multicast([239, 71, 0, 2].into());
        for kind in [group, Kind::Unicast] {
            let mut there = network(0, kind, port);
            there.peers[1].near = false;
            let mut a = Station::open(vec![there]).unwrap();
            let mut b = Station::open(vec![network(1, kind, port)]).unwrap();
            let mut c = Station::open(vec![network(2, Kind::Unicast, port)]).unwrap();
            a.send(None, &[b"for all here".to_vec()]);
            a.send(Some(daemon(2)), &[b"for c".to_vec()]);
            assert_eq!(b.receive(1), [b"for all here"]);
            assert_eq!(c.receive(1), [b"for c"]);
            assert_eq!(a.counters().sent, 2);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_broadcast_address_reaches_all() {
        let [mut a, mut b, mut c] = stations(Kind::Broadcast([127, 255, 255, 255].into()));
        a.send(None, &numbered(2, 30));
        assert_eq!(b.receive(2), numbered(2, 30));
        assert_eq!(c.receive(2), numbered(2, 30));
        b.send(None, &[b"of another".to_vec()]);
        assert_eq!(a.receive(1), [b"of another"], "and not what it sent itself");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_ipv6_group_is_joined_on_its_interface() {
        let (port, own) = (free_port(), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x71, 3);
        let peer = RemoteDaemon { daemon: daemon(1), address: SocketAddr::new(own, port), near: true };
        let network = Network { kind: Kind::Multicast(group.into()), port, own, peers: vec![peer], interface: None };
        let mut station = Station::open(vec![network]).unwrap();
        if let Some(LinkEvent::Down(_, reason)) = station.links.poll_event() {
            assert_eq!(reason, "::1 is not an address of any interface");
            return;
        }
        station.send(Some(daemon(1)), &[b"for one".to_vec()]);
        assert_eq!(station.receive(1), [b"for one"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_length_of_datagrams_is_told_once() {
        let mut station = Station::open(vec![network(0, Kind::Unicast, free_port())]).unwrap();
        assert_eq!(station.links.poll_event(), Some(LinkEvent::Up(NetworkId(0))));
        let limit = station.links.datagram_limits().next().flatten().unwrap();
        assert!(limit > 1000);
        assert_eq!(station.links.poll_event(), Some(LinkEvent::Limit(NetworkId(0), limit)));
        station.links.handle_timeout(station.links.poll_timeout());
        assert_eq!(station.links.poll_event(), None);
    }

    #[test]
    fn a_burst_of_equal_datagrams_arrives_whole_and_in_order() {
        let [mut a, mut b, mut c] = stations(Kind::Unicast);
        let mut burst = numbered(300, 1400);
        burst.push(b"the last is shorter".to_vec());
        burst.extend(numbered(5, 60));
        a.send(None, &burst);
        assert_eq!(b.receive(burst.len()), burst);
        assert_eq!(c.receive(burst.len()), burst);
    }

    #[test]
    fn a_drill_loses_what_comes_and_goes() {
        let [mut a, mut b, mut c] = stations(Kind::Unicast);
        b.links.set_drilled(NetworkId(0), true);
        a.send(None, &[b"one".to_vec()]);
        b.send(None, &[b"two".to_vec()]);
        assert_eq!(c.receive(1), [b"one"]);
        assert!(b.receive(0).is_empty());
        assert_eq!(b.counters().drilled, 2);
        b.links.set_drilled(NetworkId(0), false);
        a.send(Some(daemon(1)), &[b"three".to_vec()]);
        assert_eq!(b.receive(1), [b"three"]);
        assert_eq!((b.counters().sent, c.receive(0).len()), (0, 0));
    }

    #[test]
    fn a_port_in_use_is_an_error_at_start() {
        let port = free_port();
        let _first = Station::open(vec![network(0, Kind::Unicast, port)]).unwrap();
        let error = Station::open(vec![network(0, Kind::Unicast, port)]).err().unwrap();
        assert_eq!(error.to_string(), format!("port {port} of 127.0.71.1 is in use: is another spread running?"));
    }

    #[test]
    fn a_port_in_use_later_is_waited_for() {
        let port = free_port();
        let mut here = network(0, Kind::Unicast, port);
        here.own = ABSENT.into();
        let mut station = Station::open(vec![here]).unwrap();
        let other = Station::open(vec![network(0, Kind::Unicast, port)]).unwrap();
        station.links.poll_event().unwrap();
        station.links.links[0] = Link::new(NetworkId(0), Slot(0), network(0, Kind::Unicast, port), NetworkCount::One);
        station.links.handle_timeout(station.links.poll_timeout());
        assert!(matches!(station.links.poll_event(), Some(LinkEvent::Down(_, reason)) if reason.contains("in use")));
        drop(other);
        station.links.handle_timeout(station.links.poll_timeout());
        assert_eq!(station.links.poll_event(), Some(LinkEvent::Up(NetworkId(0))));
    }

    /// An address for documentation, which no machine has.
    const ABSENT: [u8; 4] = [203, 0, 113, 9];

    #[test]
    fn an_absent_address_is_down_and_looked_for_again() {
        let port = free_port();
        let mut gone = network(0, Kind::Unicast, port);
        gone.own = ABSENT.into();
        let mut station = Station::open(vec![gone, network(0, Kind::Unicast, port)]).unwrap();
        let down = LinkEvent::Down(NetworkId(0), "203.0.113.9 is not an address of any interface".to_string());
        assert_eq!(station.links.poll_event(), Some(down));
        assert_eq!(station.links.poll_event(), Some(LinkEvent::Up(NetworkId(1))));
        station.send(None, &[b"lost".to_vec()]);
        assert_eq!(station.counters().unsent, 1);
        while station.links.poll_event().is_some() {}
        let due = station.links.poll_timeout();
        station.links.handle_timeout(due);
        assert_eq!(station.links.poll_event(), None);
        assert_eq!(station.links.poll_timeout(), due + CHECK_INTERVAL);
    }
}
