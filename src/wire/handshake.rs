//! The bytes that come before the first frame: connect request, method list, choice, answer.
//!
//! ```text
//! request   major, minor, [patch], flags, name length n, n bytes      client → daemon
//! list      length L, L bytes: each method name and a blank           daemon → client, from 3.16
//! choice    three method names, NUL padded to 30 bytes each           client → daemon, from 3.16
//! answer    1, major, minor, [patch], length m, m bytes               daemon → client
//! refusal   one negative byte in place of list or answer              daemon → client
//! ```
//!
//! The patch bytes exist from library version 3.15 on. All parts but the choice have a variable length. Their decoders take the bytes that have
//! arrived, and return `None` while more must come, or the value and its number of bytes.

use std::fmt;

use super::{DecodeError, Name, Reader};

/// The result of decoding: `None` while more must come, or a value and its number of bytes.
pub type Arrived<T> = Option<(T, usize)>;

/// A library's or daemon's version. Classic peers read the bytes as signed numbers, and so do we.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Major version.
    pub major: i8,
    /// Minor version.
    pub minor: i8,
    /// Patch; 0 from libraries that do not send it.
    pub patch: i8,
}

impl Version {
    /// Our version.
    pub const OURS: Version = Version::new(4, 4, 0);
    /// The oldest version that is accepted.
    pub const OLDEST: Version = Version::new(3, 1, 0);

    /// The version of these three numbers.
    pub const fn new(major: i8, minor: i8, patch: i8) -> Version {
        Version { major, minor, patch }
    }

    /// Whether this is older, by major and minor number: what a version means is settled before the patch byte.
    pub fn is_older_than(self, other: Version) -> bool {
        self.release() < other.release()
    }

    /// Whether a library of this version sends and expects patch bytes.
    pub fn has_patch(self) -> bool {
        !self.is_older_than(Version::new(3, 15, 0))
    }

    /// Whether a library of this version expects a method list and sends a choice.
    pub fn has_authentication(self) -> bool {
        !self.is_older_than(Version::new(3, 16, 0))
    }

    fn release(self) -> i32 {
        i32::from(self.major) * 100 + i32::from(self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a connection was refused: the byte sent in place of the list or the answer, and the result of the connect call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub i8);

impl Refusal {
    /// The daemon has as many sessions as it takes.
    pub const QUOTA: Refusal = Refusal(-3);
    /// A name is missing; never sent by a daemon.
    pub const NO_NAME: Refusal = Refusal(-4);
    /// The name's length or characters are not allowed.
    pub const ILLEGAL_NAME: Refusal = Refusal(-5);
    /// The name is in use at this daemon.
    pub const NOT_UNIQUE: Refusal = Refusal(-6);
    /// One side is too old.
    pub const VERSION: Refusal = Refusal(-7);
    /// Authentication or access control failed.
    pub const AUTH: Refusal = Refusal(-9);

    /// The byte on the wire.
    pub const fn encode(self) -> u8 {
        self.0 as u8
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Refusal::QUOTA => "too many sessions",
            Refusal::NO_NAME => "no name",
            Refusal::ILLEGAL_NAME => "illegal private name",
            Refusal::NOT_UNIQUE => "private name in use",
            Refusal::VERSION => "version too old",
            Refusal::AUTH => "not authenticated",
            Refusal(code) => return write!(f, "refused with code {code}"),
        })
    }
}

/// The name that a client chose for itself: 1 to 10 bytes, each in `0x24..=0x7e`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrivateName {
    bytes: [u8; PrivateName::LIMIT],
    len: u8,
}

impl PrivateName {
    /// Most bytes of a private name.
    pub const LIMIT: usize = 10;

    /// The private name of these bytes, if they are one.
    pub fn new(name: &[u8]) -> Option<PrivateName> {
        let legal = !name.is_empty() && name.iter().all(|byte| (0x24..=0x7e).contains(byte));
        let mut bytes = [0; PrivateName::LIMIT];
        if !legal {
            return None;
        }
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(PrivateName { bytes, len: name.len() as u8 })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for PrivateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PrivateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// The first bytes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The client library's version.
    pub version: Version,
    /// Whether the client wants membership messages.
    pub membership: bool,
    /// 0 to 15; has no effect.
    pub priority: u8,
    /// The name it asks for; without one the daemon invents it.
    pub name: Option<PrivateName>,
}

impl ConnectRequest {
    /// The flag bit of a client that wants membership messages.
    const MEMBERSHIP: u8 = 0x01;

