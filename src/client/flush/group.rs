//! One group at one member, without I/O: from the daemon's memberships to views that all members enter together.
//!
//! ```text
//!              membership               FL_flush                all flush oks             all flush received
//! Steady ───────────────────► Authorize ────────► Agree ──────────────────────► Verify ──────────────────────► Steady
//!                                 ▲                 ▲   └──► Authorize if another membership waits already
//! Verify ── membership ───────────┘        joining ─┘
//! ```
//!
//! A member sends nothing between its flush ok and the next view. So every message belongs to one view, which is the
//! same at all members that stay together. A message without causal order may reach a member that has not entered the
//! sender's view yet. So such messages carry the id of the view until all members have said flush received, and a
//! member holds them until it enters that view.

use std::collections::{BTreeSet, VecDeque};
use std::mem;

use tracing::debug;

use super::FlushError;
use super::format::{Control, FLUSH_REQ, encode_view};
use super::pending::{EarlyOks, Membership, PENDING_LIMIT, Pending};
use crate::client::Message;
use crate::wire::{Cause, FrameType, GroupId, Name};

/// Most bytes of messages that are held for a view that is being agreed upon.
pub const HELD_LIMIT: usize = 64 << 20;

/// A result of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The program gets this.
    Deliver(Message),
    /// The group gets this.
    Send(Control),
    /// A limit is reached. The group cannot keep both the limit and its promises, so the connection must end.
    GiveUp(&'static str),
}

/// A group at one of its members.
#[derive(Clone, Debug)]
pub struct Group {
    name: Name,
    me: Name,
    view: View,
    leaving: bool,
    early: EarlyOks,
    phase: GroupPhase,
    outputs: VecDeque<Output>,
}

/// The facts that the members share until the next view.
#[derive(Clone, Debug)]
struct View {
    /// None while joining.
    id: Option<GroupId>,
    members: Vec<Name>,
    /// Whether the program knows that a member was lost.
    transitional: bool,
}

/// Where a group is between two views. A phase that waits for flush received knows the members that have not said it.
#[derive(Clone, Debug)]
enum GroupPhase {
    /// All members are in the view.
    Steady,
    /// The program is asked for its flush.
    Authorize { missing: BTreeSet<Name>, pending: Pending },
    /// Flush oks are coming in; messages for the view to come are held.
    Agree { pending: Pending, held: Held },
    /// The view is entered, but maybe not yet by all.
    Verify { missing: BTreeSet<Name> },
}

/// Messages for the view to come.
#[derive(Clone, Debug, Default)]
struct Held {
    messages: Vec<Message>,
    bytes: usize,
}

