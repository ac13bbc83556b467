//! Recorded bytes of classic clients and daemons against our codec and our session.
//!
//! What was recorded is the rule. Where the classic daemon is at fault the case stands in a table, here or in `recorded`,
//! with the reason.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod recorded;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use recorded::{
    FRAMES_DONE_BETTER, HANDSHAKES_DONE_BETTER, Recorded, cleared, load, received_frame, sent_frame, sessions, text,
    unhex,
};
use serde_json::Value;
use spread::rng::Rng;
use spread::session::{AccessList, Method, Peer, Request, Session, SessionSettings};
use spread::wire::{
    Answer, ByteOrder, CLASSIC_DAEMON_LIMIT, ConnectRequest, FrameHeader, FrameType, GroupId, ListError,
    MembershipBody, MethodChoice, MethodList, Name, Refusal, Version, decode_names,
};

/// The annotated number behind `0x`, and whether its writer was little-endian.
fn marked(unit: &Recorded, name: &str) -> (u32, ByteOrder) {
    let annotation = text(unit.field(name));
    let number = u32::from_str_radix(&annotation[2..10], 16).unwrap();
    let order = if annotation.contains("big-endian") { ByteOrder::Big } else { ByteOrder::Little };
    (number & !0x8000_0080, order)
}

/// All recorded sessions, with a name to find them by.
fn recorded_sessions() -> Vec<(String, Vec<Recorded>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let stem = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    let of_file =
        |file: String| sessions(&file).into_iter().map(move |(client, units)| (format!("{client} of {file}"), units));
    files.iter().map(stem).flat_map(of_file).collect()
}

fn check_handshake(recorded: &Recorded) {
    let bytes = &recorded.bytes[..];
    match &recorded.what[..] {
        "connect request" => {
            let flags = u8::from_str_radix(&text(recorded.field("flags"))[2..], 16).unwrap();
            let name = recorded.all("name").get(1).map_or("", |name| text(name));
            if name == "a#b" {
                assert_eq!(ConnectRequest::decode(bytes), Err(Refusal::ILLEGAL_NAME));
                return;
            }
            let (request, consumed) = ConnectRequest::decode(bytes).unwrap().unwrap();
            assert_eq!((consumed, &request.encode()[..]), (bytes.len(), bytes));
            assert_eq!((request.version, request.membership), (Version::OURS, flags & 1 == 1));
            assert_eq!(request.priority, flags >> 4);
            assert_eq!(request.name.map_or(String::new(), |name| name.to_string()), name);
        }
        "authentication method list" => {
            let (list, consumed) = MethodList::decode(bytes).unwrap().unwrap();
            assert_eq!((consumed, &list.encode()[..]), (bytes.len(), bytes));
            let names: String = list.0.iter().map(|method| format!("{method:?} ")).collect();
            assert_eq!(names, text(recorded.all("list")[1]));
        }
        "authentication choice" => {
            let choice = MethodChoice::decode(bytes.try_into().unwrap()).unwrap();
            assert_eq!(choice.encode(), bytes);
            let names = choice.0.map(|method| method.map_or(String::new(), |method| format!("{method:?}")));
            assert_eq!(
                names.iter().collect::<Vec<_>>(),
                recorded.all("method").into_iter().map(text).collect::<Vec<_>>()
            );
        }
        "accept" => {
            let (answer, consumed) = Answer::decode(bytes, Version::OURS).unwrap().unwrap();
            assert_eq!((consumed, &answer.encode(Version::OURS)[..]), (bytes.len(), bytes));
            assert_eq!(answer.private_group.to_string(), text(recorded.all("private_group")[1]));
        }
        "refusal" => {
            let refusal = Refusal(recorded.field("code").as_i64().unwrap() as i8);
            assert_eq!(MethodList::decode(bytes), Err(ListError::Refused(refusal)));
            assert_eq!([refusal.encode()], bytes);
        }
        other => panic!("what is a {other}?"),
    }
}

