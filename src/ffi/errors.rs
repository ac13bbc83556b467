//! The one table from `client`'s errors to the classic codes, and from codes to words.

use std::ffi::{CStr, CString, c_char, c_int};

use super::flush::{ILLEGAL_MESSAGE_TYPE, ILLEGAL_PARAM, ILLEGAL_RECEIVERS, ILLEGAL_STATE, WOULD_BLOCK};
use super::guard_or;
use super::types::*;
use crate::client::flush::{CastError, FlushError, FlushReceiveError};
use crate::client::{ConnectError, GroupError, Lost, MembershipError, ReceiveError, SendError};

/// A classic error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub c_int);

impl From<ConnectError> for Code {
    fn from(error: ConnectError) -> Code {
        Code(match error {
            ConnectError::IllegalAddress => ILLEGAL_SPREAD,
            ConnectError::Unreachable | ConnectError::Untrusted(_) => COULD_NOT_CONNECT,
            ConnectError::Refused(refusal) => c_int::from(refusal.0),
            ConnectError::Closed | ConnectError::TimedOut => CONNECTION_CLOSED,
            ConnectError::TooManyMailboxes => REJECT_QUOTA,
        })
    }
}

impl From<Lost> for Code {
    fn from(lost: Lost) -> Code {
        Code(match lost {
            Lost::Now => CONNECTION_CLOSED,
            Lost::Before => NET_ERROR_ON_SESSION,
        })
    }
}

impl From<GroupError> for Code {
    fn from(error: GroupError) -> Code {
        match error {
            GroupError::IllegalGroup => Code(ILLEGAL_GROUP),
            GroupError::Lost(lost) => lost.into(),
        }
    }
}

impl From<SendError> for Code {
    fn from(error: SendError) -> Code {
        match error {
            SendError::NoService => Code(ILLEGAL_SERVICE),
            SendError::TooManyGroups => Code(ILLEGAL_GROUP),
            SendError::TooLong => Code(MESSAGE_TOO_LONG),
            SendError::Lost(lost) => lost.into(),
        }
    }
}

impl From<ReceiveError> for Code {
    fn from(error: ReceiveError) -> Code {
        match error {
            ReceiveError::Malformed => Code(ILLEGAL_MESSAGE),
            ReceiveError::TooLong => Code(BUFFER_TOO_SHORT),
            ReceiveError::Lost(lost) => lost.into(),
        }
    }
}

impl From<MembershipError> for Code {
    fn from(error: MembershipError) -> Code {
        Code(match error {
            MembershipError::NotMembership => ILLEGAL_MESSAGE,
            MembershipError::TooShort => BUFFER_TOO_SHORT,
        })
    }
}

impl From<FlushError> for Code {
    fn from(error: FlushError) -> Code {
        match error {
            FlushError::IllegalGroup => Code(ILLEGAL_GROUP),
            FlushError::IllegalState => Code(ILLEGAL_STATE),
            FlushError::Lost(lost) => lost.into(),
        }
    }
}

impl From<CastError> for Code {
    fn from(error: CastError) -> Code {
        match error {
            CastError::IllegalService => Code(ILLEGAL_SERVICE),
            CastError::IllegalMessType => Code(ILLEGAL_MESSAGE_TYPE),
            CastError::Group(error) => error.into(),
            CastError::IllegalReceivers => Code(ILLEGAL_RECEIVERS),
            CastError::Send(error) => error.into(),
        }
    }
}

impl From<FlushReceiveError> for Code {
    fn from(error: FlushReceiveError) -> Code {
        match error {
            FlushReceiveError::WouldBlock => Code(WOULD_BLOCK),
            FlushReceiveError::Receive(error) => error.into(),
        }
    }
}

/// Prints a line about an error code to standard output.
#[unsafe(no_mangle)]
pub extern "C" fn SP_error(error: c_int) {
    guard_or((), || print("SP_error", error, words(error)));
}

/// Prints a line about a code of the Flush layer; about any other code the line of [`SP_error`].
pub(super) fn print_flush(error: c_int) {
    match flush_words(error) {
        Some(words) => print("FL_error", error, words),
        None => print("SP_error", error, words(error)),
    }
}

