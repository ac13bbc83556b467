//! docs/protocol.md against the code: layouts have the length that is written, examples are what they are said to be, and no kind of
//! packet is missing. `BLESS=1` writes the explanations of the examples anew.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use spread::config::Settings;
use spread::session::Passwords;
use spread::wire::{
    Basis, DaemonId, Data, DecodeError, Envelope, ExchangeState, FormPart, Fragment, FrameHeader, FrameType, Greeting,
    Have, Header, Incarnation, Join, MonitorCommand, MonitorRequest, Name, Packet, PathReport, Payload, Piece, Probe,
    Reader, Report, Rest, RingId, SizeAnswer, SizeProbe, Slice, Token, explain,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
const RING: RingId = RingId { sequence: 1, representative: DaemonId(1) };

/// A fenced block: its language, its argument, its lines.
struct Block {
    language: String,
    argument: String,
    lines: Vec<String>,
}

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let (language, argument) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block { language: language.into(), argument: argument.into(), lines: Vec::new() });
            }
            (None, Some(block)) => block.lines.push(line.into()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// The lengths that the code gives these layouts when every list is empty.
fn lengths() -> BTreeMap<&'static str, usize> {
    let token = Token::new(RING, 0, 0);
    let join = Join {
        origin: DaemonId(1),
        incarnation: Incarnation(1),
        sequence: 1,
        leaving: false,
        present: BTreeSet::new(),
        failed: BTreeSet::new(),
    };
    let form = FormPart { ring: RING, hop: 0, total: 1, first: 0, entries: Vec::new() };
    let report = [0; 75];
    PathReport::decode(&report).unwrap();
    let command = MonitorCommand {
        from: DaemonId(1),
        reply_port: 1,
        configuration: MonitorCommand::ANY_CONFIGURATION,
        request: MonitorRequest::Status,
    };
    let name = Name::new(b"name").unwrap();
    let basis = Basis { ring: RING, together: Vec::new() };
    let state = ExchangeState { exchange: RING, basis, parts: 1, groups: Vec::new() };
    let piece = Piece { ring: RING, number: 1, total: 1, offset: 0, bytes: Payload::from(Vec::new()) };
    let envelope = |envelope: Envelope| envelope.encode().len();
    let rest = Rest { ring: RING, hop: 0, count: 0, seq: 0, safe: 0, gone: false, asks: false, pause: 100 };
    let have = Have { ring: RING, hop: 0, count: 0, aru: 0, requests: Vec::new() };
    BTreeMap::from([
        ("header", Header::SIZE),
        ("greeting", Greeting::SIZE),
        ("size probe", SizeProbe::SIZE),
        ("sizes", SizeAnswer::encode_all(&[]).len()),
        ("fragment", Fragment::OVERHEAD),
        ("report", report.len()),
        ("join", join.encode().len()),
        ("form", form.encode().len()),
        ("token", token.encode().len()),
        ("data", Data::OVERHEAD),
        ("rest", rest.encode().len()),
        ("have", have.encode().len()),
        ("probe", Probe::SIZE),
        ("hurry", Packet::Hurry(RING).encode().len()),
        ("frame", FrameHeader::SIZE),
        ("envelope of a join or leave", envelope(Envelope::Join { member: name, group: name })),
        ("envelope of a disconnect", envelope(Envelope::Disconnect { member: name })),
        ("envelope of a state", envelope(Envelope::State(state))),
        ("envelope of a piece", envelope(Envelope::Piece(piece))),
        ("password", Passwords::CREDENTIALS_SIZE),
        ("monitor", command.encode().len()),
        ("monitor report", Report::default().encode().len()),
    ])
}

