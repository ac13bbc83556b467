//! A scripted daemon on loopback: it says what the script says and keeps what the client said.

#![expect(clippy::disallowed_methods, reason = "a daemon beside the client needs a thread")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

/// A step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Read so many bytes, or what comes before the client closes.
    Hear(usize),
    /// Write these bytes.
    Say(Vec<u8>),
    /// Say no more.
    End,
}

/// A daemon that waits for one client.
pub struct FakeDaemon {
    port: u16,
    thread: JoinHandle<(TcpStream, Vec<u8>)>,
}

impl FakeDaemon {
    /// Starts a daemon that follows the script with the first client.
    pub fn start(script: Vec<Step>) -> FakeDaemon {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut heard = Vec::new();
            for step in script {
                match step {
                    Step::Hear(count) => heard.extend(hear(&mut stream, count)),
                    Step::Say(bytes) => say(&mut stream, &bytes),
                    Step::End => end(&stream),
                }
            }
            (stream, heard)
        });
        FakeDaemon { port, thread }
    }

    /// The name by which a client finds it.
    pub fn name(&self) -> String {
        format!("{}@127.0.0.1", self.port)
    }

    /// Waits for the end of the script; gives the connection and what was heard.
    pub fn finish(self) -> (TcpStream, Vec<u8>) {
        self.thread.join().unwrap()
    }
}

/// Writes, to a client that may have gone because of what it heard before.
fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Says no more, to a client that may have gone.
fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// Reads so many bytes, or what comes before the client closes.
pub fn hear(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.take(count as u64).read_to_end(&mut bytes);
    bytes
}
