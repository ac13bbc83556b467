//! A token that rests: how its holder knows who is there and what everybody has, and how the others know that the holder is there.
//!
//! The holder numbers its own packets at once, and those that others hand over (handover.rs). It says every so often where the token
//! is, how far the numbers have come and what everybody has, and soon after a packet once more, so that a lost one is missed. Each
//! member answers; who does not is asked again several times within an interval. So:
//!
//! - *Silence.* A member that answers nothing for [`SILENT_TICKS`] intervals is given up, and a holder that is not heard for half an
//!   interval more. Both count intervals in which they were awake, so whoever stood still does not take itself for the only one.
//! - *Safe* is what all members say that they have. Nobody is told that something is safe that it lacks itself: that would be a lie.
//! - *Retransmission.* A member that lacks a packet asks the holder, which has everything. If that does not help, the member asks for
//!   the token to go round, and the requests go round with it.

use std::collections::BTreeMap;

use super::core::{Core, Transmit};
use super::operational::Operational;
use super::possible::Verdict;
use super::state::{GatherReason, Transition};
use super::timer::Timer;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Have, Packet, Rest, RingId, Service, Token};

/// Where the token is.
#[derive(Debug)]
pub(crate) enum Place {
    /// It goes round.
    Underway,
    /// It rests here.
    Here(Holding),
    /// It rests at another daemon.
    There(Resting),
}

/// The token rests here.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) token: Token,
    /// How often the others were told.
    count: u64,
    /// Intervals in this rest.
    tick: u32,
    next_tick: Instant,
    /// When packets are announced that were numbered since the others were told, and the first of them was numbered.
    announce: Option<Instant>,
    unannounced: Option<Instant>,
    /// When those are asked again that have not answered, and how often that was done since all were asked.
    again: Option<Instant>,
    tries: u32,
    answers: BTreeMap<DaemonId, Answer>,
}

/// Of whom an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    All,
    Nobody,
}

/// What a member said last.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    count: u64,
    aru: u64,
    tick: u32,
}

/// The token rests at another daemon.
#[derive(Debug)]
pub(crate) struct Resting {
    pub(crate) holder: DaemonId,
    hop: u64,
    count: u64,
    /// The highest number that the holder has spoken of.
    seq: u64,
    /// Intervals in a row without a word of the holder.
    misses: u32,
    /// What the holder was told last, and the last packet of which it must be told.
    told: u64,
    wanted: u64,
    /// How often missing packets were asked for in vain.
    asked: u32,
    /// The holder was asked to let the token go round, as more waits than it should carry.
    pub(super) hurried: bool,
}

/// Intervals without an answer after which a member is given up.
pub(crate) const SILENT_TICKS: u32 = 4;
/// Of an interval: how soon after a packet the others are told of it, and those are asked again that have not answered.
const SOON: u32 = 10;
/// How often missing packets are asked for in vain before the token shall go round.
const ASKED_MOST: u32 = 3;

impl Holding {
    pub(crate) fn new(token: Token, members: &[DaemonId], me: DaemonId, now: Instant) -> Holding {
        let answers = members.iter().filter(|&&member| member != me).map(|&member| (member, Answer::default()));
        Holding {
            token,
            count: 0,
            tick: 0,
            next_tick: now,
            announce: None,
            unannounced: None,
            again: None,
            tries: 0,
            answers: answers.collect(),
        }
    }

    /// A packet was numbered: soon all are told, and at the latest after half an interval.
    pub(crate) fn numbered(&mut self, core: &mut Core, now: Instant) {
        let interval = core.config.rest_interval;
        let first = *self.unannounced.get_or_insert(now);
        self.announce = Some((now + interval / SOON).min(first + interval / 2));
        self.arm(core);
    }

    fn arm(&self, core: &mut Core) {
        let next = self.announce.into_iter().chain(self.again).fold(self.next_tick, Instant::min);
        core.timers.set(Timer::Rest, next);
    }

    /// Tells all.
    fn announce(&mut self, core: &mut Core, now: Instant, safe: u64) {
        (self.announce, self.unannounced, self.tries) = (None, None, 0);
        self.count += 1;
        self.again = Some(now + core.config.rest_interval / SOON);
        core.transmit(None, self.packet(safe, Asks::All));
        self.arm(core);
    }

    /// Asks those again that have not answered, later each time.
    fn ask_again(&mut self, core: &mut Core, now: Instant, safe: u64) {
        let silent: Vec<DaemonId> = self.silent(|answer| answer.count < self.count).collect();
        self.tries += 1;
        let pause = (core.config.rest_interval / SOON) * (1 << self.tries.min(8));
        self.again = (!silent.is_empty()).then_some(now + pause);
        silent.into_iter().for_each(|member| core.transmit_again(Some(member), self.packet(safe, Asks::All)));
    }

