//! The frames of an open client session, in both directions.
//!
//! ```text
//! offset  size  field
//!      0     4  type: bits of FrameType and the writer's byte order
//!      4    32  name: the sender's private group, or the group of a membership frame
//!     36     4  number of groups g
//!     40     4  hint: application type and byte order of the original sender
//!     44     4  data length d
//!     48    (4) type of the refused message, only in reject frames
//!      …  32·g  group names
//!      …     d  data
//! ```
//!
//! Each frame states its byte order; ours are always little-endian. A daemon does not change the hint, the names and the data. The two numbers
//! stay signed and unchecked here, because the session and the library treat bad ones differently.

use std::fmt;
use std::ops::BitOr;

use super::{Name, Service};

/// Most groups that a client may address with one message.
pub const MAX_GROUPS: usize = 100;

/// Most bytes of data and group names that the classic library accepts from a program.
pub const MESSAGE_LIMIT: usize = 144_000;

/// Most bytes of data and group names that a classic daemon accepts from a client. Ours takes more: `MaxMessageSize`.
pub const CLASSIC_DAEMON_LIMIT: usize = MESSAGE_LIMIT - FrameHeader::SIZE;

/// Most bytes of data and group names that every classic daemon accepts; some of them crash above it.
pub const LIBRARY_LIMIT: usize = 143_152;

/// The byte order of a frame's writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The order of this machine.
    pub const NATIVE: ByteOrder = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

    /// The bits that mark a little-endian writer; the same number in both orders.
    const MARKING: u32 = 0x8000_0080;

    /// The order that a marked field announces: little only if both marking bits are set.
    pub(super) fn of_field(field: [u8; 4]) -> ByteOrder {
        // Both bits, which no type uses: the marking reads the same in either byte order.
        let marked = u32::from_le_bytes(field) & ByteOrder::MARKING == ByteOrder::MARKING;
        if marked { ByteOrder::Little } else { ByteOrder::Big }
    }

    /// A marked field's value, without its marking.
    pub(super) fn unmark(self, field: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => self.u32(field) & !ByteOrder::MARKING,
            ByteOrder::Big => self.u32(field),
        }
    }

    /// The field of a value below the marking bits, marked.
    pub(super) fn mark(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => (value | ByteOrder::MARKING).to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }

    /// A number read in this order.
    pub fn u32(self, field: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(field),
            ByteOrder::Big => u32::from_be_bytes(field),
        }
    }

    /// The bytes of a number in this order.
    pub fn field(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }
}

/// The type of a frame: service and kind bits, without the byte-order marking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameType(pub u32);

impl FrameType {
    /// Data, unreliable service.
    pub const UNRELIABLE: FrameType = FrameType(0x0000_0001);
    /// Data, reliable service.
    pub const RELIABLE: FrameType = FrameType(0x0000_0002);
    /// Data, FIFO service.
    pub const FIFO: FrameType = FrameType(0x0000_0004);
    /// Data, causal service.
    pub const CAUSAL: FrameType = FrameType(0x0000_0008);
    /// Data, agreed service.
    pub const AGREED: FrameType = FrameType(0x0000_0010);
    /// Data, safe service.
    pub const SAFE: FrameType = FrameType(0x0000_0020);
    /// The sender wants no copy of its own message.
    pub const SELF_DISCARD: FrameType = FrameType(0x0000_0040);
    /// A membership change because a member joined.
    pub const CAUSED_BY_JOIN: FrameType = FrameType(0x0000_0100);
    /// A membership change because a member left; alone, the end of the receiver's own membership.
    pub const CAUSED_BY_LEAVE: FrameType = FrameType(0x0000_0200);
    /// A membership change because a member's session ended.
    pub const CAUSED_BY_DISCONNECT: FrameType = FrameType(0x0000_0400);
    /// A membership change because daemons came or went.
    pub const CAUSED_BY_NETWORK: FrameType = FrameType(0x0000_0800);
    /// A regular membership.
    pub const REG_MEMB: FrameType = FrameType(0x0000_1000);
    /// A transitional membership.
    pub const TRANSITION: FrameType = FrameType(0x0000_2000);
    /// A request to join a group.
    pub const JOIN: FrameType = FrameType(0x0001_0000);
    /// A request to leave a group.
    pub const LEAVE: FrameType = FrameType(0x0002_0000);
    /// A request to end the session.
    pub const KILL: FrameType = FrameType(0x0004_0000);
    /// Never sent between client and daemon; reserved among classic daemons.
    pub const INTERNAL: FrameType = FrameType(0x0008_0000);
    /// A message that access control refused, on its way back to its sender.
    pub const REJECT: FrameType = FrameType(0x0040_0000);
    /// Only an argument of the library's receive call, never on the wire.
    pub const DROP_RECV: FrameType = FrameType(0x0100_0000);
    /// Bits that programs and libraries above may use as they like; the Flush library uses the highest.
    pub const FREE: FrameType = FrameType(0x7e00_0000);

