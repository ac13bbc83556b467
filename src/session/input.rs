//! The received bytes of a client that are not decoded yet.
//!
//! The limit is one whole frame. The owner drains the input after every read, so a correct client never exceeds the limit. If a client
//! exceeds it, its session ends.

/// The capacity that is kept when all bytes are read.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Bytes waiting to be read, from the front.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// How many of them have been read.
    read: usize,
    limit: usize,
    flooded: bool,
}

impl Input {
    pub(super) fn new(limit: usize) -> Input {
        Input { bytes: Vec::new(), read: 0, limit, flooded: false }
    }

    /// Sets the limit.
    pub(super) fn allow(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether bytes came although too many were waiting.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        // Checked before these bytes are added, because one read may bring the end of a frame and the beginning of the next.
        if self.front().len() > self.limit {
            self.flooded = true;
            return;
        }
        // Decoded bytes are removed when new ones come, and not at each frame, so that a burst of small frames is moved once.
        self.bytes.drain(..self.read);
        self.read = 0;
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes room for `more` bytes. The capacity doubles, so that a long frame is rarely moved, but it hardly exceeds the limit.
    fn make_room(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let wanted = needed.max((2 * self.bytes.len()).min(self.limit));
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }

    /// Bytes of memory taken.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// All that waits.
    pub(super) fn front(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// Reads `n` bytes, if this many are there.
    pub(super) fn take(&mut self, n: usize) -> Option<&mut [u8]> {
        let taken = self.bytes[self.read..].get_mut(..n)?;
        self.read += n;
        Some(taken)
    }

    /// Nothing more can be decoded for now: frees memory that only a large frame needed.
    pub(super) fn release_memory(&mut self) {
        if self.front().is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            self.read = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Input::new(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_from_the_front_when_all_are_there() {
        let mut input = Input::new(100);
        input.push(b"abc");
        assert_eq!(input.take(4), None);
        input.push(b"def");
        assert_eq!(input.take(4).as_deref(), Some(&b"abcd"[..]));
        input.push(b"g");
        assert_eq!(input.front(), b"efg");
    }

    #[test]
    fn more_bytes_above_the_limit_are_a_flood_and_take_no_memory() {
        let mut input = Input::new(4);
        input.push(b"abcd");
        input.push(b"e");
        assert!(!input.is_flooded());
        input.push(b"f");
        assert!(input.is_flooded());
        assert_eq!(input.front(), b"abcde");
    }

    #[test]
    fn the_room_taken_is_hardly_more_than_the_limit() {
        let mut input = Input::new(100_000);
        (0..51).for_each(|_| input.push(&[0; 2000]));
        assert_eq!(input.front().len(), 102_000);
        assert!(input.memory() <= 102_000, "{}", input.memory());
    }

    #[test]
    fn the_room_of_a_large_frame_is_given_back() {
        let mut input = Input::new(1 << 20);
        input.push(&[0; 1 << 20]);
        input.release_memory();
        assert_eq!(input.front().len(), 1 << 20);
        input.take(1 << 20);
        input.release_memory();
        assert!(input.bytes.capacity() <= KEPT_CAPACITY);
    }
}
