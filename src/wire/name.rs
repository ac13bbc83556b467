//! A classic 32-byte name: a group, a private group or a sender.

use std::fmt;

/// A name of at most 31 bytes, NUL padded to 32. Compared as byte strings up to the first NUL, which for zero-padded arrays is
/// the order of the arrays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; Name::SIZE]);

/// Why bytes are not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Longer than 31 bytes.
    TooLong,
}

impl Name {
    /// Bytes of a name field on the wire, the terminating NUL included.
    pub const SIZE: usize = 32;

    /// The name of these bytes, up to the first NUL.
    pub fn new(bytes: &[u8]) -> Result<Name, NameError> {
        let bytes = until_nul(bytes);
        if bytes.len() >= Name::SIZE {
            return Err(NameError::TooLong);
        }
        let mut field = [0; Name::SIZE];
        field[..bytes.len()].copy_from_slice(bytes);
        Ok(Name(field))
    }

    /// The name in a wire field: what stands before the first NUL; a field without a NUL counts as 31 bytes.
    pub fn from_field(field: &[u8; Name::SIZE]) -> Name {
        let bytes = until_nul(&field[..Name::SIZE - 1]);
        let mut clean = [0; Name::SIZE];
        clean[..bytes.len()].copy_from_slice(bytes);
        Name(clean)
    }

    /// The private group of a connection: `#name#daemon`.
    pub fn private_group(private_name: &[u8], daemon: &[u8]) -> Result<Name, NameError> {
        Name::new(&[b"#", private_name, b"#", daemon].concat())
    }

    /// Splits a private group into private name and daemon name; `None` if it is not one.
    pub fn private_parts(&self) -> Option<(&[u8], &[u8])> {
        let inner = self.as_bytes().strip_prefix(b"#")?;
        let at = inner.iter().position(|&byte| byte == b'#')?;
        Some((&inner[..at], &inner[at + 1..]))
    }

    /// The bytes before the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        until_nul(&self.0)
    }

    /// The whole zero-padded field.
    pub fn field(&self) -> &[u8; Name::SIZE] {
        &self.0
    }

    /// Whether there is no byte before the NUL.
    pub fn is_empty(&self) -> bool {
        self.0[0] == 0
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_before_the_nul_count() {
        let mut field = [b'x'; Name::SIZE];
        field[3] = 0;
        assert_eq!(Name::from_field(&field), Name::new(b"xxx").unwrap());
        assert_eq!(Name::from_field(&[b'y'; Name::SIZE]).as_bytes().len(), 31);
        assert_eq!(Name::new(&[b'z'; 32]), Err(NameError::TooLong));
    }

    #[test]
    fn a_private_group_has_two_parts() {
        let name = Name::private_group(b"alice", b"d1").unwrap();
        assert_eq!(name.as_bytes(), b"#alice#d1");
        assert_eq!(name.private_parts(), Some((&b"alice"[..], &b"d1"[..])));
        assert_eq!(Name::new(b"#alice").unwrap().private_parts(), None);
    }

    #[test]
    fn names_order_as_byte_strings() {
        let mut names =
            ["#zz#d1", "#a~#d1", "#a#d3", "#A#d1", "#a.1#d1", "#ab#d1"].map(|n| Name::new(n.as_bytes()).unwrap());
        names.sort();
        assert_eq!(names.map(|n| n.to_string()), ["#A#d1", "#a#d3", "#a.1#d1", "#ab#d1", "#a~#d1", "#zz#d1"]);
    }
}
