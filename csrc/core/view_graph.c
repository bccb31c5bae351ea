#define _GNU_SOURCE /* qsort_r */
#include "view_frames.h"

struct step { /* a node on the path */
    uint32_t node;
    uint32_t last;    /* group of the innermost frame kept so far, CPROF_NONE: none */
    int64_t before;   /* sum of self of all nodes before it */
    bool is_residual; /* frames that are not kept came after it */
};

/* A walk over the used nodes, callers before what they call, that knows at each node
 * which groups its callers hold: a node's total counts for a group only where the group
 * enters the path, so recursion counts once. Edges are counted the same way.
 *
 * The order is made first: going through the trie from child to child would wait for
 * memory at every step. The trie may be most of what a profile takes, so 8 bytes a node
 * are all that the walk adds. */
struct walk {
    const struct view_groups *groups;
    const uint8_t *keep; /* by group; NULL: all are kept */
    bool wants_edges;
    uint32_t *order;         /* used nodes, callers first */
    size_t n;                /* used nodes */
    uint32_t *leaf;          /* by node: where in self, or CPROF_NONE */
    CPROF_VEC(int64_t) self; /* of the rows that end at a node */
    CPROF_VEC(struct step) path;
    int64_t sum;                              /* of self, up to here */
    uint32_t *n_on_path;                      /* by group */
    uint8_t *occurs;                          /* by group */
    struct cprof_frame_sum *sums;             /* by group */
    struct cprof_map edge_ids;                /* caller << 32 | callee -> edge */
    CPROF_VEC(struct cprof_graph_edge) edges; /* between groups */
    CPROF_VEC(uint32_t) n_on_path_of_edges;   /* by edge */
    CPROF_VEC(uint32_t) edge_path;            /* for each kept frame, or CPROF_NONE */
};

/* What only the walk needs. */
static void drop_order(struct walk *walk)
{
    free(walk->order);
    free(walk->leaf);
    walk->order = walk->leaf = NULL;
    cprof_vec_free(&walk->self);
    cprof_vec_free(&walk->path);
}

static void walk_deinit(struct walk *walk)
{
    drop_order(walk);
    free(walk->n_on_path);
    free(walk->occurs);
    free(walk->sums);
    cprof_map_deinit(&walk->edge_ids);
    cprof_vec_free(&walk->edges);
    cprof_vec_free(&walk->n_on_path_of_edges);
    cprof_vec_free(&walk->edge_path);
}

/* By node: how many used nodes it and all that it calls are. Owned, NULL without memory.
 */
static uint32_t *count_called(const struct cprof_profile *p)
{
    const struct cprof_stacks *s = p->stacks;
    uint8_t *is_used = view_used_nodes(p);
    uint32_t *sizes = calloc(s->nodes.n + 1, sizeof(*sizes));

    for (size_t i = s->nodes.n; i-- > 0 && is_used && sizes;) {
        uint32_t parent = s->nodes.data[i].parent;
        sizes[i] += is_used[i];
        if (parent != CPROF_NONE)
            sizes[parent] += sizes[i];
    }
    if (!is_used) {
        free(sizes);
        sizes = NULL;
    }
    free(is_used);
    return sizes;
}

/* Each node goes where its caller has room left, and takes as much of it as its size.
 * room[node] is that size, and from then on where its own room begins. */
static void put_in_order(struct walk *walk, uint32_t *room)
{
    const struct cprof_stacks *s = walk->groups->stacks;
    uint32_t outermost = 0;

    for (size_t i = 0; i < s->nodes.n; i++) {
        uint32_t parent = s->nodes.data[i].parent;
        uint32_t *of_caller = parent == CPROF_NONE ? &outermost : &room[parent];
        uint32_t place = *of_caller;
        if (!room[i])
            continue;
        walk->order[place] = (uint32_t)i;
        *of_caller += room[i];
        room[i] = place + 1;
    }
    walk->n = outermost;
}

