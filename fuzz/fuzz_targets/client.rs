//! The client library against a daemon that says anything: whatever comes, each call returns, and no memory is taken for sizes that
//! are only claimed.
#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use libfuzzer_sys::fuzz_target;
use spread::client::{ConnectOptions, Mailbox, Received};
use spread::wire::{FrameType, Name};

/// What a daemon says to a client that it takes: no authentication, version 4.4.0, private group `#c#d`.
const WELCOME: &[u8] = b"\x05NULL \x01\x04\x04\x00\x04#c#d";

fuzz_target!(|input: (bool, &[u8])| {
    let (welcomed, bytes) = input;
    let (ours, mut daemon) = UnixStream::pair().expect("two sockets");
    if welcomed {
        daemon.write_all(WELCOME).expect("a socket takes as much");
    }
    // Longer inputs would have to be written while the client reads; the limit of the run is below what a socket takes.
    daemon.write_all(bytes).expect("a socket takes as much");
    daemon.shutdown(Shutdown::Write).expect("a socket");
    let options = ConnectOptions { private_name: "c".into(), ..ConnectOptions::default() };
    let Ok(mailbox) = Mailbox::connect_over(ours, &options) else { return };
    let group = Name::new(b"group").expect("a short name");
    let _ = mailbox.join(group);
    let _ = mailbox.multicast(FrameType::SAFE, &[group], 0, b"hello");
    while let Ok(received) = mailbox.receive() {
        if let Received::Message(message) = received {
            assert!(message.body.len() <= bytes.len());
        }
    }
    mailbox.disconnect();
});
