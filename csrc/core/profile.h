/* profile.h - one kind of event as a table of columns, with what it refers to and how
 * good it is. Immutable once handed out; views (view.h) make new profiles that share
 * `stacks`.
 *
 * A row is one event: when, which thread, which CPU, which stack, how that was found, and
 * one value for each sample type. Of a column in which nearly all values are 1
 * (samples/count of a recording) only the others are stored, of a column in which all are
 * 0 (how, n_added) nothing. A recorded row costs 39 bytes. */
#ifndef CPROF_PROFILE_H
#define CPROF_PROFILE_H

#include "error.h"
#include "stack.h"

enum { CPROF_MAX_SAMPLE_TYPES = 16 };

struct cprof_sample_type {
    uint32_t type, unit; /* strings of stacks: "cpu", "nanoseconds" */
};

struct cprof_mark { /* something that happened to the recording itself */
    uint64_t time;
    uint32_t kind; /* enum cprof_mark_kind */
    uint32_t n;
};
enum cprof_mark_kind {
    CPROF_MARK_THROTTLED, /* the kernel paused an event */
    CPROF_MARK_LOST,      /* n records lost at that time (all kinds of record) */
};

/* What a recorder knows of a whole recording and rows cannot say. All counts are of the
 * whole recording; 0 or "" where not known (imported files, views of a part). */
struct cprof_run {
    uint64_t start_mono, end_mono; /* CLOCK_MONOTONIC ns: the recording's span */
    int64_t start_unix;            /* ns since the epoch at start_mono */
    double rate_asked;             /* samples a second of CPU time; 0 = by period */
    uint64_t period;               /* nominal period in `period_unit` */
    uint64_t cpu_time;             /* ns on CPU by the kernel's own count, all tasks */
    uint64_t n_switches;           /* context switches seen */
    uint64_t n_records_bad;        /* bytes that could not be a record */
    uint64_t n_verified;           /* samples unwound a second time, by libunwind */
    uint64_t n_agreed;             /* of those: with the same stack */
    uint64_t n_waited;             /* samples that waited for the rows of a file */
    uint64_t n_live_dropped;       /* deep stacks whose rest was not read in time */
    uint64_t n_lines_refused;      /* debug information that could not be made sense of */
    uint32_t stack_bytes;          /* bytes of stack copied a sample, 0 = none */
    bool is_kernel_excluded; /* kernel samples and frames were not allowed or asked */
    bool has_times;          /* rows carry times (recorded, not imported) */
    uint32_t main_mapping;   /* number of the program's own mapping */
    uint32_t event;          /* string: what really sampled, "task-clock" */
    uint32_t period_type, period_unit; /* strings */
    uint32_t unwinder;                 /* string: "libunwind", "fp", "" */
    uint32_t exact;   /* string: how the readers of exact mode ran, "refused", or "" */
    uint32_t command; /* string: command line or "pid 123" */
    uint32_t host;    /* string */
    uint32_t default_type; /* string: pprof's default_sample_type, "" = last */
    uint32_t doc_url;      /* string */
    uint32_t drop_frames, keep_frames; /* strings */
};

struct cprof_odd_value { /* one that is not 1 */
    size_t row;
    int64_t value;
};

struct cprof_profile {
    atomic_uint refs;
    struct cprof_stacks *stacks; /* shared */
    struct cprof_run run;
    size_t n; /* rows */
    size_t capacity;
    bool is_unsorted;         /* some row is earlier than the one before it */
    uint64_t *time;           /* CLOCK_MONOTONIC ns; 0 where !run.has_times */
    int32_t *pid, *tid, *cpu; /* -1 where unknown */
    uint32_t *thread;         /* number in stacks->threads */
    uint32_t *stack;          /* leaf node in stacks->nodes */
    uint8_t *how;             /* enum cprof_how: how the stack was found; NULL: all 0 */
    uint16_t
        *n_added; /* outermost frames spliced or continued, 65535 = or more; NULL: 0 */
    int64_t *values[CPROF_MAX_SAMPLE_TYPES]; /* NULL: 1, but for the rows in odd_values */
    CPROF_VEC(struct cprof_odd_value) odd_values[CPROF_MAX_SAMPLE_TYPES]; /* by row */
    size_t n_types;
    struct cprof_sample_type types[CPROF_MAX_SAMPLE_TYPES];
    CPROF_VEC(struct cprof_mark) marks;
    CPROF_VEC(uint32_t) comments; /* strings, in order */
    double from, to; /* the span this view covers, seconds since run.start_mono */
};

struct cprof_row {
    uint64_t time;
    int32_t pid, tid, cpu;
    uint32_t thread, stack;
    uint8_t how;
    uint16_t n_added;
    int64_t values[CPROF_MAX_SAMPLE_TYPES];
};

