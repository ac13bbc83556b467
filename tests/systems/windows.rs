//! Windows, in Wine: the C programs that mean something there, programs and daemons with those of this system, and what is packed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::ring;
use super::system::{ROOT, System, await_text, free_port};

/// The C programs, but for those that fork and those that look at what only Unix has.
const PROGRAMS: [&str; 18] = [
    "constants",
    "macros",
    "prototypes",
    "undeclared",
    "tags",
    "calls",
    "hostile",
    "events",
    "threads",
    "short",
    "arguments",
    "answers",
    "core",
    "flush",
    "lost",
    "select",
    "load",
    "large",
];

/// The libraries that every Windows has.
const SYSTEM_LIBRARIES: [&str; 13] = [
    "kernel32.dll",
    "ntdll.dll",
    "msvcrt.dll",
    "ws2_32.dll",
    "iphlpapi.dll",
    "advapi32.dll",
    "userenv.dll",
    "bcrypt.dll",
    "bcryptprimitives.dll",
    "user32.dll",
    "gdi32.dll",
    "shell32.dll",
    "ole32.dll",
];

/// A configuration of one daemon.
fn solo(system: &System, port: u16) -> std::path::PathBuf {
    let file = system.scratch().join(format!("solo-{port}.conf"));
    fs::write(&file, format!("Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n"))
        .unwrap();
    file
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_programs_do_with_a_daemon_of_this_system_what_others_do() {
    let windows = System::windows();
    PROGRAMS.iter().for_each(|program| windows.play(program));
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_programs_link_by_every_name_and_kind_of_library() {
    let windows = System::windows();
    for name in ["libspread", "libspread-core", "libtspread"] {
        for kind in ["lib", "dll.a"] {
            let program = windows.compile_with("tests/c/calls.c", &[&format!("-l:{name}.{kind}")]);
            windows.run(&program, &[] as &[&str]);
        }
    }
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_programs_of_this_system_use_a_daemon_on_windows() {
    let (windows, here) = (System::windows(), System::here());
    let port = free_port();
    let _daemon = windows.daemon(&solo(&windows, port), "solo");
    for program in ["core", "flush", "lost", "select"] {
        let compiled = here.compile(&format!("tests/c/{program}.c"));
        here.run(&compiled, &[format!("{port}@127.0.0.1")]);
    }
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_a_port_alone_reaches_the_daemon_of_this_machine() {
    let windows = System::windows();
    let port = free_port();
    let _daemon = windows.daemon(&solo(&windows, port), "solo");
    let program = windows.compile("tests/c/core.c");
    windows.run(&program, &[port.to_string()]);
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_a_second_daemon_does_not_take_the_port_of_the_first() {
    let windows = System::windows();
    let file = solo(&windows, free_port());
    let _daemon = windows.daemon(&file, "solo");
    let mut second = windows.command(&windows.program("spread"));
    let output = second.arg("-c").arg(windows.path(&file)).args(["-n", "solo"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("in use: is another spread running?"), "{errors}");
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_warns_of_a_daemon_that_no_client_reaches() {
    let windows = System::windows();
    let file = windows.scratch().join("closed.conf");
    fs::write(&file, "Spread_Segment unicast:4803 { solo 127.0.0.1 { D 127.0.0.1 } }\n").unwrap();
    let printed = windows.run(&windows.program("spread"), &["--check", &windows.path(&file)]);
    assert!(printed.contains("warning: ") && printed.contains("on Windows not at all"), "{printed}");
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_a_daemon_leaves_its_ring_on_ctrl_c() {
    let windows = System::windows();
    let mut daemon = windows.daemon(&solo(&windows, free_port()), "solo");
    // Wine makes Ctrl-C of it.
    let told = Command::new("kill").args(["-INT", &daemon.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    await_text(&windows.scratch().join("daemon-solo.out"), "spread ends");
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_the_library_is_loaded_runs_two_daemons_and_goes() {
    let windows = System::windows();
    let program = windows.compile_with("tests/windows/inside.c", &[]);
    windows.run(&program, &[free_port().to_string(), free_port().to_string()]);
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_two_daemons_form_a_ring() {
    let windows = System::windows();
    ring::orders_the_same(&[&windows, &windows], 1000);
}

#[test]
#[ignore = "make check-systems builds what it tries"]
fn windows_and_this_system_order_thirty_thousand_messages_the_same() {
    let (windows, here) = (System::windows(), System::here());
    ring::orders_the_same(&[&windows, &here, &windows], 10_000);
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_tools_talk_through_a_daemon_of_this_system() {
    let (windows, here) = (System::windows(), System::here());
    let port = free_port();
    let file = solo(&here, port);
    let _daemon = here.daemon(&file, "solo");
    let daemon = format!("{port}@127.0.0.1");
    let script = windows.scratch().join("script");
    fs::write(&script, "j chat\ns chat\nhello from Windows\nq\n").unwrap();
    let mut user = windows.command(&windows.program("spuser"));
    let output = user.args(["-s", &daemon]).stdin(fs::File::open(&script).unwrap()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("connected as #user#solo"), "{printed}");
    let flooder = windows.run(&windows.program("spflooder"), &["-s", &daemon, "-m", "200", "-b", "100"]);
    assert!(flooder.contains("200"), "{flooder}");
    let mut monitor = windows.command(&windows.program("spmonitor"));
    fs::write(&script, "0\nall\n\n").unwrap();
    monitor.args(["-p", "0", "-n", "solo", "-t", "1", "-c", &windows.path(&file)]);
    let output = monitor.stdin(fs::File::open(&script).unwrap()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("ring: 1 daemons in 1 segments, led by solo"), "{printed}");
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_shows_a_daemon_where_its_file_says() {
    let windows = System::windows();
    let file = solo(&windows, free_port());
    let shown = format!("127.0.0.1:{}", free_port());
    fs::write(&file, fs::read_to_string(&file).unwrap() + &format!("StatusAddress = {shown}\n")).unwrap();
    let _daemon = windows.daemon(&file, "solo");
    let printed = windows.run(&windows.program("spmonitor"), &["status", "-s", &shown]);
    assert!(printed.contains("solo") && printed.contains("operational"), "{printed}");
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_needs_nothing_but_libraries_of_the_system() {
    let windows = System::windows();
    let built = windows.program("spread").parent().unwrap().to_owned();
    let made = |name: &std::ffi::OsStr| name == "spread.dll" || Path::new(name).extension().is_some_and(|e| e == "exe");
    let files = fs::read_dir(built).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|file| made(file.file_name().unwrap())).collect();
    assert!(files.len() >= 5, "a DLL and at least four programs, not {files:?}");
    for file in files {
        let output = Command::new("x86_64-w64-mingw32-objdump").arg("-p").arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        let needed: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("dll name: ")).collect();
        assert!(!needed.is_empty(), "{} needs something", file.display());
        let foreign: Vec<_> = needed.iter().filter(|name| !is_of_the_system(name)).collect();
        assert!(foreign.is_empty(), "{} needs {foreign:?}", file.display());
    }
}

/// Whether every Windows has it. The names with a set of calls in them are parts of kernel32.
fn is_of_the_system(library: &str) -> bool {
    SYSTEM_LIBRARIES.contains(&library) || library.starts_with("api-ms-win-core-")
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_headers_are_plain_c_of_any_age() {
    for standard in ["c89", "c99", "c17"] {
        let source = Path::new(ROOT).join("tests/c/prototypes.c");
        let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
        compiler.args([&format!("-std={standard}"), "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]);
        let output = compiler.arg(format!("-I{ROOT}/include")).arg(source).output().unwrap();
        assert!(output.status.success(), "{standard}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
