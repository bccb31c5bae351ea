/* profiles.h - small profiles for tests, written as text.
 *
 * A stack is "main;work;leaf", outermost first. A frame is a function of the module
 * "prog" (mapped at 0x1000 from /bin/prog), or "libx!name" of another module (mapped
 * from /lib/libx); "outer+inner" is one location with an inlined call; "?" is a location
 * without a name; "[truncated]" and its like are the pseudo frames. Functions return 0 or
 * a negative errno, so that sweeps can use them. */
#ifndef CPROF_TEST_PROFILES_H
#define CPROF_TEST_PROFILES_H

#include <stdio.h>
#include <string.h>

#include "profile.h"

enum { MAPPING_SIZE = 0x10000 };

static inline int mapping_named(struct cprof_stacks *s, const char *module, uint32_t *ret)
{
    struct cprof_mapping mapping = {.start = 0x1000 + s->mappings.n * 2 * MAPPING_SIZE,
                                    .has_functions = true};
    char file[64];
    int r;

    for (uint32_t i = 0; i < s->mappings.n; i++) {
        if (strcmp(cprof_stacks_text(s, s->mappings.data[i].module), module))
            continue;
        *ret = i;
        return 0;
    }
    if (*module == '[')
        snprintf(file, sizeof(file), "%s", module);
    else
        snprintf(file, sizeof(file), "%s/%s", s->mappings.n ? "/lib" : "/bin", module);
    mapping.limit = mapping.start + MAPPING_SIZE;
    if ((r = cprof_stacks_string(s, file, &mapping.file)) < 0 ||
        (r = cprof_stacks_string(s, module, &mapping.module)) < 0)
        return r;
    return cprof_stacks_add_mapping(s, &mapping, ret);
}

static inline int line_named(struct cprof_stacks *s, const char *name, uint32_t module,
                             struct cprof_line *ret)
{
    struct cprof_function function = {.module = module, .start_line = 10};
    int r;

    if ((r = cprof_stacks_string(s, name, &function.name)) < 0 ||
        (r = cprof_stacks_string(s, "prog.c", &function.filename)) < 0)
        return r;
    function.system_name = function.name;
    *ret = (struct cprof_line){.line = 12};
    return cprof_stacks_function(s, &function, &ret->function);
}

/* The address of a frame's text in its module: the sum of its characters. */
static inline uint64_t address_of(const char *frame)
{
    uint64_t sum = 0;

    for (; *frame; frame++)
        sum = (sum * 31 + (unsigned char)*frame) % MAPPING_SIZE;
    return sum;
}

static inline int frame_named(struct cprof_stacks *s, char *frame, uint32_t *ret)
{
    char *name = strchr(frame, '!'), *inner;
    struct cprof_line lines[2];
    uint32_t mapping, module;
    size_t n = 0;
    int r;

    for (unsigned i = 0; i < CPROF_N_PSEUDO; i++) {
        if (strcmp(frame, cprof_pseudo_name(i)))
            continue;
        *ret = s->pseudo[i];
        return 0;
    }
    if (name)
        *name++ = '\0';
    r = mapping_named(s, name ? frame : "prog", &mapping);
    if (r < 0)
        return r;
    name = name ? name : frame;
    module = s->mappings.data[mapping].module;
    r = cprof_stacks_location(s, s->mappings.data[mapping].start + address_of(name),
                              mapping, ret);
    if (r < 0 || !strcmp(name, "?"))
        return r;
    inner = strchr(name, '+');
    if (inner) {
        *inner++ = '\0';
        r = line_named(s, inner, module, &lines[n++]);
        if (r < 0)
            return r;
    }
    r = line_named(s, name, module, &lines[n++]);
    return r < 0 ? r : cprof_stacks_set_lines(s, *ret, lines, n);
}

