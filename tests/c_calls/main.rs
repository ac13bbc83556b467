//! The C calls as programs use them: what they give, with whom and with what, in C and C++ of every age; threads, forks, lost
//! daemons and wrong arguments; memory that is watched; and that nothing the headers declare is left out.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../c_programs/mod.rs"]
mod c_programs;
mod coverage;
#[path = "../fake_daemon/mod.rs"]
mod fake_daemon;
mod stage;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use c_programs::Library;
use stage::{BUSY, FRONT, HANDSHAKE, Stage, TRANSPORTS};

/// Runs a program on each of its stages; gives what the daemons of each heard.
fn play(program: &str) -> Vec<Vec<Vec<u8>>> {
    let library = Library::prepare(program);
    let built = library.build_program(program);
    let play = |stage: Stage| {
        c_programs::expect_success(&built, Command::new(&built).args(&stage.arguments).envs(stage.environment()));
        stage.end()
    };
    Stage::all_of(program, &TRANSPORTS).into_iter().map(play).collect()
}

#[test]
fn calls_without_a_daemon_answer_with_the_classic_codes() {
    for output in Library::prepare("calls").run_everywhere("calls") {
        let lines: Vec<_> = output.lines().collect();
        let (each, lines) = lines.split_at_checked(28).unwrap_or_else(|| panic!("28 lines and more, not {lines:?}"));
        for (code, line) in (-28..).zip(each) {
            let text = line.strip_prefix(&format!("SP_error: ({code}) ")).unwrap_or_else(|| panic!("{code}: {line}"));
            assert!(!text.trim().is_empty(), "{code} has no words");
            // Those of the Flush layer and the number that was never given have none of their own.
            assert_eq!(text == "not a known error code", code < -19 || code == -10, "{line}");
        }
        let [before, closed, unknown, after] = lines[..] else { panic!("four lines, not {lines:?}") };
        assert_eq!((before, after), ("before", "after"), "SP_error keeps its place among the program's own output");
        assert!(closed.starts_with("SP_error: (-8) ") && unknown.starts_with("SP_error: (7) "), "{lines:?}");
    }
}

#[test]
fn the_event_loop_serves_timers_and_descriptors_in_their_order() {
    Library::prepare("events").run_everywhere("events");
}

#[test]
fn wrong_arguments_give_codes_and_never_crash() {
    for output in Library::prepare("hostile").run_everywhere("hostile") {
        let lines: Vec<_> = output.lines().collect();
        let (first, pairs) = lines.split_at_checked(3).unwrap_or_else(|| panic!("three lines and more, not {lines:?}"));
        let expected = ["FL_error: (-28) ", "SP_error: (-8) ", "SP_error: (-2147483648) "];
        assert!(first.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{first:?}");
        assert_eq!(pairs.len(), 2 * (-18..=1).count());
        for (code, pair) in (-18..=1).zip(pairs.chunks(2)) {
            assert!(pair[0].starts_with(&format!("SP_error: ({code}) ")), "{pair:?}");
            assert_eq!(pair[0], pair[1], "FL_error prints what SP_error does");
        }
    }
}

#[test]
fn a_program_that_writes_to_a_pipe_without_a_reader_lives_as_with_the_classic_library() {
    let program = Library::prepare("sigpipe").build_program("sigpipe");
    let run = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).env_remove("SPREAD_KEEP_SIGPIPE").output().unwrap();
        (output.status.signal(), String::from_utf8(output.stdout).unwrap())
    };
    let killed = (Some(libc::SIGPIPE), String::new());
    assert_eq!(run(&["nothing"]), killed, "loading the library changes nothing");
    for call in ["SP_connect", "SP_connect_timeout", "FL_connect", "SP_set_auth_method", "SP_set_auth_methods"] {
        assert_eq!(run(&[call]), (None, "ignored\n".to_owned()), "{call} ignores the signal");
        assert_eq!(run(&[call, "handler before"]), (None, "handled\n".to_owned()), "{call} leaves a handler");
        assert_eq!(run(&[call, "default after"]), killed, "a second {call} leaves what the program chose");
        let kept = Command::new(&program).arg(call).env("SPREAD_KEEP_SIGPIPE", "1").output().unwrap();
        assert_eq!(kept.status.signal(), Some(libc::SIGPIPE), "the switch keeps {call} from it");
    }
}

