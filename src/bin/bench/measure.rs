//! One measurement: runs a case once on a system whose daemons run, and makes its record. A record is a line of JSON. It is bad if
//! messages were lost, repeated, damaged or out of order.

use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::crew::{Crew, Site, processor_micros, processor_nanos};
use super::histogram::Histogram;
use super::library::Service;
use super::stamp;
use super::system::{Started, System};
use super::task::{Flow, Job};

/// How long after the end of a measurement its results may come.
const RESULT_PATIENCE: Duration = Duration::from_secs(60);
/// The part of the time before [`flow`] begins to count, as in the workers.
const WARM_UP: f64 = 0.2;
/// The most messages of all senders together that are on their way.
const CREDIT_LIMIT: u64 = 600;
/// Bytes of all messages on their way.
const CREDIT_BYTES: u64 = 8 << 20;
/// The time without messages before idle daemons are measured or a blow is dealt: before that the ring may not be settled.
const IDLE_LEAD: Duration = Duration::from_secs(4);
/// The case gap cuts its network after this part of the time, and heals it after twice this part.
const THIRD: f64 = 1.0 / 3.0;

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// throughput, latency, groups, sessions, gap or calm.
    pub name: &'static str,
    pub service: Service,
    pub size: usize,
    pub senders: usize,
    /// Messages a second of all senders; 0 for as many as possible.
    pub rate: f64,
    /// The rate as a part of the maximum, if it was chosen so.
    pub fraction: Option<f64>,
    pub seconds: f64,
    pub groups: usize,
    pub sessions: usize,
}

impl Case {
    /// A saturating flow.
    pub fn throughput(service: Service, size: usize, senders: usize, seconds: f64) -> Case {
        Case { name: "throughput", service, size, senders, rate: 0.0, fraction: None, seconds, groups: 1, sessions: 1 }
    }

    /// The name of the case in the progress line.
    pub fn title(&self) -> String {
        let Case { name, service, size, .. } = self;
        let service = service.name();
        match self.fraction {
            _ if *name == "membership" => "membership changes".to_owned(),
            Some(fraction) => format!("{name} of {service} {size} B at {:.0} %", fraction * 100.0),
            None => format!("{name} of {service} {size} B"),
        }
    }

    fn flow(&self) -> Flow {
        let senders = self.senders.max(1) as u64;
        let by_bytes = (CREDIT_BYTES / self.size.max(1) as u64 / senders).max(2);
        Flow {
            senders: self.senders,
            service: self.service,
            size: self.size,
            rate: self.rate / senders as f64,
            credit: by_bytes.min(CREDIT_LIMIT / senders).clamp(2, 200),
            seconds: self.seconds,
            groups: self.groups,
            sessions: self.sessions,
            silence_micros: if self.name == "gap" { 1 } else { 0 },
        }
    }
}

/// Measures a flow. With a rig, the case `gap` cuts network 0 after a third of the time and heals it after two.
pub fn flow(site: &Site<'_>, system: &System, daemons: Option<&Started>, case: &Case) -> Result<Value, String> {
    let mut crew = Crew::start(site, system, &Job::Flow(case.flow()), 0)?;
    let begin = crew.go()? + nanos(case.seconds * WARM_UP);
    let (daemons, workers) = (daemons.map(Started::processes).unwrap_or_default(), crew.processes());
    site.wait_until(begin)?;
    let before = (processor_micros(&daemons), processor_micros(&workers));
    if let ("gap", Some(rig)) = (case.name, site.rig) {
        site.wait_until(begin + nanos(case.seconds * THIRD))?;
        rig.cut_network(0)?;
        site.wait_until(begin + nanos(case.seconds * 2.0 * THIRD))?;
        rig.mend()?;
    }
    let end = begin + nanos(case.seconds);
    site.wait_until(end)?;
    let used = (processor_micros(&daemons) - before.0, processor_micros(&workers) - before.1);
    let results = crew.results(0..site.workers, end + RESULT_PATIENCE.as_nanos() as u64)?;
    Ok(record(site, system, case, &results, used))
}

