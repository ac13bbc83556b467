//! The report: one page of HTML with all charts and numbers. It needs no other files. It is also well-formed XML, so that other
//! programs can read it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compare::{number, title};
use super::histogram::Histogram;
use super::plot::{Axis, Chart, Series, amount, escape};
use super::session::is_bad;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2433; --soft: #667085; --rule: #d7dce5; --page: #fff; --card: #f7f8fa; --bad: #b42318;
  --c0: #1764ab; --c1: #d9590c; --c2: #0f8a62; --c3: #8e4ec6; --c4: #b98900; --c5: #c2255c; --c6: #3aa0c9; --c7: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #9aa4b5; --rule: #353c4a; --page: #14171d; --card: #1c2029;
  --bad: #ff8a7a; --c0: #6cb0f2; --c1: #ff9a5c; --c2: #4fd1a1; --c3: #c79bf0; --c4: #e7bd3f; --c5: #ff7fa8; --c6: #7fd0ee; --c7: #a3acba; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; } p { margin: .3rem 0 .8rem; color: var(--soft); }
figure { margin: 0; padding: .8rem; background: var(--card); border-radius: 8px; } svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--soft); } svg .label { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; } .line { fill: none; stroke-width: 2; stroke-linejoin: round; } .range { stroke-width: 6; opacity: .3; }
.band { fill: var(--bad); opacity: .12; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 0 0 .4rem; padding: 0; font-size: .9rem; }
.key { display: inline-block; width: 1.1rem; height: .22rem; margin-right: .45rem; vertical-align: middle; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; width: 100%; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child, th.text, td.text { text-align: left; }
.bad { color: var(--bad); font-weight: 600; }
";

/// Draws the records of a run.
pub fn page(records: &[Value]) -> String {
    let measured: Vec<&Value> = records.iter().filter(|record| record["record"] == json!("measurement")).collect();
    let body = [
        heading(records.iter().find(|record| record["record"] == json!("run"))),
        ratios(records),
        throughput(&measured),
        latency(&measured),
        gap(&measured),
        table(&measured),
    ];
    let colours: String = (0..super::plot::COLOURS).map(colour).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>spbench</title>\n\
         <style>{STYLE}{colours}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
        body.concat()
    )
}

fn colour(number: usize) -> String {
    format!(
        ".c{number} {{ stroke: var(--c{number}); }} .dot.c{number} {{ fill: var(--c{number}); }} .key.c{number} {{ background: var(--c{number}); }}\n"
    )
}

fn heading(run: Option<&Value>) -> String {
    let Some(run) = run else { return "<h1>spbench</h1>\n".to_owned() };
    let text = |key: &str| escape(run[key].as_str().unwrap_or_default());
    format!(
        "<h1>spbench</h1>\n<p>Version {}, {} daemons, {} networks. {} processors ({}), kernel {}, load at the start {}. \
         Arguments: <code>{}</code></p>\n",
        text("version"),
        run["nodes"],
        run["networks"],
        run["processors"],
        text("processor"),
        text("kernel"),
        text("load"),
        text("arguments")
    )
}

fn section(title: &str, words: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n<p>{}</p>\n{content}</section>\n", escape(title), escape(words))
}

fn figure(chart: &Chart, name: &str) -> String {
    format!("<figure>\n{}{}</figure>\n", chart.legend(), chart.svg(name))
}

fn ratios(records: &[Value]) -> String {
    let row = |record: &Value| {
        let value = |key: &str| format!("{:.2}", number(record, &[key]).unwrap_or(f64::NAN));
        let text = |key: &str| escape(record[key].as_str().unwrap_or_default());
        format!(
            "<tr><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{} to {}</td><td>{}</td></tr>\n",
            text("title"),
            text("metric"),
            text("against"),
            value("median"),
            value("low"),
            value("high"),
            record["pairs"]
        )
    };
    let rows: String = records.iter().filter(|record| record["record"] == json!("ratio")).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = "<tr><th>case</th><th class=\"text\">figure</th><th class=\"text\">against</th><th>median ratio</th><th>range</th><th>pairs</th></tr>";
    let words =
        "Each pair was measured one right after the other. A rate above 1 is faster, a time below 1 is shorter.";
    section("Side by side", words, &format!("<div class=\"scroll\"><table>{head}\n{rows}</table></div>\n"))
}

/// The records of a case, in groups that each become a line.
fn groups<'a>(records: &[&'a Value], case: &str, name: impl Fn(&Value) -> String) -> BTreeMap<String, Vec<&'a Value>> {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for record in records.iter().filter(|record| record["case"] == json!(case)) {
        groups.entry(name(record)).or_default().push(record);
    }
    groups
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

fn throughput(records: &[&Value]) -> String {
    let name = |record: &Value| format!("{}, {}", text(record, "system"), text(record, "service"));
    let line = |(name, records): (String, Vec<&Value>)| {
        let mut sizes: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for record in records {
            let rate = number(record, &["messages_per_s"]).unwrap_or(0.0);
            sizes.entry(record["size"].as_u64().unwrap_or(0)).or_default().push(rate);
        }
        sizes.values_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
        let points = sizes.iter().map(|(&size, rates)| (size as f64, rates[rates.len() / 2])).collect();
        let several = sizes.values().any(|rates| rates.len() > 1);
        let range = |rates: &Vec<f64>| (rates[0], rates[rates.len() - 1]);
        Series { name, points, ranges: if several { sizes.values().map(range).collect() } else { Vec::new() } }
    };
    let series: Vec<Series> = groups(records, "throughput", name).into_iter().map(line).collect();
    if series.is_empty() {
        return String::new();
    }
    let x = Axis { label: "bytes of a message", logarithmic: true, from: None, to: None };
    let y = Axis { label: "messages a second", logarithmic: true, from: None, to: None };
    let chart = Chart { x, y, series, band: None };
    let words = "The rate at every receiver while all senders send as fast as they can. With several rounds: the median and the range.";
    section("Throughput by size", words, &figure(&chart, "Throughput by size"))
}

