/* Daemons inside the program: started and stopped many times without a trace, used by mailboxes, and every mistake that a
   program can make with them. Arguments: a configuration of the daemons one and two, its client port, and how many rounds. */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <sp.h>
#include <torc.h>
#include "check.h"

static const char *configuration;
static char port[20];

static int entries(const char *directory)
{
    int count = 0;
    DIR *open = opendir(directory);

    while (readdir(open) != NULL) count++;
    closedir(open);
    return count;
}

/* How many threads there are when all that ended are gone: the system lists one for a moment after it was joined. */
static int threads_left(int expected)
{
    struct timespec pause = {0, 1000000};
    int tries = 5000, count;

    while ((count = entries("/proc/self/task")) != expected && --tries > 0) nanosleep(&pause, NULL);
    return count;
}

/* Sends a message to itself through the daemon. */
static void talk(const char *daemon)
{
    mailbox box;
    service type = 0;
    int16 kind;
    int count, other_order;
    char me[MAX_GROUP_NAME], from[MAX_GROUP_NAME], to[4][MAX_GROUP_NAME], text[100];

    CHECK_NUMBER(SP_connect(daemon, "talker", 0, 0, &box, me), ACCEPT_SESSION);
    CHECK_NUMBER(SP_join(box, "group"), 0);
    CHECK_NUMBER(SP_multicast(box, SAFE_MESS, "group", 7, 5, "hello"), 5);
    CHECK_NUMBER(SP_receive(box, &type, from, 4, &count, to, &kind, &other_order, sizeof text, text), 5);
    CHECK(kind == 7 && memcmp(text, "hello", 5) == 0 && strcmp(from, me) == 0);
    CHECK_NUMBER(SP_disconnect(box), 0);
}

static void start_and_stop(int rounds)
{
    torc_daemon *daemon = NULL;
    int round, descriptors = 0, threads = entries("/proc/self/task");

    for (round = 0; round <= rounds; round++) {
        CHECK_NUMBER(torc_start(configuration, "one", &daemon), TORC_OK);
        if (round % 50 == 0) talk(port);
        CHECK_NUMBER(torc_stop(daemon), TORC_OK);
        if (round == 0) descriptors = entries("/proc/self/fd");
    }
    CHECK_NUMBER(entries("/proc/self/fd"), descriptors);
    CHECK_NUMBER(threads_left(threads), threads);
}

static void two_at_once(void)
{
    torc_daemon *one, *two;
    torc_state state;
    torc_path paths[4];
    torc_path path;
    uint64_t number = 0;
    char there[40];

    CHECK_NUMBER(torc_start(configuration, "one", &one), TORC_OK);
    CHECK_NUMBER(torc_start(configuration, "two", &two), TORC_OK);
    CHECK(one != two);
    CHECK_NUMBER(torc_next_path(one, &number, &path, 20000), 1);
    CHECK(number == 1 && strcmp(path.daemon, "two") == 0 && path.network == 0);
    CHECK_NUMBER(path.state, TORC_PATH_HEALTHY);
    CHECK_NUMBER(path.round_trip, TORC_UNKNOWN);
    CHECK_NUMBER(torc_next_path(one, &number, &path, 0), 0);
    do {
        CHECK_NUMBER(torc_status(two, &state), TORC_OK);
    } while (state.daemons != 2);
    CHECK_NUMBER(state.life, TORC_RUNNING);
    CHECK_NUMBER(state.networks, 1);
    CHECK(state.ring > 0 && state.ring_state[0] != '\0');
    CHECK_NUMBER(torc_paths(one, paths, 4), 1);
    CHECK_NUMBER(torc_paths(one, NULL, 0), 1);
    CHECK(strcmp(paths[0].daemon, "two") == 0 && paths[0].heard >= paths[0].first);
    do {
        CHECK_NUMBER(torc_paths(one, paths, 4), 1);
        CHECK(paths[0].loss >= TORC_UNKNOWN && paths[0].loss <= 1000);
    } while (paths[0].loss == TORC_UNKNOWN || paths[0].loss_there == TORC_UNKNOWN || paths[0].round_trip == TORC_UNKNOWN);
    CHECK(paths[0].loss_there >= 0 && paths[0].loss_there <= 1000);
    CHECK(paths[0].round_trip > 0 && paths[0].round_trip < 10000000);
    sprintf(there, "%s@127.0.0.2", port);
    talk(there);
    talk(port);

    CHECK_NUMBER(torc_stop(two), TORC_OK);
    CHECK_NUMBER(torc_next_path(one, &number, &path, 20000), 1);
    CHECK_NUMBER(path.state, TORC_PATH_SILENT);
    CHECK_NUMBER(torc_stop(one), TORC_OK);
}

