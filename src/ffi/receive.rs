//! Receiving, and what a call's many results mean.

use std::ffi::{c_char, c_int, c_short};
use std::io::IoSliceMut;

use super::connect::find;
use super::errors::Code;
use super::types::*;
use super::{guard, memory};
use crate::client::{Excess, Fate, MessageHead, Room};
use crate::wire::FrameType;

/// Where a program wants the properties of a message.
pub(super) struct Outputs<'a> {
    service_type: &'a mut service,
    sender: &'a mut [u8; MAX_GROUP_NAME],
    num_groups: &'a mut c_int,
    /// How many groups the program has room for; below zero not even for a message without groups.
    max_groups: c_int,
    groups: &'a mut [[u8; MAX_GROUP_NAME]],
    mess_type: &'a mut c_short,
    endian_mismatch: &'a mut c_int,
}

/// Waits for a message and returns the length of its body. As an input service_type may have DROP_RECV. Without it, if
/// groups or body do not fit, the call returns GROUPS_TOO_SHORT with the negated number of groups in num_groups, or
/// BUFFER_TOO_SHORT with the negated length in endian_mismatch, and the next call returns the same message again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_receive(
    mbox: mailbox,
    service_type: *mut service,
    sender: *mut c_char,
    max_groups: c_int,
    num_groups: *mut c_int,
    groups: *mut [c_char; MAX_GROUP_NAME],
    mess_type: *mut c_short,
    endian_mismatch: *mut c_int,
    max_mess_len: c_int,
    mess: *mut c_char,
) -> c_int {
    guard(|| {
        let mut outputs =
            // SAFETY: the caller has all of this.
            unsafe { outputs(service_type, sender, (max_groups, groups), num_groups, mess_type, endian_mismatch)? };
        // SAFETY: the caller has this many bytes.
        let body = unsafe { memory::bytes_mut(mess, max_mess_len)? };
        receive(mbox, &mut outputs, &mut [IoSliceMut::new(body)])
    })
}

/// Like SP_receive, with the body spread over the elements of a scatter in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_scat_receive(
    mbox: mailbox,
    service_type: *mut service,
    sender: *mut c_char,
    max_groups: c_int,
    num_groups: *mut c_int,
    groups: *mut [c_char; MAX_GROUP_NAME],
    mess_type: *mut c_short,
    endian_mismatch: *mut c_int,
    scat_mess: *mut scatter,
) -> c_int {
    guard(|| {
        let mut outputs =
            // SAFETY: the caller has all of this.
            unsafe { outputs(service_type, sender, (max_groups, groups), num_groups, mess_type, endian_mismatch)? };
        // SAFETY: the caller has a scatter.
        let mut body = unsafe { memory::pieces_mut(scat_mess)? };
        receive(mbox, &mut outputs, &mut body)
    })
}

/// The number of bytes that can be received, headers included; 0 if none. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn SP_poll(mbox: mailbox) -> c_int {
    guard(|| Ok(c_int::try_from(find(mbox)?.bytes_waiting()).unwrap_or(c_int::MAX)))
}

pub(super) unsafe fn outputs<'a>(
    service_type: *mut service,
    sender: *mut c_char,
    (max_groups, groups): (c_int, *mut [c_char; MAX_GROUP_NAME]),
    num_groups: *mut c_int,
    mess_type: *mut c_short,
    endian_mismatch: *mut c_int,
) -> Result<Outputs<'a>, Code> {
    let length = usize::try_from(max_groups).unwrap_or(0);
    // SAFETY: the caller has this many groups, and numbers, and an array of 32 bytes; char arrays are byte arrays.
    unsafe {
        Ok(Outputs {
            service_type: service_type.as_mut().ok_or(Code(ILLEGAL_SERVICE))?,
            sender: sender.cast::<[u8; MAX_GROUP_NAME]>().as_mut().ok_or(Code(ILLEGAL_MESSAGE))?,
            num_groups: num_groups.as_mut().ok_or(Code(ILLEGAL_GROUP))?,
            max_groups,
            groups: memory::array_mut(groups.cast::<[u8; MAX_GROUP_NAME]>(), length).ok_or(Code(ILLEGAL_GROUP))?,
            mess_type: mess_type.as_mut().ok_or(Code(ILLEGAL_MESSAGE))?,
            endian_mismatch: endian_mismatch.as_mut().ok_or(Code(ILLEGAL_MESSAGE))?,
        })
    }
}

impl Outputs<'_> {
    /// The bits of service_type when it is an input.
    pub(super) fn wish(&self) -> FrameType {
        FrameType(*self.service_type as u32)
    }

    /// Where the message goes, and how long a body fits there.
    pub(super) fn room<'r, 'b>(&'r mut self, body: &'r mut [IoSliceMut<'b>]) -> (Room<'r, 'b>, usize) {
        let excess = match self.max_groups {
            // The classic library compares the numbers before it looks at DROP_RECV.
            ..0 => Excess::KeepAll,
            _ if self.wish().contains(FrameType::DROP_RECV) => Excess::Drop,
            _ => Excess::Keep,
        };
        let length = body.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.len()));
        (Room { groups: self.groups, body, excess }, length)
    }
}

fn receive(mbox: mailbox, outputs: &mut Outputs<'_>, body: &mut [IoSliceMut<'_>]) -> Result<c_int, Code> {
    let (mut room, body_room) = outputs.room(body);
    let envelope = find(mbox)?.receive_into(&mut room)?;
    report(&envelope, outputs, body_room)
}

/// Fills in the results. A number that does not fit its room is reported negative; where depends on the message's fate.
pub(super) fn report(envelope: &MessageHead, outputs: &mut Outputs<'_>, body_room: usize) -> Result<c_int, Code> {
    let number = |length: usize| c_int::try_from(length).expect("a frame's numbers are 32 bits");
    let (groups, body_len) = (number(envelope.groups), number(envelope.body_len));
    let (groups_short, body_short) = (groups > outputs.max_groups, envelope.body_len > body_room);
    *outputs.service_type = envelope.kind.0 as service;
    *outputs.sender = *envelope.sender.field();
    *outputs.mess_type = envelope.mess_type;
    match envelope.fate {
        Fate::Kept => {
            *outputs.num_groups = if groups_short { -groups } else { 0 };
            *outputs.endian_mismatch = if body_short { -body_len } else { 0 };
            Err(Code(if groups_short { GROUPS_TOO_SHORT } else { BUFFER_TOO_SHORT }))
        }
        Fate::Taken => {
            *outputs.num_groups = if groups_short { -groups } else { groups };
            *outputs.endian_mismatch = c_int::from(envelope.foreign_order);
            if body_short { Err(Code(BUFFER_TOO_SHORT)) } else { Ok(body_len) }
        }
    }
}
