//! The body of a datagram for the ring, by kind. Others, from reports to fragments, are for multipath, and no ring reads them.

use std::fmt;

use super::probe::{decode_ring, encode_ring};
use super::{Data, DecodeError, FormPart, Have, Join, PacketKind, Probe, Rest, RingId, Slice, Token};

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
    Probe(Probe),
    /// Asks for a token that rests.
    Hurry(RingId),
    /// The token rests at the sender.
    Rest(Rest),
    /// The packets that the sender has, for the daemon at which the token rests.
    Have(Have),
    /// A data packet that the daemon at which the token rests may number. Its own number means nothing.
    Handover(Data),
}

impl Packet {
    /// Reads the body of a packet of this kind.
    pub fn decode(kind: PacketKind, body: &Slice) -> Result<Packet, DecodeError> {
        Ok(match kind {
            PacketKind::Data => Packet::Data(Data::decode(body)?),
            PacketKind::Token => Packet::Token(Token::decode(body)?),
            PacketKind::Join => Packet::Join(Join::decode(body)?),
            PacketKind::Form => Packet::Form(FormPart::decode(body)?),
            PacketKind::Probe => Packet::Probe(Probe::decode(body)?),
            PacketKind::Hurry => Packet::Hurry(decode_ring(body)?),
            PacketKind::Rest => Packet::Rest(Rest::decode(body)?),
            PacketKind::Have => Packet::Have(Have::decode(body)?),
            PacketKind::Handover => Packet::Handover(Data::decode(body)?),
            PacketKind::Report | PacketKind::Greeting | PacketKind::Knock => return Err(DecodeError::BadValue("kind")),
            PacketKind::SizeProbe | PacketKind::Sizes | PacketKind::Fragment => {
                return Err(DecodeError::BadValue("kind"));
            }
        })
    }

    /// The bytes of the body.
    pub fn encode(&self) -> Slice {
        match self {
            Packet::Data(data) | Packet::Handover(data) => data.encode(),
            Packet::Token(token) => token.encode(),
            Packet::Join(join) => join.encode(),
            Packet::Form(part) => part.encode(),
            Packet::Probe(probe) => probe.encode(),
            Packet::Hurry(ring) => encode_ring(*ring),
            Packet::Rest(rest) => rest.encode(),
            Packet::Have(have) => have.encode(),
        }
        .into()
    }

    /// The kind of this packet.
    pub fn kind(&self) -> PacketKind {
        match self {
            Packet::Data(_) => PacketKind::Data,
            Packet::Token(_) => PacketKind::Token,
            Packet::Join(_) => PacketKind::Join,
            Packet::Form(_) => PacketKind::Form,
            Packet::Probe(_) => PacketKind::Probe,
            Packet::Hurry(_) => PacketKind::Hurry,
            Packet::Rest(_) => PacketKind::Rest,
            Packet::Have(_) => PacketKind::Have,
            Packet::Handover(_) => PacketKind::Handover,
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Packet::Data(data) | Packet::Handover(data) => write!(f, "{data}"),
            Packet::Rest(rest) => write!(f, "{rest}"),
            Packet::Have(have) => write!(f, "{have}"),
            Packet::Token(token) => write!(f, "{token}"),
            Packet::Join(join) => write!(f, "{join}"),
            Packet::Form(part) => write!(f, "{part}"),
            Packet::Probe(probe) => write!(f, "{probe}"),
            Packet::Hurry(ring) => write!(f, "ring {ring}"),
        }
    }
}
