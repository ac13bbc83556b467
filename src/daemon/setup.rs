//! From a configuration to [`Options`]: what the file says about this daemon, in the terms of the parts that it sets up.
//!
//! The classic timers time another membership protocol. The token timeout means the same here; the others scale our defaults by
//! what they are to theirs, and are then bent to the rules of the ring: whatever a file says must start.

#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

use tracing::warn;

use super::config::{
    AuthMethod, ConfigError, Configuration, Daemon, NetworkKind, NetworkPolicy, Parameters, Timers, find_access_file,
    find_password_file, read_access_file, read_password_file,
};
use super::{Identity, Monitoring, Options};
use crate::multipath::{Policy, System};
use crate::system::CONTROL;
#[cfg(unix)]
use crate::system::places;
use crate::time::Duration;
use crate::wire::NetworkId;
use crate::{net, node, ring, session};

/// How long a client may take over its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages of the largest size that may wait for one client.
const MESSAGES_IN_OUTBOX: usize = 4;
/// Descriptors that are not clients': networks, doors, log, and a client that is refused.
const OTHER_DESCRIPTORS: usize = 64;
/// The shortest time that any timer is set to.
const SHORTEST: Duration = Duration::from_millis(1);

impl Options {
    /// The daemon `me` of a configuration.
    ///
    /// What lies in other files is not read: see [`Options::read_access_files`] and [`Options::remember_in`].
    pub fn from_configuration(configuration: &Configuration, me: &Daemon) -> Options {
        let identity = Identity::new(None);
        let networks = networks(configuration, me);
        let node = node::Config {
            ring: ring(configuration, me, identity),
            name: me.name.clone(),
            names: configuration.daemons.iter().map(|daemon| daemon.name.clone()).collect(),
            sites: configuration.daemons.iter().map(|daemon| daemon.segment).collect(),
            networks: u8::try_from(networks.len()).expect("a segment has at most eight networks"),
            policy: policy(configuration.policy()),
            system: System { digest: configuration.digest(), parts: configuration.digests() },
            session: session(&configuration.parameters),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            seed: identity.seed,
        };
        let client_port = configuration.segment_of(me).client_port();
        Options {
            node,
            networks,
            priorities: configuration.network_options.iter().map(|options| options.priority).collect(),
            client_port,
            client_addresses: me.clients.clone(),
            client_timeout: configuration.parameters.client_timeout,
            unix_sockets: sockets(&configuration.parameters, client_port, ""),
            control_sockets: sockets(&configuration.parameters, client_port, CONTROL),
            owner: None,
            monitoring: Monitoring {
                dangerous: configuration.parameters.dangerous_monitor,
                segments: configuration.daemons.iter().map(|daemon| daemon.segment).collect(),
            },
            state_file: None,
        }
    }

    /// Reads the access file if clients are checked by address, and the password file if by password. Without its file a check refuses
    /// everybody.
    pub fn read_access_files(&mut self) -> Result<(), ConfigError> {
        let session = &mut self.node.session;
        let checks = |method| session.allowed.contains(&method) || session.required.contains(&method);
        let (by_address, by_password) = (checks(session::Method::Ip), checks(session::Method::Password));
        match find_access_file().filter(|_| by_address) {
            Some(path) => session.access = read_access_file(&path)?,
            None if by_address => {
                warn!(name: "access_missing", "there is no access file: the method IP refuses everybody")
            }
            None => {}
        }
        match find_password_file().filter(|_| by_password) {
            Some(path) => session.passwords = read_password_file(&path)?,
            None if by_password => {
                warn!(name: "access_missing", "there is no password file: the method PWORD refuses everybody")
            }
            None => {}
        }
        Ok(())
    }

