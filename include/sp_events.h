/* sp_events.h: timers and an event loop, which sp.h includes. Generated from src/ffi; do not edit. */

#ifndef INC_SP_EVENTS
#define INC_SP_EVENTS

#ifdef __cplusplus
extern "C" {
#endif

/*
 Lowest priority: at most one handler in each round of the loop.
 */
#define LOW_PRIORITY 0

/*
 Middle priority: all that are ready, in rounds without the highest.
 */
#define MEDIUM_PRIORITY 1

/*
 Highest priority: all that are ready.
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
 What programs call it.
 */
typedef struct dummy_time sp_time;

/*
 Forgets all timers and descriptors. Returns 0.
 */
int E_init(void);

/*
 The time since the beginning of 1970.
 */
sp_time E_get_time(void);

/*
 The time of a clock that nobody sets; only differences mean something.
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
 What added to the time gives zero.
 */
sp_time E_neg_time(sp_time t);

/*
 Returns 1 if the first time is later, -1 if it is earlier, 0 if they are the same.
 */
int E_compare_time(sp_time t1, sp_time t2);

/*
 Sleeps, less if a signal comes.
 */
void E_delay(sp_time t);

/*
 Has func called once by the loop, with code and data, when this time has passed. Function, code and data that are
 queued already get the new time. Returns 0.
 */
int E_queue(void (*func)(int code, void *data), int code, void *data, sp_time delta_time);

/*
 Takes a timer back. Returns 0, or -1 if there is none with this function, code and data.
 */
int E_dequeue(void (*func)(int code, void *data), int code, void *data);

/*
 Has func called by the loop, with descriptor, code and data, whenever the descriptor is ready for fd_type: READ_FD,
 WRITE_FD or EXCEPT_FD. Returns 0, or 1 if it replaced the handler for the same event at the same priority, or -1 if
 the descriptor cannot be watched or MAX_FD_EVENTS are.
 */
int E_attach_fd(int fd, int fd_type, void (*func)(int fd, int code, void *data), int code, void *data, int priority);

/*
 Watches the descriptor no more for this event. Returns 0, or -1 if it was not.
 */
int E_detach_fd(int fd, int fd_type);

/*
 Serves the handlers of this event again. Returns 0, or -1 if there are none.
 */
int E_activate_fd(int fd, int fd_type);

/*
 Keeps the handlers of this event from being called, until they are activated. Returns 0, or -1 if there are none.
 */
int E_deactivate_fd(int fd, int fd_type);

/*
 Serves only descriptors of this priority and above. Returns the priority, or -1 if it is none.
 */
int E_set_active_threshold(int priority);

/*
 The number of active handlers of a priority, or -1 if it is none.
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
