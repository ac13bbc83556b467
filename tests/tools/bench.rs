//! The benchmark: at daemons that run already, in namespaces of its own, and beside another library; and the page that it draws.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Daemon, SPBENCH, Tool, expect_failure, run, text};

fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(test);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn records(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs the benchmark with few and short measurements at a daemon that runs already.
fn bench_at(daemon: &Daemon, directory: &Path, more: &[&str]) -> Vec<Value> {
    let (json, html) = (directory.join("run.jsonl"), directory.join("run.html"));
    let at = format!("{0},{0}", daemon.address);
    let options = ["--at", &at, "--seconds", "0.2", "--sizes", "100,1200,100000", "--services", "agreed,fifo"];
    let few = ["--fractions", "0.2", "--rates", "500", "--groups", "5", "--sessions", "3", "--changes", "3"];
    let mut command = Command::new(SPBENCH);
    command.args(options).args(few).args(more).arg("--json").arg(&json).arg("--html").arg(&html);
    let output = run(&mut command, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    records(&json)
}

#[test]
fn daemons_that_run_already_are_measured_and_the_messages_verified() {
    let daemon = Daemon::start();
    let directory = directory("bench-at");
    let records = bench_at(&daemon, &directory, &[]);
    assert_eq!(records[0]["record"], "run");
    let cases: Vec<&str> = records[1..].iter().map(|record| record["case"].as_str().unwrap()).collect();
    let flows = ["throughput", "throughput", "throughput", "latency", "latency"];
    assert_eq!(cases, [&flows[..], &flows, &["groups", "sessions", "membership"]].concat());
    for record in &records[1..] {
        assert_eq!(record["ok"], true, "{record}");
        let counted = record["messages_per_s"].as_f64().is_some_and(|rate| rate > 0.0) || record["changes"] == 6;
        assert!(counted, "{record}");
    }
    let paced = records.iter().find(|record| record["rate"] == 500.0).unwrap();
    assert_eq!(paced["sent"], 120, "500 a second, over 0.2 s and a fifth of that before");
}

/// A browser must draw every picture, and any reader of XML must find it sound; which of them is there is tried.
#[test]
fn the_report_is_a_page_that_a_browser_draws() {
    let daemon = Daemon::start();
    let directory = directory("bench-page");
    bench_at(&daemon, &directory, &["--cases", "throughput,latency,membership"]);
    let html = directory.join("run.html");
    let page = fs::read_to_string(&html).unwrap();
    let pictures = page.matches("<svg").count();
    assert_eq!((pictures, page.matches("<polyline").count()), (3, 6), "sizes of 2 services, 2 loads of each of 2");
    for elsewhere in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    if is_installed("python3") {
        let count = "import sys, xml.etree.ElementTree as tree\nprint(sum(1 for e in tree.parse(sys.argv[1]).iter() if e.tag.endswith('svg')))";
        let output = run(Command::new("python3").args(["-c", count]).arg(&html), "");
        assert_eq!(text(&output.stdout).trim(), pictures.to_string(), "{output:?}");
    }
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_installed(name))
    else {
        let _ = writeln!(io::stderr(), "the report is not opened: there is no chromium");
        return;
    };
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    let output = run(command.arg(format!("file://{}", html.display())), "");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(dom.matches("<polyline").count(), 6, "{log}");
    assert!(dom.contains("complete, in order") && !log.contains("CONSOLE"), "{log}");
    let picture = directory.join("page.png");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,2000"]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    command.arg(format!("--screenshot={}", picture.display())).arg(format!("file://{}", html.display()));
    run(&mut command, "");
    assert!(fs::metadata(picture).unwrap().len() > 20_000, "an empty page takes less");
}

#[test]
fn another_library_is_loaded_and_compared_pair_by_pair() {
    let daemon = Daemon::start();
    // Beside the test programs: cargo links it next to the tools only when the library itself was asked for.
    let library = std::env::current_exe().unwrap().with_file_name("libspread.so");
    let directory = directory("bench-library");
    let more = ["--cases", "throughput,latency", "--rounds", "2", "--reference-lib", library.to_str().unwrap()];
    let records = bench_at(&daemon, &directory, &more);
    let ratios: Vec<&Value> = records.iter().filter(|record| record["record"] == "ratio").collect();
    assert!(ratios.len() >= 10, "{ratios:#?}");
    for ratio in ratios {
        let value = |key: &str| ratio[key].as_f64().unwrap();
        assert_eq!((&ratio["against"], &ratio["pairs"]), (&"other library".into(), &2.into()));
        assert!(value("low") > 0.0 && value("low") <= value("median") && value("median") <= value("high"), "{ratio}");
    }
    let page = fs::read_to_string(directory.join("run.html")).unwrap();
    assert!(page.contains("Side by side") && page.contains("other library"));
    let again = directory.join("again.html");
    let output = run(Command::new(SPBENCH).arg("draw").arg(directory.join("run.jsonl")).arg("-o").arg(&again), "");
    assert_eq!((output.status.code(), fs::read_to_string(again).unwrap()), (Some(0), page), "{output:?}");
}

#[test]
fn a_network_is_cut_and_a_daemon_killed_in_namespaces_that_are_gone_afterwards() {
    if !may_make_namespaces() {
        return;
    }
    let directory = directory("bench-rig");
    let json = directory.join("run.jsonl");
    let options = ["--nodes", "2", "--seconds", "0.3", "--services", "agreed", "--sizes", "1200"];
    let mut command = Command::new(SPBENCH);
    command.args(options).args(["--cases", "throughput,gap,membership", "--changes", "3", "--json"]).arg(&json);
    let output = run(&mut command, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let records = records(&json);
    let cases: Vec<&str> = records[1..].iter().map(|record| record["case"].as_str().unwrap()).collect();
    assert_eq!(cases, ["throughput", "gap", "membership", "crash"]);
    assert!(records[1..].iter().all(|record| record["ok"] == true), "{records:#?}");
    assert_eq!(records[2]["silences"].as_array().unwrap().len(), 100);
    assert!(records[4]["told_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_calm_system_is_measured_and_its_daemons_are_killed_stopped_and_cut_off() {
    if !may_make_namespaces() {
        return;
    }
    let directory = directory("bench-calm");
    let json = directory.join("run.jsonl");
    let options = ["--nodes", "2", "--seconds", "0.3", "--services", "agreed", "--idle-seconds", "1"];
    let mut command = Command::new(SPBENCH);
    command.args(options).args(["--cases", "calm", "--json"]).arg(&json);
    let output = run(&mut command, "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let records = records(&json);
    let cases: Vec<&str> = records[1..].iter().map(|record| record["case"].as_str().unwrap()).collect();
    assert_eq!(cases, ["calm", "calm", "calm", "calm", "idle", "crash", "stop", "cut", "leave"]);
    assert!(records[1..].iter().all(|record| record["ok"] == true), "{records:#?}");
    assert_eq!(records[5]["daemons_percent"].as_array().unwrap().len(), 2);
    for blow in &records[6..] {
        assert!(blow["told_ms"].as_f64().unwrap() > 0.0 && blow["back_ms"].as_f64().unwrap() > 0.0, "{blow}");
    }
}

#[test]
fn an_interrupted_run_takes_its_namespaces_away() {
    if !may_make_namespaces() {
        return;
    }
    let mut bench =
        Tool::start(Command::new(SPBENCH).args(["--cases", "throughput", "--seconds", "0.5", "--rounds", "100"]));
    bench.expect("messages/s");
    let namespaces = || {
        let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
        text(&output.stdout).contains(&format!("spbench{}-", bench.child.id()))
    };
    assert!(namespaces());
    // SAFETY: the child is not waited for yet.
    assert_eq!(unsafe { libc::kill(bench.child.id() as libc::pid_t, libc::SIGINT) }, 0);
    let id = bench.child.id();
    bench.expect("spbench: interrupted");
    assert_eq!(bench.status(), 1);
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!text(&output.stdout).contains(&format!("spbench{id}-")), "{output:?}");
}

#[test]
fn what_cannot_be_measured_is_a_line_and_status_1() {
    let library = |file: &str| {
        expect_failure(Command::new(SPBENCH).args(["--at", "1@127.0.0.1", "--reference-lib", file]), file);
    };
    library("/nowhere/libspread.so");
    library(env!("CARGO_MANIFEST_DIR"));
    expect_failure(
        Command::new(SPBENCH).args(["--reference-daemon", "/nowhere/spread"]),
        "/nowhere/spread cannot be run",
    );
    expect_failure(Command::new(SPBENCH).args(["--at", "1@127.0.0.1"]), "cannot connect to 1@127.0.0.1");
    expect_failure(Command::new(SPBENCH).args(["--at", "1@127.0.0.1", "--sizes", "7"]), "40 to 1048576 bytes");
    expect_failure(Command::new(SPBENCH).args(["draw", "/nowhere", "-o", "/nowhere"]), "/nowhere");
    if !Path::new("/usr/sbin/corosync").exists() {
        expect_failure(Command::new(SPBENCH).args(["--reference", "corosync"]), "corosync");
    }
}

fn may_make_namespaces() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let root =
        u64::from_str_radix(effective.trim(), 16).is_ok_and(|has| has & (1 << 12 | 1 << 21) == (1 << 12 | 1 << 21));
    let may = root && is_installed("ip") && is_installed("nft");
    if !may {
        let _ = writeln!(io::stderr(), "skipped: needs root and ip, nft");
    }
    may
}
