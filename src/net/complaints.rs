//! Errors that Linux reports after it has accepted a datagram: the error queue of a socket.
//!
//! Such an error also makes the next call on the socket fail, although the error is not about that call.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use socket2::{SockAddr, SockAddrStorage};

/// Reports that one call takes from a socket.
const COMPLAINT_LIMIT: usize = 256;
/// Room for the control messages of one report: the error, and the address that reports it.
const CONTROL_SIZE: usize = 256;

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_SIZE]);

/// The errors of a socket's datagrams since the last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    /// The destinations that answered "port unreachable". Such an answer can be forged.
    pub refused: Vec<SocketAddr>,
    /// The largest packet that passes, if one was too large.
    pub packet_limit: Option<usize>,
    /// All of them.
    pub count: usize,
}

impl Complaints {
    /// Reads the queue.
    pub(super) fn take(socket: &UdpSocket) -> Complaints {
        let mut complaints = Complaints::default();
        while complaints.count < COMPLAINT_LIMIT {
            let Ok(word) = next(socket) else { break };
            complaints.count += 1;
            let Some(Word { error, to }) = word else { continue };
            match libc::c_int::try_from(error.ee_errno) {
                Ok(libc::ECONNREFUSED) => complaints.refused.extend(to),
                Ok(libc::EMSGSIZE) => {
                    let limit = usize::try_from(error.ee_info).ok().filter(|&limit| limit > 0);
                    complaints.packet_limit = limit.into_iter().chain(complaints.packet_limit).min();
                }
                _ => {}
            }
        }
        complaints
    }
}

/// One report about a datagram, and the datagram's destination.
struct Word {
    error: libc::sock_extended_err,
    to: Option<SocketAddr>,
}

/// The next report; empty if it is not about a datagram.
fn next(socket: &UdpSocket) -> io::Result<Option<Word>> {
    let mut control = Control([0; CONTROL_SIZE]);
    let mut to = SockAddrStorage::zeroed();
    // SAFETY: msghdr is plain C data, and all zeros mean no address, no parts, no control.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = (&raw mut to).cast();
    message.msg_namelen = to.size_of();
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_SIZE as _;
    // SAFETY: the message points at an address and a control buffer of the lengths that it says, which outlive the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel filled the control buffer and set its length; CMSG_FIRSTHDR gives null or a header that lies in it.
    let Some(header) = (unsafe { libc::CMSG_FIRSTHDR(&message).as_ref() }) else { return Ok(None) };
    match (header.cmsg_level, header.cmsg_type) {
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            // SAFETY: the data of these control messages begins with this plain C struct.
            let error = unsafe { libc::CMSG_DATA(header).cast::<libc::sock_extended_err>().read_unaligned() };
            // SAFETY: the kernel wrote an address of the length that it gave back.
            let to = unsafe { SockAddr::new(to, message.msg_namelen) };
            Ok(Some(Word { error, to: to.as_socket() }))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use socket2::SockRef;

    use super::super::platform;
    use super::*;

    fn socket() -> UdpSocket {
        UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
    }

    #[test]
    fn a_port_at_which_nobody_listens_is_told() {
        let (from, to) = (socket(), socket());
        platform::hear_complaints(&SockRef::from(&from), Ipv4Addr::LOCALHOST.into());
        let address = to.local_addr().unwrap();
        drop(to);
        from.send_to(b"anybody?", address).unwrap();
        let refused = Complaints { refused: vec![address], packet_limit: None, count: 1 };
        assert_eq!(Complaints::take(&from), refused);
        assert_eq!(Complaints::take(&from), Complaints::default());
    }
}
