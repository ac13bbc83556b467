//! jobs DAEMON NAME work: do jobs until the end of the input.
//! jobs DAEMON NAME give: every line of the input is a job; ends when all are done.
//!
//! All workers get the same jobs and the same views in the same order, so each knows whose turn it is without asking. A job
//! falls to one of those who were there when it came; if he goes before it is done, to the next of them. A job can then be done
//! twice: its worker may have gone between doing it and saying so.

#![expect(clippy::disallowed_methods, reason = "a program, above the I/O line")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::stdin;
use std::process::exit;
use std::sync::Arc;
use std::thread;

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::wire::{FrameType, Name};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, name, role @ ("work" | "give")] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        eprintln!("usage: jobs DAEMON NAME work|give");
        exit(2);
    };
    let options = ConnectOptions { daemon: daemon.into(), private_name: name.into(), ..Default::default() };
    let mailbox = Arc::new(Mailbox::connect(&options)?);
    let workers = Name::new(b"workers").expect("short enough");
    if role == "give" { give(&mailbox, workers) } else { work(&mailbox, workers) }
}

/// A job that is not done.
struct Job {
    text: String,
    /// The workers who were there when it came.
    there: Vec<Name>,
}

fn work(mailbox: &Arc<Mailbox>, workers: Name) -> Result<(), Failure> {
    let (mut members, mut jobs) = (Vec::new(), BTreeMap::new());
    mailbox.join(workers)?;
    let leaving = Arc::clone(mailbox);
    thread::spawn(move || {
        stdin().lines().for_each(drop);
        let _ = leaving.leave(workers);
    });
    loop {
        match mailbox.receive()? {
            Received::Message(message) => {
                let text = String::from_utf8_lossy(&message.body).into_owned();
                on_message(&mut jobs, &members, message.sender, &text);
            }
            Received::View(view) => members = view.members,
            Received::Left(_) => return Ok(()),
            Received::Transition(..) | Received::Refused(_) => {}
        }
        do_mine(mailbox, workers, &mut jobs, &members)?;
    }
}

fn on_message(jobs: &mut BTreeMap<(Name, usize), Job>, members: &[Name], sender: Name, text: &str) {
    // Anybody can send to a group: what is neither of the two is not for us.
    match text.splitn(3, ' ').collect::<Vec<_>>()[..] {
        ["job", number, text] => {
            let job = Job { text: text.to_owned(), there: members.to_vec() };
            if let Ok(number) = number.parse() {
                jobs.insert((sender, number), job);
            }
        }
        ["done", giver, number] => {
            jobs.retain(|job, _| (job.0.to_string(), job.1.to_string()) != (giver.to_owned(), number.to_owned()));
        }
        _ => {}
    }
}

fn do_mine(
    mailbox: &Mailbox,
    workers: Name,
    jobs: &mut BTreeMap<(Name, usize), Job>,
    members: &[Name],
) -> Result<(), Failure> {
    let my_turn = |&(_, number): &(Name, usize), job: &mut Job| {
        let left: Vec<&Name> = job.there.iter().filter(|member| members.contains(member)).collect();
        left.get(number % left.len().max(1)) == Some(&&mailbox.private_group())
    };
    for ((giver, number), job) in jobs.extract_if(.., my_turn) {
        println!("did {number} {}", job.text);
        let done = format!("done {giver} {number}");
        mailbox.multicast(FrameType::AGREED, &[workers, giver], 0, done.as_bytes())?;
    }
    Ok(())
}

fn give(mailbox: &Mailbox, workers: Name) -> Result<(), Failure> {
    let mut jobs = Vec::new();
    for (number, text) in (1..).zip(stdin().lines()) {
        let text = text?;
        mailbox.multicast(FrameType::AGREED, &[workers], 0, format!("job {number} {text}").as_bytes())?;
        jobs.push((number, text));
    }
    let mut done: BTreeMap<u32, Name> = BTreeMap::new();
    for (number, text) in jobs {
        while !done.contains_key(&number) {
            let Received::Message(message) = mailbox.receive()? else { continue };
            let words = String::from_utf8_lossy(&message.body).into_owned();
            if let ["done", _, number] = words.split(' ').collect::<Vec<_>>()[..]
                && let Ok(number) = number.parse()
            {
                done.insert(number, message.sender);
            }
        }
        println!("{text}: done by {}", done[&number]);
    }
    Ok(())
}
