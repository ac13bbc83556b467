/* Descriptors that are used again, receivers whose mailbox is disconnected, and what a process finds unchanged afterwards.
   Argument: the daemon. */

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <fl.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

enum { PATIENCE = 120, ROUNDS = 50, SIGNALS = 65, LENGTH = 3 };

static const char *address;

static mailbox connect_as(const char *name, char *private_group)
{
    mailbox mbox = -1;
    const sp_time limit = {60, 0};

    CHECK_NUMBER(SP_connect_timeout(address, name, 0, 0, &mbox, private_group, limit), ACCEPT_SESSION);
    return mbox;
}

static int receive(mailbox mbox, char *body)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int num_groups, mismatch;
    int16 mess_type;

    return (int)checked("SP_receive(",
                        SP_receive(mbox, &type, sender, 1, &num_groups, groups, &mess_type, &mismatch, LENGTH, body));
}

static void *receiver(void *argument)
{
    mailbox *mbox = (mailbox *)argument;
    char body[LENGTH];

    *mbox = receive(*mbox, body);
    return NULL;
}

/* A message to the session's private group comes back to it. */
static void check_works(mailbox mbox, const char *private_group)
{
    char body[LENGTH];

    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, private_group, 0, LENGTH, "new"), LENGTH);
    CHECK_NUMBER(receive(mbox, body), LENGTH);
    CHECK(memcmp(body, "new", LENGTH) == 0);
}

/* A thread receives while its mailbox is disconnected and another one opened: it never gets the new session's message. */
static void disconnect_under_a_receiver(void)
{
    char group[MAX_GROUP_NAME];
    mailbox old = connect_as(NULL, group), result = old, next;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, receiver, &result) == 0);
    CHECK_NUMBER(SP_disconnect(old), 0);
    next = connect_as(NULL, group);
    /* The receiver may come only now, when the number is another session's; then it would wait for its message. */
    if (next != old) {
        check_works(next, group);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(result == CONNECTION_CLOSED || result == ILLEGAL_SESSION);
        CHECK_NUMBER(SP_disconnect(next), 0);
    } else {
        CHECK_NUMBER(SP_disconnect(next), 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(result == CONNECTION_CLOSED || result == ILLEGAL_SESSION);
    }
}

/* A program closes the descriptor itself, and the system gives its number to the next session. */
static void close_under_the_library(void)
{
    char group[MAX_GROUP_NAME];
    mailbox old = connect_as("old", group), next;

    CHECK_NUMBER(close(old), 0);
    CHECK_NUMBER(SP_multicast(old, SAFE_MESS, "g", 0, LENGTH, "old"), CONNECTION_CLOSED);
    next = connect_as("next", group);
    CHECK_NUMBER(next, old);
    CHECK(strncmp(group, "#next#", 6) == 0);
    check_works(next, group);
    CHECK_NUMBER(SP_disconnect(next), 0);
    CHECK_NUMBER(SP_disconnect(next), ILLEGAL_SESSION);

    CHECK_NUMBER(FL_connect(address, "layered", 0, &old, group), ACCEPT_SESSION);
    CHECK_NUMBER(FL_join(old, "g"), 0);
    CHECK_NUMBER(close(old), 0);
    next = connect_as("plain", group);
    CHECK_NUMBER(next, old);
    CHECK_NUMBER(FL_poll(next), ILLEGAL_SESSION);
    check_works(next, group);
    SP_kill(next);
    CHECK_NUMBER(SP_poll(next), ILLEGAL_SESSION);
}

/* The handlers and the mask of the process: nothing changes but SIGPIPE, which is ignored from the first connect on. */
static void look_at_signals(struct sigaction *handlers, sigset_t *mask)
{
    int number;

    memset(handlers, 0, SIGNALS * sizeof *handlers);
    for (number = 1; number < SIGNALS; number++) {
        sigaction(number, NULL, &handlers[number]);
    }
    sigemptyset(mask);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, mask) == 0);
}

static void check_signals(const struct sigaction *before, const sigset_t *mask_before)
{
    static struct sigaction after[SIGNALS];
    sigset_t mask;
    int number;

    look_at_signals(after, &mask);
    for (number = 1; number < SIGNALS; number++) {
        if (number == SIGPIPE) {
            CHECK(before[number].sa_handler == SIG_DFL && after[number].sa_handler == SIG_IGN);
        } else {
            CHECK(before[number].sa_handler == after[number].sa_handler && before[number].sa_flags == after[number].sa_flags);
        }
        CHECK(sigismember(mask_before, number) == sigismember(&mask, number));
    }
}

int main(int argc, char **argv)
{
    static struct sigaction handlers[SIGNALS];
    sigset_t mask;
    int i;

    if (argc < 2) {
        return 2;
    }
    address = argv[1];
    signal(SIGPIPE, SIG_DFL);
    alarm(PATIENCE);
    look_at_signals(handlers, &mask);
    for (i = 0; i < ROUNDS; i++) {
        disconnect_under_a_receiver();
    }
    close_under_the_library();
    check_signals(handlers, &mask);
    return failures != 0;
}
