//! Token, membership and two networks at three daemons.
//!
//! It keeps what makes tokens and memberships safe (ring ids, hops, two rotations of the form token, what each brings to a new ring)
//! and leaves the rest out: timers, so that a ring may be given up at any time; joins, so that a representative may agree with any
//! set of daemons, whether or not they are still there; retransmission of data, so that a lost packet is a hole until the next ring;
//! and the packets of recovery, whose contents travel with the form token instead.
//!
//! Each packet travels on both networks, may be sent again, and each copy may arrive at any time or never. So whatever was sent may
//! arrive any number of times from then on, which covers everything that two networks can do, and what a third one could add.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

const DAEMONS: usize = 3;
/// Messages that are sent in all.
const MESSAGES: u8 = 2;
/// How far a token is followed.
const HOPS: u8 = 5;

/// Sequence and representative.
pub type Ring = (u8, u8);
/// A set of daemons or of packet numbers, one bit each.
pub type Set = u8;
/// What a daemon brings: the ring that it comes from, and which of its packets it has.
pub type Brings = Option<(Ring, Set)>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Packet {
    Form { ring: Ring, members: Set, hop: u8, brings: [Brings; DAEMONS] },
    Token { ring: Ring, hop: u8, seq: u8 },
    Data { ring: Ring, seq: u8 },
}

/// Receiver and what is on its way.
pub type Copy = (u8, Packet);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Gather,
    /// The form token was passed on once.
    Form {
        ring: Ring,
        members: Set,
        hop: u8,
    },
    /// What is owed was exchanged; the ring is installed when its token comes.
    Recovery {
        ring: Ring,
        members: Set,
        peers: Set,
    },
    Operational {
        members: Set,
        hop: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Daemon {
    phase: Phase,
    /// The highest ring sequence heard of, and that of the last form token accepted.
    sequence: u8,
    formed: u8,
    /// The last ring installed and which of its packets are here.
    ring: Option<Ring>,
    has: Set,
    /// How many of its packets were delivered, in order.
    delivered: Set,
    /// From which ring to which ring it went, and what it delivered in the first.
    moves: Vec<(Ring, Ring, Set)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    daemons: Vec<Daemon>,
    /// All that was ever sent.
    sent: BTreeSet<Copy>,
    /// Who numbered which packet of which ring.
    numbered: BTreeMap<(Ring, u8), BTreeSet<u8>>,
    /// The members of each ring as each of them that installed it knows them.
    installed: BTreeSet<(Ring, Set)>,
    messages: u8,
    given_up: u8,
    rings: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Form { representative: usize, members: Set },
    Arrive { copy: Copy, sends: bool },
    GiveUp(usize),
}

pub struct Rings {
    /// How many rings are formed.
    pub rings: u8,
    /// How often one is given up.
    pub give_ups: u8,
}

fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..DAEMONS).filter(move |n| set & 1 << n != 0)
}

fn successor(set: Set, of: usize) -> usize {
    (1..=DAEMONS).map(|step| (of + step) % DAEMONS).find(|n| set & 1 << n != 0).expect("it is a member itself")
}

impl State {
    fn send(&mut self, to: usize, packet: &Packet) {
        self.sent.insert((to as u8, packet.clone()));
    }

    /// The representative writes down what it brings; alone it is done with that.
    fn form(&mut self, me: usize, set: Set) {
        let sequence = 1 + members(set).map(|n| self.daemons[n].sequence).max().expect("it has members");
        let (ring, mut brings) = ((sequence, me as u8), [None; DAEMONS]);
        self.rings += 1;
        brings[me] = self.daemons[me].brings();
        self.accept(me, ring);
        if successor(set, me) == me {
            self.exchange(me, ring, set, &brings);
            self.visit(me, ring, 1, 0, false);
        } else {
            self.daemons[me].phase = Phase::Form { ring, members: set, hop: 1 };
            self.send(successor(set, me), &Packet::Form { ring, members: set, hop: 1, brings });
        }
    }

    fn accept(&mut self, me: usize, ring: Ring) {
        let daemon = &mut self.daemons[me];
        (daemon.sequence, daemon.formed) = (daemon.sequence.max(ring.0), ring.0);
    }

