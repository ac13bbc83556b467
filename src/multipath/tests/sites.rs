//! Several sites: each packet crosses once, and gateways that cannot be reached are replaced.

use super::*;

#[test]
fn data_crosses_once_to_each_other_site_and_goes_on_there() {
    let mut site = Site::apart(6, &[0, 0, 1, 1, 1, 2]);
    site.run(400);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3, 4, 5, 6], 2));
    assert_eq!(site.crossing, 2);
    assert_eq!(site.send(4, PacketKind::Join, None), (vec![1, 2, 3, 5, 6], 0));
    assert_eq!(site.crossing, 0, "what is small goes to each by itself");
    assert_eq!(site.send(4, PacketKind::Token, Some(1)), (vec![1], 0));
}

#[test]
fn a_gateway_that_is_cut_off_is_replaced() {
    let mut site = Site::apart(5, &[0, 0, 1, 1, 1]);
    site.run(400);
    (0..2).for_each(|network| site.cut_between(network, 1, 3));
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2], 0));
    site.run(400);
    assert_eq!(site.send(1, PacketKind::Data, None), (vec![2, 3, 4, 5], 1), "the next one lets it in");
    (0..2).for_each(|network| (4..=5).for_each(|far| site.cut_between(network, 1, far)));
    site.run(400);
    assert_eq!(site.send(1, PacketKind::Data, None).0, [2, 3, 4, 5], "one at its own site relays");
    assert_eq!(site.send(3, PacketKind::Data, None).0, [1, 2, 4, 5]);
    assert_eq!(site.send(1, PacketKind::Token, Some(3)).0, [3]);
}

#[test]
fn a_daemon_at_a_third_site_relays_where_nobody_else_can() {
    let mut site = Site::apart(4, &[0, 1, 1, 2]);
    (0..2).for_each(|network| site.cut.push((network, 1, 4)));
    (0..2).for_each(|network| site.cut.push((network, 4, 1)));
    site.run(600);
    assert_eq!(
        site.send(1, PacketKind::Data, None),
        (vec![2, 3, 4], 2),
        "the gateway serves its own site and the other"
    );
    assert_eq!(site.send(4, PacketKind::Data, None).0, [1, 2, 3]);
}

#[test]
fn nobody_sends_to_himself_through_others() {
    let mut site = Site::new(3);
    site.run(400);
    let packet =
        Outgoing { kind: PacketKind::Hurry, to: Some(A), attempt: Attempt::Again, body: Slice::copy_from(b"body") };
    assert_eq!(site.send_packet(1, packet), (vec![], 0));
}

#[test]
fn what_is_sent_again_crosses_by_another_daemon_too() {
    let mut site = Site::apart(4, &[0, 1, 1, 1]);
    site.run(400);
    (0..2).for_each(|network| site.cut_between(network, 1, 2));
    assert_eq!(site.send(1, PacketKind::Data, None).0, [0; 0], "the gateway is cut off, and nobody knows yet");
    assert_eq!(site.send_again(1).0, [2, 3, 4]);
    assert_eq!(site.send_again(1).0, [2, 3, 4]);
}

#[test]
fn before_anything_is_known_data_crosses_to_whom_is_heard() {
    let mut site = Site::apart(3, &[0, 1, 1]);
    let before = site.send(1, PacketKind::Data, None);
    assert_eq!((before, site.crossing), ((vec![], 0), 0), "nobody was heard yet");
    assert_eq!(site.send(1, PacketKind::Data, None).0, [2, 3]);
}
