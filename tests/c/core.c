/* Two members of a group, from the first view to the last: every way to send, every service, what comes and what it says of
   itself. Argument: the daemon. */

#include <sp.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

enum { PATIENCE = 120, LENGTH = 5, JOINED = 56 };

static const sp_time limit = {60, 0};
static const char *address;
static mailbox a, b;
static char name_a[MAX_GROUP_NAME], name_b[MAX_GROUP_NAME];

/* The message that was received last. */
static service type;
static char sender[MAX_GROUP_NAME], groups[3][MAX_GROUP_NAME], body[200];
static int num_groups, mismatch;
static int16 kind;

static int receive(mailbox mbox)
{
    type = 0;
    return (int)checked("SP_receive(", SP_receive(mbox, &type, sender, 3, &num_groups, groups, &kind, &mismatch, 200, body));
}

/* A view of so many members, caused by this one; of its receiver, who is at this place. */
static void check_view(mailbox mbox, service cause, const char *changed, int members, int place)
{
    membership_info info;
    vs_set_info set;
    unsigned int own = 9;
    char names[2][MAX_GROUP_NAME];

    CHECK_NUMBER(receive(mbox), JOINED);
    CHECK(type == (REG_MEMB_MESS | cause) && strcmp(sender, "g") == 0 && num_groups == members && kind == place);
    CHECK_NUMBER(SP_get_memb_info(body, type, &info), 1);
    CHECK(strcmp(info.changed_member, changed) == 0 && info.num_vs_sets == 1);
    CHECK_NUMBER(SP_get_vs_sets_info(body, &set, 1, &own), 1);
    CHECK(own == 0 && memcmp(&set, &info.my_vs_set, sizeof set) == 0);
    CHECK_NUMBER(SP_get_vs_set_members(body, &set, names, 2), 1);
    CHECK(strcmp(names[0], changed) == 0);
}

/* The same message to a mailbox: these groups, the second of them NULL if there is but one. */
static void check_message(mailbox mbox, service expected, const char *first, const char *second)
{
    CHECK_NUMBER(receive(mbox), LENGTH);
    CHECK_NUMBER(type, expected);
    CHECK(memcmp(body, "hello", LENGTH) == 0 && strcmp(sender, name_a) == 0 && kind == -7 && mismatch == 0);
    CHECK(num_groups == (second == NULL ? 1 : 2) && strcmp(groups[0], first) == 0);
    CHECK(second == NULL || strcmp(groups[1], second) == 0);
}

