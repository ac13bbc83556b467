//! The open session: which frames a client may send, and the requests that they make.
//!
//! Frames leave here in one form: little-endian, without bits that clients must not set, and with clean names. So no other part has to
//! handle a client's byte order, or bytes behind the NUL of a name.

use tracing::debug;

use super::input::Input;
use super::policy::{Judge, Judgement};
use super::{Request, SessionPhase, Step, Violation};
use crate::wire::{FrameHeader, FrameType, MAX_GROUPS, Name, Slice, decode_names, encode_reject};

/// The state of an open session.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) private_group: Name,
    /// As at the beginning of the session, because the client's library asks for it only then.
    pub(super) message_limit: usize,
}

/// Bits that only daemons may set.
const FORBIDDEN: FrameType = FrameType(FrameType::INTERNAL.0 | FrameType::REJECT.0);

/// Bits of a data frame that receivers see; others are cleared.
const PASSED: FrameType = FrameType(FrameType::SERVICES.0 | FrameType::SELF_DISCARD.0 | FrameType::FREE.0);

impl Open {
    /// The next request among the bytes so far.
    pub(super) fn poll(&self, input: &mut Input, judge: &Judge) -> Option<Step> {
        loop {
            let header = FrameHeader::decode(input.front().first_chunk()?);
            // The header is checked before memory is taken for the body that it announces.
            let body = match self.check(&header) {
                Ok(len) => len,
                Err(violation) => return Some(Step::enter(SessionPhase::Closed, Request::Violation(violation))),
            };
            let frame = input.take(FrameHeader::SIZE + body)?;
            if header.kind.contains(FrameType::KILL) {
                return Some(Step::enter(SessionPhase::Closed, Request::Kill));
            }
            let denied = match judge.judge(&header, frame) {
                Judgement::Passes => None,
                Judgement::AgainstPolicy => Some(None),
                Judgement::AgainstRule(denial) => Some(Some(Request::Denied(denial))),
            };
            if let Some(request) = denied {
                // A reject frame is a copy of the client's own message, which this client does not want.
                let wants_it_back = !header.kind.contains(FrameType::SELF_DISCARD);
                let output = wants_it_back.then(|| encode_reject(&header, frame));
                return Some(Step { request, output, next: None });
            }
            if let Some(request) = request(header, frame) {
                return Some(Step::stay(request));
            }
        }
    }

    /// Checks the header. Returns the length of the body that follows.
    fn check(&self, header: &FrameHeader) -> Result<usize, Violation> {
        let ensure = |holds: bool, violation| if holds { Ok(()) } else { Err(violation) };
        // Any violation ends the session. A client that breaks the protocol once cannot be understood afterwards.
        ensure(!header.kind.intersects(FORBIDDEN), Violation::Forbidden)?;
        ensure(header.kind.count(FrameType::REQUESTS) == 1, Violation::Kind)?;
        ensure(header.name == self.private_group, Violation::Sender)?;
        ensure((0..=MAX_GROUPS as i32).contains(&header.groups), Violation::Groups)?;
        ensure(header.hint.is_valid(), Violation::Hint)?;
        header.body_len().filter(|&len| len <= self.message_limit).ok_or(Violation::Length)
    }
}

/// The request in a checked frame; `None` if the frame is ignored.
fn request(header: FrameHeader, frame: &mut [u8]) -> Option<Request> {
    if header.kind.contains(FrameType::JOIN) {
        return group(&header, frame).map(Request::Join);
    }
    if header.kind.contains(FrameType::LEAVE) {
        return group(&header, frame).map(Request::Leave);
    }
    let service = header.kind.service().expect("the one request bit is neither join, leave nor kill");
    // Receivers must not see bits that only daemons may set, nor a foreign byte order.
    FrameHeader { kind: header.kind.masked(PASSED), ..header }.rewrite(frame);
    Some(Request::Multicast { service, frame: Slice::copy_from(frame) })
}

