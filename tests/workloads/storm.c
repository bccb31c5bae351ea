/* storm.c - very many very short threads or processes.
 *
 *   storm threads N US      N threads, one after the other in groups of 8, each with US
 *                           microseconds of CPU time in gust()
 *   storm processes N US    the same with processes, which execute this program again
 *
 * Truth: N x US of CPU time in gust(); printed at the end: "cpu NS", the time that all of
 * them used together by the kernel's count (with their start and end). */
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "workload.h"

enum { GROUP = 8 };

extern char **environ;

static NOINLINE void gust(uint64_t us)
{
    work_until(thread_ns() + us * 1000);
}

static void *thread_main(void *us)
{
    gust((uintptr_t)us);
    return NULL;
}

static int run_threads(int n, uintptr_t us)
{
    pthread_t threads[GROUP];

    for (int done = 0; done < n; done += GROUP) {
        for (int i = 0; i < GROUP; i++) {
            if (pthread_create(&threads[i], NULL, thread_main, (void *)us))
                return 1;
        }
        for (int i = 0; i < GROUP; i++)
            pthread_join(threads[i], NULL);
    }
    return 0;
}

static int run_processes(char *self, int n, char *us)
{
    char *argv[] = {self, (char *)"one", us, NULL};

    for (int done = 0; done < n; done += GROUP) {
        pid_t pid;
        int status;

        for (int i = 0; i < GROUP; i++) {
            if (posix_spawn(&pid, self, NULL, NULL, argv, environ))
                return 1;
        }
        for (int i = 0; i < GROUP; i++) {
            if (wait(&status) < 0 || status)
                return 1;
        }
    }
    return 0;
}

static uint64_t used(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

int main(int argc, char **argv)
{
    int r = 2;

    if (argc == 3) {
        gust((uint64_t)atoi(argv[2]));
        return 0;
    }
    if (argc == 4)
        r = strcmp(argv[1], "threads")
                ? run_processes(argv[0], atoi(argv[2]), argv[3])
                : run_threads(atoi(argv[2]), (uintptr_t)atoi(argv[3]));
    printf("cpu %llu\n", (unsigned long long)(used(RUSAGE_SELF) + used(RUSAGE_CHILDREN)));
    return r;
}
