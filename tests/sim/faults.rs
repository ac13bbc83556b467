//! The faults of a history, drawn from its seed: first which kinds there are at all, then how many, how strong and when. So some
//! histories are harsh in one way only and others in all ways at once.
//!
//! Two modes. *Masked*: every pair of daemons keeps a way in both directions with moderate loss, over one network or through one other
//! daemon, all else may fail; then nobody may notice. *Anything goes*: links, networks, partitions, pauses and crashes without a limit; then order must
//! hold at any time, and everything must come back when the faults end.

use spread::ring::RingSettings;
use spread::rng::Rng;
use spread::seal::{Cipher, Key, Keys};
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Incarnation, Service};

use crate::actor::{Actor, RingDaemon, Wiring};
use crate::forger::Listener;
use crate::links::{NO_LIMIT, Quality, Which};
use crate::seeds::daemons;
use crate::tables::{Table, TablePlan};
use crate::world::{Action, Log, Starter, World};

/// Which faults there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Masked,
    /// Masked, and one daemon stands still now and then, or two hosts run as one.
    Sleeper,
    AnythingGoes,
}

/// For a masked history: a second host that runs as a daemon for a while.
#[derive(Clone, Copy, Debug)]
pub struct TwinPlan {
    pub of: usize,
    /// Its life. The daemon's own is 1.
    pub life: u64,
    pub begin: Instant,
    pub end: Instant,
}

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub struct Plan {
    pub daemons: usize,
    pub networks: usize,
    pub masked: bool,
    /// Whether multipath drops later copies before the ring sees them.
    pub filtered: bool,
    /// How long there are faults and load.
    pub span: Duration,
    seed: u64,
    quality: Quality,
    window: u32,
    body_limit: usize,
    /// Where the numbers of packets and hops, of rings and of datagrams begin.
    pub numbers: Numbers,
    /// For a masked history: who stands still now and then.
    pub sleeper: Option<DaemonId>,
    pub twin: Option<TwinPlan>,
    /// A daemon whose state file has an extreme number from its second life on.
    poisoned: Option<DaemonId>,
    /// By daemon: how far its clock is ahead, in microseconds. Empty if no clock is.
    clocks: Vec<u64>,
    /// Short timeouts, so that more faults meet a membership change.
    brisk: bool,
    actions: Vec<(Instant, Action)>,
    /// Where the daemons are.
    pub sites: Vec<usize>,
    pub keys: KeyPlan,
    pub tables: TablePlan,
    /// For a masked history: the links that carry everything, as (network, from, to).
    kept: Vec<(usize, usize, usize)>,
    /// For a masked history: the links that may fail by themselves, as (network, from, to).
    bad_links: Vec<(usize, usize, usize, f64)>,
}

