//! How every tool begins and ends: its arguments, one line to standard error for whatever went wrong, and the exit status.
//!
//! The status is 0 or 1, for arguments too: scripts of the classic tools know no other. `--completion SHELL` prints what a shell
//! needs to complete the tool's options; it is for who installs the tools, so the help does not have it.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap_complete::Shell;

/// Parses the arguments, the program's name first, and runs the tool.
pub fn run<A: Parser, S: Status>(
    arguments: impl Iterator<Item = OsString>,
    tool: impl FnOnce(&A) -> Result<S, String>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    if let [_, option, shell] = &arguments[..]
        && option == "--completion"
    {
        return complete::<A>(&shell.to_string_lossy());
    }
    match A::try_parse_from(arguments) {
        Ok(arguments) => match tool(&arguments) {
            Ok(status) => status.exit_code(),
            Err(message) => fail::<A>(&message),
        },
        Err(answer) => {
            // Whoever closed the terminal does not want the answer.
            let _ = answer.print();
            if answer.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// What a tool that did its work says to scripts.
pub trait Status {
    /// The exit status.
    fn exit_code(self) -> ExitCode;
}

/// A tool that has nothing to say but that it did its work.
impl Status for () {
    fn exit_code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// A tool that tells scripts more.
impl Status for ExitCode {
    fn exit_code(self) -> ExitCode {
        self
    }
}

/// Prints a line. A reader that closed our output does not want it, and the work goes on.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints the completions for a shell.
fn complete<A: Parser>(shell: &str) -> ExitCode {
    match shell.parse::<Shell>() {
        Ok(shell) => {
            let mut command = A::command();
            let name = command.get_name().to_owned();
            clap_complete::generate(shell, &mut command, name, &mut io::stdout());
            ExitCode::SUCCESS
        }
        Err(_) => fail::<A>(&format!("there are no completions for {shell}")),
    }
}

fn fail<A: Parser>(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}: {message}", A::command().get_name());
    ExitCode::FAILURE
}
