/* clock.c - a program that looks at its clock all the time.
 *
 *   clock SECONDS    of CPU time
 *
 * Truth: every stack of the loop is "main look (clock_gettime (__vdso_clock_gettime)?)?",
 * and most of it ends in the vdso, where that serves the clock. */
#include <stdlib.h>

#include "workload.h"

static NOINLINE void look(uint64_t ns)
{
    uint64_t end = thread_ns() + ns;

    while (thread_ns() < end)
        for (int i = 0; i < 10000; i++)
            clock_ns(CLOCK_MONOTONIC);
    NOT_A_TAIL_CALL();
}

int main(int argc, char **argv)
{
    look((uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9));
    return 0;
}
