//! Datagrams in batches, on Linux: sendmmsg and recvmmsg, with segmentation (GSO) and coalescing (GRO) left to the kernel.
//!
//! The kernel's work for each packet costs far more than the system call, so up to 64 datagrams of equal size to one destination are sent as
//! one. If the kernel refuses that, they are sent one by one, and this is not tried again on the socket unless only the size was wrong.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

use mio::net::UdpSocket;
use socket2::SockAddr;

use super::link::Tally;
use super::{Arrived, Buffers, Datagram, Intake, Remainder};
use crate::wire::Slice;

/// Datagrams that the kernel takes as one send.
const RUN_LIMIT: usize = 64;
/// Bytes that the kernel takes as one send.
const RUN_BYTES: usize = 65_000;
/// Runs in one system call.
const SEND_BATCH: usize = 32;
/// Buffers in one system call; each may hold a whole coalesced run.
const RECEIVE_BATCH: usize = 32;
/// The longest that a datagram or a coalesced run can be.
const RECEIVE_SIZE: usize = 1 << 16;

/// Room for two control messages: one with a number in it, one with an interface and an address.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_SIZE]);

const CONTROL_SIZE: usize = 64;

/// Room for a source's address, an IPv6 one being the longest: family, port, and from byte 4 or 8 the address.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Source([u8; 28]);

const EMPTY_SOURCE: Source = Source([0; 28]);

/// The content of a receive buffer.
#[derive(Clone, Copy, Debug, Default)]
struct Arrival {
    length: usize,
    /// The size of each datagram in it, if there are several.
    segment: Option<usize>,
    /// The interface on which it came, if the kernel reports it.
    interface: Option<u32>,
    source: Option<IpAddr>,
}

impl Control {
    const EMPTY: Control = Control([0; CONTROL_SIZE]);
}

/// The receive buffers of all sockets, which all calls share.
#[derive(Debug)]
pub(super) struct Batches {
    buffer: Vec<u8>,
    buffers: Buffers,
}

impl Batches {
    /// The buffers.
    pub(super) fn new(buffers: Buffers) -> Batches {
        Batches { buffer: vec![0; RECEIVE_BATCH * RECEIVE_SIZE], buffers }
    }

