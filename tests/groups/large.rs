//! Many groups and many members. A table takes work in proportion to what changes, or these tests would not end in any time that
//! somebody waits for.

use std::collections::BTreeMap;
use std::time::Duration;

use spread::groups::{Groups, GroupsEvent, Session, SessionId};
use spread::ring::{Configuration, ConfigurationKind, Message, RingEvent};
use spread::wire::{DaemonId, Envelope, FrameType, Name, Payload, RingId, Service};

use crate::client::{data_frame, name};

const GROUPS: u32 = 10_000;
const CLIENTS: u32 = 1_000;
/// Groups that each client is in, unless the environment says otherwise in `TORC_GROUPS_EACH`: 10000 makes ten million memberships.
const EACH: u32 = 100;

/// Two daemons that deliver everything at once.
pub struct Pair {
    pub groups: BTreeMap<u32, Groups>,
    /// Frames for clients so far, each receiver counted.
    pub delivered: usize,
    /// The most processor time that a daemon took for one message of an exchange.
    pub longest: Duration,
}

impl Pair {
    pub fn new() -> Pair {
        let names = || [1, 2].map(|daemon| (DaemonId(daemon), format!("d{daemon}")));
        let groups = [1, 2].map(|daemon| (daemon, Groups::new(DaemonId(daemon), names()))).into();
        Pair { groups, delivered: 0, longest: Duration::ZERO }
    }

    /// A configuration of both, or of each alone, with its exchange.
    pub fn configure(&mut self, sequence: u64, rings: &[&[u32]]) {
        for members in rings {
            let ring = RingId { sequence, representative: DaemonId(members[0]) };
            let mut said = Vec::new();
            for daemon in *members {
                let members = members.iter().map(|&id| DaemonId(id)).collect();
                let configuration = Configuration { kind: ConfigurationKind::Regular, ring, members, next: None };
                let groups = self.groups.get_mut(daemon).unwrap();
                groups.handle_event(RingEvent::Configuration(configuration));
                said.extend(drain(groups, &mut self.delivered).into_iter().map(|payload| (*daemon, payload)));
            }
            for (origin, payload) in said {
                for &at in *members {
                    let before = processor_time();
                    self.deliver(at, origin, &payload);
                    self.longest = self.longest.max(processor_time() - before);
                }
            }
        }
    }

    /// Each goes on alone.
    pub fn part(&mut self, sequence: u64) {
        let ring = RingId { sequence, representative: DaemonId(1) };
        for (&id, groups) in &mut self.groups {
            let members = vec![DaemonId(id)];
            let next = Some(RingId { sequence: sequence + 1, representative: DaemonId(id) });
            let configuration = Configuration { kind: ConfigurationKind::Transitional, ring, members, next };
            groups.handle_event(RingEvent::Configuration(configuration));
            drain(groups, &mut self.delivered);
        }
        self.configure(sequence + 1, &[&[1], &[2]]);
    }

    pub fn both(&mut self, origin: u32, envelope: Envelope) {
        let payload = envelope.encode();
        [1, 2].into_iter().for_each(|at| self.deliver(at, origin, &payload));
    }

    fn deliver(&mut self, at: u32, origin: u32, payload: &Payload) {
        let message =
            Message { origin: DaemonId(origin), service: Service::Agreed, payload: payload.clone(), numbered: true };
        let groups = self.groups.get_mut(&at).unwrap();
        groups.handle_event(RingEvent::Message(message));
        drain(groups, &mut self.delivered);
    }

    pub fn counts(&self, group: &Name) -> [(usize, usize); 2] {
        [1, 2].map(|at| (self.groups[&at].group_count(), self.groups[&at].member_count(group)))
    }
}

/// Processor time that this thread took so far, to a tick of the clock; nothing where the system does not say.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default())
}

/// Counts the frames for clients, and returns what is for the ring.
fn drain(groups: &mut Groups, delivered: &mut usize) -> Vec<Payload> {
    let mut said = Vec::new();
    while let Some(event) = groups.poll_event() {
        match event {
            GroupsEvent::Submit { payload, .. } => said.push(payload),
            GroupsEvent::Deliver { to, .. } => *delivered += to.len(),
            GroupsEvent::Released(_) | GroupsEvent::Whole(_) | GroupsEvent::Changed | GroupsEvent::Begun(_) => {}
            GroupsEvent::Said(_) => {}
            GroupsEvent::Refused(_) | GroupsEvent::RoomForPieces | GroupsEvent::Forged => {
                panic!("nobody forges anything")
            }
        }
    }
    said
}

/// The daemon of a client, and the client.
fn member(client: u32) -> (u32, Name) {
    let daemon = 1 + client % 2;
    (daemon, name(&format!("#c{client}#d{daemon}")))
}

#[test]
fn ten_thousand_groups_are_joined_split_merged_and_left() {
    let each = std::env::var("TORC_GROUPS_EACH").map_or(EACH, |each| each.parse().unwrap());
    let mut pair = Pair::new();
    pair.configure(1, &[&[1, 2]]);
    let names: Vec<Name> = (0..GROUPS).map(|group| name(&format!("g{group}"))).collect();
    for client in 0..CLIENTS {
        let (daemon, member) = member(client);
        let id = SessionId(client.into());
        // A few want to know who else is there: the last to come and the first to go, for everybody's coming and going is a list of all.
        let session = Session { id, private_group: member, wants_membership: client >= CLIENTS - CLIENTS / 100 };
        pair.groups.get_mut(&daemon).unwrap().connect(session).unwrap();
        for number in 0..each {
            let group = names[((client * each + number) % GROUPS) as usize];
            pair.both(daemon, Envelope::Join { member, group });
        }
    }
    let members = (CLIENTS * each / GROUPS) as usize;
    let (groups, first) = (GROUPS as usize, names[0]);
    assert_eq!(pair.counts(&first), [(groups, members); 2]);

    pair.part(2);
    pair.longest = Duration::ZERO;
    pair.configure(4, &[&[1, 2]]);
    println!("the longest step of the merge took {:?} of processor time", pair.longest);
    assert_eq!(pair.counts(&first), [(groups, members); 2]);

    for client in (0..CLIENTS).rev() {
        let (daemon, member) = member(client);
        pair.both(daemon, Envelope::Disconnect { member });
    }
    assert_eq!(pair.counts(&first), [(0, 0); 2]);
}

#[test]
fn a_group_with_ten_thousand_members_here_is_joined_and_left() {
    const MEMBERS: u32 = 10_000;
    let mut pair = Pair::new();
    pair.configure(1, &[&[1, 2]]);
    let group = name("everybody");
    let everyone: Vec<Name> = (0..MEMBERS).map(|client| name(&format!("#c{client}#d1"))).collect();
    for (client, &member) in (0..).zip(&everyone) {
        let session = Session { id: SessionId(client), private_group: member, wants_membership: false };
        pair.groups.get_mut(&1).unwrap().connect(session).unwrap();
        pair.both(1, Envelope::Join { member, group });
    }
    assert_eq!(pair.counts(&group), [(1, MEMBERS as usize); 2]);
    assert_eq!(pair.delivered, 0);
    for number in 0..3 {
        pair.both(1, Envelope::Data(data_frame(FrameType::AGREED, everyone[0], &[group], number)));
    }
    assert_eq!(pair.delivered, 3 * MEMBERS as usize);
    for &member in &everyone[1..] {
        pair.both(1, Envelope::Leave { member, group });
    }
    pair.both(1, Envelope::Data(data_frame(FrameType::AGREED, everyone[0], &[group], 3)));
    assert_eq!(pair.delivered, 3 * MEMBERS as usize + 1);
}
