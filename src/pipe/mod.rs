//! A pipe in memory that a client shares with its daemon: messages go through it without a system call.
//!
//! A client offers the memory to its daemon: it passes the descriptor along with a byte of the session's stream. A daemon
//! that does not understand drops the descriptor and reads the byte as ever. One that does reads the rest of the stream in the order
//! of the *records* in the pipe. A record either holds bytes of the stream, or says that this many come over the socket: from the
//! offer on, the records alone say what comes next. Nothing goes the other way; the socket stays open, and its end is the session's.
//!
//! ```text
//! a word            kind in the highest byte, length in bytes below       then
//! BYTES   n         n bytes of the stream                                 they, in whole words
//! SOCKET  n         n bytes of the stream come over the socket            nothing
//! BELL    0         one byte comes over the socket that only wakes        nothing
//! SKIP    0         nothing more before the end of the words              the next record is at the first word
//! END     0         the rest of the stream comes over the socket          nothing, ever
//! ```
//!
//! A reader that finds the pipe empty says that it sleeps; a writer that sees this afterwards rings, with one byte over the socket. A
//! writer that finds it full says that it waits, and is woken when there is room again. Each says so first and looks at the
//! other's position after, so one of the two always sees the other.
//!
//! Neither side believes the other. Positions are read once and checked before use, what is read is a copy, and the size of the memory
//! can change no more.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod reader;
mod writer;

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{Memory, offer};
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use elsewhere::{accept, receive};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Memory, accept, offer, receive};
pub use reader::{Next, Reader};
pub use writer::{NotWritten, Writer};

/// Bytes from which on a message goes over the socket: it would take too much of the pipe.
pub const LARGE: usize = 16 << 10;
/// Words for records, a power of two: 64 KiB.
const WORDS: usize = 8 << 10;
/// The first word of the memory. It shows that both sides use the same layout.
const FORMAT: u64 = 0x746f_7263_0000_0002;

/// The layout of the memory. The other side may change every part of it at any time.
#[repr(C)]
pub struct Pipe {
    format: Line<AtomicU64>,
    /// Words that were written since the beginning; the writer's.
    written: Line<AtomicU64>,
    /// Words that were read since the beginning; the reader's.
    read: Line<AtomicU64>,
    /// 1 while the reader looks at the pipe no more until it is rung.
    asleep: Line<AtomicU32>,
    /// 1 while the writer waits for room.
    waiting: Line<AtomicU32>,
    /// 1 when the reader will never read again.
    over: Line<AtomicU32>,
    words: [AtomicU64; WORDS],
}

/// Separates a field from its neighbours, so that writing it does not slow down readers of those. Processors fetch two lines of 64 bytes at once.
#[derive(Default)]
#[repr(C, align(128))]
struct Line<T>(T);

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl Default for Pipe {
    fn default() -> Pipe {
        Pipe {
            format: Line(AtomicU64::new(FORMAT)),
            written: Line::default(),
            read: Line::default(),
            asleep: Line::default(),
            waiting: Line::default(),
            over: Line::default(),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }
}

impl Pipe {
    /// Changes a word, as a hostile other side may at any time. For fuzzing.
    #[doc(hidden)]
    pub fn disturb(&self, place: usize, word: u64) {
        match place {
            0 => self.written.0.store(word, Relaxed),
            1 => self.read.0.store(word, Relaxed),
            2 => self.asleep.0.store(word as u32, Relaxed),
            3 => self.waiting.0.store(word as u32, Relaxed),
            4 => self.over.0.store(word as u32, Relaxed),
            place => self.words[place % WORDS].store(word, Relaxed),
        }
    }
}

/// What a read of a socket brings.
#[cfg(unix)]
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Bytes of the stream.
    pub(crate) count: usize,
    /// What the client passes. Whatever is done with it may take as long as the client likes.
    pub(crate) files: Vec<std::os::fd::OwnedFd>,
}

/// The other side breaks the rules of the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared memory is corrupt")
    }
}

impl std::error::Error for Broken {}

/// The kinds of records.
mod kind {
    pub const BYTES: u8 = 1;
    pub const SOCKET: u8 = 2;
    pub const BELL: u8 = 3;
    pub const SKIP: u8 = 4;
    pub const END: u8 = 5;
}

/// Bits of a record's first word that hold its length.
const LENGTH_BITS: u32 = 56;

fn head(kind: u8, length: usize) -> u64 {
    u64::from(kind) << LENGTH_BITS | length as u64
}

/// The kind and the length.
fn split(head: u64) -> (u8, u64) {
    ((head >> LENGTH_BITS) as u8, head & ((1 << LENGTH_BITS) - 1))
}

