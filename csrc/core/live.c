#define _GNU_SOURCE /* process_vm_readv, sched_setaffinity */
#include "live.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
    QUEUE_BYTES = 64 << 20, /* touched only as far as it is used */
    WARM_BYTES = 4 << 20,   /* of it are touched at once, and should do */
    ALIGNMENT = 64,
    FIRST_BYTES = 256 << 10, /* above the dump, where the stack's start is not known */

    SP_INDEX = 7,  /* in the sampled registers: AX BX CX DX SI DI BP SP */
    TID_BITS = 19, /* of a limit: tid, "is a guess", address / 8 */
};

/* A place in the queue; positions count all bytes that ever were in it. */
struct entry {
    uint64_t size; /* all of it, a multiple of ALIGNMENT */
    bool is_gap;   /* to the end of the queue: its bytes would not fit */
    struct cprof_live_stack stack;
};

struct cprof_live {
    struct cprof_live_options options;
    pthread_t thread;
    bool has_thread;
    int stop_fd;
    uint8_t *queue;
    _Atomic uint64_t head, tail; /* written by the thread; by the user */
    _Atomic uint64_t n_samples, n_dropped, n_refused;
    _Atomic int scheduling;
    atomic_bool is_pinned;
    /* the thread's own */
    uint64_t at; /* in the ring */
    uint8_t scratch[CPROF_RECORD_MAX];
};

/* ---- limits ---- */

static _Atomic uint64_t *place_of(struct cprof_live_limits *limits, pid_t tid)
{
    return &limits->threads[(size_t)tid %
                            (sizeof(limits->threads) / sizeof(*limits->threads))];
}

static void set_limit(struct cprof_live_limits *limits, pid_t tid, uint64_t limit,
                      bool is_guess)
{
    uint64_t word = (uint64_t)tid << (64 - TID_BITS) |
                    (uint64_t)is_guess << (63 - TID_BITS) | limit >> 3;

    atomic_store_explicit(place_of(limits, tid), word, memory_order_relaxed);
}

/* A guess of 0: nothing is known. */
static uint64_t limit_of(struct cprof_live_limits *limits, pid_t tid, bool *is_guess)
{
    uint64_t word = atomic_load_explicit(place_of(limits, tid), memory_order_relaxed);

    *is_guess = true;
    if (word >> (64 - TID_BITS) != ((uint64_t)tid & ((1u << TID_BITS) - 1)))
        return 0;
    *is_guess = word >> (63 - TID_BITS) & 1;
    return word << (TID_BITS + 1) >> (TID_BITS + 1) << 3;
}

void cprof_live_limit(struct cprof_live_limits *limits, pid_t tid, uint64_t limit)
{
    set_limit(limits, tid, limit, false);
}

uint64_t cprof_live_known(struct cprof_live_limits *limits, pid_t tid)
{
    bool is_guess;
    uint64_t limit = limit_of(limits, tid, &is_guess);

    return is_guess ? 0 : limit;
}

/* ---- the queue ---- */

static struct entry *entry_at(const struct cprof_live *live, uint64_t position)
{
    return (struct entry *)(live->queue + position % QUEUE_BYTES);
}

/* Room for an entry with `n` bytes, at the queue's begin rather than in memory that was
 * not touched yet; NULL: there is none. */
static struct entry *reserve(struct cprof_live *live, size_t n)
{
    uint64_t head = atomic_load_explicit(&live->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&live->tail, memory_order_acquire);
    uint64_t place = head % QUEUE_BYTES, rest = QUEUE_BYTES - place, gap = 0;
    size_t size =
        (sizeof(struct entry) + n + ALIGNMENT - 1) / ALIGNMENT * (size_t)ALIGNMENT;

    if (rest < size || (head == tail && place >= size))
        gap = rest;
    if (head - tail + gap + size > QUEUE_BYTES)
        return NULL;
    if (gap) {
        *entry_at(live, head) = (struct entry){.size = gap, .is_gap = true};
        head += gap;
        atomic_store_explicit(&live->head, head, memory_order_release);
    }
    entry_at(live, head)->size = size;
    return entry_at(live, head);
}

/* Only what was filled is kept. */
static void publish(struct cprof_live *live, struct entry *entry)
{
    size_t n = sizeof(*entry) + entry->stack.n;

    entry->is_gap = false;
    entry->size = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    atomic_fetch_add_explicit(&live->head, entry->size, memory_order_release);
}

