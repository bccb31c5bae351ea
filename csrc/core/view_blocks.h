/* view_blocks.h - sums of rows by item and slice of time, few of which are not 0: what
 * resample.h asks how sure a sum is. An item is whatever rows are told apart by: a
 * function, a function with its caller, a stack. */
#ifndef CPROF_VIEW_BLOCKS_H
#define CPROF_VIEW_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "stack.h"

enum { CPROF_MAX_SLICES = 4096 };

/* One way to tell rows apart. The item of a row is table[key[row]], counted after the
 * items of the ways before; CPROF_NONE, as key or in the table, is none. */
struct cprof_block_key {
    const uint32_t *key; /* by row */
    const uint32_t *table;
    size_t n_table, n_items;
};

struct cprof_block_rows {
    const struct cprof_block_key *keys;
    size_t n_keys;
    const int64_t *values;
    const int64_t *events;   /* independent events that a row stands for; NULL: 1 */
    const uint64_t *times;   /* NULL: all rows are in slice 0, and each is a visit */
    const uint32_t *threads; /* and `durations`: see view_visits.h */
    const int64_t *durations;
    size_t n;
    uint64_t start, end; /* of time, cut into slices; rows outside count at its ends */
    uint32_t n_slices;
};

/* The cells of item i are first[i] to first[i + 1], in order of slice. The last item is
 * the sum of all rows; its visits are those of the first key's items, and of rows
 * without. */
struct cprof_blocks {
    size_t n_items, n;
    uint32_t n_slices;
    uint64_t *first; /* by item, and one more */
    uint32_t *slice; /* by cell */
    double *sum;     /* by cell */
    double *squares; /* by item: the sum over its rows of value * value / events, which
                        is its variance if they are independent */
    double *visits;  /* by item: the sum of the squares of its visits (view_visits.h) */
    double *fourths; /* by item: the sum of their fourth powers */
};

/* 0, -ENOMEM, or -EINVAL: a key beyond its table, an item beyond n_items, bad slices.
 * Release with deinit after success. */
int cprof_view_blocks(const struct cprof_block_rows *rows, struct cprof_blocks *ret);
void cprof_blocks_deinit(struct cprof_blocks *blocks);

#endif
