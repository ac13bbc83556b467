//! The classic Flush functions over `client::flush`.

use std::ffi::{c_char, c_int, c_short};
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connect::{accepted, ignore_broken_pipes, options};
use super::errors::{Code, print_flush};
use super::receive::{Outputs, outputs, report};
use super::types::*;
use super::{guard, guard_or, inside, memory};
use crate::client::flush::{self, CastKind, FlushMailbox, LOWEST_MESS_TYPE, Wait};
use crate::client::registry;
use crate::wire::{FrameType, Name};

/// For the receive functions: return WOULD_BLOCK instead of waiting.
pub const DONT_BLOCK: c_int = 1 << 28;
/// A request to flush the group that is named as the sender.
pub const FLUSH_REQ_MESS: c_int = 1 << 29;
/// A message to some members of the group that is the last of its groups.
pub const SUBGROUP_CAST: c_int = 1 << 30;

/// An argument is not valid.
pub const ILLEGAL_PARAM: c_int = -24;
/// There is nothing to receive, and the caller asked not to wait.
pub const WOULD_BLOCK: c_int = -25;
/// The message type is below FL_MIN_LEGAL_MESS_TYPE.
pub const ILLEGAL_MESSAGE_TYPE: c_int = -26;
/// The call is not possible at this time.
pub const ILLEGAL_STATE: c_int = -27;
/// A receiver is not in the group's view.
pub const ILLEGAL_RECEIVERS: c_int = -28;

/// Elements of a scatter that is sent.
pub const FL_MAX_SCATTER_ELEMENTS: usize = 99;
/// The lowest message type that programs may use.
pub const FL_MIN_LEGAL_MESS_TYPE: c_int = -32765;

/// The version of the Flush interface.
const VERSION: [c_int; 3] = [2, 0, 0];

const _: () = assert!(
    DONT_BLOCK as u32 & flush::FLUSH_REQ.0 == 0
        && FLUSH_REQ_MESS as u32 == flush::FLUSH_REQ.0
        && SUBGROUP_CAST as u32 == flush::SUBGROUP.0
        && FL_MIN_LEGAL_MESS_TYPE == LOWEST_MESS_TYPE as c_int
);

/// Call this before any other function of the Flush layer. Returns 0, or ILLEGAL_STATE if it was called before.
#[unsafe(no_mangle)]
pub extern "C" fn FL_lib_init() -> c_int {
    guard(|| {
        static CALLED: AtomicBool = AtomicBool::new(false);
        if CALLED.swap(true, Ordering::Relaxed) { Err(Code(ILLEGAL_STATE)) } else { Ok(0) }
    })
}

/// The version of the Flush interface. A pointer may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_version(major_version: *mut c_int, minor_version: *mut c_int, patch_version: *mut c_int) {
    guard_or((), || {
        for (place, number) in [major_version, minor_version, patch_version].into_iter().zip(VERSION) {
            // SAFETY: the caller has a number there, or NULL.
            if let Some(place) = unsafe { place.as_mut() } {
                *place = number;
            }
        }
    });
}

/// Connects to a daemon like SP_connect, with membership messages. Neither daemon nor user may be NULL. Returns
/// ACCEPT_SESSION or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_connect(
    daemon: *const c_char,
    user: *const c_char,
    priority: c_int,
    mbox: *mut mailbox,
    private_name: *mut c_char,
) -> c_int {
    guard(|| {
        ignore_broken_pipes();
        // SAFETY: the caller has a mailbox and an array of 32 bytes there.
        let places = unsafe { (mbox.as_mut(), private_name.cast::<[u8; MAX_GROUP_NAME]>().as_mut()) };
        let (Some(mbox), Some(private_name)) = places else { return Err(Code(ILLEGAL_PARAM)) };
        if daemon.is_null() || user.is_null() {
            return Err(Code(ILLEGAL_PARAM));
        }
        // SAFETY: the caller has two C strings.
        let mailbox = inside::connect(&unsafe { options(daemon, user, priority, 1) })?;
        let opened = registry::enter_flush(FlushMailbox::new(Arc::new(mailbox)))?;
        Ok(accepted(opened.mailbox(), mbox, private_name))
    })
}

