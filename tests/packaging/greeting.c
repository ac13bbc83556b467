/* A program as they were always written: says something to a group that it has joined, and prints what comes back. */

#include <stdio.h>
#include <sp.h>

/* Programs have functions of these names; the library must not mind. */
void Alarm(int mask, const char *message);
void Mem_init(void);

void Alarm(int mask, const char *message)
{
    printf("%d %s\n", mask, message);
}

void Mem_init(void)
{
    Alarm(4, "ready");
}

int main(int argc, char **argv)
{
    mailbox box;
    service type = 0;
    int16 kind;
    int count, other_order, length;
    char me[MAX_GROUP_NAME], from[MAX_GROUP_NAME], to[10][MAX_GROUP_NAME], text[100];

    Mem_init();
    length = SP_connect(argc > 1 ? argv[1] : "4803", NULL, 0, 0, &box, me);
    if (length != ACCEPT_SESSION || SP_join(box, "greetings") != 0) {
        SP_error(length);
        return 1;
    }
    SP_multicast(box, AGREED_MESS, "greetings", 7, 5, "hello");
    length = SP_receive(box, &type, from, 10, &count, to, &kind, &other_order, sizeof text, text);
    if (length < 0) {
        SP_error(length);
        return 1;
    }
    printf("%.*s %d to %s\n", length, text, (int)kind, to[0]);
    return SP_disconnect(box);
}
