//! The body of a datagram for the ring, by kind. Reports, greetings and knocks are for multipath, and no ring reads them.

use std::fmt;

use super::probe::{decode_ring, encode_ring};
use super::{Data, DecodeError, FormPart, Join, PacketKind, RingId, Slice, Token};

/// A packet without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A numbered packet.
    Data(Data),
    /// The token.
    Token(Token),
    /// A join.
    Join(Join),
    /// A part of a form token.
    Form(FormPart),
    /// A sign of life of an installed ring.
    Probe(RingId),
    /// Asks for the token of an idle ring.
    Hurry(RingId),
}

impl Packet {
    /// Reads the body of a packet of this kind.
    pub fn decode(kind: PacketKind, body: &Slice) -> Result<Packet, DecodeError> {
        Ok(match kind {
            PacketKind::Data => Packet::Data(Data::decode(body)?),
            PacketKind::Token => Packet::Token(Token::decode(body)?),
            PacketKind::Join => Packet::Join(Join::decode(body)?),
            PacketKind::Form => Packet::Form(FormPart::decode(body)?),
            PacketKind::Probe => Packet::Probe(decode_ring(body)?),
            PacketKind::Hurry => Packet::Hurry(decode_ring(body)?),
            PacketKind::Report | PacketKind::Greeting | PacketKind::Knock => return Err(DecodeError::BadValue("kind")),
        })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Slice {
        match self {
            Packet::Data(data) => data.encode(),
            Packet::Token(token) => token.encode(),
            Packet::Join(join) => join.encode(),
            Packet::Form(part) => part.encode(),
            Packet::Probe(ring) | Packet::Hurry(ring) => encode_ring(*ring),
        }
        .into()
    }

    /// What kind of packet this is.
    pub fn kind(&self) -> PacketKind {
        match self {
            Packet::Data(_) => PacketKind::Data,
            Packet::Token(_) => PacketKind::Token,
            Packet::Join(_) => PacketKind::Join,
            Packet::Form(_) => PacketKind::Form,
            Packet::Probe(_) => PacketKind::Probe,
            Packet::Hurry(_) => PacketKind::Hurry,
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packet::Data(data) => write!(f, "{data}"),
            Packet::Token(token) => write!(f, "{token}"),
            Packet::Join(join) => write!(f, "{join}"),
            Packet::Form(part) => write!(f, "{part}"),
            Packet::Probe(ring) | Packet::Hurry(ring) => write!(f, "ring {ring}"),
        }
    }
}
