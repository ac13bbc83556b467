//! Warns once if no other daemon was heard since the start. No ring can repair that: an address, a switch or a firewall is wrong. Or what
//! the others send is refused, because a key, the version or the configuration is another one.

use std::fmt::Write;

use tracing::warn;

use crate::multipath::{Path, Stats};
use crate::net::Network;
use crate::time::{Duration, Instant};

/// How long after the start it is normal to hear nobody.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// Waits for the first packet of any other daemon.
#[derive(Debug)]
pub(super) struct Silence {
    /// When to check; `None` after the check, or if there are no other daemons.
    due: Option<Instant>,
    /// The addresses of each network, and commands that test it by hand.
    advice: String,
}

impl Silence {
    /// A daemon with these networks starts at `now`.
    pub(super) fn new(now: Instant, networks: &[Network]) -> Silence {
        let expects_others = networks.iter().any(|network| !network.peers.is_empty());
        Silence { due: expects_others.then_some(now + SILENCE_LIMIT), advice: advice(networks) }
    }

    /// When to check.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Warns if it is time and no daemon was heard.
    pub(super) fn check(&mut self, now: Instant, mut paths: impl Iterator<Item = Path>, stats: impl FnOnce() -> Stats) {
        if self.due.take_if(|due| *due <= now).is_some() && paths.all(|path| path.heard == 0) {
            let cause = self.cause(&stats());
            warn!(name: "nobody_heard", "no other daemon was heard in {} s: {cause}", SILENCE_LIMIT.as_secs());
        }
    }

    /// Why nobody was heard, as far as the counters show it, and what to do.
    fn cause(&self, stats: &Stats) -> String {
        let refused = [(stats.refused(), "datagrams_refused"), (stats.other_system, "other_configuration")];
        let lines: Vec<&str> = refused.iter().filter(|(count, _)| *count > 0).map(|(_, line)| *line).collect();
        if lines.is_empty() {
            return self.advice.clone();
        }
        let text = format!("datagrams of others come, but are refused: see {}", lines.join(" and "));
        // Anybody may send the other ones, so they do not show that the network carries what daemons send.
        let of_daemons = stats.not_opened + stats.other_version + stats.other_system;
        if of_daemons > 0 { text } else { format!("{text}; {}", self.advice) }
    }
}

/// Describes from where to where each network was used, with commands that test it by hand.
fn advice(networks: &[Network]) -> String {
    let mut text = "if other daemons run, check the network between the machines.".to_owned();
    for (number, network) in networks.iter().enumerate().filter(|(_, network)| !network.peers.is_empty()) {
        let (own, port) = (network.own, network.port);
        let others: Vec<String> = network.peers.iter().map(|peer| peer.address.ip().to_string()).collect();
        let to = network.kind.group().map_or_else(|| others.join(", "), |group| group.to_string());
        let trial = trial(network);
        let _ = write!(
            text,
            " Network {number}: sent from {own} to {to}, port {port}; try {trial}, and look for a wrong address, a switch that \
             does not pass it, or a firewall."
        );
    }
    text
}

