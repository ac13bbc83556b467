//! Flow control: networks and receivers that bear less than the configuration allows.

use std::ops::Range;

use super::order::delivered_by_sender;
use super::*;

/// Daemons whose windows are as large as they may be, in a ring.
fn unlimited(daemons: usize) -> World<RingDaemon> {
    let ids: Vec<DaemonId> = (1..=daemons as u32).map(DaemonId).collect();
    let starter = move |me, life, now| {
        let mut config = config(me, life, now, &ids);
        (config.window, config.personal_window) = (RingSettings::WINDOW_LIMIT, RingSettings::WINDOW_LIMIT);
        RingDaemon::new(config, 1, now)
    };
    let mut world = World::new(daemons, 1, 1, Box::new(starter), Log::Nothing);
    world.links.heal(&Quality { jitter: Duration::ZERO, ..Quality::good() });
    (0..daemons).for_each(|daemon| world.act(Action::Start(daemon)));
    assert!(world.run_until_whole(SECOND * 3), "a ring forms without faults");
    world
}

/// These daemons send a packet's worth so often, for so long. How many messages daemon 0 delivered by the end.
fn flood(world: &mut World<RingDaemon>, senders: Range<usize>, span: Duration, every: Duration) -> u64 {
    let before = world.actor(0).stats().messages;
    let end = world.now() + span;
    while world.now() < end {
        for daemon in senders.clone() {
            world.act(Action::Submit { daemon, service: Service::Fifo, size: 1300 });
        }
        world.run(every);
    }
    world.actor(0).stats().messages - before
}

/// These receivers have a buffer for so many packets and take a certain time for each; what does not fit is lost.
fn small_buffers(world: &mut World<RingDaemon>, receivers: Range<usize>, room: u32, each: Duration) {
    let mut idle_at = vec![Instant::ZERO; world.daemons()];
    world.set_rule(Box::new(move |flight| {
        let wait = idle_at[flight.to].since(flight.now);
        if !receivers.contains(&flight.to) {
            return vec![Duration::ZERO];
        }
        if flight.kind() == PacketKind::Data && wait > each * room {
            return vec![];
        }
        idle_at[flight.to] = flight.now + wait + each;
        vec![wait + each]
    }));
}

/// Buffers that overflow make the window small enough, and no smaller: most packets are sent once and receivers are busy.
#[test]
fn receivers_with_small_buffers_are_not_drowned() {
    for room in [50, 200] {
        let mut world = unlimited(4);
        let each = Duration::from_micros(20);
        small_buffers(&mut world, 0..4, room, each);
        flood(&mut world, 0..4, SECOND / 2, MILLI / 20);
        let (before, sent_before) = (sums(&world), world.now());
        let delivered = flood(&mut world, 0..4, SECOND, MILLI / 20);
        let (after, span) = (sums(&world), world.now().since(sent_before));
        let (sent, again) = (after.0 - before.0, after.1 - before.1);
        let possible = (span.as_nanos() / each.as_nanos()) as u64;
        println!("room {room}: {delivered} delivered of {possible} possible, {sent} sent, {again} of them again");
        assert!(again * 5 < sent, "room {room}: {again} packets sent again for {sent} sent");
        assert!(delivered * 10 > possible * 3, "room {room}: {delivered} of {possible} delivered");
        assert_eq!(world.tally.configurations, 4, "nobody left");
        check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
    }
}

/// Everybody goes as fast as the slowest receiver, and not much slower: packets that it lacks are not all of the traffic.
#[test]
fn one_slow_receiver_slows_the_ring_to_its_pace_and_no_further() {
    for slow in 0..4 {
        let mut world = unlimited(4);
        let each = Duration::from_micros(100);
        small_buffers(&mut world, slow..slow + 1, 60, each);
        flood(&mut world, 0..4, SECOND / 2, MILLI / 4);
        let before = sums(&world);
        let delivered = flood(&mut world, 0..4, SECOND, MILLI / 4);
        let after = sums(&world);
        let (sent, again) = (after.0 - before.0, after.1 - before.1);
        println!("{slow} slow: {delivered} delivered of 10000 possible, {sent} sent, {again} of them again");
        assert!(again * 4 < sent, "{slow}: {again} packets sent again for {sent} sent");
        assert!(delivered >= 6000, "{slow}: {delivered} delivered");
        assert_eq!(world.tally.configurations, 4, "nobody left");
    }
}

