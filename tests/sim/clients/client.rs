//! One simulated client: its end of the socket, and what it feels like doing.
//!
//! It speaks the classic protocol in bytes and writes everything that it asks for and gets into the journal. What it does is drawn
//! from its daemon's seed. It comes back after every disconnection, mostly under the same name.

use std::collections::VecDeque;

use spread::groups::SessionId;
use spread::node::EndReason;
use spread::rng::Rng;
use spread::session::Violation;
use spread::time::{Duration, Instant};
use spread::wire::{
    Answer, ConnectRequest, FrameType, MethodChoice, MethodList, MethodName, Name, PrivateName, Refusal, Service,
    Version,
};

use super::frames;
use super::journal::{Ask, Connection, ConnectionNumber, Got, IN_PLACE, Sent, SharedJournal};

/// A message of so many bytes goes in pieces.
const IN_PIECES: u64 = IN_PLACE as u64;

/// What clients are like.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The groups that there are.
    pub groups: Vec<Name>,
    /// About twice the mean time between two deeds.
    pub pace: Duration,
    /// How often a client wants membership messages.
    pub watchers: f64,
    /// How often a client reads slowly.
    pub slow: f64,
    /// From then on clients only come back, read at once and stay.
    pub until: Instant,
}

/// A client at a daemon.
pub struct Client {
    name: PrivateName,
    daemon: String,
    membership: bool,
    /// It lets the daemon make up a name.
    nameless: bool,
    /// The pause between two reads, and how much is read at most; all at once without it.
    slowness: Option<(Duration, usize)>,
    habits: Habits,
    rng: Rng,
    journal: SharedJournal,
    line: Option<Line>,
    next_deed: Instant,
}

/// A connection to the daemon.
struct Line {
    session: SessionId,
    stage: Stage,
    /// Written and not yet read by the daemon.
    up: VecDeque<u8>,
    /// The stream ends behind what was written.
    hung_up: bool,
    /// Read and not yet understood.
    down: Vec<u8>,
    read_at: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Stage {
    Greeting,
    Choosing,
    Open(ConnectionNumber),
    /// The client has gone; nothing that comes is of interest.
    Leaving,
}

/// What the daemon finds when it reads a socket.
pub enum Up {
    Bytes(Vec<u8>),
    End,
}

impl Client {
    /// A client that will connect soon. `seat` tells it from the others at its daemon.
    pub fn new(
        seat: usize,
        daemon: String,
        habits: Habits,
        mut rng: Rng,
        journal: SharedJournal,
        now: Instant,
    ) -> Client {
        let slow = rng.chance(habits.slow);
        let slowness = (Duration::from_millis(1 + rng.below(60)), 100 + rng.below(20_000) as usize);
        Client {
            name: private_name(&format!("c{seat}")),
            daemon,
            membership: rng.chance(habits.watchers),
            nameless: rng.chance(0.1),
            slowness: Some(slowness).filter(|_| slow),
            next_deed: now + Duration::from_micros(rng.below(100_000)),
            habits,
            rng,
            journal,
            line: None,
        }
    }

    /// When it wants to do or read something.
    pub fn poll_timeout(&self) -> Instant {
        let read = self.line.as_ref().and_then(|line| line.read_at);
        read.map_or(self.next_deed, |read| read.min(self.next_deed))
    }

    /// The session of its connection.
    pub fn session(&self) -> Option<SessionId> {
        self.line.as_ref().map(|line| line.session)
    }

    /// Whether it is connected, and the daemon has read all that it wrote.
    pub fn is_settled(&self) -> bool {
        self.line.as_ref().is_some_and(|line| matches!(line.stage, Stage::Open(_)) && line.up.is_empty())
    }

    /// Whether it wants to connect now.
    pub fn dials(&mut self, now: Instant) -> bool {
        self.line.is_none() && self.next_deed <= now
    }

    /// It has connected and says who it is, mostly.
    pub fn dial(&mut self, now: Instant, session: SessionId) {
        let (version, name) = (Version::OURS, Some(self.name).filter(|_| !self.nameless));
        let hello = ConnectRequest { version, membership: self.membership, priority: 0, name }.encode();
        let (up, down) = (hello.into(), Vec::new());
        let mut line = Line { session, stage: Stage::Greeting, up, hung_up: false, down, read_at: None };
        if now < self.habits.until && self.rng.chance(0.05) {
            line.up.truncate(self.rng.below(line.up.len() as u64 + 1) as usize);
            (line.stage, line.hung_up) = (Stage::Leaving, self.rng.chance(0.8));
        }
        self.line = Some(line);
        self.rest(now);
    }

