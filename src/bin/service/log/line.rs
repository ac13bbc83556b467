//! The form of a line: turns a tracing event into text for a person, or into JSON for a program.
//!
//! ```text
//! [time] LEVEL event: message key=value key=value
//! {"time":"…","level":"warn","event":"…","part":"…","message":"…","key":"value"}
//! ```
//!
//! `event` is the name in the log call, which does not change between versions. A call without a name shows the part of the daemon.
//! Control characters in a message are escaped, so they can neither end the line nor reach the terminal.

use std::fmt::{Debug, Write};

use jiff::{Timestamp, ZonedDateTime};
use spread::config::{Labels, LogFormat};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};

use super::stamp::Stamp;
use crate::tools::plain::plain;

/// The most bytes of a line for a person, and of a value.
const LINE_LIMIT: usize = 8192;
const VALUE_LIMIT: usize = 4096;
/// Fields that name the cause of a line.
const SOURCES: [&str; 4] = ["from", "source", "peer", "sender"];

/// The parts of a line besides its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// Nothing.
    Plain,
    /// Colours, for a terminal.
    Colours,
    /// The priority for the journal.
    Journal,
}

/// The form of all lines.
#[derive(Clone, Debug)]
pub struct Look {
    /// Text for people, or JSON for programs.
    pub format: LogFormat,
    /// Additions for a terminal or the journal.
    pub dress: Dress,
    /// The time before each line.
    pub stamp: Stamp,
}

/// An event, ready to be written.
#[derive(Clone, Debug)]
pub struct Record {
    level: Level,
    event: String,
    part: String,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// A number or a boolean.
    Bare(String),
    Text(String),
}

impl Record {
    /// The record of an event.
    pub fn of(event: &Event<'_>) -> Record {
        let metadata = event.metadata();
        let (level, part) = (*metadata.level(), metadata.target().to_owned());
        let mut record = Record { level, event: name(metadata), part, message: String::new(), fields: Vec::new() };
        event.record(&mut record);
        record
    }

