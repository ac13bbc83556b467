//! Any bytes as each of the files that say what a daemon is. A configuration that is taken is explained and written, and what is written
//! is read as the same; every mistake has a place in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::config::{Settings, explain};
use spread::seal::{Key, Keys};
use spread::session::{AccessList, Passwords};

fuzz_target!(|input: (u8, &[u8])| {
    let (file, bytes) = input;
    match file % 4 {
        0 => configuration(bytes),
        1 => _ = AccessList::parse(&String::from_utf8_lossy(bytes)),
        2 => _ = Passwords::parse(&String::from_utf8_lossy(bytes)),
        _ => keys(&String::from_utf8_lossy(bytes)),
    }
});

fn configuration(bytes: &[u8]) {
    match Settings::parse("f", bytes) {
        Ok(settings) => {
            assert!(!explain(&settings, None).is_empty());
            let written = settings.to_string();
            let again = Settings::parse("f", written.as_bytes()).expect("what is written can be read");
            assert_eq!(again.to_string(), written);
            assert!(again.differences(&settings).is_empty());
        }
        Err(error) => assert!(!error.0.is_empty() && error.0.iter().all(|error| error.at.line > 0)),
    }
}

fn keys(text: &str) {
    let Ok(keys) = text.parse::<Keys>() else { return };
    assert!(!keys.is_empty() && keys.ids().count() <= Keys::LIMIT);
    let written: Vec<String> = keys.iter().map(Key::to_line).collect();
    assert_eq!(written.join("\n").parse::<Keys>().as_ref(), Ok(&keys));
}
