//! The instructions that the hot paths of the core take, counted by callgrind and compared with those on record: more than a tenth
//! above is a failure. Unlike time, this is the same on a busy machine. `make bench-instructions`; with BLESS=1 it records them.
//!
//! A count means something only beside one of the same compiler and profile, so those are on record too.

#![expect(clippy::disallowed_methods, reason = "above the I/O line")]

mod scenarios;

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use scenarios::{NAMES, Scenario};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// What a count may be above the one on record, in percent.
const TOLERANCE: u64 = 10;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let result = match arguments.next() {
        Some(name) => {
            let mut scenario = Scenario::new(&name);
            counted(&mut scenario);
            Ok(())
        }
        None => compare(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("instructions: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What callgrind counts: the name is how it finds it.
#[inline(never)]
fn counted(scenario: &mut Scenario) {
    black_box(scenario.run());
}

fn compare() -> Result<(), String> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("valgrind is not installed: no instructions are counted");
        return Ok(());
    }
    let counting = NAMES.map(|name| thread::spawn(move || count(name)));
    let mut counts = Vec::new();
    for (name, counting) in NAMES.iter().zip(counting) {
        counts.push((*name, counting.join().map_err(|_| format!("{name}: counting panicked"))??));
    }
    let build = build();
    if env::var_os("BLESS").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        return fs::write(RECORD, format!("build {build}\n{lines}")).map_err(|error| format!("{RECORD}: {error}"));
    }
    judge(&counts, &build, &fs::read_to_string(RECORD).unwrap_or_default())
}

fn judge(counts: &[(&str, u64)], build: &str, record: &str) -> Result<(), String> {
    let recorded = |key: &str| record.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let of_this_build = recorded("build") == Some(build);
    if !of_this_build {
        println!("on record is another build ({}), this is {build}: not compared", recorded("build").unwrap_or("none"));
    }
    let mut worse = Vec::new();
    for (name, count) in counts {
        let before: Option<u64> = recorded(name).filter(|_| of_this_build).and_then(|count| count.parse().ok());
        let change = before.map(|before| (*count as f64 / before as f64 - 1.0) * 100.0);
        println!(
            "{name:12} {count:12} instructions {}",
            change.map_or("".to_owned(), |change| format!("{change:+.1} %"))
        );
        if before.is_some_and(|before| count * 100 > before * (100 + TOLERANCE)) {
            worse.push(*name);
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {TOLERANCE} % above the record: {}. If that is meant, record it with BLESS=1",
        worse.join(", ")
    ))
}

fn count(name: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let file: PathBuf = env::temp_dir().join(format!("torc-instructions-{}-{name}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--toggle-collect=*counted*"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(program).arg(name);
    let output = valgrind.output().map_err(|error| error.to_string())?;
    let profile = fs::read_to_string(&file).unwrap_or_default();
    remove(&file);
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    let total = total.and_then(|total| total.trim().parse().ok()).filter(|&total: &u64| total > 1000);
    total.ok_or_else(|| format!("{name}: callgrind counted nothing"))
}

fn remove(file: &Path) {
    // It is a temporary file.
    let _ = fs::remove_file(file);
}

/// Compiler and profile.
fn build() -> String {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    let compiler = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("{compiler} {profile} {}", env::consts::ARCH)
}
