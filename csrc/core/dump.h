/* dump.h - where every thread of a process is now: each is stopped for a moment (ptrace),
 * its registers and stack are read, it goes on, and is unwound afterwards. */
#ifndef CPROF_DUMP_H
#define CPROF_DUMP_H

#include "error.h"
#include "proc.h"
#include "stack.h"

struct cprof_dump_thread {
    pid_t tid;
    char name[CPROF_COMM_MAX];
    char state;                /* of /proc/PID/stat, before it was stopped */
    char wait[CPROF_COMM_MAX]; /* the kernel function it sleeps in, "" where not told */
    enum cprof_end end;
    size_t first_frame, n_frames; /* in frames[] */
};

struct cprof_dump {
    struct cprof_stacks *stacks; /* names of the locations */
    CPROF_VEC(struct cprof_dump_thread) threads;
    CPROF_VEC(uint32_t) frames; /* locations, leaf first */
};

/* All threads of `pid`; those that end meanwhile are left out. *ret is owned. -ESRCH,
 * -EPERM (with knob and remedy: another user's, or traced by another program). */
int cprof_dump_create(pid_t pid, struct cprof_dump **ret, struct cprof_error *err);
void cprof_dump_destroy(struct cprof_dump *dump); /* accepts NULL and half-built */

#endif