    /// All service bits.
    pub const SERVICES: FrameType = FrameType(0x0000_003f);
    /// The bits of which a client's frame must have exactly one.
    pub const REQUESTS: FrameType = FrameType(0x0007_003f);
    /// All membership bits.
    pub const MEMBERSHIP: FrameType = FrameType(0x0000_3f00);

    /// Whether all of `bits` are set.
    pub const fn contains(self, bits: FrameType) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Whether any of `bits` is set.
    pub const fn intersects(self, bits: FrameType) -> bool {
        self.0 & bits.0 != 0
    }

    /// Only those bits that are in `mask`.
    pub const fn masked(self, mask: FrameType) -> FrameType {
        FrameType(self.0 & mask.0)
    }

    /// How many of `bits` are set.
    pub const fn count(self, bits: FrameType) -> u32 {
        (self.0 & bits.0).count_ones()
    }

    /// The service, if exactly one service bit is set.
    pub const fn service(self) -> Option<Service> {
        match self.masked(FrameType::SERVICES) {
            FrameType::UNRELIABLE => Some(Service::Unreliable),
            FrameType::RELIABLE => Some(Service::Reliable),
            FrameType::FIFO => Some(Service::Fifo),
            FrameType::CAUSAL => Some(Service::Causal),
            FrameType::AGREED => Some(Service::Agreed),
            FrameType::SAFE => Some(Service::Safe),
            _ => None,
        }
    }

    /// The type of a refused request, as a reject frame has it.
    const fn refused(self) -> FrameType {
        let told = match self {
            _ if self.contains(FrameType::JOIN) => FrameType::CAUSED_BY_JOIN.0,
            _ if self.contains(FrameType::LEAVE) => FrameType::CAUSED_BY_LEAVE.0,
            _ => 0,
        };
        FrameType(self.0 & !(FrameType::JOIN.0 | FrameType::LEAVE.0) | told)
    }

    /// Reads a type field by its own marking.
    pub fn decode(field: [u8; 4]) -> FrameType {
        FrameType(ByteOrder::of_field(field).unmark(field))
    }

    /// The little-endian, marked field.
    pub fn encode(self) -> [u8; 4] {
        ByteOrder::Little.mark(self.0)
    }
}

impl From<Service> for FrameType {
    fn from(service: Service) -> FrameType {
        match service {
            Service::Unreliable => FrameType::UNRELIABLE,
            Service::Reliable => FrameType::RELIABLE,
            Service::Fifo => FrameType::FIFO,
            Service::Causal => FrameType::CAUSAL,
            Service::Agreed => FrameType::AGREED,
            Service::Safe => FrameType::SAFE,
        }
    }
}

impl BitOr for FrameType {
    type Output = FrameType;
    fn bitor(self, other: FrameType) -> FrameType {
        FrameType(self.0 | other.0)
    }
}

/// The application's message type, in the byte order of the original sender: raw, because daemons pass it on untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint(pub [u8; 4]);

impl Hint {
    /// Where the message type lies.
    const MESS_TYPE: u32 = 0x00ff_ff00;

    /// The hint of a sender with this byte order; [`ByteOrder::NATIVE`] for oneself.
    pub fn new(mess_type: i16, order: ByteOrder) -> Hint {
        Hint(order.mark(u32::from(mess_type as u16) << 8))
    }

