//! How large a message a mailbox may send.
//!
//! The library asks nothing for messages of a size that every daemon takes. For a larger message it asks the daemon once, on a
//! separate connection ([`Limits`]), so the session's stream stays the classic one with every daemon. A daemon that does not
//! understand the question is a classic one.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::transport::Stream;
use crate::wire::{LIBRARY_LIMIT, Limits, Refusal};

/// The longest wait for the answer. A daemon that does not answer in this time is taken for a classic one until it is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The limit for a mailbox's messages, in bytes of body and group names, 32 for each name.
#[derive(Clone, Debug, Default)]
pub struct MessageLimit {
    known: OnceLock<usize>,
}

impl MessageLimit {
    /// This limit, or the daemon's if it is `None`.
    pub fn new(wanted: Option<usize>) -> MessageLimit {
        let limit = MessageLimit::default();
        if let Some(wanted) = wanted {
            limit.learn(wanted);
        }
        limit
    }

    /// Whether this many bytes are too many. Asks the daemon of the stream if the answer depends on it.
    pub fn is_below(&self, bytes: usize, stream: &Stream) -> bool {
        let surely = self.known.get().map_or(LIBRARY_LIMIT, |&known| known);
        bytes > surely && bytes > self.get(stream)
    }

    /// The limit. Asks the daemon of the stream if the limit is not known yet.
    pub fn get(&self, stream: &Stream) -> usize {
        if let Some(&known) = self.known.get() {
            return known;
        }
        match ask(stream) {
            Ok(told) => {
                // No daemon takes less than a classic one, so a lower answer is wrong.
                let limit = told.map_or(LIBRARY_LIMIT, |limits| LIBRARY_LIMIT.max(limits.message as usize));
                self.learn(limit);
                limit
            }
            Err(error) => {
                tracing::debug!(%error, "the daemon was not asked for its limit");
                LIBRARY_LIMIT
            }
        }
    }

    fn learn(&self, limit: usize) {
        // Two threads may have asked at the same time. Both got the same answer.
        let _ = self.known.set(limit);
    }
}

/// Asks the daemon at the other end of this stream; `None` if it does not understand.
fn ask(stream: &Stream) -> io::Result<Option<Limits>> {
    let deadline = Instant::now().checked_add(ANSWER_TIMEOUT);
    let question = stream.another(deadline)?;
    question.set_deadline(deadline)?;
    question.write_all(&mut [IoSlice::new(&Limits::QUESTION)])?;
    let mut answer = [0; Limits::SIZE];
    let (first, rest) = answer.split_at_mut(1);
    question.read_all(&mut [IoSliceMut::new(first)])?;
    if first[0] == Refusal::VERSION.encode() {
        return Ok(None);
    }
    question.read_all(&mut [IoSliceMut::new(rest)])?;
    Limits::decode(&answer).map(Some).map_err(|_| ErrorKind::InvalidData.into())
}
