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
    {"command", TEXT, offsetof(struct cprof_run, command)},
    {"host", TEXT, offsetof(struct cprof_run, host)},
    {"rate_asked", RATE, offsetof(struct cprof_run, rate_asked)},
    {"cpu_time", COUNT, offsetof(struct cprof_run, cpu_time)},
    {"n_switches", COUNT, offsetof(struct cprof_run, n_switches)},
    {"n_records_bad", COUNT, offsetof(struct cprof_run, n_records_bad)},
    {"n_guessed", COUNT, offsetof(struct cprof_run, n_guessed)},
    {"stack_bytes", COUNT32, offsetof(struct cprof_run, stack_bytes)},
    {"is_kernel_excluded", FLAG, offsetof(struct cprof_run, is_kernel_excluded)},
};
enum { N_FACTS = sizeof(FACTS) / sizeof(FACTS[0]) };

static const struct {
    const char *key;
    enum cprof_mark_kind kind;
} MARKS[] = {{"throttled", CPROF_MARK_THROTTLED}, {"records_lost", CPROF_MARK_LOST}};
enum { N_MARKS = sizeof(MARKS) / sizeof(MARKS[0]) };

static const char PREFIX[] = "cprof.";

/* Up to six decimals, with a point in every locale. */
static char *format_rate(const char *key, double rate)
{
    uint64_t millionths;
    char *text;
    int n;

    if (!(rate > 0 && rate < 1e12))
        return NULL;
    millionths = (uint64_t)llround(rate * 1e6);
    n = asprintf(&text, "%s%s: %" PRIu64 ".%06" PRIu64, PREFIX, key, millionths / 1000000,
                 millionths % 1000000);
    if (n < 0)
        return NULL;
    while (text[n - 1] == '0')
        text[--n] = '\0';
    if (text[n - 1] == '.')
        text[n - 1] = '\0';
    return text;
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

int pprof_facts_each(const struct cprof_profile *p,
                     int (*each)(void *arg, const char *text), void *arg)
{
    for (size_t i = 0; i < N_FACTS + N_MARKS; i++) {
        char *text;
        int r = 0;

        if (i < N_FACTS)
            text = format_fact(p, &FACTS[i]);
        else
            text = format_count(MARKS[i - N_FACTS].key,
                                count_marks(p, MARKS[i - N_FACTS].kind));
        if (text)
            r = each(arg, text);
        free(text);
        if (r < 0)
            return r;
    }
    return 0;
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
        if (strlen(FACTS[i].key) == n && !strncmp(key, FACTS[i].key, n))
            return parse_value(p, &FACTS[i], colon + 2);
    for (size_t i = 0; i < N_MARKS; i++)
        if (strlen(MARKS[i].key) == n && !strncmp(key, MARKS[i].key, n))
            return parse_mark(p, MARKS[i].kind, colon + 2);
    return 0;
}
