//! What kills, wedges or confuses a classic daemon, one named case for each row that the descriptions of its protocol and its files
//! mark as a defect: ours does what is recommended there. After every case of the protocol another client, and a new one, find the
//! daemon well.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use spread::config::{ClientAddresses, Invalid, Settings};
use spread::daemon::{Options, Running, spawn};
use spread::session::{AccessList, Method, Peer};
use spread::wire::{ByteOrder, CLASSIC_DAEMON_LIMIT, FrameHeader, FrameType, Hint, Name};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

type Case = (&'static str, fn(&Daemon));

const CASES: &[Case] = &[
    ("a name shorter than 10 with the choice in the same segment", |daemon| {
        let mut stream = daemon.raw();
        stream.write_all(&[&b"\x04\x04\x00\x01\x03abc"[..], &choice()].concat()).unwrap();
        read(&mut stream, b"\x05NULL \x01\x04\x04\x00\x09#abc#solo");
    }),
    ("a silent connection while others connect", |daemon| {
        let silent = [daemon.raw(), daemon.raw(), daemon.raw()];
        daemon.session("busy").expect_echo();
        drop(silent);
    }),
    ("every byte of the handshake in a segment of its own", |daemon| {
        let mut stream = daemon.raw();
        for byte in b"\x04\x04\x00\x01\x07dribble" {
            daemon.assert_serves();
            stream.write_all(&[*byte]).unwrap();
        }
        read(&mut stream, b"\x05NULL ");
        for byte in choice() {
            stream.write_all(&[byte]).unwrap();
        }
        read(&mut stream, b"\x01\x04\x04\x00\x0d#dribble#solo");
        Session { stream, name: "#dribble#solo" }.expect_echo();
    }),
    ("a choice of 89 bytes, and the last one later", |daemon| {
        let mut stream = daemon.raw();
        stream.write_all(b"\x04\x04\x00\x01\x04late").unwrap();
        read(&mut stream, b"\x05NULL ");
        stream.write_all(&choice()[..89]).unwrap();
        daemon.assert_serves();
        stream.write_all(&choice()[89..]).unwrap();
        read(&mut stream, b"\x01\x04\x04\x00\x0a#late#solo");
    }),
    ("every byte of a frame in a segment of its own", |daemon| {
        let mut session = daemon.session("dribble");
        let frame = session.frame(FrameType::SAFE, &[session.name], b"slowly");
        for byte in &frame {
            session.stream.write_all(&[*byte]).unwrap();
        }
        read(&mut session.stream, &frame);
    }),
    ("type bit 0x80000 alone", |daemon| daemon.session("bad").expect_end(FrameType::INTERNAL)),
    ("type bit 0x80000 with a service bit", |daemon| {
        for service in 0..6 {
            daemon.session("bad").expect_end(FrameType::INTERNAL | FrameType(1 << service));
        }
    }),
    ("the REJECT bit with a service bit", |daemon| {
        for service in 0..6 {
            daemon.session("bad").expect_end(FrameType::REJECT | FrameType(1 << service));
            daemon.session("bad").expect_end(FrameType::REJECT | FrameType::SELF_DISCARD | FrameType(1 << service));
        }
    }),
    ("membership bits with a service bit mean nothing to receivers", |daemon| {
        let mut session = daemon.session("noise");
        let frame = session.frame(FrameType(0x01b0_ff10) | FrameType::FREE, &[session.name], b"x");
        session.stream.write_all(&frame).unwrap();
        let passed = session.frame(FrameType::AGREED | FrameType::FREE, &[session.name], b"x");
        read(&mut session.stream, &passed);
    }),
    ("joins and leaves without a group, of the empty one and of a private one", |daemon| {
        let mut session = daemon.session("odd");
        for kind in [FrameType::JOIN, FrameType::LEAVE] {
            for groups in [&[][..], &[""], &["#odd#solo"], &["#"]] {
                let frame = session.frame(kind, groups, b"");
                session.stream.write_all(&frame).unwrap();
            }
        }
        session.expect_echo();
    }),
    ("more than 43 groups, up to 100", |daemon| {
        let mut session = daemon.session("many");
        for count in [43, 44, 99, 100] {
            let others: Vec<String> = (1..count).map(|n| format!("nobody{n}")).collect();
            let groups: Vec<&str> = others.iter().map(String::as_str).chain([session.name]).collect();
            let frame = session.frame(FrameType::AGREED, &groups, b"to many");
            session.stream.write_all(&frame).unwrap();
            read(&mut session.stream, &frame);
        }
        let groups = vec![session.name; 101];
        let frame = session.frame(FrameType::AGREED, &groups, b"");
        session.expect_end_after(&frame);
    }),
    ("bodies of 143 153 to 143 952 bytes", |daemon| {
        let mut session = daemon.session("large");
        for size in [143_152, 143_153, 143_200, 143_500, CLASSIC_DAEMON_LIMIT] {
            let frame = session.frame(FrameType::SAFE, &[session.name], &vec![b'x'; size - Name::SIZE]);
            session.stream.write_all(&frame).unwrap();
            read(&mut session.stream, &frame);
        }
    }),
    ("bodies above the limit", |daemon| {
        for size in [CLASSIC_DAEMON_LIMIT + 1, 144_000, i32::MAX as usize] {
            let mut session = daemon.session("bad");
            let mut header = session.header(FrameType::SAFE, 1);
            header.data_len = (size - Name::SIZE) as i32;
            session.expect_end_after(&header.encode());
        }
    }),
    ("negative numbers and another's name", |daemon| {
        let change: [fn(&mut FrameHeader); 4] = [
            |header| header.groups = -1,
            |header| header.data_len = -1,
            |header| header.hint = Hint([0x81, 0, 0, 0x80]),
            |header| header.name = Name::new(b"#witness#solo").unwrap(),
        ];
        for change in change {
            let mut session = daemon.session("bad");
            let mut header = session.header(FrameType::AGREED, 1);
            change(&mut header);
            session.expect_end_after(&header.encode());
        }
    }),
];

#[test]
fn every_defect_of_the_classic_daemon_is_done_as_recommended() {
    let mut daemon = Daemon::start();
    for (name, case) in CASES {
        println!("{name}");
        case(&daemon);
        daemon.assert_serves();
        daemon.witness.expect_echo();
    }
}

/// What the files of a classic daemon lead it to.
const FILES: &[(&str, fn())] = &[
    ("a blank or tab after a number, with and without a comment", || {
        for end in [" ", "\t", " # a comment", "\t# a comment", "# a comment"] {
            let windows = parameters(&format!("Window = 160{end}\nPersonalWindow = 30{end}\n")).live.windows;
            assert_eq!((windows.ring, windows.personal), (160, 30), "{end:?}");
        }
    }),
    ("more than ten interfaces", || {
        let interfaces = |count| (1..=count).map(|n| format!("C 10.0.0.{n} ")).collect::<String>();
        let file = |count| format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 {{ {} }} }}", interfaces(count));
        let ten = parse(&file(10)).unwrap();
        assert!(matches!(&ten.table.daemons[0].clients, ClientAddresses::Only(addresses) if addresses.len() == 10));
        assert!(matches!(parse(&file(11)), Err(Invalid(_))));
    }),
    ("an authentication list above 90 characters", || {
        for keyword in ["AllowedAuthMethods", "RequiredAuthMethods"] {
            let list = format!("{}NULL IP", "NULL ".repeat(40));
            let found = parameters(&format!("{keyword} = \"{list}\"\n")).live.session;
            let lists = [found.allowed, found.required];
            assert!(lists.contains(&vec![Method::Null, Method::Ip]), "{keyword}: {lists:?}");
        }
    }),
    ("a format of time stamps above 39 characters", || {
        let format = "%H:%M:%S ".repeat(20);
        let found = parameters(&format!("EventTimeStamp = \"{format}\"\n")).live.log.time_stamp;
        assert_eq!(found, Some(format));
    }),
    ("AcceleratedRing unspecified is the same system as AcceleratedRing on", || {
        let [without, with] = ["", "AcceleratedRing = true\n"].map(|line| parameters(line).table.digest());
        assert_eq!(without, with);
    }),
    ("blank lines and leading blanks do not end the access file", || {
        let list = AccessList::parse("\n10.0.0.1\n\n \t\n  10.0.0.2\n\n\t# a comment\nlocal\n").unwrap();
        let allowed = ["10.0.0.1", "10.0.0.2", "127.0.0.1", "10.0.0.3"].map(|peer| list.allows(tcp(peer)));
        assert_eq!(allowed, [true, true, true, false]);
    }),
    ("a malformed line of the access file is reported", || {
        for line in ["10", "10.0", "10.0.0", "10.0.0.", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1"] {
            assert_eq!(AccessList::parse(&format!("local\n\n{line}\n")).unwrap_err().line, 3, "{line}");
        }
    }),
    ("a part of an address that is no number", || {
        for line in ["a.b.c.d", "10.0.0.x", "10.0.0.0/x", "10.0.0.256", "..."] {
            assert_eq!(AccessList::parse(line).unwrap_err().line, 1, "{line}");
        }
    }),
    ("/0 is everybody", || {
        let list = AccessList::parse("0.0.0.0/0\n").unwrap();
        assert!(["10.0.0.1", "127.0.0.1", "203.0.113.9"].iter().all(|peer| list.allows(tcp(peer))));
        assert!(list.allows(Peer::Unix));
    }),
    ("blanks around the / of an access rule", || {
        for rule in ["10.1.0.0 /16", "10.1.0.0/ 16", "10.1.0.0 / 16", "10.1.0.0\t/\t16\t"] {
            let list = AccessList::parse(rule).unwrap();
            let allowed = ["10.1.0.0", "10.1.2.3", "10.2.0.0"].map(|peer| list.allows(tcp(peer)));
            assert_eq!(allowed, [true, true, false], "{rule:?}");
        }
    }),
];

