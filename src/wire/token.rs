//! The token: the right to number packets, the state of the order, and the requests for missing packets.
//!
//! ```text
//!  0 12  ring id
//! 12  8  hop: +1 each time the token is passed on; with the ring id it identifies this token for ever
//! 20  8  seq: the highest number given out
//! 28  8  aru: every member has everything up to here, as far as the token knows
//! 36  4  aru_by: the member that lowered aru, or 0
//! 40  4  owing_by: during recovery, a member that still has old packets to send, or 0
//! 44  8  delayed: the last hop at which it was held back or sent again, or 0
//! 52  4  sent: packets sent by all members for the first time in the last rotation
//! 56  4  again: packets sent again by all members in the last rotation
//! 60  2  backlogged: members that have more than they could send
//! 62  4  window: packets that all members together may send in one rotation
//! 66  8  barrier: the highest number of a packet that carries a barrier message, or 0
//! 74  8  handed: the highest number of a packet that its origin had handed over, or 0
//! 82  2  number of request ranges
//! 84  8  base of the first range, only if there is one
//! 92  …  ranges: 16 bits of gap since the end of the one before (or since base), 16 bits of length
//! ```
//!
//! The ranges keep the token within one datagram: the list is cut at [`Token::RANGE_LIMIT`], lowest numbers first, and the rest is requested
//! later.

use std::fmt;

use super::{DaemonId, DecodeError, Reader, RingId, Writer};

/// The token of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The ring it belongs to.
    pub ring: RingId,
    /// How often it was passed on.
    pub hop: u64,
    /// The highest number given out.
    pub seq: u64,
    /// All received up to here, by all members.
    pub aru: u64,
    /// The member that lowered `aru`.
    pub aru_by: Option<DaemonId>,
    /// A member that still owes old packets, during recovery.
    pub owing_by: Option<DaemonId>,
    /// The last hop at which it was held back or sent again.
    pub delayed: u64,
    /// Packets sent for the first time in the last rotation.
    pub sent: u32,
    /// Packets sent again in the last rotation.
    pub again: u32,
    /// Members that have more than they could send.
    pub backlogged: u16,
    /// Packets that all members together may send in one rotation.
    pub window: u32,
    /// The highest number of a packet that carries a barrier message.
    pub barrier: u64,
    /// The highest number of a packet that its origin had handed over to the daemon at which the token rested.
    pub handed: u64,
    /// Missing packets: ranges of (first, length), ascending, apart from each other.
    pub requests: Vec<(u64, u16)>,
}

impl Token {
    /// How many ranges of missing packets one token carries: 84 + 8 + 4 * 96 = 476 bytes at most, in every datagram.
    pub const RANGE_LIMIT: usize = 96;

    /// The largest distance between the first and the last requested packet. It bounds the work that a token can cause.
    pub const SPAN_LIMIT: u64 = 1 << 16;

    /// A token before anything was done with it: packets and hops are counted from these numbers.
    pub fn new(ring: RingId, hop: u64, seq: u64) -> Token {
        Token {
            ring,
            hop,
            seq,
            aru: seq,
            aru_by: None,
            owing_by: None,
            delayed: 0,
            sent: 0,
            again: 0,
            backlogged: 0,
            window: 0,
            barrier: seq,
            handed: 0,
            requests: Vec::new(),
        }
    }

