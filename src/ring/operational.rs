//! Operational: the ring is installed. Messages are numbered, delivered and forgotten (Totem SRP §5.2).
//!
//! The token goes round while there is much to carry. When there is little, it rests at the daemon whose packet was numbered last
//! (gait.rs, rest.rs), and the others hand their packets over to that daemon (handover.rs).

use super::Progress;
use super::circulation::{Circulation, Received};
use super::core::{Core, HearsUs};
use super::delivery::Delivery;
use super::form::after_agreement;
use super::gait::Gait;
use super::handover::{Handed, is_same};
use super::owed::Owed;
use super::rest::{Holding, Place, patience_at_rest};
use super::sender::Stretch;
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Data, Join, Packet, Probe, RingId, Service, Token};

/// How many probe intervals pass between two probes of a member while no daemon is missing.
const WHOLE_RING_PAUSE: usize = 16;

/// Ordering and delivering.
#[derive(Debug)]
pub(crate) struct Operational {
    pub(crate) circulation: Circulation,
    pub(super) delivery: Delivery,
    pub(super) place: Place,
    pub(super) gait: Gait,
    /// The packet that this daemon has handed over and has not yet seen with a number.
    pub(super) handed: Option<Handed>,
    /// The last announcement of a holder: its hop and count.
    pub(super) heard: (u64, u64),
    /// The number of the last announcement of the rest that this daemon ended, until the token comes again.
    pub(super) left: Option<u64>,
}

impl Operational {
    /// The ring is installed. In a ring of one the token is here; it is used at the next timeout, so that the level above can
    /// answer the new configuration first.
    pub(crate) fn enter(core: &mut Core, now: Instant, circulation: Circulation, held: Option<Token>) -> Operational {
        // Recovery has already used the packets that it numbered. Delivery begins behind them, because they carry no messages of
        // this ring.
        let delivery = Delivery::behind(circulation.window.aru());
        // The members take turns, so that their probes come at different times.
        let turn = circulation.members.iter().position(|&member| member == core.me()).unwrap_or_default();
        core.timers.set(Timer::Probe, now + core.config.probe_interval * turn as u32);
        let place = match held {
            Some(token) => {
                core.timers.set(Timer::Rest, now);
                Place::Here(Holding::new(token, &circulation.members, core.me(), now))
            }
            None => {
                core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
                // The token of recovery's last visit is still unanswered.
                circulation.await_answer(core, now);
                Place::Underway
            }
        };
        let (gait, handed, heard, left) = (Gait::default(), None, (0, 0), None);
        Operational { circulation, delivery, place, gait, handed, heard, left }
    }

