//! The header of every datagram between daemons. Numbers are big-endian.
//!
//! Sender, life, destination and counter identify a packet from end to end. Only `network` and `way` belong to one hop, and a relay writes them
//! again. So a relayed copy is a copy like any other.
//!
//! ```text
//!  0  2  magic "TC"
//!  2  1  version
//!  3  1  kind of the body
//!  4  1  network the datagram was sent on
//!  5  1  protection: 0 plain; other values are a hint to the key: the body is then sealed, and a tag stands before it
//!  6  1  way: 0 direct, 1 relayed by another daemon than the sender, 2 direct and to be put on the networks of the receiver's site
//!  7  1  reserved, zero
//!  8  4  sender: the daemon that made the packet
//! 12  4  destination: a daemon, or 0 for all
//! 16  4  system: digest of the membership table
//! 20  8  incarnation of the sender
//! 28  8  counter: 1, 2, 3, … for each destination; the copies of one packet on several networks share it
//! 36 16  tag, if the body is sealed
//!  …     body
//! ```
//!
//! Because this identity is never used twice, it is also the nonce of a sealed packet. A packet is sealed once for all networks and relays, so
//! the two fields of the hop stay outside the seal.

use std::fmt;
use std::ops::Deref;

use super::{DaemonId, DecodeError, Incarnation, NetworkId, Reader};

const MAGIC: u16 = 0x5443;
const VERSION: u8 = 5;

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the body.
    pub kind: PacketKind,
    /// The network it was sent on.
    pub network: NetworkId,
    /// Whether its body is sealed.
    pub protection: Protection,
    /// How it came onto that network.
    pub way: Way,
    /// The daemon that made it.
    pub sender: DaemonId,
    /// Its destination; `None` for all.
    pub destination: Option<DaemonId>,
    /// Digest of the sender's membership table.
    pub system: u32,
    /// The sender's life.
    pub incarnation: Incarnation,
    /// Number of this packet among those of this sender to this destination, the same on every network.
    pub counter: u64,
}

/// Whether a body is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It travels as it is.
    Plain,
    /// It is sealed, with a key that has this hint, which is never 0.
    Sealed(u8),
}

/// The authentication tag of a sealed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealTag(pub [u8; SealTag::SIZE]);

/// The bytes before a body in a datagram: the header, and the tag of a sealed one.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; Head::LONGEST],
    length: u8,
}

/// How a datagram came onto a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// From the daemon that made the packet.
    Direct = 0,
    /// From another daemon, which had it directly. It goes no further, so no packet can run in circles.
    Relayed = 1,
    /// From the daemon that made the packet, which is at another site: it goes on to all at the receiver's.
    Crossing = 2,
}

impl Way {
    fn from_wire(number: u8) -> Option<Way> {
        [Way::Direct, Way::Relayed, Way::Crossing].into_iter().find(|&way| way as u8 == number)
    }
}

/// The kinds of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketKind {
    /// Numbered packets of the ring.
    Data = 1,
    /// The right to send.
    Token = 2,
    /// Who is there, while gathering.
    Join = 3,
    /// The token that forms a new ring.
    Form = 4,
    /// A sign of life of an installed ring.
    Probe = 5,
    /// Asks the daemon at which the token rests to let it go round.
    Hurry = 6,
    /// The daemons that its sender hears on each network. It is no packet of a ring.
    Report = 7,
    /// The token rests at the sender.
    Rest = 8,
    /// The packets that the sender has, for the daemon at which the token rests.
    Have = 9,
    /// A packet that the daemon at which the token rests may number.
    Handover = 10,
    /// Asks whether its sender's life is the present one, or answers that. It is no packet of a ring.
    Greeting = 32,
    /// Knocks at a port: the receiver need not do anything, but if nobody has the port the system answers. It is no packet of a ring.
    Knock = 33,
    /// Proves by its length how long a datagram may be. It is no packet of a ring.
    SizeProbe = 34,
    /// Which size probes came. It is no packet of a ring.
    Sizes = 35,
    /// A part of a datagram that is too long for a path as a whole. It is no packet of a ring.
    Fragment = 36,
}

impl PacketKind {
    /// All kinds, by their numbers.
    pub const ALL: [PacketKind; 15] = {
        use PacketKind::*;
        [
            Data, Token, Join, Form, Probe, Hurry, Report, Rest, Have, Handover, Greeting, Knock, SizeProbe, Sizes,
            Fragment,
        ]
    };

