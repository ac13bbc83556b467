//! The C interface: the committed header is what the sources say, C and C++ of every age take it, sizes and values are
//! those that existing programs were compiled with, and the library exports exactly what the header declares.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod c_programs;
mod fake_daemon;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_programs::{C, CXX, Library, ROOT};
use fake_daemon::{FakeDaemon, Step};
use spread::wire::{ByteOrder, Cause, FrameHeader, FrameType, GroupId, Hint, Name, RegularMembership};

/// The headers, each with the files of the C face that it shows, in this order.
const HEADERS: [(&str, &[&str]); 4] = [
    ("sp", &["types"]),
    ("sp_events", &["events"]),
    ("sp_func", &["connect", "send", "receive", "memb", "errors"]),
    ("fl", &["flush"]),
];

/// What no header declares. Old programs load these or declare them for themselves.
const UNDECLARED: [&str; 8] = [
    "E_in_queue",
    "E_detach_fd_priority",
    "E_exit_events_async_safe",
    "SP_query_groups",
    "SP_query_members",
    "SP_get_gid_offset_memb_mess",
    "SP_get_num_vs_offset_memb_mess",
    "SP_get_vs_set_offset_memb_mess",
];

fn in_package(folder: &str, name: &str, extension: &str) -> PathBuf {
    Path::new(ROOT).join(folder).join(name).with_extension(extension)
}

fn generated_header(name: &str, sources: &[&str]) -> String {
    let config = cbindgen::Config::from_file(in_package("cbindgen", name, "toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(in_package("src/ffi", source, "rs"));
    }
    let mut header = Vec::new();
    builder.generate().unwrap().write(&mut header);
    String::from_utf8(header).unwrap()
}

/// The functions that the headers declare: what stands before a `(` at the beginning of a declaration.
fn declared_functions() -> BTreeSet<String> {
    let headers: String = HEADERS.iter().map(|(name, sources)| generated_header(name, sources)).collect();
    let declarations = headers.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']));
    let names = declarations.filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next());
    names.map(str::to_owned).collect()
}

fn exported_functions() -> BTreeSet<String> {
    let library = Library::prepare("exports");
    let symbols = Command::new("nm").args(["-D", "--defined-only"]).arg(library.shared_object()).output().unwrap();
    assert!(symbols.status.success());
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

#[test]
fn the_committed_headers_are_the_generated_ones() {
    for (name, sources) in HEADERS {
        let path = in_package("include", name, "h");
        let generated = generated_header(name, sources);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "include/{name}.h is not what src/ffi says: BLESS=1 cargo test --test abi");
    }
}

