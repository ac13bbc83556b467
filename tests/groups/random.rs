//! Random histories: partitions, merges, cascades, crashes, joins, leaves, disconnects and data, checked against the
//! invariants of the classic system, and for nothing being lost once all is quiet. One seed is one history.

use std::collections::{BTreeMap, BTreeSet};

use spread::groups::SessionId;
use spread::rng::Rng;
use spread::wire::{FrameType, Name};

use crate::bus::{Bus, ORDER};
use crate::checker::{Checker, Sent, got, one_order};
use crate::client::{Client, Entry, name};

const SEEDS: u64 = 300;
const STEPS: usize = 1500;
const GROUPS: [&str; 6] = ["g", "h", "i", "j", "k", "l"];

struct History {
    bus: Bus,
    rng: Rng,
    sent: BTreeMap<u64, Sent>,
    /// The groups that each client asked to be in.
    wanted: BTreeMap<SessionId, BTreeSet<Name>>,
    /// Clients that never leave.
    permanent: BTreeSet<SessionId>,
}

impl History {
    fn new(seed: u64) -> History {
        let mut rng = Rng::new(seed);
        let mut bus = Bus::new(&ORDER, rng.next_u64());
        bus.is_sliced = seed % 2 == 1;
        let mut history =
            History { bus, rng, sent: BTreeMap::new(), wanted: BTreeMap::new(), permanent: BTreeSet::new() };
        for daemon in ORDER {
            let id = history.connect(daemon, true);
            history.join(id, "g");
            history.permanent.insert(id);
            history.connect(daemon, true);
        }
        history
    }

    fn connect(&mut self, daemon: u32, wants_membership: bool) -> SessionId {
        let id = self.bus.connect(daemon, &format!("c{}", self.wanted.len()), wants_membership);
        self.wanted.insert(id, BTreeSet::new());
        id
    }

    fn join(&mut self, id: SessionId, group: &str) {
        self.bus.join(id, group);
        self.wanted.entry(id).or_default().insert(name(group));
    }

    fn leave(&mut self, id: SessionId, group: &str) {
        self.bus.leave(id, group);
        self.wanted.entry(id).or_default().remove(&name(group));
    }

    fn send(&mut self, id: SessionId) {
        let sender = self.bus.clients[&id].name;
        let message = self.sent.len() as u64;
        let kind = self.pick(&[FrameType::SAFE, FrameType::CAUSAL, FrameType::AGREED]);
        let mut groups = vec![sender];
        groups.extend(GROUPS.iter().filter(|_| self.rng.chance(0.5)).map(|group| name(group)));
        self.bus.send(id, kind, &groups, message);
        self.sent.insert(message, Sent { sender, groups });
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn step(&mut self) {
        let daemon = self.pick(&ORDER);
        match self.rng.below(1000) {
            0..300 => self.several(Bus::originate, daemon),
            300..600 => self.several(Bus::receive, daemon),
            600..850 => self.several(Bus::deliver, daemon),
            850..980 => self.client_step(),
            980..997 => self.reconfigure(),
            997 => self.crash(daemon),
            _ => self.bus.run_until_quiet(),
        }
    }

    fn several(&mut self, step: fn(&mut Bus, u32) -> bool, daemon: u32) {
        let times = self.rng.below(4);
        (0..times).take_while(|_| step(&mut self.bus, daemon)).for_each(drop);
    }

    fn client_step(&mut self) {
        let alive: Vec<SessionId> =
            self.bus.clients.values().filter(|client| client.alive).map(|client| client.id).collect();
        if alive.len() < ORDER.len() * 3 && self.rng.chance(0.1) {
            let (daemon, wants_membership) = (self.pick(&ORDER), self.rng.chance(0.8));
            self.connect(daemon, wants_membership);
            return;
        }
        let id = self.pick(&alive);
        let group = self.pick(&GROUPS);
        match self.rng.below(20) {
            0..10 => self.send(id),
            10..15 => self.join(id, group),
            _ if self.permanent.contains(&id) => self.send(id),
            15..19 => self.leave(id, group),
            _ => self.bus.disconnect(id),
        }
    }

    fn reconfigure(&mut self) {
        let extend = self.rng.below(3) as f64 / 2.0;
        let count = 1 + self.rng.below(3);
        let mut parts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for daemon in ORDER {
            parts.entry(self.rng.below(count)).or_default().push(daemon);
        }
        let parts: Vec<&[u32]> = parts.values().map(Vec::as_slice).collect();
        self.bus.reconfigure(&parts, extend);
    }

    fn crash(&mut self, daemon: u32) {
        self.bus.crash(daemon);
        self.reconfigure();
    }

    /// Heals everything and waits until nothing moves.
    fn finish(&mut self) {
        self.bus.reconfigure(&[&ORDER], 1.0);
        self.bus.run_until_quiet();
        ORDER.iter().for_each(|&daemon| assert!(!self.bus.groups(daemon).is_exchanging()));
    }

    fn check(&self) -> Checker {
        let mut checker = Checker::default();
        let clients = || self.bus.clients.values();
        clients().for_each(|client| checker.client(client, &self.sent));
        one_order(clients());
        let stayed = clients().filter(|client| client.alive && self.permanent.contains(&client.id));
        checker.safe_reached_all(&stayed.map(|client| (client.name, client)).collect());
        GROUPS.iter().for_each(|group| self.check_group(&name(group)));
        clients().for_each(|client| self.check_client(client));
        checker
    }

    /// All that want to be in a group are, and have the same view of it.
    fn check_group(&self, group: &Name) {
        let alive = self.bus.clients.values().filter(|client| client.alive);
        let inside: Vec<&Client> = alive.filter(|client| self.wanted[&client.id].contains(group)).collect();
        let expected: BTreeSet<Name> = inside.iter().map(|client| client.name).collect();
        for daemon in ORDER {
            assert_eq!(self.bus.groups(daemon).member_count(group), expected.len(), "{group} at {daemon}");
        }
        let mut ids = BTreeSet::new();
        for client in inside.iter().filter(|client| client.wants_membership) {
            let views = client.log.iter().rev().filter_map(|entry| match entry {
                Entry::View(view) if view.group == *group => Some(view),
                _ => None,
            });
            let last = views.into_iter().next().expect("a member has a view");
            assert_eq!(last.members.iter().copied().collect::<BTreeSet<_>>(), expected, "{}", client.name);
            ids.insert(last.id);
        }
        assert!(ids.len() <= 1, "{group} has views {ids:?}");
    }

    /// A client gets its own messages, and a session that ended gives its name back.
    fn check_client(&self, client: &Client) {
        if client.alive {
            let own: BTreeSet<u64> = got(client).collect();
            let sent = self.sent.iter().filter(|(_, sent)| sent.sender == client.name);
            sent.for_each(|(id, sent)| assert!(own.contains(id), "{} misses its own {id}: {sent:?}", client.name));
        }
        assert!(client.lost || client.released != client.alive, "{} {}", client.name, client.released);
    }
}

#[test]
fn random_histories_keep_the_invariants() {
    let (mut networks, mut transitional, mut shared) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut history = History::new(seed);
        (0..STEPS).for_each(|_| history.step());
        history.finish();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.check()));
        let checker = result.unwrap_or_else(|_| panic!("seed {seed}"));
        networks += checker.networks;
        transitional += checker.transitional_views;
        shared += checker.shared_segments;
    }
    assert!(networks > 1000 && transitional > 100 && shared > 1000, "{networks} {transitional} {shared}");
}
