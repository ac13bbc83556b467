//! The token goes round: accept it, serve and make requests, number packets, keep aru and the safe line, pass it on and send it again.
//! Recovery and operation have this in common (Totem SRP §5.2).
//!
//! - No network waits for another one: the first copy of a token counts, and its ring and hop tell every other copy.
//! - The token is passed on before the packets that it numbers are sent (Accelerated Ring), so nobody requests packets of this rotation.
//!   The same rule covers networks of unequal delay: a copy on a slower network has a whole rotation to arrive.
//! - Everybody has what the token's aru said at two visits in a row.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::core::Core;
use super::flow::Flow;
use super::handover::is_same;
use super::rotation::{Rotation, Trip};
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use super::window::{Inserted, SPAN_LIMIT, Window};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Data, Form, Incarnation, Packet, RingId, Token};

/// The result for a data packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It was missing, and is here now.
    New,
    /// It was dropped, or is here already.
    Nothing,
    /// It contradicts what is here; one of the two is a lie.
    Contradiction,
}

/// A member that lacks packets.
#[derive(Clone, Copy, Debug)]
struct Behind {
    by: DaemonId,
    /// The aru to which it lowered the token.
    aru: u64,
    /// The visits in a row at which the token had this aru.
    visits: NonZeroU32,
    /// When it may be helped again, once it looks hopeless.
    next_try: Instant,
}

/// A member is given up if it gets no data during this many time-outs of the token. One time-out is too short on slow networks that lose much.
const STUCK_TIMEOUTS: u32 = 3;
/// After so many visits without progress, packets are retransmitted only now and then. Perhaps no network carries packets of their length. The
/// token may make thousands of visits until that ends.
const HOPELESS_VISITS: u32 = 16;
/// Then they are retransmitted at most this often within one time-out of the token. This is time, not visits: on a slow network that loses much
/// each visit counts.
const HOPELESS_TRIES: u32 = 32;

/// A ring with its token going round.
#[derive(Debug)]
pub(crate) struct Circulation {
    pub(crate) ring: RingId,
    pub(crate) members: Vec<DaemonId>,
    pub(crate) window: Window,
    /// Everybody has everything up to here.
    pub(crate) safe: u64,
    /// The lives of the members, in their order.
    pub(super) lives: Vec<Incarnation>,
    pub(crate) me: DaemonId,
    successor: DaemonId,
    pub(crate) predecessor: DaemonId,
    /// Hops and packets are numbered from here on.
    pub(crate) began: u64,
    /// Hop of the newest token seen or sent.
    pub(crate) hop: u64,
    /// The token as it came last.
    pub(crate) accepted: Option<Token>,
    /// The token as it was passed on last, to be retransmitted. Requests go up to its seq.
    pub(crate) passed: Option<Token>,
    retransmit_after: Duration,
    pub(crate) flow: Flow,
    /// The packets that this daemon retransmitted lately, and at which hop.
    served: BTreeMap<u64, u64>,
    pub(crate) rotation: Rotation,
    /// The origin of the packet with the highest number that has been here.
    pub(crate) last_origin: Option<DaemonId>,
    last_number: u64,
    /// The member that is behind, if there is one.
    behind: Option<Behind>,
}

impl Circulation {
    /// The ring that this form token makes, before its first token.
    pub(crate) fn new(core: &Core, form: &Form) -> Circulation {
        let members: Vec<DaemonId> = form.members.iter().map(|member| member.daemon).collect();
        Circulation {
            ring: form.ring,
            me: core.me(),
            successor: successor(&members, core.me()),
            predecessor: predecessor(&members, core.me()),
            began: core.config.first_number,
            lives: form.members.iter().map(|member| member.incarnation).collect(),
            members,
            window: Window::behind(core.config.first_number, Window::bytes_limit(core.config.body_limit)),
            safe: core.config.first_number,
            hop: core.config.first_number,
            accepted: None,
            passed: None,
            retransmit_after: core.config.token_retransmit,
            flow: Flow::default(),
            served: BTreeMap::new(),
            rotation: Rotation::default(),
            last_origin: None,
            last_number: core.config.first_number,
            behind: None,
        }
    }