    /// Sends a batch to one destination, in order, until there is no room. Returns how many datagrams it has sent or given up.
    /// `offload` says whether runs may be sent as one, and is cleared when the kernel cannot do that.
    ///
    /// An error may be about an earlier datagram. The system reports it once, so the refused datagram is tried again
    /// once.
    pub(super) fn send(
        socket: &UdpSocket,
        to: &SockAddr,
        batch: &[Datagram<'_>],
        offload: &mut bool,
        tally: &mut Tally<'_>,
    ) -> usize {
        let mut rest = batch;
        let mut single = 0;
        let mut is_second_try = false;
        while !rest.is_empty() {
            let runs = cut(rest, if *offload { single } else { rest.len() });
            match send_runs(socket, to, rest, &runs) {
                Ok(sent) => {
                    let count = runs[..sent].iter().sum();
                    tally.sent(count);
                    rest = &rest[count..];
                    single = single.saturating_sub(count);
                    is_second_try = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return batch.len() - rest.len(),
                Err(error) if runs[0] > 1 && refuses_runs(&error) => {
                    *offload = error.raw_os_error() == Some(libc::EMSGSIZE);
                    single = runs[0];
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && is_second_try => {
                    tally.too_long();
                    rest = &rest[1..];
                    single = single.saturating_sub(1);
                    is_second_try = false;
                }
                Err(_) if !is_second_try => {
                    tally.complained();
                    is_second_try = true;
                }
                Err(error) => {
                    tally.failed(runs[0], error);
                    rest = &rest[runs[0]..];
                    single = single.saturating_sub(runs[0]);
                    is_second_try = false;
                }
            }
        }
        batch.len()
    }

    /// Takes datagrams from a socket, up to one batch; only those from one interface, if one is given.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        only: Option<u32>,
        into: &mut Vec<Arrived>,
    ) -> io::Result<Intake> {
        let mut arrivals = [Arrival::default(); RECEIVE_BATCH];
        let count = match receive_runs(socket, &mut self.buffer, &mut arrivals) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let mut foreign = 0;
        for (arrival, bytes) in arrivals[..count].iter().zip(self.buffer.chunks_exact(RECEIVE_SIZE)) {
            if only.is_some() && arrival.interface != only {
                foreign += arrival.length.max(1).div_ceil(arrival.segment.unwrap_or(RECEIVE_SIZE)) as u64;
            } else {
                // The kernel coalesces what has one source, and always tells it.
                let source = arrival.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let parts = parts(arrival.length, arrival.segment);
                match self.buffers {
                    Buffers::Shared => {
                        let whole = Slice::copy_from(&bytes[..arrival.length]);
                        into.extend(parts.map(|part| Arrived { source, bytes: whole.part(part.start, part.end) }));
                    }
                    Buffers::Own => {
                        into.extend(parts.map(|part| Arrived { source, bytes: Slice::copy_from(&bytes[part]) }));
                    }
                }
            }
        }
        let remainder = if count < RECEIVE_BATCH { Remainder::Nothing } else { Remainder::Unknown };
        Ok(Intake { remainder, foreign })
    }
}

/// Cuts the front of a batch into runs, by length. The first `single` datagrams go one by one.
fn cut(batch: &[Datagram<'_>], mut single: usize) -> Vec<usize> {
    let mut runs = Vec::with_capacity(batch.len().min(SEND_BATCH));
    let mut rest = batch;
    while !rest.is_empty() && runs.len() < SEND_BATCH {
        let length = if single > 0 { 1 } else { run_length(rest) };
        single = single.saturating_sub(1);
        runs.push(length);
        rest = &rest[length..];
    }
    runs
}

/// How many datagrams at the front have one size, the last being perhaps shorter.
fn run_length(batch: &[Datagram<'_>]) -> usize {
    let size = batch[0].len();
    let most = RUN_BYTES.checked_div(size).unwrap_or(1).clamp(1, RUN_LIMIT);
    let equal = batch.iter().take(most).take_while(|datagram| datagram.len() == size).count();
    let shorter = |datagram: &Datagram<'_>| (1..size).contains(&datagram.len());
    if equal < most && batch.get(equal).is_some_and(shorter) { equal + 1 } else { equal }
}

/// Whether this error means that the kernel or device cannot send a run.
fn refuses_runs(error: &io::Error) -> bool {
    let refusals = [libc::EIO, libc::EINVAL, libc::EOPNOTSUPP, libc::ENOPROTOOPT, libc::EMSGSIZE];
    error.raw_os_error().is_some_and(|code| refusals.contains(&code))
}

/// One sendmmsg; how many runs were taken, at least one.
fn send_runs(socket: &UdpSocket, to: &SockAddr, batch: &[Datagram<'_>], runs: &[usize]) -> io::Result<usize> {
    let count: usize = runs.iter().sum();
    let parts = batch[..count].iter().flat_map(|datagram| [datagram.header, datagram.body]);
    let parts: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
    let mut controls = vec![Control::EMPTY; runs.len()];
    let mut messages = Vec::with_capacity(runs.len());
    let mut first = 0;
    for (&run, control) in runs.iter().zip(&mut controls) {
        let mut message = message(&parts[2 * first..2 * (first + run)]);
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.len();
        if run > 1 {
            attach_segment_size(&mut message, control, batch[first].len());
        }
        messages.push(libc::mmsghdr { msg_hdr: message, msg_len: 0 });
        first += run;
    }
    let (fd, length) = (socket.as_raw_fd(), messages.len() as libc::c_uint);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: each message points at parts, an address and a control buffer that outlive the call, with their true lengths;
    // the kernel writes to the messages' lengths only.
    let sent = unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), length, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// One recvmmsg; how many buffers were filled.
fn receive_runs(socket: &UdpSocket, buffer: &mut [u8], arrivals: &mut [Arrival; RECEIVE_BATCH]) -> io::Result<usize> {
    let mut parts: Vec<IoSliceMut<'_>> = buffer.chunks_exact_mut(RECEIVE_SIZE).map(IoSliceMut::new).collect();
    let mut controls = [Control::EMPTY; RECEIVE_BATCH];
    let mut sources = [EMPTY_SOURCE; RECEIVE_BATCH];
    let mut messages = Vec::with_capacity(RECEIVE_BATCH);
    for ((part, control), source) in parts.iter_mut().zip(&mut controls).zip(&mut sources) {
        let mut message = empty_message();
        message.msg_name = ptr::from_mut(source).cast();
        message.msg_namelen = mem::size_of_val(source) as _;
        message.msg_iov = ptr::from_mut(part).cast();
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_SIZE as _;
        messages.push(libc::mmsghdr { msg_hdr: message, msg_len: 0 });
    }
    let (fd, length) = (socket.as_raw_fd(), messages.len() as libc::c_uint);
    // SAFETY: each message points at one buffer, one control buffer and one address that outlive the call and are written by nobody
    // else; IoSliceMut has the layout of iovec.
    let count = unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), length, libc::MSG_DONTWAIT as _, ptr::null_mut()) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for ((arrival, message), source) in arrivals.iter_mut().zip(&messages[..count]).zip(&sources) {
        *arrival = Arrival { source: address_of(source), ..arrival_of(message) };
    }
    Ok(count)
}

/// The address that the kernel wrote.
fn address_of(source: &Source) -> Option<IpAddr> {
    let family = libc::c_int::from(u16::from_ne_bytes([source.0[0], source.0[1]]));
    match family {
        libc::AF_INET => {
            let bytes: [u8; 4] = source.0[4..8].try_into().expect("four bytes");
            Some(IpAddr::from(bytes))
        }
        libc::AF_INET6 => {
            let bytes: [u8; 16] = source.0[8..24].try_into().expect("sixteen bytes");
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

fn empty_message() -> libc::msghdr {
    // SAFETY: msghdr is plain C data, and all zeros mean no address, no parts, no control.
    unsafe { mem::zeroed() }
}

fn message(parts: &[IoSlice<'_>]) -> libc::msghdr {
    let mut message = empty_message();
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    message
}

/// Asks the kernel to cut the message into datagrams of this size.
fn attach_segment_size(message: &mut libc::msghdr, control: &mut Control, size: usize) {
    let size = u16::try_from(size).expect("a run has at least two datagrams in 65,000 bytes");
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(mem::size_of::<u16>() as _) } as _;
    // SAFETY: the control buffer is aligned and larger than a header with a u16, so the first header and its data lie in it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(mem::size_of::<u16>() as _) as _;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(size);
    }
}

/// The kernel's data about a filled buffer.
fn arrival_of(message: &libc::mmsghdr) -> Arrival {
    let mut arrival = Arrival { length: message.msg_len as usize, ..Arrival::default() };
    // SAFETY: the kernel filled the control buffer, which is still there, and set its length; CMSG_FIRSTHDR gives null or a
    // header that lies in it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&message.msg_hdr) };
    // SAFETY: `next` is null or a header in the control buffer.
    while let Some(header) = unsafe { next.as_ref() } {
        // SAFETY: CMSG_DATA only computes.
        let data = unsafe { libc::CMSG_DATA(header) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: the data of this control message is an int.
                let size = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                arrival.segment = usize::try_from(size).ok().filter(|&size| size > 0);
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the data of this control message is this struct.
                let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                arrival.interface = u32::try_from(info.ipi_ifindex).ok();
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the data of this control message is this struct.
                let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                arrival.interface = Some(info.ipi6_ifindex as _);
            }
            _ => {}
        }
        // SAFETY: `header` lies in the control buffer of the message; CMSG_NXTHDR gives null or the header after it.
        next = unsafe { libc::CMSG_NXTHDR(&message.msg_hdr, header) };
    }
    arrival
}

/// Where the datagrams are in a buffer of this length.
fn parts(length: usize, segment: Option<usize>) -> impl Iterator<Item = Range<usize>> {
    // An empty datagram is a datagram too.
    let size = segment.unwrap_or(length).max(1);
    (0..length.max(1)).step_by(size).map(move |start| start..length.min(start + size))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use socket2::SockRef;

    use super::super::platform;
    use super::*;

    static BYTES: [u8; RUN_BYTES] = [7; RUN_BYTES];

    fn batch(sizes: &[usize]) -> Vec<Datagram<'static>> {
        sizes.iter().map(|&size| Datagram { header: &BYTES[..size / 2], body: &BYTES[size / 2..size] }).collect()
    }

    #[test]
    fn a_run_ends_with_a_shorter_one_and_before_a_longer_one() {
        let runs = |sizes: &[usize]| cut(&batch(sizes), 0);
        assert_eq!(runs(&[100, 100, 40, 40, 40, 50]), [3, 2, 1]);
        assert_eq!(runs(&[100, 100, 100]), [3]);
        assert_eq!(runs(&[100, 0, 0]), [1, 1, 1]);
        assert_eq!(runs(&[50, 100]), [1, 1]);
    }

    #[test]
    fn runs_keep_the_kernels_limits() {
        assert_eq!(cut(&batch(&[10; 150]), 0), [64, 64, 22]);
        assert_eq!(cut(&batch(&[10_000; 8]), 0), [6, 2]);
        assert_eq!(cut(&batch(&[40_000, 40_000]), 0), [1, 1]);
        assert_eq!(cut(&batch(&[100; 40]), usize::MAX), [1; SEND_BATCH]);
        assert_eq!(cut(&batch(&[100; 5]), 2), [1, 1, 3]);
        let total: usize = cut(&batch(&[1000, 999].repeat(200)), 0).iter().sum();
        assert_eq!(total, 2 * SEND_BATCH);
    }

    #[test]
    fn a_coalesced_buffer_is_cut_by_the_size_of_its_datagrams() {
        let parts = |length, segment| parts(length, segment).map(|part| (part.start, part.end)).collect::<Vec<_>>();
        assert_eq!(parts(8, Some(3)), [(0, 3), (3, 6), (6, 8)]);
        assert_eq!((parts(3, None), parts(0, None)), (vec![(0, 3)], vec![(0, 0)]));
    }

    fn pair() -> (UdpSocket, UdpSocket, SockAddr) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let [from, to] = [any, any].map(|address| UdpSocket::bind(address).unwrap());
        let address = to.local_addr().unwrap().into();
        (from, to, address)
    }

    #[test]
    fn a_run_arrives_in_one_buffer() {
        let (from, to, address) = pair();
        super::super::platform::coalesce(&socket2::SockRef::from(&to));
        let (mut offload, mut arrived) = (true, Vec::new());
        Tally::of(|tally| _ = Batches::send(&from, &address, &batch(&[30; RUN_LIMIT]), &mut offload, tally));
        let intake = Batches::new(Buffers::Shared).receive(&to, None, &mut arrived).unwrap();
        if offload {
            assert_eq!((arrived.len(), intake.remainder), (RUN_LIMIT, Remainder::Nothing));
            assert_eq!(arrived[0].bytes.retained(), 30 * RUN_LIMIT, "they share it");
        }
        arrived.clear();
        Tally::of(|tally| _ = Batches::send(&from, &address, &batch(&[30; RUN_LIMIT]), &mut offload, tally));
        Batches::new(Buffers::Own).receive(&to, None, &mut arrived).unwrap();
        assert!(arrived.iter().all(|arrived| arrived.bytes.len() == 30 && arrived.bytes.retained() == 30));
    }

    #[test]
    fn what_came_by_another_interface_is_thrown_away_and_counted() {
        let (from, to, address) = pair();
        let to_reference = SockRef::from(&to);
        platform::coalesce(&to_reference);
        platform::request_interfaces(&to_reference, [127, 0, 0, 1].into()).unwrap();
        let interfaces = platform::Interfaces::snapshot().unwrap();
        let loopback = interfaces.find([127, 0, 0, 1].into(), None).unwrap().index;
        let (mut arrived, mut batches) = (Vec::new(), Batches::new(Buffers::Shared));
        for (only, accepted) in [(Some(loopback), 5), (Some(loopback + 1), 0), (None, 5)] {
            Tally::of(|tally| _ = Batches::send(&from, &address, &batch(&[30; 5]), &mut true, tally));
            arrived.clear();
            let intake = batches.receive(&to, only, &mut arrived).unwrap();
            assert_eq!((arrived.len(), intake.foreign), (accepted, 5 - accepted as u64), "{only:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_the_rest_is_sent() {
        let (from, to, address) = pair();
        let mut sizes = batch(&[10, 20]);
        sizes.insert(1, Datagram { header: &BYTES, body: &BYTES });
        let mut offload = true;
        let counters = Tally::of(|tally| _ = Batches::send(&from, &address, &sizes, &mut offload, tally));
        assert_eq!((counters.sent, counters.too_long, counters.failed), (2, 1, 0));
        let mut arrived = Vec::new();
        Batches::new(Buffers::Shared).receive(&to, None, &mut arrived).unwrap();
        assert_eq!(arrived.iter().map(|arrived| arrived.bytes.len()).collect::<Vec<_>>(), [10, 20]);
        assert!(arrived.iter().all(|arrived| arrived.source == IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn where_runs_are_refused_the_datagrams_go_one_by_one() {
        let (from, to, address) = pair();
        let off: libc::c_int = 1;
        let size = mem::size_of_val(&off) as libc::socklen_t;
        // SAFETY: the kernel reads one int.
        let set = unsafe {
            let value = (&raw const off).cast();
            libc::setsockopt(from.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, value, size)
        };
        assert_eq!(set, 0);
        let mut offload = true;
        let counters = Tally::of(|tally| _ = Batches::send(&from, &address, &batch(&[30; 50]), &mut offload, tally));
        assert_eq!((counters.sent, counters.failed, offload), (50, 0, false));
        let mut arrived = Vec::new();
        let mut batches = Batches::new(Buffers::Shared);
        while batches.receive(&to, None, &mut arrived).unwrap().remainder == Remainder::Unknown {}
        assert_eq!(arrived.len(), 50);
    }
}
