//! Any words as what a client writes to the memory that it shares with its daemon, while the daemon reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::pipe::{LARGE, Next, Pipe, Reader, Writer};

fuzz_target!(|bytes: &[u8]| {
    let (pipe, mut reader, mut writer) = (Box::<Pipe>::default(), Reader::default(), Writer::default());
    let mut room = vec![0; LARGE];
    for step in bytes.chunks(9) {
        let (&[what], rest) = step.split_at(1) else { return };
        match what % 6 {
            // The memory changes at any place.
            0 | 1 => pipe.disturb(what as usize / 6 % 44, number(rest)),
            2 => pipe.disturb(number(rest) as usize, number(rest)),
            3 => _ = writer.write(&pipe, &[std::io::IoSlice::new(rest)]),
            4 => _ = (reader.sleep(&pipe), writer.must_ring(&pipe), writer.bell(&pipe), writer.wait(&pipe)),
            _ => _ = (writer.announce(&pipe, number(rest) as usize >> 8), reader.release(&pipe)),
        }
        for _ in 0..4 {
            match reader.next(&pipe, &mut room) {
                Ok(Next::Bytes(count)) => assert!(count <= LARGE),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
});

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
