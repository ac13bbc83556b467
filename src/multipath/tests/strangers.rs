//! Datagrams that no daemon of this system sends.

use super::*;

#[test]
fn a_probe_with_the_last_counter_mutes_nobody() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    assert!(arrive(&mut b, &datagrams(&mut a, None)[0]));
    let (network, first) = datagrams(&mut a, None).remove(0);
    let header = Header { kind: PacketKind::Probe, counter: u64::MAX, ..Head::decode(&first).unwrap().0 };
    for destination in [None, Some(B)] {
        let forged = Slice::from([&Header { destination, ..header }.encode()[..], b"body"].concat());
        assert!(arrive(&mut b, &(network, forged)));
    }
    for to in [None, Some(B), None, Some(B)] {
        assert!(arrive(&mut b, &datagrams(&mut a, to)[0]), "A is still heard");
    }
}

#[test]
fn without_keys_a_datagram_from_no_configured_address_is_dropped_before_it_is_read() {
    let (known, foreign) = (IpAddr::from([10, 0, 1, 1]), IpAddr::from([10, 0, 9, 9]));
    let sources = vec![IpAddr::from([10, 0, 2, 1]), known];
    let mut b = Multipath::new(Config { sources, ..config(B, vec![A, B, C]) }, Instant::ZERO);
    let mut a = daemon(A, 1);
    let before = format!("{:?} {:?}", b.health, b.outbound);
    let (network, bytes) = datagrams(&mut a, None).remove(0);
    for datagram in [&bytes, &Slice::copy_from(b"junk")] {
        assert!(b.handle_datagram(Instant::ZERO, network, foreign, datagram.clone()).is_none());
    }
    assert_eq!((b.stats().foreign_source, b.stats().malformed), (2, 0));
    assert_eq!(format!("{:?} {:?}", b.health, b.outbound), before);
    let told = "a datagram from 10.0.9.9 on network 0 is dropped: no daemon of the configuration has this address";
    assert_eq!(b.poll_notice().map(|event| event.to_string()).as_deref(), Some(told));
    assert_eq!(b.poll_notice(), None);
    assert!(b.handle_datagram(Instant::ZERO, network, known, bytes.clone()).is_some());
}

#[test]
fn another_version_of_the_protocol_is_told_as_such() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    let (network, bytes) = datagrams(&mut a, None).remove(0);
    let other = [&bytes[..2], &[1], &bytes[3..]].concat();
    assert!(!arrive(&mut b, &(network, Slice::from(other))));
    assert_eq!((b.stats().other_version, b.stats().malformed), (1, 0));
    let told = b.poll_notice().unwrap().to_string();
    assert!(told.contains("another version of the protocol between daemons (1)"), "{told}");
}
