//! How a mailbox is opened for C: by the short way if its daemon is inside this process, and if SPREAD_EMBEDDED says so,
//! after starting that daemon.
//!
//! A program that knows of no daemon is told on standard error why none was started, once for each reason.

use std::io::{self, Write};

use parking_lot::Mutex;

use super::embedded::{set_error, start};
use crate::client::{Address, ConnectError, ConnectOptions, Mailbox};
use crate::daemon::embedded;
use crate::system::environment;

/// The environment variable that names a configuration, and after a `#` the daemon to be.
const VARIABLE: &str = "SPREAD_EMBEDDED";
/// The environment variable that asks for the reason when no mailbox is opened.
const EXPLAIN_VARIABLE: &str = "SPREAD_EXPLAIN";

/// Opens a mailbox.
pub(super) fn connect(options: &ConnectOptions) -> Result<Mailbox, ConnectError> {
    let address = Address::parse(&options.daemon)?;
    if let Some(inside) = connect_inside(&address, options) {
        return inside;
    }
    let outcome = match Mailbox::connect(options) {
        Err(ConnectError::Unreachable) if start_wanted(&address) => match connect_inside(&address, options) {
            Some(inside) => inside,
            None => Mailbox::connect(options),
        },
        result => result,
    };
    outcome.inspect_err(|error| explain(&options.daemon, error))
}

/// Says on standard error why there is no mailbox, for who asks for that: programs see a number only.
fn explain(daemon: &str, error: &ConnectError) {
    if environment(EXPLAIN_VARIABLE).is_some() {
        // A reader that closed the output does not want it.
        let _ = writeln!(io::stderr(), "cannot connect to {daemon:?}: {error}");
    }
}

/// A mailbox at a daemon of this process, if one serves this address.
#[cfg(unix)]
fn connect_inside(address: &Address, options: &ConnectOptions) -> Option<Result<Mailbox, ConnectError>> {
    let (port, host) = place(address);
    let way = embedded::connect(port, host)?;
    // The stream has no address at which the daemon could be asked again.
    let message_limit = options.message_limit.or(Some(way.message_limit));
    Some(Mailbox::connect_over(way.stream, &ConnectOptions { message_limit, ..options.clone() }))
}

/// There is no shorter way here.
#[cfg(not(unix))]
fn connect_inside(_address: &Address, _options: &ConnectOptions) -> Option<Result<Mailbox, ConnectError>> {
    None
}

fn place(address: &Address) -> (u16, Option<&str>) {
    match address {
        Address::Local(port) => (*port, None),
        Address::Remote(host, port) => (*port, Some(host)),
    }
}

/// Starts the daemon that the variable names if a client would find it at this address. Whether there may be one now.
fn start_wanted(address: &Address) -> bool {
    static STARTING: Mutex<()> = Mutex::new(());
    let Some(wanted) = environment(VARIABLE).filter(|wanted| !wanted.is_empty()) else { return false };
    let (port, host) = place(address);
    if !host.is_none_or(embedded::is_here) {
        return false;
    }
    let _starting = STARTING.lock();
    match start(|| embedded::start_for(&wanted, port)) {
        Ok(started) => started.is_some(),
        Err(embedded::Error::AlreadyRunning(_)) => true,
        Err(error) => {
            complain(&format!("{VARIABLE}: {error}"));
            false
        }
    }
}

fn complain(text: &str) {
    static LAST: Mutex<String> = Mutex::new(String::new());
    set_error(text);
    let mut last = LAST.lock();
    if *last != text {
        // A closed standard error must not end the program.
        let _ = writeln!(io::stderr(), "{text}");
        text.clone_into(&mut last);
    }
}
