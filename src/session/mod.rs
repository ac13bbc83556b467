//! One client's conversation with its daemon, without I/O.
//!
//! [`Session::handle_bytes`] takes received bytes, [`Session::poll_request`] returns the client's requests, and the [`Outbox`] holds the
//! frames to send. The session knows the protocol and who may connect. Its owner knows names, groups, order and time: it answers
//! [`Request::Hello`], and closes sessions whose handshake takes too long.
//!
//! ```text
//! greeting ── hello ──► admission ── admit ──► authentication ── good ──► open
//!     └─────────────────────┴── refused, violation, kill ──┴────────────────┴──► closed
//! ```

mod access;
mod config;
mod crypt;
mod handshake;
mod input;
mod open;
mod outbox;
mod password;
mod policy;
mod rules;

use std::fmt;

pub use access::{AccessError, AccessList};
pub use config::{Method, SessionSettings, SlowClient};
pub use outbox::{Frame, Outbox, Overflow};
pub use password::{Check, PasswordError, Passwords};
pub use policy::{Attempt, Denial, Policy};
pub use rules::{Action, GroupRules, Identity};

use crate::wire::{ConnectRequest, FrameHeader, Limits, Name, Refusal, Service, Slice};
use handshake::{Authentication, Authenticator};
use input::Input;
use open::Open;
use policy::Judge;

/// Looks up the number of a user of this machine.
pub type UserId<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// Where a client's connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The unix socket, by a user whom the system does not name.
    Unix,
    /// The unix socket, by this user.
    User(u32),
    /// TCP from this address.
    Tcp(std::net::IpAddr),
}

impl Peer {
    /// The source of the client, for limits that all clients of one source share.
    pub fn source(self) -> Source {
        match self {
            Peer::Unix => Source::Unix,
            Peer::User(uid) => Source::User(uid),
            Peer::Tcp(address) => Source::of(address),
        }
    }
}

/// Where a client comes from. Clients of one source share limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The unix socket, by a user whom the system does not name.
    Unix,
    /// A user of this machine.
    User(u32),
    /// An IPv4 address, or the first 64 bits of an IPv6 address: one host may have all addresses that begin so.
    Address(std::net::IpAddr),
}

impl Source {
    fn of(address: std::net::IpAddr) -> Source {
        Source::Address(match address.to_canonical() {
            std::net::IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

/// As the log names it: the rate limit of the log counts the lines of each text.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Unix => f.write_str("an unknown user"),
            Source::User(uid) => write!(f, "user {uid}"),
            Source::Address(address @ std::net::IpAddr::V4(_)) => address.fmt(f),
            Source::Address(prefix) => write!(f, "{prefix}/64"),
        }
    }
}

/// A request of a client, in the order of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The client says who it is. Answer with [`Session::admit`] or [`Session::refuse`]; until then there is no other request.
    Hello(ConnectRequest),
    /// Compare a password with the file, which takes long. Answer with [`Session::answer`]; until then there is no other request.
    Check(Check),
    /// The client has shown who it is. Answer with [`Session::open`] or [`Session::refuse`]; until then there is no other request.
    Authenticated,
    /// The client's answer waits in the outbox: the session is open.
    Opened,
    /// Join this group.
    Join(Name),
    /// Leave this group.
    Leave(Name),
    /// Multicast this frame.
    Multicast {
        /// The promise to keep.
        service: Service,
        /// The whole frame as receivers get it: a little-endian header, names without garbage, hint and data untouched.
        frame: Slice,
    },
    /// A rule for groups refused a request of the client, which has its answer: only count and log it.
    Denied(Denial),
    /// The client ends the session. Nothing follows, and the outbox need not be written.
    Kill,
    /// The client may not connect; the outbox holds the refusal. Nothing follows; a name given by `admit` is free again.
    Refused(Refusal),
    /// The client reads too slowly. Nothing follows; close the connection without an answer.
    Slow(Overflow),
    /// The client broke the protocol. Nothing follows; close the connection without an answer.
    Violation(Violation),
}

/// The result of a password check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Accepted,
    /// It is wrong, or for another reason the client may not connect.
    Refused(Refusal),
}

