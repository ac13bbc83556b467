//! Packets that are handed over while the token rests, with the claims that keep their order when the ring breaks.
//!
//! It keeps every rule that gives a packet its number or its place: visits of the token, rests, claims, and what the exchange decides. It
//! leaves out:
//! - The form token and the packets of recovery. Daemons bring what they have in one step. Then the exchange is complete at all of them, or
//!   it is complete at some of them and the ring fails. The model in rings.rs shows that a form token brings about just that.
//! - Old copies of the token. The model in rings.rs has them all; here only the last token that was passed on may come again.
//! - Announcements of a rest. A daemon may hand over a packet at any time, as if it had heard of some rest, and may claim any number that
//!   an announcement could have made it claim.
//! - Retransmission. A packet that has a number may arrive at any member of its ring at any later time, or never.
//! - What is new in a later ring. It begins as the first one did, so its token goes round once, and only brings what must be sent again.
//! - The services. All messages are agreed ones.
//!
//! Copies of what is handed over may arrive any number of times, at whatever daemon holds the token.

mod exchange;
mod properties;
mod ring;

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Model, Property};

const DAEMONS: usize = 3;
/// Everybody.
const ALL: Set = 0b111;
/// The first token is on its way to daemon 1: one daemon with a lower number and one with a higher number may hand over to it.
const FIRST_HOP: u8 = 2;
/// The ring that is installed at the beginning.
const FIRST: RingId = (1, 0);

/// Sequence and representative.
pub type RingId = (u8, u8);
/// A set of daemons, or of packets by their numbers less one: one bit each.
pub type Set = u8;
/// The number that is claimed, and the origin.
pub type Claim = (u8, u8);

/// The limits of the model.
pub struct Handover {
    /// How many rings are formed after the first one.
    pub rings: u8,
    /// How many messages each daemon sends.
    pub messages: [u8; DAEMONS],
    /// How far the token of the first ring is followed.
    pub hops: u8,
}

/// An origin and which of its messages this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    origin: u8,
    index: u8,
}

/// A message in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Packet {
    message: Message,
    /// How many packets its origin has made in this ring before.
    offset: u8,
    /// The number that it claims; 0 if it claims the one that it gets.
    claims: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    hop: u8,
    seq: u8,
    /// The highest number of a packet that was handed over.
    handed: u8,
}

/// What a daemon brings to a new ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Brings {
    ring: RingId,
    has: Set,
    claimed: Option<Packet>,
    holds: bool,
    apart: bool,
    trusted: Set,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Operational,
    /// It has left its ring.
    Gather,
    /// Its exchange is complete. It installs the ring when the token comes.
    Settled {
        ring: RingId,
        peers: Set,
        /// What is delivered by its claim.
        claims: Vec<Packet>,
    },
}

/// The packet that a daemon handed over and has not seen in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Handed {
    InDoubt(Packet),
    /// An exchange is complete whose other members may deliver it.
    Promised(Packet),
    /// It has no number and will get none.
    Void(Packet),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Daemon {
    phase: Phase,
    /// The highest ring sequence heard of.
    sequence: u8,
    /// The last ring installed, the hop seen there, and which of its packets are here.
    ring: RingId,
    hop: u8,
    has: Set,
    /// The token, if it rests here or did so when the ring was left.
    holds: Option<Token>,
    /// Which messages it has made, which one it sends next, and which one it sent first in this ring.
    made: u8,
    next: u8,
    first: u8,
    handed: Option<Handed>,
    trusted: Set,
    /// What it delivered in rings that it has left.
    log: Vec<(RingId, Message)>,
    /// From which ring to which ring it went, and with whom.
    moves: Vec<(RingId, RingId, Set)>,
    /// What it delivered by its claim, because it knew of no number.
    by_claim: Vec<Message>,
    /// What it handed over in vain and sends again in another ring.
    sent_again: Vec<Message>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Ring {
    members: Set,
    /// Packet `n` has the number `n + 1`.
    numbered: Vec<Packet>,
    /// All that was ever handed over.
    handed_over: BTreeSet<Packet>,
    /// The last token that was passed on, and the last hop that is followed.
    token: Option<Token>,
    last_hop: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    daemons: Vec<Daemon>,
    /// The rings that somebody is in or may get into.
    rings: BTreeMap<RingId, Ring>,
    formed: u8,
    /// A number was given twice, or a packet came that its origin has given up.
    contradiction: bool,
}

/// What becomes of a ring that daemons want to form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The exchange is complete. The member at this hop is the first that may install the ring.
    Begins { hop: u8 },
    /// The exchange is complete at these daemons only, and nobody installs the ring.
    Fails { settled: Set },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Visit {
    Rest,
    /// The token goes on, and the daemon numbers a packet before or does not.
    Turn {
        sends: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Token { ring: RingId, visit: Visit },
    LetGo { me: usize, sends: bool },
    SendAtRest { me: usize },
    HandOver { me: usize, claims: u8 },
    Handover { holder: usize, packet: Packet },
    Data { me: usize, seq: u8 },
    Form { set: Set, outcome: Outcome },
    GiveUp { me: usize },
}

impl Packet {
    fn claim(&self) -> Claim {
        (self.claims, self.message.origin)
    }
}

fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..DAEMONS).filter(move |n| set & 1 << n != 0)
}

