/* The Unix calls of the test programs in terms of Windows, so that the same programs try the DLL. What is a pipe elsewhere is a pair of
   sockets here, because Windows polls sockets only. Included before everything else. */

#ifndef UNIX_H
#define UNIX_H

#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>

#include <io.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define UNIX_CALL __attribute__((unused)) static

/* Some test ends a program that hangs from outside. */
#define alarm(seconds) ((void)(seconds))
/* Nothing is raised here when a connection breaks; any signal will do. */
#define SIGPIPE SIGTERM
#define SHUT_RDWR SD_BOTH
#define _SC_PAGESIZE 0
#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 0
#define MAP_ANONYMOUS 0
#define MAP_FAILED NULL
#define F_GETFD 0

__attribute__((constructor, unused)) static void unix_start(void)
{
    WSADATA unused;

    /* Output in pieces, as elsewhere when nobody reads it from a terminal. */
    if (WSAStartup(MAKEWORD(2, 2), &unused) != 0) abort();
}

UNIX_CALL long sysconf(int name)
{
    SYSTEM_INFO system;

    (void)name;
    GetSystemInfo(&system);
    return (long)system.dwPageSize;
}

UNIX_CALL void *mmap(void *place, size_t length, int protection, int flags, int file, long offset)
{
    (void)place, (void)protection, (void)flags, (void)file, (void)offset;
    return VirtualAlloc(NULL, length, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

UNIX_CALL int mprotect(void *place, size_t length, int protection)
{
    DWORD before;

    (void)protection;
    return VirtualProtect(place, length, PAGE_NOACCESS, &before) ? 0 : -1;
}

UNIX_CALL int unix_is_socket(int number)
{
    int kind, size = sizeof kind;

    return getsockopt((SOCKET)number, SOL_SOCKET, SO_TYPE, (char *)&kind, &size) == 0;
}

UNIX_CALL int unix_pipe(int ends[2])
{
    struct sockaddr_in place;
    int size = sizeof place;
    SOCKET door = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in;

    memset(&place, 0, sizeof place);
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(door, (struct sockaddr *)&place, sizeof place) != 0 || listen(door, 1) != 0) return -1;
    if (getsockname(door, (struct sockaddr *)&place, &size) != 0) return -1;
    if (connect(out, (struct sockaddr *)&place, sizeof place) != 0) return -1;
    in = accept(door, NULL, NULL);
    ends[0] = (int)in;
    ends[1] = (int)out;
    return closesocket(door);
}

UNIX_CALL long unix_read(int number, void *place, size_t size)
{
    return unix_is_socket(number) ? recv((SOCKET)number, (char *)place, (int)size, 0) : _read(number, place, (unsigned)size);
}

UNIX_CALL long unix_write(int number, const void *place, size_t size)
{
    return unix_is_socket(number) ? send((SOCKET)number, (const char *)place, (int)size, 0)
                                  : _write(number, place, (unsigned)size);
}

UNIX_CALL int unix_close(int number)
{
    return unix_is_socket(number) ? closesocket((SOCKET)number) : _close(number);
}

/* Whether the number is still a descriptor. */
UNIX_CALL int fcntl(int number, int command)
{
    (void)command;
    return unix_is_socket(number) ? 0 : -1;
}

#define pipe(ends) unix_pipe(ends)
#define read(number, place, size) unix_read(number, place, size)
#define write(number, place, size) unix_write(number, place, size)
#define close(number) unix_close(number)
#define poll(entries, count, milliseconds) WSAPoll(entries, count, milliseconds)

#endif
