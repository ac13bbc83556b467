//! Bytes ⇄ types, no state.
//!
//! Two families. *Packets* travel between daemons in datagrams: a [`Header`] and one body. They are ours alone, versioned, and
//! **big-endian** throughout. *Frames* travel between a client and its daemon on a stream; their layout is the classic one, and
//! each frame says its own byte order.
//!
//! Laws, tested for every format: decode(encode(p)) = p; every shorter prefix fails; no bytes at all can panic.

mod codec;
mod data;
mod envelope;
mod explain;
mod form;
mod fragment;
mod frame;
mod greeting;
mod handshake;
mod header;
mod ids;
mod join;
mod limits;
mod membership;
mod monitor;
mod name;
mod packet;
mod probe;
mod report;
mod rest;
mod sizes;
mod slice;
mod token;

pub use codec::{DecodeError, Reader, Writer};
pub use data::{Claim, Data, MESSAGE_PREFIX};
pub use envelope::{Basis, Envelope, ExchangeState, GroupState, Piece};
pub use explain::explain;
pub use form::{Brings, Form, FormMember, FormPart};
pub use fragment::Fragment;
pub use frame::{
    ByteOrder, CLASSIC_DAEMON_LIMIT, FrameHeader, FrameType, Hint, LIBRARY_LIMIT, MAX_GROUPS, MESSAGE_LIMIT,
    decode_names, encode_reject,
};
pub use greeting::Greeting;
pub use handshake::{
    Answer, AnswerError, Arrived, ConnectRequest, ListError, MethodChoice, MethodList, MethodName, PrivateName,
    Refusal, Version,
};
pub use header::{Head, Header, PacketKind, Protection, SealTag, Way};
pub use ids::{DaemonId, Incarnation, NetworkId, RingId, Service};
pub use join::Join;
pub use limits::Limits;
pub use membership::{
    Cause, EncodedMembership, GroupId, MembershipBody, RegularMembership, encode_self_leave, encode_transitional,
};
pub use monitor::{FlowControl, MonitorCommand, MonitorRequest, Report};
pub use name::{Name, NameError};
pub use packet::Packet;
pub use probe::Probe;
pub(crate) use report::{KeyBytes, MeasureBytes};
pub use report::{Keys, Measure, Measures, PathReport};
pub use rest::{Have, Rest};
pub use sizes::{SizeAnswer, SizeProbe};
pub use slice::{Payload, Slice};
pub use token::Token;
