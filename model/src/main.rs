//! A model of Torc at three daemons, checked in every state that can be reached.
//!
//!     cargo run --release -- RINGS GIVE_UPS        how many rings are formed, and how often one is given up; 3 and 3 if nothing is said

mod rings;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, Model};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("rings and give-ups are numbers"));
    let (rings, give_ups) = (arguments.next().unwrap_or(3), arguments.next().unwrap_or(3));
    check(&format!("{rings} rings, {give_ups} give-ups"), rings::Rings { rings, give_ups });
}

fn check<M>(limits: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).spawn_bfs().join();
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
