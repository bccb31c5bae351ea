#define _GNU_SOURCE /* asprintf */
#include "pprof_facts.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

enum kind { TEXT, COUNT, COUNT32, FLAG, RATE };

static const struct fact {
    const char *key;
    enum kind kind;
    size_t offset; /* in struct cprof_run */
} FACTS[] = {
    {"event", TEXT, offsetof(struct cprof_run, event)},
    {"unwinder", TEXT, offsetof(struct cprof_run, unwinder)},
    {"exact", TEXT, offsetof(struct cprof_run, exact)},
    {"command", TEXT, offsetof(struct cprof_run, command)},
    {"host", TEXT, offsetof(struct cprof_run, host)},
    {"rate_asked", RATE, offsetof(struct cprof_run, rate_asked)},
    {"cpu_time", COUNT, offsetof(struct cprof_run, cpu_time)},
    {"n_switches", COUNT, offsetof(struct cprof_run, n_switches)},
    {"n_records_bad", COUNT, offsetof(struct cprof_run, n_records_bad)},
    {"n_verified", COUNT, offsetof(struct cprof_run, n_verified)},
    {"n_agreed", COUNT, offsetof(struct cprof_run, n_agreed)},
    {"n_waited", COUNT, offsetof(struct cprof_run, n_waited)},
    {"n_live_dropped", COUNT, offsetof(struct cprof_run, n_live_dropped)},
    {"n_lines_refused", COUNT, offsetof(struct cprof_run, n_lines_refused)},
    {"stack_bytes", COUNT32, offsetof(struct cprof_run, stack_bytes)},
    {"is_kernel_excluded", FLAG, offsetof(struct cprof_run, is_kernel_excluded)},
};
enum { N_FACTS = sizeof(FACTS) / sizeof(FACTS[0]) };

static const struct {
    const char *key;
    enum cprof_mark_kind kind;
} MARKS[] = {{"throttled", CPROF_MARK_THROTTLED}, {"records_lost", CPROF_MARK_LOST}};
enum { N_MARKS = sizeof(MARKS) / sizeof(MARKS[0]) };

/* What is counted from the rows, under the keys of Profile.quality. */
static const struct {
    const char *key;
    size_t offset; /* in struct cprof_quality */
} COUNTED[] = {
    {"samples", offsetof(struct cprof_quality, n_samples)},
    {"lost", offsetof(struct cprof_quality, n_lost)},
    {"truncated", offsetof(struct cprof_quality, ends[CPROF_END_TRUNCATED])},
    {"no_info", offsetof(struct cprof_quality, ends[CPROF_END_NO_INFO])},
    {"bad_memory", offsetof(struct cprof_quality, ends[CPROF_END_BAD_MEMORY])},
    {"no_mapping", offsetof(struct cprof_quality, ends[CPROF_END_NO_MAPPING])},
    {"fallback", offsetof(struct cprof_quality, n_fallback)},
    {"guessed", offsetof(struct cprof_quality, n_guessed)},
    {"spliced", offsetof(struct cprof_quality, n_spliced)},
    {"continued", offsetof(struct cprof_quality, n_continued)},
    {"refused", offsetof(struct cprof_quality, n_refused)},
    {"unknown", offsetof(struct cprof_quality, n_unknown)},
};
enum { N_COUNTED = sizeof(COUNTED) / sizeof(COUNTED[0]) };

static const char PREFIX[] = "cprof.", COMPLETE[] = "complete", MODULE[] = "module";

enum { DECIMAL_ROOM = 32, FACTS_ROOM = 1024 };

/* Up to six decimals, with a point in every locale; for 0 <= value < 1e12. */
static void format_decimal(double value, char text[DECIMAL_ROOM])
{
    uint64_t millionths = (uint64_t)llround(value * 1e6);
    int n = snprintf(text, DECIMAL_ROOM, "%" PRIu64 ".%06" PRIu64, millionths / 1000000,
                     millionths % 1000000);

    while (text[n - 1] == '0')
        text[--n] = '\0';
    if (text[n - 1] == '.')
        text[n - 1] = '\0';
}

