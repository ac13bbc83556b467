//! The gate of a sealed system: which key opens a packet, and which life of a daemon is believed.
//!
//! A packet that opens was made by somebody who has a key, but perhaps long ago: it may be a record of an earlier life. So a life is believed
//! once it has answered a question that this life of the receiver asked. Until then a packet leads to that question and to nothing else.
//! A question has a new number each time that a life is believed, and after [`QUESTION_LIFETIME`], so an answer is no use later.
//!
//! A question is answered whoever asks it. The answer is sealed, and only the asking life can use it, and only now. The same packet
//! asks the other daemon back, so two daemons believe each other after one and a half round trips.

use std::borrow::Borrow;

use super::super::health::Copied;
use super::super::moves::Moves;
use super::super::seat::{BySeat, Seat};
use super::Opened;
use super::duplicates::{Mark, Seen, Trust};
use super::lives::{Life, Old};
use crate::seal::{KeyId, Keys, LifeKey};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Greeting, Header, Incarnation, SealTag, Slice};

/// How long an answer to a question is accepted.
const QUESTION_LIFETIME: Duration = Duration::from_secs(2);
/// The shortest time until a question is asked again, and until the same one is answered again.
const QUESTION_GAP: Duration = Duration::from_millis(10);

/// The keys of this daemon, and what it believes of the others.
#[derive(Debug)]
pub(super) struct Gate {
    keys: Keys,
    peers: BySeat<Peer>,
}

#[derive(Debug)]
struct Peer {
    believed: Option<Believed>,
    question: Question,
    /// The last question of it that was answered, and when.
    answered: Option<(Incarnation, u64, Instant)>,
}

/// A life that has answered.
#[derive(Debug)]
struct Believed {
    life: Life,
    /// Its keys, by which its packets open.
    keys: Vec<LifeKey>,
    /// The shared keys that it says it has.
    has: Vec<KeyId>,
}

/// The question that another daemon must answer to be believed.
#[derive(Debug)]
struct Question {
    number: u64,
    /// When it was asked first and last.
    asked: Option<(Instant, Instant)>,
}

/// Whether the life that sent a packet is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Believed,
    Stranger,
}

impl Gate {
    pub(super) fn new(keys: Keys, daemons: usize) -> Gate {
        Gate { keys, peers: BySeat::new(daemons, |_| Peer::new()) }
    }

    /// The table is another one.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.peers, |_| Peer::new());
    }

    /// These are the keys from now on.
    pub(super) fn set_keys(&mut self, keys: Keys, id: impl Fn(Seat) -> DaemonId) {
        for (number, peer) in self.peers.iter_mut().enumerate() {
            if let Some(believed) = &mut peer.believed {
                believed.keys = life_keys(&keys, id(Seat::new(number)), believed.life.incarnation);
            }
        }
        self.keys = keys;
    }

    /// Opens a body with the key that sealed it. It works in the body's own buffer if nobody else has that. Returns the body and
    /// the key, and changes nothing here.
    pub(super) fn open(
        &self,
        sender: Option<Seat>,
        header: &Header,
        tag: &SealTag,
        hint: u8,
        body: Slice,
    ) -> Option<(Slice, KeyId)> {
        let believed = sender.and_then(|sender| self.peers[sender].believed.as_ref());
        match believed.filter(|believed| believed.life.incarnation == header.incarnation) {
            // The keys of this life are derived already. This is the case of nearly every packet.
            Some(believed) => {
                open_with(believed.keys.iter().rev().filter(|key| key.id().hint() == hint), header, tag, body)
            }
            None => {
                // The newest first. The hint is one byte, so several keys may fit.
                let fit = self.keys.iter().rev().filter(|key| key.id().hint() == hint);
                let derived = fit.map(|key| LifeKey::derive(key, header.sender, header.incarnation));
                open_with(derived, header, tag, body)
            }
        }
    }

    /// Whether a copy of a packet came before, if its header tells the truth about its life. Only a packet of a believed life can be a
    /// copy.
    pub(super) fn seen(&self, sender: Seat, header: &Header, mark: Mark) -> Seen {
        let believed = self.peers[sender].believed.as_ref();
        let believed = believed.filter(|believed| believed.life.incarnation == header.incarnation);
        believed.map_or(Seen::Never, |believed| believed.life.seen(header, mark))
    }

    /// Whether the life that sent a packet is believed.
    pub(super) fn standing(&self, sender: Seat, incarnation: Incarnation) -> Standing {
        let believed = self.peers[sender].believed.as_ref();
        let is_it = believed.is_some_and(|believed| believed.life.incarnation == incarnation);
        if is_it { Standing::Believed } else { Standing::Stranger }
    }

    /// The life that is believed.
    pub(super) fn present(&self, sender: Seat) -> Option<Incarnation> {
        self.peers[sender].believed.as_ref().map(|believed| believed.life.incarnation)
    }

    /// Which copy of a packet this is.
    pub(super) fn record(&mut self, sender: Seat, header: &Header, mark: Mark) -> Result<Copied, Old> {
        let believed = self.peers[sender].believed.as_mut();
        let believed = believed.filter(|believed| believed.life.incarnation == header.incarnation);
        believed.map_or(Err(Old::PastLife), |believed| believed.life.record(header, mark))
    }

    /// A packet came from a life that is not believed, or a greeting from any. The greeting to send back, if one is.
    pub(super) fn meet(
        &mut self,
        now: Instant,
        me: Incarnation,
        sender: Seat,
        opened: &Opened,
        greeting: Option<Greeting>,
    ) -> Option<Greeting> {
        let header = &opened.header;
        // The answer names the asking life, so a recorded answer to an earlier life of this daemon proves nothing.
        let answers_us = greeting
            .and_then(|greeting| greeting.answers)
            .is_some_and(|(asker, number)| asker == me && self.peers[sender].question.is_open(now, number));
        if answers_us && self.standing(sender, header.incarnation) == Standing::Stranger {
            self.believe(sender, opened);
        }
        let stranger = self.standing(sender, header.incarnation) == Standing::Stranger;
        let peer = &mut self.peers[sender];
        // Also when the packet was no greeting: any packet of a stranger shows that somebody is there to be asked.
        let asks = if stranger { peer.question.ask(now) } else { None };
        let asked = greeting.and_then(|greeting| greeting.asks);
        // Strangers get an answer too. It is sealed, and means something to the life that asked, and to nobody else.
        let answers = asked.and_then(|number| peer.answer(now, header.incarnation, number));
        (asks.is_some() || answers.is_some()).then_some(Greeting { asks, answers })
    }

    /// A daemon that is believed says which keys it has. Whether that is new.
    pub(super) fn learn_keys(&mut self, sender: Seat, keys: impl Iterator<Item = u32> + Clone) -> bool {
        let Some(believed) = &mut self.peers[sender].believed else { return false };
        let is_new = !believed.has.iter().copied().eq(keys.clone().map(KeyId));
        if is_new {
            believed.has = keys.map(KeyId).collect();
        }
        is_new
    }

    /// Whether this daemon is believed and has said that it has this key.
    pub(super) fn has_key(&self, daemon: Seat, key: KeyId) -> bool {
        self.peers[daemon].believed.as_ref().is_some_and(|believed| believed.has.contains(&key))
    }

    fn believe(&mut self, sender: Seat, opened: &Opened) {
        let Header { sender: id, incarnation, .. } = opened.header;
        let peer = &mut self.peers[sender];
        // The answered question must never be answered again, so it gets another number.
        peer.question = Question { number: peer.question.number + 1, asked: None };
        peer.believed = Some(Believed {
            life: Life::new(incarnation, Trust::Proved),
            keys: life_keys(&self.keys, id, incarnation),
            // It has shown that it has the one with which it answered.
            has: opened.key.into_iter().collect(),
        });
    }
}