static int add_self(struct walk *walk, uint32_t node, int64_t value)
{
    uint32_t *leaf = &walk->leaf[node];

    if (*leaf == CPROF_NONE) {
        *leaf = (uint32_t)walk->self.n;
        return cprof_vec_push(&walk->self, value);
    }
    walk->self.data[*leaf] = cprof_sum(walk->self.data[*leaf], value);
    return 0;
}

static int make_order(struct walk *walk, const struct cprof_profile *p, size_t type)
{
    size_t n = p->stacks->nodes.n;
    int r = 0;

    walk->leaf = count_called(p);
    walk->order = malloc((n + 1) * sizeof(*walk->order));
    if (!walk->leaf || !walk->order)
        return -ENOMEM;
    put_in_order(walk, walk->leaf);
    memset(walk->leaf, 0xff, n * sizeof(*walk->leaf)); /* CPROF_NONE */
    for (size_t i = 0; i < p->n && r == 0; i++)
        r = add_self(walk, p->stack[i], cprof_profile_value(p, type, i));
    return r;
}

static int walk_init(struct walk *walk, const struct cprof_profile *p, size_t type)
{
    size_t n_groups = walk->groups->all.n;

    walk->n_on_path = calloc(n_groups + 1, sizeof(*walk->n_on_path));
    walk->occurs = calloc(n_groups + 1, 1);
    walk->sums = calloc(n_groups + 1, sizeof(*walk->sums));
    if (!walk->n_on_path || !walk->occurs || !walk->sums)
        return -ENOMEM;
    for (size_t i = 0; i < n_groups; i++)
        walk->sums[i].frame = walk->groups->all.data[i];
    return make_order(walk, p, type);
}

static int number_edge(struct walk *walk, uint32_t caller, uint32_t callee, uint32_t *ret)
{
    struct cprof_graph_edge edge = {
        .caller = caller, .callee = callee, .is_inlined = true};
    uint64_t key = (uint64_t)caller << 32 | callee;

    *ret = cprof_map_get(&walk->edge_ids, key);
    if (*ret != CPROF_MAP_NONE)
        return 0;
    *ret = (uint32_t)walk->edges.n;
    if (*ret == CPROF_MAP_NONE || cprof_vec_push(&walk->edges, edge) < 0 ||
        cprof_vec_push(&walk->n_on_path_of_edges, 0) < 0)
        return -ENOMEM;
    return cprof_map_add(&walk->edge_ids, key, *ret);
}

/* Of a stack that passes an edge several times, the outermost says how. */
static int enter_edge(struct walk *walk, const struct step *step, uint32_t callee,
                      bool is_inlined)
{
    uint32_t id = CPROF_NONE;

    if (step->last != CPROF_NONE && step->last != callee) {
        int r = number_edge(walk, step->last, callee, &id);
        if (r < 0)
            return r;
        if (!walk->n_on_path_of_edges.data[id]++) {
            walk->edges.data[id].is_inlined &= is_inlined;
            walk->edges.data[id].is_residual |= step->is_residual;
        }
    }
    return cprof_vec_push(&walk->edge_path, id);
}

static bool is_kept(const struct walk *walk, uint32_t group)
{
    return !walk->keep || walk->keep[group];
}

static uint32_t location_of(const struct walk *walk, uint32_t node)
{
    return walk->groups->stacks->nodes.data[node].location;
}

static int enter_frames(struct walk *walk, uint32_t location, struct step *step)
{
    uint32_t n = view_n_frames(walk->groups, location);

    for (uint32_t i = n; i-- > 0;) {
        uint32_t group = view_frame(walk->groups, location, i);
        if (!is_kept(walk, group)) {
            step->is_residual = true;
            continue;
        }
        walk->n_on_path[group]++;
        walk->occurs[group] = 1;
        if (walk->wants_edges && enter_edge(walk, step, group, i + 1 < n) < 0)
            return -ENOMEM;
        step->last = group;
        step->is_residual = false;
    }
    return 0;
}