    /// Reads a token's body.
    pub fn decode(body: &[u8]) -> Result<Token, DecodeError> {
        let mut reader = Reader::new(body);
        let mut token = Token {
            ring: RingId::decode(&mut reader)?,
            hop: reader.counted("hop")?,
            seq: reader.counted("seq")?,
            aru: reader.counted("aru")?,
            aru_by: DaemonId::from_wire(reader.u32()?),
            owing_by: DaemonId::from_wire(reader.u32()?),
            delayed: reader.counted("delayed")?,
            sent: reader.u32()?,
            again: reader.u32()?,
            backlogged: reader.u16()?,
            window: reader.u32()?,
            barrier: reader.counted("barrier")?,
            handed: reader.counted("handed")?,
            requests: Vec::new(),
        };
        token.requests = decode_requests(&mut reader)?;
        reader.end()?;
        // The ring subtracts these numbers from each other, so they are checked here once.
        if token.aru > token.seq {
            return Err(DecodeError::BadValue("aru"));
        }
        if token.delayed > token.hop {
            return Err(DecodeError::BadValue("delayed"));
        }
        if token.barrier > token.seq {
            return Err(DecodeError::BadValue("barrier"));
        }
        if token.handed > token.seq {
            return Err(DecodeError::BadValue("handed"));
        }
        Ok(token)
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(92 + 4 * self.requests.len());
        self.ring.encode(&mut writer);
        writer.u64(self.hop);
        writer.u64(self.seq);
        writer.u64(self.aru);
        writer.u32(DaemonId::to_wire(self.aru_by));
        writer.u32(DaemonId::to_wire(self.owing_by));
        writer.u64(self.delayed);
        writer.u32(self.sent);
        writer.u32(self.again);
        writer.u16(self.backlogged);
        writer.u32(self.window);
        writer.u64(self.barrier);
        writer.u64(self.handed);
        encode_requests(&mut writer, &self.requests);
        writer.finish()
    }
}

/// The ranges, in words; nothing if there are none.
pub(super) fn write_requests(f: &mut fmt::Formatter<'_>, requests: &[(u64, u16)]) -> fmt::Result {
    for (index, &(first, length)) in requests.iter().enumerate() {
        let lead = if index == 0 { ", requests " } else { " " };
        write!(f, "{lead}{first}")?;
        if length > 1 {
            write!(f, "-{}", first + u64::from(length) - 1)?;
        }
    }
    Ok(())
}

/// Reads a number of ranges, and the ranges.
pub(super) fn decode_requests(reader: &mut Reader<'_>) -> Result<Vec<(u64, u16)>, DecodeError> {
    let count = reader.count(Token::RANGE_LIMIT, "request ranges")?;
    if count > 0 { decode_ranges(reader, count) } else { Ok(Vec::new()) }
}

fn decode_ranges(reader: &mut Reader<'_>, count: usize) -> Result<Vec<(u64, u16)>, DecodeError> {
    let base = reader.counted("range")?;
    let mut end = base;
    let mut ranges = Vec::with_capacity(count);
    for _ in 0..count {
        let first = end.checked_add(u64::from(reader.u16()?)).ok_or(DecodeError::BadValue("range"))?;
        let length = reader.u16()?;
        // An empty range means nothing, and many of them would be work for nothing.
        if length == 0 {
            return Err(DecodeError::BadValue("range"));
        }
        end = first.checked_add(u64::from(length)).ok_or(DecodeError::BadValue("range"))?;
        // Each number costs a look into the window, so 476 bytes must not ask for millions.
        if end - base > Token::SPAN_LIMIT {
            return Err(DecodeError::BadValue("range"));
        }
        ranges.push((first, length));
    }
    Ok(ranges)
}

