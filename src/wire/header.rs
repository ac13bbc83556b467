//! The header of every datagram between daemons. It says from end to end who made the packet, for whom, and which of his packets
//! it is; only `network` and `way` belong to one hop, and a daemon that relays the packet writes them anew. So a copy that came by
//! a relay is a copy like any other. Numbers are big-endian.
//!
//! ```text
//!  0  2  magic "TC"
//!  2  1  version
//!  3  1  kind of the body
//!  4  1  network the datagram was sent on
//!  5  1  protection: 0 plain; other values name a key slot, the body is then sealed and a tag follows it
//!  6  1  way: 0 direct, 1 relayed by another daemon than the sender, 2 direct and to be put on the networks of the receiver's site
//!  7  1  reserved, zero
//!  8  4  sender: the daemon that made the packet
//! 12  4  destination: a daemon, or 0 for all
//! 16  4  system: digest of the membership table
//! 20  8  incarnation of the sender
//! 28  8  counter: 1, 2, 3, … for each destination; the copies of one packet on several networks share it
//! 36     body
//! ```
//!
//! (sender, incarnation, destination, counter) names one packet for ever, so it can be the nonce of a sealed one, which is sealed once for
//! all networks and relays: the two fields of the hop stay outside the seal.

use super::{DaemonId, DecodeError, Incarnation, NetworkId, Reader};

const MAGIC: u16 = 0x5443;
const VERSION: u8 = 1;

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: PacketKind,
    /// The network it was sent on.
    pub network: NetworkId,
    /// How it came onto that network.
    pub way: Way,
    /// Who made it.
    pub sender: DaemonId,
    /// Whom it is for; `None` for all.
    pub destination: Option<DaemonId>,
    /// Digest of the sender's membership table.
    pub system: u32,
    /// The sender's life.
    pub incarnation: Incarnation,
    /// Number of this packet among those of this sender to this destination, the same on every network.
    pub counter: u64,
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
    /// Asks the representative to let go of the token of an idle ring.
    Hurry = 6,
    /// Whom its sender hears on which network. It is no packet of a ring.
    Report = 7,
}

impl PacketKind {
    fn from_wire(number: u8) -> Option<PacketKind> {
        use PacketKind::*;
        [Data, Token, Join, Form, Probe, Hurry, Report].into_iter().find(|&kind| kind as u8 == number)
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
        if reader.u8()? != VERSION {
            return Err(DecodeError::BadValue("version"));
        }
        let kind = PacketKind::from_wire(reader.u8()?).ok_or(DecodeError::BadValue("kind"))?;
        let network = NetworkId(reader.u8()?);
        if usize::from(network.0) >= NetworkId::LIMIT {
            return Err(DecodeError::BadValue("network"));
        }
        if reader.u8()? != 0 {
            return Err(DecodeError::BadValue("protection"));
        }
        let way = Way::from_wire(reader.u8()?).ok_or(DecodeError::BadValue("way"))?;
        if reader.u8()? != 0 {
            return Err(DecodeError::BadValue("reserved"));
        }
        Ok(Header {
            kind,
            network,
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
        bytes[6] = self.way as u8;
        bytes[8..12].copy_from_slice(&self.sender.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&DaemonId::to_wire(self.destination).to_be_bytes());
        bytes[16..20].copy_from_slice(&self.system.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes[28..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: PacketKind::Token,
            network: NetworkId(1),
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
            b'T', b'C', 1, 2, 1, 0, 1, 0, 0x0a, 0x4d, 0, 1, 0x0a, 0x4d, 0, 2, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 0, 0, 0,
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
        for (at, value, field) in [
            (0, 0, "magic"),
            (2, 2, "version"),
            (3, 0, "kind"),
            (4, 8, "network"),
            (5, 1, "protection"),
            (6, 3, "way"),
            (7, 1, "reserved"),
        ] {
            let mut bytes = header().encode();
            bytes[at] = value;
            assert_eq!(Header::decode(&mut Reader::new(&bytes)), Err(DecodeError::BadValue(field)));
        }
    }
}