    fn silent(&self, is_silent: impl Fn(&Answer) -> bool) -> impl Iterator<Item = DaemonId> {
        self.answers.iter().filter(move |(_, answer)| is_silent(answer)).map(|(&member, _)| member)
    }

    fn packet(&self, safe: u64, asks: Asks) -> Packet {
        let Token { ring, hop, seq, .. } = self.token;
        Packet::Rest(Rest { ring, hop, count: self.count, seq, safe, gone: false, asks: asks == Asks::All })
    }

    /// What a member says counts; what all say.
    fn hear(&mut self, from: DaemonId, have: &Have) -> u64 {
        if let Some(answer) = self.answers.get_mut(&from) {
            answer.count = answer.count.max(have.count);
            answer.aru = answer.aru.max(have.aru);
            answer.tick = self.tick;
        }
        if self.answers.values().all(|answer| answer.count == self.count) {
            self.again = None;
        }
        self.answers.values().map(|answer| answer.aru).min().unwrap_or(self.token.seq)
    }
}

impl Operational {
    /// The token comes to rest here.
    pub(super) fn rest(&mut self, core: &mut Core, now: Instant, mut token: Token) {
        core.stats.rests += 1;
        self.circulation.know_safe(core, &mut token);
        [Timer::TokenLoss, Timer::TokenRetransmit, Timer::Progress]
            .into_iter()
            .for_each(|timer| core.timers.stop(timer));
        self.gait.rest(now);
        self.place = Place::Here(Holding::new(token, &self.circulation.members, core.me(), now));
        self.deliver_and_forget(core);
        let _ = self.on_rest_timer(core, now);
    }

    /// Something is due that the others are told or asked.
    pub(super) fn on_rest_timer(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let safe = self.circulation.safe;
        let Place::Here(holding) = &mut self.place else { return None };
        if self.circulation.is_alone() {
            self.send_at_rest(core, now);
            return None;
        }
        if holding.next_tick <= now {
            let tick = holding.tick;
            let silent: Vec<DaemonId> = holding.silent(|answer| tick - answer.tick >= SILENT_TICKS).collect();
            if !silent.is_empty() {
                return Some(Transition::gather_without(GatherReason::MemberSilent, silent));
            }
            holding.tick += 1;
            holding.next_tick = now + core.config.rest_interval;
            holding.announce(core, now, safe);
        } else if holding.announce.is_some_and(|at| at <= now) {
            holding.announce(core, now, safe);
        } else if holding.again.is_some_and(|at| at <= now) {
            holding.ask_again(core, now, safe);
        }
        holding.arm(core);
        None
    }

    /// The daemon before this one has sent the token again: it does not know that the token rests here.
    pub(super) fn on_token_again(&self, core: &mut Core, from: DaemonId, token: &Token) {
        let safe = self.circulation.safe;
        let Place::Here(holding) = &self.place else { return };
        let knows = holding.answers.get(&from).is_none_or(|answer| answer.count > 0);
        if token.hop == holding.token.hop && token.ring == holding.token.ring && !knows {
            core.transmit_again(Some(from), holding.packet(safe, Asks::All));
        }
    }

    /// A member says what it has.
    pub(super) fn on_have(&mut self, core: &mut Core, from: DaemonId, have: &Have) {
        let Place::Here(holding) = &mut self.place else { return };
        if have.ring != holding.token.ring || have.hop != holding.token.hop {
            return;
        }
        if !holding.answers.contains_key(&from) || have.count > holding.count || have.aru > holding.token.seq {
            core.stats.dropped.impossible_rest += 1;
            return;
        }
        let safe = holding.hear(from, have);
        holding.arm(core);
        self.circulation.send_again_to(core, from, &have.requests);
        self.raise_safe(core, safe);
    }

    /// Everybody has everything up to here. All are told if a message waits for that.
    fn raise_safe(&mut self, core: &mut Core, safe: u64) {
        let before = self.circulation.safe;
        let Place::Here(holding) = &mut self.place else { return };
        if safe <= before {
            return;
        }
        self.circulation.safe = safe;
        let is_safe = |seq| self.circulation.window.packet(seq).is_some_and(|data| data.service >= Some(Service::Safe));
        if (before + 1..=safe).any(is_safe) {
            core.transmit(None, holding.packet(safe, Asks::Nobody));
        }
        self.deliver_and_forget(core);
    }

    /// Lets the token go round again.
    pub(super) fn let_go(&mut self, core: &mut Core, now: Instant) {
        let Place::Here(holding) = std::mem::replace(&mut self.place, Place::Underway) else { return };
        core.timers.stop(Timer::Rest);
        core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
        self.left = Some(holding.count);
        let mut token = holding.token;
        token.delayed = token.hop;
        self.turn(core, now, token);
    }

