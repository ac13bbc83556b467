//! Three daemons over two loopback networks in one process, a client at each, and a network that is cut under load and healed.
//!
//! Prints a line each second and a verdict at the end; exits with status 1 if the verdict is bad.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a program, above the I/O line")]

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::config::Settings;
use spread::daemon::{self, Handle, Options, Running};
use spread::wire::{FrameType, Name, NetworkId};

const DAEMONS: usize = 3;
const NAMES: [&str; DAEMONS] = ["alpha", "beta", "gamma"];
const SECONDS: u64 = 9;
const CUT_AT: u64 = 3;
const HEAL_AT: u64 = 6;
/// Messages a second of each client.
const RATE: u64 = 1000;
const BODY: usize = 1000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let port = free_port()?;
    let text = configuration(port);
    let daemons = start_daemons(&text)?;
    let group = Name::new(b"failover").expect("short enough");
    let mailboxes = connect(port, group)?;
    println!("three daemons, two networks, {DAEMONS} x {RATE} messages of {BODY} bytes a second\n");
    println!("second  network 0  network 1    sent/s  delivered/s at {:<24}  longest gap", NAMES.join(", "));

    let start = Instant::now();
    let logs: Arc<Vec<Log>> = Arc::new((0..DAEMONS).map(|_| Log::default()).collect());
    let sending = Arc::new(AtomicBool::new(true));
    let receivers: Vec<_> = spawn_all(&mailboxes, &logs, move |mailbox, log| receive(mailbox, log, start));
    let senders: Vec<_> = spawn_all(&mailboxes, &logs, {
        let sending = Arc::clone(&sending);
        move |mailbox, log| send(mailbox, log, group, &sending)
    });

    watch(&daemons, &logs, start);
    sending.store(false, Ordering::Relaxed);
    let sent: u64 = senders.into_iter().map(|sender| sender.join().expect("a sender does not panic")).sum();
    wait_until(Duration::from_secs(3), || logs.iter().all(|log| log.delivered() == sent));
    // Before the clients leave: each tells the others, who may still be there.
    let views = logs.iter().map(|log| log.views.load(Ordering::Relaxed)).sum();
    mailboxes.iter().for_each(|mailbox| mailbox.disconnect());
    receivers.into_iter().for_each(|receiver| receiver.join().expect("a receiver does not panic"));
    daemons.into_iter().for_each(Running::stop);
    verdict(sent, views, &logs)
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind(("127.77.0.1", 0))?.local_addr()?.port())
}

fn configuration(port: u16) -> String {
    let daemon = |(index, name): (usize, &&str)| {
        let host = index + 1;
        format!("    {name} 127.77.0.{host} {{ D 127.77.0.{host}  D 127.77.1.{host}  C 127.77.0.{host} }}\n")
    };
    let daemons: String = NAMES.iter().enumerate().map(daemon).collect();
    format!("Spread_Segment unicast:{port} unicast:{port} {{\n{daemons}}}\n")
}

fn start_daemons(text: &str) -> Result<Vec<Running>, Failure> {
    let settings = Settings::parse("the demo's configuration", text.as_bytes())?;
    let start = |name| -> Result<Running, Failure> {
        let me = settings.table.me(Some(name), &[])?;
        Ok(daemon::spawn(Options::from_settings(&settings, me))?)
    };
    NAMES.into_iter().map(start).collect()
}

fn connect(port: u16, group: Name) -> Result<Vec<Arc<Mailbox>>, Failure> {
    let mut mailboxes = Vec::new();
    for host in 1..=DAEMONS {
        let daemon = format!("{port}@127.77.0.{host}");
        let options = ConnectOptions { daemon, private_name: "demo".into(), ..ConnectOptions::default() };
        let mailbox = Arc::new(Mailbox::connect(&options)?);
        mailbox.join(group)?;
        mailboxes.push(mailbox);
    }
    for mailbox in &mailboxes {
        while !matches!(mailbox.receive()?, Received::View(view) if view.members.len() == DAEMONS) {}
    }
    Ok(mailboxes)
}

/// What one client saw.
#[derive(Default)]
struct Log {
    /// (sender, number) of every message, in the order of delivery.
    order: Mutex<Vec<(u8, u64)>>,
    /// Longest time between two deliveries, in microseconds, since it was last asked for and in all.
    gap: AtomicU64,
    longest: AtomicU64,
    /// Membership messages while the load ran.
    views: AtomicU64,
    sent: AtomicU64,
}

impl Log {
    fn delivered(&self) -> u64 {
        self.order.lock().expect("no receiver panics").len() as u64
    }
}

