//! Envelopes: the messages of the ring, which the group layers of the daemons send to each other.
//!
//! ```text
//! every envelope      kind u8, then by kind
//! 1 data              the client's frame, exactly as receivers' sockets get it, to the end
//! 2 join, 3 leave     member 32, group 32
//! 4 disconnect        member 32
//! 5 state             exchange   ring id the state is said for: sequence u64, representative u32
//!                     basis      ring id: sequence u64, representative u32
//!                     together   count u16, daemon ids u32 each
//!                     parts u32  how many state envelopes this daemon sends for this exchange
//!                     groups     count u16, each: name 32, id 3 × u32, broken u8 (0 or 1), count u16, members 32 each
//! 6 piece             ring id the piece is said in: sequence u64, representative u32
//!                     number u64, total length u32, offset u32, then bytes of a client's frame to the end
//! ```
//!
//! Names are NUL padded. Everything is big-endian, except that a frame keeps its own order.

use std::fmt;

use super::{DaemonId, DecodeError, GroupId, Name, Payload, Reader, RingId, Slice, Writer};

/// A message of one daemon's group layer to all, at one place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// A client's message: its frame.
    Data(Payload),
    /// A client of the sending daemon joins.
    Join {
        /// Its private group.
        member: Name,
        /// The group that it joins.
        group: Name,
    },
    /// A client of the sending daemon leaves.
    Leave {
        /// Its private group.
        member: Name,
        /// The group that it leaves.
        group: Name,
    },
    /// The session of a client of the sending daemon ended.
    Disconnect {
        /// Its private group.
        member: Name,
    },
    /// A part of the sending daemon's groups, sent once in each regular configuration.
    State(ExchangeState),
    /// A part of a client's large message.
    Piece(Piece),
}

/// A part of a client's frame. The frame has its place in the order where its last piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The regular configuration in which the frame is sent; the piece means nothing in another.
    pub ring: RingId,
    /// Which of the sending daemon's frames this is.
    pub number: u64,
    /// Bytes of the whole frame.
    pub total: u32,
    /// Where in the frame the bytes lie.
    pub offset: u32,
    /// The bytes.
    pub bytes: Payload,
}

/// A part of a daemon's state when group tables are exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeState {
    /// The regular configuration in which the tables are exchanged. A state for another one is ignored.
    pub exchange: RingId,
    /// Where the sender's table comes from.
    pub basis: Basis,
    /// How many parts the sender sends for this exchange, at least 1.
    pub parts: u32,
    /// Groups with members at the sender. A group with very many of them is continued in the next part.
    pub groups: Vec<GroupState>,
}

/// Where a daemon's table comes from: daemons with equal bases hold equal tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The last configuration whose exchange the daemon saw complete.
    pub ring: RingId,
    /// The members of that configuration that have stayed with the daemon ever since, in ring order.
    pub together: Vec<DaemonId>,
}

/// A daemon's members of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub group: Name,
    /// Its view at the sender.
    pub id: GroupId,
    /// Whether members of that view are at daemons from which the sender has separated.
    pub broken: bool,
    /// The members at the sender.
    pub members: Vec<Name>,
}

impl ExchangeState {
    /// Most bytes of one state envelope; a larger table travels in several.
    pub const SIZE_LIMIT: usize = 64 * 1024;
    /// Bytes without groups, with as many daemons as may be.
    pub const FRAME_SIZE: usize = 1 + 12 + 12 + 2 + 4 * DaemonId::LIMIT + 4 + 2;

    fn decode(reader: &mut Reader<'_>) -> Result<ExchangeState, DecodeError> {
        let exchange = read_ring(reader)?;
        let ring = read_ring(reader)?;
        let count = reader.count(DaemonId::LIMIT, "daemons together")?;
        let together = (0..count).map(|_| read_daemon(reader)).collect::<Result<_, _>>()?;
        let parts = reader.u32()?;
        // An exchange waits for all parts, so there is one at least.
        if parts == 0 {
            return Err(DecodeError::BadValue("parts"));
        }
        let count = reader.count(ExchangeState::SIZE_LIMIT / GroupState::FRAME_SIZE, "groups")?;
        let groups = (0..count).map(|_| GroupState::decode(reader)).collect::<Result<_, _>>()?;
        Ok(ExchangeState { exchange, basis: Basis { ring, together }, parts, groups })
    }

