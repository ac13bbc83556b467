//! A fragment: a part of a datagram that is too long for a path as a whole.
//!
//! The datagram inside is complete, with its own header, and whoever has all fragments of it takes it as if it had come whole. A fragment is
//! a packet of the daemon that cut the datagram, which need not have made it: a relay cuts what it passes on.
//!
//! ```text
//!  0  4  number of the datagram that is cut, in the life of the sender
//!  4  2  bytes of that datagram
//!  6  2  offset of this part
//!  8     the part, at least one byte
//! ```

use std::fmt;

use super::{DecodeError, Reader, Slice, Writer};

/// A part of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Which datagram of the sender it is a part of.
    pub number: u32,
    /// Bytes of the whole datagram.
    pub total: u16,
    /// Where the part begins.
    pub offset: u16,
    /// The part.
    pub part: Slice,
}

impl Fragment {
    /// Bytes before the part.
    pub const OVERHEAD: usize = 8;

    /// Reads a fragment's body; the part shares it.
    pub fn decode(body: &Slice) -> Result<Fragment, DecodeError> {
        let mut reader = Reader::new(body);
        let (number, total, offset) = (reader.u32()?, reader.u16()?, reader.u16()?);
        let part = body.tail(Fragment::OVERHEAD);
        if part.is_empty() {
            return Err(DecodeError::Short);
        }
        if usize::from(offset) + part.len() > usize::from(total) {
            return Err(DecodeError::TooLarge("offset"));
        }
        Ok(Fragment { number, total, offset, part })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Fragment::OVERHEAD + self.part.len());
        writer.u32(self.number);
        writer.u16(self.total);
        writer.u16(self.offset);
        writer.bytes(&self.part);
        writer.finish()
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fragment { number, total, offset, part } = self;
        let end = usize::from(*offset) + part.len();
        write!(f, "bytes {offset}..{end} of {total} of datagram {number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_bytes() {
        let bytes = [0, 0, 0, 7, 1, 0, 0, 16, b'a', b'b'];
        let fragment = Fragment { number: 7, total: 256, offset: 16, part: Slice::copy_from(b"ab") };
        assert_eq!(fragment.encode(), bytes);
        assert_eq!(Fragment::decode(&Slice::copy_from(&bytes)), Ok(fragment));
    }

    #[test]
    fn a_part_must_be_there_and_lie_inside() {
        let bytes = Slice::copy_from(&[0, 0, 0, 7, 0, 4, 0, 2, b'a', b'b', b'c']);
        assert!((0..9).all(|n| Fragment::decode(&bytes.part(0, n)) == Err(DecodeError::Short)));
        assert!((9..11).all(|n| Fragment::decode(&bytes.part(0, n)).is_ok()));
        assert_eq!(Fragment::decode(&bytes), Err(DecodeError::TooLarge("offset")));
    }
}
