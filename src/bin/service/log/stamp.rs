//! The time before a line: nothing, or local time in a format of the configuration.

use jiff::ZonedDateTime;
use jiff::fmt::strtime;

/// The time before each line.
#[derive(Clone, Debug)]
pub enum Stamp {
    /// Whoever collects the lines knows when they came.
    None,
    /// Local time in this format of strftime.
    Format(String),
}

impl Stamp {
    /// A stamp of this format, if it has one. Precise ones have microseconds behind the seconds.
    pub fn new(format: Option<&str>, precise: bool) -> Result<Stamp, String> {
        let Some(format) = format else { return Ok(Stamp::None) };
        let format = if precise { with_microseconds(format) } else { format.to_owned() };
        match strtime::format(&format, &ZonedDateTime::now()) {
            Ok(_) => Ok(Stamp::Format(format)),
            Err(error) => Err(format!("EventTimeStamp: {format:?} is no time format: {error}")),
        }
    }

    /// The time as it stands before a line, with a blank behind it.
    pub fn text(&self, time: &ZonedDateTime) -> String {
        match self {
            Stamp::None => String::new(),
            // The format was tried when it was set.
            Stamp::Format(format) => strtime::format(format, time).map_or(String::new(), |text| text + " "),
        }
    }
}

/// Microseconds stand behind the seconds, or at the end if there are none.
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

    fn text(format: &str, precise: bool) -> String {
        let time = "2026-11-29T20:05:06.000789[UTC]".parse().unwrap();
        Stamp::new(Some(format), precise).unwrap().text(&time)
    }

    #[test]
    fn the_format_is_that_of_the_configuration() {
        assert_eq!(text("[%m/%d/%y %H:%M:%S]", false), "[11/29/26 20:05:06] ");
        assert_eq!(text("[%a %d %b %Y %H:%M:%S]", false), "[Sun 29 Nov 2026 20:05:06] ");
        assert_eq!(Stamp::new(None, true).unwrap().text(&ZonedDateTime::now()), "");
    }

    #[test]
    fn microseconds_stand_behind_the_seconds() {
        assert_eq!(text("[%m/%d/%y %H:%M:%S]", true), "[11/29/26 20:05:06.000789] ");
        assert_eq!(text("%T %Y", true), "20:05:06.000789 2026 ");
        assert_eq!(text("%H", true), "20.000789 ");
    }

    #[test]
    fn a_format_that_means_nothing_is_refused() {
        let error = Stamp::new(Some("%H:%!"), false).unwrap_err();
        assert!(error.starts_with("EventTimeStamp: \"%H:%!\" is no time format"), "{error}");
    }
}
