//! What C programs are started with: daemons that play a script, a real one, or one of which they only get the program.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use spread::config::Settings;
use spread::daemon::{Options, Running, spawn};
use spread::ffi::*;
use spread::wire::{ByteOrder, Cause, FrameHeader, FrameType, GroupId, Hint, Name, RegularMembership};

use super::fake_daemon::{FakeDaemon, Step};

/// Bytes of a message to one group without a body.
pub const FRONT: usize = FrameHeader::SIZE + Name::SIZE;
/// Bytes of a whole handshake of a client called `me`.
pub const HANDSHAKE: usize = REQUEST + CHOICE;
/// How many messages `threads.c` sends and receives, and how long they are.
pub const BUSY: (usize, usize) = (200, 20);

/// No memory is shared with the daemon, or it is from the first message on.
pub const NEVER: &str = "never";
pub const ALWAYS: &str = "always";

/// How a program reaches a scripted daemon.
#[derive(Clone, Copy)]
pub enum Transport {
    Tcp,
    Unix,
    /// A unix socket, and memory is offered that the daemon does not take.
    Offer,
}

/// All of them. The first one is there on every system.
pub const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Unix, Transport::Offer];

/// Bytes of the connect request.
const REQUEST: usize = b"\x04\x04\x00\x01\x02me".len();
/// Bytes of the choice of methods.
const CHOICE: usize = 90;

/// The arguments of a program, and the daemons that they name.
#[derive(Default)]
pub struct Stage {
    pub arguments: Vec<String>,
    /// Whether the program shares memory with its daemon, if that is said.
    sharing: Option<&'static str>,
    scripted: Vec<FakeDaemon>,
    real: Option<Running>,
    /// What the last of the daemons that the program kills leaves behind.
    socket: Option<String>,
}

impl Stage {
    /// The stages on which a program is run, one after the other. Scripted daemons are reached over these transports.
    pub fn all_of(program: &str, transports: &[Transport]) -> Vec<Stage> {
        let each = |stage: &dyn Fn(Transport) -> Stage| transports.iter().map(|&transport| stage(transport)).collect();
        match program {
            "threads" => each(&|transport| Stage::scripted(transport, [busy_script()])),
            "short" => Stage::layers(transports, ["SP", "FL"], short_script),
            "fork" => Stage::layers(transports, ["", "flush"], |_| fork_script()),
            "arguments" => {
                let script = || then([Step::Hear(usize::MAX)]);
                each(&|transport| Stage::scripted(transport, [script(), script()]))
            }
            "answers" => each(&Stage::answering),
            "core" | "flush" | "lost" | "sessions" | "select" | "crossing" | "twins" | "watch" => {
                let [unix, shared] = [NEVER, ALWAYS].map(|how| Stage::real("").sharing(how));
                vec![Stage::real("@127.0.0.1"), unix, shared]
            }
            "unmodified" => vec![Stage::real("@127.0.0.1"), Stage::real("").sharing(ALWAYS)],
            "load" => vec![Stage::real("@127.0.0.1").with("200").with("2")],
            "large" => vec![Stage::real_with("@127.0.0.1", "MaxMessageSize = 1000017\n").with("1000017")],
            "sigpipe" => vec![Stage::default().with("SP_connect")],
            "embedded" => vec![Stage::inside().with("3"), Stage::inside().with("3").sharing(ALWAYS)],
            "killed" | "killed_flush" | "killed_events" => {
                let [unix, shared] = [NEVER, ALWAYS].map(|how| Stage::mortal("").sharing(how));
                vec![unix, shared, Stage::mortal("@127.0.0.1")]
            }
            _ => vec![Stage::default()],
        }
    }

    /// Waits for the ends of the scripts; gives what each daemon heard.
    pub fn end(self) -> Vec<Vec<u8>> {
        if let Some(daemon) = self.real {
            daemon.stop();
        }
        if let Some(socket) = self.socket {
            std::fs::remove_file(socket).unwrap();
        }
        self.scripted.into_iter().map(|daemon| daemon.finish().1).collect()
    }

