//! The tester tested: bugs that systems of this family have shipped are put back one by one, and each must be found.
//!
//!     make test-the-tester

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use spread::known_bugs::{KnownBug, put_back};

use crate::clients;
use crate::scenarios::{BREAKS, a_recovery_breaks, a_recovery_with_claims_breaks};
use crate::world::Log;

/// A way to look for a bug: whether it shows in the history of this number.
type Search = fn(u64) -> bool;

/// Random histories of rings alone.
const RINGS: Search = |seed| crate::history(seed, Log::Nothing).is_err();
/// Random histories in which every two daemons keep a way.
const MASKED: Search = |seed| crate::masked_history(seed, Log::Nothing).is_err();
/// Random histories of whole daemons with clients.
const CLIENTS: Search = |seed| clients::history(seed, Log::Nothing).is_err();
/// Recoveries that break at every hop of their token.
const RECOVERIES: Search = |number| a_recovery_breaks(number).is_err();
/// The same with packets that have claims only.
const CLAIMS: Search = |number| a_recovery_with_claims_breaks(number).is_err();

/// Each bug, where it is looked for, and in how many histories it must show.
const BUGS: &[(KnownBug, Search, u64)] = &[
    (KnownBug::TokenCopies, RINGS, 400),
    (KnownBug::AruRaised, RINGS, 400),
    (KnownBug::SafeTooEarly, RINGS, 400),
    (KnownBug::ForgottenTooEarly, RINGS, 400),
    (KnownBug::ForeignPackets, RINGS, 400),
    (KnownBug::RingIdsRepeat, RINGS, 400),
    (KnownBug::StaleForm, RINGS, 400),
    (KnownBug::TooLittleOwed, RINGS, 400),
    (KnownBug::TrustForgotten, RECOVERIES, BREAKS),
    (KnownBug::InstalledTooEarly, RECOVERIES, BREAKS),
    (KnownBug::TrustedTooLate, RECOVERIES, BREAKS),
    (KnownBug::TrustNotInherited, RECOVERIES, BREAKS),
    (KnownBug::SafeLikeAgreed, RINGS, 400),
    (KnownBug::DeliveredBehindHoles, RINGS, 400),
    (KnownBug::MessagesGoOn, RINGS, 400),
    (KnownBug::AnswersKept, RINGS, 400),
    (KnownBug::MergesMissed, RINGS, 400),
    (KnownBug::ExchangeOvertaken, CLIENTS, 400),
    (KnownBug::SizeKept, MASKED, 400),
    (KnownBug::OrderedTwice, RINGS, 400),
    (KnownBug::LostWithHolder, RINGS, 400),
    (KnownBug::PromiseForgotten, CLAIMS, BREAKS),
    (KnownBug::LaterMessagesPass, RINGS, 400),
    (KnownBug::RestSafeTooEarly, RINGS, 400),
    (KnownBug::TwoHolders, RINGS, 400),
    (KnownBug::ClaimsIgnored, RINGS, 400),
];

#[test]
fn the_simulator_finds_every_known_bug() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<Option<u64>> = thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let search = move |worker| -> Vec<(usize, Option<u64>)> {
            let mine = (0..BUGS.len()).filter(|place| place % workers == worker);
            mine.map(|place| (place, first(BUGS[place]))).collect()
        };
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || search(worker))).collect();
        let mut found: Vec<_> =
            workers.into_iter().flat_map(|worker| worker.join().expect("it catches panics")).collect();
        found.sort();
        found.into_iter().map(|(_, at)| at).collect()
    });
    std::panic::set_hook(hook);
    for ((bug, _, limit), at) in BUGS.iter().zip(&found) {
        let at = at.map_or("not found".to_string(), |at| format!("found in history {}", at + 1));
        println!("{bug:?}: {at} of at most {limit}");
    }
    let missed: Vec<KnownBug> =
        BUGS.iter().zip(&found).filter(|(_, at)| at.is_none()).map(|((bug, ..), _)| *bug).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// The first history in which the bug shows, as a broken rule or as a panic; nothing, if that history is broken without the bug too.
fn first((bug, search, limit): (KnownBug, Search, u64)) -> Option<u64> {
    let shows = |bug, number| {
        put_back(bug);
        let shows = catch_unwind(AssertUnwindSafe(|| search(number))).unwrap_or(true);
        put_back(None);
        shows
    };
    let found = (0..limit).find(|&number| shows(Some(bug), number))?;
    (!shows(None, found)).then_some(found)
}
