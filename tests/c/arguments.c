/* Every call on an open mailbox with NULL, with lengths below zero and over the limit, with names that are none or do not end:
   the classic code, and the connection stays as good as it was. Arguments: a daemon for a mailbox of the core, and one for a
   mailbox with the Flush layer. */

#include "strangers.h"

enum { LIMIT = 143152, ONE_GROUP = 32 };

static mailbox mbox;
static char many[MAX_GROUP_NAME * 101];
/* A name of 31 bytes is the longest; this one does not end at all. */
static char *endless;
static scatter too_many, without_buffer, too_long, beyond_counting;

static scatter one_piece(char *buf, size_t len)
{
    scatter scat = empty;

    scat.num_elements = 1;
    scat.elements[0].buf = buf;
    scat.elements[0].len = len;
    return scat;
}

static void prepare(void)
{
    prepare_scatters();
    endless = unterminated(MAX_GROUP_NAME);
    too_many = empty;
    too_many.num_elements = (size_t)-1;
    without_buffer = one_piece(NULL, 1);
    too_long = one_piece(many, LIMIT - ONE_GROUP + 1);
    beyond_counting = one_piece(many, (size_t)-1 / 2);
    beyond_counting.num_elements = 3;
    beyond_counting.elements[1] = beyond_counting.elements[2] = beyond_counting.elements[0];
}

static void names(void)
{
    static const char *const none[] = {"", "two words", "#me#d1", "\x80", "\x7f", "32 bytes are one more than fits."};
    size_t i;

    for (i = 0; i < sizeof none / sizeof none[0]; i++) {
        CHECK_NUMBER(SP_join(mbox, none[i]), ILLEGAL_GROUP);
        CHECK_NUMBER(SP_leave(mbox, none[i]), ILLEGAL_GROUP);
    }
    CHECK_NUMBER(SP_join(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_join(mbox, endless), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_leave(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_leave(mbox, endless), ILLEGAL_GROUP);
}

static void one_group(void)
{
    CHECK_NUMBER(SP_multicast(mbox, 0, "g", 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_multicast(mbox, SELF_DISCARD, "g", 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, NULL, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, -1, many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, LIMIT - ONE_GROUP + 1, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, endless, 0, INT_MAX, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(SP_scat_multicast(mbox, 0, "g", 0, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, NULL, 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &too_many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &without_buffer), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &huge), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &too_long), MESSAGE_TOO_LONG);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &beyond_counting), MESSAGE_TOO_LONG);
}

static void many_groups(void)
{
    const char (*groups)[MAX_GROUP_NAME] = (const char (*)[MAX_GROUP_NAME])many;

    CHECK_NUMBER(SP_multigroup_multicast(mbox, 0, 1, groups, 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, -1, groups, 0, 1, many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 101, groups, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, INT_MAX, groups, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 1, NULL, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 1, groups, 0, INT_MIN, many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 1, groups, 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 100, groups, 0, LIMIT - 3199, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, 0, 1, groups, 0, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 101, groups, 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, NULL, 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, groups, 0, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, groups, 0, &without_buffer), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, groups, 0, &too_long), MESSAGE_TOO_LONG);
}

/* The two calls that receive in the core, with one argument after the other that cannot be. */
static void receiving(void)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[8];
    int count = 0, wrong = 0;
    int16 kind = 0;

    CHECK_NUMBER(SP_receive(mbox, NULL, sender, 1, &count, groups, &kind, &wrong, 8, body), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_receive(mbox, &type, NULL, 1, &count, groups, &kind, &wrong, 8, body), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, NULL, groups, &kind, &wrong, 8, body), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, NULL, &kind, &wrong, 8, body), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, NULL, &wrong, 8, body), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &kind, NULL, 8, body), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &kind, &wrong, INT_MIN, body), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &kind, &wrong, 8, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(mbox, NULL, sender, 1, &count, groups, &kind, &wrong, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, NULL, 1, &count, groups, &kind, &wrong, &empty), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, NULL, groups, &kind, &wrong, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, NULL, &kind, &wrong, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, NULL, &wrong, &empty), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &kind, NULL, &empty), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &kind, &wrong, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &kind, &wrong, &too_many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &kind, &wrong, &without_buffer), ILLEGAL_MESSAGE);
    CHECK(type == 0 && count == 0 && kind == 0 && wrong == 0);
}

