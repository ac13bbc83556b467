//! map DAEMON NAME REPLICAS: one of this many replicas of a map; the input says `set KEY VALUE`, `get KEY`.
//!
//! Every replica applies the same changes in the same order. The rules at the edges:
//!
//! - Only a majority may change anything; a minority would invent a second history. It still answers, and says that it may be
//!   stale.
//! - After the transitional signal a change is only certain at those who come along. It waits for the next view, and counts if
//!   that is a majority.
//! - Whoever comes, one replica or a whole partition, is brought up to date before it goes on: one of those who came together
//!   tells what they have, and everybody takes the longest history.

#![expect(clippy::disallowed_methods, reason = "a program, above the I/O line")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::stdin;
use std::process::exit;
use std::sync::Arc;
use std::thread;

use spread::client::{ConnectOptions, Mailbox, Received, View};
use spread::wire::{Cause, FrameType, Name};

type Failure = Box<dyn Error>;

struct Replica {
    mailbox: Arc<Mailbox>,
    group: Name,
    replicas: usize,
    values: BTreeMap<String, String>,
    /// The length of the map's history.
    changes: u64,
    members: Vec<Name>,
    /// The view, as its messages name it.
    view: String,
    /// The members that must send their map.
    awaited: Vec<Name>,
    /// Changes that came between views, or before everybody was up to date.
    waiting: Vec<(String, String)>,
    transition: bool,
}

/// The change of the map that these words make. Words from others are checked like typed words: nobody knows who sent them.
fn change<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let &["set", key, value] = words else { return None };
    (!key.contains('=') && key.len() < 32 && value.len() < 32).then_some((key, value))
}

impl Replica {
    fn has_majority(&self) -> bool {
        2 * self.members.len() > self.replicas
    }

    fn refuse(&self) {
        println!("refused: only {} of {} replicas are here", self.members.len(), self.replicas);
    }

    fn send(&self, text: &str) -> Result<(), Failure> {
        Ok(self.mailbox.multicast(FrameType::SAFE, &[self.group], 0, text.as_bytes())?)
    }

    fn on_line(&self, line: &str) -> Result<(), Failure> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["get", key] = words[..] {
            let stale = if self.has_majority() { "" } else { " (may be stale)" };
            println!("{key} is {}{stale}", self.values.get(key).map_or("unset", String::as_str));
        } else if change(&words).is_none() {
            println!("say: set KEY VALUE, or get KEY; words have 31 characters at most, a key no =");
        } else if self.has_majority() {
            self.send(line)?;
        } else {
            self.refuse();
        }
        Ok(())
    }

    fn on_message(&mut self, sender: Name, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["set", ..] => match change(&words) {
                // It was sent while there was a majority.
                Some(_) if !self.has_majority() => self.refuse(),
                Some((key, value)) => self.waiting.push((key.to_owned(), value.to_owned())),
                None => {}
            },
            ["state", view, changes, ref values @ ..] if view == self.view => self.on_state(sender, changes, values),
            _ => {}
        }
        self.apply();
    }

    fn on_state(&mut self, sender: Name, changes: &str, values: &[&str]) {
        self.awaited.retain(|awaited| *awaited != sender);
        let changes = changes.parse().unwrap_or(0);
        if changes > self.changes {
            let pairs = values.iter().filter_map(|pair| pair.split_once('='));
            self.values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            self.changes = changes;
            println!("brought up to date: {changes} changes");
        }
    }

    /// Applies what waits, unless it is not known yet whether it counts.
    fn apply(&mut self) {
        if self.transition || !self.awaited.is_empty() {
            return;
        }
        for (key, value) in self.waiting.drain(..) {
            println!("{key} = {value}");
            self.values.insert(key, value);
            self.changes += 1;
        }
    }

    fn on_view(&mut self, view: View) -> Result<(), Failure> {
        self.transition = false;
        self.awaited.clear();
        self.view = format!("{:?}", view.id).replace(' ', "");
        self.members = view.members;
        if self.has_majority() {
            self.apply();
        } else {
            self.waiting.clear();
        }
        println!("{} of {} replicas", self.members.len(), self.replicas);
        match view.cause {
            Cause::Join => {
                let old = self.members.iter().find(|member| !view.vs_sets[0].contains(member));
                self.awaited.extend(old);
            }
            Cause::Network if view.vs_sets.len() > 1 => {
                self.awaited.extend(view.vs_sets.iter().filter_map(|members| members.first()));
            }
            _ => {}
        }
        if self.awaited.contains(&self.mailbox.private_group()) {
            let values: String = self.values.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            self.send(&format!("state {} {}{values}", self.view, self.changes))?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([daemon, name, _], Some(replicas)) = (&arguments[..], arguments.get(2).and_then(|count| count.parse().ok()))
    else {
        eprintln!("usage: map DAEMON NAME REPLICAS");
        exit(2);
    };
    let options = ConnectOptions { daemon: daemon.clone(), private_name: name.clone(), ..Default::default() };
    let mailbox = Arc::new(Mailbox::connect(&options)?);
    let group = Name::new(b"map").expect("short enough");
    mailbox.join(group)?;
    let typing = Arc::clone(&mailbox);
    thread::spawn(move || read_input(&typing, group));
    let mut replica = Replica {
        mailbox: Arc::clone(&mailbox),
        group,
        replicas,
        values: BTreeMap::new(),
        changes: 0,
        members: Vec::new(),
        view: String::new(),
        awaited: Vec::new(),
        waiting: Vec::new(),
        transition: false,
    };
    loop {
        match mailbox.receive()? {
            Received::Message(message) => {
                let text = String::from_utf8_lossy(&message.body).into_owned();
                if message.sender == mailbox.private_group() && message.groups != [group] {
                    replica.on_line(&text)?;
                } else {
                    replica.on_message(message.sender, &text);
                }
            }
            Received::View(view) => replica.on_view(view)?,
            Received::Transition(..) => {
                println!("the old view breaks");
                replica.transition = true;
            }
            Received::Left(_) => return Ok(()),
            Received::Refused(_) => {}
        }
    }
}

/// Lines come to the replica as messages to itself, so that it does one thing at a time.
fn read_input(mailbox: &Mailbox, group: Name) {
    for line in stdin().lines().map_while(Result::ok) {
        let _ = mailbox.multicast(FrameType::AGREED, &[mailbox.private_group()], 0, line.as_bytes());
    }
    let _ = mailbox.leave(group);
}
