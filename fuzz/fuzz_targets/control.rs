//! Any bytes on the control socket of a daemon that runs. Each gets an answer or none, and the daemon goes on, unless it is told to end.
#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use spread::config::Settings;
use spread::daemon::{Options, RunState, Running, spawn};

thread_local! {
    /// The daemon that is asked.
    static DAEMON: RefCell<Option<Running>> = const { RefCell::new(None) };
}

fn socket() -> PathBuf {
    std::env::temp_dir().join(format!("torc-fuzz-control-{}", std::process::id()))
}

fn start() -> Running {
    let text = "Spread_Segment unicast:48031 unicast:48032 { solo 127.0.93.1 127.0.93.2 }";
    let settings = Settings::parse("f", text.as_bytes()).expect("a sound configuration");
    let mut options = Options::from_settings(&settings, &settings.table.daemons[0]);
    (options.unix_sockets, options.control_sockets) = (Vec::new(), vec![socket()]);
    spawn(options).expect("the ports of its own addresses are free")
}

fuzz_target!(|bytes: &[u8]| {
    DAEMON.with_borrow_mut(|daemon| {
        let running = daemon.get_or_insert_with(start);
        let mut stream = UnixStream::connect(socket()).expect("the daemon listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        // Who has said too much is not heard to the end.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.ends_with(b"\n"), "{}", answer.escape_ascii());
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if String::from_utf8_lossy(line).trim_ascii().starts_with("terminate") {
            *daemon = None;
        } else {
            assert_eq!(running.handle().run_state(), RunState::Running);
        }
    });
});
