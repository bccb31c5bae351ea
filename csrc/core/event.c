#include "event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct cprof_event events[] = {
    {"task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, true},
    {"cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true},
    {"page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false},
    {"minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, false},
    {"major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, false},
    {"context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, false},
    {"cpu-migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, false},
    {"alignment-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS, false},
    {"emulation-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS, false},
    {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false},
    {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false},
    {"cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES, false},
    {"cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, false},
    {"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, false},
    {"branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES, false},
    {"bus-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES, false},
    {"ref-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES, false},
};
enum { N_EVENTS = sizeof(events) / sizeof(events[0]) };

const struct cprof_event *cprof_event_at(size_t i)
{
    return i < N_EVENTS ? &events[i] : NULL;
}

const struct cprof_event *cprof_event_find(const char *name)
{
    for (size_t i = 0; i < N_EVENTS; i++)
        if (!strcmp(events[i].name, name))
            return &events[i];
    return NULL;
}

static int unknown(const char *word, struct cprof_error *err)
{
    char names[256] = "";
    size_t n = 0;

    for (size_t i = 0; i < N_EVENTS && n < sizeof(names); i++)
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i ? " " : "",
                              events[i].name);
    return cprof_error_set(err, -EOPNOTSUPP,
                           "event: no event is called \"%.40s\"; known: %s", word, names);
}

int cprof_event_candidates(const char *word, const struct cprof_event **ret, size_t max,
                           bool *is_user_only, struct cprof_error *err)
{
    static const char *const in_order[] = {"cycles", "task-clock", "cpu-clock"};
    size_t n = strlen(word);
    char name[32];
    bool user = n > 2 && !strcmp(word + n - 2, ":u");

    snprintf(name, sizeof(name), "%.*s", (int)(user ? n - 2 : n), word);
    if (!strcmp(name, "auto")) {
        for (n = 0; n < 3 && n < max; n++)
            ret[n] = cprof_event_find(in_order[n]);
    } else {
        const struct cprof_event *event = cprof_event_find(name);
        if (!event || strlen(word) >= sizeof(name) || !max)
            return unknown(word, err);
        ret[0] = event;
        n = 1;
    }
    *is_user_only = user;
    return (int)n;
}
