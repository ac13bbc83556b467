//! The Flush functions, through C, against a scripted daemon: the recorded session of the classic library, and what it
//! does not show: every check, short buffers, trailers, threads.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "threads are what is tested")]

mod fake_daemon;
#[expect(dead_code, reason = "shared with the tests of the session and the daemon")]
mod recorded;
mod replay;

use std::ffi::{CString, c_char, c_int};
use std::io::Write;
use std::net::TcpStream;

use fake_daemon::{FakeDaemon, Step, hear};
use recorded::{cleared, load};
use replay::{Recorded, array, hex, number, string};
use serde_json::{Value, json};
use spread::ffi::*;
use spread::wire::{ByteOrder, Cause, FrameHeader, FrameType, GroupId, Hint, Name, RegularMembership};

/// How many of its recorded frames the daemon says before each receive call.
const SAID_BEFORE_RECEIVES: [(&str, &[usize]); 2] =
    [("A", &[2, 2, 1, 1, 2, 3, 1, 0, 1, 0, 1, 1]), ("B", &[4, 3, 1, 1, 1, 1])];

#[test]
fn the_recorded_session_is_replayed() {
    let file = load("22_flush_layer");
    for (name, said) in SAID_BEFORE_RECEIVES {
        let session = &file["sessions"][name];
        let calls = session["api_calls"].as_array().unwrap();
        let recorded = Recorded::new(session);
        let (client, mut daemon, opening) = connect(&calls[0], recorded.handshake);
        assert_eq!(opening, recorded.opening);
        let (mut frames, mut said) = (recorded.said.into_iter(), said.iter());
        for call in &calls[1..] {
            if call[0].as_str().unwrap().starts_with('r') {
                client.say(&mut daemon, &frames.by_ref().take(*said.next().unwrap()).collect::<Vec<_>>().concat());
            }
            client.perform(call);
        }
        assert!(frames.all(|end| end.is_empty()) && said.next().is_none(), "all is said");
        for expected in recorded.heard.into_iter().filter(|frame| !frame.is_empty()) {
            assert_eq!(hex(&cleared(&hear(&mut daemon, expected.len()))), hex(&cleared(&expected)));
        }
        assert_eq!(hear(&mut daemon, usize::MAX), b"");
    }
}

fn connect(call: &Value, handshake: Vec<Step>) -> (Client, TcpStream, Vec<u8>) {
    let daemon = FakeDaemon::start(handshake);
    let user = call[0].as_str().unwrap().split(' ').nth(2).unwrap();
    let (name, user) = (CString::new(daemon.name()).unwrap(), CString::new(user).unwrap());
    let (mut mailbox, mut private_group) = (-1, [0; MAX_GROUP_NAME]);
    // SAFETY: strings, a number and an array of the right size.
    let code = unsafe { FL_connect(name.as_ptr(), user.as_ptr(), 0, &mut mailbox, private_group.as_mut_ptr()) };
    assert_eq!(json!({"ret": code, "private_group": string(&private_group)}), call[1]);
    let (stream, heard) = daemon.finish();
    (Client(mailbox), stream, heard)
}

/// A member called `#me#d1`, and the daemon's end of its connection.
fn connected(then: &[Step]) -> (Client, TcpStream) {
    let handshake = [
        Step::Hear(b"\x04\x04\x00\x01\x02me".len()),
        Step::Say(b"\x05NULL ".to_vec()),
        Step::Hear(90),
        Step::Say(b"\x01\x04\x04\x00\x06#me#d1".to_vec()),
    ];
    let accepted = json!(["c - me", {"ret": 1, "private_group": "#me#d1"}]);
    let (client, daemon, _) = connect(&accepted, [&handshake, then].concat());
    (client, daemon)
}

/// Everything that a receive call gives.
#[derive(Debug, PartialEq)]
struct Got {
    code: c_int,
    service: service,
    sender: String,
    num_groups: c_int,
    groups: Vec<String>,
    mess_type: i16,
    mismatch: c_int,
    body: Vec<u8>,
    more: c_int,
}

#[derive(Clone, Copy)]
struct Client(mailbox);

