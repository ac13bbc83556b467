//! The differences of Windows: a group or broadcast address cannot be bound.
//!
//! The unicast socket joins the group itself, and hears the broadcasts of its subnet anyway. An attempt to bind to an address shows
//! whether it is there; the list of all addresses tells a daemon which one of the configuration it is. A refused datagram is no error
//! of the socket that sent it.

use std::ffi::c_void;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::windows::io::{AsRawSocket, RawSocket};
use std::ptr;

use socket2::{Domain, Protocol, Socket, Type};
use tracing::debug;

use super::Interface;

/// The largest packet that leaves whole is not known here.
pub(super) fn packet_limit(_interface: &str) -> Option<usize> {
    None
}

/// This is the opposite of other systems: a refused datagram, or one that travelled too far, must not break the next receive.
pub(super) fn hear_complaints(socket: &Socket, _own: IpAddr) {
    for control in [SIO_UDP_CONNRESET, SIO_UDP_NETRESET] {
        if let Err(error) = switch_off(socket, control) {
            debug!(%error, control, "refused datagrams are errors of the socket");
        }
    }
}

/// Whether receiving fails after a datagram that the other machine refused, and after one whose hops were too few.
const SIO_UDP_CONNRESET: u32 = 0x9800_000c;
const SIO_UDP_NETRESET: u32 = 0x9800_000f;

#[link(name = "ws2_32")]
unsafe extern "system" {
    fn WSAIoctl(
        socket: RawSocket,
        control: u32,
        input: *const i32,
        input_size: u32,
        output: *mut c_void,
        output_size: u32,
        written: *mut u32,
        overlapped: *mut c_void,
        completion: *const c_void,
    ) -> i32;
    fn setsockopt(socket: RawSocket, level: i32, option: i32, value: *const i32, size: i32) -> i32;
}

