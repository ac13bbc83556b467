//! Files that change while the daemons run: who reads them when, and how it is seen that they count.

use std::time::{Duration, Instant};

use spread::client::doze;

use crate::load::Load;
use crate::site::{Plan, Site};

/// How long a file may wait for the daemons. Only a test that has failed waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages between two daemons' readings.
const BETWEEN: usize = 200;

/// Lets all daemons that run read this file in this order, under load, and waits until it counts everywhere.
pub fn reload(site: &mut Site, load: &Load, plan: &Plan, order: &[usize]) {
    let adopted = |site: &Site, node: usize| site.log(node).matches("of the new file count from now on").count();
    let before: Vec<usize> = order.iter().map(|&node| adopted(site, node)).collect();
    site.write(plan);
    for &node in order {
        site.reload(node);
        load.pass(BETWEEN);
    }
    let end = Instant::now() + PATIENCE;
    for (&node, before) in order.iter().zip(before) {
        while adopted(site, node) == before {
            assert!(Instant::now() < end, "node {node} still waits");
            doze(Duration::from_millis(20));
        }
    }
    load.pass(BETWEEN);
}

/// Lets them read a file with other settings alone.
pub fn retune(site: &Site, load: &Load, plan: &Plan, order: &[usize]) {
    site.write(plan);
    for &node in order {
        site.reload(node);
        load.pass(BETWEEN);
    }
}
