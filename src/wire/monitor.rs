//! The classic monitor's packets: commands to a daemon by UDP, on the port of the daemons' own packets, and its report.
//!
//! ```text
//!  0  4  type: 1 << 24 status, 2 << 24 partition, 4 << 24 flow control, 8 << 24 reload; and the writer's byte order
//!  4  4  zero
//!  8  4  sender: a daemon of the configuration, to whose address a report goes
//! 12  4  magic 15051963
//! 16  4  zero
//! 20  4  port for the report
//! 24  4  zero
//! 28  4  hash of the configuration; monitors say 1100
//! 32  2  bytes of data
//! 34  6  zero
//! 40     data
//! ```
//!
//! All numbers have the writer's byte order, which the type shows as in client frames. The data of a partition is a component for each of 128
//! daemons. The data of flow control is a pair of windows for each, and the ring's window behind the last daemon. The data of a report is the
//! fields of [`Report`] in their order.

use super::{ByteOrder, DaemonId, DecodeError, Reader, Writer};

const MAGIC: u32 = 15_051_963;
/// Daemons in every list.
const DAEMONS: usize = 128;
/// The entry of a list for a daemon that is not addressed.
const NOBODY: i16 = -1;

/// A command to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorCommand {
    /// The daemon on whose machine the monitor is.
    pub from: DaemonId,
    /// The monitor's port there.
    pub reply_port: u16,
    /// Hash of the monitor's configuration, or [`MonitorCommand::ANY_CONFIGURATION`].
    pub configuration: u32,
    /// The action.
    pub request: MonitorRequest,
}

/// An action that a monitor asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorRequest {
    /// A report.
    Status,
    /// Accept only packets of the same component from now on; components in the order of the configuration.
    Partition(Vec<i16>),
    /// Other windows.
    FlowControl(FlowControl),
    /// Read the configuration again.
    Reload,
}

/// New windows; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowControl {
    /// Packets of one daemon in one rotation, in the order of the configuration.
    pub personal: Vec<Option<u16>>,
    /// Packets of all daemons in one rotation.
    pub ring: Option<u16>,
}

impl MonitorCommand {
    /// The hash that every daemon takes for its own.
    pub const ANY_CONFIGURATION: u32 = 1100;
    /// The component that stops the daemon in whose place it stands.
    pub const TERMINATE: i16 = NOBODY;

    /// Whether these bytes are for a monitor's daemon, not of another daemon.
    pub fn is_one(datagram: &[u8]) -> bool {
        let field = |at: usize| datagram.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        match (field(0), field(12)) {
            // Daemons and monitors send to the same port, and the magic distinguishes them.
            (Some(kind), Some(magic)) => ByteOrder::of_field(kind).u32(magic) == MAGIC && datagram.len() >= HEADER,
            _ => false,
        }
    }

    /// Reads a command; `daemons` is how many the configuration has.
    pub fn decode(datagram: &[u8], daemons: usize) -> Result<MonitorCommand, DecodeError> {
        let (head, mut data) = Head::decode(datagram)?;
        let reply_port = u16::try_from(head.reply_port).map_err(|_| DecodeError::BadValue("reply port"))?;
        let request = match head.kind {
            Kind::STATUS => MonitorRequest::Status,
            Kind::PARTITION => MonitorRequest::Partition(data.list(daemons)?),
            Kind::FLOW_CONTROL => MonitorRequest::FlowControl(data.flow_control(daemons)?),
            Kind::RELOAD => MonitorRequest::Reload,
            _ => return Err(DecodeError::BadValue("type")),
        };
        let from = DaemonId::from_wire(head.sender).ok_or(DecodeError::BadValue("sender"))?;
        Ok(MonitorCommand { from, reply_port, configuration: head.configuration, request })
    }

