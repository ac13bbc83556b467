//! All paths: each other daemon over each network. Also the facts about a daemon that do not depend on the path.

use std::mem;

use super::super::moves::Moves;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use super::track::{PathState, Track, Vantage};
use super::{Came, Copied, SILENCE};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Incarnation, Measure, NetworkId, PathReport};

/// The state and the measurements of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The other daemon.
    pub daemon: DaemonId,
    /// The network.
    pub network: NetworkId,
    /// Its state.
    pub state: PathState,
    /// When it entered this state.
    pub since: Instant,
    /// When a packet last arrived on it.
    pub last: Option<Instant>,
    /// The number of packets that arrived on it.
    pub heard: u64,
    /// The number of packets whose first copy arrived on it.
    pub first: u64,
    /// The loss of the other daemon's latest reports, in per cent. It is `None` before the first report arrives.
    pub loss: Option<u8>,
    /// The loss of our latest reports at the other daemon, in per cent, as that daemon reports it.
    pub loss_there: Option<u8>,
    /// The round trip on this network, smoothed.
    pub round_trip: Option<Duration>,
}

impl Path {
    /// The state to show when all paths of the daemon are known. A path is shown as silent only if its daemon is not heard at all. A network
    /// that was just switched on must first prove that it works.
    pub fn shown_state(&self, all: &[Path]) -> PathState {
        let is_heard = |other: &Path| matches!(other.state, PathState::Healthy | PathState::Probation);
        let elsewhere = all.iter().any(|other| other.daemon == self.daemon && is_heard(other));
        if self.state == PathState::Silent && elsewhere { PathState::Probation } else { self.state }
    }
}

#[derive(Debug)]
pub(in crate::multipath) struct Paths {
    peers: BySeat<Peer>,
    /// The usual interval between reports.
    usual: Duration,
    /// Silence before this time proves nothing, because this daemon stood still.
    blind: Instant,
    /// The number of state changes.
    changes: u64,
}

#[derive(Debug)]
struct Peer {
    tracks: Vec<Track>,
    /// When it was last heard, on any path or through a relay.
    heard: Option<Instant>,
    /// Since when it has been heard.
    present: Instant,
    life: Option<Incarnation>,
    /// The number of its newest report in this life.
    newest: u64,
    /// Reports with lower numbers that arrived since the newest one, copies left out.
    late: u32,
    off: Networks,
    promise: Promise,
}

/// A daemon's promise of when its next report follows.
#[derive(Clone, Copy, Debug)]
struct Promise {
    pause: Duration,
    /// Since when this promise holds.
    since: Instant,
}

/// What a report has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported {
    /// Whether it is the newest report of its sender.
    pub(super) is_newest: bool,
    /// Whether the state of a path changed.
    pub(super) changed: bool,
}

/// After so many late reports and no newer one, the newest one was forged.
const LATE_LIMIT: u32 = 8;
/// The longest pause that a promise may name.
const PROMISE_LIMIT: Duration = Duration::from_secs(10);
/// A packet within this time proves as much as a packet now. It is a small part of the shortest silence that counts.
const JUST_HEARD: Duration = Duration::from_millis(10);
/// A longer time is not a valid round trip.
const ROUND_TRIP_LIMIT: Duration = Duration::from_secs(10);

impl Paths {
    /// No daemon was heard yet. All daemons report at this interval.
    pub(super) fn new(table: &Table, networks: u8, usual: Duration) -> Paths {
        let peers = BySeat::new(table.len(), |_| Peer::new(networks, usual));
        Paths { peers, usual, blind: Instant::ZERO, changes: 0 }
    }

    /// The table has changed, and the usual interval between reports is now `usual`. A new network is silent until a packet arrives on it.
    pub(super) fn adopt(&mut self, now: Instant, moves: &Moves<'_>, usual: Duration) {
        let networks = moves.network_count();
        moves.daemons(&mut self.peers, |_| Peer::new(networks, usual));
        for (seat, peer) in moves.to.all().zip(self.peers.iter_mut()) {
            if moves.seat_before(seat).is_some() {
                peer.tracks = moves.links(mem::take(&mut peer.tracks), || Track::since(now));
                peer.off = moves.set(peer.off);
            }
        }
        self.peers.iter_mut().for_each(|peer| peer.promise.pause = peer.promise.pause.max(usual));
        self.usual = usual;
    }

    /// A packet arrived. Returns whether a state changed.
    pub(super) fn on_packet(&mut self, now: Instant, came: Came, copied: Copied) -> bool {
        let peer = &mut self.peers[came.sender];
        if !peer.is_alive(now) {
            // The daemon is back. Its silence before this proves nothing about a path.
            peer.present = now;
        }
        peer.heard = Some(now);
        let track = came.directly.and_then(|network| peer.tracks.get_mut(usize::from(network.0)));
        let changed = track.is_some_and(|track| track.on_packet(now, copied));
        self.changes += u64::from(changed);
        changed
    }

