#define _GNU_SOURCE /* qsort_r */
#include "view_frames.h"

/* A walk over the used nodes, callers before what they call, that knows at each node
 * which groups its callers hold: a node's total counts for a group only where the group
 * enters the path, so recursion counts once. */
struct walk {
    const struct view_groups *groups;
    const struct view_sums *sums;
    const struct cprof_node *nodes;
    uint32_t *first,
        *next;           /* children and siblings; first[n] holds the outermost frames */
    uint32_t *n_on_path; /* by group */
    struct cprof_function_sum *ret;
    uint8_t *occurs; /* by group */
};

static void walk_deinit(struct walk *walk)
{
    free(walk->first);
    free(walk->next);
    free(walk->n_on_path);
    free(walk->occurs);
    free(walk->ret);
}

static int walk_init(struct walk *walk, const struct view_groups *groups,
                     const struct view_sums *sums)
{
    const struct cprof_stacks *s = groups->stacks;
    size_t n = s->nodes.n, n_groups = groups->all.n;

    *walk = (struct walk){.groups = groups, .sums = sums, .nodes = s->nodes.data};
    walk->first = malloc((n + 1) * sizeof(*walk->first));
    walk->next = malloc((n + 1) * sizeof(*walk->next));
    walk->n_on_path = calloc(n_groups, sizeof(*walk->n_on_path));
    walk->occurs = calloc(n_groups, 1);
    walk->ret = calloc(n_groups, sizeof(*walk->ret));
    if (!walk->first || !walk->next || !walk->n_on_path || !walk->occurs || !walk->ret)
        return -ENOMEM;
    memset(walk->first, 0xff, (n + 1) * sizeof(*walk->first));
    for (size_t i = n; i-- > 0;) {
        uint32_t parent = walk->nodes[i].parent;
        uint32_t *siblings = &walk->first[parent == CPROF_NONE ? n : parent];
        if (!sums->is_used[i])
            continue;
        walk->next[i] = *siblings;
        *siblings = (uint32_t)i;
    }
    return 0;
}

static void enter(struct walk *walk, uint32_t node)
{
    uint32_t location = walk->nodes[node].location;
    uint32_t leaf = view_frame(walk->groups, location, 0);

    for (uint32_t i = view_n_frames(walk->groups, location); i-- > 0;) {
        uint32_t group = view_frame(walk->groups, location, i);
        struct cprof_function_sum *sum = &walk->ret[group];
        if (!walk->n_on_path[group]++)
            sum->total = cprof_sum(sum->total, walk->sums->total[node]);
        walk->occurs[group] = 1;
    }
    walk->ret[leaf].self = cprof_sum(walk->ret[leaf].self, walk->sums->self[node]);
}

static void leave(struct walk *walk, uint32_t node)
{
    uint32_t location = walk->nodes[node].location;

    for (uint32_t i = view_n_frames(walk->groups, location); i-- > 0;)
        walk->n_on_path[view_frame(walk->groups, location, i)]--;
}

static void walk_nodes(struct walk *walk, size_t n)
{
    uint32_t at = walk->first[n];

    while (at != CPROF_NONE) {
        enter(walk, at);
        if (walk->first[at] != CPROF_NONE) {
            at = walk->first[at];
            continue;
        }
        leave(walk, at);
        while (walk->next[at] == CPROF_NONE && walk->nodes[at].parent != CPROF_NONE) {
            at = walk->nodes[at].parent;
            leave(walk, at);
        }
        at = walk->next[at];
    }
}

static int compare_sums(const void *a_arg, const void *b_arg, void *stacks)
{
    const struct cprof_function_sum *a = a_arg, *b = b_arg;
    int r;

    if (a->self != b->self)
        return a->self > b->self ? -1 : 1;
    if (a->total != b->total)
        return a->total > b->total ? -1 : 1;
    r = view_compare_text(stacks, a->name, b->name);
    return r ? r : view_compare_text(stacks, a->module, b->module);
}

/* The groups that occur, named and in order; takes walk->ret out. */
static size_t finish_sums(struct walk *walk, struct cprof_function_sum **ret)
{
    const struct view_groups *groups = walk->groups;
    size_t n = 0;

    for (size_t i = 0; i < groups->all.n; i++) {
        struct cprof_function_sum sum = walk->ret[i];
        if (!walk->occurs[i])
            continue;
        sum.name = groups->all.data[i].name;
        sum.module = groups->all.data[i].module;
        sum.function = groups->all.data[i].function;
        walk->ret[n++] = sum;
    }
    qsort_r(walk->ret, n, sizeof(*walk->ret), compare_sums, (void *)groups->stacks);
    *ret = walk->ret;
    walk->ret = NULL;
    return n;
}

int cprof_view_functions(const struct cprof_profile *p, size_t type,
                         struct cprof_function_sum **ret, size_t *n)
{
    struct view_groups groups;
    struct view_sums sums = {0};
    struct walk walk = {0};
    int r;

    if (type >= p->n_types)
        return -EINVAL;
    r = view_groups_init(&groups, p->stacks);
    if (r >= 0)
        r = view_sums_init(&sums, p, type);
    if (r >= 0)
        r = walk_init(&walk, &groups, &sums);
    if (r >= 0) {
        walk_nodes(&walk, p->stacks->nodes.n);
        *n = finish_sums(&walk, ret);
    }
    walk_deinit(&walk);
    view_sums_deinit(&sums);
    view_groups_deinit(&groups);
    return r;
}
