//! Recovery: the new ring runs, but its packets carry only packets of the old rings, until all peers have the same (Totem SRP §7.2).
//!
//! Each member sends what it holds above the lowest aru of its peers, and leaves out what a peer has sent already. A visit of the token is
//! *calm* when nobody owes anything and everyone has everything. Whatever makes a visit not calm is undone only by the member that
//! caused it, at its next visit, so all others see it in between. Hence the members install the ring one after the other within one
//! rotation, and none sends a message before all have installed it.

use std::collections::BTreeSet;

use super::circulation::{Circulation, Received};
use super::core::Core;
use super::form::{PassedForm, after_agreement};
use super::operational::Operational;
use super::owed::{Claims, Owed, Payment, Shown, add_claim};
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use super::{Configuration, ConfigurationKind, RingEvent};
use crate::time::Instant;
use crate::wire::{Brings, Claim, DaemonId, Data, Form, Join, Packet, Token};

/// At this calm visit in a row all members have been calm, so the exchange is complete, and trust is extended (owed.rs).
const COMPLETE: u32 = 2;
/// At this one all members have extended their trust, so this daemon installs the ring.
const INSTALL: u32 = 3;

/// Exchanging what the old rings owe.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) owed: Owed,
    pub(crate) circulation: Circulation,
    /// Members of the new ring that come from the same old ring, this daemon included.
    peers: Vec<DaemonId>,
    /// How far a peer has delivered in order.
    line: u64,
    /// Trust that the peers bring.
    inherited: u128,
    /// How many of the numbered packets the exchange among the peers shows.
    shown: Shown,
    /// Packets of the peers that may have a number that nobody here knows.
    claims: Claims,
    /// Packets of the old ring that this daemon has to send.
    owing: BTreeSet<u64>,
    /// The claim of the packet that it had handed over, if it has to send that too.
    owing_claim: Option<Claim>,
    calm_visits: u32,
    /// In a ring of one, the token that came back from the last visit.
    returned: Option<Token>,
    /// The form token, until the first token shows that it went round.
    passed: Option<PassedForm>,
}

impl Recovery {
    /// Begins the exchange and lets the form token finish its second rotation.
    pub(crate) fn enter(core: &mut Core, now: Instant, mut owed: Owed, form: Form) -> Recovery {
        let circulation = Circulation::new(core, &form);
        let from = Origins::of(&owed, &form);
        owed.recover_with(form.members.iter().map(|member| (member.daemon, member.incarnation)));
        if from.all.len() == owed.members.len() {
            owed.release();
        }
        let me = core.me();
        let peers = || from.peers(me).iter().copied();
        // The peer with the lowest aru may lack anything above it, and nothing below.
        let low = peers().map(|(_, brings)| brings.aru).min().unwrap_or_default();
        let low = low.max(owed.window.forgotten());
        // A daemon that goes on alone shares nothing, so it does not change what the others deliver.
        let shares = !owed.is_apart();
        let held = (low + 1..=owed.window.high()).filter(|&seq| owed.window.packet(seq).is_some());
        let owing = if shares { held.collect() } else { BTreeSet::new() };
        // If all numbers are known, a packet without one is sent again in the new ring.
        let claimed = if shares && from.shown == Shown::NotAll { owed.claimed() } else { None };
        let owing_claim = claimed.map(Data::claim);
        core.timers.set(Timer::TokenLoss, now + core.config.token_timeout);
        Recovery {
            circulation,
            peers: peers().map(|(daemon, _)| daemon).collect(),
            // Some peer has delivered up to here, so all others must deliver it in the same configuration.
            line: peers().map(|(_, brings)| brings.delivered).max().unwrap_or_default(),
            inherited: peers().fold(0, |trust, (_, brings)| trust | brings.trusted),
            shown: from.shown,
            claims: owed.claims(),
            owing,
            owing_claim,
            calm_visits: 0,
            returned: None,
            passed: Some(PassedForm::pass(core, now, form)),
            owed,
        }
    }

    /// The representative lets the first token go when the form token has come back; alone there is nothing to wait for.
    pub(crate) fn is_alone(&self) -> bool {
        self.circulation.is_alone()
    }

    /// The form token came back to the representative, so all members are in recovery: here is the first token.
    pub(crate) fn start(&mut self, core: &mut Core, now: Instant) -> Option<Transition> {
        let token = self.circulation.first_token(core);
        self.on_token(core, now, token)
    }

    /// A part of a form token arrived: to the representative it is the form token coming back from its second rotation.
    pub(crate) fn on_form(&mut self, core: &mut Core, now: Instant, part: crate::wire::FormPart) -> Option<Transition> {
        let rotations = 2 * self.circulation.members.len() as u64;
        let ours = part.ring == self.circulation.ring && self.circulation.ring.representative == core.me();
        // `passed` is empty once the first token came, so a late copy cannot start a second one.
        if ours && part.hop == rotations && self.passed.is_some() { self.start(core, now) } else { None }
    }

