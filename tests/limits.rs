//! What the documents state as limits is what the daemon and the library do: each row of `docs/limits.md` is run up to its figure
//! and beyond it. A row without a test here is a failure, and so is a figure that has changed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "sockets, and how long they stay open")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use spread::client::{ConnectError, ConnectOptions, Mailbox, ReceiveError, Received, SendError};
use spread::config::Settings;
use spread::daemon::{Options, Running, spawn};
use spread::groups::{GROUPS_PER_MEMBER, HELD_LIMIT};
use spread::session::{Frame, Outbox, Overflow, Peer, Request, Session, SessionSettings, SlowClient, Violation};
use spread::wire::{
    Answer, ByteOrder, FrameHeader, FrameType, Hint, LIBRARY_LIMIT, Limits, MethodChoice, MethodList, MethodName, Name,
    Payload, Refusal, Version,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const HELLO: &[u8] = b"\x04\x04\x00\x00\x02me";

/// What runs a row; it gets the figures in the row's second column.
type Test = fn(&[usize]);

/// The first words of a row, and its test.
const TESTS: [(&str, Test); 11] = [
    ("clients of a daemon", clients),
    ("size of a message, with", message),
    ("size of a message to one group, if the daemon is a classic one", classic_message),
    ("destinations of a message", destinations),
    ("messages that wait for a client", waiting_messages),
    ("bytes that wait for a client", waiting_bytes),
    ("bytes of an incomplete message", unfinished_bytes),
    ("bytes that wait for the token", waiting_for_the_token),
    ("a handshake", handshake),
    ("groups of a client", groups),
    ("messages that wait while tables are exchanged", held_messages),
];

/// The limits that other tests run: the first words of a row, and where its test is.
const ELSEWHERE: [(&str, &str, &str); 21] = [
    ("keys of a daemon", "src/seal/keys.rs", "what_is_wrong_with_keys_is_told_by_line"),
    (
        "bytes of packets that a daemon keeps",
        "src/ring/window.rs",
        "the_bytes_of_all_packets_have_a_limit_and_the_next_one_is_kept_all_the_same",
    ),
    (
        "incomplete datagrams from one daemon",
        "src/multipath/inbound/fragments.rs",
        "what_is_kept_of_a_sender_is_bounded_in_bytes_and_time",
    ),
    (
        "total size of the messages",
        "src/groups/pieces.rs",
        "messages_that_have_begun_have_a_limit_together_and_what_ends_makes_room",
    ),
    (
        "how far the number of a ring",
        "src/ring/hearsay.rs",
        "the_horizon_moves_with_time_and_follows_joins_at_its_own_pace",
    ),
    (
        "how long the groups of other daemons",
        "src/node/patience.rs",
        "waiting_ends_after_a_silence_and_lasts_longer_each_time_until_an_exchange_is_complete",
    ),
    (
        "connections to `MetricsAddress`",
        "src/bin/service/web/visitors.rs",
        "one_source_gets_few_places_and_all_together_get_a_bounded_number",
    ),
    (
        "memory that a daemon uses",
        "src/node/tests/crowds.rs",
        "unfinished_frames_of_all_clients_together_stay_below_the_ceiling",
    ),
    ("part of that memory", "src/node/memory.rs", "memberships_of_others_leave_a_part_to_the_clients_here"),
    (
        "time in which a client must continue",
        "src/node/tests/crowds.rs",
        "a_frame_that_gets_no_further_ends_its_session_and_a_slow_one_does_not",
    ),
    (
        "handshakes under way from one",
        "src/node/tests/crowds.rs",
        "a_flood_of_silent_connections_from_one_address_keeps_nobody_out",
    ),
    (
        "handshakes under way when",
        "src/node/tests/crowds.rs",
        "a_full_daemon_gives_newcomers_the_places_of_silent_ones_from_elsewhere",
    ),
    (
        "wrong passwords of one",
        "src/node/attempts.rs",
        "after_a_few_wrong_passwords_one_a_second_is_compared_and_a_flood_is_refused",
    ),
    ("wrong passwords for one", "src/node/attempts.rs", "guesses_for_one_user_wait_wherever_they_come_from"),
    ("sessions and memory of one user", "src/node/tests/users.rs", "a_user_has_only_so_many_sessions"),
    ("joins and leaves under way", "src/node/pace.rs", "in_a_crowd_few_changes_are_on_their_way"),
    (
        "clients with more than 256 KiB",
        "src/node/tests/crowds.rs",
        "a_crowd_joins_at_the_pace_at_which_it_reads_and_nobody_is_closed",
    ),
    (
        "clients that send through shared memory",
        "src/daemon/clients.rs",
        "only_so_many_clients_share_memory_with_the_daemon",
    ),
    ("lines of the log that wait", "tests/log.rs", "lines_that_were_lost_are_counted_in_the_log"),
    ("lines of one kind", "tests/log.rs", "a_client_that_breaks_the_protocol_does_not_fill_the_log"),
    ("an operator's command", "tests/operator.rs", "a_slow_operator_does_not_keep_the_others_out_for_long"),
];

/// Whether another file has the test of a row.
fn is_run_elsewhere(row: &str) -> bool {
    ELSEWHERE.iter().filter(|(name, _, _)| row.starts_with(name)).any(|(_, file, test)| {
        let text = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}, which the limit {row} needs");
        true
    })
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("docs").join(name)).unwrap()
}

