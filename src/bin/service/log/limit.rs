//! Limits the rate of log lines, so that nobody can fill the log from outside. There is a limit for lines of one kind, and one for
//! lines of one kind about one source. Lines above it are suppressed and counted, and one line reports their number.
//!
//! Lines at debug and trace are not limited: the operator asked for every one of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use spread::session::Peer;

/// How often lines may come: this many at once, and one more after each pause.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    pause: Duration,
}

/// Lines of one kind, whoever causes them.
const OF_A_KIND: Rate = Rate { burst: 100, pause: Duration::from_millis(100) };
/// Lines of one kind that one source causes.
const OF_A_SOURCE: Rate = Rate { burst: 5, pause: Duration::from_secs(10) };
/// How long suppressed lines are counted before the count is logged.
const COUNT_FOR: Duration = Duration::from_secs(10);
/// How many kinds and sources are watched at once. Lines of further sources count only for their kind.
const PLACES: usize = 1024;
/// How often unused places are removed when all are taken.
const CLEARING: Duration = Duration::from_secs(1);

/// Decides whether a line is logged.
#[derive(Debug, Default)]
pub struct Limiter {
    places: BTreeMap<(usize, String), Place>,
    cleared: Option<Instant>,
}

/// One kind of line, or one kind and source.
#[derive(Debug)]
struct Place {
    /// Lines that may still come at once.
    left: u32,
    /// When `left` last grew.
    at: Instant,
    suppressed: u64,
    /// When counting of suppressed lines began.
    since: Instant,
}

/// How many lines were suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// Their kind.
    pub kind: usize,
    /// The source that caused them; empty for all together.
    pub source: String,
    /// How many.
    pub count: u64,
}

impl Limiter {
    /// Whether a line of this kind, caused by this source, is logged now.
    pub fn allows(&mut self, now: Instant, kind: usize, source: Option<&str>) -> bool {
        let key = source.and_then(|source| self.place_of(now, kind, source));
        // The source's limit first: a line that it suppresses must not use up the limit of the kind, which others need.
        let by_source = key.is_none_or(|key| self.takes(now, key, OF_A_SOURCE));
        by_source && self.takes(now, (kind, String::new()), OF_A_KIND)
    }

    /// Whether there are suppressed lines that were not reported.
    pub fn is_owing(&self) -> bool {
        self.places.values().any(|place| place.suppressed > 0)
    }

    /// The suppressed lines that are due to be reported; at the end of the log all of them.
    pub fn take_suppressed(&mut self, now: Instant, at: Moment) -> Vec<Suppressed> {
        let is_due = |place: &Place| {
            let counted = now.saturating_duration_since(place.since);
            place.suppressed > 0 && (at == Moment::End || counted >= COUNT_FOR)
        };
        let due = self.places.iter_mut().filter(|(_, place)| is_due(place));
        let told = due.map(|((kind, source), place)| Suppressed {
            kind: *kind,
            source: source.clone(),
            count: std::mem::take(&mut place.suppressed),
        });
        told.collect()
    }

    fn takes(&mut self, now: Instant, key: (usize, String), rate: Rate) -> bool {
        let place = self.places.entry(key).or_insert(Place { left: rate.burst, at: now, suppressed: 0, since: now });
        place.refill(now, rate);
        match place.left.checked_sub(1) {
            Some(left) => {
                place.left = left;
                true
            }
            None => {
                if place.suppressed == 0 {
                    place.since = now;
                }
                place.suppressed += 1;
                false
            }
        }
    }

    /// The place of a source, while there is room.
    fn place_of(&mut self, now: Instant, kind: usize, source: &str) -> Option<(usize, String)> {
        let key = (kind, cause(source));
        if self.places.contains_key(&key) {
            return Some(key);
        }
        let is_time = self.cleared.is_none_or(|cleared| now.saturating_duration_since(cleared) >= CLEARING);
        if self.places.len() >= PLACES && is_time {
            self.places.retain(|_, place| !place.is_at_rest(now));
            self.cleared = Some(now);
        }
        (self.places.len() < PLACES).then_some(key)
    }
}

