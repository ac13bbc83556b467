//! Cuts a datagram that is too long for a path into fragments.
//!
//! New packets fit their paths. Fragments are for packets that cannot be made again: numbered packets from a time when longer
//! datagrams passed, and relayed packets of a daemon for which longer datagrams pass.

use super::super::networks::Networks;
use super::{Distance, Outbound, Parcel};
use crate::wire::{DaemonId, Fragment, Head, Header, NetworkId, PacketKind, SealTag, Slice};

/// No path is so short that a fragment has less room than this.
const SHORTEST_PART: usize = 128;

/// How often each fragment is sent to a daemon at another site as which two hosts run. Each datagram may come to the other host, and one host
/// needs all fragments.
const COPIES_FOR_TWO: usize = 4;

impl Outbound {
    /// Sends a packet in fragments on networks that do not carry it whole. All of these networks carry the same fragments, so one of each
    /// is enough.
    pub(super) fn put_in_fragments(&mut self, parcel: &Parcel, networks: Networks, to: Option<DaemonId>) {
        let Some(first) = networks.iter().next() else { return };
        let limit = networks.iter().map(|network| self.lengths.of(to, network)).min().unwrap_or_default();
        let overhead = Header::SIZE + SealTag::SIZE + Fragment::OVERHEAD;
        let size = limit.saturating_sub(overhead).max(SHORTEST_PART);
        let datagram = whole(parcel, first);
        // No packet here is longer than a datagram can be.
        let Ok(total) = u16::try_from(datagram.len()) else { return };
        self.fragmented = self.fragmented.wrapping_add(1);
        let leads_to_either = to.is_some_and(|to| self.double.get(&to) == Some(&Distance::Far));
        let mut again = Vec::new();
        for start in (0..datagram.len()).step_by(size) {
            let part = datagram.part(start, datagram.len().min(start + size));
            let fragment = Fragment { number: self.fragmented, total, offset: start as u16, part };
            let header = self.next_header(PacketKind::Fragment, to);
            let parcel = self.sealer.seal(header, fragment.encode().into(), None);
            self.put_whole(&parcel, networks, to);
            if leads_to_either {
                again.push(parcel);
            }
        }
        // One round after the other, so that a burst of losses does not take all copies of one fragment.
        for _ in 1..COPIES_FOR_TWO {
            again.iter().for_each(|parcel| self.put_whole(parcel, networks, to));
        }
    }
}

/// The datagram that this packet is on a network.
fn whole(parcel: &Parcel, network: NetworkId) -> Slice {
    let head = Head::new(&Header { network, ..parcel.header }, parcel.tag.as_ref());
    [&head[..], &parcel.body].concat().into()
}
