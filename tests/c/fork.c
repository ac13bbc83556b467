/* A process forks while a thread of it waits for a message. The child gives the mailbox up; the parent goes on.
   Arguments: the daemon, and any second one for a mailbox with the Flush layer. */

#include <fl.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static mailbox mbox;
static int flushing;

static int receive(service type, char *body, int length)
{
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int num_groups, mismatch;
    int16 mess_type;

    if (flushing) {
        return FL_receive(mbox, &type, sender, 1, &num_groups, groups, &mess_type, &mismatch, length, body, NULL);
    }
    return SP_receive(mbox, &type, sender, 1, &num_groups, groups, &mess_type, &mismatch, length, body);
}

static void *receiver(void *body)
{
    int length = receive(0, (char *)body, 100);

    CHECK_NUMBER(length, 5);
    return NULL;
}

/* Makes the daemon send a message, and waits until the receiver has got it. */
static void release(pthread_t thread, const char *body)
{
    CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, "parent", 0, 2, "go"), 2);
    CHECK_NUMBER(pthread_join(thread, NULL), 0);
    CHECK(memcmp(body, "hello", 5) == 0);
}

static int child(void)
{
    mailbox another;
    char private_group[MAX_GROUP_NAME];

    if (flushing) {
        CHECK_NUMBER(FL_more_msgs(mbox), 0);
        CHECK_NUMBER(receive(DONT_BLOCK, private_group, 0), WOULD_BLOCK);
    }
    SP_kill(mbox);
    CHECK_NUMBER(FL_poll(mbox), ILLEGAL_SESSION);
    CHECK_NUMBER(fcntl(mbox, F_GETFD), -1);
    CHECK_NUMBER(SP_disconnect(mbox), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_connect("no daemon", "me", 0, 0, &another, private_group), ILLEGAL_SPREAD);
    return failures;
}

int main(int argc, char **argv)
{
    char private_group[MAX_GROUP_NAME], body[100] = "";
    pthread_t thread;
    pid_t pid;
    int status = -1, i;

    if (argc < 2) {
        return 2;
    }
    flushing = argc > 2;
    if (flushing) {
        CHECK_NUMBER(FL_connect(argv[1], "me", 0, &mbox, private_group), ACCEPT_SESSION);
    } else {
        CHECK_NUMBER(SP_connect(argv[1], "me", 0, 1, &mbox, private_group), ACCEPT_SESSION);
    }
    CHECK_NUMBER(pthread_create(&thread, NULL, receiver, body), 0);
    /* Several times, so that the thread is inside its call at least once. */
    for (i = 0; i < 5; i++) {
        pid = fork();
        if (pid == 0) {
            _exit(child());
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK_NUMBER(status, 0);
    }
    release(thread, body);
    CHECK_NUMBER(flushing ? FL_disconnect(mbox) : SP_disconnect(mbox), 0);
    return failures != 0;
}