    /// Reads the request at the front of `bytes`, as far as it has come, or says how to refuse it.
    pub fn decode(bytes: &[u8]) -> Result<Arrived<ConnectRequest>, Refusal> {
        let &[major, minor, ref rest @ ..] = bytes else { return Ok(None) };
        let mut version = Version::new(major as i8, minor as i8, 0);
        // Before the rest has come: what a library that old sends next is not known.
        if version.is_older_than(Version::OLDEST) {
            return Err(Refusal::VERSION);
        }
        let mut rest = Reader::new(rest);
        if version.has_patch() {
            let Ok(patch) = rest.u8() else { return Ok(None) };
            version.patch = patch as i8;
        }
        let (Ok(flags), Ok(len)) = (rest.u8(), rest.u8()) else { return Ok(None) };
        // Before the name has come: a client must not make the daemon wait for 255 bytes.
        if usize::from(len) > PrivateName::LIMIT {
            return Err(Refusal::ILLEGAL_NAME);
        }
        let name = match rest.take(usize::from(len)) {
            Err(_) => return Ok(None),
            Ok([]) => None,
            Ok(name) => Some(PrivateName::new(name).ok_or(Refusal::ILLEGAL_NAME)?),
        };
        let membership = flags & ConnectRequest::MEMBERSHIP != 0;
        let request = ConnectRequest { version, membership, priority: flags >> 4, name };
        Ok(Some((request, bytes.len() - rest.remaining())))
    }

    /// Writes the request.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.name.as_ref().map_or(&[][..], PrivateName::as_bytes);
        let mut bytes = version_bytes(self.version, self.version);
        bytes.extend_from_slice(&[self.priority << 4 | u8::from(self.membership), name.len() as u8]);
        bytes.extend_from_slice(name);
        bytes
    }
}

fn version_bytes(version: Version, library: Version) -> Vec<u8> {
    let bytes = [version.major as u8, version.minor as u8, version.patch as u8];
    bytes[..if library.has_patch() { 3 } else { 2 }].to_vec()
}

/// The name of an authentication method, fewer than 30 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MethodName([u8; MethodName::SIZE]);

impl MethodName {
    /// Bytes of its field in a choice.
    pub const SIZE: usize = 30;
    /// Accepts everybody.
    pub const NULL: MethodName = MethodName::literal(b"NULL");
    /// Accepts by address.
    pub const IP: MethodName = MethodName::literal(b"IP");
    /// Accepts by a user's name and password.
    pub const PWORD: MethodName = MethodName::literal(b"PWORD");
    /// Accepts users of this machine.
    pub const UNIX: MethodName = MethodName::literal(b"UNIX");

    /// The method of this name, if it fits its field with a NUL behind it and has neither NUL nor blank inside.
    pub fn new(name: &[u8]) -> Option<MethodName> {
        let legal =
            !name.is_empty() && name.len() < MethodName::SIZE && !name.iter().any(|&byte| matches!(byte, 0 | b' '));
        legal.then(|| MethodName::literal(name))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    const fn literal(name: &[u8]) -> MethodName {
        let mut field = [0; MethodName::SIZE];
        let (front, _) = field.split_at_mut(name.len());
        front.copy_from_slice(name);
        MethodName(field)
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// The methods that a daemon allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodList(pub Vec<MethodName>);

/// The reason why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// The daemon refused.
    Refused(Refusal),
    /// The list says it is longer than [`MethodList::LIMIT`].
    TooLong,
}

impl MethodList {
    /// Most bytes of a list, its length byte not counted.
    pub const LIMIT: usize = 90;

    /// Reads the list at the front of `bytes`, as far as it has come. Names that no client can choose are left out.
    pub fn decode(bytes: &[u8]) -> Result<Arrived<MethodList>, ListError> {
        let Some((&len, rest)) = bytes.split_first() else { return Ok(None) };
        if (len as i8) < 0 {
            return Err(ListError::Refused(Refusal(len as i8)));
        }
        let len = usize::from(len);
        if len > MethodList::LIMIT {
            return Err(ListError::TooLong);
        }
        let list = rest.get(..len);
        Ok(list
            .map(|list| (MethodList(list.split(|&byte| byte == b' ').filter_map(MethodName::new).collect()), 1 + len)))
    }

    /// Writes the list, which must fit [`MethodList::LIMIT`].
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0];
        for method in &self.0 {
            bytes.extend_from_slice(method.as_bytes());
            bytes.push(b' ');
        }
        assert!(bytes.len() <= 1 + MethodList::LIMIT, "a daemon has a handful of short method names");
        bytes[0] = (bytes.len() - 1) as u8;
        bytes
    }
}

