//! Reads lines that a person types at a terminal, with cursor keys and a history. Lines of scripts do not come here.
//!
//! While a line is edited, the terminal is in another mode. The program may end in the middle of a line, so it must call [`restore`]
//! last.

use std::io::{self, IsTerminal};
#[cfg(unix)]
use std::sync::OnceLock;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, ExternalPrinter};

/// Lines that are remembered.
const REMEMBERED: usize = 500;

/// The terminal's settings before the first line.
#[cfg(unix)]
static BEFORE: OnceLock<libc::termios> = OnceLock::new();

/// A person's terminal.
pub struct Editor(rustyline::Editor<(), DefaultHistory>);

/// Prints lines while a line is edited.
pub type Printer = Box<dyn FnMut(String) + Send>;

impl Editor {
    /// The terminal, and a way to print while a line is edited; `None` if lines cannot be edited here.
    pub fn open() -> Option<(Editor, Printer)> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        remember();
        let config = Config::builder().max_history_size(REMEMBERED).ok()?.auto_add_history(true).build();
        let mut editor = rustyline::Editor::with_config(config).ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        // An error means that nobody reads the output; the work goes on.
        let print = move |text: String| _ = printer.print(text);
        Some((Editor(editor), Box::new(print)))
    }

    /// The next line with its newline; `None` at the end of the input.
    pub fn read(&mut self, prompt: &str) -> io::Result<Option<Vec<u8>>> {
        match self.0.readline(prompt) {
            Ok(line) => Ok(Some((line + "\n").into_bytes())),
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }
}

/// Restores the terminal's settings.
pub fn restore() {
    #[cfg(unix)]
    if let Some(before) = BEFORE.get() {
        // SAFETY: the system gave these settings.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, before) };
    }
}

fn remember() {
    #[cfg(unix)]
    remember_settings();
}

#[cfg(unix)]
fn remember_settings() {
    // SAFETY: settings are numbers, so that all zeros are some.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the result is there for the call.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut settings) } == 0 {
        BEFORE.get_or_init(|| settings);
    }
}