impl Plan {
    pub fn draw(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x5eed_0000_0000);
        let mode = if rng.chance(0.3) { Mode::Masked } else { Mode::AnythingGoes };
        Plan::of_mode(mode, rng)
    }

    /// A history with anything in which daemons read new files under way.
    pub fn draw_changing(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0xc4a6_0000_0000);
        // About one plan in three has them.
        loop {
            let plan = Plan::of_mode(Mode::AnythingGoes, rng.fork());
            if plan.tables.change() {
                return plan;
            }
        }
    }

    /// A history in which somebody forges datagrams besides all faults but those of a masked one.
    pub fn draw_hostile(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0xf0e5_0000_0000);
        let mut plan = Plan::of_mode(Mode::AnythingGoes, rng.fork());
        if rng.chance(0.5) {
            // Nothing but the forger and what operators do, in a ring that would be well without him.
            plan.quality = plan.calm();
            plan.actions.retain(|(_, action)| {
                matches!(action, Action::Start(_) | Action::Submit { .. } | Action::Rekey(_) | Action::Reload(_))
            });
        }
        plan.draw_forgeries(&mut rng);
        // In half of the histories in which files change they change while he forges.
        if rng.chance(0.5) {
            plan.tables = TablePlan::constant(plan.daemons, plan.networks);
            plan.actions.retain(|(_, action)| !matches!(action, Action::Reload(_)));
        }
        if rng.chance(0.5) {
            const CLOCKS: [u64; 4] = [0, SECOND, 3600 * SECOND, 30 * 86_400 * SECOND];
            const SECOND: u64 = 1_000_000;
            plan.clocks = (0..plan.daemons).map(|_| CLOCKS[rng.below(4) as usize]).collect();
        }
        plan
    }

    fn draw_forgeries(&mut self, rng: &mut Rng) {
        self.poisoned = rng.chance(0.3).then(|| DaemonId(1 + rng.below(self.daemons as u64) as u32));
        for _ in 0..[1, 5, 20][rng.below(3) as usize] {
            let (at, gap) = (self.moment(rng), [0, 1, 20][rng.below(3) as usize]);
            let one = rng.chance(0.5).then(|| rng.below(self.daemons as u64) as usize);
            for n in 0..[1, 10, 100][rng.below(3) as usize] {
                let daemon = one.unwrap_or_else(|| rng.below(self.daemons as u64) as usize);
                self.actions.push((at + Duration::from_millis(n * gap), Action::Forge(daemon)));
            }
        }
    }

    /// A masked history. In a quarter of those of three daemons or more a daemon sleeps now and then, in a tenth of the others two hosts run
    /// as one daemon for a while.
    pub fn draw_masked(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x51ee_0000_0000);
        if !rng.chance(0.75) {
            return Plan::draw_sleeper(seed, &mut rng);
        }
        if rng.chance(0.1) { Plan::draw_twin(seed, &mut rng) } else { Plan::draw_awake(seed) }
    }

    /// A masked history in which all are awake.
    pub fn draw_awake(seed: u64) -> Plan {
        Plan::of_mode(Mode::Masked, Rng::new(seed ^ 0x3a5c_0000_0000))
    }

    /// Every pair has a path of its own, so that nobody depends on the one that sleeps.
    fn draw_sleeper(seed: u64, rng: &mut Rng) -> Plan {
        let mut plan = Plan::of_mode(Mode::Sleeper, Rng::new(seed ^ 0x3a5c_0000_0000));
        if plan.daemons < 3 {
            return Plan::draw_awake(seed);
        }
        let sleeper = rng.below(plan.daemons as u64) as usize;
        plan.sleeper = Some(DaemonId(sleeper as u32 + 1));
        let mut at = Instant::ZERO + millis(rng, 1500, 3000);
        for _ in 0..1 + rng.below(3) {
            let until =
                at + [millis(rng, 10, 900), millis(rng, 900, 1800), millis(rng, 1800, 5000)][rng.below(3) as usize];
            plan.during(Action::Pause(sleeper), Action::Resume(sleeper), at, until);
            at = until + millis(rng, 10, 3000);
        }
        plan
    }

    /// The second host begins when the ring is whole. Some stop before anybody can know that there are two.
    fn draw_twin(seed: u64, rng: &mut Rng) -> Plan {
        let mut plan = Plan::of_mode(Mode::Sleeper, Rng::new(seed ^ 0x3a5c_0000_0000));
        if plan.daemons < 3 {
            return Plan::draw_awake(seed);
        }
        let of = rng.below(plan.daemons as u64) as usize;
        let begin = Instant::ZERO + millis(rng, 1700, 4000);
        let lasts = [millis(rng, 1, 1000), millis(rng, 1000, 8000), millis(rng, 8000, 20_000)][rng.below(3) as usize];
        let (end, life) = (begin + lasts, if rng.chance(0.5) { 2 } else { 0 });
        plan.during(Action::Twin(of, life), Action::EndTwin, begin, end);
        plan.twin = Some(TwinPlan { of, life, begin, end });
        // It is not the ring that tells the two hosts apart.
        plan.filtered = true;
        plan
    }

    fn of_mode(mode: Mode, mut rng: Rng) -> Plan {
        let masked = mode != Mode::AnythingGoes;
        let drawn = 2 + rng.below(5) as usize;
        let daemons = daemons().unwrap_or(drawn);
        let networks = 1 + rng.below(3) as usize;
        let mut plan = Plan {
            daemons,
            networks,
            masked,
            filtered: rng.chance(0.8),
            span: millis(&mut rng, 2000, 6000),
            seed: rng.next_u64(),
            quality: quality(&mut rng, masked),
            window: [8, 64, 512][rng.below(3) as usize],
            body_limit: [512, 700, 1436][rng.below(3) as usize],
            numbers: Numbers::draw(&mut rng),
            poisoned: None,
            clocks: Vec::new(),
            sleeper: None,
            twin: None,
            brisk: !masked && rng.chance(0.5),
            actions: Vec::new(),
            sites: vec![0; daemons],
            kept: Vec::new(),
            bad_links: Vec::new(),
            keys: KeyPlan::default(),
            tables: TablePlan::constant(daemons, networks),
        };
        plan.draw_starts(&mut rng.fork());
        if masked {
            plan.draw_masked_faults(&mut rng.fork(), mode);
        } else {
            plan.draw_faults(&mut rng.fork());
        }
        plan.draw_load(&mut rng.fork());
        plan.draw_noise(&mut rng.fork());
        if rng.chance(0.2) {
            plan.sites = (0..daemons).map(|_| rng.below(3) as usize).collect();
        }
        plan.draw_keys(&mut rng.fork());
        if !masked {
            plan.draw_tables(&mut rng.fork());
        }
        plan.draw_keyless(&mut rng.fork());
        plan.draw_sizes(&mut rng.fork());
        plan
    }

    /// The world in which this will happen, of rings without clients.
    pub fn world(&self, log: Log) -> World<RingDaemon> {
        let (tables, filtered, config) = (self.tables.clone(), self.filtered, self.config());
        let (counted, sites, keys) = (self.numbers.datagrams, self.sites.clone(), self.keys.clone());
        let starter = move |me, life, now: Instant| {
            let table = tables.of(me, now).clone();
            let wiring = Wiring { table, sites: sites.clone(), keys: keys.of(me, now), counted };
            let daemon = RingDaemon::wired(config(me, life, now), wiring, now);
            if filtered { daemon } else { daemon.unfiltered() }
        };
        self.world_of(Box::new(starter), log)
    }

    /// The world in which this will happen, with daemons of any kind.
    pub fn world_of<A: Actor>(&self, starter: Starter<A>, log: Log) -> World<A> {
        if log >= Log::Events {
            println!("{:#?}", Plan { actions: Vec::new(), ..self.clone() });
        }
        let mut world = World::new(self.daemons, self.networks, self.seed, starter, log);
        world.sites = self.sites.clone();
        world.listener = (!self.keys.keys.is_empty()).then(Listener::default);
        let keys = self.keys.clone();
        world.keys = Box::new(move |me, now| keys.of(me, now));
        world.tables = self.tables.clone();
        world.links.heal(&self.quality);
        for &(network, from, to, loss) in &self.bad_links {
            world.links.link(network, from, to).quality.loss = loss;
        }
        for (at, action) in &self.actions {
            world.at(*at, action.clone());
        }
        world
    }

    /// The settings of a daemon's life: who, which one, and when it begins.
    pub fn config(&self) -> impl Fn(DaemonId, u64, Instant) -> RingSettings + use<> {
        let ids: Vec<DaemonId> = (1..=self.daemons as u32).map(DaemonId).collect();
        let (window, body_limit, brisk, numbers) = (self.window, self.body_limit, self.brisk, self.numbers);
        let (poisoned, clocks) = (self.poisoned, self.clocks.clone());
        move |me, life, now| {
            let mut config = config(me, life, now, &ids);
            if brisk {
                hurry(&mut config);
            }
            config.first_number = numbers.packets;
            config.sequence_floor += numbers.rings;
            config.sequence_horizon += numbers.rings + clocks.get(me.0 as usize - 1).copied().unwrap_or(0);
            if poisoned == Some(me) && life > 1 {
                config.sequence_floor = config.sequence_horizon - 3;
            }
            (config.window, config.personal_window, config.body_limit) = (window, window.min(128), body_limit);
            config
        }
    }

    /// When the last of all this happens: a fault that begins in the span may end later, and something be sent near its end.
    pub fn end(&self) -> Instant {
        self.actions.iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    /// What the links are like when the faults are over.
    pub fn calm(&self) -> Quality {
        Quality { loss: 0.0, duplicate: 0.0, late: 0.0, mangle: 0.0, ..self.quality }
    }

    fn draw_starts(&mut self, rng: &mut Rng) {
        let spread = [1, 50, 1500][rng.below(3) as usize];
        for daemon in 0..self.daemons {
            self.actions.push((Instant::ZERO + millis(rng, 0, spread), Action::Start(daemon)));
        }
    }

    /// In every history something arrives that no daemon sent like this, or not now.
    fn draw_noise(&mut self, rng: &mut Rng) {
        for _ in 0..[20, 60, 300][rng.below(3) as usize] {
            let daemon = rng.below(self.daemons as u64) as usize;
            self.actions.push((self.moment(rng), Action::Noise(daemon)));
        }
    }

    /// Every other history has keys, and every third of those changes them under way: each daemon gets the new key at its own time, and
    /// loses the old one when all have had the new one for a while.
    fn draw_keys(&mut self, rng: &mut Rng) {
        // Without the filter the ring gets what is in the datagrams, and that is sealed.
        if !self.filtered || !rng.chance(0.625) {
            return;
        }
        let (mut introduced, mut retired) = (Vec::new(), Vec::new());
        if rng.chance(0.33) {
            introduced = (0..self.daemons).map(|_| self.moment(rng)).collect();
            let all = introduced.iter().copied().max().unwrap_or_default();
            retired = (0..self.daemons).map(|_| all + millis(rng, 500, 2000)).collect();
        }
        for (daemon, &at) in introduced.iter().enumerate().chain(retired.iter().enumerate()) {
            self.actions.push((at, Action::Rekey(daemon)));
        }
        let cipher = if rng.chance(0.5) { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
        let [old, new] = [1, 2].map(|byte| Key::new(cipher, [byte; Key::SIZE]));
        self.keys = KeyPlan { keys: vec![old, new], introduced, retired };
    }

    /// In two of five histories the files change, several times in some, at each daemon at its own time. In the end all have the table
    /// of all daemons and networks.
    fn draw_tables(&mut self, rng: &mut Rng) {
        // Without the filter the ring gets what comes under any table.
        if !self.filtered || !rng.chance(0.4) {
            return;
        }
        let drawn = 1 + rng.below(3) as u32;
        let spread = [0, 20, 500, 2500][rng.below(4) as usize];
        for number in 0..=drawn {
            let table = match number {
                _ if number == drawn => Table::whole(self.daemons, self.networks).numbered(number),
                _ => Table::draw(rng, self.daemons, self.networks, number),
            };
            if number == 0 {
                self.tables.begin_with(table);
                continue;
            }
            let begin = self.moment(rng);
            let written: Vec<Instant> = (0..self.daemons).map(|_| begin + millis(rng, 0, spread)).collect();
            for (daemon, &at) in written.iter().enumerate() {
                // Somebody may be told of it late.
                let late = if rng.chance(0.1) { millis(rng, 0, 1000) } else { Duration::ZERO };
                self.actions.push((at + late, Action::Reload(daemon)));
            }
            self.tables.then(table, written);
        }
    }

    /// Where there are keys somebody without one writes datagrams.
    fn draw_keyless(&mut self, rng: &mut Rng) {
        if self.keys.keys.is_empty() {
            return;
        }
        for _ in 0..[10, 40, 150][rng.below(3) as usize] {
            let daemon = rng.below(self.daemons as u64) as usize;
            self.actions.push((self.moment(rng), Action::ForgeUnsealed(daemon)));
        }
    }

    fn draw_load(&mut self, rng: &mut Rng) {
        let bursts = [0, 5, 20, 60, 150][rng.below(5) as usize];
        let burst = [1, 5, 30][rng.below(3) as usize];
        let large = rng.chance(0.3);
        let one_service = rng.chance(0.3).then(|| service(rng));
        let near_faults = rng.chance(0.5);
        let faults: Vec<Instant> = self.actions.iter().map(|(at, _)| *at).collect();
        for _ in 0..bursts {
            let at = match near_faults {
                true => faults[rng.below(faults.len() as u64) as usize] + millis(rng, 0, 20),
                false => self.moment(rng),
            };
            let daemon = rng.below(self.daemons as u64) as usize;
            for _ in 0..=rng.below(burst) {
                let service = one_service.unwrap_or_else(|| service(rng));
                let size = size(rng, large);
                self.actions.push((at, Action::Submit { daemon, service, size }));
            }
        }
    }

    /// For each pair a way is kept; everything else may be cut, at times or for good, in one direction or both.
    fn draw_masked_faults(&mut self, rng: &mut Rng, mode: Mode) {
        let kept = if rng.chance(0.3) || mode == Mode::Sleeper { self.draw_pairs(rng) } else { self.draw_ways(rng) };
        self.kept = kept.clone();
        let badness = [0.1, 0.5, 0.95][rng.below(3) as usize];
        for network in 0..self.networks {
            for from in 0..self.daemons {
                for to in 0..self.daemons {
                    if from != to && !kept.contains(&(network, from, to)) && rng.chance(badness) {
                        self.draw_bad_link(rng, (network, from, to));
                    }
                }
            }
        }
    }

    /// In every other history daemons want to send long datagrams, and some links do not carry them: in one direction or in both, for all or
    /// for some, from the start or from some moment on, for a while or for good.
    fn draw_sizes(&mut self, rng: &mut Rng) {
        if rng.chance(0.5) {
            return;
        }
        self.body_limit = [1436, 4000, 8936][rng.below(3) as usize];
        for _ in 0..rng.below(20) {
            let (at, daemon) = (self.moment(rng), rng.below(self.daemons as u64) as usize);
            let (service, size) = (service(rng), rng.below(30_000) as usize);
            self.actions.push((at, Action::Submit { daemon, service, size }));
        }
        for _ in 0..1 + rng.below(8) {
            let mut any = |of: usize| rng.chance(0.5).then(|| rng.below(of as u64) as usize);
            let which = Which { network: any(self.networks), from: any(self.daemons), to: any(self.daemons) };
            let limit = self.draw_limit(rng, which);
            let at = if rng.chance(0.3) { Instant::ZERO } else { self.moment(rng) };
            self.actions.push((at, Action::Narrow(which, limit)));
            if rng.chance(0.6) {
                let later = if rng.chance(0.5) { NO_LIMIT } else { self.draw_limit(rng, which) };
                self.actions.push((at + millis(rng, 1, 4000), Action::Narrow(which, later)));
            }
        }
    }

    /// What is carried at least where a masked history needs it is what every network carries.
    fn draw_limit(&self, rng: &mut Rng, which: Which) -> usize {
        let fits = |wanted: Option<usize>, is| wanted.is_none_or(|wanted| wanted == is);
        let is_meant = |&(network, from, to): &(usize, usize, usize)| {
            fits(which.network, network) && fits(which.from, from) && fits(which.to, to)
        };
        let needed = self.masked && self.kept.iter().any(is_meant);
        let limits = [1232, 1300, 1400, 1472, 2000, 5000, 8000, 600, 300];
        limits[rng.below(if needed { 7 } else { 9 }) as usize]
    }

    /// For each two daemons one network, both ways.
    fn draw_pairs(&self, rng: &mut Rng) -> Vec<(usize, usize, usize)> {
        let mut kept = Vec::new();
        for (a, b) in (0..self.daemons).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let network = rng.below(self.networks as u64) as usize;
            kept.extend([(network, a, b), (network, b, a)]);
        }
        kept
    }

    /// From each daemon to each other a network, or one to a third daemon and one on from there.
    fn draw_ways(&self, rng: &mut Rng) -> Vec<(usize, usize, usize)> {
        let relays = [0.3, 0.7, 1.0][rng.below(3) as usize];
        let mut kept = Vec::new();
        for (from, to) in (0..self.daemons).flat_map(|from| (0..self.daemons).map(move |to| (from, to))) {
            let relay = rng.below(self.daemons as u64) as usize;
            let hops =
                if rng.chance(relays) && relay != to { vec![(from, relay), (relay, to)] } else { vec![(from, to)] };
            for (from, to) in hops.into_iter().filter(|(from, to)| from != to) {
                kept.push((rng.below(self.networks as u64) as usize, from, to));
            }
        }
        kept
    }

    fn draw_bad_link(&mut self, rng: &mut Rng, (network, from, to): (usize, usize, usize)) {
        let which = Which { network: Some(network), from: Some(from), to: Some(to) };
        match rng.below(3) {
            0 => self.bad_links.push((network, from, to, 0.2 + 0.8 * fraction(rng))),
            1 => self.actions.push((Instant::ZERO, Action::Cut(which, true))),
            _ => {
                for _ in 0..1 + rng.below(4) {
                    let at = self.moment(rng);
                    self.actions.push((at, Action::Cut(which, true)));
                    self.actions.push((at + millis(rng, 1, 2000), Action::Cut(which, false)));
                }
            }
        }
    }

    fn draw_faults(&mut self, rng: &mut Rng) {
        const KINDS: usize = 7;
        let allowed: Vec<usize> = (0..KINDS).filter(|_| rng.chance(0.5)).collect();
        let count = [2, 6, 15, 40, 100][rng.below(5) as usize];
        if allowed.is_empty() {
            return;
        }
        let gaps: &[u64] = if self.brisk { &[20, 100, 400] } else { &[5, 60, 400, 1500] };
        let gap = gaps[rng.below(gaps.len() as u64) as usize];
        let mut at = Instant::ZERO + millis(rng, 0, 1500);
        for _ in 0..count {
            let kind = allowed[rng.below(allowed.len() as u64) as usize];
            self.draw_fault(rng, kind, at);
            at += millis(rng, 0, gap);
            if at.since(Instant::ZERO) > self.span {
                break;
            }
        }
    }

    fn draw_fault(&mut self, rng: &mut Rng, kind: usize, at: Instant) {
        let daemon = rng.below(self.daemons as u64) as usize;
        let other = rng.below(self.daemons as u64) as usize;
        let network = Some(rng.below(self.networks as u64) as usize).filter(|_| rng.chance(0.6));
        let until = at + [millis(rng, 0, 60), millis(rng, 60, 800), millis(rng, 800, 4000)][rng.below(3) as usize];
        let everywhere = Which { network, from: None, to: None };
        match kind {
            0 => self.cut(Which { from: Some(daemon), to: Some(other), ..everywhere }, at, until),
            1 => self.cut(everywhere, at, until),
            2 if rng.chance(0.5) => self.cut(Which { from: Some(daemon), ..everywhere }, at, until),
            2 => self.cut(Which { to: Some(daemon), ..everywhere }, at, until),
            3 => {
                let sides = (0..self.daemons).map(|_| rng.below(3) as u8).collect();
                self.actions.push((at, Action::Partition(sides)));
            }
            4 => self.during(Action::Pause(daemon), Action::Resume(daemon), at, until),
            5 if rng.chance(0.3) => self.during(Action::Leave(daemon), Action::Start(daemon), at, until),
            5 => self.during(Action::Crash(daemon), Action::Start(daemon), at, until),
            _ => {
                let which = Which { from: Some(daemon), ..everywhere };
                self.actions.push((at, Action::Loss(which, 0.6 * fraction(rng))));
            }
        }
    }

    fn cut(&mut self, which: Which, at: Instant, until: Instant) {
        self.during(Action::Cut(which, true), Action::Cut(which, false), at, until);
    }

    fn during(&mut self, begin: Action, end: Action, at: Instant, until: Instant) {
        self.actions.push((at, begin));
        self.actions.push((until, end));
    }

    fn moment(&self, rng: &mut Rng) -> Instant {
        Instant::ZERO + Duration::from_nanos(rng.below(self.span.as_nanos() as u64))
    }
}

