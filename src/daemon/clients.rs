//! The clients' streams: which may be readable, which have output, which are blocked.
//!
//! The poll reports a change once. So streams that may still be readable stay in a queue and are served in turn, one bounded read
//! each: no client holds up another. A client with a pipe pauses when the pipe is empty; then the daemon sleeps until the client rings.
//! A client from which the node takes no bytes now is parked: it leaves the queue until the node takes them again. The poll watches
//! for writability only while a stream is blocked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice};

use mio::event::Event;
use mio::{Interest, Registry, Token};
use tracing::debug;

use super::intake::{Intake, SocketState, Taken};
use super::origin::Origin;
use super::stream::Stream;
use super::vanished::MachineWatch;
use crate::groups::SessionId;
use crate::node::Node;
#[cfg(unix)]
use crate::pipe::Memory;
use crate::time::{Duration, Instant};
use crate::wire::{Payload, Slice};

/// Bytes of one read.
const READ_SIZE: usize = 64 << 10;
/// Slices of one write.
const WRITE_SLICES: usize = 256;
/// Writes to one client in a row.
const WRITES_IN_A_ROW: usize = 16;
/// Clients that may share memory with the daemon.
const PIPES: usize = 1024;
/// How long a client waits for the pipe that it offers. After that its session goes on over the socket.
const OFFER_TIMEOUT: Duration = Duration::from_millis(200);
/// The pause before a client of this machine is read again if clients have passed too much.
const CROWDED_PAUSE: Duration = Duration::from_millis(20);
/// Reads that are thrown away when a connection is closed. With unread bytes the system would reset the connection, and the client
/// would lose the last frames.
const LAST_READS: usize = 4;

/// All clients' streams.
#[derive(Debug)]
pub(super) struct Clients {
    registry: Registry,
    first_token: usize,
    next: u64,
    clients: BTreeMap<SessionId, Client>,
    readable: VecDeque<SessionId>,
    /// Clients whose pipe was empty and that do not ring yet.
    pausing: Vec<SessionId>,
    writable: VecDeque<SessionId>,
    /// The clients that pause, by the ends of their pauses.
    pauses: BTreeSet<(Instant, SessionId)>,
    buffer: Vec<u8>,
    /// Clients that have a pipe.
    pipes: usize,
    watch: MachineWatch,
}

#[derive(Debug)]
struct Client {
    stream: Stream,
    /// The other end of the connection, as the system described it when the client connected.
    origin: Origin,
    /// Its machine is watched.
    may_vanish: bool,
    /// It is in the queue of streams that may be readable.
    readable: bool,
    /// The node takes none of its bytes now; it is not in that queue.
    parked: bool,
    /// It is in the queue of streams with output.
    writable: bool,
    /// Its socket is full; the poll will report when it has room.
    blocked: bool,
    /// Its socket has ended, or ends when all bytes in it are read.
    closed: bool,
    /// It is not in that queue before this time.
    pause: Option<Instant>,
    offer: Offer,
    /// The pipe that it shares with the daemon.
    intake: Option<Box<Intake>>,
}

