//! The interactive test client of the Flush layer: joins, flushes, sends and prints, from a terminal or a script.
//!
//! One loop watches input and mailbox. The layer works only while it receives, so a member that stops receiving blocks all other members of
//! the group.

mod tools {
    pub mod editor;
    pub mod lines;
    pub mod program;
    pub mod screen;
    pub mod session;
    pub mod show;
}

use std::env;
use std::process::ExitCode;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  flush_user                          talk to the daemon of this machine, port 4803
  flush_user -u alice -s 4803@host    be alice at the daemon on another machine
  printf 'd\\nj chat\\nr\\ns chat\\nhello\\nr\\nq\\n' | flush_user
                                      a script: do not receive by itself, join, receive the
                                      view, send hello, receive it, and quit

The exit status is 0 after q or the end of the input, and 1 after an error.";

/// Join groups whose members enter each view together, send to them and print received messages
#[derive(Debug, Parser)]
#[command(name = "flush_user", version, after_help = EXAMPLES)]
struct Arguments {
    /// Private name, cut to 10 bytes
    #[arg(short = 'u', value_name = "NAME", default_value = "user")]
    user: String,
    /// Let the daemon invent the private name
    #[arg(short = 'r')]
    invent: bool,
    /// Daemon: PORT of this machine, or PORT@HOST
    #[arg(short = 's', value_name = "ADDRESS", default_value = "4803")]
    daemon: String,
}

fn main() -> ExitCode {
    tools::program::run(env::args_os(), user::tool)
}

#[cfg(not(unix))]
mod user {
    pub fn tool(_: &super::Arguments) -> Result<(), String> {
        Err("this system cannot wait for input and messages at once".to_owned())
    }
}

#[cfg(unix)]
mod user {
    use std::io::{IoSlice, IoSliceMut};
    use std::ops::ControlFlow::{self, Break, Continue};
    use std::sync::Arc;

    use spread::client::flush::{
        CastError, CastKind, FLUSH_REQ, FlushError, FlushMailbox, FlushReceiveError, SUBGROUP, VIEW_COUNT, VIEW_ID,
        VIEW_NAMES, Wait,
    };
    use spread::client::{
        ConnectOptions, Excess, Fate, Mailbox, Message, MessageHead, Received, Room, SendError, View,
    };
    use spread::wire::{ByteOrder, Cause, FrameType, GroupId, Name};

    use super::Arguments;
    use super::tools::editor::{self, Editor};
    use super::tools::lines::{Both, Mail};
    use super::tools::program::say;
    use super::tools::screen::Screen;
    use super::tools::{session, show};

    /// Messages of a burst.
    const BURST: usize = 10;
    /// The most bytes of a message of a burst.
    const LONGEST: usize = 102_400;
    /// Room for a message at first; it grows when a larger one comes.
    const ROOM: (usize, usize) = (100, LONGEST);

    const MENU: &str = "  j GROUP       join                    l GROUP       leave
  f GROUP       flush: let the next view come
  s GROUP       send a line             g GROUP MEMBER...  send a line to some members
  b [GROUP]     send a burst of 10, to oneself without a group
  r             receive one message     p             how many bytes wait
  e             receive as they come    d             let messages wait
  q             quit";

    /// Runs the client until its input ends.
    pub fn tool(arguments: &Arguments) -> Result<(), String> {
        say(format_args!("flush_user {}", env!("CARGO_PKG_VERSION")));
        let private_name = if arguments.invent { String::new() } else { arguments.user.clone() };
        let options = ConnectOptions { daemon: arguments.daemon.clone(), private_name, ..ConnectOptions::default() };
        let mailbox = Arc::new(session::open(options)?);
        say(format_args!("connected as {}", mailbox.private_group()));
        let (editor, printer) = Editor::open().unzip();
        let input = Both::new(&mailbox, editor).map_err(|error| error.to_string())?;
        let flush = FlushMailbox::new(mailbox);
        let mut user = User { flush, screen: Screen::new(printer), input, room: ROOM, sent: 0, size: 1000 };
        user.screen.print(MENU);
        let result = user.run();
        editor::restore();
        result
    }

    /// One person's session.
    struct User {
        flush: FlushMailbox,
        screen: Screen,
        input: Both,
        /// Groups and bytes for which a receive has memory.
        room: (usize, usize),
        /// Messages sent so far.
        sent: u64,
        /// Bytes of the messages of the last burst.
        size: usize,
    }