static char *format_rate(const char *key, double rate)
{
    char decimal[DECIMAL_ROOM];
    char *text;

    if (!(rate > 0 && rate < 1e12))
        return NULL;
    format_decimal(rate, decimal);
    return asprintf(&text, "%s%s: %s", PREFIX, key, decimal) < 0 ? NULL : text;
}

static char *format_count(const char *key, uint64_t n)
{
    char *text;

    if (!n || asprintf(&text, "%s%s: %" PRIu64, PREFIX, key, n) < 0)
        return NULL;
    return text;
}

/* The comment of one fact, or NULL when there is nothing to say. */
static char *format_fact(const struct cprof_profile *p, const struct fact *fact)
{
    const void *at = (const char *)&p->run + fact->offset;
    const char *value;
    char *text;

    switch (fact->kind) {
    case TEXT:
        value = cprof_stacks_text(p->stacks, *(const uint32_t *)at);
        if (!*value || asprintf(&text, "%s%s: %s", PREFIX, fact->key, value) < 0)
            return NULL;
        return text;
    case COUNT:
        return format_count(fact->key, *(const uint64_t *)at);
    case COUNT32:
        return format_count(fact->key, *(const uint32_t *)at);
    case FLAG:
        return format_count(fact->key, *(const bool *)at);
    case RATE:
        return format_rate(fact->key, *(const double *)at);
    }
    return NULL;
}

static uint64_t count_marks(const struct cprof_profile *p, enum cprof_mark_kind kind)
{
    uint64_t n = 0;

    for (size_t i = 0; i < p->marks.n; i++)
        n += p->marks.data[i].kind == kind ? p->marks.data[i].n : 0;
    return n;
}

/* Hand `text` on, and free it; NULL is nothing to say. */
static int give(char *text, int (*each)(void *arg, const char *text), void *arg)
{
    int r = text ? each(arg, text) : 0;

    free(text);
    return r;
}

static uint64_t counted(const struct cprof_quality *q, size_t i)
{
    return *(const uint64_t *)((const char *)q + COUNTED[i].offset);
}

static double complete_share(const struct cprof_quality *q)
{
    uint64_t n = q->ends[CPROF_END_ROOT] + q->ends[CPROF_END_KERNEL];

    return q->n_samples ? (double)n / (double)q->n_samples : 0;
}

static int each_of_quality(const struct cprof_profile *p,
                           int (*each)(void *arg, const char *text), void *arg)
{
    struct cprof_quality q;
    int r = cprof_profile_quality(p, &q);

    for (size_t i = 0; i < N_COUNTED && r == 0; i++)
        r = give(format_count(COUNTED[i].key, counted(&q, i)), each, arg);
    return r < 0 ? r : give(format_rate(COMPLETE, complete_share(&q)), each, arg);
}

static char *format_module(const struct cprof_profile *p,
                           const struct cprof_module_quality *module)
{
    char facts[FACTS_ROOM], decimal[DECIMAL_ROOM], *text;
    uint64_t n_broke = 0;
    int n;

    for (size_t i = 0; i < CPROF_N_ENDS; i++)
        n_broke += module->broke[i];
    format_decimal(complete_share(&module->samples), decimal);
    n = snprintf(facts, sizeof(facts), "%s %s", COMPLETE, decimal);
    for (size_t i = 0; i < N_COUNTED; i++)
        if (counted(&module->samples, i))
            n += snprintf(facts + n, sizeof(facts) - (size_t)n, ", %s %" PRIu64,
                          COUNTED[i].key, counted(&module->samples, i));
    if (n_broke)
        snprintf(facts + n, sizeof(facts) - (size_t)n, ", broke %" PRIu64, n_broke);
    n = asprintf(&text, "%s%s: %s: %s", PREFIX, MODULE,
                 cprof_stacks_text(p->stacks, module->module), facts);
    return n < 0 ? NULL : text;
}