#[test]
fn every_dialect_takes_the_headers_alone_and_twice() {
    let library = Library::prepare("header");
    for (name, _) in HEADERS {
        let source = library.directory().join(name).with_extension("c");
        let include = format!("#include <{name}.h>\n");
        let text = format!("{include}{include}int main(void) {{ return sizeof(sp_time) < 8; }}\n");
        std::fs::write(&source, text).unwrap();
        for dialect in C.iter().chain(&CXX) {
            library.run(&source, dialect, &[]);
        }
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
fn the_library_exports_what_the_headers_declare_and_what_old_programs_load() {
    let mut expected = declared_functions();
    assert!(expected.len() >= 60 && expected.contains("SP_connect") && expected.contains("FL_poll"), "{expected:?}");
    expected.extend(UNDECLARED.map(str::to_owned));
    assert_eq!(exported_functions(), expected);
}

#[test]
fn a_program_links_every_exported_function_with_its_classic_type() {
    let programs: String = ["prototypes", "undeclared"]
        .map(|name| std::fs::read_to_string(in_package("tests/c", name, "c")).unwrap())
        .concat();
    let words: BTreeSet<_> = programs.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let missing: Vec<_> = exported_functions().into_iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in tests/c/prototypes.c: {missing:?}");
    Library::prepare("undeclared").run_everywhere("undeclared");
}

#[test]
#[cfg(target_os = "linux")]
fn old_programs_find_the_library_by_its_soname() {
    let library = Library::prepare("soname");
    let dynamic = Command::new("readelf").arg("-d").arg(library.shared_object()).output().unwrap();
    assert!(String::from_utf8(dynamic.stdout).unwrap().contains("[libspread.so.3]"));
}

#[test]
fn the_event_loop_serves_timers_and_descriptors_in_their_order() {
    Library::prepare("events").run_everywhere("events");
}

#[test]
fn wrong_arguments_give_codes_and_never_crash() {
    for output in Library::prepare("hostile").run_everywhere("hostile") {
        let lines: Vec<_> = output.lines().collect();
        let [receivers, closed, unknown] = lines[..] else { panic!("three lines, not {lines:?}") };
        let expected = ["FL_error: (-28) ", "FL_error: (-8) ", "FL_error: (-2147483648) "];
        assert!([receivers, closed, unknown].iter().zip(expected).all(|(line, start)| line.starts_with(start)));
    }
}

/// The exported functions of a source whose body is not one call of `guard` or `guard_or`.
fn unguarded(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for function in source.split("#[unsafe(no_mangle)]\n").skip(1) {
        let name = function.split_once('(').unwrap().0.rsplit(' ').next().unwrap();
        let body = function.split_once("{\n").unwrap().1.split_once("\n}\n").unwrap().0;
        let code: Vec<_> = body.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let begins = ["    guard(", "    guard_or("].iter().any(|guard| code[0].starts_with(guard));
        let statements = code.iter().filter(|line| line.starts_with("    ") && !line[4..].starts_with([' ', '}', ')']));
        if !begins || statements.count() != 1 {
            names.push(name);
        }
    }
    names
}

#[test]
fn no_exported_function_lets_a_panic_through() {
    let bare =
        "#[unsafe(no_mangle)]\npub extern \"C\" fn f(\n    a: c_int,\n) -> c_int {\n    guard(|| Ok(a));\n    g()\n}\n";
    assert_eq!(unguarded(bare), ["f"]);
    let mut exported = 0;
    for file in std::fs::read_dir(Path::new(ROOT).join("src/ffi")).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        assert_eq!(unguarded(&source), [] as [&str; 0], "{}", path.display());
        exported += source.matches("#[unsafe(no_mangle)]").count();
    }
    assert_eq!(exported, exported_functions().len());
}

/// A daemon for `threads.c`: it hears 200 messages of 20 bytes while it says as many.
fn busy_daemon() -> FakeDaemon {
    let message = |letter: u8| [&header(20).encode()[..], &[letter; 20]].concat();
    let messages: Vec<u8> = (0..200).flat_map(message).collect();
    let mut script = accepting();
    script.extend([Step::Say(messages), Step::Hear(200 * (FrameHeader::SIZE + Name::SIZE + 20))]);
    FakeDaemon::start(script)
}

#[test]
fn many_threads_share_a_mailbox_and_no_signal_comes_when_it_breaks() {
    let library = Library::prepare("threads");
    let daemon = busy_daemon();
    library.run(&in_package("tests/c", "threads", "c"), &C[0], &[&daemon.name()]);
    let heard = daemon.finish().1;
    let frames = heard[REQUEST + CHOICE..].chunks(FrameHeader::SIZE + Name::SIZE + 20);
    assert_eq!(frames.len(), 200);
    let mut bodies = frames.map(|frame| &frame[FrameHeader::SIZE + Name::SIZE..]);
    assert!(bodies.all(|body| body.iter().all(|&byte| byte == body[0])), "messages are never mixed");
}

/// The messages of `short.c`: each kind as often as it is tried, numbered, in one buffer and then in pieces.
fn short_messages(with_flush_layer: bool) -> Vec<u8> {
    const TRIES: usize = 4 * 5 * 2;
    let groups = [name(b"g"), name(b"#me#d1")];
    let change = RegularMembership {
        cause: Cause::Join,
        group: groups[0],
        members: &[name(b"#a#d1"), groups[1]],
        id: GroupId([1, 2, 3]),
        vs_sets: &[vec![name(b"#a#d1")]],
    };
    let data = |kind: FrameType, sender: &[u8], front: &[u8], number: usize| {
        let hint = Hint::new(number as i16, ByteOrder::NATIVE);
        let header = FrameHeader { kind, name: name(sender), groups: 2, hint, ..header(10) };
        [&header.encode()[..], front, groups[0].field(), groups[1].field(), b"abcdefghij"].concat()
    };
    let agreed = FrameType::AGREED | FrameType::SELF_DISCARD;
    let kinds = if with_flush_layer { 1 } else { 3 };
    let message = |number: usize| match number / TRIES % kinds {
        0 => data(agreed, b"#a#d1", b"", number),
        1 => change.encode().for_vs_set(0).contiguous().to_vec(),
        _ => data(FrameType::REJECT, b"#me#d1", &FrameType::SAFE.encode(), number),
    };
    (0..2 * kinds * TRIES).flat_map(message).collect()
}

fn name(text: &[u8]) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn a_message_without_room_is_kept_or_cut_whatever_it_is_and_however_it_is_received() {
    let library = Library::prepare("short");
    for layer in ["SP", "FL"] {
        let script = [accepting(), vec![Step::Say(short_messages(layer == "FL"))]].concat();
        let daemon = FakeDaemon::start(script);
        library.run(&in_package("tests/c", "short", "c"), &C[0], &[&daemon.name(), layer]);
        daemon.finish();
    }
}

#[test]
fn memory_is_used_cleanly() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: skipped");
        return;
    }
    let library = Library::prepare("valgrind");
    library.check_memory("hostile", &[]);
    library.check_memory("events", &[]);
    let daemon = busy_daemon();
    library.check_memory("threads", &[&daemon.name()]);
    daemon.finish();
    for layer in ["SP", "FL"] {
        let daemon = FakeDaemon::start([accepting(), vec![Step::Say(short_messages(layer == "FL"))]].concat());
        library.check_memory("short", &[&daemon.name(), layer]);
        daemon.finish();
    }
}

