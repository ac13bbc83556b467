//! Classic monitors: the commands that they send by UDP to the port of the daemons' own packets, and the reports that they get.
//!
//! A monitor cannot prove who it is. So it gets only reports, and these go only to the address of a configured daemon. With
//! `DangerousMonitor` it may also partition and throttle the daemon. A partition ends by itself, because the monitor that made it may
//! be gone. No datagram stops the daemon or lets it read files: that takes the control socket. Where packets between daemons are
//! sealed, no command is obeyed, because commands carry no seal.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tracing::{debug, warn};

use super::{Options, tally};
use crate::counters::{Counter, Value};
use crate::groups::GroupsStatus;
use crate::node::Node;
use crate::ring::{Configuration, Windows};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, FlowControl, Header, MonitorCommand, MonitorRequest, Reader, Report};

/// How long a partition lasts if the monitor does not repeat it.
const PARTITION_TIME: Duration = Duration::from_secs(60);

/// Puts a number into a report.
type Store = fn(&mut Report, u32);

/// The counters of a report, and its fields for them. It has no fields for others.
const COUNTED: [(&str, &str, Store); 8] = [
    ("ring", "packets_sent", |report, value| report.packets_sent = value),
    ("ring", "retransmitted", |report, value| report.retransmitted = value),
    ("ring", "retransmitted", |report, value| report.retransmitted_to_all = value),
    ("ring", "tokens_retransmitted", |report, value| report.tokens_retransmitted = value),
    ("ring", "tokens", |report, value| report.tokens = value),
    ("ring", "messages", |report, value| report.messages = value),
    ("ring", "configurations", |report, value| report.configurations = value as u16),
    ("packets", "first", |report, value| report.packets_received = value),
];

/// The rights of monitors, and the facts about the configuration that reports contain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Monitoring {
    /// Whether they may partition and throttle the daemon.
    pub(super) dangerous: bool,
    /// The segment of each daemon, in the order of the configuration.
    pub(super) segments: Vec<usize>,
}

/// A task that a monitor gives to the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Send a report there.
    Report(SocketAddr),
    /// Change the windows; what is `None` stays.
    Windows { ring: Option<u16>, personal: Option<u16> },
}

/// How packets between daemons travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Plain,
    /// Sealed. Commands are not, so they would be the one way in without a key.
    Sealed,
}

/// The part of the daemon that handles monitors' commands.
#[derive(Debug)]
pub(super) struct Monitors {
    me: DaemonId,
    daemons: Vec<DaemonId>,
    configuration: u32,
    options: Monitoring,
    traffic: Traffic,
    /// The socket that sends reports; opened for the first one.
    socket: Option<UdpSocket>,
    /// Daemons that a partition hides, and until when.
    hidden: BTreeSet<DaemonId>,
    until: Instant,
}

impl Monitors {
    /// For a daemon with these options.
    pub(super) fn of(options: &Options) -> Monitors {
        let (ring, system) = (&options.node.ring, options.node.system);
        let dangerous = options.node.live.dangerous_monitor;
        let monitoring = Monitoring { dangerous, segments: options.segments.clone() };
        let traffic = if options.node.keys.is_empty() { Traffic::Plain } else { Traffic::Sealed };
        Monitors::new(ring.me, ring.daemons.clone(), system.digest, monitoring, traffic)
    }

    fn new(
        me: DaemonId,
        daemons: Vec<DaemonId>,
        configuration: u32,
        options: Monitoring,
        traffic: Traffic,
    ) -> Monitors {
        let (hidden, until) = (BTreeSet::new(), Instant::ZERO);
        Monitors { me, daemons, configuration, options, traffic, socket: None, hidden, until }
    }

    /// Whether monitors may partition and throttle the daemon from now on.
    pub(super) fn set_dangerous(&mut self, dangerous: bool) {
        self.options.dangerous = dangerous;
    }

    /// These are the daemons from now on, in the order of the configuration, with their segments and the configuration's hash.
    pub(super) fn adopt(&mut self, daemons: Vec<DaemonId>, configuration: u32, segments: Vec<usize>) {
        (self.daemons, self.configuration, self.options.segments) = (daemons, configuration, segments);
    }

