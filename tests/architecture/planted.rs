//! Tests of the tester: a violation of each rule is planted, in each way in which one can be written, and must be found.

use super::reader::read;
use super::rules::{File, forbidden_arrows, misplaced_unsafe, named_modules, too_long, touches_the_world};

const ALL: &[&str] = &["client", "daemon", "ring", "time", "wire"];

fn ring_file(text: &str) -> File {
    File { place: "ring/window.rs".to_string(), source: read(&["ring", "window"], text) }
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
    ] {
        let found = forbidden_arrows(&ring_file(text), "ring", &["wire", "time"], ALL);
        assert_eq!(found, ["ring/window.rs names daemon"], "{text}");
    }
}

#[test]
fn everything_at_once_is_an_arrow_too() {
    assert_eq!(forbidden_arrows(&ring_file("use crate::*;"), "ring", &[], ALL), ["ring/window.rs imports crate::*"]);
}

#[test]
fn arrows_down_and_those_of_tests_are_no_violations() {
    for text in [
        "use crate::{wire::Token, time::Instant}; use super::core::Core; use crate::ring::RingEvent;",
        "#[cfg(test)] mod tests { use crate::daemon::Daemon; }",
        "#[cfg(test)] use crate::daemon::Daemon;",
        "// use crate::daemon::Daemon;\nconst TEXT: &str = \"crate::daemon::Daemon\";",
    ] {
        assert!(forbidden_arrows(&ring_file(text), "ring", &["wire", "time"], ALL).is_empty(), "{text}");
    }
}

#[test]
fn an_arrow_that_nobody_uses_is_seen() {
    let file = ring_file("use crate::wire::Token;");
    assert_eq!(named_modules(&file, "ring", ALL).collect::<Vec<_>>(), ["wire"]);
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
        "use std::net::UdpSocket;",
        "#[cfg(test)] mod tests {} fn f() { std::thread::spawn(g); }",
    ] {
        assert!(!touches_the_world(&ring_file(text)).is_empty(), "{text}");
    }
    for text in [
        "use std::time::Duration;",
        "use std::net::IpAddr;",
        "use crate::time::Instant;",
        "#[cfg(test)] mod tests { use std::thread; }",
    ] {
        assert_eq!(touches_the_world(&ring_file(text)), [""; 0], "{text}");
    }
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
}