#[test]
fn every_defect_of_the_classic_files_is_done_as_recommended() {
    for (name, case) in FILES {
        println!("{name}");
        case();
    }
}

fn parse(text: &str) -> Result<Settings, Invalid> {
    Settings::parse("defects", text.as_bytes())
}

/// A configuration of one daemon with these parameters.
fn parameters(text: &str) -> Settings {
    parse(&format!("Spread_Segment unicast {{ solo 127.0.0.1 }}\n{text}")).unwrap()
}

fn tcp(address: &str) -> Peer {
    Peer::Tcp(address.parse().unwrap())
}

/// A daemon named solo with the classic limits.
struct Daemon {
    _running: Running,
    port: u16,
    /// A client that has been there all the time.
    witness: Session,
}

impl Daemon {
    /// Starts one on a free port; another process may take it first.
    fn start() -> Daemon {
        let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (running, port) =
            std::iter::repeat_with(any).take(20).find_map(start_at).expect("one of many ports is free");
        Daemon { _running: running, port, witness: session(port, "witness") }
    }

    fn raw(&self) -> TcpStream {
        connect(self.port)
    }

    fn session(&self, name: &'static str) -> Session {
        session(self.port, name)
    }

    /// Somebody new is served.
    fn assert_serves(&self) {
        self.session("new").expect_echo();
    }
}

