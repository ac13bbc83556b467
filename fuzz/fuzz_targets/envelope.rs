//! Any bytes as what daemons say to each other in order. What can be read is written the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::wire::{ByteOrder, Envelope, MembershipBody, Payload};

fuzz_target!(|bytes: &[u8]| {
    let payload = Payload::from(bytes.to_vec());
    if let Ok(envelope) = Envelope::decode(&payload) {
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
    }
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let _ = MembershipBody::decode(bytes, order);
    }
});