fn check_frame(recorded: &Recorded) {
    let (front, body) = recorded.bytes.split_first_chunk().unwrap();
    let header = FrameHeader::decode(front);
    assert_eq!((header.kind.0, header.order), marked(recorded, "type"));
    assert_eq!(header.name.to_string(), text(recorded.field("sender")));
    assert_eq!(Some(i64::from(header.groups)), recorded.field("num_groups").as_i64());
    assert_eq!(Some(i64::from(header.data_len)), recorded.field("data_len").as_i64());
    assert_eq!(header.hint.order(), marked(recorded, "hint").1);
    assert!(text(recorded.field("hint")).ends_with(&format!("mess_type {}", header.hint.mess_type())));
    assert!(header.hint.is_valid());
    assert_eq!(header.body_len(), Some(body.len()));

    let (refused, body) = body.split_at(if header.kind.contains(FrameType::REJECT) { 4 } else { 0 });
    if let Ok(refused) = refused.try_into() {
        assert_eq!(FrameType::decode(refused).0, marked(recorded, "old_type").0);
        assert_eq!(FrameType::decode(refused).encode(), refused);
    }
    let (groups, data) = body.split_at(32 * header.groups as usize);
    let names: Vec<_> = decode_names(groups).collect();
    assert_eq!(
        names.iter().map(Name::to_string).collect::<Vec<_>>(),
        recorded.all("group[").into_iter().map(text).collect::<Vec<_>>()
    );
    let written =
        if header.kind.contains(FrameType::REG_MEMB) { check_membership(recorded, data) } else { data.to_vec() };
    if header.kind.contains(FrameType::TRANSITION) {
        check_group_id(recorded, GroupId::decode(data, header.order).unwrap());
    }

    let groups: Vec<u8> = names.iter().flat_map(|name| *name.field()).collect();
    let rewritten = [&header.encode()[..], refused, &groups, &written].concat();
    let expected = cleared(&recorded.bytes);
    match header.order {
        ByteOrder::Little => assert_eq!(rewritten, expected),
        ByteOrder::Big => {
            let again = FrameHeader::decode(rewritten.first_chunk().unwrap());
            assert_eq!(again, FrameHeader { order: ByteOrder::Little, ..header });
            assert_eq!((&rewritten[40..44], &rewritten[48..]), (&expected[40..44], &expected[48..]));
        }
    }
}

/// Compares a regular membership's data and writes it again.
fn check_membership(recorded: &Recorded, data: &[u8]) -> Vec<u8> {
    let body = MembershipBody::decode(data, ByteOrder::Little).unwrap();
    check_group_id(recorded, body.id);
    assert_eq!(Some(body.vs_sets.len() as u64), recorded.field("num_vs_sets").as_u64());
    for (index, set) in body.vs_sets.iter().enumerate() {
        assert_eq!(Some(set.len() as u64), recorded.field(&format!("vs_set[{index}].num")).as_u64());
        let members: Vec<_> = set.iter().map(Name::to_string).collect();
        let annotated = recorded.all(&format!("vs_set[{index}].member"));
        assert_eq!(members, annotated.into_iter().map(text).collect::<Vec<_>>());
    }
    let before_own: usize = body.vs_sets[..body.own].iter().map(|set| 4 + 32 * set.len()).sum();
    assert_eq!(Some(before_own as u64), recorded.field("local_vs_set_offset").as_u64());
    body.encode(ByteOrder::Little)
}

fn check_group_id(recorded: &Recorded, id: GroupId) {
    let annotated: Vec<_> = recorded.field("gid").as_array().unwrap().iter().map(Value::as_u64).collect();
    assert_eq!(id.0.map(|number| Some(u64::from(number))), annotated[..]);
}

#[test]
fn every_recorded_unit_reads_as_annotated_and_writes_back() {
    let mut frames = 0;
    for (session, recorded) in recorded_sessions() {
        for (index, unit) in recorded.iter().enumerate() {
            println!("{session}, unit {index}: {}", unit.what);
            match &unit.what[..] {
                "data"
                | "join"
                | "leave"
                | "kill"
                | "reject"
                | "self-leave"
                | "regular membership"
                | "transitional membership" => {
                    check_frame(unit);
                    frames += 1;
                }
                "end of stream (close)" => assert!(unit.bytes.is_empty()),
                _ => check_handshake(unit),
            }
        }
    }
    assert_eq!(frames, 322);
}

/// Feeds bytes, answers a Hello with the given name or refusal, and returns the other requests.
fn drive(session: &mut Session, bytes: &[u8], answer: Result<Name, Refusal>) -> Vec<Request> {
    session.handle_bytes(bytes);
    let mut requests = Vec::new();
    while let Some(request) = session.poll_request() {
        match (request, answer) {
            (Request::Hello(_), Ok(name)) => session.admit(name),
            (Request::Hello(_), Err(refusal)) => {
                session.refuse(refusal);
                requests.push(Request::Refused(refusal));
            }
            (Request::Authenticated, _) => session.open(),
            (other, _) => requests.push(other),
        }
    }
    requests
}

