/* view_merge: sums by function of a merge must be the sums of the sums. */
#include "view.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static const char *text(const struct cprof_profile *p, uint32_t string)
{
    return cprof_stacks_text(p->stacks, string);
}

static int64_t total_of(const struct cprof_profile *p, const char *name)
{
    struct cprof_frame_sum *sums;
    int64_t total = 0;
    size_t n;

    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(text(p, sums[i].frame.name), name))
            total += sums[i].total;
    free(sums);
    return total;
}

static int merge(const struct cprof_profile *a, const struct cprof_profile *b,
                 struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_merger *m;
    int r = cprof_merger_create(&m, err);

    if (r >= 0)
        r = cprof_merger_add(m, a, err);
    if (r >= 0)
        r = cprof_merger_add(m, b, err);
    if (r >= 0)
        r = cprof_merger_finish(m, ret, err);
    cprof_merger_free(m);
    return r;
}

static struct cprof_profile *merged(const struct cprof_profile *a,
                                    const struct cprof_profile *b)
{
    struct cprof_profile *ret = NULL;
    struct cprof_error err = {0};

    CHECK_EQ(merge(a, b, &ret, &err), 0);
    CHECK_STR(err.message, "");
    return ret;
}

static void test_a_profile_with_itself_doubles_its_totals_and_nothing_else(void)
{
    struct cprof_profile *p, *twice;
    struct cprof_quality before, after;

    CHECK_EQ(profile_sample(&p), 0);
    p->run.cpu_time = 1000;
    p->run.n_verified = 3;
    p->run.n_agreed = 2;
    p->run.n_waited = 1;
    p->run.n_live_dropped = 5;
    p->run.period = 7;
    CHECK_EQ(cprof_profile_add_comment(p, "note"), 0);
    twice = merged(p, p);
    CHECK_EQ(cprof_profile_total(twice, 0), 24);
    CHECK_EQ(cprof_profile_total(twice, 1), 2340);
    CHECK_EQ(total_of(twice, "a"), 2 * total_of(p, "a"));
    CHECK_EQ(twice->stacks->nodes.n, p->stacks->nodes.n);
    CHECK_EQ(twice->stacks->mappings.n, p->stacks->mappings.n);
    CHECK_EQ(twice->stacks->locations.n, p->stacks->locations.n);
    CHECK_EQ(twice->stacks->threads.n, p->stacks->threads.n);
    CHECK_EQ(twice->comments.n, 1);
    CHECK_EQ(twice->run.cpu_time, 2000);
    CHECK_EQ(twice->run.n_verified, 6);
    CHECK_EQ(twice->run.n_agreed, 4);
    CHECK_EQ(twice->run.n_waited, 2);
    CHECK_EQ(twice->run.n_live_dropped, 10);
    CHECK_EQ(twice->run.period, 7);
    CHECK_STR(text(twice, twice->run.event), "task-clock");
    CHECK(twice->run.has_times && twice->is_unsorted);
    CHECK(twice->from == 0 && twice->to == 20);
    CHECK_EQ(cprof_profile_quality(p, &before), 0);
    CHECK_EQ(cprof_profile_quality(twice, &after), 0);
    CHECK_EQ(after.n_samples, 2 * before.n_samples);
    CHECK_EQ(after.n_lost, 2 * before.n_lost);
    CHECK_EQ(after.ends[CPROF_END_TRUNCATED], 2 * before.ends[CPROF_END_TRUNCATED]);
    cprof_profile_unref(twice);
    cprof_profile_unref(p);
}

static void test_how_stacks_were_found_is_kept(void)
{
    struct cprof_profile *p, *plain, *sum;
    struct cprof_row row = {.how = CPROF_HOW_CONTINUED, .n_added = 9, .values = {1, 5}};

    CHECK_EQ(profile_sample(&plain), 0);
    CHECK_EQ(profile_sample(&p), 0);
    row.stack = p->stack[0];
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    sum = merged(plain, p);
    CHECK_EQ(cprof_profile_how(sum, 16), CPROF_HOW_CONTINUED);
    CHECK_EQ(cprof_profile_n_added(sum, 16), 9);
    CHECK_EQ(cprof_profile_how(sum, 15), 0);
    cprof_profile_unref(sum);
    cprof_profile_unref(p);
    cprof_profile_unref(plain);
}

