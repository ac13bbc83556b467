//! The event loop of classic programs: timers, and descriptors with priorities.
//!
//! The registrations ([`Events`]) use no clock and no socket. [`run`] gets both as arguments, so tests need neither. No
//! lock is held while a handler runs, so it may call every function: it may detach itself, or run the loop again.
//!
//! - Timers that are due come first, in the order of their times. When a loop begins they wait until a round has had no
//!   event of the high or medium priority.
//! - Then the loop waits for descriptors until the next timer; `files` chooses the handlers to call.

mod exit;
mod files;
mod timers;

use std::time::Duration;

use parking_lot::Mutex;

pub use exit::Exit;
pub use files::{Attached, DESCRIPTOR_LIMIT, ENTRY_LIMIT, FileEvent, Files, Priority, Ticket, Turns, WatchedFile};
pub use timers::{TIMER_LIMIT, Timers};

/// All that is registered with an event loop.
#[derive(Clone, Debug)]
pub struct Events<T, H> {
    /// The handlers to call when their time has come.
    pub timers: Timers<T>,
    /// The handlers to call when a descriptor is ready.
    pub files: Files<H>,
}

impl<T: Ord + Copy, H: Copy> Events<T, H> {
    /// Nothing yet.
    pub const fn new() -> Events<T, H> {
        Events { timers: Timers::new(), files: Files::new() }
    }
}

impl<T: Ord + Copy, H: Copy> Default for Events<T, H> {
    fn default() -> Events<T, H> {
        Events::new()
    }
}

/// A handler whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<T, H> {
    /// A timer's.
    Timer(T),
    /// A descriptor's.
    File(i32, H),
}

/// Serves what is registered until `exit` is asked for. `wait` waits for descriptors, for at most this long, and says
/// which are ready, in the order in which they were given.
pub fn run<T: Ord + Copy, H: Copy>(
    shared: &Mutex<Events<T, H>>,
    exit: &Exit,
    clock: impl Fn() -> Duration,
    mut wait: impl FnMut(&[WatchedFile], Option<Duration>) -> Vec<bool>,
    mut call: impl FnMut(Call<T, H>),
) {
    let mut timers_wait = true;
    while !exit.is_asked() {
        if !timers_wait {
            let (now, mark) = (clock(), shared.lock().timers.mark());
            while !exit.is_asked()
                && let Some(due) = take_due(shared, now, mark)
            {
                call(Call::Timer(due));
            }
        }
        if exit.is_asked() {
            break;
        }
        let turns = await_turns(shared, &clock, &mut wait);
        timers_wait = timers_wait && !turns.urgent.is_empty();
        for ticket in turns.urgent.into_iter().chain(turns.low) {
            if let Some((descriptor, handler)) = redeem(shared, exit, ticket) {
                call(Call::File(descriptor, handler));
            }
        }
    }
}

fn take_due<T: Ord + Copy, H: Copy>(shared: &Mutex<Events<T, H>>, now: Duration, mark: u64) -> Option<T> {
    shared.lock().timers.take_due(now, mark)
}

/// The handler of a ticket, unless the loop was told to end.
fn redeem<T, H: Copy>(shared: &Mutex<Events<T, H>>, exit: &Exit, ticket: Ticket) -> Option<(i32, H)> {
    if exit.is_asked() { None } else { shared.lock().files.redeem(ticket) }
}