impl Client {
    /// Lets the daemon say something and waits until it is there.
    fn say(&self, daemon: &mut TcpStream, bytes: &[u8]) {
        let before = SP_poll(self.0);
        daemon.write_all(bytes).unwrap();
        while SP_poll(self.0) < before + bytes.len() as c_int {
            std::thread::yield_now();
        }
    }

    fn receive(&self, service: service, max_groups: usize, max_len: usize) -> Got {
        let (mut got, mut sender) = (service, [0; MAX_GROUP_NAME]);
        let (mut num_groups, mut mess_type, mut mismatch, mut more) = (-77, -77, -77, -77);
        let (mut groups, mut body) = (vec![[0; MAX_GROUP_NAME]; max_groups], vec![0u8; max_len]);
        // SAFETY: everything is as large as is said.
        let code = unsafe {
            FL_receive(
                self.0,
                &mut got,
                sender.as_mut_ptr(),
                max_groups as c_int,
                &mut num_groups,
                groups.as_mut_ptr(),
                &mut mess_type,
                &mut mismatch,
                max_len as c_int,
                body.as_mut_ptr().cast(),
                &mut more,
            )
        };
        body.truncate(code.max(0) as usize);
        let groups = groups.iter().map(|group| string(group)).filter(|group| !group.is_empty()).collect();
        let sender = string(&sender);
        Got { code, service: got, sender, num_groups, groups, mess_type, mismatch, body, more }
    }

    fn named(&self, function: unsafe extern "C" fn(mailbox, *const c_char) -> c_int, group: &str) -> c_int {
        let group = CString::new(group).unwrap();
        // SAFETY: a string.
        unsafe { function(self.0, group.as_ptr()) }
    }

    fn multicast(&self, service: service, mess_type: i16, group: &str, body: &[u8]) -> c_int {
        let (group, length) = (array(group), body.len() as c_int);
        // SAFETY: a name and so many bytes.
        unsafe { FL_multicast(self.0, service, group.as_ptr(), mess_type, length, body.as_ptr().cast()) }
    }

    fn subgroupcast(&self, service: service, mess_type: i16, group: &str, receivers: &[&str], body: &[u8]) -> c_int {
        let (group, length, count) = (array(group), body.len() as c_int, receivers.len() as c_int);
        let mut receivers: Vec<_> = receivers.iter().map(|receiver| array(receiver)).collect();
        let (group, receivers) = (group.as_ptr(), receivers.as_mut_ptr());
        // SAFETY: as many names and bytes as are said.
        unsafe { FL_subgroupcast(self.0, service, group, count, receivers, mess_type, length, body.as_ptr().cast()) }
    }

    fn unicast(&self, words: &[&str]) -> c_int {
        let (group, receiver, body) = (array(words[3]), array(words[4]), words[5].as_bytes());
        let (start, length) = (body.as_ptr().cast(), body.len() as c_int);
        let (service, mess_type) = (number(words[1]), number(words[2]) as i16);
        // SAFETY: names and so many bytes.
        unsafe { FL_unicast(self.0, service, group.as_ptr(), receiver.as_ptr(), mess_type, length, start) }
    }

    /// Makes a recorded call.
    fn perform(&self, call: &Value) {
        let words: Vec<_> = call[0].as_str().unwrap().split(' ').collect();
        let found = match words[0] {
            "v" => versions(),
            "j" => json!({"ret": self.named(FL_join, words[1])}),
            "l" => json!({"ret": self.named(FL_leave, words[1])}),
            "f" => json!({"ret": self.named(FL_flush, words[1])}),
            "m" => {
                let (service, mess_type) = (number(words[1]), number(words[2]) as i16);
                json!({"ret": self.multicast(service, mess_type, words[3], words[4].as_bytes())})
            }
            "u" => json!({"ret": self.unicast(&words)}),
            "p" => json!({"poll": FL_poll(self.0), "more_msgs": FL_more_msgs(self.0)}),
            "d" => json!({"ret": FL_disconnect(self.0)}),
            "r" => {
                let got = self.receive(words.get(1).map_or(0, |word| number(word)), 10, 1000);
                if call[1]["ret"] == WOULD_BLOCK {
                    // The classic library leaves there what it has last seen.
                    assert_eq!((got.code, got.num_groups, got.more), (WOULD_BLOCK, -77, -77));
                    return;
                }
                json!({
                    "ret": got.code, "service": got.service, "sender": got.sender, "num_groups": got.num_groups,
                    "mess_type": got.mess_type, "endian_mismatch": got.mismatch, "more": got.more,
                    "groups": got.groups, "data": hex(&got.body),
                })
            }
            other => panic!("unknown command {other}"),
        };
        assert_eq!(found, call[1], "{}", call[0]);
    }
}

