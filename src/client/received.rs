//! Messages as owned values, for Rust programs.

use std::io::IoSliceMut;

use super::receiving::{Excess, Frame, MessageHead, Room};
use super::{Mailbox, ReceiveError};
use crate::wire::{ByteOrder, Cause, FrameType, GroupId, MembershipBody, Name};

/// Most bytes of groups and body for which [`Mailbox::receive`] allocates memory; far above the limit of every daemon.
const RECEIVE_LIMIT: usize = 64 << 20;

/// A message or membership that a mailbox receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message from a client.
    Message(Message),
    /// A message or request of this client, refused by the daemon's access control.
    Refused(Message),
    /// A group's new regular membership.
    View(View),
    /// The view with this id is ending. Until the next view the promises hold only among the members that leave this
    /// one together.
    Transition(Name, GroupId),
    /// The mailbox is no longer a member of this group.
    Left(Name),
}

/// A message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Service and other bits that the sender set.
    pub kind: FrameType,
    /// The sender's private group.
    pub sender: Name,
    /// The groups it was sent to.
    pub groups: Vec<Name>,
    /// The sender's number.
    pub mess_type: i16,
    /// Whether the sender's byte order is not ours.
    pub foreign_order: bool,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// A group's regular membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The group.
    pub group: Name,
    /// Why it changed.
    pub cause: Cause,
    /// All members, in the same order everywhere.
    pub members: Vec<Name>,
    /// The view's identity.
    pub id: GroupId,
    /// The sets of members that came here together; for a join, leave or disconnect the one member that changed.
    pub vs_sets: Vec<Vec<Name>>,
    /// Which of the sets contains this client.
    pub own: usize,
}

impl Mailbox {
    /// Waits for the next message, however long it is.
    pub fn receive(&self) -> Result<Received, ReceiveError> {
        self.check()?;
        let mut receiving = self.receiving.lock();
        let frame = self.next_frame(&mut receiving)?;
        let Some((mut groups, mut body)) = memory_for(&frame) else {
            receiving.offered = Some(frame.header);
            return Err(ReceiveError::TooLong);
        };
        let mut slices = [IoSliceMut::new(&mut body)];
        let mut room = Room { groups: &mut groups, body: &mut slices, excess: Excess::Drop };
        let envelope = self.take(&mut receiving.ahead, &frame, &mut room).map_err(|error| self.lost(error))?;
        drop(receiving);
        received(envelope, groups.iter().map(Name::from_field).collect(), body).ok_or(ReceiveError::Malformed)
    }
}

/// Groups and body, zeroed.
type Memory = (Vec<[u8; Name::SIZE]>, Vec<u8>);

fn memory_for(frame: &Frame) -> Option<Memory> {
    let total = frame.groups.saturating_mul(Name::SIZE).saturating_add(frame.body_len);
    (total <= RECEIVE_LIMIT).then(|| (vec![[0; Name::SIZE]; frame.groups], vec![0; frame.body_len]))
}

fn received(envelope: MessageHead, groups: Vec<Name>, body: Vec<u8>) -> Option<Received> {
    let MessageHead { kind, sender, mess_type, foreign_order, .. } = envelope;
    let is_view = kind.contains(FrameType::REG_MEMB);
    Some(match kind {
        _ if kind.contains(FrameType::REJECT) || !kind.intersects(FrameType::MEMBERSHIP) => {
            let message = Message { kind, sender, groups, mess_type, foreign_order, body };
            if kind.contains(FrameType::REJECT) { Received::Refused(message) } else { Received::Message(message) }
        }
        _ if is_view => {
            let MembershipBody { id, vs_sets, own } = MembershipBody::decode(&body, ByteOrder::NATIVE).ok()?;
            Received::View(View { group: sender, cause: cause(kind)?, members: groups, id, vs_sets, own })
        }
        _ if kind.contains(FrameType::TRANSITION) => {
            Received::Transition(sender, GroupId::decode(&body, ByteOrder::NATIVE).ok()?)
        }
        _ if kind.contains(FrameType::CAUSED_BY_LEAVE) => Received::Left(sender),
        _ => return None,
    })
}

fn cause(kind: FrameType) -> Option<Cause> {
    [Cause::Join, Cause::Leave, Cause::Disconnect, Cause::Network]
        .into_iter()
        .find(|&cause| kind.contains(cause.into()))
}
