//! What programs rely on besides bytes and codes: threads, descriptors, deadlines, forks, and the Rust face of the
//! client.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "threads are what is tested")]

mod fake_daemon;

use std::ffi::{c_int, c_void};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use fake_daemon::{FakeDaemon, Step, hear};
use spread::client::{
    ConnectError, ConnectOptions, Excess, Fate, GroupError, Lost, Mailbox, ReceiveError, Received, Room, SendError,
};
use spread::ffi::*;
use spread::wire::{
    Answer, ByteOrder, Cause, ConnectRequest, FrameHeader, FrameType, GroupId, Hint, Limits, MethodChoice, MethodList,
    MethodName, Name, PrivateName, Refusal, RegularMembership, Version, encode_self_leave, encode_transitional,
};

const ME: &[u8] = b"#me#d1";

fn name(text: &[u8]) -> Name {
    Name::new(text).unwrap()
}

fn request() -> Vec<u8> {
    let private_name = PrivateName::new(b"me");
    ConnectRequest { version: Version::OURS, membership: true, priority: 0, name: private_name }.encode()
}

fn answer(version: Version) -> Vec<u8> {
    Answer { version, private_group: name(ME) }.encode(Version::OURS)
}

/// A handshake that succeeds, and what the daemon says at once after it.
fn accepting(then: &[u8]) -> Vec<Step> {
    vec![
        Step::Hear(request().len()),
        Step::Say(MethodList(vec![MethodName::NULL]).encode()),
        Step::Hear(MethodChoice::SIZE),
        Step::Say([&answer(Version::OURS), then].concat()),
    ]
}

fn options(daemon: String) -> ConnectOptions {
    ConnectOptions { daemon, private_name: "me".to_owned(), ..ConnectOptions::default() }
}

fn connect_after(script: Vec<Step>) -> (Result<Mailbox, ConnectError>, TcpStream) {
    let daemon = FakeDaemon::start(script);
    let mailbox = Mailbox::connect(&options(daemon.name()));
    (mailbox, daemon.finish().0)
}

/// A mailbox, and the daemon's end of its connection.
fn connected(then: &[u8]) -> (Mailbox, TcpStream) {
    let (mailbox, daemon) = connect_after(accepting(then));
    (mailbox.unwrap(), daemon)
}

/// As [`connected`], known to the C functions.
fn connected_for_c(then: &[u8]) -> (mailbox, TcpStream) {
    let daemon = FakeDaemon::start(accepting(then));
    let mailbox = spread::client::registry::enter(Mailbox::connect(&options(daemon.name())).unwrap()).unwrap();
    (mailbox.descriptor(), daemon.finish().0)
}

fn frame(kind: FrameType, sender: &[u8], groups: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        name: name(sender),
        groups: groups.len() as i32,
        hint: Hint::new(7, ByteOrder::NATIVE),
        data_len: body.len() as i32,
        order: ByteOrder::NATIVE,
    };
    let groups: Vec<u8> = groups.iter().flat_map(|group| *name(group).field()).collect();
    [&header.encode()[..], &groups, body].concat()
}

fn receive(mailbox: mailbox) -> c_int {
    let (mut service, mut sender, mut num_groups) = (0, [0; 32], 0);
    let (mut groups, mut mess_type, mut mismatch, mut body) = ([[0; 32]; 4], 0, 0, [0; 100]);
    // SAFETY: everything is as large as is said.
    unsafe {
        SP_receive(
            mailbox,
            &mut service,
            sender.as_mut_ptr(),
            4,
            &mut num_groups,
            groups.as_mut_ptr(),
            &mut mess_type,
            &mut mismatch,
            100,
            body.as_mut_ptr(),
        )
    }
}

fn is_readable(descriptor: c_int) -> bool {
    let mut waiting = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&mut waiting, 1, 0) == 1 }
}

