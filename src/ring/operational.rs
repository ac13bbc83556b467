//! Operational: the ring is installed; messages are numbered, delivered and forgotten as the token goes round (Totem SRP §4.1).
//!
//! An idle ring is quiet: when there is nothing left to do the representative holds the token for a while. Whoever then has
//! something to send asks for it with a hurry packet, so that a lone message leaves at once. If nothing comes of that, it asks all:
//! who passed the token on last then knows that it was lost, and sends it again without waiting as long as it might be held.

use super::Progress;
use super::circulation::{Circulation, Received, is_idle};
use super::core::Core;
use super::delivery::Delivery;
use super::form::after_agreement;
use super::owed::Owed;
use super::sender::Stretch;
use super::state::{GatherReason, Transition};
use super::timer::Timer;
use crate::known_bugs::{KnownBug, is_back};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Data, Join, Packet, RingId, Service, Token};

/// How many probe intervals pass between two probes of a member while no daemon is missing.
const WHOLE_RING_PAUSE: usize = 16;

/// Ordering and delivering.
#[derive(Debug)]
pub(crate) struct Operational {
    pub(crate) circulation: Circulation,
    delivery: Delivery,
    /// The token, while this daemon holds it because the ring is idle.
    held: Option<Token>,
    /// Somebody asked for the token while it was elsewhere: do not hold it next time.
    hurried: bool,
    /// This daemon has asked for the token since its last visit.
    asked: bool,
}

impl Operational {
    /// The ring is installed. In a ring of one the token is here; it is used at the next timeout, so that the level above can
    /// answer the new configuration first.
    pub(crate) fn enter(core: &mut Core, now: Instant, circulation: Circulation, held: Option<Token>) -> Operational {
        // What recovery numbered has been taken care of there: delivery begins behind it, and its messages are nobody's.
        let delivery = Delivery::behind(circulation.window.aru());
        // They take turns, so that they say it at different times.
        let place = circulation.members.iter().position(|&member| member == core.me()).unwrap_or_default();
        core.timers.set(Timer::Probe, now + core.config.probe_interval * place as u32);
        core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
        match held {
            Some(_) => core.timers.set(Timer::TokenHold, now),
            None => circulation.await_answer(core, now),
        }
        Operational { circulation, delivery, held, hurried: false, asked: false }
    }

    /// What the ring is owed when it is left.
    pub(crate) fn into_owed(self) -> Owed {
        Owed::new(self.circulation.ring, self.circulation.members, self.circulation.window, self.delivery)
    }

    /// How far the packets have come.
    pub(crate) fn progress(&self) -> Progress {
        let Circulation { safe, window, .. } = &self.circulation;
        Progress { safe: *safe, aru: window.aru(), highest: window.high() }
    }

    /// Whether there is nobody else in the ring, who could go on without this daemon.
    pub(crate) fn is_alone(&self) -> bool {
        self.circulation.is_alone()
    }

    /// Whether the token is here.
    #[cfg(test)]
    pub(crate) fn holds_token(&self) -> bool {
        self.held.is_some()
    }

    /// A message was submitted: make sure that the token comes.
    pub(crate) fn on_submit(&mut self, core: &mut Core, now: Instant) {
        if let Some(token) = self.held.take() {
            self.let_go(core, now, token);
        } else if self.circulation.passed_idle() && !self.asked {
            self.asked = true;
            core.transmit(Some(self.circulation.ring.representative), Packet::Hurry(self.circulation.ring));
            self.circulation.hasten(core, now);
        }
    }

    /// The token arrived.
    pub(crate) fn on_token(&mut self, core: &mut Core, now: Instant, token: Token) -> Option<Transition> {
        // In a ring of one the token comes back at once, until there is nothing left to do.
        let mut next = Some(token);
        while let Some(token) = next.take().filter(|token| self.circulation.accept(core, now, token)) {
            next = self.visit(core, now, token);
        }
        self.regather_if_torn(core)
    }

    /// A data packet arrived.
    pub(crate) fn on_data(&mut self, core: &mut Core, data: Data) -> Option<Transition> {
        if data.ring != self.circulation.ring && !is_back(KnownBug::ForeignPackets) {
            core.stats.dropped.foreign += 1;
            return None;
        }
        let seq = data.seq;
        match self.circulation.receive(core, data) {
            Received::New => {
                self.delivery.arrived(&self.circulation.window, seq);
                self.deliver(core);
                self.regather_if_torn(core)
            }
            Received::Nothing => None,
            Received::Contradiction => Some(Transition::gather(GatherReason::Contradiction)),
        }
    }

    /// Somebody asks for the token.
    pub(crate) fn on_hurry(&mut self, core: &mut Core, now: Instant, ring: RingId) {
        if ring != self.circulation.ring {
            return;
        }
        match self.held.take() {
            Some(token) => self.let_go(core, now, token),
            None => {
                self.hurried = true;
                self.circulation.hasten(core, now);
            }
        }
    }

    /// A daemon says that it has this ring installed.
    pub(crate) fn on_probe(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: DaemonId,
        ring: RingId,
    ) -> Option<Transition> {
        if ring == self.circulation.ring || is_back(KnownBug::MergesMissed) {
            return None;
        }
        let reason = if !self.circulation.members.contains(&from) {
            GatherReason::ForeignRing
        } else if ring.sequence > self.circulation.ring.sequence {
            GatherReason::MemberMoved
        } else {
            return None;
        };
        (!core.is_shunned(now, from, false)).then(|| Transition::gather_with(reason, [from]))
    }

