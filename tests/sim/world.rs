//! The world of one history: virtual time, the daemons, and what is on its way between them.
//!
//! Everything that will happen waits in one queue, ordered by time and then by when it was planned, so that the same seed gives the
//! same history. A daemon takes no time to think; a paused one lets its input wait and then gets it all at once.

mod flight;
mod twin;

use std::collections::{BTreeMap, BTreeSet};

use spread::ring::{ConfigurationKind, RingEvent};
use spread::rng::Rng;
use spread::seal::Keys;
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Header, NetworkId, Packet, Reader, Service, Slice};

use crate::actor::Actor;
use crate::forger::Listener;
use crate::links::{self, Links, Which};
use crate::noise::Recording;
use crate::queue::{Next, Queue};
use crate::tables::TablePlan;
use crate::tally::{Fault, Tally};
use crate::trace::{ProcessNumber, Scribe, Trace};
pub use flight::{Flight, Rule};
use twin::Twin;

/// What is done to the world at a certain time.
#[derive(Clone, Debug)]
pub enum Action {
    Start(usize),
    Crash(usize),
    /// Says goodbye, then stops.
    Leave(usize),
    Pause(usize),
    Resume(usize),
    Submit {
        daemon: usize,
        service: Service,
        size: usize,
    },
    Cut(Which, bool),
    Loss(Which, f64),
    /// Longer datagrams vanish on these links.
    Narrow(Which, usize),
    Partition(Vec<u8>),
    /// Something arrives that no daemon sent like this, or not now.
    Noise(usize),
    /// Something arrives that somebody wrote in a daemon's name.
    Forge(usize),
    /// Something arrives at a daemon with keys that somebody wrote who has none.
    ForgeUnsealed(usize),
    /// Its key file was changed, and it reads it again.
    Rekey(usize),
    /// Its configuration file was changed, and it reads it again.
    Reload(usize),
    /// A second host begins to run as this daemon, with this life.
    Twin(usize, u64),
    /// The second host stops.
    EndTwin,
}

/// Makes a daemon: who, which life, and the time of its start.
pub type Starter<A> = Box<dyn Fn(DaemonId, u64, Instant) -> A>;

/// What is in the key file of a daemon at a time.
pub type KeyFiles = Box<dyn Fn(DaemonId, Instant) -> Keys>;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    Nothing,
    /// Configurations, states, deliveries and faults.
    Events,
    /// Every datagram too.
    Datagrams,
}

/// The world.
pub struct World<A> {
    pub links: Links,
    pub trace: Trace,
    pub tally: Tally,
    /// Where each daemon is: what is sent to all on a network stays at the site.
    pub sites: Vec<usize>,
    /// What is sent to all on one network is heard on all others too.
    pub leaks: bool,
    /// Daemons answer each regular configuration with a message before all others, as the level of groups does.
    pub answers_configurations: bool,
    /// The keys in each daemon's file at a time.
    pub keys: KeyFiles,
    /// The membership table in each daemon's file at a time.
    pub tables: TablePlan,
    /// The second host that runs as one of the daemons.
    pub twin: Option<Twin>,
    /// On networks without multicast: at which daemons the address of the two hosts leads to the second one, also in what is for all.
    pub misled: Option<BTreeSet<usize>>,
    now: Instant,
    queue: Queue<Happening, Action>,
    seats: Vec<Seat<A>>,
    rng: Rng,
    starter: Starter<A>,
    rule: Option<Rule>,
    recording: Recording,
    /// What a forger knows, in a world that has one.
    pub listener: Option<Listener>,
    log: Log,
}

/// The place of a daemon, alive or not.
struct Seat<A> {
    id: DaemonId,
    lives: u64,
    life: Option<Life<A>>,
    /// When its next timer is in the queue.
    armed: Option<Instant>,
}

struct Life<A> {
    actor: A,
    process: ProcessNumber,
    since: Instant,
    state: &'static str,
    /// What waits while it is paused.
    paused: Option<Vec<(NetworkId, Slice)>>,
}

