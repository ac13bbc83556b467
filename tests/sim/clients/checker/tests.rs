//! The tester tested: a journal that keeps all rules, and for each rule the smallest journal that breaks it.

use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, FrameType, GroupId, Name, RingId, Service};

use super::{Since, check_masking, check_quiescence, check_safety};
use crate::checker::Verdict;
use crate::clients::journal::{Ask, Connection, Entry, Got, IN_PLACE, Journal, MessageNumber, Sent, View};

const RING: RingId = RingId { sequence: 7, representative: DaemonId(1) };

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("a short name")
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(text)).collect()
}

fn id(counter: u32) -> GroupId {
    GroupId([1, 7, counter])
}

/// Clients a, b, … at daemons d1, d2, …, all in one group.
struct Story(Journal);

const CLIENTS: [&str; 3] = ["#a#d1", "#b#d2", "#c#d3"];

impl Story {
    fn nobody() -> Story {
        let connection =
            |text| Connection { name: name(text), membership: true, asked: vec![], got: vec![], ended: false };
        Story(Journal { connections: CLIENTS.map(connection).into(), ..Journal::default() })
    }

    /// All are in the view 3 of the group g, each since its join.
    fn together() -> Story {
        let mut story = Story::nobody();
        for joiner in 0..CLIENTS.len() {
            story.0.connections[joiner].asked.push(Ask::Join(name("g")));
            for client in 0..=joiner {
                story.change(
                    client,
                    FrameType::CAUSED_BY_JOIN,
                    1 + joiner as u32,
                    &CLIENTS[..=joiner],
                    CLIENTS[joiner],
                );
            }
        }
        story
    }

    fn get(&mut self, client: usize, entry: Entry) {
        self.0.connections[client].got.push(Got { at: Instant::ZERO, entry });
    }

    fn change(&mut self, client: usize, cause: FrameType, counter: u32, members: &[&str], who: &str) {
        let (members, sets) = (names(members), vec![names(&[who])]);
        self.get(client, Entry::View(View { cause, group: name("g"), id: id(counter), members, sets, own: 0 }));
    }

    fn network(&mut self, client: usize, id: GroupId, sets: &[&[&str]], own: usize) {
        let sets: Vec<Vec<Name>> = sets.iter().map(|set| names(set)).collect();
        let mut members = sets.concat();
        members.sort_by_key(|member| member.private_parts().map(|(_, daemon)| daemon.to_vec()));
        let cause = FrameType::CAUSED_BY_NETWORK;
        self.get(client, Entry::View(View { cause, group: name("g"), id, members, sets, own }));
    }

    fn transition(&mut self, client: usize, counter: u32) {
        self.get(client, Entry::Transition { group: name("g"), id: id(counter) });
    }

    fn send(&mut self, connection: usize, service: Service) -> MessageNumber {
        let (number, after) = (self.0.messages.len(), self.0.connections[connection].got.len());
        let (groups, at) = (names(&["g"]), Instant::ZERO + Duration::from_secs(1));
        let sent = Sent { connection, service, groups, size: 0, discard: false, at, after, farewell: false };
        self.0.messages.push(sent);
        self.0.connections[connection].asked.push(Ask::Send(number));
        number
    }

    fn deliver(&mut self, client: usize, messages: &[MessageNumber]) {
        messages.iter().for_each(|&number| self.get(client, Entry::Data(number)));
    }

    fn safety(&self) -> &'static str {
        rule(check_safety(&self.0))
    }

    fn quiescence(&self) -> &'static str {
        rule(check_safety(&self.0).and_then(|()| check_quiescence(&self.0)))
    }

    fn masking(&self) -> &'static str {
        rule(check_safety(&self.0).and_then(|()| check_masking(&self.0, RING, Since(Instant::ZERO))))
    }
}

fn rule(verdict: Verdict) -> &'static str {
    verdict.map_or_else(|violation| violation.rule, |()| "none")
}

/// The next configuration's first view.
const NEXT: GroupId = GroupId([1, 8, 1]);

