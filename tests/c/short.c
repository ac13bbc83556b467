/* Every message with too little room, with enough and with more, for its groups and its body, for each of the calls that
   receive, in one buffer and in pieces, kept and dropped. Arguments: the daemon, which says each message as often as it is
   tried, and SP or FL. */

#include <fl.h>

#include <string.h>

#include "check.h"

enum { GROUPS = 2, MOST_GROUPS = 3, MOST_BYTES = 100, UNTOUCHED = 0x5a };

/* A kind of message: its type, the type while it is kept, the length of its body, and whether mess_type is its own. The
   second group is always the receiver's own. */
struct kind {
    service type, kept_type;
    const char *sender, *first_group;
    int length, numbered;
};

static const struct kind kinds[] = {
    {AGREED_MESS | SELF_DISCARD, AGREED_MESS | SELF_DISCARD, "#a#d1", "g", 10, 1},
    {REG_MEMB_MESS | CAUSED_BY_JOIN, REG_MEMB_MESS | CAUSED_BY_JOIN, "g", "#a#d1", 56, 0},
    {REJECT_MESS | SAFE_MESS, REJECT_MESS, "#me#d1", "g", 10, 1}
};

static mailbox mbox;
static int with_flush_layer, in_pieces;

/* All that a call gives, and what it was given. */
struct call {
    service type;
    char sender[MAX_GROUP_NAME], groups[MOST_GROUPS][MAX_GROUP_NAME], body[MOST_BYTES];
    int num_groups, mismatch, code, room_for_groups, room;
    int16 mess_type;
};

/* Cuts the room into three pieces, the middle one empty. */
static void cut(scatter *scat, char *body, int room)
{
    int front = room / 3;

    scat->num_elements = 3;
    scat->elements[0].buf = body;
    scat->elements[0].len = (size_t)front;
    scat->elements[1].buf = NULL;
    scat->elements[1].len = 0;
    scat->elements[2].buf = body + front;
    scat->elements[2].len = (size_t)(room - front);
}

static void receive(struct call *call, service wish, int room_for_groups, int room)
{
    scatter scat;

    memset(call, UNTOUCHED, sizeof *call);
    call->type = wish;
    call->room_for_groups = room_for_groups;
    call->room = room;
    cut(&scat, call->body, room);
    if (with_flush_layer && in_pieces) {
        call->code = (int)checked("FL_scat_receive(", FL_scat_receive(mbox, &call->type, call->sender, room_for_groups,
                         &call->num_groups, call->groups, &call->mess_type, &call->mismatch, &scat, NULL));
    } else if (with_flush_layer) {
        call->code = (int)checked("FL_receive(", FL_receive(mbox, &call->type, call->sender, room_for_groups,
                         &call->num_groups, call->groups, &call->mess_type, &call->mismatch, room, call->body, NULL));
    } else if (in_pieces) {
        call->code = (int)checked("SP_scat_receive(", SP_scat_receive(mbox, &call->type, call->sender, room_for_groups,
                         &call->num_groups, call->groups, &call->mess_type, &call->mismatch, &scat));
    } else {
        call->code = (int)checked("SP_receive(", SP_receive(mbox, &call->type, call->sender, room_for_groups,
                         &call->num_groups, call->groups, &call->mess_type, &call->mismatch, room, call->body));
    }
}

static int at_most(int number, int limit)
{
    return number < limit ? number : limit;
}

/* The first groups and bytes are the message's, and behind them nothing was touched. */
static void check_contents(const struct call *call, const struct kind *kind, int groups, int length)
{
    int i;

    for (i = 0; i < MOST_GROUPS; i++) {
        const char *name = i == 0 ? kind->first_group : "#me#d1";

        CHECK(i < groups ? strcmp(call->groups[i], name) == 0 : call->groups[i][0] == UNTOUCHED);
    }
    for (i = 0; i < MOST_BYTES; i++) {
        if (i >= length) {
            CHECK(call->body[i] == UNTOUCHED);
        } else if (kind->numbered) {
            CHECK(call->body[i] == 'a' + i);
        }
    }
}

