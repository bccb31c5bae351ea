#define _GNU_SOURCE /* qsort_r */
#include "view_frames.h"

struct place { /* a node in the order of the walk */
    int64_t self;
    uint32_t location;
    uint32_t end; /* where the places of all that it calls end */
};

struct step { /* a node on the path */
    uint32_t location, end;
    int64_t before; /* sum of self of all places before its own */
};

/* A walk over the used nodes, callers before what they call, that knows at each node
 * which groups its callers hold: a node's total counts for a group only where the group
 * enters the path, so recursion counts once.
 *
 * The order is made first, with all that the walk needs: going through the trie from
 * child to child would wait for memory at every step. */
struct walk {
    const struct view_groups *groups;
    struct place *places;
    size_t n; /* places */
    struct step *path;
    size_t depth;
    int64_t sum;         /* of self, up to here */
    uint32_t *n_on_path; /* by group */
    struct cprof_function_sum *ret;
    uint8_t *occurs; /* by group */
};

static void walk_deinit(struct walk *walk)
{
    free(walk->places);
    free(walk->path);
    free(walk->n_on_path);
    free(walk->occurs);
    free(walk->ret);
}

/* By node: how many used nodes it and all that it calls are. */
static void count_called(const struct cprof_stacks *s, const struct view_sums *sums,
                         uint32_t *sizes)
{
    for (size_t i = s->nodes.n; i-- > 0;) {
        uint32_t parent = s->nodes.data[i].parent;
        if (!sizes[i] && !sums->is_used[i])
            continue;
        sizes[i]++;
        if (parent != CPROF_NONE)
            sizes[parent] += sizes[i];
    }
}

/* Each node goes where its caller has room left, and takes as much of it as its size.
 * From then on sizes[node] is where its own room begins. */
static void put_in_order(struct walk *walk, const struct view_sums *sums, uint32_t *sizes)
{
    const struct cprof_stacks *s = walk->groups->stacks;
    uint32_t outermost = 0;

    for (size_t i = 0; i < s->nodes.n; i++) {
        const struct cprof_node *node = &s->nodes.data[i];
        uint32_t *room = node->parent == CPROF_NONE ? &outermost : &sizes[node->parent];
        struct place place = {sums->self[i], node->location, *room + sizes[i]};
        if (!sizes[i])
            continue;
        walk->places[*room] = place;
        sizes[i] = *room + 1;
        *room = place.end;
    }
    walk->n = outermost;
}

static int make_order(struct walk *walk, const struct view_sums *sums)
{
    const struct cprof_stacks *s = walk->groups->stacks;
    uint32_t *sizes = calloc(s->nodes.n + 1, sizeof(*sizes));

    walk->places = malloc((s->nodes.n + 1) * sizeof(*walk->places));
    walk->path = malloc((s->nodes.n + 1) * sizeof(*walk->path));
    if (sizes && walk->places && walk->path) {
        count_called(s, sums, sizes);
        put_in_order(walk, sums, sizes);
    }
    free(sizes);
    return sizes && walk->places && walk->path ? 0 : -ENOMEM;
}

static int walk_init(struct walk *walk, const struct view_groups *groups,
                     const struct view_sums *sums)
{
    size_t n_groups = groups->all.n;

    *walk = (struct walk){.groups = groups};
    walk->n_on_path = calloc(n_groups, sizeof(*walk->n_on_path));
    walk->occurs = calloc(n_groups, 1);
    walk->ret = calloc(n_groups, sizeof(*walk->ret));
    if (!walk->n_on_path || !walk->occurs || !walk->ret)
        return -ENOMEM;
    return make_order(walk, sums);
}

static void enter(struct walk *walk, const struct place *at)
{
    uint32_t leaf = view_frame(walk->groups, at->location, 0);
    struct step step = {at->location, at->end, walk->sum};

    for (uint32_t i = view_n_frames(walk->groups, at->location); i-- > 0;) {
        uint32_t group = view_frame(walk->groups, at->location, i);
        walk->n_on_path[group]++;
        walk->occurs[group] = 1;
    }
    walk->ret[leaf].self = cprof_sum(walk->ret[leaf].self, at->self);
    walk->sum = cprof_sum(walk->sum, at->self);
    walk->path[walk->depth++] = step;
}

/* What was summed up since a node was entered is its total. */
static void leave(struct walk *walk)
{
    const struct step *step = &walk->path[--walk->depth];
    int64_t total = (int64_t)((uint64_t)walk->sum - (uint64_t)step->before);

    for (uint32_t i = view_n_frames(walk->groups, step->location); i-- > 0;) {
        uint32_t group = view_frame(walk->groups, step->location, i);
        if (!--walk->n_on_path[group])
            walk->ret[group].total = cprof_sum(walk->ret[group].total, total);
    }
}

static void walk_places(struct walk *walk)
{
    for (uint32_t at = 0; at < walk->n; at++) {
        while (walk->depth && walk->path[walk->depth - 1].end <= at)
            leave(walk);
        enter(walk, &walk->places[at]);
    }
    while (walk->depth)
        leave(walk);
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
    r = view_groups_init(&groups, p->stacks, CPROF_BY_FUNCTION);
    if (r >= 0)
        r = view_sums_init(&sums, p, type);
    if (r >= 0)
        r = walk_init(&walk, &groups, &sums);
    if (r >= 0) {
        walk_places(&walk);
        *n = finish_sums(&walk, ret);
    }
    walk_deinit(&walk);
    view_sums_deinit(&sums);
    view_groups_deinit(&groups);
    return r;
}
