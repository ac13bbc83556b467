//! Membership frames, which a daemon sends when the members of a group change.
//!
//! ```text
//! data offset  size  field
//!           0    12  group id: three numbers
//!          12     4  number of vs sets
//!          16     4  offset of the receiver's own vs set, counted from data offset 20
//!          20     …  vs sets: 4 bytes count, count × 32 bytes names
//! ```
//!
//! The data has the byte order of the frame's header. Only the receiver's own offset differs, so a regular membership is encoded once and
//! shared. The data of a transitional membership is the group id alone.

use super::{ByteOrder, DecodeError, FrameHeader, FrameType, Hint, Name, Payload, Reader, Slice};

/// The identity of one view of a group. It can only be compared for equality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u32; 3]);

impl GroupId {
    /// Bytes on the wire.
    pub const SIZE: usize = 12;

    /// Reads the group id at the front of a regular or transitional membership's data.
    pub fn decode(data: &[u8], order: ByteOrder) -> Result<GroupId, DecodeError> {
        GroupId::read(&mut Reader::new(data), order)
    }

    fn read(reader: &mut Reader<'_>, order: ByteOrder) -> Result<GroupId, DecodeError> {
        Ok(GroupId([order.u32(reader.array()?), order.u32(reader.array()?), order.u32(reader.array()?)]))
    }

    fn write(self, bytes: &mut Vec<u8>, order: ByteOrder) {
        for number in self.0 {
            bytes.extend_from_slice(&order.field(number));
        }
    }
}

/// The data of a regular membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipBody {
    /// The view that begins.
    pub id: GroupId,
    /// The members that came together; for a join, leave or disconnect the one that changed.
    pub vs_sets: Vec<Vec<Name>>,
    /// Which of the sets is the receiver's own.
    pub own: usize,
}

impl MembershipBody {
    /// Where the offset of the receiver's own vs set lies in the data.
    const OWN: usize = 16;
    /// Where the vs sets begin in the data.
    const SETS: usize = 20;

    /// Reads the whole data of a regular membership.
    pub fn decode(data: &[u8], order: ByteOrder) -> Result<MembershipBody, DecodeError> {
        let mut reader = Reader::new(data);
        let id = GroupId::read(&mut reader, order)?;
        // At most as many as the bytes that are left can hold, so a count takes no memory that was not sent.
        let count = limited(order.u32(reader.array()?), reader.remaining() / 4, "vs sets")?;
        let own_offset = order.u32(reader.array()?);
        let (mut vs_sets, mut own) = (Vec::new(), None);
        for index in 0..count {
            if data.len() - reader.remaining() == (own_offset as usize).saturating_add(MembershipBody::SETS) {
                own = Some(index);
            }
            vs_sets.push(read_set(&mut reader, order)?);
        }
        reader.end()?;
        Ok(MembershipBody { id, vs_sets, own: own.ok_or(DecodeError::BadValue("own vs set"))? })
    }

    /// Writes the data in `order`. `own` must be one of the sets.
    pub fn encode(&self, order: ByteOrder) -> Vec<u8> {
        let mut bytes = Vec::new();
        let offsets = write_body(&mut bytes, self.id, &self.vs_sets, order);
        bytes[MembershipBody::OWN..MembershipBody::SETS].copy_from_slice(&order.field(offsets[self.own]));
        bytes
    }
}

fn read_set(reader: &mut Reader<'_>, order: ByteOrder) -> Result<Vec<Name>, DecodeError> {
    let count = limited(order.u32(reader.array()?), reader.remaining() / Name::SIZE, "vs set members")?;
    (0..count).map(|_| Ok(Name::from_field(&reader.array()?))).collect()
}

fn limited(count: u32, limit: usize, what: &'static str) -> Result<usize, DecodeError> {
    usize::try_from(count).ok().filter(|&count| count <= limit).ok_or(DecodeError::TooLarge(what))
}

/// Appends the data with own offset 0 and returns the offset of each set.
fn write_body(bytes: &mut Vec<u8>, id: GroupId, vs_sets: &[Vec<Name>], order: ByteOrder) -> Vec<u32> {
    id.write(bytes, order);
    bytes.extend_from_slice(&order.field(number(vs_sets.len())));
    bytes.extend_from_slice(&order.field(0));
    let start = bytes.len();
    let mut offsets = Vec::with_capacity(vs_sets.len());
    for set in vs_sets {
        offsets.push(number(bytes.len() - start));
        bytes.extend_from_slice(&order.field(number(set.len())));
        set.iter().for_each(|name| bytes.extend_from_slice(name.field()));
    }
    offsets
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a group has far fewer members than 32 bits can count")
}

/// Why a group's membership changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A member joined.
    Join,
    /// A member left.
    Leave,
    /// A member's session ended.
    Disconnect,
    /// Daemons came or went.
    Network,
}

