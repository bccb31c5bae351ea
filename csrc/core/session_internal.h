/* session_internal.h - the session's own struct, shared by its source files:
 *   session.c        life cycle, the drain thread, snapshots
 *   session_open.c   attributes, file descriptors, rings
 *   session_double.c threads that were given events twice
 *   session_drain.c  rings -> records in time order -> rows
 *   session_frames.c do the targets keep frame pointers?
 *   session_exact.c  which CPUs read on in the live process; what comes of it
 * Everything after `lock` is touched under it, by the drain thread or by who asks for a
 * snapshot; the rest is set before the thread starts and constant afterwards. */
#ifndef CPROF_SESSION_INTERNAL_H
#define CPROF_SESSION_INTERNAL_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "backlog.h"
#include "child.h"
#include "counter.h"
#include "event.h"
#include "probe.h"
#include "live.h"
#include "locate.h"
#include "process.h"
#include "record.h"
#include "ring.h"
#include "session.h"
#include "splice.h"
#include "unwind_build.h"

enum { CPROF_KERNEL_FRAMES_MAX = 1024 };

struct cprof_session_ring {
    struct cprof_ring *ring;
    int cpu;
    bool is_exact; /* for the samples of a CPU in exact mode: wakes for each */
    int fd;        /* the keeper, which is mapped */
    bool is_deaf;  /* the keeper's task has ended */
    struct cprof_map sampled_by; /* tid -> index of the sampler whose records it gave */
    int32_t switched_tid;        /* the last to be switched in or out */
    bool is_switched_out;
    bool has_head; /* `head` is decoded and waits for its turn */
    struct cprof_record head;
    const struct perf_event_header *head_bytes; /* what it was decoded from */
    struct cprof_backlog backlog;               /* comes before what is in the ring */
};

struct cprof_session_target {
    pid_t pid;
    int pidfd; /* -1 once it has ended */
};

/* Jitter of one sampling fd: redrawn after `left` further samples of its own. */
struct cprof_session_jitter {
    uint32_t left;
};

enum cprof_stack_mode { CPROF_STACK_AUTO, CPROF_STACK_DUMP, CPROF_STACK_EXACT };

/* Exact mode of one CPU: its samples go to a ring of their own, beside which a reader
 * continues their stacks in the live process. */
struct cprof_session_exact {
    int cpu;
    struct cprof_live *live; /* runs since this CPU was first in exact mode */
    bool is_on;
    uint64_t on_since;
    /* since `since`: all samples, and those with more stack than was copied */
    uint64_t n_samples, n_deep, since;
    uint64_t read_time;  /* of the reader, at `since` */
    uint64_t last_deep;  /* when there was one */
    uint64_t not_before; /* it did not pay */
};

struct cprof_session_lost { /* a row of lost samples, and what the kernel noted */
    size_t row;
    uint64_t n;
};

struct cprof_session {
    double freq;
    uint64_t period; /* nominal, of clock events and where asked by period */
    bool jitter, is_attached, is_kernel_excluded, is_scaled, follow, wants_all_lines;
    uint32_t stack_bytes;
    enum cprof_stack_mode stack_mode;
    bool has_frames; /* code keeps frame pointers, and the kernel follows them */
    double verify;   /* share of the samples that is unwound twice */
    const struct cprof_event *event;
    const struct cprof_unwind_ops *unwind;
    struct cprof_cpus cpus;
    CPROF_VEC(struct cprof_session_target) targets;
    pid_t refused;       /* whose events could not be opened */
    struct rlimit files; /* before we raised it */
    bool has_raised_files;
    struct cprof_counter keeper, tracker, sampler;
    CPROF_VEC(struct cprof_session_ring) rings;  /* at most two for each CPU */
    CPROF_VEC(struct cprof_session_exact) exact; /* empty: not possible, or not wanted */
    struct cprof_live_limits limits;
    struct cprof_child child;
    pid_t child_pid;
    char *name;           /* argv[0], or "pid 12" */
    int wake_fd, done_fd; /* eventfds: make the thread look up; all targets have ended */
    pthread_t thread;
    bool has_thread;
    atomic_bool stop_asked, is_done;

