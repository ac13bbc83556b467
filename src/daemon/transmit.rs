//! Packets on their way from the node to the sockets.
//!
//! They wait until a batch of inputs has been handled. So the packets of a burst to one destination reach [`crate::net`] together and can
//! leave in one send. On each network they keep the node's order; between networks there is no order to keep.

use crate::net::{Datagram, Links};
use crate::node::{Node, Transmit};
use crate::wire::NetworkId;

/// Packets of one network that may wait before they are sent.
const WAITING_LIMIT: usize = 128;

/// Packets that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    waiting: [Vec<Transmit>; NetworkId::LIMIT],
}

impl Outbound {
    /// Takes all packets that the node wants to send. A network with [`WAITING_LIMIT`] packets is sent at once.
    pub(super) fn collect(&mut self, node: &mut Node, links: &mut Links) {
        while let Some(transmit) = node.poll_transmit() {
            self.push(transmit, links);
        }
    }

    /// Sends everything.
    pub(super) fn flush(&mut self, links: &mut Links) {
        for (network, waiting) in (0..).map(NetworkId).zip(&mut self.waiting) {
            send(network, waiting, links);
        }
    }

    fn push(&mut self, transmit: Transmit, links: &mut Links) {
        let network = transmit.network;
        let waiting = &mut self.waiting[usize::from(network.0)];
        waiting.push(transmit);
        if waiting.len() == WAITING_LIMIT {
            send(network, waiting, links);
        }
    }
}

fn send(network: NetworkId, waiting: &mut Vec<Transmit>, links: &mut Links) {
    // Only neighbours leave together, so the order on the network stays.
    for run in waiting.chunk_by(|one, next| one.to == next.to) {
        let datagram = |transmit| {
            let Transmit { header, body, .. }: &Transmit = transmit;
            Datagram { header, body }
        };
        let batch: Vec<Datagram<'_>> = run.iter().map(datagram).collect();
        links.send(network, run[0].to, &batch);
    }
    waiting.clear();
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use mio::Poll;
    use mio::net::UdpSocket;

    use super::*;
    use crate::net::{Buffers, Kind, Network, RemoteDaemon};
    use crate::time::Instant;
    use crate::wire::{DaemonId, Head, Header, Incarnation, PacketKind, Protection, Slice, Way};

    /// Links on one network with two other daemons, and the sockets of those.
    fn three() -> (Poll, Links, [UdpSocket; 2]) {
        let bind = || UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let others = [bind(), bind()];
        let peers = [1, 2].map(|number| RemoteDaemon {
            daemon: DaemonId(number),
            address: others[number as usize - 1].local_addr().unwrap(),
            near: true,
        });
        let own = Ipv4Addr::LOCALHOST.into();
        let network = Network { kind: Kind::Unicast, port: 0, own, peers: peers.to_vec(), interface: None };
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let links = Links::open(vec![network], Buffers::Shared, registry, Instant::ZERO).unwrap();
        (poll, links, others)
    }

    fn transmit(to: Option<u32>, text: &str) -> Transmit {
        let body = Slice::copy_from(text.as_bytes());
        Transmit { network: NetworkId(0), to: to.map(DaemonId), header: head(), body }
    }

    fn head() -> Head {
        let header = Header {
            kind: PacketKind::Data,
            network: NetworkId(0),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: DaemonId(1),
            destination: None,
            system: 1,
            incarnation: Incarnation(1),
            counter: 1,
        };
        Head::new(&header, None)
    }

    fn received(socket: &UdpSocket) -> Vec<String> {
        let mut buffer = [0; 100];
        let datagrams = std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|n| buffer[..n].to_vec()));
        let text = |bytes: Vec<u8>| {
            let body = bytes.strip_prefix(&head()[..]).expect("the header comes first");
            String::from_utf8_lossy(body).into()
        };
        datagrams.map(text).collect()
    }

    #[test]
    fn packets_keep_their_order_on_a_network() {
        let (_poll, mut links, [one, two]) = three();
        let mut outbound = Outbound::default();
        for (to, text) in [(None, "data 1"), (None, "data 2"), (Some(1), "token"), (None, "data 3"), (Some(2), "join")]
        {
            outbound.push(transmit(to, text), &mut links);
        }
        assert!(received(&one).is_empty());
        outbound.flush(&mut links);
        assert_eq!(received(&one), ["data 1", "data 2", "token", "data 3"]);
        assert_eq!(received(&two), ["data 1", "data 2", "data 3", "join"]);
    }

    #[test]
    fn not_more_than_the_limit_waits() {
        let (_poll, mut links, [one, _]) = three();
        let mut outbound = Outbound::default();
        for _ in 0..WAITING_LIMIT {
            outbound.push(transmit(Some(1), "data"), &mut links);
        }
        assert_eq!(received(&one).len(), WAITING_LIMIT);
    }
}