fn latency(records: &[&Value]) -> String {
    let mut by_service = groups(records, "latency", |record| text(record, "service").to_owned());
    let figures = by_service.iter_mut().map(|(service, records)| {
        let name = |record: &Value| {
            let load = title(record);
            format!("{}, {}", text(record, "system"), load.rsplit(" at ").next().unwrap_or_default())
        };
        let line = |(name, records): (String, Vec<&Value>)| {
            let mut all = Histogram::default();
            records.iter().for_each(|record| all.merge(&Histogram::from_json(&record["latency"])));
            Series {
                name: format!("{name} ({} messages)", amount(all.total() as f64)),
                points: all.distribution(),
                ranges: vec![],
            }
        };
        let series = groups(records, "latency", name).into_iter().map(line).collect();
        let x = Axis { label: "microseconds from sending to receipt", logarithmic: true, from: None, to: None };
        let y = Axis { label: "part of all messages", logarithmic: false, from: Some(0.0), to: Some(1.0) };
        let chart = Chart { x, y, series, band: None };
        format!("<h3>{}</h3>\n{}", escape(service), figure(&chart, &format!("Latency, {service}")))
    });
    let figures: String = figures.collect();
    if figures.is_empty() {
        return String::new();
    }
    let words = "The part of all messages that arrived within a time, at parts of the maximum or at fixed rates.";
    section("Latency", words, &figures)
}

fn gap(records: &[&Value]) -> String {
    let line = |(name, records): (String, Vec<&Value>)| {
        let silences = records.iter().flat_map(|record| record["silences"].as_array().into_iter().flatten());
        let mut worst: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (at, micros) in silences.filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?))) {
            let point = worst.entry((at * 1e6) as u64).or_insert((at, 0.0));
            point.1 = point.1.max(micros / 1e3);
        }
        Series { name, points: worst.into_values().collect(), ranges: vec![] }
    };
    let gaps: Vec<&&Value> = records.iter().filter(|record| record["case"] == json!("gap")).collect();
    let Some(first) = gaps.first() else { return String::new() };
    let series = groups(records, "gap", |record| text(record, "system").to_owned()).into_iter().map(line).collect();
    let time = |key: &str| number(first, &[key]).map(|micros| micros / 1e6);
    let band =
        time("cut_at_us").zip(time("healed_at_us")).map(|(cut, healed)| (cut, healed, "network 0 carries nothing"));
    let x = Axis { label: "seconds", logarithmic: false, from: Some(0.0), to: number(first, &["seconds"]) };
    let y = Axis { label: "longest silence, ms", logarithmic: true, from: None, to: None };
    let words = "A network is cut under load and healed: the longest time without a message at any receiver, in each hundredth of the run.";
    section("Losing a network", words, &figure(&Chart { x, y, series, band }, "Losing a network"))
}

fn table(records: &[&Value]) -> String {
    const COLUMNS: [(&str, &[&str]); 11] = [
        ("messages/s", &["messages_per_s"]),
        ("MB/s", &["megabytes_per_s"]),
        ("p50 µs", &["latency_us", "p50"]),
        ("p99 µs", &["latency_us", "p99"]),
        ("max µs", &["latency_us", "max"]),
        ("daemon µs/message", &["daemon_us_per_message"]),
        ("all know, p50 µs", &["all_us", "p50"]),
        ("told, ms", &["told_ms"]),
        ("back, ms", &["back_ms"]),
        ("idle, %", &["daemon_percent"]),
        ("longest silence, µs", &["longest_silence_us"]),
    ];
    let head: String = COLUMNS.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let row = |record: &&Value| {
        let cell =
            |(_, path): &(&str, &[&str])| format!("<td>{}</td>", number(record, path).map_or(String::new(), amount));
        let cells: String = COLUMNS.iter().map(cell).collect();
        let verdict = if is_bad(record) { "<td class=\"bad\">bad</td>" } else { "<td>complete, in order</td>" };
        format!(
            "<tr><td>{}</td><td class=\"text\">{}</td>{cells}{verdict}</tr>\n",
            escape(&title(record)),
            escape(text(record, "system"))
        )
    };
    let rows: String = records.iter().map(row).collect();
    let words = "Every measurement. While they ran, each receiver checked loss, duplicates, damage and order.";
    let head = format!("<tr><th>case</th><th class=\"text\">system</th>{head}<th>messages</th></tr>");
    section("All figures", words, &format!("<div class=\"scroll\"><table>{head}\n{rows}</table></div>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency_record(system: &str, micros: u64) -> Value {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|n| histogram.add(n * micros * 1000));
        json!({
            "record": "measurement", "case": "latency", "system": system, "service": "agreed", "size": 1200,
            "fraction": 0.5, "ok": true, "latency": histogram.to_json(),
        })
    }

    #[test]
    fn a_page_has_a_line_for_every_system_and_load() {
        let page = page(&[latency_record("torc", 2), latency_record("a & b", 3)]);
        assert_eq!(page.matches("<polyline").count(), 2);
        assert!(page.contains("a &amp; b, 50 % of the maximum (100 messages)"), "{page}");
        assert!(!page.contains("Losing a network") && !page.contains("http://www.w3.org/2000"));
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        assert!(page(&[]).ends_with("</body>\n</html>\n"));
    }
}
