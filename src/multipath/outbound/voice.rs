//! How a daemon speaks where two hosts may run as one daemon: what goes to both of them, greetings for a life that is not believed, and
//! how a daemon that gives way keeps quiet.

use std::collections::BTreeMap;

use super::sealer::Parcel;
use super::{Attempt, GREETING_RELAYS, Known, Outbound};
use crate::multipath::seat::Seat;
use crate::seal::KeyId;
use crate::wire::{DaemonId, Greeting, PacketKind};

/// The life of a daemon that receives a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum LifeMet {
    /// The life that this daemon accepts, or the first one that it meets.
    Only,
    /// A life other than the accepted one.
    Another,
}

/// Which packets this daemon may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Voice {
    Full,
    /// Only its own reports and greetings, which show that it is there.
    Signs,
}

/// How far away a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Distance {
    /// At the site of this one.
    Near,
    /// At another site, where it is reached by its address only.
    Far,
}

impl Outbound {
    /// Two hosts run as each of these daemons. A packet for such a daemon at this site goes to all, because its address leads to
    /// either host. It is marked as relayed, so that nobody passes it on.
    pub(in crate::multipath) fn set_double(&mut self, double: BTreeMap<DaemonId, Distance>) {
        self.double = double;
    }

    /// Puts a packet on all networks once more, for a host that does not hear it otherwise.
    pub(in crate::multipath) fn show(&mut self, parcel: &Parcel) {
        let whom = match self.double.get(&parcel.header.sender) {
            Some(Distance::Far) => Some(parcel.header.sender),
            _ => None,
        };
        self.put_whole(&parcel.relayed(), self.chooser.all(), whom);
    }

    /// Sets which packets this daemon may send from now on.
    pub(in crate::multipath) fn set_voice(&mut self, voice: Voice) {
        self.voice = voice;
    }

    /// Which packets this daemon may send.
    pub(in crate::multipath) fn voice(&self) -> Voice {
        self.voice
    }

    /// As which daemons two hosts run.
    pub(in crate::multipath) fn double(&self) -> &BTreeMap<DaemonId, Distance> {
        &self.double
    }

    /// Greets a daemon on every network and detour: its packets come, but it is not known whether it hears us. The greeting is
    /// sealed with the key that the other daemon has shown to have. A greeting to this daemon itself is for another host that
    /// runs as this daemon.
    pub(in crate::multipath) fn greet(
        &mut self,
        known: Known<'_>,
        (to, life): (Seat, LifeMet),
        greeting: Greeting,
        key: Option<KeyId>,
    ) {
        let Known { now, table, health } = known;
        let header = self.next_header(PacketKind::Greeting, Some(table.id(to)));
        let parcel = self.sealer.seal(header, greeting.encode().into(), key);
        let all = self.chooser.all();
        if life == LifeMet::Another {
            // It may be a second host, and its address leads to either.
            self.put_whole(&parcel.relayed(), all, None);
        }
        self.put(&parcel, all, (to != table.me()).then_some(table.id(to)));
        if to == table.me() {
            // The other host is where this one is, so daemons elsewhere each get a packet of their own.
            table.far().for_each(|far| self.put(&parcel, all, Some(table.id(far))));
            return;
        }
        let somebody = table.others().any(|other| other != to && health.is_alive(now, other));
        if somebody {
            return self.send_by_detour(known, &parcel, to, Attempt::Again);
        }
        for _ in 0..GREETING_RELAYS.min(table.len().saturating_sub(2)) {
            let relay = self.relay.next(table, to, |_| true);
            if let Some(relay) = relay {
                self.put(&parcel, all, Some(table.id(relay)));
            }
        }
    }
}
