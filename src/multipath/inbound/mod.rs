//! The way in: the checks that a datagram must pass before any other part sees it.
//!
//! The order is: source address, header, seal, life, replay window, first copy. [`Inbound::read`] and [`Inbound::open`] take `&self`, so nothing
//! changes before the seal is open, and a copy of an opened packet can be dropped unopened. The later steps take the [`Opened`] packet that
//! these return, so no step can be left out. Only then do [`super::health`] and the ring learn of the packet. Without keys the seal is empty,
//! and a life is believed when it is heard.

mod clones;
mod duplicates;
mod fragments;
mod gate;
mod lives;
mod refusals;
#[cfg(test)]
mod tests;

pub(super) use duplicates::{Copies, Mark, Seen, Trust};
pub(super) use fragments::Joined;

use std::net::IpAddr;

use super::health::{Came, Copied};
use super::moves::Moves;
use super::notice::{Host, Notice, Reason};
use super::seat::{BySeat, Seat};
use super::table::Table;
use crate::seal::{KeyId, Keys};
use crate::time::Instant;
use crate::wire::{
    DecodeError, Fragment, Greeting, Head, Header, Incarnation, NetworkId, Protection, SealTag, Slice, Way,
};
use clones::Clones;
pub(super) use clones::SILENCE;
use fragments::Fragments;
use gate::{Gate, Standing};
use lives::{Lives, Old};
use refusals::Refusals;

/// The way in of one daemon.
#[derive(Debug)]
pub(super) struct Inbound {
    incarnation: Incarnation,
    /// The addresses of all daemons, sorted; without any, no source is checked.
    sources: Vec<IpAddr>,
    trust: Believing,
    refusals: Refusals,
    clones: BySeat<Clones>,
    /// Since when the ring gathers, if it has done so for long.
    long_gather: Option<Instant>,
    fragments: Fragments,
}

/// Which lives of the others are believed.
#[derive(Debug)]
enum Believing {
    /// There is no key: every life that is heard is believed.
    Heard(BySeat<Lives>),
    /// There are keys: a life is believed if it seals its packets and has answered a question.
    Proved(Gate),
}

/// The head of a datagram, of which nothing is proved yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) header: Header,
    tag: Option<SealTag>,
    /// Where its body begins.
    body: usize,
}

/// Where a packet goes once it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It is for this daemon alone.
    StaysHere,
    /// It may go on to others, sealed as it is.
    GoesOn,
}

/// A packet whose seal is open, or that needs none.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) header: Header,
    pub(super) tag: Option<SealTag>,
    /// Its body as it travels, if it may go on from here.
    pub(super) carried: Option<Slice>,
    /// As it was before it was sealed.
    pub(super) body: Slice,
    /// The key that sealed it.
    pub(super) key: Option<KeyId>,
}

/// Why a datagram goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The operator learns of it.
    Told(Reason),
    /// It is not a packet.
    Malformed(DecodeError),
    /// Its sender has another membership table.
    OtherSystem,
    /// Its sender is not in the table.
    UnknownSender,
    /// It is our own, come back.
    Own,
    /// Another life says that it is this daemon.
    SecondSelf,
    /// The life that sent it is not believed.
    Stranger(Seat),
    /// It is of an earlier life of its sender.
    PastLife,
    /// It came this way before.
    Repeated,
    /// A copy came another way a moment ago, so opening this one would show nothing new.
    Needless,
    /// Two hosts have one identity, and its sender is the one that gives way.
    Rival,
    /// It shows that two hosts have one identity. These are their lives, first the one that is heard from now on.
    SecondHost([Host; 2]),
}

/// The result of a packet from a life that is not believed.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The greeting to send back.
    pub(super) greeting: Option<Greeting>,
    /// Two hosts have one identity. These are their lives, first the one that is heard from now on.
    pub(super) second_host: Option<[Host; 2]>,
}

impl Came {
    fn mark(&self, network: NetworkId) -> Mark {
        self.directly.map_or(Mark::other(network), Mark::direct)
    }
}

impl From<Old> for Refusal {
    fn from(old: Old) -> Refusal {
        match old {
            Old::PastLife => Refusal::PastLife,
            Old::Repeated => Refusal::Repeated,
        }
    }
}

impl Inbound {
    pub(super) fn new(incarnation: Incarnation, table: &Table, mut sources: Vec<IpAddr>, keys: Keys) -> Inbound {
        sources.sort_unstable();
        let clones = BySeat::new(table.len(), |_| Clones::default());
        let trust = match keys.is_empty() {
            true => Believing::Heard(BySeat::new(table.len(), |_| Lives::default())),
            false => Believing::Proved(Gate::new(keys, table.len())),
        };
        let fragments = Fragments::new(table);
        Inbound { incarnation, sources, trust, clones, long_gather: None, fragments, refusals: Refusals::default() }
    }