/// The numbers of a text in their order, in bytes or seconds or as they are; what stands in backquotes is a name.
fn figures(text: &str) -> Vec<usize> {
    let text: String = text.split('`').step_by(2).collect();
    let mut figures: Vec<usize> = Vec::new();
    let mut after_number = false;
    for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
        match (word.parse::<usize>(), figures.last_mut()) {
            // Thousands are set off by blanks.
            (Ok(number), Some(last)) if after_number && word.len() == 3 => *last = *last * 1000 + number,
            (Ok(number), _) => figures.push(number),
            (Err(_), Some(last)) if after_number && word == "KiB" => *last <<= 10,
            (Err(_), Some(last)) if after_number && word == "MiB" => *last <<= 20,
            _ => {}
        }
        after_number = word.parse::<usize>().is_ok();
    }
    figures
}

#[test]
fn every_stated_limit_is_the_one_that_holds() {
    let text = document("limits.md");
    let rows =
        text.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    let mut tests: Vec<_> = TESTS.to_vec();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if is_run_elsewhere(cells[1]) {
            continue;
        }
        let known = tests.iter().position(|(name, _)| cells[1].starts_with(name));
        let (_, test) = tests.remove(
            known.unwrap_or_else(|| panic!("no test runs the limit {}: add it to TESTS or ELSEWHERE", cells[1])),
        );
        test(&figures(cells[2]));
    }
    assert!(tests.is_empty(), "the document lacks {:?}", tests.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn every_attack_of_the_list_has_its_tests() {
    let text = document("security.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains(": `"));
    let mut tests = 0;
    for row in rows {
        let shown = row.rsplit("| ").next().unwrap().trim_end_matches(" |");
        for of_file in shown.split("; ") {
            let (file, names) = of_file.split_once(": ").unwrap();
            let text = fs::read_to_string(Path::new(ROOT).join(file.trim_matches('`'))).unwrap();
            for test in names.split(", ").map(|name| name.trim_matches('`')) {
                assert!(
                    text.contains(&format!("fn {test}()")),
                    "{file} has no test {test}, which docs/security.md names"
                );
                tests += 1;
            }
        }
    }
    assert!(tests > 30, "{tests} tests are named");
}

#[test]
fn every_document_gives_the_same_largest_message() {
    let body = LIBRARY_LIMIT - Name::SIZE;
    for (name, wanted) in [
        ("spread.conf.example", format!("at most {body} bytes to one group, and {} less", Name::SIZE)),
        ("man/SP_multicast.3", format!("the limit is {LIBRARY_LIMIT} bytes")),
        ("man/SP_multicast.3", format!("{body} bytes to one group")),
        ("migration.md", "At a classic daemon the limit is 143 152.".to_owned()),
    ] {
        let text = document(name).replace("\n# ", " ").replace('\n', " ");
        assert!(text.contains(&wanted), "{name} lacks: {wanted}");
    }
}

#[test]
fn figures_are_read_as_people_write_them() {
    assert_eq!(figures("`MaxSessions` 9, 10 000"), [9, 10_000]);
    assert_eq!(figures("64 MiB, or twice that while `block-senders` 7"), [64 << 20, 7]);
    assert_eq!(figures("10 s, 16 KiB"), [10, 16 << 10]);
    assert_eq!(figures("143 120 bytes, 32 less for each further group"), [143_120, 32]);
}

/// A daemon of its own, with these lines in its configuration, and where it is.
fn daemon(lines: &str) -> (Running, ConnectOptions) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!("Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n{lines}");
    let settings = Settings::parse("limits", text.as_bytes()).unwrap();
    let running = spawn(Options::from_settings(&settings, &settings.table.daemons[0])).unwrap();
    let daemon = format!("{port}@127.0.0.1");
    (running, ConnectOptions { daemon, membership: false, ..ConnectOptions::default() })
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

