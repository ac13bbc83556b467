//! Two lives of one member, before anybody can prove that two hosts run.

use std::collections::BTreeSet;

use super::*;
use crate::wire::{Form, FormMember, RingId};

/// The member that was cloned, the one that it gives up, and one that hears of that.
const CLONED: DaemonId = DaemonId(1);
const GIVEN_UP: DaemonId = DaemonId(2);
const LISTENER: DaemonId = DaemonId(4);

/// A join of the cloned daemon in this life, which gives up these members, arrives at the listener. Returns whom the listener then gives up.
fn hears(bus: &mut Bus, life: u64, failed: &[DaemonId]) -> BTreeSet<DaemonId> {
    let listener = bus.rings.get_mut(&LISTENER).unwrap();
    let join = Join {
        origin: CLONED,
        incarnation: Incarnation(life),
        sequence: listener.core.sequence,
        leaving: false,
        present: (1..=4).map(DaemonId).collect(),
        failed: failed.iter().copied().collect(),
    };
    listener.handle_packet(bus.now, CLONED, Packet::Join(join));
    listener.core.said.clone().unwrap().failed
}

/// Daemons 1 and 2 did not hear each other, because the address of daemon 1 leads to either host.
#[test]
fn a_member_that_speaks_again_after_another_life_of_it_parts_nobody() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    assert!(hears(&mut bus, 2, &[]).is_empty());
    assert_eq!(hears(&mut bus, 1, &[GIVEN_UP]), [CLONED].into(), "the two hosts seem to be one daemon");
}

#[test]
fn a_member_of_one_life_is_believed_that_another_one_is_gone() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    assert!(hears(&mut bus, 1, &[]).is_empty());
    assert_eq!(hears(&mut bus, 1, &[GIVEN_UP]), [GIVEN_UP].into());
}

/// The listener has heard no join of the other life, but agreed to a ring with it.
#[test]
fn a_member_that_speaks_again_after_an_agreement_with_another_life_parts_nobody() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    assert!(hears(&mut bus, 1, &[]).is_empty());
    let sequence = bus.rings[&LISTENER].core.sequence + 1;
    let State::Gather(gather) = &bus.rings[&LISTENER].state else { panic!("it gathers") };
    let brings = Some(gather.owed.brings());
    let member = |n: u32| FormMember {
        daemon: DaemonId(n),
        incarnation: Incarnation(if n == 1 { 2 } else { 1 }),
        brings: brings.filter(|_| n < 4),
    };
    let ring = RingId { sequence, representative: CLONED };
    let form = Form { ring, hop: 3, members: (1..=4).map(member).collect() };
    let parts: Vec<FormPart> = form.parts().collect();
    for part in parts {
        bus.rings.get_mut(&LISTENER).unwrap().handle_packet(bus.now, DaemonId(3), Packet::Form(part));
    }
    assert_eq!(bus.rings[&LISTENER].state_name(), "form");
    assert_eq!(hears(&mut bus, 1, &[GIVEN_UP]), [CLONED].into());
}
