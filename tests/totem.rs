//! The rules of the papers, each with its test, in the papers' order.
//!
//! - *Totem SRP*: Amir, Moser, Melliar-Smith, Agarwal, Ciarfella, *The Totem Single-Ring Ordering and Membership Protocol*, ACM TOCS 13(4), 1995.
//! - *RRP*: Koch, Moser, Melliar-Smith, *The Totem Redundant Ring Protocol*, ICDCS 2002.
//! - *EVS*: Moser, Amir, Melliar-Smith, Agarwal, *Extended Virtual Synchrony*, ICDCS 1994.
//! - *Accelerated Ring*: Babay, Amir, *Fast Total Ordering for Modern Data Centers*, ICDCS 2016.
//!
//! Where the papers say processor we say daemon. The simulator checks the same promises in any history; here each rule stands alone, so
//! that a change that breaks it shows which one. A test has the name of its rule: `srp_5_2_…`, `rrp_a1_…`, `evs_7_1_…`. Rules that tests
//! elsewhere show are in the table of `totem/elsewhere.rs`, and so are the two that Torc does not keep.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

#[path = "totem/delivery.rs"]
mod delivery;
#[path = "totem/elsewhere.rs"]
mod elsewhere;
#[path = "totem/evs.rs"]
mod evs;
#[path = "totem/membership.rs"]
mod membership;
#[path = "totem/ordering.rs"]
mod ordering;
#[expect(dead_code, reason = "shared with the lessons")]
mod rings;
#[path = "totem/rrp.rs"]
mod rrp;

use rings::{Bus, Line};
use spread::ring::{Configuration, ConfigurationKind, RingEvent, RingSettings};
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Data, FormPart, Join, Packet, RingId, Service, Token};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(200);

/// A ring of daemons 1 to `count` that has nothing to do.
fn ring_of(count: u32) -> Bus {
    ring_with(count, |_| {})
}

fn ring_with(count: u32, adjust: fn(&mut RingSettings)) -> Bus {
    let mut bus = Bus::with(count, adjust);
    bus.run(SECOND);
    bus.lines.clear();
    bus
}

/// The same, and its token goes round. What is sent at once is carried by the token.
fn busy_ring_of(count: u32) -> Bus {
    busy_ring_with(count, |_| {})
}

fn busy_ring_with(count: u32, adjust: fn(&mut RingSettings)) -> Bus {
    let mut bus = Bus::with(count, adjust);
    bus.run(SECOND);
    let ring = configurations(&bus).last().unwrap().1.ring;
    bus.stir(ring);
    bus.lines.clear();
    bus
}

/// Every daemon sends so many messages, enough for several rotations.
fn flood(bus: &mut Bus, daemons: u32, messages: u32) {
    for message in 0..messages {
        for daemon in 1..=daemons {
            bus.send(daemon, Service::Agreed, &format!("{daemon}.{message} {}", "x".repeat(1000)));
        }
    }
}

fn sent(bus: &Bus) -> impl Iterator<Item = (u32, &Packet)> {
    bus.lines.iter().filter_map(|line| match line {
        Line::Sent { from, packet, .. } => Some((*from, packet)),
        Line::Delivered { .. } => None,
    })
}

fn tokens(bus: &Bus) -> Vec<(u32, &Token)> {
    sent(bus)
        .filter_map(|(from, packet)| if let Packet::Token(token) = packet { Some((from, token)) } else { None })
        .collect()
}

fn data(bus: &Bus) -> Vec<(u32, &Data)> {
    sent(bus)
        .filter_map(|(from, packet)| if let Packet::Data(data) = packet { Some((from, data)) } else { None })
        .collect()
}

fn joins(bus: &Bus) -> Vec<(u32, &Join)> {
    sent(bus)
        .filter_map(|(from, packet)| if let Packet::Join(join) = packet { Some((from, join)) } else { None })
        .collect()
}

fn forms(bus: &Bus) -> Vec<(u32, &FormPart)> {
    sent(bus)
        .filter_map(|(from, packet)| if let Packet::Form(part) = packet { Some((from, part)) } else { None })
        .collect()
}

fn configurations(bus: &Bus) -> Vec<(u32, &Configuration)> {
    let events = bus.lines.iter().filter_map(|line| match line {
        Line::Delivered { daemon, event: RingEvent::Configuration(configuration) } => Some((*daemon, configuration)),
        _ => None,
    });
    events.collect()
}

/// A history with a crash, a partition and merges.
fn eventful() -> Bus {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    bus.partition(&[&[1, 2], &[3, 4]]);
    bus.run(2 * SECOND);
    bus.heal();
    bus.run(2 * SECOND);
    bus.crash(4);
    bus.run(2 * SECOND);
    bus.start(4);
    bus.run(2 * SECOND);
    bus
}

/// The simulated time is the only clock.
#[test]
fn a_story_told_twice_is_the_same() {
    let story = || {
        let mut bus = eventful();
        bus.run(SECOND);
        (bus.now.since(Instant::ZERO), std::mem::take(&mut bus.lines))
    };
    assert_eq!(story(), story());
}