    /// The form token is here: on its first rotation it is written on, on its second it is read.
    fn on_form(&mut self, me: usize, ring: Ring, set: Set, hop: u8, mut brings: [Brings; DAEMONS]) {
        let count = set.count_ones() as u8;
        match self.daemons[me].phase.clone() {
            Phase::Gather if ring.0 > self.daemons[me].formed && hop < count => {
                brings[me] = self.daemons[me].brings();
                self.accept(me, ring);
                self.daemons[me].phase = Phase::Form { ring, members: set, hop: hop + 1 };
            }
            Phase::Form { ring: ours, hop: seen, .. } if ours == ring && hop > seen => {
                self.exchange(me, ring, set, &brings);
            }
            // Back from its second rotation: here is the first token.
            Phase::Recovery { ring: ours, .. } if ours == ring && ring.1 == me as u8 && hop == 2 * count => {
                return self.visit(me, ring, 1, 0, false);
            }
            _ => return,
        }
        self.send(successor(set, me), &Packet::Form { ring, members: set, hop: hop + 1, brings });
    }

    /// Everybody has what any of those has who come from the same ring.
    fn exchange(&mut self, me: usize, ring: Ring, set: Set, brings: &[Brings; DAEMONS]) {
        let from = self.daemons[me].ring;
        let peer = |n: &usize| from.is_some() && brings[*n].map(|(ring, _)| ring) == from;
        let peers: Set = members(set).filter(peer).map(|n| 1 << n).sum();
        let all = members(peers).filter_map(|n| brings[n]).fold(0, |all, (_, has)| all | has);
        let daemon = &mut self.daemons[me];
        daemon.has |= all;
        daemon.phase = Phase::Recovery { ring, members: set, peers };
    }

    /// The token is here: installs the ring, numbers a message or not, passes the token on.
    fn visit(&mut self, me: usize, ring: Ring, hop: u8, mut seq: u8, sends: bool) {
        let (set, seen) = match self.daemons[me].phase.clone() {
            Phase::Recovery { ring: ours, members: set, .. } if ours == ring => {
                self.install(me, ring, set);
                (set, 0)
            }
            Phase::Operational { members: set, hop } if self.daemons[me].ring == Some(ring) => (set, hop),
            _ => return,
        };
        if hop <= seen {
            return;
        }
        let mut data = None;
        if sends && self.messages < MESSAGES {
            seq += 1;
            self.messages += 1;
            self.numbered.entry((ring, seq)).or_default().insert(me as u8);
            self.daemons[me].receive(seq);
            data = Some(Packet::Data { ring, seq });
        }
        self.daemons[me].phase = Phase::Operational { members: set, hop: hop + 1 };
        if set.count_ones() > 1 && hop < HOPS {
            self.send(successor(set, me), &Packet::Token { ring, hop: hop + 1, seq });
            for other in members(set).filter(|other| *other != me) {
                data.iter().for_each(|packet| self.send(other, packet));
            }
        }
    }

    fn install(&mut self, me: usize, ring: Ring, set: Set) {
        self.installed.insert((ring, set));
        let daemon = &mut self.daemons[me];
        if let Some(old) = daemon.ring.replace(ring) {
            // What is behind a hole is delivered in the transitional configuration.
            daemon.moves.push((old, ring, daemon.has));
        }
        (daemon.has, daemon.delivered) = (0, 0);
    }

    /// The hops of this ring's tokens that somebody would still take.
    fn live_tokens(&self, ring: Ring) -> usize {
        let takes = |to: usize, hop: u8| match &self.daemons[to].phase {
            Phase::Recovery { ring: ours, .. } => *ours == ring,
            Phase::Operational { hop: seen, .. } => self.daemons[to].ring == Some(ring) && hop > *seen,
            _ => false,
        };
        let hop = |copy: &Copy| match copy {
            (to, Packet::Token { ring: of, hop, .. }) if *of == ring && takes(usize::from(*to), *hop) => Some(*hop),
            _ => None,
        };
        self.sent.iter().filter_map(hop).collect::<BTreeSet<u8>>().len()
    }
}

impl Daemon {
    fn brings(&self) -> Brings {
        self.ring.map(|ring| (ring, self.has))
    }

    fn receive(&mut self, seq: u8) {
        self.has |= 1 << seq;
        while self.has & 2 << self.delivered.count_ones() != 0 {
            self.delivered |= 2 << self.delivered.count_ones();
        }
    }
}

