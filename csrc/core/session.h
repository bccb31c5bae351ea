/* session.h - one recording: a child that it starts, or processes that run already.
 *
 * create() opens everything (nothing is sampled yet; a child waits before its exec),
 * start() lets it run. A thread of the session's own drains the kernel's rings, unwinds
 * each sample at once and interns its stack; raw stacks are never kept. stop() ends
 * sampling and drains the rest; finish() gives the profile with its functions named.
 *
 * All functions but create and destroy may be called from any thread. The target is never
 * stopped; a child that the session started is waited for, and killed only on request. */
#ifndef CPROF_SESSION_H
#define CPROF_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"
#include "profile.h"

struct cprof_session;

enum { CPROF_STACK_BYTES_AUTO = 0x7fffffff };

struct cprof_session_options {
    const char *const *argv; /* a child to start, NULL-terminated; or NULL: attach */
    const char *const *envp; /* its environment; NULL: ours */
    const char *cwd;         /* its directory; NULL: ours */
    const int *stdio;        /* what its descriptors 0, 1 and 2 are; NULL: ours */
    const pid_t *pids;       /* attach: these processes, all their threads */
    size_t n_pids;
    const char *event;    /* see event.h; "auto" */
    double freq;          /* samples a second of CPU time; 0: 997 child, 99 attach */
    uint64_t period;      /* instead: every so many events; 0: by freq */
    bool jitter;          /* redraw the period around its mean (clock events) */
    bool follow;          /* processes that the target starts, too */
    int kernel;           /* 1 kernel samples and frames or fail, 0 none, -1 if allowed */
    const char *unwind;   /* see unwind.h; "auto" */
    double verify;        /* share of the samples that libunwind unwinds, too, 0 to 1 */
    uint32_t stack_bytes; /* of stack copied with each sample, at most 65528, or
                             CPROF_STACK_BYTES_AUTO: that, or half as rings allow */
    const char *stack;    /* a stack with more than that: "dump" ends it there, "exact"
                             reads on in the live process, "auto" (also NULL) does so as
                             far as it costs little */
    size_t ring_bytes;    /* of one CPU's ring; 0: by rate */
    int lines;            /* source lines, inlined functions: 1 of all code, 0 none, -1
                             where that takes no time to speak of (locate_lines.h) */
};

struct cprof_session_stats {
    uint64_t n_samples, n_lost, n_throttled;
    uint64_t start_mono, now_mono;
    double rate_asked;
    const char *event; /* borrowed until the session ends */
    size_t n_rings, ring_bytes, n_fds;
    bool is_kernel_excluded, is_running;
    size_t n_targets; /* those that still run */
};

/* *ret is owned. Errors name what refused: -EACCES/-EPERM with knob, value and remedy,
 * -ESRCH (no such process, zombie), -EINVAL (kernel thread, bad option), -EOPNOTSUPP
 * (event), for a child the errno of its exec (start() reports that). */
int cprof_session_create(const struct cprof_session_options *options,
                         struct cprof_session **ret, struct cprof_error *err);
/* Stops first when it runs; a child that still waits for start() is ended, one that runs
 * goes on. Accepts NULL and half-built. */
void cprof_session_destroy(struct cprof_session *session);

int cprof_session_start(struct cprof_session *session, struct cprof_error *err);

/* Wait until all targets have ended (1), the time is over (0), or a signal came (-EINTR).
 */
int cprof_session_wait(struct cprof_session *session, int timeout_ms);

int cprof_session_stop(struct cprof_session *session, struct cprof_error *err);

/* All rows so far, named; with `since_last` those since the last such call. *ret owned.
 */
int cprof_session_snapshot(struct cprof_session *session, bool since_last,
                           struct cprof_profile **ret, struct cprof_error *err);
/* stop(), then the whole profile without a copy; the session can only be destroyed then.
 */
int cprof_session_finish(struct cprof_session *session, struct cprof_profile **ret,
                         struct cprof_error *err);

void cprof_session_stats(struct cprof_session *session, struct cprof_session_stats *ret);

/* The child: its pid (0 when attached); whether it has ended and its wait(2) status. */
pid_t cprof_session_child(const struct cprof_session *session);
bool cprof_session_child_status(struct cprof_session *session, int *status);
int cprof_session_kill_child(struct cprof_session *session, int signal);

#endif