    /// Does what it feels like, if it is time.
    pub fn deed(&mut self, now: Instant) {
        if self.next_deed > now {
            return;
        }
        self.rest(now);
        let Some(connection) = self.open().filter(|_| now < self.habits.until) else { return };
        match self.rng.below(100) {
            0..20 => self.join(connection),
            20..32 => self.leave(connection),
            32..35 => self.kill(connection, FrameType::KILL),
            35 => self.kill(connection, FrameType::KILL | FrameType::SAFE),
            36..38 => self.hang_up(connection),
            _ => {
                let service = Service::from_wire(1 + self.rng.below(6) as u8).expect("there are six");
                let size = self.any_size();
                self.send(now, service, size);
            }
        }
    }

    /// Sends to some groups, if it is connected; whether it was.
    pub fn send(&mut self, now: Instant, service: Service, size: usize) -> bool {
        let Some(connection) = self.open() else { return false };
        let groups = self.destinations(connection);
        let discard = self.rng.chance(0.05);
        self.write_message(
            now,
            Sent { connection, service, groups, size, discard, at: now, after: 0, farewell: false },
        );
        true
    }

    /// Sends a last message to each group that it is in.
    pub fn say_farewell(&mut self, now: Instant) {
        let Some(connection) = self.open() else { return };
        let wanted = self.journal.borrow().connections[connection].wanted();
        for (group, service) in
            wanted.into_iter().zip([Service::Safe, Service::Fifo, Service::Reliable].into_iter().cycle())
        {
            let groups = vec![group];
            let sent =
                Sent { connection, service, groups, size: 50, discard: false, at: now, after: 0, farewell: true };
            self.write_message(now, sent);
        }
    }

    /// What its daemon reads next.
    pub fn take_up(&mut self) -> Option<Up> {
        let line = self.line.as_mut()?;
        if line.up.is_empty() {
            return std::mem::take(&mut line.hung_up).then_some(Up::End);
        }
        let most = 1 + self.rng.below(4000) as usize;
        let bytes = line.up.drain(..most.min(line.up.len())).collect();
        Some(Up::Bytes(bytes))
    }

    /// Something waits for it at its daemon: whether it lets that wait and reads after a pause.
    pub fn pauses(&mut self, now: Instant) -> bool {
        let Some(line) = self.line.as_mut().filter(|line| matches!(line.stage, Stage::Open(_))) else { return false };
        line.read_at = self.slowness.filter(|_| now < self.habits.until).map(|(pause, _)| now + pause);
        line.read_at.is_some()
    }

    /// How many bytes it reads at a time.
    pub fn bite(&mut self, now: Instant) -> usize {
        let most = self.slowness.filter(|_| now < self.habits.until).map(|(_, most)| most as u64);
        most.map_or(usize::MAX, |most| 1 + self.rng.below(most) as usize)
    }

    /// Whether a read is due; it is no longer then.
    pub fn read_is_due(&mut self, now: Instant) -> bool {
        let due = self.line.as_mut().and_then(|line| line.read_at.take_if(|at| *at <= now));
        due.is_some()
    }

    /// It has read this.
    pub fn arrived(&mut self, now: Instant, bytes: &[u8]) {
        let Some(line) = &mut self.line else { return };
        line.down.extend_from_slice(bytes);
        match line.stage {
            Stage::Greeting => self.on_methods(),
            Stage::Choosing => self.on_answer(now),
            Stage::Open(connection) => self.on_frames(now, connection),
            Stage::Leaving => line.down.clear(),
        }
    }

    /// Its daemon has closed the connection.
    pub fn on_closed(&mut self, now: Instant, reason: EndReason) {
        let Some(line) = self.line.take() else { return };
        let expected = match (line.stage, reason) {
            (Stage::Open(_), _) => false,
            (_, EndReason::Refused(Refusal::NOT_UNIQUE) | EndReason::HandshakeTimeout) => true,
            (Stage::Leaving, EndReason::Kill | EndReason::Gone | EndReason::Violation(Violation::Kind)) => true,
            _ => false,
        };
        if let Stage::Open(connection) = line.stage {
            self.journal.borrow_mut().connections[connection].ended = true;
        }
        if !expected {
            self.wrong(format!("the session ended: {reason}"));
        }
        if self.rng.chance(0.2) {
            self.name = private_name(&format!("{}x", self.name));
        }
        self.rest(now);
    }

    fn open(&self) -> Option<ConnectionNumber> {
        match self.line.as_ref()?.stage {
            Stage::Open(connection) => Some(connection),
            _ => None,
        }
    }

    fn rest(&mut self, now: Instant) {
        self.next_deed = now + Duration::from_micros(1 + self.rng.below(self.habits.pace.as_nanos() as u64 / 1000));
    }

    fn on_methods(&mut self) {
        let line = self.line.as_mut().expect("only a line brings bytes");
        let Some((_, used)) = MethodList::decode(&line.down).expect("daemons send sound lists") else { return };
        line.down.drain(..used);
        line.up.extend(MethodChoice([Some(MethodName::NULL), None, None]).encode());
        line.stage = Stage::Choosing;
    }

