//! Two packets of a ring whose token rests.
//!
//! The daemon that holds the token says so to all others with a *rest*. Each answers with a *have*, which says how far its packets
//! have come and what it lacks. So the holder knows who is there and what everybody has, and the others know that the holder is there.
//!
//! ```text
//! rest                                       have
//!  0 12  ring id                              0 12  ring id
//! 12  8  hop of the token that rests         12  8  hop of the token that rests
//! 20  8  count: 1, 2, 3, … in this rest      20  8  count: of the rest that is answered
//! 28  8  seq: the highest number given out   28  8  aru: everything up to here is at the sender
//! 36  8  safe: every member has everything   36     requests, as in a token
//!        up to here
//! 44  1  flags: 1 = the token has gone on, 2 = an answer is wanted
//! 45  2  pause: ms within which the next
//!        rest follows
//! ```

use std::fmt;

use super::token::{decode_requests, encode_requests, write_requests};
use super::{DecodeError, Reader, RingId, Writer};

/// The token rests at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The ring.
    pub ring: RingId,
    /// The hop of the token that rests.
    pub hop: u64,
    /// How many of these the sender has made in this rest.
    pub count: u64,
    /// The highest number given out.
    pub seq: u64,
    /// Every member has everything up to here.
    pub safe: u64,
    /// Whether the token rests no longer, but has been passed on.
    pub gone: bool,
    /// Whether the sender wants an answer.
    pub asks: bool,
    /// The milliseconds within which the sender says so again.
    pub pause: u16,
}

/// The packets that a member has, for the daemon at which the token rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {
    /// The ring.
    pub ring: RingId,
    /// The hop of the token that rests.
    pub hop: u64,
    /// The count of the [`Rest`] that this answers.
    pub count: u64,
    /// All received up to here.
    pub aru: u64,
    /// Missing packets: ranges of (first, length), ascending, apart from each other.
    pub requests: Vec<(u64, u16)>,
}

const GONE: u8 = 1;
const ASKS: u8 = 2;

impl Rest {
    /// Reads the body of a rest.
    pub fn decode(body: &[u8]) -> Result<Rest, DecodeError> {
        let mut reader = Reader::new(body);
        let (ring, hop) = (RingId::decode(&mut reader)?, reader.counted("hop")?);
        let (count, seq) = (reader.counted("count")?, reader.counted("seq")?);
        let (safe, flags, pause) = (reader.counted("safe")?, reader.u8()?, reader.u16()?);
        reader.end()?;
        // The ring counts from one to the other, so it is checked here once.
        if safe > seq {
            return Err(DecodeError::BadValue("safe"));
        }
        if flags & !(GONE | ASKS) != 0 {
            return Err(DecodeError::BadValue("flags"));
        }
        Ok(Rest { ring, hop, count, seq, safe, gone: flags & GONE != 0, asks: flags & ASKS != 0, pause })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(47);
        self.ring.encode(&mut writer);
        for number in [self.hop, self.count, self.seq, self.safe] {
            writer.u64(number);
        }
        let flag = |bit: u8, set: bool| if set { bit } else { 0 };
        writer.u8(flag(GONE, self.gone) | flag(ASKS, self.asks));
        writer.u16(self.pause);
        writer.finish()
    }
}

impl Have {
    /// Reads the body of a have.
    pub fn decode(body: &[u8]) -> Result<Have, DecodeError> {
        let mut reader = Reader::new(body);
        let (ring, hop) = (RingId::decode(&mut reader)?, reader.counted("hop")?);
        let (count, aru) = (reader.counted("count")?, reader.counted("aru")?);
        let requests = decode_requests(&mut reader)?;
        reader.end()?;
        Ok(Have { ring, hop, count, aru, requests })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(46 + 4 * self.requests.len());
        self.ring.encode(&mut writer);
        for number in [self.hop, self.count, self.aru] {
            writer.u64(number);
        }
        encode_requests(&mut writer, &self.requests);
        writer.finish()
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rest { ring, hop, count, seq, safe, gone, asks, pause } = self;
        write!(
            f,
            "ring {ring}, token {} at hop {hop}, count {count}, seq {seq}, safe {safe}",
            if *gone { "gone" } else { "rests" }
        )?;
        write!(f, ", again within {pause} ms{}", if *asks { ", asks" } else { "" })
    }
}

impl fmt::Display for Have {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Have { ring, hop, count, aru, requests } = self;
        write!(f, "ring {ring}, hop {hop}, count {count}, aru {aru}")?;
        write_requests(f, requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    const RING: RingId = RingId { sequence: 3, representative: DaemonId(4) };

    #[test]
    fn literal_bytes_of_a_rest() {
        let rest = Rest { ring: RING, hop: 5, count: 6, seq: 8, safe: 7, gone: true, asks: true, pause: 100 };
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4];
        for number in [5, 6, 8, 7] {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, number]);
        }
        bytes.extend([3, 0, 100]);
        assert_eq!(rest.encode(), bytes);
        assert_eq!(Rest::decode(&bytes), Ok(rest));
        assert!((0..bytes.len()).all(|n| Rest::decode(&bytes[..n]).is_err()));
        for (at, value) in [(43, 9), (44, 4), (12, 0x80)] {
            let mut odd = bytes.clone();
            odd[at] = value;
            assert!(Rest::decode(&odd).is_err(), "byte {at}");
        }
    }

    #[test]
    fn literal_bytes_of_a_have() {
        let have = Have { ring: RING, hop: 5, count: 6, aru: 7, requests: vec![(9, 2), (12, 1)] };
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4];
        for number in [5, 6, 7] {
            bytes.extend([0, 0, 0, 0, 0, 0, 0, number]);
        }
        bytes.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 1, 0, 1]);
        assert_eq!(have.encode(), bytes);
        assert_eq!(Have::decode(&bytes), Ok(have.clone()));
        assert!((0..bytes.len()).all(|n| Have::decode(&bytes[..n]).is_err()));
        let none = Have { requests: Vec::new(), ..have };
        assert_eq!(Have::decode(&none.encode()), Ok(none));
    }
}
