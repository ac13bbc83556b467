/* Every function of the interface, with the type that existing programs know. Linking proves that the library has it. */

#include <fl.h>
#include <torc.h>

#include "check.h"

typedef int (*auth_function)(int, void *);

static int (*const connect_)(const char *, const char *, int, int, mailbox *, char *) = SP_connect;
static int (*const connect_timeout_)(const char *, const char *, int, int, mailbox *, char *, sp_time) =
    SP_connect_timeout;
static int (*const disconnect_)(mailbox) = SP_disconnect;
static void (*const kill_)(mailbox) = SP_kill;
static int (*const set_auth_method_)(const char *, auth_function, void *) = SP_set_auth_method;
static int (*const set_auth_methods_)(int, const char *[], auth_function[], void *[]) = SP_set_auth_methods;
static int (*const version_)(int *, int *, int *) = SP_version;
static int (*const join_)(mailbox, const char *) = SP_join;
static int (*const leave_)(mailbox, const char *) = SP_leave;
static int (*const multicast_)(mailbox, service, const char *, int16, int, const char *) = SP_multicast;
static int (*const scat_multicast_)(mailbox, service, const char *, int16, const scatter *) = SP_scat_multicast;
static int (*const multigroup_)(mailbox, service, int, const char[][MAX_GROUP_NAME], int16, int, const char *) =
    SP_multigroup_multicast;
static int (*const multigroup_scat_)(mailbox, service, int, const char[][MAX_GROUP_NAME], int16, const scatter *) =
    SP_multigroup_scat_multicast;
static int (*const receive_)(mailbox, service *, char[MAX_GROUP_NAME], int, int *, char[][MAX_GROUP_NAME], int16 *,
                             int *, int, char *) = SP_receive;
static int (*const scat_receive_)(mailbox, service *, char[MAX_GROUP_NAME], int, int *, char[][MAX_GROUP_NAME],
                                  int16 *, int *, scatter *) = SP_scat_receive;
static int (*const poll_)(mailbox) = SP_poll;
static int (*const memb_info_)(const char *, const service, membership_info *) = SP_get_memb_info;
static int (*const vs_sets_info_)(const char *, vs_set_info *, int, unsigned int *) = SP_get_vs_sets_info;
static int (*const vs_set_members_)(const char *, const vs_set_info *, char[][MAX_GROUP_NAME], int) =
    SP_get_vs_set_members;
static int (*const scat_memb_info_)(const scatter *, const service, membership_info *) = SP_scat_get_memb_info;
static int (*const scat_vs_sets_info_)(const scatter *, vs_set_info *, int, unsigned int *) =
    SP_scat_get_vs_sets_info;
static int (*const scat_vs_set_members_)(const scatter *, const vs_set_info *, char[][MAX_GROUP_NAME], int) =
    SP_scat_get_vs_set_members;
static int (*const equal_group_ids_)(group_id, group_id) = SP_equal_group_ids;
static void (*const error_)(int) = SP_error;
static const char *(*const strerror_)(int) = SP_strerror;

typedef void (*timer_function)(int, void *);
typedef void (*file_function)(int, int, void *);

static int (*const init_)(void) = E_init;
static sp_time (*const time_)(void) = E_get_time;
static sp_time (*const time_monotonic_)(void) = E_get_time_monotonic;
static sp_time (*const add_time_)(sp_time, sp_time) = E_add_time;
static sp_time (*const sub_time_)(sp_time, sp_time) = E_sub_time;
static sp_time (*const neg_time_)(sp_time) = E_neg_time;
static int (*const compare_time_)(sp_time, sp_time) = E_compare_time;
static int (*const queue_)(timer_function, int, void *, sp_time) = E_queue;
static int (*const dequeue_)(timer_function, int, void *) = E_dequeue;
static void (*const delay_)(sp_time) = E_delay;
static int (*const attach_)(int, int, file_function, int, void *, int) = E_attach_fd;
static int (*const detach_)(int, int) = E_detach_fd;
static int (*const activate_)(int, int) = E_activate_fd;
static int (*const deactivate_)(int, int) = E_deactivate_fd;
static int (*const threshold_)(int) = E_set_active_threshold;
static int (*const num_active_)(int) = E_num_active;
static void (*const handle_)(void) = E_handle_events;
static void (*const exit_)(void) = E_exit_events;

