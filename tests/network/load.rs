//! A steady load: one client at each daemon that sends at a rate and writes down what it is delivered, and when.
//!
//! Progress is told in messages, never in time: a fault lasts as many of them as a test says. Time is only measured.

use std::mem;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received, doze};
use spread::wire::{FrameType, Name};

use crate::site::{Plan, Site};

/// Messages a second of all clients together, and the bytes of each.
const RATE: u32 = 2000;
const SIZE: usize = 1000;

/// How often a client looks whether a message is due.
const TICK: Duration = Duration::from_millis(1);

/// How long anything may take. Only a test that has failed waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

const DATA: i16 = 1;
const END: i16 = 2;

/// The running clients.
pub struct Load {
    shared: Arc<Shared>,
    senders: Vec<(Sender<()>, JoinHandle<u32>)>,
}

/// What the clients have seen, by node.
struct Shared {
    seen: Mutex<Vec<Seen>>,
    news: Condvar,
}

/// What one client has seen since all were in the group.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The sending node and number of each message.
    pub order: Vec<(u8, u32)>,
    /// Everything that is no message of another client, such as a membership change.
    pub odd: Vec<String>,
    ended: usize,
    last: Option<Instant>,
    gap: Duration,
}

/// What a run came to: how many messages each client sent, and what each saw.
pub struct History {
    pub sent: Vec<u32>,
    pub seen: Vec<Seen>,
}

impl Load {
    /// Starts a client at each daemon. When this returns, all are in one group and the load runs.
    pub fn start(site: &Site, plan: &Plan) -> Load {
        let group = Name::new(b"load").unwrap();
        let connect = |node| site.rig.inside(node, || connect(group));
        let mailboxes: Vec<Arc<Mailbox>> = (0..plan.nodes).map(|node| Arc::new(connect(node))).collect();
        let shared = Arc::new(Shared { seen: Mutex::new(vec![Seen::default(); plan.nodes]), news: Condvar::new() });
        for mailbox in &mailboxes {
            await_members(mailbox, plan.nodes);
        }
        for (node, mailbox) in mailboxes.iter().enumerate() {
            let (mailbox, shared) = (Arc::clone(mailbox), Arc::clone(&shared));
            thread::spawn(move || shared.receive(node, &mailbox));
        }
        let rate = RATE / u32::try_from(plan.nodes).unwrap();
        let send = |(node, mailbox): (usize, Arc<Mailbox>)| {
            let (stop, stopped) = mpsc::channel();
            (stop, thread::spawn(move || send(&mailbox, group, node as u8, rate, &stopped)))
        };
        Load { shared, senders: mailboxes.into_iter().enumerate().map(send).collect() }
    }

    /// Waits until every client was delivered so many more messages.
    pub fn pass(&self, count: usize) {
        let seen = self.shared.seen.lock().unwrap();
        let goals: Vec<usize> = seen.iter().map(|seen| seen.order.len() + count).collect();
        let reached = |seen: &[Seen]| seen.iter().zip(&goals).all(|(seen, goal)| seen.order.len() >= *goal);
        drop(self.shared.until(seen, reached));
    }

    /// The longest time between two deliveries at any client since this was last asked for.
    pub fn take_gap(&self) -> Duration {
        let mut seen = self.shared.seen.lock().unwrap();
        seen.iter_mut().map(|seen| mem::take(&mut seen.gap)).max().unwrap_or_default()
    }

    /// Stops sending and waits until everybody has everything.
    pub fn finish(self) -> History {
        let Load { shared, senders } = self;
        let (stops, senders): (Vec<_>, Vec<_>) = senders.into_iter().unzip();
        drop(stops);
        let sent: Vec<u32> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let all_ended = |seen: &[Seen]| seen.iter().all(|one| one.ended == seen.len());
        let seen = shared.until(shared.seen.lock().unwrap(), all_ended).clone();
        History { sent, seen }
    }
}

