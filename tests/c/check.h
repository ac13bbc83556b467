/* What the test programs share: a check that says where it failed, and a result for main. */

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int failures = 0;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++; \
        } \
    } while (0)

#define CHECK_NUMBER(expression, expected) \
    do { \
        long found = (long)(expression); \
        if (found != (long)(expected)) { \
            printf("%s:%d: %s is %ld, not %ld\n", __FILE__, __LINE__, #expression, found, (long)(expected)); \
            failures++; \
        } \
    } while (0)

#endif
