//! The `torc_` functions of torc.h: daemons inside the program.
//!
//! A `torc_daemon` is a number in the clothes of a pointer: nobody follows it, so one that was stopped or made up is only
//! unknown. What went wrong stays behind as text, one for each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};
use std::time::Duration;

use super::{guard_or, memory};
use crate::config::{Settings, Table};
use crate::daemon::embedded::{self, Embedded, Error};
use crate::daemon::{Path, PathState, ReloadError, RunState, StartError};
use crate::wire::NetworkId;

/// Success.
pub const TORC_OK: c_int = 0;
/// An argument is NULL or out of range.
pub const TORC_BAD_ARGUMENT: c_int = -1;
/// The configuration cannot be read, has mistakes, or does not say which daemon to be.
pub const TORC_BAD_CONFIGURATION: c_int = -2;
/// A port or socket that the daemon needs is in use or cannot be opened.
pub const TORC_NO_PORT: c_int = -3;
/// The daemon with this name of this configuration runs already in this process.
pub const TORC_ALREADY_RUNNING: c_int = -4;
/// There is no such daemon in this process; perhaps it was stopped before.
pub const TORC_UNKNOWN_DAEMON: c_int = -5;
/// The system refused something that every program gets, or the process has too many daemons.
pub const TORC_SYSTEM: c_int = -6;
/// A fault inside the library.
pub const TORC_BUG: c_int = -7;

/// The daemon runs.
pub const TORC_RUNNING: c_int = 1;
/// The daemon failed; its clients have lost their connections. Stop it and start it again.
pub const TORC_CRASHED: c_int = 2;

/// The other daemon is not heard on any network.
pub const TORC_PATH_SILENT: c_int = 0;
/// The other daemon is heard on this network.
pub const TORC_PATH_HEALTHY: c_int = 1;
/// The other daemon is heard on another network, but not on this one.
pub const TORC_PATH_FAULTY: c_int = 2;
/// The other daemon is heard on this network again, but not for long yet, or has just switched it on, or many packets are lost.
pub const TORC_PATH_PROBATION: c_int = 3;
/// The other daemon has switched this network off.
pub const TORC_PATH_OFF: c_int = 4;

/// What a path's measures are before anything was measured.
pub const TORC_UNKNOWN: c_int = -1;

/// Bytes of a name, the NUL included.
pub const TORC_NAME_SIZE: usize = 20;

/// A daemon inside this process. It is never read or written by the program.
pub struct torc_daemon {
    _nothing: [u8; 0],
}

/// What a daemon is doing, at most a second old.
#[repr(C)]
pub struct torc_state {
    /// TORC_RUNNING or TORC_CRASHED.
    pub life: c_int,
    /// Daemons in the ring, this one included; 0 before the first ring is formed.
    pub daemons: c_int,
    /// Connected clients.
    pub clients: c_int,
    /// Networks.
    pub networks: c_int,
    /// The ring's state: gather, form, recovery or operational.
    pub ring_state: [c_char; TORC_NAME_SIZE],
    /// The number of the ring; it grows with each change.
    pub ring: u64,
    /// Messages delivered in order so far.
    pub messages: u64,
    /// Zero, for later versions.
    pub reserved: [u64; 8],
}

/// Another daemon on one network, as it is heard here.
#[repr(C)]
pub struct torc_path {
    /// The other daemon's name.
    pub daemon: [c_char; TORC_NAME_SIZE],
    /// The network, counted from 0.
    pub network: c_int,
    /// One of the states TORC_PATH_SILENT to TORC_PATH_OFF.
    pub state: c_int,
    /// Packets heard on it.
    pub heard: u64,
    /// Packets of which it brought the first copy.
    pub first: u64,
    /// How many thousandths of the other daemon's latest reports, 64 at most, were lost on the way here, or TORC_UNKNOWN.
    pub loss: c_int,
    /// How many thousandths of this daemon's latest reports were lost on the way there, as the other one says, or
    /// TORC_UNKNOWN.
    pub loss_there: c_int,
    /// Microseconds to the other daemon and back, smoothed, or TORC_UNKNOWN.
    pub round_trip: i64,
    /// Zero, for later versions.
    pub reserved: [u64; 2],
}

/// Why a function failed: the code, and what torc_error says.
pub(super) struct Failure(c_int, String);

impl Failure {
    pub(super) fn new(code: c_int, text: impl Display) -> Failure {
        Failure(code, text.to_string())
    }

    fn unknown() -> Failure {
        Failure::new(TORC_UNKNOWN_DAEMON, "there is no such daemon in this process; perhaps it was stopped before")
    }

