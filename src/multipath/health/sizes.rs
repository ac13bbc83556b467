//! The longest datagram on each path. A length must be proved before it is used. It is given up as soon as datagrams of this length are lost.
//!
//! No error tells a sender that a switch drops long frames. Short packets arrive, so the path looks healthy, but long ones are lost. So each
//! path starts with [`FLOOR`], which every network carries. A *round* of size probes goes to all daemons of a network. It has one probe of each
//! length in question and one of [`LOWEST`]. Each daemon answers with the longest probe that arrived. The first answer is trusted at once. So a
//! network with jumbo frames is used a few milliseconds after its daemons have met.
//!
//! While long data is sent, a round in every [`CHECK`] tests whether the length in use still passes. A length is given up after [`MISSES`]
//! rounds in which short probes arrived and long ones did not. Ordinary loss does not look like this. The length is tried again after a pause,
//! and the pause doubles each time. It is used again after [`RISES`] successful rounds in a row. There are no probes while no data is sent and
//! nothing changes.

use std::mem;

use super::super::lengths::Lengths;
use super::super::moves::Moves;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use super::matrix::Matrix;
use super::paths::Paths;
use crate::time::{Duration, Instant};
use crate::wire::{Incarnation, NetworkId, SizeAnswer};

/// A datagram length that every network carries: an IPv6 packet of 1280 bytes without its headers.
const FLOOR: u16 = 1232;
/// The length of the shortest probe. The length of a path never falls below this, unless its interface allows less.
pub(in crate::multipath) const LOWEST: u16 = 564;
/// The lowest interface length that is trusted.
const SHORTEST_INTERFACE: u16 = 256;
/// The assumed interface length if the interface reports none: that of Ethernet.
const ETHERNET: u16 = 1472;
/// Common limits of networks and tunnels. They lie between the lowest length and that of the interface.
const RUNGS: [u16; 8] = [LOWEST, FLOOR, 1352, 1400, 1452, ETHERNET, 4000, 7900];

/// The time from one round to the next while an answer is missing, in addition to the round trip.
const GAP: Duration = Duration::from_millis(10);
/// The longest round trip that a round waits for.
const WAY_LIMIT: Duration = Duration::from_millis(50);
/// How long an answer waits for the remaining probes of its round.
const ANSWER_DELAY: Duration = Duration::from_millis(2);
/// The time between two checks while long data is sent.
const CHECK: Duration = Duration::from_millis(200);
/// The number of rounds in a series. A good answer ends the series early.
const SERIES: u8 = 4;
/// A path counts as silent after this many series without any answer.
const SILENT: u8 = 2;
/// A length is given up after this many rounds without it.
const MISSES: u8 = 4;
/// A length is used again after this many rounds with it.
const RISES: u8 = 3;
/// The first and the longest pause before a length that was given up is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// If a path has lost no length for this long, its next loss starts with the first pause again.
const STEADY: Duration = Duration::from_secs(60);
/// The operator gets a notice when a path has been too short for this long.
const LASTING: Duration = Duration::from_secs(1);

/// The lengths of all paths, the next probes and the next answers.
#[derive(Debug)]
pub(in crate::multipath) struct Sizes {
    /// The longest datagram that any part of the program wants to send.
    wanted: u16,
    wires: Vec<Wire>,
    peers: BySeat<Peer>,
    /// The time between rounds without an answer.
    gap: Duration,
    answer_due: Option<Instant>,
    /// Whether the lengths have changed since [`Sizes::take_lengths`] last returned them.
    changed: bool,
}

/// A network of this daemon.
#[derive(Clone, Debug)]
struct Wire {
    /// The longest datagram that its interface allows.
    interface: u16,
    round: u32,
    /// When the last round was sent.
    sent: Instant,
    /// When the next check is due, if data is sent.
    check: Instant,
}

#[derive(Debug)]
struct Peer {
    alive: bool,
    life: Option<Incarnation>,
    /// The networks on which it reports that it hears this daemon.
    hears: Networks,
    /// By network.
    reaches: Vec<Reach>,
    heard: Vec<Heard>,
}

