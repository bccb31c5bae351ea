/* session_open.c - attributes, file descriptors and rings of a recording. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "session_internal.h"

enum {
    STACK_BYTES_MAX = 65528, /* the kernel's limit: a multiple of 8 below 64 KiB */

    RING_MIN = 128 << 10, /* two of the largest records */
    RING_MAX = 8 << 20,
    RING_MOST = 64 << 20,   /* where the rate is not known */
    RINGS_MOST = 256 << 20, /* all of them, there */
    BURST_RATE = 100000,    /* events a second, for a moment */
    RECORD_OVERHEAD = 1024, /* of a sample, beyond its stack bytes */
    PASSES_MAX = 16,        /* over the threads of a process */
};

/* xorshift64*: good enough to be out of step with any program. */
double cprof_session_random(struct cprof_session *s)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (double)((s->random * 0x2545f4914f6cdd1dull) >> 11) / 9007199254740992.0;
}

/* The period is uniform within 10 % of the nominal one, so that this is its mean. Setting
 * a period drops what has run of the current one, half a period in the mean, once in
 * JITTER_MEAN samples: periods are shorter by that, and each sample stands for the
 * nominal period in the mean. */
enum { JITTER_FEWEST = 20, JITTER_MOST = 50 };

uint64_t cprof_session_draw_period(struct cprof_session *s)
{
    double mean = (JITTER_FEWEST + JITTER_MOST) / 2.0;
    double nominal = (double)s->period * (1 - 0.5 / mean);

    return (uint64_t)(nominal * (0.9 + 0.2 * cprof_session_random(s)));
}

static bool is_redrawn(const struct cprof_session *s)
{
    return s->jitter && s->event->is_clock;
}

static void fill_common(const struct cprof_session *s, struct perf_event_attr *attr)
{
    attr->size = sizeof(*attr);
    attr->sample_type = CPROF_SAMPLE_TYPE;
    attr->sample_id_all = 1;
    attr->disabled = 1;
    attr->inherit = 1;
    attr->inherit_thread = !s->follow;
    attr->enable_on_exec = !s->is_attached;
    attr->exclude_hv = 1;
    attr->exclude_kernel = s->is_kernel_excluded;
    attr->use_clockid = 1;
    attr->clockid = CLOCK_MONOTONIC;
}

/* What the kernel lets this user lock for rings, split over the CPUs; SIZE_MAX where it
 * does not count (perf_event_open(2): perf_event_mlock_kb for each CPU, then
 * RLIMIT_MEMLOCK). Other programs of the user draw on it too. */
static size_t locked_budget(const struct cprof_session *s)
{
    struct rlimit memory = {0};
    long kb = 516;

    if (cprof_probe_has_capability(CPROF_CAP_IPC_LOCK) || cprof_probe_paranoid() < 0)
        return SIZE_MAX;
    cprof_proc_number("/proc/sys/kernel/perf_event_mlock_kb", &kb);
    getrlimit(RLIMIT_MEMLOCK, &memory);
    if (memory.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)kb * 1024 + (size_t)memory.rlim_cur / s->cpus.numbers.n;
}

/* Samples a second; where every so many events are counted, those of a burst (page faults
 * at a start). */
static double rate_of(const struct cprof_session *s)
{
    return s->freq ? s->freq : fmax(BURST_RATE / (double)s->period, 1000);
}

/* The largest copy of which a ring of that size takes a sixteenth of a second; not less
 * than half of it, or an eighth where the rate is not known. */
static uint32_t stack_bytes(const struct cprof_session *s, uint32_t asked, size_t ring)
{
    double n = fmax(rate_of(s) / 16, 6);
    uint32_t bytes = STACK_BYTES_MAX, least = s->freq ? 32 << 10 : 8 << 10;

    if (!s->unwind->needs_stack)
        return 0;
    if (asked != CPROF_STACK_BYTES_AUTO)
        return asked & ~7u;
    while (bytes > least && n * (bytes + RECORD_OVERHEAD) > (double)ring)
        bytes = (bytes + 8) / 2 & ~7u; /* 32, 16, 8 KiB */
    return bytes;
}