/// Where counting begins: in most histories at 0, in some just below a width to which a number might be cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// Packets of a ring, and hops of its token.
    pub packets: u64,
    /// Rings.
    pub rings: u64,
    /// Datagrams of a daemon to each destination.
    pub datagrams: u64,
}

impl Numbers {
    const WIDTHS: [u32; 5] = [8, 16, 31, 32, 53];

    fn draw(rng: &mut Rng) -> Numbers {
        let mut near = |reach| {
            let width = Numbers::WIDTHS[rng.below(Numbers::WIDTHS.len() as u64) as usize];
            if rng.chance(0.25) { (1_u64 << width).saturating_sub(1 + rng.below(reach)) } else { 0 }
        };
        Numbers { packets: near(300), rings: near(30_000), datagrams: near(1000) }
    }
}

/// No ring has a larger sequence when the history begins.
pub const HORIZON: u64 = 1 << 40;

/// Which keys are in each daemon's key file, and when.
#[derive(Clone, Debug, Default)]
pub struct KeyPlan {
    /// The first one and the one that takes its place; without any nothing is sealed.
    keys: Vec<Key>,
    /// By daemon: when it gets the second one and when it loses the first; nothing if that does not happen.
    introduced: Vec<Instant>,
    retired: Vec<Instant>,
}

