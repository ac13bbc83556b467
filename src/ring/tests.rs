//! Whole rings on a bus without faults except those that a test asks for: the four states end to end.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::time::Duration;
use crate::wire::Incarnation;

mod forged;
mod form;
mod lives;
mod rest;
mod suspicion;

type Dropper = Box<dyn FnMut(DaemonId, DaemonId, &Packet) -> bool>;
/// What arrives at a daemon ahead of a packet, in the name of the same sender.
type Forger = Box<dyn FnMut(DaemonId, &Packet) -> Option<Packet>>;

struct Bus {
    now: Instant,
    /// How long a packet is on its way, so that time goes on while tokens rotate.
    delay: Duration,
    rings: BTreeMap<DaemonId, Ring>,
    /// Who is on which side of a partition.
    side: BTreeMap<DaemonId, u32>,
    flying: VecDeque<(DaemonId, Option<DaemonId>, Packet)>,
    log: BTreeMap<DaemonId, Vec<String>>,
    drop: Dropper,
    forge: Forger,
}

impl Bus {
    fn new(count: u32) -> Bus {
        Bus::with(count, |_| {})
    }

    fn with(count: u32, adjust: fn(&mut RingSettings)) -> Bus {
        let ids: Vec<DaemonId> = (1..=count).map(DaemonId).collect();
        let ring = |&me: &DaemonId| {
            let mut config = RingSettings::new(me, Incarnation(1), ids.clone());
            adjust(&mut config);
            (me, Ring::new(config, Instant::ZERO).unwrap())
        };
        Bus {
            now: Instant::ZERO,
            delay: Duration::from_micros(10),
            rings: ids.iter().map(ring).collect(),
            side: ids.iter().map(|&id| (id, 0)).collect(),
            flying: VecDeque::new(),
            log: ids.iter().map(|&id| (id, Vec::new())).collect(),
            drop: Box::new(|_, _, _| false),
            forge: Box::new(|_, _| None),
        }
    }

    fn drain(&mut self, id: DaemonId) {
        let ring = self.rings.get_mut(&id).unwrap();
        while let Some(transmit) = ring.poll_transmit() {
            self.flying.push_back((id, transmit.to, transmit.packet));
        }
        while let Some(event) = ring.poll_event() {
            let line = match event {
                RingEvent::Message(message) => String::from_utf8(message.payload.contiguous().to_vec()).unwrap(),
                RingEvent::Configuration(c) => {
                    let members: Vec<u32> = c.members.iter().map(|member| member.0).collect();
                    format!("{:?}{members:?}", c.kind)
                }
            };
            self.log.get_mut(&id).unwrap().push(line);
        }
    }

    fn submit(&mut self, id: u32, service: Service, text: &str) {
        self.rings.get_mut(&DaemonId(id)).unwrap().submit(self.now, service, Payload::from(text.as_bytes().to_vec()));
        self.drain(DaemonId(id));
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            let timeouts = self.rings.iter().filter_map(|(id, ring)| Some((ring.poll_timeout()?, *id)));
            let due = timeouts.min().filter(|&(at, _)| at <= if self.flying.is_empty() { end } else { self.now });
            if let Some((at, id)) = due {
                self.now = self.now.max(at);
                self.rings.get_mut(&id).unwrap().handle_timeout(self.now);
                self.drain(id);
            } else if let Some((from, to, packet)) = self.flying.pop_front() {
                self.now += self.delay;
                self.arrive(from, to, &packet);
            } else {
                self.now = end;
            }
        }
    }

    fn arrive(&mut self, from: DaemonId, to: Option<DaemonId>, packet: &Packet) {
        let ids: Vec<DaemonId> = self.rings.keys().copied().collect();
        for id in ids {
            let addressed = id != from && to.is_none_or(|to| to == id);
            if addressed && self.side[&id] == self.side[&from] && !(self.drop)(from, id, packet) {
                let forged = (self.forge)(id, packet);
                for packet in forged.into_iter().chain([packet.clone()]) {
                    self.rings.get_mut(&id).unwrap().handle_packet(self.now, from, packet);
                    self.drain(id);
                }
            }
        }
    }

    /// The token rests at this daemon.
    fn rest_at(&mut self, id: u32) {
        (0..8).for_each(|_| self.submit(id, Service::Agreed, &"x".repeat(1300)));
        self.run(SECOND / 2);
        assert!(self.holds(id), "the token rests with whom used it last");
    }

    /// The token goes round a few times.
    fn stir(&mut self) {
        for id in self.rings.keys().map(|id| id.0).collect::<Vec<_>>() {
            let from = self.rings.keys().find(|other| other.0 != id).expect("there are several");
            self.hurry(from.0, id);
        }
    }

    /// A daemon asks another one for the token.
    fn hurry(&mut self, from: u32, id: u32) {
        let id = DaemonId(id);
        let ring = self.rings[&id].state.circulation().expect("the ring goes round").ring;
        self.rings.get_mut(&id).unwrap().handle_packet(self.now, DaemonId(from), Packet::Hurry(ring));
        self.drain(id);
    }

    fn holds(&self, id: u32) -> bool {
        matches!(&self.rings[&DaemonId(id)].state, State::Operational(it) if it.holds_token())
    }

    fn take(&mut self, id: u32) -> Vec<String> {
        std::mem::take(self.log.get_mut(&DaemonId(id)).unwrap())
    }

    fn partition(&mut self, side: &[u32]) {
        self.side.values_mut().for_each(|side| *side = 0);
        self.side.extend(side.iter().map(|&id| (DaemonId(id), 1)));
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_daemons_form_one_ring_and_agree_on_an_order() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    for id in 1..=3 {
        assert_eq!(bus.take(id).last().unwrap(), "Regular[1, 2, 3]");
    }
    for n in 0..50 {
        bus.submit(n % 3 + 1, if n % 4 == 0 { Service::Safe } else { Service::Agreed }, &n.to_string());
    }
    bus.run(SECOND);
    let first = bus.take(1);
    assert_eq!(first.len(), 50);
    assert_eq!(bus.take(2), first);
    assert_eq!(bus.take(3), first);
}

