//! A model of Torc at three daemons, checked in every state that can be reached.
//!
//!     cargo run --release                                       both models, with limits that take a minute
//!     cargo run --release -- rings RINGS GIVE_UPS               token and membership
//!     cargo run --release -- handover RINGS HOPS MESSAGES       packets that are handed over, and what becomes of them

mod handover;
mod rings;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let which = arguments.next();
    let mut limits = arguments.map(|text| text.parse().expect("limits are numbers"));
    let mut limit = |usual| limits.next().unwrap_or(usual);
    match which.as_deref() {
        None => {
            check_rings(3, 3);
            check_handover(1, 3, 111);
            check_handover(2, 3, 101);
            check_handover(2, 2, 102);
        }
        Some("rings") => check_rings(limit(3), limit(3)),
        Some("handover") => check_handover(limit(2), limit(3), limit(101)),
        Some(other) => panic!("there is no model {other}: there are rings and handover"),
    }
}

fn check_rings(rings: u8, give_ups: u8) {
    check(&format!("{rings} rings, {give_ups} give-ups"), rings::Rings { rings, give_ups });
}

/// Each digit of `messages` says how many one daemon sends.
fn check_handover(rings: u8, hops: u8, messages: u8) {
    let limits = format!("{rings} rings after the first, {hops} hops, messages {messages:03}");
    let messages = [messages / 100, messages / 10 % 10, messages % 10];
    check(&limits, handover::Handover { rings, messages, hops });
}

fn check<M>(limits: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // One failure is enough.
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{limits}: {} states, {} of them different, {} steps deep, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
    println!("every property holds in every state");
}