fn record(site: &Site<'_>, system: &System, case: &Case, results: &[Value], used: (u64, u64)) -> Value {
    let number = |result: &Value, key: &str| result[key].as_u64().unwrap_or(0);
    let sum = |key: &str| results.iter().map(|result| number(result, key)).sum::<u64>();
    let rates: Vec<f64> = results.iter().map(|result| number(result, "in_window") as f64 / case.seconds).collect();
    let rate = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let (mut latency, mut behind) = (Histogram::default(), Histogram::default());
    for result in results {
        latency.merge(&Histogram::from_json(&result["latency"]));
        behind.merge(&Histogram::from_json(&result["behind"]));
    }
    let sent = sum("sent");
    let missing = results.iter().map(|result| sent.saturating_sub(number(result, "received"))).sum::<u64>();
    let one_order = !case.service.is_total() || stamp::agree(&results.iter().map(notes).collect::<Vec<_>>());
    let bad = missing + sum("lost") + sum("repeated") + sum("damaged") + sum("further_missing") + sum("views");
    let messages = (rate * case.seconds).max(1.0);
    let mut record = json!({
        "record": "measurement", "case": case.name, "system": system.name, "service": case.service.name(),
        "size": case.size, "nodes": site.workers, "networks": site.rig.map(|rig| rig.networks()),
        "senders": case.senders, "rate": case.rate, "fraction": case.fraction, "seconds": case.seconds,
        "groups": case.groups, "sessions": case.sessions,
        "messages_per_s": rate, "least_per_s": rates.iter().copied().fold(f64::INFINITY, f64::min),
        "megabytes_per_s": rate * case.size as f64 / 1e6,
        "deliveries_per_s": rate * (site.workers * case.sessions) as f64,
        "latency_us": quantiles(&latency), "behind_p99_us": behind.quantile(0.99),
        "daemon_us_per_message": used.0 as f64 / messages, "client_us_per_message": used.1 as f64 / messages,
        "sent": sent, "missing": missing, "lost": sum("lost"), "repeated": sum("repeated"),
        "damaged": sum("damaged"), "views": sum("views"), "one_order": one_order, "ok": bad == 0 && one_order,
        "latency": latency.to_json(),
    });
    if case.name == "gap" {
        let longest = results.iter().filter_map(|result| result["longest_silence_us"].as_f64()).fold(0.0, f64::max);
        record["longest_silence_us"] = json!(longest);
        record["cut_at_us"] = json!(case.seconds * THIRD * 1e6);
        record["healed_at_us"] = json!(case.seconds * 2.0 * THIRD * 1e6);
        record["silences"] = json!(worst_silences(results, case.seconds));
    }
    record
}

fn notes(result: &Value) -> Vec<u64> {
    let notes = result["notes"].as_array().into_iter().flatten();
    notes.filter_map(|note| u64::from_str_radix(note.as_str()?, 16).ok()).collect()
}

/// Quantiles of the latency, in microseconds.
pub fn quantiles(histogram: &Histogram) -> Value {
    json!({
        "p50": histogram.quantile(0.5), "p90": histogram.quantile(0.9), "p99": histogram.quantile(0.99),
        "p999": histogram.quantile(0.999), "max": histogram.max_micros(),
    })
}

/// The longest silence of any receiver in each hundredth of the time: seconds from the beginning, and the silence in microseconds.
fn worst_silences(results: &[Value], seconds: f64) -> Vec<(f64, u64)> {
    const SLOTS: usize = 100;
    let mut worst = [0; SLOTS];
    let pairs = results.iter().flat_map(|result| result["silences"].as_array().into_iter().flatten());
    for (at, silence) in pairs.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_u64()?))) {
        let slot = (at as f64 / 1e6 / seconds * SLOTS as f64) as usize;
        worst[slot.min(SLOTS - 1)] = silence.max(worst[slot.min(SLOTS - 1)]);
    }
    let time = |slot: usize| slot as f64 * seconds / SLOTS as f64;
    worst.iter().enumerate().map(|(slot, &silence)| (time(slot), silence)).collect()
}

/// Measures how long joins and leaves take: until the member itself gets the view, and until all members get it.
pub fn joins(site: &Site<'_>, system: &System, rounds: usize) -> Result<Value, String> {
    let mut crew = Crew::start(site, system, &Job::Joins { rounds }, 1)?;
    let at = crew.go()?;
    let results = crew.results((0..=site.workers).rev(), at + RESULT_PATIENCE.as_nanos() as u64)?;
    let times =
        |value: &Value| -> Vec<u64> { value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect() };
    let (began, own) = (times(&results[0]["began"]), times(&results[0]["own"]));
    let seen: Vec<Vec<u64>> = results[1..].iter().map(|result| times(&result["seen"])).collect();
    let ok = began.len() == 2 * rounds && seen.iter().all(|seen| seen.len() == 2 * rounds);
    let (mut first, mut all) = (Histogram::default(), Histogram::default());
    for (change, &began) in began.iter().enumerate() {
        first.add(own.get(change).copied().unwrap_or(began).saturating_sub(began));
        let last = seen.iter().filter_map(|seen| seen.get(change)).max().copied().unwrap_or(began);
        all.add(last.saturating_sub(began));
    }
    Ok(json!({
        "record": "measurement", "case": "membership", "system": system.name, "nodes": site.workers, "ok": ok,
        "changes": began.len(), "own_us": quantiles(&first), "all_us": quantiles(&all), "latency": all.to_json(),
    }))
}

