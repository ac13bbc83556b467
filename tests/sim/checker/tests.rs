//! The tester tested: a trace that keeps all rules, and for each rule the smallest trace that breaks it.

use spread::ring::{Configuration, ConfigurationKind};
use spread::wire::{DaemonId, RingId, Service};

use super::{Verdict, check_masking, check_quiescence, check_safety};
use crate::trace::{Event, MessageNumber, ProcessNumber, Sent, Trace};

fn ring(sequence: u64) -> RingId {
    RingId { sequence, representative: DaemonId(1) }
}

fn daemons(ids: &[u32]) -> Vec<DaemonId> {
    ids.iter().copied().map(DaemonId).collect()
}

#[derive(Default)]
struct Story(Trace);

impl Story {
    /// Daemons 1 to `count` in one ring with sequence 1.
    fn together(count: u32) -> Story {
        let mut story = Story::default();
        let members: Vec<u32> = (1..=count).collect();
        for daemon in 1..=count {
            let process = story.0.begin(DaemonId(daemon));
            story.regular(process, 1, &members);
        }
        story
    }

    fn regular(&mut self, process: ProcessNumber, sequence: u64, members: &[u32]) {
        let (kind, members) = (ConfigurationKind::Regular, daemons(members));
        self.0.configuration(process, Configuration { kind, ring: ring(sequence), members, next: None });
    }

    /// On the way from this ring to that of the next sequence.
    fn transitional(&mut self, process: ProcessNumber, sequence: u64, members: &[u32]) {
        self.leading(process, [sequence, sequence + 1], members);
    }

    fn leading(&mut self, process: ProcessNumber, [from, to]: [u64; 2], members: &[u32]) {
        let (kind, members) = (ConfigurationKind::Transitional, daemons(members));
        self.0.configuration(process, Configuration { kind, ring: ring(from), members, next: Some(ring(to)) });
    }

    fn submit(&mut self, process: ProcessNumber, service: Service) -> MessageNumber {
        self.0.submit(Sent { process, service, size: 3, first: false, barrier: false });
        self.0.messages.len() - 1
    }

    fn submit_barrier(&mut self, process: ProcessNumber) -> MessageNumber {
        self.0.submit(Sent { process, service: Service::Agreed, size: 3, first: false, barrier: true });
        self.0.messages.len() - 1
    }

    fn deliver(&mut self, process: ProcessNumber, messages: &[MessageNumber]) {
        let events = &mut self.0.processes[process].events;
        events.extend(messages.iter().map(|&number| Event::Deliver(number)));
    }
}

fn rule(verdict: Verdict) -> &'static str {
    verdict.map_or_else(|violation| violation.rule, |()| "none")
}

#[test]
fn a_sound_history_passes() {
    let mut story = Story::together(3);
    let (a, b) = (story.submit(0, Service::Safe), story.submit(1, Service::Agreed));
    (0..3).for_each(|process| story.deliver(process, &[a, b]));
    for process in 0..2 {
        story.transitional(process, 1, &[1, 2]);
        story.regular(process, 2, &[1, 2]);
    }
    story.0.end(2);
    let last = story.submit(1, Service::Agreed);
    (0..2).for_each(|process| story.deliver(process, &[last]));
    assert_eq!(check_safety(&story.0), Ok(()));
    assert_eq!(check_quiescence(&story.0), Ok(()));
    assert_eq!(rule(check_masking(&story.0)), "masking");
}

#[test]
fn a_message_is_delivered_once() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    story.deliver(1, &[a, a]);
    assert_eq!(rule(check_safety(&story.0)), "1.4");
}

#[test]
fn a_message_belongs_to_one_configuration() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    story.deliver(0, &[a]);
    story.transitional(1, 1, &[2]);
    story.regular(1, 2, &[2]);
    story.deliver(1, &[a]);
    assert_eq!(rule(check_safety(&story.0)), "1.3");
}

#[test]
fn nothing_is_delivered_outside_a_configuration() {
    let mut story = Story::default();
    let process = story.0.begin(DaemonId(1));
    let a = story.submit(process, Service::Agreed);
    story.deliver(process, &[a]);
    assert_eq!(rule(check_safety(&story.0)), "2.2");
}

