//! A member that has died, as the level below says.

use std::collections::BTreeSet;

use super::*;

impl Bus {
    fn suspects(&mut self, at: u32, daemon: u32) {
        self.rings.get_mut(&DaemonId(at)).unwrap().suspect(self.now, DaemonId(daemon));
        self.drain(DaemonId(at));
    }

    /// Runs until these are the last lines in the logs of these daemons.
    fn run_until_last<const N: usize>(&mut self, last: [(u32, &str); N]) {
        let is_last = |bus: &Bus, (id, line)| bus.log[&DaemonId(id)].last().is_some_and(|last| last == line);
        let all = (1..300).any(|_| {
            self.run(SECOND / 100);
            last.iter().all(|&last| is_last(self, last))
        });
        assert!(all, "{last:?}");
    }

    /// The daemon hears nothing more and says nothing more.
    fn kill(&mut self, daemon: u32) {
        self.side.insert(DaemonId(daemon), 9);
    }
}

#[test]
fn a_member_that_died_is_not_waited_for() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    (1..=4).for_each(|id| drop(bus.take(id)));
    bus.kill(2);
    bus.suspects(3, 2);
    bus.run(SECOND / 50);
    for id in [1, 3, 4] {
        assert_eq!(bus.take(id), ["Transitional[1, 3, 4]", "Regular[1, 3, 4]"]);
    }
    assert_eq!(bus.rings[&DaemonId(3)].stats().reasons.member_died, 1);
}

#[test]
fn a_member_that_dies_while_the_ring_is_formed_anew_is_not_waited_for() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.kill(3);
    bus.rings.get_mut(&DaemonId(1)).unwrap().begin_anew(bus.now, GatherReason::Contradiction);
    bus.drain(DaemonId(1));
    bus.run(SECOND / 50);
    assert_eq!(bus.rings[&DaemonId(1)].state_name(), "gather");
    bus.suspects(1, 3);
    bus.run(SECOND / 50);
    assert_eq!(bus.take(1), ["Transitional[1, 2]", "Regular[1, 2]"]);
}

#[test]
fn whoever_is_no_member_or_this_daemon_itself_is_not_suspected() {
    let mut bus = Bus::new(2);
    bus.run(SECOND);
    for daemon in [1, 7] {
        bus.suspects(1, daemon);
        assert_eq!(bus.rings[&DaemonId(1)].state_name(), "operational");
    }
}

#[test]
fn a_member_that_is_suspected_wrongly_comes_back() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.suspects(1, 2);
    bus.run(SECOND * 2);
    for id in 1..=3 {
        assert_eq!(bus.take(id).last().unwrap(), "Regular[1, 2, 3]");
    }
}

#[test]
fn two_that_have_given_each_other_up_often_meet_again() {
    for late in [20, 170, 290] {
        let mut bus = Bus::new(2);
        bus.partition(&[1]);
        bus.run(SECOND);
        bus.partition(&[]);
        // Each hears that the other one is there, and none hears that it answers.
        bus.drop = Box::new(|_, _, packet| matches!(packet, Packet::Join(_)));
        bus.run(SECOND * 60);
        // They do not try in the same moment from now on.
        bus.partition(&[2]);
        bus.run(SECOND / 1000 * late);
        bus.partition(&[]);
        bus.run(SECOND * 30);
        bus.drop = Box::new(|_, _, _| false);
        (1..=2).for_each(|id| drop(bus.take(id)));
        bus.run(SECOND * 21);
        for id in 1..=2 {
            assert_eq!(bus.take(id).last().map(String::as_str), Some("Regular[1, 2]"), "{id}, {late} ms");
        }
    }
}

#[test]
fn a_gather_that_goes_on_without_a_member_does_not_break_the_ring() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    bus.partition(&[4]);
    bus.run_until_last([(1, "Regular[1, 2, 3]")]);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.run(SECOND / 10);
    assert_eq!(bus.rings[&DaemonId(4)].state_name(), "gather", "it has given up the holder, and waits for the others");
    bus.partition(&[]);
    bus.run(SECOND);
    (1..=3).for_each(|id| assert_eq!(bus.take(id), ["Transitional[1, 2, 3]", "Regular[1, 2, 3, 4]"], "at {id}"));
}

