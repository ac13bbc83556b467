//! Connecting and disconnecting, authentication methods, the version.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use super::errors::Code;
use super::events::sp_time;
use super::types::*;
use super::{guard, guard_or, inside, memory};
#[cfg(unix)]
use crate::client;
use crate::client::{Address, AuthMethod, ConnectError, ConnectOptions, Mailbox, registry};
use crate::system::environment;
use crate::wire::{LIBRARY_LIMIT, MethodName, PrivateName, Version};

/// The environment variable that says how large messages a program may send, whatever its daemon says.
const MESSAGE_LIMIT_VARIABLE: &str = "SPREAD_MAX_MESSAGE";

/// The environment variable that, when it is not empty, keeps this library from ignoring SIGPIPE.
#[cfg(unix)]
const KEEP_SIGPIPE_VARIABLE: &str = "SPREAD_KEEP_SIGPIPE";

/// What programs keep in place of a mailbox that is not open. The classic library takes it for one that is closed.
const NO_MAILBOX: mailbox = -1;

/// The program's part of an authentication method. It gets the socket and the program's data, and returns non-zero for
/// success.
type AuthFunction = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

/// Connects to a daemon: "port" on this machine, "port@host" elsewhere, NULL or "" for port 4803 on this machine. If
/// private_name is NULL or "", the daemon invents a name; a name is cut to 10 characters. With group_membership the
/// connection receives membership messages. private_group is an array of MAX_GROUP_NAME bytes. Returns ACCEPT_SESSION
/// or a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_connect(
    spread_name: *const c_char,
    private_name: *const c_char,
    priority: c_int,
    group_membership: c_int,
    mbox: *mut mailbox,
    private_group: *mut c_char,
) -> c_int {
    guard(|| {
        ignore_broken_pipes();
        // SAFETY: the caller's pointers, as this function's.
        let options = unsafe { options(spread_name, private_name, priority, group_membership) };
        // SAFETY: as above.
        unsafe { connect(&options, mbox, private_group) }
    })
}

/// Like SP_connect, with a time limit; zero means no limit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_connect_timeout(
    spread_name: *const c_char,
    private_name: *const c_char,
    priority: c_int,
    group_membership: c_int,
    mbox: *mut mailbox,
    private_group: *mut c_char,
    time_out: sp_time,
) -> c_int {
    guard(|| {
        ignore_broken_pipes();
        // SAFETY: the caller's pointers, as this function's.
        let options = unsafe { options(spread_name, private_name, priority, group_membership) };
        // SAFETY: as above.
        unsafe { connect(&ConnectOptions { timeout: limit(time_out), ..options }, mbox, private_group) }
    })
}

/// Ignores SIGPIPE for the whole process, once, as the classic library does at its first connect: programs that write to
/// pipes and sockets of their own live on it without knowing. A disposition that the program chose stays. So does the
/// default if the user of the program says so.
pub(super) fn ignore_broken_pipes() {
    #[cfg(unix)]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            if environment(KEEP_SIGPIPE_VARIABLE).is_none_or(|kept| kept.is_empty()) {
                client::ignore_default_sigpipe();
            }
        });
    }
}

pub(super) unsafe fn options(
    spread_name: *const c_char,
    private_name: *const c_char,
    priority: c_int,
    group_membership: c_int,
) -> ConnectOptions {
    ConnectOptions {
        // SAFETY: the caller has a C string or NULL.
        daemon: unsafe { memory::text(spread_name, Address::LIMIT + 1) },
        // SAFETY: the same.
        private_name: unsafe { memory::text(private_name, PrivateName::LIMIT) },
        priority: u8::from(priority > 0),
        membership: group_membership != 0,
        message_limit: message_limit(environment(MESSAGE_LIMIT_VARIABLE)),
        ..ConnectOptions::default()
    }
}

unsafe fn connect(options: &ConnectOptions, mbox: *mut mailbox, private_group: *mut c_char) -> Result<c_int, Code> {
    // SAFETY: the caller has a mailbox and an array of 32 bytes there.
    let (mbox, private_group) = unsafe { (mbox.as_mut(), private_group.cast::<[u8; MAX_GROUP_NAME]>().as_mut()) };
    let (Some(mbox), Some(private_group)) = (mbox, private_group) else { return Err(Code(ILLEGAL_SESSION)) };
    let opened = inside::connect(options).and_then(registry::enter).inspect_err(|&error| {
        if error == ConnectError::TimedOut {
            set_timeout_errno();
        }
    })?;
    Ok(accepted(&opened, mbox, private_group))
}

/// Tells the program its mailbox and private group.
pub(super) fn accepted(opened: &Mailbox, mbox: &mut mailbox, private_group: &mut [u8; MAX_GROUP_NAME]) -> c_int {
    *mbox = opened.descriptor();
    *private_group = *opened.private_group().field();
    ACCEPT_SESSION
}

/// Bytes in one message if the user of the program says so, but never less than every classic daemon survives.
fn message_limit(wanted: Option<String>) -> Option<usize> {
    let wanted: usize = wanted?.trim().parse().ok()?;
    Some(wanted.max(LIBRARY_LIMIT))
}

/// The time limit that a program asks for; none if it is not positive.
fn limit(time: sp_time) -> Option<Duration> {
    Some(time.duration()).filter(|limit| !limit.is_zero())
}

