//! Datagrams that no daemon of this system sends.

use super::super::outbound::Distance;
use super::*;
use crate::rng::Rng;
use crate::wire::PathReport;

#[test]
fn a_probe_with_the_last_counter_mutes_nobody() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    assert!(arrive(&mut b, &datagrams(&mut a, None)[0]));
    let (network, first) = datagrams(&mut a, None).remove(0);
    let header = Header { kind: PacketKind::Probe, counter: u64::MAX, ..Head::decode(&first).unwrap().0 };
    for destination in [None, Some(B)] {
        let forged = Slice::from([&Header { destination, ..header }.encode()[..], b"body"].concat());
        assert!(arrive(&mut b, &(network, forged)));
    }
    for to in [None, Some(B), None, Some(B)] {
        assert!(arrive(&mut b, &datagrams(&mut a, to)[0]), "A is still heard");
    }
}

#[test]
fn without_keys_a_datagram_from_no_configured_address_is_dropped_before_it_is_read() {
    let (known, foreign) = (IpAddr::from([10, 0, 1, 1]), IpAddr::from([10, 0, 9, 9]));
    let sources = vec![IpAddr::from([10, 0, 2, 1]), known];
    let mut b = Multipath::new(MultipathSettings { sources, ..config(B, vec![A, B, C]) }, Instant::ZERO);
    let mut a = daemon(A, 1);
    let before = format!("{:?} {:?}", b.health, b.outbound);
    let (network, bytes) = datagrams(&mut a, None).remove(0);
    for datagram in [&bytes, &Slice::copy_from(b"junk")] {
        assert!(b.handle_datagram(Instant::ZERO, network, foreign, datagram.clone()).is_none());
    }
    assert_eq!((b.stats().foreign_source, b.stats().malformed), (2, 0));
    assert_eq!(format!("{:?} {:?}", b.health, b.outbound), before);
    let told = "a datagram from 10.0.9.9 on network 0 is dropped: no daemon of the configuration has this address";
    assert_eq!(b.poll_notice().map(|event| event.to_string()).as_deref(), Some(told));
    assert_eq!(b.poll_notice(), None);
    assert!(b.handle_datagram(Instant::ZERO, network, known, bytes.clone()).is_some());
}

#[test]
fn a_network_that_nobody_has_is_counted_and_makes_no_notice() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    for number in 2..8 {
        let (came, bytes) = datagrams(&mut a, None).remove(0);
        let header = Header { network: NetworkId(number), ..Head::decode(&bytes).unwrap().0 };
        assert!(arrive(&mut b, &(came, Slice::from([&header.encode()[..], b"body"].concat()))));
    }
    assert_eq!((b.stats().crossed, b.poll_notice()), (6, None));
}

#[test]
fn another_version_of_the_protocol_is_told_as_such() {
    let (mut a, mut b) = (daemon(A, 1), daemon(B, 1));
    let (network, bytes) = datagrams(&mut a, None).remove(0);
    let other = [&bytes[..2], &[1], &bytes[3..]].concat();
    assert!(!arrive(&mut b, &(network, Slice::from(other))));
    assert_eq!((b.stats().other_version, b.stats().malformed), (1, 0));
    let told = b.poll_notice().unwrap().to_string();
    assert!(told.contains("another version of the protocol between daemons (1)"), "{told}");
}

