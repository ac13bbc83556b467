//! Looking ahead: one system call reads many small messages, and the descriptor is still readable only while a message
//! waits.
//!
//! A look copies the bytes that wait in the socket and leaves them there (`MSG_PEEK`). Messages are handed out from the copy.
//! When the whole copy is handed out, its bytes are taken out of the socket before the call returns. So the socket is readable
//! exactly while it has bytes that were not handed out. This holds for a duplicate of the descriptor too.
//!
//! After a fork two processes may receive. So the copy is given up before a fork, and neither process looks ahead any more: each message comes to
//! one of them.
//!
//! Large messages are read directly into the caller's memory, because copying them twice costs more than a system call.

use std::io::{self, ErrorKind, IoSliceMut};
use std::sync::atomic::Ordering;

use super::transport::Stream;
use crate::wire::FrameHeader;

/// Bytes of the first look at a socket. Each look that fills the buffer doubles it, up to [`PEEK_SIZE_MAX`]. So a client that
/// receives little needs little memory.
const PEEK_SIZE_MIN: usize = 2 << 10;
/// Most bytes of a look: the size of a few hundred small messages.
const PEEK_SIZE_MAX: usize = 64 << 10;
/// Messages of this many bytes or more are read without a look.
const LARGE: usize = 4 << 10;

/// The receiver's state of a mailbox's stream.
#[derive(Debug, Default)]
pub struct Receiving {
    /// The header of a message that was offered but did not fit its receiver's buffers.
    pub offered: Option<FrameHeader>,
    pub ahead: Ahead,
}

/// The copy of the last look. The socket still has the bytes that were handed out from it, in front of those that were not.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: Vec<u8>,
    /// The bytes that are not handed out yet.
    begin: usize,
    end: usize,
    /// The message before was large, and so may be the next one.
    after_large: bool,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Whether a look is worth it for this many bytes.
    fn is_worth(&self, wanted: usize) -> bool {
        // A look saves calls for small messages. For a large one it would only be a second copy.
        cfg!(unix) && !self.after_large && wanted < LARGE
    }

    /// Hands out bytes, and returns how many.
    fn hand_out(&mut self, slices: &mut [IoSliceMut<'_>]) -> usize {
        let before = self.begin;
        for slice in slices {
            let count = slice.len().min(self.end - self.begin);
            slice[..count].copy_from_slice(&self.bytes[self.begin..self.begin + count]);
            self.begin += count;
        }
        self.begin - before
    }

    /// Records the size of the message whose header was read last.
    pub fn record_size(&mut self, bytes: usize) {
        self.after_large = bytes >= LARGE;
    }
}

impl Stream {
    /// Fills all the slices, from what was looked at and then from the socket.
    pub fn receive_all(&self, ahead: &mut Ahead, mut slices: &mut [IoSliceMut<'_>]) -> io::Result<()> {
        IoSliceMut::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            if ahead.is_empty() {
                let wanted = slices.iter().map(|slice| slice.len()).sum();
                self.take_owed(ahead)?;
                if self.shared.load(Ordering::SeqCst) || !ahead.is_worth(wanted) {
                    return self.read_all(slices);
                }
                self.peek_more(ahead)?;
            }
            let count = ahead.hand_out(slices);
            // `bytes_waiting` subtracts these, because the socket still has them.
            self.owed.fetch_add(count, Ordering::Relaxed);
            IoSliceMut::advance_slices(&mut slices, count);
        }
        if self.shared.load(Ordering::SeqCst) {
            return self.give_up(ahead);
        }
        if ahead.is_empty() { self.take_owed(ahead) } else { Ok(()) }
    }

    /// Ends looking ahead. What was not handed out is still in the socket.
    pub fn give_up(&self, ahead: &mut Ahead) -> io::Result<()> {
        ahead.begin = ahead.end;
        self.take_owed(ahead)
    }

    /// Takes and drops `count` bytes.
    pub fn skip(&self, ahead: &mut Ahead, mut count: usize) -> io::Result<()> {
        let mut bin = [0; LARGE];
        while count > 0 {
            let some = count.min(bin.len());
            self.receive_all(ahead, &mut [IoSliceMut::new(&mut bin[..some])])?;
            count -= some;
        }
        Ok(())
    }

    /// Waits until something is there and looks at it.
    fn peek_more(&self, ahead: &mut Ahead) -> io::Result<()> {
        if ahead.end == ahead.bytes.len() {
            let longer = (2 * ahead.bytes.len()).clamp(PEEK_SIZE_MIN, PEEK_SIZE_MAX);
            ahead.bytes.resize(longer, 0);
        }
        (ahead.begin, ahead.end) = (0, 0);
        ahead.end = match self.peek(&mut ahead.bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => count,
        };
        Ok(())
    }

