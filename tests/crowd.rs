//! Crowds at two real daemons: many sessions that join one group together, that all come back together, that end together with many
//! groups, and that take memory together.
//!
//! The numbers are small, so that the test runs with the others; `TORC_CROWD=1000` and `TORC_CROWD_GROUPS=16384` make them large, and
//! `--nocapture` shows how long each took.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "how long it took is what is asked")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};

use spread::config::Settings;
use spread::daemon::{Options, Running, Status, spawn};
use spread::wire::{ByteOrder, FrameHeader, FrameType, Hint, Name};

/// The longest that anything may take here, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(300);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn a_crowd_that_joins_one_group_at_once_sees_the_last_view_and_nobody_is_closed() {
    let each = number("TORC_CROWD", 120);
    let pair = Pair::start();
    let mut crowds = [0, 1].map(|at| Crowd::connect(&pair, at, each));
    let began = Instant::now();
    together(&mut crowds, |crowd| {
        crowd.join_all();
        crowd.read_until(2 * each as i32);
    });
    say(format_args!("{each} sessions at each of two daemons join one group: {:?}", began.elapsed()));
    let [stays, goes] = crowds;
    drop(goes);
    let began = Instant::now();
    let mut crowds = [stays, Crowd::connect(&pair, 1, each)];
    together(&mut crowds, |crowd| {
        if crowd.at == 1 {
            crowd.join_all();
        }
        crowd.read_until_whole(2 * each as i32);
    });
    say(format_args!("the sessions of one daemon come back: {:?}", began.elapsed()));
    assert!(pair.is_whole(), "the ring breaks");
    for status in pair.statuses() {
        let stats = status.client_stats;
        assert_eq!((stats.greedy, stats.slow_by_bytes, stats.slow_by_messages), (0, 0, 0));
    }
}

#[test]
fn the_daemon_does_not_stall_when_sessions_with_many_groups_end_together() {
    const SESSIONS: usize = 100;
    let groups = number("TORC_CROWD_GROUPS", 200);
    let pair = Pair::start();
    let mut crowd = Crowd::connect(&pair, 0, SESSIONS);
    let began = Instant::now();
    for session in 0..SESSIONS {
        let frames = (0..groups).flat_map(|group| crowd.frame(session, FrameType::JOIN, &format!("g{group}")));
        let frames: Vec<u8> = frames.collect();
        crowd.write(session, &frames);
    }
    // What comes back from its own private group says that all before has its place.
    (0..SESSIONS).for_each(|session| crowd.echo(session));
    say(format_args!("{SESSIONS} sessions joined {groups} groups each: {:?}", began.elapsed()));
    let mut watcher = Crowd::connect(&pair, 1, 1);
    let began = Instant::now();
    drop(crowd);
    // The first echo is behind the disconnections in the order, at the latest.
    watcher.echo(0);
    let longest = pair.until_groups_are_gone(&mut watcher);
    say(format_args!(
        "they ended together: {:?}, and no echo of another took longer than {longest:?}",
        began.elapsed()
    ));
    assert!(pair.is_whole(), "the ring breaks");
}

#[test]
fn clients_that_take_memory_together_stay_below_the_ceiling_of_a_real_daemon() {
    const LIMIT: usize = 32 << 20;
    let pair = Pair::start_with(|options| options.node.live.session.max_memory = LIMIT);
    let mut crowd = Crowd::connect(&pair, 0, 60);
    for session in 0..60 {
        let mut frame = crowd.frame(session, FrameType::AGREED, "g");
        frame[44..48].copy_from_slice(&(4_i32 << 20).to_le_bytes());
        // A session that was ended meanwhile cannot be written to.
        _ = crowd.try_write(session, &[frame, vec![7; 2 << 20]].concat());
    }
    let status = pair.until(0, |status| status.client_stats.greedy > 30);
    assert!(status.client_stats.memory_bytes <= LIMIT as u64, "{:?}", status.client_stats);
    let mut other = Crowd::connect(&pair, 1, 1);
    other.echo(0);
    assert!(pair.is_whole(), "the ring breaks");
}

