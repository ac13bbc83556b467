//! Two packets that prove how long a datagram may be on a path.
//!
//! A *size probe* is padded to the length that it is to prove. Several probes of different lengths make one round. A *sizes* packet is the
//! answer of those who heard them: for each sender and network the latest round, and the longest probe of it that came.
//!
//! ```text
//!  0  4  round: 1, 2, 3, … in each life of the sender, on each network
//!  4     padding, zeros
//!
//!  0  2  number of answers, then for each
//!        1  daemon whose probe came
//!        1  network on which it came
//!        4  its round
//!        2  the longest datagram of that round that came
//! ```

use std::fmt;

use super::{DecodeError, NetworkId, Reader, Writer};

/// A size probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeProbe {
    /// Its round.
    pub round: u32,
}

/// The probes of one daemon that arrived on one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeAnswer {
    /// The number of the daemon that probed.
    pub daemon: u8,
    /// The network on which its probes came.
    pub network: NetworkId,
    /// The round.
    pub round: u32,
    /// Bytes of the longest datagram of that round that came.
    pub length: u16,
}

impl SizeProbe {
    /// Bytes without padding.
    pub const SIZE: usize = 4;

    /// Reads the body of a size probe. The padding is ignored.
    pub fn decode(body: &[u8]) -> Result<SizeProbe, DecodeError> {
        Ok(SizeProbe { round: Reader::new(body).u32()? })
    }

    /// A body of so many bytes; without padding if that is too few.
    pub fn encode(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length.max(SizeProbe::SIZE)];
        bytes[..SizeProbe::SIZE].copy_from_slice(&self.round.to_be_bytes());
        bytes
    }
}

impl SizeAnswer {
    const SIZE: usize = 8;

    /// How many answers a packet has at most, so that it fits the smallest datagram.
    pub const LIMIT: usize = 48;

    /// Reads the body of a sizes packet.
    pub fn decode_all(body: &[u8]) -> Result<Vec<SizeAnswer>, DecodeError> {
        let mut reader = Reader::new(body);
        let count = reader.count(SizeAnswer::LIMIT, "answers")?;
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            let (daemon, network) = (reader.u8()?, NetworkId(reader.u8()?));
            if usize::from(network.0) >= NetworkId::LIMIT {
                return Err(DecodeError::BadValue("network"));
            }
            answers.push(SizeAnswer { daemon, network, round: reader.u32()?, length: reader.u16()? });
        }
        reader.end()?;
        Ok(answers)
    }

    /// The body of a sizes packet with these answers, of which there are at most [`SizeAnswer::LIMIT`].
    pub fn encode_all(answers: &[SizeAnswer]) -> Vec<u8> {
        let mut writer = Writer::with_capacity(2 + answers.len() * SizeAnswer::SIZE);
        writer.count(answers.len());
        for answer in answers {
            writer.u8(answer.daemon);
            writer.u8(answer.network.0);
            writer.u32(answer.round);
            writer.u16(answer.length);
        }
        writer.finish()
    }
}

impl fmt::Display for SizeProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}", self.round)
    }
}

impl fmt::Display for SizeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SizeAnswer { daemon, network, round, length } = self;
        write!(f, "of round {round} of daemon {daemon} on network {} came {length} bytes", network.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SealTag;
    use super::*;

    const ANSWER: SizeAnswer = SizeAnswer { daemon: 3, network: NetworkId(1), round: 0x0102_0304, length: 0x0506 };

    #[test]
    fn literal_bytes() {
        let probe = SizeProbe { round: 7 };
        assert_eq!(probe.encode(6), [0, 0, 0, 7, 0, 0]);
        assert_eq!((probe.encode(0), SizeProbe::decode(&probe.encode(900))), (vec![0, 0, 0, 7], Ok(probe)));
        let bytes = [0, 1, 3, 1, 1, 2, 3, 4, 5, 6];
        assert_eq!(SizeAnswer::encode_all(&[ANSWER]), bytes);
        assert_eq!(SizeAnswer::decode_all(&bytes), Ok(vec![ANSWER]));
    }

    #[test]
    fn every_prefix_fails_and_limits_hold() {
        let bytes = SizeAnswer::encode_all(&[ANSWER; 2]);
        assert!((0..bytes.len()).all(|n| SizeAnswer::decode_all(&bytes[..n]).is_err()));
        assert!((0..SizeProbe::SIZE).all(|n| SizeProbe::decode(&bytes[..n]).is_err()));
        let trailing = [&bytes[..], &[0]].concat();
        assert_eq!(SizeAnswer::decode_all(&trailing), Err(DecodeError::TrailingBytes));
        assert_eq!(SizeAnswer::decode_all(&[0, 49]), Err(DecodeError::TooLarge("answers")));
        let mut strange = bytes.clone();
        strange[3] = 8;
        assert_eq!(SizeAnswer::decode_all(&strange), Err(DecodeError::BadValue("network")));
    }

    #[test]
    fn the_most_answers_fit_the_smallest_datagram() {
        let most = SizeAnswer::encode_all(&[ANSWER; SizeAnswer::LIMIT]);
        assert!(most.len() + SealTag::SIZE <= 512);
        assert_eq!(SizeAnswer::decode_all(&most).map(|all| all.len()), Ok(SizeAnswer::LIMIT));
    }
}
