/* child.h - start a program that waits, before its exec, until it is let go. */
#ifndef CPROF_CHILD_H
#define CPROF_CHILD_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "error.h"

struct cprof_child {
    pid_t pid;      /* 0: none */
    int go_fd;      /* one byte sent lets it exec; closing makes it exit */
    int failure_fd; /* tells the errno of an exec that failed; end of file: it worked */
};

/* Fork a child that waits. argv[0] is looked up in PATH as execvp(3) does. `files` is the
 * RLIMIT_NOFILE that it gets (the session may have raised its own), `stdio` the three
 * descriptors that become its 0, 1 and 2 (NULL: ours). 0 or negative errno. */
int cprof_child_create(struct cprof_child *child, const char *const *argv,
                       const char *const *envp, const char *cwd, const int *stdio,
                       const struct rlimit *files, struct cprof_error *err);

/* Let it go; waits until its exec has worked (0) or failed (negative errno, named). */
int cprof_child_go(struct cprof_child *child, const char *name, struct cprof_error *err);

/* Close the pipes; a child that still waits for go exits at once and is reaped. */
void cprof_child_deinit(struct cprof_child *child);

#endif
