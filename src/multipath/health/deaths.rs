//! Daemons that have died, as the system shows before their silence does.
//!
//! The system of a machine answers a datagram for a port that nobody has: it *refuses* it. So each daemon knocks at the port of the next
//! one that lives, round all of them, and whoever dies is found within a [`KNOCK_INTERVAL`], however large the system is. What is sent to
//! that daemon anyway is as good as a knock.
//!
//! Anybody can forge a refusal, and a firewall can make true ones. So a refusal is only a *doubt*: the daemon is asked, on all networks.
//! It is dead if it says nothing, on whatever way, and every network on which it was heard well refuses the question too. If it is heard,
//! refusals count for nothing for a while.

use std::collections::VecDeque;

use super::super::moves::Moves;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use super::ABSENCE;
use super::paths::Paths;
use crate::time::{Duration, Instant};
use crate::wire::NetworkId;

/// How often a daemon knocks at the port of the next one.
const KNOCK_INTERVAL: Duration = Duration::from_millis(60);
/// How long a daemon that is in doubt has to answer, besides the time that the way there and back takes.
const ANSWER_TIME: Duration = Duration::from_millis(20);
/// How often a daemon that does not answer is asked while some network does not refuse.
const QUESTIONS: u32 = 3;
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
        /// When it was asked first.
        since: Instant,
        /// When it should have answered.
        until: Instant,
        questions: u32,
        /// The networks that have refused since then.
        refused: Networks,
    },
    /// It is there all the same, until then.
    Dispelled(Instant),
}

impl Deaths {
    pub(super) fn new(table: &Table, now: Instant) -> Deaths {
        Deaths {
            doubts: BySeat::new(table.len(), |_| None),
            sent: BySeat::new(table.len(), |_| Instant::ZERO),
            next_knock: now,
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
        self.dead.clear();
        self.knocks.clear();
        self.asked.clear();
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
            Some(Doubt::Asked { refused, .. }) => *refused = *refused | network.into(),
            doubt => {
                let until = now + answer_time(daemon, paths);
                *doubt = Some(Doubt::Asked { since: now, until, questions: 1, refused: Networks::NONE });
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
    pub(super) fn check(&mut self, now: Instant, table: &Table, paths: &mut Paths) -> bool {
        if now < self.due {
            return false;
        }
        for daemon in table.others() {
            self.judge(now, daemon, paths);
        }
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

    fn judge(&mut self, now: Instant, daemon: Seat, paths: &mut Paths) {
        let Some(Doubt::Asked { since, until, questions, refused }) = &mut self.doubts[daemon] else { return };
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
        // A daemon that is heard through others only has no port that would be refused to this one.
        if !stood_still && !sound.is_empty() && (sound - *refused).is_empty() {
            self.doubts[daemon] = None;
            paths.on_death(daemon);
            self.dead.push_back(daemon);
            // The next one may have died with it.
            self.next_knock = now;
        } else if *questions < QUESTIONS {
            (*questions, *until) = (*questions + 1, now + answer_time(daemon, paths));
            self.ask(daemon);
        } else {
            self.doubts[daemon] = Some(Doubt::Dispelled(now + DISBELIEF));
        }
    }

    /// Knocks at the next daemon that lives, unless something else was sent to it just now.
    fn knock(&mut self, now: Instant, table: &Table, paths: &Paths) {
        let me = table.me();
        let after = table.others().filter(|&other| other > me).chain(table.others().filter(|&other| other < me));
        let Some(next) = after.into_iter().find(|&other| paths.is_alive(now, other)) else {
            self.next_knock = now + NOBODY_NEAR;
            return;
        };
        // The token that went there a moment ago was as good as a knock.
        if now.since(self.sent[next]) >= KNOCK_INTERVAL {
            self.knocks.push_back((next, Doors::InTurn));
            self.sent[next] = now;
        }
        self.next_knock = self.sent[next] + KNOCK_INTERVAL;
    }
}

/// How long this daemon may take to answer.
fn answer_time(daemon: Seat, paths: &Paths) -> Duration {
    ANSWER_TIME + 2 * paths.round_trip(daemon)
}
