/* climb.c - a deep stack that is never the same for long.
 *
 *   climb SECONDS [THREADS]    of CPU time, of each thread; 0: of main() itself
 *
 * Descends from main(), or climb(), through one(), two(), three(), one() ... to a depth
 * of 20 to 400 frames of 1 KiB, drawn anew each time, with a microsecond of work at each
 * step down and up. Truth: every stack is "main one two three one two ...", up to 400 KiB
 * deep; a part of another moment's stack that is put on top of this one's breaks the
 * order. */
#include <pthread.h>
#include <stdlib.h>

#include "workload.h"

static void two(unsigned depth);
static void three(unsigned depth);

static inline __attribute__((always_inline)) void step(void (*next)(unsigned),
                                                       unsigned depth)
{
    volatile char bytes[1000];

    bytes[depth] = 1;
    for (unsigned i = 0; i < 1000; i++)
        __asm__ volatile("" : "+r"(i));
    if (depth > 1)
        next(depth - 1);
    for (unsigned i = 0; i < 1000; i++)
        __asm__ volatile("" : "+r"(i));
    bytes[depth] = (char)(bytes[depth] + 1);
}

static NOINLINE void one(unsigned depth)
{
    step(two, depth);
}

static NOINLINE void two(unsigned depth)
{
    step(three, depth);
}

static NOINLINE void three(unsigned depth)
{
    step(one, depth);
}

static uint64_t total_ns;

static inline __attribute__((always_inline)) void climb_for(unsigned random)
{
    uint64_t end = thread_ns() + total_ns;

    while (thread_ns() < end) {
        random = random * 1103515245 + 12345;
        one(20 + (random >> 16) % 381);
    }
}

static void *climb(void *random)
{
    climb_for((unsigned)(uintptr_t)random);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { MOST = 64 };
    int n = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t threads[MOST];

    total_ns = (uint64_t)(atof(argc > 1 ? argv[1] : "1") * 1e9);
    n = n < MOST ? n : MOST;
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, climb, (void *)(uintptr_t)(i + 1)))
            return 1;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (!n)
        climb_for(1);
    return 0;
}
