//! Bytes ⇄ types, no state.
//!
//! Two families. *Packets* travel between daemons in datagrams: a [`Header`] and one body. They are ours alone, versioned, and
//! **big-endian** throughout. *Frames* travel between a client and its daemon on a stream; their layout is the classic one, and
//! each frame says its own byte order.
//!
//! Laws, tested for every format: decode(encode(p)) = p; every shorter prefix fails; no bytes at all can panic.

mod codec;
mod ids;
mod name;
mod slice;

pub use codec::{DecodeError, Reader, Writer};
pub use ids::{DaemonId, Incarnation, NetworkId, RingId, Service};
pub use name::{Name, NameError};
pub use slice::{Payload, Slice};
