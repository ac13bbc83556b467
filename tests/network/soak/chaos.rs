//! What happens to daemons and networks while the clients talk, drawn from a seed.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use spread::client::doze;
use spread::daemon::make_key_file;
use spread::rng::Rng;
use spread::seal::{Cipher, Key, LifeKey};
use spread::wire::{DaemonId, Head, Header, Incarnation, NetworkId, PacketKind, Protection, Way};

use super::crowd::Crowd;
use super::{KEY_FILE, Sealing};
use crate::site::Site;

/// What can happen, by name.
type Fault = (&'static str, fn(&mut Chaos<'_>));

/// Each is as likely as the others.
const FAULTS: &[Fault] = &[
    ("network cut", |chaos| {
        let network = chaos.network();
        chaos.site.rig.cut_network(network);
    }),
    ("node cut off in a network", |chaos| {
        let (node, network) = (chaos.node(), chaos.network());
        chaos.site.rig.cut(node, network);
    }),
    ("node not heard in a network", |chaos| {
        let (node, network) = (chaos.node(), chaos.network());
        chaos.site.rig.mute(node, network);
    }),
    ("node deaf in a network", |chaos| {
        let (node, network) = (chaos.node(), chaos.network());
        chaos.site.rig.deafen(node, network);
    }),
    ("interface off", |chaos| {
        let (node, network) = (chaos.node(), chaos.network());
        chaos.site.rig.switch_off(node, network);
    }),
    ("interface taken away", |chaos| {
        let (node, network) = (chaos.node(), chaos.network());
        chaos.site.rig.take_away(node, network);
    }),
    ("loss everywhere", |chaos| {
        let percent = 1 + chaos.draw(20);
        (0..chaos.site.rig.networks()).for_each(|network| chaos.site.rig.lose(network, percent));
    }),
    ("partition", |chaos| {
        let first = 1 + chaos.draw(chaos.site.rig.nodes() - 1);
        chaos.site.rig.separate(0..first);
    }),
    ("daemon killed", |chaos| {
        let node = chaos.node();
        chaos.site.daemons[node].kill();
        chaos.hold();
        chaos.site.daemons[node] = chaos.site.start_daemon(node);
    }),
    ("daemon stopped and continued", |chaos| {
        let node = chaos.node();
        chaos.signal(node, libc::SIGSTOP);
        chaos.hold();
        chaos.signal(node, libc::SIGCONT);
    }),
    ("client does not read", |chaos| {
        let node = chaos.node();
        chaos.crowd.idle(Some(node));
        chaos.hold();
        chaos.crowd.idle(None);
    }),
    ("noise from a stranger", |chaos| {
        let node = chaos.node();
        let datagrams: Vec<Vec<u8>> = (0..200).map(|_| noise(&mut chaos.rng)).collect();
        chaos.send_from(node, &datagrams);
    }),
];

/// What happens besides where packets are sealed.
const SEALED_FAULTS: &[Fault] = &[
    ("key changed", |chaos| {
        let file = chaos.site.rig.directory().join(KEY_FILE);
        let (old, new) = (fs::read_to_string(&file).unwrap(), fresh_key(&file));
        write_key(&file, &format!("{old}{new}"));
        chaos.reread_everywhere();
        write_key(&file, &new);
        chaos.reread_everywhere();
    }),
    ("packets of somebody without a key", |chaos| {
        let node = chaos.node();
        let nodes = chaos.site.rig.nodes();
        let datagrams: Vec<Vec<u8>> = (0..200).map(|_| forged(&mut chaos.rng, nodes)).collect();
        chaos.send_from(node, &datagrams);
    }),
];

/// A run's faults.
pub struct Chaos<'a> {
    site: &'a mut Site,
    crowd: &'a Crowd,
    rng: Rng,
    faults: Vec<Fault>,
    happened: BTreeMap<&'static str, u64>,
}