#[test]
fn a_sound_history_passes() {
    let mut story = Story::together();
    let (a, b) = (story.send(0, Service::Safe), story.send(1, Service::Fifo));
    (0..3).for_each(|client| story.deliver(client, &[a, b]));
    assert_eq!((story.quiescence(), story.masking()), ("none", "none"));
    for client in 0..2 {
        story.transition(client, 3);
        story.network(client, NEXT, &[&CLIENTS[..2]], 0);
    }
    assert_eq!(story.safety(), "none");
    story.0.connections[2].ended = true;
    assert_eq!((story.quiescence(), story.masking()), ("none", "masking"));
}

#[test]
fn what_no_daemon_may_do_is_a_violation() {
    let mut story = Story::together();
    story.0.wrongs.push("a frame that nobody sent".into());
    assert_eq!(story.safety(), "conduct");
}

#[test]
fn a_message_is_delivered_once() {
    let mut story = Story::together();
    let a = story.send(0, Service::Agreed);
    story.deliver(1, &[a, a]);
    assert_eq!(story.safety(), "once");
}

#[test]
fn each_sender_is_heard_in_its_order() {
    let mut story = Story::together();
    let (a, b) = (story.send(0, Service::Fifo), story.send(0, Service::Fifo));
    story.deliver(1, &[b, a]);
    assert_eq!(story.safety(), "fifo");
}

#[test]
fn reliable_messages_of_a_sender_may_overtake_and_are_not_overtaken() {
    let services = [Service::Agreed, Service::Reliable, Service::Fifo, Service::Unreliable];
    let verdict = |order: [usize; 4]| {
        let mut story = Story::together();
        let m = services.map(|service| story.send(0, service));
        (0..3).for_each(|client| story.deliver(client, &order.map(|place| m[place])));
        story.quiescence()
    };
    assert_eq!([verdict([0, 1, 2, 3]), verdict([1, 3, 0, 2])], ["none"; 2]);
    assert_eq!([verdict([0, 2, 1, 3]), verdict([1, 2, 0, 3]), verdict([3, 0, 1, 2])], ["fifo"; 3]);
}

#[test]
fn a_large_message_keeps_its_place_and_may_be_overtaken() {
    let verdict = |order: [usize; 3]| {
        let mut story = Story::together();
        let m = [Service::Fifo, Service::Reliable, Service::Reliable].map(|service| story.send(0, service));
        story.0.messages[m[1]].size = IN_PLACE;
        (0..3).for_each(|client| story.deliver(client, &order.map(|place| m[place])));
        story.quiescence()
    };
    assert_eq!([verdict([0, 1, 2]), verdict([0, 2, 1]), verdict([2, 0, 1])], ["none"; 3]);
    assert_eq!(verdict([1, 0, 2]), "fifo");
}

#[test]
fn messages_that_are_not_ordered_come_in_any_order() {
    let mut story = Story::together();
    let (a, b) = (story.send(0, Service::Fifo), story.send(1, Service::Reliable));
    story.deliver(0, &[a, b]);
    (1..3).for_each(|client| story.deliver(client, &[b, a]));
    assert_eq!((story.quiescence(), story.masking()), ("none", "none"));
}

#[test]
fn an_agreed_message_follows_what_its_sender_had_got_of_any_service() {
    let mut story = Story::together();
    let first = story.send(0, Service::Agreed);
    story.deliver(0, &[first]);
    let early = story.send(0, Service::Reliable);
    story.deliver(1, &[early]);
    let effect = story.send(1, Service::Agreed);
    story.deliver(2, &[effect, first]);
    assert_eq!(story.safety(), "order");
}

#[test]
fn no_message_overtakes_a_view() {
    for service in [Service::Unreliable, Service::Reliable, Service::Fifo] {
        let mut story = Story::together();
        let a = story.send(2, service);
        story.deliver(0, &[a]);
        for client in 0..2 {
            story.change(client, FrameType::CAUSED_BY_LEAVE, 4, &CLIENTS[..2], CLIENTS[2]);
        }
        story.deliver(1, &[a]);
        // It took part in the next view too, so that what was got in this one is compared.
        (0..2).for_each(|client| story.change(client, FrameType::CAUSED_BY_JOIN, 5, &CLIENTS, CLIENTS[2]));
        assert_eq!(story.safety(), "view 6", "{service:?}");
    }
}

