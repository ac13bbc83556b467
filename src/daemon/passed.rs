//! What clients of this machine pass along their sockets, and the sockets themselves, in threads of their own.
//!
//! Everything that is done with a file of a client may take as long as the client likes. Closing a socket that lingers waits for its other end, and
//! closing a file of a program that serves files waits for that program. Memory that a client offers may be locked by the client, and it may be
//! large. A file may also lie unread in a socket, and that socket in another one. So the loop of the daemon examines and closes none of
//! them.
//!
//! A client may hold up all threads. Then files stay open. If there are too many, clients of this machine are neither accepted nor read, until
//! there are fewer. The ring and clients over TCP go on.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use tracing::warn;

use super::spell::Spell;
use crate::groups::SessionId;
use crate::pipe::{self, Memory};
use crate::time::Instant;

/// Threads, if many files must be closed at once or some are slow.
const THREADS: usize = 8;
/// Files that wait for a thread, or that a thread is at. With more, no socket of a client of this machine is read. So there are never more than
/// these and those of one read.
const LIMIT: usize = 256;

/// The time that the end of a daemon waits for its threads. A client may hold them up for ever.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The threads of a daemon. When this is dropped after all ways to them, it waits for their ends.
#[derive(Debug)]
pub(super) struct Workers {
    /// `None` at the very end.
    passed: Option<Passed>,
    state: Arc<State>,
    /// Disconnected when all threads have ended.
    ended: Receiver<Infallible>,
    /// The time in which too many files wait.
    backlog: Spell,
}

impl Workers {
    /// Starts the first thread. `wake` is called when something was examined.
    pub(super) fn start(wake: impl Fn() + Send + Sync + 'static) -> io::Result<Workers> {
        let (passed, ended) = Passed::start(wake)?;
        let state = Arc::clone(&passed.state);
        Ok(Workers { passed: Some(passed), state, ended, backlog: Spell::default() })
    }

    /// The way to the threads.
    pub(super) fn passed(&self) -> &Passed {
        self.passed.as_ref().expect("it is given up at the very end only")
    }

    /// Writes a log line when clients of this machine begin to wait. They cannot know why.
    pub(super) fn log_backlog(&mut self, now: Instant) {
        let is_full = self.passed().is_full();
        if self.backlog.should_log(now, is_full) {
            warn!(
                name: "local_clients_wait",
                "{LIMIT} files that clients of this machine passed wait to be closed: none of these clients is accepted or read until there are fewer"
            );
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.passed = None;
        if self.ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            // A client holds a thread up. To join it could take for ever.
            return;
        }
        for thread in std::mem::take(&mut *self.state.threads.lock()) {
            // A thread that panicked has said so.
            _ = thread.join();
        }
    }
}

/// The way to the threads, which end with the last way to them.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    queue: Sender<Job>,
    state: Arc<State>,
    /// Each thread has one too.
    alive: Sender<Infallible>,
}

#[derive(Debug)]
enum Job {
    Close(OwnedFd),
    /// The first of these may be the memory of a pipe.
    Examine(SessionId, Vec<OwnedFd>),
}

struct State {
    jobs: Mutex<Receiver<Job>>,
    unfinished: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    examined: Mutex<Vec<(SessionId, Option<Memory>)>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Passed {
    fn start(wake: impl Fn() + Send + Sync + 'static) -> io::Result<(Passed, Receiver<Infallible>)> {
        let ((queue, jobs), (alive, ended)) = (mpsc::channel(), mpsc::channel());
        let state = State {
            jobs: Mutex::new(jobs),
            unfinished: AtomicUsize::new(0),
            threads: Mutex::default(),
            examined: Mutex::default(),
            wake: Box::new(wake),
        };
        let passed = Passed { queue, state: Arc::new(state), alive };
        passed.start_thread()?;
        Ok((passed, ended))
    }

    /// Closes this file soon.
    pub(super) fn close(&self, file: OwnedFd) {
        self.add(1, Job::Close(file));
    }

    /// Examines what a client has passed. The first file may be the memory of a pipe, and everything else is closed.
    pub(super) fn examine(&self, id: SessionId, files: Vec<OwnedFd>) {
        self.add(files.len(), Job::Examine(id, files));
    }

    /// What was examined since the last call, and the memory if it is good.
    pub(super) fn take_examined(&self) -> Vec<(SessionId, Option<Memory>)> {
        std::mem::take(&mut self.state.examined.lock())
    }

    /// Whether too many files wait.
    pub(super) fn is_full(&self) -> bool {
        self.state.unfinished.load(Ordering::Relaxed) >= LIMIT
    }

    fn add(&self, files: usize, job: Job) {
        let unfinished = self.state.unfinished.fetch_add(files, Ordering::Relaxed) + files;
        // The threads read the queue to its end, so one of them takes the job.
        _ = self.queue.send(job);
        let threads = self.state.threads.lock().len();
        // Perhaps all threads are held up. One more than is needed does no harm.
        if unfinished > threads && threads < THREADS {
            // Without another thread the others have to do it.
            _ = self.start_thread();
        }
    }

    fn start_thread(&self) -> io::Result<()> {
        let (state, alive) = (Arc::clone(&self.state), self.alive.clone());
        let work = move || {
            state.work();
            drop(alive);
        };
        let thread = thread::Builder::new().name("passed files".to_owned()).spawn(work)?;
        self.state.threads.lock().push(thread);
        Ok(())
    }
}

impl State {
    fn work(&self) {
        loop {
            let job = self.jobs.lock().recv();
            let Ok(job) = job else { return };
            match job {
                Job::Close(file) => self.close(file),
                Job::Examine(id, files) => self.examine(id, files),
            }
        }
    }

