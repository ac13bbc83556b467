//! The other end of a client's connection, for the log: an address and port, or a process and user, which the system
//! guarantees. The daemon asks when the client connects, because a broken connection cannot answer any more.

use std::fmt;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::AsRawFd;

#[cfg(unix)]
use crate::system::peer_credentials;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A TCP client.
    Tcp(SocketAddr),
    /// A program of this machine, as it was when it connected.
    #[cfg(unix)]
    Local { pid: Option<u32>, uid: u32 },
    /// The system does not tell.
    Unknown,
}

impl Origin {
    /// The process and user at the other end of a unix socket.
    #[cfg(unix)]
    pub(super) fn local(socket: &impl AsRawFd) -> Origin {
        peer_credentials(socket).map_or(Origin::Unknown, |(pid, uid)| Origin::Local { pid, uid })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Origin::Local { pid: Some(pid), uid } => write!(f, "process {pid} of user {uid}"),
            #[cfg(unix)]
            Origin::Local { pid: None, uid } => write!(f, "a process of user {uid}"),
            Origin::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn a_program_of_this_machine_is_known_by_process_and_user_even_when_it_has_gone() {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(far);
        let origin = Origin::local(&near);
        let Origin::Local { pid: Some(pid), uid } = origin else { panic!("{origin:?}") };
        assert_eq!(pid, std::process::id());
        assert_eq!(origin.to_string(), format!("process {pid} of user {uid}"));
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_unix_socket_has_no_credentials_that_mean_somebody() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Origin::local(&file), Origin::Unknown);
        assert_eq!(Origin::Unknown.to_string(), "unknown");
        assert_eq!(Origin::Tcp(([192, 0, 2, 1], 80).into()).to_string(), "192.0.2.1:80");
    }
}
