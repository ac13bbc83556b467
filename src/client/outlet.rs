//! Sending: over the socket, or through memory that is shared with the daemon.
//!
//! A session begins with the socket. A session that sends much to a daemon of this machine offers it a pipe. Once the daemon reads
//! the pipe, a message costs no system call. Then only large messages go over the socket, in their turn.
//!
//! A pipe has one writer, so it ends before its process forks. Parent and child continue with the socket, which they may
//! share.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::registry;
use super::transport::Stream;
use crate::pipe::{LARGE, Memory, NotWritten, Writer};
use crate::system;

/// The environment variable that says whether a program shares memory with its daemon: `never`, or `always`, from the first
/// message on. Otherwise a session that sends much does so.
const VARIABLE: &str = "SPREAD_SHARED_MEMORY";
/// Frames after which a session is worth a pipe.
const MANY: u32 = 32;
/// The interval at which a sender checks whether its daemon still lives. A daemon that ends a session says so in the memory. Only one that was
/// killed cannot.
const END_CHECK_INTERVAL: Duration = Duration::from_millis(1);
/// The longest wait for room before the socket is checked.
const WAIT_LIMIT: Duration = Duration::from_millis(50);

/// The sending side of a mailbox.
#[derive(Debug)]
pub struct Outlet {
    way: Mutex<Way>,
    /// The process has forked, or is about to.
    forked: AtomicBool,
    /// How often the process had forked before.
    forks: u64,
}

/// The way that frames take.
#[derive(Debug)]
enum Way {
    /// The socket; after this many frames a pipe is offered.
    New(u32),
    /// The socket, to the end.
    Socket,
    /// A pipe was offered.
    Pipe(Box<PipeEnd>),
    /// There is a pipe, but only the parent of this process knows how full it is.
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing forks"))]
    Unknown,
}

#[derive(Debug)]
struct PipeEnd {
    memory: Memory,
    writer: Writer,
    /// The daemon reads it.
    is_taken: bool,
    /// When the socket was last seen to be open.
    looked: Instant,
}

impl Outlet {
    /// Begins with the socket.
    pub fn new() -> Outlet {
        let way = match system::environment(VARIABLE).as_deref() {
            Some("never") => Way::Socket,
            Some("always") => Way::New(0),
            _ => Way::New(MANY),
        };
        Outlet { way: Mutex::new(way), forked: AtomicBool::new(false), forks: registry::forks() }
    }

    /// Sends a frame. Waits while the daemon has no room for it.
    pub fn send(self: &Arc<Outlet>, stream: &Stream, mut frame: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut way = self.way.lock();
        if let Way::New(left) = &mut *way {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.offer(&mut way, stream, &mut frame),
            }
        }
        let sent = way.send(stream, frame);
        if self.forked.load(Ordering::SeqCst) {
            way.end();
        }
        drop(way);
        // If the process forked meanwhile, the fork found the lock taken and could not end the pipe.
        if self.forked.load(Ordering::SeqCst)
            && let Some(mut way) = self.way.try_lock()
        {
            way.end();
        }
        sent
    }

    /// Sends a frame if no other thread is sending and the call need not wait.
    pub fn send_at_once(&self, stream: &Stream, frame: &[u8]) {
        let Some(mut way) = self.way.try_lock() else { return };
        match &mut *way {
            Way::New(_) | Way::Socket => _ = stream.write_at_once(frame),
            Way::Pipe(pipe) if pipe.is_taken => _ = pipe.writer.write(&pipe.memory, &[IoSlice::new(frame)]),
            Way::Pipe(pipe) => {
                // Whether or not the daemon takes the pipe, it reads this from the socket.
                if pipe.writer.announce(&pipe.memory, frame.len()).is_ok() {
                    _ = stream.write_at_once(frame);
                }
            }
            Way::Unknown => {}
        }
    }

    /// The sending side in a forked child, in which the locks of other threads do not exist.
    #[cfg(unix)]
    pub fn adopted(&self) -> Outlet {
        let way = match self.way.try_lock().as_deref() {
            Some(Way::New(_) | Way::Socket) => Way::Socket,
            _ => Way::Unknown,
        };
        Outlet { way: Mutex::new(way), forked: AtomicBool::new(true), forks: self.forks }
    }

    /// The process is about to fork: the pipe ends, now or when the thread that is sending has done so.
    #[cfg(unix)]
    pub fn fork(&self) {
        self.forked.store(true, Ordering::SeqCst);
        if let Some(mut way) = self.way.try_lock() {
            way.end();
        }
    }

    /// Offers a pipe if the daemon is on this machine. The offer carries the first byte of the frame, which is removed
    /// from the frame.
    fn offer(self: &Arc<Outlet>, way: &mut Way, stream: &Stream, frame: &mut &mut [IoSlice<'_>]) {
        *way = Way::Socket;
        IoSlice::advance_slices(frame, 0);
        let Some(&byte) = frame.first().and_then(|slice| slice.first()) else { return };
        if !registry::enter_outlet(self, self.forks) {
            return;
        }
        match stream.offer(byte) {
            Ok(memory) => {
                IoSlice::advance_slices(frame, 1);
                let (writer, looked) = (Writer::default(), Instant::now());
                *way = Way::Pipe(Box::new(PipeEnd { memory, writer, is_taken: false, looked }));
            }
            Err(error) => tracing::debug!(%error, "no memory is shared with the daemon"),
        }
    }
}

