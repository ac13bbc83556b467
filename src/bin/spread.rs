//! The daemon program: arguments, log output, signals, and the user that it runs as. The library does everything else.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a program, above the I/O line")]

mod service {
    pub mod log;
    pub mod notify;
    #[cfg(windows)]
    #[path = "ordinary.rs"]
    pub mod privileges;
    #[cfg(unix)]
    pub mod privileges;
    #[cfg(unix)]
    pub mod unix;
    pub mod web;
    #[cfg(windows)]
    pub mod windows;
}
mod tools {
    pub mod plain;
}

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use parking_lot::Mutex;
use service::log::{self, Levels, Log, Precision, Stamp};
use service::notify::{Manager, Reporter};
use service::privileges::{self, Plan};
#[cfg(unix)]
use service::unix as system;
use service::web::Web;
#[cfg(windows)]
use service::windows as system;
use spread::config::{self, EntryError, Labels, Live, LogFormat, Settings};
use spread::daemon::files::{self, FileError, FilesInUse};
use spread::daemon::{Daemon, Exit, Handle, Options, Program};
use spread::net;
use tracing::{debug, info, warn};

/// The runtime directory of a machine, under both of its names.
const MACHINES_DIRECTORIES: [&str; 2] = ["/run/spread", "/var/run/spread"];
/// How many daemons an error names.
const SHOWN_DAEMONS: usize = 20;
/// The exit status that asks the service manager for a restart: "a temporary failure".
const RESTART_STATUS: u8 = 75;

#[path = "tools/password.rs"]
mod password;

const EXAMPLES: &str = "\
Examples:
  spread                      use spread.conf, or serve only this machine if there is none
  spread -c spread.conf       run the daemon of the file that has an address of this machine
  spread -n alpha             run the daemon alpha
  spread --check spread.conf  explain the file without starting a daemon
  spread --make-key torc.key  make a key for all daemons, which then seal their packets with --key-file torc.key

Without -c the file is spread.conf in the working directory, otherwise in /etc. The variable SPREAD_LOG sets what is \
logged: error, warn, info, debug, trace or off, or a level for each part as in spread::ring=debug,info. SPREAD_LOG_FORMAT=json \
makes each line of the log a JSON object.";

/// Daemon for ordered group messaging over several networks at once
#[derive(Clone, Debug, Parser)]
#[command(name = "spread", version, after_help = EXAMPLES)]
struct Arguments {
    /// Configuration file
    #[arg(short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run this daemon of the configuration
    #[arg(short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// Keep an event log; accepted for old scripts, the log has all events
    #[arg(short = 'l', value_name = "y|n")]
    event_log: Option<YesNo>,
    /// Check a configuration file, explain it, and exit; the default is the file that the daemon would use
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check: Option<Option<PathBuf>>,
    /// Print the checked file as the daemon reads it, with all defaults
    #[arg(long, requires = "check")]
    print: bool,
    /// Seal packets between daemons with the keys of this file, whatever KeyFile says
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Make a file with a new key for all daemons, and exit
    #[arg(long, value_name = "FILE")]
    make_key: Option<PathBuf>,
    /// Store the number of the last ring in this file, for machines whose clock may go backwards
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Run under the service manager, which starts the program with this option
    #[cfg(windows)]
    #[arg(long)]
    service: bool,
    /// Ask for a password, print the user's line for the file spread.access_pword, and exit
    #[arg(long, value_name = "USER")]
    make_password: Option<String>,
}

impl Arguments {
    /// Lets the options override the file, each time it is read.
    fn overrule(&self, settings: &mut Settings) {
        if let Some(file) = &self.key_file {
            settings.live.key_file = Some(file.display().to_string());
        }
    }
}

/// Reloads the files, and returns the changes in words.
type Reload = Box<dyn Fn() -> Result<String, String> + Send>;

/// Takes the handle of the running daemon, to stop it or to call the reload when the system says so.
type Watch = dyn Fn(Handle, Reload) -> Result<(), String>;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum YesNo {
    Y,
    N,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(user) = &arguments.make_password {
        return exit(make_password(user).map(|()| Exit::Stop));
    }
    let result = match &arguments.check {
        _ if arguments.make_key.is_some() => {
            arguments.make_key.iter().try_for_each(|file| make_key(file)).map(|()| Exit::Stop)
        }
        Some(file) => {
            let output = if arguments.print { CheckOutput::File } else { CheckOutput::Words };
            let file = file.as_deref().or(arguments.config.as_deref());
            check(&arguments, file, output).map(|()| Exit::Stop)
        }
        #[cfg(windows)]
        None if arguments.service => {
            system::serve(arguments.config.clone(), move |watch| run(&arguments, watch)).map(|()| Exit::Stop)
        }
        None => system::watcher().and_then(|watch| run(&arguments, &watch)),
    };
    exit(result)
}