    /// The bytes of this command, little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, data) = match &self.request {
            MonitorRequest::Status => (Kind::STATUS, Vec::new()),
            MonitorRequest::Reload => (Kind::RELOAD, Vec::new()),
            MonitorRequest::Partition(components) => (Kind::PARTITION, padded(components.iter().copied(), DAEMONS)),
            MonitorRequest::FlowControl(flow) => {
                let word = |window: Option<u16>| window.and_then(|window| i16::try_from(window).ok()).unwrap_or(NOBODY);
                // The format has a second word for each daemon, which this daemon does not read.
                let pairs = flow.personal.iter().flat_map(|&window| [word(window), NOBODY]);
                (Kind::FLOW_CONTROL, padded(pairs.chain([word(flow.ring)]), 2 * DAEMONS))
            }
        };
        let head = Head {
            kind,
            sender: self.from.0,
            magic: MAGIC,
            reply_port: self.reply_port.into(),
            configuration: self.configuration,
        };
        head.encode(&data)
    }
}

/// Little-endian words, as many as the format has, those behind the given ones zero.
fn padded(words: impl Iterator<Item = i16>, count: usize) -> Vec<u8> {
    words.chain(std::iter::repeat(0)).take(count).flat_map(i16::to_le_bytes).collect()
}

/// A daemon's report, in the order of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the format; the manual of the monitor explains them")]
pub struct Report {
    pub seconds: u32,
    /// 1 operational, 4 gather, 5 form, 6 recovery.
    pub ring_state: u32,
    /// 1 operational, 2 transitional, 3 gather, 4 both.
    pub group_state: u32,
    pub packets_sent: u32,
    pub packets_received: u32,
    pub packets_delivered: u32,
    pub retransmitted: u32,
    pub retransmitted_to_one: u32,
    pub retransmitted_in_segment: u32,
    pub retransmitted_to_all: u32,
    pub safe: u32,
    pub aru: u32,
    pub highest: u32,
    pub tokens_retransmitted: u32,
    pub tokens: u32,
    pub me: u32,
    pub representative: u32,
    pub messages: u32,
    pub configurations: u16,
    pub daemons: u16,
    pub segments: u16,
    pub window: u16,
    pub personal_window: u16,
    /// 1 if the token is passed on before the packets.
    pub accelerated: u16,
    pub accelerated_window: u16,
    pub sessions: u16,
    pub groups: u16,
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Report {
    /// Bytes of a report, header included.
    pub const SIZE: usize = HEADER + 18 * 4 + 12 * 2;

    /// Reads a report.
    pub fn decode(datagram: &[u8]) -> Result<Report, DecodeError> {
        let (head, mut data) = Head::decode_any(datagram)?;
        if head.kind != Kind::STATUS {
            return Err(DecodeError::BadValue("type"));
        }
        let mut report = Report::default();
        let (wide, narrow) = report.fields();
        for field in wide {
            *field = data.u32()?;
        }
        for field in narrow {
            *field = data.u16()?;
        }
        data.reader.end()?;
        Ok(report)
    }

    /// The bytes of this report, little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut report = self.clone();
        let (wide, narrow) = report.fields();
        let mut data: Vec<u8> = wide.iter().flat_map(|field| field.to_le_bytes()).collect();
        data.extend(narrow.iter().flat_map(|field| field.to_le_bytes()));
        // Without the magic, no daemon takes a report for a command.
        let head = Head { kind: Kind::STATUS, sender: self.me, magic: 0, reply_port: 0, configuration: 0 };
        head.encode(&data)
    }

    fn fields(&mut self) -> ([&mut u32; 18], [&mut u16; 12]) {
        let wide = [
            &mut self.seconds,
            &mut self.ring_state,
            &mut self.group_state,
            &mut self.packets_sent,
            &mut self.packets_received,
            &mut self.packets_delivered,
            &mut self.retransmitted,
            &mut self.retransmitted_to_one,
            &mut self.retransmitted_in_segment,
            &mut self.retransmitted_to_all,
            &mut self.safe,
            &mut self.aru,
            &mut self.highest,
            &mut self.tokens_retransmitted,
            &mut self.tokens,
            &mut self.me,
            &mut self.representative,
            &mut self.messages,
        ];
        let narrow = [
            &mut self.configurations,
            &mut self.daemons,
            &mut self.segments,
            &mut self.window,
            &mut self.personal_window,
            &mut self.accelerated,
            &mut self.accelerated_window,
            &mut self.sessions,
            &mut self.groups,
            &mut self.major,
            &mut self.minor,
            &mut self.patch,
        ];
        (wide, narrow)
    }
}

