//! What happened, as the checker sees it: for each life of each daemon the list of its configurations, submissions and
//! deliveries, in order. It knows messages by number; what travels as payload is derived from the number, so that a message that
//! nobody sent or that was altered on its way is noticed when it comes out.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use spread::ring::{Configuration, ConfigurationKind, Message};
use spread::wire::{DaemonId, Payload, Service};

/// Number of a message in [`Trace::messages`].
pub type MessageNumber = usize;
/// Number of a process in [`Trace::processes`].
pub type ProcessNumber = usize;

/// One life of a daemon.
#[derive(Debug)]
pub struct Process {
    pub daemon: DaemonId,
    pub events: Vec<Event>,
    /// It was killed or has left; otherwise it lives at the end of the trace.
    pub ended: bool,
}

/// What a process did or saw.
#[derive(Clone, Debug)]
pub enum Event {
    Submit(MessageNumber),
    /// Boxed, because there are few among many of the others.
    Configuration(Box<Configuration>),
    Deliver(MessageNumber),
}

impl Process {
    /// How many regular configurations it has installed.
    pub fn configurations(&self) -> usize {
        let regular = |event: &&Event| matches!(event, Event::Configuration(c) if c.kind == ConfigurationKind::Regular);
        self.events.iter().filter(regular).count()
    }

    /// How many members its largest configuration had.
    pub fn largest(&self) -> usize {
        let members = |event: &Event| if let Event::Configuration(c) = event { c.members.len() } else { 0 };
        self.events.iter().map(members).max().unwrap_or_default()
    }
}

/// A message that was submitted.
#[derive(Clone, Debug)]
pub struct Sent {
    pub process: ProcessNumber,
    pub service: Service,
    pub size: usize,
    /// Submitted in answer to a configuration, before everything that waits, for that configuration only.
    pub first: bool,
    /// No message may overtake it. So it is with everything that is submitted first.
    pub barrier: bool,
}

impl Sent {
    /// Whether it takes part in the one order of all.
    pub fn is_ordered(&self) -> bool {
        self.service >= Service::Causal
    }

    /// Whether its sender's order is kept for it.
    pub fn is_in_senders_order(&self) -> bool {
        self.service >= Service::Fifo
    }
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Trace {
    pub processes: Vec<Process>,
    pub messages: Vec<Sent>,
    /// Those that somebody delivered without a number in their ring.
    pub claimed: BTreeSet<MessageNumber>,
    /// Deliveries of something that was not submitted like this.
    pub forged: Vec<String>,
}

/// Writes down what one process submits.
pub struct Scribe<'a> {
    pub trace: &'a mut Trace,
    pub process: ProcessNumber,
}

impl Scribe<'_> {
    /// The payload to submit.
    pub fn submit(&mut self, service: Service, size: usize) -> Payload {
        self.trace.submit(Sent { process: self.process, service, size, first: false, barrier: false })
    }

    /// The payload of an agreed message to submit that nothing may overtake.
    pub fn submit_barrier(&mut self, size: usize) -> Payload {
        let service = Service::Agreed;
        self.trace.submit(Sent { process: self.process, service, size, first: false, barrier: true })
    }

    /// The payload to submit before everything that waits, in answer to a configuration.
    pub fn submit_first(&mut self, service: Service, size: usize) -> Payload {
        self.trace.submit(Sent { process: self.process, service, size, first: true, barrier: true })
    }
}

const STAMP: usize = 4;

impl Trace {
    pub fn begin(&mut self, daemon: DaemonId) -> ProcessNumber {
        self.processes.push(Process { daemon, events: Vec::new(), ended: false });
        self.processes.len() - 1
    }

    pub fn end(&mut self, process: ProcessNumber) {
        self.processes[process].ended = true;
    }

    /// Writes a submission down and gives the payload to submit: the message's number and filler.
    pub fn submit(&mut self, sent: Sent) -> Payload {
        let number = self.messages.len();
        self.processes[sent.process].events.push(Event::Submit(number));
        let payload = payload(number, sent.size);
        self.messages.push(sent);
        Payload::from(payload)
    }

    pub fn configuration(&mut self, process: ProcessNumber, configuration: Configuration) {
        self.processes[process].events.push(Event::Configuration(Box::new(configuration)));
    }