impl From<Cause> for FrameType {
    fn from(cause: Cause) -> FrameType {
        match cause {
            Cause::Join => FrameType::CAUSED_BY_JOIN,
            Cause::Leave => FrameType::CAUSED_BY_LEAVE,
            Cause::Disconnect => FrameType::CAUSED_BY_DISCONNECT,
            Cause::Network => FrameType::CAUSED_BY_NETWORK,
        }
    }
}

/// A regular membership for a daemon's clients.
#[derive(Clone, Copy, Debug)]
pub struct RegularMembership<'a> {
    /// Why it changed.
    pub cause: Cause,
    /// The group.
    pub group: Name,
    /// All members, in system-wide order.
    pub members: &'a [Name],
    /// The view that begins.
    pub id: GroupId,
    /// The vs sets, at least one; for a join, leave or disconnect the one member that changed.
    pub vs_sets: &'a [Vec<Name>],
}

impl RegularMembership<'_> {
    /// Encodes the frame once for all receivers.
    pub fn encode(&self) -> EncodedMembership {
        let mut body = Vec::new();
        let offsets = write_body(&mut body, self.id, self.vs_sets, ByteOrder::Little);
        let header = header(FrameType::REG_MEMB | self.cause.into(), self.group, self.members.len(), body.len());
        let mut frame = Vec::with_capacity(FrameHeader::SIZE + self.members.len() * Name::SIZE + body.len());
        frame.extend_from_slice(&header.encode());
        self.members.iter().for_each(|member| frame.extend_from_slice(member.field()));
        let own_at = frame.len() + MembershipBody::OWN;
        frame.extend_from_slice(&body);
        EncodedMembership { frame: frame.into(), own_at, offsets }
    }
}

/// A regular membership frame, shared by its receivers.
#[derive(Clone, Debug)]
pub struct EncodedMembership {
    frame: Slice,
    own_at: usize,
    offsets: Vec<u32>,
}

impl EncodedMembership {
    /// The frame for receivers whose own vs set has this index. Only the offset is copied. Panics if there is no such set.
    pub fn for_vs_set(&self, own: usize) -> Payload {
        match self.offsets[own] {
            0 => Payload::from(self.frame.clone()),
            // Only the receiver's own offset differs, so everything else is shared.
            offset => Payload::from_slices([
                self.frame.part(0, self.own_at),
                Slice::copy_from(&ByteOrder::Little.field(offset)),
                self.frame.tail(self.own_at + 4),
            ]),
        }
    }
}

/// The frame that tells the members of `group` that the view `left` is ending.
pub fn encode_transitional(group: Name, left: GroupId) -> Vec<u8> {
    let mut frame = header(FrameType::TRANSITION, group, 0, GroupId::SIZE).encode().to_vec();
    left.write(&mut frame, ByteOrder::Little);
    frame
}

/// The frame that tells a client that it has left `group`.
pub fn encode_self_leave(group: Name) -> Vec<u8> {
    header(FrameType::CAUSED_BY_LEAVE, group, 0, 0).encode().to_vec()
}

