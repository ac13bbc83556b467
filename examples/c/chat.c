/* chat DAEMON NAME: what you type goes to everybody; the end of the input is the end of your visit. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sp.h>

#define MEMBERS 100

static mailbox box;

static void *type_along(void *unused)
{
    char line[1000];

    while (fgets(line, sizeof line, stdin) != NULL) {
        SP_multicast(box, AGREED_MESS, "chat", 0, (int)strcspn(line, "\n"), line);
    }
    SP_leave(box, "chat");
    return unused;
}

int main(int count, char **arguments)
{
    static char members[MEMBERS][MAX_GROUP_NAME];
    char me[MAX_GROUP_NAME], sender[MAX_GROUP_NAME], text[10000];
    int result, length, other_order, member, number;
    service type;
    int16 kind;
    pthread_t typing;

    if (count != 3) return fprintf(stderr, "usage: chat DAEMON NAME\n"), 2;
    result = SP_connect(arguments[1], arguments[2], 0, 1, &box, me);
    if (result != ACCEPT_SESSION) return SP_error(result), 1;
    SP_join(box, "chat");
    pthread_create(&typing, NULL, type_along, NULL);
    for (;;) {
        type = DROP_RECV;
        length = SP_receive(box, &type, sender, MEMBERS, &number, members, &kind, &other_order, sizeof text, text);
        if (length < 0) return SP_error(length), 1;
        if (Is_regular_mess(type)) {
            printf("%s: %.*s\n", sender, length, text);
        } else if (Is_self_leave(type)) {
            break;
        } else if (Is_reg_memb_mess(type)) {
            printf("* here:");
            for (member = 0; member < number; member++) printf(" %s", members[member]);
            printf("\n");
        }
        fflush(stdout);
    }
    pthread_join(typing, NULL);
    return SP_disconnect(box);
}