#[test]
fn a_regular_configuration_follows_a_transitional_one() {
    let mut story = Story::together(1);
    story.regular(0, 2, &[1]);
    assert_eq!(rule(check_safety(&story.0)), "2.2");
}

#[test]
fn members_agree_on_the_members() {
    let mut story = Story::default();
    for (daemon, members) in [(1, [1, 2]), (2, [2, 3])] {
        let process = story.0.begin(DaemonId(daemon));
        story.regular(process, 1, &members);
    }
    assert_eq!(rule(check_safety(&story.0)), "members");
}

#[test]
fn rings_grow_from_life_to_life() {
    let mut story = Story::together(1);
    story.0.end(0);
    let again = story.0.begin(DaemonId(1));
    story.regular(again, 1, &[1]);
    assert_eq!(rule(check_safety(&story.0)), "members");
}

#[test]
fn companions_are_those_who_came_along() {
    for companions in [[&[1][..], &[2]], [&[1, 2], &[2]]] {
        let mut story = Story::together(2);
        for (process, companions) in companions.into_iter().enumerate() {
            story.transitional(process, 1, companions);
            story.regular(process, 2, &[1, 2]);
        }
        assert_eq!(rule(check_safety(&story.0)), "transitional");
    }
}

#[test]
fn a_transitional_configuration_knows_where_it_leads() {
    let mut story = Story::together(1);
    story.transitional(0, 1, &[1]);
    story.regular(0, 3, &[1]);
    assert_eq!(rule(check_safety(&story.0)), "transitional");
}

#[test]
fn no_cycle_is_too_long_to_be_found() {
    let mut story = Story::together(3);
    let m: Vec<MessageNumber> = (0..3).map(|process| story.submit(process, Service::Agreed)).collect();
    story.deliver(0, &[m[0], m[1]]);
    story.deliver(1, &[m[1], m[2]]);
    story.deliver(2, &[m[2], m[0]]);
    assert_eq!(rule(check_safety(&story.0)), "6.2");
}

#[test]
fn who_moves_together_delivers_the_same_at_the_same_side_of_the_transition() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    story.deliver(0, &[a]);
    story.transitional(0, 1, &[1, 2]);
    story.transitional(1, 1, &[1, 2]);
    (0..2).for_each(|process| story.regular(process, 2, &[1, 2]));
    assert_eq!(rule(check_safety(&story.0)), "4");
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    story.deliver(0, &[a]);
    story.transitional(0, 1, &[1, 2]);
    story.transitional(1, 1, &[1, 2]);
    story.deliver(1, &[a]);
    (0..2).for_each(|process| story.regular(process, 2, &[1, 2]));
    assert_ne!(rule(check_safety(&story.0)), "none");
}

#[test]
fn a_sender_delivers_what_others_delivered_of_it() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    story.deliver(1, &[a]);
    story.transitional(0, 1, &[1]);
    story.regular(0, 2, &[1]);
    assert_eq!(rule(check_safety(&story.0)), "3");
}

#[test]
fn a_sender_is_heard_in_order() {
    let mut story = Story::together(2);
    let (a, b) = (story.submit(0, Service::Fifo), story.submit(0, Service::Fifo));
    story.deliver(0, &[b, a]);
    assert_eq!(rule(check_safety(&story.0)), "fifo");
}

#[test]
fn reliable_messages_of_a_sender_may_overtake_and_are_not_overtaken() {
    let mut story = Story::together(2);
    let services = [Service::Agreed, Service::Reliable, Service::Fifo, Service::Unreliable];
    let m = services.map(|service| story.submit(0, service));
    story.deliver(0, &[m[1], m[3], m[0], m[2]]);
    story.deliver(1, &[m[0], m[1], m[2], m[3]]);
    assert_eq!(check_safety(&story.0), Ok(()));
    for wrong in [[0, 2, 1, 3], [1, 2, 0, 3], [3, 0, 1, 2]] {
        let mut story = Story::together(2);
        let m = services.map(|service| story.submit(0, service));
        story.deliver(1, &wrong.map(|place: usize| m[place]));
        assert_eq!(rule(check_safety(&story.0)), "fifo", "{wrong:?}");
    }
}