impl KeyPlan {
    /// The keys of a daemon at that time.
    pub fn of(&self, daemon: DaemonId, now: Instant) -> Keys {
        let has_passed = |times: &[Instant]| times.get(daemon.0 as usize - 1).is_some_and(|&at| at <= now);
        let (new, old) = (has_passed(&self.introduced), !has_passed(&self.retired));
        self.keys.iter().zip([old, new]).filter(|(_, there)| *there).map(|(key, _)| key.clone()).collect()
    }
}

/// The settings of a life that begins at `now`.
pub fn config(me: DaemonId, life: u64, now: Instant, ids: &[DaemonId]) -> RingSettings {
    let mut config = RingSettings::new(me, Incarnation(life), ids.to_vec());
    config.sequence_floor = 1 + now.as_nanos() / 100_000;
    config.sequence_horizon = HORIZON + now.as_nanos() / 1000;
    config
}

fn hurry(config: &mut RingSettings) {
    config.token_timeout = Duration::from_millis(300);
    config.rest_interval = Duration::from_millis(30);
    config.join_interval = Duration::from_millis(20);
    config.consensus_timeout = Duration::from_millis(100);
    config.probe_interval = Duration::from_millis(60);
}

/// Ends all faults: good links, everybody alive and awake.
pub fn end_faults<A: Actor>(world: &mut World<A>, calm: &Quality) {
    world.links.heal(calm);
    for daemon in 0..world.daemons() {
        world.act(Action::Resume(daemon));
        world.act(Action::Reload(daemon));
        world.act(Action::Start(daemon));
    }
}