    /// A report arrived from this life of its sender.
    pub(super) fn on_report(
        &mut self,
        now: Instant,
        (came, copied): (Came, Copied),
        life: Incarnation,
        report: &PathReport<'_>,
    ) -> Reported {
        let peer = &mut self.peers[came.sender];
        if peer.life != Some(life) {
            // A new life numbers its reports from the start. Without this, they would all look old.
            (peer.life, peer.newest, peer.late) = (Some(life), 0, 0);
            peer.tracks.iter_mut().for_each(Track::forget_numbers);
        }
        // Only the newest report counts. An old copy would restore an old promise.
        let is_newest = peer.record_number(report.number, copied);
        if is_newest {
            peer.off = Networks::from_bits(report.off);
            peer.promise.renew(now, self.usual, Duration::from_millis(report.pause.into()));
        }
        let track = came.directly.and_then(|network| peer.tracks.get_mut(usize::from(network.0)));
        let changed = track.is_some_and(|track| track.on_report(now, report.number, report.clock));
        self.changes += u64::from(changed);
        Reported { is_newest, changed }
    }

    /// Another daemon has measured a path from us. Its report came directly on `network`.
    pub(super) fn on_measure(&mut self, now: Instant, daemon: Seat, network: NetworkId, measure: &Measure) {
        let Some(track) = self.peers[daemon].tracks.get_mut(usize::from(measure.network.0)) else { return };
        track.loss_there = Some(measure.loss.min(100));
        // Clocks are 32-bit counters of microseconds and wrap after 71 minutes. The difference is still correct.
        let trip = Duration::from_micros(micros(now).wrapping_sub(measure.echo).wrapping_sub(measure.held).into());
        if network == measure.network && trip < ROUND_TRIP_LIMIT {
            track.on_round_trip(trip);
        }
    }

    /// Something happened after a quiet time. From `then` on, each living daemon reports at the usual interval, whatever it promised before.
    pub(super) fn quicken(&mut self, now: Instant, then: Instant) {
        let usual = self.usual;
        for peer in self.peers.iter_mut().filter(|peer| peer.is_alive(now) && peer.promise.pause > usual) {
            peer.promise = Promise { pause: usual, since: then };
        }
    }

    /// This daemon stood still until now.
    pub(super) fn on_absence(&mut self, now: Instant) {
        self.blind = now;
    }

    /// Time has passed.
    pub(super) fn check(&mut self, now: Instant) {
        let mut changes = 0;
        for peer in self.peers.iter_mut() {
            let silence = peer.promise.pause * SILENCE;
            // This daemon stood still. It judges no path until each daemon has had time to report again.
            if now < self.blind + silence {
                continue;
            }
            let vantage = Vantage {
                silence,
                heard: if peer.is_alive(now) { peer.heard } else { None },
                present: peer.present,
                paced: peer.promise.since,
                newest: peer.newest,
                off: false,
            };
            for (network, track) in (0..).map(NetworkId).zip(&mut peer.tracks) {
                changes += u64::from(track.check(now, &Vantage { off: peer.off.has(network), ..vantage }));
            }
        }
        self.changes += changes;
    }

    /// The number of state changes.
    pub(in crate::multipath) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether this daemon was heard recently, on any path.
    pub(in crate::multipath) fn is_alive(&self, now: Instant, daemon: Seat) -> bool {
        self.peers[daemon].is_alive(now)
    }

    /// Whether this daemon was heard after `since`, on any path.
    pub(super) fn heard_since(&self, daemon: Seat, since: Instant) -> bool {
        self.peers[daemon].heard.is_some_and(|heard| heard > since)
    }

    /// When this daemon was last heard, on any path.
    pub(super) fn last_heard(&self, daemon: Seat) -> Instant {
        self.peers[daemon].heard.unwrap_or(Instant::ZERO)
    }

    /// Whether a packet came directly from this daemon in the last `span`, and it was not declared dead since then.
    pub(super) fn was_near(&self, now: Instant, daemon: Seat, span: Duration) -> bool {
        let Peer { tracks, heard, .. } = &self.peers[daemon];
        heard.is_some() && tracks.iter().filter_map(|track| track.last).any(|last| now.since(last) <= span)
    }

    /// A daemon has died. Nobody waits for it any more.
    pub(super) fn on_death(&mut self, daemon: Seat) {
        // At the next check all its paths become silent, not faulty. The networks did nothing wrong.
        self.peers[daemon].heard = None;
    }

