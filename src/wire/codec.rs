//! Typed reads and writes, so that no other code does byte arithmetic. Only the header and the measures of reports, which are read and written
//! all the time, do their own. Packets are big-endian; frames pass their byte order in.

use std::fmt;

/// Why bytes are not a packet or frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end too early.
    Short,
    /// Bytes are left over behind the end.
    TrailingBytes,
    /// A count or length is over its limit; the field's name.
    TooLarge(&'static str),
    /// A field has a value that means nothing; the field's name.
    BadValue(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Short => write!(f, "too short"),
            DecodeError::TrailingBytes => write!(f, "bytes left over"),
            DecodeError::TooLarge(field) => write!(f, "{field} over its limit"),
            DecodeError::BadValue(field) => write!(f, "invalid value for {field}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads typed values from the front of a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.bytes.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.bytes = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.bytes.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.bytes = tail;
        Ok(*head)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// A 16-bit number.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A number that is counted up. It must be below 2^62, so that adding to it never overflows.
    pub fn counted(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let number = self.u64()?;
        if number >> 62 == 0 { Ok(number) } else { Err(DecodeError::TooLarge(field)) }
    }

    /// A 16-bit count that must not exceed `limit`, checked before any memory is taken for it.
    pub fn count(&mut self, limit: usize, field: &'static str) -> Result<usize, DecodeError> {
        let count = usize::from(self.u16()?);
        if count > limit { Err(DecodeError::TooLarge(field)) } else { Ok(count) }
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Succeeds only when nothing is left.
    pub fn end(&self) -> Result<(), DecodeError> {
        // Left-over bytes come from a layout that is not ours. To ignore them would hide that.
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}

/// Appends typed values, big-endian, to a byte vector.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Writer {
        Writer { bytes: Vec::with_capacity(capacity) }
    }

    /// A byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// A 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A 16-bit count; the caller keeps it within the format's limit.
    pub fn count(&mut self, count: usize) {
        self.u16(u16::try_from(count).expect("every list in our packets has a limit below 65536"));
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut writer = Writer::default();
        writer.u8(1);
        writer.u16(2);
        writer.u32(3);
        writer.u64(4);
        writer.count(5);
        writer.bytes(b"xy");
        let bytes = writer.finish();
        assert_eq!(bytes, [1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 5, b'x', b'y']);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(reader.u64(), Ok(4));
        assert_eq!(reader.count(5, "things"), Ok(5));
        assert_eq!(reader.end(), Err(DecodeError::TrailingBytes));
        assert_eq!(reader.take(2), Ok(&b"xy"[..]));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(reader.u8(), Err(DecodeError::Short));
    }

    #[test]
    fn a_number_that_is_counted_up_leaves_room() {
        let read = |number: u64| Reader::new(&number.to_be_bytes()).counted("seq");
        assert_eq!(read((1 << 62) - 1), Ok((1 << 62) - 1));
        assert_eq!(read(1 << 62), Err(DecodeError::TooLarge("seq")));
        assert_eq!(read(u64::MAX), Err(DecodeError::TooLarge("seq")));
    }

    #[test]
    fn a_count_meets_its_limit() {
        assert_eq!(Reader::new(&[0, 6]).count(5, "things"), Err(DecodeError::TooLarge("things")));
    }
}
