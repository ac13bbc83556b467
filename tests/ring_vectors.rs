//! Recorded conversations of clients with three classic daemons, replayed against three of ours on loopback while daemons separate,
//! come together and go: every byte that comes back is compared, but for the part of group ids that differs from run to run.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "plain sockets and clocks")]

#[path = "ring_vectors/puppet.rs"]
mod puppet;
#[expect(dead_code, reason = "shared with the tests of the session and the library")]
mod recorded;
#[path = "ring_vectors/services.rs"]
mod services;
#[path = "ring_vectors/transition.rs"]
mod transition;

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recorded::{Recorded, cleared, name_offsets, sessions};
use spread::client::doze;
use spread::config::Settings;
use spread::daemon::{Options, Running, spawn};
use spread::wire::{FrameHeader, FrameType, Name, NetworkId};

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// So long nobody misses the token, however busy the machine is.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a test that asks again lets others work.
const PAUSE: Duration = Duration::from_millis(5);

/// One test at a time: the processors are few, and daemons that do not get theirs are missed.
static TURN: Mutex<()> = Mutex::new(());

/// The units of a client's way in: request, list, choice, acceptance.
const HANDSHAKE: usize = 4;

#[test]
fn partition_and_merge() {
    let mut stage = Stage::new("12_partition_and_merge");
    stage.joins(&["a", "b", "c"]);
    stage.play("o", HANDSHAKE + 2);
    stage.daemons[2].as_ref().unwrap().handle().begin_drill(NetworkId(0));
    ["a", "b", "c"].iter().for_each(|client| stage.hear(client, &["transitional membership", "regular membership"]));
    stage.play("b", 2);
    stage.hear("a", &["data"]);
    stage.play("c", 2);
    stage.play("e", HANDSHAKE + 2);
    stage.hear("c", &["regular membership"]);
    stage.daemons[2].as_ref().unwrap().handle().end_drill(NetworkId(0));
    ["a", "b", "c", "e"].iter().for_each(|client| stage.hear(client, &["regular membership"]));
    for (leaver, others) in [("a", &["b", "c", "e"][..]), ("b", &["c", "e"]), ("c", &["e"]), ("e", &[]), ("o", &[])] {
        stage.play(leaver, 3);
        others.iter().for_each(|client| stage.hear(client, &["regular membership"]));
    }
    stage.end();
}

#[test]
fn crashes_and_stops_of_daemons() {
    let mut stage = Stage::new("13_daemon_crash");
    stage.joins(&["a", "b", "c"]);
    // Nobody hears that it goes.
    stage.daemons[2].as_ref().unwrap().handle().begin_drill(NetworkId(0));
    drop(stage.daemons[2].take());
    ["a", "b"].iter().for_each(|client| stage.hear(client, &["transitional membership", "regular membership"]));
    stage.play("c", 2);
    stage.start(2);
    stage.awaits_members(3);
    drop(stage.daemons[1].take());
    stage.hear("a", &["transitional membership", "regular membership"]);
    stage.play("b", 2);
    stage.play("a", 3);
    stage.end();
}

/// Three daemons and the recorded clients.
struct Stage {
    _turn: MutexGuard<'static, ()>,
    port: u16,
    daemons: [Option<Running>; 3],
    clients: BTreeMap<String, Client>,
    /// The first two numbers of recorded group ids, and ours in their place.
    ids: BTreeMap<[u8; 8], [u8; 8]>,
}

struct Client {
    units: VecDeque<Recorded>,
    stream: Option<TcpStream>,
    daemon: usize,
}

impl Stage {
    fn new(file: &str) -> Stage {
        let clients = sessions(file).into_iter().map(|(name, units)| (name, Client::new(units))).collect();
        let turn = turn();
        let (port, daemons) = free_port(|port| Some((port, [start(port, 0)?, start(port, 1)?, start(port, 2)?])));
        let stage = Stage { _turn: turn, port, daemons: daemons.map(Some), clients, ids: BTreeMap::new() };
        stage.awaits_members(3);
        stage
    }

    /// Starts a daemon again.
    fn start(&mut self, daemon: usize) {
        self.daemons[daemon] = Some(start(self.port, daemon).unwrap());
    }

