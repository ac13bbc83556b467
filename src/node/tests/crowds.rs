//! What many clients may take, and what many of them at once cost the others.

use std::ops::Range;

use super::*;
use crate::groups::GroupsStatus;
use crate::wire::{Envelope, Service};

impl Bus {
    /// A client of this machine gets in.
    pub(super) fn connect_from(&mut self, id: u64, name: &str, peer: Peer) -> Vec<u8> {
        self.input(0, id, ClientInput::Connected(peer));
        let name = Some(PrivateName::new(name.as_bytes()).unwrap());
        let request = ConnectRequest { version: Version::OURS, membership: true, priority: 0, name };
        self.input(0, id, ClientInput::Bytes(&request.encode()));
        self.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        self.take(0, id)
    }
}

#[test]
fn a_flood_of_silent_connections_from_one_address_keeps_nobody_out() {
    const FLOOD: u64 = 10_000;
    let mut bus = Bus::new(1);
    (0..FLOOD).for_each(|id| bus.input(0, id, ClientInput::Connected(address(1))));
    assert!(bus.nodes[0].sessions() < 1100, "{} places are taken", bus.nodes[0].sessions());
    assert!(bus.connect_from(FLOOD, "other", address(2)).ends_with(b"#other#d1"));
    assert!(bus.connect_from(FLOOD + 1, "same", address(1)).ends_with(b"#same#d1"));
    assert!(bus.connect_from(FLOOD + 2, "local", Peer::Unix).ends_with(b"#local#d1"));
    assert_eq!(bus.nodes[0].client_stats().crowded_out, FLOOD - 1000 + 1);
}

#[test]
fn a_full_daemon_gives_newcomers_the_places_of_silent_ones_from_elsewhere() {
    let mut bus = Bus::with(1, SessionSettings { quota: 100, ..Default::default() });
    (0..100).for_each(|id| bus.input(0, id, ClientInput::Connected(address(1))));
    bus.input(0, 100, ClientInput::Connected(address(1)));
    assert_eq!(bus.take(0, 100), [0xfd], "its own kind has all places");
    assert!(bus.connect_from(101, "other", address(2)).ends_with(b"#other#d1"));
    assert_eq!((bus.closed[1].1, bus.closed[1].2), (SessionId(0), EndReason::CrowdedOut));
    assert_eq!(bus.nodes[0].sessions(), 100);
}

/// A header that promises this many bytes.
pub(super) fn promise(name: &str, bytes: i32) -> Vec<u8> {
    let mut frame = frame(name, 0, FrameType::AGREED, &["g"], "");
    frame[44..48].copy_from_slice(&bytes.to_le_bytes());
    frame
}

#[test]
fn unfinished_frames_of_all_clients_together_stay_below_the_ceiling() {
    const LIMIT: usize = 20 << 20;
    let mut bus = Bus::with(1, SessionSettings { max_memory: LIMIT, ..Default::default() });
    bus.connect(0, 1000, "small");
    for id in 0..100 {
        let name = format!("c{id}");
        bus.hello(0, id, &name);
        bus.input(0, id, ClientInput::Bytes(&MethodChoice([Some(MethodName::NULL), None, None]).encode()));
        bus.input(0, id, ClientInput::Bytes(&promise(&name, 1 << 20)));
        bus.input(0, id, ClientInput::Bytes(&vec![0; (1 << 20) - 1]));
        assert!(bus.nodes[0].client_stats().memory_bytes <= LIMIT as u64);
    }
    let stats = bus.nodes[0].client_stats();
    let newcomer = *bus.closed.iter().find(|(_, _, reason)| *reason != EndReason::Greedy).unwrap();
    assert_eq!((newcomer.2, &bus.take(0, newcomer.1.0)[..]), (EndReason::MemoryShort, &[0xfd][..]));
    assert!(newcomer.2.to_string().contains("memory"), "{}", newcomer.2);
    assert!(stats.refused > 70 && stats.greedy < 5, "{stats:?}: newcomers are refused first");
    bus.input(0, 0, ClientInput::Closed);
    bus.connect(0, 1001, "late");
    bus.input(0, 1000, ClientInput::Bytes(&frame("small", 0, FrameType::JOIN, &["g"], "")));
    bus.input(0, 1001, ClientInput::Bytes(&promise("late", 15 << 20)));
    bus.input(0, 1001, ClientInput::Bytes(&vec![0; (15 << 20) - 1]));
    assert_eq!(bus.closed.last(), Some(&(0, SessionId(1001), EndReason::Greedy)), "who takes most goes");
    bus.run(Duration::from_secs(1));
    assert!(!frames(&bus.take(0, 1000)).is_empty() && bus.nodes[0].takes_client_input());
}