    fn encode(&self, writer: &mut Writer) {
        write_ring(writer, self.exchange);
        write_ring(writer, self.basis.ring);
        writer.count(self.basis.together.len());
        self.basis.together.iter().for_each(|daemon| writer.u32(daemon.0));
        writer.u32(self.parts);
        writer.count(self.groups.len());
        self.groups.iter().for_each(|group| group.encode(writer));
    }
}

impl GroupState {
    /// Bytes of a group without its members.
    pub const FRAME_SIZE: usize = Name::SIZE + GroupId::SIZE + 1 + 2;

    fn decode(reader: &mut Reader<'_>) -> Result<GroupState, DecodeError> {
        let group = read_name(reader)?;
        let id = GroupId([reader.u32()?, reader.u32()?, reader.u32()?]);
        let broken = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::BadValue("broken")),
        };
        let count = reader.count(ExchangeState::SIZE_LIMIT / Name::SIZE, "members")?;
        let members = (0..count).map(|_| read_name(reader)).collect::<Result<_, _>>()?;
        Ok(GroupState { group, id, broken, members })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.group.field());
        self.id.0.iter().for_each(|&number| writer.u32(number));
        writer.u8(u8::from(self.broken));
        writer.count(self.members.len());
        self.members.iter().for_each(|member| writer.bytes(member.field()));
    }
}

impl Piece {
    /// Bytes in front of those of the frame.
    const PREFIX: usize = Envelope::PREFIX + 12 + 8 + 4 + 4;

    fn decode(payload: &Payload) -> Result<Piece, DecodeError> {
        let front = payload.front(Piece::PREFIX);
        let mut reader = Reader::new(&front[Envelope::PREFIX..]);
        let ring = read_ring(&mut reader)?;
        // Not compared here: whether they fit together depends on the pieces before (groups/pieces.rs).
        let (number, total, offset) = (reader.u64()?, reader.u32()?, reader.u32()?);
        Ok(Piece { ring, number, total, offset, bytes: payload.skip(Piece::PREFIX) })
    }

    fn encode(&self) -> Payload {
        let mut writer = Writer::default();
        writer.u8(Envelope::PIECE);
        write_ring(&mut writer, self.ring);
        writer.u64(self.number);
        writer.u32(self.total);
        writer.u32(self.offset);
        let prefix = Slice::from(writer.finish());
        Payload::from_slices(std::iter::once(prefix).chain(self.bytes.slices().cloned()))
    }
}

impl Envelope {
    /// Bytes in front of a client's frame.
    const PREFIX: usize = 1;

    const DATA: u8 = 1;
    const JOIN: u8 = 2;
    const LEAVE: u8 = 3;
    const DISCONNECT: u8 = 4;
    const STATE: u8 = 5;
    const PIECE: u8 = 6;

    /// Reads an envelope. A client's frame is shared, not copied, and not looked into.
    pub fn decode(payload: &Payload) -> Result<Envelope, DecodeError> {
        let kind = *payload.front(Envelope::PREFIX).first().ok_or(DecodeError::Short)?;
        // Data first: it is nearly everything, and its frame is not looked into.
        if kind == Envelope::DATA {
            return Ok(Envelope::Data(payload.skip(Envelope::PREFIX)));
        }
        if kind == Envelope::PIECE {
            return Piece::decode(payload).map(Envelope::Piece);
        }
        // The other kinds are rare and small, so a copy is cheaper than a reader of several slices.
        let bytes = payload.contiguous();
        let mut reader = Reader::new(&bytes[Envelope::PREFIX..]);
        let envelope = match kind {
            Envelope::JOIN => Envelope::Join { member: read_name(&mut reader)?, group: read_name(&mut reader)? },
            Envelope::LEAVE => Envelope::Leave { member: read_name(&mut reader)?, group: read_name(&mut reader)? },
            Envelope::DISCONNECT => Envelope::Disconnect { member: read_name(&mut reader)? },
            Envelope::STATE => Envelope::State(ExchangeState::decode(&mut reader)?),
            _ => return Err(DecodeError::BadValue("envelope kind")),
        };
        reader.end()?;
        Ok(envelope)
    }

