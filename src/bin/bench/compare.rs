//! Prints each record as a line for a person, and computes the ratios of systems that were measured in the same rounds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What is compared: its name, and its path in a record.
const METRICS: [(&str, &[&str]); 9] = [
    ("messages a second", &["messages_per_s"]),
    ("latency p50", &["latency_us", "p50"]),
    ("latency p99", &["latency_us", "p99"]),
    ("daemon time a message", &["daemon_us_per_message"]),
    ("time until all know a change, p50", &["all_us", "p50"]),
    ("longest silence", &["longest_silence_us"]),
    ("idle daemon, % of a processor", &["daemon_percent"]),
    ("others told", &["told_ms"]),
    ("back", &["back_ms"]),
];

/// The number at this path of a record.
pub fn number(record: &Value, path: &[&str]) -> Option<f64> {
    path.iter().fold(record, |value, key| &value[*key]).as_f64()
}

/// The title of a record's case, without its system.
pub fn title(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    match text("case") {
        "membership" => "joins and leaves".to_owned(),
        "crash" => "a daemon killed".to_owned(),
        "stop" => "a daemon stopped".to_owned(),
        "cut" => "a host cut off".to_owned(),
        "leave" => "a daemon ended in order".to_owned(),
        "idle" => "nothing sent".to_owned(),
        "latency" | "calm" => {
            let load = match number(record, &["fraction"]) {
                Some(fraction) => format!("{:.0} % of the maximum", fraction * 100.0),
                None => format!("{:.0} messages/s", number(record, &["rate"]).unwrap_or(0.0)),
            };
            format!("{} {} {} B at {load}", text("case"), text("service"), record["size"])
        }
        "groups" => format!("{} groups, {} {} B", record["groups"], text("service"), record["size"]),
        "sessions" => format!("{} sessions a daemon, {} {} B", record["sessions"], text("service"), record["size"]),
        case => format!("{case} {} {} B", text("service"), record["size"]),
    }
}

/// A record as a line; `None` for a record that is only for programs.
pub fn line(record: &Value) -> Option<String> {
    let value = |path: &[&str]| number(record, path).unwrap_or(f64::NAN);
    let quantiles = |what: &str| {
        let part = |part: &str| value(&[what, part]);
        format!("p50 {:.0} p99 {:.0} max {:.0} µs", part("p50"), part("p99"), part("max"))
    };
    let system = record["system"].as_str().unwrap_or_default();
    let verdict = if super::session::is_bad(record) { format!("  BAD: {}", faults(record)) } else { String::new() };
    let figures = match (record["record"].as_str()?, record["case"].as_str()?) {
        ("ratio", _) => {
            let (metric, against) = (record["metric"].as_str()?, record["against"].as_str()?);
            let (median, low, high) = (value(&["median"]), value(&["low"]), value(&["high"]));
            let pairs = &record["pairs"];
            return Some(format!(
                "ratio  {:45}  {metric}: {median:.2} × {against} ({low:.2} to {high:.2}, {pairs} pairs)",
                record["title"].as_str()?
            ));
        }
        ("measurement", "membership") => format!("own {}, all {}", quantiles("own_us"), quantiles("all_us")),
        ("measurement", "idle") => format!("daemons use {:.3} % of a processor at most", value(&["daemon_percent"])),
        ("measurement", "crash" | "stop" | "cut" | "leave") => {
            format!("others told after {:.0} ms, back after {:.0} ms", value(&["told_ms"]), value(&["back_ms"]))
        }
        ("measurement", "gap") => {
            let silence = value(&["longest_silence_us"]) / 1e3;
            format!("longest silence {silence:.1} ms, latency {}", quantiles("latency_us"))
        }
        ("measurement", _) => {
            let (rate, volume) = (value(&["messages_per_s"]), value(&["megabytes_per_s"]));
            let daemon = value(&["daemon_us_per_message"]);
            format!("{rate:8.0} messages/s {volume:7.1} MB/s  {}  {daemon:.1} µs/message", quantiles("latency_us"))
        }
        _ => return None,
    };
    Some(format!("{system:10} {:45}  {figures}{verdict}", title(record)))
}

