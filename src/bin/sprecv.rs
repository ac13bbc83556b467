//! The receiving end of a check of the path between machines: counts the packets of spsend, and the missing and damaged ones.
//! It reports each run, and runs until it is stopped.

#![expect(clippy::disallowed_types, reason = "a program, above the I/O line")]

mod tools {
    #[cfg_attr(not(test), expect(dead_code, reason = "it reads what spsend writes"))]
    pub mod probe;
    pub mod program;
}

use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::ExitCode;

use clap::Parser;
use socket2::SockRef;
use tools::probe::Probe;
use tools::program::{self, say};

/// The size of the socket buffer, so that a burst is not lost in this machine.
const SOCKET_BUFFER: usize = 2 << 20;
/// A packet whose number is further back than this was not overtaken: a new run has begun.
const OVERTAKEN_LIMIT: u32 = 1000;

const EXAMPLES: &str = "\
Examples:
  sprecv                    count packets on port 4444
  sprecv -a 239.77.0.1 -d   join that multicast address and report each gap
  sprecv -p 5000 -i 10.0.0.1
                            listen on one interface only

It runs until it is stopped. The exit status is 1 after an error.";

/// Count the UDP packets of spsend
#[derive(Debug, Parser)]
#[command(name = "sprecv", version, after_help = EXAMPLES)]
struct Arguments {
    /// Port to listen on
    #[arg(short = 'p', value_name = "PORT", default_value_t = 4444)]
    port: u16,
    /// Multicast address to join
    #[arg(short = 'a', value_name = "IP", value_parser = multicast)]
    group: Option<Ipv4Addr>,
    /// Address of the interface to listen on
    #[arg(short = 'i', value_name = "IP", default_value_t = Ipv4Addr::UNSPECIFIED)]
    interface: Ipv4Addr,
    /// Report each gap
    #[arg(short = 'd')]
    gaps: bool,
}

fn main() -> ExitCode {
    program::run(env::args_os(), tool)
}

fn multicast(text: &str) -> Result<Ipv4Addr, String> {
    let address: Ipv4Addr = text.parse().map_err(|_| "not an IPv4 address".to_owned())?;
    if address.is_multicast() { Ok(address) } else { Err("not a multicast address".to_owned()) }
}

fn tool(arguments: &Arguments) -> Result<(), String> {
    let socket = open(arguments).map_err(|error| format!("cannot listen at port {}: {error}", arguments.port))?;
    say(format_args!("listening at {}", socket.local_addr().map_err(|error| error.to_string())?));
    let mut packet = vec![0; Probe::LIMIT];
    let mut run = Run::default();
    loop {
        let length = socket.recv(&mut packet).map_err(|error| format!("cannot receive: {error}"))?;
        let news = run.take(&packet[..length]);
        if let Some(gap) = news.gap
            && arguments.gaps
        {
            say(format_args!("missing {gap}"));
        }
        if let Some(report) = news.report {
            say(report);
        }
    }
}

fn open(arguments: &Arguments) -> io::Result<UdpSocket> {
    // A socket that is bound to an interface's address does not receive multicast.
    let at = if arguments.group.is_some() { Ipv4Addr::UNSPECIFIED } else { arguments.interface };
    let socket = UdpSocket::bind((IpAddr::V4(at), arguments.port))?;
    // An error does not matter: a smaller buffer works too.
    let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER);
    if let Some(group) = &arguments.group {
        socket.join_multicast_v4(group, &arguments.interface)?;
    }
    Ok(socket)
}

/// The packets of one run of spsend.
#[derive(Debug, Default)]
struct Run {
    /// Highest number so far.
    highest: u32,
    received: u64,
    missed: u64,
    corrupted: u64,
}

/// The facts that a packet shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    /// Numbers that did not come.
    gap: Option<String>,
    /// The end of a run.
    report: Option<String>,
}

impl Run {
    fn take(&mut self, packet: &[u8]) -> News {
        let Some(probe) = Probe::decode(packet) else {
            self.corrupted += 1;
            return News::default();
        };
        let mut news = News::default();
        if self.highest > 0 && (probe.number == 1 || probe.number < self.highest.saturating_sub(OVERTAKEN_LIMIT)) {
            news.report = Some(self.end());
        }
        self.corrupted += u64::from(probe.size as usize != packet.len());
        news.gap = self.count(probe.number);
        if probe.last {
            // The last packet only ends the run; it is not one of the packets to count.
            self.received -= 1;
            news.report = Some(self.end());
        }
        news
    }

    /// Counts a packet by its number. Returns the missing numbers before it.
    fn count(&mut self, number: u32) -> Option<String> {
        self.received += 1;
        if number <= self.highest {
            // It was overtaken, so it had been counted as missing.
            self.missed = self.missed.saturating_sub(1);
            return None;
        }
        let first = self.highest + 1;
        self.missed += u64::from(number - first);
        self.highest = number;
        (first < number)
            .then(|| if first == number - 1 { first.to_string() } else { format!("{first} to {}", number - 1) })
    }

    /// Ends the run; the next packet begins another one.
    fn end(&mut self) -> String {
        let Run { received, missed, corrupted, .. } = std::mem::take(self);
        format!("received {received} packets, missed {missed}, corrupted {corrupted}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(run: &mut Run, number: u32) -> News {
        take_probe(run, Probe { last: false, number, size: 20 })
    }

    fn take_last(run: &mut Run, number: u32) -> News {
        take_probe(run, Probe { last: true, number, size: 20 })
    }

    fn take_probe(run: &mut Run, probe: Probe) -> News {
        let mut packet = [0; 20];
        probe.encode(&mut packet);
        run.take(&packet)
    }

    fn report(news: News) -> String {
        news.report.expect("a run ended")
    }

    #[test]
    fn gaps_are_found_by_number() {
        let mut run = Run::default();
        assert_eq!(take(&mut run, 2).gap.as_deref(), Some("1"));
        assert_eq!(take(&mut run, 3).gap, None);
        assert_eq!(take(&mut run, 7).gap.as_deref(), Some("4 to 6"));
        assert_eq!(report(take_last(&mut run, 9)), "received 3 packets, missed 5, corrupted 0");
    }

    #[test]
    fn an_overtaken_packet_is_not_missing() {
        let mut run = Run::default();
        for number in [1, 3, 2, 4] {
            take(&mut run, number);
        }
        assert_eq!(report(take_last(&mut run, 5)), "received 4 packets, missed 0, corrupted 0");
    }

    #[test]
    fn numbers_that_start_again_end_the_run() {
        let mut run = Run::default();
        take(&mut run, 2000);
        assert_eq!(report(take(&mut run, 1)), "received 1 packets, missed 1999, corrupted 0");
        take(&mut run, 2000);
        assert_eq!(report(take(&mut run, 2)), "received 2 packets, missed 1998, corrupted 0");
    }

    #[test]
    fn a_packet_of_another_size_or_kind_is_corrupted() {
        let mut run = Run::default();
        let mut packet = [0; 20];
        Probe { last: false, number: 1, size: 21 }.encode(&mut packet);
        run.take(&packet);
        run.take(b"short");
        run.take(&[0xff; 20]);
        assert_eq!(report(take_last(&mut run, 2)), "received 1 packets, missed 0, corrupted 3");
    }
}
