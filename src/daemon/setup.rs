//! Turns settings into [`Options`]: what the file says about this daemon, in the types that ring, networks and clients take.

use std::net::IpAddr;
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

use super::files::{self, FileError};
use super::{Identity, Options};
use crate::config::{Daemon, Process, Settings, Table};
use crate::multipath::System;
use crate::net;
use crate::node::NodeSettings;
use crate::ring::RingSettings;
use crate::seal::Keys;
use crate::system::CONTROL;
#[cfg(unix)]
use crate::system::places;
use crate::time::Duration;
use crate::wire::{DaemonId, Header, NetworkId};

/// How long a client's handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the longest datagram: those that Ethernet with jumbo frames of 9000 bytes carries. Longer ones save nothing.
const LONGEST_DATAGRAM: usize = 8972;

impl Options {
    /// The daemon `me` of these settings.
    ///
    /// Other files are not read here: see [`Options::read_files`] and [`Options::remember_in`].
    pub fn from_settings(settings: &Settings, me: &Daemon) -> Options {
        let (identity, table) = (Identity::new(None), &settings.table);
        let Membership { daemons, names, segments, system, sources, networks } = Membership::of(settings, me);
        let mut ring = RingSettings::new(me.id, identity.incarnation, daemons);
        (ring.sequence_floor, ring.sequence_horizon) = (identity.sequence_floor, identity.sequence_horizon);
        ring.body_limit = LONGEST_DATAGRAM - Header::SIZE;
        settings.live.tune(&mut ring);
        let mut live = settings.live.clone();
        files::fit_memory(&mut live);
        let node = NodeSettings {
            ring,
            name: me.name.clone(),
            names,
            sites: segments.clone(),
            networks: u8::try_from(networks.len()).expect("a segment has at most eight networks"),
            system,
            sources,
            keys: Keys::NONE,
            live,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            seed: identity.seed,
        };
        let client_port = table.segment_of(me).client_port();
        Options {
            node,
            networks,
            client_port,
            client_addresses: me.clients.clone(),
            unix_sockets: sockets(&settings.process, client_port, ""),
            control_sockets: sockets(&settings.process, client_port, CONTROL),
            owner: None,
            segments,
            settings: settings.clone(),
            descriptors: None,
            state_file: None,
        }
    }

    /// Reads the files that the settings name or need: the access file, the password file if clients are checked by password, and the key
    /// file. Without its file a check refuses everybody. If no check uses the access file, a mistake in it is only a warning, unless it
    /// has rules for groups: these always count.
    pub fn read_files(&mut self) -> Result<(), FileError> {
        self.node.keys = files::read_all(&mut self.node.live)?;
        Ok(())
    }

    /// Limits the clients to the descriptors of this process. Clients above the limit are refused with REJECT_QUOTA.
    pub fn fit_descriptors(&mut self, descriptors: usize) {
        self.descriptors = Some(descriptors);
        files::fit_descriptors(&mut self.node.live.session, descriptors);
    }

    /// Keeps the last ring's sequence in a file across restarts, for machines whose clock may go back.
    pub fn remember_in(&mut self, state_file: PathBuf) {
        let identity = Identity::new(Some(&state_file));
        (self.node.ring.sequence_floor, self.node.ring.sequence_horizon) =
            (identity.sequence_floor, identity.sequence_horizon);
        self.state_file = Some(state_file);
    }
}

/// All daemons and networks of a file. Lists are in the order of the ring.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) daemons: Vec<DaemonId>,
    pub(super) names: Vec<String>,
    pub(super) segments: Vec<usize>,
    pub(super) system: System,
    pub(super) sources: Vec<IpAddr>,
    /// The networks of this daemon.
    pub(super) networks: Vec<net::Network>,
}

