/* Loads the library that the argument names, and calls it. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sp.h>

int main(int count, char **arguments)
{
    void *library, *symbol;
    int (*version)(int *, int *, int *);
    int major = 0, minor = 0, patch = 0;

    if (count < 2) return 2;
    library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    symbol = library != NULL ? dlsym(library, "SP_version") : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    memcpy(&version, &symbol, sizeof version);
    version(&major, &minor, &patch);
    printf("%d.%d.%d\n", major, minor, patch);
    return 0;
}
