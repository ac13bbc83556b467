//! paths CONFIGURATION NAME: be a daemon of a ring and show how the others are heard on each network.
//!
//! The input may say `cut N` and `heal N` for a failure drill on network N; its end is the end of the daemon.

#![expect(clippy::disallowed_methods, reason = "a program, above the I/O line")]

use std::error::Error;
use std::io::stdin;
use std::path::Path;
use std::process::exit;
use std::thread;
use std::time::Duration;

use spread::daemon::{self, Handle, Options, RunState, files};
use spread::wire::NetworkId;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, name] = &arguments[..] else {
        eprintln!("usage: paths CONFIGURATION NAME");
        exit(2);
    };
    let settings = files::read(Path::new(file))?;
    let me = settings.table.me(Some(name), &[])?;
    let running = daemon::spawn(Options::from_settings(&settings, me))?;
    let handle = running.handle().clone();
    thread::spawn(move || obey(&handle));
    let mut seen = 0;
    while running.handle().run_state() == RunState::Running {
        let Some(event) = running.handle().next_path_event(seen, Duration::from_secs(60)) else { continue };
        seen = event.number;
        let other = settings.table.daemons.iter().find(|daemon| daemon.id == event.path.daemon);
        let other = other.map_or("?", |daemon| &daemon.name);
        let state = format!("{:?}", event.path.state).to_lowercase();
        println!("{other} on network {}: {state}", event.path.network.0);
    }
    running.stop();
    Ok(())
}

fn obey(handle: &Handle) {
    for line in stdin().lines().map_while(Result::ok) {
        match line.split_once(' ').map(|(order, network)| (order, network.parse())) {
            Some(("cut", Ok(network))) => handle.begin_drill(NetworkId(network)),
            Some(("heal", Ok(network))) => handle.end_drill(NetworkId(network)),
            _ => println!("say: cut N, or heal N"),
        }
    }
    handle.stop();
}