static size_t ring_bytes(const struct cprof_session *s,
                         const struct cprof_session_options *options)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = RING_MIN, most = RING_MAX;
    size_t budget = locked_budget(s); /* the ring's head page counts as well */
    size_t asked = options->ring_bytes;
    double rate = rate_of(s), bytes;
    uint32_t stack = stack_bytes(s, options->stack_bytes, SIZE_MAX);

    if (s->stack_mode == CPROF_STACK_EXACT) /* two for each CPU */
        budget /= 2;

    if (!s->freq) {
        most = RINGS_MOST / s->cpus.numbers.n;
        most = most < RING_MAX ? RING_MAX : most > RING_MOST ? RING_MOST : most;
    }
    /* room for an eighth of a second of a busy CPU */
    bytes = asked ? (double)asked : rate * (stack + RECORD_OVERHEAD) / 8;
    if (!asked && bytes < 512 << 10)
        bytes = 512 << 10;
    while (size * 2 <= most && size < bytes && size * 2 + page <= budget)
        size *= 2;
    return size;
}

/* What a ring is mapped on: an event of our own that counts nothing, and lives as long as
 * this program, so that it can be polled. */
static void fill_keeper(const struct cprof_session *s, struct perf_event_attr *keep)
{
    memset(keep, 0, sizeof(*keep));
    fill_common(s, keep);
    keep->type = PERF_TYPE_SOFTWARE;
    keep->config = PERF_COUNT_SW_DUMMY;
    keep->inherit = keep->inherit_thread = keep->enable_on_exec = 0;
    keep->watermark = 1;
}

static void fill_attrs(struct cprof_session *s)
{
    struct perf_event_attr *track = &s->tracker.attr, *sample = &s->sampler.attr;

    fill_keeper(s, &s->keeper.attr);
    memset(track, 0, sizeof(*track));
    fill_common(s, track);
    track->type = PERF_TYPE_SOFTWARE;
    track->config = PERF_COUNT_SW_DUMMY;
    track->sample_period = 1;
    track->mmap = track->mmap2 = track->build_id = 1;
    track->comm = track->comm_exec = track->context_switch = 1;

    memset(sample, 0, sizeof(*sample));
    fill_common(s, sample);
    sample->type = s->event->type;
    sample->config = s->event->config;
    sample->task = 1; /* so that both know of a thread or neither: session_double.c */
    if (s->period) {
        sample->sample_period = s->period;
    } else {
        sample->freq = 1;
        sample->sample_freq = (uint64_t)s->freq;
    }
    sample->sample_type = CPROF_SAMPLE_TYPE_SAMPLING | PERF_SAMPLE_REGS_USER;
    sample->sample_regs_user = CPROF_REGS_MASK;
    if (s->stack_bytes) {
        sample->sample_type |= PERF_SAMPLE_STACK_USER;
        sample->sample_stack_user = s->stack_bytes;
    }
    if (!s->is_kernel_excluded || s->has_frames) {
        sample->sample_type |= PERF_SAMPLE_CALLCHAIN;
        sample->exclude_callchain_kernel = s->is_kernel_excluded;
        sample->exclude_callchain_user = !s->has_frames;
    }
}

static void refuse_lock(struct cprof_error *err)
{
    char value[32];
    long kb = 0;

    cprof_proc_number("/proc/sys/kernel/perf_event_mlock_kb", &kb);
    snprintf(value, sizeof(value), "%ld KiB", kb);
    cprof_error_refused(
        err, "kernel.perf_event_mlock_kb", value,
        "sysctl kernel.perf_event_mlock_kb=2048, or a higher ulimit -l; or "
        "end another profiler of this user");
}

