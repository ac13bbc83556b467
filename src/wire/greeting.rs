//! A greeting: a daemon asks another one to prove that the life that it hears is the present one, or answers such a question.
//!
//! Only sealed systems use it. A seal proves that a packet was made with a key, but not when: it may be a record of an earlier life. A record
//! cannot answer a new question.
//!
//! ```text
//!  0  8  number of the question, 0 if nothing is asked
//!  8  8  incarnation of the one whose question is answered, 0 if none is
//! 16  8  number of the question that is answered
//! ```

use std::fmt;

use super::{DecodeError, Incarnation, Reader, Writer};

/// A question, an answer, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The number of the question that the receiver is to answer.
    pub asks: Option<u64>,
    /// The question that is answered: which life of the receiver asked, and its number.
    pub answers: Option<(Incarnation, u64)>,
}

impl Greeting {
    /// Bytes of a greeting.
    pub const SIZE: usize = 24;

    /// Reads a greeting's body.
    pub fn decode(body: &[u8]) -> Result<Greeting, DecodeError> {
        let mut reader = Reader::new(body);
        let (asks, asker, answered) = (reader.u64()?, reader.u64()?, reader.u64()?);
        reader.end()?;
        let answers = (answered != 0).then_some((Incarnation(asker), answered));
        Ok(Greeting { asks: (asks != 0).then_some(asks), answers })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Greeting::SIZE);
        let (asker, answered) = self.answers.unwrap_or((Incarnation(0), 0));
        writer.u64(self.asks.unwrap_or(0));
        writer.u64(asker.0);
        writer.u64(answered);
        writer.finish()
    }
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.asks, self.answers) {
            (None, None) => write!(f, "asks nothing"),
            (Some(asked), None) => write!(f, "asks question {asked}"),
            (None, Some((life, number))) => write!(f, "answers question {number} of life {life}"),
            (Some(asked), Some((life, number))) => {
                write!(f, "asks question {asked}, answers question {number} of life {life}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_bytes() {
        let bytes = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3];
        let greeting = Greeting { asks: Some(5), answers: Some((Incarnation(7), 3)) };
        assert_eq!((greeting.encode(), Greeting::decode(&bytes)), (bytes.to_vec(), Ok(greeting)));
        let nothing = Greeting { asks: None, answers: None };
        assert_eq!(Greeting::decode(&nothing.encode()), Ok(nothing));
    }

    #[test]
    fn every_prefix_fails_and_so_does_what_is_left_over() {
        let bytes = [1; 25];
        assert!((0..24).all(|n| Greeting::decode(&bytes[..n]) == Err(DecodeError::Short)));
        assert_eq!(Greeting::decode(&bytes), Err(DecodeError::TrailingBytes));
    }
}
