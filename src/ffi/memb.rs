//! Looking into membership messages.

use std::ffi::{c_char, c_int, c_uint};
use std::io::IoSlice;

use super::errors::Code;
use super::types::*;
use super::{guard, memory};
use crate::client::{BodyBytes, MembershipReader, VsSet};
use crate::wire::{FrameType, GroupId};

/// A body in one piece, whose length only the program knows.
struct Flat(*const c_char);

impl BodyBytes for Flat {
    fn copy(&self, at: usize, out: &mut [u8]) -> Option<()> {
        // SAFETY: the program promises a whole membership message, and only offsets that the message itself gives are
        // read.
        unsafe { self.0.cast::<u8>().add(at).copy_to_nonoverlapping(out.as_mut_ptr(), out.len()) };
        Some(())
    }
}

/// A body in several pieces.
struct Scattered<'a>(Vec<IoSlice<'a>>);

impl BodyBytes for Scattered<'_> {
    fn copy(&self, at: usize, out: &mut [u8]) -> Option<()> {
        let mut bytes = self.0.iter().flat_map(|piece| piece.iter()).skip(at);
        out.iter_mut().try_for_each(|byte| bytes.next().map(|&source| *byte = source))
    }
}

unsafe fn flat(memb_mess: *const c_char) -> Result<MembershipReader<Flat>, Code> {
    if memb_mess.is_null() { Err(Code(ILLEGAL_MESSAGE)) } else { Ok(MembershipReader(Flat(memb_mess))) }
}

unsafe fn scattered<'a>(memb_mess: *const scatter) -> Result<MembershipReader<Scattered<'a>>, Code> {
    // SAFETY: the caller has a scatter or NULL.
    Ok(MembershipReader(Scattered(unsafe { memory::pieces(memb_mess)? })))
}

/// Reads a membership message's body. Returns 1, or ILLEGAL_MESSAGE for another kind of message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_get_memb_info(
    memb_mess: *const c_char,
    service_type: service,
    memb_info: *mut membership_info,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { memb_info_of(&flat(memb_mess)?, service_type, memb_info) })
}

/// Lists the sets of members that came together, and which of them is the receiver's. Returns the number of sets, or
/// BUFFER_TOO_SHORT if the array is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_get_vs_sets_info(
    memb_mess: *const c_char,
    vs_sets: *mut vs_set_info,
    num_vs_sets: c_int,
    my_vs_set_index: *mut c_uint,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { vs_sets_of(&flat(memb_mess)?, (vs_sets, num_vs_sets), my_vs_set_index) })
}

/// Lists the members of a set. Returns the number of members, or BUFFER_TOO_SHORT if the array is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_get_vs_set_members(
    memb_mess: *const c_char,
    vs_set: *const vs_set_info,
    member_names: *mut [c_char; MAX_GROUP_NAME],
    member_names_count: c_int,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { members_of(&flat(memb_mess)?, vs_set, (member_names, member_names_count)) })
}

/// Like SP_get_memb_info, for a body in several parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_scat_get_memb_info(
    memb_mess: *const scatter,
    service_type: service,
    memb_info: *mut membership_info,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { memb_info_of(&scattered(memb_mess)?, service_type, memb_info) })
}

/// Like SP_get_vs_sets_info, for a body in several parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_scat_get_vs_sets_info(
    memb_mess: *const scatter,
    vs_sets: *mut vs_set_info,
    num_vs_sets: c_int,
    my_vs_set_index: *mut c_uint,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { vs_sets_of(&scattered(memb_mess)?, (vs_sets, num_vs_sets), my_vs_set_index) })
}

/// Like SP_get_vs_set_members, for a body in several parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn SP_scat_get_vs_set_members(
    memb_mess: *const scatter,
    vs_set: *const vs_set_info,
    member_names: *mut [c_char; MAX_GROUP_NAME],
    member_names_count: c_int,
) -> c_int {
    // SAFETY: the caller has a membership message and room for the answer.
    guard(|| unsafe { members_of(&scattered(memb_mess)?, vs_set, (member_names, member_names_count)) })
}

/// Returns 1 if both identify the same view, and 0 otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn SP_equal_group_ids(g1: group_id, g2: group_id) -> c_int {
    guard(|| Ok(c_int::from(g1 == g2)))
}

unsafe fn memb_info_of(
    body: &MembershipReader<impl BodyBytes>,
    service_type: service,
    memb_info: *mut membership_info,
) -> Result<c_int, Code> {
    // SAFETY: the caller has one there, or NULL.
    let info = unsafe { memb_info.as_mut() }.ok_or(Code(ILLEGAL_MESSAGE))?;
    let kind = FrameType(service_type as u32);
    if !kind.intersects(FrameType::MEMBERSHIP) {
        return Err(Code(ILLEGAL_MESSAGE));
    }
    (info.num_vs_sets, info.my_vs_set) = (0, vs_set_info::default());
    if kind.contains(FrameType::REG_MEMB) {
        info.changed_member = body.changed_member(kind)?.field().map(|byte| byte as c_char);
        info.num_vs_sets = body.sets()?;
        info.my_vs_set = body.own_set()?.into();
    }
    // A self-leave has no body, but programs ask nevertheless.
    info.gid = body.id().unwrap_or_default().into();
    Ok(1)
}

unsafe fn vs_sets_of(
    body: &MembershipReader<impl BodyBytes>,
    (vs_sets, room): (*mut vs_set_info, c_int),
    my_vs_set_index: *mut c_uint,
) -> Result<c_int, Code> {
    let room = usize::try_from(room).map_err(|_| Code(BUFFER_TOO_SHORT))?;
    // SAFETY: the caller has this many sets, and a number.
    let (out, index) = unsafe { (memory::array_mut(vs_sets, room), my_vs_set_index.as_mut()) };
    let (Some(out), Some(index)) = (out, index) else { return Err(Code(ILLEGAL_MESSAGE)) };
    let mut sets = vec![VsSet::default(); out.len().min(body.sets()? as usize)];
    let (count, own) = body.copy_sets(&mut sets)?;
    out.iter_mut().zip(sets).for_each(|(out, set)| *out = set.into());
    *index = own as c_uint;
    Ok(count as c_int)
}

unsafe fn members_of(
    body: &MembershipReader<impl BodyBytes>,
    vs_set: *const vs_set_info,
    (names, room): (*mut [c_char; MAX_GROUP_NAME], c_int),
) -> Result<c_int, Code> {
    let room = usize::try_from(room).map_err(|_| Code(BUFFER_TOO_SHORT))?;
    // SAFETY: the caller has one set, and this many names; char arrays are byte arrays.
    let (set, out) = unsafe { (vs_set.as_ref(), memory::array_mut(names.cast::<[u8; MAX_GROUP_NAME]>(), room)) };
    let (Some(set), Some(out)) = (set, out) else { return Err(Code(ILLEGAL_MESSAGE)) };
    let set = VsSet { members: set.num_members, offset: set.members_offset };
    Ok(body.copy_members(set, out)? as c_int)
}

impl From<VsSet> for vs_set_info {
    fn from(set: VsSet) -> vs_set_info {
        vs_set_info { num_members: set.members, members_offset: set.offset }
    }
}

impl From<GroupId> for group_id {
    fn from(id: GroupId) -> group_id {
        group_id { id: id.0.map(|number| number as c_int) }
    }
}
