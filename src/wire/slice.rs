//! Shared, immutable bytes: a packet is received once and its parts reach the clients' sockets without a copy.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A part of a shared byte buffer. Cloning shares the buffer.
#[derive(Clone, Default)]
pub struct Slice {
    buffer: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Slice {
    /// Takes a copy of `bytes` into a buffer of its own.
    pub fn copy_from(bytes: &[u8]) -> Slice {
        Slice::whole(Arc::from(bytes))
    }

    fn whole(buffer: Arc<[u8]>) -> Slice {
        let end = u32::try_from(buffer.len()).expect("a buffer is a datagram or a bounded message, far below 4 GiB");
        Slice { buffer, start: 0, end }
    }

    /// The part from `start` to before `end`, counted from the beginning of this slice. Panics if it does not lie inside.
    pub fn part(&self, start: usize, end: usize) -> Slice {
        assert!(start <= end && end <= self.len(), "part {start}..{end} of {} bytes", self.len());
        let base = self.start as usize;
        Slice { buffer: Arc::clone(&self.buffer), start: (base + start) as u32, end: (base + end) as u32 }
    }

    /// Bytes of the buffer that this slice keeps alive.
    pub fn retained(&self) -> usize {
        self.buffer.len()
    }

    /// The same bytes after a change in their place: in the same buffer if nobody else has it, otherwise in a copy.
    pub fn changed<R, E>(mut self, change: impl FnOnce(&mut [u8]) -> Result<R, E>) -> Result<(Slice, R), E> {
        // A datagram on its way in is nobody else's, so a seal is opened without a copy.
        if Arc::get_mut(&mut self.buffer).is_none() {
            self = Slice::copy_from(&self);
        }
        let (start, end) = (self.start as usize, self.end as usize);
        let buffer = Arc::get_mut(&mut self.buffer).expect("nobody else has it");
        let result = change(&mut buffer[start..end])?;
        Ok((self, result))
    }

    /// The part from `start` to the end, instead of this slice: whoever had the buffer alone still has.
    pub fn into_tail(self, start: usize) -> Slice {
        assert!(start <= self.len(), "tail {start} of {} bytes", self.len());
        Slice { start: self.start + start as u32, ..self }
    }

    /// The part from `start` to the end.
    pub fn tail(&self, start: usize) -> Slice {
        self.part(start, self.len())
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Slice {
        Slice::whole(Arc::from(bytes))
    }
}

impl Deref for Slice {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer[self.start as usize..self.end as usize]
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Slice {
    fn eq(&self, other: &Slice) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Slice {}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({} bytes)", self.len())
    }
}

/// A message's bytes: one slice in the common case, several where the message spanned packets.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Slice,
    rest: Vec<Slice>,
}

impl Payload {
    /// The payload of these slices, in order.
    pub fn from_slices(slices: impl IntoIterator<Item = Slice>) -> Payload {
        let mut slices = slices.into_iter();
        Payload { first: slices.next().unwrap_or_default(), rest: slices.collect() }
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.first.len() + self.rest.iter().map(|slice| slice.len()).sum::<usize>()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slices in order; some may be empty.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Whatever comes after the first `n` bytes, which must be there, without a copy.
    pub fn skip(&self, mut n: usize) -> Payload {
        assert!(n <= self.len(), "skip {n} of {} bytes", self.len());
        let mut slices = self.slices();
        let first = loop {
            match slices.next() {
                Some(slice) if slice.len() > n => break slice.tail(n),
                Some(slice) => n -= slice.len(),
                None => return Payload::default(),
            }
        };
        Payload { first, rest: slices.cloned().collect() }
    }

    /// The first `n` bytes, or all if there are fewer: shared when they lie in one slice, copied when they do not.
    pub fn front(&self, n: usize) -> Slice {
        // Nearly every message lies in one packet, and then nothing is copied.
        if self.first.len() >= n || self.rest.is_empty() {
            return self.first.part(0, n.min(self.first.len()));
        }
        let mut bytes = Vec::with_capacity(n.min(self.len()));
        for slice in self.slices() {
            let room = n - bytes.len();
            bytes.extend_from_slice(&slice[..room.min(slice.len())]);
        }
        bytes.into()
    }

    /// Bytes of the buffers that the slices keep alive; one that several share counts for each.
    pub fn retained(&self) -> usize {
        self.slices().map(Slice::retained).sum()
    }

    /// All bytes in a buffer of their own.
    pub fn copied(&self) -> Payload {
        let mut bytes = Vec::with_capacity(self.len());
        self.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes.into()
    }

    /// All bytes in one slice: shared when they lie in one, copied when they do not.
    pub fn contiguous(&self) -> Slice {
        self.front(self.len())
    }
}

impl From<Slice> for Payload {
    fn from(slice: Slice) -> Payload {
        Payload { first: slice, rest: Vec::new() }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        Payload::from(Slice::from(bytes))
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Payload) -> bool {
        self.contiguous() == other.contiguous()
    }
}

impl Eq for Payload {}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(parts: &[&str]) -> Payload {
        Payload::from_slices(parts.iter().map(|part| Slice::copy_from(part.as_bytes())))
    }

    #[test]
    fn parts_share_the_buffer() {
        let whole = Slice::from(b"hello world".to_vec());
        let part = whole.part(6, 11);
        assert_eq!(&part[..], b"world");
        assert_eq!(&part.tail(3)[..], b"ld");
        assert!(std::ptr::eq(&whole[6], &part[0]));
    }

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let whole = Slice::from(b"hello world".to_vec());
        let add = |bytes: &mut [u8]| -> Result<(), ()> {
            bytes.iter_mut().for_each(|byte| *byte += 1);
            Ok(())
        };
        let (part, ()) = whole.part(6, 11).changed(add).unwrap();
        assert_eq!((&whole[..], &part[..]), (&b"hello world"[..], &b"xpsme"[..]));
        let part = part.into_tail(2);
        let place = part.as_ptr();
        let (same, ()) = part.changed(add).unwrap();
        assert!(std::ptr::eq(same.as_ptr(), place), "nobody else had it");
        assert!(whole.changed(|_| Err::<(), ()>(())).is_err());
    }

    #[test]
    fn skip_and_front_cross_slices() {
        let message = payload(&["ab", "", "cde", "f"]);
        assert_eq!(message.len(), 6);
        assert_eq!(&message.contiguous()[..], b"abcdef");
        assert_eq!(&message.front(3)[..], b"abc");
        assert_eq!(&message.front(9)[..], b"abcdef");
        for n in 0..=6 {
            assert_eq!(&message.skip(n).contiguous()[..], &b"abcdef"[n..]);
        }
    }

    #[test]
    fn cutting_does_not_change_equality() {
        assert_eq!(payload(&["ab", "c"]), payload(&["abc"]));
        assert_ne!(payload(&["ab"]), payload(&["abc"]));
        assert!(payload(&[]).is_empty());
    }
}
