//! Two hosts that claim to be the same daemon. Somebody cloned a machine with its address, name and file.
//!
//! When a daemon restarts, its new life follows the old one. A few packets of the old life may arrive late. But if packets of two lives
//! alternate for a while, there are two hosts. If both were heard, both would break every ring. So one host gives way. The rule needs no
//! agreement and gives the same result at all daemons: the life with the smaller number is heard. The other life is heard only when the first
//! one has been silent for [`SILENCE`].

use super::super::notice::Host;
use crate::time::{Duration, Instant};
use crate::wire::Incarnation;

/// Two lives that alternate, if there are any.
#[derive(Debug, Default)]
pub(super) struct Clones {
    rivals: Option<Rivals>,
    /// When the second of two hosts was last heard.
    last_two: Option<Instant>,
}

#[derive(Debug)]
struct Rivals {
    /// The host that is heard while both run.
    first: Host,
    second: Host,
    /// From this time on enough turns prove that there are two hosts.
    provable: Instant,
    last_turn: Instant,
    turns: u32,
    /// When the first host was last heard. It is `None` until two hosts are proved.
    heard: Option<Instant>,
    /// When a packet of the second host last arrived.
    spoke: Instant,
}

/// Two lives are two hosts if they alternate at least `TURNS` times over at least `LASTING`. Late packets of an earlier life do not arrive for
/// so long.
const TURNS: u32 = 8;
const LASTING: Duration = Duration::from_millis(300);
/// If two hosts were proved, but the daemons agreed on the one that gave way, this much time is enough for the next proof. Until then the ring
/// on which they agreed stands.
const LASTING_AGAIN: Duration = Duration::from_millis(100);
/// After a pause of this length the count of turns starts again.
const GAP_LIMIT: Duration = Duration::from_millis(500);
/// The host that gave way is heard when the other one has been silent for this long.
pub(in crate::multipath) const SILENCE: Duration = Duration::from_secs(5);
/// The host that gives way counts as gone after this silence. While it runs, it goes on reporting.
const GONE: Duration = Duration::from_secs(10);
/// How long the address of a daemon is unclear after there were two hosts. The daemon of one host has ended, but its machine may still answer
/// for the address.
const UNCLEAR: Duration = Duration::from_secs(600);

impl Clones {
    /// Whether a packet of this life must be dropped, because another host with this identity is heard. If `expected` is given, the other host
    /// must have been heard since then. Otherwise it counts as gone.
    pub(super) fn give_way(&mut self, now: Instant, life: Incarnation, expected: Option<Instant>) -> bool {
        let Some(rivals) = &mut self.rivals else { return false };
        let Some(heard) = rivals.heard else { return false };
        // Only packets of the first host renew this time. Otherwise the second host could never take over.
        if life == rivals.first.life {
            rivals.heard = Some(now);
        }
        let gives_way = life == rivals.second.life;
        // A ring gathers, and the first host was not heard in it. This daemon must not refuse the second host now. Otherwise it would be
        // separated from all daemons that hear the second host.
        let is_gone = gives_way && expected.is_some_and(|expected| heard < expected);
        if is_gone || now.since(heard) >= SILENCE {
            self.rivals = None;
            return false;
        }
        if gives_way {
            rivals.spoke = now;
            self.last_two = Some(now);
        }
        gives_way
    }

    /// The other daemons continue with this life. If it is the life of the host that gave way, that host is heard too from now on, until it is
    /// proved again that there are two.
    pub(super) fn follow_agreed(&mut self, now: Instant, life: Incarnation) {
        if let Some(rivals) = self.rivals.as_mut().filter(|rivals| rivals.heard.is_some() && rivals.second.life == life)
        {
            (rivals.heard, rivals.turns, rivals.provable) = (None, 0, now + LASTING_AGAIN);
        }
    }

    /// Whether two hosts are proved, and the second one was heard recently.
    pub(super) fn are_two(&self, now: Instant) -> bool {
        let two = |rivals: &&Rivals| rivals.heard.is_some() && now.since(rivals.spoke) < GONE;
        self.rivals.as_ref().filter(two).is_some()
    }

    /// Whether the address of this daemon may lead to another host. That is so for a while after there were two.
    pub(super) fn is_unclear(&self, now: Instant) -> bool {
        self.last_two.is_some_and(|last| now.since(last) < UNCLEAR)
    }

    /// A packet of this host arrived after packets of the life `before`. If the two lives differ, this is a turn: see [`Clones::take_turns`].
    pub(super) fn follow(&mut self, now: Instant, before: Option<Incarnation>, host: Host) -> Option<[Host; 2]> {
        let other = before.filter(|&before| before != host.life)?;
        self.take_turns(now, other, host)
    }