fn say(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

fn together(crowds: &mut [Crowd; 2], act: impl Fn(&mut Crowd) + Sync) {
    thread::scope(|scope| crowds.iter_mut().for_each(|crowd| _ = scope.spawn(|| act(crowd))));
}

/// Two daemons on loopback.
struct Pair {
    daemons: [Running; 2],
    sockets: [PathBuf; 2],
    /// Gathers of each until the ring was whole.
    gathers: [u64; 2],
}

impl Pair {
    fn start() -> Pair {
        Pair::start_with(|_| {})
    }

    fn start_with(change: impl Fn(&mut Options)) -> Pair {
        spread::net::raise_descriptor_limit();
        let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let start = |port| Pair::try_start(port, &change);
        let mut pair = std::iter::repeat_with(any).take(20).find_map(start).expect("one of many ports is free");
        let whole = |status: &Status| status.configuration.as_ref().is_some_and(|ring| ring.members.len() == 2);
        [0, 1].into_iter().for_each(|at| _ = pair.until(at, whole));
        pair.gathers = pair.statuses().map(|status| status.ring.gathers);
        pair
    }

    fn try_start(port: u16, change: &impl Fn(&mut Options)) -> Option<Pair> {
        let text = format!(
            "Spread_Segment unicast:{port} {{ d0 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }}
             d1 127.0.0.2 {{ D 127.0.0.2 C 127.0.0.2 }} }}"
        );
        let settings = Settings::parse("crowd", text.as_bytes()).unwrap();
        let socket = |at: usize| std::env::temp_dir().join(format!("torc-crowd-{}-{port}-{at}", std::process::id()));
        let daemon = |at: usize| {
            let mut options = Options::from_settings(&settings, &settings.table.daemons[at]);
            (options.unix_sockets, options.control_sockets) = (vec![socket(at)], Vec::new());
            // A stall of the daemon breaks the ring all the same, but not a busy machine.
            options.node.ring.token_timeout = Duration::from_secs(5);
            change(&mut options);
            spawn(options).ok()
        };
        Some(Pair { daemons: [daemon(0)?, daemon(1)?], sockets: [socket(0), socket(1)], gathers: [0; 2] })
    }

    /// What both do now.
    fn statuses(&self) -> [Status; 2] {
        [0, 1].map(|at| {
            let before = self.daemons[at].handle().status().at;
            self.until(at, |status| status.at > before)
        })
    }

    fn is_whole(&self) -> bool {
        self.statuses().map(|status| status.ring.gathers) == self.gathers
    }

    fn until(&self, at: usize, holds: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let status = self.daemons[at].handle().status();
            if holds(&status) {
                return status;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("nothing of the kind: {:?}", self.daemons[at].handle().status().client_stats);
    }

    /// Waits until the sessions of the first daemon are forgotten, and says how long the longest echo of another took.
    fn until_groups_are_gone(&self, watcher: &mut Crowd) -> Duration {
        let (end, mut longest) = (Instant::now() + PATIENCE, Duration::ZERO);
        while self.daemons[0].handle().status().client_stats.memory_bytes > 0 {
            let began = Instant::now();
            watcher.echo(0);
            longest = longest.max(began.elapsed());
            assert!(began < end, "{:?}", self.statuses()[0].client_stats);
        }
        longest
    }
}

/// Sessions of one daemon.
struct Crowd {
    at: usize,
    sessions: Vec<Session>,
    poll: Poll,
    /// Sessions that the daemon has closed.
    closed: usize,
}

struct Session {
    stream: UnixStream,
    reader: Reader,
}

/// Follows a stream of frames, and keeps what the last view says.
#[derive(Default)]
struct Reader {
    header: Vec<u8>,
    skip: usize,
    members: i32,
    /// The fewest members since that was last set to the most.
    fewest: i32,
    messages: usize,
}

impl Reader {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (FrameHeader::SIZE - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let Some(header) = self.header.first_chunk() {
                let header = FrameHeader::decode(header);
                self.skip = header.body_len().unwrap();
                self.header.clear();
                self.record(&header);
            }
        }
    }

    fn record(&mut self, header: &FrameHeader) {
        if header.kind.intersects(FrameType::SERVICES) {
            self.messages += 1;
        } else if header.groups > 0 {
            self.members = header.groups;
            self.fewest = self.fewest.min(header.groups);
        }
    }
}

impl Crowd {
    fn connect(pair: &Pair, at: usize, count: usize) -> Crowd {
        let poll = Poll::new().unwrap();
        let end = Instant::now() + PATIENCE;
        let open = |number| loop {
            // A name is free again when the daemon has seen that its session ended.
            if let Some(session) = Session::open(&pair.sockets[at], number, &poll) {
                return session;
            }
            assert!(Instant::now() < end, "refused");
            thread::sleep(Duration::from_millis(5));
        };
        let sessions = (0..count).map(open).collect();
        Crowd { at, sessions, poll, closed: 0 }
    }