    /// The token arrived. In a ring of one it comes back at once, so this is a loop.
    pub(crate) fn on_token(&mut self, core: &mut Core, now: Instant, token: Token) -> Option<Transition> {
        let mut token = Some(token);
        while let Some(mut visit) = token.take() {
            if !self.circulation.accept(core, now, &visit) {
                return None;
            }
            // The token shows that the form token went round, so that is not sent again.
            self.passed = None;
            self.circulation.serve(core, now, &mut visit);
            let numbered = self.send_owing(core, &mut visit);
            let calm_before = visit.owing_by.is_none() && visit.aru == visit.seq && numbered.is_empty();
            token = self.circulation.pass(core, now, visit, numbered);
            // Every member has kept in `owed` what these packets carried, so this ring needs them no more.
            self.circulation.window.forget(self.circulation.safe);
            // As the token came and as it went: a member that lowers aru at this visit is not calm.
            let calm = calm_before && self.circulation.has_all_passed();
            self.calm_visits = if calm { self.calm_visits + 1 } else { 0 };
            if self.calm_visits == COMPLETE {
                // This comes before anybody installs the ring. If this daemon does not install it after all, it still delivers
                // everything that others may deliver.
                self.owed.trust(&self.peers, self.inherited);
                self.owed.resolve(&mut self.claims, self.shown);
            }
            if self.calm_visits == INSTALL {
                self.returned = token;
                return Some(Transition::Operational);
            }
        }
        None
    }

    /// The new ring is given up. What the old one owes is still owed.
    pub(crate) fn give_up(mut self) -> Owed {
        // A member that was calm twice knows that all have been calm, and it promises packets. In that case this member was calm
        // at least once.
        if self.calm_visits > 0 && self.shown == Shown::NotAll {
            self.owed.expose();
        }
        self.owed
    }

    /// A data packet arrived.
    pub(crate) fn on_data(&mut self, core: &mut Core, data: Data) -> Option<Transition> {
        if data.ring == self.owed.ring {
            // Too late: the exchange has begun, and a packet that only this daemon holds would part it from its peers. If one
            // of them had it when recovery began, it is on its way.
            core.stats.dropped.late += 1;
            return None;
        }
        // Nobody may number a message of the new ring before all have installed it.
        if data.ring != self.circulation.ring || !data.recovered {
            core.stats.dropped.foreign += 1;
            return None;
        }
        if self.circulation.is_false_self(core, &data) {
            core.stats.dropped.contradictions += 1;
            return Some(Transition::gather(GatherReason::Contradiction));
        }
        match self.circulation.receive(core, data.clone()) {
            Received::New => self.keep(core, &data),
            Received::Nothing => {}
            Received::Contradiction => return Some(Transition::gather(GatherReason::Contradiction)),
        }
        None
    }

    /// A join arrived.
    pub(crate) fn on_join(&self, join: &Join) -> Option<Transition> {
        after_agreement(join, self.circulation.ring, self.circulation.life(join.origin)?)
    }

    /// A timer expired.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) -> Option<Transition> {
        match (timer, &self.passed) {
            (Timer::TokenLoss, _) => return Some(Transition::gather(GatherReason::TokenLostInRecovery)),
            (Timer::Progress, _) => return self.circulation.stuck(core, now),
            (Timer::TokenRetransmit, Some(form)) => form.again(core, now),
            (Timer::TokenRetransmit, None) => self.circulation.retransmit(core, now),
            _ => {}
        }
        None
    }

    /// Pays what is owed and installs the new ring, in one step.
    pub(crate) fn install(self, core: &mut Core, now: Instant) -> Operational {
        // Nobody gave the packet a number in the old ring, so its messages are sent again in this one, before all others.
        if self.owed.is_void() {
            core.sender.take_back();
        }
        // In one step with the new configuration: no input may come between the debts and the new ring.
        let Recovery { peers, line, claims, circulation, .. } = self;
        self.owed.pay(Payment { peers, line, claims, next: circulation.ring }, &mut core.events);
        let configuration = Configuration {
            kind: ConfigurationKind::Regular,
            ring: circulation.ring,
            members: circulation.members.clone(),
            next: None,
        };
        core.events.push_back(RingEvent::Configuration(configuration));
        core.forgive(now, &circulation.members);
        // Last, because the messages of a packet without a number were put back above.
        core.sender.restart();
        Operational::enter(core, now, circulation, self.returned)
    }

    fn send_owing(&mut self, core: &mut Core, token: &mut Token) -> Vec<Data> {
        let mut numbered = Vec::new();
        for _ in 0..self.circulation.allowance(core, token) {
            // From the lowest: a gap low in the order holds back the most.
            let old = match self.owing.pop_first() {
                Some(seq) => self.owed.window.packet(seq).cloned(),
                None => match self.owing_claim.take() {
                    // Not if a peer has shown meanwhile that it has a number.
                    Some(_) => self.owed.claimed().cloned(),
                    None => break,
                },
            };
            let Some(old) = old else { continue };
            let wrapped = wrap(core.me(), &self.circulation, &old);
            numbered.push(self.circulation.number(token, wrapped));
        }
        let owes = !self.owing.is_empty() || self.owing_claim.is_some();
        if owes {
            self.circulation.flow.count_backlog(token);
        }
        let me = core.me();
        match token.owing_by {
            // What was numbered now counts as owed until the next visit, so that all others see that this one is not calm.
            _ if owes || !numbered.is_empty() => token.owing_by = Some(me),
            // Only the member that wrote its name removes it, as with aru.
            Some(by) if by == me => token.owing_by = None,
            _ => {}
        }
        numbered
    }

    /// Keeps what a packet of recovery carries.
    fn keep(&mut self, core: &mut Core, recovered: &Data) {
        match Data::decode(&recovered.payload) {
            Ok(old) if old.ring != self.owed.ring || !self.owed.members.contains(&old.origin) => {}
            // A claim comes only from the origin of its packet, and the claim of a daemon that goes on alone does not count.
            Ok(old) if !old.is_numbered() => {
                if old.origin == recovered.origin && self.peers.contains(&old.origin) {
                    add_claim(&mut self.claims, old);
                }
            }
            Ok(old) => {
                // A peer has sent it to everybody. A second copy would only cost time.
                self.owing.remove(&old.seq);
                self.owed.insert(core.me(), old);
            }
            Err(error) => {
                tracing::debug!(%error, "a recovered packet is malformed");
                core.stats.dropped.malformed += 1;
            }
        }
    }
}

