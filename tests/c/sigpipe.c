/* What becomes of a program that writes to a pipe whose reader has gone, as programs do that serve others beside their mailbox.
   Argument: the call that it makes before, or "nothing". Prints what the write gave, unless it is the last thing it does. */

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include <fl.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t handled = 0;

static void handler(int signal_number)
{
    (void)signal_number;
    handled = 1;
}

static int accept_all(int descriptor, void *data)
{
    (void)descriptor;
    (void)data;
    return 1;
}

/* No daemon is needed: the first call decides, whatever it gives. */
static void call(const char *name)
{
    static const sp_time second = {1, 0};
    const char *names[1] = {"NULL"};
    int (*functions[1])(int, void *) = {accept_all};
    void *data[1] = {NULL};
    mailbox mbox;
    char group[MAX_GROUP_NAME];

    if (strcmp(name, "SP_connect") == 0) {
        CHECK_NUMBER(SP_connect("no daemon", "me", 0, 1, &mbox, group), ILLEGAL_SPREAD);
    } else if (strcmp(name, "SP_connect_timeout") == 0) {
        CHECK_NUMBER(SP_connect_timeout("no daemon", "me", 0, 1, &mbox, group, second), ILLEGAL_SPREAD);
    } else if (strcmp(name, "FL_connect") == 0) {
        CHECK_NUMBER(FL_connect("no daemon", "me", 0, &mbox, group), ILLEGAL_SPREAD);
    } else if (strcmp(name, "SP_set_auth_method") == 0) {
        CHECK_NUMBER(SP_set_auth_method("NULL", accept_all, NULL), 1);
    } else if (strcmp(name, "SP_set_auth_methods") == 0) {
        CHECK_NUMBER(SP_set_auth_methods(1, names, functions, data), 1);
    }
}

int main(int argc, char **argv)
{
    const char *chosen = argc > 2 ? argv[2] : "";
    int ends[2];

    if (argc < 2 || pipe(ends) != 0) {
        return 2;
    }
    if (strcmp(chosen, "handler before") == 0) {
        signal(SIGPIPE, handler);
    }
    call(argv[1]);
    if (strcmp(chosen, "default after") == 0) {
        signal(SIGPIPE, SIG_DFL);
        call(argv[1]);
    }
    CHECK(close(ends[0]) == 0);
    CHECK(write(ends[1], "x", 1) == -1 && errno == EPIPE);
    puts(handled ? "handled" : "ignored");
    return failures != 0;
}