/* Everything that a daemon counts, those of its network included, under names that stay. */
static void counted(void)
{
    torc_daemon *daemon;
    torc_counter counters[1000], again[1000];
    int count, place, sessions = 0, delivered = 0, sent = 0;

    CHECK_NUMBER(torc_start(configuration, "one", &daemon), TORC_OK);
    /* Those of the network are told when the daemon has looked at it. */
    do {
        count = torc_counters(daemon, counters, 1000);
        CHECK(count > 80 && count < 1000);
    } while (strcmp(counters[count - 1].section, "network") != 0);
    CHECK_NUMBER(torc_counters(daemon, NULL, 0), count);
    counters[1].section = NULL;
    CHECK_NUMBER(torc_counters(daemon, counters, 1), count);
    CHECK(counters[0].section != NULL && counters[1].section == NULL);
    CHECK_NUMBER(torc_counters(daemon, counters, 1000), count);
    do {
        talk(port);
        CHECK_NUMBER(torc_counters(daemon, again, 1000), count);
        for (place = 0; place < count; place++) {
            const torc_counter *it = &again[place];

            CHECK(it->section == counters[place].section && it->key == counters[place].key && it->meaning[0] != '\0');
            CHECK(it->kind == TORC_COUNT || it->kind == TORC_LEVEL || it->kind == TORC_TIMES);
            CHECK(it->network == (strcmp(it->section, "network") == 0 ? 0 : -1));
            CHECK(it->kind == TORC_TIMES || (it->sum == 0 && it->p50 == TORC_UNKNOWN && it->p99 == TORC_UNKNOWN));
            if (strcmp(it->key, "disconnected") == 0 && it->value > 0) sessions = 1;
            if (strcmp(it->key, "sent") == 0 && it->value > 0) sent = 1;
            if (strcmp(it->key, "delivery") == 0 && it->value > 0) {
                CHECK(it->kind == TORC_TIMES && it->p50 > 0 && it->p99 >= it->p50);
                delivered = 1;
            }
        }
    } while (!sessions || !delivered || !sent);
    CHECK_NUMBER(torc_stop(daemon), TORC_OK);
    CHECK_NUMBER(torc_counters(daemon, NULL, 0), TORC_UNKNOWN_DAEMON);
}

static void other_settings(void)
{
    torc_daemon *daemon;
    char text[1000], group[MAX_GROUP_NAME];
    mailbox refused;

    CHECK_NUMBER(torc_start(configuration, "one", &daemon), TORC_OK);
    CHECK_NUMBER(torc_reload(daemon, NULL), TORC_OK);
    sprintf(text, "%s MaxSessions = 0", configuration);
    CHECK_NUMBER(torc_reload(daemon, text), TORC_BAD_CONFIGURATION);
    CHECK(strstr(torc_error(), "MaxSessions must lie between 1 and 999999") != NULL);
    CHECK_NUMBER(torc_reload(daemon, "/no/such/file"), TORC_BAD_CONFIGURATION);
    CHECK_NUMBER(torc_reload(daemon, ""), TORC_BAD_CONFIGURATION);
    CHECK(strcmp(torc_error(), "the file has no daemon one, which this one is") == 0);
    sprintf(text, "%s AllowedAuthMethods = \"IP\"", configuration);
    CHECK_NUMBER(torc_reload(daemon, text), TORC_OK);
    CHECK_NUMBER(SP_connect(port, "late", 0, 0, &refused, group), REJECT_AUTH);
    CHECK_NUMBER(torc_reload(daemon, NULL), TORC_OK);
    CHECK_NUMBER(SP_connect(port, "late", 0, 0, &refused, group), REJECT_AUTH);
    CHECK_NUMBER(torc_reload(daemon, configuration), TORC_OK);
    talk(port);
    CHECK_NUMBER(torc_stop(daemon), TORC_OK);
    CHECK_NUMBER(torc_reload(daemon, NULL), TORC_UNKNOWN_DAEMON);
}

