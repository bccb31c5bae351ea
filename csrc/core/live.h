/* live.h - the rest of a stack, read from the running process straight after its sample.
 *
 * One reader for each CPU: a thread pinned to it, which the kernel wakes with each sample
 * of that CPU's ring, so that it runs in place of the thread that was sampled. It looks
 * at the record (and leaves it in the ring), reads the stack from the live process, the
 * copied part once more and what lies above it, and queues the bytes. Whoever drains the
 * ring finds them there when the record's turn comes, and judges whether they still
 * belong together.
 *
 * The queue has one writer, the reader's thread, and one user, who calls find(). */
#ifndef CPROF_LIVE_H
#define CPROF_LIVE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "error.h"
#include "record.h"
#include "ring.h"

/* Up to which address a thread's stack is read: what is known of where it starts. Where
 * nothing is, the reader tries more with each sample. Any thread may use it; a zeroed one
 * knows nothing. Two threads may share a place: one of them is forgotten then. */
struct cprof_live_limits {
    _Atomic uint64_t threads[4096];
};
enum {
    CPROF_LIVE_MOST =
        8 << 20,            /* bytes of a stack that are read; of larger ones nothing */
    CPROF_LIVE_NOTHING = 8, /* a limit: this thread's are larger */
};
void cprof_live_limit(struct cprof_live_limits *limits, pid_t tid, uint64_t limit);
/* What was told; 0: nothing, or nothing that holds still. */
uint64_t cprof_live_known(struct cprof_live_limits *limits, pid_t tid);

struct cprof_live;

struct cprof_live_options {
    const struct cprof_ring *ring; /* borrowed, as all here, until destroy() */
    int fd;                        /* of the ring, to poll: it wakes for each record */
    int cpu;
    uint64_t sample_type;
    int drain_fd; /* eventfd: written when the ring or the queue should be drained */
    struct cprof_live_limits *limits;
};

struct cprof_live_stack {
    uint64_t time, sp; /* whose: as in the record */
    pid_t tid;
    uint32_t n_again; /* of the bytes: those that the record has as well */
    size_t n;         /* bytes from sp on */
    bool is_limited;  /* no more was asked for: the stack may go on */
    uint8_t bytes[] __attribute__((aligned(8))); /* the user may write to them */
};

enum cprof_live_class { /* the scheduling that its thread was allowed */
                        CPROF_LIVE_DEFAULT,
                        CPROF_LIVE_NICE,
                        CPROF_LIVE_FIFO,
};

struct cprof_live_stats {
    uint64_t n_samples; /* that it has seen */
    uint64_t n_dropped; /* stacks for which the queue had no room */
    uint64_t n_refused; /* stacks that the kernel did not let us read */
    uint64_t cpu_time;  /* ns, of the thread */
    enum cprof_live_class scheduling;
    bool is_pinned;
};

/* *ret is owned; its thread runs. */
int cprof_live_create(const struct cprof_live_options *options, struct cprof_live **ret,
                      struct cprof_error *err);
void cprof_live_destroy(struct cprof_live *live); /* accepts NULL and half-built */

/* What was read for this sample, borrowed until the next call; NULL: nothing. Samples
 * must come in the ring's order; what was read for earlier ones is given up. */
struct cprof_live_stack *cprof_live_find(struct cprof_live *live,
                                         const struct cprof_record *sample);

void cprof_live_stats(struct cprof_live *live, struct cprof_live_stats *ret);

/* May we read the memory of `pid`? 0, -EPERM, -ESRCH ... */
int cprof_live_check(pid_t pid);

#endif