/// Waits until descriptors are ready or a timer is due.
fn await_turns<T: Ord + Copy, H: Copy>(
    shared: &Mutex<Events<T, H>>,
    clock: impl Fn() -> Duration,
    mut wait: impl FnMut(&[WatchedFile], Option<Duration>) -> Vec<bool>,
) -> Turns {
    let (entries, due) = {
        let events = shared.lock();
        (events.files.watches(), events.timers.first_due())
    };
    let (tickets, watches): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let ready = wait(&watches, due.map(|due| due.saturating_sub(clock())));
    let ready = tickets.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(ticket, _)| ticket);
    shared.lock().files.turns(&ready.collect())
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A loop in a world of its own: the clock moves only while the loop waits, and a script says which descriptors are
    /// ready.
    struct World {
        events: Mutex<Events<char, char>>,
        exit: Exit,
        now: Cell<Duration>,
        log: RefCell<Vec<String>>,
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn reads(descriptor: i32) -> WatchedFile {
        WatchedFile { descriptor, event: FileEvent::Readable }
    }

    impl World {
        fn new(timers: &[(char, u64)], descriptors: &[(i32, Priority)]) -> World {
            let mut events = Events::new();
            timers.iter().for_each(|&(call, due)| assert!(events.timers.queue(call, seconds(due))));
            for &(descriptor, priority) in descriptors {
                events.files.attach(reads(descriptor), priority, 'h').unwrap();
            }
            let (events, exit) = (Mutex::new(events), Exit::new());
            World { events, exit, now: Cell::default(), log: RefCell::default() }
        }

        /// Runs with these ready in each round; ends with the script. Handlers do what `handler` says.
        fn run(&self, script: &[&[i32]], handler: impl Fn(&World, Call<char, char>)) -> Vec<String> {
            let mut rounds = script.iter();
            let wait = |watches: &[WatchedFile], limit: Option<Duration>| {
                let Some(ready) = rounds.next() else {
                    self.exit.ask();
                    return Vec::new();
                };
                let found: Vec<_> = watches.iter().map(|watch| ready.contains(&watch.descriptor)).collect();
                if !found.contains(&true) {
                    self.now.set(self.now.get() + limit.unwrap_or_default());
                }
                found
            };
            let call = |call| {
                let line = match call {
                    Call::Timer(timer) => format!("{timer}@{}", self.now.get().as_secs()),
                    Call::File(descriptor, _) => descriptor.to_string(),
                };
                self.log.borrow_mut().push(line);
                handler(self, call);
            };
            self.exit.rearm();
            run(&self.events, &self.exit, || self.now.get(), wait, call);
            self.log.take()
        }
    }

    #[test]
    fn timers_come_when_they_are_due() {
        let world = World::new(&[('b', 2), ('a', 1), ('c', 2)], &[]);
        assert_eq!(world.run(&[&[], &[], &[]], |_, _| {}), ["a@1", "b@2", "c@2"]);
    }

    #[test]
    fn timers_first_wait_for_a_round_without_urgent_events() {
        let world = World::new(&[('t', 0)], &[(1, Priority::High), (2, Priority::Medium), (3, Priority::Low)]);
        let script: [&[i32]; 5] = [&[1, 3], &[2], &[3], &[1], &[]];
        assert_eq!(world.run(&script, |_, _| {}), ["1", "3", "2", "3", "t@0", "1"]);
        world.events.lock().timers.queue('t', seconds(0));
        assert_eq!(world.run(&[&[1]], |_, _| {}), ["1"]);
        assert_eq!(world.run(&[&[], &[1]], |_, _| {}), ["t@0", "1"]);
    }

    #[test]
    fn an_exit_ends_the_loop_after_the_handler_and_the_rest_stays() {
        let world = World::new(&[('s', 1), ('t', 1)], &[(1, Priority::High), (2, Priority::High)]);
        let leave = |world: &World, _| world.exit.ask();
        assert_eq!(world.run(&[&[1, 2]], leave), ["1"]);
        assert_eq!(world.run(&[&[], &[]], leave), ["s@1"]);
        assert!(world.events.lock().timers.contains(&'t'));
        assert_eq!(world.run(&[&[2], &[]], |_, _| {}), ["2", "t@1"]);
    }

    #[test]
    fn a_handler_may_detach_itself_and_others() {
        let world = World::new(&[], &[(1, Priority::High), (2, Priority::High), (3, Priority::Low)]);
        let detach = |world: &World, _| {
            let mut events = world.events.lock();
            assert!(events.files.detach(reads(1)) && events.files.detach(reads(2)));
            events.files.attach(reads(2), Priority::High, 'n').unwrap();
            events.files.set_threshold(Priority::High);
        };
        assert_eq!(world.run(&[&[1, 2, 3]], detach), ["1"]);
        assert_eq!(world.run(&[&[1, 2, 3]], |_, _| {}), ["2"]);
    }

    #[test]
    fn a_timer_that_queues_itself_at_once_leaves_room_for_files() {
        let world = World::new(&[('t', 0)], &[(1, Priority::Low)]);
        let again = |world: &World, call| {
            if let Call::Timer(timer) = call {
                world.events.lock().timers.queue(timer, world.now.get());
            }
        };
        assert_eq!(world.run(&[&[1], &[1], &[1]], again), ["1", "t@0", "1", "t@0", "1", "t@0"]);
    }

    #[test]
    fn a_handler_may_run_the_loop_once_more() {
        let world = World::new(&[], &[(1, Priority::High)]);
        let nested = |world: &World, _| {
            let inner = |watches: &[WatchedFile], _| vec![true; watches.len()];
            run(
                &world.events,
                &world.exit,
                || world.now.get(),
                inner,
                |_| {
                    world.log.borrow_mut().push("inner".into());
                    world.exit.ask();
                },
            );
        };
        assert_eq!(world.run(&[&[1]], nested), ["1", "inner"]);
    }
}
