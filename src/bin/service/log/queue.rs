//! Lines on their way to the log: a bounded queue, and a thread that writes them.
//!
//! Logging never waits and never fails. If the queue is full, or a line cannot be written, the line is lost and counted. The thread
//! reports the number of lost lines as soon as it can write again.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::system;

/// Bytes of lines that may wait.
const WAITING_LIMIT: usize = 1 << 20;
/// How often the thread asks for due lines.
const TICK: Duration = Duration::from_secs(1);
/// The pause before the thread writes again to a descriptor that was full.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Makes the lines that the thread adds itself.
pub trait Teller: Send + 'static {
    /// A line, newline included, with the number of lost lines, and why the last one was lost.
    fn lost(&self, count: u64, reason: &str) -> String;
    /// A line that says that the file cannot be opened again.
    fn not_reopened(&self, error: &str) -> String;
    /// Reports that are due.
    fn due(&self) -> Vec<String>;
}

/// The queue. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<QueueState>,
    changed: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    lines: VecDeque<String>,
    bytes: usize,
    lost: u64,
    /// The thread must open the file again.
    reopen: bool,
    /// The next place for lines.
    next: Option<Place>,
    /// The thread has written all lines that it took.
    idle: bool,
}

impl Queue {
    /// Adds a line, newline included, unless there is no room.
    pub fn push(&self, line: String) {
        let mut state = self.0.state.lock();
        if state.bytes + line.len() > WAITING_LIMIT {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        self.0.changed.notify_one();
    }

    /// Makes the thread open its file again.
    pub fn reopen(&self) {
        self.0.state.lock().reopen = true;
        self.0.changed.notify_one();
    }

    /// Writes to another place from now on.
    pub fn move_to(&self, place: Place) {
        self.0.state.lock().next = Some(place);
        self.0.changed.notify_one();
    }

    /// Waits until everything is written, at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        let mut state = self.0.state.lock();
        let busy = |state: &mut QueueState| !(state.lines.is_empty() && state.idle);
        self.0.written.wait_while_for(&mut state, busy, patience);
    }

    /// Starts the thread.
    pub fn start(&self, place: Place, teller: impl Teller) -> io::Result<()> {
        let writer = Writer { queue: self.clone(), place, teller, broken: false, reason: String::new() };
        thread::Builder::new().name("log".to_owned()).spawn(|| writer.run()).map(|_| ())
    }

    /// Waits for work, at most for one tick, and takes it.
    fn take(&self) -> Work {
        let mut state = self.0.state.lock();
        let has_work = |state: &QueueState| !state.lines.is_empty() || state.reopen || state.next.is_some();
        state.idle = !has_work(&state);
        if state.idle {
            self.0.written.notify_all();
            let end = Instant::now() + TICK;
            while !has_work(&state) && !self.0.changed.wait_until(&mut state, end).timed_out() {}
        }
        (state.idle, state.bytes) = (false, 0);
        Work {
            lines: std::mem::take(&mut state.lines),
            reopen: std::mem::take(&mut state.reopen),
            next: state.next.take(),
        }
    }
}

/// The work of the thread.
struct Work {
    lines: VecDeque<String>,
    reopen: bool,
    next: Option<Place>,
}

/// Where lines go.
#[derive(Debug)]
pub enum Place {
    /// A descriptor that the program was started with.
    Output(File),
    /// A file of this name.
    File(File, PathBuf),
}

impl Place {
    /// The file of this name. Lines are appended.
    pub fn open(path: &Path) -> io::Result<Place> {
        Ok(Place::File(system::open_log(path)?, path.to_owned()))
    }

    fn file(&mut self) -> &mut File {
        match self {
            Place::Output(file) | Place::File(file, _) => file,
        }
    }
}

struct Writer<T> {
    queue: Queue,
    place: Place,
    teller: T,
    /// The last line was only partly written.
    broken: bool,
    /// Why the last line was lost.
    reason: String,
}

impl<T: Teller> Writer<T> {
    fn run(mut self) {
        loop {
            let Work { lines, reopen, next } = self.queue.take();
            if let Some(place) = next {
                (self.place, self.broken) = (place, false);
            } else if reopen {
                self.reopen();
            }
            lines.iter().for_each(|line| self.write(line));
            self.teller.due().iter().for_each(|line| self.write(line));
            self.report_losses();
        }
    }

