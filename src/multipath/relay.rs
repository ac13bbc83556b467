//! Relaying: where no network leads from one daemon to another, a third one that hears the one and is heard by the other forwards.
//!
//! A relayed datagram keeps everything that its sender said (sender, life, destination, counter), so the first copy wins wherever it
//! came from, and only says that it was relayed. Such a one is never relayed again, so nothing runs in circles and no packet is
//! forwarded more than once by any daemon. Nothing waits here: what came in goes out before the next input.
//!
//! *The scenic route* needs no knowledge. A packet to one daemon that must be sent again (a token, a form token) also goes through
//! another daemon, each time the next one: whatever kept it from arriving directly, it arrives within a few turns, long before a
//! timeout. Lost data needs no route, because whoever holds a packet sends it again. So faults that differ from daemon to daemon are
//! masked before anybody has found out about them. What is known later is in `plan`.

use super::lives::Relayed;
use super::table::Table;
use crate::wire::Header;

/// What is relayed here and elsewhere.
#[derive(Debug)]
pub(super) struct Relay {
    /// What was relayed, by the sender's number.
    relayed: Vec<Relayed>,
    /// Whose turn it was to take a packet the scenic route.
    turn: usize,
}

impl Relay {
    pub(super) fn new(table: &Table) -> Relay {
        Relay { relayed: (0..table.len()).map(|_| Relayed::default()).collect(), turn: 0 }
    }

    /// Whether this packet, which came directly from the daemon with this number, is still to be relayed.
    pub(super) fn is_first(&mut self, sender: usize, header: &Header) -> bool {
        self.relayed[sender].is_first(header)
    }

    /// The next of the `fit` daemons to take a packet to another one.
    pub(super) fn around(&mut self, table: &Table, to: usize, fit: impl Fn(usize) -> bool) -> Option<usize> {
        let daemons = table.len();
        let others = (1..=daemons).map(|step| (self.turn + step) % daemons);
        let relay = others.filter(|&other| other != table.me() && other != to).find(|&other| fit(other))?;
        self.turn = relay;
        Some(relay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    #[test]
    fn each_daemon_takes_its_turn_on_the_scenic_route() {
        let table = Table::new(DaemonId(2), &[1, 2, 3, 4, 5].map(DaemonId), &[]);
        let mut relay = Relay::new(&table);
        let mut turns =
            |to, fit: fn(usize) -> bool| [(); 4].map(|()| relay.around(&table, to, fit).map(|n| table.id(n).0));
        assert_eq!(turns(2, |_| true), [4, 5, 1, 4].map(Some));
        assert_eq!(turns(0, |number| number != 3), [5, 3, 5, 3].map(Some));
        assert_eq!(turns(0, |_| false), [None; 4]);
    }
}
