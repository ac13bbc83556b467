//! A worker's flow. One thread sends, either as fast as possible or at a rate; one receives, checks and counts. Further sessions only
//! receive.
//!
//! A sender without a rate keeps a fixed number of its messages on the way. A sender with a rate has a schedule, and its delay is
//! recorded, so that a system that blocks its senders does not look fast. Latency is the time from the call that sends to the receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use serde_json::{Value, json};

use super::clock;
use super::histogram::Histogram;
use super::library::{Received, Session};
use super::stamp::{Checker, SMALLEST, Stamp};
use super::task::{Flow, Task};
use super::worker::group_name;

/// How long after the end of sending the last messages may come.
const LAST_WORDS: Duration = Duration::from_secs(15);
/// How long after the first session the others may get their last message.
const FURTHER_PATIENCE: Duration = Duration::from_secs(5);
/// The part of the time at the beginning that is not counted.
const WARM_UP: f64 = 0.2;
/// Bytes of room for views.
pub const ROOM: usize = 256 << 10;
/// Silences that are recorded one by one.
const SILENCES: usize = 20_000;

/// Counters that the threads of a flow share.
#[derive(Default)]
struct Shared {
    /// Own messages that came back.
    returned: AtomicU64,
    /// Messages that the further sessions received.
    further: AtomicU64,
}

/// The result of the sender.
struct Sent {
    count: u64,
    /// How far the sender was behind its schedule.
    behind: Histogram,
}

/// Runs a flow.
pub fn run(task: &Task, flow: &Flow, sessions: &[Arc<dyn Session>]) -> Result<Value, String> {
    let begin = clock::now();
    let window = (begin + nanos(flow.seconds * WARM_UP), begin + nanos(flow.seconds * (1.0 + WARM_UP)));
    let shared = Arc::new(Shared::default());
    for session in &sessions[1..] {
        let (session, shared, flow) = (Arc::clone(session), Arc::clone(&shared), flow.clone());
        thread::Builder::new().stack_size(256 << 10).spawn(move || drain(&*session, &shared, &flow)).map_err(text)?;
    }
    let sender = (task.place < flow.senders).then(|| {
        let (session, shared, flow, place) = (Arc::clone(&sessions[0]), Arc::clone(&shared), flow.clone(), task.place);
        thread::spawn(move || send(&*session, &shared, &flow, (place, begin, window.1)))
    });
    watch_end(window.1 + LAST_WORDS.as_nanos() as u64);
    let mut receiver = Receiver::new(task, flow, window);
    receiver.run(&*sessions[0], &shared, sender.as_ref().map(|sender| sender.thread()))?;
    let sent = match sender {
        Some(sender) => sender.join().map_err(|_| "the sender panicked")??,
        None => Sent { count: 0, behind: Histogram::default() },
    };
    let expected = (receiver.checker.received + flow.senders as u64) * (sessions.len() as u64 - 1);
    wait_for(&shared.further, expected);
    Ok(receiver.result(&sent, (expected, shared.further.load(Ordering::Relaxed))))
}

/// Ends the process with an error if the last messages do not come: a blocked receiver would wait for ever.
fn watch_end(end: u64) {
    thread::spawn(move || {
        clock::sleep_until(end);
        println!("{}", json!({ "error": format!("the last messages did not come within {} s", LAST_WORDS.as_secs()) }));
        std::process::exit(1);
    });
}

fn send(
    session: &dyn Session,
    shared: &Shared,
    flow: &Flow,
    (place, begin, end): (usize, u64, u64),
) -> Result<Sent, String> {
    clock::sleep_exactly();
    let mut body = vec![0x5a; flow.size.max(SMALLEST)];
    let groups: Vec<String> = (0..flow.groups).map(|number| group_name(flow, number)).collect();
    let (mut number, mut behind) = (0, Histogram::default());
    let stamp = |number| Stamp { sender: place as u16, number, sent_at: clock::now(), last: false };
    let mut multicast = |stamp: Stamp| {
        stamp.write(&mut body);
        session.multicast(flow.service, &groups[stamp.number as usize % groups.len()], &body)
    };
    loop {
        if flow.rate > 0.0 {
            let due = begin + nanos(number as f64 / flow.rate);
            if due >= end {
                break;
            }
            clock::sleep_until(due);
            behind.add(clock::now().saturating_sub(due));
        } else {
            while number - shared.returned.load(Ordering::Acquire) >= flow.credit {
                thread::park_timeout(Duration::from_millis(10));
            }
            if clock::now() >= end {
                break;
            }
        }
        multicast(stamp(number))?;
        number += 1;
    }
    multicast(Stamp { last: true, ..stamp(number) })?;
    Ok(Sent { count: number, behind })
}