static void test_cpu_time_is_known_when_all_know_it(void)
{
    struct cprof_profile *p, *part, *sum;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;a", 1), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;b", 1), 0);
    p->run.cpu_time = 1000;
    CHECK_EQ(cprof_view_window(p, p->time[1], UINT64_MAX, &part, NULL), 0);
    sum = merged(p, part);
    CHECK_EQ(sum->run.cpu_time, 0);
    cprof_profile_unref(sum);
    cprof_profile_unref(part);
    cprof_profile_unref(p);
}

static void test_the_same_file_elsewhere_is_the_same_place(void)
{
    struct cprof_profile *a, *b, *both;

    CHECK_EQ(profile_sample(&a), 0);
    CHECK_EQ(profile_sample(&b), 0);
    for (size_t i = 0; i < b->stacks->mappings.n; i++) {
        b->stacks->mappings.data[i].start += 0x7f0000000000;
        b->stacks->mappings.data[i].limit += 0x7f0000000000;
    }
    for (size_t i = 0; i < b->stacks->locations.n; i++)
        if (b->stacks->locations.data[i].mapping != CPROF_NONE)
            b->stacks->locations.data[i].address += 0x7f0000000000;
    both = merged(a, b);
    CHECK_EQ(both->stacks->mappings.n, a->stacks->mappings.n);
    CHECK_EQ(both->stacks->locations.n, a->stacks->locations.n);
    CHECK_EQ(both->stacks->nodes.n, a->stacks->nodes.n);
    cprof_profile_unref(both);

    b->stacks->mappings.data[0].offset = 0x5000; /* another part of the file */
    both = merged(a, b);
    CHECK_EQ(both->stacks->mappings.n, a->stacks->mappings.n + 1);
    CHECK_EQ(total_of(both, "main"), 2 * total_of(a, "main"));
    cprof_profile_unref(both);
    cprof_profile_unref(a);
    cprof_profile_unref(b);
}

static void test_other_code_at_the_same_place_stays_apart(void)
{
    struct cprof_profile *a, *b, *both;
    uint32_t stack, location;

    CHECK_EQ(profile_new(&a), 0);
    CHECK_EQ(profile_new(&b), 0);
    CHECK_EQ(profile_row(a, 1, 7, "main;jitted", 1), 0);
    CHECK_EQ(profile_row(b, 1, 7, "main;jitted", 2), 0);
    CHECK_EQ(stack_named(b->stacks, "main;jitted", &stack), 0);
    location = b->stacks->nodes.data[stack].location;
    b->stacks->lines.data[b->stacks->locations.data[location].first_line].line = 99;
    both = merged(a, b);
    CHECK(both->stack[0] != both->stack[1]);
    CHECK_EQ(total_of(both, "jitted"), 3);
    cprof_profile_unref(both);
    cprof_profile_unref(a);
    cprof_profile_unref(b);
}

static void test_a_window_brings_only_what_it_uses(void)
{
    struct cprof_profile *p, *window, *both;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_window(p, 1001000000000, 1002000000000, &window, NULL), 0);
    both = merged(window, window);
    CHECK_EQ(both->n, 2);
    CHECK_EQ(both->stacks->nodes.n, 3);
    CHECK_STR(text(both, both->stacks->mappings.data[0].file), "/bin/prog");
    CHECK_EQ(both->stacks->mappings.n, 1);
    cprof_profile_unref(both);
    CHECK_EQ(cprof_view_window(p, 1008000000000, 1009000000000, &both, NULL), 0);
    cprof_profile_unref(window);
    window = merged(both, both); /* only a lost row, yet the main binary stays first */
    CHECK_STR(text(window, window->stacks->mappings.data[0].file), "/bin/prog");
    cprof_profile_unref(window);
    cprof_profile_unref(both);
    cprof_profile_unref(p);
}