#[test]
fn a_sender_is_heard_without_gaps_of_either_kind() {
    for missing in [0, 1] {
        let mut story = Story::together(3);
        let m = [Service::Fifo, Service::Reliable, Service::Reliable, Service::Fifo].map(|s| story.submit(0, s));
        (0..2).for_each(|process| story.deliver(process, &m));
        let lacking: Vec<MessageNumber> = m.into_iter().filter(|&number| number != m[missing]).collect();
        story.deliver(2, &lacking);
        assert_eq!(rule(check_safety(&story.0)), "fifo", "without {missing}");
    }
}

#[test]
fn who_moves_together_delivers_the_same_messages_of_every_service() {
    for lacks in [&[0][..], &[], &[1]] {
        let mut story = Story::together(2);
        let m = [story.submit(0, Service::Reliable), story.submit(1, Service::Fifo)];
        story.deliver(0, &[m[0], m[1]]);
        story.deliver(1, &lacks.iter().map(|&place: &usize| m[place]).collect::<Vec<_>>());
        (0..2).for_each(|process| story.transitional(process, 1, &[1, 2]));
        // What comes on the other side of the transitional configuration comes too late.
        let late: Vec<MessageNumber> = (0..2).filter(|place| !lacks.contains(place)).map(|place| m[place]).collect();
        story.deliver(1, &late);
        (0..2).for_each(|process| story.regular(process, 2, &[1, 2]));
        assert_eq!(rule(check_safety(&story.0)), "4");
    }
}

#[test]
fn messages_that_are_not_ordered_come_in_any_order() {
    let mut story = Story::together(2);
    let m = [Service::Fifo, Service::Reliable].map(|service| [story.submit(0, service), story.submit(1, service)]);
    story.deliver(0, &[m[0][0], m[0][1], m[1][1], m[1][0]]);
    story.deliver(1, &[m[0][1], m[1][1], m[0][0], m[1][0]]);
    assert_eq!(check_safety(&story.0), Ok(()));
    assert_eq!(check_quiescence(&story.0), Ok(()));
}

#[test]
fn at_the_end_messages_of_every_service_are_everywhere() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Unreliable);
    story.deliver(0, &[a]);
    assert_eq!(rule(check_quiescence(&story.0)), "2.1");
}

#[test]
fn a_fifo_message_may_come_before_its_cause_but_not_before_it_is_sent() {
    let mut story = Story::together(3);
    let cause = story.submit(0, Service::Agreed);
    (0..2).for_each(|process| story.deliver(process, &[cause]));
    let effect = story.submit(1, Service::Fifo);
    story.deliver(2, &[effect, cause]);
    story.deliver(1, &[effect]);
    story.deliver(0, &[effect]);
    assert_eq!(check_safety(&story.0), Ok(()));
    let mut story = Story::together(2);
    let early = story.submit(0, Service::Fifo);
    story.0.processes[0].events.clear();
    story.regular(0, 1, &[1, 2]);
    story.deliver(0, &[early]);
    let cause = story.submit(0, Service::Agreed);
    story.0.processes[0].events.push(Event::Submit(early));
    story.deliver(0, &[cause]);
    assert_eq!(rule(check_safety(&story.0)), "6.2");
}

#[test]
fn an_agreed_message_follows_what_its_sender_had_got_of_any_service() {
    let mut story = Story::together(3);
    let cause = story.submit(0, Service::Reliable);
    (0..2).for_each(|process| story.deliver(process, &[cause]));
    let effect = story.submit(1, Service::Agreed);
    story.deliver(1, &[effect]);
    story.deliver(2, &[effect, cause]);
    assert_eq!(rule(check_safety(&story.0)), "5");
}

#[test]
fn nothing_overtakes_a_barrier() {
    let mut story = Story::together(2);
    let (barrier, a) = (story.submit_barrier(0), story.submit(1, Service::Reliable));
    story.deliver(0, &[barrier, a]);
    story.deliver(1, &[a, barrier]);
    assert_eq!(rule(check_safety(&story.0)), "barrier");
}

#[test]
fn no_message_overtakes_a_configuration() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Fifo);
    story.deliver(0, &[a]);
    for process in 0..2 {
        story.transitional(process, 1, &[1, 2]);
        story.regular(process, 2, &[1, 2]);
    }
    story.deliver(1, &[a]);
    assert_eq!(rule(check_safety(&story.0)), "1.3");
}

