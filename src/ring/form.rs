//! Form: the membership is agreed, and the form token goes round it twice (Totem SRP §6.2, where it is the commit token). In the first
//! rotation each member fills in what it brings. In the second each learns what the others bring, and recovery begins.

use std::collections::BTreeMap;

use super::circulation::successor;
use super::core::Core;
use super::owed::Owed;
use super::timer::Timer;
use super::transition::{GatherReason, Transition};
use crate::time::Instant;
use crate::wire::{Brings, DaemonId, Form, FormMember, FormPart, Incarnation, Join, Packet, RingId};

/// How often the last join is repeated while the form token is on its way.
const REPEATS: u32 = 6;

/// Waiting for the form token to come back.
#[derive(Debug)]
pub(crate) struct Forming {
    pub(crate) owed: Owed,
    collector: Collector,
    passed: PassedForm,
    /// How often the last join was repeated since the agreement.
    repeats: u32,
}

/// The form token as it was passed on, for sending it again until somebody answers.
#[derive(Debug)]
pub(crate) struct PassedForm {
    form: Form,
    to: DaemonId,
}

impl Forming {
    /// Writes down what this daemon brings and passes the form token on, for the first time.
    pub(crate) fn enter(core: &mut Core, now: Instant, mut owed: Owed, mut form: Form) -> Forming {
        let me = core.me();
        for member in form.members.iter_mut().filter(|member| member.daemon == me) {
            member.brings = Some(owed.brings());
        }
        // An agreement shows lives too: this daemon may have heard no join of the other host.
        form.members.iter().for_each(|member| owed.hear(member.daemon, member.incarnation));
        core.learn_sequence(form.ring.sequence);
        // A daemon forms one ring of a sequence, so an older form token is stale from here on.
        core.formed = form.ring.sequence;
        core.timers.set(Timer::Consensus, now + core.config.consensus_timeout);
        core.timers.set(Timer::Join, now + core.config.join_interval);
        let passed = PassedForm::pass(core, now, form);
        Forming { owed, collector: Collector::default(), passed, repeats: 0 }
    }

    /// The ring being formed, if this daemon is alone in it and there is nobody to pass the form token to.
    pub(crate) fn alone(&self) -> Option<Transition> {
        (self.passed.form.members.len() == 1).then(|| Transition::Recovery(self.passed.form.clone()))
    }

