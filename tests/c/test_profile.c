/* profile: rows read back as they were added; quality is counted from them. */
#include "profile.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static size_t bytes_a_row(const struct cprof_profile *p)
{
    size_t n = sizeof(*p->time) + sizeof(*p->pid) + sizeof(*p->tid) + sizeof(*p->cpu) +
               sizeof(*p->thread) + sizeof(*p->stack);

    n += (p->how ? sizeof(*p->how) : 0) + (p->n_added ? sizeof(*p->n_added) : 0);
    for (size_t k = 0; k < p->n_types; k++)
        n += p->values[k] ? sizeof(*p->values[k]) : 0;
    return n;
}

static void test_a_recorded_row_takes_39_bytes_also_where_samples_are_lost(void)
{
    struct cprof_profile *p, *copy;
    size_t n_odd = 0;

    CHECK_EQ(profile_new(&p), 0);
    for (int i = 0; i < 100000; i++) {
        struct cprof_row row = {.how = CPROF_HOW_SPLICED, .n_added = 3};
        row.values[0] = i % 1000 == 17 ? 5 : 1;
        row.values[1] = 1000000;
        CHECK_EQ(cprof_profile_add(p, &row), 0);
    }
    CHECK_EQ(bytes_a_row(p), 39);
    CHECK_EQ(p->odd_values[0].n, 100);
    CHECK(p->odd_values[0].capacity * sizeof(*p->odd_values[0].data) < p->n / 10);
    CHECK_EQ(cprof_profile_total(p, 0), 100400);
    for (size_t i = 0; i < p->n; i++)
        n_odd += cprof_profile_value(p, 0, i) == (i % 1000 == 17 ? 5 : 1);
    CHECK_EQ(n_odd, p->n);
    CHECK_EQ(cprof_profile_copy(p, p->stacks, &copy), 0);
    CHECK_EQ(bytes_a_row(copy), 39);
    CHECK_EQ(cprof_profile_total(copy, 0), 100400);
    CHECK_EQ(copy->how[99999], CPROF_HOW_SPLICED);
    CHECK_EQ(copy->n_added[99999], 3);
    cprof_profile_unref(copy);
    cprof_profile_unref(p);
}

static void test_a_column_of_ones_is_not_stored(void)
{
    struct cprof_profile *p;
    struct cprof_row row = {.values = {1, 1}};

    CHECK_EQ(profile_new(&p), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK(!p->values[0] && !p->values[1]);
    CHECK_EQ(cprof_profile_total(p, 1), 1000);
    row.values[1] = 41;
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK(!p->values[0] && !p->values[1]);
    CHECK_EQ(cprof_profile_value(p, 1, 999), 1);
    CHECK_EQ(cprof_profile_value(p, 1, 1000), 41);
    CHECK_EQ(cprof_profile_total(p, 0), 1001);
    CHECK_EQ(cprof_profile_total(p, 1), 1041);
    cprof_profile_unref(p);
}

/* Set and add in an order of chance, and compare with a plain array. */
static void test_values_are_those_that_were_set(void)
{
    enum { N = 3000 };
    static int64_t expected[N];
    struct cprof_row row = {.values = {1, 7}};
    struct cprof_profile *p;
    uint32_t random = 1;
    int64_t total = 0;

    CHECK_EQ(profile_new(&p), 0);
    for (size_t i = 0; i < N; i++) {
        size_t at;
        random = random * 1664525 + 1013904223;
        row.values[0] = expected[i] = random >> 16 & 63 ? 1 : random >> 24;
        CHECK_EQ(cprof_profile_add(p, &row), 0);
        at = (random >> 8) % (i + 1);
        if (i % (i < 500 ? 100 : 3))
            continue;
        expected[at] = random % 3;
        CHECK_EQ(cprof_profile_set_value(p, 0, at, expected[at]), 0);
        CHECK(i > 500 || !p->values[0]);
    }
    CHECK(p->values[0]); /* not few any more */
    CHECK_EQ(p->odd_values[0].n, 0);
    for (size_t i = 0; i < N; i++) {
        CHECK_EQ(cprof_profile_value(p, 0, i), expected[i]);
        total += expected[i];
    }
    CHECK_EQ(cprof_profile_total(p, 0), total);
    cprof_profile_unref(p);
}

static void test_how_is_not_stored_where_nothing_says(void)
{
    struct cprof_row row = {.values = {1, 1}};
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK(!p->how && !p->n_added);
    CHECK_EQ(cprof_profile_how(p, 99), 0);
    CHECK_EQ(cprof_profile_n_added(p, 99), 0);
    row.how = CPROF_HOW_CONTINUED;
    row.n_added = 1234;
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK_EQ(cprof_profile_how(p, 99), 0);
    CHECK_EQ(cprof_profile_n_added(p, 99), 0);
    CHECK_EQ(cprof_profile_how(p, 100), CPROF_HOW_CONTINUED);
    CHECK_EQ(cprof_profile_n_added(p, 100), 1234);
    cprof_profile_unref(p);
}

static void test_rows_in_order_of_time_are_known_to_be(void)
{
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main", 1), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main", 1), 0);
    CHECK(!p->is_unsorted);
    CHECK_EQ(profile_row(p, 0.5, 7, "main", 1), 0);
    CHECK(p->is_unsorted);
    cprof_profile_unref(p);
}