#[test]
fn the_local_daemon_is_a_unix_socket() {
    // A TCP port that is ours for now gives a number that nobody else uses.
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = reserved.local_addr().unwrap().port().to_string();
    let path = Path::new("/tmp").join(&port);
    // A daemon of a test that was killed leaves its socket.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for step in accepting(b"") {
            match step {
                Step::Hear(count) => stream.read_exact(&mut vec![0; count]).unwrap(),
                Step::Say(bytes) => stream.write_all(&bytes).unwrap(),
                Step::End => unreachable!("the handshake goes on"),
            }
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let mailbox = Mailbox::connect(&options(port)).unwrap();
    std::fs::remove_file(path).unwrap();
    mailbox.multicast(FrameType::FIFO, &[name(b"g")], 7, b"hello").unwrap();
    mailbox.disconnect();
    let kill =
        FrameHeader { hint: Hint::new(0, ByteOrder::NATIVE), ..decoded(&frame(FrameType::KILL, ME, &[ME], b"")) };
    let expected = [&frame(FrameType::FIFO, ME, &[b"g"], b"hello")[..], &kill.encode(), name(ME).field()].concat();
    assert_eq!(daemon.join().unwrap(), expected);
}

fn decoded(frame: &[u8]) -> FrameHeader {
    FrameHeader::decode(frame.first_chunk().unwrap())
}

#[test]
fn nobody_at_the_address_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let result = Mailbox::connect(&options(format!("{port}@127.0.0.1"))).map(|_| ());
    assert_eq!(result, Err(ConnectError::Unreachable));
    assert_eq!(Mailbox::connect(&options(port.to_string())).map(|_| ()), Err(ConnectError::Unreachable));
    let nowhere = Mailbox::connect(&options(format!("{port}@no host has blanks"))).map(|_| ());
    assert_eq!(nowhere, Err(ConnectError::IllegalAddress));
}

#[test]
fn a_silent_daemon_meets_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = format!("{}@127.0.0.1\0", listener.local_addr().unwrap().port());
    let (mut mailbox, mut group) = (-1, [0; 32]);
    let limit = sp_time { sec: 0, usec: 20_000 };
    let start = daemon.as_ptr().cast();
    // SAFETY: a string, a number and an array of 32.
    let code = unsafe { SP_connect_timeout(start, std::ptr::null(), 0, 1, &mut mailbox, group.as_mut_ptr(), limit) };
    let errno = std::io::Error::last_os_error();
    assert_eq!((code, mailbox), (CONNECTION_CLOSED, -1));
    #[cfg(target_os = "linux")]
    assert_eq!(errno.raw_os_error(), Some(libc::ETIMEDOUT));
}

#[test]
fn a_deadline_ends_with_the_handshake() {
    let daemon = FakeDaemon::start(accepting(b""));
    let timeout = Some(Duration::from_millis(200));
    let mailbox = Mailbox::connect(&ConnectOptions { timeout, ..options(daemon.name()) }).unwrap();
    let (mut stream, _) = daemon.finish();
    let receiver = std::thread::spawn(move || mailbox.receive());
    assert!(!receiver.is_finished());
    stream.write_all(&frame(FrameType::SAFE, b"#a#d1", &[], b"late")).unwrap();
    assert!(matches!(receiver.join().unwrap(), Ok(Received::Message(message)) if message.body == b"late"));
}

#[test]
fn an_old_daemon_is_refused() {
    for (version, priority, accepted) in [((3, 0), 0, false), ((3, 7), 0, true), ((3, 7), 1, false), ((3, 8), 1, true)]
    {
        let mut script = accepting(b"");
        script[3] = Step::Say(answer(Version::new(version.0, version.1, 99)));
        let daemon = FakeDaemon::start(script);
        let result = Mailbox::connect(&ConnectOptions { priority, ..options(daemon.name()) }).map(|_| ());
        daemon.finish();
        assert_eq!(result, if accepted { Ok(()) } else { Err(ConnectError::Refused(Refusal::VERSION)) });
    }
}

#[test]
fn a_private_name_is_cut_but_not_mended() {
    for (private_name, legal) in [("0123456789\u{e9}", true), ("bl ank", false), ("a\u{e9}", false)] {
        let script = if legal { accepting(b"") } else { Vec::new() };
        let daemon = FakeDaemon::start(script);
        let options = ConnectOptions { private_name: private_name.to_owned(), ..options(daemon.name()) };
        let result = Mailbox::connect(&options).map(|_| ());
        assert_eq!(result, if legal { Ok(()) } else { Err(ConnectError::Refused(Refusal::ILLEGAL_NAME)) });
    }
}

