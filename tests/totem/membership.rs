//! Totem SRP 6.2 and 7.2: how a ring forms, and what it owes to the ring before.

use super::*;

// Totem SRP 6.2, membership.

/// The sets in the joins of one daemon only grow until a ring is formed.
#[test]
fn srp_6_2_the_sets_of_a_gather_only_grow() {
    let mut bus = ring_of(4);
    bus.crash(4);
    bus.crash(3);
    bus.run(2 * SECOND);
    let mut last: BTreeMap<u32, &Join> = BTreeMap::new();
    for (from, join) in joins(&bus) {
        if let Some(before) = last.insert(from, join) {
            assert!(before.present.is_subset(&join.present) && before.failed.is_subset(&join.failed));
        }
    }
    assert_eq!(last[&1].failed, BTreeSet::from([DaemonId(3), DaemonId(4)]));
}

/// A daemon that does not answer until the consensus time-out is given up.
#[test]
fn srp_6_2_a_silent_daemon_is_given_up_after_the_consensus_timeout() {
    let mut bus = busy_ring_of(3);
    bus.crash(3);
    let gathers = |bus: &Bus| !joins(bus).is_empty();
    assert!(bus.run_until(bus.now + 2 * SECOND, gathers));
    let begun = bus.now;
    let given_up = |bus: &Bus| joins(bus).iter().any(|(_, join)| !join.failed.is_empty());
    assert!(bus.run_until(begun + SECOND, given_up));
    assert!(
        bus.now.since(begun) >= RingSettings::new(DaemonId(1), spread::wire::Incarnation(1), vec![]).consensus_timeout
    );
}

/// The representative is the lowest id, and the sequence of the new ring is above every sequence that a member knows.
#[test]
fn srp_6_2_the_lowest_daemon_forms_a_ring_with_a_higher_sequence() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    let highest = joins(&bus).iter().map(|(_, join)| join.sequence).max().unwrap();
    let formed = configurations(&bus).last().unwrap().1.ring;
    assert_eq!(formed.representative, DaemonId(1));
    assert!(formed.sequence > highest);
}

/// The form token (commit token) goes round twice. On its first rotation each member fills in its own entry.
#[test]
fn srp_6_2_the_form_token_goes_round_twice() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    let ring = configurations(&bus).last().unwrap().1.ring;
    let parts: BTreeMap<u64, &FormPart> =
        forms(&bus).into_iter().filter(|(_, part)| part.ring == ring).map(|(_, part)| (part.hop, part)).collect();
    assert_eq!(parts.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let filled = |part: &FormPart| part.entries.iter().filter(|entry| entry.brings.is_some()).count();
    assert_eq!(parts.values().map(|part| filled(part)).collect::<Vec<_>>(), [1, 2, 3, 3, 3, 3]);
}

/// A daemon that hears of a ring that it is not in gathers with it.
#[test]
fn srp_6_2_rings_that_hear_each_other_merge() {
    let mut bus = Bus::new(4);
    bus.partition(&[&[1, 3], &[2, 4]]);
    bus.run(2 * SECOND);
    (1..=4).for_each(|daemon| drop(bus.delivered(daemon)));
    bus.heal();
    bus.run(2 * SECOND);
    for daemon in [1, 3] {
        assert_eq!(bus.delivered(daemon), ["transitional configuration of 1 3", "regular configuration of 1 2 3 4"]);
    }
    for daemon in [2, 4] {
        assert_eq!(bus.delivered(daemon), ["transitional configuration of 2 4", "regular configuration of 1 2 3 4"]);
    }
}

/// Ring sequences never repeat, though a daemon restarts.
#[test]
fn srp_6_2_a_restarted_daemon_is_in_a_new_ring() {
    let mut bus = Bus::new(2);
    bus.run(SECOND);
    let before = configurations(&bus).last().unwrap().1.ring;
    bus.crash(1);
    bus.start(1);
    bus.run(3 * SECOND);
    let after = configurations(&bus).last().unwrap().1;
    assert_eq!(after.members.len(), 2);
    assert!(after.ring.sequence > before.sequence);
}

// Totem SRP 7.2, recovery.