/// The group of a join or leave: the first one. Nobody can join a private group or a group without a name.
fn group(header: &FrameHeader, frame: &[u8]) -> Option<Name> {
    let mut names = decode_names(&frame[FrameHeader::SIZE..]);
    let named = if header.groups > 0 { names.next() } else { None };
    let group = named.filter(|name| !name.is_empty() && !name.as_bytes().starts_with(b"#"));
    if group.is_none() {
        debug!(session = %header.name, ?named, "ignored a join or leave without an ordinary group");
    }
    group
}

#[cfg(test)]
mod tests {
    use super::super::{AccessList, Action, Denial, Peer, SessionSettings};
    use super::*;
    use crate::rng::Rng;
    use crate::wire::{ByteOrder, CLASSIC_DAEMON_LIMIT, Hint, Service};

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn open() -> Open {
        Open { private_group: name("#a#d1"), message_limit: CLASSIC_DAEMON_LIMIT }
    }

    fn judge(config: &SessionSettings, peer: Peer) -> Judge {
        let mut judge = Judge::new(config, peer);
        judge.wants_views = true;
        judge
    }

    fn header(kind: FrameType) -> FrameHeader {
        let hint = Hint::new(7, ByteOrder::Little);
        FrameHeader { kind, name: name("#a#d1"), groups: 1, hint, data_len: 2, order: ByteOrder::Little }
    }

    fn frame(header: FrameHeader) -> Vec<u8> {
        [&header.encode()[..], name("g").field(), b"hi"].concat()
    }

    fn requests(bytes: &[u8]) -> Vec<Request> {
        let mut input = Input::new(CLASSIC_DAEMON_LIMIT);
        input.push(bytes);
        let mut requests = Vec::new();
        let judge = judge(&SessionSettings::default(), Peer::Unix);
        while let Some(step) = open().poll(&mut input, &judge) {
            requests.extend(step.request);
            if step.next.is_some() {
                break;
            }
        }
        requests
    }

    #[test]
    fn frames_become_requests_in_their_order() {
        let multicast = frame(header(FrameType::SAFE | FrameType::SELF_DISCARD));
        let stream = [
            frame(header(FrameType::JOIN)),
            multicast.clone(),
            frame(header(FrameType::LEAVE | FrameType::SELF_DISCARD)),
            frame(header(FrameType::KILL)),
        ]
        .concat();
        let expected = [
            Request::Join(name("g")),
            Request::Multicast { service: Service::Safe, frame: multicast.into() },
            Request::Leave(name("g")),
            Request::Kill,
        ];
        assert_eq!(requests(&stream), expected);
    }

    #[test]
    fn a_frame_waits_for_its_last_byte() {
        let bytes = frame(header(FrameType::AGREED));
        assert!((0..bytes.len()).all(|end| requests(&bytes[..end]).is_empty()));
    }

    #[test]
    fn a_bad_header_is_judged_without_its_body() {
        let good = header(FrameType::AGREED);
        let limit = CLASSIC_DAEMON_LIMIT as i32;
        for (bad, violation) in [
            (header(FrameType(0)), Violation::Kind),
            (header(FrameType::SELF_DISCARD), Violation::Kind),
            (header(FrameType::AGREED | FrameType::SAFE), Violation::Kind),
            (header(FrameType::AGREED | FrameType::JOIN), Violation::Kind),
            (header(FrameType::AGREED | FrameType::INTERNAL), Violation::Forbidden),
            (header(FrameType::AGREED | FrameType::REJECT), Violation::Forbidden),
            (FrameHeader { name: name("#b#d1"), ..good }, Violation::Sender),
            (FrameHeader { groups: -1, ..good }, Violation::Groups),
            (FrameHeader { groups: 101, ..good }, Violation::Groups),
            (FrameHeader { hint: Hint([0x81, 0, 0, 0x80]), ..good }, Violation::Hint),
            (FrameHeader { data_len: -1, ..good }, Violation::Length),
            (FrameHeader { data_len: limit - 31, ..good }, Violation::Length),
            (FrameHeader { data_len: i32::MAX, groups: 100, ..good }, Violation::Length),
        ] {
            assert_eq!(requests(&bad.encode())[0], Request::Violation(violation), "{bad:?}");
        }
        assert_eq!(requests(&FrameHeader { data_len: limit - 32, ..good }.encode()), []);
    }

