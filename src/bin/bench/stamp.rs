//! The stamp in every message of a measurement. With it a receiver checks for loss, duplicates, order and damage.
//!
//! The front of a message has its sender, its number and the time of sending; its last eight bytes are a hash of sender and number. The
//! numbers of each sender must arrive without a gap. For the order of all senders a receiver keeps a running hash of the messages, and
//! records it after every [`CHECK_INTERVAL`] messages. The coordinator compares the records of all receivers.

/// Messages between two records of the order.
pub const CHECK_INTERVAL: u64 = 64;
/// The smallest message.
pub const SMALLEST: usize = 40;
const MAGIC: u32 = 0x746f_7263;

/// The front of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub sender: u16,
    /// From 0 for each sender.
    pub number: u64,
    pub sent_at: u64,
    /// The sender's last message; its number is the number of messages before it.
    pub last: bool,
}

impl Stamp {
    /// Writes front and end of a message.
    pub fn write(&self, body: &mut [u8]) {
        let kind = u16::from(self.last);
        body[..4].copy_from_slice(&MAGIC.to_le_bytes());
        body[4..6].copy_from_slice(&self.sender.to_le_bytes());
        body[6..8].copy_from_slice(&kind.to_le_bytes());
        body[8..16].copy_from_slice(&self.number.to_le_bytes());
        body[16..24].copy_from_slice(&self.sent_at.to_le_bytes());
        let end = body.len() - 8;
        body[end..].copy_from_slice(&self.hash().to_le_bytes());
    }

    /// Reads a message; `None` if it is damaged.
    pub fn read(body: &[u8]) -> Option<Stamp> {
        if body.len() < SMALLEST || body[..4] != MAGIC.to_le_bytes() {
            return None;
        }
        let word = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes"));
        let sender = u16::from_le_bytes([body[4], body[5]]);
        let stamp = Stamp { sender, number: word(8), sent_at: word(16), last: body[6] == 1 };
        (word(body.len() - 8) == stamp.hash()).then_some(stamp)
    }

    fn hash(&self) -> u64 {
        mix(self.number ^ u64::from(self.sender) << 48)
    }
}

/// The checks of a receiver.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The number that each sender's next message must have.
    next: Vec<u64>,
    ended: Vec<bool>,
    pub received: u64,
    pub lost: u64,
    pub repeated: u64,
    pub damaged: u64,
    hash: u64,
    /// The running hash after every [`CHECK_INTERVAL`] messages.
    pub notes: Vec<u64>,
}

impl Checker {
    /// For this many senders.
    pub fn new(senders: usize) -> Checker {
        Checker { next: vec![0; senders], ended: vec![false; senders], ..Checker::default() }
    }

    /// Checks a message. Returns its stamp if it is a new one that is not a sender's last.
    pub fn check(&mut self, body: &[u8]) -> Option<Stamp> {
        let Some(stamp) = Stamp::read(body).filter(|stamp| usize::from(stamp.sender) < self.next.len()) else {
            self.damaged += 1;
            return None;
        };
        let sender = usize::from(stamp.sender);
        let next = &mut self.next[sender];
        if stamp.number < *next {
            self.repeated += 1;
            return None;
        }
        self.lost += stamp.number - *next;
        if stamp.last {
            *next = stamp.number;
            self.ended[sender] = true;
            return None;
        }
        *next = stamp.number + 1;
        self.received += 1;
        self.hash = mix(self.hash ^ stamp.hash());
        if self.received.is_multiple_of(CHECK_INTERVAL) {
            self.notes.push(self.hash);
        }
        Some(stamp)
    }

    /// Whether every sender's last message came.
    pub fn is_done(&self) -> bool {
        self.ended.iter().all(|&ended| ended)
    }
}

/// Whether all receivers had one order. One may have received less than another.
pub fn agree(notes: &[Vec<u64>]) -> bool {
    let Some(longest) = notes.iter().max_by_key(|notes| notes.len()) else { return true };
    notes.iter().all(|notes| longest.starts_with(notes))
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sender: u16, number: u64) -> Vec<u8> {
        stamped(Stamp { sender, number, sent_at: 5, last: false })
    }

    fn last_message(sender: u16, number: u64) -> Vec<u8> {
        stamped(Stamp { sender, number, sent_at: 5, last: true })
    }

    fn stamped(stamp: Stamp) -> Vec<u8> {
        let mut body = vec![7; 100];
        stamp.write(&mut body);
        body
    }

    #[test]
    fn a_checker_counts_what_is_lost_repeated_and_damaged() {
        let mut checker = Checker::new(2);
        for number in [0, 1, 4] {
            assert!(checker.check(&message(0, number)).is_some());
        }
        assert!(checker.check(&message(0, 1)).is_none());
        let mut damaged = message(1, 0);
        damaged[95] ^= 1;
        assert!(checker.check(&damaged).is_none() && checker.check(b"short").is_none());
        assert_eq!((checker.received, checker.lost, checker.repeated, checker.damaged), (3, 2, 1, 2));
        checker.check(&last_message(0, 5));
        assert!(!checker.is_done());
        checker.check(&last_message(1, 2));
        assert!(checker.is_done());
        assert_eq!(checker.lost, 4, "the last message tells what never came");
    }

    #[test]
    fn another_order_of_the_same_messages_is_seen() {
        let notes = |first: u16| {
            let mut checker = Checker::new(2);
            let order = [first, 1 - first];
            (0..64).for_each(|number| order.iter().for_each(|&sender| _ = checker.check(&message(sender, number))));
            checker.notes
        };
        let (one, other) = (notes(0), notes(1));
        assert_eq!(one.len(), 2);
        assert!(agree(&[one.clone(), one[..1].to_vec(), one.clone()]) && agree(&[]));
        assert!(!agree(&[one, other]));
    }
}
