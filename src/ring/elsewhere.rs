//! A token that rests at another daemon: how a member answers the holder, requests packets from it, and notices its silence. The
//! rules are in rest.rs.

use super::core::Core;
use super::handover::Handover;
use super::operational::Operational;
use super::possible::Verdict;
use super::rest::{CHECKS, Place, SILENT_TICKS, STRETCHES};
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Have, Packet, Rest, RingId, Service};

/// The token rests at another daemon.
#[derive(Debug)]
pub(crate) struct Resting {
    pub(crate) holder: DaemonId,
    hop: u64,
    count: u64,
    /// The highest number that the holder has announced.
    pub(super) seq: u64,
    /// The time within which the holder announces again, as it says.
    pause: Duration,
    /// How many announcements in a row have not come in time.
    misses: u32,
    /// The aru that this daemon has acknowledged last, and the last packet that it must acknowledge.
    told: u64,
    wanted: u64,
    /// How many requests for missing packets were without result.
    asked: u32,
    /// The holder was asked to let the token go round, because more waits here than it should carry.
    pub(super) hurried: bool,
}

/// How many requests may be without result before the token shall go round.
const ASKED_MOST: u32 = 3;

impl Operational {
    /// A daemon announces that the token rests there.
    pub(super) fn on_rest(&mut self, core: &mut Core, now: Instant, from: DaemonId, rest: Rest) -> Option<Transition> {
        match self.circulation.judge_rest(from, self.heard, &rest) {
            Verdict::Next => {}
            Verdict::Old => return None,
            Verdict::Impossible => {
                tracing::debug!(%from, ?rest, "an impossible rest");
                core.stats.dropped.impossible_rest += 1;
                return None;
            }
            Verdict::Contradiction => {
                tracing::debug!(%from, ?rest, "a rest that contradicts what is here");
                core.stats.dropped.contradictions += 1;
                return Some(Transition::gather(GatherReason::Contradiction));
            }
        }
        let repeated = self.heard == (rest.hop, rest.count);
        self.heard = (rest.hop, rest.count);
        if rest.gone {
            if matches!(self.place, Place::There(_)) {
                self.leave_rest(core);
                core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
            }
            return None;
        }
        self.know_rest(core, from, rest);
        if let Place::There(resting) = &mut self.place {
            let usual = core.config.rest_interval;
            // A forged announcement must not lengthen the time without limit.
            resting.pause = Duration::from_millis(rest.pause.into()).clamp(usual, usual * (1 << STRETCHES));
            // Half an interval more than the holder takes, so that chance does not make it look silent.
            core.timers.set(Timer::HolderSilence, now + resting.pause * 3 / 2);
        }
        if rest.safe > self.circulation.safe {
            self.circulation.safe = rest.safe;
            self.deliver_and_forget(core);
        }
        match (rest.asks, repeated) {
            (true, false) => self.answer(core, Vec::new()),
            (true, true) => self.answer_again(core, Vec::new()),
            (false, _) => {}
        }
        self.miss(core, now);
        if let (Place::There(resting), Handover::Stopped) = (&mut self.place, core.handover) {
            // The holder may not have heard that the token is wanted, or the token came back to it. So this daemon may ask again.
            resting.hurried = false;
        }
        self.hand_over(core, now);
        None
    }

    /// The token rests there, as far as this daemon knows.
    fn know_rest(&mut self, core: &mut Core, holder: DaemonId, rest: Rest) {
        let Rest { hop, count, seq, .. } = rest;
        match &mut self.place {
            Place::There(resting) if resting.hop == hop => {
                resting.count = count;
                resting.seq = resting.seq.max(seq);
                resting.misses = 0;
            }
            _ => {
                for timer in [Timer::TokenLoss, Timer::TokenRetransmit, Timer::Progress] {
                    core.timers.stop(timer);
                }
                self.place = Place::There(Resting {
                    holder,
                    hop,
                    count,
                    seq,
                    pause: Duration::ZERO,
                    misses: 0,
                    told: 0,
                    wanted: 0,
                    asked: 0,
                    hurried: false,
                });
            }
        }
    }

