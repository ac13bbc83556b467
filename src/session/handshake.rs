//! The way into a session: greeting, admission by the owner, authentication.
//!
//! Every part is collected until it is whole, and exactly its own bytes are read: a client may send ahead, and may send in
//! pieces. Libraries before 3.16 know nothing of methods, so for them the daemon's configuration alone decides.

use super::input::Input;
use super::open::Open;
use super::{Attempt, Config, Method, Passwords, Peer, Request, State, Step};
use crate::wire::{Answer, ConnectRequest, Limits, MethodChoice, MethodList, Name, Refusal, Version};

/// Reads the connect request, or the question for the limits in its place.
pub(super) fn poll_greeting(input: &mut Input, limits: Limits) -> Option<Step> {
    if Limits::is_asked(input.front())? {
        // A question opens no session: it ends as a refused request does, with another answer.
        let end = Step::enter(State::Closed, Request::Refused(Refusal::VERSION));
        return Some(Step { output: Some(limits.encode()), ..end });
    }
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
    passwords: Passwords,
}

/// What becomes of a client.
enum Verdict {
    Accepted,
    Refused,
}

impl Authenticator {
    pub(super) fn new(config: &Config, peer: Peer) -> Authenticator {
        Authenticator {
            allowed: config.allowed.clone(),
            required: config.required.clone(),
            address_allowed: config.access.allows(peer),
            passwords: config.passwords.clone(),
        }
    }

    /// The methods to offer, in their fixed order.
    pub(super) fn list(&self) -> MethodList {
        MethodList(Method::ALL.into_iter().filter(|method| self.allowed.contains(method)).map(Method::name).collect())
    }

    /// The methods that a choice leads to, each once: the chosen ones and then the required ones. `None` if it is no choice.
    fn methods(&self, choice: &[u8; MethodChoice::SIZE]) -> Option<Vec<Method>> {
        let MethodChoice(names) = MethodChoice::decode(choice).ok()?;
        let chosen = names.into_iter().flatten().map(Method::from_name);
        let chosen: Vec<Method> = chosen.collect::<Option<_>>()?;
        let allowed = chosen.iter().all(|method| self.allowed.contains(method));
        let mut methods = Vec::new();
        for method in chosen.iter().chain(&self.required) {
            if !methods.contains(method) {
                methods.push(*method);
            }
        }
        (allowed && !chosen.is_empty()).then_some(methods)
    }

    /// Runs the methods in their order, as far as what the client sends for them is there; `None` while more must come. What a method
    /// says to the client is added to `says`.
    fn run(&self, methods: &[Method], mut sent: &[u8], says: &mut Vec<u8>) -> Option<(Verdict, usize)> {
        let all = sent.len();
        for method in methods {
            let accepted = match method {
                Method::Null => true,
                Method::Ip => self.address_allowed,
                Method::Password => {
                    let (credentials, rest) = sent.split_first_chunk()?;
                    sent = rest;
                    let known = self.passwords.accept(credentials);
                    says.push(u8::from(known));
                    known
                }
            };
            if !accepted {
                return Some((Verdict::Refused, all - sent.len()));
            }
        }
        Some((Verdict::Accepted, all - sent.len()))
    }

    fn accepts_old_library(&self) -> bool {
        if self.allowed.contains(&Method::Ip) { self.address_allowed } else { self.allowed.contains(&Method::Null) }
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
    pub(super) fn poll(&self, input: &mut Input, authenticator: &Authenticator, open: Open) -> Option<Step> {
        let mut says = Vec::new();
        let verdict = self.judge(input, authenticator, &mut says)?;
        let welcome = open.policy.is_none_or(|policy| policy(&self.private_group, &Attempt::Connect));
        if matches!(verdict, Verdict::Refused) || !welcome {
            says.push(Refusal::AUTH.encode());
            return Some(Step { output: Some(says), ..Step::enter(State::Closed, Request::Refused(Refusal::AUTH)) });
        }
        let answer = Answer { version: Version::OURS, private_group: self.private_group };
        says.extend(answer.encode(self.version));
        Some(Step { output: Some(says), ..Step::enter(State::Open(open), Request::Opened) })
    }

    fn judge(&self, input: &mut Input, authenticator: &Authenticator, says: &mut Vec<u8>) -> Option<Verdict> {
        if !self.version.has_authentication() {
            let accepted = authenticator.accepts_old_library();
            return Some(if accepted { Verdict::Accepted } else { Verdict::Refused });
        }
        if authenticator.allowed.is_empty() {
            return Some(Verdict::Refused);
        }
        let (choice, sent) = input.front().split_first_chunk()?;
        let Some(methods) = authenticator.methods(choice) else { return Some(Verdict::Refused) };
        let (verdict, used) = authenticator.run(&methods, sent, says)?;
        input.take(MethodChoice::SIZE + used);
        Some(verdict)
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
    fn who_asks_for_the_limits_is_told_and_has_no_session() {
        let mut session = unix(&Config { message_limit: 0x0012_3456, ..Config::default() });
        for byte in Limits::QUESTION {
            assert_eq!(session.poll_request(), None);
            session.handle_bytes(&[byte]);
        }
        assert_eq!(session.poll_request(), Some(Request::Refused(Refusal::VERSION)));
        assert_eq!(output(&session), b"\x01\0T\0\0\x12\x34\x56");
        session.handle_bytes(HELLO);
        assert_eq!((session.poll_request(), session.is_open()), (None, false));
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
    fn a_password_is_asked_for_once_whether_chosen_or_required() {
        let passwords = Passwords::parse("# ours\nalice:abWAcrLcu.e2o\n").unwrap();
        let credentials = |user: &str, password: &str| {
            let mut bytes = [0; 40];
            bytes[..user.len()].copy_from_slice(user.as_bytes());
            bytes[32..32 + password.len()].copy_from_slice(password.as_bytes());
            bytes
        };
        let both = [Method::Null, Method::Password];
        for (required, chosen) in [
            (vec![], vec![MethodName::PWORD]),
            (vec![Method::Password], vec![MethodName::NULL]),
            (vec![Method::Password], vec![MethodName::PWORD, MethodName::PWORD]),
        ] {
            let config = Config { allowed: both.to_vec(), required, passwords: passwords.clone(), ..Config::default() };
            for (user, password, accepted) in
                [("alice", "secret-of", true), ("alice", "secreT", false), ("bob", "secret-o", false), ("", "", false)]
            {
                let mut session = unix(&config);
                let password = &password[..password.len().min(8)];
                assert_eq!(drive(&mut session, HELLO), []);
                assert_eq!(drive(&mut session, &choice(&chosen)), []);
                assert_eq!(drive(&mut session, &credentials(user, password)[..39]), []);
                let requests = drive(&mut session, &credentials(user, password)[39..]);
                if accepted {
                    assert_eq!(requests, [Request::Opened]);
                    assert_eq!(output(&session), b"\x0bNULL PWORD \x01\x01\x04\x04\x00\x09#alice#d1");
                } else {
                    assert_eq!(requests, [Request::Refused(Refusal::AUTH)]);
                    assert_eq!(output(&session), b"\x0bNULL PWORD \x00\xf7");
                }
            }
        }
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
