//! A daemon whose socket is the test's own, so that the test decides what it hears and when: it can keep the token for a while, and
//! fall silent right after it has passed it on. To the others it is a daemon like any other. The token of its ring never rests, so that
//! it comes by.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time;

use spread::daemon::Options;
use spread::groups::SessionId;
use spread::node::{ClientInput, Node, NodeEvent};
use spread::session::Peer;
use spread::time::{Duration, Instant};
use spread::wire::{DaemonId, Header, NetworkId, PacketKind, Reader, Token};

/// Where datagrams come from, which nobody checks here.
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How long it waits for a datagram before it looks at its timers.
const NAP: Duration = Duration::from_millis(1);
/// How many datagrams it hears in one turn at most: a token that never rests brings one after the other.
const TURN: usize = 16;
/// Its only client.
const CLIENT: SessionId = SessionId(0);

/// The daemon.
pub struct Puppet {
    node: Node,
    socket: UdpSocket,
    began: time::Instant,
    /// How many daemons are in its ring.
    pub members: usize,
    /// The number of the last token that it had.
    last_hop: u64,
    /// The token that it keeps.
    kept: Option<Vec<u8>>,
}

impl Puppet {
    /// Starts it in place of a daemon with these options, with one client, if its port is free.
    pub fn start(mut options: Options) -> Option<Puppet> {
        // It does not say where its datagrams come from.
        options.node.sources.clear();
        let network = &options.networks[0];
        let socket = UdpSocket::bind((network.own, network.port)).ok()?;
        socket.set_read_timeout(Some(NAP)).unwrap();
        let node = Node::new(options.node, Instant::ZERO).unwrap();
        let began = time::Instant::now();
        let mut puppet = Puppet { node, socket, began, members: 0, last_hop: 0, kept: None };
        puppet.node.handle_client(puppet.now(), CLIENT, ClientInput::Connected(Peer::Unix));
        Some(puppet)
    }

    /// Its client says something.
    pub fn say(&mut self, bytes: &[u8]) {
        self.node.handle_client(self.now(), CLIENT, ClientInput::Bytes(bytes));
        self.flush();
    }

    /// Hears what there is, until there is nothing for a moment, or the token has been here often.
    pub fn turn(&mut self) {
        for _ in 0..TURN {
            let Some(datagram) = self.receive() else { break };
            self.hear(datagram);
        }
        if self.node.poll_timeout().is_some_and(|at| at <= self.now()) {
            self.node.handle_timeout(self.now());
            self.flush();
        }
    }

    /// Takes turns until it is sent the token, and keeps that; a copy of an earlier one is not it.
    pub fn keep_token(&mut self) {
        while self.kept.is_none() {
            match self.receive() {
                Some(datagram) if hop(&datagram).is_some_and(|hop| hop > self.last_hop) => self.kept = Some(datagram),
                Some(datagram) => self.hear(datagram),
                None => {}
            }
        }
    }

    /// Does what it must with the token that it kept. It hears nothing from then on, unless it takes a turn.
    pub fn pass_token(&mut self) {
        let token = self.kept.take().expect("a token is kept");
        self.hear(token);
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(buffer[..length].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("the puppet hears nothing: {error}"),
        }
    }

    fn hear(&mut self, datagram: Vec<u8>) {
        self.last_hop = hop(&datagram).unwrap_or(self.last_hop);
        let datagram = restless(datagram);
        self.node.handle_datagram(self.now(), NetworkId(0), SOMEWHERE, datagram.into());
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            let bytes = [&transmit.header[..], &transmit.body].concat();
            let others = [1, 2].map(|n| DaemonId(u32::from(Ipv4Addr::new(127, 0, 0, n))));
            for daemon in others.into_iter().filter(|daemon| transmit.to.is_none_or(|to| to == *daemon)) {
                let port = self.socket.local_addr().unwrap().port();
                self.socket.send_to(&bytes, (Ipv4Addr::from(daemon.0), port)).unwrap();
            }
        }
        while let Some(event) = self.node.poll_event() {
            match event {
                NodeEvent::Configuration(configuration) => self.members = configuration.members.len(),
                NodeEvent::Output(id) => {
                    let bytes = self.node.client_output(id).map(|slice| slice.len()).sum();
                    self.node.client_wrote(id, bytes);
                }
                NodeEvent::Close { reason, .. } => panic!("the puppet's client is sent away: {reason}"),
                _ => {}
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }
}

/// A token that says of the last rotation that something was sent again, so that it does not come to rest; any other datagram as it is.
fn restless(datagram: Vec<u8>) -> Vec<u8> {
    if hop(&datagram).is_none() {
        return datagram;
    }
    let (header, body) = datagram.split_at(Header::SIZE);
    let mut token = Token::decode(body).unwrap();
    token.again = token.again.max(1);
    [header, &token.encode()].concat()
}

/// The number of a token.
fn hop(datagram: &[u8]) -> Option<u64> {
    let kind = Header::decode(&mut Reader::new(datagram)).unwrap().kind;
    let is_token = kind == PacketKind::Token;
    is_token.then(|| Token::decode(&datagram[Header::SIZE..]).unwrap().hop)
}
