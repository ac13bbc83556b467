//! The membership rules of a file: from the tree of its segments to segments and daemons that fit together.
//!
//! A daemon with a mistake is left out, and the check goes on with the next one, so each mistake is reported once. Rules about
//! the whole file are checked only if every part of it is sound. Otherwise they would report only what was left out.
//!
//! The classic form has one segment address and several D interfaces, which are alternatives on one network. Then the daemon uses
//! the D interface that equals its id, or else the first one, and a warning says so.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::address::{self, Endpoint, Scope};
use super::error::{Findings, Mistake, Position, shown};
use super::hosts::Hosts;
use super::stanza::Stanzas;
use super::syntax::{DaemonSyntax, InterfaceSyntax, NetworkSyntax, SegmentSyntax, Spanned, Tree};
use super::table::{ClientAddresses, Daemon, Network, Segment, Table};
use super::{Settings, networks};
use crate::multipath::Policy;
use crate::wire::DaemonId;

/// The settings of this tree. They mean something only if no error was found.
pub(super) fn check(tree: Tree, hosts: &Hosts<'_>, findings: &mut Findings) -> Settings {
    let Tree { segments: written, mut draft, networks: stanzas } = tree;
    draft.apply_rules(findings);
    let stanzas = Stanzas::sort(&stanzas, findings);
    let mut members =
        Members { hosts, segments: Vec::new(), daemons: Vec::new(), names: BTreeMap::new(), ids: BTreeMap::new() };
    if let Some(extra) = written.get(Table::SEGMENT_LIMIT) {
        findings.error(Mistake::new(extra.at, format!("more than {} segments", Table::SEGMENT_LIMIT)));
    }
    for segment in written.iter().take(Table::SEGMENT_LIMIT) {
        members.segment(segment, &stanzas, findings);
    }
    let Members { segments, mut daemons, names, .. } = members;
    networks::warn_of_swapped_addresses(&daemons, &names, findings);
    if !findings.has_errors()
        && let Err(mistake) = check_whole(&written, &segments, &daemons, draft.policy)
    {
        findings.error(mistake);
    }
    let count = segments.iter().map(|segment| segment.networks.len()).max().unwrap_or(0);
    for daemon in &mut daemons {
        daemon.addresses.resize(count, None);
        daemon.interfaces.resize(count, None);
    }
    let is_sound = !findings.has_errors();
    let networks = if is_sound { stanzas.notes(count, findings) } else { Vec::new() };
    let table = Table { segments, daemons, networks };
    let mut live = draft.live;
    live.policy = draft.policy.map_or_else(|| table.default_policy(), |policy| policy.value);
    live.priorities = stanzas.priorities(count);
    stanzas.warn_of_priorities(live.policy, findings);
    Settings { table, live, process: draft.process, warnings: Vec::new() }
}

/// The segments and daemons that were checked so far.
struct Members<'a> {
    hosts: &'a Hosts<'a>,
    segments: Vec<Segment>,
    daemons: Vec<Daemon>,
    names: BTreeMap<String, Position>,
    ids: BTreeMap<DaemonId, Position>,
}