    /// A packet of one life was followed by a new packet of another life. Returns the two hosts when this first proves that there are two. The
    /// first of them is heard from now on.
    fn take_turns(&mut self, now: Instant, before: Incarnation, host: Host) -> Option<[Host; 2]> {
        // The address of the other host is not known here. It is set at that host's next turn.
        let other = Host { life: before, address: host.address };
        // The smaller life comes first. So all daemons choose the same host without any message.
        let (first, second) = if before.0 < host.life.0 { (other, host) } else { (host, other) };
        let same = |rivals: &&mut Rivals| (rivals.first.life, rivals.second.life) == (first.life, second.life);
        match self.rivals.as_mut().filter(same).filter(|rivals| now.since(rivals.last_turn) < GAP_LIMIT) {
            Some(rivals) => (rivals.turns, rivals.last_turn) = (rivals.turns + 1, now),
            None => {
                let provable = now + LASTING;
                self.rivals =
                    Some(Rivals { first, second, provable, last_turn: now, turns: 1, heard: None, spoke: now });
            }
        }
        let rivals = self.rivals.as_mut()?;
        rivals.hear(host);
        // Both the number and the time matter. A restart gives many turns within a moment, and late packets give a few turns over a long time.
        let clear = rivals.heard.is_none() && rivals.turns >= TURNS && now >= rivals.provable;
        clear.then(|| {
            (rivals.heard, rivals.spoke) = (Some(now), now);
            self.last_two = Some(now);
            [rivals.first, rivals.second]
        })
    }
}

impl Rivals {
    fn hear(&mut self, host: Host) {
        let known = if host.life == self.first.life { &mut self.first } else { &mut self.second };
        known.address = host.address.or(known.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Incarnation = Incarnation(5);
    const B: Incarnation = Incarnation(9);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn host(life: Incarnation) -> Host {
        Host { life, address: Some([10, 0, 0, life.0 as u8].into()) }
    }

    fn rivals() -> Clones {
        let mut clones = Clones::default();
        let lives = |n: u64| if n.is_multiple_of(2) { (A, B) } else { (B, A) };
        let turn = |n| clones.take_turns(at(n * 50), lives(n).0, host(lives(n).1));
        let told: Vec<_> = (0..20).filter_map(turn).collect();
        assert_eq!(told, [[host(A), host(B)]], "once, with the address of each");
        assert!(clones.are_two(at(1000)));
        clones
    }

    #[test]
    fn the_smaller_life_is_heard_and_the_other_when_that_is_silent() {
        let mut clones = rivals();
        assert!(!clones.give_way(at(1000), A, None) && clones.give_way(at(1000), B, None));
        assert!(!clones.give_way(at(5000), A, None));
        assert!(clones.give_way(at(9900), B, None), "a while ago");
        assert!(!clones.give_way(at(10_000), B, None), "silent for five seconds");
        assert!(!clones.give_way(at(10_001), B, None));
    }

    #[test]
    fn the_other_is_heard_as_soon_as_a_ring_gathers_without_the_first() {
        let mut clones = rivals();
        assert!(!clones.give_way(at(1000), A, None));
        assert!(clones.give_way(at(1400), B, Some(at(1000))), "the first one was heard since");
        assert!(!clones.give_way(at(1400), B, Some(at(1001))));
        assert!(!clones.are_two(at(1400)));
    }

    #[test]
    fn the_other_is_heard_if_the_daemons_agree_on_its_life() {
        let mut clones = rivals();
        clones.follow_agreed(at(1000), A);
        assert!(clones.give_way(at(1000), B, None));
        clones.follow_agreed(at(1000), B);
        assert!(!clones.give_way(at(1000), B, None));
        assert!(!clones.are_two(at(1000)));
        // Both still run, so it is soon proved once more, and the smaller life is heard.
        let turn = |n: u64| clones.take_turns(at(1000 + n * 10), [A, B][n as usize % 2], host([B, A][n as usize % 2]));
        let told: Vec<_> = (0..20).filter_map(turn).collect();
        assert_eq!(told, [[host(A), host(B)]]);
        assert!(clones.give_way(at(1100), B, None) && !clones.give_way(at(1099), A, None));
    }

    #[test]
    fn there_is_one_host_again_when_the_other_has_not_spoken_for_long() {
        let mut clones = rivals();
        for second in 1..30 {
            assert!(!clones.give_way(at(second * 1000), A, None));
            if second <= 5 {
                assert!(clones.give_way(at(second * 1000), B, None));
            }
            assert_eq!(clones.are_two(at(second * 1000)), second < 15, "after {second} s");
        }
    }

    #[test]
    fn the_address_stays_unclear_when_one_of_two_hosts_has_ended() {
        let mut clones = Clones::default();
        assert!(!clones.is_unclear(at(0)));
        clones = rivals();
        assert!(clones.give_way(at(1000), B, None));
        assert!(!clones.give_way(at(10_000), B, None), "the first one has ended");
        assert_eq!((clones.are_two(at(10_000)), clones.is_unclear(at(10_000))), (false, true));
        let limit = UNCLEAR.as_millis() as u64;
        assert_eq!([999, 1000].map(|millis| clones.is_unclear(at(limit + millis))), [true, false]);
    }

    #[test]
    fn late_packets_of_an_earlier_life_are_no_second_host() {
        let mut clones = Clones::default();
        for n in 0..20 {
            assert_eq!(clones.take_turns(at(n * 10), A, host(B)), None, "all within a moment");
        }
        for n in 0..20 {
            assert_eq!(clones.take_turns(at(1000 + n * 1500), A, host(B)), None, "now and then");
        }
        assert!(!clones.give_way(at(40_000), B, None));
    }
}
