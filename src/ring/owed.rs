//! The ring that was left, and what this daemon still owes it, until the next ring is installed (Totem SRP §7.2; extended virtual
//! synchrony). Its packets are kept whole that long.
//!
//! *The peers* are the members of the next ring that come from this one. During recovery they exchange packets until all hold the same.
//! So all of them deliver the same, in this order: in the regular configuration the packets before the first hole, as far as their
//! service allows; then the transitional configuration; then the rest. Behind a hole only packets of *trusted* origins count. A peer has
//! contributed all packets on which its own ones depend, so nothing of a peer depends on a packet that is missing.
//!
//! *Claims.* A peer may have handed over a packet of which nobody here knows whether it has a number. If it has one, somebody who is lost
//! may have delivered the packet. Its claim shows between which others that was. So all peers deliver it there.

use std::collections::{BTreeMap, VecDeque};

use super::core::Core;
use super::delivery::Delivery;
use super::handover::is_same;
use super::window::{Inserted, Window};
use super::{Configuration, ConfigurationKind, RingEvent};
use crate::wire::{Brings, Claim, DaemonId, Data, Incarnation, RingId, Service};

/// A ring that was left.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) ring: RingId,
    /// Its members in ring order; empty if this daemon has not been in a ring yet.
    pub(crate) members: Vec<DaemonId>,
    /// The life of each member.
    lives: Vec<MemberLife>,
    /// Those whose form token went round with this daemon, but whose ring was not installed here.
    recovering: Vec<(DaemonId, Incarnation)>,
    pub(crate) window: Window,
    pub(crate) delivery: Delivery,
    /// Bit n is the n-th member: its packets are delivered even behind a hole.
    trusted: u128,
    /// The ring's token rested here when it broke, so nobody has given a number since.
    holds: bool,
    handed: Option<Handed>,
    /// Packets of an exchange of a ring that this daemon has not installed. The others may have installed that ring and delivered them.
    promised: Claims,
}

/// The life in which a member was in the ring, and which lives of it were heard since the ring broke.
#[derive(Debug)]
struct MemberLife {
    life: Incarnation,
    since: Since,
}

/// Which lives of a member were heard one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Only the one in the ring, or none.
    Same,
    /// Another life than the one in the ring. The member has restarted.
    NewLife,
    /// Another life, and after it the one in the ring again. Probably two hosts run as this member.
    OldLifeAgain,
}

/// A packet that this daemon had handed over and has not seen with a number.
#[derive(Debug)]
enum Handed {
    /// Somebody may have given it a number.
    InDoubt(Data),
    /// It has no number and will get none.
    Void,
}

/// Packets of the peers that may have a number or not.
pub(crate) type Claims = BTreeMap<Claim, Data>;

/// Adds a packet that a peer has sent without a number. An honest one has one such packet, so others take no memory.
pub(crate) fn add_claim(claims: &mut Claims, data: Data) {
    if claims.keys().all(|claim| claim.origin != data.origin) {
        claims.insert(data.claim(), data);
    }
}

impl Owed {
    /// The obligations to a ring that broke.
    pub(crate) fn new(ring: RingId, members: Vec<DaemonId>, window: Window, delivery: Delivery) -> Owed {
        let (lives, promised) = (Vec::new(), Claims::new());
        Owed {
            ring,
            members,
            lives,
            recovering: Vec::new(),
            window,
            delivery,
            trusted: 0,
            holds: false,
            handed: None,
            promised,
        }
    }

    /// Its members were in it in these lives.
    pub(crate) fn of_lives(self, lives: Vec<Incarnation>) -> Owed {
        let lives = lives.into_iter().map(|life| MemberLife { life, since: Since::Same }).collect();
        Owed { lives, ..self }
    }

    /// The form token of a ring of these lives went round.
    pub(crate) fn recover_with(&mut self, lives: impl Iterator<Item = (DaemonId, Incarnation)>) {
        self.recovering = lives.collect();
    }

    /// This life of a daemon gathers, or takes part in an agreement.
    pub(crate) fn hear(&mut self, daemon: DaemonId, life: Incarnation) {
        let mut members = self.members.iter().zip(&mut self.lives);
        let Some((_, member)) = members.find(|(member, _)| **member == daemon) else { return };
        member.since = match (member.life == life, member.since) {
            (false, Since::Same) => Since::NewLife,
            // A restart never returns to the old life, and late packets of it are dropped before they come here.
            (true, Since::NewLife) => Since::OldLifeAgain,
            (_, since) => since,
        };
    }