/// The fields of a layout: offset and size. Lines that are indented farther are about the entries of a list.
fn fields(block: &Block) -> Vec<(usize, usize)> {
    let outer = block.lines.iter().filter(|line| !line.starts_with("      "));
    outer
        .map(|line| {
            let mut words = line.split_whitespace().map(|word| word.parse().unwrap());
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect()
}

#[test]
fn every_layout_has_the_length_that_the_code_writes() {
    let mut lengths = lengths();
    for block in blocks(&page()).into_iter().filter(|block| block.language == "layout") {
        let mut end = 0;
        for (offset, size) in fields(&block) {
            assert_eq!(offset, end, "offset in the layout of {}", block.argument);
            end = offset + size;
        }
        assert_eq!(Some(end), lengths.remove(&block.argument[..]), "length of the layout of {}", block.argument);
    }
    assert!(lengths.is_empty(), "layouts are missing: {lengths:?}");
}

#[test]
fn every_kind_of_packet_is_in_the_table_and_has_an_example() {
    let page = page();
    let examples: Vec<Slice> = blocks(&page).iter().filter(|block| block.language == "decode").map(example).collect();
    let mut bytes = examples[0].to_vec();
    for kind in 0..=u8::MAX {
        bytes[3] = kind;
        let row = page.lines().find(|line| line.starts_with(&format!("| {kind} | ")) && line.matches('|').count() == 6);
        match Header::decode(&mut Reader::new(&bytes)) {
            Ok(header) => {
                let row = row.unwrap_or_else(|| panic!("kind {kind} is not in the table"));
                assert!(row.starts_with(&format!("| {kind} | {} |", header.kind)), "{row}");
                assert!(examples.iter().any(|example| example[3] == kind), "{} has no example", header.kind);
            }
            Err(error) => {
                assert_eq!(error, DecodeError::BadValue("kind"));
                assert_eq!(row, None);
            }
        }
    }
}

/// The datagram of an example: hexadecimal digits up to the line that ends them.
fn example(block: &Block) -> Slice {
    let digits: String =
        block.lines.iter().take_while(|line| *line != "----").flat_map(|line| line.split(' ')).collect();
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "an odd number of digits: {digits}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect::<Vec<u8>>().into()
}

#[test]
fn every_example_is_what_it_is_said_to_be() {
    let mut page = page();
    for block in blocks(&page).iter().filter(|block| block.language == "decode") {
        let place = block.lines.iter().position(|line| line == "----").expect("a line that ends the digits");
        let said = &block.lines[place + 1..];
        let lines = explain(&example(block));
        assert!(!lines.iter().any(|line| line.contains("cannot be read")), "{lines:#?}");
        if env::var_os("BLESS").is_some() {
            let front = block.lines[..=place].join("\n");
            let old = [std::slice::from_ref(&front), said].concat().join("\n");
            page = page.replace(&old, &[&[front], &lines[..]].concat().join("\n"));
        } else {
            assert_eq!(said, lines, "BLESS=1 cargo test --test protocol writes it anew");
        }
    }
    if env::var_os("BLESS").is_some() {
        fs::write(PAGE, page).unwrap();
    }
}

/// The 32-bit FNV-1a hash as the page describes it.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[test]
fn the_digests_of_a_file_are_those_of_the_texts() {
    let blocks = blocks(&page());
    let block = blocks.iter().find(|block| block.language == "digests").expect("an example of digests");
    let place = block.lines.iter().position(|line| line == "----").expect("a line that ends the file");
    let settings = Settings::parse("page", block.lines[..place].join("\n").as_bytes()).unwrap();
    let rows = block.lines[place + 1..].iter().map(|line| line.split_once(' ').unwrap());
    let rows: Vec<(u32, String)> =
        rows.map(|(digest, text)| (u32::from_str_radix(digest, 16).unwrap(), text.replace("\\n", "\n"))).collect();
    assert_eq!(rows.len(), PathReport::DIGESTS);
    for ((digest, text), ours) in rows.iter().zip(settings.digests()) {
        assert_eq!((*digest, hash(text)), (ours, ours), "{text}");
    }
}

#[test]
fn every_bit_of_the_frame_type_is_in_the_table() {
    let page = page();
    for bit in (0..32).map(|shift| 1 << shift) {
        let name = FrameType(bit).to_string();
        let row = page.lines().find(|line| line.starts_with(&format!("| {bit:#010x} | ")));
        // A bit without a name is shown as its number.
        let expected = (!name.starts_with("0x")).then(|| format!("| {bit:#010x} | {name} | "));
        assert_eq!(row.is_some(), expected.is_some(), "{bit:#010x} {name}");
        assert!(expected.is_none_or(|expected| row.unwrap().starts_with(&expected)), "{row:?} is not {name}");
    }
}
