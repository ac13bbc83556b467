//! Total order, membership and recovery of one ring, without I/O.
//!
//! gather → form → recovery → operational, and back to gather when the ring breaks. Each state is a file and owns its data; the
//! only door between them is `Ring::enter`. After Amir, Moser, Melliar-Smith, Agarwal, Ciarfella, *The Totem Single-Ring Ordering
//! and Membership Protocol* (1995), with the token passed before the packets it numbers (Babay, Amir, *Accelerated Ring*, 2016)
//! and token identity by a 64-bit hop.

mod absence;
mod circulation;
mod config;
mod core;
mod delivery;
mod elsewhere;
mod event;
mod flow;
mod form;
mod gait;
mod gather;
mod handover;
mod hearsay;
mod operational;
mod owed;
mod possible;
mod readmit;
mod recovery;
mod rest;
mod rotation;
mod sender;
mod state;
mod stats;
mod stream;
mod suspicion;
#[cfg(test)]
mod testing;
mod timer;
mod transition;
mod window;

pub use self::core::Transmit;
pub use config::{RingSettings, RingSettingsError};
pub use event::{Configuration, ConfigurationKind, Message, RingEvent};
pub use handover::Handover;
pub use stats::{Dropped, Stats};
pub use transition::GatherReason;

use self::core::Core;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Data, FormPart, Incarnation, Join, Packet, Payload, Probe, RingId, Service, Token};
use circulation::Circulation;
use form::Forming;
use gather::Gather;
use hearsay::Worth;
use owed::Owed;
use possible::Verdict;
use recovery::Recovery;
use state::State;
use transition::{Regather, Transition};

/// How far the packets of the present ring have come; zeros while there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Everybody has everything up to here.
    pub safe: u64,
    /// Everything up to here has been here.
    pub aru: u64,
    /// The highest number that has been here.
    pub highest: u64,
}

/// How many packets may be sent in one rotation, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// By all members together.
    pub ring: u32,
    /// By one member.
    pub personal: u32,
}

/// One daemon's part in a ring.
#[derive(Debug)]
pub struct Ring {
    core: Core,
    state: State,
}

impl Ring {
    /// A ring that begins to gather at `now`.
    pub fn new(config: RingSettings, now: Instant) -> Result<Ring, RingSettingsError> {
        config.check()?;
        let mut core = Core::new(config, now);
        let owed = Owed::nothing(core.ring_of_nobody());
        core.stats.reasons.count(GatherReason::Start);
        let how = Regather { reason: GatherReason::Start, present: Default::default(), failed: Default::default() };
        let state = State::Gather(Gather::enter(&mut core, now, owed, how));
        Ok(Ring { core, state })
    }

    /// A packet from `from` has arrived. Copies and stale packets are allowed and have no effect.
    pub fn handle_packet(&mut self, now: Instant, from: DaemonId, packet: Packet) {
        self.notice_absence(now);
        // Without a key anybody can write any id into a header, this daemon's too.
        if from == self.core.me() || !self.core.config.daemons.contains(&from) {
            self.core.stats.dropped.unknown_sender += 1;
            return;
        }
        let transition = match packet {
            Packet::Data(data) => self.on_data(now, data),
            Packet::Token(token) => self.on_token(now, from, token),
            Packet::Join(join) => self.on_join(now, from, join),
            Packet::Form(part) => self.on_form(now, part),
            Packet::Probe(probe) => self.on_probe(now, from, probe),
            Packet::Hurry(_) | Packet::Rest(_) | Packet::Have(_) | Packet::Handover(_) => {
                self.on_rest(now, from, packet)
            }
        };
        self.follow(now, transition);
    }

