//! Daemons that have died, as the system shows before their silence does.
//!
//! The system of a machine answers a datagram for a port that nobody has: it *refuses* it. So each daemon knocks at the port of the next
//! one that lives, round all of them, and whoever dies is found within a [`KNOCK_INTERVAL`], however large the system is. What is sent to
//! that daemon anyway is as good as a knock.
//!
//! Anybody can forge a refusal, and a firewall can make true ones. So a refusal is only a *doubt*: the daemon is asked, on all networks.
//! It is dead if it says nothing, on whatever way, and every network on which it was heard well refuses the question too. If it is heard,
//! refusals count for nothing for a while.
//!
//! A daemon that is stopped, or whose machine is cut off, refuses nothing. But it does not knock either. So a daemon that has missed two
//! knocks of the one before it asks that one. It takes it for gone when the silence is four times as long as the longest of late, and no
//! other daemon reports that it hears it.

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

/// How often a daemon knocks at the port of the next one.
const KNOCK_INTERVAL: Duration = Duration::from_millis(60);
/// All daemons but the first wait this much longer. So the knock of the first one goes round, and each is woken once.
const KNOCK_SLACK: Duration = Duration::from_millis(10);
/// What was sent so shortly before a knock is due takes its place.
const JUST_SENT: Duration = Duration::from_millis(15);
/// A silence of the daemon before this one that makes a doubt: two of its knocks are missing.
const DOUBTED: Duration = Duration::from_millis(130);
/// No shorter silence is believed, whatever was set: a busy machine lets a daemon wait for a good part of it.
const BELIEVED_MIN: Duration = Duration::from_millis(300);
/// A silence is believed that lasts so many times as long as the longest of late; but at most so many times as long as was set.
const LONGER: u32 = 4;
const BELIEVED_MAX: u32 = 3;
/// At each check this part of the longest silence is forgotten.
const FADING: u32 = 32;
/// How long after its last word a daemon is the one before this one.
const LATELY: Duration = Duration::from_secs(2);
/// How long a daemon that is in doubt has to answer, besides the time that the way there and back takes.
const ANSWER_TIME: Duration = Duration::from_millis(20);
/// How often a daemon is asked that was refused.
const QUESTIONS: u32 = 3;
/// How many refusals a death takes: the first one, and one for each question, of which one may be lost. Fewer may be stray, and the daemon
/// may be silent at that moment because it stands still.
const REFUSALS: u32 = 3;
/// How long refusals count for nothing after a daemon was heard all the same.
const DISBELIEF: Duration = Duration::from_secs(1);
/// When nobody is to be knocked at, how long until that may be otherwise.
const NOBODY_NEAR: Duration = Duration::from_secs(1);

/// The daemons whose ports are refused, and the next one to knock at.
#[derive(Debug)]
pub(super) struct Deaths {
    doubts: BySeat<Option<Doubt>>,
    /// When each daemon was sent something that a closed port refuses.
    sent: BySeat<Instant>,
    next_knock: Instant,
    /// The daemon before this one, whose knocks are expected.
    before: Option<Seat>,
    /// Since when they are.
    listening: Instant,
    /// How long it was silent at most, of late, and how long it is by now.
    longest: Duration,
    lasts: Duration,
    /// The silence that is believed, if there was none as long of late.
    believed: Duration,
    /// When to look next.
    due: Instant,
    dead: VecDeque<Seat>,
    /// The daemons to knock at now.
    knocks: VecDeque<(Seat, Doors)>,
    /// The daemons to ask now.
    asked: VecDeque<Seat>,
}

/// At which of a daemon's ports to knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Doors {
    /// That on one network, the next time that on another one: a daemon that is dead has none.
    InTurn,
    /// All of them.
    All,
}

/// The doubt about a daemon whose port was refused.
#[derive(Debug)]
enum Doubt {
    /// It was asked.
    Asked {
        why: Why,
        /// When it was asked first.
        since: Instant,
        /// When it should have answered.
        until: Instant,
        questions: u32,
        /// The networks that have refused since then, and how often anything was refused.
        refused: Networks,
        refusals: u32,
    },
    /// It is there all the same, until then.
    Dispelled(Instant),
}

