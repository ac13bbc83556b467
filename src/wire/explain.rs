//! A captured datagram in words: one line for each layer, the inner ones indented.
//!
//! This is for people who read captures and for tests. Nothing in a running daemon depends on it.

use super::{
    Data, Envelope, Fragment, FrameHeader, Greeting, Head, Header, MESSAGE_PREFIX, Packet, PacketKind, PathReport,
};
use super::{DecodeError, Payload, Protection, Reader, Service, SizeAnswer, SizeProbe, Slice};

/// The lines that describe a datagram. A layer that cannot be read is the last one, with the reason.
pub fn explain(datagram: &Slice) -> Vec<String> {
    let mut lines = Lines(Vec::new());
    match Head::decode(datagram) {
        Ok((header, _, body)) => {
            let body = datagram.tail(body);
            lines.add(0, header);
            match header.protection {
                Protection::Plain => explain_body(&mut lines, header.kind, &body),
                Protection::Sealed(_) => lines.add(1, format_args!("sealed body of {} bytes", body.len())),
            }
        }
        Err(error) => match Header::other_version(datagram) {
            Some(version) => lines.add(0, format_args!("datagram of protocol version {version}")),
            None => lines.add(0, format_args!("no datagram between daemons: {error}")),
        },
    }
    lines.0
}

struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, depth: usize, line: impl std::fmt::Display) {
        self.0.push(format!("{:1$}{line}", "", 2 * depth));
    }

    fn add_or_error<T: std::fmt::Display>(&mut self, depth: usize, layer: &Result<T, DecodeError>) {
        match layer {
            Ok(layer) => self.add(depth, layer),
            Err(error) => self.add(depth, format_args!("cannot be read: {error}")),
        }
    }
}

fn explain_body(lines: &mut Lines, kind: PacketKind, body: &Slice) {
    match kind {
        PacketKind::Report => lines.add_or_error(1, &PathReport::decode(body)),
        PacketKind::Greeting => lines.add_or_error(1, &Greeting::decode(body)),
        PacketKind::Knock => {}
        PacketKind::SizeProbe => lines.add_or_error(1, &SizeProbe::decode(body)),
        PacketKind::Fragment => lines.add_or_error(1, &Fragment::decode(body)),
        PacketKind::Sizes => match SizeAnswer::decode_all(body) {
            Ok(answers) => answers.iter().for_each(|answer| lines.add(1, answer)),
            Err(error) => lines.add_or_error(1, &Err::<SizeAnswer, _>(error)),
        },
        _ => {
            let packet = Packet::decode(kind, body);
            lines.add_or_error(1, &packet);
            if let Ok(Packet::Data(data) | Packet::Handover(data)) = packet {
                explain_payload(lines, 2, &data);
            }
        }
    }
}

/// The messages that begin in a packet. The rest of a message that began in an earlier packet says nothing by itself.
fn explain_payload(lines: &mut Lines, depth: usize, data: &Data) {
    if data.recovered {
        let inner = Data::decode(&data.payload);
        lines.add_or_error(depth, &inner);
        // A recovered packet is never wrapped twice, so forged bytes cannot make this go deep.
        if let Ok(inner @ Data { recovered: false, .. }) = &inner {
            explain_payload(lines, depth + 1, inner);
        }
        return;
    }
    let Some(first) = data.first_message else { return };
    let mut rest = data.payload.tail(usize::from(first));
    while !rest.is_empty() {
        let mut reader = Reader::new(&rest);
        let (Ok(length), Ok(service)) = (reader.u32(), reader.u8()) else {
            return lines.add(depth, "message whose length is in the next packet");
        };
        let service =
            Service::from_wire(service).map_or_else(|| format!("service {service}"), |known| known.to_string());
        let (length, here) = (length as usize, reader.remaining());
        if length > here {
            return lines
                .add(depth, format_args!("{service} message of {length} bytes, {here} of them in this packet"));
        }
        lines.add(depth, format_args!("{service} message of {length} bytes"));
        explain_message(lines, depth + 1, rest.part(MESSAGE_PREFIX, MESSAGE_PREFIX + length));
        rest = rest.tail(MESSAGE_PREFIX + length);
    }
}