static void test_quality_counts_what_ends_and_what_is_lost(void)
{
    struct cprof_quality q;
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(profile_row(p, 9, 7, "main;?", 1), 0);
    CHECK_EQ(
        profile_row(p, 9, 7, "[kernel.kallsyms]!fork;[kernel.kallsyms]!page_fault", 1),
        0);
    CHECK_EQ(profile_row(p, 9, 7, "main;[kernel.kallsyms]!page_fault", 1), 0);
    CHECK_EQ(profile_row(p, 9, 7, "", 1), 0);
    CHECK_EQ(cprof_vec_push(&p->marks, (struct cprof_mark){.n = 2}), 0);
    CHECK_EQ(
        cprof_vec_push(&p->marks, (struct cprof_mark){.kind = CPROF_MARK_LOST, .n = 9}),
        0);
    CHECK_EQ(cprof_profile_quality(p, &q), 0);
    CHECK_EQ(q.n_samples, 11);
    CHECK_EQ(q.n_lost, 5);
    CHECK_EQ(q.n_throttled, 2);
    CHECK_EQ(q.ends[CPROF_END_TRUNCATED], 1);
    CHECK_EQ(q.ends[CPROF_END_KERNEL], 1);
    CHECK_EQ(q.ends[CPROF_END_NO_INFO], 1); /* no stack at all */
    CHECK_EQ(q.ends[CPROF_END_ROOT], 8);
    CHECK_EQ(q.n_kernel, 2);
    CHECK_EQ(q.n_unknown, 1);
    cprof_profile_unref(p);
}

static int row_found(struct cprof_profile *p, const char *stack, unsigned how, int64_t n)
{
    struct cprof_row row = {.how = (uint8_t)how, .values = {n, 10}};
    struct cprof_thread thread = {.pid = 7, .tid = 7};
    int r;

    if ((r = cprof_stacks_thread(p->stacks, &thread, NULL, 0, &row.thread)) < 0 ||
        (r = stack_named(p->stacks, stack, &row.stack)) < 0)
        return r;
    return cprof_profile_add(p, &row);
}

static int profile_of_many_ways(struct cprof_profile **ret)
{
    static const struct {
        const char *stack;
        unsigned how;
        int64_t n;
    } ROWS[] = {
        {"main;a", 0, 10},
        {"main;libx!c", CPROF_HOW_FALLBACK, 2},
        {"main;libx!c", CPROF_HOW_GUESSED | CPROF_HOW_FALLBACK, 1},
        {"main;liby!d", CPROF_HOW_SPLICED, 3},
        {"main;liby!d", CPROF_HOW_CONTINUED, 4},
        {"[truncated];liby!deep;a", CPROF_HOW_REFUSED, 5},
        {"[no unwind info];libx!c;a", 0, 6},
        {"[no mapping];?;libx!c", 0, 7},
        {"[bad memory];[kernel.kallsyms]!fault", 0, 8},
        {"[lost]", 0, 99},
    };
    int r = profile_new(ret);

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]) && r == 0; i++)
        r = row_found(*ret, ROWS[i].stack, ROWS[i].how, ROWS[i].n);
    return r;
}

