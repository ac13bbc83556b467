//! The recorded transcripts of the classic system as scripts with their expected logs. Ids are written representative /
//! sequence / counter; `t` marks a view that began after a transitional configuration.

use std::collections::BTreeSet;

use spread::groups::{Dropped, Groups, GroupsEvent, GroupsStatus, SessionId};
use spread::ring::{Configuration, ConfigurationKind, Message, RingEvent};
use spread::wire::{DaemonId, Envelope, FrameType, Payload, RingId, Service};

use crate::bus::Bus;
use crate::client::{data_frame, name};

/// What a client got since the last look.
fn news(bus: &mut Bus, id: SessionId) -> Vec<String> {
    bus.clients.get_mut(&id).unwrap().log.drain(..).map(|entry| entry.to_string()).collect()
}

fn safe(bus: &mut Bus, from: SessionId, message: u64) {
    bus.send(from, FrameType::SAFE, &[name("g")], message);
}

/// Daemons 1, 2 and 3 in one ring, with a, b and c in group g.
fn three() -> (Bus, [SessionId; 3]) {
    let mut bus = Bus::new(&[1, 2, 3], 0);
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    let ids = [(1, "a"), (2, "b"), (3, "c")].map(|(daemon, name)| {
        let id = bus.connect(daemon, name, true);
        bus.join(id, "g");
        bus.run_until_quiet();
        id
    });
    ids.iter().for_each(|&id| drop(news(&mut bus, id)));
    (bus, ids)
}

#[test]
fn joins_and_leaves_of_one_daemon() {
    let mut bus = Bus::new(&[1], 0);
    bus.reconfigure(&[&[1]], 0.0);
    bus.run_until_quiet();
    let alice = bus.connect(1, "alice", true);
    let bob = bus.connect(1, "bob", true);
    let nomemb = bus.connect(1, "nomemb", false);
    let mut step = |change: fn(&mut Bus, SessionId, &str), who, alices: &[&str], bobs: &[&str]| {
        change(&mut bus, who, "grp");
        bus.run_until_quiet();
        assert_eq!(news(&mut bus, alice), alices);
        assert_eq!(news(&mut bus, bob), bobs);
        assert!(news(&mut bus, nomemb).is_empty());
    };
    step(Bus::join, alice, &["grp JOIN 1/1/1 [alice] {alice} own 0"], &[]);
    let view = "grp JOIN 1/1/2 [alice bob] {bob} own 0";
    step(Bus::join, bob, &[view], &[view]);
    let view = "grp JOIN 1/1/3 [alice bob nomemb] {nomemb} own 0";
    step(Bus::join, nomemb, &[view], &[view]);
    step(Bus::join, alice, &[], &[]);
    step(Bus::leave, bob, &["grp LEAVE 1/1/4 [alice nomemb] {bob} own 0"], &["grp self-leave"]);
    step(Bus::leave, bob, &[], &[]);
    step(Bus::leave, nomemb, &["grp LEAVE 1/1/5 [alice] {nomemb} own 0"], &[]);
    step(Bus::leave, alice, &["grp self-leave"], &[]);
    assert_eq!(bus.groups(1).group_count(), 0);
}

#[test]
fn a_partition_and_a_merge() {
    let (mut bus, [a, b, c]) = three();
    let o = bus.connect(1, "o", true);
    bus.join(o, "only1");
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, o), ["only1 JOIN 1/1/1 [o] {o} own 0"]);

    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    assert!(bus.groups(1).is_exchanging());
    bus.run_until_quiet();
    assert_eq!(bus.groups(1).status(), GroupsStatus::Operational);
    let here = ["g TRANSITION 1/1/3", "g NETWORK 1/2/1 [a b] {a b} own 0"];
    assert_eq!(news(&mut bus, a), here);
    assert_eq!(news(&mut bus, b), here);
    assert_eq!(news(&mut bus, c), ["g TRANSITION 1/1/3", "g NETWORK 3/2/1 [c] {c} own 0"]);

    safe(&mut bus, b, 7);
    safe(&mut bus, c, 8);
    let e = bus.connect(3, "e", true);
    bus.join(e, "g");
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, a), ["data 7"]);
    assert_eq!(news(&mut bus, b), ["data 7"]);
    assert_eq!(news(&mut bus, c), ["data 8", "g JOIN 3/2/2 [c e] {e} own 0"]);
    assert_eq!(news(&mut bus, e), ["g JOIN 3/2/2 [c e] {e} own 0"]);

    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    for id in [a, b] {
        assert_eq!(news(&mut bus, id), ["g NETWORK 1/3/1 [a b c e] {a b} {c e} own 0"]);
    }
    for id in [c, e] {
        assert_eq!(news(&mut bus, id), ["g NETWORK 1/3/1 [a b c e] {a b} {c e} own 1"]);
    }
    bus.disconnect(a);
    bus.run_until_quiet();
    for id in [b, c, e] {
        assert_eq!(news(&mut bus, id), ["g DISCONNECT 1/3/2 [b c e] {a} own 0"]);
    }
    assert!(bus.clients[&a].released);
    assert!(news(&mut bus, o).is_empty());
    assert_eq!(bus.groups(3).group_count(), 2);
}

