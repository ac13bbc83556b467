//! The form token (Totem's commit token). It goes twice round the daemons that agreed on a membership. On the first rotation each member fills
//! in what it brings from its old ring; on the second each learns what the others bring.
//!
//! 128 entries do not fit into one datagram, so a form token travels in parts with up to [`PART_ENTRIES`] entries.
//!
//! ```text
//!  0 12  id of the ring being formed
//! 12  8  hop: +1 each time it is passed on; below the number of members it is on its first rotation
//! 20  2  number of members in all
//! 22  2  index of the first entry in this part
//! 24  2  entries in this part, then 65 bytes each:
//!        0  4  daemon
//!        4  8  incarnation
//!       12  1  flags: 1 = filled in, 2 = it held the token of the old ring, 4 = it is in doubt
//!       13 12  old ring id
//!       25  8  aru: it has every packet of the old ring up to here
//!       33  8  delivered: it delivered the old ring up to here, in order
//!       41  8  highest packet number of the old ring it has seen
//!       49 16  trusted: bit n is the n-th member of the old ring; whose packets it must deliver behind a hole
//! ```

use std::fmt;

use super::{DaemonId, DecodeError, Incarnation, Reader, RingId, Writer};

/// A form token, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The ring being formed.
    pub ring: RingId,
    /// How often it was passed on.
    pub hop: u64,
    /// The members in ring order.
    pub members: Vec<FormMember>,
}

/// A member of the ring being formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormMember {
    /// The daemon.
    pub daemon: DaemonId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Its packets and obligations of the old ring; `None` until it has filled this in.
    pub brings: Option<Brings>,
}

/// The packets and obligations that a daemon brings from its old ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brings {
    /// The old ring.
    pub ring: RingId,
    /// It has every packet up to here.
    pub aru: u64,
    /// It delivered everything up to here, in order.
    pub delivered: u64,
    /// The highest packet number it has seen.
    pub high: u64,
    /// Members of the old ring, as bits by ring order, whose packets must be delivered even behind a hole.
    pub trusted: u128,
    /// The token of the old ring rested here when the ring broke, so nobody has given a number since.
    pub holds: bool,
    /// It promised a packet to others in an exchange that failed, so it delivers that one and goes on alone.
    pub apart: bool,
}

/// A part of a form token, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormPart {
    /// The ring being formed.
    pub ring: RingId,
    /// How often the token was passed on.
    pub hop: u64,
    /// Number of members in all.
    pub total: u16,
    /// Index of the first entry here.
    pub first: u16,
    /// The entries.
    pub entries: Vec<FormMember>,
}

/// How many entries travel in one datagram: 26 + 16 * 65 = 1066 bytes.
pub const PART_ENTRIES: usize = 16;

const FILLED: u8 = 1;
const HOLDS: u8 = 2;
const APART: u8 = 4;
const ENTRY_SIZE: usize = 65;

impl Form {
    /// The parts in which this token travels.
    pub fn parts(&self) -> impl Iterator<Item = FormPart> {
        // A ring has at most 128 members, so all numbers of a part fit 16 bits.
        let total = self.members.len() as u16;
        self.members.chunks(PART_ENTRIES).enumerate().map(move |(index, entries)| FormPart {
            ring: self.ring,
            hop: self.hop,
            total,
            first: (index * PART_ENTRIES) as u16,
            entries: entries.to_vec(),
        })
    }
}

