/* event.h - names of perf events: name -> type and config, unit, what stands in for it.
 */
#ifndef CPROF_EVENT_H
#define CPROF_EVENT_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct cprof_event {
    const char *name; /* as perf spells it */
    uint32_t type;
    uint64_t config;
    bool is_clock; /* its count is nanoseconds on the CPU */
};

/* The event called `name` (without modifier); NULL when unknown. */
const struct cprof_event *cprof_event_find(const char *name);
/* All of them, in order of their table; NULL past the end. */
const struct cprof_event *cprof_event_at(size_t i);

/* What to try, in order, for the user's word: "auto" is cycles, then task-clock, then
 * cpu-clock; a name is itself alone. Fills at most `max`, returns how many; -EOPNOTSUPP
 * with the known names in *err for an unknown word. A trailing ":u" sets *is_user_only.
 */
int cprof_event_candidates(const char *word, const struct cprof_event **ret, size_t max,
                           bool *is_user_only, struct cprof_error *err);

#endif