static void test_quality_counts_how_stacks_were_found(void)
{
    struct cprof_profile *p, *part;
    struct cprof_quality q;

    CHECK_EQ(profile_of_many_ways(&p), 0);
    CHECK_EQ(cprof_profile_quality(p, &q), 0);
    CHECK_EQ(q.n_samples, 46);
    CHECK_EQ(q.n_lost, 99);
    CHECK_EQ(q.n_fallback, 3);
    CHECK_EQ(q.n_guessed, 1);
    CHECK_EQ(q.n_spliced, 3);
    CHECK_EQ(q.n_continued, 4);
    CHECK_EQ(q.n_refused, 5);
    CHECK_EQ(q.ends[CPROF_END_NO_MAPPING], 7);
    CHECK_EQ(cprof_profile_create(p->stacks, &part), 0);
    CHECK_EQ(cprof_profile_quality(part, &q), 0);
    CHECK_EQ(q.n_samples + q.n_fallback + q.n_spliced, 0); /* of its own rows */
    cprof_profile_unref(part);
    cprof_profile_unref(p);
}

static const struct cprof_module_quality *module_named(const struct cprof_profile *p,
                                                       const char *name,
                                                       struct cprof_module_quality *all,
                                                       size_t n)
{
    static const struct cprof_module_quality NONE;

    for (size_t i = 0; i < n; i++)
        if (!strcmp(cprof_stacks_text(p->stacks, all[i].module), name))
            return &all[i];
    CHECK_STR("no such module", name);
    return &NONE;
}

static void test_quality_by_module_tells_where_stacks_break(void)
{
    const struct cprof_module_quality *prog, *libx, *liby, *kernel, *none;
    struct cprof_module_quality *all;
    struct cprof_profile *p;
    uint64_t samples = 0;
    size_t n;

    CHECK_EQ(profile_of_many_ways(&p), 0);
    CHECK_EQ(cprof_profile_quality_by_module(p, &all, &n), 0);
    CHECK_EQ(n, 5);
    prog = module_named(p, "prog", all, n);
    libx = module_named(p, "libx", all, n);
    liby = module_named(p, "liby", all, n);
    kernel = module_named(p, "[kernel.kallsyms]", all, n);
    none = module_named(p, "", all, n);
    CHECK(prog == &all[0] && libx == &all[1] && kernel == &all[2]); /* 21, 10, 8, 7, 0 */
    CHECK_EQ(prog->samples.n_samples, 21);
    CHECK_EQ(prog->samples.ends[CPROF_END_ROOT], 10);
    CHECK_EQ(prog->samples.ends[CPROF_END_TRUNCATED], 5);
    CHECK_EQ(prog->samples.n_refused, 5);
    CHECK_EQ(prog->broke[CPROF_END_TRUNCATED], 0);
    CHECK_EQ(prog->broke[CPROF_END_NO_MAPPING], 7); /* frame "?" lies in it */
    CHECK_EQ(libx->samples.n_samples, 10);
    CHECK_EQ(libx->samples.n_fallback, 3);
    CHECK_EQ(libx->samples.n_guessed, 1);
    CHECK_EQ(libx->broke[CPROF_END_NO_INFO], 6);
    CHECK_EQ(liby->samples.n_samples, 7);
    CHECK_EQ(liby->samples.n_spliced, 3);
    CHECK_EQ(liby->samples.n_continued, 4);
    CHECK_EQ(liby->broke[CPROF_END_TRUNCATED], 5);
    CHECK_EQ(kernel->samples.n_kernel, 8);
    CHECK_EQ(kernel->broke[CPROF_END_BAD_MEMORY], 0);
    CHECK_EQ(none->samples.n_samples, 0); /* lost samples are of no module */
    CHECK_EQ(none->broke[CPROF_END_BAD_MEMORY], 8);
    for (size_t i = 0; i < n; i++)
        samples += all[i].samples.n_samples;
    CHECK_EQ(samples, 46);
    free(all);
    cprof_profile_unref(p);
}

/* An address in no mapping says nothing: the code that led to it does. */
static void test_stacks_break_in_the_last_code_that_is_known(void)
{
    struct cprof_profile *p;
    struct cprof_module_quality *all;
    struct cprof_row row = {.values = {1, 1}};
    uint32_t nowhere, node, libx;
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(stack_named(p->stacks, "libx!c", &libx), 0);
    CHECK_EQ(cprof_stacks_location(p->stacks, 99, CPROF_NONE, &nowhere), 0);
    CHECK_EQ(cprof_stacks_node(p->stacks, CPROF_NONE,
                               p->stacks->pseudo[CPROF_END_NO_MAPPING], &node),
             0);
    CHECK_EQ(cprof_stacks_node(p->stacks, node, nowhere, &node), 0);
    libx = p->stacks->nodes.data[libx].location;
    CHECK_EQ(cprof_stacks_node(p->stacks, node, libx, &row.stack), 0);
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK_EQ(cprof_profile_quality_by_module(p, &all, &n), 0);
    CHECK_EQ(n, 1);
    CHECK_STR(cprof_stacks_text(p->stacks, all[0].module), "libx");
    CHECK_EQ(all[0].broke[CPROF_END_NO_MAPPING], 1);
    free(all);
    cprof_profile_unref(p);
}

