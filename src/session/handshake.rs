//! The way into a session: greeting, admission by the owner, authentication.
//!
//! Every part is collected until it is whole, and exactly its own bytes are read: a client may send ahead, and may send in
//! pieces. Libraries before 3.16 know nothing of methods, so for them the daemon's configuration alone decides.

use super::input::Input;
use super::open::Open;
use super::{Config, Method, Peer, Request, State, Step};
use crate::wire::{Answer, ConnectRequest, MethodChoice, MethodList, Name, Refusal, Version};

/// Reads the connect request.
pub(super) fn poll_greeting(input: &mut Input) -> Option<Step> {
    match ConnectRequest::decode(input.front()) {
        Err(refusal) => Some(Step::refuse(refusal)),
        Ok(arrived) => {
            let (request, len) = arrived?;
            input.take(len);
            Some(Step::enter(State::Admission(request), Request::Hello(request)))
        }
    }
}

/// What the daemon demands of this client.
#[derive(Debug)]
pub(super) struct Authenticator {
    allowed: Vec<Method>,
    required: Vec<Method>,
    /// Whether the access list has the client's address.
    address_allowed: bool,
}

impl Authenticator {
    pub(super) fn new(config: &Config, peer: Peer) -> Authenticator {
        Authenticator {
            allowed: config.allowed.clone(),
            required: config.required.clone(),
            address_allowed: config.access.allows(peer),
        }
    }

    /// The methods to offer, in their fixed order.
    pub(super) fn list(&self) -> MethodList {
        MethodList(Method::ALL.into_iter().filter(|method| self.allowed.contains(method)).map(Method::name).collect())
    }

    fn accepts(&self, method: Method) -> bool {
        match method {
            Method::Null => true,
            Method::Ip => self.address_allowed,
        }
    }

    fn accepts_choice(&self, bytes: &[u8; MethodChoice::SIZE]) -> bool {
        let Ok(MethodChoice(names)) = MethodChoice::decode(bytes) else { return false };
        let mut chosen = names.into_iter().flatten().map(Method::from_name).peekable();
        let some = chosen.peek().is_some();
        let agreed =
            chosen.all(|method| method.is_some_and(|method| self.allowed.contains(&method) && self.accepts(method)));
        some && agreed && self.required.iter().all(|&method| self.accepts(method))
    }

    fn accepts_old_library(&self) -> bool {
        if self.allowed.contains(&Method::Ip) { self.accepts(Method::Ip) } else { self.allowed.contains(&Method::Null) }
    }
}

/// The state of a client that has its name and must now show that it may connect.
#[derive(Debug)]
pub(super) struct Authentication {
    pub(super) version: Version,
    pub(super) private_group: Name,
}