impl Members<'_> {
    fn segment(&mut self, syntax: &SegmentSyntax, stanzas: &Stanzas<'_>, findings: &mut Findings) {
        let networks = match networks::of(syntax, stanzas, findings) {
            Ok(networks) => networks,
            Err(mistake) => return findings.error(mistake),
        };
        let first = self.daemons.len();
        for daemon in &syntax.daemons {
            if self.names.len() == DaemonId::LIMIT {
                let message = format!("more than {} daemons", DaemonId::LIMIT);
                findings.error(Mistake::new(daemon.name.at, message));
                break;
            }
            match self.daemon(daemon, syntax, &networks, findings) {
                Ok(daemon) => self.daemons.push(daemon),
                Err(mistake) => findings.error(mistake),
            }
        }
        networks::warn_of_shared_wires(syntax.at, &networks, &self.daemons[first..], findings);
        self.segments.push(Segment { networks });
    }

    fn daemon(
        &mut self,
        syntax: &DaemonSyntax,
        segment: &SegmentSyntax,
        networks: &[Network],
        findings: &mut Findings,
    ) -> Result<Daemon, Mistake> {
        let name = &Spanned { value: fitting_name(syntax, findings), at: syntax.name.at };
        check_name(name)?;
        if let Some(at) = syntax.virtual_id {
            findings.warning(at, "VirtualID has no effect: the address identifies a daemon");
        }
        if let Some(other) = self.names.insert(name.value.clone(), name.at) {
            let (line, written) = (other.line, &syntax.name.value);
            let message = match *written == name.value {
                true => format!("a daemon named {} is already in line {line}", shown(written)),
                // Otherwise the operator would look for two equal names, and find none.
                false => format!(
                    "the daemon name {} is cut to {} bytes, and is then equal to the one in line {line}: shorten both",
                    shown(written),
                    Table::NAME_LIMIT
                ),
            };
            return Err(Mistake::new(name.at, message));
        }
        let identity = self.identity(syntax, segment, &networks[0], findings)?;
        let id = address::daemon_id(identity.value);
        if let Some(other) = self.ids.insert(id, identity.at) {
            let message = format!("{} already identifies the daemon in line {}", identity.value, other.line);
            return Err(Mistake::new(identity.at, message));
        }
        check_interfaces(syntax, &identity)?;
        let addresses = traffic_addresses(syntax, &identity, networks, findings)?;
        let interfaces = interfaces_of(segment, &addresses);
        let addresses: Vec<Spanned<IpAddr>> = addresses.iter().map(plain).collect();
        for (address, interface) in addresses.iter().zip(&interfaces) {
            check_usable(address, interface.as_deref())?;
        }
        check_own_networks(name, &addresses)?;
        warn_of_ports(syntax, networks, findings);
        Ok(Daemon {
            id,
            identity: identity.value,
            name: name.value.clone(),
            segment: self.segments.len(),
            addresses: addresses.iter().map(|address| Some(address.value)).collect(),
            interfaces,
            clients: client_addresses(syntax, findings),
        })
    }

    fn identity(
        &self,
        syntax: &DaemonSyntax,
        segment: &SegmentSyntax,
        network: &Network,
        findings: &mut Findings,
    ) -> Result<Spanned<IpAddr>, Mistake> {
        let Some(given) = syntax.addresses.first() else {
            let value = self.hosts.find(syntax, segment, network, findings)?;
            return Ok(Spanned { value, at: syntax.name.at });
        };
        let interface = given.value.scope.or(scope_of(segment, 0));
        check_usable(&plain(given), interface.as_ref().map(Scope::name))?;
        Ok(plain(given))
    }
}

fn plain(address: &Spanned<Endpoint>) -> Spanned<IpAddr> {
    Spanned { value: address.value.ip, at: address.at }
}

/// The name of a daemon, cut to its limit.
fn fitting_name(syntax: &DaemonSyntax, findings: &mut Findings) -> String {
    let Spanned { value: written, at } = &syntax.name;
    let name = Table::fitting_name(written);
    if syntax.is_nameless() {
        findings.warning(*at, format!("this daemon has no name and is called {name}: write a name before the address"));
    }
    if name.len() < written.len() {
        let limit = Table::NAME_LIMIT;
        let message = format!("the daemon name {} is cut to {limit} bytes, {name}: shorten it", shown(written));
        findings.warning(*at, message);
    }
    name.to_string()
}

/// The interface of each network, if the address of the daemon or of the segment names one.
fn interfaces_of(segment: &SegmentSyntax, addresses: &[Spanned<Endpoint>]) -> Vec<Option<String>> {
    let scopes = addresses.iter().enumerate().map(|(network, at)| at.value.scope.or(scope_of(segment, network)));
    scopes.map(|scope| scope.map(|scope| scope.name().to_string())).collect()
}