struct cprof_live_stack *cprof_live_find(struct cprof_live *live,
                                         const struct cprof_record *sample)
{
    uint64_t head = atomic_load_explicit(&live->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&live->tail, memory_order_relaxed);
    struct cprof_live_stack *found = NULL;

    while (tail != head && !found) {
        struct entry *entry = entry_at(live, tail);
        struct cprof_live_stack *stack = &entry->stack;
        if (!entry->is_gap && stack->time > sample->time)
            break;
        if (!entry->is_gap && stack->time == sample->time && stack->tid == sample->tid)
            found = stack;
        else
            tail += entry->size;
    }
    atomic_store_explicit(&live->tail, tail, memory_order_release);
    return found;
}

/* ---- the thread ---- */

/* Up to which address a stack at `sp`, copied up to `end`, is to be read. */
static uint64_t wanted_end(const struct cprof_live *live, pid_t tid, uint64_t sp,
                           uint64_t end, bool *is_guess)
{
    uint64_t limit = limit_of(live->options.limits, tid, is_guess);

    if (limit == CPROF_LIVE_NOTHING)
        return end;
    if (limit <= sp ||
        limit - sp > 8ull * CPROF_LIVE_MOST) { /* another stack's, or none */
        *is_guess = true;
        return end + FIRST_BYTES;
    }
    if (limit - sp > CPROF_LIVE_MOST)
        return *is_guess ? sp + CPROF_LIVE_MOST : end;
    return limit;
}

static void read_stack(struct cprof_live *live, const struct cprof_record *record,
                       uint64_t sp, uint64_t stack_n)
{
    bool is_guess;
    uint64_t end = wanted_end(live, record->tid, sp, sp + stack_n, &is_guess);
    struct iovec from = {(void *)(uintptr_t)sp, 0}, to;
    struct entry *entry;
    ssize_t n;

    if (end <= sp + stack_n) /* all of it was copied */
        return;
    entry = reserve(live, end - sp);
    if (!entry && is_guess) { /* the first guess may still do */
        end = sp + stack_n + FIRST_BYTES < end ? sp + stack_n + FIRST_BYTES : end;
        entry = reserve(live, end - sp);
    }
    if (!entry) {
        atomic_fetch_add_explicit(&live->n_dropped, 1, memory_order_relaxed);
        return;
    }
    from.iov_len = end - sp;
    to = (struct iovec){entry->stack.bytes, end - sp};
    n = process_vm_readv(record->pid, &to, 1, &from, 1, 0);
    if (n < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS))
        atomic_fetch_add_explicit(&live->n_refused, 1, memory_order_relaxed);
    if (n <= (ssize_t)stack_n)
        return;
    entry->stack.time = record->time;
    entry->stack.tid = record->tid;
    entry->stack.sp = sp;
    entry->stack.n_again = (uint32_t)stack_n;
    entry->stack.n = (size_t)n;
    entry->stack.is_limited = (uint64_t)n == end - sp;
    if (is_guess && entry->stack.is_limited) {
        set_limit(live->options.limits, record->tid, sp + 4 * (end - sp), true);
        cprof_thread_wake(live->options.drain_fd); /* where the start will be seen */
    }
    publish(live, entry);
}

static void look_at(struct cprof_live *live, const struct perf_event_header *bytes,
                    size_t n)
{
    struct cprof_record record;
    uint64_t sp, stack_n;

    if (bytes->type != PERF_RECORD_SAMPLE ||
        cprof_record_decode(bytes, n, live->options.sample_type, &record) < 0 ||
        record.pid <= 0 || record.sample.regs_abi != PERF_SAMPLE_REGS_ABI_64)
        return;
    memcpy(&sp, &record.sample.regs[SP_INDEX], sizeof(sp));
    stack_n = record.sample.stack_n;
    if (cprof_ring_holds(live->options.ring, live->at - n) && sp < UINT64_MAX / 2)
        read_stack(live, &record, sp, stack_n);
    atomic_fetch_add_explicit(&live->n_samples, 1, memory_order_release);
}

