//! What reaches a UDP socket depends on how it was bound, and on the system. `tests/windows/binding.c` tries the ways; here it is written
//! down what comes, and that the way of our daemons hears everything they need.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use super::namespace::{ADDRESSES, BROADCAST, Namespaces};
use super::ring;
use super::system::System;

const GROUP: &str = "239.98.0.1";
const FIRST_PORT: &str = "4980";

/// Sends each of the three to as many ports as there are ways. Arguments: own address, broadcast address, group, unicast address, port.
const SENDER: &str = r#"
import socket, sys
own, everybody, group, one, port = *sys.argv[1:5], int(sys.argv[5])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind((own, 0))
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
for way in range(7):
    for word, to in (b"multicast", group), (b"broadcast", everybody), (b"unicast", one):
        sender.sendto(word, (to, port + way))
"#;

/// What comes, way by way. On Linux a socket that is bound to no address hears every group that any socket of the machine joined.
const ON_LINUX: &str = "\
any: multicast broadcast unicast
any + membership: multicast broadcast unicast
interface: unicast
interface + membership: unicast
group: multicast
group + membership: multicast
broadcast: broadcast
";

/// In Wine 8 the kernel is that of Linux, but whatever a socket is bound to, Wine binds it to the device that has the address, or to none.
/// On Windows itself a group or broadcast address cannot be bound, an interface hears the broadcasts of its subnet, and nobody
/// hears a group that they did not join: what is common to both is the way of our daemons, interface and membership.
const IN_WINE: &str = "\
any: multicast broadcast unicast
any + membership: multicast broadcast unicast
interface: multicast broadcast unicast
interface + membership: multicast broadcast unicast
group: multicast broadcast unicast
group + membership: multicast broadcast unicast
broadcast: multicast broadcast unicast
";

/// What comes by each way on a system, from another machine.
fn matrix(system: &System, namespaces: &Namespaces) -> String {
    let program = system.compile("tests/windows/binding.c");
    let receiver = system.inside(&namespaces.enter(0));
    let mut command = receiver.command(&program);
    command.args([ADDRESSES[0], BROADCAST, GROUP, FIRST_PORT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut receiver = command.spawn().unwrap();
    let mut output = BufReader::new(receiver.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "ready");
    let enter = namespaces.enter(1);
    let mut sender = Command::new(&enter[0]);
    sender.args(&enter[1..]).args(["python3", "-c", SENDER]);
    sender.args([ADDRESSES[1], BROADCAST, GROUP, ADDRESSES[0], FIRST_PORT]);
    assert!(sender.status().unwrap().success());
    // What was sent over a cable within one machine is there when the send returns.
    receiver.stdin.take().unwrap().write_all(b"sent\n").unwrap();
    let mut found = String::new();
    output.read_to_string(&mut found).unwrap();
    assert!(receiver.wait().unwrap().success());
    found.replace('\r', "")
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_ways_of_binding_hear_what_is_on_record() {
    let namespaces = Namespaces::new();
    let found = matrix(&System::windows(), &namespaces);
    println!("{found}");
    assert_eq!(found, IN_WINE);
    assert_eq!(matrix(&System::here(), &namespaces), ON_LINUX);
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_a_daemon_knows_the_addresses_of_its_machine() {
    let namespaces = Namespaces::new();
    let windows = System::windows();
    let file = windows.scratch().join("addresses.conf");
    let [one, two] = ADDRESSES;
    fs::write(&file, format!("Spread_Segment {BROADCAST}:4803 {{ one {one} two {two} }}\n")).unwrap();
    let inside = windows.inside(&namespaces.enter(1));
    let printed = inside.run(&windows.program("spread"), &["--check", &windows.path(&file)]);
    assert!(printed.contains(&format!("two, id {two} (this daemon)")), "{printed}");
}

#[test]
#[ignore = "make check-windows builds what it tries"]
fn windows_hears_the_group_and_the_subnet_as_others_do() {
    let namespaces = Namespaces::new();
    let systems = [System::windows().inside(&namespaces.enter(0)), System::here().inside(&namespaces.enter(1))];
    let systems = [&systems[0], &systems[1]];
    for segment in [GROUP, BROADCAST] {
        ring::orders_the_same_at(&systems, segment, &ADDRESSES, 1000);
    }
}
