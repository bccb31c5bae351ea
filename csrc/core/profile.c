#include "profile.h"

int cprof_profile_create(struct cprof_stacks *stacks, struct cprof_profile **ret)
{
    struct cprof_profile *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    atomic_init(&p->refs, 1);
    p->stacks = cprof_stacks_ref(stacks);
    *ret = p;
    return 0;
}

struct cprof_profile *cprof_profile_ref(struct cprof_profile *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void cprof_profile_unref(struct cprof_profile *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(p->time);
    free(p->pid);
    free(p->tid);
    free(p->cpu);
    free(p->thread);
    free(p->stack);
    free(p->how);
    free(p->n_added);
    for (size_t k = 0; k < CPROF_MAX_SAMPLE_TYPES; k++) {
        free(p->values[k]);
        free(p->odd_values[k].data);
    }
    free(p->marks.data);
    free(p->comments.data);
    cprof_stacks_unref(p->stacks);
    free(p);
}

int cprof_profile_add_type(struct cprof_profile *p, const char *type, const char *unit)
{
    struct cprof_sample_type *to = &p->types[p->n_types];
    struct cprof_sample_type added;
    int r;

    if (p->n_types >= CPROF_MAX_SAMPLE_TYPES)
        return -E2BIG;
    r = cprof_stacks_string(p->stacks, type, &added.type);
    if (r >= 0)
        r = cprof_stacks_string(p->stacks, unit, &added.unit);
    if (r < 0)
        return r;
    *to = added;
    p->n_types++;
    return 0;
}

/* Give one column room for `capacity` elements; the table's own capacity moves only when
 * all columns have it. */
static int grow_column(void *column_at, size_t capacity, size_t size)
{
    void *old, *grown;

    memcpy(&old, column_at, sizeof(old)); /* the slot is a T *: copy, do not alias */
    grown = realloc(old, capacity * size);
    if (!grown)
        return -ENOMEM;
    memcpy(column_at, &grown, sizeof(grown));
    return 0;
}

static int grow_columns(struct cprof_profile *p, size_t capacity)
{
    if (capacity > SIZE_MAX / 2 / sizeof(*p->time))
        return -ENOMEM;
    if (grow_column(&p->time, capacity, sizeof(*p->time)) < 0 ||
        grow_column(&p->pid, capacity, sizeof(*p->pid)) < 0 ||
        grow_column(&p->tid, capacity, sizeof(*p->tid)) < 0 ||
        grow_column(&p->cpu, capacity, sizeof(*p->cpu)) < 0 ||
        grow_column(&p->thread, capacity, sizeof(*p->thread)) < 0 ||
        grow_column(&p->stack, capacity, sizeof(*p->stack)) < 0)
        return -ENOMEM;
    if ((p->how && grow_column(&p->how, capacity, sizeof(*p->how)) < 0) ||
        (p->n_added && grow_column(&p->n_added, capacity, sizeof(*p->n_added)) < 0))
        return -ENOMEM;
    for (size_t k = 0; k < p->n_types; k++)
        if (p->values[k] &&
            grow_column(&p->values[k], capacity, sizeof(*p->values[k])) < 0)
            return -ENOMEM;
    p->capacity = capacity;
    return 0;
}

/* The first row with something in it: from here on the columns are stored. */
static int store_how(struct cprof_profile *p)
{
    if (!p->how)
        p->how = calloc(p->capacity, sizeof(*p->how));
    return p->how ? 0 : -ENOMEM;
}

static int store_n_added(struct cprof_profile *p)
{
    if (!p->n_added)
        p->n_added = calloc(p->capacity, sizeof(*p->n_added));
    return p->n_added ? 0 : -ENOMEM;
}

/* From here on all values are stored. */
static int store_values(struct cprof_profile *p, size_t type)
{
    int64_t *values = malloc(p->capacity * sizeof(*values));

    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        values[i] = 1;
    for (size_t i = 0; i < p->odd_values[type].n; i++)
        values[p->odd_values[type].data[i].row] = p->odd_values[type].data[i].value;
    cprof_vec_free(&p->odd_values[type]);
    p->values[type] = values;
    return 0;
}

/* Room for one more value that is not 1. Where the first row has such a value, all will;
 * else they are few (samples that were lost) until they turn out not to be. */
static int make_room(struct cprof_profile *p, size_t type)
{
    enum { FEW = 64, RARE = 64 };

    if (!p->n || p->odd_values[type].n > FEW + p->n / RARE)
        return store_values(p, type);
    return cprof_vec_reserve(&p->odd_values[type], 1);
}

/* All that can fail before a row is added. */
static int prepare(struct cprof_profile *p, const struct cprof_row *row)
{
    if (p->n == p->capacity && grow_columns(p, p->n + p->n / 2 + 64) < 0)
        return -ENOMEM;
    if ((row->how && store_how(p) < 0) || (row->n_added && store_n_added(p) < 0))
        return -ENOMEM;
    for (size_t k = 0; k < p->n_types; k++)
        if (!p->values[k] && row->values[k] != 1 && make_room(p, k) < 0)
            return -ENOMEM;
    return 0;
}

int cprof_profile_add(struct cprof_profile *p, const struct cprof_row *row)
{
    size_t i = p->n;

    if (prepare(p, row) < 0)
        return -ENOMEM;
    p->is_unsorted |= i && row->time < p->time[i - 1];
    p->time[i] = row->time;
    p->pid[i] = row->pid;
    p->tid[i] = row->tid;
    p->cpu[i] = row->cpu;
    p->thread[i] = row->thread;
    p->stack[i] = row->stack;
    if (p->how)
        p->how[i] = row->how;
    if (p->n_added)
        p->n_added[i] = row->n_added;
    for (size_t k = 0; k < p->n_types; k++) {
        struct cprof_odd_value odd = {.row = i, .value = row->values[k]};
        if (p->values[k])
            p->values[k][i] = odd.value;
        else if (odd.value != 1)
            p->odd_values[k].data[p->odd_values[k].n++] = odd;
    }
    p->n++;
    return 0;
}

/* Where the first odd value of `row` or a later one stands. */
static size_t odd_from(const struct cprof_profile *p, size_t type, size_t row)
{
    size_t low = 0, high = p->odd_values[type].n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->odd_values[type].data[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t cprof_profile_odd_value(const struct cprof_profile *p, size_t type, size_t row)
{
    size_t at = odd_from(p, type, row);
    const struct cprof_odd_value *odd = p->odd_values[type].data + at;

    return at < p->odd_values[type].n && odd->row == row ? odd->value : 1;
}

int cprof_profile_set_value(struct cprof_profile *p, size_t type, size_t row,
                            int64_t value)
{
    size_t at = odd_from(p, type, row), n = p->odd_values[type].n;
    struct cprof_odd_value *odd = p->odd_values[type].data + at;

    if (!p->values[type] && at < n && odd->row == row) {
        odd->value = value;
        return 0;
    }
    if (!p->values[type] && value == 1)
        return 0;
    if (!p->values[type] && make_room(p, type) < 0)
        return -ENOMEM;
    if (p->values[type]) {
        p->values[type][row] = value;
        return 0;
    }
    odd = p->odd_values[type].data + at;
    memmove(odd + 1, odd, (n - at) * sizeof(*odd));
    *odd = (struct cprof_odd_value){.row = row, .value = value};
    p->odd_values[type].n++;
    return 0;
}

int cprof_profile_add_comment(struct cprof_profile *p, const char *text)
{
    uint32_t string;
    int r = cprof_stacks_string(p->stacks, text, &string);

    return r < 0 ? r : cprof_vec_push(&p->comments, string);
}

static void copy_columns(const struct cprof_profile *from, struct cprof_profile *to)
{
    size_t n = from->n;

    memcpy(to->time, from->time, n * sizeof(*to->time));
    memcpy(to->pid, from->pid, n * sizeof(*to->pid));
    memcpy(to->tid, from->tid, n * sizeof(*to->tid));
    memcpy(to->cpu, from->cpu, n * sizeof(*to->cpu));
    memcpy(to->thread, from->thread, n * sizeof(*to->thread));
    memcpy(to->stack, from->stack, n * sizeof(*to->stack));
    if (from->how)
        memcpy(to->how, from->how, n * sizeof(*to->how));
    if (from->n_added)
        memcpy(to->n_added, from->n_added, n * sizeof(*to->n_added));
    for (size_t k = 0; k < from->n_types; k++) {
        size_t n_odd = from->odd_values[k].n;
        if (from->values[k])
            memcpy(to->values[k], from->values[k], n * sizeof(*to->values[k]));
        for (size_t i = 0; i < n_odd; i++)
            to->odd_values[k].data[i] = from->odd_values[k].data[i];
        to->odd_values[k].n = n_odd;
    }
    to->n = n;
    to->is_unsorted = from->is_unsorted;
}

int cprof_profile_copy_frame(const struct cprof_profile *from,
                             struct cprof_stacks *stacks, struct cprof_profile **ret)
{
    struct cprof_profile *p;
    int r = cprof_profile_create(stacks, &p);

    if (r < 0)
        return r;
    p->run = from->run;
    p->n_types = from->n_types;
    memcpy(p->types, from->types, sizeof(p->types));
    p->from = from->from;
    p->to = from->to;
    for (size_t i = 0; i < from->marks.n; i++)
        if (cprof_vec_push(&p->marks, from->marks.data[i]) < 0)
            goto fail;
    for (size_t i = 0; i < from->comments.n; i++)
        if (cprof_vec_push(&p->comments, from->comments.data[i]) < 0)
            goto fail;
    *ret = p;
    return 0;
fail:
    cprof_profile_unref(p);
    return -ENOMEM;
}

int cprof_profile_ordered_frame(const struct cprof_profile *from,
                                struct cprof_profile **ret)
{
    struct cprof_stacks *stacks;
    int r = cprof_stacks_ordered(from->stacks, &stacks);

    if (r < 0)
        return r;
    r = cprof_profile_copy_frame(from, stacks, ret);
    cprof_stacks_unref(stacks);
    return r;
}

/* The columns of `from`, with room for its rows. */
static int make_columns(const struct cprof_profile *from, struct cprof_profile *p)
{
    if (grow_columns(p, from->n) < 0 || (from->how && store_how(p) < 0) ||
        (from->n_added && store_n_added(p) < 0))
        return -ENOMEM;
    for (size_t k = 0; k < from->n_types; k++)
        if (from->values[k]
                ? store_values(p, k) < 0
                : cprof_vec_reserve(&p->odd_values[k], from->odd_values[k].n) < 0)
            return -ENOMEM;
    return 0;
}

int cprof_profile_copy(const struct cprof_profile *from, struct cprof_stacks *stacks,
                       struct cprof_profile **ret)
{
    struct cprof_profile *p;
    int r = cprof_profile_copy_frame(from, stacks, &p);

    if (r < 0)
        return r;
    if (from->n) {
        r = make_columns(from, p);
        if (r < 0) {
            cprof_profile_unref(p);
            return r;
        }
        copy_columns(from, p);
    }
    *ret = p;
    return 0;
}

int64_t cprof_profile_total(const struct cprof_profile *p, size_t type)
{
    const struct cprof_odd_value *odd = p->odd_values[type].data;
    int64_t total = p->values[type] ? 0 : (int64_t)p->n;

    for (size_t i = 0; p->values[type] && i < p->n; i++)
        total = cprof_sum(total, p->values[type][i]);
    for (size_t i = 0; i < p->odd_values[type].n; i++)
        total = cprof_sum(total, cprof_sum(odd[i].value, -1));
    return total;
}

size_t cprof_profile_default_type(const struct cprof_profile *p)
{
    for (size_t k = 0; k < p->n_types; k++)
        if (p->run.default_type && p->types[k].type == p->run.default_type)
            return k;
    return p->n_types ? p->n_types - 1 : 0;
}