/// The methods that a client wants to run, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodChoice(pub [Option<MethodName>; MethodChoice::LIMIT]);

impl MethodChoice {
    /// Most methods in one choice.
    pub const LIMIT: usize = 3;
    /// Bytes on the wire.
    pub const SIZE: usize = MethodChoice::LIMIT * MethodName::SIZE;

    /// Reads a choice. A name that is no method name is an error, unlike an unused field.
    pub fn decode(bytes: &[u8; MethodChoice::SIZE]) -> Result<MethodChoice, DecodeError> {
        let mut methods = [None; MethodChoice::LIMIT];
        for (method, field) in methods.iter_mut().zip(bytes.chunks_exact(MethodName::SIZE)) {
            let name = field.split(|&byte| byte == 0).next().unwrap_or_default();
            if !name.is_empty() {
                *method = Some(MethodName::new(name).ok_or(DecodeError::BadValue("method name"))?);
            }
        }
        Ok(MethodChoice(methods))
    }

    /// Writes the choice.
    pub fn encode(&self) -> [u8; MethodChoice::SIZE] {
        let mut bytes = [0; MethodChoice::SIZE];
        for (field, method) in bytes.chunks_exact_mut(MethodName::SIZE).zip(&self.0) {
            if let Some(method) = method {
                field.copy_from_slice(&method.0);
            }
        }
        bytes
    }
}

/// The daemon's last word of the handshake, if it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The daemon's version.
    pub version: Version,
    /// The client's private group.
    pub private_group: Name,
}

/// The reason why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// Any first byte but 1: the result of the connect call.
    Refused(Refusal),
    /// The private group has more bytes than a name.
    NameTooLong,
}

impl Answer {
    /// The first byte of an answer.
    pub const ACCEPTED: u8 = 1;

    /// Reads the answer to a library of version `library` at the front of `bytes`, as far as it has come.
    pub fn decode(bytes: &[u8], library: Version) -> Result<Arrived<Answer>, AnswerError> {
        let Some(&code) = bytes.first() else { return Ok(None) };
        if code != Answer::ACCEPTED {
            return Err(AnswerError::Refused(Refusal(code as i8)));
        }
        let mut reader = Reader::new(&bytes[1..]);
        let (Ok(version), Ok(len)) = (read_version(&mut reader, library), reader.u8()) else { return Ok(None) };
        if usize::from(len) >= Name::SIZE {
            return Err(AnswerError::NameTooLong);
        }
        let Ok(name) = reader.take(usize::from(len)) else { return Ok(None) };
        let private_group = Name::new(name).map_err(|_| AnswerError::NameTooLong)?;
        Ok(Some((Answer { version, private_group }, bytes.len() - reader.remaining())))
    }

    /// Writes the answer for a library of version `library`.
    pub fn encode(&self, library: Version) -> Vec<u8> {
        let name = self.private_group.as_bytes();
        let mut bytes = vec![Answer::ACCEPTED];
        bytes.extend(version_bytes(self.version, library));
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
        bytes
    }
}

