//! Cuts the bytes of a configuration file into tokens, each with its place.
//!
//! The rules are the classic ones. Blanks must separate all words, except that `{` and `}` need none. `#` outside quotes begins a
//! comment. `;` ends a word, because 5.x allows it between daemons. A quoted string may span lines. If a word can be read in two
//! ways, the longer way is taken, so `"a"b` is one plain word. A quote that never ends is an ordinary character. Whether a word
//! is a number, an address or a keyword depends on its place, so the parser decides that. All bytes give tokens: there are no
//! lexical errors.

use super::error::{Findings, Position};

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{`
    Open,
    /// `}`
    Close,
    /// The word `=`.
    Equals,
    /// `;`, alone or at the end of a word.
    Separator,
    /// A run of characters without blanks, `#` and braces.
    Word,
    /// The text between quotes, which may be empty.
    Quoted,
    /// The end of the file.
    End,
}

/// A piece of the file. Bytes that are not UTF-8 become replacement characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConfigToken {
    pub kind: Kind,
    pub text: String,
    pub at: Position,
}

/// The tokens of a file. Only the last one is [`Kind::End`].
pub(super) fn tokens(bytes: &[u8], findings: &mut Findings) -> Vec<ConfigToken> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lexer = Lexer { rest: bytes, at: Position::START, findings };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token();
        let kind = token.kind;
        tokens.push(token);
        if kind == Kind::End {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    rest: &'a [u8],
    at: Position,
    findings: &'a mut Findings,
}

impl Lexer<'_> {
    fn token(&mut self) -> ConfigToken {
        self.skip_blanks_and_comments();
        let at = self.at;
        let (kind, text) = match self.rest.first() {
            None => (Kind::End, &[][..]),
            Some(b'{') => (Kind::Open, self.take(1)),
            Some(b'}') => (Kind::Close, self.take(1)),
            Some(&quote @ (b'"' | b'\'')) => self.quoted_or_word(quote),
            Some(_) => self.word(),
        };
        ConfigToken { kind, text: String::from_utf8_lossy(text).into_owned(), at }
    }

    fn skip_blanks_and_comments(&mut self) {
        while let Some(&byte) = self.rest.first() {
            match byte {
                b'#' => self.take(length_until(self.rest, |byte| byte == b'\n')),
                _ if is_blank(byte) => self.take(1),
                _ => return,
            };
        }
    }
}

impl<'a> Lexer<'a> {
    fn quoted_or_word(&mut self, quote: u8) -> (Kind, &'a [u8]) {
        let Some(inner) = self.rest[1..].iter().position(|&byte| byte == quote) else {
            self.findings.warning(self.at, "this quote has no end, so it counts as part of the word");
            return self.word();
        };
        if word_length(self.rest) > inner + 2 {
            return self.word();
        }
        let quoted = self.take(inner + 2);
        (Kind::Quoted, &quoted[1..=inner])
    }

    fn word(&mut self) -> (Kind, &'a [u8]) {
        let length = word_length(self.rest);
        let separated = length > 1 && self.rest[length - 1] == b';';
        let text = self.take(length - usize::from(separated));
        let kind = match text {
            b"=" => Kind::Equals,
            b";" => Kind::Separator,
            _ => Kind::Word,
        };
        (kind, text)
    }

    /// Takes the next `n` bytes and moves the position over them.
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        for &byte in taken {
            match byte {
                b'\n' => self.at = Position { line: self.at.line + 1, column: 1 },
                0x80..=0xbf => {} // inside a UTF-8 character
                _ => self.at.column += 1,
            }
        }
        taken
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn word_length(bytes: &[u8]) -> usize {
    length_until(bytes, |byte| is_blank(byte) || matches!(byte, b'#' | b'{' | b'}'))
}

fn length_until(bytes: &[u8], stop: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| stop(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Vec<(Kind, String, u32, u32)> {
        let tokens = tokens(text.as_bytes(), &mut Findings::default());
        tokens.into_iter().map(|t| (t.kind, t.text, t.at.line, t.at.column)).collect()
    }

    fn texts(text: &str) -> Vec<String> {
        lex(text).into_iter().filter(|token| token.0 != Kind::End).map(|token| token.1).collect()
    }

    #[test]
    fn every_token_knows_its_line_and_column() {
        let expected = [
            (Kind::Word, "Wörd", 1, 1),
            (Kind::Open, "{", 1, 5),
            (Kind::Word, "x", 2, 2),
            (Kind::Equals, "=", 2, 4),
            (Kind::Quoted, "a\nb", 2, 6),
            (Kind::Close, "}", 3, 3),
            (Kind::End, "", 4, 1),
        ];
        assert_eq!(
            lex("Wörd{ # \"c\n\tx = 'a\nb'}\r\n"),
            expected.map(|(kind, text, l, c)| (kind, text.to_string(), l, c))
        );
    }

    #[test]
    fn the_longest_reading_wins() {
        assert_eq!(texts("160# c"), ["160"]);
        assert_eq!(texts(r#""ab" "ab"c "a b"c"#), ["ab", r#""ab"c"#, "a b", "c"]);
        assert_eq!(texts("a=b = c"), ["a=b", "=", "c"]);
        assert_eq!(texts(r#""" x"#), ["", "x"]);
    }

    #[test]
    fn a_quote_without_an_end_is_part_of_its_word() {
        let mut findings = Findings::default();
        let tokens = tokens(b"= \"abc\n", &mut findings);
        assert_eq!((tokens[1].kind, tokens[1].text.as_str()), (Kind::Word, "\"abc"));
        assert_eq!(findings.into_diagnostics("f").1.len(), 1);
    }

    #[test]
    fn a_semicolon_ends_a_word() {
        assert_eq!(texts("a 10.0.0.1; b;c ; d;"), ["a", "10.0.0.1", ";", "b;c", ";", "d", ";"]);
        assert_eq!(lex("= a;")[2].0, Kind::Separator);
    }

    #[test]
    fn a_byte_order_mark_is_no_word() {
        assert_eq!(texts("\u{feff}a"), ["a"]);
    }
}
