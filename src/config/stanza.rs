//! `Network N { ... }`: facts about one network, in all segments, that its addresses do not show.
//!
//! A stanza may come before or after the segments. Its mode must agree with the addresses. Unicast agrees with any address; then
//! the group address is not used.

use super::error::{Findings, Mistake, shown};
use super::syntax::{NetworkMode, NetworkStanza, NetworkSyntax, Spanned};
use super::table::{Network, NetworkKind, NetworkNotes};
use crate::multipath::Policy;
use crate::wire::NetworkId;

/// How many bytes the name of a network may have.
const NAME_LIMIT: usize = 32;
/// How many bytes the name of an interface may have, as operating systems define it.
const INTERFACE_LIMIT: usize = 15;

/// The stanzas of a file, by network.
#[derive(Debug, Default)]
pub(super) struct Stanzas<'a> {
    by_network: [Option<&'a NetworkStanza>; NetworkId::LIMIT],
}

impl<'a> Stanzas<'a> {
    /// Sorts stanzas by network. A stanza with a mistake is reported and left out.
    pub(super) fn sort(stanzas: &'a [NetworkStanza], findings: &mut Findings) -> Stanzas<'a> {
        let mut sorted = Stanzas::default();
        for stanza in stanzas {
            if let Err(mistake) = sorted.add(stanza) {
                findings.error(mistake);
            }
        }
        sorted
    }

    /// The port of a network, for segments that give none.
    pub(super) fn port(&self, network: usize) -> Option<u32> {
        self.of(network)?.port.map(|port| port.value)
    }

    /// Changes a network of a segment as its stanza says.
    pub(super) fn apply(
        &self,
        number: usize,
        written: &Spanned<NetworkSyntax>,
        network: &mut Network,
    ) -> Result<(), Mistake> {
        let Some(stanza) = self.of(number) else { return Ok(()) };
        let in_segment = match written.value {
            NetworkSyntax::Address(endpoint) => endpoint.port,
            NetworkSyntax::Unicast { port } => port,
        };
        // The same port in both places does no harm. Of two different ports, one must be wrong.
        if let (Some(port), Some(other)) = (stanza.port, in_segment)
            && port.value != other
        {
            let message =
                format!("network {number} has the port {other} in line {}: write one of the two only", written.at.line);
            return Err(Mistake::new(port.at, message));
        }
        let Some(Spanned { value: mode, at }) = stanza.mode else { return Ok(()) };
        let wanted = match (mode, network.kind) {
            // Any address allows unicast. A group address is then ignored.
            (NetworkMode::Unicast, _) => {
                network.kind = NetworkKind::Unicast;
                return Ok(());
            }
            (NetworkMode::Multicast, NetworkKind::Multicast(_))
            | (NetworkMode::Broadcast, NetworkKind::Broadcast(_)) => {
                return Ok(());
            }
            (NetworkMode::Multicast, _) => "a group such as 239.77.0.1",
            (NetworkMode::Broadcast, _) => "the broadcast address of the subnet",
        };
        let message = format!("network {number} is {} in line {}: write {wanted} there", network.kind, written.at.line);
        Err(Mistake::new(at, message))
    }

    /// The names and interfaces of networks. This is called when the number of networks is known.
    pub(super) fn notes(&self, networks: usize, findings: &mut Findings) -> Vec<NetworkNotes> {
        // A stanza may come before the segments, so it is known only now which networks exist.
        for (number, stanza) in self.by_network.iter().enumerate().skip(networks) {
            if let Some(stanza) = stanza {
                let message = match networks {
                    1 => format!("there is no network {number}, only network 0"),
                    _ => format!("there is no network {number}, only 0 to {}", networks.saturating_sub(1)),
                };
                findings.error(Mistake::new(stanza.at, message));
            }
        }
        let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
        let notes = |stanza: &Option<&NetworkStanza>| {
            stanza.map_or_else(NetworkNotes::default, |stanza| NetworkNotes {
                name: text(&stanza.name),
                interface: text(&stanza.interface),
            })
        };
        self.by_network.iter().take(networks).map(notes).collect()
    }

    /// The priority of each network.
    pub(super) fn priorities(&self, networks: usize) -> Vec<u8> {
        let priority =
            |stanza: &Option<&NetworkStanza>| stanza.and_then(|stanza| stanza.priority).map_or(0, |it| it.value);
        self.by_network.iter().take(networks).map(priority).collect()
    }

    /// Warns if there are priorities but the policy does not use them.
    pub(super) fn warn_of_priorities(&self, policy: Policy, findings: &mut Findings) {
        let given = self.by_network.iter().flatten().find_map(|stanza| stanza.priority);
        if let Some(priority) = given
            && policy != Policy::Primary
        {
            let message =
                "Priority has no effect with this policy: write NetworkPolicy = primary to use the best network only";
            findings.warning(priority.at, message);
        }
    }

    fn of(&self, network: usize) -> Option<&'a NetworkStanza> {
        self.by_network.get(network).copied().flatten()
    }

    fn add(&mut self, stanza: &'a NetworkStanza) -> Result<(), Mistake> {
        let number = stanza.number;
        let Some(place) = usize::try_from(number.value).ok().and_then(|number| self.by_network.get_mut(number)) else {
            let message = format!("networks have numbers from 0 to {}", NetworkId::LIMIT - 1);
            return Err(Mistake::new(number.at, message));
        };
        if let Some(other) = place {
            let message = format!("network {} is described in line {} already", number.value, other.at.line);
            return Err(Mistake::new(stanza.at, message));
        }
        check_length(stanza.name.as_ref(), NAME_LIMIT)?;
        check_length(stanza.interface.as_ref(), INTERFACE_LIMIT)?;
        // Stored even if its name is refused below, so that a second stanza for this network is reported too.
        *place = Some(stanza);
        let named = self.by_network.iter().flatten().filter(|other| other.at != stanza.at);
        let name = |stanza: &NetworkStanza| stanza.name.as_ref().map(|name| name.value.clone());
        let twin = named.into_iter().find(|other| name(other).is_some() && name(other) == name(stanza));
        match (twin, &stanza.name) {
            (Some(twin), Some(name)) => {
                let message = format!("{} is the name of network {} already", shown(&name.value), twin.number.value);
                Err(Mistake::new(name.at, message))
            }
            _ => Ok(()),
        }
    }
}