    fn close(&self, file: OwnedFd) {
        // Most of what lingers need not hold up even this thread.
        _ = SockRef::from(&file).set_linger(None);
        drop(file);
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
    }

    fn examine(&self, id: SessionId, files: Vec<OwnedFd>) {
        let mut files = files.into_iter();
        let memory = match files.next().map(pipe::accept) {
            Some(Ok(memory)) => {
                self.unfinished.fetch_sub(1, Ordering::Relaxed);
                Some(memory)
            }
            Some(Err(file)) => {
                self.close(file);
                None
            }
            None => None,
        };
        self.examined.lock().push((id, memory));
        // Before the other files are closed: that may take long, and the session waits.
        (self.wake)();
        files.for_each(|file| self.close(file));
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("unfinished", &self.unfinished)
            .field("threads", &self.threads.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Passed {
    /// Threads for which nobody waits.
    pub(super) fn for_test() -> Passed {
        Passed::start(|| {}).unwrap().0
    }

    /// As if too many files waited, until [`Passed::empty`].
    pub(super) fn fill(&self) {
        self.state.unfinished.fetch_add(LIMIT, Ordering::Relaxed);
    }

    /// Waits until everything is closed but what [`Passed::fill`] has added.
    pub(super) fn await_closed(&self) {
        while !self.state.unfinished.load(Ordering::Relaxed).is_multiple_of(LIMIT) {
            thread::yield_now();
        }
    }

    /// Takes back [`Passed::fill`].
    pub(super) fn empty(&self) {
        self.state.unfinished.fetch_sub(LIMIT, Ordering::Relaxed);
    }

    /// Waits until something was examined.
    pub(super) fn await_examined(&self) -> Vec<(SessionId, Option<Memory>)> {
        loop {
            match self.take_examined() {
                examined if examined.is_empty() => thread::yield_now(),
                examined => return examined,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn passed() -> (Passed, Receiver<()>) {
        let (wake, woken) = mpsc::channel();
        (Passed::start(move || _ = wake.send(())).unwrap().0, woken)
    }

    #[test]
    fn what_is_passed_is_closed() {
        let (passed, _) = passed();
        for _ in 0..2 {
            let (near, mut far) = UnixStream::pair().unwrap();
            passed.clone().close(near.into());
            assert_eq!(far.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn the_threads_end_with_their_daemon() {
        let workers = Workers::start(|| {}).unwrap();
        let state = Arc::clone(&workers.state);
        let (near, mut far) = UnixStream::pair().unwrap();
        workers.passed().close(near.into());
        drop(workers);
        assert!(state.threads.lock().is_empty());
        assert_eq!(far.read(&mut [0]).unwrap(), 0, "but not before they have done what there was");
    }

    #[test]
    fn what_is_no_memory_is_closed_and_its_session_is_told() {
        let (passed, woken) = passed();
        let (near, mut far) = UnixStream::pair().unwrap();
        let (other, mut other_far) = UnixStream::pair().unwrap();
        passed.examine(SessionId(7), vec![near.into(), other.into()]);
        woken.recv().unwrap();
        assert!(matches!(passed.take_examined()[..], [(SessionId(7), None)]));
        assert_eq!((far.read(&mut [0]).unwrap(), other_far.read(&mut [0]).unwrap()), (0, 0));
    }

    #[test]
    fn threads_that_are_held_up_let_no_more_than_so_many_files_wait() {
        let (passed, _) = passed();
        // Nobody works while this is locked, as if each thread waited for a client.
        let jobs = passed.state.jobs.lock();
        let mut fars = Vec::new();
        while !passed.is_full() {
            let (near, far) = UnixStream::pair().unwrap();
            passed.close(near.into());
            fars.push(far);
        }
        assert_eq!(fars.len(), LIMIT);
        assert!(passed.state.threads.lock().len() <= THREADS);
        drop(jobs);
        fars.iter_mut().for_each(|far| assert_eq!(far.read(&mut [0]).unwrap(), 0));
    }
}