fn start_at(port: u16) -> Option<(Running, u16)> {
    let text = format!(
        "Spread_Segment unicast:{port} {{ solo 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }} MaxMessageSize = {CLASSIC_DAEMON_LIMIT}"
    );
    let settings = Settings::parse("defects", text.as_bytes()).unwrap();
    let options = Options::from_settings(&settings, &settings.table.daemons[0]);
    Some((spawn(Options { unix_sockets: vec![], control_sockets: vec![], ..options }).ok()?, port))
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A session of an old library, which does without authentication. Its name waits for its predecessor's end.
fn session(port: u16, name: &'static str) -> Session {
    let mut stream = connect(port);
    stream.write_all(&[&[3, 15, 0, 1, name.len() as u8], name.as_bytes()].concat()).unwrap();
    let private = format!("#{name}#solo");
    read(&mut stream, &[&[1, 4, 4, 0, private.len() as u8], private.as_bytes()].concat());
    Session { stream, name: private.leak() }
}

/// An open session.
struct Session {
    stream: TcpStream,
    name: &'static str,
}

impl Session {
    fn header(&self, kind: FrameType, groups: usize) -> FrameHeader {
        FrameHeader {
            kind,
            name: Name::new(self.name.as_bytes()).unwrap(),
            groups: groups as i32,
            hint: Hint::new(7, ByteOrder::Little),
            data_len: 0,
            order: ByteOrder::Little,
        }
    }

    fn frame(&self, kind: FrameType, groups: &[&str], data: &[u8]) -> Vec<u8> {
        let header = FrameHeader { data_len: data.len() as i32, ..self.header(kind, groups.len()) };
        let groups: Vec<_> = groups.iter().map(|group| *Name::new(group.as_bytes()).unwrap().field()).collect();
        [&header.encode()[..], groups.as_flattened(), data].concat()
    }

    /// It is open: what it sends to itself comes back.
    fn expect_echo(&mut self) {
        let frame = self.frame(FrameType::SAFE, &[self.name], b"are you well?");
        self.stream.write_all(&frame).unwrap();
        read(&mut self.stream, &frame);
    }

    fn expect_end(mut self, kind: FrameType) {
        let frame = self.frame(kind, &[self.name], b"");
        self.expect_end_after(&frame);
    }

    /// The session ends without a word.
    fn expect_end_after(&mut self, bytes: &[u8]) {
        // The daemon need not read to the end of what it does not like.
        let _ = self.stream.write_all(bytes);
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not closed: {error}"),
            _ => assert_eq!(rest, b""),
        }
    }
}

fn choice() -> [u8; 90] {
    let mut choice = [0; 90];
    choice[..4].copy_from_slice(b"NULL");
    choice
}

fn read(stream: &mut TcpStream, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert!(found == expected, "{}\n{}", found.escape_ascii(), expected.escape_ascii());
}
