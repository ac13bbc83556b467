//! What the simulator drives: one daemon behind the four verbs.

use spread::multipath::{self, Attempt, Multipath, MultipathSettings, Outgoing, Policy, System};
use spread::node::{Alarm, couple};
use spread::ring::{self, Configuration, ConfigurationKind, Handover, Ring, RingEvent, RingSettings, Stats};
use spread::seal::Keys;
use spread::time::Instant;
use spread::wire::{DaemonId, Header, NetworkId, Packet, PacketKind, Reader, Service, Slice};
use std::net::{IpAddr, Ipv4Addr};

use crate::tables::{Table, Wires};
use crate::trace::Scribe;

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A datagram on its way out.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub network: NetworkId,
    /// One daemon, or all others.
    pub to: Option<DaemonId>,
    pub bytes: Slice,
}

/// A daemon as the simulator sees it.
pub trait Actor {
    fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice);
    fn handle_timeout(&mut self, now: Instant);
    /// Nobody has the port of a daemon on a network.
    fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: DaemonId);
    /// Its key file was changed, and it reads it again.
    fn set_keys(&mut self, now: Instant, keys: Keys);
    /// Its file says this of daemons and networks, and it reads it again.
    fn reload(&mut self, now: Instant, table: &Table);
    /// Somebody at this daemon sends about this many bytes.
    fn submit(&mut self, now: Instant, service: Service, size: usize, scribe: Scribe<'_>);
    /// A regular configuration was taken out, and whoever stands above the daemon answers it.
    fn answer(&mut self, now: Instant, scribe: Scribe<'_>);
    /// Says goodbye to the others.
    fn leave(&mut self, now: Instant);
    fn poll_transmit(&mut self) -> Option<Datagram>;
    fn poll_event(&mut self) -> Option<RingEvent>;
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// All that a datagram may change, but for the counters of what is dropped.
    fn knowledge(&mut self) -> String;
    /// For the log.
    fn state(&self) -> &'static str;
    fn stats(&self) -> &Stats;
}

/// Ring and multipath put together as the node does it, without groups and sessions.
pub struct RingDaemon {
    ring: Ring,
    multipath: Multipath,
    /// Later copies die in multipath. Without it the ring meets every copy and must cope alone.
    filtered: bool,
    me: DaemonId,
    sites: Vec<usize>,
    wires: Wires,
    /// The daemons of the table that comes next.
    next: Vec<DaemonId>,
    /// The longest datagram that it wants to send.
    longest: usize,
    /// The time of the last input.
    now: Instant,
    assembly: Assembly,
    /// When it meant to look again.
    alarm: Alarm,
}

/// What surrounds the ring of a daemon.
#[derive(Clone)]
pub struct Wiring {
    /// What its file says.
    pub table: Table,
    /// Where all daemons of the world are; all at one site if it says nothing.
    pub sites: Vec<usize>,
    pub keys: Keys,
    /// How many datagrams count as sent before the first.
    pub counted: u64,
}

/// Where datagrams are put together, so that each takes memory once.
#[derive(Default)]
pub struct Assembly(Vec<u8>);

impl Assembly {
    /// The datagram that this is.
    pub fn datagram(&mut self, transmit: &multipath::Transmit) -> Datagram {
        self.0.clear();
        self.0.extend_from_slice(&transmit.header);
        self.0.extend_from_slice(&transmit.body);
        Datagram { network: transmit.network, to: transmit.to, bytes: Slice::copy_from(&self.0) }
    }
}

/// The digest of the membership table that all daemons of a simulation share.
pub const SYSTEM: u32 = 0x7030;

/// That table.
pub fn system() -> System {
    System { digest: SYSTEM, parts: [0; 12] }
}

/// The policy of a daemon: one of all that there are. Daemons need not have the same.
pub fn policy(config: &RingSettings) -> Policy {
    let of_word = |word| [None, Some(2)].into_iter().filter_map(move |copies| Policy::from_words(word, copies));
    let policies: Vec<Policy> = Policy::WORDS.into_iter().flat_map(of_word).collect();
    policies[config.incarnation.0 as usize % policies.len()]
}

/// What a daemon believes of the others and of the paths to them.
pub fn believed(multipath: &Multipath) -> String {
    let stats = multipath.stats();
    let counted = [stats.first, stats.reports, stats.copies, stats.relayed, stats.crossed, stats.path_changes];
    let paths: Vec<_> = multipath.paths().collect();
    format!("{counted:?} {paths:?} {:?} {:?}", multipath.key(), multipath.poll_timeout())
}

impl RingDaemon {
    pub fn new(config: RingSettings, networks: u8, now: Instant) -> RingDaemon {
        let table = Table::whole(0, networks.into());
        let table = Table { daemons: config.daemons.clone(), ..table };
        RingDaemon::wired(config, Wiring { table, sites: Vec::new(), keys: Keys::NONE, counted: 0 }, now)
    }

    /// The same with all that may be around it.
    pub fn wired(config: RingSettings, wiring: Wiring, now: Instant) -> RingDaemon {
        let wires = Wires::new(&wiring.table);
        let multipath::NextTable { system, daemons, sites, networks, .. } = wiring.table.next(&wiring.sites, &wires);
        let config = RingSettings { daemons: daemons.clone(), ..config };
        let paths = MultipathSettings {
            me: config.me,
            incarnation: config.incarnation,
            daemons,
            sites,
            system,
            networks: networks.len() as u8,
            policy: policy(&config),
            sources: Vec::new(),
            keys: wiring.keys,
            longest: config.body_limit + Header::SIZE,
            first_counter: wiring.counted,
        };
        let longest = paths.longest;
        let mut multipath = Multipath::new(paths, now);
        let me = config.me;
        let ring = Ring::new(config, now).expect("the simulator's settings are sound");
        multipath.set_believed_silence(ring.believed_silence());
        let (filtered, next, assembly) = (true, Vec::new(), Assembly::default());
        let sites = wiring.sites;
        let mut daemon = RingDaemon {
            ring,
            multipath,
            filtered,
            me,
            sites,
            wires,
            next,
            longest,
            now,
            assembly,
            alarm: Alarm::default(),
        };
        daemon.set_interface_limits(now);
        daemon
    }

    /// All interfaces take whatever anybody wants to send.
    fn set_interface_limits(&mut self, now: Instant) {
        for network in (0..NetworkId::LIMIT as u8).map(NetworkId) {
            self.multipath.set_interface_limit(now, network, self.longest);
        }
    }

    /// Packets are as long as the paths carry.
    fn fit(&mut self) {
        couple(self.now, &mut self.ring, &mut self.multipath);
    }

    /// The same daemon without the filter for copies.
    pub fn unfiltered(self) -> RingDaemon {
        RingDaemon { filtered: false, ..self }
    }

    /// Its ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Its networks.
    pub fn multipath(&self) -> &Multipath {
        &self.multipath
    }

    /// Data travels by this policy from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.multipath.set_policy(policy);
    }

    /// Ring and sockets follow the paths, if these have changed the table.
    fn follow_table(&mut self, now: Instant) {
        if self.multipath.take_adopted() {
            self.ring.set_handover(Handover::Allowed);
            self.wires.adopt();
            self.ring.readmit(now, std::mem::take(&mut self.next));
            self.set_interface_limits(now);
        }
    }

    /// Announces the next table as a whole daemon does.
    fn agree(&mut self, now: Instant) {
        let parts = self.multipath.parts_company();
        self.ring.set_handover(if parts { Handover::Stopped } else { Handover::Allowed });
        if self.multipath.is_asked() && !(parts && self.ring.has_handed_over()) {
            self.multipath.agree(now);
        }
    }

    fn first_copy(&mut self, now: Instant, network: NetworkId, datagram: &Slice) -> Option<(Header, Slice)> {
        let first = self.multipath.handle_datagram(now, network, SOMEWHERE, datagram.clone());
        let header = Header::decode(&mut Reader::new(datagram)).ok()?;
        if self.filtered || header.kind == PacketKind::Fragment {
            return first;
        }
        let ours = header.system == SYSTEM && header.destination.is_none_or(|to| to == self.me);
        ours.then(|| (header, datagram.tail(Header::SIZE)))
    }
}

