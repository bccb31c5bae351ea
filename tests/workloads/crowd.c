/* crowd.c - many threads at the same time.
 *
 *   crowd N    N threads, each by turns 1 ms at work in stir() and asleep for as long as
 *              N - 1 others need for theirs; for ever. Says "ready" once all run. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "workload.h"

static pthread_barrier_t barrier;
static int n;

static NOINLINE void stir(void)
{
    work_until(thread_ns() + 1000000);
}

static void *member(void *unused)
{
    struct timespec pause = {.tv_sec = n / 1000, .tv_nsec = n % 1000 * 1000000L};

    pthread_barrier_wait(&barrier);
    for (;;) {
        stir();
        nanosleep(&pause, NULL);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;

    n = argc > 1 ? atoi(argv[1]) : 10;
    pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
    for (int i = 0; i < n; i++) {
        if (pthread_create(&thread, NULL, member, NULL))
            return 1;
    }
    pthread_barrier_wait(&barrier);
    puts("ready");
    fflush(stdout);
    pthread_join(thread, NULL);
    return 0;
}