#[test]
fn crashes_of_daemons() {
    let (mut bus, [a, b, _]) = three();
    bus.crash(3);
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    let both = ["g TRANSITION 1/1/3", "g NETWORK 1/2/1 [a b] {a b} own 0"];
    assert_eq!(news(&mut bus, a), both);
    assert_eq!(news(&mut bus, b), both);
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    assert!(news(&mut bus, a).is_empty() && news(&mut bus, b).is_empty());
    bus.crash(2);
    bus.reconfigure(&[&[1, 3]], 0.0);
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, a), ["g TRANSITION 1/2/1", "g NETWORK 1/4/1 [a] {a} own 0"]);
}

#[test]
fn members_that_separate_and_return_before_a_view_come_back_as_two_sets() {
    let (mut bus, [a, b, c]) = three();
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    for (id, own) in [(a, 0), (b, 0), (c, 1)] {
        let view = format!("g NETWORK 1/3/1 [a b c] {{a b}} {{c}} own {own}");
        assert_eq!(news(&mut bus, id), ["g TRANSITION 1/1/3", &view]);
    }
}

#[test]
fn members_that_part_and_meet_others_in_one_step_get_a_transition_and_several_sets() {
    let mut bus = Bus::new(&[1, 2, 3, 4], 0);
    bus.reconfigure(&[&[1, 2], &[3, 4]], 0.0);
    bus.run_until_quiet();
    let ids = [(1, "a"), (2, "b"), (3, "c"), (4, "d")].map(|(daemon, name)| {
        let id = bus.connect(daemon, name, true);
        bus.join(id, "g");
        bus.run_until_quiet();
        id
    });
    ids.iter().for_each(|&id| drop(news(&mut bus, id)));
    bus.reconfigure(&[&[1, 3], &[2, 4]], 0.0);
    bus.run_until_quiet();
    let told = [
        ["g TRANSITION 1/1/2", "g NETWORK 1/2/1 [a c] {a} {c} own 0"],
        ["g TRANSITION 1/1/2", "g NETWORK 2/2/1 [b d] {b} {d} own 0"],
        ["g TRANSITION 3/1/2", "g NETWORK 1/2/1 [a c] {a} {c} own 1"],
        ["g TRANSITION 3/1/2", "g NETWORK 2/2/1 [b d] {b} {d} own 1"],
    ];
    for (id, told) in ids.into_iter().zip(told) {
        assert_eq!(news(&mut bus, id), told);
    }
}

#[test]
fn sets_stand_in_the_order_of_the_leaders_from_which_they_came_and_members_in_that_of_the_file() {
    let mut bus = Bus::new(&[3, 1, 2], 0);
    bus.reconfigure(&[&[1], &[2], &[3]], 0.0);
    bus.run_until_quiet();
    let ids = [(1, "a"), (2, "b"), (3, "c"), (3, "d")].map(|(daemon, name)| {
        let id = bus.connect(daemon, name, true);
        bus.join(id, "g");
        id
    });
    bus.run_until_quiet();
    ids.iter().for_each(|&id| drop(news(&mut bus, id)));
    bus.reconfigure(&[&[3, 1, 2]], 0.0);
    bus.run_until_quiet();
    for (id, own) in ids.into_iter().zip([0, 1, 2, 2]) {
        assert_eq!(news(&mut bus, id), [format!("g NETWORK 1/2/1 [c d a b] {{a}} {{b}} {{c d}} own {own}")]);
    }
}