impl Actor for RingDaemon {
    fn handle_datagram(&mut self, now: Instant, network: NetworkId, datagram: &Slice) {
        self.now = now;
        self.alarm.check(now, &mut self.ring);
        let Some(network) = self.wires.arrival(network) else { return };
        let first = self.first_copy(now, network, datagram);
        self.follow_table(now);
        self.fit();
        let Some((header, body)) = first else { return };
        if let Ok(packet) = Packet::decode(header.kind, &body) {
            self.ring.handle_packet(now, header.sender, packet);
        }
        self.agree(now);
    }

    fn set_keys(&mut self, now: Instant, keys: Keys) {
        self.now = now;
        self.multipath.set_keys(now, keys);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.alarm.check(now, &mut self.ring);
        self.multipath.handle_timeout(now);
        self.follow_table(now);
        self.fit();
        while let Some(daemon) = self.multipath.poll_death() {
            self.ring.suspect(now, daemon);
        }
        self.ring.handle_timeout(now);
        self.agree(now);
    }

    fn handle_refusal(&mut self, now: Instant, network: NetworkId, daemon: DaemonId) {
        self.now = now;
        self.multipath.handle_refusal(now, network, daemon);
    }

    fn reload(&mut self, now: Instant, table: &Table) {
        self.now = now;
        let next = (table.system().digest != self.multipath.system_digest()).then_some(table);
        self.wires.prepare(next);
        self.next = table.daemons.clone();
        self.multipath.prepare(now, next.map(|table| table.next(&self.sites, &self.wires)));
        self.agree(now);
    }