static int too_many_files(const struct cprof_session *s, struct cprof_error *err)
{
    char value[32];

    snprintf(value, sizeof(value), "%llu", (unsigned long long)s->files.rlim_max);
    cprof_error_set(
        err, -EMFILE,
        "session: too many open files: each thread needs two on each of %zu CPUs",
        s->cpus.numbers.n);
    cprof_error_refused(err, "RLIMIT_NOFILE", value, "raise it: ulimit -Hn 1000000");
    return -EMFILE;
}

int cprof_session_map_ring(struct cprof_session *s, int cpu, bool is_exact, size_t size,
                           struct cprof_error *err)
{
    struct cprof_session_ring ring = {
        .cpu = cpu, .is_exact = is_exact, .switched_tid = -1};
    int r;

    if (cprof_vec_reserve(&s->rings, 1) < 0)
        return cprof_error_set(err, -ENOMEM, "session: out of memory");
    s->keeper.attr.wakeup_watermark = is_exact ? 1 : (uint32_t)(size / 4);
    ring.fd = cprof_counter_open(&s->keeper, getpid(), cpu, -1);
    if (ring.fd == -ESRCH) /* the main thread has ended; ours lives at least */
        ring.fd = cprof_counter_open(&s->keeper, 0, cpu, -1);
    if (ring.fd < 0)
        return ring.fd == -EMFILE ? too_many_files(s, err) : ring.fd;
    r = cprof_ring_create(ring.fd, size / (size_t)sysconf(_SC_PAGESIZE), &ring.ring, err);
    if (r == -EPERM || r == -ENOMEM) {
        refuse_lock(err);
        return -ENOBUFS;
    }
    if (r < 0)
        return r;
    s->rings.data[s->rings.n++] = ring;
    return 0;
}

struct cprof_session_ring *cprof_session_ring_of(struct cprof_session *s, int cpu,
                                                 bool is_exact)
{
    for (size_t i = 0; i < s->rings.n; i++)
        if (s->rings.data[i].cpu == cpu && s->rings.data[i].is_exact == is_exact)
            return &s->rings.data[i];
    return NULL;
}

/* Both events for one thread on one CPU. -ESRCH and -ENODEV are the caller's to skip. */
static int open_pair(struct cprof_session *s, pid_t tid, int cpu, size_t ring_size,
                     struct cprof_error *err)
{
    struct cprof_session_jitter jitter = {.left = JITTER_FEWEST};
    bool is_exact = s->stack_mode == CPROF_STACK_EXACT;
    int fd, r = 0;

    if (!cprof_session_ring_of(s, cpu, false))
        r = cprof_session_map_ring(s, cpu, false, ring_size, err);
    if (r == 0 && is_exact && !cprof_session_ring_of(s, cpu, true))
        r = cprof_session_map_ring(s, cpu, true, ring_size, err);
    if (r < 0)
        return r;
    fd = cprof_counter_open(&s->tracker, tid, cpu,
                            cprof_session_ring_of(s, cpu, false)->fd);
    if (fd < 0)
        return fd == -EMFILE ? too_many_files(s, err) : fd;
    if (cprof_vec_reserve(&s->jitters, 1) < 0)
        return cprof_error_set(err, -ENOMEM, "session: out of memory");
    fd = cprof_counter_open(&s->sampler, tid, cpu,
                            cprof_session_ring_of(s, cpu, is_exact)->fd);
    if (fd < 0)
        return fd == -EMFILE ? too_many_files(s, err) : fd;
    s->jitters.data[s->jitters.n++] = jitter;
    if (is_redrawn(s))
        cprof_counter_set_period(&s->sampler, s->sampler.fds.n - 1,
                                 cprof_session_draw_period(s));
    return 0;
}

static int open_task(struct cprof_session *s, pid_t tid, size_t ring_size,
                     struct cprof_error *err)
{
    int r = 0, n_opened = 0;

    for (size_t i = 0; i < s->cpus.numbers.n; i++) {
        r = open_pair(s, tid, s->cpus.numbers.data[i], ring_size, err);
        if (r == -ENODEV) /* the CPU went offline */
            continue;
        if (r < 0)
            return r;
        n_opened++;
    }
    return n_opened ? 0 : r;
}

