//! Plays one history for each seed, some twice, and says how to repeat the first that failed.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use spread::time::Duration;

use crate::checker::Violation;
use crate::faults::Plan;
use crate::world::{Log, Tally};

/// What a history came to.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub digest: u64,
    pub tally: Tally,
    pub simulated: Duration,
    /// How long it took until the ring was whole after the last fault.
    pub healing: Duration,
}

/// A test's way from a seed to an outcome.
pub type History = fn(u64, Log) -> Result<Outcome, Violation>;

/// Plays the histories that the environment asks for. `test` is the name of the test, to repeat one.
pub fn play(test: &str, history: History) {
    if let Some(seed) = variable("TORC_SIM_SEED") {
        let log = if variable("TORC_SIM_LOG").is_some() { Log::Datagrams } else { Log::Events };
        println!("{:?}", Plan::draw(number(&seed)));
        let outcome = history(number(&seed), log);
        println!("{outcome:?}");
        return outcome.map(drop).unwrap_or_else(|violation| panic!("{violation}"));
    }
    let mut failed = Vec::new();
    let mut total = Total::default();
    for seed in seeds() {
        match catch_unwind(AssertUnwindSafe(|| checked_history(seed, history))) {
            Ok(Ok(outcome)) => total.add(outcome),
            Ok(Err(violation)) => failed.push((seed, violation.to_string())),
            Err(_) => failed.push((seed, "panic".to_string())),
        }
    }
    println!("{total:?}, {} failed", failed.len());
    failed.iter().for_each(|(seed, failure)| println!("seed {seed}: {failure}"));
    if let Some((seed, failure)) = failed.first() {
        panic!("seed {seed}: {failure}\nrepeat: TORC_SIM_SEED={seed} cargo test --test sim {test} -- --nocapture");
    }
}

/// A history, and for some seeds the same once more.
fn checked_history(seed: u64, history: History) -> Result<Outcome, Violation> {
    let outcome = history(seed, Log::Nothing)?;
    if seed.is_multiple_of(20) {
        let again = history(seed, Log::Nothing)?;
        assert_eq!(outcome.digest, again.digest, "one seed is one history");
    }
    Ok(outcome)
}

/// The sum over all histories.
#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    simulated: Duration,
    slowest_healing: Duration,
    configurations: u64,
    delivered: u64,
    datagrams: u64,
    lost: u64,
    duplicated: u64,
    cut: u64,
    mangled: u64,
}

impl Total {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.slowest_healing = self.slowest_healing.max(outcome.healing);
        self.configurations += outcome.tally.configurations;
        self.delivered += outcome.tally.delivered;
        self.datagrams += outcome.tally.datagrams;
        self.lost += outcome.tally.lost;
        self.duplicated += outcome.tally.duplicated;
        self.cut += outcome.tally.cut;
        self.mangled += outcome.tally.mangled;
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(text: &str) -> u64 {
    text.trim().parse().expect("a seed is a number")
}

fn seeds() -> Range<u64> {
    match variable("TORC_SIM_SEEDS") {
        None => 0..200,
        Some(text) => match text.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&text),
        },
    }
}