    /// The debts of this daemon to the ring that it leaves.
    pub(crate) fn into_owed(self) -> Owed {
        let Circulation { ring, members, lives, window, .. } = self.circulation;
        let owed = Owed::new(ring, members, window, self.delivery).of_lives(lives);
        let owed = match self.place {
            Place::Here(_) => owed.with_token(),
            Place::Underway | Place::There(_) => owed,
        };
        match self.handed {
            Some(handed) => owed.with_handed(handed.data),
            None => owed,
        }
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

    /// How long this daemon may stand still before the others may have gone on without it.
    pub(crate) fn patience(&self, core: &Core) -> Duration {
        match self.place {
            Place::Underway => core.config.token_timeout,
            Place::Here(_) | Place::There(_) => patience_at_rest(core.config.rest_interval),
        }
    }

    /// The daemon at which the token rests, as far as this one knows.
    pub(crate) fn token_rests_at(&self) -> Option<DaemonId> {
        match &self.place {
            Place::Underway => None,
            Place::Here(_) => Some(self.circulation.me),
            Place::There(resting) => Some(resting.holder),
        }
    }

    /// Whether the token rests here.
    #[cfg(test)]
    pub(crate) fn holds_token(&self) -> bool {
        matches!(self.place, Place::Here(_))
    }

    /// A message was submitted. If the token goes round, it is on its way.
    pub(crate) fn on_submit(&mut self, core: &mut Core, now: Instant) {
        match self.place {
            Place::Underway => {}
            // The level above answers the configuration of a ring of one first, and then the timer sends. No other ring's timer does.
            Place::Here(_) if self.circulation.is_alone() && core.timers.is_due(Timer::Rest, now) => {}
            Place::Here(_) => self.send_at_rest(core, now),
            Place::There(_) => {
                if self.handed.is_none() {
                    self.hand_over(core, now);
                }
                self.ask_if_much_waits(core);
            }
        }
    }

    /// The token arrived.
    pub(crate) fn on_token(&mut self, core: &mut Core, now: Instant, token: Token) -> Option<Transition> {
        if self.circulation.accept(core, now, &token) {
            self.visit(core, now, token);
        }
        self.regather_if_torn(core)
    }

    /// A data packet arrived.
    pub(crate) fn on_data(&mut self, core: &mut Core, now: Instant, data: Data) -> Option<Transition> {
        if data.ring != self.circulation.ring {
            core.stats.dropped.foreign += 1;
            return None;
        }
        let (seq, service) = (data.seq, data.service);
        // The holder numbers packets of others, so this daemon may hear its own packet for the first time.
        let handed_back = self.handed.as_ref().is_some_and(|handed| is_same(&handed.data, &data));
        if !handed_back && self.circulation.is_false_self(core, &data) {
            core.stats.dropped.contradictions += 1;
            return Some(Transition::gather(GatherReason::Contradiction));
        }
        match self.circulation.receive(core, data) {
            Received::New => {
                self.delivery.arrived(&self.circulation.window, seq);
                self.deliver(core);
                if handed_back {
                    self.on_handed_back(core, now);
                } else {
                    self.claim_again(core, now);
                }
                self.arrived_at_rest(core, now, seq, service);
                self.regather_if_torn(core)
            }
            Received::Nothing => None,
            Received::Contradiction => Some(Transition::gather(GatherReason::Contradiction)),
        }
    }

    /// A daemon says that it has this ring installed.
    pub(crate) fn on_probe(
        &mut self,
        core: &mut Core,
        now: Instant,
        from: DaemonId,
        probe: Probe,
    ) -> Option<Transition> {
        let ring = probe.ring;
        if ring == self.circulation.ring {
            return None;
        }
        // A member that names an older ring is no reason to gather: it sent the probe before it installed this one.
        let reason = if !self.circulation.members.contains(&from) {
            GatherReason::ForeignRing
        } else if ring.sequence > self.circulation.ring.sequence {
            GatherReason::MemberMoved
        } else {
            return None;
        };
        let hears_us = if probe.answers == Some(core.me()) { HearsUs::Shown } else { HearsUs::Unknown };
        if !core.is_shunned(now, from, hears_us) {
            return Some(Transition::gather_with(reason, [from]));
        }
        // A daemon with which agreement has just failed would break the ring again at once. But one that was only silent may hear this
        // daemon by now. The answer shows it that it is heard, and then it gathers.
        if hears_us == HearsUs::Unknown && core.is_missed(now, from) {
            core.transmit(Some(from), Packet::Probe(Probe { ring: self.circulation.ring, answers: Some(from) }));
        }
        None
    }

    /// A join arrived.
    pub(crate) fn on_join(&self, core: &Core, now: Instant, join: &Join) -> Option<Transition> {
        // A member's join means that it has left this ring, unless the join is older than the ring.
        if let Some(life) = self.circulation.life(join.origin) {
            return after_agreement(join, self.circulation.ring, life);
        }
        let names_us = join.present.contains(&core.me()) && !join.failed.contains(&core.me());
        let hears_us = if names_us { HearsUs::Shown } else { HearsUs::Unknown };
        // Whoever means to go on without a member cannot come to an agreement with the others. It will be alone soon, and then it probes.
        let parts_members = join.failed.iter().any(|daemon| self.circulation.members.contains(daemon));
        let welcome = !join.leaving && !parts_members && !core.is_shunned(now, join.origin, hears_us);
        welcome.then(|| Transition::gather_with(GatherReason::JoinReceived, [join.origin]))
    }

    /// A timer expired.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) -> Option<Transition> {
        match timer {
            Timer::TokenLoss => return Some(Transition::gather(GatherReason::TokenLost)),
            Timer::Progress => return self.circulation.stuck(core, now),
            Timer::TokenRetransmit => {
                self.circulation.retransmit(core, now);
                self.say_gone(core);
            }
            Timer::Rest => return self.on_rest_timer(core, now),
            Timer::HolderSilence => return self.on_holder_silence(core, now),
            Timer::Number => self.number_waiting(core, now),
            Timer::Handover => self.on_handover_timer(core, now),
            Timer::Ask => self.on_ask(core, now),
            Timer::Probe => {
                core.transmit(None, Packet::Probe(Probe { ring: self.circulation.ring, answers: None }));
                core.timers.set(Timer::Probe, now + self.probe_pause(core));
            }
            _ => {}
        }
        None
    }

