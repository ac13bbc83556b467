//! A change of networks while the daemon runs. New sockets are opened before the change, and old ones are closed some time after
//! it, because other daemons change a little earlier or later.

use super::link::{Fault, Link};
use super::links::{Links, Slot};
use super::open::NetworkCount;
use super::platform::Interfaces;
use super::{Network, OpenError};
use crate::time::{Duration, Instant};
use crate::wire::NetworkId;

/// How long a network is still heard after the daemon has left it.
const OVERLAP: Duration = Duration::from_secs(10);

/// The networks that come next, and those that were left.
#[derive(Debug, Default)]
pub(super) struct Change {
    next: Vec<(Network, Origin)>,
    left: Vec<(Link, Instant)>,
}

/// The link of a network that comes next.
#[derive(Debug)]
enum Origin {
    /// A link that is there already: only the daemons on it change.
    Present(Slot),
    /// A link for an address that a present link holds: it is opened when that one is closed.
    Reopened,
    /// A link that is open already and only listens until then.
    Opened(Box<Link>),
    /// A link that was left a moment ago and is still heard.
    Left(Slot),
}

impl Change {
    /// The links that only listen.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        let next = self.next.iter().filter_map(|(_, origin)| match origin {
            Origin::Opened(link) => Some(&**link),
            Origin::Present(_) | Origin::Reopened | Origin::Left(_) => None,
        });
        next.chain(self.left.iter().map(|(link, _)| link))
    }

    /// The same, to be changed.
    pub(super) fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        let next = self.next.iter_mut().filter_map(|(_, origin)| match origin {
            Origin::Opened(link) => Some(&mut **link),
            Origin::Present(_) | Origin::Reopened | Origin::Left(_) => None,
        });
        next.chain(self.left.iter_mut().map(|(link, _)| link))
    }

    /// Closes links that were left long enough ago and are not used again.
    pub(super) fn forget(&mut self, now: Instant) {
        let next = &self.next;
        let comes_back = |slot| next.iter().any(|(_, origin)| matches!(origin, Origin::Left(left) if *left == slot));
        self.left.retain(|(link, until)| now < *until || comes_back(link.slot()));
    }

    /// The link that was left and has the sockets for this network. One that only holds the port is closed.
    fn find_left(&mut self, network: &Network) -> Option<Slot> {
        let in_place = |(link, _): &&(Link, Instant)| link.network().is_same_place(network);
        let found = self.left.iter().find(in_place).map(|(link, _)| link.slot());
        let place = (network.own, network.port);
        self.left.retain(|(link, _)| found == Some(link.slot()) || (link.network().own, link.network().port) != place);
        found
    }

    fn take_left(&mut self, slot: Slot) -> Option<Link> {
        let at = self.left.iter().position(|(link, _)| link.slot() == slot)?;
        Some(self.left.remove(at).0)
    }
}

impl Network {
    /// Whether the sockets of the other network can serve this one.
    pub fn is_same_place(&self, other: &Network) -> bool {
        let place = |network: &Network| (network.kind, network.port, network.own, network.interface.clone());
        place(self) == place(other)
    }
}

impl Links {
    /// Opens the sockets for networks that come next; they only listen until [`Links::adopt`]. Earlier announced networks are
    /// forgotten. Returns for each network the present network with the same address, if there is one. An error if a port cannot
    /// be opened.
    pub fn prepare(&mut self, networks: Vec<Network>) -> Result<Vec<Option<NetworkId>>, OpenError> {
        assert!(networks.len() <= NetworkId::LIMIT, "{} networks", networks.len());
        self.change.next.clear();
        let (count, interfaces) = (NetworkCount::of(networks.len()), Interfaces::snapshot());
        let mut next = Vec::new();
        for (id, network) in (0..).map(NetworkId).zip(networks) {
            let origin = match self.links.iter().find(|link| link.network().own == network.own) {
                Some(link) if link.network().is_same_place(&network) => Origin::Present(link.slot()),
                Some(link) if link.network().port == network.port => Origin::Reopened,
                _ => match self.change.find_left(&network) {
                    Some(slot) => Origin::Left(slot),
                    None => {
                        let mut link = Link::new(id, self.free_slot(&next), network.clone(), count);
                        let outcome = interfaces
                            .as_ref()
                            .map(|interfaces| link.check(self.last_look, interfaces, &self.registry));
                        match outcome {
                            Ok(Err(Fault::Open(error))) if error.is_lasting() => return Err(error),
                            // A missing interface may appear later, so the link is checked again.
                            _ => Origin::Opened(Box::new(link)),
                        }
                    }
                },
            };
            next.push((network, origin));
        }
        let at = |network: &Network| self.links.iter().find(|link| link.network().own == network.own);
        let is = |(network, origin): &(Network, Origin)| match origin {
            Origin::Present(_) | Origin::Reopened => at(network).map(Link::id),
            Origin::Opened(_) | Origin::Left(_) => None,
        };
        let before = next.iter().map(is).collect();
        self.change.next = next;
        Ok(before)
    }

    /// Closes the sockets that [`Links::prepare`] has opened: the networks stay as they are.
    pub fn stay(&mut self) {
        self.change.next.clear();
    }

    /// The networks given to [`Links::prepare`] become the present ones. The others still receive for some time.
    pub fn adopt(&mut self, now: Instant) {
        let networks = std::mem::take(&mut self.change.next);
        let count = NetworkCount::of(networks.len());
        let mut present: Vec<Option<Link>> = std::mem::take(&mut self.links).into_iter().map(Some).collect();
        for (id, (network, origin)) in (0..).map(NetworkId).zip(networks) {
            let with =
                |slot| move |link: &&mut Option<Link>| link.as_ref().is_some_and(|link: &Link| link.slot() == slot);
            let link = match origin {
                Origin::Opened(link) => *link,
                Origin::Left(slot) => match self.change.take_left(slot) {
                    Some(mut link) => {
                        link.come_back(id, network, count);
                        link
                    }
                    None => Link::new(id, slot, network, count),
                },
                Origin::Present(slot) => match present.iter_mut().find(with(slot)).and_then(Option::take) {
                    Some(mut link) => {
                        link.renew(id, network, count);
                        link
                    }
                    None => Link::new(id, slot, network, count),
                },
                Origin::Reopened => {
                    let holds = |link: &&mut Option<Link>| {
                        link.as_ref().is_some_and(|link| {
                            (link.network().own, link.network().port) == (network.own, network.port)
                        })
                    };
                    let before = present.iter_mut().find(holds).and_then(Option::take);
                    let slot = before.as_ref().map_or_else(|| self.free_slot(&[]), Link::slot);
                    drop(before);
                    Link::new(id, slot, network, count)
                }
            };
            self.links.push(link);
        }
        self.change.left = present.into_iter().flatten().map(|link| (link, now + OVERLAP)).collect();
        for (link, outcome) in self.check(now) {
            self.record_outcome(now, link, outcome);
        }
    }

    fn free_slot(&self, next: &[(Network, Origin)]) -> Slot {
        let opened = next.iter().filter_map(|(_, origin)| match origin {
            Origin::Opened(link) => Some(link.slot()),
            Origin::Present(_) | Origin::Reopened | Origin::Left(_) => None,
        });
        let taken: Vec<Slot> = self.links.iter().chain(self.change.links()).map(Link::slot).chain(opened).collect();
        Slot::all().find(|slot| !taken.contains(slot)).expect("there are slots for all present, next and left networks")
    }
}
