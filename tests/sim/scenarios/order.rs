//! Order, the token and retransmission.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use spread::wire::{Data, Header, Packet, RingId, Token};

use super::*;
use crate::trace::Event;
use crate::world::Flight;

/// What travels in a datagram; nothing if that is no matter of rings.
fn packet(flight: &Flight<'_>) -> Option<Packet> {
    (!flight.is_of_paths())
        .then(|| Packet::decode(flight.kind(), &flight.bytes.tail(Header::SIZE)).expect("daemons send packets"))
}

/// Who made it; somebody else may have relayed it.
fn sender(flight: &Flight<'_>) -> usize {
    let header = flight.header();
    header.sender.0 as usize - 1
}

/// S03: each of the first tokens of a ring, from recovery on, is lost once, twice, three times in a row.
#[test]
pub(super) fn any_of_the_first_tokens_may_be_lost() {
    for lost in 1..=36 {
        for times in 1..=3 {
            let mut world = started(4, 1, true);
            let mut left = times;
            world.set_rule(Box::new(move |flight| match packet(flight) {
                Some(Packet::Token(token)) if token.hop == FIRST_NUMBER.get() + lost && left > 0 => {
                    left -= 1;
                    vec![]
                }
                _ => vec![Duration::ZERO],
            }));
            load(&mut world, SECOND, 100);
            world.run(SECOND * 2);
            assert_masked(&world);
        }
    }
}

/// What daemons have and what the token says, as seen from the networks.
#[derive(Default)]
struct Seen {
    ring: Option<RingId>,
    /// When each daemon got each packet, by number.
    got: Vec<BTreeMap<u64, Instant>>,
    origins: BTreeMap<u64, usize>,
    /// Who passed what on, and when.
    tokens: Vec<(usize, Instant, Token)>,
}

impl Seen {
    fn data(&mut self, flight: &Flight<'_>, data: &Data, arrives: Option<Instant>) {
        self.origins.insert(data.seq, data.origin.0 as usize - 1);
        // Whoever sends it has it, though it may have numbered it for somebody else.
        self.got[sender(flight)].entry(data.seq).or_insert(flight.now);
        if let Some(at) = arrives {
            self.got[flight.to].entry(data.seq).or_insert(at);
        }
    }

    fn has(&self, daemon: usize, seq: u64, at: Instant) -> bool {
        self.got[daemon].get(&seq).is_some_and(|got| *got <= at)
    }

    /// What the token says in a whole rotation, everybody has. Returns how many packets that was said of.
    fn check(&self) -> usize {
        let (mut passed, mut checked) = (BTreeMap::new(), 0);
        for (from, at, token) in &self.tokens {
            let Some((_, before)) = passed.insert(*from, (token.hop, token.aru)).filter(|(hop, _)| *hop < token.hop)
            else {
                continue;
            };
            for seq in self.origins.range(..=token.aru.min(before)).map(|(seq, _)| *seq).filter(|seq| *seq > checked) {
                let lacks = (0..self.got.len()).find(|daemon| !self.has(*daemon, seq, *at));
                assert_eq!(lacks, None, "{from} knows at {at:?} that everybody has {seq}: {token:?}");
            }
            checked = checked.max(token.aru.min(before));
        }
        self.origins.range(..=checked).count()
    }

    /// The longest time without a step of aru while packets are missing, in visits of the token.
    fn longest_standstill(&self) -> u64 {
        let (mut longest, mut since) = (0, None);
        for (_, _, token) in &self.tokens {
            let (aru, hop) = *since.get_or_insert((token.aru, token.hop));
            if aru != token.aru || token.aru == token.seq {
                since = Some((token.aru, token.hop));
            } else {
                longest = longest.max(token.hop.saturating_sub(hop));
            }
        }
        longest
    }
}

