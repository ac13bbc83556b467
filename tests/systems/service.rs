//! The daemon as a service of Windows: the service manager starts it, sees it run, and stops it.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use spread::client::doze;

use super::system::{System, await_text, free_port};

const PATIENCE: Duration = Duration::from_secs(30);
/// The system's SERVICE_CONTROL_PARAMCHANGE. Wine's sc cannot send it.
const PARAM_CHANGE: &str = "6";

/// Asks the service manager.
fn sc(system: &System, arguments: &[&str]) -> String {
    let mut command = system.command("sc".as_ref());
    let output = command.args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// Waits until the service manager says this of the service.
fn await_state(system: &System, name: &str, state: &str) {
    let begun = Instant::now();
    loop {
        let answer = sc(system, &["query", name]);
        if answer.contains(state) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not {state}: {answer}");
        doze(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_runs_the_daemon_as_a_service() {
    let (windows, here) = (System::windows(), System::here());
    let port = free_port();
    let name = format!("torc-test-{port}");
    let (file, log) = (windows.scratch().join("service.conf"), windows.scratch().join("service.log"));
    let _ = fs::remove_file(&log);
    let text = format!(
        "Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\nEventLogFile = \"service.log\"\n"
    );
    fs::write(&file, &text).unwrap();
    // Wine ends its service manager with the last program that is none of its own.
    let other = windows.scratch().join("other.conf");
    let others =
        format!("Spread_Segment unicast:{} {{ other 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n", free_port());
    fs::write(&other, others).unwrap();
    let _other = windows.daemon(&other, "other");
    let program = windows.path(&windows.program("spread"));
    let line = format!("{program} --service -c {} -n solo", windows.path(&file)).replace('/', "\\");
    sc(&windows, &["create", &name, "binPath=", &line]);
    sc(&windows, &["start", &name]);
    // The name of the log is relative: a service works where its configuration is.
    await_text(&log, "ready");
    await_state(&windows, &name, "RUNNING");
    let program = here.compile("tests/c/core.c");
    here.run(&program, &[format!("{port}@127.0.0.1")]);
    fs::write(&file, format!("{text}MaxSessionMessages = 500\n")).unwrap();
    windows.run(&windows.compile("tests/windows/control.c"), &[&name, PARAM_CHANGE]);
    await_text(&log, "MaxSessionMessages");
    sc(&windows, &["stop", &name]);
    await_text(&log, "spread ends");
    await_state(&windows, &name, "STOPPED");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
    sc(&windows, &["delete", &name]);
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_says_why_a_service_is_none_at_the_prompt() {
    let windows = System::windows();
    let output = windows.command(&windows.program("spread")).arg("--service").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("(os error "), "{errors}");
}
