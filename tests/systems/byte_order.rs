//! A processor with the other byte order: its programs with our daemon, our programs with its daemon, and both in one ring. What is
//! on the wire says which order it has, and whoever gets it turns it around.

use std::fs;

use super::ring;
use super::system::{System, free_port};

const PROGRAMS: [&str; 11] =
    ["constants", "macros", "calls", "threads", "arguments", "answers", "core", "flush", "select", "load", "large"];

#[test]
#[ignore = "make check-systems builds what it tries"]
fn byte_order_of_a_program_may_differ_from_that_of_its_daemon() {
    let other = System::big_endian();
    PROGRAMS.iter().for_each(|program| other.play(program));
}

#[test]
#[ignore = "make check-systems builds what it tries"]
fn byte_order_of_a_daemon_may_differ_from_that_of_its_programs() {
    let (other, here) = (System::big_endian(), System::here());
    let port = free_port();
    let file = other.scratch().join("solo.conf");
    fs::write(&file, format!("Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n"))
        .unwrap();
    let _daemon = other.daemon(&file, "solo");
    for program in ["core", "flush", "lost", "select"] {
        let compiled = here.compile(&format!("tests/c/{program}.c"));
        here.run(&compiled, &[format!("{port}@127.0.0.1")]);
    }
}

#[test]
#[ignore = "make check-systems builds what it tries"]
fn byte_order_differs_within_a_ring() {
    let (other, here) = (System::big_endian(), System::here());
    ring::orders_the_same(&[&other, &here, &here], 2000);
}