/// The interface that the address of a network names.
fn scope_of(segment: &SegmentSyntax, network: usize) -> Option<Scope> {
    match segment.networks.get(network)?.value {
        NetworkSyntax::Address(endpoint) => endpoint.scope,
        NetworkSyntax::Unicast { .. } => None,
    }
}

fn check_name(name: &Spanned<String>) -> Result<(), Mistake> {
    let bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
    let rule = match &name.value {
        text if text.is_empty() => "must not be empty".to_string(),
        text if text.contains('#') => {
            "contains #, which separates the parts of private groups: leave it out".to_string()
        }
        text if text.contains(bad) => "contains characters that cannot be shown: leave them out".to_string(),
        _ => return Ok(()),
    };
    Err(Mistake::new(name.at, format!("the daemon name {} {rule}", shown(&name.value))))
}

fn check_interfaces(syntax: &DaemonSyntax, identity: &Spanned<IpAddr>) -> Result<(), Mistake> {
    let Some(interfaces) = &syntax.interfaces else {
        return Ok(());
    };
    if let Some(second) = syntax.addresses.get(1) {
        let message = "addresses of further networks go either after the name or into the { }: move this one inside";
        return Err(Mistake::new(second.at, message));
    }
    if let Some(extra) = interfaces.get(Table::INTERFACE_LIMIT) {
        let message = format!("more than {} interfaces for one daemon", Table::INTERFACE_LIMIT);
        return Err(Mistake::new(extra.address.at, message));
    }
    if interfaces.iter().all(|interface| interface.address.value.ip != identity.value) {
        let ip = identity.value;
        let message = format!("the interfaces do not include {ip}, which identifies the daemon: add D {ip} or C {ip}");
        return Err(Mistake::new(identity.at, message));
    }
    Ok(())
}

/// The daemon's address on each network.
fn traffic_addresses(
    syntax: &DaemonSyntax,
    identity: &Spanned<IpAddr>,
    networks: &[Network],
    findings: &mut Findings,
) -> Result<Vec<Spanned<Endpoint>>, Mistake> {
    let found = Endpoint { ip: identity.value, port: None, scope: None };
    let found = Spanned { value: found, at: identity.at };
    let addresses: Vec<Spanned<Endpoint>> = match &syntax.interfaces {
        None if syntax.addresses.is_empty() => vec![found],
        None => syntax.addresses.clone(),
        Some(interfaces) => {
            let traffic: Vec<_> = traffic_interfaces(interfaces).map(|interface| interface.address).collect();
            let identity = *syntax.addresses.first().unwrap_or(&found);
            if networks.len() == 1 { vec![classic_choice(syntax, &identity, &traffic, findings)] } else { traffic }
        }
    };
    if addresses.len() == networks.len() {
        return Ok(addresses);
    }
    Err(wrong_count(syntax, &addresses, networks))
}

fn traffic_interfaces(interfaces: &[InterfaceSyntax]) -> impl Iterator<Item = &InterfaceSyntax> {
    interfaces.iter().filter(|interface| interface.traffic)
}

/// Chooses the interface of a daemon that has one network.
fn classic_choice(
    syntax: &DaemonSyntax,
    identity: &Spanned<Endpoint>,
    traffic: &[Spanned<Endpoint>],
    findings: &mut Findings,
) -> Spanned<Endpoint> {
    let name = shown(&syntax.name.value);
    let same = traffic.iter().find(|interface| interface.value.ip == identity.value.ip);
    let chosen = *same.or(traffic.first()).unwrap_or(identity);
    let ip = chosen.value.ip;
    let warning = match traffic.len() {
        0 => format!("the daemon {name} has no D interface: it uses {ip}"),
        1 => return chosen,
        _ => format!(
            "the segment has one network, so of its D interfaces the daemon {name} uses {ip} only; \
             to use more, write more segment addresses"
        ),
    };
    findings.warning(syntax.name.at, warning);
    chosen
}

