/* view_blocks: every cell against a sum made row by row. */
#include "view_blocks.h"

#include <errno.h>

#include "test.h"

enum { N = 500, N_FUNCTIONS = 7, N_TABLE = 11, N_SLICES = 16 };

static uint32_t keys[N], table[N_TABLE], odd[N], odd_table[2] = {0, CPROF_NONE};
static int64_t values[N], events[N];
static uint64_t times[N];

static void make_rows(void)
{
    for (uint32_t i = 0; i < N; i++) {
        keys[i] = i * 2654435761u % (N_TABLE + 1);
        if (keys[i] == N_TABLE)
            keys[i] = CPROF_NONE;
        odd[i] = i % 2;
        values[i] = i * 37 % 101 - 3;
        events[i] = i % 5;
        times[i] = 1000 + (uint64_t)i * i % 1700;
    }
    for (uint32_t i = 0; i < N_TABLE; i++)
        table[i] = i == 4 ? CPROF_NONE : i % N_FUNCTIONS;
}

static const struct cprof_block_key both[2] = {
    {keys, table, N_TABLE, N_FUNCTIONS},
    {odd, odd_table, 2, 1},
};
static const struct cprof_block_rows all = {.keys = both,
                                            .n_keys = 2,
                                            .values = values,
                                            .events = events,
                                            .times = times,
                                            .threads = odd,
                                            .n = N,
                                            .start = 1000,
                                            .end = 2600, /* slices of 100; some later */
                                            .n_slices = N_SLICES};

static bool has(uint32_t item, uint32_t row)
{
    if (item < N_FUNCTIONS)
        return keys[row] != CPROF_NONE && table[keys[row]] == item;
    return item > N_FUNCTIONS || odd[row] == 0;
}

static uint32_t slice_of(uint32_t row)
{
    uint64_t slice = (times[row] - 1000) / 100;
    return slice < N_SLICES ? (uint32_t)slice : N_SLICES - 1;
}

static void check_item(const struct cprof_blocks *blocks, uint32_t item)
{
    double sums[N_SLICES] = {0}, squares = 0;
    bool is_there[N_SLICES] = {0};
    uint64_t at = blocks->first[item];

    for (uint32_t i = 0; i < N; i++) {
        double value = (double)values[i];
        if (!has(item, i))
            continue;
        sums[slice_of(i)] += value;
        is_there[slice_of(i)] = true;
        squares += value * value / (double)(events[i] ? events[i] : 1);
    }
    for (uint32_t slice = 0; slice < N_SLICES; slice++) {
        if (!is_there[slice])
            continue;
        CHECK_EQ(blocks->slice[at], slice);
        CHECK(blocks->sum[at] == sums[slice]);
        at++;
    }
    CHECK_EQ(at, blocks->first[item + 1]);
    CHECK(blocks->squares[item] >= squares * (1 - 1e-12) &&
          blocks->squares[item] <= squares * (1 + 1e-12));
}

static void test_every_cell(void)
{
    struct cprof_blocks blocks;

    CHECK_EQ(cprof_view_blocks(&all, &blocks), 0);
    CHECK_EQ(blocks.n_items, N_FUNCTIONS + 2);
    for (uint32_t item = 0; item < blocks.n_items; item++)
        check_item(&blocks, item);
    CHECK_EQ(blocks.first[blocks.n_items], blocks.n);
    CHECK(blocks.visits[N_FUNCTIONS + 1] > 0); /* view_visits.h has its own test */
    CHECK(blocks.fourths[0] > 0 && blocks.fourths[N_FUNCTIONS] > 0);
    cprof_blocks_deinit(&blocks);
}

static void test_without_times_there_is_one_slice(void)
{
    struct cprof_block_rows rows = all;
    struct cprof_blocks blocks;
    double sum = 0;

    rows.times = NULL;
    rows.events = NULL;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), 0);
    for (uint32_t i = 0; i < N; i++)
        sum += (double)values[i];
    CHECK_EQ(blocks.first[blocks.n_items] - blocks.first[blocks.n_items - 1], 1);
    CHECK(blocks.sum[blocks.n - 1] == sum);
    cprof_blocks_deinit(&blocks);
}

static void test_no_rows(void)
{
    struct cprof_block_rows rows = {.n_slices = 8};
    struct cprof_blocks blocks;

    CHECK_EQ(cprof_view_blocks(&rows, &blocks), 0);
    CHECK_EQ(blocks.n, 0);
    CHECK_EQ(blocks.n_items, 1);
    cprof_blocks_deinit(&blocks);
}

static void test_what_does_not_fit(void)
{
    struct cprof_block_key key = both[0];
    struct cprof_block_rows rows = all;
    struct cprof_blocks blocks;

    rows.keys = &key;
    rows.n_keys = 1;
    key.n_items = N_FUNCTIONS - 1;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), -EINVAL);
    key = both[0];
    key.n_table = N_TABLE - 1;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), -EINVAL);
    rows = all;
    rows.n_slices = 0;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), -EINVAL);
    rows.n_slices = CPROF_MAX_SLICES + 1;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), -EINVAL);
    rows = all;
    rows.end = rows.start - 1;
    CHECK_EQ(cprof_view_blocks(&rows, &blocks), -EINVAL);
}

static int attempt(void *arg)
{
    struct cprof_blocks blocks;
    int r = cprof_view_blocks(arg, &blocks);

    if (r == 0)
        cprof_blocks_deinit(&blocks);
    return r;
}

static void test_out_of_memory(void)
{
    CHECK_EQ(sweep(attempt, (void *)&all), 0);
}

int main(void)
{
    make_rows();
    RUN(test_every_cell);
    RUN(test_without_times_there_is_one_slice);
    RUN(test_no_rows);
    RUN(test_what_does_not_fit);
    RUN(test_out_of_memory);
    return test_report(__FILE__);
}