    /// Whether a datagram comes from a daemon that a partition hides.
    pub(super) fn hides(&self, now: Instant, datagram: &[u8]) -> bool {
        !self.hidden.is_empty()
            && now < self.until
            && Header::decode(&mut Reader::new(datagram)).is_ok_and(|header| self.hidden.contains(&header.sender))
    }

    /// A monitor's command arrived from this address. The daemon that it names as its sender is only a claim.
    pub(super) fn handle(&mut self, now: Instant, source: IpAddr, datagram: &[u8]) -> Option<Order> {
        let command = match MonitorCommand::decode(datagram, self.daemons.len()) {
            Ok(command) => command,
            Err(error) => {
                debug!(%source, %error, "malformed command of a monitor");
                return None;
            }
        };
        let same = [self.configuration, MonitorCommand::ANY_CONFIGURATION].contains(&command.configuration);
        if !same || !self.daemons.contains(&command.from) {
            debug!(%source, claims = %command.from, "command of a monitor with another configuration");
            return None;
        }
        match command.request {
            MonitorRequest::Status => {
                let address = Ipv4Addr::from_bits(command.from.0);
                Some(Order::Report(SocketAddr::new(address.into(), command.reply_port)))
            }
            MonitorRequest::Reload => {
                warn!(
                    name: "monitor_refused",
                    %source,
                    claims = %command.from,
                    command = "reload",
                    "a monitor wants the daemon to reload its files, but anybody could have sent that: use spmonitor reload, or SIGHUP"
                );
                None
            }
            _ if !self.options.dangerous => {
                warn!(
                    name: "monitor_refused",
                    %source,
                    claims = %command.from,
                    "a monitor is not obeyed: DangerousMonitor is not set"
                );
                None
            }
            _ if self.traffic == Traffic::Sealed => {
                warn!(
                    name: "monitor_refused",
                    %source,
                    claims = %command.from,
                    "a monitor is not obeyed: packets are sealed, but its commands are not; use the control socket"
                );
                None
            }
            MonitorRequest::Partition(components) => {
                self.partition(now, source, (command.from, &components));
                None
            }
            MonitorRequest::FlowControl(FlowControl { personal, ring }) => {
                let personal = self.place().and_then(|place| personal.get(place).copied().flatten());
                Some(Order::Windows { ring, personal })
            }
        }
    }

    /// Sends a report.
    pub(super) fn send(&mut self, to: SocketAddr, report: &Report) {
        if let Err(error) = self.try_send(to, report) {
            debug!(%to, %error, "a monitor gets no report");
        }
    }

    /// This daemon's report.
    pub(super) fn report(&self, now: Instant, node: &Node, configuration: Option<&Configuration>) -> Report {
        let windows = node.windows();
        let (progress, version) = (node.progress(), |part: &str| part.parse().unwrap_or_default());
        let members = configuration.map_or(&[][..], |configuration| &configuration.members);
        let representative = configuration.map_or(self.me, |configuration| configuration.ring.representative);
        let mut report = Report {
            seconds: now.since(Instant::ZERO).as_secs() as u32,
            ring_state: ring_state(node.ring_state()),
            group_state: group_state(node.group_status()),
            packets_delivered: progress.aru as u32,
            safe: progress.safe as u32,
            aru: progress.aru as u32,
            highest: progress.highest as u32,
            me: self.me.0,
            representative: representative.0,
            daemons: members.len() as u16,
            segments: self.segments(members),
            window: windows.ring as u16,
            personal_window: windows.personal as u16,
            accelerated: 1,
            accelerated_window: windows.personal as u16,
            sessions: node.sessions() as u16,
            groups: node.group_count() as u16,
            major: version(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: version(env!("CARGO_PKG_VERSION_MINOR")),
            patch: version(env!("CARGO_PKG_VERSION_PATCH")),
            ..Report::default()
        };
        tally::visit_node(node, &mut |Counter { section, key, value, .. }| {
            let Value::Count(value) = value else { return };
            COUNTED.iter().filter(|counted| (counted.0, counted.1) == (section, key)).for_each(|(_, _, store)| {
                store(&mut report, value as u32);
            });
        });
        report
    }

    fn try_send(&mut self, to: SocketAddr, report: &Report) -> io::Result<()> {
        // Opened for the first report, because most daemons never send one.
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        };
        socket.set_nonblocking(true)?;
        self.socket.insert(socket).send_to(&report.encode(), to).map(|_| ())
    }

