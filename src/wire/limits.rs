//! The question about the largest message of a daemon, and the answer.
//!
//! ```text
//! question  0, 84, 0, 0, 0                                   client → daemon
//! answer    1, 0, 84, 0, 4 bytes, most significant first     daemon → client
//! ```
//!
//! A client asks on a separate connection, so the classic stream does not change. The question has the form of a connect request of version 0.84,
//! which no library has. A classic daemon refuses it at once with one byte, -7.

use super::{DecodeError, Reader};

/// How large a message a daemon takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of data and group names in one message, 32 bytes for each name.
    pub message: u32,
}

impl Limits {
    /// The question.
    pub const QUESTION: [u8; 5] = [0, b'T', 0, 0, 0];
    /// The first bytes of an answer.
    const FRONT: [u8; 4] = [1, 0, b'T', 0];
    /// Bytes of an answer.
    pub const SIZE: usize = Limits::FRONT.len() + size_of::<u32>();

    /// Whether these first bytes of a client are the question; `None` while more must come to tell.
    pub fn is_asked(bytes: &[u8]) -> Option<bool> {
        let known = bytes.len().min(Limits::QUESTION.len());
        match bytes[..known] == Limits::QUESTION[..known] {
            true if known < Limits::QUESTION.len() => None,
            asked => Some(asked),
        }
    }

    /// Reads an answer.
    pub fn decode(bytes: &[u8; Limits::SIZE]) -> Result<Limits, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.take(Limits::FRONT.len())? != Limits::FRONT {
            return Err(DecodeError::BadValue("limits"));
        }
        Ok(Limits { message: reader.u32()? })
    }

    /// Writes an answer.
    pub fn encode(self) -> Vec<u8> {
        [&Limits::FRONT[..], &self.message.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ConnectRequest, Refusal};

    #[test]
    fn an_answer_has_these_bytes_and_no_others() {
        let limits = Limits { message: 0x0102_0304 };
        assert_eq!(limits.encode(), b"\x01\0T\0\x01\x02\x03\x04");
        assert_eq!(Limits::decode(b"\x01\0T\0\x01\x02\x03\x04"), Ok(limits));
        for at in 0..Limits::FRONT.len() {
            let mut bytes: [u8; Limits::SIZE] = limits.encode().try_into().unwrap();
            bytes[at] ^= 1;
            assert!(Limits::decode(&bytes).is_err());
        }
    }

    #[test]
    fn the_question_is_known_as_soon_as_it_differs_and_when_it_is_whole() {
        for known in 0..Limits::QUESTION.len() {
            assert_eq!(Limits::is_asked(&Limits::QUESTION[..known]), None);
        }
        assert_eq!(Limits::is_asked(b"\0T\0\0\0 and more"), Some(true));
        for other in [&b"\x04"[..], b"\0\0", b"\0T\x01", b"\0T\0\0\x01"] {
            assert_eq!(Limits::is_asked(other), Some(false), "{other:?}");
        }
    }

    #[test]
    fn a_classic_daemon_refuses_the_question_by_its_version() {
        assert_eq!(ConnectRequest::decode(&Limits::QUESTION), Err(Refusal::VERSION));
    }
}
