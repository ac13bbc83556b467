/* Prints the layouts that programs are compiled with. */

#include <stdio.h>
#include <stddef.h>
#include <sp.h>
#include <torc.h>

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
    SIZE(torc_state);
    FIELD(torc_state, life);
    FIELD(torc_state, daemons);
    FIELD(torc_state, clients);
    FIELD(torc_state, networks);
    FIELD(torc_state, ring_state);
    FIELD(torc_state, ring);
    FIELD(torc_state, messages);
    FIELD(torc_state, reserved);
    SIZE(torc_path);
    FIELD(torc_path, daemon);
    FIELD(torc_path, network);
    FIELD(torc_path, state);
    FIELD(torc_path, heard);
    FIELD(torc_path, first);
    FIELD(torc_path, loss);
    FIELD(torc_path, loss_there);
    FIELD(torc_path, round_trip);
    FIELD(torc_path, reserved);
    return 0;
}
