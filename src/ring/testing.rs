//! Packets for the unit tests of this folder.

use super::sender::{Sender, Stretch};
use crate::wire::{DaemonId, Data, Payload, RingId, Service, Slice};

pub(crate) const RING: RingId = RingId { sequence: 1, representative: DaemonId(1) };

/// An empty packet.
pub(crate) fn packet(seq: u64) -> Data {
    packet_of(seq, Stretch { offset: 0, first_message: None, service: None, barrier: false, payload: Slice::default() })
}

/// A packet of daemon 1 that carries this stretch.
pub(crate) fn packet_of(seq: u64, stretch: Stretch) -> Data {
    Data {
        ring: RING,
        seq,
        origin: DaemonId(1),
        offset: stretch.offset,
        first_message: stretch.first_message,
        service: stretch.service,
        recovered: false,
        barrier_distance: if stretch.barrier { 0 } else { Data::NO_BARRIER },
        claim_distance: 0,
        payload: stretch.payload,
    }
}

/// A packet with the one-digit message `digit`, which is the origin's `digit`-th packet.
pub(crate) fn message_packet(seq: u64, origin: DaemonId, service: Service, digit: u64) -> Data {
    let mut sender = Sender::default();
    sender.push(service, Payload::from(digit.to_string().into_bytes()));
    only_packet(seq, origin, sender, digit)
}

/// The same as a barrier.
pub(crate) fn barrier_packet(seq: u64, origin: DaemonId, digit: u64) -> Data {
    let mut sender = Sender::default();
    sender.push_barrier(Payload::from(digit.to_string().into_bytes()));
    only_packet(seq, origin, sender, digit)
}

fn only_packet(seq: u64, origin: DaemonId, mut sender: Sender, digit: u64) -> Data {
    let mut stretch = sender.stretch(100).expect("a message waits");
    stretch.offset = digit * stretch.payload.len() as u64;
    Data { origin, ..packet_of(seq, stretch) }
}
