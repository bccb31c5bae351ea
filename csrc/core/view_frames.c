#include "view_frames.h"

void view_groups_deinit(struct view_groups *groups)
{
    cprof_vec_free(&groups->all);
    cprof_map_deinit(&groups->ids);
    free(groups->of_function);
    free(groups->of_location);
}

static int group_add(struct view_groups *groups, struct view_group group, uint32_t *ret)
{
    uint64_t key = (uint64_t)group.name << 32 | group.module;
    uint32_t id = cprof_map_get(&groups->ids, key);

    if (id == CPROF_MAP_NONE) {
        id = (uint32_t)groups->all.n;
        if (cprof_vec_push(&groups->all, group) < 0 ||
            cprof_map_add(&groups->ids, key, id) < 0)
            return -ENOMEM;
    }
    *ret = id;
    return 0;
}

static int name_functions(struct view_groups *groups)
{
    const struct cprof_stacks *s = groups->stacks;

    for (size_t i = 0; i < s->functions.n; i++) {
        const struct cprof_function *f = &s->functions.data[i];
        struct view_group group = {f->name, f->module, (uint32_t)i};
        if (group_add(groups, group, &groups->of_function[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int name_locations(struct view_groups *groups)
{
    const struct cprof_stacks *s = groups->stacks;

    for (size_t i = 0; i < s->locations.n; i++) {
        const struct cprof_location *at = &s->locations.data[i];
        struct view_group nameless = {s->unknown, 0, CPROF_NONE};

        groups->of_location[i] = CPROF_NONE;
        if (at->n_lines == 1)
            groups->of_location[i] =
                groups->of_function[s->lines.data[at->first_line].function];
        if (at->n_lines)
            continue;
        if (at->mapping != CPROF_NONE)
            nameless.module = s->mappings.data[at->mapping].module;
        if (group_add(groups, nameless, &groups->of_location[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

int view_groups_init(struct view_groups *groups, const struct cprof_stacks *s)
{
    *groups = (struct view_groups){.stacks = s};
    groups->of_function = malloc((s->functions.n + 1) * sizeof(*groups->of_function));
    groups->of_location = malloc((s->locations.n + 1) * sizeof(*groups->of_location));
    if (!groups->of_function || !groups->of_location || name_functions(groups) < 0)
        return -ENOMEM;
    return name_locations(groups);
}

void view_sums_deinit(struct view_sums *sums)
{
    free(sums->self);
    free(sums->is_used);
}

int view_sums_init(struct view_sums *sums, const struct cprof_profile *p, size_t type)
{
    size_t n = p->stacks->nodes.n;

    sums->self = calloc(n + 1, sizeof(*sums->self));
    sums->is_used = calloc(n + 1, 1);
    if (!sums->self || !sums->is_used)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++) {
        uint32_t stack = p->stack[i];
        sums->self[stack] = cprof_sum(sums->self[stack], cprof_profile_value(p, type, i));
        sums->is_used[stack] = 1;
    }
    return 0;
}

void view_sums_mark_callers(struct view_sums *sums, const struct cprof_profile *p)
{
    const struct cprof_stacks *s = p->stacks;

    for (size_t i = s->nodes.n; i-- > 0;) { /* what is called comes after its caller */
        uint32_t parent = s->nodes.data[i].parent;
        if (sums->is_used[i] && parent != CPROF_NONE)
            sums->is_used[parent] = 1;
    }
}

int view_compare_text(const struct cprof_stacks *s, uint32_t a, uint32_t b)
{
    return a == b ? 0 : strcmp(cprof_stacks_text(s, a), cprof_stacks_text(s, b));
}
