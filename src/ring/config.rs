//! The knobs of a ring, checked once.

use std::fmt;

use crate::time::Duration;
use crate::wire::{DaemonId, Data, Incarnation};

/// How a ring is set up. [`RingSettings::new`] gives the defaults; [`RingSettings::check`] says what is wrong.
#[derive(Clone, Debug)]
pub struct RingSettings {
    /// This daemon.
    pub me: DaemonId,
    /// This life of this daemon.
    pub incarnation: Incarnation,
    /// All daemons that may be members, in ring order; must include `me`.
    pub daemons: Vec<DaemonId>,
    /// No ring of this daemon gets this sequence or a lower one. It must exceed the ring sequences of all earlier lives.
    pub sequence_floor: u64,
    /// The highest ring sequence that this daemon believes at its start. The limit grows by one for each microsecond, and packets
    /// with a higher sequence are dropped. While joins with higher ones come, it grows eight million times as fast, because another
    /// daemon may have a higher limit. It should be far above `sequence_floor`. Default 2^61, the highest value that leaves room to
    /// count.
    pub sequence_horizon: u64,
    /// The number after which a ring counts its hops and packets, the same at all daemons. Default 0. Tests begin just below a
    /// power of two, to find numbers that are cut to fewer bits.
    pub first_number: u64,
    /// Silence of the token after which the ring is given up. Default 1 s.
    pub token_timeout: Duration,
    /// The interval at which the holder of a resting token announces it. A member that does not answer for four intervals is
    /// given up, and so is a holder that is silent for four and a half. Default 100 ms; at most a fifth of `token_timeout`.
    pub rest_interval: Duration,
    /// The longest wait before a token without an answer is sent again. Default 40 ms.
    pub token_retransmit: Duration,
    /// How often a join packet is repeated while gathering. Default 30 ms.
    pub join_interval: Duration,
    /// How long gathering waits for a daemon that does not answer before it goes on without it. Default 300 ms.
    pub consensus_timeout: Duration,
    /// The interval at which the members of a ring together send probes while daemons are missing. Probes let rings find each
    /// other. Default 50 ms.
    pub probe_interval: Duration,
    /// The largest number of packets that all members together may send in one rotation. Flow control finds a suitable number
    /// below it. Default 512.
    pub window: u32,
    /// The largest number of packets that one member may send while it holds the token. Default 128.
    pub personal_window: u32,
    /// How many bytes of a packet's body fit one datagram. Default 1436 (1500 - 28 of IP and UDP - 36 of the header).
    pub body_limit: usize,
}

/// A mistake in a [`RingSettings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingSettingsError {
    /// `daemons` does not include `me`, names one twice, or has more than [`DaemonId::LIMIT`].
    Daemons(&'static str),
    /// A time is zero or does not agree with another one. The text is the rule.
    Times(&'static str),
    /// A window is zero or does not agree with the other one. The text is the rule.
    Windows(&'static str),
    /// `body_limit` is too small for any packet or too large for a datagram.
    BodyLimit,
    /// `first_number` leaves no room to count.
    FirstNumber,
    /// `sequence_horizon` leaves no room to count, or lies below `sequence_floor`.
    Horizon,
}

impl fmt::Display for RingSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingSettingsError::Daemons(rule) | RingSettingsError::Times(rule) | RingSettingsError::Windows(rule) => {
                f.write_str(rule)
            }
            RingSettingsError::BodyLimit => write!(f, "body_limit must lie in 512..=65000"),
            RingSettingsError::FirstNumber => write!(f, "first_number must be below 2^61"),
            RingSettingsError::Horizon => write!(f, "sequence_horizon must lie between sequence_floor and 2^61"),
        }
    }
}

impl std::error::Error for RingSettingsError {}

impl RingSettings {
    /// The largest window.
    pub const WINDOW_LIMIT: u32 = 8192;
    /// The largest ring sequence that leaves room to count.
    pub(crate) const SEQUENCE_MAX: u64 = 1 << 61;
    /// The smallest room for a packet's body.
    pub const BODY_LIMIT_MIN: usize = 512;

