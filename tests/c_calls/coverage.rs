//! Every call that the headers declare, and every code that each gives, is tried by a C program. The programs themselves note
//! what they call and what it gave; the table here says what there is to be tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use spread::ffi::*;

use super::c_programs::{Library, ROOT};
use super::stage::{Stage, TRANSPORTS};

/// Any number that is no error.
const WELL: i32 = i32::MAX;

/// Calls, and the codes that each of them gives.
const CODES: [(&[&str], &[i32]); 29] = [
    (&["SP_connect", "SP_connect_timeout", "FL_connect"], CONNECTING),
    (&["SP_disconnect", "FL_disconnect"], &[0, ILLEGAL_SESSION]),
    (&["SP_join", "SP_leave", "FL_join", "FL_leave"], &[0, ILLEGAL_GROUP, ILLEGAL_SESSION, LOST, LOST_BEFORE]),
    (&["SP_multicast", "SP_scat_multicast", "SP_multigroup_multicast", "SP_multigroup_scat_multicast"], SENDING),
    (&["SP_receive", "SP_scat_receive", "FL_receive", "FL_scat_receive"], RECEIVING),
    (&["SP_poll", "FL_poll", "FL_more_msgs"], &[WELL, ILLEGAL_SESSION]),
    (&["SP_get_memb_info", "SP_scat_get_memb_info"], &[1, ILLEGAL_MESSAGE]),
    (&["SP_get_vs_sets_info", "SP_scat_get_vs_sets_info"], &[WELL, BUFFER_TOO_SHORT, ILLEGAL_MESSAGE]),
    (&["SP_get_vs_set_members", "SP_scat_get_vs_set_members"], &[WELL, BUFFER_TOO_SHORT, ILLEGAL_MESSAGE]),
    (&["SP_set_auth_method", "SP_set_auth_methods", "SP_version", "SP_equal_group_ids"], &[1, 0]),
    (&["FL_flush"], &[0, ILLEGAL_GROUP, ILLEGAL_STATE, ILLEGAL_SESSION]),
    (&["FL_multicast", "FL_scat_multicast"], CASTING),
    (&["FL_unicast", "FL_scat_unicast"], CASTING),
    (&["FL_unicast", "FL_scat_unicast"], &[ILLEGAL_RECEIVERS]),
    (&["FL_subgroupcast", "FL_scat_subgroupcast"], CASTING),
    (&["FL_subgroupcast", "FL_scat_subgroupcast"], &[ILLEGAL_PARAM, ILLEGAL_RECEIVERS]),
    (&["FL_receive", "FL_scat_receive"], &[WOULD_BLOCK]),
    (&["FL_connect"], &[ILLEGAL_PARAM]),
    (&["FL_lib_init"], &[0, ILLEGAL_STATE]),
    (&["FL_get_gid_offset_memb_mess", "FL_get_num_vs_offset_memb_mess", "FL_get_vs_set_offset_memb_mess"], &[WELL]),
    (&["SP_get_gid_offset_memb_mess", "SP_get_num_vs_offset_memb_mess", "SP_get_vs_set_offset_memb_mess"], &[WELL]),
    (&["SP_query_groups", "SP_query_members"], &[-1]),
    (&["E_init", "E_queue"], &[0]),
    (&["E_queue", "E_dequeue", "E_detach_fd_priority"], &[0, -1]),
    (&["E_in_queue"], &[0, 1]),
    (&["E_attach_fd"], &[0, 1, -1]),
    (&["E_detach_fd", "E_activate_fd", "E_deactivate_fd"], &[0, -1]),
    (&["E_set_active_threshold", "E_num_active"], &[WELL, -1]),
    (&["E_compare_time"], &[1, 0, -1]),
];
const CONNECTING: &[i32] = &[
    ACCEPT_SESSION,
    ILLEGAL_SPREAD,
    COULD_NOT_CONNECT,
    REJECT_QUOTA,
    REJECT_NO_NAME,
    REJECT_ILLEGAL_NAME,
    REJECT_NOT_UNIQUE,
    REJECT_VERSION,
    REJECT_AUTH,
    LOST,
];
const SENDING: &[i32] =
    &[WELL, ILLEGAL_SERVICE, ILLEGAL_GROUP, ILLEGAL_MESSAGE, MESSAGE_TOO_LONG, ILLEGAL_SESSION, LOST, LOST_BEFORE];
