//! Counters: declared once, with what they mean, and reached by one visit.
//!
//! `counters!` makes a struct of numbers that shows all of them, so that none can be counted and never be seen. Whoever tells numbers to
//! people or programs visits them and knows no field. A line of it is a count, or `as level` or `as times`.

mod times;

pub use times::Times;

/// The value of something that is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// How often, since the daemon started.
    Count(u64),
    /// How much there is now.
    Level(u64),
    /// How long it took each time, since the daemon started.
    Times(Times),
}

/// One counter as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The part that counts: a word without blanks.
    pub section: &'static str,
    /// The name of the counter: a word without blanks, unique in its section.
    pub key: &'static str,
    /// The same in a sentence.
    pub meaning: &'static str,
    /// The number, or the numbers.
    pub value: Value,
}

/// Declares a struct of counters, its section, and the structs of counters inside it.
macro_rules! counters {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $($(#[doc = $doc:literal])+ $key:ident $(as $kind:ident)?,)*
            $(..$(#[doc = $part_doc:literal])+ $part:ident: $part_kind:ty,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $crate::counters::counters!(@type $($kind)?),)*
            $($(#[doc = $part_doc])+ pub $part: $part_kind,)*
        }

        impl $name {
            /// Shows every counter, those of the structs inside too.
            pub fn visit(&self, show: &mut dyn FnMut($crate::counters::Counter)) {
                $(show($crate::counters::Counter {
                    section: $section,
                    key: stringify!($key),
                    meaning: concat!($($doc),+).trim_ascii(),
                    value: $crate::counters::counters!(@value self.$key $(, $kind)?),
                });)*
                $(self.$part.visit(show);)*
            }
        }
    };
    (@type) => { u64 };
    (@type level) => { u64 };
    (@type times) => { $crate::counters::Times };
    (@value $value:expr) => { $crate::counters::Value::Count($value) };
    (@value $value:expr, level) => { $crate::counters::Value::Level($value) };
    (@value $value:expr, times) => { $crate::counters::Value::Times($value) };
}

pub(crate) use counters;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, Value};

    counters! {
        /// Counters of an engine.
        pub struct Engine in "engine" {
            /// Turns of the wheel.
            turns,
            /// Strokes, of which
            /// two make a turn.
            strokes,
            ../// Its heat.
            heat: Heat,
        }
    }

    counters! {
        /// Counters of heat.
        pub struct Heat in "heat" {
            /// Times that it was hot.
            hot,
            /// How hot it is.
            degrees as level,
            /// How long it took to be hot.
            heating as times,
        }
    }

    #[test]
    fn every_counter_is_shown_with_its_meaning() {
        let mut heating = Times::default();
        heating.record(Duration::from_secs(1));
        let engine = Engine { turns: 1, strokes: 2, heat: Heat { hot: 3, degrees: 80, heating } };
        let mut shown = Vec::new();
        engine.visit(&mut |counter| shown.push((counter.section, counter.key, counter.meaning, counter.value)));
        assert_eq!(
            shown,
            [
                ("engine", "turns", "Turns of the wheel.", Value::Count(1)),
                ("engine", "strokes", "Strokes, of which two make a turn.", Value::Count(2)),
                ("heat", "hot", "Times that it was hot.", Value::Count(3)),
                ("heat", "degrees", "How hot it is.", Value::Level(80)),
                ("heat", "heating", "How long it took to be hot.", Value::Times(heating)),
            ]
        );
    }
}
