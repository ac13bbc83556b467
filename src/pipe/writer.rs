//! The client's end of a pipe.

use std::io::IoSlice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use super::{Broken, LARGE, Pipe, WORDS, head, kind, place, words_of};

/// Words that messages leave free, so that a bell and the end always have a place.
const SPARE: usize = 2;

/// Where the writer is.
#[derive(Debug, Default)]
pub struct Writer {
    written: u64,
    /// How far the reader was when it was looked at last.
    read: u64,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritten {
    /// There is no room now.
    Full,
    /// The reader's position is impossible.
    Broken,
}

impl From<Broken> for NotWritten {
    fn from(_: Broken) -> NotWritten {
        NotWritten::Broken
    }
}

impl Writer {
    /// Writes bytes of the stream, all or nothing. There is never room for more than [`LARGE`] at once.
    pub fn write(&mut self, pipe: &Pipe, parts: &[IoSlice<'_>]) -> Result<(), NotWritten> {
        let length = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        if length > LARGE {
            return Err(NotWritten::Full);
        }
        let words = words_of(length);
        self.make_room(pipe, words)?;
        let at = place(self.written);
        pipe.words[at].store(head(kind::BYTES, length), Relaxed);
        let mut filler = Filler { words: &pipe.words[at + 1..at + words], part: [0; 8], filled: 0 };
        parts.iter().for_each(|part| filler.add(part));
        filler.finish();
        self.publish(pipe, words);
        Ok(())
    }

    /// Says that this many bytes of the stream come over the socket. They are written there after this.
    pub fn announce(&mut self, pipe: &Pipe, bytes: usize) -> Result<(), NotWritten> {
        self.make_room(pipe, 1)?;
        self.mark(pipe, head(kind::SOCKET, bytes));
        Ok(())
    }

    /// Says that one byte over the socket was a bell. There is room unless the reader breaks the rules.
    pub fn bell(&mut self, pipe: &Pipe) -> Result<(), NotWritten> {
        if self.free() < SPARE {
            return Err(NotWritten::Full);
        }
        self.mark(pipe, head(kind::BELL, 0));
        Ok(())
    }

    /// Says that the rest of the stream comes over the socket. Nothing is written after this.
    pub fn end(&mut self, pipe: &Pipe) {
        self.mark(pipe, head(kind::END, 0));
    }

    /// Whether the reader sleeps and must be rung to see what was written. It is said once for each of its sleeps.
    pub fn must_ring(&self, pipe: &Pipe) -> bool {
        // What was written must be seen before the answer: the reader looks in the other order.
        fence(SeqCst);
        pipe.asleep.0.load(Relaxed) != 0 && pipe.asleep.0.swap(0, SeqCst) != 0
    }

    /// After [`NotWritten::Full`]: says that this side waits; false if there is new room meanwhile.
    pub fn wait(&mut self, pipe: &Pipe) -> bool {
        let before = self.read;
        pipe.waiting.0.store(1, SeqCst);
        fence(SeqCst);
        // The next write reports a corrupt pipe.
        let waits = self.refresh(pipe).is_ok() && self.read == before;
        if !waits {
            pipe.waiting.0.store(0, Relaxed);
        }
        waits
    }

    /// Whether the reader has read anything yet.
    pub fn is_read(&mut self, pipe: &Pipe) -> bool {
        self.refresh(pipe).is_ok() && self.read > 0
    }

    /// Whether the reader has said that it reads no more.
    pub fn is_left(&self, pipe: &Pipe) -> bool {
        pipe.over.0.load(Relaxed) != 0
    }

    /// Looks how far the reader is.
    pub(super) fn refresh(&mut self, pipe: &Pipe) -> Result<(), Broken> {
        let read = pipe.read.0.load(Acquire);
        // It only moves forward, and not beyond what was written.
        if read < self.read || read > self.written {
            return Err(Broken);
        }
        self.read = read;
        Ok(())
    }

    /// Makes sure that this many words in a row are free at the place of the next record.
    fn make_room(&mut self, pipe: &Pipe, words: usize) -> Result<(), NotWritten> {
        let rest = WORDS - place(self.written);
        let skipped = if words > rest { rest } else { 0 };
        if self.free() < skipped + words + SPARE {
            self.refresh(pipe)?;
        }
        if self.free() < skipped + words + SPARE {
            return Err(NotWritten::Full);
        }
        if skipped > 0 {
            pipe.words[place(self.written)].store(head(kind::SKIP, 0), Relaxed);
            // It becomes visible with the record behind it.
            self.written += skipped as u64;
        }
        Ok(())
    }

    fn free(&self) -> usize {
        WORDS - (self.written - self.read) as usize
    }

    /// Writes a record of one word, for which there is room.
    fn mark(&mut self, pipe: &Pipe, word: u64) {
        pipe.words[place(self.written)].store(word, Relaxed);
        self.publish(pipe, 1);
    }

    fn publish(&mut self, pipe: &Pipe, words: usize) {
        self.written += words as u64;
        pipe.written.0.store(self.written, Release);
    }
}

/// Puts bytes into words.
struct Filler<'a> {
    words: &'a [AtomicU64],
    /// Bytes that are not a whole word yet.
    part: [u8; 8],
    filled: usize,
}

impl Filler<'_> {
    fn add(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let some = bytes.len().min(self.part.len() - self.filled);
            self.part[self.filled..self.filled + some].copy_from_slice(&bytes[..some]);
            self.filled += some;
            bytes = &bytes[some..];
            if self.filled < self.part.len() {
                return;
            }
            let part = self.part;
            self.put(&[part]);
        }
        let (whole, rest) = bytes.as_chunks();
        self.put(whole);
        self.part[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    fn put(&mut self, whole: &[[u8; 8]]) {
        let (now, later) = self.words.split_at(whole.len());
        now.iter().zip(whole).for_each(|(word, bytes)| word.store(u64::from_ne_bytes(*bytes), Relaxed));
        self.words = later;
    }

    fn finish(mut self) {
        if self.filled > 0 {
            // Behind the message there is nothing of older ones.
            self.part[self.filled..].fill(0);
            let part = self.part;
            self.put(&[part]);
        }
    }
}
