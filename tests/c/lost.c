/* Each call on a connection that has broken: the first says so, and the next that it was broken before, or in the Flush layer that
   the mailbox is no more. Argument: the daemon. */

#include <fl.h>

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

enum { PATIENCE = 120, VIEW = 48 };

static const char *address;
static char me[1][MAX_GROUP_NAME], body[100];
static scatter pieces;
static mailbox mbox;

/* What receive calls fill in. */
static service type;
static char sender[MAX_GROUP_NAME], groups[2][MAX_GROUP_NAME];
static int count, wrong;
static int16 kind;

/* Breaks the connection. A sender that shares memory with its daemon has the time to notice. */
static void break_it(void)
{
    CHECK_NUMBER(shutdown(mbox, SHUT_RDWR), 0);
    poll(NULL, 0, 1);
}

static void connect_core(void)
{
    CHECK_NUMBER(SP_connect(address, NULL, 0, 0, &mbox, me[0]), ACCEPT_SESSION);
    break_it();
    type = 0;
}

static void connect_flush(void)
{
    CHECK_NUMBER(FL_connect(address, "", 0, &mbox, me[0]), ACCEPT_SESSION);
    break_it();
    type = 0;
}

/* The connection is a new one; it breaks, and the call is made twice. */
#define LOSE(call) \
    do { \
        connect_core(); \
        CHECK_NUMBER(call, CONNECTION_CLOSED); \
        CHECK_NUMBER(call, NET_ERROR_ON_SESSION); \
        CHECK_NUMBER(SP_poll(mbox), 0); \
        CHECK_NUMBER(SP_disconnect(mbox), 0); \
    } while (0)

/* The same in the Flush layer, and once more where a call of the core was the first to find out. */
#define LOSE_FLUSH(call) \
    do { \
        connect_flush(); \
        CHECK_NUMBER(call, CONNECTION_CLOSED); \
        CHECK_NUMBER(call, ILLEGAL_SESSION); \
        CHECK_NUMBER(fcntl(mbox, F_GETFD), -1); \
        CHECK_NUMBER(SP_poll(mbox), ILLEGAL_SESSION); \
        CHECK_NUMBER(FL_disconnect(mbox), ILLEGAL_SESSION); \
        connect_flush(); \
        CHECK_NUMBER(SP_leave(mbox, "g"), CONNECTION_CLOSED); \
        CHECK_NUMBER(call, NET_ERROR_ON_SESSION); \
        CHECK_NUMBER(FL_poll(mbox), 0); \
        CHECK_NUMBER(FL_disconnect(mbox), 0); \
    } while (0)

static void core(void)
{
    LOSE(SP_join(mbox, "g"));
    LOSE(SP_leave(mbox, "g"));
    LOSE(SP_multicast(mbox, SAFE_MESS, "g", 0, 1, body));
    LOSE(SP_scat_multicast(mbox, SAFE_MESS, "g", 0, &pieces));
    LOSE(SP_multigroup_multicast(mbox, SAFE_MESS, 1, (const char (*)[MAX_GROUP_NAME])me, 0, 1, body));
    LOSE(SP_multigroup_scat_multicast(mbox, SAFE_MESS, 1, (const char (*)[MAX_GROUP_NAME])me, 0, &pieces));
    LOSE(SP_receive(mbox, &type, sender, 2, &count, groups, &kind, &wrong, 100, body));
    LOSE(SP_scat_receive(mbox, &type, sender, 2, &count, groups, &kind, &wrong, &pieces));
}

static void flush(void)
{
    LOSE_FLUSH(FL_join(mbox, "g"));
    LOSE_FLUSH(FL_multicast(mbox, SAFE_MESS, me[0], 0, 1, body));
    LOSE_FLUSH(FL_scat_multicast(mbox, SAFE_MESS, me[0], 0, &pieces));
    LOSE_FLUSH(FL_unicast(mbox, SAFE_MESS, me[0], me[0], 0, 1, body));
    LOSE_FLUSH(FL_scat_unicast(mbox, SAFE_MESS, me[0], me[0], 0, &pieces));
    LOSE_FLUSH(FL_subgroupcast(mbox, SAFE_MESS, me[0], 1, me, 0, 1, body));
    LOSE_FLUSH(FL_scat_subgroupcast(mbox, SAFE_MESS, me[0], 1, me, 0, &pieces));
    LOSE_FLUSH(FL_receive(mbox, &type, sender, 2, &count, groups, &kind, &wrong, 100, body, NULL));
    LOSE_FLUSH(FL_scat_receive(mbox, &type, sender, 2, &count, groups, &kind, &wrong, &pieces, NULL));
}

/* A member whose connection breaks leaves; `before` is whether the core knows of the break. */
static void leave(int before)
{
    CHECK_NUMBER(FL_connect(address, "", 0, &mbox, me[0]), ACCEPT_SESSION);
    CHECK_NUMBER(FL_join(mbox, "g"), 0);
    type = 0;
    CHECK_NUMBER(FL_receive(mbox, &type, sender, 2, &count, groups, &kind, &wrong, 100, body, NULL), VIEW);
    break_it();
    if (before) {
        CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, 1, body), CONNECTION_CLOSED);
    }
    CHECK_NUMBER(FL_leave(mbox, "g"), before ? NET_ERROR_ON_SESSION : CONNECTION_CLOSED);
    CHECK_NUMBER(FL_disconnect(mbox), before ? 0 : ILLEGAL_SESSION);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    address = argv[1];
    alarm(PATIENCE);
    pieces.num_elements = 1;
    pieces.elements[0].buf = body;
    pieces.elements[0].len = 1;
    core();
    flush();
    leave(0);
    leave(1);
    return failures != 0;
}
