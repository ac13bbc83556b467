/* fl.h: the Flush interface of Spread 4, as the Torc library provides it. Generated from src/ffi; do not edit. */

#ifndef INC_FL
#define INC_FL

#include "sp.h"

/* What a received message is, besides what sp.h knows. These give 0 or 1. */
#define Is_flush_req_mess(type) (((type) & FLUSH_REQ_MESS) != 0)
#define Is_subgroup_mess(type) (((type) & SUBGROUP_CAST) != 0)

#ifdef __cplusplus
extern "C" {
#endif

/*
 For the receive functions: return WOULD_BLOCK instead of waiting.
 */
#define DONT_BLOCK (1 << 28)

/*
 A request to flush the group that is named as the sender.
 */
#define FLUSH_REQ_MESS (1 << 29)

/*
 A message to some members of the group that is the last of its groups.
 */
#define SUBGROUP_CAST (1 << 30)

/*
 An argument is not valid.
 */
#define ILLEGAL_PARAM -24

/*
 There is nothing to receive, and the caller asked not to wait.
 */
#define WOULD_BLOCK -25

/*
 The message type is below FL_MIN_LEGAL_MESS_TYPE.
 */
#define ILLEGAL_MESSAGE_TYPE -26

/*
 The call is not possible at this time.
 */
#define ILLEGAL_STATE -27

/*
 A receiver is not in the group's view.
 */
#define ILLEGAL_RECEIVERS -28

/*
 Elements of a scatter that is sent.
 */
#define FL_MAX_SCATTER_ELEMENTS 99

/*
 The lowest message type that programs may use.
 */
#define FL_MIN_LEGAL_MESS_TYPE -32765

/*
 Call this before any other function of the Flush layer. Returns 0, or ILLEGAL_STATE if it was called before.
 */
int FL_lib_init(void);

/*
 The version of the Flush interface. A pointer may be NULL.
 */
void FL_version(int *major_version, int *minor_version, int *patch_version);

/*
 Connects to a daemon like SP_connect, with membership messages. Neither daemon nor user may be NULL. Returns
 ACCEPT_SESSION or a negative code.
 */
int FL_connect(const char *daemon, const char *user, int priority, mailbox *mbox, char *private_name);

/*
 Closes a connection and waits until other threads have left the calls on it. Returns 0, or ILLEGAL_SESSION for an
 unknown mailbox.
 */
int FL_disconnect(mailbox mbox);

/*
 Requests to join a group. Its first view confirms that. Returns 0, or ILLEGAL_GROUP for a group that is joined
 already.
 */
int FL_join(mailbox mbox, const char *group);

/*
 Requests to leave a group of which a view was received. Returns 0, or ILLEGAL_GROUP for another group.
 */
int FL_leave(mailbox mbox, const char *group);

/*
 Allows the group's next view after a FLUSH_REQ_MESS. Until it comes, the program cannot send to the group. Returns 0,
 ILLEGAL_GROUP for a group that is not joined, or ILLEGAL_STATE if there was no request.
 */
int FL_flush(mailbox mbox, const char *group);

/*
 Sends a message to all members of a joined group, or to a private group. Returns the number of bytes sent, or a
 negative code.
 */
int FL_multicast(mailbox mbox,
                 service service_type,
                 const char *group,
                 short mess_type,
                 int mess_len,
                 const char *mess);

/*
 Like FL_multicast, with the message in several parts, at most FL_MAX_SCATTER_ELEMENTS.
 */
int FL_scat_multicast(mailbox mbox, service service_type, const char *group, short mess_type, const scatter *scat_mess);

/*
 Sends a message to one member of a joined group. Returns the number of bytes sent, or a negative code.
 */
int FL_unicast(mailbox mbox,
               service service_type,
               const char *group,
               const char *receiver,
               short mess_type,
               int mess_len,
               const char *mess);

/*
 Like FL_unicast, with the message in several parts.
 */
int FL_scat_unicast(mailbox mbox,
                    service service_type,
                    const char *group,
                    const char *receiver,
                    short mess_type,
                    const scatter *scat_mess);

/*
 Sends a message to some members of a joined group. Returns the number of bytes sent, or a negative code.
 */
int FL_subgroupcast(mailbox mbox,
                    service service_type,
                    const char *group,
                    int num_receivers,
                    char (*receivers)[MAX_GROUP_NAME],
                    short mess_type,
                    int mess_len,
                    const char *mess);

/*
 Like FL_subgroupcast, with the message in several parts.
 */
int FL_scat_subgroupcast(mailbox mbox,
                         service service_type,
                         const char *group,
                         int num_receivers,
                         char (*receivers)[MAX_GROUP_NAME],
                         short mess_type,
                         const scatter *scat_mess);

/*
 Waits for a message like SP_receive. As an input service_type may have DROP_RECV and DONT_BLOCK. more_messages, which
 may be NULL, receives the number of messages that the layer has already read.
 */
int FL_receive(mailbox mbox,
               service *service_type,
               char *sender,
               int max_groups,
               int *num_groups,
               char (*groups)[MAX_GROUP_NAME],
               short *mess_type,
               int *endian_mismatch,
               int max_mess_len,
               char *mess,
               int *more_messages);

/*
 Like FL_receive, with the body spread over the elements of a scatter in order.
 */
int FL_scat_receive(mailbox mbox,
                    service *service_type,
                    char *sender,
                    int max_groups,
                    int *num_groups,
                    char (*groups)[MAX_GROUP_NAME],
                    short *mess_type,
                    int *endian_mismatch,
                    scatter *scat_mess,
                    int *more_messages);

/*
 The number of messages that the layer has already read.
 */
int FL_more_msgs(mailbox mbox);

/*
 The number of bytes that can be received, headers included; 0 if none. Never blocks.
 */
int FL_poll(mailbox mbox);

/*
 Prints a line about an error code to standard output, including the codes of SP_error.
 */
void FL_error(int error);

/*
 The offset of the group id in the body of a view.
 */
int FL_get_gid_offset_memb_mess(void);

/*
 The offset of the number of members that came together in the body of a view.
 */
int FL_get_num_vs_offset_memb_mess(void);

/*
 The offset of the names of the members that came together in the body of a view.
 */
int FL_get_vs_set_offset_memb_mess(void);

#ifdef __cplusplus
}
#endif

#endif /* INC_FL */
