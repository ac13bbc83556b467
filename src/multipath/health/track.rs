//! The history of one path: another daemon, heard over one network.
//!
//! Only packets that came directly count. A successful send proves nothing. Every daemon sends several reports within the silence that makes a
//! path faulty. So silence on one network is a fault of that network if the daemon is heard elsewhere. Loss of more than half of the reports is
//! a fault too. After a fault the path is on probation until [`PROBATION`] reports in a row have arrived on it. The number doubles with each
//! further recent fault. So a path that fails again and again stays on probation longer each time, up to a limit. A good path is soon forgiven.
//!
//! A path that is not healthy does not stop: packets may still be sent on it, and are received on it. A false alarm costs only some copies.

use std::fmt;

use super::Copied;
use crate::time::{Duration, Instant};

/// The state of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Heard well.
    Healthy,
    /// Heard again after a fault, or heard with heavy loss. The path must prove that it works steadily.
    Probation,
    /// Silent here, but the daemon is heard elsewhere.
    Faulty,
    /// The daemon is not heard at all.
    Silent,
    /// The other daemon has switched the network off.
    Off,
}

impl fmt::Display for PathState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathState::Healthy => "healthy",
            PathState::Probation => "probation",
            PathState::Faulty => "faulty",
            PathState::Silent => "silent",
            PathState::Off => "off",
        })
    }
}

/// What this daemon knows about one path.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) state: PathState,
    /// When it entered this state.
    pub(super) since: Instant,
    /// The number of packets that arrived on it, and of those whose first copy arrived on it.
    pub(super) heard: u64,
    pub(super) first: u64,
    /// The other daemon's clock in its last report here, and when that report arrived.
    pub(super) echo: Option<(u32, Instant)>,
    pub(super) round_trip: Option<Duration>,
    /// The loss of our reports at the other daemon on this network, in per cent.
    pub(super) loss_there: Option<u8>,
    /// When a packet last arrived.
    pub(super) last: Option<Instant>,
    numbers: Numbers,
    /// The number of reports in a row since the last fault or gap.
    run: u32,
    strikes: u32,
    /// When a strike was last added or forgiven.
    struck: Instant,
}

/// Facts about the other daemon that do not depend on the path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vantage {
    /// The silence that counts as a fault.
    pub(super) silence: Duration,
    /// When the daemon was last heard, on any path or through a relay. It is `None` if that is too long ago.
    pub(super) heard: Option<Instant>,
    /// Since when it has been heard.
    pub(super) present: Instant,
    /// Since when it has reported often enough for this silence to count.
    pub(super) paced: Instant,
    /// The number of its newest report.
    pub(super) newest: u64,
    /// It has switched this network off.
    pub(super) off: bool,
}

/// The number of reports in a row that end the first probation.
const PROBATION: u32 = 3;
/// Strikes above this limit do not make the probation longer.
const STRIKE_LIMIT: u32 = 5;
/// A strike is forgiven after this long in the healthy state.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10);
/// The number of reports over which loss is measured. One of them is one per cent.
const METERED: u32 = 100;
/// Heavy loss is judged over the last `JUDGED` reports. The path has heavy loss if more than `TOO_MANY` of them are missing.
const JUDGED: u32 = 16;
const TOO_MANY: u32 = 8;

impl Track {
    pub(super) fn new() -> Track {
        Track {
            state: PathState::Silent,
            since: Instant::ZERO,
            heard: 0,
            first: 0,
            echo: None,
            round_trip: None,
            loss_there: None,
            last: None,
            numbers: Numbers::default(),
            run: 0,
            strikes: 0,
            struck: Instant::ZERO,
        }
    }

    /// A track for a network that was added now.
    pub(super) fn since(now: Instant) -> Track {
        Track { since: now, ..Track::new() }
    }