#[test]
fn no_message_overtakes_a_transition() {
    let mut story = Story::together();
    let a = story.send(2, Service::Reliable);
    story.deliver(0, &[a]);
    (0..2).for_each(|client| story.transition(client, 3));
    story.deliver(1, &[a]);
    (0..2).for_each(|client| story.network(client, NEXT, &[&CLIENTS[..2]], 0));
    assert_eq!(story.safety(), "view 6");
}

#[test]
fn own_messages_come_without_gap_and_all_of_them_in_the_end() {
    let mut story = Story::together();
    let (a, b) = (story.send(0, Service::Agreed), story.send(0, Service::Agreed));
    (0..3).for_each(|client| story.deliver(client, &[a]));
    assert_eq!((story.safety(), story.quiescence()), ("none", "self-delivery"));
    let mut story = Story::together();
    let _ = (story.send(0, Service::Agreed), story.send(0, Service::Agreed));
    story.deliver(0, &[b]);
    assert_eq!(story.safety(), "self-delivery");
}

#[test]
fn only_members_get_what_is_sent_to_a_group() {
    let mut story = Story::nobody();
    let a = story.send(0, Service::Agreed);
    story.deliver(1, &[a]);
    assert_eq!(story.safety(), "address");
}

#[test]
fn no_cycle_is_too_long_to_be_found() {
    let mut story = Story::together();
    let m: Vec<MessageNumber> = (0..3).map(|client| story.send(client, Service::Agreed)).collect();
    (0..3).for_each(|client| story.0.connections[client].ended = true);
    (0..3).for_each(|client| story.deliver(client, &[m[client], m[(client + 1) % 3]]));
    assert_eq!(story.safety(), "order");
}

#[test]
fn a_cause_comes_before_its_effect() {
    let mut story = Story::together();
    let cause = story.send(0, Service::Agreed);
    story.deliver(1, &[cause]);
    let effect = story.send(1, Service::Agreed);
    story.deliver(2, &[effect, cause]);
    assert_eq!(story.safety(), "order");
}

#[test]
fn a_transition_comes_exactly_if_someone_is_lost() {
    let mut story = Story::together();
    story.network(0, NEXT, &[&CLIENTS[..2]], 0);
    assert_eq!(story.safety(), "view 1");
    let mut story = Story::together();
    story.transition(0, 3);
    story.network(0, NEXT, &[&CLIENTS], 0);
    assert_eq!(story.safety(), "view 1");
}

#[test]
fn a_transition_names_the_view_that_it_ends_and_comes_once() {
    let mut story = Story::together();
    story.transition(0, 2);
    assert_eq!(story.safety(), "view 2");
    let mut story = Story::together();
    (0..2).for_each(|_| story.transition(0, 3));
    assert_eq!(story.safety(), "view 2");
}

#[test]
fn no_change_follows_a_transition() {
    let mut story = Story::together();
    story.transition(0, 3);
    story.change(0, FrameType::CAUSED_BY_LEAVE, 4, &CLIENTS[..2], CLIENTS[2]);
    assert_eq!(story.safety(), "view 3");
}

#[test]
fn one_identity_is_one_list_of_members() {
    let mut story = Story::together();
    story.change(0, FrameType::CAUSED_BY_LEAVE, 4, &CLIENTS[..2], CLIENTS[2]);
    story.change(1, FrameType::CAUSED_BY_DISCONNECT, 4, &CLIENTS[1..], CLIENTS[0]);
    assert_eq!(story.safety(), "view 4");
}

#[test]
fn sets_are_the_members_and_the_own_one_is_ones_own() {
    let (split, other): (&[&[&str]], &[&[&str]]) = (&[&CLIENTS[..1], &CLIENTS[1..]], &[&["#a#d1", "#x#d1"]]);
    for (sets, own) in [(split, 1), (other, 0)] {
        let mut story = Story::together();
        story.transition(0, 3);
        story.network(0, NEXT, sets, own);
        assert_eq!(story.safety(), "view 5");
    }
}