/// The lengths that pass on the path to another daemon on one network.
#[derive(Clone, Debug)]
struct Reach {
    /// The longest datagram that is proved to pass.
    proved: u16,
    /// Whether probes are answered at all. Before the first answer this is false.
    answers: bool,
    /// The number of series without any answer.
    silent: u8,
    /// How many rounds of this series remain.
    left: u8,
    /// Answered rounds in a row that missed the proved length: their number, the last one, and the longest probe that arrived.
    missed: u8,
    missed_round: u32,
    fits: u16,
    /// Rounds in a row that proved more than the present length: their number, the last one, and the length that passed in all of them.
    risen: u8,
    risen_round: u32,
    rise: u16,
    /// Only answers to later rounds can change the proved length.
    lowered_round: u32,
    /// When a longer datagram is tried again, and the pause after that.
    retry: Instant,
    pause: Duration,
    /// When a length was last given up.
    lowered: Option<Instant>,
    /// Since when answers have shown less than the interface length, and how many such answers there were.
    short_since: Option<Instant>,
    short_answers: u8,
}

/// The probes that arrived of another daemon's latest round, on one network.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    round: u32,
    length: u16,
    /// Whether the answer was sent.
    answered: bool,
}

/// A round of probes that is due on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::multipath) struct Round {
    pub(in crate::multipath) network: NetworkId,
    pub(in crate::multipath) number: u32,
    /// The lengths of its datagrams, the shortest first.
    pub(in crate::multipath) lengths: Vec<u16>,
}

/// A path that carries shorter datagrams than its interface allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) daemon: Seat,
    pub(super) network: NetworkId,
    pub(super) passes: u16,
    pub(super) interface: u16,
}

impl Sizes {
    /// No length is proved yet, and no datagram will be longer than `wanted` bytes.
    pub(super) fn new(table: &Table, networks: u8, wanted: usize) -> Sizes {
        let wanted = length(wanted);
        let wires = vec![Wire::new(wanted.min(ETHERNET)); usize::from(networks)];
        let peers = BySeat::new(table.len(), |_| Peer::new(&wires));
        Sizes { wanted, wires, peers, gap: GAP, answer_due: None, changed: true }
    }

