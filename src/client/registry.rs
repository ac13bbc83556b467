//! The registry of a process for the C functions: its open mailboxes by number, and the authentication methods for new
//! ones.
//!
//! The lock is held only to look up or change an entry, never during a call that can block. A mailbox leaves the
//! registry before its descriptor is closed, so a number never means two sessions. The lock comes from the standard
//! library. Unlike the one of parking_lot it keeps no data about its waiters elsewhere, so a forked child can release
//! it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::flush::FlushMailbox;
use super::outlet::Outlet;
use super::{AuthMethod, ConnectError, Mailbox};

/// Most mailboxes that a process may have open.
const MAILBOX_LIMIT: usize = 1024;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new());

#[derive(Debug)]
struct Registry {
    mailboxes: BTreeMap<i32, Arc<Mailbox>>,
    /// The mailboxes that have the Flush layer on top.
    flushing: BTreeMap<i32, Arc<FlushMailbox>>,
    /// `None` until a program registers some.
    methods: Option<Arc<[AuthMethod]>>,
    /// The outlets that share memory with a daemon, also those of mailboxes that are not in the registry.
    outlets: Vec<Weak<Outlet>>,
    forks: u64,
}

/// Registers a mailbox under its descriptor.
pub fn enter(mailbox: Mailbox) -> Result<Arc<Mailbox>, ConnectError> {
    forks::watch();
    let mailbox = Arc::new(mailbox);
    lock().insert(mailbox.descriptor(), Arc::clone(&mailbox))?;
    Ok(mailbox)
}

/// As [`enter`], for one with the Flush layer.
pub fn enter_flush(flush: FlushMailbox) -> Result<Arc<FlushMailbox>, ConnectError> {
    forks::watch();
    let flush = Arc::new(flush);
    let descriptor = flush.mailbox().descriptor();
    let mut registry = lock();
    registry.insert(descriptor, Arc::clone(flush.mailbox()))?;
    registry.flushing.insert(descriptor, Arc::clone(&flush));
    Ok(flush)
}

/// The mailbox with this descriptor.
pub fn find(descriptor: i32) -> Option<Arc<Mailbox>> {
    lock().mailboxes.get(&descriptor).cloned()
}

/// The mailbox with this descriptor, if it has the Flush layer.
pub fn find_flush(descriptor: i32) -> Option<Arc<FlushMailbox>> {
    lock().flushing.get(&descriptor).cloned()
}

/// Takes the mailbox with this descriptor out of the registry. It closes with its last user.
pub fn forget(descriptor: i32) -> Option<Arc<Mailbox>> {
    let mut registry = lock();
    registry.flushing.remove(&descriptor);
    registry.mailboxes.remove(&descriptor)
}

/// As [`forget`], for one with the Flush layer.
pub fn forget_flush(descriptor: i32) -> Option<Arc<FlushMailbox>> {
    let mut registry = lock();
    let flush = registry.flushing.remove(&descriptor)?;
    registry.mailboxes.remove(&descriptor);
    Some(flush)
}

/// Takes this mailbox out of the registry, unless it is not there or its number now means another mailbox.
pub fn forget_this(flush: &Arc<FlushMailbox>) {
    let (mut registry, descriptor) = (lock(), flush.mailbox().descriptor());
    if registry.flushing.get(&descriptor).is_some_and(|known| Arc::ptr_eq(known, flush)) {
        registry.flushing.remove(&descriptor);
        registry.mailboxes.remove(&descriptor);
    }
}

/// Replaces the methods for later connects, at most [`AuthMethod::LIMIT`]; false if there are more.
pub fn register_methods(methods: Vec<AuthMethod>) -> bool {
    let few = methods.len() <= AuthMethod::LIMIT;
    if few {
        forks::watch();
        lock().methods = Some(methods.into());
    }
    few
}

/// The methods that are registered; at first the one that everybody passes.
pub fn methods() -> Arc<[AuthMethod]> {
    Arc::clone(lock().methods.get_or_insert_with(|| Arc::new([AuthMethod::null()])))
}

/// How often this process and those that it was forked from have forked.
pub fn forks() -> u64 {
    forks::watch();
    lock().forks
}

