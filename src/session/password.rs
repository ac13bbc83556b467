//! The password file: the users of the method PWORD, one on each line as `user:hash`.
//!
//! A hash is an Argon2 string (`$argon2id$v=19$…`), or the crypt(3) string of classic files. Argon2 is slow by design, so a session never
//! compares a password itself: it returns a [`Check`], and its owner compares on another thread.

use std::fmt;
use std::str;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordVerifier};

use super::crypt::{CRYPT_SIZE, crypt};

/// The most memory of one comparison, in KiB. A line that needs more is refused when the file is read.
const MEMORY_LIMIT: u32 = 256 << 10;
/// The most work of one comparison: rounds times KiB, which takes some seconds.
const WORK_LIMIT: u64 = 16 << 20;

/// The users that may connect by the method PWORD; by default none.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    users: Arc<[User]>,
}

#[derive(Debug, PartialEq, Eq)]
struct User {
    name: String,
    secret: Secret,
}

/// The stored form of a password.
#[derive(Debug, PartialEq, Eq)]
enum Secret {
    Crypt([u8; CRYPT_SIZE]),
    Argon2(String),
}

/// The number of a line that is not a user, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordError(pub usize);

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = "expected a user's name, a colon, and an Argon2 string or 13 characters of crypt(3)";
        write!(f, "line {}: {expected}; spread --make-password USER prints such a line", self.0)
    }
}

impl std::error::Error for PasswordError {}

/// A user's name and password that a client sent, to be compared with the file.
#[derive(Clone)]
pub struct Check {
    credentials: [u8; Passwords::CREDENTIALS_SIZE],
    users: Arc<[User]>,
}

impl PartialEq for Check {
    fn eq(&self, other: &Check) -> bool {
        self.credentials == other.credentials && self.users == other.users
    }
}

impl Eq for Check {}

impl fmt::Debug for Check {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.user())
    }
}

impl Passwords {
    /// Bytes of a user's name that a client sends, NUL padded.
    pub const USER_SIZE: usize = 32;
    /// Bytes of a password that a client sends behind it, NUL padded.
    pub const PASSWORD_SIZE: usize = 8;
    /// Bytes that a client sends.
    pub const CREDENTIALS_SIZE: usize = Passwords::USER_SIZE + Passwords::PASSWORD_SIZE;

    /// The users in a file's text. A line that is not a user is an error, because skipping it would lock a user out silently.
    pub fn parse(text: &str) -> Result<Passwords, PasswordError> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let users = lines.map(|(number, line)| User::parse(line).ok_or(PasswordError(number)));
        Ok(Passwords { users: users.collect::<Result<Vec<_>, _>>()?.into() })
    }

    /// Makes a check of what a client sent.
    pub fn check(&self, credentials: [u8; Passwords::CREDENTIALS_SIZE]) -> Check {
        Check { credentials, users: Arc::clone(&self.users) }
    }
}

impl Check {
    /// Whether the name and password are those of a user. It takes long, and as long for a wrong name as for a wrong password.
    pub fn is_right(&self) -> bool {
        let (name, password) = self.credentials.split_at(Passwords::USER_SIZE);
        let (name, password) = (before_nul(name), before_nul(password));
        let user = self.users.iter().find(|user| user.name.as_bytes() == name);
        // An unknown user is compared with a known one, so that the time does not reveal which users exist.
        let compared = user.or(self.users.first()).is_some_and(|user| user.secret.is_of(password));
        compared && user.is_some()
    }

    /// The user's name as the file has it.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(before_nul(&self.credentials[..Passwords::USER_SIZE])).into_owned()
    }

    /// The user's name as it can be shown.
    pub fn user(&self) -> String {
        self.name().escape_debug().to_string()
    }
}

fn before_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

impl User {
    fn parse(line: &str) -> Option<User> {
        let (name, secret) = line.split_once(':')?;
        let secret = Secret::parse(secret.trim())?;
        (!name.is_empty() && name.len() <= Passwords::USER_SIZE).then(|| User { name: name.to_string(), secret })
    }
}