fn output(session: &Session) -> Vec<u8> {
    session.outbox().slices().flat_map(|slice| slice.to_vec()).collect()
}

fn is_end(request: &Request) -> bool {
    matches!(request, Request::Kill | Request::Refused(_) | Request::Violation(_))
}

/// The request that a recorded frame stands for.
fn expected_request(recorded: &Recorded) -> Option<Request> {
    let group = || Name::new(text(recorded.field("group[0]")).as_bytes()).unwrap();
    match &recorded.what[..] {
        "authentication choice" => Some(Request::Opened),
        "join" => Some(Request::Join(group())),
        "leave" => Some(Request::Leave(group())),
        "kill" => Some(Request::Kill),
        "data" => {
            let mut frame = recorded.bytes.clone();
            let header = FrameHeader::decode(frame.first_chunk().unwrap());
            header.rewrite(&mut frame);
            Some(Request::Multicast { service: header.kind.service().unwrap(), frame: frame.into() })
        }
        _ => None,
    }
}

#[test]
fn recorded_clients_are_understood_however_their_stream_is_cut() {
    let mut rng = Rng::new(9);
    let mut replayed = 0;
    for (name, recorded) in recorded_sessions() {
        let Some(accept) = recorded.iter().find(|unit| unit.what == "accept") else { continue };
        let private_group = Name::new(text(accept.all("private_group")[1]).as_bytes()).unwrap();
        let ours: Vec<_> = recorded.iter().filter(|unit| unit.from_client).collect();
        let stream: Vec<u8> = ours.iter().flat_map(|unit| unit.bytes.clone()).collect();
        let expected: Vec<_> = ours.iter().filter_map(|unit| expected_request(unit)).collect();

        let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
        assert_eq!(drive(&mut session, &stream, Ok(private_group)), expected, "{name}");
        let handshake = recorded.iter().filter(|unit| !unit.from_client).take(2).flat_map(|unit| unit.bytes.clone());
        assert_eq!(output(&session), handshake.collect::<Vec<_>>(), "{name}");

        let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
        let (mut rest, mut requests) = (&stream[..], Vec::new());
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(1 + rng.below(200) as usize));
            requests.extend(drive(&mut session, piece, Ok(private_group)));
            rest = tail;
        }
        assert_eq!(requests, expected, "{name}, in pieces");
        replayed += 1;
    }
    assert_eq!(replayed, 35);
}

/// Sends a case's bytes and compares what came back and whether the conversation goes on.
fn check_case(case: &Value, session: &mut Session, better: Option<(&str, bool)>) {
    let title = text(&case["case"]);
    let recorded = (text(&case["received"]), case["connection_after"] == "open");
    let (received, goes_on) = better.unwrap_or(recorded);
    assert!(better.is_none_or(|better| better != recorded), "{title} is as recorded, no exception");
    let sent: Vec<_> = case["sent"].as_array().unwrap().iter().filter_map(|piece| piece["hex"].as_str()).collect();
    let mut requests = Vec::new();
    for piece in sent {
        let bytes = unhex(piece);
        let answer = match ConnectRequest::decode(&bytes) {
            _ if title == "name in use" => Err(Refusal::NOT_UNIQUE),
            Ok(Some((ConnectRequest { name: Some(name), .. }, _))) => {
                Ok(Name::private_group(name.as_bytes(), b"localhost").unwrap())
            }
            _ if title == "name arriving later than the header" => Ok(Name::new(b"#abf#localhost").unwrap()),
            _ => Ok(Name::new(b"#r1798-9#localhost").unwrap()),
        };
        requests.extend(drive(session, &bytes, answer));
    }
    assert_eq!(output(session), unhex(received), "{title}");
    assert_eq!(!requests.iter().any(is_end), goes_on, "{title}: {requests:?}");
    assert_eq!(session.is_open(), requests == [Request::Opened], "{title}");
}

#[test]
fn handshakes_go_as_recorded_or_better() {
    let cases = load("16_handshake_cases")["cases"].as_array().unwrap().clone();
    let mut exceptions = 0;
    for case in &cases {
        let better = HANDSHAKES_DONE_BETTER.iter().find(|better| case["case"] == better.0);
        exceptions += usize::from(better.is_some());
        let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
        check_case(case, &mut session, better.map(|&(_, received, goes_on, _)| (received, goes_on)));
    }
    assert_eq!((cases.len(), exceptions), (42, HANDSHAKES_DONE_BETTER.len()));
}

