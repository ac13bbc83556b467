//! The interactive test client: joins, sends and prints, from a terminal or a script.
//!
//! Called as sptuser, or with --threaded, a separate thread receives. Otherwise one loop watches input and mailbox, so that `d` can stop
//! receiving and `r` can receive one message.

mod tools {
    pub mod editor;
    pub mod lines;
    pub mod program;
    pub mod screen;
    pub mod session;
    pub mod show;
}

use std::env;
use std::io::{self, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::Parser;
use spread::client::{ConnectOptions, GroupError, Mailbox};
use spread::wire::{FrameType, Name};
use tools::editor::{self, Editor};
#[cfg(unix)]
use tools::lines;
use tools::lines::{Mail, Source};
use tools::program::{self, say};
use tools::screen::Screen;
use tools::session;
use tools::show;

/// The most groups of one message.
const GROUPS: usize = 10;
/// Messages of a burst.
const BURST: usize = 10;
/// The most bytes of a message of a burst or of several lines.
const LONGEST: usize = 102_400;

const MENU: &str = "  j GROUP     join                      l GROUP     leave
  s GROUP...  send a line               m GROUP...  send lines up to an empty one
  b [GROUP]   send a burst of 10, to oneself without a group
  q           quit";
const EVENTS_MENU: &str = "  r           receive one message       p           how many bytes wait
  e           receive as messages come  d           let messages wait";

const EXAMPLES: &str = "\
Examples:
  spuser                          talk to the daemon of this machine, port 4803
  spuser -u alice -s 4803@host    connect as alice to the daemon of another machine
  printf 'd\\nj chat\\nr\\ns chat\\nhello\\nr\\nq\\n' | spuser
                                  a script: do not receive by itself, join, receive the
                                  view, send hello, receive it, and quit

The exit status is 0 after q or the end of the input, and 1 after an error. sptuser is the same with a receiving thread.";

/// Join groups, send to them and print received messages
#[derive(Debug, Parser)]
#[command(name = "spuser", version, after_help = EXAMPLES)]
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
    /// Accepted for old scripts and ignored: spuser does not offer the method PWORD
    #[arg(short = 'n', value_name = "USER")]
    login: Option<String>,
    /// Accepted for old scripts and ignored, like -n
    #[arg(short = 'p', value_name = "PASSWORD")]
    password: Option<String>,
    /// Receive in a separate thread, like sptuser
    #[arg(short = 'T', long)]
    threaded: bool,
}

fn main() -> ExitCode {
    program::run(env::args_os(), tool)
}

fn tool(arguments: &Arguments) -> Result<(), String> {
    say(format_args!("spuser {}", env!("CARGO_PKG_VERSION")));
    if arguments.login.is_some() || arguments.password.is_some() {
        say("-n and -p are ignored: spuser does not offer the method PWORD");
    }
    let private_name = if arguments.invent { String::new() } else { arguments.user.clone() };
    let options = ConnectOptions { daemon: arguments.daemon.clone(), private_name, ..ConnectOptions::default() };
    let mailbox = Arc::new(session::open(options)?);
    say(format_args!("connected as {}", mailbox.private_group()));
    let (editor, printer) = Editor::open().unzip();
    let screen = Arc::new(Screen::new(printer));
    let threaded = arguments.threaded || is_threaded_name() || !cfg!(unix);
    let input = if threaded { Input::threaded(&mailbox, &screen, editor)? } else { Input::watching(&mailbox, editor)? };
    let mut user = User { mailbox, screen, input, sent: 0, size: 1000 };
    user.show_menu();
    let result = user.run();
    editor::restore();
    result
}

/// Whether the program was called by the name of the threaded tool.
fn is_threaded_name() -> bool {
    env::args_os().next().is_some_and(|name| Path::new(&name).file_stem().is_some_and(|stem| stem == "sptuser"))
}

/// The source of lines, and who receives while it waits for one.
enum Input {
    /// The loop that waits for a line also receives.
    #[cfg(unix)]
    Watching(lines::Both),
    /// A thread receives. If the connection breaks it ends the program, unless the flag says that we are leaving.
    Threaded(Source, Arc<AtomicBool>),
}

impl Input {
    #[cfg(unix)]
    fn watching(mailbox: &Mailbox, editor: Option<Editor>) -> Result<Input, String> {
        lines::Both::new(mailbox, editor).map(Input::Watching).map_err(|error| error.to_string())
    }

    #[cfg(not(unix))]
    fn watching(_: &Mailbox, _: Option<Editor>) -> Result<Input, String> {
        Err("this system can only receive in a thread".to_owned())
    }

    fn threaded(mailbox: &Arc<Mailbox>, screen: &Arc<Screen>, editor: Option<Editor>) -> Result<Input, String> {
        let leaving = Arc::new(AtomicBool::new(false));
        let (mailbox, screen, left) = (Arc::clone(mailbox), Arc::clone(screen), Arc::clone(&leaving));
        let receive = move || receive_until(&mailbox, &screen, &left);
        thread::Builder::new().name("receiver".to_owned()).spawn(receive).map_err(|error| error.to_string())?;
        let plain = || Source::Plain(io::stdin().lock());
        let source = editor.map_or_else(plain, |editor| Source::Edited(Box::new(editor)));
        Ok(Input::Threaded(source, leaving))
    }
}

/// Prints all received messages. The end of the connection ends the program, because its input may never end.
fn receive_until(mailbox: &Mailbox, screen: &Screen, leaving: &AtomicBool) {
    loop {
        match receive(mailbox, screen) {
            Ok(()) => {}
            Err(_) if leaving.load(Ordering::Acquire) => return,
            Err(message) => {
                screen.abandon();
                editor::restore();
                let _ = writeln!(io::stderr(), "spuser: {message}");
                process::exit(1);
            }
        }
    }
}