    /// The table has changed.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        let interface = self.wanted.min(ETHERNET);
        self.wires = moves.links(mem::take(&mut self.wires), || Wire::new(interface));
        let wires = &self.wires;
        moves.daemons(&mut self.peers, |_| Peer::new(wires));
        for (seat, peer) in moves.to.all().zip(self.peers.iter_mut()) {
            if moves.seat_before(seat).is_some() {
                peer.reaches = moves.links(mem::take(&mut peer.reaches), || Reach::new(interface));
                peer.heard = moves.links(mem::take(&mut peer.heard), Heard::default);
            }
        }
        self.changed = true;
    }

    /// From now on, this is the longest datagram that the interface of a network allows.
    pub(in crate::multipath) fn set_interface(&mut self, now: Instant, network: NetworkId, bytes: usize) {
        let place = usize::from(network.0);
        let Some(wire) = self.wires.get_mut(place) else { return };
        let interface = length(bytes).max(SHORTEST_INTERFACE).min(self.wanted);
        if interface == wire.interface {
            return;
        }
        wire.interface = interface;
        for peer in self.peers.iter_mut() {
            let reach = &mut peer.reaches[place];
            reach.proved = reach.proved.min(interface);
            reach.try_again(now);
        }
        self.changed = true;
    }

    /// Updates which daemons live, their round trips, and the networks on which they hear this daemon.
    pub(super) fn update(&mut self, now: Instant, table: &Table, paths: &Paths, matrix: &Matrix) {
        let mut way = Duration::ZERO;
        for seat in table.others() {
            let alive = paths.is_alive(now, seat);
            let hears = if alive { matrix.hears(seat, table.me()) } else { Networks::NONE };
            let peer = &mut self.peers[seat];
            if alive {
                way = way.max(paths.round_trip(seat));
            }
            let comes = mem::replace(&mut peer.alive, alive) != alive;
            self.changed |= comes;
            let new = hears - mem::replace(&mut peer.hears, hears);
            for (reach, network) in peer.reaches.iter_mut().zip(0..) {
                if comes && alive || new.has(NetworkId(network)) {
                    reach.try_again(now);
                }
            }
        }
        self.gap = GAP + way.min(WAY_LIMIT);
    }

    /// A daemon is heard with this life. The lengths that an earlier life had are forgotten.
    pub(super) fn on_life(&mut self, daemon: Seat, life: Incarnation) {
        let peer = &mut self.peers[daemon];
        if peer.life.replace(life).is_some_and(|before| before != life) {
            *peer = Peer { life: Some(life), ..Peer::new(&self.wires) };
            self.changed = true;
        }
    }

    /// Data is sent that may be too long for some path.
    pub(in crate::multipath) fn on_data(&mut self, now: Instant) {
        for (place, wire) in self.wires.iter_mut().enumerate().filter(|(_, wire)| now >= wire.check) {
            wire.check = now + CHECK;
            for peer in self.peers.iter_mut().filter(|peer| peer.alive) {
                self.changed |= peer.reaches[place].check(now);
            }
        }
    }

    /// When the next round or answer is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let rounds = (0..self.wires.len()).filter_map(|place| self.round_due(place));
        rounds.chain(self.answer_due).min()
    }

    fn round_due(&self, place: usize) -> Option<Instant> {
        let wire = &self.wires[place];
        let waits = self.peers.iter().filter(|peer| peer.alive).any(|peer| peer.reaches[place].left > 0);
        waits.then_some(wire.sent + self.gap)
    }

    /// The next round that is due.
    pub(in crate::multipath) fn poll_round(&mut self, now: Instant) -> Option<Round> {
        let place = (0..self.wires.len()).find(|&place| self.round_due(place).is_some_and(|due| due <= now))?;
        let wire = &mut self.wires[place];
        let interface = wire.interface;
        wire.round = wire.round.wrapping_add(1);
        wire.sent = now;
        let mut lengths = vec![LOWEST.min(interface)];
        for reach in self.peers.iter_mut().filter(|peer| peer.alive).map(|peer| &mut peer.reaches[place]) {
            lengths.push(reach.proved);
            if reach.missed > 0 || (reach.proved < interface && now >= reach.retry) {
                lengths.extend(RUNGS.into_iter().filter(|&rung| rung < interface).chain([interface]));
            }
            reach.on_round(now);
        }
        lengths.sort_unstable();
        lengths.dedup();
        Some(Round { network: NetworkId(place as u8), number: wire.round, lengths })
    }

    /// A probe of another daemon came directly on a network. The answer follows soon.
    pub(in crate::multipath) fn on_probe(
        &mut self,
        now: Instant,
        from: Seat,
        network: NetworkId,
        (round, bytes): (u32, usize),
    ) {
        let Some(heard) = self.peers[from].heard.get_mut(usize::from(network.0)) else { return };
        // Round numbers wrap after some years, and start again with each life. A late probe of an earlier round does no harm: nobody waits for
        // the answer to that round.
        if heard.round != round {
            *heard = Heard { round, ..Heard::default() };
        }
        if length(bytes) > heard.length {
            (heard.length, heard.answered) = (length(bytes), false);
            let due = now + ANSWER_DELAY;
            self.answer_due = Some(self.answer_due.map_or(due, |before| before.min(due)));
        }
    }

    /// The answers that are due, up to the limit of one packet.
    pub(in crate::multipath) fn poll_answers(&mut self, now: Instant, table: &Table) -> Option<Vec<SizeAnswer>> {
        self.answer_due.filter(|&due| due <= now)?;
        let mut answers = Vec::new();
        let heard = table.all().zip(self.peers.iter_mut());
        let each =
            heard.flat_map(|(seat, peer)| peer.heard.iter_mut().zip(0..).map(move |(heard, n)| (seat, n, heard)));
        for (seat, network, heard) in each.filter(|(.., heard)| heard.length > 0 && !heard.answered) {
            if answers.len() == SizeAnswer::LIMIT {
                return Some(answers);
            }
            heard.answered = true;
            let (network, round, length) = (NetworkId(network), heard.round, heard.length);
            answers.push(SizeAnswer { daemon: seat.to_wire(), network, round, length });
        }
        self.answer_due = None;
        (!answers.is_empty()).then_some(answers)
    }

    /// A daemon reports which of our probes arrived.
    pub(in crate::multipath) fn on_answer(&mut self, now: Instant, from: Seat, answer: &SizeAnswer) {
        let place = usize::from(answer.network.0);
        let Some(wire) = self.wires.get(place) else { return };
        let reach = &mut self.peers[from].reaches[place];
        // Answers to rounds that were never sent, or sent long ago, are ignored.
        if wire.round.wrapping_sub(answer.round) > u32::from(u8::MAX) {
            return;
        }
        let before = (reach.proved, reach.answers);
        reach.on_answer(now, wire, answer.round, answer.length.min(wire.interface));
        self.changed |= before != (reach.proved, reach.answers);
    }

    /// The lengths of all paths, if they have changed since the last call.
    pub(in crate::multipath) fn take_lengths(&mut self, table: &Table) -> Option<Lengths> {
        if !mem::take(&mut self.changed) {
            return None;
        }
        let mut lengths = Lengths::new(self.wires.iter().map(|wire| FLOOR.min(wire.interface)));
        for (seat, peer) in table.others().map(|seat| (seat, &self.peers[seat])) {
            lengths.set_one(table.id(seat), peer.reaches.iter().map(|reach| reach.proved));
        }
        for (place, wire) in self.wires.iter().enumerate() {
            let near = self.peers.iter().filter(|peer| peer.alive && peer.counts(place));
            let least = near.map(|peer| peer.reaches[place].proved).min();
            lengths.set_all(NetworkId(place as u8), least, wire.interface);
        }
        Some(lengths)
    }

    /// The paths that have carried less than their interface for some time.
    pub(super) fn short(&self, now: Instant, table: &Table) -> impl Iterator<Item = Short> {
        let lasting = move |reach: &&Reach| {
            let is_old = |since: Instant| now.since(since) >= LASTING;
            reach.short_answers >= RISES && reach.short_since.is_some_and(is_old)
        };
        let peers = table.others().map(|seat| (seat, &self.peers[seat])).filter(|(_, peer)| peer.alive);
        peers.flat_map(move |(daemon, peer)| {
            let reaches = peer.reaches.iter().zip(&self.wires).zip(0..);
            reaches.filter(move |((reach, _), _)| lasting(reach)).map(move |((reach, wire), n)| Short {
                daemon,
                network: NetworkId(n),
                passes: reach.proved,
                interface: wire.interface,
            })
        })
    }
}

