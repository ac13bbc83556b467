/* sp_events.h: timers and an event loop, which sp.h includes. Generated from src/ffi; do not edit. */

#ifndef INC_SP_EVENTS
#define INC_SP_EVENTS

#ifdef __cplusplus
extern "C" {
#endif

/*
 Lowest priority: the loop calls at most one handler in each round.
 */
#define LOW_PRIORITY 0

/*
 Middle priority: the loop calls all ready handlers, in rounds without a ready one of the highest priority.
 */
#define MEDIUM_PRIORITY 1

/*
 Highest priority: the loop calls all ready handlers.
 */
#define HIGH_PRIORITY 2

/*
 File descriptors with events, for each priority.
 */
#define MAX_FD_EVENTS 2000

/*
 How many priorities there are.
 */
#define NUM_PRIORITY 3

/*
 How many kinds of file events there are.
 */
#define NUM_FDTYPES 3

/*
 File event: readable.
 */
#define READ_FD 0

/*
 File event: writable.
 */
#define WRITE_FD 1

/*
 File event: exception.
 */
#define EXCEPT_FD 2

/*
 A time, or a length of time.
 */
struct dummy_time {
    /*
     Seconds.
     */
    long sec;
    /*
     Microseconds.
     */
    long usec;
};

/*
 The name that programs use.
 */
typedef struct dummy_time sp_time;

/*
 Removes all timers and descriptors. Returns 0.
 */
int E_init(void);

/*
 The time since the beginning of 1970.
 */
sp_time E_get_time(void);

/*
 The time of a clock that nobody can set; only the difference of two times has a meaning.
 */
sp_time E_get_time_monotonic(void);

/*
 The sum of two times.
 */
sp_time E_add_time(sp_time t, sp_time delta_t);

/*
 The difference of two times. Its microseconds are never negative; its seconds may be.
 */
sp_time E_sub_time(sp_time t, sp_time delta_t);

/*
 The negative of a time.
 */
sp_time E_neg_time(sp_time t);

/*
 Returns 1 if the first time is later, -1 if it is earlier, and 0 if they are equal.
 */
int E_compare_time(sp_time t1, sp_time t2);

/*
 Sleeps. A signal ends the sleep early.
 */
void E_delay(sp_time t);

/*
 Starts a timer: when this time has passed, the loop calls func once with code and data. If a timer with the same
 function, code and data exists, it gets the new time. Returns 0.
 */
int E_queue(void (*func)(int code, void *data), int code, void *data, sp_time delta_time);

/*
 Cancels a timer. Returns 0, or -1 if there is none with this function, code and data.
 */
int E_dequeue(void (*func)(int code, void *data), int code, void *data);

/*
 Registers func: the loop calls it with descriptor, code and data whenever the descriptor is ready for fd_type
 (READ_FD, WRITE_FD or EXCEPT_FD). Returns 0, or 1 if it replaced the handler for the same event and priority, or -1
 if the descriptor cannot be watched or MAX_FD_EVENTS descriptors are watched already.
 */
int E_attach_fd(int fd, int fd_type, void (*func)(int fd, int code, void *data), int code, void *data, int priority);

/*
 Removes the handlers of this event. Returns 0, or -1 if there are none.
 */
int E_detach_fd(int fd, int fd_type);

/*
 Activates the handlers of this event again. Returns 0, or -1 if there are none.
 */
int E_activate_fd(int fd, int fd_type);

/*
 Deactivates the handlers of this event. Returns 0, or -1 if there are none.
 */
int E_deactivate_fd(int fd, int fd_type);

/*
 Serves only descriptors of this priority and higher ones. Returns the priority, or -1 if it is invalid.
 */
int E_set_active_threshold(int priority);

/*
 The number of active handlers of a priority, or -1 if it is invalid.
 */
int E_num_active(int priority);

/*
 Calls handlers until one of them calls E_exit_events.
 */
void E_handle_events(void);

/*
 Ends the loop after the current handler.
 */
void E_exit_events(void);

#ifdef __cplusplus
}
#endif

#endif /* INC_SP_EVENTS */
