//! The C interface: the committed header is what the sources say, C and C++ of every age take it, sizes and values are
//! those that existing programs were compiled with, and the library exports exactly what the header declares.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "shared with the tests of the calls")]
mod c_programs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_programs::{C, CXX, Library, ROOT};

/// The headers, each with the files of the C face that it shows, in this order.
const HEADERS: [(&str, &[&str]); 5] = [
    ("sp", &["types"]),
    ("sp_events", &["events"]),
    ("sp_func", &["connect", "send", "receive", "memb", "errors"]),
    ("fl", &["flush"]),
    ("torc", &["embedded", "tally", "limits"]),
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
    Library::prepare("exports").exports()
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
        let text = format!("{include}{include}int main(void) {{ return sizeof(int) < 2; }}\n");
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
fn programs_that_know_the_classic_tags_compile_and_run() {
    Library::prepare("tags").run_everywhere("tags");
}

#[test]
fn objects_of_cxx_programs_have_the_classic_symbols() {
    let object = Library::prepare("mangled").directory().join("mangled.o");
    let mut compiler = Command::new("c++");
    compiler.args(["-c", "-Wall", "-Wextra", "-Werror", "-I"]).arg(in_package("include", "", ""));
    assert!(compiler.arg(in_package("tests/c", "mangled", "cc")).arg("-o").arg(&object).status().unwrap().success());
    let symbols = String::from_utf8(Command::new("nm").arg(object).output().unwrap().stdout).unwrap();
    let classic = "_Z4takePK18dummy_scat_elementPK13dummy_scatterPK14dummy_group_idPK17dummy_vs_set_infoPK21dummy_membership_info10dummy_time";
    assert!(symbols.lines().any(|line| line.ends_with(classic)), "{symbols}");
}

#[test]
fn functions_have_the_classic_types() {
    Library::prepare("prototypes").run_everywhere("prototypes");
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