#[test]
fn who_parted_before_a_view_is_in_a_set_smaller_than_its_component_was() {
    let (mut bus, [a, b, c]) = three();
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.reconfigure(&[&[1], &[2], &[3]], 0.0);
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    for (id, own) in [(a, 0), (b, 1), (c, 2)] {
        let view = format!("g NETWORK 1/4/1 [a b c] {{a}} {{b}} {{c}} own {own}");
        assert_eq!(news(&mut bus, id), ["g TRANSITION 1/1/3", &view]);
    }
}

#[test]
fn a_daemon_goes_through_the_states_that_monitors_know() {
    let (ring, next) = (ring(1), ring(2));
    let regular =
        |ring| Configuration { kind: ConfigurationKind::Regular, ring, members: vec![DaemonId(1)], next: None };
    let breaks = || {
        let (kind, next) = (ConfigurationKind::Transitional, Some(next));
        RingEvent::Configuration(Configuration { kind, next, ..regular(ring) })
    };
    let message =
        |(payload, service)| RingEvent::Message(Message { origin: DaemonId(1), service, payload, numbered: true });
    let mut groups = Groups::new(DaemonId(1), [(DaemonId(1), "d1".to_string())]);
    let table = hear(&mut groups, RingEvent::Configuration(regular(ring)));
    assert_eq!(groups.status(), GroupsStatus::Exchanging);
    hear(&mut groups, breaks());
    assert_eq!(groups.status(), GroupsStatus::ExchangingInTransition);
    hear(&mut groups, message(table.expect("its table goes to all")));
    assert_eq!(groups.status(), GroupsStatus::Transitional);
    let table = hear(&mut groups, RingEvent::Configuration(regular(next)));
    assert_eq!(groups.status(), GroupsStatus::Exchanging);
    hear(&mut groups, message(table.expect("its table goes to all")));
    assert_eq!(groups.status(), GroupsStatus::Operational);
}

/// Gives groups an event and lets them carry it out. What they say last.
fn hear(groups: &mut Groups, event: RingEvent) -> Option<(Payload, Service)> {
    groups.handle_event(event);
    let events = std::iter::from_fn(|| groups.poll_event());
    let said =
        |event| if let GroupsEvent::Submit { payload, service, .. } = event { Some((payload, service)) } else { None };
    events.filter_map(said).last()
}

fn ring(sequence: u64) -> RingId {
    RingId { sequence, representative: DaemonId(1) }
}

#[test]
fn two_breaks_before_a_view_cost_one_transition() {
    let (mut bus, [a, _, _]) = three();
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.reconfigure(&[&[1], &[2], &[3]], 0.0);
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, a), ["g TRANSITION 1/1/3", "g NETWORK 1/3/1 [a] {a} own 0"]);
}

#[test]
fn changes_between_transition_and_network_are_views_of_the_network() {
    let (mut bus, [a, b, c]) = three();
    let (j0, j2) = (bus.connect(2, "j0", true), bus.connect(2, "j2", true));
    bus.join(j0, "g");
    bus.run_until_quiet();
    [a, b, c, j0].iter().for_each(|&id| drop(news(&mut bus, id)));

    safe(&mut bus, c, 1);
    bus.originate(3);
    safe(&mut bus, a, 2);
    bus.originate(1);
    bus.leave(j0, "g");
    bus.join(j2, "g");
    safe(&mut bus, b, 3);
    while bus.originate(2) {}
    while bus.receive(1) {}
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    let phase = [
        "g TRANSITION 1/1/4",
        "data 1",
        "data 2",
        "g NETWORK 1/2/t1 [a b c] {a b} {c} own 0",
        "g TRANSITION 1/2/t1",
        "g NETWORK 1/2/t2 [a b j2 c] {a b} {c} {j2} own 0",
        "g TRANSITION 1/2/t2",
        "data 3",
    ];
    assert_eq!(news(&mut bus, a), phase);
    assert_eq!(news(&mut bus, b), phase);
    assert_eq!(news(&mut bus, j0), ["g TRANSITION 1/1/4", "data 1", "data 2", "g self-leave"]);
    assert_eq!(
        news(&mut bus, j2),
        ["g NETWORK 1/2/t2 [a b j2 c] {a b} {c} {j2} own 2", "g TRANSITION 1/2/t2", "data 3"]
    );
    assert_eq!(news(&mut bus, c), ["g TRANSITION 1/1/4", "data 1"]);

    bus.run_until_quiet();
    for id in [a, b, j2] {
        assert_eq!(news(&mut bus, id), ["g NETWORK 1/2/1 [a b j2] {a b j2} own 0"]);
    }
    assert_eq!(news(&mut bus, c), ["g NETWORK 3/2/1 [c] {c} own 0"]);
}

