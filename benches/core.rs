//! The time that the hot paths of the core take: `cargo bench --bench core`, or `make bench-core`.

mod scenarios;

use divan::Bencher;
use scenarios::{NAMES, Scenario};

fn main() {
    divan::main();
}

#[divan::bench(args = NAMES)]
fn scenario(bencher: Bencher<'_, '_>, name: &str) {
    let mut scenario = Scenario::new(name);
    bencher.bench_local(|| scenario.run());
}
