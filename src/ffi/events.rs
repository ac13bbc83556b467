//! The classic event loop: timers and descriptors, with functions of the program as handlers.
//!
//! One set of registrations for the whole process. No lock is held while a handler runs, so it may call everything
//! here.

#![expect(clippy::disallowed_types, reason = "above the I/O line: programs ask for the time")]

use std::cmp::Ordering;
use std::ffi::{c_int, c_long, c_void};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::errors::Code;
use super::{guard, guard_or};
use crate::client::events::{self, Attached, Call, Events, Exit, FileEvent, Priority, WatchedFile};
use crate::client::{doze, monotonic, wait_for};

/// Lowest priority: the loop calls at most one handler in each round.
pub const LOW_PRIORITY: c_int = 0;
/// Middle priority: the loop calls all ready handlers, in rounds without a ready one of the highest priority.
pub const MEDIUM_PRIORITY: c_int = 1;
/// Highest priority: the loop calls all ready handlers.
pub const HIGH_PRIORITY: c_int = 2;

/// File descriptors with events, for each priority.
pub const MAX_FD_EVENTS: c_int = 2000;
/// How many priorities there are.
pub const NUM_PRIORITY: c_int = 3;
/// How many kinds of file events there are.
pub const NUM_FDTYPES: c_int = 3;
/// File event: readable.
pub const READ_FD: c_int = 0;
/// File event: writable.
pub const WRITE_FD: c_int = 1;
/// File event: exception.
pub const EXCEPT_FD: c_int = 2;

/// A time, or a length of time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct dummy_time {
    /// Seconds.
    pub sec: c_long,
    /// Microseconds.
    pub usec: c_long,
}
/// The name that programs use.
pub type sp_time = dummy_time;

/// Microseconds of a second.
const MICROSECONDS: i128 = 1_000_000;

impl sp_time {
    fn microseconds(self) -> i128 {
        i128::from(self.sec) * MICROSECONDS + i128::from(self.usec)
    }

    /// The time with microseconds from 0 to 999999; the longest time if this one is out of range.
    fn from_microseconds(time: i128) -> sp_time {
        let seconds = time.div_euclid(MICROSECONDS).clamp(c_long::MIN.into(), c_long::MAX.into());
        sp_time { sec: seconds as c_long, usec: time.rem_euclid(MICROSECONDS) as c_long }
    }

    fn from_duration(time: Duration) -> sp_time {
        sp_time::from_microseconds(i128::try_from(time.as_micros()).unwrap_or(i128::MAX))
    }

    /// The length of time; nothing if it is negative.
    pub(super) fn duration(self) -> Duration {
        Duration::from_micros(u64::try_from(self.microseconds().max(0)).unwrap_or(u64::MAX))
    }
}

type TimerFunction = unsafe extern "C" fn(c_int, *mut c_void);
type FileFunction = unsafe extern "C" fn(c_int, c_int, *mut c_void);

/// A function of the program with the arguments it is registered with. Two are the same if all three parts are.
#[derive(Clone, Copy)]
pub(super) struct Handler<F> {
    pub(super) function: F,
    pub(super) code: c_int,
    pub(super) data: *mut c_void,
}

// SAFETY: the data is only handed back to the program, which may share it among threads at its own risk, as it always
// could.
unsafe impl<F: Send> Send for Handler<F> {}

impl Handler<TimerFunction> {
    fn identity(&self) -> (usize, c_int, usize) {
        (self.function as usize, self.code, self.data as usize)
    }
}