static inline int stack_named(struct cprof_stacks *s, const char *text, uint32_t *ret)
{
    uint32_t frames[64];
    size_t n = 0;
    char copy[512], *rest = copy, *frame;

    snprintf(copy, sizeof(copy), "%s", text);
    while (*text && (frame = strsep(&rest, ";"))) {
        int r = frame_named(s, frame, &frames[n++]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < n / 2; i++) { /* leaf first */
        uint32_t swapped = frames[i];
        frames[i] = frames[n - 1 - i];
        frames[n - 1 - i] = swapped;
    }
    return cprof_stacks_intern(s, frames, n, ret);
}

/* A profile as a recorder makes it: samples/count and cpu/nanoseconds, 10 s from 1000 s
 * on the clock. */
static inline int profile_new(struct cprof_profile **ret)
{
    struct cprof_stacks *s;
    struct cprof_profile *p = NULL;
    int r = cprof_stacks_create(&s);

    if (r < 0)
        return r;
    r = cprof_profile_create(s, &p);
    cprof_stacks_unref(s);
    if (r < 0)
        return r;
    p->run.start_mono = 1000000000000;
    p->run.end_mono = 1010000000000;
    p->run.start_unix = 1700000000000000000;
    p->run.has_times = true;
    p->to = 10;
    if ((r = cprof_profile_add_type(p, "samples", "count")) < 0 ||
        (r = cprof_profile_add_type(p, "cpu", "nanoseconds")) < 0 ||
        (r = cprof_stacks_string(p->stacks, "task-clock", &p->run.event)) < 0 ||
        (r = cprof_stacks_string(p->stacks, "here", &p->run.host)) < 0) {
        cprof_profile_unref(p);
        return r;
    }
    *ret = p;
    return 0;
}

/* A row `seconds` after the start, of thread `tid` of process 7, with 1 and `cpu`. */
static inline int profile_row(struct cprof_profile *p, double seconds, int tid,
                              const char *stack, int64_t cpu)
{
    struct cprof_thread thread = {.pid = 7, .tid = tid};
    struct cprof_row row = {.time = p->run.start_mono + (uint64_t)(seconds * 1e9),
                            .pid = 7,
                            .tid = tid,
                            .cpu = 0,
                            .values = {1, cpu}};
    char name[32];
    int r;

    snprintf(name, sizeof(name), "worker %d", tid);
    if ((r = cprof_stacks_string(p->stacks, name, &thread.name)) < 0 ||
        (r = cprof_stacks_string(p->stacks, "prog", &thread.comm)) < 0 ||
        (r = cprof_stacks_thread(p->stacks, &thread, NULL, 0, &row.thread)) < 0 ||
        (r = stack_named(p->stacks, stack, &row.stack)) < 0)
        return r;
    return cprof_profile_add(p, &row);
}

/* The profile most tests use: 4 samples of main;a;b (one inlined), 2 of main;c, one cut
 * short, 5 lost. Totals: samples 12, cpu 1170. */
static inline int profile_sample(struct cprof_profile **ret)
{
    struct cprof_profile *p;
    int r = profile_new(&p);

    if (r < 0)
        return r;
    if ((r = profile_row(p, 1, 7, "main;a;b", 100)) < 0 ||
        (r = profile_row(p, 2, 8, "main;a;b", 100)) < 0 ||
        (r = profile_row(p, 3, 7, "main;a;b", 100)) < 0 ||
        (r = profile_row(p, 4, 8, "main;a;b+i", 100)) < 0 ||
        (r = profile_row(p, 5, 7, "main;libx!c", 200)) < 0 ||
        (r = profile_row(p, 6, 7, "main;libx!c", 50)) < 0 ||
        (r = profile_row(p, 7, 7, "[truncated];libx!c", 20)) < 0 ||
        (r = profile_row(p, 8, 7, "[lost]", 500)) < 0) {
        cprof_profile_unref(p);
        return r;
    }
    r = cprof_profile_set_value(p, 0, p->n - 1, 5); /* lost */
    if (r < 0) {
        cprof_profile_unref(p);
        return r;
    }
    *ret = p;
    return 0;
}

/* A profile of random stacks of few functions: much recursion, inlining and sharing. */
static inline int random_profile(uint64_t seed, struct cprof_profile **ret)
{
    static const char *const FRAMES[] = {"a",      "b",      "c",       "a+b", "b+a",
                                         "a+a",    "libx!a", "libx!c",  "?",   "c+b",
                                         "libx!?", "d",      "libx!a+c"};
    struct cprof_profile *p = NULL;
    int r = profile_new(&p);

    for (int i = 0; i < 300 && r >= 0; i++) {
        char stack[256] = "main";
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        for (uint64_t bits = seed >> 20, n = bits % 9; n; n--, bits /= 13) {
            strcat(stack, ";");
            strcat(stack, FRAMES[bits % 13]);
        }
        r = profile_row(p, i / 30.0, 7 + i % 3, stack, (int64_t)(seed >> 50) - 100);
    }
    *ret = p;
    return r;
}

/* The frames of a row as (name, module), leaf first, by following parents. */
static inline size_t frames_of(const struct cprof_profile *p, size_t row,
                               uint32_t (*frames)[2])
{
    const struct cprof_stacks *s = p->stacks;
    size_t n = 0;

    for (uint32_t at = p->stack[row]; at != CPROF_NONE; at = s->nodes.data[at].parent) {
        const struct cprof_location *l = &s->locations.data[s->nodes.data[at].location];
        for (uint32_t i = 0; i < l->n_lines; i++, n++) {
            uint32_t function = s->lines.data[l->first_line + i].function;
            frames[n][0] = s->functions.data[function].name;
            frames[n][1] = s->functions.data[function].module;
        }
        if (!l->n_lines) {
            frames[n][0] = s->unknown;
            frames[n++][1] = s->mappings.data[l->mapping].module;
        }
    }
    return n;
}

#endif
