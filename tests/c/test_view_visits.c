/* view_visits: visits that are known by how rows were made. */
#include "view_visits.h"

#include "test.h"

enum { N = 9, N_ITEMS = 2 };

/* Threads 5 and 9 in turn, 10 ns a sample: 5 is in item 0 (three samples), in item 1,
 * then after a gap twice again in item 1; 9 in item 1 (two), then nowhere. */
static const uint64_t times[N] = {100, 101, 110, 111, 120, 121, 130, 190, 200};
static const uint32_t threads[N] = {5, 9, 5, 9, 5, 9, 5, 5, 5};
static const uint32_t items[N] = {0, 1, 0, 1, 0, CPROF_NONE, 1, 1, 1};
static const int64_t values[N] = {1, 2, 1, 2, 1, 7, 5, 4, 4};
static const int64_t durations[N] = {10, 10, 10, 10, 10, 10, 10, 10, 10};

static void check(const struct cprof_visit_rows *rows, const uint32_t *of, double first,
                  double second)
{
    double squares[N_ITEMS + 1] = {0}, fourths[N_ITEMS + 1] = {0};
    struct cprof_visits visits;

    CHECK_EQ(cprof_visits_init(&visits, rows), 0);
    cprof_visits_add(&visits, of, N_ITEMS, squares, fourths);
    CHECK_EQ(squares[0], first);
    CHECK_EQ(squares[1], second);
    CHECK_EQ(squares[N_ITEMS], 49);
    CHECK_EQ(fourths[N_ITEMS], 49 * 49);
    cprof_visits_deinit(&visits);
}

static void test_threads_and_gaps(void)
{
    struct cprof_visit_rows rows = {values, times, threads, durations, N};

    check(&rows, items, 9, 16 + 25 + 64);
    rows.durations = NULL; /* 17.1 ns on average: the gap of 60 is one */
    check(&rows, items, 9, 16 + 25 + 64);
    rows.times = NULL; /* each is one */
    check(&rows, items, 3, 4 + 4 + 25 + 16 + 16);
}

static void test_rows_in_any_order(void)
{
    struct cprof_visit_rows rows = {.n = N};
    uint64_t time[N];
    uint32_t thread[N], item[N];
    int64_t value[N];

    for (size_t i = 0; i < N; i++) {
        size_t from = (i * 4 + 3) % N;
        time[i] = times[from];
        thread[i] = threads[from];
        item[i] = items[from];
        value[i] = values[from];
    }
    rows = (struct cprof_visit_rows){value, time, thread, durations, N};
    check(&rows, item, 9, 16 + 25 + 64);
}

static int attempt(void *arg)
{
    static const uint64_t back[N] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    struct cprof_visit_rows rows = {values, back, threads, NULL, N};
    struct cprof_visits visits;
    int r = cprof_visits_init(&visits, &rows);

    (void)arg;
    cprof_visits_deinit(&visits);
    return r;
}

static void test_out_of_memory(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_threads_and_gaps);
    RUN(test_rows_in_any_order);
    RUN(test_out_of_memory);
    return test_report(__FILE__);
}
