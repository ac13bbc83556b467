//! The installed package as its users meet it: every old name of the library links and loads, pkg-config and CMake find it,
//! nothing but the interface is exported, and what `make install` puts down `make uninstall` takes away.
//!
//! What was built for the tests is installed; nothing is compiled a second time. Tools that a machine may lack are used when
//! they are there, and a line says so when they are not.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use spread::config::Settings;
use spread::daemon::{Options, spawn};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The names that link lines have, without `lib` and `.so`.
const NAMES: [&str; 4] = ["spread", "tspread", "spread-core", "tspread-core"];
/// The names that programs of other makes load.
const SONAMES: [&str; 3] = ["libspread.so.3", "libspread-core.so.3", "libtspread-core.so.3"];

/// Runs a command, which must succeed; returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{complaints}", output.status);
    printed
}

/// Whether this program is on the machine; if not, says so.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("{program} is not installed: not tried with it");
    }
    found
}

/// A new empty directory.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packaging").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn make(target: &str, profile: &Path, destination: &Path, settings: &[&str]) {
    let mut command = Command::new("make");
    command.args(["-s", "-C", ROOT, target]).args(settings);
    command.arg(format!("PROFILE_DIR={}", profile.display())).arg(format!("DESTDIR={}", destination.display()));
    // The settings of a make that runs the tests are not for this one.
    run(command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()));
}

/// An installation under a directory that stands for the root of a machine.
struct Installation {
    root: PathBuf,
    /// Where what was built lies.
    profile: PathBuf,
}

impl Installation {
    /// What was built, installed once for all tests.
    fn of_this_build() -> &'static Installation {
        static INSTALLATION: OnceLock<Installation> = OnceLock::new();
        INSTALLATION.get_or_init(|| {
            let profile = directory("built");
            let beside_the_test = std::env::current_exe().unwrap();
            for library in ["libspread.so", "libspread.a"] {
                symlink(beside_the_test.with_file_name(library), profile.join(library)).unwrap();
            }
            symlink(env!("CARGO_BIN_EXE_spread"), profile.join("spread")).unwrap();
            let root = directory("root");
            make("install", &profile, &root, &["SYSTEMD_DIR=/usr/lib/systemd"]);
            Installation { root, profile }
        })
    }

    fn profile(&self) -> &Path {
        &self.profile
    }

    fn libraries(&self) -> PathBuf {
        self.root.join("usr/local/lib")
    }

    /// The value of a field of the pkg-config file, its variables filled in, its paths under the root.
    fn flags(&self, field: &str) -> Vec<String> {
        let text = fs::read_to_string(self.libraries().join("pkgconfig/spread.pc")).unwrap();
        let value = |name: &str, mark: char| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(mark)).unwrap();
            line.trim().to_owned()
        };
        let place = |name| format!("{}{}", self.root.display(), value(name, '='));
        let filled = value(field, ':').replace("${libdir}", &place("libdir"));
        filled.replace("${includedir}", &place("includedir")).split_whitespace().map(str::to_owned).collect()
    }

    /// Compiles a program of `tests/packaging` with these libraries.
    fn compile(&self, source: &str, program: &Path, libraries: &[impl AsRef<OsStr>]) {
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c89", "-Wall", "-Wextra", "-Werror"]).args(self.flags("Cflags"));
        compiler.arg(Path::new(ROOT).join("tests/packaging").join(source)).args(libraries);
        run(compiler.arg("-o").arg(program));
    }
}

/// Runs each program against one daemon, with the libraries of this directory.
fn greet(programs: &[PathBuf], libraries: &Path) {
    greet_with(programs.iter().map(|program| {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", libraries);
        command
    }));
}

/// Runs each command, with the address of one daemon as its last argument.
fn greet_with(commands: impl Iterator<Item = Command>) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!("Spread_Segment unicast:{port} {{ localhost 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}");
    let settings = Settings::parse("packaging", text.as_bytes()).unwrap();
    let daemon = spawn(Options::from_settings(&settings, &settings.table.daemons[0])).unwrap();
    for mut command in commands {
        command.arg(format!("{port}@127.0.0.1"));
        assert_eq!(run(&mut command), "4 ready\nhello 7 to greetings\n", "{command:?}");
    }
    daemon.stop();
}