    fn partition(&mut self, now: Instant, source: IpAddr, (claims, components): (DaemonId, &[i16])) {
        let Some(&own) = self.place().and_then(|place| components.get(place)) else { return };
        if own == MonitorCommand::TERMINATE {
            warn!(
                name: "monitor_refused",
                %source,
                %claims,
                command = "terminate",
                "a monitor wants this daemon to stop, but anybody could have sent that: use spmonitor terminate on this machine"
            );
            return;
        }
        let elsewhere = self.daemons.iter().zip(components).filter(|&(_, &component)| component != own);
        let hidden: BTreeSet<DaemonId> = elsewhere.map(|(&daemon, _)| daemon).collect();
        if hidden != self.hidden {
            warn!(name: "monitor_partition", %source, %claims, ?hidden, "a monitor partitions the daemons");
        }
        self.hidden = hidden;
        // The monitor may be gone before it ends the partition.
        self.until = now + PARTITION_TIME;
    }

    /// This daemon's index in the lists.
    fn place(&self) -> Option<usize> {
        self.daemons.iter().position(|&daemon| daemon == self.me)
    }

    fn segments(&self, members: &[DaemonId]) -> u16 {
        let segment = |(daemon, &segment)| members.contains(daemon).then_some(segment);
        let mut segments: Vec<usize> = self.daemons.iter().zip(&self.options.segments).filter_map(segment).collect();
        segments.sort_unstable();
        segments.dedup();
        segments.len() as u16
    }
}

/// The windows after an order to change them.
pub(super) fn changed(now: Windows, ring: Option<u16>, personal: Option<u16>) -> Windows {
    Windows { ring: ring.map_or(now.ring, u32::from), personal: personal.map_or(now.personal, u32::from) }
}

fn ring_state(name: &str) -> u32 {
    match name {
        "operational" => 1,
        "form" => 5,
        "recovery" => 6,
        _ => 4,
    }
}

