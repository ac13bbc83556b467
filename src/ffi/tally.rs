//! The counters of a daemon inside the program, for torc.h.
//!
//! They visit the same tree as the monitor and the metrics, so a new counter is here without a change. Names are texts that stay where they
//! are as long as the library is loaded.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Duration;

use parking_lot::Mutex;

use super::embedded::{Failure, TORC_BAD_ARGUMENT, TORC_UNKNOWN, find, guard, torc_daemon};
use super::memory;
use crate::counters::{Counter, Value};

/// The counter says how often something happened since the daemon started.
pub const TORC_COUNT: c_int = 0;
/// The counter says how much of something there is now.
pub const TORC_LEVEL: c_int = 1;
/// The counter says how long something took, each time since the daemon started.
pub const TORC_TIMES: c_int = 2;

/// Something that a daemon counts or measures, at most a second old.
#[repr(C)]
pub struct torc_counter {
    /// The part of the daemon that counts. This text, like the next two, is never freed.
    pub section: *const c_char,
    /// What is counted, unique in its section.
    pub key: *const c_char,
    /// The same in a sentence.
    pub meaning: *const c_char,
    /// TORC_COUNT, TORC_LEVEL or TORC_TIMES.
    pub kind: c_int,
    /// The network, counted from 0, or -1 if it is not of one network.
    pub network: c_int,
    /// The number; of times, how often they were measured.
    pub value: u64,
    /// All times together, in microseconds; otherwise 0.
    pub sum: u64,
    /// The time that half of all times do not exceed, in microseconds, or TORC_UNKNOWN.
    pub p50: i64,
    /// The time that 99 of a hundred do not exceed, in microseconds, or TORC_UNKNOWN.
    pub p99: i64,
    /// Zero, for later versions.
    pub reserved: [u64; 2],
}

/// Everything that a daemon counts, up to count of it. Returns how many counters there are, perhaps more than count, or
/// a negative code.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn torc_counters(daemon: *mut torc_daemon, counters: *mut torc_counter, count: c_int) -> c_int {
    guard(|| {
        let embedded = find(daemon)?;
        let room = usize::try_from(count).map_err(|_| Failure::new(TORC_BAD_ARGUMENT, "count is negative"))?;
        // SAFETY: the caller says that there are so many.
        let room = unsafe { memory::array_mut(counters, room) }.ok_or_else(|| Failure::missing("counters"))?;
        let (mut places, mut found) = (room.iter_mut(), 0);
        embedded.handle().status().visit(&mut |network, counter| {
            found += 1;
            if let Some(place) = places.next() {
                *place = told(network.map_or(-1, |network| network.0.into()), counter);
            }
        });
        Ok(found)
    })
}

fn told(network: c_int, Counter { section, key, meaning, value }: Counter) -> torc_counter {
    let [section, key, meaning] = [section, key, meaning].map(lasting);
    let empty = torc_counter {
        section,
        key,
        meaning,
        kind: TORC_COUNT,
        network,
        value: 0,
        sum: 0,
        p50: TORC_UNKNOWN.into(),
        p99: TORC_UNKNOWN.into(),
        reserved: [0; 2],
    };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    match value {
        Value::Count(value) => torc_counter { value, ..empty },
        Value::Level(value) => torc_counter { kind: TORC_LEVEL, value, ..empty },
        Value::Times(times) => {
            let percentile =
                |percent| times.percentile(percent).map_or(TORC_UNKNOWN.into(), |time| micros(time) as i64);
            let (sum, value) = (micros(times.sum()), times.count());
            torc_counter { kind: TORC_TIMES, value, sum, p50: percentile(50), p99: percentile(99), ..empty }
        }
    }
}

/// The text as C has it. There are as many as there are counters.
fn lasting(text: &'static str) -> *const c_char {
    static TEXTS: Mutex<BTreeMap<&'static str, &'static CStr>> = Mutex::new(BTreeMap::new());
    let new = || &*Box::leak(CString::new(text).unwrap_or_default().into_boxed_c_str());
    TEXTS.lock().entry(text).or_insert_with(new).as_ptr()
}
