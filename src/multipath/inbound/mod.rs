//! The way in: what a datagram must pass before anything is known of it.
//!
//! The order is: decode the header, admit, let the first copy through. Only then do [`super::health`] and the ring hear of the packet.

mod duplicates;
mod lives;

pub(super) use duplicates::Copies;

use super::config::System;
use super::health::{Came, Copied};
use super::seat::{BySeat, Seat};
use super::table::Table;
use crate::wire::{DecodeError, Header, Incarnation, NetworkId, Reader, Way};
use lives::Lives;

/// The gate for datagrams.
#[derive(Debug)]
pub(super) struct Inbound {
    incarnation: Incarnation,
    system: System,
    lives: BySeat<Lives>,
}

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its sender has another membership table.
    OtherSystem,
    /// Its sender is not in the table.
    UnknownSender,
    /// It is our own, come back.
    Own,
    /// Another life says that it is this daemon.
    SecondSelf,
}

impl Inbound {
    pub(super) fn new(incarnation: Incarnation, system: System, table: &Table) -> Inbound {
        Inbound { incarnation, system, lives: BySeat::new(table.len(), |_| Lives::default()) }
    }

    /// Reads the header at the front of a datagram.
    pub(super) fn decode(&self, datagram: &[u8]) -> Result<Header, DecodeError> {
        Header::decode(&mut Reader::new(datagram))
    }

    /// Whom a packet is from and how it came, if it concerns us.
    pub(super) fn admit(&self, table: &Table, network: NetworkId, header: &Header) -> Result<Came, Refusal> {
        if header.system != self.system.digest {
            return Err(Refusal::OtherSystem);
        }
        let sender = table.seat(header.sender).ok_or(Refusal::UnknownSender)?;
        if sender == table.me() {
            return Err(if header.incarnation == self.incarnation { Refusal::Own } else { Refusal::SecondSelf });
        }
        // What came on another network than it was sent on says nothing about either.
        let directly = (header.way != Way::Relayed && header.network == network).then_some(network);
        Ok(Came { sender, directly })
    }

    /// Which copy of a packet this is; `None` if it is left over from an earlier life.
    pub(super) fn copied(&mut self, sender: Seat, header: &Header) -> Option<Copied> {
        let first = self.lives[sender].is_first(header)?;
        Some(if first { Copied::First } else { Copied::Later })
    }
}