impl Way {
    fn send(&mut self, stream: &Stream, frame: &mut [IoSlice<'_>]) -> io::Result<()> {
        match self {
            Way::New(_) | Way::Socket => {}
            Way::Unknown => return Err(ErrorKind::BrokenPipe.into()),
            Way::Pipe(pipe) => {
                if pipe.send(stream, frame)? {
                    return Ok(());
                }
                self.end();
            }
        }
        stream.write_all(frame)
    }

    /// The pipe ends; the socket goes on.
    fn end(&mut self) {
        if let Way::Pipe(pipe) = self {
            // The daemon learns this from the next bytes on the socket.
            pipe.writer.end(&pipe.memory);
        }
        if !matches!(self, Way::Unknown) {
            *self = Way::Socket;
        }
    }
}

impl PipeEnd {
    /// Sends a frame. False if the daemon does not take the pipe; then the pipe is full of notes.
    fn send(&mut self, stream: &Stream, frame: &mut [IoSlice<'_>]) -> io::Result<bool> {
        let length = frame.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if self.writer.is_left(&self.memory) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.is_taken = self.is_taken || self.writer.is_read(&self.memory);
        if !self.is_taken || length > LARGE {
            while !is_written(self.writer.announce(&self.memory, length))? {
                if !self.is_taken {
                    return Ok(false);
                }
                self.wait(stream)?;
            }
            return stream.write_all(frame).map(|()| true);
        }
        while !is_written(self.writer.write(&self.memory, frame))? {
            self.wait(stream)?;
        }
        if self.writer.must_ring(&self.memory) {
            self.looked = Instant::now();
            // If the socket is full, the daemon has something to read in any case.
            if stream.ring()? && !is_written(self.writer.bell(&self.memory))? {
                return Err(broken());
            }
        } else if self.looked.elapsed() >= END_CHECK_INTERVAL {
            self.check_alive(stream)?;
        }
        Ok(true)
    }

    fn wait(&mut self, stream: &Stream) -> io::Result<()> {
        self.check_alive(stream)?;
        if self.writer.wait(&self.memory) {
            self.memory.wait(WAIT_LIMIT);
        }
        Ok(())
    }

    /// Fails if the session has ended. Nothing else shows a sender that nobody reads any more.
    fn check_alive(&mut self, stream: &Stream) -> io::Result<()> {
        self.looked = Instant::now();
        if stream.has_ended() { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

fn is_written(written: Result<(), NotWritten>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(NotWritten::Full) => Ok(false),
        Err(NotWritten::Broken) => Err(broken()),
    }
}

fn broken() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, crate::pipe::Broken)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use socket2::SockRef;

    use super::*;
    use crate::pipe::{self, Next, Reader};

    /// A client and what its daemon sees.
    struct Ends {
        outlet: Arc<Outlet>,
        stream: Stream,
        far: UnixStream,
        taken: Option<(Memory, Reader)>,
    }

    impl Ends {
        /// So many frames go over the socket at first.
        fn new(frames: u32) -> Ends {
            let (near, far) = UnixStream::pair().unwrap();
            far.set_nonblocking(true).unwrap();
            let way = Mutex::new(Way::New(frames));
            let outlet = Outlet { way, forked: AtomicBool::new(false), forks: registry::forks() };
            Ends { outlet: Arc::new(outlet), stream: Stream::over(near), far, taken: None }
        }

        fn send(&self, frame: &[u8]) -> io::Result<()> {
            let (front, back) = frame.split_at(frame.len() / 2);
            self.outlet.send(&self.stream, &mut [IoSlice::new(&[]), IoSlice::new(front), IoSlice::new(back)])
        }

        /// What the socket has, and the pipe if it comes.
        fn socket(&mut self) -> Vec<u8> {
            let mut buffer = [0; 100_000];
            match pipe::receive(&SockRef::from(&self.far), &mut buffer) {
                Ok(received) => {
                    let memory = received.files.into_iter().next().map(|file| pipe::accept(file).expect("a pipe"));
                    self.taken = memory.map(|memory| (memory, Reader::default())).or(self.taken.take());
                    buffer[..received.count].to_vec()
                }
                Err(_) => Vec::new(),
            }
        }

        /// What the pipe has next.
        fn pipe(&mut self) -> (Next, Vec<u8>) {
            let (memory, reader) = self.taken.as_mut().expect("a pipe came");
            let mut buffer = [0; LARGE];
            let next = reader.next(memory, &mut buffer).expect("a good client");
            reader.release(memory);
            let count = if let Next::Bytes(count) = next { count } else { 0 };
            (next, buffer[..count].to_vec())
        }

        /// A session whose daemon has taken the pipe and sleeps.
        fn piped() -> Ends {
            let mut ends = Ends::new(0);
            ends.send(b"first").unwrap();
            assert_eq!((ends.socket(), ends.pipe().0), (b"f".to_vec(), Next::Socket(4)));
            assert_eq!((ends.socket(), ends.pipe().0), (b"irst".to_vec(), Next::Empty));
            ends
        }

        fn sleep(&mut self) {
            let (memory, reader) = self.taken.as_mut().expect("a pipe came");
            assert!(reader.sleep(memory));
        }
    }

    #[test]
    fn a_session_that_sends_little_goes_over_the_socket() {
        let mut ends = Ends::new(2);
        ends.send(b"one").unwrap();
        ends.send(b"two").unwrap();
        assert_eq!((ends.socket(), ends.taken.is_none()), (b"onetwo".to_vec(), true));
        ends.send(b"three").unwrap();
        assert_eq!((ends.socket(), ends.taken.is_some()), (b"t".to_vec(), true));
    }

    #[test]
    fn a_message_goes_through_the_pipe_and_rings_only_who_sleeps() {
        let mut ends = Ends::piped();
        ends.send(b"second").unwrap();
        assert_eq!((ends.socket(), ends.pipe().1), (vec![], b"second".to_vec()));
        ends.sleep();
        ends.send(b"third").unwrap();
        ends.send(b"fourth").unwrap();
        assert_eq!((ends.socket(), ends.pipe().1), (vec![0], b"third".to_vec()));
        assert_eq!((ends.pipe().0, ends.pipe().1), (Next::Bell, b"fourth".to_vec()));
    }

    #[test]
    fn what_is_large_goes_over_the_socket_in_its_turn() {
        let mut ends = Ends::piped();
        ends.send(b"small").unwrap();
        ends.send(&[7; LARGE + 1]).unwrap();
        ends.send(b"again").unwrap();
        assert_eq!((ends.pipe().1, ends.pipe().0), (b"small".to_vec(), Next::Socket(LARGE as u64 + 1)));
        assert_eq!((ends.socket().len(), ends.pipe().1), (LARGE + 1, b"again".to_vec()));
    }

    #[test]
    fn a_daemon_that_takes_no_pipe_gets_everything_over_the_socket() {
        let mut ends = Ends::new(0);
        for number in 0..20_000_u32 {
            ends.send(&number.to_ne_bytes()).unwrap();
            let mut bytes = [0; 4];
            let first = if number == 0 { ends.far.read(&mut bytes).unwrap() } else { 0 };
            ends.far.read_exact(&mut bytes[first..]).unwrap();
            assert_eq!(u32::from_ne_bytes(bytes), number);
        }
        assert!(matches!(*ends.outlet.way.lock(), Way::Socket));
    }

    #[test]
    fn a_daemon_that_takes_the_pipe_too_late_finds_where_it_ends() {
        let mut ends = Ends::new(0);
        ends.send(b"first").unwrap();
        ends.socket();
        while matches!(*ends.outlet.way.lock(), Way::Pipe(_)) {
            ends.send(b"x").unwrap();
            ends.socket();
        }
        let last = std::iter::from_fn(|| Some(ends.pipe().0)).take_while(|next| *next != Next::Empty).last();
        assert_eq!(last, Some(Next::End));
    }

    #[test]
    fn a_full_pipe_stops_the_sender_until_it_is_read() {
        let mut ends = Ends::piped();
        let (outlet, stream) = (Arc::clone(&ends.outlet), &ends.stream);
        let frames = 100;
        let (memory, mut reader) = ends.taken.take().expect("a pipe came");
        std::thread::scope(|scope| {
            scope.spawn(|| (0..frames).for_each(|_| outlet.send(stream, &mut [IoSlice::new(&[7; 10_000])]).unwrap()));
            let (mut read, mut buffer) = (0, [0; LARGE]);
            while read < frames {
                match reader.next(&memory, &mut buffer).expect("a good client") {
                    Next::Bytes(10_000) => read += 1,
                    Next::Empty => std::thread::yield_now(),
                    other => panic!("{other:?}"),
                }
                if reader.release(&memory) {
                    memory.wake();
                }
            }
        });
    }

    #[test]
    fn who_waits_for_room_notices_the_end_of_the_session() {
        let ends = Ends::piped();
        let Ends { outlet, stream, mut far, taken } = ends;
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                loop {
                    if let Err(error) = outlet.send(&stream, &mut [IoSlice::new(&[7; 10_000])]) {
                        return error.kind();
                    }
                }
            });
            far.write_all(b"the descriptor stays readable, which says nothing").unwrap();
            drop(far);
            assert_eq!(sender.join().unwrap(), ErrorKind::BrokenPipe);
        });
        drop(taken);
    }

    #[test]
    fn a_daemon_that_has_left_is_noticed_at_the_next_message() {
        let mut ends = Ends::piped();
        let (memory, reader) = ends.taken.take().expect("a pipe came");
        ends.send(b"in time").unwrap();
        reader.leave(&memory);
        assert_eq!(ends.send(b"too late").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_fork_ends_the_pipe_and_both_go_on_with_the_socket() {
        let mut ends = Ends::piped();
        ends.send(b"before").unwrap();
        ends.outlet.fork();
        let child = Arc::new(ends.outlet.adopted());
        ends.send(b"parent").unwrap();
        child.send(&ends.stream, &mut [IoSlice::new(b"child")]).unwrap();
        assert_eq!((ends.pipe().1, ends.pipe().0), (b"before".to_vec(), Next::End));
        assert_eq!(ends.socket(), b"parentchild");
    }

    #[test]
    fn a_fork_while_somebody_sends_leaves_the_child_out() {
        let mut ends = Ends::piped();
        let way = ends.outlet.way.lock();
        ends.outlet.fork();
        let child = Arc::new(ends.outlet.adopted());
        drop(way);
        let error = child.send(&ends.stream, &mut [IoSlice::new(b"child")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        ends.send(b"parent").unwrap();
        assert_eq!((ends.pipe().1, ends.pipe().0), (b"parent".to_vec(), Next::End));
        ends.send(b"socket").unwrap();
        assert_eq!(ends.socket(), b"socket");
    }

    #[test]
    fn an_outlet_from_before_a_fork_offers_no_pipe() {
        let mut ends = Ends::new(0);
        let outlet = Outlet { way: Mutex::new(Way::New(0)), forked: AtomicBool::new(false), forks: u64::MAX };
        ends.outlet = Arc::new(outlet);
        ends.send(b"whole").unwrap();
        assert_eq!((ends.socket(), ends.taken.is_none()), (b"whole".to_vec(), true));
    }
}