impl Group {
    /// The group that this member has just joined, which is its own view until the first one of all.
    pub fn join(name: Name, me: Name, mut first: Membership) -> Group {
        first.together = BTreeSet::from([me]);
        let view = View { id: None, members: vec![me], transitional: false };
        let ok = Output::Send(Control::FlushOk(first.id));
        let phase = GroupPhase::Agree { pending: Pending::new(first), held: Held::default() };
        let (early, outputs) = (EarlyOks::default(), VecDeque::from([ok]));
        Group { name, me, view, leaving: false, early, phase, outputs }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the program may send: not before the first view nor after its flush or leave. The view that an unordered
    /// message must name, if there is one.
    pub fn check_send(&self) -> Result<Option<GroupId>, FlushError> {
        match &self.phase {
            _ if !self.is_member() => Err(FlushError::IllegalGroup),
            GroupPhase::Agree { .. } => Err(FlushError::IllegalState),
            GroupPhase::Authorize { missing, .. } | GroupPhase::Verify { missing } if !missing.is_empty() => {
                Ok(self.view.id)
            }
            _ => Ok(None),
        }
    }

    /// Whether this is a member of the view.
    pub fn has(&self, member: Name) -> bool {
        self.view.members.contains(&member)
    }

    /// The program allows the next view.
    pub fn flush(&mut self) -> Result<(), FlushError> {
        if !self.is_member() {
            return Err(FlushError::IllegalGroup);
        }
        match mem::replace(&mut self.phase, GroupPhase::Steady) {
            GroupPhase::Authorize { pending, .. } => {
                self.agree(pending);
                Ok(())
            }
            other => {
                self.phase = other;
                Err(FlushError::IllegalState)
            }
        }
    }

    /// The program leaves.
    pub fn leave(&mut self) -> Result<(), FlushError> {
        if !self.is_member() {
            return Err(FlushError::IllegalGroup);
        }
        self.leaving = true;
        Ok(())
    }

    /// The daemon announces a membership.
    pub fn handle_membership(&mut self, mut membership: Membership) {
        membership.oks.extend(self.early.claim(membership.id));
        let lost = self.view.members.iter().any(|member| !membership.together.contains(member));
        match mem::replace(&mut self.phase, GroupPhase::Steady) {
            GroupPhase::Steady => self.authorize(BTreeSet::new(), Pending::new(membership)),
            GroupPhase::Verify { missing } => self.authorize(missing, Pending::new(membership)),
            GroupPhase::Authorize { missing, mut pending } => {
                pending.push(membership);
                self.limit(&pending);
                self.phase = GroupPhase::Authorize { missing, pending };
            }
            GroupPhase::Agree { mut pending, held } => {
                let agreeing = pending.first().id;
                pending.push(membership);
                self.limit(&pending);
                if pending.first().id == agreeing {
                    self.phase = GroupPhase::Agree { pending, held };
                } else {
                    self.agree(pending);
                }
            }
        }
        if lost {
            self.handle_transition();
        }
        self.enter_if_agreed();
    }

    /// The daemon announces that members are being lost, or a membership shows it.
    pub fn handle_transition(&mut self) {
        if self.view.id.is_some() && !mem::replace(&mut self.view.transitional, true) {
            self.deliver_bare(FrameType::TRANSITION);
        }
    }

    /// A present, former or future member says something about a membership.
    pub fn handle_control(&mut self, sender: Name, control: Control) {
        match control {
            Control::FlushOk(id) => {
                match self.pending().and_then(|pending| pending.find(id)) {
                    Some(membership) => _ = membership.oks.insert(sender),
                    None => self.early.keep(id, sender),
                }
                self.enter_if_agreed();
            }
            Control::FlushReceived(id) if self.view.id == Some(id) => self.verify(sender),
            Control::FlushReceived(id) => match self.pending().and_then(|pending| pending.find(id)) {
                Some(membership) => _ = membership.received.insert(sender),
                None => debug!(group = %self.name, %sender, "ignored a flush received for a view that has ended"),
            },
        }
    }

    /// A message to the group; a vulnerable one belongs to this view.
    pub fn handle_data(&mut self, message: Message, view: Option<GroupId>) {
        let is_of_this_view = view.is_none_or(|view| self.view.id == Some(view));
        match (&mut self.phase, view) {
            _ if is_of_this_view && self.view.members.contains(&message.sender) => {
                self.outputs.push_back(Output::Deliver(message));
            }
            (GroupPhase::Agree { pending, held }, Some(view)) if view == pending.first().id => {
                held.bytes += message.body.len();
                held.messages.push(message);
                if held.bytes > HELD_LIMIT {
                    self.outputs.push_back(Output::GiveUp("too much is held for a view that does not come"));
                }
            }
            _ => debug!(group = %self.name, sender = %message.sender, "message of another view dropped"),
        }
    }

    fn is_member(&self) -> bool {
        self.view.id.is_some() && !self.leaving
    }

    fn pending(&mut self) -> Option<&mut Pending> {
        match &mut self.phase {
            GroupPhase::Authorize { pending, .. } | GroupPhase::Agree { pending, .. } => Some(pending),
            GroupPhase::Steady | GroupPhase::Verify { .. } => None,
        }
    }

    /// Asks the program for its flush.
    fn authorize(&mut self, missing: BTreeSet<Name>, pending: Pending) {
        self.phase = GroupPhase::Authorize { missing, pending };
        // A member that is leaving cannot flush any more.
        if !self.leaving {
            self.deliver_bare(FLUSH_REQ);
        }
    }

    /// Agrees to enter the first membership that waits.
    fn agree(&mut self, pending: Pending) {
        self.outputs.push_back(Output::Send(Control::FlushOk(pending.first().id)));
        self.phase = GroupPhase::Agree { pending, held: Held::default() };
    }

    fn enter_if_agreed(&mut self) {
        match mem::replace(&mut self.phase, GroupPhase::Steady) {
            GroupPhase::Agree { pending, held } if pending.first().is_agreed() => {
                let (membership, rest) = pending.split();
                self.enter(membership, held, rest);
            }
            other => self.phase = other,
        }
    }

    /// Enters a view: tells the program, hands out the messages that were held for the view, and continues with the
    /// next membership if one waits.
    fn enter(&mut self, membership: Membership, held: Held, rest: Option<Pending>) {
        let view = self.view_message(&membership);
        self.outputs.push_back(Output::Deliver(view));
        let Membership { id, members, received, .. } = membership;
        let missing: BTreeSet<_> = members.iter().copied().filter(|member| !received.contains(member)).collect();
        self.view = View { id: Some(id), members, transitional: false };
        let held = held.messages.into_iter().filter(|message| self.view.members.contains(&message.sender));
        self.outputs.extend(held.map(Output::Deliver));
        let Some(rest) = rest else {
            self.outputs.push_back(Output::Send(Control::FlushReceived(id)));
            self.phase = GroupPhase::Verify { missing };
            return;
        };
        let lost = rest.iter().any(|next| self.view.members.iter().any(|member| !next.together.contains(member)));
        self.authorize(missing, rest);
        if lost {
            self.handle_transition();
        }
    }

    /// The membership message of a new view for the program.
    fn view_message(&self, membership: &Membership) -> Message {
        let came_along = |member: &&Name| membership.together.contains(*member);
        let names = match membership.changed {
            Some(changed) if membership.cause != Cause::Network => vec![changed],
            _ => self.view.members.iter().filter(came_along).copied().collect(),
        };
        let place = membership.members.iter().position(|&member| member == self.me);
        Message {
            kind: FrameType::REG_MEMB | membership.cause.into(),
            sender: self.name,
            groups: membership.members.clone(),
            mess_type: place.and_then(|place| i16::try_from(place).ok()).unwrap_or(-1),
            foreign_order: false,
            body: encode_view(membership.id, &names),
        }
    }

    fn verify(&mut self, sender: Name) {
        match &mut self.phase {
            GroupPhase::Verify { missing } => {
                missing.remove(&sender);
                if missing.is_empty() {
                    self.phase = GroupPhase::Steady;
                }
            }
            GroupPhase::Authorize { missing, .. } => _ = missing.remove(&sender),
            GroupPhase::Steady | GroupPhase::Agree { .. } => {}
        }
    }

    fn limit(&mut self, pending: &Pending) {
        if pending.len() > PENDING_LIMIT {
            self.outputs.push_back(Output::GiveUp("the program does not flush"));
        }
    }

    /// Gives the program a message that consists only of its type.
    fn deliver_bare(&mut self, kind: FrameType) {
        self.outputs.push_back(Output::Deliver(bare(kind, self.name, 0)));
    }
}

/// A message with nothing but a type.
pub fn bare(kind: FrameType, sender: Name, mess_type: i16) -> Message {
    Message { kind, sender, groups: Vec::new(), mess_type, foreign_order: false, body: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::super::pending::PENDING_LIMIT;
    use super::*;
    use crate::client;

    fn name(letter: char) -> Name {
        Name::new(format!("#{letter}#d").as_bytes()).unwrap()
    }

    fn letters(names: &[Name]) -> String {
        names.iter().map(|name| name.as_bytes()[1] as char).collect()
    }

    fn id(number: u32) -> GroupId {
        GroupId([0, 0, number])
    }

    fn membership(number: u32, cause: Cause, members: &str, set: &str) -> Membership {
        let (group, names) = (Name::new(b"g").unwrap(), |letters: &str| letters.chars().map(name).collect());
        let vs_sets = vec![names(set)];
        Membership::new(client::View { group, cause, members: names(members), id: id(number), vs_sets, own: 0 })
    }

    /// A group at member a, driven by a script and telling what it does.
    struct Script(Group);

    impl Script {
        /// Member a joins as the last of these.
        fn joining(members: &str) -> Script {
            let group = Name::new(b"g").unwrap();
            Script(Group::join(group, name('a'), membership(1, Cause::Join, members, "a")))
        }

        /// Member a is in view 1 with these, and so are all.
        fn steady(members: &str) -> Script {
            let mut script = Script::joining(members);
            members.chars().for_each(|member| script.0.handle_control(name(member), Control::FlushOk(id(1))));
            members.chars().for_each(|member| script.0.handle_control(name(member), Control::FlushReceived(id(1))));
            assert_eq!(script.0.check_send(), Ok(None));
            script.told();
            script
        }

        fn ok(&mut self, senders: &str, number: u32) -> String {
            senders.chars().for_each(|sender| self.0.handle_control(name(sender), Control::FlushOk(id(number))));
            self.told()
        }

        fn received(&mut self, senders: &str, number: u32) -> String {
            senders.chars().for_each(|sender| self.0.handle_control(name(sender), Control::FlushReceived(id(number))));
            self.told()
        }

        fn announce(&mut self, number: u32, cause: Cause, members: &str, set: &str) -> String {
            self.0.handle_membership(membership(number, cause, members, set));
            self.told()
        }

        fn data(&mut self, sender: char, view: Option<u32>) -> String {
            self.0.handle_data(bare(FrameType::FIFO, name(sender), 5), view.map(id));
            self.told()
        }

        fn flush(&mut self) -> String {
            self.0.flush().unwrap();
            self.told()
        }

        fn told(&mut self) -> String {
            let outputs = std::iter::from_fn(|| self.0.poll_output());
            outputs.map(|output| describe(&output)).collect::<Vec<_>>().join(", ")
        }
    }

    fn describe(output: &Output) -> String {
        match output {
            Output::Send(Control::FlushOk(id)) => format!("say ok {}", id.0[2]),
            Output::Send(Control::FlushReceived(id)) => format!("say received {}", id.0[2]),
            Output::GiveUp(reason) => (*reason).to_owned(),
            Output::Deliver(message) if message.kind == FLUSH_REQ => "flush?".to_owned(),
            Output::Deliver(message) if message.kind == FrameType::TRANSITION => "transition".to_owned(),
            Output::Deliver(message) if message.kind.contains(FrameType::REG_MEMB) => {
                let number = u32::from_ne_bytes(message.body[8..12].try_into().unwrap());
                let names: Vec<_> = crate::wire::decode_names(&message.body[16..]).collect();
                let cause = message.kind.masked(FrameType::MEMBERSHIP).0 - FrameType::REG_MEMB.0;
                let cause = ["join", "leave", "disconnect", "network"][cause.ilog2() as usize - 8];
                format!(
                    "view {number} {} {cause} {} at {}",
                    letters(&message.groups),
                    letters(&names),
                    message.mess_type
                )
            }
            Output::Deliver(message) => format!("from {}", letters(&[message.sender])),
        }
    }

    #[test]
    fn joining_agrees_without_asking_and_enters_with_all_oks() {
        let mut script = Script::joining("ba");
        assert_eq!(script.told(), "say ok 1");
        assert_eq!(script.0.check_send(), Err(FlushError::IllegalGroup));
        assert_eq!(
            (script.0.flush(), script.0.leave()),
            (Err(FlushError::IllegalGroup), Err(FlushError::IllegalGroup))
        );
        assert_eq!(script.data('b', None), "");
        assert_eq!(script.ok("a", 1), "");
        assert_eq!(script.ok("b", 1), "view 1 ba join a at 1, say received 1");
        assert_eq!(script.0.check_send(), Ok(Some(id(1))));
        assert_eq!(script.0.flush(), Err(FlushError::IllegalState));
        assert_eq!(script.received("b", 1), "");
        assert_eq!(script.0.check_send(), Ok(Some(id(1))));
        assert_eq!(script.received("a", 1), "");
        assert_eq!(script.0.check_send(), Ok(None));
    }

    #[test]
    fn a_membership_asks_for_the_flush_and_the_view_comes_when_all_have_flushed() {
        let mut script = Script::steady("ab");
        assert_eq!(script.announce(2, Cause::Join, "abc", "c"), "flush?");
        assert_eq!(script.0.check_send(), Ok(None));
        assert_eq!(script.data('b', None), "from b");
        assert_eq!(script.ok("bc", 2), "");
        assert_eq!(script.flush(), "say ok 2");
        assert_eq!(script.0.check_send(), Err(FlushError::IllegalState));
        assert_eq!(script.0.flush(), Err(FlushError::IllegalState));
        assert_eq!(script.data('b', None), "from b");
        assert_eq!(script.data('c', None), "");
        assert_eq!(script.ok("a", 2), "view 2 abc join c at 0, say received 2");
        assert_eq!(script.data('c', None), "from c");
    }

    #[test]
    fn a_loss_is_told_once_in_each_view() {
        let mut script = Script::steady("abc");
        assert_eq!(script.announce(2, Cause::Leave, "ab", "c"), "flush?, transition");
        assert_eq!(script.announce(3, Cause::Disconnect, "a", "b"), "");
        assert_eq!(script.flush(), "say ok 3");
        assert_eq!(script.ok("a", 3), "view 3 a network a at 0, say received 3");
        script.0.handle_transition();
        assert_eq!(script.told(), "transition");
    }

    #[test]
    fn the_daemons_transition_is_told_before_what_follows_it() {
        let mut script = Script::steady("abc");
        script.0.handle_transition();
        assert_eq!(script.told(), "transition");
        assert_eq!(script.data('c', None), "from c");
        assert_eq!(script.announce(2, Cause::Network, "ab", "ab"), "flush?");
        assert_eq!(
            (script.flush().as_str(), script.ok("ab", 2).as_str()),
            ("say ok 2", "view 2 ab network ab at 0, say received 2")
        );
    }

    #[test]
    fn the_oldest_membership_comes_first_and_each_is_flushed_for() {
        let mut script = Script::steady("ab");
        assert_eq!(script.announce(2, Cause::Join, "abc", "c"), "flush?");
        assert_eq!(script.announce(3, Cause::Join, "abcd", "d"), "");
        assert_eq!(script.ok("bcd", 2), "");
        assert_eq!(script.flush(), "say ok 2");
        assert_eq!(script.ok("d", 3), "");
        assert_eq!(script.ok("a", 2), "view 2 abc join c at 0, flush?");
        assert_eq!(script.0.check_send(), Ok(Some(id(2))));
        assert_eq!(script.flush(), "say ok 3");
        assert_eq!(script.ok("abc", 3), "view 3 abcd join d at 0, say received 3");
    }

    #[test]
    fn a_view_of_lost_members_is_entered_if_they_had_flushed() {
        let mut script = Script::steady("ab");
        script.announce(2, Cause::Join, "abc", "c");
        script.ok("bc", 2);
        assert_eq!(script.announce(3, Cause::Disconnect, "ab", "c"), "");
        assert_eq!(script.flush(), "say ok 2");
        assert_eq!(script.ok("a", 2), "view 2 abc join c at 0, flush?, transition");
        script.flush();
        assert_eq!(script.ok("ab", 3), "view 3 ab disconnect c at 0, say received 3");
    }

    #[test]
    fn a_hopeless_membership_is_dropped_and_its_successor_agreed_at_once() {
        let mut script = Script::steady("ab");
        script.announce(2, Cause::Join, "abc", "c");
        assert_eq!(script.flush(), "say ok 2");
        assert_eq!(script.announce(3, Cause::Disconnect, "ab", "c"), "say ok 3");
        assert_eq!(script.ok("ab", 2), "");
        assert_eq!(script.ok("ab", 3), "view 3 ab network ab at 0, say received 3");
    }

    #[test]
    fn who_joins_into_a_hopeless_membership_enters_the_next() {
        let mut script = Script::joining("ba");
        assert_eq!(script.told(), "say ok 1");
        assert_eq!(script.announce(2, Cause::Disconnect, "a", "b"), "say ok 2");
        assert_eq!(script.ok("a", 2), "view 2 a network a at 0, say received 2");
    }

    #[test]
    fn after_a_merge_the_view_names_who_came_along() {
        let mut script = Script::steady("abc");
        assert_eq!(script.announce(2, Cause::Network, "abcd", "ab"), "flush?, transition");
        script.flush();
        assert_eq!(script.ok("abcd", 2), "view 2 abcd network ab at 0, say received 2");
    }

    #[test]
    fn oks_and_receipts_may_come_before_their_turn() {
        let mut script = Script::steady("ab");
        assert_eq!(script.ok("b", 2), "");
        assert_eq!(script.announce(2, Cause::Join, "abc", "c"), "flush?");
        script.flush();
        assert_eq!(script.received("b", 2), "");
        assert_eq!(script.ok("ac", 2), "view 2 abc join c at 0, say received 2");
        assert_eq!(script.received("ac", 2), "");
        assert_eq!(script.0.check_send(), Ok(None));
        assert_eq!(script.received("b", 9), "");
    }

    #[test]
    fn vulnerable_messages_wait_for_their_view() {
        let mut script = Script::steady("ab");
        script.announce(2, Cause::Join, "abc", "c");
        script.ok("bc", 2);
        script.flush();
        assert_eq!(script.data('c', Some(2)), "");
        assert_eq!(script.data('b', Some(2)), "");
        assert_eq!(script.data('b', Some(1)), "from b");
        assert_eq!(script.data('x', Some(2)), "");
        assert_eq!(script.ok("a", 2), "view 2 abc join c at 0, from c, from b, say received 2");
        assert_eq!((script.data('b', Some(1)).as_str(), script.data('c', Some(2)).as_str()), ("", "from c"));
    }

    #[test]
    fn what_is_held_goes_with_a_dropped_membership() {
        let mut script = Script::steady("ab");
        script.announce(2, Cause::Join, "abc", "c");
        script.flush();
        assert_eq!(script.data('b', Some(2)), "");
        assert_eq!(script.announce(3, Cause::Disconnect, "ab", "c"), "say ok 3");
        assert_eq!(script.ok("ab", 3), "view 3 ab network ab at 0, say received 3");
    }

    #[test]
    fn who_leaves_is_asked_nothing_and_sends_nothing() {
        let mut script = Script::steady("ab");
        assert_eq!(script.0.leave(), Ok(()));
        assert_eq!(script.announce(2, Cause::Join, "abc", "c"), "");
        assert_eq!(script.0.check_send(), Err(FlushError::IllegalGroup));
        assert_eq!(
            (script.0.flush(), script.0.leave()),
            (Err(FlushError::IllegalGroup), Err(FlushError::IllegalGroup))
        );
        assert_eq!(script.data('b', None), "from b");
    }

    #[test]
    fn what_waits_for_the_program_has_limits() {
        let mut script = Script::steady("ab");
        let joined: Vec<_> =
            (2..PENDING_LIMIT as u32 + 2).map(|n| script.announce(n, Cause::Leave, "ab", "x")).collect();
        assert!(joined[1..].iter().all(String::is_empty));
        assert_eq!(script.announce(1 << 20, Cause::Leave, "ab", "x"), "the program does not flush");

        let mut script = Script::joining("ab");
        script.told();
        let mut big = bare(FrameType::FIFO, name('b'), 5);
        big.body = vec![0; HELD_LIMIT];
        script.0.handle_data(big.clone(), Some(id(1)));
        assert_eq!(script.told(), "");
        assert_eq!(script.data('b', Some(1)), "");
        big.body.truncate(1);
        script.0.handle_data(big, Some(id(1)));
        assert_eq!(script.told(), "too much is held for a view that does not come");
    }
}
