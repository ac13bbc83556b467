//! The daemon program's use of Windows: stopping, standard output, the log file.
//!
//! The user at the console or the service manager stops the daemon. The service manager starts the program with `--service` and calls it
//! back on another thread. A service has no terminal, so an error at the start goes to the system's event log.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::windows::io::AsHandle;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tracing::{error, info};
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use spread::daemon::{Exit, Handle};

use crate::{Reload, Watch};

/// The name of the service. Windows does not check it, because the service has a process of its own.
const NAME: &str = "spread";
/// How long the service manager waits for a step of the start or the stop.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// The exit code of a service that could not start; the reason is in the event log.
const FAILED: u32 = 1;
/// The exit code that asks the service manager for a restart.
const RESTART: u32 = 75;

/// Runs a daemon, and passes its handle to the given function.
type Run = dyn FnOnce(&Watch) -> Result<Exit, String> + Send;

/// The work of the service manager's thread. It is here because that thread gets no argument.
static TASK: OnceLock<Mutex<Option<Box<Run>>>> = OnceLock::new();

define_windows_service!(enter_service, run_service);

/// The function that handles signals.
pub fn watcher() -> Result<impl Fn(Handle, Reload) -> Result<(), String>, String> {
    Ok(obey)
}

/// The first Ctrl-C or Ctrl-Break makes the daemon leave its ring and end; a second one ends it at once. Nothing reloads.
fn obey(handle: Handle, _reload: Reload) -> Result<(), String> {
    let asked = AtomicBool::new(false);
    let stop = move || {
        if asked.swap(true, Ordering::Relaxed) {
            process::exit(1);
        }
        info!(name: "stopping", "the daemon is asked to stop");
        handle.stop();
    };
    ctrlc::set_handler(stop).map_err(|error| error.to_string())
}

/// Standard output as a file.
pub fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// Always false: there is no journal.
pub fn is_journal(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Opens a log for appending.
pub fn open_log(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// Runs the daemon for the service manager until that stops it.
pub fn serve(
    config: Option<PathBuf>,
    run: impl FnOnce(&Watch) -> Result<Exit, String> + Send + 'static,
) -> Result<(), String> {
    enter_directory(config.as_deref()).map_err(|error| format!("the directory of the service: {error}"))?;
    let _ = TASK.set(Mutex::new(Some(Box::new(run))));
    service_dispatcher::start(NAME, enter_service).map_err(|error| {
        let cause = cause(&error);
        format!(
            "--service is for the service manager, which starts the program with it as docs/windows.md says: {cause}"
        )
    })
}

/// Changes the working directory: the service manager starts programs in the system's directory, but the files of the daemon are beside
/// its configuration, or beside the program if none is named.
fn enter_directory(config: Option<&Path>) -> io::Result<()> {
    let place = match config {
        Some(file) => file.to_owned(),
        None => env::current_exe()?,
    };
    match place.parent().filter(|parent| parent.is_absolute()) {
        Some(directory) => env::set_current_dir(directory),
        None => Ok(()),
    }
}

fn run_service(_arguments: Vec<OsString>) {
    let daemon: Arc<OnceLock<(Handle, Mutex<Reload>)>> = Arc::default();
    let running = Arc::clone(&daemon);
    let obey = move |control| obey_manager(control, running.get());
    let Ok(manager) = service_control_handler::register(NAME, obey) else { return };
    report(manager, ServiceState::StartPending, 0);
    let watch = move |handle, reload| {
        let _ = daemon.set((handle, Mutex::new(reload)));
        // The handle is set first. Stops are accepted only from here on, so each one finds it.
        report(manager, ServiceState::Running, 0);
        Ok(())
    };
    let task = TASK.get().and_then(|task| task.lock().ok()?.take());
    let code = match task.map_or(Ok(Exit::Stop), |run| run(&watch)) {
        Ok(Exit::Stop) => 0,
        Ok(Exit::Restart) => RESTART,
        Err(message) => {
            complain(&message);
            FAILED
        }
    };
    report(manager, ServiceState::Stopped, code);
}

/// Carries out a request of the service manager, if the daemon runs.
fn obey_manager(control: ServiceControl, daemon: Option<&(Handle, Mutex<Reload>)>) -> ServiceControlHandlerResult {
    match (control, daemon) {
        (ServiceControl::Stop | ServiceControl::Shutdown, Some((handle, _))) => {
            info!(name: "stopping", "the daemon is asked to stop");
            handle.stop();
        }
        (ServiceControl::ParamChange, Some((_, reload))) => {
            let result = reload.lock().map_or(Ok(String::new()), |reload| reload());
            if let Err(error) = result {
                error!(name: "reload_failed", error, "the reload is refused: everything stays as it was");
            }
        }
        (ServiceControl::Interrogate, _) => {}
        _ => return ServiceControlHandlerResult::NotImplemented,
    }
    ServiceControlHandlerResult::NoError
}

fn report(manager: ServiceStatusHandle, state: ServiceState, code: u32) {
    let running = state == ServiceState::Running;
    let accepted = if running {
        ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN | ServiceControlAccept::PARAM_CHANGE
    } else {
        ServiceControlAccept::empty()
    };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code: if code == 0 { ServiceExitCode::Win32(0) } else { ServiceExitCode::ServiceSpecific(code) },
        checkpoint: 0,
        wait_hint: if state == ServiceState::StartPending { STEP_TIMEOUT } else { Duration::ZERO },
        process_id: None,
    };
    if let Err(error) = manager.set_service_status(status) {
        complain(&format!("the service manager cannot be notified: {}", cause(&error)));
    }
}

/// The error of the system: the other error says only that there is one.
fn cause(error: &windows_service::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Writes an error to the event log of the system.
fn complain(message: &str) {
    eprintln!("spread: {message}");
    let event = ["/L", "APPLICATION", "/T", "ERROR", "/ID", "1", "/SO", NAME, "/D", message];
    // A system without the command loses the message; the exit code of the service remains.
    let _ = Command::new("eventcreate").args(event).output();
}