/// S04: whoever lacks a packet keeps aru below it in some token of each rotation, and aru goes on while there is loss.
#[test]
pub(super) fn aru_never_passes_what_a_member_lacks() {
    const DAEMONS: usize = 4;
    let mut world = whole(DAEMONS, 1);
    world.run(SECOND / 10);
    let steady = Quality { jitter: Duration::ZERO, ..Quality::good() };
    world.links.heal(&steady);
    let seen = Rc::new(RefCell::new(Seen { got: vec![BTreeMap::new(); DAEMONS], ..Seen::default() }));
    let (watch, mut rng) = (Rc::clone(&seen), Rng::new(4));
    world.set_rule(Box::new(move |flight| {
        let (mut seen, lost) = (watch.borrow_mut(), rng.chance(0.2));
        match packet(flight) {
            Some(Packet::Data(data)) if *seen.ring.get_or_insert(data.ring) == data.ring => {
                seen.data(flight, &data, (!lost).then(|| flight.now + steady.delay));
            }
            Some(Packet::Token(token)) if seen.ring.is_none_or(|ring| ring == token.ring) => {
                seen.tokens.push((sender(flight), flight.now, token));
            }
            _ => {}
        }
        if lost { vec![] } else { vec![Duration::ZERO] }
    }));
    load(&mut world, SECOND * 2, 3000);
    world.run(SECOND * 5);
    assert_masked(&world);
    let seen = seen.borrow();
    assert!(seen.check() > 200, "there was load");
    let standstill = seen.longest_standstill();
    assert!(standstill <= 20 * DAEMONS as u64, "aru stood still for {standstill} visits");
}

/// S08: a third of everything is lost while a window of 1000 is full: tokens and packets still fit a datagram, and nobody asks for what
/// was numbered in the last rotation and may be on its way.
#[test]
pub(super) fn requests_fit_a_datagram_whatever_is_lost() {
    let mut world = started_with(4, 1, true, |config| (config.window, config.personal_window) = (1000, 1000));
    assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
    let largest = Rc::new(RefCell::new((0, 0)));
    let (watch, mut rng, mut seqs) = (Rc::clone(&largest), Rng::new(8), BTreeMap::new());
    world.set_rule(Box::new(move |flight| {
        let (mut bytes, mut ranges) = *watch.borrow();
        bytes = bytes.max(flight.bytes.len());
        if let Some(Packet::Token(token)) = packet(flight) {
            ranges = ranges.max(token.requests.len());
            seqs.insert(token.hop, token.seq);
            let asked = token.requests.last().map_or(0, |&(first, length)| first + u64::from(length) - 1);
            let before = seqs.range(..=token.hop.saturating_sub(4)).next_back().map_or(u64::MAX, |(_, &seq)| seq);
            assert!(asked <= before, "{asked} is asked for, {before} was the last a rotation ago: {token:?}");
        }
        *watch.borrow_mut() = (bytes, ranges);
        if rng.chance(0.3) { vec![] } else { vec![Duration::ZERO] }
    }));
    for n in 0..6000 {
        world.act(Action::Submit { daemon: n % 4, service: Service::Agreed, size: 1000 });
    }
    world.run(SECOND * 30);
    let (bytes, ranges) = *largest.borrow();
    assert!(bytes <= 1472, "a datagram of {bytes} bytes");
    assert!(ranges > 90, "only {ranges} ranges of requests: too few for the test");
    assert_masked(&world);
}

/// S09: a fifth of everything is lost, everybody sends as much as possible, and everybody gets somewhere all the time.
#[test]
pub(super) fn loss_silences_no_sender() {
    let mut world = whole(4, 1);
    world.links.heal(&Quality { loss: 0.2, ..Quality::good() });
    for n in 0..12_000 {
        world.act(Action::Submit { daemon: n % 4, service: Service::Agreed, size: 1000 });
    }
    let mut before = [0; 4];
    while before.iter().sum::<usize>() < 4 * 2500 {
        world.run(SECOND / 2);
        let delivered = delivered_by_sender(&world);
        for sender in 0..4 {
            let all = delivered[sender] >= 3000;
            assert!(
                all || delivered[sender] > before[sender],
                "{sender} stands still at {:?}: {delivered:?}",
                world.now()
            );
        }
        before = delivered;
    }
    world.run(SECOND * 20);
    assert_masked(&world);
}

