//! What must hold in every state, and what must happen in some.

use std::collections::BTreeSet;

use stateright::Property;

use super::{Daemon, Handover, Message, Packet, Phase, Ring, RingId, Set, State, visited};

/// `rings` are formed after the first one.
pub(super) fn all(rings: u8) -> Vec<Property<Handover>> {
    let mut all = always();
    all.extend(sometimes());
    if rings > 1 {
        // One ring must fail, or break again.
        all.extend(sometimes_after_two_rings());
    }
    all
}

fn always() -> Vec<Property<Handover>> {
    vec![
        Property::always("a ring has one holder or one live token", |_, state: &State| {
            state.rings.keys().all(|&ring| state.holders(ring) + usize::from(state.has_live_token(ring)) <= 1)
        }),
        Property::always("nothing contradicts", |_, state: &State| !state.contradiction),
        Property::always("a message is numbered once in a ring", |_, state: &State| {
            let once = |ring: &Ring| are_different(ring.numbered.iter().map(|packet| packet.message));
            state.rings.values().all(once)
        }),
        Property::always("claims rise with the numbers", |_, state: &State| {
            state.rings.values().all(|ring| ring.numbered.is_sorted_by(|one, next| one.claim() < next.claim()))
        }),
        Property::always("nobody delivers a message twice", |_, state: &State| {
            (0..state.daemons.len())
                .all(|me| are_different(state.delivered(me).into_iter().map(|(_, message)| message)))
        }),
        Property::always("a message is delivered in one ring only", |_, state: &State| {
            let all: BTreeSet<(RingId, Message)> =
                (0..state.daemons.len()).flat_map(|me| state.delivered(me)).collect();
            are_different(all.into_iter().map(|(_, message)| message))
        }),
        Property::always("a sender's messages come in their order", |_, state: &State| {
            (0..state.daemons.len()).all(|me| state.keeps_senders_order(me))
        }),
        Property::always(
            "a daemon delivers all that it sent in a ring before it is in the next one",
            |_, state: &State| {
                state.daemons.iter().enumerate().all(|(me, daemon)| {
                    let own = daemon.log.iter().filter(|(_, message)| usize::from(message.origin) == me).count();
                    own == usize::from(daemon.first)
                })
            },
        ),
        Property::always("no two daemons deliver two messages in different orders", |_, state: &State| {
            let logs: Vec<_> = (0..state.daemons.len()).map(|me| state.delivered(me)).collect();
            logs.iter().enumerate().all(|(n, one)| logs[..n].iter().all(|other| agree(one, other)))
        }),
        Property::always("those who move together have delivered the same in the same order", |_, state: &State| {
            let mut daemons = state.daemons.iter().enumerate();
            daemons.all(|(n, one)| state.daemons[..n].iter().all(|other| moved_alike(one, other)))
        }),
    ]
}

fn sometimes() -> Vec<Property<Handover>> {
    vec![
        Property::sometimes("a message that was handed over is delivered by its claim", |_, state: &State| {
            state.daemons.iter().any(|daemon| !daemon.by_claim.is_empty())
        }),
        Property::sometimes("one delivers by its claim what another has with a number", |_, state: &State| {
            let numbered = |message: &Message| {
                state.rings.values().any(|ring| ring.numbered.iter().any(|packet| packet.message == *message))
            };
            state.daemons.iter().any(|daemon| daemon.by_claim.iter().any(numbered))
        }),
        Property::sometimes("a packet claims again, and gets a number by that", |_, state: &State| {
            state.rings.values().any(|ring| ring.numbered.iter().any(|packet| claimed_before(ring, packet)))
        }),
    ]
}

