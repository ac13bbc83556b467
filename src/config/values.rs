//! Reads one token as a value, a name or a flag. If it cannot be one, the error says what is wanted.
//!
//! A text may be more than for the classic daemon: a number or a reserved word may be a value. A keyword may not, because it
//! shows that the value itself was forgotten.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::address::{self, Endpoint, Reading};
use super::error::{Mistake, shown};
use super::keywords;
use super::lexer::{ConfigToken, Kind};
use super::parser::Parsed;
use super::syntax::Spanned;
use crate::wire::NetworkId;

/// Decimal digits of the largest number.
const DIGIT_LIMIT: usize = 6;
/// Decimal digits of the largest size, without its unit.
const SIZE_DIGIT_LIMIT: usize = 9;

impl ConfigToken {
    /// The text of a bare word.
    pub(super) fn word(&self) -> Option<&str> {
        if self.kind == Kind::Word { Some(&self.text) } else { None }
    }
}

/// The mistake of a token that is not the wanted one.
pub(super) fn unexpected(token: &ConfigToken, wanted: &str) -> Mistake {
    let found = match token.kind {
        Kind::End => "the end of the file".to_string(),
        Kind::Open | Kind::Close | Kind::Equals | Kind::Separator => token.text.clone(),
        Kind::Word => shown(&token.text),
        Kind::Quoted => format!("the quoted text {}", shown(&token.text)),
    };
    Mistake::new(token.at, format!("expected {wanted}, found {found}"))
}

/// A number.
pub(super) fn number(token: &ConfigToken) -> Parsed<Spanned<u32>> {
    let number = token.word().and_then(|word| address::digits(word, DIGIT_LIMIT));
    number.map(|value| Spanned { value, at: token.at }).ok_or_else(|| unexpected(token, "a number of 1 to 6 digits"))
}

/// A number of bytes, of KiB with the suffix K, of MiB with M, or of GiB with G.
pub(super) fn size(token: &ConfigToken) -> Parsed<Spanned<usize>> {
    let sized = token.word().and_then(|word| {
        let units = [("K", 10), ("k", 10), ("M", 20), ("m", 20), ("G", 30), ("g", 30)];
        let suffixed = units.iter().find_map(|&(suffix, shift)| Some((word.strip_suffix(suffix)?, shift)));
        let (number, shift) = suffixed.unwrap_or((word, 0));
        (address::digits(number, SIZE_DIGIT_LIMIT)? as usize).checked_mul(1 << shift)
    });
    let wanted = "a number of bytes, or of KiB, MiB or GiB as in 512K, 16M or 2G";
    sized.map(|value| Spanned { value, at: token.at }).ok_or_else(|| unexpected(token, wanted))
}

/// The value, if it lies in the range of its keyword.
pub(super) fn within<T>(name: &str, range: &RangeInclusive<T>, given: Spanned<T>) -> Parsed<Spanned<T>>
where
    T: PartialOrd + fmt::Display,
{
    if range.contains(&given.value) {
        return Ok(given);
    }
    let message = format!("{name} must lie between {} and {}, here it is {}", range.start(), range.end(), given.value);
    Err(Mistake::new(given.at, message))
}

/// The number of networks in `active K`.
pub(super) fn copies(token: &ConfigToken) -> Parsed<u8> {
    let value = number(token)?.value;
    let copies = u8::try_from(value).ok().filter(|&copies| (1..=NetworkId::LIMIT).contains(&usize::from(copies)));
    copies.ok_or_else(|| unexpected(token, "a number of networks from 1 to 8"))
}

/// The priority of a network.
pub(super) fn priority(token: &ConfigToken) -> Parsed<Spanned<u8>> {
    let value = number(token).ok().and_then(|number| u8::try_from(number.value).ok());
    let wanted = "a priority from 0 to 255, the highest for the network that is used first";
    value.map(|value| Spanned { value, at: token.at }).ok_or_else(|| unexpected(token, wanted))
}

/// A text, quoted or a bare word that is no keyword.
pub(super) fn text(token: &ConfigToken) -> Parsed<Spanned<String>> {
    let is_text = match token.kind {
        Kind::Quoted => true,
        Kind::Word => keywords::keyword(&token.text).is_none(),
        Kind::Open | Kind::Close | Kind::Equals | Kind::Separator | Kind::End => false,
    };
    if is_text {
        Ok(Spanned { value: token.text.clone(), at: token.at })
    } else {
        Err(unexpected(token, "a text; quotes let it be any text"))
    }
}