/// How a client broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not exactly one service or request bit.
    Kind,
    /// A bit that only daemons may set.
    Forbidden,
    /// The sender is not the session's own private group.
    Sender,
    /// A negative number of groups, or more than [`MAX_GROUPS`](crate::wire::MAX_GROUPS).
    Groups,
    /// Unknown bits in the hint.
    Hint,
    /// A negative data length, or more data and group names than [`SessionSettings::message_limit`].
    Length,
    /// More bytes came than may wait: the client does not wait for the end of the handshake.
    Flood,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Kind => "no single service or request",
            Violation::Forbidden => "a bit that clients may not set",
            Violation::Sender => "another sender than the session",
            Violation::Groups => "a number of groups out of range",
            Violation::Hint => "unknown bits in the hint",
            Violation::Length => "a length of a message out of range",
            Violation::Flood => "too many bytes before the end of the handshake",
        })
    }
}

/// Bytes that may wait until the session is open. The handshake is far shorter, and nothing may follow before its end.
const HANDSHAKE_LIMIT: usize = 16 << 10;

/// One client's conversation.
#[derive(Debug)]
pub struct Session {
    authenticator: Authenticator,
    message_limit: usize,
    judge: Judge,
    input: Input,
    outbox: Outbox,
    phase: SessionPhase,
}

#[derive(Debug)]
enum SessionPhase {
    Greeting,
    /// The owner has not yet answered this request.
    Admission(ConnectRequest),
    Authentication(Authentication),
    Open(Open),
    Closed,
}

/// The result of reading the bytes so far.
struct Step {
    request: Option<Request>,
    output: Option<Vec<u8>>,
    next: Option<SessionPhase>,
}

impl Step {
    fn stay(request: Request) -> Step {
        Step { request: Some(request), output: None, next: None }
    }

    fn enter(next: SessionPhase, request: Request) -> Step {
        Step { request: Some(request), output: None, next: Some(next) }
    }

    fn refuse(refusal: Refusal) -> Step {
        Step { output: Some(vec![refusal.encode()]), ..Step::enter(SessionPhase::Closed, Request::Refused(refusal)) }
    }
}

/// The answer to the question about limits.
fn limits(message_limit: usize) -> Limits {
    Limits { message: u32::try_from(message_limit).unwrap_or(u32::MAX) }
}

impl Session {
    /// A conversation with a client that has just connected.
    pub fn new(config: &SessionSettings, peer: Peer) -> Session {
        Session {
            authenticator: Authenticator::new(config, peer),
            message_limit: config.message_limit,
            judge: Judge::new(config, peer),
            input: Input::new(HANDSHAKE_LIMIT),
            outbox: Outbox::new(config),
            phase: SessionPhase::Greeting,
        }
    }

    /// Changes limits and policy. A handshake that has begun ends by the old way of authentication, and an open session keeps its message limit.
    pub fn configure(&mut self, config: &SessionSettings) {
        self.message_limit = config.message_limit;
        self.judge.configure(config);
        self.outbox.configure(config);
    }

