/* What the test programs share: a check that says where it failed, and a result for main. */

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#ifdef __GNUC__
#define NOT_EVERYWHERE __attribute__((unused))
#else
#define NOT_EVERYWHERE
#endif

static int failures = 0;

/* What a call gave goes into the file that CHECKED names, if it names one: so a test knows what the programs try. */
NOT_EVERYWHERE static long checked(const char *call, long found)
{
    const char *path = getenv("CHECKED");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;

    if (file != NULL) {
        fprintf(file, "%ld %s\n", found, call);
        fclose(file);
    }
    return found;
}

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++; \
        } \
    } while (0)

#define CHECK_NUMBER(expression, expected) \
    do { \
        long found = checked(#expression, (long)(expression)); \
        if (found != (long)(expected)) { \
            printf("%s:%d: %s is %ld, not %ld\n", __FILE__, __LINE__, #expression, found, (long)(expected)); \
            failures++; \
        } \
    } while (0)

#endif
