//! The seal of packets between daemons: authenticated encryption with keys that all daemons of a system share; without I/O.
//!
//! Each life of a daemon seals with a key of its own, which everyone who has the shared key can derive (HKDF-SHA-256 of the shared key, the
//! daemon's id and its incarnation). The nonce is the packet's destination and counter. A counter is used once for each destination
//! in a life, and an incarnation is 64 bits of chance, so no nonce repeats under one key. Copies on other networks and relayed copies
//! are the same bytes, sealed once.
//!
//! The header is not encrypted, but the seal covers it, apart from the two fields of the hop (network, way). An attacker gains nothing by
//! forging them. With a false network a copy looks as if it came on a crossed cable, which counts for no path. With a false way a daemon
//! relays a packet once that it may relay anyway, or does not relay a packet, which then comes by retransmission. An attacker who can do
//! that can also drop the datagram.
//!
//! `keys` has the shared keys, and this file the key of one life, which is derived from them. `multipath` decides about open packets:
//! which life is present, and which counter is new.

mod keys;

pub use keys::{Cipher, Key, KeyError, KeyId, Keys};

use std::fmt;

use ring_crypto::aead::{Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use crate::wire::{DaemonId, Header, Incarnation, SealTag};

/// The key with which one life of a daemon seals its packets.
pub struct LifeKey {
    id: KeyId,
    key: LessSafeKey,
}

/// A packet was not sealed with this key, or was changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealed;

impl LifeKey {
    /// The key of this life, derived from a shared one.
    pub fn derive(shared: &Key, sender: DaemonId, incarnation: Incarnation) -> LifeKey {
        // Sender and life are part of the key, because each life counts its packets from 1 again: nonces repeat, but not under one key.
        let bytes = shared.derive(&[b"life", &sender.0.to_be_bytes(), &incarnation.0.to_be_bytes()]);
        let key = UnboundKey::new(shared.cipher().algorithm(), &bytes).expect("both ciphers take 32 bytes");
        LifeKey { id: shared.id(), key: LessSafeKey::new(key) }
    }

    /// The shared key it was derived from.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Encrypts the body in its place and gives the tag over header and body. The header must never have been sealed before.
    pub fn seal(&self, header: &Header, body: &mut [u8]) -> SealTag {
        // The header is covered without the two fields of the hop, so that a relay can send the sealed bytes on.
        let sealed = self.key.seal_in_place_separate_tag(nonce(header), Aad::from(header.covered()), body);
        let tag = sealed.expect("a datagram is far shorter than the ciphers' limit");
        SealTag(tag.as_ref().try_into().expect("a tag has 16 bytes"))
    }

    /// Decrypts the body in its place if header, tag and body are as they were sealed. Otherwise the body is worthless.
    pub fn open(&self, header: &Header, tag: &SealTag, body: &mut [u8]) -> Result<(), NotSealed> {
        let (aad, tag) = (Aad::from(header.covered()), Tag::from(tag.0));
        self.key.open_in_place_separate_tag(nonce(header), aad, tag, body, 0..).map(|_| ()).map_err(|_| NotSealed)
    }
}

impl fmt::Debug for LifeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LifeKey({})", self.id)
    }
}

/// Destination and counter: the name of a packet among those of one life.
fn nonce(header: &Header) -> Nonce {
    // A counter is used once for each destination in a life, so the two together never repeat under the key of that life.
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&DaemonId::to_wire(header.destination).to_be_bytes());
    nonce[4..].copy_from_slice(&header.counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NetworkId, PacketKind, Protection, Way};

    fn header() -> Header {
        Header {
            kind: PacketKind::Data,
            network: NetworkId(0),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: DaemonId(3),
            destination: None,
            system: 7,
            incarnation: Incarnation(9),
            counter: 1,
        }
    }

    fn key(cipher: Cipher) -> Key {
        Key::new(cipher, [5; Key::SIZE])
    }

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let life = |sender, incarnation| LifeKey::derive(&key(cipher), DaemonId(sender), Incarnation(incarnation));
            let mut body = *b"a body";
            let tag = life(3, 9).seal(&header(), &mut body);
            assert_ne!(&body, b"a body");
            let opens = |life: LifeKey, header: Header, tag: SealTag, mut body: [u8; 6]| {
                life.open(&header, &tag, &mut body).is_ok() && &body == b"a body"
            };
            assert!(opens(life(3, 9), header(), tag, body));
            assert!(!opens(life(3, 8), header(), tag, body), "another life");
            assert!(!opens(life(2, 9), header(), tag, body), "another daemon");
            let other = LifeKey::derive(&Key::new(cipher, [6; Key::SIZE]), DaemonId(3), Incarnation(9));
            assert!(!opens(other, header(), tag, body), "another key");
            for bit in 0..8 * tag.0.len() {
                let mut tag = tag;
                tag.0[bit / 8] ^= 1 << (bit % 8);
                assert!(!opens(life(3, 9), header(), tag, body), "bit {bit} of the tag");
            }
            for bit in 0..8 * body.len() {
                let mut body = body;
                body[bit / 8] ^= 1 << (bit % 8);
                assert!(!opens(life(3, 9), header(), tag, body), "bit {bit} of the body");
            }
        }
    }

    #[test]
    fn the_header_is_covered_but_for_the_hop() {
        let life = LifeKey::derive(&key(Cipher::Aes256Gcm), DaemonId(3), Incarnation(9));
        let mut body = *b"a body";
        let tag = life.seal(&header(), &mut body);
        let opens = |header: Header| life.open(&header, &tag, &mut body.clone()).is_ok();
        assert!(opens(Header { network: NetworkId(5), ..header() }) && opens(Header { way: Way::Relayed, ..header() }));
        for changed in [
            Header { kind: PacketKind::Token, ..header() },
            Header { protection: Protection::Sealed(4), ..header() },
            Header { sender: DaemonId(4), ..header() },
            Header { destination: Some(DaemonId(1)), ..header() },
            Header { system: 8, ..header() },
            Header { incarnation: Incarnation(1), ..header() },
            Header { counter: 2, ..header() },
        ] {
            assert!(!opens(changed), "{changed:?}");
        }
    }

    #[test]
    fn destinations_and_counters_never_share_a_nonce() {
        let nonce = |destination: Option<u32>, counter| {
            *nonce(&Header { destination: destination.map(DaemonId), counter, ..header() }).as_ref()
        };
        let mut all: Vec<[u8; 12]> = Vec::new();
        for destination in [None, Some(1), Some(2), Some(1 << 31)] {
            all.extend([1, 2, 1 << 32, u64::MAX].map(|counter| nonce(destination, counter)));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 16);
    }
}
