//! A client at each daemon: it sends at a steady pace, says what it gets, and connects again when its daemon dies.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received, doze};
use spread::wire::{FrameType, Name};

use super::journal::{Journal, Witness};
use crate::site::Site;

/// Messages a second of each client, and bytes of each message.
const RATE: u32 = 200;
const SIZE: usize = 700;
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// What a client has sent and not yet got back at most: a cut-off ring must not pile up messages for ever.
const AHEAD: u32 = 2000;

const SERVICES: [FrameType; 3] = [FrameType::AGREED, FrameType::SAFE, FrameType::CAUSAL];

/// The clients of all nodes.
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

pub struct Shared {
    pub journal: Journal,
    stop: AtomicBool,
    /// The node whose client does not read at present, and none if it is beyond them.
    idle: AtomicUsize,
    connections: AtomicU64,
    /// By node: how many members the last view had, and whether all of the client's own messages came back.
    stand: Mutex<Vec<Stand>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    pub members: usize,
    pub sent: u32,
    pub returned: u32,
}

impl Crowd {
    pub fn start(site: &Site) -> Crowd {
        let nodes = site.rig.nodes();
        let shared = Arc::new(Shared {
            journal: Journal::default(),
            stop: AtomicBool::new(false),
            idle: AtomicUsize::new(usize::MAX),
            connections: AtomicU64::new(0),
            stand: Mutex::new(vec![Stand::default(); nodes]),
        });
        let threads = (0..nodes).map(|node| {
            let (shared, namespace) = (Arc::clone(&shared), site.rig.namespace(node));
            thread::spawn(move || namespace.enter(|| shared.live(node)))
        });
        Crowd { shared: Arc::clone(&shared), threads: threads.collect() }
    }

    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// From now on the client of this node does not read; `None` lets all read again.
    pub fn idle(&self, node: Option<usize>) {
        self.shared.idle.store(node.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Stops sending and waits until all share one view and have all of their own messages. What stands in the way if they do not.
    pub fn finish(self, patience: Duration) -> Result<Arc<Shared>, Vec<Stand>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let whole = |stand: &[Stand]| stand.iter().all(|one| one.members == stand.len() && one.sent == one.returned);
        loop {
            let stand = self.shared.stand.lock().unwrap().clone();
            if whole(&stand) {
                return Ok(self.shared);
            }
            if start.elapsed() > patience || self.threads.iter().any(JoinHandle::is_finished) {
                return Err(stand);
            }
            doze(CONNECT_PAUSE);
        }
    }
}

impl Shared {
    /// One connection after the other, until the process ends.
    fn live(&self, node: usize) {
        let group = Name::new(b"soak").expect("a short name");
        for life in 0_u32.. {
            let mailbox = connect(&format!("n{node}x{life}"));
            self.connections.fetch_add(1, Ordering::Relaxed);
            self.stand.lock().unwrap()[node] = Stand::default();
            let over = AtomicBool::new(mailbox.join(group).is_err());
            thread::scope(|scope| {
                scope.spawn(|| self.send(node, &mailbox, group, &over));
                self.receive(node, &mailbox);
                over.store(true, Ordering::Relaxed);
                mailbox.disconnect();
            });
        }
    }

    fn send(&self, node: usize, mailbox: &Mailbox, group: Name, over: &AtomicBool) {
        let mut body = vec![0; SIZE];
        let mut number = 0_u32;
        while !over.load(Ordering::Relaxed) {
            doze(Duration::from_secs(1) / RATE);
            let returned = self.stand.lock().unwrap()[node].returned;
            if self.stop.load(Ordering::Relaxed) || number - returned >= AHEAD {
                continue;
            }
            number += 1;
            body[..4].copy_from_slice(&number.to_be_bytes());
            body[4..].fill(number as u8);
            self.stand.lock().unwrap()[node].sent = number;
            let service = SERVICES[number as usize % SERVICES.len()];
            if mailbox.multicast(service, &[group], 0, &body).is_err() {
                return;
            }
        }
    }

    /// Until the connection ends.
    fn receive(&self, node: usize, mailbox: &Mailbox) {
        let mut witness = Witness::new(&self.journal, mailbox.private_group());
        loop {
            while self.idle.load(Ordering::Relaxed) == node {
                doze(Duration::from_millis(20));
            }
            match mailbox.receive() {
                Ok(Received::Message(message)) => match read(&message.body) {
                    Some(number) => witness.message(message.sender, number),
                    None => self.journal.violation(format!("node {node} got an altered message of {}", message.sender)),
                },
                Ok(Received::View(view)) => {
                    witness.view(&view);
                    self.stand.lock().unwrap()[node].members = view.members.len();
                }
                Ok(Received::Transition(_, of)) => witness.transition(of),
                Ok(odd) => self.journal.violation(format!("node {node} got {odd:?}")),
                Err(_) => return,
            }
            self.stand.lock().unwrap()[node].returned = witness.own();
        }
    }
}

/// The number of a message, if it is as it was sent.
fn read(body: &[u8]) -> Option<u32> {
    let (number, rest) = body.split_first_chunk()?;
    let number = u32::from_be_bytes(*number);
    (body.len() == SIZE && rest.iter().all(|&byte| byte == number as u8)).then_some(number)
}

fn connect(name: &str) -> Mailbox {
    let options =
        ConnectOptions { daemon: "4803@127.0.0.1".into(), private_name: name.into(), ..ConnectOptions::default() };
    loop {
        match Mailbox::connect(&options) {
            Ok(mailbox) => return mailbox,
            Err(_) => doze(CONNECT_PAUSE),
        }
    }
}
