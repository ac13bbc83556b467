//! A data packet: one number in the total order of a ring, and a stretch of its origin's stream of messages.
//!
//! ```text
//!  0  8  ring sequence
//!  8  4  ring representative
//! 12  8  seq: place in the total order of the ring, from 1
//! 20  4  origin: the member that made the packet (who numbers it or sends it again may be somebody else)
//! 24  8  offset of the payload in the origin's stream, which begins at 0 with each ring
//! 32  2  where in the payload the first message begins; 0xffff if none does
//! 34  1  strongest service of the messages that end in this packet; 0 if none ends
//! 35  1  flags: 1 = recovered, the payload is a data packet of an older ring
//! 36  2  distance to the barrier: how far before this packet the last one lies that carries a barrier message; 0 = this
//!        packet does; 0xffff = there is none, or it lies that far back or farther
//! 38  2  distance to the claim: how far above the number that it claimed its number lies; 0 = its origin numbered it;
//!        0xffff = it has no number, and seq is the claim
//! 40     payload
//! ```
//!
//! The messages of an origin are one stream of bytes: each is a 32-bit length, a service byte and its bytes. Small messages share a packet,
//! large ones span packets, so that packets have equal size without padding. The offset shows whether a packet of this origin is missing, and
//! `first_message` where to continue after a loss. The barrier limits which messages may be delivered ahead of their turn (ring/delivery.rs).

use std::fmt;

use super::{DaemonId, DecodeError, Reader, RingId, Service, Slice, Writer};

/// A data packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The ring it belongs to.
    pub ring: RingId,
    /// Place in the total order.
    pub seq: u64,
    /// The daemon that made it. Another daemon may have numbered it.
    pub origin: DaemonId,
    /// Place of the payload in the origin's stream.
    pub offset: u64,
    /// Where in the payload the first message begins, if one does.
    pub first_message: Option<u16>,
    /// The strongest service of the messages that end here, if one does.
    pub service: Option<Service>,
    /// Whether the payload is a data packet of an older ring, sent again during recovery.
    pub recovered: bool,
    /// How far before this packet the last one lies that carries a barrier message, at most [`Data::NO_BARRIER`].
    pub barrier_distance: u16,
    /// How far its number lies above the one that its origin claimed; [`Data::NO_NUMBER`] while it has none, and `seq` is the claim.
    pub claim_distance: u16,
    /// The stretch of stream.
    pub payload: Slice,
}

/// The place in the order that a packet claims. Packets are numbered in the order of their claims, so a packet of which nobody knows whether
/// it has a number still has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The first number that was free, as far as the origin knew.
    pub number: u64,
    /// The origin.
    pub origin: DaemonId,
}

/// Bytes before each message in the stream: length and service.
pub const MESSAGE_PREFIX: usize = 5;

const NO_MESSAGE: u16 = 0xffff;
const RECOVERED: u8 = 1;

impl Data {
    /// Bytes of the body before the payload.
    pub const OVERHEAD: usize = 40;

    /// Bytes that a body has at most.
    pub const BODY_LIMIT: usize = 65_000;

    /// Stands for a barrier that is too far back for this field, or that is not there. Farther than a daemon may lag behind.
    pub const NO_BARRIER: u16 = 0xffff;

    /// The distance to a claim while there is no number.
    pub const NO_NUMBER: u16 = 0xffff;

    /// Whether it has a number. Otherwise it has a claim only.
    pub fn is_numbered(&self) -> bool {
        self.claim_distance != Data::NO_NUMBER
    }

    /// The place in the order that it claims.
    pub fn claim(&self) -> Claim {
        let distance = if self.is_numbered() { u64::from(self.claim_distance) } else { 0 };
        Claim { number: self.seq.saturating_sub(distance), origin: self.origin }
    }

    /// Gives it a number, which is not below the one that it claims.
    pub fn set_number(&mut self, seq: u64) {
        let distance = seq - self.claim().number;
        (self.seq, self.claim_distance) = (seq, u16::try_from(distance).unwrap_or(u16::MAX).min(Data::NO_NUMBER - 1));
    }

    /// Everything up to here must be delivered before a message of this packet may be delivered ahead of its turn.
    pub fn barrier(&self) -> u64 {
        self.seq.saturating_sub(u64::from(self.barrier_distance))
    }

    /// Records that the last barrier message is in packet `barrier`, which is this one or an earlier one.
    pub fn set_barrier(&mut self, barrier: u64) {
        // A distance that does not fit is taken for a nearer barrier. That delays a message, but never lets it pass the barrier.
        self.barrier_distance = u16::try_from(self.seq - barrier).unwrap_or(Data::NO_BARRIER);
    }