impl FormPart {
    /// Reads a part's body.
    pub fn decode(body: &[u8]) -> Result<FormPart, DecodeError> {
        let mut reader = Reader::new(body);
        let ring = RingId::decode(&mut reader)?;
        let hop = reader.counted("hop")?;
        let total = reader.u16()?;
        // Before anything is collected: parts of a token with 65535 members would be memory for nothing.
        if total == 0 || usize::from(total) > DaemonId::LIMIT {
            return Err(DecodeError::TooLarge("members"));
        }
        let first = reader.u16()?;
        let count = reader.count(PART_ENTRIES, "entries")?;
        // Parts have fixed bounds, so that parts of two copies of a token can be combined.
        let whole_part = usize::from(first) % PART_ENTRIES == 0
            && first < total
            && count == PART_ENTRIES.min(usize::from(total - first));
        if !whole_part {
            return Err(DecodeError::BadValue("part"));
        }
        let entries = (0..count).map(|_| FormMember::decode(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(FormPart { ring, hop, total, first, entries })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(26 + ENTRY_SIZE * self.entries.len());
        self.ring.encode(&mut writer);
        writer.u64(self.hop);
        writer.u16(self.total);
        writer.u16(self.first);
        writer.count(self.entries.len());
        self.entries.iter().for_each(|entry| entry.encode(&mut writer));
        writer.finish()
    }
}

impl FormMember {
    fn decode(reader: &mut Reader<'_>) -> Result<FormMember, DecodeError> {
        let daemon = DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("daemon"))?;
        let incarnation = Incarnation(reader.u64()?);
        let flags = reader.u8()?;
        // An entry that is not filled in says nothing, so it must have no other flag.
        if flags & !(FILLED | HOLDS | APART) != 0 || flags & FILLED == 0 && flags != 0 {
            return Err(DecodeError::BadValue("flags"));
        }
        if flags & FILLED == 0 {
            // Entries have one size, filled in or not, so a part never grows beyond one datagram.
            reader.take(ENTRY_SIZE - 13)?;
            return Ok(FormMember { daemon, incarnation, brings: None });
        }
        let brings = Brings {
            ring: RingId::decode(reader)?,
            aru: reader.counted("aru")?,
            delivered: reader.counted("delivered")?,
            high: reader.counted("high")?,
            trusted: u128::from_be_bytes(reader.array()?),
            holds: flags & HOLDS != 0,
            apart: flags & APART != 0,
        };
        Ok(FormMember { daemon, incarnation, brings: Some(brings) })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.daemon.0);
        writer.u64(self.incarnation.0);
        let Some(brings) = &self.brings else {
            writer.u8(0);
            // An entry that is not filled in has the same size as the others.
            writer.bytes(&[0; ENTRY_SIZE - 13]);
            return;
        };
        let flag = |bit: u8, set: bool| if set { bit } else { 0 };
        writer.u8(FILLED | flag(HOLDS, brings.holds) | flag(APART, brings.apart));
        brings.ring.encode(writer);
        writer.u64(brings.aru);
        writer.u64(brings.delivered);
        writer.u64(brings.high);
        writer.bytes(&brings.trusted.to_be_bytes());
    }
}

impl fmt::Display for FormPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FormPart { ring, hop, total, first, entries } = self;
        write!(f, "ring {ring}, hop {hop}, members {first}..{} of {total}", usize::from(*first) + entries.len())?;
        for (index, entry) in entries.iter().enumerate() {
            write!(f, "{}{entry}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for FormMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.daemon)?;
        let Some(Brings { ring, aru, delivered, high, trusted, holds, apart }) = self.brings else { return Ok(()) };
        write!(f, " brings ring {ring} aru {aru} delivered {delivered} high {high} trusted {trusted:b}")?;
        f.write_str(if holds { " holds the token" } else { "" })?;
        f.write_str(if apart { " goes apart" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u32) -> FormMember {
        let brings = Brings {
            ring: RingId { sequence: 9, representative: DaemonId(1) },
            aru: 10,
            delivered: 8,
            high: 12,
            trusted: 5,
            holds: false,
            apart: true,
        };
        FormMember { daemon: DaemonId(n), incarnation: Incarnation(7), brings: (n % 2 == 1).then_some(brings) }
    }

    fn form(members: u32) -> Form {
        Form {
            ring: RingId { sequence: 20, representative: DaemonId(1) },
            hop: 3,
            members: (1..=members).map(member).collect(),
        }
    }

    #[test]
    fn a_large_form_token_travels_in_parts_that_come_back_whole() {
        let form = form(128);
        let parts: Vec<FormPart> = form.parts().map(|part| FormPart::decode(&part.encode()).unwrap()).collect();
        assert_eq!(parts.len(), 8);
        assert!(parts.iter().all(|part| part.encode().len() <= 1066));
        let members: Vec<FormMember> = parts.iter().flat_map(|part| part.entries.clone()).collect();
        assert_eq!(members, form.members);
    }

    #[test]
    fn literal_bytes() {
        let bytes = form(1).parts().next().unwrap().encode();
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 0, 0, 1];
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 12]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_prefix_fails_and_odd_parts_are_refused() {
        let bytes = form(20).parts().nth(1).unwrap().encode();
        assert!((0..bytes.len()).all(|n| FormPart::decode(&bytes[..n]).is_err()));
        for (at, value) in [(21, 0), (21, 200), (23, 1), (25, 3)] {
            let mut odd = bytes.clone();
            odd[at] = value;
            assert!(FormPart::decode(&odd).is_err(), "byte {at}");
        }
    }
}
