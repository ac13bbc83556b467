//! Notices for the operator: a path that changed, crossed cables, a second daemon with the same identity, a daemon with another configuration.
//!
//! A path that changes often gives at most one notice per [`PATH_GAP`], with its latest state. All other notices are repeated after
//! [`REMIND_AFTER`] while their cause lasts. So packets from the network cannot cause a flood of notices.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::super::moves::Moves;
use super::super::notice::{Host, Notice};
use super::paths::Path;
use super::track::PathState;
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Incarnation, NetworkId, PathReport};

/// The parts in which two files differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differs([bool; PathReport::DIGESTS]);

/// The parts of a file, in the order of [`super::System::parts`]. Each has a word for programs and a text for people.
const PARTS: [(&str, &str); PathReport::DIGESTS] = [
    ("ids", "the daemons' ids"),
    ("names", "the daemons' names"),
    ("addresses", "the daemons' addresses"),
    ("networks", "the segments' networks"),
    ("policy", "the policy"),
    ("TokenTimeout", "TokenTimeout"),
    ("HurryTimeout", "HurryTimeout"),
    ("AliveTimeout", "AliveTimeout"),
    ("JoinTimeout", "JoinTimeout"),
    ("GatherTimeout", "GatherTimeout"),
    ("LookupTimeout", "LookupTimeout"),
    ("windows", "the windows"),
];