fn check_length(text: Option<&Spanned<String>>, limit: usize) -> Result<(), Mistake> {
    let bad = |text: &&Spanned<String>| {
        text.value.is_empty() || text.value.len() > limit || text.value.contains(char::is_control)
    };
    let Some(text) = text.filter(bad) else { return Ok(()) };
    Err(Mistake::new(text.at, format!("{} is no name: write 1 to {limit} characters", shown(&text.value))))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    const SEGMENT: &str = "Spread_Segment 239.77.0.1 10.77.1.255 { a 10.77.0.1 10.77.1.1 }";

    fn parse(stanzas: &str) -> Result<Settings, String> {
        let text = format!("{SEGMENT}\n{stanzas}");
        Settings::parse("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_network_has_a_name_a_mode_a_port_and_an_interface() {
        let settings = parse(
            "Network 1 { Name = storage Mode = broadcast Port = 4900 Interface = eth1 Priority = 7 }
             Network 0 { Mode = unicast }
             NetworkPolicy = primary",
        );
        let settings = settings.unwrap();
        let [first, second] = settings.table.segments[0].networks[..] else { panic!("two networks") };
        assert_eq!((first.kind, first.port), (NetworkKind::Unicast, 4803));
        assert_eq!((second.kind, second.port), (NetworkKind::Broadcast([10, 77, 1, 255].into()), 4900));
        let options = &settings.table.networks;
        assert_eq!(options[0], NetworkNotes::default());
        assert_eq!((options[1].name.as_deref(), options[1].interface.as_deref()), (Some("storage"), Some("eth1")));
        assert_eq!((&settings.live.priorities[..], settings.live.preference(2)), (&[0, 7][..], vec![1, 0]));
        assert_eq!(settings.warnings, []);
        assert_eq!(parse("").unwrap().table.networks, [NetworkNotes::default(), NetworkNotes::default()]);
    }

    #[test]
    fn a_stanza_agrees_with_the_segments() {
        for (stanza, message) in [
            ("Network 2 { Name = x }", "f:2:1: there is no network 2, only 0 to 1"),
            ("Network 8 { Name = x }", "f:2:9: networks have numbers from 0 to 7"),
            (
                "Network 0 { Mode = broadcast }",
                "f:2:20: network 0 is multicast to 239.77.0.1 in line 1: write the broadcast address of the subnet there",
            ),
            (
                "Network 1 { Mode = multicast }",
                "f:2:20: network 1 is broadcast to 10.77.1.255 in line 1: write a group such as 239.77.0.1 there",
            ),
            ("Network 0 { Name = x }\nNetwork 0 { Name = y }", "f:3:1: network 0 is described in line 2 already"),
            ("Network 0 { Name = x }\nNetwork 1 { Name = x }", "f:3:20: \"x\" is the name of network 0 already"),
            (
                "Network 0 { Interface = a-name-too-long-x }",
                "f:2:25: \"a-name-too-long-x\" is no name: write 1 to 15 characters",
            ),
        ] {
            assert_eq!(parse(stanza).unwrap_err(), message);
        }
        let text = "Spread_Segment 239.77.0.1:4804 { a 10.77.0.1 }\nNetwork 0 { Port = 4805 }";
        let error = Settings::parse("f", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "f:2:20: network 0 has the port 4804 in line 1: write one of the two only");
        assert!(Settings::parse("f", text.replace("4805", "4804").as_bytes()).is_ok());
    }

    #[test]
    fn a_priority_is_a_small_number_and_needs_a_policy_that_prefers() {
        for wrong in ["256", "-1", "high", "1.5", "\"\""] {
            let error = parse(&format!("Network 1 {{ Priority = {wrong} }}")).unwrap_err();
            let advice = "a priority from 0 to 255, the highest for the network that is used first";
            assert!(error.starts_with("f:2:24: ") && error.contains(advice), "{error}");
        }
        for (policy, warnings) in [("primary", 0), ("passive", 1), ("active 1", 1), ("active", 1)] {
            let stanza = format!("Network 1 {{ Priority = 255 }} NetworkPolicy = {policy}");
            let texts: Vec<String> = parse(&stanza).unwrap().warnings.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), warnings, "{policy}");
            assert!(texts.iter().all(|text| text.starts_with("f:2:24: Priority has no effect")), "{texts:?}");
        }
        assert_eq!(parse("Network 1 { Priority = 0 }").unwrap().live.preference(2), [0, 1]);
    }

    #[test]
    fn a_stanza_is_written_in_one_way() {
        for wrong in [
            "Network { Name = x }",
            "Network 0 Name = x",
            "Network 0 { Nam = x }",
            "Network 0 { Mode = any }",
            "Network 0 { Name x }",
            "Network 0 { Port = many }",
            "Network 0 { Name = x Name = y }",
            "Network 0 { Priority = 1 Priority = 1 }",
            "Network 0 { Name = x",
        ] {
            assert_eq!(parse(wrong).unwrap_err().lines().count(), 1, "{wrong}");
        }
        assert!(parse("Network 0 { }").is_ok());
    }
}
