//! Reads a client's stream from its pipe and its socket. Records in the pipe say whether the next bytes are in the pipe or in the
//! socket.

use std::io::{self, ErrorKind};
use std::mem;

use super::stream::Stream;
use crate::pipe::{Memory, Next, Reader};

/// Bells that may lie in the socket before they are read. Each is one byte, but the system counts much more memory for it: the smallest buffer
/// that a program can set takes six. If a bell found no room while the daemon sleeps, nobody would ring again.
const BELLS: u64 = 4;
/// Records that are read in one call. The limit ends the loop if a hostile client writes empty records for ever.
const RECORDS: usize = 1024;

/// A client's pipe.
#[derive(Debug)]
pub(super) struct Intake {
    memory: Memory,
    reader: Reader,
    /// Bells that lie in the socket.
    bells: u64,
    /// Bytes of the stream that lie in the socket behind the bells. They are read before the next record.
    due: u64,
    /// The pipe has ended; the bells must still be read.
    ended: bool,
    /// Bytes were read since the pipe was last found empty.
    fresh: bool,
}

/// Whether more may come from the client's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketState {
    Open,
    Ended,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// This many bytes; there may be more.
    Bytes(usize),
    /// Nothing until the socket is readable: a bell or bytes.
    Nothing,
    /// Nothing now. The client does not ring: read again, or call [`Intake::sleep`].
    Pause,
    /// Nothing now: clients of this machine have passed so many files that no socket of theirs is read.
    Crowded,
    /// The stream has ended.
    Ended,
}

impl Intake {
    #[cfg_attr(not(unix), expect(dead_code, reason = "nobody passes memory"))]
    pub(super) fn new(memory: Memory) -> Intake {
        Intake { memory, reader: Reader::default(), bells: 0, due: 0, ended: false, fresh: false }
    }

    /// Asks the client to ring from now on; false if it has already written something.
    pub(super) fn sleep(&mut self) -> bool {
        self.reader.sleep(&self.memory)
    }