/// The shortest time between two notices about the same path.
const PATH_GAP: Duration = Duration::from_secs(1);
/// A notice is repeated after this time while its cause lasts.
const REMIND_AFTER: Duration = Duration::from_secs(600);
/// How many notices are remembered, so that they are not repeated too soon.
const TOLD_LIMIT: usize = 256;
/// How many notices may wait. Further ones are dropped.
const EVENT_LIMIT: usize = 1024;
/// A second daemon is still heard after this time. The last packets of an earlier life are not.
const LASTING: Duration = Duration::from_secs(2);
/// After a pause of this length the time starts again.
const GAP_LIMIT: Duration = Duration::from_secs(2);
/// How long settings may differ, or a daemon may wait for another one, before a notice. The operator changes one file after the other.
const FILE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(in crate::multipath) struct Notices {
    events: VecDeque<Notice>,
    paths: BTreeMap<(DaemonId, NetworkId), (PathState, Instant)>,
    /// The number of path changes at the last check, and whether a notice about a path is still due.
    seen: u64,
    owing: bool,
    told: BTreeMap<Topic, Instant>,
    /// When files began to differ.
    since: BTreeMap<Topic, Instant>,
    /// The last packet that had this daemon's id but another life: the life, and when that life was first and last heard.
    second: Option<(Incarnation, Instant, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Crossed(DaemonId, NetworkId, NetworkId),
    SecondSelf,
    Clones(DaemonId),
    Short(NetworkId),
    OtherTable(DaemonId),
    OtherSettings(DaemonId),
    WaitsForOther(DaemonId),
    OtherWaits(DaemonId),
}

impl Notices {
    /// The next notice.
    pub(super) fn poll(&mut self) -> Option<Notice> {
        self.events.pop_front()
    }

    /// The present state of all paths, after this many changes.
    pub(super) fn on_paths(&mut self, now: Instant, changes: u64, paths: impl Iterator<Item = Path>) {
        // Usually nothing has changed. Then no path is checked.
        if changes != self.seen || self.owing {
            (self.seen, self.owing) = (changes, false);
            paths.for_each(|path| self.on_path(now, &path));
        }
    }

    fn on_path(&mut self, now: Instant, path: &Path) {
        let (daemon, network, state) = (path.daemon, path.network, path.state);
        let told = self.paths.get(&(daemon, network));
        let (before, recently) =
            told.map_or((PathState::Silent, false), |&(state, at)| (state, now.since(at) < PATH_GAP));
        // The notice comes later, with the state that the path has then.
        self.owing |= before != state && recently;
        if before != state && !recently {
            self.paths.insert((daemon, network), (state, now));
            self.push(Notice::Path { daemon, network, before, state });
        }
    }

    /// A packet arrived on another network than it was sent on.
    pub(super) fn on_crossed(&mut self, now: Instant, daemon: DaemonId, sent: NetworkId, came: NetworkId) {
        self.notify(now, Topic::Crossed(daemon, sent, came), Notice::Crossed { daemon, sent, came });
    }

    /// A packet arrived that has this daemon's id but another life.
    pub(super) fn on_second_self(&mut self, now: Instant, network: NetworkId, life: Incarnation, other: Host) {
        let first = match self.second {
            Some((before, first, last)) if before == other.life && now.since(last) < GAP_LIMIT => first,
            _ => now,
        };
        self.second = Some((other.life, first, now));
        if now.since(first) >= LASTING {
            self.notify(now, Topic::SecondSelf, Notice::SecondSelf { network, life, other });
        }
    }

    /// Two hosts run as the same daemon. The first one is heard.
    pub(super) fn on_clones(&mut self, now: Instant, daemon: DaemonId, hosts: [Host; 2]) {
        self.notify(now, Topic::Clones(daemon), Notice::Clones { daemon, hosts });
    }

    /// A path carries fewer bytes (`passes`) than the interface of its network allows (`interface`).
    pub(super) fn on_short(
        &mut self,
        now: Instant,
        daemon: DaemonId,
        network: NetworkId,
        (passes, interface): (u16, u16),
    ) {
        self.notify(now, Topic::Short(network), Notice::ShortPath { daemon, network, passes, interface });
    }

    /// A daemon has another membership table.
    pub(in crate::multipath) fn on_other_table(&mut self, now: Instant, daemon: DaemonId, differs: Differs) {
        let differs = differs.of_tables();
        self.notify(now, Topic::OtherTable(daemon), Notice::OtherTable { daemon, differs });
    }

    /// Whether a daemon with the same table has other settings than this one.
    pub(in crate::multipath) fn on_settings(&mut self, now: Instant, daemon: DaemonId, differs: Differs) {
        let differs = differs.of_settings();
        let event = (differs != Differs::default()).then_some(Notice::OtherSettings { daemon, differs });
        self.notify_if_lasting(now, Topic::OtherSettings(daemon), event);
    }

    /// Whether this daemon waits to change its table until that daemon has the new table too.
    pub(in crate::multipath) fn on_waiting(&mut self, now: Instant, daemon: DaemonId, waits: bool) {
        self.notify_if_lasting(now, Topic::WaitsForOther(daemon), waits.then_some(Notice::WaitsForOther { daemon }));
    }

    /// Whether that daemon waits to change its table until this daemon has the new table too.
    pub(in crate::multipath) fn on_other_waiting(&mut self, now: Instant, daemon: DaemonId, waits: bool) {
        self.notify_if_lasting(now, Topic::OtherWaits(daemon), waits.then_some(Notice::OtherWaits { daemon }));
    }

    /// The table has changed. This forgets the paths of removed daemons and networks, and since when files have differed. It also forgets
    /// earlier notices about crossed cables, other tables and short paths.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        let told = std::mem::take(&mut self.paths).into_iter();
        let stays = |daemon| moves.to.seat(daemon).is_some();
        let moved = |((daemon, network), what)| Some(((daemon, moves.network(network)?), what));
        self.paths = told.filter(|((daemon, _), _)| stays(*daemon)).filter_map(moved).collect();
        self.since.clear();
        self.told.retain(|topic, _| !matches!(topic, Topic::Crossed(..) | Topic::OtherTable(_) | Topic::Short(_)));
    }

    /// `event` is the notice that is needed, or `None` if there is no difference. The operator gets it if the difference lasts.
    fn notify_if_lasting(&mut self, now: Instant, topic: Topic, event: Option<Notice>) {
        let Some(event) = event else {
            self.since.remove(&topic);
            return;
        };
        if now.since(*self.since.entry(topic).or_insert(now)) >= FILE_PATIENCE {
            self.notify(now, topic, event);
        }
    }

    fn notify(&mut self, now: Instant, topic: Topic, event: Notice) {
        if self.told.get(&topic).is_some_and(|&at| now.since(at) < REMIND_AFTER) {
            return;
        }
        if self.told.len() >= TOLD_LIMIT {
            // Old entries are removed only when space is needed. If none is old enough, the new notice is dropped. So the list stays bounded.
            self.told.retain(|_, at| now.since(*at) < REMIND_AFTER);
        }
        if self.told.len() < TOLD_LIMIT {
            self.told.insert(topic, now);
            self.push(event);
        }
    }

    fn push(&mut self, event: Notice) {
        if self.events.len() < EVENT_LIMIT {
            self.events.push_back(event);
        }
    }
}

impl Differs {
    /// The parts in which two tables with these digests differ.
    pub(in crate::multipath) fn between(
        ours: [u32; PathReport::DIGESTS],
        theirs: [u32; PathReport::DIGESTS],
    ) -> Differs {
        Differs(std::array::from_fn(|part| ours[part] != theirs[part]))
    }