#[test]
fn a_daemon_alone_delivers_to_itself() {
    let mut bus = Bus::new(1);
    bus.run(SECOND);
    bus.submit(1, Service::Safe, "hello");
    assert_eq!(bus.take(1), ["Regular[1]", "hello"]);
}

#[test]
fn large_messages_cross_packets() {
    let mut bus = Bus::new(2);
    bus.run(SECOND);
    let large = "x".repeat(1_000_000);
    bus.submit(1, Service::Agreed, &large);
    bus.submit(2, Service::Agreed, "small");
    bus.run(SECOND);
    let log = bus.take(2);
    assert!(log.contains(&large) && log.contains(&"small".to_string()));
    assert_eq!(bus.take(1)[1..], log[1..]);
}

#[test]
fn a_partition_splits_the_ring_and_healing_merges_it() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.partition(&[3]);
    bus.submit(1, Service::Agreed, "left");
    bus.submit(3, Service::Agreed, "right");
    bus.run(SECOND * 3);
    let expected = ["left", "Transitional[1, 2]", "Regular[1, 2]"];
    assert_eq!(bus.take(1), expected);
    assert_eq!(bus.take(2), expected);
    let alone = bus.take(3);
    assert_eq!(alone.iter().filter(|line| *line == "right").count(), 1);
    assert!(
        alone.ends_with(&["Regular[3]".to_string()]) || alone.ends_with(&["Regular[3]".into(), "right".into()]),
        "{alone:?}"
    );
    bus.partition(&[]);
    bus.run(SECOND * 2);
    assert_eq!(bus.take(2), ["Transitional[1, 2]", "Regular[1, 2, 3]"]);
    assert_eq!(bus.take(3), ["Transitional[3]", "Regular[1, 2, 3]"]);
}

#[test]
fn lost_packets_are_sent_again() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    let mut rng = crate::rng::Rng::new(1);
    bus.drop = Box::new(move |_, _, _| rng.chance(0.1));
    for n in 0..500 {
        bus.submit(n % 3 + 1, Service::Agreed, &"y".repeat(n as usize * 10));
    }
    bus.run(SECOND * 5);
    let logs: Vec<Vec<String>> = (1..=3).map(|id| bus.take(id)).collect();
    assert!(logs.iter().all(|log| log == &logs[0]));
    assert_eq!(logs[0].iter().filter(|line| line.starts_with('y') || line.is_empty()).count(), 500);
    assert_eq!(logs[0].iter().filter(|line| line.contains('[')).count(), 1, "loss alone changes no configuration");
}

#[test]
fn a_leaving_daemon_is_not_waited_for() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    bus.rings.get_mut(&DaemonId(2)).unwrap().leave();
    bus.drain(DaemonId(2));
    bus.side.insert(DaemonId(2), 9);
    // What daemon 2 said last still reaches the others.
    bus.side.iter_mut().for_each(|(_, side)| *side = 9);
    bus.run(Duration::from_micros(30));
    bus.partition(&[2]);
    bus.run(Duration::from_millis(100));
    assert_eq!(bus.take(1).last().unwrap(), "Regular[1, 3]");
}