    fn from_wire(number: u8) -> Option<PacketKind> {
        PacketKind::ALL.into_iter().find(|&kind| kind as u8 == number)
    }
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 36;

    /// Reads the header at the front of a datagram.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Header, DecodeError> {
        // Taken whole, so that the length is checked once and not with every field.
        let bytes: [u8; Header::SIZE] = reader.array()?;
        let mut reader = Reader::new(&bytes);
        if reader.u16()? != MAGIC {
            return Err(DecodeError::BadValue("magic"));
        }
        // Before every other field: those of another version may mean something else.
        if reader.u8()? != VERSION {
            return Err(DecodeError::BadValue("version"));
        }
        let kind = PacketKind::from_wire(reader.u8()?).ok_or(DecodeError::BadValue("kind"))?;
        let network = NetworkId(reader.u8()?);
        // Networks are bits of a byte from here on.
        if usize::from(network.0) >= NetworkId::LIMIT {
            return Err(DecodeError::BadValue("network"));
        }
        let protection = Protection::from_wire(reader.u8()?);
        let way = Way::from_wire(reader.u8()?).ok_or(DecodeError::BadValue("way"))?;
        // Nobody may fill it, so that a later version can give it a meaning.
        if reader.u8()? != 0 {
            return Err(DecodeError::BadValue("reserved"));
        }
        Ok(Header {
            kind,
            network,
            protection,
            way,
            sender: DaemonId::from_wire(reader.u32()?).ok_or(DecodeError::BadValue("sender"))?,
            destination: DaemonId::from_wire(reader.u32()?),
            system: reader.u32()?,
            incarnation: Incarnation(reader.u64()?),
            counter: reader.u64()?,
        })
    }

    /// The bytes of this header.
    pub fn encode(&self) -> [u8; Header::SIZE] {
        let mut bytes = [0; Header::SIZE];
        bytes[..2].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[2] = VERSION;
        bytes[3] = self.kind as u8;
        bytes[4] = self.network.0;
        bytes[5] = self.protection.to_wire();
        bytes[6] = self.way as u8;
        bytes[8..12].copy_from_slice(&self.sender.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&DaemonId::to_wire(self.destination).to_be_bytes());
        bytes[16..20].copy_from_slice(&self.system.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes[28..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    /// The bytes that the seal authenticates: all but the two fields of the hop, which every relay writes itself.
    pub fn covered(&self) -> [u8; Header::SIZE] {
        // One seal serves all networks and relays. A false network or way gains nothing (seal/mod.rs).
        Header { network: NetworkId(0), way: Way::Direct, ..*self }.encode()
    }

    /// The version of a datagram that is a packet of another version of this protocol.
    pub fn other_version(datagram: &[u8]) -> Option<u8> {
        let &[a, b, version, ..] = datagram else { return None };
        (u16::from_be_bytes([a, b]) == MAGIC && version != VERSION).then_some(version)
    }
}

impl Protection {
    fn from_wire(number: u8) -> Protection {
        if number == 0 { Protection::Plain } else { Protection::Sealed(number) }
    }

    fn to_wire(self) -> u8 {
        match self {
            Protection::Plain => 0,
            Protection::Sealed(hint) => hint,
        }
    }
}

impl SealTag {
    /// Bytes of a tag.
    pub const SIZE: usize = 16;
}

impl Head {
    /// Bytes of the longest head.
    pub const LONGEST: usize = Header::SIZE + SealTag::SIZE;

    /// The head of a datagram with this header, and with this tag if it is sealed.
    pub fn new(header: &Header, tag: Option<&SealTag>) -> Head {
        let mut head = Head { bytes: [0; Head::LONGEST], length: Header::SIZE as u8 };
        head.bytes[..Header::SIZE].copy_from_slice(&header.encode());
        if let Some(tag) = tag {
            head.bytes[Header::SIZE..].copy_from_slice(&tag.0);
            head.length = Head::LONGEST as u8;
        }
        head
    }

    /// The header of a datagram, its tag if it is sealed, and where its body begins.
    pub fn decode(datagram: &[u8]) -> Result<(Header, Option<SealTag>, usize), DecodeError> {
        let mut reader = Reader::new(datagram);
        let header = Header::decode(&mut reader)?;
        let tag = match header.protection {
            Protection::Plain => None,
            Protection::Sealed(_) => Some(SealTag(reader.array()?)),
        };
        Ok((header, tag, datagram.len() - reader.remaining()))
    }
}

impl Deref for Head {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PacketKind::Data => "data",
            PacketKind::Token => "token",
            PacketKind::Join => "join",
            PacketKind::Form => "form",
            PacketKind::Probe => "probe",
            PacketKind::Hurry => "hurry",
            PacketKind::Report => "report",
            PacketKind::Rest => "rest",
            PacketKind::Have => "have",
            PacketKind::Handover => "handover",
            PacketKind::Greeting => "greeting",
            PacketKind::Knock => "knock",
            PacketKind::SizeProbe => "size probe",
            PacketKind::Sizes => "sizes",
            PacketKind::Fragment => "fragment",
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to ", self.kind, self.sender)?;
        match self.destination {
            Some(daemon) => write!(f, "{daemon}")?,
            None => write!(f, "all")?,
        }
        let Header { network: NetworkId(network), counter, incarnation, system, .. } = self;
        write!(f, " on network {network}, counter {counter}, life {incarnation}, system {system:08x}")?;
        f.write_str(match self.way {
            Way::Direct => "",
            Way::Relayed => ", relayed",
            Way::Crossing => ", crossing to another site",
        })?;
        match self.protection {
            Protection::Plain => Ok(()),
            Protection::Sealed(hint) => write!(f, ", sealed with key hint {hint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Slice;

    fn header() -> Header {
        Header {
            kind: PacketKind::Token,
            network: NetworkId(1),
            protection: Protection::Plain,
            way: Way::Relayed,
            sender: DaemonId(0x0a4d_0001),
            destination: Some(DaemonId(0x0a4d_0002)),
            system: 0xdead_beef,
            incarnation: Incarnation(7),
            counter: 9,
        }
    }

    #[test]
    fn literal_bytes() {
        let bytes = [
            b'T', b'C', 5, 2, 1, 0, 1, 0, 0x0a, 0x4d, 0, 1, 0x0a, 0x4d, 0, 2, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0,
            0, 7, 0, 0, 0, 0, 0, 0, 0, 9,
        ];
        assert_eq!(header().encode(), bytes);
        assert_eq!(Header::decode(&mut Reader::new(&bytes)), Ok(header()));
    }

    #[test]
    fn every_prefix_fails() {
        let bytes = header().encode();
        assert!((0..bytes.len()).all(|n| Header::decode(&mut Reader::new(&bytes[..n])).is_err()));
    }

    #[test]
    fn foreign_values_are_named() {
        for (at, value, field) in
            [(0, 0, "magic"), (2, 1, "version"), (3, 0, "kind"), (4, 8, "network"), (6, 3, "way"), (7, 1, "reserved")]
        {
            let mut bytes = header().encode();
            bytes[at] = value;
            assert_eq!(Header::decode(&mut Reader::new(&bytes)), Err(DecodeError::BadValue(field)));
        }
    }

    #[test]
    fn a_sealed_datagram_has_its_tag_before_the_body() {
        let header = Header { protection: Protection::Sealed(0xab), ..header() };
        let head = Head::new(&header, Some(&SealTag([9; 16])));
        assert_eq!((head.len(), head[5], head[36]), (52, 0xab, 9));
        let datagram = Slice::from([&head[..], b"body"].concat());
        let (read, tag, body) = Head::decode(&datagram).unwrap();
        assert_eq!((read, tag, &datagram[body..]), (header, Some(SealTag([9; 16])), &b"body"[..]));
        assert!((0..52).all(|n| Head::decode(&datagram[..n]).is_err()));
    }

    #[test]
    fn the_hop_is_not_covered_and_another_version_is_told_apart() {
        let other = Header { network: NetworkId(3), way: Way::Direct, ..header() };
        assert_eq!(header().covered(), other.covered());
        assert_ne!(header().covered(), Header { counter: 1, ..header() }.covered());
        assert_eq!(Header::other_version(&header().encode()), None);
        assert_eq!((Header::other_version(b"TC\x07"), Header::other_version(b"TX\x07")), (Some(7), None));
    }
}