    /// A word for each part that differs, for programs.
    pub fn words(self) -> Vec<&'static str> {
        self.parts().map(|(word, _)| word).collect()
    }

    fn parts(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        PARTS.into_iter().zip(self.0).filter(|(_, differs)| *differs).map(|(part, _)| part)
    }

    /// Whether no part differs.
    pub fn is_empty(self) -> bool {
        self == Differs::default()
    }

    /// The differences that belong to the membership table.
    fn of_tables(self) -> Differs {
        Differs(std::array::from_fn(|part| self.0[part] && part < PathReport::TABLE_DIGESTS))
    }

    /// The differences that belong to the settings.
    fn of_settings(self) -> Differs {
        Differs(std::array::from_fn(|part| self.0[part] && part >= PathReport::TABLE_DIGESTS))
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.parts().map(|(_, part)| part).collect();
        f.write_str(if parts.is_empty() { "the order of the daemons" } else { "" })?;
        f.write_str(&parts.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: DaemonId = DaemonId(9);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// These digests first, then zeros.
    fn digests(first: [u32; 5]) -> [u32; PathReport::DIGESTS] {
        std::array::from_fn(|part| first.get(part).copied().unwrap_or(0))
    }

    fn all(notices: &mut Notices) -> Vec<Notice> {
        std::iter::from_fn(|| notices.poll()).collect()
    }

    fn path(state: PathState) -> Path {
        Path {
            daemon: OTHER,
            network: NetworkId(0),
            state,
            last: None,
            since: Instant::ZERO,
            heard: 0,
            first: 0,
            loss: None,
            loss_there: None,
            round_trip: None,
        }
    }

    #[test]
    fn a_path_that_flaps_is_told_now_and_then_and_its_last_state_in_the_end() {
        let mut notices = Notices::default();
        let mut told = 0;
        for n in 0..100 {
            let state = [PathState::Healthy, PathState::Faulty][n as usize % 2];
            notices.on_paths(at(50 * n), n + 1, [path(state)].into_iter());
            told += all(&mut notices).len();
        }
        assert_eq!(told, 5);
        notices.on_paths(at(6000), 100, [path(PathState::Faulty)].into_iter());
        notices.on_paths(at(7500), 100, std::iter::from_fn(|| unreachable!("nothing has changed since")));
        notices.on_paths(at(8000), 101, [path(PathState::Healthy)].into_iter());
        let texts: Vec<String> = all(&mut notices).iter().map(Notice::to_string).collect();
        assert_eq!(texts.last().unwrap(), "0.0.0.9 on network 0: healthy, was faulty");
    }

    #[test]
    fn what_repeats_itself_is_told_once_in_a_while() {
        let mut notices = Notices::default();
        for n in 0..1300 {
            notices.on_crossed(at(n * 1000), OTHER, NetworkId(0), NetworkId(1));
        }
        assert_eq!(all(&mut notices).len(), 3);
        for n in 0..5000 {
            let differs = Differs::between([0; PathReport::DIGESTS], digests([0, 9, 0, 9, 9]));
            notices.on_other_table(at(1_300_000), DaemonId(n), differs);
        }
        let events = all(&mut notices);
        assert_eq!((notices.told.len(), events.len()), (TOLD_LIMIT, TOLD_LIMIT - 1));
        let text = "0.0.0.0 has another configuration, so it is not heard: the daemons' names and the segments' networks must be \
                    the same in both files";
        assert_eq!(events[0].to_string(), text);
    }

    #[test]
    fn files_that_differ_are_told_when_it_lasts() {
        let mut notices = Notices::default();
        let differs = |policy| Differs::between([0; PathReport::DIGESTS], digests([9, 0, 0, 0, policy]));
        for millis in (0..30_000).step_by(1000) {
            // The operator edits the file for some time, and then stops.
            notices.on_settings(at(millis), OTHER, differs(u32::from(millis != 8000)));
            notices.on_waiting(at(millis), OTHER, millis < 9000);
            notices.on_other_waiting(at(millis), OTHER, millis > 15_000);
        }
        let texts: Vec<String> = all(&mut notices).iter().map(Notice::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].starts_with("0.0.0.9 uses other settings: the policy"), "{texts:?}");
        assert!(texts[1].starts_with("0.0.0.9 has read a file with other daemons or networks"), "{texts:?}");
    }

    #[test]
    fn the_last_packets_of_an_earlier_life_are_no_second_daemon() {
        let mut notices = Notices::default();
        let other = Host { life: Incarnation(4), address: Some([10, 0, 0, 1].into()) };
        for millis in [0, 100, 400, 5000, 5100] {
            notices.on_second_self(at(millis), NetworkId(1), Incarnation(9), other);
        }
        assert_eq!(all(&mut notices), []);
        for millis in (6000..9000).step_by(500) {
            notices.on_second_self(at(millis), NetworkId(1), Incarnation(9), other);
        }
        let texts: Vec<String> = all(&mut notices).iter().map(Notice::to_string).collect();
        let text = "another host runs as this daemon, which has the life 0000000000000009: the host at 10.0.0.1 with the life \
                    0000000000000004 on network 1; this one gives way, stop one of them";
        assert_eq!(texts, [text]);
    }
}
