//! Recorded sessions of the classic library, replayed against ours through the C functions: the same calls must give
//! the same results and write the same bytes. Where the classic library has a defect, [`amend_session`] and
//! [`amend_case`] say what we do instead, and why.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fake_daemon;
#[expect(dead_code, reason = "shared with the tests of the session and the daemon")]
mod recorded;
mod replay;

use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_int, c_uint};
use std::io::Write;
use std::net::{Shutdown, TcpStream};

use fake_daemon::{FakeDaemon, Step, hear};
use recorded::{cleared, load, unhex};
use replay::{Recorded, array, hex, number, string};
use serde_json::{Value, json};
use spread::ffi::*;

/// Bytes of a frame's fixed front.
const HEADER: usize = 48;
/// What the recording program had in a result before a call.
const UNTOUCHED: c_int = 2_147_483_647;
const UNTOUCHED_TYPE: i16 = 30_583;

macro_rules! sessions {
    ($($name:ident: $file:literal,)*) => {
        $(#[test] fn $name() { replay_file($file) })*
    };
}

sessions! {
    connecting_with_membership: "01_connect_named_membership",
    connecting_without_membership: "02_connect_no_membership",
    connecting_with_a_priority: "03_connect_priority",
    connecting_without_a_name: "04_connect_no_name",
    refused_connections: "05_connect_refusals",
    joining_and_leaving: "06_join_leave",
    every_service: "07_multicast_services",
    several_and_private_groups: "08_multigroup_and_private",
    messages_of_every_size: "09_multicast_sizes",
    disconnecting: "10_disconnect",
    short_buffers: "11_short_buffers",
    partition_and_merge: "12_partition_and_merge",
    a_crashed_daemon: "13_daemon_crash",
    both_byte_orders: "15_java_big_endian",
    messages_refused_by_access_control: "19_rejected_by_access_control",
}

#[test]
fn scripted_daemons() {
    let cases = load("21_client_library_cases")["cases"].as_array().unwrap().clone();
    assert!(cases.len() > 50);
    for case in cases {
        replay_case(amend_case(case));
    }
}

/// The sessions that are not the C library's, or in which we write something else on purpose.
fn amend_session(file: &str, client: &str, session: &mut Value) -> bool {
    match (file, client) {
        // The Java library's results.
        ("15_java_big_endian", "java") => false,
        // The characters of a private name are checked before they are sent; the result is the same.
        ("05_connect_refusals", "illegal") => {
            session["frames"] = json!([]);
            true
        }
        _ => true,
    }
}

/// The results that differ on purpose.
fn amend_case(mut case: Value) -> Value {
    let calls = &case["api_calls"];
    let (call, result) = match case["case"].as_str().unwrap() {
        // A field without a NUL counts as 31 bytes, or programs would read past their arrays.
        "sender without NUL" => (1, json!({"sender": "x".repeat(31)})),
        // The results of a call that found the connection broken are left alone.
        "stream ends inside the body" => (
            1,
            json!({"sender": "", "num_groups": UNTOUCHED, "mess_type": UNTOUCHED_TYPE, "endian_mismatch": UNTOUCHED}),
        ),
        // A message that was taken is taken, and the next one comes.
        "short then short with DROP_RECV (defect)" => (3, json!({"ret": 6, "groups": ["g"], "data": hex(b"second")})),
        // The group id of a transitional membership is turned as well.
        "big-endian daemon: transitional" => {
            assert_eq!(calls[2][0], "i 0x2000");
            case["api_calls"][2][1]["gid"] = json!([167_772_161, 1_593_835_520, 7]);
            (1, json!({"data": "0100000a0000005f07000000"}))
        }
        _ => return case,
    };
    for (key, value) in result.as_object().unwrap() {
        case["api_calls"][call][1][key] = value.clone();
    }
    case
}

fn replay_file(file: &str) {
    for (client, session) in load(file)["sessions"].as_object().unwrap() {
        let mut session = session.clone();
        if amend_session(file, client, &mut session) {
            replay_session(&session);
        }
    }
}

fn replay_session(session: &Value) {
    let recorded = Recorded::new(session);
    let calls = session["api_calls"].as_array().unwrap();
    let (mut client, daemon, found) = open(&calls[0], recorded.handshake);
    assert_eq!(found, recorded.opening, "handshake of {}", calls[0]);
    let mut stage = Stage { daemon, said: recorded.said, heard: recorded.heard, unread: 0 };
    for call in &calls[1..] {
        stage.before(call);
        client.perform(call);
        stage.after(call);
    }
}

/// The daemon's side of a replay: it speaks just before the client listens, so that nothing depends on time.
struct Stage {
    daemon: TcpStream,
    said: VecDeque<Vec<u8>>,
    heard: VecDeque<Vec<u8>>,
    /// Bytes that were said and not yet received.
    unread: usize,
}

impl Stage {
    fn before(&mut self, call: &Value) {
        match verb(call) {
            "r" if self.unread == 0 => self.say(),
            "p" => {
                while self.unread < call[1]["poll"].as_u64().unwrap() as usize {
                    self.say();
                }
            }
            _ => {}
        }
    }

    fn say(&mut self) {
        match self.said.pop_front() {
            Some(bytes) if !bytes.is_empty() => {
                self.unread += bytes.len();
                self.daemon.write_all(&bytes).unwrap();
            }
            _ => self.daemon.shutdown(Shutdown::Write).unwrap(),
        }
    }

    fn after(&mut self, call: &Value) {
        let result = &call[1];
        let dropping = result["in_service"] == json!(DROP_RECV);
        match (verb(call), result["ret"].as_i64()) {
            ("r", Some(code)) if dropping || !is_short(code) => self.unread = 0,
            // The header of a message that stays was read.
            ("r", _) => {}
            ("j" | "l" | "m", Some(code)) if code >= 0 => self.hear_frame(call),
            ("d", _) => {
                if self.heard.front().is_some_and(|frame| !frame.is_empty()) {
                    self.hear_frame(call);
                }
                assert_eq!(hear(&mut self.daemon, usize::MAX), b"", "after the end");
            }
            ("k", _) => assert_eq!(hear(&mut self.daemon, usize::MAX), b"", "a killed mailbox says nothing"),
            _ => {}
        }
    }

    fn hear_frame(&mut self, call: &Value) {
        let expected = self.heard.pop_front().unwrap();
        let found = hear(&mut self.daemon, expected.len());
        assert_eq!(hex(&cleared(&found)), hex(&cleared(&expected)), "{call}");
    }
}

fn replay_case(case: Value) {
    let name = case["case"].as_str().unwrap();
    let calls = case["api_calls"].as_array().unwrap();
    let sent: Vec<_> = case["client_sent"].as_array().unwrap().iter().map(|hex| unhex(hex.as_str().unwrap())).collect();
    let sends = &case["daemon_sends"];
    let bytes = |key: &str| unhex(sends[key].as_str().unwrap_or_default());
    let choice = sent.get(1).map_or(0, |choice| choice.len());
    let script = vec![
        Step::Hear(sent[0].len()),
        Step::Say(bytes("authentication_list")),
        Step::Hear(choice),
        Step::Say(if choice > 0 { [bytes("answer"), bytes("then")].concat() } else { Vec::new() }),
        Step::End,
    ];
    let (mut client, mut daemon, opening) = open(&calls[0], script);
    assert_eq!(opening, sent.concat(), "{name}");
    for call in &calls[1..] {
        client.perform(call);
    }
    client.close();
    let rest = hear(&mut daemon, usize::MAX);
    let is_kill = rest.len() == HEADER + 32 && rest[2] == 4;
    assert!(rest.is_empty() || is_kill, "{name}: {rest:?}");
}

fn open(call: &Value, handshake: Vec<Step>) -> (Client, TcpStream, Vec<u8>) {
    let daemon = FakeDaemon::start(handshake);
    let client = Client::connect(&daemon.name(), call);
    let (stream, heard) = daemon.finish();
    (client, stream, heard)
}

fn verb(call: &Value) -> &str {
    call[0].as_str().unwrap().split(' ').next().unwrap()
}

fn is_short(code: i64) -> bool {
    [BUFFER_TOO_SHORT, GROUPS_TOO_SHORT].contains(&(code as c_int))
}

/// The program: it makes the recorded calls and compares what it gets.
struct Client {
    mailbox: Option<mailbox>,
    body: Vec<c_char>,
}

impl Client {
    fn connect(daemon: &str, call: &Value) -> Client {
        let words: Vec<_> = call[0].as_str().unwrap().split(' ').collect();
        let (daemon, name) = (CString::new(daemon).unwrap(), CString::new(words[2]).unwrap());
        let name = if words[2] == "-" { std::ptr::null() } else { name.as_ptr() };
        let (priority, membership) = (words[3].parse().unwrap(), words[4].parse().unwrap());
        let (mut mailbox, mut group) = (-1, [0; MAX_GROUP_NAME]);
        let code =
            // SAFETY: strings, a number and an array of the right size.
            unsafe { SP_connect(daemon.as_ptr(), name, priority, membership, &mut mailbox, group.as_mut_ptr()) };
        assert_eq!(json!({"ret": code, "private_group": string(&group)}), call[1], "{call}");
        Client { mailbox: (code == ACCEPT_SESSION).then_some(mailbox), body: Vec::new() }
    }

    fn mailbox(&self) -> mailbox {
        self.mailbox.expect("calls follow a connect that succeeded")
    }

    fn perform(&mut self, call: &Value) {
        let words: Vec<_> = call[0].as_str().unwrap().splitn(5, ' ').collect();
        let found = match words[0] {
            "j" => json!({"ret": self.named(SP_join, words[1])}),
            "l" => json!({"ret": self.named(SP_leave, words[1])}),
            "m" => json!({"ret": self.multicast(&words)}),
            "r" => self.receive(&words, &call[1]),
            "i" => self.membership(number(words[1])),
            "p" => json!({"poll": self.poll(call[1]["poll"].as_i64().unwrap())}),
            "d" => json!({"ret": SP_disconnect(self.mailbox())}),
            "k" => {
                SP_kill(self.mailbox());
                json!({"ret": 0})
            }
            other => panic!("unknown command {other}"),
        };
        assert_eq!(found, call[1], "{}", call[0]);
    }

    fn close(&self) {
        if let Some(mailbox) = self.mailbox {
            SP_disconnect(mailbox);
        }
    }

    fn named(&self, function: unsafe extern "C" fn(mailbox, *const c_char) -> c_int, group: &str) -> c_int {
        let group = CString::new(group).unwrap();
        // SAFETY: a string.
        unsafe { function(self.mailbox(), group.as_ptr()) }
    }

    fn multicast(&self, words: &[&str]) -> c_int {
        let (service, mess_type) = (number(words[1]), number(words[2]) as i16);
        let body: Vec<u8> = match words.get(4).copied().unwrap_or_default() {
            text if text.starts_with('@') => (0..number(&text[1..])).map(|i| (7 * i + i / 251) as u8).collect(),
            text => text.as_bytes().to_vec(),
        };
        let (start, length) = (body.as_ptr().cast::<c_char>(), body.len() as c_int);
        let groups: Vec<_> = words[3].split(',').map(array).collect();
        // SAFETY: as many groups and bytes as are said.
        unsafe {
            match &groups[..] {
                [group] => SP_multicast(self.mailbox(), service, group.as_ptr(), mess_type, length, start),
                _ => {
                    let count = groups.len() as c_int;
                    SP_multigroup_multicast(self.mailbox(), service, count, groups.as_ptr(), mess_type, length, start)
                }
            }
        }
    }

    fn receive(&mut self, words: &[&str], expected: &Value) -> Value {
        let argument = |index: usize, default| words.get(index).map_or(default, |word| number(word));
        let (in_service, max_groups, max_len) = (argument(1, 0), argument(2, 200), argument(3, 300_000));
        let (mut service, mut sender, mut num_groups) = (in_service, [0; MAX_GROUP_NAME], UNTOUCHED);
        let (mut mess_type, mut mismatch) = (UNTOUCHED_TYPE, UNTOUCHED);
        let mut groups = vec![[0; MAX_GROUP_NAME]; max_groups as usize];
        self.body = vec![0; max_len as usize];
        // SAFETY: everything is as large as is said.
        let code = unsafe {
            SP_receive(
                self.mailbox(),
                &mut service,
                sender.as_mut_ptr(),
                max_groups,
                &mut num_groups,
                groups.as_mut_ptr(),
                &mut mess_type,
                &mut mismatch,
                max_len,
                self.body.as_mut_ptr(),
            )
        };
        let shown = expected["groups"].as_array().unwrap().len();
        let length = expected["data"].as_str().unwrap().len() / 2;
        // A message that broke off may have left its beginning.
        if code != CONNECTION_CLOSED {
            assert!(groups[shown..].iter().all(|group| group[0] == 0), "groups beyond the recorded ones");
            assert!(self.body[length..].iter().all(|&byte| byte == 0), "bytes beyond the recorded ones");
        }
        let data: Vec<u8> = self.body[..length].iter().map(|&byte| byte as u8).collect();
        json!({
            "in_service": in_service, "max_groups": max_groups, "max_mess_len": max_len,
            "ret": code, "service": service, "sender": string(&sender), "num_groups": num_groups,
            "mess_type": mess_type, "endian_mismatch": mismatch, "data": hex(&data),
            "groups": groups[..shown].iter().map(|group| string(group)).collect::<Vec<_>>(),
        })
    }

    fn membership(&self, service: service) -> Value {
        let mut info = membership_info {
            gid: group_id::default(),
            changed_member: array("<untouched>"),
            num_vs_sets: 0,
            my_vs_set: vs_set_info::default(),
        };
        // SAFETY: the body was received, or is zeros.
        let code = unsafe { SP_get_memb_info(self.body.as_ptr(), service, &mut info) };
        let mut found = json!({
            "ret": code, "gid": info.gid.id, "changed_member": string(&info.changed_member),
            "num_vs_sets": info.num_vs_sets, "my_vs_set": pair(&info.my_vs_set),
        });
        if service & REG_MEMB_MESS != 0 {
            let (mut sets, mut own): ([_; 50], c_uint) = ([vs_set_info::default(); 50], 0);
            // SAFETY: the same body, and room for 50 sets.
            let count = unsafe { SP_get_vs_sets_info(self.body.as_ptr(), sets.as_mut_ptr(), 50, &mut own) };
            let sets: Vec<_> = sets[..count as usize].iter().map(pair).collect();
            found["vs_sets"] = json!({"ret": count, "my_index": own, "sets": sets});
        }
        found
    }

    /// Polls until all that was said has arrived, which on loopback it practically has.
    fn poll(&self, expected: i64) -> c_int {
        let polls = std::iter::repeat_with(|| {
            std::thread::yield_now();
            SP_poll(self.mailbox())
        });
        let mut last = 0;
        polls.take(100_000).inspect(|&count| last = count).find(|&count| i64::from(count) == expected).unwrap_or(-1)
    }
}

fn pair(set: &vs_set_info) -> [c_uint; 2] {
    [set.num_members, set.members_offset]
}
