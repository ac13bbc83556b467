//! The recorded conversations of classic clients and daemons, as tests read them, and the tables of what we do better.

use std::path::Path;

use serde_json::Value;
use spread::wire::{FrameHeader, FrameType, Name};

/// Handshakes that end differently here: the case, what we send, whether the conversation goes on, and why.
pub const HANDSHAKES_DONE_BETTER: [(&str, &str, bool, &str); 7] = [
    (
        "name of 3 with authentication choice in the same segment",
        "054e554c4c20010404000e23616264236c6f63616c686f7374",
        true,
        "exactly the announced bytes of the name are read",
    ),
    ("nothing sent", "", true, "the owner ends what stays half-open, nobody else waits meanwhile"),
    ("2 bytes only", "", true, "as above"),
    ("header without the announced name", "", true, "as above"),
    ("name arriving later than the header", "054e554c4c20", true, "a request may come in pieces"),
    ("authentication choice of 89 bytes", "054e554c4c20", true, "the 90th byte may still come"),
    (
        "authentication choice in two pieces",
        "054e554c4c20010404000e23616d36236c6f63616c686f7374",
        true,
        "a choice may come in pieces",
    ),
];

/// Frames after which the session fares differently here: the case, whether it goes on, and why.
pub const FRAMES_DONE_BETTER: [(&str, bool, &str); 5] = [
    ("service + REJECT bit", false, "only daemons reject"),
    ("service + SELF_DISCARD + REJECT bit", false, "only daemons reject"),
    ("body of 143121 bytes, 1 group", true, "a legal size"),
    ("body of 143920 bytes, 1 group (largest that passes the size check)", true, "a legal size"),
    ("end of stream without kill", true, "the end of the stream is the owner's to see"),
];

/// One unit of a recorded stream.
pub struct Recorded {
    /// Who wrote it.
    pub from_client: bool,
    /// Which of the protocol's units it is.
    pub what: String,
    /// The unit itself.
    pub bytes: Vec<u8>,
    fields: Vec<Value>,
}

impl Recorded {
    /// The unit of a vector's entry.
    pub fn new(frame: &Value) -> Recorded {
        Recorded {
            from_client: frame["dir"] == "client->daemon",
            what: text(&frame["what"]).to_owned(),
            bytes: unhex(text(&frame["hex"])),
            fields: frame["fields"].as_array().unwrap().clone(),
        }
    }

    /// The annotated values of all fields whose name starts like this.
    pub fn all(&self, name: &str) -> Vec<&Value> {
        self.fields.iter().filter(|field| text(&field[0]).starts_with(name)).map(|field| &field[3]).collect()
    }

    /// The annotated value of the first of them.
    pub fn field(&self, name: &str) -> &Value {
        self.all(name)[0]
    }
}

/// The vectors of a file.
pub fn load(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file).with_extension("json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The conversations of a file, each with the client's name.
pub fn sessions(file: &str) -> Vec<(String, Vec<Recorded>)> {
    let file = load(file);
    let named = file["sessions"].as_object().into_iter().flatten();
    named.map(|(client, session)| (client.clone(), units(&session["frames"]))).collect()
}

fn units(frames: &Value) -> Vec<Recorded> {
    frames.as_array().unwrap().iter().map(Recorded::new).collect()
}

/// A value that is a string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The bytes of hexadecimal digits.
pub fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Where a frame's names are: the sender or group, and the groups.
pub fn name_offsets(frame: &[u8]) -> impl Iterator<Item = usize> {
    let header = FrameHeader::decode(frame.first_chunk().unwrap());
    let groups = FrameHeader::SIZE + if header.kind.contains(FrameType::REJECT) { 4 } else { 0 };
    std::iter::once(4).chain((0..header.groups as usize).map(move |index| groups + Name::SIZE * index))
}

/// A frame with zeros after the NULs of its names, where the classic writers leave whatever was in their memory.
pub fn cleared(frame: &[u8]) -> Vec<u8> {
    let mut clean = frame.to_vec();
    for at in name_offsets(frame) {
        let name = &mut clean[at..at + Name::SIZE];
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(Name::SIZE);
        name[end..].fill(0);
    }
    clean
}

/// The bytes of a frame sent in a scripted case, the cut end of a long one filled up.
pub fn sent_frame(hex: &Value) -> Vec<u8> {
    let Some((front, length)) = text(hex).split_once("... (") else { return unhex(text(hex)) };
    let mut bytes = unhex(front);
    bytes.resize(length.trim_end_matches(" bytes)").parse().unwrap(), b'x');
    bytes
}

/// What a member of the group must get in place of what was recorded: no garbage, and only bits that mean nothing more.
pub fn received_frame(recorded: &str) -> Vec<u8> {
    let mut clean = cleared(&unhex(recorded));
    clean[..4].iter_mut().zip([0xff, 0, 0, 0xfe]).for_each(|(byte, mask)| *byte &= mask);
    clean
}