/// true, yes, false or no, in any case.
pub(super) fn boolean(token: &ConfigToken) -> Parsed<Spanned<bool>> {
    let value = match token.word().map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes") => true,
        Some("false" | "no") => false,
        _ => return Err(unexpected(token, "true or false")),
    };
    Ok(Spanned { value, at: token.at })
}

/// The index of the token among these words. AUTO, ON and OFF may have upper or lower case.
pub(super) fn choice(token: &ConfigToken, words: &[&str]) -> Parsed<usize> {
    let same = |known: &str, word: &str| match keywords::TRISTATES.contains(&known) {
        true => known.eq_ignore_ascii_case(word),
        false => known == word,
    };
    let index = token.word().and_then(|word| words.iter().position(|known| same(known, word)));
    index.ok_or_else(|| unexpected(token, &format!("one of {}", words.join(", "))))
}

/// Checks one flag of `DebugFlags`. `None` stands for a token that is no bare word.
pub(super) fn flag(word: Option<&str>) -> Result<&str, String> {
    let known = || keywords::FLAGS.join(", ");
    let Some(word) = word else {
        return Err(format!("expected a flag or }}; the flags are {}", known()));
    };
    if keywords::FLAGS.contains(&word) {
        return Ok(word);
    }
    Err(match keywords::nearest(word, keywords::FLAGS.into_iter()) {
        Some(flag) => format!("{} is no flag: did you mean {flag}?", shown(word)),
        None => format!("{} is no flag; the flags are {}", shown(word), known()),
    })
}

/// `unicast` or `unicast:PORT` in place of a network address; `None` if the token is something else.
pub(super) fn unicast(token: &ConfigToken) -> Option<Parsed<Option<u32>>> {
    let rest = token.word()?.strip_prefix("unicast")?;
    let port = rest.strip_prefix(':').map(|port| address::digits(port, 5));
    match (rest.is_empty(), port) {
        (true, _) => Some(Ok(None)),
        (false, Some(Some(port))) => Some(Ok(Some(port))),
        _ => Some(Err(unexpected(token, "unicast or unicast:PORT"))),
    }
}

/// The name of a daemon, if the grammar allows it.
pub(super) fn daemon_name(token: &ConfigToken) -> Parsed<String> {
    let name = shown(&token.text);
    let message = match token.kind {
        Kind::Quoted => return Ok(token.text.clone()),
        Kind::Word if keywords::keyword(&token.text).is_some() => {
            format!("{} cannot stand inside a segment: write }} before it", token.text)
        }
        Kind::Word if keywords::is_reserved(&token.text) => {
            format!("{name} has a meaning of its own: to name a daemon so, put it in quotes")
        }
        Kind::Word if token.text.contains(',') => {
            format!("{name}: blanks and ends of lines separate the words of a segment: leave out the comma")
        }
        Kind::Word if address::digits(&token.text, DIGIT_LIMIT).is_some() => {
            format!("{name} is a number: to name a daemon so, put it in quotes")
        }
        Kind::Word => return Ok(token.text.clone()),
        Kind::Open | Kind::Close | Kind::Equals | Kind::Separator | Kind::End => {
            return Err(unexpected(token, "the name of a daemon"));
        }
    };
    Err(Mistake::new(token.at, message))
}

/// The address and port of a service. An address without a port gets this one.
pub(super) fn place(name: &str, token: &ConfigToken, port: u16) -> Parsed<Spanned<SocketAddr>> {
    let wanted = || Mistake::new(token.at, format!("{name} takes an address, as in 127.0.0.1:{port}"));
    let Some(Reading::Address(endpoint)) = token.word().map(address::read) else { return Err(wanted()) };
    let port = endpoint.port.unwrap_or(port.into());
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(Spanned { value: SocketAddr::new(endpoint.ip, port), at: token.at }),
        _ => Err(Mistake::new(token.at, format!("{name}: a port is 1 to 65535"))),
    }
}

/// The address at the place of a daemon's name, if the token is an address.
pub(super) fn address(token: &ConfigToken) -> Option<Endpoint> {
    match token.word().map(address::read) {
        Some(Reading::Address(endpoint)) => Some(endpoint),
        _ => None,
    }
}
