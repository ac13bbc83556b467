//! Joining, leaving and sending.

use std::ffi::{c_char, c_int, c_short};
use std::io::IoSlice;

use super::connect::find;
use super::errors::Code;
use super::types::*;
use super::{guard, memory};
use crate::wire::{FrameType, Name};

/// Requests to join a group. Returns 0 when the request is sent; a membership message follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_join(mbox: mailbox, group: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the caller has a C string or NULL.
        let group = unsafe { memory::name(group) }.ok_or(Code(ILLEGAL_GROUP))?;
        find(mbox)?.join(group)?;
        Ok(0)
    })
}

/// Requests to leave a group. Returns 0 when the request is sent; a membership message follows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_leave(mbox: mailbox, group: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the caller has a C string or NULL.
        let group = unsafe { memory::name(group) }.ok_or(Code(ILLEGAL_GROUP))?;
        find(mbox)?.leave(group)?;
        Ok(0)
    })
}

/// Sends a message to a group or private group. Returns the number of bytes sent, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_multicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    mess_type: c_short,
    mess_len: c_int,
    mess: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has a C string and this many bytes.
        let (group, body) = unsafe { (memory::cut_name(group)?, memory::bytes(mess, mess_len)?) };
        send(mbox, service_type, &[group], mess_type, &[IoSlice::new(body)])
    })
}

/// Sends a message in pieces to a group or private group. Returns the number of bytes sent, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_scat_multicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    mess_type: c_short,
    scat_mess: *const scatter,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has a C string and a scatter.
        let (group, body) = unsafe { (memory::cut_name(group)?, memory::pieces(scat_mess)?) };
        send(mbox, service_type, &[group], mess_type, &body)
    })
}

/// Sends a message to several groups. A member of several of them receives it once. Returns the number of bytes sent,
/// or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_multigroup_multicast(
    mbox: mailbox,
    service_type: service,
    num_groups: c_int,
    groups: *const [c_char; MAX_GROUP_NAME],
    mess_type: c_short,
    mess_len: c_int,
    mess: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has this many groups and bytes.
        let (groups, body) = unsafe { (memory::names(groups, num_groups)?, memory::bytes(mess, mess_len)?) };
        send(mbox, service_type, &groups, mess_type, &[IoSlice::new(body)])
    })
}

/// Sends a message in pieces to several groups. Returns the number of bytes sent, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_multigroup_scat_multicast(
    mbox: mailbox,
    service_type: service,
    num_groups: c_int,
    groups: *const [c_char; MAX_GROUP_NAME],
    mess_type: c_short,
    scat_mess: *const scatter,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has this many groups and a scatter.
        let (groups, body) = unsafe { (memory::names(groups, num_groups)?, memory::pieces(scat_mess)?) };
        send(mbox, service_type, &groups, mess_type, &body)
    })
}

fn send(
    mbox: mailbox,
    service_type: service,
    groups: &[Name],
    mess_type: c_short,
    body: &[IoSlice<'_>],
) -> Result<c_int, Code> {
    let kind = FrameType(service_type as u32);
    if !kind.intersects(FrameType::SERVICES) {
        return Err(Code(ILLEGAL_SERVICE));
    }
    find(mbox)?.multicast_slices(kind, groups, mess_type, body)?;
    let sent: usize = body.iter().map(|piece| piece.len()).sum();
    Ok(c_int::try_from(sent).expect("what was sent is below the message limit"))
}