/// Whether a client has offered a pipe. It may do so once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    None,
    /// It is being examined, and the client waits.
    Examined,
    Answered,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// These bytes, and perhaps more.
    Bytes(&'a [u8]),
    /// Nothing for now.
    Nothing,
    /// The stream has ended.
    Ended,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything is written.
    All,
    /// There is more, for the next round.
    Some,
    /// The socket is full.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Clients {
    /// No clients yet; their poll tokens will begin with `first_token`. After `timeout` without an acknowledgement a client's machine
    /// counts as gone.
    pub(super) fn new(registry: Registry, first_token: usize, timeout: Duration) -> Clients {
        Clients {
            registry,
            first_token,
            next: 0,
            clients: BTreeMap::new(),
            readable: VecDeque::new(),
            pausing: Vec::new(),
            writable: VecDeque::new(),
            pauses: BTreeSet::new(),
            buffer: vec![0; READ_SIZE],
            pipes: 0,
            watch: MachineWatch::new(timeout),
        }
    }

    /// Adds a new stream under a new id. Ids are never used again.
    pub(super) fn admit(&mut self, mut stream: Stream) -> io::Result<SessionId> {
        let id = SessionId(self.next);
        // A stream that cannot be polled uses up no id.
        stream.register(&self.registry, self.token(id), Interest::READABLE)?;
        self.next += 1;
        let (origin, may_vanish) = (stream.origin(), stream.may_vanish());
        let client = Client {
            stream,
            origin,
            may_vanish,
            readable: false,
            parked: false,
            writable: false,
            blocked: false,
            closed: false,
            pause: None,
            offer: Offer::None,
            intake: None,
        };
        self.clients.insert(id, client);
        Ok(id)
    }

    /// The poll reported something about a stream.
    pub(super) fn handle_event(&mut self, event: &Event) {
        let Some(number) = event.token().0.checked_sub(self.first_token) else { return };
        let id = SessionId(number as u64);
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.closed |= event.is_read_closed() || event.is_error();
        // A client whose other end is gone gets one more turn, in which the node learns it.
        client.parked &= !client.closed;
        if event.is_readable() || client.closed {
            client.queue(id, &mut self.readable);
        }
        if event.is_writable() && client.blocked {
            client.blocked = false;
            // Most sockets always have room, so watching for it would wake the loop for nothing.
            self.listen(id, Interest::READABLE);
            self.want_output(id);
        }
    }

    /// The other end of this client's stream.
    pub(super) fn origin(&self, id: SessionId) -> Origin {
        self.clients.get(&id).map_or(Origin::Unknown, |client| client.origin)
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many streams may be readable.
    pub(super) fn readable(&self) -> usize {
        self.readable.len()
    }

    /// The next stream that may be readable. If it still may be after [`Clients::read`], that puts it at the end of the queue.
    pub(super) fn next_readable(&mut self) -> Option<SessionId> {
        let id = self.readable.pop_front()?;
        if let Some(client) = self.clients.get_mut(&id) {
            client.readable = false;
        }
        Some(id)
    }

    /// Reads once.
    pub(super) fn read(&mut self, now: Instant, id: SessionId) -> Read<'_> {
        let Some(client) = self.clients.get_mut(&id) else { return Read::Nothing };
        if client.stream.must_wait() {
            // Not parked: nothing would tell that there is room again.
            client.begin_pause(now + CROWDED_PAUSE, id, &mut self.pauses);
            return Read::Nothing;
        }
        let taken = match &mut client.intake {
            Some(intake) => {
                let state = if client.closed { SocketState::Ended } else { SocketState::Open };
                intake.read(&mut client.stream, state, &mut self.buffer)
            }
            None => client.read(id, &mut self.buffer, self.pipes < PIPES),
        };
        // Only the socket is left, so another client may share memory with the daemon.
        if client.intake.take_if(|intake| intake.is_over()).is_some() {
            self.pipes -= 1;
        }
        match taken {
            Taken::Bytes(count) => {
                if client.offer == Offer::Examined {
                    // What follows may be in the pipe or in the socket, and only the answer says where.
                    client.begin_pause(now + OFFER_TIMEOUT, id, &mut self.pauses);
                }
                // To the end of the queue: the poll does not report the rest again.
                client.queue(id, &mut self.readable);
                if count > 0 { Read::Bytes(&self.buffer[..count]) } else { Read::Nothing }
            }
            Taken::Pause => {
                self.pausing.push(id);
                Read::Nothing
            }
            Taken::Crowded => {
                client.begin_pause(now + CROWDED_PAUSE, id, &mut self.pauses);
                Read::Nothing
            }
            Taken::Nothing => Read::Nothing,
            Taken::Ended => Read::Ended,
        }
    }

    /// Puts all paused clients back into the queue. Returns whether there were any.
    pub(super) fn resume(&mut self) -> bool {
        let any = !self.pausing.is_empty();
        for id in self.pausing.drain(..) {
            if let Some(client) = self.clients.get_mut(&id) {
                client.queue(id, &mut self.readable);
            }
        }
        any
    }

    /// Lets all paused clients ring from now on. One that has written since goes back into the queue.
    pub(super) fn sleep_paused(&mut self) {
        for id in self.pausing.drain(..) {
            if let Some(client) = self.clients.get_mut(&id)
                && client.intake.as_mut().is_some_and(|intake| !intake.sleep())
            {
                client.queue(id, &mut self.readable);
            }
        }
    }

    /// Whether the other end of this client's connection is gone. Bytes that it sent may still be there.
    pub(super) fn has_ended(&self, id: SessionId) -> bool {
        self.clients.get(&id).is_some_and(|client| client.closed)
    }

    /// The pipe that this client offered was examined, and is there if it is good.
    #[cfg(unix)]
    pub(super) fn examined(&mut self, id: SessionId, memory: Option<Memory>) {
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.offer == Offer::Examined) else { return };
        if let Some(memory) = memory.filter(|_| self.pipes < PIPES) {
            client.intake = Some(Box::new(Intake::new(memory)));
            self.pipes += 1;
        }
        self.end_pause(id);
    }

    fn end_pause(&mut self, id: SessionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(until) = client.pause.take() {
            self.pauses.remove(&(until, id));
        }
        if client.offer == Offer::Examined {
            client.offer = Offer::Answered;
        }
        client.queue(id, &mut self.readable);
    }

    /// Ends the pauses that are over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(_, id)) = self.pauses.first().filter(|&&(until, _)| until <= now) {
            self.end_pause(id);
        }
    }

    /// Reads nothing from this client until [`Clients::welcome`].
    pub(super) fn park(&mut self, id: SessionId) {
        self.clients.entry(id).and_modify(|client| client.parked = true);
    }

    /// Reads from this client again.
    pub(super) fn welcome(&mut self, id: SessionId) {
        if let Some(client) = self.clients.get_mut(&id).filter(|client| client.parked) {
            client.parked = false;
            client.queue(id, &mut self.readable);
        }
    }

    /// There is output for this client.
    pub(super) fn want_output(&mut self, id: SessionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if !client.writable && !client.blocked {
            client.writable = true;
            self.writable.push_back(id);
        }
    }

    /// Whether there is output for a client that is not blocked.
    pub(super) fn has_output(&self) -> bool {
        !self.writable.is_empty()
    }

    /// How many clients have output and are not blocked.
    pub(super) fn writable(&self) -> usize {
        self.writable.len()
    }

    /// Takes the next session whose stream may have room.
    pub(super) fn next_writable(&mut self) -> Option<SessionId> {
        let id = self.writable.pop_front()?;
        if let Some(client) = self.clients.get_mut(&id) {
            client.writable = false;
        }
        Some(id)
    }

    /// Writes what the node has for this client, until the budget of bytes is used up.
    pub(super) fn write(&mut self, id: SessionId, node: &mut Node, budget: &mut usize) -> Written {
        let Some(client) = self.clients.get(&id) else { return Written::All };
        // Bounded, so that a client that reads fast does not hold up the others.
        for _ in 0..WRITES_IN_A_ROW {
            if *budget == 0 {
                return Written::Some;
            }
            match write_some(&client.stream, node.client_output(id)) {
                Ok(0) => return Written::All,
                Ok(n) => {
                    if client.may_vanish {
                        self.watch.wrote(id);
                    }
                    node.client_wrote(id, n);
                    *budget = budget.saturating_sub(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    node.client_blocked(id);
                    self.block(id);
                    return Written::Blocked;
                }
                Err(_) => return Written::Broken,
            }
        }
        Written::Some
    }

    /// Writes as much of the rest as fits, and closes the connection.
    pub(super) fn close(&mut self, id: SessionId, rest: &[Payload]) {
        let Some(mut client) = self.take(id) else { return };
        let mut slices: VecDeque<Slice> = rest.iter().flat_map(|payload| payload.slices().cloned()).collect();
        while let Ok(mut n @ 1..) = write_some(&client.stream, slices.iter()) {
            while let Some(slice) = slices.pop_front() {
                if slice.len() > n {
                    slices.push_front(slice.tail(n));
                    break;
                }
                n -= slice.len();
            }
        }
        if client.stream.finish().is_ok() {
            let (stream, mut reads) = (&mut client.stream, 0..LAST_READS);
            // Files that lie unread in the socket are closed with it, outside the loop.
            while !stream.must_wait() && reads.next().is_some() && stream.read(&mut self.buffer).is_ok_and(|n| n > 0) {}
        }
    }

    /// Removes a stream whose connection is broken or has ended.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.take(id);
    }

    fn take(&mut self, id: SessionId) -> Option<Client> {
        let client = self.clients.remove(&id)?;
        self.pipes -= usize::from(client.intake.is_some());
        if let Some(until) = client.pause {
            self.pauses.remove(&(until, id));
        }
        self.watch.forget(id);
        Some(client)
    }

    /// Changes how long a client's machine may acknowledge nothing.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.watch.set_timeout(timeout);
    }

    /// When [`Clients::handle_timeout`] and [`Clients::vanished`] must be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pause = self.pauses.first().map(|&(until, _)| until);
        pause.into_iter().chain(self.watch.poll_timeout()).min()
    }

    /// The clients whose machines have vanished.
    pub(super) fn vanished(&mut self, now: Instant) -> Vec<SessionId> {
        self.watch.check(now, |id| self.clients.get(&id)?.stream.delivery())
    }

    fn block(&mut self, id: SessionId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.blocked = true;
        }
        self.listen(id, Interest::READABLE | Interest::WRITABLE);
    }

    fn listen(&mut self, id: SessionId, interest: Interest) {
        let token = self.token(id);
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Err(error) = client.stream.reregister(&self.registry, token, interest) {
            debug!(?id, %error, "a client cannot be polled any more");
        }
    }

    fn token(&self, id: SessionId) -> Token {
        Token(self.first_token + usize::try_from(id.0).expect("fewer connections than addresses of memory"))
    }
}