fn explain_message(lines: &mut Lines, depth: usize, message: Slice) {
    let envelope = Envelope::decode(&Payload::from(message));
    lines.add_or_error(depth, &envelope);
    if let Ok(Envelope::Data(frame)) = envelope
        && let Some(header) = frame.front(FrameHeader::SIZE).first_chunk()
    {
        lines.add(depth + 1, FrameHeader::decode(header));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::wire::{
        Brings, ByteOrder, DaemonId, Form, FormMember, FrameType, Have, Hint, Incarnation, Join, Name, NetworkId,
        Probe, Rest, RingId, Token, Way,
    };

    const RING: RingId = RingId { sequence: 4, representative: ALPHA };
    const ALPHA: DaemonId = DaemonId(0x0a4d_0001);
    const BETA: DaemonId = DaemonId(0x0a4d_0002);

    fn header(kind: PacketKind) -> Header {
        Header {
            kind,
            network: NetworkId(1),
            protection: Protection::Plain,
            way: Way::Direct,
            sender: BETA,
            destination: None,
            system: 0x7030,
            incarnation: Incarnation(0xbeef),
            counter: 17,
        }
    }

    fn lines(header: Header, body: &[u8]) -> Vec<String> {
        explain(&[&header.encode()[..], body].concat().into())
    }

    /// The lines behind the header.
    fn packet(packet: &Packet) -> Vec<String> {
        lines(header(packet.kind()), &packet.encode()).split_off(1)
    }

    fn data(payload: Slice) -> Data {
        Data {
            ring: RING,
            seq: 12,
            origin: BETA,
            offset: 100,
            first_message: Some(0),
            service: Some(Service::Agreed),
            recovered: false,
            barrier_distance: Data::NO_BARRIER,
            claim_distance: 0,
            payload,
        }
    }

    #[test]
    fn a_header_is_a_line() {
        let greeting = Greeting { asks: Some(3), answers: Some((Incarnation(1), 2)) };
        let to_one = Header { destination: Some(ALPHA), way: Way::Relayed, ..header(PacketKind::Greeting) };
        let expected = [
            "greeting from 10.77.0.2 to 10.77.0.1 on network 1, counter 17, life 000000000000beef, system 00007030, relayed",
            "  asks question 3, answers question 2 of life 0000000000000001",
        ];
        assert_eq!(lines(to_one, &greeting.encode()), expected);
    }

    #[test]
    fn a_client_message_is_explained_down_to_its_frame() {
        let frame = FrameHeader {
            kind: FrameType::AGREED | FrameType::SELF_DISCARD,
            name: Name::new(b"#kate#beta").unwrap(),
            groups: 1,
            hint: Hint::new(7, ByteOrder::Little),
            data_len: 3,
            order: ByteOrder::Little,
        };
        let frame = [&frame.encode()[..], Name::new(b"news").unwrap().field(), b"abc"].concat();
        let envelope = Envelope::Data(frame.into()).encode().contiguous();
        let mut payload = [&(envelope.len() as u32).to_be_bytes()[..], &[5], &envelope].concat();
        payload.extend([0, 0, 1, 0, 6, b'x']);
        let expected = [
            "  ring 10.77.0.1/4, seq 12 of 10.77.0.2, stream bytes 100..195, first message at 0, strongest service that ends here agreed",
            "    agreed message of 84 bytes",
            "      data: frame of 83 bytes",
            "        frame agreed+self-discard of #kate#beta, 1 groups, message type 7, 3 bytes of data",
            "    safe message of 256 bytes, 1 of them in this packet",
        ];
        assert_eq!(packet(&Packet::Data(data(payload.into()))), expected);
    }

    #[test]
    fn a_recovered_packet_is_explained_inside() {
        let inner = Data { first_message: None, service: None, barrier_distance: 2, ..data(b"rest".to_vec().into()) };
        let outer = Data { recovered: true, first_message: None, service: None, ..data(inner.encode().into()) };
        let expected = [
            "  ring 10.77.0.1/4, seq 12 of 10.77.0.2, stream bytes 100..144, recovered",
            "    ring 10.77.0.1/4, seq 12 of 10.77.0.2, stream bytes 100..104, barrier at 10",
        ];
        assert_eq!(packet(&Packet::Data(outer)), expected);
    }

    #[test]
    fn each_kind_of_packet_is_a_line() {
        let token = Token {
            ring: RING,
            hop: 13,
            seq: 900,
            aru: 800,
            aru_by: Some(BETA),
            owing_by: None,
            delayed: 11,
            sent: 7,
            again: 8,
            backlogged: 9,
            window: 10,
            barrier: 810,
            handed: 790,
            requests: vec![(801, 2), (813, 1)],
        };
        let expected = "  ring 10.77.0.1/4, hop 13, seq 900, aru 800 lowered by 10.77.0.2, sent 7, again 8, backlogged 9, \
                        window 10, delayed at hop 11, barrier at 810, handed over up to 790, requests 801-802 813";
        assert_eq!(packet(&Packet::Token(token)), [expected]);
        let join = Join {
            origin: BETA,
            incarnation: Incarnation(1),
            sequence: 4,
            leaving: true,
            present: BTreeSet::from([ALPHA, BETA]),
            failed: BTreeSet::from([ALPHA]),
        };
        let expected = "  10.77.0.2, life 0000000000000001, highest ring sequence 4, present {10.77.0.1, 10.77.0.2}, \
                        failed {10.77.0.1}, leaving";
        assert_eq!(packet(&Packet::Join(join)), [expected]);
        let brings = Brings { ring: RING, aru: 5, delivered: 6, high: 7, trusted: 3, holds: true, apart: false };
        let members = vec![
            FormMember { daemon: ALPHA, incarnation: Incarnation(1), brings: Some(brings) },
            FormMember { daemon: BETA, incarnation: Incarnation(2), brings: None },
        ];
        let form = Form { ring: RING, hop: 1, members };
        let expected = "  ring 10.77.0.1/4, hop 1, members 0..2 of 2: 10.77.0.1 brings ring 10.77.0.1/4 aru 5 delivered 6 \
                        high 7 trusted 11 holds the token; 10.77.0.2";
        assert_eq!(packet(&Packet::Form(form.parts().next().unwrap())), [expected]);
        assert_eq!(packet(&Packet::Probe(Probe { ring: RING, answers: None })), ["  ring 10.77.0.1/4"]);
        let answer = Probe { ring: RING, answers: Some(BETA) };
        assert_eq!(packet(&Packet::Probe(answer)), ["  ring 10.77.0.1/4, answers 10.77.0.2"]);
        assert_eq!(packet(&Packet::Hurry(RING)), ["  ring 10.77.0.1/4"]);
        let rest = Rest { ring: RING, hop: 13, count: 2, seq: 9, safe: 8, gone: false, asks: true, pause: 100 };
        let expected = "  ring 10.77.0.1/4, token rests at hop 13, count 2, seq 9, safe 8, again within 100 ms, asks";
        assert_eq!(packet(&Packet::Rest(rest)), [expected]);
        let have = Have { ring: RING, hop: 13, count: 2, aru: 7, requests: vec![(8, 2)] };
        assert_eq!(packet(&Packet::Have(have)), ["  ring 10.77.0.1/4, hop 13, count 2, aru 7, requests 8-9"]);
    }

    #[test]
    fn a_layer_that_cannot_be_read_is_the_last() {
        assert_eq!(explain(&Slice::copy_from(&[7; 36])), ["no datagram between daemons: invalid value for magic"]);
        assert_eq!(explain(&Slice::copy_from(b"TC\x01")), ["datagram of protocol version 1"]);
        assert_eq!(lines(header(PacketKind::Token), &[1])[1..], ["  cannot be read: too short"]);
        let sealed = Header { protection: Protection::Sealed(9), ..header(PacketKind::Token) };
        assert_eq!(lines(sealed, &[0; 20])[1..], ["  sealed body of 4 bytes"]);
    }

    #[test]
    fn any_bytes_are_explained() {
        let mut rng = crate::rng::Rng::new(5);
        let kinds = [PacketKind::Data, PacketKind::Token, PacketKind::Join, PacketKind::Form, PacketKind::Report];
        for n in 0..20_000 {
            let body: Vec<u8> = (0..rng.below(120)).map(|_| rng.next_u64() as u8 & 3).collect();
            assert!(!lines(header(kinds[n % kinds.len()]), &body).is_empty());
        }
    }
}