/// Why a daemon is doubted.
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

    /// The table is another one. A daemon in doubt is asked again if it is refused again.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.sent, |_| Instant::ZERO);
        self.doubts = BySeat::new(moves.to.len(), |_| None);
        self.before = None;
        self.dead.clear();
        self.knocks.clear();
        self.asked.clear();
    }

    /// Takes a daemon for gone that is silent so long, and longer only where silences are usual.
    pub(super) fn set_believed(&mut self, silence: Duration) {
        self.believed = silence.max(BELIEVED_MIN);
    }

    /// A daemon that was silent is heard: it may be the next one.
    pub(super) fn on_company(&mut self, now: Instant) {
        self.next_knock = self.next_knock.min(now + KNOCK_INTERVAL);
        self.due = self.due.min(self.next_knock);
    }

    /// A packet leaves for this daemon alone.
    pub(super) fn on_sent(&mut self, now: Instant, to: Seat) {
        self.sent[to] = now;
    }

    /// Somebody knocks. If this daemon is about to knock too, it does it now, and need not wake up for it: to be woken costs an idle daemon
    /// more than all that it does.
    pub(super) fn on_knock(&mut self, now: Instant) {
        if self.next_knock < now + KNOCK_INTERVAL / 2 {
            (self.next_knock, self.due) = (now, now);
        }
    }

    /// The system says that nobody has the port of a daemon that lives, as far as is known.
    pub(super) fn on_refused(&mut self, now: Instant, daemon: Seat, network: NetworkId, paths: &Paths) {
        match &mut self.doubts[daemon] {
            // A firewall refuses everything, so without this pause the daemon would be asked for ever.
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

    /// When to look next.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Judges the daemons in doubt, and knocks, if it is time to. Returns whether a daemon is dead.
    pub(super) fn check(&mut self, now: Instant, table: &Table, paths: &mut Paths, others: &Others<'_>) -> bool {
        if now < self.due {
            return false;
        }
        if now.since(self.due) > ABSENCE {
            // This daemon stood still, and what was said meanwhile may wait to be read.
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

    /// Those who are dead and were not taken yet.
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
        // Any word after the question counts, on whatever way.
        if paths.heard_since(daemon, *since) {
            self.doubts[daemon] = Some(Doubt::Dispelled(now + DISBELIEF));
            return;
        }
        // If this daemon stood still, the answer may wait in its own socket.
        let (sound, stood_still) = (paths.sound(daemon), now.since(*until) > ABSENCE);
        // A daemon that is heard through others only has no port that would be refused to this one. Where no round trip was measured it may
        // not hear the question, and a relayed one takes longer. In a long doubt a forged refusal would come in time, so none counts.
        let all_refuse = !sound.is_empty() && (sound - (*refused & paths.measured(daemon))).is_empty();
        let is_sure = *questions == QUESTIONS && *refusals >= REFUSALS && all_refuse;
        let is_refused = *why == Why::Refused && !stood_still && is_sure;
        // A daemon that another one hears has lost its networks to this one only. After a quiet time that is not known at once.
        let is_silent = *why == Why::Silent && believed && others.miss(now, daemon, table, paths);
        if is_refused || is_silent {
            self.doubts[daemon] = None;
            paths.on_death(daemon);
            self.dead.push_back(daemon);
            // The next one may have died with it.
            self.next_knock = now;
        } else if *questions < QUESTIONS || *why == Why::Silent && is_before {
            // One question alone, or its answer, may be lost.
            (*questions, *until) = (*questions + 1, now + answer_time(*why, daemon, paths));
            self.ask(daemon);
        } else {
            self.doubts[daemon] = Some(Doubt::Dispelled(now + DISBELIEF));
        }
    }

    /// Doubts the daemon before this one if it is silent.
    fn listen(&mut self, now: Instant, table: &Table, paths: &Paths) {
        let me = table.me();
        let before = table.others().filter(|&other| other < me).rev();
        let mut round = before.chain(table.others().filter(|&other| other > me).rev());
        // Its paths become faulty before its silence is believed. So what was heard of it lately counts too.
        let is_near = |other: Seat| paths.is_alive(now, other) && !paths.sound(other).is_empty();
        let before = round.find(|&other| is_near(other) || paths.was_near(now, other, LATELY));
        if before != self.before {
            (self.before, self.listening) = (before, now);
            (self.longest, self.lasts) = (Duration::ZERO, Duration::ZERO);
        }
        let Some(before) = before else { return };
        let silence = self.silence(now, before, paths);
        // A silence that goes on must not raise its own limit.
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

    /// How long a daemon has said nothing while this one listened.
    fn silence(&self, now: Instant, daemon: Seat, paths: &Paths) -> Duration {
        now.since(paths.last_heard(daemon).max(self.listening))
    }

    /// The silence that is believed.
    fn deadly(&self) -> Duration {
        (self.longest * LONGER).clamp(self.believed, self.believed * BELIEVED_MAX)
    }

    /// Knocks at the next daemon that lives, unless something else was sent to it just now.
    fn knock(&mut self, now: Instant, table: &Table, paths: &Paths) {
        let me = table.me();
        let after = table.others().filter(|&other| other > me).chain(table.others().filter(|&other| other < me));
        let Some(next) = after.into_iter().find(|&other| paths.is_alive(now, other)) else {
            self.next_knock = now + NOBODY_NEAR;
            return;
        };
        // What went there a moment ago was as good as a knock. Not what went there earlier: the round of knocks would stop here, and the
        // daemons behind would be woken a second time.
        if now.since(self.sent[next]) >= JUST_SENT {
            self.knocks.push_back((next, Doors::InTurn));
            self.sent[next] = now;
        }
        let leads = table.others().take_while(|&other| other < me).all(|other| !paths.is_alive(now, other));
        let slack = if leads { Duration::ZERO } else { KNOCK_SLACK };
        self.next_knock = self.sent[next] + KNOCK_INTERVAL + slack;
    }
}

/// What the others report.
#[derive(Debug)]
pub(super) struct Others<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) reports: &'a Reports,
}

impl Others<'_> {
    /// Whether none of those that are heard hears this daemon, as far as that is known by now.
    fn miss(&self, now: Instant, daemon: Seat, table: &Table, paths: &Paths) -> bool {
        let mut near = table.others().filter(|&other| other != daemon && paths.is_alive(now, other));
        self.reports.is_certain(now) && near.all(|other| self.matrix.hears(other, daemon).is_empty())
    }
}

impl Doubt {
    /// Whether there is reason for a new one.
    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Doubt::Dispelled(until) if now >= *until)
    }
}

/// How long after a question the next one is due. All that follow a refusal together take [`ANSWER_TIME`].
fn answer_time(why: Why, daemon: Seat, paths: &Paths) -> Duration {
    let time = ANSWER_TIME + 2 * paths.round_trip(daemon);
    match why {
        Why::Refused => time / QUESTIONS,
        Why::Silent => time,
    }
}