    pub(super) fn missing(what: &str) -> Failure {
        Failure(TORC_BAD_ARGUMENT, format!("{what} is NULL"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match &error {
            Error::Configuration(_) | Error::Entry(_) => TORC_BAD_CONFIGURATION,
            Error::AlreadyRunning(_) => TORC_ALREADY_RUNNING,
            Error::Start(StartError::Network(_) | StartError::Clients(_)) => TORC_NO_PORT,
            Error::Start(StartError::Ring(_) | StartError::NoKeys) => TORC_BAD_CONFIGURATION,
            Error::Start(StartError::System(_)) | Error::TooMany => TORC_SYSTEM,
        };
        Failure::new(code, error)
    }
}

impl From<ReloadError> for Failure {
    fn from(error: ReloadError) -> Failure {
        let code = match &error {
            ReloadError::File(_) | ReloadError::NotOurs(_) => TORC_BAD_CONFIGURATION,
            ReloadError::Refused(_) => TORC_NO_PORT,
            ReloadError::Busy => TORC_SYSTEM,
        };
        Failure::new(code, error)
    }
}

/// The version of the package as C has it.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Runs an exported function and remembers why it failed.
pub(super) fn guard(function: impl FnOnce() -> Result<c_int, Failure>) -> c_int {
    let result = catch_unwind(AssertUnwindSafe(function))
        .unwrap_or_else(|_| Err(Failure::new(TORC_BUG, "a fault inside the library")));
    let (code, text) = result.map_or_else(|Failure(code, text)| (code, text), |number| (number, String::new()));
    set_error(&text);
    code
}

/// Leaves a text for torc_error.
pub(super) fn set_error(text: &str) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
}

/// Starts a daemon inside this process; its ports are open when this returns.
/// configuration is the name of a file, or the text of one if it has a brace. NULL or "" is the daemon "localhost" on
/// 127.0.0.1, port 4803. name is the daemon's name in the configuration; NULL or "" is the only one, or the one that has
/// an address of this machine. Programs connect to it as to any other, and those of this process by a shorter way.
/// Returns TORC_OK or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_start(
    configuration: *const c_char,
    name: *const c_char,
    daemon: *mut *mut torc_daemon,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has a place for the daemon there, or NULL.
        let daemon = unsafe { daemon.as_mut() }.ok_or_else(|| Failure::missing("daemon"))?;
        // SAFETY: the caller has two C strings, or NULL.
        let (configuration, name) =
            unsafe { (memory::text(configuration, Settings::FILE_LIMIT), memory::text(name, Table::NAME_LIMIT + 1)) };
        let number = start(|| embedded::start(&configuration, Some(name.as_str()).filter(|name| !name.is_empty())))?;
        *daemon = std::ptr::without_provenance_mut(number as usize);
        Ok(TORC_OK)
    })
}

/// Stops a daemon and waits until that is done. It leaves its ring at once, and its clients lose their connections.
/// Daemons that were not stopped are when the program exits; on Windows they only end, and the others find that out.
/// Returns TORC_OK, or TORC_UNKNOWN_DAEMON, also the second time.
#[unsafe(no_mangle)]
pub extern "C" fn torc_stop(daemon: *mut torc_daemon) -> c_int {
    guard(|| if embedded::stop(number(daemon)?) { Ok(TORC_OK) } else { Err(Failure::unknown()) })
}

/// Reads the configuration of a daemon again and takes over what it says otherwise: policy, priorities, times, limits and
/// rules for clients at once, other daemons and networks when all of the ring have read it. configuration is as for torc_start; NULL is the file or text that the daemon works by.
/// After an error, whose reason torc_error says, everything is as it was. Returns TORC_OK or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_reload(daemon: *mut torc_daemon, configuration: *const c_char) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        let given = !configuration.is_null();
        // SAFETY: the caller has a C string, or NULL.
        let configuration = given.then(|| unsafe { memory::text(configuration, Settings::FILE_LIMIT) });
        embedded.reload(configuration.as_deref())?;
        Ok(TORC_OK)
    })
}

/// What a daemon is doing. Returns TORC_OK or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_status(daemon: *mut torc_daemon, state: *mut torc_state) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        // SAFETY: the caller has a state there, or NULL.
        let state = unsafe { state.as_mut() }.ok_or_else(|| Failure::missing("state"))?;
        let status = embedded.handle().status();
        let configuration = status.configuration.as_ref();
        *state = torc_state {
            life: if embedded.handle().run_state() == RunState::Crashed { TORC_CRASHED } else { TORC_RUNNING },
            daemons: configuration.map_or(0, |configuration| configuration.members.len() as c_int),
            clients: c_int::try_from(status.clients).unwrap_or(c_int::MAX),
            networks: status.links.len() as c_int,
            ring_state: text(status.ring_state),
            ring: configuration.map_or(0, |configuration| configuration.ring.sequence),
            messages: status.ring.messages,
            reserved: [0; 8],
        };
        Ok(TORC_OK)
    })
}

/// The other daemons on each network, up to count of them. Returns how many there are, perhaps more than count, or a
/// negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_paths(daemon: *mut torc_daemon, paths: *mut torc_path, count: c_int) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        let room = usize::try_from(count).map_err(|_| Failure::new(TORC_BAD_ARGUMENT, "count is negative"))?;
        // SAFETY: the caller says that there are this many.
        let room = unsafe { memory::array_mut(paths, room) }.ok_or_else(|| Failure::missing("paths"))?;
        let paths = embedded.handle().status().paths;
        let shown = paths.iter().map(|path| Path { state: path.shown_state(&paths), ..*path });
        room.iter_mut().zip(shown).for_each(|(place, path)| *place = told(&embedded, &path));
        Ok(c_int::try_from(paths.len()).unwrap_or(c_int::MAX))
    })
}