    /// Without a key, takes datagrams only from these sorted addresses, or from any if there are none.
    pub(super) fn set_sources(&mut self, sources: Vec<IpAddr>) {
        self.sources = sources;
    }

    /// The table has changed. What is known about daemons that stay is kept.
    pub(super) fn adopt(&mut self, moves: &Moves<'_>) {
        moves.daemons(&mut self.clones, |_| Clones::default());
        self.fragments.adopt(moves);
        match &mut self.trust {
            Believing::Heard(lives) => moves.daemons(lives, |_| Lives::default()),
            Believing::Proved(gate) => gate.adopt(moves),
        }
    }

    /// The life of a daemon that is heard and believed.
    pub(super) fn present(&self, sender: Seat) -> Option<Incarnation> {
        match &self.trust {
            Believing::Heard(lives) => lives[sender].present(),
            Believing::Proved(gate) => gate.present(sender),
        }
    }

    /// Reads the head of a datagram. Nothing changes here.
    pub(super) fn read(&self, table: &Table, source: IpAddr, datagram: &[u8]) -> Result<Read, Refusal> {
        // A seal proves more than an address.
        let foreign = !self.sources.is_empty() && self.sources.binary_search(&source).is_err();
        if foreign && matches!(self.trust, Believing::Heard(_)) {
            return Err(Refusal::Told(Reason::ForeignSource));
        }
        // Asked only after decoding failed: the usual packet costs nothing more.
        let other = || Header::other_version(datagram).map(|version| Refusal::Told(Reason::OtherVersion(version)));
        let parts = Head::decode(datagram).map_err(|error| other().unwrap_or(Refusal::Malformed(error)));
        let (header, tag, body) = parts?;
        // A network may send back many of our packets. To open them proves nothing, so they are dropped, whoever sent them.
        if header.sender == table.my_id() && header.incarnation == self.incarnation {
            return Err(Refusal::Own);
        }
        Ok(Read { header, tag, body })
    }

    /// Whether a copy of a sealed packet came before, according to its head. The head is not proved yet, but a copy need not be opened.
    pub(super) fn seen(&self, table: &Table, network: NetworkId, header: &Header) -> (Seen, Option<Came>) {
        let (Believing::Proved(gate), Ok(came)) = (&self.trust, self.admit(table, network, header)) else {
            return (Seen::Never, None);
        };
        (gate.seen(came.sender, header, came.mark(network)), Some(came))
    }

    /// Opens the seal, in the datagram's own buffer if nobody else has it. Nothing changes here.
    pub(super) fn open(&self, table: &Table, read: Read, datagram: Slice, after: After) -> Result<Opened, Refusal> {
        let Read { header, tag, body } = read;
        let body = datagram.into_tail(body);
        // A relay sends the sealed bytes on: it cannot seal in the sender's name.
        let carried = (after == After::GoesOn).then(|| body.clone());
        let (body, key) = match (&self.trust, header.protection, &tag) {
            (Believing::Heard(_), Protection::Plain, _) => (body, None),
            // The operator must learn of it. Otherwise the daemons would just never meet.
            (Believing::Heard(_), Protection::Sealed(_), _) => return Err(Refusal::Told(Reason::Sealed)),
            (Believing::Proved(gate), Protection::Sealed(hint), Some(tag)) => {
                let opened = gate.open(table.seat(header.sender), &header, tag, hint, body);
                let (body, key) = opened.ok_or(Refusal::Told(Reason::NotOpened))?;
                (body, Some(key))
            }
            // A plain packet is refused too: otherwise anybody without a key could speak.
            (Believing::Proved(_), ..) => return Err(Refusal::Told(Reason::NotOpened)),
        };
        Ok(Opened { header, tag, carried, body, key })
    }

    /// Finds out who sent a packet and how it came. An error if the sender is not one of us or its life is not believed. Nothing changes here.
    pub(super) fn admit(&self, table: &Table, network: NetworkId, header: &Header) -> Result<Came, Refusal> {
        let sender = table.seat(header.sender).ok_or(Refusal::UnknownSender)?;
        let own = sender == table.me();
        match &self.trust {
            // Before the check for ourselves: a second host with our identity is met like any stranger.
            Believing::Proved(gate) if gate.standing(sender, header.incarnation) == Standing::Stranger => {
                return Err(Refusal::Stranger(sender));
            }
            _ if own => return Err(Refusal::SecondSelf),
            _ => {}
        }
        // A packet that came on another network than it was sent on says nothing about either.
        let directly = (header.way != Way::Relayed && header.network == network).then_some(network);
        Ok(Came { sender, directly })
    }

