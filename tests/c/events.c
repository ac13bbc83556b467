/* The event loop of classic programs: times, timers, descriptors, priorities, handlers that change everything. */

#include <sp.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#ifdef __cplusplus
extern "C" {
#endif
int E_in_queue(void (*func)(int code, void *data), int code, void *data);
void E_exit_events_async_safe(void);
#ifdef __cplusplus
}
#endif

static const sp_time at_once = {0, 0}, in_an_hour = {3600, 0};
static char heard[100];

static sp_time make_time(long sec, long usec)
{
    sp_time time;

    time.sec = sec;
    time.usec = usec;
    return time;
}

static int same(sp_time time, long sec, long usec)
{
    return time.sec == sec && time.usec == usec;
}

static void hear(int code)
{
    size_t length = strlen(heard);

    heard[length] = (char)code;
    heard[length + 1] = '\0';
}

static void leave(int code, void *data)
{
    (void)data;
    hear(code);
    E_exit_events();
}

static void tick(int code, void *data)
{
    int *left = (int *)data;

    hear(code);
    if (left != NULL) {
        CHECK_NUMBER(E_in_queue(tick, code, data), 0);
        CHECK_NUMBER(--*left > 0 ? E_queue(tick, code, data, at_once) : E_queue(leave, 'l', NULL, at_once), 0);
    }
}

static void on_file(int fd, int code, void *data)
{
    char byte;

    CHECK(data == NULL || *(int *)data == fd);
    CHECK_NUMBER(read(fd, &byte, 1), 1);
    hear(code);
}

static void on_writable(int fd, int code, void *data)
{
    (void)data;
    hear(code);
    CHECK_NUMBER(write(fd, "xyz", 3), 3);
    CHECK_NUMBER(E_detach_fd(fd, WRITE_FD), 0);
}

static void on_file_once(int fd, int code, void *data)
{
    int *other = (int *)data;

    hear(code);
    CHECK_NUMBER(E_detach_fd(fd, READ_FD), 0);
    CHECK_NUMBER(E_detach_fd(*other, READ_FD), 0);
    CHECK_NUMBER(E_detach_fd(fd, READ_FD), -1);
}

static void run(const char *expected)
{
    heard[0] = '\0';
    E_handle_events();
    if (strcmp(heard, expected) != 0) {
        printf("%s, not %s\n", heard, expected);
        failures++;
    }
}

static void times(void)
{
    sp_time now = E_get_time(), clock = E_get_time_monotonic();

    CHECK(now.sec > 1000000000 && now.usec >= 0 && now.usec < 1000000);
    CHECK(same(E_add_time(make_time(1, 600000), make_time(2, 500000)), 4, 100000));
    CHECK(same(E_add_time(make_time(1, 600000), make_time(2, 400000)), 4, 0));
    CHECK(same(E_sub_time(make_time(0, 500000), make_time(0, 600000)), -1, 900000));
    CHECK(same(E_sub_time(make_time(3, 1), make_time(1, 2)), 1, 999999));
    CHECK(same(E_add_time(E_neg_time(make_time(3, 1)), make_time(3, 1)), 0, 0));
    CHECK_NUMBER(E_compare_time(make_time(1, 2), make_time(1, 1)), 1);
    CHECK_NUMBER(E_compare_time(make_time(1, 2), make_time(2, 1)), -1);
    CHECK_NUMBER(E_compare_time(make_time(1, 2), make_time(1, 2)), 0);
    E_delay(make_time(0, 1));
    E_delay(make_time(-1, 0));
    CHECK_NUMBER(E_compare_time(E_get_time_monotonic(), clock), 1);
}

static void timers(void)
{
    int left = 3;

    CHECK_NUMBER(E_init(), 0);
    CHECK_NUMBER(E_queue(NULL, 'n', NULL, at_once), -1);
    CHECK_NUMBER(E_queue(tick, 'd', NULL, at_once), 0);
    CHECK_NUMBER(E_dequeue(tick, 'd', NULL), 0);
    CHECK_NUMBER(E_dequeue(tick, 'd', NULL), -1);
    CHECK_NUMBER(E_dequeue(NULL, 'd', NULL), -1);
    CHECK_NUMBER(E_queue(tick, 'b', NULL, at_once), 0);
    CHECK_NUMBER(E_queue(tick, 'h', NULL, in_an_hour), 0);
    CHECK_NUMBER(E_queue(tick, 'a', NULL, make_time(-5, 0)), 0);
    CHECK_NUMBER(E_queue(tick, 't', &left, at_once), 0);
    run("batttl");
    CHECK_NUMBER(E_in_queue(tick, 'h', NULL), 1);
    CHECK_NUMBER(E_queue(tick, 'h', NULL, at_once), 0);
    CHECK_NUMBER(E_queue(leave, 'l', NULL, at_once), 0);
    run("hl");
}