fn wrong_count(syntax: &DaemonSyntax, addresses: &[Spanned<Endpoint>], networks: &[Network]) -> Mistake {
    let name = shown(&syntax.name.value);
    let plural = |n: usize, one: &str, more: &str| format!("{n} {}", if n == 1 { one } else { more });
    let has = plural(addresses.len(), "address", "addresses");
    let wanted = plural(networks.len(), "network", "networks");
    let what = match syntax.interfaces {
        Some(_) => "D interface",
        None => "address after the name",
    };
    let advice = match (networks.get(addresses.len()), addresses.get(networks.len())) {
        (Some(missing), _) => format!(", the one on network {}, {}, is missing", addresses.len(), missing.kind),
        (_, Some(extra)) => format!(", or one more segment address for {}", extra.value.ip),
        _ => String::new(),
    };
    let message = format!(
        "the daemon {name} has {has} for daemon traffic, its segment has {wanted}: \
         write one {what} for each segment address{advice}"
    );
    Mistake::new(syntax.name.at, message)
}

/// Two networks of a daemon must have different addresses, except on loopback. Otherwise the two are one network.
fn check_own_networks(name: &Spanned<String>, addresses: &[Spanned<IpAddr>]) -> Result<(), Mistake> {
    for (network, address) in addresses.iter().enumerate().filter(|(_, address)| !address.value.is_loopback()) {
        if let Some(other) = addresses[..network].iter().position(|other| other.value == address.value) {
            let message = format!(
                "{} is the address of {} on network {other} already: write the one of its interface on network {network}",
                address.value,
                shown(&name.value)
            );
            return Err(Mistake::new(address.at, message));
        }
    }
    Ok(())
}

/// Daemons must be able to send to this address. A link-local address needs the name of its interface.
fn check_usable(address: &Spanned<IpAddr>, interface: Option<&str>) -> Result<(), Mistake> {
    let ip = address.value;
    let rule = match ip {
        _ if ip.is_unspecified() => "stands for no machine: write the address of one",
        _ if ip.is_multicast() => "is a multicast group: write the address of one machine",
        IpAddr::V4(ip) if ip.is_broadcast() => "is everybody: write the address of one machine",
        IpAddr::V6(ip) if ip.is_unicast_link_local() && interface.is_none() => {
            "is valid on one link only: write its interface too, as in fe80::1%eth0, or a unique local or global address"
        }
        _ => return Ok(()),
    };
    Err(Mistake::new(address.at, format!("{ip} {rule}")))
}

fn client_addresses(syntax: &DaemonSyntax, findings: &mut Findings) -> ClientAddresses {
    let Some(interfaces) = &syntax.interfaces else {
        return ClientAddresses::All;
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.clients) {
        if !addresses.contains(&interface.address.value.ip) {
            addresses.push(interface.address.value.ip);
        }
    }
    // An address that stands for all interfaces already includes the others.
    if let Some(all) = addresses.iter().copied().find(IpAddr::is_unspecified) {
        addresses.retain(|ip| *ip == all);
    }
    if addresses.is_empty() {
        let name = shown(&syntax.name.value);
        let message = format!(
            "the daemon {name} has no C interface: clients reach it by its unix socket only, and on Windows not at all"
        );
        findings.warning(syntax.name.at, message);
    }
    ClientAddresses::Only(addresses)
}

fn warn_of_ports(syntax: &DaemonSyntax, networks: &[Network], findings: &mut Findings) {
    let interfaces = syntax.interfaces.iter().flatten().map(|interface| &interface.address);
    for address in syntax.addresses.iter().chain(interfaces) {
        let Some(port) = address.value.port else {
            continue;
        };
        if networks.iter().all(|network| u32::from(network.port) != port) {
            let message = format!("port {port} is ignored: all daemons of a segment use the ports of its addresses");
            findings.warning(address.at, message);
        }
    }
}

