//! Packets that somebody else writes in a member's name: none stops a daemon, and the ring is whole again when they end.

use super::*;
use crate::wire::{Data, RingId, Slice};

const VICTIM: DaemonId = DaemonId(1);
const FRIEND: DaemonId = DaemonId(2);
const WHOLE: &str = "Regular[1, 2, 3]";

/// Three daemons that share a ring with something sent, and a token that rests at the victim.
fn busy() -> Bus {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    bus.submit(2, Service::Agreed, "before");
    bus.run(SECOND / 100);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus
}

impl Bus {
    /// The victim hears this in another's name.
    fn hear(&mut self, from: DaemonId, packet: Packet) {
        self.rings.get_mut(&VICTIM).unwrap().handle_packet(self.now, from, packet);
        self.drain(VICTIM);
    }

    fn victim(&self) -> &Ring {
        &self.rings[&VICTIM]
    }

    fn ring(&self) -> RingId {
        self.victim().state.circulation().expect("the ring goes round").ring
    }

    /// A data packet of the present ring.
    fn data(&self, origin: DaemonId, seq: u64, payload: &[u8]) -> Data {
        let (offset, first_message, service) = (0, None, None);
        let (recovered, barrier_distance, claim_distance) = (false, Data::NO_BARRIER, 0);
        let (ring, payload) = (self.ring(), Slice::copy_from(payload));
        Data { ring, seq, origin, offset, first_message, service, recovered, barrier_distance, claim_distance, payload }
    }

    /// Everything works again a second after the lies have ended.
    fn is_well(&mut self) {
        self.forge = Box::new(|_, _| None);
        self.run(SECOND);
        for id in 1..=3 {
            self.submit(id, Service::Safe, &format!("from {id}"));
        }
        self.run(SECOND / 2);
        let expected = ["from 1", "from 2", "from 3"];
        for id in 1..=3 {
            let log = self.take(id);
            let last = log.iter().rfind(|line| line.starts_with("Regular"));
            assert!(last.is_none_or(|last| last == WHOLE), "{log:?}");
            let mut said: Vec<_> = log.iter().rev().take(3).map(String::as_str).collect();
            said.sort_unstable();
            assert_eq!(said, expected, "{log:?}");
        }
    }
}

#[test]
fn a_ring_sequence_that_nobody_can_have_reached_is_not_learnt() {
    let mut bus = busy();
    for sequence in [(1 << 62) - 1, (1 << 62) - 2, (1 << 61) + (1 << 40)] {
        let present = [VICTIM, FRIEND, DaemonId(3)].into();
        let (leaving, failed) = (false, Default::default());
        let join = Join { origin: FRIEND, incarnation: Incarnation(1), sequence, leaving, present, failed };
        bus.hear(FRIEND, Packet::Join(join.clone()));
        bus.hear(FRIEND, Packet::Join(Join { incarnation: Incarnation(9), ..join }));
        bus.hear(FRIEND, Packet::Probe(Probe { ring: RingId { sequence, representative: FRIEND }, answers: None }));
    }
    let dropped = &bus.victim().stats().dropped;
    assert_eq!((dropped.impossible_join, dropped.impossible_probe), (6, 3), "{dropped:?}");
    assert!(bus.victim().core.sequence < 1000);
    bus.partition(&[3]);
    bus.run(SECOND * 3);
    bus.partition(&[]);
    bus.run(SECOND * 2);
    bus.is_well();
}

#[test]
fn daemons_whose_clocks_differ_agree_soon_after_a_ring_sequence_that_only_one_of_them_believes() {
    // The clock of daemon 2 is an hour ahead.
    const HOUR: u64 = 3_600_000_000;
    let mut bus = Bus::with(3, |config| {
        config.sequence_horizon = if config.me == FRIEND { (1 << 40) + HOUR } else { 1 << 40 };
    });
    bus.run(SECOND);
    let present = [VICTIM, FRIEND, DaemonId(3)].into();
    let (leaving, failed, sequence) = (false, Default::default(), (1 << 40) + HOUR);
    let join = Join { origin: DaemonId(3), incarnation: Incarnation(1), sequence, leaving, present, failed };
    bus.rings.get_mut(&FRIEND).unwrap().handle_packet(bus.now, DaemonId(3), Packet::Join(join));
    bus.drain(FRIEND);
    bus.run(SECOND);
    bus.is_well();
    assert!(bus.victim().core.sequence > sequence);
}

