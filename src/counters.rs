//! Counters: declared once, with what they mean, and reached by one visit.
//!
//! `counters!` makes a struct of numbers that shows all of them, so that none can be counted and never be seen. Whoever tells numbers to
//! people or programs visits them and knows no field.

/// One counter as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The part that counts: a word without blanks.
    pub section: &'static str,
    /// What is counted: a word without blanks, unique in its section.
    pub key: &'static str,
    /// The same in a sentence.
    pub meaning: &'static str,
    /// How often, since the daemon started.
    pub value: u64,
}

/// Declares a struct of counters, its section, and the structs of counters inside it.
macro_rules! counters {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident in $section:literal {
            $($(#[doc = $doc:literal])+ $key:ident,)*
            $(..$(#[doc = $part_doc:literal])+ $part:ident: $kind:ty,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: u64,)*
            $($(#[doc = $part_doc])+ pub $part: $kind,)*
        }

        impl $name {
            /// Shows every counter, those of the structs inside too.
            pub fn visit(&self, show: &mut dyn FnMut($crate::counters::Counter)) {
                $(show($crate::counters::Counter {
                    section: $section,
                    key: stringify!($key),
                    meaning: concat!($($doc),+).trim_ascii(),
                    value: self.$key,
                });)*
                $(self.$part.visit(show);)*
            }
        }
    };
}

pub(crate) use counters;

#[cfg(test)]
mod tests {
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
        }
    }

    #[test]
    fn every_counter_is_shown_with_its_meaning() {
        let engine = Engine { turns: 1, strokes: 2, heat: Heat { hot: 3 } };
        let mut shown = Vec::new();
        engine.visit(&mut |counter| shown.push((counter.section, counter.key, counter.meaning, counter.value)));
        assert_eq!(
            shown,
            [
                ("engine", "turns", "Turns of the wheel.", 1),
                ("engine", "strokes", "Strokes, of which two make a turn.", 2),
                ("heat", "hot", "Times that it was hot.", 3),
            ]
        );
    }
}
