//! Which networks carry a packet, without I/O.
