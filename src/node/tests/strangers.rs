//! Datagrams and bytes that no daemon and no client sends.

use super::*;
use crate::groups::GroupsStatus;
use crate::ring::{ConfigurationKind, RingEvent};
use crate::wire::Join;

/// A packet in the name of the second daemon. Its counter is far above that daemon's own.
fn packet(kind: PacketKind, body: &[u8]) -> Vec<u8> {
    let header = Header {
        kind,
        network: NetworkId(0),
        protection: Protection::Plain,
        way: Way::Direct,
        sender: DaemonId(2),
        destination: None,
        system: 7,
        incarnation: Incarnation(1),
        counter: u64::MAX >> 1,
    };
    [&header.encode()[..], body].concat()
}

impl Bus {
    /// This comes to the first daemon. Gives what its operator is told of it.
    fn told_of(&mut self, source: [u8; 4], datagram: &[u8]) -> Vec<String> {
        while self.nodes[0].poll_event().is_some() {}
        self.nodes[0].handle_datagram(self.now, NetworkId(0), source.into(), Slice::copy_from(datagram));
        let told = std::iter::from_fn(|| self.nodes[0].poll_event()).filter_map(|event| match event {
            NodeEvent::Network(notice) => Some(notice.to_string()),
            _ => None,
        });
        told.collect()
    }
}

#[test]
fn garbage_leads_to_a_count_and_a_line_and_nothing_else() {
    let mut bus = Bus::new(2);
    let line = "a datagram from 10.0.0.9 on network 0 is dropped: it is no packet of a daemon";
    assert_eq!(bus.told_of([10, 0, 0, 9], &[7; 100]), [line]);
    assert!(bus.told_of([10, 0, 0, 9], &packet(PacketKind::Token, &[0xff; 60])).is_empty(), "once a minute");
    assert_eq!(bus.nodes[0].multipath_stats().malformed, 2);
    bus.input(0, 9, ClientInput::Connected(Peer::Unix));
    bus.input(0, 9, ClientInput::Bytes(&[0xff; 64]));
    assert!(matches!(bus.closed[..], [(0, SessionId(9), EndReason::Refused(_))]));
    bus.connect(0, 10, "bob");
}

#[test]
fn what_no_daemon_says_is_told_with_its_source() {
    let mut bus = Bus::new(2);
    let (origin, present) = (DaemonId(2), [DaemonId(1), DaemonId(2)].into());
    let (sequence, leaving, failed) = ((1 << 62) - 1, false, Default::default());
    let join = Join { origin, incarnation: Incarnation(1), sequence, leaving, present, failed };
    let told = bus.told_of([10, 0, 0, 8], &packet(PacketKind::Join, &Packet::Join(join).encode()));
    let line = "a datagram from 10.0.0.8 on network 0 is dropped: no daemon says this: it is forged, or was damaged on its way";
    assert_eq!(told, [line]);
}

#[test]
fn who_waits_for_the_groups_of_others_in_vain_lets_the_ring_form_again() {
    let mut bus = Bus::new(2);
    let ring = bus.ring.expect("there is a ring");
    // As if a forged packet had taken the place of the other daemon's groups: no state of that daemon belongs to this ring.
    let (other, members) = (RingId { sequence: ring.sequence + 1, ..ring }, vec![DaemonId(1), DaemonId(2)]);
    let groups = &mut bus.nodes[0].groups;
    for (kind, ring, next) in
        [(ConfigurationKind::Transitional, ring, Some(other)), (ConfigurationKind::Regular, other, None)]
    {
        let members = members.clone();
        groups.handle_event(RingEvent::Configuration(Configuration { kind, ring, members, next }));
    }
    bus.run(Duration::from_secs(9));
    assert_eq!((bus.nodes[0].group_status(), bus.ring), (GroupsStatus::Exchanging, Some(ring)));
    bus.run(Duration::from_secs(2));
    assert_eq!(bus.nodes[0].group_status(), GroupsStatus::Operational);
    assert_ne!(bus.ring, Some(ring));
    assert_eq!(bus.nodes[0].ring_stats().reasons.groups_missing, 1, "the operator learns why");
    let ring = bus.ring;
    bus.run(Duration::from_secs(60));
    assert_eq!(bus.ring, ring, "once");
}
