//! The users of the method PWORD and their passwords, as a file keeps them: `user:` and the crypt(3) string of the password, a line
//! each; blank lines and lines that begin with `#` are skipped. A line that is no user is reported by its number: to read on as if it
//! were not there would leave somebody out without a word.

use std::fmt;
use std::sync::Arc;

use super::crypt::{CRYPT_SIZE, crypt};

/// Who may connect by the method PWORD; by default nobody.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    users: Arc<[User]>,
}

#[derive(Debug)]
struct User {
    name: String,
    password: [u8; CRYPT_SIZE],
}

/// The line, counted from 1, that is no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordError(pub usize);

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: expected a user's name, a colon, and 13 characters of crypt(3)", self.0)
    }
}

impl std::error::Error for PasswordError {}

impl Passwords {
    /// Bytes of a user's name that a client sends, NUL padded.
    pub const USER_SIZE: usize = 32;
    /// Bytes of a password that a client sends behind it, NUL padded.
    pub const PASSWORD_SIZE: usize = 8;
    /// Bytes that a client sends.
    pub const CREDENTIALS_SIZE: usize = Passwords::USER_SIZE + Passwords::PASSWORD_SIZE;

    /// The users in a file's text.
    pub fn parse(text: &str) -> Result<Passwords, PasswordError> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let users = lines.map(|(number, line)| User::parse(line).ok_or(PasswordError(number)));
        Ok(Passwords { users: users.collect::<Result<Vec<_>, _>>()?.into() })
    }

    /// Whether a client that sends this is one of the users.
    pub fn accept(&self, credentials: &[u8; Passwords::CREDENTIALS_SIZE]) -> bool {
        let (name, password) = credentials.split_at(Passwords::USER_SIZE);
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let user = self.users.iter().find(|user| user.name.as_bytes() == name);
        user.is_some_and(|user| crypt(password, &user.password) == Some(user.password))
    }
}

impl User {
    fn parse(line: &str) -> Option<User> {
        let (name, password) = line.split_once(':')?;
        let password = *password.trim().as_bytes().first_chunk().filter(|_| password.trim().len() == CRYPT_SIZE)?;
        crypt(b"", &password)?;
        (!name.is_empty() && name.len() <= Passwords::USER_SIZE).then(|| User { name: name.to_string(), password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(file: &Passwords, user: &str, password: &str) -> bool {
        let mut credentials = [0; Passwords::CREDENTIALS_SIZE];
        credentials[..user.len()].copy_from_slice(user.as_bytes());
        credentials[32..32 + password.len()].copy_from_slice(password.as_bytes());
        file.accept(&credentials)
    }

    #[test]
    fn a_user_is_known_by_name_and_password() {
        let file = Passwords::parse("# users\n\n alice:abWAcrLcu.e2o\r\nbob:./xZjzHv5vzVE\n").unwrap();
        for (user, password, accepted) in [
            ("alice", "secret-o", true),
            ("bob", "password", true),
            ("alice", "password", false),
            ("alice", "secret-", false),
            ("", "", false),
            ("carol", "secret-o", false),
            ("alice:abWAcrLcu.e2o", "", false),
        ] {
            assert_eq!(accepts(&file, user, password), accepted, "{user}");
        }
        assert!(!accepts(&Passwords::default(), "alice", "secret-o"));
    }

    #[test]
    fn a_line_that_is_no_user_is_reported_by_its_number() {
        for (text, line) in [
            ("alice", 1),
            ("# x\nalice:short", 2),
            ("alice:abWAcrLcu.e2o\n:abWAcrLcu.e2o", 2),
            ("alice:!bWAcrLcu.e2o", 1),
            ("a-user-of-more-than-thirty-two-characters:abWAcrLcu.e2o", 1),
        ] {
            assert_eq!(Passwords::parse(text).unwrap_err(), PasswordError(line), "{text:?}");
        }
    }
}
