//! Any bytes as the handshake: a new session that meets them, and both sides' messages one by one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::session::{Peer, Request, Session, SessionSettings};
use spread::wire::{Answer, ConnectRequest, MethodChoice, MethodList, Name, Version};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((request, consumed))) = ConnectRequest::decode(bytes) {
        assert!(consumed <= bytes.len());
        let again = ConnectRequest::decode(&request.encode());
        assert!(matches!(again, Ok(Some((same, _))) if same == request));
    }
    if let Ok(Some((list, consumed))) = MethodList::decode(bytes) {
        assert!(consumed <= bytes.len());
        // A list that is written ends with a blank. One that is read may have its limit without one.
        if consumed <= MethodList::LIMIT {
            assert!(matches!(MethodList::decode(&list.encode()), Ok(Some((same, _))) if same == list));
        }
    }
    if let Some(choice) = bytes.first_chunk() {
        let _ = MethodChoice::decode(choice);
    }
    for version in [Version::OURS, Version::OLDEST] {
        let _ = Answer::decode(bytes, version);
    }
    let mut session = Session::new(&SessionSettings::default(), Peer::Unix);
    session.handle_bytes(bytes);
    while let Some(request) = session.poll_request() {
        match request {
            Request::Hello(_) => session.admit(Name::new(b"#sess#localhost").expect("a short name")),
            Request::Authenticated => session.open(),
            _ => {}
        }
    }
});