    fn submit(&mut self, now: Instant, service: Service, size: usize, mut scribe: Scribe<'_>) {
        self.now = now;
        // Some are like the changes of groups that a whole daemon submits.
        match service {
            Service::Agreed if size.is_multiple_of(4) => self.ring.submit_barrier(now, scribe.submit_barrier(size)),
            _ => self.ring.submit(now, service, scribe.submit(service, size)),
        }
    }

    fn answer(&mut self, now: Instant, mut scribe: Scribe<'_>) {
        self.ring.submit_first(now, Service::Agreed, scribe.submit_first(Service::Agreed, 30));
    }

    fn leave(&mut self, now: Instant) {
        self.now = now;
        self.ring.leave();
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        while let Some(ring::Transmit { to, again, packet }) = self.ring.poll_transmit() {
            let attempt = if again { Attempt::Again } else { Attempt::First };
            self.multipath.send(self.now, Outgoing { kind: packet.kind(), to, attempt, body: packet.encode() });
        }
        let transmit = self.multipath.poll_transmit()?;
        let datagram = self.assembly.datagram(&transmit);
        Some(Datagram { network: self.wires.out(transmit.network), ..datagram })
    }

    fn poll_event(&mut self) -> Option<RingEvent> {
        let event = self.ring.poll_event()?;
        if let RingEvent::Configuration(Configuration { kind: ConfigurationKind::Regular, members, .. }) = &event {
            self.multipath.set_company(members);
            self.agree(self.now);
        }
        Some(event)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.alarm.set(self.ring.poll_timeout().into_iter().chain(self.multipath.poll_timeout()).min())
    }

    fn knowledge(&mut self) -> String {
        let (state, held) = (self.ring.state_name(), self.ring.held_bytes());
        format!("{} {state} {held} {:?} {:?}", believed(&self.multipath), self.ring.poll_timeout(), self.ring.stats())
    }

    fn state(&self) -> &'static str {
        self.ring.state_name()
    }

    fn stats(&self) -> &Stats {
        self.ring.stats()
    }
}
