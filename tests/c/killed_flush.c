/* As killed.c, for the calls of the Flush layer: after the call that finds the connection broken there is no mailbox any more. */

#include <fl.h>

#include "mortal.h"

enum { CALLS = 24, VIEW = 48, LENGTH = 5 };

static char me[1][MAX_GROUP_NAME];
/* Whether the group's first view was received: without it, one cannot send to the group. */
static int is_member;

static int receive(service wish)
{
    char sender[MAX_GROUP_NAME], groups[3][MAX_GROUP_NAME], body[100];
    int num_groups, mismatch, more;
    int16 mess_type;

    return FL_receive(mbox, &wish, sender, 3, &num_groups, groups, &mess_type, &mismatch, 100, body, &more);
}

static int scat_receive(void)
{
    char sender[MAX_GROUP_NAME], groups[3][MAX_GROUP_NAME], body[100];
    service wish = 0;
    int num_groups, mismatch;
    int16 mess_type;
    scatter scat;

    scat.num_elements = 1;
    scat.elements[0].buf = body;
    scat.elements[0].len = sizeof body;
    return FL_scat_receive(mbox, &wish, sender, 3, &num_groups, groups, &mess_type, &mismatch, &scat, NULL);
}

/* As sent, for calls about a group that one is in. */
static void cast(const char *name, int code, int alive)
{
    if (is_open && is_dead && !is_member && code == ILLEGAL_GROUP) {
        checked(name, code);
    } else {
        sent(name, code, alive);
    }
}

/* What is asked of the library alone: the same code without a daemon. */
static void asked(const char *name, int code, int member)
{
    check_code(name, code, !is_open ? ILLEGAL_SESSION : is_member ? member : ILLEGAL_GROUP);
}

#define CAST(call, alive) cast(#call, call, alive)
#define ASKED(call, member) asked(#call, call, member)

static void receive_view(void)
{
    int code = receive(0);

    is_member = code == VIEW;
    received("FL_receive(", code, VIEW);
}

static void receive_nothing(void)
{
    int code = receive(DONT_BLOCK);

    if (is_open && is_dead) {
        lost("FL_receive(", code);
    } else {
        check_code("FL_receive(", code, is_open ? WOULD_BLOCK : ILLEGAL_SESSION);
    }
}

static void call(int number)
{
    char body[] = "hello";
    scatter scat;

    scat.num_elements = 1;
    scat.elements[0].buf = body;
    scat.elements[0].len = LENGTH;
    switch (number) {
    case 0:
        is_member = 0;
        CONNECTED(FL_connect(address, "me", 0, &mbox, me[0]));
        break;
    case 1: SENT(FL_join(mbox, "g"), 0); break;
    case 2: receive_view(); break;
    case 3: CAST(FL_multicast(mbox, SAFE_MESS, "g", 1, LENGTH, body), LENGTH); break;
    case 4: RECEIVED(receive(0), LENGTH); break;
    case 5: CAST(FL_scat_multicast(mbox, SAFE_MESS, "g", 1, &scat), LENGTH); break;
    case 6: received("FL_scat_receive(", scat_receive(), LENGTH); break;
    case 7: CAST(FL_unicast(mbox, SAFE_MESS, "g", me[0], 1, LENGTH, body), LENGTH); break;
    case 8: RECEIVED(receive(0), LENGTH); break;
    case 9: CAST(FL_scat_unicast(mbox, SAFE_MESS, "g", me[0], 1, &scat), LENGTH); break;
    case 10: RECEIVED(receive(0), LENGTH); break;
    case 11: CAST(FL_subgroupcast(mbox, SAFE_MESS, "g", 1, me, 1, LENGTH, body), LENGTH); break;
    case 12: RECEIVED(receive(0), LENGTH); break;
    case 13: CAST(FL_scat_subgroupcast(mbox, SAFE_MESS, "g", 1, me, 1, &scat), LENGTH); break;
    case 14: RECEIVED(receive(0), LENGTH); break;
    case 15: COUNTED(FL_more_msgs(mbox)); break;
    case 16: COUNTED(FL_poll(mbox)); break;
    case 17: ASKED(FL_flush(mbox, "g"), ILLEGAL_STATE); break;
    case 18: receive_nothing(); break;
    case 19: CAST(FL_leave(mbox, "g"), 0); break;
    case 20: RECEIVED(receive(0), 0); break;
    case 21: DISCONNECTED(FL_disconnect(mbox)); break;
    case 22: DISCONNECTED(FL_disconnect(mbox)); break;
    default: SENT(FL_join(mbox, "g"), 0); break;
    }
}

int main(int argc, char **argv)
{
    ends_with_connection = 1;
    die_everywhere(argc, argv, call, CALLS);
    return failures != 0;
}