#[test]
fn all_are_told_the_same_sets_and_a_set_comes_from_one_view() {
    let mut story = Story::together();
    (0..2).for_each(|client| story.transition(client, 3));
    story.network(0, NEXT, &[&CLIENTS[..2]], 0);
    story.network(1, NEXT, &[&CLIENTS[..1], &CLIENTS[1..2]], 1);
    assert_eq!(story.safety(), "view 5");
    let mut story = Story::together();
    story.change(1, FrameType::CAUSED_BY_LEAVE, 4, &CLIENTS[..2], CLIENTS[2]);
    story.transition(0, 3);
    story.network(0, NEXT, &[&CLIENTS[..2]], 0);
    story.network(1, NEXT, &[&CLIENTS[..2]], 0);
    assert_eq!(story.safety(), "view 5");
}

#[test]
fn who_goes_together_gets_the_same_at_the_same_side_of_the_transition() {
    let mut story = Story::together();
    let a = story.send(2, Service::Agreed);
    story.deliver(0, &[a]);
    story.transition(0, 3);
    story.transition(1, 3);
    story.deliver(1, &[a]);
    (0..2).for_each(|client| story.network(client, NEXT, &[&CLIENTS[..2]], 0));
    assert_eq!(story.safety(), "view 6");
}

#[test]
fn one_member_changes_at_a_time() {
    let mut story = Story::together();
    story.change(0, FrameType::CAUSED_BY_LEAVE, 4, &CLIENTS[..1], CLIENTS[2]);
    assert_eq!(story.safety(), "change");
}

#[test]
fn who_does_not_watch_is_told_nothing() {
    let mut story = Story::together();
    story.0.connections[0].membership = false;
    assert_eq!(story.safety(), "watch");
}

#[test]
fn a_member_leaves_once() {
    let mut story = Story::together();
    (0..2).for_each(|_| story.get(0, Entry::SelfLeave { group: name("g") }));
    assert_eq!(story.safety(), "leave");
}

#[test]
fn in_the_end_a_group_has_one_view_with_all_who_joined() {
    let mut story = Story::together();
    story.0.connections[2].asked.push(Ask::Leave(name("g")));
    assert_eq!(story.quiescence(), "reunion");
    let mut story = Story::together();
    story.transition(1, 3);
    assert_eq!(story.quiescence(), "reunion");
}

#[test]
fn a_farewell_reaches_all() {
    let mut story = Story::together();
    let a = story.send(2, Service::Agreed);
    story.0.messages[a].farewell = true;
    story.0.connections[1].membership = false;
    story.0.connections[1].got.clear();
    story.deliver(0, &[a]);
    story.deliver(2, &[a]);
    assert_eq!(story.quiescence(), "reach");
}

#[test]
fn a_safe_message_reaches_all_members_that_last() {
    let mut story = Story::together();
    let a = story.send(2, Service::Safe);
    story.0.connections[2].ended = true;
    story.deliver(0, &[a]);
    for client in 0..2 {
        story.change(client, FrameType::CAUSED_BY_DISCONNECT, 4, &CLIENTS[..2], CLIENTS[2]);
    }
    let lacking = &mut story.0.connections[1];
    lacking.membership = false;
    lacking.got.clear();
    assert_eq!(story.quiescence(), "safe");
}

#[test]
fn a_masked_fault_loses_nothing() {
    let mut story = Story::together();
    let a = story.send(2, Service::Fifo);
    story.deliver(0, &[a]);
    story.deliver(2, &[a]);
    assert_eq!(story.masking(), "masking");
}

/// Daemons that were together before all were keep that ring's end to themselves; they name it after the ring that all come to.
#[test]
fn the_way_to_the_common_ring_is_no_fault_but_the_way_from_it_is() {
    let way = |sequence: u32| {
        let mut story = Story::together();
        story.network(0, GroupId([1, sequence, 1 << 31 | 1]), &[&CLIENTS[..1]], 0);
        rule(check_masking(&story.0, RING, Since(Instant::ZERO)))
    };
    let ring = RING.sequence as u32;
    assert_eq!((way(ring), way(ring + 1)), ("none", "masking"));
}