    /// Bytes arrived. Drain [`Session::poll_request`] before the next ones.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        // Bytes of a session that is over must take no memory.
        if !matches!(self.phase, SessionPhase::Closed) {
            self.input.push(bytes);
        }
    }

    /// The client's next request.
    pub fn poll_request(&mut self) -> Option<Request> {
        while let Some(step) = self.step() {
            // A client can make the daemon answer without reading the answers, so its own rejects count against its limits.
            if let Some(overflow) = step.output.and_then(|bytes| self.queue_bytes(bytes)) {
                self.enter(SessionPhase::Closed);
                return Some(Request::Slow(overflow));
            }
            // Only after the output, because the answer that opens a session belongs to the handshake, which has no limit.
            if let Some(next) = step.next {
                self.enter(next);
            }
            if step.request.is_some() {
                return step.request;
            }
        }
        self.input.release_memory();
        None
    }

    /// Queues bytes for the client, unless its queue is too long.
    fn queue_bytes(&mut self, bytes: Vec<u8>) -> Option<Overflow> {
        if self.is_open() {
            return self.outbox.push_own(bytes).err();
        }
        self.outbox.push_handshake(bytes);
        None
    }

    /// Answers [`Request::Hello`]: the client may go on under this private group. Then drain [`Session::poll_request`] again.
    pub fn admit(&mut self, private_group: Name) {
        let SessionPhase::Admission(request) = &self.phase else { panic!("admit answers a Hello, once") };
        let (request, version) = (*request, request.version);
        // An older library expects no list of methods.
        if version.has_authentication() {
            self.outbox.push_handshake(self.authenticator.list().encode());
        }
        self.judge.wants_views = request.membership;
        self.enter(SessionPhase::Authentication(Authentication::new(version, private_group)));
    }

    /// Answers [`Request::Authenticated`]. Then drain [`Session::poll_request`] again.
    pub fn open(&mut self) {
        let SessionPhase::Authentication(authentication) = &mut self.phase else {
            panic!("open follows an Authenticated, once")
        };
        authentication.grant();
    }

    /// Refuses the client: at once after it connected, or as an answer to [`Request::Hello`] or [`Request::Authenticated`]. The session is
    /// over.
    pub fn refuse(&mut self, refusal: Refusal) {
        let may = match &self.phase {
            SessionPhase::Greeting | SessionPhase::Admission(_) => true,
            SessionPhase::Authentication(authentication) => authentication.has_passed(),
            SessionPhase::Open(_) | SessionPhase::Closed => false,
        };
        assert!(may, "refuse answers a connection, a Hello or an Authenticated, once");
        self.outbox.push_handshake(vec![refusal.encode()]);
        self.enter(SessionPhase::Closed);
    }

    /// Answers [`Request::Check`]. Then drain [`Session::poll_request`] again.
    pub fn answer(&mut self, verdict: Verdict) {
        let SessionPhase::Authentication(authentication) = &mut self.phase else {
            panic!("answer follows a Check, once")
        };
        let (says, user) = authentication.answer(verdict);
        self.judge.client.user = user;
        self.outbox.push_handshake(says);
    }

    /// The user whose password is being compared.
    pub fn checking(&self) -> Option<String> {
        match &self.phase {
            SessionPhase::Authentication(authentication) => authentication.checking(),
            _ => None,
        }
    }

    /// The user of the password file that the client has shown itself to be.
    pub fn user(&self) -> Option<&str> {
        self.judge.client.user.as_deref()
    }

    /// Whether the handshake is done and the session not over.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, SessionPhase::Open(_))
    }

    /// The outbox of the client.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The outbox of the client, to add frames or to record what was written.
    pub fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Bytes of memory that wait to be read.
    pub fn input_memory(&self) -> usize {
        self.input.memory()
    }

    /// Whether a frame has begun and is not whole.
    pub fn is_inside_frame(&self) -> bool {
        self.is_open() && !self.input.front().is_empty()
    }

    fn step(&mut self) -> Option<Step> {
        // In each phase, because a client can also send too much while the owner has not answered.
        if self.input.is_flooded() {
            return Some(Step::enter(SessionPhase::Closed, Request::Violation(Violation::Flood)));
        }
        match &mut self.phase {
            SessionPhase::Greeting => handshake::poll_greeting(&mut self.input, limits(self.message_limit)),
            SessionPhase::Authentication(authentication) => {
                authentication.poll(&mut self.input, &self.authenticator, &self.judge, self.message_limit)
            }
            SessionPhase::Open(open) => open.poll(&mut self.input, &self.judge),
            // The owner must answer first, or the session is over.
            SessionPhase::Admission(_) | SessionPhase::Closed => None,
        }
    }

    fn enter(&mut self, next: SessionPhase) {
        match next {
            SessionPhase::Closed => self.input.clear(),
            // Only now: before the end of the handshake a stranger must not take much memory.
            SessionPhase::Open(_) => self.input.allow(FrameHeader::SIZE + self.message_limit),
            _ => {}
        }
        self.phase = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_its_user_or_address() {
        let from = |address: &str| Peer::Tcp(address.parse().unwrap()).source().to_string();
        assert_eq!([Peer::User(0), Peer::Unix].map(|peer| peer.source().to_string()), ["user 0", "an unknown user"]);
        assert_eq!((from("127.0.0.1"), from("::ffff:10.0.0.1")), ("127.0.0.1".to_owned(), "10.0.0.1".to_owned()));
        assert_eq!(from("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    }
}