#[test]
fn a_cause_comes_before_its_effect() {
    let mut story = Story::together(3);
    let cause = story.submit(0, Service::Agreed);
    story.deliver(0, &[cause]);
    story.deliver(1, &[cause]);
    let effect = story.submit(1, Service::Agreed);
    story.deliver(1, &[effect]);
    story.deliver(2, &[effect]);
    assert_eq!(rule(check_safety(&story.0)), "5");
}

#[test]
fn there_is_no_hole_before_a_delivery() {
    let mut story = Story::together(3);
    let (a, b) = (story.submit(0, Service::Agreed), story.submit(1, Service::Agreed));
    story.deliver(0, &[a, b]);
    story.deliver(1, &[a, b]);
    story.deliver(2, &[b]);
    assert_eq!(rule(check_safety(&story.0)), "6.3");
}

#[test]
fn safe_means_that_all_deliver() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Safe);
    story.deliver(0, &[a]);
    story.transitional(1, 1, &[2]);
    story.regular(1, 2, &[2]);
    assert_eq!(rule(check_safety(&story.0)), "7.1");
}

#[test]
fn a_safe_message_is_kept_through_every_recovery_that_follows() {
    for keeps in [true, false] {
        let mut story = Story::together(3);
        let a = story.submit(2, Service::Safe);
        story.deliver(2, &[a]);
        story.0.end(2);
        for process in 0..2 {
            story.transitional(process, 1, &[1, 2]);
            story.deliver(process, &[a][..usize::from(keeps)]);
            story.regular(process, 2, &[1, 2]);
        }
        assert_eq!(rule(check_safety(&story.0)), if keeps { "none" } else { "7.1" });
    }
}

#[test]
fn in_a_transitional_configuration_safe_means_all_who_are_in_it() {
    let mut story = Story::together(3);
    let a = story.submit(2, Service::Safe);
    story.0.end(2);
    story.transitional(0, 1, &[1, 2]);
    story.deliver(0, &[a]);
    story.regular(0, 2, &[1, 2]);
    story.leading(1, [1, 3], &[2]);
    story.regular(1, 3, &[2]);
    assert_eq!(rule(check_safety(&story.0)), "7.1");
}

#[test]
fn what_is_sent_after_a_configuration_comes_after_it_everywhere() {
    let mut story = Story::together(2);
    story.transitional(0, 1, &[1, 2]);
    story.regular(0, 2, &[1, 2]);
    let a = story.submit(0, Service::Agreed);
    story.deliver(1, &[a]);
    story.transitional(1, 1, &[1, 2]);
    story.regular(1, 2, &[1, 2]);
    assert_eq!(rule(check_safety(&story.0)), "6.2");
}

#[test]
fn nothing_is_sent_in_a_transitional_configuration() {
    let mut story = Story::together(2);
    (0..2).for_each(|process| story.transitional(process, 1, &[1, 2]));
    let a = story.submit(0, Service::Agreed);
    for process in 0..2 {
        story.deliver(process, &[a]);
        story.regular(process, 2, &[1, 2]);
    }
    assert_eq!(rule(check_safety(&story.0)), "transitional");
}

#[test]
fn safe_means_that_all_have_installed() {
    let mut story = Story::default();
    let process = story.0.begin(DaemonId(1));
    story.regular(process, 1, &[1, 2]);
    let a = story.submit(process, Service::Safe);
    story.deliver(process, &[a]);
    assert_eq!(rule(check_safety(&story.0)), "7.2");
}

#[test]
fn at_the_end_all_are_together_and_nothing_is_forgotten() {
    let mut story = Story::together(2);
    let a = story.submit(0, Service::Agreed);
    assert_eq!(rule(check_quiescence(&story.0)), "liveness");
    story.deliver(0, &[a]);
    assert_eq!(rule(check_quiescence(&story.0)), "2.1");
    story.deliver(1, &[a]);
    assert_eq!(rule(check_masking(&story.0)), "none");
    story.transitional(1, 1, &[2]);
    story.regular(1, 2, &[2]);
    assert_eq!(rule(check_quiescence(&story.0)), "2.1");
}
