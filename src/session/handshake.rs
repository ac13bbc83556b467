//! The handshake of a session: greeting, admission by the owner, authentication.
//!
//! A client may send several parts at once, or a part in pieces. So each part is collected until it is complete, and exactly its bytes
//! are read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::input::Input;
use super::open::Open;
use super::policy::Judge;
use super::{Check, Method, Passwords, Peer, Request, SessionPhase, SessionSettings, Step, Verdict};
use crate::wire::{Answer, ConnectRequest, Limits, MethodChoice, MethodList, Name, Refusal, Version};

/// Reads the connect request, or the question about limits.
pub(super) fn poll_greeting(input: &mut Input, limits: Limits) -> Option<Step> {
    if Limits::is_asked(input.front())? {
        // A question opens no session: the connection ends as after a refusal, but with the limits as answer.
        let end = Step::enter(SessionPhase::Closed, Request::Refused(Refusal::VERSION));
        return Some(Step { output: Some(limits.encode()), ..end });
    }
    match ConnectRequest::decode(input.front()) {
        Err(refusal) => Some(Step::refuse(refusal)),
        Ok(arrived) => {
            let (request, len) = arrived?;
            input.take(len);
            Some(Step::enter(SessionPhase::Admission(request), Request::Hello(request)))
        }
    }
}

/// The daemon's requirements of this client.
#[derive(Debug)]
pub(super) struct Authenticator {
    allowed: Vec<Method>,
    required: Vec<Method>,
    /// Whether the access list has the client's address.
    address_allowed: bool,
    /// Whether the access list has the client as a user of this machine.
    user_allowed: bool,
    passwords: Passwords,
}

impl Authenticator {
    pub(super) fn new(config: &SessionSettings, peer: Peer) -> Authenticator {
        Authenticator {
            allowed: config.allowed.clone(),
            required: config.required.clone(),
            address_allowed: config.access.allows(peer),
            user_allowed: config.access.allows_user(peer),
            passwords: config.passwords.clone(),
        }
    }

    /// The methods to offer, in their fixed order.
    pub(super) fn list(&self) -> MethodList {
        MethodList(Method::ALL.into_iter().filter(|method| self.allowed.contains(method)).map(Method::name).collect())
    }

    /// The methods to run for a choice, each once: the chosen ones, then the required ones. `None` if the choice is invalid.
    fn methods(&self, choice: &[u8; MethodChoice::SIZE]) -> Option<VecDeque<Method>> {
        let MethodChoice(names) = MethodChoice::decode(choice).ok()?;
        let chosen = names.into_iter().flatten().map(Method::from_name);
        let chosen: Vec<Method> = chosen.collect::<Option<_>>()?;
        let allowed = chosen.iter().all(|method| self.allowed.contains(method));
        let mut methods = VecDeque::new();
        for method in chosen.iter().chain(&self.required) {
            if !methods.contains(method) {
                methods.push_back(*method);
            }
        }
        (allowed && !chosen.is_empty()).then_some(methods)
    }

    /// Whether a method accepts the client; `None` if that depends on what the client sends.
    fn accepts(&self, method: Method) -> Option<bool> {
        match method {
            Method::Null => Some(true),
            Method::Ip => Some(self.address_allowed),
            Method::Unix => Some(self.user_allowed),
            Method::Password => None,
        }
    }

    /// Whether a library that knows no methods may connect. It cannot send a password, but required methods apply to it too.
    fn accepts_old_library(&self) -> bool {
        let accepts = |method: &Method| self.accepts(*method).unwrap_or(false);
        // The classic daemon checks such a library by its address if it allows IP, and otherwise by nothing.
        let chosen = if self.allowed.contains(&Method::Ip) { Method::Ip } else { Method::Null };
        self.allowed.contains(&chosen) && accepts(&chosen) && self.required.iter().all(accepts)
    }
}

/// The state of a client that must authenticate.
#[derive(Debug)]
pub(super) struct Authentication {
    version: Version,
    private_group: Name,
    stage: Stage,
}

/// The stage of the authentication.
#[derive(Debug)]
enum Stage {
    /// The client must send its choice of methods.
    Choice,
    /// These methods are left.
    Methods(VecDeque<Method>),
    /// A password is being compared; these methods are left.
    Checking { check: Check, rest: VecDeque<Method> },
    /// All methods accept the client. The owner must answer.
    Passed,
    /// The owner opens the session.
    Granted,
    /// The client may not connect.
    Refused(Refusal),
}

