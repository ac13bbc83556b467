//! The plan of what this daemon relays, computed from the matrix when it changes, so that a packet costs one lookup.
//!
//! A packet of A *to all* is relayed for B by the daemon with the lowest id that hears A and is heard by B, if B hears A on no network.
//! A packet *to one* daemon that does not hear its sender takes a detour: the sender sends it through the lowest daemon that can relay it.
//!
//! While the row of some daemon is unknown, two daemons may relay the same, which costs a copy, or none does. Against the latter, reports
//! are also forwarded blindly, by one daemon in turn, until every row is known.

use super::super::health::Matrix;
use super::super::networks::Networks;
use super::super::seat::{BySeat, Seat};
use super::super::table::Table;
use super::sites::{Gateway, first_hands, gateways, is_served};
use crate::wire::{DaemonId, NetworkId};

/// A datagram's next hop: the network, and one daemon there, or all.
pub(super) type Hop = (NetworkId, Option<DaemonId>);

/// Detours of our own packets and relays of others', as long as the matrix stays the same.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// How the packets to all of each daemon are forwarded; empty when nobody's are.
    forwards: BySeat<Forward>,
    /// The detour of packets to each daemon; empty when none takes one.
    detour: BySeat<Option<Detour>>,
    /// Where data crosses to other sites.
    gateways: Vec<Gateway>,
    sight: Sight,
}

/// Whether the rows of all daemons are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sight {
    #[default]
    Whole,
    /// Somebody's row is missing.
    Blind,
}

/// The kind of a load: the two kinds are worth different numbers of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Data: one copy for everyone who needs one.
    Data,
    /// Everything else, which is small: a copy on every network that leads to somebody who needs one.
    Small,
}

/// How the packets to all of one daemon are forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forward {
    /// One copy for everyone who needs one.
    pub(super) data: Vec<Hop>,
    /// All networks that lead to somebody who needs one.
    pub(super) small: Vec<Hop>,
}

/// The way of a packet through a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detour {
    /// The relay.
    pub(super) relay: Seat,
    /// The networks on which it hears us.
    pub(super) networks: Networks,
}

impl Plan {
    /// The plan of this daemon, which may use the `usable` networks.
    pub(super) fn new(table: &Table, matrix: &Matrix, usable: Networks) -> Plan {
        let me = table.me();
        let blind = table.others().any(|other| !matrix.knows(other));
        let forward = |from| if from == me { Forward::default() } else { forward(table, matrix, usable, from) };
        let detour = |to| if to == me { None } else { detour(table, matrix, usable, to) };
        Plan {
            forwards: kept(BySeat::new(table.len(), forward), |way| *way != Forward::default()),
            detour: kept(BySeat::new(table.len(), detour), Option::is_some),
            gateways: gateways(table, matrix, usable),
            sight: if blind { Sight::Blind } else { Sight::Whole },
        }
    }

    /// Whether nobody's packets are relayed here.
    pub(super) fn is_idle(&self) -> bool {
        self.forwards.iter().next().is_none()
    }

    /// Whether reports are to be forwarded although nobody is known to need them.
    pub(super) fn is_blind(&self) -> bool {
        self.sight == Sight::Blind
    }

    /// How the packets to all of this daemon are forwarded, if they are.
    pub(super) fn forward(&self, from: Seat) -> Option<&Forward> {
        self.forwards.get(from).filter(|forward| **forward != Forward::default())
    }

    /// Where data crosses to this site.
    pub(super) fn gateways(&self, site: usize) -> impl Iterator<Item = &Gateway> {
        self.gateways.iter().filter(move |gateway| gateway.site == site)
    }

    /// The detour of packets to this daemon, if they take one.
    pub(super) fn detour(&self, to: Seat) -> Option<Detour> {
        self.detour.get(to).copied().flatten()
    }
}

impl Forward {
    /// The hops of this load.
    pub(super) fn hops(&self, load: Load) -> &[Hop] {
        match load {
            Load::Data => &self.data,
            Load::Small => &self.small,
        }
    }
}

/// The list, or an empty one if no value says anything.
fn kept<T: Default>(list: BySeat<T>, says: impl Fn(&T) -> bool) -> BySeat<T> {
    if list.iter().any(says) { list } else { BySeat::default() }
}