/// The rules about the file as a whole.
fn check_whole(
    syntax: &[SegmentSyntax],
    segments: &[Segment],
    daemons: &[Daemon],
    policy: Option<Spanned<Policy>>,
) -> Result<(), Mistake> {
    if daemons.is_empty() {
        let at = syntax.first().map_or(Position::START, |segment| segment.at);
        let message = "there is no daemon: write one, such as Spread_Segment 127.0.0.1:4803 { localhost 127.0.0.1 }";
        return Err(Mistake::new(at, message));
    }
    let place = |daemon: &Daemon| {
        let named = syntax.iter().flat_map(|segment| &segment.daemons).find(|other| other.name.value == daemon.name);
        named.map_or(Position::START, |daemon| daemon.name.at)
    };
    check_sockets(segments, daemons, place)?;
    networks::check_families(segments, daemons, place)?;
    networks::check_loopback(syntax, daemons, place)?;
    let networks = segments.iter().map(|segment| segment.networks.len()).max().unwrap_or(0);
    match policy {
        Some(Spanned { value: Policy::Copies(copies), at }) if usize::from(copies) > networks => Err(Mistake::new(
            at,
            format!("active {copies} needs {copies} networks, there are {networks}: write active"),
        )),
        _ => Ok(()),
    }
}