    /// The original sender's byte order.
    pub fn order(self) -> ByteOrder {
        ByteOrder::of_field(self.0)
    }

    /// The application's message type.
    pub fn mess_type(self) -> i16 {
        ((self.order().unmark(self.0) & Hint::MESS_TYPE) >> 8) as i16
    }

    /// Whether no bit is set besides marking and message type.
    pub fn is_valid(self) -> bool {
        self.order().unmark(self.0) & !Hint::MESS_TYPE == 0
    }
}

/// The fixed front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The type of the frame.
    pub kind: FrameType,
    /// The sender's private group, or the group of a membership frame.
    pub name: Name,
    /// The number of group names, as written: it may be negative.
    pub groups: i32,
    /// The application's message type.
    pub hint: Hint,
    /// The number of bytes of data, as written: it may be negative.
    pub data_len: i32,
    /// The byte order of whoever wrote this header.
    pub order: ByteOrder,
}

impl FrameHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 48;
    /// Where the name lies.
    const NAME: usize = 4;
    /// Where the number of groups lies.
    const GROUPS: usize = 36;
    /// Where the hint lies.
    const HINT: usize = 40;
    /// Where the data length lies.
    const DATA_LEN: usize = 44;

    /// Reads a header in its writer's byte order.
    pub fn decode(bytes: &[u8; FrameHeader::SIZE]) -> FrameHeader {
        let kind = field(bytes, 0);
        // The type field comes first because it tells how to read the others.
        let order = ByteOrder::of_field(kind);
        FrameHeader {
            kind: FrameType(order.unmark(kind)),
            name: Name::from_field(&field(bytes, FrameHeader::NAME)),
            groups: order.u32(field(bytes, FrameHeader::GROUPS)) as i32,
            hint: Hint(field(bytes, FrameHeader::HINT)),
            data_len: order.u32(field(bytes, FrameHeader::DATA_LEN)) as i32,
            order,
        }
    }

    /// Writes the header little-endian, whatever its `order`.
    pub fn encode(&self) -> [u8; FrameHeader::SIZE] {
        let mut bytes = [0; FrameHeader::SIZE];
        bytes[..FrameHeader::NAME].copy_from_slice(&self.kind.encode());
        bytes[FrameHeader::NAME..FrameHeader::GROUPS].copy_from_slice(self.name.field());
        bytes[FrameHeader::GROUPS..FrameHeader::HINT].copy_from_slice(&self.groups.to_le_bytes());
        bytes[FrameHeader::HINT..FrameHeader::DATA_LEN].copy_from_slice(&self.hint.0);
        bytes[FrameHeader::DATA_LEN..].copy_from_slice(&self.data_len.to_le_bytes());
        bytes
    }

    /// Bytes that follow the header, the type field of a reject frame included; `None` if a number makes no sense.
    pub fn body_len(&self) -> Option<usize> {
        let refused_type = if self.kind.contains(FrameType::REJECT) { 4 } else { 0 };
        let groups = usize::try_from(self.groups).ok()?.checked_mul(Name::SIZE)?;
        // Checked: both numbers are the client's, and their sum may not wrap.
        groups.checked_add(refused_type)?.checked_add(usize::try_from(self.data_len).ok()?)
    }

    /// Writes this header over the front of a client's whole frame and zeroes its group names behind their NUL; the data
    /// stays. The frame is no reject frame and as long as [`FrameHeader::body_len`] says.
    pub fn rewrite(&self, frame: &mut [u8]) {
        let (front, body) = frame.split_first_chunk_mut().expect("a whole frame has a header");
        *front = self.encode();
        let groups = usize::try_from(self.groups).expect("a whole frame has no negative count");
        let (names, _) = body.as_chunks_mut::<{ Name::SIZE }>();
        names[..groups].iter_mut().for_each(|field| *field = *Name::from_field(field).field());
    }
}