/// Access files that the classic daemon misreads: with these, clients of this address get in that were kept out.
const ACCESS_FILES_DONE_BETTER: [(&str, &[&str], &str); 2] = [
    ("0.0.0.0/0\n", &["127.0.0.1", "192.0.2.2"], "no bits at all are everybody, on TCP too"),
    ("\nlocal\n", &["127.0.0.1"], "a blank line does not end the file"),
];

fn session_config(configuration: &str, access_file: &Value) -> SessionSettings {
    let methods = |key: &str| {
        let value = configuration.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        let names = value.trim_matches('"').split(' ');
        Some(names.map(|name| if name == "IP" { Method::Ip } else { Method::Null }).collect::<Vec<_>>())
    };
    let required = methods("RequiredAuthMethods").unwrap_or_default();
    let by_default = if required.is_empty() { vec![Method::Null] } else { Vec::new() };
    SessionSettings {
        allowed: methods("AllowedAuthMethods").unwrap_or(by_default),
        required,
        access: AccessList::parse(access_file.as_str().unwrap_or_default()).unwrap(),
        ..SessionSettings::default()
    }
}

#[test]
fn authentication_goes_as_recorded_or_better() {
    let runs = load("17_authentication_cases")["runs"].as_array().unwrap().clone();
    let mut exceptions = 0;
    for run in &runs {
        let config = session_config(text(&run["configuration"]), &run["access_file"]);
        for case in run["cases"].as_array().unwrap() {
            let title = text(&case["case"]);
            let address = title.split(' ').skip_while(|&word| word != "via").nth(1).unwrap();
            let peer = address.parse::<IpAddr>().map_or(Peer::Unix, Peer::Tcp);
            let misread = ACCESS_FILES_DONE_BETTER
                .iter()
                .any(|(file, addresses, _)| run["access_file"] == *file && addresses.contains(&address));
            let group = text(&case["sent"][0]["hex"]).split_at(10).1;
            let accepted = |list: &str, patch: &str| format!("{list}010404{patch}0e23{group}236c6f63616c686f7374");
            let escapes = title.starts_with("old client") && !config.required.is_empty() && !config.access.allows(peer);
            let refused = "f7".to_string();
            let better = match title {
                // What is required is required of old libraries too.
                _ if escapes && case["received"] != refused.as_str() => Some(refused),
                _ if !misread || title.ends_with("NULL") => None,
                _ if title.ends_with("IP") => Some(accepted("03495020", "00")),
                _ => Some(accepted("", "00")),
            };
            exceptions += usize::from(better.is_some());
            check_case(
                case,
                &mut Session::new(&config, peer),
                better.as_deref().map(|received| (received, received != "f7")),
            );
        }
    }
    assert_eq!((runs.len(), exceptions), (9, 7));
}

#[test]
fn odd_frames_go_as_recorded_or_better() {
    let cases = load("18_frame_cases")["cases"].as_array().unwrap().clone();
    let private_group = Name::new(b"#sess#localhost").unwrap();
    let classic = SessionSettings { message_limit: CLASSIC_DAEMON_LIMIT, ..SessionSettings::default() };
    let (mut exceptions, mut delivered) = (0, 0);
    for case in &cases {
        let title = text(&case["case"]);
        let mut session = Session::new(&classic, Peer::Unix);
        assert_eq!(drive(&mut session, b"\x03\x0f\x00\x01\x04sess", Ok(private_group)), [Request::Opened]);
        let frames = case["frames_sent"].as_array().unwrap();
        let requests: Vec<_> =
            frames.iter().flat_map(|frame| drive(&mut session, &sent_frame(frame), Ok(private_group))).collect();

        let better = FRAMES_DONE_BETTER.iter().find(|better| title == better.0).map(|better| better.1);
        let goes_on = case["session_after"] == "open";
        assert_ne!(better, Some(goes_on), "{title} is as recorded, no exception");
        exceptions += usize::from(better.is_some());
        assert_eq!(session.is_open(), better.unwrap_or(goes_on), "{title}: {requests:?}");

        let to_member = case["received_by_member_of_g"].as_array().unwrap();
        for recorded in to_member.iter().filter(|frame| frame["what"] == "data") {
            let [Request::Multicast { frame, .. }] = &requests[..] else { panic!("{title}: {requests:?}") };
            assert_eq!(frame[..], received_frame(text(&recorded["hex"])), "{title}");
            delivered += 1;
        }
    }
    assert_eq!((exceptions, delivered), (FRAMES_DONE_BETTER.len(), 33));
}
