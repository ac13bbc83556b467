//! A client: what it asks for, and what its socket got, frame by frame.

use std::fmt;

use spread::groups::SessionId;
use spread::wire::{ByteOrder, FrameHeader, FrameType, GroupId, Hint, MembershipBody, Name, Payload, Service};

/// A name from text.
pub fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

/// One frame that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Data { id: u64, service: Service, groups: Vec<Name> },
    View(View),
    Transition { group: Name, id: GroupId },
    SelfLeave { group: Name },
}

/// A regular membership that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub cause: FrameType,
    pub group: Name,
    pub id: GroupId,
    pub members: Vec<Name>,
    pub sets: Vec<Vec<Name>>,
    pub own: usize,
}

/// A client of the model and everything it got.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: SessionId,
    pub daemon: u32,
    pub name: Name,
    pub wants_membership: bool,
    pub log: Vec<Entry>,
    /// Neither disconnected nor lost with its daemon.
    pub alive: bool,
    /// Its daemon crashed.
    pub lost: bool,
    /// Its name is free again.
    pub released: bool,
}

/// A data frame with a message number for a body.
pub fn data_frame(kind: FrameType, sender: Name, groups: &[Name], id: u64) -> Payload {
    let header = FrameHeader {
        kind,
        name: sender,
        groups: groups.len() as i32,
        hint: Hint::new(0, ByteOrder::Little),
        data_len: 8,
        order: ByteOrder::Little,
    };
    let mut bytes = header.encode().to_vec();
    groups.iter().for_each(|group| bytes.extend_from_slice(group.field()));
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.into()
}

/// Reads any frame that a daemon sends to a client.
pub fn read_frame(frame: &Payload) -> Entry {
    let bytes = frame.contiguous();
    let header = FrameHeader::decode(bytes.first_chunk().unwrap());
    assert_eq!(header.body_len(), Some(bytes.len() - FrameHeader::SIZE));
    let (names, body) = bytes[FrameHeader::SIZE..].split_at(header.groups as usize * Name::SIZE);
    let names: Vec<Name> = names.as_chunks().0.iter().map(Name::from_field).collect();
    let group = header.name;
    if let Some(service) = header.kind.service() {
        return Entry::Data { id: u64::from_be_bytes(body.try_into().unwrap()), service, groups: names };
    }
    if header.kind.contains(FrameType::REG_MEMB) {
        let cause = FrameType(header.kind.0 & !FrameType::REG_MEMB.0);
        let MembershipBody { id, vs_sets: sets, own } = MembershipBody::decode(body, ByteOrder::Little).unwrap();
        return Entry::View(View { cause, group, id, members: names, sets, own });
    }
    if header.kind == FrameType::TRANSITION {
        return Entry::Transition { group, id: GroupId::decode(body, ByteOrder::Little).unwrap() };
    }
    assert_eq!((header.kind, names.len(), body.len()), (FrameType::CAUSED_BY_LEAVE, 0, 0));
    Entry::SelfLeave { group }
}

/// The private names of members, in a line.
fn short(names: &[Name]) -> String {
    let parts = names.iter().map(|name| name.private_parts().map_or(&b"?"[..], |(private, _)| private));
    parts.map(|part| part.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// Representative, sequence and counter; `t` marks the counter of a view that began after a transitional configuration.
fn id_text(id: GroupId) -> String {
    let [representative, sequence, counter] = id.0;
    let mark = if counter >> 31 == 1 { "t" } else { "" };
    format!("{representative}/{sequence}/{mark}{}", counter & (u32::MAX >> 1))
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Data { id, .. } => write!(f, "data {id}"),
            Entry::Transition { group, id } => write!(f, "{group} TRANSITION {}", id_text(*id)),
            Entry::SelfLeave { group } => write!(f, "{group} self-leave"),
            Entry::View(view) => {
                let cause = match view.cause {
                    FrameType::CAUSED_BY_JOIN => "JOIN",
                    FrameType::CAUSED_BY_LEAVE => "LEAVE",
                    FrameType::CAUSED_BY_DISCONNECT => "DISCONNECT",
                    FrameType::CAUSED_BY_NETWORK => "NETWORK",
                    other => panic!("cause {other:?}"),
                };
                let sets: Vec<String> = view.sets.iter().map(|set| format!("{{{}}}", short(set))).collect();
                let id = id_text(view.id);
                write!(f, "{} {cause} {id} [{}] {} own {}", view.group, short(&view.members), sets.join(" "), view.own)
            }
        }
    }
}
