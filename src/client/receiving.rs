//! Receiving into the caller's memory: a header, then groups and body straight to where the caller wants them.
//!
//! A message that does not fit stays, and the next call offers it again; its header is then already read. A caller can
//! also take the part that fits and drop the rest.

use std::io::{self, IoSliceMut};

use super::ahead::{Ahead, Receiving};
use super::{Mailbox, ReceiveError, membership};
use crate::wire::{ByteOrder, FrameHeader, FrameType, Name};

/// Where the caller wants a message.
#[derive(Debug)]
pub struct Room<'a, 'b> {
    /// Room for the group names, each 32 bytes and NUL terminated.
    pub groups: &'a mut [[u8; Name::SIZE]],
    /// Room for the body, in order.
    pub body: &'a mut [IoSliceMut<'b>],
    /// How a receive call treats a message that does not fit.
    pub excess: Excess,
}

/// How a receive call treats a message that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It stays and is offered again.
    Keep,
    /// It is taken, and the part that does not fit is dropped.
    Drop,
    /// No message has room: every message stays and is offered again.
    KeepAll,
}

impl Room<'_, '_> {
    /// Whether a message with this many groups and bytes stays.
    pub(super) fn keeps(&self, groups: usize, body_len: usize) -> bool {
        match self.excess {
            Excess::Keep => groups > self.groups.len() || body_len > capacity(self.body),
            Excess::Drop => false,
            Excess::KeepAll => true,
        }
    }
}

/// The result for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the caller's memory, except for what does not fit.
    Taken,
    /// It did not fit and is offered again.
    Kept,
}

/// The facts about a message besides its groups and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// Its type. The original type of a refused message is only known when it is taken.
    pub kind: FrameType,
    /// The sender's private group, or the group of a membership.
    pub sender: Name,
    /// How many groups it has, whether or not they fit.
    pub groups: usize,
    /// The sender's number; for a regular membership the receiver's place among the members, or -1.
    pub mess_type: i16,
    /// Whether the sender's byte order is not ours.
    pub foreign_order: bool,
    /// Bytes of its body, whether or not they fit.
    pub body_len: usize,
    /// Whether it was taken or stays.
    pub fate: Fate,
}

impl Mailbox {
    /// Waits for a message and puts it where the caller wants it.
    pub fn receive_into(&self, room: &mut Room<'_, '_>) -> Result<MessageHead, ReceiveError> {
        self.check()?;
        let mut receiving = self.receiving.lock();
        let frame = self.next_frame(&mut receiving)?;
        if room.keeps(frame.groups, frame.body_len) {
            receiving.offered = Some(frame.header);
            return Ok(frame.envelope(Fate::Kept));
        }
        Ok(self.take(&mut receiving.ahead, &frame, room).map_err(|error| self.lost(error))?)
    }

    /// The frame that was offered before, or the next one of the stream.
    pub(super) fn next_frame(&self, receiving: &mut Receiving) -> Result<Frame, ReceiveError> {
        let header = match receiving.offered.take() {
            Some(header) => header,
            None => self.read_header(&mut receiving.ahead).map_err(|error| self.lost(error))?,
        };
        let frame = Frame::new(header).ok_or(ReceiveError::Malformed)?;
        receiving.ahead.record_size(frame.body_len.saturating_add(frame.groups.saturating_mul(Name::SIZE)));
        Ok(frame)
    }

