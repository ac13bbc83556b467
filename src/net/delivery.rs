//! The system's knowledge about the bytes of a TCP connection. Only Linux tells enough to distinguish a dead machine from a program that
//! does not read. The call needs unsafe code, so it is in this folder.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

use crate::time::Duration;

/// The system's counts of the bytes that were written to a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// Some have not been acknowledged.
    pub outstanding: bool,
    /// The time since the last packet from the other machine.
    pub silence: Duration,
    /// Packets that were sent again, since the beginning.
    pub repeated: u32,
    /// Zero-window probes since the last answer.
    pub probes: u8,
}

/// Asks the system how many of the written bytes have arrived.
#[cfg(target_os = "linux")]
pub(crate) fn delivery(socket: &impl AsRawFd) -> Option<Delivery> {
    // SAFETY: the structure is numbers, for which zero is a value.
    let mut found: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes at most `length` bytes to `found`, which has them.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut found).cast(), &mut length) };
    (result == 0).then(|| Delivery {
        outstanding: found.tcpi_unacked > 0 || found.tcpi_notsent_bytes > 0,
        silence: Duration::from_millis(found.tcpi_last_ack_recv.into()),
        repeated: found.tcpi_total_retrans,
        probes: found.tcpi_probes,
    })
}

/// The progress of the written bytes, which this system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn delivery<T>(_socket: &T) -> Option<Delivery> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_a_reader_has_no_room_for_is_outstanding_and_what_it_took_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_far, _) = listener.accept().unwrap();
        near.write_all(b"read or not, the other side has it").unwrap();
        while delivery(&near).unwrap().outstanding {
            std::thread::yield_now();
        }
        near.set_nonblocking(true).unwrap();
        while near.write(&[0; 1 << 16]).is_ok() {}
        assert!(delivery(&near).unwrap().outstanding);
    }

    #[test]
    fn what_is_no_connection_has_no_answer() {
        assert_eq!(delivery(&std::fs::File::open("/dev/null").unwrap()), None);
    }
}