impl<'a> Chaos<'a> {
    pub fn new(site: &'a mut Site, crowd: &'a Crowd, seed: u64, sealing: Sealing) -> Chaos<'a> {
        let more = if sealing == Sealing::Keys { SEALED_FAULTS } else { &[] };
        Chaos { site, crowd, rng: Rng::new(seed), faults: [FAULTS, more].concat(), happened: BTreeMap::new() }
    }

    /// One fault, or two at a time, from beginning to end, and some calm behind it.
    pub fn step(&mut self) {
        for _ in 0..1 + self.draw(2) {
            let fault = self.draw(self.faults.len());
            let (name, begin) = self.faults[fault];
            *self.happened.entry(name).or_default() += 1;
            begin(self);
        }
        self.hold();
        self.site.rig.heal();
        self.hold();
    }

    /// How often each fault happened.
    pub fn happened(&self) -> &BTreeMap<&'static str, u64> {
        &self.happened
    }

    /// From 50 ms to 3 s, short times more often.
    fn hold(&mut self) {
        let longest = self.draw(3000);
        let millis = 50 + self.draw(1 + longest);
        doze(Duration::from_millis(millis as u64));
    }

    /// Each daemon reads its key file again, at its own time.
    fn reread_everywhere(&mut self) {
        let (first, nodes) = (self.node(), self.site.rig.nodes());
        for node in (first..first + nodes).map(|node| node % nodes) {
            // Before it has started it would end.
            while !self.site.printed(node).contains("started") {
                doze(Duration::from_millis(10));
            }
            self.signal(node, libc::SIGHUP);
            let pause = self.draw(200) as u64;
            doze(Duration::from_millis(pause));
        }
        // The old key may go when all have read the new one, and no packet of before is on its way.
        doze(Duration::from_millis(500));
    }

    /// Somebody on a node sends these to all daemons.
    fn send_from(&self, node: usize, datagrams: &[Vec<u8>]) {
        let targets: Vec<String> = (0..self.site.rig.nodes()).map(address).collect();
        self.site.rig.inside(node, || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for (datagram, target) in datagrams.iter().flat_map(|it| targets.iter().map(move |target| (it, target))) {
                // A full queue or a cut network is no reason to stop.
                let _ = socket.send_to(datagram, target);
            }
        });
    }

    fn node(&mut self) -> usize {
        self.draw(self.site.rig.nodes())
    }

    fn network(&mut self) -> usize {
        self.draw(self.site.rig.networks())
    }

    fn draw(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn signal(&self, node: usize, signal: i32) {
        let id = self.site.daemons[node].child.id() as i32;
        // SAFETY: the call takes two numbers; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }
}

fn address(node: usize) -> String {
    format!("{}:4803", crate::rig::Rig::address(0, node))
}

/// A packet in a daemon's name, sealed with a key that nobody else has, or not at all.
fn forged(rng: &mut Rng, nodes: usize) -> Vec<u8> {
    let kinds = [PacketKind::Data, PacketKind::Token, PacketKind::Join, PacketKind::Report, PacketKind::Greeting];
    let sender = u32::from_be_bytes([10, 77, 0, 1 + rng.below(nodes as u64) as u8]);
    let mut header = Header {
        kind: kinds[rng.below(kinds.len() as u64) as usize],
        network: NetworkId(0),
        protection: Protection::Plain,
        way: Way::Direct,
        sender: DaemonId(sender),
        destination: None,
        system: rng.next_u64() as u32,
        incarnation: Incarnation(rng.next_u64()),
        counter: rng.below(1 << 20),
    };
    let mut body: Vec<u8> = (0..rng.below(1000)).map(|_| rng.next_u64() as u8).collect();
    let key = Key::new(Cipher::Aes256Gcm, [1; Key::SIZE]);
    let tag = rng.chance(0.8).then(|| {
        header.protection = Protection::Sealed(1 + rng.below(255) as u8);
        LifeKey::derive(&key, header.sender, header.incarnation).seal(&header, &mut body)
    });
    [&Head::new(&header, tag.as_ref())[..], &body].concat()
}

/// The line of a new key.
fn fresh_key(beside: &Path) -> String {
    let file = beside.with_extension("new");
    make_key_file(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    text
}

/// The file is a whole one at any time.
fn write_key(file: &Path, text: &str) {
    let new = file.with_extension("whole");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Bytes that begin like a packet and go on by chance.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = b"TC\x03".to_vec();
    let length = rng.below(200);
    bytes.extend((0..length).map(|_| rng.next_u64() as u8));
    bytes
}