#[test]
fn the_descriptor_is_readable_whenever_a_message_waits() {
    let messages: Vec<u8> = (0..3).flat_map(|_| frame(FrameType::AGREED, b"#a#d1", &[b"g"], b"x")).collect();
    let (mailbox, _daemon) = connected_for_c(&messages);
    for _ in 0..3 {
        assert_eq!(receive(mailbox), 1);
        assert_eq!(is_readable(mailbox), SP_poll(mailbox) > 0);
    }
    assert!(!is_readable(mailbox));
    assert_eq!(SP_disconnect(mailbox), 0);
}

#[test]
fn disconnecting_wakes_a_blocked_receiver() {
    let (mailbox, mut daemon) = connected_for_c(b"");
    let receiver = std::thread::spawn(move || receive(mailbox));
    // The receiver may or may not be inside its call already; it learns the truth either way.
    assert_eq!(SP_disconnect(mailbox), 0);
    let code = receiver.join().unwrap();
    assert!([CONNECTION_CLOSED, ILLEGAL_SESSION].contains(&code), "{code}");
    assert_eq!(receive(mailbox), ILLEGAL_SESSION);
    assert_eq!(SP_disconnect(mailbox), ILLEGAL_SESSION);
    assert_eq!(hear(&mut daemon, usize::MAX).len(), FrameHeader::SIZE + Name::SIZE);
}

#[test]
fn a_receiver_inside_its_call_is_told_that_the_connection_closed() {
    let (mailbox, mut daemon) = connected(&frame(FrameType::SAFE, b"#a#d1", &[], b"first"));
    std::thread::scope(|scope| {
        let (inside, is_inside) = std::sync::mpsc::channel();
        let mailbox = &mailbox;
        let receiver = scope.spawn(move || {
            mailbox.receive().unwrap();
            inside.send(()).unwrap();
            (mailbox.receive(), mailbox.receive())
        });
        is_inside.recv().unwrap();
        mailbox.disconnect();
        let lost = (Err(ReceiveError::Lost(Lost::Now)), Err(ReceiveError::Lost(Lost::Before)));
        assert_eq!(receiver.join().unwrap(), lost);
    });
    hear(&mut daemon, usize::MAX);
}

#[test]
fn a_blocked_sender_does_not_hold_up_a_disconnect() {
    let (mailbox, daemon) = connected(b"");
    std::thread::scope(|scope| {
        let (many, sent) = std::sync::mpsc::sync_channel(1);
        let mailbox = &mailbox;
        let sender = scope.spawn(move || {
            loop {
                if let Err(error) = mailbox.multicast(FrameType::FIFO, &[name(b"g")], 0, &[0; 100_000]) {
                    return error;
                }
                let _ = many.try_send(());
            }
        });
        sent.recv().unwrap();
        mailbox.disconnect();
        assert!(matches!(sender.join().unwrap(), SendError::Lost(_)));
    });
    drop(daemon);
}

#[test]
fn senders_never_mix_their_messages() {
    const SENDERS: u8 = 4;
    const MESSAGES: usize = 200;
    let (mailbox, mut daemon) = connected(b"");
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for length in 0..MESSAGES {
                    let body = vec![sender; 40 * length];
                    let (front, back) = body.split_at(length);
                    let slices = [IoSlice::new(front), IoSlice::new(b""), IoSlice::new(back)];
                    mailbox.multicast_slices(FrameType::FIFO, &[name(b"g")], 0, &slices).unwrap();
                }
            });
        }
        let mut lengths = [0; SENDERS as usize];
        for _ in 0..usize::from(SENDERS) * MESSAGES {
            let header = decoded(&hear(&mut daemon, FrameHeader::SIZE));
            assert_eq!((header.kind, header.groups), (FrameType::FIFO, 1));
            assert_eq!(hear(&mut daemon, Name::SIZE), name(b"g").field());
            let body = hear(&mut daemon, header.data_len as usize);
            let sender = body.first().copied();
            assert!(body.iter().all(|&byte| Some(byte) == sender));
            if let Some(sender) = sender {
                lengths[usize::from(sender)] += 1;
                assert_eq!(body.len(), 40 * lengths[usize::from(sender)], "each sender's own order");
            }
        }
    });
}

