//! The daemon program: arguments, log output and signals; everything else is a library call.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Mutex;
use std::thread;

use clap::{Parser, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use spread::daemon::config::{self, Configuration, Parameters, Priority};
use spread::daemon::{self, Handle, Options};
use spread::net;

const EXAMPLES: &str = "\
Examples:
  spread                      serve this machine alone, or as spread.conf says if there is one
  spread -c spread.conf       be the daemon of the file that has an address of this machine
  spread -n alpha             be the daemon alpha
  spread --check spread.conf  say what the file means and start nothing

Without -c the file is spread.conf in the working directory, otherwise in /etc. The variable SPREAD_LOG sets what is
logged: error, warn, info, debug, trace, or a level for each part as in spread::ring=debug,info.";

/// Ordered group messaging over several networks at once: the daemon
#[derive(Debug, Parser)]
#[command(name = "spread", version, after_help = EXAMPLES)]
struct Arguments {
    /// Configuration file
    #[arg(short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// Be this daemon of the configuration
    #[arg(short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// Keep an event log; accepted for old scripts, the log has all events
    #[arg(short = 'l', value_name = "y|n")]
    event_log: Option<YesNo>,
    /// Check a configuration file, explain it, and exit
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Remember the last ring in this file, for machines whose clock may go back
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum YesNo {
    Y,
    N,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.check {
        Some(file) => check(file, arguments.name.as_deref()),
        None => run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("spread: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Explains a configuration file.
fn check(file: &Path, name: Option<&str>) -> Result<(), String> {
    let configuration = Configuration::read(file).map_err(text)?;
    let addresses = net::local_addresses().unwrap_or_default();
    let me = match name {
        Some(_) => Some(configuration.me(name, &addresses).map_err(text)?),
        None => configuration.me(None, &addresses).ok(),
    };
    write!(io::stdout(), "{}", config::explain(&configuration, me)).map_err(text)?;
    let networks = me.map(|me| Options::from_configuration(&configuration, me).networks).unwrap_or_default();
    let shared = net::shared_wires(&networks);
    shared.iter().try_for_each(|shared| writeln!(io::stdout(), "warning: on this machine {shared}")).map_err(text)
}

/// Runs the daemon until it is told to stop.
fn run(arguments: &Arguments) -> Result<(), String> {
    let (source, configuration) = configuration(arguments)?;
    log_to(&configuration.parameters)?;
    info!(version = env!("CARGO_PKG_VERSION"), configuration = source, "spread starts");
    configuration.warnings.iter().for_each(|warning| warn!("{warning}"));
    warn!("the packets between daemons are neither authenticated nor encrypted: keep their networks private");
    if is_root() {
        warn!("running as root: let the service manager start the daemon as a user of its own");
    }
    if arguments.event_log.is_some() {
        info!("-l has no meaning here: the log has all events");
    }
    let descriptors = net::raise_descriptor_limit();
    let addresses = net::local_addresses().map_err(text)?;
    let me = configuration.me(arguments.name.as_deref(), &addresses).map_err(text)?;
    let mut options = Options::from_configuration(&configuration, me);
    options.read_access_files().map_err(text)?;
    descriptors.into_iter().for_each(|descriptors| options.fit_descriptors(descriptors));
    if let Some(file) = &arguments.state {
        options.remember_in(file.clone());
    }
    let daemon = daemon::Daemon::start(options).map_err(text)?;
    stop_on_signals(daemon.handle()).map_err(text)?;
    info!(name = me.name, id = %me.id, "ready");
    daemon.run();
    info!("spread ends");
    Ok(())
}

/// Whether this process may do anything.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

/// The configuration and where it is from.
fn configuration(arguments: &Arguments) -> Result<(String, Configuration), String> {
    let file = match &arguments.config {
        Some(file) => Some(file.clone()),
        None => config::find_file(Path::new(config::DEFAULT_FILE)),
    };
    match file {
        Some(file) => Ok((file.display().to_string(), Configuration::read(&file).map_err(text)?)),
        None => Ok(("built in".to_string(), Configuration::localhost())),
    }
}

/// Begins to log, where and what the configuration says unless SPREAD_LOG says otherwise.
fn log_to(parameters: &Parameters) -> Result<(), String> {
    let filter = EnvFilter::builder().with_default_directive(level(parameters.event_priority).into());
    let filter = filter.with_env_var("SPREAD_LOG").from_env().map_err(|error| format!("SPREAD_LOG: {error}"))?;
    let path = parameters.event_log_path(&host_name());
    let terminal = path.is_none() && io::stdout().is_terminal();
    let writer = match path {
        Some(path) => {
            let file = File::options().append(true).create(true).open(&path);
            BoxMakeWriter::new(Mutex::new(file.map_err(|error| format!("{path}: {error}"))?))
        }
        None => BoxMakeWriter::new(io::stdout),
    };
    let output = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(writer);
    match &parameters.event_time_stamp {
        Some(_) => output.init(),
        None => output.without_time().init(),
    }
    Ok(())
}

fn level(priority: Priority) -> LevelFilter {
    match priority {
        Priority::Debug => LevelFilter::DEBUG,
        Priority::Info => LevelFilter::INFO,
        Priority::Warning => LevelFilter::WARN,
        Priority::Error | Priority::Critical | Priority::Fatal => LevelFilter::ERROR,
    }
}

fn host_name() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let told = told.or_else(|| std::env::var("HOSTNAME").ok());
    told.map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_string())
}

/// The first signal lets the daemon leave its ring; the second does not wait for that.
fn stop_on_signals(handle: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            info!("told to stop");
            handle.stop();
        }
        if signals.next().is_some() {
            process::exit(1);
        }
    };
    thread::Builder::new().name("signals".to_string()).spawn(wait).map(|_| ())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
