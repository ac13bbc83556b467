//! Flow control: how many packets may be numbered at one visit of the token (Totem SRP §8, with a window that adapts).
//!
//! The token carries the *window*, the number of packets that all members may send in one rotation, and counts of the last rotation. The
//! representative changes the window. It grows while it is used: twofold until a limit is met, later by a sixteenth. It shrinks when more is
//! retransmitted than usual, or when a rotation takes long. A shrink is a *trial*: if it does not help, it is undone, and the loss or
//! slowness counts as usual. So overflowing buffers and slow daemons make the window small; chance loss and long distances do not.
//!
//! If the ring can carry r packets in a rotation, the window moves between about 0.8 r and 1.07 r. A wrong window only costs time,
//! because no promise of the ring depends on it.

use super::RingSettings;
use crate::time::Duration;
use crate::wire::Token;

/// This daemon's part in the counts of the token. The representative also keeps here what it has learnt about the load that the
/// ring can carry.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    sent: u32,
    again: u32,
    backlogged: bool,
    was_backlogged: bool,
    batch: Batch,
    /// Rotations until the effect of the last step can be seen.
    settling: u32,
    trial: Option<Trial>,
    usual: Seen,
    /// Whether the window has met a limit.
    met_limit: bool,
}

/// Measurements of rotations: the share of packets that were sent again, in 1/1024, and the length of a rotation.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    loss: u32,
    rotation: Duration,
}

/// Rotations that are judged together.
#[derive(Debug, Default)]
struct Batch {
    rotations: u32,
    sent: u64,
    again: u64,
    took: Duration,
}

/// A trial of a smaller window: the window before it, how much of that was used, what was seen with it, and the cause of the
/// trial.
#[derive(Debug)]
struct Trial {
    window: u32,
    used: u32,
    seen: Seen,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Loss,
    Slowness,
}

/// So many packets and rotations are enough for a judgement. The share of packets that are lost by chance then differs by a few
/// percent only.
const BATCH: u64 = 256;
const BATCH_ROTATIONS: u32 = 4;
/// Packets of a rotation are sent again in the next two or three.
const SETTLING: u32 = 3;
/// In 1/1024. If the loss exceeds the usual loss by more than the first number, the window becomes smaller. A loss above the
/// second number is never usual.
const LOSS_MARGIN: u32 = 64;
const LOSS_MOST: u32 = 768;
/// The window of a new ring, and the smallest part of a window for each member.
const FIRST: u32 = 64;
const LEAST_EACH: u32 = 4;

impl Flow {
    /// The window of a new ring of this many members.
    pub(crate) fn first_window(config: &RingSettings, members: usize) -> u32 {
        FIRST.clamp(least(config, members), config.window)
    }

    /// The token came: its counts are without this daemon's now.
    pub(crate) fn begin(&mut self, token: &mut Token) {
        token.sent = token.sent.saturating_sub(self.sent);
        token.again = token.again.saturating_sub(self.again);
        token.backlogged = token.backlogged.saturating_sub(u16::from(self.backlogged));
        self.was_backlogged = self.backlogged;
        (self.sent, self.again, self.backlogged) = (0, 0, false);
    }

    /// A packet was sent for the first time.
    pub(crate) fn count_sent(&mut self, token: &mut Token) {
        token.sent = token.sent.saturating_add(1);
        self.sent += 1;
    }

    /// A packet was sent again.
    pub(crate) fn count_again(&mut self, token: &mut Token) {
        token.again = token.again.saturating_add(1);
        self.again += 1;
    }

    /// This daemon has more than it could send.
    pub(crate) fn count_backlog(&mut self, token: &mut Token) {
        if !self.backlogged {
            token.backlogged = token.backlogged.saturating_add(1);
            self.backlogged = true;
        }
    }

    /// How many packets this daemon may send at this visit.
    pub(crate) fn allowance(&self, config: &RingSettings, members: usize, token: &Token) -> u32 {
        let all = token.window.clamp(1, config.window);
        // Retransmissions take their part of the window first, so that overload drains; but a quarter is left, so that nobody starves.
        let window = all.saturating_sub(token.again).max(all / 4);
        // A member that has just begun does not know the others' backlog yet. It counts on a ring where all send, so that beginners together
        // do not exceed two windows.
        let others = if self.was_backlogged { u32::from(token.backlogged) } else { members as u32 - 1 };
        let share = (window / (others + 1)).max(1);
        // This is the rest of the window, so that one sender alone can use all of it, but at least this daemon's share.
        window.saturating_sub(token.sent).max(share).min(config.personal_window)
    }

