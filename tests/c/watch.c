/* A mailbox is one descriptor, and programs do with it what they do with descriptors: watch a duplicate of it, or itself with epoll; keep it
   where select cannot see it any more; set O_NONBLOCK and FD_CLOEXEC; give it to the event loop. It is readable exactly while a message waits. Argument: the daemon. */

#include <sp.h>
#include <sp_events.h>

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "check.h"

enum { ROUNDS = 60, PATIENCE = 60000, HIGH = 2000 };

static mailbox mbox;
static char me[MAX_GROUP_NAME];
static int watcher, copy;

/* The descriptor sets of programs that have many descriptors: select takes any size. */
static int select_finds(int limit_ms)
{
    static fd_set sets[HIGH / FD_SETSIZE + 2];
    struct timeval limit;

    memset(sets, 0, sizeof sets);
    ((unsigned long *)sets)[mbox / (8 * sizeof(long))] |= 1UL << mbox % (8 * sizeof(long));
    limit.tv_sec = limit_ms / 1000;
    limit.tv_usec = 0;
    return select(mbox + 1, sets, NULL, NULL, &limit) == 1;
}

static int poll_finds(int descriptor, int limit_ms)
{
    struct pollfd watched;

    watched.fd = descriptor;
    watched.events = POLLIN;
    return poll(&watched, 1, limit_ms) == 1 && (watched.revents & POLLIN);
}

/* Whether everybody who watches says the same. */
static int finds(int expected, int limit_ms)
{
    struct epoll_event event;
    int wait = expected ? limit_ms : 0;

    return poll_finds(mbox, wait) == expected && poll_finds(copy, wait) == expected && select_finds(wait) == expected
        && epoll_wait(watcher, &event, 1, wait) == expected;
}

static void receive(int number)
{
    char sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[5];
    int num_groups, mismatch;
    service type = 0;
    int16 kind;

    CHECK_NUMBER(SP_receive(mbox, &type, sender, 1, &num_groups, groups, &kind, &mismatch, 5, body), 5);
    CHECK_NUMBER(kind, number);
}

static void play(void)
{
    struct epoll_event event;
    int round;

    memset(&event, 0, sizeof event);
    watcher = epoll_create1(0);
    event.events = EPOLLIN;
    CHECK_NUMBER(epoll_ctl(watcher, EPOLL_CTL_ADD, mbox, &event), 0);
    copy = dup(mbox);
    CHECK(copy >= 0 && finds(0, 0));
    for (round = 0; round < ROUNDS; round++) {
        int bytes;

        CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, 0, 5, "first"), 5);
        CHECK(finds(1, PATIENCE));
        CHECK_NUMBER(SP_multicast(mbox, SAFE_MESS, me, 1, 5, "other"), 5);
        bytes = SP_poll(mbox);
        while (SP_poll(mbox) < 2 * (48 + MAX_GROUP_NAME + 5)) {
            poll(NULL, 0, 1);
        }
        CHECK(bytes > 0);
        receive(0);
        CHECK(finds(1, 0));
        receive(1);
        CHECK(finds(0, 0));
    }
    CHECK_NUMBER(close(copy), 0);
    CHECK_NUMBER(close(watcher), 0);
}

/* The event loop calls for each message, one at a time, and no more often. */
static void on_message(int descriptor, int code, void *calls)
{
    CHECK(descriptor == mbox && code == 7);
    receive((*(int *)calls)++);
    if (*(int *)calls == ROUNDS) {
        CHECK(!poll_finds(mbox, 0));
        E_exit_events();
    }
}

static void play_events(void)
{
    int calls = 0, number;

    CHECK_NUMBER(E_init(), 0);
    CHECK_NUMBER(E_attach_fd(mbox, READ_FD, on_message, 7, &calls, LOW_PRIORITY), 0);
    for (number = 0; number < ROUNDS; number++) {
        CHECK_NUMBER(SP_multicast(mbox, AGREED_MESS, me, (int16)number, 5, "event"), 5);
    }
    E_handle_events();
    CHECK_NUMBER(calls, ROUNDS);
    CHECK_NUMBER(E_detach_fd(mbox, READ_FD), 0);
}

/* Takes all descriptors below this one. */
static void take_descriptors(int end)
{
    struct rlimit limit;
    int descriptor;

    CHECK_NUMBER(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < HIGH + 100) {
        limit.rlim_cur = HIGH + 100;
        CHECK_NUMBER(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    do {
        descriptor = dup(0);
    } while (descriptor >= 0 && descriptor < end);
    CHECK_NUMBER(descriptor, end);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    CHECK_NUMBER(SP_connect(argv[1], "low", 0, 0, &mbox, me), ACCEPT_SESSION);
    CHECK_NUMBER(fcntl(mbox, F_GETFD), FD_CLOEXEC);
    play();
    CHECK_NUMBER(fcntl(mbox, F_SETFL, fcntl(mbox, F_GETFL) | O_NONBLOCK), 0);
    CHECK_NUMBER(fcntl(mbox, F_SETFD, 0), 0);
    play();
    play_events();
    CHECK_NUMBER(SP_disconnect(mbox), 0);

    take_descriptors(HIGH);
    CHECK_NUMBER(SP_connect(argv[1], "high", 0, 0, &mbox, me), ACCEPT_SESSION);
    CHECK(mbox > HIGH);
    play();
    CHECK_NUMBER(SP_disconnect(mbox), 0);
    return failures != 0;
}
