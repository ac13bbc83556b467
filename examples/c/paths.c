/* paths CONFIGURATION NAME: be a daemon of a ring and show how the others are heard on each network.

   The input may say `cut N` and `heal N` for a failure drill on network N; its end is the end of the daemon. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <torc.h>

static torc_daemon *daemon_here;

static void *obey(void *unused)
{
    char line[100], order[10], more[2];
    int network;

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%9s %d %1s", order, &network, more) != 2 || (strcmp(order, "cut") != 0 && strcmp(order, "heal") != 0)) {
            printf("say: cut N, or heal N\n");
            fflush(stdout);
        } else if (torc_drill(daemon_here, network, strcmp(order, "cut") == 0) != TORC_OK) {
            fprintf(stderr, "%s\n", torc_error());
        }
    }
    torc_stop(daemon_here);
    return unused;
}

int main(int count, char **arguments)
{
    static const char *const states[] = {"silent", "healthy", "faulty", "probation", "off"};
    const int num_states = sizeof states / sizeof states[0];
    uint64_t seen = 0;
    torc_path path;
    int result;
    pthread_t obeying;

    if (count != 3) return fprintf(stderr, "usage: paths CONFIGURATION NAME\n"), 2;
    if (torc_start(arguments[1], arguments[2], &daemon_here) != TORC_OK) {
        return fprintf(stderr, "%s\n", torc_error()), 1;
    }
    pthread_create(&obeying, NULL, obey, NULL);
    while ((result = torc_next_path(daemon_here, &seen, &path, 60000)) >= 0) {
        if (result == 0) continue;
        printf("%s on network %d: %s\n", path.daemon, path.network,
               path.state < num_states ? states[path.state] : "another state");
        fflush(stdout);
    }
    pthread_join(obeying, NULL);
    return result == TORC_UNKNOWN_DAEMON ? 0 : 1;
}
