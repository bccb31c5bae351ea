/* frames.c - stack frames that no constant describes.
 *
 *   frames SECONDS    of CPU time
 *
 * Truth: every stack is a beginning of
 *
 *   main round_of ( variable grown leaf | aligned leaf | jumps_on landed leaf )
 *
 * where variable() has an array of variable length, grown() calls alloca in a loop,
 * aligned() realigns the stack to 64 bytes beside such an array (so that its frame is
 * found through a saved pointer only), and jumps_on() leaves by a jump to landed(): it is
 * nobody's caller. */
#include <alloca.h>
#include <stdlib.h>

#include "workload.h"

static NOINLINE unsigned leaf(volatile char *bytes, unsigned n)
{
    bytes[n - 1] = (char)n;
    return n + (unsigned)bytes[0];
}

static NOINLINE unsigned grown(unsigned n)
{
    volatile char *last = NULL;

    for (unsigned i = 0; i <= n % 5; i++) {
        last = (volatile char *)alloca(16 + 40 * i);
        last[0] = (char)i;
    }
    n = leaf(last, 16);
    NOT_A_TAIL_CALL();
    return n;
}

static NOINLINE unsigned variable(unsigned n)
{
    volatile char bytes[1 + n % 300];

    bytes[0] = (char)n;
    n = grown(n) + (unsigned)bytes[0];
    NOT_A_TAIL_CALL();
    return n;
}

static NOINLINE unsigned aligned(unsigned n)
{
    volatile char line[64] __attribute__((aligned(64)));
    volatile char *rest = (volatile char *)alloca(1 + n % 100);

    line[0] = rest[0] = (char)((uintptr_t)line % 64);
    n = leaf(line, 64) + (unsigned)rest[0];
    NOT_A_TAIL_CALL();
    return n;
}

static NOINLINE unsigned landed(unsigned n)
{
    volatile char bytes[128];

    bytes[0] = (char)n;
    n = leaf(bytes, 128);
    NOT_A_TAIL_CALL();
    return n;
}

static NOINLINE unsigned jumps_on(unsigned n)
{
    return landed(n + 1);
}

static NOINLINE unsigned round_of(unsigned n)
{
    n += variable(n);
    n += aligned(n);
    n += jumps_on(n);
    NOT_A_TAIL_CALL();
    return n;
}

int main(int argc, char **argv)
{
    uint64_t end = thread_ns() + (uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9);
    unsigned n = 1;

    while (thread_ns() < end)
        for (int i = 0; i < 10000; i++)
            n = round_of(n);
    return n == 0xdeadbeef;
}
