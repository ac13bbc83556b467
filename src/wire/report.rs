//! A report: which daemons its sender hears on which network, and what it has measured.
//!
//! A report refers to daemons by number: their place in the order of ids, which is the same at all daemons with one membership table. A daemon with
//! another table reads only the front, up to the list of daemons, to find out what differs and what changes.
//!
//! ```text
//!  0  8  number: 1, 2, 3, … in each life of the sender
//!  8  4  clock of the sender in µs, modulo 2^32
//! 12  1  how many networks the sender has
//! 13  1  networks that are switched off there, the lowest bit being network 0
//! 14 48  twelve digests: four of parts of the membership table, then of the policy, of each timer, and of the windows
//! 62  4  digest of the membership table that the sender changes to once all have it, or 0
//! 66  2  within how many milliseconds the sender's next report follows
//! 68  1  the daemon that is asked to report at once, or 255 for none
//! 69  2  number of daemons, then for each
//!        1  the networks on which the sender hears it directly and well
//!  …  2  number of measures, then for each
//!        1  daemon
//!        1  network
//!        4  clock of that daemon in its latest report that came directly on that network
//!        4  how long ago that was, in µs
//!        1  per cent of its latest reports that did not come on that network
//!  …  2  number of keys that the sender has, then 4 bytes for each, which tell it from others
//! ```

use std::fmt;

use super::{DaemonId, DecodeError, NetworkId, Reader, Writer};

/// A report. Its lists stay in the datagram, because most receivers read little of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport<'a> {
    /// Number of this report in the sender's life.
    pub number: u64,
    /// The sender's clock in µs, modulo 2^32.
    pub clock: u32,
    /// How many networks it has.
    pub networks: u8,
    /// The networks that are switched off there, as bits.
    pub off: u8,
    /// Digests of the parts of its file that are the same everywhere, or should be.
    pub digests: [u32; PathReport::DIGESTS],
    /// The digest of the membership table that it changes to once all have it; 0 for none.
    pub next: u32,
    /// Within how many milliseconds the next report follows.
    pub pause: u16,
    /// The number of the daemon that is asked to report at once.
    pub asks: Option<u8>,
    /// By daemon: the networks on which it is heard, as bits.
    pub hears: &'a [u8],
    /// The measures since the last report.
    pub measures: Measures<'a>,
    /// The keys that it has, the newest last.
    pub keys: Keys<'a>,
}

/// Says that no daemon is asked.
const NOBODY: u8 = u8::MAX;

/// The ids of keys, as they travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys<'a>(&'a [KeyBytes]);

/// A key's id as it travels.
pub(crate) type KeyBytes = [u8; 4];

/// Some measures, as they travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures<'a>(&'a [MeasureBytes]);

/// A measure as it travels.
pub(crate) type MeasureBytes = [u8; Measure::SIZE];

/// A daemon's measures of one path towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The number of the daemon that was heard.
    pub daemon: u8,
    /// The network it was heard on.
    pub network: NetworkId,
    /// Its clock, as it said in its latest report there.
    pub echo: u32,
    /// How long ago that report came, in µs.
    pub held: u32,
    /// Per cent of its reports that did not come on this network.
    pub loss: u8,
}

impl<'a> PathReport<'a> {
    /// How many parts of a file have a digest of their own: of the membership table, then of the settings.
    pub const DIGESTS: usize = 12;
    /// How many of them are of the membership table.
    pub const TABLE_DIGESTS: usize = 4;
    /// How many measures a report may carry, so that it fits the smallest datagram.
    pub const MEASURE_LIMIT: usize = 22;
    /// How many keys a daemon may have.
    pub const KEY_LIMIT: usize = 8;

