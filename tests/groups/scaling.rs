//! Work in proportion to what changes, counted in bytes of memory taken while it is done: a copied list, a rebuilt table or a frame that
//! nobody gets shows there, on every machine alike. Ten times as much to do may cost little more than ten times as much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use spread::groups::{Session, SessionId};
use spread::wire::{Envelope, Name};

use crate::client::name;
use crate::large::Pair;

/// The system's memory, counted by thread.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system's; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + layout.size() as u64));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes taken by this.
fn taken(act: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    act();
    TAKEN.get() - before
}

/// Two daemons with so many clients, and no groups.
fn pair(clients: u64) -> (Pair, Vec<(u32, Name)>) {
    let mut pair = Pair::new();
    pair.configure(1, &[&[1, 2]]);
    let client = |number: u64| (1 + number as u32 % 2, name(&format!("#c{number}#d{}", 1 + number % 2)));
    let clients: Vec<(u32, Name)> = (0..clients).map(client).collect();
    for (number, &(daemon, private_group)) in (0..).zip(&clients) {
        let session = Session { id: SessionId(number), private_group, wants_membership: false };
        pair.groups.get_mut(&daemon).unwrap().connect(session).unwrap();
    }
    (pair, clients)
}

/// What joins, a separation with all that it means, a merge, leaves, and the disconnections of a whole daemon take.
fn costs(clients: u64, groups_each: u64) -> [(&'static str, u64); 5] {
    let (mut pair, clients) = pair(clients);
    let group = |number: u64| name(&format!("g{number}"));
    let all = |pair: &mut Pair, change: fn(Name, Name) -> Envelope| {
        for &(daemon, member) in &clients {
            (0..groups_each).for_each(|number| pair.both(daemon, change(member, group(number))));
        }
    };
    let join = |member, group| Envelope::Join { member, group };
    let joins = taken(|| all(&mut pair, join));
    assert_eq!(pair.counts(&group(0))[1], (groups_each as usize, clients.len()));
    let separation = taken(|| pair.part(2));
    let merge = taken(|| pair.configure(4, &[&[1, 2]]));
    assert_eq!(pair.counts(&group(0))[1], (groups_each as usize, clients.len()));
    let leaves = taken(|| all(&mut pair, |member, group| Envelope::Leave { member, group }));
    assert_eq!(pair.counts(&group(0)), [(0, 0); 2]);
    all(&mut pair, join);
    let disconnections = taken(|| {
        for &(daemon, member) in clients.iter().filter(|(daemon, _)| *daemon == 1) {
            pair.both(daemon, Envelope::Disconnect { member });
        }
    });
    assert_eq!(pair.counts(&group(0))[1], (groups_each as usize, clients.len() / 2));
    [
        ("joins", joins),
        ("separation", separation),
        ("merge", merge),
        ("leaves", leaves),
        ("disconnections", disconnections),
    ]
}

/// Ten times as many changes take no more than twelve times as much.
fn expect_proportion(few: [(&'static str, u64); 5], many: [(&'static str, u64); 5]) {
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        println!("{what}: {few} bytes, ten times as many: {many}");
        assert!(many <= 12 * few, "{what} take {few} and {many} bytes");
    }
}

#[test]
fn ten_times_the_members_of_a_group_are_ten_times_the_work() {
    expect_proportion(costs(1_000, 1), costs(10_000, 1));
}

#[test]
fn ten_times_the_groups_are_ten_times_the_work() {
    expect_proportion(costs(20, 100), costs(20, 1_000));
}
