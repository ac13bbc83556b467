//! Datagrams on their way: what links, and the fault of a scenario, make of each.

use spread::time::{Duration, Instant};
use spread::wire::{Header, NetworkId, Packet, PacketKind, Reader, Slice, explain};

use super::{Happening, Log, World};
use crate::actor::{Actor, Datagram};
use crate::links::{Quality, index};
use crate::noise::mangle;
use crate::tally::Fault;

/// What a [`Rule`] sees of a datagram.
pub struct Flight<'a> {
    pub now: Instant,
    pub network: NetworkId,
    pub from: usize,
    pub to: usize,
    /// From whom it is, if it was sent to this daemon alone.
    pub alone_from: Option<usize>,
    pub bytes: &'a Slice,
}

impl Flight<'_> {
    pub fn header(&self) -> Header {
        Header::decode(&mut Reader::new(self.bytes)).expect("daemons send packets")
    }

    pub fn kind(&self) -> PacketKind {
        self.header().kind
    }

    /// Whether it is about paths, and no ring reads it.
    pub fn is_of_paths(&self) -> bool {
        use PacketKind::{Fragment, Greeting, Knock, Report, SizeProbe, Sizes};
        matches!(self.kind(), Report | Greeting | Knock | SizeProbe | Sizes | Fragment)
    }
}

/// A fault of a named scenario: the delays after which copies of the datagram arrive, besides what the link does; none to drop it.
pub type Rule = Box<dyn FnMut(&Flight<'_>) -> Vec<Duration>>;

impl<A: Actor> World<A> {
    /// Every daemon that is meant gets it, or does not.
    pub(super) fn send(&mut self, from: usize, datagram: &Datagram) {
        self.recording.record(&mut self.rng, datagram.network, &datagram.bytes);
        if let Some(listener) = &mut self.listener {
            listener.record(datagram.network, &datagram.bytes);
        }
        match datagram.to {
            Some(id) => {
                let to = self.seat(id);
                let to = self.host(from, to);
                self.send_to(from, to, datagram, Some(from));
            }
            None => {
                for to in 0..self.seats.len() {
                    if self.sites[self.place(from)] == self.sites[self.place(to)] && self.is_led_to(from, to) {
                        self.send_to(from, to, datagram, None);
                    }
                }
            }
        }
    }

    fn send_to(&mut self, from: usize, to: usize, datagram: &Datagram, alone_from: Option<usize>) {
        // Two hosts with one address do not hear each other.
        if self.place(to) != self.place(from) {
            let (now, network) = (self.now, datagram.network);
            self.carry(&Flight { now, network, from, to, alone_from, bytes: &datagram.bytes });
        }
    }

    /// What the link, and the scenario's rule, make of a datagram.
    fn carry(&mut self, flight: &Flight<'_>) {
        self.tally.datagrams += 1;
        let network = flight.network;
        let (from, to) = (self.place(flight.from), self.place(flight.to));
        if !self.links.is_open(index(network), from, to) {
            self.tally.count(Fault::Cut);
            return self.log_flight(flight, "cut");
        }
        if flight.bytes.len() > self.links.link(index(network), from, to).limit {
            self.tally.count(Fault::TooLong);
            return self.log_flight(flight, "too long");
        }
        let copies = self.rule.as_mut().map(|rule| rule(flight));
        let quality = self.links.link(index(network), from, to).quality;
        if copies.as_ref().is_some_and(Vec::is_empty) || self.rng.chance(quality.loss) {
            self.tally.count(Fault::Lost);
            return self.log_flight(flight, "lost");
        }
        self.log_flight(flight, "");
        let (first, more) = copies.as_deref().map_or((Duration::ZERO, &[][..]), |copies| (copies[0], &copies[1..]));
        self.deliver(flight, &quality, first);
        for after in more {
            self.repeat(flight, &quality, *after);
        }
        if self.rng.chance(quality.duplicate) {
            self.repeat(flight, &quality, Duration::ZERO);
        }
        if self.rng.chance(quality.late) {
            let late = Duration::from_nanos(self.rng.below(quality.late_by.as_nanos() as u64));
            self.repeat(flight, &quality, late);
        }
    }

    fn repeat(&mut self, flight: &Flight<'_>, quality: &Quality, after: Duration) {
        self.tally.count(Fault::Duplicated);
        self.deliver(flight, quality, after);
    }

    /// One copy arrives, this long after the link's own delay.
    fn deliver(&mut self, flight: &Flight<'_>, quality: &Quality, after: Duration) {
        let jitter = self.rng.below(quality.jitter.as_nanos() as u64 + 1);
        let at = self.now + quality.delay + Duration::from_nanos(jitter) + after;
        let mut bytes = flight.bytes.clone();
        if self.rng.chance(quality.mangle) {
            let (mangled, fault) = mangle(&mut self.rng, &bytes);
            self.tally.count(fault);
            bytes = mangled;
        }
        if self.leaks && flight.header().destination.is_none() {
            for network in (0..self.links.networks() as u8).map(NetworkId).filter(|&network| network != flight.network)
            {
                self.queue.plan_near(
                    at,
                    Happening::Arrival { to: flight.to, network, bytes: bytes.clone(), alone_from: None },
                );
            }
        }
        let &Flight { to, network, alone_from, .. } = flight;
        self.queue.plan_near(at, Happening::Arrival { to, network, bytes, alone_from });
    }

    fn log_flight(&self, flight: &Flight<'_>, fate: &str) {
        if self.log >= Log::Datagrams {
            self.print_flight(flight, fate);
        }
    }

    fn print_flight(&self, flight: &Flight<'_>, fate: &str) {
        let header = flight.header();
        let body = match Packet::decode(header.kind, &flight.bytes.tail(Header::SIZE)) {
            Ok(packet) => format!("{packet:?}"),
            Err(_) => explain(flight.bytes).join(";"),
        };
        println!("{:?} {}>{} net {} {body} {fate}", flight.now, header.sender, flight.to + 1, flight.network.0);
    }
}
