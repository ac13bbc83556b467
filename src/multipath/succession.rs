//! From one membership table to the next while the ring runs.
//!
//! A daemon that has read a new table goes on with the present one and announces the new one in its reports. It changes over as soon as
//! all members of its ring that are in the new table have announced it; or at once when it hears one of them that has changed over
//! already, so the others follow the first one within one packet. For [`OVERLAP`] it goes on hearing the members that have announced
//! the new table and still speak under the old one.
//!
//! A table may leave out a member to which this daemon has handed over a packet. Then nobody could ask that member whether it has
//! numbered the packet. So a daemon announces such a table only while none of its packets is handed over.
//!
//! A daemon that was started with the new table is no member of the ring yet, so the ring does not change over because of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::config::NextTable;
use super::health::{Came, Copied, Differs};
use super::moves::Moves;
use super::outbound::Known;
use super::table::Table;
use super::{Multipath, Numbering};
use crate::time::{Duration, Instant};
use crate::wire::{DaemonId, Header, Incarnation, PacketKind, PathReport, Reader};

/// How long packets under the table that was left are still heard.
const OVERLAP: Duration = Duration::from_secs(10);

/// The table that comes next, the one that was left, and what the others announce about theirs.
#[derive(Debug, Default)]
pub(super) struct Succession {
    next: Option<NextTable>,
    left: Option<Left>,
    said: BTreeMap<DaemonId, Announced>,
    /// The members of the ring.
    company: Vec<DaemonId>,
    /// The sources of the present table.
    sources: Vec<IpAddr>,
    /// This daemon announces the next table. From then on, daemons that have that table may change over before this one.
    agreed: bool,
    /// The table was changed, and [`Succession::take_adopted`] was not called since.
    adopted: bool,
}

/// The table that was left.
#[derive(Debug)]
struct Left {
    digest: u32,
    until: Instant,
    sources: Vec<IpAddr>,
}

/// A daemon's word about its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) life: Incarnation,
    /// The digest of the table that it works by.
    pub(super) present: u32,
    /// The digest of the table to which it will change; 0 if there is none.
    pub(super) next: u32,
    pub(super) parts: [u32; PathReport::DIGESTS],
}

impl Announced {
    /// The tables that this report names.
    pub(super) fn of(header: &Header, report: &PathReport<'_>) -> Announced {
        let (life, present) = (header.incarnation, header.system);
        Announced { life, present, next: report.next, parts: report.digests }
    }

    fn has(&self, table: u32) -> bool {
        self.present == table || self.next == table
    }
}

impl Succession {
    /// Nothing changes yet; these are the sources of the present table.
    pub(super) fn new(sources: Vec<IpAddr>) -> Succession {
        Succession { sources, ..Succession::default() }
    }

    /// This table is to come next, or none.
    pub(super) fn prepare(&mut self, next: Option<NextTable>) {
        (self.next, self.agreed) = (next, false);
    }

    /// The members of the ring.
    pub(super) fn set_company(&mut self, members: &[DaemonId]) {
        self.company = members.to_vec();
    }

    /// The digest of the table that comes next; 0 for none.
    pub(super) fn next_digest(&self) -> u32 {
        self.next.as_ref().map_or(0, |next| next.system.digest)
    }

    /// The same, if this daemon may announce it; otherwise 0.
    pub(super) fn announced_digest(&self) -> u32 {
        if self.agreed { self.next_digest() } else { 0 }
    }

    /// Whether the table that comes next leaves out a member of the ring.
    fn parts_company(&self) -> bool {
        let next = self.next.as_ref();
        next.is_some_and(|next| self.company.iter().any(|member| !next.daemons.contains(member)))
    }

    /// Whether a daemon is in the table that comes next.
    pub(super) fn expects(&self, daemon: DaemonId) -> bool {
        self.next.as_ref().is_some_and(|next| next.daemons.contains(&daemon))
    }

    /// A daemon says what tables it has.
    pub(super) fn record(&mut self, daemon: DaemonId, announced: Announced) {
        self.said.insert(daemon, announced);
    }