impl Client {
    /// Reads from the socket. What the client passes may be the offer of a pipe, for which there may be room. It may pass something once.
    fn read(&mut self, id: SessionId, buffer: &mut [u8], room: bool) -> Taken {
        match self.stream.receive(buffer) {
            Ok((0, files)) => {
                self.stream.close(files);
                Taken::Ended
            }
            Ok((count, files)) if files.is_empty() => Taken::Bytes(count),
            Ok((count, files)) => match self.offer {
                Offer::None if room => {
                    self.offer = Offer::Examined;
                    self.stream.examine(id, files);
                    Taken::Bytes(count)
                }
                before => {
                    self.offer = Offer::Answered;
                    self.stream.close(files);
                    if before == Offer::None { Taken::Bytes(count) } else { Taken::Ended }
                }
            },
            Err(error) => match error.kind() {
                // There may be bytes all the same, so the client stays in the queue.
                io::ErrorKind::Interrupted => Taken::Bytes(0),
                io::ErrorKind::WouldBlock => Taken::Nothing,
                _ => Taken::Ended,
            },
        }
    }

    /// Keeps it out of the queue until then.
    fn begin_pause(&mut self, until: Instant, id: SessionId, pauses: &mut BTreeSet<(Instant, SessionId)>) {
        self.pause = Some(until);
        pauses.insert((until, id));
    }

