//! Plays one history for each seed, on all cores, some twice; reports what happened in them, and how to repeat those that failed.
//!
//! It stops early, with the report of what was played until then, when its time is over or the process is asked to end.

#![expect(clippy::disallowed_types, reason = "how long a run takes is told by a clock; no history sees it")]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::checker::Violation;
use crate::tally::Tally;
use crate::world::Log;

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

/// Seeds that are played if nothing else is asked for.
const SEEDS: u64 = 200;
/// One seed of so many is played twice.
const TWICE: u64 = 20;
/// Failures that are listed in full.
const LISTED: usize = 20;
const PROGRESS: Duration = Duration::from_secs(60);

/// Plays the histories that the environment asks for. `test` is the name of the test, to repeat one.
pub fn play(test: &str, history: History) {
    match variable("TORC_SIM_SEED") {
        Some(seed) => repeat(number(&seed), history),
        None => play_all(test, history),
    }
}

/// One history with everything that happens in it.
fn repeat(seed: u64, history: History) {
    let log = if variable("TORC_SIM_LOG").is_some() { Log::Datagrams } else { Log::Events };
    let outcome = history(seed, log).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{outcome:?}");
}

fn play_all(test: &str, history: History) {
    let run = Run::new(test, history);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let total = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| run.work())).collect();
        workers
            .into_iter()
            .fold(Total::default(), |total, worker| total.and(worker.join().expect("failures are caught")))
    });
    println!("{test}, seeds from {}:\n{}", run.seeds.start, total.report(run.begun.elapsed()));
    for (seed, failure) in total.failed.iter().take(LISTED) {
        println!("seed {seed}: {failure}");
    }
    if let Some((seed, failure)) = total.failed.first() {
        panic!("seed {seed}: {failure}\nrepeat: {}", command(test, *seed));
    }
}

fn command(test: &str, seed: u64) -> String {
    let daemons = daemons().map_or_else(String::new, |daemons| format!("TORC_SIM_DAEMONS={daemons} "));
    format!("{daemons}TORC_SIM_SEED={seed} cargo test --test sim {test} -- --nocapture")
}

/// What the workers share.
struct Run<'a> {
    test: &'a str,
    history: History,
    seeds: Range<u64>,
    next: AtomicU64,
    begun: Instant,
    until: Option<Instant>,
    asked_to_end: Arc<AtomicBool>,
    /// When the next line about the progress is due; none if nobody wants to see any.
    progress: Option<Mutex<Instant>>,
}

impl Run<'_> {
    fn new(test: &str, history: History) -> Run<'_> {
        let seeds = seeds();
        let begun = Instant::now();
        let asked_to_end = Arc::new(AtomicBool::new(false));
        let seconds = variable("TORC_SIM_SECONDS").map(|text| Duration::from_secs(number(&text)));
        let shown = variable("TORC_SIM_PROGRESS").is_some();
        if shown {
            for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
                signal_hook::flag::register(signal, Arc::clone(&asked_to_end)).expect("these signals can be caught");
            }
        }
        Run {
            test,
            history,
            next: AtomicU64::new(seeds.start),
            seeds,
            begun,
            until: seconds.map(|seconds| begun + seconds),
            asked_to_end,
            progress: shown.then(|| Mutex::new(begun + PROGRESS)),
        }
    }

    /// Plays seeds until there are none left.
    fn work(&self) -> Total {
        let (mut total, before) = (Total::default(), processor_time());
        while let Some(seed) = self.take() {
            match catch_unwind(AssertUnwindSafe(|| checked_history(seed, self.history))) {
                Ok(Ok((outcome, played))) => total.add(outcome, played),
                Ok(Err(violation)) => self.fail(&mut total, seed, violation.to_string()),
                Err(_) => self.fail(&mut total, seed, "panic".to_string()),
            }
            self.show_progress();
        }
        total.processor = processor_time().zip(before).map(|(after, before)| after.saturating_sub(before));
        total
    }

    fn take(&self) -> Option<u64> {
        let over = self.asked_to_end.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() >= until);
        let seed = self.next.fetch_add(u64::from(!over), Ordering::Relaxed);
        (!over && seed < self.seeds.end).then_some(seed)
    }

    /// Says so at once: a long run may be stopped in any way.
    fn fail(&self, total: &mut Total, seed: u64, failure: String) {
        println!("seed {seed}: {failure}\nrepeat: {}", command(self.test, seed));
        total.failed.push((seed, failure));
    }

    fn show_progress(&self) {
        let Some(Ok(mut due)) = self.progress.as_ref().map(Mutex::try_lock) else { return };
        if Instant::now() >= *due {
            *due += PROGRESS;
            let played = self.next.load(Ordering::Relaxed).min(self.seeds.end) - self.seeds.start;
            let of = self.seeds.end - self.seeds.start;
            println!("{}: {played} of {of} seeds after {} s", self.test, self.begun.elapsed().as_secs());
        }
    }
}

/// A history, and for some seeds the same once more; and how much time was simulated in all.
fn checked_history(seed: u64, history: History) -> Result<(Outcome, Duration), Violation> {
    let outcome = history(seed, Log::Nothing)?;
    let mut played = outcome.simulated;
    if seed.is_multiple_of(TWICE) {
        let again = history(seed, Log::Nothing)?;
        assert_eq!(outcome.digest, again.digest, "one seed is one history");
        played += again.simulated;
    }
    Ok((outcome, played))
}

/// The sum over histories.
#[derive(Debug, Default)]
struct Total {
    seeds: u64,
    simulated: Duration,
    /// With what was played twice.
    played: Duration,
    slowest_healing: Duration,
    tally: Tally,
    failed: Vec<(u64, String)>,
    /// Processor time, where the system tells.
    processor: Option<Duration>,
}

impl Total {
    fn add(&mut self, outcome: Outcome, played: Duration) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.played += played;
        self.slowest_healing = self.slowest_healing.max(outcome.healing);
        self.tally += outcome.tally;
    }

    fn and(mut self, other: Total) -> Total {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.played += other.played;
        self.slowest_healing = self.slowest_healing.max(other.slowest_healing);
        self.tally += other.tally;
        self.failed.extend(other.failed);
        self.failed.sort();
        self.processor = self.processor.into_iter().chain(other.processor).reduce(|sum, more| sum + more);
        self
    }

    fn report(&self, wall: Duration) -> String {
        let speed = self.processor.map_or_else(String::new, |processor| {
            let core = processor.as_secs_f64();
            let (seeds, times) = (self.seeds as f64 / core, self.played.as_secs_f64() / core);
            format!("  processor time    {core:.1} s: {seeds:.1} seeds a core-second, {times:.0} times real time\n")
        });
        format!(
            "  seeds             {}, {} failed\n  wall time         {:.1} s\n{speed}  simulated         {:.1} hours\n  slowest healing   \
             {:.2} s\n{}",
            self.seeds + self.failed.len() as u64,
            self.failed.len(),
            wall.as_secs_f64(),
            self.simulated.as_secs_f64() / 3600.0,
            self.slowest_healing.as_secs_f64(),
            self.tally,
        )
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(text: &str) -> u64 {
    text.trim().parse().expect("a seed is a number")
}

/// How many daemons every history shall have, if that is asked for.
pub fn daemons() -> Option<usize> {
    variable("TORC_SIM_DAEMONS").map(|text| number(&text) as usize)
}

fn seeds() -> Range<u64> {
    match variable("TORC_SIM_SEEDS") {
        None => 0..SEEDS,
        Some(text) => match text.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&text),
        },
    }
}
