//! The descriptors that an event loop watches, in three priorities, and whose turn it is when some are ready.
//!
//! In each round all ready entries of high priority are called; if there are none, all of medium priority. Then at most
//! one of low priority is called, round robin. Each attachment has its own ticket. So an entry that a handler detaches
//! in the middle of a round is not called any more, even if another descriptor gets its number.

use std::collections::BTreeSet;

/// Most entries at each priority.
pub const ENTRY_LIMIT: usize = 2000;
/// Descriptors must be below this, as select requires.
pub const DESCRIPTOR_LIMIT: i32 = 1024;

/// How urgent a descriptor's events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// One event a round.
    Low,
    /// All events of a round without a high one.
    Medium,
    /// All events.
    High,
}

impl Priority {
    /// Every priority, the highest first.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Medium, Priority::Low];
}

/// An event of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEvent {
    /// Reading does not wait.
    Readable,
    /// Writing does not wait.
    Writable,
    /// There is something out of the ordinary.
    Exceptional,
}

/// A descriptor and what to watch it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedFile {
    /// The descriptor.
    pub descriptor: i32,
    /// The event.
    pub event: FileEvent,
}

/// The result of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// There is a new entry.
    New,
    /// It replaced the handler of the entry that was there, which is active again.
    Replaced,
}

/// One attachment. None has the ticket of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Clone, Copy, Debug)]
struct Entry<H> {
    ticket: Ticket,
    watch: WatchedFile,
    handler: H,
    active: bool,
}

/// The watched descriptors with their handlers.
#[derive(Clone, Debug)]
pub struct Files<H> {
    /// One table for each priority, the lowest first, in the order of attachment.
    tables: [Vec<Entry<H>>; 3],
    threshold: Priority,
    tickets: u64,
    /// The last of the low priority that had its turn.
    last_low: Ticket,
}

impl<H: Copy> Files<H> {
    /// Nothing to watch.
    pub(super) const fn new() -> Files<H> {
        let tables = [Vec::new(), Vec::new(), Vec::new()];
        Files { tables, threshold: Priority::Low, tickets: 0, last_low: Ticket(0) }
    }

    /// Watches a descriptor from now on; `None` if it cannot be watched or there is no room.
    pub fn attach(&mut self, watch: WatchedFile, priority: Priority, handler: H) -> Option<Attached> {
        if !(0..DESCRIPTOR_LIMIT).contains(&watch.descriptor) {
            return None;
        }
        let table = &mut self.tables[priority as usize];
        // The ticket stays, so a ready descriptor keeps its turn and gets the new handler.
        if let Some(entry) = table.iter_mut().find(|entry| entry.watch == watch) {
            (entry.handler, entry.active) = (handler, true);
            return Some(Attached::Replaced);
        }
        if table.len() >= ENTRY_LIMIT {
            return None;
        }
        self.tickets += 1;
        table.push(Entry { ticket: Ticket(self.tickets), watch, handler, active: true });
        Some(Attached::New)
    }

    /// Stops watching it at all priorities; false if it was watched at none.
    pub fn detach(&mut self, watch: WatchedFile) -> bool {
        let at = |priority| self.detach_at(watch, priority);
        Priority::ALL.map(at).contains(&true)
    }

    /// Stops watching it at this priority; false if it was not watched there.
    pub fn detach_at(&mut self, watch: WatchedFile, priority: Priority) -> bool {
        let table = &mut self.tables[priority as usize];
        let before = table.len();
        table.retain(|entry| entry.watch != watch);
        table.len() < before
    }

    /// Wakes its entries or lets them sleep; false if there are none.
    pub fn set_active(&mut self, watch: WatchedFile, active: bool) -> bool {
        let mut found = false;
        for entry in self.tables.iter_mut().flatten().filter(|entry| entry.watch == watch) {
            entry.active = active;
            found = true;
        }
        found
    }

    /// Only events of this priority and above have a turn from now on.
    pub fn set_threshold(&mut self, priority: Priority) {
        self.threshold = priority;
    }

    /// How many entries are active at a priority.
    pub fn active(&self, priority: Priority) -> usize {
        self.tables[priority as usize].iter().filter(|entry| entry.active).count()
    }

    /// The descriptors to watch now.
    pub fn watches(&self) -> Vec<(Ticket, WatchedFile)> {
        let priorities = Priority::ALL.into_iter().filter(|&priority| priority >= self.threshold);
        let entries = priorities.flat_map(|priority| &self.tables[priority as usize]);
        entries.filter(|entry| entry.active).map(|entry| (entry.ticket, entry.watch)).collect()
    }

    /// Whose turn it is when these are ready.
    pub fn turns(&mut self, ready: &BTreeSet<Ticket>) -> Turns {
        let of = |priority: Priority| -> Vec<Ticket> {
            let tickets = self.tables[priority as usize].iter().map(|entry| entry.ticket);
            tickets.filter(|ticket| ready.contains(ticket)).collect()
        };
        let (high, low) = (of(Priority::High), of(Priority::Low));
        let urgent = if high.is_empty() { of(Priority::Medium) } else { high };
        // Tickets only grow, so the first one above the last turn is the next in the round.
        let next = low.iter().find(|&&ticket| ticket > self.last_low).or(low.first()).copied();
        self.last_low = next.unwrap_or(self.last_low);
        Turns { urgent, low: next }
    }

