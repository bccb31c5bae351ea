/* deep.c - CPU time at the bottom of a deep recursion.
 *
 *   deep LEVELS FRAME SECONDS [sparse]    FRAME bytes in each of LEVELS frames of
 *                                         descend(); "sparse": most of a large frame is
 *                                         never touched, so that its pages do not exist
 *
 * Truth: every stack with bottom() has LEVELS x descend() between it and main(), on
 * LEVELS x (FRAME + a few words) bytes of stack. */
#include <alloca.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

static NOINLINE void bottom(uint64_t ns)
{
    work_until(thread_ns() + ns);
}

static int is_sparse;

static NOINLINE void descend(unsigned levels, size_t frame, uint64_t ns)
{
    volatile char *bytes = (volatile char *)alloca(frame + 1);

    for (size_t i = 0; i < frame && !is_sparse; i += 4096)
        bytes[i] = 1;
    bytes[0] = bytes[frame] = 1;
    if (levels > 1)
        descend(levels - 1, frame, ns);
    else
        bottom(ns);
    NOT_A_TAIL_CALL();
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    is_sparse = argc > 4;
    descend((unsigned)atoi(argv[1]), (size_t)atoi(argv[2]),
            (uint64_t)(atof(argv[3]) * 1e9));
    return 0;
}