static int enter(struct walk *walk, uint32_t node)
{
    uint32_t leaf = walk->leaf[node];
    int64_t own = leaf == CPROF_NONE ? 0 : walk->self.data[leaf];
    struct step step = {.last = CPROF_NONE};

    if (walk->path.n)
        step = walk->path.data[walk->path.n - 1];
    step.node = node;
    step.before = walk->sum;
    if (enter_frames(walk, location_of(walk, node), &step) < 0)
        return -ENOMEM;
    if (step.last != CPROF_NONE && !step.is_residual) {
        int64_t *self = &walk->sums[step.last].self;
        *self = cprof_sum(*self, own);
    }
    walk->sum = cprof_sum(walk->sum, own);
    return cprof_vec_push(&walk->path, step);
}

static void leave_edge(struct walk *walk, int64_t total)
{
    uint32_t id = walk->edge_path.data[--walk->edge_path.n];
    struct cprof_graph_edge *edge = id == CPROF_NONE ? NULL : &walk->edges.data[id];

    if (edge && !--walk->n_on_path_of_edges.data[id])
        edge->value = cprof_sum(edge->value, total);
}

/* What was summed up since a node was entered is its total. */
static void leave(struct walk *walk)
{
    const struct step *step = &walk->path.data[--walk->path.n];
    int64_t total = (int64_t)((uint64_t)walk->sum - (uint64_t)step->before);
    uint32_t location = location_of(walk, step->node);

    for (uint32_t i = view_n_frames(walk->groups, location); i-- > 0;) {
        uint32_t group = view_frame(walk->groups, location, i);
        struct cprof_frame_sum *sum = &walk->sums[group];
        if (!is_kept(walk, group))
            continue;
        if (!--walk->n_on_path[group])
            sum->total = cprof_sum(sum->total, total);
        if (walk->wants_edges)
            leave_edge(walk, total);
    }
}

/* The path is left as far as the next node's caller. */
static int walk_nodes(struct walk *walk)
{
    const struct cprof_node *nodes = walk->groups->stacks->nodes.data;

    for (size_t at = 0; at < walk->n; at++) {
        uint32_t node = walk->order[at];
        while (walk->path.n &&
               walk->path.data[walk->path.n - 1].node != nodes[node].parent)
            leave(walk);
        if (enter(walk, node) < 0)
            return -ENOMEM;
    }
    while (walk->path.n)
        leave(walk);
    return 0;
}

static int compare_frames(const struct cprof_stacks *s, const struct cprof_frame *a,
                          const struct cprof_frame *b)
{
    int r = view_compare_text(s, a->name, b->name);

    r = r ? r : view_compare_text(s, a->module, b->module);
    r = r ? r : view_compare_text(s, a->filename, b->filename);
    r = r ? r : (a->line > b->line) - (a->line < b->line);
    return r ? r : (a->address > b->address) - (a->address < b->address);
}

/* The larger first; in a difference what shrank counts as what grew. */
static int compare_sizes(int64_t a, int64_t b)
{
    uint64_t size_a = a < 0 ? -(uint64_t)a : (uint64_t)a;
    uint64_t size_b = b < 0 ? -(uint64_t)b : (uint64_t)b;

    return (size_a < size_b) - (size_a > size_b);
}

static int compare_groups(const void *a_arg, const void *b_arg, void *walk_arg)
{
    const struct walk *walk = walk_arg;
    const struct cprof_frame_sum *a = &walk->sums[*(const uint32_t *)a_arg];
    const struct cprof_frame_sum *b = &walk->sums[*(const uint32_t *)b_arg];

    int r = compare_sizes(a->self, b->self);

    r = r ? r : compare_sizes(a->total, b->total);
    return r ? r : compare_frames(walk->groups->stacks, &a->frame, &b->frame);
}

/* The groups that occur, in order: owned, NULL without memory. */
static uint32_t *order_groups(struct walk *walk, size_t *n)
{
    uint32_t *order = malloc((walk->groups->all.n + 1) * sizeof(*order));

    *n = 0;
    if (!order)
        return NULL;
    for (size_t i = 0; i < walk->groups->all.n; i++)
        if (walk->occurs[i])
            order[(*n)++] = (uint32_t)i;
    qsort_r(order, *n, sizeof(*order), compare_groups, walk);
    return order;
}

