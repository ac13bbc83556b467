//! Datagrams for which the system's buffer has no room. Each network has its own queue, so that a slow network delays no other. A full queue
//! drops and counts datagrams.

use std::collections::VecDeque;

use socket2::SockAddr;

use super::Datagram;

/// Bytes that may wait: about what all daemons together send in one rotation of the token.
const QUEUE_BYTES: usize = 1 << 20;
/// Datagrams that are taken out at once.
const RUN_LIMIT: usize = 64;

/// Datagrams in the order in which they are to be sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    to: SockAddr,
    header: usize,
    bytes: Vec<u8>,
}

impl Queue {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many datagrams wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Queues datagrams to one destination. Returns how many of the last ones found no room.
    pub(super) fn push(&mut self, to: &SockAddr, batch: &[Datagram<'_>]) -> usize {
        for (queued, datagram) in batch.iter().enumerate() {
            if self.bytes + datagram.len() > QUEUE_BYTES {
                return batch.len() - queued;
            }
            self.bytes += datagram.len();
            let bytes = [datagram.header, datagram.body].concat();
            self.waiting.push_back(Waiting { to: to.clone(), header: datagram.header.len(), bytes });
        }
        0
    }

    /// The first datagrams that are to one destination.
    pub(super) fn front(&self) -> Option<(&SockAddr, Vec<Datagram<'_>>)> {
        let to = &self.waiting.front()?.to;
        let run = self.waiting.iter().take(RUN_LIMIT).take_while(|waiting| waiting.to == *to);
        Some((to, run.map(Waiting::datagram).collect()))
    }

    /// The first datagrams are sent.
    pub(super) fn pop(&mut self, count: usize) {
        for waiting in self.waiting.drain(..count) {
            self.bytes -= waiting.bytes.len();
        }
    }
}

impl Waiting {
    fn datagram(&self) -> Datagram<'_> {
        let (header, body) = self.bytes.split_at(self.header);
        Datagram { header, body }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn to(port: u16) -> SockAddr {
        SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    #[test]
    fn what_waits_leaves_in_order_and_by_destination() {
        let mut queue = Queue::default();
        let datagram = |body: &'static [u8]| Datagram { header: b"h", body };
        assert_eq!(queue.push(&to(1), &[datagram(b"1"), datagram(b"2")]), 0);
        assert_eq!(queue.push(&to(2), &[datagram(b"3")]), 0);
        let front = |queue: &Queue| {
            let (to, run) = queue.front().unwrap();
            (to.as_socket().unwrap().port(), run.iter().map(|datagram| datagram.body.to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(front(&queue), (1, vec![b"1".to_vec(), b"2".to_vec()]));
        queue.pop(1);
        assert_eq!(front(&queue), (1, vec![b"2".to_vec()]));
        queue.pop(1);
        assert_eq!(front(&queue), (2, vec![b"3".to_vec()]));
        queue.pop(1);
        assert!(queue.is_empty() && queue.front().is_none() && queue.bytes == 0);
    }

    #[test]
    fn not_more_waits_than_the_limit() {
        let mut queue = Queue::default();
        let body = [0; 1000];
        let batch = vec![Datagram { header: b"", body: &body }; 2000];
        assert_eq!(queue.push(&to(1), &batch), 2000 - QUEUE_BYTES / 1000);
        assert_eq!((queue.len(), queue.front().unwrap().1.len()), (QUEUE_BYTES / 1000, RUN_LIMIT));
    }
}
