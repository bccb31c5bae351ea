/* live: stacks of a child of ours; a memfd plays the kernel's ring, an eventfd its
 * wake-ups. */
#define _GNU_SOURCE
#include "live.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum {
    PAGE = 4096,
    RING_PAGES = 256,
    STACK = 24 << 20, /* of the child's, with an end behind which nothing is mapped */
    DUMP = 8192,
    TYPE = CPROF_SAMPLE_TYPE_SAMPLING | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
    ABOVE = 256 << 10, /* what is read above the dump where nothing is known */
};

struct scene {
    int fd, wake_fd, drain_fd;
    struct perf_event_mmap_page *meta;
    struct cprof_ring *ring;
    struct cprof_live_limits limits;
    struct cprof_live *live;
    pid_t child;
    uint8_t *stack; /* at the same place in the child */
    uint64_t time;
};

static uint8_t byte_of(size_t i)
{
    return (uint8_t)(i * 0x9e3779b97f4a7c15ull >> 56);
}

static struct cprof_live_options options_of(struct scene *s)
{
    return (struct cprof_live_options){.ring = s->ring,
                                       .fd = s->wake_fd,
                                       .sample_type = TYPE,
                                       .drain_fd = s->drain_fd,
                                       .limits = &s->limits};
}

static void scene_init(struct scene *s)
{
    struct cprof_live_options options;

    memset(s, 0, sizeof(*s));
    s->fd = memfd_create("ring", MFD_CLOEXEC);
    CHECK_EQ(ftruncate(s->fd, PAGE * (RING_PAGES + 1)), 0);
    s->meta =
        mmap(NULL, PAGE * (RING_PAGES + 1), PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    CHECK_EQ(cprof_ring_create(s->fd, RING_PAGES, &s->ring, NULL), 0);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->stack = mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < STACK; i++)
        s->stack[i] = byte_of(i);
    CHECK_EQ(mprotect(s->stack + STACK, PAGE, PROT_NONE), 0);
    s->child = fork();
    if (s->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    options = options_of(s);
    CHECK_EQ(cprof_live_create(&options, &s->live, NULL), 0);
}

static void end_child(struct scene *s)
{
    kill(s->child, SIGKILL);
    waitpid(s->child, NULL, 0);
}

static void scene_deinit(struct scene *s)
{
    cprof_live_destroy(s->live);
    end_child(s);
    cprof_ring_destroy(s->ring);
    munmap(s->meta, PAGE * (RING_PAGES + 1));
    munmap(s->stack, STACK + PAGE);
    close(s->fd);
    close(s->wake_fd);
    close(s->drain_fd);
}

/* Write a sample of the child with its stack pointer at stack[at], and wait until the
 * reader has seen it. */
static struct cprof_record sample_at(struct scene *s, pid_t tid, size_t at)
{
    static uint64_t regs[CPROF_N_SAMPLED_REGS];
    static uint8_t bytes[CPROF_RECORD_MAX];
    uint8_t *data = (uint8_t *)s->meta + PAGE;
    struct cprof_record record = {
        .type = PERF_RECORD_SAMPLE, .pid = s->child, .tid = tid};
    struct cprof_live_stats stats = {0};
    uint64_t seen;
    int n;

    regs[7] = (uint64_t)(uintptr_t)(s->stack + at);
    record.time = ++s->time;
    record.sample.regs_abi = PERF_SAMPLE_REGS_ABI_64;
    record.sample.regs = regs;
    record.sample.stack = s->stack + at;
    record.sample.stack_n = record.sample.stack_asked = DUMP;
    n = cprof_record_encode(&record, TYPE, bytes, sizeof(bytes));
    CHECK(n > 0);
    for (int i = 0; i < n; i++)
        data[(s->meta->data_head + (uint64_t)i) % (PAGE * RING_PAGES)] = bytes[i];
    __atomic_store_n(&s->meta->data_head, s->meta->data_head + (uint64_t)n,
                     __ATOMIC_RELEASE);
    seen = 1;
    CHECK_EQ(write(s->wake_fd, &seen, sizeof(seen)), sizeof(seen));
    for (int i = 0; i < 5000 && stats.n_samples != s->time; i++) {
        usleep(1000);
        cprof_live_stats(s->live, &stats);
    }
    CHECK_EQ(stats.n_samples, s->time);
    CHECK_EQ(read(s->wake_fd, &seen, sizeof(seen)), sizeof(seen));
    cprof_ring_refresh(s->ring);
    return record;
}

static void drain(struct scene *s)
{
    const struct perf_event_header *bytes;

    cprof_ring_refresh(s->ring);
    while (cprof_ring_next(s->ring, &bytes) == 1)
        ;
}

static void check_stack(const struct scene *s, const struct cprof_live_stack *stack,
                        size_t at, size_t n, bool is_limited)
{
    CHECK(stack != NULL);
    if (!stack)
        return;
    CHECK_EQ(stack->sp, (uint64_t)(uintptr_t)(s->stack + at));
    CHECK_EQ(stack->n_again, DUMP);
    CHECK_EQ(stack->n, n);
    CHECK_EQ(stack->is_limited, is_limited);
    CHECK(stack->n != n || !memcmp(stack->bytes, s->stack + at, n));
}

/* As much as is mapped, and more with each sample while the start is not known. */
static void test_the_stack_is_read_up_to_its_end(void)
{
    struct cprof_record sample;
    struct scene s;
    size_t at = STACK - (1 << 20);

    scene_init(&s);
    sample = sample_at(&s, 1, STACK - DUMP - 40000);
    check_stack(&s, cprof_live_find(s.live, &sample), STACK - DUMP - 40000, DUMP + 40000,
                false);
    sample = sample_at(&s, 2, at);
    check_stack(&s, cprof_live_find(s.live, &sample), at, DUMP + ABOVE, true);
    sample = sample_at(&s, 2, at);
    check_stack(&s, cprof_live_find(s.live, &sample), at, 1 << 20, false);
    sample = sample_at(&s, 3, STACK - DUMP); /* nothing above the dump */
    CHECK(cprof_live_find(s.live, &sample) == NULL);
    scene_deinit(&s);
}

static void test_it_is_read_up_to_where_it_is_known_to_start(void)
{
    struct cprof_record sample;
    struct scene s;
    uint64_t start;

    scene_init(&s);
    start = (uint64_t)(uintptr_t)(s.stack + (3 << 20));
    cprof_live_limit(&s.limits, 1, start);
    sample = sample_at(&s, 1, 1 << 20);
    check_stack(&s, cprof_live_find(s.live, &sample), 1 << 20, 2 << 20, true);
    sample = sample_at(&s, 1, (3 << 20) - DUMP); /* all of it is in the dump */
    CHECK(cprof_live_find(s.live, &sample) == NULL);
    CHECK_EQ(cprof_live_known(&s.limits, 1), start);
    CHECK_EQ(cprof_live_known(&s.limits, 2), 0);
    sample = sample_at(&s, 1, 4 << 20); /* another stack */
    check_stack(&s, cprof_live_find(s.live, &sample), 4 << 20, DUMP + ABOVE, true);
    CHECK_EQ(cprof_live_known(&s.limits, 1), 0);
    cprof_live_limit(&s.limits, 1, start + (6 << 20));
    sample = sample_at(&s, 1, 1 << 20);
    check_stack(&s, cprof_live_find(s.live, &sample), 1 << 20, CPROF_LIVE_MOST, true);
    cprof_live_limit(&s.limits, 1, start + (6 << 20) + 8); /* too large to be read */
    sample = sample_at(&s, 1, 1 << 20);
    CHECK(cprof_live_find(s.live, &sample) == NULL);
    cprof_live_limit(&s.limits, 1, CPROF_LIVE_NOTHING);
    sample = sample_at(&s, 1, 1 << 20);
    CHECK(cprof_live_find(s.live, &sample) == NULL);
    scene_deinit(&s);
}

static void test_stacks_are_found_in_order(void)
{
    struct cprof_record samples[4];
    struct scene s;

    scene_init(&s);
    for (size_t i = 0; i < 4; i++)
        samples[i] = sample_at(&s, (pid_t)i + 1, i * PAGE);
    check_stack(&s, cprof_live_find(s.live, &samples[1]), PAGE, DUMP + ABOVE, true);
    check_stack(&s, cprof_live_find(s.live, &samples[1]), PAGE, DUMP + ABOVE, true);
    CHECK(cprof_live_find(s.live, &samples[0]) == NULL);
    check_stack(&s, cprof_live_find(s.live, &samples[3]), 3 * PAGE, DUMP + ABOVE, true);
    samples[3].time++;
    CHECK(cprof_live_find(s.live, &samples[3]) == NULL);
    scene_deinit(&s);
}

/* Nobody takes them: those that have no room are counted, the others are whole; when they
 * are taken there is room again, over the end of the queue too. */
static void test_a_full_queue(void)
{
    struct cprof_live_stats stats;
    struct cprof_record samples[12], sample;
    struct scene s;
    uint64_t count = 0;
    size_t n_found = 0;

    scene_init(&s);
    for (int i = 1; i < 99; i++)
        cprof_live_limit(&s.limits, i, (uint64_t)(uintptr_t)(s.stack + (7 << 20)));
    for (int i = 0; i < 12; i++)
        samples[i] = sample_at(&s, i + 1, 0);
    cprof_live_stats(s.live, &stats);
    CHECK(stats.n_dropped > 0);
    CHECK_EQ(read(s.drain_fd, &count, sizeof(count)), sizeof(count));
    for (int i = 0; i < 12; i++) {
        struct cprof_live_stack *stack = cprof_live_find(s.live, &samples[i]);
        n_found += stack != NULL;
        if (stack)
            check_stack(&s, stack, 0, 7 << 20, true);
    }
    CHECK_EQ(n_found + stats.n_dropped, 12);
    CHECK(n_found >= 3);
    drain(&s);
    for (int i = 0; i < 20; i++) {
        sample = sample_at(&s, i + 40, (size_t)i << 16);
        check_stack(&s, cprof_live_find(s.live, &sample), (size_t)i << 16,
                    (7 << 20) - ((size_t)i << 16), true);
        drain(&s);
    }
    scene_deinit(&s);
}

static void test_a_process_that_has_ended(void)
{
    struct cprof_record sample;
    struct scene s;

    scene_init(&s);
    end_child(&s);
    sample = sample_at(&s, 1, 0);
    CHECK(cprof_live_find(s.live, &sample) == NULL);
    scene_deinit(&s);
}

/* A file that hangs up polls as ready for ever, which the reader must not follow. */
static void test_a_hang_up(void)
{
    struct cprof_live_options options;
    struct cprof_live_stats stats;
    struct cprof_live *live;
    struct scene s;
    int ends[2];

    scene_init(&s);
    options = options_of(&s);
    CHECK_EQ(pipe(ends), 0);
    options.fd = ends[0];
    close(ends[1]);
    CHECK_EQ(cprof_live_create(&options, &live, NULL), 0);
    usleep(200000);
    cprof_live_stats(live, &stats);
    CHECK(stats.cpu_time < 50000000);
    CHECK(stats.is_pinned);
    cprof_live_destroy(live);
    close(ends[0]);
    scene_deinit(&s);
}

static void test_permission(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) { /* as another user: not of root's (or our) first process */
        pid_t target = getppid();
        if (geteuid() || setresuid(65534, 65534, 65534))
            target = 1;
        _exit(cprof_live_check(target) == -EPERM ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(cprof_live_check(getpid()), 0);
    CHECK_EQ(cprof_live_check(0x7ffffff0), -ESRCH);
}

static int create(void *options)
{
    struct cprof_live *live = NULL;
    int r = cprof_live_create(options, &live, NULL);

    cprof_live_destroy(r == 0 ? live : NULL);
    return r;
}

static void test_failing_allocations(void)
{
    struct cprof_live_options options;
    struct scene s;

    scene_init(&s);
    options = options_of(&s);
    CHECK_EQ(sweep(create, &options), 0);
    cprof_live_destroy(NULL);
    scene_deinit(&s);
}

int main(void)
{
    RUN(test_the_stack_is_read_up_to_its_end);
    RUN(test_it_is_read_up_to_where_it_is_known_to_start);
    RUN(test_stacks_are_found_in_order);
    RUN(test_a_full_queue);
    RUN(test_a_process_that_has_ended);
    RUN(test_a_hang_up);
    RUN(test_permission);
    RUN(test_failing_allocations);
    return test_report(__FILE__);
}
