//! The client's half of the handshake, from the connect request to the private group.
//!
//! Bytes are read one at a time. Authentication methods and frames follow on the same stream, and others must read
//! them.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};

use super::auth::{self, AuthMethod};
use super::transport::{Deadline, Stream};
use super::{ConnectError, ConnectOptions};
use crate::wire::{
    Answer, AnswerError, Arrived, ConnectRequest, ListError, MethodList, Name, PrivateName, Refusal, Version,
};

/// Oldest daemon that understands priorities.
const OLDEST_WITH_PRIORITY: Version = Version::new(3, 8, 0);

/// Opens a session on a fresh stream and returns its private group.
pub fn open(
    stream: &Stream,
    options: &ConnectOptions,
    methods: &[AuthMethod],
    deadline: Deadline,
) -> Result<Name, ConnectError> {
    let request = request(options)?;
    stream.set_deadline(deadline)?;
    stream.write_all(&mut [IoSlice::new(&request.encode())])?;
    let allowed = read_list(stream, deadline)?;
    let choice = auth::choose(methods, &allowed).ok_or(ConnectError::Refused(Refusal::AUTH))?;
    stream.write_all(&mut [IoSlice::new(&choice.encode())])?;
    converse(stream, methods)?;
    let answer = read_answer(stream, deadline)?;
    stream.set_deadline(None)?;
    let oldest = if request.priority > 0 { OLDEST_WITH_PRIORITY } else { Version::OLDEST };
    if answer.version.is_older_than(oldest) {
        return Err(ConnectError::Refused(Refusal::VERSION));
    }
    Ok(answer.private_group)
}

/// The request. A long private name is cut, as in the classic library. A name with other characters is refused here,
/// because every daemon would refuse it.
fn request(options: &ConnectOptions) -> Result<ConnectRequest, ConnectError> {
    let name = options.private_name.as_bytes();
    let name = match &name[..name.len().min(PrivateName::LIMIT)] {
        [] => None,
        name => Some(PrivateName::new(name).ok_or(ConnectError::Refused(Refusal::ILLEGAL_NAME))?),
    };
    Ok(ConnectRequest {
        version: Version::OURS,
        membership: options.membership,
        priority: options.priority.min(1),
        name,
    })
}

/// Runs the client's part of every method; one that fails does not keep the others from running.
fn converse(stream: &Stream, methods: &[AuthMethod]) -> Result<(), ConnectError> {
    stream.set_deadline(None)?;
    let failed = methods.iter().filter(|method| !method.converse(stream.descriptor())).count();
    if failed > 0 { Err(ConnectError::Refused(Refusal::AUTH)) } else { Ok(()) }
}

fn read_list(stream: &Stream, deadline: Deadline) -> Result<MethodList, ConnectError> {
    read(stream, deadline, MethodList::decode)?.map_err(|error| match error {
        ListError::Refused(refusal) => ConnectError::Refused(refusal),
        ListError::TooLong => ConnectError::Closed,
    })
}

fn read_answer(stream: &Stream, deadline: Deadline) -> Result<Answer, ConnectError> {
    read(stream, deadline, |bytes| Answer::decode(bytes, Version::OURS))?.map_err(|error| match error {
        AnswerError::Refused(refusal) => ConnectError::Refused(refusal),
        AnswerError::NameTooLong => ConnectError::Closed,
    })
}

/// Reads byte by byte until `decode` has a value or an error. The decoders themselves limit how long that takes.
fn read<T, E>(
    stream: &Stream,
    deadline: Deadline,
    decode: impl Fn(&[u8]) -> Result<Arrived<T>, E>,
) -> Result<Result<T, E>, ConnectError> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        // Sockets have a time-out for one call and no deadline. So the rest of the time is set before each byte.
        if deadline.is_some() {
            stream.set_deadline(deadline)?;
        }
        stream.read_all(&mut [IoSliceMut::new(&mut byte)])?;
        bytes.extend_from_slice(&byte);
        match decode(&bytes) {
            Ok(None) => {}
            Ok(Some((value, _))) => return Ok(Ok(value)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> ConnectError {
        match error.kind() {
            // Which of the two reports a time-out depends on the system.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ConnectError::TimedOut,
            _ => ConnectError::Closed,
        }
    }
}