/* All threads of a process; those that appear meanwhile may be children of threads
 * without our events, so the list is read again until it holds no new one. Where threads
 * come faster than that it ends all the same: each pass leaves fewer that could have made
 * one without events. Those that inherit and are found, too: session_double.c. */
static int open_process(struct cprof_session *s, pid_t pid, size_t ring_size,
                        struct cprof_error *err)
{
    struct cprof_tasks tasks = {0};
    struct cprof_map done = {0};
    size_t n_new, n_opened = 0;
    int n_passes = 0, r;

    do {
        n_new = 0;
        r = cprof_proc_tasks(pid, &tasks);
        for (size_t i = 0; r == 0 && i < tasks.ids.n; i++) {
            if (cprof_map_get(&done, (uint64_t)tasks.ids.data[i]) != CPROF_MAP_NONE)
                continue;
            n_new++;
            r = cprof_map_set(&done, (uint64_t)tasks.ids.data[i], 1);
            if (r == 0)
                r = open_task(s, tasks.ids.data[i], ring_size, err);
            n_opened += r == 0;
            if (r == -ESRCH) /* it ended */
                r = 0;
        }
    } while (r == 0 && n_new && ++n_passes < PASSES_MAX);
    cprof_vec_free(&tasks.ids);
    cprof_map_deinit(&done);
    if (r == 0 && !n_opened)
        r = -ESRCH;
    return r;
}

void cprof_session_close_rings(struct cprof_session *s)
{
    for (size_t i = 0; i < s->rings.n; i++) {
        cprof_ring_destroy(s->rings.data[i].ring);
        cprof_map_deinit(&s->rings.data[i].sampled_by);
        cprof_backlog_deinit(&s->rings.data[i].backlog);
    }
    s->rings.n = 0;
}

static void close_events(struct cprof_session *s)
{
    struct perf_event_attr track = s->tracker.attr, sample = s->sampler.attr;

    cprof_session_close_rings(s);
    s->jitters.n = 0;
    cprof_counter_deinit(&s->keeper);
    cprof_counter_deinit(&s->tracker);
    cprof_counter_deinit(&s->sampler);
    s->tracker.attr = track;
    s->sampler.attr = sample;
}

/* All targets with rings of one size. */
static int open_sized(struct cprof_session *s, size_t size, struct cprof_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->targets.n; i++) {
        pid_t pid = s->targets.data[i].pid;
        r = s->is_attached ? open_process(s, pid, size, err)
                           : open_task(s, pid, size, err);
        if (r < 0)
            s->refused = pid;
        if (r == -ESRCH)
            cprof_error_set(err, r, "session: process %d has ended", pid);
    }
    return r;
}

/* Rings are halved together while the locked-memory budget refuses them: a small one
 * among large ones would lose what its CPU samples. */
static int open_targets(struct cprof_session *s,
                        const struct cprof_session_options *options,
                        struct cprof_error *err)
{
    size_t size = ring_bytes(s, options);
    bool has_build_ids = true; /* linux 5.12 */
    int r;

    for (;;) {
        s->stack_bytes = stack_bytes(s, options->stack_bytes, size);
        fill_attrs(s);
        s->tracker.attr.build_id = has_build_ids;
        r = open_sized(s, size, err);
        if (r == -EINVAL && has_build_ids)
            has_build_ids = false;
        else if (r == -ENOBUFS && size > RING_MIN)
            size /= 2;
        else
            return r == -ENOBUFS ? -EPERM : r;
        close_events(s);
        cprof_error_clear(err);
    }
}

/* One event, with the kernel if that is wanted and allowed. */
static int open_event(struct cprof_session *s,
                      const struct cprof_session_options *options, bool is_user_only,
                      struct cprof_error *err)
{
    bool may_drop_kernel = options->kernel < 0 && !is_user_only;
    int r;