static int each_of_modules(const struct cprof_profile *p,
                           int (*each)(void *arg, const char *text), void *arg)
{
    struct cprof_module_quality *modules;
    size_t n;
    int r = cprof_profile_quality_by_module(p, &modules, &n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = give(format_module(p, &modules[i]), each, arg);
    free(modules);
    return r;
}

int pprof_facts_each(const struct cprof_profile *p,
                     int (*each)(void *arg, const char *text), void *arg)
{
    int r = 0;

    for (size_t i = 0; i < N_FACTS && r == 0; i++)
        r = give(format_fact(p, &FACTS[i]), each, arg);
    for (size_t i = 0; i < N_MARKS && r == 0; i++)
        r = give(format_count(MARKS[i].key, count_marks(p, MARKS[i].kind)), each, arg);
    if (r < 0 || !*cprof_stacks_text(p->stacks, p->run.unwinder))
        return r; /* or stacks of another program */
    r = each_of_quality(p, each, arg);
    return r < 0 ? r : each_of_modules(p, each, arg);
}

/* Decimal digits, and nothing else, up to `max`. */
static bool parse_count(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

static bool parse_rate(const char *text, double *ret)
{
    size_t whole_n = strcspn(text, "."), n = strlen(text);
    size_t decimals = whole_n < n ? n - whole_n - 1 : 0;
    char digits[24];
    uint64_t number;

    if (n >= sizeof(digits) || decimals > 6)
        return false;
    memcpy(digits, text, whole_n); /* the digits without the point */
    memcpy(digits + whole_n, text + n - decimals, decimals + 1);
    if (!whole_n || (whole_n < n && !decimals) ||
        !parse_count(digits, UINT64_MAX, &number))
        return false;
    *ret = (double)number;
    for (; decimals; decimals--)
        *ret /= 10;
    return true;
}

static int parse_value(struct cprof_profile *p, const struct fact *fact,
                       const char *value)
{
    void *at = (char *)&p->run + fact->offset;
    uint64_t n;
    int r;

    switch (fact->kind) {
    case TEXT:
        r = cprof_stacks_string(p->stacks, value, at);
        return r < 0 ? r : 1;
    case COUNT:
        return parse_count(value, UINT64_MAX, at);
    case COUNT32:
        if (!parse_count(value, UINT32_MAX, &n))
            return 0;
        *(uint32_t *)at = (uint32_t)n;
        return 1;
    case FLAG:
        if (!parse_count(value, 1, &n))
            return 0;
        *(bool *)at = n;
        return 1;
    case RATE:
        return parse_rate(value, at);
    }
    return 0;
}

static int parse_mark(struct cprof_profile *p, enum cprof_mark_kind kind,
                      const char *value)
{
    struct cprof_mark mark = {.kind = kind};
    uint64_t n;

    if (!parse_count(value, UINT32_MAX, &n))
        return 0;
    mark.n = (uint32_t)n;
    return cprof_vec_push(&p->marks, mark) < 0 ? -ENOMEM : 1;
}

static bool is_key(const char *key, const char *text, size_t n)
{
    return strlen(key) == n && !strncmp(key, text, n);
}

/* A comment that is counted anew from the rows. */
static bool is_counted(const char *key, size_t n)
{
    for (size_t i = 0; i < N_COUNTED; i++)
        if (is_key(COUNTED[i].key, key, n))
            return true;
    return is_key(COMPLETE, key, n) || is_key(MODULE, key, n);
}

int pprof_facts_parse(struct cprof_profile *p, const char *comment)
{
    const char *key = comment + sizeof(PREFIX) - 1, *colon;
    size_t n;

    if (strncmp(comment, PREFIX, sizeof(PREFIX) - 1))
        return 0;
    colon = strstr(key, ": ");
    if (!colon)
        return 0;
    n = (size_t)(colon - key);
    for (size_t i = 0; i < N_FACTS; i++)
        if (is_key(FACTS[i].key, key, n))
            return parse_value(p, &FACTS[i], colon + 2);
    for (size_t i = 0; i < N_MARKS; i++)
        if (is_key(MARKS[i].key, key, n))
            return parse_mark(p, MARKS[i].kind, colon + 2);
    return is_counted(key, n);
}
