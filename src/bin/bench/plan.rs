//! The cases of a run, in their order.

use super::library::Service;
use super::measure::Case;

/// The cases by name.
pub const NAMES: [&str; 7] = ["throughput", "latency", "groups", "sessions", "gap", "membership", "calm"];
/// The default cases: without calm, which takes minutes.
pub const USUAL: [&str; 6] = ["throughput", "latency", "groups", "sessions", "gap", "membership"];
/// Messages a second of all senders together in the case calm.
const CALM_RATES: [f64; 4] = [100.0, 500.0, 2000.0, 10_000.0];
/// The size of messages in cases that are not about sizes.
const USUAL_SIZE: usize = 1200;
/// The rate of the gap's messages, of all senders together.
const GAP_RATE: f64 = 2000.0;
/// The shortest time for the case gap, in seconds.
const GAP_SECONDS: f64 = 3.0;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names out of [`NAMES`].
    pub cases: Vec<String>,
    pub services: Vec<Service>,
    pub sizes: Vec<usize>,
    /// Loads at which latency is measured, as parts of the maximum.
    pub fractions: Vec<f64>,
    /// More loads for latency, as messages a second of all senders.
    pub rates: Vec<f64>,
    pub senders: usize,
    pub seconds: f64,
    pub groups: usize,
    pub sessions: usize,
    /// Changes of a group's membership that are timed.
    pub changes: usize,
    /// Seconds over which the daemons' processor time is counted while nothing is sent.
    pub idle_seconds: f64,
}

impl Plan {
    pub fn has(&self, name: &str) -> bool {
        self.cases.iter().any(|case| case == name)
    }

    /// The case whose throughput is the maximum for the fractions.
    pub fn pilot(&self) -> Option<Case> {
        let wanted = self.has("latency") && !self.fractions.is_empty();
        wanted.then(|| self.flow("throughput", self.services[0], USUAL_SIZE, self.seconds.min(1.0)))
    }

    /// All flows, with `maximum` messages a second as the pilot has found them.
    pub fn flows(&self, maximum: Option<f64>, networks: usize) -> Vec<Case> {
        let each = |service: &Service| {
            let mut cases = Vec::new();
            if self.has("throughput") {
                cases.extend(self.sizes.iter().map(|&size| self.flow("throughput", *service, size, self.seconds)));
            }
            if self.has("latency") {
                let usual = || self.flow("latency", *service, USUAL_SIZE, self.seconds);
                let of_maximum = self.fractions.iter().filter_map(|&fraction| Some((fraction, maximum?)));
                let of_maximum = of_maximum.map(|(fraction, maximum)| (fraction * maximum, Some(fraction)));
                let rates = self.rates.iter().map(|&rate| (rate, None)).chain(of_maximum);
                cases.extend(rates.map(|(rate, fraction)| Case { rate, fraction, ..usual() }));
            }
            if self.has("calm") {
                let usual = || self.flow("calm", *service, USUAL_SIZE, self.seconds);
                cases.extend(CALM_RATES.iter().map(|&rate| Case { rate, ..usual() }));
            }
            cases
        };
        let mut cases: Vec<Case> = self.services.iter().flat_map(each).collect();
        let service = self.services[0];
        if self.has("groups") {
            cases.push(Case { groups: self.groups, ..self.flow("groups", service, 100, self.seconds) });
        }
        if self.has("sessions") {
            cases.push(Case { sessions: self.sessions, ..self.flow("sessions", service, 100, self.seconds) });
        }
        if self.has("gap") && networks > 1 {
            let seconds = self.seconds.max(GAP_SECONDS);
            cases.push(Case { rate: GAP_RATE, ..self.flow("gap", service, USUAL_SIZE, seconds) });
        }
        cases
    }

    /// How many measurements a system has in one round, the pilot left out.
    pub fn len(&self, networks: usize) -> usize {
        let more = ["membership", "calm"].iter().filter(|name| self.has(name)).count();
        self.flows(Some(1.0), networks).len() + more
    }

    fn flow(&self, name: &'static str, service: Service, size: usize, seconds: f64) -> Case {
        Case { name, ..Case::throughput(service, size, self.senders, seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cases: &[&str]) -> Plan {
        Plan {
            cases: cases.iter().map(|&case| case.to_owned()).collect(),
            services: vec![Service::Agreed, Service::Safe],
            sizes: vec![100, 8000],
            fractions: vec![0.1, 0.5],
            rates: vec![2000.0],
            senders: 2,
            seconds: 1.0,
            groups: 10,
            sessions: 5,
            changes: 20,
            idle_seconds: 1.0,
        }
    }

    #[test]
    fn every_service_has_every_size_and_every_load() {
        let cases = plan(&["throughput", "latency"]).flows(Some(1000.0), 2);
        let rates: Vec<f64> = cases.iter().map(|case| case.rate).collect();
        assert_eq!(rates, [0.0, 0.0, 2000.0, 100.0, 500.0, 0.0, 0.0, 2000.0, 100.0, 500.0]);
        assert!(cases[5..].iter().all(|case| case.service == Service::Safe));
        assert_eq!(plan(&["latency"]).flows(None, 2).len(), 2, "without a maximum there are no parts of it");
    }

    #[test]
    fn calm_has_every_rate_for_every_service() {
        let cases = plan(&["calm"]).flows(None, 1);
        let rates: Vec<f64> = cases.iter().map(|case| case.rate).collect();
        assert_eq!(rates, [CALM_RATES, CALM_RATES].concat());
        assert_eq!(plan(&["calm"]).len(1), 9);
    }

    #[test]
    fn a_gap_needs_a_second_network() {
        assert!(plan(&["gap"]).flows(None, 1).is_empty());
        assert_eq!(plan(&["gap", "groups", "sessions", "membership"]).len(2), 4);
        assert_eq!(plan(&["gap"]).pilot(), None);
    }
}
