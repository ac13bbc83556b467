//! The connections that a server has at the same time: so many of one source, so many of all. Slow ones of one source keep no other out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spread::session::{Peer, Source};

/// Connections of one source. A browser has six at once.
const OF_A_SOURCE: usize = 16;
/// Connections of all sources. Each one may hold an answer in memory.
const OF_ALL: usize = 48;

/// How many connections each source has.
#[derive(Debug, Default)]
pub struct Visitors {
    places: Mutex<BTreeMap<Source, usize>>,
}

/// A connection's place, which is free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    visitors: Arc<Visitors>,
    source: Source,
}

impl Visitors {
    /// A place for a connection from this address, unless there are too many.
    pub fn enter(self: &Arc<Visitors>, address: IpAddr) -> Option<Place> {
        let source = Peer::Tcp(address).source();
        let mut places = self.places();
        let own = places.get(&source).copied().unwrap_or(0);
        if own >= OF_A_SOURCE || places.values().sum::<usize>() >= OF_ALL {
            return None;
        }
        places.insert(source, own + 1);
        Some(Place { visitors: Arc::clone(self), source })
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<Source, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.visitors.places();
        let own = places.entry(self.source).or_default();
        *own = own.saturating_sub(1);
        // Otherwise every address that ever connected would remain.
        places.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_gets_few_places_and_all_together_get_a_bounded_number() {
        let visitors = Arc::new(Visitors::default());
        let from = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut inside: Vec<Place> = (0..OF_A_SOURCE).filter_map(|_| visitors.enter(from(1))).collect();
        assert_eq!(inside.len(), OF_A_SOURCE);
        assert!(visitors.enter(from(1)).is_none());
        inside.extend((2..100).filter_map(|n| visitors.enter(from(n))));
        assert_eq!(inside.len(), OF_ALL);
        assert!(visitors.enter(from(200)).is_none(), "no place is left");
        assert!(!visitors.places().contains_key(&Peer::Tcp(from(200)).source()), "who is refused takes no memory");
        inside.truncate(OF_A_SOURCE - 1);
        assert!(visitors.enter(from(200)).is_some() && visitors.enter(from(1)).is_some());
        drop(inside);
        assert!(visitors.places().is_empty());
    }
}
