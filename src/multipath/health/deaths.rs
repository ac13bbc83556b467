//! Finds daemons that have died before their silence shows it.
//!
//! The operating system of a machine answers a datagram to a closed port: it *refuses* the datagram. So each daemon sends a small packet to the
//! port of the next living daemon. This is a *knock*, and the knocks go round all daemons. So a dead daemon is found within about one
//! [`KNOCK_INTERVAL`], however large the system is. Any other packet to that daemon serves as a knock too.
//!
//! Anybody can forge a refusal, and a firewall can cause real ones. So a refusal only starts a *doubt*: this daemon asks the other one to
//! report, on all networks. The other daemon is dead if two things are true. It sends nothing on any path. And each network on which it was
//! heard well refuses the question too. If it is heard, this daemon ignores refusals for a while.
//!
//! A daemon that is stopped refuses nothing, and neither does a machine that is cut off. But such a daemon does not knock either. So each daemon
//! expects knocks from the daemon before it. When two knocks are missing, it asks that daemon. It declares that daemon dead when the silence is
//! four times as long as the longest recent one, within limits. No other daemon may report that it hears the silent one.

use std::collections::VecDeque;

use super::super::moves::Moves;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use super::ABSENCE;
use super::matrix::Matrix;
use super::paths::Paths;
use super::reports::Reports;
use crate::time::{Duration, Instant};
use crate::wire::NetworkId;

/// The interval between two knocks at the port of the next daemon.
const KNOCK_INTERVAL: Duration = Duration::from_millis(60);
/// All daemons except the first one wait this much longer. So the knock of the first daemon starts the round, and each daemon wakes up once.
const KNOCK_SLACK: Duration = Duration::from_millis(10);
/// A packet to the next daemon replaces a knock if it was sent at most this long before the knock is due.
const JUST_SENT: Duration = Duration::from_millis(15);
/// This silence of the daemon before this one starts a doubt. Two of its knocks are missing.
const DOUBTED: Duration = Duration::from_millis(130);
/// The time-out for silence is never shorter than this, whatever was set. On a busy machine a daemon may have to wait almost this long.
const BELIEVED_MIN: Duration = Duration::from_millis(300);
/// The time-out for silence is this many times the longest recent silence, and never longer than [`BELIEVED_MAX`] times the value that was set.
const LONGER: u32 = 4;
const BELIEVED_MAX: u32 = 3;
/// Each check shortens the remembered longest silence by one part in this many.
const FADING: u32 = 32;
/// A daemon remains the one before this one for this long after its last direct packet.
const LATELY: Duration = Duration::from_secs(2);
/// How long a daemon in doubt has to answer, in addition to two round trips.
const ANSWER_TIME: Duration = Duration::from_millis(20);
/// How many questions a daemon gets after a refusal.
const QUESTIONS: u32 = 3;
/// How many refusals prove a death. At least four are expected: the first one, and one for each question. One of them may be lost. Fewer
/// refusals may be stray, and the daemon may be silent at that moment because it stands still.
const REFUSALS: u32 = 3;
/// How long refusals are ignored after a doubt that proved no death.
const DISBELIEF: Duration = Duration::from_secs(1);
/// When there is no daemon to knock at, this is the time until the next check.
const NOBODY_NEAR: Duration = Duration::from_secs(1);

/// The daemons in doubt, and the next knock.
#[derive(Debug)]
pub(super) struct Deaths {
    doubts: BySeat<Option<Doubt>>,
    /// When this daemon last sent each daemon a packet that a closed port refuses.
    sent: BySeat<Instant>,
    next_knock: Instant,
    /// The daemon before this one. This daemon expects its knocks.
    before: Option<Seat>,
    /// Since when this daemon expects them.
    listening: Instant,
    /// The longest recent silence of that daemon, and its present silence.
    longest: Duration,
    lasts: Duration,
    /// The time-out for silence, as long as no recent silence makes it longer.
    believed: Duration,
    /// When the next check is due.
    due: Instant,
    dead: VecDeque<Seat>,
    /// The daemons to knock at now.
    knocks: VecDeque<(Seat, Doors)>,
    /// The daemons to ask now.
    asked: VecDeque<Seat>,
}

