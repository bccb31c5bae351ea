/* counter.h - the file descriptors of one perf event over threads x CPUs.
 *
 * With `inherit` an event opened for a thread follows the threads and processes it makes
 * later; such an event can only be read through a ring when it is bound to a CPU, hence
 * one fd for each (thread, CPU). Threads that exist already need fds of their own. */
#ifndef CPROF_COUNTER_H
#define CPROF_COUNTER_H

#include <linux/perf_event.h>
#include <sys/types.h>

#include "error.h"
#include "map.h"
#include "vec.h"

/* Kernels before 6.0 have no PERF_FORMAT_LOST: it is left out when refused. */
#define CPROF_READ_FORMAT                                                                \
    (PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID)

struct cprof_counter_fd {
    int fd; /* -1: dropped */
    pid_t tid;
    int cpu;
    uint64_t id;
};

struct cprof_counter {
    struct perf_event_attr attr;
    CPROF_VEC(struct cprof_counter_fd) fds;
    struct cprof_map by_id; /* event id -> index in fds */
};

struct cprof_counts { /* sums over all fds, exited inherited tasks included */
    uint64_t value, time_enabled, time_running, n_lost;
    bool has_lost;
};

/* A zeroed counter with `attr` set is valid and empty. */
void cprof_counter_deinit(struct cprof_counter *counter); /* closes */

/* Open for (tid, cpu) and send its records to `output_fd`'s ring (-1: it keeps its own).
 * Returns the new fd (borrowed), or the errno of perf_event_open(2): -ESRCH (the thread
 * is gone), -ENODEV (the CPU is offline), -EACCES / -EPERM, -EMFILE ... */
int cprof_counter_open(struct cprof_counter *counter, pid_t tid, int cpu, int output_fd);

/* Close one fd; its index and id stay known. */
void cprof_counter_drop(struct cprof_counter *counter, size_t i);

int cprof_counter_enable(const struct cprof_counter *counter);
int cprof_counter_disable(const struct cprof_counter *counter);
/* Sum the counts of all fds; fds that cannot be read are skipped. */
void cprof_counter_read(const struct cprof_counter *counter, struct cprof_counts *ret);
/* Change the period of one fd from now on: what has run of the current one is dropped. */
int cprof_counter_set_period(const struct cprof_counter *counter, size_t i,
                             uint64_t period);

/* Can an event with this attr be opened on the calling thread? The fd, or negative errno;
 * perf_event_open(2) itself, for probes. */
int cprof_perf_event_open(struct perf_event_attr *attr, pid_t tid, int cpu, int group_fd);

#endif
