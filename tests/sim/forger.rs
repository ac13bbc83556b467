//! Datagrams that somebody else writes in a daemon's name: sound in form, and with any content, from the next number to the largest.
//! They are made of what travelled last, as somebody would make them who listens, and of what travelled in earlier lives.

use std::collections::BTreeMap;

use spread::rng::Rng;
use spread::seal::{Cipher, Key, LifeKey};
use spread::wire::{
    Basis, DaemonId, Data, Envelope, ExchangeState, FormPart, GroupId, GroupState, Have, Head, Header, Incarnation,
    Join, Name, NetworkId, Packet, PacketKind, PathReport, Piece, Probe, Protection, Reader, Rest, RingId, SealTag,
    Service, Slice, Token, Way,
};

/// What travelled last.
#[derive(Debug, Default)]
pub struct Listener {
    /// By kind.
    latest: BTreeMap<PacketKind, (NetworkId, Slice)>,
    /// By sender: its life and the counter of its latest datagram.
    senders: BTreeMap<DaemonId, (Incarnation, u64)>,
}

/// How much of a packet is changed.
struct Pen<'a> {
    rng: &'a mut Rng,
    daemons: u64,
    /// How often a field is another one.
    boldness: f64,
}

impl Listener {
    /// A datagram is on its way.
    pub fn record(&mut self, network: NetworkId, datagram: &Slice) {
        let header = Header::decode(&mut Reader::new(datagram)).expect("daemons send packets");
        self.latest.insert(header.kind, (network, datagram.clone()));
        self.senders.insert(header.sender, (header.incarnation, header.counter));
    }

    /// A forged datagram for a daemon, one of so many.
    pub fn forge(&self, rng: &mut Rng, daemons: usize, to: DaemonId) -> Option<(NetworkId, Slice)> {
        let place = rng.below(self.latest.len() as u64) as usize;
        let (network, model) = self.latest.values().nth(place)?;
        let boldness = [0.05, 0.2, 0.6][rng.below(3) as usize];
        let mut pen = Pen { rng, daemons: daemons as u64, boldness };
        let mut header = Header::decode(&mut Reader::new(model)).expect("daemons send packets");
        self.forge_header(&mut pen, &mut header, to);
        let body = model.tail(Header::SIZE);
        let body = match Packet::decode(header.kind, &body) {
            Ok(packet) => pen.packet(packet).encode(),
            Err(_) => pen.report(&body),
        };
        Some((*network, Slice::from([&header.encode()[..], &body].concat())))
    }

    /// A datagram for a daemon with keys from somebody who has none, in a world where datagrams are sealed: what travelled with another head or
    /// body, a body of his own, or all of it sealed with a key that he made.
    pub fn forge_unsealed(&self, rng: &mut Rng, daemons: usize, to: DaemonId) -> Option<(NetworkId, Slice)> {
        let place = rng.below(self.latest.len() as u64) as usize;
        let (network, model) = self.latest.values().nth(place)?;
        let (mut header, tag, start) = Head::decode(model).expect("daemons send packets");
        let mut body = model[start..].to_vec();
        let mut pen = Pen { rng, daemons: daemons as u64, boldness: 0.5 };
        self.forge_header(&mut pen, &mut header, to);
        pen.extremes(&mut header);
        if pen.dares() {
            body = (0..pen.rng.below(2000)).map(|_| pen.rng.next_u64() as u8).collect();
        }
        let tag = match pen.rng.below(4) {
            0 => {
                header.protection = Protection::Plain;
                None
            }
            1 => {
                let key = Key::new(Cipher::Aes256Gcm, [200; Key::SIZE]);
                let hint = if pen.dares() { key.id().hint() } else { pen.hint(header.protection) };
                header.protection = Protection::Sealed(hint);
                Some(LifeKey::derive(&key, header.sender, header.incarnation).seal(&header, &mut body))
            }
            2 => Some(SealTag(std::array::from_fn(|_| pen.rng.next_u64() as u8))),
            _ => tag,
        };
        let forged = Slice::from([&Head::new(&header, tag.as_ref())[..], &body].concat());
        // Only the two fields of the hop may be others in what is true.
        (forged[8..] != model[8..] || forged[3] != model[3] || forged[5] != model[5]).then_some((*network, forged))
    }

    /// The header of a packet that the receiver has not seen yet.
    fn forge_header(&self, pen: &mut Pen<'_>, header: &mut Header, to: DaemonId) {
        if header.sender == to || pen.dares() {
            let others: Vec<DaemonId> = self.senders.keys().copied().filter(|&sender| sender != to).collect();
            header.sender =
                others.get(pen.rng.below(others.len().max(1) as u64) as usize).copied().unwrap_or(header.sender);
        }
        let (life, counter) = self.senders.get(&header.sender).copied().unwrap_or((header.incarnation, header.counter));
        header.incarnation = life;
        header.counter = counter + 1 + pen.rng.below(64);
        header.destination = header.destination.map(|_| to);
        header.way = Way::Direct;
    }
}