fn versions() -> Value {
    let (mut major, mut minor, mut patch) = (-1, -1, -1);
    // SAFETY: three numbers.
    unsafe { FL_version(&mut major, &mut minor, &mut patch) };
    let _ = FL_lib_init();
    let offsets = [FL_get_gid_offset_memb_mess(), FL_get_num_vs_offset_memb_mess(), FL_get_vs_set_offset_memb_mess()];
    json!({"version": [major, minor, patch], "lib_init_again": FL_lib_init(), "offsets": offsets})
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

fn id(number: u32) -> GroupId {
    GroupId([7, 8, number])
}

fn id_bytes(number: u32) -> Vec<u8> {
    id(number).0.map(u32::to_ne_bytes).concat()
}

fn frame(kind: FrameType, sender: &str, groups: &[&str], mess_type: i16, body: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        name: name(sender),
        groups: groups.len() as i32,
        hint: Hint::new(mess_type, ByteOrder::NATIVE),
        data_len: body.len() as i32,
        order: ByteOrder::NATIVE,
    };
    let groups: Vec<u8> = groups.iter().flat_map(|group| *name(group).field()).collect();
    [&header.encode()[..], &groups, body].concat()
}

/// A membership of group g.
fn membership(number: u32, cause: Cause, members: &[&str], set: &[&str]) -> Vec<u8> {
    let (members, vs_sets): (Vec<_>, _) =
        (members.iter().map(|member| name(member)).collect(), vec![set.iter().map(|member| name(member)).collect()]);
    let membership =
        RegularMembership { cause, group: name("g"), members: &members, id: id(number), vs_sets: &vs_sets };
    membership.encode().for_vs_set(0).contiguous().to_vec()
}

fn ok(number: u32, sender: &str) -> Vec<u8> {
    frame(FrameType::FIFO, sender, &["g"], -32768, &id_bytes(number))
}

fn received(number: u32, sender: &str) -> Vec<u8> {
    frame(FrameType::FIFO, sender, &["g"], -32767, &id_bytes(number))
}

/// A member of group g with `#you#d1`, in view 1, which `#you#d1` has not yet confirmed.
fn joined() -> (Client, TcpStream) {
    let (client, mut daemon) = connected(&[]);
    assert_eq!(client.named(FL_join, "g"), 0);
    let members = ["#you#d1", "#me#d1"];
    let view = membership(1, Cause::Join, &members, &members[1..]);
    client.say(&mut daemon, &[view, ok(1, "#you#d1"), ok(1, "#me#d1"), received(1, "#me#d1")].concat());
    let got = client.receive(0, 2, 100);
    assert_eq!((got.code, got.service, got.mess_type), (48, REG_MEMB_MESS | CAUSED_BY_JOIN, 1));
    assert_eq!(got.groups, members);
    let join = frame(FrameType::JOIN, "#me#d1", &["g"], 0, b"");
    let said = [join, ok(1, "#me#d1"), received(1, "#me#d1")].concat();
    assert_eq!(hear(&mut daemon, said.len()), said);
    (client, daemon)
}

