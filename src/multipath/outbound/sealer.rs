//! Seals what leaves, once for all networks and relays, with the newest key that all daemons in reach are known to have.

use super::super::inbound::Opened;
use crate::seal::{KeyId, Keys, LifeKey};
use crate::wire::{DaemonId, Header, Incarnation, Protection, SealTag, Slice};

/// This life's keys, and which of them is in use.
#[derive(Debug)]
pub(super) struct Sealer {
    /// The newest last; without any nothing is sealed.
    keys: Vec<LifeKey>,
    current: usize,
}

/// Which other daemons have a key, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) struct KnownTo {
    /// Whether all daemons that may still be there have it.
    pub(in crate::multipath) all: bool,
    /// How many of the daemons that are heard now have it.
    pub(in crate::multipath) living: usize,
}

/// A packet as it travels: the same on all networks but for the hop.
#[derive(Clone, Debug)]
pub(in crate::multipath) struct Parcel {
    pub(in crate::multipath) header: Header,
    pub(in crate::multipath) tag: Option<SealTag>,
    pub(in crate::multipath) body: Slice,
}

impl Parcel {
    /// A packet of another daemon, sealed as it came, if it may go on.
    pub(in crate::multipath) fn of(opened: &Opened) -> Option<Parcel> {
        Some(Parcel { header: opened.header, tag: opened.tag, body: opened.carried.clone()? })
    }
}

impl Sealer {
    pub(super) fn new(keys: &Keys, me: DaemonId, incarnation: Incarnation) -> Sealer {
        let keys: Vec<LifeKey> = keys.iter().map(|key| LifeKey::derive(key, me, incarnation)).collect();
        Sealer { current: keys.len().saturating_sub(1), keys }
    }

    /// Takes the newest key that is known to all. If there is none, takes the newest of those that most of the living know.
    pub(super) fn choose(&mut self, known: impl Fn(KeyId) -> KnownTo) {
        // A key that somebody lacks cuts that daemon off.
        let common = self.keys.iter().rposition(|key| known(key.id()).all);
        // Of equal ones the last is taken, which is the newest.
        let most = || (0..self.keys.len()).max_by_key(|&place| known(self.keys[place].id()).living);
        self.current = common.or_else(most).unwrap_or(0);
    }

    /// The key in use.
    pub(super) fn current(&self) -> Option<KeyId> {
        self.keys.get(self.current).map(LifeKey::id)
    }

    /// Seals a packet, with a certain key if one is asked for. Its header must be new.
    pub(super) fn seal(&self, header: Header, body: Slice, with: Option<KeyId>) -> Parcel {
        // A greeting answers with the key of the question, because the asker may have no other.
        let asked = self.keys.iter().find(|key| Some(key.id()) == with);
        let Some(key) = asked.or_else(|| self.keys.get(self.current)) else {
            return Parcel { header, tag: None, body };
        };
        let header = Header { protection: Protection::Sealed(key.id().hint()), ..header };
        let sealed = body.changed(|bytes| Ok::<_, std::convert::Infallible>(key.seal(&header, bytes)));
        let Ok((body, tag)) = sealed;
        Parcel { header, tag: Some(tag), body }
    }
}
