#include "view_blocks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vec.h"
#include "view_visits.h"

struct cutter {
    const struct cprof_block_rows *rows;
    uint16_t *slices;  /* by row */
    uint32_t *items;   /* by row, of one key */
    uint64_t *starts;  /* by item: where its rows begin in `order` */
    uint32_t *order;   /* rows, by item */
    double *sums;      /* by slice, of one item */
    uint8_t *is_there; /* by slice: the item has a row in it */
    struct cprof_visits visits;
    CPROF_VEC(uint32_t) slice;
    CPROF_VEC(double) sum;
};

static void cutter_deinit(struct cutter *c)
{
    free(c->slices);
    free(c->items);
    free(c->starts);
    free(c->order);
    free(c->sums);
    free(c->is_there);
    cprof_visits_deinit(&c->visits);
    cprof_vec_free(&c->slice);
    cprof_vec_free(&c->sum);
}

static int cutter_init(struct cutter *c, const struct cprof_block_rows *rows)
{
    size_t n_items = 1;

    for (size_t k = 0; k < rows->n_keys; k++)
        if (rows->keys[k].n_items > n_items)
            n_items = rows->keys[k].n_items;
    *c = (struct cutter){.rows = rows,
                         .slices = calloc(rows->n + 1, sizeof(*c->slices)),
                         .items = calloc(rows->n + 1, sizeof(*c->items)),
                         .starts = calloc(n_items + 2, sizeof(*c->starts)),
                         .order = malloc((rows->n + 1) * sizeof(*c->order)),
                         .sums = calloc(rows->n_slices, sizeof(*c->sums)),
                         .is_there = calloc(rows->n_slices, 1)};
    if (!c->slices || !c->items || !c->starts || !c->order || !c->sums || !c->is_there)
        return -ENOMEM;
    return cprof_visits_init(&c->visits, &(struct cprof_visit_rows){
                                             .values = rows->values,
                                             .times = rows->times,
                                             .threads = rows->threads,
                                             .durations = rows->durations,
                                             .n = rows->n,
                                         });
}

static void cut_time(struct cutter *c)
{
    const struct cprof_block_rows *rows = c->rows;
    double length = (double)(rows->end - rows->start) / rows->n_slices;

    for (size_t i = 0; i < rows->n && rows->times && length > 0; i++) {
        uint64_t time = rows->times[i];
        double at = time > rows->start ? (double)(time - rows->start) / length : 0;
        c->slices[i] = (uint16_t)(at < rows->n_slices ? at : rows->n_slices - 1);
    }
}

static int name_items(struct cutter *c, const struct cprof_block_key *key)
{
    for (size_t i = 0; i < c->rows->n; i++) {
        uint32_t number = key->key[i];
        if (number != CPROF_NONE && number >= key->n_table)
            return -EINVAL;
        c->items[i] = number == CPROF_NONE ? CPROF_NONE : key->table[number];
        if (c->items[i] != CPROF_NONE && c->items[i] >= key->n_items)
            return -EINVAL;
    }
    return 0;
}

/* Rows by item: the rows of item i are order[starts[i]] to order[starts[i + 1]]. */
static void sort_rows(struct cutter *c, size_t n_items)
{
    uint64_t *ends =
        c->starts + 1; /* of the items so far, counted up to where they end */

    memset(c->starts, 0, (n_items + 2) * sizeof(*c->starts));
    for (size_t i = 0; i < c->rows->n; i++)
        if (c->items[i] != CPROF_NONE)
            ends[c->items[i] + 1]++;
    for (size_t i = 0; i < n_items; i++)
        ends[i + 1] += ends[i];
    for (size_t i = 0; i < c->rows->n; i++)
        if (c->items[i] != CPROF_NONE)
            c->order[ends[c->items[i]]++] = (uint32_t)i;
}