    /// The longest measured round trip to this daemon, among the networks on which it is heard well.
    pub(super) fn round_trip(&self, daemon: Seat) -> Duration {
        // The longest one, because the answer may take any healthy network.
        let healthy = self.peers[daemon].tracks.iter().filter(|track| track.state == PathState::Healthy);
        healthy.filter_map(|track| track.round_trip).max().unwrap_or_default()
    }

    /// The time within which this daemon sends its next report.
    pub(super) fn pause(&self, daemon: Seat) -> Duration {
        self.peers[daemon].promise.pause
    }

    /// The usual interval between reports.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    /// The shortest interval between reports, among the living daemons.
    pub(super) fn shortest_pause(&self, now: Instant) -> Option<Duration> {
        let alive = self.peers.iter().filter(|peer| peer.is_alive(now));
        alive.map(|peer| peer.promise.pause).min()
    }

    /// Whether this daemon is on probation on some network. Its reports are needed then.
    pub(super) fn is_on_probation(&self, daemon: Seat) -> bool {
        self.peers[daemon].tracks.iter().any(|track| track.state == PathState::Probation)
    }

    /// Whether the path of this packet proved a moment ago that it works.
    pub(in crate::multipath) fn is_fresh(&self, now: Instant, came: Came) -> bool {
        let peer = &self.peers[came.sender];
        let last = match came.directly {
            Some(network) => peer.tracks.get(usize::from(network.0)).and_then(|track| track.last),
            None => peer.heard,
        };
        last.is_some_and(|last| now.since(last) < JUST_HEARD)
    }

    /// Whether this daemon was heard in the last `span`, on any path.
    pub(in crate::multipath) fn was_heard(&self, now: Instant, daemon: Seat, span: Duration) -> bool {
        self.peers[daemon].heard.is_some_and(|heard| now.since(heard) <= span)
    }

    /// The networks on which this daemon is heard well.
    pub(in crate::multipath) fn sound(&self, daemon: Seat) -> Networks {
        let tracks = (0..).map(NetworkId).zip(&self.peers[daemon].tracks);
        tracks.filter(|(_, track)| track.state == PathState::Healthy).map(|(network, _)| network).collect()
    }

    /// The networks on which the round trip to this daemon was measured. The daemon hears this one there.
    pub(super) fn measured(&self, daemon: Seat) -> Networks {
        let tracks = (0..).map(NetworkId).zip(&self.peers[daemon].tracks);
        tracks.filter(|(_, track)| track.round_trip.is_some()).map(|(network, _)| network).collect()
    }

    /// The measure of this path, if there is one.
    pub(super) fn measure(&self, now: Instant, daemon: Seat, network: NetworkId) -> Option<Measure> {
        let peer = &self.peers[daemon];
        let track = peer.tracks.get(usize::from(network.0))?;
        let (echo, at) = track.echo?;
        let held = u32::try_from(now.since(at).as_micros()).ok()?;
        let (daemon, loss) = (daemon.to_wire(), track.loss(peer.newest).unwrap_or(0));
        Some(Measure { daemon, network, echo, held, loss })
    }

    pub(in crate::multipath) fn iter<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Path> + 'a {
        table.others().flat_map(move |daemon| {
            let peer = &self.peers[daemon];
            (0..).map(NetworkId).zip(&peer.tracks).map(move |(network, track)| Path {
                daemon: table.id(daemon),
                network,
                state: track.state,
                since: track.since,
                last: track.last,
                heard: track.heard,
                first: track.first,
                loss: track.loss(peer.newest),
                loss_there: track.loss_there,
                round_trip: track.round_trip,
            })
        })
    }
}

impl Peer {
    /// A daemon that was not heard yet, on this many networks.
    fn new(networks: u8, usual: Duration) -> Peer {
        Peer {
            tracks: vec![Track::new(); usize::from(networks)],
            heard: None,
            present: Instant::ZERO,
            life: None,
            newest: 0,
            late: 0,
            off: Networks::NONE,
            promise: Promise { pause: usual, since: Instant::ZERO },
        }
    }

    /// Records the number of a report. Returns whether it is now the newest one.
    fn record_number(&mut self, number: u64, copied: Copied) -> bool {
        if number <= self.newest {
            // A slow network delivers copies of reports that came before. They do not show that the newest report is forged.
            self.late += u32::from(copied == Copied::First);
            if self.late < LATE_LIMIT {
                return false;
            }
            // Without this, one forged number would make the daemon's own reports look old for the rest of its life.
            let misled = self.tracks.iter_mut().filter(|track| track.highest() > number);
            misled.for_each(Track::forget_numbers);
        }
        (self.newest, self.late) = (number, 0);
        true
    }

    /// Whether it was heard recently, on any path.
    fn is_alive(&self, now: Instant) -> bool {
        let Promise { pause, since } = self.promise;
        // The later of the two times counts. So a daemon that promised long pauses is not late at once when the interval becomes shorter.
        self.heard.is_some_and(|heard| now.since(heard.max(since)) <= pause * SILENCE)
    }
}

