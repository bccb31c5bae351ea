#define _GNU_SOURCE /* pthread_setname_np */
#include "thread.h"

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

int cprof_thread_start(const char *name, void *(*run)(void *arg), void *arg,
                       pthread_t *ret)
{
    sigset_t all, before;
    pthread_t thread;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        return -r;
    pthread_setname_np(thread, name);
    *ret = thread;
    return 0;
}

void cprof_thread_wake(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));

    (void)n; /* refused where it is readable already, as wanted */
}