/// What happens without being told to.
enum Happening {
    /// From whom it is, if it was sent to this daemon alone.
    Arrival {
        to: usize,
        network: NetworkId,
        bytes: Slice,
        alone_from: Option<usize>,
    },
    /// Nobody has the port of this daemon.
    Refusal {
        to: usize,
        network: NetworkId,
        of: usize,
    },
    Timer(usize),
}

/// Datagrams that a socket buffer holds while its daemon is paused.
const BUFFER_LIMIT: usize = 600;
/// How much of the noise is word that nobody has a daemon's port, though it may live.
const STRAY_REFUSALS: f64 = 0.1;
/// More than this in one history is a storm.
const HAPPENING_LIMIT: u64 = 6_000_000;

impl<A: Actor> World<A> {
    pub fn new(daemons: usize, networks: usize, seed: u64, starter: Starter<A>, log: Log) -> World<A> {
        let seat = |n| Seat { id: DaemonId(n), lives: 0, life: None, armed: None };
        World {
            links: Links::new(daemons, networks),
            trace: Trace::default(),
            tally: Tally::default(),
            sites: vec![0; daemons],
            leaks: false,
            answers_configurations: true,
            keys: Box::new(|_, _| Keys::NONE),
            tables: TablePlan::constant(daemons, networks),
            twin: None,
            misled: None,
            now: Instant::ZERO,
            queue: Queue::new(),
            seats: (1..=daemons as u32).map(seat).collect(),
            rng: Rng::new(seed),
            starter,
            rule: None,
            recording: Recording::default(),
            listener: None,
            log,
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn daemons(&self) -> usize {
        // The seat of a second host is behind the others.
        self.seats.len() - usize::from(self.twin.is_some())
    }

    /// Adds a fault of a scenario.
    pub fn set_rule(&mut self, rule: Rule) {
        self.rule = Some(rule);
    }

    pub fn clear_rule(&mut self) {
        self.rule = None;
    }

    /// Lets `action` happen at that time.
    pub fn at(&mut self, at: Instant, action: Action) {
        self.queue.plan_far(at, action);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, next)) = self.queue.pop(end) {
            self.now = at;
            self.tally.happenings += 1;
            assert!(self.tally.happenings < HAPPENING_LIMIT, "a storm: {:?}", self.tally);
            match next {
                Next::Near(Happening::Arrival { to, network, bytes, alone_from }) => {
                    if let Some(from) = alone_from.filter(|_| self.seats[to].life.is_none()) {
                        self.refuse(to, network, from);
                    }
                    self.arrive(to, network, bytes);
                }
                Next::Near(Happening::Refusal { to, network, of }) => self.hear_refusal(to, network, of),
                Next::Near(Happening::Timer(daemon)) => self.tick(daemon),
                Next::Far(action) => self.act(action),
            }
        }
        self.now = end;
    }

    /// Does something now.
    pub fn act(&mut self, action: Action) {
        if !matches!(action, Action::Submit { .. } | Action::Noise(_) | Action::Forge(_) | Action::ForgeUnsealed(_)) {
            self.say(|| format!("{action:?}"));
        }
        match action {
            Action::Start(daemon) => self.start(daemon),
            Action::Crash(daemon) => {
                self.tally.count(Fault::Crash);
                self.end(daemon);
            }
            Action::Leave(daemon) => self.leave(daemon),
            Action::Pause(daemon) => self.pause(daemon),
            Action::Resume(daemon) => self.resume(daemon),
            Action::Submit { daemon, service, size } => self.submit(daemon, service, size),
            Action::Cut(which, cut) => {
                self.links.select(which).for_each(|link| link.cut = cut);
                if cut {
                    self.tally.count(Fault::LinksCut);
                }
            }
            Action::Loss(which, loss) => {
                self.links.select(which).for_each(|link| link.quality.loss = loss);
                self.tally.count(Fault::LossyLinks);
            }
            Action::Narrow(which, limit) => {
                self.links.select(which).for_each(|link| link.limit = limit);
                self.tally.count(Fault::LinksNarrowed);
            }
            Action::Partition(sides) => {
                self.links.partition(&sides);
                self.tally.count(Fault::Partition);
            }
            Action::Noise(daemon) => self.hear_noise(daemon),
            Action::Forge(daemon) => self.hear_forger(daemon),
            Action::ForgeUnsealed(daemon) => self.hear_keyless(daemon),
            Action::Rekey(daemon) => self.rekey(daemon),
            Action::Reload(daemon) => self.reload(daemon),
            Action::Twin(daemon, life) => self.begin_twin(daemon, life),
            Action::EndTwin => self.end_twin(),
        }
    }

