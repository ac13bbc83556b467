//! The parts of a ring that outlive its states: settings, timers, outputs, the outgoing stream, and knowledge of other daemons.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::handover::Handover;
use super::hearsay::{Hearsay, Worth};
use super::sender::Sender;
use super::timer::Timers;
use super::{RingEvent, RingSettings, Stats};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Join, Packet, RingId};

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// One daemon, or all others.
    pub to: Option<DaemonId>,
    /// It was sent before, and somebody seems to lack it.
    pub again: bool,
    /// The packet.
    pub packet: Packet,
}

/// The part of a ring that outlives its states.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) config: RingSettings,
    pub(crate) timers: Timers,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<RingEvent>,
    pub(crate) sender: Sender,
    pub(crate) handover: Handover,
    pub(crate) stats: Stats,
    /// The highest ring sequence known, from joins and form tokens.
    pub(crate) sequence: u64,
    /// The sequence of the last form token accepted; an older one is stale.
    pub(crate) formed: u64,
    /// The last join of this daemon. It is repeated while the ring is formed, for those who have missed it.
    pub(crate) said: Option<Join>,
    /// When this daemon had stood still for so long that others may have given it up.
    pub(crate) woke: Option<Instant>,
    /// Daemons as which two hosts run.
    pub(crate) doubles: BTreeSet<DaemonId>,
    hearsay: Hearsay,
    shunned: BTreeMap<DaemonId, Shun>,
}

/// A daemon with which agreement failed: merging with it is not tried again before `until`.
#[derive(Debug)]
struct Shun {
    until: Instant,
    pause: Duration,
    /// How often in a row it was silent.
    silences: u32,
    /// It was silent, so it is tried again as soon as it shows that it hears us. The other case is a daemon that sent joins, but
    /// found no agreement because some member does not hear it. That one would break the ring again.
    silent: bool,
    /// This daemon itself has found it silent, and before that it was in the ring for long enough.
    missed: bool,
    /// When it was in the ring again.
    back: Option<Instant>,
}

/// How merging with a daemon failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// This daemon has waited for it, and nothing came.
    Silent,
    /// Another daemon has given it up, and no join of it came.
    Reported,
    /// Its joins came, but all daemons did not agree.
    Disagreement,
}

/// Whether a daemon has shown that it hears this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HearsUs {
    Shown,
    Unknown,
}

/// How many rings others may have formed that this daemon has not heard of.
const SEQUENCE_STEP: u64 = 1024;
const SHUN_FIRST: Duration = Duration::from_millis(500);
/// How often in a row a daemon may be silent and come back at once.
const SILENCES: u32 = 3;
const SHUN_LIMIT: Duration = Duration::from_secs(30);
const SHUN_SILENT_LIMIT: Duration = Duration::from_secs(10);
/// After this time without a failure, the pauses begin with the shortest one again.
const SHUN_MEMORY: Duration = Duration::from_secs(60);
/// A daemon that was in the ring for this long hears the others, and they hear it.
const STEADY: Duration = Duration::from_secs(5);

impl Core {
    pub(crate) fn new(config: RingSettings, now: Instant) -> Core {
        Core {
            hearsay: Hearsay::new(&config, now),
            // The floor is the clock at the start, so a ring id of an earlier life never comes again.
            sequence: config.sequence_floor,
            formed: config.sequence_floor,
            said: None,
            config,
            timers: Timers::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            sender: Sender::default(),
            handover: Handover::Allowed,
            stats: Stats::default(),
            woke: None,
            doubles: BTreeSet::new(),
            shunned: BTreeMap::new(),
        }
    }

    /// This daemon.
    pub(crate) fn me(&self) -> DaemonId {
        self.config.me
    }

    /// Whether a daemon may be a member.
    pub(crate) fn is_known(&self, daemon: &DaemonId) -> bool {
        self.config.daemons.contains(daemon)
    }

    /// Sends a packet to one daemon or to all others.
    pub(crate) fn transmit(&mut self, to: Option<DaemonId>, packet: Packet) {
        self.transmits.push_back(Transmit { to, again: false, packet });
    }

    /// Sends a packet that was sent before.
    pub(crate) fn transmit_again(&mut self, to: Option<DaemonId>, packet: Packet) {
        self.transmits.push_back(Transmit { to, again: true, packet });
    }

