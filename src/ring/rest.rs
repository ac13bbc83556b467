//! A token that rests: how its holder knows who is there and what everybody has, and how the others know that the holder is there.
//!
//! The holder numbers its own packets at once, and those that others hand over (handover.rs). In each interval, and soon after a packet, it
//! announces where the token is, the highest number, and what everybody has. Each member answers.
//!
//! - *Silence.* A member that does not answer for [`SILENT_TICKS`] intervals is given up; so is a silent holder, half an interval later.
//!   A member that misses the holder asks it several times before.
//! - *Quiet.* The intervals become longer while nothing is sent, and the holder says how long they are. A daemon that dies then is missed
//!   below the ring first (multipath/health/deaths.rs).
//! - *Retransmission.* A member that lacks a packet asks the holder, which has everything. If that does not help, the member asks for
//!   the token to go round, and the requests go round with it.

use std::collections::BTreeMap;

use super::core::Core;
use super::elsewhere::Resting;
use super::operational::Operational;
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Data, Have, Packet, Rest, Service, Token};

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
    /// The number of the last announcement.
    count: u64,
    /// Intervals in this rest.
    tick: u32,
    next_tick: Instant,
    /// Intervals in a row without a packet.
    quiet: u32,
    /// When the next packets are announced, and when the first of those was numbered.
    announce: Option<Instant>,
    unannounced: Option<Instant>,
    /// When the last announcement was sent to all.
    announced: Instant,
    /// When the silent members are asked again, and how often they were since the last announcement.
    again: Option<Instant>,
    tries: u32,
    answers: BTreeMap<DaemonId, Answer>,
    /// Packets that were handed over and wait for their turn, the last of each origin.
    pub(crate) waiting: Vec<Data>,
}

/// The members that shall answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    All,
    Nobody,
}

/// The latest answer of a member.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    count: u64,
    aru: u64,
    tick: u32,
    /// When an announcement that it had missed was last repeated to it.
    told: Instant,
    /// The last claim of it that was refused.
    refused: u64,
}

/// Intervals without an answer after which a member is given up. Both sides count intervals in which they were awake, so a daemon that
/// stood still does not believe that all others are gone.
pub(crate) const SILENT_TICKS: u32 = 4;
/// How often in an interval a member checks whether the holder is silent, and asks it.
pub(super) const CHECKS: u32 = 4;
/// Intervals without a packet after which the intervals become twice as long, and how often they do.
const QUIET_TICKS: u32 = 8;
pub(super) const STRETCHES: u32 = 2;
/// A packet is announced after the interval divided by this, and silent members are asked again after it.
const SOON: u32 = 10;

impl Holding {
    pub(crate) fn new(token: Token, members: &[DaemonId], me: DaemonId, now: Instant) -> Holding {
        let answers = members.iter().filter(|&&member| member != me).map(|&member| (member, Answer::default()));
        Holding {
            token,
            count: 0,
            tick: 0,
            next_tick: now,
            quiet: 0,
            announce: None,
            unannounced: None,
            announced: now,
            again: None,
            tries: 0,
            answers: answers.collect(),
            waiting: Vec::new(),
        }
    }

    /// A packet was numbered. It is announced soon, and at the latest after half an interval.
    pub(crate) fn numbered(&mut self, core: &mut Core, now: Instant) {
        let interval = core.config.rest_interval;
        self.quiet = 0;
        self.next_tick = self.next_tick.min(now + interval);
        let first = *self.unannounced.get_or_insert(now);
        self.announce = Some((now + interval / SOON).min(first + interval / 2));
        self.arm(core);
    }

    fn arm(&self, core: &mut Core) {
        let next = self.announce.into_iter().chain(self.again).fold(self.next_tick, Instant::min);
        // One timer for all three, because they end in the same packet.
        core.timers.set(Timer::Rest, next);
    }

    /// The present interval.
    fn pause(&self, core: &Core) -> Duration {
        core.config.rest_interval * (1 << (self.quiet / QUIET_TICKS).min(STRETCHES))
    }

    /// Announces to all where the token is and what everybody has.
    fn announce(&mut self, core: &mut Core, now: Instant, safe: u64) {
        (self.announce, self.unannounced, self.tries) = (None, None, 0);
        self.announced = now;
        // A new number for each announcement: an answer shows which one it answers.
        self.count += 1;
        self.again = Some(now + core.config.rest_interval / SOON);
        core.transmit(None, self.packet(core, safe, Asks::All));
        self.arm(core);
    }

