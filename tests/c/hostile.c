/* Every call with mailboxes that are none, and calls without one with NULL and names that do not end: a code, never a crash.
   Names end at the edge of mapped memory, so a byte too many is fatal. */

#include "strangers.h"

static void flush_without_mailbox(void)
{
    mailbox mbox = -77;
    char name[MAX_GROUP_NAME] = "untouched";
    int major = 0, code;

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
    /* The codes that are not of the Flush layer. */
    for (code = NET_ERROR_ON_SESSION; code <= 1; code++) {
        SP_error(code);
        FL_error(code);
    }
}

static void names_without_end(void)
{
    mailbox mbox;
    char group[MAX_GROUP_NAME];

    CHECK_NUMBER(SP_join(-1, unterminated(MAX_GROUP_NAME)), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_leave(-1, unterminated(MAX_GROUP_NAME)), ILLEGAL_GROUP);
    CHECK_NUMBER(SP_multicast(-1, SAFE_MESS, unterminated(MAX_GROUP_NAME - 1), 0, 0, NULL),
                 NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_multicast(-2, SAFE_MESS, unterminated(MAX_GROUP_NAME - 1), 0, 0, NULL), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect(unterminated(71), "me", 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_connect("no daemon", unterminated(MAX_PRIVATE_NAME), 0, 1, &mbox, group), ILLEGAL_SPREAD);
    CHECK_NUMBER(SP_set_auth_method(unterminated(30), (int (*)(int, void *))NULL, NULL), 0);
}

int main(void)
{
    int closed, ends[2], i;
    mailbox foreign[6];

    prepare_scatters();
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