    /// The time until this daemon probes again. While daemons are missing, the members together probe often. The missing daemons
    /// may have a ring of their own, which hears a probe as soon as a network works again. If no daemon is missing, nobody new
    /// can hear a probe.
    fn probe_pause(&self, core: &Core) -> Duration {
        let members = self.circulation.members.len();
        let rounds = if members < core.config.daemons.len() { members } else { WHOLE_RING_PAUSE };
        core.config.probe_interval * rounds as u32
    }

    /// A visit of the token: retransmits packets, then lets the token rest here, or sends with it and passes it on.
    fn visit(&mut self, core: &mut Core, now: Instant, mut token: Token) {
        // The token is here, so it rests nowhere else.
        self.leave_rest(core);
        self.left = None;
        self.gait.visit(&token);
        // Retransmissions come before everything else. Whether the token may rest depends on what they leave.
        self.circulation.serve(core, now, &mut token);
        if self.may_rest(core, &token) {
            self.rest(core, now, token);
        } else {
            self.turn(core, now, token);
        }
    }

    /// Everybody has everything, and this daemon's packet was numbered last.
    fn may_rest(&self, core: &Core, token: &Token) -> bool {
        // Requests travel with the token only, so it may rest only where nobody needs any.
        let has_all = token.aru == token.seq && self.circulation.window.aru() == token.seq;
        // The last sender is likely to be the next one, and there the next packet is numbered without a hop.
        let used_last = self.circulation.last_origin.unwrap_or(self.circulation.ring.representative) == core.me();
        let nothing_waits = core.sender.is_empty() && self.handed.is_none();
        self.gait.is_calm() && has_all && used_last && nothing_waits && token.requests.is_empty()
    }

    /// Sends with the token and passes it on.
    pub(super) fn turn(&mut self, core: &mut Core, now: Instant, mut token: Token) {
        let before = token.seq;
        let numbered = self.send(core, &mut token);
        let own = before + 1..=token.seq;
        self.circulation.pass(core, now, token, numbered);
        // After the token was passed: own packets need no network to arrive here, and others wait for the token.
        own.for_each(|seq| self.delivery.arrived(&self.circulation.window, seq));
        self.deliver_and_forget(core);
    }

    fn send(&mut self, core: &mut Core, token: &mut Token) -> Vec<Data> {
        let mut numbered = Vec::new();
        let room = core.payload_room();
        // The packet that was handed over comes first: its place in the stream is before everything that waits.
        if self.number_handed(core, token, &mut numbered) {
            // The packet that was handed over is one of this visit's packets.
            let most = core.config.personal_window.saturating_sub(numbered.len() as u32);
            for _ in 0..self.circulation.allowance(core, token).min(most) {
                let Some(stretch) = core.sender.stretch(room) else { break };
                let data = packet(core.me(), self.circulation.ring, stretch);
                numbered.push(self.circulation.number(token, data));
            }
        }
        if !core.sender.is_empty() || self.handed.is_some() {
            self.circulation.flow.count_backlog(token);
        }
        core.stats.packets_sent += numbered.len() as u64;
        numbered
    }

    /// Delivers the messages that may be delivered, and forgets the packets that everybody has.
    pub(super) fn deliver_and_forget(&mut self, core: &mut Core) {
        self.deliver(core);
        // Both conditions: others may still request it, and this daemon may not have delivered it.
        self.circulation.window.forget(self.circulation.safe.min(self.delivery.delivered));
    }

    fn deliver(&mut self, core: &mut Core) {
        while let Some(data) = self.circulation.window.packet(self.delivery.delivered + 1) {
            // It holds back everything behind it too: the order is one for all services.
            if data.service >= Some(Service::Safe) && data.seq > self.circulation.safe {
                break;
            }
            // The window holds a lie. Nothing more is delivered, and the caller gathers.
            if !self.delivery.continues(data) {
                break;
            }
            self.delivery.deliver(data, &mut core.events);
        }
        let in_order = core.events.len();
        self.delivery.overtake(&self.circulation.window, &mut core.events);
        core.stats.messages_ahead += (core.events.len() - in_order) as u64;
    }

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

/// A packet that carries this stretch, without a number and without a claim: it takes the next number with the token.
pub(super) fn packet(origin: DaemonId, ring: RingId, stretch: Stretch) -> Data {
    let Stretch { offset, first_message, service, barrier, payload } = stretch;
    let barrier_distance = if barrier { 0 } else { Data::NO_BARRIER };
    let (recovered, claim_distance) = (false, Data::NO_NUMBER);
    Data { ring, seq: 0, origin, offset, first_message, service, recovered, barrier_distance, claim_distance, payload }
}
