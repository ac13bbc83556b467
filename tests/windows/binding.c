/* Which ways of binding a UDP socket receive what is sent to a group, to everybody in the subnet, and to this machine.
   Arguments: the address of this machine's interface, the broadcast address of its subnet, a group, and the first of as many free
   ports as there are ways.

   Says "ready" when all sockets wait. Standard input ends when everything was sent: "multicast", "broadcast" or "unicast", to each
   address and each port. Then a line for each way says what came. */

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#define SOCKET int
#define INVALID_SOCKET -1
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TO_ANY, TO_INTERFACE, TO_GROUP, TO_ALL };
enum { ALONE, JOINED };

struct way {
    const char *name;
    int address, membership;
    SOCKET socket;
    const char *problem;
};

static struct way ways[] = {
    {"any", TO_ANY, ALONE, INVALID_SOCKET, NULL},
    {"any + membership", TO_ANY, JOINED, INVALID_SOCKET, NULL},
    {"interface", TO_INTERFACE, ALONE, INVALID_SOCKET, NULL},
    {"interface + membership", TO_INTERFACE, JOINED, INVALID_SOCKET, NULL},
    {"group", TO_GROUP, ALONE, INVALID_SOCKET, NULL},
    {"group + membership", TO_GROUP, JOINED, INVALID_SOCKET, NULL},
    {"broadcast", TO_ALL, ALONE, INVALID_SOCKET, NULL}
};

enum { WAYS = sizeof ways / sizeof ways[0] };

static const char *addresses[4];

static void prepare(struct way *way, unsigned short port)
{
    struct sockaddr_in place;
    struct ip_mreq membership;

    memset(&place, 0, sizeof place);
    place.sin_family = AF_INET;
    place.sin_port = htons(port);
    place.sin_addr.s_addr = inet_addr(addresses[way->address]);
    way->socket = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(way->socket, (struct sockaddr *)&place, sizeof place) != 0) {
        way->problem = "cannot be bound";
        return;
    }
    membership.imr_multiaddr.s_addr = inet_addr(addresses[TO_GROUP]);
    membership.imr_interface.s_addr = inet_addr(addresses[TO_INTERFACE]);
    if (way->membership == JOINED &&
        setsockopt(way->socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, (const char *)&membership, sizeof membership) != 0) {
        way->problem = "cannot join";
    }
}

/* Whether a datagram is there at once. */
static int has_datagram(SOCKET socket)
{
    fd_set wanted;
    struct timeval limit = {0, 0};

    FD_ZERO(&wanted);
    FD_SET(socket, &wanted);
    return select((int)socket + 1, &wanted, NULL, NULL, &limit) == 1;
}

static void report(struct way *way)
{
    char datagram[20];

    printf("%s:", way->name);
    if (way->problem != NULL) {
        printf(" %s", way->problem);
    } else {
        while (has_datagram(way->socket)) {
            int length = (int)recv(way->socket, datagram, sizeof datagram - 1, 0);

            if (length < 0) break;
            datagram[length] = '\0';
            printf(" %s", datagram);
        }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    int way;
#ifdef _WIN32
    WSADATA unused;

    if (WSAStartup(MAKEWORD(2, 2), &unused) != 0) return 2;
#endif
    if (argc != 5) return 2;
    addresses[TO_ANY] = "0.0.0.0";
    addresses[TO_INTERFACE] = argv[1];
    addresses[TO_ALL] = argv[2];
    addresses[TO_GROUP] = argv[3];
    for (way = 0; way < WAYS; way++) prepare(&ways[way], (unsigned short)(atoi(argv[4]) + way));
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    for (way = 0; way < WAYS; way++) report(&ways[way]);
    return 0;
}
