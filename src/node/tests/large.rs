//! Messages that go in pieces.

use super::*;

#[test]
fn a_large_message_holds_up_nobody_else() {
    const SIZE: usize = 16 << 20;
    let mut bus = Bus::new(2);
    for (at, id, name) in [(0, 1, "c"), (0, 2, "small"), (1, 1, "c"), (1, 2, "other")] {
        bus.connect(at, id, name);
    }
    bus.say(0, 1, FrameType::AGREED, "#other#d2", &"x".repeat(SIZE - 100));
    assert!(!bus.nodes[0].takes_bytes_of(SessionId(1)), "its own session waits");
    bus.say(0, 1, FrameType::AGREED, "#other#d2", "behind");
    for at in 0..2 {
        assert!(bus.nodes[at].takes_client_input() && bus.nodes[at].takes_bytes_of(SessionId(2)));
    }
    bus.say(1, 1, FrameType::AGREED, "#other#d2", "from there");
    let small = frame("small", 0, FrameType::SAFE, &["#other#d2"], "from here");
    bus.input(0, 2, ClientInput::Bytes(&small));
    bus.run(Duration::from_secs(5));
    let frames = frames(&bus.take(1, 2));
    let bodies: Vec<&str> = frames.iter().map(|frame| &frame.1[..]).filter(|body| body.len() < 100).collect();
    assert_eq!((frames.len(), bodies), (4, vec!["from there", "from here", "behind"]));
    assert_eq!(frames[2].1.len(), SIZE - 100);
    assert!(bus.nodes[0].takes_bytes_of(SessionId(1)));
}

#[test]
fn what_was_sent_before_a_session_ended_is_delivered_before_its_end_however_large() {
    let mut bus = Bus::new(2);
    bus.connect(0, 1, "c");
    bus.connect(1, 1, "c");
    for at in 0..2 {
        bus.say(at, 1, FrameType::JOIN, "g", "");
        bus.run(Duration::from_secs(1));
    }
    bus.take(1, 1);
    bus.say(0, 1, FrameType::RELIABLE, "g", &"x".repeat(1 << 20));
    bus.input(0, 1, ClientInput::Closed);
    bus.greet(0, 2, "c");
    assert_eq!(bus.take(0, 2), b"\x05NULL ", "the name is not free yet");
    bus.run(Duration::from_secs(1));
    let kinds: Vec<u32> = frames(&bus.take(1, 1)).iter().map(|frame| frame.0).collect();
    assert_eq!(kinds, [FrameType::RELIABLE.0, 0x1400]);
    assert!(bus.take(0, 2).ends_with(b"\x05#c#d1"));
}

#[test]
fn a_large_message_that_a_broken_ring_cut_comes_once_and_whole() {
    for steps in 1..60 {
        let mut bus = Bus::new(2);
        bus.connect(0, 1, "c");
        bus.connect(0, 2, "here");
        bus.connect(1, 1, "c");
        bus.connect(1, 2, "other");
        bus.say(0, 1, FrameType::SAFE, "#here#d1", "first");
        bus.say_to(0, 1, FrameType::SAFE, &["#here#d1", "#other#d2"], &"x".repeat(1 << 20));
        bus.say(0, 1, FrameType::AGREED, "#here#d1", "last");
        bus.exchange(20 * steps);
        bus.parted = true;
        bus.run(Duration::from_secs(3));
        bus.parted = false;
        bus.run(Duration::from_secs(3));
        let sizes = |frames: Vec<(u32, String)>| frames.iter().map(|frame| frame.1.len()).collect::<Vec<_>>();
        assert_eq!(sizes(frames(&bus.take(0, 2))), [5, 1 << 20, 4], "after {steps} steps");
        let there = sizes(frames(&bus.take(1, 2)));
        assert!(there.is_empty() || there == [1 << 20], "{there:?} after {steps} steps");
    }
}
