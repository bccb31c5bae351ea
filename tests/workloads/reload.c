/* reload.c - two libraries by turns, at one and the same address.
 *
 *   reload A.so A_FUNCTION B.so B_FUNCTION SECONDS
 *
 * dlopen A, call its function, dlclose; the same with B; five times over. Of SECONDS of
 * CPU time, 60 % are spent in A and 40 % in B. Truth, printed at the end: "a NS b NS
 * addresses N", N being how many different addresses the functions had: 1, unless the
 * loader put them elsewhere. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "workload.h"

static uintptr_t addresses[16];
static int n_addresses;

static void note(uintptr_t address)
{
    for (int i = 0; i < n_addresses; i++) {
        if (addresses[i] == address)
            return;
    }
    addresses[n_addresses++] = address;
}

static uint64_t visit(const char *path, const char *name, uint64_t ns)
{
    void *library = dlopen(path, RTLD_NOW);
    void (*function)(uint64_t);
    uint64_t begin;

    if (!library || !(*(void **)&function = dlsym(library, name))) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    note((uintptr_t)function);
    begin = thread_ns();
    function(ns);
    begin = thread_ns() - begin;
    dlclose(library);
    return begin;
}

int main(int argc, char **argv)
{
    uint64_t ns, a = 0, b = 0;

    if (argc < 6)
        return 2;
    ns = (uint64_t)(atof(argv[5]) * 1e9 / 5);
    for (int i = 0; i < 5; i++) {
        a += visit(argv[1], argv[2], ns / 10 * 6);
        b += visit(argv[3], argv[4], ns / 10 * 4);
    }
    printf("a %llu b %llu addresses %d\n", (unsigned long long)a, (unsigned long long)b,
           n_addresses);
    return 0;
}
