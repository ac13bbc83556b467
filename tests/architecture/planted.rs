//! Tests of the tester: a violation of each rule is planted, in each way in which one can be written, and must be found.

use super::reader::read;
use std::path::PathBuf;

use super::rules::{
    File, differences, forbidden_arrows, misplaced_unsafe, organs_out_of_place, states_that_name_their_table, too_long,
    touches_the_world, unneeded_exceptions, unread, unused_arrows, unused_leaves, unused_unsafe,
};

const ALL: &[&str] = &["client", "daemon", "ring", "time", "wire"];

fn ring_file(text: &str) -> File {
    file("ring/window.rs", text)
}

fn file(place: &str, text: &str) -> File {
    let parts: Vec<&str> = place.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    File { place: place.to_string(), source: read(&parts, text) }
}

#[test]
fn a_module_outside_the_table_is_found() {
    let root = "pub mod ring; mod wire; use wire::Token;";
    assert_eq!(differences(root, &["wire", "ring"]), [""; 0]);
    assert_eq!(differences(root, &["wire"]), ["ring is not in the table"]);
    assert_eq!(differences(root, &["wire", "ring", "net"]), ["the crate does not declare net"]);
}

#[test]
fn a_file_that_nobody_reads_is_found() {
    let paths = |places: &[&str]| places.iter().map(PathBuf::from).collect::<Vec<_>>();
    let read = paths(&["ring/mod.rs", "ring/window.rs"]);
    let there = paths(&["ring/mod.rs", "ring/window.rs", "ring/tests.rs", "ring/testing.rs", "ring/tests/form.rs"]);
    assert_eq!(unread(&there, &read), [""; 0]);
    for stray in ["ring/stray.rs", "ring/lost/window.rs", "ring/notes.txt", "ring/mytests.rs"] {
        assert_eq!(unread(&paths(&["ring/mod.rs", stray]), &read), [format!("{stray} is not read")]);
    }
}

#[test]
fn an_arrow_upwards_is_found_however_it_is_written() {
    for text in [
        "use crate::daemon;",
        "use crate::daemon::Daemon;",
        "use crate::{wire, daemon};",
        "use crate::{wire::Token, daemon::{Daemon as D}};",
        "use crate::daemon as d;",
        "use crate::{daemon::{self}};",
        "use super::super::daemon::Daemon;",
        "use crate::daemon::*;",
        "fn f() { crate::daemon::start(); }",
        "fn f(_: crate::daemon::Daemon) {}",
        "fn f() { println!(\"{}\", crate::daemon::NAME); }",
        "#[cfg(test)] mod tests {} use crate::daemon::Daemon;",
        "#[cfg(test)] mod tests; fn f() { crate::daemon::start() }",
        "mod inner { use super::super::super::daemon::Daemon; }",
        "#[cfg(any(test, unix))] use crate::daemon::Daemon;",
        "m! { use crate::{wire, daemon}; }",
        "m! { use crate::{wire::{Token, Data}, daemon::Daemon}; }",
        "m! { use super::super::{daemon as d}; }",
        "macro_rules! m { ($x:ident) => { fn f(x: ::std::u8, y: $crate::daemon::Daemon) {} } }",
    ] {
        let found = forbidden_arrows(&ring_file(text), "ring", &["wire", "time"], ALL);
        assert_eq!(found, ["ring/window.rs names daemon"], "{text}");
    }
}

#[test]
fn everything_at_once_is_an_arrow_too() {
    for text in [
        "use crate::*;",
        "use crate::{*};",
        "use super::super::*;",
        "use crate as c;",
        "use crate::{self as c};",
        "use super::super as c;",
        "use super::super::{self as c};",
        "mod inner { use super::super::super as c; }",
        "extern crate self as c;",
        "m! { use crate::*; }",
        "m! { use crate::{*}; }",
        "m! { use crate as c; }",
        "m! { use crate::{self as c}; }",
        "m! { use super::super as c; }",
        "macro_rules! m { ($module:ident) => { use $crate::$module::X; } }",
    ] {
        assert_eq!(forbidden_arrows(&ring_file(text), "ring", &[], ALL), ["ring/window.rs imports crate::*"], "{text}");
    }
}