/// No two daemons, and no two networks of one daemon, share an address and port.
fn check_sockets(segments: &[Segment], daemons: &[Daemon], place: impl Fn(&Daemon) -> Position) -> Result<(), Mistake> {
    let mut taken: BTreeMap<SocketAddr, (&Daemon, usize)> = BTreeMap::new();
    for daemon in daemons {
        let networks = segments[daemon.segment].networks.iter();
        for (index, (address, network)) in daemon.addresses.iter().flatten().zip(networks).enumerate() {
            let socket = SocketAddr::new(*address, network.port);
            if let Some((other, other_index)) = taken.insert(socket, (daemon, index)) {
                let message = format!(
                    "{socket} is the address of {} on network {other_index} and of {} on network {index}: \
                     write an address of its own for each",
                    shown(&other.name),
                    shown(&daemon.name)
                );
                return Err(Mistake::new(place(daemon), message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Settings {
        parse(text).unwrap()
    }

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    /// The message about the daemons of one segment, without its file.
    fn refusal(networks: &str, daemons: &str) -> String {
        parse(&format!("Spread_Segment {networks} {{\n{daemons}\n}}")).unwrap_err()
    }

    fn addresses(daemon: &Daemon) -> Vec<String> {
        daemon.addresses.iter().map(|address| address.map_or("-".to_string(), |ip| ip.to_string())).collect()
    }

    #[test]
    fn the_ith_interface_is_on_the_ith_network() {
        let settings = read(
            "Spread_Segment 239.77.0.1:4803 239.77.1.1:4803 {
                alpha 10.77.0.1 { D 10.77.0.1  D 10.77.1.1  C 127.0.0.1 }
                beta  10.77.0.2   10.77.1.2
            }
            Spread_Segment 10.78.0.255 { gamma 10.78.0.1 }",
        );
        let [alpha, beta, gamma] = &settings.table.daemons[..] else { panic!("three daemons") };
        assert_eq!(addresses(alpha), ["10.77.0.1", "10.77.1.1"]);
        assert_eq!(alpha.clients, ClientAddresses::Only(vec![IpAddr::from([127, 0, 0, 1])]));
        assert_eq!(addresses(beta), ["10.77.0.2", "10.77.1.2"]);
        assert_eq!(beta.clients, ClientAddresses::All);
        assert_eq!((addresses(gamma), gamma.segment), (vec!["10.78.0.1".to_string(), "-".to_string()], 1));
    }

    #[test]
    fn addresses_and_networks_must_be_as_many() {
        let two = "239.77.0.1 239.77.1.1";
        for (networks, daemon) in [
            (two, "a 10.0.0.1"),
            (two, "a 10.0.0.1 10.0.1.1 10.0.2.1"),
            (two, "a 10.0.0.1 { D 10.0.0.1 C 10.0.1.1 }"),
            (two, "a 10.0.0.1 { D 10.0.0.1 D 10.0.1.1 D 10.0.2.1 }"),
            ("239.77.0.1", "a 10.0.0.1 10.0.1.1"),
        ] {
            let message = refusal(networks, daemon);
            assert!(message.starts_with("f:2:1: the daemon \"a\" has "), "{message}");
        }
        let fewer = refusal(two, "a 10.0.0.1 10.0.1.1\nb 10.0.0.2");
        let what = "the daemon \"b\" has 1 address for daemon traffic, its segment has 2 networks";
        let advice =
            "write one address after the name for each segment address, the one on network 1, multicast to 239.77.1.1";
        assert_eq!(fewer, format!("f:3:1: {what}: {advice}, is missing"));
        let more = refusal("239.77.0.1", "a 10.0.0.1 { D 10.0.0.1 D 10.0.1.1 C 127.0.0.1 }\nb 10.0.0.2 10.0.1.2");
        assert!(more.starts_with("f:3:1: ") && more.ends_with("or one more segment address for 10.0.1.2"), "{more}");
        assert!(refusal(two, "a 10.0.0.1 10.0.1.1 { D 10.0.0.1 D 10.0.1.1 }").starts_with("f:2:12: addresses of"));
    }

    #[test]
    fn the_classic_form_uses_one_of_several_interfaces() {
        let chosen = |block: &str| {
            let settings = read(&format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 {{ {block} }} }}"));
            (addresses(&settings.table.daemons[0]).join(" "), settings.warnings.len())
        };
        assert_eq!(chosen("D C 10.0.0.1"), ("10.0.0.1".to_string(), 0));
        assert_eq!(chosen("D 10.0.1.1 C 10.0.0.1"), ("10.0.1.1".to_string(), 0));
        assert_eq!(chosen("10.0.1.1 10.0.0.1"), ("10.0.0.1".to_string(), 1));
        assert_eq!(chosen("D 10.0.1.1 D 10.0.2.1 C 10.0.0.1"), ("10.0.1.1".to_string(), 1));
        assert_eq!(chosen("C 10.0.0.1"), ("10.0.0.1".to_string(), 1));
    }

    #[test]
    fn every_daemon_with_a_mistake_is_reported_once() {
        let daemons = "a 10.0.0.1\na 10.0.0.2\nb 10.0.0.1\n\"c#d\" 10.0.0.3\nx 10.0.0.4\n\"\" 10.0.0.5
e 10.0.0.6 { D 10.0.0.7 }\nf 0.0.0.0\ng 239.0.0.1\nh fe80::1\n\"i\tj\" 10.0.0.8";
        let messages = refusal("10.0.0.255", daemons);
        let expected = [
            "f:3:1: a daemon named \"a\" is already in line 2",
            "f:4:3: 10.0.0.1 already identifies the daemon in line 2",
            "f:5:1: the daemon name \"c#d\" contains #, which separates the parts of private groups: leave it out",
            "f:7:1: the daemon name \"\" must not be empty",
            "f:8:3: the interfaces do not include 10.0.0.6, which identifies the daemon: add D 10.0.0.6 or C 10.0.0.6",
            "f:9:3: 0.0.0.0 stands for no machine: write the address of one",
            "f:10:3: 239.0.0.1 is a multicast group: write the address of one machine",
            "f:11:3: fe80::1 is valid on one link only: write its interface too, as in fe80::1%eth0, or a unique local or global address",
            "f:12:1: the daemon name \"i\\tj\" contains characters that cannot be shown: leave them out",
        ];
        assert_eq!(messages.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_that_are_equal_once_they_are_cut_are_told_as_such() {
        let message = refusal("10.0.0.255", "a-rather-long-name-of-one 10.0.0.1\na-rather-long-name-of-two 10.0.0.2");
        let cut = "is cut to 19 bytes, and is then equal to the one in line 2: shorten both";
        assert_eq!(message, format!("f:3:1: the daemon name \"a-rather-long-name-of-two\" {cut}"));
    }

    #[test]
    fn no_address_is_used_twice() {
        let two = "239.77.0.1 239.77.1.1";
        let message = refusal(two, "a 10.0.0.1 10.0.1.1\nb 10.0.0.2 10.0.1.1");
        assert!(
            message.starts_with("f:3:1: 10.0.1.1:4803 is the address of \"a\" on network 1 and of \"b\" on network 1")
        );
        for ports in [two, "239.77.0.1:4803 239.77.1.1:4900"] {
            let message = refusal(ports, "a 10.0.0.1\n10.0.0.1");
            let advice = "write the one of its interface on network 1";
            assert_eq!(message, format!("f:3:1: 10.0.0.1 is the address of \"a\" on network 0 already: {advice}"));
        }
        let both = refusal("unicast unicast", "a 127.0.0.1 127.0.0.1");
        assert!(both.contains("on network 0 and of \"a\" on network 1"), "{both}");
        read("Spread_Segment unicast:4803 unicast:4900 { a 127.0.0.1 127.0.0.1 }");
    }

    #[test]
    fn there_is_a_limit_to_everything() {
        let daemons = |n: u32| (1..=n).map(|i| format!("h{i} 10.0.0.{i}\n")).collect::<String>();
        read(&format!("Spread_Segment 10.0.0.255 {{ {} }}", daemons(128)));
        assert!(refusal("10.0.0.255", &daemons(130)).starts_with("f:130:1: more than 128 daemons"));

        let segments = |n: u32| {
            (1..=n).map(|i| format!("Spread_Segment 10.0.{i}.255 {{ s{i} 10.0.{i}.1 }}\n")).collect::<String>()
        };
        read(&segments(20));
        assert_eq!(parse(&segments(22)).unwrap_err(), "f:21:1: more than 20 segments");

        let list = |word: &str, n: u32| (1..=n).map(|i| format!("{word} 10.0.{i}.1 ")).collect::<String>();
        read(&format!("Spread_Segment {} {{ a {} }}", "unicast ".repeat(8), list("", 8)));
        assert_eq!(refusal(&"unicast ".repeat(9), "a 10.0.0.1"), "f:1:80: more than 8 networks");
        read(&format!("Spread_Segment 10.0.1.255 {{ a 10.0.1.1 {{ {} }} }}", list("C", 10)));
        assert!(
            refusal("10.0.1.255", &format!("a 10.0.1.1 {{ {} }}", list("C", 11))).contains("more than 10 interfaces")
        );
    }

    #[test]
    fn a_file_without_daemons_is_refused() {
        assert!(parse("").unwrap_err().starts_with("f:1:1: there is no daemon"));
        assert!(parse("\nSpread_Segment 10.0.0.255 { }").unwrap_err().starts_with("f:2:1: there is no daemon"));
    }

    #[test]
    fn a_policy_fits_the_number_of_networks() {
        let with = |copies| {
            parse(&format!("NetworkPolicy = active {copies} Spread_Segment unicast unicast {{ a 10.0.0.1 10.0.1.1 }}"))
        };
        assert!(with(2).is_ok());
        assert_eq!(with(3).unwrap_err(), "f:1:17: active 3 needs 3 networks, there are 2: write active");
    }

    #[test]
    fn a_port_in_the_wrong_place_is_a_warning() {
        let warnings = |daemon: &str| read(&format!("Spread_Segment 10.0.0.255:4900 {{ {daemon} }}")).warnings.len();
        assert_eq!(warnings("a 10.0.0.1:4900"), 0);
        assert_eq!(warnings("a 10.0.0.1:4901"), 1);
        assert_eq!(warnings("a 10.0.0.1 { 10.0.0.1:4901 }"), 1);
    }
}
