/* Programs that know the tags of the classic headers: they declare them ahead, and have structures of their own that are called as
   the types are, which C allows since tags have a space of names for themselves. */

struct dummy_scat_element;
struct dummy_scatter;
struct dummy_group_id;
struct dummy_vs_set_info;
struct dummy_membership_info;
struct dummy_time;

const struct dummy_time *declared_ahead(const struct dummy_scatter *message, const struct dummy_membership_info *info);

#ifndef __cplusplus
struct scat_element { char own[3]; };
struct scatter { char own[5]; };
struct group_id { char own[7]; };
struct vs_set_info { char own[11]; };
struct membership_info { char own[13]; };
struct sp_time { char own[17]; };
#endif

#include <fl.h>

#include "check.h"

static const sp_time when = {3, 4};

const sp_time *declared_ahead(const scatter *message, const membership_info *info)
{
    return message->num_elements == 0 && info->num_vs_sets == 0 ? &when : (const sp_time *)0;
}

int main(void)
{
    static scatter message;
    static membership_info info;
    struct dummy_scat_element element = {0, 0};
    struct dummy_group_id gid = {{1, 2, 3}};
    struct dummy_vs_set_info set = {0, 0};
    struct dummy_time pause = {0, 0};

    message.elements[0] = element;
    info.gid = gid;
    info.my_vs_set = set;
    CHECK_NUMBER(declared_ahead(&message, &info)->usec, 4);
    CHECK_NUMBER(SP_equal_group_ids(gid, info.gid), 1);
    CHECK_NUMBER(E_compare_time(pause, E_add_time(pause, pause)), 0);
#ifndef __cplusplus
    CHECK_NUMBER(sizeof(struct scat_element), 3);
    CHECK_NUMBER(sizeof(struct scatter), 5);
    CHECK_NUMBER(sizeof(struct group_id), 7);
    CHECK_NUMBER(sizeof(struct vs_set_info), 11);
    CHECK_NUMBER(sizeof(struct membership_info), 13);
    CHECK_NUMBER(sizeof(struct sp_time), 17);
#endif
    return failures != 0;
}