impl Wire {
    fn new(interface: u16) -> Wire {
        Wire { interface, round: 0, sent: Instant::ZERO, check: Instant::ZERO }
    }
}

impl Peer {
    fn new(wires: &[Wire]) -> Peer {
        let reaches = wires.iter().map(|wire| Reach::new(wire.interface)).collect();
        Peer { alive: false, life: None, hears: Networks::NONE, reaches, heard: vec![Heard::default(); wires.len()] }
    }

    /// Whether datagrams for all daemons on this network must be short enough for this daemon. This is so if it is reachable there, or if nobody
    /// knows on which network it is reachable.
    fn counts(&self, place: usize) -> bool {
        self.reaches[place].answers || self.reaches.iter().all(|reach| !reach.answers)
    }
}

impl Reach {
    fn new(interface: u16) -> Reach {
        Reach {
            proved: FLOOR.min(interface),
            answers: false,
            silent: 0,
            left: 0,
            missed: 0,
            missed_round: 0,
            fits: 0,
            risen: 0,
            risen_round: 0,
            rise: 0,
            lowered_round: 0,
            retry: Instant::ZERO,
            pause: FIRST_PAUSE,
            lowered: None,
            short_since: None,
            short_answers: 0,
        }
    }

    /// Something has changed. The length that passes now must be measured at once.
    fn try_again(&mut self, now: Instant) {
        (self.retry, self.left, self.silent) = (now, SERIES, 0);
    }

