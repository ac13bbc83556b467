//! Other addresses for clients while the daemon runs. Those who are in stay in, and so do those who stand at a door that is closed.

use std::mem;
use std::net::SocketAddr;

use super::{BACKLOG, ClientAddresses, ListenError, Listener, Listeners, accept, tcp_addresses};

impl Listeners {
    /// Lets TCP clients come in at these addresses instead. If one of them cannot be opened, all doors are as they were.
    pub(in crate::daemon) fn change(&mut self, addresses: &ClientAddresses) -> Result<(), ListenError> {
        let wanted = tcp_addresses(addresses, self.port);
        let known = self.addresses();
        let (gone, new): (Vec<_>, Vec<_>) = (without(&known, &wanted), without(&wanted, &known));
        // These go first, because the system gives a port at every address to nobody who also asks for it at one of them.
        self.close(&gone);
        for address in &new {
            if let Err(error) = self.open_at(*address) {
                self.close(&new);
                self.open_again(&gone);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens doors that were there a moment ago. One that somebody else has taken since is tried again like a missing one.
    fn open_again(&mut self, addresses: &[SocketAddr]) {
        for &address in addresses {
            if self.open_at(address).is_err() {
                self.retry = Some(crate::time::Instant::ZERO);
                self.add(Listener::Missing(address)).expect("what is missing is not polled");
            }
        }
    }

    /// The TCP addresses at which clients come in, now or later.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(|door| address(&door.listener)).collect()
    }

    /// Closes these doors. Whoever stands there is let in first.
    fn close(&mut self, addresses: &[SocketAddr]) {
        for door in &mut self.doors {
            if !address(&door.listener).is_some_and(|address| addresses.contains(&address)) {
                continue;
            }
            // As many as the system lets wait there: more come only while this daemon takes them.
            for _ in 0..BACKLOG {
                let Ok(client) = accept(&door.listener) else { break };
                self.late.push_back(client);
            }
            door.ready = false;
            if let Listener::Tcp(mut listener) = mem::replace(&mut door.listener, Listener::Closed) {
                // The system forgets a socket that is closed in any case.
                let _ = self.registry.deregister(&mut listener);
            }
        }
    }
}

/// Those of these addresses that are not among the others.
fn without(addresses: &[SocketAddr], others: &[SocketAddr]) -> Vec<SocketAddr> {
    addresses.iter().copied().filter(|address| !others.contains(address)).collect()
}

fn address(listener: &Listener) -> Option<SocketAddr> {
    match listener {
        Listener::Missing(address) => Some(*address),
        Listener::Tcp(listener) => listener.local_addr().ok(),
        _ => None,
    }
}
