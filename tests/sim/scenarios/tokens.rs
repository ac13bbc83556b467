//! The token where it is lost, and where it only seems to be.

use super::*;

/// The token of an idle ring is held, not lost: nothing is sent again.
#[test]
fn an_idle_ring_takes_no_token_for_lost() {
    let mut world = whole(4, 1);
    world.run(SECOND);
    let before = stats(&world);
    world.run(SECOND * 10);
    for (before, after) in before.iter().zip(stats(&world)) {
        assert_eq!(after.tokens_retransmitted, before.tokens_retransmitted);
        let tokens = after.tokens - before.tokens;
        assert!((300..550).contains(&tokens), "{tokens} tokens in ten seconds, of which each is held for 20 ms");
    }
}

/// The token of an idle ring is lost anywhere, and the request for it too: it is back as soon as somebody has waited for it.
#[test]
fn a_token_that_an_idle_ring_lost_is_back_soon_after_somebody_needs_it() {
    let mut slowest = Duration::ZERO;
    for asker in 0..4 {
        for (lost, requests) in (0..4).flat_map(|lost| [(lost, 0), (lost, 1)]) {
            let mut world = whole(4, 1);
            load(&mut world, SECOND / 2, 100);
            world.run(SECOND);
            let (mut tokens, mut hurries) = (0, 0);
            world.set_rule(Box::new(move |flight| {
                let dropped = match flight.kind() {
                    PacketKind::Token => tokens == lost,
                    PacketKind::Hurry => hurries < requests,
                    _ => false,
                };
                tokens += u32::from(flight.kind() == PacketKind::Token);
                hurries += u32::from(flight.kind() == PacketKind::Hurry);
                if dropped { vec![] } else { vec![Duration::ZERO] }
            }));
            // Long enough for the token to be let go and lost, not for anybody to notice.
            world.run(MILLI * 24);
            let (before, asked_at) = (world.tally.delivered, world.now());
            world.act(Action::Submit { daemon: asker, service: Service::Agreed, size: 50 });
            while world.tally.delivered < before + 4 && world.now() < asked_at + SECOND {
                world.run(MILLI / 10);
            }
            let waited = world.now().since(asked_at);
            assert!(waited <= MILLI * 10, "{asker} waits {waited:?} for token {lost}, {requests} requests lost");
            slowest = slowest.max(waited);
            assert_masked(&world);
        }
    }
    println!("slowest after {slowest:?}");
}

/// Loss anywhere makes nobody slow to notice the next one: rotations stay short.
#[test]
fn rotations_stay_short_whatever_part_of_the_tokens_is_lost() {
    for (loss, least) in [(0.02, 700), (0.1, 400), (0.2, 250)] {
        let mut world = whole(4, 1);
        world.act(Action::Loss(NOTHING, loss));
        load(&mut world, SECOND * 5, 10_000);
        world.run(SECOND);
        let before = stats(&world)[0].tokens;
        world.run(SECOND * 4);
        let rotations = (stats(&world)[0].tokens - before) / 4;
        println!("{rotations} rotations a second while {loss} of everything is lost");
        assert!(rotations >= least, "{rotations} rotations a second while {loss} of everything is lost");
        assert_eq!(world.tally.configurations, 4, "nobody left");
    }
}