#[test]
fn a_change_after_the_transition_in_a_group_that_lost_nobody_is_told_as_usual() {
    let (mut bus, [a, _, _]) = three();
    bus.join(a, "h");
    bus.run_until_quiet();
    let k = bus.connect(1, "k", true);
    bus.join(k, "h");
    bus.originate(1);
    bus.reconfigure(&[&[1], &[2, 3]], 0.0);
    bus.run_until_quiet();
    let view = "h JOIN 1/2/t1 [a k] {k} own 0";
    assert_eq!(news(&mut bus, k), [view]);
    let told = ["h JOIN 1/1/1 [a] {a} own 0", "g TRANSITION 1/1/3", view, "g NETWORK 1/2/1 [a] {a} own 0"];
    assert_eq!(news(&mut bus, a), told);
}

#[test]
fn an_exchange_completes_in_the_transitional_configuration() {
    let (mut bus, [a, b, c]) = three();
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    [a, b, c].iter().for_each(|&id| drop(news(&mut bus, id)));
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    safe(&mut bus, c, 9);
    (1..=3).for_each(|id| assert!(bus.originate(id)));
    bus.originate(3);
    (1..=3).for_each(|id| while bus.receive(id) {});
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    let ours = [
        "g NETWORK 1/3/1 [a b c] {a b} {c} own 0",
        "g TRANSITION 1/3/1",
        "data 9",
        "g NETWORK 1/4/1 [a b] {a b} own 0",
    ];
    assert_eq!(news(&mut bus, a), ours);
    assert_eq!(news(&mut bus, b), ours);
    assert_eq!(
        news(&mut bus, c),
        ["g NETWORK 1/3/1 [a b c] {a b} {c} own 1", "g TRANSITION 1/3/1", "data 9", "g NETWORK 3/4/1 [c] {c} own 0"]
    );
}

#[test]
fn what_waited_for_an_exchange_that_never_completes_belongs_to_the_old_views() {
    let (mut bus, [a, b, c]) = three();
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    [a, b, c].iter().for_each(|&id| drop(news(&mut bus, id)));
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    let (j, k) = (bus.connect(2, "j", true), bus.connect(3, "k", true));
    safe(&mut bus, b, 5);
    bus.join(j, "g");
    bus.join(k, "g");
    while bus.originate(2) {}
    while bus.originate(3) {}
    (1..=3).for_each(|id| while bus.receive(id) {});
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    let ours = ["data 5", "g JOIN 1/4/t1 [a b j] {j} own 0"];
    assert_eq!(news(&mut bus, a), ours);
    assert_eq!(news(&mut bus, b), ours);
    assert_eq!(news(&mut bus, c), ["data 5", "g JOIN 3/4/t1 [c k] {k} own 0"]);
    bus.reconfigure(&[&[1, 2, 3]], 0.0);
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, a), ["g NETWORK 1/5/1 [a b j c k] {a b j} {c k} own 0"]);
}

#[test]
fn one_event_tells_groups_bytewise_and_all_transitions_first() {
    let mut bus = Bus::new(&[1, 2], 0);
    bus.reconfigure(&[&[1, 2]], 0.0);
    bus.run_until_quiet();
    let (a, b) = (bus.connect(1, "a", true), bus.connect(2, "b", true));
    for group in ["z", "a", "mm", "M", "B"] {
        bus.join(a, group);
        bus.join(b, group);
    }
    bus.run_until_quiet();
    news(&mut bus, a);
    bus.reconfigure(&[&[1], &[2]], 0.0);
    bus.run_until_quiet();
    let order = |kind: &str| ["B", "M", "a", "mm", "z"].map(|group| format!("{group} {kind}"));
    let told: Vec<String> =
        news(&mut bus, a).iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(told, [order("TRANSITION"), order("NETWORK")].concat());
    bus.reconfigure(&[&[1, 2]], 0.0);
    bus.run_until_quiet();
    news(&mut bus, a);
    bus.disconnect(b);
    bus.run_until_quiet();
    let told: Vec<String> =
        news(&mut bus, a).iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(told, order("DISCONNECT"));
}