fn read_version(reader: &mut Reader<'_>, library: Version) -> Result<Version, DecodeError> {
    let (major, minor) = (reader.u8()? as i8, reader.u8()? as i8);
    let patch = if library.has_patch() { reader.u8()? as i8 } else { 0 };
    Ok(Version { major, minor, patch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn request(version: Version, name: &str) -> ConnectRequest {
        ConnectRequest { version, membership: true, priority: 0, name: PrivateName::new(name.as_bytes()) }
    }

    #[test]
    fn a_request_has_the_recorded_bytes() {
        let bytes = b"\x04\x04\x00\x01\x05alice";
        assert_eq!(request(Version::OURS, "alice").encode(), bytes);
        assert_eq!(ConnectRequest::decode(bytes), Ok(Some((request(Version::OURS, "alice"), bytes.len()))));
        let flags = ConnectRequest::decode(b"\x04\x04\x00\xff\x00").unwrap().unwrap().0;
        assert_eq!((flags.membership, flags.priority, flags.name), (true, 15, None));
    }

    #[test]
    fn libraries_before_3_15_send_no_patch_byte() {
        for (version, bytes) in [
            (Version::new(3, 1, 0), &b"\x03\x01\x01\x03v31"[..]),
            (Version::new(3, 14, 0), b"\x03\x0e\x01\x04v314"),
            (Version::new(3, 15, 9), b"\x03\x0f\x09\x01\x05v3159"),
        ] {
            let (decoded, consumed) = ConnectRequest::decode(bytes).unwrap().unwrap();
            assert_eq!((decoded.version, consumed), (version, bytes.len()));
            assert_eq!(decoded.encode(), bytes);
        }
    }

    #[test]
    fn version_bytes_are_signed() {
        for bytes in [&b"\x03\x00"[..], b"\xc8\x00", b"\x02\x63"] {
            assert_eq!(ConnectRequest::decode(bytes), Err(Refusal::VERSION));
        }
        assert_eq!(ConnectRequest::decode(b"\x7f\x7f"), Ok(None));
    }

    #[test]
    fn a_strange_patch_byte_changes_nothing_else() {
        let bytes = b"\x03\x0f\x9c\x00\x00";
        let (decoded, consumed) = ConnectRequest::decode(bytes).unwrap().unwrap();
        assert_eq!((decoded.version, consumed), (Version::new(3, 15, -100), bytes.len()));
        assert_eq!(decoded.encode(), bytes);
    }

    #[test]
    fn names_have_a_length_and_a_range_of_characters() {
        for bytes in [
            &b"\x04\x04\x00\x00\x0b"[..],
            b"\x04\x04\x00\x00\xff",
            b"\x04\x04\x00\x00\x03a#c",
            b"\x04\x04\x00\x00\x01\x7f",
        ] {
            assert_eq!(ConnectRequest::decode(bytes), Err(Refusal::ILLEGAL_NAME));
        }
        assert!(PrivateName::new(b"$0123456~").is_some());
        assert!(PrivateName::new(b"01234567890").is_none());
        assert!(PrivateName::new(b"").is_none());
    }

    #[test]
    fn every_prefix_of_a_handshake_message_waits_for_more() {
        let request = request(Version::OURS, "alice").encode();
        let list = MethodList(vec![MethodName::NULL, MethodName::IP]).encode();
        let private_group = Name::new(b"#alice#localhost").unwrap();
        let answer = Answer { version: Version::OURS, private_group }.encode(Version::OURS);
        assert!((0..request.len()).all(|end| ConnectRequest::decode(&request[..end]) == Ok(None)));
        assert!((0..list.len()).all(|end| MethodList::decode(&list[..end]) == Ok(None)));
        assert!((0..answer.len()).all(|end| Answer::decode(&answer[..end], Version::OURS) == Ok(None)));
    }

    #[test]
    fn lists_have_the_recorded_bytes() {
        for (methods, bytes) in [
            (vec![MethodName::NULL], &b"\x05NULL "[..]),
            (vec![MethodName::IP], b"\x03IP "),
            (vec![MethodName::NULL, MethodName::IP], b"\x08NULL IP "),
            (vec![], b"\x00"),
        ] {
            let list = MethodList(methods);
            assert_eq!(list.encode(), bytes);
            assert_eq!(MethodList::decode(bytes), Ok(Some((list, bytes.len()))));
        }
        assert_eq!(MethodList::decode(b"\x04NULL"), Ok(Some((MethodList(vec![MethodName::NULL]), 5))));
        assert_eq!(MethodList::decode(b"\xf7"), Err(ListError::Refused(Refusal::AUTH)));
        assert_eq!(MethodList::decode(b"\x5b"), Err(ListError::TooLong));
    }

    #[test]
    fn a_choice_is_three_padded_names() {
        let mut bytes = [0; MethodChoice::SIZE];
        bytes[..4].copy_from_slice(b"NULL");
        bytes[60..62].copy_from_slice(b"IP");
        let choice = MethodChoice([Some(MethodName::NULL), None, Some(MethodName::IP)]);
        assert_eq!(choice.encode(), bytes);
        assert_eq!(MethodChoice::decode(&bytes), Ok(choice));
        assert_eq!(MethodChoice::decode(&[b'x'; 90]), Err(DecodeError::BadValue("method name")));
    }

    #[test]
    fn an_answer_has_the_recorded_bytes() {
        let answer = Answer { version: Version::OURS, private_group: Name::new(b"#alice#localhost").unwrap() };
        let bytes = b"\x01\x04\x04\x00\x10#alice#localhost";
        assert_eq!(answer.encode(Version::OURS), bytes);
        assert_eq!(Answer::decode(bytes, Version::OURS), Ok(Some((answer, bytes.len()))));
        let old = Version::new(3, 14, 0);
        assert_eq!(answer.encode(old), b"\x01\x04\x04\x10#alice#localhost");
        assert_eq!(Answer::decode(&answer.encode(old), old), Ok(Some((answer, 20))));
    }

    fn random_version(rng: &mut Rng) -> Version {
        let version = Version::new(3 + rng.below(2) as i8, 1 + rng.below(20) as i8, rng.next_u64() as i8);
        Version { patch: if version.has_patch() { version.patch } else { 0 }, ..version }
    }

    fn random_text(rng: &mut Rng, first: u8, last: u8, most: u64) -> Vec<u8> {
        let width = u64::from(last - first) + 1;
        (0..1 + rng.below(most)).map(|_| first + rng.below(width) as u8).collect()
    }

    #[test]
    fn any_handshake_is_read_back_and_takes_its_own_bytes_alone() {
        let mut rng = Rng::new(6);
        for _ in 0..3000 {
            let version = random_version(&mut rng);
            let name = PrivateName::new(&random_text(&mut rng, 0x24, 0x7e, 10)).filter(|_| rng.chance(0.9));
            let (membership, priority) = (rng.chance(0.5), rng.below(16) as u8);
            let request = ConnectRequest { version, membership, priority, name };
            let bytes = request.encode();
            let whole = [&bytes[..], b"more"].concat();
            assert_eq!(ConnectRequest::decode(&whole), Ok(Some((request, bytes.len()))));

            let private_group = Name::new(&random_text(&mut rng, 0x24, 0x7e, 31)).unwrap();
            let answer = Answer {
                version: Version { patch: if version.has_patch() { 9 } else { 0 }, ..Version::OURS },
                private_group,
            };
            let bytes = answer.encode(version);
            let whole = [&bytes[..], b"more"].concat();
            assert_eq!(Answer::decode(&whole, version), Ok(Some((answer, bytes.len()))));
        }
    }

    #[test]
    fn any_methods_are_read_back_from_lists_and_choices() {
        let mut rng = Rng::new(7);
        for _ in 0..3000 {
            let method = |rng: &mut Rng| MethodName::new(&random_text(rng, b'!', 0xff, 29)).unwrap();
            let list = MethodList((0..rng.below(4)).map(|_| method(&mut rng)).collect());
            let bytes = list.encode();
            let whole = [&bytes[..], b"more"].concat();
            assert_eq!(MethodList::decode(&whole), Ok(Some((list, bytes.len()))));
            let choice = MethodChoice(
                [None; MethodChoice::LIMIT].map(|_: Option<MethodName>| rng.chance(0.7).then(|| method(&mut rng))),
            );
            assert_eq!(MethodChoice::decode(&choice.encode()), Ok(choice));
        }
    }

    #[test]
    fn anything_but_one_is_no_answer() {
        for code in [0, 2, -9] {
            assert_eq!(Answer::decode(&[code as u8], Version::OURS), Err(AnswerError::Refused(Refusal(code))));
        }
        assert_eq!(Answer::decode(b"\x01\x04\x04\x00\x20", Version::OURS), Err(AnswerError::NameTooLong));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut rng = Rng::new(5);
        for _ in 0..10_000 {
            let mut bytes = [0; MethodChoice::SIZE];
            bytes.fill_with(|| if rng.chance(0.5) { rng.below(6) as u8 } else { rng.next_u64() as u8 });
            let front = &bytes[..rng.below(91) as usize];
            if let Ok(Some((request, consumed))) = ConnectRequest::decode(front) {
                assert_eq!(ConnectRequest::decode(&request.encode()), Ok(Some((request, consumed))));
            }
            let _ = MethodList::decode(front);
            let _ = Answer::decode(front, Version::OURS);
            let _ = Answer::decode(front, Version::OLDEST);
            let _ = MethodChoice::decode(&bytes);
        }
    }
}