/// Lets nobody else bind this address and port, whatever option they set. Without this any program may take them away.
pub(crate) fn claim(socket: &Socket) -> io::Result<()> {
    /// The system's SOL_SOCKET and SO_EXCLUSIVEADDRUSE.
    const LEVEL: i32 = 0xffff;
    const EXCLUSIVE: i32 = !4;
    let on = 1_i32;
    // SAFETY: the socket is open, and the call reads one number.
    let result = unsafe { setsockopt(socket.as_raw_socket(), LEVEL, EXCLUSIVE, &on, size_of_val(&on) as i32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn switch_off(socket: &Socket, control: u32) -> io::Result<()> {
    let (off, mut written) = (0_i32, 0_u32);
    let size = size_of_val(&off) as u32;
    // SAFETY: the socket is open; the call reads one BOOL, writes one number, and ends before both do.
    let result = unsafe {
        let (output, overlapped, completion) = (ptr::null_mut(), ptr::null_mut(), ptr::null());
        WSAIoctl(socket.as_raw_socket(), control, &off, size, output, 0, &mut written, overlapped, completion)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nothing: the system sends long datagrams in pieces.
pub(super) fn forbid_pieces(_socket: &Socket, _own: IpAddr) -> io::Result<()> {
    Ok(())
}

/// Whether a socket bound to a group or broadcast address hears it.
pub(super) const BINDS_TO_GROUP: bool = false;

/// The machine's addresses, asked for one by one.
#[derive(Debug)]
pub(super) struct Interfaces;

impl Interfaces {
    /// Nothing to list.
    pub(super) fn snapshot() -> io::Result<Interfaces> {
        Ok(Interfaces)
    }

    /// A nameless interface with this address, if it can be bound.
    pub(super) fn find(&self, own: IpAddr, _name: Option<&str>) -> Option<Interface> {
        let address = SocketAddr::new(own, 0);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).ok()?;
        socket.bind(&address.into()).ok()?;
        Some(Interface { name: String::new(), index: 0, address: own, prefix: u8::MAX, running: true })
    }
}

/// This machine's addresses.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(local_subnets()?.into_iter().map(|(ip, _)| ip).collect())
}

/// The addresses of this machine, each with the bits of its subnet.
pub fn local_subnets() -> io::Result<Vec<(IpAddr, u8)>> {
    // Aligned as the entries are. The system says how much it needs; more addresses may come in between.
    let mut room = vec![0_u64; 2048];
    loop {
        let mut size = size_of_val(&room[..]) as u32;
        // SAFETY: the room has `size` bytes, and the system writes no more into it.
        let result = unsafe {
            GetAdaptersAddresses(ANY_FAMILY, UNICAST_ONLY, ptr::null_mut(), room.as_mut_ptr().cast(), &mut size)
        };
        match result {
            // SAFETY: the system has filled the room with a list.
            DONE => return Ok(unsafe { unicast_addresses(room.as_ptr().cast()) }),
            NO_ADDRESSES => return Ok(Vec::new()),
            MORE_ROOM => room.resize(2 * size as usize / size_of::<u64>(), 0),
            error => return Err(io::Error::from_raw_os_error(error as i32)),
        }
    }
}

const ANY_FAMILY: u32 = 0;
/// Neither anycast nor multicast addresses, nor those of name servers.
const UNICAST_ONLY: u32 = 0x2 | 0x4 | 0x8;
/// The return values of the call.
const DONE: u32 = 0;
const MORE_ROOM: u32 = 111;
const NO_ADDRESSES: u32 = 232;

/// The beginning of the system's IP_ADAPTER_ADDRESSES.
#[repr(C)]
struct Adapter {
    length: u32,
    index: u32,
    next: *const Adapter,
    name: *const u8,
    unicast: *const UnicastAddress,
}

/// The system's IP_ADAPTER_UNICAST_ADDRESS.
#[repr(C)]
struct UnicastAddress {
    length: u32,
    flags: u32,
    next: *const UnicastAddress,
    address: *const u8,
    address_length: i32,
    origins_and_state: [i32; 3],
    lifetimes: [u32; 3],
    prefix: u8,
}

#[link(name = "iphlpapi")]
unsafe extern "system" {
    fn GetAdaptersAddresses(
        family: u32,
        flags: u32,
        reserved: *mut c_void,
        adapters: *mut Adapter,
        size: *mut u32,
    ) -> u32;
}

/// The addresses in a list of the system.
///
/// # Safety
///
/// The pointer is null, or the system filled what it points to.
unsafe fn unicast_addresses(mut adapter: *const Adapter) -> Vec<(IpAddr, u8)> {
    let mut found = Vec::new();
    // SAFETY: each pointer of the list is null or leads to the next entry.
    while let Some(entry) = unsafe { adapter.as_ref() } {
        let mut unicast = entry.unicast;
        // SAFETY: as above.
        while let Some(one) = unsafe { unicast.as_ref() } {
            let length = usize::try_from(one.address_length).unwrap_or(0);
            if !one.address.is_null() {
                // SAFETY: the address has the length that the system says.
                let bytes = unsafe { std::slice::from_raw_parts(one.address, length) };
                found.extend(ip_of(bytes).map(|ip| (ip, one.prefix)));
            }
            unicast = one.next;
        }
        adapter = entry.next;
    }
    found
}

/// The address in a SOCKADDR.
fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    const IPV4: u16 = 2;
    const IPV6: u16 = 23;
    match u16::from_ne_bytes(*bytes.first_chunk()?) {
        IPV4 => bytes.get(4..)?.first_chunk::<4>().map(|&octets| octets.into()),
        IPV6 => bytes.get(8..)?.first_chunk::<16>().map(|&octets| octets.into()),
        _ => None,
    }
}

/// Nothing: sockets are not counted here.
pub fn raise_descriptor_limit() -> Option<usize> {
    None
}

/// Nothing: the source address must be enough.
pub(super) fn hold_to(_socket: &Socket, _interface: &Interface) -> Option<u32> {
    None
}

/// Nothing: a socket hears only what it joined.
pub(super) fn hear_only_own_groups(_socket: &Socket, _group: IpAddr) {}

/// Nothing: a daemon hears its own broadcasts here, and drops them.
pub(super) fn hear_only_others(_socket: &Socket, _own: SocketAddr) {}

/// Joins a group on an interface.
pub(super) fn join(socket: &Socket, group: IpAddr, interface: &Interface) -> io::Result<()> {
    match (group, interface.address) {
        (IpAddr::V4(group), IpAddr::V4(address)) => socket.join_multicast_v4(&group, &address),
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, interface.index),
        (IpAddr::V4(_), IpAddr::V6(_)) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Sends to groups through an interface, whatever the routes say.
pub(super) fn send_through(socket: &Socket, interface: &Interface) -> io::Result<()> {
    match interface.address {
        IpAddr::V4(address) => socket.set_multicast_if_v4(&address),
        IpAddr::V6(_) => Ok(()),
    }
}

/// Asks for socket buffers of this size.
pub(super) fn enlarge_buffers(socket: &Socket, size: usize) {
    let result = socket.set_recv_buffer_size(size).and_then(|()| socket.set_send_buffer_size(size));
    if let Err(error) = result {
        debug!(%error, "socket buffers stay as they are");
    }
}

/// Nothing: the standard library's clock is as good as any here.
pub(super) fn boot_time() -> Option<std::time::Duration> {
    None
}

/// Nothing: datagrams come one by one.
pub(super) fn coalesce(_socket: &Socket) {}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    use socket2::SockAddr;

    use super::*;

    #[test]
    fn a_claimed_port_cannot_be_taken_away() {
        let bind = |address: &SockAddr, claims| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            if claims { claim(&socket) } else { socket.set_reuse_address(true) }?;
            socket.bind(address).map(|()| socket)
        };
        let own = bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), true).unwrap();
        assert!(bind(&own.local_addr().unwrap(), false).is_err());
    }

    #[test]
    fn a_refused_datagram_does_not_break_the_next_receive() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        let bound = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            socket.bind(&any).unwrap();
            socket
        };
        let (socket, nobody) = (bound(), bound().local_addr().unwrap());
        hear_complaints(&socket, IpAddr::from([127, 0, 0, 1]));
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for _ in 0..10 {
            assert_eq!(socket.send_to(b"nobody takes this", &nobody).unwrap(), 17);
        }
        let own = socket.local_addr().unwrap();
        socket.send_to(b"this", &own).unwrap();
        assert_eq!(socket.recv(&mut [MaybeUninit::uninit(); 100]).unwrap(), 4);
    }
}
