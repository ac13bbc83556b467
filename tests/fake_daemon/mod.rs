//! A scripted daemon of this machine: it says what the script says and keeps what the client said.

#![expect(clippy::disallowed_methods, reason = "a daemon beside the client needs a thread")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use socket2::Socket;

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
    name: String,
    thread: JoinHandle<(Socket, Vec<u8>)>,
}

impl FakeDaemon {
    /// Starts a daemon that follows the script with the first client.
    pub fn start(script: Vec<Step>) -> FakeDaemon {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = format!("{}@127.0.0.1", listener.local_addr().unwrap().port());
        let accept = move || {
            let stream = listener.accept().unwrap().0;
            stream.set_nodelay(true).unwrap();
            stream.into()
        };
        FakeDaemon::start_at(name, accept, script)
    }

    /// Starts one that clients find by this name, and that accepts the first of them like this.
    pub fn start_at(name: String, accept: impl FnOnce() -> Socket + Send + 'static, script: Vec<Step>) -> FakeDaemon {
        FakeDaemon { name, thread: std::thread::spawn(move || follow(accept(), script)) }
    }

    /// The name by which a client finds it.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Waits for the end of the script; gives the connection over TCP and what was heard.
    pub fn finish(self) -> (TcpStream, Vec<u8>) {
        let (socket, heard) = self.thread.join().unwrap();
        (socket.into(), heard)
    }
}

/// Follows the script; gives what was heard.
fn follow(mut stream: Socket, script: Vec<Step>) -> (Socket, Vec<u8>) {
    let mut heard = Vec::new();
    for step in script {
        match step {
            Step::Hear(count) => heard.extend(hear(&mut stream, count)),
            Step::Say(bytes) => say(&mut stream, &bytes),
            Step::End => end(&stream),
        }
    }
    (stream, heard)
}

/// Writes, to a client that may have gone because of what it heard before.
fn say(stream: &mut Socket, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Says no more, to a client that may have gone.
fn end(stream: &Socket) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// Reads so many bytes, or what comes before the client closes.
pub fn hear(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.take(count as u64).read_to_end(&mut bytes);
    bytes
}