    /// Adapts the window at the representative. The token came back after the time `took`, with the counts of a whole rotation.
    pub(crate) fn steer(&mut self, config: &RingSettings, members: usize, took: Duration, token: &mut Token) {
        let least = least(config, members);
        token.window = token.window.clamp(least, config.window);
        // Without a backlog the window limits nobody, so nothing can be learnt about it.
        if token.backlogged == 0 {
            return;
        }
        // The effect of the last step is not complete yet.
        if self.settling > 0 {
            self.settling -= 1;
            return;
        }
        let Some((used, seen)) = self.batch.add(token, took) else { return };
        let next = self.step(config, least, token.window, used.min(token.window), seen).clamp(least, config.window);
        if next != token.window {
            token.window = next;
            self.settling = SETTLING;
        }
    }

    /// The next window. `seen` was measured with `window`, of which `used` packets were used.
    fn step(&mut self, config: &RingSettings, least: u32, window: u32, used: u32, seen: Seen) -> u32 {
        if let Some(trial) = self.trial.take() {
            // The window was not the cause. The old one comes back, and from here on the values before the trial count as usual.
            if !trial.helped(window, &seen) {
                self.usual.loss = self.usual.loss.max(trial.seen.loss.min(LOSS_MOST - LOSS_MARGIN));
                self.usual.rotation = self.usual.rotation.max(trial.seen.rotation);
                return trial.window;
            }
            self.met_limit = true;
        }
        if let Some((cause, fits)) = self.complaint(config, &seen) {
            let smaller = (used * fits / 1024).max(least);
            if smaller < used {
                self.trial = Some(Trial { window, used, seen, cause });
                return smaller;
            }
        }
        // The usual values may come from a fault that has passed.
        self.usual.wear_off(&seen);
        if used < window / 2 {
            // The window is not what limits the senders.
            window
        } else if self.met_limit {
            window + window / 16 + 1
        } else {
            window * 2
        }
    }

    /// The cause of a shrink, if there is one, and the part of the used window that would fit, in 1/1024.
    fn complaint(&self, config: &RingSettings, seen: &Seen) -> Option<(Cause, u32)> {
        let slow = (config.token_timeout / 8).max(self.usual.rotation + self.usual.rotation / 4);
        if seen.loss > self.usual.loss + LOSS_MARGIN {
            return Some((Cause::Loss, (1024 - seen.loss).clamp(512, 768)));
        }
        let fits = || (slow.as_nanos() * 1024 / seen.rotation.as_nanos()) as u32;
        (seen.rotation > slow).then(|| (Cause::Slowness, fits().clamp(512, 768)))
    }
}

impl Seen {
    /// Lowers the usual values towards the values that were seen, and by a little more at each step.
    fn wear_off(&mut self, seen: &Seen) {
        self.loss = self.loss.saturating_sub(1 + self.loss.saturating_sub(seen.loss) / 8);
        let slower = self.rotation.saturating_sub(seen.rotation);
        self.rotation = self.rotation.saturating_sub(self.rotation / 256 + slower / 8);
    }
}

impl Batch {
    /// Adds a rotation. Returns the packets of one rotation and what was seen, if the batch is enough for a judgement.
    fn add(&mut self, token: &Token, took: Duration) -> Option<(u32, Seen)> {
        self.rotations += 1;
        self.sent += u64::from(token.sent);
        self.again += u64::from(token.again);
        self.took += took;
        let all = self.sent + self.again;
        if self.rotations < BATCH_ROTATIONS || all < BATCH {
            return None;
        }
        let Batch { rotations, again, took, .. } = std::mem::take(self);
        Some((
            u32::try_from(all / u64::from(rotations)).unwrap_or(u32::MAX),
            Seen { loss: (again * 1024 / all) as u32, rotation: took / rotations },
        ))
    }
}

impl Trial {
    /// Whether the smaller window helped: it has led to at least a third of the effect that it must have if the window was the
    /// cause. It also counts as a help if the loss is too high for a judgement.
    fn helped(&self, window: u32, seen: &Seen) -> bool {
        let (used, window) = (self.used, window.clamp(1, self.used));
        match self.cause {
            Cause::Loss => {
                let before = 1024 - self.seen.loss;
                let hoped = (before * used / window).min(1024);
                seen.loss > LOSS_MOST || 3 * (1024 - seen.loss) >= 2 * before + hoped
            }
            Cause::Slowness => seen.rotation * 3 * used <= self.seen.rotation * (2 * used + window),
        }
    }
}

