//! The live display at a terminal: one screen with the state of ring, networks and paths, and how much they carry.
//!
//! A picture is never wider or higher than the terminal. Problems come first, and a last line counts the rows that do not fit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::control::{Record, records};

/// Columns and lines of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Lines.
    pub lines: usize,
}

/// The terminal behind standard output, if it is one.
pub fn terminal() -> Option<Size> {
    let (terminal_size::Width(columns), terminal_size::Height(lines)) =
        terminal_size::terminal_size_of(std::io::stdout())?;
    // A smaller size is not real: the system does not know the size.
    Some(Size { columns: usize::from(columns).max(40), lines: usize::from(lines).max(10) })
}

/// Cuts a picture to a terminal's size without its last line, where the cursor stays. Adds how many lines are missing.
pub fn fit(text: &str, size: Size) -> String {
    let room = size.lines - 1;
    let all: Vec<&str> = text.lines().collect();
    let shown = if all.len() > room { room - 1 } else { all.len() };
    let mut lines: Vec<String> = all[..shown].iter().map(|line| clip(line, size.columns)).collect();
    if shown < all.len() {
        lines.push(format!("… and {} more lines", all.len() - shown));
    }
    lines.join("\n")
}

/// Cuts a picture to a terminal's size, but keeps the heading and the last rows.
pub fn fit_end(text: &str, size: Size) -> String {
    let (heading, rows) = text.split_once('\n').unwrap_or((text, ""));
    let rows: Vec<&str> = rows.lines().collect();
    let latest = rows.len().saturating_sub(size.lines - 2);
    let lines: Vec<String> = [heading].iter().chain(&rows[latest..]).map(|line| clip(line, size.columns)).collect();
    lines.join("\n")
}

fn clip(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns - 1).chain(['…']).collect()
}

/// Makes pictures of the answers to `status`, with rates between two of them.
#[derive(Default)]
pub struct Live {
    before: Option<(Instant, BTreeMap<String, u64>)>,
}

impl Live {
    /// The picture of an answer that came now.
    pub fn picture(&mut self, answer: &str, now: Instant, size: Size) -> String {
        let all: Vec<Record<'_>> = records(answer).collect();
        let counted = counted(&all);
        let before = self.before.take();
        let rates = Rates { now: &counted, before: before.as_ref().map(|(at, counted)| (now - *at, counted)) };
        let mut lines = head(&all, &rates);
        lines.push(String::new());
        lines.extend(networks(&all, &rates));
        lines.push(String::new());
        let room = (size.lines - 1).saturating_sub(lines.len());
        lines.extend(paths(&all, room));
        self.before = Some((now, counted));
        fit(&lines.join("\n"), size)
    }
}

/// The numbers that only grow, by name.
fn counted(records: &[Record<'_>]) -> BTreeMap<String, u64> {
    let number = |record: &Record<'_>, key: &str| record.value(key).parse().unwrap_or(0);
    let mut all = BTreeMap::new();
    for record in records {
        match record.kind {
            "traffic" => _ = all.insert("messages".to_owned(), number(record, "messages")),
            "network" => {
                let name = |what: &str| format!("{what} {}", record.value("network"));
                for key in ["sent", "received"] {
                    all.insert(name(key), number(record, key));
                }
                let lost = ["congested", "failed", "unsent", "lost_in_drill"].map(|key| number(record, key));
                all.insert(name("lost"), lost.iter().sum());
            }
            _ => {}
        }
    }
    all
}

/// How fast numbers grow.
struct Rates<'a> {
    now: &'a BTreeMap<String, u64>,
    before: Option<(Duration, &'a BTreeMap<String, u64>)>,
}

impl Rates<'_> {
    /// The rate per second; a dash before it is known.
    fn of(&self, name: &str) -> String {
        let Some((time, before)) = &self.before else { return "-".to_owned() };
        let (Some(now), Some(before)) = (self.now.get(name), before.get(name)) else { return "-".to_owned() };
        // A daemon that was started again counts from 0.
        let grown = now.checked_sub(*before).unwrap_or(*now);
        format!("{:.0}", grown as f64 / time.as_secs_f64().max(0.001))
    }
}

