//! Makes foreign text safe for a terminal and for a log: characters that move the cursor, end the line or change the reading direction
//! are shown as escapes.

use std::borrow::Cow;

/// The text with its control characters escaped, as in `\n` and `\u{1b}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_control) { Cow::Owned(text.chars().flat_map(shown).collect()) } else { Cow::Borrowed(text) }
}

fn shown(character: char) -> impl Iterator<Item = char> {
    let escaped = is_control(character).then(|| character.escape_default());
    let itself = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(itself)
}

/// C0 and C1 controls, line separators, and marks that change the reading direction.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_other_text_stays() {
        assert_eq!(plain("grün # x=1"), "grün # x=1");
        assert_eq!(plain("\x1b[2Ja\nb\r\u{9b}1m\u{202e}c\u{7f}"), r"\u{1b}[2Ja\nb\r\u{9b}1m\u{202e}c\u{7f}");
    }
}