    /// Asks the silent members again, after a longer pause each time.
    fn ask_again(&mut self, core: &mut Core, now: Instant, safe: u64) {
        // Each silent member separately: a packet to all would wake the others for nothing.
        let silent: Vec<DaemonId> = self.silent(|answer| answer.count < self.count).collect();
        self.tries += 1;
        let pause = (core.config.rest_interval / SOON) * (1 << self.tries.min(8));
        self.again = (!silent.is_empty()).then_some(now + pause);
        for member in silent {
            core.transmit_again(Some(member), self.packet(core, safe, Asks::All));
        }
    }

    fn silent(&self, is_silent: impl Fn(&Answer) -> bool) -> impl Iterator<Item = DaemonId> {
        self.answers.iter().filter(move |(_, answer)| is_silent(answer)).map(|(&member, _)| member)
    }

    fn packet(&self, core: &Core, safe: u64, asks: Asks) -> Packet {
        let Token { ring, hop, seq, .. } = self.token;
        let pause = millis(self.pause(core));
        Packet::Rest(Rest { ring, hop, count: self.count, seq, safe, gone: false, asks: asks == Asks::All, pause })
    }

    /// A claim of a member is refused. Returns whether it was refused before: then the member seems to lack the packets that passed it.
    pub(super) fn refuse(&mut self, origin: DaemonId, claim: u64) -> bool {
        let Some(answer) = self.answers.get_mut(&origin) else { return false };
        std::mem::replace(&mut answer.refused, claim) == claim
    }

    /// Takes a member's answer, and returns the number up to which all members have everything.
    fn hear(&mut self, from: DaemonId, have: &Have) -> u64 {
        if let Some(answer) = self.answers.get_mut(&from) {
            // Answers may overtake each other, so each value only grows.
            answer.count = answer.count.max(have.count);
            answer.aru = answer.aru.max(have.aru);
            answer.tick = self.tick;
        }
        if self.answers.values().all(|answer| answer.count == self.count) {
            self.again = None;
        }
        // Safe is what all have, as on a rotating token.
        self.answers.values().map(|answer| answer.aru).min().unwrap_or(self.token.seq)
    }
}

impl Holding {
    /// Whether a member has missed the last announcement and must get it again, because it may give this daemon up. This happens
    /// at a limited rate, because anybody may repeat old answers of the member.
    fn has_missed(&mut self, core: &Core, now: Instant, from: DaemonId) -> bool {
        let pause = core.config.rest_interval / CHECKS;
        let Some(answer) = self.answers.get_mut(&from) else { return false };
        let missed = answer.count < self.count && now.since(answer.told) >= pause;
        if missed {
            answer.told = now;
        }
        missed
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
        // At once, or the others would miss the token and send it again. Nobody can be silent yet.
        let _ = self.on_rest_timer(core, now);
    }

    /// An announcement or a question is due.
    pub(super) fn on_rest_timer(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let safe = self.circulation.safe;
        let Place::Here(holding) = &mut self.place else { return None };
        if self.circulation.is_alone() {
            self.send_at_rest(core, now);
            return None;
        }
        if holding.next_tick <= now {
            let tick = holding.tick;
            // Counted in ticks, not in time: while this daemon stood still it asked nobody, so nobody was silent.
            let silent: Vec<DaemonId> = holding.silent(|answer| tick - answer.tick >= SILENT_TICKS).collect();
            if !silent.is_empty() {
                return Some(Transition::gather_without(GatherReason::MemberSilent, silent));
            }
            holding.tick += 1;
            holding.quiet = holding.quiet.saturating_add(1);
            holding.next_tick = now + holding.pause(core);
            holding.announce(core, now, safe);
        } else if holding.announce.is_some_and(|at| at <= now) {
            holding.announce(core, now, safe);
        } else if holding.again.is_some_and(|at| at <= now) {
            holding.ask_again(core, now, safe);
        }
        holding.arm(core);
        None
    }

    /// A member seems to lack packets that were numbered, and others may lack them too. So the packets are announced to all now:
    /// while many are sent, the next announcement would come late. Members repeat handed-over packets more often than this.
    pub(super) fn on_signs_of_loss(&mut self, core: &mut Core, now: Instant) {
        let (safe, pause) = (self.circulation.safe, core.config.rest_interval / SOON);
        let Place::Here(holding) = &mut self.place else { return };
        if holding.unannounced.is_some() && now.since(holding.announced) >= pause {
            holding.announce(core, now, safe);
        }
    }

