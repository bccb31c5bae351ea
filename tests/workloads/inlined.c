/* inlined.c - functions that exist only inside another one.
 *
 *   inlined SECONDS    of CPU time
 *
 * Truth: main() calls outer(), the only other function with code of its own. A quarter of
 * the time is spent below line 20 in cheap(), which both() calls in line 30; three
 * quarters below line 25 in dear(), which both() calls in line 31; and all of it below
 * line 36, where outer() calls both(). All three are inlined there. */
#include <stdlib.h>

#include "workload.h"

#define INLINED static inline __attribute__((always_inline))

NOINLINE int outer(unsigned long ns);

/* Lines are part of the truth: add none above. */
INLINED void cheap(unsigned long ns)
{
    work_until(thread_ns() + ns);
}

INLINED void dear(unsigned long ns)
{
    work_until(thread_ns() + 3 * ns);
}

INLINED void both(unsigned long ns)
{
    cheap(ns);
    dear(ns);
}

int outer(unsigned long ns)
{
    both(ns);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long ns = (unsigned long)(atof(argc > 1 ? argv[1] : "1") * 1e9);

    for (int i = 0; i < 10; i++)
        outer(ns / 40);
    return 0;
}