#[test]
fn of_two_hosts_with_one_identity_the_smaller_life_is_heard() {
    let (mut first, mut second, mut b) = (daemon(A, 4), daemon(A, 9), daemon(B, 1));
    let at = Instant::from_millis;
    let mut heard = |millis: u64| {
        let now = at(millis);
        let mut heard = Vec::new();
        for (network, bytes) in datagrams(&mut b, None) {
            heard.extend(first.handle_datagram(now, network, SOMEWHERE, bytes.clone()).map(|_| "first hears b"));
            heard.extend(second.handle_datagram(now, network, SOMEWHERE, bytes).map(|_| "second hears b"));
        }
        for (network, bytes) in datagrams(&mut first, None) {
            heard.extend(b.handle_datagram(now, network, SOMEWHERE, bytes.clone()).map(|_| "b hears first"));
            second.handle_datagram(now, network, SOMEWHERE, bytes);
        }
        for (network, bytes) in datagrams(&mut second, None) {
            heard.extend(b.handle_datagram(now, network, SOMEWHERE, bytes.clone()).map(|_| "b hears second"));
            first.handle_datagram(now, network, SOMEWHERE, bytes);
        }
        heard
    };
    assert_eq!(heard(0), ["first hears b", "second hears b", "b hears first", "b hears second"]);
    for n in 1..20 {
        heard(n * 20);
    }
    assert_eq!(heard(400), ["first hears b", "second hears b", "b hears first"]);
    // Its address leads to either host.
    let sent = send(&mut b, Some(A), Attempt::First);
    assert_eq!(sent.iter().map(|transmit| transmit.to).collect::<Vec<_>>(), [None, None]);
    let told: Vec<String> = std::iter::from_fn(|| b.poll_notice()).map(|notice| notice.to_string()).collect();
    let text = "two hosts run as 0.0.0.1: the host at 0.0.0.0 with the life 0000000000000004 is heard, the host at 0.0.0.0 with the life \
                0000000000000009 gives way and is not heard meanwhile; stop one of them";
    assert_eq!(told, [text]);
}

/// B and two hosts that run as A. The hosts do not hear each other, because they have one address.
struct Doubled {
    hosts: [Multipath; 3],
    now: Instant,
    flying: Vec<(usize, NetworkId, Slice)>,
    /// What came to the last host.
    came: Vec<(NetworkId, Slice)>,
    /// Until then greetings of A for A are lost on their way to the last host, but for so many at first.
    deaf_until: Instant,
    spared: usize,
}

impl Doubled {
    fn host(me: DaemonId, life: u64, keys: Keys, now: Instant) -> Multipath {
        let incarnation = Incarnation(life);
        Multipath::new(MultipathSettings { incarnation, keys, ..config(me, vec![A, B]) }, now)
    }

    fn new(keys: Keys) -> Doubled {
        let host = |me, life| Doubled::host(me, life, keys.clone(), Instant::ZERO);
        Doubled {
            hosts: [host(B, 1), host(A, 4), host(A, 9)],
            now: Instant::ZERO,
            flying: Vec::new(),
            came: Vec::new(),
            deaf_until: Instant::ZERO,
            spared: 0,
        }
    }

    /// Whether this is lost on its way to the last host.
    fn is_lost(&mut self, bytes: &Slice) -> bool {
        let (header, ..) = Head::decode(bytes).unwrap();
        let is_meant = (header.kind, header.sender, header.destination) == (PacketKind::Greeting, A, Some(A));
        let is_lost = is_meant && self.now < self.deaf_until && self.spared == 0;
        self.spared -= usize::from(is_meant && self.spared > 0);
        is_lost
    }

    /// Lets time pass; only these run.
    fn run(&mut self, millis: u32, running: &[usize]) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            for (to, network, bytes) in std::mem::take(&mut self.flying) {
                if to == 2 && self.is_lost(&bytes) {
                    continue;
                }
                if to == 2 {
                    self.came.push((network, bytes.clone()));
                }
                self.hosts[to].handle_datagram(self.now, network, SOMEWHERE, bytes);
            }
            for &at in running {
                self.hosts[at].handle_timeout(self.now);
                while let Some(transmit) = self.hosts[at].poll_transmit() {
                    let (network, bytes) = datagram(&transmit);
                    // What is for A alone comes to the first of its hosts.
                    let heard: &[usize] = if at > 0 {
                        &[0]
                    } else if transmit.to.is_some() {
                        &[1]
                    } else {
                        &[1, 2]
                    };
                    let heard = heard.iter().filter(|to| running.contains(to));
                    self.flying.extend(heard.map(|&to| (to, network, bytes.clone())));
                }
            }
        }
    }

    fn aside(&self) -> [bool; 3] {
        [0, 1, 2].map(|at| self.hosts[at].stands_aside())
    }
}

