//! What each service waits for, end to end through packets, networks and retransmission.

use spread::rng::Rng;
use spread::time::Duration;
use spread::wire::{DaemonId, Header, Packet, PacketKind, Service};

use crate::actor::{Actor, RingDaemon};
use crate::checker::{check_quiescence, check_safety};
use crate::faults::config;
use crate::links::Quality;
use crate::trace::{Event, MessageNumber};
use crate::world::{Action, Log, World};

const MILLI: Duration = Duration::from_millis(1);

/// Daemons that share a ring.
fn whole(daemons: u32) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=daemons).map(DaemonId).collect();
    let starter = move |me, life, now| RingDaemon::new(config(me, life, now, &ids), 1, now);
    let mut world = World::new(daemons as usize, 1, 1, Box::new(starter), Log::Nothing);
    world.links.heal(&Quality::good());
    world.answers_configurations = false;
    (0..daemons as usize).for_each(|daemon| world.act(Action::Start(daemon)));
    assert!(world.run_until_whole(Duration::from_secs(3)), "a ring forms without faults");
    world.run(MILLI * 100);
    world
}

/// Nothing that daemon `origin` numbered reaches daemon `to`, whoever sends it.
fn withhold(world: &mut World<RingDaemon>, origin: u32, to: usize) {
    world.set_rule(Box::new(move |flight| {
        let body = flight.bytes.tail(Header::SIZE);
        let withheld = match Packet::decode(flight.kind(), &body) {
            Ok(Packet::Data(data)) => data.origin == DaemonId(origin) && flight.to == to,
            _ => false,
        };
        if withheld { vec![] } else { vec![Duration::ZERO] }
    }));
}

fn submit(world: &mut World<RingDaemon>, daemon: usize, service: Service) -> MessageNumber {
    world.act(Action::Submit { daemon, service, size: 9 });
    world.trace.messages.len() - 1
}

fn delivered(world: &World<RingDaemon>, daemon: usize) -> Vec<MessageNumber> {
    let events = &world.trace.processes[world.living()[&daemon]].events;
    let number = |event: &Event| match event {
        Event::Deliver(number) => Some(*number),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

/// A packet of daemon 2 is missing at daemon 3: what daemon 1 sends is delivered there all the same, as far as its service allows.
#[test]
fn only_ordered_messages_wait_for_a_missing_packet_of_another_sender() {
    use Service::*;
    for (service, waits) in
        [(Unreliable, false), (Reliable, false), (Fifo, false), (Causal, true), (Agreed, true), (Safe, true)]
    {
        let mut world = whole(3);
        withhold(&mut world, 2, 2);
        let missing = submit(&mut world, 1, Agreed);
        world.run(MILLI * 2);
        let sent = submit(&mut world, 0, service);
        world.run(MILLI * 100);
        let expected = if waits { vec![] } else { vec![sent] };
        assert_eq!(delivered(&world, 2), expected, "{service:?}");
        assert_eq!(delivered(&world, 0).contains(&sent), service != Safe);
        world.clear_rule();
        world.run(MILLI * 100);
        let expected = if waits { [missing, sent] } else { [sent, missing] };
        assert_eq!(delivered(&world, 2), expected, "{service:?}");
        check_safety(&world.trace).and_then(|()| check_quiescence(&world.trace)).unwrap_or_else(|b| panic!("{b}"));
    }
}

/// A safe message of daemon 2 that not everybody has holds nothing back but what is ordered.
#[test]
fn a_safe_message_that_is_not_everywhere_holds_back_only_ordered_messages() {
    let mut world = whole(3);
    withhold(&mut world, 2, 2);
    let safe = submit(&mut world, 1, Service::Safe);
    world.run(MILLI * 2);
    let [fifo, agreed] = [Service::Fifo, Service::Agreed].map(|service| submit(&mut world, 0, service));
    world.run(MILLI * 100);
    assert_eq!([0, 1, 2].map(|daemon| delivered(&world, daemon)), [[fifo]; 3].map(Vec::from));
    world.clear_rule();
    world.run(MILLI * 100);
    assert_eq!([0, 1, 2].map(|daemon| delivered(&world, daemon)), [[fifo, safe, agreed]; 3].map(Vec::from));
}

/// How long messages of a service wait at a daemon that loses packets, all in all.
fn waiting(service: Service) -> Duration {
    let mut world = whole(4);
    let mut rng = Rng::new(3);
    world.set_rule(Box::new(move |flight| {
        let lost = flight.kind() == PacketKind::Data && flight.to == 3 && rng.chance(0.05);
        if lost { vec![] } else { vec![Duration::ZERO] }
    }));
    let mut total = Duration::ZERO;
    let mut seen = 0;
    let begin = world.now();
    for step in 0..4000_u32 {
        if step < 3000 {
            submit(&mut world, step as usize % 3, service);
        }
        world.run(MILLI / 5);
        let now = delivered(&world, 3).len();
        let mean_sent = |number: usize| begin + MILLI / 5 * number as u32;
        total += (seen..now).map(|number| world.now().since(mean_sent(number))).sum();
        seen = now;
    }
    assert_eq!(seen, 3000, "everything is delivered: {:?}", world.actor(3).stats());
    total / seen as u32
}

/// Where packets are lost, weaker services are faster on the whole.
#[test]
fn loss_delays_weaker_services_less() {
    let [reliable, fifo, agreed, safe] =
        [Service::Reliable, Service::Fifo, Service::Agreed, Service::Safe].map(waiting);
    assert!(reliable <= fifo && fifo < agreed && agreed < safe, "{reliable:?} {fifo:?} {agreed:?} {safe:?}");
    println!("mean time to delivery: reliable {reliable:?}, fifo {fifo:?}, agreed {agreed:?}, safe {safe:?}");
}
