#include <math.h>

#include "cleanup.h"
#include "view.h"

static int no_memory(struct cprof_error *err)
{
    return cprof_error_set(err, -ENOMEM, "view: out of memory");
}

/* The same recording without its rows, and without what is not true of changed rows. */
static int copy_frame(const struct cprof_profile *p, struct cprof_profile **ret)
{
    int r = cprof_profile_copy_frame(p, p->stacks, ret);
    struct cprof_run *run = r < 0 ? NULL : &(*ret)->run;

    if (r < 0)
        return r;
    run->cpu_time = run->n_switches = run->n_records_bad = 0;
    run->n_verified = run->n_agreed = run->n_waited = 0;
    run->n_live_dropped = run->n_lines_refused = 0;
    return 0;
}

static int add_groups(const struct cprof_profile *p, const struct cprof_grouping *groups,
                      struct cprof_profile *to)
{
    int r = 0;

    for (size_t i = 0; i < groups->n && r == 0; i++) {
        size_t first = groups->first[i];
        struct cprof_row row = {.pid = p->pid[first],
                                .tid = p->tid[first],
                                .cpu = -1,
                                .thread = p->thread[first],
                                .stack = p->stack[first],
                                .how = cprof_profile_how(p, first),
                                .n_added = cprof_profile_n_added(p, first)};
        for (size_t k = 0; k < p->n_types; k++)
            row.values[k] = groups->values[k][i];
        r = cprof_profile_add(to, &row);
    }
    return r;
}

int cprof_view_sum(const struct cprof_profile *p, struct cprof_profile **ret,
                   struct cprof_error *err)
{
    _cleanup_free_ uint32_t *found = malloc((p->n + 1) * sizeof(*found));
    const uint32_t *keys[] = {p->stack, p->thread, found};
    struct cprof_grouping groups;
    struct cprof_profile *sums;
    int r;

    if (!found)
        return no_memory(err);
    for (size_t i = 0; i < p->n; i++)
        found[i] = (uint32_t)cprof_profile_n_added(p, i) << 8 |
                   (uint32_t)cprof_profile_how(p, i);
    if (cprof_view_group(p, keys, p->how || p->n_added ? 3 : 2, &groups) < 0)
        return no_memory(err);
    r = cprof_profile_copy_frame(p, p->stacks, &sums);
    if (r >= 0 && add_groups(p, &groups, sums) < 0) {
        cprof_profile_unref(sums);
        r = -ENOMEM;
    }
    cprof_grouping_deinit(&groups);
    if (r < 0)
        return no_memory(err);
    sums->run.has_times = false;
    *ret = sums;
    return 0;
}

static bool is_whole(double factor)
{
    return factor == rint(factor) && fabs(factor) < 0x1p53;
}

/* Rounded to the nearest, halves away from zero; what is too large stays the largest. */
static int64_t scaled(int64_t value, double factor)
{
    double product = (double)value * factor;

    if (is_whole(factor))
        return (int64_t)((uint64_t)value * (uint64_t)(int64_t)factor);
    return product >= 0x1p63    ? INT64_MAX
           : product <= -0x1p63 ? INT64_MIN
                                : llround(product);
}

static int scale_rows(const struct cprof_profile *p, const double *factors,
                      struct cprof_profile *to)
{
    int r = 0;

    for (size_t i = 0; i < p->n && r == 0; i++) {
        struct cprof_row row = {.time = p->time[i],
                                .pid = p->pid[i],
                                .tid = p->tid[i],
                                .cpu = p->cpu[i],
                                .thread = p->thread[i],
                                .stack = p->stack[i],
                                .how = cprof_profile_how(p, i),
                                .n_added = cprof_profile_n_added(p, i)};
        bool is_zero = true;
        for (size_t k = 0; k < p->n_types; k++) {
            row.values[k] = scaled(cprof_profile_value(p, k, i), factors[k]);
            is_zero &= !row.values[k];
        }
        if (!is_zero)
            r = cprof_profile_add(to, &row);
    }
    return r;
}

int cprof_view_scale(const struct cprof_profile *p, const double *factors,
                     struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_profile *sums = NULL, *view;
    bool are_whole = true;
    int r = 0;

    for (size_t k = 0; k < p->n_types; k++) {
        if (!isfinite(factors[k]))
            return cprof_error_set(err, -EINVAL, "view: cannot scale by %g", factors[k]);
        are_whole &= is_whole(factors[k]);
    }
    if (!are_whole)
        r = cprof_view_sum(p, &sums, err);
    if (r < 0)
        return r;
    r = copy_frame(sums ? sums : p, &view);
    if (r >= 0 && scale_rows(sums ? sums : p, factors, view) < 0) {
        cprof_profile_unref(view);
        r = -ENOMEM;
    }
    cprof_profile_unref(sums);
    if (r < 0)
        return no_memory(err);
    *ret = view;
    return 0;
}