    /// Whether a daemon was heard well in this life until now: it was a member, or a form token went round with it. Members do not install
    /// a ring in one moment, so some may be in the next one already when it breaks.
    pub(crate) fn was_heard(&self, daemon: DaemonId, life: Incarnation) -> bool {
        let member = self.members.iter().zip(&self.lives).find(|(member, _)| **member == daemon).map(|(_, life)| life);
        let was_member = member.is_some_and(|member| member.life == life);
        // Two hosts seem to run as this member, some time before the paths can prove it. Each may hear only some of the others.
        let takes_turns = member.is_some_and(|member| member.since == Since::OldLifeAgain);
        (was_member || self.recovering.contains(&(daemon, life))) && !takes_turns
    }

    /// Its token rested here when it broke.
    pub(crate) fn with_token(self) -> Owed {
        Owed { holds: true, ..self }
    }

    /// This daemon had handed over this packet, and has not seen it in the order.
    pub(crate) fn with_handed(self, data: Data) -> Owed {
        Owed { handed: Some(Handed::InDoubt(data)), ..self }
    }

    /// The debts of a daemon that was in no ring yet: none.
    pub(crate) fn nothing(ring: RingId) -> Owed {
        Owed::new(ring, Vec::new(), Window::default(), Delivery::default())
    }

    /// The entry of this daemon in the form token.
    pub(crate) fn brings(&self) -> Brings {
        Brings {
            ring: self.ring,
            aru: self.window.aru(),
            delivered: self.delivery.delivered,
            high: self.window.high(),
            trusted: self.trusted,
            holds: self.holds,
            apart: self.is_apart(),
        }
    }

    /// A packet arrived late. Before recovery it is as good as one that was in time. The exchange covers all packets that are
    /// here when recovery begins, even those that came after this daemon had filled in its entry.
    pub(crate) fn on_late_data(&mut self, core: &mut Core, data: Data) {
        if data.ring != self.ring || !self.members.contains(&data.origin) {
            core.stats.dropped.foreign += 1;
        } else if !self.insert(core.me(), data) {
            core.stats.duplicates += 1;
        }
    }

    /// Takes a packet of this ring, and says whether it is new. `me` is this daemon.
    pub(crate) fn insert(&mut self, me: DaemonId, data: Data) -> bool {
        if self.is_apart() {
            // When packets were promised, the others may have delivered exactly what they had then. This daemon must deliver the
            // same, so it takes no more packets.
            return false;
        }
        let handed = matches!(&self.handed, Some(Handed::InDoubt(handed)) if is_same(handed, &data));
        // All packets that this daemon made are here, so this is a copy or a forgery. Only a packet that it handed over can be
        // new.
        if data.origin == me && !handed {
            return false;
        }
        let is_new = self.window.insert(data) == Inserted::New;
        if is_new && handed {
            self.handed = None;
        }
        is_new
    }

    /// Whether a packet was handed over and it is not known whether it has a number.
    pub(crate) fn is_in_doubt(&self) -> bool {
        matches!(self.handed, Some(Handed::InDoubt(_)))
    }

    /// Whether this daemon has promised packets to peers and has not installed the ring for which it did. Then it cannot know
    /// whether the peers delivered them. So it delivers them, and goes on to the next ring alone.
    pub(crate) fn is_apart(&self) -> bool {
        !self.promised.is_empty()
    }

    /// The packet of this daemon that may have a number or not.
    pub(crate) fn claimed(&self) -> Option<&Data> {
        match &self.handed {
            Some(Handed::InDoubt(data)) => Some(data),
            Some(Handed::Void) | None => None,
        }
    }

    /// The packets that this daemon brings to an exchange without numbers.
    pub(crate) fn claims(&self) -> Claims {
        if self.is_apart() {
            return self.promised.clone();
        }
        self.claimed().map(|data| (data.claim(), data.clone())).into_iter().collect()
    }

    /// An exchange failed when others may have completed it. If they have this daemon's packet, they have promised it.
    pub(crate) fn expose(&mut self) {
        if !self.is_apart() {
            self.promised = self.claims();
        }
    }

    /// Nobody has delivered what was promised, and nobody will.
    pub(crate) fn release(&mut self) {
        self.promised.clear();
    }