impl History {
    /// Nothing was lost, nothing came twice, all saw the same order, and nobody was told of any change.
    pub fn expect_whole(&self) {
        for (node, seen) in self.seen.iter().enumerate() {
            assert_eq!(seen.odd, [""; 0], "node {node} was told of something");
            for (sender, sent) in self.sent.iter().enumerate() {
                let from_it = seen.order.iter().filter(|(from, _)| usize::from(*from) == sender);
                assert!(from_it.map(|(_, number)| *number).eq(0..*sent), "what node {node} has of node {sender}");
            }
            let differs = seen.order.iter().zip(&self.seen[0].order).position(|(one, other)| one != other);
            assert_eq!(differs, None, "nodes 0 and {node} differ");
        }
    }
}

impl Shared {
    /// Waits for something. Panics when nothing goes on for too long.
    fn until<'a>(
        &self,
        seen: MutexGuard<'a, Vec<Seen>>,
        reached: impl Fn(&[Seen]) -> bool,
    ) -> MutexGuard<'a, Vec<Seen>> {
        let (seen, timeout) = self.news.wait_timeout_while(seen, PATIENCE, |seen| !reached(seen)).unwrap();
        let stand = || seen.iter().map(|seen| (seen.order.len(), seen.ended, seen.odd.clone())).collect::<Vec<_>>();
        assert!(!timeout.timed_out(), "nothing more comes: (messages, ends, odd) by node {:?}", stand());
        seen
    }

    /// Writes down what comes, until all clients have said their end.
    fn receive(&self, node: usize, mailbox: &Mailbox) {
        loop {
            let received = mailbox.receive();
            let now = Instant::now();
            let mut all = self.seen.lock().unwrap();
            let clients = all.len();
            let seen = &mut all[node];
            match received {
                Ok(Received::Message(message)) if message.mess_type == DATA && message.body.len() == SIZE => {
                    let number = message.body[1..5].try_into().unwrap();
                    seen.order.push((message.body[0], u32::from_be_bytes(number)));
                    let gap = seen.last.map_or(Duration::ZERO, |last| now - last);
                    (seen.gap, seen.last) = (seen.gap.max(gap), Some(now));
                }
                Ok(Received::Message(message)) if message.mess_type == END => seen.ended += 1,
                Ok(other) => seen.odd.push(format!("{other:?}")),
                Err(error) => seen.odd.push(error.to_string()),
            }
            let over = seen.ended == clients || seen.odd.len() > 10;
            self.news.notify_all();
            if over {
                return;
            }
        }
    }
}

fn connect(group: Name) -> Mailbox {
    let options = ConnectOptions { daemon: "4803@127.0.0.1".into(), ..ConnectOptions::default() };
    let start = Instant::now();
    loop {
        match Mailbox::connect(&options) {
            Ok(mailbox) => {
                mailbox.join(group).unwrap();
                return mailbox;
            }
            Err(error) => assert!(start.elapsed() < PATIENCE, "no daemon: {error}"),
        }
        doze(CONNECT_PAUSE);
    }
}

fn await_members(mailbox: &Mailbox, count: usize) {
    while !matches!(mailbox.receive(), Ok(Received::View(view)) if view.members.len() == count) {}
}

/// Sends whenever a message is due, until told to stop; how many it sent.
fn send(mailbox: &Mailbox, group: Name, node: u8, rate: u32, stopped: &mpsc::Receiver<()>) -> u32 {
    let (start, mut number) = (Instant::now(), 0_u32);
    let mut body = vec![node; SIZE];
    while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        while f64::from(number) < start.elapsed().as_secs_f64() * f64::from(rate) {
            body[1..5].copy_from_slice(&number.to_be_bytes());
            mailbox.multicast(FrameType::AGREED, &[group], DATA, &body).unwrap();
            number += 1;
        }
    }
    mailbox.multicast(FrameType::AGREED, &[group], END, b"").unwrap();
    number
}
