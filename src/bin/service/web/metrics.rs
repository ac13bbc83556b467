//! The daemon's counters, and the state of ring and paths, in the text format of Prometheus.
//!
//! A count is `torc_SECTION_KEY_total`, a level is `torc_SECTION_KEY`, and times are the histogram `torc_SECTION_KEY_seconds`. The help text
//! is the counter's comment in the source. So a new counter appears here without a change.

use std::collections::BTreeMap;
use std::fmt::Write;

use spread::counters::{Counter, Times, Value};
use spread::daemon::{PathState, Status};
use spread::wire::NetworkId;

/// One metric with its samples.
struct Family {
    help: String,
    kind: &'static str,
    samples: Vec<String>,
}

/// All families by name.
#[derive(Default)]
struct Families(BTreeMap<String, Family>);

/// All metrics of the daemon of this name.
pub fn text(name: &str, status: &Status) -> String {
    let mut families = Families::default();
    let version = env!("CARGO_PKG_VERSION");
    families.gauge("torc_info", "The daemon that this is.", &[("name", name), ("version", version)], 1.0);
    let operational = f64::from(u8::from(status.ring_state == "operational"));
    families.gauge("torc_ring_operational", "Whether there is a ring: 1 or 0.", &[], operational);
    let members = status.configuration.as_ref().map_or(0, |it| it.members.len());
    families.gauge("torc_ring_members", "Daemons in the ring.", &[], members as f64);
    families.gauge("torc_client_connections", "Clients that are connected.", &[], status.clients as f64);
    for (link, network) in status.links.iter().zip(0_u8..) {
        let labels = [("network", &*network.to_string())];
        families.gauge("torc_network_up", "Whether our side of a network works: 1 or 0.", &labels, flag(link.up));
        let enabled = flag(status.enabled.has(NetworkId(network)));
        families.gauge("torc_network_enabled", "Whether a network is switched on: 1 or 0.", &labels, enabled);
    }
    for path in &status.paths {
        let (daemon, network) = (path.daemon.to_string(), path.network.0.to_string());
        let labels = [("daemon", &*daemon), ("network", &*network)];
        let healthy = flag(path.state == PathState::Healthy);
        families.gauge("torc_path_healthy", "Whether a daemon is heard well on a network: 1 or 0.", &labels, healthy);
        if let Some(loss) = path.loss {
            let help = "Part of the latest reports of a daemon that did not come on a network, 0 to 1.";
            families.gauge("torc_path_loss_ratio", help, &labels, f64::from(loss) / 100.0);
        }
        if let Some(trip) = path.round_trip {
            let help = "Time to a daemon and back on a network, smoothed.";
            families.gauge("torc_path_round_trip_seconds", help, &labels, trip.as_secs_f64());
        }
    }
    status.visit(&mut |network, Counter { section, key, meaning, value }| {
        let name = format!("torc_{section}_{key}");
        let network = network.map(|network| network.0.to_string());
        let labels: Vec<(&str, &str)> = network.iter().map(|network| ("network", &**network)).collect();
        match value {
            Value::Count(value) => families.add(&format!("{name}_total"), meaning, "counter", &labels, value as f64),
            Value::Level(value) => families.gauge(&name, meaning, &labels, value as f64),
            Value::Times(times) => families.times(&format!("{name}_seconds"), meaning, &labels, &times),
        }
    });
    families.text()
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

impl Families {
    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.add(name, help, "gauge", labels, value);
    }

    fn add(&mut self, name: &str, help: &str, kind: &'static str, labels: &[(&str, &str)], value: f64) {
        self.family(name, help, kind).samples.push(sample(name, labels, value));
    }

    /// A histogram. Buckets are cumulative, as Prometheus wants them: each one includes those before it.
    fn times(&mut self, name: &str, help: &str, labels: &[(&str, &str)], times: &Times) {
        let family = self.family(name, help, "histogram");
        let mut up_to = 0;
        let bounds = times.ranges().map(|(bound, count)| {
            up_to += count;
            (bound.as_secs_f64().to_string(), up_to)
        });
        for (bound, count) in bounds.chain([("+Inf".to_owned(), times.count())]) {
            let labels = [labels, &[("le", &bound)]].concat();
            family.samples.push(sample(&format!("{name}_bucket"), &labels, count as f64));
        }
        family.samples.push(sample(&format!("{name}_sum"), labels, times.sum().as_secs_f64()));
        family.samples.push(sample(&format!("{name}_count"), labels, times.count() as f64));
    }

    fn family(&mut self, name: &str, help: &str, kind: &'static str) -> &mut Family {
        let new = || Family { help: help.replace('\\', "\\\\"), kind, samples: Vec::new() };
        self.0.entry(name.to_owned()).or_insert_with(new)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, Family { help, kind, samples }) in &self.0 {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}\n", samples.join("\n"));
        }
        text
    }
}

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    format!("{name}{labels} {value}")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_its_help_and_type_once_and_one_sample_a_line() {
        let text = text("al\"pha", &Status::default());
        assert!(text.contains("torc_info{name=\"al\\\"pha\",version=\""), "{text}");
        let helps: Vec<&str> = text.lines().filter(|line| line.starts_with("# HELP ")).collect();
        let mut names: Vec<&str> = helps.iter().filter_map(|line| line.split(' ').nth(2)).collect();
        assert!(names.len() > 60 && names.is_sorted());
        names.dedup();
        assert_eq!(names.len(), helps.len());
        assert!(text.contains("\ntorc_gathers_token_lost_total 0\n"), "{text}");
        assert!(text.contains("# TYPE torc_clients_memory_bytes gauge\ntorc_clients_memory_bytes 0\n"), "{text}");
        assert!(text.contains("# TYPE torc_ring_delivery_seconds histogram\n"), "{text}");
        assert!(text.contains("\ntorc_ring_delivery_seconds_bucket{le=\"0.00001\"} 0\n"), "{text}");
        assert!(text.contains("_bucket{le=\"+Inf\"} 0\ntorc_ring_delivery_seconds_sum 0\n"), "{text}");
    }
}