#[test]
fn receivers_get_whole_messages() {
    let messages: Vec<u8> =
        (0..100u8).flat_map(|i| frame(FrameType::SAFE, b"#a#d1", &[b"g"], &vec![i; usize::from(i)])).collect();
    let (mailbox, mut daemon) = connected(b"");
    let bodies = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let Ok(Received::Message(message)) = mailbox.receive() else { panic!("only messages come") };
                    bodies.lock().unwrap().push(message.body);
                }
            });
        }
        daemon.write_all(&messages).unwrap();
    });
    let mut bodies = bodies.into_inner().unwrap();
    bodies.sort_by_key(Vec::len);
    assert!(bodies.iter().enumerate().all(|(i, body)| *body == vec![i as u8; i]));
}

#[test]
fn a_scattered_receive_skips_empty_pieces() {
    let (mailbox, _daemon) = connected(&frame(FrameType::SAFE, b"#a#d1", &[b"g"], b"hello world"));
    let (mut first, mut second, mut third) = ([0; 4], [0; 0], [0; 9]);
    let mut body = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second), IoSliceMut::new(&mut third)];
    let mut room = Room { groups: &mut [[1; 32]; 2], body: &mut body, excess: Excess::Keep };
    let envelope = mailbox.receive_into(&mut room).unwrap();
    assert_eq!((envelope.fate, envelope.groups, envelope.body_len, envelope.mess_type), (Fate::Taken, 1, 11, 7));
    assert_eq!((&first, &third), (b"hell", b"o world\0\0"));
}

#[test]
fn a_kept_message_is_offered_to_whichever_call_comes_next() {
    let (mailbox, _daemon) = connected(&frame(FrameType::SAFE, b"#a#d1", &[b"g"], b"hello"));
    for _ in 0..2 {
        let mut room = Room { groups: &mut [], body: &mut [], excess: Excess::Keep };
        let envelope = mailbox.receive_into(&mut room).unwrap();
        assert_eq!((envelope.fate, envelope.groups, envelope.body_len), (Fate::Kept, 1, 5));
    }
    assert!(matches!(mailbox.receive(), Ok(Received::Message(message)) if message.body == b"hello"));
}

#[test]
fn owned_messages_say_what_they_are() {
    let (group, id) = (name(b"g"), GroupId([1, 2, 3]));
    let (members, vs_sets) = ([name(b"#a#d1"), name(ME)], [vec![name(b"#a#d1")], vec![name(ME)]]);
    let membership = RegularMembership { cause: Cause::Network, group, members: &members, id, vs_sets: &vs_sets };
    let refused = frame(FrameType::REJECT, ME, &[], b"");
    let frames = [
        &membership.encode().for_vs_set(1).contiguous()[..],
        &encode_transitional(group, id),
        &encode_self_leave(group),
        &refused[..],
        &FrameType::CAUSED_BY_JOIN.encode(),
    ];
    let (mailbox, _daemon) = connected(&frames.concat());
    let Ok(Received::View(view)) = mailbox.receive() else { panic!("a view") };
    assert_eq!((view.group, view.cause, view.id, view.own), (group, Cause::Network, id, 1));
    assert_eq!((view.members, view.vs_sets), (members.to_vec(), vs_sets.to_vec()));
    assert_eq!(mailbox.receive(), Ok(Received::Transition(group, id)));
    assert_eq!(mailbox.receive(), Ok(Received::Left(group)));
    let Ok(Received::Refused(message)) = mailbox.receive() else { panic!("a refused join") };
    assert_eq!(message.kind, FrameType::REJECT | FrameType::CAUSED_BY_JOIN);
}

#[test]
fn nonsense_from_the_daemon_is_malformed_and_not_trusted() {
    let mut huge = frame(FrameType::SAFE, b"#a#d1", &[], b"");
    huge[44..48].copy_from_slice(&i32::MAX.to_le_bytes());
    let mut no_membership = frame(FrameType::REG_MEMB | FrameType::CAUSED_BY_JOIN, b"g", &[], &[0xff; 24]);
    no_membership[20] = 0xff;
    let (mailbox, _daemon) = connected(&[no_membership, huge].concat());
    assert_eq!(mailbox.receive(), Err(ReceiveError::Malformed));
    assert_eq!(mailbox.receive(), Err(ReceiveError::TooLong));
    let mut room = Room { groups: &mut [], body: &mut [], excess: Excess::Keep };
    assert_eq!(mailbox.receive_into(&mut room).unwrap().body_len, i32::MAX as usize);
}

