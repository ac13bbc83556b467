//! Captured datagrams in words: hexadecimal in, a line for each layer out.
//!
//! A capture program prints whole frames, so what precedes the magic of a packet is skipped.

use std::io::{self, BufRead};

use spread::wire::{Slice, explain};

use super::live::terminal;
use super::program::say;
use super::tables::folded;

/// The first bytes of every datagram between daemons.
const MAGIC: &[u8] = b"TC";

/// Explains these datagrams, or those on standard input if there is none.
pub fn run(datagrams: &[String]) -> Result<(), String> {
    if datagrams.is_empty() {
        return explain_lines(io::stdin().lock());
    }
    datagrams.iter().try_for_each(|text| show(text))
}

/// Each line is a datagram, or a part of one as `tcpdump -x` prints it: an offset, a colon and bytes. The first part has the offset 0.
fn explain_lines(input: impl BufRead) -> Result<(), String> {
    let mut parts = String::new();
    for line in input.lines() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        match line.trim().strip_prefix("0x").and_then(|line| line.split_once(':')) {
            Some((offset, bytes)) => {
                if offset.bytes().all(|digit| digit == b'0') {
                    flush(&mut parts)?;
                }
                parts.push_str(bytes);
            }
            None => {
                flush(&mut parts)?;
                // Between two datagrams a capture has a line with time and addresses, which is skipped.
                if bytes_of(&line).is_some_and(|bytes| !bytes.is_empty()) {
                    show(&line)?;
                }
            }
        }
    }
    flush(&mut parts)
}

fn flush(parts: &mut String) -> Result<(), String> {
    let text = std::mem::take(parts);
    if text.is_empty() { Ok(()) } else { show(&text) }
}

fn show(text: &str) -> Result<(), String> {
    let bytes = bytes_of(text).ok_or_else(|| format!("{text}: expected an even number of hexadecimal digits"))?;
    let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap_or(0);
    let width = terminal().map(|size| size.columns);
    explain(&Slice::copy_from(&bytes[start..])).iter().for_each(|line| say(folded(line, width)));
    Ok(())
}

/// The bytes of hexadecimal digits. Blanks are ignored.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| Some(character.to_digit(16)? as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
