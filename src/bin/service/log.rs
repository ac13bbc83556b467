//! The daemon's log: its place, its lines and their form. It never blocks the daemon, and nobody can fill it from outside.
//!
//! A line passes [`levels`] (is it wanted?), [`limit`] (are there too many of its kind?), [`line`] (which form has it?) and
//! [`queue`] (the thread that writes it).

mod levels;
mod limit;
mod line;
mod queue;
mod stamp;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, panic};

use parking_lot::{Mutex, RwLock};
use spread::config::{Labels, LogFormat};
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

pub use levels::Levels;
pub use stamp::{Precision, Stamp};

use crate::system;
use limit::{Limiter, Moment};
use line::{Dress, Look, Record};
use queue::{Place, Queue, Teller};

/// How long writing the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(50);

/// The settings of the log.
#[derive(Debug)]
pub struct LogSettings<'a> {
    /// Which lines are logged.
    pub levels: Levels,
    /// The file; `None` for standard output.
    pub file: Option<&'a Path>,
    /// The time before each line.
    pub stamp: Stamp,
    /// Text for people, or JSON for programs.
    pub format: LogFormat,
}

/// An open place for a log, and the form of the lines there.
#[derive(Debug)]
pub struct Opened {
    place: Place,
    look: Look,
}

/// The running log. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    desk: Arc<Desk>,
    targets: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Begins to log. A process can do this once.
    pub fn start(settings: &LogSettings<'_>) -> Result<Log, String> {
        let (place, look) = open(settings)?;
        let desk = Arc::new(Desk {
            look: RwLock::new(look),
            queue: Queue::default(),
            limiter: Mutex::default(),
            labels: RwLock::default(),
        });
        desk.queue.start(place, Arc::clone(&desk)).map_err(|error| format!("the log's thread: {error}"))?;
        let (filter, targets) = reload::Layer::new(settings.levels.targets());
        let subscriber = Registry::default().with(Lines(Arc::clone(&desk)).with_filter(filter));
        subscriber.try_init().map_err(|error| error.to_string())?;
        log_panics();
        Ok(Log { desk, targets })
    }

    /// Sets the names that are written beside addresses and numbers.
    pub fn set_labels(&self, labels: Labels) {
        let mut present = self.desk.labels.write();
        *present = labels.before(&present);
    }

    /// Opens the log file again: log rotation may have renamed the old one.
    pub fn reopen(&self) {
        self.desk.queue.reopen();
    }

    /// Opens the place that these settings name, and changes nothing.
    pub fn open(&self, settings: &LogSettings<'_>) -> Result<Opened, String> {
        open(settings).map(|(place, look)| Opened { place, look })
    }

    /// Changes place and form of the log, but not its levels.
    pub fn move_to(&self, opened: Opened) {
        self.desk.queue.move_to(opened.place);
        *self.desk.look.write() = opened.look;
    }

    /// Changes the form of a log that stays in its file, because that cannot be opened again.
    pub fn stay(&self, settings: &LogSettings<'_>) {
        let mut look = self.desk.look.write();
        (look.format, look.stamp) = (settings.format, settings.stamp.clone());
        drop(look);
        self.reopen();
    }

    /// Changes the levels.
    pub fn set_levels(&self, levels: &Levels) -> Result<(), String> {
        self.targets.reload(levels.targets()).map_err(|error| error.to_string())
    }

    /// Writes the lines that wait, if that does not take long.
    pub fn finish(&self) {
        for line in self.desk.report_suppressed(Moment::End) {
            self.desk.queue.push(line);
        }
        self.desk.queue.flush(LAST_LINES);
    }
}

/// Makes lines of events.
#[derive(Debug)]
struct Desk {
    look: RwLock<Look>,
    queue: Queue,
    limiter: Mutex<Kinds>,
    labels: RwLock<Labels>,
}

/// The limits, and the names of the kinds of lines. The limits know a kind by its number.
#[derive(Debug, Default)]
struct Kinds {
    limiter: Limiter,
    names: std::collections::BTreeMap<usize, (Level, String)>,
}

impl Desk {
    fn log(&self, kind: usize, mut record: Record) {
        if record.level() <= Level::INFO && !self.allows(kind, &record) {
            return;
        }
        record.label(&self.labels.read());
        self.queue.push(record.line(&self.look.read()));
    }

    fn allows(&self, kind: usize, record: &Record) -> bool {
        let mut kinds = self.limiter.lock();
        let allowed = kinds.limiter.allows(Instant::now(), kind, record.source());
        if !allowed {
            kinds.names.entry(kind).or_insert_with(|| (record.level(), record.event().to_owned()));
        }
        allowed
    }

    fn report_suppressed(&self, moment: Moment) -> Vec<String> {
        let mut kinds = self.limiter.lock();
        if !kinds.limiter.is_owing() {
            return Vec::new();
        }
        let suppressed = kinds.limiter.take_suppressed(Instant::now(), moment);
        let line = |suppressed: &limit::Suppressed| {
            let (level, event) = kinds.names.get(&suppressed.kind).cloned().unwrap_or((Level::INFO, String::new()));
            let mut fields = vec![("like", event), ("count", suppressed.count.to_string())];
            if !suppressed.source.is_empty() {
                fields.push(("from", suppressed.source.clone()));
            }
            let message = format!("{} more like this", suppressed.count);
            Record::own(level, "suppressed", message, fields).line(&self.look.read())
        };
        suppressed.iter().map(line).collect()
    }
}

impl Teller for Arc<Desk> {
    fn lost(&self, count: u64, reason: &str) -> String {
        let reason = if reason.is_empty() { "nobody read them in time" } else { reason };
        let fields = vec![("count", count.to_string()), ("reason", reason.to_owned())];
        let message = format!("{count} lines of the log are lost: {reason}");
        Record::own(Level::ERROR, "log_lost", message, fields).line(&self.look.read())
    }

    fn not_reopened(&self, error: &str) -> String {
        let message = format!("the log file cannot be opened again, so lines go to the old one: {error}");
        Record::own(Level::ERROR, "log_not_reopened", message, Vec::new()).line(&self.look.read())
    }

    fn due(&self) -> Vec<String> {
        self.report_suppressed(Moment::Now)
    }
}

/// Passes every event to the desk.
struct Lines(Arc<Desk>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Each log call has one description in memory, so its address identifies the call.
        let kind = std::ptr::from_ref(event.metadata()).addr();
        self.0.log(kind, Record::of(event));
    }
}

/// The place of these settings, and the form of lines there.
fn open(settings: &LogSettings<'_>) -> Result<(Place, Look), String> {
    let (place, dress) = match settings.file {
        Some(path) => {
            let place = Place::open(path).map_err(|error| format!("EventLogFile {}: {error}", path.display()))?;
            (place, Dress::Plain)
        }
        None => output().map_err(|error| format!("standard output: {error}"))?,
    };
    // The journal has times of its own.
    let stamp = if dress == Dress::Journal { Stamp::None } else { settings.stamp.clone() };
    Ok((place, Look { format: settings.format, dress, stamp }))
}

/// Standard output, and the form of lines there.
fn output() -> io::Result<(Place, Dress)> {
    let file = system::standard_output()?;
    let dress = if system::is_journal(&file)? {
        Dress::Journal
    } else if io::IsTerminal::is_terminal(&file) {
        Dress::Colours
    } else {
        Dress::Plain
    };
    Ok((Place::Output(file), dress))
}

/// Writes panics to the log, because operators look for the reason there.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let reason = panic.payload_as_str().unwrap_or("unknown");
        error!(name: "panic", place, "a fault in the daemon: {reason}");
    }));
}