impl Ord for Handler<TimerFunction> {
    fn cmp(&self, other: &Handler<TimerFunction>) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl PartialOrd for Handler<TimerFunction> {
    fn partial_cmp(&self, other: &Handler<TimerFunction>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Handler<TimerFunction> {
    fn eq(&self, other: &Handler<TimerFunction>) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Handler<TimerFunction> {}

pub(super) static EVENTS: Mutex<Events<Handler<TimerFunction>, Handler<FileFunction>>> = Mutex::new(Events::new());
pub(super) static EXIT: Exit = Exit::new();

/// What the functions here return when something is not there or not possible.
pub(super) const NO: Code = Code(-1);

/// Removes all timers and descriptors. Returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn E_init() -> c_int {
    guard(|| {
        *EVENTS.lock() = Events::new();
        Ok(0)
    })
}

/// The time since the beginning of 1970.
#[unsafe(no_mangle)]
pub extern "C" fn E_get_time() -> sp_time {
    guard_or(sp_time::default(), || {
        sp_time::from_duration(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    })
}

/// The time of a clock that nobody can set; only the difference of two times has a meaning.
#[unsafe(no_mangle)]
pub extern "C" fn E_get_time_monotonic() -> sp_time {
    guard_or(sp_time::default(), || sp_time::from_duration(monotonic()))
}

/// The sum of two times.
#[unsafe(no_mangle)]
pub extern "C" fn E_add_time(t: sp_time, delta_t: sp_time) -> sp_time {
    guard_or(sp_time::default(), || sp_time::from_microseconds(t.microseconds() + delta_t.microseconds()))
}

/// The difference of two times. Its microseconds are never negative; its seconds may be.
#[unsafe(no_mangle)]
pub extern "C" fn E_sub_time(t: sp_time, delta_t: sp_time) -> sp_time {
    guard_or(sp_time::default(), || sp_time::from_microseconds(t.microseconds() - delta_t.microseconds()))
}

/// The negative of a time.
#[unsafe(no_mangle)]
pub extern "C" fn E_neg_time(t: sp_time) -> sp_time {
    guard_or(sp_time::default(), || sp_time::from_microseconds(-t.microseconds()))
}

/// Returns 1 if the first time is later, -1 if it is earlier, and 0 if they are equal.
#[unsafe(no_mangle)]
pub extern "C" fn E_compare_time(t1: sp_time, t2: sp_time) -> c_int {
    guard(|| Ok(t1.microseconds().cmp(&t2.microseconds()) as c_int))
}

/// Sleeps. A signal ends the sleep early.
#[unsafe(no_mangle)]
pub extern "C" fn E_delay(t: sp_time) {
    guard_or((), || doze(t.duration()));
}

/// Starts a timer: when this time has passed, the loop calls func once with code and data. If a timer with the same
/// function, code and data exists, it gets the new time. Returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn E_queue(
    func: Option<unsafe extern "C" fn(code: c_int, data: *mut c_void)>,
    code: c_int,
    data: *mut c_void,
    delta_time: sp_time,
) -> c_int {
    guard(|| {
        let due = monotonic().saturating_add(delta_time.duration());
        let call = Handler { function: func.ok_or(NO)?, code, data };
        if EVENTS.lock().timers.queue(call, due) { Ok(0) } else { Err(NO) }
    })
}

/// Cancels a timer. Returns 0, or -1 if there is none with this function, code and data.
#[unsafe(no_mangle)]
pub extern "C" fn E_dequeue(
    func: Option<unsafe extern "C" fn(code: c_int, data: *mut c_void)>,
    code: c_int,
    data: *mut c_void,
) -> c_int {
    guard(|| {
        let call = Handler { function: func.ok_or(NO)?, code, data };
        if EVENTS.lock().timers.dequeue(&call) { Ok(0) } else { Err(NO) }
    })
}

/// Registers func: the loop calls it with descriptor, code and data whenever the descriptor is ready for fd_type
/// (READ_FD, WRITE_FD or EXCEPT_FD). Returns 0, or 1 if it replaced the handler for the same event and priority, or -1
/// if the descriptor cannot be watched or MAX_FD_EVENTS descriptors are watched already.
#[unsafe(no_mangle)]
pub extern "C" fn E_attach_fd(
    fd: c_int,
    fd_type: c_int,
    func: Option<unsafe extern "C" fn(fd: c_int, code: c_int, data: *mut c_void)>,
    code: c_int,
    data: *mut c_void,
    priority: c_int,
) -> c_int {
    guard(|| {
        let handler = Handler { function: func.ok_or(NO)?, code, data };
        let (watch, priority) = (watch(fd, fd_type)?, priority_of(priority)?);
        match EVENTS.lock().files.attach(watch, priority, handler).ok_or(NO)? {
            Attached::New => Ok(0),
            Attached::Replaced => Ok(1),
        }
    })
}

/// Removes the handlers of this event. Returns 0, or -1 if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn E_detach_fd(fd: c_int, fd_type: c_int) -> c_int {
    guard(|| {
        let watch = watch(fd, fd_type)?;
        if EVENTS.lock().files.detach(watch) { Ok(0) } else { Err(NO) }
    })
}

/// Activates the handlers of this event again. Returns 0, or -1 if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn E_activate_fd(fd: c_int, fd_type: c_int) -> c_int {
    guard(|| set_active(watch(fd, fd_type)?, true))
}

/// Deactivates the handlers of this event. Returns 0, or -1 if there are none.
#[unsafe(no_mangle)]
pub extern "C" fn E_deactivate_fd(fd: c_int, fd_type: c_int) -> c_int {
    guard(|| set_active(watch(fd, fd_type)?, false))
}

/// Serves only descriptors of this priority and higher ones. Returns the priority, or -1 if it is invalid.
#[unsafe(no_mangle)]
pub extern "C" fn E_set_active_threshold(priority: c_int) -> c_int {
    guard(|| {
        EVENTS.lock().files.set_threshold(priority_of(priority)?);
        Ok(priority)
    })
}

/// The number of active handlers of a priority, or -1 if it is invalid.
#[unsafe(no_mangle)]
pub extern "C" fn E_num_active(priority: c_int) -> c_int {
    guard(|| Ok(EVENTS.lock().files.active(priority_of(priority)?) as c_int))
}

/// Calls handlers until one of them calls E_exit_events.
#[unsafe(no_mangle)]
pub extern "C" fn E_handle_events() {
    guard_or((), || {
        EXIT.rearm();
        events::run(&EVENTS, &EXIT, monotonic, wait, |call| {
            // SAFETY: the program registered the functions to be called with these arguments.
            unsafe {
                match call {
                    Call::Timer(timer) => (timer.function)(timer.code, timer.data),
                    Call::File(descriptor, file) => (file.function)(descriptor, file.code, file.data),
                }
            }
        });
    });
}

/// Ends the loop after the current handler.
#[unsafe(no_mangle)]
pub extern "C" fn E_exit_events() {
    guard_or((), || EXIT.ask());
}

/// Waits for these, or for the end of the loop.
fn wait(watches: &[WatchedFile], limit: Option<Duration>) -> Vec<bool> {
    let bell = EXIT.descriptor().map(|descriptor| WatchedFile { descriptor, event: FileEvent::Readable });
    let mut ready = wait_for(&[watches, bell.as_slice()].concat(), limit);
    ready.truncate(watches.len());
    ready
}

fn set_active(watch: WatchedFile, active: bool) -> Result<c_int, Code> {
    if EVENTS.lock().files.set_active(watch, active) { Ok(0) } else { Err(NO) }
}

pub(super) fn watch(descriptor: c_int, fd_type: c_int) -> Result<WatchedFile, Code> {
    let event = match fd_type {
        READ_FD => FileEvent::Readable,
        WRITE_FD => FileEvent::Writable,
        EXCEPT_FD => FileEvent::Exceptional,
        _ => return Err(NO),
    };
    Ok(WatchedFile { descriptor, event })
}

pub(super) fn priority_of(priority: c_int) -> Result<Priority, Code> {
    match priority {
        LOW_PRIORITY => Ok(Priority::Low),
        MEDIUM_PRIORITY => Ok(Priority::Medium),
        HIGH_PRIORITY => Ok(Priority::High),
        _ => Err(NO),
    }
}
