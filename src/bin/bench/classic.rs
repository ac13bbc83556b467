//! A library with the classic C interface: ours, which is a part of this program, or one from a file. Both are called through the same
//! table of C functions.

use std::ffi::{CString, c_char, c_int, c_short};
use std::sync::Arc;

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW, Symbol};
use spread::ffi;

use super::library::{Library, Received, Service, Session, Views};

/// Bytes of a group name.
const NAME: usize = ffi::MAX_GROUP_NAME;
/// Room for members of a view and groups of a message.
const GROUPS: usize = 4096;

type Name = [c_char; NAME];
type Connect = unsafe extern "C" fn(*const c_char, *const c_char, c_int, c_int, *mut c_int, *mut c_char) -> c_int;
type Group = unsafe extern "C" fn(c_int, *const c_char) -> c_int;
type Multicast = unsafe extern "C" fn(c_int, c_int, *const c_char, c_short, c_int, *const c_char) -> c_int;
type Receive = unsafe extern "C" fn(
    c_int,
    *mut c_int,
    *mut c_char,
    c_int,
    *mut c_int,
    *mut Name,
    *mut c_short,
    *mut c_int,
    c_int,
    *mut c_char,
) -> c_int;
type Disconnect = unsafe extern "C" fn(c_int) -> c_int;

/// The functions of a library, as long as it is loaded.
#[derive(Clone, Copy)]
struct Calls {
    connect: Connect,
    join: Group,
    leave: Group,
    multicast: Multicast,
    receive: Receive,
    disconnect: Disconnect,
}

/// A library with the classic interface.
pub struct Classic {
    calls: Calls,
    /// Keeps the library loaded.
    _loaded: Option<Loaded>,
}

impl Classic {
    /// The library in this program.
    pub fn ours() -> Classic {
        extern "C" fn disconnect(mailbox: c_int) -> c_int {
            ffi::SP_disconnect(mailbox)
        }
        let calls = Calls {
            connect: ffi::SP_connect,
            join: ffi::SP_join,
            leave: ffi::SP_leave,
            multicast: ffi::SP_multicast,
            receive: ffi::SP_receive,
            disconnect,
        };
        Classic { calls, _loaded: None }
    }

    /// The library in this file.
    pub fn load(file: &str) -> Result<Classic, String> {
        let complain = |error: libloading::Error| {
            let text = error.to_string();
            format!("{file} is not a library with the classic interface: {}", text.lines().next().unwrap_or_default())
        };
        // SAFETY: the user named the library, and so lets its code run; its symbols stay local.
        let loaded = unsafe { Loaded::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.map_err(complain)?;
        // SAFETY: the classic interface fixes the types of these functions.
        let calls = unsafe {
            Calls {
                connect: *symbol::<Connect>(&loaded, "SP_connect").map_err(complain)?,
                join: *symbol::<Group>(&loaded, "SP_join").map_err(complain)?,
                leave: *symbol::<Group>(&loaded, "SP_leave").map_err(complain)?,
                multicast: *symbol::<Multicast>(&loaded, "SP_multicast").map_err(complain)?,
                receive: *symbol::<Receive>(&loaded, "SP_receive").map_err(complain)?,
                disconnect: *symbol::<Disconnect>(&loaded, "SP_disconnect").map_err(complain)?,
            }
        };
        Ok(Classic { calls, _loaded: Some(loaded) })
    }
}

unsafe fn symbol<T>(library: &Loaded, name: &str) -> Result<Symbol<T>, libloading::Error> {
    // SAFETY: the caller knows the type.
    unsafe { library.get(name.as_bytes()) }
}

impl Library for Classic {
    fn connect(&self, daemon: &str, name: &str, views: Views) -> Result<Arc<dyn Session>, String> {
        let (c_daemon, c_name) = (text(daemon)?, text(name)?);
        let (mut mailbox, mut private_group) = (-1, [0; NAME]);
        let (calls, group) = (self.calls, private_group.as_mut_ptr());
        let wants = c_int::from(views == Views::Wanted);
        // SAFETY: the strings end with NUL, and the results have the sizes of the interface.
        let code = unsafe { (calls.connect)(c_daemon.as_ptr(), c_name.as_ptr(), 0, wants, &mut mailbox, group) };
        if code != ffi::ACCEPT_SESSION {
            return Err(format!("cannot connect to {daemon}: {code}"));
        }
        Ok(Arc::new(Mailbox { calls, mailbox }))
    }
}

struct Mailbox {
    calls: Calls,
    mailbox: c_int,
}

impl Session for Mailbox {
    fn join(&self, group: &str) -> Result<(), String> {
        let name = text(group)?;
        // SAFETY: the string ends with NUL.
        worked("join", unsafe { (self.calls.join)(self.mailbox, name.as_ptr()) })
    }