#[test]
fn the_answer_to_a_configuration_precedes_what_waits() {
    let me = DaemonId(1);
    let mut ring = Ring::new(RingSettings::new(me, Incarnation(1), vec![me]), Instant::ZERO).unwrap();
    ring.submit(Instant::ZERO, Service::Agreed, Payload::from(b"waits".to_vec()));
    let mut delivered = Vec::new();
    for _ in 0..20 {
        let now = ring.poll_timeout().unwrap();
        ring.handle_timeout(now);
        while let Some(event) = ring.poll_event() {
            match event {
                RingEvent::Configuration(_) => {
                    ring.submit_first(now, Service::Agreed, Payload::from(b"answer".to_vec()))
                }
                RingEvent::Message(message) => delivered.push(message.payload.contiguous().to_vec()),
            }
        }
    }
    assert_eq!(delivered, [b"answer".to_vec(), b"waits".to_vec()]);
}

#[test]
fn no_token_is_so_early_that_its_loss_breaks_the_ring() {
    for lost in 1..=24 {
        let mut bus = Bus::new(3);
        let mut tokens = 0;
        bus.drop = Box::new(move |_, _, packet| {
            tokens += u32::from(matches!(packet, Packet::Token(_)));
            matches!(packet, Packet::Token(_)) && tokens == lost
        });
        bus.run(SECOND * 3);
        let configurations = bus.take(1);
        assert_eq!(configurations, ["Regular[1, 2, 3]"], "token {lost} was lost");
    }
}

#[test]
fn all_leave_recovery_in_the_same_rotation() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    let (mut broken, mut overtaken) = (None, false);
    bus.drop = Box::new(move |_, _, packet| match packet {
        Packet::Data(data) if !data.recovered && broken.is_none_or(|ring| ring == data.ring) => {
            broken = Some(data.ring);
            true
        }
        // The token behind which the owed packet is sent is lost once, so that the packet overtakes it.
        Packet::Token(token) if broken.is_some_and(|ring| ring < token.ring) => {
            token.seq == 1 && !std::mem::replace(&mut overtaken, true)
        }
        Packet::Token(token) => broken == Some(token.ring),
        _ => false,
    });
    bus.submit(3, Service::Agreed, "owed");
    bus.run(SECOND / 10);
    bus.submit(1, Service::Agreed, "waits for the new ring");
    bus.run(SECOND * 3);
    for id in 1..=3 {
        let expected =
            ["Regular[1, 2, 3]", "owed", "Transitional[1, 2, 3]", "Regular[1, 2, 3]", "waits for the new ring"];
        assert_eq!(bus.take(id), expected);
    }
}

#[test]
fn a_member_that_fills_the_window_leaves_room_for_the_others() {
    let mut bus = Bus::with(3, |config| (config.window, config.personal_window) = (4, 4));
    bus.run(SECOND);
    for _ in 0..1000 {
        bus.submit(2, Service::Agreed, &"x".repeat(1300));
    }
    bus.submit(3, Service::Agreed, "alone");
    bus.run(SECOND * 2);
    let place = bus.take(1).iter().position(|line| line == "alone").unwrap();
    assert!(place < 20, "delivered behind {place} others");
}

#[test]
fn a_member_that_hears_one_other_only_is_served_by_that_one() {
    let mut bus = Bus::new(5);
    bus.run(SECOND);
    let deaf = DaemonId(5);
    bus.drop = Box::new(move |from, to, packet| to == deaf && from != DaemonId(4) && matches!(packet, Packet::Data(_)));
    bus.submit(1, Service::Agreed, "comes by way of 4");
    bus.run(SECOND / 10);
    assert_eq!(bus.take(5), ["Regular[1, 2, 3, 4, 5]", "comes by way of 4"]);
}

