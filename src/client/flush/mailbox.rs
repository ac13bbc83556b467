//! The Flush layer on a mailbox: the same calls, but groups are closed and views are entered together.
//!
//! The layer makes progress only while the program receives. One lock keeps a program's own messages and its flush oks
//! in order. Another one admits one receiver at a time. The layer itself is locked only to read or change it.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::format::{self, FLUSH_REQ, LOWEST_MESS_TYPE, SUBGROUP};
use super::layer::Layer;
use super::{CastError, FlushError, FlushReceiveError};
use crate::client::events::{FileEvent, WatchedFile};
use crate::client::{
    ConnectError, ConnectOptions, Fate, Lost, Mailbox, Message, MessageHead, Room, SendError, wait_for,
};
use crate::wire::{FrameType, Name};

/// A mailbox whose groups are view synchronous.
#[derive(Debug)]
pub struct FlushMailbox {
    mailbox: Arc<Mailbox>,
    layer: Mutex<Layer>,
    sending: Mutex<()>,
    receiving: Mutex<()>,
}

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until there is something.
    Yes,
    /// Only for the rest of what is arriving.
    No,
}

/// The kind and type of a message, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CastKind {
    kind: FrameType,
    mess_type: i16,
}

impl CastKind {
    /// Bits that no program's message has.
    const ILLEGAL: FrameType = FrameType(FLUSH_REQ.0 | FrameType::MEMBERSHIP.0 | 0x803f_c080);

    /// Service and other bits, and the program's number.
    pub fn new(kind: FrameType, mess_type: i16) -> Result<CastKind, CastError> {
        if kind.intersects(CastKind::ILLEGAL) {
            return Err(CastError::IllegalService);
        }
        if mess_type < LOWEST_MESS_TYPE {
            return Err(CastError::IllegalMessType);
        }
        Ok(CastKind { kind: kind.masked(FrameType(!SUBGROUP.0)), mess_type })
    }

    /// Whether such a message can come to a member before it has entered the view that the message was sent in.
    fn is_unordered(self) -> bool {
        self.kind.intersects(FrameType::UNRELIABLE | FrameType::RELIABLE | FrameType::FIFO)
    }
}

impl FlushMailbox {
    /// Opens a session.
    pub fn connect(options: &ConnectOptions) -> Result<FlushMailbox, ConnectError> {
        let options = ConnectOptions { membership: true, ..options.clone() };
        Ok(FlushMailbox::new(Arc::new(Mailbox::connect(&options)?)))
    }

    /// The layer on a fresh mailbox with membership messages, which nobody else receives from.
    pub fn new(mailbox: Arc<Mailbox>) -> FlushMailbox {
        let layer = Layer::new(mailbox.private_group());
        FlushMailbox::with(mailbox, layer)
    }

    fn with(mailbox: Arc<Mailbox>, layer: Layer) -> FlushMailbox {
        FlushMailbox { mailbox, layer: Mutex::new(layer), sending: Mutex::new(()), receiving: Mutex::new(()) }
    }

    /// The mailbox below.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Asks to join a group. The answer is its first view.
    pub fn join(&self, group: Name) -> Result<(), FlushError> {
        self.layer.lock().check_join(group)?;
        Ok(self.mailbox.join(group)?)
    }

    /// Asks to leave a group. The answer is the notice that the membership has ended.
    pub fn leave(&self, group: Name) -> Result<(), FlushError> {
        let _sending = self.sending.lock();
        self.layer.lock().leave(group)?;
        Ok(self.mailbox.leave(group)?)
    }

    /// Allows the next view of a group; nothing can be sent to the group until it comes.
    pub fn flush(&self, group: Name) -> Result<(), FlushError> {
        let _sending = self.sending.lock();
        self.layer.lock().flush(group)?;
        Ok(self.say_all()?)
    }