    fn leave(&self, group: &str) -> Result<(), String> {
        let name = text(group)?;
        // SAFETY: the string ends with NUL.
        worked("leave", unsafe { (self.calls.leave)(self.mailbox, name.as_ptr()) })
    }

    fn multicast(&self, service: Service, group: &str, body: &[u8]) -> Result<(), String> {
        let (name, length) = (text(group)?, length(body)?);
        let multicast = self.calls.multicast;
        // SAFETY: the string ends with NUL, and the body has this length.
        worked("send", unsafe {
            multicast(self.mailbox, bits(service), name.as_ptr(), 0, length, body.as_ptr().cast())
        })
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<Received, String> {
        thread_local! {
            static GROUP_NAMES: std::cell::RefCell<Vec<Name>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let (mut service, mut groups, mut mess_type, mut endian) = (0, 0, 0, 0);
        let (mut sender, room) = ([0; NAME], length(buffer)?);
        let code = GROUP_NAMES.with_borrow_mut(|names| {
            names.resize(GROUPS, [0; NAME]);
            // SAFETY: every result has the size that is passed.
            unsafe {
                (self.calls.receive)(
                    self.mailbox,
                    &mut service,
                    sender.as_mut_ptr(),
                    GROUPS as c_int,
                    &mut groups,
                    names.as_mut_ptr(),
                    &mut mess_type,
                    &mut endian,
                    room,
                    buffer.as_mut_ptr().cast(),
                )
            }
        });
        let received = usize::try_from(code).map_err(|_| format!("cannot receive: {}", reason(code)))?;
        Ok(if service & ffi::REGULAR_MESS != 0 {
            Received::Message(received)
        } else if service & ffi::REG_MEMB_MESS != 0 {
            Received::View(usize::try_from(groups).unwrap_or(0))
        } else {
            Received::Other
        })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // SAFETY: the function takes any number.
        unsafe { (self.calls.disconnect)(self.mailbox) };
    }
}

fn bits(service: Service) -> c_int {
    match service {
        Service::Reliable => ffi::RELIABLE_MESS,
        Service::Fifo => ffi::FIFO_MESS,
        Service::Causal => ffi::CAUSAL_MESS,
        Service::Agreed => ffi::AGREED_MESS,
        Service::Safe => ffi::SAFE_MESS,
    }
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a NUL"))
}

fn length(bytes: &[u8]) -> Result<c_int, String> {
    c_int::try_from(bytes.len()).map_err(|_| "a body of more than 2 GiB".to_owned())
}

/// The meaning of a code. Codes that the user can do something about are explained.
fn reason(code: c_int) -> String {
    match code {
        ffi::CONNECTION_CLOSED | ffi::NET_ERROR_ON_SESSION => {
            "the daemon closed the connection, perhaps because this client lagged: see MaxSessionMessages".to_owned()
        }
        code => format!("code {code}"),
    }
}

fn worked(what: &str, code: c_int) -> Result<(), String> {
    if code < 0 { Err(format!("cannot {what}: {}", reason(code))) } else { Ok(()) }
}
