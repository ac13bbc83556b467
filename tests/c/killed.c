/* The daemon is killed before each call in turn: the classic codes, never a signal, a crash or a call that hangs.
   Arguments: the daemon program, its configuration, its address. */

#include "mortal.h"

#include <pthread.h>

enum { CALLS = 22, VIEW = 56, LENGTH = 5 };

static scatter message(char *body, size_t length)
{
    scatter scat;

    scat.num_elements = 2;
    scat.elements[0].buf = body;
    scat.elements[0].len = 1;
    scat.elements[1].buf = body + 1;
    scat.elements[1].len = length - 1;
    return scat;
}

static int receive(service wish, int room)
{
    char sender[MAX_GROUP_NAME], groups[2][MAX_GROUP_NAME], body[100];
    int num_groups, mismatch;
    int16 mess_type;

    return (int)checked("SP_receive(",
                        SP_receive(mbox, &wish, sender, 2, &num_groups, groups, &mess_type, &mismatch, room, body));
}

static int scat_receive(service wish, size_t room)
{
    char sender[MAX_GROUP_NAME], groups[2][MAX_GROUP_NAME], body[100];
    int num_groups, mismatch;
    int16 mess_type;
    scatter scat = message(body, room);

    return (int)checked("SP_scat_receive(",
                        SP_scat_receive(mbox, &wish, sender, 2, &num_groups, groups, &mess_type, &mismatch, &scat));
}

static void *kill_it(void *unused)
{
    int status;

    kill(daemon_pid, SIGKILL);
    waitpid(daemon_pid, &status, 0);
    return unused;
}

/* Nothing comes any more, so the call may well have begun to wait when the daemon goes. */
static void receive_while_it_dies(void)
{
    pthread_t killer;

    if (!is_dead) {
        CHECK(pthread_create(&killer, NULL, kill_it, NULL) == 0);
        is_dead = 1;
        RECEIVED(receive(0, 100), CONNECTION_CLOSED);
        CHECK(pthread_join(killer, NULL) == 0);
    }
}

static void call(int number)
{
    static const char groups[2][MAX_GROUP_NAME] = {"g", "h"};
    char body[] = "hello", private_group[MAX_GROUP_NAME];
    scatter scat = message(body, LENGTH);

    switch (number) {
    case 0: CONNECTED(SP_connect(address, "me", 0, 1, &mbox, private_group)); break;
    case 1: SENT(SP_join(mbox, "g"), 0); break;
    case 2: RECEIVED(receive(0, 100), VIEW); break;
    case 3: SENT(SP_multicast(mbox, SAFE_MESS, "g", 1, LENGTH, body), LENGTH); break;
    case 4: RECEIVED(receive(0, 100), LENGTH); break;
    case 5: SENT(SP_scat_multicast(mbox, AGREED_MESS, "g", 1, &scat), LENGTH); break;
    case 6: RECEIVED(scat_receive(0, 100), LENGTH); break;
    case 7: SENT(SP_multigroup_multicast(mbox, FIFO_MESS, 2, groups, 1, LENGTH, body), LENGTH); break;
    case 8: RECEIVED(receive(0, 3), BUFFER_TOO_SHORT); break;
    case 9: RECEIVED(receive(0, 100), LENGTH); break;
    case 10: SENT(SP_multigroup_scat_multicast(mbox, CAUSAL_MESS, 2, groups, 1, &scat), LENGTH); break;
    case 11: RECEIVED(scat_receive(0, 3), BUFFER_TOO_SHORT); break;
    case 12: RECEIVED(receive(DROP_RECV, 3), BUFFER_TOO_SHORT); break;
    case 13: COUNTED(SP_poll(mbox)); break;
    case 14: SENT(SP_multicast(mbox, RELIABLE_MESS, "g", 1, 0, NULL), 0); break;
    case 15: RECEIVED(receive(0, 0), 0); break;
    case 16: SENT(SP_leave(mbox, "g"), 0); break;
    case 17: RECEIVED(receive(0, 0), 0); break;
    case 18: receive_while_it_dies(); break;
    case 19: DISCONNECTED(SP_disconnect(mbox)); break;
    case 20: DISCONNECTED(SP_disconnect(mbox)); break;
    default: SENT(SP_join(mbox, "g"), 0); break;
    }
}

int main(int argc, char **argv)
{
    die_everywhere(argc, argv, call, CALLS);
    return failures != 0;
}
