//! Process groups over a model of the ring: the transcripts of the classic system, and its invariants on random
//! histories.

#![expect(clippy::unwrap_used, reason = "a test stops where the model is used wrongly")]

mod bus;
mod checker;
mod client;
mod large;
mod random;
mod scaling;
mod transcripts;
