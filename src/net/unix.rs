//! The code that all Unix systems share: the machine's addresses and their interfaces, and the limit of descriptors.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use socket2::Socket;

use super::Interface;

/// This machine's addresses.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(Interfaces::snapshot()?.0.into_iter().map(|interface| interface.address).collect())
}

/// The addresses of this machine, each with the bits of its subnet.
pub fn local_subnets() -> io::Result<Vec<(IpAddr, u8)>> {
    Ok(Interfaces::snapshot()?.0.into_iter().map(|interface| (interface.address, interface.prefix)).collect())
}

/// Nothing: nobody else can bind an address and port here that does not share them.
#[expect(clippy::unnecessary_wraps, reason = "another system needs an option here")]
pub(crate) fn claim(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Lets this process have as many descriptors as the system grants, and says how many, if there is a limit.
pub fn raise_descriptor_limit() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system writes a valid rlimit and nothing else.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return None;
    }
    let before = limit.rlim_cur;
    for descriptors in [limit.rlim_max, limit.rlim_max.min(MODEST_LIMIT).max(limit.rlim_cur)] {
        limit.rlim_cur = descriptors;
        // SAFETY: the system reads a valid rlimit and nothing else.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } == 0 {
            return usize::try_from(descriptors).ok();
        }
    }
    usize::try_from(before).ok()
}

/// Some systems allow any number and then refuse it; none refuses this one.
const MODEST_LIMIT: libc::rlim_t = 10_240;

/// The machine's addresses at one moment.
#[derive(Debug)]
pub(super) struct Interfaces(Vec<Interface>);

impl Interfaces {
    /// The addresses now.
    pub(super) fn snapshot() -> io::Result<Interfaces> {
        let mut first = ptr::null_mut();
        // SAFETY: getifaddrs stores a list in `first`, which freeifaddrs below gives back after its last use.
        if unsafe { libc::getifaddrs(&mut first) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut found = Vec::new();
        let mut entry = first;
        while !entry.is_null() {
            // SAFETY: `entry` is a member of the list that getifaddrs made and nobody has given back yet.
            let current = unsafe { &*entry };
            found.extend(read(current));
            entry = current.ifa_next;
        }
        // SAFETY: `first` came from getifaddrs, and `found` has copies only.
        unsafe { libc::freeifaddrs(first) };
        Ok(Interfaces(found))
    }

    /// The interface that has this address, and this name if one is given.
    ///
    /// An interface with 127.0.0.1 has all of 127/8.
    pub(super) fn find(&self, own: IpAddr, name: Option<&str>) -> Option<Interface> {
        let named = |interface: &&Interface| name.is_none_or(|name| interface.name == name);
        let mut fitting = self.0.iter().filter(named);
        let exact = fitting.clone().find(|interface| interface.address == own);
        let loopback = || {
            let wanted = own.is_ipv4() && own.is_loopback();
            fitting.find(|interface| wanted && interface.address == Ipv4Addr::LOCALHOST)
        };
        exact.or_else(loopback).cloned()
    }
}

fn read(entry: &libc::ifaddrs) -> Option<Interface> {
    let address = address(entry.ifa_addr)?;
    // SAFETY: getifaddrs gives every entry a name that ends with NUL and lives as long as the list.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) };
    // SAFETY: as above.
    let index = unsafe { libc::if_nametoindex(entry.ifa_name) };
    let running = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_uint;
    Some(Interface {
        name: name.to_string_lossy().into_owned(),
        index,
        address,
        prefix: self::address(entry.ifa_netmask).map_or(u8::MAX, ones),
        running: entry.ifa_flags as libc::c_uint & running == running,
    })
}

/// The bits of a subnet mask that are set.
fn ones(mask: IpAddr) -> u8 {
    let count = match mask {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    u8::try_from(count).expect("an address has at most 128 bits")
}

fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: a non-null address of an entry is a sockaddr of the size that its family has.
    match i32::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in>()) };
            Some(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is a sockaddr_in6.
            let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
            Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_all_its_addresses_and_no_others() {
        let interfaces = Interfaces::snapshot().unwrap();
        let found = |own: [u8; 4], name| interfaces.find(own.into(), name);
        let loopback = found([127, 0, 0, 1], None).unwrap();
        assert!(loopback.running && loopback.index > 0 && loopback.prefix == 8);
        assert_eq!(found([127, 3, 2, 1], Some(&loopback.name)).as_ref(), Some(&loopback));
        assert_eq!(found([203, 0, 113, 7], None), None);
        assert_eq!(found([127, 0, 0, 1], Some("no such interface")), None);
    }
}
