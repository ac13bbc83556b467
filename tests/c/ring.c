/*
 * ring ADDRESS NAME GROUP MEMBERS COUNT SIZE STAGES
 *
 * One of MEMBERS equal processes that all join GROUP, each multicast COUNT agreed messages of SIZE bytes, and write down what
 * they are delivered. Standard output is that sequence, one line a delivery, from the first view with all MEMBERS on:
 *
 *     #a#alpha 17             message 17 of that sender
 *     #a#alpha end            it has sent all
 *     = transition
 *     = network 2 2 #a#alpha  a view: its cause, the number of its members, the number that came along, and who they are
 *
 * The count is cut into STAGES. Standard error says "stage N" when N of them are sent. The first stage needs no leave; each byte
 * on standard input allows one more, its end allows all. So a test can break something after one stage and before another.
 *
 * It ends when every member has said its end or is gone: 0 if each sender's messages came in order, without gap or copy,
 * 1 if not, 2 if it could not begin, 3 if the daemon closed the connection.
 */
#if !defined(_POSIX_C_SOURCE) && !defined(__cplusplus)
#define _POSIX_C_SOURCE 200809L
#endif

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sp.h"

#define MEMBER_LIMIT 8
#define SIZE_LIMIT 100000
#define WINDOW 64           /* how far a sender may be ahead of what it got from the slowest member */
#ifndef PATIENCE
#define PATIENCE 60         /* seconds until the process gives up, whatever it waits for */
#endif
#ifndef MISMATCH
#define MISMATCH 0          /* 1 where machines of the other byte order take part */
#endif
#define CONNECT_TRIES 400   /* with CONNECT_PAUSE between them */
#define CONNECT_PAUSE 50    /* milliseconds */

enum { DATA = 1, END = 2 };
enum { PASSED = 0, WRONG = 1, UNUSABLE = 2, CLOSED = 3 };

struct member {
    char name[MAX_GROUP_NAME];
    int received;
    int ended;
};

static mailbox mbox;
static char self[MAX_GROUP_NAME];
static const char *group;
static int count, size, stages, expected_members;

static struct member members[MEMBER_LIMIT];
static int num_members;     /* 0 until the full view */

static int sent, allowed = 1, end_sent;
static char body[SIZE_LIMIT];

static void fail(const char *what, const char *who, int have, int want)
{
    fprintf(stderr, "wrong: %s, %s: have %d, want %d\n", what, who, have, want);
    exit(WRONG);
}

/* Checks the result of a call; a lost daemon has its own exit code. */
static int must(const char *call, int result)
{
    if (result == CONNECTION_CLOSED || result == NET_ERROR_ON_SESSION) {
        fprintf(stderr, "closed: %s\n", call);
        exit(CLOSED);
    }
    if (result < 0)
        fail("result", call, result, 0);
    return result;
}

static void connect_to(const char *address, const char *name)
{
    const struct timespec pause = {0, CONNECT_PAUSE * 1000000L};
    sp_time limit;
    int i, result = 0;

    limit.sec = 5;
    limit.usec = 0;
    for (i = 0; i < CONNECT_TRIES; i++) {
        result = SP_connect_timeout(address, name, LOW_PRIORITY, 1, &mbox, self, limit);
        if (result == ACCEPT_SESSION)
            return;
        nanosleep(&pause, NULL);
    }
    SP_error(result);
    fprintf(stderr, "not connected to %s: %d\n", address, result);
    exit(UNUSABLE);
}