/// One sender alone has as much as all together, and those who join it have equal parts at once.
#[test]
fn a_lone_sender_has_everything_and_many_share_equally() {
    let mut world = unlimited(4);
    small_buffers(&mut world, 0..4, 100, Duration::from_micros(20));
    flood(&mut world, 1..2, SECOND / 2, MILLI / 50);
    let alone = flood(&mut world, 1..2, SECOND / 2, MILLI / 50);
    let before = delivered_by_sender(&world);
    // Daemon 1 has a lot left from before.
    flood(&mut world, 0..4, SECOND / 10, MILLI / 40);
    let after = delivered_by_sender(&world);
    let parts: Vec<usize> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    println!("alone {alone} in half a second of 25000 possible; together {parts:?} in a tenth of 6667 possible");
    let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
    assert!(least * 10 > most * 8, "{parts:?}");
    assert!(alone > 16_000 && parts.iter().sum::<usize>() > 4500, "{alone} alone, {parts:?} together");
}

/// All packets sent for the first time, and again.
fn sums(world: &World<RingDaemon>) -> (u64, u64) {
    let stats = stats(world);
    (stats.iter().map(|stats| stats.packets_sent).sum(), stats.iter().map(|stats| stats.retransmitted).sum())
}

/// One cable of 10 Mbit/s for all: a packet takes 1.2 ms. Large windows must not make a rotation so slow that the token seems lost.
#[test]
fn a_slow_network_is_no_lost_token() {
    let mut world = unlimited(4);
    let (mut idle_at, mut last) = (Instant::ZERO, None);
    world.set_rule(Box::new(move |flight| {
        let header = flight.header();
        let this = Some((header.sender, header.destination, header.counter, flight.from));
        if std::mem::replace(&mut last, this) != this {
            idle_at = idle_at.max(flight.now) + Duration::from_nanos(flight.bytes.len() as u64 * 800);
        }
        vec![idle_at.since(flight.now)]
    }));
    let delivered = flood(&mut world, 0..4, SECOND * 8, MILLI * 2);
    println!("{delivered} delivered in 8 s");
    assert_eq!(world.tally.configurations, 4, "nobody was lost");
    assert!(delivered > 4000, "{delivered} messages, of which a second has room for 800");
    check_safety(&world.trace).unwrap_or_else(|broken| panic!("{broken}"));
}

/// Loss that no window can cure does not make it small.
#[test]
fn chance_loss_of_data_does_not_slow_the_ring_down() {
    let delivered = [0.0, 0.02, 0.1, 0.2].map(|loss| {
        let mut world = unlimited(4);
        let mut rng = Rng::new(3);
        world.set_rule(Box::new(move |flight| match flight.kind() {
            PacketKind::Data if rng.chance(loss) => vec![],
            _ => vec![Duration::ZERO],
        }));
        flood(&mut world, 0..4, SECOND / 2, MILLI / 10);
        let delivered = flood(&mut world, 0..4, SECOND / 2, MILLI / 10);
        assert_eq!(world.tally.configurations, 4, "nobody left");
        delivered
    });
    println!("delivered in half a second without loss, with 2, 10 and 20 %: {delivered:?}");
    assert!(delivered.iter().all(|&with| with * 10 > delivered[0] * 8), "{delivered:?}");
}

/// Nor does loss that hits tokens too.
#[test]
fn chance_loss_of_everything_is_survived_at_speed() {
    let delivered = [0.0, 0.02, 0.1, 0.2].map(|loss| {
        let mut world = unlimited(4);
        world.act(Action::Loss(NOTHING, loss));
        flood(&mut world, 0..4, SECOND / 2, MILLI / 10);
        let delivered = flood(&mut world, 0..4, SECOND / 2, MILLI / 10);
        assert_eq!(world.tally.configurations, 4, "nobody left");
        delivered
    });
    println!("delivered in half a second without loss, with 2, 10 and 20 %: {delivered:?}");
    assert!(delivered.iter().all(|with| with * 10 > delivered[0] * 8), "{delivered:?}");
}