fn clients(figures: &[usize]) {
    assert_eq!(figures, [SessionSettings::default().quota]);
    let (daemon, options) = daemon("MaxSessions = 3");
    let _all: Vec<_> = (0..3).map(|_| Mailbox::connect(&options).unwrap()).collect();
    assert_eq!(Mailbox::connect(&options).unwrap_err(), ConnectError::Refused(Refusal::QUOTA));
    daemon.stop();
}

fn message(figures: &[usize]) {
    let &[limit] = figures else { panic!("{figures:?}") };
    let (daemon, options) = daemon("");
    let mailbox = Mailbox::connect(&options).unwrap();
    let (me, body) = (mailbox.private_group(), vec![7; limit - Name::SIZE + 1]);
    assert_eq!(mailbox.multicast(FrameType::AGREED, &[me], 0, &body), Err(SendError::TooLong));
    mailbox.multicast(FrameType::AGREED, &[me], 0, &body[1..]).unwrap();
    assert!(matches!(mailbox.receive().unwrap(), Received::Message(message) if message.body == body[1..]));
    let rude = Mailbox::connect(&ConnectOptions { message_limit: Some(2 * limit), ..options }).unwrap();
    // The daemon may hang up before all is written.
    let _ = rude.multicast(FrameType::AGREED, &[me], 0, &body);
    assert!(matches!(rude.receive().unwrap_err(), ReceiveError::Lost(_)));
    daemon.stop();
}

/// A daemon as the classic one: it refuses a question and reads whatever comes of a session.
fn classic_message(figures: &[usize]) {
    let &[one_group, less] = figures else { panic!("{figures:?}") };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = format!("{}@127.0.0.1", listener.local_addr().unwrap().port());
    let serving = thread::spawn(move || {
        let (mut session, _) = listener.accept().unwrap();
        session.read_exact(&mut [0; HELLO.len()]).unwrap();
        session.write_all(&MethodList(vec![MethodName::NULL]).encode()).unwrap();
        session.read_exact(&mut [0; MethodChoice::SIZE]).unwrap();
        session
            .write_all(&Answer { version: Version::OURS, private_group: name("#me#d") }.encode(Version::OURS))
            .unwrap();
        let (mut question, _) = listener.accept().unwrap();
        question.read_exact(&mut [0; Limits::QUESTION.len()]).unwrap();
        question.write_all(&[Refusal::VERSION.encode()]).unwrap();
        let mut all = Vec::new();
        session.read_to_end(&mut all).unwrap();
    });
    let options =
        ConnectOptions { daemon, private_name: "me".to_owned(), membership: false, ..ConnectOptions::default() };
    let mailbox = Mailbox::connect(&options).unwrap();
    let send = |groups: &[Name], bytes| mailbox.multicast(FrameType::AGREED, groups, 0, &vec![7; bytes]);
    let groups = [name("a"), name("b"), name("c")];
    for count in 1..=groups.len() {
        let most = one_group - less * (count - 1);
        assert_eq!(send(&groups[..count], most + 1), Err(SendError::TooLong), "{count} groups");
        assert_eq!(send(&groups[..count], most), Ok(()), "{count} groups");
    }
    drop(mailbox);
    serving.join().unwrap();
}

/// A session whose handshake is done.
fn opened(config: &SessionSettings) -> Session {
    let mut session = Session::new(config, Peer::Unix);
    session.handle_bytes(HELLO);
    assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
    session.admit(name("#me#d"));
    session.handle_bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode());
    assert_eq!(session.poll_request(), Some(Request::Authenticated));
    session.open();
    assert_eq!(session.poll_request(), Some(Request::Opened));
    session
}

fn front(groups: usize, data_len: usize) -> Vec<u8> {
    let header = FrameHeader {
        kind: FrameType::AGREED,
        name: name("#me#d"),
        groups: groups as i32,
        hint: Hint::new(0, ByteOrder::NATIVE),
        data_len: data_len as i32,
        order: ByteOrder::NATIVE,
    };
    header.encode().to_vec()
}

fn destinations(figures: &[usize]) {
    let &[most] = figures else { panic!("{figures:?}") };
    let mut session = opened(&SessionSettings::default());
    session.handle_bytes(&[front(most, 0), vec![b'g'; most * Name::SIZE]].concat());
    assert!(matches!(session.poll_request(), Some(Request::Multicast { .. })));
    session.handle_bytes(&front(most + 1, 0));
    assert_eq!(session.poll_request(), Some(Request::Violation(Violation::Groups)));
}

