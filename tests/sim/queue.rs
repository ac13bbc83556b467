//! What is to happen: ordered by time, and at one time by when it was planned.
//!
//! A history's deeds are known from its beginning and wait for long, while datagrams are soon there. So each have a heap of their own:
//! among few datagrams the next one is soon found, however many deeds are to come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use spread::time::Instant;

/// Two kinds of things to happen: `Far` ones, of which many wait for long, and `Near` ones, which come soon.
#[derive(Debug)]
pub struct Queue<Near, Far> {
    near: Heap<Near>,
    far: Heap<Far>,
    planned: u64,
}

/// What happens.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<Near, Far> {
    Near(Near),
    Far(Far),
}

impl<Near, Far> Queue<Near, Far> {
    pub fn new() -> Queue<Near, Far> {
        Queue { near: Heap::new(), far: Heap::new(), planned: 0 }
    }

    pub fn plan_near(&mut self, at: Instant, what: Near) {
        self.planned += 1;
        self.near.push(at, self.planned, what);
    }

    pub fn plan_far(&mut self, at: Instant, what: Far) {
        self.planned += 1;
        self.far.push(at, self.planned, what);
    }

    /// The next thing that happens until then, and when.
    pub fn pop(&mut self, until: Instant) -> Option<(Instant, Next<Near, Far>)> {
        let (near, far) = (self.near.first(), self.far.first());
        let first = near.min(far);
        if first == NEVER || time(first) > until {
            return None;
        }
        let next = if first == near { Next::Near(self.near.pop()?) } else { Next::Far(self.far.pop()?) };
        Some((time(first), next))
    }
}

/// When something happens, and before what else of the same time, and where it is kept: what the heap moves about is one number.
type Key = u128;

const ORDER_BITS: u32 = 40;
const PLACE_BITS: u32 = 24;
/// No time is so late.
const NEVER: Key = Key::MAX;

fn key(at: Instant, order: u64, place: usize) -> Key {
    assert!(order < 1 << ORDER_BITS && place < 1 << PLACE_BITS, "a history is shorter");
    Key::from(at.as_nanos()) << u64::BITS | Key::from(order << PLACE_BITS | place as u64)
}

fn time(key: Key) -> Instant {
    Instant::from_nanos((key >> u64::BITS) as u64)
}

fn place(key: Key) -> usize {
    key as usize & ((1 << PLACE_BITS) - 1)
}

#[derive(Debug)]
struct Heap<T> {
    keys: BinaryHeap<Reverse<Key>>,
    kept: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Heap<T> {
    fn new() -> Heap<T> {
        Heap { keys: BinaryHeap::new(), kept: Vec::new(), free: Vec::new() }
    }

    fn push(&mut self, at: Instant, order: u64, what: T) {
        let place = self.free.pop().unwrap_or(self.kept.len());
        match self.kept.get_mut(place) {
            Some(seat) => *seat = Some(what),
            None => self.kept.push(Some(what)),
        }
        self.keys.push(Reverse(key(at, order, place)));
    }

    fn first(&self) -> Key {
        self.keys.peek().map_or(NEVER, |Reverse(key)| *key)
    }

    fn pop(&mut self) -> Option<T> {
        let Reverse(key) = self.keys.pop()?;
        self.free.push(place(key));
        self.kept[place(key)].take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_decides_and_then_who_was_planned_first() {
        let at = Instant::from_millis;
        let mut queue = Queue::new();
        queue.plan_far(at(2), 'a');
        queue.plan_near(at(2), 1);
        queue.plan_near(at(1), 2);
        queue.plan_far(at(2), 'b');
        queue.plan_near(at(3), 3);
        let happened: Vec<_> = std::iter::from_fn(|| queue.pop(at(2))).collect();
        let (near, far) = (Next::Near, Next::Far);
        assert_eq!(happened, [(at(1), near(2)), (at(2), far('a')), (at(2), near(1)), (at(2), far('b'))]);
        assert_eq!(queue.pop(at(3)), Some((at(3), Next::Near(3))));
        assert_eq!(queue.pop(at(9)), None);
    }
}