#[test]
fn who_joins_again_or_leaves_a_group_that_it_is_not_in_tells_nobody() {
    let (mut bus, [a, b, c]) = three();
    bus.join(a, "g");
    bus.leave(b, "h");
    bus.run_until_quiet();
    assert!([a, b, c].iter().all(|&id| news(&mut bus, id).is_empty()));
    let d = bus.connect(2, "d", true);
    bus.join(d, "g");
    bus.join(d, "g");
    bus.leave(d, "g");
    bus.leave(d, "g");
    bus.run_until_quiet();
    let join = "g JOIN 1/1/4 [a b d c] {d} own 0";
    assert_eq!(news(&mut bus, d), [join, "g self-leave"]);
    assert_eq!(news(&mut bus, a), [join, "g LEAVE 1/1/5 [a b c] {d} own 0"]);
}

#[test]
fn a_view_that_a_change_of_daemons_leaves_alone_keeps_its_identity() {
    let (mut bus, [a, _, _]) = three();
    let o = bus.connect(1, "o", true);
    bus.join(o, "only1");
    bus.run_until_quiet();
    news(&mut bus, a);
    bus.reconfigure(&[&[1, 2], &[3]], 0.0);
    bus.run_until_quiet();
    bus.reconfigure(&[&[1], &[2], &[3]], 0.0);
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, o), ["only1 JOIN 1/1/1 [o] {o} own 0"]);
    let p = bus.connect(1, "p", true);
    bus.join(p, "only1");
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, o), ["only1 JOIN 1/3/1 [o p] {p} own 0"]);
    // The view of the group that did lose members began with each configuration.
    assert_eq!(
        news(&mut bus, a),
        [
            "g TRANSITION 1/1/3",
            "g NETWORK 1/2/1 [a b] {a b} own 0",
            "g TRANSITION 1/2/1",
            "g NETWORK 1/3/1 [a] {a} own 0",
        ]
    );
}

#[test]
fn each_receiver_gets_one_copy_of_what_is_addressed_to_it() {
    let (mut bus, [a, b, c]) = three();
    bus.join(a, "h");
    bus.run_until_quiet();
    news(&mut bus, a);
    let outsider = bus.connect(1, "o", false);
    let to = |texts: &[&str]| texts.iter().map(|text| name(text)).collect::<Vec<_>>();
    let discard = FrameType::AGREED | FrameType::SELF_DISCARD;
    bus.send(outsider, FrameType::AGREED, &to(&["g", "h", "g", "#a#d1"]), 1);
    bus.send(outsider, FrameType::AGREED, &to(&["#o#d1", "#x#d1", "#o#d9", "#o", "empty"]), 2);
    bus.send(outsider, discard, &to(&["#o#d1", "#b#d2"]), 3);
    bus.send(a, discard, &to(&["g"]), 4);
    bus.run_until_quiet();
    bus.send(b, FrameType::AGREED, &[], 5);
    bus.send(b, FrameType::AGREED, &to(&["#c#d3"]), 6);
    bus.run_until_quiet();
    assert_eq!(news(&mut bus, a), ["data 1"]);
    assert_eq!(news(&mut bus, b), ["data 1", "data 3", "data 4"]);
    assert_eq!(news(&mut bus, c), ["data 1", "data 4", "data 6"]);
    assert_eq!(news(&mut bus, outsider), ["data 2"]);
}

