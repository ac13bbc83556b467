//! chat DAEMON NAME: what you type goes to everybody; the end of the input is the end of your visit.

use std::error::Error;
use std::io::stdin;
use std::process::exit;
use std::sync::Arc;
use std::thread;

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::wire::{FrameType, Name};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, name] = &arguments[..] else {
        eprintln!("usage: chat DAEMON NAME");
        exit(2);
    };
    let options = ConnectOptions { daemon: daemon.clone(), private_name: name.clone(), ..Default::default() };
    let mailbox = Arc::new(Mailbox::connect(&options)?);
    let group = Name::new(b"chat").expect("short enough");
    mailbox.join(group)?;
    let typing = Arc::clone(&mailbox);
    #[expect(clippy::disallowed_methods, reason = "a program, above the I/O line")]
    thread::spawn(move || type_along(&typing, group));
    loop {
        match mailbox.receive()? {
            Received::Message(message) => println!("{}: {}", message.sender, String::from_utf8_lossy(&message.body)),
            Received::View(view) => {
                let members: Vec<String> = view.members.iter().map(Name::to_string).collect();
                println!("* here: {}", members.join(" "));
            }
            Received::Left(_) => break,
            Received::Transition(..) | Received::Refused(_) => {}
        }
    }
    mailbox.disconnect();
    Ok(())
}

fn type_along(mailbox: &Mailbox, group: Name) {
    for line in stdin().lines().map_while(Result::ok) {
        if mailbox.multicast(FrameType::AGREED, &[group], 0, line.as_bytes()).is_err() {
            return;
        }
    }
    // If this fails the other thread learns it too.
    let _ = mailbox.leave(group);
}
