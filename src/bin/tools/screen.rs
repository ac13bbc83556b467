//! The terminal of an interactive tool. Messages may come while a person types a line: they are printed in the place of the prompt, and
//! the prompt appears again below. If there is an editor, it does that. Without a terminal there is no prompt, only lines.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use parking_lot::Mutex;

use super::editor::Printer;

/// Returns to the line's beginning and erases the line.
const ERASE: &str = "\r\x1b[K";

/// Standard output, shared by threads that print.
pub struct Screen {
    terminal: bool,
    /// The text before the cursor; empty while no line is awaited.
    prompt: Mutex<&'static str>,
    /// The editor's way to print, if there is an editor.
    printer: Mutex<Option<Printer>>,
}

impl Screen {
    /// Shows prompts if input and output are a terminal. If there is an editor, it shows them.
    pub fn new(printer: Option<Printer>) -> Screen {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && printer.is_none();
        Screen { terminal, prompt: Mutex::new(""), printer: Mutex::new(printer) }
    }

    /// Shows a prompt.
    pub fn ask(&self, prompt: &'static str) {
        if self.terminal {
            let mut shown = self.prompt.lock();
            *shown = prompt;
            self.write(prompt);
        }
    }

    /// The line came, so the prompt is no longer shown.
    pub fn answered(&self) {
        *self.prompt.lock() = "";
    }

    /// Ends the line of a prompt that gets no answer.
    pub fn abandon(&self) {
        let mut shown = self.prompt.lock();
        if !shown.is_empty() {
            *shown = "";
            self.write("\n");
        }
    }

    /// Prints lines at once.
    pub fn print(&self, text: impl Display) {
        if let Some(print) = &mut *self.printer.lock() {
            return print(format!("{text}\n"));
        }
        match *self.prompt.lock() {
            "" => self.write(&format!("{text}\n")),
            prompt => self.write(&format!("{ERASE}{text}\n{prompt}")),
        }
    }

    /// Writes text. If nobody reads the output, the work goes on.
    fn write(&self, text: &str) {
        let mut output = io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    }
}
