//! A daemon's records for a person.
//!
//! All records of a kind become one table with a column for each key; a single record becomes a list. New records and keys need no
//! change here. If a table is wider than the terminal, the other columns follow in a second table below, and long texts are wrapped.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::control::{Record, is_tabular, records};

/// The narrowest column of text, in characters.
const LEAST: usize = 16;
/// Blanks between two columns.
const GAP: usize = 2;
/// Keys that say which thing a row is about. They are repeated where a table continues.
const NAMING: [&str; 7] = ["daemon", "network", "section", "key", "number", "group", "session"];

/// The records of the wanted kinds, in lines of at most `width` characters.
pub fn tables(answer: &str, wanted: impl Fn(&str) -> bool, width: Option<usize>) -> String {
    let mut kinds: Vec<Vec<Record<'_>>> = Vec::new();
    for record in records(answer).filter(|record| wanted(record.kind)) {
        match kinds.iter_mut().find(|kind| kind[0].kind == record.kind && is_tabular(&record)) {
            Some(kind) => kind.push(record),
            None => kinds.push(vec![record]),
        }
    }
    let width = width.unwrap_or(usize::MAX);
    let shown = kinds.iter().map(|kind| if is_tabular(&kind[0]) { table(kind, width) } else { list(&kind[0], width) });
    shown.collect::<Vec<_>>().join("\n\n")
}

fn list(record: &Record<'_>, width: usize) -> String {
    let keys = record.fields.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let mut text = record.kind.to_owned();
    for (key, value) in &record.fields {
        let lines = wrap(value, width.saturating_sub(keys + 2 * GAP));
        for (number, line) in lines.iter().enumerate() {
            let key = if number == 0 { key.replace('_', " ") } else { String::new() };
            let _ = write!(text, "\n  {key:keys$}  {line}");
        }
    }
    text
}

/// A table, in blocks of as many columns as fit, one block below the other.
fn table(records: &[Record<'_>], width: usize) -> String {
    let keys: Vec<&str> = records[0].fields.iter().map(|&(key, _)| key).collect();
    let rows: Vec<Vec<String>> =
        records.iter().map(|record| keys.iter().map(|key| cell(record, key)).collect()).collect();
    let columns: Vec<Column> =
        (0..keys.len()).map(|at| Column::new(keys[at], rows.iter().map(|row| &row[at]))).collect();
    let naming = keys.iter().take_while(|key| NAMING.contains(key)).count().clamp(1, 2);
    // A text can be wrapped, so it fits where a few characters fit.
    let least = |column: &Column| if column.is_text { column.width.min(LEAST) } else { column.width };
    let (naming, mut rest) = columns.split_at(naming.min(columns.len()));
    let mut blocks = Vec::new();
    loop {
        let mut used = naming.iter().map(|column| column.width + GAP).sum::<usize>();
        let fits = |column: &&Column| {
            used = used.saturating_add(least(column) + GAP);
            used.saturating_sub(GAP) <= width
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (now, later) = rest.split_at(count);
        blocks.push(block(&naming.iter().chain(now).collect::<Vec<_>>(), width));
        rest = later;
        if rest.is_empty() {
            return blocks.join("\n\n");
        }
    }
}

/// One column of a table.
struct Column {
    cells: Vec<String>,
    width: usize,
    is_text: bool,
}

impl Column {
    fn new<'a>(key: &str, values: impl Iterator<Item = &'a String>) -> Column {
        let heading = if key == "at_ms" { "at".to_owned() } else { key.replace('_', " ") };
        let cells: Vec<String> = [heading].into_iter().chain(values.cloned()).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        Column { cells, width, is_text: key == "text" }
    }
}

/// The lines of some columns. Long texts in the last one are wrapped.
fn block(columns: &[&Column], width: usize) -> String {
    let [front @ .., last] = columns else { return String::new() };
    let before: usize = front.iter().map(|column| column.width + GAP).sum();
    let mut lines = Vec::new();
    for row in 0..last.cells.len() {
        let front: String = front.iter().map(|column| format!("{:1$}  ", column.cells[row], column.width)).collect();
        for (number, end) in wrap(&last.cells[row], width.saturating_sub(before)).into_iter().enumerate() {
            let begin = if number == 0 { front.clone() } else { " ".repeat(before) };
            lines.push(format!("{begin}{end}").trim_end().to_owned());
        }
    }
    lines.join("\n")
}

/// A value as a person reads it.
fn cell(record: &Record<'_>, key: &str) -> String {
    let value = record.value(key);
    match (key, value.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok())) {
        ("at_ms", Some(at)) => at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        _ => value.to_owned(),
    }
}

