/* session_exact.c - exact mode: stacks that go on above the bytes that were copied with
 * the sample are continued in the live process.
 *
 * A CPU in exact mode has its samples in a ring that wakes for each of them, and a reader
 * (live.h) that takes the place of the thread that was sampled. This costs that thread a
 * wake-up for each sample, deep or not, so that a CPU is in exact mode only while there
 * are deep stacks, and as many as pay for it; unless it is asked for. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "session_internal.h"

enum {
    LOOK_NS = 200 * 1000 * 1000,
    COST_NS = 25000, /* of a sample in exact mode, before it is measured */
    RING_BYTES = 2 << 20,
    RING_LEAST = 128 << 10,
    LAST_BYTES = 1024,
};
/* Shares of a CPU's time: what exact mode may always cost, what it may cost more where
 * all stacks are deep, and what it may cost at most. */
static const double cheap = 0.005, worth = 0.4, most = 0.1;
static const uint64_t linger_ns = 2000000000; /* without a deep stack */
static const uint64_t rest_ns = 5000000000;   /* after it cost too much */

static struct cprof_session_exact *exact_of(struct cprof_session *s, int cpu)
{
    for (size_t i = 0; i < s->exact.n; i++)
        if (s->exact.data[i].cpu == cpu)
            return &s->exact.data[i];
    return NULL;
}

/* ---- a sample ---- */

/* Does live memory still hold what the copy of it has? The end of the copy and the last
 * return addresses say so; where there are too few of these, all of it must. */
static bool is_unchanged(const struct cprof_unwind_chain *chain,
                         const struct cprof_unwind_input *in,
                         const struct cprof_live_stack *live)
{
    size_t n_last = in->stack_n < LAST_BYTES ? in->stack_n : LAST_BYTES;
    size_t from = in->stack_n - n_last;
    uint64_t sp = in->regs[CPROF_REG_RSP];

    if (live->sp != sp || live->n_again != in->stack_n || live->n <= in->stack_n)
        return false;
    if (chain->n_slots < CPROF_UNWIND_SLOTS)
        return !memcmp(in->stack, live->bytes, in->stack_n);
    for (uint32_t i = 0; i < chain->n_slots; i++) {
        uint64_t at = chain->slots[i] - sp;
        if (at > in->stack_n - 8 || memcmp(in->stack + at, live->bytes + at, 8) != 0)
            return false;
    }
    return !memcmp(in->stack + from, live->bytes + from, n_last);
}

/* Where this thread's stack starts, for the samples to come: as far up as this chain
 * needed its bytes. That it ended for another reason (code without tables) says the same,
 * but not as surely. */
static void learn(struct cprof_session *s, const struct cprof_record *record,
                  const struct cprof_unwind_input *in)
{
    const struct cprof_unwind_chain *chain = s->chain;
    uint64_t enough = chain->n_slots ? chain->slots[chain->n_slots - 1] + 8
                                     : in->regs[CPROF_REG_RSP] + in->stack_n;

    if (chain->end == CPROF_END_ROOT ||
        (chain->end != CPROF_END_TRUNCATED && !cprof_live_known(&s->limits, record->tid)))
        cprof_live_limit(&s->limits, record->tid, enough);
}

/* What was read ended before the stack did: next time all that may be. A guess grows by
 * itself. */
static void learn_more(struct cprof_session *s, const struct cprof_record *record,
                       uint64_t sp, size_t n)
{
    if (n >= CPROF_LIVE_MOST)
        cprof_live_limit(&s->limits, record->tid, CPROF_LIVE_NOTHING);
    else if (cprof_live_known(&s->limits, record->tid))
        cprof_live_limit(&s->limits, record->tid, sp + CPROF_LIVE_MOST);
}

/* Nothing was read. Was that because of where the stack was said to start? */
static void doubt_limit(struct cprof_session *s, const struct cprof_record *record,
                        const struct cprof_unwind_input *in)
{
    uint64_t sp = in->regs[CPROF_REG_RSP], end = sp + in->stack_n;
    uint64_t known = cprof_live_known(&s->limits, record->tid);

    if (known > sp && known <= end)
        learn_more(s, record, sp, 0);
}