    /// What was counted until now.
    pub fn tally(&self) -> Tally {
        let lives = self.seats.iter().filter_map(|seat| seat.life.as_ref());
        let mut tally = self.tally;
        tally.lived += lives.map(|life| self.now.since(life.since)).sum::<Duration>();
        tally
    }

    /// The living processes by daemon.
    pub fn living(&self) -> BTreeMap<usize, ProcessNumber> {
        let process = |(n, seat): (usize, &Seat<A>)| Some((n, seat.life.as_ref()?.process));
        self.seats.iter().enumerate().take(self.daemons()).filter_map(process).collect()
    }

    /// A daemon that lives.
    pub fn actor(&self, daemon: usize) -> &A {
        &self.seats[daemon].life.as_ref().expect("asked for a daemon that lives").actor
    }

    /// Does something to a daemon that lives.
    pub fn visit(&mut self, daemon: usize, visit: impl FnOnce(&mut A, Instant)) {
        let life = self.seats[daemon].life.as_mut().expect("visited is a daemon that lives");
        visit(&mut life.actor, self.now);
        self.drain(daemon);
    }

    /// Whether all daemons live and share one regular configuration of them all.
    pub fn is_whole(&self) -> bool {
        let living = self.living();
        let current = |process: &ProcessNumber| self.trace.current(*process);
        let first = living.values().next().and_then(current);
        living.len() == self.daemons()
            && first.is_some_and(|c| c.members.len() == self.daemons())
            && living.values().all(|process| current(process) == first)
    }

    /// Runs until [`World::is_whole`], at most this long; whether it was.
    pub fn run_until_whole(&mut self, bound: Duration) -> bool {
        let end = self.now + bound;
        while self.now < end && !self.is_whole() {
            self.run(Duration::from_millis(20));
        }
        self.is_whole()
    }

    /// Where the daemon with this id sits.
    fn seat(&self, id: DaemonId) -> usize {
        id.0 as usize - 1
    }

    fn start(&mut self, daemon: usize) {
        let now = self.now;
        let seat = &mut self.seats[daemon];
        // Without an entry in its file a daemon does not start.
        if seat.life.is_some() || !self.tables.of(seat.id, now).daemons.contains(&seat.id) {
            return;
        }
        seat.lives += 1;
        let actor = (self.starter)(seat.id, seat.lives, self.now);
        let process = self.trace.begin(seat.id);
        seat.life = Some(Life { actor, process, since: self.now, state: "", paused: None });
        self.drain(daemon);
    }

    fn end(&mut self, daemon: usize) {
        if let Some(life) = self.seats[daemon].life.take() {
            self.trace.end(life.process);
            self.tally.lived += self.now.since(life.since);
        }
    }

    fn leave(&mut self, daemon: usize) {
        let now = self.now;
        self.tally.count(Fault::Leave);
        if let Some(life) = self.seats[daemon].life.as_mut().filter(|life| life.paused.is_none()) {
            life.actor.leave(now);
            self.drain(daemon);
        }
        self.end(daemon);
    }

    fn pause(&mut self, daemon: usize) {
        self.tally.count(Fault::Pause);
        if let Some(life) = &mut self.seats[daemon].life {
            life.paused.get_or_insert_default();
        }
    }

