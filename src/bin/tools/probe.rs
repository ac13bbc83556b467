//! The packets of spsend and sprecv, which check the path between two machines.
//!
//! ```text
//! offset  size  field
//!      0     4  type: 0 data, 1 last; and the writer's byte order
//!      4     4  number, from 1
//!      8     4  size of the whole packet
//!     12     …  filler
//! ```
//!
//! If both bits of the marking are set in the type, the writer is little-endian; we always write so.

/// The bits that mark a little-endian writer; the same number in both orders.
const MARKING: u32 = 0x8000_0080;

/// The fields before the filler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether it ends the run.
    pub last: bool,
    /// Its place in the run, from 1.
    pub number: u32,
    /// Bytes of the whole packet, as it was sent.
    pub size: u32,
}

impl Probe {
    /// Bytes before the filler.
    pub const SIZE: usize = 12;
    /// The most bytes of a packet: those that fit into UDP.
    pub const LIMIT: usize = 65_507;

    /// Reads the front of a packet; `None` if it is not one of ours.
    pub fn decode(packet: &[u8]) -> Option<Probe> {
        let (fields, _) = packet.get(..Probe::SIZE)?.as_chunks::<4>();
        let marked = u32::from_le_bytes(fields[0]) & MARKING == MARKING;
        let number = |at: usize| if marked { u32::from_le_bytes(fields[at]) } else { u32::from_be_bytes(fields[at]) };
        let kind = if marked { number(0) & !MARKING } else { number(0) };
        (kind <= 1).then(|| Probe { last: kind == 1, number: number(1), size: number(2) })
    }

    /// Writes the front of a packet, which must have room for it.
    pub fn encode(&self, packet: &mut [u8]) {
        let fields = [MARKING | u32::from(self.last), self.number, self.size].map(u32::to_le_bytes);
        packet[..Probe::SIZE].copy_from_slice(fields.as_flattened());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_these_bytes() {
        let mut packet = [0xee; 13];
        let probe = Probe { last: true, number: 0x0102, size: 13 };
        probe.encode(&mut packet);
        assert_eq!(packet, [0x81, 0, 0, 0x80, 2, 1, 0, 0, 13, 0, 0, 0, 0xee]);
        assert_eq!(Probe::decode(&packet), Some(probe));
    }

    #[test]
    fn a_big_endian_writer_is_understood() {
        let packet = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 12];
        assert_eq!(Probe::decode(&packet), Some(Probe { last: false, number: 0x0102, size: 12 }));
    }

    #[test]
    fn other_bytes_are_no_probe() {
        for length in 0..Probe::SIZE {
            assert_eq!(Probe::decode(&[0; Probe::SIZE][..length]), None);
        }
        assert_eq!(Probe::decode(&[0xff; 100]), None);
    }
}
