//! The time before a line: nothing, or local time in a format of the configuration.

use jiff::ZonedDateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};

/// How exact the time before a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As the format says.
    Format,
    /// With microseconds behind the seconds.
    Microseconds,
}

/// The time before each line.
#[derive(Clone, Debug)]
pub enum Stamp {
    /// No time: the collector of the lines adds its own.
    None,
    /// Local time in this format of strftime.
    Format(String),
}

impl Stamp {
    /// A stamp of this format, if there is one.
    pub fn new(format: Option<&str>, precision: Precision) -> Stamp {
        match (format, precision) {
            (None, _) => Stamp::None,
            (Some(format), Precision::Format) => Stamp::Format(format.to_owned()),
            (Some(format), Precision::Microseconds) => Stamp::Format(with_microseconds(format)),
        }
    }

    /// The time before a line, with a blank behind it. Text in the format that is not a part of a time is copied.
    pub fn text(&self, time: &ZonedDateTime) -> String {
        let Stamp::Format(format) = self else { return String::new() };
        let lenient = Config::new().lenient(true).custom(PosixCustom::new());
        let text = BrokenDownTime::from(time).to_string_with_config(&lenient, format);
        text.unwrap_or_else(|_| format.clone()) + " "
    }
}

/// The format with microseconds behind the seconds, or at the end if it has no seconds.
fn with_microseconds(format: &str) -> String {
    for seconds in ["%S", "%T", "%s"] {
        if let Some(at) = format.rfind(seconds) {
            let (front, rest) = format.split_at(at + seconds.len());
            return format!("{front}%.6f{rest}");
        }
    }
    format!("{format}%.6f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str) -> String {
        stamped(format, Precision::Format)
    }

    fn precise_text(format: &str) -> String {
        stamped(format, Precision::Microseconds)
    }

    fn stamped(format: &str, precision: Precision) -> String {
        let time = "2026-11-29T20:05:06.000789[UTC]".parse().unwrap();
        Stamp::new(Some(format), precision).text(&time)
    }

    #[test]
    fn the_format_is_that_of_the_configuration() {
        assert_eq!(text("[%m/%d/%y %H:%M:%S]"), "[11/29/26 20:05:06] ");
        assert_eq!(text("[%a %d %b %Y %H:%M:%S]"), "[Sun 29 Nov 2026 20:05:06] ");
        assert_eq!(Stamp::new(None, Precision::Microseconds).text(&ZonedDateTime::now()), "");
    }

    #[test]
    fn times_without_a_language_look_as_c_writes_them() {
        assert_eq!(text("%c"), "Sun Nov 29 20:05:06 2026 ");
        assert_eq!(text("%x %X %r"), "11/29/26 20:05:06 08:05:06 PM ");
    }

    #[test]
    fn microseconds_stand_behind_the_seconds() {
        assert_eq!(precise_text("[%m/%d/%y %H:%M:%S]"), "[11/29/26 20:05:06.000789] ");
        assert_eq!(precise_text("%T %Y"), "20:05:06.000789 2026 ");
        assert_eq!(precise_text("%H"), "20.000789 ");
    }

    #[test]
    fn what_is_no_part_of_a_time_stands_as_it_is() {
        assert_eq!(text("%!Q [%d]"), "%!Q [29] ");
    }
}
