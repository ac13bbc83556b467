//! The sending end of a check of the path between machines: sends numbered UDP packets in bursts. No daemon takes part.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a program, above the I/O line")]

mod tools {
    #[cfg_attr(not(test), expect(dead_code, reason = "it writes what sprecv reads"))]
    pub mod probe;
    pub mod program;
}

use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use socket2::SockRef;
use tools::probe::Probe;
use tools::program::{self, say};

/// Packets between two lines of progress.
const STEP: u32 = 1000;
/// The pause before the last packet, so that it does not overtake others.
const LAST_PAUSE: Duration = Duration::from_millis(10);
/// How often the program tries to send one packet; it pauses after each failure.
const TRIES: u32 = 100;
/// The pause after a failure.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

const EXAMPLES: &str = "\
Examples:
  sprecv                              on one machine, then on another:
  spsend -a 192.168.1.7               10000 packets of 1024 bytes to that machine
  spsend -a 239.77.0.1 -s 1400 -b 20  to a multicast address, in bursts of 20
  spsend -a 239.77.0.1 -i 10.0.0.1    to it by one of several interfaces

The exit status is 0, or 1 after an error.";

/// Send numbered UDP packets to sprecv
#[derive(Debug, Parser)]
#[command(name = "spsend", version, after_help = EXAMPLES)]
struct Arguments {
    /// Port to send to
    #[arg(short = 'p', value_name = "PORT", default_value_t = 4444)]
    port: u16,
    /// Address to send to: a machine, a multicast or a broadcast address
    #[arg(short = 'a', value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Address of the interface to send from
    #[arg(short = 'i', value_name = "IP")]
    interface: Option<Ipv4Addr>,
    /// Packets to send
    #[arg(short = 'n', value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(..i64::from(u32::MAX)))]
    packets: u32,
    /// Bytes of each packet
    #[arg(short = 's', value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(Probe::SIZE as i64..=Probe::LIMIT as i64))]
    size: u32,
    /// Packets in each burst
    #[arg(short = 'b', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    burst: u32,
    /// Pause after each burst, in milliseconds
    #[arg(short = 't', value_name = "MS", default_value_t = 10)]
    pause: u64,
}

fn main() -> ExitCode {
    program::run(env::args_os(), tool)
}

fn tool(arguments: &Arguments) -> Result<(), String> {
    let mut sender = Sender::new(arguments).map_err(|error| format!("cannot open a socket: {error}"))?;
    let start = Instant::now();
    for number in 1..=arguments.packets {
        sender.send(Probe { last: false, number, size: arguments.size })?;
        if number.is_multiple_of(STEP) {
            say(format_args!("sent {number} packets"));
        }
        if number.is_multiple_of(arguments.burst) {
            thread::sleep(Duration::from_millis(arguments.pause));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    thread::sleep(LAST_PAUSE);
    sender.send(Probe { last: true, number: arguments.packets + 1, size: arguments.size })?;
    let Arguments { packets, size, .. } = arguments;
    say(format_args!("sent {packets} packets of {size} bytes in {seconds:.3} s, {} sends failed", sender.failed));
    Ok(())
}

/// A socket and its destination.
struct Sender {
    socket: UdpSocket,
    to: SocketAddr,
    packet: Vec<u8>,
    failed: u64,
}

impl Sender {
    fn new(arguments: &Arguments) -> io::Result<Sender> {
        let to = SocketAddr::new(arguments.address, arguments.port);
        let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((arguments.interface.map_or(any, IpAddr::V4), 0))?;
        if let Some(interface) = &arguments.interface {
            // The address alone does not choose it: a multicast packet would leave by the default route.
            SockRef::from(&socket).set_multicast_if_v4(interface)?;
        }
        if to.is_ipv4() {
            socket.set_broadcast(true)?;
        }
        Ok(Sender { socket, to, packet: vec![0; arguments.size as usize], failed: 0 })
    }

    /// Sends a packet. After a failure it tries again.
    fn send(&mut self, probe: Probe) -> Result<(), String> {
        probe.encode(&mut self.packet);
        for _ in 1..TRIES {
            if self.socket.send_to(&self.packet, self.to).is_ok() {
                return Ok(());
            }
            self.failed += 1;
            thread::sleep(FAILURE_PAUSE);
        }
        let result = self.socket.send_to(&self.packet, self.to);
        result.map(|_| ()).map_err(|error| format!("cannot send to {}: {error}", self.to))
    }
}
