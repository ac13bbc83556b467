/* As killed.c, for a program that is driven by the event loop: the loop hears of the daemon's end as of a message. */

#include "mortal.h"

enum { CALLS = 13, VIEW = 56, LENGTH = 5 };

static const sp_time at_once = {0, 0};
/* What the handler got in this run of the loop. */
static int heard;

static int receive(void)
{
    service type = 0;
    char sender[MAX_GROUP_NAME], groups[2][MAX_GROUP_NAME], body[100];
    int num_groups, mismatch;
    int16 mess_type;

    return SP_receive(mbox, &type, sender, 2, &num_groups, groups, &mess_type, &mismatch, 100, body);
}

static void on_mail(int fd, int code, void *data)
{
    CHECK(fd == mbox && code == 7 && data == &heard);
    heard = receive();
    E_exit_events();
}

static void on_time(int code, void *data)
{
    CHECK(code == 8 && data == &heard);
    SENT(SP_multicast(mbox, AGREED_MESS, "g", 1, LENGTH, "hello"), LENGTH);
    if (!is_open) {
        heard = ILLEGAL_SESSION;
        E_exit_events();
    }
}

/* Runs the loop until something was received. Without a connection only a timer can end it. */
static int run(void)
{
    heard = 0;
    if (!is_open) {
        CHECK_NUMBER(E_queue(on_time, 8, &heard, at_once), 0);
    }
    E_handle_events();
    return heard;
}

static void attach(int priority)
{
    CHECK_NUMBER(E_attach_fd(mbox, READ_FD, on_mail, 7, &heard, priority), is_open ? 0 : -1);
}

static void call(int number)
{
    char private_group[MAX_GROUP_NAME];

    switch (number) {
    case 0: CHECK_NUMBER(E_init(), 0); break;
    case 1: CONNECTED(SP_connect(address, "me", 0, 1, &mbox, private_group)); break;
    case 2: attach(HIGH_PRIORITY); break;
    case 3: SENT(SP_join(mbox, "g"), 0); break;
    case 4: RECEIVED(run(), VIEW); break;
    case 5: CHECK_NUMBER(E_queue(on_time, 8, &heard, at_once), 0); break;
    case 6: RECEIVED(run(), LENGTH); break;
    case 7: CHECK_NUMBER(E_detach_fd(mbox, READ_FD), is_open ? 0 : -1); break;
    case 8: attach(LOW_PRIORITY); break;
    case 9: SENT(SP_leave(mbox, "g"), 0); break;
    case 10: COUNTED(SP_poll(mbox)); break;
    case 11: RECEIVED(run(), 0); break;
    default: DISCONNECTED(SP_disconnect(mbox)); break;
    }
}

int main(int argc, char **argv)
{
    die_everywhere(argc, argv, call, CALLS);
    return failures != 0;
}