    s->is_kernel_excluded = options->kernel == 0 || is_user_only;
    cprof_error_clear(err);
    r = open_targets(s, options, err);
    if ((r == -EACCES || r == -EPERM) && may_drop_kernel && (!err || !err->knob[0])) {
        close_events(s);
        s->is_kernel_excluded = true;
        r = open_targets(s, options, err);
    }
    if (r < 0)
        close_events(s);
    if ((r == -EACCES || r == -EPERM) && (!err || !err->knob[0]))
        cprof_probe_refusal(r, s->is_attached ? s->refused : 0,
                            options->kernel > 0 && cprof_probe_paranoid() <= 2, err);
    return r;
}

static int set_rate(struct cprof_session *s, const struct cprof_session_options *options,
                    struct cprof_error *err)
{
    long most = cprof_probe_max_sample_rate();

    s->freq = options->freq;
    s->period = options->period;
    if (options->freq < 0 || !isfinite(options->freq) ||
        (options->freq && options->period))
        return cprof_error_set(err, -EINVAL,
                               "session: give a positive freq, or a period");
    if (!s->freq && !s->period)
        s->freq = s->is_attached ? 99 : 997;
    if (s->event->is_clock) {
        if (s->period)
            s->freq = 1e9 / (double)s->period;
        else if (s->freq >= 1e-3) /* refused below */
            s->period = (uint64_t)(1e9 / s->freq);
    }
    if (s->freq > (double)most) {
        char value[32];
        snprintf(value, sizeof(value), "%ld", most);
        cprof_error_set(err, -EINVAL,
                        "session: %.0f Hz is above the kernel's limit of %ld", s->freq,
                        most);
        cprof_error_refused(err, "kernel.perf_event_max_sample_rate", value,
                            "a lower freq, or sysctl kernel.perf_event_max_sample_rate");
        return -EINVAL;
    }
    if (options->freq && s->freq < (s->event->is_clock ? 1e-3 : 1))
        return cprof_error_set(err, -EINVAL, "session: freq must be at least %g",
                               s->event->is_clock ? 1e-3 : 1.);
    return 0;
}

/* Each thread needs two fds on each CPU: use all the room there is. */
static void raise_file_limit(struct cprof_session *s)
{
    struct rlimit all;

    all = s->files;
    all.rlim_cur = all.rlim_max;
    s->has_raised_files =
        all.rlim_cur != s->files.rlim_cur && setrlimit(RLIMIT_NOFILE, &all) == 0;
}

int cprof_session_open(struct cprof_session *s,
                       const struct cprof_session_options *options,
                       struct cprof_error *err)
{
    const struct cprof_event *candidates[4];
    bool is_user_only;
    int n, r = -EOPNOTSUPP;

    if (options->stack_bytes > STACK_BYTES_MAX &&
        options->stack_bytes != CPROF_STACK_BYTES_AUTO)
        return cprof_error_set(err, -EINVAL, "session: stack_bytes is at most %d",
                               STACK_BYTES_MAX);
    n = cprof_event_candidates(options->event, candidates, 4, &is_user_only, err);
    if (n < 0)
        return n;
    s->has_frames = s->unwind->needs_stack && cprof_session_has_frames(s, options);
    raise_file_limit(s);
    for (int i = 0; i < n; i++) {
        s->event = candidates[i];
        r = set_rate(s, options, err);
        if (r == 0)
            r = open_event(s, options, is_user_only, err);
        if (r != -ENOENT && r != -ENODEV && r != -EOPNOTSUPP)
            break;
    }
    if (r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP)
        return cprof_error_set(
            err, -EOPNOTSUPP,
            "event: this machine cannot sample %s: %s (see cprof doctor)", options->event,
            strerror(-r));
    if (r < 0 && (!err || !err->code))
        cprof_error_set(err, r, "session: cannot open %s: %s", s->event->name,
                        strerror(-r));
    s->is_scaled = r == 0 && !s->event->is_clock && !strncmp(options->event, "auto", 4);
    return r;
}