    /// Reads a data packet's body; the payload shares it.
    pub fn decode(body: &Slice) -> Result<Data, DecodeError> {
        let mut reader = Reader::new(body);
        let ring = RingId::decode(&mut reader)?;
        let seq = reader.counted("seq")?;
        // Numbers begin at 1. A packet that is only handed over has one too, so 0 is a forgery.
        if seq == 0 {
            return Err(DecodeError::BadValue("seq"));
        }
        let origin = DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("origin"))?;
        let offset = reader.counted("offset")?;
        let first_message = Some(reader.u16()?).filter(|&at| at != NO_MESSAGE);
        let service = match reader.u8()? {
            0 => None,
            number => Some(Service::from_wire(number).ok_or(DecodeError::BadValue("service"))?),
        };
        let flags = reader.u8()?;
        if flags & !RECOVERED != 0 {
            return Err(DecodeError::BadValue("flags"));
        }
        let (barrier_distance, claim_distance) = (reader.u16()?, reader.u16()?);
        // Claims begin at 1, as numbers do.
        if claim_distance != Data::NO_NUMBER && u64::from(claim_distance) >= seq {
            return Err(DecodeError::BadValue("claim"));
        }
        // A part of the datagram, not a copy: it goes to the clients' sockets as it is.
        let payload = body.tail(Data::OVERHEAD);
        // The stream is read from there after a loss, so it must lie inside.
        if first_message.is_some_and(|at| usize::from(at) >= payload.len()) {
            return Err(DecodeError::BadValue("first_message"));
        }
        let recovered = flags & RECOVERED != 0;
        // Recovery wraps every other packet into a recovered one, so it needs room for a second overhead.
        let heads = if recovered { 1 } else { 2 };
        if payload.len() > Data::BODY_LIMIT - heads * Data::OVERHEAD {
            return Err(DecodeError::TooLarge("payload"));
        }
        Ok(Data {
            ring,
            seq,
            origin,
            offset,
            first_message,
            service,
            recovered,
            barrier_distance,
            claim_distance,
            payload,
        })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Data::OVERHEAD + self.payload.len());
        self.ring.encode(&mut writer);
        writer.u64(self.seq);
        writer.u32(self.origin.0);
        writer.u64(self.offset);
        writer.u16(self.first_message.unwrap_or(NO_MESSAGE));
        writer.u8(self.service.map_or(0, |service| service as u8));
        writer.u8(if self.recovered { RECOVERED } else { 0 });
        writer.u16(self.barrier_distance);
        writer.u16(self.claim_distance);
        writer.bytes(&self.payload);
        writer.finish()
    }
}

impl RingId {
    /// Bytes of a ring id.
    pub(crate) const SIZE: usize = 12;

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<RingId, DecodeError> {
        let sequence = reader.counted("ring sequence")?;
        let representative = DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("representative"))?;
        Ok(RingId { sequence, representative })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.sequence);
        writer.u32(self.representative.0);
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Data { ring, seq, origin, offset, .. } = self;
        let end = offset + self.payload.len() as u64;
        write!(f, "ring {ring}, seq {seq} of {origin}, stream bytes {offset}..{end}")?;
        if let Some(at) = self.first_message {
            write!(f, ", first message at {at}")?;
        }
        if let Some(service) = self.service {
            write!(f, ", strongest service that ends here {service}")?;
        }
        if self.barrier_distance != Data::NO_BARRIER {
            write!(f, ", barrier at {}", self.barrier())?;
        }
        match self.claim_distance {
            0 => {}
            Data::NO_NUMBER => f.write_str(", claimed only")?,
            _ => write!(f, ", claimed {}", self.claim().number)?,
        }
        if self.recovered { write!(f, ", recovered") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        Data {
            ring: RingId { sequence: 3, representative: DaemonId(4) },
            seq: 5,
            origin: DaemonId(6),
            offset: 7,
            first_message: Some(1),
            service: Some(Service::Agreed),
            recovered: true,
            barrier_distance: 2,
            claim_distance: 3,
            payload: Slice::copy_from(b"ab"),
        }
    }

    #[test]
    fn literal_bytes() {
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 5, 1,
            0, 2, 0, 3, b'a', b'b',
        ];
        assert_eq!(data().encode(), bytes);
        assert_eq!(Data::decode(&Slice::copy_from(&bytes)), Ok(data()));
    }

    #[test]
    fn a_barrier_far_back_is_taken_for_one_that_is_nearer() {
        let mut data = Data { seq: 100_000, ..data() };
        for (barrier, told) in [(100_000, 100_000), (99_999, 99_999), (34_466, 34_466), (34_464, 34_465), (0, 34_465)] {
            data.set_barrier(barrier);
            assert_eq!(data.barrier(), told);
        }
        data.seq = 5;
        data.set_barrier(0);
        assert_eq!(data.barrier(), 0);
    }

    #[test]
    fn a_claim_stays_when_the_packet_gets_its_number() {
        let mut data = Data { claim_distance: Data::NO_NUMBER, ..data() };
        let claim = Claim { number: 5, origin: DaemonId(6) };
        assert_eq!((data.is_numbered(), data.claim()), (false, claim));
        data.set_number(9);
        assert_eq!((data.is_numbered(), data.seq, data.claim()), (true, 9, claim));
    }

    #[test]
    fn every_prefix_of_the_overhead_fails() {
        let bytes = Slice::from(data().encode());
        assert!((0..Data::OVERHEAD).all(|n| Data::decode(&bytes.part(0, n)).is_err()));
    }

    #[test]
    fn every_packet_fits_into_one_that_recovers_it() {
        let of = |bytes: usize, recovered| Data { payload: vec![7; bytes].into(), recovered, ..data() };
        let largest = of(Data::BODY_LIMIT - 2 * Data::OVERHEAD, false);
        assert_eq!(Data::decode(&largest.encode().into()).as_ref(), Ok(&largest));
        let around = of(largest.encode().len(), true);
        assert_eq!(Data::decode(&around.encode().into()).as_ref(), Ok(&around));
        for larger in [of(largest.payload.len() + 1, false), of(around.payload.len() + 1, true)] {
            assert_eq!(Data::decode(&larger.encode().into()), Err(DecodeError::TooLarge("payload")));
        }
    }

    #[test]
    fn values_without_meaning_are_refused() {
        for (at, value) in [(19, 0), (23, 0), (34, 7), (35, 2), (33, 2), (39, 5)] {
            let mut bytes = data().encode();
            bytes[at] = value;
            assert!(Data::decode(&bytes.into()).is_err(), "byte {at}");
        }
    }
}