/// Closes a connection and waits until other threads have left the calls on it. Returns 0, or ILLEGAL_SESSION for an
/// unknown mailbox.
#[unsafe(no_mangle)]
pub extern "C" fn FL_disconnect(mbox: mailbox) -> c_int {
    guard(|| {
        registry::forget_flush(mbox).ok_or(Code(ILLEGAL_SESSION))?.disconnect();
        Ok(0)
    })
}

/// Requests to join a group. Its first view confirms that. Returns 0, or ILLEGAL_GROUP for a group that is joined
/// already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_join(mbox: mailbox, group: *const c_char) -> c_int {
    // SAFETY: the caller has a C string or NULL.
    guard(|| unsafe { with_group(mbox, group, FlushMailbox::join) })
}

/// Requests to leave a group of which a view was received. Returns 0, or ILLEGAL_GROUP for another group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_leave(mbox: mailbox, group: *const c_char) -> c_int {
    // SAFETY: the caller has a C string or NULL.
    guard(|| unsafe { with_group(mbox, group, FlushMailbox::leave) })
}

/// Allows the group's next view after a FLUSH_REQ_MESS. Until it comes, the program cannot send to the group. Returns 0,
/// ILLEGAL_GROUP for a group that is not joined, or ILLEGAL_STATE if there was no request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_flush(mbox: mailbox, group: *const c_char) -> c_int {
    // SAFETY: the caller has a C string or NULL.
    guard(|| unsafe { with_group(mbox, group, FlushMailbox::flush) })
}

/// Sends a message to all members of a joined group, or to a private group. Returns the number of bytes sent, or a
/// negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_multicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    mess_type: c_short,
    mess_len: c_int,
    mess: *const c_char,
) -> c_int {
    // SAFETY: the caller has a C string and this many bytes.
    guard(|| unsafe { cast(mbox, (service_type, mess_type), group, To::All, Body::Flat(mess, mess_len)) })
}

/// Like FL_multicast, with the message in several parts, at most FL_MAX_SCATTER_ELEMENTS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_scat_multicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    mess_type: c_short,
    scat_mess: *const scatter,
) -> c_int {
    // SAFETY: the caller has a C string and a scatter.
    guard(|| unsafe { cast(mbox, (service_type, mess_type), group, To::All, Body::Pieces(scat_mess)) })
}

/// Sends a message to one member of a joined group. Returns the number of bytes sent, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_unicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    receiver: *const c_char,
    mess_type: c_short,
    mess_len: c_int,
    mess: *const c_char,
) -> c_int {
    // SAFETY: the caller has C strings and this many bytes.
    guard(|| unsafe { cast(mbox, (service_type, mess_type), group, To::One(receiver), Body::Flat(mess, mess_len)) })
}

/// Like FL_unicast, with the message in several parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_scat_unicast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    receiver: *const c_char,
    mess_type: c_short,
    scat_mess: *const scatter,
) -> c_int {
    // SAFETY: the caller has C strings and a scatter.
    guard(|| unsafe { cast(mbox, (service_type, mess_type), group, To::One(receiver), Body::Pieces(scat_mess)) })
}

/// Sends a message to some members of a joined group. Returns the number of bytes sent, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_subgroupcast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    num_receivers: c_int,
    receivers: *mut [c_char; MAX_GROUP_NAME],
    mess_type: c_short,
    mess_len: c_int,
    mess: *const c_char,
) -> c_int {
    // SAFETY: the caller has a C string, and this many names and bytes.
    guard(|| unsafe {
        cast(mbox, (service_type, mess_type), group, To::Some(receivers, num_receivers), Body::Flat(mess, mess_len))
    })
}

