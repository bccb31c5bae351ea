/* probe: every knob with a value; refusals with a remedy. */
#include "probe.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "test.h"

static const struct cprof_knob *knob(const struct cprof_knob *knobs, size_t n,
                                     const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(knobs[i].name, name))
            return &knobs[i];
    return NULL;
}

static void test_every_knob_is_named_with_its_value(void)
{
    static const char *const names[] = {"kernel.perf_event_paranoid",
                                        "capabilities",
                                        "kernel.perf_event_mlock_kb",
                                        "RLIMIT_MEMLOCK",
                                        "RLIMIT_NOFILE",
                                        "seccomp",
                                        "hardware PMU",
                                        "event task-clock",
                                        "kernel.kptr_restrict",
                                        "tracefs",
                                        "kernel.yama.ptrace_scope"};
    struct cprof_knob knobs[CPROF_MAX_KNOBS];
    size_t n = cprof_probe_knobs(0, knobs);
    char value[32];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(knob(knobs, n, names[i]) != NULL);
    for (size_t i = 0; i < n; i++) {
        CHECK(knobs[i].value[0]);
        if (!knobs[i].is_ok) /* what is in the way says of what, and what to do */
            CHECK(knobs[i].blocks[0] && knobs[i].remedy[0]);
        else
            CHECK(!knobs[i].blocks[0] && !knobs[i].remedy[0]);
    }
    snprintf(value, sizeof(value), "%ld", cprof_probe_paranoid());
    CHECK_STR(knob(knobs, n, "kernel.perf_event_paranoid")->value, value);
}

static void test_a_process_is_looked_at_too(void)
{
    struct cprof_knob knobs[CPROF_MAX_KNOBS];
    char name[40];
    size_t n;

    snprintf(name, sizeof(name), "process %d", getpid());
    n = cprof_probe_knobs(getpid(), knobs);
    CHECK(knob(knobs, n, name) && knob(knobs, n, name)->is_ok);
    n = cprof_probe_knobs(0x7ffffffe, knobs);
    CHECK(knob(knobs, n, "process 2147483646") &&
          !knob(knobs, n, "process 2147483646")->is_ok);
}

static void test_the_online_cpus(void)
{
    struct cprof_cpus cpus = {0};

    CHECK_EQ(cprof_probe_cpus(&cpus), 0);
    CHECK_EQ(cpus.numbers.n, sysconf(_SC_NPROCESSORS_ONLN));
    for (size_t i = 1; i < cpus.numbers.n; i++)
        CHECK(cpus.numbers.data[i - 1] < cpus.numbers.data[i]);
    cprof_vec_free(&cpus.numbers);
}

static void test_a_refusal_has_a_knob_a_value_and_a_remedy(void)
{
    struct cprof_error err = {0};

    CHECK_EQ(cprof_probe_refusal(-EACCES, getpid(), true, &err), -EACCES);
    CHECK(err.message[0] && err.knob[0] && err.value[0] && err.remedy[0]);
    CHECK_STR(err.knob, "kernel.perf_event_paranoid");
    CHECK_EQ(cprof_probe_refusal(-EPERM, getpid(), false, &err), -EPERM);
    CHECK(err.message[0] && err.knob[0] && err.remedy[0]);
    CHECK_EQ(cprof_probe_refusal(-EACCES, 1, false, NULL), -EACCES);
}

static int attempt(void *arg)
{
    struct cprof_knob knobs[CPROF_MAX_KNOBS];
    struct cprof_cpus cpus = {0};
    int r = cprof_probe_cpus(&cpus);

    (void)arg;
    cprof_vec_free(&cpus.numbers);
    cprof_probe_knobs(getpid(), knobs);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_every_knob_is_named_with_its_value);
    RUN(test_a_process_is_looked_at_too);
    RUN(test_the_online_cpus);
    RUN(test_a_refusal_has_a_knob_a_value_and_a_remedy);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
