//! Checks of joins: which are stale, and which no daemon can have sent.
//!
//! Ring sequences begin at a daemon's clock (microseconds since 1970) and grow by one with each ring. So no sequence is above the *horizon*, a
//! time far in the future. A forged sequence above it would use up the numbers that are left for rings.
//!
//! The clocks of daemons differ, and so do their horizons. A forger can bring one daemon to a sequence between its own horizon and those of the
//! others, who would never hear it again. So the horizon follows joins and probes that are above it, but only as fast as [`PURSUIT`] says.

use std::collections::BTreeMap;

use super::RingSettings;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Incarnation, Join};

/// The facts about other daemons that their joins have brought.
#[derive(Debug)]
pub(crate) struct Hearsay {
    /// The horizon at the start of this daemon, and the time of the start.
    horizon: u64,
    since: Instant,
    /// When the horizon last followed a packet.
    followed: Option<Instant>,
    /// The life and the ring sequence in the last join of each.
    last: BTreeMap<DaemonId, (Incarnation, u64)>,
    farewells: BTreeMap<DaemonId, (Incarnation, Farewell)>,
}

/// How fast the horizon follows joins and probes that are above it, as a multiple of the time that passes: a year in four seconds. A forger
/// who keeps it moving needs three days to use up all numbers.
const PURSUIT: u64 = 1 << 23;
/// The most time that the horizon makes up for with one packet. So it reaches clocks that are three months ahead at once.
const PURSUIT_PAUSE: Duration = Duration::from_secs(1);

/// The verdict on a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is news.
    News,
    /// It was overtaken by a later one, or by a later life.
    Stale,
    /// No daemon says this.
    Impossible,
    /// It names daemons that may not be members: its sender has another membership table, for a moment.
    OtherTable,
    /// The life says farewell again, though it did not go the last time.
    FalseFarewell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Said,
    Disproved,
}

impl Hearsay {
    /// Nothing was heard yet.
    pub(crate) fn new(config: &RingSettings, now: Instant) -> Hearsay {
        let horizon = config.sequence_horizon;
        Hearsay { horizon, since: now, followed: None, last: BTreeMap::new(), farewells: BTreeMap::new() }
    }

    /// The largest ring sequence that may be believed at this time.
    pub(crate) fn horizon(&self, now: Instant) -> u64 {
        let passed = now.since(self.since).as_micros();
        self.horizon.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Whether a sequence in a join or a probe is believed: up to the horizon, which moves towards those above it, or up to `near`.
    pub(crate) fn believes(&mut self, now: Instant, near: u64, sequence: u64) -> bool {
        let horizon = self.horizon(now);
        if sequence > horizon.max(near) && sequence <= RingSettings::SEQUENCE_MAX {
            let pause = self.followed.map_or(PURSUIT_PAUSE, |followed| now.since(followed).min(PURSUIT_PAUSE));
            self.followed = Some(now);
            self.horizon += (pause.as_micros() as u64 * PURSUIT).min(sequence - horizon);
        }
        sequence <= self.horizon(now).max(near)
    }

    /// Judges a join from `from`. The membership table has these daemons, and a sequence up to `near` is believed whatever the horizon is.
    /// A join that is news is remembered.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        daemons: &[DaemonId],
        near: u64,
        from: DaemonId,
        join: &Join,
    ) -> Worth {
        let known = join.present.iter().all(|daemon| daemons.contains(daemon));
        // A daemon counts itself as present, and gives up only daemons that it has named as present.
        let sound = join.origin == from
            && join.present.contains(&from)
            && !join.failed.contains(&from)
            && join.failed.is_subset(&join.present);
        if !sound || !self.believes(now, near, join.sequence) {
            return Worth::Impossible;
        }
        if !known {
            return Worth::OtherTable;
        }
        if join.leaving { self.judge_farewell(join) } else { self.judge_join(join) }
    }

    fn judge_join(&mut self, join: &Join) -> Worth {
        let last = self.last.entry(join.origin).or_insert((join.incarnation, join.sequence));
        if last.0 == join.incarnation && join.sequence < last.1 {
            return Worth::Stale;
        }
        *last = (join.incarnation, join.sequence);
        if let Some((life, farewell)) =
            self.farewells.get_mut(&join.origin).filter(|(life, _)| *life == join.incarnation)
        {
            // A life that has said farewell does not come back, so the farewell was forged. No other one of this life is believed.
            tracing::debug!(origin = %join.origin, ?life, "a join after a farewell of the same life; the farewell was forged");
            *farewell = Farewell::Disproved;
        }
        Worth::News
    }

