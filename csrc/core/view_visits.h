/* view_visits.h - which rows belong together because a thread stayed where it was. Rows
 * of one thread that follow each other in time without a gap and have the same item are a
 * *visit*: however many they are, they tell of one decision of the program. */
#ifndef CPROF_VIEW_VISITS_H
#define CPROF_VIEW_VISITS_H

#include <stddef.h>
#include <stdint.h>

#include "stack.h"

struct cprof_visit_rows {
    const int64_t *values;
    const uint64_t *times;    /* in any order; NULL: each row is a visit */
    const uint32_t *threads;  /* with times: whose row it is */
    const int64_t *durations; /* ns that a row stands for: no gap is longer than twice
                                 that; NULL: than twice the average one */
    size_t n;
};

struct cprof_visits {
    struct cprof_visit_rows rows;
    uint32_t *order;  /* rows in order of time; NULL: they are */
    uint32_t *before; /* by row: its thread's last one, CPROF_NONE after a gap */
    double *sums;     /* by row: of the visit that ends with it, else 0 */
};

/* 0 or -ENOMEM; `rows` are borrowed. Release with deinit, also after failure. */
int cprof_visits_init(struct cprof_visits *visits, const struct cprof_visit_rows *rows);
void cprof_visits_deinit(struct cprof_visits *visits);

/* The visits of rows told apart by `items` (by row): to squares[i] and fourths[i] are
 * added the squares and the fourth powers of the sums of the visits of item i, where i is
 * `none` for rows whose item is CPROF_NONE. */
void cprof_visits_add(struct cprof_visits *visits, const uint32_t *items, size_t none,
                      double *squares, double *fourths);

#endif
