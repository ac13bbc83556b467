//! Datagrams that no daemon sent like this, or not now: each must lead to nothing.

use spread::rng::Rng;
use spread::wire::{
    Data, Fragment, Header, NetworkId, Packet, PacketKind, PathReport, Reader, SizeAnswer, SizeProbe, Slice,
};

use crate::tally::Fault;

/// What may be done to a datagram.
const MANGLED: [Fault; 4] = [Fault::Truncated, Fault::Corrupted, Fault::ForeignVersion, Fault::ForeignTable];
/// What may come besides the datagrams of daemons.
const NOISE: [Fault; 6] = [
    Fault::Truncated,
    Fault::Corrupted,
    Fault::ForeignVersion,
    Fault::ForeignTable,
    Fault::ForeignRing,
    Fault::Replayed,
];

const VERSION_AT: usize = 2;
const SENDER_AT: usize = 8;
const SYSTEM_AT: usize = 16;
/// What precedes the payload in the body of a data packet.
const DATA_HEAD: usize = Data::OVERHEAD;
/// How many datagrams are kept to be made noise of.
const KEPT: usize = 512;
/// One datagram of so many is kept.
const SAMPLE: u64 = 8;

/// Datagrams of some time ago, old ones and new ones, each with its network.
#[derive(Debug, Default)]
pub struct Recording {
    kept: Vec<(NetworkId, Slice)>,
    seen: u64,
}

impl Recording {
    /// A datagram is on its way.
    pub fn record(&mut self, rng: &mut Rng, network: NetworkId, datagram: &Slice) {
        self.seen += 1;
        if !self.seen.is_multiple_of(SAMPLE) {
            return;
        }
        if self.kept.len() < KEPT {
            self.kept.push((network, datagram.clone()));
        } else {
            self.kept[rng.below(KEPT as u64) as usize] = (network, datagram.clone());
        }
    }

    /// Something to arrive, made of what travelled before, and what it is.
    pub fn noise(&self, rng: &mut Rng) -> Option<(NetworkId, Slice, Fault)> {
        let (network, datagram) = self.kept.get(rng.below(self.kept.len() as u64) as usize)?;
        let fault = NOISE[rng.below(NOISE.len() as u64) as usize];
        Some((*network, spoil(rng, datagram, fault), fault))
    }
}

/// Bytes that a receiver must recognise as no packet for it, and what was done to them.
pub fn mangle(rng: &mut Rng, datagram: &Slice) -> (Slice, Fault) {
    let fault = MANGLED[rng.below(MANGLED.len() as u64) as usize];
    (spoil(rng, datagram, fault), fault)
}

/// What no receiver can notice without a checksum (a changed payload, a changed number) is not done, because UDP has one.
fn spoil(rng: &mut Rng, datagram: &Slice, fault: Fault) -> Slice {
    let kind = Header::decode(&mut Reader::new(datagram)).expect("daemons send packets").kind;
    let mut bytes = datagram.to_vec();
    match fault {
        Fault::Truncated => {
            // Less of a data packet's payload is a shorter packet; less than its head is none.
            let longest = match kind {
                PacketKind::Data | PacketKind::Handover => Header::SIZE + DATA_HEAD,
                PacketKind::Fragment => Header::SIZE + Fragment::OVERHEAD,
                _ => bytes.len(),
            };
            bytes.truncate(rng.below(longest.min(bytes.len()) as u64) as usize);
        }
        Fault::Corrupted => corrupt(rng, &mut bytes, kind),
        Fault::ForeignVersion => bytes[VERSION_AT] ^= 1 + rng.below(255) as u8,
        Fault::ForeignTable => bytes[SYSTEM_AT + rng.below(4) as usize] ^= 1 + rng.below(255) as u8,
        Fault::ForeignRing => {
            // A sender that nobody knows, and most bodies begin with a ring.
            bytes[SENDER_AT] = 1 + rng.below(255) as u8;
            bytes[Header::SIZE..].iter_mut().take(8).for_each(|byte| *byte = rng.below(3) as u8);
        }
        _ => {}
    }
    Slice::from(bytes)
}

/// Damages some bytes of the body so that it cannot be read, or some of the header.
fn corrupt(rng: &mut Rng, bytes: &mut [u8], kind: PacketKind) {
    let sound = bytes.to_vec();
    // A relay passes on what it does not read, even a body that was cut off.
    let tries = if bytes.len() > Header::SIZE { 8 } else { 0 };
    for _ in 0..tries {
        for _ in 0..1 + rng.below(6) {
            let at = Header::SIZE + rng.below((bytes.len() - Header::SIZE) as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        let body = Slice::copy_from(&bytes[Header::SIZE..]);
        let unreadable = match kind {
            PacketKind::Report => PathReport::decode(&body).is_err(),
            PacketKind::SizeProbe => SizeProbe::decode(&body).is_err(),
            PacketKind::Sizes => SizeAnswer::decode_all(&body).is_err(),
            PacketKind::Fragment => Fragment::decode(&body).is_err(),
            _ => Packet::decode(kind, &body).is_err(),
        };
        if unreadable {
            return;
        }
        bytes.copy_from_slice(&sound);
    }
    let at = [0, 1, 4, 5, 6, 7][rng.below(6) as usize];
    bytes[at] ^= 0x80 | rng.below(128) as u8;
}
