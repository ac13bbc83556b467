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
    send(stream, &request.encode())?;
    let allowed = read_list(stream, deadline)?;
    let choice = auth::choose(methods, &allowed).ok_or(ConnectError::Refused(Refusal::AUTH))?;
    send(stream, &choice.encode())?;
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

/// Sends a part of the handshake. A daemon that is full refuses and closes before it reads. Then sending fails, and its refusal may
/// wait in the socket.
fn send(stream: &Stream, bytes: &[u8]) -> Result<(), ConnectError> {
    stream.write_all(&mut [IoSlice::new(bytes)]).map_err(|error| match ConnectError::from(error) {
        ConnectError::Closed => refusal(stream).map_or(ConnectError::Closed, ConnectError::Refused),
        error => error,
    })
}

/// The refusal at the front of what the daemon said before it closed. It is one byte in place of a list or an answer.
fn refusal(stream: &Stream) -> Option<Refusal> {
    // A daemon that only reads no more has perhaps said nothing, and must not make the client wait.
    if stream.bytes_waiting() == 0 {
        return None;
    }
    let mut byte = [0];
    stream.read_all(&mut [IoSliceMut::new(&mut byte)]).ok()?;
    match MethodList::decode(&byte) {
        Err(ListError::Refused(refusal)) => Some(refusal),
        _ => None,
    }
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::client::Address;
    use crate::wire::MethodName;

    fn open_with(stream: &Stream, deadline: Deadline) -> Result<Name, ConnectError> {
        open(stream, &ConnectOptions::default(), &[AuthMethod::null()], deadline)
    }

    #[test]
    fn a_daemon_that_refuses_and_closes_before_it_reads_has_refused() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(&[Refusal::QUOTA.encode()]).unwrap();
        drop(far);
        assert_eq!(open_with(&Stream::over(near), None), Err(ConnectError::Refused(Refusal::QUOTA)));
    }

    #[test]
    fn a_daemon_that_closes_without_a_word_or_reads_no_more_has_closed() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert_eq!(open_with(&Stream::over(near), None), Err(ConnectError::Closed));
        // Its end stays open, so that a read would wait for ever.
        let (near, far) = UnixStream::pair().unwrap();
        far.shutdown(Shutdown::Read).unwrap();
        assert_eq!(open_with(&Stream::over(near), None), Err(ConnectError::Closed));
        drop(far);
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(&MethodList(vec![MethodName::NULL]).encode()).unwrap();
        drop(far);
        assert_eq!(open_with(&Stream::over(near), None), Err(ConnectError::Closed));
    }

    /// The daemon closes with bytes that it has not read, so its system resets the connection. Linux keeps what came before that.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_refusal_that_came_before_a_reset_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Remote("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let stream = Stream::connect(&address, None).unwrap();
        let mut far = listener.accept().unwrap().0;
        stream.write_all(&mut [IoSlice::new(b"unread")]).unwrap();
        far.read_exact(&mut [0]).unwrap();
        far.write_all(&[Refusal::QUOTA.encode()]).unwrap();
        drop(far);
        while !stream.has_ended() {
            std::hint::spin_loop();
        }
        assert_eq!(open_with(&stream, None), Err(ConnectError::Refused(Refusal::QUOTA)));
    }
}
