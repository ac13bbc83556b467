//! The data of a membership message as programs look at it, piece by piece, wherever it lies.
//!
//! Programs keep the body in memory of their own, flat or in pieces, and ask for parts of it by offset. `wire` decodes
//! whole bodies. This file decodes only the parts that the program asks for, because the length of a flat body is not
//! known.

use super::MembershipError;
use crate::wire::{ByteOrder, FrameType, GroupId, Name};

/// Where the number of vs sets lies.
const COUNT: usize = 12;
/// Where the offset of the receiver's own vs set lies.
const OWN: usize = 16;
/// Where the vs sets begin.
const SETS: usize = 20;
/// Bytes of a number.
const NUMBER: usize = 4;

/// A body, wherever it lies.
pub trait BodyBytes {
    /// Copies the bytes at `at`; `None` if the body ends before.
    fn copy(&self, at: usize, out: &mut [u8]) -> Option<()>;
}

impl BodyBytes for &[u8] {
    fn copy(&self, at: usize, out: &mut [u8]) -> Option<()> {
        out.copy_from_slice(self.get(at..)?.get(..out.len())?);
        Some(())
    }
}

/// One vs set inside a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VsSet {
    /// How many members it has.
    pub members: u32,
    /// Where the first member's name lies, from the beginning of the body.
    pub offset: u32,
}

/// Reads the body, in local byte order, of a membership message.
#[derive(Clone, Copy, Debug)]
pub struct MembershipReader<B>(pub B);

impl<B: BodyBytes> MembershipReader<B> {
    /// The view's identity.
    pub fn id(&self) -> Result<GroupId, MembershipError> {
        Ok(GroupId([self.number(0)?, self.number(NUMBER)?, self.number(2 * NUMBER)?]))
    }

    /// How many vs sets there are.
    pub fn sets(&self) -> Result<u32, MembershipError> {
        self.number(COUNT)
    }

    /// The receiver's own vs set.
    pub fn own_set(&self) -> Result<VsSet, MembershipError> {
        let start = SETS.checked_add(self.number(OWN)? as usize).ok_or(MembershipError::NotMembership)?;
        self.set_at(start)
    }

    /// The member that joined, left or disconnected; nobody for a network change.
    pub fn changed_member(&self, kind: FrameType) -> Result<Name, MembershipError> {
        let one = FrameType::CAUSED_BY_JOIN | FrameType::CAUSED_BY_LEAVE | FrameType::CAUSED_BY_DISCONNECT;
        if kind.intersects(one) { self.name(SETS + NUMBER) } else { Ok(Name::from_field(&[0; Name::SIZE])) }
    }

    /// Writes all vs sets to the front of `out`; returns how many there are and which is the receiver's own.
    pub fn copy_sets(&self, out: &mut [VsSet]) -> Result<(usize, usize), MembershipError> {
        let count = self.sets()? as usize;
        let out = out.get_mut(..count).ok_or(MembershipError::TooShort)?;
        let own_start = SETS.saturating_add(self.number(OWN)? as usize);
        let (mut start, mut own) = (SETS, 0);
        for (index, set) in out.iter_mut().enumerate() {
            if start == own_start {
                own = index;
            }
            *set = self.set_at(start)?;
            // The numbers come from outside and may be anything, so nothing may overflow.
            start = (set.members as usize)
                .checked_mul(Name::SIZE)
                .and_then(|names| names.checked_add(set.offset as usize))
                .ok_or(MembershipError::NotMembership)?;
        }
        Ok((count, own))
    }

    /// Writes the names of a set's members to the front of `out`; returns how many there are.
    pub fn copy_members(&self, set: VsSet, out: &mut [[u8; Name::SIZE]]) -> Result<usize, MembershipError> {
        let count = set.members as usize;
        let out = out.get_mut(..count).ok_or(MembershipError::TooShort)?;
        for (index, name) in out.iter_mut().enumerate() {
            *name = *self.name(set.offset as usize + index * Name::SIZE)?.field();
        }
        Ok(count)
    }

    fn set_at(&self, start: usize) -> Result<VsSet, MembershipError> {
        let offset = u32::try_from(start + NUMBER).map_err(|_| MembershipError::NotMembership)?;
        Ok(VsSet { members: self.number(start)?, offset })
    }

    fn number(&self, at: usize) -> Result<u32, MembershipError> {
        let mut bytes = [0; NUMBER];
        self.0.copy(at, &mut bytes).ok_or(MembershipError::NotMembership)?;
        Ok(ByteOrder::NATIVE.u32(bytes))
    }

    fn name(&self, at: usize) -> Result<Name, MembershipError> {
        let mut bytes = [0; Name::SIZE];
        self.0.copy(at, &mut bytes).ok_or(MembershipError::NotMembership)?;
        Ok(Name::from_field(&bytes))
    }
}

/// Converts the numbers of a body, or of its front part, to local byte order.
pub fn to_native(body: &mut [u8], order: ByteOrder) {
    for at in [0, NUMBER, 2 * NUMBER, COUNT, OWN] {
        turn(body, at, order);
    }
    let mut start = SETS;
    // The program may hold only the front of a body, so this ends where the bytes end.
    while let Some(members) = turn(body, start, order) {
        let names = (members as usize).saturating_mul(Name::SIZE);
        start = start.saturating_add(NUMBER).saturating_add(names);
    }
}

/// Converts the number at `at` and returns it; `None` if the body ends before its end.
fn turn(body: &mut [u8], at: usize, order: ByteOrder) -> Option<u32> {
    let field: &mut [u8; NUMBER] = body.get_mut(at..)?.first_chunk_mut()?;
    let number = order.u32(*field);
    *field = ByteOrder::NATIVE.field(number);
    Some(number)
}
