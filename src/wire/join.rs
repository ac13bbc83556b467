//! A join packet: the daemons that a gathering daemon has heard of, and those that it has given up.
//!
//! ```text
//!  0  4  origin
//!  4  8  incarnation of the origin
//! 12  8  the highest ring sequence it knows of
//! 20  1  flags: 1 = leaving, the origin is about to stop
//! 21  2  number of daemons present, then 4 bytes each
//!  …  2  number of daemons failed, then 4 bytes each
//! ```

use std::collections::BTreeSet;
use std::fmt;

use super::{DaemonId, DecodeError, Incarnation, Reader, Writer};

/// A join packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The sender.
    pub origin: DaemonId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The highest ring sequence it knows of.
    pub sequence: u64,
    /// Whether it is about to stop.
    pub leaving: bool,
    /// All daemons that it has heard of, including the failed ones.
    pub present: BTreeSet<DaemonId>,
    /// Those it goes on without.
    pub failed: BTreeSet<DaemonId>,
}

const LEAVING: u8 = 1;

impl Join {
    /// Reads a join's body.
    pub fn decode(body: &[u8]) -> Result<Join, DecodeError> {
        let mut reader = Reader::new(body);
        let origin = DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("origin"))?;
        let incarnation = Incarnation(reader.u64()?);
        let sequence = reader.counted("sequence")?;
        let flags = reader.u8()?;
        if flags & !LEAVING != 0 {
            return Err(DecodeError::BadValue("flags"));
        }
        let present = decode_set(&mut reader, "present daemons")?;
        let failed = decode_set(&mut reader, "failed daemons")?;
        reader.end()?;
        Ok(Join { origin, incarnation, sequence, leaving: flags & LEAVING != 0, present, failed })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(25 + 4 * (self.present.len() + self.failed.len()));
        writer.u32(self.origin.0);
        writer.u64(self.incarnation.0);
        writer.u64(self.sequence);
        writer.u8(if self.leaving { LEAVING } else { 0 });
        for set in [&self.present, &self.failed] {
            writer.count(set.len());
            set.iter().for_each(|daemon| writer.u32(daemon.0));
        }
        writer.finish()
    }
}

fn decode_set(reader: &mut Reader<'_>, field: &'static str) -> Result<BTreeSet<DaemonId>, DecodeError> {
    // The limit comes before the memory: a count of 65535 in a short packet allocates nothing.
    let count = reader.count(DaemonId::LIMIT, field)?;
    (0..count).map(|_| DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue(field))).collect()
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Join { origin, incarnation, sequence, present, failed, .. } = self;
        write!(f, "{origin}, life {incarnation}, highest ring sequence {sequence}, present {present:?}")?;
        if !failed.is_empty() {
            write!(f, ", failed {failed:?}")?;
        }
        if self.leaving { write!(f, ", leaving") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join() -> Join {
        Join {
            origin: DaemonId(1),
            incarnation: Incarnation(2),
            sequence: 3,
            leaving: true,
            present: [DaemonId(1), DaemonId(4)].into(),
            failed: [DaemonId(4)].into(),
        }
    }

    #[test]
    fn literal_bytes() {
        let bytes = [
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 1, 0, 0, 0,
            4,
        ];
        assert_eq!(join().encode(), bytes);
        assert_eq!(Join::decode(&bytes), Ok(join()));
    }

    #[test]
    fn every_prefix_fails_and_a_long_list_is_refused() {
        let mut bytes = join().encode();
        assert!((0..bytes.len()).all(|n| Join::decode(&bytes[..n]).is_err()));
        bytes[22] = 129;
        assert_eq!(Join::decode(&bytes), Err(DecodeError::TooLarge("present daemons")));
    }
}