    fn on_answer(&mut self, now: Instant) {
        let line = self.line.as_mut().expect("only a line brings bytes");
        let answer = Answer::decode(&line.down, Version::OURS).expect("nobody is refused that late");
        let Some((Answer { private_group: name, .. }, used)) = answer else { return };
        line.down.drain(..used);
        let mut journal = self.journal.borrow_mut();
        let connection = journal.connections.len();
        let (asked, got) = (Vec::new(), Vec::new());
        journal.connections.push(Connection { name, membership: self.membership, asked, got, ended: false });
        drop(journal);
        line.stage = Stage::Open(connection);
        self.join(connection);
        self.on_frames(now, connection);
    }

    fn on_frames(&mut self, at: Instant, connection: ConnectionNumber) {
        let line = self.line.as_mut().expect("only a line brings bytes");
        let mut rest = &line.down[..];
        let mut journal = self.journal.borrow_mut();
        while let Some(len) = frames::next(rest) {
            let (frame, behind) = rest.split_at(len);
            rest = behind;
            let name_of = |sent: &Sent| journal.connections[sent.connection].name;
            match frames::read(frame, &journal.messages, name_of) {
                Ok(entry) => journal.connections[connection].got.push(Got { at, entry }),
                Err(wrong) => {
                    let name = journal.connections[connection].name;
                    journal.wrongs.push(format!("{name} got {wrong}"));
                }
            }
        }
        line.down = rest.to_vec();
    }

    fn join(&mut self, connection: ConnectionNumber) {
        let group = self.any_group();
        self.ask(connection, FrameType::JOIN, Ask::Join(group), group);
    }

    fn leave(&mut self, connection: ConnectionNumber) {
        let group = self.any_group();
        self.ask(connection, FrameType::LEAVE, Ask::Leave(group), group);
    }

    /// Ends the session by a frame of this kind: the proper one, or one that breaks the protocol.
    fn kill(&mut self, connection: ConnectionNumber, kind: FrameType) {
        let name = self.leaves(connection);
        self.write(frames::request(kind, name, &[]));
    }

    fn hang_up(&mut self, connection: ConnectionNumber) {
        self.leaves(connection);
        self.line.as_mut().expect("it was open").hung_up = true;
    }

    fn leaves(&mut self, connection: ConnectionNumber) -> Name {
        self.line.as_mut().expect("it was open").stage = Stage::Leaving;
        let mut journal = self.journal.borrow_mut();
        journal.connections[connection].ended = true;
        journal.connections[connection].name
    }

    fn ask(&mut self, connection: ConnectionNumber, kind: FrameType, ask: Ask, group: Name) {
        let mut journal = self.journal.borrow_mut();
        journal.connections[connection].asked.push(ask);
        let name = journal.connections[connection].name;
        drop(journal);
        self.write(frames::request(kind, name, &[group]));
    }

    fn write_message(&mut self, now: Instant, sent: Sent) {
        let mut journal = self.journal.borrow_mut();
        let number = journal.messages.len();
        let connection = &mut journal.connections[sent.connection];
        connection.asked.push(Ask::Send(number));
        let sent = Sent { at: now, after: connection.got.len(), ..sent };
        let bytes = frames::message(number, &sent, connection.name);
        journal.messages.push(sent);
        drop(journal);
        self.write(bytes);
    }

    fn write(&mut self, bytes: Vec<u8>) {
        self.line.as_mut().expect("only a connected client writes").up.extend(bytes);
    }

    fn wrong(&self, what: String) {
        self.journal.borrow_mut().wrongs.push(format!("{} at {}: {what}", self.name, self.daemon));
    }

    /// Mostly small, seldom so large that it goes in pieces.
    fn any_size(&mut self) -> usize {
        let (least, most) = match self.rng.below(500) {
            0..3 => (IN_PIECES, 3 * IN_PIECES),
            3..50 => (0, 5000),
            _ => (0, 100),
        };
        (least + self.rng.below(most - least)) as usize
    }

    fn any_group(&mut self) -> Name {
        self.habits.groups[self.rng.below(self.habits.groups.len() as u64) as usize]
    }

    /// Some groups, its own private one, somebody else's.
    fn destinations(&mut self, connection: ConnectionNumber) -> Vec<Name> {
        let mut groups: Vec<Name> = (0..1 + self.rng.below(2)).map(|_| self.any_group()).collect();
        if self.rng.chance(0.3) {
            groups.push(self.journal.borrow().connections[connection].name);
        }
        if self.rng.chance(0.1) {
            let daemon = format!("d{}", 1 + self.rng.below(6));
            groups.extend(Name::private_group(b"c0", daemon.as_bytes()));
        }
        groups
    }
}

/// A daemon that dies takes its clients' connections along.
impl Drop for Client {
    fn drop(&mut self) {
        if let Some(connection) = self.open() {
            self.journal.borrow_mut().connections[connection].ended = true;
        }
    }
}

fn private_name(text: &str) -> PrivateName {
    let longest = text.len().min(PrivateName::LIMIT);
    PrivateName::new(&text.as_bytes()[..longest]).expect("short plain text is a name")
}
