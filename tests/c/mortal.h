/* A daemon of the program's own that it kills between any two calls, and the codes that calls give from then on: the first
   that finds the connection broken gives CONNECTION_CLOSED, and every later one NET_ERROR_ON_SESSION. What had come before
   the end can still be received. */

#ifndef MORTAL_H
#define MORTAL_H

#include <sp.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { PATIENCE = 300, TRIES = 1000 };

static const char *program, *configuration, *address;
static pid_t daemon_pid;
static mailbox mbox;
/* What is known of the connection. */
static int is_dead, is_open, is_told;
/* Over TCP a sender hears of the end only in its second call. */
static int hears_late;
/* Whether a mailbox ends with its connection, or must still be disconnected. */
static int ends_with_connection;

static void start_daemon(void)
{
    const struct timespec pause = {0, 10000000};
    mailbox probe;
    char private_group[MAX_GROUP_NAME];
    int i, code = COULD_NOT_CONNECT;

    daemon_pid = fork();
    if (daemon_pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execl(program, program, "-c", configuration, (char *)NULL);
        _exit(127);
    }
    for (i = 0; i < TRIES && code != ACCEPT_SESSION; i++) {
        code = SP_connect(address, "probe", 0, 0, &probe, private_group);
        nanosleep(&pause, NULL);
    }
    CHECK_NUMBER(code, ACCEPT_SESSION);
    CHECK_NUMBER(SP_disconnect(probe), 0);
    is_dead = is_open = is_told = 0;
    /* No mailbox. -1 would be one that counts as closed. */
    mbox = -2;
}

/* When this returns, the daemon's sockets are closed, and a sender that shares memory with it has had the time to notice. */
static void kill_daemon(void)
{
    const struct timespec pause = {0, 1000000};
    int status;

    if (!is_dead) {
        kill(daemon_pid, SIGKILL);
        CHECK(waitpid(daemon_pid, &status, 0) == daemon_pid);
        nanosleep(&pause, NULL);
        is_dead = 1;
    }
}

static void check_code(const char *call, int found, int expected)
{
    checked(call, found);
    if (found != expected) {
        printf("%s is %d, not %d\n", call, found, expected);
        failures++;
    }
}

static void connected(const char *call, int code)
{
    check_code(call, code, is_dead ? COULD_NOT_CONNECT : ACCEPT_SESSION);
    is_open = code == ACCEPT_SESSION;
}

/* The code of a call that finds the connection broken. The Flush layer ends the mailbox with it. */
static void lost(const char *call, int code)
{
    check_code(call, code, is_told ? NET_ERROR_ON_SESSION : CONNECTION_CLOSED);
    is_told = 1;
    is_open = is_open && !ends_with_connection;
}

/* A request or message was sent, with this code as long as the daemon lives. */
static void sent(const char *call, int code, int alive)
{
    if (!is_open) {
        check_code(call, code, ILLEGAL_SESSION);
    } else if (!is_dead || (hears_late && !is_told && code == alive)) {
        check_code(call, code, alive);
    } else {
        lost(call, code);
    }
}

/* A message was received, with this code as long as the daemon lives, and perhaps a little longer. */
static void received(const char *call, int code, int alive)
{
    if (!is_open) {
        check_code(call, code, ILLEGAL_SESSION);
    } else if (!is_dead || (!is_told && code == alive)) {
        check_code(call, code, alive);
    } else {
        lost(call, code);
    }
}

/* Something was counted, which works on any connection. */
static void counted(const char *call, int number)
{
    checked(call, number);
    CHECK(is_open ? number >= 0 : number == ILLEGAL_SESSION);
}

static void disconnected(const char *call, int code)
{
    check_code(call, code, is_open ? 0 : ILLEGAL_SESSION);
    is_open = 0;
}

#define CONNECTED(call) connected(#call, call)
#define SENT(call, alive) sent(#call, call, alive)
#define RECEIVED(call, alive) received(#call, call, alive)
#define COUNTED(call) counted(#call, call)
#define DISCONNECTED(call) disconnected(#call, call)

/* Runs the script once for each of its calls, and kills the daemon before that call; the last time after all of them. */
static void die_everywhere(int argc, char **argv, void (*call)(int number), int calls)
{
    int last, number;

    if (argc < 4) {
        exit(2);
    }
    program = argv[1];
    configuration = argv[2];
    address = argv[3];
    hears_late = strchr(address, '@') != NULL;
    signal(SIGPIPE, SIG_DFL);
    alarm(PATIENCE);
    for (last = 0; last <= calls; last++) {
        int before = failures;

        start_daemon();
        for (number = 0; number < calls; number++) {
            if (number == last) {
                kill_daemon();
            }
            call(number);
        }
        kill_daemon();
        if (failures != before) {
            printf("with the daemon killed before call %d\n", last);
        }
    }
}

#endif