    /// Puts it into the queue, unless it is there already or is not read now.
    fn queue(&mut self, id: SessionId, readable: &mut VecDeque<SessionId>) {
        if !self.readable && !self.parked && self.pause.is_none() {
            self.readable = true;
            readable.push_back(id);
        }
    }
}

/// One write of the first slices; 0 if there is nothing to write.
fn write_some<'a>(stream: &Stream, slices: impl Iterator<Item = &'a Slice>) -> io::Result<usize> {
    let mut parts = [IoSlice::new(&[]); WRITE_SLICES];
    let mut count = 0;
    for slice in slices.filter(|slice| !slice.is_empty()).take(WRITE_SLICES) {
        parts[count] = IoSlice::new(slice);
        count += 1;
    }
    if count == 0 { Ok(0) } else { stream.write(&parts[..count]) }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{self, Ipv4Addr};

    use mio::net::TcpStream;
    use mio::{Events, Poll};

    #[cfg(target_os = "linux")]
    use super::super::passed::Passed;
    use super::*;

    /// Clients, and the poll that tells them what happens.
    struct Side {
        poll: Poll,
        clients: Clients,
    }

    impl Side {
        fn new() -> Side {
            let poll = Poll::new().unwrap();
            let clients = Clients::new(poll.registry().try_clone().unwrap(), 5, Duration::ZERO);
            Side { poll, clients }
        }

        /// A connection, and the client at its other end.
        fn connect(&mut self) -> (SessionId, net::TcpStream) {
            let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let far = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (near, _) = listener.accept().unwrap();
            near.set_nonblocking(true).unwrap();
            let stream = Stream::tcp(TcpStream::from_std(near)).unwrap();
            (self.clients.admit(stream).unwrap(), far)
        }

        /// A client of this machine, and its other end.
        #[cfg(target_os = "linux")]
        fn connect_locally(&mut self, passed: &Passed) -> (SessionId, std::os::unix::net::UnixStream) {
            let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let stream = Stream::unix(mio::net::UnixStream::from_std(near), passed).unwrap();
            (self.clients.admit(stream).unwrap(), far)
        }

        /// Polls until somebody may be readable, and says who is first.
        fn next_readable(&mut self) -> SessionId {
            let mut events = Events::with_capacity(8);
            for _ in 0..50 {
                if let Some(id) = self.clients.next_readable() {
                    return id;
                }
                self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
                events.iter().for_each(|event| self.clients.handle_event(event));
            }
            panic!("nobody is readable");
        }
    }

    #[test]
    fn clients_are_read_in_turn_until_nothing_is_left() {
        let mut side = Side::new();
        let ((one, mut far_one), (two, mut far_two)) = (side.connect(), side.connect());
        far_one.write_all(&[1; 3 * READ_SIZE]).unwrap();
        assert_eq!(side.next_readable(), one);
        assert!(
            matches!(side.clients.read(Instant::ZERO, one), Read::Bytes(bytes) if bytes.iter().all(|&byte| byte == 1))
        );
        assert_eq!(side.clients.readable(), 1);
        far_two.write_all(&[2; 10]).unwrap();
        let mut seen = Vec::new();
        while !seen.contains(&two) {
            let id = side.next_readable();
            side.clients.read(Instant::ZERO, id);
            let mut events = Events::with_capacity(8);
            side.poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
            events.iter().for_each(|event| side.clients.handle_event(event));
            seen.push(id);
        }
        drop((far_one, far_two));
        while side.clients.len() > 0 {
            let id = side.next_readable();
            if side.clients.read(Instant::ZERO, id) == Read::Ended {
                side.clients.remove(id);
            }
        }
    }

    #[test]
    fn who_came_stays_known_while_the_stream_is_there() {
        let mut side = Side::new();
        let (id, far) = side.connect();
        let address = far.local_addr().unwrap();
        drop(far);
        assert_eq!(side.clients.origin(id), Origin::Tcp(address));
        side.clients.remove(id);
        assert_eq!(side.clients.origin(id), Origin::Unknown);
    }

    #[test]
    fn the_rest_arrives_before_the_end() {
        let mut side = Side::new();
        let (id, mut far) = side.connect();
        far.write_all(b"bytes that nobody reads").unwrap();
        side.next_readable();
        let rest = [Payload::from(b"good".to_vec()), Payload::default(), Payload::from(b"bye".to_vec())];
        side.clients.close(id, &rest);
        let mut text = String::new();
        far.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), side.clients.len()), ("goodbye", 0));
    }

    #[test]
    fn a_client_that_does_not_read_gets_what_fits() {
        let mut side = Side::new();
        let (id, mut far) = side.connect();
        let rest: Vec<Payload> = (0..400).map(|_| Payload::from(vec![7; 100_000])).collect();
        side.clients.close(id, &rest);
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|&byte| byte == 7) && bytes.len() < 40_000_000);
    }

    #[test]
    fn a_parked_client_is_read_when_it_is_welcome() {
        let mut side = Side::new();
        let ((parked, mut far), (other, mut far_other)) = (side.connect(), side.connect());
        far.write_all(b"early").unwrap();
        assert_eq!(side.next_readable(), parked);
        side.clients.park(parked);
        far.write_all(b" and late").unwrap();
        far_other.write_all(b"other").unwrap();
        assert_eq!(side.next_readable(), other);
        assert_eq!(side.clients.next_readable(), None);
        side.clients.welcome(parked);
        side.clients.welcome(other);
        assert_eq!((side.clients.next_readable(), side.clients.next_readable()), (Some(parked), None));
        assert!(matches!(side.clients.read(Instant::ZERO, parked), Read::Bytes(bytes) if bytes.starts_with(b"early")));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_so_many_clients_share_memory_with_the_daemon() {
        let mut side = Side::new();
        side.clients.pipes = PIPES - 2;
        let passed = Passed::for_test();
        let mut join = |room: bool| {
            let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let stream = Stream::unix(mio::net::UnixStream::from_std(near), &passed).unwrap();
            let id = side.clients.admit(stream).unwrap();
            let memory = crate::pipe::offer(&socket2::SockRef::from(&far), b'x', 0).unwrap();
            assert_eq!(side.clients.read(Instant::ZERO, id), Read::Bytes(b"x"));
            if room {
                assert_eq!(side.clients.next_readable(), None, "the offer is examined");
                passed.await_examined().into_iter().for_each(|(id, memory)| side.clients.examined(id, memory));
            }
            assert_eq!(side.clients.next_readable(), Some(id));
            (id, memory, far)
        };
        let joined = [join(true), join(true), join(false)];
        let pipes =
            |clients: &Clients| joined.iter().map(|(id, ..)| clients.clients[id].intake.is_some()).collect::<Vec<_>>();
        assert_eq!(pipes(&side.clients), [true, true, false]);
        side.clients.remove(joined[0].0);
        side.clients.close(joined[1].0, &[]);
        side.clients.remove(joined[2].0);
        assert_eq!(side.clients.pipes, PIPES - 2);
    }

    /// The answer may come late, or never, because the client can make the examination wait.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_client_whose_offer_is_not_answered_in_time_goes_on_over_its_socket() {
        let mut side = Side::new();
        let passed = Passed::for_test();
        let (id, far) = side.connect_locally(&passed);
        let offer = || crate::pipe::offer(&socket2::SockRef::from(&far), b'x', 0).unwrap();
        let (_memory, at) = (offer(), Instant::from_millis(1000));
        assert_eq!(side.clients.read(at, id), Read::Bytes(b"x"));
        let due = side.clients.poll_timeout().unwrap();
        side.clients.handle_timeout(at);
        assert_eq!((due, side.clients.next_readable()), (at + OFFER_TIMEOUT, None));
        side.clients.handle_timeout(due);
        assert_eq!(side.clients.next_readable(), Some(id));
        passed.await_examined().into_iter().for_each(|(id, memory)| side.clients.examined(id, memory));
        assert!(side.clients.clients[&id].intake.is_none() && side.clients.pauses.is_empty(), "too late");
        let _another = offer();
        assert_eq!(side.clients.read(due, id), Read::Ended, "nobody asked for a second one");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn while_too_many_files_wait_clients_of_this_machine_pause_and_others_are_read() {
        let mut side = Side::new();
        let passed = Passed::for_test();
        let (local, mut far) = side.connect_locally(&passed);
        far.write_all(b"local").unwrap();
        assert_eq!(side.next_readable(), local);
        passed.fill();
        let at = Instant::from_millis(1000);
        assert_eq!(side.clients.read(at, local), Read::Nothing);
        let (other, mut far_other) = side.connect();
        far_other.write_all(b"other").unwrap();
        assert_eq!(side.next_readable(), other);
        assert_eq!(side.clients.read(at, other), Read::Bytes(b"other"));
        passed.empty();
        let due = side.clients.poll_timeout().unwrap();
        assert_eq!(due, at + CROWDED_PAUSE);
        side.clients.handle_timeout(due);
        assert_eq!((side.clients.next_readable(), side.clients.next_readable()), (Some(other), Some(local)));
        assert_eq!(side.clients.read(due, local), Read::Bytes(b"local"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn while_too_many_files_wait_a_client_that_ends_is_not_read_either() {
        for full in [true, false] {
            let mut side = Side::new();
            let passed = Passed::for_test();
            let (id, mut far) = side.connect_locally(&passed);
            far.write_all(b"last words").unwrap();
            if full {
                passed.fill();
            }
            side.clients.close(id, &[]);
            passed.await_closed();
            // The system says in this way that something was left unread.
            let error = far.read(&mut [0; 10]).map_err(|error| error.kind());
            assert_eq!(error, if full { Err(ErrorKind::ConnectionReset) } else { Ok(0) });
        }
    }

    /// The node must learn it: a join of such a client may wait for long.
    #[test]
    fn a_parked_client_whose_other_end_goes_gets_one_more_turn() {
        let mut side = Side::new();
        let (id, mut far) = side.connect();
        far.write_all(b"last words").unwrap();
        assert_eq!(side.next_readable(), id);
        side.clients.park(id);
        assert!(!side.clients.has_ended(id));
        drop(far);
        assert_eq!(side.next_readable(), id);
        assert!(side.clients.has_ended(id));
        side.clients.park(id);
        assert_eq!(side.clients.next_readable(), None);
    }

    #[test]
    fn output_is_wanted_once() {
        let mut side = Side::new();
        let (id, _far) = side.connect();
        side.clients.want_output(id);
        side.clients.want_output(id);
        side.clients.want_output(SessionId(77));
        assert_eq!(side.clients.writable(), 1);
        assert_eq!((side.clients.next_writable(), side.clients.next_writable()), (Some(id), None));
        assert!(!side.clients.has_output());
    }
}
