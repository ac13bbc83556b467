//! The C face: the classic `SP_`, `E_` and `FL_` functions over `client`, the `torc_` functions over `daemon`, and the types and
//! constants of their headers.
//!
//! An exported function converts its arguments, calls `client` and maps the result, all inside `guard` or `guard_or`:
//! nothing unwinds into C. Everything `pub` here, except in `undeclared`, ends up in `include`, doc comments included, so they are
//! plain sentences for C readers. After a change run `BLESS=1 cargo test --test abi`.

#![expect(non_camel_case_types, reason = "the classic names")]
#![expect(
    clippy::missing_safety_doc,
    reason = "doc comments are header text, where every pointer is the caller's business"
)]

mod connect;
mod embedded;
mod errors;
mod events;
mod flush;
mod inside;
mod limits;
mod memb;
mod memory;
mod receive;
mod send;
mod tally;
mod types;
mod undeclared;

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use connect::*;
pub use embedded::*;
pub use errors::{SP_error, SP_strerror};
pub use events::*;
pub use flush::*;
pub use limits::*;
pub use memb::*;
pub use receive::*;
pub use send::*;
pub use tally::*;
pub use types::*;
pub use undeclared::*;

use errors::Code;

/// Runs an exported function: its number or its error's code, or `SP_BUG` if it panics.
fn guard(function: impl FnOnce() -> Result<c_int, Code>) -> c_int {
    guard_or(SP_BUG, || function().unwrap_or_else(|Code(code)| code))
}

/// Runs an exported function that does not return codes: its result, or this one if it panics.
fn guard_or<T>(otherwise: T, function: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(function)).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_code() {
        assert_eq!(guard(|| panic!("on purpose")), SP_BUG);
        assert_eq!(guard(|| Err(Code(ILLEGAL_GROUP))), ILLEGAL_GROUP);
        assert_eq!(guard(|| Ok(7)), 7);
        assert_eq!(guard_or("otherwise", || panic!("on purpose")), "otherwise");
    }
}