/// The exit status, which the service manager reads.
fn exit(result: Result<Exit, String>) -> ExitCode {
    match result {
        Ok(Exit::Stop) => ExitCode::SUCCESS,
        Ok(Exit::Restart) => ExitCode::from(RESTART_STATUS),
        Err(message) => {
            // An error means that nobody reads the output.
            let _ = writeln!(io::stderr(), "spread: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Makes a line of the password file.
fn make_password(user: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{}", password::line(user)?).map_err(text)
}

/// Makes a key file and prints what to do with it.
fn make_key(file: &Path) -> Result<(), String> {
    let key = spread::daemon::make_key_file(file).map_err(text)?;
    let (cipher, file) = (key.cipher().name(), file.display());
    let place = format!("copy it to every daemon's machine, and set KeyFile = \"{file}\" in the configuration");
    writeln!(io::stdout(), "{file}: key {} for {cipher}; {place}", key.id()).map_err(text)
}

/// What `--check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckOutput {
    /// An explanation in words.
    Words,
    /// The file as the daemon reads it.
    File,
}

/// Checks a configuration file.
fn check(arguments: &Arguments, file: Option<&Path>, output: CheckOutput) -> Result<(), String> {
    let (Source { mut settings, .. }, name) = (source(file)?, arguments.name.as_deref());
    arguments.overrule(&mut settings);
    let addresses = net::local_addresses().unwrap_or_default();
    let me = match name {
        Some(_) => Some(own_entry(&settings, name, &addresses)?),
        None => settings.table.me(None, &addresses).ok(),
    };
    let log = check_log(&settings.live.log)?;
    let keys = check_files(&settings, me)?;
    if output == CheckOutput::File {
        return write!(io::stdout(), "{settings}").map_err(text);
    }
    write!(io::stdout(), "{}", config::explain(&settings, me)).map_err(text)?;
    let networks = me.map(|me| Options::from_settings(&settings, me).networks).unwrap_or_default();
    let shared = net::shared_wires(&networks);
    let shared = shared.iter().map(|shared| format!("on this machine {shared}"));
    let warnings = shared.chain(log).chain(keys);
    warnings.into_iter().try_for_each(|warning| writeln!(io::stdout(), "warning: {warning}")).map_err(text)
}

/// Problems of the log on this machine. An error if the daemon would not start with it.
fn check_log(settings: &config::Log) -> Result<Option<String>, String> {
    let Some(file) = log_file(settings)? else { return Ok(None) };
    let folder = file.parent().unwrap_or(Path::new("/"));
    let missing =
        format!("the folder {} of EventLogFile is not there: make it before the daemon starts", folder.display());
    Ok((!folder.is_dir()).then_some(missing))
}

/// Reads the files that a start reads, as the same users: an error if the daemon would not start with them. A missing key file is a
/// warning if no daemon of the file is this machine's, because the keys need not be here then.
fn check_files(settings: &Settings, me: Option<&config::Daemon>) -> Result<Option<String>, String> {
    let mut live = settings.live.clone();
    let missing = match (files::read_all(&mut live), me) {
        (Err(FileError::Keys(error)), None) if error.is_missing() => Some(error.to_string()),
        (result, _) => result.map(|_| None).map_err(text)?,
    };
    // An unknown user is no error here, because the machine that is meant may have it.
    if missing.is_none()
        && let Ok(plan) = Plan::new(&settings.process.user, &settings.process.group)
    {
        give_up_root(&plan, &settings.live)?;
    }
    Ok(missing)
}

/// Runs the daemon until a stop is requested.
fn run(arguments: &Arguments, watch: &Watch) -> Result<Exit, String> {
    let Source { file, mut settings } = source(arguments.config.as_deref())?;
    arguments.overrule(&mut settings);
    let process = &settings.process;
    privileges::forbid_new_privileges()?;
    let plan = Plan::new(&process.user, &process.group)?;
    let log = start_log(&settings.live.log, &plan)?;
    let _last_lines = LastLines(&log);
    let from = file.as_ref().map_or("built in".to_owned(), |file| file.display().to_string());
    info!(name: "starting", version = env!("CARGO_PKG_VERSION"), configuration = from, "spread starts");
    settings.warnings.iter().for_each(|warning| warn!(name: "configuration_warning", "{warning}"));
    if arguments.event_log.is_some() {
        info!(name: "option_ignored", "-l has no meaning here: the log has all events");
    }
    let descriptors = net::raise_descriptor_limit();
    let addresses = net::local_addresses().map_err(text)?;
    let me = own_entry(&settings, arguments.name.as_deref(), &addresses)?;
    log.set_labels(Labels::of(&settings.table));
    let mut options = Options::from_settings(&settings, me);
    options.owner = plan.owner();
    options.read_files().map_err(text)?;
    if let Some(descriptors) = descriptors {
        options.fit_descriptors(descriptors);
    }
    if settings.live.key_file.is_none() {
        warn!(
            name: "not_sealed",
            "the packets between daemons are neither authenticated nor encrypted: keep their networks private, or set KeyFile"
        );
    }
    if let Some(file) = &arguments.state {
        options.remember_in(absolute(file)?);
    }
    prepare(&plan, Path::new(&process.runtime_dir));
    let daemon = Daemon::start(options).map_err(text)?;
    let web = Web::start(&settings.live.web, daemon.handle())?;
    give_up_root(&plan, &settings.live)?;
    announce(&plan);
    let manager = Arc::new(Manager::of_this_process());
    let reload = {
        let (manager, handle) = (Arc::clone(&manager), daemon.handle());
        let shown = Shown { log: log.clone(), log_file: log_file(&settings.live.log)?, web };
        let shown = Arc::new(Mutex::new(shown));
        let (file, arguments) = (file.as_deref().map(absolute).transpose()?, arguments.clone());
        move || {
            manager.reloading();
            let result = on_reload(&arguments, file.as_deref(), &handle, &mut shown.lock());
            manager.reloaded();
            result
        }
    };
    daemon.handle().set_program(Program { reload: Box::new(reload.clone()), set_log: Box::new(level_setter(&log)) });
    watch(daemon.handle(), Box::new(reload))?;
    let where_clients_can =
        if daemon.has_all_client_addresses() { "" } else { ", except to the addresses named above" };
    info!(name: "started", name = me.name, id = %me.id, "clients can connect{where_clients_can}, the ring is being formed");
    let mut reporter = Reporter::new(&manager);
    let exit = daemon.run_with(|status| reporter.on_status(status));
    manager.stopping();
    info!(name: "ended", restart = exit == Exit::Restart, "spread ends");
    Ok(exit)
}

/// The outputs of the program: the log, and the pages by HTTP.
struct Shown {
    log: Log,
    /// The file of the log, if it goes to one.
    log_file: Option<PathBuf>,
    web: Web,
}

/// Reloads the files, after SIGHUP or spmonitor reload. An error must not end the daemon. Returns the changes in words.
fn on_reload(arguments: &Arguments, file: Option<&Path>, handle: &Handle, shown: &mut Shown) -> Result<String, String> {
    let log = &shown.log;
    let Some(file) = file else {
        log.reopen();
        if arguments.key_file.is_some() {
            handle.rekey();
        }
        let changes = "the log file is opened again; there is no configuration file";
        info!(name: "reloaded", "{changes}");
        return Ok(changes.to_owned());
    };
    let mut settings = files::read_again(file).map_err(text)?;
    arguments.overrule(&mut settings);
    let (wanted, places) = (settings.live.log.clone(), settings.live.web);
    let labels = Labels::of(&settings.table);
    let path = log_file(&wanted)?;
    let wanted_log = log_settings(&wanted, path.as_deref())?;
    // Before anything changes: a new log file that cannot be opened is a mistake. For the present one, which is opened again, it is not.
    let opened = match log.open(&wanted_log) {
        Err(error) if path != shown.log_file => return Err(error),
        opened => opened,
    };
    let changes = handle.reload(settings).map_err(text)?;
    log.set_labels(labels);
    let mut told = changes.to_string();
    match opened {
        Ok(opened) => log.move_to(opened),
        Err(error) => {
            log.stay(&wanted_log);
            told += &format!("; but the log file cannot be opened again: {error}");
        }
    }
    shown.log_file.clone_from(&path);
    if let Err(error) = shown.web.change(&places) {
        told += &format!("; but {error}");
        warn!(name: "web_closed", "metrics or status page cannot be served at the new address: {error}");
    }
    // SPREAD_LOG is the operator's choice for this run, so the file does not override it.
    let is_about_levels = |text: &str| text.starts_with("EventPriority ") || text.starts_with("DebugFlags ");
    if changes.now.iter().any(|change| is_about_levels(&change.text)) && std::env::var_os("SPREAD_LOG").is_none() {
        log.set_levels(&Levels::of(wanted.priority, wanted.flags.as_deref()))?;
    }
    info!(name: "reloaded", "the configuration is read again: {changes}");
    Ok(told)
}

/// A function that changes the levels of the log.
fn level_setter(log: &Log) -> impl Fn(&str) -> Result<String, String> + Send + Sync + 'static {
    let log = log.clone();
    move |levels| log.set_levels(&levels.parse()?).map(|()| String::new())
}

/// Makes the directory for the sockets, if possible; without it they are in `/tmp` only. The installation makes the directory into
/// which all programs look first, because only one daemon of a machine can have that.
fn prepare(plan: &Plan, directory: &Path) {
    if MACHINES_DIRECTORIES.iter().any(|machines| directory == Path::new(machines)) && !directory.exists() {
        return debug!(directory = %directory.display(), "the machine has no runtime directory: the sockets are in /tmp only");
    }
    if let Err(error) = plan.make_directory(directory) {
        let directory = directory.display();
        warn!(name: "runtime_dir_failed", %directory, %error, "the daemon has no runtime directory: its sockets are in /tmp only");
    }
}

/// Gives root up, if the plan says so. The files that a reload reads must still be readable: nobody would notice otherwise before the
/// first reload, which may be the one that changes the keys in a hurry.
fn give_up_root(plan: &Plan, live: &Live) -> Result<(), String> {
    // Root looks for the files, because the user may be unable to enter the working directory.
    let used = FilesInUse::of(live);
    plan.carry_out()?;
    match plan {
        Plan::Become(_) => used.read().map_err(|error| format!("{error}, because a reload reads the file again")),
        Plan::Ordinary | Plan::StayRoot(_) => Ok(()),
    }
}

/// Logs which user the daemon is now.
fn announce(plan: &Plan) {
    match plan {
        Plan::Ordinary => {}
        Plan::Become(account) => {
            info!(name: "root_given_up", account = %account, "root privileges are dropped for good")
        }
        Plan::StayRoot(reason) => warn!(
            name: "running_as_root",
            "running as root, because {reason}: name another DaemonUser, or let the service manager start the daemon as one"
        ),
    }
}

/// Settings, and their file; `None` for the built-in ones.
struct Source {
    file: Option<PathBuf>,
    settings: Settings,
}

/// The settings to use.
fn source(file: Option<&Path>) -> Result<Source, String> {
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => files::find_file(Path::new(files::DEFAULT_FILE)),
    };
    match file {
        Some(file) => Ok(Source { settings: files::read(&file).map_err(text)?, file: Some(file) }),
        None => Ok(Source { file: None, settings: Settings::localhost() }),
    }
}

/// The entry of this daemon in the configuration.
fn own_entry<'a>(
    settings: &'a Settings,
    name: Option<&str>,
    addresses: &[IpAddr],
) -> Result<&'a config::Daemon, String> {
    settings.table.me(name, addresses).map_err(|error| match error {
        EntryError::UnknownName(..) => error.to_string(),
        _ => {
            let own: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let daemons = settings.table.daemons.iter().take(SHOWN_DAEMONS);
            let theirs: Vec<String> = daemons.map(|daemon| format!("{} {}", daemon.name, daemon.id)).collect();
            format!("{error} (this machine has {}; the daemons are {})", own.join(", "), theirs.join(", "))
        }
    })
}

