//! Any bytes as a monitor's command to a daemon, and as a daemon's report to a monitor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spread::wire::{MonitorCommand, Report};

fuzz_target!(|bytes: &[u8]| {
    let _ = MonitorCommand::is_one(bytes);
    for daemons in [0, 1, 3, 128] {
        if let Ok(command) = MonitorCommand::decode(bytes, daemons) {
            assert_eq!(MonitorCommand::decode(&command.encode(), daemons).as_ref(), Ok(&command));
        }
    }
    if let Ok(report) = Report::decode(bytes) {
        assert_eq!(Report::decode(&report.encode()).as_ref(), Ok(&report));
    }
});
