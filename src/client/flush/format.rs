//! The data that the Flush layer adds to ordinary messages. The daemon does not know of it.
//!
//! ```text
//! message type  body
//!       -32768  group id (12)                                       flush ok
//!       -32767  group id (12)                                       flush received
//!       -32766  user's body, user's message type (2), group id (12)  vulnerable: sent before all were in the view
//!        other  user's body
//! ```
//!
//! A subgroup cast has [`SUBGROUP`] in its type, goes to its receivers' private groups, and its body ends with the name
//! of the group (32), behind everything else. Numbers are in the sender's byte order.

use crate::client::Message;
use crate::wire::{ByteOrder, FrameType, GroupId, Name};

/// A message of the library to its program: flush this group.
pub const FLUSH_REQ: FrameType = FrameType(0x2000_0000);
/// A message to some members of a group.
pub const SUBGROUP: FrameType = FrameType(0x4000_0000);

/// The lowest message type that programs may use.
pub const LOWEST_MESS_TYPE: i16 = -32_765;

const FLUSH_OK: i16 = -32_768;
const FLUSH_RECEIVED: i16 = -32_767;
const VULNERABLE: i16 = -32_766;

/// The byte order that is not ours.
const FOREIGN: ByteOrder = match ByteOrder::NATIVE {
    ByteOrder::Little => ByteOrder::Big,
    ByteOrder::Big => ByteOrder::Little,
};

/// A message between members about a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The sender sends nothing more until this view.
    FlushOk(GroupId),
    /// The sender has entered this view.
    FlushReceived(GroupId),
}

impl Control {
    /// Message type and body.
    pub fn encode(self) -> (i16, [u8; GroupId::SIZE]) {
        match self {
            Control::FlushOk(id) => (FLUSH_OK, encode_id(id)),
            Control::FlushReceived(id) => (FLUSH_RECEIVED, encode_id(id)),
        }
    }
}

/// How a user's message goes out: its message type, and what follows the user's body.
pub fn enclose(mess_type: i16, vulnerable: Option<GroupId>, subgroup: Option<Name>) -> (i16, Vec<u8>) {
    let mut trailer = Vec::new();
    if let Some(view) = vulnerable {
        trailer.extend(mess_type.to_ne_bytes());
        trailer.extend(encode_id(view));
    }
    if let Some(group) = subgroup {
        trailer.extend(group.field());
    }
    (if vulnerable.is_some() { VULNERABLE } else { mess_type }, trailer)
}

/// The meaning of a message for the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// From library to library.
    Control(Control),
    /// For the program; a vulnerable message belongs to this view.
    Data(Option<GroupId>),
}

/// Removes the data of the layer from a message, so that the program's own message is left. The groups of a subgroup
/// cast are its receivers and then the group. `None` if the message is too short.
pub fn open(message: &mut Message) -> Option<Opened> {
    let order = if message.foreign_order { FOREIGN } else { ByteOrder::NATIVE };
    if let FLUSH_OK | FLUSH_RECEIVED = message.mess_type {
        if message.body.len() != GroupId::SIZE {
            return None;
        }
        let id = GroupId::decode(&message.body, order).ok()?;
        let is_ok = message.mess_type == FLUSH_OK;
        return Some(Opened::Control(if is_ok { Control::FlushOk(id) } else { Control::FlushReceived(id) }));
    }
    if message.kind.contains(SUBGROUP) {
        let group = split_last::<{ Name::SIZE }>(&mut message.body)?;
        message.groups.push(Name::from_field(&group));
    }
    if message.mess_type != VULNERABLE {
        return Some(Opened::Data(None));
    }
    let id = split_last::<{ GroupId::SIZE }>(&mut message.body)?;
    let mess_type = split_last(&mut message.body)?;
    message.mess_type = match order {
        ByteOrder::Little => i16::from_le_bytes(mess_type),
        ByteOrder::Big => i16::from_be_bytes(mess_type),
    };
    Some(Opened::Data(GroupId::decode(&id, order).ok()))
}

/// The body of a view: its id, then a number of names and the names.
pub fn encode_view(id: GroupId, names: &[Name]) -> Vec<u8> {
    let count = u32::try_from(names.len()).expect("a group has far fewer members than 32 bits can count");
    let mut body = encode_id(id).to_vec();
    body.extend(ByteOrder::NATIVE.field(count));
    names.iter().for_each(|name| body.extend(name.field()));
    body
}