fn quality(rng: &mut Rng, masked: bool) -> Quality {
    let losses: &[f64] = if masked { &[0.0, 0.01, 0.1] } else { &[0.0, 0.0, 0.01, 0.05, 0.2] };
    let delay = Duration::from_micros([50, 200, 1000, 3000][rng.below(4) as usize]);
    let seldom = |rng: &mut Rng, most: f64| if rng.chance(0.3) { most * fraction(rng) } else { 0.0 };
    Quality {
        delay,
        jitter: delay * [0, 1, 5][rng.below(3) as usize],
        loss: losses[rng.below(losses.len() as u64) as usize],
        duplicate: seldom(rng, 0.3),
        late: seldom(rng, 0.05),
        late_by: Duration::from_millis([5, 100, 3000][rng.below(3) as usize]),
        mangle: seldom(rng, 0.05),
    }
}

fn service(rng: &mut Rng) -> Service {
    Service::from_wire(1 + rng.below(6) as u8).expect("there are six")
}

fn size(rng: &mut Rng, large: bool) -> usize {
    let most = match rng.below(20) {
        0 if large => 40_000,
        0..4 => 3000,
        _ => 200,
    };
    rng.below(most) as usize
}

fn fraction(rng: &mut Rng) -> f64 {
    rng.below(1000) as f64 / 1000.0
}

fn millis(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_micros(least * 1000 + rng.below((most - least) * 1000 + 1))
}
