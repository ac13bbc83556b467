//! What must hold of everything that all clients got, whatever happened between the daemons.

use std::collections::{BTreeMap, BTreeSet};

use spread::wire::{FrameType, GroupId, Name, Service};

use crate::client::{Client, Entry, View};

/// A message as its sender made it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub sender: Name,
    pub groups: Vec<Name>,
}

#[derive(Default)]
pub struct Checker {
    /// Members by identity: the same id is the same view.
    views: BTreeMap<(Name, GroupId), Vec<Name>>,
    /// What was got between two views, by group, both ids and own set.
    segments: BTreeMap<(Name, GroupId, GroupId, Vec<Name>), Vec<String>>,
    /// Safe messages and the views in which they were delivered without a TRANSITION before.
    safe: BTreeSet<(u64, Name, GroupId)>,
    /// The views that an exchange led to.
    merged: BTreeSet<(Name, GroupId)>,
    pub networks: usize,
    pub transitional_views: usize,
    pub shared_segments: usize,
}

/// One client's stay in a group.
struct Stay<'a> {
    view: &'a View,
    transition: bool,
    got: Vec<String>,
}

impl Checker {
    /// Walks through what one client got, in order.
    pub fn client(&mut self, client: &Client, sent: &BTreeMap<u64, Sent>) {
        let mut stays: BTreeMap<Name, Stay<'_>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut last_of: BTreeMap<Name, u64> = BTreeMap::new();
        for entry in &client.log {
            match entry {
                Entry::Data { id, service, groups } => {
                    assert!(seen.insert(*id), "{} got {id} twice", client.name);
                    assert_eq!(*groups, sent[id].groups);
                    let before = last_of.insert(sent[id].sender, *id);
                    assert!(before < Some(*id), "{} got {id} after {before:?}", client.name);
                    self.data(*id, *service, groups, &mut stays);
                }
                Entry::Transition { group, id } => {
                    let stay = stays.get_mut(group).expect("a TRANSITION ends a view");
                    assert_eq!(stay.view.id, *id);
                    assert!(!stay.transition, "{} got two TRANSITIONs", client.name);
                    stay.transition = true;
                    stay.got.push(entry.to_string());
                }
                Entry::SelfLeave { group } => assert!(stays.remove(group).is_some()),
                Entry::View(view) => self.view(client, view, &mut stays),
            }
        }
    }

    fn data(&mut self, id: u64, service: Service, groups: &[Name], stays: &mut BTreeMap<Name, Stay<'_>>) {
        for group in groups {
            let Some(stay) = stays.get_mut(group) else { continue };
            stay.got.push(format!("data {id}"));
            if service == Service::Safe && !stay.transition {
                self.safe.insert((id, *group, stay.view.id));
            }
        }
    }

    fn view<'a>(&mut self, client: &Client, view: &'a View, stays: &mut BTreeMap<Name, Stay<'a>>) {
        let known = self.views.entry((view.group, view.id)).or_insert_with(|| view.members.clone());
        assert_eq!(*known, view.members, "{} of {} {:?}", client.name, view.group, view.id);
        assert!(view.members.contains(&client.name));
        let before = stays.insert(view.group, Stay { view, transition: false, got: Vec::new() });
        if view.cause == FrameType::CAUSED_BY_NETWORK {
            self.networks += 1;
            if view.id.0[2] >> 31 == 1 {
                self.transitional_views += 1;
            } else {
                self.merged.insert((view.group, view.id));
            }
            check_sets(client, view, before.as_ref());
        } else {
            check_change(client, view, before.as_ref());
        }
        if let Some(before) = before {
            let key = (view.group, before.view.id, view.id, view.sets[view.own].clone());
            if let Some(others) = self.segments.get(&key) {
                assert_eq!(*others, before.got, "{} between {key:?}", client.name);
                self.shared_segments += usize::from(!before.got.is_empty());
            }
            self.segments.insert(key, before.got);
        }
    }

    /// What a client was given as safe reached every member of its view that lived on and stayed; and if an exchange
    /// led to that view, they all were told of it.
    pub fn safe_reached_all(&self, stayed: &BTreeMap<Name, &Client>) {
        for &(message, group, id) in &self.safe {
            for client in self.views[&(group, id)].iter().filter_map(|member| stayed.get(member)) {
                assert!(got(client).any(|other| other == message), "{} misses safe message {message}", client.name);
                let told = |entry: &Entry| matches!(entry, Entry::View(view) if (view.group, view.id) == (group, id));
                let merged = self.merged.contains(&(group, id));
                assert!(!merged || client.log.iter().any(told), "{} misses {group} {id:?}", client.name);
            }
        }
    }
}

fn check_sets(client: &Client, view: &View, before: Option<&Stay<'_>>) {
    let all: BTreeSet<Name> = view.sets.iter().flatten().copied().collect();
    assert_eq!(all.len(), view.sets.iter().map(Vec::len).sum::<usize>(), "{view:?}");
    assert_eq!(all, view.members.iter().copied().collect());
    let own = &view.sets[view.own];
    assert!(own.contains(&client.name), "{} in {view:?}", client.name);
    match before {
        None => assert_eq!(own[..], [client.name], "{view:?}"),
        Some(before) => {
            assert!(own.iter().all(|member| before.view.members.contains(member)), "{view:?} after {:?}", before.view);
            assert_eq!(before.transition, own.len() < before.view.members.len(), "{view:?} after {:?}", before.view);
        }
    }
}

fn check_change(client: &Client, view: &View, before: Option<&Stay<'_>>) {
    let [changed] = view.sets[0][..] else { panic!("{view:?}") };
    assert_eq!((view.sets.len(), view.own), (1, 0));
    let joined = view.cause == FrameType::CAUSED_BY_JOIN;
    let Some(before) = before else {
        return assert!(joined && changed == client.name, "{view:?}");
    };
    assert!(!before.transition, "{view:?} follows a TRANSITION");
    let (more, fewer) = if joined { (view, before.view) } else { (before.view, view) };
    let rest: Vec<Name> = more.members.iter().copied().filter(|&member| member != changed).collect();
    assert_eq!(rest, fewer.members);
    assert_eq!(more.members.len(), fewer.members.len() + 1);
}

/// The messages that a client got.
pub fn got(client: &Client) -> impl Iterator<Item = u64> {
    client.log.iter().filter_map(|entry| match entry {
        Entry::Data { id, .. } => Some(*id),
        _ => None,
    })
}

/// What any two clients both got, they got in the same order.
pub fn one_order<'a>(clients: impl Iterator<Item = &'a Client> + Clone) {
    for one in clients.clone() {
        let place: BTreeMap<u64, usize> = got(one).zip(0..).collect();
        for other in clients.clone() {
            let places: Vec<usize> = got(other).filter_map(|id| place.get(&id).copied()).collect();
            assert!(places.is_sorted(), "{} and {} disagree", one.name, other.name);
        }
    }
}