static int (*const fl_init_)(void) = FL_lib_init;
static void (*const fl_version_)(int *, int *, int *) = FL_version;
static int (*const fl_connect_)(const char *, const char *, int, mailbox *, char *) = FL_connect;
static int (*const fl_disconnect_)(mailbox) = FL_disconnect;
static int (*const fl_join_)(mailbox, const char *) = FL_join;
static int (*const fl_leave_)(mailbox, const char *) = FL_leave;
static int (*const fl_flush_)(mailbox, const char *) = FL_flush;
static int (*const fl_multicast_)(mailbox, service, const char *, int16, int, const char *) = FL_multicast;
static int (*const fl_scat_multicast_)(mailbox, service, const char *, int16, const scatter *) = FL_scat_multicast;
static int (*const fl_unicast_)(mailbox, service, const char *, const char *, int16, int, const char *) = FL_unicast;
static int (*const fl_scat_unicast_)(mailbox, service, const char *, const char *, int16, const scatter *) =
    FL_scat_unicast;
static int (*const fl_subgroup_)(mailbox, service, const char *, int, char[][MAX_GROUP_NAME], int16, int,
                                 const char *) = FL_subgroupcast;
static int (*const fl_scat_subgroup_)(mailbox, service, const char *, int, char[][MAX_GROUP_NAME], int16,
                                      const scatter *) = FL_scat_subgroupcast;
static int (*const fl_receive_)(mailbox, service *, char *, int, int *, char[][MAX_GROUP_NAME], int16 *, int *, int,
                                char *, int *) = FL_receive;
static int (*const fl_scat_receive_)(mailbox, service *, char *, int, int *, char[][MAX_GROUP_NAME], int16 *, int *,
                                     scatter *, int *) = FL_scat_receive;
static int (*const fl_more_)(mailbox) = FL_more_msgs;
static int (*const fl_poll_)(mailbox) = FL_poll;
static void (*const fl_error_)(int) = FL_error;
static int (*const fl_gid_)(void) = FL_get_gid_offset_memb_mess;
static int (*const fl_num_vs_)(void) = FL_get_num_vs_offset_memb_mess;
static int (*const fl_vs_set_)(void) = FL_get_vs_set_offset_memb_mess;
static int (*const torc_start_)(const char *, const char *, torc_daemon **) = torc_start;
static int (*const torc_stop_)(torc_daemon *) = torc_stop;
static int (*const torc_status_)(torc_daemon *, torc_state *) = torc_status;
static int (*const torc_reload_)(torc_daemon *, const char *) = torc_reload;
static int (*const torc_paths_)(torc_daemon *, torc_path *, int) = torc_paths;
static int (*const torc_next_path_)(torc_daemon *, uint64_t *, torc_path *, int) = torc_next_path;
static int (*const torc_counters_)(torc_daemon *, torc_counter *, int) = torc_counters;
static int (*const torc_drill_)(torc_daemon *, int, int) = torc_drill;
static int (*const torc_message_limit_)(int) = torc_message_limit;
static const char *(*const torc_error_)(void) = torc_error;
static const char *(*const torc_version_)(void) = torc_version;

int main(void)
{
    CHECK(torc_start_ && torc_stop_ && torc_reload_ && torc_status_ && torc_paths_ && torc_next_path_);
    CHECK(torc_counters_ && torc_drill_ && torc_message_limit_ && torc_error_ && torc_version_);
    CHECK(init_ && time_ && time_monotonic_ && add_time_ && sub_time_ && neg_time_ && compare_time_);
    CHECK(queue_ && dequeue_ && delay_ && attach_ && detach_ && activate_ && deactivate_);
    CHECK(threshold_ && num_active_ && handle_ && exit_);
    CHECK(fl_init_ && fl_version_ && fl_connect_ && fl_disconnect_ && fl_join_ && fl_leave_ && fl_flush_);
    CHECK(fl_multicast_ && fl_scat_multicast_ && fl_unicast_ && fl_scat_unicast_ && fl_subgroup_ && fl_scat_subgroup_);
    CHECK(fl_receive_ && fl_scat_receive_ && fl_more_ && fl_poll_ && fl_error_ && fl_gid_ && fl_num_vs_ && fl_vs_set_);
    CHECK(connect_ && connect_timeout_ && disconnect_ && kill_ && set_auth_method_ && set_auth_methods_ && version_);
    CHECK(join_ && leave_ && multicast_ && scat_multicast_ && multigroup_ && multigroup_scat_);
    CHECK(receive_ && scat_receive_ && poll_);
    CHECK(memb_info_ && vs_sets_info_ && vs_set_members_);
    CHECK(scat_memb_info_ && scat_vs_sets_info_ && scat_vs_set_members_);
    CHECK(equal_group_ids_ && error_ && strerror_);
    return failures != 0;
}