fn receive(mailbox: &Mailbox, screen: &Screen) -> Result<(), String> {
    let received = mailbox.receive().map_err(|error| format!("cannot receive: {error}"))?;
    screen.print(show::received(&received, mailbox.private_group()));
    Ok(())
}

/// One person's session.
struct User {
    mailbox: Arc<Mailbox>,
    screen: Arc<Screen>,
    input: Input,
    /// Messages sent so far.
    sent: u64,
    /// Bytes of the messages of the last burst.
    size: usize,
}

impl User {
    fn run(&mut self) -> Result<(), String> {
        while let Some(line) = self.ask("spuser> ")? {
            if self.obey(&String::from_utf8_lossy(&line))?.is_break() {
                break;
            }
        }
        match &self.input {
            #[cfg(unix)]
            Input::Watching(_) => {}
            Input::Threaded(_, leaving) => leaving.store(true, Ordering::Release),
        }
        self.mailbox.disconnect();
        Ok(())
    }

    fn show_menu(&self) {
        self.screen.print(MENU);
        if self.watches() {
            self.screen.print(EVENTS_MENU);
        }
    }

    /// The next line; `None` at the end of the input.
    fn ask(&mut self, prompt: &'static str) -> Result<Option<Vec<u8>>, String> {
        self.screen.ask(prompt);
        let line = match &mut self.input {
            #[cfg(unix)]
            Input::Watching(both) => {
                both.ask(prompt);
                both.read(&self.mailbox, || receive(&self.mailbox, &self.screen))
            }
            Input::Threaded(source, _) => source.read(prompt).map_err(|error| error.to_string()),
        };
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
            'j' => self.change(&words, Mailbox::join),
            'l' => self.change(&words, Mailbox::leave),
            's' => self.send_line(&words)?,
            'm' => self.send_lines(&words)?,
            'b' => self.send_burst(&words)?,
            'q' => return Ok(Break(())),
            'r' if self.watches() => receive(&self.mailbox, &self.screen)?,
            'p' if self.watches() => self.screen.print(format_args!("{} bytes wait", self.mailbox.bytes_waiting())),
            'e' if self.watches() => self.switch(Mail::Taken)?,
            'd' if self.watches() => self.switch(Mail::Waiting)?,
            _ => {
                self.screen.print(format_args!("unknown command: {}", command.escape_default()));
                self.show_menu();
            }
        }
        Ok(Continue(()))
    }

    fn change(&self, words: &[&str], request: impl Fn(&Mailbox, Name) -> Result<(), GroupError>) {
        let Some(groups) = self.groups(&words[..words.len().min(1)]) else { return };
        if let Err(error) = request(&self.mailbox, groups[0]) {
            self.screen.print(format_args!("cannot join or leave {}: {error}", groups[0]));
        }
    }

    fn send_line(&mut self, words: &[&str]) -> Result<(), String> {
        let Some(groups) = self.groups(words) else { return Ok(()) };
        match self.ask("message> ")? {
            Some(line) => self.send(FrameType::SAFE, &groups, 1, &line),
            None => Ok(()),
        }
    }

    fn send_lines(&mut self, words: &[&str]) -> Result<(), String> {
        let Some(groups) = self.groups(words) else { return Ok(()) };
        let mut body = Vec::new();
        while let Some(line) = self.ask("message, empty line ends> ")? {
            if line == b"\n" {
                break;
            }
            // One line more than the limit is enough to see that the message is too long.
            if body.len() <= LONGEST {
                body.extend_from_slice(&line);
            }
        }
        if body.len() > LONGEST {
            self.screen.print(format_args!("not sent: longer than {LONGEST} bytes"));
            return Ok(());
        }
        self.send(FrameType::SAFE, &groups, 1, &body)
    }

    fn send_burst(&mut self, words: &[&str]) -> Result<(), String> {
        let own = self.mailbox.private_group();
        let groups = if words.is_empty() { Some(vec![own]) } else { self.groups(&words[..1]) };
        let Some(groups) = groups else { return Ok(()) };
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
            self.send(FrameType::FIFO, &groups, 2, &body)?;
        }
        self.screen.print(format_args!("sent {BURST} messages of {} bytes, {} messages in all", self.size, self.sent));
        Ok(())
    }

    fn send(&mut self, service: FrameType, groups: &[Name], mess_type: i16, body: &[u8]) -> Result<(), String> {
        let sent = self.mailbox.multicast(service, groups, mess_type, body);
        sent.map_err(|error| format!("cannot send: {error}"))?;
        self.sent += 1;
        Ok(())
    }

    /// The groups of these names. If they cannot be names, prints why.
    fn groups(&self, words: &[&str]) -> Option<Vec<Name>> {
        if words.is_empty() || words.len() > GROUPS {
            self.screen.print(format_args!("name a group, at most {GROUPS} to send to"));
            return None;
        }
        let groups: Result<Vec<Name>, _> = words.iter().map(|word| Name::new(word.as_bytes())).collect();
        if groups.is_err() {
            self.screen.print("a group name has at most 31 bytes");
        }
        groups.ok()
    }

    /// Whether the loop receives, so that messages can wait.
    fn watches(&self) -> bool {
        !matches!(self.input, Input::Threaded(..))
    }

    fn switch(&mut self, mail: Mail) -> Result<(), String> {
        match &mut self.input {
            #[cfg(unix)]
            Input::Watching(both) => both.switch(&self.mailbox, mail).map_err(|error| error.to_string())?,
            Input::Threaded(..) => {}
        }
        self.screen.print(match mail {
            Mail::Taken => "automatic receiving is on",
            Mail::Waiting => "automatic receiving is off",
        });
        Ok(())
    }
}