    /// The time that [`Ring::poll_timeout`] named has come. One timer is one input: drain the outputs, then ask again.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.notice_absence(now);
        // One at a time: the outputs of one timer are drained before the next one is asked for.
        let Some(timer) = self.core.timers.expired(now) else { return };
        let core = &mut self.core;
        let transition = match &mut self.state {
            State::Gather(gather) => gather.on_timer(core, now, timer),
            State::Form(forming) => forming.on_timer(core, now, timer),
            State::Recovery(recovery) => recovery.on_timer(core, now, timer),
            State::Operational(operational) => operational.on_timer(core, now, timer),
            State::Between => None,
        };
        self.follow(now, transition);
    }

    /// Sends a message to all members, this daemon included, when the token comes.
    pub fn submit(&mut self, now: Instant, service: Service, payload: Payload) {
        self.core.sender.set_now(now);
        self.core.sender.push(service, payload);
        self.on_submit(now);
    }

    /// Like [`Ring::submit`] with the agreed service, but the message is a barrier: no message overtakes it, whatever its service.
    pub fn submit_barrier(&mut self, now: Instant, payload: Payload) {
        self.core.sender.set_now(now);
        self.core.sender.push_barrier(payload);
        self.on_submit(now);
    }

    /// Like [`Ring::submit`], but the message goes before everything that waits, is a barrier, and is for this ring only: it is
    /// dropped if the ring breaks first. Only allowed in answer to [`RingEvent::Configuration`], before any other input, and from there on
    /// until [`Ring::release`] if messages are held.
    pub fn submit_first(&mut self, now: Instant, service: Service, payload: Payload) {
        self.core.sender.set_now(now);
        self.core.sender.push_first(service, payload);
        self.on_submit(now);
    }

    /// Holds all messages back but those of [`Ring::submit_first`]. Only allowed in answer to [`RingEvent::Configuration`], before any other
    /// input.
    pub fn hold(&mut self) {
        self.core.sender.hold(true);
    }

    /// Sends the messages that were held.
    pub fn release(&mut self, now: Instant) {
        self.core.sender.hold(false);
        if !self.core.sender.is_empty() {
            self.core.sender.set_now(now);
            self.on_submit(now);
        }
    }

    /// Limits the bodies of packets that are made from now on to this many bytes, or to [`RingSettings::BODY_LIMIT_MIN`] if that is
    /// more.
    pub fn set_body_limit(&mut self, bytes: usize) {
        self.core.config.body_limit = bytes.max(RingSettings::BODY_LIMIT_MIN);
    }

    /// Two hosts run as each of these daemons, so each host may hear only some of the others. A join of such a daemon makes no
    /// other daemon leave the ring.
    pub fn set_doubles(&mut self, doubles: impl ExactSizeIterator<Item = DaemonId>) {
        // Nearly always there is none.
        if doubles.len() > 0 || !self.core.doubles.is_empty() {
            self.core.doubles = doubles.collect();
        }
    }

    /// Gathers, so that another ring forms: the level above has a reason to give up this one, for example that somebody forges messages.
    pub fn begin_anew(&mut self, now: Instant, reason: GatherReason) {
        if let State::Operational(_) = &self.state {
            self.follow(now, Some(Transition::gather(reason)));
        }
    }

    /// Tells the others that this daemon is about to stop, so that they need not wait for a timeout.
    pub fn leave(&mut self) {
        let join = Join {
            origin: self.core.me(),
            incarnation: self.core.config.incarnation,
            sequence: self.core.sequence,
            leaving: true,
            present: [self.core.me()].into(),
            failed: Default::default(),
        };
        self.core.transmit(None, Packet::Join(join));
    }

    /// Payload bytes that were submitted and have no number yet.
    pub fn waiting_bytes(&self) -> usize {
        self.core.sender.bytes()
    }

    /// Payload bytes of packets that are kept until everybody has them: of this ring, and of one that was left and is still owed.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Gather(gather) => gather.owed.window.bytes(),
            State::Form(forming) => forming.owed.window.bytes(),
            State::Recovery(recovery) => recovery.owed.window.bytes() + recovery.circulation.window.bytes(),
            State::Operational(operational) => operational.circulation.window.bytes(),
            State::Between => 0,
        }
    }

    /// How many packets may be sent in one rotation, at most.
    pub fn windows(&self) -> Windows {
        Windows { ring: self.core.config.window, personal: self.core.config.personal_window }
    }

    /// Changes windows and times. A timer that runs already keeps its time. `tune` changes nothing else, and its result must pass
    /// [`RingSettings::check`].
    pub fn retune(&mut self, tune: impl FnOnce(&mut RingSettings)) {
        tune(&mut self.core.config);
        assert_eq!(self.core.config.check(), Ok(()), "whoever tunes a ring keeps its rules");
    }

    /// The silence after which any part of this daemon takes another daemon for gone. It is well below the silence of the token
    /// that ends a ring.
    pub fn believed_silence(&self) -> Duration {
        self.core.config.token_timeout * 2 / 5
    }

    /// How far the packets of the present ring have come.
    pub fn progress(&self) -> Progress {
        let State::Operational(operational) = &self.state else { return Progress::default() };
        operational.progress()
    }

    /// The next packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<RingEvent> {
        let core = &mut self.core;
        let event = core.events.pop_front()?;
        match &event {
            RingEvent::Message(message) => {
                core.stats.messages += 1;
                if message.origin == core.me()
                    && let Some(took) = core.sender.delivered(message.service)
                {
                    core.stats.delivery.record(took);
                }
            }
            RingEvent::Configuration(configuration) if configuration.kind == ConfigurationKind::Regular => {
                core.stats.configurations += 1;
                core.sender.begin_ring();
            }
            RingEvent::Configuration(_) => {}
        }
        Some(event)
    }

    /// When [`Ring::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next()
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// The state's name: gather, form, recovery or operational.
    pub fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// The ring that is installed.
    pub fn installed(&self) -> Option<RingId> {
        match &self.state {
            State::Operational(operational) => Some(operational.circulation.ring),
            _ => None,
        }
    }

    /// While this daemon gathers: when the gather began, if that was long ago. A daemon that lives has been heard since, because all that gather
    /// say so every [`RingSettings::join_interval`].
    pub fn long_gather(&self, now: Instant) -> Option<Instant> {
        let State::Gather(gather) = &self.state else { return None };
        Some(gather.since).filter(|&since| now.since(since) >= self.core.config.consensus_timeout / 2)
    }

    /// Until a ring is installed on which the daemons agreed: its daemons, and the life of each.
    pub fn agreed_lives(&self) -> impl Iterator<Item = (DaemonId, Incarnation)> + '_ {
        let (forming, recovery) = match &self.state {
            State::Form(forming) => (Some(forming), None),
            State::Recovery(recovery) => (None, Some(&recovery.circulation)),
            _ => (None, None),
        };
        forming.into_iter().flat_map(Forming::lives).chain(recovery.into_iter().flat_map(Circulation::lives))
    }

    /// The daemon at which the token rests, as far as this one knows; none while the token goes round, or while there is no ring.
    pub fn token_rests_at(&self) -> Option<DaemonId> {
        match &self.state {
            State::Operational(operational) => operational.token_rests_at(),
            _ => None,
        }
    }

    fn on_submit(&mut self, now: Instant) {
        self.notice_absence(now);
        if let State::Operational(operational) = &mut self.state {
            operational.on_submit(&mut self.core, now);
        }
    }

    fn on_data(&mut self, now: Instant, data: Data) -> Option<Transition> {
        let core = &mut self.core;
        match &mut self.state {
            State::Operational(operational) => return operational.on_data(core, now, data),
            State::Recovery(recovery) => return recovery.on_data(core, data),
            State::Gather(Gather { owed, .. }) | State::Form(Forming { owed, .. }) => owed.on_late_data(core, data),
            State::Between => {}
        }
        None
    }

    /// Handles the packets of a ring whose token rests.
    fn on_rest(&mut self, now: Instant, from: DaemonId, packet: Packet) -> Option<Transition> {
        let State::Operational(operational) = &mut self.state else {
            self.core.stats.dropped.out_of_state += 1;
            return None;
        };
        let core = &mut self.core;
        match packet {
            Packet::Hurry(ring) => operational.on_hurry(core, now, ring),
            Packet::Rest(rest) => return operational.on_rest(core, now, from, rest),
            Packet::Have(have) => operational.on_have(core, now, from, &have),
            Packet::Handover(data) => operational.on_handover(core, now, from, data),
            _ => {}
        }
        None
    }

    fn on_token(&mut self, now: Instant, from: DaemonId, token: Token) -> Option<Transition> {
        match self.state.circulation().map_or(Verdict::Next, |circulation| circulation.judge(from, &token)) {
            Verdict::Next => {}
            Verdict::Old => {
                self.core.stats.tokens_repeated += 1;
                if let State::Operational(operational) = &self.state {
                    operational.on_token_again(&mut self.core, from, &token);
                }
                return None;
            }
            Verdict::Impossible => {
                tracing::debug!(%from, ?token, "an impossible token");
                self.core.stats.dropped.impossible_token += 1;
                return None;
            }
            Verdict::Contradiction => {
                tracing::debug!(%from, ?token, "a token that contradicts what came before");
                self.core.stats.dropped.contradictions += 1;
                return Some(Transition::gather(GatherReason::Contradiction));
            }
        }
        match &mut self.state {
            State::Operational(operational) => return operational.on_token(&mut self.core, now, token),
            State::Recovery(recovery) => return recovery.on_token(&mut self.core, now, token),
            State::Gather(_) | State::Form(_) | State::Between => self.core.stats.dropped.out_of_state += 1,
        }
        None
    }

    fn on_join(&mut self, now: Instant, from: DaemonId, join: Join) -> Option<Transition> {
        if join.origin == self.core.me() || !self.core.config.daemons.contains(&join.origin) {
            self.core.stats.dropped.unknown_sender += 1;
            return None;
        }
        // Before the sequence is learnt: a forged one would use up the numbers that are left for rings.
        let worth = self.core.judge_join(now, from, &join);
        let dropped = &mut self.core.stats.dropped;
        let reason = match worth {
            Worth::News => None,
            Worth::Stale => Some(&mut dropped.stale_join),
            Worth::Impossible => Some(&mut dropped.impossible_join),
            Worth::OtherTable => Some(&mut dropped.other_table),
            Worth::FalseFarewell => Some(&mut dropped.false_farewell),
        };
        if let Some(count) = reason {
            tracing::debug!(%from, ?worth, ?join, "a join that leads to nothing");
            *count += 1;
            return None;
        }
        self.core.learn_sequence(join.sequence);
        let transition = match &mut self.state {
            State::Gather(_) | State::Between => None,
            State::Form(forming) => forming.on_join(&self.core, &join),
            State::Recovery(recovery) => recovery.on_join(&join),
            State::Operational(operational) => operational.on_join(&self.core, now, &join),
        };
        // The gather that a join begins need not wait until the join is repeated.
        self.follow(now, transition);
        match &mut self.state {
            State::Gather(gather) => gather.on_join(&mut self.core, now, join),
            _ => None,
        }
    }

    fn on_form(&mut self, now: Instant, part: FormPart) -> Option<Transition> {
        match &mut self.state {
            State::Gather(gather) => gather.on_form(&mut self.core, now, part),
            State::Form(forming) => forming.on_form(&mut self.core, now, part),
            State::Recovery(recovery) => recovery.on_form(&mut self.core, now, part),
            State::Operational(_) | State::Between => {
                self.core.stats.dropped.stale_form += 1;
                None
            }
        }
    }

    fn on_probe(&mut self, now: Instant, from: DaemonId, probe: Probe) -> Option<Transition> {
        match &mut self.state {
            State::Operational(_) if !self.core.believes_sequence(now, probe.ring.sequence) => {
                self.core.stats.dropped.impossible_probe += 1;
                None
            }
            State::Operational(operational) => operational.on_probe(&mut self.core, now, from, probe),
            _ => None,
        }
    }

    fn follow(&mut self, now: Instant, mut transition: Option<Transition>) {
        while let Some(next) = transition.take() {
            transition = self.enter(now, next);
        }
    }

    /// The one door between states.
    fn enter(&mut self, now: Instant, transition: Transition) -> Option<Transition> {
        assert!(self.state.may(&transition), "no move from {} by {transition:?}", self.state.name());
        let before = std::mem::replace(&mut self.state, State::Between);
        let from = before.name();
        let core = &mut self.core;
        // The new state sets its own timers. One that is left over would fire in a state that does not know it.
        core.timers.stop_all();
        let mut next = None;
        self.state = match (transition, before) {
            (Transition::Gather(how), before) => {
                core.stats.gathers += 1;
                core.stats.reasons.count(how.reason);
                tracing::info!(name: "gather", me = %core.me(), state = from, reason = %how.reason, "forming a new ring");
                State::Gather(Gather::enter(core, now, into_owed(before), how))
            }
            (Transition::Form(form), before) => {
                let forming = Forming::enter(core, now, into_owed(before), form);
                next = forming.alone();
                State::Form(forming)
            }
            (Transition::Recovery(form), before) => {
                let mut recovery = Recovery::enter(core, now, into_owed(before), form);
                if recovery.is_alone() {
                    next = recovery.start(core, now);
                }
                State::Recovery(recovery)
            }
            (Transition::Operational, State::Recovery(recovery)) => State::Operational(recovery.install(core, now)),
            (Transition::Operational, _) => unreachable!("the table of moves allows it from recovery only"),
        };
        tracing::debug!(me = %core.me(), from, to = self.state.name(), "ring state");
        next
    }
}

fn into_owed(state: State) -> Owed {
    match state {
        State::Gather(gather) => gather.owed,
        State::Form(forming) => forming.owed,
        State::Recovery(recovery) => recovery.give_up(),
        State::Operational(operational) => operational.into_owed(),
        State::Between => unreachable!("a state is carried over once"),
    }
}

#[cfg(test)]
mod tests;
