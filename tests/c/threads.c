/* Eight threads on one mailbox, then a connection that breaks under the program: whole messages, codes, no signal.
   Argument: the daemon. */

#include <sp.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"

enum { EACH = 4, MESSAGES = 50, LENGTH = 20 };

static mailbox mbox;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static int broken = 0;

static void fail(void)
{
    pthread_mutex_lock(&counting);
    broken++;
    pthread_mutex_unlock(&counting);
}

static int is_whole(const char *body, int length)
{
    int i;

    for (i = 1; i < length && body[i] == body[0]; i++) {
    }
    return length == LENGTH && i == length;
}

static int receive(char *body)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    int num_groups, mismatch;
    int16 mess_type;

    return SP_receive(mbox, &type, sender, 1, &num_groups, groups, &mess_type, &mismatch, LENGTH, body);
}

static void *sender(void *letter)
{
    char body[LENGTH];
    int i;

    memset(body, *(char *)letter, LENGTH);
    for (i = 0; i < MESSAGES; i++) {
        if (SP_multicast(mbox, FIFO_MESS, "g", 0, LENGTH, body) != LENGTH || SP_poll(mbox) < 0) {
            fail();
        }
    }
    return NULL;
}

static void *receiver(void *unused)
{
    char body[LENGTH];
    int i;

    for (i = 0; i < MESSAGES; i++) {
        int length = receive(body);

        if (!is_whole(body, length)) {
            fail();
        }
    }
    return unused;
}

int main(int argc, char **argv)
{
    char private_group[MAX_GROUP_NAME], body[LENGTH] = "", letters[EACH];
    pthread_t threads[2 * EACH];
    int i;

    if (argc < 2) {
        return 2;
    }
    CHECK_NUMBER(SP_connect(argv[1], "me", 0, 1, &mbox, private_group), ACCEPT_SESSION);
    for (i = 0; i < EACH; i++) {
        letters[i] = (char)('a' + i);
        CHECK_NUMBER(pthread_create(&threads[i], NULL, receiver, NULL), 0);
        CHECK_NUMBER(pthread_create(&threads[EACH + i], NULL, sender, &letters[i]), 0);
    }
    for (i = 0; i < 2 * EACH; i++) {
        CHECK_NUMBER(pthread_join(threads[i], NULL), 0);
    }
    CHECK_NUMBER(broken, 0);

    /* From here on a write would raise a signal, if the library let it. */
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK_NUMBER(shutdown(mbox, SHUT_RDWR), 0);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, LENGTH, body), CONNECTION_CLOSED);
    CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, "g", 0, LENGTH, body), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_join(mbox, "g"), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(receive(body), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_poll(mbox), 0);
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    CHECK_NUMBER(SP_disconnect(mbox), ILLEGAL_SESSION);
    return failures != 0;
}
