//! How the tools that need a daemon open their session: with a limit of time, and with an error that names the daemon.

use std::time::Duration;

use spread::client::{ConnectOptions, Mailbox};

/// The longest that connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Opens a session, in time or not at all.
pub fn open(options: ConnectOptions) -> Result<Mailbox, String> {
    let options = ConnectOptions { timeout: Some(CONNECT_LIMIT), ..options };
    Mailbox::connect(&options).map_err(|error| format!("cannot connect to {}: {error}", options.daemon))
}