/// What the dynamic section of a file says, as lines.
fn dynamic_section(file: &Path) -> String {
    run(Command::new("readelf").arg("-dW").arg(file))
}

/// The libraries that a file needs at run time.
fn needed(file: &Path) -> BTreeSet<String> {
    let section = dynamic_section(file);
    let names = section.lines().filter(|line| line.contains("(NEEDED)"));
    names.map(|line| line.split_once('[').unwrap().1.trim_end_matches(']').to_owned()).collect()
}

/// The names that the library exports.
fn exports(library: &Path) -> BTreeSet<String> {
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

/// Everything below a directory that is not a directory, without following links.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

#[test]
fn a_program_links_by_every_name_and_runs() {
    let (installation, programs) = (Installation::of_this_build(), directory("programs"));
    let shared = NAMES.map(|name| {
        let program = programs.join(name);
        let libraries =
            installation.flags("Libs").into_iter().map(|flag| flag.replace("-lspread", &format!("-l{name}")));
        installation.compile("greeting.c", &program, &libraries.collect::<Vec<_>>());
        assert!(dynamic_section(&program).contains("[libspread.so.3]"), "{name} loads the library by its soname");
        program
    });
    greet(&shared, &installation.libraries());
}

#[test]
fn a_program_links_statically_by_every_name_and_runs_alone() {
    let (installation, programs) = (Installation::of_this_build(), directory("static"));
    let alone = NAMES.map(|name| {
        let program = programs.join(name);
        let mut libraries = installation.flags("Libs");
        libraries.retain(|flag| flag.starts_with("-L"));
        libraries.extend(["-Wl,-Bstatic".to_owned(), format!("-l{name}"), "-Wl,-Bdynamic".to_owned()]);
        libraries.extend(installation.flags("Libs.private"));
        installation.compile("greeting.c", &program, &libraries);
        assert!(!dynamic_section(&program).contains("spread"), "{name} is inside the program");
        program
    });
    greet(&alone, &programs);
}

/// Ways in which link lines name the static library: what pkg-config says, everything static or not, and the file alone.
fn static_lines(installation: &Installation) -> [Vec<String>; 4] {
    let all = [installation.flags("Libs"), installation.flags("Libs.private")].concat();
    let file = installation.libraries().join("libspread.a").display().to_string();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    [
        [words(&["-Wl,-Bstatic"]), all.clone(), words(&["-Wl,-Bdynamic"])].concat(),
        [words(&["-static"]), all].concat(),
        vec![file.clone()],
        [words(&["-Wl,--gc-sections"]), vec![file]].concat(),
    ]
}

#[test]
fn a_program_with_the_static_library_needs_nothing_but_the_c_library() {
    let (installation, programs) = (Installation::of_this_build(), directory("needs"));
    let system = BTreeSet::from(["libc.so.6", "ld-linux-x86-64.so.2"].map(str::to_owned));
    let alone: Vec<_> = (0..)
        .zip(static_lines(installation))
        .map(|(number, line)| {
            let program = programs.join(format!("program-{number}"));
            installation.compile("greeting.c", &program, &line);
            let needed = needed(&program);
            assert!(needed.is_subset(&system) || cfg!(not(target_env = "gnu")), "{line:?} needs {needed:?}");
            program
        })
        .collect();
    greet(&alone, &programs);
}

/// Without it a fault inside the library would end the program instead of giving SP_BUG.
#[test]
fn the_static_library_keeps_what_unwinding_needs() {
    let installation = Installation::of_this_build();
    let sections = sections(&installation.libraries().join("libspread.a"));
    for section in [" .eh_frame ", " .gcc_except_table "] {
        assert!(sections.contains(section), "{section} is missing");
    }
}

#[test]
fn the_static_library_is_small_and_shows_only_the_interface() {
    let installation = Installation::of_this_build();
    let library = installation.libraries().join("libspread.a");
    let size = fs::metadata(&library).unwrap().len();
    assert!(size <= 15_000_000, "{size} bytes");
    let symbols = run(Command::new("nm").args(["-g", "--defined-only"]).arg(&library));
    let shown: BTreeSet<_> =
        symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect();
    assert_eq!(shown, exports(&installation.libraries().join("libspread.so.3.0.0")));
}

/// The loader and the libraries that a program needs, each with its place in a root.
fn runtime(library: &Path) -> Vec<(PathBuf, PathBuf)> {
    let libraries = needed(library).into_iter().filter(|name| !name.starts_with("ld-linux"));
    let place = |name: &str| {
        let found = run(Command::new("cc").arg(format!("-print-file-name={name}")));
        (PathBuf::from(found.trim()), Path::new("usr/lib/x86_64-linux-gnu").join(name))
    };
    let loader = (PathBuf::from("/lib64/ld-linux-x86-64.so.2"), PathBuf::from("lib64/ld-linux-x86-64.so.2"));
    libraries.map(|name| place(&name)).chain([loader]).collect()
}

/// The names that the loader's cache of a root has, with what each leads to.
fn cached(root: &Path) -> Vec<(String, String)> {
    let cache = run(Command::new("/sbin/ldconfig").arg("-r").arg(root).arg("-p"));
    let entries = cache.lines().filter_map(|line| line.trim().split_once(" => "));
    entries.map(|(name, path)| (name.split(' ').next().unwrap().to_owned(), path.to_owned())).collect()
}

/// Old binaries need one of the old sonames and know no directory. After `ldconfig` they start wherever the loader looks.
#[test]
#[cfg(target_arch = "x86_64")]
fn an_old_binary_starts_after_ldconfig_in_a_clean_root() {
    if !Path::new("/sbin/ldconfig").exists() {
        println!("ldconfig is not installed: not tried with it");
        return;
    }
    let (installation, place) = (Installation::of_this_build(), directory("old-binaries"));
    let binaries = SONAMES.map(|soname| {
        let (library, program) = (place.join(soname), place.join(format!("needs-{soname}")));
        let source = Path::new(ROOT).join("tests/packaging/old_library.c");
        run(Command::new("cc")
            .args(["-shared", "-fPIC"])
            .arg(format!("-Wl,-soname,{soname}"))
            .arg(source)
            .arg("-o")
            .arg(&library));
        installation.compile("greeting.c", &program, &[&library]);
        program
    });
    for prefix in ["/usr/local", "/usr"] {
        let root = directory(&format!("clean-root{}", prefix.replace('/', "-")));
        make("install-library", installation.profile(), &root, &[&format!("PREFIX={prefix}")]);
        for (from, to) in runtime(&root.join(format!("{prefix}/lib/libspread.so.3.0.0").trim_start_matches('/'))) {
            fs::create_dir_all(root.join(&to).parent().unwrap()).unwrap();
            fs::copy(from, root.join(to)).unwrap();
        }
        fs::create_dir_all(root.join("etc")).unwrap();
        // What Debian, Fedora and others have there.
        fs::write(root.join("etc/ld.so.conf"), "/usr/local/lib\n/usr/lib/x86_64-linux-gnu\n").unwrap();
        run(Command::new("/sbin/ldconfig").arg("-r").arg(&root));
        let cached = cached(&root);
        for soname in SONAMES {
            let entry = (soname.to_owned(), format!("{prefix}/lib/{soname}"));
            assert!(cached.contains(&entry), "{entry:?} in {cached:?}");
        }
        for program in &binaries {
            fs::copy(program, root.join(program.file_name().unwrap())).unwrap();
        }
        if Command::new("chroot")
            .arg(&root)
            .arg(Path::new("/").join(binaries[0].file_name().unwrap()))
            .output()
            .is_ok_and(|it| it.status.code() == Some(125))
        {
            println!("no right to chroot: the binaries are not started in {}", root.display());
            continue;
        }
        greet_with(binaries.iter().map(|program| {
            let mut command = Command::new("chroot");
            command.arg(&root).arg(Path::new("/").join(program.file_name().unwrap())).env_remove("LD_LIBRARY_PATH");
            command
        }));
    }
}

/// What dlopen and foreign function interfaces of other languages do with the old names.
#[test]
fn a_program_that_loads_the_library_by_an_old_name_finds_its_functions() {
    let (installation, place) = (Installation::of_this_build(), directory("loaded"));
    let program = place.join("loads");
    installation.compile("loads.c", &program, &["-ldl"]);
    for soname in SONAMES {
        let library = installation.libraries().join(soname);
        assert_eq!(run(Command::new(&program).arg(&library)), "4.4.0\n", "by path, without any other setting");
        let mut by_name = Command::new(&program);
        assert_eq!(run(by_name.arg(soname).env("LD_LIBRARY_PATH", installation.libraries())), "4.4.0\n");
    }
}

#[test]
fn the_installation_has_the_classic_names_of_files() {
    let installation = Installation::of_this_build();
    for name in ["libspread", "libspread-core", "libtspread-core"] {
        let real = installation.libraries().join(format!("{name}.so.3.0.0"));
        assert!(fs::symlink_metadata(&real).unwrap().is_file(), "{} is a file of its own", real.display());
        assert!(dynamic_section(&real).contains(&format!("soname: [{name}.so.3]")));
        for link in ["so.3", "so", "a"] {
            assert!(installation.libraries().join(format!("{name}.{link}")).exists(), "{name}.{link}");
        }
    }
}

#[test]
fn a_program_of_another_make_runs_with_this_library_in_its_place() {
    let (installation, place) = (Installation::of_this_build(), directory("swapped"));
    let swapped = SONAMES.map(|soname| {
        let (library, program) = (place.join(soname), place.join(format!("with-{soname}")));
        let source = Path::new(ROOT).join("tests/packaging/old_library.c");
        let mut linker = Command::new("cc");
        run(linker.args(["-shared", "-fPIC"]).arg(format!("-Wl,-soname,{soname}")).arg(source).arg("-o").arg(&library));
        installation.compile("greeting.c", &program, &[&library]);
        assert!(dynamic_section(&program).contains(&format!("[{soname}]")));
        let mut with_the_old_one = Command::new(&program);
        assert!(!with_the_old_one.env("LD_LIBRARY_PATH", &place).output().unwrap().status.success());
        program
    });
    greet(&swapped, &installation.libraries());
}

#[test]
fn pkg_config_says_what_its_file_says() {
    if !is_installed("pkg-config") {
        return;
    }
    let installation = Installation::of_this_build();
    for name in ["spread", "Spread"] {
        let answer = |arguments: &[&str]| {
            let mut command = Command::new("pkg-config");
            command.args(arguments).arg(name).env("PKG_CONFIG_SYSROOT_DIR", &installation.root);
            let printed = run(command.env("PKG_CONFIG_PATH", installation.libraries().join("pkgconfig")));
            printed.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(answer(&["--modversion"]), ["4.4.0"]);
        assert_eq!(answer(&["--cflags"]), installation.flags("Cflags"));
        assert_eq!(answer(&["--libs"]), installation.flags("Libs"));
        let everything = [installation.flags("Libs"), installation.flags("Libs.private")].concat();
        assert_eq!(answer(&["--libs", "--static"]), everything);
    }
}

#[test]
fn a_cmake_project_finds_the_library_wherever_it_was_moved() {
    if !is_installed("cmake") {
        return;
    }
    let (installation, build) = (Installation::of_this_build(), directory("cmake"));
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(Path::new(ROOT).join("tests/packaging/cmake")).arg("-B").arg(&build);
    run(configure.arg(format!("-DCMAKE_PREFIX_PATH={}", installation.root.join("usr/local").display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    greet(&["shared", "static"].map(|program| build.join(program)), &installation.libraries());
}

#[test]
fn only_the_interface_is_exported() {
    let installation = Installation::of_this_build();
    for name in exports(&installation.libraries().join("libspread.so.3.0.0")) {
        assert!(["SP_", "E_", "FL_", "torc_"].iter().any(|prefix| name.starts_with(prefix)), "{name} leaks");
    }
}

#[test]
fn the_binary_interface_is_the_one_on_record() {
    let installation = Installation::of_this_build();
    let library = installation.libraries().join("libspread.so.3.0.0");
    let program = directory("layout").join("layout");
    installation.compile("layout.c", &program, &[] as &[&str]);
    let soname =
        dynamic_section(&library).lines().find_map(|line| line.split_once("soname: ").map(|it| it.1.to_owned()));
    let functions: String = exports(&library).iter().map(|name| format!("function {name}\n")).collect();
    let interface = format!("soname {}\n{functions}{}", soname.unwrap(), run(&mut Command::new(program)));
    let record = Path::new(ROOT).join("tests/abi_baseline.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&record, &interface).unwrap();
    }
    let recorded = fs::read_to_string(record).unwrap();
    assert!(interface == recorded, "the interface has changed: BLESS=1 cargo test --test packaging\n{interface}");
}

/// The declarations of the installed headers and of what no header declares, as definitions. The library itself is no use to
/// the tools that compare interfaces: its debug information has names of another language, and everything private.
fn definitions(headers: &Path) -> String {
    let mut headers: Vec<_> = fs::read_dir(headers).unwrap().map(|entry| entry.unwrap().path()).collect();
    headers.sort();
    let includes = headers.iter().map(|path| format!("#include <{}>\n", path.file_name().unwrap().display()));
    let mut source: String = ["#include <stdlib.h>\n".to_owned()].into_iter().chain(includes).collect();
    let undeclared = fs::read_to_string(Path::new(ROOT).join("tests/c/undeclared.c")).unwrap();
    let undeclared = undeclared.split_once("extern \"C\" {").unwrap().1.split_once("#ifdef").unwrap().0.to_owned();
    for text in headers.iter().map(|path| fs::read_to_string(path).unwrap()).chain([undeclared]) {
        let without_comments: String = text.split("/*").map(|part| part.rsplit("*/").next().unwrap()).collect();
        for statement in without_comments.split(';') {
            let lines: Vec<_> = statement.lines().collect();
            let declaration = lines.rsplit(|line| line.starts_with('#')).next().unwrap().join("\n");
            if declaration.contains('(') && !declaration.contains('{') {
                source += &format!("{declaration} {{ abort(); }}\n");
            }
        }
    }
    source
}

/// A library with nothing but the interface of these headers, for the tools that compare interfaces.
fn shell_of(name: &str, headers: &Path) -> PathBuf {
    let place = directory(name);
    let (source, library) = (place.join("shell.c"), place.join("shell.so"));
    fs::write(&source, definitions(headers)).unwrap();
    let mut linker = Command::new("cc");
    linker.args(["-g", "-shared", "-fPIC", "-Wl,-soname,libspread.so.3", "-I"]).arg(headers);
    run(linker.current_dir(&place).arg("shell.c").arg("-o").arg(&library));
    library
}

#[test]
fn the_types_of_the_interface_are_the_ones_on_record() {
    if !is_installed("abidw") || !is_installed("abidiff") {
        return;
    }
    let installation = Installation::of_this_build();
    let headers = installation.root.join("usr/local/include");
    let shell = shell_of("shell", &headers);
    assert_eq!(exports(&shell), exports(&installation.libraries().join("libspread.so.3.0.0")));
    let record = Path::new(ROOT).join("tests/abi_baseline.xml");
    if std::env::var_os("BLESS").is_some() {
        let mut dump = Command::new("abidw");
        dump.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--type-id-style", "hash"]);
        run(dump.arg("--headers-dir").arg(&headers).arg("--out-file").arg(&record).arg(&shell));
    }
    run(Command::new("abidiff").arg(&record).arg(&shell));

    let others = directory("other-headers");
    for header in fs::read_dir(&headers).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&header).unwrap().replace("int id[3];", "int id[4];");
        fs::write(others.join(header.file_name().unwrap()), text).unwrap();
    }
    let compared = Command::new("abidiff").arg(&record).arg(shell_of("other-shell", &others)).output().unwrap();
    assert!(!compared.status.success(), "a longer group_id is another interface");
}

/// Names of the sections of a file.
fn sections(file: &Path) -> String {
    run(Command::new("readelf").arg("-SW").arg(file))
}

#[test]
fn debug_information_lies_apart_or_nowhere() {
    let installation = Installation::of_this_build();
    let stripped = directory("stripped");
    make("install-strip", installation.profile(), &stripped, &[]);
    for file in ["sbin/spread", "lib/libspread.so.3.0.0"] {
        let installed = sections(&installation.root.join("usr/local").join(file));
        assert!(!installed.contains(" .debug_line ") && !installed.contains(" .symtab "), "{file} is stripped");
        assert!(installed.contains(" .gnu_debuglink "), "{file} says where its debug information is");
        let apart = installation.root.join(format!("usr/local/lib/debug/usr/local/{file}.debug"));
        assert!(sections(&apart).contains(" .debug_line "), "{}", apart.display());
        assert!(!sections(&stripped.join("usr/local").join(file)).contains(" .gnu_debuglink "));
    }
    assert!(!stripped.join("usr/local/lib/debug").exists());
}

#[test]
fn nothing_that_is_installed_knows_where_it_was_made() {
    let installation = Installation::of_this_build();
    let binaries = [
        "libspread.so.3.0.0",
        "libspread-core.so.3.0.0",
        "libtspread.so.3.0.0",
        "libtspread-core.so.3.0.0",
        "libspread.a",
        "spread",
    ];
    let binaries = binaries.map(OsStr::new);
    for file in files(&installation.root) {
        if let Ok(target) = fs::read_link(&file) {
            assert!(target.is_relative() && file.exists(), "{} leads to {}", file.display(), target.display());
        } else if file.extension().is_none_or(|extension| extension != "debug")
            && !file.file_name().is_some_and(|name| binaries.contains(&name))
        {
            let text = fs::read_to_string(&file).unwrap();
            let page =
                text.strip_prefix(".so ").map(|page| installation.root.join("usr/local/share/man").join(page.trim()));
            assert!(page.is_none_or(|page| page.exists()), "{} stands for {text}", file.display());
            assert!(
                !text.contains(ROOT) && !text.contains(&installation.root.display().to_string()),
                "{}",
                file.display()
            );
            assert!(!text.contains('@') || !text.contains("DIR@"), "{} has a gap", file.display());
        }
    }
}

#[test]
fn uninstalling_leaves_nothing_wherever_it_was_installed() {
    let (profile, root) = (directory("small"), directory("emptied"));
    let sources = fs::read_dir(Path::new(ROOT).join("src/bin")).unwrap().map(|entry| entry.unwrap().path());
    let sources: Vec<_> = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    let programs: Vec<_> = sources.iter().filter_map(|source| source.file_stem()).collect();
    for file in &programs {
        fs::write(profile.join(file), "").unwrap();
    }
    for library in ["libspread.so", "libspread.a"] {
        symlink(std::env::current_exe().unwrap().with_file_name(library), profile.join(library)).unwrap();
    }
    let moved = ["PREFIX=/usr", "LIBDIR=/usr/lib64", "INCLUDEDIR=/usr/include/spread", "SYSTEMD_DIR=/lib/systemd"];
    for settings in [&[][..], &moved] {
        make("install", &profile, &root, settings);
        let installed = files(&root);
        for name in programs.iter().copied().chain(SONAMES.into_iter().chain(["sptuser"]).map(OsStr::new)) {
            assert!(installed.iter().any(|file| file.file_name() == Some(name)), "{name:?} is installed");
        }
        let prefix = root.join(if settings.is_empty() { "usr/local" } else { "usr" });
        for program in ["sbin/spread", "sbin/spmonitor", "bin/spmonitor", "bin/flush_user"] {
            assert!(prefix.join(program).is_file(), "{program} is where scripts look for it");
        }
        make("uninstall", &profile, &root, settings);
        assert_eq!(files(&root), [] as [PathBuf; 0]);
    }
}