    /// The members of the ring being formed.
    pub(crate) fn members(&self) -> impl Iterator<Item = DaemonId> + '_ {
        self.passed.form.members.iter().map(|member| member.daemon)
    }

    /// They, and the life of each.
    pub(crate) fn lives(&self) -> impl Iterator<Item = (DaemonId, Incarnation)> + '_ {
        self.passed.form.members.iter().map(|member| (member.daemon, member.incarnation))
    }

    /// A part of a form token arrived.
    pub(crate) fn on_form(&mut self, core: &mut Core, now: Instant, part: FormPart) -> Option<Transition> {
        let form = self.collector.add(part)?;
        let ours = &self.passed.form;
        let life = |member: &FormMember| (member.daemon, member.incarnation);
        let same_members = form.members.iter().map(life).eq(ours.members.iter().map(life));
        // The second rotation of this form token, or the first one of a later attempt with the same members.
        let (next, again) = (form.ring == ours.ring && form.hop > ours.hop, form.ring.sequence > ours.ring.sequence);
        match same_members && (next || again) {
            true if next && self.is_possible_next(&form) => return Some(Transition::Recovery(form)),
            true if again && is_possible_at_first(core, now, &form) => return Some(Transition::Form(form)),
            true => {
                core.stats.dropped.impossible_form += 1;
                // The true one may still come.
                self.collector = Collector::default();
            }
            false => core.stats.dropped.stale_form += 1,
        }
        None
    }

    /// Whether this can be our form token on its second rotation: all entries are filled in, and those of the first rotation have not
    /// changed. A peer may lack packets that this daemon was made to forget by a forged token. Those are lost, and the ring goes on:
    /// if it waited for them, it would form for ever.
    fn is_possible_next(&self, form: &Form) -> bool {
        let ours = &self.passed.form;
        let mut entries = form.members.iter().zip(&ours.members);
        form.hop + 1 == ours.hop + ours.members.len() as u64
            && entries.all(|(new, old)| new.brings.is_some() && (old.brings.is_none() || new.brings == old.brings))
            && brings(form).all(is_sound)
    }

    /// A join arrived. A join from before the agreement is stale; a later one of a member means that it has given up.
    pub(crate) fn on_join(&self, core: &Core, join: &Join) -> Option<Transition> {
        let form = &self.passed.form;
        let life = form.members.iter().find(|member| member.daemon == join.origin).map(|member| member.incarnation)?;
        // The sets of a member only grow. So it will not accept this form token if it excludes a member, or knows of one more daemon.
        let excludes = form.members.iter().any(|member| join.failed.contains(&member.daemon));
        let knows_more = core.said.as_ref().is_some_and(|said| !join.present.is_subset(&said.present));
        if join.incarnation == life && (excludes || knows_more) {
            return Some(Transition::gather_with(GatherReason::JoinReceived, [join.origin]));
        }
        after_agreement(join, form.ring, life)
    }

    /// A timer expired.
    pub(crate) fn on_timer(&mut self, core: &mut Core, now: Instant, timer: Timer) -> Option<Transition> {
        match timer {
            Timer::TokenRetransmit => self.passed.again(core, now),
            // With all members: to those who wait for the form token in their gather, this daemon goes on agreeing.
            Timer::Consensus => return Some(Transition::gather_with(GatherReason::FormTimeout, self.members())),
            // The form token may be lost at a third daemon. A member that waits for it and has missed our join must not take us
            // for silent.
            Timer::Join => self.say_again(core, now),
            _ => {}
        }
        None
    }

    fn say_again(&mut self, core: &mut Core, now: Instant) {
        // Only for a short time: a daemon that gathers again must not take the old join for a new one.
        if self.repeats < REPEATS
            && let Some(said) = core.said.clone()
        {
            self.repeats += 1;
            core.transmit_again(None, Packet::Join(said));
            core.timers.set(Timer::Join, now + core.config.join_interval);
        }
    }
}

/// Whether this can be a form token on its first rotation, on its way from the representative to this daemon: exactly the members before
/// this one have filled in their entries.
pub(crate) fn is_possible_at_first(core: &Core, now: Instant, form: &Form) -> bool {
    let members: Vec<DaemonId> = form.members.iter().map(|member| member.daemon).collect();
    let place = |daemon| members.iter().position(|&member| member == daemon);
    let (Some(first), Some(me)) = (place(form.ring.representative), place(core.me())) else { return false };
    let distance = |place: usize| (place + members.len() - first) % members.len();
    let filled = |(place, member): (usize, &FormMember)| member.brings.is_some() == (distance(place) < distance(me));
    let mut once = members.clone();
    once.dedup();
    form.hop == distance(me) as u64
        && form.hop > 0
        && once == core.in_ring_order(members.clone())
        && members.iter().min() == Some(&form.ring.representative)
        && form.members[me].incarnation == core.config.incarnation
        && form.members.iter().enumerate().all(filled)
        && brings(form).all(is_sound)
        && core.is_possible_sequence(now, form.ring.sequence)
}

fn brings(form: &Form) -> impl Iterator<Item = &Brings> {
    form.members.iter().filter_map(|member| member.brings.as_ref())
}

fn is_sound(brings: &Brings) -> bool {
    brings.delivered <= brings.aru && brings.aru <= brings.high
}