    /// Nobody answers the token that was let go: the others may still believe that it rests here.
    pub(super) fn say_gone(&self, core: &mut Core) {
        let (Some(count), Some(passed)) = (self.left, &self.circulation.passed) else { return };
        let (ring, hop, count) = (passed.ring, passed.hop - 1, count + 1);
        core.transmit(
            None,
            Packet::Rest(Rest {
                ring,
                hop,
                count,
                seq: passed.seq,
                safe: self.circulation.safe,
                gone: true,
                asks: false,
            }),
        );
    }
}

impl Operational {
    /// Somebody says that the token rests there.
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
        core.timers.set(Timer::Watch, now + core.config.rest_interval * 3 / 2);
        if rest.safe > self.circulation.safe {
            self.circulation.safe = rest.safe;
            self.deliver_and_forget(core);
        }
        if rest.asks {
            self.answer(core, repeated, Vec::new());
        }
        self.miss(core, now);
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
                let busy = [Timer::TokenLoss, Timer::TokenRetransmit, Timer::Progress];
                busy.into_iter().for_each(|timer| core.timers.stop(timer));
                self.place = Place::There(Resting {
                    holder,
                    hop,
                    count,
                    seq,
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
        let calm = [Timer::Watch, Timer::Ask, Timer::Handover];
        calm.into_iter().for_each(|timer| core.timers.stop(timer));
        self.place = Place::Underway;
    }

    /// The holder was not heard for an interval.
    pub(super) fn on_watch(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let Place::There(resting) = &mut self.place else { return None };
        resting.misses += 1;
        if resting.misses >= SILENT_TICKS {
            return Some(Transition::gather_without(GatherReason::HolderSilent, [resting.holder]));
        }
        core.timers.set(Timer::Watch, now + core.config.rest_interval);
        None
    }

    /// A packet arrived: the holder is told if a safe message waits for that, and asked if one before it is missing.
    pub(super) fn arrived_at_rest(&mut self, core: &mut Core, now: Instant, seq: u64, service: Option<Service>) {
        let aru = self.circulation.window.aru();
        let Place::There(resting) = &mut self.place else { return };
        if service >= Some(Service::Safe) {
            resting.wanted = resting.wanted.max(seq);
        }
        if resting.told < resting.wanted && resting.wanted <= aru {
            self.answer(core, false, Vec::new());
        }
        self.miss(core, now);
    }

    /// Tells the holder what is here; once more if it seems not to have heard that.
    fn answer(&mut self, core: &mut Core, again: bool, requests: Vec<(u64, u16)>) {
        let (ring, aru) = (self.circulation.ring, self.circulation.window.aru());
        let Place::There(resting) = &mut self.place else { return };
        resting.told = aru;
        let have = Have { ring, hop: resting.hop, count: resting.count, aru, requests };
        core.transmits.push_back(Transmit { to: Some(resting.holder), again, packet: Packet::Have(have) });
    }

    /// If something is missing that may still come, it is asked for after a while.
    fn miss(&mut self, core: &mut Core, now: Instant) {
        let Place::There(resting) = &mut self.place else { return };
        if self.circulation.window.aru() >= resting.seq.max(self.circulation.window.high()) {
            resting.asked = 0;
            core.timers.stop(Timer::Ask);
        } else if !core.timers.is_set(Timer::Ask) {
            core.timers.set(Timer::Ask, now + self.circulation.patience(core));
        }
    }

    /// What is missing has not come by itself.
    pub(super) fn on_ask(&mut self, core: &mut Core, now: Instant) {
        let patience = self.circulation.patience(core);
        let Place::There(resting) = &mut self.place else { return };
        resting.asked += 1;
        let asked = resting.asked;
        let requests = self.circulation.missing(resting.seq.max(self.circulation.window.high()));
        core.timers.set(Timer::Ask, now + (patience * (1 << asked.min(6))).min(core.config.token_retransmit));
        self.answer(core, asked > 1, requests);
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

    /// Somebody asks for the token.
    pub(super) fn on_hurry(&mut self, core: &mut Core, now: Instant, ring: RingId) {
        if ring == self.circulation.ring && !self.circulation.is_alone() {
            match self.place {
                Place::Here(_) => self.let_go(core, now),
                Place::Underway | Place::There(_) => self.gait.hurried = true,
            }
        }
    }
}

/// How long a daemon may stand still while the token rests: longer, and the others may have gone on without it.
pub(crate) fn patience_at_rest(interval: Duration) -> Duration {
    interval * SILENT_TICKS
}
