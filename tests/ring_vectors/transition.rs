//! The recorded break of a ring in the middle of traffic, played again. The third daemon fell silent with messages and changes under
//! way. Here it keeps the token until the same ones wait everywhere, sends its own message with it, and is not heard of again.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use spread::daemon::Running;
use spread::wire::{FrameHeader, FrameType, Name};

use crate::puppet::Puppet;
use crate::recorded::{Recorded, cleared, name_offsets, sessions};
use crate::{PATIENCE, connect, free_port, options, start, turn};

/// How long one read waits before the third daemon has a turn.
const GLANCE: Duration = Duration::from_millis(2);
/// The clients and their daemons, but for c at the third.
const CLIENTS: [(&str, usize); 6] = [("a", 0), ("b", 1), ("j0", 1), ("j1", 0), ("j2", 1), ("j3", 0)];
/// A connection that is given up before it is a session.
const NAMELESS: [u8; 5] = [4, 4, 0, 0, 0];
/// Those whose frames were recorded.
const LISTENERS: [&str; 3] = ["a", "b", "j2"];

#[test]
fn a_break_in_the_middle_of_traffic() {
    let mut stage = Stage::new();
    for client in ["a", "b", "j2", "c", "j3"] {
        stage.ask(client, FrameType::JOIN);
    }
    LISTENERS.iter().for_each(|client| stage.skip_until_members(client, 5));
    stage.ask("j3", FrameType::LEAVE);
    stage.all_hear();
    stage.ask("j0", FrameType::JOIN);
    stage.all_hear();
    stage.send("b", "b213");
    stage.all_hear();
    stage.ask("j2", FrameType::LEAVE);
    stage.all_hear();

    stage.puppet.keep_token();
    stage.is_silent = true;
    stage.send("a", "a211");
    stage.send("b", "b214");
    stage.ask("j0", FrameType::LEAVE);
    stage.ask("j2", FrameType::JOIN);
    stage.send("c", "c240");
    stage.puppet.pass_token();
    stage.hear("a", "transitional membership");
    stage.hear("b", "transitional membership");
    for client in ["a", "b"] {
        ["data"; 3].iter().for_each(|data| stage.hear(client, data));
        ["regular membership", "transitional membership"].iter().for_each(|change| stage.hear(client, change));
    }
    for client in LISTENERS {
        ["regular membership", "transitional membership"].iter().for_each(|change| stage.hear(client, change));
        stage.hear(client, "regular membership");
    }
    stage.ask("j1", FrameType::JOIN);
    stage.all_hear();
    stage.ask("j3", FrameType::JOIN);
    stage.all_hear();
    stage.send("a", "a212");
    stage.all_hear();
    assert!(stage.recorded.values().all(VecDeque::is_empty));
}

/// Two daemons, the puppet, and the clients.
struct Stage {
    _turn: MutexGuard<'static, ()>,
    puppet: Puppet,
    /// The puppet has no turns any more.
    is_silent: bool,
    port: u16,
    daemons: [Running; 2],
    clients: BTreeMap<&'static str, TcpStream>,
    /// What each is still to hear.
    recorded: BTreeMap<String, VecDeque<Recorded>>,
    /// The messages, by their text.
    messages: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Recorded group ids, and ours in their place.
    ids: BTreeMap<[u8; 12], [u8; 12]>,
}

impl Stage {
    fn new() -> Stage {
        let turn = turn();
        let (port, puppet, daemons) = free_port(|port| {
            let puppet = Puppet::start(options(port, 2))?;
            Some((port, puppet, [start(port, 0)?, start(port, 1)?]))
        });
        let recorded: BTreeMap<_, VecDeque<_>> = sessions("14_transitional_with_traffic")
            .into_iter()
            .map(|(client, units)| (client, units.into_iter().collect()))
            .collect();
        let data = recorded["a"].iter().filter(|unit| unit.what == "data");
        let messages = data.map(|unit| (unit.bytes[FrameHeader::SIZE + Name::SIZE..].to_vec(), unit.bytes.clone()));
        let messages = messages.collect();
        let (clients, ids) = (BTreeMap::new(), BTreeMap::new());
        let mut stage =
            Stage { _turn: turn, puppet, is_silent: false, port, daemons, clients, recorded, messages, ids };
        stage.await_ring();
        stage.puppet.say(&request("c"));
        for (client, daemon) in CLIENTS {
            let stream = stage.open(daemon, client);
            stage.clients.insert(client, stream);
        }
        stage
    }

    fn await_ring(&mut self) {
        let members = |daemon: &Running| daemon.handle().status().configuration.map_or(0, |ring| ring.members.len());
        while self.puppet.members < 3 || self.daemons.iter().any(|daemon| members(daemon) < 3) {
            self.puppet.turn();
        }
    }

