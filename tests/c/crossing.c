/* Seven threads send messages of all sizes through one mailbox, an eighth receives them: each sender's come once and in order. Then
   the process forks: parent and child go on with the same mailbox. Argument: the daemon. */

#include <sp.h>

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { SENDERS = 7, EACH = 200, ON_THE_WAY = 100, LARGEST = 40000, ALONE = 50 };

static mailbox mbox;
static char me[MAX_GROUP_NAME];
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t counted = PTHREAD_COND_INITIALIZER;
static int sent = 0, received = 0, broken = 0;

/* Sizes of every kind: next to nothing, most often small, large now and then. */
static int length_of(int sender, int number)
{
    int size = (number * 7919 + sender * 104729) % LARGEST;

    return number % 11 == 0 ? size : size % 700;
}

static void count(int *what, int how_many)
{
    pthread_mutex_lock(&counting);
    *what += how_many;
    pthread_cond_broadcast(&counted);
    pthread_mutex_unlock(&counting);
}

static int send_one(int sender, int number, char *body)
{
    int length = length_of(sender, number);

    memset(body, 'a' + (sender + number) % 20, (size_t)length);
    return SP_multicast(mbox, FIFO_MESS, me, (int16)(sender * 1000 + number), length, body) == length;
}

static void *sender(void *which)
{
    int number, own = *(int *)which;
    char *body = malloc(LARGEST);

    for (number = 0; body != NULL && number < EACH; number++) {
        pthread_mutex_lock(&counting);
        while (sent - received >= ON_THE_WAY) {
            pthread_cond_wait(&counted, &counting);
        }
        sent++;
        pthread_mutex_unlock(&counting);
        if (!send_one(own, number, body)) {
            count(&broken, 1);
        }
    }
    free(body);
    return NULL;
}

static void receive(int messages, int *next)
{
    char from[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME];
    char *body = malloc(LARGEST);
    int num_groups, mismatch, length, i, own;
    int16 kind;
    service type;

    for (; body != NULL && messages > 0; messages--) {
        type = 0;
        length = SP_receive(mbox, &type, from, 1, &num_groups, groups, &kind, &mismatch, LARGEST, body);
        own = kind / 1000;
        if (length < 0 || own >= SENDERS || kind % 1000 != next[own] || length != length_of(own, next[own])) {
            count(&broken, 1);
            break;
        }
        for (i = 0; i < length && body[i] == 'a' + (own + next[own]) % 20; i++) {
        }
        if (i < length) {
            count(&broken, 1);
        }
        next[own]++;
        count(&received, 1);
    }
    free(body);
}

static void *receiver(void *next)
{
    receive(SENDERS * EACH, (int *)next);
    return NULL;
}

static void cross(void)
{
    pthread_t threads[SENDERS + 1];
    int numbers[SENDERS], next[SENDERS], i;

    memset(next, 0, sizeof next);
    CHECK_NUMBER(pthread_create(&threads[SENDERS], NULL, receiver, next), 0);
    for (i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        CHECK_NUMBER(pthread_create(&threads[i], NULL, sender, &numbers[i]), 0);
    }
    for (i = 0; i <= SENDERS; i++) {
        CHECK_NUMBER(pthread_join(threads[i], NULL), 0);
    }
    for (i = 0; i < SENDERS; i++) {
        CHECK_NUMBER(next[i], EACH);
    }
    CHECK_NUMBER(broken, 0);
}

static int send_alone(int sender)
{
    char *body = malloc(LARGEST);
    int number, sent_alone = 0;

    for (number = 0; body != NULL && number < ALONE; number++) {
        sent_alone += send_one(sender, number, body);
    }
    free(body);
    return sent_alone;
}

static void part(void)
{
    int next[SENDERS], status = -1;
    pid_t pid;

    memset(next, 0, sizeof next);
    CHECK_NUMBER(send_alone(0), ALONE);
    pid = fork();
    if (pid == 0) {
        _exit(send_alone(1) != ALONE);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_NUMBER(status, 0);
    CHECK_NUMBER(send_alone(2), ALONE);
    receive(3 * ALONE, next);
    CHECK_NUMBER(next[0], ALONE);
    CHECK_NUMBER(next[1], ALONE);
    CHECK_NUMBER(next[2], ALONE);
    CHECK_NUMBER(broken, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    CHECK_NUMBER(SP_connect(argv[1], "crossing", 0, 0, &mbox, me), ACCEPT_SESSION);
    if (failures == 0) {
        cross();
        part();
    }
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    return failures != 0;
}