    impl User {
        fn run(&mut self) -> Result<(), String> {
            while let Some(line) = self.ask("flush_user> ")? {
                if self.obey(&String::from_utf8_lossy(&line))?.is_break() {
                    break;
                }
            }
            self.flush.disconnect();
            Ok(())
        }

        /// The next line; `None` at the end of the input.
        fn ask(&mut self, prompt: &'static str) -> Result<Option<Vec<u8>>, String> {
            self.screen.ask(prompt);
            self.input.ask(prompt);
            let (flush, screen, room) = (&self.flush, &self.screen, &mut self.room);
            // The layer may hold more messages than the mailbox shows, so take all of them.
            let take = || {
                while receive(flush, screen, room, Wait::No)? {}
                Ok(())
            };
            let line = self.input.read(flush.mailbox(), take);
            match line {
                Ok(Some(_)) => self.screen.answered(),
                Ok(None) | Err(_) => self.screen.abandon(),
            }
            line
        }

        fn obey(&mut self, line: &str) -> Result<ControlFlow<()>, String> {
            let mut words = line.split_whitespace();
            let Some(command) = words.next().and_then(|word| word.chars().next()) else {
                return Ok(Continue(()));
            };
            let words: Vec<&str> = words.collect();
            match command {
                'j' => self.change("join", &words, FlushMailbox::join)?,
                'l' => self.change("leave", &words, FlushMailbox::leave)?,
                'f' => self.change("flush", &words, FlushMailbox::flush)?,
                's' => self.send_line(&words)?,
                'g' => self.send_to_some(&words)?,
                'b' => self.send_burst(&words)?,
                'q' => return Ok(Break(())),
                'r' => _ = receive(&self.flush, &self.screen, &mut self.room, Wait::Yes)?,
                'p' => self.screen.print(format_args!("{} bytes wait", self.flush.bytes_waiting())),
                'e' => self.switch(Mail::Taken, "automatic receiving is on")?,
                'd' => self.switch(Mail::Waiting, "automatic receiving is off")?,
                _ => {
                    self.screen.print(format_args!("unknown command: {}", command.escape_default()));
                    self.screen.print(MENU);
                }
            }
            Ok(Continue(()))
        }

        fn change(
            &self,
            what: &str,
            words: &[&str],
            request: impl Fn(&FlushMailbox, Name) -> Result<(), FlushError>,
        ) -> Result<(), String> {
            let Some(names) = self.names(&words[..words.len().min(1)]) else { return Ok(()) };
            match request(&self.flush, names[0]) {
                Err(FlushError::Lost(lost)) => return Err(format!("cannot {what}: {lost}")),
                Err(error) => self.screen.print(format_args!("cannot {what} {}: {error}", names[0])),
                Ok(()) => {}
            }
            Ok(())
        }

        fn send_line(&mut self, words: &[&str]) -> Result<(), String> {
            let Some(names) = self.names(&words[..words.len().min(1)]) else { return Ok(()) };
            match self.ask("message> ")? {
                Some(line) => self.send(FrameType::SAFE, &names, 1, &line),
                None => Ok(()),
            }
        }

        fn send_to_some(&mut self, words: &[&str]) -> Result<(), String> {
            let Some(names) = self.names(words) else { return Ok(()) };
            if names.len() < 2 {
                self.screen.print("name a group and some of its members");
                return Ok(());
            }
            match self.ask("message> ")? {
                Some(line) => self.send(FrameType::SAFE, &names, 1, &line),
                None => Ok(()),
            }
        }

        fn send_burst(&mut self, words: &[&str]) -> Result<(), String> {
            let own = vec![self.flush.mailbox().private_group()];
            let names = if words.is_empty() { Some(own) } else { self.names(&words[..1]) };
            let Some(names) = names else { return Ok(()) };
            let Some(line) = self.ask("bytes of each message> ")? else { return Ok(()) };
            match String::from_utf8_lossy(&line).trim() {
                "" => {}
                text => match text.parse() {
                    Ok(size) if size <= LONGEST => self.size = size,
                    _ => {
                        self.screen.print(format_args!("not sent: a size is a number up to {LONGEST}"));
                        return Ok(());
                    }
                },
            }
            for _ in 0..BURST {
                let mut body = format!("mess num {} ", self.sent + 1).into_bytes();
                body.resize(self.size, 0);
                self.send(FrameType::FIFO, &names, 2, &body)?;
            }
            self.screen.print(format_args!("{} messages sent in all", self.sent));
            Ok(())
        }

