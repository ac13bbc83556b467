//! Where a daemon is found: the classic daemon names, from text to an address.
//!
//! ```text
//! port         the local daemon: the unix socket /tmp/<port>, or TCP to 127.0.0.1 where there are none
//! port@host    TCP to a host name or an address
//! ```
//!
//! The classic parser is lenient: it takes blanks, signs, and numbers modulo 65536. Existing programs rely on that, so
//! this parser does the same.

use super::ConnectError;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This machine's daemon: its unix socket, or TCP on loopback where there are none.
    Local(u16),
    /// TCP to a host, by name or number.
    Remote(String, u16),
}

impl Address {
    /// The name that is used in place of an empty one.
    const DEFAULT: &str = "4803";
    /// Most bytes of a daemon name: a host name of 64, a port and the `@`.
    pub const LIMIT: usize = 70;

    /// Reads a daemon name.
    pub fn parse(name: &str) -> Result<Address, ConnectError> {
        let name = if name.is_empty() { Address::DEFAULT } else { name };
        if name.len() > Address::LIMIT {
            return Err(ConnectError::IllegalAddress);
        }
        let (port, rest) = parse_port(name.trim_start_matches(is_blank)).ok_or(ConnectError::IllegalAddress)?;
        match rest.split(is_blank).find(|run| !run.is_empty()) {
            None => Ok(Address::Local(port)),
            Some(run) => match run.strip_prefix('@') {
                None | Some("") => Err(ConnectError::IllegalAddress),
                Some(host) => Ok(Address::Remote(host.to_owned(), port)),
            },
        }
    }
}

/// A decimal number modulo 65536, possibly signed, and what follows it.
fn parse_port(text: &str) -> Option<(u16, &str)> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &digits[..digits.len() - rest.len()];
    if number.is_empty() {
        return None;
    }
    let port = number.bytes().fold(0u16, |port, digit| port.wrapping_mul(10).wrapping_add(u16::from(digit - b'0')));
    Some((if text.starts_with('-') { port.wrapping_neg() } else { port }, rest))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(host: &str, port: u16) -> Result<Address, ConnectError> {
        Ok(Address::Remote(host.to_owned(), port))
    }

    #[test]
    fn a_port_alone_is_the_local_daemon() {
        for (name, port) in [("", 4803), ("4803", 4803), (" 4803", 4803), ("4803 ", 4803), ("\t+7\r\n", 7)] {
            assert_eq!(Address::parse(name), Ok(Address::Local(port)), "{name:?}");
        }
    }

    #[test]
    fn a_port_and_a_host_are_tcp() {
        assert_eq!(Address::parse("4803@host"), remote("host", 4803));
        assert_eq!(Address::parse("4803 @host"), remote("host", 4803));
        assert_eq!(Address::parse("4803@10.0.0.1 ignored"), remote("10.0.0.1", 4803));
        assert_eq!(Address::parse("4803@::1"), remote("::1", 4803));
        assert_eq!(Address::parse("4803@host:5"), remote("host:5", 4803));
    }

    #[test]
    fn numbers_wrap_at_65536_and_may_have_a_sign() {
        for (name, port) in [("-1@h", 65535), ("70000@h", 4464), ("+4803@h", 4803), ("-65535@h", 1)] {
            assert_eq!(Address::parse(name), remote("h", port));
        }
        assert_eq!(
            Address::parse("99999999999999999999@h"),
            remote("h", (99_999_999_999_999_999_999_u128 % 65536) as u16)
        );
    }

    #[test]
    fn anything_else_is_no_address() {
        for name in ["@host", "host", "4803host", "4803@", "4803@ host", "4803 host", "-", "- 1", " ", "\u{a0}4803"] {
            assert_eq!(Address::parse(name), Err(ConnectError::IllegalAddress), "{name:?}");
        }
        assert!(Address::parse(&format!("4803@{}", "h".repeat(65))).is_ok());
        assert_eq!(Address::parse(&format!("4803@{}", "h".repeat(66))), Err(ConnectError::IllegalAddress));
    }
}
