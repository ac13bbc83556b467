//! Packets that are handed over to the daemon at which the token rests, which numbers them and sends them to all as their origin's.
//!
//! - *Once.* The holder has every packet that has a number, so it knows how far each origin's stream has come. It numbers a packet only
//!   if that continues its origin's stream. A copy, however late and at whatever holder, does not.
//! - *In order.* A daemon has handed over one packet at most. What it sends later waits until that has a number: until it comes back in
//!   the order, or until the token comes to the daemon itself, which by then must have every packet up to the last one that was handed
//!   over by anybody. If its own is not among them, nobody has numbered it and nobody will, so the daemon gives it a number itself.
//! - *In doubt.* If the ring breaks before that, the packet may have a number that only lost daemons know of. Who holds the token knows
//!   all numbers; if it goes on with the origin, or all members do, the exchange shows what became of the packet, and if it got no number,
//!   its messages are sent in the next ring. Otherwise the origin delivers it in the old ring, behind all else, and goes on to the next
//!   ring apart from the others: in a transitional configuration of its own, as if it had been alone since (owed.rs).

use std::cmp::Ordering;

use super::core::Core;
use super::operational::{Operational, packet};
use super::rest::Place;
use super::timer::Timer;
use crate::time::Instant;
use crate::wire::{DaemonId, Data, Packet};

/// A packet that was handed over, and how often it was sent again.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) data: Data,
    tries: u32,
}

/// How often a packet is handed over again before the token shall go round.
const TRIES: u32 = 3;
/// Packets' worth of waiting bytes for which the token shall go round.
const BACKLOG: usize = 2;

/// Whether this numbered packet is the one that was handed over.
pub(crate) fn is_same(handed: &Data, data: &Data) -> bool {
    let barriers = [handed, data].map(|data| data.barrier_distance == 0);
    handed.origin == data.origin
        && (handed.ring, handed.offset) == (data.ring, data.offset)
        && (handed.first_message, handed.service, data.recovered) == (data.first_message, data.service, false)
        && barriers[0] == barriers[1]
        && handed.payload == data.payload
}

impl Operational {
    /// Hands over what waits, if the token rests elsewhere and nothing is handed over yet; otherwise that once more, to a new holder.
    pub(super) fn hand_over(&mut self, core: &mut Core, now: Instant) {
        let room = core.payload_room();
        let Place::There(resting) = &self.place else { return };
        let holder = resting.holder;
        if self.handed.is_none() {
            let Some(stretch) = core.sender.lend(room) else { return };
            let data = Data { seq: 1, ..packet(core.me(), self.circulation.ring, stretch) };
            self.handed = Some(Handed { data, tries: 0 });
            core.stats.handed_over += 1;
        } else if core.timers.is_set(Timer::Handover) {
            return;
        }
        let handed = self.handed.as_ref().expect("it was just handed over");
        core.transmit(Some(holder), Packet::Handover(handed.data.clone()));
        core.timers.set(Timer::Handover, now + self.circulation.patience(core));
        self.ask_if_much_waits(core);
    }

    /// More waits than the holder should carry: asks it once to let the token go round.
    pub(super) fn ask_if_much_waits(&mut self, core: &mut Core) {
        let much = BACKLOG * core.payload_room();
        let Place::There(resting) = &mut self.place else { return };
        if core.sender.bytes() > much && !std::mem::replace(&mut resting.hurried, true) {
            self.hurry(core);
        }
    }

    /// What was handed over has not come back.
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

    /// What was handed over has a number.
    pub(super) fn on_handed_back(&mut self, core: &mut Core, now: Instant) {
        self.handed = None;
        core.sender.keep();
        core.timers.stop(Timer::Handover);
        self.hand_over(core, now);
    }

    /// The token is here. Gives a number to what was handed over in vain; says whether more may be sent.
    pub(super) fn number_handed(
        &mut self,
        core: &mut Core,
        token: &mut crate::wire::Token,
        numbered: &mut Vec<Data>,
    ) -> bool {
        let Some(handed) = &self.handed else { return true };
        if self.circulation.window.aru() < token.handed || self.circulation.allowance(core, token) == 0 {
            return false;
        }
        numbered.push(self.circulation.number(token, handed.data.clone()));
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
        let sound = data.origin == from && self.circulation.members.contains(&from) && !data.recovered;
        if !sound || data.payload.is_empty() {
            core.stats.dropped.impossible_rest += 1;
            return;
        }
        let Place::Here(holding) = &self.place else { return };
        match data.offset.cmp(&self.delivery.position(from)) {
            Ordering::Equal if self.circulation.is_full(core, &holding.token) => self.let_go(core, now),
            Ordering::Equal => {
                (core.stats.taken_over, core.stats.packets_sent) =
                    (core.stats.taken_over + 1, core.stats.packets_sent + 1);
                self.number_at_rest(core, now, data);
            }
            Ordering::Less => self.circulation.send_again_from(core, from, data.offset),
            Ordering::Greater => {}
        }
    }

    /// Sends what waits, with the token that rests here.
    pub(super) fn send_at_rest(&mut self, core: &mut Core, now: Instant) {
        let room = core.payload_room();
        let alone = self.circulation.is_alone();
        while let Place::Here(holding) = &self.place {
            let full = self.circulation.is_full(core, &holding.token);
            if !alone && (full || core.sender.bytes() > 2 * BACKLOG * room) {
                return self.let_go(core, now);
            }
            let Some(stretch) = core.sender.stretch(room) else { return };
            let data = packet(core.me(), self.circulation.ring, stretch);
            core.stats.packets_sent += 1;
            self.number_at_rest(core, now, data);
        }
    }

    fn number_at_rest(&mut self, core: &mut Core, now: Instant, data: Data) {
        let Place::Here(holding) = &mut self.place else { return };
        let data = self.circulation.number(&mut holding.token, data);
        let seq = data.seq;
        if self.circulation.is_alone() {
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
