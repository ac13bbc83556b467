//! The way of clients' messages to the ring. Large messages go in pieces and take turns, so that they do not delay other clients.
//!
//! A message above [`LARGE`] has its place in the order where its last piece is. The next messages of its session wait until then. Messages of
//! other sessions overtake it, and a piece is sent for each amount of bytes that overtakes.
//!
//! A piece names its configuration and counts in no other. If a new configuration begins before the message was complete, all of it is sent
//! again. This cannot duplicate it: if the last piece got a number in the old ring, this daemon delivers it before the new configuration.

use std::collections::{BTreeMap, VecDeque};

use crate::groups::{PIECED_LIMIT, SessionId};
use crate::wire::{Envelope, Payload, Piece, RingId, Service};

/// Bytes of the largest frame that is sent whole; above any of a classic client.
pub(super) const LARGE: usize = 256 << 10;
/// Bytes of a piece.
pub(super) const PIECE: usize = 64 << 10;

/// A submission to the ring.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Submission {
    /// A client's message, or a piece of one.
    Message(Service, Payload),
    /// A change of groups, which no message may overtake.
    Change(Payload),
}

impl Submission {
    fn of(service: Service, envelope: &Envelope) -> Submission {
        match envelope {
            Envelope::Data(_) | Envelope::Piece(_) => Submission::Message(service, envelope.encode()),
            _ => Submission::Change(envelope.encode()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Submission::Message(_, payload) | Submission::Change(payload) => payload.len(),
        }
    }
}

/// The sessions with large messages, and what is ready for the ring.
#[derive(Debug)]
pub(super) struct Lanes {
    /// The messages of each session that wait behind its first large message, including that one until it begins.
    lanes: BTreeMap<SessionId, VecDeque<(Service, Envelope)>>,
    /// Large messages that have begun and have no place in the order yet, by number.
    begun: BTreeMap<u64, Begun>,
    /// Those of them that have pieces left, the next one first.
    turns: VecDeque<u64>,
    /// Those that were refused for lack of room; they begin again when there is room.
    refused: Vec<u64>,
    /// Sessions whose large message has not begun, the next one first.
    waiting: VecDeque<SessionId>,
    ready: VecDeque<Submission>,
    /// Sessions that wait no longer.
    welcome: VecDeque<SessionId>,
    next_number: u64,
    ring: Option<RingId>,
    /// Bytes that wait for the token before no piece is added.
    level: usize,
    /// Bytes of other messages since the last piece.
    past: usize,
    /// Bytes of messages in lanes and of those that have begun, by session.
    bytes: BTreeMap<SessionId, usize>,
    total: usize,
}

#[derive(Debug)]
struct Begun {
    session: SessionId,
    service: Service,
    frame: Payload,
    sent: usize,
}

impl Lanes {
    /// No messages and no configuration yet. Pieces are added while fewer than `level` bytes wait for the token.
    pub(super) fn new(level: usize) -> Lanes {
        Lanes {
            lanes: BTreeMap::new(),
            begun: BTreeMap::new(),
            turns: VecDeque::new(),
            refused: Vec::new(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            welcome: VecDeque::new(),
            next_number: 0,
            ring: None,
            level,
            past: 0,
            bytes: BTreeMap::new(),
            total: 0,
        }
    }

    /// Bytes that wait here.
    pub(super) fn bytes(&self) -> usize {
        self.total
    }

    /// Bytes of one session that wait here.
    pub(super) fn bytes_of(&self, session: SessionId) -> usize {
        self.bytes.get(&session).copied().unwrap_or(0)
    }

    fn add(&mut self, session: SessionId, bytes: usize) {
        self.total += bytes;
        *self.bytes.entry(session).or_default() += bytes;
    }

    fn remove(&mut self, session: SessionId, bytes: usize) {
        self.total -= bytes;
        let Some(left) = self.bytes.get_mut(&session) else { return };
        *left -= bytes;
        if *left == 0 {
            self.bytes.remove(&session);
        }
    }

    /// A session sends something.
    pub(super) fn submit(&mut self, session: SessionId, service: Service, envelope: Envelope) {
        if self.holds(session) || is_large(&envelope) {
            self.add(session, size(&envelope));
        }
        match self.lanes.get_mut(&session) {
            // Its next messages must not overtake the large one.
            Some(lane) => lane.push_back((service, envelope)),
            None if is_large(&envelope) => {
                self.lanes.insert(session, VecDeque::from([(service, envelope)]));
                self.waiting.push_back(session);
                self.begin();
            }
            None => self.ready.push_back(Submission::of(service, &envelope)),
        }
    }

    /// Whether a session must not send more: a large message of it has no place in the order yet.
    pub(super) fn holds(&self, session: SessionId) -> bool {
        self.lanes.contains_key(&session)
    }

    /// A session that may send again.
    pub(super) fn poll_welcome(&mut self) -> Option<SessionId> {
        self.welcome.pop_front()
    }

    /// The next message for the ring that is no piece.
    pub(super) fn poll_ready(&mut self) -> Option<Submission> {
        let ready = self.ready.pop_front()?;
        if !self.turns.is_empty() {
            // Bytes of others earn the large messages their turn, so neither side starves.
            self.past += ready.len();
        }
        Some(ready)
    }

    /// The next piece for the ring, if it is time for one: `waiting` bytes wait for the token.
    pub(super) fn poll_piece(&mut self, waiting: usize) -> Option<Submission> {
        let ring = self.ring?;
        if waiting >= self.level && self.past < PIECE {
            return None;
        }
        let number = self.turns.pop_front()?;
        let begun = self.begun.get_mut(&number)?;
        let (offset, total) = (begun.sent, begun.frame.len());
        let bytes = begun.frame.skip(offset).front(PIECE);
        begun.sent += bytes.len();
        let is_last = begun.sent == total;
        // The last piece carries the promise of the message. The others only have to come before it.
        let service = if is_last { in_order(begun.service) } else { Service::Agreed };
        if !is_last {
            // To the end of the queue, so that several large messages share the ring.
            self.turns.push_back(number);
        }
        self.past = if self.turns.is_empty() { 0 } else { self.past.saturating_sub(PIECE) };
        let [total, offset] = [total, offset].map(|n| u32::try_from(n).expect("a frame is far below 4 GiB"));
        let piece = Envelope::Piece(Piece { ring, number, total, offset, bytes: bytes.into() });
        Some(Submission::of(service, &piece))
    }

    /// A large message has its place in the order. A message with unsent pieces cannot have one, so such an event comes from a forged piece
    /// and is ignored.
    pub(super) fn on_whole(&mut self, number: u64) {
        let is_sent = |begun: &Begun| begun.sent == begun.frame.len();
        let Some(session) = self.begun.get(&number).filter(|begun| is_sent(begun)).map(|begun| begun.session) else {
            return;
        };
        let mut gone = self.begun.remove(&number).map_or(0, |begun| begun.frame.len());
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        // The messages behind it may go now, up to the next large one.
        while let Some((service, envelope)) = lane.pop_front_if(|(_, envelope)| !is_large(envelope)) {
            gone += size(&envelope);
            self.ready.push_back(Submission::of(service, &envelope));
        }
        let is_empty = lane.is_empty();
        self.remove(session, gone);
        if is_empty {
            self.lanes.remove(&session);
            self.welcome.push_back(session);
        } else {
            self.waiting.push_back(session);
        }
        self.begin();
    }

    /// There was no room for a large message.
    pub(super) fn on_refused(&mut self, number: u64) {
        let Some(begun) = self.begun.get_mut(&number) else { return };
        begun.sent = 0;
        // Its remaining pieces would be dropped by all daemons.
        self.turns.retain(|&turn| turn != number);
        if !self.refused.contains(&number) {
            self.refused.push(number);
        }
    }

    /// There may be room again.
    pub(super) fn on_room(&mut self) {
        self.turns.extend(self.refused.drain(..));
    }

    /// A regular configuration begins: large messages without a place in the order are sent again.
    pub(super) fn on_configuration(&mut self, ring: RingId) {
        self.ring = Some(ring);
        self.past = 0;
        self.refused.clear();
        // Pieces of the old configuration do not count here, so each message begins again.
        self.turns = self.begun.keys().copied().collect();
        self.begun.values_mut().for_each(|begun| begun.sent = 0);
    }

    fn begin(&mut self) {
        // All daemons drop the messages of a daemon that begins more.
        while self.begun.len() < PIECED_LIMIT {
            let Some(session) = self.waiting.pop_front() else { return };
            let lane = self.lanes.get_mut(&session).expect("who waits has a lane");
            let Some((service, Envelope::Data(frame))) = lane.pop_front() else {
                unreachable!("the first message of a lane that waits is large");
            };
            self.begun.insert(self.next_number, Begun { session, service, frame, sent: 0 });
            self.turns.push_back(self.next_number);
            self.next_number += 1;
        }
    }
}

/// Bytes of a client's message; a change of groups takes next to nothing.
fn size(envelope: &Envelope) -> usize {
    match envelope {
        Envelope::Data(frame) => frame.len(),
        _ => 0,
    }
}

fn is_large(envelope: &Envelope) -> bool {
    matches!(envelope, Envelope::Data(frame) if frame.len() > LARGE)
}

/// An unordered last piece could overtake the earlier ones, so it is sent as an agreed message.
fn in_order(service: Service) -> Service {
    match service {
        Service::Unreliable | Service::Reliable => Service::Agreed,
        ordered => ordered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DaemonId, Name};

    const RING: RingId = RingId { sequence: 5, representative: DaemonId(1) };
    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);