static void test_two_windows_make_the_whole_again(void)
{
    struct cprof_profile *p, *first, *second, *both;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_window(p, 0, 1004000000000, &first, NULL), 0);
    CHECK_EQ(cprof_view_window(p, 1004000000000, UINT64_MAX, &second, NULL), 0);
    both = merged(second, first);
    CHECK(both->from == 0 && both->to == 10);
    CHECK_EQ(both->n, p->n);
    CHECK_EQ(cprof_profile_total(both, 1), 1170);
    CHECK_EQ(both->run.start_mono, p->run.start_mono);
    CHECK_EQ(both->run.start_unix, p->run.start_unix);
    cprof_profile_unref(first);
    CHECK_EQ(cprof_view_window(both, 1004000000000, UINT64_MAX, &first, NULL), 0);
    CHECK_EQ(cprof_profile_total(first, 1), cprof_profile_total(second, 1));
    cprof_profile_unref(both);
    cprof_profile_unref(first);
    cprof_profile_unref(second);
    cprof_profile_unref(p);
}

static void test_times_of_two_hosts_are_dropped(void)
{
    struct cprof_profile *a, *b, *both;

    CHECK_EQ(profile_sample(&a), 0);
    CHECK_EQ(profile_sample(&b), 0);
    CHECK_EQ(cprof_stacks_string(b->stacks, "there", &b->run.host), 0);
    CHECK_EQ(cprof_stacks_string(b->stacks, "cycles", &b->run.event), 0);
    b->run.start_unix -= 5000;
    both = merged(a, b);
    CHECK(!both->run.has_times);
    CHECK_EQ(both->time[3], 0);
    CHECK_STR(text(both, both->run.host), "here,there");
    CHECK_STR(text(both, both->run.event), "task-clock,cycles");
    CHECK_EQ(both->run.start_unix, b->run.start_unix);
    CHECK(both->from == 0 && both->to == 20);
    cprof_profile_unref(a);
    a = merged(both, b); /* what is in the list already is not joined again */
    CHECK_STR(text(a, a->run.event), "task-clock,cycles");
    cprof_profile_unref(a);
    cprof_profile_unref(both);
    cprof_profile_unref(b);
}

static void test_types_that_differ_are_refused_by_name(void)
{
    struct cprof_profile *a, *b, *ret;
    struct cprof_merger *none;
    struct cprof_error err;

    CHECK_EQ(profile_new(&a), 0);
    CHECK_EQ(profile_new(&b), 0);
    CHECK_EQ(cprof_stacks_string(b->stacks, "bytes", &b->types[1].unit), 0);
    CHECK_EQ(merge(a, b, &ret, &err), -EINVAL);
    CHECK(strstr(err.message, "cpu/nanoseconds") && strstr(err.message, "cpu/bytes"));
    b->n_types = 1;
    CHECK_EQ(merge(a, b, &ret, &err), -EINVAL);
    CHECK_EQ(cprof_merger_create(&none, &err), 0);
    CHECK_EQ(cprof_merger_finish(none, &ret, &err), -EINVAL);
    cprof_merger_free(none);
    cprof_profile_unref(a);
    cprof_profile_unref(b);
}

static int attempt(void *unused)
{
    struct cprof_profile *p, *ret;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    r = merge(p, p, &ret, NULL);
    if (r >= 0)
        cprof_profile_unref(ret);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_a_profile_with_itself_doubles_its_totals_and_nothing_else);
    RUN(test_how_stacks_were_found_is_kept);
    RUN(test_cpu_time_is_known_when_all_know_it);
    RUN(test_the_same_file_elsewhere_is_the_same_place);
    RUN(test_other_code_at_the_same_place_stays_apart);
    RUN(test_a_window_brings_only_what_it_uses);
    RUN(test_two_windows_make_the_whole_again);
    RUN(test_times_of_two_hosts_are_dropped);
    RUN(test_types_that_differ_are_refused_by_name);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