#[test]
fn a_host_that_gives_way_stands_aside_until_the_other_is_gone_with_keys_too() {
    for (n, keys) in [Keys::NONE, Keys::from_iter([crate::seal::Key::new(crate::seal::Cipher::Aes256Gcm, [1; 32])])]
        .into_iter()
        .enumerate()
    {
        let mut site = Doubled::new(keys);
        site.run(500, &[0, 1]);
        assert_eq!(site.aside(), [false; 3]);
        site.run(1000, &[0, 1, 2]);
        assert_eq!(
            site.aside(),
            [false, false, true],
            "{n} keys, {:?} {:?}",
            site.hosts[0].stats(),
            site.hosts[2].stats()
        );
        site.run(20_000, &[0, 1, 2]);
        assert_eq!(site.aside(), [false, false, true], "as long as the other one is there");
        let two_hosts = |at: usize| site.hosts[at].two_hosts().collect::<Vec<_>>();
        assert_eq!([0, 1, 2].map(two_hosts), [vec![A], vec![], vec![A]], "the first one hears nothing of the other");
        site.run(4500, &[0, 2]);
        assert_eq!(site.aside(), [false, false, true]);
        site.run(1500, &[0, 2]);
        assert_eq!(site.aside(), [false; 3], "the other one has been silent for five seconds");
    }
}

/// Otherwise what it sends to that daemon alone may go to the wrong host.
#[test]
fn a_daemon_that_comes_later_finds_out_that_there_are_two_hosts() {
    let mut site = Doubled::new(Keys::NONE);
    site.run(500, &[0, 1]);
    site.run(1000, &[0, 1, 2]);
    assert_eq!(site.aside(), [false, false, true]);
    site.run(10_000, &[0, 1, 2]);
    site.hosts[0] = Doubled::host(B, 2, Keys::NONE, site.now);
    site.run(1500, &[0, 1, 2]);
    assert_eq!(site.hosts[0].doubles().collect::<Vec<_>>(), [A]);
    assert_eq!(site.aside(), [false, false, true]);
}

/// The machine of the first host is still there, and the address leads to it.
#[test]
fn the_host_that_is_left_is_reached_although_its_address_leads_to_the_other_machine() {
    let mut site = Doubled::new(Keys::NONE);
    site.run(500, &[0, 1]);
    site.run(1000, &[0, 1, 2]);
    site.run(6000, &[0, 2]);
    assert_eq!((site.aside(), site.hosts[0].doubles().len()), ([false; 3], 0), "there is one host again");
    let body = Slice::copy_from(b"form");
    site.hosts[0].send(site.now, Outgoing { kind: PacketKind::Form, to: Some(A), attempt: Attempt::First, body });
    let sent: Vec<Transmit> = std::iter::from_fn(|| site.hosts[0].poll_transmit()).collect();
    let came = sent.iter().filter(|transmit| transmit.to.is_none()).any(|transmit| {
        let (network, bytes) = datagram(transmit);
        site.hosts[2].handle_datagram(site.now, network, SOMEWHERE, bytes).is_some()
    });
    assert!(came);
}

/// The host that is heard may know the other one by then. It answers all the same.
#[test]
fn a_host_learns_of_the_other_one_though_the_first_answers_are_lost() {
    for spared in 0..12 {
        let keys = Keys::from_iter([crate::seal::Key::new(crate::seal::Cipher::Aes256Gcm, [1; 32])]);
        let mut site = Doubled::new(keys);
        site.run(500, &[0, 1]);
        (site.deaf_until, site.spared) = (site.now + Duration::from_millis(700), spared);
        site.run(1700, &[0, 1, 2]);
        assert_eq!(site.aside(), [false, false, true], "{spared} greetings came before");
    }
}

/// What a network kept comes back while the others are heard, and while they are not.
#[test]
fn a_host_does_not_give_way_to_what_was_said_long_ago() {
    let mut site = Doubled::new(Keys::NONE);
    site.run(500, &[0, 1]);
    site.run(1000, &[0, 1, 2]);
    assert_eq!(site.aside(), [false, false, true]);
    let came = std::mem::take(&mut site.came);
    site.run(12_000, &[0, 2]);
    // Clocks in reports turn over after 71 minutes.
    for later in [Duration::ZERO, Duration::from_micros(u32::MAX.into()) - Duration::from_millis(800)] {
        let mut now = site.now + later;
        site.hosts[2].handle_timeout(now);
        for (network, bytes) in &came {
            now += Duration::from_millis(5);
            site.hosts[2].handle_datagram(now, *network, SOMEWHERE, bytes.clone());
        }
        assert_eq!(site.aside(), [false; 3], "{later:?} later");
    }
}

