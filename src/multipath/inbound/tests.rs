//! The way in of a sealed system: nothing of a packet counts before its seal is open, and nothing but a greeting comes of a life that has
//! not answered.

use super::super::tests::{A, B, C, SOMEWHERE, Site, config, datagram};
use super::super::{Attempt, Multipath, MultipathSettings, Outgoing, PathState, Transmit};
use super::*;
use crate::seal::{Cipher, Key};
use crate::time::Duration;
use crate::wire::{DaemonId, PacketKind};

fn key(byte: u8) -> Key {
    Key::new(Cipher::Aes256Gcm, [byte; Key::SIZE])
}

fn keys(bytes: &[u8]) -> Keys {
    bytes.iter().map(|&byte| key(byte)).collect()
}

fn daemon(me: DaemonId, incarnation: u64, keys: Keys) -> Multipath {
    let incarnation = Incarnation(incarnation);
    Multipath::new(MultipathSettings { incarnation, keys, ..config(me, vec![A, B, C]) }, Instant::ZERO)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn sent(from: &mut Multipath) -> Vec<Transmit> {
    std::iter::from_fn(|| from.poll_transmit()).collect()
}

/// What a daemon sends, as one datagram for network 0.
fn made(from: &mut Multipath, kind: PacketKind, to: Option<DaemonId>) -> Slice {
    let body = Slice::copy_from(b"a body that is no packet, which nobody looks at here");
    from.send(Instant::ZERO, Outgoing { kind, to, attempt: Attempt::First, body });
    let first = sent(from).into_iter().find(|transmit| transmit.network == NetworkId(0));
    datagram(&first.expect("it is sent on all networks")).1
}

fn arrive(to: &mut Multipath, now: Instant, bytes: &Slice) -> Option<Header> {
    to.handle_datagram(now, NetworkId(0), SOMEWHERE, bytes.clone()).map(|(header, _)| header)
}

/// Lets two daemons exchange everything that they send to each other, until they are silent.
fn talk(now: Instant, one: &mut Multipath, other: &mut Multipath) {
    for _ in 0..10 {
        let (there, back) = (sent(one), sent(other));
        hand_over(now, &there, other);
        hand_over(now, &back, one);
    }
}

/// Two daemons that believe each other.
fn acquainted(keys_of_a: &[u8], keys_of_b: &[u8]) -> (Multipath, Multipath) {
    let (mut a, mut b) = (daemon(A, 1, keys(keys_of_a)), daemon(B, 1, keys(keys_of_b)));
    introduce(at(1), &mut a, &mut b);
    (a, b)
}

fn hand_over(now: Instant, transmits: &[Transmit], to: &mut Multipath) {
    for transmit in transmits {
        arrive(to, now, &datagram(transmit).1);
    }
}

fn introduce(now: Instant, one: &mut Multipath, other: &mut Multipath) {
    let first = made(one, PacketKind::Join, None);
    assert_eq!(arrive(other, now, &first), None, "it is a stranger");
    talk(now, one, other);
}

/// Everything that a packet could change; not the counters of what was dropped, and what is told of that.
fn state(daemon: &Multipath) -> String {
    format!("{:?} {:?} {:?} {:?}", daemon.inbound.trust, daemon.health, daemon.outbound, daemon.table)
}

#[test]
fn nothing_of_a_packet_changes_anything_before_its_seal_is_open() {
    let (mut a, mut b) = acquainted(&[1], &[1]);
    let mut stranger = daemon(A, 2, keys(&[9]));
    let mut plain = daemon(A, 1, Keys::NONE);
    for kind in PacketKind::ALL {
        for to in [None, Some(B), Some(C)] {
            let bytes = made(&mut a, kind, to);
            let before = state(&b);
            let mut forged = vec![made(&mut stranger, kind, to), made(&mut plain, kind, to)];
            // The hop's two fields are not covered: see the test of them.
            for place in (0..bytes.len()).filter(|place| ![4, 6].contains(place)) {
                let mut changed = bytes.to_vec();
                changed[place] ^= 1 << (place % 8);
                forged.push(Slice::from(changed));
            }
            forged.extend((0..bytes.len()).map(|length| bytes.part(0, length)));
            for forged in &forged {
                assert_eq!(arrive(&mut b, at(2), forged), None, "{kind:?} to {to:?}");
                assert!(sent(&mut b).is_empty(), "{kind:?} to {to:?}");
            }
            assert_eq!(state(&b), before, "{kind:?} to {to:?}");
            let handed_up = arrive(&mut b, at(2), &bytes).is_some();
            use PacketKind::{Fragment, Greeting, Knock, Report, SizeProbe, Sizes};
            let is_ours = to != Some(C) && !matches!(kind, Report | Greeting | Knock | SizeProbe | Sizes | Fragment);
            assert_eq!(handed_up, is_ours, "{kind:?} to {to:?}");
            assert_ne!(state(&b), before, "the packet itself does change something: {kind:?} to {to:?}");
            sent(&mut b);
        }
    }
}

#[test]
fn a_life_is_believed_when_it_has_answered_and_that_takes_one_and_a_half_round_trips() {
    let (mut a, mut b) = (daemon(A, 1, keys(&[1])), daemon(B, 1, keys(&[1])));
    let join = made(&mut a, PacketKind::Join, None);
    assert_eq!(arrive(&mut b, at(1), &join), None);
    let question = sent(&mut b);
    assert!(!question.is_empty());
    arrive(&mut a, at(2), &datagram(&question[0]).1);
    let answer = sent(&mut a);
    arrive(&mut b, at(3), &datagram(&answer[0]).1);
    assert!(arrive(&mut b, at(3), &made(&mut a, PacketKind::Token, Some(B))).is_some());
    let answer = sent(&mut b);
    arrive(&mut a, at(4), &datagram(&answer[0]).1);
    assert!(arrive(&mut a, at(4), &made(&mut b, PacketKind::Data, None)).is_some());
}

#[test]
fn a_packet_of_an_earlier_life_of_any_daemon_leads_to_a_greeting_and_to_nothing_else() {
    let (mut a, mut b) = acquainted(&[1], &[1]);
    // Recorded: everything of the first life, the greetings with their answers included.
    let mut records: Vec<Slice> = Vec::new();
    for kind in PacketKind::ALL {
        records.extend([None, Some(B), Some(C)].map(|to| made(&mut a, kind, to)));
    }
    let mut second = daemon(A, 2, keys(&[1]));
    let mut seen_by_b = vec![made(&mut second, PacketKind::Join, None)];
    arrive(&mut b, at(5), &seen_by_b[0]);
    for _ in 0..4 {
        hand_over(at(5), &sent(&mut b), &mut second);
        let answers = sent(&mut second);
        hand_over(at(5), &answers, &mut b);
        seen_by_b.extend(answers.iter().map(|transmit| datagram(transmit).1));
    }
    assert!(
        arrive(&mut b, at(5), &made(&mut second, PacketKind::Token, Some(B))).is_some(),
        "the second life is believed"
    );
    // A third life, and all records of the first two.
    let mut third = daemon(A, 3, keys(&[1]));
    introduce(at(6), &mut third, &mut b);
    records.extend(seen_by_b);
    let knowledge =
        |daemon: &Multipath| format!("{:?} {:?}", daemon.health, daemon.inbound.standing_of(&daemon.table, A, 3));
    let before = knowledge(&b);
    for (n, record) in records.iter().enumerate() {
        let now = at(7 + 20 * n as u64);
        assert_eq!(arrive(&mut b, now, record), None);
        let greetings =
            sent(&mut b).iter().map(|transmit| Head::decode(&datagram(transmit).1).unwrap().0).collect::<Vec<_>>();
        assert!(greetings.iter().all(|header| header.kind == PacketKind::Greeting), "{greetings:?}");
    }
    assert_eq!(knowledge(&b), before);
    assert!(arrive(&mut b, at(9000), &made(&mut third, PacketKind::Token, Some(B))).is_some(), "it is heard as before");
}

#[test]
fn what_comes_twice_is_nothing_new() {
    let (mut a, mut b) = acquainted(&[1], &[1]);
    for kind in PacketKind::ALL {
        let bytes = made(&mut a, kind, Some(B));
        arrive(&mut b, at(2), &bytes);
        sent(&mut b);
        let before = state(&b);
        assert_eq!(arrive(&mut b, at(3), &bytes), None);
        assert!(sent(&mut b).is_empty() && state(&b) == before, "{kind:?}");
    }
}

/// The same packet on network 1, as its sender puts it there.
fn on_other_network(bytes: &Slice) -> Slice {
    let mut copy = bytes.to_vec();
    copy[4] = 1;
    copy.into()
}

#[test]
fn a_later_copy_of_data_is_opened_only_where_it_shows_that_its_path_works() {
    let (mut a, mut b) = acquainted(&[1], &[1]);
    let arrive_on = |b: &mut Multipath, network, now, bytes: &Slice| {
        b.handle_datagram(now, NetworkId(network), SOMEWHERE, bytes.clone()).is_some()
    };
    let heard = |b: &Multipath| b.paths().filter(|path| path.daemon == A).map(|path| path.heard).collect::<Vec<_>>();
    let (before, copies) = (heard(&b), b.stats().copies);
    for n in 0..100 {
        let first = made(&mut a, PacketKind::Data, None);
        let second = on_other_network(&first);
        assert!(arrive_on(&mut b, 0, at(100 + n), &first));
        assert!(!arrive_on(&mut b, 1, at(100 + n), &second));
    }
    let after = heard(&b);
    assert_eq!((after[0] - before[0], after[1] - before[1]), (100, 10), "one in ten milliseconds");
    assert_eq!((b.stats().copies - copies, b.stats().unopened), (10, 90));
    // A copy whose body is forged is dropped like a true one, and shows nothing of its path.
    let first = made(&mut a, PacketKind::Data, None);
    assert!(arrive_on(&mut b, 0, at(300), &first));
    let mut forged = on_other_network(&first).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let before = state(&b);
    assert!(!arrive_on(&mut b, 1, at(300), &forged.into()));
    assert_eq!((state(&b), b.stats().not_opened), (before, 1));
}

#[test]
fn what_came_before_is_dropped_unopened_and_what_did_not_is_opened_whatever_its_head_says() {
    let (mut a, mut b) = acquainted(&[1], &[1]);
    for kind in [PacketKind::Token, PacketKind::Data, PacketKind::Report] {
        let bytes = made(&mut a, kind, None);
        arrive(&mut b, at(2), &bytes);
        let (before, repeated, not_opened) = (state(&b), b.stats().repeated, b.stats().not_opened);
        let mut forged = bytes.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(arrive(&mut b, at(2), &forged.clone().into()), None);
        assert_eq!((b.stats().repeated, b.stats().not_opened), (repeated + 1, not_opened), "{kind:?}");
        // Another life, kind of copy or counter is not known, so the seal decides.
        for place in [27, 35] {
            let mut other = forged.clone();
            other[place] ^= 0x40;
            assert_eq!(arrive(&mut b, at(2), &other.into()), None);
        }
        assert_eq!((state(&b), b.stats().not_opened), (before, not_opened + 2), "{kind:?}");
    }
}

#[test]
fn a_datagram_that_nobody_else_has_is_opened_in_its_place() {
    let (mut a, mut b) = acquainted(&[1], &[1, 2]);
    for shared in [false, true] {
        let bytes = Slice::copy_from(&made(&mut a, PacketKind::Data, None));
        let (place, other) = (bytes.as_ptr_range(), shared.then(|| bytes.clone()));
        let (_, body) = b.handle_datagram(at(2), NetworkId(0), SOMEWHERE, bytes).unwrap();
        assert_eq!(place.contains(&body.as_ptr()), !shared);
        assert!(other.is_none_or(|other| arrive(&mut b, at(2), &other).is_none()));
    }
}

#[test]
fn the_fields_of_the_hop_gain_nothing() {
    for (place, value) in [(4, 1), (6, Way::Relayed as u8), (6, Way::Crossing as u8)] {
        let (mut a, mut b) = acquainted(&[1], &[1]);
        let bytes = made(&mut a, PacketKind::Data, Some(B));
        let mut forged = bytes.to_vec();
        forged[place] = value;
        let health = |daemon: &Multipath| {
            let paths = daemon.paths().map(|path| (path.daemon, path.network, path.state));
            paths.collect::<Vec<_>>()
        };
        let before = health(&b);
        assert!(arrive(&mut b, at(2), &Slice::from(forged)).is_some(), "it is the packet that A sent");
        assert_eq!(arrive(&mut b, at(2), &bytes), None, "and comes once");
        assert_eq!(health(&b), before);
        assert!(sent(&mut b).is_empty());
    }
}

#[test]
fn a_wrong_key_is_told_once_with_the_address() {
    let (mut a, mut b) = (daemon(A, 1, keys(&[1])), daemon(B, 1, keys(&[2])));
    for n in 0..1000 {
        let bytes = made(&mut a, PacketKind::Join, None);
        assert_eq!(b.handle_datagram(at(n), NetworkId(1), [10, 0, 1, 7].into(), bytes.clone()), None);
    }
    let told: Vec<String> = std::iter::from_fn(|| b.poll_notice()).map(|event| event.to_string()).collect();
    assert_eq!(told, ["a datagram from 10.0.1.7 on network 1 is dropped: wrong key or not sealed"]);
    assert_eq!(b.stats().not_opened, 1000);
}

#[test]
fn a_sealed_packet_needs_a_key() {
    let (mut a, mut b) = (daemon(A, 1, keys(&[1])), daemon(B, 1, Keys::NONE));
    assert_eq!(arrive(&mut b, at(1), &made(&mut a, PacketKind::Join, None)), None);
    assert!(b.poll_notice().unwrap().to_string().ends_with("it is sealed, and this daemon has no key file"));
}

#[test]
fn the_newest_key_that_all_have_is_used_and_a_rotation_loses_no_packet() {
    let mut site = Site::sealed(3, keys(&[1]));
    site.run(300);
    let using = |site: &Site| site.daemons.iter().map(|daemon| daemon.key()).collect::<Vec<_>>();
    let all = |key: Key| vec![Some(key.id()); 3];
    assert_eq!(using(&site), all(key(1)));
    for (n, daemon) in [1, 0, 2].into_iter().enumerate() {
        assert_eq!(using(&site), all(key(1)), "{n} have the new key");
        let now = site.now;
        assert!(site.daemons[daemon].set_keys(now, keys(&[1, 2])));
        // It has heard of the new key from those that got it before.
        assert_eq!(site.daemons[daemon].without_newest_key().count(), 2 - n, "{n} have the new key");
        for from in 1..=3 {
            assert_eq!(site.send(from, PacketKind::Token, None).0.len(), 2);
        }
        site.run(100);
    }
    assert_eq!(using(&site), all(key(2)));
    for daemon in 0..3 {
        let now = site.now;
        assert!(site.daemons[daemon].set_keys(now, keys(&[2])));
        for from in 1..=3 {
            assert_eq!(site.send(from, PacketKind::Token, None).0.len(), 2);
        }
    }
    assert!(site.daemons.iter().all(|daemon| daemon.stats().not_opened == 0));
    assert!(!site.daemons[0].set_keys(site.now, Keys::NONE), "keys are not lost by mistake");
}

#[test]
fn whom_a_key_file_cuts_off_is_known_when_it_is_read() {
    let mut site = Site::sealed(3, keys(&[1]));
    site.run(300);
    let cut_off = |site: &Site| site.daemons[0].without_common_key(site.now).collect::<Vec<_>>();
    let now = site.now;
    assert!(site.daemons[1].set_keys(now, keys(&[1, 2])));
    site.run(100);
    assert!(site.daemons[0].set_keys(now, keys(&[1, 2])) && cut_off(&site).is_empty());
    assert!(site.daemons[0].set_keys(now, keys(&[2])));
    assert_eq!(cut_off(&site), [DaemonId(3)]);
    let mut open = Site::sealed(3, Keys::NONE);
    open.run(300);
    assert_eq!((cut_off(&open), open.daemons[0].without_newest_key().count()), (vec![], 0), "nobody seals");
}

/// A sleeper has said that it has the old key only, and the others lose that key before the sleeper is forgotten.
#[test]
fn a_daemon_that_is_not_heard_holds_nobody_to_a_key_that_others_have_lost() {
    let mut site = Site::sealed(4, keys(&[1]));
    site.run(300);
    for other in 1..=3 {
        (0..2).for_each(|network| site.cut_between(network, other, 4));
    }
    site.run(1000);
    for (daemon, has) in [(0, &[1, 2][..]), (1, &[1, 2]), (2, &[1, 2]), (1, &[2])] {
        let now = site.now;
        assert!(site.daemons[daemon].set_keys(now, keys(has)));
        site.run(10);
    }
    assert_eq!([0, 1, 2].map(|daemon| site.daemons[daemon].key()), [Some(key(2).id()); 3]);
    assert_eq!(site.send(1, PacketKind::Token, None).0, [2, 3]);
    assert_eq!(site.send(3, PacketKind::Token, None).0, [1, 2]);
}

#[test]
fn who_shares_no_network_believes_each_other_through_a_third() {
    let mut site = Site::sealed(3, keys(&[1]));
    (0..2).for_each(|network| site.cut_between(network, 1, 2));
    site.run(1500);
    assert_eq!(site.send(1, PacketKind::Data, None).0, [2, 3]);
    assert_eq!(site.send(2, PacketKind::Token, Some(1)).0, [1]);
}

#[test]
fn a_ring_of_one_way_links_is_enough_for_sealed_daemons() {
    let mut site = Site::sealed(3, keys(&[1]));
    for network in 0..2 {
        site.cut.extend([(network, 2, 1), (network, 3, 2), (network, 1, 3)]);
    }
    site.run(3000);
    for from in 1..=3 {
        assert_eq!(site.send(from, PacketKind::Data, None).0.len(), 2, "daemon {from} reaches all");
    }
}

#[test]
fn a_daemon_that_comes_back_is_heard_at_once() {
    let mut site = Site::sealed(3, keys(&[1]));
    site.run(300);
    let incarnation = Incarnation(2);
    let again = MultipathSettings { incarnation, keys: keys(&[1]), ..config(B, vec![A, B, C]) };
    site.daemons[1] = Multipath::new(again, site.now);
    let begin = site.now;
    site.run(10);
    assert_eq!(site.send(2, PacketKind::Token, None).0, [1, 3]);
    assert!(site.now.since(begin) < Duration::from_millis(20));
    assert_eq!(site.state(1, 2, 0), PathState::Healthy);
}