    fn resume(&mut self, daemon: usize) {
        let timers_first = self.rng.chance(0.5);
        let Some(waiting) = self.seats[daemon].life.as_mut().and_then(|life| life.paused.take()) else { return };
        if timers_first {
            self.tick(daemon);
        }
        for (network, bytes) in waiting {
            self.arrive(daemon, network, bytes);
        }
        self.tick(daemon);
    }

    fn hear_noise(&mut self, daemon: usize) {
        if self.rng.chance(STRAY_REFUSALS) {
            let of = self.rng.below(self.daemons() as u64) as usize;
            let network = NetworkId(self.rng.below(self.links.networks() as u64) as u8);
            self.tally.count(Fault::StrayRefusal);
            return self.hear_refusal(daemon, network, of);
        }
        if let Some((network, bytes, fault)) = self.recording.noise(&mut self.rng) {
            self.tally.count(fault);
            self.say(|| format!("noise at {}: {fault:?}", daemon + 1));
            self.arrive(daemon, network, bytes);
        }
    }

    /// Something arrives at a daemon with keys that somebody wrote who has none. It changes nothing.
    fn hear_keyless(&mut self, daemon: usize) {
        let (daemons, to, now) = (self.daemons(), self.seats[daemon].id, self.now);
        let forged = self.listener.as_ref().and_then(|it| it.forge_unsealed(&mut self.rng, daemons, to));
        let Some((network, bytes)) = forged else { return };
        let Some(life) = self.seats[daemon].life.as_mut().filter(|life| life.paused.is_none()) else { return };
        self.tally.count(Fault::Forged);
        let before = life.actor.knowledge();
        life.actor.handle_datagram(now, network, &bytes);
        let header = Header::decode(&mut Reader::new(&bytes));
        assert_eq!(life.actor.knowledge(), before, "{header:?} of nobody changes daemon {}", daemon + 1);
        assert!(life.actor.poll_transmit().is_none(), "{header:?} of nobody is answered by daemon {}", daemon + 1);
        assert!(life.actor.poll_event().is_none(), "{header:?} of nobody is told by daemon {}", daemon + 1);
    }

    fn hear_forger(&mut self, daemon: usize) {
        let (daemons, to) = (self.daemons(), self.seats[daemon].id);
        let Some((network, bytes)) = self.listener.as_ref().and_then(|it| it.forge(&mut self.rng, daemons, to)) else {
            return;
        };
        self.tally.count(Fault::Forged);
        self.say(|| {
            let header = Header::decode(&mut Reader::new(&bytes));
            let body = header.map(|header| Packet::decode(header.kind, &bytes.tail(Header::SIZE)));
            format!("forged at {}: {header:?} {body:?}", daemon + 1)
        });
        self.arrive(daemon, network, bytes);
    }

    fn rekey(&mut self, daemon: usize) {
        let keys = (self.keys)(self.seats[daemon].id, self.now);
        if self.seats[daemon].life.is_some() {
            self.tally.count(Fault::KeysChanged);
            let twin = self.twin_of(daemon);
            twin.into_iter().for_each(|twin| self.visit(twin, |actor, now| actor.set_keys(now, keys.clone())));
            self.visit(daemon, |actor, now| actor.set_keys(now, keys));
        }
    }

    /// A file in which a daemon is missing is refused.
    fn reload(&mut self, daemon: usize) {
        let id = self.seats[daemon].id;
        let table = self.tables.of(id, self.now).clone();
        if self.seats[daemon].life.is_some() && table.daemons.contains(&id) {
            self.tally.count(Fault::TableChanged);
            self.visit(daemon, |actor, now| actor.reload(now, &table));
        }
    }

    fn submit(&mut self, daemon: usize, service: Service, size: usize) {
        let now = self.now;
        if let Some(life) = self.seats[daemon].life.as_mut().filter(|life| life.paused.is_none()) {
            let scribe = Scribe { trace: &mut self.trace, process: life.process };
            life.actor.submit(now, service, size, scribe);
            self.drain(daemon);
        }
    }

