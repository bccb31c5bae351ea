/* profile: rows read back as they were added; quality is counted from them. */
#include "profile.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static void test_a_column_of_ones_is_not_stored_until_it_must_be(void)
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
    CHECK(!p->values[0] && p->values[1]);
    CHECK_EQ(cprof_profile_value(p, 1, 999), 1);
    CHECK_EQ(cprof_profile_value(p, 1, 1000), 41);
    CHECK_EQ(cprof_profile_total(p, 0), 1001);
    CHECK_EQ(cprof_profile_total(p, 1), 1041);
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
    struct cprof_profile *p, *copy;
    struct cprof_quality q;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    for (int i = 0; i < 200 && r >= 0; i++)
        r = profile_row(p, i, 7, "main;a;b", i);
    if (r >= 0)
        r = cprof_profile_quality(p, &q);
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
    RUN(test_a_column_of_ones_is_not_stored_until_it_must_be);
    RUN(test_rows_in_order_of_time_are_known_to_be);
    RUN(test_quality_counts_what_ends_and_what_is_lost);
    RUN(test_default_type_is_the_last_unless_named);
    RUN(test_more_types_than_fit_are_refused);
    RUN(test_a_copy_has_the_same_rows_and_its_own_stacks);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
