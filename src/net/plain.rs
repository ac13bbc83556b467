//! Datagrams one by one, with only the calls that every system has.

use std::io;

use mio::net::UdpSocket;
use socket2::SockAddr;

use super::link::Tally;
use super::{Arrived, Buffers, Datagram, Intake, Remainder};
use crate::wire::Slice;

/// Datagrams taken in one call.
const RECEIVE_BATCH: usize = 64;
/// The longest that a datagram can be.
const RECEIVE_SIZE: usize = 1 << 16;

/// The receive buffer, which all calls share.
#[derive(Debug)]
pub(super) struct Batches {
    buffer: Vec<u8>,
}

impl Batches {
    /// One buffer for all settings. Each received datagram is copied out of it.
    pub(super) fn new(_: Buffers) -> Batches {
        Batches { buffer: vec![0; RECEIVE_SIZE] }
    }

    /// Sends a batch to one destination, in order, until there is no room. Returns how many datagrams it has sent or given up.
    /// Nothing is offloaded.
    pub(super) fn send(
        socket: &UdpSocket,
        to: &SockAddr,
        batch: &[Datagram<'_>],
        _offload: &mut bool,
        tally: &mut Tally<'_>,
    ) -> usize {
        let to = to.as_socket().expect("a destination is made from an internet address");
        let mut whole = Vec::new();
        for (sent, datagram) in batch.iter().enumerate() {
            whole.clear();
            whole.extend_from_slice(datagram.header);
            whole.extend_from_slice(datagram.body);
            match socket.send_to(&whole, to) {
                Ok(_) => tally.sent(1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return sent,
                Err(error) => tally.failed(1, error),
            }
        }
        batch.len()
    }

    /// Takes datagrams from a socket, up to one batch. The interface by which they came is not known here.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        _only: Option<u32>,
        into: &mut Vec<Arrived>,
    ) -> io::Result<Intake> {
        for _ in 0..RECEIVE_BATCH {
            match socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    into.push(Arrived { source: from.ip(), bytes: Slice::copy_from(&self.buffer[..length]) });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Intake { remainder: Remainder::Nothing, foreign: 0 });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Intake { remainder: Remainder::Unknown, foreign: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn datagrams_arrive_one_by_one_in_order() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [from, to] = [any, any].map(|address| UdpSocket::bind(address).unwrap());
        let address = to.local_addr().unwrap().into();
        let body = [9; 200];
        let batch: Vec<Datagram<'_>> = (0..100).map(|size| Datagram { header: b"h", body: &body[..size] }).collect();
        let counters = Tally::of(|tally| _ = Batches::send(&from, &address, &batch, &mut false, tally));
        assert_eq!((counters.sent, counters.failed), (100, 0));
        let mut arrived = Vec::new();
        let mut batches = Batches::new(Buffers::Shared);
        while batches.receive(&to, None, &mut arrived).unwrap().remainder == Remainder::Unknown {}
        assert_eq!(
            arrived.iter().map(|arrived: &Arrived| arrived.bytes.len()).collect::<Vec<_>>(),
            (1..=100).collect::<Vec<_>>()
        );
    }
}