#[test]
fn a_packet_with_the_number_that_this_daemon_gives_next_stops_nobody() {
    let mut bus = busy();
    for ahead in 1..4 {
        let next = bus.victim().progress().highest + ahead;
        bus.hear(FRIEND, Packet::Data(bus.data(FRIEND, next, b"forged")));
        bus.submit(1, Service::Agreed, "true");
        bus.run(SECOND / 2);
    }
    bus.is_well();
}

#[test]
fn while_the_token_is_here_nobody_else_numbers_anything() {
    let mut bus = busy();
    assert!(bus.holds(1));
    let next = bus.victim().progress().highest + 1;
    bus.hear(FRIEND, Packet::Data(bus.data(FRIEND, next, b"forged")));
    assert_eq!(bus.victim().stats().dropped.impossible_data, 1);
    bus.submit(1, Service::Agreed, "true");
    bus.is_well();
    assert_eq!(bus.victim().stats().dropped.contradictions, 0);
}

#[test]
fn a_token_that_the_ring_cannot_have_led_to_is_dropped() {
    type Lie = fn(&mut Token);
    let lies: [Lie; 10] = [
        |token| token.hop += 30,
        |token| (token.hop, token.seq, token.aru) = (token.hop + 30, 0, 0),
        |token| (token.seq, token.aru) = (token.seq - 1, token.aru.saturating_sub(1)),
        |token| token.seq += 1 << 40,
        |token| (token.seq, token.aru, token.sent) = (token.seq + 40_000, token.aru + 40_000, token.sent + 40_000),
        |token| (token.aru, token.aru_by) = (token.aru.saturating_sub(1), Some(DaemonId(77))),
        |token| token.owing_by = Some(DaemonId(77)),
        |token| token.sent = u32::MAX,
        |token| token.backlogged = u16::MAX,
        |token| token.aru_by = if token.aru_by.is_none() { Some(FRIEND) } else { None },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut bus = busy();
        let told = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = std::rc::Rc::clone(&told);
        bus.forge = Box::new(move |to, packet| match packet {
            Packet::Token(token) if to == VICTIM => {
                let mut forged = token.clone();
                lie(&mut forged);
                count.set(count.get() + 1);
                Some(Packet::Token(forged))
            }
            _ => None,
        });
        bus.stir();
        (1..=3).for_each(|id| bus.submit(id, Service::Agreed, "during"));
        bus.run(SECOND / 10);
        assert!(told.get() > 0 && bus.victim().stats().dropped.impossible_token == told.get(), "lie {number}");
        assert_eq!(bus.take(1), ["during"; 3], "lie {number}");
        bus.is_well();
    }
}

#[test]
fn of_two_tokens_with_one_number_one_is_a_lie_and_the_ring_begins_anew() {
    let mut bus = busy();
    bus.forge = Box::new(|to, packet| match packet {
        Packet::Token(token) if to == VICTIM => {
            Some(Packet::Token(Token { window: token.window + 1, ..token.clone() }))
        }
        _ => None,
    });
    bus.stir();
    bus.submit(2, Service::Agreed, "during");
    bus.run(SECOND / 10);
    assert!(bus.victim().stats().dropped.contradictions > 0);
    bus.is_well();
}

#[test]
fn a_packet_of_its_own_that_a_daemon_did_not_make_shows_a_forger() {
    let mut bus = busy();
    bus.rest_at(2);
    let next = bus.victim().progress().highest + 1;
    bus.hear(FRIEND, Packet::Data(bus.data(VICTIM, next, b"forged")));
    assert_eq!(bus.victim().stats().dropped.contradictions, 1);
    bus.is_well();
}

#[test]
fn another_packet_with_the_number_of_one_that_is_here_shows_a_forger() {
    let mut bus = busy();
    bus.drop = Box::new(|_, to, packet| to == DaemonId(3) && matches!(packet, Packet::Data(_)));
    bus.submit(2, Service::Agreed, "kept, because daemon 3 lacks it");
    bus.run(SECOND / 50);
    let number = bus.victim().progress().highest;
    bus.hear(FRIEND, Packet::Data(bus.data(FRIEND, number, b"forged")));
    assert_eq!(bus.victim().stats().dropped.contradictions, 1);
    bus.drop = Box::new(|_, _, _| false);
    bus.is_well();
}

