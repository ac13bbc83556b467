//! Changes the addresses for clients while the daemon runs. Connected clients stay, and so do those that wait at a door that is closed.

use std::mem;
use std::net::SocketAddr;

use super::{ACCEPT_BACKLOG, ClientAddresses, ListenError, Listener, Listeners, accept, tcp_addresses};

impl Listeners {
    /// Opens these addresses to TCP clients, and closes all others. If one cannot be opened, all doors are as they were.
    pub(in crate::daemon) fn change(&mut self, addresses: &ClientAddresses) -> Result<(), ListenError> {
        let wanted = tcp_addresses(addresses, self.port);
        let known = self.addresses();
        let (gone, new): (Vec<_>, Vec<_>) = (without(&known, &wanted), without(&wanted, &known));
        // Old doors close first: the system does not open a port on all addresses while the port is open on one of them, or the reverse.
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

    /// Opens doors again that were just closed. If another program has taken one since, it is tried again like a missing one.
    fn open_again(&mut self, addresses: &[SocketAddr]) {
        for &address in addresses {
            if self.open_at(address).is_err() {
                self.retry = Some(crate::time::Instant::ZERO);
                self.add(Listener::Missing(address)).expect("what is missing is not polled");
            }
        }
    }

    /// The TCP addresses of all doors, open or missing.
    fn addresses(&self) -> Vec<SocketAddr> {
        self.doors.iter().filter_map(|door| address(&door.listener)).collect()
    }

    /// Closes these doors. Clients that wait there are accepted first.
    fn close(&mut self, addresses: &[SocketAddr]) {
        for door in &mut self.doors {
            if !address(&door.listener).is_some_and(|address| addresses.contains(&address)) {
                continue;
            }
            // At most as many as the system lets wait: others came while this loop ran.
            for _ in 0..ACCEPT_BACKLOG {
                let Ok(client) = accept(&door.listener) else { break };
                self.late.push_back(client);
            }
            door.ready = false;
            if let Listener::Tcp(mut listener) = mem::replace(&mut door.listener, Listener::Closed) {
                // An error does not matter: the system forgets a closed socket in any case.
                let _ = self.registry.deregister(&mut listener);
            }
        }
    }
}

/// The addresses that are not among the others.
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