/// Stores the reason in errno, where C programs look for it.
fn set_timeout_errno() {
    #[cfg(target_os = "linux")]
    // SAFETY: the address is this thread's own errno.
    unsafe {
        *libc::__errno_location() = libc::ETIMEDOUT;
    }
}

/// Closes a connection. Returns 0, or ILLEGAL_SESSION for an unknown mailbox. For -1, which is never a mailbox, it
/// returns 0.
#[unsafe(no_mangle)]
pub extern "C" fn SP_disconnect(mbox: mailbox) -> c_int {
    guard(|| {
        if mbox != NO_MAILBOX {
            registry::forget(mbox).ok_or(Code(ILLEGAL_SESSION))?.disconnect();
        }
        Ok(0)
    })
}

/// Closes the mailbox in this process without telling the daemon. It is for one of the two processes after a fork.
#[unsafe(no_mangle)]
pub extern "C" fn SP_kill(mbox: mailbox) {
    guard_or((), || drop(registry::forget(mbox)));
}

/// Registers one authentication method for later connects, in place of all others. Returns 1, or 0 if it is invalid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_set_auth_method(
    auth_name: *const c_char,
    auth_function: Option<unsafe extern "C" fn(c_int, *mut c_void) -> c_int>,
    auth_data: *mut c_void,
) -> c_int {
    guard(|| {
        ignore_broken_pipes();
        // SAFETY: the caller has a C string or NULL.
        let method = unsafe { auth_method(auth_name, auth_function, auth_data) };
        Ok(c_int::from(method.is_some_and(|method| registry::register_methods(vec![method]))))
    })
}

/// Registers up to three authentication methods for later connects, in place of all others. Returns 1, or 0 if one of
/// them is invalid; then nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_set_auth_methods(
    num_methods: c_int,
    auth_name: *mut *const c_char,
    auth_function: *mut Option<unsafe extern "C" fn(c_int, *mut c_void) -> c_int>,
    auth_data: *mut *mut c_void,
) -> c_int {
    guard(|| {
        ignore_broken_pipes();
        let count = usize::try_from(num_methods).unwrap_or(usize::MAX);
        if count > AuthMethod::LIMIT {
            return Ok(0);
        }
        // SAFETY: the caller has three arrays of this many elements.
        let arrays = unsafe {
            (
                memory::array(auth_name.cast_const(), count),
                memory::array(auth_function.cast_const(), count),
                memory::array(auth_data.cast_const(), count),
            )
        };
        let (Some(names), Some(functions), Some(data)) = arrays else { return Ok(0) };
        let methods = names.iter().zip(functions).zip(data).map(|((&name, &function), &data)| {
            // SAFETY: the caller has a C string or NULL in each place.
            unsafe { auth_method(name, function, data) }
        });
        Ok(c_int::from(methods.collect::<Option<Vec<_>>>().is_some_and(registry::register_methods)))
    })
}

unsafe fn auth_method(name: *const c_char, function: Option<AuthFunction>, data: *mut c_void) -> Option<AuthMethod> {
    /// The program's data, which it may share among threads at its own risk, as it always could.
    struct Data(*mut c_void);
    // SAFETY: we only hand the pointer back to the program.
    unsafe impl Send for Data {}
    // SAFETY: the same.
    unsafe impl Sync for Data {}

    // SAFETY: the caller has a C string or NULL.
    let (function, name) = (function?, unsafe { memory::up_to(name, MethodName::SIZE) }?);
    let data = Data(data);
    let conversation = move |descriptor| {
        let Data(data) = &data;
        // SAFETY: the program registered this function to be called with this data.
        unsafe { function(descriptor, *data) != 0 }
    };
    AuthMethod::new(&name, Arc::new(conversation))
}

/// The version of the programming interface. Returns 1, or 0 if a pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_version(
    major_version: *mut c_int,
    minor_version: *mut c_int,
    patch_version: *mut c_int,
) -> c_int {
    guard(|| {
        // SAFETY: the caller has three numbers there, or NULL.
        let numbers = unsafe { (major_version.as_mut(), minor_version.as_mut(), patch_version.as_mut()) };
        let (Some(major), Some(minor), Some(patch)) = numbers else { return Ok(0) };
        let Version { major: ours, minor: our_minor, patch: our_patch } = Version::OURS;
        (*major, *minor, *patch) = (ours.into(), our_minor.into(), our_patch.into());
        Ok(1)
    })
}

/// The mailbox of this number. The number -1 is never open, and counts as a mailbox with a lost connection.
pub(super) fn find(mbox: mailbox) -> Result<Arc<Mailbox>, Code> {
    let unknown = if mbox == NO_MAILBOX { NET_ERROR_ON_SESSION } else { ILLEGAL_SESSION };
    registry::find(mbox).ok_or(Code(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_the_message_limit_but_never_less_than_the_classic_one() {
        for (wanted, limit) in [("16777216", Some(16 << 20)), (" 200000 ", Some(200_000)), ("10", Some(LIBRARY_LIMIT))]
        {
            assert_eq!(message_limit(Some(wanted.to_string())), limit, "{wanted}");
        }
        assert_eq!((message_limit(Some("many".to_string())), message_limit(None)), (None, None));
    }
}