/// The frame that brings a client's whole frame back to it, because access control refused it: the type moves behind the header, and
/// its private group stands behind the groups, in place of the last of [`MAX_GROUPS`].
pub fn encode_reject(header: &FrameHeader, frame: &[u8]) -> Vec<u8> {
    let body = &frame[FrameHeader::SIZE..];
    let (names, data) = body.split_at(usize::try_from(header.groups).unwrap_or(0) * Name::SIZE);
    // The refused client reads its own name as the last group, and no frame has more than MAX_GROUPS.
    let names = &names[..names.len().min((MAX_GROUPS - 1) * Name::SIZE)];
    let groups = (names.len() / Name::SIZE + 1) as i32;
    let reject = FrameHeader { kind: FrameType::REJECT, groups, ..*header };
    let names = decode_names(names).chain([header.name]).map(|name| *name.field()).collect::<Vec<_>>();
    [&reject.encode()[..], &header.kind.refused().encode(), names.as_flattened(), data].concat()
}

/// The names in consecutive fields, such as the groups behind a header; a field cut short is left out.
pub fn decode_names(fields: &[u8]) -> impl Iterator<Item = Name> {
    fields.as_chunks().0.iter().map(Name::from_field)
}

fn field<const N: usize>(bytes: &[u8; FrameHeader::SIZE], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("every field lies inside the header")
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(FrameType, &str); 18] = [
            (FrameType::UNRELIABLE, "unreliable"),
            (FrameType::RELIABLE, "reliable"),
            (FrameType::FIFO, "fifo"),
            (FrameType::CAUSAL, "causal"),
            (FrameType::AGREED, "agreed"),
            (FrameType::SAFE, "safe"),
            (FrameType::SELF_DISCARD, "self-discard"),
            (FrameType::CAUSED_BY_JOIN, "caused-by-join"),
            (FrameType::CAUSED_BY_LEAVE, "caused-by-leave"),
            (FrameType::CAUSED_BY_DISCONNECT, "caused-by-disconnect"),
            (FrameType::CAUSED_BY_NETWORK, "caused-by-network"),
            (FrameType::REG_MEMB, "regular-membership"),
            (FrameType::TRANSITION, "transitional-membership"),
            (FrameType::JOIN, "join"),
            (FrameType::LEAVE, "leave"),
            (FrameType::KILL, "kill"),
            (FrameType::INTERNAL, "internal"),
            (FrameType::REJECT, "reject"),
        ];
        let mut rest = self.0;
        let mut plus = "";
        for (bit, name) in NAMES.iter().filter(|(bit, _)| self.contains(*bit)) {
            write!(f, "{plus}{name}")?;
            rest &= !bit.0;
            plus = "+";
        }
        if rest != 0 || self.0 == 0 { write!(f, "{plus}{rest:#x}") } else { Ok(()) }
    }
}