fn spawn_all<T: Send + 'static>(
    mailboxes: &[Arc<Mailbox>],
    logs: &Arc<Vec<Log>>,
    work: impl Fn(&Mailbox, (usize, &Log)) -> T + Clone + Send + 'static,
) -> Vec<thread::JoinHandle<T>> {
    let spawn = |(index, mailbox): (usize, &Arc<Mailbox>)| {
        let (mailbox, logs, work) = (Arc::clone(mailbox), Arc::clone(logs), work.clone());
        thread::spawn(move || work(&mailbox, (index, &logs[index])))
    };
    mailboxes.iter().enumerate().map(spawn).collect()
}

fn send(mailbox: &Mailbox, (index, log): (usize, &Log), group: Name, sending: &AtomicBool) -> u64 {
    let (start, mut number) = (Instant::now(), 0);
    let mut body = vec![0; BODY];
    body[0] = index as u8;
    while sending.load(Ordering::Relaxed) {
        while number < start.elapsed().as_millis() as u64 * RATE / 1000 {
            number += 1;
            body[1..9].copy_from_slice(&number.to_be_bytes());
            mailbox.multicast(FrameType::AGREED, &[group], 0, &body).expect("the own daemon lives");
            log.sent.store(number, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(1));
    }
    number
}

fn receive(mailbox: &Mailbox, (_, log): (usize, &Log), start: Instant) {
    let mut last = start.elapsed();
    while let Ok(received) = mailbox.receive() {
        let Received::Message(message) = received else {
            log.views.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let now = start.elapsed();
        let gap = (now - last).as_micros() as u64;
        last = now;
        log.gap.fetch_max(gap, Ordering::Relaxed);
        log.longest.fetch_max(gap, Ordering::Relaxed);
        let number = u64::from_be_bytes(message.body[1..9].try_into().expect("eight bytes"));
        log.order.lock().expect("nobody panics").push((message.body[0], number));
    }
}

/// Prints a line a second; cuts network 0 and heals it.
fn watch(daemons: &[Running], logs: &[Log], start: Instant) {
    let (mut before, mut sent_before) = ([0; DAEMONS], 0);
    for second in 1..=SECONDS {
        thread::sleep((start + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        let delivered: Vec<u64> = logs.iter().map(Log::delivered).collect();
        let rates: Vec<String> =
            delivered.iter().zip(before).map(|(now, before)| format!("{:>7}", now - before)).collect();
        let sent: u64 = logs.iter().map(|log| log.sent.load(Ordering::Relaxed)).sum();
        let gap = logs.iter().map(|log| log.gap.swap(0, Ordering::Relaxed)).max().unwrap_or_default();
        let network = if (CUT_AT..HEAL_AT).contains(&(second - 1)) { "CUT" } else { "ok" };
        let (rate, gap) = (sent - sent_before, gap as f64 / 1000.0);
        println!("{second:>6}  {network:<9}  {:<9}  {rate:>8}  {:<39}  {gap:>8.1} ms", "ok", rates.join(" "));
        before.copy_from_slice(&delivered);
        sent_before = sent;
        if second == CUT_AT || second == HEAL_AT {
            let begin_or_end = if second == CUT_AT { Handle::begin_drill } else { Handle::end_drill };
            daemons.iter().for_each(|daemon| begin_or_end(daemon.handle(), NetworkId(0)));
        }
    }
}

fn wait_until(limit: Duration, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() && start.elapsed() < limit {
        thread::sleep(Duration::from_millis(5));
    }
}

fn verdict(sent: u64, views: u64, logs: &[Log]) -> Result<(), Failure> {
    let orders: Vec<Vec<(u8, u64)>> = logs.iter().map(|log| log.order.lock().expect("all ended").clone()).collect();
    let distinct = |order: &Vec<(u8, u64)>| order.iter().collect::<std::collections::HashSet<_>>().len() as u64;
    let delivered: Vec<u64> = orders.iter().map(|order| order.len() as u64).collect();
    let lost: u64 = orders.iter().map(|order| sent - distinct(order)).sum();
    let duplicated: u64 = orders.iter().map(|order| order.len() as u64 - distinct(order)).sum();
    let equal = orders.iter().all(|order| order == &orders[0]);
    let longest = logs.iter().map(|log| log.longest.load(Ordering::Relaxed)).max().unwrap_or_default();
    println!("\nsent {sent}, delivered {}", delivered.iter().map(u64::to_string).collect::<Vec<_>>().join(" / "));
    println!("lost {lost}, duplicated {duplicated}, order {}", if equal { "equal" } else { "DIFFERENT" });
    println!("membership messages during the run {views}, longest gap {:.1} ms", longest as f64 / 1000.0);
    if lost == 0 && duplicated == 0 && equal && views == 0 && sent > 0 {
        println!("verdict: good. Nobody noticed that a network was gone.");
        return Ok(());
    }
    println!("verdict: BAD");
    std::process::exit(1);
}