#[test]
fn what_waits_for_readers_stays_below_the_ceiling_and_counts_once() {
    const LIMIT: usize = 8 << 20;
    let session = SessionSettings { max_memory: LIMIT, max_session_messages: 100_000, ..Default::default() };
    let mut bus = Bus::with(2, session);
    bus.connect(1, 0, "sender");
    for id in 1..=40 {
        bus.connect(0, id, &format!("c{id}"));
        bus.input(0, id, ClientInput::Bytes(&frame(&format!("c{id}"), 0, FrameType::JOIN, &["g"], "")));
    }
    bus.run(Duration::from_secs(1));
    bus.all_deaf = Some(0);
    (1..=40).for_each(|id| bus.nodes[0].client_blocked(SessionId(id)));
    let say = |bus: &mut Bus, to: &str| {
        let message = frame("sender", 1, FrameType::AGREED, &[to], &"x".repeat(100_000));
        bus.input(1, 0, ClientInput::Bytes(&message));
        bus.run(Duration::from_millis(50));
    };
    (0..40).for_each(|_| say(&mut bus, "g"));
    assert_eq!(bus.closed, [], "4 MB for forty readers are 4 MB");
    assert!(
        (4_000_000..5_000_000).contains(&bus.nodes[0].client_stats().memory_bytes),
        "{:?}",
        bus.nodes[0].client_stats()
    );
    (0..60).for_each(|_| say(&mut bus, "#c7#d1"));
    assert_eq!(bus.closed, [(0, SessionId(7), EndReason::Greedy)]);
    assert!(bus.nodes[0].client_stats().memory_bytes <= LIMIT as u64);
}

#[test]
fn a_frame_that_gets_no_further_ends_its_session_and_a_slow_one_does_not() {
    let mut bus = Bus::new(1);
    for (id, name) in [(1, "stuck"), (2, "slow")] {
        bus.connect(0, id, name);
        bus.input(0, id, ClientInput::Bytes(&promise(name, 1000)));
    }
    for _ in 0..10 {
        bus.run(Duration::from_secs(20));
        bus.input(0, 2, ClientInput::Bytes(b"x"));
    }
    assert_eq!(bus.closed, [(0, SessionId(1), EndReason::Unfinished)]);
    assert_eq!(bus.nodes[0].client_stats().unfinished, 1);
    bus.input(0, 2, ClientInput::Bytes(&[b'x'; 990]));
    bus.run(Duration::from_secs(200));
    assert_eq!(bus.closed.len(), 1, "a whole frame is not timed");
}

/// The clients at each of two daemons.
const CROWD: u64 = 110;

/// How many of these clients of the first daemon wait.
fn waiting(bus: &Bus, clients: Range<u64>) -> usize {
    clients.filter(|&id| !bus.nodes[0].takes_bytes_of(SessionId(id))).count()
}

/// A crowd joins a group. Then the clients of the first daemon read no longer, and get more views than they may have unread.
fn stop_reading(bus: &mut Bus) {
    for at in 0..2 {
        (0..CROWD).for_each(|id| bus.connect(at, id, &format!("c{id}")));
    }
    bus.all_deaf = Some(0);
    for at in 0..2 {
        for id in 0..CROWD {
            bus.nodes[at].client_blocked(SessionId(id));
            let join = frame(&format!("c{id}"), at, FrameType::JOIN, &["g"], "");
            bus.input(at, id, ClientInput::Bytes(&join));
        }
    }
    assert!(waiting(bus, 0..CROWD) > 40, "{} wait for earlier joins to have their place", waiting(bus, 0..CROWD));
    bus.run(Duration::from_secs(1));
    assert_eq!(waiting(bus, 0..CROWD), 0);
    bus.listen_all(0);
    for id in 0..40 {
        for kind in [FrameType::LEAVE, FrameType::JOIN] {
            let change = frame(&format!("c{id}"), 1, kind, &["g"], "");
            bus.input(1, id, ClientInput::Bytes(&change));
        }
    }
    bus.run(Duration::from_secs(1));
    (0..CROWD).for_each(|id| bus.nodes[0].client_blocked(SessionId(id)));
}