    /// The token rests elsewhere no longer.
    pub(super) fn leave_rest(&mut self, core: &mut Core) {
        for timer in [Timer::HolderSilence, Timer::Ask, Timer::Handover] {
            core.timers.stop(timer);
        }
        self.place = Place::Underway;
    }

    /// No announcement of the holder came in time. This daemon asks the holder, and checks again soon.
    pub(super) fn on_holder_silence(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let Place::There(resting) = &mut self.place else { return None };
        resting.misses += 1;
        if resting.misses > (SILENT_TICKS - 1) * CHECKS {
            return Some(Transition::gather_without(GatherReason::HolderSilent, [resting.holder]));
        }
        core.timers.set(Timer::HolderSilence, now + resting.pause / CHECKS);
        // This answers an old announcement, so the holder says where it is.
        self.answer_again(core, Vec::new());
        None
    }

    /// A packet arrived. The holder gets an answer if a safe message waits for it, and a request if an earlier packet is missing.
    pub(super) fn arrived_at_rest(&mut self, core: &mut Core, now: Instant, seq: u64, service: Option<Service>) {
        let aru = self.circulation.window.aru();
        let Place::There(resting) = &mut self.place else { return };
        if service >= Some(Service::Safe) {
            resting.wanted = resting.wanted.max(seq);
        }
        if resting.told < resting.wanted && resting.wanted <= aru {
            self.answer(core, Vec::new());
        }
        self.miss(core, now);
    }

    /// Tells the holder what is here.
    fn answer(&mut self, core: &mut Core, requests: Vec<(u64, u16)>) {
        if let Some((holder, have)) = self.have(requests) {
            core.transmit(Some(holder), have);
        }
    }

    /// Tells the holder once more, because it seems not to have heard.
    fn answer_again(&mut self, core: &mut Core, requests: Vec<(u64, u16)>) {
        if let Some((holder, have)) = self.have(requests) {
            core.transmit_again(Some(holder), have);
        }
    }

    /// The answer for the holder, and the holder.
    fn have(&mut self, requests: Vec<(u64, u16)>) -> Option<(DaemonId, Packet)> {
        let (ring, aru) = (self.circulation.ring, self.circulation.window.aru());
        let Place::There(resting) = &mut self.place else { return None };
        resting.told = aru;
        let have = Have { ring, hop: resting.hop, count: resting.count, aru, requests };
        Some((resting.holder, Packet::Have(have)))
    }

    /// If a packet is missing that may still come, it is requested after a while.
    fn miss(&mut self, core: &mut Core, now: Instant) {
        let Place::There(resting) = &mut self.place else { return };
        if self.circulation.window.aru() >= resting.seq.max(self.circulation.window.high()) {
            resting.asked = 0;
            core.timers.stop(Timer::Ask);
        } else if !core.timers.is_set(Timer::Ask) {
            core.timers.set(Timer::Ask, now + self.circulation.patience(core));
        }
    }

    /// The missing packets have not come by themselves.
    pub(super) fn on_ask(&mut self, core: &mut Core, now: Instant) {
        let patience = self.circulation.patience(core);
        let Place::There(resting) = &mut self.place else { return };
        resting.asked += 1;
        let asked = resting.asked;
        let requests = self.circulation.missing(resting.seq.max(self.circulation.window.high()));
        core.timers.set(Timer::Ask, now + (patience * (1 << asked.min(6))).min(core.config.token_retransmit));
        if asked == 1 {
            self.answer(core, requests);
        } else {
            self.answer_again(core, requests);
        }
        if asked >= ASKED_MOST {
            self.hurry(core);
        }
    }

    /// Asks the holder to let the token go round.
    pub(super) fn hurry(&self, core: &mut Core) {
        if let Place::There(resting) = &self.place {
            core.transmit_again(Some(resting.holder), Packet::Hurry(self.circulation.ring));
        }
    }

    /// A daemon asks for the token.
    pub(super) fn on_hurry(&mut self, core: &mut Core, now: Instant, ring: RingId) {
        if ring == self.circulation.ring && !self.circulation.is_alone() {
            match self.place {
                Place::Here(_) => self.let_go(core, now),
                Place::Underway | Place::There(_) => self.gait.hurried = true,
            }
        }
    }
}