    /// Reads a report's body.
    pub fn decode(body: &'a [u8]) -> Result<PathReport<'a>, DecodeError> {
        let mut reader = Reader::new(body);
        let mut report = PathReport::decode_front(&mut reader)?;
        report.pause = reader.u16()?;
        report.asks = Some(reader.u8()?).filter(|&daemon| daemon != NOBODY);
        let daemons = reader.count(DaemonId::LIMIT, "daemons")?;
        report.hears = reader.take(daemons)?;
        let measures = reader.count(PathReport::MEASURE_LIMIT, "measures")?;
        report.measures = Measures(reader.take(measures * Measure::SIZE)?.as_chunks().0);
        // Checked here, because measures are decoded later, each time that they are read.
        if report.measures.iter().any(|measure| usize::from(measure.network.0) >= NetworkId::LIMIT) {
            return Err(DecodeError::BadValue("network"));
        }
        let keys = reader.count(PathReport::KEY_LIMIT, "keys")?;
        report.keys = Keys(reader.take(keys * size_of::<KeyBytes>())?.as_chunks().0);
        reader.end()?;
        Ok(report)
    }

    /// Reads the part of a report that a daemon of another membership table understands too.
    pub fn decode_front(reader: &mut Reader<'_>) -> Result<PathReport<'a>, DecodeError> {
        let (number, clock) = (reader.counted("number")?, reader.u32()?);
        let (networks, off) = (reader.u8()?, reader.u8()?);
        let mut digests = [0; PathReport::DIGESTS];
        for digest in &mut digests {
            *digest = reader.u32()?;
        }
        let next = reader.u32()?;
        // A daemon of another table reads no further, so these stay empty for it.
        let (hears, measures, keys) = (&[][..], Measures::default(), Keys::default());
        Ok(PathReport { number, clock, networks, off, digests, next, pause: 0, asks: None, hears, measures, keys })
    }

    // 75 bytes of fixed fields and counts, and the longest lists.
    const LONGEST: usize = 75
        + DaemonId::LIMIT
        + PathReport::MEASURE_LIMIT * Measure::SIZE
        + PathReport::KEY_LIMIT * size_of::<KeyBytes>();

    /// The bytes of the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(PathReport::LONGEST);
        writer.u64(self.number);
        writer.u32(self.clock);
        writer.u8(self.networks);
        writer.u8(self.off);
        self.digests.iter().for_each(|&digest| writer.u32(digest));
        writer.u32(self.next);
        writer.u16(self.pause);
        writer.u8(self.asks.unwrap_or(NOBODY));
        writer.count(self.hears.len());
        writer.bytes(self.hears);
        writer.count(self.measures.len());
        writer.bytes(self.measures.0.as_flattened());
        writer.count(self.keys.0.len());
        writer.bytes(self.keys.0.as_flattened());
        writer.finish()
    }
}

impl<'a> Measures<'a> {
    pub(crate) const fn new(measures: &'a [MeasureBytes]) -> Measures<'a> {
        Measures(measures)
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Measure> + Clone + use<'a> {
        self.0.iter().map(Measure::decode)
    }
}

impl<'a> Keys<'a> {
    pub(crate) const fn new(keys: &'a [KeyBytes]) -> Keys<'a> {
        Keys(keys)
    }

    /// The ids of all of them.
    pub fn iter(self) -> impl Iterator<Item = u32> + Clone + use<'a> {
        self.0.iter().map(|&bytes| u32::from_be_bytes(bytes))
    }
}

impl Measure {
    const SIZE: usize = 11;

    /// Reads a measure whose network nobody has checked.
    fn decode(bytes: &MeasureBytes) -> Measure {
        let [daemon, network, e0, e1, e2, e3, h0, h1, h2, h3, loss] = *bytes;
        let (echo, held) = (u32::from_be_bytes([e0, e1, e2, e3]), u32::from_be_bytes([h0, h1, h2, h3]));
        Measure { daemon, network: NetworkId(network), echo, held, loss }
    }

