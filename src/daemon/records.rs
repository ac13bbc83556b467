//! The state of a daemon as records. A record is a line: its kind, then `key=value` words. New keys may be added, so a reader must
//! accept unknown ones. A `text` is the last key and goes to the end of the line.

use std::fmt::Write as _;
use std::time::Duration;

use super::handle::{Handle, Request, Status};
use super::journal::Happening;
use crate::config::Labels;
use crate::counters::{Counter, Times, Value};
use crate::groups::SessionId;
use crate::multipath::Hearing;
use crate::seal::KeyId;
use crate::wire::{DaemonId, NetworkId};

/// How long the loop may take over a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(1);
/// How many groups and sessions are listed.
const LIST_LIMIT: usize = 4096;

/// The names of daemons and networks in the configuration.
#[derive(Debug, Default)]
struct Names {
    daemons: Vec<(DaemonId, String)>,
    networks: Vec<Option<String>>,
}

impl Names {
    /// The daemon's name; a dash if it has none here.
    fn of(&self, daemon: DaemonId) -> String {
        let known = self.daemons.iter().find(|(other, _)| *other == daemon);
        known.map_or("-".to_owned(), |(_, name)| word(name))
    }
}

/// Lists that the loop makes only on request, because they are too long for the status of every second.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    /// Each group's name, the number of its members, and how many of them are clients of this daemon.
    pub(super) groups: Vec<(String, usize, usize)>,
    pub(super) sessions: Vec<SessionLine>,
    /// How many more there are than the list shows.
    pub(super) more_groups: usize,
    pub(super) more_sessions: usize,
}

/// A session of a client.
#[derive(Clone, Debug)]
pub(super) struct SessionLine {
    pub(super) id: SessionId,
    pub(super) name: String,
    pub(super) from: String,
    pub(super) groups: usize,
    /// Messages and bytes that wait for the client.
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Handle {
    /// The daemon's name.
    pub fn name(&self) -> String {
        self.in_force().name.clone()
    }

    /// The records of `status`, `ring`, `counters`, `events`, `groups` or `sessions`; `None` for any other word.
    pub fn records(&self, what: &str) -> Option<String> {
        let name = self.name();
        Some(match what {
            "status" => status_of(&name, &self.names(), &self.status()),
            "ring" => ring_of(&name, &self.names(), &self.status()),
            "counters" => counters(&self.status()),
            "events" => events(&self.happenings(), &Labels::of(&self.in_force().settings.table)),
            "groups" => groups(&self.lists()),
            "sessions" => sessions(&self.lists()),
            _ => return None,
        })
    }

    fn names(&self) -> Names {
        let in_force = self.in_force();
        let table = &in_force.settings.table;
        Names {
            daemons: table.daemons.iter().map(|daemon| (daemon.id, daemon.name.clone())).collect(),
            networks: table.networks.iter().map(|notes| notes.name.clone()).collect(),
        }
    }

    fn lists(&self) -> Lists {
        self.obey(Request::List { limit: LIST_LIMIT }, LIST_TIMEOUT);
        self.newest_lists()
    }
}

/// The ring and the daemons of the configuration.
fn ring_of(name: &str, names: &Names, status: &Status) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "daemon name={name} state={}", status.ring_state);
    write_ring(&mut text, status);
    let ring = &status.ring;
    let _ = writeln!(
        text,
        "token visits={} again={} repeated={} configurations={} gathers={}",
        ring.tokens, ring.tokens_retransmitted, ring.tokens_repeated, ring.configurations, ring.gathers
    );
    write_members(&mut text, names, status);
    text
}

fn write_ring(text: &mut String, status: &Status) {
    if let Some(configuration) = &status.configuration {
        let members: Vec<String> = configuration.members.iter().map(|member| member.to_string()).collect();
        let (id, daemons, members) = (configuration.ring, members.len(), members.join(","));
        let rests_at = status.rests_at.map_or("-".to_owned(), |daemon| daemon.to_string());
        let _ = writeln!(text, "ring id={id} daemons={daemons} members={members} rests_at={rests_at}");
    }
}

/// All daemons, and whether they are in the ring.
fn write_members(text: &mut String, names: &Names, status: &Status) {
    let ring = status.configuration.as_ref().map_or(&[][..], |configuration| &configuration.members);
    for (daemon, name) in &names.daemons {
        let place = if ring.contains(daemon) { "in" } else { "out" };
        let hosts = if status.two_hosts.contains(daemon) { 2 } else { 1 };
        let _ = writeln!(text, "member daemon={daemon} name={name} ring={place} hosts={hosts}");
    }
}

fn events(happenings: &[Happening], labels: &Labels) -> String {
    let mut text = String::new();
    for Happening { number, at_ms, event, text: what } in happenings {
        let what = labels.beside_numbers(&labels.beside_addresses(what));
        let what: String = what.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(text, "event number={number} at_ms={at_ms} event={event} text={what}");
    }
    said(text, "event")
}