/// Like FL_subgroupcast, with the message in several parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_scat_subgroupcast(
    mbox: mailbox,
    service_type: service,
    group: *const c_char,
    num_receivers: c_int,
    receivers: *mut [c_char; MAX_GROUP_NAME],
    mess_type: c_short,
    scat_mess: *const scatter,
) -> c_int {
    // SAFETY: the caller has a C string, this many names, and a scatter.
    guard(|| unsafe {
        cast(mbox, (service_type, mess_type), group, To::Some(receivers, num_receivers), Body::Pieces(scat_mess))
    })
}

/// Waits for a message like SP_receive. As an input service_type may have DROP_RECV and DONT_BLOCK. more_messages, which
/// may be NULL, receives the number of messages that the layer has already read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_receive(
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
    more_messages: *mut c_int,
) -> c_int {
    guard(|| {
        call_on(mbox, |flush| {
            let mut outputs =
                // SAFETY: the caller has all of this.
                unsafe { outputs(service_type, sender, (max_groups, groups), num_groups, mess_type, endian_mismatch)? };
            // SAFETY: the caller has this many bytes, and a number or NULL.
            let (body, more) = unsafe { (memory::bytes_mut(mess, max_mess_len)?, more_messages.as_mut()) };
            receive(flush, &mut outputs, &mut [IoSliceMut::new(body)], more)
        })
    })
}

/// Like FL_receive, with the body spread over the elements of a scatter in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FL_scat_receive(
    mbox: mailbox,
    service_type: *mut service,
    sender: *mut c_char,
    max_groups: c_int,
    num_groups: *mut c_int,
    groups: *mut [c_char; MAX_GROUP_NAME],
    mess_type: *mut c_short,
    endian_mismatch: *mut c_int,
    scat_mess: *mut scatter,
    more_messages: *mut c_int,
) -> c_int {
    guard(|| {
        call_on(mbox, |flush| {
            let mut outputs =
                // SAFETY: the caller has all of this.
                unsafe { outputs(service_type, sender, (max_groups, groups), num_groups, mess_type, endian_mismatch)? };
            // SAFETY: the caller has a scatter, and a number or NULL.
            let (mut body, more) = unsafe { (memory::pieces_mut(scat_mess)?, more_messages.as_mut()) };
            receive(flush, &mut outputs, &mut body, more)
        })
    })
}

/// The number of messages that the layer has already read.
#[unsafe(no_mangle)]
pub extern "C" fn FL_more_msgs(mbox: mailbox) -> c_int {
    guard(|| Ok(number(find(mbox)?.messages_waiting())))
}

/// The number of bytes that can be received, headers included; 0 if none. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn FL_poll(mbox: mailbox) -> c_int {
    guard(|| Ok(number(find(mbox)?.bytes_waiting())))
}

/// Prints a line about an error code to standard output, including the codes of SP_error.
#[unsafe(no_mangle)]
pub extern "C" fn FL_error(error: c_int) {
    guard_or((), || print_flush(error));
}

/// The offset of the group id in the body of a view.
#[unsafe(no_mangle)]
pub extern "C" fn FL_get_gid_offset_memb_mess() -> c_int {
    guard(|| Ok(number(flush::VIEW_ID)))
}

/// The offset of the number of members that came together in the body of a view.
#[unsafe(no_mangle)]
pub extern "C" fn FL_get_num_vs_offset_memb_mess() -> c_int {
    guard(|| Ok(number(flush::VIEW_COUNT)))
}

/// The offset of the names of the members that came together in the body of a view.
#[unsafe(no_mangle)]
pub extern "C" fn FL_get_vs_set_offset_memb_mess() -> c_int {
    guard(|| Ok(number(flush::VIEW_NAMES)))
}

fn find(mbox: mailbox) -> Result<Arc<FlushMailbox>, Code> {
    registry::find_flush(mbox).ok_or(Code(ILLEGAL_SESSION))
}

/// Makes a call on a mailbox. If the call finds the connection broken, the mailbox ends too. Programs rely on that: they
/// connect again without a disconnect.
fn call_on(mbox: mailbox, call: impl FnOnce(&FlushMailbox) -> Result<c_int, Code>) -> Result<c_int, Code> {
    let flush = find(mbox)?;
    let result = call(&flush);
    if result == Err(Code(CONNECTION_CLOSED)) {
        registry::forget_this(&flush);
        flush.mailbox().disconnect();
    }
    result
}

