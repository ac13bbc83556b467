//! Access control: what a site does not let its clients do, however they have shown who they are.
//!
//! A program that runs a daemon of its own may give it a policy; a daemon from a configuration file has none and permits everything.
//! What a policy refuses comes back to its sender as a reject frame, unless the sender wants nothing of its own back.

use crate::wire::{FrameHeader, FrameType, Name, decode_names};

/// Whether a client, known by its private group, may do this.
pub type Policy = fn(client: &Name, attempt: &Attempt<'_>) -> bool;

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Have a session; asked when it has shown who it is.
    Connect,
    /// Join this group.
    Join(Name),
    /// Leave this group.
    Leave(Name),
    /// Send to one private group.
    Unicast {
        /// Whose it is.
        to: Name,
        /// The application's message type.
        mess_type: i16,
    },
    /// Send to groups.
    Multicast {
        /// The destinations, as the client wrote them.
        to: &'a [Name],
        /// The application's message type.
        mess_type: i16,
    },
}

/// Whether a policy lets a checked frame through.
pub(super) fn permits(policy: Policy, header: &FrameHeader, frame: &[u8]) -> bool {
    let groups = usize::try_from(header.groups).unwrap_or(0);
    let names: Vec<Name> = decode_names(&frame[FrameHeader::SIZE..]).take(groups).collect();
    let mess_type = header.hint.mess_type();
    let attempt = match names[..] {
        [group, ..] if header.kind.contains(FrameType::JOIN) => Attempt::Join(group),
        [group, ..] if header.kind.contains(FrameType::LEAVE) => Attempt::Leave(group),
        [to] if to.as_bytes().starts_with(b"#") => Attempt::Unicast { to, mess_type },
        _ => Attempt::Multicast { to: &names, mess_type },
    };
    policy(&header.name, &attempt)
}