    /// The first token of this ring.
    pub(crate) fn first_token(&self, core: &Core) -> Token {
        let window = Flow::first_window(&core.config, self.members.len());
        Token { window, ..Token::new(self.ring, self.hop + 1, self.window.aru()) }
    }

    /// Whether this daemon is the only member.
    pub(crate) fn is_alone(&self) -> bool {
        self.members.len() == 1
    }

    /// The life in which this daemon is a member.
    pub(crate) fn life(&self, daemon: DaemonId) -> Option<Incarnation> {
        self.lives().find(|(member, _)| *member == daemon).map(|(_, life)| life)
    }

    /// The members, and the life of each.
    pub(crate) fn lives(&self) -> impl Iterator<Item = (DaemonId, Incarnation)> + '_ {
        self.members.iter().copied().zip(self.lives.iter().copied())
    }

    /// Whether the token, as it was passed on, says that everyone has everything.
    pub(crate) fn has_all_passed(&self) -> bool {
        self.passed.as_ref().is_some_and(|token| token.aru == token.seq)
    }

    /// Takes the token if it is a new one of this ring.
    pub(crate) fn accept(&mut self, core: &mut Core, now: Instant, token: &Token) -> bool {
        // (ring, hop) names a token for ever. So a copy is known however late it comes, and from whatever network.
        if token.ring != self.ring || token.hop <= self.hop {
            core.stats.tokens_repeated += 1;
            return false;
        }
        self.hop = token.hop;
        self.accepted = Some(token.clone());
        core.stats.tokens += 1;
        // Only a new token proves that the ring goes round. A copy must not keep a broken ring alive.
        core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
        // The token came round, so the successor has the one that was passed to it.
        core.timers.stop(Timer::TokenRetransmit);
        self.watch_progress(core, now, token);
        // A rotation with a retransmission measures a timer, not the ring (Karn's rule).
        let undisturbed = self.passed.as_ref().is_some_and(|passed| token.delayed < passed.hop);
        let trip = if undisturbed { Trip::Undisturbed } else { Trip::Delayed };
        if let Some(took) = self.rotation.end(now, trip) {
            core.stats.token_rotation.record(took);
        }
        true
    }

    /// Leaves out the member that keeps the ring from going on: the token reaches it, but no data does, on any network. If the token does
    /// not come round, that member is not to blame.
    pub(crate) fn stuck(&self, core: &mut Core, now: Instant) -> Option<Transition> {
        // A daemon cannot leave itself out. If it is the one that gets no data, another member leaves it out.
        let behind = self.behind.filter(|behind| behind.by != core.me())?;
        let comes_round = core.timers.left(Timer::TokenLoss, now) >= core.config.token_timeout / 2;
        if !comes_round {
            core.timers.set(Timer::Progress, now + core.config.token_timeout);
            return None;
        }
        Some(Transition::gather_without(GatherReason::NoProgress, [behind.by]))
    }

    fn watch_progress(&mut self, core: &mut Core, now: Instant, token: &Token) {
        // The same aru by the same member at two visits: what that member lacks was not repaired in between.
        let behind = if token.aru < token.seq { token.aru_by } else { None };
        let Some(by) = behind else {
            self.behind = None;
            core.timers.stop(Timer::Progress);
            return;
        };
        match &mut self.behind {
            // The timer runs on from the first of these visits. Setting it again at each would never let it expire.
            Some(behind) if (behind.by, behind.aru) == (by, token.aru) => {
                behind.visits = behind.visits.saturating_add(1)
            }
            behind => {
                *behind = Some(Behind { by, aru: token.aru, visits: NonZeroU32::MIN, next_try: now });
                core.timers.set(Timer::Progress, now + core.config.token_timeout * STUCK_TIMEOUTS);
            }
        }
    }

    /// A data packet of this ring arrived.
    pub(crate) fn receive(&mut self, core: &mut Core, data: Data) -> Received {
        // The ring id alone is not enough: it is in every packet, so a stranger can copy it.
        if !self.members.contains(&data.origin) {
            core.stats.dropped.foreign += 1;
            return Received::Nothing;
        }
        if !self.is_possible_data(&data) {
            core.stats.dropped.impossible_data += 1;
            return Received::Nothing;
        }
        if self.passed.as_ref().is_some_and(|token| data.seq > token.seq) {
            // Somebody behind us has numbered packets, so the token that we passed on has arrived.
            core.timers.stop(Timer::TokenRetransmit);
        }
        let (seq, origin) = (data.seq, data.origin);
        match self.window.insert(data) {
            Inserted::New => {
                self.record_origin(seq, origin);
                return Received::New;
            }
            Inserted::Duplicate => core.stats.duplicates += 1,
            Inserted::TooFar => core.stats.dropped.too_far += 1,
            Inserted::TooMuch => core.stats.dropped.too_much += 1,
            Inserted::Contradiction => {
                core.stats.dropped.contradictions += 1;
                return Received::Contradiction;
            }
        }
        Received::Nothing
    }

    /// Retransmits the requested packets that this daemon has, and takes them off the list. A request that comes again after it was served is
    /// left to the other members until each has served it: the requester may not hear this daemon.
    pub(crate) fn serve(&mut self, core: &mut Core, now: Instant, token: &mut Token) {
        // One member steers. If all did, they would undo each other's steps.
        if self.ring.representative == core.me() {
            self.flow.steer(&core.config, self.members.len(), self.rotation.took(), token);
        }
        // Before anything is sent: this daemon's counts of the last visit must not count twice.
        self.flow.begin(token);
        let mut budget = if self.may_retransmit(core, now) { core.config.personal_window } else { 0 };
        let mut left = Ranges::default();
        let members = self.members.len() as u64;
        // In each rotation one member serves a request and then leaves it to the next. After this many hops all have.
        let others_chance = members * (members - 1);
        self.served.retain(|_, hop| *hop + others_chance > token.hop);
        for (first, length) in std::mem::take(&mut token.requests) {
            for seq in first..first + u64::from(length) {
                let may_serve = budget > 0 && !self.served.contains_key(&seq);
                match self.window.packet(seq) {
                    // Retransmissions go before new packets, so that the backlog does not delay what others wait for.
                    Some(data) if may_serve => {
                        core.transmit_again(None, Packet::Data(data.clone()));
                        core.stats.retransmitted += 1;
                        budget -= 1;
                        self.flow.count_again(token);
                        self.served.insert(seq, token.hop);
                    }
                    // Outside these bounds nobody lacks anything, and a request would go round for ever.
                    _ if seq > token.aru && seq <= token.seq => left.add(seq),
                    _ => {}
                }
            }
        }
        token.requests = left.list;
    }

    fn may_retransmit(&mut self, core: &Core, now: Instant) -> bool {
        let Some(behind) = self.behind.as_mut().filter(|behind| behind.visits.get() > HOPELESS_VISITS) else {
            return true;
        };
        let due = now >= behind.next_try;
        if due {
            behind.next_try = now + core.config.token_timeout / HOPELESS_TRIES;
        }
        due
    }

    /// How many packets may be numbered at this visit: what flow control allows, while memory is bounded.
    pub(crate) fn allowance(&self, core: &Core, token: &Token) -> u32 {
        // Half of the span: a member that knows an older safe line must still have room for what is numbered here.
        let span = (self.safe + SPAN_LIMIT / 2).saturating_sub(token.seq);
        let room = span.min(self.window.room(core.config.body_limit));
        self.flow.allowance(&core.config, self.members.len(), token).min(u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// Whether a resting token must go round before anything else is numbered: too many packets are not known to be everywhere, or there
    /// is no room for another one.
    pub(crate) fn is_full(&self, core: &Core, token: &Token) -> bool {
        let unsafe_packets = token.seq.saturating_sub(self.safe);
        unsafe_packets >= u64::from(core.config.window) || self.window.room(core.config.body_limit) == 0
    }

    /// Gives the next number to a packet of this daemon, or to one that was handed over to it, and keeps it. It is a barrier if its
    /// distance to one is 0.
    pub(crate) fn number(&mut self, token: &mut Token, mut data: Data) -> Data {
        token.seq += 1;
        self.flow.count_sent(token);
        if data.seq == 0 {
            // Nobody knows of it yet, so it need not stand before anything that is numbered already.
            data.seq = token.seq;
        }
        data.set_number(token.seq);
        if data.barrier_distance == 0 {
            // It goes round with the token, so each packet can say how far behind the last barrier it is.
            token.barrier = data.seq;
        }
        if data.origin != self.me {
            // An origin that has everything up to here knows whether its own packet is among them.
            token.handed = data.seq;
        }
        data.set_barrier(token.barrier);
        self.record_origin(data.seq, data.origin);
        let inserted = self.window.insert(data.clone());
        assert_eq!(inserted, Inserted::New, "a number is given once, and the allowance keeps it within the window");
        data
    }

    /// Brings the token up to date, passes it on, and sends what was numbered behind it. In a ring of one the token comes back.
    pub(crate) fn pass(
        &mut self,
        core: &mut Core,
        now: Instant,
        mut token: Token,
        numbered: Vec<Data>,
    ) -> Option<Token> {
        // Both compare with the token of the last visit, so `passed` is replaced after them.
        self.know_safe(core, &mut token);
        self.request(&mut token);
        token.hop += 1;
        let alone = self.is_alone();
        if !alone {
            self.hop = token.hop;
            // The token goes first, so that the successor can work while this daemon sends (Accelerated Ring).
            core.transmit(Some(self.successor), Packet::Token(token.clone()));
            self.retransmit_after = self.patience(core);
            self.await_answer(core, now);
            for data in numbered {
                core.transmit(None, Packet::Data(data));
            }
        }
        self.rotation.begin(now);
        // The next visit takes its requests and the safe line from this token.
        self.passed = Some(token.clone());
        alone.then_some(token)
    }

    /// Retransmits the token, after a longer pause each time.
    pub(crate) fn retransmit(&mut self, core: &mut Core, now: Instant) {
        let Some(token) = &self.passed else { return };
        // It tells all members that this rotation says nothing about how long one takes.
        let token = Token { delayed: token.hop, ..token.clone() };
        core.transmit_again(Some(self.successor), Packet::Token(token));
        core.stats.tokens_retransmitted += 1;
        // The successor may be busy and not dead, so each pause is longer.
        self.retransmit_after = (self.retransmit_after * 2).min(core.config.token_retransmit);
        self.await_answer(core, now);
    }

    /// The token was passed on. It is retransmitted unless somebody answers.
    pub(crate) fn await_answer(&self, core: &mut Core, now: Instant) {
        core.timers.set(Timer::TokenRetransmit, now + self.retransmit_after);
    }

    /// The silence after which something is retransmitted.
    pub(crate) fn patience(&self, core: &Core) -> Duration {
        self.rotation.patience(core.config.token_retransmit)
    }

    /// Brings aru and the safe line up to date.
    pub(crate) fn know_safe(&mut self, core: &Core, token: &mut Token) {
        self.update_aru(core, token);
        // Two visits in a row: a member that lacks a packet lowers aru in between, and nobody else raises it.
        let passed_aru = self.passed.as_ref().map_or(0, |before| before.aru);
        self.safe = self.safe.max(passed_aru.min(token.aru));
    }

    /// The numbers that are missing up to `end`, as many as a packet can request.
    pub(crate) fn missing(&self, end: u64) -> Vec<(u64, u16)> {
        let end = end.min(self.window.aru().saturating_add(SPAN_LIMIT));
        let mut ranges = Ranges::default();
        for (first, length) in self.window.missing(end) {
            (first..first + u64::from(length)).for_each(|seq| ranges.add(seq));
        }
        ranges.list
    }

    /// Retransmits to a member what it requests, as far as it is here.
    pub(crate) fn send_again_to(&self, core: &mut Core, to: DaemonId, requests: &[(u64, u16)]) {
        // Only what can be here: anybody may ask for millions of other numbers.
        let (least, most) = (self.window.forgotten() + 1, self.window.high() + 1);
        let numbers = requests
            .iter()
            .flat_map(|&(first, length)| first.max(least)..first.saturating_add(u64::from(length)).min(most));
        let packets: Vec<Data> = numbers
            .filter_map(|seq| self.window.packet(seq).cloned())
            .take(core.config.personal_window as usize)
            .collect();
        for data in packets {
            core.transmit_again(Some(to), Packet::Data(data));
            core.stats.retransmitted += 1;
        }
    }

    /// Retransmits a packet to its origin, which handed it over and does not know that it has a number.
    pub(crate) fn send_again_as(&self, core: &mut Core, handed: &Data) {
        let numbers = self.window.forgotten() + 1..=self.window.high();
        // Not for an older claim of the same packet: the origin claimed again, so it hears what is numbered.
        if let Some(data) = numbers.filter_map(|seq| self.window.packet(seq)).find(|data| is_same(handed, data)) {
            core.transmit_again(Some(handed.origin), Packet::Data(data.clone()));
            core.stats.retransmitted += 1;
        }
    }

    fn record_origin(&mut self, seq: u64, origin: DaemonId) {
        if seq >= self.last_number {
            (self.last_number, self.last_origin) = (seq, Some(origin));
        }
    }

    fn update_aru(&self, core: &Core, token: &mut Token) {
        let mine = self.window.aru().min(token.seq);
        // Only the member that lowered aru knows when it has what it lacked. Anybody else would hide the gap.
        let raises = token.aru_by.is_none_or(|by| by == core.me());
        if mine < token.aru || raises {
            token.aru = mine;
            token.aru_by = (mine < token.seq).then_some(core.me());
        }
    }

    fn request(&self, token: &mut Token) {
        let Some(before) = &self.passed else { return };
        // Up to the token of the last visit: newer packets may still be on their way, perhaps on a slower network.
        if self.window.aru() >= before.seq {
            return;
        }
        // What is further ahead could not be kept, whatever a token says.
        let end = before.seq.min(self.window.aru().saturating_add(SPAN_LIMIT));
        let mut ranges = Ranges::default();
        let theirs = token.requests.iter().copied();
        let mut wanted: Vec<(u64, u16)> = theirs.chain(self.window.missing(end)).collect();
        // Ascending, as the token has them. If there is no room for all, the oldest gaps are the ones that matter.
        wanted.sort_unstable();
        for (first, length) in wanted {
            (first..first + u64::from(length)).for_each(|seq| ranges.add(seq));
        }
        token.requests = ranges.list;
    }
}

/// The next member round the ring.
pub(crate) fn successor(members: &[DaemonId], me: DaemonId) -> DaemonId {
    let place = members.iter().position(|&member| member == me).expect("a daemon is a member of its own ring");
    members[(place + 1) % members.len()]
}

/// The member before this one.
fn predecessor(members: &[DaemonId], me: DaemonId) -> DaemonId {
    let before = members.iter().copied().find(|&member| successor(members, member) == me);
    before.expect("a daemon is a member of its own ring")
}

/// Ascending ranges that fit a token. Numbers that do not fit are left out and requested later.
#[derive(Default)]
struct Ranges {
    list: Vec<(u64, u16)>,
}

impl Ranges {
    fn add(&mut self, seq: u64) {
        let base = self.list.first().map_or(seq, |&(first, _)| first);
        if seq - base >= SPAN_LIMIT {
            return;
        }
        let room = self.list.len() < Token::RANGE_LIMIT;
        match self.list.last_mut() {
            Some((first, length)) if seq < *first + u64::from(*length) => {}
            Some((first, length)) if seq == *first + u64::from(*length) => *length += 1,
            _ if room => self.list.push((seq, 1)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_merge_and_stay_within_the_token() {
        let mut ranges = Ranges::default();
        [5, 6, 6, 5, 9, 5 + SPAN_LIMIT].into_iter().for_each(|seq| ranges.add(seq));
        assert_eq!(ranges.list, [(5, 2), (9, 1)]);
        (0..1000).for_each(|n| ranges.add(20 + 2 * n));
        assert_eq!(ranges.list.len(), Token::RANGE_LIMIT);
    }

    #[test]
    fn the_ring_closes() {
        let members = [DaemonId(3), DaemonId(1), DaemonId(2)];
        assert_eq!(successor(&members, DaemonId(3)), DaemonId(1));
        assert_eq!(successor(&members, DaemonId(2)), DaemonId(3));
    }
}
