//! A system: how C programs are compiled for it and run here, and where its daemon and its tools are.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use spread::client::doze;

use super::process::Process;
use super::stage::{Stage, TRANSPORTS};

/// Where the package lies.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Seconds after which a program hangs.
const HANGING: &str = "300";
/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// What Wine 8 lacks and Rust's standard library imports.
const STAND_IN: &str = "bcryptprimitives.dll";
const PAUSE: Duration = Duration::from_millis(50);

/// A system whose programs can be run here.
#[derive(Clone)]
pub struct System {
    /// What it is called.
    pub name: &'static str,
    /// Its library and its programs.
    built: PathBuf,
    compiler: &'static str,
    flags: Vec<String>,
    /// What runs a program, and its arguments.
    runner: Vec<String>,
    suffix: &'static str,
    /// What links the library.
    pub library: &'static str,
    scratch: PathBuf,
    /// Which byte of a number comes first.
    pub order: ByteOrder,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The lowest.
    Little,
    /// The highest.
    Big,
}

/// A directory that `tests/systems.sh` made.
fn given(variable: &str) -> PathBuf {
    let place = env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run tests/systems.sh"));
    PathBuf::from(place)
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl System {
    /// This one.
    pub fn here() -> System {
        let library = env::current_exe().unwrap().with_file_name("libspread.so");
        let system = System {
            name: "here",
            built: Path::new(env!("CARGO_BIN_EXE_spread")).parent().unwrap().to_owned(),
            compiler: "cc",
            flags: vec!["-pthread".to_owned()],
            runner: Vec::new(),
            suffix: "",
            library: "-lspread",
            scratch: scratch("here"),
            order: ByteOrder::Little,
        };
        let name = format!("{}", system.scratch.display());
        for link in ["libspread.so", "libspread.so.3"] {
            let link = system.scratch.join(link);
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&library, link).unwrap();
        }
        System { flags: [system.flags, vec![format!("-L{name}"), format!("-Wl,-rpath,{name}")]].concat(), ..system }
    }

    /// Windows, in Wine.
    pub fn windows() -> System {
        let built = given("TORC_WINDOWS");
        let shim = Path::new(ROOT).join("tests/windows");
        // Nothing but system libraries beside the DLL, for programs too.
        let mut flags = strings(&["-static", "-include", "unix.h"]);
        flags.extend([format!("-I{}", shim.display()), format!("-I{}", shim.join("unix").display())]);
        flags.push(format!("-L{}", built.display()));
        System {
            name: "windows",
            compiler: "x86_64-w64-mingw32-gcc",
            flags,
            runner: vec![env::var("TORC_WINE").expect("tests/systems.sh says where Wine is")],
            suffix: ".exe",
            // With -static the name alone would mean another kind of library.
            library: "-l:libspread.dll.a",
            scratch: scratch("windows"),
            order: ByteOrder::Little,
            built,
        }
    }

    /// Linux on a processor with the other byte order.
    pub fn big_endian() -> System {
        let built = given("TORC_S390X");
        let libraries = format!("LD_LIBRARY_PATH={}", built.display());
        System {
            name: "s390x",
            compiler: "s390x-linux-gnu-gcc",
            flags: vec!["-pthread".to_owned(), format!("-L{}", built.display())],
            runner: strings(&["qemu-s390x", "-L", "/usr/s390x-linux-gnu", "-E", &libraries]),
            suffix: "",
            library: "-lspread",
            scratch: scratch("s390x"),
            order: ByteOrder::Big,
            built,
        }
    }

    /// The same system on another machine, which these words enter.
    pub fn inside(&self, enter: &[String]) -> System {
        let mut words = enter.to_owned();
        if self.name == "windows" {
            let prefix = given("TORC_WINE_PREFIX_APART");
            words.extend(["env".to_owned(), format!("WINEPREFIX={}", prefix.display())]);
        }
        words.extend_from_slice(&self.runner);
        System { runner: words, ..self.clone() }
    }

    /// A program of the package.
    pub fn program(&self, name: &str) -> PathBuf {
        self.built.join(name).with_extension(self.suffix.trim_start_matches('.'))
    }

    /// A command that runs a program of this system, in its scratch directory.
    pub fn command(&self, program: &Path) -> Command {
        let mut words: Vec<&Path> = self.runner.iter().map(Path::new).collect();
        words.push(program);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.scratch);
        command
    }

    /// Compiles a C source against the library.
    pub fn compile(&self, source: &str) -> PathBuf {
        self.compile_with(source, &[self.library])
    }

    /// Compiles a C source with these words for the compiler and the linker.
    pub fn compile_with(&self, source: &str, words: &[&str]) -> PathBuf {
        let source = Path::new(ROOT).join(source);
        let program =
            self.scratch.join(source.file_stem().unwrap()).with_extension(self.suffix.trim_start_matches('.'));
        let mut compiler = Command::new(self.compiler);
        compiler.args(["-std=gnu99", "-Wall", "-Wextra", "-Werror"]).args(&self.flags);
        compiler.arg(format!("-I{ROOT}/include")).arg(format!("-I{ROOT}/tests/c")).arg(&source);
        compiler.arg(format!("-L{}", self.built.display())).args(words);
        let output = compiler
            .args(if self.suffix.is_empty() { &[][..] } else { &["-lpthread", "-lws2_32"] })
            .arg("-o")
            .arg(&program);
        let output = output.output().unwrap_or_else(|error| panic!("{}: {error}", self.compiler));
        assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
        self.lay_library_beside_programs();
        program
    }

    /// Windows looks for a DLL beside the program.
    fn lay_library_beside_programs(&self) {
        let library = self.built.join("spread.dll");
        if library.exists() {
            fs::copy(library, self.scratch.join("spread.dll")).unwrap();
            // It is only there where Wine needs it.
            let _ = fs::copy(self.built.join(STAND_IN), self.scratch.join(STAND_IN));
        }
    }

    /// Runs a program, which must succeed; gives what it printed, with the newlines of this system.
    pub fn run(&self, program: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> String {
        self.run_with(program, arguments, None)
    }

    /// As [`System::run`], with one more variable in its environment.
    fn run_with(
        &self,
        program: &Path,
        arguments: &[impl AsRef<std::ffi::OsStr>],
        variable: Option<(&str, &str)>,
    ) -> String {
        let inner = self.command(program);
        let mut command = Command::new("timeout");
        command.arg(HANGING).arg(inner.get_program()).args(inner.get_args()).args(arguments).envs(variable);
        let output = command.current_dir(&self.scratch).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {}: {}\n{printed}\n{errors}", self.name, program.display(), output.status);
        printed
    }

    /// Compiles a program of `tests/c` and plays it on all its stages, with daemons of this machine.
    pub fn play(&self, name: &str) {
        let program = self.compile(&format!("tests/c/{name}.c"));
        for stage in Stage::all_of(name, &TRANSPORTS[..1]) {
            self.run_with(&program, &stage.arguments, stage.environment());
            stage.end();
        }
        println!("{}: {name} passed", self.name);
    }

    /// Starts a daemon of a configuration file, and waits until it is ready.
    pub fn daemon(&self, configuration: &Path, name: &str) -> Process {
        let mut command = self.command(&self.program("spread"));
        command.arg("-c").arg(self.path(configuration)).args(["-n", name]);
        let log = self.scratch.join(format!("daemon-{name}"));
        let daemon = Process::start(command, &log);
        let log = log.with_extension("out");
        await_text(&log, "ready");
        daemon
    }

    /// A file of this machine as programs of the system call it.
    pub fn path(&self, file: &Path) -> String {
        if self.suffix.is_empty() { file.display().to_string() } else { format!("Z:{}", file.display()) }
    }

    /// Where this system's tests put things.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }
}

fn scratch(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systems").join(name);
    fs::create_dir_all(&place).unwrap();
    place
}

/// Waits until a file has a text.
pub fn await_text(file: &Path, text: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(file).is_ok_and(|found| found.contains(text)) {
        let found = fs::read_to_string(file).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "no {text:?} in {}:\n{found}", file.display());
        doze(PAUSE);
    }
}

/// A port that nobody has, on any loopback address.
pub fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}
