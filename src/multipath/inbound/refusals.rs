//! Notices of datagrams that are dropped on the way in. Each reason gives one notice, which names the latest source, and then none for a
//! while, however many come. A datagram whose seal does not open leads to nothing else.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::super::notice::{Notice, Reason};
use crate::time::{Duration, Instant};
use crate::wire::NetworkId;

/// How long no other notice is given for the same reason.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: [Told; Reason::COUNT],
    events: VecDeque<Notice>,
}

/// The last notice of one reason.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: Option<Instant>,
    /// How many came since.
    since: u64,
}

impl Refusals {
    /// A datagram is dropped.
    pub(super) fn count(&mut self, now: Instant, network: NetworkId, source: IpAddr, reason: Reason) {
        let told = &mut self.told[reason.number()];
        // Counted even between notices, so that the next one says how many there were.
        told.since += 1;
        if told.at.is_none_or(|at| now.since(at) >= NOTICE_INTERVAL) {
            let count = std::mem::take(&mut told.since);
            told.at = Some(now);
            self.events.push_back(Notice::Refused { network, source, reason, count });
        }
    }

    /// The next notice.
    pub(super) fn poll(&mut self) -> Option<Notice> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute_for_each_reason() {
        let mut refusals = Refusals::default();
        let source = IpAddr::from([10, 0, 0, 9]);
        let mut lines = Vec::new();
        for n in 0..70_000 {
            let reason = if n % 2 == 0 { Reason::NotOpened } else { Reason::OtherVersion(9) };
            refusals.count(Instant::from_millis(n), NetworkId(1), source, reason);
            lines.extend(refusals.poll().map(|event| event.to_string()));
        }
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], "a datagram from 10.0.0.9 on network 1 is dropped: wrong key or not sealed");
        assert_eq!(
            lines[2],
            "30000 datagrams are dropped since the last such line, one from 10.0.0.9 on network 1: wrong key or not sealed"
        );
    }
}