/// The address of A leads to another one of its two hosts for each datagram, and the packet is longer than what passes. So it goes in many
/// fragments, and one host needs all of them.
#[test]
fn a_packet_in_fragments_comes_to_one_of_two_hosts_elsewhere() {
    let at_sites = |me| MultipathSettings { sites: vec![0, 1], networks: 1, ..config(me, vec![A, B]) };
    let (mut a, mut b) = (Multipath::new(at_sites(A), Instant::ZERO), Multipath::new(at_sites(B), Instant::ZERO));
    b.outbound.set_double([(A, Distance::Far)].into());
    let mut rng = Rng::new(1);
    let mut came = 0;
    for _ in 0..32 {
        let body = Slice::from(vec![7; 8900]);
        b.send(Instant::ZERO, Outgoing { kind: PacketKind::Data, to: Some(A), attempt: Attempt::Again, body });
        while let Some(transmit) = b.poll_transmit() {
            let is_lost = rng.chance(0.1);
            if rng.chance(0.5) && !is_lost {
                let (network, bytes) = datagram(&transmit);
                came += usize::from(a.handle_datagram(Instant::ZERO, network, SOMEWHERE, bytes).is_some());
            }
        }
    }
    assert!(came >= 8, "{came} of 32 packets came");
    assert_eq!(a.stats().strange_fragments, 0);
}

impl Site {
    /// Forges a report of daemon 1 to daemon 2 on network 0. It has the last number there is.
    fn forge_report(&mut self) {
        let taken = loop {
            self.run(1);
            let report = self.flying.iter().find_map(|(to, network, bytes)| {
                let (header, _, front) = Head::decode(bytes).unwrap();
                let is_meant = (header.kind, header.sender, *network) == (PacketKind::Report, A, NetworkId(0));
                (is_meant && *to == 1).then(|| (header, bytes.tail(front)))
            });
            if let Some(taken) = report {
                break taken;
            }
        };
        let (header, body) = taken;
        let report = PathReport::decode(&body).unwrap();
        let hears = vec![0; report.hears.len()];
        let forged = PathReport { number: (1 << 62) - 1, off: 1, pause: u16::MAX, hears: &hears, ..report };
        let header = Header { counter: header.counter + 1000, ..header };
        let bytes = Slice::from([&header.encode()[..], &forged.encode()].concat());
        self.flying.push((1, NetworkId(0), bytes));
    }

    /// Whether daemon 2 knows that daemon 1 and it hear each other on both networks.
    fn believes_its_neighbour(&self) -> bool {
        let mut paths = self.daemons[1].paths().filter(|path| path.daemon == A);
        paths.all(|path| (path.state, path.loss) == (PathState::Healthy, Some(0))) && self.hears(2, 1, 2) == Some(3)
    }
}

#[test]
fn a_forged_report_with_the_last_number_is_soon_outnumbered() {
    for is_quiet in [false, true] {
        let mut site = Site::new(3);
        // The forged pause delays checks until four such pauses after the start.
        site.run(50_000);
        if !is_quiet {
            site.send(1, PacketKind::Data, None);
            site.run(1000);
        }
        site.forge_report();
        site.run(200);
        assert_eq!((site.state(2, 1, 0), site.hears(2, 1, 2)), (PathState::Off, Some(0)), "it is believed");
        let mut millis = 0;
        while millis < 60_000 && !site.believes_its_neighbour() {
            site.run(10);
            millis += 10;
        }
        assert!(millis <= 1000, "quiet: {is_quiet}, it lasts {millis} ms longer");
        // The daemon is judged by its reports as before.
        site.cut_between(0, 1, 2);
        site.run(1500);
        assert_eq!([site.state(2, 1, 0), site.state(2, 1, 1)], [PathState::Faulty, PathState::Healthy]);
    }
}