static void test_every_way_has_a_text_that_is_read_back(void)
{
    char text[CPROF_HOW_TEXT];
    uint8_t back = 77;

    for (unsigned how = 1; how < 32; how++) {
        CHECK(cprof_how_parse(cprof_how_text((uint8_t)how, text), &back));
        CHECK_EQ(back, how);
    }
    CHECK_STR(cprof_how_text(0, text), "");
    CHECK_STR(cprof_how_text(CPROF_HOW_FALLBACK | CPROF_HOW_SPLICED, text),
              "fallback,spliced");
    CHECK_STR(cprof_how_text(CPROF_HOW_CONTINUED, text), "continued");
    CHECK_STR(cprof_how_text(CPROF_HOW_REFUSED | CPROF_HOW_GUESSED, text),
              "guessed,refused");
    CHECK(!cprof_how_parse("", &back));
}

static void test_default_type_is_the_last_unless_named(void)
{
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(cprof_profile_default_type(p), 1);
    p->run.default_type = p->types[0].type;
    CHECK_EQ(cprof_profile_default_type(p), 0);
    cprof_profile_unref(p);
}

static void test_more_types_than_fit_are_refused(void)
{
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    while (p->n_types < CPROF_MAX_SAMPLE_TYPES)
        CHECK_EQ(cprof_profile_add_type(p, "x", "count"), 0);
    CHECK_EQ(cprof_profile_add_type(p, "x", "count"), -E2BIG);
    cprof_profile_unref(p);
}

static void test_a_copy_has_the_same_rows_and_its_own_stacks(void)
{
    struct cprof_profile *p, *copy;
    struct cprof_stacks *stacks;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_profile_add_comment(p, "note"), 0);
    CHECK_EQ(cprof_stacks_copy(p->stacks, &stacks), 0);
    CHECK_EQ(cprof_profile_copy(p, stacks, &copy), 0);
    cprof_stacks_unref(stacks);
    CHECK_EQ(profile_row(p, 9, 7, "main;later", 1), 0);
    CHECK_EQ(copy->n, 8);
    CHECK_EQ(cprof_profile_total(copy, 0), 12);
    CHECK_EQ(cprof_profile_total(copy, 1), 1170);
    CHECK_EQ(copy->tid[1], 8);
    cprof_profile_unref(p);
    CHECK_STR(cprof_stacks_text(copy->stacks, copy->comments.data[0]), "note");
    cprof_profile_unref(copy);
}

static int attempt(void *unused)
{
    struct cprof_row row = {.how = 1, .n_added = 1, .values = {9, 9}};
    struct cprof_profile *p, *copy;
    struct cprof_module_quality *modules;
    struct cprof_quality q;
    size_t n;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    for (int i = 0; i < 200 && r >= 0; i++)
        r = profile_row(p, i, 7, "main;a;b", i);
    if (r >= 0)
        r = cprof_profile_set_value(p, 0, 3, 9);
    for (int i = 0; i < 200 && r >= 0; i++)
        r = cprof_profile_add(p, &row);
    if (r >= 0)
        r = cprof_profile_quality(p, &q);
    if (r >= 0 && (r = cprof_profile_quality_by_module(p, &modules, &n)) >= 0)
        free(modules);
    if (r >= 0) {
        r = cprof_profile_copy(p, p->stacks, &copy);
        if (r >= 0)
            cprof_profile_unref(copy);
    }
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_a_recorded_row_takes_39_bytes_also_where_samples_are_lost);
    RUN(test_a_column_of_ones_is_not_stored);
    RUN(test_values_are_those_that_were_set);
    RUN(test_how_is_not_stored_where_nothing_says);
    RUN(test_rows_in_order_of_time_are_known_to_be);
    RUN(test_quality_counts_what_ends_and_what_is_lost);
    RUN(test_quality_counts_how_stacks_were_found);
    RUN(test_quality_by_module_tells_where_stacks_break);
    RUN(test_stacks_break_in_the_last_code_that_is_known);
    RUN(test_every_way_has_a_text_that_is_read_back);
    RUN(test_default_type_is_the_last_unless_named);
    RUN(test_more_types_than_fit_are_refused);
    RUN(test_a_copy_has_the_same_rows_and_its_own_stacks);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
