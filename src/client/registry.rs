//! What a process knows by number, for the C functions: its open mailboxes, and the authentication methods for new
//! ones.
//!
//! The lock is only held to look up or change an entry, never across a call that can block. A mailbox leaves the
//! registry before its descriptor is closed, so a number never means two sessions. The lock is the standard library's:
//! unlike parking_lot's it keeps nothing about its waiters outside itself, so a forked child can release it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AuthMethod, ConnectError, ConnectOptions, Mailbox};

/// Most mailboxes that a process may have open.
const MAILBOX_LIMIT: usize = 1024;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { mailboxes: BTreeMap::new(), methods: None });

#[derive(Debug)]
struct Registry {
    mailboxes: BTreeMap<i32, Arc<Mailbox>>,
    /// `None` until a program registers some.
    methods: Option<Arc<[AuthMethod]>>,
}

/// Opens a mailbox that is known by its descriptor from now on.
pub fn open(options: &ConnectOptions) -> Result<Arc<Mailbox>, ConnectError> {
    forks::watch();
    let mailbox = Arc::new(Mailbox::connect(options)?);
    lock().insert(mailbox.descriptor(), Arc::clone(&mailbox))?;
    Ok(mailbox)
}

/// The mailbox with this descriptor.
pub fn find(descriptor: i32) -> Option<Arc<Mailbox>> {
    lock().mailboxes.get(&descriptor).cloned()
}

/// Takes the mailbox with this descriptor out of the registry. It closes with its last user.
pub fn forget(descriptor: i32) -> Option<Arc<Mailbox>> {
    lock().mailboxes.remove(&descriptor)
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

impl Registry {
    fn insert(&mut self, descriptor: i32, mailbox: Arc<Mailbox>) -> Result<(), ConnectError> {
        if self.mailboxes.len() >= MAILBOX_LIMIT {
            return Err(ConnectError::TooManyMailboxes);
        }
        if let Some(stale) = self.mailboxes.insert(descriptor, mailbox) {
            // The program closed the old descriptor itself. Dropping the entry would close the new one.
            std::mem::forget(stale);
        }
        Ok(())
    }
}

fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the registry usable in forked children, whatever other threads were doing.
#[cfg(unix)]
mod forks {
    use std::cell::RefCell;
    use std::sync::{Arc, MutexGuard, Once};

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
        let guard = lock();
        // A thread that is ending has no place for the guard any more and forks unguarded.
        let _ = HELD.try_with(|held| *held.borrow_mut() = Some(guard));
    }

    extern "C" fn after() {
        let _ = HELD.try_with(|held| *held.borrow_mut() = None);
    }

    /// Other threads are gone in the child, but what they held stays held. Their mailboxes get new owners.
    extern "C" fn in_child() {
        let _ = HELD.try_with(|held| {
            for mailbox in held.borrow_mut().iter_mut().flat_map(|registry| registry.mailboxes.values_mut()) {
                if Arc::strong_count(mailbox) > 1 {
                    let adopted = Arc::new(mailbox.adopted());
                    std::mem::forget(std::mem::replace(mailbox, adopted));
                }
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
    use super::super::transport::Stream;
    use super::*;
    use crate::wire::Name;

    #[test]
    fn a_process_has_at_most_1024_mailboxes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = Stream::connect(&Address::Remote("127.0.0.1".to_owned(), port), None).unwrap();
        let mailbox = Arc::new(Mailbox::new(stream, Name::new(b"#a#b").unwrap(), 100));
        let mut registry = Registry { mailboxes: BTreeMap::new(), methods: None };
        for descriptor in 0..1024 {
            assert_eq!(registry.insert(descriptor, Arc::clone(&mailbox)), Ok(()));
        }
        assert_eq!(registry.insert(1024, mailbox), Err(ConnectError::TooManyMailboxes));
    }
}