    /// A daemon's word about its tables.
    pub(super) fn said(&self) -> impl Iterator<Item = (DaemonId, Announced)> + '_ {
        self.said.iter().map(|(&daemon, &announced)| (daemon, announced))
    }

    /// Whether this packet is of a member of the ring that has changed over to the next table.
    pub(super) fn is_called_by(&self, header: &Header) -> bool {
        let next = self.next.as_ref().filter(|next| next.system.digest == header.system);
        next.is_some_and(|next| next.daemons.contains(&header.sender)) && self.company.contains(&header.sender)
    }

    /// The members of the ring that keep this daemon from changing over, as they have not announced the next table in their present
    /// lives. `None` if nothing comes next.
    pub(super) fn waits_for(&self, present: impl Fn(DaemonId) -> Option<Incarnation>) -> Option<Vec<DaemonId>> {
        let next = self.next.as_ref()?;
        let has_it = |daemon: DaemonId| {
            // The word of an earlier life is void: this one may have read another file.
            let said = self.said.get(&daemon).filter(|said| Some(said.life) == present(daemon));
            said.is_some_and(|said| said.has(next.system.digest))
        };
        // A member that the new table leaves out need not agree to it.
        let members = self.company.iter().copied().filter(|daemon| next.daemons.contains(daemon));
        Some(members.filter(|&daemon| !has_it(daemon)).collect())
    }

    /// Whether a packet under another table than the present one, of this digest, is one of the table that was left, by a daemon that is
    /// about to leave it too.
    pub(super) fn overlaps(&self, now: Instant, header: &Header, present: u32) -> bool {
        let left = self.left.as_ref().filter(|left| left.digest == header.system && now < left.until);
        let said = self.said.get(&header.sender).filter(|said| said.life == header.incarnation);
        // It has announced the present table, so it is about to change over. Others are another system.
        left.is_some() && said.is_some_and(|said| said.has(present))
    }

    /// Takes the table that comes next, to be the present one instead of that with this digest.
    pub(super) fn change_over(&mut self, now: Instant, digest: u32) -> Option<NextTable> {
        let next = self.next.take()?;
        let sources = std::mem::replace(&mut self.sources, next.sources.clone());
        self.left = Some(Left { digest, until: now + OVERLAP, sources });
        self.said.retain(|daemon, _| next.daemons.contains(daemon));
        self.adopted = true;
        Some(next)
    }

    /// Whether the table was changed since the last call.
    pub(super) fn take_adopted(&mut self) -> bool {
        std::mem::take(&mut self.adopted)
    }

    /// Forgets the table that was left when nobody speaks under it any more. Returns whether it did so now.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.left.take_if(|left| now >= left.until).is_some()
    }

    /// The sources of all tables that count, sorted; none if one of them checks none.
    pub(super) fn sources(&self) -> Vec<IpAddr> {
        let left = self.left.as_ref().map(|left| &left.sources);
        let tables = [Some(&self.sources), self.next.as_ref().map(|next| &next.sources), left];
        // A table without sources takes packets from anywhere, so while it counts nothing can be checked.
        if tables.iter().flatten().any(|sources| sources.is_empty()) {
            return Vec::new();
        }
        let mut all: Vec<IpAddr> = tables.into_iter().flatten().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a daemon that announces this has a table that is neither of ours, present or next.
    pub(super) fn is_elsewhere(&self, announced: &Announced, present: u32) -> bool {
        let ours = [present, self.next_digest()];
        !ours.iter().any(|&table| table != 0 && announced.has(table))
    }
}

impl Announced {
    /// The differences from our own digests.
    pub(super) fn differs(&self, ours: [u32; PathReport::DIGESTS]) -> Differs {
        Differs::between(ours, self.parts)
    }
}

impl Multipath {
    /// Prepares a change to this membership table. It happens as soon as all members of the ring that are in the table have it.
    /// `None` prepares no change. A table that was prepared before and has not come is forgotten.
    pub fn prepare(&mut self, now: Instant, next: Option<NextTable>) {
        self.succession.prepare(next);
        self.inbound.set_sources(self.succession.sources());
        self.health.schedule_report(now);
        self.health.stir(now);
    }

    /// Whether the table that comes next leaves out a member of the ring.
    pub fn parts_company(&self) -> bool {
        self.succession.parts_company()
    }

    /// Whether a table comes next that this daemon has not agreed to.
    pub fn is_asked(&self) -> bool {
        self.succession.next.is_some() && !self.succession.agreed
    }

    /// Announces the table that comes next.
    pub fn agree(&mut self, now: Instant) {
        self.succession.agreed = true;
        self.health.schedule_report(now);
    }

    /// The ring has these members.
    pub fn set_company(&mut self, members: &[DaemonId]) {
        self.succession.set_company(members);
    }

    /// Whether the next table has come since the last call: the ring and the sockets must follow before anything else is done.
    pub fn take_adopted(&mut self) -> bool {
        self.succession.take_adopted()
    }

    /// The members of the ring that have not read the table that comes next; `None` if nothing comes.
    pub fn waits_for(&self) -> Option<Vec<DaemonId>> {
        let mut daemons = self.succession.waits_for(|daemon| self.inbound.present(self.table.seat(daemon)?))?;
        daemons.retain(|&daemon| daemon != self.table.my_id());
        Some(daemons)
    }

    /// The digest of the membership table.
    pub fn system_digest(&self) -> u32 {
        self.system.digest
    }

