/* Parent and child of a fork receive from one mailbox in turn: each message comes once, in its order. Argument: the daemon. */

#include <sp.h>

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { MESSAGES = 150, LENGTH = 20, EACH = 25, FRAME = 48 + MAX_GROUP_NAME + LENGTH };

static mailbox mbox;

/* Receives the messages from one number up to another. */
static void receive(int from, int to)
{
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[LENGTH];
    int number, num_groups, mismatch;
    service type = 0;
    int16 kind;

    for (number = from; number < to; number++) {
        CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &num_groups, groups, &kind, &mismatch, LENGTH, body), LENGTH);
        CHECK_NUMBER(kind, number);
    }
    CHECK_NUMBER(SP_poll(mbox), (MESSAGES - to) * FRAME);
}

int main(int argc, char **argv)
{
    char me[MAX_GROUP_NAME], body[LENGTH];
    int number, status;

    if (argc < 2) {
        return 2;
    }
    memset(body, 'x', sizeof body);
    CHECK_NUMBER(SP_connect(argv[1], "me", 0, 0, &mbox, me), ACCEPT_SESSION);
    for (number = 0; number < MESSAGES; number++) {
        CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, (int16)number, LENGTH, body), LENGTH);
    }
    while (SP_poll(mbox) < MESSAGES * FRAME) {
        poll(NULL, 0, 1);
    }
    for (number = 0; number < MESSAGES; number += 2 * EACH) {
        pid_t pid;

        receive(number, number + EACH);
        pid = fork();
        if (pid == 0) {
            receive(number + EACH, number + 2 * EACH);
            _exit(failures != 0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_NUMBER(status, 0);
    }
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    return failures != 0;
}