static struct member *find(const char *name)
{
    int i;
    for (i = 0; i < num_members; i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    return NULL;
}

static int is_listed(const char *name, char (*names)[MAX_GROUP_NAME], int num_names)
{
    int i;
    for (i = 0; i < num_names; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

/* The lowest number of messages that any member is known to have sent, as seen here. */
static int slowest(void)
{
    int i, least = count;
    for (i = 0; i < num_members; i++)
        if (!members[i].ended && members[i].received < least)
            least = members[i].received;
    return least;
}

static int stage_end(int stage)
{
    return stage >= stages ? count : count / stages * stage;
}

static int may_send(void)
{
    return num_members > 0 && !end_sent && sent < stage_end(allowed) && sent < slowest() + WINDOW;
}

static void send_one(void)
{
    int stage;

    memset(body, 'a' + sent % 26, (size_t)size);
    sprintf(body, "%d", sent);
    if (must("SP_multicast", SP_multicast(mbox, AGREED_MESS, group, DATA, size, body)) != size)
        fail("length sent", self, sent, size);
    sent++;
    for (stage = 1; stage < stages; stage++)
        if (sent == stage_end(stage))
            fprintf(stderr, "stage %d\n", stage);
}

static void send_end(void)
{
    must("SP_multicast", SP_multicast(mbox, AGREED_MESS, group, END, 0, NULL));
    end_sent = 1;
    fprintf(stderr, "stage %d\n", stages);
}

static void on_message(const char *sender, int kind, int length)
{
    struct member *from = find(sender);

    if (from == NULL) {
        fail("message of no member", sender, kind, DATA);
    } else if (kind == END) {
        if (from->ended || from->received != count)
            fail("messages before the end", sender, from->received, count);
        from->ended = 1;
        printf("%s end\n", sender);
    } else {
        if (kind != DATA || from->ended)
            fail("message after the end", sender, kind, DATA);
        if (length != size)
            fail("length", sender, length, size);
        if (atoi(body) != from->received)
            fail("number", sender, atoi(body), from->received);
        if (body[size - 1] != 'a' + from->received % 26)
            fail("last byte", sender, body[size - 1], 'a' + from->received % 26);
        printf("%s %d\n", sender, from->received);
        from->received++;
    }
}

static const char *cause(service type)
{
    if (Is_caused_join_mess(type))
        return "join";
    if (Is_caused_leave_mess(type))
        return "leave";
    if (Is_caused_disconnect_mess(type))
        return "disconnect";
    return Is_caused_network_mess(type) ? "network" : "unknown";
}

/* Prints who came along with this process from the last view. For a join and the like that is the one who changed. */
static void print_own_set(service type)
{
    membership_info info;
    vs_set_info sets[MEMBER_LIMIT];
    char names[MEMBER_LIMIT][MAX_GROUP_NAME];
    unsigned int own = 0;
    int i, num_names;

    must("SP_get_memb_info", SP_get_memb_info(body, type, &info));
    must("SP_get_vs_sets_info", SP_get_vs_sets_info(body, sets, MEMBER_LIMIT, &own));
    if (own >= info.num_vs_sets || info.my_vs_set.num_members != sets[own].num_members)
        fail("own set", self, (int)own, (int)info.num_vs_sets);
    num_names = must("SP_get_vs_set_members", SP_get_vs_set_members(body, &info.my_vs_set, names, MEMBER_LIMIT));
    printf(" %d", num_names);
    for (i = 0; i < num_names; i++)
        printf(" %s", names[i]);
    if (Is_caused_network_mess(type) && !is_listed(self, names, num_names))
        fail("own set without oneself", self, num_names, 1);
}

/* Adopts the first full view; of later ones, notes who is no longer there. */
static void on_view(service type, char (*names)[MAX_GROUP_NAME], int num_names, int own_index)
{
    int i;

    if (own_index < 0 || own_index >= num_names || strcmp(names[own_index], self) != 0)
        fail("own place in the view", self, own_index, num_names);
    if (num_members == 0) {
        if (num_names != expected_members)
            return;
        for (i = 0; i < num_names; i++)
            strcpy(members[i].name, names[i]);
        num_members = num_names;
        fprintf(stderr, "full view\n");
        return;
    }
    printf("= %s %d", cause(type), num_names);
    print_own_set(type);
    printf("\n");
    for (i = 0; i < num_members; i++)
        if (!is_listed(members[i].name, names, num_names))
            members[i].ended = 1;
}

static void receive_one(void)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[MEMBER_LIMIT][MAX_GROUP_NAME];
    int num_groups = 0, endian_mismatch = 0, length;
    int16 kind = 0;

    length = must("SP_receive", SP_receive(mbox, &type, sender, MEMBER_LIMIT, &num_groups, groups, &kind, &endian_mismatch,
                                           SIZE_LIMIT, body));
    if (Is_regular_mess(type)) {
        if (!Is_agreed_mess(type) || num_groups != 1 || strcmp(groups[0], group) != 0 || (endian_mismatch != 0 && !MISMATCH))
            fail("service or group", sender, type, AGREED_MESS);
        on_message(sender, kind, length);
    } else if (Is_reg_memb_mess(type)) {
        on_view(type, groups, num_groups, kind);
    } else if (Is_transition_mess(type)) {
        if (num_members > 0)
            printf("= transition\n");
    } else {
        fail("kind of message", sender, type, AGREED_MESS);
    }
}

static void read_leave(void)
{
    char leave[16];
    ssize_t got = read(STDIN_FILENO, leave, sizeof leave);
    allowed = got > 0 ? allowed + (int)got : stages;
}

/* Waits for a message, and while leave is missing also for leave. */
static void await_input(void)
{
    struct pollfd inputs[2];

    inputs[0].fd = mbox;
    inputs[0].events = POLLIN;
    inputs[1].fd = STDIN_FILENO;
    inputs[1].events = POLLIN;
    inputs[1].revents = 0;
    if (poll(inputs, allowed < stages ? 2 : 1, -1) < 0)
        fail("poll", self, -1, 1);
    if (inputs[1].revents != 0)
        read_leave();
    if (inputs[0].revents != 0)
        receive_one();
}

static int is_complete(void)
{
    int i;
    for (i = 0; i < num_members; i++)
        if (!members[i].ended)
            return 0;
    return num_members > 0;
}

static void run(void)
{
    while (!is_complete()) {
        if (may_send())
            send_one();
        if (sent == count && !end_sent)
            send_end();
        while (!is_complete() && SP_poll(mbox) > 0)
            receive_one();
        if (!is_complete() && !may_send())
            await_input();
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: ring ADDRESS NAME GROUP MEMBERS COUNT SIZE STAGES\n");
        return UNUSABLE;
    }
    group = argv[3];
    expected_members = atoi(argv[4]);
    count = atoi(argv[5]);
    size = atoi(argv[6]);
    stages = atoi(argv[7]);
    if (expected_members < 1 || expected_members > MEMBER_LIMIT || count < 1 || size < 16 || size > SIZE_LIMIT ||
        stages < 1 || stages > count) {
        fprintf(stderr, "ring: a number is out of its range\n");
        return UNUSABLE;
    }
    alarm(PATIENCE);
    connect_to(argv[1], argv[2]);
    must("SP_join", SP_join(mbox, group));
    run();
    must("SP_disconnect", SP_disconnect(mbox));
    return fflush(stdout) == 0 ? PASSED : WRONG;
}