    #[test]
    fn bits_that_mean_something_else_to_receivers_are_taken_out() {
        let noise = FrameType(0x01b0_ff00) | FrameType::FREE;
        let [Request::Multicast { service, frame }] = &requests(&frame(header(FrameType::FIFO | noise)))[..] else {
            panic!("not one multicast");
        };
        assert_eq!(*service, Service::Fifo);
        assert_eq!(FrameType::decode(*frame.first_chunk().unwrap()), FrameType::FIFO | FrameType::FREE);
    }

    #[test]
    fn joins_and_leaves_without_an_ordinary_group_are_ignored() {
        let mut stream = FrameHeader { groups: 0, data_len: 0, ..header(FrameType::JOIN) }.encode().to_vec();
        stream.extend(FrameHeader { groups: 0, data_len: 40, ..header(FrameType::LEAVE) }.encode());
        stream.extend([b'x'; 40]);
        for group in ["", "#a#d1"] {
            stream.extend(FrameHeader { data_len: 0, ..header(FrameType::JOIN) }.encode());
            stream.extend(name(group).field());
        }
        stream.extend(frame(header(FrameType::KILL)));
        assert_eq!(requests(&stream), [Request::Kill]);
    }

    /// The result of one frame to these groups under this access file: a request, or the frame as a reject.
    fn comes_of(access: &str, kind: FrameType, groups: &[&str]) -> (Option<Request>, Option<u32>) {
        let config = SessionSettings { access: AccessList::parse(access).unwrap(), ..SessionSettings::default() };
        let header = FrameHeader { groups: groups.len() as i32, data_len: 0, ..header(kind) };
        let mut input = Input::new(CLASSIC_DAEMON_LIMIT);
        input.push(&header.encode());
        groups.iter().for_each(|group| input.push(name(group).field()));
        let Some(step) = open().poll(&mut input, &judge(&config, Peer::User(7))) else { return (None, None) };
        let back = step.output.map(|bytes| FrameHeader::decode(bytes.first_chunk().unwrap()).kind.0);
        (step.request, back)
    }

    #[test]
    fn rules_of_groups_send_what_they_refuse_back() {
        let denied = |action, group| Some(Request::Denied(Denial { action, group: name(group) }));
        let rejected = |action, group| (denied(action, group), Some(FrameType::REJECT.0));
        let closed = "group g send user:8\ngroup g join user:8\ngroup h monitor user:8\ngroup i all user:7";
        assert_eq!(comes_of(closed, FrameType::AGREED, &["g"]), rejected(Action::Send, "g"));
        let of_two = comes_of(closed, FrameType::AGREED, &["i", "g"]);
        assert_eq!(of_two, rejected(Action::Send, "g"), "all groups must be allowed");
        let unwanted = comes_of(closed, FrameType::AGREED | FrameType::SELF_DISCARD, &["g"]);
        assert_eq!(unwanted, (denied(Action::Send, "g"), None));
        assert_eq!(comes_of(closed, FrameType::JOIN, &["g"]), rejected(Action::Join, "g"));
        assert_eq!(comes_of(closed, FrameType::JOIN, &["h"]), rejected(Action::Monitor, "h"), "it wants views");
        for (kind, group) in
            [(FrameType::JOIN, "i"), (FrameType::LEAVE, "g"), (FrameType::AGREED, "h"), (FrameType::AGREED, "#b#d1")]
        {
            let (request, back) = comes_of(closed, kind, &[group]);
            let passes = request.is_some_and(|request| !matches!(request, Request::Denied(_)));
            assert!(passes && back.is_none(), "{kind:?} {group}");
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let mut rng = Rng::new(6);
        for _ in 0..5_000 {
            let mut bytes = frame(header(FrameType(1 << rng.below(32)))).repeat(3);
            for _ in 0..rng.below(4) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            let _ = requests(&bytes);
        }
    }
}