    /// Reads the rest of a frame into the room and drops what does not fit.
    pub(super) fn take(&self, ahead: &mut Ahead, frame: &Frame, room: &mut Room<'_, '_>) -> io::Result<MessageHead> {
        let groups = room.groups.len().min(frame.groups);
        let unwanted = frame.groups - groups;
        let groups = &mut room.groups[..groups];
        let mut refused = [0; 4];
        let front = if frame.is_refusal() { &mut refused[..] } else { &mut [] };
        let mut parts = Vec::with_capacity(2 + room.body.len());
        parts.extend([IoSliceMut::new(front), IoSliceMut::new(groups.as_flattened_mut())]);
        if unwanted > 0 {
            self.stream.receive_all(ahead, &mut parts)?;
            self.stream.skip(ahead, unwanted * Name::SIZE)?;
            parts.clear();
        }
        if frame.is_membership() && frame.header.order != ByteOrder::NATIVE {
            self.stream.receive_all(ahead, &mut parts)?;
            self.take_foreign_body(ahead, frame, room.body)?;
        } else {
            let wanted = frame.body_len.min(capacity(room.body));
            parts.extend(front_slices(room.body, wanted));
            self.stream.receive_all(ahead, &mut parts)?;
            self.stream.skip(ahead, frame.body_len - wanted)?;
        }
        groups.iter_mut().for_each(|group| group[Name::SIZE - 1] = 0);
        let mut envelope = frame.envelope(Fate::Taken);
        if frame.is_refusal() {
            envelope.kind = envelope.kind | FrameType::decode(refused);
        }
        if frame.is_membership() {
            envelope.mess_type = if unwanted > 0 { -1 } else { self.place_among(groups) };
        }
        Ok(envelope)
    }

    fn read_header(&self, ahead: &mut Ahead) -> io::Result<FrameHeader> {
        let mut bytes = [0; FrameHeader::SIZE];
        self.stream.receive_all(ahead, &mut [IoSliceMut::new(&mut bytes)])?;
        Ok(FrameHeader::decode(&bytes))
    }

    /// Takes a membership body of the other byte order and converts its numbers.
    fn take_foreign_body(&self, ahead: &mut Ahead, frame: &Frame, room: &mut [IoSliceMut<'_>]) -> io::Result<()> {
        let mut body = vec![0; frame.body_len.min(capacity(room))];
        self.stream.receive_all(ahead, &mut [IoSliceMut::new(&mut body)])?;
        self.stream.skip(ahead, frame.body_len - body.len())?;
        membership::to_native(&mut body, frame.header.order);
        let mut rest = &body[..];
        for mut slice in front_slices(room, body.len()) {
            let (front, tail) = rest.split_at(slice.len());
            slice.copy_from_slice(front);
            rest = tail;
        }
        Ok(())
    }

    /// This mailbox's place among the members of a view, or -1.
    fn place_among(&self, members: &[[u8; Name::SIZE]]) -> i16 {
        let place = members.iter().position(|member| Name::from_field(member) == self.private_group());
        place.and_then(|place| i16::try_from(place).ok()).unwrap_or(-1)
    }
}

/// A frame whose header was read and makes sense.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) header: FrameHeader,
    pub(super) groups: usize,
    pub(super) body_len: usize,
}

impl Frame {
    fn new(header: FrameHeader) -> Option<Frame> {
        header.body_len()?;
        let (groups, body_len) = (usize::try_from(header.groups).ok()?, usize::try_from(header.data_len).ok()?);
        Some(Frame { header, groups, body_len })
    }

    fn is_refusal(&self) -> bool {
        self.header.kind.contains(FrameType::REJECT)
    }

    fn is_membership(&self) -> bool {
        self.header.kind.intersects(FrameType::MEMBERSHIP) && !self.is_refusal()
    }

    fn envelope(&self, fate: Fate) -> MessageHead {
        let membership = self.is_membership();
        MessageHead {
            kind: self.header.kind,
            sender: self.header.name,
            groups: self.groups,
            mess_type: if membership { 0 } else { self.header.hint.mess_type() },
            foreign_order: !membership && self.header.hint.order() != ByteOrder::NATIVE,
            body_len: self.body_len,
            fate,
        }
    }
}

fn capacity(slices: &[IoSliceMut<'_>]) -> usize {
    slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.len()))
}

/// The slices that make the first `count` bytes, which must be there.
fn front_slices<'a>(slices: &'a mut [IoSliceMut<'_>], mut count: usize) -> impl Iterator<Item = IoSliceMut<'a>> {
    slices.iter_mut().map(move |slice| {
        let some = count.min(slice.len());
        count -= some;
        IoSliceMut::new(&mut slice[..some])
    })
}