    /// Takes the bytes that were handed out from the socket. They are there, so this does not wait.
    fn take_owed(&self, ahead: &mut Ahead) -> io::Result<()> {
        debug_assert!(ahead.is_empty());
        while let owed @ 1.. = self.owed.load(Ordering::Relaxed) {
            // The bytes that were handed out are not needed in the copy any more.
            ahead.bytes.resize(ahead.bytes.len().max(PEEK_SIZE_MIN), 0);
            let some = owed.min(ahead.bytes.len());
            let mut bin = [IoSliceMut::new(&mut ahead.bytes[..some])];
            let count = self.read_some(&mut bin)?;
            self.owed.fetch_sub(count, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::super::events::{FileEvent, WatchedFile};
    use super::super::wait_for;
    use super::*;

    fn pair() -> (Stream, UnixStream) {
        let (near, far) = UnixStream::pair().expect("sockets");
        (Stream::over(near), far)
    }

    fn is_readable(stream: &Stream) -> bool {
        let watch = WatchedFile { descriptor: stream.descriptor(), event: FileEvent::Readable };
        wait_for(&[watch], Some(std::time::Duration::ZERO)) == [true]
    }

    fn receive(stream: &Stream, ahead: &mut Ahead, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let (front, back) = bytes.split_at_mut(count / 3);
        stream.receive_all(ahead, &mut [IoSliceMut::new(front), IoSliceMut::new(back)]).expect("it is there");
        bytes
    }

    #[test]
    fn the_socket_is_readable_until_the_last_message_is_handed_out() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(b"one.two.three").unwrap();
        for (text, left) in [("one.", 9), ("two.", 5), ("three", 0)] {
            assert_eq!(receive(&stream, &mut ahead, text.len()), text.as_bytes());
            assert_eq!((is_readable(&stream), stream.bytes_waiting()), (left > 0, left));
        }
        far.write_all(b"more").unwrap();
        assert_eq!(stream.bytes_waiting(), 4);
        drop(far);
        assert_eq!(receive(&stream, &mut ahead, 4), b"more");
        let end = stream.receive_all(&mut ahead, &mut [IoSliceMut::new(&mut [0])]).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_arrives_after_a_look_stays_in_order() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(b"abc").unwrap();
        assert_eq!(receive(&stream, &mut ahead, 1), b"a");
        far.write_all(b"defgh").unwrap();
        assert_eq!(receive(&stream, &mut ahead, 4), b"bcde");
        assert_eq!((stream.bytes_waiting(), is_readable(&stream)), (3, true));
        stream.skip(&mut ahead, 2).unwrap();
        assert_eq!(receive(&stream, &mut ahead, 1), b"h");
        assert_eq!((stream.bytes_waiting(), is_readable(&stream)), (0, false));
    }

    #[test]
    fn whatever_the_sizes_every_byte_comes_once_and_the_count_is_true() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.set_nonblocking(true).unwrap();
        let (mut written, mut read, mut number) = (0usize, 0usize, 1u64);
        let mut next = |limit: usize| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33) as usize % limit
        };
        for _ in 0..5000 {
            let size = [50, 300, 3000, 20_000][next(4)];
            let more: Vec<_> = (written..written + next(size)).map(|at| (at % 251) as u8).collect();
            // A socket that is full takes nothing until the next look has been handed out.
            written += far.write(&more).unwrap_or(0);
            let count = next(size).min(written - read);
            ahead.record_size(count);
            let bytes = receive(&stream, &mut ahead, count);
            assert!(bytes.into_iter().zip(read..).all(|(byte, at)| byte == (at % 251) as u8));
            read += count;
            assert_eq!((stream.bytes_waiting(), is_readable(&stream)), (written - read, written > read));
        }
        assert!(read > 1_000_000);
    }

    #[test]
    fn a_second_owner_goes_on_where_the_first_one_handed_out() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(b"handed out, and not").unwrap();
        assert_eq!(receive(&stream, &mut ahead, 12), b"handed out, ");
        let adopted = stream.adopted();
        std::mem::forget(stream);
        assert_eq!(adopted.bytes_waiting(), 7);
        assert_eq!(receive(&adopted, &mut Ahead::default(), 7), b"and not");
        assert_eq!((adopted.bytes_waiting(), is_readable(&adopted)), (0, false));
    }

    #[test]
    fn after_a_fork_each_message_comes_to_one_process() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(b"one.two.three.four.five.six.").unwrap();
        assert_eq!(receive(&stream, &mut ahead, 4), b"one.");
        stream.shared.store(true, Ordering::SeqCst);
        stream.give_up(&mut ahead).unwrap();
        let (child, mut child_ahead) = (stream.adopted(), Ahead::default());
        assert_eq!((stream.bytes_waiting(), child.bytes_waiting()), (24, 24));
        assert_eq!(receive(&child, &mut child_ahead, 4), b"two.");
        assert_eq!(receive(&stream, &mut ahead, 6), b"three.");
        assert_eq!(receive(&stream, &mut ahead, 5), b"four.");
        assert_eq!(receive(&child, &mut child_ahead, 5), b"five.");
        assert_eq!((stream.bytes_waiting(), is_readable(&child)), (4, true));
        std::mem::forget(child);
    }

    #[test]
    fn who_was_receiving_during_a_fork_gives_the_copy_up_afterwards() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(b"one.two.three.").unwrap();
        assert_eq!(receive(&stream, &mut ahead, 4), b"one.");
        stream.shared.store(true, Ordering::SeqCst);
        assert_eq!(receive(&stream, &mut ahead, 4), b"two.");
        assert_eq!((ahead.is_empty(), stream.owed.load(Ordering::Relaxed)), (true, 0));
        assert_eq!(receive(&stream, &mut ahead, 6), b"three.");
    }

    #[test]
    fn little_memory_serves_who_gets_little_and_more_who_gets_more() {
        let (stream, mut far) = pair();
        let mut ahead = Ahead::default();
        far.write_all(&[7; 100]).unwrap();
        receive(&stream, &mut ahead, 100);
        assert_eq!(ahead.bytes.len(), PEEK_SIZE_MIN);
        for _ in 0..10 {
            far.write_all(&[7; 100_000]).unwrap();
            (0..1000).for_each(|_| drop(receive(&stream, &mut ahead, 100)));
        }
        assert_eq!(ahead.bytes.len(), PEEK_SIZE_MAX);
    }
}
