//! Commands, line by line: from standard input alone, or from standard input and a mailbox at once.
//!
//! Standard input may be a file, which no poll can watch. So a thread reads it, and wakes the loop that watches the mailbox. With an
//! editor the thread waits until a line is asked for, because the prompt must appear first.

use std::io::{self, BufRead, Read, StdinLock};

use super::editor::Editor;

/// The most bytes of a line; a longer one is continued in the next.
const LINE_LIMIT: u64 = 102_400;

/// The next line with its newline; `None` at the end of the input.
pub fn read(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.take(LINE_LIMIT).read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}

/// Where lines come from.
pub enum Source {
    /// A file or a pipe, or a terminal where nothing can be edited.
    Plain(StdinLock<'static>),
    /// A person.
    Edited(Box<Editor>),
}

impl Source {
    /// The next line with its newline; `None` at the end of the input. A person sees the prompt.
    pub fn read(&mut self, prompt: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Source::Plain(stdin) => read(stdin),
            Source::Edited(editor) => editor.read(prompt),
        }
    }
}

/// The treatment of messages while the tool waits for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// They are taken as they come.
    Taken,
    /// They wait in the mailbox.
    Waiting,
}

#[cfg(unix)]
pub use both::Both;

#[cfg(unix)]
mod both {
    use std::io::{self, ErrorKind};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
    use std::thread;

    use mio::event::Event;
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token, Waker};
    use spread::client::Mailbox;

    use super::{Editor, Mail, Source};

    /// Lines that may wait for the loop; with more, the reading thread waits.
    const LINES_WAITING: usize = 16;
    /// Messages that are taken before the loop checks for a line again.
    const MESSAGES_AT_ONCE: usize = 100;

    const MAIL: Token = Token(0);
    const LINE: Token = Token(1);

    /// Waits for a line and for messages.
    pub struct Both {
        poll: Poll,
        events: Events,
        lines: Receiver<io::Result<Vec<u8>>>,
        /// Passes prompts to the editor, if there is one.
        prompts: Option<SyncSender<&'static str>>,
        /// The waker of the reading thread. It is kept so that a wake from the end of the thread is not lost.
        _waker: Arc<Waker>,
        mail: Mail,
        /// The daemon closed the connection, so there is an error to receive.
        closed: bool,
    }

    impl Both {
        /// Begins to read standard input or the editor, and to watch the mailbox.
        pub fn new(mailbox: &Mailbox, editor: Option<Editor>) -> io::Result<Both> {
            let poll = Poll::new()?;
            let _waker = Arc::new(Waker::new(poll.registry(), LINE)?);
            let (sender, lines) = sync_channel(LINES_WAITING);
            let waker = Arc::clone(&_waker);
            let (ask, asked) = sync_channel(1);
            let prompts = editor.is_some().then_some(ask);
            let read = move || match editor {
                Some(editor) => {
                    let mut source = Source::Edited(Box::new(editor));
                    pass_on(sender, &waker, || source.read(asked.recv().ok()?).transpose());
                }
                None => {
                    let mut source = Source::Plain(io::stdin().lock());
                    pass_on(sender, &waker, || source.read("").transpose());
                }
            };
            thread::Builder::new().name("input".to_owned()).spawn(read)?;
            let events = Events::with_capacity(8);
            let mut both = Both { poll, events, lines, prompts, _waker, mail: Mail::Waiting, closed: false };
            both.switch(mailbox, Mail::Taken)?;
            Ok(both)
        }

        /// Lets the editor show the prompt of the next line.
        pub fn ask(&self, prompt: &'static str) {
            // An error means that the input has ended; the loop finds that out itself.
            self.prompts.iter().for_each(|prompts| _ = prompts.send(prompt));
        }

        /// Changes what happens to messages.
        pub fn switch(&mut self, mailbox: &Mailbox, mail: Mail) -> io::Result<()> {
            let (registry, descriptor) = (self.poll.registry(), mailbox.descriptor());
            match (self.mail, mail) {
                (Mail::Waiting, Mail::Taken) => {
                    registry.register(&mut SourceFd(&descriptor), MAIL, Interest::READABLE)?;
                }
                (Mail::Taken, Mail::Waiting) => registry.deregister(&mut SourceFd(&descriptor))?,
                _ => {}
            }
            self.mail = mail;
            Ok(())
        }

        /// The next line; `None` at the end of the input. Until it is there, calls `take` for every message.
        pub fn read(
            &mut self,
            mailbox: &Mailbox,
            mut take: impl FnMut() -> Result<(), String>,
        ) -> Result<Option<Vec<u8>>, String> {
            loop {
                let more = self.mail == Mail::Taken && self.take_some(mailbox, &mut take)?;
                match self.lines.try_recv() {
                    Ok(line) => return line.map(Some).map_err(|error| error.to_string()),
                    Err(TryRecvError::Disconnected) => return Ok(None),
                    Err(TryRecvError::Empty) if more => {}
                    Err(TryRecvError::Empty) => self.wait().map_err(|error| error.to_string())?,
                }
            }
        }

        /// Takes messages that wait, up to a limit. Returns whether there may be more.
        fn take_some(
            &mut self,
            mailbox: &Mailbox,
            take: &mut impl FnMut() -> Result<(), String>,
        ) -> Result<bool, String> {
            for _ in 0..MESSAGES_AT_ONCE {
                if mailbox.bytes_waiting() == 0 && !self.closed {
                    return Ok(false);
                }
                take()?;
            }
            Ok(true)
        }

        fn wait(&mut self) -> io::Result<()> {
            match self.poll.poll(&mut self.events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let closed = |event: &Event| event.token() == MAIL && (event.is_read_closed() || event.is_error());
            self.closed |= self.events.iter().any(closed);
            Ok(())
        }
    }

    /// Passes on line by line, and wakes the loop for each. At the end it wakes the loop once more.
    fn pass_on(
        sender: SyncSender<io::Result<Vec<u8>>>,
        waker: &Waker,
        mut next: impl FnMut() -> Option<io::Result<Vec<u8>>>,
    ) {
        while let Some(line) = next() {
            let failed = line.is_err();
            if sender.send(line).is_err() || waker.wake().is_err() || failed {
                break;
            }
        }
        drop(sender);
        // An error means that the loop has already ended.
        let _ = waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_newline_and_the_last_may_lack_it() {
        let mut input = &b"j g\n\nq"[..];
        for line in [Some(&b"j g\n"[..]), Some(b"\n"), Some(b"q"), None] {
            assert_eq!(read(&mut input).unwrap().as_deref(), line);
        }
    }

    #[test]
    fn a_line_has_at_most_102400_bytes() {
        let long = [b'x'; 102_401];
        let mut input = &long[..];
        assert_eq!(read(&mut input).unwrap().map(|line| line.len()), Some(102_400));
        assert_eq!(read(&mut input).unwrap().map(|line| line.len()), Some(1));
    }
}
