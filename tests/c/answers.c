/* What the calls that connect make of a daemon's answer. Arguments, again and again: the code, and a daemon for each call. */

#include <fl.h>

#include <string.h>

#include "check.h"

int main(int argc, char **argv)
{
    const sp_time limit = {60, 0};
    int i;

    for (i = 1; i + 3 < argc; i += 4) {
        int code = atoi(argv[i]);
        mailbox mbox = -77;
        char private_group[MAX_GROUP_NAME] = "untouched";

        CHECK_NUMBER(SP_connect(argv[i + 1], "me", 0, 1, &mbox, private_group), code);
        CHECK_NUMBER(SP_connect_timeout(argv[i + 2], "me", 0, 1, &mbox, private_group, limit), code);
        CHECK_NUMBER(FL_connect(argv[i + 3], "me", 0, &mbox, private_group), code);
        CHECK(mbox == -77 && strcmp(private_group, "untouched") == 0);
    }
    return failures != 0;
}