static void joining(void)
{
    int first;

    CHECK_NUMBER(SP_connect_timeout(address, "a", 0, 1, &a, name_a, limit), ACCEPT_SESSION);
    CHECK_NUMBER(SP_connect(address, "b", 1, 1, &b, name_b), ACCEPT_SESSION);
#ifndef _WIN32
    CHECK((fcntl(a, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(b, F_GETFD) & FD_CLOEXEC) != 0);
#endif
    CHECK_NUMBER(SP_join(a, "g"), 0);
    check_view(a, CAUSED_BY_JOIN, name_a, 1, 0);
    CHECK_NUMBER(SP_join(a, "g"), 0);
    CHECK_NUMBER(SP_join(b, "g"), 0);
    first = strcmp(name_a, name_b) < 0 ? 0 : 1;
    check_view(a, CAUSED_BY_JOIN, name_b, 2, first);
    check_view(b, CAUSED_BY_JOIN, name_b, 2, 1 - first);
}

static void sending(void)
{
    static const service services[] = {UNRELIABLE_MESS, RELIABLE_MESS, FIFO_MESS, CAUSAL_MESS, AGREED_MESS, SAFE_MESS};
    char hello[] = "hello", pair[2][MAX_GROUP_NAME] = {"g", "nobody"};
    const char (*both)[MAX_GROUP_NAME] = (const char (*)[MAX_GROUP_NAME])pair;
    scatter scat;
    size_t i;

    scat.num_elements = 3;
    scat.elements[0].buf = hello;
    scat.elements[0].len = 2;
    scat.elements[1].buf = NULL;
    scat.elements[1].len = 0;
    scat.elements[2].buf = hello + 2;
    scat.elements[2].len = LENGTH - 2;
    for (i = 0; i < sizeof services / sizeof services[0]; i++) {
        CHECK_NUMBER(SP_multicast(a, services[i], "g", -7, LENGTH, hello), LENGTH);
        CHECK_NUMBER(SP_scat_multicast(a, services[i] | SELF_DISCARD, "g", -7, &scat), LENGTH);
        CHECK_NUMBER(SP_multigroup_multicast(a, services[i], 2, both, -7, LENGTH, hello), LENGTH);
        CHECK_NUMBER(SP_multigroup_scat_multicast(a, services[i], 1, both, -7, &scat), LENGTH);
        check_message(a, services[i], "g", NULL);
        check_message(a, services[i], "g", "nobody");
        check_message(a, services[i], "g", NULL);
        check_message(b, services[i], "g", NULL);
        check_message(b, services[i] | SELF_DISCARD, "g", NULL);
        check_message(b, services[i], "g", "nobody");
        check_message(b, services[i], "g", NULL);
    }
    CHECK_NUMBER(SP_multicast(a, FIFO_MESS, name_b, -7, LENGTH, hello), LENGTH);
    check_message(b, FIFO_MESS, name_b, NULL);
    CHECK_NUMBER(SP_multicast(a, SAFE_MESS, "g", 0, 0, NULL), 0);
    CHECK_NUMBER(receive(a), 0);
    CHECK_NUMBER(receive(b), 0);
    CHECK_NUMBER(SP_poll(b), 0);
}

/* A scatter has 100 elements at most. One more is refused, whatever they are, and the connection stays good. */
static void most_elements(void)
{
    char letters[MAX_CLIENT_SCATTER_ELEMENTS];
    scatter scat;
    size_t i;

    for (i = 0; i < MAX_CLIENT_SCATTER_ELEMENTS; i++) {
        letters[i] = (char)('a' + i % 26);
        scat.elements[i].buf = letters + i;
        scat.elements[i].len = 1;
    }
    scat.num_elements = MAX_CLIENT_SCATTER_ELEMENTS;
    CHECK_NUMBER(SP_scat_multicast(a, AGREED_MESS, name_b, 0, &scat), MAX_CLIENT_SCATTER_ELEMENTS);
    CHECK_NUMBER(receive(b), MAX_CLIENT_SCATTER_ELEMENTS);
    CHECK(memcmp(body, letters, sizeof letters) == 0);
    CHECK_NUMBER(SP_scat_multicast(a, AGREED_MESS, name_b, 0, &scat), MAX_CLIENT_SCATTER_ELEMENTS);
    memset(letters, 0, sizeof letters);
    CHECK_NUMBER(SP_scat_receive(b, &type, sender, 3, &num_groups, groups, &kind, &mismatch, &scat), MAX_CLIENT_SCATTER_ELEMENTS);
    CHECK(memcmp(body, letters, sizeof letters) == 0);
    scat.num_elements++;
    CHECK_NUMBER(SP_scat_multicast(a, AGREED_MESS, name_b, 0, &scat), NET_ERROR_ON_SESSION);
    CHECK_NUMBER(SP_scat_receive(b, &type, sender, 3, &num_groups, groups, &kind, &mismatch, &scat), NET_ERROR_ON_SESSION);
}

/* Destinations that no client can join, which the classic library takes: of a long name the first 31 bytes count, and the others
   have no members. The sender goes on as before. */
static void strange_destinations(void)
{
    static const char *const strange[] = {"", " ", "two words", "\xc3\xa4", "\x7f", "#", "##", "#x", "#nobody#here"};
    char forty[41] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", longest[MAX_GROUP_NAME] = "", pair[2][MAX_GROUP_NAME];
    size_t i;

    memcpy(longest, forty, MAX_GROUP_NAME - 1);
    CHECK_NUMBER(SP_join(b, longest), 0);
    CHECK_NUMBER(receive(b), JOINED);
    for (i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        CHECK_NUMBER(SP_multicast(a, AGREED_MESS, strange[i], 0, 4, "lost"), 4);
        memset(pair, 0, sizeof pair);
        strcpy(pair[0], strange[i]);
        memset(pair[1], 'x', MAX_GROUP_NAME);
        CHECK_NUMBER(SP_multigroup_multicast(a, AGREED_MESS, 2, (const char (*)[MAX_GROUP_NAME])pair, -7, LENGTH, "hello"),
                     LENGTH);
        check_message(b, AGREED_MESS, strange[i], longest);
    }
    CHECK_NUMBER(SP_multicast(a, AGREED_MESS, forty, -7, LENGTH, "hello"), LENGTH);
    check_message(b, AGREED_MESS, longest, NULL);
    CHECK_NUMBER(SP_leave(b, longest), 0);
    CHECK_NUMBER(receive(b), 0);
}

static void leaving(void)
{
    CHECK_NUMBER(SP_leave(b, "elsewhere"), 0);
    CHECK_NUMBER(SP_leave(b, "g"), 0);
    CHECK_NUMBER(receive(b), 0);
    CHECK(Is_self_leave(type) && strcmp(sender, "g") == 0 && num_groups == 0 && kind == -1);
    check_view(a, CAUSED_BY_LEAVE, name_b, 1, 0);
    CHECK_NUMBER(SP_join(b, "g"), 0);
    CHECK_NUMBER(receive(a), JOINED);
    CHECK_NUMBER(SP_disconnect(b), 0);
    check_view(a, CAUSED_BY_DISCONNECT, name_b, 1, 0);
    CHECK_NUMBER(SP_disconnect(b), ILLEGAL_SESSION);
    CHECK_NUMBER(SP_disconnect(a), 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return 2;
    }
    address = argv[1];
    alarm(PATIENCE);
    joining();
    sending();
    most_elements();
    strange_destinations();
    leaving();
    return failures != 0;
}