impl Promise {
    fn renew(&mut self, now: Instant, usual: Duration, pause: Duration) {
        // Without this limit, a forged promise of one hour would keep a dead daemon alive for so long.
        let pause = pause.clamp(usual, PROMISE_LIMIT);
        if pause != self.pause {
            (self.pause, self.since) = (pause, now);
        }
    }
}

/// Our clock in the form in which reports carry it.
pub(super) fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Seat = Seat::from_wire(1);
    const USUAL: Duration = Duration::from_millis(50);
    /// The last number that a report can carry.
    const LAST: u64 = (1 << 62) - 1;

    /// What this daemon knows of another one, which reports every 50 ms on two networks.
    struct Story {
        table: Table,
        paths: Paths,
        now: Instant,
    }

    impl Story {
        fn new() -> Story {
            let table = Table::new(DaemonId(1), &[1, 2].map(DaemonId), &[]);
            let paths = Paths::new(&table, 2, USUAL);
            // Long after the start, because a forged pause delays the first check.
            Story { table, paths, now: Instant::from_millis(100_000) }
        }

        /// A report arrives. Returns whether it is the newest one.
        fn report(&mut self, network: u8, copied: Copied, number: u64, off: u8, pause: u16) -> bool {
            let report = PathReport {
                number,
                clock: 0,
                networks: 2,
                off,
                digests: [0; PathReport::DIGESTS],
                next: 0,
                pause,
                asks: None,
                hears: &[],
                measures: Default::default(),
                keys: Default::default(),
            };
            let came = Came { sender: SECOND, directly: Some(NetworkId(network)) };
            self.paths.on_packet(self.now, came, copied);
            self.paths.on_report(self.now, (came, copied), Incarnation(1), &report).is_newest
        }

        /// A true report arrives on both networks. Returns whether it is the newest one.
        fn pass(&mut self, number: u64) -> bool {
            self.now += USUAL;
            let is_newest = self.report(0, Copied::First, number, 0, 50);
            assert!(!self.report(1, Copied::Later, number, 0, 50), "a copy");
            self.paths.check(self.now);
            is_newest
        }

        /// The state and the loss of each path.
        fn paths(&self) -> Vec<(PathState, Option<u8>)> {
            self.paths.iter(&self.table).map(|path| (path.state, path.loss)).collect()
        }
    }

    #[test]
    fn a_forged_number_is_believed_for_a_few_reports_only() {
        for forged in [LAST, 100] {
            let mut story = Story::new();
            (1..=20).for_each(|number| assert!(story.pass(number)));
            assert!(story.report(0, Copied::First, forged, 1, u16::MAX));
            // A second forged number is no way to keep the first one.
            assert!(!story.report(1, Copied::First, forged - 1, 1, u16::MAX));
            story.paths.check(story.now);
            assert_eq!((story.paths()[0].0, story.paths.pause(SECOND)), (PathState::Off, PROMISE_LIMIT));
            let believed = (21..).position(|number| story.pass(number)).unwrap() as u32;
            assert_eq!(believed, LATE_LIMIT - 2, "the second forged one counts too");
            assert_eq!(story.paths.pause(SECOND), USUAL);
            let next = 21 + u64::from(LATE_LIMIT);
            (next - 1..next + 3).for_each(|number| assert!(story.pass(number)));
            assert_eq!(story.paths(), [(PathState::Healthy, Some(0)); 2]);
        }
    }

    #[test]
    fn late_copies_from_a_slow_network_do_not_make_the_newest_report_look_forged() {
        let mut story = Story::new();
        for number in 1..=100 {
            story.now += USUAL;
            assert!(story.report(0, Copied::First, number, 0, 50));
            // The slow network is one second behind.
            assert!(number <= 20 || !story.report(1, Copied::Later, number - 20, 1, 50));
            story.paths.check(story.now);
        }
        // The fast network has stopped, and the slow one still delivers copies.
        for number in 81..=100 {
            story.now += USUAL;
            assert!(!story.report(1, Copied::Later, number, 1, 50));
        }
        assert_eq!(story.paths.peers[SECOND].newest, 100);
        assert!(story.report(1, Copied::First, 101, 0, 50));
    }

    #[test]
    fn a_newer_report_shows_that_late_ones_are_late() {
        let mut story = Story::new();
        // The fast network loses all but one of eight reports. The slow network delivers them later.
        for number in (100..1000).step_by(8) {
            assert!(story.report(0, Copied::First, number, 0, 50));
            (number - 39..number - 32).for_each(|late| assert!(!story.report(1, Copied::First, late, 0, 50)));
        }
    }
}