/// How many messages of each of four daemons the first one has delivered.
pub(super) fn delivered_by_sender(world: &World<RingDaemon>) -> [usize; 4] {
    let mut count = [0; 4];
    for event in &world.trace.processes[0].events {
        if let Event::Deliver(number) = event {
            count[world.trace.messages[*number].process] += 1;
        }
    }
    count
}

/// What may be kept from getting from one daemon to another.
#[derive(Clone, Copy, Debug)]
enum Class {
    Data,
    Retransmissions,
    Tokens,
    Membership,
    Probes,
    Rests,
    Answers,
    Handovers,
}

/// S12: on the only network, one kind of packet does not get from one daemon to another. Whatever becomes of the ring, its order
/// holds, and it does not change all the time.
#[test]
fn a_kind_of_packet_that_never_arrives_makes_no_ring_restless() {
    use Class::*;
    for class in [Data, Retransmissions, Tokens, Membership, Probes, Rests, Answers, Handovers] {
        for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            let mut world = whole(3, 1);
            let (mut known, mut rng) = (BTreeSet::new(), Rng::new(12));
            world.set_rule(Box::new(move |flight| {
                let again = match packet(flight) {
                    Some(Packet::Data(data)) => !known.insert((data.ring, data.seq, flight.to)),
                    _ => false,
                };
                let meant = match class {
                    Data => flight.kind() == PacketKind::Data && !again,
                    Retransmissions => again,
                    Tokens => flight.kind() == PacketKind::Token,
                    Membership => matches!(flight.kind(), PacketKind::Join | PacketKind::Form),
                    Probes => matches!(flight.kind(), PacketKind::Probe | PacketKind::Hurry),
                    Rests => flight.kind() == PacketKind::Rest,
                    Answers => flight.kind() == PacketKind::Have,
                    Handovers => flight.kind() == PacketKind::Handover,
                };
                let blocked = meant && (flight.from, flight.to) == (from, to);
                if blocked || rng.chance(0.02) { vec![] } else { vec![Duration::ZERO] }
            }));
            load(&mut world, SECOND * 60, 600);
            world.run(SECOND * 60);
            let before = world.tally.configurations;
            world.run(SECOND * 60);
            let changes = world.tally.configurations - before;
            assert!(
                changes <= 18,
                "{changes} configurations in the second minute without {class:?} from {from} to {to}"
            );
            check_safety(&world.trace).unwrap_or_else(|broken| panic!("{class:?} from {from} to {to}: {broken}"));
            world.clear_rule();
            assert_healed(&mut world, SECOND * 35);
        }
    }
}

/// S14: everything that was ever sent arrives once more, minutes later, in rings that have changed since. That a packet is of an
/// earlier life of its sender is known to multipath only.
#[test]
fn packets_of_minutes_ago_are_harmless() {
    for filtered in [true, false] {
        let mut world = started(4, 1, filtered);
        assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
        world.set_rule(Box::new(|_| vec![Duration::ZERO, SECOND * 120]));
        load(&mut world, SECOND * 20, 400);
        for sides in [[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 0], [0, 0, 0, 0]] {
            world.run(SECOND * 5);
            world.act(Action::Partition(sides.to_vec()));
        }
        if filtered {
            world.act(Action::Crash(2));
        }
        world.run(SECOND * 2);
        world.act(Action::Start(2));
        world.run(SECOND * 93);
        world.clear_rule();
        assert!(world.is_whole(), "the ring is whole before the past comes back");
        let before = world.tally.configurations;
        load(&mut world, SECOND * 30, 300);
        world.run(SECOND * 125);
        assert_eq!(world.tally.configurations, before, "the past changes nothing, filtered: {filtered}");
        assert_healed(&mut world, SECOND);
    }
}