const CASTING: &[i32] = &[
    WELL,
    ILLEGAL_SERVICE,
    ILLEGAL_MESSAGE_TYPE,
    ILLEGAL_MESSAGE,
    ILLEGAL_GROUP,
    ILLEGAL_STATE,
    MESSAGE_TOO_LONG,
    ILLEGAL_SESSION,
    LOST,
    LOST_BEFORE,
];
const RECEIVING: &[i32] =
    &[WELL, BUFFER_TOO_SHORT, GROUPS_TOO_SHORT, ILLEGAL_MESSAGE, ILLEGAL_SESSION, LOST, LOST_BEFORE];
const LOST: i32 = CONNECTION_CLOSED;
const LOST_BEFORE: i32 = NET_ERROR_ON_SESSION;

/// Calls that give no number; the programs look at what they give or do.
const WITHOUT_NUMBER: [&str; 14] = [
    "E_add_time",
    "E_delay",
    "E_exit_events",
    "E_exit_events_async_safe",
    "E_get_time",
    "E_get_time_monotonic",
    "E_handle_events",
    "E_neg_time",
    "E_sub_time",
    "FL_error",
    "FL_version",
    "SP_error",
    "SP_kill",
    "SP_strerror",
];

/// The programs that try them.
const PROGRAMS: [&str; 11] =
    ["calls", "hostile", "events", "undeclared", "threads", "short", "arguments", "answers", "core", "flush", "lost"];

/// The names in a text that are called.
fn called(text: &str) -> BTreeSet<&str> {
    let words = text.split('(').map(|front| front.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next());
    words.map(Option::unwrap_or_default).collect()
}

/// The functions of the classic interface that the library has.
fn exported(library: &Library) -> BTreeSet<String> {
    let names = library.exports().into_iter();
    names.filter(|name| ["SP_", "FL_", "E_"].iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// The error codes that the headers define.
fn defined_codes() -> BTreeSet<i32> {
    let headers = ["sp.h", "fl.h"].map(|header| fs::read_to_string(Path::new(ROOT).join("include").join(header)));
    let headers = headers.map(Result::unwrap).concat();
    let values = headers.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' ')?.1.parse().ok());
    values.filter(|&value| value < 0 && value != FL_MIN_LEGAL_MESS_TYPE).collect()
}

#[test]
fn every_call_and_every_code_is_tried() {
    let library = Library::prepare("coverage");
    let notes = library.directory().join("notes");
    let _ = fs::remove_file(&notes);
    for program in PROGRAMS {
        for stage in Stage::all_of(program, &TRANSPORTS) {
            library.run_noting(program, &stage.arguments, &notes);
            stage.end();
        }
    }
    let notes = fs::read_to_string(notes).unwrap();
    let tried: BTreeSet<(&str, i64)> = notes
        .lines()
        .filter_map(|line| {
            let (code, call) = line.split_once(' ')?;
            Some((call.split('(').next()?, code.parse().ok()?))
        })
        .collect();
    let is_tried = |call: &str, code: i32| match code {
        WELL => tried.iter().any(|&(name, number)| name == call && number >= 0),
        _ => tried.contains(&(call, code.into())),
    };
    let wanted: BTreeSet<_> = CODES
        .iter()
        .flat_map(|(calls, codes)| calls.iter().flat_map(move |call| codes.iter().map(move |code| (*call, *code))))
        .collect();
    let missing: Vec<_> = wanted.iter().filter(|(call, code)| !is_tried(call, *code)).collect();
    assert!(missing.is_empty(), "no C program tries {missing:?}");

    let sources =
        PROGRAMS.map(|program| fs::read_to_string(Path::new(ROOT).join("tests/c").join(program).with_extension("c")));
    let sources = sources.map(Result::unwrap).concat();
    let uncalled: BTreeSet<_> = WITHOUT_NUMBER.into_iter().filter(|name| !called(&sources).contains(name)).collect();
    assert!(uncalled.is_empty(), "no C program calls {uncalled:?}");
    let mut listed: BTreeSet<_> = wanted.iter().map(|(call, _)| (*call).to_owned()).collect();
    listed.extend(WITHOUT_NUMBER.iter().map(|name| (*name).to_owned()));
    assert_eq!(listed, exported(&library), "the table has what the library has");
    let mut codes: BTreeSet<_> = wanted.iter().map(|(_, code)| *code).filter(|&code| code < 0).collect();
    // A panic is the only reason, and no program can cause one.
    codes.insert(SP_BUG);
    assert_eq!(codes, defined_codes().into_iter().chain([-1]).collect(), "the table has every code of the headers");
}
