//! Totem SRP 5.2 and 8, and the Accelerated Ring: one order of packets, what is lost, how much may be sent.

use super::*;

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
