/* torc.h: what there is beyond Spread: daemons inside a program, and how large a message may be. Generated from src/ffi; do not edit. */

#ifndef INC_TORC
#define INC_TORC

#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/*
 Success.
 */
#define TORC_OK 0

/*
 An argument is NULL or out of range.
 */
#define TORC_BAD_ARGUMENT -1

/*
 The configuration cannot be read, has mistakes, or does not say which daemon to be.
 */
#define TORC_BAD_CONFIGURATION -2

/*
 A port or socket that the daemon needs is in use or cannot be opened.
 */
#define TORC_NO_PORT -3

/*
 The daemon with this name of this configuration runs already in this process.
 */
#define TORC_ALREADY_RUNNING -4

/*
 There is no such daemon in this process; perhaps it was stopped before.
 */
#define TORC_UNKNOWN_DAEMON -5

/*
 The system refused something that every program gets, or the process has too many daemons.
 */
#define TORC_SYSTEM -6

/*
 A fault inside the library.
 */
#define TORC_BUG -7

/*
 The daemon runs.
 */
#define TORC_RUNNING 1

/*
 The daemon failed; its clients have lost their connections. Stop it and start it again.
 */
#define TORC_CRASHED 2

/*
 The other daemon is not heard on any network.
 */
#define TORC_PATH_SILENT 0

/*
 The other daemon is heard on this network.
 */
#define TORC_PATH_HEALTHY 1

/*
 The other daemon is heard on another network, but not on this one.
 */
#define TORC_PATH_FAULTY 2

/*
 The other daemon is heard on this network again, but not for long yet, or has just switched it on, or many packets are lost.
 */
#define TORC_PATH_PROBATION 3

/*
 The other daemon has switched this network off.
 */
#define TORC_PATH_OFF 4

/*
 What a path's measures are before anything was measured.
 */
#define TORC_UNKNOWN -1

/*
 Bytes of a name, the NUL included.
 */
#define TORC_NAME_SIZE 20

/*
 The counter says how often something happened since the daemon started.
 */
#define TORC_COUNT 0

/*
 The counter says how much of something there is now.
 */
#define TORC_LEVEL 1

/*
 The counter says how long something took, each time since the daemon started.
 */
#define TORC_TIMES 2

/*
 A daemon inside this process. It is never read or written by the program.
 */
typedef struct torc_daemon torc_daemon;

/*
 What a daemon is doing, at most a second old.
 */
typedef struct torc_state {
    /*
     TORC_RUNNING or TORC_CRASHED.
     */
    int life;
    /*
     Daemons in the ring, this one included; 0 before the first ring is formed.
     */
    int daemons;
    /*
     Connected clients.
     */
    int clients;
    /*
     Networks.
     */
    int networks;
    /*
     The ring's state: gather, form, recovery or operational.
     */
    char ring_state[TORC_NAME_SIZE];
    /*
     The number of the ring; it grows with each change.
     */
    uint64_t ring;
    /*
     Messages delivered in order so far.
     */
    uint64_t messages;
    /*
     Zero, for later versions.
     */
    uint64_t reserved[8];
} torc_state;

/*
 Another daemon on one network, as it is heard here.
 */
typedef struct torc_path {
    /*
     The other daemon's name.
     */
    char daemon[TORC_NAME_SIZE];
    /*
     The network, counted from 0.
     */
    int network;
    /*
     One of the states TORC_PATH_SILENT to TORC_PATH_OFF.
     */
    int state;
    /*
     Packets heard on it.
     */
    uint64_t heard;
    /*
     Packets of which it brought the first copy.
     */
    uint64_t first;
    /*
     How many thousandths of the other daemon's latest reports, 64 at most, were lost on the way here, or TORC_UNKNOWN.
     */
    int loss;
    /*
     How many thousandths of this daemon's latest reports were lost on the way there, as the other one says, or
     TORC_UNKNOWN.
     */
    int loss_there;
    /*
     Microseconds to the other daemon and back, smoothed, or TORC_UNKNOWN.
     */
    int64_t round_trip;
    /*
     Zero, for later versions.
     */
    uint64_t reserved[2];
} torc_path;

/*
 Something that a daemon counts or measures, at most a second old.
 */