    fn judge_farewell(&mut self, join: &Join) -> Worth {
        if self.last.get(&join.origin).is_some_and(|last| last.0 != join.incarnation || last.1 > join.sequence) {
            return Worth::Stale;
        }
        match self.farewells.get(&join.origin) {
            Some((life, Farewell::Disproved)) if *life == join.incarnation => Worth::FalseFarewell,
            _ => {
                self.farewells.insert(join.origin, (join.incarnation, Farewell::Said));
                Worth::News
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);

    fn join(life: u64, sequence: u64) -> Join {
        let (present, failed) = ([A, B].into(), Default::default());
        Join { origin: B, incarnation: Incarnation(life), sequence, leaving: false, present, failed }
    }

    fn farewell(life: u64, sequence: u64) -> Join {
        Join { leaving: true, present: [B].into(), ..join(life, sequence) }
    }

    struct Ear(Hearsay);

    impl Ear {
        fn new() -> Ear {
            let mut config = RingSettings::new(A, Incarnation(1), vec![A, B]);
            config.sequence_horizon = 1000;
            Ear(Hearsay::new(&config, Instant::ZERO))
        }

        fn hear(&mut self, join: Join) -> Worth {
            self.judge(Instant::ZERO, join)
        }

        fn judge(&mut self, now: Instant, join: Join) -> Worth {
            self.0.judge(now, &[A, B], 0, B, &join)
        }
    }

    #[test]
    fn a_join_that_was_overtaken_is_stale() {
        let mut ear = Ear::new();
        let heard = [join(1, 5), join(1, 4), join(1, 5), join(2, 3), join(1, 5)].map(|join| ear.hear(join));
        assert_eq!(heard, [Worth::News, Worth::Stale, Worth::News, Worth::News, Worth::News]);
    }

    #[test]
    fn the_horizon_moves_with_time_and_follows_joins_at_its_own_pace() {
        let mut ear = Ear::new();
        assert_eq!(ear.0.horizon(Instant::ZERO + Duration::from_millis(2)), 3000);
        let (at_once, day) = (PURSUIT * 1_000_000, 86_400_000_000);
        let month = 30 * day;
        assert!(at_once > month);
        assert_eq!(ear.hear(join(1, 1000 + month)), Worth::News, "a clock that is a month ahead");
        assert_eq!(ear.0.horizon(Instant::ZERO), 1000 + month, "it follows no further than the join is");
        let year = 365 * day;
        let mut late = Instant::ZERO + Duration::from_millis(30);
        assert_eq!(ear.judge(late, join(1, year)), Worth::Impossible, "a clock that is a year ahead");
        let reached = ear.0.horizon(late);
        assert_eq!(reached, 1000 + month + 30_000 * (PURSUIT + 1));
        assert_eq!(ear.judge(late, join(1, year)), Worth::Impossible);
        assert_eq!(ear.0.horizon(late), reached, "more joins make it no faster");
        late += Duration::from_secs(60);
        assert_eq!(ear.judge(late, join(1, year)), Worth::Impossible);
        assert_eq!(ear.0.horizon(late), reached + at_once + 60_000_000, "time without such joins counts little");
        while ear.judge(late, join(1, year)) == Worth::Impossible {
            late += Duration::from_millis(30);
        }
        assert!(late < Instant::ZERO + Duration::from_secs(60 + 4), "{late:?}");
    }

    #[test]
    fn the_horizon_follows_no_join_that_nobody_sends_nor_one_that_leaves_no_room_to_count() {
        let mut ear = Ear::new();
        for lie in [
            join(1, RingSettings::SEQUENCE_MAX + 1),
            Join { failed: [A].into(), present: [B].into(), ..join(1, 5000) },
            Join { origin: A, ..join(1, 5000) },
        ] {
            assert_eq!(ear.hear(lie), Worth::Impossible);
        }
        assert_eq!(ear.0.horizon(Instant::ZERO), 1000);
    }

    #[test]
    fn what_no_daemon_says_is_impossible() {
        let mut ear = Ear::new();
        for lie in [
            Join { present: [A].into(), ..join(1, 5) },
            Join { failed: [B].into(), ..join(1, 5) },
            Join { present: [B].into(), failed: [A].into(), ..join(1, 5) },
            Join { origin: A, ..join(1, 5) },
        ] {
            assert_eq!(ear.hear(lie), Worth::Impossible);
        }
        assert_eq!(ear.hear(Join { present: [A, B, DaemonId(3)].into(), ..join(1, 5) }), Worth::OtherTable);
    }

    #[test]
    fn a_life_says_goodbye_once() {
        let mut ear = Ear::new();
        assert_eq!(ear.hear(join(1, 5)), Worth::News);
        assert_eq!(ear.hear(farewell(2, 5)), Worth::Stale, "nobody has heard of that life");
        assert_eq!(ear.hear(farewell(1, 5)), Worth::News);
        assert_eq!(ear.hear(farewell(1, 5)), Worth::News, "a copy");
        assert_eq!(ear.hear(join(1, 6)), Worth::News, "it is still here");
        assert_eq!(ear.hear(farewell(1, 6)), Worth::FalseFarewell);
        assert_eq!(ear.hear(join(2, 6)), Worth::News);
        assert_eq!(ear.hear(farewell(2, 6)), Worth::News, "the next life may go");
    }
}
