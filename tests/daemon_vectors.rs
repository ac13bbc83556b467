//! Recorded conversations of clients with a classic daemon, replayed against ours: every client writes what it wrote, and every
//! byte that comes back is compared, but for group ids and invented names.
//!
//! The recordings say in which order each client saw things, not how the clients took turns. That follows from what a turn
//! causes: a client goes on when everybody who is to hear of it has heard all that was recorded before. Conversations between
//! several daemons are in `ring_vectors.rs`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "recorded bytes go through plain sockets, and waiting has an end")]

#[expect(dead_code, reason = "shared with the tests of the session and the library")]
mod recorded;

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use recorded::{
    FRAMES_DONE_BETTER, HANDSHAKES_DONE_BETTER, Recorded, cleared, load, name_offsets, received_frame, sent_frame,
    sessions, text, unhex,
};
use serde_json::Value;
use spread::config::Settings;
use spread::daemon::{Options, Running, spawn};
use spread::session::{AccessList, Attempt};
use spread::wire::{ByteOrder, FrameHeader, FrameType, MembershipBody, Name};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request of a client that leaves its name to the daemon.
const NAMELESS: &[u8] = &[4, 4, 0, 1, 0];

macro_rules! replays {
    ($($name:ident: $file:literal,)*) => {
        $(#[test] fn $name() { Replay::new($file).run() })*
    };
}

replays! {
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
    both_byte_orders: "15_java_big_endian",
    the_flush_layer: "22_flush_layer",
}

#[test]
fn what_access_control_refuses_comes_back() {
    let daemon = Daemon::start_with(&|options| options.node.live.session.policy = Some(recorded_policy));
    Replay::at(daemon, "19_rejected_by_access_control").run();
}

/// What the daemon of that recording refused.
fn recorded_policy(client: &Name, attempt: &Attempt<'_>) -> bool {
    let begins = |name: &Name, with: &str| name.as_bytes().starts_with(with.as_bytes());
    !match attempt {
        Attempt::Connect => begins(client, "#deny"),
        Attempt::Join(group) => begins(group, "deny"),
        Attempt::Leave(group) => begins(group, "stay"),
        Attempt::Unicast { mess_type, .. } => *mess_type == 666,
        Attempt::Multicast { to, .. } => to.first().is_some_and(|group| begins(group, "deny")),
    }
}

/// Access files that the classic daemon misreads, and who may connect by TCP from 127.0.0.1 here.
const ACCESS_FILES_DONE_BETTER: [&str; 2] = ["0.0.0.0/0\n", "\nlocal\n"];

#[test]
fn authentication_goes_as_recorded_or_better() {
    let (mut compared, mut exceptions) = (0, 0);
    for (number, run) in load("17_authentication_cases")["runs"].as_array().unwrap().iter().enumerate() {
        let (lines, access) = (text(&run["configuration"]), run["access_file"].as_str().unwrap_or_default());
        let socket = std::env::temp_dir().join(format!("torc-authentication-{}-{number}", std::process::id()));
        let daemon = Daemon::start_of(lines, &|options| {
            options.node.live.session.access = AccessList::parse(access).unwrap();
            options.unix_sockets = vec![socket.clone()];
        });
        for case in run["cases"].as_array().unwrap() {
            let title = text(&case["case"]);
            println!("{lines:?} {access:?} {title}");
            let through_unix = title.contains("via unix");
            if !through_unix && !title.contains("via 127.0.0.1") {
                continue;
            }
            let asks_for_address = title.ends_with("IP") || title.starts_with("old");
            let better = ACCESS_FILES_DONE_BETTER.contains(&access) && !through_unix && asks_for_address;
            let received = if better { String::new() } else { text(&case["received"]).to_owned() };
            let sent: Vec<_> =
                case["sent"].as_array().unwrap().iter().filter_map(|piece| piece["hex"].as_str()).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|bytes| unhex(bytes)).collect();
            let found = if through_unix {
                answer(UnixStream::connect(&socket).unwrap(), &bytes, UnixStream::shutdown)
            } else {
                answer(daemon.connect(), &bytes, TcpStream::shutdown)
            };
            if better {
                assert!(found.ends_with(b"#localhost"), "{}", found.escape_ascii());
            } else {
                assert_eq!(found.escape_ascii().to_string(), unhex(&received).escape_ascii().to_string());
            }
            exceptions += usize::from(better);
            compared += 1;
        }
    }
    assert_eq!((compared, exceptions), (9 * 6, 4));
}