/// Wraps lines that are longer than the terminal is wide. The continuation is indented.
pub fn folded(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let fold = |line: &str| {
        let blanks = line.len() - line.trim_start_matches(' ').len();
        let (first, next) = (" ".repeat(blanks), " ".repeat(blanks + 2));
        match line.chars().count() {
            length if length <= width => line.to_owned(),
            _ => first + &wrap(line.trim_start(), width.saturating_sub(blanks + 2)).join(&format!("\n{next}")),
        }
    };
    text.lines().map(fold).collect::<Vec<_>>().join("\n")
}

/// A text in lines of at most `width` characters, broken after a word or a comma if possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(LEAST);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for piece in text.split_inclusive([' ', ',']) {
        let mut piece: Vec<char> = piece.chars().collect();
        // A blank at the end of a line takes no room.
        let visible = |piece: &[char]| piece.len() - usize::from(piece.last() == Some(&' '));
        if !line.is_empty() && line.chars().count() + visible(&piece) > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        while visible(&piece) > width {
            lines.push(piece.drain(..width).collect());
        }
        line.extend(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::ANSWER;

    #[test]
    fn records_become_a_list_or_a_table_with_whatever_keys() {
        let lines = "daemon\n  name     alpha\n  clients  2";
        let networks = "network  link  sent\n0        up    1\n1        down  100";
        let paths = "daemon    network  state    new key\n10.0.0.2  0        healthy  7";
        assert_eq!(tables(ANSWER, |_| true, None), [lines, networks, paths].join("\n\n"));
        assert_eq!(tables(ANSWER, |kind| kind == "path", None), paths);
    }

    #[test]
    fn records_of_a_kind_are_one_table_wherever_they_are() {
        let answer = "counter section=a key=b value=1\ntimes section=c key=d count=2\ncounter section=e key=f value=3";
        let shown = "section  key  value\na        b    1\ne        f    3\n\nsection  key  count\nc        d    2";
        assert_eq!(tables(answer, |_| true, None), shown);
    }

    #[test]
    fn a_table_that_is_too_wide_goes_on_below_itself() {
        let answer = "path daemon=10.0.0.2 network=0 state=healthy heard=1234567\npath daemon=10.0.0.3 network=1 state=off heard=1";
        let upper = "daemon    network  state\n10.0.0.2  0        healthy\n10.0.0.3  1        off";
        let lower = "daemon    network  heard\n10.0.0.2  0        1234567\n10.0.0.3  1        1";
        assert_eq!(tables(answer, |_| true, Some(30)), [upper, lower].join("\n\n"));
        assert_eq!(tables(answer, |_| true, Some(36)).lines().count(), 3);
    }

    #[test]
    fn long_texts_go_on_in_the_next_line() {
        let answer = "ring id=1 members=10.0.0.1,10.0.0.2,10.0.0.3\nevent number=1 event=path text=a path is silent now, and a long one";
        let list = "ring\n  id       1\n  members  10.0.0.1,10.0.0.2,\n           10.0.0.3";
        let events =
            "number  event  text\n1       path   a path is silent\n               now, and a long\n               one";
        assert_eq!(tables(answer, |_| true, Some(32)), [list, events].join("\n\n"));
        let folds = "  captured words\n    and more\nshort";
        assert_eq!(folded("  captured words and more\nshort", Some(20)), folds);
        assert_eq!(wrap(&"x".repeat(40), 16), ["x".repeat(16), "x".repeat(16), "x".repeat(8)]);
    }
}
