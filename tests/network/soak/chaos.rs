//! What happens to daemons and networks while the clients talk, drawn from a seed.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use spread::client::doze;
use spread::rng::Rng;

use super::crowd::Crowd;
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
        let targets: Vec<String> = (0..chaos.site.rig.nodes()).map(address).collect();
        chaos.site.rig.inside(node, || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for datagram in &datagrams {
                for target in &targets {
                    // A full queue or a cut network is no reason to stop.
                    let _ = socket.send_to(datagram, target);
                }
            }
        });
    }),
];

/// A run's faults.
pub struct Chaos<'a> {
    site: &'a mut Site,
    crowd: &'a Crowd,
    rng: Rng,
    happened: BTreeMap<&'static str, u64>,
}

impl<'a> Chaos<'a> {
    pub fn new(site: &'a mut Site, crowd: &'a Crowd, seed: u64) -> Chaos<'a> {
        Chaos { site, crowd, rng: Rng::new(seed), happened: BTreeMap::new() }
    }

    /// One fault, or two at a time, from beginning to end, and some calm behind it.
    pub fn step(&mut self) {
        for _ in 0..1 + self.draw(2) {
            let (name, begin) = FAULTS[self.draw(FAULTS.len())];
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

/// Bytes that begin like a packet and go on by chance.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = b"TC\x01".to_vec();
    let length = rng.below(200);
    bytes.extend((0..length).map(|_| rng.next_u64() as u8));
    bytes
}
