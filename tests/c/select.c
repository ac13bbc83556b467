/* A mailbox is what the system's own select takes: a socket on Windows, a descriptor elsewhere. It is readable exactly while a message
   waits, and after its daemon closed it. Argument: the daemon. */

#ifdef _WIN32
#include <winsock2.h>
#else
#include <sys/select.h>
#include <sys/socket.h>
#endif

#include <sp.h>

#include <string.h>

#include "check.h"

enum { AT_ONCE = 0, PATIENCE = 60 };

static mailbox mbox;
static char me[MAX_GROUP_NAME];

/* Whether it becomes readable within so many seconds. */
static int is_readable(int seconds)
{
    fd_set wanted;
    struct timeval limit;

    FD_ZERO(&wanted);
#ifdef _WIN32
    FD_SET((SOCKET)mbox, &wanted);
#else
    FD_SET(mbox, &wanted);
#endif
    limit.tv_sec = seconds;
    limit.tv_usec = 0;
    return select(mbox + 1, &wanted, NULL, NULL, &limit) == 1;
}

static int receive(char *body, int size)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int num_groups, mismatch;
    int16 kind;

    return SP_receive(mbox, &type, sender, 1, &num_groups, groups, &kind, &mismatch, size, body);
}

int main(int argc, char **argv)
{
    char body[5];
    int i;

    if (argc != 2) return 2;
    CHECK_NUMBER(SP_connect(argv[1], "", 0, 0, &mbox, me), ACCEPT_SESSION);
    CHECK(!is_readable(AT_ONCE));
    for (i = 0; i < 100; i++) {
        CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 0, 5, "hello"), 5);
        CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 0, 5, "again"), 5);
        CHECK(is_readable(PATIENCE));
        CHECK_NUMBER(receive(body, 5), 5);
        CHECK(memcmp(body, "hello", 5) == 0 && is_readable(PATIENCE));
        CHECK(SP_poll(mbox) > 0);
        CHECK_NUMBER(receive(body, 5), 5);
        CHECK(memcmp(body, "again", 5) == 0 && !is_readable(AT_ONCE));
        CHECK_NUMBER(SP_poll(mbox), 0);
    }
    CHECK_NUMBER(shutdown(mbox, 2), 0);
    CHECK(is_readable(PATIENCE));
    CHECK_NUMBER(receive(body, 5), CONNECTION_CLOSED);
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    return failures != 0;
}