    /// Which copy of a packet this is. From here on it is remembered.
    pub(super) fn record(
        &mut self,
        now: Instant,
        came: Came,
        (network, source): (NetworkId, Option<IpAddr>),
        header: &Header,
    ) -> Result<Copied, Refusal> {
        let mark = came.mark(network);
        let host = Host { life: header.incarnation, address: source };
        let clones = &mut self.clones[came.sender];
        // Before the window: a packet of the host that gave way must not move it.
        if clones.give_way(now, header.incarnation, self.long_gather) {
            return Err(Refusal::Rival);
        }
        match &mut self.trust {
            Believing::Heard(lives) => {
                // Read first, because the next line may change it.
                let before = lives[came.sender].present();
                let copied = lives[came.sender].record(header, mark)?;
                match clones.follow(now, before, host) {
                    Some(hosts) => Err(Refusal::SecondHost(hosts)),
                    None => Ok(copied),
                }
            }
            // No turns are counted here: with keys a life changes in `meet` only.
            Believing::Proved(gate) => Ok(gate.record(came.sender, header, mark)?),
        }
    }

    /// Whether a packet of a life that is not believed is of a host that gives way to another one with the same identity.
    pub(super) fn is_rival(&mut self, now: Instant, sender: Seat, header: &Header) -> bool {
        self.clones[sender].give_way(now, header.incarnation, self.long_gather)
    }

    /// A packet came from a life that is not believed, or a greeting from any.
    pub(super) fn meet(
        &mut self,
        now: Instant,
        (sender, source): (Seat, Option<IpAddr>),
        opened: &Opened,
        greeting: Option<Greeting>,
    ) -> Met {
        let Believing::Proved(gate) = &mut self.trust else { return Met::default() };
        let before = gate.present(sender);
        let greeting = gate.meet(now, self.incarnation, sender, opened, greeting);
        // A clone has the keys too, so it is believed in its turn.
        let present = gate.present(sender);
        let host = present.map(|life| Host { life, address: source });
        let second_host = host.and_then(|host| self.clones[sender].follow(now, before, host));
        Met { greeting, second_host }
    }

    /// The life of this daemon itself.
    pub(super) fn life(&self) -> Incarnation {
        self.incarnation
    }

    /// A ring has gathered for long, since this time.
    pub(super) fn set_long_gather(&mut self, since: Option<Instant>) {
        self.long_gather = since;
    }

    /// The others go on with this life of a daemon.
    pub(super) fn follow_agreed(&mut self, now: Instant, daemon: Seat, life: Incarnation) {
        self.clones[daemon].follow_agreed(now, life);
    }

    /// Whether two hosts run as this daemon, as far as is known.
    pub(super) fn is_double(&self, now: Instant, daemon: Seat) -> bool {
        self.clones[daemon].are_two(now)
    }

    /// Whether the address of this daemon may lead to another host.
    pub(super) fn is_unclear(&self, now: Instant, daemon: Seat) -> bool {
        self.clones[daemon].is_unclear(now)
    }

    /// A daemon says which keys it has. Whether that is new.
    pub(super) fn learn_keys(&mut self, sender: Seat, keys: impl Iterator<Item = u32> + Clone) -> bool {
        match &mut self.trust {
            Believing::Proved(gate) => gate.learn_keys(sender, keys),
            Believing::Heard(_) => false,
        }
    }

    /// Whether a daemon is known to have this key.
    pub(super) fn has_key(&self, daemon: Seat, key: KeyId) -> bool {
        matches!(&self.trust, Believing::Proved(gate) if gate.has_key(daemon, key))
    }

    /// A fragment came. The datagram, if it is complete.
    pub(super) fn join(&mut self, now: Instant, sender: Seat, life: Incarnation, fragment: &Fragment) -> Joined {
        self.fragments.join(now, sender, life, fragment)
    }

    /// These are the keys from now on. Only a daemon that has had some gets others.
    pub(super) fn set_keys(&mut self, table: &Table, keys: Keys) {
        if let Believing::Proved(gate) = &mut self.trust {
            gate.set_keys(keys, |seat| table.id(seat));
        }
    }

    /// A datagram was dropped, and the operator may learn of it.
    pub(super) fn notify(&mut self, now: Instant, network: NetworkId, source: IpAddr, reason: Reason) {
        self.refusals.count(now, network, source, reason);
    }

    /// The next thing that an operator should know.
    pub(super) fn poll_notice(&mut self) -> Option<Notice> {
        self.refusals.poll()
    }

    /// Whether a life of a daemon is believed.
    #[cfg(test)]
    fn standing_of(&self, table: &Table, daemon: crate::wire::DaemonId, incarnation: u64) -> Option<Standing> {
        let Believing::Proved(gate) = &self.trust else { return None };
        Some(gate.standing(table.seat(daemon)?, Incarnation(incarnation)))
    }
}
