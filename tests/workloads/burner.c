/* burner.c - two functions, 70 % of the CPU time in hot(), 30 % in warm().
 *
 *   burner slices SECONDS    by turns 70 ms and 30 ms: no sampling rate marches in step
 *   burner lockstep SECONDS  by turns 0.7 ms and 0.3 ms: one round takes 1 ms, as the
 *                            period of sampling at 1000 Hz does
 *   burner forever           slices, until it is killed; says "ready" first
 *
 * SECONDS of CPU time. Truth, printed at the end: "hot NS warm NS", CPU time of each by
 * the program's own clock. Callers: main -> burn -> hot | warm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

static NOINLINE void hot(uint64_t end)
{
    work_until(end);
}

static NOINLINE void warm(uint64_t end)
{
    work_until(end);
}

static NOINLINE void burn(uint64_t round_ns, uint64_t total_ns)
{
    uint64_t start = thread_ns(), now = start, hot_ns = 0, warm_ns = 0;

    for (uint64_t begin = start; now - start < total_ns; begin += round_ns) {
        uint64_t t0 = now, t1;

        hot(begin + round_ns * 7 / 10);
        t1 = thread_ns();
        warm(begin + round_ns);
        now = thread_ns();
        hot_ns += t1 - t0;
        warm_ns += now - t1;
    }
    printf("hot %llu warm %llu\n", (unsigned long long)hot_ns,
           (unsigned long long)warm_ns);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "forever")) {
        puts("ready");
        fflush(stdout);
        burn(100000000, UINT64_MAX);
    } else if (argc == 3) {
        uint64_t round_ns = strcmp(argv[1], "lockstep") ? 100000000 : 1000000;

        burn(round_ns, (uint64_t)(atof(argv[2]) * 1e9));
    }
    return argc < 2;
}