/* Cells of one item from its rows; its sum of squares to *squares. */
static int add_item(struct cutter *c, const uint32_t *order, size_t n, double *squares)
{
    const struct cprof_block_rows *rows = c->rows;
    uint32_t low = rows->n_slices, high = 0;

    *squares = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = order[i], slice = c->slices[row];
        double value = (double)rows->values[row];
        int64_t events = rows->events && rows->events[row] > 0 ? rows->events[row] : 1;
        c->sums[slice] += value;
        c->is_there[slice] = 1;
        *squares += value * value / (double)events;
        low = slice < low ? slice : low;
        high = slice > high ? slice : high;
    }
    for (uint32_t slice = low; slice <= high; slice++) {
        if (!c->is_there[slice])
            continue;
        if (cprof_vec_push(&c->slice, slice) < 0 ||
            cprof_vec_push(&c->sum, c->sums[slice]) < 0)
            return -ENOMEM;
        c->sums[slice] = 0;
        c->is_there[slice] = 0;
    }
    return 0;
}

/* Items `at` and following, of rows that were named. */
static int add_items(struct cutter *c, size_t at, size_t n_items,
                     struct cprof_blocks *blocks)
{
    sort_rows(c, n_items);
    for (size_t i = 0; i < n_items; i++) {
        const uint32_t *order = c->order + c->starts[i];
        size_t n = c->starts[i + 1] - c->starts[i];
        if (add_item(c, order, n, &blocks->squares[at + i]) < 0)
            return -ENOMEM;
        blocks->first[at + i + 1] = c->slice.n;
    }
    return 0;
}

/* Visits of the items of one key, which begin at `at`; the whole has those of the first.
 */
static void add_visits(struct cutter *c, size_t at, struct cprof_blocks *blocks)
{
    size_t whole = blocks->n_items - 1, none = blocks->n_items;

    cprof_visits_add(&c->visits, c->items, none - at, blocks->visits + at,
                     blocks->fourths + at);
    if (at)
        return;
    for (size_t i = 0; i <= none; i++) {
        if (i == whole)
            continue;
        blocks->visits[whole] += blocks->visits[i];
        blocks->fourths[whole] += blocks->fourths[i];
    }
}

static int add_keys(struct cutter *c, struct cprof_blocks *blocks)
{
    size_t at = 0;

    for (size_t k = 0; k < c->rows->n_keys; k++) {
        const struct cprof_block_key *key = &c->rows->keys[k];
        int r = name_items(c, key);
        if (r >= 0)
            r = add_items(c, at, key->n_items, blocks);
        if (r < 0)
            return r;
        add_visits(c, at, blocks);
        at += key->n_items;
    }
    memset(c->items, 0, c->rows->n * sizeof(*c->items));
    return add_items(c, at, 1, blocks);
}

int cprof_view_blocks(const struct cprof_block_rows *rows, struct cprof_blocks *ret)
{
    struct cprof_blocks blocks = {.n_items = 1, .n_slices = rows->n_slices};
    struct cutter c = {0};
    int r;

    if (!rows->n_slices || rows->n_slices > CPROF_MAX_SLICES || rows->end < rows->start ||
        rows->n >= CPROF_NONE)
        return -EINVAL;
    for (size_t k = 0; k < rows->n_keys; k++)
        blocks.n_items += rows->keys[k].n_items;
    blocks.first = calloc(blocks.n_items + 1, sizeof(*blocks.first));
    blocks.squares = calloc(blocks.n_items, sizeof(*blocks.squares));
    blocks.visits = calloc(blocks.n_items + 1, sizeof(*blocks.visits));
    blocks.fourths = calloc(blocks.n_items + 1, sizeof(*blocks.fourths));
    r = blocks.first && blocks.squares && blocks.visits && blocks.fourths
            ? cutter_init(&c, rows)
            : -ENOMEM;
    if (r >= 0) {
        cut_time(&c);
        r = add_keys(&c, &blocks);
    }
    if (r >= 0) {
        blocks.n = c.slice.n;
        blocks.slice = c.slice.data;
        blocks.sum = c.sum.data;
        c.slice.data = NULL;
        c.sum.data = NULL;
        *ret = blocks;
    } else {
        cprof_blocks_deinit(&blocks);
    }
    cutter_deinit(&c);
    return r;
}

void cprof_blocks_deinit(struct cprof_blocks *blocks)
{
    free(blocks->first);
    free(blocks->slice);
    free(blocks->sum);
    free(blocks->squares);
    free(blocks->visits);
    free(blocks->fourths);
}
