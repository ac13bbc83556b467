//! Memory that C hands us, as Rust values. NULL and impossible lengths are refused here, so every other file starts
//! from a reference; what a length says beyond that must be believed.
//!
//! A length or a count below zero, and a scatter of more elements than it has, give the code that the classic library gives:
//! NET_ERROR_ON_SESSION. Nothing is sent or received then, and the connection stays as good as it was.

use std::ffi::{c_char, c_int};
use std::io::{IoSlice, IoSliceMut};

use super::errors::Code;
use super::types::{ILLEGAL_GROUP, ILLEGAL_MESSAGE, MAX_GROUP_NAME, NET_ERROR_ON_SESSION, scatter};
use crate::wire::{MAX_GROUPS, Name};

/// The text at `text`, of which at most `limit` bytes are looked at; NULL is the empty one. What is not UTF-8 cannot be
/// a name and becomes something else that is none.
pub unsafe fn text(text: *const c_char, limit: usize) -> String {
    // SAFETY: as the caller promises, there is a C string or NULL.
    let bytes = unsafe { up_to(text, limit) }.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The name at `text`, of which at most 32 bytes are looked at; `None` if it is longer than a name or NULL.
pub unsafe fn name(text: *const c_char) -> Option<Name> {
    // SAFETY: as the caller promises, there is a C string.
    Name::new(&unsafe { up_to(text, MAX_GROUP_NAME) }?).ok()
}

/// The name at `text`, cut to 31 bytes.
pub unsafe fn cut_name(text: *const c_char) -> Result<Name, Code> {
    // SAFETY: as the caller promises, there is a C string.
    let bytes = unsafe { up_to(text, MAX_GROUP_NAME - 1) }.ok_or(Code(ILLEGAL_GROUP))?;
    Ok(Name::new(&bytes).expect("31 bytes are a name"))
}

/// The bytes before the NUL, or the first `limit` of them; `None` for NULL. What lies behind is not looked at.
pub unsafe fn up_to(text: *const c_char, limit: usize) -> Option<Vec<u8>> {
    if text.is_null() {
        return None;
    }
    // SAFETY: no byte behind the NUL is looked at, and up to it they belong to the string.
    let bytes = (0..limit).map(|at| unsafe { *text.add(at) } as u8);
    Some(bytes.take_while(|&byte| byte != 0).collect())
}

/// The names in an array of `count` fields.
pub unsafe fn names(groups: *const [c_char; MAX_GROUP_NAME], count: c_int) -> Result<Vec<Name>, Code> {
    let count = length(count)?;
    if count > MAX_GROUPS {
        return Err(Code(ILLEGAL_GROUP));
    }
    // SAFETY: a C char array is a byte array; the caller says how many there are.
    let fields = unsafe { array(groups.cast::<[u8; MAX_GROUP_NAME]>(), count) }.ok_or(Code(ILLEGAL_GROUP))?;
    Ok(fields.iter().map(Name::from_field).collect())
}

/// `count` bytes to read.
pub unsafe fn bytes<'a>(start: *const c_char, count: c_int) -> Result<&'a [u8], Code> {
    let count = length(count)?;
    // SAFETY: as the caller promises.
    unsafe { array(start.cast::<u8>(), count) }.ok_or(Code(ILLEGAL_MESSAGE))
}

/// `count` bytes to write.
pub unsafe fn bytes_mut<'a>(start: *mut c_char, count: c_int) -> Result<&'a mut [u8], Code> {
    let count = length(count)?;
    // SAFETY: as the caller promises.
    unsafe { array_mut(start.cast::<u8>(), count) }.ok_or(Code(ILLEGAL_MESSAGE))
}

/// A number of things that a program says; below zero there is no such number.
fn length(count: c_int) -> Result<usize, Code> {
    usize::try_from(count).map_err(|_| Code(NET_ERROR_ON_SESSION))
}

/// `count` things to read; `None` if there cannot be this many there.
pub unsafe fn array<'a, T>(start: *const T, count: usize) -> Option<&'a [T]> {
    match (count, possible::<T>(count)) {
        (0, _) => Some(&[]),
        (_, true) if !start.is_null() => {
            // SAFETY: not NULL, not larger than memory, and the caller says that this many are there.
            Some(unsafe { std::slice::from_raw_parts(start, count) })
        }
        _ => None,
    }
}

/// `count` things to write; `None` if there cannot be this many there.
pub unsafe fn array_mut<'a, T>(start: *mut T, count: usize) -> Option<&'a mut [T]> {
    match (count, possible::<T>(count)) {
        (0, _) => Some(&mut []),
        (_, true) if !start.is_null() => {
            // SAFETY: not NULL, not larger than memory, and the caller says that this many are there and nobody else uses
            // them.
            Some(unsafe { std::slice::from_raw_parts_mut(start, count) })
        }
        _ => None,
    }
}

fn possible<T>(count: usize) -> bool {
    count.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok())
}

/// Most bytes of a piece that Windows can be told of. No message is so long, so what is cut off is too long anyway.
const PIECE_LIMIT: usize = u32::MAX as usize;

/// The pieces of a scatter, to read.
pub unsafe fn pieces<'a>(message: *const scatter) -> Result<Vec<IoSlice<'a>>, Code> {
    // SAFETY: as the caller promises, there is a scatter.
    let message = unsafe { message.as_ref() }.ok_or(Code(ILLEGAL_MESSAGE))?;
    let elements = message.elements.get(..message.num_elements).ok_or(Code(NET_ERROR_ON_SESSION))?;
    let pieces = elements.iter().map(|element| {
        // SAFETY: each element says how many bytes it has.
        let bytes = unsafe { array(element.buf.cast::<u8>(), element.len) };
        bytes.map(|bytes| IoSlice::new(&bytes[..bytes.len().min(PIECE_LIMIT)]))
    });
    pieces.collect::<Option<_>>().ok_or(Code(ILLEGAL_MESSAGE))
}

/// The pieces of a scatter, to write.
pub unsafe fn pieces_mut<'a>(message: *const scatter) -> Result<Vec<IoSliceMut<'a>>, Code> {
    // SAFETY: as the caller promises, there is a scatter.
    let message = unsafe { message.as_ref() }.ok_or(Code(ILLEGAL_MESSAGE))?;
    let elements = message.elements.get(..message.num_elements).ok_or(Code(NET_ERROR_ON_SESSION))?;
    let pieces = elements.iter().map(|element| {
        // SAFETY: each element says how many bytes it has, and the caller's elements do not overlap.
        let bytes = unsafe { array_mut(element.buf.cast::<u8>(), element.len) };
        bytes.map(|bytes| {
            let length = bytes.len().min(PIECE_LIMIT);
            IoSliceMut::new(&mut bytes[..length])
        })
    });
    pieces.collect::<Option<_>>().ok_or(Code(ILLEGAL_MESSAGE))
}