    fn name(&self, session: usize) -> Name {
        Name::new(format!("#c{session}#d{}", self.at).as_bytes()).unwrap()
    }

    fn frame(&self, session: usize, kind: FrameType, group: &str) -> Vec<u8> {
        let hint = Hint::new(0, ByteOrder::Little);
        let (name, order) = (self.name(session), ByteOrder::Little);
        let header = FrameHeader { kind, name, groups: 1, hint, data_len: 0, order };
        [&header.encode()[..], Name::new(group.as_bytes()).unwrap().field()].concat()
    }

    fn join_all(&mut self) {
        for session in 0..self.sessions.len() {
            let join = self.frame(session, FrameType::JOIN, "crowd");
            self.write(session, &join);
        }
    }

    fn write(&mut self, session: usize, bytes: &[u8]) {
        self.try_write(session, bytes).unwrap();
    }

    /// Writes all, and reads meanwhile what comes to anybody.
    fn try_write(&mut self, session: usize, mut bytes: &[u8]) -> std::io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !bytes.is_empty() {
            match self.sessions[session].stream.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.read(Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
            assert!(Instant::now() < end, "the daemon does not read");
        }
        Ok(())
    }

    /// Sends a message to itself and waits for it.
    fn echo(&mut self, session: usize) {
        let message = self.frame(session, FrameType::AGREED, &self.name(session).to_string());
        let (before, end) = (self.sessions[session].reader.messages, Instant::now() + PATIENCE);
        self.write(session, &message);
        while self.sessions[session].reader.messages == before {
            self.read(Duration::from_millis(100));
            assert!(Instant::now() < end, "nothing comes back");
        }
    }

    /// Reads until everybody's last view has so many members.
    fn read_until(&mut self, members: i32) {
        let end = Instant::now() + PATIENCE;
        while self.sessions.iter().any(|session| session.reader.members != members) {
            self.read(Duration::from_millis(100));
            assert!(Instant::now() < end, "{:?}", self.views());
        }
        assert_eq!(self.closed, 0);
        self.sessions.iter_mut().for_each(|session| session.reader.fewest = members);
    }

    /// Reads until everybody's last view has so many members; those who stayed have seen fewer before.
    fn read_until_whole(&mut self, members: i32) {
        let end = Instant::now() + PATIENCE;
        let stayed = self.at == 0;
        let is_whole = |reader: &Reader| reader.members == members && (!stayed || reader.fewest < members);
        while !self.sessions.iter().all(|session| is_whole(&session.reader)) {
            self.read(Duration::from_millis(100));
            assert!(Instant::now() < end, "{:?}", self.views());
        }
        assert_eq!(self.closed, 0);
    }

    /// How many sessions see how many members.
    fn views(&self) -> BTreeMap<i32, usize> {
        let mut views = BTreeMap::new();
        self.sessions.iter().for_each(|session| *views.entry(session.reader.members).or_default() += 1);
        views
    }

    /// Reads what comes within this time.
    fn read(&mut self, wait: Duration) {
        let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 256 << 10]);
        self.poll.poll(&mut events, Some(wait)).unwrap();
        for event in &events {
            let session = &mut self.sessions[event.token().0];
            loop {
                match session.stream.read(&mut buffer) {
                    Ok(n @ 1..) => session.reader.feed(&buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Ok(0) | Err(_) => {
                        self.closed += 1;
                        break;
                    }
                }
            }
        }
    }
}

impl Session {
    /// A session that wants views, in the way of old libraries.
    fn open(socket: &Path, number: usize, poll: &Poll) -> Option<Session> {
        let mut stream = net::UnixStream::connect(socket).unwrap();
        let name = format!("c{number}");
        stream.write_all(&[&[3, 15, 0, 1, name.len() as u8], name.as_bytes()].concat()).unwrap();
        // Accepted, three bytes of version, and the private group behind its length.
        let mut answer = vec![0; 5 + name.len() + "##d0".len()];
        stream.read_exact(&mut answer).ok().filter(|()| answer[0] == 1)?;
        stream.set_nonblocking(true).unwrap();
        let mut stream = UnixStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
        Some(Session { stream, reader: Reader { fewest: i32::MAX, ..Reader::default() } })
    }
}
