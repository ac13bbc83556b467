//! A mailbox: one open session with a daemon, used by one receiver and many senders at once.
//!
//! Sends wait for each other, and receives wait for each other. A send never waits for a receive, and a disconnect
//! waits for no lock. The first call that finds the connection broken returns that it broke now; every later call
//! returns that it was broken before.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::ahead::Receiving;
use super::limit::MessageLimit;
use super::outlet::Outlet;
use super::transport::{Deadline, Stream};
use super::{Address, ConnectError, GroupError, Lost, SendError, handshake, registry};
use crate::wire::{ByteOrder, FrameHeader, FrameType, Hint, MAX_GROUPS, Name};

/// How to open a mailbox.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The daemon: `port` for the local one, `port@host`. Empty, the default, means port 4803.
    pub daemon: String,
    /// The wanted name, cut to 10 bytes. Empty, the default, lets the daemon choose.
    pub private_name: String,
    /// Transmitted as 0 or 1, the default 0; daemons make no use of it.
    pub priority: u8,
    /// Whether to receive membership messages. Default yes.
    pub membership: bool,
    /// The most time that connecting may take, name resolution not counted. Default none.
    pub timeout: Option<Duration>,
    /// Most bytes of body and group names in one message. Default: what the daemon takes; if the daemon does not tell, what
    /// every classic daemon survives.
    pub message_limit: Option<usize>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            daemon: String::new(),
            private_name: String::new(),
            priority: 0,
            membership: true,
            timeout: None,
            message_limit: None,
        }
    }
}

/// An open session with a daemon. Dropping it closes the connection, which ends the session.
#[derive(Debug)]
pub struct Mailbox {
    pub(super) stream: Stream,
    private_group: Name,
    message_limit: MessageLimit,
    broken: AtomicBool,
    outlet: Arc<Outlet>,
    pub(super) receiving: Mutex<Receiving>,
}

