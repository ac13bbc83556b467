//! The frames between a simulated client and its daemon, as bytes.

use spread::wire::{ByteOrder, FrameHeader, FrameType, GroupId, Hint, MembershipBody, Name, decode_names};

use super::journal::{Entry, Sent, View};
use crate::trace::{is_payload, payload, stamp};

/// A frame without data: join, leave, kill.
pub fn request(kind: FrameType, client: Name, groups: &[Name]) -> Vec<u8> {
    frame(kind, client, groups, &[])
}

/// A message.
pub fn message(number: usize, sent: &Sent, client: Name) -> Vec<u8> {
    frame(kind(sent), client, &sent.groups, &payload(number, sent.size))
}

/// The next whole frame in front of `bytes`, and its length.
pub fn next(bytes: &[u8]) -> Option<usize> {
    let header = FrameHeader::decode(bytes.first_chunk()?);
    let body = header.body_len().expect("daemons send sound headers");
    (bytes.len() >= FrameHeader::SIZE + body).then_some(FrameHeader::SIZE + body)
}

/// What a frame says, or what is wrong with it.
pub fn read(frame: &[u8], messages: &[Sent], name_of: impl Fn(&Sent) -> Name) -> Result<Entry, String> {
    let (header, body) = frame.split_first_chunk().expect("a whole frame has a header");
    let header = FrameHeader::decode(header);
    let (names, data) = body.split_at(header.groups as usize * Name::SIZE);
    let names: Vec<Name> = decode_names(names).collect();
    if !header.kind.intersects(FrameType::SERVICES) {
        return membership(&header, names, data);
    }
    let genuine = |number: usize| {
        let sent = messages.get(number)?;
        let same = header.kind == kind(sent) && names == sent.groups && header.name == name_of(sent);
        (same && is_payload(number, sent.size, [data])).then_some(Entry::Data(number))
    };
    stamp(data).and_then(genuine).ok_or_else(|| format!("{} bytes of {} to {names:?}", data.len(), header.name))
}

fn membership(header: &FrameHeader, members: Vec<Name>, data: &[u8]) -> Result<Entry, String> {
    let group = header.name;
    if header.kind.contains(FrameType::REG_MEMB) {
        let cause = FrameType(header.kind.0 & !FrameType::REG_MEMB.0);
        let MembershipBody { id, vs_sets: sets, own } =
            MembershipBody::decode(data, header.order).map_err(|error| format!("a view of {group}: {error}"))?;
        return Ok(Entry::View(View { cause, group, id, members, sets, own }));
    }
    match (header.kind, members.len(), data.len()) {
        (FrameType::TRANSITION, 0, GroupId::SIZE) => {
            let id = GroupId::decode(data, header.order).expect("it is as long as an id");
            Ok(Entry::Transition { group, id })
        }
        (FrameType::CAUSED_BY_LEAVE, 0, 0) => Ok(Entry::SelfLeave { group }),
        (kind, members, data) => Err(format!("{kind:?} of {group} with {members} members, {data} bytes")),
    }
}

fn kind(sent: &Sent) -> FrameType {
    let service = FrameType::from(sent.service);
    if sent.discard { service | FrameType::SELF_DISCARD } else { service }
}

fn frame(kind: FrameType, client: Name, groups: &[Name], data: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        name: client,
        groups: groups.len() as i32,
        hint: Hint::new(0, ByteOrder::Little),
        data_len: data.len() as i32,
        order: ByteOrder::Little,
    };
    let mut bytes = header.encode().to_vec();
    groups.iter().for_each(|group| bytes.extend_from_slice(group.field()));
    bytes.extend_from_slice(data);
    bytes
}
