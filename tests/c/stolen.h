/* stolen.h - what a virtual machine's hypervisor took of its CPUs.
 *
 * The kernel's count of a task clock runs on meanwhile, and a thread's own clock does
 * not: who compares them allows for it. */
#ifndef CPROF_TEST_STOLEN_H
#define CPROF_TEST_STOLEN_H

#include <stdio.h>
#include <unistd.h>

enum { TICKS_NOT_SHOWN = 2 }; /* a CPU adds its own at its next tick, in whole ticks */

/* Seconds so far, of all CPUs (proc_stat(5): the 8th number of "cpu"); 0 where unknown.
 */
static inline double stolen_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    unsigned long long ticks = 0;

    if (!file)
        return 0;
    if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1)
        ticks = 0;
    fclose(file);
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Seconds that may have been stolen since `before` was so far. */
static inline double stolen_since(double before)
{
    return stolen_seconds() - before + TICKS_NOT_SHOWN / (double)sysconf(_SC_CLK_TCK);
}

#endif