/// The ports of a daemon at which to knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Doors {
    /// The port on one network. The next knock takes another network. One port is enough, because a dead daemon has no port on any network.
    InTurn,
    /// The ports on all networks.
    All,
}

/// A doubt about a daemon whose port was refused or that is silent.
#[derive(Debug)]
enum Doubt {
    /// The daemon was asked.
    Asked {
        why: Why,
        /// When it was first asked.
        since: Instant,
        /// When its answer is due.
        until: Instant,
        questions: u32,
        /// The networks that have refused since the first question, and the number of refusals.
        refused: Networks,
        refusals: u32,
    },
    /// The doubt is over, because nothing proved the death. Refusals are ignored until this time.
    Dispelled(Instant),
}

/// The reason for a doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Refused,
    Silent,
}

impl Deaths {
    pub(super) fn new(table: &Table, now: Instant) -> Deaths {
        Deaths {
            doubts: BySeat::new(table.len(), |_| None),
            sent: BySeat::new(table.len(), |_| Instant::ZERO),
            next_knock: now,
            before: None,
            listening: now,
            longest: Duration::ZERO,
            lasts: Duration::ZERO,
            believed: BELIEVED_MIN,
            due: now,
            dead: VecDeque::new(),
            knocks: VecDeque::new(),
            asked: VecDeque::new(),
        }
    }

