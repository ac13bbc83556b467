//! All counters of a daemon in one visit. So code that shows them, such as the control socket, need not name any counter.

use super::handle::Status;
use crate::counters::Counter;
use crate::node::{ClientStats, Node};
use crate::wire::NetworkId;
use crate::{groups, multipath, ring};

/// All counters except those of single networks.
struct Tally<'a> {
    ring: &'a ring::Stats,
    packets: &'a multipath::Stats,
    groups: &'a groups::Dropped,
    clients: &'a ClientStats,
}

impl Tally<'_> {
    fn visit(&self, show: &mut dyn FnMut(Counter)) {
        let Tally { ring, packets, groups, clients } = self;
        ring.visit(show);
        packets.visit(show);
        groups.visit(show);
        clients.visit(show);
    }
}

/// Shows every counter of a node with its present value. This is cheap enough to be called often.
pub(super) fn visit_node(node: &Node, show: &mut dyn FnMut(Counter)) {
    let (packets, clients) = (&node.multipath_stats(), &node.client_stats());
    Tally { ring: node.ring_stats(), packets, groups: node.group_stats(), clients }.visit(show);
}

impl Status {
    /// Shows every counter; a network's counters come with its number.
    pub fn visit(&self, show: &mut dyn FnMut(Option<NetworkId>, Counter)) {
        let Status { ring, packets, groups, client_stats: clients, .. } = self;
        Tally { ring, packets, groups, clients }.visit(&mut |counter| show(None, counter));
        for (link, network) in self.links.iter().zip((0..).map(NetworkId)) {
            link.counters.visit(&mut |counter| show(Some(network), counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::counters::Value;
    use crate::net::{Counters, LinkStatus};

    /// The sections that the sources declare.
    fn declared() -> BTreeSet<String> {
        let (mut open, mut sections) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")], BTreeSet::new());
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            if path.ends_with("src/counters.rs") {
                continue; // its tests declare some
            }
            let text = fs::read_to_string::<&PathBuf>(&path).unwrap_or_default();
            let lines =
                text.lines().filter(|line| line.trim_start().starts_with("pub struct ") && line.ends_with("\" {"));
            sections.extend(lines.filter_map(|line| line.split('"').nth(1)).map(str::to_owned));
        }
        sections
    }

    #[test]
    fn no_counter_is_unreachable() {
        let links = vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }];
        let status = Status { links, ..Status::default() };
        let (mut sections, mut names) = (BTreeSet::new(), Vec::new());
        status.visit(&mut |network, counter| {
            assert_eq!(network.is_some(), counter.section == "network");
            assert!(counter.meaning.ends_with('.') && !counter.meaning.contains(['[', '`']), "{counter:?}");
            sections.insert(counter.section.to_owned());
            names.push((counter.section, counter.key));
        });
        assert_eq!(sections, declared());
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(count > 60 && names.len() == count, "{count} counters, {} names", names.len());
    }

    #[test]
    fn a_counter_has_the_value_of_its_field() {
        let mut status = Status::default();
        (status.ring.reasons.token_lost, status.ring.dropped.too_far, status.client_stats.gone) = (3, 4, 5);
        let mut found = Vec::new();
        status.visit(&mut |_, counter| match counter.value {
            Value::Count(value) if value > 0 => found.push((counter.key, value)),
            _ => {}
        });
        assert_eq!(found, [("token_lost", 3), ("too_far", 4), ("gone", 5)]);
    }
}
