//! The program that the readme prints runs as printed, but for the daemon's address.

#![cfg(unix)]

#[expect(dead_code, clippy::unwrap_used, reason = "shared with the tests of the C interface, and tests may")]
mod c_programs;

use std::net::TcpListener;
use std::path::Path;

use c_programs::{C, CXX, Library, ROOT};
use spread::config::Settings;
use spread::daemon::{Options, spawn};

fn printed_program() -> String {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).expect("there is a readme");
    let (_, program) = readme.split_once("```c\n").expect("it prints a program");
    program.split_once("```").expect("which ends").0.to_owned()
}

#[test]
fn the_c_program_of_the_readme_works_as_printed() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!("Spread_Segment unicast:{port} {{ localhost 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}");
    let settings = Settings::parse("readme", text.as_bytes()).unwrap();
    let daemon = spawn(Options::from_settings(&settings, &settings.table.daemons[0])).unwrap();
    let program = printed_program();
    assert!(program.contains("\"4803\""), "it connects to the default daemon");
    let library = Library::prepare("readme");
    let source = library.directory().join("hello.c");
    std::fs::write(&source, program.replace("\"4803\"", &format!("\"{port}@127.0.0.1\""))).unwrap();
    for dialect in [&C[1], &C[3], &CXX[1]] {
        assert_eq!(library.run(&source, dialect, &[]), "#hello#localhost says: Hello, ring!\n");
    }
    daemon.stop();
}