#[test]
fn a_program_sends_whatever_its_daemon_takes_over_each_transport() {
    const LIMIT: usize = 3_000_017;
    let program = Library::prepare("large").build_program("large");
    let run = |place: &str, limit: usize, maximum: &str| {
        let mut command = Command::new(&program);
        command.args([place, &limit.to_string()]).env("FREE_PORT", stage::free_port().to_string());
        command.env("SPREAD_MAX_MESSAGE", maximum);
        c_programs::expect_success(&program, &mut command);
    };
    run("inside", LIMIT, "");
    let port = stage::free_port();
    let daemon = stage::daemon(port, &format!("MaxMessageSize = {LIMIT}\n"));
    for place in [format!("{port}@127.0.0.1"), port.to_string()] {
        run(&place, LIMIT, "");
        run(&place, LIMIT - 1_000_000, "2000017");
        run(&place, 143_152, "1000");
    }
    daemon.stop();
}

/// How often a traced program made system calls that begin with these letters.
fn system_calls(summary: &str, name: &str) -> u64 {
    let lines =
        summary.lines().filter(|line| line.split_whitespace().last().is_some_and(|call| call.starts_with(name)));
    lines.map(|line| line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn many_small_messages_cost_few_system_calls_over_each_transport() {
    // As many as a socket's buffer takes one by one: the system reckons far more for each than its bytes.
    const MESSAGES: u64 = 200;
    const ROUNDS: u64 = 10;
    let library = Library::prepare("load");
    let program = library.build_program("load");
    if Command::new("strace").arg("-V").output().is_err() {
        println!("strace is not installed: not counted");
        return;
    }
    let port = stage::free_port();
    let daemon = stage::daemon(port, "");
    for (place, sharing) in [
        (format!("{port}@127.0.0.1"), stage::NEVER),
        (port.to_string(), stage::NEVER),
        (port.to_string(), stage::ALWAYS),
    ] {
        let file = library.directory().join("summary");
        let mut traced = Command::new("strace");
        traced.args(["-c", "-o"]).arg(&file).arg(&program).args([&place, &MESSAGES.to_string(), &ROUNDS.to_string()]);
        c_programs::expect_success(&program, traced.env("SPREAD_SHARED_MEMORY", sharing));
        let summary = std::fs::read_to_string(file).unwrap();
        // The two handshakes read byte by byte.
        let received = system_calls(&summary, "recv").saturating_sub(2 * 25);
        assert!(received <= MESSAGES * ROUNDS / 20, "{received} for {} messages: {summary}", MESSAGES * ROUNDS);
    }
    daemon.stop();
}

/// Shared memory is a file to the system. A file that grows beyond the limit ends the program by a signal, and the memory needs a descriptor when the
/// two mailboxes have taken the last ones.
#[test]
fn small_limits_of_file_sizes_and_descriptors_end_no_program() {
    let program = Library::prepare("limited").build_program("load");
    let port = stage::free_port();
    let daemon = stage::daemon(port, "");
    for limit in ["-f 1", "-n 5"] {
        let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
        let mut limited = Command::new("sh");
        limited.args(["-c", &script]).arg(&program).args([&port.to_string(), "200", "10"]);
        c_programs::expect_success(&program, limited.env("SPREAD_SHARED_MEMORY", stage::ALWAYS));
    }
    daemon.stop();
}

#[test]
fn every_call_on_an_open_mailbox_refuses_what_cannot_be() {
    for heard in play("arguments").concat() {
        assert_eq!(heard.len(), HANDSHAKE + FRONT + b"still".len() + FRONT, "nothing that was refused is sent");
    }
}

#[test]
fn the_answer_of_a_daemon_is_the_code_of_the_call() {
    play("answers");
}

#[test]
fn members_get_every_view_and_message_with_all_that_they_say() {
    play("core");
}

#[test]
fn a_broken_connection_is_told_once_by_whichever_call_comes_first() {
    play("lost");
}

#[test]
fn the_flush_layer_has_its_states_and_every_way_to_send() {
    play("flush");
}

#[test]
fn select_finds_a_mailbox_readable_exactly_while_a_message_waits() {
    play("select");
}

#[test]
fn a_mailbox_is_one_descriptor_for_everything_that_programs_do_with_descriptors() {
    play("watch");
}

#[test]
fn many_threads_share_a_mailbox_and_no_signal_comes_when_it_breaks() {
    for heard in play("threads").concat() {
        let frames = heard[HANDSHAKE..].chunks(FRONT + BUSY.1);
        assert_eq!(frames.len(), BUSY.0);
        let mut bodies = frames.map(|frame| &frame[FRONT..]);
        assert!(bodies.all(|body| body.iter().all(|&byte| byte == body[0])), "messages are never mixed");
    }
}

#[test]
fn many_threads_and_both_sides_of_a_fork_send_over_each_transport() {
    play("crossing");
}

#[test]
fn parent_and_child_of_a_fork_get_each_message_once_over_each_transport() {
    play("twins");
}

#[test]
fn a_descriptor_that_is_used_again_never_reaches_an_old_session() {
    play("sessions");
}

#[test]
fn a_process_can_fork_while_a_thread_receives() {
    for heard in play("fork").concat() {
        assert_eq!(heard.len(), HANDSHAKE + FRONT + b"go".len() + FRONT, "one kill, from the parent");
    }
}

#[test]
fn a_message_without_room_is_kept_or_cut_whatever_it_is_and_however_it_is_received() {
    play("short");
}

#[test]
fn a_daemon_that_is_killed_before_any_call_gives_the_classic_codes() {
    play("killed");
}

#[test]
fn a_daemon_that_is_killed_before_any_call_of_the_flush_layer_gives_the_classic_codes() {
    play("killed_flush");
}

#[test]
fn an_event_loop_hears_that_the_daemon_was_killed_before_any_call() {
    play("killed_events");
}

#[test]
fn an_unmodified_program_talks_over_tcp_and_through_shared_memory() {
    play("unmodified");
}

/// Programs of which `make check` watches every access to memory.
const WATCHED: [&str; 13] = [
    "calls",
    "hostile",
    "events",
    "undeclared",
    "threads",
    "short",
    "arguments",
    "answers",
    "flush",
    "lost",
    "core",
    "select",
    "sigpipe",
];

/// Those that take longer: `make check-memory` watches them too.
const WATCHED_AT_LENGTH: [&str; 10] = [
    "killed",
    "killed_flush",
    "killed_events",
    "large",
    "load",
    "embedded",
    "unmodified",
    "crossing",
    "twins",
    "watch",
];

/// What is not watched, and why.
const NOT_WATCHED: [(&str, &str); 8] = [
    ("constants", "calls nothing"),
    ("layout", "calls nothing"),
    ("macros", "calls nothing"),
    ("prototypes", "calls nothing"),
    ("tags", "calls nothing"),
    ("fork", "the library gives up the memory of a mailbox that a fork takes over"),
    ("sessions", "closes descriptors of mailboxes itself; the library must then give up their memory"),
    ("ring", "makes the calls of core and flush, at daemons in namespaces"),
];

#[test]
fn memory_is_used_cleanly() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: skipped");
        return;
    }
    let library = Library::prepare("valgrind");
    let at_length = if std::env::var_os("TORC_MEMORY").is_some() { &WATCHED_AT_LENGTH[..] } else { &[] };
    for program in WATCHED.iter().chain(at_length) {
        for stage in Stage::all_of(program, &TRANSPORTS) {
            library.check_memory(program, &stage.arguments, stage.environment());
            stage.end();
        }
        println!("{program}: no complaint");
    }
}

#[test]
fn every_program_is_watched_or_says_why_not() {
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/c")).unwrap();
    let sources =
        sources.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "c"));
    let mut programs: Vec<String> =
        sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    programs.sort();
    let unwatched = NOT_WATCHED.iter().map(|(program, _)| program);
    let mut listed: Vec<&str> = WATCHED.iter().chain(&WATCHED_AT_LENGTH).chain(unwatched).copied().collect();
    listed.sort_unstable();
    assert_eq!(programs, listed);
}