impl Authentication {
    /// Decides as soon as everything needed for it is there.
    pub(super) fn poll(&self, input: &mut Input, authenticator: &Authenticator, message_limit: usize) -> Option<Step> {
        let accepted = if !self.version.has_authentication() {
            authenticator.accepts_old_library()
        } else if authenticator.allowed.is_empty() {
            false
        } else {
            let choice = *input.front().first_chunk()?;
            input.take(choice.len());
            authenticator.accepts_choice(&choice)
        };
        if !accepted {
            return Some(Step::refuse(Refusal::AUTH));
        }
        let answer = Answer { version: Version::OURS, private_group: self.private_group };
        let open = Open { private_group: self.private_group, message_limit };
        let output = Some(answer.encode(self.version));
        Some(Step { output, ..Step::enter(State::Open(open), Request::Opened) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HANDSHAKE_LIMIT, Session, Violation};
    use super::*;
    use crate::wire::{MethodName, PrivateName};

    const HELLO: &[u8] = b"\x04\x04\x00\x01\x05alice";
    const JOIN: &[u8; 80] = b"\x80\0\x01\x80#alice#d1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \x01\0\0\0\x80\0\0\x80\0\0\0\0g\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    fn group() -> Name {
        Name::private_group(b"alice", b"d1").unwrap()
    }

    fn choice(methods: &[MethodName]) -> [u8; MethodChoice::SIZE] {
        MethodChoice(std::array::from_fn(|index| methods.get(index).copied())).encode()
    }

    fn output(session: &Session) -> Vec<u8> {
        session.outbox().slices().flat_map(|slice| slice.to_vec()).collect()
    }

    /// Feeds the bytes, admits when asked and returns all requests but the Hello.
    fn drive(session: &mut Session, bytes: &[u8]) -> Vec<Request> {
        session.handle_bytes(bytes);
        let mut requests = Vec::new();
        while let Some(request) = session.poll_request() {
            match request {
                Request::Hello(_) => session.admit(group()),
                other => requests.push(other),
            }
        }
        requests
    }

    fn unix(config: &Config) -> Session {
        Session::new(config, Peer::Unix)
    }

    #[test]
    fn a_client_is_greeted_admitted_authenticated_and_open() {
        let mut session = unix(&Config::default());
        session.handle_bytes(HELLO);
        let Some(Request::Hello(hello)) = session.poll_request() else { panic!("no Hello") };
        assert_eq!((hello.name, hello.membership), (PrivateName::new(b"alice"), true));
        assert_eq!(session.poll_request(), None);
        session.admit(group());
        assert_eq!(output(&session), b"\x05NULL ");
        assert_eq!(session.poll_request(), None);
        session.handle_bytes(&choice(&[MethodName::NULL]));
        assert!(!session.is_open());
        assert_eq!(session.poll_request(), Some(Request::Opened));
        assert!(session.is_open());
        assert_eq!(output(&session), b"\x05NULL \x01\x04\x04\x00\x09#alice#d1");
    }

    #[test]
    fn byte_by_byte_and_all_at_once_come_to_the_same() {
        let stream = [HELLO, &choice(&[MethodName::NULL]), JOIN].concat();
        let expected = [Request::Opened, Request::Join(Name::new(b"g").unwrap())];
        let mut session = unix(&Config::default());
        assert_eq!(drive(&mut session, &stream), expected);
        let mut slow = unix(&Config::default());
        let requests: Vec<_> = stream.iter().flat_map(|&byte| drive(&mut slow, &[byte])).collect();
        assert_eq!(requests, expected);
        assert_eq!(output(&session), output(&slow));
    }

    #[test]
    fn nothing_is_read_before_the_owner_admits() {
        let mut session = unix(&Config::default());
        session.handle_bytes(&[HELLO, &choice(&[MethodName::NULL])].concat());
        assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
        assert_eq!(session.poll_request(), None);
        session.refuse(Refusal::NOT_UNIQUE);
        assert_eq!((session.poll_request(), output(&session)), (None, vec![0xfa]));
    }

    #[test]
    fn who_sends_far_ahead_is_cut_off() {
        let mut session = unix(&Config::default());
        session.handle_bytes(HELLO);
        assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
        session.handle_bytes(&[0; HANDSHAKE_LIMIT + 1]);
        assert_eq!(session.poll_request(), None);
        session.handle_bytes(&[0]);
        assert_eq!(session.poll_request(), Some(Request::Violation(Violation::Flood)));
        assert_eq!(session.poll_request(), None);
    }

    #[test]
    fn a_full_daemon_refuses_before_the_first_byte() {
        let mut session = unix(&Config::default());
        session.refuse(Refusal::QUOTA);
        assert_eq!((drive(&mut session, HELLO), output(&session)), (vec![], vec![0xfd]));
    }

    #[test]
    fn a_choice_must_name_allowed_methods_only() {
        let stranger = MethodName::new(b"PWORD").unwrap();
        for (methods, good) in [
            (&[MethodName::NULL][..], true),
            (&[MethodName::NULL, MethodName::NULL], true),
            (&[], false),
            (&[MethodName::IP], false),
            (&[MethodName::NULL, stranger], false),
        ] {
            let mut session = unix(&Config::default());
            let requests = drive(&mut session, &[HELLO, &choice(methods)].concat());
            let expected = if good { Request::Opened } else { Request::Refused(Refusal::AUTH) };
            assert_eq!(requests, [expected], "{methods:?}");
            assert_eq!(session.is_open(), good);
        }
    }

    #[test]
    fn required_methods_run_unasked_and_a_daemon_without_allowed_ones_refuses() {
        let required = vec![Method::Ip];
        let config = Config { required: required.clone(), ..Config::default() };
        let requests = drive(&mut unix(&config), &[HELLO, &choice(&[MethodName::NULL])].concat());
        assert_eq!(requests, [Request::Refused(Refusal::AUTH)]);
        let mut session = unix(&Config { allowed: vec![], required, ..Config::default() });
        assert_eq!(drive(&mut session, HELLO), [Request::Refused(Refusal::AUTH)]);
        assert_eq!(output(&session), b"\x00\xf7");
    }

    #[test]
    fn an_old_library_is_answered_at_once() {
        let mut session = unix(&Config::default());
        assert_eq!(drive(&mut session, b"\x03\x0e\x01\x05alice"), [Request::Opened]);
        assert_eq!(output(&session), b"\x01\x04\x04\x09#alice#d1");
        let mut session = unix(&Config { allowed: vec![Method::Null, Method::Ip], ..Config::default() });
        assert_eq!(drive(&mut session, b"\x03\x0f\x00\x01\x05alice"), [Request::Refused(Refusal::AUTH)]);
    }
}