impl Model for Rings {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let daemon = Daemon {
            phase: Phase::Gather,
            sequence: 0,
            formed: 0,
            ring: None,
            has: 0,
            delivered: 0,
            moves: Vec::new(),
        };
        vec![State {
            daemons: vec![daemon; DAEMONS],
            sent: BTreeSet::new(),
            numbered: BTreeMap::new(),
            installed: BTreeSet::new(),
            messages: 0,
            given_up: 0,
            rings: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, daemon) in state.daemons.iter().enumerate() {
            if daemon.phase == Phase::Gather && state.rings < self.rings {
                let sets = (1..1 << DAEMONS).filter(|set: &Set| set.trailing_zeros() as usize == me);
                actions.extend(sets.map(|members| Action::Form { representative: me, members }));
            }
            if daemon.phase != Phase::Gather && state.given_up < self.give_ups {
                actions.push(Action::GiveUp(me));
            }
        }
        for copy in &state.sent {
            actions.push(Action::Arrive { copy: copy.clone(), sends: false });
            if matches!(copy.1, Packet::Token { .. }) && state.messages < MESSAGES {
                actions.push(Action::Arrive { copy: copy.clone(), sends: true });
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Form { representative, members } => state.form(representative, members),
            Action::GiveUp(me) => {
                state.given_up += 1;
                state.daemons[me].phase = Phase::Gather;
            }
            Action::Arrive { copy, sends } => {
                let (to, packet) = copy;
                let to = usize::from(to);
                match packet {
                    Packet::Form { ring, members, hop, brings } => state.on_form(to, ring, members, hop, brings),
                    Packet::Token { ring, hop, seq } => state.visit(to, ring, hop, seq, sends),
                    // What comes when the ring has been left for good is too late; before, it is as good as in time.
                    Packet::Data { ring, seq } => {
                        let daemon = &mut state.daemons[to];
                        match daemon.phase {
                            Phase::Operational { .. } if daemon.ring == Some(ring) => daemon.receive(seq),
                            Phase::Gather if daemon.ring == Some(ring) => daemon.has |= 1 << seq,
                            _ => {}
                        }
                    }
                }
            }
        }
        // What has no effect may as well not arrive.
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one live token per ring", |_, state: &State| {
                state.installed.iter().all(|(ring, _)| state.live_tokens(*ring) <= 1)
            }),
            Property::always("a number is given once, by a member", |_, state: &State| {
                state.numbered.iter().all(|((ring, _), by)| {
                    let member = |n: &u8| state.installed.iter().any(|(of, set)| of == ring && set & 1 << n != 0);
                    by.len() == 1 && by.iter().all(member)
                })
            }),
            Property::always("nothing is delivered that its ring does not own", |_, state: &State| {
                let owned = |ring: Ring, has: Set| {
                    (0..8).filter(|n| has & 1 << n != 0).all(|n| state.numbered.contains_key(&(ring, n)))
                };
                state.daemons.iter().all(|daemon| {
                    daemon.ring.is_none_or(|ring| owned(ring, daemon.has))
                        && daemon.moves.iter().all(|(ring, _, has)| owned(*ring, *has))
                })
            }),
            Property::always("members agree on who they are", |_, state: &State| {
                let rings: BTreeSet<Ring> = state.installed.iter().map(|(ring, _)| *ring).collect();
                rings.len() == state.installed.len()
            }),
            Property::always("those who move together have delivered the same", |_, state: &State| {
                let mut known = BTreeMap::new();
                let moves = state.daemons.iter().flat_map(|daemon| &daemon.moves);
                moves.into_iter().all(|(from, to, has)| *known.entry((from, to)).or_insert(has) == has)
            }),
            Property::sometimes("all three deliver everything in one ring", |_, state: &State| {
                state.daemons.iter().all(|daemon| {
                    daemon.ring == state.daemons[0].ring && daemon.delivered.count_ones() == u32::from(MESSAGES)
                })
            }),
            Property::sometimes("two move together and owe each other a packet", |_, state: &State| {
                let owed = |daemon: &Daemon| daemon.moves.iter().any(|(from, _, has)| *has != 0 && from.0 == 1);
                state.daemons.iter().filter(|daemon| owed(daemon)).count() >= 2
            }),
        ]
    }
}