/// The commands that try by hand whether a network carries what is sent to the others.
fn trial(network: &Network) -> String {
    let (own, other) = (network.own, network.peers[0].address.ip());
    match network.kind.group() {
        // The two programs know IPv4 only. Each machine that hears a group answers this.
        group if own.is_ipv6() => {
            let by = network.interface.clone().unwrap_or_else(|| own.to_string());
            format!("\"ping -I {by} {}\"", group.unwrap_or(other))
        }
        // The system would join the group, and send to it, on the interface of its default route.
        Some(group) if group.is_multicast() => {
            format!(
                "\"sprecv -a {group} -i {other} -d\" on the machine of {other} and \"spsend -a {group} -i {own} -n 100\" here"
            )
        }
        group => {
            let target = group.unwrap_or(other);
            format!("\"sprecv -d\" on the machine of {other} and \"spsend -a {target} -n 100\" here")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipath::PathState;
    use crate::net::{Kind, RemoteDaemon};
    use crate::wire::DaemonId;

    fn network(kind: Kind) -> Network {
        let peer = RemoteDaemon { daemon: DaemonId(2), address: "10.0.0.2:4803".parse().unwrap(), near: true };
        Network { kind, port: 4803, own: [10, 0, 0, 1].into(), peers: vec![peer], interface: None }
    }

    fn path(heard: u64) -> Path {
        Path { heard, ..crate::daemon::testing::path(2, 0, PathState::Faulty) }
    }

    #[test]
    fn it_looks_once_and_only_where_others_could_be() {
        let mut silence = Silence::new(Instant::ZERO, &[network(Kind::Unicast)]);
        let due = Instant::from_millis(10_000);
        silence.check(Instant::from_millis(9_999), [path(0)].into_iter(), Stats::default);
        assert_eq!(silence.poll_timeout(), Some(due));
        silence.check(due, [path(1)].into_iter(), Stats::default);
        assert_eq!(silence.poll_timeout(), None);
        let alone = Network { peers: Vec::new(), ..network(Kind::Unicast) };
        assert_eq!(Silence::new(Instant::ZERO, &[alone]).poll_timeout(), None);
    }

    #[test]
    fn what_is_refused_is_no_fault_of_a_switch() {
        let silence = Silence::new(Instant::ZERO, &[network(Kind::Unicast)]);
        let refused = "datagrams of others come, but are refused: see datagrams_refused";
        assert_eq!(silence.cause(&Stats { not_opened: 9, ..Stats::default() }), refused);
        assert_eq!(silence.cause(&Stats { other_version: 1, malformed: 1, ..Stats::default() }), refused);
        let both = silence.cause(&Stats { other_version: 1, other_system: 1, ..Stats::default() });
        assert_eq!(both, format!("{refused} and other_configuration"));
        let foreign = silence.cause(&Stats { foreign_source: 3, ..Stats::default() });
        assert_eq!(foreign, format!("{refused}; {}", silence.advice), "that may be a stranger");
        assert_eq!(silence.cause(&Stats::default()), silence.advice);
    }

    #[test]
    fn the_advice_says_what_was_sent_where_and_how_to_try_it() {
        let multicast = network(Kind::Multicast([239, 0, 0, 1].into()));
        let broadcast = network(Kind::Broadcast([10, 0, 0, 255].into()));
        let peer = RemoteDaemon { daemon: DaemonId(2), address: "[fe80::2]:4803".parse().unwrap(), near: true };
        let six = Network { own: "fe80::1".parse().unwrap(), peers: vec![peer], ..network(Kind::Unicast) };
        let linked = Network { interface: Some("eth1".to_owned()), ..six.clone() };
        let text = advice(&[multicast, broadcast, network(Kind::Unicast), six, linked]);
        let here = "on the machine of 10.0.0.2";
        for said in [
            format!(
                "Network 0: sent from 10.0.0.1 to 239.0.0.1, port 4803; \
                 try \"sprecv -a 239.0.0.1 -i 10.0.0.2 -d\" {here} and \"spsend -a 239.0.0.1 -i 10.0.0.1 -n 100\" here, and look"
            ),
            format!(
                "Network 1: sent from 10.0.0.1 to 10.0.0.255, port 4803; \
                 try \"sprecv -d\" {here} and \"spsend -a 10.0.0.255 -n 100\" here, and look"
            ),
            format!(
                "Network 2: sent from 10.0.0.1 to 10.0.0.2, port 4803; try \"sprecv -d\" {here} and \"spsend -a 10.0.0.2 "
            ),
            "Network 3: sent from fe80::1 to fe80::2, port 4803; try \"ping -I fe80::1 fe80::2\", and look".to_owned(),
            "Network 4: sent from fe80::1 to fe80::2, port 4803; try \"ping -I eth1 fe80::2\", and look".to_owned(),
        ] {
            assert!(text.contains(&said), "{said}\n{text}");
        }
    }
}
