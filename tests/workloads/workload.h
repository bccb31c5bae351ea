/* workload.h - what the programs with known answers share: CPU clocks, and code that
 * burns CPU time without calling anything. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdint.h>
#include <time.h>

#if defined(__clang__) || defined(__cplusplus)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif

/* Keeps a call from becoming a jump, and a recursion from becoming a loop. */
#define NOT_A_TAIL_CALL() __asm__ volatile("" ::: "memory")

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t thread_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* About 10 us of work, in the function that it is written in. */
static inline __attribute__((always_inline)) void work(void)
{
    for (unsigned i = 0; i < 30000; i++)
        __asm__ volatile("" : "+r"(i));
}

/* Work until this thread has used CPU time up to `end` (as thread_ns() tells it). */
static inline __attribute__((always_inline)) void work_until(uint64_t end)
{
    while (thread_ns() < end)
        work();
}

#endif