    fn arrive(&mut self, daemon: usize, network: NetworkId, bytes: Slice) {
        let now = self.now;
        let Some(life) = &mut self.seats[daemon].life else { return };
        if let Some(waiting) = &mut life.paused {
            if waiting.len() < BUFFER_LIMIT {
                waiting.push((network, bytes));
            }
            return;
        }
        life.actor.handle_datagram(now, network, &bytes);
        self.drain(daemon);
    }

    /// The machine of a daemon that does not run says that nobody has its port.
    fn refuse(&mut self, of: usize, network: NetworkId, to: usize) {
        let (of, to_place) = (self.place(of), self.place(to));
        if self.links.is_open(links::index(network), of, to_place) {
            let quality = self.links.link(links::index(network), of, to_place).quality;
            if !self.rng.chance(quality.loss) {
                self.queue.plan_near(self.now + quality.delay, Happening::Refusal { to, network, of });
            }
        }
    }

    fn hear_refusal(&mut self, daemon: usize, network: NetworkId, of: usize) {
        let (now, of) = (self.now, self.seats[of].id);
        if let Some(life) = self.seats[daemon].life.as_mut().filter(|life| life.paused.is_none()) {
            life.actor.handle_refusal(now, network, of);
            self.drain(daemon);
        }
    }

    fn tick(&mut self, daemon: usize) {
        let now = self.now;
        let seat = &mut self.seats[daemon];
        seat.armed = seat.armed.filter(|at| *at > now);
        let Some(life) = seat.life.as_mut().filter(|life| life.paused.is_none()) else { return };
        if life.actor.poll_timeout().is_some_and(|at| at <= now) {
            life.actor.handle_timeout(now);
            self.drain(daemon);
        } else {
            self.arm(daemon);
        }
    }

    /// Takes everything out of a daemon that its last input led to.
    fn drain(&mut self, daemon: usize) {
        loop {
            let Some(life) = &mut self.seats[daemon].life else { return };
            if let Some(datagram) = life.actor.poll_transmit() {
                self.send(daemon, &datagram);
            } else if let Some(event) = life.actor.poll_event() {
                self.record(daemon, event);
            } else {
                break;
            }
        }
        self.log_state(daemon);
        self.arm(daemon);
    }

    /// Sees to it that a daemon's next timer is in the queue.
    fn arm(&mut self, daemon: usize) {
        let seat = &mut self.seats[daemon];
        let next = seat.life.as_mut().and_then(|life| life.actor.poll_timeout());
        if let Some(at) = next.map(|at| at.max(self.now))
            && seat.armed.is_none_or(|armed| at < armed)
        {
            seat.armed = Some(at);
            self.queue.plan_near(at, Happening::Timer(daemon));
        }
    }

    fn record(&mut self, daemon: usize, event: RingEvent) {
        let now = self.now;
        let (id, life) = match &mut self.seats[daemon] {
            Seat { id, life: Some(life), .. } => (*id, life),
            Seat { life: None, .. } => unreachable!("only a daemon that lives is drained"),
        };
        let process = life.process;
        match event {
            RingEvent::Message(message) => {
                self.tally.delivered += 1;
                let number = self.trace.deliver(process, &message);
                self.say(|| format!("{id} delivers {number:?} {:?} of {}", message.service, message.origin));
            }
            RingEvent::Configuration(configuration) => {
                let regular = configuration.kind == ConfigurationKind::Regular;
                self.tally.configurations += u64::from(regular);
                self.trace.configuration(process, configuration.clone());
                if regular && self.answers_configurations {
                    life.actor.answer(now, Scribe { trace: &mut self.trace, process });
                }
                self.say(|| {
                    format!("{id} {:?} {} {:?}", configuration.kind, configuration.ring, configuration.members)
                });
            }
        }
    }

    fn log_state(&mut self, daemon: usize) {
        if self.log < Log::Events {
            return;
        }
        let Seat { id, life: Some(life), .. } = &mut self.seats[daemon] else { return };
        let state = life.actor.state();
        if std::mem::replace(&mut life.state, state) != state {
            let id = *id;
            self.say(|| format!("{id} {state}"));
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.log >= Log::Events {
            println!("{:?} {}", self.now, what());
        }
    }
}