/// Writes how many ranges there are, and the ranges.
pub(super) fn encode_requests(writer: &mut Writer, ranges: &[(u64, u16)]) {
    assert!(ranges.len() <= Token::RANGE_LIMIT, "the ring cuts its requests");
    writer.count(ranges.len());
    let Some(&(mut end, _)) = ranges.first() else { return };
    writer.u64(end);
    for &(first, length) in ranges {
        writer.u16(u16::try_from(first - end).expect("requests lie within one window, far below 65536 packets"));
        writer.u16(length);
        end = first + u64::from(length);
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Token { ring, hop, seq, aru, sent, again, backlogged, window, .. } = self;
        write!(f, "ring {ring}, hop {hop}, seq {seq}, aru {aru}")?;
        if let Some(member) = self.aru_by {
            write!(f, " lowered by {member}")?;
        }
        write!(f, ", sent {sent}, again {again}, backlogged {backlogged}, window {window}")?;
        if let Some(member) = self.owing_by {
            write!(f, ", owing {member}")?;
        }
        if self.delayed > 0 {
            write!(f, ", delayed at hop {}", self.delayed)?;
        }
        if self.barrier > 0 {
            write!(f, ", barrier at {}", self.barrier)?;
        }
        if self.handed > 0 {
            write!(f, ", handed over up to {}", self.handed)?;
        }
        write_requests(f, &self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn token(requests: Vec<(u64, u16)>) -> Token {
        Token {
            ring: RingId { sequence: 1, representative: DaemonId(2) },
            hop: 13,
            seq: 900,
            aru: 800,
            aru_by: Some(DaemonId(6)),
            owing_by: None,
            delayed: 11,
            sent: 7,
            again: 8,
            backlogged: 9,
            window: 10,
            barrier: 810,
            handed: 820,
            requests,
        }
    }

    #[test]
    fn literal_bytes() {
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 3, 0x84, 0, 0, 0, 0, 0, 0,
            3, 0x20, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 7, 0, 0, 0, 8, 0, 9, 0, 0, 0, 10, 0, 0,
            0, 0, 0, 0, 3, 0x2a, 0, 0, 0, 0, 0, 0, 3, 0x34, 0, 2, 0, 0, 0, 0, 0, 0, 3, 0x21, 0, 0, 0, 2, 0, 10, 0, 1,
        ];
        let token = token(vec![(801, 2), (813, 1)]);
        assert_eq!(token.encode(), bytes);
        assert_eq!(Token::decode(&bytes), Ok(token));
    }

    #[test]
    fn every_prefix_fails_and_nothing_may_follow() {
        for token in [token(vec![]), token(vec![(801, 2), (813, 1)])] {
            let mut bytes = token.encode();
            assert!((0..bytes.len()).all(|n| Token::decode(&bytes[..n]).is_err()));
            bytes.push(0);
            assert_eq!(Token::decode(&bytes), Err(DecodeError::TrailingBytes));
        }
    }

    #[test]
    fn nothing_lies_above_the_highest_number_and_hop() {
        let odd = |change: fn(&mut Token)| {
            let mut token = token(vec![]);
            change(&mut token);
            token.encode()
        };
        for (bytes, field) in [
            (odd(|token| token.aru = 901), "aru"),
            (odd(|token| token.barrier = 901), "barrier"),
            (odd(|token| token.handed = 901), "handed"),
            (odd(|token| token.delayed = 14), "delayed"),
        ] {
            assert_eq!(Token::decode(&bytes), Err(DecodeError::BadValue(field)));
        }
    }

    #[test]
    fn requests_fill_at_most_a_third_of_a_datagram_and_span_a_bounded_stretch() {
        let scattered: Vec<(u64, u16)> = (0..Token::RANGE_LIMIT as u64).map(|n| (801 + 340 * n, 1)).collect();
        let bytes = token(scattered.clone()).encode();
        assert!(bytes.len() <= 1472 / 3, "{} bytes", bytes.len());
        assert_eq!(Token::decode(&bytes), Ok(token(scattered)));
        let wide = token(vec![(801, 32_768), (801 + 32_768, 32_768)]);
        assert_eq!(Token::decode(&wide.encode()), Ok(wide));
        let wider = token(vec![(801, 32_768), (801 + 32_768, 32_769)]);
        assert_eq!(Token::decode(&wider.encode()), Err(DecodeError::BadValue("range")));
    }

    #[test]
    fn any_bytes_decode_or_fail_quietly() {
        let mut rng = Rng::new(3);
        let template = token(vec![(801, 2), (813, 1)]).encode();
        for _ in 0..20_000 {
            let mut bytes = template.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            if let Ok(token) = Token::decode(&bytes) {
                assert_eq!(Token::decode(&token.encode()), Ok(token));
            }
        }
    }
}