    /// A client joins or leaves the group.
    fn ask(&mut self, client: &'static str, kind: FrameType) {
        let counts = [1, 0x8000_0080, 0].map(u32::to_le_bytes);
        let group = Name::new(b"g").unwrap();
        let frame = [&kind.encode()[..], private_group(client).field(), counts.as_flattened(), group.field()].concat();
        self.say(client, &frame);
    }

    /// A client sends a recorded message.
    fn send(&mut self, client: &'static str, text: &str) {
        let frame = self.messages[text.as_bytes()].clone();
        self.say(client, &frame);
    }

    /// A client says something, and its daemon has read that.
    fn say(&mut self, client: &'static str, frame: &[u8]) {
        let Some(mut stream) = self.clients.get(client) else { return self.puppet.say(frame) };
        stream.write_all(frame).unwrap();
        // Clients are read in turn: who comes later is answered later.
        let daemon = CLIENTS.iter().find(|(name, _)| *name == client).unwrap().1;
        let later = self.dial(daemon, &NAMELESS);
        self.read(&later, 1);
    }

    /// Everybody hears the next unit.
    fn all_hear(&mut self) {
        for client in LISTENERS {
            let what = self.recorded[client][0].what.clone();
            self.hear(client, &what);
        }
    }

    /// A client hears this next, byte for byte but for group ids: those must be different where the recorded ones are.
    fn hear(&mut self, client: &str, what: &str) {
        let unit = self.recorded.get_mut(client).unwrap().pop_front().unwrap();
        println!("{client} hears {}", unit.what);
        assert_eq!(unit.what, what, "next of {client}");
        let found = self.read_as(client, unit.bytes.len());
        let mut expected = cleared(&unit.bytes);
        let header = FrameHeader::decode(expected.first_chunk().unwrap());
        if header.kind.intersects(FrameType(FrameType::REG_MEMB.0 | FrameType::TRANSITION.0)) {
            let id = name_offsets(&expected).count() * Name::SIZE - Name::SIZE + FrameHeader::SIZE;
            let (recorded, ours) = (expected[id..].first_chunk_mut().unwrap(), found[id..].first_chunk().unwrap());
            let known = self.ids.entry(*recorded).or_insert(*ours);
            *recorded = *known;
        }
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
        let mut ours: Vec<_> = self.ids.values().collect();
        ours.sort();
        ours.dedup();
        assert_eq!(ours.len(), self.ids.len(), "different views have different ids");
    }

    /// A client reads views until one with so many members.
    fn skip_until_members(&mut self, client: &str, members: i32) {
        loop {
            let front = self.read_as(client, FrameHeader::SIZE);
            let header = FrameHeader::decode(front.first_chunk().unwrap());
            self.read_as(client, header.body_len().unwrap());
            if header.groups == members {
                return;
            }
        }
    }

    /// The session of an old library, which does without authentication.
    fn open(&mut self, daemon: usize, client: &str) -> TcpStream {
        let stream = self.dial(daemon, &request(client));
        let group = format!("#{client}#d{}", daemon + 1);
        let expected = [&[1, 4, 4, 0, group.len() as u8], group.as_bytes()].concat();
        assert_eq!(self.read(&stream, expected.len()), expected);
        stream
    }

    fn dial(&self, daemon: usize, request: &[u8]) -> TcpStream {
        let mut stream = connect(self.port, daemon);
        stream.set_read_timeout(Some(GLANCE)).unwrap();
        stream.write_all(request).unwrap();
        stream
    }

    fn read_as(&mut self, client: &str, length: usize) -> Vec<u8> {
        let stream = self.clients[client].try_clone().unwrap();
        self.read(&stream, length)
    }

    /// Reads so much while the puppet does its part.
    fn read(&mut self, mut stream: &TcpStream, length: usize) -> Vec<u8> {
        let (mut bytes, mut got) = (vec![0; length], 0);
        let end = Instant::now() + PATIENCE;
        while got < length {
            assert!(Instant::now() < end, "{got} of {length} bytes came");
            match stream.read(&mut bytes[got..]) {
                Ok(0) => panic!("the session ended"),
                Ok(more) => got += more,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("nothing can be read: {error}"),
            }
            if !self.is_silent {
                self.puppet.turn();
            }
        }
        bytes
    }
}

fn request(client: &str) -> Vec<u8> {
    [&[3, 15, 0, 1, client.len() as u8], client.as_bytes()].concat()
}

fn private_group(client: &str) -> Name {
    let daemon = CLIENTS.iter().find(|(name, _)| *name == client).map_or(3, |(_, daemon)| daemon + 1);
    Name::new(format!("#{client}#d{daemon}").as_bytes()).unwrap()
}
