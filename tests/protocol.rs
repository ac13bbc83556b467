//! docs/protocol.md against the code: layouts have the length that is written, examples are what they are said to be, and no kind of
//! packet is missing. `BLESS=1` writes the explanations of the examples anew.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

use spread::wire::{
    DaemonId, Data, DecodeError, FormPart, Fragment, FrameHeader, Greeting, Have, Header, Incarnation, Join,
    MonitorCommand, MonitorRequest, Packet, PathReport, Probe, Reader, Rest, RingId, SizeAnswer, SizeProbe, Slice,
    Token, explain,
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
        ("monitor", command.encode().len()),
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