/// Begins to log.
fn start_log(settings: &config::Log, plan: &Plan) -> Result<Log, String> {
    let file = log_file(settings)?;
    let log = Log::start(&log_settings(settings, file.as_deref())?)?;
    if let Some(file) = &file
        && let Err(error) = plan.hand_over(file)
    {
        warn!(name: "log_owner", file = %file.display(), %error, "cannot give the log file to the daemon's user; reopening it may fail");
    }
    Ok(log)
}

/// The settings of the log. The environment overrides the configuration.
fn log_settings<'a>(settings: &config::Log, file: Option<&'a Path>) -> Result<log::LogSettings<'a>, String> {
    let levels = match std::env::var("SPREAD_LOG") {
        Ok(levels) if !levels.is_empty() => levels.parse().map_err(|error| format!("SPREAD_LOG: {error}"))?,
        _ => Levels::of(settings.priority, settings.flags.as_deref()),
    };
    let precision = if settings.precise { Precision::Microseconds } else { Precision::Format };
    let stamp = Stamp::new(settings.time_stamp.as_deref(), precision);
    Ok(log::LogSettings { levels, file, stamp, format: format(settings.format)? })
}

/// The format of the log. The environment overrides the configuration.
fn format(configured: LogFormat) -> Result<LogFormat, String> {
    match std::env::var("SPREAD_LOG_FORMAT").as_deref() {
        Err(_) | Ok("") => Ok(configured),
        Ok("text") => Ok(LogFormat::Text),
        Ok("json") => Ok(LogFormat::Json),
        Ok(other) => Err(format!("SPREAD_LOG_FORMAT: {other:?} is not a format: write text or json")),
    }
}

/// The file of the log, if it goes to one.
fn log_file(settings: &config::Log) -> Result<Option<PathBuf>, String> {
    settings.path(&host_name()).map(|path| absolute(Path::new(&path))).transpose()
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn host_name() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var(if cfg!(windows) { "COMPUTERNAME" } else { "HOSTNAME" }).ok());
    told.map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_string())
}

/// Writes the log's last lines, however the daemon ends.
struct LastLines<'a>(&'a Log);

impl Drop for LastLines<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
