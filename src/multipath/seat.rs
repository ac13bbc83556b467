//! Types for the numbers of daemons in the table. A seat cannot be mixed up with another number, and only a seat finds a value in
//! a list by daemon.

use std::ops::{Index, IndexMut};

/// The n-th daemon of the table, in the order of ids. It is the same everywhere that the membership table is the same, so it travels in
/// reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat(u8);

/// One value for each daemon of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct BySeat<T>(Vec<T>);

impl Seat {
    /// The daemon with this number.
    pub(super) fn new(number: usize) -> Seat {
        Seat(u8::try_from(number).expect("the ring has checked that there are at most 128 daemons"))
    }

    /// The first `count` daemons.
    pub(super) fn first(count: usize) -> impl DoubleEndedIterator<Item = Seat> + Clone {
        (0..count).map(Seat::new)
    }

    /// The seat with this number in a report.
    pub(super) const fn from_wire(number: u8) -> Seat {
        Seat(number)
    }

    /// Its number in a report.
    pub(super) const fn to_wire(self) -> u8 {
        self.0
    }

    /// Its number.
    pub(super) fn number(self) -> usize {
        usize::from(self.0)
    }
}

impl<T> BySeat<T> {
    /// A value for each of `count` daemons.
    pub(super) fn new(count: usize, value: impl FnMut(Seat) -> T) -> BySeat<T> {
        BySeat(Seat::first(count).map(value).collect())
    }

    /// The value of this daemon, if there is one.
    pub(super) fn get(&self, seat: Seat) -> Option<&T> {
        self.0.get(seat.number())
    }

    /// Takes all values out, in the order of seats.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.0.drain(..)
    }

    /// All values in the order of seats.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}

impl<T> Index<Seat> for BySeat<T> {
    type Output = T;
    fn index(&self, seat: Seat) -> &T {
        &self.0[seat.number()]
    }
}

impl<T> IndexMut<Seat> for BySeat<T> {
    fn index_mut(&mut self, seat: Seat) -> &mut T {
        &mut self.0[seat.number()]
    }
}