/// The next change of a path. Changes are numbered from 1: number is that of the last one seen, at first 0, and becomes
/// that of this one; if it grows by more than 1, the ones between came too long ago. Waits for milliseconds at most.
/// Returns 1, or 0 if there was no change in that time or the daemon has ended, or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_next_path(
    daemon: *mut torc_daemon,
    number: *mut u64,
    path: *mut torc_path,
    milliseconds: c_int,
) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        // SAFETY: the caller has a number and a path there, or NULL.
        let (number, path) = unsafe { (number.as_mut(), path.as_mut()) };
        let number = number.ok_or_else(|| Failure::missing("number"))?;
        let path = path.ok_or_else(|| Failure::missing("path"))?;
        let patience = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
        let Some(event) = embedded.handle().next_path_event(*number, patience) else { return Ok(0) };
        (*number, *path) = (event.number, told(&embedded, &event.path));
        Ok(1)
    })
}

/// Begins or ends a failure drill: while it is on, everything that this daemon sends and receives on a network is lost.
/// Returns TORC_OK or a negative code.
#[unsafe(no_mangle)]
pub extern "C" fn torc_drill(daemon: *mut torc_daemon, network: c_int, on: c_int) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        let networks = embedded.networks();
        let number = u8::try_from(network).ok().filter(|&number| usize::from(number) < networks);
        let number = number.ok_or_else(|| Failure(TORC_BAD_ARGUMENT, format!("the daemon has {networks} networks")))?;
        match on {
            0 => embedded.handle().end_drill(NetworkId(number)),
            _ => embedded.handle().begin_drill(NetworkId(number)),
        }
        Ok(TORC_OK)
    })
}

/// What went wrong in this thread's last torc function, or "" if nothing did, or why SPREAD_EMBEDDED started no daemon
/// for its last SP_connect. The text lasts until the thread's next such call.
#[unsafe(no_mangle)]
pub extern "C" fn torc_error() -> *const c_char {
    guard_or(c"".as_ptr(), || LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr()))
}

/// The version of this library, which is not that of the interface.
#[unsafe(no_mangle)]
pub extern "C" fn torc_version() -> *const c_char {
    guard_or(c"".as_ptr(), || VERSION.as_ptr())
}

/// Starts a daemon whose thread takes none of the program's signals, and which ends no later than the program.
pub(super) fn start<T>(start: impl FnOnce() -> T) -> T {
    static ONCE: Once = Once::new();
    ONCE.call_once(stop_at_exit);
    without_signals(start)
}

#[cfg(unix)]
extern "C" fn stop_all() {
    let _ = catch_unwind(embedded::stop_all);
}

/// Nothing: when the library is informed of the end, all other threads are gone already, with whatever they held.
#[cfg(not(unix))]
fn stop_at_exit() {}

#[cfg(unix)]
fn stop_at_exit() {
    // SAFETY: the function takes nothing and returns nothing; it is forgotten when this library is unloaded.
    if unsafe { libc::atexit(stop_all) } != 0 {
        tracing::debug!("daemons in this process end with it, and not before");
    }
}

/// Threads that are started meanwhile have all signals blocked, as they inherit that.
#[cfg(unix)]
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    use std::mem::MaybeUninit;
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: both sets are ours; the second is written by the call before it is read by the other.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = start();
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}

/// There are no signals here.
#[cfg(not(unix))]
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    start()
}

fn number(daemon: *mut torc_daemon) -> Result<u64, Failure> {
    if daemon.is_null() { Err(Failure::missing("daemon")) } else { Ok(daemon.addr() as u64) }
}

pub(super) fn find(daemon: *mut torc_daemon) -> Result<Arc<Embedded>, Failure> {
    embedded::find(number(daemon)?).ok_or_else(Failure::unknown)
}

fn told(embedded: &Embedded, path: &Path) -> torc_path {
    torc_path {
        daemon: text(&embedded.name_of(path.daemon)),
        network: path.network.0.into(),
        state: match path.state {
            PathState::Silent => TORC_PATH_SILENT,
            PathState::Healthy => TORC_PATH_HEALTHY,
            PathState::Faulty => TORC_PATH_FAULTY,
            PathState::Probation => TORC_PATH_PROBATION,
            PathState::Off => TORC_PATH_OFF,
        },
        heard: path.heard,
        first: path.first,
        loss: thousandths(path.loss),
        loss_there: thousandths(path.loss_there),
        round_trip: path
            .round_trip
            .map_or(TORC_UNKNOWN.into(), |time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX)),
        reserved: [0; 2],
    }
}

fn thousandths(percent: Option<u8>) -> c_int {
    percent.map_or(TORC_UNKNOWN, |percent| c_int::from(percent) * 10)
}

/// A text as C has it, cut if it is too long.
fn text(text: &str) -> [c_char; TORC_NAME_SIZE] {
    let mut field = [0; TORC_NAME_SIZE];
    let front = &mut field[..TORC_NAME_SIZE - 1];
    front.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte as c_char);
    field
}
