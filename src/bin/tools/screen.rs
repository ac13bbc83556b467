//! The terminal of an interactive tool, where messages may come while a line is being typed: what is printed takes the prompt's
//! place, and the prompt comes again below it. Where lines are edited, the editor sees to that. Without a terminal there is no
//! prompt, and the output is lines only.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use parking_lot::Mutex;

use super::editor::Printer;

/// Returns to the line's beginning and erases the line.
const ERASE: &str = "\r\x1b[K";

/// Standard output, shared by threads that print.
pub struct Screen {
    terminal: bool,
    /// What stands before the cursor; empty while nothing is asked.
    prompt: Mutex<&'static str>,
    /// The editor's way to print, if there is an editor.
    printer: Mutex<Option<Printer>>,
}

impl Screen {
    /// With prompts if a person sits there; they are the editor's, if there is one.
    pub fn new(printer: Option<Printer>) -> Screen {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && printer.is_none();
        Screen { terminal, prompt: Mutex::new(""), printer: Mutex::new(printer) }
    }

    /// Shows that a line is awaited.
    pub fn ask(&self, prompt: &'static str) {
        if self.terminal {
            let mut shown = self.prompt.lock();
            *shown = prompt;
            self.write(prompt);
        }
    }

    /// Notes that the line came.
    pub fn answered(&self) {
        *self.prompt.lock() = "";
    }

    /// Leaves the line of a question that nobody answers any more.
    pub fn abandon(&self) {
        let mut shown = self.prompt.lock();
        if !shown.is_empty() {
            *shown = "";
            self.write("\n");
        }
    }

    /// Prints lines, now.
    pub fn print(&self, text: impl Display) {
        if let Some(print) = &mut *self.printer.lock() {
            return print(format!("{text}\n"));
        }
        match *self.prompt.lock() {
            "" => self.write(&format!("{text}\n")),
            prompt => self.write(&format!("{ERASE}{text}\n{prompt}")),
        }
    }

    /// A reader that closed our output does not want it, and the work goes on.
    fn write(&self, text: &str) {
        let mut output = io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }
}