/// Bytes of the connect request of a client called `me`.
const REQUEST: usize = b"\x04\x04\x00\x01\x02me".len();
/// Bytes of its choice of methods.
const CHOICE: usize = 90;

/// A handshake that succeeds.
fn accepting() -> Vec<Step> {
    let (list, answer) = (b"\x05NULL ".to_vec(), b"\x01\x04\x04\x00\x06#me#d1".to_vec());
    vec![Step::Hear(REQUEST), Step::Say(list), Step::Hear(CHOICE), Step::Say(answer)]
}

/// The front of a message of so many bytes.
fn header(data_len: i32) -> FrameHeader {
    FrameHeader {
        kind: FrameType::SAFE,
        name: name(b"#a#d1"),
        groups: 0,
        hint: Hint::new(0, ByteOrder::NATIVE),
        data_len,
        order: ByteOrder::NATIVE,
    }
}

#[test]
fn a_process_can_fork_while_a_thread_receives() {
    let (go, kill) = (FrameHeader::SIZE + Name::SIZE + b"go".len(), FrameHeader::SIZE + Name::SIZE);
    let me = name(b"#me#d1");
    let hello = [&FrameHeader { groups: 1, ..header(5) }.encode()[..], me.field(), b"hello"].concat();
    let library = Library::prepare("fork");
    for with_flush_layer in [&[][..], &["flush"]] {
        let mut script = accepting();
        script.extend([Step::Hear(go), Step::Say(hello.clone()), Step::Hear(kill + 1), Step::End]);
        let daemon = FakeDaemon::start(script);
        let name = daemon.name();
        library.run(&in_package("tests/c", "fork", "c"), &C[0], &[&[name.as_str()], with_flush_layer].concat());
        let heard = daemon.finish().1;
        assert_eq!(heard.len(), REQUEST + CHOICE + go + kill, "one kill, from the parent");
    }
}
