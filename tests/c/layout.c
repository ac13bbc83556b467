/* The types have the sizes and offsets that existing programs were compiled with (where long and pointers have 64 bits). */

#include <sp.h>

#include <sys/uio.h>

#include "check.h"

int main(void)
{
    struct alignment {
        char first;
        membership_info info;
    };

    CHECK_NUMBER(sizeof(mailbox), 4);
    CHECK_NUMBER(sizeof(service), 4);
    CHECK_NUMBER(sizeof(int16), 2);
    CHECK_NUMBER(sizeof(int32), 4);

    CHECK_NUMBER(sizeof(scat_element), 16);
    CHECK_NUMBER(offsetof(scat_element, buf), 0);
    CHECK_NUMBER(offsetof(scat_element, len), 8);
    CHECK_NUMBER(sizeof(scat_element), sizeof(struct iovec));
    CHECK_NUMBER(offsetof(scat_element, buf), offsetof(struct iovec, iov_base));
    CHECK_NUMBER(offsetof(scat_element, len), offsetof(struct iovec, iov_len));

    CHECK_NUMBER(sizeof(scatter), 1608);
    CHECK_NUMBER(offsetof(scatter, num_elements), 0);
    CHECK_NUMBER(offsetof(scatter, elements), 8);

    CHECK_NUMBER(sizeof(group_id), 12);
    CHECK_NUMBER(offsetof(group_id, id), 0);

    CHECK_NUMBER(sizeof(vs_set_info), 8);
    CHECK_NUMBER(offsetof(vs_set_info, num_members), 0);
    CHECK_NUMBER(offsetof(vs_set_info, members_offset), 4);

    CHECK_NUMBER(sizeof(membership_info), 56);
    CHECK_NUMBER(offsetof(membership_info, gid), 0);
    CHECK_NUMBER(offsetof(membership_info, changed_member), 12);
    CHECK_NUMBER(offsetof(membership_info, num_vs_sets), 44);
    CHECK_NUMBER(offsetof(membership_info, my_vs_set), 48);
    CHECK_NUMBER(offsetof(struct alignment, info), 4);

    CHECK_NUMBER(sizeof(sp_time), 16);
    CHECK_NUMBER(offsetof(sp_time, sec), 0);
    CHECK_NUMBER(offsetof(sp_time, usec), 8);
    return failures != 0;
}