/// Measures the processor time of the daemons while each has a client in the group and nothing is sent.
pub fn idle(site: &Site<'_>, system: &System, daemons: &Started, seconds: f64) -> Result<Value, String> {
    let mut crew = Crew::start(site, system, &Job::Watch { members: site.workers }, 0)?;
    site.wait_until(crew.go()? + IDLE_LEAD.as_nanos() as u64)?;
    let used = || daemons.processes().iter().map(|&process| processor_nanos(process)).collect::<Vec<_>>();
    let (begin, before) = (clock::now(), used());
    site.wait_until(begin + nanos(seconds))?;
    let (after, lasted) = (used(), clock::now() - begin);
    let part = |(after, before): (&u64, &u64)| after.saturating_sub(*before) as f64 / lasted as f64 * 100.0;
    let parts: Vec<f64> = after.iter().zip(&before).map(part).collect();
    Ok(json!({
        "record": "measurement", "case": "idle", "system": system.name, "nodes": site.workers, "seconds": seconds,
        "networks": site.rig.map(|rig| rig.networks()), "ok": true, "daemon_percent": parts.iter().copied().fold(0.0, f64::max),
        "daemons_percent": parts,
    }))
}

/// A failure of a daemon that the benchmark causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is killed (SIGKILL); afterwards a new one is started.
    Kill,
    /// It is stopped (SIGSTOP), and continues afterwards.
    Stop,
    /// Its cables are cut, and repaired afterwards.
    Cut,
    /// It ends in order (SIGTERM); afterwards a new one is started.
    Leave,
}

/// Whether to cause the failure or to repair it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Strike,
    Mend,
}

impl Blow {
    pub const ALL: [Blow; 4] = [Blow::Kill, Blow::Stop, Blow::Cut, Blow::Leave];

    /// The name of the case in records.
    fn case(self) -> &'static str {
        match self {
            Blow::Kill => "crash",
            Blow::Stop => "stop",
            Blow::Cut => "cut",
            Blow::Leave => "leave",
        }
    }
}

/// How long a host is cut off.
const CUT_SPAN: Duration = Duration::from_secs(3);

/// Causes a failure of the last daemon and repairs it, while watchers at the other daemons report their views. A daemon that is started anew gets a
/// new watcher. `strike` causes and repairs the failure, and returns when that happened.
pub fn blow(
    site: &Site<'_>,
    system: &System,
    blow: Blow,
    seconds: u64,
    mut strike: impl FnMut(Step) -> Result<u64, String>,
) -> Result<Value, String> {
    let last = site.workers - 1;
    let job = Job::Watch { members: site.workers };
    let mut crew = Crew::start(site, system, &job, 0)?;
    let begun = crew.go()?;
    site.wait_until(begun + IDLE_LEAD.as_nanos() as u64)?;
    let end = |from: u64| from + nanos(seconds as f64);
    let struck = strike(Step::Strike)?;
    let missed = crew.results(0..last, end(struck))?;
    if blow == Blow::Cut {
        // Until the daemon that is cut off has noticed it too.
        site.wait_until(struck + CUT_SPAN.as_nanos() as u64)?;
    }
    let mended = strike(Step::Mend)?;
    if matches!(blow, Blow::Kill | Blow::Leave) {
        crew.replace(last, system, &job)?;
    }
    let back = crew.results(0..last, end(mended))?;
    let latest = |results: &[Value], from: u64| -> f64 {
        let at = results.iter().filter_map(|result| result["view_at"].as_u64()).max().unwrap_or(from);
        at.saturating_sub(from) as f64 / 1e6
    };
    let complete = |results: &[Value], members: usize| results.iter().all(|result| result["members"] == json!(members));
    Ok(json!({
        "record": "measurement", "case": blow.case(), "system": system.name, "nodes": site.workers,
        "told_ms": latest(&missed, struck), "back_ms": latest(&back, mended),
        "ok": complete(&missed, last) && complete(&back, site.workers),
    }))
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
