//! Extended virtual synchrony, section 2.1, by the numbers of its rules, in one history with loss, a partition, a merge and a crash.
//!
//! The checker of the simulator has the same rules for any history, with more services. Here each is a few lines.

use spread::ring::Message;

use super::*;

/// The life of one daemon: what it delivered, in order.
type Life = Vec<RingEvent>;

/// Everybody at these daemons sends one message of each ordered service.
fn all_send(bus: &mut Bus, daemons: std::ops::RangeInclusive<u32>, moment: &str) {
    for daemon in daemons {
        for service in [Service::Causal, Service::Agreed, Service::Safe] {
            bus.send(daemon, service, &format!("{moment}: {service} of {daemon}"));
        }
    }
}

/// Four daemons, of which 4 crashes at the end. Each change comes while messages are under way.
fn lives() -> Vec<Life> {
    let mut bus = Bus::new(4);
    bus.run(SECOND);
    let lossy = |bus: &mut Bus| {
        let mut packets = 0;
        bus.lose(move |flight| {
            packets += u32::from(matches!(flight.packet, Packet::Data(_)));
            matches!(flight.packet, Packet::Data(_)) && packets % 4 == 0
        });
    };
    lossy(&mut bus);
    all_send(&mut bus, 1..=4, "whole");
    bus.run(Duration::from_micros(150));
    bus.partition(&[&[1, 2], &[3, 4]]);
    all_send(&mut bus, 1..=4, "cut");
    bus.run(2 * SECOND);
    all_send(&mut bus, 1..=4, "apart");
    bus.run(Duration::from_micros(50));
    bus.heal();
    lossy(&mut bus);
    bus.run(2 * SECOND);
    all_send(&mut bus, 1..=4, "merged");
    bus.run(Duration::from_micros(150));
    bus.crash(4);
    all_send(&mut bus, 1..=3, "crash");
    bus.run(3 * SECOND);
    (1..=4).map(|daemon| life(&bus, daemon)).collect()
}

fn life(bus: &Bus, daemon: u32) -> Life {
    let own = bus.lines.iter().filter_map(|line| match line {
        Line::Delivered { daemon: by, event } if *by == daemon => Some(event.clone()),
        _ => None,
    });
    own.collect()
}

/// A message with the place where it was delivered: the regular configuration, and the transitional one behind it if it was there.
struct Delivery<'a> {
    message: &'a Message,
    regular: &'a Configuration,
    transitional: Option<&'a Configuration>,
}

impl Delivery<'_> {
    fn text(&self) -> String {
        rings::text(&RingEvent::Message(self.message.clone()))
    }
}

fn deliveries(life: &Life) -> Vec<Delivery<'_>> {
    let (mut regular, mut transitional, mut found) = (None, None, Vec::new());
    for event in life {
        match event {
            RingEvent::Configuration(new) if new.kind == ConfigurationKind::Regular => {
                (regular, transitional) = (Some(new), None);
            }
            RingEvent::Configuration(new) => transitional = Some(new),
            RingEvent::Message(message) => {
                found.push(Delivery {
                    message,
                    regular: regular.expect("no message before a configuration"),
                    transitional,
                });
            }
        }
    }
    found
}

fn changes(life: &Life) -> Vec<&Configuration> {
    let changes = life.iter().filter_map(|event| match event {
        RingEvent::Configuration(configuration) => Some(configuration),
        RingEvent::Message(_) => None,
    });
    changes.collect()
}

/// Whether one order of all events suits everybody. What is the same event at several daemons is one event.
fn has_one_order(lives: &[Vec<String>]) -> bool {
    let mut places = vec![0; lives.len()];
    loop {
        let heads: Vec<Option<&String>> = lives.iter().zip(&places).map(|(life, &place)| life.get(place)).collect();
        let is_later = |event: &String| {
            lives.iter().zip(&places).any(|(life, &place)| life.iter().skip(place + 1).any(|later| later == event))
        };
        let Some(next) = heads.iter().flatten().copied().find(|event| !is_later(event)).cloned() else {
            return heads.iter().all(Option::is_none);
        };
        for (place, head) in places.iter_mut().zip(heads.iter().map(|head| *head == Some(&next)).collect::<Vec<_>>()) {
            *place += usize::from(head);
        }
    }
}