#[test]
fn sending_is_checked_in_the_classic_order() {
    let (client, mut daemon) = joined();
    let (nobody, stranger) = (Client(-1), ["#he#d1"]);
    let bad = SAFE_MESS | REG_MEMB_MESS;
    assert_eq!(nobody.subgroupcast(bad, -32768, "h", &stranger, b""), ILLEGAL_SESSION);
    let group = array("h");
    // SAFETY: a name; nothing is read elsewhere.
    let negative = unsafe {
        FL_subgroupcast(client.0, bad, group.as_ptr(), -1, std::ptr::null_mut(), -32768, 0, std::ptr::null())
    };
    assert_eq!(negative, ILLEGAL_PARAM);
    for service in [bad, FLUSH_REQ_MESS | SAFE_MESS, RESERVED | SAFE_MESS, 0x80 | SAFE_MESS, c_int::MIN | SAFE_MESS] {
        assert_eq!(client.subgroupcast(service, -32768, "h", &stranger, b""), ILLEGAL_SERVICE);
    }
    assert_eq!(client.subgroupcast(SAFE_MESS, -32766, "h", &stranger, b""), ILLEGAL_MESSAGE_TYPE);
    let pieces = scatter { num_elements: 100, elements: [scat_element { buf: std::ptr::null_mut(), len: 0 }; 100] };
    // SAFETY: a name and a scatter of empty pieces.
    let pieces = unsafe { FL_scat_multicast(client.0, SAFE_MESS, group.as_ptr(), -32765, &pieces) };
    assert_eq!(pieces, ILLEGAL_MESSAGE);
    assert_eq!(client.subgroupcast(SAFE_MESS, -32765, "h", &stranger, b""), ILLEGAL_GROUP);
    assert_eq!(client.subgroupcast(SAFE_MESS, -32765, "g", &stranger, b""), ILLEGAL_RECEIVERS);
    assert_eq!(client.subgroupcast(SAFE_MESS, 0, "#he#d1", &["#you#d1"], b""), ILLEGAL_RECEIVERS);
    assert_eq!(client.multicast(SELF_DISCARD, 0, "g", b""), ILLEGAL_SERVICE);
    assert_eq!(client.named(FL_join, "g"), ILLEGAL_GROUP);
    assert_eq!(client.named(FL_flush, "h"), ILLEGAL_GROUP);
    assert_eq!(client.named(FL_flush, "g"), ILLEGAL_STATE);

    client.say(&mut daemon, &membership(2, Cause::Join, &["#you#d1", "#me#d1", "#he#d1"], &stranger));
    assert_eq!(client.receive(0, 0, 0).service, FLUSH_REQ_MESS);
    assert_eq!(client.named(FL_flush, "g"), 0);
    assert_eq!(client.subgroupcast(SAFE_MESS, 0, "g", &stranger, b""), ILLEGAL_STATE);
    assert_eq!(client.multicast(SAFE_MESS, 0, "#he#d1", b"hi"), 2);
    assert_eq!(client.named(FL_leave, "g"), 0);
    assert_eq!(client.named(FL_leave, "g"), ILLEGAL_GROUP);
    assert_eq!(client.multicast(SAFE_MESS, 0, "g", b""), ILLEGAL_GROUP);
    let said = [
        ok(2, "#me#d1"),
        frame(FrameType::SAFE, "#me#d1", &["#he#d1"], 0, b"hi"),
        frame(FrameType::LEAVE, "#me#d1", &["g"], 0, b""),
    ];
    assert_eq!(hear(&mut daemon, said.concat().len()), said.concat());
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn unordered_messages_name_their_view_until_all_are_in_it() {
    let (client, mut daemon) = joined();
    let trailer = [&0x1234i16.to_ne_bytes()[..], &id_bytes(1)].concat();
    assert_eq!(client.multicast(FIFO_MESS, 0x1234, "g", b"one"), 3);
    assert_eq!(client.multicast(AGREED_MESS, 0x1234, "g", b"two"), 3);
    assert_eq!(client.subgroupcast(RELIABLE_MESS, 0x1234, "g", &["#you#d1", "#me#d1"], b"three"), 5);
    client.say(&mut daemon, &[received(1, "#you#d1"), frame(FrameType::SAFE, "#you#d1", &["g"], 1, b"go")].concat());
    assert_eq!(client.receive(0, 1, 2).body, b"go");
    assert_eq!(client.multicast(FIFO_MESS, 0x1234, "g", b"four"), 4);
    let (subgroup, g) = (FrameType::RELIABLE | FrameType(SUBGROUP_CAST as u32), name("g"));
    let said = [
        frame(FrameType::FIFO, "#me#d1", &["g"], -32766, &[b"one", &trailer[..]].concat()),
        frame(FrameType::AGREED, "#me#d1", &["g"], 0x1234, b"two"),
        frame(subgroup, "#me#d1", &["#you#d1", "#me#d1"], -32766, &[b"three", &trailer[..], g.field()].concat()),
        frame(FrameType::FIFO, "#me#d1", &["g"], 0x1234, b"four"),
    ];
    assert_eq!(hear(&mut daemon, said.concat().len()), said.concat());

    client.say(&mut daemon, &said.concat());
    let got = [(); 4].map(|()| client.receive(0, 3, 10));
    assert_eq!(got.each_ref().map(|got| &got.body[..]), [&b"one"[..], b"two", b"three", b"four"]);
    assert!(got.iter().all(|got| got.mess_type == 0x1234));
    assert_eq!((got[2].num_groups, &got[2].groups[..]), (3, &["#you#d1", "#me#d1", "g"].map(str::to_owned)[..]));
    assert_eq!(got[2].service, SUBGROUP_CAST | RELIABLE_MESS);
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn a_message_that_does_not_fit_stays_or_is_cut() {
    let (client, mut daemon) = joined();
    let leave = membership(2, Cause::Leave, &["#me#d1"], &["#you#d1"]);
    client.say(&mut daemon, &[leave, ok(2, "#me#d1")].concat());
    assert_eq!(client.receive(0, 0, 0).service, FLUSH_REQ_MESS);
    assert_eq!((FL_more_msgs(client.0), FL_poll(client.0)), (1, 48 + 92));
    assert_eq!(client.named(FL_flush, "g"), 0);
    assert_eq!(client.receive(0, 0, 0).service, TRANSITION_MESS);
    for _ in 0..2 {
        let got = client.receive(0, 0, 47);
        let results = (got.code, got.num_groups, got.mismatch, got.mess_type, got.more);
        assert_eq!(results, (GROUPS_TOO_SHORT, -1, -48, 0, 1));
        assert_eq!((got.service, got.sender.as_str()), (REG_MEMB_MESS | CAUSED_BY_LEAVE, "g"));
        assert_eq!(client.receive(0, 1, 47).code, BUFFER_TOO_SHORT);
        assert_eq!(FL_poll(client.0), 48 + 32 + 48);
    }
    let got = client.receive(DROP_RECV, 0, 47);
    assert_eq!((got.code, got.num_groups, got.mismatch, got.mess_type), (BUFFER_TOO_SHORT, -1, 0, -1));
    assert_eq!(client.receive(DONT_BLOCK, 1, 100).code, WOULD_BLOCK);
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn a_scattered_receive_fills_its_pieces() {
    let (client, mut daemon) = joined();
    client.say(&mut daemon, &frame(FrameType::SAFE, "#you#d1", &["g"], 3, b"hello world"));
    let (mut first, mut second) = ([0u8; 4], [0u8; 9]);
    let empty = scat_element { buf: std::ptr::null_mut(), len: 0 };
    let mut pieces = scatter { num_elements: 3, elements: [empty; 100] };
    pieces.elements[0] = scat_element { buf: first.as_mut_ptr().cast(), len: 4 };
    pieces.elements[2] = scat_element { buf: second.as_mut_ptr().cast(), len: 9 };
    let (mut service, mut sender, mut groups) = (0, [0; 32], [[0; 32]; 1]);
    let (mut num_groups, mut mess_type, mut mismatch) = (0, 0, 0);
    // SAFETY: everything is as large as is said, and nobody wants to know what is buffered.
    let code = unsafe {
        FL_scat_receive(
            client.0,
            &mut service,
            sender.as_mut_ptr(),
            1,
            &mut num_groups,
            groups.as_mut_ptr(),
            &mut mess_type,
            &mut mismatch,
            &mut pieces,
            std::ptr::null_mut(),
        )
    };
    assert_eq!((code, mess_type, &first, &second), (11, 3, b"hell", b"o world\0\0"));
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn what_is_malformed_or_not_for_this_member_is_dropped() {
    let (client, mut daemon) = joined();
    let (subgroup, stranger) = (FrameType::SAFE | FrameType(SUBGROUP_CAST as u32), "#he#d1");
    let frames = [
        frame(FrameType::SAFE, stranger, &["g"], 1, b"of no member"),
        frame(FrameType::SAFE, "#you#d1", &["h"], 1, b"to another group"),
        frame(FrameType::SAFE, "#you#d1", &[], 1, b"to nobody"),
        frame(subgroup, "#you#d1", &["#me#d1"], 1, &[b"to another group", &name("h").field()[..]].concat()),
        frame(subgroup, "#you#d1", &["#me#d1"], 1, b"too short"),
        frame(FrameType::FIFO, "#you#d1", &["g"], -32766, b"too short"),
        frame(FrameType::FIFO, "#you#d1", &["g"], -32768, b"too short"),
        frame(FrameType::FIFO, "#you#d1", &["#me#d1"], -32768, &id_bytes(1)),
        frame(FrameType::SAFE, stranger, &["#me#d1"], 1, b"private"),
    ];
    client.say(&mut daemon, &frames.concat());
    assert_eq!(client.receive(0, 1, 100).body, b"private");
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn a_refused_message_comes_back_as_it_was_sent() {
    let (client, mut daemon) = joined();
    let trailer = [&9i16.to_ne_bytes()[..], &id_bytes(1)].concat();
    let refused = |mess_type, body: &[u8]| {
        let mut frame = frame(FrameType::REJECT, "#me#d1", &["g", "#me#d1"], mess_type, body);
        frame.splice(48..48, FrameType::FIFO.encode());
        frame
    };
    let frames = [refused(-32768, &id_bytes(1)), refused(-32766, &[b"user", &trailer[..]].concat())].concat();
    client.say(&mut daemon, &frames);
    let got = client.receive(0, 2, 10);
    assert_eq!((got.service, got.mess_type, &got.body[..]), (REJECT_MESS | FIFO_MESS, 9, &b"user"[..]));
    assert_eq!(FL_disconnect(client.0), 0);
}

#[test]
fn a_lost_connection_is_told_even_without_waiting_and_ends_the_mailbox() {
    let (client, _daemon) = connected(&[Step::End]);
    let codes = std::iter::repeat_with(|| client.receive(DONT_BLOCK, 1, 1).code);
    assert_eq!(codes.into_iter().find(|&code| code != WOULD_BLOCK), Some(CONNECTION_CLOSED));
    assert_eq!(client.receive(0, 1, 1).code, ILLEGAL_SESSION);
    assert_eq!(client.multicast(SAFE_MESS, 0, "#you#d1", b""), ILLEGAL_SESSION);
    assert_eq!((FL_disconnect(client.0), SP_disconnect(client.0)), (ILLEGAL_SESSION, ILLEGAL_SESSION));
}

#[test]
fn disconnecting_ends_a_blocked_receive_and_waits_for_it() {
    let (client, mut daemon) = joined();
    let receiver = std::thread::spawn(move || client.receive(0, 1, 1).code);
    assert_eq!(FL_disconnect(client.0), 0);
    let code = receiver.join().unwrap();
    assert!([CONNECTION_CLOSED, ILLEGAL_SESSION].contains(&code), "{code}");
    assert_eq!(hear(&mut daemon, usize::MAX), frame(FrameType::KILL, "#me#d1", &["#me#d1"], 0, b""));
}

#[test]
fn only_flush_mailboxes_take_flush_calls_and_any_disconnect_ends_both() {
    let (client, _daemon) = joined();
    assert_eq!(SP_poll(client.0), FL_poll(client.0));
    assert_eq!(SP_disconnect(client.0), 0);
    assert_eq!((FL_poll(client.0), FL_more_msgs(client.0)), (ILLEGAL_SESSION, ILLEGAL_SESSION));
    assert_eq!((FL_disconnect(client.0), client.named(FL_join, "g")), (ILLEGAL_SESSION, ILLEGAL_SESSION));

    let (client, _daemon) = joined();
    assert_eq!(FL_disconnect(client.0), 0);
    assert_eq!((SP_poll(client.0), SP_disconnect(client.0)), (ILLEGAL_SESSION, ILLEGAL_SESSION));
}