/// A line to standard output.
fn print(function: &str, error: c_int, words: &CStr) {
    let line = CString::new(format!("{function}: ({error}) {}", words.to_string_lossy())).unwrap_or_default();
    // C's own output function, so that the line keeps its place among the program's.
    // SAFETY: the string ends with a NUL and outlives the call.
    unsafe { libc::puts(line.as_ptr()) };
}

/// A short English text about an error code. It is constant and needs no release.
#[unsafe(no_mangle)]
pub extern "C" fn SP_strerror(error: c_int) -> *const c_char {
    guard_or(c"".as_ptr(), || words(error).as_ptr())
}

fn words(error: c_int) -> &'static CStr {
    match error {
        ILLEGAL_SPREAD => c"the daemon name is not valid or its host is not known",
        COULD_NOT_CONNECT => c"no daemon could be reached",
        REJECT_QUOTA => c"there are too many connections",
        REJECT_NO_NAME => c"a private name is needed",
        REJECT_ILLEGAL_NAME => c"the private name is not allowed",
        REJECT_NOT_UNIQUE => c"the private name is in use",
        REJECT_VERSION => c"library and daemon versions do not fit",
        CONNECTION_CLOSED => c"the connection was closed",
        REJECT_AUTH => c"authentication failed",
        ILLEGAL_SESSION => c"there is no such mailbox",
        ILLEGAL_SERVICE => c"the service type is not valid",
        ILLEGAL_MESSAGE => c"the message is not valid",
        ILLEGAL_GROUP => c"the group name is not valid",
        BUFFER_TOO_SHORT => c"the buffer is too short for the message",
        GROUPS_TOO_SHORT => c"the array is too short for the groups",
        MESSAGE_TOO_LONG => c"the message is too long",
        NET_ERROR_ON_SESSION => c"the connection was closed before",
        SP_BUG => c"an error inside the library",
        _ => c"not a known error code",
    }
}

/// As [`words`], for the codes that only the Flush layer has.
fn flush_words(error: c_int) -> Option<&'static CStr> {
    Some(match error {
        ILLEGAL_PARAM => c"an argument is not valid",
        WOULD_BLOCK => c"there is nothing to receive now",
        ILLEGAL_MESSAGE_TYPE => c"the message type is reserved",
        ILLEGAL_STATE => c"the call is not possible at this time",
        ILLEGAL_RECEIVERS => c"a receiver is not in the view",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Refusal;

    #[test]
    fn a_refusal_is_its_own_code() {
        for code in [-9, -1, 0, 2, 5] {
            assert_eq!(Code::from(ConnectError::Refused(Refusal(code))), Code(c_int::from(code)));
        }
        assert_eq!(Refusal::ILLEGAL_NAME.0, REJECT_ILLEGAL_NAME as i8);
        assert_eq!(Refusal::VERSION.0, REJECT_VERSION as i8);
        assert_eq!(Refusal::AUTH.0, REJECT_AUTH as i8);
    }

    #[test]
    fn a_broken_connection_has_two_codes() {
        assert_eq!(Code::from(SendError::Lost(Lost::Now)), Code(CONNECTION_CLOSED));
        assert_eq!(Code::from(ReceiveError::Lost(Lost::Before)), Code(NET_ERROR_ON_SESSION));
    }

    #[test]
    fn every_code_has_its_own_words() {
        let known: Vec<_> = (-19..=-1).filter(|&code| code != -10).map(words).collect();
        let unknown = words(0);
        assert!(known.iter().all(|&text| text != unknown && known.iter().filter(|&&other| other == text).count() == 1));
        assert!([-10, 1, 2, -20, -24, c_int::MIN].iter().all(|&code| words(code) == unknown));
        let flush: Vec<_> = (-28..=-24).map(|code| flush_words(code).unwrap()).collect();
        assert!(
            flush.iter().all(|text| !known.contains(text) && flush.iter().filter(|&other| other == text).count() == 1)
        );
        assert_eq!((flush_words(-8), flush_words(-20)), (None, None));
    }
}