    /// Opens the file again: log rotation may have renamed the old one. Other places stay open.
    fn reopen(&mut self) {
        let Place::File(_, path) = &self.place else { return };
        match Place::open(path) {
            Ok(place) => (self.place, self.broken) = (place, false),
            Err(error) => {
                let line = self.teller.not_reopened(&format!("{}: {error}", path.display()));
                self.write(&line);
            }
        }
    }

    fn write(&mut self, line: &str) {
        if let Err(error) = self.try_write(line) {
            self.reason = error.to_string();
            self.queue.0.state.lock().lost += 1;
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        let start = if self.broken { "\n" } else { "" };
        let text = [start, line].concat();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.place.file().write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The program that started us may have made the pipe non-blocking. Only this thread waits for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
                Err(error) => return Err(error),
            }
            self.broken = !rest.is_empty();
        }
        Ok(())
    }

    /// Reports the number of lost lines. If that cannot be written either, the count goes on.
    fn report_losses(&mut self) {
        let lost = std::mem::take(&mut self.queue.0.state.lock().lost);
        if lost > 0 && self.try_write(&self.teller.lost(lost, &self.reason)).is_err() {
            self.queue.0.state.lock().lost += lost;
        } else if lost > 0 {
            self.reason.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    struct Plain;

    impl Teller for Plain {
        fn lost(&self, count: u64, reason: &str) -> String {
            format!("lost {count} ({reason})\n")
        }
        fn not_reopened(&self, error: &str) -> String {
            format!("not reopened ({error})\n")
        }
        fn due(&self) -> Vec<String> {
            Vec::new()
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn lines_that_nobody_takes_are_counted_and_told_of_when_somebody_does() {
        let (mut reader, writer) = io::pipe().unwrap();
        let queue = Queue::default();
        queue.start(Place::Output(OwnedFd::from(writer).into()), Plain).unwrap();
        let line = "x".repeat(1023) + "\n";
        // Twice as many lines as pipe and queue can hold.
        let count = 2 * (WAITING_LIMIT + (1 << 16)) / line.len();
        (0..count).for_each(|_| queue.push(line.clone()));
        queue.flush(Duration::from_millis(1));
        let (mut text, mut bytes) = (String::new(), [0; 65536]);
        let lost = |text: &str| -> usize {
            let told = text.split_inclusive('\n').filter(|line| line.starts_with("lost") && line.ends_with('\n'));
            told.map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap()).sum()
        };
        let came = |text: &str| text.split_inclusive('\n').filter(|&whole| whole == line).count();
        while came(&text) + lost(&text) < count {
            let length = reader.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
        assert_eq!(came(&text) + lost(&text), count);
        assert!(lost(&text) > 100, "{}", lost(&text));
    }

    #[test]
    fn a_file_that_was_renamed_is_left_when_it_is_opened_again() {
        let path = std::env::temp_dir().join(format!("torc-log-{}", std::process::id()));
        let old = path.with_extension("old");
        let queue = Queue::default();
        queue.start(Place::open(&path).unwrap(), Plain).unwrap();
        let write = |line: &str| {
            queue.push(line.to_owned());
            queue.flush(PATIENCE);
        };
        write("one\n");
        fs::rename(&path, &old).unwrap();
        write("two\n");
        queue.reopen();
        write("three\n");
        assert_eq!(
            (fs::read_to_string(&old).unwrap().as_str(), fs::read_to_string(&path).unwrap().as_str()),
            ("one\ntwo\n", "three\n")
        );
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        queue.reopen();
        write("four\n");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "").unwrap();
        [path, old].iter().for_each(|path| fs::remove_file(path).unwrap());
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_the_thread_goes_on() {
        let Ok(full) = Place::open(Path::new("/dev/full")) else { return };
        let queue = Queue::default();
        queue.start(full, Plain).unwrap();
        queue.push("one\n".to_owned());
        queue.flush(PATIENCE);
        queue.push("two\n".to_owned());
        queue.flush(PATIENCE);
        assert_eq!(queue.0.state.lock().lost, 2);
    }
}
