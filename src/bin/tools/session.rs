//! Opens the session of a tool, with a time-out, and with an error that names the daemon.

use std::time::Duration;

use spread::client::{ConnectOptions, Mailbox};

/// The time-out of connecting.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Opens a session.
pub fn open(options: ConnectOptions) -> Result<Mailbox, String> {
    let options = ConnectOptions { timeout: Some(CONNECT_LIMIT), ..options };
    Mailbox::connect(&options).map_err(|error| format!("cannot connect to {}: {error}", options.daemon))
}
