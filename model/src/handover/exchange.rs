//! A ring breaks: daemons form another one, exchange what they have, and decide what becomes of the packets that were handed over.

use super::{
    Brings, Daemon, Handed, Handover, Outcome, Packet, Phase, Ring, RingId, Set, State, Token, Visit, members,
};

impl Daemon {
    fn brings(&self) -> Brings {
        let claimed = match self.handed {
            Some(Handed::InDoubt(packet) | Handed::Promised(packet)) => Some(packet),
            Some(Handed::Void(_)) | None => None,
        };
        let Daemon { ring, has, trusted, .. } = *self;
        Brings { ring, has, claimed, holds: self.holds.is_some(), apart: self.is_apart(), trusted }
    }
}

impl Handover {
    /// These daemons leave their rings and try to form a new one.
    pub(super) fn form(&self, state: &mut State, set: Set, outcome: Outcome) {
        let sequence = 1 + members(set).map(|n| state.daemons[n].sequence).max().expect("it has members");
        let id: RingId = (sequence, set.trailing_zeros() as u8);
        let brings: Vec<(usize, Brings)> = members(set).map(|n| (n, state.daemons[n].brings())).collect();
        state.formed += 1;
        for n in members(set) {
            (state.daemons[n].sequence, state.daemons[n].phase) = (sequence, Phase::Gather);
        }
        match outcome {
            Outcome::Fails { settled } => members(settled).for_each(|n| drop(state.settle(n, &brings))),
            Outcome::Begins { hop } => {
                let token = Some(Token { hop, seq: 0, handed: 0 });
                // Once round.
                let last_hop = hop + set.count_ones() as u8 - 1;
                state.rings.insert(id, Ring { members: set, token, last_hop, ..Ring::default() });
                for n in members(set) {
                    let (peers, claims) = state.settle(n, &brings);
                    state.daemons[n].phase = Phase::Settled { ring: id, peers, claims };
                }
            }
        }
        if let (Outcome::Begins { .. }, 1) = (outcome, set.count_ones()) {
            // It waits for nobody, so nothing comes between.
            self.visit(state, id, Visit::Turn { sends: true });
        }
    }
}

impl State {
    /// The exchange is complete at this daemon. Returns with whom it goes on, and what is delivered by its claim.
    fn settle(&mut self, me: usize, brings: &[(usize, Brings)]) -> (Set, Vec<Packet>) {
        let from = self.daemons[me].ring;
        let came = brings.iter().filter(|(_, brings)| brings.ring == from).count();
        // None of them has installed another ring, or delivered what it had promised there.
        let whole = came == self.ring_of(me).members.count_ones() as usize;
        if let (true, Some(Handed::Promised(packet))) = (whole, self.daemons[me].handed) {
            self.daemons[me].handed = Some(Handed::InDoubt(packet));
        }
        let counts = |brings: &Brings| brings.ring == from && (whole || !brings.apart);
        let together: Vec<_> = brings.iter().filter(|(_, brings)| counts(brings)).collect();
        let (peers, claims) = match self.daemons[me].handed {
            // It shares nothing: what the others deliver is not changed by it.
            Some(Handed::Promised(packet)) => (1 << me, vec![packet]),
            _ => (together.iter().map(|(n, _)| 1 << n).sum(), self.decide(me, &together)),
        };
        let trusted = together.iter().filter(|(n, _)| peers & 1 << n != 0);
        self.daemons[me].trusted |= trusted.fold(peers, |all, (_, brings)| all | brings.trusted);
        (peers, claims)
    }

    /// Shares all packets, and finds which of those without a number are delivered by their claims.
    fn decide(&mut self, me: usize, together: &[&(usize, Brings)]) -> Vec<Packet> {
        self.daemons[me].has |= together.iter().fold(0, |all, (_, brings)| all | brings.has);
        // Each keeps what it has numbered, and who holds the token has all.
        let count = self.ring_of(me).members.count_ones() as usize;
        let shows_all = together.len() == count || together.iter().any(|(_, brings)| brings.holds);
        let in_doubt = |packet: &Packet| {
            !shows_all && packet.claim() > self.last_claim(me) && !self.packets(me).any(|known| known == packet)
        };
        let mut claims: Vec<Packet> =
            together.iter().filter_map(|(_, brings)| brings.claimed).filter(in_doubt).collect();
        claims.sort_by_key(Packet::claim);
        if let Some(Handed::InDoubt(packet)) = self.daemons[me].handed {
            let has_number = self.packets(me).any(|known| *known == packet);
            self.daemons[me].handed = match claims.contains(&packet) {
                _ if has_number => None,
                true => Some(Handed::Promised(packet)),
                false => Some(Handed::Void(packet)),
            };
        }
        claims
    }

    /// Delivers what the old ring is owed, and begins the new one.
    pub(super) fn install(&mut self, me: usize) {
        let Phase::Settled { ring: to, peers, claims } = self.daemons[me].phase.clone() else { return };
        let from = self.daemons[me].ring;
        let aru = usize::from(self.daemons[me].aru());
        let trusted = self.daemons[me].trusted;
        let mut owed: Vec<Packet> = self.packets(me).take(aru).copied().collect();
        // Behind a hole by claims, not by numbers: so each that may have no number comes where its number would be.
        let known = self.packets(me).skip(aru).filter(|packet| trusted & 1 << packet.message.origin != 0);
        let mut behind: Vec<Packet> = known.chain(&claims).copied().collect();
        behind.sort_by_key(Packet::claim);
        owed.extend(behind);
        let daemon = &mut self.daemons[me];
        daemon.log.extend(owed.iter().map(|packet| (from, packet.message)));
        daemon.by_claim.extend(claims.iter().map(|packet| packet.message));
        daemon.moves.push((from, to, peers));
        if let Some(Handed::Void(packet)) = daemon.handed {
            // Nobody gave it a number, so it is sent again.
            daemon.next = packet.message.index;
            daemon.sent_again.push(packet.message);
        }
        (daemon.phase, daemon.ring, daemon.first) = (Phase::Operational, to, daemon.next);
        (daemon.hop, daemon.has, daemon.holds, daemon.handed, daemon.trusted) = (0, 0, None, None, 0);
    }
}