fn group_state(status: GroupsStatus) -> u32 {
    match status {
        GroupsStatus::Operational => 1,
        GroupsStatus::Transitional => 2,
        GroupsStatus::Exchanging => 3,
        GroupsStatus::ExchangingInTransition => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Incarnation, NetworkId, PacketKind, Protection, Way};

    const A: DaemonId = DaemonId(0x0a00_0001);
    const B: DaemonId = DaemonId(0x0a00_0002);
    const C: DaemonId = DaemonId(0x0a00_0003);
    const DIGEST: u32 = 77;
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

    fn monitors() -> Monitors {
        Monitors::new(
            B,
            vec![A, B, C],
            DIGEST,
            Monitoring { dangerous: false, segments: vec![0, 1, 1] },
            Traffic::Plain,
        )
    }

    fn dangerous_monitors(traffic: Traffic) -> Monitors {
        Monitors::new(B, vec![A, B, C], DIGEST, Monitoring { dangerous: true, segments: vec![0, 1, 1] }, traffic)
    }

    fn command(from: DaemonId, configuration: u32, request: MonitorRequest) -> Vec<u8> {
        MonitorCommand { from, reply_port: 7000, configuration, request }.encode()
    }

    fn from(sender: DaemonId) -> Vec<u8> {
        let (kind, network, way, incarnation) = (PacketKind::Probe, NetworkId(0), Way::Direct, Incarnation(1));
        let protection = Protection::Plain;
        Header { kind, network, protection, way, sender, destination: None, system: 1, incarnation, counter: 1 }
            .encode()
            .to_vec()
    }

    const NOW: Instant = Instant::from_millis(5);

    #[test]
    fn a_report_goes_to_the_address_of_a_configured_daemon_only() {
        let mut monitors = monitors();
        let report = Order::Report("10.0.0.3:7000".parse().unwrap());
        for (from, configuration, order) in [
            (C, MonitorCommand::ANY_CONFIGURATION, Some(report.clone())),
            (C, DIGEST, Some(report)),
            (C, DIGEST + 1, None),
            (DaemonId(9), DIGEST, None),
        ] {
            let status = command(from, configuration, MonitorRequest::Status);
            assert_eq!(monitors.handle(NOW, ELSEWHERE, &status), order, "{from} {configuration}");
        }
        assert_eq!(monitors.handle(NOW, ELSEWHERE, &[0; 40]), None);
    }

    #[test]
    fn without_dangerous_monitor_nothing_changes() {
        let mut monitors = monitors();
        let stop = MonitorRequest::Partition(vec![MonitorCommand::TERMINATE; 3]);
        let apart = MonitorRequest::Partition(vec![0, 1, 1]);
        let throttle = MonitorRequest::FlowControl(FlowControl { personal: vec![Some(1); 3], ring: Some(1) });
        for request in [stop, apart, throttle, MonitorRequest::Reload] {
            assert_eq!(monitors.handle(NOW, ELSEWHERE, &command(A, DIGEST, request)), None);
        }
        assert!(!monitors.hides(NOW, &from(A)));
    }

    #[test]
    fn where_packets_are_sealed_a_monitor_changes_nothing() {
        let mut monitors = dangerous_monitors(Traffic::Sealed);
        let stop = MonitorRequest::Partition(vec![MonitorCommand::TERMINATE; 3]);
        let throttle = MonitorRequest::FlowControl(FlowControl { personal: vec![Some(1); 3], ring: Some(1) });
        for request in [stop, MonitorRequest::Partition(vec![0, 1, 1]), throttle] {
            assert_eq!(monitors.handle(NOW, ELSEWHERE, &command(A, DIGEST, request)), None);
        }
        assert!(!monitors.hides(NOW, &from(A)));
        assert!(
            monitors.handle(NOW, ELSEWHERE, &command(A, DIGEST, MonitorRequest::Status)).is_some(),
            "a report harms nobody"
        );
    }

    #[test]
    fn a_partition_hides_other_components_until_it_ends() {
        let mut monitors = dangerous_monitors(Traffic::Plain);
        let partition = |components: [i16; 3]| command(A, DIGEST, MonitorRequest::Partition(components.to_vec()));
        assert_eq!(monitors.handle(NOW, ELSEWHERE, &partition([0, 1, 1])), None);
        assert!(monitors.hides(NOW, &from(A)) && !monitors.hides(NOW, &from(C)));
        assert!(!monitors.hides(NOW + PARTITION_TIME, &from(A)));
        monitors.handle(NOW + PARTITION_TIME / 2, ELSEWHERE, &partition([0, 1, 1]));
        assert!(monitors.hides(NOW + PARTITION_TIME, &from(A)), "it was repeated");
        monitors.handle(NOW, ELSEWHERE, &partition([0, 0, 0]));
        assert!(!monitors.hides(NOW, &from(A)));
    }

    #[test]
    fn no_datagram_stops_a_daemon() {
        let mut monitors = dangerous_monitors(Traffic::Plain);
        let stop = MonitorRequest::Partition(vec![MonitorCommand::TERMINATE; 3]);
        assert_eq!(monitors.handle(NOW, ELSEWHERE, &command(A, DIGEST, stop)), None);
        assert!(!monitors.hides(NOW, &from(A)) && !monitors.hides(NOW, &from(C)));
    }

    #[test]
    fn the_own_place_in_the_lists_counts() {
        let mut monitors = dangerous_monitors(Traffic::Plain);
        let flow = FlowControl { personal: vec![Some(1), Some(30), None], ring: None };
        let order = monitors.handle(NOW, ELSEWHERE, &command(A, DIGEST, MonitorRequest::FlowControl(flow)));
        assert_eq!(order, Some(Order::Windows { ring: None, personal: Some(30) }));
        let before = Windows { ring: 512, personal: 128 };
        assert_eq!(changed(before, None, Some(30)), Windows { ring: 512, personal: 30 });
    }

    #[test]
    fn every_counter_of_a_report_is_counted() {
        let mut found = Vec::new();
        crate::daemon::Status::default().visit(&mut |_, Counter { section, key, value, .. }| {
            found.extend(matches!(value, Value::Count(_)).then_some((section, key)));
        });
        for (section, key, store) in COUNTED {
            assert!(found.contains(&(section, key)), "{section} {key}");
            let mut report = Report::default();
            store(&mut report, 7);
            assert_ne!(report, Report::default());
        }
    }

    #[test]
    fn segments_are_counted_once() {
        assert_eq!(monitors().segments(&[A, B, C]), 2);
        assert_eq!(monitors().segments(&[B, C]), 1);
    }
}
