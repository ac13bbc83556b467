//! What happened at the clients, as their checker sees it: for each connection what the client asked for and what it got, in order.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use spread::time::Instant;
use spread::wire::{FrameType, GroupId, Name, Service};

/// Number of a message in [`Journal::messages`].
pub type MessageNumber = usize;
/// Number of a connection in [`Journal::connections`].
pub type ConnectionNumber = usize;

/// Everything that happened. All daemons of a history write into one.
#[derive(Debug, Default)]
pub struct Journal {
    pub connections: Vec<Connection>,
    pub messages: Vec<Sent>,
    /// What no daemon may do at all: frames that nobody sent like this, sessions ended without a reason.
    pub wrongs: Vec<String>,
}

/// The journal that all daemons of a history share.
pub type SharedJournal = Rc<RefCell<Journal>>;

/// One session, from the end of its handshake on.
#[derive(Debug)]
pub struct Connection {
    pub name: Name,
    pub membership: bool,
    pub asked: Vec<Ask>,
    pub got: Vec<Got>,
    /// The client has ended it, or its daemon has died.
    pub ended: bool,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    Join(Name),
    Leave(Name),
    Send(MessageNumber),
}

/// What a client got, and when.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Instant,
    pub entry: Entry,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    Data(MessageNumber),
    View(View),
    Transition { group: Name, id: GroupId },
    SelfLeave { group: Name },
}

/// A regular membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub cause: FrameType,
    pub group: Name,
    pub id: GroupId,
    pub members: Vec<Name>,
    pub sets: Vec<Vec<Name>>,
    pub own: usize,
}

/// A message that a client sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub connection: ConnectionNumber,
    pub service: Service,
    pub groups: Vec<Name>,
    pub size: usize,
    /// The sender wants no copy.
    pub discard: bool,
    /// When it was written to the socket.
    pub at: Instant,
    /// How much the sender had got by then.
    pub after: usize,
    /// Sent when all faults were over and everybody was where they wanted to be.
    pub farewell: bool,
}

/// A message of this size keeps its place among its sender's, whatever its service: it goes in pieces.
pub const IN_PLACE: usize = 256 << 10;

impl Sent {
    /// Whether it takes part in the one order of all.
    pub fn is_ordered(&self) -> bool {
        self.service >= Service::Causal
    }

    /// Whether its sender's order is kept for it.
    pub fn is_in_senders_order(&self) -> bool {
        self.service >= Service::Fifo || self.size >= IN_PLACE
    }
}

impl Hash for View {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.cause.0, self.group, self.id, &self.members, &self.sets, self.own).hash(state);
    }
}

impl View {
    /// Those who came here together with the receiver.
    pub fn own_set(&self) -> &[Name] {
        &self.sets[self.own]
    }
}

impl Connection {
    /// The groups that the client wants to be in.
    pub fn wanted(&self) -> BTreeSet<Name> {
        let mut wanted = BTreeSet::new();
        for ask in &self.asked {
            match ask {
                Ask::Join(group) => _ = wanted.insert(*group),
                Ask::Leave(group) => _ = wanted.remove(group),
                Ask::Send(_) => {}
            }
        }
        wanted
    }

    /// The frames in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.got.iter().map(|got| &got.entry)
    }

    /// The messages in order.
    pub fn messages(&self) -> impl Iterator<Item = MessageNumber> {
        self.entries().filter_map(|entry| match entry {
            Entry::Data(number) => Some(*number),
            _ => None,
        })
    }
}

impl Journal {
    /// The connections that last.
    pub fn open(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().filter(|connection| !connection.ended)
    }

    /// Prints what each client sent and got.
    pub fn show(&self) {
        for (number, sent) in self.messages.iter().enumerate() {
            println!("message {number} at {:?} by {}: {sent:?}", sent.at, self.connections[sent.connection].name);
        }
        for connection in &self.connections {
            let Connection { name, membership, asked, ended, .. } = connection;
            println!("{name}: membership {membership}, ended {ended}, asked {asked:?}");
            connection.got.iter().for_each(|got| println!("  {:?} {:?}", got.at, got.entry));
        }
    }

    /// A number that two journals share only if the same happened in both.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for connection in &self.connections {
            (connection.name, connection.membership, &connection.asked, connection.ended).hash(&mut hasher);
            connection.got.iter().for_each(|got| (got.at, &got.entry).hash(&mut hasher));
        }
        hasher.finish()
    }
}