    /// The payload bytes of a data packet: what fits a datagram, even when the whole packet must later be carried inside
    /// another one during recovery.
    pub(crate) fn payload_room(&self) -> usize {
        self.config.body_limit - 2 * crate::wire::Data::OVERHEAD
    }

    /// A ring sequence was heard of.
    pub(crate) fn learn_sequence(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// Whether some daemon can have reached this ring sequence by now.
    pub(crate) fn is_possible_sequence(&self, now: Instant, sequence: u64) -> bool {
        sequence <= self.hearsay.horizon(now).max(self.near_sequence())
    }

    /// Whether a ring sequence in a probe is believed.
    pub(crate) fn believes_sequence(&mut self, now: Instant, sequence: u64) -> bool {
        self.hearsay.believes(now, self.near_sequence(), sequence)
    }

    /// Others may have reached this ring sequence, whatever the clocks say.
    fn near_sequence(&self) -> u64 {
        self.sequence + SEQUENCE_STEP
    }

    /// Decides whether this join is news, stale or false.
    pub(crate) fn judge_join(&mut self, now: Instant, from: DaemonId, join: &Join) -> Worth {
        let near = self.near_sequence();
        self.hearsay.judge(now, &self.config.daemons, near, from, join)
    }

    /// Merging with this daemon has just failed. It is not tried again for a while, longer each time.
    pub(crate) fn shun(&mut self, now: Instant, daemon: DaemonId, failure: Failure) {
        let silent = failure != Failure::Disagreement;
        let before = self.shunned.get(&daemon).filter(|shun| now.since(shun.until) < SHUN_MEMORY);
        let silences = if silent { before.map_or(0, |shun| shun.silences) + 1 } else { 0 };
        let limit = if silent { SHUN_SILENT_LIMIT } else { SHUN_LIMIT };
        let pause = before.map_or(SHUN_FIRST, |shun| (shun.pause * 2).min(limit));
        // A daemon that falls silent this often and is back each time does speak, but not everybody hears it.
        let silent = silent && silences <= SILENCES;
        // If some daemons do not hear each other, rings would break more often than the pauses allow. Such rings do not last.
        let lasted = before.is_none_or(|shun| shun.back.is_some_and(|back| now.since(back) >= STEADY));
        let missed = failure == Failure::Silent && lasted;
        self.shunned.insert(daemon, Shun { until: now + pause, pause, silences, silent, missed, back: None });
    }

    /// These daemons are in the ring, so their pauses end. A daemon that had sent joins is likely to fail again, so its next pause still grows.
    pub(crate) fn forgive(&mut self, now: Instant, daemons: &[DaemonId]) {
        for daemon in daemons {
            if let Some(shun) = self.shunned.get_mut(daemon) {
                shun.until = shun.until.min(now);
                shun.back.get_or_insert(now);
                shun.pause = if shun.silent { SHUN_FIRST / 2 } else { shun.pause };
            }
        }
    }

    /// Whether merging with this daemon should not be tried now.
    pub(crate) fn is_shunned(&self, now: Instant, daemon: DaemonId, hears_us: HearsUs) -> bool {
        self.shunned.get(&daemon).is_some_and(|shun| match hears_us {
            HearsUs::Shown if shun.silent => false,
            // Two daemons that shun each other for the same time would never try in the same moment. For one of them half of its
            // time is over when the other one tries.
            HearsUs::Shown => now + shun.pause / 2 < shun.until,
            HearsUs::Unknown => now < shun.until,
        })
    }

    /// Whether a probe of this daemon is answered: it was silent, so it may not know that it is heard again.
    pub(crate) fn is_missed(&self, now: Instant, daemon: DaemonId) -> bool {
        self.shunned.get(&daemon).is_some_and(|shun| shun.missed && now < shun.until)
    }

    /// The members in ring order.
    pub(crate) fn in_ring_order(&self, mut members: Vec<DaemonId>) -> Vec<DaemonId> {
        let place = |member: &DaemonId| self.config.daemons.iter().position(|daemon| daemon == member);
        // The order of the file, so that every daemon computes the same ring.
        members.sort_by_key(|member| (place(member), *member));
        members
    }

    /// The ring that this daemon is in before it has been in any.
    pub(crate) fn ring_of_nobody(&self) -> RingId {
        RingId { sequence: self.config.sequence_floor, representative: self.me() }
    }
}