/* Empty, one reference; takes a reference of its own to `stacks`. 0 or -ENOMEM. */
int cprof_profile_create(struct cprof_stacks *stacks, struct cprof_profile **ret);
struct cprof_profile *cprof_profile_ref(struct cprof_profile *p);
void cprof_profile_unref(struct cprof_profile *p); /* accepts NULL and half-built */

/* Add a sample type (before the first row). 0, -ENOMEM, -E2BIG. */
int cprof_profile_add_type(struct cprof_profile *p, const char *type, const char *unit);
/* Append one row. 0 or -ENOMEM (then unchanged). */
int cprof_profile_add(struct cprof_profile *p, const struct cprof_row *row);
/* Change a value of one row. 0 or -ENOMEM (then unchanged). */
int cprof_profile_set_value(struct cprof_profile *p, size_t type, size_t row,
                            int64_t value);
int cprof_profile_add_comment(struct cprof_profile *p, const char *text);

/* A copy with the same rows that holds `stacks` (its own reference) instead: a snapshot.
 */
int cprof_profile_copy(const struct cprof_profile *from, struct cprof_stacks *stacks,
                       struct cprof_profile **ret);

/* The same facts, types, marks, comments and span, but no rows: what a view starts from.
 */
int cprof_profile_copy_frame(const struct cprof_profile *from,
                             struct cprof_stacks *stacks, struct cprof_profile **ret);

/* The frame alone, with its stacks in the order of cprof_stacks_ordered(): 0, -ENOMEM. */
int cprof_profile_ordered_frame(const struct cprof_profile *from,
                                struct cprof_profile **ret);

/* a + b; values of hostile files wrap round (as in Go) instead of being undefined. */
static inline int64_t cprof_sum(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* Of a column that is not stored; use cprof_profile_value(). */
int64_t cprof_profile_odd_value(const struct cprof_profile *p, size_t type, size_t row);

static inline int64_t cprof_profile_value(const struct cprof_profile *p, size_t type,
                                          size_t row)
{
    if (p->values[type])
        return p->values[type][row];
    return p->odd_values[type].n ? cprof_profile_odd_value(p, type, row) : 1;
}
static inline uint8_t cprof_profile_how(const struct cprof_profile *p, size_t row)
{
    return p->how ? p->how[row] : 0;
}
static inline uint16_t cprof_profile_n_added(const struct cprof_profile *p, size_t row)
{
    return p->n_added ? p->n_added[row] : 0;
}
/* Sum of one value over all rows. */
int64_t cprof_profile_total(const struct cprof_profile *p, size_t type);
/* The type that tools show when not told: run.default_type, else the last. */
size_t cprof_profile_default_type(const struct cprof_profile *p);

/* Of enum cprof_how: "guessed", "fallback,spliced" ..., "" for 0; returns `text`. */
enum { CPROF_HOW_TEXT = 64 };
const char *cprof_how_text(uint8_t how, char text[CPROF_HOW_TEXT]);
/* Back, in the same order of words; false, and *ret untouched, when it is none. */
bool cprof_how_parse(const char *text, uint8_t *ret);

/* The quality of these rows, counted from them: right for every view. */
struct cprof_quality {
    uint64_t n_samples;          /* rows that are samples (not "[lost]") */
    uint64_t n_lost;             /* samples lost, estimated into these rows */
    uint64_t n_throttled;        /* times the kernel paused an event */
    uint64_t ends[CPROF_N_ENDS]; /* samples by why their stack ended */
    uint64_t n_unknown;          /* samples whose leaf has no name at all */
    uint64_t n_kernel;           /* samples taken in the kernel */
    /* samples by how their stack was found: enum cprof_how */
    uint64_t n_fallback, n_guessed, n_spliced, n_continued, n_refused;
};
int cprof_profile_quality(const struct cprof_profile *p, struct cprof_quality *ret);

/* The same by module. `samples` counts those whose leaf is in the module (n_lost and
 * n_throttled are 0); `broke` those of any leaf whose stack got as far as this module's
 * code and no further, by why. The samples of all entries add up to the profile's, and so
 * do the stacks that broke. */
struct cprof_module_quality {
    uint32_t module; /* string; "" for code of no known mapping */
    struct cprof_quality samples;
    uint64_t broke[CPROF_N_ENDS];
};
/* In order of samples, largest first, then name; modules with neither samples nor broken
 * stacks are left out. *ret is owned: free(). 0 or -ENOMEM. */
int cprof_profile_quality_by_module(const struct cprof_profile *p,
                                    struct cprof_module_quality **ret, size_t *n);

#endif
