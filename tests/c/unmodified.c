/* A program that knows of no daemon in it: connects, prints what it is told, and waits on its descriptor alone.
   Arguments: the daemon's name. Prints its private group and what it receives. */

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sp.h>

int main(int count, char **arguments)
{
    mailbox box;
    service type = 0;
    int16 kind;
    int groups, other_order, length;
    char me[MAX_GROUP_NAME], from[MAX_GROUP_NAME], to[4][MAX_GROUP_NAME], text[100];
    struct pollfd readable;

    if (count != 2) return 2;
    length = SP_connect(arguments[1], "me", 0, 0, &box, me);
    if (length != ACCEPT_SESSION) {
        SP_error(length);
        return 1;
    }
    readable.fd = box;
    readable.events = POLLIN;
    if (poll(&readable, 1, 0) != 0 || SP_poll(box) != 0) return 3;
    if (SP_join(box, "group") != 0 || SP_multicast(box, AGREED_MESS, "group", 1, 5, "hello") != 5) return 4;
    if (poll(&readable, 1, -1) != 1 || SP_poll(box) <= 0) return 5;
    length = SP_receive(box, &type, from, 4, &groups, to, &kind, &other_order, sizeof text, text);
    printf("%s: %.*s\n", from, length, text);
    return SP_disconnect(box);
}