/// All that comes back for these bytes and the end of the stream behind them.
fn answer<S: Read + Write>(mut stream: S, bytes: &[u8], shutdown: fn(&S, Shutdown) -> std::io::Result<()>) -> Vec<u8> {
    // The daemon may have closed before.
    let _ = stream.write_all(bytes).and_then(|()| shutdown(&stream, Shutdown::Write));
    let mut found = Vec::new();
    match stream.read_to_end(&mut found) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => found,
    }
}

#[test]
fn handshakes_go_as_recorded_or_better() {
    let daemon = Daemon::start();
    let mut open = vec![daemon.open("dup")];
    for case in load("16_handshake_cases")["cases"].as_array().unwrap() {
        let title = text(&case["case"]);
        println!("{title}");
        let better = HANDSHAKES_DONE_BETTER.iter().find(|better| better.0 == title);
        let recorded = (text(&case["received"]), case["connection_after"] == "open");
        let (received, goes_on) = better.map_or(recorded, |better| (better.1, better.2));
        let sent: Vec<_> = case["sent"].as_array().unwrap().iter().filter_map(|piece| piece["hex"].as_str()).collect();
        let mut stream = daemon.connect();
        sent.iter().for_each(|bytes| stream.write_all(&unhex(bytes)).unwrap());

        let received = unhex(received);
        if received.contains(&b'#') {
            let private_group = read_acceptance(&mut stream, &received, unhex(sent[0]) == NAMELESS);
            open.push(Session { stream, private_group });
            continue;
        }
        if goes_on {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(rest(&mut stream), received);
    }
    for session in &mut open {
        let message = session.say(&[session.private_group]);
        assert_eq!(read(&mut session.stream, message.len()), message, "{} is open", session.private_group);
    }
}

/// Frames that reach the member, and did not: the case, and why.
const FRAMES_DELIVERED: [(&str, &str); 1] =
    [("44 groups, last is g", "as many groups as a client may name are served")];

/// Frames that the sender gets no answer to: the case, and why.
const FRAMES_UNANSWERED: [(&str, &str); 3] = [
    ("service + REJECT bit", "only daemons reject"),
    ("join of the empty name", "such a group is ignored, for no library can name it"),
    ("join of a private name", "such a group is ignored, for what is sent there is one session's"),
];

/// The session ends by the end of its stream, which the recording's list of frames does not show.
const END_OF_STREAM: &str = "end of stream without kill";

#[test]
fn odd_frames_reach_whom_they_did_or_should() {
    let daemon = Daemon::start();
    let (mut ids, mut exceptions) = (GroupIds::default(), 0);
    let mut member = daemon.open("recv");
    member.join("g");
    for case in load("18_frame_cases")["cases"].as_array().unwrap() {
        let title = text(&case["case"]);
        println!("{title}");
        let mut sender = daemon.open("sess");
        let sent: Vec<_> = case["frames_sent"].as_array().unwrap().iter().map(sent_frame).collect();
        let better = FRAMES_DONE_BETTER.iter().find(|better| better.0 == title && title != END_OF_STREAM);
        let goes_on = better.map_or(case["session_after"] == "open", |better| better.1);
        let (mut to_sender, mut to_member) =
            (frames(&case["received_by_sender"]), frames(&case["received_by_member_of_g"]));
        if FRAMES_UNANSWERED.iter().any(|better| better.0 == title) {
            assert_ne!(mem::take(&mut to_sender), [b""; 0], "{title} is as recorded, no exception");
            exceptions += 1;
        }
        if FRAMES_DELIVERED.iter().any(|better| better.0 == title) {
            assert_eq!(mem::replace(&mut to_member, sent.clone()), [b""; 0], "{title} is as recorded, no exception");
            exceptions += 1;
        }

        let fatal = usize::from(!goes_on && title != END_OF_STREAM);
        let (before, ending) = sent.split_at(sent.len() - fatal);
        before.iter().for_each(|frame| sender.stream.write_all(frame).unwrap());
        to_sender.iter().for_each(|frame| ids.expect(&mut sender.stream, frame));
        // A daemon that does not like the beginning of a frame need not read its end.
        ending.iter().for_each(|frame| drop(sender.stream.write_all(frame)));
        if title == END_OF_STREAM {
            sender.stream.shutdown(Shutdown::Write).unwrap();
        }
        // A message behind all that is to come shows that no more comes.
        let last = if goes_on {
            let last = sender.say(&[name("g"), sender.private_group]);
            ids.expect(&mut sender.stream, &last);
            last
        } else {
            assert_eq!(rest(&mut sender.stream), b"");
            member.say(&[name("g")])
        };
        to_member.iter().chain([&last]).for_each(|frame| ids.expect(&mut member.stream, frame));
    }
    assert_eq!(exceptions, FRAMES_UNANSWERED.len() + FRAMES_DELIVERED.len());
}

/// The frames that somebody must get in a scripted case.
fn frames(recorded: &Value) -> Vec<Vec<u8>> {
    let one = |frame: &Value| match text(&frame["what"]) {
        "data" => received_frame(text(&frame["hex"])),
        _ => cleared(&unhex(text(&frame["hex"]))),
    };
    recorded.as_array().unwrap().iter().map(one).collect()
}

/// All conversations of a recording, against one daemon.
struct Replay {
    daemon: Daemon,
    clients: Vec<Client>,
    ids: GroupIds,
}

impl Replay {
    fn new(file: &str) -> Replay {
        Replay::at(Daemon::start(), file)
    }

    fn at(daemon: Daemon, file: &str) -> Replay {
        let clients = sessions(file).into_iter().map(|(name, units)| Client::new(name, units)).collect();
        Replay { daemon, clients, ids: GroupIds::default() }
    }

    fn run(mut self) {
        while let Some(turn) = self.next_turn() {
            let act = self.clients[turn].speak(&self.daemon);
            for client in &mut self.clients {
                client.listen(act.as_ref(), &mut self.ids);
            }
        }
        for client in &self.clients {
            let left: Vec<_> = client.said.iter().chain(&client.heard).map(|(_, unit)| &unit.what).collect();
            assert!(left.is_empty(), "{} still has {left:?}", client.name);
        }
    }

    /// Whose turn it can be. Ends come last, for what they end may still be needed.
    fn next_turn(&self) -> Option<usize> {
        let can = |client: &Client| {
            let act = client.next_act();
            client.is_ready() && self.clients.iter().all(|other| act.as_ref().is_none_or(|act| other.is_ready_for(act)))
        };
        let turns = (0..self.clients.len()).filter(|&index| can(&self.clients[index]));
        turns.min_by_key(|&index| self.clients[index].is_at_its_end())
    }
}

/// What a client does that somebody may hear of.
#[derive(Debug, PartialEq)]
enum Act {
    /// Who, the application's type, and the groups and data.
    Sent(Name, i16, Vec<u8>),
    Joined(Name, Name),
    Left(Name, Name),
    Ended(Name),
}

/// One recorded client.
struct Client {
    name: String,
    /// What it is still to say, and to hear, each with the place in the recording.
    said: VecDeque<(usize, Recorded)>,
    heard: VecDeque<(usize, Recorded)>,
    stream: Option<TcpStream>,
    recorded_group: Name,
    private_group: Name,
    is_nameless: bool,
}

impl Client {
    fn new(name: String, units: Vec<Recorded>) -> Client {
        let accept = units.iter().find(|unit| unit.what == "accept");
        let recorded_group = accept.map_or(self::name(""), |unit| self::name(text(unit.all("private_group")[1])));
        let is_nameless = units[0].bytes == NAMELESS;
        let (said, heard) = units.into_iter().enumerate().partition(|(_, unit)| unit.from_client);
        Client { name, said, heard, stream: None, recorded_group, private_group: recorded_group, is_nameless }
    }

    /// Whether it has something to say and has heard all that it heard before.
    fn is_ready(&self) -> bool {
        let heard = self.heard.front().map_or(usize::MAX, |(place, _)| *place);
        self.said.front().is_some_and(|(place, _)| *place < heard)
    }

    fn is_at_its_end(&self) -> bool {
        matches!(self.next_act(), Some(Act::Ended(_)))
    }

    /// Whether it is to hear of this next, or not at all.
    fn is_ready_for(&self, act: &Act) -> bool {
        let hears = |(_, unit): &(usize, Recorded)| self.cause(unit).as_ref() == Some(act);
        !self.heard.iter().any(hears) || self.heard.front().is_some_and(hears)
    }

    fn next_act(&self) -> Option<Act> {
        let (_, unit) = self.said.front()?;
        let group = || Name::from_field(unit.bytes[FrameHeader::SIZE..].first_chunk().unwrap());
        match &unit.what[..] {
            "data" => Some(sent(&unit.bytes)),
            "join" => Some(Act::Joined(self.recorded_group, group())),
            "leave" => Some(Act::Left(self.recorded_group, group())),
            "kill" | "end of stream (close)" => Some(Act::Ended(self.recorded_group)),
            _ => None,
        }
    }

    /// What a frame that it heard is the consequence of, if not of its own words just before.
    fn cause(&self, unit: &Recorded) -> Option<Act> {
        let header = FrameHeader::decode(unit.bytes.first_chunk()?);
        match &unit.what[..] {
            "data" => Some(sent(&unit.bytes)),
            "self-leave" => Some(Act::Left(self.recorded_group, header.name)),
            "regular membership" => {
                let data = &unit.bytes[FrameHeader::SIZE + Name::SIZE * header.groups as usize..];
                let who = MembershipBody::decode(data, ByteOrder::Little).unwrap().vs_sets[0][0];
                match header.kind {
                    kind if kind.contains(FrameType::CAUSED_BY_JOIN) => Some(Act::Joined(who, header.name)),
                    kind if kind.contains(FrameType::CAUSED_BY_LEAVE) => Some(Act::Left(who, header.name)),
                    _ => Some(Act::Ended(who)),
                }
            }
            _ => None,
        }
    }

    fn speak(&mut self, daemon: &Daemon) -> Option<Act> {
        let act = self.next_act();
        let (_, unit) = self.said.pop_front().unwrap();
        println!("{} says {}", self.name, unit.what);
        let stream = self.stream.get_or_insert_with(|| daemon.connect());
        match &unit.what[..] {
            // The daemon may have closed before.
            "end of stream (close)" => drop(stream.shutdown(Shutdown::Write)),
            "connect request" | "authentication choice" => stream.write_all(&unit.bytes).unwrap(),
            _ => {
                let mut frame = unit.bytes;
                for at in name_offsets(&frame).collect::<Vec<_>>() {
                    let field: &mut [u8; Name::SIZE] = frame[at..].first_chunk_mut().unwrap();
                    if self.is_nameless && Name::from_field(field) == self.recorded_group {
                        *field = *self.private_group.field();
                    }
                }
                stream.write_all(&frame).unwrap();
            }
        }
        act
    }

    /// Compares what answers its own last words, and what comes of an act.
    fn listen(&mut self, act: Option<&Act>, ids: &mut GroupIds) {
        let mut heard = Vec::new();
        while let Some((place, unit)) = self.heard.front() {
            let cause = self.cause(unit);
            let is_due = match &cause {
                None => self.said.front().is_none_or(|(next, _)| place < next),
                // Only an end is heard of several times, once a group.
                Some(cause) => Some(cause) == act && (heard.is_empty() || matches!(cause, Act::Ended(_))),
            };
            if !is_due {
                return;
            }
            heard.extend(cause);
            let (_, unit) = self.heard.pop_front().unwrap();
            self.compare(&unit, ids);
        }
    }

    fn compare(&mut self, unit: &Recorded, ids: &mut GroupIds) {
        println!("{} hears {}", self.name, unit.what);
        let stream = self.stream.as_mut().expect("only who has spoken hears");
        match &unit.what[..] {
            "end of stream (close)" => assert_eq!(rest(stream), b""),
            "accept" => self.private_group = read_acceptance(stream, &unit.bytes, self.is_nameless),
            "authentication method list" | "refusal" => assert_eq!(read(stream, unit.bytes.len()), unit.bytes),
            _ => ids.expect(stream, &cleared(&unit.bytes)),
        }
    }
}

fn sent(frame: &[u8]) -> Act {
    let header = FrameHeader::decode(frame.first_chunk().unwrap());
    Act::Sent(header.name, header.hint.mess_type(), cleared(frame)[FrameHeader::SIZE..].to_vec())
}

/// The first two numbers of recorded group ids, and ours in their place.
#[derive(Default)]
struct GroupIds(BTreeMap<[u8; 8], [u8; 8]>);

impl GroupIds {
    /// Reads a frame that must be this, but for the part of a group id that differs from run to run: there it must be the same
    /// wherever the recorded one is.
    fn expect(&mut self, stream: &mut TcpStream, frame: &[u8]) {
        let (mut expected, found) = (frame.to_vec(), read(stream, frame.len()));
        let header = FrameHeader::decode(frame.first_chunk().unwrap());
        if header.kind.contains(FrameType::REG_MEMB) {
            let at = FrameHeader::SIZE + Name::SIZE * header.groups as usize;
            let recorded = expected[at..].first_chunk_mut().unwrap();
            *recorded = *self.0.entry(*recorded).or_insert(*found[at..].first_chunk().unwrap());
        }
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

/// An open session.
struct Session {
    stream: TcpStream,
    private_group: Name,
}

impl Session {
    fn join(&mut self, group: &str) {
        let frame = self.frame(FrameType::JOIN, &[name(group)], b"");
        self.stream.write_all(&frame).unwrap();
        let view = FrameHeader::decode(&read(&mut self.stream, FrameHeader::SIZE).try_into().unwrap());
        assert_eq!((view.name, view.groups), (name(group), 1));
        read(&mut self.stream, view.body_len().unwrap());
    }

    /// Sends a message, and gives what its receivers must get.
    fn say(&mut self, groups: &[Name]) -> Vec<u8> {
        let frame = self.frame(FrameType::AGREED, groups, b"and that was all");
        self.stream.write_all(&frame).unwrap();
        frame
    }

    fn frame(&self, kind: FrameType, groups: &[Name], data: &[u8]) -> Vec<u8> {
        let counts = [groups.len() as u32, 0x8000_0080, data.len() as u32].map(u32::to_le_bytes);
        let groups: Vec<_> = groups.iter().map(|group| *group.field()).collect();
        [&kind.encode()[..], self.private_group.field(), counts.as_flattened(), groups.as_flattened(), data].concat()
    }
}

/// A daemon of the recorded name.
struct Daemon {
    _running: Running,
    port: u16,
}

impl Daemon {
    fn start() -> Daemon {
        Daemon::start_with(&|_| {})
    }

    fn start_with(adapt: &dyn Fn(&mut Options)) -> Daemon {
        Daemon::start_of("", adapt)
    }

    /// Starts one on a port with its neighbour; another process may take them first.
    fn start_of(lines: &str, adapt: &dyn Fn(&mut Options)) -> Daemon {
        let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = |port| Daemon::start_at(port, lines, adapt);
        std::iter::repeat_with(any).take(20).find_map(start).expect("one of many ports is free")
    }

    fn start_at(port: u16, lines: &str, adapt: &dyn Fn(&mut Options)) -> Option<Daemon> {
        let text = format!(
            "Spread_Segment unicast:{port} {{ localhost 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n\
             MaxMessageSize = 143952\n{lines}\n"
        );
        let settings = Settings::parse("vectors", text.as_bytes()).unwrap();
        let options = Options::from_settings(&settings, &settings.table.daemons[0]);
        let mut options = Options { unix_sockets: vec![], ..options };
        adapt(&mut options);
        Some(Daemon { _running: spawn(options).ok()?, port })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A session of an old library, which does without authentication, as soon as nobody else has the name.
    fn open(&self, name: &str) -> Session {
        let request = [&[3, 15, 0, 1, name.len() as u8], name.as_bytes()].concat();
        let acceptance = [&[1, 4, 4, 0, name.len() as u8 + 11, b'#'], name.as_bytes(), b"#localhost"].concat();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut stream = self.connect();
            stream.write_all(&request).unwrap();
            if peek(&stream) == 1 {
                let private_group = read_acceptance(&mut stream, &acceptance, false);
                return Session { stream, private_group };
            }
        }
        panic!("{name} is not free after {PATIENCE:?}");
    }
}

/// Reads an acceptance that must be this, but for an invented name.
fn read_acceptance(stream: &mut TcpStream, recorded: &[u8], is_nameless: bool) -> Name {
    let (front, group) = recorded.split_at(recorded.iter().position(|&byte| byte == b'#').unwrap());
    let (length, front) = front.split_last().unwrap();
    assert_eq!(read(stream, front.len()), front);
    let found_length = read(stream, 1)[0];
    let found = read(stream, found_length.into());
    if is_nameless {
        assert!(found.starts_with(b"#r") && found.ends_with(b"#localhost"), "{}", found.escape_ascii());
    } else {
        assert_eq!((found_length, &found[..]), (*length, group));
    }
    Name::new(&found).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

fn peek(stream: &TcpStream) -> u8 {
    let mut byte = [0];
    stream.peek(&mut byte).unwrap();
    byte[0]
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// What comes until the other side closes; a reset, because it did not read all, is an end like any other.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => bytes,
    }
}
