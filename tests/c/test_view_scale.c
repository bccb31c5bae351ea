/* view: rows summed and scaled. */
#include "view.h"

#include <errno.h>
#include <math.h>

#include "profiles.h"
#include "test.h"

static void test_rows_of_a_stack_and_thread_are_summed(void)
{
    struct cprof_profile *p, *sums;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_sum(p, &sums, NULL), 0);
    /* a;b of 7 and of 8, b+i, c, [truncated];c, [lost] */
    CHECK_EQ(sums->n, 6);
    CHECK_EQ(cprof_profile_value(sums, 0, 0), 2);
    CHECK_EQ(cprof_profile_value(sums, 1, 0), 200);
    CHECK_EQ(cprof_profile_value(sums, 1, 1), 100);
    CHECK_EQ(cprof_profile_value(sums, 1, 3), 250);
    CHECK_EQ(cprof_profile_total(sums, 0), 12);
    CHECK_EQ(cprof_profile_total(sums, 1), 1170);
    CHECK(!sums->run.has_times);
    CHECK(sums->to == p->to);
    cprof_profile_unref(sums);
    cprof_profile_unref(p);
}

static void test_stacks_found_in_other_ways_stay_apart(void)
{
    struct cprof_profile *p, *sums;

    CHECK_EQ(profile_new(&p), 0);
    for (unsigned i = 0; i < 8; i++) {
        struct cprof_row row = {.how = i & 1, .n_added = i >> 1 & 1, .values = {1, 5}};
        CHECK_EQ(stack_named(p->stacks, "main", &row.stack), 0);
        CHECK_EQ(cprof_stacks_thread(p->stacks, &(struct cprof_thread){0}, NULL, 0,
                                     &row.thread),
                 0);
        CHECK_EQ(cprof_profile_add(p, &row), 0);
    }
    CHECK_EQ(cprof_view_sum(p, &sums, NULL), 0);
    CHECK_EQ(sums->n, 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(cprof_profile_how(sums, i), i & 1);
        CHECK_EQ(cprof_profile_n_added(sums, i), i >> 1);
        CHECK_EQ(cprof_profile_value(sums, 1, i), 10);
    }
    cprof_profile_unref(sums);
    cprof_profile_unref(p);
}

static void test_whole_factors_keep_rows(void)
{
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_sample(&p), 0);
    p->run.cpu_time = 5;
    CHECK_EQ(cprof_view_scale(p, (double[]){-1, 3}, &view, NULL), 0);
    CHECK_EQ(view->n, 8);
    CHECK_EQ(view->time[3], p->time[3]);
    CHECK(view->run.has_times);
    CHECK_EQ(view->run.cpu_time, 0); /* no longer that of the rows */
    for (size_t i = 0; i < 8; i++) {
        CHECK_EQ(cprof_profile_value(view, 0, i), -cprof_profile_value(p, 0, i));
        CHECK_EQ(cprof_profile_value(view, 1, i), 3 * cprof_profile_value(p, 1, i));
    }
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_scale(p, (double[]){0, 0}, &view, NULL), 0);
    CHECK_EQ(view->n, 0); /* nothing is left of any */
    cprof_profile_unref(view);
    cprof_profile_unref(p);
}

static void test_large_values_stay_exact(void)
{
    const int64_t large = (1ll << 60) + 1; /* no double */
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main", large), 0);
    CHECK_EQ(cprof_view_scale(p, (double[]){1, -1}, &view, NULL), 0);
    CHECK_EQ(cprof_profile_value(view, 1, 0), -large);
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_scale(p, (double[]){1, 1e9 + 0.5}, &view, NULL), 0);
    CHECK_EQ(cprof_profile_value(view, 1, 0), INT64_MAX);
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_scale(p, (double[]){1, -1e9 - 0.5}, &view, NULL), 0);
    CHECK_EQ(cprof_profile_value(view, 1, 0), INT64_MIN);
    cprof_profile_unref(view);
    cprof_profile_unref(p);
}

static void test_fractions_round_the_sums(void)
{
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_new(&p), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(profile_row(p, i, 7, i % 2 ? "main;a" : "main;b", 5), 0);
    CHECK_EQ(cprof_view_scale(p, (double[]){0.7, 0.1}, &view, NULL), 0);
    CHECK_EQ(view->n, 2);
    CHECK_EQ(cprof_profile_value(view, 0, 0), 4); /* 3.5, and not five times 1 */
    CHECK_EQ(cprof_profile_value(view, 1, 0), 3); /* 2.5, away from zero */
    CHECK(!view->run.has_times);
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_scale(p, (double[]){1, NAN}, &view, NULL), -EINVAL);
    CHECK_EQ(cprof_view_scale(p, (double[]){INFINITY, 1}, &view, NULL), -EINVAL);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    struct cprof_profile *p, *view;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    r = cprof_view_scale(p, (double[]){0.5, -1}, &view, NULL);
    if (r >= 0)
        cprof_profile_unref(view);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_rows_of_a_stack_and_thread_are_summed);
    RUN(test_stacks_found_in_other_ways_stay_apart);
    RUN(test_whole_factors_keep_rows);
    RUN(test_large_values_stay_exact);
    RUN(test_fractions_round_the_sums);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
