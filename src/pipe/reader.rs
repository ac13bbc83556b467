//! The daemon's end of a pipe. It believes nothing: whoever writes may be hostile, and may write while this reads.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use super::{Broken, LARGE, Pipe, WORDS, kind, place, split, words_of};

/// Where the reader is.
#[derive(Debug, Default)]
pub struct Reader {
    read: u64,
    /// How far the writer was when it was looked at last.
    written: u64,
}

/// The next record of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes of the stream, which are in the room.
    Bytes(usize),
    /// So many bytes of the stream come over the socket.
    Socket(u64),
    /// One byte that comes over the socket is nothing but a bell.
    Bell,
    /// The rest of the stream comes over the socket.
    End,
    /// Bytes for which the room is too small.
    Crowded,
    /// Nothing yet.
    Empty,
}

impl Reader {
    /// Reads the next record. Bytes are copied to the room.
    pub fn next(&mut self, pipe: &Pipe, room: &mut [u8]) -> Result<Next, Broken> {
        // A record follows the skipped end of the memory, so two turns are enough.
        for _ in 0..2 {
            if self.is_empty(pipe)? {
                return Ok(Next::Empty);
            }
            let (at, there) = (place(self.read), self.written - self.read);
            let (kind, length) = split(pipe.words[at].load(Relaxed));
            match kind {
                kind::SKIP if (WORDS - at) as u64 <= there => self.read += (WORDS - at) as u64,
                kind::BYTES if length <= LARGE as u64 => return self.copy(pipe, length as usize, room),
                kind::SOCKET => return Ok(self.pass(Next::Socket(length))),
                kind::BELL => return Ok(self.pass(Next::Bell)),
                kind::END => return Ok(self.pass(Next::End)),
                _ => return Err(Broken),
            }
        }
        Err(Broken)
    }

    /// Gives the room of what was read back to the writer. True if it must be woken: it waits, which is said once.
    pub fn release(&mut self, pipe: &Pipe) -> bool {
        pipe.read.0.store(self.read, Release);
        // The room must be seen before the answer: the writer looks in the other order.
        fence(SeqCst);
        pipe.waiting.0.load(Relaxed) != 0 && pipe.waiting.0.swap(0, SeqCst) != 0
    }

    /// Says that this side reads no more. The session may go on over the socket if the writer has ended the pipe.
    pub fn leave(&self, pipe: &Pipe) {
        pipe.over.0.store(1, Relaxed);
    }

    /// Announces that this side sleeps until a bell; false if there is something to read after all.
    pub fn sleep(&mut self, pipe: &Pipe) -> bool {
        pipe.asleep.0.store(1, SeqCst);
        fence(SeqCst);
        // The next read reports a corrupt pipe.
        let sleeps = self.is_empty(pipe).is_ok_and(|empty| empty);
        if !sleeps {
            pipe.asleep.0.store(0, Relaxed);
        }
        sleeps
    }

    fn is_empty(&mut self, pipe: &Pipe) -> Result<bool, Broken> {
        if self.read == self.written {
            let written = pipe.written.0.load(Acquire);
            // More than fits, or a step back.
            if written.checked_sub(self.read).is_none_or(|there| there > WORDS as u64) {
                return Err(Broken);
            }
            self.written = written;
        }
        Ok(self.read == self.written)
    }

    fn copy(&mut self, pipe: &Pipe, length: usize, room: &mut [u8]) -> Result<Next, Broken> {
        let (at, words) = (place(self.read), words_of(length));
        if words as u64 > self.written - self.read || at + words > WORDS {
            return Err(Broken);
        }
        let Some(room) = room.get_mut(..length) else { return Ok(Next::Crowded) };
        fetch(&pipe.words[at + 1..at + words], room);
        self.read += words as u64;
        Ok(Next::Bytes(length))
    }

    fn pass(&mut self, next: Next) -> Next {
        self.read += 1;
        next
    }
}

fn fetch(words: &[AtomicU64], room: &mut [u8]) {
    let (whole, rest) = room.as_chunks_mut();
    whole.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.load(Relaxed).to_ne_bytes());
    if let (false, Some(last)) = (rest.is_empty(), words.last()) {
        let last = last.load(Relaxed).to_ne_bytes();
        rest.copy_from_slice(&last[..rest.len()]);
    }
}