#[test]
fn a_crowd_joins_at_the_pace_at_which_it_reads_and_nobody_is_closed() {
    let mut bus = Bus::with(2, SessionSettings { max_session_messages: 10, ..Default::default() });
    stop_reading(&mut bus);
    let waits = |bus: &Bus| waiting(bus, 0..CROWD);
    bus.welcome.clear();
    let join = |id: u64| frame(&format!("c{id}"), 0, FrameType::JOIN, &["h"], "");
    (0..10).for_each(|id| bus.input(0, id, ClientInput::Bytes(&join(id))));
    assert_eq!((waits(&bus), bus.nodes[0].client_stats().greedy), (10, 0), "the members have not read");
    bus.run(Duration::from_millis(50));
    assert_eq!(waits(&bus), 8, "one goes on at each interval");
    bus.listen_all(0);
    bus.run(Duration::from_millis(5));
    assert_eq!((waits(&bus), bus.welcome.len()), (0, 10), "when they have read all go on");
    bus.listen_all(0);
    assert_eq!(bus.closed, []);
    for at in 0..2 {
        for id in 10..CROWD {
            let last = last_header(&bus.take(at, id));
            assert_eq!(last.groups, 2 * CROWD as i32, "client {id} at {at} sees the last view");
        }
    }
}

#[test]
fn many_joins_of_one_user_that_wait_hold_up_no_other_user() {
    const HOSTILE: Range<u64> = 1000..1300;
    const HONEST: u64 = 2000;
    let mut bus = Bus::with(2, SessionSettings::default());
    HOSTILE.for_each(|id| _ = bus.connect_from(id, &format!("h{id}"), Peer::User(1)));
    for id in HONEST..HONEST + 2 {
        bus.connect_from(id, &format!("u{id}"), Peer::User(id as u32));
    }
    stop_reading(&mut bus);
    let join = |bus: &mut Bus, id: u64, letter: char, group: &str| {
        bus.input(0, id, ClientInput::Bytes(&frame(&format!("{letter}{id}"), 0, FrameType::JOIN, &[group], "")));
    };
    HOSTILE.for_each(|id| join(&mut bus, id, 'h', "h"));
    assert!(waiting(&bus, HOSTILE) > 200, "{} wait", waiting(&bus, HOSTILE));
    for id in HONEST..HONEST + 2 {
        ["i", "j"].iter().for_each(|group| join(&mut bus, id, 'u', group));
    }
    assert_eq!(waiting(&bus, HONEST..HONEST + 2), 2);
    bus.run(Duration::from_millis(130));
    assert_eq!(waiting(&bus, HONEST..HONEST + 2), 0, "two joins of each of three users take six intervals");
    assert!(waiting(&bus, HOSTILE) > 200, "{} still wait", waiting(&bus, HOSTILE));
}

#[test]
fn who_dies_while_a_join_waits_frees_its_name_at_once() {
    let (mut bus, names) = (Bus::with(2, SessionSettings::default()), ["dies", "is-closed", "lives"]);
    for (id, name) in (CROWD..).zip(names) {
        bus.connect(0, id, name);
    }
    stop_reading(&mut bus);
    for (id, name) in (CROWD..).zip(names) {
        for group in ["h", "i"] {
            bus.input(0, id, ClientInput::Bytes(&frame(name, 0, FrameType::JOIN, &[group], "")));
        }
    }
    assert_eq!(waiting(&bus, 0..CROWD + 3), 3);
    bus.input(0, CROWD, ClientInput::HungUp);
    assert!(
        bus.nodes[0].takes_bytes_of(SessionId(CROWD)),
        "its last bytes are read, and its second join does not wait either"
    );
    bus.input(0, CROWD, ClientInput::Bytes(&frame("dies", 0, FrameType::AGREED, &["#lives#d1"], "last words")));
    (CROWD..CROWD + 2).for_each(|id| bus.input(0, id, ClientInput::Closed));
    bus.run(Duration::from_millis(5));
    for (id, name) in (CROWD + 10..).zip(&names[..2]) {
        bus.hello(0, id, name);
    }
    assert_eq!(bus.closed.len(), 2, "the names are free: {:?}", bus.closed);
    bus.run(Duration::from_millis(20));
    assert_eq!(waiting(&bus, CROWD + 2..CROWD + 3), 1, "it has one join more");
    bus.run(Duration::from_millis(20));
    assert_eq!(waiting(&bus, CROWD + 2..CROWD + 3), 0, "who died has used up no turn");
    bus.listen_all(0);
    let heard = bus.take(0, CROWD + 2);
    assert!(heard.windows(10).any(|part| part == b"last words"), "{}", heard.escape_ascii());
}

/// The header of the last frame.
fn last_header(mut bytes: &[u8]) -> FrameHeader {
    loop {
        let header = FrameHeader::decode(bytes.first_chunk().unwrap());
        bytes = &bytes[FrameHeader::SIZE + header.body_len().unwrap()..];
        if bytes.is_empty() {
            return header;
        }
    }
}

