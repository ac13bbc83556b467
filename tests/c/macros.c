/* What the macros say about every kind of message. */

#include <fl.h>

#include "check.h"

enum {
    REGULAR = 1, MEMBERSHIP = 2, REG_MEMB = 4, TRANSITION = 8, JOIN = 16, LEAVE = 32, DISCONNECT = 64, NETWORK = 128,
    SELF_LEAVE = 256, REJECT = 512
};

struct kind {
    service type;
    int answers;
};

static const struct kind kinds[] = {
    {0x00000020, REGULAR},
    {0x00000050, REGULAR},
    {0x00001100, MEMBERSHIP | REG_MEMB | JOIN},
    {0x00001200, MEMBERSHIP | REG_MEMB | LEAVE},
    {0x00001400, MEMBERSHIP | REG_MEMB | DISCONNECT},
    {0x00001800, MEMBERSHIP | REG_MEMB | NETWORK},
    {0x00002000, MEMBERSHIP | TRANSITION},
    {0x00000200, MEMBERSHIP | LEAVE | SELF_LEAVE},
    {0x00400020, REJECT},
    {0x00400100, JOIN | REJECT},
    {0x00400200, LEAVE | SELF_LEAVE | REJECT}
};

static int answers(service type)
{
    return (Is_regular_mess(type) ? REGULAR : 0) | (Is_membership_mess(type) ? MEMBERSHIP : 0) |
           (Is_reg_memb_mess(type) ? REG_MEMB : 0) | (Is_transition_mess(type) ? TRANSITION : 0) |
           (Is_caused_join_mess(type) ? JOIN : 0) | (Is_caused_leave_mess(type) ? LEAVE : 0) |
           (Is_caused_disconnect_mess(type) ? DISCONNECT : 0) | (Is_caused_network_mess(type) ? NETWORK : 0) |
           (Is_self_leave(type) ? SELF_LEAVE : 0) | (Is_reject_mess(type) ? REJECT : 0);
}

int main(void)
{
    size_t i;
    int16 small = 0x1234;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        CHECK_NUMBER(answers(kinds[i].type), kinds[i].answers);
    }

    CHECK_NUMBER(Is_regular_mess(0x20), 1);
    CHECK_NUMBER(Is_membership_mess(0x1100), 1);
    CHECK_NUMBER(Is_self_leave(0x200), 1);
    CHECK_NUMBER(Is_unreliable_mess(0x3f), 0x01);
    CHECK_NUMBER(Is_reliable_mess(0x3f), 0x02);
    CHECK_NUMBER(Is_fifo_mess(0x3f), 0x04);
    CHECK_NUMBER(Is_causal_mess(0x3f), 0x08);
    CHECK_NUMBER(Is_agreed_mess(0x3f), 0x10);
    CHECK_NUMBER(Is_safe_mess(0x3f), 0x20);
    CHECK_NUMBER(Is_self_discard(0x50), 0x40);
    CHECK_NUMBER(Is_caused_network_mess(0x1800), 0x800);
    CHECK_NUMBER(Is_reject_mess(0x400020), 0x400000);

    CHECK_NUMBER(Is_flush_req_mess(FLUSH_REQ_MESS), 1);
    CHECK_NUMBER(Is_flush_req_mess(SAFE_MESS), 0);
    CHECK_NUMBER(Is_subgroup_mess(SUBGROUP_CAST | SAFE_MESS), 1);
    CHECK_NUMBER(Is_subgroup_mess(SAFE_MESS), 0);

    CHECK_NUMBER(Flip_int16(small), 0x3412);
    CHECK_NUMBER(Flip_int32(0x12345678), 0x78563412);
    CHECK_NUMBER(Flip_int32(0x00000080) & 0xffffffff, 0x80000000L & 0xffffffff);
    return failures != 0;
}