/// Bytes of the header.
const HEADER: usize = 40;

/// The types.
struct Kind;

impl Kind {
    const STATUS: u32 = 1 << 24;
    const PARTITION: u32 = 2 << 24;
    const FLOW_CONTROL: u32 = 4 << 24;
    const RELOAD: u32 = 8 << 24;
}

/// The fields of the header that mean something.
struct Head {
    kind: u32,
    sender: u32,
    magic: u32,
    reply_port: u32,
    configuration: u32,
}

impl Head {
    /// Of a command.
    fn decode(datagram: &[u8]) -> Result<(Head, Data<'_>), DecodeError> {
        let (head, data) = Head::decode_any(datagram)?;
        if head.magic == MAGIC { Ok((head, data)) } else { Err(DecodeError::BadValue("magic")) }
    }

    fn decode_any(datagram: &[u8]) -> Result<(Head, Data<'_>), DecodeError> {
        let mut reader = Reader::new(datagram);
        let kind = reader.array()?;
        let order = ByteOrder::of_field(kind);
        let mut data = Data { reader, order };
        data.u32()?;
        let (sender, magic) = (data.u32()?, data.u32()?);
        data.u32()?;
        let reply_port = data.u32()?;
        data.u32()?;
        let (configuration, length) = (data.u32()?, usize::from(data.u16()?));
        data.reader.take(HEADER - 34)?;
        // Only a lack is an error here: a command may have bytes behind its data.
        if data.reader.remaining() < length {
            return Err(DecodeError::Short);
        }
        Ok((Head { kind: order.unmark(kind), sender, magic, reply_port, configuration }, data))
    }

    fn encode(&self, data: &[u8]) -> Vec<u8> {
        let order = ByteOrder::Little;
        let mut writer = Writer::with_capacity(HEADER + data.len());
        writer.bytes(&order.mark(self.kind));
        for number in [0, self.sender, self.magic, 0, self.reply_port, 0, self.configuration] {
            writer.bytes(&order.field(number));
        }
        writer.bytes(&(data.len() as u16).to_le_bytes());
        writer.bytes(&[0; HEADER - 34]);
        writer.bytes(data);
        writer.finish()
    }
}

/// Numbers in the writer's order.
struct Data<'a> {
    reader: Reader<'a>,
    order: ByteOrder,
}