static int walk_groups(struct walk *walk, const struct view_groups *groups,
                       const struct cprof_profile *p, size_t type)
{
    int r;

    walk->groups = groups;
    r = walk_init(walk, p, type);
    if (r >= 0)
        r = walk_nodes(walk);
    drop_order(walk);
    return r;
}

/* By group, whether the node that it is in the graph of all is kept: owned. */
static int find_kept(const struct view_groups *groups, const struct cprof_profile *p,
                     size_t type, const struct cprof_graph_options *options,
                     uint8_t **ret)
{
    uint32_t *order = NULL;
    struct walk walk = {0};
    size_t n = 0;
    int r = walk_groups(&walk, groups, p, type);

    *ret = calloc(groups->all.n + 1, 1);
    if (r >= 0)
        order = order_groups(&walk, &n);
    if (r >= 0 && (!order || !*ret))
        r = -ENOMEM;
    if (r >= 0 && n != options->n_keep)
        r = -EINVAL;
    for (size_t i = 0; i < n && r >= 0; i++)
        (*ret)[order[i]] = options->keep[i];
    free(order);
    walk_deinit(&walk);
    return r;
}

static int compare_edges(const void *a_arg, const void *b_arg)
{
    const struct cprof_graph_edge *a = a_arg, *b = b_arg;

    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    if (a->caller != b->caller)
        return a->caller < b->caller ? -1 : 1;
    return (a->callee > b->callee) - (a->callee < b->callee);
}

/* Nodes in order, and edges between them; takes the walk's edges. */
static int make_graph(struct walk *walk, struct cprof_graph *ret)
{
    size_t n;
    uint32_t *order = order_groups(walk, &n), *numbers = walk->n_on_path;

    ret->nodes = malloc((n + 1) * sizeof(*ret->nodes));
    if (!order || !ret->nodes) {
        free(order);
        free(ret->nodes);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        ret->nodes[i] = walk->sums[order[i]];
        numbers[order[i]] = (uint32_t)i; /* no group is on the path any more */
    }
    ret->n_nodes = n;
    free(order);
    for (size_t i = 0; i < walk->edges.n; i++) {
        struct cprof_graph_edge *edge = &walk->edges.data[i];
        edge->caller = numbers[edge->caller];
        edge->callee = numbers[edge->callee];
    }
    ret->edges = walk->edges.data;
    ret->n_edges = walk->edges.n;
    if (ret->n_edges)
        qsort(ret->edges, ret->n_edges, sizeof(*ret->edges), compare_edges);
    walk->edges.data = NULL;
    return 0;
}

void cprof_graph_deinit(struct cprof_graph *graph)
{
    free(graph->nodes);
    free(graph->edges);
}

int cprof_view_graph(const struct cprof_profile *p, size_t type,
                     const struct cprof_graph_options *options, struct cprof_graph *ret)
{
    struct walk walk = {.wants_edges = options->wants_edges};
    struct view_groups groups;
    uint8_t *keep = NULL;
    int r;

    if (type >= p->n_types)
        return -EINVAL;
    r = view_groups_init(&groups, p->stacks, options->by, options->is_across_modules);
    if (r >= 0 && options->keep)
        r = find_kept(&groups, p, type, options, &keep);
    walk.keep = keep;
    if (r >= 0)
        r = walk_groups(&walk, &groups, p, type);
    if (r >= 0)
        r = make_graph(&walk, ret);
    walk_deinit(&walk);
    view_groups_deinit(&groups);
    free(keep);
    return r;
}

int cprof_view_functions(const struct cprof_profile *p, size_t type,
                         struct cprof_frame_sum **ret, size_t *n)
{
    struct cprof_graph_options options = {.by = CPROF_BY_FUNCTION};
    struct cprof_graph graph;
    int r = cprof_view_graph(p, type, &options, &graph);

    if (r < 0)
        return r;
    *ret = graph.nodes;
    *n = graph.n_nodes;
    return 0;
}
