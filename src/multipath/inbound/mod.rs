//! The way in: what a datagram must pass before anything is known of it.
//!
//! The order is: decode the header, admit, let the first copy through. Only then do [`super::health`] and the ring hear of the packet.

mod clones;
mod duplicates;
mod lives;

pub(super) use duplicates::Copies;

use super::config::System;
use super::health::{Came, Copied};
use super::seat::{BySeat, Seat};
use super::table::Table;
use crate::time::Instant;
use crate::wire::{DecodeError, Header, Incarnation, NetworkId, Reader, Way};
use clones::Clones;
use lives::Lives;

/// The gate for datagrams.
#[derive(Debug)]
pub(super) struct Inbound {
    incarnation: Incarnation,
    system: System,
    lives: BySeat<Lives>,
    clones: BySeat<Clones>,
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

/// What a packet is among those of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of the sender's present life.
    PresentLife(Copied),
    /// Left over from an earlier life.
    PastLife,
    /// Of one of two hosts with one identity, which gives way to the other.
    Rival,
    /// It shows that two hosts have one identity: these lives, first the one that is heard from now on.
    SecondHost([Incarnation; 2]),
}

impl Inbound {
    pub(super) fn new(incarnation: Incarnation, system: System, table: &Table) -> Inbound {
        let lives = BySeat::new(table.len(), |_| Lives::default());
        Inbound { incarnation, system, lives, clones: BySeat::new(table.len(), |_| Clones::default()) }
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

    /// Which copy of a packet this is, and which life of its sender it is of.
    pub(super) fn copied(&mut self, now: Instant, sender: Seat, header: &Header) -> Origin {
        let (life, before) = (header.incarnation, self.lives[sender].present());
        if self.clones[sender].give_way(now, life) {
            return Origin::Rival;
        }
        let Some(first) = self.lives[sender].is_first(header) else { return Origin::PastLife };
        let other = before.filter(|&before| before != life);
        match other.and_then(|other| self.clones[sender].take_turns(now, other, life)) {
            Some(lives) => Origin::SecondHost(lives),
            None => Origin::PresentLife(if first { Copied::First } else { Copied::Later }),
        }
    }
}