#[test]
fn forged_goodbyes_part_a_daemon_from_the_others_once() {
    let mut bus = busy();
    for _ in 0..60 {
        let (leaving, present) = (true, [FRIEND].into());
        let sequence = bus.rings[&FRIEND].core.sequence;
        let join = Join {
            origin: FRIEND,
            incarnation: Incarnation(1),
            sequence,
            leaving,
            present,
            failed: Default::default(),
        };
        for id in [1, 3] {
            bus.rings.get_mut(&DaemonId(id)).unwrap().handle_packet(bus.now, FRIEND, Packet::Join(join.clone()));
            bus.drain(DaemonId(id));
        }
        bus.run(SECOND / 10);
    }
    let log = bus.take(1);
    assert_eq!(log.iter().filter(|line| *line == "Regular[1, 3]").count(), 1, "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some(WHOLE));
    bus.is_well();
}

#[test]
fn a_goodbye_of_another_life_concerns_nobody() {
    let mut bus = busy();
    let (leaving, present) = (true, [FRIEND].into());
    let join = Join {
        origin: FRIEND,
        incarnation: Incarnation(8),
        sequence: 100,
        leaving,
        present,
        failed: Default::default(),
    };
    bus.hear(FRIEND, Packet::Join(join));
    bus.run(SECOND / 10);
    assert_eq!(bus.take(1), [""; 0]);
}

#[test]
fn a_join_that_names_strangers_leads_to_nothing() {
    let mut bus = busy();
    let (leaving, failed) = (false, Default::default());
    let present = [VICTIM, FRIEND, DaemonId(77)].into();
    let join = Join { origin: FRIEND, incarnation: Incarnation(1), sequence: 100, leaving, present, failed };
    bus.hear(FRIEND, Packet::Join(join));
    bus.run(SECOND / 10);
    assert_eq!((bus.take(1), bus.victim().stats().dropped.other_table), (Vec::new(), 1));
}

/// Alters what the victim has said it brings, so that it would think that it has no part in its own past.
#[test]
fn a_form_token_that_changes_what_a_daemon_brings_is_dropped() {
    type Lie = fn(&mut crate::wire::FormMember);
    let lies: [Lie; 4] = [
        |member| member.brings.iter_mut().for_each(|brings| brings.ring.sequence += 1),
        |member| member.brings = None,
        |member| member.incarnation = Incarnation(9),
        |member| member.brings.iter_mut().for_each(|brings| brings.aru = 1 << 61),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut bus = busy();
        bus.forge = Box::new(move |to, packet| match packet {
            Packet::Form(part) => {
                let mut forged = part.clone();
                forged.entries.iter_mut().filter(|member| member.daemon == to).for_each(lie);
                (forged != *part).then_some(Packet::Form(forged))
            }
            _ => None,
        });
        bus.partition(&[3]);
        bus.run(SECOND * 3);
        bus.partition(&[]);
        bus.run(SECOND * 2);
        for id in 1..=3 {
            let transitional = |line: &&String| line.starts_with("Transitional");
            assert!(
                bus.log[&DaemonId(id)].iter().filter(transitional).all(|line| line.contains(&id.to_string())),
                "lie {number}"
            );
        }
        bus.is_well();
    }
}

#[test]
fn a_daemon_that_lacks_what_others_were_made_to_forget_is_taken_in() {
    let mut bus = busy();
    bus.drop = Box::new(|_, to, packet| to == DaemonId(3) && matches!(packet, Packet::Data(_)));
    bus.submit(2, Service::Agreed, "lost");
    bus.run(SECOND / 50);
    bus.drop = Box::new(|_, _, _| false);
    for id in [VICTIM, FRIEND] {
        // A token that says that all have everything would do it.
        let State::Operational(it) = &mut bus.rings.get_mut(&id).unwrap().state else { panic!("the ring stands") };
        let aru = it.circulation.window.aru();
        it.circulation.window.forget(aru);
    }
    let now = bus.now;
    bus.rings.get_mut(&VICTIM).unwrap().begin_anew(now, GatherReason::Contradiction);
    bus.drain(VICTIM);
    bus.is_well();
}

#[test]
fn a_form_token_with_a_member_twice_or_in_another_order_is_dropped() {
    type Lie = fn(&mut Vec<crate::wire::FormMember>);
    let lies: [Lie; 2] = [|entries| entries.swap(0, 1), |entries| entries[1] = entries[0].clone()];
    for lie in lies {
        let mut bus = busy();
        bus.forge = Box::new(move |_, packet| match packet {
            Packet::Form(part) if part.entries.len() > 1 => {
                let mut forged = part.clone();
                lie(&mut forged.entries);
                Some(Packet::Form(forged))
            }
            _ => None,
        });
        bus.partition(&[3]);
        bus.run(SECOND * 3);
        bus.partition(&[]);
        bus.run(SECOND * 2);
        bus.is_well();
    }
}
