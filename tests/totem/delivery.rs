//! Totem SRP 4: membership services and reliable ordered delivery, as programs see them.

use super::*;

// Totem SRP 4.1, membership services.

/// Uniqueness: an id names one configuration. Ours is the kind, the ring, and for a transitional one the next ring and its members.
#[test]
fn srp_4_1_configuration_ids_are_unique() {
    let bus = eventful();
    let mut members: BTreeMap<RingId, &Vec<DaemonId>> = BTreeMap::new();
    let mut installed: BTreeSet<(u32, RingId)> = BTreeSet::new();
    for (daemon, configuration) in configurations(&bus) {
        if configuration.kind == ConfigurationKind::Regular {
            assert!(installed.insert((daemon, configuration.ring)), "{daemon} installs {} twice", configuration.ring);
            let known = members.entry(configuration.ring).or_insert(&configuration.members);
            assert_eq!(*known, &configuration.members);
        }
    }
    assert!(members.len() >= 5, "the history has several rings");
}

/// Consensus: all daemons that install a configuration have agreed on its members.
#[test]
fn srp_4_1_all_who_install_a_configuration_have_agreed_on_it() {
    let bus = eventful();
    for (_, configuration) in configurations(&bus) {
        let last_joins = configuration.members.iter().map(|member| {
            joins(&bus)
                .into_iter()
                .filter(|(from, join)| *from == member.0 && join.sequence < configuration.ring.sequence)
                .count()
        });
        assert!(configuration.members.len() == 1 || last_joins.min() > Some(0), "each member has said a join");
        assert!(
            forms(&bus).iter().any(|(_, part)| part.ring == configuration.ring || configuration.members.len() == 1)
        );
    }
}

/// Termination: a configuration that ceases to exist is followed by another one within a bounded time.
#[test]
fn srp_4_1_a_broken_configuration_is_followed_by_another() {
    let mut bus = ring_of(3);
    bus.crash(2);
    bus.run(2 * SECOND);
    for daemon in [1, 3] {
        assert_eq!(bus.delivered(daemon), ["transitional configuration of 1 3", "regular configuration of 1 3"]);
    }
}

/// Configuration change consistency: daemons that go from one configuration to the same next one deliver the same change.
#[test]
fn srp_4_1_all_who_go_together_deliver_the_same_change() {
    let bus = eventful();
    let mut before: BTreeMap<u32, RingId> = BTreeMap::new();
    let mut changes: BTreeMap<(RingId, RingId), Vec<&Configuration>> = BTreeMap::new();
    for (daemon, configuration) in configurations(&bus) {
        match configuration.kind {
            ConfigurationKind::Regular => drop(before.insert(daemon, configuration.ring)),
            ConfigurationKind::Transitional => {
                assert_eq!(before.get(&daemon), Some(&configuration.ring), "it leads out of the ring before");
                changes.entry((configuration.ring, configuration.next.unwrap())).or_default().push(configuration);
            }
        }
    }
    assert!(changes.values().any(|changes| changes.len() > 1));
    assert!(changes.values().all(|same| same.iter().all(|change| *change == same[0])));
}

// Totem SRP 4.2, reliable ordered delivery.

/// A message is delivered once, however often its packet arrives.
#[test]
fn srp_4_2_a_message_is_delivered_once() {
    let mut bus = ring_of(3);
    bus.send(1, Service::Agreed, "once");
    bus.run(MOMENT);
    let copies: Vec<Data> = data(&bus).into_iter().map(|(_, data)| data.clone()).collect();
    assert!(!copies.is_empty());
    for copy in copies {
        for to in [2, 3] {
            bus.inject(1, to, Packet::Data(copy.clone()));
        }
    }
    bus.run(MOMENT);
    for daemon in 1..=3 {
        assert_eq!(bus.delivered(daemon), ["once"]);
    }
}