#[test]
fn arrows_down_and_those_of_tests_are_no_violations() {
    for text in [
        "use crate::{wire::Token, time::Instant}; use super::core::Core; use crate::ring::RingEvent;",
        "#[cfg(test)] mod tests { use crate::daemon::Daemon; }",
        "#[cfg(test)] use crate::daemon::Daemon;",
        "pub(crate) fn f() {} m! { pub(crate) fn g() { a * b as c } } use super as s;",
        "// use crate::daemon::Daemon;\nconst TEXT: &str = \"crate::daemon::Daemon\";",
    ] {
        assert!(forbidden_arrows(&ring_file(text), "ring", &["wire", "time"], ALL).is_empty(), "{text}");
    }
}

#[test]
fn an_arrow_that_nobody_uses_is_found() {
    let files = [ring_file("use crate::wire::Token;"), ring_file("#[cfg(test)] use crate::client::Client;")];
    assert_eq!(unused_arrows(&files, "ring", &["wire"], ALL), [""; 0]);
    let found = unused_arrows(&files, "ring", &["wire", "client"], ALL);
    assert_eq!(found, ["ring no longer names client: take it out of the table"]);
}

#[test]
fn a_leaf_that_nobody_names_is_found() {
    // That a leaf names itself makes it no leaf of others.
    let files = [ring_file("use crate::time::Instant;"), file("rng.rs", "use crate::rng::Seed;")];
    assert_eq!(unused_leaves(files.iter(), &["time"]), [""; 0]);
    assert_eq!(unused_leaves(files.iter(), &["time", "rng"]), ["nobody names rng: take it out of the leaves"]);
}

#[test]
fn an_organ_that_names_another_one_is_found() {
    let organs: &[(&str, &[&str])] = &[("health", &[]), ("inbound", &["health"])];
    let found = |health: &str, inbound: &str| {
        let files = [file("multipath/health/track.rs", health), file("multipath/inbound/mod.rs", inbound)];
        organs_out_of_place(&files, "multipath", organs)
    };
    let down = "use crate::multipath::health::Track;";
    assert_eq!(found("", down), [""; 0]);
    assert_eq!(found("use super::Paths; use crate::multipath::Settings;", "use super::health;"), [""; 0]);
    for up in [
        "use crate::multipath::inbound::Gate;",
        "use crate::multipath::{Settings, inbound as i};",
        "use super::super::inbound;",
        "fn f() { debug!(\"{}\", crate::multipath::inbound::NAME); }",
    ] {
        assert_eq!(found(up, down), ["multipath/health/track.rs names inbound"], "{up}");
    }
    assert_eq!(found("", ""), ["multipath/inbound no longer names health: take it out of the table"]);
    let alone = [file("multipath/inbound.rs", down)];
    assert_eq!(organs_out_of_place(&alone, "multipath", organs), ["multipath/health is gone: change the table"]);
}

#[test]
fn a_state_that_names_the_table_of_states_is_found() {
    let found = |text: &str| states_that_name_their_table(&[file("ring/form.rs", text)], &["form"]);
    assert_eq!(found("use crate::ring::core::Core; use super::stats;"), [""; 0]);
    for text in ["use super::state::State;", "use crate::ring::{core, state};", "fn f() { super::state::next() }"] {
        assert_eq!(found(text), ["ring/form.rs names ring/state.rs, which names it"], "{text}");
    }
    assert_eq!(states_that_name_their_table(&[], &["form"]), ["ring/form.rs is gone: change the list"]);
}