fn forward(table: &Table, matrix: &Matrix, usable: Networks, from: Seat) -> Forward {
    let me = table.me();
    // This daemon does not get the packets directly, and a relayed packet is not relayed again.
    if matrix.hears(me, from).is_empty() {
        return Forward::default();
    }
    let small = needy(table, matrix, usable, from, Load::Small);
    let data = needy(table, matrix, usable, from, Load::Data);
    let masks = data.iter().map(|&(_, networks)| networks);
    Forward { data: hops(table, &data, cover(masks)), small: hops(table, &small, usable) }
}

/// The daemons that need a copy of `from`'s packets to all and for which this daemon is the relay, with the networks on which they hear us.
fn needy(table: &Table, matrix: &Matrix, usable: Networks, from: Seat, load: Load) -> Vec<(Seat, Networks)> {
    let lacking: Vec<Seat> = table.others().filter(|&to| lacks(table, matrix, from, to, load)).collect();
    // Nearly always, and then nothing else is computed.
    if lacking.is_empty() {
        return Vec::new();
    }
    let me = table.me();
    let has = match load {
        // Small packets go to every daemon of every site at first hand. Data goes to gateways only.
        Load::Data => first_hands(table, matrix, from),
        Load::Small => BySeat::new(table.len(), |_| true),
    };
    if !has[me] {
        return Vec::new();
    }
    let mut needy = Vec::new();
    for to in lacking {
        let mut before_me = Seat::first(me.number()).filter(|&by| by != from && by != to && has[by]);
        // All daemons compute this from the same matrix, so exactly one of them relays.
        let another_relays = before_me.any(|by| is_relay(matrix, from, by, to));
        let networks = matrix.hears(to, me) & usable;
        if !another_relays && !networks.is_empty() {
            needy.push((to, networks));
        }
    }
    needy
}

/// Whether a daemon is known to get no copy of `from`'s packets to all.
fn lacks(table: &Table, matrix: &Matrix, from: Seat, to: Seat, load: Load) -> bool {
    // A daemon whose row is unknown is not served by plan. Reports reach it blindly.
    if to == from || !matrix.knows(to) || !matrix.hears(to, from).is_empty() {
        return false;
    }
    // At another site the gateway has the data already.
    let elsewhere = table.site(to) != table.site(from);
    !(load == Load::Data && elsewhere && is_served(table, matrix, from, to))
}

/// Whether a daemon can forward packets between two others.
fn is_relay(matrix: &Matrix, from: Seat, by: Seat, to: Seat) -> bool {
    !matrix.hears(by, from).is_empty() && !matrix.hears(to, by).is_empty()
}

/// The hops that reach these daemons on these networks: one for several at this site, and one for each elsewhere.
fn hops(table: &Table, needy: &[(Seat, Networks)], networks: Networks) -> Vec<Hop> {
    let here = table.site(table.me());
    let mut hops = Vec::new();
    for network in networks.iter() {
        let reached = needy.iter().filter(|(_, networks)| networks.has(network)).map(|&(to, _)| to);
        let (near, far): (Vec<Seat>, Vec<Seat>) = reached.partition(|&to| table.site(to) == here);
        match near[..] {
            [] => {}
            [one] => hops.push((network, Some(table.id(one)))),
            // One datagram to all is cheaper than one to each.
            _ => hops.push((network, None)),
        }
        hops.extend(far.into_iter().map(|to| (network, Some(table.id(to)))));
    }
    hops
}

fn detour(table: &Table, matrix: &Matrix, usable: Networks, to: Seat) -> Option<Detour> {
    let me = table.me();
    if !matrix.knows(to) || !matrix.hears(to, me).is_empty() {
        return None;
    }
    // Both legs must work: to the relay, and from there.
    let relays = table.others().filter(|&relay| relay != to && !matrix.hears(to, relay).is_empty());
    let mut ways = relays.map(|relay| Detour { relay, networks: matrix.hears(relay, me) & usable });
    ways.find(|way| !way.networks.is_empty())
}

