/* resample: variances of simulated series whose true variance is known by a formula, and
 * whether intervals made of them hold the truth as often as they should. */
#include "resample.h"

#include <errno.h>
#include <math.h>

#include "test.h"

enum { N_SLICES = 256, PER_SLICE = 40, N_DRAWS = 300, N_RUNS = 400 };

static uint64_t state = 88172645463325252ull;

static double uniform(void) /* xorshift64 */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* Item 0: samples in a function of share `share`, in visits of mean length `visit`
 * samples, whose choices are independent. Item 1: all samples. */
struct series {
    uint64_t first[3];
    uint32_t slice[2 * N_SLICES];
    double sum[2 * N_SLICES];
};

static struct cprof_blocks make_series(struct series *s, double share, double visit)
{
    bool is_there = uniform() < share;

    memset(s->sum, 0, sizeof(s->sum));
    for (uint32_t i = 0; i < N_SLICES; i++) {
        s->slice[i] = s->slice[N_SLICES + i] = i;
        s->sum[N_SLICES + i] = PER_SLICE;
        for (int k = 0; k < PER_SLICE; k++) {
            if (uniform() * visit < 1)
                is_there = uniform() < share;
            s->sum[i] += is_there;
        }
    }
    s->first[0] = 0;
    s->first[1] = N_SLICES;
    s->first[2] = 2 * N_SLICES;
    return (struct cprof_blocks){.n_items = 2,
                                 .n = 2 * N_SLICES,
                                 .n_slices = N_SLICES,
                                 .first = s->first,
                                 .slice = s->slice,
                                 .sum = s->sum};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Shares are of independent visits: the variance of a mean of n samples that are
 * correlated by (1 - 1 / visit)^distance is p (1 - p) (2 visit - 1) / n. */
static void check_visits(double visit)
{
    const struct cprof_ratio ratio = {0, 1};
    const double share = 0.3, n = (double)N_SLICES * PER_SLICE;
    double truth = share * (1 - share) * (2 * visit - 1) / n, variances[N_RUNS];
    struct cprof_ratio_estimate e;
    struct series series;
    int n_held = 0;

    for (int run = 0; run < N_RUNS; run++) {
        struct cprof_blocks blocks = make_series(&series, share, visit);
        CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), 0);
        variances[run] = e.variance;
        n_held += fabs(e.top / e.bottom - share) < 2.05 * sqrt(e.variance);
        CHECK(e.df >= 1 && e.df <= 31);
    }
    /* the median: a few look alike by chance, and have far larger ones */
    qsort(variances, N_RUNS, sizeof(*variances), by_size);
    CHECK(variances[N_RUNS / 2] > 0.75 * truth && variances[N_RUNS / 2] < 1.4 * truth);
    CHECK(n_held >= 0.92 * N_RUNS && n_held <= 0.99 * N_RUNS);
}

static void test_samples_that_are_independent(void)
{
    check_visits(1);
}
static void test_visits_within_a_slice(void)
{
    check_visits(10);
}
static void test_visits_over_slices(void)
{
    check_visits(100);
}

static void test_what_never_varies(void)
{
    const struct cprof_ratio ratios[] = {{1, 1}, {1, CPROF_NONE}};
    struct cprof_ratio_estimate e[2];
    struct series series;
    struct cprof_blocks blocks = make_series(&series, 0.5, 1);

    CHECK_EQ(cprof_resample(&blocks, ratios, 2, N_DRAWS, 7, e), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(e[i].top == N_SLICES * PER_SLICE);
        CHECK(e[i].variance < 1e-6);
    }
    CHECK(e[1].bottom == 1);
}

static void test_what_is_not_there(void)
{
    const struct cprof_ratio ratio = {0, 1};
    struct cprof_ratio_estimate e;
    struct series series;
    struct cprof_blocks blocks = make_series(&series, 0, 1);

    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), 0);
    CHECK(e.top == 0 && e.variance == 0 && e.df == 1);
}

static void test_a_seed_repeats(void)
{
    const struct cprof_ratio ratio = {0, 1};
    struct cprof_ratio_estimate a, b, c;
    struct series series;
    struct cprof_blocks blocks = make_series(&series, 0.3, 3);

    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &a), 0);
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &b), 0);
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 8, &c), 0);
    CHECK(a.variance == b.variance);
    CHECK(a.variance != c.variance);
}

static void test_bad_requests(void)
{
    struct cprof_ratio ratio = {0, 1};
    struct cprof_ratio_estimate e;
    struct series series;
    struct cprof_blocks blocks = make_series(&series, 0.3, 3);

    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, 1, 7, &e), -EINVAL);
    ratio.top = 2;
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), -EINVAL);
    ratio = (struct cprof_ratio){0, 2};
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), -EINVAL);
    ratio.bottom = 1;
    blocks.n_slices = 100;
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), -EINVAL);
    blocks.n_slices = 4;
    CHECK_EQ(cprof_resample(&blocks, &ratio, 1, N_DRAWS, 7, &e), -EINVAL);
}

static int attempt(void *arg)
{
    const struct cprof_ratio ratio = {0, 1};
    struct cprof_ratio_estimate e;

    return cprof_resample(arg, &ratio, 1, N_DRAWS, 7, &e);
}

static void test_out_of_memory(void)
{
    struct series series;
    struct cprof_blocks blocks = make_series(&series, 0.3, 3);

    CHECK_EQ(sweep(attempt, &blocks), 0);
}

int main(void)
{
    RUN(test_samples_that_are_independent);
    RUN(test_visits_within_a_slice);
    RUN(test_visits_over_slices);
    RUN(test_what_never_varies);
    RUN(test_what_is_not_there);
    RUN(test_a_seed_repeats);
    RUN(test_bad_requests);
    RUN(test_out_of_memory);
    return test_report(__FILE__);
}
