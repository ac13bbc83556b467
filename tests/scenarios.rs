//! The lessons of tests/scenarios: short histories as text, each step with what must come of it. Read in the order of their numbers they
//! explain what a ring promises. `BLESS=1 cargo test --test scenarios` writes what comes of each step anew.
//!
//!     # a remark                               up to the end of the line
//!     daemons 3                                daemons 1 to 3 start
//!     run 500 ms                               time passes
//!     send 1 agreed hello                      a program at daemon 1 sends a message with this service
//!     partition 1 2 | 3                        daemons hear only those of the same side
//!     lose data of 1 from 2 to 3               packets of this kind are lost, besides those of rules before: those that daemon 1 numbered,
//!                                              from 2, to 3; each of the three may be left out; also token, join, form
//!     heal                                     all daemons hear each other again, and nothing is lost
//!     crash 3, start 3, leave 3                a daemon ends without a word, begins a new life, ends with a farewell
//!     show join form                           packets of these kinds are shown from here on

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

#[expect(dead_code, reason = "shared with the tests of the papers' rules")]
mod rings;

use rings::{Bus, Flight, Line};
use spread::time::Duration;
use spread::wire::{DaemonId, Packet, Service};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
/// What separates the commands of a step from what comes of them.
const RULE: &str = "----";

#[test]
fn every_lesson_comes_out_as_it_is_told() {
    let mut files: Vec<PathBuf> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the lessons are there");
    for file in files {
        let told = fs::read_to_string(&file).unwrap();
        let played = play(&told);
        if env::var_os("BLESS").is_some() {
            fs::write(&file, played).unwrap();
        } else {
            assert_eq!(played, told, "{}: BLESS=1 writes it anew", name(&file));
        }
    }
}

