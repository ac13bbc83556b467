//! A recorded session as the client's side of it is replayed: what the daemon says, what it must hear, and the commands' words.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int};

use crate::fake_daemon::Step;
use crate::recorded::unhex;
use serde_json::Value;
use spread::ffi::MAX_GROUP_NAME;

/// The recorded units that come before the first frame.
const HANDSHAKE: [&str; 5] =
    ["connect request", "authentication method list", "authentication choice", "accept", "refusal"];

/// The bytes of one client's session.
#[derive(Default)]
pub struct Recorded {
    /// The daemon's side of the handshake.
    pub handshake: Vec<Step>,
    /// The client's side of it.
    pub opening: Vec<u8>,
    /// The daemon's frames after it.
    pub said: VecDeque<Vec<u8>>,
    /// The client's frames after it.
    pub heard: VecDeque<Vec<u8>>,
}

impl Recorded {
    /// Reads a session of a file.
    pub fn new(session: &Value) -> Recorded {
        let mut recorded = Recorded::default();
        for frame in session["frames"].as_array().unwrap() {
            let bytes = unhex(frame["hex"].as_str().unwrap());
            let is_handshake = HANDSHAKE.contains(&frame["what"].as_str().unwrap());
            match (is_handshake, frame["dir"] == "daemon->client") {
                (true, true) => recorded.handshake.push(Step::Say(bytes)),
                (true, false) => {
                    recorded.handshake.push(Step::Hear(bytes.len()));
                    recorded.opening.extend(bytes);
                }
                (false, true) => recorded.said.push_back(bytes),
                (false, false) => recorded.heard.push_back(bytes),
            }
        }
        recorded
    }
}

/// A number of a command, decimal or hexadecimal.
pub fn number(word: &str) -> c_int {
    match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap() as c_int,
        None => word.parse().unwrap(),
    }
}

/// A name as a C array.
pub fn array(text: &str) -> [c_char; MAX_GROUP_NAME] {
    let mut array = [0; MAX_GROUP_NAME];
    array.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte as c_char);
    array
}

/// What a C array says.
pub fn string(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array.iter().map(|&byte| byte as u8).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap().to_owned()
}

/// Bytes as the files write them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