/// 1.1, 6.1, 6.2: events have one order for everybody, in which a message or a configuration is one event wherever it happens.
#[test]
fn evs_1_1_6_1_6_2_one_order_suits_everybody() {
    let name = |event: &RingEvent| match event {
        RingEvent::Message(_) => rings::text(event),
        RingEvent::Configuration(configuration) => format!("{configuration:?}"),
    };
    let mut lives: Vec<Vec<String>> = lives().iter().map(|life| life.iter().map(name).collect()).collect();
    assert!(has_one_order(&lives));
    // The same with two neighbours that both daemons have, the other way round at one of them.
    let (one, other) = (&lives[0], &lives[1]);
    let common = |place: &usize| other.contains(&one[*place]) && other.contains(&one[place + 1]);
    let place = (0..one.len() - 1).find(common).unwrap();
    lives[0].swap(place, place + 1);
    assert!(!has_one_order(&lives));
}

/// 1.3: a message that is delivered was sent, and all who deliver it do so in the same configuration or the transitional one behind it.
#[test]
fn evs_1_3_a_message_belongs_to_one_configuration() {
    let mut known: BTreeMap<String, RingId> = BTreeMap::new();
    for life in &lives() {
        for delivery in deliveries(life) {
            let (text, ring) = (delivery.text(), delivery.regular.ring);
            assert!(
                text.ends_with(&format!("of {}", delivery.message.origin.0)),
                "{text} is not of {}",
                delivery.message.origin
            );
            assert_eq!(*known.entry(text.clone()).or_insert(ring), ring, "{text}");
        }
    }
    assert!(known.values().collect::<BTreeSet<_>>().len() >= 4, "messages of several configurations");
}

/// 1.4: nobody delivers a message twice, not even in two configurations.
#[test]
fn evs_1_4_no_message_is_delivered_twice() {
    for life in &lives() {
        let texts: Vec<String> = deliveries(life).iter().map(Delivery::text).collect();
        assert!(texts.len() > 12);
        assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
    }
}

/// 2.1: whoever stays in a configuration stays with all its members.
#[test]
fn evs_2_1_who_stays_in_a_configuration_stays_with_all_its_members() {
    let lives = lives();
    let last: Vec<&Configuration> = lives[..3].iter().map(|life| *changes(life).last().unwrap()).collect();
    assert_eq!(last[0].members, [1, 2, 3].map(DaemonId));
    assert!(last.iter().all(|configuration| *configuration == last[0]));
    assert_ne!(changes(&lives[3]).last().unwrap().ring, last[0].ring, "4 has crashed before");
}

/// 2.2: everything happens in a configuration. A regular one is left by the transitional one that leads to the next.
#[test]
fn evs_2_2_each_event_is_in_the_configuration_that_was_installed_last() {
    for life in &lives() {
        assert!(matches!(life[0], RingEvent::Configuration(_)));
        let changes = changes(life);
        assert!(changes.len() >= 5);
        for triple in changes.windows(3).filter(|triple| triple[1].kind == ConfigurationKind::Transitional) {
            assert_eq!((triple[0].kind, triple[2].kind), (ConfigurationKind::Regular, ConfigurationKind::Regular));
            assert_eq!((triple[1].ring, triple[1].next), (triple[0].ring, Some(triple[2].ring)));
        }
        let alternate = |pair: &[&Configuration]| pair[0].kind != pair[1].kind;
        assert!(changes.windows(2).all(alternate), "{changes:?}");
    }
}

