//! The same programs on other systems: what was built for Windows runs in Wine, what was built for a processor with the other byte order
//! in an emulator. Their programs meet our daemons, their daemons meet our programs, and they share rings with ours.
//!
//! `tests/systems.sh` builds what is tried here, says where it lies, and runs these tests; nothing else does.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "programs of other systems are waited for, so long at most")]

mod binding;
mod byte_order;
#[path = "../fake_daemon/mod.rs"]
mod fake_daemon;
mod namespace;
#[path = "../process/mod.rs"]
mod process;
mod ring;
mod service;
#[path = "../c_calls/stage.rs"]
#[expect(dead_code, reason = "what the daemons heard is checked by the tests of this system")]
mod stage;
mod system;
mod windows;
