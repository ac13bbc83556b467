//! Compiles the programs of `tests/c` against the built library and runs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the package lies.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A language and its standard.
#[derive(Debug)]
pub struct Dialect {
    compiler: &'static str,
    standard: &'static str,
    arguments: &'static [&'static str],
}

const fn c(standard: &'static str) -> Dialect {
    Dialect { compiler: "cc", standard, arguments: &["-Wstrict-prototypes"] }
}

const fn cxx(standard: &'static str) -> Dialect {
    Dialect { compiler: "c++", standard, arguments: &["-x", "c++"] }
}

/// Every C that programs are written in.
pub const C: [Dialect; 4] = [c("c89"), c("c99"), c("c11"), c("c17")];
/// The C++ of old and of new programs.
pub const CXX: [Dialect; 4] = [cxx("c++98"), cxx("c++11"), cxx("c++17"), cxx("c++20")];

/// The library that was built with this test, under the names by which programs link and load it.
pub struct Library {
    directory: PathBuf,
}

impl Library {
    /// Makes a directory of this name with links to the library. The library lies beside the test, because cargo builds
    /// the package's library in all its kinds before an integration test.
    pub fn prepare(name: &str) -> Library {
        let built = std::env::current_exe().unwrap().with_file_name("libspread.so");
        assert!(built.exists(), "{} was not built", built.display());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        for link in ["libspread.so", "libspread.so.3"] {
            let link = directory.join(link);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&built, link).unwrap();
        }
        Library { directory }
    }

    /// Where things can be put.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The shared library.
    pub fn shared_object(&self) -> PathBuf {
        self.directory.join("libspread.so.3")
    }

    /// The names that it exports.
    pub fn exports(&self) -> BTreeSet<String> {
        let symbols = Command::new("nm").args(["-D", "--defined-only"]).arg(self.shared_object()).output().unwrap();
        assert!(symbols.status.success());
        let symbols = String::from_utf8(symbols.stdout).unwrap();
        symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
    }

    /// Compiles and runs a program of `tests/c` in every dialect; returns what each printed.
    pub fn run_everywhere(&self, program: &str) -> Vec<String> {
        C.iter().chain(&CXX).map(|dialect| self.run(&source_of(program), dialect, &[])).collect()
    }

    /// Compiles and runs a program of `tests/c` as old C. What it calls, and what that gives, is appended to a file.
    pub fn run_noting(&self, program: &str, arguments: &[String], notes: &Path) {
        let program = self.build_program(program);
        expect_success(&program, Command::new(&program).args(arguments).env("CHECKED", notes));
    }

    /// Compiles a source without a warning, runs it with success, and returns what it printed.
    pub fn run(&self, source: &Path, dialect: &Dialect, arguments: &[&str]) -> String {
        let program = self.build(source, dialect);
        expect_success(&program, Command::new(&program).args(arguments))
    }

    /// Runs a program of `tests/c` where every access to memory is watched, and what is lost; it must succeed without a
    /// complaint.
    pub fn check_memory(&self, program: &str, arguments: &[String], environment: Option<(&str, &str)>) {
        let program = self.build_program(program);
        let mut watched = Command::new("valgrind");
        watched.args(["-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]);
        expect_success(&program, watched.arg(&program).args(arguments).envs(environment));
    }

    /// Compiles a program of `tests/c` as old C.
    pub fn build_program(&self, program: &str) -> PathBuf {
        self.build(&source_of(program), &C[0])
    }

    /// Compiles a source without a warning.
    pub fn build(&self, source: &Path, dialect: &Dialect) -> PathBuf {
        let program =
            self.directory.join(source.file_stem().unwrap()).with_extension(dialect.standard.replace("++", "xx"));
        let output = Command::new(dialect.compiler)
            .args(dialect.arguments)
            .arg(format!("-std={}", dialect.standard))
            .args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-D_POSIX_C_SOURCE=200809L", "-pthread"])
            .arg("-I")
            .arg(Path::new(ROOT).join("include"))
            .arg(source)
            .args(["-x", "none", "-o"])
            .arg(&program)
            .arg("-L")
            .arg(&self.directory)
            .arg("-lspread")
            .arg(format!("-Wl,-rpath,{}", self.directory.display()))
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} as {dialect:?}: {complaints}", source.display());
        program
    }
}

fn source_of(program: &str) -> PathBuf {
    Path::new(ROOT).join("tests/c").join(program).with_extension("c")
}

/// Runs a program; returns what it printed.
pub fn expect_success(program: &Path, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (printed, complaints) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{printed}\n{complaints}", program.display(), output.status);
    printed
}