#[test]
fn whoever_was_silent_comes_back_as_soon_as_it_hears_again() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    bus.partition(&[4]);
    bus.run_until_last([(1, "Regular[1, 2, 3]"), (4, "Regular[4]")]);
    // They have just given each other up, so they would wait before they try again.
    bus.partition(&[]);
    bus.run(SECOND / 10);
    (1..=4).for_each(|id| assert_eq!(bus.take(id).last().unwrap(), "Regular[1, 2, 3, 4]", "at {id}"));
}

#[test]
fn what_was_said_while_a_daemon_stood_still_parts_it_from_nobody() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    // Something was sent just now, so each hears of the others often, and the ring itself sees that a timer is late.
    bus.submit(2, Service::Agreed, "news");
    bus.run(SECOND / 50);
    believes_no_old_join(&mut bus, None);
    // In a quiet ring its timers are far apart.
    let mut bus = Bus::new(3);
    bus.run(SECOND * 30);
    believes_no_old_join(&mut bus, Some(SECOND * 3 / 10));
}

/// A daemon that woke up gathers long before the others notice it. When the first of them answers, the rest get time to follow.
#[test]
fn who_gathers_long_before_the_others_gives_up_none_of_them() {
    given_up_by_3(&[(270, 1, &[1, 2, 3]), (330, 2, &[1, 2, 3])], &[]);
    given_up_by_3(&[(270, 1, &[1, 2, 3]), (700, 2, &[1, 2, 3])], &[2]);
}

/// A daemon that agreed waited for a form token that was lost. It gathers again, and needs a moment until it agrees again.
#[test]
fn who_has_agreed_and_gathers_again_gets_time_to_agree_again() {
    given_up_by_3(&[(20, 2, &[1, 2, 3]), (50, 1, &[1, 2, 3]), (340, 1, &[1, 3]), (380, 1, &[1, 2, 3])], &[]);
    given_up_by_3(&[(20, 2, &[1, 2, 3]), (50, 1, &[1, 2, 3]), (340, 1, &[1, 3]), (800, 2, &[1, 2, 3])], &[1]);
}

/// Daemon 3 loses the token of a ring of three, and then gets these joins: after how many milliseconds, from whom, who is present. It gives up
/// these daemons.
fn given_up_by_3(joins: &[(u32, u32, &[u32])], expected: &[u32]) {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    let sequence = bus.rings[&DaemonId(1)].state.circulation().unwrap().ring.sequence;
    let ring = bus.rings.get_mut(&DaemonId(3)).unwrap();
    let begin = bus.now + SECOND * 2;
    ring.handle_timeout(begin);
    assert_eq!(ring.state_name(), "gather");
    let mut given_up = BTreeSet::new();
    for &(after, origin, present) in joins {
        let until = begin + Duration::from_millis(1) * after;
        while let Some(at) = ring.poll_timeout().filter(|&at| at < until) {
            ring.handle_timeout(at);
        }
        let join = Join {
            origin: DaemonId(origin),
            incarnation: Incarnation(1),
            sequence,
            leaving: false,
            present: present.iter().copied().map(DaemonId).collect(),
            failed: BTreeSet::new(),
        };
        ring.handle_packet(until, DaemonId(origin), Packet::Join(join));
        while let Some(transmit) = ring.poll_transmit() {
            if let Packet::Join(join) = transmit.packet {
                given_up.extend(join.failed);
            }
        }
    }
    assert_eq!(given_up, expected.iter().copied().map(DaemonId).collect(), "after {joins:?}");
}

/// Daemon 3 stands still, not as long as the token may stay away, but the others have gone on without it. Then it reads that they have.
fn believes_no_old_join(bus: &mut Bus, late: Option<Duration>) {
    let (sleeper, other) = (DaemonId(3), DaemonId(1));
    let present = [1, 2, 3].map(DaemonId).into();
    let (ring, failed) = (bus.rings[&other].state.circulation().unwrap().ring, [sleeper].into());
    let (incarnation, sequence) = (Incarnation(1), ring.sequence);
    let join = Join { origin: other, incarnation, sequence, leaving: false, present, failed };
    bus.now += SECOND * 4 / 10;
    let ring = bus.rings.get_mut(&sleeper).unwrap();
    if let Some(late) = late {
        ring.on_lateness(bus.now, late);
    }
    ring.handle_packet(bus.now, other, Packet::Join(join));
    let said: Vec<Packet> = std::iter::from_fn(|| ring.poll_transmit()).map(|transmit| transmit.packet).collect();
    let given_up =
        said.iter().find_map(|packet| if let Packet::Join(join) = packet { Some(&join.failed) } else { None });
    assert!(given_up.is_some_and(|failed| failed.is_empty()), "{said:?}");
}
