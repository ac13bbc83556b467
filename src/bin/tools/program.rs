//! How every tool begins and ends: its arguments, one line to standard error for whatever went wrong, and the exit status.
//!
//! The status is 0 or 1, for arguments too: scripts of the classic tools know no other.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// Parses the arguments, the program's name first, and runs the tool.
pub fn run<A: Parser>(
    arguments: impl Iterator<Item = OsString>,
    tool: impl FnOnce(&A) -> Result<(), String>,
) -> ExitCode {
    match A::try_parse_from(arguments) {
        Ok(arguments) => match tool(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail::<A>(&message),
        },
        Err(answer) => {
            // Whoever closed the terminal does not want the answer.
            let _ = answer.print();
            if answer.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

/// Prints a line. Whoever closed our output does not want it, and the work goes on.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn fail<A: Parser>(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}: {message}", A::command().get_name());
    ExitCode::FAILURE
}
