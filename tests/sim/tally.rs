//! What was counted: in one history, and in all of them.

use std::fmt;
use std::ops::AddAssign;

use spread::time::Duration;

/// What went wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A datagram was lost.
    Lost,
    /// A datagram met a cut link or another side of a partition.
    Cut,
    /// A datagram was too long for a link.
    TooLong,
    /// A datagram came twice.
    Duplicated,
    /// A datagram came cut short.
    Truncated,
    /// A datagram came with damaged bytes.
    Corrupted,
    /// A datagram came as one of another version.
    ForeignVersion,
    /// A datagram came as one of another membership table.
    ForeignTable,
    /// A datagram of a ring of strangers came.
    ForeignRing,
    /// A datagram from some time ago came again.
    Replayed,
    /// Somebody wrote a datagram in a daemon's name.
    Forged,
    /// It was said that nobody has a daemon's port, though it may live.
    StrayRefusal,
    /// Links were cut.
    LinksCut,
    /// The networks fell apart.
    Partition,
    /// Links carry shorter datagrams, or longer ones again.
    LinksNarrowed,
    /// Links became lossy.
    LossyLinks,
    /// A daemon was killed.
    Crash,
    /// A daemon left.
    Leave,
    /// A daemon stood still.
    Pause,
    /// A daemon got other keys.
    KeysChanged,
    /// A daemon read its file again.
    TableChanged,
    /// A second host ran as a daemon.
    Twin,
}

impl Fault {
    /// Each kind and how reports call it.
    pub const ALL: [(Fault, &str); 22] = [
        (Fault::Lost, "datagrams lost"),
        (Fault::Cut, "datagrams at cut links"),
        (Fault::TooLong, "datagrams too long"),
        (Fault::Duplicated, "datagrams duplicated"),
        (Fault::Truncated, "datagrams truncated"),
        (Fault::Corrupted, "datagrams corrupted"),
        (Fault::ForeignVersion, "datagrams of a foreign version"),
        (Fault::ForeignTable, "datagrams of a foreign membership table"),
        (Fault::ForeignRing, "datagrams of a foreign ring"),
        (Fault::Replayed, "datagrams replayed"),
        (Fault::Forged, "datagrams forged"),
        (Fault::StrayRefusal, "stray refusals"),
        (Fault::LinksCut, "cuts of links"),
        (Fault::Partition, "partitions"),
        (Fault::LinksNarrowed, "changes of the longest datagram"),
        (Fault::LossyLinks, "rises of loss"),
        (Fault::Crash, "crashes"),
        (Fault::Leave, "departures"),
        (Fault::Pause, "pauses"),
        (Fault::KeysChanged, "changes of keys"),
        (Fault::TableChanged, "reloads of tables"),
        (Fault::Twin, "second hosts as one daemon"),
    ];
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub happenings: u64,
    pub datagrams: u64,
    pub configurations: u64,
    pub delivered: u64,
    /// How long daemons lived, all together.
    pub lived: Duration,
    faults: [u64; Fault::ALL.len()],
}

impl Tally {
    /// Counts a fault.
    pub fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.happenings += other.happenings;
        self.datagrams += other.datagrams;
        self.configurations += other.configurations;
        self.delivered += other.delivered;
        self.lived += other.lived;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  daemon-hours      {:.1}", self.lived.as_secs_f64() / 3600.0)?;
        writeln!(f, "  configurations    {}", self.configurations)?;
        writeln!(f, "  deliveries        {}", self.delivered)?;
        writeln!(f, "  datagrams         {}", self.datagrams)?;
        for (fault, name) in Fault::ALL {
            writeln!(f, "  fault: {} {name}", self.faults[fault as usize])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_listed_in_the_order_of_their_numbers() {
        assert!(Fault::ALL.iter().enumerate().all(|(place, (fault, _))| *fault as usize == place));
    }
}
