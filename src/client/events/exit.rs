//! The request to end a loop, from a handler, another thread or a signal handler.
//!
//! A loop that has just read a flag and is about to wait would miss a change of it. So there is also a bell: a
//! descriptor that the loop watches. A request only changes an atomic number and writes a byte, which a signal handler
//! may do.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a loop is to end.
#[derive(Debug, Default)]
pub struct Exit {
    asked: AtomicBool,
    bell: OnceLock<Option<bell::Bell>>,
}

impl Exit {
    /// No request yet.
    pub const fn new() -> Exit {
        Exit { asked: AtomicBool::new(false), bell: OnceLock::new() }
    }

    /// A loop begins: drops an earlier request and installs the bell.
    pub fn rearm(&self) {
        if let Some(bell) = self.bell.get_or_init(bell::Bell::new) {
            bell.silence();
        }
        self.asked.store(false, Ordering::Release);
    }

    /// Asks the loop to end after the current handler.
    pub fn ask(&self) {
        if !self.asked.swap(true, Ordering::AcqRel)
            && let Some(Some(bell)) = self.bell.get()
        {
            bell.ring();
        }
    }

    /// Whether the loop is to end.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// The descriptor that becomes readable at a request to end, if the system gave one.
    pub fn descriptor(&self) -> Option<i32> {
        self.bell.get()?.as_ref().map(bell::Bell::descriptor)
    }
}

#[cfg(unix)]
mod bell {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// Two ends of a line. A byte that is written to one end makes the other end readable.
    #[derive(Debug)]
    pub struct Bell {
        button: UnixStream,
        gong: UnixStream,
    }

    impl Bell {
        pub fn new() -> Option<Bell> {
            let (button, gong) = UnixStream::pair().ok()?;
            button.set_nonblocking(true).and(gong.set_nonblocking(true)).ok()?;
            Some(Bell { button, gong })
        }

        /// Does not block: at most one byte is ever in the line, which has room for more.
        pub fn ring(&self) {
            let _ = (&self.button).write(&[0]);
        }

        pub fn silence(&self) {
            let _ = (&self.gong).read(&mut [0; 8]);
        }

        pub fn descriptor(&self) -> i32 {
            self.gong.as_raw_fd()
        }
    }
}

#[cfg(not(unix))]
mod bell {
    /// There is none here; waits are short instead.
    #[derive(Debug)]
    pub struct Bell;

    impl Bell {
        pub fn new() -> Option<Bell> {
            None
        }

        pub fn ring(&self) {}

        pub fn silence(&self) {}

        pub fn descriptor(&self) -> i32 {
            -1
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::super::platform::wait_for;
    use super::super::{FileEvent, WatchedFile};
    use super::*;

    #[test]
    fn the_bell_rings_until_the_loop_begins_again() {
        let exit = Exit::new();
        exit.ask();
        assert!(exit.is_asked() && exit.descriptor().is_none());
        exit.rearm();
        let watch = WatchedFile { descriptor: exit.descriptor().unwrap(), event: FileEvent::Readable };
        let rings = || wait_for(&[watch], Some(std::time::Duration::ZERO)) == [true];
        assert!(!exit.is_asked() && !rings());
        exit.ask();
        exit.ask();
        assert!(exit.is_asked() && rings());
        exit.rearm();
        assert!(!exit.is_asked() && !rings());
    }
}
