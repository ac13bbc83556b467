//! The keys that all daemons of a system share, and the text that holds them: a line each, the cipher and 64 hexadecimal digits, the newest
//! last, so that a new key is appended. The cipher is a property of the key: whoever makes the key chooses it for all.

use std::fmt;
use std::str::FromStr;

use ring_crypto::{aead, hkdf};

/// How packets are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// Fast where the processor has instructions for AES, which nearly all servers have.
    Aes256Gcm,
    /// Fast everywhere.
    ChaCha20Poly1305,
}

/// A shared key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    cipher: Cipher,
    secret: [u8; Key::SIZE],
    id: KeyId,
}

/// The public name of a key. It is derived from the key, and nobody can compute the key from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub u32);

/// The keys of a daemon, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// A mistake in a text of keys, with its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The file contains no key.
    Empty,
    /// This line is not a cipher and a key.
    Form(usize),
    /// This line names a cipher that does not exist.
    Cipher(usize),
    /// The key of this line is too short or too long, or not written in hexadecimal digits.
    Length(usize),
    /// The key of this line was there before.
    Twice(usize),
    /// There are more than [`Keys::LIMIT`].
    TooMany,
}

impl Cipher {
    const ALL: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    /// Its name in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Cipher::Aes256Gcm => "aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
        }
    }

    pub(super) fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Cipher::Aes256Gcm => &aead::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

impl Key {
    /// Bytes of a key.
    pub const SIZE: usize = 32;

    /// The key with these bytes.
    pub fn new(cipher: Cipher, secret: [u8; Key::SIZE]) -> Key {
        let mut key = Key { cipher, secret, id: KeyId(0) };
        // Derived like a key for a purpose, so the id shows nothing of the secret.
        let [a, b, c, d, ..] = key.derive(&[b"id"]);
        key.id = KeyId(u32::from_be_bytes([a, b, c, d]));
        key
    }

    /// The id that distinguishes it from others.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// How it seals.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The line of the text that holds it.
    pub fn to_line(&self) -> String {
        let digits: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {digits}", self.cipher.name())
    }

    /// A key for one purpose, which follows from this one. The cipher is part of it, so one secret under two ciphers gives two keys.
    pub(super) fn derive(&self, purpose: &[&[u8]]) -> [u8; Key::SIZE] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"torc packets 1");
        let info = [&[self.cipher.name().as_bytes()], purpose].concat();
        let mut bytes = [0; Key::SIZE];
        let secret = salt.extract(&self.secret);
        let output = secret.expand(&info, hkdf::HKDF_SHA256).and_then(|output| output.fill(&mut bytes));
        output.expect("32 bytes are what SHA-256 gives");
        bytes
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secret, because such texts end in logs.
        write!(f, "Key({} {})", self.cipher.name(), self.id)
    }
}

impl KeyId {
    /// The byte in a packet's header that hints at its key. Two keys may have one hint; then both are tried.
    pub fn hint(self) -> u8 {
        // Never 0, which means a plain packet in a header.
        1 + (self.0 % 255) as u8
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Keys {
    /// How many keys a daemon may have: enough for a rotation that begins before the last one has ended.
    pub const LIMIT: usize = 8;

    /// No key: packets are not sealed.
    pub const NONE: Keys = Keys(Vec::new());

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From the oldest to the newest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.0.iter()
    }

    /// Their ids in the same order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = KeyId> + '_ {
        self.0.iter().map(Key::id)
    }
}

impl FromIterator<Key> for Keys {
    /// The first [`Keys::LIMIT`] of these.
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Keys {
        Keys(keys.into_iter().take(Keys::LIMIT).collect())
    }
}

impl FromStr for Keys {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Keys, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            // A remark may follow a key: `#` is no digit.
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = parse_line(number, line)?;
            // By id: others name a key by its id, so two keys with one id could not be distinguished.
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyError::Twice(number));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeyError::Empty),
            count if count > Keys::LIMIT => Err(KeyError::TooMany),
            _ => Ok(Keys(keys)),
        }
    }
}

fn parse_line(number: usize, line: &str) -> Result<Key, KeyError> {
    let (cipher, digits) = line.split_once(char::is_whitespace).ok_or(KeyError::Form(number))?;
    let named = Cipher::ALL.into_iter().find(|known| known.name() == cipher);
    let cipher = named.ok_or(KeyError::Cipher(number))?;
    let secret = hexadecimal(digits.trim()).ok_or(KeyError::Length(number))?;
    Ok(Key::new(cipher, secret))
}

fn hexadecimal(digits: &str) -> Option<[u8; Key::SIZE]> {
    let mut bytes = [0; Key::SIZE];
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    // A short key is not filled up, because it would be weaker than it looks.
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    Some(bytes)
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Empty => f.write_str("the file contains no key"),
            KeyError::Form(line) => write!(f, "line {line} must be a cipher and a key"),
            KeyError::Cipher(line) => {
                let [one, other] = Cipher::ALL.map(Cipher::name);
                write!(f, "line {line} names an unknown cipher: it must be {one} or {other}")
            }
            KeyError::Length(line) => {
                write!(f, "the key of line {line} must have {} hexadecimal digits", 2 * Key::SIZE)
            }
            KeyError::Twice(line) => write!(f, "the key of line {line} is there twice"),
            KeyError::TooMany => write!(f, "there are more than {} keys: remove the oldest", Keys::LIMIT),
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cipher: Cipher, byte: u8) -> String {
        Key::new(cipher, [byte; Key::SIZE]).to_line()
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let (one, two) = (line(Cipher::Aes256Gcm, 0xa5), line(Cipher::ChaCha20Poly1305, 2));
        assert_eq!(one, format!("aes-256-gcm {}", "a5".repeat(32)));
        let keys: Keys = format!("# keys of alpha and beta\n\n{one}   # old\n {two}\n").parse().unwrap();
        let expected = [Key::new(Cipher::Aes256Gcm, [0xa5; 32]), Key::new(Cipher::ChaCha20Poly1305, [2; 32])];
        assert_eq!(keys.iter().cloned().collect::<Vec<_>>(), expected);
        assert_ne!(expected[0].id(), expected[1].id());
    }

    #[test]
    fn what_is_wrong_with_keys_is_told_by_line() {
        let good = line(Cipher::Aes256Gcm, 1);
        let many: String = (0..=Keys::LIMIT as u8).map(|byte| line(Cipher::Aes256Gcm, byte) + "\n").collect();
        for (text, error) in [
            ("# nothing\n".to_string(), KeyError::Empty),
            (format!("{good}\naes-256-gcm"), KeyError::Form(2)),
            (format!("aes-128 {}", "0".repeat(64)), KeyError::Cipher(1)),
            (format!("\naes-256-gcm {}", "0".repeat(63)), KeyError::Length(2)),
            (format!("aes-256-gcm {}", "g".repeat(64)), KeyError::Length(1)),
            (format!("aes-256-gcm {}", "é".repeat(32)), KeyError::Length(1)),
            (format!("{good}\n{good}"), KeyError::Twice(2)),
            (many, KeyError::TooMany),
        ] {
            assert_eq!(text.parse::<Keys>(), Err(error), "{text}");
        }
        let text = KeyError::Length(1).to_string();
        assert_eq!(text, "the key of line 1 must have 64 hexadecimal digits");
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = Key::new(Cipher::Aes256Gcm, [0xa5; 32]);
        assert!(!format!("{key:?}").contains("a5a5"));
        assert!((0..=255).all(|n| KeyId(n).hint() != 0));
    }
}
