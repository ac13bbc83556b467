//! Any bytes as a datagram between daemons. What can be read is written the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::wire::{Fragment, Header, Packet, PacketKind, Reader, SizeAnswer, Slice};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::decode(&mut Reader::new(bytes)) {
        assert_eq!(header.encode(), bytes[..Header::SIZE]);
    }
    let body = Slice::copy_from(bytes);
    if let Ok(fragment) = Fragment::decode(&body) {
        assert_eq!(fragment.encode(), bytes);
    }
    if let Ok(answers) = SizeAnswer::decode_all(bytes) {
        assert_eq!(SizeAnswer::encode_all(&answers), bytes);
    }
    for kind in PacketKind::ALL {
        if let Ok(packet) = Packet::decode(kind, &body) {
            let again = Packet::decode(kind, &packet.encode());
            assert_eq!(again.as_ref(), Ok(&packet));
        }
    }
});
