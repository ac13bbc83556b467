/* Every call with mailboxes that are none, with NULL, with lengths and names that cannot be: a code, never a crash.
   Names end at the edge of mapped memory, so a byte too many is fatal. */

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <fl.h>

#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

static scatter empty, huge;

/* `length` bytes of 'x' without a NUL, and nothing readable behind them. */
static char *unterminated(size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = (char *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(pages != (char *)MAP_FAILED);
    CHECK_NUMBER(mprotect(pages + page, page, PROT_NONE), 0);
    memset(pages, 'x', page);
    return pages + page - length;
}

static void core_calls(mailbox mbox)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[8] = "";
    const char to[1][MAX_GROUP_NAME] = {"g"};
    int count = 0, mismatch = 0;
    int16 mess_type = 0;

    CHECK_NUMBER(SP_join(mbox, "g"), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_leave(mbox, "g"), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_leave(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, 1, body), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, INT_MIN, body), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &empty), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &huge), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 1, to, 0, 1, body), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, INT_MAX, to, 0, 1, body), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, to, 0, &empty), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, 8, body), ILLEGAL_SESSION);
    CHECK(SP_receive(mbox, &type, NULL, 1, &count, groups, &mess_type, &mismatch, 8, body) < 0);
    CHECK(SP_receive(mbox, &type, sender, 1, NULL, groups, &mess_type, &mismatch, 8, body) < 0);
    CHECK(SP_receive(mbox, &type, sender, 1, &count, groups, NULL, &mismatch, 8, body) < 0);
    CHECK(SP_receive(mbox, &type, sender, 1, &count, groups, &mess_type, NULL, 8, body) < 0);
    CHECK(SP_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, INT_MIN, body) < 0);
    CHECK(SP_receive(mbox, &type, sender, INT_MIN, &count, groups, &mess_type, &mismatch, 8, body) < 0);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, &empty),
                 ILLEGAL_SESSION);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, &huge),
                 ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_poll(mbox), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_disconnect(mbox), ILLEGAL_SESSION);
    SP_kill(mbox);
}

static void flush_calls(mailbox mbox)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[8];
    int count = 0, mismatch = 0, more = 0;
    int16 mess_type = 0;

    CHECK_NUMBER(FL_join(mbox, "g"), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_join(mbox, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_leave(mbox, "g"), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_flush(mbox, "g"), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_multicast(mbox, SAFE_MESS, NULL, 0, -1, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_scat_multicast(mbox, SAFE_MESS, "g", 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_unicast(mbox, SAFE_MESS, "g", NULL, 0, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_scat_unicast(mbox, SAFE_MESS, "g", NULL, 0, &huge), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_subgroupcast(mbox, 0, "g", -1, NULL, 0, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_scat_subgroupcast(mbox, 0, "g", INT_MAX, NULL, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, 8, body, &more),
                 ILLEGAL_SESSION);
    CHECK_NUMBER(FL_receive(mbox, NULL, NULL, -1, NULL, NULL, NULL, NULL, -1, NULL, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_scat_receive(mbox, NULL, NULL, -1, NULL, NULL, NULL, NULL, NULL, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_more_msgs(mbox), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_poll(mbox), ILLEGAL_SESSION);
    CHECK_NUMBER(FL_disconnect(mbox), ILLEGAL_SESSION);
}

static void flush_without_mailbox(void)
{
    mailbox mbox = -77;
    char name[MAX_GROUP_NAME] = "untouched";
    int major = 0;

    CHECK_NUMBER(FL_lib_init(), 0);
    CHECK_NUMBER(FL_lib_init(), ILLEGAL_STATE);
    CHECK_NUMBER(FL_connect(NULL, "me", 0, &mbox, name), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_connect("4803", NULL, 0, &mbox, name), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_connect("4803", "me", 0, NULL, name), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_connect("4803", "me", 0, &mbox, NULL), ILLEGAL_PARAM);
    CHECK_NUMBER(FL_connect("no daemon", "me", 0, &mbox, name), ILLEGAL_SPREAD);
    CHECK(mbox == -77 && strcmp(name, "untouched") == 0);
    FL_version(&major, NULL, NULL);
    FL_version(NULL, NULL, NULL);
    CHECK_NUMBER(major, 2);
    FL_error(ILLEGAL_RECEIVERS);
    FL_error(CONNECTION_CLOSED);
    FL_error(INT_MIN);
}

static void names_without_end(void)
{
    mailbox mbox;
    char group[MAX_GROUP_NAME];

    CHECK_NUMBER(SP_join(-1, unterminated(MAX_GROUP_NAME)), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_leave(-1, unterminated(MAX_GROUP_NAME)), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(-1, SAFE_MESS, unterminated(MAX_GROUP_NAME - 1), 0, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect(unterminated(71), "me", 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_connect("no daemon", unterminated(MAX_PRIVATE_NAME), 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_set_auth_method(unterminated(30), (int (*)(int, void *))NULL, NULL), 0);
}

int main(void)
{
    int closed, ends[2], i;
    mailbox foreign[6];

    memset(&empty, 0, sizeof empty);
    huge = empty;
    huge.num_elements = 1;
    huge.elements[0].buf = (char *)&huge;
    huge.elements[0].len = (size_t)-1;
    closed = dup(0);
    CHECK(pipe(ends) == 0 && close(closed) == 0);
    foreign[0] = -1;
    foreign[1] = INT_MIN;
    foreign[2] = INT_MAX;
    foreign[3] = closed;
    foreign[4] = ends[0];
    foreign[5] = ends[1];
    for (i = 0; i < 6; i++) {
        core_calls(foreign[i]);
        flush_calls(foreign[i]);
    }
    /* What is not ours is still open. */
    CHECK(write(ends[1], "x", 1) == 1 && close(ends[0]) == 0 && close(ends[1]) == 0);
    flush_without_mailbox();
    names_without_end();
    return failures != 0;
}