#[test]
fn wrong_requests_are_not_sent() {
    let (mailbox, mut daemon) = connected(b"");
    let groups = vec![name(b"g"); 101];
    assert_eq!(mailbox.join(name(b"")), Err(GroupError::IllegalGroup));
    assert_eq!(mailbox.join(name(b"#me#d1")), Err(GroupError::IllegalGroup));
    assert_eq!(mailbox.leave(name(b"two words")), Err(GroupError::IllegalGroup));
    assert_eq!(mailbox.multicast(FrameType::SELF_DISCARD, &groups[..1], 0, b""), Err(SendError::NoService));
    assert_eq!(mailbox.multicast(FrameType::SAFE, &groups, 0, b""), Err(SendError::TooManyGroups));
    assert_eq!(mailbox.multicast(FrameType::SAFE, &groups[..1], 0, &[0; 143_121]), Err(SendError::TooLong));
    assert_eq!(mailbox.multicast(FrameType::SAFE, &groups[..1], 0, &[0; 143_120]), Ok(()));
    assert_eq!(decoded(&hear(&mut daemon, FrameHeader::SIZE)).data_len, 143_120);
}

#[test]
fn a_broken_connection_is_told_once_and_then_remembered() {
    let mut script = accepting(b"");
    script.push(Step::End);
    let (mailbox, _daemon) = connect_after(script);
    let mailbox = mailbox.unwrap();
    assert_eq!(mailbox.receive(), Err(ReceiveError::Lost(Lost::Now)));
    assert_eq!(mailbox.receive(), Err(ReceiveError::Lost(Lost::Before)));
    assert_eq!(mailbox.join(name(b"g")), Err(GroupError::Lost(Lost::Before)));
    assert_eq!(mailbox.multicast(FrameType::SAFE, &[], 0, b""), Err(SendError::Lost(Lost::Before)));
    assert_eq!(mailbox.bytes_waiting(), 0);
}

/// The client's part of a method that sends its data, a byte, and succeeds if the daemon's byte is 1.
extern "C" fn talk(descriptor: c_int, data: *mut c_void) -> c_int {
    let mut byte = data as usize as u8;
    let at = (&raw mut byte).cast::<c_void>();
    // SAFETY: one byte each way on the socket that is ours during the call.
    unsafe {
        assert_eq!(libc::send(descriptor, at, 1, 0), 1);
        assert_eq!(libc::recv(descriptor, at, 1, 0), 1);
    }
    c_int::from(byte == 1)
}

/// The methods belong to the whole process, so this runs in one of its own: see
/// [`authentication_methods_talk_in_order`].
fn talk_with(answers: [u8; 2], outcome: Result<(), ConnectError>) {
    let mut names = [c"FIRST".as_ptr(), c"SECOND".as_ptr()];
    let mut functions = [Some(talk as unsafe extern "C" fn(c_int, *mut c_void) -> c_int); 2];
    let mut data = [5 as *mut c_void, 6 as *mut c_void];
    // SAFETY: two of each.
    let code = unsafe { SP_set_auth_methods(2, names.as_mut_ptr(), functions.as_mut_ptr(), data.as_mut_ptr()) };
    assert_eq!(code, 1);
    let list = MethodList([&b"NULL"[..], b"SECOND", b"FIRST"].map(|name| MethodName::new(name).unwrap()).to_vec());
    let script = vec![
        Step::Hear(request().len()),
        Step::Say(list.encode()),
        Step::Hear(MethodChoice::SIZE + 1),
        Step::Say(vec![answers[0]]),
        Step::Hear(1),
        Step::Say([&[answers[1]][..], &answer(Version::OURS)].concat()),
    ];
    let daemon = FakeDaemon::start(script);
    assert_eq!(Mailbox::connect(&options(daemon.name())).map(|_| ()), outcome);
    let heard = daemon.finish().1;
    let choice = MethodChoice([MethodName::new(b"FIRST"), MethodName::new(b"SECOND"), None]);
    assert_eq!(heard, [&request()[..], &choice.encode(), &[5, 6]].concat(), "both talk, even if one fails");
}