    fn scripted(transport: Transport, scripts: impl IntoIterator<Item = Vec<Step>>) -> Stage {
        let (start, sharing): (fn(_) -> _, _) = match transport {
            Transport::Tcp => (FakeDaemon::start, None),
            Transport::Unix => (start_local, Some(NEVER)),
            Transport::Offer => (start_local, Some(ALWAYS)),
        };
        let scripted: Vec<_> = scripts.into_iter().map(start).collect();
        Stage { arguments: scripted.iter().map(FakeDaemon::name).collect(), scripted, sharing, ..Stage::default() }
    }

    /// A program over each transport, without and with the Flush layer, which an argument says.
    fn layers(transports: &[Transport], layers: [&str; 2], script: impl Fn(&str) -> Vec<Step>) -> Vec<Stage> {
        let stage = |transport, layer| {
            let stage = Stage::scripted(transport, [script(layer)]);
            if layer.is_empty() { stage } else { stage.with(layer) }
        };
        transports.iter().flat_map(|&transport| layers.map(|layer| stage(transport, layer))).collect()
    }

    fn with(mut self, argument: &str) -> Stage {
        self.arguments.push(argument.to_owned());
        self
    }

    /// For `answers.c`: each code that a daemon can answer with, and the ones without a daemon, three times each.
    fn answering(transport: Transport) -> Stage {
        let refusals =
            [REJECT_QUOTA, REJECT_NO_NAME, REJECT_ILLEGAL_NAME, REJECT_NOT_UNIQUE, REJECT_VERSION, REJECT_AUTH];
        let refusals = refusals.map(|code| (code, Step::Say(vec![code as u8])));
        let mut stage = Stage::default();
        for (code, answer) in refusals.into_iter().chain([(CONNECTION_CLOSED, Step::End)]) {
            let three = Stage::scripted(transport, (0..3).map(|_| vec![Step::Hear(REQUEST), answer.clone()]));
            stage = stage.with(&code.to_string());
            stage.arguments.extend(three.arguments);
            stage.scripted.extend(three.scripted);
        }
        for (code, address) in [(COULD_NOT_CONNECT, free_port().to_string()), (ILLEGAL_SPREAD, "no daemon".to_owned())]
        {
            stage = stage.with(&code.to_string()).with(&address).with(&address).with(&address);
        }
        stage
    }

    /// A daemon of this process, over TCP if a host is given.
    fn real(host: &str) -> Stage {
        Stage::real_with(host, "")
    }

    fn sharing(self, how: &'static str) -> Stage {
        Stage { sharing: Some(how), ..self }
    }

    /// What the program has in its environment.
    pub fn environment(&self) -> Option<(&'static str, &'static str)> {
        self.sharing.map(|how| ("SPREAD_SHARED_MEMORY", how))
    }

    /// A configuration of the daemons one and two, and their client port.
    fn inside() -> Stage {
        let port = free_port();
        let daemon = |name, host| format!("{name} 127.0.0.{host} {{ D 127.0.0.{host} C 127.0.0.{host} }}");
        let text = format!("Spread_Segment unicast:{port} {{ {} {} }}", daemon("one", 1), daemon("two", 2));
        Stage::default().with(&text).with(&port.to_string())
    }

    fn real_with(host: &str, lines: &str) -> Stage {
        let port = free_port();
        let daemon = daemon(port, lines);
        Stage { real: Some(daemon), ..Stage::default() }.with(&format!("{port}{host}"))
    }

    /// The program of a daemon with its configuration, and where it will listen, over TCP if a host is given.
    fn mortal(host: &str) -> Stage {
        let port = free_port();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mortal-{port}.conf"));
        std::fs::write(&file, configuration(port)).unwrap();
        let stage = Stage { socket: Some(format!("/tmp/{port}")), ..Stage::default() };
        stage.with(env!("CARGO_BIN_EXE_spread")).with(file.to_str().unwrap()).with(&format!("{port}{host}"))
    }
}

