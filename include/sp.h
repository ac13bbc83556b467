/* sp.h: the client interface of Spread 4, as the Torc library provides it. Generated from src/ffi; do not edit. */

#ifndef INC_SP
#define INC_SP

#include <stddef.h>
#include "sp_events.h"

/* Old names for integers. */
#define int16 short
#define int32 int

/* The number with its bytes turned around. */
#define Flip_int16(type) ((((type) >> 8) & 0x00ff) | (((type) << 8) & 0xff00))
#define Flip_int32(type) ((int)((((unsigned int)(type) >> 24) & 0x000000ff) | (((unsigned int)(type) >> 8) & 0x0000ff00) | \
                                (((unsigned int)(type) & 0x0000ff00) << 8) | ((unsigned int)(type) << 24)))

/* Version 4.4.0 of the interface: major, minor and patch in one byte each, from the highest. */
#define SPREAD_VERSION 0x04040000

/* Bits that mark byte order on the wire. Programs never see them. */
#define ENDIAN_RESERVED 0x80000080

/* What a received message is. These give the masked bits. */
#define Is_unreliable_mess(type) ((type) & UNRELIABLE_MESS)
#define Is_reliable_mess(type) ((type) & RELIABLE_MESS)
#define Is_fifo_mess(type) ((type) & FIFO_MESS)
#define Is_causal_mess(type) ((type) & CAUSAL_MESS)
#define Is_agreed_mess(type) ((type) & AGREED_MESS)
#define Is_safe_mess(type) ((type) & SAFE_MESS)
#define Is_self_discard(type) ((type) & SELF_DISCARD)
#define Is_reg_memb_mess(type) ((type) & REG_MEMB_MESS)
#define Is_transition_mess(type) ((type) & TRANSITION_MESS)
#define Is_caused_join_mess(type) ((type) & CAUSED_BY_JOIN)
#define Is_caused_leave_mess(type) ((type) & CAUSED_BY_LEAVE)
#define Is_caused_disconnect_mess(type) ((type) & CAUSED_BY_DISCONNECT)
#define Is_caused_network_mess(type) ((type) & CAUSED_BY_NETWORK)
#define Is_reject_mess(type) ((type) & REJECT_MESS)

/* These give 0 or 1. */
#define Is_regular_mess(type) (((type) & REGULAR_MESS) != 0 && ((type) & REJECT_MESS) == 0)
#define Is_membership_mess(type) (((type) & MEMBERSHIP_MESS) != 0 && ((type) & REJECT_MESS) == 0)
#define Is_self_leave(type) (((type) & CAUSED_BY_LEAVE) != 0 && ((type) & (REG_MEMB_MESS | TRANSITION_MESS)) == 0)

/*
 The port at which clients find a daemon unless told otherwise.
 */
#define DEFAULT_SPREAD_PORT 4803

/*
 Bytes of a group name, the NUL included.
 */
#define MAX_GROUP_NAME 32

/*
 Characters of a private name, without a NUL.
 */
#define MAX_PRIVATE_NAME 10

/*
 Bytes of a daemon name, the NUL included.
 */
#define MAX_PROC_NAME 20

/*
 Elements of a scatter.
 */
#define MAX_CLIENT_SCATTER_ELEMENTS 100

/*
 Service: may be lost, no order.
 */
#define UNRELIABLE_MESS 1

/*
 Service: arrives, no order.
 */
#define RELIABLE_MESS (1 << 1)

/*
 Service: in the order of each sender.
 */
#define FIFO_MESS (1 << 2)

/*
 Service: after all messages that its sender had seen.
 */
#define CAUSAL_MESS (1 << 3)

/*
 Service: in one order at all receivers.
 */
#define AGREED_MESS (1 << 4)

/*
 Service: in one order, and only after all daemons have it.
 */
#define SAFE_MESS (1 << 5)

/*
 All service bits.
 */
#define REGULAR_MESS 63

/*
 The sender does not receive its own message.
 */
#define SELF_DISCARD (1 << 6)

/*
 A membership change because a member joined.
 */
#define CAUSED_BY_JOIN (1 << 8)

/*
 A membership change because a member left; alone, your own membership has ended.
 */
#define CAUSED_BY_LEAVE (1 << 9)

/*
 A membership change because a member disconnected.
 */
#define CAUSED_BY_DISCONNECT (1 << 10)

/*
 A membership change because daemons came or went.
 */