impl Authentication {
    pub(super) fn new(version: Version, private_group: Name) -> Authentication {
        Authentication { version, private_group, stage: Stage::Choice }
    }

    /// Continues as far as the received bytes allow.
    pub(super) fn poll(
        &mut self,
        input: &mut Input,
        authenticator: &Authenticator,
        judge: &Judge,
        message_limit: usize,
    ) -> Option<Step> {
        if let Stage::Choice = self.stage {
            self.stage = self.choose(input, authenticator)?;
        }
        // The required methods come behind the chosen ones, because the client runs its part of the chosen ones first.
        while let Stage::Methods(methods) = &mut self.stage {
            let Some(&method) = methods.front() else {
                self.stage = Stage::Passed;
                return Some(Step::stay(Request::Authenticated));
            };
            match authenticator.accepts(method) {
                Some(true) => _ = methods.pop_front(),
                Some(false) => self.stage = Stage::Refused(Refusal::AUTH),
                None => {
                    let credentials = *input.take(Passwords::CREDENTIALS_SIZE)?.first_chunk()?;
                    // Comparing takes long, so the owner does it on another thread and answers later.
                    methods.pop_front();
                    let (check, rest) = (authenticator.passwords.check(credentials), std::mem::take(methods));
                    self.stage = Stage::Checking { check: check.clone(), rest };
                    return Some(Step::stay(Request::Check(check)));
                }
            }
        }
        match self.stage {
            Stage::Granted => Some(self.open(judge, message_limit)),
            Stage::Refused(refusal) => Some(Step::refuse(refusal)),
            _ => None,
        }
    }

    /// Whether all methods have accepted the client, and the owner has not answered.
    pub(super) fn has_passed(&self) -> bool {
        matches!(self.stage, Stage::Passed)
    }

    /// The owner opens the session.
    pub(super) fn grant(&mut self) {
        assert!(self.has_passed(), "open follows an Authenticated, once");
        self.stage = Stage::Granted;
    }

    /// The user whose password is being compared.
    pub(super) fn checking(&self) -> Option<String> {
        match &self.stage {
            Stage::Checking { check, .. } => Some(check.name()),
            _ => None,
        }
    }

