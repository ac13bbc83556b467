//! Questions to a node: its keys, paths, counters and progress. Nothing changes here.

use super::{ClientStats, Node};
use crate::groups;
use crate::groups::SessionId;
use crate::multipath::{self, Hearing, Networks, Path, Policy};
use crate::ring::{self, Progress, Windows};
use crate::seal::KeyId;
use crate::time::Instant;
use crate::wire::{DaemonId, Name};

/// Where a client's session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStand {
    /// The session.
    pub id: SessionId,
    /// Its private group, once it has one.
    pub name: Option<Name>,
    /// The number of its groups.
    pub groups: usize,
    /// Messages that wait for it.
    pub frames: usize,
    /// Bytes that wait for it.
    pub bytes: usize,
}

impl Node {
    /// The key with which packets are sealed, if they are.
    pub fn key(&self) -> Option<KeyId> {
        self.paths.key()
    }

    /// The keys with which packets may be opened, the newest last.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = KeyId> + '_ {
        self.paths.keys()
    }

    /// The daemons that are not known to have the newest key.
    pub fn without_newest_key(&self) -> impl Iterator<Item = DaemonId> + '_ {
        self.paths.without_newest_key()
    }

    /// The daemons that are heard, and that are known to have none of the keys of this one.
    pub fn without_common_key(&self, now: Instant) -> impl Iterator<Item = DaemonId> + '_ {
        self.paths.without_common_key(now)
    }

    /// The daemons as which two hosts run, as far as is known here. This one is among them if it gives way to the other host.
    pub fn two_hosts(&self) -> impl Iterator<Item = DaemonId> + '_ {
        self.paths.two_hosts()
    }

    /// Bytes of a datagram that are not a packet's body: the header, and the tag of a sealed one.
    pub fn overhead(&self) -> usize {
        self.paths.overhead()
    }

    /// The policy by which data travels.
    pub fn policy(&self) -> Policy {
        self.paths.policy()
    }

    /// Which networks are preferred: those with higher numbers, given by network.
    pub fn priorities(&self) -> &[u8] {
        self.paths.priorities()
    }

    /// The networks that are switched on.
    pub fn enabled_networks(&self) -> Networks {
        self.paths.enabled()
    }

    /// All paths.
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.paths()
    }

    /// How often the state of a path has changed.
    pub fn path_changes(&self) -> u64 {
        self.paths.path_changes()
    }

    /// Which daemon hears which other one on which networks, as far as it is known here.
    pub fn matrix(&self) -> impl Iterator<Item = Hearing> + '_ {
        self.paths.matrix()
    }

    /// Counters of the ring.
    pub fn ring_stats(&self) -> &ring::Stats {
        self.ring.stats()
    }

    /// Counters of the networks.
    pub fn multipath_stats(&self) -> multipath::Stats {
        self.paths.stats()
    }

    /// Requests that the groups dropped, by reason.
    pub fn group_stats(&self) -> &groups::Dropped {
        self.groups.dropped()
    }

    /// Counters of the clients.
    pub fn client_stats(&self) -> ClientStats {
        self.clients.stats()
    }

    /// The ring's state: gather, form, recovery or operational.
    pub fn ring_state(&self) -> &'static str {
        self.ring.state_name()
    }

    /// The daemon at which the token rests, as far as this one knows; none while the token goes round, or while there is no ring.
    pub fn token_rests_at(&self) -> Option<DaemonId> {
        self.ring.token_rests_at()
    }

    /// How far the packets of the present ring have come.
    pub fn progress(&self) -> Progress {
        self.ring.progress()
    }

    /// How many packets may be sent in one rotation.
    pub fn windows(&self) -> Windows {
        self.ring.windows()
    }

    /// Where the groups stand between configurations.
    pub fn group_status(&self) -> groups::GroupsStatus {
        self.groups.status()
    }

    /// How many groups have members.
    pub fn group_count(&self) -> usize {
        self.groups.group_count()
    }

    /// The groups, bytewise: how many members each has, and how many of these are clients of this daemon.
    pub fn groups(&self) -> impl Iterator<Item = (Name, usize, usize)> + '_ {
        self.groups.list()
    }

    /// Every client session.
    pub fn session_stands(&self) -> impl Iterator<Item = SessionStand> + '_ {
        let groups_of = |name: Option<Name>| name.map_or(0, |name| self.groups.groups_of(&name));
        self.clients.stands().map(move |stand| SessionStand { groups: groups_of(stand.name), ..stand })
    }

    /// How many client sessions there are.
    pub fn sessions(&self) -> usize {
        self.clients.len()
    }
}
