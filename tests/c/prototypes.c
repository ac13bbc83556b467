/* Every function of the interface, with the type that existing programs know. Linking proves that the library has it. */

#include <sp.h>

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

int main(void)
{
    CHECK(connect_ && connect_timeout_ && disconnect_ && kill_ && set_auth_method_ && set_auth_methods_ && version_);
    CHECK(join_ && leave_ && multicast_ && scat_multicast_ && multigroup_ && multigroup_scat_);
    CHECK(receive_ && scat_receive_ && poll_);
    CHECK(memb_info_ && vs_sets_info_ && vs_set_members_);
    CHECK(scat_memb_info_ && scat_vs_sets_info_ && scat_vs_set_members_);
    CHECK(equal_group_ids_ && error_ && strerror_);
    return failures != 0;
}
