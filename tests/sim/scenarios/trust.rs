//! What a failed recovery leaves behind: packets behind a hole that somebody has already delivered, or may have.

use std::cell::RefCell;
use std::rc::Rc;

use spread::wire::{Header, NetworkId, Packet, RingId, Slice};

use super::*;
use crate::checker::Verdict;

/// Hops of the new ring's token at which something happens.
const HOPS: u64 = 24;
/// Daemon 3 has died; on which side each of the others is when the recovery breaks.
const SPLITS: [[u8; 5]; 6] =
    [[0, 1, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 1, 0, 0, 1], [1, 0, 0, 0, 1]];
/// Histories of [`a_recovery_breaks`].
pub const BREAKS: u64 = HOPS * SPLITS.len() as u64 * 4;
/// Histories of [`a_packet_comes_late`].
const LATE: u64 = HOPS * 3;

/// Five daemons share a ring in which packets are lost for good with their sender, and safe messages lie behind it. Daemon 4 is cut off
/// from the others, who recover. At a certain hop their token is lost and they are parted too, and daemon 4 is with some of them again
/// before it has given anybody up. In most histories one of the three leaves at that moment, so that its companions need not wait for
/// a timeout.
pub fn a_recovery_breaks(history: u64) -> Verdict {
    a_recovery_of(Lost::Packets, history)
}

/// The same, but what is lost are the numbers that daemon 3 gave to packets of the others, which were handed over to it.
pub fn a_recovery_with_claims_breaks(history: u64) -> Verdict {
    a_recovery_of(Lost::Numbers, history)
}

fn a_recovery_of(lost: Lost, history: u64) -> Verdict {
    let splits = SPLITS.len() as u64;
    let (hop, split, leaver) = (1 + history / splits / 4, SPLITS[(history % splits) as usize], history / splits % 4);
    let mut story = Story::begin(lost, hop, true);
    story.world.act(Action::Partition(split.to_vec()));
    if leaver < 3 {
        story.world.act(Action::Leave(leaver as usize));
    }
    story.end()
}

/// The same, but nothing breaks the recovery; at a certain hop the lost packet arrives at one of the three.
fn a_packet_comes_late(history: u64) -> Verdict {
    let mut story = Story::begin(Lost::Packets, 1 + history / 3, false);
    let (network, packet) = story.watch.borrow_mut().lost.take().expect("daemon 3 has sent one");
    story.world.visit((history % 3) as usize, |daemon, now| daemon.handle_datagram(now, network, &packet));
    story.end()
}

/// What only daemon 3 has, which dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Packets,
    Numbers,
}

struct Story {
    world: World<RingDaemon>,
    watch: Rc<RefCell<Watch>>,
}

/// What the networks have seen.
#[derive(Default)]
struct Watch {
    /// The packet that only its sender has.
    lost: Option<(NetworkId, Slice)>,
    /// The ring after the first one.
    next: Option<RingId>,
    /// Its token is at the hop in question.
    reached: bool,
}

impl Story {
    /// Until the hop, at which the token is lost if it `breaks`.
    fn begin(lost: Lost, hop: u64, breaks: bool) -> Story {
        let mut world = whole(5, 1);
        world.run(SECOND / 10);
        // So much that it needs the token, and numbers most of it itself.
        let flood = |world: &mut World<RingDaemon>| {
            (0..8).for_each(|_| world.act(Action::Submit { daemon: 3, service: Service::Agreed, size: 1400 }));
        };
        if lost == Lost::Numbers {
            // And then the token rests there.
            flood(&mut world);
            world.run(SECOND / 5);
        }
        let mut story = Story { world, watch: Rc::default() };
        story.lose(hop, breaks);
        let world = &mut story.world;
        if lost == Lost::Packets {
            flood(world);
            world.run(MILLI * 3);
        }
        for daemon in [0, 1, 2, 4] {
            world.act(Action::Submit { daemon, service: Service::Safe, size: 100 });
            world.act(Action::Submit { daemon, service: Service::Agreed, size: 100 });
        }
        world.run(MILLI * 20);
        world.act(Action::Crash(3));
        world.act(Action::Partition(vec![0, 0, 0, 0, 1]));
        let end = world.now() + SECOND * 3;
        while !story.watch.borrow().reached && world.now() < end {
            world.run(Duration::from_micros(50));
        }
        story
    }

    /// Nothing that daemon 3 numbers gets through from now on.
    fn lose(&mut self, hop: u64, breaks: bool) {
        let old = self.world.trace.current(0).expect("it is in a ring").ring;
        let watch = Rc::clone(&self.watch);
        self.world.set_rule(Box::new(move |flight| {
            let mut watch = watch.borrow_mut();
            let lost = match Packet::decode(flight.kind(), &flight.bytes.tail(Header::SIZE)) {
                Ok(Packet::Token(token)) if flight.from < 3 && token.ring != old => {
                    let ours = *watch.next.get_or_insert(token.ring) == token.ring;
                    let there = ours && token.hop >= FIRST_NUMBER.get() + hop;
                    watch.reached |= there;
                    breaks && there
                }
                Ok(Packet::Data(_)) if flight.from == 3 => {
                    watch.lost.get_or_insert((flight.network, flight.bytes.clone()));
                    true
                }
                _ => false,
            };
            if lost { vec![] } else { vec![Duration::ZERO] }
        }));
    }

    /// Everything heals.
    fn end(self) -> Verdict {
        let mut world = self.world;
        world.run(SECOND * 4);
        world.clear_rule();
        world.links.heal(&Quality::good());
        (0..5).for_each(|daemon| world.act(Action::Start(daemon)));
        world.run_until_whole(SECOND * 10);
        world.run(SECOND);
        check_safety(&world.trace)?;
        check_quiescence(&world.trace)
    }
}

/// S21, S23: whatever was delivered, and to whom, when a recovery breaks, everybody else sticks to it.
#[test]
fn what_a_broken_recovery_has_delivered_binds_everybody() {
    for history in 0..BREAKS {
        a_recovery_breaks(history).unwrap_or_else(|broken| panic!("history {history}: {broken}"));
    }
}

/// S60: those who have promised to deliver a packet by its claim stick to it too.
#[test]
fn what_a_broken_recovery_has_promised_binds_everybody() {
    for history in 0..BREAKS {
        a_recovery_with_claims_breaks(history).unwrap_or_else(|broken| panic!("history {history}: {broken}"));
    }
}

/// S20, S23: a packet that arrives at one member alone while what is owed is exchanged parts nobody from the others.
#[test]
fn a_packet_that_comes_too_late_stays_out() {
    for history in 0..LATE {
        a_packet_comes_late(history).unwrap_or_else(|broken| panic!("history {history}: {broken}"));
    }
}