/// The meaning of a join of a member in this life after the agreement on `ring`.
pub(crate) fn after_agreement(join: &Join, ring: RingId, life: crate::wire::Incarnation) -> Option<Transition> {
    if join.leaving {
        let goes = join.incarnation == life;
        return goes.then(|| Transition::gather_without(GatherReason::MemberLeaving, [join.origin]));
    }
    // A new life is never stale: the member that was agreed on is gone.
    let stale = join.incarnation == life && join.sequence < ring.sequence;
    (!stale).then(|| Transition::gather_with(GatherReason::JoinReceived, [join.origin]))
}

impl PassedForm {
    /// Passes the form token on.
    pub(crate) fn pass(core: &mut Core, now: Instant, mut form: Form) -> PassedForm {
        form.hop += 1;
        let members: Vec<DaemonId> = form.members.iter().map(|member| member.daemon).collect();
        let passed = PassedForm { form, to: successor(&members, core.me()) };
        if members.len() > 1 {
            passed.form.parts().for_each(|part| core.transmit(Some(passed.to), Packet::Form(part)));
            passed.await_answer(core, now);
        }
        passed
    }

    /// Sends it again.
    pub(crate) fn again(&self, core: &mut Core, now: Instant) {
        self.form.parts().for_each(|part| core.transmit_again(Some(self.to), Packet::Form(part)));
        self.await_answer(core, now);
    }

    fn await_answer(&self, core: &mut Core, now: Instant) {
        // Every member waits for this token, and its loss is likely while networks fail, so it is retransmitted early.
        core.timers.set(Timer::TokenRetransmit, now + core.config.token_retransmit / 4);
    }
}

/// Puts the parts of form tokens together. Copies and older hops are dropped, so each token comes out once, however many
/// networks bring it (scenario S27).
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// Ring, hop and size of the token being collected.
    wanted: Option<(RingId, u64, u16)>,
    parts: BTreeMap<u16, FormPart>,
    done: bool,
}

impl Collector {
    /// Adds a part; the token if it is whole now.
    pub(crate) fn add(&mut self, part: FormPart) -> Option<Form> {
        let this = (part.ring, part.hop, part.total);
        if self.wanted.is_none_or(|wanted| (wanted.0, wanted.1) < (part.ring, part.hop)) {
            // A newer token replaces an unfinished one, so forged parts take memory for one token at most.
            *self = Collector { wanted: Some(this), ..Collector::default() };
        }
        if self.wanted != Some(this) || self.done {
            return None;
        }
        self.parts.insert(part.first, part);
        let have: usize = self.parts.values().map(|part| part.entries.len()).sum();
        if have < usize::from(this.2) {
            return None;
        }
        self.done = true;
        let members = std::mem::take(&mut self.parts).into_values().flat_map(|part| part.entries).collect();
        Some(Form { ring: this.0, hop: this.1, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FormMember, Incarnation};

    fn form(hop: u64, members: u32) -> Form {
        let member = |n| FormMember { daemon: DaemonId(n), incarnation: Incarnation(1), brings: None };
        Form {
            ring: RingId { sequence: 5, representative: DaemonId(1) },
            hop,
            members: (1..=members).map(member).collect(),
        }
    }

    #[test]
    fn a_form_token_comes_out_once_whatever_the_copies() {
        let form = form(3, 40);
        let parts: Vec<FormPart> = form.parts().collect();
        let mut collector = Collector::default();
        let order = [2, 0, 0, 2, 1, 1, 0, 2];
        let mut whole: Vec<Form> = order.iter().filter_map(|&n| collector.add(parts[n].clone())).collect();
        assert_eq!(whole.pop(), Some(form));
        assert!(whole.is_empty());
    }

    #[test]
    fn an_older_hop_does_not_disturb_a_newer_one() {
        let (old, new) = (form(1, 20), form(2, 20));
        let mut collector = Collector::default();
        let parts = [new.parts().next(), old.parts().next(), old.parts().nth(1), new.parts().nth(1)];
        let whole: Vec<Form> = parts.into_iter().flatten().filter_map(|part| collector.add(part)).collect();
        assert_eq!(whole, [new]);
    }
}
