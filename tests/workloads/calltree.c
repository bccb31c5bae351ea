/* calltree.c - a known call tree of small functions with long prologues.
 *
 *   calltree SECONDS    of CPU time
 *
 * Truth: every stack, outermost first, is what precedes main, then a beginning of
 *
 *   main rec rec rec rec rec rec rec rec rec top ( mid1 (leaf1 | leaf2)
 *                                                | mid2 (leaf3 | leaf4) )
 *
 * or of "main thread_ns clock_gettime ..." (the program looks at its clock now and then).
 * leaf1 saves every register, leaf2 has a frame of 3 KiB, leaf3 one of variable size,
 * leaf4 has none at all. */
#include <stdlib.h>
#include <string.h>

#include "workload.h"

static NOINLINE unsigned leaf1(unsigned x)
{
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15", "memory");
    return x * 3 + 1;
}

static NOINLINE unsigned leaf2(unsigned x)
{
    volatile char frame[3072];

    frame[x % sizeof(frame)] = (char)x;
    __asm__ volatile("" ::: "rbx", "r12", "memory");
    return x + (unsigned)frame[x % sizeof(frame)];
}

static NOINLINE unsigned leaf3(unsigned x)
{
    volatile char frame[16 + x % 64];

    frame[x % 16] = (char)x;
    return x + (unsigned)frame[x % 16];
}

static NOINLINE unsigned leaf4(unsigned x)
{
    return x ^ (x >> 1);
}

static NOINLINE unsigned mid1(unsigned x)
{
    x = leaf1(x);
    x = leaf2(x);
    NOT_A_TAIL_CALL();
    return x;
}

static NOINLINE unsigned mid2(unsigned x)
{
    __asm__ volatile("" ::: "rbx", "r13");
    x = leaf3(x);
    x = leaf4(x);
    NOT_A_TAIL_CALL();
    return x;
}

static NOINLINE unsigned top(unsigned x)
{
    x = mid1(x);
    x = mid2(x);
    NOT_A_TAIL_CALL();
    return x;
}

static NOINLINE unsigned rec(unsigned depth, unsigned x)
{
    x = depth > 1 ? rec(depth - 1, x) : top(x);
    NOT_A_TAIL_CALL();
    return x;
}

int main(int argc, char **argv)
{
    uint64_t end = thread_ns() + (uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9);
    unsigned x = 1;

    while (thread_ns() < end) {
        for (int i = 0; i < 10000; i++)
            x = rec(9, x);
    }
    return x == 0xdeadbeef;
}