    pthread_mutex_t turn_lock; /* one start or stop at a time; held before `lock` */
    struct pollfd *polled;     /* the thread's */

    pthread_mutex_t lock;

    bool is_started, is_stopped, is_finished, child_ended;
    int child_status;
    struct cprof_stacks *stacks;
    struct cprof_profile *profile;
    struct cprof_processes processes;
    struct cprof_locator locator;
    bool awaits_main; /* the child has begun an exec: its program is mapped next */
    CPROF_VEC(struct cprof_session_jitter) jitters; /* parallel to sampler.fds */
    uint64_t random;
    CPROF_VEC(struct cprof_session_lost) lost;
    uint64_t n_lost_counted; /* by the kernel's counters, as of the last reading */
    bool has_lost_counted;
    double scale; /* ns for one count of a hardware event that stands for CPU time */
    struct cprof_unwind_builder *builder;
    struct cprof_dso *awaited; /* records wait for its table; NULL as a rule */
    struct cprof_unwind_chain *chain, *reference;
    uint32_t n_added;  /* outermost frames of the chain that the copy did not have */
    uint32_t *frames;  /* scratch for one stack */
    uint64_t cut_time; /* where the last snapshot(since_last) ended */
};

uint64_t cprof_session_now(void);

/* session_open.c */
int cprof_session_open(struct cprof_session *s,
                       const struct cprof_session_options *options,
                       struct cprof_error *err);
void cprof_session_close_rings(struct cprof_session *s);
/* Map a ring of `size` bytes for a CPU. -ENODEV: it is offline; -ENOBUFS: too large for
 * the locked-memory budget. */
int cprof_session_map_ring(struct cprof_session *s, int cpu, bool is_exact, size_t size,
                           struct cprof_error *err);
struct cprof_session_ring *cprof_session_ring_of(struct cprof_session *s, int cpu,
                                                 bool is_exact);
uint64_t cprof_session_draw_period(struct cprof_session *s);
double cprof_session_random(struct cprof_session *s); /* uniform in [0, 1) */

/* session_double.c: does the ring's head come from an event that its thread has besides
 * another one? Such events are closed as they become known. */
bool cprof_session_is_double(struct cprof_session *s, struct cprof_session_ring *ring);

/* session_drain.c: take in all records up to `limit` (UINT64_MAX: all there are). Where a
 * large unwind table is being made, records from there on wait, in the rings and then in
 * backlogs; with `is_patient` it is waited for. 0 or -ENOMEM. */
int cprof_session_drain(struct cprof_session *s, uint64_t limit, bool is_patient);
/* The chain of this input, in s->chain: 0, or CPROF_SESSION_WAITS. */
enum { CPROF_SESSION_WAITS = 1 };
int cprof_session_unwind(struct cprof_session *s, const struct cprof_process *process,
                         const struct cprof_unwind_input *in);
/* A row of `n` lost samples of mean weight. */
int cprof_session_add_lost(struct cprof_session *s, uint64_t time, uint64_t n);
uint64_t cprof_session_mean_weight(const struct cprof_session *s);
/* session_frames.c: for the program, or the largest files of a process. */
bool cprof_session_has_frames(const struct cprof_session *s,
                              const struct cprof_session_options *options);

/* session_exact.c: which CPUs can; none where stacks cannot be read, which is an error
 * with stack_mode EXACT: -EPERM ... */
int cprof_session_begin_exact(struct cprof_session *s, struct cprof_error *err);
/* Readers for the rings that are there already. */
int cprof_session_start_exact(struct cprof_session *s, struct cprof_error *err);
/* The drain thread, after it has drained: CPUs into exact mode and out of it. */
void cprof_session_adjust_exact(struct cprof_session *s);
void cprof_session_hurry(void);
void cprof_session_end_exact(struct cprof_session *s);
/* s->chain is that of this sample: make it longer, if it ends with the copied bytes. 0 or
 * CPROF_SESSION_WAITS. */
int cprof_session_continue(struct cprof_session *s, const struct cprof_process *process,
                           const struct cprof_record *record,
                           const struct cprof_unwind_input *in);

/* Make the file `exe` of `pid` the profile's first mapping, if it is mapped. */
int cprof_session_note_exe(struct cprof_session *s, pid_t pid, const char *exe);

#endif