    /// Whether what was handed over has no number and will get none.
    pub(crate) fn is_void(&self) -> bool {
        matches!(self.handed, Some(Handed::Void))
    }

    /// The exchange is complete. Keeps only the claims of packets that may have a number that nobody here knows.
    pub(crate) fn resolve(&mut self, claims: &mut Claims, shown: Shown) {
        if self.is_apart() {
            return;
        }
        // Packets get their numbers in the order of their claims. So if everything is here up to a packet with the same or a
        // higher claim, this packet has no number.
        claims.retain(|&claim, data| shown == Shown::NotAll && claim > self.window.claim() && !self.has(data));
        self.handed = match self.handed.take() {
            Some(Handed::InDoubt(data)) if !claims.contains_key(&data.claim()) => Some(Handed::Void),
            resolved => resolved,
        };
        self.promised.clone_from(claims);
    }

    /// Whether this packet that was claimed is here with a number.
    fn has(&self, claimed: &Data) -> bool {
        let numbers = claimed.seq.max(self.window.forgotten() + 1)..=self.window.high();
        numbers.filter_map(|seq| self.window.packet(seq)).any(|data| is_same(claimed, data))
    }

    /// The exchange among `peers` is complete; `inherited` is what they trusted before. From here on a peer may install the new
    /// ring and deliver packets behind a hole. So these origins stay trusted, with whichever daemons this one goes on.
    pub(crate) fn trust(&mut self, peers: &[DaemonId], inherited: u128) {
        // Harmless to those who did not share that exchange: its members had nothing on which the missing packet could depend.
        self.trusted |= inherited;
        for (place, member) in self.members.iter().enumerate() {
            if peers.contains(member) {
                // A bit is never cleared. What one exchange has promised holds in whatever ring comes next.
                self.trusted |= 1 << place;
            }
        }
    }

    /// Delivers all that is owed, with the transitional configuration at its place, which leads to the next ring. The exchange among
    /// the peers is complete.
    pub(crate) fn pay(mut self, payment: Payment, events: &mut VecDeque<RingEvent>) {
        let Payment { peers, line, claims, next } = payment;
        if self.members.is_empty() {
            return;
        }
        // The exchange put packets into the window without `delivery`, so `delivery` reads them here.
        self.delivery.read_window(&self.window);
        self.deliver_regular(line, events);
        let (kind, next) = (ConfigurationKind::Transitional, Some(next));
        events.push_back(RingEvent::Configuration(Configuration { kind, ring: self.ring, members: peers, next }));
        self.deliver_transitional(&claims, events);
    }

    fn deliver_regular(&mut self, line: u64, events: &mut VecDeque<RingEvent>) {
        while let Some(data) = self.window.packet(self.delivery.delivered + 1) {
            // Above the line no peer has delivered it, so nobody knows that all of the old ring had it. All peers know the
            // same line and hold the same packets, so all stop at the same place.
            if data.seq > line && data.service >= Some(Service::Safe) {
                break;
            }
            self.delivery.deliver(data, events);
        }
        self.delivery.overtake(&self.window, events);
    }

    fn deliver_transitional(&mut self, claims: &Claims, events: &mut VecDeque<RingEvent>) {
        while let Some(data) = self.window.packet(self.delivery.delivered + 1) {
            self.delivery.deliver(data, events);
        }
        self.delivery.overtake(&self.window, events);
        // From here on packets are missing for good. An origin that is no peer may have seen them before it sent.
        let numbers = self.delivery.delivered + 1..=self.window.high();
        let known = numbers.filter_map(|seq| self.window.packet(seq)).filter(|data| self.trusts(data.origin));
        // In the order of claims, not of numbers. So a packet that may have no number comes to the place that its number would
        // have.
        let all: BTreeMap<Claim, &Data> = claims.values().chain(known).map(|data| (data.claim(), data)).collect();
        all.into_values().for_each(|data| self.delivery.deliver_behind_hole(data, events));
    }

    fn trusts(&self, origin: DaemonId) -> bool {
        self.members.iter().position(|&member| member == origin).is_some_and(|place| self.trusted & (1 << place) != 0)
    }
}

/// How many of the packets with a number an exchange shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All numbers that were given are known.
    All,
    /// Some packet may have a number that no peer knows.
    NotAll,
}