/// A daemon that does not fail delivers its own messages before it installs the next regular configuration.
#[test]
fn srp_4_2_a_daemon_delivers_its_own_messages() {
    let mut bus = ring_of(3);
    bus.partition(&[&[1, 2], &[3]]);
    bus.send(3, Service::Safe, "mine");
    bus.run(3 * SECOND);
    let delivered = bus.delivered(3);
    assert_eq!(delivered.iter().filter(|text| *text == "mine").count(), 1, "{delivered:?}");
}

/// While the configuration lasts, all members deliver all messages.
#[test]
fn srp_4_2_all_members_deliver_all_messages() {
    let mut bus = ring_of(3);
    flood(&mut bus, 3, 30);
    bus.run(SECOND);
    let first = bus.delivered(1);
    assert_eq!(first.len(), 90);
    assert_eq!((bus.delivered(2), bus.delivered(3)), (first.clone(), first));
}

/// Daemons that are members of two consecutive configurations deliver the same set of messages between them. (EVS: failure atomicity.)
#[test]
fn srp_4_2_all_who_go_together_have_delivered_the_same() {
    let mut bus = busy_ring_of(4);
    // Each of 1 and 2 misses what the other one has.
    bus.lose(|flight| matches!(flight.packet, Packet::Data(data) if !data.recovered && data.seq % 2 == u64::from(flight.to) % 2));
    flood(&mut bus, 4, 3);
    bus.run(Duration::from_micros(100));
    bus.crash(3);
    bus.crash(4);
    bus.run(3 * SECOND);
    let messages = bus.delivered(1);
    let place = messages.iter().position(|text| text == "regular configuration of 1 2").unwrap();
    assert!(place > 1, "something was delivered before");
    assert_eq!(bus.delivered(2)[..=place], messages[..=place]);
}

/// Causal order: an answer is delivered behind what it answers.
#[test]
fn srp_4_2_an_answer_is_delivered_behind_its_question() {
    for service in [Service::Causal, Service::Agreed, Service::Safe] {
        let mut bus = ring_of(3);
        bus.lose(|flight| matches!(flight.packet, Packet::Data(data) if flight.to == 3 && data.origin == DaemonId(1)));
        bus.send(1, service, "question");
        // Nobody delivers a safe question while 3 lacks it, so nobody answers before it comes.
        if service == Service::Safe {
            bus.run(MOMENT);
            assert!(bus.delivered(2).is_empty());
            bus.heal();
        }
        bus.run(MOMENT);
        assert_eq!(bus.delivered(2), ["question"]);
        bus.send(2, service, "answer");
        bus.run(Duration::from_millis(2));
        bus.heal();
        bus.run(MOMENT);
        assert_eq!(bus.delivered(3), ["question", "answer"], "{service}");
    }
}

/// Agreed order: nothing is delivered before everything that precedes it in the one order of all messages.
#[test]
fn srp_4_2_agreed_messages_wait_for_those_before_them() {
    let mut bus = ring_of(3);
    bus.lose(|flight| matches!(flight.packet, Packet::Data(data) if flight.to == 3 && data.origin == DaemonId(1)));
    bus.send(1, Service::Agreed, "first");
    bus.run(Duration::from_micros(100));
    bus.send(2, Service::Agreed, "second");
    bus.run(Duration::from_micros(300));
    assert!(bus.delivered(3).is_empty());
    bus.heal();
    bus.run(MOMENT);
    assert_eq!(bus.delivered(3), ["first", "second"]);
}

/// Safe order: nobody delivers a safe message before every member has it.
#[test]
fn srp_4_2_a_safe_message_is_with_all_before_anybody_delivers_it() {
    let mut bus = ring_of(3);
    bus.lose(|flight| flight.to == 2 && matches!(flight.packet, Packet::Data(_)));
    bus.send(1, Service::Safe, "safe");
    bus.run(MOMENT);
    assert_eq!([1, 2, 3].map(|daemon| bus.delivered(daemon).len()), [0, 0, 0]);
    bus.heal();
    bus.run(MOMENT);
    assert_eq!([1, 2, 3].map(|daemon| bus.delivered(daemon)), [["safe"], ["safe"], ["safe"]]);
}