    /// A packet arrived. Returns whether the state changed.
    pub(super) fn on_packet(&mut self, now: Instant, copied: Copied) -> bool {
        self.last = Some(now);
        self.heard += 1;
        self.first += u64::from(copied == Copied::First);
        match self.state {
            PathState::Healthy | PathState::Probation | PathState::Off => false,
            // The daemon was not heard on any network. So this network was not at fault, and it has nothing to prove.
            PathState::Silent => self.enter(now, PathState::Healthy),
            PathState::Faulty => self.enter(now, PathState::Probation),
        }
    }

    /// A report arrived. Returns whether the state changed.
    pub(super) fn on_report(&mut self, now: Instant, number: u64, clock: u32) -> bool {
        match self.numbers.record(number) {
            // A copy, or a report that a newer one overtook. It says nothing about the latest reports.
            Place::Old => return false,
            Place::Next => self.run += 1,
            // This report arrived, so the new run begins with it.
            Place::Gap => self.run = 1,
        }
        self.echo = Some((clock, now));
        self.state == PathState::Probation && self.run >= self.probation() && self.enter(now, PathState::Healthy)
    }

    /// The highest number of a report that arrived here, or 0.
    pub(super) fn highest(&self) -> u64 {
        self.numbers.highest
    }

    /// The daemon numbers its reports from the start, or a number was forged.
    pub(super) fn forget_numbers(&mut self) {
        (self.numbers, self.echo) = (Numbers::default(), None);
    }

    /// Time has passed. Returns whether the state changed.
    pub(super) fn check(&mut self, now: Instant, vantage: &Vantage) -> bool {
        // If the daemon is not heard at all, this network is not at fault.
        let Some(heard) = vantage.heard else { return self.enter(now, PathState::Silent) };
        if vantage.off {
            return self.enter(now, PathState::Off);
        }
        // Silence counts only from the time when the daemon began to report at this interval.
        let last = self.last.unwrap_or_default().max(vantage.paced);
        match self.state {
            PathState::Off => self.enter(now, PathState::Silent),
            // The daemon is heard elsewhere, and there was enough time to hear it here.
            PathState::Silent if now.since(self.since.max(vantage.present).max(vantage.paced)) > vantage.silence => {
                self.enter(now, PathState::Faulty)
            }
            // If all paths stopped at the same time, the daemon has stopped. No path is at fault.
            PathState::Healthy | PathState::Probation
                if now.since(last) > vantage.silence && heard.since(last) > vantage.silence / 2 =>
            {
                self.strike(now);
                self.enter(now, PathState::Faulty)
            }
            // The newest report does not count, because it may still be on its way.
            PathState::Healthy if self.numbers.missing(vantage.newest.saturating_sub(1), JUDGED).0 > TOO_MANY => {
                self.strike(now);
                self.enter(now, PathState::Probation)
            }
            PathState::Healthy => {
                if self.strikes > 0 && now.since(self.struck) >= FORGIVEN_AFTER {
                    // One strike at a time. So a path that failed often stays under suspicion for long.
                    (self.strikes, self.struck) = (self.strikes - 1, now);
                }
                false
            }
            PathState::Silent | PathState::Probation | PathState::Faulty => false,
        }
    }

    /// The loss among the latest reports, in per cent. `newest` is the newest report that arrived on any path.
    pub(super) fn loss(&self, newest: u64) -> Option<u8> {
        let (missing, of) = self.numbers.missing(newest.saturating_sub(1), METERED);
        (of > 0).then(|| (missing * 100).div_ceil(of) as u8)
    }

    /// A round trip was measured.
    pub(super) fn on_round_trip(&mut self, measured: Duration) {
        self.round_trip = Some(self.round_trip.map_or(measured, |before| (before * 7 + measured) / 8));
    }

    fn probation(&self) -> u32 {
        // The length doubles with each strike after the first. So a path that fails again and again stays on probation longer each time.
        PROBATION << self.strikes.saturating_sub(1)
    }

    fn strike(&mut self, now: Instant) {
        // Only a healthy path gets a strike. So one fault gives one strike, however often it shows.
        if self.state == PathState::Healthy {
            (self.strikes, self.struck) = ((self.strikes + 1).min(STRIKE_LIMIT), now);
        }
    }