/// The member that this hop of the token leads to.
fn visited(set: Set, hop: u8) -> usize {
    let place = usize::from(hop - 1) % set.count_ones() as usize;
    members(set).nth(place).expect("there is a member at each place")
}

impl Daemon {
    fn is_apart(&self) -> bool {
        matches!(self.handed, Some(Handed::Promised(_)))
    }

    /// Everything up to here is here.
    fn aru(&self) -> u8 {
        self.has.trailing_ones() as u8
    }

    /// The highest number that is here.
    fn high(&self) -> u8 {
        (Set::BITS - self.has.leading_zeros()) as u8
    }
}

impl State {
    fn ring_of(&self, me: usize) -> &Ring {
        &self.rings[&self.daemons[me].ring]
    }

    /// The claim of the last packet up to which everything is here.
    fn last_claim(&self, me: usize) -> Claim {
        match self.daemons[me].aru() {
            0 => (0, u8::MAX),
            aru => self.ring_of(me).numbered[usize::from(aru) - 1].claim(),
        }
    }

    /// The packets of its ring that a daemon has, in order.
    fn packets(&self, me: usize) -> impl Iterator<Item = &Packet> {
        let has = self.daemons[me].has;
        self.ring_of(me).numbered.iter().enumerate().filter(move |(n, _)| has & 1 << n != 0).map(|(_, packet)| packet)
    }

    /// Forgets what can lead to nothing any more.
    fn forget(&mut self) {
        let State { daemons, rings, .. } = self;
        for (id, ring) in rings.iter_mut() {
            let settled = |daemon: &Daemon| matches!(&daemon.phase, Phase::Settled { ring, .. } if ring == id);
            let runs = daemons.iter().any(|daemon| daemon.phase == Phase::Operational && daemon.ring == *id);
            if !runs {
                ring.handed_over.clear();
            }
            if !runs && !daemons.iter().any(settled) {
                ring.token = None;
            }
        }
        let is_used = |id: &RingId| {
            daemons.iter().any(|daemon| match &daemon.phase {
                Phase::Settled { ring, .. } if ring == id => true,
                _ => daemon.ring == *id,
            })
        };
        rings.retain(|id, _| is_used(id));
    }
}

impl Model for Handover {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let daemon = Daemon {
            phase: Phase::Operational,
            sequence: FIRST.0,
            ring: FIRST,
            hop: 0,
            has: 0,
            holds: None,
            made: 0,
            next: 0,
            first: 0,
            handed: None,
            trusted: 0,
            log: Vec::new(),
            moves: Vec::new(),
            by_claim: Vec::new(),
            sent_again: Vec::new(),
        };
        let token = Some(Token { hop: FIRST_HOP, seq: 0, handed: 0 });
        let ring = Ring { members: ALL, token, last_hop: FIRST_HOP + self.hops - 1, ..Ring::default() };
        let (daemons, rings) = (vec![daemon; DAEMONS], [(FIRST, ring)].into());
        vec![State { daemons, rings, formed: 0, contradiction: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, daemon) in state.daemons.iter().enumerate() {
            match daemon.phase {
                Phase::Operational => self.operate(state, me, actions),
                Phase::Gather => {}
                Phase::Settled { .. } => actions.extend((state.formed < self.rings).then_some(Action::GiveUp { me })),
            }
            if daemon.ring == FIRST && matches!(daemon.phase, Phase::Operational | Phase::Gather) {
                let is_missing = |seq: &u8| daemon.has & 1 << (seq - 1) == 0;
                let missing = (1..=state.ring_of(me).numbered.len() as u8).filter(is_missing);
                actions.extend(missing.map(|seq| Action::Data { me, seq }));
            }
        }
        for &ring in state.rings.iter().filter(|(_, ring)| ring.token.is_some()).map(|(id, _)| id) {
            let visits = match ring {
                FIRST => vec![Visit::Rest, Visit::Turn { sends: false }, Visit::Turn { sends: true }],
                _ => vec![Visit::Turn { sends: true }],
            };
            actions.extend(visits.into_iter().map(|visit| Action::Token { ring, visit }));
        }
        if state.formed < self.rings {
            let free = |n: usize| matches!(state.daemons[n].phase, Phase::Operational | Phase::Gather);
            for set in (1..=ALL).filter(|&set| members(set).all(free)) {
                let fails = (1..=set).filter(|settled| settled & !set == 0).map(|settled| Outcome::Fails { settled });
                let begins = (1..=set.count_ones() as u8).map(|hop| Outcome::Begins { hop });
                actions.extend(begins.chain(fails).map(|outcome| Action::Form { set, outcome }));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Token { ring, visit } => self.visit(&mut state, ring, visit),
            Action::LetGo { me, sends } => self.let_go(&mut state, me, sends),
            Action::SendAtRest { me } => state.send_at_rest(me),
            Action::HandOver { me, claims } => state.hand_over(me, claims),
            Action::Handover { holder, packet } => state.on_handover(holder, packet),
            Action::Data { me, seq } => state.receive(me, seq),
            Action::Form { set, outcome } => self.form(&mut state, set, outcome),
            Action::GiveUp { me } => state.daemons[me].phase = Phase::Gather,
        }
        // What has no effect may as well not happen.
        if state == *last {
            return None;
        }
        state.forget();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self.rings)
    }
}