#[test]
fn the_world_is_found_below_the_line() {
    for text in [
        "use std::time::Instant;",
        "use std::{collections::BTreeMap, time::{Duration, SystemTime}};",
        "fn f() { std::thread::sleep(d); }",
        "use std::thread;",
        "use std::collections::{BTreeMap, HashMap};",
        "fn f() -> std::collections::HashSet<u8> { todo!() }",
        "fn f() { debug!(\"{:?}\", std::fs::read(p)); }",
        "use libc::c_int;",
        "use std::*;",
        "use std::{*};",
        "use std as s;",
        "use std::{self as s};",
        "use ::std as s;",
        "extern crate std as s;",
        "m! { use std::*; }",
        "m! { use std::{thread}; }",
        "m! { fn f(clock: ::std::time::Instant) {} }",
        "use std::net as n; fn f() { n::UdpSocket::bind(a); }",
        "use std::net::*; fn f(_: TcpStream) {}",
        "use std::env;",
        "fn f() { std::process::exit(1); }",
        "use std::sync::mpsc::channel;",
        "use std::sync::*; fn f() { mpsc::channel(); }",
        "use std::net::UdpSocket;",
        "#[cfg(test)] mod tests {} fn f() { std::thread::spawn(g); }",
    ] {
        assert!(!touches_the_world(&ring_file(text)).is_empty(), "{text}");
    }
    for text in [
        "use std::time::Duration;",
        "use std::net::IpAddr;",
        "use std::net::*; use std::fmt::{self as f};",
        "const NAME: &str = env!(\"CARGO_PKG_NAME\");",
        "use crate::time::Instant;",
        "#[cfg(test)] mod tests { use std::thread; }",
    ] {
        assert_eq!(touches_the_world(&ring_file(text)), [""; 0], "{text}");
    }
}

#[test]
fn an_exception_from_the_ban_that_nobody_needs_is_found() {
    let files = [ring_file("use std::time::Duration; use std::fmt::Debug;")];
    assert_eq!(unneeded_exceptions(files.iter(), &["std::time::Duration"]), [""; 0]);
    for exception in ["std::time::Instant", "std::fmt::Debug"] {
        let found = unneeded_exceptions(files.iter(), &["std::time::Duration", exception]);
        assert_eq!(found, [format!("nobody needs {exception}: take it out of the exceptions")]);
    }
}

#[test]
fn a_place_for_unsafe_code_that_has_none_is_found() {
    let files = [file("net/udp.rs", "fn f() { unsafe { g() } }"), file("system.rs", "fn f() {}")];
    assert_eq!(unused_unsafe(files.iter(), &["net"]), [""; 0]);
    let found = unused_unsafe(files.iter(), &["net", "system.rs"]);
    assert_eq!(found, ["system.rs has no unsafe code any more: take it out of the table"]);
}

#[test]
fn unsafe_code_is_found_however_it_is_written() {
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for X {}",
        "unsafe trait T {}",
        "unsafe extern \"C\" { fn g(); }",
        "struct X; impl X { unsafe fn f() {} }",
        "trait T { unsafe fn f(); }",
        "fn f() { vec![unsafe { g() }]; }",
        "#[cfg(test)] mod tests {} fn f() { unsafe { g() } }",
    ] {
        let file = ring_file(text);
        assert_eq!(misplaced_unsafe(&file, &["ffi"]), ["ring/window.rs:1 has unsafe code"], "{text}");
        assert!(
            misplaced_unsafe(&file, &["ring"]).is_empty() && misplaced_unsafe(&file, &["ring/window.rs"]).is_empty()
        );
        assert!(!misplaced_unsafe(&file, &["ring/win"]).is_empty(), "part of a name is no place");
    }
}

#[test]
fn long_files_and_functions_are_found_and_tests_do_not_count() {
    let lines = "const A: u8 = 0;\n";
    assert!(too_long(&ring_file(&lines.repeat(500))).is_empty());
    assert_eq!(too_long(&ring_file(&lines.repeat(501))).len(), 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines.repeat(400));
    assert!(too_long(&ring_file(&format!("{tests}{}", lines.repeat(400)))).is_empty());
    assert_eq!(too_long(&ring_file(&format!("{tests}{}", lines.repeat(501)))).len(), 1);
    let function = |body: usize| format!("fn f() {{\n{}}}\n", "g();\n".repeat(body));
    assert!(too_long(&ring_file(&function(68))).is_empty());
    assert_eq!(too_long(&ring_file(&function(69))), ["ring/window.rs: fn f has 71 lines"]);
    let provided = format!("trait T {{\n{}}}\n", function(69));
    assert_eq!(too_long(&ring_file(&provided)), ["ring/window.rs: fn f has 71 lines"]);
}
