//! Packets that are handed over to the holder of a resting token. It numbers them and sends them to all as their origin's packets.
//!
//! - *Once.* A packet gets a number only if it continues its origin's stream. A copy, however late and at whatever holder, does not.
//! - *In order.* A daemon hands over one packet at a time. What it sends later waits until that one has a number.
//! - *Claims.* A packet that is handed over claims the first number that is free as far as its origin knows. The holder numbers packets in
//!   the order of their claims only, and of equal claims in the order of their origins. When the turn of a claim has passed, the origin
//!   sees that from the packets that have come, and claims again.
//! - *In doubt.* If the ring breaks in between, perhaps only lost daemons know the number. But everybody knows the claim, so those who are
//!   left deliver the packet at its place, whether it has a number or not (owed.rs).

use std::cmp::Ordering;

use super::core::Core;
use super::operational::{Operational, packet};
use super::rest::Place;
use super::timer::Timer;
use crate::time::Instant;
use crate::wire::{Claim, DaemonId, Data, Packet};

/// A packet that was handed over.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Its number is its claim.
    pub(crate) data: Data,
    /// How often it was retransmitted with this claim, and how often it had to claim again.
    tries: u32,
    claims: u32,
}

/// Whether packets may be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// To the daemon at which the token rests.
    Allowed,
    /// They wait for the token, which is asked to go round: the daemon that would get them may go for good.
    Stopped,
}

/// How often a packet is handed over again before the token shall go round.
const TRIES: u32 = 3;
/// How many claims of one packet may be refused before the token shall go round.
const CLAIMS: u32 = 8;
/// If more bytes wait than fit this many packets, the token shall go round.
const BACKLOG_PACKETS: usize = 2;

/// Whether this numbered packet is the one that was handed over.
pub(crate) fn is_same(handed: &Data, data: &Data) -> bool {
    let barriers = [handed, data].map(|data| data.barrier_distance == 0);
    handed.claim() == data.claim()
        && (handed.ring, handed.offset) == (data.ring, data.offset)
        && (handed.first_message, handed.service, data.recovered) == (data.first_message, data.service, false)
        && barriers[0] == barriers[1]
        && handed.payload == data.payload
}

impl Operational {
    /// Hands over the next packet, if the token rests elsewhere. If one is handed over already, a new holder gets that one again.
    pub(super) fn hand_over(&mut self, core: &mut Core, now: Instant) {
        let room = core.payload_room();
        let Place::There(resting) = &mut self.place else { return };
        let holder = resting.holder;
        let (free, passed) = (self.circulation.window.high().max(resting.seq) + 1, self.circulation.window.claim());
        if self.handed.is_none() {
            if core.handover == Handover::Stopped {
                if !core.sender.is_empty() && !std::mem::replace(&mut resting.hurried, true) {
                    self.hurry(core);
                }
                return;
            }
            // Lent, not taken: if the ring breaks before it has a number, its messages are still here.
            let Some(stretch) = core.sender.lend(room) else { return };
            let data = Data { seq: free, ..packet(core.me(), self.circulation.ring, stretch) };
            self.handed = Some(Handed { data, tries: 0, claims: 0 });
            core.stats.handed_over += 1;
        } else if let Some(handed) = self.handed.as_mut().filter(|handed| handed.data.claim() < passed) {
            // Everything up to a higher claim is here, so this packet has no number, and with this claim it gets none.
            *handed = Handed { data: Data { seq: free, ..handed.data.clone() }, tries: 0, claims: handed.claims + 1 };
            core.stats.claimed_again += 1;
        // It is on its way. Only silence, or a new holder, sends it again.
        } else if core.timers.is_set(Timer::Handover) {
            return;
        }
        let handed = self.handed.as_ref().expect("it was just handed over");
        core.transmit(Some(holder), Packet::Handover(handed.data.clone()));
        core.timers.set(Timer::Handover, now + self.circulation.patience(core));
        if handed.claims >= CLAIMS {
            self.hurry(core);
        }
        self.ask_if_much_waits(core);
    }

    /// A packet arrived. If the turn of this daemon's claim has passed with it, its packet claims another number.
    pub(super) fn claim_again(&mut self, core: &mut Core, now: Instant) {
        if self.handed.as_ref().is_some_and(|handed| handed.data.claim() < self.circulation.window.claim()) {
            self.hand_over(core, now);
        }
    }

    /// Asks the holder once to let the token go round, if more waits than it should carry.
    pub(super) fn ask_if_much_waits(&mut self, core: &mut Core) {
        let much = BACKLOG_PACKETS * core.payload_room();
        let Place::There(resting) = &mut self.place else { return };
        if core.sender.bytes() > much && !std::mem::replace(&mut resting.hurried, true) {
            self.hurry(core);
        }
    }

    /// The packet that was handed over has not come back.
    pub(super) fn on_handover_timer(&mut self, core: &mut Core, now: Instant) {
        let patience = self.circulation.patience(core);
        let (Place::There(resting), Some(handed)) = (&self.place, &mut self.handed) else { return };
        handed.tries += 1;
        core.transmit_again(Some(resting.holder), Packet::Handover(handed.data.clone()));
        let pause = (patience * (1 << handed.tries.min(6))).min(core.config.token_retransmit);
        core.timers.set(Timer::Handover, now + pause);
        if handed.tries >= TRIES {
            self.hurry(core);
        }
    }

    /// The packet that was handed over has a number.
    pub(super) fn on_handed_back(&mut self, core: &mut Core, now: Instant) {
        self.handed = None;
        core.sender.keep();
        core.timers.stop(Timer::Handover);
        self.hand_over(core, now);
    }

