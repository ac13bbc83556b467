//! The sessions of this daemon: their private groups, and whether they want membership messages.
//!
//! A session stays here until its disconnection has its place in the order, which is after its socket is closed. So no two sessions have the
//! same name at one place of the order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::wire::Name;

/// One client connection of this daemon; chosen by the caller, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A client connection as the groups see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The connection.
    pub id: SessionId,
    /// Its private group.
    pub private_group: Name,
    /// Whether it gets membership messages.
    pub wants_membership: bool,
}

/// The private group belongs to a session whose disconnection is not ordered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameInUse;

impl fmt::Display for NameInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("private group in use")
    }
}

impl std::error::Error for NameInUse {}

#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<Name, Session>);

impl Sessions {
    pub fn add(&mut self, session: Session) -> Result<(), NameInUse> {
        match self.0.entry(session.private_group) {
            Entry::Occupied(_) => Err(NameInUse),
            Entry::Vacant(vacant) => {
                vacant.insert(session);
                Ok(())
            }
        }
    }

    pub fn remove(&mut self, private_group: &Name) -> Option<SessionId> {
        self.0.remove(private_group).map(|session| session.id)
    }

    pub fn id(&self, private_group: &Name) -> Option<SessionId> {
        self.0.get(private_group).map(|session| session.id)
    }

    /// The session, if it wants membership messages.
    pub fn watcher(&self, private_group: &Name) -> Option<SessionId> {
        self.0.get(private_group).filter(|session| session.wants_membership).map(|session| session.id)
    }
}