impl Data<'_> {
    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(self.order.u32(self.reader.array()?))
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        let field = self.reader.array()?;
        Ok(match self.order {
            ByteOrder::Little => u16::from_le_bytes(field),
            ByteOrder::Big => u16::from_be_bytes(field),
        })
    }

    fn list(&mut self, count: usize) -> Result<Vec<i16>, DecodeError> {
        // A list has 128 entries, whatever the caller counts.
        (0..count.min(DAEMONS)).map(|_| Ok(self.u16()? as i16)).collect()
    }

    fn flow_control(&mut self, daemons: usize) -> Result<FlowControl, DecodeError> {
        let words = self.list(DAEMONS)?.into_iter().chain(self.list(DAEMONS)?);
        let mut windows = words.step_by(2).map(|word| u16::try_from(word).ok());
        let personal = windows.by_ref().take(daemons).collect();
        Ok(FlowControl { personal, ring: windows.next().flatten() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(request: MonitorRequest) -> MonitorCommand {
        MonitorCommand {
            from: DaemonId(0x7f00_0001),
            reply_port: 0x409f,
            configuration: MonitorCommand::ANY_CONFIGURATION,
            request,
        }
    }

    const RELOAD: [u8; 40] = [
        0x80, 0, 0, 0x88, 0, 0, 0, 0, 1, 0, 0, 0x7f, 0xbb, 0xac, 0xe5, 0, 0, 0, 0, 0, 0x9f, 0x40, 0, 0, 0, 0, 0, 0,
        0x4c, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn literal_bytes() {
        assert_eq!(command(MonitorRequest::Reload).encode(), RELOAD);
        assert_eq!(MonitorCommand::decode(&RELOAD, 3), Ok(command(MonitorRequest::Reload)));
        assert!(MonitorCommand::is_one(&RELOAD));
    }

    #[test]
    fn a_big_endian_monitor_is_understood() {
        let mut bytes = [0; 40];
        bytes[0] = 1;
        bytes[8..16].copy_from_slice(&[0x7f, 0, 0, 1, 0, 0xe5, 0xac, 0xbb]);
        bytes[20..24].copy_from_slice(&[0, 0, 0x40, 0x9f]);
        bytes[28..32].copy_from_slice(&[0, 0, 4, 0x4c]);
        assert!(MonitorCommand::is_one(&bytes));
        assert_eq!(MonitorCommand::decode(&bytes, 3), Ok(command(MonitorRequest::Status)));
    }

    #[test]
    fn lists_have_a_place_for_each_of_128_daemons() {
        let partition = command(MonitorRequest::Partition(vec![0, 1, MonitorCommand::TERMINATE]));
        let bytes = partition.encode();
        assert_eq!((bytes.len(), &bytes[40..48]), (296, &[0, 0, 1, 0, 0xff, 0xff, 0, 0][..]));
        assert_eq!(MonitorCommand::decode(&bytes, 3), Ok(partition));
        let flow = FlowControl { personal: vec![Some(30), None, Some(40)], ring: Some(100) };
        let flow = command(MonitorRequest::FlowControl(flow));
        let bytes = flow.encode();
        let pairs = [30, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 40, 0, 0xff, 0xff, 100, 0, 0, 0];
        assert_eq!((bytes.len(), &bytes[40..56]), (552, &pairs[..]));
        assert_eq!(MonitorCommand::decode(&bytes, 3), Ok(flow));
    }

    #[test]
    fn a_report_has_136_bytes_and_comes_back() {
        let report =
            Report { seconds: 3, me: 0x7f00_0001, messages: 7, configurations: 2, patch: 9, ..Report::default() };
        let bytes = report.encode();
        assert_eq!((bytes.len(), Report::SIZE), (136, 136));
        assert_eq!((&bytes[..4], &bytes[32..34], bytes[40]), (&[0x80, 0, 0, 0x81][..], &[96, 0][..], 3));
        assert_eq!((bytes[40 + 68], bytes[40 + 72], bytes[40 + 94]), (7, 2, 9));
        assert_eq!(Report::decode(&bytes), Ok(report));
    }

    #[test]
    fn every_prefix_fails() {
        let flow = command(MonitorRequest::FlowControl(FlowControl::default())).encode();
        let partition = command(MonitorRequest::Partition(vec![1])).encode();
        for bytes in [flow, partition, RELOAD.to_vec()] {
            assert!((0..bytes.len()).all(|n| MonitorCommand::decode(&bytes[..n], 3).is_err()));
        }
        let report = Report::default().encode();
        assert!((0..report.len()).all(|n| Report::decode(&report[..n]).is_err()));
    }

    #[test]
    fn other_bytes_are_no_command() {
        assert!(!MonitorCommand::is_one(&[0; 100]) && !MonitorCommand::is_one(&RELOAD[..39]));
        let mut bytes = RELOAD;
        bytes[3] = 0x80;
        assert_eq!(MonitorCommand::decode(&bytes, 3), Err(DecodeError::BadValue("type")));
        assert_eq!(MonitorCommand::decode(&[0; 40], 3), Err(DecodeError::BadValue("magic")));
        let mut far = RELOAD;
        far[22] = 1;
        assert_eq!(MonitorCommand::decode(&far, 3), Err(DecodeError::BadValue("reply port")));
    }
}
