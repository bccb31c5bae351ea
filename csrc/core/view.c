#include "cleanup.h"
#include "view.h"

static int add_row(const struct cprof_profile *from, size_t i, struct cprof_profile *to)
{
    struct cprof_row row = {.time = from->time[i],
                            .pid = from->pid[i],
                            .tid = from->tid[i],
                            .cpu = from->cpu[i],
                            .thread = from->thread[i],
                            .stack = from->stack[i],
                            .how = cprof_profile_how(from, i),
                            .n_added = cprof_profile_n_added(from, i)};

    for (size_t k = 0; k < from->n_types; k++)
        row.values[k] = cprof_profile_value(from, k, i);
    return cprof_profile_add(to, &row);
}

static int no_memory(struct cprof_error *err)
{
    return cprof_error_set(err, -ENOMEM, "view: out of memory");
}

/* The first row not before `time`, in a table in order of time. */
static size_t first_from(const struct cprof_profile *p, uint64_t time)
{
    size_t low = 0, high = p->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->time[middle] < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The part of the recording that the window covers: seconds since its start. */
static void clip_span(struct cprof_profile *view, uint64_t start, uint64_t end)
{
    double origin = (double)view->run.start_mono;
    double from = ((double)start - origin) / 1e9, to = ((double)end - origin) / 1e9;

    if (start >= view->run.start_mono) /* exact where doubles of the clock are not */
        from = (double)(start - view->run.start_mono) / 1e9;
    if (end >= view->run.start_mono)
        to = (double)(end - view->run.start_mono) / 1e9;
    from = from > view->from ? from : view->from;
    view->to = to < view->to ? to : view->to;
    view->from = from;
    if (view->to < view->from)
        view->to = view->from;
}

static void clip_marks(struct cprof_profile *view, uint64_t start, uint64_t end)
{
    size_t n = 0;

    for (size_t i = 0; i < view->marks.n; i++) {
        uint64_t time = view->marks.data[i].time;
        if (time >= start && time < end)
            view->marks.data[n++] = view->marks.data[i];
    }
    view->marks.n = n;
}

/* What was counted over the whole recording says nothing of a part of its rows. */
static void forget_counts(const struct cprof_profile *whole, struct cprof_profile *view)
{
    if (view->n == whole->n)
        return;
    view->run.cpu_time = view->run.n_switches = 0;
    view->run.n_records_bad = 0;
    view->run.n_verified = view->run.n_agreed = 0;
    view->run.n_waited = view->run.n_live_dropped = view->run.n_lines_refused = 0;
}

int cprof_view_window(const struct cprof_profile *p, uint64_t start, uint64_t end,
                      struct cprof_profile **ret, struct cprof_error *err)
{
    size_t first = p->is_unsorted ? 0 : first_from(p, start);
    size_t last = p->is_unsorted ? p->n : first_from(p, end);
    struct cprof_profile *view;

    if (!p->run.has_times)
        return cprof_error_set(err, -ENODATA,
                               "view: no window: the rows of this profile have no times");
    if (cprof_profile_copy_frame(p, p->stacks, &view) < 0)
        return no_memory(err);
    for (size_t i = first; i < last; i++) {
        if (p->time[i] < start || p->time[i] >= end || add_row(p, i, view) >= 0)
            continue;
        cprof_profile_unref(view);
        return no_memory(err);
    }
    clip_span(view, start, end);
    clip_marks(view, start, end);
    forget_counts(p, view);
    *ret = view;
    return 0;
}

static bool has_masked_line(const struct cprof_stacks *s, uint32_t location,
                            const uint8_t *functions)
{
    const struct cprof_location *at = &s->locations.data[location];

    for (uint32_t i = 0; i < at->n_lines; i++)
        if (functions[s->lines.data[at->first_line + i].function])
            return true;
    return false;
}

/* For each node: does it or a caller hold a masked function? */
static uint8_t *nodes_under(const struct cprof_stacks *s, const uint8_t *functions)
{
    uint8_t *is_under = malloc(s->nodes.n + 1);

    for (size_t i = 0; is_under && i < s->nodes.n; i++) {
        const struct cprof_node *node = &s->nodes.data[i];
        is_under[i] = (node->parent != CPROF_NONE && is_under[node->parent]) ||
                      has_masked_line(s, node->location, functions);
    }
    return is_under;
}

static bool is_kept(const struct cprof_profile *p, size_t row,
                    const struct cprof_filter *filter, const uint8_t *is_under)
{
    uint32_t stack = p->stack[row];

    if (filter->thread && !filter->thread[p->thread[row]])
        return false;
    if (filter->module) {
        uint32_t leaf = p->stacks->nodes.data[stack].location;
        uint32_t mapping = p->stacks->locations.data[leaf].mapping;
        if (mapping == CPROF_NONE || !filter->module[mapping])
            return false;
    }
    return !is_under || is_under[stack];
}

int cprof_view_select(const struct cprof_profile *p, const uint8_t *mask,
                      struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_profile *view;

    if (cprof_profile_copy_frame(p, p->stacks, &view) < 0)
        return no_memory(err);
    for (size_t i = 0; i < p->n; i++) {
        if (!mask[i] || add_row(p, i, view) >= 0)
            continue;
        cprof_profile_unref(view);
        return no_memory(err);
    }
    forget_counts(p, view);
    *ret = view;
    return 0;
}

int cprof_view_filter(const struct cprof_profile *p, const struct cprof_filter *filter,
                      struct cprof_profile **ret, struct cprof_error *err)
{
    _cleanup_free_ uint8_t *mask = malloc(p->n + 1), *is_under = NULL;

    if (filter->under)
        is_under = nodes_under(p->stacks, filter->under);
    if (!mask || (filter->under && !is_under))
        return no_memory(err);
    for (size_t i = 0; i < p->n; i++)
        mask[i] = is_kept(p, i, filter, is_under);
    return cprof_view_select(p, mask, ret, err);
}

int cprof_view_with_comments(const struct cprof_profile *p, const char *const *comments,
                             size_t n, struct cprof_profile **ret,
                             struct cprof_error *err)
{
    struct cprof_profile *view = NULL;
    struct cprof_stacks *stacks;
    int r = cprof_stacks_copy(p->stacks, &stacks); /* the strings of `p` do not change */

    if (r < 0)
        return no_memory(err);
    r = cprof_profile_copy(p, stacks, &view);
    cprof_stacks_unref(stacks);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = cprof_profile_add_comment(view, comments[i]);
    if (r < 0) {
        cprof_profile_unref(view);
        return no_memory(err);
    }
    *ret = view;
    return 0;
}

int cprof_view_values(const struct cprof_profile *p, size_t type, int64_t **ret)
{
    int64_t *values = malloc((p->n + 1) * sizeof(*values));

    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        values[i] = p->values[type] ? p->values[type][i] : 1;
    for (size_t i = 0; i < p->odd_values[type].n; i++)
        values[p->odd_values[type].data[i].row] = p->odd_values[type].data[i].value;
    *ret = values;
    return 0;
}

int cprof_view_leaf_functions(const struct cprof_profile *p, uint32_t **ret)
{
    uint32_t *functions = malloc((p->n + 1) * sizeof(*functions));

    if (!functions)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        functions[i] = cprof_stacks_leaf_function(p->stacks, p->stack[i]);
    *ret = functions;
    return 0;
}