/// So many bytes that begin as an agreed message does.
fn message_of(bytes: usize) -> Frame {
    Frame::new(Payload::from([&FrameType::AGREED.encode()[..], &vec![7; bytes - 4]].concat()), 1)
}

fn waiting_messages(figures: &[usize]) {
    let &[most] = figures else { panic!("{figures:?}") };
    let mut outbox = Outbox::new(&SessionSettings::default());
    outbox.block();
    for _ in 0..most {
        outbox.push(message_of(4)).unwrap();
    }
    assert_eq!(outbox.push(message_of(4)), Err(Overflow::Messages));
}

fn waiting_bytes(figures: &[usize]) {
    let &[most] = figures else { panic!("{figures:?}") };
    for (slow_client, most) in [(SlowClient::Disconnect, most), (SlowClient::BlockSenders, 2 * most)] {
        let mut outbox = Outbox::new(&SessionSettings { slow_client, ..SessionSettings::default() });
        outbox.push(message_of(most)).unwrap();
        assert_eq!(outbox.push(message_of(4)), Err(Overflow::Bytes));
    }
}

/// A message that is as large as may be, but for its last byte, is waited for; what is more than that ends the session.
fn unfinished_bytes(figures: &[usize]) {
    assert_eq!(figures, [] as [usize; 0], "one message");
    let config = SessionSettings { message_limit: LIBRARY_LIMIT, ..SessionSettings::default() };
    let whole = [front(0, LIBRARY_LIMIT), vec![7; LIBRARY_LIMIT]].concat();
    let mut session = opened(&config);
    session.handle_bytes(&whole[..whole.len() - 1]);
    assert_eq!(session.poll_request(), None);
    session.handle_bytes(&whole[whole.len() - 1..]);
    assert!(matches!(session.poll_request(), Some(Request::Multicast { .. })));
    // The byte above the limit is taken, and nothing behind it.
    session.handle_bytes(&[&whole[..], &whole[..1]].concat());
    session.handle_bytes(&whole[1..2]);
    assert_eq!(session.poll_request(), Some(Request::Violation(Violation::Flood)));
}

/// Nobody outside can take the token away for so long, so this one is only compared with the source.
fn waiting_for_the_token(figures: &[usize]) {
    let &[limit] = figures else { panic!("{figures:?}") };
    let source = fs::read_to_string(Path::new(ROOT).join("src/node.rs")).unwrap();
    assert!(source.contains(&format!("const WAITING_LIMIT: usize = {} << 20;", limit >> 20)), "{limit}");
}

fn handshake(figures: &[usize]) {
    let &[seconds, bytes] = figures else { panic!("{figures:?}") };
    let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
    session.handle_bytes(HELLO);
    assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
    session.handle_bytes(&vec![7; bytes]);
    assert_eq!(session.poll_request(), None);
    session.handle_bytes(&[7]);
    session.handle_bytes(&[7]);
    assert_eq!(session.poll_request(), Some(Request::Violation(Violation::Flood)));

    let (daemon, options) = daemon("");
    let begun = Instant::now();
    let mut silent = TcpStream::connect(format!("127.0.0.1:{}", options.daemon.split('@').next().unwrap())).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(10 * seconds as u64))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "closed without a word");
    assert!(begun.elapsed() >= Duration::from_secs(seconds as u64), "{:?}", begun.elapsed());
    daemon.stop();
}

fn groups(figures: &[usize]) {
    assert_eq!(figures, [GROUPS_PER_MEMBER]);
    let (daemon, options) = daemon("");
    let mailbox = Mailbox::connect(&options).unwrap();
    let group = |number| name(&format!("group{number}"));
    (0..=GROUPS_PER_MEMBER).for_each(|number| mailbox.join(group(number)).unwrap());
    // The one too many is not joined, and nothing else is lost.
    for number in [GROUPS_PER_MEMBER, GROUPS_PER_MEMBER - 1] {
        mailbox.multicast(FrameType::AGREED, &[group(number)], number as i16, b"").unwrap();
    }
    let Received::Message(first) = mailbox.receive().unwrap() else { panic!("no message") };
    assert_eq!(first.groups, [group(GROUPS_PER_MEMBER - 1)]);
    daemon.stop();
}

/// Only two daemons that meet can reach this one; `src/groups/exchange.rs` tries the constant.
fn held_messages(figures: &[usize]) {
    assert_eq!(figures, [HELD_LIMIT]);
}