#define CAUSED_BY_NETWORK (1 << 11)

/*
 A regular membership message.
 */
#define REG_MEMB_MESS (1 << 12)

/*
 A transitional membership message.
 */
#define TRANSITION_MESS (1 << 13)

/*
 All membership bits.
 */
#define MEMBERSHIP_MESS (63 << 8)

/*
 Bits that programs must not use.
 */
#define RESERVED (255 << 14)

/*
 Your own message, which access control refused.
 */
#define REJECT_MESS (1 << 22)

/*
 For the receive functions: store the part of the message that fits, and drop the rest.
 */
#define DROP_RECV (1 << 24)

/*
 The result of connecting.
 */
#define ACCEPT_SESSION 1

/*
 The daemon's name is invalid, or its host is unknown.
 */
#define ILLEGAL_SPREAD -1

/*
 No daemon was reached.
 */
#define COULD_NOT_CONNECT -2

/*
 The daemon, or this process, has too many connections.
 */
#define REJECT_QUOTA -3

/*
 A name is missing.
 */
#define REJECT_NO_NAME -4

/*
 The private name has a wrong length or character.
 */
#define REJECT_ILLEGAL_NAME -5

/*
 The private name is in use at this daemon.
 */
#define REJECT_NOT_UNIQUE -6

/*
 The versions of library and daemon are incompatible.
 */
#define REJECT_VERSION -7

/*
 The connection broke or was closed during this call.
 */
#define CONNECTION_CLOSED -8

/*
 Authentication or access control failed.
 */
#define REJECT_AUTH -9

/*
 There is no such mailbox.
 */
#define ILLEGAL_SESSION -11

/*
 The service type has no service bit.
 */
#define ILLEGAL_SERVICE -12

/*
 The message is malformed or of the wrong kind.
 */
#define ILLEGAL_MESSAGE -13

/*
 The group name is not allowed.
 */
#define ILLEGAL_GROUP -14

/*
 The message does not fit the buffer.
 */
#define BUFFER_TOO_SHORT -15

/*
 The groups do not fit the array.
 */
#define GROUPS_TOO_SHORT -16

/*
 The message and its groups exceed the limit.
 */
#define MESSAGE_TOO_LONG -17

/*
 An earlier call found the connection broken; only SP_disconnect still works.
 */
#define NET_ERROR_ON_SESSION -18

/*
 An error inside the library.
 */
#define SP_BUG -19

/*
 A connection to a daemon. It is the descriptor of a socket: select and poll take it.
 */
typedef int mailbox;

/*
 The kind of a message: service and other bits.
 */
typedef int service;

/*
 Some bytes.
 */
struct dummy_scat_element {
    /*
     Where they are.
     */
    char *buf;
    /*
     How many there are.
     */
    size_t len;
};

/*
 The name that programs use.
 */
typedef struct dummy_scat_element scat_element;

/*
 A message in several pieces.
 */
struct dummy_scatter {
    /*
     How many pieces there are.
     */
    size_t num_elements;
    /*
     The pieces in order.
     */
    scat_element elements[MAX_CLIENT_SCATTER_ELEMENTS];
};

/*
 The name that programs use.
 */
typedef struct dummy_scatter scatter;

/*
 The identity of one view of a group. Compare with SP_equal_group_ids.
 */
struct dummy_group_id {
    /*
     Three numbers that have no meaning by themselves.
     */
    int id[3];
};

/*
 The name that programs use.
 */
typedef struct dummy_group_id group_id;

/*
 Members of a group that came to its view together.
 */
struct dummy_vs_set_info {
    /*
     How many there are.
     */
    unsigned int num_members;
    /*
     Where their names begin in the membership message.
     */
    unsigned int members_offset;
};

/*
 The name that programs use.
 */
typedef struct dummy_vs_set_info vs_set_info;

/*
 The contents of a membership message.
 */
struct dummy_membership_info {
    /*
     The view.
     */
    group_id gid;
    /*
     Who joined, left or disconnected.
     */
    char changed_member[MAX_GROUP_NAME];
    /*
     How many sets of members came together.
     */
    unsigned int num_vs_sets;
    /*
     The set that the receiver belongs to.
     */
    vs_set_info my_vs_set;
};

/*
 The name that programs use.
 */
typedef struct dummy_membership_info membership_info;

#include "sp_func.h"

#endif /* INC_SP */
