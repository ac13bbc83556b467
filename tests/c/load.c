/* Receives many small messages that wait already, as a program under load does. Arguments: the daemon, how many messages, and how
   many times. Between the rounds it looks at the descriptor, which must tell the truth. */

#include <sp.h>

#include <poll.h>
#include <string.h>

#include "check.h"

enum { LENGTH = 100 };

static int is_readable(mailbox mbox)
{
    struct pollfd watched;

    watched.fd = mbox;
    watched.events = POLLIN;
    return poll(&watched, 1, 0) == 1;
}

int main(int argc, char **argv)
{
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[LENGTH], me[MAX_GROUP_NAME];
    int count, rounds, number, round, num_groups, mismatch;
    service type;
    int16 kind;
    mailbox out, in;

    if (argc < 4) {
        return 2;
    }
    count = atoi(argv[2]);
    rounds = atoi(argv[3]);
    memset(body, 'x', sizeof body);
    CHECK_NUMBER(SP_connect(argv[1], "out", 0, 0, &out, me), ACCEPT_SESSION);
    CHECK_NUMBER(SP_connect(argv[1], "in", 0, 0, &in, me), ACCEPT_SESSION);
    for (round = 0; round < rounds; round++) {
        int waiting = count * (48 + MAX_GROUP_NAME + LENGTH);

        for (number = 0; number < count; number++) {
            CHECK(SP_multicast(out, AGREED_MESS, me, (int16)number, LENGTH, body) == LENGTH);
        }
        while (SP_poll(in) < waiting) {
            poll(NULL, 0, 1);
        }
        for (number = 0; number < count; number++) {
            if (number % (count / 4) == 0) {
                CHECK(is_readable(in));
                CHECK_NUMBER(SP_poll(in), waiting - number * (48 + MAX_GROUP_NAME + LENGTH));
            }
            type = 0;
            CHECK(SP_receive(in, &type, sender, 1, &num_groups, groups, &kind, &mismatch, LENGTH, body) == LENGTH);
            CHECK(kind == number && strcmp(groups[0], me) == 0);
        }
        CHECK_NUMBER(SP_poll(in), 0);
        CHECK(!is_readable(in));
    }
    CHECK_NUMBER(SP_disconnect(in), 0);
    CHECK_NUMBER(SP_disconnect(out), 0);
    return failures != 0;
}
