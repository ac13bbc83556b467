/* sp_func.h: the functions of sp.h, which includes this. Generated from src/ffi; do not edit. */

#ifndef INC_SP_FUNC
#define INC_SP_FUNC

#include "sp.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 Connects to a daemon: "port" on this machine, "port@host" elsewhere, NULL or "" for port 4803 on this machine. If
 private_name is NULL or "", the daemon invents a name; a name is cut to 10 characters. With group_membership the
 connection receives membership messages. private_group is an array of MAX_GROUP_NAME bytes. Returns ACCEPT_SESSION
 or a negative code.
 */
int SP_connect(const char *spread_name,
               const char *private_name,
               int priority,
               int group_membership,
               mailbox *mbox,
               char *private_group);

/*
 Like SP_connect, with a time limit; zero means no limit.
 */
int SP_connect_timeout(const char *spread_name,
                       const char *private_name,
                       int priority,
                       int group_membership,
                       mailbox *mbox,
                       char *private_group,
                       sp_time time_out);

/*
 Closes a connection. Returns 0, or ILLEGAL_SESSION for an unknown mailbox. For -1, which is never a mailbox, it
 returns 0.
 */
int SP_disconnect(mailbox mbox);

/*
 Closes the mailbox in this process without telling the daemon. It is for one of the two processes after a fork.
 */
void SP_kill(mailbox mbox);

/*
 Registers one authentication method for later connects, in place of all others. Returns 1, or 0 if it is invalid.
 */
int SP_set_auth_method(const char *auth_name, int (*auth_function)(int, void*), void *auth_data);

/*
 Registers up to three authentication methods for later connects, in place of all others. Returns 1, or 0 if one of
 them is invalid; then nothing changes.
 */
int SP_set_auth_methods(int num_methods, const char **auth_name, int (**auth_function)(int, void*), void **auth_data);

/*
 The version of the programming interface. Returns 1, or 0 if a pointer is NULL.
 */
int SP_version(int *major_version, int *minor_version, int *patch_version);

/*
 Requests to join a group. Returns 0 when the request is sent; a membership message follows.
 */
int SP_join(mailbox mbox, const char *group);

/*
 Requests to leave a group. Returns 0 when the request is sent; a membership message follows.
 */
int SP_leave(mailbox mbox, const char *group);

/*
 Sends a message to a group or private group. Returns the number of bytes sent, or a negative code.
 */
int SP_multicast(mailbox mbox,
                 service service_type,
                 const char *group,
                 short mess_type,
                 int mess_len,
                 const char *mess);

/*
 Sends a message in pieces to a group or private group. Returns the number of bytes sent, or a negative code.
 */
int SP_scat_multicast(mailbox mbox, service service_type, const char *group, short mess_type, const scatter *scat_mess);

/*
 Sends a message to several groups. A member of several of them receives it once. Returns the number of bytes sent,
 or a negative code.
 */
int SP_multigroup_multicast(mailbox mbox,
                            service service_type,
                            int num_groups,
                            const char (*groups)[MAX_GROUP_NAME],
                            short mess_type,
                            int mess_len,
                            const char *mess);

/*
 Sends a message in pieces to several groups. Returns the number of bytes sent, or a negative code.
 */
int SP_multigroup_scat_multicast(mailbox mbox,
                                 service service_type,
                                 int num_groups,
                                 const char (*groups)[MAX_GROUP_NAME],
                                 short mess_type,
                                 const scatter *scat_mess);

/*
 Waits for a message and returns the length of its body. As an input service_type may have DROP_RECV. Without it, if
 groups or body do not fit, the call returns GROUPS_TOO_SHORT with the negated number of groups in num_groups, or
 BUFFER_TOO_SHORT with the negated length in endian_mismatch, and the next call returns the same message again.
 */
int SP_receive(mailbox mbox,
               service *service_type,
               char *sender,
               int max_groups,
               int *num_groups,
               char (*groups)[MAX_GROUP_NAME],
               short *mess_type,
               int *endian_mismatch,
               int max_mess_len,
               char *mess);

/*
 Like SP_receive, with the body spread over the elements of a scatter in order.
 */
int SP_scat_receive(mailbox mbox,
                    service *service_type,
                    char *sender,
                    int max_groups,
                    int *num_groups,
                    char (*groups)[MAX_GROUP_NAME],
                    short *mess_type,
                    int *endian_mismatch,
                    scatter *scat_mess);

/*
 The number of bytes that can be received, headers included; 0 if none. Never blocks.
 */
int SP_poll(mailbox mbox);

/*
 Reads a membership message's body. Returns 1, or ILLEGAL_MESSAGE for another kind of message.
 */
int SP_get_memb_info(const char *memb_mess, service service_type, membership_info *memb_info);

/*
 Lists the sets of members that came together, and which of them is the receiver's. Returns the number of sets, or
 BUFFER_TOO_SHORT if the array is too small.
 */
int SP_get_vs_sets_info(const char *memb_mess, vs_set_info *vs_sets, int num_vs_sets, unsigned int *my_vs_set_index);

/*
 Lists the members of a set. Returns the number of members, or BUFFER_TOO_SHORT if the array is too small.
 */
int SP_get_vs_set_members(const char *memb_mess,
                          const vs_set_info *vs_set,
                          char (*member_names)[MAX_GROUP_NAME],
                          int member_names_count);

/*
 Like SP_get_memb_info, for a body in several parts.
 */
int SP_scat_get_memb_info(const scatter *memb_mess, service service_type, membership_info *memb_info);

/*
 Like SP_get_vs_sets_info, for a body in several parts.
 */
int SP_scat_get_vs_sets_info(const scatter *memb_mess,
                             vs_set_info *vs_sets,
                             int num_vs_sets,
                             unsigned int *my_vs_set_index);

/*
 Like SP_get_vs_set_members, for a body in several parts.
 */
int SP_scat_get_vs_set_members(const scatter *memb_mess,
                               const vs_set_info *vs_set,
                               char (*member_names)[MAX_GROUP_NAME],
                               int member_names_count);

/*
 Returns 1 if both identify the same view, and 0 otherwise.
 */
int SP_equal_group_ids(group_id g1, group_id g2);

/*
 Prints a line about an error code to standard output.
 */
void SP_error(int error);

/*
 A short English text about an error code. It is constant and needs no release.
 */
const char *SP_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif /* INC_SP_FUNC */
