/* Messages around the limits of a classic library and of the daemon. Arguments: where the daemon is, the most bytes of body and
   group names that it takes in one message, 32 for each name. Where may be "inside": in this program, at FREE_PORT. */

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <fl.h>
#include <torc.h>

#include <fcntl.h>
#include <string.h>

#include "check.h"

enum { CLASSIC = 143152, ONE_GROUP = 32, SAMPLE = 4099 };

static mailbox mbox;
static char me[MAX_GROUP_NAME];
static char *sent, *got;

/* A message of so many bytes to oneself arrives as it was. */
static void arrives(int length)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int count = 0, mismatch = 0, i;
    int16 kind = 0;

    for (i = 0; i < length; i += SAMPLE) {
        sent[i] = (char)(i % 251 + length % 3);
    }
    CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 7, length, sent), length);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &count, groups, &kind, &mismatch, length, got), length);
    CHECK(strcmp(sender, me) == 0 && kind == 7 && memcmp(sent, got, (size_t)length) == 0);
}

static void scattered(int length)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[2][MAX_GROUP_NAME], to[2][MAX_GROUP_NAME];
    int count = 0, mismatch = 0;
    int16 kind = 0;
    scatter scat;

    memset(to, 0, sizeof to);
    strcpy(to[0], me);
    strcpy(to[1], "nobody");
    scat.num_elements = 2;
    scat.elements[0].buf = sent;
    scat.elements[0].len = 1;
    scat.elements[1].buf = sent + 1;
    scat.elements[1].len = (size_t)length;
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, AGREED_MESS, 2, (const char (*)[MAX_GROUP_NAME])to, 7, &scat),
                 MESSAGE_TOO_LONG);
    scat.elements[1].len = (size_t)(length - 1);
    CHECK_NUMBER(SP_multigroup_scat_multicast(mbox, AGREED_MESS, 2, (const char (*)[MAX_GROUP_NAME])to, 7, &scat), length);
    CHECK_NUMBER(SP_receive(mbox, &type, sender, 2, &count, groups, &kind, &mismatch, length, got), length);
    CHECK(memcmp(sent, got, (size_t)length) == 0);
}

static void run(const char *address, int limit)
{
    CHECK_NUMBER(SP_connect(address, "me", 0, 0, &mbox, me), ACCEPT_SESSION);
#ifndef _WIN32
    CHECK((fcntl(mbox, F_GETFD) & FD_CLOEXEC) != 0);
#endif
    arrives(100);
    arrives(CLASSIC - ONE_GROUP);
    if (limit > CLASSIC) {
        arrives(CLASSIC - ONE_GROUP + 1);
        arrives(limit / 2);
        arrives(limit - ONE_GROUP);
    }
    CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 0, limit - ONE_GROUP + 1, sent), MESSAGE_TOO_LONG);
    CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 0, 0x7fffffff, sent), MESSAGE_TOO_LONG);
    scattered(limit - 2 * ONE_GROUP);
    CHECK_NUMBER(torc_message_limit(mbox), limit);
    /* What was refused has done no harm. */
    arrives(3);
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    CHECK_NUMBER(torc_message_limit(mbox), ILLEGAL_SESSION);
}

/* The Flush layer has the same limit. */
static void run_flush(const char *address, int limit)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int count = 0, mismatch = 0, length = limit - ONE_GROUP;
    int16 kind = 0;

    CHECK_NUMBER(FL_connect(address, "me", 0, &mbox, me), ACCEPT_SESSION);
    CHECK_NUMBER(FL_multicast(mbox, AGREED_MESS, me, 7, length + 1, sent), MESSAGE_TOO_LONG);
    memset(sent, 'f', (size_t)length);
    CHECK_NUMBER(FL_multicast(mbox, AGREED_MESS, me, 7, length, sent), length);
    CHECK_NUMBER(FL_receive(mbox, &type, sender, 1, &count, groups, &kind, &mismatch, length, got, NULL), length);
    CHECK(strcmp(sender, me) == 0 && kind == 7 && memcmp(sent, got, (size_t)length) == 0);
    CHECK_NUMBER(FL_disconnect(mbox), 0);
}

static void inside(int limit)
{
    static const char text[] = "Spread_Segment unicast:%d { localhost 127.0.0.1 { D 127.0.0.1 C 127.0.0.1 } }\n"
                               "MaxMessageSize = %d\n";
    char configuration[200], address[40];
    torc_daemon *daemon;
    int port = atoi(getenv("FREE_PORT"));

    sprintf(configuration, text, port, limit);
    sprintf(address, "%d", port);
    CHECK_NUMBER(torc_start(configuration, NULL, &daemon), TORC_OK);
    run(address, limit);
    run_flush(address, limit);
    CHECK_NUMBER(torc_stop(daemon), TORC_OK);
}

int main(int argc, char **argv)
{
    int limit;

    if (argc < 3) {
        return 2;
    }
    limit = atoi(argv[2]);
    sent = (char *)calloc(1, (size_t)limit);
    got = (char *)calloc(1, (size_t)limit);
    if (strcmp(argv[1], "inside") == 0) {
        inside(limit);
    } else {
        run(argv[1], limit);
        run_flush(argv[1], limit);
    }
    free(sent);
    free(got);
    return failures != 0;
}