    /// Long data is sent, so a series of probes must test whether it arrives. Returns whether the path became silent.
    fn check(&mut self, now: Instant) -> bool {
        let silent = self.answers && self.silent >= SILENT;
        self.answers &= !silent;
        // A silent path is probed again only when `retry` has come. Before that, the reports show when the path works again.
        if self.silent < SILENT || now >= self.retry {
            self.left = SERIES;
            self.silent = self.silent.saturating_add(1);
        }
        silent
    }

    /// A round was sent.
    fn on_round(&mut self, now: Instant) {
        let tried = now >= self.retry;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && tried {
            self.retry = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The answer to a round arrived: `bytes` is the longest probe of it that passed.
    fn on_answer(&mut self, now: Instant, wire: &Wire, round: u32, bytes: u16) {
        (self.answers, self.silent) = (true, 0);
        if bytes < self.proved {
            self.on_miss(now, wire, round, bytes);
        } else {
            (self.missed, self.fits) = (0, 0);
            if bytes > self.proved && is_later(round, self.lowered_round) {
                self.on_rise(round, bytes);
            }
            if self.proved >= wire.interface || now < self.retry {
                self.left = 0;
            }
        }
        if self.proved >= wire.interface {
            (self.short_since, self.short_answers) = (None, 0);
        } else {
            self.short_since.get_or_insert(now);
            self.short_answers = self.short_answers.saturating_add(1);
        }
    }

    /// The short probes of a round arrived. The probes of the length in use did not.
    fn on_miss(&mut self, now: Instant, wire: &Wire, round: u32, bytes: u16) {
        if !is_later(round, self.lowered_round) {
            return;
        }
        if is_later(round, self.missed_round) {
            (self.missed, self.missed_round) = (self.missed.saturating_add(1), round);
        }
        self.fits = self.fits.max(bytes);
        if self.missed < MISSES {
            self.left = self.left.max(MISSES.saturating_sub(self.missed));
            return;
        }
        let often = self.lowered.is_some_and(|at| now.since(at) < STEADY);
        self.pause = if often { (self.pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        self.proved = self.fits.max(LOWEST.min(wire.interface));
        (self.missed, self.fits, self.risen, self.left) = (0, 0, 0, 0);
        (self.lowered, self.lowered_round, self.retry) = (Some(now), wire.round, now + self.pause);
    }

    /// A round proved more than the present length.
    fn on_rise(&mut self, round: u32, bytes: u16) {
        // If the path never lost a length, one round is enough.
        if self.lowered.is_none() {
            self.proved = bytes;
            return;
        }
        if round != self.risen_round {
            let follows = self.risen > 0 && round == self.risen_round.wrapping_add(1);
            (self.risen, self.rise) = if follows { (self.risen + 1, self.rise.min(bytes)) } else { (1, bytes) };
            self.risen_round = round;
        }
        if self.risen >= RISES {
            (self.proved, self.risen) = (self.rise, 0);
        }
    }
}

/// Whether a round came after another one, despite the wrap of the numbers.
fn is_later(round: u32, than: u32) -> bool {
    round.wrapping_sub(than).wrapping_sub(1) < u32::MAX / 2
}

/// Converts a length to the type used here. No datagram is longer than a `u16` can hold.
fn length(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    const ONE: NetworkId = NetworkId(0);
    const JUMBO: u16 = 8972;

    /// This daemon, two other living daemons, and the length that passes to each of them on each of two networks.
    struct Story {
        sizes: Sizes,
        table: Table,
        now: Instant,
        passes: [[u16; 2]; 2],
        rounds: usize,
    }

    impl Story {
        /// The longest wanted datagram passes on every path.
        fn begin() -> Story {
            let table = Table::new(DaemonId(1), &[1, 2, 3].map(DaemonId), &[]);
            let mut sizes = Sizes::new(&table, 2, usize::from(JUMBO));
            for other in table.others() {
                sizes.peers[other].alive = true;
            }
            let now = Instant::from_millis(1000);
            (0..2).for_each(|network| sizes.set_interface(now, NetworkId(network), usize::from(JUMBO)));
            Story { sizes, table, now, passes: [[JUMBO; 2]; 2], rounds: 0 }
        }

        /// Time passes. Each round is answered after one millisecond.
        fn run(&mut self, millis: u64) {
            let end = self.now + Duration::from_millis(millis);
            while let Some(due) = self.sizes.due().filter(|&due| due < end) {
                self.now = self.now.max(due);
                let round = self.sizes.poll_round(self.now).expect("it is due");
                self.rounds += 1;
                for (place, passes) in self.passes.into_iter().enumerate() {
                    let passes = passes[usize::from(round.network.0)];
                    let came = round.lengths.iter().copied().filter(|&length| length <= passes).max();
                    let Some(length) = came else { continue };
                    let answer = SizeAnswer { daemon: 0, network: round.network, round: round.number, length };
                    self.sizes.on_answer(self.now + Duration::from_millis(1), Seat::new(place + 1), &answer);
                }
            }
            self.now = end;
        }

        /// Data is sent all the time.
        fn send(&mut self, millis: u64) {
            for _ in 0..millis / 10 {
                self.sizes.on_data(self.now);
                self.run(10);
            }
        }

        /// The limit for datagrams to all daemons on each network, and the limit for a packet that goes to all on both networks.
        fn lengths(&mut self) -> ([usize; 2], usize) {
            self.sizes.changed = true;
            let lengths = self.sizes.take_lengths(&self.table).expect("they have changed");
            ([0, 1].map(|network| lengths.of(None, NetworkId(network))), lengths.everywhere(Networks::first(2)))
        }

        fn short(&self) -> Vec<(usize, u8, u16)> {
            let short = self.sizes.short(self.now, &self.table);
            short.map(|short| (short.daemon.number(), short.network.0, short.passes)).collect()
        }
    }

    #[test]
    fn nothing_longer_than_the_floor_is_used_before_it_is_proved() {
        let mut story = Story::begin();
        assert_eq!(story.lengths(), ([1232; 2], 1232));
        story.run(10);
        assert_eq!(story.lengths(), ([8972; 2], 8972), "one round is enough");
        assert_eq!(story.rounds, 2, "one on each network");
        story.run(10_000);
        assert_eq!(story.rounds, 2, "nothing is sent, so nothing is probed");
    }

    #[test]
    fn one_daemon_that_takes_less_counts_for_all_on_its_network() {
        let mut story = Story::begin();
        story.passes[1][1] = 1472;
        story.run(100);
        assert_eq!(story.lengths(), ([8972, 1472], 1472));
        assert_eq!(story.short(), [], "it may be by chance");
        story.run(1000);
        assert_eq!(story.short(), [(2, 1, 1472)]);
        let lengths = {
            story.sizes.changed = true;
            story.sizes.take_lengths(&story.table).unwrap()
        };
        assert_eq!([2, 3].map(|daemon| lengths.of(Some(DaemonId(daemon)), NetworkId(1))), [8972, 1472]);
        assert_eq!(lengths.short().bits(), 2);
    }

    #[test]
    fn a_length_that_vanishes_under_load_is_given_up_within_a_quarter_of_a_second() {
        let mut story = Story::begin();
        story.send(1000);
        let before = story.rounds;
        assert!(before < 15, "a healthy network is checked every 200 ms: {before}");
        story.passes[0][0] = 1480;
        story.send(250);
        assert_eq!(story.lengths(), ([1472, 8972], 1472));
    }

    #[test]
    fn after_a_quiet_time_the_first_long_packet_shows_it() {
        let mut story = Story::begin();
        story.run(5000);
        story.passes = [[1300, JUMBO]; 2];
        story.sizes.on_data(story.now);
        story.run(45);
        assert_eq!(story.lengths(), ([1232, 8972], 1232));
    }

    #[test]
    fn what_was_given_up_is_tried_again_with_pauses_that_double() {
        let mut story = Story::begin();
        story.send(500);
        story.passes[0][0] = 1480;
        story.send(700);
        let rounds: Vec<usize> = (0..10)
            .map(|_| {
                let before = story.rounds;
                story.send(1000);
                story.rounds - before
            })
            .collect();
        let quiet = rounds.iter().filter(|&&rounds| rounds <= 10).count();
        assert!(quiet >= 6, "tried at 1, 3, 7 s: {rounds:?}");
        story.passes[0][0] = JUMBO;
        story.send(8000);
        assert_eq!(story.lengths(), ([8972; 2], 8972));
        assert_eq!(story.short(), []);
    }

    #[test]
    fn a_lost_probe_is_no_reason_to_give_up_a_length() {
        let mut story = Story::begin();
        story.run(50);
        for n in 0..500 {
            // Two rounds in three lose the long probes.
            story.passes[0][0] = if n % 3 == 0 { JUMBO } else { 1300 };
            story.sizes.on_data(story.now);
            story.run(10);
            assert_eq!(story.lengths().0[0], 8972);
        }
    }

    #[test]
    fn who_answers_on_another_network_only_does_not_count_where_nothing_comes() {
        let mut story = Story::begin();
        story.passes[0][1] = 0;
        story.run(100);
        assert_eq!(story.lengths(), ([8972; 2], 8972), "there it is reached otherwise");
        story.passes[0] = [0, 0];
        story.send(3000);
        assert_eq!(story.lengths().1, 1232, "nobody knows where it is reached, so it counts everywhere");
    }

    #[test]
    fn an_interface_that_takes_less_counts_at_once() {
        let mut story = Story::begin();
        story.run(50);
        story.sizes.set_interface(story.now, ONE, 1272);
        assert_eq!(story.lengths(), ([1272, 8972], 1272));
        story.passes = [[1272, JUMBO]; 2];
        story.run(5000);
        assert_eq!((story.short(), story.lengths().0[0]), (vec![], 1272));
        story.sizes.set_interface(story.now, ONE, usize::from(JUMBO));
        assert_eq!(story.lengths().0[0], 1272, "more must be proved");
        story.passes = [[JUMBO; 2]; 2];
        story.run(50);
        assert_eq!(story.lengths(), ([8972; 2], 8972));
    }

    #[test]
    fn another_life_is_another_way() {
        let mut story = Story::begin();
        story.sizes.on_life(Seat::new(1), Incarnation(5));
        story.run(50);
        story.sizes.on_life(Seat::new(1), Incarnation(5));
        assert_eq!(story.lengths().1, 8972);
        story.sizes.on_life(Seat::new(1), Incarnation(6));
        story.sizes.peers[Seat::new(1)].alive = true;
        assert_eq!(story.lengths().1, 1232);
    }

    #[test]
    fn probes_are_answered_once_and_again_when_a_longer_one_comes() {
        let mut story = Story::begin();
        let (from, mut at) = (Seat::new(2), story.now);
        let mut answers = |sizes: &mut Sizes, lengths: &[usize]| {
            lengths.iter().for_each(|&length| sizes.on_probe(at, from, ONE, (7, length)));
            at += ANSWER_DELAY;
            let answers = sizes.poll_answers(at, &story.table);
            answers.map(|all| all.iter().map(|answer| (answer.daemon, answer.round, answer.length)).collect::<Vec<_>>())
        };
        assert_eq!(answers(&mut story.sizes, &[564, 1232, 900]), Some(vec![(2, 7, 1232)]));
        assert_eq!(answers(&mut story.sizes, &[1232]), None);
        assert_eq!(answers(&mut story.sizes, &[8972]), Some(vec![(2, 7, 8972)]));
    }

    #[test]
    fn answers_that_cannot_be_change_nothing() {
        let mut story = Story::begin();
        story.run(5);
        for (network, round, length) in [(0, 77, JUMBO), (0, 0, 564), (7, 1, 564), (0, 1, u16::MAX)] {
            let answer = SizeAnswer { daemon: 0, network: NetworkId(network), round, length };
            story.sizes.on_answer(story.now, Seat::new(1), &answer);
        }
        assert_eq!(story.lengths(), ([8972; 2], 8972));
    }
}
