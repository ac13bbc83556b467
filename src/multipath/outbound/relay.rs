//! Relaying: if no network leads from one daemon to another, a third daemon forwards the packets.
//!
//! A relayed datagram keeps its sender, life, destination and counter, so it is a copy like any other. It is marked as relayed and never
//! relayed again, so no packet runs in circles.
//!
//! The *scenic route* needs no knowledge of paths: a token or form token that is retransmitted also goes through another daemon, each time the
//! next one. So an unknown fault is masked within a few retransmissions. Lost data needs no such route, because any member that has a packet
//! retransmits it.

use super::super::inbound::{Copies, Mark, Trust};
use super::super::moves::Moves;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use crate::wire::{DaemonId, Header, Incarnation, NetworkId};

/// How many packets of one sender to one destination are remembered as relayed.
const SPAN: usize = 1024;

/// The packets that were relayed, and the next relay to use.
#[derive(Debug)]
pub(super) struct Relay {
    /// The packets that were relayed here, by sender.
    relayed: BySeat<Relayed>,
    /// Whose turn it was to take a packet the scenic route.
    turn: usize,
}

/// Which packets of another daemon were relayed here already. A packet is relayed once, with its first copy that came directly, though a
/// copy that was relayed by another daemon may have come before. Nothing is kept of a life that is over.
#[derive(Debug, Default)]
struct Relayed {
    incarnation: Option<Incarnation>,
    /// By destination, of which there are no more than daemons.
    destinations: Vec<(Option<DaemonId>, Copies)>,
}

impl Relayed {
    /// Whether this packet is to be relayed now.
    fn is_first(&mut self, header: &Header) -> bool {
        // Packets of an earlier life may be relayed twice. That costs a copy, and remembering all lives would cost memory.
        if self.incarnation != Some(header.incarnation) {
            *self = Relayed { incarnation: Some(header.incarnation), destinations: Vec::new() };
        }
        let place = self.destinations.iter().position(|(to, _)| *to == header.destination).unwrap_or_else(|| {
            self.destinations.push((header.destination, Copies::new(Trust::Unproved, SPAN)));
            self.destinations.len() - 1
        });
        // How it came here makes no difference: it goes on once.
        self.destinations[place].1.record(header.counter, Mark::direct(NetworkId(0))).is_some()
    }
}

impl Relay {
    pub(super) fn new(table: &Table) -> Relay {
        Relay { relayed: BySeat::new(table.len(), |_| Relayed::default()), turn: 0 }
    }

    /// The table is another one.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.relayed, |_| Relayed::default());
        self.turn = 0;
    }

    /// Whether this packet, which came directly from this daemon, is still to be relayed.
    pub(super) fn is_first(&mut self, sender: Seat, header: &Header) -> bool {
        self.relayed[sender].is_first(header)
    }

    /// The next of the `fit` daemons to take a packet to another one.
    pub(super) fn next(&mut self, table: &Table, to: Seat, fit: impl Fn(Seat) -> bool) -> Option<Seat> {
        let daemons = table.len();
        // From behind the last one, so that every daemon has its turn.
        let others = (1..=daemons).map(|step| Seat::new((self.turn + step) % daemons));
        let relay = others.filter(|&other| other != table.me() && other != to).find(|&other| fit(other))?;
        // The next retransmission takes another relay, because this one may not reach the target.
        self.turn = relay.number();
        Some(relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{PacketKind, Protection, Way};

    #[test]
    fn each_daemon_takes_its_turn_on_the_scenic_route() {
        let table = Table::new(DaemonId(2), &[1, 2, 3, 4, 5].map(DaemonId), &[]);
        let mut relay = Relay::new(&table);
        let mut turns =
            |to, fit: fn(Seat) -> bool| [(); 4].map(|()| relay.next(&table, Seat::new(to), fit).map(|n| table.id(n).0));
        assert_eq!(turns(2, |_| true), [4, 5, 1, 4].map(Some));
        assert_eq!(turns(0, |seat| seat != Seat::new(3)), [5, 3, 5, 3].map(Some));
        assert_eq!(turns(0, |_| false), [None; 4]);
    }

    fn header(incarnation: u64, to: u32, counter: u64) -> Header {
        Header {
            kind: PacketKind::Token,
            network: NetworkId(0),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: DaemonId(1),
            destination: Some(DaemonId(to)),
            system: 7,
            incarnation: Incarnation(incarnation),
            counter,
        }
    }

    #[test]
    fn a_packet_is_relayed_once_for_each_destination() {
        let mut relayed = Relayed::default();
        assert!(relayed.is_first(&header(1, 3, 5)) && relayed.is_first(&header(1, 4, 5)));
        assert!(!relayed.is_first(&header(1, 3, 5)));
        assert!(relayed.is_first(&header(2, 3, 1)), "another life");
        assert_eq!(relayed.destinations.len(), 1);
    }
}
