//! Corosync through its library libcpg, which is loaded if it is installed. Callbacks receive its messages, and queue them for the
//! thread that waits in the dispatcher.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};

use super::library::{Library, Received, Service, Session, Views};

/// The file name of the installed library.
const FILE: &str = "libcpg.so.4";
const OK: c_int = 1;
const TRY_AGAIN: c_int = 6;
const DISPATCH_ONE: c_int = 1;
const AGREED: c_int = 2;
/// The pause before a call is tried again.
const RETRY_PAUSE: Duration = Duration::from_micros(200);
/// Bytes of a group name.
const NAME: usize = 128;

#[repr(C)]
struct GroupName {
    length: u32,
    value: [u8; NAME],
}

#[repr(C)]
struct Piece {
    base: *const c_void,
    length: usize,
}

type Deliver = extern "C" fn(u64, *const GroupName, u32, u32, *mut c_void, usize);
type Change = extern "C" fn(u64, *const GroupName, *const c_void, usize, *const c_void, usize, *const c_void, usize);

#[repr(C)]
struct Callbacks {
    deliver: Deliver,
    change: Change,
}

#[derive(Clone, Copy)]
struct Calls {
    initialize: unsafe extern "C" fn(*mut u64, *mut Callbacks) -> c_int,
    finalize: unsafe extern "C" fn(u64) -> c_int,
    join: unsafe extern "C" fn(u64, *const GroupName) -> c_int,
    leave: unsafe extern "C" fn(u64, *const GroupName) -> c_int,
    multicast: unsafe extern "C" fn(u64, c_int, *const Piece, c_uint) -> c_int,
    dispatch: unsafe extern "C" fn(u64, c_int) -> c_int,
}

/// The library.
pub struct Cpg {
    calls: Calls,
    _loaded: Loaded,
}

impl Cpg {
    /// Loads the library.
    pub fn load() -> Result<Cpg, String> {
        let complain = |error: libloading::Error| format!("corosync's library cannot be loaded: {error}");
        // SAFETY: this is the system's own library; its symbols stay local.
        let loaded = unsafe { Loaded::open(Some(FILE), RTLD_NOW | RTLD_LOCAL) }.map_err(complain)?;
        // SAFETY: the library's interface fixes the types of these functions.
        let calls = unsafe {
            Calls {
                initialize: *loaded.get(b"cpg_initialize").map_err(complain)?,
                finalize: *loaded.get(b"cpg_finalize").map_err(complain)?,
                join: *loaded.get(b"cpg_join").map_err(complain)?,
                leave: *loaded.get(b"cpg_leave").map_err(complain)?,
                multicast: *loaded.get(b"cpg_mcast_joined").map_err(complain)?,
                dispatch: *loaded.get(b"cpg_dispatch").map_err(complain)?,
            }
        };
        Ok(Cpg { calls, _loaded: loaded })
    }
}

impl Library for Cpg {
    fn connect(&self, _daemon: &str, _name: &str, _views: Views) -> Result<Arc<dyn Session>, String> {
        let (mut handle, mut callbacks) = (0, Callbacks { deliver, change });
        // SAFETY: both live during the call, which copies the callbacks.
        let code = again(|| unsafe { (self.calls.initialize)(&mut handle, &mut callbacks) });
        if code != OK {
            return Err(format!("cannot connect to corosync: {code}"));
        }
        Ok(Arc::new(Member { calls: self.calls, handle }))
    }
}

struct Member {
    calls: Calls,
    handle: u64,
}

/// What a callback received: a view's size, or a body.
enum Got {
    View(usize),
    Body(Vec<u8>),
}

thread_local! {
    static GOT: RefCell<VecDeque<Got>> = const { RefCell::new(VecDeque::new()) };
}

extern "C" fn deliver(_: u64, _: *const GroupName, _: u32, _: u32, body: *mut c_void, length: usize) {
    // SAFETY: the library passes this many bytes, which live during the call.
    let body = unsafe { std::slice::from_raw_parts(body.cast::<u8>(), length) };
    GOT.with_borrow_mut(|got| got.push_back(Got::Body(body.to_vec())));
}

extern "C" fn change(
    _: u64,
    _: *const GroupName,
    _: *const c_void,
    members: usize,
    _: *const c_void,
    _: usize,
    _: *const c_void,
    _: usize,
) {
    GOT.with_borrow_mut(|got| got.push_back(Got::View(members)));
}

impl Session for Member {
    fn join(&self, group: &str) -> Result<(), String> {
        let name = name(group);
        // SAFETY: the name is there for the call.
        worked("join", again(|| unsafe { (self.calls.join)(self.handle, &name) }))
    }

    fn leave(&self, group: &str) -> Result<(), String> {
        let name = name(group);
        // SAFETY: the name is there for the call.
        worked("leave", again(|| unsafe { (self.calls.leave)(self.handle, &name) }))
    }

    fn multicast(&self, _: Service, _: &str, body: &[u8]) -> Result<(), String> {
        let piece = Piece { base: body.as_ptr().cast(), length: body.len() };
        // SAFETY: there is one piece, which lives during the call.
        worked("send", again(|| unsafe { (self.calls.multicast)(self.handle, AGREED, &piece, 1) }))
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<Received, String> {
        loop {
            match GOT.with_borrow_mut(VecDeque::pop_front) {
                Some(Got::View(members)) => return Ok(Received::View(members)),
                Some(Got::Body(body)) => {
                    let room = buffer.get_mut(..body.len()).ok_or("a message does not fit")?;
                    room.copy_from_slice(&body);
                    return Ok(Received::Message(body.len()));
                }
                None => {}
            }
            // SAFETY: the handle is open.
            worked("receive", again(|| unsafe { (self.calls.dispatch)(self.handle, DISPATCH_ONE) }))?;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // SAFETY: the handle is open.
        unsafe { (self.calls.finalize)(self.handle) };
    }
}

/// Repeats a call until the library no longer answers "try again".
fn again(mut call: impl FnMut() -> c_int) -> c_int {
    loop {
        match call() {
            TRY_AGAIN => thread::sleep(RETRY_PAUSE),
            code => return code,
        }
    }
}

fn worked(what: &str, code: c_int) -> Result<(), String> {
    if code == OK { Ok(()) } else { Err(format!("cannot {what}: {code}")) }
}

fn name(group: &str) -> GroupName {
    let mut value = [0; NAME];
    let length = group.len().min(NAME);
    value[..length].copy_from_slice(&group.as_bytes()[..length]);
    GroupName { length: length as u32, value }
}