impl fmt::Display for FrameHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameHeader { kind, name, groups, hint, data_len, .. } = self;
        write!(
            f,
            "frame {kind} of {name}, {groups} groups, message type {}, {data_len} bytes of data",
            hint.mess_type()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const LITTLE: [u8; 48] = *b"\x90\0\0\x80#sess#localhost\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x02\0\0\0\x80\x34\x12\x80\x01\x02\0\0";
    const BIG: [u8; 48] = *b"\0\0\0\x10#sess#localhost\0garbage\0\0\0\0\0\0\0\0\0\
        \0\0\0\x02\0\x12\x34\0\0\0\x02\x01";

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameType::AGREED,
            name: Name::new(b"#sess#localhost").unwrap(),
            groups: 2,
            hint: Hint::new(0x1234, ByteOrder::Little),
            data_len: 0x201,
            order: ByteOrder::Little,
        }
    }

    #[test]
    fn a_header_is_written_little_endian() {
        assert_eq!(header().encode(), LITTLE);
        assert_eq!(FrameHeader::decode(&LITTLE), header());
    }

    #[test]
    fn a_big_endian_header_means_the_same_and_its_hint_stays_raw() {
        let decoded = FrameHeader::decode(&BIG);
        let hint = Hint([0, 0x12, 0x34, 0]);
        assert_eq!(decoded, FrameHeader { order: ByteOrder::Big, hint, ..header() });
        assert_eq!(decoded.encode()[40..44], hint.0);
        assert_eq!((hint.mess_type(), hint.order()), (0x1234, ByteOrder::Big));
    }

    /// The header as a writer of this byte order has it on the wire.
    fn written(header: &FrameHeader) -> [u8; FrameHeader::SIZE] {
        let numbers = [header.groups, header.data_len].map(|number| header.order.field(number as u32));
        let parts =
            [&header.order.mark(header.kind.0)[..], header.name.field(), &numbers[0], &header.hint.0, &numbers[1]];
        parts.concat().try_into().unwrap()
    }

    #[test]
    fn any_header_of_either_byte_order_is_read_back() {
        let mut rng = Rng::new(1);
        for round in 0..5000 {
            let order = [ByteOrder::Little, ByteOrder::Big][round % 2];
            let name: Vec<u8> = (0..rng.below(32)).map(|_| 1 + rng.below(255) as u8).collect();
            let mess_type = rng.next_u64() as i16;
            let header = FrameHeader {
                kind: FrameType(rng.next_u64() as u32 & !ByteOrder::MARKING),
                name: Name::new(&name).unwrap(),
                groups: rng.next_u64() as i32,
                hint: Hint::new(mess_type, [ByteOrder::Little, ByteOrder::Big][round / 2 % 2]),
                data_len: rng.next_u64() as i32,
                order,
            };
            let decoded = FrameHeader::decode(&written(&header));
            assert_eq!(decoded, header);
            assert_eq!((decoded.hint.mess_type(), decoded.hint.is_valid()), (mess_type, true));
            let passed = FrameHeader::decode(&header.encode());
            assert_eq!(passed, FrameHeader { order: ByteOrder::Little, ..header });
        }
    }

    #[test]
    fn any_refused_frame_comes_back_with_its_type_groups_and_data() {
        let mut rng = Rng::new(2);
        for _ in 0..2000 {
            let random =
                |rng: &mut Rng, below| (0..rng.below(below)).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
            let groups = rng.below(MAX_GROUPS as u64);
            let fields: Vec<u8> =
                (0..groups).flat_map(|n| *Name::new(format!("g{n}").as_bytes()).unwrap().field()).collect();
            let data = random(&mut rng, 200);
            let order = if rng.chance(0.5) { ByteOrder::Little } else { ByteOrder::Big };
            let kind = FrameType(1 << rng.below(6));
            let header =
                FrameHeader { kind, groups: groups as i32, data_len: data.len() as i32, order, ..self::header() };
            let reject = encode_reject(&header, &[&header.encode()[..], &fields, &data].concat());
            let (front, body) = reject.split_first_chunk().unwrap();
            let told = FrameHeader::decode(front);
            assert_eq!(
                told,
                FrameHeader { kind: FrameType::REJECT, groups: groups as i32 + 1, order: ByteOrder::Little, ..header }
            );
            assert_eq!(told.body_len(), Some(body.len()));
            let (refused, rest) = body.split_first_chunk().unwrap();
            assert_eq!(FrameType::decode(*refused), kind);
            assert_eq!(rest, [&fields[..], header.name.field(), &data].concat());
        }
    }

    #[test]
    fn hints_have_the_recorded_bytes() {
        let table = [
            (0, [0x80, 0, 0, 0x80], [0, 0, 0, 0]),
            (1, [0x80, 1, 0, 0x80], [0, 0, 1, 0]),
            (-1, [0x80, 0xff, 0xff, 0x80], [0, 0xff, 0xff, 0]),
            (0x1234, [0x80, 0x34, 0x12, 0x80], [0, 0x12, 0x34, 0]),
        ];
        for (mess_type, little, big) in table {
            assert_eq!(Hint::new(mess_type, ByteOrder::Little).0, little);
            assert_eq!(Hint::new(mess_type, ByteOrder::Big).0, big);
            assert_eq!((Hint(little).mess_type(), Hint(big).mess_type()), (mess_type, mess_type));
            assert!(Hint(little).is_valid() && Hint(big).is_valid());
        }
    }

    #[test]
    fn a_hint_with_other_bits_is_not_valid() {
        for bad in
            [[0x81, 0, 0, 0x80], [0x80, 0, 0, 0x81], [0x80, 0, 0, 0], [0, 0, 0, 0x80], [1, 0, 0, 0], [0, 0, 0, 1]]
        {
            assert!(!Hint(bad).is_valid(), "{bad:x?}");
        }
    }

    #[test]
    fn a_reject_frame_has_the_type_behind_its_header_and_the_sender_behind_its_groups() {
        let group = Name::new(b"g").unwrap();
        let frame = [&LITTLE[..], group.field(), group.field(), &[7; 0x201]].concat();
        let (reject, sender) = (encode_reject(&header(), &frame), header().name);
        let expected = [
            b"\x80\0\x40\x80",
            &LITTLE[4..36],
            &[3, 0, 0, 0],
            &LITTLE[40..],
            &LITTLE[..4],
            group.field(),
            group.field(),
            sender.field(),
            &[7; 0x201],
        ];
        assert_eq!(reject, expected.concat());
        assert_eq!(FrameHeader::decode(reject.first_chunk().unwrap()).body_len(), Some(reject.len() - 48));
        for (request, told) in [(FrameType::JOIN, 0x100), (FrameType::LEAVE | FrameType::SELF_DISCARD, 0x240)] {
            let request = FrameHeader { kind: request, groups: 0, data_len: 0, ..header() };
            assert_eq!(encode_reject(&request, &request.encode())[48..52], FrameType(told).encode());
        }
        let most = FrameHeader { groups: MAX_GROUPS as i32, data_len: 0, ..header() };
        let reject = encode_reject(&most, &[&most.encode()[..], &group.field().repeat(MAX_GROUPS)].concat());
        assert_eq!(reject.len(), 52 + MAX_GROUPS * Name::SIZE);
        assert_eq!(decode_names(&reject[52..]).last(), Some(header().name));
    }

    #[test]
    fn exactly_one_service_bit_is_a_service() {
        for number in 1..=6 {
            let service = Service::from_wire(number).unwrap();
            assert_eq!(FrameType::from(service).0, 1 << (number - 1));
            assert_eq!((FrameType::from(service) | FrameType::SELF_DISCARD).service(), Some(service));
        }
        assert_eq!((FrameType::AGREED | FrameType::SAFE).service(), None);
        assert_eq!(FrameType::JOIN.service(), None);
    }

    #[test]
    fn body_length_counts_the_refused_type_and_refuses_nonsense() {
        let frame = header();
        assert_eq!(frame.body_len(), Some(2 * 32 + 0x201));
        assert_eq!(FrameHeader { kind: FrameType::REJECT, ..frame }.body_len(), Some(4 + 2 * 32 + 0x201));
        assert_eq!(FrameHeader { groups: -1, ..frame }.body_len(), None);
        assert_eq!(FrameHeader { data_len: -1, ..frame }.body_len(), None);
    }

    #[test]
    fn a_rewritten_frame_is_little_endian_and_carries_no_garbage() {
        let mut frame = [&BIG[..], b"g\0garbage", &[b'x'; 23], &[b'y'; 32], b"\0data"].concat();
        FrameHeader::decode(&BIG).rewrite(&mut frame);
        let names: Vec<_> = decode_names(&frame[48..112]).collect();
        assert_eq!(frame[..40], LITTLE[..40]);
        assert_eq!((&frame[40..44], &frame[44..48]), (&[0, 0x12, 0x34, 0][..], &LITTLE[44..]));
        assert_eq!(names, [Name::new(b"g").unwrap(), Name::new(&[b'y'; 31]).unwrap()]);
        assert_eq!(frame[48..112], [*names[0].field(), *names[1].field()].concat());
        assert_eq!(frame[112..], *b"\0data");
    }

    #[test]
    fn any_bytes_decode_without_panic_and_survive_a_second_trip() {
        let mut rng = Rng::new(3);
        for _ in 0..10_000 {
            let mut bytes = [0; FrameHeader::SIZE];
            bytes.fill_with(|| rng.next_u64() as u8);
            let decoded = FrameHeader::decode(&bytes);
            let _ = (decoded.body_len(), decoded.hint.mess_type(), decoded.hint.is_valid(), decoded.kind.service());
            let clean = FrameHeader { kind: decoded.kind.masked(FrameType(!0x8000_0080)), ..decoded };
            let again = FrameHeader::decode(&clean.encode());
            assert_eq!(again, FrameHeader { order: ByteOrder::Little, ..clean });
        }
    }
}