    /// The predecessor has retransmitted the token, so it does not know that the token rests here.
    pub(super) fn on_token_again(&self, core: &mut Core, from: DaemonId, token: &Token) {
        let safe = self.circulation.safe;
        let Place::Here(holding) = &self.place else { return };
        // A member that has answered knows it. It sent this token before it answered.
        let knows = holding.answers.get(&from).is_none_or(|answer| answer.count > 0);
        if token.hop == holding.token.hop && token.ring == holding.token.ring && !knows {
            let packet = holding.packet(core, safe, Asks::All);
            core.transmit_again(Some(from), packet);
        }
    }

    /// A member has answered.
    pub(super) fn on_have(&mut self, core: &mut Core, now: Instant, from: DaemonId, have: &Have) {
        let Place::Here(holding) = &mut self.place else { return self.say_gone_to(core, from, have) };
        if have.ring != holding.token.ring || have.hop != holding.token.hop {
            return;
        }
        // Nobody answers what was not asked, or has what was not numbered.
        if !holding.answers.contains_key(&from) || have.count > holding.count || have.aru > holding.token.seq {
            core.stats.dropped.impossible_rest += 1;
            return;
        }
        let safe = holding.hear(from, have);
        holding.arm(core);
        if holding.has_missed(core, now, from) {
            let packet = holding.packet(core, self.circulation.safe, Asks::All);
            core.transmit_again(Some(from), packet);
        }
        // To this member only. The others have it, or ask for themselves.
        self.circulation.send_again_to(core, from, &have.requests);
        self.raise_safe(core, safe);
    }

    /// Every member has all packets up to `safe`. If a safe message waits for this, the members are notified at once.
    fn raise_safe(&mut self, core: &mut Core, safe: u64) {
        let before = self.circulation.safe;
        let Place::Here(holding) = &mut self.place else { return };
        if safe <= before {
            return;
        }
        self.circulation.safe = safe;
        let is_safe = |seq| self.circulation.window.packet(seq).is_some_and(|data| data.service >= Some(Service::Safe));
        if (before + 1..=safe).any(is_safe) {
            // At once, so that a safe message need not wait for the next interval. No answer is wanted: all have it.
            let packet = holding.packet(core, safe, Asks::Nobody);
            core.transmit(None, packet);
        }
        self.deliver_and_forget(core);
    }

    /// Lets the token go round again.
    pub(super) fn let_go(&mut self, core: &mut Core, now: Instant) {
        let Place::Here(holding) = std::mem::replace(&mut self.place, Place::Underway) else { return };
        for timer in [Timer::Rest, Timer::Number] {
            core.timers.stop(timer);
        }
        core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
        self.left = Some(holding.count);
        let mut token = holding.token;
        // The rest was no part of the rotation, so nobody may measure it.
        token.delayed = token.hop;
        self.turn(core, now, token);
    }

    /// Nobody answers the token that was let go, so the others may still believe that it rests here.
    pub(super) fn say_gone(&self, core: &mut Core) {
        if let Some(gone) = self.gone(core) {
            core.transmit(None, Packet::Rest(gone));
        }
    }

    /// A member still believes that the token rests here. The token may be lost at a third daemon, and this daemon must not be
    /// blamed for that.
    fn say_gone_to(&self, core: &mut Core, from: DaemonId, have: &Have) {
        if let Some(gone) = self.gone(core).filter(|gone| (gone.ring, gone.hop) == (have.ring, have.hop)) {
            core.transmit_again(Some(from), Packet::Rest(gone));
        }
    }

    /// The packet that ends a rest here, until the token comes again.
    fn gone(&self, core: &Core) -> Option<Rest> {
        let (count, passed) = (self.left?, self.circulation.passed.as_ref()?);
        let (ring, hop, count, seq) = (passed.ring, passed.hop - 1, count + 1, passed.seq);
        let (safe, pause) = (self.circulation.safe, millis(core.config.rest_interval));
        Some(Rest { ring, hop, count, seq, safe, gone: true, asks: false, pause })
    }
}

/// How long a daemon may stand still while the token rests. After that the others may have gone on without it.
pub(crate) fn patience_at_rest(interval: Duration) -> Duration {
    interval * SILENT_TICKS
}

/// A time in milliseconds, as packets carry it.
fn millis(time: Duration) -> u16 {
    u16::try_from(time.as_millis()).unwrap_or(u16::MAX)
}