    /// The descriptor and handler of an attachment, if it still stands and would still be watched.
    pub fn redeem(&self, ticket: Ticket) -> Option<(i32, H)> {
        let priorities = Priority::ALL.into_iter().filter(|&priority| priority >= self.threshold);
        let mut entries = priorities.flat_map(|priority| &self.tables[priority as usize]);
        let entry = entries.find(|entry| entry.ticket == ticket && entry.active)?;
        Some((entry.watch.descriptor, entry.handler))
    }
}

/// Whose turn it is in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turns {
    /// All of the high, or else of the medium priority.
    pub urgent: Vec<Ticket>,
    /// One of the low priority.
    pub low: Option<Ticket>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(descriptor: i32) -> WatchedFile {
        WatchedFile { descriptor, event: FileEvent::Readable }
    }

    fn files(entries: &[(i32, Priority)]) -> Files<char> {
        let mut files = Files::new();
        for &(descriptor, priority) in entries {
            assert_eq!(files.attach(reads(descriptor), priority, 'h'), Some(Attached::New));
        }
        files
    }

    fn turns(files: &mut Files<char>, ready: &[i32]) -> Vec<i32> {
        let watches = files.watches();
        let ready = watches.iter().filter(|(_, watch)| ready.contains(&watch.descriptor)).map(|(ticket, _)| *ticket);
        let Turns { urgent, low } = files.turns(&ready.collect());
        urgent.into_iter().chain(low).map(|ticket| files.redeem(ticket).unwrap().0).collect()
    }

    #[test]
    fn medium_waits_for_high_and_low_comes_one_by_one() {
        use Priority::{High, Low, Medium};
        let mut files = files(&[(1, Low), (2, Low), (3, Low), (4, Medium), (5, Medium), (6, High), (7, High)]);
        assert_eq!(turns(&mut files, &[1, 2, 3, 4, 5, 6, 7]), [6, 7, 1]);
        assert_eq!(turns(&mut files, &[1, 2, 3, 4, 5, 7]), [7, 2]);
        assert_eq!(turns(&mut files, &[1, 3, 4, 5]), [4, 5, 3]);
        assert_eq!(turns(&mut files, &[1, 3]), [1]);
        assert_eq!(turns(&mut files, &[1]), [1]);
        assert_eq!(turns(&mut files, &[]), []);
    }

    #[test]
    fn only_what_reaches_the_threshold_is_watched() {
        use Priority::{High, Low, Medium};
        let mut files = files(&[(1, Low), (2, Medium), (3, High)]);
        files.set_threshold(Medium);
        let watched = |files: &Files<char>| files.watches().iter().map(|(_, w)| w.descriptor).collect::<Vec<_>>();
        assert_eq!(watched(&files), [3, 2]);
        assert_eq!(files.active(Low), 1);
        files.set_threshold(Low);
        assert_eq!(watched(&files), [3, 2, 1]);
    }

    #[test]
    fn an_entry_is_replaced_detached_and_put_to_sleep() {
        let mut files = files(&[(1, Priority::Low), (1, Priority::High)]);
        assert!(files.set_active(reads(1), false));
        assert_eq!((files.active(Priority::Low), files.active(Priority::High)), (0, 0));
        assert_eq!(files.attach(reads(1), Priority::Low, 'i'), Some(Attached::Replaced));
        assert_eq!((files.active(Priority::Low), files.active(Priority::High)), (1, 0));
        assert_eq!(files.watches().len(), 1);
        assert!(files.detach_at(reads(1), Priority::High) && !files.detach_at(reads(1), Priority::High));
        assert!(files.detach(reads(1)) && !files.detach(reads(1)) && !files.set_active(reads(1), true));
        let writes = WatchedFile { descriptor: 1, event: FileEvent::Writable };
        assert_eq!(files.attach(writes, Priority::Low, 'w'), Some(Attached::New));
        assert!(!files.detach(reads(1)));
    }

    #[test]
    fn a_ticket_is_void_once_its_attachment_is_gone() {
        let mut files = files(&[(1, Priority::High)]);
        let [(ticket, _)] = files.watches()[..] else { panic!("one watch") };
        files.attach(reads(1), Priority::High, 'i');
        assert_eq!(files.redeem(ticket), Some((1, 'i')));
        files.set_active(reads(1), false);
        assert_eq!(files.redeem(ticket), None);
        files.detach(reads(1));
        files.attach(reads(1), Priority::High, 'j');
        assert_eq!(files.redeem(ticket), None);
    }

    #[test]
    fn descriptors_and_entries_have_limits() {
        let mut files = files(&[(0, Priority::Low), (1023, Priority::Low)]);
        assert_eq!(files.attach(reads(-1), Priority::Low, 'h'), None);
        assert_eq!(files.attach(reads(1024), Priority::Low, 'h'), None);
        let events = [FileEvent::Readable, FileEvent::Writable];
        let watches =
            events.iter().flat_map(|&event| (0..1000).map(move |descriptor| WatchedFile { descriptor, event }));
        watches.for_each(|watch| assert!(files.attach(watch, Priority::Medium, 'h').is_some()));
        assert_eq!(files.active(Priority::Medium), ENTRY_LIMIT);
        assert_eq!(files.attach(reads(1000), Priority::Medium, 'h'), None);
        assert_eq!(files.attach(reads(999), Priority::Medium, 'h'), Some(Attached::Replaced));
    }
}