    /// The table has changed. This ends all doubts. A new refusal starts a new one.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.sent, |_| Instant::ZERO);
        self.doubts = BySeat::new(moves.to.len(), |_| None);
        self.before = None;
        self.dead.clear();
        self.knocks.clear();
        self.asked.clear();
    }

    /// Sets the time-out for silence. It becomes longer only for a daemon that is often silent for a while.
    pub(super) fn set_believed(&mut self, silence: Duration) {
        self.believed = silence.max(BELIEVED_MIN);
    }

    /// A path to a daemon works again. That daemon may be the next one to knock at.
    pub(super) fn on_company(&mut self, now: Instant) {
        self.next_knock = self.next_knock.min(now + KNOCK_INTERVAL);
        self.due = self.due.min(self.next_knock);
    }

    /// A packet for this daemon alone is sent.
    pub(super) fn on_sent(&mut self, now: Instant, to: Seat) {
        self.sent[to] = now;
    }

    /// A knock arrived. If the next knock of this daemon is due soon, it is sent now. So this daemon need not wake up for it. To wake up costs
    /// an idle daemon more than all its work.
    pub(super) fn on_knock(&mut self, now: Instant) {
        if self.next_knock < now + KNOCK_INTERVAL / 2 {
            (self.next_knock, self.due) = (now, now);
        }
    }

    /// The operating system reports that the port of a daemon is closed. As far as this daemon knows, that daemon lives.
    pub(super) fn on_refused(&mut self, now: Instant, daemon: Seat, network: NetworkId, paths: &Paths) {
        match &mut self.doubts[daemon] {
            // A firewall refuses everything. Without this pause this daemon would ask for ever.
            Some(Doubt::Dispelled(until)) if now < *until => {}
            Some(Doubt::Asked { refused, refusals, .. }) => {
                (*refused, *refusals) = (*refused | network.into(), *refusals + 1)
            }
            doubt => {
                let until = now + answer_time(Why::Refused, daemon, paths);
                let why = Why::Refused;
                let (questions, refused, refusals) = (1, Networks::NONE, 1);
                *doubt = Some(Doubt::Asked { why, since: now, until, questions, refused, refusals });
                self.ask(daemon);
                self.due = self.due.min(until);
            }
        }
    }

    /// When the next check is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Checks the daemons in doubt, and knocks if a knock is due. Returns whether a daemon is dead.
    pub(super) fn check(&mut self, now: Instant, table: &Table, paths: &mut Paths, others: &Others<'_>) -> bool {
        if now < self.due {
            return false;
        }
        if now.since(self.due) > ABSENCE {
            // This daemon stood still. Packets that arrived in this time may still wait in its socket.
            self.listening = now;
        }
        for daemon in table.others() {
            self.judge(now, daemon, table, paths, others);
        }
        self.listen(now, table, paths);
        if now >= self.next_knock {
            self.knock(now, table, paths);
        }
        let doubts = self.doubts.iter().filter_map(|doubt| match doubt {
            Some(Doubt::Asked { until, .. }) => Some(*until),
            _ => None,
        });
        self.due = doubts.chain([self.next_knock]).min().expect("there is one at least");
        !self.dead.is_empty()
    }

    /// The dead daemons that [`Deaths::poll`] has not returned yet.
    pub(super) fn dead(&self) -> impl Iterator<Item = Seat> + '_ {
        self.dead.iter().copied()
    }

    /// The next daemon that is dead.
    pub(super) fn poll(&mut self) -> Option<Seat> {
        self.dead.pop_front()
    }

    /// The next daemon to knock at.
    pub(super) fn poll_knock(&mut self) -> Option<(Seat, Doors)> {
        self.knocks.pop_front()
    }

    /// The next daemon to ask for a report.
    pub(super) fn poll_asked(&mut self) -> Option<Seat> {
        self.asked.pop_front()
    }

    fn ask(&mut self, daemon: Seat) {
        self.asked.push_back(daemon);
        self.knocks.push_back((daemon, Doors::All));
    }

    fn judge(&mut self, now: Instant, daemon: Seat, table: &Table, paths: &mut Paths, others: &Others<'_>) {
        let is_before = self.before == Some(daemon);
        let believed = is_before && self.silence(now, daemon, paths) >= self.deadly();
        let Some(Doubt::Asked { why, since, until, questions, refused, refusals }) = &mut self.doubts[daemon] else {
            return;
        };
        if now < *until {
            return;
        }
        // Any packet after the question counts, on any path.
        if paths.heard_since(daemon, *since) {
            self.doubts[daemon] = Some(Doubt::Dispelled(now + DISBELIEF));
            return;
        }
        // If this daemon stood still, the answer may wait in its own socket.
        let (sound, stood_still) = (paths.sound(daemon), now.since(*until) > ABSENCE);
        // Three cases prove nothing. A daemon that is heard only through a relay has no port here that could refuse. Without a measured round
        // trip, the daemon may not hear the question, and a relayed question takes longer. A doubt about a silent daemon lasts long, so a forged
        // refusal could arrive in time. There no refusal counts.
        let all_refuse = !sound.is_empty() && (sound - (*refused & paths.measured(daemon))).is_empty();
        let is_sure = *questions == QUESTIONS && *refusals >= REFUSALS && all_refuse;
        let is_refused = *why == Why::Refused && !stood_still && is_sure;
        // If another daemon hears the silent one, only the networks between it and this daemon have failed. After a quiet time this is not known
        // at once.
        let is_silent = *why == Why::Silent && believed && others.miss(now, daemon, table, paths);
        if is_refused || is_silent {
            self.doubts[daemon] = None;
            paths.on_death(daemon);
            self.dead.push_back(daemon);
            // The daemon after the dead one may have died too.
            self.next_knock = now;
        } else if *questions < QUESTIONS || *why == Why::Silent && is_before {
            // One question or its answer may be lost.
            (*questions, *until) = (*questions + 1, now + answer_time(*why, daemon, paths));
            self.ask(daemon);
        } else {
            self.doubts[daemon] = Some(Doubt::Dispelled(now + DISBELIEF));
        }
    }

    /// Starts a doubt about the daemon before this one if it is silent.
    fn listen(&mut self, now: Instant, table: &Table, paths: &Paths) {
        let me = table.me();
        let before = table.others().filter(|&other| other < me).rev();
        let mut round = before.chain(table.others().filter(|&other| other > me).rev());
        // The paths of a silent daemon become faulty before the time-out. So a daemon also counts if it was heard recently.
        let is_near = |other: Seat| paths.is_alive(now, other) && !paths.sound(other).is_empty();
        let before = round.find(|&other| is_near(other) || paths.was_near(now, other, LATELY));
        if before != self.before {
            (self.before, self.listening) = (before, now);
            (self.longest, self.lasts) = (Duration::ZERO, Duration::ZERO);
        }
        let Some(before) = before else { return };
        let silence = self.silence(now, before, paths);
        // A silence that still lasts must not raise its own time-out.
        let ended = if silence < self.lasts { self.lasts } else { Duration::ZERO };
        self.longest = ended.max(self.longest - self.longest / FADING);
        self.lasts = silence;
        if silence < DOUBTED.max(self.longest * LONGER / 2) {
            return;
        }
        if self.doubts[before].as_ref().is_none_or(|doubt| doubt.is_over(now)) {
            let (why, until) = (Why::Silent, now + answer_time(Why::Silent, before, paths));
            let (questions, refused, refusals) = (1, Networks::NONE, 0);
            self.doubts[before] = Some(Doubt::Asked { why, since: now, until, questions, refused, refusals });
            self.ask(before);
        }
    }

    /// How long a daemon has been silent while this one was listening.
    fn silence(&self, now: Instant, daemon: Seat, paths: &Paths) -> Duration {
        now.since(paths.last_heard(daemon).max(self.listening))
    }

    /// The time-out for silence.
    fn deadly(&self) -> Duration {
        (self.longest * LONGER).clamp(self.believed, self.believed * BELIEVED_MAX)
    }

    /// Knocks at the next living daemon, unless another packet was sent to it a moment ago.
    fn knock(&mut self, now: Instant, table: &Table, paths: &Paths) {
        let me = table.me();
        let after = table.others().filter(|&other| other > me).chain(table.others().filter(|&other| other < me));
        let Some(next) = after.into_iter().find(|&other| paths.is_alive(now, other)) else {
            self.next_knock = now + NOBODY_NEAR;
            return;
        };
        // A packet sent a moment ago replaces a knock. An earlier packet does not: the round of knocks would stop here, and the daemons after
        // this one would wake up a second time.
        if now.since(self.sent[next]) >= JUST_SENT {
            self.knocks.push_back((next, Doors::InTurn));
            self.sent[next] = now;
        }
        let leads = table.others().take_while(|&other| other < me).all(|other| !paths.is_alive(now, other));
        let slack = if leads { Duration::ZERO } else { KNOCK_SLACK };
        self.next_knock = self.sent[next] + KNOCK_INTERVAL + slack;
    }
}

/// The reports of the other daemons.
#[derive(Debug)]
pub(super) struct Others<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) reports: &'a Reports,
}

impl Others<'_> {
    /// Whether none of the living daemons reports that it hears this daemon. Returns false while the reports are uncertain.
    fn miss(&self, now: Instant, daemon: Seat, table: &Table, paths: &Paths) -> bool {
        let mut near = table.others().filter(|&other| other != daemon && paths.is_alive(now, other));
        self.reports.is_certain(now) && near.all(|other| self.matrix.hears(other, daemon).is_empty())
    }
}

impl Doubt {
    /// Whether a new doubt may start.
    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Doubt::Dispelled(until) if now >= *until)
    }
}

/// The time from one question to the next. After a refusal, all questions together take [`ANSWER_TIME`] and two round trips.
fn answer_time(why: Why, daemon: Seat, paths: &Paths) -> Duration {
    let time = ANSWER_TIME + 2 * paths.round_trip(daemon);
    match why {
        Why::Refused => time / QUESTIONS,
        Why::Silent => time,
    }
}