typedef struct torc_counter {
    /*
     The part of the daemon that counts. This text, like the next two, is never freed.
     */
    const char *section;
    /*
     What is counted, unique in its section.
     */
    const char *key;
    /*
     The same in a sentence.
     */
    const char *meaning;
    /*
     TORC_COUNT, TORC_LEVEL or TORC_TIMES.
     */
    int kind;
    /*
     The network, counted from 0, or -1 if it is not of one network.
     */
    int network;
    /*
     The number; of times, how often they were measured.
     */
    uint64_t value;
    /*
     All times together, in microseconds; otherwise 0.
     */
    uint64_t sum;
    /*
     The time that half of all times do not exceed, in microseconds, or TORC_UNKNOWN.
     */
    int64_t p50;
    /*
     The time that 99 of a hundred do not exceed, in microseconds, or TORC_UNKNOWN.
     */
    int64_t p99;
    /*
     Zero, for later versions.
     */
    uint64_t reserved[2];
} torc_counter;

/*
 Starts a daemon inside this process; its ports are open when this returns.
 configuration is the name of a file, or the text of one if it has a brace. NULL or "" is the daemon "localhost" on
 127.0.0.1, port 4803. name is the daemon's name in the configuration; NULL or "" is the only one, or the one that has
 an address of this machine. Programs connect to it as to any other, and those of this process by a shorter way.
 Returns TORC_OK or a negative code.
 */
int torc_start(const char *configuration, const char *name, struct torc_daemon **daemon);

/*
 Stops a daemon and waits until that is done. It leaves its ring at once, and its clients lose their connections.
 Daemons that were not stopped are when the program exits; on Windows they only end, and the others find that out.
 Returns TORC_OK, or TORC_UNKNOWN_DAEMON, also the second time.
 */
int torc_stop(struct torc_daemon *daemon);

/*
 Reads the configuration of a daemon again and takes over what it says otherwise: policy, priorities, times, limits and
 rules for clients at once, other daemons and networks when all of the ring have read it. configuration is as for torc_start; NULL is the file or text that the daemon works by.
 After an error, whose reason torc_error says, everything is as it was. Returns TORC_OK or a negative code.
 */
int torc_reload(struct torc_daemon *daemon,
                const char *configuration);

/*
 What a daemon is doing. Returns TORC_OK or a negative code.
 */
int torc_status(struct torc_daemon *daemon, struct torc_state *state);

/*
 The other daemons on each network, up to count of them. Returns how many there are, perhaps more than count, or a
 negative code.
 */
int torc_paths(struct torc_daemon *daemon, struct torc_path *paths, int count);

/*
 The next change of a path. Changes are numbered from 1: number is that of the last one seen, at first 0, and becomes
 that of this one; if it grows by more than 1, the ones between came too long ago. Waits for milliseconds at most.
 Returns 1, or 0 if there was no change in that time or the daemon has ended, or a negative code.
 */
int torc_next_path(struct torc_daemon *daemon, uint64_t *number, struct torc_path *path, int milliseconds);

/*
 Begins or ends a failure drill: while it is on, everything that this daemon sends and receives on a network is lost.
 Returns TORC_OK or a negative code.
 */
int torc_drill(struct torc_daemon *daemon, int network, int on);

/*
 What went wrong in this thread's last torc function, or "" if nothing did, or why SPREAD_EMBEDDED started no daemon
 for its last SP_connect. The text lasts until the thread's next such call.
 */
const char *torc_error(void);

/*
 The version of this library, which is not that of the interface.
 */
const char *torc_version(void);

/*
 Everything that a daemon counts, up to count of it. Returns how many counters there are, perhaps more than count, or
 a negative code.
 */
int torc_counters(struct torc_daemon *daemon, struct torc_counter *counters, int count);

/*
 The most bytes that one message of a mailbox can have: body and group names, 32 bytes for each name. Asks the daemon, on a
 connection of its own, if that was not done before; a classic one does not say, and 143152 is what every one takes.
 SPREAD_MAX_MESSAGE overrides what the daemon says. Returns the number, or an error code of sp.h.
 */
int torc_message_limit(int mbox);

#ifdef __cplusplus
}
#endif

#endif /* INC_TORC */