    /// Sends a message to all members of a group's view, or to a private group.
    pub fn multicast(&self, kind: CastKind, group: Name, body: &[IoSlice<'_>]) -> Result<(), CastError> {
        let _sending = self.sending.lock();
        let current = self.layer.lock().check_cast(group, &[])?;
        let view = if kind.is_unordered() { current } else { None };
        let (mess_type, trailer) = format::enclose(kind.mess_type, view, None);
        let body = [body, &[IoSlice::new(&trailer)]].concat();
        Ok(self.mailbox.multicast_slices(kind.kind, &[group], mess_type, &body)?)
    }

    /// Sends a message to some members of a group's view.
    pub fn subgroup_cast(
        &self,
        kind: CastKind,
        group: Name,
        receivers: &[Name],
        body: &[IoSlice<'_>],
    ) -> Result<(), CastError> {
        let _sending = self.sending.lock();
        let current = self.layer.lock().check_cast(group, receivers)?;
        let view = if kind.is_unordered() { current } else { None };
        if !kind.kind.intersects(FrameType::SERVICES) {
            return Err(SendError::NoService.into());
        }
        let (mess_type, trailer) = format::enclose(kind.mess_type, view, Some(group));
        let body = [body, &[IoSlice::new(&trailer)]].concat();
        Ok(self.mailbox.multicast_slices(kind.kind | SUBGROUP, receivers, mess_type, &body)?)
    }

    /// Waits for a message and puts it where the caller wants it. Says how many more are buffered.
    pub fn receive_into(&self, room: &mut Room<'_, '_>, wait: Wait) -> Result<(MessageHead, usize), FlushReceiveError> {
        let _receiving = match wait {
            Wait::Yes => self.receiving.lock(),
            Wait::No => self.receiving.try_lock().ok_or(FlushReceiveError::WouldBlock)?,
        };
        loop {
            if let Some(taken) = self.take_front(room) {
                return Ok(taken);
            }
            if wait == Wait::No && !self.is_readable() {
                return Err(FlushReceiveError::WouldBlock);
            }
            let received = self.mailbox.receive()?;
            self.layer.lock().handle_received(received);
            self.say_all()?;
            self.end_if_given_up()?;
        }
    }

    /// How many messages are buffered.
    pub fn messages_waiting(&self) -> usize {
        self.layer.lock().deliveries().len()
    }

    /// Bytes that are buffered or wait to be received.
    pub fn bytes_waiting(&self) -> usize {
        let buffered: usize = self.layer.lock().deliveries().map(size).sum();
        buffered.saturating_add(self.mailbox.bytes_waiting())
    }

    /// Ends the session and waits until no other thread uses it any more; their calls fail.
    pub fn disconnect(&self) {
        self.mailbox.disconnect();
        drop(self.sending.lock());
        drop(self.receiving.lock());
    }

    /// The same session for a forked child, on the mailbox that the child has adopted.
    #[cfg(unix)]
    pub(in crate::client) fn adopted(&self, mailbox: Arc<Mailbox>) -> FlushMailbox {
        let layer = self.layer.try_lock().map(|layer| layer.clone());
        let layer = layer.unwrap_or_else(|| Layer::new(mailbox.private_group()));
        FlushMailbox::with(mailbox, layer)
    }

    fn take_front(&self, room: &mut Room<'_, '_>) -> Option<(MessageHead, usize)> {
        let mut layer = self.layer.lock();
        let envelope = fill(layer.front()?, room);
        if envelope.fate == Fate::Taken {
            layer.pop();
        }
        Some((envelope, layer.deliveries().len()))
    }

    fn is_readable(&self) -> bool {
        let watch = WatchedFile { descriptor: self.mailbox.descriptor(), event: FileEvent::Readable };
        wait_for(&[watch], Some(Duration::ZERO)) == [true]
    }

    /// Sends what the layer has to say.
    fn say_all(&self) -> Result<(), Lost> {
        loop {
            let say = self.layer.lock().poll_say();
            let Some(say) = say else { return Ok(()) };
            let (mess_type, body) = say.control.encode();
            match self.mailbox.multicast(FrameType::FIFO, &[say.group], mess_type, &body) {
                Err(SendError::Lost(lost)) => return Err(lost),
                sent => sent.expect("a small message with a service to one group"),
            }
        }
    }

    fn end_if_given_up(&self) -> Result<(), Lost> {
        let Some(reason) = self.layer.lock().given_up() else { return Ok(()) };
        tracing::warn!(reason, mailbox = %self.mailbox.private_group(), "flush mailbox disconnected");
        self.mailbox.disconnect();
        Err(Lost::Now)
    }
}

/// How many bytes a message takes on the stream.
fn size(message: &Message) -> usize {
    crate::wire::FrameHeader::SIZE + message.groups.len() * Name::SIZE + message.body.len()
}

/// Puts a message where the caller wants it, or leaves it if it does not fit.
fn fill(message: &Message, room: &mut Room<'_, '_>) -> MessageHead {
    let is_membership = message.kind.intersects(FrameType::MEMBERSHIP) && !message.kind.contains(FrameType::REJECT);
    let mut envelope = MessageHead {
        kind: message.kind,
        sender: message.sender,
        groups: message.groups.len(),
        mess_type: message.mess_type,
        foreign_order: message.foreign_order,
        body_len: message.body.len(),
        fate: Fate::Taken,
    };
    if room.keeps(message.groups.len(), message.body.len()) {
        envelope.fate = Fate::Kept;
        envelope.mess_type = if is_membership { 0 } else { message.mess_type };
        return envelope;
    }
    room.groups.iter_mut().zip(&message.groups).for_each(|(field, group)| *field = *group.field());
    copy(&message.body, room.body);
    if is_membership && message.groups.len() > room.groups.len() {
        envelope.mess_type = -1;
    }
    envelope
}

fn copy(mut from: &[u8], to: &mut [IoSliceMut<'_>]) {
    for slice in to {
        let (front, rest) = from.split_at(from.len().min(slice.len()));
        slice[..front.len()].copy_from_slice(front);
        from = rest;
    }
}