#[test]
fn a_mass_disconnect_is_worked_off_in_slices_between_which_the_ring_goes_on() {
    const CLIENTS: u64 = 10;
    const GROUPS: usize = 200;
    let mut bus = Bus::new(2);
    let join_all = |bus: &mut Bus, at: usize, id: u64, name: &str| {
        bus.connect(at, id, name);
        for group in 0..GROUPS {
            let join = frame(name, at, FrameType::JOIN, &[&format!("g{group}")], "");
            bus.input(at, id, ClientInput::Bytes(&join));
        }
    };
    (0..2).for_each(|at| join_all(&mut bus, at, 100, "watcher"));
    (0..CLIENTS).for_each(|id| join_all(&mut bus, 0, id, &format!("c{id}")));
    bus.run(Duration::from_secs(2));
    (0..2).for_each(|at| _ = bus.take(at, 100));
    bus.nodes.iter_mut().for_each(|node| node.set_slice(400));
    (0..CLIENTS).for_each(|id| bus.input(0, id, ClientInput::Closed));
    let (mut slices, mut largest, mut before) = (0, 0, 0);
    let gathers = |bus: &Bus| bus.nodes[0].ring_stats().gathers;
    let (gathers_before, watched) = (gathers(&bus), crate::groups::Memberships { own: GROUPS, others: GROUPS });
    let mut rounds = 0;
    while bus.nodes.iter().any(|node| node.groups.is_busy() || node.groups.memberships() != watched) {
        bus.exchange(1);
        let now: usize = (0..2).filter_map(|at| bus.received[at].get(&SessionId(100))).map(Vec::len).sum();
        slices += usize::from(now > before);
        largest = largest.max(now - before);
        before = now;
        rounds += 1;
        assert!(rounds < 1_000_000, "it comes to an end");
    }
    assert_eq!(gathers(&bus), gathers_before, "the ring stays whole");
    let views: Vec<Vec<(u32, String)>> = (0..2).map(|at| frames(&bus.take(at, 100))).collect();
    assert_eq!((views[0].len(), &views[0]), (CLIENTS as usize * GROUPS, &views[1]));
    assert!(slices > 100 && largest < 20_000, "{slices} slices, the largest of {largest} bytes");
}

/// The first daemon's client is in many groups. The daemons meet again, and the first one works in small slices.
fn meeting_with_a_large_table() -> Bus {
    let mut bus = Bus::new(2);
    (0..2).for_each(|at| bus.connect(at, 1, "c"));
    for n in 0..GROUPS {
        bus.say(0, 1, FrameType::JOIN, &format!("g{n}"), "");
    }
    (0..2).for_each(|at| bus.say(at, 1, FrameType::JOIN, "both", ""));
    bus.run(Duration::from_secs(2));
    bus.parted = true;
    bus.run(Duration::from_secs(5));
    bus.nodes[0].set_slice(100);
    bus.parted = false;
    bus
}

impl Bus {
    /// Lets datagrams arrive until the first daemon is in the middle of sending its table. Then its client leaves a group.
    fn reach_the_middle_of_a_table(&mut self) {
        let mut slices = 0;
        while slices < 20 {
            let node = &self.nodes[0];
            slices +=
                u32::from(node.ring.installed().is_some() && node.groups.is_exchanging() && node.groups.is_busy());
            self.exchange(1);
        }
        let leave = Envelope::Leave { member: member(0), group: group("both") };
        self.nodes[0].ring.submit(self.now, Service::Agreed, leave.encode());
        assert!(self.nodes[0].groups.is_exchanging() && self.nodes[0].groups.is_busy());
    }

    /// Both daemons have the table, and the client of the first one left its group behind it.
    fn has_the_table_everywhere(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            assert_eq!((node.group_status(), node.group_count()), (GroupsStatus::Operational, GROUPS + 1));
            assert_eq!(node.group_stats().contradictions, 0, "the message came after the table");
            assert_eq!(node.groups.groups_of(&member(at)), if at == 0 { GROUPS } else { 1 });
        }
    }
}

const GROUPS: usize = 3000;

#[test]
fn a_large_table_is_sent_in_slices_between_which_the_ring_goes_on() {
    let mut bus = meeting_with_a_large_table();
    bus.reach_the_middle_of_a_table();
    bus.run(Duration::from_secs(1));
    bus.has_the_table_everywhere();
}

#[test]
fn a_ring_that_breaks_while_a_large_table_is_sent_gets_no_old_part_of_it() {
    let mut bus = meeting_with_a_large_table();
    bus.reach_the_middle_of_a_table();
    bus.parted = true;
    bus.run(Duration::from_secs(5));
    bus.parted = false;
    bus.run(Duration::from_secs(5));
    bus.has_the_table_everywhere();
    assert_eq!([0, 1].map(|at| bus.nodes[at].group_stats().stale_states), [0, 0]);
}

fn group(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

/// The client of a daemon.
fn member(at: usize) -> Name {
    group(&format!("#c#d{}", at + 1))
}