/// The facts that are necessary to pay a ring that was left.
#[derive(Debug)]
pub(crate) struct Payment {
    /// The daemons that go on together with this one.
    pub(crate) peers: Vec<DaemonId>,
    /// How far a peer has delivered in order.
    pub(crate) line: u64,
    /// Packets of the peers that may have a number or not.
    pub(crate) claims: Claims,
    /// The ring in which they go on.
    pub(crate) next: RingId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::testing::{barrier_packet, message_packet};

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);
    const C: DaemonId = DaemonId(3);

    fn owed(packets: Vec<Data>) -> Owed {
        let mut window = Window::default();
        for data in packets {
            window.insert(data);
        }
        let ring = RingId { sequence: 1, representative: A };
        Owed::new(ring, vec![A, B, C], window, Delivery::default())
    }

    fn paid(mut owed: Owed, peers: &[DaemonId], line: u64) -> Vec<String> {
        owed.trust(peers, 0);
        let mut events = VecDeque::new();
        let next = RingId { sequence: 2, representative: A };
        owed.pay(Payment { peers: peers.to_vec(), line, claims: Claims::new(), next }, &mut events);
        let text = |event| match event {
            RingEvent::Message(message) => String::from_utf8(message.payload.contiguous().to_vec()).unwrap(),
            RingEvent::Configuration(configuration) => {
                format!("{:?} {}", configuration.kind, configuration.members.len())
            }
        };
        events.into_iter().map(text).collect()
    }

    #[test]
    fn a_safe_message_above_the_line_waits_for_the_transitional_configuration() {
        let packets = || {
            let services = [Service::Safe, Service::Agreed, Service::Safe, Service::Agreed];
            let data = |(n, service)| message_packet(n as u64 + 1, A, service, n as u64);
            services.into_iter().enumerate().map(data).collect()
        };
        assert_eq!(paid(owed(packets()), &[A, B], 1), ["0", "1", "Transitional 2", "2", "3"]);
        assert_eq!(paid(owed(packets()), &[A, B], 3), ["0", "1", "2", "3", "Transitional 2"]);
        assert_eq!(paid(owed(packets()), &[A, B], 0), ["Transitional 2", "0", "1", "2", "3"]);
    }

    #[test]
    fn behind_a_hole_only_trusted_origins_are_delivered() {
        let packets = vec![
            message_packet(1, C, Service::Agreed, 0),
            message_packet(3, C, Service::Agreed, 2),
            message_packet(4, B, Service::Agreed, 0),
        ];
        assert_eq!(paid(owed(packets), &[A, B], 0), ["0", "Transitional 2", "0"]);
    }

    #[test]
    fn what_may_go_ahead_is_delivered_behind_a_hole_before_the_transitional_configuration() {
        let fifo = |seq, digit| message_packet(seq, C, Service::Fifo, digit);
        let behind_barrier = Data { barrier_distance: 1, ..fifo(6, 3) };
        let packets = vec![
            message_packet(1, A, Service::Safe, 7),
            fifo(3, 0),
            message_packet(4, B, Service::Agreed, 8),
            fifo(5, 1),
            behind_barrier,
        ];
        assert_eq!(paid(owed(packets), &[A, B], 1), ["7", "0", "1", "Transitional 2", "8"]);
    }

    #[test]
    fn what_waits_for_a_barrier_goes_ahead_when_the_barrier_is_delivered_in_the_transitional_configuration() {
        let packets = || {
            let ahead = Data { barrier_distance: 3, ..message_packet(5, C, Service::Reliable, 0) };
            vec![message_packet(1, A, Service::Safe, 7), barrier_packet(2, B, 8), ahead]
        };
        assert_eq!(paid(owed(packets()), &[A, B], 0), ["Transitional 2", "7", "8", "0"]);
        assert_eq!(paid(owed(packets()), &[A, B], 2), ["7", "8", "0", "Transitional 2"]);
    }

    #[test]
    fn trust_is_kept_through_a_failed_recovery() {
        let mut owed = owed(vec![message_packet(2, C, Service::Agreed, 0)]);
        owed.trust(&[A, C], 0);
        assert_eq!(paid(owed, &[A], 0), ["Transitional 1", "0"]);
    }

    /// A packet of this origin without a number.
    fn claimed(seq: u64, origin: DaemonId, digit: u64) -> Data {
        Data { claim_distance: Data::NO_NUMBER, ..message_packet(seq, origin, Service::Safe, digit) }
    }

    #[test]
    fn claims_are_delivered_in_their_order_among_packets_with_numbers() {
        let mut owed = owed(vec![message_packet(1, A, Service::Agreed, 0), message_packet(4, B, Service::Agreed, 0)]);
        owed.trust(&[A, B, C], 0);
        let claims = [claimed(2, C, 0), claimed(2, A, 1), claimed(5, B, 1)].map(|data| (data.claim(), data));
        let mut events = VecDeque::new();
        let next = RingId { sequence: 2, representative: A };
        owed.pay(Payment { peers: vec![A, B, C], line: 0, claims: Claims::from(claims), next }, &mut events);
        let origins: Vec<u32> = events
            .iter()
            .filter_map(|event| match event {
                RingEvent::Message(message) => Some(message.origin.0),
                RingEvent::Configuration(_) => None,
            })
            .collect();
        assert_eq!(origins, [1, 1, 3, 2, 2]);
    }

    #[test]
    fn an_origin_has_one_claim() {
        let mut claims = Claims::new();
        (2..100).for_each(|number| add_claim(&mut claims, claimed(number, C, 0)));
        assert!(claims.into_values().eq([claimed(2, C, 0)]));
    }

    #[test]
    fn a_claim_is_void_where_a_higher_one_has_a_number_and_nothing_is_missing() {
        let (own, other) = (claimed(2, A, 0), claimed(3, C, 0));
        let packets = || vec![message_packet(1, A, Service::Agreed, 9), message_packet(2, B, Service::Agreed, 0)];
        let mut claims = Claims::from([&own, &other].map(|data| (data.claim(), data.clone())));
        let mut lost = owed(packets()).with_handed(own);
        lost.resolve(&mut claims, Shown::NotAll);
        assert!(lost.is_void() && lost.is_apart(), "it sends its own again, and has promised the other");
        assert!(claims.into_values().eq([other.clone()]));
        let mut shown = owed(packets()).with_handed(other.clone());
        shown.resolve(&mut Claims::from([(other.claim(), other)]), Shown::All);
        assert!(shown.is_void() && !shown.is_apart());
    }

    #[test]
    fn who_has_promised_takes_nothing_more_and_brings_it_to_every_exchange() {
        let theirs = claimed(2, C, 0);
        let mut owed = owed(vec![message_packet(1, A, Service::Agreed, 0)]);
        owed.resolve(&mut Claims::from([(theirs.claim(), theirs.clone())]), Shown::NotAll);
        assert!(owed.brings().apart && !owed.insert(A, message_packet(2, B, Service::Agreed, 0)));
        owed.resolve(&mut Claims::new(), Shown::All);
        assert!(owed.claims().into_values().eq([theirs]));
        // All of the ring are here again, so nobody has delivered it.
        owed.release();
        assert!(!owed.brings().apart && owed.insert(A, message_packet(2, B, Service::Agreed, 0)));
    }

    #[test]
    fn who_was_in_a_recovery_is_no_newcomer_when_that_breaks() {
        let (old, new) = (Incarnation(1), Incarnation(2));
        let mut owed = owed(vec![]).of_lives(vec![old, old, old]);
        let stranger = DaemonId(9);
        assert!(owed.was_heard(B, old) && !owed.was_heard(B, new) && !owed.was_heard(stranger, old));
        owed.recover_with([(A, old), (B, new), (stranger, old)].into_iter());
        assert!(owed.was_heard(B, new) && owed.was_heard(stranger, old) && !owed.was_heard(stranger, new));
        // The next agreement counts.
        owed.recover_with([(A, old)].into_iter());
        assert!(owed.was_heard(C, old) && !owed.was_heard(stranger, old));
    }

    #[test]
    fn a_member_of_which_two_lives_take_turns_was_not_heard_well() {
        let (old, new) = (Incarnation(1), Incarnation(2));
        let mut owed = owed(vec![]).of_lives(vec![old, old, old]);
        owed.hear(B, old);
        owed.hear(B, new);
        owed.recover_with([(A, old), (B, new)].into_iter());
        assert!(owed.was_heard(B, new), "it has restarted");
        owed.hear(B, old);
        assert!(!owed.was_heard(B, old) && !owed.was_heard(B, new) && owed.was_heard(C, old));
    }

    #[test]
    fn a_daemon_without_a_past_owes_nothing() {
        let ring = RingId { sequence: 0, representative: A };
        assert!(paid(Owed::nothing(ring), &[A], 0).is_empty());
    }
}