unsafe fn with_group<E: Into<Code>>(
    mbox: mailbox,
    group: *const c_char,
    call: fn(&FlushMailbox, Name) -> Result<(), E>,
) -> Result<c_int, Code> {
    call_on(mbox, |flush| {
        // SAFETY: the caller has a C string or NULL.
        let group = unsafe { memory::name(group) }.ok_or(Code(ILLEGAL_GROUP))?;
        call(flush, group).map(|()| 0).map_err(Into::into)
    })
}

/// Whom a message is for, as programs say it.
enum To {
    All,
    One(*const c_char),
    Some(*const [c_char; MAX_GROUP_NAME], c_int),
}

/// A body to send, as programs hand it over.
enum Body {
    Flat(*const c_char, c_int),
    Pieces(*const scatter),
}

/// Sends a message, with the classic order of checks. The caller has what the pointers promise.
unsafe fn cast(
    mbox: mailbox,
    (service_type, mess_type): (service, c_short),
    group: *const c_char,
    to: To,
    body: Body,
) -> Result<c_int, Code> {
    call_on(mbox, |flush| {
        let some = match to {
            // SAFETY: the caller has this many names.
            To::Some(receivers, count) => unsafe { receiver_names(receivers, count)? },
            To::All | To::One(_) => Vec::new(),
        };
        let kind = CastKind::new(FrameType(service_type as u32), mess_type)?;
        // SAFETY: the caller has this many bytes, or a scatter, and a C string.
        let (body, group) = unsafe { (pieces(body)?, memory::cut_name(group)?) };
        match to {
            To::All => flush.multicast(kind, group, &body)?,
            // SAFETY: the caller has a C string.
            To::One(receiver) => flush.subgroup_cast(kind, group, &[unsafe { receiver_name(receiver)? }], &body)?,
            To::Some(..) => flush.subgroup_cast(kind, group, &some, &body)?,
        }
        Ok(number(body.iter().map(|piece| piece.len()).sum()))
    })
}

unsafe fn receiver_name(receiver: *const c_char) -> Result<Name, Code> {
    // SAFETY: the caller has a C string or NULL.
    unsafe { memory::name(receiver) }.ok_or(Code(ILLEGAL_RECEIVERS))
}

unsafe fn receiver_names(receivers: *const [c_char; MAX_GROUP_NAME], count: c_int) -> Result<Vec<Name>, Code> {
    if count < 0 || (count > 0 && receivers.is_null()) {
        return Err(Code(ILLEGAL_PARAM));
    }
    // SAFETY: the caller has this many names.
    unsafe { memory::names(receivers, count) }
}

unsafe fn pieces<'a>(body: Body) -> Result<Vec<IoSlice<'a>>, Code> {
    let pieces = match body {
        // SAFETY: the caller has this many bytes.
        Body::Flat(start, length) => vec![IoSlice::new(unsafe { memory::bytes(start, length)? })],
        // SAFETY: the caller has a scatter or NULL.
        Body::Pieces(message) => unsafe {
            if message.as_ref().is_some_and(|message| message.num_elements > FL_MAX_SCATTER_ELEMENTS) {
                return Err(Code(ILLEGAL_MESSAGE));
            }
            memory::pieces(message)?
        },
    };
    Ok(pieces)
}

fn number(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

fn receive(
    flush: &FlushMailbox,
    outputs: &mut Outputs<'_>,
    body: &mut [IoSliceMut<'_>],
    more_messages: Option<&mut c_int>,
) -> Result<c_int, Code> {
    let wait = if outputs.wish().contains(FrameType(DONT_BLOCK as u32)) { Wait::No } else { Wait::Yes };
    let (mut room, body_room) = outputs.room(body);
    let (envelope, more) = flush.receive_into(&mut room, wait)?;
    if let Some(place) = more_messages {
        *place = number(more);
    }
    report(&envelope, outputs, body_room)
}
