/* thread.h - threads of our own inside somebody else's program, and how they are woken.
 */
#ifndef CPROF_THREAD_H
#define CPROF_THREAD_H

#include <pthread.h>

/* Start `run(arg)` under a name of at most 15 bytes, with all signals blocked: they are
 * for the program that uses us. *ret must be joined. 0, or the negative error of
 * pthread_create (then *ret is not set). */
int cprof_thread_start(const char *name, void *(*run)(void *arg), void *arg,
                       pthread_t *ret);

/* Make the eventfd `fd` readable. One that is so already stays as it is. */
void cprof_thread_wake(int fd);

#endif