static void check_kept(const struct call *call, const struct kind *kind, int number)
{
    int groups_short = call->room_for_groups < GROUPS, body_short = call->room < kind->length;

    CHECK_NUMBER(call->code, groups_short ? GROUPS_TOO_SHORT : BUFFER_TOO_SHORT);
    CHECK_NUMBER(call->num_groups, groups_short ? -GROUPS : 0);
    CHECK_NUMBER(call->mismatch, body_short ? -kind->length : 0);
    CHECK_NUMBER(call->type, kind->kept_type);
    CHECK_NUMBER(call->mess_type, kind->numbered ? number : 0);
    CHECK(strcmp(call->sender, kind->sender) == 0);
    check_contents(call, kind, 0, 0);
}

static void check_taken(const struct call *call, const struct kind *kind, int number)
{
    int groups_short = call->room_for_groups < GROUPS, body_short = call->room < kind->length;

    CHECK_NUMBER(call->code, body_short ? BUFFER_TOO_SHORT : kind->length);
    CHECK_NUMBER(call->num_groups, groups_short ? -GROUPS : GROUPS);
    CHECK_NUMBER(call->mismatch, 0);
    CHECK_NUMBER(call->type, kind->type);
    CHECK_NUMBER(call->mess_type, kind->numbered ? number : groups_short ? -1 : 1);
    CHECK(strcmp(call->sender, kind->sender) == 0);
    check_contents(call, kind, at_most(GROUPS, call->room_for_groups), at_most(kind->length, call->room));
}

/* One message: with this much room, and then, if it was kept, again and at last with enough. Where the room for groups is
   below zero it is always kept. */
static void take(const struct kind *kind, int number, service wish, int room_for_groups, int room)
{
    struct call call;

    receive(&call, wish, room_for_groups, room);
    if ((wish == DROP_RECV && room_for_groups >= 0) || (room_for_groups >= GROUPS && room >= kind->length)) {
        check_taken(&call, kind, number);
        return;
    }
    check_kept(&call, kind, number);
    receive(&call, 0, room_for_groups, room);
    check_kept(&call, kind, number);
    /* The rest by turns: with enough room, or dropped with too little. */
    if (number % 2 == 0) {
        receive(&call, 0, MOST_GROUPS, MOST_BYTES);
    } else {
        receive(&call, DROP_RECV, room_for_groups < 0 ? 0 : room_for_groups, room);
    }
    check_taken(&call, kind, number);
}

int main(int argc, char **argv)
{
    char private_group[MAX_GROUP_NAME];
    int number = 0, room_for_groups, size, dropped;
    size_t kind, kinds_here = sizeof kinds / sizeof kinds[0];

    if (argc < 3) {
        return 2;
    }
    with_flush_layer = strcmp(argv[2], "FL") == 0;
    if (with_flush_layer) {
        CHECK_NUMBER(FL_connect(argv[1], "me", 0, &mbox, private_group), ACCEPT_SESSION);
        /* The layer has memberships of its own. */
        kinds_here = 1;
    } else {
        CHECK_NUMBER(SP_connect(argv[1], "me", 0, 1, &mbox, private_group), ACCEPT_SESSION);
    }
    for (in_pieces = 0; in_pieces < 2; in_pieces++) {
        for (kind = 0; kind < kinds_here; kind++) {
            int sizes[5];

            sizes[0] = 0;
            sizes[1] = 1;
            sizes[2] = kinds[kind].length - 1;
            sizes[3] = kinds[kind].length;
            sizes[4] = kinds[kind].length + 1;
            for (room_for_groups = -1; room_for_groups <= MOST_GROUPS; room_for_groups++) {
                for (size = 0; size < 5; size++) {
                    for (dropped = 0; dropped < 2; dropped++) {
                        take(&kinds[kind], number++, dropped ? DROP_RECV : 0, room_for_groups, sizes[size]);
                    }
                }
            }
        }
    }
    CHECK_NUMBER(SP_poll(mbox), 0);
    CHECK_NUMBER(with_flush_layer ? FL_disconnect(mbox) : SP_disconnect(mbox), 0);
    return failures != 0;
}