    /// Writes the envelope. A client's frame is shared, not copied.
    pub fn encode(&self) -> Payload {
        let mut writer = Writer::default();
        match self {
            Envelope::Data(frame) => {
                let prefix = Slice::copy_from(&[Envelope::DATA]);
                return Payload::from_slices(std::iter::once(prefix).chain(frame.slices().cloned()));
            }
            Envelope::Join { member, group } => write_names(&mut writer, Envelope::JOIN, &[member, group]),
            Envelope::Leave { member, group } => write_names(&mut writer, Envelope::LEAVE, &[member, group]),
            Envelope::Disconnect { member } => write_names(&mut writer, Envelope::DISCONNECT, &[member]),
            Envelope::State(state) => {
                writer.u8(Envelope::STATE);
                state.encode(&mut writer);
            }
            Envelope::Piece(piece) => return piece.encode(),
        }
        Payload::from(writer.finish())
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<Name, DecodeError> {
    Ok(Name::from_field(&reader.array()?))
}

fn write_names(writer: &mut Writer, kind: u8, names: &[&Name]) {
    writer.u8(kind);
    names.iter().for_each(|name| writer.bytes(name.field()));
}

fn read_daemon(reader: &mut Reader<'_>) -> Result<DaemonId, DecodeError> {
    DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("daemon"))
}

fn read_ring(reader: &mut Reader<'_>) -> Result<RingId, DecodeError> {
    Ok(RingId { sequence: reader.u64()?, representative: read_daemon(reader)? })
}

fn write_ring(writer: &mut Writer, ring: RingId) {
    writer.u64(ring.sequence);
    writer.u32(ring.representative.0);
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Envelope::Data(frame) => write!(f, "data: frame of {} bytes", frame.len()),
            Envelope::Join { member, group } => write!(f, "join: {member} joins {group}"),
            Envelope::Leave { member, group } => write!(f, "leave: {member} leaves {group}"),
            Envelope::Disconnect { member } => write!(f, "disconnect: {member}"),
            Envelope::State(ExchangeState { exchange, basis, parts, groups }) => {
                write!(f, "state: exchange of ring {exchange}, table of ring {} shared with ", basis.ring)?;
                write!(f, "{:?}, one of {parts} parts, {} groups", basis.together, groups.len())
            }
            Envelope::Piece(Piece { ring, number, total, offset, bytes }) => {
                let end = u64::from(*offset) + bytes.len() as u64;
                write!(f, "piece: bytes {offset}..{end} of {total} of frame {number} in ring {ring}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn ring(sequence: u64, representative: u32) -> RingId {
        RingId { sequence, representative: DaemonId(representative) }
    }

    fn state() -> ExchangeState {
        ExchangeState {
            exchange: ring(9, 1),
            basis: Basis { ring: ring(4, 2), together: vec![DaemonId(2), DaemonId(3)] },
            parts: 1,
            groups: vec![
                GroupState {
                    group: name("g"),
                    id: GroupId([2, 4, 7]),
                    broken: true,
                    members: vec![name("#a#d2"), name("#b#d2")],
                },
                GroupState { group: name("h"), id: GroupId([2, 4, 1]), broken: false, members: vec![name("#a#d2")] },
            ],
        }
    }

    fn envelopes() -> Vec<Envelope> {
        let (member, group) = (name("#a#d2"), name("g"));
        vec![
            Envelope::Join { member, group },
            Envelope::Leave { member, group },
            Envelope::Disconnect { member },
            Envelope::State(state()),
        ]
    }

    fn payload(bytes: &[u8]) -> Payload {
        Payload::from(bytes.to_vec())
    }

    #[test]
    fn a_join_and_a_state_have_these_bytes() {
        let field = |text: &str| name(text).field().to_vec();
        let join = Envelope::Join { member: name("#a#d2"), group: name("g") }.encode().contiguous();
        assert_eq!(join[..], [&b"\x02"[..], &field("#a#d2"), &field("g")].concat());
        let mut short = state();
        short.groups.pop();
        let expected = [
            &b"\x05\0\0\0\0\0\0\0\x09\0\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\x02\0\x02\0\0\0\x02\0\0\0\x03\0\0\0\x01\0\x01"
                [..],
            &field("g"),
            b"\0\0\0\x02\0\0\0\x04\0\0\0\x07\x01\0\x02",
            &field("#a#d2"),
            &field("#b#d2"),
        ];
        assert_eq!(Envelope::State(short).encode().contiguous()[..], expected.concat());
    }

    #[test]
    fn what_is_written_is_read_back_and_every_prefix_fails() {
        for envelope in envelopes() {
            let bytes = envelope.encode().contiguous();
            assert_eq!(Envelope::decode(&payload(&bytes)), Ok(envelope));
            for end in 0..bytes.len() {
                assert!(Envelope::decode(&payload(&bytes[..end])).is_err(), "prefix of {end} bytes");
            }
            let longer = [&bytes[..], b"x"].concat();
            assert_eq!(Envelope::decode(&payload(&longer)), Err(DecodeError::TrailingBytes));
        }
    }

    #[test]
    fn a_frame_travels_without_a_copy() {
        let frame = Slice::copy_from(b"frame");
        let sent = Envelope::Data(frame.clone().into()).encode();
        assert_eq!(sent.contiguous()[..], *b"\x01frame");
        let Ok(Envelope::Data(received)) = Envelope::decode(&sent) else { panic!("data") };
        assert!(std::ptr::eq(&received.front(5)[0], &frame[0]));
    }

    #[test]
    fn a_piece_travels_without_a_copy() {
        let bytes = Slice::copy_from(b"me");
        let piece = Piece { ring: ring(9, 1), number: 7, total: 5, offset: 3, bytes: bytes.clone().into() };
        let sent = Envelope::Piece(piece.clone()).encode();
        let expected = b"\x06\0\0\0\0\0\0\0\x09\0\0\0\x01\0\0\0\0\0\0\0\x07\0\0\0\x05\0\0\0\x03me";
        assert_eq!(sent.contiguous()[..], *expected);
        for end in 0..Piece::PREFIX {
            assert_eq!(Envelope::decode(&payload(&expected[..end])), Err(DecodeError::Short));
        }
        let Ok(Envelope::Piece(received)) = Envelope::decode(&sent) else { panic!("a piece") };
        assert_eq!(received, piece);
        assert!(std::ptr::eq(&received.bytes.front(2)[0], &bytes[0]));
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        assert_eq!(Envelope::decode(&payload(b"\x07")), Err(DecodeError::BadValue("envelope kind")));
        let bytes = Envelope::State(state()).encode().contiguous();
        let group = 41;
        for (at, value, error) in [
            (25, 0xff, DecodeError::TooLarge("daemons together")),
            (38, 0, DecodeError::BadValue("parts")),
            (39, 0xff, DecodeError::TooLarge("groups")),
            (group + 44, 2, DecodeError::BadValue("broken")),
            (group + 45, 0xff, DecodeError::TooLarge("members")),
        ] {
            let mut bad = bytes.to_vec();
            bad[at] = value;
            assert_eq!(Envelope::decode(&payload(&bad)), Err(error), "byte {at}");
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut rng = Rng::new(5);
        for _ in 0..10_000 {
            let mut bytes = Envelope::State(state()).encode().contiguous().to_vec();
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            for _ in 0..rng.below(5) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = rng.next_u64() as u8);
            }
            let _ = Envelope::decode(&payload(&bytes));
        }
    }
}
