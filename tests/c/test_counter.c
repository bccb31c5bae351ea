/* counter: fds over threads and CPUs, on ourselves. */
#define _GNU_SOURCE
#include "counter.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "record.h"
#include "stolen.h"
#include "test.h"

static struct perf_event_attr clock_attr(void)
{
    return (struct perf_event_attr){.type = PERF_TYPE_SOFTWARE,
                                    .config = PERF_COUNT_SW_TASK_CLOCK,
                                    .sample_type = CPROF_SAMPLE_TYPE_SAMPLING,
                                    .sample_period = 1000000,
                                    .disabled = 1,
                                    .inherit = 1,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1};
}

static bool is_refused(void)
{
    struct perf_event_attr attr = clock_attr();
    int fd;

    attr.size = sizeof(attr);
    fd = cprof_perf_event_open(&attr, 0, -1, -1);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static size_t n_open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static double burn(double seconds)
{
    struct timespec now;
    double begin, at;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    begin = at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    while (at < begin + seconds) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    }
    return at - begin;
}

/* The count of a task clock is the CPU time of the thread: no other clock is so near. */
static void test_the_count_is_the_threads_own_time(void)
{
    struct cprof_counter counter = {.attr = clock_attr()};
    struct cprof_counts counts;
    size_t before = n_open_files();
    cpu_set_t cpus;
    double burnt, stolen;

    if (is_refused()) {
        SKIP("perf_event_open is refused");
        return;
    }
    sched_getaffinity(0, sizeof(cpus), &cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) /* the machine's others do not run us */
        if (CPU_ISSET(cpu, &cpus))
            CHECK(cprof_counter_open(&counter, gettid(), cpu, -1) >= 0);
    CHECK_EQ(n_open_files(), before + counter.fds.n);
    for (size_t i = 0; i < counter.fds.n; i++) {
        CHECK(counter.fds.data[i].id != 0);
        CHECK_EQ(cprof_map_get(&counter.by_id, counter.fds.data[i].id), i);
    }
    burn(0.01);
    CHECK_EQ(cprof_counter_enable(&counter), 0);
    stolen = stolen_seconds();
    burnt = burn(0.1);
    CHECK_EQ(cprof_counter_disable(&counter), 0);
    stolen = stolen_since(stolen);
    burn(0.01);
    cprof_counter_read(&counter, &counts);
    CHECK((double)counts.value > burnt * 1e9 * 0.98);
    CHECK((double)counts.value < 1e9 * (burnt * 1.05 + stolen));
    CHECK_EQ(counts.n_lost, 0);
    CHECK_EQ(cprof_counter_set_period(&counter, 0, 2000000), 0);
    CHECK(cprof_counter_set_period(&counter, 0, 0) < 0);
    cprof_counter_deinit(&counter);
    CHECK_EQ(n_open_files(), before);
}

static void test_what_is_not_there(void)
{
    struct cprof_counter counter = {.attr = clock_attr()};
    size_t before = n_open_files();

    if (is_refused()) {
        SKIP("perf_event_open is refused");
        return;
    }
    CHECK_EQ(cprof_counter_open(&counter, 0x7ffffffe, 0, -1), -ESRCH);
    CHECK(cprof_counter_open(&counter, gettid(), 1 << 14, -1) < 0);
    CHECK(cprof_counter_open(&counter, gettid(), 0, STDIN_FILENO) < 0); /* not an event */
    CHECK_EQ(counter.fds.n, 0);
    cprof_counter_deinit(&counter);
    CHECK_EQ(n_open_files(), before);
}

static int attempt(void *arg)
{
    struct cprof_counter counter = {.attr = clock_attr()};
    int r = cprof_counter_open(&counter, gettid(), -1, -1);

    (void)arg;
    cprof_counter_deinit(&counter);
    return r < 0 ? r : 0;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    size_t before = n_open_files();

    if (is_refused()) {
        SKIP("perf_event_open is refused");
        return;
    }
    CHECK_EQ(sweep(attempt, NULL), 0);
    CHECK_EQ(n_open_files(), before);
}

int main(void)
{
    RUN(test_the_count_is_the_threads_own_time);
    RUN(test_what_is_not_there);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
