//! What each service promises, between clients of several daemons: the messages of the recorded order, many times, and an end right
//! behind messages of every service.

use std::net::Ipv4Addr;
use std::sync::MutexGuard;

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::daemon::Running;
use spread::wire::{Cause, FrameType, Name};

use crate::{free_port, start, turn};

/// The recorded row S0 R1 F2 A3 U4 C5 S6 R7.
const ROW: [FrameType; 8] = [
    FrameType::SAFE,
    FrameType::RELIABLE,
    FrameType::FIFO,
    FrameType::AGREED,
    FrameType::UNRELIABLE,
    FrameType::CAUSAL,
    FrameType::SAFE,
    FrameType::RELIABLE,
];
/// Those of the row that keep their order.
const ORDERED: [i16; 5] = [0, 2, 3, 5, 6];
/// How often the row is sent.
const ROWS: i16 = 100;

#[test]
fn ordered_services_keep_one_order_and_the_others_lose_nothing() {
    let stage = Stage::new();
    for number in 0..ROWS * 8 {
        stage.send(ROW[usize::from(number as u16 % 8)], number);
    }
    for receiver in &stage.clients {
        let mut got = messages(receiver, usize::from(ROWS as u16) * 8);
        let ordered: Vec<i16> = got.iter().copied().filter(|number| ORDERED.contains(&(number % 8))).collect();
        assert!(ordered.is_sorted(), "{ordered:?}");
        got.sort_unstable();
        assert!(got.into_iter().eq(0..ROWS * 8));
    }
}

#[test]
fn what_was_sent_before_an_end_comes_before_it_whatever_its_service() {
    let stage = Stage::new();
    for number in 0..30 {
        stage.send(FrameType(1 << (number % 6)), number);
    }
    stage.clients[0].disconnect();
    for receiver in &stage.clients[1..] {
        let mut got = messages(receiver, 30);
        got.sort_unstable();
        assert!(got.into_iter().eq(0..30));
        let Received::View(view) = receiver.receive().unwrap() else { panic!("a message behind the last one") };
        assert_eq!((view.cause, &view.vs_sets[0][..]), (Cause::Disconnect, &[stage.clients[0].private_group()][..]));
    }
}

/// So many messages in the order in which they come; nothing else may come.
fn messages(receiver: &Mailbox, count: usize) -> Vec<i16> {
    let next = || match receiver.receive().unwrap() {
        Received::Message(message) => message.mess_type,
        other => panic!("{other:?} among the messages"),
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Four clients in a group: the sender, another one at its daemon, and one at each other daemon.
struct Stage {
    clients: [Mailbox; 4],
    _daemons: [Running; 3],
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn new() -> Stage {
        let turn = turn();
        let (port, daemons) = free_port(|port| Some((port, [start(port, 0)?, start(port, 1)?, start(port, 2)?])));
        let clients = [("sender", 1), ("beside", 1), ("second", 2), ("third", 3)].map(|(private_name, daemon)| {
            let daemon = format!("{port}@{}", Ipv4Addr::new(127, 0, 0, daemon));
            Mailbox::connect(&ConnectOptions { daemon, private_name: private_name.into(), ..Default::default() })
                .unwrap()
        });
        clients.iter().for_each(|client| client.join(group()).unwrap());
        for client in &clients {
            while !matches!(client.receive().unwrap(), Received::View(view) if view.members.len() == clients.len()) {}
        }
        Stage { clients, _daemons: daemons, _turn: turn }
    }

    fn send(&self, service: FrameType, number: i16) {
        self.clients[0].multicast(service, &[group()], number, b"").unwrap();
    }
}

fn group() -> Name {
    Name::new(b"g").unwrap()
}