impl Secret {
    fn parse(text: &str) -> Option<Secret> {
        if text.starts_with('$') {
            let hash = PasswordHash::new(text).ok()?;
            let params = Params::try_from(&hash).ok()?;
            let work = u64::from(params.t_cost()) * u64::from(params.m_cost());
            let is_argon2 = hash.algorithm.as_str().starts_with("argon2") && hash.hash.is_some();
            // A line of the file must not make each login take minutes or gigabytes.
            let is_bounded = params.m_cost() <= MEMORY_LIMIT && work <= WORK_LIMIT;
            return (is_argon2 && is_bounded).then(|| Secret::Argon2(text.to_string()));
        }
        let text: [u8; CRYPT_SIZE] = text.as_bytes().try_into().ok()?;
        // Only a valid salt can be a hash of crypt.
        crypt(b"", &text)?;
        Some(Secret::Crypt(text))
    }

    fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Secret::Crypt(text) => crypt(password, text) == Some(*text),
            Secret::Argon2(text) => Argon2::default().verify_password(password, text.as_str()).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "secret-o" with little memory and one round.
    const ALICE: &str = "alice:$argon2id$v=19$m=32,t=1,p=1$";

    fn check(file: &Passwords, user: &str, password: &str) -> Check {
        let mut credentials = [0; Passwords::CREDENTIALS_SIZE];
        credentials[..user.len()].copy_from_slice(user.as_bytes());
        credentials[32..32 + password.len()].copy_from_slice(password.as_bytes());
        file.check(credentials)
    }

    /// A line as a tool of ours makes it, with little work.
    fn argon2_line(user: &str, password: &str) -> String {
        use argon2::{Algorithm, PasswordHasher, Version};
        let params = Params::new(32, 1, 1, None).unwrap();
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: PasswordHash = hasher.hash_password_with_salt(password.as_bytes(), b"some salt of ours").unwrap();
        format!("{user}:{hash}")
    }

    #[test]
    fn a_user_is_known_by_name_and_password() {
        let argon2 = argon2_line("dora", "argonaut");
        assert!(argon2.starts_with(&ALICE.replace("alice", "dora")), "{argon2}");
        let file = format!("# users\n\n alice:abWAcrLcu.e2o\r\nbob:./xZjzHv5vzVE\n{argon2}\n");
        let file = Passwords::parse(&file).unwrap();
        for (user, password, accepted) in [
            ("alice", "secret-o", true),
            ("bob", "password", true),
            ("dora", "argonaut", true),
            ("dora", "argonau", false),
            ("dora", "secret-o", false),
            ("alice", "password", false),
            ("alice", "secret-", false),
            ("", "", false),
            ("carol", "secret-o", false),
            ("alice:abWAcrLcu.e2o", "", false),
        ] {
            assert_eq!(check(&file, user, password).is_right(), accepted, "{user}");
        }
        assert!(!check(&Passwords::default(), "alice", "secret-o").is_right());
    }

    #[test]
    fn a_line_that_is_no_user_is_reported_by_its_number() {
        let costly = argon2_line("alice", "x").replace("m=32", "m=4194304");
        for (text, line) in [
            ("alice", 1),
            ("# x\nalice:short", 2),
            ("alice:abWAcrLcu.e2o\n:abWAcrLcu.e2o", 2),
            ("alice:!bWAcrLcu.e2o", 1),
            ("a-user-of-more-than-thirty-two-characters:abWAcrLcu.e2o", 1),
            ("alice:$argon2id$v=19$m=32,t=1,p=1$c29tZXNhbHQ", 1),
            ("alice:$5$rounds=5000$c29tZXNhbHQ$YWJjZGVmZ2hpamtsbW5vcA", 1),
            (&costly, 1),
        ] {
            assert_eq!(Passwords::parse(text).unwrap_err(), PasswordError(line), "{text:?}");
        }
    }

    #[test]
    fn a_check_does_not_show_the_password() {
        let shown = format!("{:?}", check(&Passwords::default(), "al\u{1b}ice", "secret-o"));
        assert_eq!(shown, "Check(al\\u{1b}ice)");
    }
}