fn groups(lists: &Lists) -> String {
    let mut text = String::new();
    for (name, members, here) in &lists.groups {
        let _ = writeln!(text, "group group={} members={members} here={here}", word(name));
    }
    more(&mut text, lists.more_groups);
    said(text, "group")
}

fn sessions(lists: &Lists) -> String {
    let mut text = String::new();
    for SessionLine { id, name, from, groups, frames, bytes } in &lists.sessions {
        let (name, from) = (word(name), word(from));
        let _ = writeln!(
            text,
            "session session={} name={name} from={from} groups={groups} waiting={frames} waiting_bytes={bytes}",
            id.0
        );
    }
    more(&mut text, lists.more_sessions);
    said(text, "session")
}

fn more(text: &mut String, count: usize) {
    if count > 0 {
        let _ = writeln!(text, "more count={count}");
    }
}

/// The records, or one that says that there are none.
fn said(text: String, what: &str) -> String {
    if text.is_empty() { format!("none of={what}\n") } else { text }
}

/// A value in which `_` replaces all characters that would end it.
fn word(value: &str) -> String {
    let plain = |c: char| if c.is_whitespace() || c.is_control() || c == '=' { '_' } else { c };
    let word: String = value.chars().map(plain).collect();
    or_dash(word)
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A status as records.
fn status_of(name: &str, names: &Names, status: &Status) -> String {
    let mut text = String::new();
    let version = env!("CARGO_PKG_VERSION");
    let (state, clients) = (status.ring_state, status.clients);
    let _ = writeln!(text, "daemon name={name} version={version} state={state} clients={clients}");
    write_ring(&mut text, status);
    let ring = &status.ring;
    let _ = write!(
        text,
        "traffic messages={} sent={} retransmitted={}",
        ring.messages, ring.packets_sent, ring.retransmitted
    );
    let _ = write!(
        text,
        " duplicates={} tokens={} tokens_again={}",
        ring.duplicates, ring.tokens, ring.tokens_retransmitted
    );
    let _ = writeln!(text, " configurations={} gathers={}", ring.configurations, ring.gathers);
    write_all_times(&mut text, status);
    let packets = &status.packets;
    let _ = write!(text, "packets first={} copies={} malformed={}", packets.first, packets.copies, packets.malformed);
    let _ = write!(text, " other_system={} unknown_sender={}", packets.other_system, packets.unknown_sender);
    let _ = write!(text, " past_life={} crossed={} repeated={}", packets.past_life, packets.crossed, packets.repeated);
    let _ = write!(text, " foreign_source={} not_opened={}", packets.foreign_source, packets.not_opened);
    let _ = writeln!(text, " other_version={} strangers={}", packets.other_version, packets.strangers);
    let ids: Vec<String> = status.keys.iter().map(KeyId::to_string).collect();
    let using = or_dash(status.key.map(|key| key.to_string()).unwrap_or_default());
    let lacking: Vec<String> = status.without_newest_key.iter().map(ToString::to_string).collect();
    let (ids, lacking) = (or_dash(ids.join(",")), or_dash(lacking.join(",")));
    let _ = writeln!(text, "seal key={using} keys={ids} newest_waits_for={lacking}");
    let policy = status.policy.to_string();
    let (name, copies) = policy.split_once(' ').unwrap_or((&policy, "-"));
    let _ = writeln!(text, "data policy={name} copies={copies}");
    write_files(&mut text, names, status);
    write_members(&mut text, names, status);
    write_networks(&mut text, names, status);
    for path in &status.paths {
        let state = path.shown_state(&status.paths);
        let (daemon, network, name) = (path.daemon, path.network.0, names.of(path.daemon));
        let _ = write!(text, "path daemon={daemon} network={network} name={name} state={state}");
        let or_dash = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let round_trip = path.round_trip.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        let seconds = status.at.since(path.since).as_secs();
        let (loss, loss_there) = (path.loss.map(u64::from), path.loss_there.map(u64::from));
        let _ =
            write!(text, " for_s={seconds} loss_percent={} loss_there_percent={}", or_dash(loss), or_dash(loss_there));
        let _ = write!(text, " round_trip_us={}", or_dash(round_trip));
        let _ = writeln!(text, " heard={} first={}", path.heard, path.first);
    }
    for Hearing { by, of, networks } in &status.matrix {
        let networks: Vec<String> = networks.iter().map(|network| network.0.to_string()).collect();
        let networks = if networks.is_empty() { "-".to_owned() } else { networks.join(",") };
        let _ = writeln!(text, "matrix daemon={by} hears={of} networks={networks}");
    }
    text
}

/// All counters as records.
fn counters(status: &Status) -> String {
    let mut text = String::new();
    status.visit(&mut |network, Counter { section, key, meaning, value }| {
        let network = network.map_or("-".to_owned(), |network| network.0.to_string());
        let _ = match value {
            Value::Count(number) | Value::Level(number) => {
                let front = format!("counter section={section} key={key} network={network}");
                writeln!(text, "{front} value={number} text={meaning}")
            }
            Value::Times(times) => {
                write_times(&mut text, section, key, &times);
                let ranges = times.ranges().filter(|(_, count)| *count > 0);
                let ranges: Vec<String> =
                    ranges.map(|(bound, count)| format!("{}:{count}", bound.as_micros())).collect();
                let sum = times.sum().as_micros();
                writeln!(text, " sum_us={sum} to_us={} text={meaning}", or_dash(ranges.join(",")))
            }
        };
    });
    text
}

/// Writes a record of times, without the end of its line.
fn write_times(text: &mut String, section: &str, key: &str, times: &Times) {
    let micros =
        |percent| or_dash(times.percentile(percent).map(|time| time.as_micros().to_string()).unwrap_or_default());
    let _ = write!(text, "times section={section} key={key} count={}", times.count());
    let _ = write!(text, " p50_us={} p99_us={}", micros(50), micros(99));
}

/// Writes a record for everything that is measured as times.
fn write_all_times(text: &mut String, status: &Status) {
    status.visit(&mut |_, Counter { section, key, value, .. }| {
        if let Value::Times(times) = value {
            write_times(text, section, key, &times);
            text.push('\n');
        }
    });
}

/// Writes where daemons' files differ, and which daemons have not read the next one.
fn write_files(text: &mut String, names: &Names, status: &Status) {
    if let Some(daemons) = &status.waits_for {
        let daemons: Vec<String> = daemons.iter().map(ToString::to_string).collect();
        let daemons = if daemons.is_empty() { "-".to_owned() } else { daemons.join(",") };
        let _ = writeln!(text, "next waits_for={daemons}");
    }
    for (daemon, differs) in &status.differing {
        let _ = writeln!(text, "differs daemon={daemon} name={} in={}", names.of(*daemon), differs.words().join(","));
    }
}

fn write_networks(text: &mut String, names: &Names, status: &Status) {
    let switch = |on| if on { "on" } else { "off" };
    for (link, network) in status.links.iter().zip((0..).map(NetworkId)) {
        let (counters, number) = (&link.counters, network.0);
        let (up, switched) = (if link.up { "up" } else { "down" }, switch(status.enabled.has(network)));
        let _ = write!(text, "network network={number} link={up} switched={switched} drill={}", switch(link.drilled));
        let priority = status.priorities.get(usize::from(number)).copied().unwrap_or_default();
        let _ = write!(text, " priority={priority} sent={}", counters.sent);
        let _ =
            write!(text, " received={} congested={} failed={}", counters.received, counters.congested, counters.failed);
        let _ = write!(text, " unsent={} lost_in_drill={}", counters.unsent, counters.drilled);
        let _ = write!(text, " too_long={} refused={}", counters.too_long, counters.refused);
        let name = names.networks.get(usize::from(number)).cloned().flatten().unwrap_or_default();
        let _ = writeln!(text, " foreign={} name={}", counters.foreign, word(&name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::testing::path;
    use crate::multipath::{self, Networks, Path, PathState, Policy};
    use crate::net::{Counters, LinkStatus};
    use crate::time::Instant;

    #[test]
    fn a_path_is_called_silent_only_while_its_daemon_is_not_heard_at_all() {
        let [silent, healthy, faulty] = [PathState::Silent, PathState::Healthy, PathState::Faulty];
        let paths = vec![path(1, 0, silent), path(1, 1, healthy), path(2, 0, silent), path(2, 1, faulty)];
        let text = status_of("alpha", &Names::default(), &Status { paths, ..Status::default() });
        let states = text.split_whitespace().filter_map(|word| word.strip_prefix("state=")).skip(1);
        assert_eq!(states.collect::<Vec<_>>(), ["probation", "healthy", "silent", "faulty"]);
    }

    #[test]
    fn where_the_token_rests_stands_with_the_ring() {
        let [one, two] = [1, 2].map(|number| DaemonId(0x0a00_0000 + number));
        let ring = crate::wire::RingId { sequence: 1, representative: one };
        let kind = crate::ring::ConfigurationKind::Regular;
        let configuration = crate::ring::Configuration { kind, ring, members: vec![one, two], next: None };
        for (rests_at, said) in [(None, "-"), (Some(two), "10.0.0.2")] {
            let status = Status { configuration: Some(configuration.clone()), rests_at, ..Status::default() };
            let records = [status_of, ring_of].map(|of| of("alpha", &Names::default(), &status));
            let line = format!("ring id=10.0.0.1/1 daemons=2 members=10.0.0.1,10.0.0.2 rests_at={said}");
            records.iter().for_each(|text| assert_eq!(text.lines().nth(1), Some(&*line), "{text}"));
        }
    }

    /// All kinds of records, each with all its keys.
    fn everything() -> String {
        let daemon = DaemonId(0x0a00_0002);
        let path = path(daemon.0, 0, PathState::Faulty);
        let ring = crate::wire::RingId { sequence: 1, representative: daemon };
        let kind = crate::ring::ConfigurationKind::Regular;
        let status = Status {
            configuration: Some(crate::ring::Configuration { kind, ring, members: vec![daemon], next: None }),
            paths: vec![path],
            matrix: vec![Hearing { by: daemon, of: daemon, networks: Networks::NONE }],
            links: vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }],
            waits_for: Some(vec![daemon]),
            differing: vec![(daemon, multipath::Differs::default())],
            ..Status::default()
        };
        let names = Names { daemons: vec![(daemon, "beta".to_owned())], networks: vec![] };
        let session =
            SessionLine { id: SessionId(1), name: String::new(), from: String::new(), groups: 0, frames: 0, bytes: 0 };
        let lists =
            Lists { groups: vec![("g".to_owned(), 1, 1)], sessions: vec![session], more_groups: 1, more_sessions: 0 };
        let event = Happening { number: 1, at_ms: 1, event: "path", text: String::new() };
        [
            status_of("alpha", &names, &status),
            ring_of("alpha", &names, &status),
            counters(&status),
            events(&[event], &Labels::default()),
            events(&[], &Labels::default()),
            groups(&lists),
            sessions(&lists),
        ]
        .concat()
    }

    #[test]
    fn the_manual_explains_every_key() {
        let page = include_str!("../../docs/man/spmonitor.1");
        let all = everything();
        let mut kinds = 0;
        for line in all.lines() {
            let kind = line.split(' ').next().unwrap_or_default();
            let section = page.split(".Ss ").find(|section| section.lines().next() == Some(kind));
            let section = section.unwrap_or_else(|| panic!("spmonitor.1 has no part {kind}"));
            let explained: Vec<&str> = section
                .lines()
                .filter_map(|line| line.strip_prefix(".It Li "))
                .flat_map(|names| names.split(" , "))
                .collect();
            let text = line.find(" text=").map(|_| "text");
            let front = line.split(" text=").next().unwrap_or_default();
            let keys = front.split(' ').skip(1).filter_map(|word| word.split('=').next()).chain(text);
            keys.for_each(|key| assert!(explained.contains(&key), "spmonitor.1, {kind}: {key}"));
            kinds += 1;
        }
        assert!(kinds > 100);
    }

    #[test]
    fn every_record_is_a_line_of_keys_and_values() {
        let path = Path {
            daemon: DaemonId(0x0a00_0002),
            network: NetworkId(1),
            state: PathState::Faulty,
            since: Instant::from_millis(1000),
            last: None,
            heard: 7,
            first: 3,
            loss: Some(12),
            loss_there: None,
            round_trip: Some(Duration::from_micros(250)),
        };
        let hearing = |networks| Hearing { by: path.daemon, of: DaemonId(0x0a00_0003), networks };
        let matrix = vec![hearing(Networks::first(2)), hearing(Networks::NONE)];
        let status = Status {
            ring_state: "operational",
            clients: 2,
            paths: vec![path],
            matrix,
            links: vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }],
            enabled: Networks::from(NetworkId(1)),
            policy: Policy::Copies(2),
            priorities: vec![7],
            at: Instant::from_millis(3500),
            ..Status::default()
        };
        let text = status_of("alpha", &Names::default(), &status);
        let lines: Vec<&str> = text.lines().collect();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(lines[0], format!("daemon name=alpha version={version} state=operational clients=2"));
        assert_eq!(lines[2], "times section=ring key=token_rotation count=0 p50_us=- p99_us=-");
        assert_eq!(lines[5], "seal key=- keys=- newest_waits_for=-");
        assert_eq!(lines[6], "data policy=active copies=2");
        let network = "network network=0 link=up switched=off drill=off priority=7 sent=0 ";
        assert!(lines[7].starts_with(network), "{}", lines[7]);
        assert_eq!(
            lines[8],
            "path daemon=10.0.0.2 network=1 name=- state=faulty for_s=2 loss_percent=12 loss_there_percent=- round_trip_us=250 heard=7 first=3"
        );
        assert_eq!(lines[9], "matrix daemon=10.0.0.2 hears=10.0.0.3 networks=0,1");
        assert_eq!(lines[10], "matrix daemon=10.0.0.2 hears=10.0.0.3 networks=-");
        assert!(lines.iter().all(|line| line.split(' ').skip(1).all(|word| word.split('=').count() == 2)), "{text}");
    }
}