/// The further sessions may be a little behind.
fn wait_for(further: &AtomicU64, expected: u64) {
    let end = clock::now() + FURTHER_PATIENCE.as_nanos() as u64;
    while further.load(Ordering::Relaxed) < expected && clock::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Receives all messages of a further session. Ends with the process.
fn drain(session: &dyn Session, shared: &Shared, flow: &Flow) {
    let mut buffer = vec![0; flow.size.max(ROOM)];
    loop {
        match session.receive(&mut buffer) {
            Ok(Received::Message(_)) => _ = shared.further.fetch_add(1, Ordering::Relaxed),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// One receiver and its results.
struct Receiver<'a> {
    flow: &'a Flow,
    place: usize,
    /// The time in which it counts.
    window: (u64, u64),
    checker: Checker,
    latency: Histogram,
    in_window: u64,
    views: u64,
    last_at: u64,
    longest_silence: u64,
    /// For each silence its end, in microseconds from the beginning, and its length in microseconds.
    silences: Vec<(u64, u64)>,
}

impl<'a> Receiver<'a> {
    fn new(task: &Task, flow: &'a Flow, window: (u64, u64)) -> Receiver<'a> {
        Receiver {
            flow,
            place: task.place,
            window,
            checker: Checker::new(flow.senders),
            latency: Histogram::default(),
            in_window: 0,
            views: 0,
            last_at: 0,
            longest_silence: 0,
            silences: Vec::new(),
        }
    }

    /// Receives until every sender's last message came.
    fn run(&mut self, session: &dyn Session, shared: &Shared, sender: Option<&Thread>) -> Result<(), String> {
        let mut buffer = vec![0; self.flow.size.max(ROOM)];
        let wake_every = (self.flow.credit / 4).max(1);
        while !self.checker.is_done() {
            match session.receive(&mut buffer)? {
                Received::Message(length) => {
                    let Some(stamp) = self.take(&buffer[..length]) else { continue };
                    if usize::from(stamp.sender) == self.place {
                        let returned = shared.returned.fetch_add(1, Ordering::AcqRel) + 1;
                        if let Some(sender) = sender
                            && returned.is_multiple_of(wake_every)
                        {
                            sender.unpark();
                        }
                    }
                }
                Received::View(_) => self.views += 1,
                Received::Other => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, body: &[u8]) -> Option<Stamp> {
        let stamp = self.checker.check(body)?;
        let now = clock::now();
        if (self.window.0..self.window.1).contains(&now) {
            self.in_window += 1;
            self.latency.add(now.saturating_sub(stamp.sent_at));
            self.record_silence(now);
        }
        self.last_at = now;
        Some(stamp)
    }

    fn record_silence(&mut self, now: u64) {
        if self.last_at == 0 {
            return;
        }
        let silence = now - self.last_at;
        self.longest_silence = self.longest_silence.max(silence);
        let recorded = self.flow.silence_micros > 0 && silence > self.flow.silence_micros * 1000;
        if recorded && self.silences.len() < SILENCES {
            self.silences.push(((now - self.window.0) / 1000, silence / 1000));
        }
    }

    fn result(&self, sent: &Sent, (expected, further): (u64, u64)) -> Value {
        let checker = &self.checker;
        let notes: Vec<String> = checker.notes.iter().map(|note| format!("{note:x}")).collect();
        json!({
            "sent": sent.count, "behind": sent.behind.to_json(), "further": further, "further_missing": expected.saturating_sub(further),
            "received": checker.received, "in_window": self.in_window, "lost": checker.lost,
            "repeated": checker.repeated, "damaged": checker.damaged, "views": self.views,
            "notes": notes, "latency": self.latency.to_json(),
            "longest_silence_us": self.longest_silence as f64 / 1e3, "silences": self.silences,
        })
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
