//! Any bytes as a report of paths. What can be read is written the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::wire::{PathReport, Reader};

fuzz_target!(|bytes: &[u8]| {
    let _ = PathReport::decode_front(&mut Reader::new(bytes));
    if let Ok(report) = PathReport::decode(bytes) {
        assert_eq!(report.encode(), bytes);
        assert!(report.measures.iter().count() <= bytes.len());
    }
});
