//! The daemon program's use of Unix: signals, standard output, the log file.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tracing::{error, info};

use spread::daemon::Handle;

use crate::Reload;

/// Catches SIGHUP from now on, so that it does not end a daemon that is still starting. The function that is returned handles all signals.
pub fn watcher() -> Result<impl Fn(Handle, Reload) -> Result<(), String>, String> {
    let early = Arc::new(AtomicBool::new(false));
    flag::register(SIGHUP, Arc::clone(&early)).map_err(|error| error.to_string())?;
    Ok(move |handle, reload| obey(handle, reload, &early))
}

/// Handles signals. SIGHUP reloads, also if it was early. SIGINT or SIGTERM makes the daemon leave its ring and end; a second one ends it
/// at once.
fn obey(handle: Handle, reload: Reload, early: &AtomicBool) -> Result<(), String> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let early = early.load(Ordering::SeqCst);
    let reload = move || {
        if let Err(error) = reload() {
            error!(name: "reload_failed", error, "the reload is refused: everything stays as it was");
        }
    };
    let obey = move || {
        if early {
            reload();
        }
        let mut stopping = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => reload(),
                _ if stopping => process::exit(1),
                _ => {
                    info!(name: "stopping", signal, "a signal asks the daemon to stop");
                    stopping = true;
                    handle.stop();
                }
            }
        }
    };
    let thread = thread::Builder::new().name("signals".to_string()).spawn(obey);
    thread.map(|_| ()).map_err(|error| error.to_string())
}

/// Standard output as a file.
pub fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether this file is the journal's stream, as the service manager says.
pub fn is_journal(file: &File) -> io::Result<bool> {
    let file = file.metadata()?;
    Ok(env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", file.dev(), file.ino())))
}

/// Opens a log for appending. A pipe that nobody reads is an error; without `O_NONBLOCK` we would wait for a reader.
pub fn open_log(path: &Path) -> io::Result<File> {
    let file = File::options().append(true).create(true).custom_flags(libc::O_NONBLOCK).open(path);
    file.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::new(error.kind(), "nobody reads this pipe"),
        _ => error,
    })
}