    /// Whether only the socket is left.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.bells == 0
    }

    /// Fills the buffer, which has room for at least one record.
    pub(super) fn read(&mut self, stream: &mut Stream, state: SocketState, buffer: &mut [u8]) -> Taken {
        let mut filled = 0;
        let mut taken = Taken::Bytes(0);
        for _ in 0..RECORDS {
            match self.next(stream, &mut buffer[filled..]) {
                Ok(count) => filled += count,
                Err(stop) => {
                    taken = stop;
                    break;
                }
            }
        }
        if self.reader.release(&self.memory) {
            self.memory.wake();
        }
        match taken {
            // The next call meets the same stop again and returns it then.
            _ if filled > 0 => {
                self.fresh = true;
                Taken::Bytes(filled)
            }
            Taken::Pause => self.pause(state),
            _ => taken,
        }
    }

    /// The pipe is empty.
    fn pause(&mut self, state: SocketState) -> Taken {
        if state == SocketState::Ended {
            Taken::Ended
        } else if mem::take(&mut self.fresh) {
            // A client that wrote a moment ago will probably write again soon.
            Taken::Pause
        } else if self.sleep() {
            Taken::Nothing
        } else {
            Taken::Bytes(0)
        }
    }

    /// Reads one record, or the bytes due in the socket. The error says why no more can be read.
    fn next(&mut self, stream: &mut Stream, room: &mut [u8]) -> Result<usize, Taken> {
        if self.due > 0 || self.ended {
            return self.read_due(stream, room);
        }
        if self.bells > BELLS {
            // A client rings before it says so. Who has not rung wants to keep this loop busy.
            self.read_due(stream, room).map_err(|stop| if stop == Taken::Nothing { Taken::Ended } else { stop })?;
        }
        match self.reader.next(&self.memory, room) {
            Ok(Next::Bytes(count)) => return Ok(count),
            // Nothing that is announced would keep this loop busy too.
            Ok(Next::Socket(0)) => return Err(Taken::Ended),
            Ok(Next::Socket(count)) => self.due = count,
            Ok(Next::Bell) => self.bells = self.bells.saturating_add(1),
            Ok(Next::End) => self.ended = true,
            Ok(Next::Crowded) => return Err(Taken::Bytes(0)),
            Ok(Next::Empty) => return Err(Taken::Pause),
            Err(_) => return Err(Taken::Ended),
        }
        Ok(0)
    }

    fn read_due(&mut self, stream: &mut Stream, room: &mut [u8]) -> Result<usize, Taken> {
        if self.is_over() || room.is_empty() {
            return Err(Taken::Bytes(0));
        }
        // Before each read, because each may bring as many files as the system passes at once.
        if stream.must_wait() {
            return Err(Taken::Crowded);
        }
        self.read_socket(stream, room).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => Taken::Nothing,
            ErrorKind::Interrupted => Taken::Bytes(0),
            _ => Taken::Ended,
        })
    }

    /// Reads bells, which carry no data, and the due bytes behind them.
    fn read_socket(&mut self, stream: &mut Stream, room: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.bells.saturating_add(self.due)).unwrap_or(usize::MAX).min(room.len());
        let count = match stream.read(&mut room[..wanted])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => count,
        };
        let bells = count.min(usize::try_from(self.bells).unwrap_or(usize::MAX));
        room.copy_within(bells..count, 0);
        self.bells -= bells as u64;
        self.due -= (count - bells) as u64;
        Ok(count - bells)
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // A client that sends notices this at its next message, without a system call.
        self.reader.leave(&self.memory);
        // Wakes a client that waits for room, so that it sees that the session is over.
        if self.reader.release(&self.memory) {
            self.memory.wake();
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{IoSlice, Write};
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::super::passed::Passed;
    use super::*;
    use crate::pipe::{self, LARGE, Writer};
    use crate::rng::Rng;

    /// Both ends of a session with a pipe.
    struct Ends {
        passed: Passed,
        far: UnixStream,
        shared: Memory,
        writer: Writer,
        stream: Stream,
        intake: Intake,
    }

    impl Ends {
        fn new() -> Ends {
            let (near, far) = UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let passed = Passed::for_test();
            let mut stream = Stream::unix(mio::net::UnixStream::from_std(near), &passed).unwrap();
            let shared = pipe::offer(&SockRef::from(&far), b'x', 0).unwrap();
            let Ok((1, mut files)) = stream.receive(&mut [0; 10]) else { panic!("no byte") };
            let memory = pipe::accept(files.remove(0)).expect("a pipe");
            Ends { passed, far, shared, writer: Writer::default(), stream, intake: Intake::new(memory) }
        }

        fn write(&mut self, bytes: &[u8]) {
            self.writer.write(&self.shared, &[IoSlice::new(bytes)]).unwrap();
        }

        fn announce(&mut self, bytes: usize) {
            self.writer.announce(&self.shared, bytes).unwrap();
        }

        fn ring(&mut self) {
            self.far.write_all(&[0]).unwrap();
            self.writer.bell(&self.shared).unwrap();
        }

        fn read_when(&mut self, state: SocketState) -> Result<Vec<u8>, Taken> {
            let mut buffer = [0; 4 * LARGE];
            match self.intake.read(&mut self.stream, state, &mut buffer) {
                Taken::Bytes(count) => Ok(buffer[..count].to_vec()),
                stop => Err(stop),
            }
        }

        fn read(&mut self) -> Result<Vec<u8>, Taken> {
            self.read_when(SocketState::Open)
        }
    }

    /// The loop would close files that find no descriptor, and that may take as long as the client likes.
    #[test]
    fn while_too_many_files_wait_no_byte_of_the_socket_is_read() {
        let mut ends = Ends::new();
        ends.write(b"ab");
        ends.announce(2);
        ends.far.write_all(b"cd").unwrap();
        ends.passed.fill();
        assert_eq!((ends.read(), ends.read()), (Ok(b"ab".to_vec()), Err(Taken::Crowded)));
        ends.passed.empty();
        assert_eq!(ends.read(), Ok(b"cd".to_vec()));
    }

    /// A bell for which there is no room is lost, and nobody rings again.
    #[test]
    fn the_smallest_buffer_of_a_socket_has_room_for_each_bell() {
        let mut ends = Ends::new();
        SockRef::from(&ends.far).set_send_buffer_size(1).unwrap();
        ends.far.set_nonblocking(true).unwrap();
        for _ in 0..100 {
            ends.write(b"m");
            ends.ring();
            assert_eq!(ends.read(), Ok(b"m".to_vec()));
        }
    }

    #[test]
    fn the_stream_is_in_order_wherever_it_comes_from() {
        let mut ends = Ends::new();
        ends.write(b"ab");
        ends.announce(3);
        ends.far.write_all(b"cdefg").unwrap();
        ends.write(b"");
        ends.announce(2);
        ends.write(b"hi");
        assert_eq!((ends.read(), ends.read()), (Ok(b"abcdefghi".to_vec()), Err(Taken::Pause)));
    }

    #[test]
    fn what_is_announced_is_waited_for() {
        let mut ends = Ends::new();
        ends.write(b"ab");
        ends.announce(4);
        ends.write(b"g");
        assert_eq!((ends.read(), ends.read()), (Ok(b"ab".to_vec()), Err(Taken::Nothing)));
        assert!(!ends.writer.must_ring(&ends.shared), "the socket will wake it");
        ends.far.write_all(b"cd").unwrap();
        assert_eq!((ends.read(), ends.read()), (Ok(b"cd".to_vec()), Err(Taken::Nothing)));
        ends.far.write_all(b"ef").unwrap();
        assert_eq!(ends.read(), Ok(b"efg".to_vec()));
    }

    #[test]
    fn who_found_nothing_twice_is_rung() {
        let mut ends = Ends::new();
        ends.write(b"a");
        assert!(!ends.writer.must_ring(&ends.shared));
        assert_eq!((ends.read(), ends.read()), (Ok(b"a".to_vec()), Err(Taken::Pause)));
        assert!(!ends.writer.must_ring(&ends.shared));
        assert_eq!(ends.read(), Err(Taken::Nothing));
        ends.write(b"b");
        assert!(ends.writer.must_ring(&ends.shared));
        assert_eq!((ends.read(), ends.read()), (Ok(b"b".to_vec()), Err(Taken::Pause)));
        assert!(ends.intake.sleep());
        ends.write(b"c");
        assert!(ends.writer.must_ring(&ends.shared) && !ends.intake.sleep());
    }

    #[test]
    fn bells_are_no_part_of_the_stream_and_do_not_fill_the_socket() {
        let mut ends = Ends::new();
        for _ in 0..10 * BELLS {
            ends.write(b"a");
            ends.ring();
            assert_eq!((ends.read(), ends.read()), (Ok(b"a".to_vec()), Err(Taken::Pause)));
            assert!(ends.intake.bells <= BELLS + 1);
        }
        ends.ring();
        ends.announce(2);
        ends.far.write_all(b"bc").unwrap();
        ends.ring();
        assert_eq!((ends.read(), ends.intake.bells), (Ok(b"bc".to_vec()), 1));
    }

    /// Each such record would cost the daemon a system call, and the client nothing.
    #[test]
    fn who_says_that_it_rang_but_did_not_is_ended() {
        let mut ends = Ends::new();
        for _ in 0..=BELLS {
            ends.writer.bell(&ends.shared).unwrap();
        }
        ends.write(b"m");
        assert_eq!(ends.read(), Err(Taken::Ended));
        let mut ends = Ends::new();
        ends.announce(0);
        assert_eq!(ends.read(), Err(Taken::Ended));
    }

    #[test]
    fn after_the_end_of_the_pipe_the_socket_goes_on() {
        let mut ends = Ends::new();
        ends.write(b"a");
        ends.ring();
        ends.writer.end(&ends.shared);
        ends.far.write_all(b"bc").unwrap();
        assert_eq!(ends.read(), Ok(b"a".to_vec()));
        assert!(ends.intake.is_over());
        let mut buffer = [0; 10];
        assert_eq!(ends.stream.read(&mut buffer).unwrap(), 2);
        assert!(buffer.starts_with(b"bc"), "the bell is gone");
    }

    #[test]
    fn all_that_a_client_wrote_comes_before_its_end() {
        let mut ends = Ends::new();
        ends.write(b"ab");
        ends.announce(2);
        ends.far.write_all(b"cd").unwrap();
        ends.far.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(
            (ends.read_when(SocketState::Ended), ends.read_when(SocketState::Ended)),
            (Ok(b"abcd".to_vec()), Err(Taken::Ended))
        );
        ends.announce(2);
        assert_eq!(ends.read_when(SocketState::Ended), Err(Taken::Ended), "half a frame is none");
    }

    /// Hostile clients, of which each changes the memory at any place and writes to its socket what it likes.
    #[test]
    fn whatever_a_client_writes_it_is_read_or_ended() {
        let mut rng = Rng::new(11);
        let (mut ended, mut came) = (0, 0);
        for _ in 0..300 {
            let mut ends = Ends::new();
            ends.far.set_nonblocking(true).unwrap();
            for _ in 0..60 {
                let word = [
                    rng.below(200),
                    1 << 56 | rng.below(3 * LARGE as u64),
                    rng.below(7) << 56 | rng.below(50),
                    rng.next_u64(),
                ];
                match rng.below(8) {
                    0 => ends.shared.disturb(rng.below(5) as usize, word[rng.below(4) as usize]),
                    1 | 2 => ends.shared.disturb(5 + rng.below(40) as usize, word[rng.below(4) as usize]),
                    3 => _ = ends.far.write(&vec![0; rng.below(300) as usize]),
                    4 => _ = ends.writer.announce(&ends.shared, rng.below(400) as usize),
                    5 => _ = ends.writer.bell(&ends.shared),
                    _ => _ = ends.writer.write(&ends.shared, &[IoSlice::new(&vec![7; rng.below(100) as usize])]),
                }
                match ends.read() {
                    Ok(bytes) => came += bytes.len(),
                    Err(Taken::Ended) => {
                        ended += 1;
                        break;
                    }
                    Err(_) => {}
                }
            }
        }
        assert!(ended > 50 && came > 10_000, "{ended} ended, {came} bytes came");
    }

    /// A client that sends learns without a system call that nobody reads any more.
    #[test]
    fn the_memory_says_when_the_session_is_over() {
        let Ends { shared, writer, intake, .. } = Ends::new();
        assert!(!writer.is_left(&shared));
        drop(intake);
        assert!(writer.is_left(&shared));
    }

    #[test]
    fn a_hostile_client_ends_its_session_and_holds_nobody_up() {
        let mut ends = Ends::new();
        (0..2 * RECORDS).for_each(|_| ends.write(b""));
        assert_eq!(ends.read(), Ok(Vec::new()), "others come first");
        ends.write(b"ab");
        // Another writer at the same place: the reader cannot read its records.
        Writer::default().write(&ends.shared, &[IoSlice::new(b"c")]).unwrap();
        let ended = std::iter::from_fn(|| Some(ends.read())).take(10).find(|read| *read == Err(Taken::Ended));
        assert_eq!(ended, Some(Err(Taken::Ended)));
    }

    #[test]
    fn who_waits_for_room_is_woken_by_the_end_of_the_session() {
        let Ends { shared, mut writer, intake, .. } = Ends::new();
        while writer.write(&shared, &[IoSlice::new(&[7; 5000])]) == Ok(()) {}
        assert!(writer.wait(&shared));
        std::thread::scope(|scope| {
            scope.spawn(|| shared.wait(std::time::Duration::from_secs(1000)));
            drop(intake);
        });
    }
}
