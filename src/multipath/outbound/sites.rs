//! Sites: segments whose daemons share no LAN. A packet to all on a network reaches only its own site.
//!
//! Data crosses to one *gateway* of each other site, which forwards it on its own networks. So the load between sites does not grow with the number
//! of their daemons. The gateway is the lowest daemon that hears the sender and is heard by all others there; if there is none, several
//! gateways share the site. A gateway that fails is replaced when the matrix changes.
//!
//! Small packets (joins, probes, reports) go to every daemon of the other sites, because they must arrive before the matrix is known.

use super::super::health::Matrix;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;

/// A daemon of another site to which data crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    /// Its site.
    pub(super) site: usize,
    /// Which one.
    pub(super) daemon: Seat,
    /// The networks on which it hears us.
    pub(super) networks: Networks,
}

/// Where data of this daemon crosses to all other sites.
pub(super) fn gateways(table: &Table, matrix: &Matrix, usable: Networks) -> Vec<Gateway> {
    let sites = table.far_sites().iter();
    sites.flat_map(|&site| gateways_at(table, matrix, usable, table.me(), site)).collect()
}

/// The daemons that have data of `from` at first hand: all at its site, and the gateways of the others.
pub(super) fn first_hands(table: &Table, matrix: &Matrix, from: Seat) -> BySeat<bool> {
    let home = table.site(from);
    let mut first_hands = BySeat::new(table.len(), |daemon| table.site(daemon) == home);
    let here = table.site(table.me());
    for &site in table.far_sites().iter().chain([&here]).filter(|&&site| site != home) {
        let gateways = gateways_at(table, matrix, Networks::from_bits(0xff), from, site);
        gateways.iter().for_each(|gateway| first_hands[gateway.daemon] = true);
    }
    first_hands
}

/// Whether somebody at the site of `to` hears `from`, which is at another one, and is heard by `to`.
pub(super) fn is_served(table: &Table, matrix: &Matrix, from: Seat, to: Seat) -> bool {
    table
        .at(table.site(to))
        .any(|by| !matrix.hears(by, from).is_empty() && (by == to || !matrix.hears(to, by).is_empty()))
}

/// Where data crosses from a daemon to a site.
fn gateways_at(table: &Table, matrix: &Matrix, usable: Networks, from: Seat, site: usize) -> Vec<Gateway> {
    // A daemon whose row is unknown is no gateway: nobody knows whom it reaches.
    let members: Vec<Seat> = table.at(site).filter(|&daemon| matrix.knows(daemon)).collect();
    let networks = |daemon| matrix.hears(daemon, from) & usable;
    let serves = |gateway, member| member == gateway || !matrix.hears(member, gateway).is_empty();
    let (mut gateways, mut waiting) = (Vec::new(), members.clone());
    loop {
        let fit = members.iter().copied().filter(|&daemon| !networks(daemon).is_empty());
        let served = |daemon| waiting.iter().filter(|&&member| serves(daemon, member)).count();
        // Of equals the lowest, because all daemons must find the same gateways.
        let best = fit.rev().max_by_key(|&daemon| served(daemon)).filter(|&daemon| served(daemon) > 0);
        let Some(daemon) = best else { return gateways };
        waiting.retain(|&member| !serves(daemon, member));
        gateways.push(Gateway { site, daemon, networks: networks(daemon) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use crate::wire::{DaemonId, PathReport};

    /// The gateways of the first daemon, with two at its site and the others at another; `rows[by][of]` as in reports.
    fn of_first(rows: &[&[u8]]) -> Vec<(usize, u8)> {
        let ids: Vec<DaemonId> = (1..=rows.len() as u32).map(DaemonId).collect();
        let sites: Vec<usize> = (0..rows.len()).map(|number| usize::from(number > 1)).collect();
        let table = Table::new(ids[0], &ids, &sites);
        let mut matrix = Matrix::new(&table);
        for (by, hears) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            let report = PathReport {
                number: 1,
                clock: 0,
                networks: 2,
                off: 0,
                digests: [0; PathReport::DIGESTS],
                next: 0,
                pause: 50,
                asks: None,
                hears,
                measures: Default::default(),
                keys: Default::default(),
            };
            matrix.learn(Instant::ZERO, Seat::new(by), &report);
        }
        let gateways = gateways(&table, &matrix, Networks::first(2));
        gateways.iter().map(|gateway| (gateway.daemon.number(), gateway.networks.bits())).collect()
    }

    #[test]
    fn data_crosses_to_the_lowest_daemon_that_all_there_hear() {
        let all: &[u8] = &[3, 3, 3, 3, 3];
        assert_eq!(of_first(&[all, all, all, all, all]), [(2, 3)]);
        assert_eq!(of_first(&[all, all, &[0, 3, 3, 3, 3], all, all]), [(3, 3)], "the lowest does not hear us");
        assert_eq!(of_first(&[all, all, &[2, 3, 3, 3, 3], all, all]), [(2, 2)]);
        assert_eq!(of_first(&[all, all, all, all, &[3, 3, 0, 3, 3]]), [(3, 3)], "the last does not hear the lowest");
        assert_eq!(of_first(&[all, all, all, &[3, 3, 3, 3, 0], &[3, 3, 0, 0, 3]]), [(2, 3), (4, 3)]);
        assert_eq!(of_first(&[all, all, &[], all, &[]]), [(3, 3)]);
        assert_eq!(of_first(&[all, all, &[], &[], &[]]), []);
    }
}