impl Pen<'_> {
    fn dares(&mut self) -> bool {
        self.rng.chance(self.boldness)
    }

    fn packet(&mut self, packet: Packet) -> Packet {
        match packet {
            Packet::Data(data) => Packet::Data(self.data(data)),
            Packet::Token(token) => Packet::Token(self.token(token)),
            Packet::Join(join) => Packet::Join(self.join(join)),
            Packet::Form(part) => Packet::Form(self.form(part)),
            Packet::Probe(probe) => {
                let answers = if self.dares() { Some(self.daemon(probe.ring.representative)) } else { probe.answers };
                Packet::Probe(Probe { ring: self.ring(probe.ring), answers })
            }
            Packet::Hurry(ring) => Packet::Hurry(self.ring(ring)),
            Packet::Rest(rest) => Packet::Rest(self.rest(rest)),
            Packet::Have(have) => Packet::Have(self.have(have)),
            Packet::Handover(data) => Packet::Handover(self.data(data)),
        }
    }

    /// What a head may say: any life, any counter, any kind, any way.
    fn extremes(&mut self, header: &mut Header) {
        if self.dares() {
            header.counter = [0, 1, 1 << 32, u64::MAX - 1, u64::MAX][self.rng.below(5) as usize];
        }
        if self.dares() {
            header.incarnation = Incarnation([0, 1, 2, 3, u64::MAX][self.rng.below(5) as usize]);
        }
        if self.dares() {
            header.way = [Way::Direct, Way::Relayed, Way::Crossing][self.rng.below(3) as usize];
        }
        if self.dares() {
            header.network = NetworkId(self.rng.below(8) as u8);
        }
        if self.dares() {
            let somebody = self.daemon(DaemonId(1));
            header.destination = Some(somebody).filter(|_| self.rng.chance(0.5));
        }
        if self.dares() {
            let kinds = [PacketKind::Greeting, PacketKind::Report, PacketKind::Join, PacketKind::Token];
            header.kind = kinds[self.rng.below(4) as usize];
        }
        if self.rng.chance(0.1) {
            header.system ^= 1;
        }
    }

    fn hint(&self, protection: Protection) -> u8 {
        match protection {
            Protection::Sealed(hint) => hint,
            Protection::Plain => 1,
        }
    }

    /// A number near this one, or far from it.
    fn number(&mut self, near: u64) -> u64 {
        if !self.dares() {
            return near;
        }
        let largest = (1 << 62) - 1;
        match self.rng.below(8) {
            0..3 => near + 1 + self.rng.below(6),
            3 => near.saturating_sub(1 + self.rng.below(6)),
            4 => near + self.rng.below(1 << 15),
            5 => (near + (1 << self.rng.below(62))).min(largest),
            6 => largest - self.rng.below(3),
            _ => self.rng.below(4),
        }
    }

    fn daemon(&mut self, daemon: DaemonId) -> DaemonId {
        match self.dares() {
            true if self.rng.chance(0.1) => DaemonId(777),
            true => DaemonId(1 + self.rng.below(self.daemons) as u32),
            false => daemon,
        }
    }

    fn ring(&mut self, ring: RingId) -> RingId {
        let seldom = self.boldness / 4.0;
        let boldness = std::mem::replace(&mut self.boldness, seldom);
        let ring = RingId { sequence: self.number(ring.sequence), representative: self.daemon(ring.representative) };
        self.boldness = boldness;
        ring
    }

    fn data(&mut self, data: Data) -> Data {
        let payload = match self.rng.below(4) {
            0 => data.payload,
            1 => vec![7; [0, 9, 1000, 60_000][self.rng.below(4) as usize]].into(),
            _ => self.message(data.ring),
        };
        let first = self.rng.below(4 * payload.len().max(1) as u64) as u16;
        Data {
            ring: self.ring(data.ring),
            seq: self.number(data.seq + 1).max(1),
            origin: self.daemon(data.origin),
            offset: self.number(data.offset),
            first_message: Some(first / 4).filter(|&at| usize::from(at) < payload.len()),
            service: Service::from_wire(self.rng.below(7) as u8),
            recovered: data.recovered ^ self.dares(),
            barrier_distance: self.number(data.barrier_distance.into()) as u16,
            claim_distance: self.number(data.claim_distance.into()) as u16,
            payload,
        }
    }

    /// A stretch of a stream: a message that the level of groups would read.
    fn message(&mut self, ring: RingId) -> Slice {
        let envelope = self.envelope(ring).encode().contiguous();
        let length = (envelope.len() as u32).to_be_bytes();
        let service = [1 + self.rng.below(6) as u8];
        Slice::from([&length[..], &service, &envelope].concat())
    }

    fn envelope(&mut self, ring: RingId) -> Envelope {
        let daemon = 1 + self.rng.below(self.daemons);
        let member = Name::new(format!("#u{}#d{daemon}", self.rng.below(4)).as_bytes()).expect("a short name");
        let group = Name::new(format!("g{}", self.rng.below(4)).as_bytes()).expect("a short name");
        match self.rng.below(6) {
            0 => Envelope::Join { member, group },
            1 => Envelope::Leave { member, group },
            2 => Envelope::Disconnect { member },
            3 => {
                let basis = Basis { ring: self.ring(ring), together: vec![DaemonId(daemon as u32)] };
                let parts = self.number(1).clamp(1, u64::from(u32::MAX)) as u32;
                let said = GroupState { group, id: GroupId([1, 2, 3]), broken: self.dares(), members: vec![member] };
                Envelope::State(ExchangeState { exchange: ring, basis, parts, groups: vec![said] })
            }
            4 => {
                let (number, total) = (self.rng.below(3), self.number(5) as u32);
                let offset = [0, 5, total][self.rng.below(3) as usize];
                Envelope::Piece(Piece { ring, number, total, offset, bytes: vec![1; 5].into() })
            }
            _ => Envelope::Data(vec![0; self.rng.below(100) as usize].into()),
        }
    }

    fn token(&mut self, mut token: Token) -> Token {
        token.ring = self.ring(token.ring);
        let ahead = self.rng.below(1 + self.daemons);
        token.hop = self.number(token.hop + ahead);
        token.seq = self.number(token.seq);
        token.aru = self.number(token.aru).min(token.seq);
        let somebody = self.daemon(DaemonId(1));
        if self.dares() {
            token.aru_by = Some(somebody).filter(|_| self.rng.chance(0.7));
        }
        if self.dares() {
            token.owing_by = Some(somebody).filter(|_| self.rng.chance(0.7));
        }
        token.delayed = self.number(token.delayed).min(token.hop);
        token.sent = self.number(token.sent.into()) as u32;
        token.again = self.number(token.again.into()) as u32;
        token.backlogged = self.number(token.backlogged.into()) as u16;
        token.window = self.number(token.window.into()) as u32;
        token.barrier = self.number(token.barrier).min(token.seq);
        token.handed = self.number(token.handed).min(token.seq);
        if self.dares() {
            token.requests = vec![(self.number(token.seq), 1 + self.rng.below(30_000) as u16)];
        }
        token
    }

    fn rest(&mut self, mut rest: Rest) -> Rest {
        rest.ring = self.ring(rest.ring);
        rest.hop = self.number(rest.hop);
        rest.count = self.number(rest.count + 1);
        rest.seq = self.number(rest.seq);
        rest.safe = self.number(rest.safe).min(rest.seq);
        rest.gone ^= self.dares();
        rest.asks ^= self.dares();
        rest
    }

    fn have(&mut self, mut have: Have) -> Have {
        have.ring = self.ring(have.ring);
        have.hop = self.number(have.hop);
        have.count = self.number(have.count);
        have.aru = self.number(have.aru);
        if self.dares() {
            have.requests = vec![(self.number(have.aru), 1 + self.rng.below(30_000) as u16)];
        }
        have
    }

    fn join(&mut self, mut join: Join) -> Join {
        join.origin = self.daemon(join.origin);
        join.sequence = self.number(join.sequence);
        join.leaving ^= self.dares();
        if self.dares() {
            join.incarnation = Incarnation(1 + self.rng.below(4));
        }
        for set in [&mut join.present, &mut join.failed] {
            if self.dares() {
                set.insert(self.daemon(DaemonId(1)));
            }
            if self.dares() {
                set.pop_first();
            }
        }
        join
    }

    fn form(&mut self, mut part: FormPart) -> FormPart {
        part.ring = self.ring(part.ring);
        part.hop = self.number(part.hop);
        if self.dares() {
            let places = part.entries.len() as u64;
            let (one, other) = (self.rng.below(places) as usize, self.rng.below(places) as usize);
            part.entries.swap(one, other);
        }
        for member in &mut part.entries {
            member.daemon = self.daemon(member.daemon);
            if self.dares() {
                member.incarnation = Incarnation(1 + self.rng.below(4));
            }
            if let Some(brings) = &mut member.brings {
                brings.ring = self.ring(brings.ring);
                brings.aru = self.number(brings.aru);
                brings.delivered = self.number(brings.delivered);
                brings.high = self.number(brings.high);
                brings.trusted ^= u128::from(self.number(0));
                brings.holds ^= self.dares();
                brings.apart ^= self.dares();
            }
        }
        part
    }

    /// What a daemon would report that hears others than it does.
    fn report(&mut self, body: &Slice) -> Slice {
        let Ok(mut report) = PathReport::decode(body) else { return body.clone() };
        let hears: Vec<u8> =
            report.hears.iter().map(|&set| if self.dares() { self.rng.next_u64() as u8 } else { set }).collect();
        report.hears = &hears;
        report.number = self.number(report.number + 1);
        report.clock = self.number(report.clock.into()) as u32;
        report.pause = self.number(report.pause.into()) as u16;
        report.asks = if self.dares() { Some(self.rng.next_u64() as u8) } else { report.asks };
        Slice::from(report.encode())
    }
}
