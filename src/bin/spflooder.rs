//! The throughput test: floods the group `flooder`, alone or as one of several senders, or reads what others flood.
//!
//! A sender has only a limited number of messages on their way, so that no daemon ends its session as a slow reader. It stays until all of its
//! messages have come back, because closing a connection with unread messages would also lose sent ones. Several senders wait for the slowest of
//! them, but not for one that leaves.

#![expect(clippy::disallowed_types, reason = "a program, above the I/O line")]

mod tools {
    pub mod program;
    pub mod session;
}

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use spread::client::{ConnectOptions, Mailbox, Message, Received};
use spread::wire::{FrameType, Name};
use tools::program::{self, say};
use tools::session;

/// The most messages on the way.
const OUTSTANDING: u64 = 200;
/// Messages between two lines of progress.
const STEP: u64 = 1000;
/// The most bytes of a message.
const LONGEST: u64 = 100_000;
const GROUP: &[u8] = b"flooder";

const EXAMPLES: &str = "\
Examples:
  spflooder                                  10000 messages of 1000 bytes through the daemon of this machine
  spflooder -s 4803@host -m 100000 -b 100    more and smaller ones, through another daemon
  spflooder -u one -n 2 & spflooder -u two -n 2
                                             two senders at once, each starts when both are there
  spflooder -u in -ro & spflooder -u out -wo one reads, one only writes

The exit status is 0, or 1 after an error.";

/// Measure how many messages per second the daemons carry
#[derive(Debug, Parser)]
#[command(name = "spflooder", version, after_help = EXAMPLES)]
struct Arguments {
    /// Private name, cut to 10 bytes
    #[arg(short = 'u', value_name = "NAME", default_value = "flooder")]
    user: String,
    /// Daemon: PORT of this machine, or PORT@HOST
    #[arg(short = 's', value_name = "ADDRESS", default_value = "4803")]
    daemon: String,
    /// Messages to send, or with -ro to read
    #[arg(short = 'm', value_name = "N", default_value_t = 10_000)]
    messages: u64,
    /// Bytes of each message
    #[arg(short = 'b', value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=LONGEST))]
    bytes: u64,
    /// Wait until the group has N members, then send together with them; 0 sends at once
    #[arg(short = 'n', value_name = "N", default_value_t = 0)]
    members: usize,
    /// Read only; also -ro
    #[arg(long)]
    read_only: bool,
    /// Write only, without joining the group; also -wo
    #[arg(long, conflicts_with_all = ["read_only", "members"])]
    write_only: bool,
}

fn main() -> ExitCode {
    program::run(env::args_os().map(classic), tool)
}

/// The classic options of two letters by their long names.
fn classic(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-ro") => "--read-only".into(),
        Some("-wo") => "--write-only".into(),
        _ => argument,
    }
}

fn tool(arguments: &Arguments) -> Result<(), String> {
    let options = ConnectOptions {
        daemon: arguments.daemon.clone(),
        private_name: arguments.user.clone(),
        membership: arguments.members > 0,
        ..ConnectOptions::default()
    };
    let mailbox = session::open(options)?;
    say(format_args!("connected as {}", mailbox.private_group()));
    let group = Name::new(GROUP).expect("short enough");
    let mut flood = Flood { mailbox, group, members: Vec::new(), returned: 0 };
    if !arguments.write_only {
        flood.mailbox.join(group).map_err(|error| format!("cannot join {group}: {error}"))?;
        flood.wait_for(arguments.members)?;
    }
    let tally = if arguments.read_only { flood.read(arguments)? } else { flood.write(arguments)? };
    say(tally.summary());
    Ok(())
}

/// A session that floods or is flooded.
struct Flood {
    mailbox: Mailbox,
    group: Name,
    /// In the order of the view. Empty without membership messages.
    members: Vec<Member>,
    /// Own messages that came back.
    returned: u64,
}

/// A member of the group, and how many of its messages came.
struct Member {
    name: Name,
    received: u64,
}

impl Flood {
    /// Waits for a view with this many members.
    fn wait_for(&mut self, members: usize) -> Result<(), String> {
        if self.members.len() < members {
            say(format_args!("waiting for {members} members of {}", self.group));
        }
        while self.members.len() < members {
            self.receive()?;
        }
        Ok(())
    }

    /// The clock starts with the first message.
    fn read(&mut self, arguments: &Arguments) -> Result<Tally, String> {
        let mut tally = None;
        let mut left = arguments.messages;
        while left > 0 {
            if let Some(message) = self.receive()? {
                let tally = tally.get_or_insert_with(|| Tally::new("read"));
                tally.add(message.body.len());
                left -= 1;
            }
        }
        Ok(tally.unwrap_or_else(|| Tally::new("read")))
    }

