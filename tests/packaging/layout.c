/* Prints the layouts that programs are compiled with. */

#include <stdio.h>
#include <stddef.h>
#include <sp.h>

#define SIZE(type) printf("size %s %lu\n", #type, (unsigned long)sizeof(type))
#define FIELD(type, field) \
    printf("offset %s.%s %lu size %lu\n", #type, #field, (unsigned long)offsetof(type, field), \
           (unsigned long)sizeof(((type *)0)->field))

int main(void)
{
    SIZE(mailbox);
    SIZE(service);
    SIZE(sp_time);
    FIELD(sp_time, sec);
    FIELD(sp_time, usec);
    SIZE(scat_element);
    FIELD(scat_element, buf);
    FIELD(scat_element, len);
    SIZE(scatter);
    FIELD(scatter, num_elements);
    FIELD(scatter, elements);
    SIZE(group_id);
    FIELD(group_id, id);
    SIZE(vs_set_info);
    FIELD(vs_set_info, num_members);
    FIELD(vs_set_info, members_offset);
    SIZE(membership_info);
    FIELD(membership_info, gid);
    FIELD(membership_info, changed_member);
    FIELD(membership_info, num_vs_sets);
    FIELD(membership_info, my_vs_set);
    return 0;
}
