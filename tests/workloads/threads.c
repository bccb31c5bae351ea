/* threads.c - four named threads at work, with known shares.
 *
 *   threads SECONDS    of CPU time, of all threads together
 *   threads forever    the same shares of 1 s, again and again by the same four threads;
 *                      says "ready" once all run
 *
 * Truth: worker-1 .. worker-4 use 10, 20, 30 and 40 % of the CPU time, all in churn(),
 * called by worker(). Printed at the end: "worker-1 NS worker-2 NS ...". */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

enum { N = 4 };

static pthread_barrier_t barrier;
static uint64_t used[N + 1];
static double total_ns;
static int is_forever;

static NOINLINE void churn(uint64_t end)
{
    work_until(end);
}

static void *worker(void *arg)
{
    uintptr_t number = (uintptr_t)arg;
    char name[16];

    snprintf(name, sizeof(name), "worker-%d", (int)number);
    pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&barrier);
    do {
        churn(thread_ns() + (uint64_t)(total_ns / 10 * (double)number));
        if (is_forever)
            pthread_barrier_wait(&barrier);
    } while (is_forever);
    used[number] = thread_ns();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[N + 1];

    is_forever = argc > 1 && !strcmp(argv[1], "forever");
    total_ns = argc > 1 && !is_forever ? atof(argv[1]) * 1e9 : 1e9;
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (uintptr_t i = 1; i <= N; i++)
        pthread_create(&threads[i], NULL, worker, (void *)i);
    pthread_barrier_wait(&barrier);
    if (is_forever) {
        puts("ready");
        fflush(stdout);
        for (;;)
            pthread_barrier_wait(&barrier);
    }
    for (int i = 1; i <= N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i <= N; i++)
        printf("worker-%d %llu%c", i, (unsigned long long)used[i], i < N ? ' ' : '\n');
    return 0;
}
