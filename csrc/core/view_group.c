#include "view.h"

/* Sums of the rows that have equal keys. */
struct grouper {
    const uint32_t *const *keys;
    size_t n_keys;
    struct cprof_map ids;      /* hash of the keys -> group */
    CPROF_VEC(uint32_t) first; /* by group */
    uint32_t *groups;          /* by row */
};

static bool is_same(const struct grouper *g, size_t a, size_t b)
{
    for (size_t k = 0; k < g->n_keys; k++)
        if (g->keys[k][a] != g->keys[k][b])
            return false;
    return true;
}

static int group_of(struct grouper *g, size_t row, uint32_t *ret)
{
    uint64_t key = 0;
    size_t at = 0;
    uint32_t id;

    for (size_t k = 0; k < g->n_keys; k++)
        key = cprof_hash_mix(key + g->keys[k][row]);
    while ((id = cprof_map_next(&g->ids, key, &at)) != CPROF_MAP_NONE) {
        if (is_same(g, g->first.data[id], row)) {
            *ret = id;
            return 0;
        }
    }
    *ret = (uint32_t)g->first.n;
    if (cprof_vec_push(&g->first, (uint32_t)row) < 0 ||
        cprof_map_add(&g->ids, key, *ret) < 0)
        return -ENOMEM;
    return 0;
}

static int group_rows(struct grouper *g, size_t n)
{
    if (n >= CPROF_NONE)
        return -EOVERFLOW;
    g->groups = malloc((n + 1) * sizeof(*g->groups));
    if (!g->groups)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = 0;
        if (i && is_same(g, i - 1, i))
            g->groups[i] = g->groups[i - 1];
        else
            r = group_of(g, i, &g->groups[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

void cprof_grouping_deinit(struct cprof_grouping *grouping)
{
    free(grouping->first);
    free(grouping->rows);
    for (size_t k = 0; k < CPROF_MAX_SAMPLE_TYPES; k++)
        free(grouping->values[k]);
}

static void sum_values(const struct cprof_profile *p, size_t type, const uint32_t *groups,
                       const struct cprof_grouping *to, int64_t *sums)
{
    if (!p->values[type]) /* all 1, but for some */
        for (size_t i = 0; i < to->n; i++)
            sums[i] = to->rows[i];
    for (size_t i = 0; i < p->n && p->values[type]; i++)
        sums[groups[i]] = cprof_sum(sums[groups[i]], p->values[type][i]);
    for (size_t i = 0; i < p->odd_values[type].n; i++) {
        const struct cprof_odd_value *odd = &p->odd_values[type].data[i];
        int64_t *sum = &sums[groups[odd->row]];
        *sum = cprof_sum(*sum, cprof_sum(odd->value, -1));
    }
}

static int sum_rows(const struct cprof_profile *p, const uint32_t *groups,
                    struct cprof_grouping *to)
{
    to->rows = calloc(to->n + 1, sizeof(*to->rows));
    if (!to->rows)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        to->rows[groups[i]]++;
    for (size_t k = 0; k < p->n_types; k++) {
        to->values[k] = calloc(to->n + 1, sizeof(*to->values[k]));
        if (!to->values[k])
            return -ENOMEM;
        sum_values(p, k, groups, to, to->values[k]);
    }
    return 0;
}

int cprof_view_group(const struct cprof_profile *p, const uint32_t *const *keys,
                     size_t n_keys, struct cprof_grouping *ret)
{
    struct grouper g = {.keys = keys, .n_keys = n_keys};
    struct cprof_grouping grouping = {0};
    int r = group_rows(&g, p->n);

    grouping.first = g.first.data;
    grouping.n = g.first.n;
    if (r >= 0)
        r = sum_rows(p, g.groups, &grouping);
    cprof_map_deinit(&g.ids);
    free(g.groups);
    if (r < 0)
        cprof_grouping_deinit(&grouping);
    else
        *ret = grouping;
    return r;
}
