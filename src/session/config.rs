//! How clients authenticate, and what they may use.

use super::{AccessList, Passwords, Policy};
use crate::wire::MethodName;

/// How a daemon treats its clients.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// Methods that a client may choose. Default: NULL.
    pub allowed: Vec<Method>,
    /// Methods that must accept every client whatever it chose. Default: none.
    pub required: Vec<Method>,
    /// The clients that the methods IP and UNIX accept, by default nobody, and what clients may do with groups, by default everything.
    pub access: AccessList,
    /// The users of the method PWORD. Default: nobody.
    pub passwords: Passwords,
    /// The rights of clients. Default: everything.
    pub policy: Option<Policy>,
    /// The largest number of bytes, data and group names together, in one message. Default 16 MiB; classic libraries send less, see
    /// [`LIBRARY_LIMIT`](crate::wire::LIBRARY_LIMIT).
    pub message_limit: usize,
    /// The longest queue of messages for a client that does not read. Default 1000.
    pub max_session_messages: usize,
    /// The longest queue for a client in bytes, several of the largest messages. Default 64 MiB.
    pub max_outbox_bytes: usize,
    /// The treatment of a client with a longer queue; applied by the session's owner.
    pub slow_client: SlowClient,
    /// The most sessions of a daemon; applied by the session's owner. Default 10 000.
    pub quota: usize,
    /// Bytes that a daemon keeps for all its clients together: frames, large messages, groups; kept by the sessions' owner. Default 1 GiB;
    /// a daemon from a configuration file takes a quarter of the machine's memory.
    pub max_memory: usize,
    /// Sessions of one user: of the password file, of this machine, or of an address if neither is known; kept by the sessions' owner.
    /// Default: no limit of its own.
    pub max_user_sessions: usize,
    /// Bytes of frames of one user's sessions. Above it the session with the most bytes ends. Kept by the sessions' owner. Default: no
    /// limit of its own.
    pub max_user_memory: usize,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings {
            allowed: vec![Method::Null],
            required: Vec::new(),
            access: AccessList::default(),
            passwords: Passwords::default(),
            policy: None,
            message_limit: 16 << 20,
            max_session_messages: 1000,
            max_outbox_bytes: 64 << 20,
            slow_client: SlowClient::Disconnect,
            quota: 10_000,
            max_memory: 1 << 30,
            max_user_sessions: usize::MAX,
            max_user_memory: usize::MAX,
        }
    }
}

/// The treatment of a client that reads more slowly than others send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowClient {
    /// Above a limit its session ends, without any effect on others.
    #[default]
    Disconnect,
    /// Above a limit the daemon stops reading from those of its own clients that send to it, until it has caught up. So none of their
    /// messages is lost. Messages from other daemons are queued up to twice the bytes; then the session ends.
    BlockSenders,
    /// Above half the limit it receives no unreliable messages; above the limit its session ends.
    DropUnreliable,
}

/// A way to decide who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Everybody.
    Null,
    /// Clients whose address the access list has.
    Ip,
    /// Clients that send a user's name and password.
    Password,
    /// Users of this machine in the access list; the system names the user of a unix socket. The client sends nothing for it, so this method
    /// can be required of clients that do not know it.
    Unix,
}

impl Method {
    /// All methods, in the order in which they are offered.
    pub const ALL: [Method; 4] = [Method::Null, Method::Ip, Method::Password, Method::Unix];

    /// Its name in the handshake and in the configuration.
    pub const fn name(self) -> MethodName {
        match self {
            Method::Null => MethodName::NULL,
            Method::Ip => MethodName::IP,
            Method::Password => MethodName::PWORD,
            Method::Unix => MethodName::UNIX,
        }
    }

    /// The method of this name.
    pub fn from_name(name: MethodName) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}