    fn enter(&mut self, now: Instant, state: PathState) -> bool {
        if self.state == state {
            return false;
        }
        (self.state, self.since, self.run) = (state, now, 0);
        true
    }
}

/// Which of the last reports arrived.
#[derive(Clone, Debug, Default)]
struct Numbers {
    /// The number of the first report that arrived, or 0 before that.
    first: u64,
    highest: u64,
    /// One bit for each report. The lowest bit is the highest number.
    bits: u128,
}

/// The place of a report among those that arrived.
enum Place {
    Next,
    Gap,
    Old,
}

impl Numbers {
    fn record(&mut self, number: u64) -> Place {
        if self.first == 0 {
            *self = Numbers { first: number, highest: number, bits: 1 };
            return Place::Gap;
        }
        if number <= self.highest {
            let back = self.highest - number;
            self.bits |= u32::try_from(back).ok().and_then(|back| 1_u128.checked_shl(back)).unwrap_or(0);
            return Place::Old;
        }
        let step = number - self.highest;
        self.bits = shl(self.bits, step) | 1;
        self.highest = number;
        if step == 1 { Place::Next } else { Place::Gap }
    }

    /// How many of the last reports up to `newest` are missing, and how many were counted.
    fn missing(&self, newest: u64, count: u32) -> (u32, u32) {
        if self.first == 0 || newest < self.first {
            return (0, 0);
        }
        // Reports whose bits were shifted out are unknown, so they are not counted.
        let (bits, known) = match newest.checked_sub(self.highest) {
            Some(behind) => (shl(self.bits, behind), u64::from(u128::BITS)),
            None => {
                let ahead = (self.highest - newest).min(u64::from(u128::BITS) - 1);
                (self.bits >> ahead, u64::from(u128::BITS) - ahead)
            }
        };
        let of = u64::from(count).min(newest - self.first + 1).min(known) as u32;
        let asked = u128::MAX >> (u128::BITS - of);
        (of - (bits & asked).count_ones(), of)
    }
}

