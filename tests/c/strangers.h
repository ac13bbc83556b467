/* Every call with a mailbox that is none, and often other nonsense beside it: the code for no mailbox, or what comes first. For
   the core, -1 counts as a mailbox that is closed already; the Flush layer has never known it. */

#ifndef STRANGERS_H
#define STRANGERS_H

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

static void prepare_scatters(void)
{
    memset(&empty, 0, sizeof empty);
    huge = empty;
    huge.num_elements = 1;
    huge.elements[0].buf = (char *)&huge;
    huge.elements[0].len = (size_t)-1;
}

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
    int none = mbox == -1 ? NET_ERROR_ON_SESSION : ILLEGAL_SESSION;

    CHECK_NUMBER(SP_join(mbox, "g"), none);
    CHECK_NUMBER(SP_leave(mbox, "g"), none);
    CHECK_NUMBER(SP_leave(mbox, NULL), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, 1, body), none);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, INT_MIN, body), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &empty), none);
    CHECK_NUMBER(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &huge), ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, 1, to, 0, 1, body), none);
    CHECK_NUMBER(SP_multigroup_multicast(mbox, SAFE_MESS, INT_MAX, to, 0, 1, body), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, to, 0, &empty), none);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, SAFE_MESS, INT_MIN, to, 0, &empty), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, 8, body), none);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, -1, &count, groups, &mess_type, &mismatch, 8, body), none);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, &empty), none);
    CHECK_NUMBER(SP_scat_receive(mbox, &type, sender, 1, &count, groups, &mess_type, &mismatch, &huge),
                 ILLEGAL_MESSAGE);
    CHECK_NUMBER(SP_poll(mbox), none);
    CHECK_NUMBER(SP_disconnect(mbox), mbox == -1 ? 0 : ILLEGAL_SESSION);
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

#endif