    /// Lets no more clients in than this process has descriptors for, so that who comes too much is told so.
    pub fn fit_descriptors(&mut self, descriptors: usize) {
        let room = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
        let quota = &mut self.node.session.quota;
        if room < *quota {
            warn!(name: "few_descriptors", descriptors, wanted = *quota, "fewer clients than MaxSessions fit: raise the limit of open files");
            *quota = room;
        }
    }

    /// Keeps the last ring's sequence in a file across restarts, for machines whose clock may go back.
    pub fn remember_in(&mut self, state_file: PathBuf) {
        let identity = Identity::new(Some(&state_file));
        (self.node.ring.sequence_floor, self.node.ring.sequence_horizon) =
            (identity.sequence_floor, identity.sequence_horizon);
        self.state_file = Some(state_file);
    }
}

/// Where a daemon has its unix sockets: in its runtime directory, and in the place where clients have always looked.
#[cfg(unix)]
fn sockets(parameters: &Parameters, client_port: u16, suffix: &str) -> Vec<PathBuf> {
    let [_, shared] = places(client_port, suffix);
    vec![Path::new(&parameters.runtime_dir).join(format!("{client_port}{suffix}")), shared]
}

/// There are none here.
#[cfg(not(unix))]
fn sockets(_: &Parameters, _: u16, _: &str) -> Vec<PathBuf> {
    Vec::new()
}

fn policy(policy: NetworkPolicy) -> Policy {
    match policy {
        NetworkPolicy::Active => Policy::Active,
        NetworkPolicy::Copies(count) => Policy::Copies(count),
        NetworkPolicy::Passive => Policy::Passive,
        NetworkPolicy::Primary => Policy::Primary,
    }
}

fn ring(configuration: &Configuration, me: &Daemon, identity: Identity) -> ring::Config {
    let daemons = configuration.daemons.iter().map(|daemon| daemon.id).collect();
    let mut ring = ring::Config::new(me.id, identity.incarnation, daemons);
    (ring.sequence_floor, ring.sequence_horizon) = (identity.sequence_floor, identity.sequence_horizon);
    if let Some(windows) = configuration.parameters.windows {
        ring.window = windows.ring.min(ring::Config::WINDOW_LIMIT);
        ring.personal_window = windows.personal.min(ring.window);
    }
    if let Some(timers) = &configuration.parameters.timers {
        set_timers(&mut ring, timers);
    }
    ring
}

fn set_timers(ring: &mut ring::Config, timers: &Timers) {
    let scaled = |ours: Duration, given: Duration, classic_millis: u64| {
        let ratio = given.as_secs_f64() / Duration::from_millis(classic_millis).as_secs_f64();
        ours.mul_f64(ratio).max(SHORTEST)
    };
    ring.token_timeout = timers.token.max(6 * SHORTEST);
    ring.token_retransmit =
        scaled(ring.token_retransmit, timers.hurry, 500).clamp(2 * SHORTEST, ring.token_timeout / 3);
    ring.token_hold = ring.token_hold.min(ring.token_retransmit / 2);
    ring.join_interval = scaled(ring.join_interval, timers.join, 250);
    ring.consensus_timeout = scaled(ring.consensus_timeout, timers.gather, 1250).max(2 * ring.join_interval);
    ring.probe_interval = scaled(ring.probe_interval, timers.alive, 250).min(timers.lookup);
}

/// The networks of this daemon. What is sent to all on one reaches the daemons of its segment; the others are sent to one by one.
fn networks(configuration: &Configuration, me: &Daemon) -> Vec<net::Network> {
    let segment = configuration.segment_of(me);
    let number = |(id, network)| (NetworkId(id), network);
    let numbered = (0..).zip(&segment.networks).map(number);
    let with_address = numbered.map_while(|(id, network)| Some((id, network, configuration.traffic_address(me, id)?)));
    let others = || configuration.daemons.iter().filter(|daemon| daemon.id != me.id);
    let options_of = |id: NetworkId| configuration.network_options.get(usize::from(id.0));
    let described = with_address.map(|(id, network, own)| {
        let peer = |daemon: &Daemon| {
            let address = configuration.traffic_address(daemon, id)?;
            Some(net::Peer { daemon: daemon.id, address, near: daemon.segment == me.segment })
        };
        net::Network {
            kind: kind(network.kind),
            port: network.port,
            own: own.ip(),
            peers: others().filter_map(peer).collect(),
            interface: options_of(id).and_then(|options| options.interface.clone()),
        }
    });
    described.collect()
}

