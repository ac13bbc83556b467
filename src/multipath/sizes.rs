//! How long datagrams may be, and what happens to longer ones. [`super::health`] proves the lengths, and [`super::outbound`]
//! obeys them. Fragments that arrive are put together, and the result is handled like a datagram that came whole.

use std::net::IpAddr;

use super::health::Came;
use super::inbound::{Joined, Opened};
use super::networks::Networks;
use super::outbound::Known;
use super::{Attempt, Multipath, Outgoing};
use crate::time::Instant;
use crate::wire::{Fragment, Header, NetworkId, PacketKind, SealTag, SizeAnswer, SizeProbe, Slice, Way};

/// How a datagram came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) network: NetworkId,
    pub(super) source: IpAddr,
    pub(super) form: Form,
}

/// Whether a datagram came as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    /// It was put together from fragments.
    Joined,
}

impl Arrival {
    /// Where a datagram with this header was sent, if that is known.
    pub(super) fn origin(&self, header: &Header) -> Option<IpAddr> {
        (header.way != Way::Relayed).then_some(self.source)
    }

    /// The network on which a datagram with this header came. One that came in fragments may have come on several.
    pub(super) fn network_of(&self, header: &Header) -> NetworkId {
        if self.form == Form::Joined { header.network } else { self.network }
    }
}

impl Multipath {
    /// Sets the longest datagram that leaves whole by the interface of a network.
    pub fn set_interface_limit(&mut self, now: Instant, network: NetworkId, bytes: usize) {
        self.health.sizes_mut().set_interface(now, network, bytes);
        self.follow_lengths();
    }

    /// Bytes of a datagram that are not a packet's body.
    pub fn overhead(&self) -> usize {
        Header::SIZE + if self.keys.is_empty() { 0 } else { SealTag::SIZE }
    }

    /// The longest datagram that is proved to reach everybody on every network that is switched on. A longer one travels in
    /// fragments.
    pub fn datagram_limit(&self) -> usize {
        self.outbound.lengths().everywhere(self.enabled())
    }

    /// The networks on which datagrams vanish that their interfaces take, as far as is known.
    pub fn short_networks(&self) -> Networks {
        self.outbound.lengths().short()
    }

    /// Sends the probes and answers that are due.
    pub(super) fn prove_lengths(&mut self, now: Instant) {
        while let Some(round) = self.health.sizes_mut().poll_round(now) {
            self.outbound.probe(Known { now, table: &self.table, health: &self.health }, &round);
        }
        while let Some(answers) = self.health.sizes_mut().poll_answers(now, &self.table) {
            let body = SizeAnswer::encode_all(&answers).into();
            self.send(now, Outgoing { kind: PacketKind::Sizes, to: None, attempt: Attempt::First, body });
        }
    }

    /// Limits datagrams to the lengths that are proved now.
    pub(super) fn follow_lengths(&mut self) {
        if let Some(lengths) = self.health.sizes_mut().take_lengths(&self.table) {
            self.outbound.set_lengths(lengths);
        }
    }

    /// A probe of a length came, or answers to probes.
    pub(super) fn on_size(&mut self, now: Instant, came: Came, opened: &Opened) {
        let header = &opened.header;
        // Networks and daemons have other numbers in another table.
        if header.system != self.system.digest {
            return;
        }
        match header.kind {
            PacketKind::SizeProbe => self.on_size_probe(now, came, opened),
            _ => self.on_sizes(now, came, opened),
        }
    }

    fn on_size_probe(&mut self, now: Instant, came: Came, opened: &Opened) {
        let Ok(probe) = SizeProbe::decode(&opened.body) else { return self.count_malformed() };
        self.stats.size_probes += 1;
        if let Some(network) = came.directly {
            let length = self.overhead() + opened.body.len();
            self.health.sizes_mut().on_probe(now, came.sender, network, (probe.round, length));
        }
    }

    fn on_sizes(&mut self, now: Instant, came: Came, opened: &Opened) {
        let Ok(answers) = SizeAnswer::decode_all(&opened.body) else { return self.count_malformed() };
        let me = self.table.me().to_wire();
        for answer in answers.iter().filter(|answer| answer.daemon == me) {
            self.health.sizes_mut().on_answer(now, came.sender, answer);
        }
    }

    /// A fragment came. The datagram that it completes is taken as if it had come whole.
    pub(super) fn join(
        &mut self,
        now: Instant,
        arrival: Arrival,
        came: Came,
        opened: &Opened,
    ) -> Option<(Header, Slice)> {
        // A datagram in fragments is not cut once more.
        let fragment = match Fragment::decode(&opened.body) {
            Ok(fragment) if arrival.form == Form::Whole => fragment,
            _ => {
                self.count_malformed();
                return None;
            }
        };
        self.stats.fragments += 1;
        match self.inbound.join(now, came.sender, opened.header.incarnation, &fragment) {
            Joined::Waits => None,
            Joined::Contradicts => {
                self.stats.strange_fragments += 1;
                None
            }
            Joined::Whole(datagram) => {
                self.stats.joined += 1;
                self.arrive(now, Arrival { form: Form::Joined, ..arrival }, datagram)
            }
        }
    }
}