fn shl(bits: u128, by: u64) -> u128 {
    if by < u64::from(u128::BITS) { bits << by } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SILENCE: Duration = Duration::from_millis(200);

    /// A path on which a report arrives every 50 ms, unless the test drops it.
    struct Story {
        track: Track,
        millis: u64,
        number: u64,
    }

    impl Story {
        fn new() -> Story {
            Story { track: Track::new(), millis: 1000, number: 0 }
        }

        /// Lets `count` intervals pass. `comes` says whether the report of an interval arrives on this path. All reports arrive on another path.
        fn pass(&mut self, count: u32, comes: impl Fn(u32) -> bool) -> PathState {
            for n in 0..count {
                self.millis += 50;
                self.number += 1;
                let now = Instant::from_millis(self.millis);
                if comes(n) {
                    self.track.on_packet(now, Copied::First);
                    self.track.on_report(now, self.number, 0);
                }
                let present = Instant::from_millis(1000);
                let (heard, newest) = (Some(now), self.number);
                self.track.check(
                    now,
                    &Vantage { silence: SILENCE, heard, present, paced: Instant::ZERO, newest, off: false },
                );
            }
            self.track.state
        }
    }

    #[test]
    fn silence_is_a_fault_and_some_reports_in_a_row_end_it() {
        let mut story = Story::new();
        assert_eq!(story.pass(1, |_| true), PathState::Healthy);
        assert_eq!(story.pass(4, |_| false), PathState::Healthy);
        assert_eq!(story.pass(1, |_| false), PathState::Faulty);
        assert_eq!(story.pass(2, |_| true), PathState::Probation);
        assert_eq!(story.pass(1, |_| true), PathState::Healthy);
    }

    #[test]
    fn a_path_that_flaps_waits_longer_each_time_and_is_forgiven_in_the_end() {
        let mut story = Story::new();
        story.pass(1, |_| true);
        let mut waits = Vec::new();
        for _ in 0..7 {
            story.pass(5, |_| false);
            waits.push((1..).find(|_| story.pass(1, |_| true) == PathState::Healthy).unwrap());
        }
        assert_eq!(waits, [3, 6, 12, 24, 48, 48, 48]);
        story.pass(5 * 200, |_| true);
        story.pass(5, |_| false);
        assert_eq!(story.pass(3, |_| true), PathState::Healthy, "after 50 s");
    }

    #[test]
    fn heavy_loss_is_a_fault_and_light_loss_is_none() {
        let mut story = Story::new();
        story.pass(20, |_| true);
        assert_eq!(story.pass(200, |n| n % 3 != 0), PathState::Healthy);
        assert_eq!(story.track.loss(story.number), Some(34));
        assert_ne!(story.pass(200, |n| n % 3 == 0), PathState::Healthy);
        assert_eq!(story.track.loss(story.number), Some(66));
    }

    #[test]
    fn what_stops_everywhere_is_the_daemon_and_it_is_welcome_back_at_once() {
        let mut story = Story::new();
        story.pass(2, |_| true);
        let (stopped, now) = (Instant::from_millis(story.millis), Instant::from_millis(story.millis + 250));
        let vantage = Vantage {
            silence: SILENCE,
            heard: Some(stopped),
            present: stopped,
            paced: Instant::ZERO,
            newest: 2,
            off: false,
        };
        assert!(!story.track.check(now, &vantage));
        assert!(story.track.check(now, &Vantage { heard: None, ..vantage }));
        assert_eq!(story.track.state, PathState::Silent);
        story.millis += 1000;
        assert_eq!(story.pass(1, |_| true), PathState::Healthy);
    }

    #[test]
    fn a_network_that_is_switched_off_is_no_fault() {
        let mut story = Story::new();
        story.pass(2, |_| true);
        let now = Instant::from_millis(story.millis + 1000);
        let vantage =
            Vantage { silence: SILENCE, heard: Some(now), present: now, paced: Instant::ZERO, newest: 9, off: true };
        assert!(story.track.check(now, &vantage));
        assert_eq!(story.track.state, PathState::Off);
        assert!(!story.track.on_packet(now, Copied::First), "it was on its way");
        assert!(story.track.check(now, &Vantage { off: false, ..vantage }));
        assert_eq!(story.track.state, PathState::Silent);
        assert!(story.track.on_packet(now, Copied::First));
    }

    #[test]
    fn the_meter_shows_the_loss_there_is() {
        for (lost_of_100, tolerance) in [(0, 0.0), (1, 0.3), (5, 0.5), (50, 1.5)] {
            let (mut rng, mut story) = (Rng::new(lost_of_100), Story::new());
            story.pass(1, |_| true);
            let mut shown = Vec::new();
            for _ in 0..4000 {
                let comes = rng.below(100) >= lost_of_100;
                story.pass(1, |_| comes);
                shown.push(f64::from(story.track.loss(story.number).unwrap_or(0)));
            }
            let settled = &shown[200..];
            let mean = settled.iter().sum::<f64>() / settled.len() as f64;
            assert!((mean - lost_of_100 as f64).abs() <= tolerance, "{lost_of_100} % are shown as {mean}");
        }
    }

    #[test]
    fn missing_numbers_are_counted_from_the_first_one_heard() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.missing(100, 64), (0, 0));
        for number in [5, 6, 9, 8, 8, 200] {
            numbers.record(number);
        }
        assert_eq!(numbers.missing(200, 16), (15, 16));
        assert_eq!(numbers.missing(199, 64), (64, 64));
        assert_eq!(numbers.missing(199, 128), (127, 127), "one is out of sight");
        let mut numbers = Numbers::default();
        for number in [5, 6, 9, 8] {
            numbers.record(number);
        }
        assert_eq!(numbers.missing(9, 64), (1, 5));
        assert_eq!(numbers.missing(11, 64), (3, 7));
        assert_eq!(numbers.missing(8, 3), (1, 3));
    }
}
