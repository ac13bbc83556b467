//! The token where it is lost, and where it only seems to be.

use super::*;

/// The token of an idle ring rests, and is not lost: nothing is sent again.
#[test]
fn an_idle_ring_takes_no_token_for_lost() {
    let mut world = whole(4, 1);
    world.run(SECOND);
    let before = stats(&world);
    world.run(SECOND * 10);
    for (before, after) in before.iter().zip(stats(&world)) {
        assert_eq!(after.tokens_retransmitted, before.tokens_retransmitted);
        assert_eq!(after.tokens, before.tokens, "the token rests");
    }
    assert_masked(&world);
}

/// Much is sent in a ring whose token rests; the request for it is lost, or the token when it goes round, anywhere: it is back soon.
#[test]
fn a_token_that_is_lost_when_it_goes_round_again_is_back_soon() {
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
            let (before, asked_at) = (world.tally.delivered, world.now());
            for _ in 0..20 {
                world.act(Action::Submit { daemon: asker, service: Service::Agreed, size: 1000 });
            }
            while world.tally.delivered < before + 4 * 20 && world.now() < asked_at + SECOND {
                world.run(MILLI / 10);
            }
            let waited = world.now().since(asked_at);
            assert!(waited <= MILLI * 15, "{asker} waits {waited:?} for token {lost}, {requests} requests lost");
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