#[test]
fn authentication_methods_talk_in_order() {
    const ALONE: &str = "SPREAD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        talk_with([1, 1], Ok(()));
        talk_with([0, 1], Err(ConnectError::Refused(Refusal::AUTH)));
        talk_with([1, 0], Err(ConnectError::Refused(Refusal::AUTH)));
        return;
    }
    let program = std::env::current_exe().unwrap();
    let test = ["--exact", "authentication_methods_talk_in_order"];
    let output = std::process::Command::new(program).args(test).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A daemon that accepts one session, and the questions after it with these bytes each; `None` says nothing and stays.
fn daemon_that_answers_questions(
    answers: Vec<Option<Vec<u8>>>,
) -> (ConnectOptions, std::thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = format!("{}@127.0.0.1", listener.local_addr().unwrap().port());
    let thread = std::thread::spawn(move || {
        let (mut session, _) = listener.accept().unwrap();
        hear(&mut session, request().len());
        session.write_all(&MethodList(vec![MethodName::NULL]).encode()).unwrap();
        hear(&mut session, MethodChoice::SIZE);
        session.write_all(&answer(Version::OURS)).unwrap();
        let mut heard = Vec::new();
        let mut silent = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let question = hear(&mut stream, Limits::QUESTION.len());
            heard.push(question);
            match answer {
                Some(answer) => stream.write_all(&answer).unwrap(),
                None => silent.push(stream),
            }
        }
        drop(listener);
        let mut rest = Vec::new();
        session.read_to_end(&mut rest).unwrap();
        heard.push(rest);
        heard
    });
    (options(daemon), thread)
}

/// Bytes to one group that no classic daemon must be sent.
const TOO_MUCH: usize = 143_153 - Name::SIZE;

fn send(mailbox: &Mailbox, length: usize) -> Result<(), SendError> {
    mailbox.multicast(FrameType::SAFE, &[name(b"g")], 0, &vec![7; length])
}

#[test]
fn a_classic_daemon_is_asked_once_and_never_sent_more_than_it_survives() {
    let (options, daemon) = daemon_that_answers_questions(vec![Some(vec![Refusal::VERSION.encode()])]);
    let mailbox = Mailbox::connect(&options).unwrap();
    assert_eq!(send(&mailbox, TOO_MUCH - 1), Ok(()));
    assert_eq!([send(&mailbox, TOO_MUCH), send(&mailbox, 1 << 24)], [Err(SendError::TooLong); 2]);
    assert_eq!((mailbox.message_limit(), send(&mailbox, 1)), (143_152, Ok(())));
    drop(mailbox);
    let heard = daemon.join().unwrap();
    assert_eq!(heard[0], Limits::QUESTION);
    assert_eq!(heard[1].len(), 2 * (FrameHeader::SIZE + Name::SIZE) + TOO_MUCH - 1 + 1, "nothing else on the session");
}

#[test]
fn a_daemon_is_asked_again_if_it_had_no_time_to_answer_and_not_believed_less_than_every_daemon_takes() {
    let answer = Limits { message: 1000 }.encode();
    let nonsense = b"\x01\x04\x04\x00\x03#x#".to_vec();
    let full = vec![Refusal::QUOTA.encode()];
    let answers = vec![None, Some(full), Some(nonsense), Some(Vec::new()), Some(answer)];
    let (options, daemon) = daemon_that_answers_questions(answers.clone());
    let mailbox = Mailbox::connect(&options).unwrap();
    for _ in &answers {
        assert_eq!(send(&mailbox, TOO_MUCH), Err(SendError::TooLong));
    }
    assert_eq!((mailbox.message_limit(), send(&mailbox, 1)), (143_152, Ok(())));
    drop(mailbox);
    assert_eq!(daemon.join().unwrap().len(), answers.len() + 1);
}

#[test]
fn a_daemon_that_says_its_limit_is_sent_that_much() {
    let (options, daemon) = daemon_that_answers_questions(vec![Some(Limits { message: 200_000 }.encode())]);
    let mailbox = Mailbox::connect(&options).unwrap();
    assert_eq!(send(&mailbox, 200_000 - Name::SIZE), Ok(()));
    assert_eq!(send(&mailbox, 200_001 - Name::SIZE), Err(SendError::TooLong));
    drop(mailbox);
    assert_eq!(daemon.join().unwrap()[1].len(), FrameHeader::SIZE + 200_000);
}
