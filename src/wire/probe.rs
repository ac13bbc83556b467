//! A *probe* says that its sender has a ring installed. A daemon of another ring that hears it knows that the two rings can merge. It is sent at
//! intervals under any load, so that rings find each other even when they are busy. A *hurry* asks the daemon at which the token rests
//! to let it go round.
//!
//! ```text
//!  0 12  ring id
//! 12  4  probe only: the daemon whose probe this one answers, or 0
//! ```

use std::fmt;

use super::{DaemonId, DecodeError, Reader, RingId, Writer};

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The ring that the sender has installed.
    pub ring: RingId,
    /// The daemon whose probe the sender has just heard, if this probe is for that one alone.
    pub answers: Option<DaemonId>,
}

impl Probe {
    /// Bytes of a probe.
    pub const SIZE: usize = RingId::SIZE + 4;

    /// Reads the body of a probe.
    pub fn decode(body: &[u8]) -> Result<Probe, DecodeError> {
        let mut reader = Reader::new(body);
        let probe = Probe { ring: RingId::decode(&mut reader)?, answers: DaemonId::from_wire(reader.u32()?) };
        reader.end()?;
        Ok(probe)
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Probe::SIZE);
        self.ring.encode(&mut writer);
        writer.u32(self.answers.map_or(0, |daemon| daemon.0));
        writer.finish()
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ring {}", self.ring)?;
        match self.answers {
            Some(daemon) => write!(f, ", answers {daemon}"),
            None => Ok(()),
        }
    }
}

/// Reads the body of a hurry.
pub(super) fn decode_ring(body: &[u8]) -> Result<RingId, DecodeError> {
    let mut reader = Reader::new(body);
    let ring = RingId::decode(&mut reader)?;
    reader.end()?;
    Ok(ring)
}

/// The body of a hurry.
pub(super) fn encode_ring(ring: RingId) -> Vec<u8> {
    let mut writer = Writer::with_capacity(RingId::SIZE);
    ring.encode(&mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: RingId = RingId { sequence: 2, representative: DaemonId(1) };

    #[test]
    fn literal_bytes_of_a_probe() {
        let probe = Probe { ring: RING, answers: Some(DaemonId(7)) };
        assert_eq!(probe.encode(), [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7]);
        for probe in [probe, Probe { answers: None, ..probe }] {
            let bytes = probe.encode();
            assert_eq!(Probe::decode(&bytes), Ok(probe));
            assert!((0..bytes.len()).all(|n| Probe::decode(&bytes[..n]).is_err()));
        }
        assert_eq!(Probe::decode(&[1; 17]), Err(DecodeError::TrailingBytes));
    }

    #[test]
    fn literal_bytes_of_a_hurry() {
        assert_eq!(encode_ring(RING), [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(decode_ring(&encode_ring(RING)), Ok(RING));
        assert!((0..12).all(|n| decode_ring(&encode_ring(RING)[..n]).is_err()));
        assert_eq!(decode_ring(&[0; 12]), Err(DecodeError::BadValue("representative")));
        assert_eq!(decode_ring(&[1; 13]), Err(DecodeError::TrailingBytes));
    }
}