/// When connecting must be done.
fn deadline(options: &ConnectOptions) -> Deadline {
    options.timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

impl Mailbox {
    /// Opens a session, with the authentication methods that the process has registered.
    pub fn connect(options: &ConnectOptions) -> Result<Mailbox, ConnectError> {
        let address = Address::parse(&options.daemon)?;
        let deadline = deadline(options);
        Mailbox::open(Stream::connect(&address, deadline)?, options, deadline)
    }

    /// As [`Mailbox::connect`], over a stream to a daemon of this process. The daemon's name in the options is ignored.
    #[cfg(unix)]
    pub fn connect_over(
        stream: std::os::unix::net::UnixStream,
        options: &ConnectOptions,
    ) -> Result<Mailbox, ConnectError> {
        Mailbox::open(Stream::over(stream), options, deadline(options))
    }

    fn open(stream: Stream, options: &ConnectOptions, deadline: Deadline) -> Result<Mailbox, ConnectError> {
        let private_group = handshake::open(&stream, options, &registry::methods(), deadline)?;
        Ok(Mailbox::new(stream, private_group, MessageLimit::new(options.message_limit)))
    }

    pub(super) fn new(stream: Stream, private_group: Name, message_limit: MessageLimit) -> Mailbox {
        Mailbox::with(stream, private_group, message_limit, Outlet::new())
    }

    fn with(stream: Stream, private_group: Name, message_limit: MessageLimit, outlet: Outlet) -> Mailbox {
        Mailbox {
            stream,
            private_group,
            message_limit,
            broken: AtomicBool::new(false),
            outlet: Arc::new(outlet),
            receiving: Mutex::default(),
        }
    }

    /// The name of this session in the whole system.
    pub fn private_group(&self) -> Name {
        self.private_group
    }

    /// The number of the socket, for select and poll: readable whenever a message waits.
    pub fn descriptor(&self) -> i32 {
        self.stream.descriptor()
    }

    /// Asks to join a group. The answer is a membership message.
    pub fn join(&self, group: Name) -> Result<(), GroupError> {
        self.request(FrameType::JOIN, group)
    }

    /// Asks to leave a group. The answer is a membership message.
    pub fn leave(&self, group: Name) -> Result<(), GroupError> {
        self.request(FrameType::LEAVE, group)
    }

    /// Sends a message to groups and private groups. `kind` holds the service and may hold [`FrameType::SELF_DISCARD`].
    /// Blocks while the daemon does not read.
    pub fn multicast(&self, kind: FrameType, groups: &[Name], mess_type: i16, body: &[u8]) -> Result<(), SendError> {
        self.multicast_slices(kind, groups, mess_type, &[IoSlice::new(body)])
    }

    /// Sends a message whose body lies in several places.
    pub fn multicast_slices(
        &self,
        kind: FrameType,
        groups: &[Name],
        mess_type: i16,
        body: &[IoSlice<'_>],
    ) -> Result<(), SendError> {
        if !kind.intersects(FrameType::SERVICES) {
            return Err(SendError::NoService);
        }
        if groups.len() > MAX_GROUPS {
            return Err(SendError::TooManyGroups);
        }
        self.check()?;
        let data_len = body.iter().fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        if self.message_limit.is_below(data_len.saturating_add(groups.len() * Name::SIZE), &self.stream) {
            return Err(SendError::TooLong);
        }
        // The field of the header is signed.
        let data_len = i32::try_from(data_len).map_err(|_| SendError::TooLong)?;
        let front = self.front(kind, groups, mess_type, data_len);
        let mut slices = Vec::with_capacity(1 + body.len());
        slices.push(IoSlice::new(&front));
        slices.extend_from_slice(body);
        Ok(self.send(&mut slices)?)
    }

    /// Most bytes of body and group names, 32 for each name, in one message. Asks the daemon if it was not asked before.
    pub fn message_limit(&self) -> usize {
        self.message_limit.get(&self.stream)
    }

    /// Bytes that wait to be received; a positive number does not promise a whole message.
    pub fn bytes_waiting(&self) -> usize {
        self.stream.bytes_waiting()
    }

    /// Ends the session. Calls of other threads that are under way fail.
    ///
    /// The end of the stream means the same to the daemon as a KILL frame. So this call leaves the KILL frame out,
    /// instead of waiting, if another thread has written half a frame or the socket is full.
    pub fn disconnect(&self) {
        if !self.broken.load(Ordering::Acquire) {
            self.outlet.send_at_once(&self.stream, &self.front(FrameType::KILL, &[self.private_group], 0, 0));
        }
        self.stream.shut_down();
    }

    /// Fails if an earlier call found the connection broken.
    pub(super) fn check(&self) -> Result<(), Lost> {
        if self.broken.load(Ordering::Acquire) { Err(Lost::Before) } else { Ok(()) }
    }

    /// Records that the connection broke in this call.
    pub(super) fn lost(&self, error: io::Error) -> Lost {
        tracing::debug!(%error, mailbox = %self.private_group, "connection lost");
        self.broken.store(true, Ordering::Release);
        Lost::Now
    }

    /// The process is about to fork. Afterwards each process may receive.
    #[cfg(unix)]
    pub(super) fn fork(&self) {
        self.stream.shared.store(true, Ordering::SeqCst);
        // A thread that receives just now gives the copy up when it is done.
        if let Some(mut receiving) = self.receiving.try_lock() {
            // An error shows at the next receive.
            _ = self.stream.give_up(&mut receiving.ahead);
        }
    }

    /// The same session for a forked child, in which the calls of other threads and their locks do not exist. The
    /// caller must forget this mailbox and not drop it.
    #[cfg(unix)]
    pub(super) fn adopted(&self) -> Mailbox {
        let (stream, outlet) = (self.stream.adopted(), self.outlet.adopted());
        let mailbox = Mailbox::with(stream, self.private_group, self.message_limit.clone(), outlet);
        mailbox.broken.store(self.broken.load(Ordering::Acquire), Ordering::Release);
        // The bytes of the last look are still in the socket.
        mailbox.receiving.lock().offered = self.receiving.try_lock().and_then(|receiving| receiving.offered);
        mailbox
    }

    fn request(&self, kind: FrameType, group: Name) -> Result<(), GroupError> {
        let name = group.as_bytes();
        // The range begins behind `#`, with which private groups begin.
        if name.is_empty() || !name.iter().all(|byte| (0x24..=0x7e).contains(byte)) {
            return Err(GroupError::IllegalGroup);
        }
        self.check()?;
        Ok(self.send(&mut [IoSlice::new(&self.front(kind, &[group], 0, 0))])?)
    }

    /// A frame up to its data.
    fn front(&self, kind: FrameType, groups: &[Name], mess_type: i16, data_len: i32) -> Vec<u8> {
        let header = FrameHeader {
            kind,
            name: self.private_group,
            groups: groups.len() as i32,
            hint: Hint::new(mess_type, ByteOrder::NATIVE),
            data_len,
            order: ByteOrder::NATIVE,
        };
        let mut front = Vec::with_capacity(FrameHeader::SIZE + groups.len() * Name::SIZE);
        front.extend_from_slice(&header.encode());
        groups.iter().for_each(|group| front.extend_from_slice(group.field()));
        front
    }

    fn send(&self, slices: &mut [IoSlice<'_>]) -> Result<(), Lost> {
        self.outlet.send(&self.stream, slices).map_err(|error| self.lost(error))
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Mailbox {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
