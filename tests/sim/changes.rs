//! Histories in which the daemons' files change, with other daemons, networks and orders, while anything else happens too. Each daemon
//! reads its file at its own time, so that the rings of old and new file meet in every step of membership.

use crate::checker::Violation;
use crate::clients;
use crate::faults::Plan;
use crate::seeds::{Outcome, play};
use crate::world::Log;

#[test]
fn files_change_and_rings_keep_extended_virtual_synchrony() {
    play("files_change_and_rings_keep_extended_virtual_synchrony", rings);
}

#[test]
fn files_change_and_clients_keep_their_promises() {
    play("files_change_and_clients_keep_their_promises", daemons);
}

fn rings(seed: u64, log: Log) -> Result<Outcome, Violation> {
    crate::played(&Plan::draw_changing(seed), log)
}

fn daemons(seed: u64, log: Log) -> Result<Outcome, Violation> {
    clients::played(&Plan::draw_changing(seed), seed, log)
}