    pub(crate) fn encode(&self) -> MeasureBytes {
        let ([e0, e1, e2, e3], [h0, h1, h2, h3]) = (self.echo.to_be_bytes(), self.held.to_be_bytes());
        [self.daemon, self.network.0, e0, e1, e2, e3, h0, h1, h2, h3, self.loss]
    }
}

impl fmt::Display for PathReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PathReport { number, clock, networks, off, .. } = self;
        write!(f, "number {number}, clock {clock} µs, {networks} networks")?;
        if *off != 0 {
            write!(f, ", switched off {off:08b}")?;
        }
        write!(f, ", next within {} ms", self.pause)?;
        if let Some(daemon) = self.asks {
            write!(f, ", asks daemon {daemon}")?;
        }
        if !self.hears.is_empty() {
            write!(f, ", hears")?;
            self.hears.iter().try_for_each(|networks| write!(f, " {networks:b}"))?;
        }
        for Measure { daemon, network, loss, .. } in self.measures.iter() {
            write!(f, ", loss from daemon {daemon} on network {} {loss} %", network.0)?;
        }
        self.keys.iter().try_for_each(|key| write!(f, ", key {key:08x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::SealTag;
    use super::*;

    const MEASURE: [MeasureBytes; 1] = [[1, 2, 0, 0, 0, 3, 0, 0, 0, 4, 5]];

    const DIGESTS: [u32; PathReport::DIGESTS] = [8, 9, 10, 11, 12, 13, 21, 22, 23, 24, 25, 26];

    fn report() -> PathReport<'static> {
        PathReport {
            number: 6,
            clock: 7,
            networks: 3,
            off: 4,
            digests: DIGESTS,
            next: 14,
            pause: 0x0102,
            asks: Some(3),
            hears: &[0, 5],
            measures: Measures::new(&MEASURE),
            keys: Keys::new(&[[1, 2, 3, 4]]),
        }
    }

    #[test]
    fn literal_bytes() {
        let bytes = [
            0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7, 3, 4, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0,
            0, 0, 13, 0, 0, 0, 21, 0, 0, 0, 22, 0, 0, 0, 23, 0, 0, 0, 24, 0, 0, 0, 25, 0, 0, 0, 26, 0, 0, 0, 14, 1, 2,
            3, 0, 2, 0, 5, 0, 1, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4, 5, 0, 1, 1, 2, 3, 4,
        ];
        assert_eq!(report().encode(), bytes);
        assert_eq!(PathReport::decode(&bytes), Ok(report()));
        let measure = Measure { daemon: 1, network: NetworkId(2), echo: 3, held: 4, loss: 5 };
        assert_eq!(report().measures.iter().collect::<Vec<_>>(), [measure]);
        assert_eq!(measure.encode(), MEASURE[0]);
        let front = PathReport::decode_front(&mut Reader::new(&bytes)).unwrap();
        assert_eq!((front.networks, front.digests, front.next), (3, DIGESTS, 14));
    }

    #[test]
    fn every_prefix_fails_and_limits_hold() {
        let bytes = report().encode();
        assert!((0..bytes.len()).all(|n| PathReport::decode(&bytes[..n]).is_err()));
        for (at, value, error) in [
            (70, 129, DecodeError::TooLarge("daemons")),
            (74, 23, DecodeError::TooLarge("measures")),
            (76, 8, DecodeError::BadValue("network")),
            (0, 0x40, DecodeError::TooLarge("number")),
        ] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            assert_eq!(PathReport::decode(&bytes), Err(error));
        }
        let trailing = [&bytes[..], &[0]].concat();
        assert_eq!(PathReport::decode(&trailing), Err(DecodeError::TrailingBytes));
    }

    #[test]
    fn the_largest_report_fits_the_smallest_datagram() {
        let largest = PathReport {
            hears: &[0; DaemonId::LIMIT],
            measures: Measures::new(&[MEASURE[0]; PathReport::MEASURE_LIMIT]),
            keys: Keys::new(&[[0; 4]; PathReport::KEY_LIMIT]),
            ..report()
        };
        assert!(largest.encode().len() + SealTag::SIZE <= 512);
    }
}