/// The place of a position among the words.
fn place(position: u64) -> usize {
    position as usize & (WORDS - 1)
}

/// Words of a record with this many bytes.
fn words_of(bytes: usize) -> usize {
    1 + bytes.div_ceil(size_of::<u64>())
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    /// Both ends of a pipe in plain memory.
    struct Ends {
        pipe: Box<Pipe>,
        writer: Writer,
        reader: Reader,
        room: Vec<u8>,
    }

    impl Ends {
        fn new() -> Ends {
            let (writer, reader) = (Writer::default(), Reader::default());
            Ends { pipe: Box::default(), writer, reader, room: vec![0; LARGE] }
        }

        fn write(&mut self, parts: &[&[u8]]) -> Result<(), NotWritten> {
            let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            self.writer.write(&self.pipe, &parts)
        }

        fn next(&mut self) -> Result<Next, Broken> {
            self.reader.next(&self.pipe, &mut self.room)
        }

        fn bytes(&mut self) -> Vec<u8> {
            match self.next() {
                Ok(Next::Bytes(count)) => self.room[..count].to_vec(),
                other => panic!("no bytes but {other:?}"),
            }
        }
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut ends = Ends::new();
        ends.write(&[b"header..", b"body"]).unwrap();
        ends.writer.announce(&ends.pipe, 70_000).unwrap();
        ends.write(&[b"abc", b"", b"defghijklmnop", b"q"]).unwrap();
        ends.write(&[]).unwrap();
        ends.writer.end(&ends.pipe);
        assert_eq!(ends.bytes(), b"header..body");
        assert_eq!(ends.next(), Ok(Next::Socket(70_000)));
        assert_eq!(ends.bytes(), b"abcdefghijklmnopq");
        assert_eq!(ends.bytes(), b"");
        assert_eq!((ends.next(), ends.next()), (Ok(Next::End), Ok(Next::Empty)));
    }

    #[test]
    fn every_byte_comes_once_whatever_the_sizes() {
        let mut ends = Ends::new();
        let (mut written, mut read, mut number) = (0_usize, 0_usize, 1_u64);
        let rounds = if cfg!(miri) { 40 } else { 20_000 };
        for _ in 0..rounds {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = (number >> 33) as usize % [20, 300, 3000, LARGE][(number >> 60) as usize % 4];
            let bytes: Vec<_> = (written..written + length).map(|at| (at % 251) as u8).collect();
            let (front, back) = bytes.split_at((number >> 20) as usize % (length + 1));
            if ends.write(&[front, back]) == Ok(()) {
                written += length;
            } else {
                while read < written {
                    let bytes = ends.bytes();
                    assert!(bytes.iter().zip(read..).all(|(&byte, at)| byte == (at % 251) as u8));
                    read += bytes.len();
                }
                ends.reader.release(&ends.pipe);
            }
        }
        assert!(read > rounds * 20);
    }

    #[test]
    fn a_full_pipe_takes_nothing_until_what_was_read_is_released_but_can_always_end() {
        let mut ends = Ends::new();
        while ends.write(&[&[7; 3000]]) == Ok(()) {}
        assert_eq!(ends.writer.announce(&ends.pipe, 1), Ok(()), "a word is left");
        while ends.writer.announce(&ends.pipe, 1) == Ok(()) {}
        assert_eq!(ends.bytes(), [7; 3000]);
        assert_eq!(ends.write(&[&[7; 2900]]), Err(NotWritten::Full));
        assert!(!ends.reader.release(&ends.pipe));
        assert!(!ends.writer.wait(&ends.pipe), "there is room");
        ends.write(&[&[7; 2900]]).unwrap();
        assert_eq!(ends.write(&[&[7; 2900]]), Err(NotWritten::Full));
        assert!(ends.writer.wait(&ends.pipe));
        ends.bytes();
        assert!(ends.reader.release(&ends.pipe), "somebody waits");
        assert!(!ends.reader.release(&ends.pipe), "it is said once");
        while ends.writer.announce(&ends.pipe, 1) == Ok(()) {}
        ends.writer.bell(&ends.pipe).unwrap();
        ends.writer.end(&ends.pipe);
        let mut last = Next::Empty;
        while let Ok(next) = ends.next()
            && next != Next::Empty
        {
            last = next;
        }
        assert_eq!(last, Next::End);
    }

    #[test]
    fn who_sleeps_is_rung_once() {
        let mut ends = Ends::new();
        ends.write(&[b"x"]).unwrap();
        assert!(!ends.writer.must_ring(&ends.pipe));
        assert!(!ends.reader.sleep(&ends.pipe), "something is there");
        ends.bytes();
        assert!(ends.reader.sleep(&ends.pipe));
        ends.write(&[b"y"]).unwrap();
        assert!(ends.writer.must_ring(&ends.pipe));
        assert!(!ends.writer.must_ring(&ends.pipe));
        ends.writer.bell(&ends.pipe).unwrap();
        assert_eq!((ends.bytes(), ends.next()), (b"y".to_vec(), Ok(Next::Bell)));
    }

    #[test]
    fn a_record_waits_until_there_is_room_for_it() {
        let mut ends = Ends::new();
        ends.write(&[&[7; 100]]).unwrap();
        assert_eq!(ends.reader.next(&ends.pipe, &mut [0; 99]), Ok(Next::Crowded));
        assert_eq!(ends.reader.next(&ends.pipe, &mut [0; 100]), Ok(Next::Bytes(100)));
    }

    #[test]
    fn a_message_that_is_large_does_not_go_through() {
        let mut ends = Ends::new();
        ends.write(&[&[7; LARGE]]).unwrap();
        assert_eq!(ends.bytes().len(), LARGE);
        assert_eq!(ends.write(&[&[7; LARGE], b"x"]), Err(NotWritten::Full));
    }

    #[test]
    fn what_cannot_be_is_found_out() {
        let with = |change: &dyn Fn(&Pipe)| {
            let mut ends = Ends::new();
            ends.write(&[b"some bytes"]).unwrap();
            change(&ends.pipe);
            ends.next()
        };
        for positions in [u64::MAX, WORDS as u64 + 1] {
            assert_eq!(with(&|pipe| pipe.written.0.store(positions, Relaxed)), Err(Broken));
        }
        for word in [0, head(9, 0), head(kind::BYTES, LARGE + 1), head(kind::BYTES, 17), u64::MAX] {
            assert_eq!(with(&|pipe| pipe.words[0].store(word, Relaxed)), Err(Broken), "{word:x}");
        }
        let mut ends = Ends::new();
        for read in [1, u64::MAX] {
            ends.pipe.read.0.store(read, Relaxed);
            assert_eq!(ends.writer.refresh(&ends.pipe), Err(Broken));
        }
    }

    #[test]
    fn a_record_that_would_pass_the_end_is_no_record() {
        let pipe = Box::<Pipe>::default();
        let mut reader = Reader::default();
        // Words that hold nothing, up to the last one.
        (0..WORDS - 1).for_each(|at| pipe.words[at].store(head(kind::BELL, 0), Relaxed));
        pipe.words[WORDS - 1].store(head(kind::BYTES, 8), Relaxed);
        pipe.written.0.store(WORDS as u64 - 1, Relaxed);
        (0..WORDS - 1).for_each(|_| assert_eq!(reader.next(&pipe, &mut []), Ok(Next::Bell)));
        pipe.written.0.store(WORDS as u64 + 1, Relaxed);
        assert_eq!(reader.next(&pipe, &mut [0; 8]), Err(Broken));
    }

    #[test]
    fn two_threads_lose_nothing_and_neither_sleeps_for_ever() {
        let (memory, messages): (_, u64) = (Box::<Pipe>::default(), if cfg!(miri) { 300 } else { 300_000 });
        let pipe = &*memory;
        // A bell, and a signal that there is room: without them the other side does not look.
        let (rings, rung) = std::sync::mpsc::channel();
        let (frees, freed) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut writer = Writer::default();
                for number in 0..messages {
                    let bytes = [number; 30].map(u64::to_ne_bytes);
                    while writer.write(pipe, &[IoSlice::new(bytes.as_flattened())]) == Err(NotWritten::Full) {
                        if writer.wait(pipe) {
                            freed.recv().expect("the reader wakes who waits");
                        }
                    }
                    if writer.must_ring(pipe) {
                        rings.send(()).expect("the reader is there");
                    }
                }
            });
            let (mut reader, mut room) = (Reader::default(), [0; 240]);
            let mut number = 0;
            while number < messages {
                match reader.next(pipe, &mut room).expect("a good writer") {
                    Next::Bytes(count) => {
                        assert_eq!(count, 240);
                        assert!(room.as_chunks().0.iter().all(|&word| u64::from_ne_bytes(word) == number));
                        number += 1;
                    }
                    Next::Empty => {
                        if reader.release(pipe) {
                            frees.send(()).expect("the writer is there");
                        } else if reader.sleep(pipe) {
                            rung.recv().expect("the writer rings who sleeps");
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}