/// When suppressed lines are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While the log runs.
    Now,
    /// At the end of the log.
    End,
}

impl Place {
    fn refill(&mut self, now: Instant, rate: Rate) {
        let pauses = now.saturating_duration_since(self.at).as_nanos() / rate.pause.as_nanos();
        let pauses = u32::try_from(pauses).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(pauses).min(rate.burst);
        self.at = if self.left == rate.burst { now } else { self.at + rate.pause * pauses };
    }

    /// Whether the place can be removed without any effect.
    fn is_at_rest(&self, now: Instant) -> bool {
        let longest = OF_A_SOURCE.pause * OF_A_SOURCE.burst;
        self.suppressed == 0 && now.saturating_duration_since(self.at) >= longest
    }
}

/// The cause behind a source: an address without its port, or a user without the process. A new port or process is not a new cause, nor
/// is another IPv6 address of the same host.
fn cause(source: &str) -> String {
    let address = source.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| source.parse());
    match address {
        Ok(address) => Peer::Tcp(address).source().to_string(),
        Err(_) => source.rsplit_once(" of ").map_or(source, |(_, user)| user).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: usize = 7;

    /// How many of this many lines are logged.
    fn logged(limiter: &mut Limiter, now: Instant, count: usize, source: impl Fn(usize) -> String) -> usize {
        (0..count).filter(|&n| limiter.allows(now, KIND, Some(&source(n)))).count()
    }

    #[test]
    fn one_source_has_few_lines_whatever_its_ports_and_processes() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(logged(&mut limiter, now, 1000, |n| format!("10.0.0.9:{}", 1 + n)), 5);
        assert_eq!(logged(&mut limiter, now, 1000, |n| format!("process {n} of user 7")), 5);
        assert_eq!(logged(&mut limiter, now + OF_A_SOURCE.pause * 2, 1000, |_| "10.0.0.9:1".to_owned()), 2);
    }

    #[test]
    fn one_host_has_few_lines_whatever_its_address() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(logged(&mut limiter, now, 1000, |n| format!("[2001:db8::{n:x}]:{}", 1 + n)), 5);
        assert_eq!(logged(&mut limiter, now, 1000, |n| format!("2001:db8::{n:x}")), 0);
        assert_eq!(logged(&mut limiter, now, 1000, |_| "2001:db8:0:1::1".to_owned()), 5, "another host");
    }

    #[test]
    fn many_sources_together_have_a_bounded_number_of_lines_and_places() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(logged(&mut limiter, now, 100_000, |n| format!("source {n}")), OF_A_KIND.burst as usize);
        assert!(limiter.places.len() <= PLACES + 2, "{}", limiter.places.len());
        let later = now + Duration::from_secs(1);
        assert_eq!(logged(&mut limiter, later, 100_000, |n| format!("10.1.{}.{}:5", n / 256, n % 256)), 10);
    }

    #[test]
    fn what_was_suppressed_is_counted_and_told_once() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        logged(&mut limiter, now, 12, |_| "alice".to_owned());
        assert!(limiter.is_owing() && limiter.take_suppressed(now, Moment::Now).is_empty());
        let told = limiter.take_suppressed(now + COUNT_FOR, Moment::Now);
        assert_eq!(told, [Suppressed { kind: KIND, source: "alice".to_owned(), count: 7 }]);
        assert!(!limiter.is_owing());
        logged(&mut limiter, now, 1, |_| "alice".to_owned());
        assert_eq!(limiter.take_suppressed(now, Moment::End)[0].count, 1);
    }

    #[test]
    fn lines_that_nobody_causes_are_bounded_too() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let logged = (0..5000).filter(|_| limiter.allows(now, KIND, None)).count();
        assert_eq!(logged, OF_A_KIND.burst as usize);
        assert!(limiter.allows(now, KIND + 1, None), "another kind is not concerned");
    }
}
