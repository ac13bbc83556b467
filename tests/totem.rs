//! The rules of the papers, one test for each, in the papers' order.
//!
//! - *Totem SRP*: Amir, Moser, Melliar-Smith, Agarwal, Ciarfella, *The Totem Single-Ring Ordering and Membership Protocol*, ACM TOCS 13(4), 1995.
//! - *EVS*: Moser, Amir, Melliar-Smith, Agarwal, *Extended Virtual Synchrony*, ICDCS 1994.
//! - *Accelerated Ring*: Babay, Amir, *Fast Total Ordering for Modern Data Centers*, ICDCS 2016.
//!
//! Where the papers say processor we say daemon. The simulator checks the same promises in any history; here each rule stands alone, so
//! that a change that breaks it shows which one.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

#[expect(dead_code, reason = "shared with the lessons")]
mod rings;

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

// Totem SRP 5.2, total ordering.

/// There is one sequence of numbers for all members, without a gap, and a number names one packet.
#[test]
fn srp_5_2_there_is_one_sequence_of_numbers() {
    let mut bus = busy_ring_of(3);
    flood(&mut bus, 3, 30);
    bus.run(SECOND);
    let mut packets: BTreeMap<u64, &Data> = BTreeMap::new();
    for (_, data) in data(&bus) {
        assert_eq!(*packets.entry(data.seq).or_insert(data), data, "number {}", data.seq);
    }
    let (first, last) = (*packets.keys().next().unwrap(), *packets.keys().last().unwrap());
    assert_eq!(last - first + 1, packets.len() as u64);
    let origins: BTreeSet<DaemonId> = packets.values().map(|data| data.origin).collect();
    assert_eq!(origins.len(), 3);
}

/// Whoever lacks a packet lowers aru and puts itself in aru_by. Only that daemon raises aru again.
#[test]
fn srp_5_2_only_who_lowered_aru_raises_it() {
    let mut bus = busy_ring_of(3);
    let mut lost = 0;
    bus.lose(move |flight| {
        let data = flight.to == 3 && matches!(flight.packet, Packet::Data(_));
        lost += u32::from(data);
        data && lost < 40
    });
    flood(&mut bus, 3, 20);
    bus.run(SECOND);
    let mut before: Option<&Token> = None;
    let mut lowered = 0;
    for (from, token) in tokens(&bus) {
        if let Some(before) = before.filter(|before| before.hop < token.hop) {
            let raised = token.aru > before.aru;
            let may = before.aru_by.is_none_or(|by| by == DaemonId(from));
            assert!(may || !raised, "{from} raises the aru that {:?} lowered", before.aru_by);
            lowered += u32::from(token.aru_by == Some(DaemonId(3)));
        }
        before = Some(token);
    }
    assert!(lowered > 1, "daemon 3 lacked packets for more than a rotation");
}

/// Missing packets are requested on the token. Whoever has one sends it again and takes the request off.
#[test]
fn srp_5_2_whoever_has_a_requested_packet_sends_it_again() {
    let mut bus = busy_ring_of(3);
    bus.lose(|flight| matches!(flight.packet, Packet::Data(data) if flight.from == 1 && flight.to == 3 && data.origin == DaemonId(1)));
    flood(&mut bus, 1, 5);
    bus.run(MOMENT);
    let requested: BTreeSet<u64> = tokens(&bus).iter().flat_map(|(_, token)| numbers(token)).collect();
    assert!(!requested.is_empty());
    for seq in requested {
        assert!(data(&bus).iter().any(|(from, data)| *from == 2 && data.seq == seq), "daemon 2 sends {seq} again");
    }
    assert!(tokens(&bus).last().unwrap().1.requests.is_empty());
    assert_eq!(bus.delivered(3).len(), 5);
}

fn numbers(token: &Token) -> impl Iterator<Item = u64> {
    token.requests.iter().flat_map(|&(first, length)| first..first + u64::from(length))
}