        /// Sends to a group. If members are named behind it, only these receive the message.
        fn send(&mut self, service: FrameType, names: &[Name], mess_type: i16, body: &[u8]) -> Result<(), String> {
            let kind = CastKind::new(service, mess_type).expect("a service and a small number");
            let body = [IoSlice::new(body)];
            let sent = match names {
                &[group] => self.flush.multicast(kind, group, &body),
                names => self.flush.subgroup_cast(kind, names[0], &names[1..], &body),
            };
            match sent {
                Ok(()) => self.sent += 1,
                Err(CastError::Send(SendError::Lost(lost)) | CastError::Group(FlushError::Lost(lost))) => {
                    return Err(format!("cannot send: {lost}"));
                }
                Err(error) => self.screen.print(format_args!("not sent: {error}")),
            }
            Ok(())
        }

        /// These words as names. If they cannot be names, prints why.
        fn names(&self, words: &[&str]) -> Option<Vec<Name>> {
            let names: Result<Vec<Name>, _> = words.iter().map(|word| Name::new(word.as_bytes())).collect();
            match &names {
                Ok(names) if names.is_empty() => self.screen.print("name a group"),
                Ok(_) => return names.ok(),
                Err(_) => self.screen.print("a name has at most 31 bytes"),
            }
            None
        }

        fn switch(&mut self, mail: Mail, text: &str) -> Result<(), String> {
            self.input.switch(self.flush.mailbox(), mail).map_err(|error| error.to_string())?;
            self.screen.print(text);
            Ok(())
        }
    }

    /// Receives a message and prints it; false if there is none and `wait` is no.
    fn receive(flush: &FlushMailbox, screen: &Screen, room: &mut (usize, usize), wait: Wait) -> Result<bool, String> {
        loop {
            let (mut groups, mut body) = (vec![[0; Name::SIZE]; room.0], vec![0; room.1]);
            let mut slices = [IoSliceMut::new(&mut body)];
            let mut memory = Room { groups: &mut groups, body: &mut slices, excess: Excess::Keep };
            match flush.receive_into(&mut memory, wait) {
                Ok((envelope, _)) if envelope.fate == Fate::Kept => {
                    *room = (room.0.max(envelope.groups), room.1.max(envelope.body_len));
                }
                Ok((envelope, _)) => {
                    let groups = groups[..envelope.groups].iter().map(Name::from_field).collect();
                    body.truncate(envelope.body_len);
                    screen.print(described(&envelope, groups, body, flush.mailbox()));
                    return Ok(true);
                }
                Err(FlushReceiveError::WouldBlock) => return Ok(false),
                Err(error) => return Err(format!("cannot receive: {error}")),
            }
        }
    }

    fn described(envelope: &MessageHead, groups: Vec<Name>, body: Vec<u8>, mailbox: &Mailbox) -> String {
        let &MessageHead { kind, sender, mess_type, foreign_order, .. } = envelope;
        let shown = |received: &Received| show::received(received, mailbox.private_group());
        if kind.contains(FLUSH_REQ) {
            format!("flush request of {sender}: the next view comes after f {sender}")
        } else if kind.contains(FrameType::REJECT) || !kind.intersects(FrameType::MEMBERSHIP) {
            let subgroup = if kind.contains(SUBGROUP) { "subgroup cast\n" } else { "" };
            let message = Message { kind, sender, groups, mess_type, foreign_order, body };
            let refused = kind.contains(FrameType::REJECT);
            let received = if refused { Received::Refused(message) } else { Received::Message(message) };
            format!("{subgroup}{}", shown(&received))
        } else if kind.contains(FrameType::REG_MEMB) {
            shown(&Received::View(view(envelope, groups, &body)))
        } else if kind.contains(FrameType::TRANSITION) {
            format!("transition of {sender}: its view is ending")
        } else {
            shown(&Received::Left(sender))
        }
    }

    /// A view of the Flush layer. It has one set: the members that came from the same view, or the one that joined or left.
    fn view(envelope: &MessageHead, members: Vec<Name>, body: &[u8]) -> View {
        let id = body
            .get(VIEW_ID..VIEW_COUNT)
            .and_then(|id| GroupId::decode(id, ByteOrder::NATIVE).ok())
            .unwrap_or_default();
        let names = body.get(VIEW_NAMES..).unwrap_or_default().as_chunks::<{ Name::SIZE }>().0;
        let causes = [Cause::Join, Cause::Leave, Cause::Disconnect];
        let cause = causes.into_iter().find(|&cause| envelope.kind.contains(cause.into())).unwrap_or(Cause::Network);
        let vs_sets = vec![names.iter().map(Name::from_field).collect()];
        View { group: envelope.sender, cause, members, id, vs_sets, own: 0 }
    }
}