    fn write(&mut self, arguments: &Arguments) -> Result<Tally, String> {
        let together = arguments.members > 0;
        let service = if together { FrameType::FIFO } else { FrameType::RELIABLE };
        let body = self.body(arguments);
        let mut tally = Tally::new("sent");
        for sent in 1..=arguments.messages {
            let multicast = self.mailbox.multicast(service, &[self.group], 0, &body);
            multicast.map_err(|error| format!("cannot send: {error}"))?;
            tally.add(body.len());
            match sent.checked_sub(OUTSTANDING) {
                None | Some(0) => {}
                Some(_) if arguments.write_only => {}
                Some(due) if together => self.wait_for_the_slowest(due)?,
                Some(due) => self.wait_for_own(due)?,
            }
        }
        if !arguments.write_only {
            self.wait_for_own(arguments.messages)?;
        }
        Ok(tally)
    }

    /// The message to send. Its first four bytes are our place in the view, as other flooders expect it.
    fn body(&self, arguments: &Arguments) -> Vec<u8> {
        let mut body = vec![0; usize::try_from(arguments.bytes).expect("at most 100000")];
        let own = self.mailbox.private_group();
        let place = self.members.iter().position(|member| member.name == own).unwrap_or_default();
        let place = u32::try_from(place).expect("a group has far fewer members").to_ne_bytes();
        body.iter_mut().zip(place).for_each(|(byte, place)| *byte = place);
        body
    }

    /// Receives until this many of our own messages came back.
    fn wait_for_own(&mut self, count: u64) -> Result<(), String> {
        while self.returned < count {
            self.receive()?;
        }
        Ok(())
    }

    /// Receives until every member that sends has sent this many.
    fn wait_for_the_slowest(&mut self, count: u64) -> Result<(), String> {
        let slowest = |members: &[Member]| members.iter().map(|member| member.received).filter(|&n| n > 0).min();
        while slowest(&self.members).is_none_or(|received| received < count) {
            self.receive()?;
        }
        Ok(())
    }

    /// The next message; `None` if it was something else.
    fn receive(&mut self) -> Result<Option<Message>, String> {
        match self.mailbox.receive().map_err(|error| format!("cannot receive: {error}"))? {
            Received::Message(message) => {
                self.returned += u64::from(message.sender == self.mailbox.private_group());
                let sender = self.members.iter_mut().find(|member| member.name == message.sender);
                if let Some(member) = sender {
                    member.received += 1;
                }
                return Ok(Some(message));
            }
            Received::View(view) => {
                let received = |name| self.members.iter().find(|member| member.name == name).map(|m| m.received);
                let member = |name| Member { name, received: received(name).unwrap_or_default() };
                self.members = view.members.into_iter().map(member).collect();
            }
            Received::Refused(_) => return Err(format!("the daemon does not let us send to {}", self.group)),
            Received::Transition(..) | Received::Left(_) => {}
        }
        Ok(None)
    }
}

/// The messages sent or read so far.
struct Tally {
    verb: &'static str,
    start: Instant,
    messages: u64,
    bytes: u64,
}

impl Tally {
    fn new(verb: &'static str) -> Tally {
        Tally { verb, start: Instant::now(), messages: 0, bytes: 0 }
    }

    /// One message more.
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
        if self.messages.is_multiple_of(STEP) {
            say(format_args!("{} {} messages", self.verb, self.messages));
        }
    }

    fn summary(&self) -> String {
        summary(self.verb, self.messages, self.bytes, self.start.elapsed())
    }
}

fn summary(verb: &str, messages: u64, bytes: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(1e-6);
    let (rate, volume) = (messages as f64 / seconds, bytes as f64 / seconds / 1e6);
    format!("{verb} {messages} messages, {bytes} bytes in {seconds:.3} s: {rate:.0} messages/s, {volume:.2} MB/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_options_of_two_letters_are_understood() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ').map(OsString::from).map(classic));
        assert!(parse("spflooder -ro -n 2").unwrap().read_only);
        assert!(parse("spflooder -wo -m 7").unwrap().write_only);
        assert!(parse("spflooder -ro -wo").is_err());
        assert!(parse("spflooder -wo -n 2").is_err());
        assert!(parse("spflooder -b 100001").is_err());
    }

    #[test]
    fn the_summary_has_messages_and_megabytes_a_second() {
        let line = summary("sent", 3000, 3_000_000, Duration::from_millis(1500));
        assert_eq!(line, "sent 3000 messages, 3000000 bytes in 1.500 s: 2000 messages/s, 2.00 MB/s");
    }
}
