/* proc.h - what /proc says of a process: tasks, names, state, mappings as text. */
#ifndef CPROF_PROC_H
#define CPROF_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "record.h"
#include "vec.h"

enum { CPROF_COMM_MAX = 64, CPROF_PROC_TEXT_MAX = 256 << 20, CPROF_MAX_TASKS = 1 << 20 };

/* A whole small file: *ret owned (free), NUL-terminated, *n without the NUL. Negative
 * errno of open or read, -EFBIG past `max`. */
int cprof_proc_read(const char *path, size_t max, char **ret, size_t *n);

/* One unsigned or signed number from a one-line file such as a sysctl. */
int cprof_proc_number(const char *path, long *ret);

struct cprof_tasks {
    CPROF_VEC(pid_t) ids;
};
/* Replace *tasks by the threads that `pid` has now; -ESRCH when it is gone. */
int cprof_proc_tasks(pid_t pid, struct cprof_tasks *tasks);

/* The name of a thread (tid = pid: of the process), without newline; "" when gone. */
void cprof_proc_comm(pid_t pid, pid_t tid, char name[CPROF_COMM_MAX]);

/* The command line, arguments joined by blanks, cut to `room`; the name in brackets where
 * it has none. */
void cprof_proc_command(pid_t pid, char *text, size_t room);

struct cprof_proc_status {
    char state; /* 'R' 'S' 'D' 'T' 'Z' ... */
    pid_t parent;
    bool is_kernel_thread;
    uid_t uid; /* real user */
};
/* From /proc/PID/stat and its owner; -ESRCH when there is no such task. `tid` may be a
 * thread of `pid` or `pid` itself. */
int cprof_proc_status(pid_t pid, pid_t tid, struct cprof_proc_status *ret);

/* Parse one line of /proc/PID/maps (without its newline; it is cut up in place). The
 * result borrows the line. false when it is not such a line. " (deleted)" is left on. */
bool cprof_proc_parse_map(char *line, struct cprof_mmap *ret);

/* A value such as "NSpid" of /proc/PID/status, its last field as a number; -ENOENT. */
int cprof_proc_last_nspid(pid_t pid, pid_t *ret);

/* Does `pid` see other files than we do under the same paths? */
bool cprof_proc_has_own_mounts(pid_t pid);

#endif
