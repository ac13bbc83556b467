//! Whole rings on a bus, in virtual time, for tests that tell a short story. A packet takes 10 µs, and only what a test asks for is lost.

use std::collections::{BTreeMap, VecDeque};

use spread::ring::{ConfigurationKind, Ring, RingEvent, RingSettings};
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Incarnation, Packet, Payload, RingId, Service};

/// How long a packet is on its way.
const TRAVEL: Duration = Duration::from_micros(10);

/// A packet on its way to a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Flight<'a> {
    pub from: u32,
    pub to: u32,
    pub packet: &'a Packet,
}

/// Whether a packet is lost.
type Loss = Box<dyn FnMut(Flight<'_>) -> bool>;

/// What a daemon handed out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Delivered { daemon: u32, event: RingEvent },
    Sent { from: u32, to: Option<u32>, packet: Packet },
}

/// Daemons 1 to n and what is between them.
pub struct Bus {
    pub now: Instant,
    rings: BTreeMap<u32, Ring>,
    ids: Vec<DaemonId>,
    lives: u64,
    adjust: fn(&mut RingSettings),
    /// Daemons hear those on the same side.
    sides: BTreeMap<u32, usize>,
    flying: VecDeque<(u32, Option<DaemonId>, Packet)>,
    loss: Loss,
    /// Everything that happened since it was taken last.
    pub lines: Vec<Line>,
}

impl Bus {
    /// Daemons 1 to `count`, which begin to gather.
    pub fn new(count: u32) -> Bus {
        Bus::with(count, |_| {})
    }

    /// The same with other settings.
    pub fn with(count: u32, adjust: fn(&mut RingSettings)) -> Bus {
        let mut bus = Bus {
            now: Instant::ZERO,
            rings: BTreeMap::new(),
            ids: (1..=count).map(DaemonId).collect(),
            lives: 0,
            adjust,
            sides: BTreeMap::new(),
            flying: VecDeque::new(),
            loss: Box::new(|_| false),
            lines: Vec::new(),
        };
        (1..=count).for_each(|daemon| bus.start(daemon));
        bus
    }

    /// A daemon begins a new life.
    pub fn start(&mut self, daemon: u32) {
        self.lives += 1;
        let mut config = RingSettings::new(DaemonId(daemon), Incarnation(self.lives), self.ids.clone());
        // Each life begins above all ring sequences of the lives before it, as a daemon ensures by its state file.
        config.sequence_floor = 1000 * self.lives;
        (self.adjust)(&mut config);
        self.rings.insert(daemon, Ring::new(config, self.now).unwrap());
        self.drain(daemon);
    }

    /// A daemon ends without a word.
    pub fn crash(&mut self, daemon: u32) {
        self.rings.remove(&daemon).expect("it runs");
    }

    /// A daemon says that it is about to stop, and stops.
    pub fn leave(&mut self, daemon: u32) {
        self.ring(daemon).leave();
        self.drain(daemon);
        self.crash(daemon);
    }

    /// A daemon that runs.
    pub fn ring(&mut self, daemon: u32) -> &mut Ring {
        self.rings.get_mut(&daemon).expect("it runs")
    }

    /// A program at a daemon sends a message.
    pub fn send(&mut self, daemon: u32, service: Service, text: &str) {
        let now = self.now;
        self.ring(daemon).submit(now, service, Payload::from(text.as_bytes().to_vec()));
        self.drain(daemon);
    }

    /// From now on daemons hear only those of the same side. Those that no side names are on one together.
    pub fn partition(&mut self, sides: &[&[u32]]) {
        self.sides.clear();
        for (side, daemons) in (1..).zip(sides) {
            self.sides.extend(daemons.iter().map(|&daemon| (daemon, side)));
        }
    }

    /// From now on everybody hears everybody, and nothing is lost.
    pub fn heal(&mut self) {
        self.sides.clear();
        self.loss = Box::new(|_| false);
    }

    /// From now on those packets are lost.
    pub fn lose(&mut self, loss: impl FnMut(Flight<'_>) -> bool + 'static) {
        self.loss = Box::new(loss);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Lets time pass up to an end, or until something holds; says whether it does.
    pub fn run_until(&mut self, end: Instant, done: impl Fn(&Bus) -> bool) -> bool {
        while self.now < end && !done(self) {
            let arrival = if self.flying.is_empty() { end } else { self.now + TRAVEL };
            let timers = self.rings.iter().filter_map(|(&daemon, ring)| Some((ring.poll_timeout()?, daemon)));
            match timers.min().filter(|&(due, _)| due < arrival) {
                Some((due, daemon)) => {
                    self.now = self.now.max(due);
                    let now = self.now;
                    self.ring(daemon).handle_timeout(now);
                    self.drain(daemon);
                }
                None => {
                    self.now = arrival.min(end);
                    if let Some((from, to, packet)) = self.flying.pop_front() {
                        self.arrive(from, to, &packet);
                    }
                }
            }
        }
        done(self)
    }

    /// A packet arrives at a daemon, whoever else hears it.
    pub fn inject(&mut self, from: u32, to: u32, packet: Packet) {
        let now = self.now;
        self.ring(to).handle_packet(now, DaemonId(from), packet);
        self.drain(to);
    }

    /// The token of the ring goes round for a while, if it rests.
    pub fn stir(&mut self, ring: RingId) {
        for to in self.rings.keys().copied().collect::<Vec<_>>() {
            let from = self.ids.iter().find(|id| id.0 != to).expect("a ring of several").0;
            self.inject(from, to, Packet::Hurry(ring));
        }
    }

    /// What a daemon delivered since this was asked last, and nothing else of what happened.
    pub fn delivered(&mut self, daemon: u32) -> Vec<String> {
        let mut texts = Vec::new();
        self.lines.retain(|line| match line {
            Line::Delivered { daemon: by, event } if *by == daemon => {
                texts.push(text(event));
                false
            }
            _ => true,
        });
        texts
    }

    fn arrive(&mut self, from: u32, to: Option<DaemonId>, packet: &Packet) {
        let hears = |to: &u32| *to != from && self.sides.get(to) == self.sides.get(&from);
        let addressed = self.rings.keys().copied().filter(|&daemon| to.is_none_or(|to| to.0 == daemon)).filter(hears);
        for to in addressed.collect::<Vec<_>>() {
            if !(self.loss)(Flight { from, to, packet }) {
                self.inject(from, to, packet.clone());
            }
        }
    }

    fn drain(&mut self, daemon: u32) {
        let ring = self.rings.get_mut(&daemon).expect("it runs");
        while let Some(transmit) = ring.poll_transmit() {
            let to = transmit.to.map(|to| to.0);
            self.lines.push(Line::Sent { from: daemon, to, packet: transmit.packet.clone() });
            self.flying.push_back((daemon, transmit.to, transmit.packet));
        }
        while let Some(event) = ring.poll_event() {
            self.lines.push(Line::Delivered { daemon, event });
        }
    }
}

/// An event in words.
pub fn text(event: &RingEvent) -> String {
    match event {
        RingEvent::Message(message) => String::from_utf8_lossy(&message.payload.contiguous()).into_owned(),
        RingEvent::Configuration(configuration) => {
            let members: Vec<String> = configuration.members.iter().map(|member| member.0.to_string()).collect();
            let kind = match configuration.kind {
                ConfigurationKind::Regular => "regular",
                ConfigurationKind::Transitional => "transitional",
            };
            format!("{kind} configuration of {}", members.join(" "))
        }
    }
}