/// Registers an outlet that will share memory; the sharing ends when the process forks. False if the process has forked since
/// this count.
pub fn enter_outlet(outlet: &Arc<Outlet>, forks: u64) -> bool {
    let mut registry = lock();
    registry.outlets.retain(|known| known.strong_count() > 0);
    let is_same = registry.forks == forks;
    if is_same {
        registry.outlets.push(Arc::downgrade(outlet));
    }
    is_same
}

impl Registry {
    const fn new() -> Registry {
        Registry { mailboxes: BTreeMap::new(), flushing: BTreeMap::new(), methods: None, outlets: Vec::new(), forks: 0 }
    }

    /// The process is about to fork.
    #[cfg(unix)]
    fn fork(&mut self) {
        self.forks += 1;
        self.outlets.drain(..).filter_map(|outlet| outlet.upgrade()).for_each(|outlet| outlet.fork());
        self.mailboxes.values().for_each(|mailbox| mailbox.fork());
    }

    fn insert(&mut self, descriptor: i32, mailbox: Arc<Mailbox>) -> Result<(), ConnectError> {
        if self.mailboxes.len() >= MAILBOX_LIMIT {
            return Err(ConnectError::TooManyMailboxes);
        }
        if let Some(stale) = self.mailboxes.insert(descriptor, mailbox) {
            // The program has closed the old descriptor itself, and the number belongs to a new one. Dropping the entry
            // would close the new one.
            std::mem::forget(stale);
            self.flushing.remove(&descriptor);
        }
        Ok(())
    }

    /// Gives the mailboxes new owners, in a forked child in which the threads that used them are gone.
    #[cfg(unix)]
    fn adopt(&mut self) {
        for (descriptor, mailbox) in &mut self.mailboxes {
            if Arc::strong_count(mailbox) > 1 {
                let adopted = Arc::new(mailbox.adopted());
                std::mem::forget(std::mem::replace(mailbox, adopted));
            }
            if let Some(flush) = self.flushing.get_mut(descriptor) {
                let adopted = Arc::new(flush.adopted(Arc::clone(mailbox)));
                std::mem::forget(std::mem::replace(flush, adopted));
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the registry usable in forked children, whatever other threads were doing.
#[cfg(unix)]
mod forks {
    use std::cell::RefCell;
    use std::sync::{MutexGuard, Once};

    use super::super::platform;
    use super::{Registry, lock};

    thread_local! {
        /// The registry's lock, while its thread forks.
        static HELD: RefCell<Option<MutexGuard<'static, Registry>>> = const { RefCell::new(None) };
    }

    pub fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| platform::around_fork(before, after, in_child));
    }

    extern "C" fn before() {
        let mut guard = lock();
        guard.fork();
        // A thread that is ending cannot store the guard any more, so it forks without it.
        let _ = HELD.try_with(|held| *held.borrow_mut() = Some(guard));
    }

    extern "C" fn after() {
        let _ = HELD.try_with(|held| *held.borrow_mut() = None);
    }

    /// The child does not have the other threads, but the locks that they held are still locked.
    extern "C" fn in_child() {
        let _ = HELD.try_with(|held| {
            if let Some(registry) = &mut *held.borrow_mut() {
                registry.adopt();
            }
        });
        after();
    }
}

#[cfg(not(unix))]
mod forks {
    pub fn watch() {}
}

#[cfg(all(test, unix))]
mod tests {
    use std::net::TcpListener;

    use super::super::Address;
    use super::super::limit::MessageLimit;
    use super::super::transport::Stream;
    use super::*;
    use crate::wire::Name;

    #[test]
    fn a_process_has_at_most_1024_mailboxes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = Stream::connect(&Address::Remote("127.0.0.1".to_owned(), port), None).unwrap();
        let mailbox = Arc::new(Mailbox::new(stream, Name::new(b"#a#b").unwrap(), MessageLimit::default()));
        let mut registry = Registry::new();
        for descriptor in 0..1024 {
            assert_eq!(registry.insert(descriptor, Arc::clone(&mailbox)), Ok(()));
        }
        assert_eq!(registry.insert(1024, mailbox), Err(ConnectError::TooManyMailboxes));
    }
}
