/* The DLL as a program loads it while it runs: two daemons inside the program form a ring, clients in threads talk over it, one
   daemon goes and comes back, and in the end the DLL goes. Arguments: two free ports. */

#include <winsock2.h>
#include <windows.h>

#include <sp.h>
#include <torc.h>

#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { CLIENTS = 4, PATIENCE = 3000, PAUSE = 10 };
/* Handles of a process are multiples of four, and small. */
enum { HANDLES = 4096, HANDLES_STEP = 4 };

static int (*start)(const char *configuration, const char *name, torc_daemon **daemon);
static int (*stop)(torc_daemon *daemon);
static int (*status)(torc_daemon *daemon, torc_state *state);
static int (*paths)(torc_daemon *daemon, torc_path *paths, int count);
static const char *(*problem)(void);
static int (*connect_to)(const char *daemon, const char *name, int priority, int views, mailbox *box, char *group);
static int (*join)(mailbox box, const char *group);
static int (*multicast)(mailbox box, service type, const char *group, int16 kind, int length, const char *body);
static int (*receive)(mailbox box, service *type, char sender[], int most, int *count, char groups[][MAX_GROUP_NAME],
                      int16 *kind, int *other_order, int size, char *body);
static int (*disconnect)(mailbox box);

static char configuration[400], daemons[2][40];

static FARPROC function(HMODULE library, const char *name)
{
    FARPROC found = GetProcAddress(library, name);

    if (found == NULL) {
        printf("the DLL has no %s\n", name);
        exit(1);
    }
    return found;
}

#define BIND(pointer, name) \
    do { \
        FARPROC found = function(library, name); \
        memcpy(&pointer, &found, sizeof pointer); \
    } while (0)

static void bind_functions(HMODULE library)
{
    BIND(start, "torc_start");
    BIND(stop, "torc_stop");
    BIND(status, "torc_status");
    BIND(paths, "torc_paths");
    BIND(problem, "torc_error");
    BIND(connect_to, "SP_connect");
    BIND(join, "SP_join");
    BIND(multicast, "SP_multicast");
    BIND(receive, "SP_receive");
    BIND(disconnect, "SP_disconnect");
}

static torc_daemon *started(const char *name)
{
    torc_daemon *daemon = NULL;

    CHECK_NUMBER(start(configuration, name, &daemon), TORC_OK);
    if (daemon == NULL) {
        printf("%s: %s\n", name, problem());
        exit(1);
    }
    return daemon;
}

static void await_ring(torc_daemon *daemon, int members)
{
    torc_state state;
    int looks;

    for (looks = 0; looks < PATIENCE; looks++) {
        CHECK_NUMBER(status(daemon, &state), TORC_OK);
        if (state.daemons == members) return;
        Sleep(PAUSE);
    }
    printf("no ring of %d daemons\n", members);
    exit(1);
}

/* Joins a group of its own and hears its own messages in order. */
static DWORD WINAPI talk(void *number)
{
    int mine = (int)(INT_PTR)number, count, other_order, message;
    char name[20], group[MAX_GROUP_NAME], sender[MAX_GROUP_NAME], groups[1][MAX_GROUP_NAME], body[20];
    mailbox box;
    service type;
    int16 kind;

    sprintf(name, "client%d", mine);
    CHECK_NUMBER(connect_to(daemons[mine % 2], name, 0, 0, &box, group), ACCEPT_SESSION);
    CHECK_NUMBER(join(box, name), 0);
    for (message = 0; message < 200; message++) {
        CHECK_NUMBER(multicast(box, AGREED_MESS, name, (int16)message, 5, "hello"), 5);
        type = 0;
        CHECK_NUMBER(receive(box, &type, sender, 1, &count, groups, &kind, &other_order, sizeof body, body), 5);
        CHECK(kind == message && strcmp(sender, group) == 0 && memcmp(body, "hello", 5) == 0);
    }
    CHECK_NUMBER(disconnect(box), 0);
    return 0;
}

/* Whether this process alone may have the ports of its sockets. Where nobody takes a port away from an ordinary socket, as in Wine,
   only the option itself shows it. A number that is no socket's is refused. */
static void check_claims(const char *port)
{
    unsigned short wanted = htons((unsigned short)atoi(port));
    int number, found = 0;

    for (number = HANDLES_STEP; number < HANDLES; number += HANDLES_STEP) {
        struct sockaddr_in place;
        int exclusive = 0, size = sizeof place, length = sizeof exclusive;
        SOCKET socket = (SOCKET)number;

        if (getsockname(socket, (struct sockaddr *)&place, &size) != 0 || place.sin_port != wanted) continue;
        /* A connection has the port of its listener. */
        size = sizeof place;
        if (getpeername(socket, (struct sockaddr *)&place, &size) == 0) continue;
        CHECK_NUMBER(getsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&exclusive, &length), 0);
        CHECK(exclusive != 0);
        found++;
    }
    CHECK(found >= 2);
}

int main(int count, char **arguments)
{
    HMODULE library = LoadLibraryA("spread.dll");
    HANDLE threads[CLIENTS];
    torc_daemon *one, *two;
    torc_path path;
    int thread;

    if (count != 3 || library == NULL) return 2;
    bind_functions(library);
    sprintf(configuration,
            "Spread_Segment unicast:%s { one 127.0.0.1 { D 127.0.0.1 C 127.0.0.1 } }\n"
            "Spread_Segment unicast:%s { two 127.0.0.2 { D 127.0.0.1 C 127.0.0.2 } }",
            arguments[1], arguments[2]);
    for (thread = 0; thread < 2; thread++) sprintf(daemons[thread], "%s@127.0.0.%d", arguments[thread + 1], thread + 1);
    one = started("one");
    two = started("two");
    await_ring(one, 2);
    check_claims(arguments[1]);
    check_claims(arguments[2]);
    for (thread = 0; thread < CLIENTS; thread++) {
        threads[thread] = CreateThread(NULL, 0, talk, (void *)(INT_PTR)thread, 0, NULL);
    }
    WaitForMultipleObjects(CLIENTS, threads, TRUE, INFINITE);
    CHECK_NUMBER(paths(one, &path, 1), 1);
    CHECK(strcmp(path.daemon, "two") == 0 && path.state == TORC_PATH_HEALTHY && path.round_trip > 0);
    CHECK_NUMBER(stop(two), TORC_OK);
    /* What is sent to the closed port from now on is refused, and the daemon hears the other one all the same. */
    await_ring(one, 1);
    two = started("two");
    await_ring(one, 2);
    CHECK_NUMBER(stop(one), TORC_OK);
    CHECK_NUMBER(stop(two), TORC_OK);
    CHECK_NUMBER(stop(two), TORC_UNKNOWN_DAEMON);
    CHECK(FreeLibrary(library));
    return failures != 0;
}
