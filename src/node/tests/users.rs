//! Clients with passwords, and what one user may take.

use super::crowds::promise;
use super::*;

const PASSWORDS: &str = "alice:abWAcrLcu.e2o\nbob:./xZjzHv5vzVE\n";

fn with_passwords() -> SessionSettings {
    SessionSettings {
        allowed: vec![session::Method::Password],
        passwords: session::Passwords::parse(PASSWORDS).unwrap(),
        ..Default::default()
    }
}

impl Bus {
    /// A client sends a user's name and password.
    fn show_password(&mut self, id: u64, peer: Peer, user: &str, password: &str) {
        self.input(0, id, ClientInput::Connected(peer));
        let name = Some(PrivateName::new(format!("c{id}").as_bytes()).unwrap());
        let request = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name };
        self.input(0, id, ClientInput::Bytes(&request.encode()));
        self.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::PWORD), None, None]).encode()));
        let mut credentials = [0; session::Passwords::CREDENTIALS_SIZE];
        credentials[..user.len()].copy_from_slice(user.as_bytes());
        credentials[32..32 + password.len()].copy_from_slice(password.as_bytes());
        self.input(0, id, ClientInput::Bytes(&credentials));
    }

    /// Compares what is to be compared, and says how many that were.
    fn compare(&mut self) -> usize {
        let checks = std::mem::take(&mut self.checks);
        for (id, check) in &checks {
            let refused = Verdict::Refused(Refusal::AUTH);
            let verdict = if check.is_right() { Verdict::Accepted } else { refused };
            self.input(0, id.0, ClientInput::Checked(verdict));
        }
        checks.len()
    }
}

#[test]
fn a_password_is_compared_outside_and_the_client_waits_for_it() {
    let mut bus = Bus::with(1, with_passwords());
    bus.show_password(1, Peer::Unix, "alice", "secret-o");
    bus.show_password(2, Peer::Unix, "alice", "secret-x");
    assert_eq!(bus.take(0, 1), b"\x06PWORD ");
    assert_eq!(bus.compare(), 2);
    assert!(bus.take(0, 1).ends_with(b"#c1#d1"));
    assert_eq!(bus.take(0, 2), b"\x06PWORD \x00\xf7");
    assert_eq!(bus.closed, [(0, SessionId(2), EndReason::Refused(Refusal::AUTH))]);
    bus.show_password(3, Peer::Unix, "bob", "password");
    bus.input(0, 3, ClientInput::Closed);
    assert_eq!(bus.compare(), 1, "the answer comes too late and means nothing");
}

#[test]
fn what_rules_for_groups_refuse_is_counted() {
    let access = session::AccessList::parse("group pay all nobody").unwrap();
    let mut bus = Bus::with(1, SessionSettings { access, ..Default::default() });
    bus.connect(0, 1, "c");
    bus.say(0, 1, FrameType::JOIN, "pay", "");
    bus.say(0, 1, FrameType::AGREED, "pay", "me");
    bus.say(0, 1, FrameType::AGREED, "other", "all");
    assert_eq!(bus.nodes[0].client_stats().denied_by_rules, 2);
}

#[test]
fn who_guesses_passwords_is_slowed_down_and_others_are_not() {
    let mut bus = Bus::with(1, with_passwords());
    let mut compared = 0;
    for id in 0..1000 {
        bus.show_password(id, address(1), &format!("user{id}"), "guess");
        compared += bus.compare();
    }
    assert_eq!(compared, 5);
    bus.show_password(2000, address(2), "alice", "secret-o");
    assert_eq!(bus.compare(), 1);
    assert!(bus.take(0, 2000).ends_with(b"#c2000#d1"));
    for _ in 0..60 {
        bus.run(Duration::from_millis(500));
        compared += bus.compare();
    }
    assert!(compared < 20, "{compared} guesses in half a minute");
    assert!(bus.nodes[0].client_stats().wrong_passwords >= 990, "{:?}", bus.nodes[0].client_stats());
    bus.show_password(3000, address(1), "alice", "secret-o");
    assert_eq!(bus.compare(), 1, "when the guessing is over it is as before");
}

#[test]
fn a_user_has_only_so_many_sessions() {
    let mut bus = Bus::with(1, SessionSettings { max_user_sessions: 2, ..with_passwords() });
    for (id, user, password) in [(1, "alice", "secret-o"), (2, "alice", "secret-o"), (3, "bob", "password")] {
        bus.show_password(id, address(1), user, password);
        bus.compare();
        assert!(bus.take(0, id).ends_with(format!("#c{id}#d1").as_bytes()));
    }
    bus.show_password(4, address(2), "alice", "secret-o");
    bus.compare();
    assert_eq!(bus.take(0, 4), b"\x06PWORD \x01\xfd", "the password is right");
    bus.input(0, 1, ClientInput::Closed);
    bus.show_password(5, address(1), "alice", "secret-o");
    bus.compare();
    assert!(bus.take(0, 5).ends_with(b"#c5#d1"));
    let mut bus = Bus::with(1, SessionSettings { max_user_sessions: 2, ..Default::default() });
    for (id, peer) in [(1, Peer::User(7)), (2, Peer::User(7)), (3, Peer::User(8)), (4, address(1))] {
        assert!(bus.connect_from(id, &format!("c{id}"), peer).ends_with(format!("#c{id}#d1").as_bytes()));
    }
    bus.input(0, 5, ClientInput::Connected(Peer::User(7)));
    assert_eq!(bus.take(0, 5), [0xfd]);
}

#[test]
fn limits_of_memory_and_of_users_that_change_count_at_once() {
    let mut bus = Bus::with(1, SessionSettings::default());
    for (id, name, bytes) in [(1, "small", 200_000), (2, "middle", 300_000), (3, "large", 700_000)] {
        bus.connect_from(id, name, Peer::User(7));
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; bytes]));
    }
    let apply = |bus: &mut Bus, session: SessionSettings| {
        let (now, live) = (bus.now, Live { session, ..Live::default() });
        bus.nodes[0].apply(now, &live);
        bus.drain(0);
    };
    apply(&mut bus, SessionSettings { max_user_memory: 600_000, ..Default::default() });
    assert_eq!(bus.closed, [(0, SessionId(3), EndReason::GreedyUser)], "what was taken before counts");
    apply(&mut bus, SessionSettings { max_user_sessions: 2, ..Default::default() });
    bus.input(0, 4, ClientInput::Connected(Peer::User(7)));
    assert_eq!(bus.take(0, 4), [0xfd]);
    bus.closed.clear();
    apply(&mut bus, SessionSettings { max_memory: 300_000, ..Default::default() });
    assert_eq!(bus.closed, [(0, SessionId(2), EndReason::Greedy)]);
}

#[test]
fn a_user_whose_sessions_take_too_much_loses_the_largest() {
    let mut bus = Bus::with(1, SessionSettings { max_user_memory: 1 << 20, ..Default::default() });
    for (id, name, peer, bytes) in [
        (1, "small", Peer::User(7), 200_000),
        (2, "other", Peer::User(8), 900_000),
        (3, "large", Peer::User(7), 700_000),
        (4, "last", Peer::User(7), 300_000),
    ] {
        bus.connect_from(id, name, peer);
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; bytes]));
    }
    assert_eq!(bus.closed, [(0, SessionId(3), EndReason::GreedyUser)]);
}
