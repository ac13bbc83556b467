//! An open session gets any bytes, in two pieces. What it hands out is never more than came in, and nothing follows its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::session::{Peer, Request, Session, SessionSettings};
use spread::wire::Name;

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
    session.handle_bytes(b"\x03\x0f\x00\x01\x04sess");
    let private_group = Name::new(b"#sess#localhost").expect("a short name");
    while let Some(request) = session.poll_request() {
        match request {
            Request::Hello(_) => session.admit(private_group),
            Request::Authenticated => session.open(),
            _ => {}
        }
    }
    assert!(session.is_open());
    let (first, second) = bytes.split_at(bytes.len().min(cut.into()));
    let (mut ended, mut handed_out) = (false, 0);
    for piece in [first, second] {
        session.handle_bytes(piece);
        while let Some(request) = session.poll_request() {
            assert!(!ended);
            match request {
                Request::Multicast { frame, .. } => handed_out += frame.len(),
                Request::Join(_) | Request::Leave(_) => {}
                _ => ended = true,
            }
        }
    }
    assert!(handed_out <= bytes.len());
});