static void flush_requests(void)
{
    CHECK_NUMBER(FL_join(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_join(mbox, endless), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_join(mbox, "#me#d1"), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_leave(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_leave(mbox, "g"), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_flush(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_flush(mbox, "g"), ILLEGAL_GROUP);
}

static void flush_casts(void)
{
    char (*to)[MAX_GROUP_NAME] = (char (*)[MAX_GROUP_NAME])many;

    CHECK_NUMBER(FL_multicast(mbox, 0, "#him#d1", 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS | FLUSH_REQ_MESS, "g", 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "g", -32766, 1, many), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "g", 0, -1, many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "g", 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, NULL, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "g", 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "#him#d1", 0, INT_MAX, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_scat_multicast(mbox, RESERVED | SAFE_MESS, "g", 0, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, "g", -32768, &empty), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, NULL, 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, "g", 0, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, "g", 0, &too_many), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, "#him#d1", 0, &beyond_counting), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", NULL, 0, 1, many), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", endless, 0, 1, many), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, NULL, "#him#d1", 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", "#him#d1", 0, INT_MIN, many), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", "#him#d1", 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS | ENDIAN_RESERVED, "g", "#him#d1", 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", "#him#d1", -32767, 1, many), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "#me#d1", "#me#d1", 0, INT_MAX, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS | REG_MEMB_MESS, "g", "#him#d1", 0, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, "g", "#him#d1", -32767, &empty), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, "#me#d1", "#me#d1", 0, &too_long), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, "g", NULL, 0, &empty), ILLEGAL_RECEIVERS);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, NULL, "#him#d1", 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, "g", "#him#d1", 0, &without_buffer), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_subgroupcast(mbox, 0, NULL, -1, to, 0, 1, many), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, "g", 1, NULL, 0, 1, many), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, "g", INT_MAX, to, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, NULL, 1, to, 0, 1, many), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, "g", 1, to, 0, 1, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS | FLUSH_REQ_MESS, "g", 1, to, 0, 1, many), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, "g", 1, to, -32767, 1, many), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_subgroupcast(mbox, SAFE_MESS, "#me#d1", 0, to, 0, INT_MAX, many), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS | TRANSITION_MESS, "g", 1, to, 0, &empty), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS, "g", 1, to, -32767, &empty), ILLEGAL_MESSAGE_TYPE);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS, "#me#d1", 0, NULL, 0, &too_long), MESSAGE_TOO_LONG);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, 0, NULL, INT_MIN, to, 0, &empty), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS, "g", 1, NULL, 0, &empty), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS, NULL, 1, to, 0, &empty), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, SAFE_MESS, "g", 1, to, 0, NULL), ILLEGAL_MESSAGE);
}

static void flush_receiving(void)
{
    service type = DONT_BLOCK;
    char from[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[8];
    int count = 0, wrong = 0;
    int16 kind = 0;

    CHECK_NUMBER(FL_receive(mbox, NULL, from, 1, &count, groups, &kind, &wrong, 8, body, NULL), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_receive(mbox, &type, NULL, 1, &count, groups, &kind, &wrong, 8, body, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_receive(mbox, &type, from, -1, &count, groups, &kind, &wrong, 8, body, NULL), WOULD_BLOCK);
    type = DONT_BLOCK;
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, NULL, groups, &kind, &wrong, 8, body, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, NULL, &kind, &wrong, 8, body, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, groups, NULL, &wrong, 8, body, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, groups, &kind, NULL, 8, body, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, -1, body, NULL), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, 8, NULL, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, 8, body, NULL), WOULD_BLOCK);
    type = DONT_BLOCK;
    CHECK_NUMBER(FL_scat_receive(mbox, NULL, from, 1, &count, groups, &kind, &wrong, &empty, NULL), ILLEGAL_SERVICE);
    CHECK_NUMBER(FL_scat_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, NULL, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_scat_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, &huge, NULL), ILLEGAL_MESSAGE);
    CHECK_NUMBER(FL_scat_receive(mbox, &type, from, 1, &count, groups, &kind, &wrong, &empty, NULL), WOULD_BLOCK);
}

int main(int argc, char **argv)
{
    char private_group[MAX_GROUP_NAME];

    if (argc < 3) {
        return 2;
    }
    prepare();
    CHECK_NUMBER(SP_connect(argv[1], "me", 0, 1, &mbox, private_group), ACCEPT_SESSION);
    names();
    one_group();
    many_groups();
    receiving();
    flush_calls(mbox);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, 5, "still"), 5);
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    core_calls(mbox);

    CHECK_NUMBER(FL_connect(argv[2], "me", 0, &mbox, private_group), ACCEPT_SESSION);
    names();
    flush_requests();
    flush_casts();
    flush_receiving();
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, "#me#d1", 0, 5, "still"), 5);
    CHECK_NUMBER(FL_disconnect(mbox), 0);
    flush_calls(mbox);
    core_calls(mbox);
    return failures != 0;
}