static void arguments(int fd)
{
    int i;

    CHECK_NUMBER(E_attach_fd(-1, READ_FD, on_file, 0, NULL, LOW_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(1024, READ_FD, on_file, 0, NULL, LOW_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(fd, NUM_FDTYPES, on_file, 0, NULL, LOW_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(fd, -1, on_file, 0, NULL, LOW_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(fd, READ_FD, on_file, 0, NULL, NUM_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(fd, READ_FD, on_file, 0, NULL, -1), -1);
    CHECK_NUMBER(E_attach_fd(fd, READ_FD, NULL, 0, NULL, LOW_PRIORITY), -1);
    CHECK_NUMBER(E_detach_fd(fd, READ_FD), -1);
    CHECK_NUMBER(E_detach_fd(fd, 7), -1);
    CHECK_NUMBER(E_activate_fd(fd, READ_FD), -1);
    CHECK_NUMBER(E_deactivate_fd(fd, READ_FD), -1);
    CHECK_NUMBER(E_set_active_threshold(3), -1);
    CHECK_NUMBER(E_num_active(-1), -1);
    for (i = 0; i < MAX_FD_EVENTS; i++) {
        CHECK_NUMBER(E_attach_fd(i / 2, i % 2, on_file, 0, NULL, HIGH_PRIORITY), 0);
    }
    CHECK_NUMBER(E_attach_fd(1001, READ_FD, on_file, 0, NULL, HIGH_PRIORITY), -1);
    CHECK_NUMBER(E_attach_fd(999, WRITE_FD, on_file, 0, NULL, HIGH_PRIORITY), 1);
    CHECK_NUMBER(E_num_active(HIGH_PRIORITY), MAX_FD_EVENTS);
    E_init();
}

static void files(void)
{
    int low[2], high[2];

    CHECK(pipe(low) == 0 && pipe(high) == 0);
    arguments(low[0]);
    CHECK_NUMBER(E_attach_fd(low[0], READ_FD, on_file, 'o', &low[0], LOW_PRIORITY), 0);
    CHECK_NUMBER(E_attach_fd(low[0], READ_FD, on_file, 'l', &low[0], LOW_PRIORITY), 1);
    CHECK_NUMBER(E_attach_fd(high[0], READ_FD, on_file, 'h', NULL, HIGH_PRIORITY), 0);
    CHECK_NUMBER(E_attach_fd(high[1], WRITE_FD, on_writable, 'w', NULL, MEDIUM_PRIORITY), 0);
    CHECK_NUMBER(write(low[1], "abc", 3), 3);
    E_queue(leave, 'e', NULL, at_once);
    /* A low one in each round; the timers wait until nothing else is urgent. */
    run("wlhlhlhe");

    CHECK_NUMBER(write(low[1], "a", 1), 1);
    CHECK_NUMBER(write(high[1], "b", 1), 1);
    CHECK_NUMBER(E_set_active_threshold(MEDIUM_PRIORITY), MEDIUM_PRIORITY);
    CHECK_NUMBER(E_deactivate_fd(high[0], READ_FD), 0);
    CHECK_NUMBER(E_num_active(HIGH_PRIORITY) + E_num_active(LOW_PRIORITY), 1);
    E_queue(leave, 'e', NULL, at_once);
    run("e");
    CHECK_NUMBER(E_set_active_threshold(LOW_PRIORITY), LOW_PRIORITY);
    CHECK_NUMBER(E_activate_fd(high[0], READ_FD), 0);
    E_queue(leave, 'e', NULL, at_once);
    run("hle");

    CHECK(write(low[1], "a", 1) == 1 && write(high[1], "b", 1) == 1);
    CHECK_NUMBER(E_attach_fd(high[0], READ_FD, on_file_once, 'o', &low[0], HIGH_PRIORITY), 1);
    E_queue(leave, 'e', NULL, at_once);
    run("oe");
    CHECK(close(low[0]) == 0 && close(low[1]) == 0 && close(high[0]) == 0 && close(high[1]) == 0);
}

/* Windows has no signals that come to a thread. */
#ifndef _WIN32
static void on_signal(int signal)
{
    (void)signal;
    E_exit_events_async_safe();
}

static void *interrupt(void *thread)
{
    CHECK_NUMBER(pthread_kill(*(pthread_t *)thread, SIGUSR1), 0);
    return NULL;
}

static void start(int code, void *data)
{
    pthread_t *threads = (pthread_t *)data;

    hear(code);
    threads[0] = pthread_self();
    CHECK_NUMBER(pthread_create(&threads[1], NULL, interrupt, &threads[0]), 0);
}

/* Whether the signal comes before the loop waits or while it does, nothing else ends the wait. */
static void signals(void)
{
    struct sigaction action;
    pthread_t threads[2];
    int i;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK_NUMBER(sigaction(SIGUSR1, &action, NULL), 0);
    E_init();
    E_queue(tick, 'h', NULL, in_an_hour);
    for (i = 0; i < 20; i++) {
        E_queue(start, 's', threads, at_once);
        run("s");
        CHECK_NUMBER(pthread_join(threads[1], NULL), 0);
    }
}
#endif

int main(void)
{
    times();
    timers();
    files();
#ifndef _WIN32
    signals();
#endif
    return failures != 0;
}