/// A token that is not newer than the last one is dropped.
#[test]
fn srp_5_2_a_copy_of_a_token_leads_to_nothing() {
    let mut bus = busy_ring_of(3);
    flood(&mut bus, 3, 5);
    bus.run(MOMENT);
    let copies: Vec<(u32, u32, Token)> = bus
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Sent { from, to: Some(to), packet: Packet::Token(token) } => Some((*from, *to, token.clone())),
            _ => None,
        })
        .collect();
    assert!(!copies.is_empty());
    bus.lines.clear();
    for (from, to, token) in copies {
        bus.inject(from, to, Packet::Token(token));
    }
    assert_eq!(bus.lines, []);
}

/// A lost token is sent again, and the membership stays.
#[test]
fn srp_5_2_a_lost_token_is_sent_again() {
    let mut bus = busy_ring_of(3);
    let mut lost = 0;
    bus.lose(move |flight| {
        lost += u32::from(matches!(flight.packet, Packet::Token(_)));
        matches!(flight.packet, Packet::Token(_)) && lost % 3 == 0
    });
    flood(&mut bus, 3, 30);
    bus.run(2 * SECOND);
    assert_eq!(bus.delivered(2).len(), 90);
    assert_eq!(configurations(&bus), []);
}

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

// Totem SRP 8, flow control.

/// No member numbers more packets at a visit than its window, and all together no more in a rotation than the ring's window.
#[test]
fn srp_8_windows_are_kept() {
    let mut bus = busy_ring_with(3, |config| (config.window, config.personal_window) = (8, 3));
    flood(&mut bus, 3, 60);
    bus.run(2 * SECOND);
    let mut by_hop: BTreeMap<u64, &Token> = BTreeMap::new();
    by_hop.extend(tokens(&bus).into_iter().map(|(_, token)| (token.hop, token)));
    let tokens: Vec<&&Token> = by_hop.values().collect();
    assert!(tokens.windows(2).all(|pair| pair[1].seq - pair[0].seq <= 3));
    // Members that have just begun to send may exceed the window once, together by less than another window.
    let rotations: Vec<u64> = tokens.windows(4).map(|rotation| rotation[3].seq - rotation[0].seq).collect();
    assert!(
        rotations.iter().all(|&packets| packets < 16) && rotations.iter().filter(|&&packets| packets > 8).count() <= 3
    );
    assert_eq!(bus.delivered(1).len(), 180);
}

// Accelerated Ring.

/// A member passes the token on before it sends the packets that it numbered.
#[test]
fn accelerated_ring_the_token_leaves_before_the_packets() {
    let mut bus = busy_ring_of(3);
    flood(&mut bus, 3, 30);
    bus.run(SECOND);
    let mut passed: BTreeMap<u32, u64> = BTreeMap::new();
    let mut checked = 0;
    for (from, packet) in sent(&bus) {
        match packet {
            Packet::Token(token) => drop(passed.insert(from, token.seq)),
            Packet::Data(data) if data.origin == DaemonId(from) => {
                assert!(passed.get(&from).is_some_and(|&seq| seq >= data.seq), "packet {} before its token", data.seq);
                checked += 1;
            }
            _ => {}
        }
    }
    assert_eq!(checked, data(&bus).len());
}

/// A packet is requested only if the token of the visit before had its number already: until then it may still be under way.
#[test]
fn accelerated_ring_only_what_the_last_visit_knew_is_requested() {
    let mut bus = busy_ring_of(3);
    let mut lost = 0;
    bus.lose(move |flight| {
        lost += u32::from(matches!(flight.packet, Packet::Data(_)));
        matches!(flight.packet, Packet::Data(_)) && lost % 5 == 0
    });
    flood(&mut bus, 3, 30);
    bus.run(2 * SECOND);
    // The number up to which each member may request: that of the token which it passed on last.
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    let mut hop = 0;
    let mut requested: BTreeSet<u64> = BTreeSet::new();
    for (from, token) in tokens(&bus).into_iter() {
        if token.hop <= hop {
            continue;
        }
        hop = token.hop;
        let now: BTreeSet<u64> = numbers(token).collect();
        for seq in now.difference(&requested) {
            assert!(known.get(&from).is_some_and(|known| seq <= known), "{from} requests {seq} too early");
        }
        requested = now;
        known.insert(from, token.seq);
    }
    assert_eq!(bus.delivered(1).len(), 90);
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