/// Packets of the old ring travel inside packets of the new one, and no new message is numbered before all of them.
#[test]
fn srp_7_2_the_old_ring_comes_before_new_messages() {
    let mut bus = ring_of(3);
    bus.lose(|flight| flight.to == 2 && matches!(flight.packet, Packet::Data(data) if !data.recovered));
    bus.send(1, Service::Agreed, "old");
    bus.run(Duration::from_micros(30));
    bus.crash(3);
    let end = bus.now + 2 * SECOND;
    assert!(bus.run_until(end, |bus| !joins(bus).is_empty()));
    bus.heal();
    bus.send(2, Service::Agreed, "new");
    bus.run(3 * SECOND);
    let ring = configurations(&bus).last().unwrap().1.ring;
    let packets = data(&bus).into_iter().map(|(_, data)| data).filter(|data| data.ring == ring);
    let (old, new): (Vec<&Data>, Vec<&Data>) = packets.partition(|data| data.recovered);
    let inside = |data: &Data| Data::decode(&data.payload).unwrap();
    assert!(old.iter().all(|data| inside(data).ring < ring));
    assert!(old.iter().map(|data| data.seq).max() < new.iter().map(|data| data.seq).min());
}

/// Messages up to the first hole, and safe messages that some member has delivered, are delivered in the old configuration. A safe
/// message above that is delivered behind the transitional configuration.
#[test]
fn srp_7_2_a_message_that_is_not_safe_yet_is_delivered_in_the_transitional_configuration() {
    let mut bus = ring_of(3);
    bus.lose(|flight| flight.to == 3 && matches!(flight.packet, Packet::Data(_)));
    bus.send(1, Service::Agreed, "agreed");
    bus.send(1, Service::Safe, "safe");
    bus.run(Duration::from_millis(20));
    bus.crash(3);
    bus.run(3 * SECOND);
    for daemon in [1, 2] {
        let expected = ["agreed", "transitional configuration of 1 2", "safe", "regular configuration of 1 2"];
        assert_eq!(bus.delivered(daemon), expected);
    }
}

/// Behind a hole only messages of those who go on together are delivered: what another daemon sent may depend on what is missing.
#[test]
fn srp_7_2_behind_a_hole_only_members_are_believed() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    let ring = configurations(&bus).last().unwrap().1.ring;
    bus.lines.clear();
    bus.lose(|flight| matches!(flight.packet, Packet::Data(data) if data.origin == DaemonId(4) && !data.recovered));
    bus.stir(ring);
    bus.send(4, Service::Agreed, "missing");
    bus.run(Duration::from_millis(5));
    bus.stir(ring);
    bus.send(3, Service::Agreed, "may answer what is missing");
    bus.run(Duration::from_millis(5));
    bus.stir(ring);
    bus.send(2, Service::Agreed, "of a member");
    bus.run(Duration::from_millis(5));
    bus.crash(4);
    bus.crash(3);
    bus.run(3 * SECOND);
    for daemon in [1, 2] {
        assert_eq!(
            bus.delivered(daemon),
            ["transitional configuration of 1 2", "of a member", "regular configuration of 1 2"]
        );
    }
}

/// A recovery that fails changes nothing of what is owed: the next one delivers it.
#[test]
fn srp_7_2_what_is_owed_outlives_a_recovery_that_fails() {
    let mut bus = ring_of(3);
    bus.send(1, Service::Safe, "owed");
    bus.run(Duration::from_micros(60));
    bus.crash(3);
    // The tokens of the next ring are lost, so its recovery fails.
    let end = bus.now + 5 * SECOND;
    assert!(bus.run_until(end, |bus| !forms(bus).is_empty()));
    let failing = forms(&bus)[0].1.ring;
    bus.lose(move |flight| matches!(flight.packet, Packet::Token(token) if token.ring == failing));
    bus.run(5 * SECOND);
    for daemon in [1, 2] {
        let delivered = bus.delivered(daemon);
        assert_eq!(delivered.iter().filter(|text| *text == "owed").count(), 1, "{delivered:?}");
        assert_eq!(delivered.last().unwrap(), "regular configuration of 1 2");
    }
    assert!(configurations(&bus).iter().all(|(_, configuration)| configuration.ring != failing));
}