/// The lines at the top: daemon, ring and traffic.
fn head(records: &[Record<'_>], rates: &Rates<'_>) -> Vec<String> {
    let of = |kind: &'static str| records.iter().filter(move |record| record.kind == kind);
    let value = |kind: &'static str, key: &str| of(kind).next().map_or("-", |record| record.value(key)).to_owned();
    let (all, out): (Vec<_>, Vec<_>) = of("member").map(|member| (member.value("name"), member.value("ring"))).unzip();
    let out: Vec<&str> = all.iter().zip(out).filter(|(_, place)| *place == "out").map(|(name, _)| *name).collect();
    let copies = value("data", "copies");
    let policy =
        format!("{}{}", value("data", "policy"), if copies == "-" { String::new() } else { format!(" {copies}") });
    let mut lines = vec![format!(
        "{}  {}  ring of {} of {} daemons  {} clients  policy {policy}",
        value("daemon", "name"),
        value("daemon", "state"),
        value("ring", "daemons"),
        all.len(),
        value("daemon", "clients"),
    )];
    let took = |key: &str| {
        let times = of("times").find(|record| record.value("key") == key);
        let [half, most] = ["p50_us", "p99_us"].map(|at| times.map_or("-".to_owned(), |it| micros(it.value(at))));
        format!("{half}, 99 %: {most}")
    };
    lines.push(format!(
        "{} messages/s  delivery {}  token {}",
        rates.of("messages"),
        took("delivery"),
        took("token_rotation")
    ));
    if !out.is_empty() {
        lines.push(format!("not in the ring: {}", out.join(", ")));
    }
    let name = |daemon: &str| {
        let known = of("member").find(|member| member.value("daemon") == daemon);
        known.map_or(daemon, |member| member.value("name")).to_owned()
    };
    if let Some(next) = of("next").next() {
        let daemons: Vec<String> = next.value("waits_for").split(',').map(name).collect();
        lines.push(format!("a new file waits for {}", daemons.join(", ")));
    }
    for differs in of("differs") {
        lines.push(format!("the file of {} differs in {}", name(differs.value("daemon")), differs.value("in")));
    }
    lines
}

fn networks(records: &[Record<'_>], rates: &Rates<'_>) -> Vec<String> {
    let mut lines = vec![row(["network", "name", "link", "switched", "drill"], ["sent/s", "received/s", "dropped/s"])];
    for record in records.iter().filter(|record| record.kind == "network") {
        let [number, name, link] = ["network", "name", "link"].map(|key| record.value(key));
        let [sent, received, lost] = ["sent", "received", "lost"].map(|what| rates.of(&format!("{what} {number}")));
        let front = [number, &*clip(name, 12), link, record.value("switched"), record.value("drill")];
        lines.push(row(front, [&sent, &received, &lost]));
    }
    lines
}

fn row(front: [&str; 5], back: [&str; 3]) -> String {
    let ([network, name, link, switched, drill], [sent, received, lost]) = (front, back);
    format!("{network:8} {name:12}  {link:5} {switched:9} {drill:5} {sent:>10} {received:>11} {lost:>10}")
        .trim_end()
        .to_owned()
}

/// The paths, unhealthy ones first, in at most `room` lines.
fn paths(records: &[Record<'_>], room: usize) -> Vec<String> {
    let heading = ["daemon", "network", "state", "for", "loss", "loss there", "round trip"];
    let mut lines = vec![path(heading)];
    let mut all: Vec<&Record<'_>> = records.iter().filter(|record| record.kind == "path").collect();
    // A stable sort, so that both parts keep the daemon's order.
    all.sort_by_key(|record| record.value("state") == "healthy");
    let shown = if all.len() + 1 > room { room.saturating_sub(2) } else { all.len() };
    for record in &all[..shown] {
        let address = record.value("daemon");
        let member = records.iter().find(|it| it.kind == "member" && it.value("daemon") == address);
        let percent = |key: &str| match record.value(key) {
            "-" => "-".to_owned(),
            loss => format!("{loss} %"),
        };
        let time = record.value("for_s").parse().map_or_else(|_| "-".to_owned(), seconds);
        lines.push(path([
            &clip(member.map_or(address, |member| member.value("name")), 20),
            record.value("network"),
            record.value("state"),
            &time,
            &percent("loss_percent"),
            &percent("loss_there_percent"),
            &micros(record.value("round_trip_us")),
        ]));
    }
    let rest = &all[shown..];
    if !rest.is_empty() {
        let ill = rest.iter().filter(|record| record.value("state") != "healthy").count();
        let how = if ill == 0 { "all healthy".to_owned() } else { format!("{ill} of them not healthy") };
        lines.push(format!("… and {} more paths, {how}", rest.len()));
    }
    lines
}

fn path([daemon, network, state, time, loss, there, trip]: [&str; 7]) -> String {
    let mut line = format!("{daemon:20}  {network:7}  {state:9}  {time:>7}  {loss:>5}  ");
    let _ = write!(line, "{there:>10}  {trip:>10}");
    line
}

/// Microseconds in a suitable unit.
fn micros(value: &str) -> String {
    match value.parse::<f64>() {
        Err(_) => "-".to_owned(),
        Ok(micros) if micros < 1000.0 => format!("{micros:.0} us"),
        Ok(micros) if micros < 1e6 => format!("{:.1} ms", micros / 1e3),
        Ok(micros) => format!("{:.1} s", micros / 1e6),
    }
}

/// Seconds in a suitable unit.
fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 80, lines: 24 };

    fn answer(daemons: usize, networks: usize, sent: u64) -> String {
        let mut text = String::from("daemon name=a-name-of-nineteen1 version=0 state=operational clients=10000\n");
        let _ = writeln!(text, "ring id=1 daemons={daemons} members=x\ntraffic messages={sent}");
        text += "times section=ring key=token_rotation count=1 p50_us=999 p99_us=1500\n";
        text += "times section=ring key=delivery count=0 p50_us=- p99_us=-\ndata policy=active copies=2\n";
        text += "next waits_for=10.0.0.1\ndiffers daemon=10.0.0.1 in=ids,names,addresses,networks,policy,timers\n";
        for daemon in 0..daemons {
            let place = if daemon == 1 { "out" } else { "in" };
            let _ = writeln!(text, "member daemon=10.0.0.{daemon} name=a-name-of-nineteen{daemon} ring={place}");
        }
        for network in 0..networks {
            let _ = writeln!(
                text,
                "network network={network} link=down switched=off drill=off priority=1 sent={sent} received=1 congested=0 failed=0 unsent=2 lost_in_drill=0 name=a-long-name-of-a-network"
            );
            for daemon in 0..daemons {
                let state = if daemon + 1 == daemons { "probation" } else { "healthy" };
                let _ = writeln!(
                    text,
                    "path daemon=10.0.0.{daemon} network={network} state={state} for_s=100000 loss_percent=100 loss_there_percent=- round_trip_us=12345678 heard=1 first=1"
                );
            }
        }
        text
    }

    fn shown(live: &mut Live, answer: &str, now: Instant) -> Vec<String> {
        let picture = live.picture(answer, now, SIZE);
        assert!(picture.lines().count() < 24, "{picture}");
        assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
        picture.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_picture_fits_a_small_terminal_whatever_there_is() {
        for (daemons, networks) in [(0, 0), (1, 1), (2, 8), (128, 1), (128, 8)] {
            shown(&mut Live::default(), &answer(daemons, networks, 7), Instant::now());
        }
        shown(&mut Live::default(), "", Instant::now());
    }

    #[test]
    fn what_is_not_well_stands_first_and_the_rest_is_counted() {
        let lines = shown(&mut Live::default(), &answer(30, 2, 7), Instant::now());
        let first = lines.iter().position(|line| line.starts_with("daemon ")).unwrap() + 1;
        assert!(lines[first].starts_with("a-name-of-nineteen29") && lines[first].contains("probation"), "{lines:#?}");
        assert!(lines[first + 2].contains("healthy"), "{lines:#?}");
        let rest = 60 - (lines.len() - first - 1);
        assert_eq!(lines.last().unwrap(), &format!("… and {rest} more paths, all healthy"));
        assert_eq!(lines[2], "not in the ring: a-name-of-nineteen1");
        assert_eq!(lines[3], "a new file waits for a-name-of-nineteen1");
    }

    #[test]
    fn rates_are_known_from_the_second_picture_on() {
        let (mut live, start) = (Live::default(), Instant::now());
        assert!(shown(&mut live, &answer(2, 1, 100), start)[1].starts_with("- messages/s  delivery -, 99 %: -"));
        let lines = shown(&mut live, &answer(2, 1, 300), start + Duration::from_secs(2));
        assert!(
            lines[1].starts_with("100 messages/s") && lines[1].ends_with("token 999 us, 99 %: 1.5 ms"),
            "{lines:#?}"
        );
        let network = lines.iter().find(|line| line.starts_with("0 ")).unwrap();
        assert!(network.split_whitespace().any(|word| word == "100"), "{network}");
        // It was started again.
        assert!(shown(&mut live, &answer(2, 1, 50), start + Duration::from_secs(3))[1].starts_with("50 messages/s"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let text = (0..30).map(|n| format!("{n} {}\n", "x".repeat(100))).collect::<String>();
        let fitted = fit(&text, SIZE);
        assert_eq!(fitted.lines().count(), 23);
        assert_eq!(fitted.lines().last(), Some("… and 8 more lines"));
        assert_eq!(fitted.lines().next().unwrap().chars().count(), 80);
    }
}
