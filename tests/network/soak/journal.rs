//! What all clients say of what they were given, judged as it comes, so that a run of hours keeps little.
//!
//! - Whoever goes from one view to the next together got the same messages in the same order, on the same side of the signal.
//! - Between two views no message of a sender is missing or comes twice, and each comes unaltered from a client that sent it.
//! - A client gets all of its own messages, without a gap, as long as its connection lasts.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use spread::client::View;
use spread::wire::{Cause, GroupId, Name};

/// Which clients can be compared: those who left one view for the same next one together.
type Crossing = (GroupId, GroupId, Vec<Name>);

/// Everything that must be compared between clients.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Compared>);

#[derive(Debug, Default)]
struct Compared {
    crossings: BTreeMap<Crossing, (u64, String)>,
    /// The same, oldest first.
    order: VecDeque<Crossing>,
    totals: Totals,
    violations: Vec<String>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub deliveries: u64,
    pub views: u64,
    /// How often two clients that went from one view to the next together were compared.
    pub comparisons: u64,
}

/// So many violations are kept; the first one is the one to look at.
const KEPT: usize = 20;
/// So many crossings are kept: far more than clients can be apart in time.
const CROSSINGS: usize = 10_000;

impl Journal {
    pub fn violation(&self, what: String) {
        let mut compared = self.0.lock().unwrap();
        if compared.violations.len() < KEPT {
            compared.violations.push(what);
        }
    }

    pub fn violations(&self) -> Vec<String> {
        self.0.lock().unwrap().violations.clone()
    }

    pub fn totals(&self) -> Totals {
        self.0.lock().unwrap().totals
    }

    fn cross(&self, who: &str, crossing: Crossing, digest: u64, deliveries: u64) {
        let mut compared = self.0.lock().unwrap();
        compared.totals.views += 1;
        compared.totals.deliveries += deliveries;
        match compared.crossings.get(&crossing) {
            None => {
                compared.order.push_back(crossing.clone());
                compared.crossings.insert(crossing, (digest, who.to_owned()));
            }
            Some((other, by)) => {
                let violation = (*other != digest).then(|| format!("{who} and {by} differ between views {crossing:?}"));
                compared.totals.comparisons += 1;
                compared.violations.extend(violation);
            }
        }
        if compared.order.len() > CROSSINGS
            && let Some(oldest) = compared.order.pop_front()
        {
            compared.crossings.remove(&oldest);
        }
    }
}

/// What one connection of one client has been given.
#[derive(Debug)]
pub struct Witness<'a> {
    journal: &'a Journal,
    me: Name,
    view: Option<GroupId>,
    digest: DefaultHasher,
    deliveries: u64,
    /// The last number of each sender in this view.
    last: BTreeMap<Name, u32>,
    /// The last number of one's own messages, in any view.
    own: u32,
}

impl<'a> Witness<'a> {
    pub fn new(journal: &'a Journal, me: Name) -> Witness<'a> {
        let (digest, last) = (DefaultHasher::new(), BTreeMap::new());
        Witness { journal, me, view: None, digest, deliveries: 0, last, own: 0 }
    }

    /// How many of its own messages have come back.
    pub fn own(&self) -> u32 {
        self.own
    }

    pub fn message(&mut self, sender: Name, number: u32) {
        (sender.as_bytes(), number).hash(&mut self.digest);
        self.deliveries += 1;
        if let Some(before) = self.last.insert(sender, number)
            && number != before + 1
        {
            self.journal.violation(format!("{}: number {number} of {sender} after {before}", self.me));
        }
        if sender == self.me {
            if number != self.own + 1 {
                self.journal.violation(format!("{}: own message {number} after {}", self.me, self.own));
            }
            self.own = number;
        }
    }

    pub fn transition(&mut self, of: GroupId) {
        if self.view != Some(of) {
            self.journal.violation(format!("{}: a signal for {of:?} in {:?}", self.me, self.view));
        }
        "transition".hash(&mut self.digest);
    }

    pub fn view(&mut self, view: &View) {
        if let Some(before) = self.view {
            let together = match view.cause {
                Cause::Network => view.vs_sets[view.own].clone(),
                // The change is a message in the order of the same daemons: all who stay saw the same before it.
                Cause::Join | Cause::Leave | Cause::Disconnect => Vec::new(),
            };
            let crossing = (before, view.id, together);
            self.journal.cross(&self.me.to_string(), crossing, self.digest.finish(), self.deliveries);
        }
        self.view = Some(view.id);
        (self.digest, self.deliveries) = (DefaultHasher::new(), 0);
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn view(id: u32, members: &[&str]) -> View {
        let members: Vec<Name> = members.iter().map(|member| name(member)).collect();
        let vs_sets = vec![members.clone()];
        View { group: name("g"), cause: Cause::Network, members, id: GroupId([id, 0, 0]), vs_sets, own: 0 }
    }

    /// Two clients that go from view 1 to view 2 together; `tell` says what each of them got between.
    fn two(tell: impl Fn(&mut Witness<'_>, usize)) -> Vec<String> {
        let journal = Journal::default();
        for (number, me) in ["a", "b"].into_iter().enumerate() {
            let mut witness = Witness::new(&journal, name(me));
            witness.view(&view(1, &["a", "b"]));
            tell(&mut witness, number);
            witness.view(&view(2, &["a", "b"]));
        }
        assert_eq!(journal.totals().comparisons, 1);
        journal.violations()
    }

    #[test]
    fn the_same_messages_are_no_violation() {
        let none = two(|witness, _| {
            witness.message(name("a"), 1);
            witness.transition(GroupId([1, 0, 0]));
            witness.message(name("c"), 7);
        });
        assert_eq!(none, [""; 0]);
    }

    #[test]
    fn another_order_and_another_side_of_the_signal_are_found() {
        let orders = [["c", "d"], ["d", "c"]];
        assert_eq!(two(|witness, who| orders[who].iter().for_each(|from| witness.message(name(from), 1))).len(), 1);
        let sides = two(|witness, who| {
            if who == 0 {
                witness.transition(GroupId([1, 0, 0]));
            }
            witness.message(name("c"), 1);
            if who == 1 {
                witness.transition(GroupId([1, 0, 0]));
            }
        });
        assert_eq!(sides.len(), 1);
    }

    #[test]
    fn a_gap_a_copy_and_a_lost_own_message_are_found() {
        let say = |numbers: &'static [u32], sender: &'static str| {
            two(move |witness, _| numbers.iter().for_each(|&number| witness.message(name(sender), number))).len()
        };
        assert_eq!(say(&[5, 6, 8], "c"), 2);
        assert_eq!(say(&[5, 6, 6], "c"), 2);
        assert!(say(&[2], "a") == 1, "the first own message is missing");
    }

    #[test]
    fn a_signal_for_another_view_is_found() {
        assert_eq!(two(|witness, _| witness.transition(GroupId([9, 0, 0]))).len(), 2);
    }
}