/* The chain over the copy and what was read above it; 0, or CPROF_SESSION_WAITS. */
static int lengthen(struct cprof_session *s, const struct cprof_process *process,
                    const struct cprof_record *record,
                    const struct cprof_unwind_input *in, struct cprof_live_stack *live)
{
    struct cprof_unwind_input longer = *in;
    size_t n = s->chain->n;
    int r;

    memcpy(live->bytes, in->stack, in->stack_n);
    longer.stack = live->bytes;
    longer.stack_n = live->n;
    r = cprof_session_unwind(s, process, &longer);
    if (r != 0)
        return r;
    learn(s, record, &longer);
    if (s->chain->end == CPROF_END_ROOT) {
        s->chain->how |= CPROF_HOW_CONTINUED;
        s->n_added = (uint32_t)(s->chain->n - n);
        return 0;
    }
    if (s->chain->end == CPROF_END_TRUNCATED && live->is_limited)
        learn_more(s, record, live->sp, live->n);
    r = cprof_session_unwind(s, process, in);
    s->chain->how |= CPROF_HOW_REFUSED;
    return r;
}

int cprof_session_continue(struct cprof_session *s, const struct cprof_process *process,
                           const struct cprof_record *record,
                           const struct cprof_unwind_input *in)
{
    struct cprof_session_exact *exact = exact_of(s, (int)record->cpu);
    struct cprof_live_stack *live = NULL;

    if (!exact)
        return 0;
    if (exact->live)
        live = cprof_live_find(exact->live, record);
    learn(s, record, in);
    exact->n_samples++;
    if (s->chain->end != CPROF_END_TRUNCATED)
        return 0;
    exact->n_deep++;
    exact->last_deep = record->time;
    if (live && is_unchanged(s->chain, in, live))
        return lengthen(s, process, record, in, live);
    if (live) {
        s->chain->how |= CPROF_HOW_REFUSED;
    } else if (exact->is_on && record->time > exact->on_since) {
        s->profile->run.n_live_dropped++;
        doubt_limit(s, record, in);
    }
    return 0;
}

/* ---- which CPUs ---- */

/* The samples of a CPU go to the ring of the keeper `fd` from now on. */
static int redirect(struct cprof_session *s, int cpu, int fd)
{
    int r = 0;

    for (size_t i = 0; i < s->sampler.fds.n; i++) {
        const struct cprof_counter_fd *sampler = &s->sampler.fds.data[i];
        if (sampler->cpu == cpu && sampler->fd >= 0 &&
            ioctl(sampler->fd, PERF_EVENT_IOC_SET_OUTPUT, fd) < 0)
            r = -errno;
    }
    return r;
}

static int map_exact_ring(struct cprof_session *s, int cpu)
{
    int r = -ENOBUFS;

    for (size_t size = RING_BYTES; r == -ENOBUFS && size >= RING_LEAST; size /= 2)
        r = cprof_session_map_ring(s, cpu, true, size, NULL);
    return r;
}

static int start_reader(struct cprof_session *s, struct cprof_session_exact *exact,
                        struct cprof_error *err)
{
    struct cprof_session_ring *ring = cprof_session_ring_of(s, exact->cpu, true);
    struct cprof_live_options options = {.cpu = exact->cpu,
                                         .sample_type = s->sampler.attr.sample_type,
                                         .drain_fd = s->wake_fd,
                                         .limits = &s->limits};

    if (exact->live || !ring)
        return 0;
    options.ring = ring->ring;
    options.fd = ring->fd;
    return cprof_live_create(&options, &exact->live, err);
}

/* Whole stacks are many bytes, which cannot wait long: this thread comes first where that
 * is allowed. */
void cprof_session_hurry(void)
{
    setpriority(PRIO_PROCESS, 0, -10);
}

static int enter(struct cprof_session *s, struct cprof_session_exact *exact)
{
    int r = 0;

    if (!cprof_session_ring_of(s, exact->cpu, true))
        r = map_exact_ring(s, exact->cpu);
    if (r == 0)
        r = start_reader(s, exact, NULL);
    if (r == 0)
        r = redirect(s, exact->cpu, cprof_session_ring_of(s, exact->cpu, true)->fd);
    if (r == 0)
        cprof_session_hurry();
    exact->is_on = r == 0;
    exact->on_since = cprof_session_now();
    return r;
}

static void leave(struct cprof_session *s, struct cprof_session_exact *exact)
{
    redirect(s, exact->cpu, cprof_session_ring_of(s, exact->cpu, false)->fd);
    exact->is_on = false;
}

/* Into exact mode where its price is low, or where enough stacks are deep; out of it
 * where none are, or where it costs half as much again. */