    /// The token is here. Gives a number to a packet that was handed over and got none. Returns whether more may be sent.
    pub(super) fn number_handed(
        &mut self,
        core: &mut Core,
        token: &mut crate::wire::Token,
        numbered: &mut Vec<Data>,
    ) -> bool {
        let Some(handed) = &self.handed else { return true };
        // Before it has all packets that were handed over, it cannot know that its own has no number.
        if self.circulation.window.aru() < token.handed || self.circulation.allowance(core, token) == 0 {
            return false;
        }
        numbered.push(self.circulation.number(token, Data { seq: 0, ..handed.data.clone() }));
        self.handed = None;
        core.sender.keep();
        true
    }

    /// A packet is handed over to this daemon.
    pub(super) fn on_handover(&mut self, core: &mut Core, now: Instant, from: DaemonId, data: Data) {
        if data.ring != self.circulation.ring {
            core.stats.dropped.foreign += 1;
            return;
        }
        // A daemon hands over only its own packets.
        let sound =
            data.origin == from && self.circulation.members.contains(&from) && !data.recovered && !data.is_numbered();
        if !sound || data.payload.is_empty() {
            core.stats.dropped.impossible_rest += 1;
            return;
        }
        let Place::Here(holding) = &mut self.place else { return };
        if data.seq > holding.token.seq + 1 {
            // The claim lies beyond every number that was given, so no honest daemon makes it.
            core.stats.dropped.impossible_rest += 1;
            return;
        }
        // Not numbered yet: packets of others may have arrived at the same moment, with lower claims.
        match holding.waiting.iter_mut().find(|waiting| waiting.origin == from) {
            None => holding.waiting.push(data),
            // A late copy must not take the place of what its origin has handed over since.
            Some(waiting) if waiting.claim() <= data.claim() => *waiting = data,
            Some(_) => {}
        }
        core.timers.set(Timer::Number, now);
    }

    /// Gives numbers to the packets that were handed over, in the order of their claims.
    pub(super) fn number_waiting(&mut self, core: &mut Core, now: Instant) {
        core.timers.stop(Timer::Number);
        let Place::Here(holding) = &mut self.place else { return };
        let mut waiting = std::mem::take(&mut holding.waiting);
        waiting.sort_unstable_by_key(Data::claim);
        waiting.drain(..).for_each(|data| self.take_over(core, now, data));
        if let Place::Here(holding) = &mut self.place {
            // Its memory serves the next ones.
            holding.waiting = waiting;
        }
    }

    fn take_over(&mut self, core: &mut Core, now: Instant, data: Data) {
        // The token may have been let go because of the packet before this one. Then its origin sends it again, or numbers it itself.
        let Place::Here(holding) = &self.place else { return };
        match data.offset.cmp(&self.delivery.position(data.origin)) {
            // Numbers follow the order of claims, so that the claims give the order if the ring breaks. The origin claims again.
            Ordering::Equal if data.claim() <= self.circulation.window.claim() => self.refuse(core, now, &data),
            // Only the packet that continues the stream: so a late copy is never numbered twice.
            Ordering::Equal if self.circulation.is_full(core, &holding.token) => self.let_go(core, now),
            Ordering::Equal => {
                (core.stats.taken_over, core.stats.packets_sent) =
                    (core.stats.taken_over + 1, core.stats.packets_sent + 1);
                self.number_at_rest(core, now, data);
            }
            // It has a number already, which the origin seems not to know.
            Ordering::Less => {
                self.circulation.send_again_as(core, &data);
                self.on_signs_of_loss(core, now);
            }
            // An honest origin waits until its last packet has a number, and then that packet is here.
            Ordering::Greater => {}
        }
    }

    /// The turn of this claim has passed. Its origin sees that from the packets that have passed it, if it has them.
    fn refuse(&mut self, core: &mut Core, now: Instant, data: &Data) {
        core.stats.claims_refused += 1;
        let Place::Here(holding) = &mut self.place else { return };
        if holding.refuse(data.origin, data.seq) {
            self.on_signs_of_loss(core, now);
        }
    }

    /// Sends what waits, with the token that rests here.
    pub(super) fn send_at_rest(&mut self, core: &mut Core, now: Instant) {
        // Packets that were handed over came first. Otherwise this daemon's claims would pass some of theirs.
        self.number_waiting(core, now);
        let room = core.payload_room();
        let alone = self.circulation.is_alone();
        while let Place::Here(holding) = &self.place {
            let full = self.circulation.is_full(core, &holding.token);
            if !alone && (full || core.sender.bytes() > 2 * BACKLOG_PACKETS * room) {
                return self.let_go(core, now);
            }
            let Some(stretch) = core.sender.stretch(room) else { return };
            let claim = lowest_claim(core.me(), self.circulation.window.claim());
            let data = Data { seq: claim, ..packet(core.me(), self.circulation.ring, stretch) };
            core.stats.packets_sent += 1;
            self.number_at_rest(core, now, data);
        }
    }

    fn number_at_rest(&mut self, core: &mut Core, now: Instant, data: Data) {
        let Place::Here(holding) = &mut self.place else { return };
        let data = self.circulation.number(&mut holding.token, data);
        let seq = data.seq;
        if self.circulation.is_alone() {
            // No other member needs it.
            self.circulation.safe = seq;
        } else {
            core.transmit(None, Packet::Data(data));
            holding.numbered(core, now);
        }
        self.delivery.arrived(&self.circulation.window, seq);
        self.deliver_and_forget(core);
        if self.gait.numbered(now, &self.circulation.rotation) && !self.circulation.is_alone() {
            self.let_go(core, now);
        }
    }
}

/// The lowest number that a packet of the holder may claim after `last`, so that it does not pass claims that are on their way
/// here.
fn lowest_claim(me: DaemonId, last: Claim) -> u64 {
    if me > last.origin { last.number } else { last.number + 1 }
}
