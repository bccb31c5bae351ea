#define _GNU_SOURCE /* qsort_r */
#include "view_visits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

enum {
    LONGEST_GAP = 2
}; /* times what is usual: jitter and a late interrupt are no gap */

static int by_time(const void *a, const void *b, void *arg)
{
    const uint64_t *times = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

    if (times[i] != times[k])
        return times[i] < times[k] ? -1 : 1;
    return i < k ? -1 : i > k;
}

static int sort_rows(struct cprof_visits *v)
{
    const uint64_t *times = v->rows.times;
    bool is_sorted = true;

    for (size_t i = 1; i < v->rows.n; i++)
        is_sorted &= times[i - 1] <= times[i];
    if (is_sorted)
        return 0;
    v->order = malloc(v->rows.n * sizeof(*v->order));
    if (!v->order)
        return -ENOMEM;
    for (size_t i = 0; i < v->rows.n; i++)
        v->order[i] = (uint32_t)i;
    qsort_r(v->order, v->rows.n, sizeof(*v->order), by_time, (void *)times);
    return 0;
}

static uint32_t row_at(const struct cprof_visits *v, size_t i)
{
    return v->order ? v->order[i] : (uint32_t)i;
}

/* The row before it of the same thread, however long before. */
static int link_rows(struct cprof_visits *v)
{
    struct cprof_map last = {0};
    int r = 0;

    for (size_t i = 0; i < v->rows.n && r >= 0; i++) {
        uint32_t row = row_at(v, i), thread = v->rows.threads[row];
        v->before[row] = cprof_map_get(&last, thread);
        r = cprof_map_set(&last, thread, row);
    }
    cprof_map_deinit(&last);
    return r;
}

static double average_gap(const struct cprof_visits *v)
{
    double sum = 0, n = 0;

    for (size_t i = 0; i < v->rows.n; i++) {
        uint32_t before = v->before[i];
        if (before != CPROF_NONE) {
            sum += (double)(v->rows.times[i] - v->rows.times[before]);
            n++;
        }
    }
    return n > 0 ? sum / n : 0;
}

static void cut_at_gaps(struct cprof_visits *v)
{
    double usual = v->rows.durations ? 0 : average_gap(v);

    for (size_t i = 0; i < v->rows.n; i++) {
        uint32_t before = v->before[i];
        double gap, most;
        if (before == CPROF_NONE)
            continue;
        gap = (double)(v->rows.times[i] - v->rows.times[before]);
        most = v->rows.durations ? (double)v->rows.durations[i] : usual;
        if (gap > LONGEST_GAP * most)
            v->before[i] = CPROF_NONE;
    }
}

int cprof_visits_init(struct cprof_visits *visits, const struct cprof_visit_rows *rows)
{
    size_t n = rows->n ? rows->n : 1;
    int r;

    *visits = (struct cprof_visits){.rows = *rows,
                                    .before = malloc(n * sizeof(*visits->before)),
                                    .sums = malloc(n * sizeof(*visits->sums))};
    if (!visits->before || !visits->sums)
        return -ENOMEM;
    memset(visits->before, 0xff, n * sizeof(*visits->before));
    if (!rows->times)
        return 0;
    r = sort_rows(visits);
    if (r >= 0)
        r = link_rows(visits);
    if (r >= 0)
        cut_at_gaps(visits);
    return r;
}

void cprof_visits_deinit(struct cprof_visits *visits)
{
    free(visits->order);
    free(visits->before);
    free(visits->sums);
}

void cprof_visits_add(struct cprof_visits *visits, const uint32_t *items, size_t none,
                      double *squares, double *fourths)
{
    double *sums = visits->sums;

    for (size_t i = 0; i < visits->rows.n; i++) {
        uint32_t row = row_at(visits, i), before = visits->before[row];
        sums[row] = (double)visits->rows.values[row];
        if (before != CPROF_NONE && items[before] == items[row]) {
            sums[row] += sums[before];
            sums[before] = 0;
        }
    }
    for (size_t row = 0; row < visits->rows.n; row++) {
        size_t item = items[row] == CPROF_NONE ? none : items[row];
        double square = sums[row] * sums[row];
        squares[item] += square;
        fourths[item] += square * square;
    }
}