fn sometimes_after_two_rings() -> Vec<Property<Handover>> {
    vec![
        Property::sometimes("a message that got no number is sent again, and others deliver it", |_, state: &State| {
            let others = |me: usize| (0..state.daemons.len()).filter(move |&other| other != me);
            let delivers = |other: usize, wanted: &Message| state.delivered(other).iter().any(|(_, it)| it == wanted);
            state.daemons.iter().enumerate().any(|(me, daemon)| {
                daemon.sent_again.iter().any(|message| others(me).any(|other| delivers(other, message)))
            })
        }),
        Property::sometimes("a daemon goes apart, though others of its ring are there", |_, state: &State| {
            let with_others = |&(from, to, peers): &(RingId, RingId, Set)| {
                let also = |entry: &(RingId, RingId, Set)| (entry.0, entry.1) == (from, to) && entry.2 != peers;
                peers.count_ones() == 1 && state.daemons.iter().any(|other| other.moves.iter().any(also))
            };
            state.daemons.iter().any(|daemon| daemon.moves.iter().any(with_others))
        }),
    ]
}

impl State {
    /// What a daemon has delivered, in which ring, in order.
    fn delivered(&self, me: usize) -> Vec<(RingId, Message)> {
        let Daemon { ring, ref log, .. } = self.daemons[me];
        let here = self.packets(me).take(usize::from(self.daemons[me].aru()));
        log.iter().copied().chain(here.map(|packet| (ring, packet.message))).collect()
    }

    fn holders(&self, ring: RingId) -> usize {
        let holds =
            |daemon: &&Daemon| daemon.phase == Phase::Operational && daemon.ring == ring && daemon.holds.is_some();
        self.daemons.iter().filter(holds).count()
    }

    /// Whether somebody would still take the token that was passed on last.
    fn has_live_token(&self, id: RingId) -> bool {
        let Ring { members, token, .. } = self.rings[&id];
        token.is_some_and(|token| {
            let daemon = &self.daemons[visited(members, token.hop)];
            match &daemon.phase {
                Phase::Settled { ring, .. } => *ring == id,
                Phase::Operational => daemon.ring == id && token.hop > daemon.hop,
                Phase::Gather => false,
            }
        })
    }

    /// Whether each sender's messages came in its order, without a gap in a ring, and this daemon's own ones without any.
    fn keeps_senders_order(&self, me: usize) -> bool {
        let all = self.delivered(me);
        (0..self.daemons.len() as u8).all(|origin| {
            let of: Vec<_> = all.iter().filter(|(_, message)| message.origin == origin).collect();
            let rises = of.windows(2).all(|pair| match pair[0].0 == pair[1].0 || usize::from(origin) == me {
                true => pair[0].1.index + 1 == pair[1].1.index,
                false => pair[0].1.index < pair[1].1.index,
            });
            rises && (usize::from(origin) != me || of.first().is_none_or(|(_, first)| first.index == 0))
        })
    }
}

fn are_different<T: Ord>(all: impl Iterator<Item = T>) -> bool {
    let mut known = BTreeSet::new();
    all.into_iter().all(|one| known.insert(one))
}

/// Whether what both have comes in the same order.
fn agree(one: &[(RingId, Message)], other: &[(RingId, Message)]) -> bool {
    let places = one.iter().filter_map(|(_, message)| other.iter().position(|(_, it)| it == message));
    places.is_sorted()
}

/// Whether those moves that two daemons made together began with the same messages.
fn moved_alike(one: &Daemon, other: &Daemon) -> bool {
    let there = |daemon: &Daemon, ring: RingId| -> Vec<Message> {
        daemon.log.iter().filter(|(of, _)| *of == ring).map(|(_, message)| *message).collect()
    };
    let mut together = one.moves.iter().filter(|entry| other.moves.contains(entry));
    together.all(|&(from, ..)| there(one, from) == there(other, from))
}

/// Whether this packet's origin has handed it over with a lower claim before.
fn claimed_before(ring: &Ring, packet: &Packet) -> bool {
    ring.handed_over.contains(packet)
        && ring.handed_over.iter().any(|other| other.message == packet.message && other.claims < packet.claims)
}