    /// The defaults for `me` among `daemons`.
    pub fn new(me: DaemonId, incarnation: Incarnation, daemons: Vec<DaemonId>) -> RingSettings {
        RingSettings {
            me,
            incarnation,
            daemons,
            sequence_floor: 0,
            sequence_horizon: RingSettings::SEQUENCE_MAX,
            first_number: 0,
            token_timeout: Duration::from_millis(1000),
            rest_interval: Duration::from_millis(100),
            token_retransmit: Duration::from_millis(40),
            join_interval: Duration::from_millis(30),
            consensus_timeout: Duration::from_millis(300),
            probe_interval: Duration::from_millis(50),
            window: 512,
            personal_window: 128,
            body_limit: 1436,
        }
    }

    /// Checks every rule once.
    pub fn check(&self) -> Result<(), RingSettingsError> {
        let mut ids = self.daemons.clone();
        ids.sort();
        ids.dedup();
        let rule = |broken: bool, error: RingSettingsError| if broken { Err(error) } else { Ok(()) };
        rule(ids.binary_search(&self.me).is_err(), RingSettingsError::Daemons("daemons must include me"))?;
        rule(ids.len() != self.daemons.len(), RingSettingsError::Daemons("daemons names one twice"))?;
        rule(ids.contains(&DaemonId(0)), RingSettingsError::Daemons("0 is not a daemon id"))?;
        rule(ids.len() > DaemonId::LIMIT, RingSettingsError::Daemons("more than 128 daemons"))?;
        let times = [self.token_timeout, self.rest_interval, self.token_retransmit];
        let more = [self.join_interval, self.consensus_timeout, self.probe_interval];
        rule(times.iter().chain(&more).any(Duration::is_zero), RingSettingsError::Times("no time may be zero"))?;
        rule(
            self.rest_interval * 5 > self.token_timeout,
            RingSettingsError::Times("token_timeout must be at least five times rest_interval"),
        )?;
        rule(
            self.token_retransmit * 3 > self.token_timeout,
            RingSettingsError::Times("token_timeout must be at least three times token_retransmit"),
        )?;
        rule(
            self.join_interval * 2 > self.consensus_timeout,
            RingSettingsError::Times("consensus_timeout must be at least twice join_interval"),
        )?;
        rule(self.personal_window == 0, RingSettingsError::Windows("personal_window must not be zero"))?;
        rule(self.personal_window > self.window, RingSettingsError::Windows("personal_window must not exceed window"))?;
        rule(self.window > RingSettings::WINDOW_LIMIT, RingSettingsError::Windows("window must not exceed 8192"))?;
        rule(
            !(RingSettings::BODY_LIMIT_MIN..=Data::BODY_LIMIT).contains(&self.body_limit),
            RingSettingsError::BodyLimit,
        )?;
        rule(self.first_number >= 1 << 61, RingSettingsError::FirstNumber)?;
        rule(
            !(self.sequence_floor..=RingSettings::SEQUENCE_MAX).contains(&self.sequence_horizon),
            RingSettingsError::Horizon,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RingSettings {
        RingSettings::new(DaemonId(1), Incarnation(1), vec![DaemonId(1), DaemonId(2)])
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn every_rule_is_enforced() {
        type Breaker = fn(&mut RingSettings);
        let breakers: [Breaker; 14] = [
            |c| c.me = DaemonId(3),
            |c| c.daemons = vec![DaemonId(1), DaemonId(1)],
            |c| c.daemons.push(DaemonId(0)),
            |c| c.daemons = (1..=129).map(DaemonId).collect(),
            |c| c.join_interval = Duration::ZERO,
            |c| c.rest_interval = c.token_timeout / 4,
            |c| c.token_timeout = c.token_retransmit,
            |c| c.consensus_timeout = c.join_interval,
            |c| c.personal_window = 0,
            |c| c.window = c.personal_window - 1,
            |c| c.body_limit = 511,
            |c| c.first_number = u64::MAX,
            |c| (c.sequence_floor, c.sequence_horizon) = (7, 6),
            |c| c.sequence_horizon = u64::MAX,
        ];
        for (n, breaker) in breakers.iter().enumerate() {
            let mut broken = config();
            breaker(&mut broken);
            assert!(broken.check().is_err(), "rule {n}");
        }
    }
}