/// The members of a new ring that come from this daemon's old one.
struct Origins {
    /// All of them, except those that promised a packet in an exchange that failed. Each of these goes on alone, unless the whole old ring is
    /// here.
    together: Vec<(DaemonId, Brings)>,
    all: Vec<(DaemonId, Brings)>,
    /// How many of the numbered packets these members have together.
    shown: Shown,
}

impl Origins {
    fn of(owed: &Owed, form: &Form) -> Origins {
        let brings = form.members.iter().filter_map(|member| Some((member.daemon, member.brings?)));
        let all: Vec<_> = brings.filter(|(_, brings)| brings.ring == owed.ring).collect();
        // If all of the old ring come from it, none has installed the ring for which something was promised, or delivered that.
        let whole = all.len() == owed.members.len();
        let together: Vec<_> = all.iter().copied().filter(|(_, brings)| whole || !brings.apart).collect();
        // Each member keeps the packets that it has numbered, and the holder of the token has all. A daemon that goes on alone
        // shares nothing.
        let have_all = together.len() == owed.members.len() || together.iter().any(|(_, brings)| brings.holds);
        let shown = if have_all { Shown::All } else { Shown::NotAll };
        Origins { together, all, shown }
    }

    /// The daemons that go on together with this one, itself included.
    fn peers(&self, me: DaemonId) -> &[(DaemonId, Brings)] {
        let is_me = |entry: &&[(DaemonId, Brings)]| entry[0].0 == me;
        match self.together.iter().any(|(daemon, _)| *daemon == me) {
            true => &self.together,
            false => self.all.chunks(1).find(is_me).unwrap_or_default(),
        }
    }
}

fn wrap(me: DaemonId, circulation: &Circulation, old: &Data) -> Data {
    Data {
        ring: circulation.ring,
        seq: 0,
        origin: me,
        offset: 0,
        first_message: None,
        service: None,
        recovered: true,
        barrier_distance: Data::NO_BARRIER,
        claim_distance: Data::NO_NUMBER,
        // Whole, with its old header: the receiver puts it into the window of the old ring as if it had come in time.
        payload: Packet::Data(old.clone()).encode(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FormMember, Incarnation, RingId};

    const A: DaemonId = DaemonId(1);
    const B: DaemonId = DaemonId(2);
    const C: DaemonId = DaemonId(3);

    fn form(brings: impl IntoIterator<Item = (DaemonId, Brings)>) -> Form {
        let member = |(daemon, brings)| FormMember { daemon, incarnation: Incarnation(1), brings: Some(brings) };
        let ring = RingId { sequence: 9, representative: A };
        Form { ring, hop: 0, members: brings.into_iter().map(member).collect() }
    }

    #[test]
    fn who_promised_something_goes_alone_unless_the_whole_old_ring_is_here() {
        let ring = RingId { sequence: 4, representative: A };
        let owed = Owed::new(ring, vec![A, B, C], Default::default(), Default::default());
        let brings = |apart| Brings { apart, ..owed.brings() };
        let whole = Origins::of(&owed, &form([(A, brings(false)), (B, brings(true)), (C, brings(false))]));
        assert_eq!(whole.peers(B).len(), 3);
        assert_eq!(whole.peers(A).len(), 3);
        assert_eq!(whole.shown, Shown::All);
        // C has installed another ring, perhaps that for which something was promised.
        let gone = Brings { ring: RingId { sequence: 8, representative: A }, ..brings(false) };
        let parted = Origins::of(&owed, &form([(A, brings(false)), (B, brings(true)), (C, gone)]));
        assert_eq!(parted.peers(B), [(B, brings(true))]);
        assert_eq!(parted.peers(A), [(A, brings(false))]);
        assert_eq!(parted.shown, Shown::NotAll);
    }
}