#[test]
fn a_member_that_gets_tokens_but_no_data_is_given_up() {
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.drop = Box::new(|_, to, packet| to == DaemonId(2) && matches!(packet, Packet::Data(_)));
    bus.submit(1, Service::Safe, "hello");
    // Bad luck may last for some time on slow networks.
    bus.run(SECOND * 2);
    (1..=3).for_each(|id| assert!(bus.take(id).is_empty()));
    // What does not get through is not retransmitted at each of the thousands of visits that the token makes meanwhile.
    let stats = bus.rings[&DaemonId(1)].stats();
    assert!(stats.tokens > 1000 && stats.retransmitted < 100, "{stats:?}");
    bus.run(SECOND * 14 / 10);
    let expected = ["Transitional[1, 3]", "hello", "Regular[1, 3]"];
    assert_eq!(bus.take(1), expected);
    assert_eq!(bus.take(3), expected);
    assert_eq!(bus.take(2), ["Transitional[2]", "Regular[2]"]);
    bus.submit(3, Service::Safe, "we go on");
    bus.run(SECOND / 10);
    assert_eq!(bus.take(1).last().unwrap(), "we go on");
}

/// On a slow network the token makes few visits, so a retransmission must not wait for many of them.
#[test]
fn what_looked_hopeless_is_retransmitted_soon_on_a_slow_network_too() {
    let mut bus = Bus::new(2);
    bus.run(SECOND);
    bus.delay = Duration::from_millis(4);
    bus.drop = Box::new(|_, to, packet| to == DaemonId(2) && matches!(packet, Packet::Data(_)));
    bus.submit(1, Service::Agreed, "hello");
    bus.run(SECOND);
    drop(bus.take(2));
    bus.drop = Box::new(|_, _, _| false);
    bus.run(Duration::from_millis(60));
    assert_eq!(bus.take(2), ["hello"]);
}

/// Daemon 3 lacks a packet of daemon 2, and daemon 1 sends behind it.
fn lacking(bus: &mut Bus) {
    bus.run(SECOND);
    (1..=3).for_each(|id| drop(bus.take(id)));
    bus.drop = Box::new(|_, to, packet| match packet {
        Packet::Data(data) => to == DaemonId(3) && data.origin == DaemonId(2),
        _ => false,
    });
    bus.submit(2, Service::Agreed, "missing");
    bus.run(SECOND / 100);
}

#[test]
fn a_fifo_message_is_not_held_back_behind_a_missing_packet_of_another_sender() {
    let mut bus = Bus::new(3);
    lacking(&mut bus);
    bus.submit(1, Service::Fifo, "fifo");
    bus.submit(1, Service::Agreed, "agreed");
    bus.submit(1, Service::Fifo, "behind agreed");
    bus.submit(1, Service::Reliable, "reliable");
    bus.run(SECOND / 10);
    assert_eq!(bus.take(3), ["fifo", "reliable"]);
    assert_eq!(bus.take(2), ["missing", "fifo", "agreed", "behind agreed", "reliable"]);
    bus.drop = Box::new(|_, _, _| false);
    bus.run(SECOND / 10);
    assert_eq!(bus.take(3), ["missing", "agreed", "behind agreed"]);
}

#[test]
fn nothing_overtakes_a_barrier() {
    let mut bus = Bus::new(3);
    lacking(&mut bus);
    let barrier = Payload::from(b"barrier".to_vec());
    bus.rings.get_mut(&DaemonId(1)).unwrap().submit_barrier(bus.now, barrier);
    bus.submit(1, Service::Reliable, "reliable");
    bus.run(SECOND / 10);
    assert!(bus.take(3).is_empty());
    bus.drop = Box::new(|_, _, _| false);
    bus.run(SECOND / 10);
    assert_eq!(bus.take(3), ["missing", "barrier", "reliable"]);
}

#[test]
fn who_goes_on_together_delivers_what_one_had_delivered_ahead() {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    bus.rest_at(4);
    (1..=4).for_each(|id| drop(bus.take(id)));
    // Nobody gets the packet of daemon 4, and only daemon 1 gets that of daemon 3, which comes behind it.
    bus.drop = Box::new(|_, to, packet| match packet {
        Packet::Data(data) if data.recovered => false,
        Packet::Data(data) => data.origin == DaemonId(4) || data.origin == DaemonId(3) && to != DaemonId(1),
        _ => false,
    });
    bus.submit(4, Service::Agreed, "missing");
    bus.run(SECOND / 100);
    bus.submit(3, Service::Fifo, "ahead");
    bus.run(SECOND / 100);
    assert_eq!(bus.take(1), ["ahead"]);
    bus.rings.get_mut(&DaemonId(3)).unwrap().leave();
    bus.drain(DaemonId(3));
    bus.run(Duration::from_micros(30));
    bus.partition(&[3, 4]);
    bus.run(SECOND / 2);
    assert_eq!(bus.take(1), ["Transitional[1, 2]", "Regular[1, 2]"]);
    assert_eq!(bus.take(2), ["ahead", "Transitional[1, 2]", "Regular[1, 2]"]);
}