static void mistakes(void)
{
    torc_daemon *daemon = NULL, *again = NULL;
    torc_state state;
    torc_path path;
    uint64_t number = 0;
    struct sockaddr_in address;
    int holder;

    CHECK_NUMBER(torc_start(configuration, "one", NULL), TORC_BAD_ARGUMENT);
    CHECK(strcmp(torc_error(), "daemon is NULL") == 0);
    CHECK_NUMBER(torc_start("Spread_Segment unicast:4803 {\n  one 10.0.0.1\n  one 10.0.0.2\n}", "one", &daemon),
                 TORC_BAD_CONFIGURATION);
    CHECK(strncmp(torc_error(), "configuration:3:3: ", 19) == 0);
    CHECK_NUMBER(torc_start("/no/such/file", NULL, &daemon), TORC_BAD_CONFIGURATION);
    CHECK(strstr(torc_error(), "/no/such/file: cannot be read") != NULL);
    CHECK_NUMBER(torc_start(configuration, "three", &daemon), TORC_BAD_CONFIGURATION);
    CHECK(strstr(torc_error(), "no daemon \"three\"; it has one, two") != NULL);
    CHECK(daemon == NULL);

    CHECK_NUMBER(torc_start(configuration, "one", &daemon), TORC_OK);
    CHECK(torc_error()[0] == '\0');
    CHECK_NUMBER(torc_start(configuration, "one", &again), TORC_ALREADY_RUNNING);
    CHECK(strcmp(torc_error(), "the daemon one already runs in this process") == 0);
    CHECK(again == NULL);
    CHECK_NUMBER(torc_status(daemon, NULL), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_paths(daemon, &path, -1), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_paths(daemon, NULL, 1), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_next_path(daemon, NULL, &path, 0), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_next_path(daemon, &number, NULL, 0), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_drill(daemon, 0, 1), TORC_OK);
    CHECK_NUMBER(torc_drill(daemon, 0, 0), TORC_OK);
    CHECK_NUMBER(torc_drill(daemon, 1, 1), TORC_BAD_ARGUMENT);
    CHECK(strcmp(torc_error(), "the daemon has 1 networks") == 0);
    CHECK_NUMBER(torc_drill(daemon, -1, 1), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_stop(daemon), TORC_OK);
    CHECK_NUMBER(torc_stop(daemon), TORC_UNKNOWN_DAEMON);
    CHECK(strstr(torc_error(), "no such daemon") != NULL);
    CHECK_NUMBER(torc_stop(NULL), TORC_BAD_ARGUMENT);
    CHECK_NUMBER(torc_status(daemon, &state), TORC_UNKNOWN_DAEMON);
    CHECK_NUMBER(torc_paths(daemon, &path, 1), TORC_UNKNOWN_DAEMON);
    CHECK_NUMBER(torc_next_path(daemon, &number, &path, 0), TORC_UNKNOWN_DAEMON);
    CHECK_NUMBER(torc_drill((torc_daemon *)configuration, 0, 0), TORC_UNKNOWN_DAEMON);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(port));
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    holder = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_NUMBER(bind(holder, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_NUMBER(torc_start(configuration, "one", &daemon), TORC_NO_PORT);
    CHECK(strstr(torc_error(), port) != NULL && strstr(torc_error(), "in use") != NULL);
    close(holder);
}

/* The child of a fork has none of its parent's daemons, and may start its own. */
static void child_of_a_fork(void)
{
    torc_daemon *parents, *own;
    int status;
    pid_t child;

    CHECK_NUMBER(torc_start(configuration, "one", &parents), TORC_OK);
    child = fork();
    if (child == 0) {
        failures = 0;
        CHECK_NUMBER(torc_stop(parents), TORC_UNKNOWN_DAEMON);
        CHECK_NUMBER(torc_start(configuration, "two", &own), TORC_OK);
        exit(failures != 0);
    }
    CHECK_NUMBER(waitpid(child, &status, 0), child);
    CHECK_NUMBER(status, 0);
    talk(port);
    CHECK_NUMBER(torc_stop(parents), TORC_OK);
}

int main(int count, char **arguments)
{
    torc_daemon *left;

    if (count != 4) return 2;
    configuration = arguments[1];
    strncpy(port, arguments[2], sizeof port - 1);
    other_settings();
    mistakes();
    counted();
    two_at_once();
    start_and_stop(atoi(arguments[3]));
    child_of_a_fork();
    /* What nobody stops goes with the program. */
    CHECK_NUMBER(torc_start(configuration, "two", &left), TORC_OK);
    CHECK(torc_version()[0] != '\0');
    return failures != 0;
}