    fn lanes() -> Lanes {
        let mut lanes = Lanes::new(PIECE);
        lanes.on_configuration(RING);
        lanes
    }

    fn data(size: usize) -> Envelope {
        Envelope::Data(vec![7; size].into())
    }

    fn large(pieces: usize) -> Envelope {
        data(LARGE.max((pieces - 1) * PIECE) + 1)
    }

    fn leave() -> Envelope {
        let name = Name::new(b"g").unwrap();
        Envelope::Leave { member: name, group: name }
    }

    /// Number and offset of the next piece.
    fn piece(lanes: &mut Lanes, waiting: usize) -> Option<(u64, u32)> {
        let Submission::Message(_, payload) = lanes.poll_piece(waiting)? else { panic!("no message") };
        let Ok(Envelope::Piece(piece)) = Envelope::decode(&payload) else { panic!("no piece") };
        Some((piece.number, piece.offset))
    }

    fn offset(number: usize) -> u32 {
        (number * PIECE) as u32
    }

    #[test]
    fn small_messages_go_straight_on() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Safe, data(LARGE));
        lanes.submit(A, Service::Agreed, leave());
        assert_eq!(lanes.poll_ready(), Some(Submission::Message(Service::Safe, data(LARGE).encode())));
        assert_eq!(lanes.poll_ready(), Some(Submission::Change(leave().encode())));
        assert!(!lanes.holds(A) && lanes.poll_piece(0).is_none());
    }

    #[test]
    fn pieces_take_turns_and_what_others_say_goes_past() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Safe, large(5));
        lanes.submit(B, Service::Agreed, large(5));
        lanes.submit(SessionId(3), Service::Agreed, leave());
        assert_eq!(lanes.poll_ready(), Some(Submission::Change(leave().encode())));
        let turns: Vec<_> = std::iter::from_fn(|| piece(&mut lanes, 0)).collect();
        let expected: Vec<_> = (0..5).flat_map(|n| [(0, offset(n)), (1, offset(n))]).collect();
        assert_eq!(turns, expected);
    }

    #[test]
    fn only_the_last_piece_has_the_service_and_it_is_ordered() {
        for (service, last) in [(Service::Safe, Service::Safe), (Service::Unreliable, Service::Agreed)] {
            let mut lanes = lanes();
            lanes.submit(A, service, large(5));
            let service_of = |submission| match submission {
                Submission::Message(service, _) => service,
                Submission::Change(_) => panic!("no message"),
            };
            let services: Vec<_> = std::iter::from_fn(|| lanes.poll_piece(0)).map(service_of).collect();
            assert_eq!(services, [vec![Service::Agreed; 4], vec![last]].concat());
        }
    }

    #[test]
    fn what_a_session_says_behind_its_large_message_waits_for_it() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Agreed, large(5));
        lanes.submit(A, Service::Agreed, leave());
        lanes.submit(A, Service::Agreed, large(5));
        lanes.submit(A, Service::Agreed, leave());
        (0..5).for_each(|n| assert_eq!(piece(&mut lanes, 0), Some((0, offset(n)))));
        assert_eq!((piece(&mut lanes, 0), lanes.poll_ready()), (None, None));
        lanes.on_whole(0);
        assert_eq!(lanes.poll_ready(), Some(Submission::Change(leave().encode())));
        assert!(lanes.holds(A) && lanes.poll_ready().is_none());
        (0..5).for_each(|n| assert_eq!(piece(&mut lanes, 0), Some((1, offset(n)))));
        lanes.on_whole(1);
        assert_eq!(lanes.poll_ready(), Some(Submission::Change(leave().encode())));
        assert_eq!((lanes.holds(A), lanes.poll_welcome(), lanes.poll_welcome()), (false, Some(A), None));
    }

    #[test]
    fn pieces_wait_for_room_but_not_behind_ever_more_small_messages() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Agreed, large(5));
        assert_eq!(piece(&mut lanes, PIECE), None);
        assert_eq!(piece(&mut lanes, PIECE - 1), Some((0, 0)));
        for _ in 0..2 {
            lanes.submit(B, Service::Agreed, data(PIECE / 2));
            assert_eq!(piece(&mut lanes, PIECE), None);
            lanes.poll_ready();
        }
        assert_eq!(piece(&mut lanes, PIECE), Some((0, offset(1))));
        assert_eq!(piece(&mut lanes, PIECE), None);
    }

    #[test]
    fn a_new_configuration_is_told_everything_again() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Agreed, large(5));
        lanes.submit(B, Service::Agreed, large(5));
        (0..9).for_each(|_| _ = piece(&mut lanes, 0));
        lanes.on_whole(0);
        let next = RingId { sequence: 6, ..RING };
        lanes.on_configuration(next);
        let Some(Submission::Message(_, payload)) = lanes.poll_piece(0) else { panic!("no message") };
        let Ok(Envelope::Piece(first)) = Envelope::decode(&payload) else { panic!("no piece") };
        assert_eq!((first.ring, first.number, first.offset), (next, 1, 0));
        assert_eq!(std::iter::from_fn(|| piece(&mut lanes, 0)).count(), 4);
    }

    #[test]
    fn before_the_first_configuration_nothing_is_cut() {
        let mut lanes = Lanes::new(PIECE);
        lanes.submit(A, Service::Agreed, large(5));
        assert_eq!(piece(&mut lanes, 0), None);
    }

    #[test]
    fn a_message_that_was_not_sent_to_its_end_has_no_place_whatever_is_said() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Agreed, large(5));
        assert_eq!(piece(&mut lanes, 0), Some((0, 0)));
        (0..3).for_each(|number| lanes.on_whole(number));
        let rest: Vec<_> = std::iter::from_fn(|| piece(&mut lanes, 0)).collect();
        assert_eq!(rest, [(0, offset(1)), (0, offset(2)), (0, offset(3)), (0, offset(4))]);
        assert!(lanes.holds(A));
        lanes.on_whole(0);
        assert!(!lanes.holds(A));
    }

    #[test]
    fn what_was_refused_begins_again_when_there_is_room() {
        let mut lanes = lanes();
        lanes.submit(A, Service::Agreed, large(5));
        lanes.submit(B, Service::Agreed, large(5));
        (0..3).for_each(|_| _ = piece(&mut lanes, 0));
        lanes.on_refused(0);
        let rest: Vec<_> = std::iter::from_fn(|| piece(&mut lanes, 0)).map(|(number, _)| number).collect();
        assert_eq!(rest, [1; 4]);
        lanes.on_room();
        let again: Vec<_> = std::iter::from_fn(|| piece(&mut lanes, 0)).collect();
        assert_eq!(again, (0..5).map(|n| (0, offset(n))).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_have_begun_than_the_others_take() {
        let mut lanes = lanes();
        (0..10).for_each(|id| lanes.submit(SessionId(id), Service::Agreed, large(5)));
        assert_eq!(std::iter::from_fn(|| piece(&mut lanes, 0)).count(), 5 * PIECED_LIMIT);
        lanes.on_whole(2);
        assert_eq!(piece(&mut lanes, 0), Some((PIECED_LIMIT as u64, 0)));
    }
}