#[test]
fn a_daemon_speaks_for_its_own_clients_alone() {
    let (mut bus, [a, b, c]) = three();
    let [of_a, of_b, of_c] = [a, b, c].map(|client| bus.clients[&client].name);
    let root = name(&of_b.to_string().replacen("#b", "#root", 1));
    for sender in [of_b, root, of_a] {
        let frame = data_frame(FrameType::AGREED, sender, &[name("g")], 7);
        bus.send_bytes(a, &Envelope::Data(frame).encode().contiguous());
    }
    for envelope in [
        Envelope::Leave { member: of_b, group: name("g") },
        Envelope::Disconnect { member: of_c },
        Envelope::Join { member: root, group: name("g") },
    ] {
        bus.send_bytes(a, &envelope.encode().contiguous());
    }
    bus.run_until_quiet();
    assert_eq!([a, b, c].map(|client| news(&mut bus, client).len()), [1; 3], "what its own client says");
    assert_eq!(bus.groups(2).dropped().false_senders, 5);
}

#[test]
fn bytes_that_mean_nothing_are_counted() {
    let (mut bus, [a, b, _]) = three();
    bus.send_bytes(a, b"");
    bus.send_bytes(a, b"\x09");
    bus.send_bytes(a, b"\x01short");
    bus.send_bytes(a, &[&[1][..], &[0xff; 60]].concat());
    bus.run_until_quiet();
    assert_eq!(bus.groups(2).dropped().malformed, 4);
    assert!(news(&mut bus, b).is_empty());
}

#[test]
fn ten_thousand_groups_merge_while_messages_flow() {
    const GROUPS: usize = 10_000;
    let mut bus = Bus::new(&[1, 2], 0);
    bus.reconfigure(&[&[1], &[2]], 0.0);
    bus.run_until_quiet();
    let ids: Vec<SessionId> = (0..1000).map(|n| bus.connect(1 + n % 2, &format!("m{n}"), n < 2)).collect();
    for n in 0..GROUPS {
        bus.join(ids[n % 1000], &format!("g{n}"));
        bus.join(ids[(n + 1) % 1000], &format!("g{n}"));
    }
    ids.iter().for_each(|&id| bus.join(id, "g"));
    bus.run_until_quiet();
    // Everybody sends to everybody before, while and after the tables are exchanged, and some come and go meanwhile.
    let mut sent = 0;
    let mut traffic = |bus: &mut Bus| {
        for _ in 0..4 {
            let from = ids[sent as usize * 7 % 1000];
            safe(bus, from, sent);
            bus.send(from, FrameType::AGREED, &[name(&format!("g{}", sent * 13 % GROUPS as u64)), name("g")], sent + 1);
            sent += 2;
        }
        for daemon in [1, 2] {
            let _ = bus.originate(daemon) | bus.receive(daemon) | bus.deliver(daemon);
        }
    };
    let exchanges = |bus: &Bus| [1, 2].map(|daemon| bus.groups(daemon).is_exchanging());
    (0..20).for_each(|_| traffic(&mut bus));
    bus.reconfigure(&[&[1, 2]], 0.0);
    let mut rounds = 0;
    while exchanges(&bus) != [false; 2] {
        traffic(&mut bus);
        rounds += 1;
    }
    assert!(rounds > 20, "the exchange took {rounds} rounds");
    (0..20).for_each(|_| traffic(&mut bus));
    bus.run_until_quiet();
    for id in 1..=2 {
        assert_eq!((bus.groups(id).group_count(), bus.groups(id).member_count(&name("g"))), (GROUPS + 1, 1000));
        assert_eq!(bus.groups(id).member_count(&name("g77")), 2);
        assert_eq!(bus.groups(id).dropped(), &Dropped::default());
    }
    let logs = ids.iter().map(|id| bus.clients[id].log.iter().map(ToString::to_string));
    let data: Vec<Vec<String>> = logs.map(|log| log.filter(|line| line.starts_with("data")).collect()).collect();
    // Before the merge each half has its own messages; what was not sent then, all get in one order.
    let other_half: BTreeSet<&String> = data[1].iter().collect();
    let together: Vec<&String> = data[0].iter().filter(|line| other_half.contains(line)).collect();
    let merged: BTreeSet<&String> = together.iter().copied().collect();
    assert!(together.len() > 8 * rounds, "{} messages", together.len());
    for got in &data {
        let shared: Vec<&String> = got.iter().filter(|line| merged.contains(line)).collect();
        assert_eq!(shared, together);
    }
    let all: BTreeSet<&String> = data.iter().flatten().collect();
    assert_eq!(all.len() as u64, sent);
}
