/* view: sums of rows with equal keys, against sums made by comparing every two rows. */
#include "view.h"

#include "profiles.h"
#include "test.h"

static void test_groups_of_a_known_profile(void)
{
    struct cprof_grouping g;
    struct cprof_profile *p;
    const uint32_t *keys[1];

    CHECK_EQ(profile_sample(&p), 0);
    keys[0] = p->thread;
    CHECK_EQ(cprof_view_group(p, keys, 1, &g), 0);
    CHECK_EQ(g.n, 2); /* threads 7 and 8, in order of their first row */
    CHECK_EQ(g.first[0], 0);
    CHECK_EQ(g.first[1], 1);
    CHECK_EQ(g.rows[0], 6);
    CHECK_EQ(g.rows[1], 2);
    CHECK_EQ(g.values[0][0], 10); /* the lost row stands for 5 samples */
    CHECK_EQ(g.values[0][1], 2);
    CHECK_EQ(g.values[1][0], 970);
    CHECK_EQ(g.values[1][1], 200);
    cprof_grouping_deinit(&g);
    cprof_profile_unref(p);
}

static void test_no_keys_are_one_group(void)
{
    struct cprof_grouping g;
    struct cprof_profile *p, *none;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_group(p, NULL, 0, &g), 0);
    CHECK_EQ(g.n, 1);
    CHECK_EQ(g.rows[0], 8);
    CHECK_EQ(g.values[0][0], 12);
    CHECK_EQ(g.values[1][0], 1170);
    cprof_grouping_deinit(&g);
    CHECK_EQ(cprof_view_window(p, 0, 1, &none, NULL), 0);
    CHECK_EQ(cprof_view_group(none, NULL, 0, &g), 0);
    CHECK_EQ(g.n, 0); /* of no rows */
    cprof_grouping_deinit(&g);
    cprof_profile_unref(none);
    cprof_profile_unref(p);
}

enum { N = 500 };

static int numbered_profile(struct cprof_profile **ret, uint32_t *a, uint32_t *b)
{
    int r = profile_new(ret);

    for (uint32_t i = 0; i < N && r >= 0; i++) {
        a[i] = (i * 7919) % 5 * 1000000007u; /* far apart, and with equal low bits */
        b[i] = (i / 3) % 11 << 28;
        r = profile_row(*ret, i / 50.0, 7, "main", (int64_t)i - 100);
    }
    return r;
}

static void test_two_keys_against_every_pair(void)
{
    uint32_t a[N], b[N];
    const uint32_t *keys[] = {a, b};
    struct cprof_profile *p;
    struct cprof_grouping g;
    size_t n_rows = 0;

    CHECK_EQ(numbered_profile(&p, a, b), 0);
    CHECK_EQ(cprof_view_group(p, keys, 2, &g), 0);
    for (size_t i = 0; i < g.n; i++) {
        uint32_t first = g.first[i], n = 0;
        int64_t sum = 0;
        for (size_t k = 0; k < N; k++) {
            if (a[k] != a[first] || b[k] != b[first])
                continue;
            CHECK(k >= first);
            sum += (int64_t)k - 100;
            n++;
        }
        CHECK_EQ(g.rows[i], n);
        CHECK_EQ(g.values[0][i], n);
        CHECK_EQ(g.values[1][i], sum);
        CHECK(!i || g.first[i - 1] < first);
        n_rows += n;
    }
    CHECK_EQ(n_rows, N);
    cprof_grouping_deinit(&g);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    uint32_t a[N], b[N];
    const uint32_t *keys[] = {a, b};
    struct cprof_profile *p = NULL;
    struct cprof_grouping g;
    int r = numbered_profile(&p, a, b);

    (void)unused;
    if (r >= 0 && (r = cprof_view_group(p, keys, 2, &g)) >= 0)
        cprof_grouping_deinit(&g);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_groups_of_a_known_profile);
    RUN(test_no_keys_are_one_group);
    RUN(test_two_keys_against_every_pair);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