    pub fn deliver(&mut self, process: ProcessNumber, message: &Message) -> Option<MessageNumber> {
        let number = self.identify(message);
        self.claimed.extend(number.filter(|_| !message.numbered));
        match number {
            Some(number) => self.processes[process].events.push(Event::Deliver(number)),
            None => self.forged.push(format!(
                "{} delivered {} bytes of {} that were not submitted like this",
                self.processes[process].daemon,
                message.payload.len(),
                message.origin
            )),
        }
        number
    }

    /// The last regular configuration of a process.
    pub fn current(&self, process: ProcessNumber) -> Option<&Configuration> {
        self.processes[process].events.iter().rev().find_map(|event| match event {
            Event::Configuration(c) if c.kind == ConfigurationKind::Regular => Some(&**c),
            _ => None,
        })
    }

    /// A number that two traces share only if the same happened in both.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for process in &self.processes {
            (process.daemon, process.ended).hash(&mut hasher);
            for event in &process.events {
                match event {
                    Event::Submit(number) => (2 * number).hash(&mut hasher),
                    Event::Deliver(number) => (2 * number + 1).hash(&mut hasher),
                    Event::Configuration(c) => (c.kind as u8, c.ring, &c.members).hash(&mut hasher),
                }
            }
        }
        hasher.finish()
    }

    fn identify(&self, message: &Message) -> Option<MessageNumber> {
        let number = stamp(&message.payload.front(STAMP))?;
        let sent = self.messages.get(number)?;
        let genuine = self.processes[sent.process].daemon == message.origin
            && sent.service == message.service
            && is_payload(number, sent.size, message.payload.slices());
        genuine.then_some(number)
    }
}

/// The number that a payload begins with.
pub fn stamp(payload: &[u8]) -> Option<MessageNumber> {
    payload.first_chunk::<STAMP>().map(|stamp| u32::from_be_bytes(*stamp) as usize)
}

/// What travels as the message of this number.
pub fn payload(number: MessageNumber, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(STAMP + size);
    bytes.extend_from_slice(&(number as u32).to_be_bytes());
    while bytes.len() < STAMP + size {
        let missing = STAMP + size - bytes.len();
        bytes.extend_from_slice(&filler(number)[..missing.min(PERIOD)]);
    }
    bytes
}

/// Whether these pieces, put together, are what travels as the message of this number.
pub fn is_payload<Piece>(number: MessageNumber, size: usize, pieces: impl IntoIterator<Item = Piece>) -> bool
where
    Piece: AsRef<[u8]>,
{
    let stamp = (number as u32).to_be_bytes();
    let mut at = 0;
    for piece in pieces {
        let (begin, filling) = piece.as_ref().split_at(piece.as_ref().len().min(STAMP.saturating_sub(at)));
        if !stamp.get(at..).unwrap_or_default().starts_with(begin) {
            return false;
        }
        at += begin.len();
        for part in filling.chunks(PERIOD) {
            if *part != filler(number + at - STAMP)[..part.len()] {
                return false;
            }
            at += part.len();
        }
    }
    at == STAMP + size
}

/// The filler repeats itself after so many bytes.
const PERIOD: usize = 256;
/// A whole period from every start.
const FILLER: [u8; 2 * PERIOD] = {
    let mut filler = [0; 2 * PERIOD];
    let mut n = 1;
    while n < filler.len() {
        filler[n] = (filler[n - 1] as usize * 5 + 113) as u8;
        n += 1;
    }
    filler
};

fn filler(number: MessageNumber) -> &'static [u8; PERIOD] {
    FILLER[number % PERIOD..].first_chunk().expect("two periods hold one from every start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_known_however_it_was_cut_and_no_other_is() {
        let (number, size) = (777, 600);
        let whole = payload(number, size);
        for cut in 0..whole.len() {
            let (front, back) = whole.split_at(cut);
            let (middle, end) = back.split_at(back.len() / 2);
            assert!(is_payload(number, size, [front, middle, end]), "cut at {cut}");
            assert!(!is_payload(number, size, [front]), "{cut} bytes of it");
            let mut altered = whole.clone();
            altered[cut] ^= 1;
            assert!(!is_payload(number, size, altered.chunks(100)), "altered at {cut}");
        }
        assert!(!is_payload(number + 1, size, [&whole]) && !is_payload(number, size + 1, [&whole]));
        assert!(!is_payload(number, size, [&whole[..], b"more"]));
    }
}
