//! The members agree, and the form token is on its way. What each of them hears meanwhile.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

/// The form token is lost everywhere. The joins that daemon 1 sends from then on until it gathers again, that one included: how long after the
/// agreement, and how many daemons it says are present.
fn joins_while_waiting() -> Vec<(Duration, usize)> {
    let mut bus = Bus::new(3);
    while bus.rings[&DaemonId(1)].state_name() == "gather" {
        bus.run(Duration::from_micros(1));
    }
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&said);
    bus.drop = Box::new(move |from, to, packet| {
        if let Packet::Join(join) = packet
            && (from, to) == (DaemonId(1), DaemonId(2))
        {
            heard.borrow_mut().push(join.present.len());
        }
        matches!(packet, Packet::Form(_))
    });
    let (begin, mut joins) = (bus.now, Vec::new());
    while bus.rings[&DaemonId(1)].state_name() != "gather" {
        bus.run(Duration::from_millis(1));
        joins.extend(said.borrow_mut().drain(..).map(|present| (bus.now - begin, present)));
    }
    joins
}

/// To the members that wait for the form token in their gather, a daemon that gathers again must seem to agree all the while.
#[test]
fn who_waited_for_the_form_token_in_vain_gathers_with_the_same_daemons() {
    assert_eq!(joins_while_waiting().pop().unwrap().1, 3);
}

/// A member that misses three joins in a row must not give their sender up.
#[test]
fn who_waits_for_the_form_token_repeats_its_join_for_most_of_the_time() {
    let mut joins = joins_while_waiting();
    let (gathers, _) = joins.pop().unwrap();
    assert!(joins.len() > 4 && joins.last().unwrap().0 > gathers / 2, "{joins:?}, then {gathers:?}");
}

#[test]
fn the_agreed_lives_are_known_until_the_ring_is_installed() {
    let mut bus = Bus::new(3);
    let lives = |bus: &Bus| bus.rings[&DaemonId(2)].agreed_lives().collect::<Vec<_>>();
    let all = [1, 2, 3].map(|id| (DaemonId(id), Incarnation(1)));
    for (state, expected) in [("gather", &[][..]), ("form", &all), ("recovery", &all), ("operational", &[])] {
        while bus.rings[&DaemonId(2)].state_name() != state {
            bus.run(Duration::from_micros(1));
        }
        assert_eq!(lives(&bus), expected, "while in {state}");
    }
}

#[test]
fn a_newcomer_that_does_not_hear_a_member_parts_nobody() {
    let mut bus = Bus::new(3);
    bus.partition(&[3]);
    bus.run(SECOND * 2);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.drop = Box::new(|from, to, _| (from, to) == (DaemonId(2), DaemonId(3)));
    bus.partition(&[]);
    bus.run(SECOND * 3);
    for id in [1, 2] {
        let log = bus.take(id);
        assert!(log.len() > 2, "the newcomer was tried");
        assert!(log.iter().all(|line| line.contains("1, 2")), "{id}: {log:?}");
    }
    bus.drop = Box::new(|_, _, _| false);
    bus.run(SECOND * 10);
    assert_eq!(bus.take(1).last().unwrap(), "Regular[1, 2, 3]");
}

/// The form token is lost at a member. Who waits for it and has missed the joins of the representative must not take that one for silent.
#[test]
fn a_representative_whose_joins_were_missed_is_not_blamed_for_a_lost_form_token() {
    let mut bus = Bus::new(4);
    bus.drop = Box::new(|from, to, packet| match packet {
        Packet::Join(_) => (from, to) == (DaemonId(1), DaemonId(4)),
        _ => to == DaemonId(2),
    });
    while bus.rings[&DaemonId(1)].state_name() == "gather" {
        bus.run(Duration::from_millis(1));
    }
    bus.drop = Box::new(|from, to, _| [from, to].contains(&DaemonId(2)));
    bus.run(SECOND * 2);
    [1, 3, 4].into_iter().for_each(|id| assert_eq!(bus.take(id), ["Regular[1, 3, 4]"]));
}

/// The members agree, and before the form token reaches one of them, that one hears a newcomer. It will not take this form token. Who waits for
/// the token must hear that from its joins, or both sides give each other up.
#[test]
fn a_newcomer_that_one_member_hears_before_the_form_token_parts_nobody() {
    let mut bus = Bus::new(4);
    let newcomer = DaemonId(4);
    bus.drop = Box::new(move |from, to, packet| {
        [from, to].contains(&newcomer) || to == DaemonId(3) && matches!(packet, Packet::Form(_))
    });
    while bus.rings[&DaemonId(1)].state_name() == "gather" {
        bus.run(Duration::from_millis(1));
    }
    bus.drop = Box::new(move |from, to, packet| {
        (from == newcomer) != (to == DaemonId(3)) && [from, to].contains(&newcomer)
            || to == DaemonId(3) && matches!(packet, Packet::Form(_))
    });
    bus.run(Duration::from_millis(60));
    bus.drop = Box::new(|_, _, _| false);
    bus.run(SECOND * 2);
    (1..=4).for_each(|id| assert_eq!(bus.take(id), ["Regular[1, 2, 3, 4]"], "at {id}"));
}