    /// A password was compared. Returns the answer for the client, and its user.
    pub(super) fn answer(&mut self, verdict: Verdict) -> (Vec<u8>, Option<Arc<str>>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Refused(Refusal::AUTH));
        // Any other stage is a mistake of the owner, not of the client.
        let Stage::Checking { check, rest } = stage else { panic!("answer follows a Check, once") };
        match verdict {
            Verdict::Accepted => {
                self.stage = Stage::Methods(rest);
                (vec![1], Some(check.name().into()))
            }
            Verdict::Refused(refusal) => {
                self.stage = Stage::Refused(refusal);
                // If the password is right but the user has too many sessions, the method succeeds and the refusal follows.
                (vec![u8::from(refusal != Refusal::AUTH)], None)
            }
        }
    }

    fn open(&self, judge: &Judge, message_limit: usize) -> Step {
        if !judge.welcomes(&self.private_group) {
            return Step::refuse(Refusal::AUTH);
        }
        let open = Open { private_group: self.private_group, message_limit };
        let answer = Answer { version: Version::OURS, private_group: self.private_group };
        Step { output: Some(answer.encode(self.version)), ..Step::enter(SessionPhase::Open(open), Request::Opened) }
    }

    /// The stage after the client's choice of methods.
    fn choose(&self, input: &mut Input, authenticator: &Authenticator) -> Option<Stage> {
        let refused = Stage::Refused(Refusal::AUTH);
        if !self.version.has_authentication() {
            let accepted = authenticator.accepts_old_library();
            return Some(if accepted { Stage::Methods(VecDeque::new()) } else { refused });
        }
        // The list that was sent is empty, so the client sends no choice.
        if authenticator.allowed.is_empty() {
            return Some(refused);
        }
        let choice = *input.take(MethodChoice::SIZE)?.first_chunk()?;
        Some(authenticator.methods(&choice).map_or(refused, Stage::Methods))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AccessList, Action, Denial, HANDSHAKE_LIMIT, Session, Violation};
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
                Request::Authenticated => session.open(),
                Request::Check(check) if check.is_right() => session.answer(Verdict::Accepted),
                Request::Check(_) => session.answer(Verdict::Refused(Refusal::AUTH)),
                other => requests.push(other),
            }
        }
        requests
    }

    fn unix(config: &SessionSettings) -> Session {
        Session::new(config, Peer::Unix)
    }

    #[test]
    fn who_asks_for_the_limits_is_told_and_has_no_session() {
        let mut session = unix(&SessionSettings { message_limit: 0x0012_3456, ..SessionSettings::default() });
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
        let mut session = unix(&SessionSettings::default());
        session.handle_bytes(HELLO);
        let Some(Request::Hello(hello)) = session.poll_request() else { panic!("no Hello") };
        assert_eq!((hello.name, hello.membership), (PrivateName::new(b"alice"), true));
        assert_eq!(session.poll_request(), None);
        session.admit(group());
        assert_eq!(output(&session), b"\x05NULL ");
        assert_eq!(session.poll_request(), None);
        session.handle_bytes(&choice(&[MethodName::NULL]));
        assert_eq!(session.poll_request(), Some(Request::Authenticated));
        assert_eq!((session.poll_request(), session.is_open()), (None, false));
        session.open();
        assert_eq!(session.poll_request(), Some(Request::Opened));
        assert!(session.is_open());
        assert_eq!(output(&session), b"\x05NULL \x01\x04\x04\x00\x09#alice#d1");
    }

    #[test]
    fn rules_that_change_hold_for_open_sessions_too() {
        let mut session = unix(&SessionSettings::default());
        drive(&mut session, &[HELLO, &choice(&[MethodName::NULL])].concat());
        assert_eq!(drive(&mut session, JOIN), [Request::Join(Name::new(b"g").unwrap())]);
        let access = AccessList::parse("group g join nobody").unwrap();
        session.configure(&SessionSettings { access, ..SessionSettings::default() });
        let before = output(&session).len();
        let denial = Denial { action: Action::Join, group: Name::new(b"g").unwrap() };
        assert_eq!(drive(&mut session, JOIN), [Request::Denied(denial)]);
        assert!(output(&session).len() > before, "the request comes back as a reject");
    }

    /// The library was told the limit at the beginning, and asks once only.
    #[test]
    fn an_open_session_keeps_its_message_limit() {
        let mut session = unix(&SessionSettings::default());
        drive(&mut session, &[HELLO, &choice(&[MethodName::NULL])].concat());
        session.configure(&SessionSettings { message_limit: 10, ..SessionSettings::default() });
        assert_eq!(drive(&mut session, JOIN), [Request::Join(Name::new(b"g").unwrap())]);
    }

    #[test]
    fn byte_by_byte_and_all_at_once_come_to_the_same() {
        let stream = [HELLO, &choice(&[MethodName::NULL]), JOIN].concat();
        let expected = [Request::Opened, Request::Join(Name::new(b"g").unwrap())];
        let mut session = unix(&SessionSettings::default());
        assert_eq!(drive(&mut session, &stream), expected);
        let mut slow = unix(&SessionSettings::default());
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
            let config = SessionSettings {
                allowed: both.to_vec(),
                required,
                passwords: passwords.clone(),
                ..SessionSettings::default()
            };
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
        let mut session = unix(&SessionSettings::default());
        session.handle_bytes(&[HELLO, &choice(&[MethodName::NULL])].concat());
        assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
        assert_eq!(session.poll_request(), None);
        session.refuse(Refusal::NOT_UNIQUE);
        assert_eq!((session.poll_request(), output(&session)), (None, vec![0xfa]));
    }

    #[test]
    fn the_owner_may_refuse_who_has_authenticated() {
        let mut session = unix(&SessionSettings::default());
        session.handle_bytes(&[HELLO, &choice(&[MethodName::NULL]), JOIN].concat());
        assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
        session.admit(group());
        assert_eq!(session.poll_request(), Some(Request::Authenticated));
        session.refuse(Refusal::NOT_UNIQUE);
        assert_eq!((session.poll_request(), output(&session)), (None, b"\x05NULL \xfa".to_vec()));
    }

    #[test]
    fn who_sends_far_ahead_is_cut_off() {
        let mut session = unix(&SessionSettings::default());
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
        let mut session = unix(&SessionSettings::default());
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
            let mut session = unix(&SessionSettings::default());
            let requests = drive(&mut session, &[HELLO, &choice(methods)].concat());
            let expected = if good { Request::Opened } else { Request::Refused(Refusal::AUTH) };
            assert_eq!(requests, [expected], "{methods:?}");
            assert_eq!(session.is_open(), good);
        }
    }

    #[test]
    fn required_methods_run_unasked_and_a_daemon_without_allowed_ones_refuses() {
        let required = vec![Method::Ip];
        let config = SessionSettings { required: required.clone(), ..SessionSettings::default() };
        let requests = drive(&mut unix(&config), &[HELLO, &choice(&[MethodName::NULL])].concat());
        assert_eq!(requests, [Request::Refused(Refusal::AUTH)]);
        let mut session = unix(&SessionSettings { allowed: vec![], required, ..SessionSettings::default() });
        assert_eq!(drive(&mut session, HELLO), [Request::Refused(Refusal::AUTH)]);
        assert_eq!(output(&session), b"\x00\xf7");
    }

    #[test]
    fn an_old_library_is_answered_at_once() {
        let mut session = unix(&SessionSettings::default());
        assert_eq!(drive(&mut session, b"\x03\x0e\x01\x05alice"), [Request::Opened]);
        assert_eq!(output(&session), b"\x01\x04\x04\x09#alice#d1");
        let mut session =
            unix(&SessionSettings { allowed: vec![Method::Null, Method::Ip], ..SessionSettings::default() });
        assert_eq!(drive(&mut session, b"\x03\x0f\x00\x01\x05alice"), [Request::Refused(Refusal::AUTH)]);
    }

    #[test]
    fn local_users_are_checked_without_a_word_of_theirs() {
        let access = AccessList::parse("user 7").unwrap();
        for (allowed, required) in [(vec![Method::Null], vec![Method::Unix]), (vec![Method::Unix], vec![])] {
            let chosen = allowed[0].name();
            let config = SessionSettings { allowed, required, access: access.clone(), ..SessionSettings::default() };
            let address = Peer::Tcp("127.0.0.1".parse().unwrap());
            for (peer, accepted) in
                [(Peer::User(7), true), (Peer::User(8), false), (Peer::Unix, false), (address, false)]
            {
                let mut session = Session::new(&config, peer);
                let requests = drive(&mut session, &[HELLO, &choice(&[chosen])].concat());
                let expected = if accepted { Request::Opened } else { Request::Refused(Refusal::AUTH) };
                assert_eq!(requests, [expected], "{peer:?}");
            }
        }
    }

    #[test]
    fn what_a_client_sends_behind_its_password_waits_for_the_answer() {
        let passwords = Passwords::parse("alice:abWAcrLcu.e2o").unwrap();
        let config = SessionSettings { allowed: vec![Method::Password], passwords, ..SessionSettings::default() };
        let mut credentials = [0; 40];
        credentials[..5].copy_from_slice(b"alice");
        credentials[32..].copy_from_slice(b"secret-o");
        let mut session = unix(&config);
        session.handle_bytes(&[HELLO, &choice(&[MethodName::PWORD]), &credentials, JOIN].concat());
        assert!(matches!(session.poll_request(), Some(Request::Hello(_))));
        session.admit(group());
        assert!(matches!(session.poll_request(), Some(Request::Check(_))));
        assert_eq!((session.poll_request(), session.user()), (None, None));
        session.answer(Verdict::Accepted);
        assert_eq!((session.poll_request(), session.user()), (Some(Request::Authenticated), Some("alice")));
        session.open();
        let requests: Vec<Request> = std::iter::from_fn(|| session.poll_request()).collect();
        assert_eq!(requests, [Request::Opened, Request::Join(Name::new(b"g").unwrap())]);
        assert_eq!(session.user(), Some("alice"));
    }

    #[test]
    fn what_is_required_is_required_of_a_client_that_says_it_is_old() {
        let access = AccessList::parse("10.0.0.1").unwrap();
        for (required, address, accepted) in [
            (vec![], "10.0.0.2", true),
            (vec![Method::Null], "10.0.0.2", true),
            (vec![Method::Password], "10.0.0.1", false),
            (vec![Method::Ip], "10.0.0.2", false),
            (vec![Method::Ip], "10.0.0.1", true),
        ] {
            let config =
                SessionSettings { required: required.clone(), access: access.clone(), ..SessionSettings::default() };
            let mut session = Session::new(&config, Peer::Tcp(address.parse().unwrap()));
            let expected = if accepted { Request::Opened } else { Request::Refused(Refusal::AUTH) };
            assert_eq!(drive(&mut session, b"\x03\x0f\x00\x01\x05alice"), [expected], "{required:?} from {address}");
        }
    }
}
