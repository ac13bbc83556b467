//! Functions that no header declares, but old programs load or declare for themselves.

use std::ffi::{c_int, c_void};

use super::events::{EVENTS, EXIT, Handler, NO, priority_of, watch};
use super::flush::{FL_get_gid_offset_memb_mess, FL_get_num_vs_offset_memb_mess, FL_get_vs_set_offset_memb_mess};
use super::{guard, guard_or};

/// Returns 1 if a timer with this function, code and data is queued, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn E_in_queue(
    func: Option<unsafe extern "C" fn(c_int, *mut c_void)>,
    code: c_int,
    data: *mut c_void,
) -> c_int {
    guard(|| {
        let Some(function) = func else { return Ok(0) };
        Ok(c_int::from(EVENTS.lock().timers.contains(&Handler { function, code, data })))
    })
}

/// As E_detach_fd, at one priority only.
#[unsafe(no_mangle)]
pub extern "C" fn E_detach_fd_priority(fd: c_int, fd_type: c_int, priority: c_int) -> c_int {
    guard(|| {
        let (watch, priority) = (watch(fd, fd_type)?, priority_of(priority)?);
        if EVENTS.lock().files.detach_at(watch, priority) { Ok(0) } else { Err(NO) }
    })
}

/// As E_exit_events, also for signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn E_exit_events_async_safe() {
    guard_or((), || EXIT.ask());
}

/// Never did anything. Returns -1.
#[unsafe(no_mangle)]
pub extern "C" fn SP_query_groups() -> c_int {
    guard(|| Err(NO))
}

/// Never did anything. Returns -1.
#[unsafe(no_mangle)]
pub extern "C" fn SP_query_members() -> c_int {
    guard(|| Err(NO))
}

/// Where the group id lies in the body of a membership message.
#[unsafe(no_mangle)]
pub extern "C" fn SP_get_gid_offset_memb_mess() -> c_int {
    guard(|| Ok(FL_get_gid_offset_memb_mess()))
}

/// Where the number of members that came together lies in the body of a membership message.
#[unsafe(no_mangle)]
pub extern "C" fn SP_get_num_vs_offset_memb_mess() -> c_int {
    guard(|| Ok(FL_get_num_vs_offset_memb_mess()))
}

/// Where the members that came together begin in the body of a membership message.
#[unsafe(no_mangle)]
pub extern "C" fn SP_get_vs_set_offset_memb_mess() -> c_int {
    guard(|| Ok(FL_get_vs_set_offset_memb_mess()))
}