fn header(kind: FrameType, group: Name, members: usize, data_len: usize) -> FrameHeader {
    FrameHeader {
        kind,
        name: group,
        groups: number(members) as i32,
        hint: Hint::new(0, ByteOrder::Little),
        data_len: number(data_len) as i32,
        order: ByteOrder::Little,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn field(text: &str) -> Vec<u8> {
        name(text).field().to_vec()
    }

    fn body() -> MembershipBody {
        let vs_sets = vec![vec![name("#a#d1"), name("#b#d1")], vec![name("#c#d2")]];
        MembershipBody { id: GroupId([0x7f00_0001, 0x6b03_ac7a, 9]), vs_sets, own: 1 }
    }

    #[test]
    fn a_join_has_the_recorded_bytes() {
        let me = name("#alice#localhost");
        let membership = RegularMembership {
            cause: Cause::Join,
            group: name("grp"),
            members: &[me],
            id: GroupId([0x7f00_0001, 0x6b03_ac7a, 1]),
            vs_sets: &[vec![me]],
        };
        let expected = [
            &b"\x80\x11\0\x80"[..],
            &field("grp"),
            b"\x01\0\0\0\x80\0\0\x80\x38\0\0\0",
            &field("#alice#localhost"),
            b"\x01\0\0\x7f\x7a\xac\x03\x6b\x01\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0",
            &field("#alice#localhost"),
        ]
        .concat();
        assert_eq!(membership.encode().for_vs_set(0).contiguous()[..], expected);
    }

    #[test]
    fn receivers_share_everything_but_their_own_offset() {
        let body = body();
        let members = body.vs_sets.concat();
        let membership = RegularMembership {
            cause: Cause::Network,
            group: name("g"),
            members: &members,
            id: body.id,
            vs_sets: &body.vs_sets,
        }
        .encode();
        let (first, second) = (membership.for_vs_set(0).contiguous(), membership.for_vs_set(1).contiguous());
        let data = FrameHeader::SIZE + 3 * Name::SIZE;
        assert_eq!(
            MembershipBody::decode(&first[data..], ByteOrder::Little),
            Ok(MembershipBody { own: 0, ..body.clone() })
        );
        assert_eq!(MembershipBody::decode(&second[data..], ByteOrder::Little), Ok(body));
        assert_eq!(second[data + 16..data + 20], [68, 0, 0, 0]);
        assert_eq!((&first[..data + 16], &first[data + 20..]), (&second[..data + 16], &second[data + 20..]));
    }

    #[test]
    fn transitional_and_self_leave_have_the_recorded_bytes() {
        let transitional = encode_transitional(name("g"), GroupId([0x7f00_0001, 0x6b03_acbf, 3]));
        let expected = [
            &b"\x80\x20\0\x80"[..],
            &field("g"),
            b"\0\0\0\0\x80\0\0\x80\x0c\0\0\0\x01\0\0\x7f\xbf\xac\x03\x6b\x03\0\0\0",
        ]
        .concat();
        assert_eq!(transitional, expected);
        let expected = [&b"\x80\x02\0\x80"[..], &field("g"), b"\0\0\0\0\x80\0\0\x80\0\0\0\0"].concat();
        assert_eq!(encode_self_leave(name("g")), expected);
    }

    #[test]
    fn both_byte_orders_are_read_back_and_every_prefix_fails() {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let bytes = body().encode(order);
            assert_eq!(MembershipBody::decode(&bytes, order), Ok(body()));
            assert_eq!(GroupId::decode(&bytes, order), Ok(body().id));
            for end in 0..bytes.len() {
                assert!(MembershipBody::decode(&bytes[..end], order).is_err(), "prefix of {end} bytes");
            }
        }
        assert_eq!(body().encode(ByteOrder::Big)[..20], *b"\x7f\0\0\x01\x6b\x03\xac\x7a\0\0\0\x09\0\0\0\x02\0\0\0\x44");
    }

    fn random_body(rng: &mut Rng) -> MembershipBody {
        let id = GroupId([0; 3].map(|_: u32| rng.next_u64() as u32));
        let set = |rng: &mut Rng| {
            (0..rng.below(6)).map(|_| name(&format!("#m{}#d{}", rng.below(99), rng.below(9)))).collect()
        };
        let vs_sets: Vec<Vec<Name>> = (0..1 + rng.below(5)).map(|_| set(rng)).collect();
        let own = rng.below(vs_sets.len() as u64) as usize;
        MembershipBody { id, vs_sets, own }
    }

    #[test]
    fn any_membership_is_read_back_in_either_byte_order() {
        let mut rng = Rng::new(3);
        for _ in 0..3000 {
            let body = random_body(&mut rng);
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let bytes = body.encode(order);
                assert_eq!(MembershipBody::decode(&bytes, order), Ok(body.clone()));
                assert_eq!(GroupId::decode(&bytes, order), Ok(body.id));
            }
        }
    }

    #[test]
    fn any_membership_frame_is_read_back_by_each_of_its_receivers() {
        let mut rng = Rng::new(5);
        for round in 0..3000 {
            let body = random_body(&mut rng);
            let members = body.vs_sets.concat();
            let cause = [Cause::Join, Cause::Leave, Cause::Disconnect, Cause::Network][round % 4];
            let membership =
                RegularMembership { cause, group: name("g"), members: &members, id: body.id, vs_sets: &body.vs_sets };
            let frame = membership.encode().for_vs_set(body.own).contiguous().to_vec();
            let (front, rest) = frame.split_first_chunk().unwrap();
            let header = FrameHeader::decode(front);
            assert_eq!((header.kind, header.name), (FrameType::REG_MEMB | cause.into(), name("g")));
            assert_eq!((header.groups as usize, header.body_len()), (members.len(), Some(rest.len())));
            let (names, data) = rest.split_at(members.len() * Name::SIZE);
            assert_eq!(crate::wire::decode_names(names).collect::<Vec<_>>(), members);
            assert_eq!(MembershipBody::decode(data, header.order), Ok(body));
        }
    }

    #[test]
    fn counts_and_offsets_that_do_not_fit_are_refused() {
        let bytes = body().encode(ByteOrder::Little);
        for (at, error) in [
            (12, DecodeError::TooLarge("vs sets")),
            (16, DecodeError::BadValue("own vs set")),
            (20, DecodeError::TooLarge("vs set members")),
        ] {
            let mut bad = bytes.clone();
            bad[at..at + 4].fill(0xff);
            assert_eq!(MembershipBody::decode(&bad, ByteOrder::Little), Err(error));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut rng = Rng::new(4);
        for _ in 0..10_000 {
            let mut bytes = body().encode(ByteOrder::Little);
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            for _ in 0..rng.below(5) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = rng.next_u64() as u8);
            }
            let _ = MembershipBody::decode(&bytes, ByteOrder::Little);
            let _ = MembershipBody::decode(&bytes, ByteOrder::Big);
        }
    }
}