    /// Waits until so many daemons are together.
    fn awaits_members(&self, members: usize) {
        let together = || {
            self.daemons.iter().flatten().all(|daemon| {
                let configuration = daemon.handle().status().configuration;
                configuration.is_some_and(|configuration| configuration.members.len() == members)
            })
        };
        while !together() {
            doze(PAUSE);
        }
    }

    /// Each connects and joins, and those before it hear of it.
    fn joins(&mut self, clients: &[&str]) {
        for (number, client) in clients.iter().enumerate() {
            self.play(client, HANDSHAKE + 2);
            clients[..number].iter().for_each(|before| self.hear(before, &["regular membership"]));
        }
    }

    /// A client hears these units next.
    fn hear(&mut self, client: &str, units: &[&str]) {
        for what in units {
            assert_eq!(self.clients[client].units[0].what, *what, "next of {client}");
            self.play(client, 1);
        }
    }

    /// A client says or hears its next units.
    fn play(&mut self, client: &str, units: usize) {
        for _ in 0..units {
            let player = self.clients.get_mut(client).unwrap();
            let unit = player.units.pop_front().unwrap();
            println!("{client} {} {}", if unit.from_client { "says" } else { "hears" }, unit.what);
            let stream = player.stream.get_or_insert_with(|| connect(self.port, player.daemon));
            if unit.from_client {
                say(stream, &unit);
            } else {
                hear(stream, &unit, &mut self.ids);
            }
        }
    }

    fn end(&self) {
        for (name, client) in &self.clients {
            assert!(client.units.is_empty(), "{name} has {} units left", client.units.len());
        }
    }
}

impl Client {
    fn new(units: Vec<Recorded>) -> Client {
        let accept = units.iter().find(|unit| unit.what == "accept").unwrap();
        let daemon = usize::from(accept.bytes.last().unwrap() - b'1');
        Client { units: units.into(), stream: None, daemon }
    }
}

/// Waits until no other test has daemons.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts something on a port that nobody else uses.
fn free_port<T>(start: impl FnMut(u16) -> Option<T>) -> T {
    let any = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::iter::repeat_with(any).take(20).find_map(start).expect("one of many ports is free")
}

fn start(port: u16, me: usize) -> Option<Running> {
    spawn(options(port, me)).ok()
}

/// Daemons d1 to d3 at 127.0.0.1 to 3.
fn options(port: u16, me: usize) -> Options {
    let daemon = |n: usize| format!("d{n} 127.0.0.{n} {{ D 127.0.0.{n} C 127.0.0.{n} }}\n");
    let text = format!("Spread_Segment unicast:{port} {{\n{}}}\n", (1..=3).map(daemon).collect::<String>());
    let settings = Settings::parse("vectors", text.as_bytes()).unwrap();
    let options = Options::from_settings(&settings, &settings.table.daemons[me]);
    let mut options = Options { unix_sockets: vec![], control_sockets: vec![], ..options };
    options.node.ring.token_timeout = TOKEN_TIMEOUT;
    options
}

fn connect(port: u16, daemon: usize) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::new(127, 0, 0, daemon as u8 + 1), port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn say(stream: &mut TcpStream, unit: &Recorded) {
    // The daemon may have closed before.
    match &unit.what[..] {
        "end of stream (close)" => drop(stream.shutdown(Shutdown::Write)),
        _ => stream.write_all(&unit.bytes).unwrap(),
    }
}

/// Reads a unit that must be as recorded, but for what differs from run to run: that must be the same wherever the recorded is.
fn hear(stream: &mut TcpStream, unit: &Recorded, ids: &mut BTreeMap<[u8; 8], [u8; 8]>) {
    if unit.what == "end of stream (close)" {
        // A reset is an end as well.
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        return;
    }
    let mut found = vec![0; unit.bytes.len()];
    stream.read_exact(&mut found).unwrap();
    let mut expected = unit.bytes.clone();
    if unit.what.ends_with("membership") || unit.what == "data" {
        expected = cleared(&unit.bytes);
        let header = FrameHeader::decode(expected.first_chunk().unwrap());
        if header.kind.intersects(FrameType(FrameType::REG_MEMB.0 | FrameType::TRANSITION.0)) {
            let id = name_offsets(&expected).count() * Name::SIZE - Name::SIZE + FrameHeader::SIZE;
            let recorded = expected[id..].first_chunk_mut().unwrap();
            *recorded = *ids.entry(*recorded).or_insert(*found[id..].first_chunk().unwrap());
        }
    }
    assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
}
