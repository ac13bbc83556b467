//! What can happen to networks, each with a name to print, and how long it lasts in messages.

use crate::load::Load;
use crate::rig::Rig;

/// A fault: it is begun on a rig under load, and ended by healing the rig.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub begin: fn(&mut Rig, &Load),
}

const fn fault(name: &'static str, begin: fn(&mut Rig, &Load)) -> Fault {
    Fault { name, begin }
}

/// One network fails for one daemon or for all, in one direction or in both.
pub const CUTS: &[Fault] = &[
    fault("interface off at one node", |rig, _| rig.switch_off(1, 0)),
    fault("interface off at all nodes", |rig, _| (0..rig.nodes()).for_each(|node| rig.switch_off(node, 0))),
    fault("silent cut at one node", |rig, _| rig.cut(2, 0)),
    fault("silent cut at all nodes", |rig, _| rig.cut_network(0)),
    fault("another network cut silently", |rig, _| rig.cut_network(1)),
    fault("one node does not hear", |rig, _| rig.deafen(1, 0)),
    fault("one node is not heard", |rig, _| rig.mute(2, 0)),
    fault("the representative is not heard", |rig, _| rig.mute(0, 0)),
    fault("interface deleted at one node", |rig, _| rig.take_away(1, 0)),
    fault("interface deleted at the representative", |rig, _| rig.take_away(0, 1)),
    fault("interface deleted and made again", |rig, load| {
        rig.take_away(2, 0);
        load.pass(200);
        rig.heal();
        rig.cut_network(1);
    }),
];

/// Some two daemons have no network in common, and need a third one to talk.
pub const SPLITS: &[Fault] = &[
    fault("two nodes cut off silently, each from another network", |rig, _| {
        rig.cut(1, 0);
        rig.cut(2, 1);
    }),
    fault("the interfaces of two nodes off, each in another network", |rig, _| {
        rig.switch_off(0, 1);
        rig.switch_off(2, 0);
    }),
    fault("one node is not heard, another does not hear elsewhere", |rig, _| {
        rig.mute(1, 0);
        rig.deafen(2, 1);
    }),
];

/// Of two segments with two nodes each, one network fails between them, or one node that lets in what is for all at its segment.
pub const CROSSINGS: &[Fault] = &[
    fault("a network cut silently between the segments", |rig, _| rig.cut_parts(0, 0, 1)),
    fault("the other network cut silently between the segments", |rig, _| rig.cut_parts(1, 0, 1)),
    fault("the gateway cut off silently in one network", |rig, _| rig.cut(2, 0)),
    fault("the other gateway cut off silently in the other network", |rig, _| rig.cut(0, 1)),
    fault("the interface of the gateway off", |rig, _| rig.switch_off(2, 1)),
    fault("the gateway does not hear in one network", |rig, _| rig.deafen(2, 0)),
    fault("a network cut between the segments, the gateway off in the other", |rig, _| {
        rig.cut_parts(0, 0, 1);
        rig.switch_off(2, 1);
    }),
];

/// Nothing is lost for good, but not everything passes as before.
pub const LIMITS: &[Fault] = &[
    fault("packets get shorter on all networks", |rig, load| {
        rig.narrow(1300);
        load.pass(1000);
        rig.drop_pieces();
    }),
    fault("one network takes a tenth of the load", |rig, _| rig.slow_down(1, 500)),
];

/// Frames get lost by chance.
pub const LOSSES: &[Fault] = &[
    fault("1 % lost on one network", |rig, _| rig.lose(0, 1)),
    fault("5 % lost on one network", |rig, _| rig.lose(0, 5)),
    fault("20 % lost on one network", |rig, _| rig.lose(0, 20)),
    fault("1 % lost on all networks", |rig, _| lose_everywhere(rig, 1)),
    fault("5 % lost on all networks", |rig, _| lose_everywhere(rig, 5)),
    fault("20 % lost on all networks", |rig, _| lose_everywhere(rig, 20)),
];

/// A network comes and goes.
pub const FLAPS: &[Fault] = &[
    fault("silent cut each 25 ms", |rig, load| flap(rig, load, 50, |rig| rig.cut_network(0))),
    fault("silent cut each 100 ms", |rig, load| flap(rig, load, 200, |rig| rig.cut_network(0))),
    fault("silent cut each 400 ms", |rig, load| flap(rig, load, 800, |rig| rig.cut_network(0))),
    fault("interface off each 100 ms", |rig, load| flap(rig, load, 200, |rig| rig.switch_off(1, 0))),
];

fn lose_everywhere(rig: &mut Rig, percent: usize) {
    (0..rig.networks()).for_each(|network| rig.lose(network, percent));
}

/// Half a period the fault, half a period none, a few times; a period in messages.
fn flap(rig: &mut Rig, load: &Load, period: usize, begin: fn(&mut Rig)) {
    for _ in 0..3 {
        begin(rig);
        load.pass(period / 2);
        rig.heal();
        load.pass(period / 2);
    }
}
