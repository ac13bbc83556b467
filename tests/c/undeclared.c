/* What old programs declare for themselves, because no header does. */

#include <fl.h>

#include "check.h"

#ifdef __cplusplus
extern "C" {
#endif
int E_in_queue(void (*func)(int code, void *data), int code, void *data);
int E_detach_fd_priority(int fd, int fd_type, int priority);
void E_exit_events_async_safe(void);
int SP_query_groups(void);
int SP_query_members(void);
int SP_get_gid_offset_memb_mess(void);
int SP_get_num_vs_offset_memb_mess(void);
int SP_get_vs_set_offset_memb_mess(void);
#ifdef __cplusplus
}
#endif

static void leave(int code, void *data)
{
    (void)code;
    (void)data;
    E_exit_events_async_safe();
}

static void never(int fd, int code, void *data)
{
    (void)fd;
    (void)code;
    (void)data;
    failures++;
}

int main(void)
{
    sp_time now = {0, 0};

    E_init();
    CHECK_NUMBER(E_in_queue(leave, 1, NULL), 0);
    CHECK_NUMBER(E_in_queue(NULL, 1, NULL), 0);
    CHECK_NUMBER(E_queue(leave, 1, NULL, now), 0);
    CHECK_NUMBER(E_in_queue(leave, 1, NULL), 1);
    CHECK_NUMBER(E_in_queue(leave, 2, NULL), 0);

    CHECK_NUMBER(E_attach_fd(0, EXCEPT_FD, never, 0, NULL, LOW_PRIORITY), 0);
    CHECK_NUMBER(E_attach_fd(0, EXCEPT_FD, never, 0, NULL, HIGH_PRIORITY), 0);
    CHECK_NUMBER(E_detach_fd_priority(0, EXCEPT_FD, MEDIUM_PRIORITY), -1);
    CHECK_NUMBER(E_detach_fd_priority(0, EXCEPT_FD, 3), -1);
    CHECK_NUMBER(E_detach_fd_priority(0, EXCEPT_FD, HIGH_PRIORITY), 0);
    CHECK_NUMBER(E_num_active(LOW_PRIORITY) * 10 + E_num_active(HIGH_PRIORITY), 10);
    CHECK_NUMBER(E_detach_fd_priority(0, EXCEPT_FD, LOW_PRIORITY), 0);
    E_handle_events();

    CHECK_NUMBER(SP_query_groups(), -1);
    CHECK_NUMBER(SP_query_members(), -1);
    CHECK_NUMBER(SP_get_gid_offset_memb_mess(), FL_get_gid_offset_memb_mess());
    CHECK_NUMBER(SP_get_num_vs_offset_memb_mess(), FL_get_num_vs_offset_memb_mess());
    CHECK_NUMBER(SP_get_vs_set_offset_memb_mess(), FL_get_vs_set_offset_memb_mess());
    return failures != 0;
}