    /// The daemons whose files differ from this one's, with the differences.
    pub fn differing(&self) -> impl Iterator<Item = (DaemonId, Differs)> + '_ {
        let all = self.succession.said().map(|(daemon, said)| (daemon, said.differs(self.system.parts)));
        all.filter(|(_, differs)| !differs.is_empty())
    }

    /// Sets the digests of settings that should be the same at all daemons, although a ring works without. Reports carry them to
    /// the others.
    pub fn set_settings(&mut self, digests: [u32; PathReport::DIGESTS - PathReport::TABLE_DIGESTS]) {
        self.system.parts[PathReport::TABLE_DIGESTS..].copy_from_slice(&digests);
    }

    /// Changes over if this packet shows that a member of the ring has done so. Returns what the network numbers in the packet
    /// mean.
    pub(super) fn follow(&mut self, now: Instant, header: &Header) -> Numbering {
        let present = |table: &Table| self.inbound.present(table.seat(header.sender)?);
        // Only the life that is believed: an earlier one may have had the table that comes next now.
        if self.succession.is_called_by(header) && present(&self.table) == Some(header.incarnation) {
            self.adopt(now);
            // It may have come in by a socket that has another number from now on.
            return Numbering::Other;
        }
        if header.system == self.system.digest { Numbering::Ours } else { Numbering::Other }
    }

    /// Changes over if all have the next table, and forgets the last one in time.
    pub(super) fn check_succession(&mut self, now: Instant) {
        if self.succession.agreed && self.waits_for().is_some_and(|daemons| daemons.is_empty()) {
            self.adopt(now);
        } else if self.succession.expire(now) {
            self.inbound.set_sources(self.succession.sources());
        }
    }

    /// A report of a daemon of this system.
    pub(super) fn on_report(&mut self, now: Instant, (came, copied): (Came, Copied), header: &Header, body: &[u8]) {
        let report = match PathReport::decode(body) {
            Ok(report) => report,
            Err(error) => {
                tracing::debug!(%error, sender = %header.sender, "malformed report");
                return self.count_malformed();
            }
        };
        self.hear_announcement(now, header, &report);
        if header.system == self.system.digest {
            self.health.on_report(now, self.table.me(), (came, copied), header.incarnation, &report);
        }
        if self.inbound.learn_keys(came.sender, report.keys.iter()) {
            // At once: a daemon that has lost the key in use hears nobody until then.
            self.choose_key(now);
        }
    }

    /// A packet of another membership table. If it is a report it tells what differs.
    pub(super) fn on_other_system(&mut self, now: Instant, header: &Header, body: &[u8]) {
        if header.kind != PacketKind::Report {
            return;
        }
        let Ok(report) = PathReport::decode_front(&mut Reader::new(body)) else { return };
        let announced = Announced::of(header, &report);
        let known = self.table.seat(header.sender).is_some() || self.succession.expects(header.sender);
        if known {
            self.succession.record(header.sender, announced);
        }
        if self.succession.is_elsewhere(&announced, self.system.digest) {
            self.health.notices_mut().on_other_table(now, header.sender, announced.differs(self.system.parts));
        }
    }

    /// Takes a report's word about the tables and settings of its sender, and gives notices of differences.
    fn hear_announcement(&mut self, now: Instant, header: &Header, report: &PathReport<'_>) {
        let (daemon, announced) = (header.sender, Announced::of(header, report));
        self.succession.record(daemon, announced);
        let ours = [self.system.digest, self.succession.next_digest()];
        let waits = ours[1] != 0 && self.succession.expects(daemon) && !announced.has(ours[1]);
        let other_waits = announced.next != 0 && !ours.contains(&announced.next);
        let differs = announced.differs(self.system.parts);
        let notices = self.health.notices_mut();
        notices.on_waiting(now, daemon, waits);
        notices.on_other_waiting(now, daemon, other_waits);
        notices.on_settings(now, daemon, differs);
    }

    /// The next table is the present one from now on.
    fn adopt(&mut self, now: Instant) {
        let Some(next) = self.succession.change_over(now, self.system.digest) else { return };
        let table = Table::new(self.table.my_id(), &next.daemons, &next.sites);
        let moves = Moves { from: &self.table, to: &table, networks: &next.networks };
        // All organs in one step: between two of them seats would mean two things.
        self.inbound.adopt(&moves);
        self.health.adopt(now, &moves);
        self.outbound.adopt(now, &moves, next.system.digest);
        self.networks = moves.network_count();
        self.table = table;
        self.system.digest = next.system.digest;
        let tables = PathReport::TABLE_DIGESTS;
        self.system.parts[..tables].copy_from_slice(&next.system.parts[..tables]);
        self.inbound.set_sources(self.succession.sources());
        // Last, because it is made of what the others know under the new numbers.
        self.outbound.replan(Known { now, table: &self.table, health: &self.health });
    }
}