fn faults(record: &Value) -> String {
    let keys = ["missing", "lost", "repeated", "damaged", "views"];
    let counted = keys.iter().filter_map(|&key| Some((key, record[key].as_u64().filter(|&count| count > 0)?)));
    let mut faults: Vec<String> = counted.map(|(key, count)| format!("{count} {key}")).collect();
    if record["one_order"] == json!(false) {
        faults.push("receivers had different orders".to_owned());
    }
    if faults.is_empty() { "incomplete".to_owned() } else { faults.join(", ") }
}

/// The records of a case, by round and system.
type Rounds<'a> = BTreeMap<(u64, &'a str), &'a Value>;

/// The ratios of the first system to each other one, pair by pair: the median and the range.
pub fn ratios(records: &[Value]) -> Vec<Value> {
    let measured = || records.iter().filter(|record| record["record"] == json!("measurement"));
    let Some(first) = measured().next().and_then(|record| record["system"].as_str()) else { return Vec::new() };
    let mut others: Vec<&str> = Vec::new();
    let mut pairs: BTreeMap<(usize, String), Rounds<'_>> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    for record in measured() {
        let (system, title) = (record["system"].as_str().unwrap_or_default(), title(record));
        if system != first && !others.contains(&system) {
            others.push(system);
        }
        let place = order.iter().position(|known| *known == title).unwrap_or_else(|| {
            order.push(title.clone());
            order.len() - 1
        });
        let round = record["round"].as_u64().unwrap_or(0);
        pairs.entry((place, title)).or_default().insert((round, system), record);
    }
    let mut ratios = Vec::new();
    for ((_, title), records) in &pairs {
        for other in &others {
            for (metric, path) in METRICS.iter().filter(|(_, path)| is_fair(title, path)) {
                let rounds = records.keys().filter(|(_, system)| *system == first).map(|(round, _)| *round);
                let ratio = |round| {
                    let of = |system| number(records.get(&(round, system))?, path).filter(|&number| number > 0.0);
                    Some(of(first)? / of(other)?)
                };
                let mut found: Vec<f64> = rounds.filter_map(ratio).collect();
                found.sort_by(f64::total_cmp);
                if let (Some(low), Some(high)) = (found.first(), found.last()) {
                    ratios.push(json!({
                        "record": "ratio", "case": "ratio", "title": title, "metric": metric, "system": first,
                        "against": other, "median": median(&found), "low": low, "high": high, "pairs": found.len(),
                    }));
                }
            }
        }
    }
    ratios
}

/// Rates are compared where both send as fast as they can, latencies where both send at the same rate.
fn is_fair(title: &str, path: &[&str]) -> bool {
    let paced = ["latency", "gap", "calm"].iter().any(|case| title.starts_with(case));
    match path[0] {
        "messages_per_s" => !paced,
        "latency_us" => paced,
        _ => true,
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(system: &str, round: u64, rate: f64) -> Value {
        json!({
            "record": "measurement", "case": "throughput", "service": "agreed", "size": 100, "system": system,
            "round": round, "messages_per_s": rate, "latency_us": { "p50": 1.0 }, "ok": true,
        })
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let rates = [(300.0, 100.0), (80.0, 40.0), (500.0, 100.0)];
        let pair = |(round, (ours, theirs)): (usize, &(f64, f64))| {
            [record("torc", round as u64, *ours), record("reference", round as u64, *theirs)]
        };
        let records: Vec<Value> = rates.iter().enumerate().flat_map(pair).collect();
        let ratios = ratios(&records);
        assert_eq!(ratios.len(), 1, "latency under saturation says nothing: {ratios:?}");
        let ratio = &ratios[0];
        assert_eq!((&ratio["median"], &ratio["low"], &ratio["high"]), (&json!(3.0), &json!(2.0), &json!(5.0)));
        assert!(line(ratio).unwrap().contains("3.00 × reference (2.00 to 5.00, 3 pairs)"));
        assert!(super::ratios(&records[..1]).is_empty());
    }

    #[test]
    fn a_bad_record_says_what_is_wrong() {
        let mut bad = record("torc", 0, 10.0);
        bad["ok"] = json!(false);
        bad["lost"] = json!(3);
        bad["one_order"] = json!(false);
        assert!(line(&bad).unwrap().ends_with("BAD: 3 lost, receivers had different orders"));
    }
}