static void decide(struct cprof_session *s, struct cprof_session_exact *exact,
                   uint64_t now)
{
    double span = (double)(now - exact->since), cost, budget;
    bool is_dear;
    struct cprof_live_stats stats = {0};

    if (exact->live)
        cprof_live_stats(exact->live, &stats);
    cost = (double)exact->n_samples * COST_NS / span;
    if (exact->is_on)
        cost = fmax(cost, (double)(stats.cpu_time - exact->read_time) / span);
    budget = exact->n_samples ? (double)exact->n_deep / (double)exact->n_samples : 0;
    budget = fmin(cheap + worth * budget, most);
    is_dear = cost > 1.5 * budget && now < exact->last_deep + linger_ns;
    if (!exact->is_on && exact->n_deep && now >= exact->not_before && cost <= budget) {
        if (enter(s, exact) < 0)
            exact->not_before = UINT64_MAX;
    } else if (exact->is_on &&
               (is_dear || stats.n_refused || now > exact->last_deep + linger_ns)) {
        leave(s, exact);
        exact->not_before = stats.n_refused ? UINT64_MAX : is_dear ? now + rest_ns : 0;
    }
    exact->n_samples = exact->n_deep = 0;
    exact->since = now;
    exact->read_time = stats.cpu_time;
}

void cprof_session_adjust_exact(struct cprof_session *s)
{
    uint64_t now = cprof_session_now();

    for (size_t i = 0; s->stack_mode == CPROF_STACK_AUTO && i < s->exact.n; i++)
        if (now - s->exact.data[i].since >= LOOK_NS)
            decide(s, &s->exact.data[i], now);
}

/* ---- begin and end ---- */

static int refuse(pid_t pid, int code, struct cprof_error *err)
{
    char value[32] = "not there";
    long scope;

    if (cprof_proc_number("/proc/sys/kernel/yama/ptrace_scope", &scope) == 0)
        snprintf(value, sizeof(value), "%ld", scope);
    cprof_error_set(err, code,
                    "session: exact stacks need the memory of process %d, which may not "
                    "be read",
                    pid);
    cprof_error_refused(err, "kernel.yama.ptrace_scope", value,
                        "run as the user of the process, with ptrace_scope 0 unless it "
                        "is your child, or with CAP_SYS_PTRACE; or stack=\"auto\"");
    return code;
}

/* A child of ours is like us, once it has its own program; yama may still object. */
static int check_child(void)
{
    long scope = 0;

    cprof_proc_number("/proc/sys/kernel/yama/ptrace_scope", &scope);
    if (scope > 2 || (scope == 2 && !cprof_probe_has_capability(CPROF_CAP_SYS_PTRACE)))
        return -EPERM;
    return cprof_live_check(getpid()); /* a seccomp filter is ours as well */
}

int cprof_session_begin_exact(struct cprof_session *s, struct cprof_error *err)
{
    int r = 0;

    if (s->stack_mode == CPROF_STACK_DUMP || !s->unwind->needs_stack)
        return 0;
    for (size_t i = 0; r == 0 && i < s->targets.n; i++) {
        r = s->is_attached ? cprof_live_check(s->targets.data[i].pid) : check_child();
        if (r == -ESRCH)
            r = 0; /* it has ended: opening its events tells */
        if (r < 0 && s->stack_mode == CPROF_STACK_EXACT)
            return refuse(s->targets.data[i].pid, r, err);
    }
    for (size_t i = 0; r == 0 && i < s->cpus.numbers.n; i++) {
        struct cprof_session_exact exact = {.cpu = s->cpus.numbers.data[i],
                                            .is_on = s->stack_mode == CPROF_STACK_EXACT};
        if (cprof_vec_push(&s->exact, exact) < 0)
            return cprof_error_set(err, -ENOMEM, "session: out of memory");
    }
    return 0;
}

int cprof_session_start_exact(struct cprof_session *s, struct cprof_error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->exact.n; i++)
        r = start_reader(s, &s->exact.data[i], err);
    return r;
}

/* In the profile: how the worst of the readers fared. */
static void note_readers(struct cprof_session *s)
{
    static const char *const classes[] = {"default", "nice", "fifo"};
    struct cprof_live_stats stats;
    const char *text = NULL;
    int worst = CPROF_LIVE_FIFO;

    for (size_t i = 0; i < s->exact.n; i++) {
        if (!s->exact.data[i].live)
            continue;
        cprof_live_stats(s->exact.data[i].live, &stats);
        worst = (int)stats.scheduling < worst ? (int)stats.scheduling : worst;
        if (!text || strcmp(text, "refused") != 0)
            text = stats.n_refused ? "refused" : classes[worst];
    }
    if (text) /* out of memory: it is not said */
        cprof_stacks_string(s->stacks, text, &s->profile->run.exact);
}

void cprof_session_end_exact(struct cprof_session *s)
{
    if (s->profile)
        note_readers(s);
    for (size_t i = 0; i < s->exact.n; i++) {
        cprof_live_destroy(s->exact.data[i].live);
        s->exact.data[i].live = NULL;
    }
}