/// 2.3, 2.4: what precedes or follows a configuration at one daemon does so at all.
#[test]
fn evs_2_3_2_4_a_message_is_on_the_same_side_of_a_configuration_everywhere() {
    let mut sides: BTreeMap<(RingId, String), bool> = BTreeMap::new();
    let mut compared = 0;
    for life in &lives() {
        for configuration in changes(life).into_iter().filter(|change| change.kind == ConfigurationKind::Regular) {
            for delivery in deliveries(life) {
                let follows = delivery.regular.ring >= configuration.ring;
                if let Some(before) = sides.insert((configuration.ring, delivery.text()), follows) {
                    assert_eq!(before, follows, "{} and {configuration:?}", delivery.text());
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 50);
}

/// 3, self-delivery: a daemon that does not fail delivers its own messages, cut off or not.
#[test]
fn evs_3_a_daemon_delivers_its_own_messages() {
    for (daemon, life) in (1..=3).zip(&lives()) {
        let own = deliveries(life).iter().filter(|delivery| delivery.message.origin.0 == daemon).count();
        assert_eq!(own, 5 * 3, "daemon {daemon} sent so many");
    }
}

/// 4, failure atomicity: all who go from one configuration to the same next one have delivered the same in it.
#[test]
fn evs_4_who_goes_on_together_has_delivered_the_same() {
    let mut known: BTreeMap<(RingId, RingId), Vec<String>> = BTreeMap::new();
    let mut compared = 0;
    for life in &lives() {
        for change in changes(life).into_iter().filter(|change| change.kind == ConfigurationKind::Transitional) {
            let here = |delivery: &Delivery| delivery.regular.ring == change.ring;
            let texts: Vec<String> =
                deliveries(life).into_iter().filter(here).map(|delivery| delivery.text()).collect();
            if let Some(before) = known.insert((change.ring, change.next.unwrap()), texts.clone()) {
                assert_eq!(before, texts, "{change:?}");
                compared += usize::from(!texts.is_empty());
            }
        }
    }
    assert!(compared >= 4, "{compared} pairs have gone on together");
}

/// 7.1 in these lives; says how many safe messages were delivered behind a transitional configuration. `failed` is a daemon that
/// crashed in its last configuration.
fn check_safe(lives: &[Life], failed: Option<DaemonId>) -> usize {
    let mut behind_a_transition = 0;
    for delivery in lives.iter().flat_map(deliveries).filter(|delivery| delivery.message.service == Service::Safe) {
        let members = &delivery.transitional.unwrap_or(delivery.regular).members;
        behind_a_transition += usize::from(delivery.transitional.is_some());
        for member in members {
            let life = &lives[member.0 as usize - 1];
            let is_excused = failed == Some(*member) && changes(life).last().unwrap().ring == delivery.regular.ring;
            let is_the_same =
                |theirs: &Delivery| theirs.text() == delivery.text() && theirs.regular.ring == delivery.regular.ring;
            assert!(deliveries(life).iter().any(is_the_same) || is_excused, "{member} lacks {}", delivery.text());
        }
    }
    behind_a_transition
}

/// 7.1: a safe message that one daemon delivers is delivered by all members of that configuration that do not fail in it.
#[test]
fn evs_7_1_a_safe_message_is_delivered_by_all_or_by_nobody() {
    assert!(check_safe(&lives(), Some(DaemonId(4))) > 0, "some were not safe yet when their ring broke");
    // Nobody else has the message, so its sender may deliver it only when it is alone.
    let mut bus = Bus::new(3);
    bus.run(SECOND);
    bus.lose(|flight| matches!(flight.packet, Packet::Data(_)));
    bus.send(1, Service::Safe, "safe of 1");
    bus.run(MOMENT);
    bus.partition(&[&[1], &[2, 3]]);
    bus.run(3 * SECOND);
    let lives: Vec<Life> = (1..=3).map(|daemon| life(&bus, daemon)).collect();
    assert_eq!(check_safe(&lives, None), 1);
}