/// A scripted daemon at a unix socket.
fn start_local(script: Vec<Step>) -> FakeDaemon {
    let bind = |port| Some((port, UnixListener::bind(format!("/tmp/{port}")).ok()?));
    // The ports of TCP that are free may have sockets of these names all the same.
    let (port, listener) = std::iter::repeat_with(free_port).take(100).find_map(bind).expect("one of many is free");
    let place = format!("/tmp/{port}");
    let accept = move || {
        let stream = listener.accept().unwrap().0;
        std::fs::remove_file(place).unwrap();
        OwnedFd::from(stream).into()
    };
    FakeDaemon::start_at(port.to_string(), accept, script)
}

/// A daemon of this process at a port, with more lines in its configuration.
pub fn daemon(port: u16, lines: &str) -> Running {
    let text = format!("{}{lines}", configuration(port));
    let settings = Settings::parse("stage", text.as_bytes()).unwrap();
    spawn(Options::from_settings(&settings, &settings.table.daemons[0])).unwrap()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn configuration(port: u16) -> String {
    format!("Spread_Segment unicast:{port} {{ localhost 127.0.0.1 {{ D 127.0.0.1 C 127.0.0.1 }} }}\n")
}

/// A handshake that succeeds, and then this.
fn then(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let (list, answer) = (b"\x05NULL ".to_vec(), b"\x01\x04\x04\x00\x06#me#d1".to_vec());
    let mut script = vec![Step::Hear(REQUEST), Step::Say(list), Step::Hear(CHOICE), Step::Say(answer)];
    script.extend(steps);
    script
}

fn name(text: &[u8]) -> Name {
    Name::new(text).unwrap()
}

/// The front of a message of so many bytes.
fn header(data_len: usize) -> FrameHeader {
    FrameHeader {
        kind: FrameType::SAFE,
        name: name(b"#a#d1"),
        groups: 0,
        hint: Hint::new(0, ByteOrder::NATIVE),
        data_len: data_len as i32,
        order: ByteOrder::NATIVE,
    }
}

/// Says messages while it hears as many.
fn busy_script() -> Vec<Step> {
    let (count, length) = BUSY;
    let message = |number| [&header(length).encode()[..], &vec![number as u8; length]].concat();
    then([Step::Say((0..count).flat_map(message).collect()), Step::Hear(count * (FRONT + length))])
}

/// Says hello when the parent asks for it, and hears its end.
fn fork_script() -> Vec<Step> {
    let me = name(b"#me#d1");
    let hello = [&FrameHeader { groups: 1, ..header(5) }.encode()[..], me.field(), b"hello"].concat();
    then([Step::Hear(FRONT + b"go".len()), Step::Say(hello), Step::Hear(FRONT + 1), Step::End])
}

/// Says each kind of message as often as `short.c` tries it, numbered, once for one buffer and once for pieces.
fn short_script(layer: &str) -> Vec<Step> {
    const TRIES: usize = 5 * 5 * 2;
    let groups = [name(b"g"), name(b"#me#d1")];
    let change = RegularMembership {
        cause: Cause::Join,
        group: groups[0],
        members: &[name(b"#a#d1"), groups[1]],
        id: GroupId([1, 2, 3]),
        vs_sets: &[vec![name(b"#a#d1")]],
    };
    let data = |kind: FrameType, sender: &[u8], front: &[u8], number: usize| {
        let hint = Hint::new(number as i16, ByteOrder::NATIVE);
        let header = FrameHeader { kind, name: name(sender), groups: 2, hint, ..header(10) };
        [&header.encode()[..], front, groups[0].field(), groups[1].field(), b"abcdefghij"].concat()
    };
    let kinds = if layer == "FL" { 1 } else { 3 };
    let message = |number: usize| match number / TRIES % kinds {
        0 => data(FrameType::AGREED | FrameType::SELF_DISCARD, b"#a#d1", b"", number),
        1 => change.encode().for_vs_set(0).contiguous().to_vec(),
        _ => data(FrameType::REJECT, b"#me#d1", &FrameType::SAFE.encode(), number),
    };
    then([Step::Say((0..2 * kinds * TRIES).flat_map(message).collect())])
}
