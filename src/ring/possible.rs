//! Compares what a packet says with what can have happened.
//!
//! Without a key anybody can write a packet in a member's name. Whatever it says, no daemon may stop, hang or hold memory without bound
//! because of it. So a token or data packet is taken only if the ring can have led to it. If two of them contradict each other, one is
//! forged. This daemon cannot know which, so it gathers, and the next ring begins with a clean slate.

use super::circulation::Circulation;
use super::core::Core;
use super::window::SPAN_LIMIT;
use crate::wire::{DaemonId, Data, Rest, Token};

/// The verdict on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    Next,
    /// A copy of one that was here, or of another ring.
    Old,
    /// The ring cannot have led to it.
    Impossible,
    /// It contradicts what came before; one of the two is a lie.
    Contradiction,
}

impl Circulation {
    /// Judges a token that came from `from`, before anything is done with it.
    pub(crate) fn judge(&self, from: DaemonId, token: &Token) -> Verdict {
        if token.ring != self.ring {
            return Verdict::Old;
        }
        // A copy is compared before anything else: a true one is common, and leads to nothing.
        if token.hop <= self.hop {
            return self.judge_copy(from, token);
        }
        // Only the predecessor passes the token to this daemon, and each visit is one rotation after the last one.
        let possible = from == self.predecessor
            && self.expected_hop() == Some(token.hop)
            && self.is_possible_order(token)
            && [token.aru_by, token.owing_by].iter().flatten().all(|daemon| self.members.contains(daemon))
            && usize::from(token.backlogged) <= self.members.len();
        match possible {
            // A number above the token's was used. Either that packet or this token is forged.
            true if token.seq < self.window.high() => Verdict::Contradiction,
            true => Verdict::Next,
            false => Verdict::Impossible,
        }
    }

    /// The number up to which packets can have been numbered by now.
    pub(crate) fn numbered(&self) -> u64 {
        match &self.accepted {
            // While the token is here, nobody else numbers anything, and what is numbered here is here.
            Some(accepted) if accepted.hop == self.hop => accepted.seq.max(self.window.high()),
            // The allowance lets nobody number beyond half of the span.
            _ => self.known_seq() + SPAN_LIMIT / 2,
        }
    }

    /// Whether this data packet of the ring can be a true one.
    pub(crate) fn is_possible_data(&self, data: &Data) -> bool {
        data.is_numbered() && data.seq <= self.numbered()
    }

    /// Whether this packet is forged in the name of this daemon: it is not here, but a daemon keeps all packets that it makes.
    pub(crate) fn is_false_self(&self, core: &Core, data: &Data) -> bool {
        data.origin == core.me() && self.window.is_missing(data.seq)
    }

    /// A token that was sent again is the same but for the hop at which it was delayed.
    fn judge_copy(&self, from: DaemonId, token: &Token) -> Verdict {
        let before = self.accepted.as_ref().filter(|before| before.hop == token.hop && from == self.predecessor);
        let same = |before: &Token| Token { delayed: before.delayed, ..token.clone() } == *before;
        if before.is_none_or(same) { Verdict::Old } else { Verdict::Contradiction }
    }

    /// The token visits every member once in a rotation. `None`: only this daemon can make it.
    fn expected_hop(&self) -> Option<u64> {
        let members = self.members.len() as u64;
        match &self.passed {
            Some(passed) => Some(passed.hop + members - 1),
            None => self.distance().filter(|&distance| distance > 0).map(|distance| self.began + 1 + distance),
        }
    }

    /// How many members away from the representative this daemon is, in the direction of the token.
    fn distance(&self) -> Option<u64> {
        let place = |daemon| self.members.iter().position(|&member| member == daemon);
        let (first, me) = (place(self.ring.representative)?, place(self.predecessor)? + 1);
        Some(((me + self.members.len() - first) % self.members.len()) as u64)
    }

    /// Whether the token's numbers, aru and barrier are possible after those that it had here last.
    fn is_possible_order(&self, token: &Token) -> bool {
        // `sent` counts the numbers of one rotation, so the two must agree.
        let since_last_visit = token.seq.checked_sub(self.accepted.as_ref().map_or(self.began, |token| token.seq));
        let seq = self.passed_seq();
        let (barrier, handed) = self.passed.as_ref().map_or((0, 0), |passed| (passed.barrier, passed.handed));
        // Only the member that lowered aru raises it.
        let aru_limit = self.passed.as_ref().filter(|passed| passed.aru_by == Some(self.me)).map(|passed| passed.aru);
        (seq..=self.known_seq() + SPAN_LIMIT / 2).contains(&token.seq)
            && since_last_visit == Some(u64::from(token.sent))
            && token.barrier >= barrier
            && token.handed >= handed
            && token.aru_by.is_none() == (token.aru == token.seq)
            && aru_limit.is_none_or(|limit| token.aru <= limit)
    }

    /// Judges a packet that says that the token rests at `from`, before anything is done with it. The token has passed this daemon, so its
    /// hop at every other member is known.
    pub(crate) fn judge_rest(&self, from: DaemonId, heard: (u64, u64), rest: &Rest) -> Verdict {
        let (Some(passed), Some(distance)) = (&self.passed, self.distance_to(from)) else { return Verdict::Old };
        if rest.ring != self.ring || (rest.hop, rest.count) < heard {
            return Verdict::Old;
        }
        let there = passed.hop + distance - 1;
        // The token has come here since, so it has left whatever place this packet names.
        let is_here = self.hop > passed.hop;
        match rest.hop {
            hop if hop < there || is_here && hop <= self.hop => Verdict::Old,
            hop if hop > there => Verdict::Impossible,
            _ if rest.seq < passed.seq || rest.seq > self.known_seq() + SPAN_LIMIT / 2 => Verdict::Impossible,
            // It says that everybody has a packet that this daemon lacks.
            _ if rest.safe > self.window.aru() => Verdict::Contradiction,
            _ => Verdict::Next,
        }
    }

    /// How many members away another one is, in the direction of the token.
    fn distance_to(&self, other: DaemonId) -> Option<u64> {
        let place = |daemon| self.members.iter().position(|&member| member == daemon);
        let (me, other) = (place(self.me)?, place(other)?);
        Some(((other + self.members.len() - me) % self.members.len()) as u64).filter(|&distance| distance > 0)
    }

    /// A number that has been given out for certain, whatever anybody says.
    fn known_seq(&self) -> u64 {
        self.passed_seq().max(self.safe)
    }

    /// The highest number given out when the token left this daemon.
    fn passed_seq(&self) -> u64 {
        self.passed.as_ref().map_or(self.began, |passed| passed.seq)
    }
}