impl Membership {
    /// The daemons and networks of these settings, as the daemon `me` sees them.
    pub(super) fn of(settings: &Settings, me: &Daemon) -> Membership {
        let table = &settings.table;
        Membership {
            daemons: table.daemons.iter().map(|daemon| daemon.id).collect(),
            names: table.daemons.iter().map(|daemon| daemon.name.clone()).collect(),
            segments: table.daemons.iter().map(|daemon| daemon.segment).collect(),
            system: System { digest: table.digest(), parts: settings.digests() },
            sources: sources(table),
            networks: networks(table, me),
        }
    }
}

/// The places of a daemon's unix sockets: its runtime directory, and the place where Spread's clients look.
#[cfg(unix)]
fn sockets(process: &Process, client_port: u16, suffix: &str) -> Vec<PathBuf> {
    let [_, shared] = places(client_port, suffix);
    vec![Path::new(&process.runtime_dir).join(format!("{client_port}{suffix}")), shared]
}

/// This system has no unix sockets.
#[cfg(not(unix))]
fn sockets(_: &Process, _: u16, _: &str) -> Vec<PathBuf> {
    Vec::new()
}

/// The addresses from which packets may come: those of all daemons on all networks. An address counts on every network, so that a cable
/// in the wrong network is recognized and reported.
fn sources(table: &Table) -> Vec<IpAddr> {
    let networks = || (0..NetworkId::LIMIT as u8).map(NetworkId);
    let of = |daemon| networks().filter_map(move |network| table.traffic_address(daemon, network));
    table.daemons.iter().flat_map(of).map(|address| address.ip()).collect()
}