    /// A join arrived.
    pub(crate) fn on_join(&self, core: &Core, now: Instant, join: &Join) -> Option<Transition> {
        if let Some(life) = self.circulation.life(join.origin) {
            return after_agreement(join, self.circulation.ring, life);
        }
        let hears_us = join.present.contains(&core.me()) && !join.failed.contains(&core.me());
        let welcome = !join.leaving && !core.is_shunned(now, join.origin, hears_us);
        welcome.then(|| Transition::gather_with(GatherReason::JoinReceived, [join.origin]))
    }

    /// A timer expired.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) -> Option<Transition> {
        match timer {
            Timer::TokenLoss => return Some(Transition::gather(GatherReason::TokenLost)),
            Timer::Progress => return self.circulation.stuck(core, now),
            Timer::TokenRetransmit => {
                self.circulation.retransmit(core, now);
                self.ask_again(core);
            }
            Timer::TokenHold => {
                if let Some(token) = self.held.take() {
                    self.let_go(core, now, token);
                }
            }
            Timer::Probe => {
                core.transmit(None, Packet::Probe(self.circulation.ring));
                core.timers.set(Timer::Probe, now + self.probe_pause(core));
            }
            _ => {}
        }
        None
    }

    /// How long until this daemon probes again. While daemons are missing, the members together probe often: those may have a ring of their
    /// own, which hears them as soon as anything gets through. Otherwise nobody new can hear it.
    fn probe_pause(&self, core: &Core) -> Duration {
        let members = self.circulation.members.len();
        let rounds = if members < core.config.daemons.len() { members } else { WHOLE_RING_PAUSE };
        core.config.probe_interval * rounds as u32
    }

    /// Nobody has answered: the request was lost, or the token was, wherever it was then.
    fn ask_again(&self, core: &mut Core) {
        if self.asked {
            let ring = self.circulation.ring;
            core.transmit_again(Some(ring.representative), Packet::Hurry(ring));
            core.transmit(None, Packet::Hurry(ring));
        }
    }

    /// Holds the token, or uses it; gives it back if this daemon is alone.
    fn visit(&mut self, core: &mut Core, now: Instant, token: Token) -> Option<Token> {
        let hold = self.may_hold(core, &token);
        self.hurried = false;
        if !hold {
            return self.turn(core, now, token);
        }
        self.held = Some(token);
        core.timers.set(Timer::TokenHold, now + core.config.token_hold);
        None
    }

    /// Uses the token that was held.
    fn let_go(&mut self, core: &mut Core, now: Instant, mut token: Token) {
        token.delayed = token.hop;
        if let Some(token) = self.turn(core, now, token) {
            // What is torn shows itself again at the next visit.
            let _ = self.on_token(core, now, token);
        }
    }

    fn may_hold(&self, core: &Core, token: &Token) -> bool {
        let everything_safe = self.circulation.safe == token.seq;
        let representative = self.circulation.ring.representative == core.me();
        representative && !self.hurried && is_idle(token) && everything_safe && core.sender.is_empty()
    }

    /// What one visit of the token is for.
    fn turn(&mut self, core: &mut Core, now: Instant, mut token: Token) -> Option<Token> {
        core.timers.stop(Timer::TokenHold);
        self.asked = false;
        self.circulation.serve(core, &mut token);
        let before = token.seq;
        let numbered = self.send(core, &mut token);
        let own = before + 1..=token.seq;
        let returned = self.circulation.pass(core, now, token, numbered);
        own.for_each(|seq| self.delivery.arrived(&self.circulation.window, seq));
        self.deliver(core);
        let safe = if is_back(KnownBug::ForgottenTooEarly) { u64::MAX } else { self.circulation.safe };
        self.circulation.window.forget(safe.min(self.delivery.delivered));
        returned
    }

    fn send(&mut self, core: &mut Core, token: &mut Token) -> Vec<Data> {
        let mut numbered = Vec::new();
        let room = core.payload_room();
        for _ in 0..self.circulation.allowance(core, token) {
            let Some(stretch) = core.sender.stretch(room) else { break };
            let data = packet(core.me(), self.circulation.ring, stretch);
            numbered.push(self.circulation.number(token, data));
        }
        if !core.sender.is_empty() {
            self.circulation.flow.note_backlog(token);
        }
        core.stats.packets_sent += numbered.len() as u64;
        numbered
    }

    fn deliver(&mut self, core: &mut Core) {
        while let Some(data) = self.circulation.window.packet(self.delivery.delivered + 1) {
            if data.service >= Some(Service::Safe) && data.seq > self.circulation.safe {
                break;
            }
            if !self.delivery.continues(data) {
                break;
            }
            self.delivery.deliver(data, &mut core.events);
        }
        let in_order = core.events.len();
        self.delivery.overtake(&self.circulation.window, &mut core.events);
        core.stats.messages_ahead += (core.events.len() - in_order) as u64;
    }
}

impl Operational {
    /// A packet whose turn has come must continue its origin's stream. If it does not, it or one before it is a lie.
    fn regather_if_torn(&self, core: &mut Core) -> Option<Transition> {
        let next = self.circulation.window.packet(self.delivery.delivered + 1)?;
        if self.delivery.continues(next) {
            return None;
        }
        core.stats.dropped.contradictions += 1;
        Some(Transition::gather(GatherReason::Contradiction))
    }
}

fn packet(origin: DaemonId, ring: RingId, stretch: Stretch) -> Data {
    let Stretch { offset, first_message, service, barrier, payload } = stretch;
    let barrier_distance = if barrier { 0 } else { Data::NO_BARRIER };
    Data { ring, seq: 0, origin, offset, first_message, service, recovered: false, barrier_distance, payload }
}