    /// A record that the log itself makes.
    pub fn own(level: Level, event: &str, message: String, fields: Vec<(&'static str, String)>) -> Record {
        let fields = fields.into_iter().map(|(key, value)| (key, Value::Text(value))).collect();
        Record { level, event: event.to_owned(), part: "spread::log".to_owned(), message, fields }
    }

    /// Its level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Its name.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The cause, if a field names it.
    pub fn source(&self) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(key, _)| SOURCES.contains(key))?;
        match value {
            Value::Bare(text) | Value::Text(text) => Some(text),
        }
    }

    /// Puts names beside addresses and numbers.
    pub fn label(&mut self, labels: &Labels) {
        self.message = labels.beside_numbers(&labels.beside_addresses(&self.message));
        for (key, value) in &mut self.fields {
            *value = match value {
                Value::Bare(number) if *key == "network" => {
                    let named = number.parse().ok().and_then(|number| labels.network(number));
                    named.map_or(Value::Bare(number.clone()), Value::Text)
                }
                Value::Bare(bare) => Value::Bare(bare.clone()),
                Value::Text(text) => Value::Text(labels.beside_addresses(text)),
            };
        }
    }

    /// The line, newline included.
    pub fn line(&self, look: &Look) -> String {
        let mut line = match look.dress {
            Dress::Journal => format!("<{}>", priority(self.level)),
            _ => String::new(),
        };
        match look.format {
            LogFormat::Text => self.write_text(look, &mut line),
            LogFormat::Json => self.write_json(&mut line),
        }
        line + "\n"
    }

    fn write_text(&self, look: &Look, line: &mut String) {
        let (front, back) = if look.dress == Dress::Colours { (colour(self.level), "\x1b[0m") } else { ("", "") };
        let name = if self.event.is_empty() { &self.part } else { &self.event };
        // Writing to a string does not fail.
        let _ = write!(line, "{}{front}{:>5}{back} {name}: ", look.stamp.text(&ZonedDateTime::now()), self.level);
        line.push_str(&plain(cut(&self.message, VALUE_LIMIT)));
        for (key, value) in &self.fields {
            let (Value::Bare(text) | Value::Text(text)) = value;
            let _ = write!(line, " {key}={}", plain(cut(text, VALUE_LIMIT)));
        }
        let length = cut(line, LINE_LIMIT).len();
        line.truncate(length);
    }

    fn write_json(&self, line: &mut String) {
        let time = format!("{:.6}", Timestamp::now());
        let level = self.level.as_str().to_ascii_lowercase();
        let front = [
            ("time", &time),
            ("level", &level),
            ("event", &self.event),
            ("part", &self.part),
            ("message", &self.message),
        ];
        let front = front.map(|(key, text)| format!("{}:{}", json(key), json(cut(text, VALUE_LIMIT))));
        line.push('{');
        line.push_str(&front.join(","));
        for (key, value) in &self.fields {
            let value = match value {
                Value::Bare(bare) => bare.clone(),
                Value::Text(text) => json(cut(text, VALUE_LIMIT)),
            };
            let _ = write!(line, ",{}:{value}", json(key));
        }
        line.push('}');
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Bare(text) | Value::Text(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Record {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bare(value.to_string()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, Value::Text(format!("{value:?}")));
    }
}

/// The name of an event. Empty if the call gives none: the library then makes one of file and line.
fn name(metadata: &Metadata<'_>) -> String {
    let name = metadata.name();
    if name.starts_with("event ") { String::new() } else { name.to_owned() }
}

/// The text as a JSON string, with control characters escaped.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The first bytes of the text, at most `limit`.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The number that syslog has for a level.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Look = Look { format: LogFormat::Text, dress: Dress::Plain, stamp: Stamp::None };

    fn record() -> Record {
        let fields = vec![("from", "10.0.0.2:5".to_owned()), ("client", "#a\x1b[2J#b".to_owned())];
        let mut record = Record::own(Level::WARN, "client_closed", "too\nmuch".to_owned(), fields);
        record.fields.push(("network", Value::Bare("1".to_owned())));
        record
    }

    #[test]
    fn a_line_for_a_person_has_no_control_characters() {
        let line = " WARN client_closed: too\\nmuch from=10.0.0.2:5 client=#a\\u{1b}[2J#b network=1\n";
        assert_eq!(record().line(&TEXT), line);
        assert_eq!(record().line(&Look { dress: Dress::Journal, ..TEXT }), format!("<4>{line}"));
    }

    #[test]
    fn a_line_for_a_program_is_one_object() {
        let line = record().line(&Look { format: LogFormat::Json, ..TEXT });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(
            (&value["level"], &value["event"], &value["message"]),
            (&"warn".into(), &"client_closed".into(), &"too\nmuch".into())
        );
        assert_eq!((&value["network"], &value["client"]), (&1.into(), &"#a\x1b[2J#b".into()));
        let time: Timestamp = value["time"].as_str().unwrap().parse().unwrap();
        assert!(Timestamp::now().duration_since(time).as_secs() < 60);
    }

    #[test]
    fn names_stand_beside_addresses_and_numbers() {
        let daemons = [([10, 0, 0, 2].into(), "beta".to_owned())];
        let mut named = record();
        named.label(&Labels::new(daemons.into_iter(), vec![None, Some("office".to_owned())]));
        let line = named.line(&TEXT);
        assert!(line.contains("from=beta (10.0.0.2):5") && line.contains("network=1 (office)"), "{line}");
    }

    #[test]
    fn a_line_has_an_end_whatever_it_is_about() {
        let long = Record::own(Level::INFO, "long", "ü".repeat(1 << 20), vec![("key", "x".repeat(1 << 20))]);
        assert!(long.line(&TEXT).len() <= LINE_LIMIT + 1);
        assert!(long.line(&Look { format: LogFormat::Json, ..TEXT }).len() <= 2 * VALUE_LIMIT + 200);
    }
}