/// The networks of this daemon. One send to all on a network reaches the daemons of this segment; every other daemon gets its own copy.
fn networks(table: &Table, me: &Daemon) -> Vec<net::Network> {
    let segment = table.segment_of(me);
    let number = |(id, network)| (NetworkId(id), network);
    let numbered = (0..).zip(&segment.networks).map(number);
    // The numbers of a daemon's networks have no gaps, so the first network without an address ends the list.
    let with_address = numbered.map_while(|(id, network)| Some((id, network, table.traffic_address(me, id)?)));
    let others = || table.daemons.iter().filter(|daemon| daemon.id != me.id);
    let notes_of = |id: NetworkId| table.networks.get(usize::from(id.0));
    let named = |id: NetworkId| me.interfaces.get(usize::from(id.0)).cloned().flatten();
    let described = with_address.map(|(id, network, own)| {
        let peer = |daemon: &Daemon| {
            let address = table.traffic_address(daemon, id)?;
            Some(net::RemoteDaemon { daemon: daemon.id, address, near: daemon.segment == me.segment })
        };
        net::Network {
            kind: network.kind,
            port: network.port,
            own: own.ip(),
            peers: others().filter_map(peer).collect(),
            interface: notes_of(id).and_then(|notes| notes.interface.clone()).or_else(|| named(id)),
        }
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session;

    fn settings(text: &str) -> Settings {
        Settings::parse("f", text.as_bytes()).unwrap()
    }

    fn options(settings: &Settings, name: &str) -> Options {
        let me = settings.table.me(Some(name), &[]).unwrap();
        Options::from_settings(settings, me)
    }

    const TWO_SEGMENTS: &str = "
        Spread_Segment 239.77.0.1:4803 239.77.1.1:4810 {
            alpha 10.77.0.1 { D 10.77.0.1  D 10.77.1.1  C 127.0.0.1 }
            beta  10.77.0.2 { D 10.77.0.2  D 10.77.1.2  C 127.0.0.1 }
        }
        Spread_Segment 10.88.0.255:4900 { gamma 10.88.0.3 }
        Window = 100 PersonalWindow = 10 MaxSessionMessages = 7 MaxSessions = 5 MaxMessageSize = 32M
        SlowClient = block-senders";

    fn near(daemon: [u8; 4], address: &str) -> net::RemoteDaemon {
        let daemon = DaemonId(u32::from_be_bytes(daemon));
        net::RemoteDaemon { daemon, address: address.parse().unwrap(), near: true }
    }

    fn elsewhere(daemon: [u8; 4], address: &str) -> net::RemoteDaemon {
        net::RemoteDaemon { near: false, ..near(daemon, address) }
    }

    #[test]
    fn who_is_in_the_segment_is_near_and_others_are_elsewhere() {
        let settings = settings(TWO_SEGMENTS);
        let alpha = options(&settings, "alpha");
        assert_eq!((alpha.networks.len(), alpha.node.networks, alpha.client_port), (2, 2, 4803));
        let [first, second] = &alpha.networks[..] else { panic!("two networks") };
        assert_eq!(first.kind, net::Kind::Multicast([239, 77, 0, 1].into()));
        let [beta, gamma] = [[10, 77, 0, 2], [10, 88, 0, 3]];
        assert_eq!(first.peers, [near(beta, "10.77.0.2:4803"), elsewhere(gamma, "10.88.0.3:4900")]);
        assert_eq!((second.own, second.port), ([10, 77, 1, 1].into(), 4810));
        assert_eq!(second.peers, [near(beta, "10.77.1.2:4810")]);
        let gamma = options(&settings, "gamma");
        assert_eq!(gamma.networks[0].kind, net::Kind::Broadcast([10, 88, 0, 255].into()));
        assert!(gamma.networks[0].peers.iter().all(|peer| !peer.near));
        assert_eq!(gamma.node.sites, [0, 0, 1]);
        assert_eq!(gamma.node.system, alpha.node.system);
    }

    #[test]
    fn priorities_of_the_file_are_by_network() {
        let text =
            "Spread_Segment unicast unicast { a 10.0.0.1 10.0.1.1 } Network 1 { Priority = 9 } NetworkPolicy = primary";
        assert_eq!(options(&settings(text), "a").node.live.priorities, [0, 9]);
    }

    #[test]
    fn limits_of_the_file_are_kept() {
        let alpha = options(&settings(TWO_SEGMENTS), "alpha");
        assert_eq!((alpha.node.ring.window, alpha.node.ring.personal_window), (100, 10));
        let session = alpha.node.live.session;
        assert_eq!((session.max_session_messages, session.quota, session.message_limit), (7, 5, 32 << 20));
        assert_eq!((session.max_outbox_bytes, session.slow_client), (128 << 20, session::SlowClient::BlockSenders));
    }

    #[test]
    fn no_more_clients_come_in_than_have_descriptors() {
        let mut alpha = options(&settings(TWO_SEGMENTS), "alpha");
        for (descriptors, quota) in [(1024, 5), (89, 3), (10, 1)] {
            alpha.fit_descriptors(descriptors);
            assert_eq!(alpha.node.live.session.quota, quota);
        }
    }

    #[test]
    fn without_a_file_there_is_one_daemon_on_loopback() {
        let localhost = Settings::localhost();
        let options = options(&localhost, "localhost");
        assert_eq!(options.node.ring.check(), Ok(()));
        assert_eq!((options.networks.len(), options.networks[0].peers.len()), (1, 0));
    }

    #[test]
    fn the_classic_timers_give_the_defaults_of_the_ring_and_their_token_timeout() {
        let text = "Spread_Segment 10.0.0.255 { a 10.0.0.1 }
            TokenTimeout = 1250 HurryTimeout = 500 AliveTimeout = 250 JoinTimeout = 250 RepTimeout = 625
            SegTimeout = 500 GatherTimeout = 1250 FormTimeout = 1250 LookupTimeout = 30000";
        let ring = options(&settings(text), "a").node.ring;
        let default = RingSettings::new(ring.me, ring.incarnation, ring.daemons.clone());
        assert_eq!(ring.token_timeout, Duration::from_millis(1250));
        assert_eq!(ring.token_retransmit, default.token_retransmit);
        assert_eq!((ring.join_interval, ring.consensus_timeout), (default.join_interval, default.consensus_timeout));
        assert_eq!(ring.probe_interval, default.probe_interval);
    }
}