impl Peer {
    fn new() -> Peer {
        Peer { believed: None, question: Question { number: 1, asked: None }, answered: None }
    }

    /// The answer to a question of this life, unless it was given a moment ago: the copies of a question on all
    /// networks need only one answer.
    fn answer(&mut self, now: Instant, asker: Incarnation, number: u64) -> Option<(Incarnation, u64)> {
        let same = |&(life, answered, at): &(Incarnation, u64, Instant)| {
            (life, answered) == (asker, number) && now.since(at) < QUESTION_GAP
        };
        if self.answered.as_ref().is_some_and(same) {
            return None;
        }
        self.answered = Some((asker, number, now));
        Some((asker, number))
    }
}

impl Question {
    /// The number to ask with, if it is time to ask.
    fn ask(&mut self, now: Instant) -> Option<u64> {
        match self.asked {
            Some((_, last)) if now.since(last) < QUESTION_GAP => return None,
            Some((first, _)) if now.since(first) < QUESTION_LIFETIME => self.asked = Some((first, now)),
            // The question is too old: somebody who recorded the answer could send it late.
            _ => (self.number, self.asked) = (self.number + 1, Some((now, now))),
        }
        Some(self.number)
    }

    /// Whether this is the number of a question that was asked and may still be answered.
    fn is_open(&self, now: Instant, number: u64) -> bool {
        number == self.number && self.asked.is_some_and(|(first, _)| now.since(first) <= 2 * QUESTION_LIFETIME)
    }
}

/// Tries these keys. One that does not fit destroys what it was tried on, so only the last one gets the body itself.
fn open_with(
    keys: impl Iterator<Item = impl Borrow<LifeKey>>,
    header: &Header,
    tag: &SealTag,
    mut body: Slice,
) -> Option<(Slice, KeyId)> {
    let mut keys = keys.peekable();
    while let Some(key) = keys.next() {
        let key = key.borrow();
        // Opening works in place. The usual case, one key, copies nothing.
        let tried = if keys.peek().is_some() { Slice::copy_from(&body) } else { std::mem::take(&mut body) };
        if let Ok((body, ())) = tried.changed(|bytes| key.open(header, tag, bytes)) {
            return Some((body, key.id()));
        }
    }
    None
}

/// The keys of one life, the newest last.
fn life_keys(keys: &Keys, daemon: DaemonId, incarnation: Incarnation) -> Vec<LifeKey> {
    keys.iter().map(|key| LifeKey::derive(key, daemon, incarnation)).collect()
}
