//! A node that was not running for a moment, as its own alarm shows.

use super::*;
use crate::multipath::Outgoing;
use crate::wire::{Join, Reader};

/// How late the node is. The others may have given it up by then, but it still believes that its token has not been away for too long.
const LATE: Duration = Duration::from_millis(300);

/// A quiet ring, and a join that waits in the socket of the third daemon: the others have gone on without it. A time-out of the paths of that
/// daemon is past, and none of its ring. So only the node can see that it is late.
fn quiet_ring() -> (Bus, Vec<Transmit>) {
    let mut bus = Bus::new(3);
    bus.run(Duration::from_secs(30));
    let patience = bus.now + Duration::from_secs(30);
    loop {
        let due = bus.nodes[2].poll_timeout().unwrap();
        if bus.nodes[2].ring.poll_timeout().is_none_or(|ring| ring > due + LATE) {
            bus.now = due + LATE;
            break;
        }
        assert!(due < patience, "the time-outs of the ring are never far apart");
        bus.run(due + Duration::from_micros(1) - bus.now);
    }
    let (other, sleeper) = (DaemonId(1), DaemonId(3));
    let present = [1, 2, 3].map(DaemonId).into();
    let sequence = bus.ring.unwrap().sequence;
    let join = Join {
        origin: other,
        incarnation: Incarnation(1),
        sequence,
        leaving: false,
        present,
        failed: [sleeper].into(),
    };
    let packet = Packet::Join(join);
    let outgoing = Outgoing { kind: packet.kind(), to: None, attempt: Attempt::First, body: packet.encode() };
    bus.nodes[0].paths.send(bus.now, outgoing);
    let waits = std::iter::from_fn(|| bus.nodes[0].paths.poll_transmit()).collect();
    (bus, waits)
}

/// The third daemon reads the join that waits, and must not believe it. If it does, it gives up the sender in return.
fn believes_no_join(bus: &mut Bus, waits: &[Transmit]) {
    for transmit in waits {
        let bytes = Slice::from([&transmit.header[..], &transmit.body].concat());
        bus.nodes[2].handle_datagram(bus.now, transmit.network, SOMEWHERE, bytes);
    }
    let said = std::iter::from_fn(|| bus.nodes[2].poll_transmit());
    let said: Vec<Packet> = said.filter_map(|transmit| packet(&transmit)).collect();
    let joins: Vec<&Join> =
        said.iter().filter_map(|packet| if let Packet::Join(join) = packet { Some(join) } else { None }).collect();
    assert!(!joins.is_empty() && joins.iter().all(|join| join.failed.is_empty()), "{said:?}");
}

fn packet(transmit: &Transmit) -> Option<Packet> {
    let header = Header::decode(&mut Reader::new(&transmit.header)).unwrap();
    Packet::decode(header.kind, &transmit.body).ok()
}

#[test]
fn a_datagram_that_comes_first_after_a_pause_parts_the_node_from_nobody() {
    let (mut bus, waits) = quiet_ring();
    believes_no_join(&mut bus, &waits);
}

#[test]
fn a_time_out_that_comes_first_after_a_pause_parts_the_node_from_nobody() {
    let (mut bus, waits) = quiet_ring();
    bus.nodes[2].handle_timeout(bus.now);
    // The daemon asks after each input, so the datagram is not late any more.
    assert!(bus.nodes[2].poll_timeout().is_none_or(|due| due >= bus.now));
    believes_no_join(&mut bus, &waits);
}
