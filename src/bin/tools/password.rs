//! Makes a line of the password file.

use std::io::{self, BufRead, IsTerminal};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher};

use spread::session::Passwords;

/// The line for a user. The program asks for the password at the terminal, or reads it from standard input.
pub fn line(user: &str) -> Result<String, String> {
    check_name(user)?;
    make(user, &read()?)
}

fn check_name(user: &str) -> Result<(), String> {
    let is_legal = !user.is_empty() && !user.starts_with('#') && !user.contains([':', '\0', '\n', '\r']);
    match user.len() {
        _ if !is_legal || user.trim() != user => Err(format!("{user:?} cannot be a user's name in a password file")),
        0..=Passwords::USER_SIZE => Ok(()),
        _ => Err(format!("a user's name has at most {} bytes", Passwords::USER_SIZE)),
    }
}

fn read() -> Result<String, String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        return Ok(line.trim_end_matches(['\n', '\r']).to_string());
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map_err(|error| format!("the terminal: {error}"));
    let password = ask("Password: ")?;
    if password == ask("Again: ")? { Ok(password) } else { Err("the passwords differ".to_string()) }
}

fn make(user: &str, password: &str) -> Result<String, String> {
    if password.is_empty() || password.contains('\0') {
        return Err("the password must not be empty".to_string());
    }
    if password.len() > Passwords::PASSWORD_SIZE {
        let size = Passwords::PASSWORD_SIZE;
        return Err(format!("the method PWORD carries only {size} bytes of a password: choose a shorter one"));
    }
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    Ok(format!("{user}:{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read_and_is_salted() {
        let lines = ["secret-o", "secret-o"].map(|password| make("alice", password).unwrap());
        assert_ne!(lines[0], lines[1]);
        let file = Passwords::parse(&lines[0]).unwrap();
        for (password, is_right) in [(b"secret-o", true), (b"secret-x", false)] {
            let mut credentials = [0; Passwords::CREDENTIALS_SIZE];
            credentials[..5].copy_from_slice(b"alice");
            credentials[Passwords::USER_SIZE..].copy_from_slice(password);
            assert_eq!(file.check(credentials).is_right(), is_right);
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for user in ["", "a:b", "#a", " a", "a-name-of-more-than-thirty-two-characters"] {
            assert!(check_name(user).is_err(), "{user:?}");
        }
        for password in ["", "nine byte"] {
            assert!(make("alice", password).is_err(), "{password:?}");
        }
    }
}