static void look(struct cprof_live *live)
{
    const struct perf_event_header *bytes;
    const struct cprof_ring *ring = live->options.ring;
    uint64_t queued;
    int r;

    for (;;) {
        r = cprof_ring_peek(ring, &live->at, live->scratch, &bytes);
        if (r == 0)
            break;
        if (r > 0)
            look_at(live, bytes, (size_t)r);
    }
    queued = atomic_load_explicit(&live->head, memory_order_relaxed) -
             atomic_load_explicit(&live->tail, memory_order_relaxed);
    if (cprof_ring_waiting(ring) > cprof_ring_size(ring) / 4 || queued > WARM_BYTES / 2)
        cprof_thread_wake(live->options.drain_fd);
}

/* The thread that was sampled must not run on while its stack is read. */
static void take_precedence(struct cprof_live *live)
{
    struct sched_param lowest = {.sched_priority = 1};
    enum cprof_live_class got = CPROF_LIVE_DEFAULT;
    cpu_set_t *set = CPU_ALLOC((size_t)live->options.cpu + 1);
    size_t size = CPU_ALLOC_SIZE((size_t)live->options.cpu + 1);

    if (set) {
        CPU_ZERO_S(size, set);
        CPU_SET_S((size_t)live->options.cpu, size, set);
        atomic_store(&live->is_pinned, sched_setaffinity(0, size, set) == 0);
        CPU_FREE(set);
    }
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0)
        got = CPROF_LIVE_FIFO;
    else if (setpriority(PRIO_PROCESS, 0, -20) == 0) /* of this thread alone */
        got = CPROF_LIVE_NICE;
    atomic_store(&live->scheduling, got);
}

static void *live_thread(void *arg)
{
    struct cprof_live *live = arg;
    struct pollfd fds[] = {{.fd = live->stop_fd, .events = POLLIN},
                           {.fd = live->options.fd, .events = POLLIN}};

    take_precedence(live);
    while (!fds[0].revents) {
        if (poll(fds, 2, -1) < 0)
            continue;
        look(live);
        if (fds[1].revents & (POLLHUP | POLLERR | POLLNVAL))
            fds[1].fd =
                -1; /* it would be so at once, for ever, on a CPU we do not yield */
    }
    return NULL;
}

static int start_thread(struct cprof_live *live)
{
    int r = cprof_thread_start("cprof-live", live_thread, live, &live->thread);

    live->has_thread = r == 0;
    return r;
}

int cprof_live_create(const struct cprof_live_options *options, struct cprof_live **ret,
                      struct cprof_error *err)
{
    struct cprof_live *live = calloc(1, sizeof(*live));
    void *queue;
    int r;

    if (!live)
        return cprof_error_set(err, -ENOMEM, "live: out of memory");
    live->options = *options;
    live->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (live->stop_fd < 0) {
        r = -errno;
        goto fail;
    }
    queue = mmap(NULL, QUEUE_BYTES, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (queue == MAP_FAILED) {
        r = -errno;
        goto fail;
    }
    live->queue = queue;
    madvise(queue, WARM_BYTES, MADV_POPULATE_WRITE); /* linux 5.14; else as it comes */
    r = start_thread(live);
    if (r < 0)
        goto fail;
    *ret = live;
    return 0;
fail:
    cprof_live_destroy(live);
    return cprof_error_set(err, r, "live: cannot start a reader: %s", strerror(-r));
}

void cprof_live_destroy(struct cprof_live *live)
{
    if (!live)
        return;
    if (live->has_thread) {
        cprof_thread_wake(live->stop_fd);
        pthread_join(live->thread, NULL);
    }
    if (live->stop_fd >= 0)
        close(live->stop_fd);
    if (live->queue)
        munmap(live->queue, QUEUE_BYTES);
    free(live);
}

void cprof_live_stats(struct cprof_live *live, struct cprof_live_stats *ret)
{
    struct timespec used = {0};
    clockid_t clock;

    if (pthread_getcpuclockid(live->thread, &clock) == 0)
        clock_gettime(clock, &used);
    ret->n_samples = atomic_load(&live->n_samples);
    ret->n_dropped = atomic_load(&live->n_dropped);
    ret->n_refused = atomic_load(&live->n_refused);
    ret->cpu_time = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    ret->scheduling = (enum cprof_live_class)atomic_load(&live->scheduling);
    ret->is_pinned = atomic_load(&live->is_pinned);
}

int cprof_live_check(pid_t pid)
{
    uint8_t byte;
    struct iovec to = {&byte, 1}, from = {NULL, 1};

    /* permission is looked at before the address, which is never a good one */
    if (process_vm_readv(pid, &to, 1, &from, 1, 0) >= 0 || errno == EFAULT)
        return 0;
    return -errno;
}
