//! The C interface: the committed header is what the sources say, C and C++ of every age take it, sizes and values are
//! those that existing programs were compiled with, and the library exports exactly what the header declares.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod c_programs;
mod fake_daemon;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use c_programs::{C, CXX, Library, ROOT};
use fake_daemon::{FakeDaemon, Step};
use spread::wire::{ByteOrder, FrameHeader, FrameType, Hint, Name};

/// The files of the C face, in the order in which the header shows them.
const SOURCES: [&str; 6] = ["types", "connect", "send", "receive", "memb", "errors"];

fn generated_header() -> String {
    let config = cbindgen::Config::from_file(Path::new(ROOT).join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(Path::new(ROOT).join("src/ffi").join(source).with_extension("rs"));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

/// The functions that the header declares: what stands before a `(` at the beginning of a declaration.
fn declared_functions() -> BTreeSet<String> {
    let header = generated_header();
    let declarations = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']));
    let names = declarations.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = Path::new(ROOT).join("include/sp.h");
    let generated = generated_header();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == generated, "include/sp.h is not what src/ffi says: BLESS=1 cargo test --test abi");
}

#[test]
fn every_dialect_takes_the_header_twice() {
    let library = Library::prepare("header");
    let source = library.directory().join("twice.c");
    std::fs::write(&source, "#include <sp.h>\n#include <sp.h>\nint main(void) { return sizeof(mailbox) != 4; }\n")
        .unwrap();
    for dialect in C.iter().chain(&CXX) {
        library.run(&source, dialect, &[]);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn types_have_the_classic_layout() {
    Library::prepare("layout").run_everywhere("layout");
}

#[test]
fn constants_have_the_classic_values() {
    Library::prepare("constants").run_everywhere("constants");
}

#[test]
fn macros_sort_messages_as_ever() {
    Library::prepare("macros").run_everywhere("macros");
}

#[test]
fn functions_have_the_classic_types() {
    Library::prepare("prototypes").run_everywhere("prototypes");
}

#[test]
fn calls_without_a_daemon_answer_with_the_classic_codes() {
    for output in Library::prepare("calls").run_everywhere("calls") {
        let lines: Vec<_> = output.lines().collect();
        let [before, closed, unknown, after] = lines[..] else { panic!("four lines, not {lines:?}") };
        assert_eq!((before, after), ("before", "after"), "SP_error keeps its place among the program's own output");
        assert!(closed.starts_with("SP_error: (-8) ") && unknown.starts_with("SP_error: (7) "), "{lines:?}");
    }
}

#[test]
fn the_library_exports_what_the_header_declares() {
    let declared = declared_functions();
    assert!(
        declared.len() >= 25 && declared.contains("SP_connect") && declared.contains("SP_strerror"),
        "{declared:?}"
    );
    let library = Library::prepare("exports");
    let symbols = Command::new("nm").args(["-D", "--defined-only"]).arg(library.shared_object()).output().unwrap();
    assert!(symbols.status.success());
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    let exported = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned);
    assert_eq!(exported.collect::<BTreeSet<_>>(), declared);
}

#[test]
#[cfg(target_os = "linux")]
fn old_programs_find_the_library_by_its_soname() {
    let library = Library::prepare("soname");
    let dynamic = Command::new("readelf").arg("-d").arg(library.shared_object()).output().unwrap();
    assert!(String::from_utf8(dynamic.stdout).unwrap().contains("[libspread.so.3]"));
}

#[test]
fn a_process_can_fork_while_a_thread_receives() {
    let hello = FrameHeader {
        kind: FrameType::SAFE,
        name: Name::new(b"#a#d1").unwrap(),
        groups: 0,
        hint: Hint::new(0, ByteOrder::NATIVE),
        data_len: 5,
        order: ByteOrder::NATIVE,
    };
    let (go, kill) = (FrameHeader::SIZE + Name::SIZE + b"go".len(), FrameHeader::SIZE + Name::SIZE);
    let (request, choice) = (b"\x04\x04\x00\x01\x02me".len(), 90);
    let daemon = FakeDaemon::start(vec![
        Step::Hear(request),
        Step::Say(b"\x05NULL ".to_vec()),
        Step::Hear(choice),
        Step::Say(b"\x01\x04\x04\x00\x06#me#d1".to_vec()),
        Step::Hear(go),
        Step::Say([&hello.encode()[..], b"hello"].concat()),
        Step::Hear(kill + 1),
        Step::End,
    ]);
    let source = Path::new(ROOT).join("tests/c/fork.c");
    Library::prepare("fork").run(&source, &C[0], &[&daemon.name()]);
    let heard = daemon.finish().1;
    assert_eq!(heard.len(), request + choice + go + kill, "one kill, from the parent");
}
