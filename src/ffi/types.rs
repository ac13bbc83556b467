//! The types and constants of the header, with the sizes and values that existing programs were compiled with.
//!
//! The structures have the tags of the classic headers: C programs declare them ahead or use the plain names as tags of
//! their own, and C++ makes symbols of them.

use std::ffi::{c_char, c_int, c_uint};

/// The port at which clients find a daemon unless told otherwise.
pub const DEFAULT_SPREAD_PORT: c_int = 4803;

/// Bytes of a group name, the NUL included.
pub const MAX_GROUP_NAME: usize = 32;
/// Characters of a private name, without a NUL.
pub const MAX_PRIVATE_NAME: c_int = 10;
/// Bytes of a daemon name, the NUL included.
pub const MAX_PROC_NAME: c_int = 20;
/// Elements of a scatter.
pub const MAX_CLIENT_SCATTER_ELEMENTS: usize = 100;

/// Service: may be lost, no order.
pub const UNRELIABLE_MESS: c_int = 1;
/// Service: arrives, no order.
pub const RELIABLE_MESS: c_int = 1 << 1;
/// Service: in the order of each sender.
pub const FIFO_MESS: c_int = 1 << 2;
/// Service: after all messages that its sender had seen.
pub const CAUSAL_MESS: c_int = 1 << 3;
/// Service: in one order at all receivers.
pub const AGREED_MESS: c_int = 1 << 4;
/// Service: in one order, and only after all daemons have it.
pub const SAFE_MESS: c_int = 1 << 5;
/// All service bits.
pub const REGULAR_MESS: c_int = 63;
/// The sender does not receive its own message.
pub const SELF_DISCARD: c_int = 1 << 6;

/// A membership change because a member joined.
pub const CAUSED_BY_JOIN: c_int = 1 << 8;
/// A membership change because a member left; alone, your own membership has ended.
pub const CAUSED_BY_LEAVE: c_int = 1 << 9;
/// A membership change because a member disconnected.
pub const CAUSED_BY_DISCONNECT: c_int = 1 << 10;
/// A membership change because daemons came or went.
pub const CAUSED_BY_NETWORK: c_int = 1 << 11;
/// A regular membership message.
pub const REG_MEMB_MESS: c_int = 1 << 12;
/// A transitional membership message.
pub const TRANSITION_MESS: c_int = 1 << 13;
/// All membership bits.
pub const MEMBERSHIP_MESS: c_int = 63 << 8;

/// Bits that programs must not use.
pub const RESERVED: c_int = 255 << 14;
/// Your own message, which access control refused.
pub const REJECT_MESS: c_int = 1 << 22;
/// For the receive functions: store the part of the message that fits, and drop the rest.
pub const DROP_RECV: c_int = 1 << 24;

/// The result of connecting.
pub const ACCEPT_SESSION: c_int = 1;
/// The daemon's name is invalid, or its host is unknown.
pub const ILLEGAL_SPREAD: c_int = -1;
/// No daemon was reached.
pub const COULD_NOT_CONNECT: c_int = -2;
/// The daemon, or this process, has too many connections.
pub const REJECT_QUOTA: c_int = -3;
/// A name is missing.
pub const REJECT_NO_NAME: c_int = -4;
/// The private name has a wrong length or character.
pub const REJECT_ILLEGAL_NAME: c_int = -5;
/// The private name is in use at this daemon.
pub const REJECT_NOT_UNIQUE: c_int = -6;
/// The versions of library and daemon are incompatible.
pub const REJECT_VERSION: c_int = -7;
/// The connection broke or was closed during this call.
pub const CONNECTION_CLOSED: c_int = -8;
/// Authentication or access control failed.
pub const REJECT_AUTH: c_int = -9;
/// There is no such mailbox.
pub const ILLEGAL_SESSION: c_int = -11;
/// The service type has no service bit.
pub const ILLEGAL_SERVICE: c_int = -12;
/// The message is malformed or of the wrong kind.
pub const ILLEGAL_MESSAGE: c_int = -13;
/// The group name is not allowed.
pub const ILLEGAL_GROUP: c_int = -14;
/// The message does not fit the buffer.
pub const BUFFER_TOO_SHORT: c_int = -15;
/// The groups do not fit the array.
pub const GROUPS_TOO_SHORT: c_int = -16;
/// The message and its groups exceed the limit.
pub const MESSAGE_TOO_LONG: c_int = -17;
/// An earlier call found the connection broken; only SP_disconnect still works.
pub const NET_ERROR_ON_SESSION: c_int = -18;
/// An error inside the library.
pub const SP_BUG: c_int = -19;

/// A connection to a daemon. It is the descriptor of a socket: select and poll take it.
pub type mailbox = c_int;

/// The kind of a message: service and other bits.
pub type service = c_int;

/// Some bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dummy_scat_element {
    /// Where they are.
    pub buf: *mut c_char,
    /// How many there are.
    pub len: usize,
}
/// The name that programs use.
pub type scat_element = dummy_scat_element;

/// A message in several pieces.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dummy_scatter {
    /// How many pieces there are.
    pub num_elements: usize,
    /// The pieces in order.
    pub elements: [scat_element; MAX_CLIENT_SCATTER_ELEMENTS],
}
/// The name that programs use.
pub type scatter = dummy_scatter;

/// The identity of one view of a group. Compare with SP_equal_group_ids.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct dummy_group_id {
    /// Three numbers that have no meaning by themselves.
    pub id: [c_int; 3],
}
/// The name that programs use.
pub type group_id = dummy_group_id;

/// Members of a group that came to its view together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct dummy_vs_set_info {
    /// How many there are.
    pub num_members: c_uint,
    /// Where their names begin in the membership message.
    pub members_offset: c_uint,
}
/// The name that programs use.
pub type vs_set_info = dummy_vs_set_info;

/// The contents of a membership message.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dummy_membership_info {
    /// The view.
    pub gid: group_id,
    /// Who joined, left or disconnected.
    pub changed_member: [c_char; MAX_GROUP_NAME],
    /// How many sets of members came together.
    pub num_vs_sets: c_uint,
    /// The set that the receiver belongs to.
    pub my_vs_set: vs_set_info,
}
/// The name that programs use.
pub type membership_info = dummy_membership_info;
