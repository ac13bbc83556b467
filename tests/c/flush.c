/* Two members of a group through the Flush layer, from the first view to the last: who may call what in which state, every way
   to send, and what comes. Argument: the daemon. */

#include <fl.h>

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

enum { PATIENCE = 120, LENGTH = 5 };

/* A member, and what it received last or, if that is waiting, next. */
struct member {
    mailbox mbox;
    char name[1][MAX_GROUP_NAME];
    service type;
    char sender[MAX_GROUP_NAME], groups[3][MAX_GROUP_NAME], body[100];
    int num_groups, code, is_waiting;
};

static struct member a, b;
static char hello[] = "hello";
static scatter pieces;

/* Receives without waiting, unless a message waits already; the layer does its part in this call. */
static void receive(struct member *member)
{
    int mismatch, more = -1;
    int16 mess_type;

    if (member->is_waiting) {
        return;
    }
    member->type = DONT_BLOCK;
    member->code = (int)checked("FL_receive(", FL_receive(member->mbox, &member->type, member->sender, 3, &member->num_groups,
                           member->groups, &mess_type, &mismatch, (int)sizeof member->body, member->body, &more));
    CHECK(member->code == WOULD_BLOCK || (member->code >= 0 && more == FL_more_msgs(member->mbox)));
    member->is_waiting = member->code >= 0;
    if (!member->is_waiting) {
        sched_yield();
    }
}

/* What comes next to a member, while the other does its part of the agreement too. */
static void await(struct member *member, service type)
{
    while (!member->is_waiting) {
        receive(&a);
        receive(&b);
    }
    member->is_waiting = 0;
    CHECK_NUMBER(member->type, type);
}

/* Each way to send to b in the group: all give the same. */
static void cast_every_way(int code)
{
    CHECK_NUMBER(FL_multicast(a.mbox, AGREED_MESS, "g", 1, LENGTH, hello), code);
    CHECK_NUMBER(FL_scat_multicast(a.mbox, AGREED_MESS, "g", 1, &pieces), code);
    CHECK_NUMBER(FL_unicast(a.mbox, AGREED_MESS, "g", b.name[0], 1, LENGTH, hello), code);
    CHECK_NUMBER(FL_scat_unicast(a.mbox, AGREED_MESS, "g", b.name[0], 1, &pieces), code);
    CHECK_NUMBER(FL_subgroupcast(a.mbox, AGREED_MESS, "g", 1, b.name, 1, LENGTH, hello), code);
    CHECK_NUMBER(FL_scat_subgroupcast(a.mbox, AGREED_MESS, "g", 1, b.name, 1, &pieces), code);
}

static void check_view(const struct member *member, const char *changed, int members)
{
    const char *number = member->body + FL_get_num_vs_offset_memb_mess();
    int one = 1;

    CHECK_NUMBER(FL_get_gid_offset_memb_mess(), 0);
    CHECK_NUMBER(FL_get_num_vs_offset_memb_mess(), 12);
    CHECK_NUMBER(FL_get_vs_set_offset_memb_mess(), 16);
    CHECK(Is_reg_memb_mess(member->type) && strcmp(member->sender, "g") == 0 && member->num_groups == members);
    CHECK(memcmp(number, &one, sizeof one) == 0);
    CHECK(strcmp(member->body + FL_get_vs_set_offset_memb_mess(), changed) == 0);
}

static void alone(void)
{
    CHECK_NUMBER(FL_join(a.mbox, "g"), 0);
    CHECK_NUMBER(FL_leave(a.mbox, "g"), ILLEGAL_GROUP);
    cast_every_way(ILLEGAL_GROUP);
    await(&a, REG_MEMB_MESS | CAUSED_BY_JOIN);
    check_view(&a, a.name[0], 1);
    CHECK_NUMBER(FL_join(a.mbox, "g"), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_flush(a.mbox, "g"), ILLEGAL_STATE);
    CHECK_NUMBER(FL_unicast(a.mbox, SAFE_MESS, "g", b.name[0], 1, LENGTH, hello), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_scat_unicast(a.mbox, SAFE_MESS, "g", b.name[0], 1, &pieces), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_subgroupcast(a.mbox, SAFE_MESS, "g", 1, b.name, 1, LENGTH, hello), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_scat_subgroupcast(a.mbox, SAFE_MESS, "g", 1, b.name, 1, &pieces), ILLEGAL_RECEIVERS);
}

static void together(void)
{
    CHECK_NUMBER(FL_join(b.mbox, "g"), 0);
    await(&a, FLUSH_REQ_MESS);
    CHECK(Is_flush_req_mess(a.type) && strcmp(a.sender, "g") == 0);
    CHECK_NUMBER(FL_flush(a.mbox, "g"), 0);
    CHECK_NUMBER(FL_flush(a.mbox, "g"), ILLEGAL_STATE);
    cast_every_way(ILLEGAL_STATE);
    await(&a, REG_MEMB_MESS | CAUSED_BY_JOIN);
    check_view(&a, b.name[0], 2);
}

static void casting(void)
{
    int i;

    await(&b, REG_MEMB_MESS | CAUSED_BY_JOIN);
    check_view(&b, b.name[0], 2);
    cast_every_way(LENGTH);
    for (i = 0; i < 6; i++) {
        await(&b, i < 2 ? AGREED_MESS : AGREED_MESS | SUBGROUP_CAST);
        CHECK(b.code == LENGTH && memcmp(b.body, hello, LENGTH) == 0 && strcmp(b.sender, a.name[0]) == 0);
        CHECK_NUMBER(Is_subgroup_mess(b.type), i >= 2);
        CHECK(strcmp(b.groups[b.num_groups - 1], "g") == 0);
        CHECK(i < 2 || (b.num_groups == 2 && strcmp(b.groups[0], b.name[0]) == 0));
    }
    await(&a, AGREED_MESS);
    await(&a, AGREED_MESS);
    CHECK_NUMBER(FL_more_msgs(a.mbox), 0);
    CHECK(FL_poll(a.mbox) >= 0);
}

static void apart(void)
{
    CHECK_NUMBER(FL_leave(b.mbox, "g"), 0);
    CHECK_NUMBER(FL_leave(b.mbox, "g"), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_flush(b.mbox, "g"), ILLEGAL_GROUP);
    await(&a, FLUSH_REQ_MESS);
    CHECK_NUMBER(FL_flush(a.mbox, "g"), 0);
    await(&a, TRANSITION_MESS);
    await(&a, REG_MEMB_MESS | CAUSED_BY_LEAVE);
    check_view(&a, b.name[0], 1);
    await(&b, CAUSED_BY_LEAVE);
    CHECK(Is_self_leave(b.type));
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    alarm(PATIENCE);
    pieces.num_elements = 2;
    pieces.elements[0].buf = hello;
    pieces.elements[0].len = 2;
    pieces.elements[1].buf = hello + 2;
    pieces.elements[1].len = LENGTH - 2;
    CHECK_NUMBER(FL_lib_init(), 0);
    CHECK_NUMBER(FL_lib_init(), ILLEGAL_STATE);
    CHECK_NUMBER(FL_connect(argv[1], "a", 0, &a.mbox, a.name[0]), ACCEPT_SESSION);
    CHECK_NUMBER(FL_connect(argv[1], "b", 0, &b.mbox, b.name[0]), ACCEPT_SESSION);
    alone();
    together();
    casting();
    apart();
    CHECK_NUMBER(FL_disconnect(a.mbox), 0);
    CHECK_NUMBER(FL_disconnect(b.mbox), 0);
    return failures != 0;
}