/// Where a view's id lies in its body.
pub const VIEW_ID: usize = 0;
/// Where the number of names lies in a view's body.
pub const VIEW_COUNT: usize = GroupId::SIZE;
/// Where the names begin in a view's body.
pub const VIEW_NAMES: usize = VIEW_COUNT + 4;

fn encode_id(id: GroupId) -> [u8; GroupId::SIZE] {
    let mut bytes = [0; GroupId::SIZE];
    let (fields, _) = bytes.as_chunks_mut();
    fields.iter_mut().zip(id.0).for_each(|(field, number)| *field = ByteOrder::NATIVE.field(number));
    bytes
}

fn split_last<const N: usize>(bytes: &mut Vec<u8>) -> Option<[u8; N]> {
    let last = *bytes.last_chunk()?;
    bytes.truncate(bytes.len() - N);
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: GroupId = GroupId([1, 0x0102_0304, 7]);

    fn message(kind: FrameType, mess_type: i16, body: Vec<u8>) -> Message {
        let sender = Name::new(b"#a#d").unwrap();
        Message { kind, sender, groups: vec![sender], mess_type, foreign_order: false, body }
    }

    fn swapped(mut message: Message, numbers: &[std::ops::Range<usize>]) -> Message {
        message.foreign_order = true;
        numbers.iter().for_each(|number| message.body[number.clone()].reverse());
        message
    }

    #[test]
    fn controls_carry_a_group_id() {
        for control in [Control::FlushOk(ID), Control::FlushReceived(ID)] {
            let (mess_type, body) = control.encode();
            assert_eq!(body, [1u32, 0x0102_0304, 7].map(u32::to_ne_bytes).concat()[..]);
            let mut message = message(FrameType::FIFO, mess_type, body.to_vec());
            assert_eq!(open(&mut message), Some(Opened::Control(control)));
            assert_eq!(open(&mut swapped(message.clone(), &[0..4, 4..8, 8..12])), Some(Opened::Control(control)));
            message.body.push(0);
            assert_eq!(open(&mut message), None);
            message.body.truncate(11);
            assert_eq!(open(&mut message), None);
        }
        assert_eq!(Control::FlushOk(ID).encode().0, i16::MIN);
        assert_eq!(Control::FlushReceived(ID).encode().0, i16::MIN + 1);
    }

    #[test]
    fn a_plain_message_is_left_as_it_is() {
        let plain = message(FrameType::SAFE, 5, b"body".to_vec());
        assert_eq!(enclose(5, None, None), (5, vec![]));
        let mut opened = plain.clone();
        assert_eq!(open(&mut opened), Some(Opened::Data(None)));
        assert_eq!(opened, plain);
    }

    #[test]
    fn what_is_enclosed_comes_out_again_in_both_byte_orders() {
        let group = Name::new(b"g").unwrap();
        for (view, subgroup) in [(Some(ID), None), (None, Some(group)), (Some(ID), Some(group))] {
            let (mess_type, trailer) = enclose(0x0506, view, subgroup);
            assert_eq!(trailer.len(), if view.is_some() { 14 } else { 0 } + if subgroup.is_some() { 32 } else { 0 });
            let kind = if subgroup.is_some() { FrameType::FIFO | SUBGROUP } else { FrameType::FIFO };
            let sent = message(kind, mess_type, [b"body", &trailer[..]].concat());
            let mut data = message(kind, 0x0506, b"body".to_vec());
            data.groups.extend(subgroup);
            let numbers: &[_] = if view.is_some() { &[4..6, 6..10, 10..14, 14..18] } else { &[] };
            for mut opened in [sent.clone(), swapped(sent.clone(), numbers)] {
                assert_eq!(open(&mut opened), Some(Opened::Data(view)));
                assert_eq!(opened, Message { foreign_order: opened.foreign_order, ..data.clone() });
            }
            for length in 0..trailer.len() {
                let mut short = sent.clone();
                short.body.truncate(length);
                assert_eq!(open(&mut short), None);
            }
        }
    }

    #[test]
    fn a_view_has_an_id_and_names() {
        let names = [Name::new(b"#a#d").unwrap(), Name::new(b"#b#d").unwrap()];
        let body = encode_view(ID, &names);
        assert_eq!(body[VIEW_ID..VIEW_COUNT], encode_id(ID));
        assert_eq!(body[VIEW_COUNT..VIEW_NAMES], 2u32.to_ne_bytes());
        assert_eq!(body[VIEW_NAMES..], [*names[0].field(), *names[1].field()].concat());
    }
}