fn kind(kind: NetworkKind) -> net::Kind {
    match kind {
        NetworkKind::Multicast(group) => net::Kind::Multicast(group),
        NetworkKind::Broadcast(group) => net::Kind::Broadcast(group),
        NetworkKind::Unicast => net::Kind::Unicast,
    }
}

fn session(parameters: &Parameters) -> session::Config {
    let methods = |list: &[AuthMethod]| list.iter().copied().map(method).collect();
    let defaults = session::Config::default();
    session::Config {
        allowed: methods(&parameters.allowed_auth),
        required: methods(&parameters.required_auth),
        message_limit: parameters.max_message_size,
        max_session_messages: parameters.max_session_messages as usize,
        max_outbox_bytes: defaults.max_outbox_bytes.max(MESSAGES_IN_OUTBOX * parameters.max_message_size),
        slow_client: parameters.slow_client,
        quota: parameters.max_sessions as usize,
        ..defaults
    }
}

fn method(method: AuthMethod) -> session::Method {
    match method {
        AuthMethod::Null => session::Method::Null,
        AuthMethod::Ip => session::Method::Ip,
        AuthMethod::Password => session::Method::Password,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DaemonId;

    fn configuration(text: &str) -> Configuration {
        Configuration::parse("f", text.as_bytes()).unwrap()
    }

    fn options(configuration: &Configuration, name: &str) -> Options {
        let me = configuration.me(Some(name), &[]).unwrap();
        Options::from_configuration(configuration, me)
    }

    const TWO_SEGMENTS: &str = "
        Spread_Segment 239.77.0.1:4803 239.77.1.1:4810 {
            alpha 10.77.0.1 { D 10.77.0.1  D 10.77.1.1  C 127.0.0.1 }
            beta  10.77.0.2 { D 10.77.0.2  D 10.77.1.2  C 127.0.0.1 }
        }
        Spread_Segment 10.88.0.255:4900 { gamma 10.88.0.3 }
        Window = 100 PersonalWindow = 10 MaxSessionMessages = 7 MaxSessions = 5 MaxMessageSize = 32M
        SlowClient = block-senders";

    fn peer(daemon: [u8; 4], address: &str, near: bool) -> net::Peer {
        net::Peer { daemon: DaemonId(u32::from_be_bytes(daemon)), address: address.parse().unwrap(), near }
    }

    #[test]
    fn any_window_that_a_file_may_say_starts() {
        let configuration =
            configuration("Spread_Segment 10.77.0.255 { alpha 10.77.0.1 } Window = 999999 PersonalWindow = 99999");
        let ring = options(&configuration, "alpha").node.ring;
        assert_eq!((ring.window, ring.personal_window, ring.check()), (8192, 8192, Ok(())));
    }

    #[test]
    fn who_is_in_the_segment_is_near_and_others_are_elsewhere() {
        let configuration = configuration(TWO_SEGMENTS);
        let alpha = options(&configuration, "alpha");
        assert_eq!((alpha.networks.len(), alpha.node.networks, alpha.client_port), (2, 2, 4803));
        let [first, second] = &alpha.networks[..] else { panic!("two networks") };
        assert_eq!(first.kind, net::Kind::Multicast([239, 77, 0, 1].into()));
        let [beta, gamma] = [[10, 77, 0, 2], [10, 88, 0, 3]];
        assert_eq!(first.peers, [peer(beta, "10.77.0.2:4803", true), peer(gamma, "10.88.0.3:4900", false)]);
        assert_eq!((second.own, second.port), ([10, 77, 1, 1].into(), 4810));
        assert_eq!(second.peers, [peer(beta, "10.77.1.2:4810", true)]);
        let gamma = options(&configuration, "gamma");
        assert_eq!(gamma.networks[0].kind, net::Kind::Broadcast([10, 88, 0, 255].into()));
        assert!(gamma.networks[0].peers.iter().all(|peer| !peer.near));
        assert_eq!(gamma.node.sites, [0, 0, 1]);
        assert_eq!(gamma.node.system, alpha.node.system);
    }

    #[test]
    fn priorities_of_the_file_are_by_network() {
        let text =
            "Spread_Segment unicast unicast { a 10.0.0.1 10.0.1.1 } Network 1 { Priority = 9 } NetworkPolicy = primary";
        assert_eq!(options(&configuration(text), "a").priorities, [0, 9]);
    }

    #[test]
    fn limits_of_the_file_are_kept() {
        let alpha = options(&configuration(TWO_SEGMENTS), "alpha");
        assert_eq!((alpha.node.ring.window, alpha.node.ring.personal_window), (100, 10));
        let session = alpha.node.session;
        assert_eq!((session.max_session_messages, session.quota, session.message_limit), (7, 5, 32 << 20));
        assert_eq!((session.max_outbox_bytes, session.slow_client), (128 << 20, session::SlowClient::BlockSenders));
    }

    #[test]
    fn no_more_clients_come_in_than_have_descriptors() {
        let mut alpha = options(&configuration(TWO_SEGMENTS), "alpha");
        for (descriptors, quota) in [(1024, 5), (67, 3), (10, 1)] {
            alpha.fit_descriptors(descriptors);
            assert_eq!(alpha.node.session.quota, quota);
        }
    }

    #[test]
    fn without_a_file_there_is_one_daemon_on_loopback() {
        let localhost = Configuration::localhost();
        let options = options(&localhost, "localhost");
        assert_eq!(options.node.ring.check(), Ok(()));
        assert_eq!((options.networks.len(), options.networks[0].peers.len()), (1, 0));
    }

    #[test]
    fn any_timers_give_a_ring_that_starts() {
        let names = ["Token", "Hurry", "Alive", "Join", "Rep", "Seg", "Gather", "Form", "Lookup"];
        for short in 0..=names.len() {
            for (low, high) in [(1, 1), (1, 999_999), (999_999, 1), (250, 250)] {
                let time = |n: usize| if n == short { low } else { high };
                let timers = names.iter().enumerate().map(|(n, name)| format!("{name}Timeout = {} ", time(n)));
                let text = format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 }} {}", timers.collect::<String>());
                let ring = options(&configuration(&text), "a").node.ring;
                assert_eq!(ring.check(), Ok(()), "{text}");
            }
        }
    }

    #[test]
    fn the_classic_timers_give_the_defaults_of_the_ring_and_their_token_timeout() {
        let text = "Spread_Segment 10.0.0.255 { a 10.0.0.1 }
            TokenTimeout = 1250 HurryTimeout = 500 AliveTimeout = 250 JoinTimeout = 250 RepTimeout = 625
            SegTimeout = 500 GatherTimeout = 1250 FormTimeout = 1250 LookupTimeout = 30000";
        let ring = options(&configuration(text), "a").node.ring;
        let default = ring::Config::new(ring.me, ring.incarnation, ring.daemons.clone());
        assert_eq!(ring.token_timeout, Duration::from_millis(1250));
        assert_eq!((ring.token_hold, ring.token_retransmit), (default.token_hold, default.token_retransmit));
        assert_eq!((ring.join_interval, ring.consensus_timeout), (default.join_interval, default.consensus_timeout));
        assert_eq!(ring.probe_interval, default.probe_interval);
    }
}
