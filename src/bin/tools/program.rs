//! The frame of every tool: its arguments, one line on standard error for an error, and the exit status.
//!
//! The status is 0 or 1, also for wrong arguments, because scripts of the classic tools know no other. `--completion SHELL` prints a
//! script with which a shell completes the tool's options. It is for packages, so the help does not list it.

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
            // An error means that nobody reads the output.
            let _ = answer.print();
            if answer.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// The result of a tool that did its work, for scripts.
pub trait Status {
    /// The exit status.
    fn exit_code(self) -> ExitCode;
}

/// A tool that only reports success.
impl Status for () {
    fn exit_code(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

/// A tool with a status of its own.
impl Status for ExitCode {
    fn exit_code(self) -> ExitCode {
        self
    }
}

/// Prints a line. If nobody reads the output, the work goes on.
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