#[test]
fn lessons_are_numbered_without_a_gap() {
    let mut files: Vec<PathBuf> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for (number, file) in (1..).zip(&files) {
        assert!(name(file).starts_with(&format!("{number:02}-")), "{} is not number {number}", name(file));
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// The same text, with what comes of each step in its place.
fn play(text: &str) -> String {
    let mut stage = Stage { bus: Bus::new(0), shown: BTreeSet::new(), losses: Vec::new() };
    let steps: Vec<String> = text.trim_end().split("\n\n").map(|step| stage.step(step)).collect();
    steps.join("\n\n") + "\n"
}

struct Stage {
    bus: Bus,
    shown: BTreeSet<String>,
    losses: Vec<Loss>,
}

/// Packets that are lost: of this kind, and of this origin and between these ends if they are given.
#[derive(Clone)]
struct Loss {
    kind: String,
    of: Option<u32>,
    from: Option<u32>,
    to: Option<u32>,
}

impl Loss {
    fn takes(&self, Flight { from, to, packet }: Flight<'_>) -> bool {
        let origin = if let Packet::Data(data) = packet { Some(data.origin.0) } else { None };
        packet.kind().to_string() == self.kind
            && self.of.is_none_or(|of| origin == Some(of))
            && self.from.is_none_or(|by| by == from)
            && self.to.is_none_or(|at| at == to)
    }
}

impl Stage {
    /// One paragraph: remarks and commands, then what came of them.
    fn step(&mut self, step: &str) -> String {
        let commands: Vec<&str> = step.lines().take_while(|line| *line != RULE).collect();
        let acts = commands.iter().filter(|line| !line.starts_with('#'));
        if acts.clone().count() == 0 {
            return step.to_owned();
        }
        acts.for_each(|line| self.command(line));
        let outcome = self.outcome();
        [&commands[..], &[RULE], &outcome.iter().map(String::as_str).collect::<Vec<_>>()].concat().join("\n")
    }

    fn command(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["daemons", count] => self.bus = Bus::new(number(count)),
            ["run", span, unit] => self.bus.run(duration(number(span), unit)),
            ["send", daemon, service, ref text @ ..] => {
                self.bus.send(number(daemon), self::service(service), &text.join(" "));
            }
            ["partition", ref sides @ ..] => {
                let sides: Vec<Vec<u32>> = sides
                    .split(|word| *word == "|")
                    .map(|side| side.iter().map(|word| number(word)).collect())
                    .collect();
                self.bus.partition(&sides.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            ["lose", kind, ref ends @ ..] => self.lose(kind, ends),
            ["heal"] => {
                self.losses.clear();
                self.bus.heal();
            }
            ["crash", daemon] => self.bus.crash(number(daemon)),
            ["start", daemon] => self.bus.start(number(daemon)),
            ["leave", daemon] => self.bus.leave(number(daemon)),
            ["show", ref kinds @ ..] => self.shown = kinds.iter().map(|kind| kind.to_string()).collect(),
            _ => panic!("no command: {line}"),
        }
    }

    /// One more rule of what is lost, besides those that are there.
    fn lose(&mut self, kind: &str, ends: &[&str]) {
        let mut loss = Loss { kind: kind.to_owned(), of: None, from: None, to: None };
        for end in ends.chunks(2) {
            match *end {
                ["of", daemon] => loss.of = Some(number(daemon)),
                ["from", daemon] => loss.from = Some(number(daemon)),
                ["to", daemon] => loss.to = Some(number(daemon)),
                _ => panic!("lose {kind} {ends:?}"),
            }
        }
        self.losses.push(loss);
        let losses = self.losses.clone();
        self.bus.lose(move |flight| losses.iter().any(|loss| loss.takes(flight)));
    }

    /// Packets that are to be shown, in their order; then what the daemons delivered, those together that delivered the same.
    fn outcome(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.bus.lines);
        let mut outcome: Vec<String> = Vec::new();
        let mut daemons: Vec<(Vec<u32>, Vec<String>)> = Vec::new();
        let mut delivered: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for line in lines {
            match line {
                Line::Delivered { daemon, event } => delivered.entry(daemon).or_default().push(rings::text(&event)),
                Line::Sent { from, to, packet } if self.shown.contains(&packet.kind().to_string()) => {
                    let to = to.map_or("all".to_owned(), |to| to.to_string());
                    outcome.push(format!("{from} to {to}: {}", words(&packet)));
                }
                Line::Sent { .. } => {}
            }
        }
        for (daemon, texts) in delivered {
            match daemons.iter_mut().find(|(_, known)| *known == texts) {
                Some((same, _)) => same.push(daemon),
                None => daemons.push((vec![daemon], texts)),
            }
        }
        for (same, texts) in daemons {
            let same: Vec<String> = same.iter().map(u32::to_string).collect();
            outcome.push(format!("at {}:", same.join(" ")));
            outcome.extend(texts.iter().map(|text| format!("  {text}")));
        }
        if outcome.is_empty() { vec!["nothing".to_owned()] } else { outcome }
    }
}

/// A packet in few words: what a reader of the lessons needs.
fn words(packet: &Packet) -> String {
    let kind = packet.kind();
    let list = |daemons: &mut dyn Iterator<Item = DaemonId>| {
        daemons.map(|daemon| daemon.0.to_string()).collect::<Vec<_>>().join(" ")
    };
    match packet {
        Packet::Join(join) if join.leaving => format!("{kind}, leaving"),
        Packet::Join(join) if join.failed.is_empty() => {
            format!("{kind}, present {}", list(&mut join.present.iter().copied()))
        }
        Packet::Join(join) => {
            let (present, failed) = (list(&mut join.present.iter().copied()), list(&mut join.failed.iter().copied()));
            format!("{kind}, present {present}, failed {failed}")
        }
        Packet::Form(part) => {
            let filled = part.entries.iter().filter(|entry| entry.brings.is_some()).map(|entry| entry.daemon);
            format!("{kind}, hop {}, filled in by {}", part.hop, list(&mut filled.into_iter()))
        }
        Packet::Data(data) if data.recovered => format!("{kind} {}, a packet of the old ring", data.seq),
        Packet::Data(data) => format!("{kind} {} of {}", data.seq, data.origin.0),
        _ => kind.to_string(),
    }
}

fn number(word: &str) -> u32 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn duration(span: u32, unit: &str) -> Duration {
    match unit {
        "s" => Duration::from_secs(span.into()),
        "ms" => Duration::from_millis(span.into()),
        "us" => Duration::from_micros(span.into()),
        _ => panic!("no unit of time: {unit}"),
    }
}

fn service(word: &str) -> Service {
    let all = (1..=6).filter_map(Service::from_wire);
    all.into_iter().find(|service| service.to_string() == word).unwrap_or_else(|| panic!("no service: {word}"))
}