/// A small set of networks that intersects each of these sets, none of which is empty.
pub(super) fn cover(sets: impl Iterator<Item = Networks>) -> Networks {
    let mut sets: Vec<Networks> = sets.collect();
    let mut cover = Networks::NONE;
    while !sets.is_empty() {
        let use_of = |network: &NetworkId| sets.iter().filter(|set| set.has(*network)).count();
        // Greedy. `max_by_key` takes the last of equals, so reversed it is the lowest: all daemons choose alike.
        let best = Networks::from_bits(0xff).iter().rev().max_by_key(use_of).expect("there are eight");
        sets.retain(|set| !set.has(best) && !set.is_empty());
        cover = cover | best.into();
    }
    cover
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use crate::wire::PathReport;

    /// The plan of the daemon with this number, where `rows[by][of]` are the networks on which one hears the other.
    fn plan(me: usize, rows: &[&[u8]]) -> Plan {
        let ids: Vec<DaemonId> = (1..=rows.len() as u32).map(DaemonId).collect();
        let table = Table::new(ids[me], &ids, &[]);
        let mut matrix = Matrix::new(&table);
        for (by, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
            matrix.learn(
                Instant::ZERO,
                Seat::new(by),
                &crate::wire::PathReport {
                    number: 1,
                    clock: 0,
                    networks: 2,
                    off: 0,
                    digests: [0; PathReport::DIGESTS],
                    next: 0,
                    pause: 50,
                    asks: None,
                    hears: row,
                    measures: Default::default(),
                    keys: Default::default(),
                },
            );
        }
        Plan::new(&table, &matrix, Networks::first(2))
    }

    fn seat(number: usize) -> Seat {
        Seat::new(number)
    }

    fn hops(hops: &[Hop]) -> Vec<(u8, Option<u32>)> {
        hops.iter().map(|(network, to)| (network.0, to.map(|to| to.0))).collect()
    }

    #[test]
    fn nothing_is_relayed_where_everybody_hears_everybody() {
        let plan = plan(1, &[&[0, 1, 3], &[2, 0, 3], &[1, 2, 0]]);
        assert!(plan.is_idle() && !plan.is_blind());
        assert_eq!((plan.forward(seat(0)), plan.detour(seat(0))), (None, None));
    }

    #[test]
    fn the_lowest_daemon_between_two_relays() {
        // 1 is on network 0 only, 2 on network 1 only, 3 and 4 on both.
        let rows: [&[u8]; 4] = [&[0, 0, 1, 1], &[0, 0, 2, 2], &[1, 2, 0, 3], &[1, 2, 3, 0]];
        let third = plan(2, &rows);
        let forward = third.forward(seat(0)).unwrap();
        assert_eq!((hops(&forward.data), hops(&forward.small)), (vec![(1, Some(2))], vec![(1, Some(2))]));
        assert_eq!(hops(&third.forward(seat(1)).unwrap().data), [(0, Some(1))]);
        assert!(third.forward(seat(3)).is_none());
        assert!(plan(3, &rows).is_idle(), "the third is lower");
        assert_eq!(plan(0, &rows).detour(seat(1)), Some(Detour { relay: seat(2), networks: Networks::first(1) }));
        assert_eq!(plan(0, &rows).detour(seat(2)), None);
    }

    #[test]
    fn one_copy_serves_all_whom_a_network_reaches() {
        // Nobody but 2 hears 1.
        let plan = plan(1, &[&[0, 3, 3, 3], &[3, 0, 3, 3], &[0, 3, 0, 3], &[0, 2, 3, 0]]);
        let forward = plan.forward(seat(0)).unwrap();
        assert_eq!(hops(&forward.data), [(1, None)]);
        assert_eq!(hops(&forward.small), [(0, Some(3)), (1, None)]);
    }

    #[test]
    fn nothing_is_concluded_from_a_row_that_is_missing() {
        let plan = plan(2, &[&[], &[0, 0, 2], &[1, 2, 0]]);
        assert!(plan.is_blind());
        assert_eq!(hops(&plan.forward(seat(0)).unwrap().data), [(1, Some(2))]);
        assert!(plan.forward(seat(1)).is_none(), "whether 1 hears 2 is not known");
        assert_eq!(plan.detour(seat(0)), None);
    }

    #[test]
    fn a_cover_is_small() {
        let sets = |bits: &[u8]| cover(bits.iter().map(|&bits| Networks::from_bits(bits))).bits();
        assert_eq!(sets(&[]), 0);
        assert_eq!(sets(&[3, 2, 6]), 2);
        assert_eq!(sets(&[1, 2, 3]), 3);
        assert_eq!(sets(&[1, 4, 5, 12]), 5);
    }
}