fn least(config: &RingSettings, members: usize) -> u32 {
    (LEAST_EACH * members as u32).min(config.window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::testing::RING;
    use crate::rng::Rng;
    use crate::wire::{DaemonId, Incarnation};

    const MILLI: Duration = Duration::from_millis(1);
    const MEMBERS: usize = 4;

    fn config() -> RingSettings {
        RingSettings::new(DaemonId(1), Incarnation(1), vec![DaemonId(1)])
    }

    fn token(window: u32) -> Token {
        Token { window, ..Token::new(RING, 1, 0) }
    }

    /// A ring in which all of the window is used, as the representative sees it.
    struct Model {
        flow: Flow,
        token: Token,
        /// Packets that receivers have room for in one rotation.
        room: u32,
        /// The share of packets that is lost by chance.
        chance: f64,
        /// How long a rotation takes, by itself and for each packet.
        way: Duration,
        each: Duration,
        rng: Rng,
        /// Packets that some receiver lacks.
        missing: u32,
    }

    impl Model {
        fn new() -> Model {
            let (flow, token, rng) = (Flow::default(), token(Flow::first_window(&config(), MEMBERS)), Rng::new(1));
            Model { flow, token, room: u32::MAX, chance: 0.0, way: MILLI, each: Duration::ZERO, rng, missing: 0 }
        }

        /// The windows of this many rotations.
        fn run(&mut self, rotations: usize) -> Vec<u32> {
            (0..rotations).map(|_| self.rotate()).collect()
        }

        fn rotate(&mut self) -> u32 {
            let again = self.missing.min(512);
            let sent = (self.token.window.saturating_sub(again)).max(self.token.window / 4);
            let all = sent + again;
            let arrived = (0..all.min(self.room)).filter(|_| !self.rng.chance(self.chance)).count() as u32;
            self.missing = (self.missing + sent).saturating_sub(arrived);
            (self.token.sent, self.token.again, self.token.backlogged) = (sent, again, 1);
            self.flow.steer(&config(), MEMBERS, self.way + self.each * all, &mut self.token);
            self.token.window
        }
    }

    fn mean(windows: &[u32]) -> u32 {
        windows.iter().sum::<u32>() / windows.len() as u32
    }

    #[test]
    fn the_window_grows_to_its_limit_within_few_rotations_while_it_is_used_and_nothing_is_lost() {
        let windows = Model::new().run(40);
        assert!(windows.is_sorted() && windows[39] == 512, "{windows:?}");
    }

    #[test]
    fn a_window_that_nobody_needs_stays() {
        let mut model = Model::new();
        for (sent, backlogged) in [(64, 0), (20, 1)] {
            for _ in 0..100 {
                (model.token.sent, model.token.backlogged) = (sent, backlogged);
                model.flow.steer(&config(), MEMBERS, MILLI, &mut model.token);
            }
            assert_eq!(model.token.window, 64, "{sent} packets");
        }
    }

    #[test]
    fn the_window_settles_at_what_receivers_can_take() {
        for room in [40, 100, 300] {
            let mut model = Model { room, ..Model::new() };
            let begun = model.run(100);
            assert!(begun.iter().all(|&window| window <= room * 2), "room {room}: {begun:?}");
            let late = model.run(2000);
            let mean = mean(&late);
            assert!((room * 8 / 10..=room).contains(&mean), "room {room}, mean {mean}");
            assert!(late.iter().all(|&window| (room / 2..=room * 12 / 10).contains(&window)), "room {room}: {late:?}");
        }
    }

    #[test]
    fn the_window_follows_when_receivers_can_take_much_less_or_more() {
        let mut model = Model { room: 400, ..Model::new() };
        model.run(500);
        for room in [40, 400, 20, 200] {
            model.room = room;
            model.run(1500);
            let mean = mean(&model.run(1000));
            assert!((room * 7 / 10..=room).contains(&mean), "room {room}, mean {mean}");
        }
    }

    #[test]
    fn chance_loss_leaves_the_window_large() {
        for percent in [1, 5, 20, 50] {
            let mut model = Model { chance: f64::from(percent) / 100.0, ..Model::new() };
            model.run(200);
            let windows = model.run(4000);
            assert!(mean(&windows) > 512 * 9 / 10, "{percent} %: mean {}", mean(&windows));
            assert!(windows.iter().all(|&window| window >= 128), "{percent} %: {windows:?}");
        }
    }

    #[test]
    fn loss_that_begins_or_ends_is_no_matter_for_long() {
        let mut model = Model::new();
        for percent in [0, 20, 1, 40, 5] {
            model.chance = f64::from(percent) / 100.0;
            model.run(200);
            let windows = model.run(500);
            assert!(mean(&windows) > 512 * 8 / 10, "{percent} %: mean {}", mean(&windows));
        }
    }

    #[test]
    fn small_buffers_are_seen_behind_chance_loss() {
        for percent in [5, 20] {
            let mut model = Model { chance: f64::from(percent) / 100.0, room: 150, ..Model::new() };
            model.run(500);
            let mean = mean(&model.run(3000));
            assert!((60..=200).contains(&mean), "{percent} %: mean {mean}");
        }
    }

    #[test]
    fn packets_that_make_the_rotation_slow_are_fewer_next_time() {
        let mut model = Model { each: MILLI, ..Model::new() };
        let begun = model.run(40);
        assert!(begun.iter().all(|&window| window <= 256), "far below the token timeout: {begun:?}");
        let late = model.run(500);
        assert!(late.iter().all(|window| (60..=140).contains(window)), "about an eighth of a second: {late:?}");
    }

    #[test]
    fn a_long_way_round_is_no_reason_to_send_less() {
        let mut model = Model::new();
        for way in [200, 1, 400] {
            model.way = MILLI * way;
            model.run(200);
            assert!(mean(&model.run(500)) > 512 * 9 / 10, "{way} ms");
        }
    }

    #[test]
    fn the_window_keeps_to_limits_that_change() {
        let (mut config, mut model) = (config(), Model::new());
        model.run(40);
        config.window = 10;
        model.flow.steer(&config, MEMBERS, MILLI, &mut model.token);
        assert_eq!(model.token.window, 10);
        assert_eq!(model.flow.allowance(&config, MEMBERS, &token(512)), 10);
    }

    /// Members in turn; those below `greedy` send what they may. What each sent in the last rotation.
    fn share(flows: &mut [Flow], token: &mut Token, greedy: usize) -> Vec<u32> {
        let config = RingSettings { personal_window: 512, ..config() };
        let members = flows.len();
        let visit = |(member, flow): (usize, &mut Flow)| {
            flow.begin(token);
            if member >= greedy {
                return 0;
            }
            let sent = flow.allowance(&config, members, token);
            (0..sent).for_each(|_| flow.count_sent(token));
            flow.count_backlog(token);
            sent
        };
        flows.iter_mut().enumerate().map(visit).collect()
    }

    #[test]
    fn one_sender_has_all_and_many_have_equal_parts_after_one_rotation() {
        let mut token = token(400);
        let mut flows: Vec<Flow> = (0..8).map(|_| Flow::default()).collect();
        for (greedy, part) in [(1, 400), (4, 100), (8, 50), (2, 200), (1, 400)] {
            let begun: u32 = share(&mut flows, &mut token, greedy).iter().sum();
            assert!(begun <= 2 * 400, "{greedy} begin with {begun}");
            share(&mut flows, &mut token, greedy);
            let sent = share(&mut flows, &mut token, greedy);
            assert!(sent[..greedy].iter().all(|&sent| sent == part), "{greedy}: {sent:?}");
        }
    }

    #[test]
    fn absurd_counts_do_no_harm() {
        let (mut flow, mut token) = (Flow::default(), token(u32::MAX));
        (token.sent, token.again, token.backlogged) = (u32::MAX, u32::MAX, u16::MAX);
        (0..100).for_each(|_| flow.steer(&config(), 128, Duration::MAX / 100, &mut token));
        flow.count_sent(&mut token);
        flow.count_again(&mut token);
        flow.count_backlog(&mut token);
        assert!(token.window <= 512 && flow.allowance(&config(), 128, &token) <= 4);
        flow.begin(&mut token);
        token.window = 0;
        flow.steer(&config(), 128, MILLI, &mut token);
        assert!(token.window > 0);
    }
}
