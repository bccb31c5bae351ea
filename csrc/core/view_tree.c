#define _GNU_SOURCE /* qsort_r */
#include "view_frames.h"

struct tree {
    const struct view_groups *groups;
    CPROF_VEC(struct cprof_tree_node) nodes; /* parents before children */
    struct cprof_map children;               /* parent << 32 | group -> node */
};

static void tree_deinit(struct tree *tree)
{
    cprof_vec_free(&tree->nodes);
    cprof_map_deinit(&tree->children);
}

static int tree_child(struct tree *tree, uint32_t parent, uint32_t group, bool is_inlined,
                      uint32_t *ret)
{
    uint64_t key = (uint64_t)parent << 32 | group;
    const struct view_group *seen = &tree->groups->all.data[group];
    struct cprof_tree_node node = {.parent = parent,
                                   .name = seen->name,
                                   .module = seen->module,
                                   .function = seen->function,
                                   .is_inlined = is_inlined};
    uint32_t id = cprof_map_get(&tree->children, key);

    if (id == CPROF_MAP_NONE) {
        if (tree->nodes.n >= CPROF_NONE)
            return -EOVERFLOW;
        id = (uint32_t)tree->nodes.n;
        node.depth = tree->nodes.data[parent].depth + 1;
        if (cprof_vec_push(&tree->nodes, node) < 0 ||
            cprof_map_add(&tree->children, key, id) < 0)
            return -ENOMEM;
    }
    *ret = id;
    return 0;
}

/* Lay each used node's frames on top of its caller's; in_tree[node] is its leaf frame. */
static int tree_add_nodes(struct tree *tree, const struct view_sums *sums,
                          uint32_t *in_tree)
{
    const struct cprof_stacks *s = tree->groups->stacks;

    for (size_t i = 0; i < s->nodes.n; i++) {
        const struct cprof_node *node = &s->nodes.data[i];
        uint32_t at = node->parent == CPROF_NONE ? 0 : in_tree[node->parent];
        uint32_t n = view_n_frames(tree->groups, node->location);
        struct cprof_tree_node *leaf;

        if (!sums->is_used[i])
            continue;
        for (uint32_t k = n; k-- > 0;) {
            uint32_t group = view_frame(tree->groups, node->location, k);
            int r = tree_child(tree, at, group, k + 1 < n, &at);
            if (r < 0)
                return r;
        }
        in_tree[i] = at;
        leaf = &tree->nodes.data[at];
        leaf->self = cprof_sum(leaf->self, sums->self[i]);
    }
    return 0;
}

static int tree_build(struct tree *tree, const struct view_sums *sums)
{
    struct cprof_tree_node root = {.parent = CPROF_NONE,
                                   .name = CPROF_NONE,
                                   .module = CPROF_NONE,
                                   .function = CPROF_NONE};
    uint32_t *in_tree = malloc((tree->groups->stacks->nodes.n + 1) * sizeof(*in_tree));
    int r = -ENOMEM;

    if (in_tree && cprof_vec_push(&tree->nodes, root) >= 0)
        r = tree_add_nodes(tree, sums, in_tree);
    free(in_tree);
    if (r < 0)
        return r;
    for (size_t i = tree->nodes.n; i-- > 0;) {
        struct cprof_tree_node *node = &tree->nodes.data[i];
        struct cprof_tree_node *parent = i ? &tree->nodes.data[node->parent] : NULL;
        node->total = cprof_sum(node->total, node->self);
        if (parent)
            parent->total = cprof_sum(parent->total, node->total);
    }
    return 0;
}

/* Largest sibling last: the walk takes them from the end. */
static int compare_siblings(const void *a_arg, const void *b_arg, void *tree_arg)
{
    const struct tree *tree = tree_arg;
    const struct cprof_stacks *s = tree->groups->stacks;
    const struct cprof_tree_node *a = &tree->nodes.data[*(const uint32_t *)a_arg];
    const struct cprof_tree_node *b = &tree->nodes.data[*(const uint32_t *)b_arg];
    int r;

    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    if (a->total != b->total)
        return a->total < b->total ? -1 : 1;
    r = view_compare_text(s, b->name, a->name);
    return r ? r : view_compare_text(s, b->module, a->module);
}

struct emit {
    uint32_t *order;   /* all nodes but the root, siblings together */
    uint32_t *first;   /* by node: where its children begin in order */
    uint32_t *number;  /* by node: its place in what is written */
    uint32_t *pending; /* nodes still to be written, the next one last */
};

/* The tree in order of a walk from the root. */
static void emit_nodes(const struct tree *tree, struct emit *emit,
                       struct cprof_tree_node *to)
{
    const struct cprof_tree_node *nodes = tree->nodes.data;
    size_t n = tree->nodes.n, n_pending = 1;

    for (size_t i = n - 1; i-- > 0;)
        emit->first[nodes[emit->order[i]].parent] = (uint32_t)i;
    emit->pending[0] = 0;
    for (uint32_t number = 0; n_pending; number++) {
        uint32_t id = emit->pending[--n_pending];
        emit->number[id] = number;
        to[number] = nodes[id];
        if (id)
            to[number].parent = emit->number[nodes[id].parent];
        for (size_t i = emit->first[id]; i < n - 1; i++) {
            if (nodes[emit->order[i]].parent != id)
                break;
            emit->pending[n_pending++] = emit->order[i];
        }
    }
}

static int tree_finish(struct tree *tree, struct cprof_tree_node **ret, size_t *n_ret)
{
    size_t n = tree->nodes.n;
    struct emit emit = {.order = malloc(n * sizeof(uint32_t)),
                        .first = malloc(n * sizeof(uint32_t)),
                        .number = malloc(n * sizeof(uint32_t)),
                        .pending = malloc(n * sizeof(uint32_t))};
    struct cprof_tree_node *nodes = malloc(n * sizeof(*nodes));
    int r = -ENOMEM;

    if (emit.order && emit.first && emit.number && emit.pending && nodes) {
        for (size_t i = 1; i < n; i++)
            emit.order[i - 1] = (uint32_t)i;
        qsort_r(emit.order, n - 1, sizeof(*emit.order), compare_siblings, tree);
        memset(emit.first, 0xff, n * sizeof(*emit.first));
        emit_nodes(tree, &emit, nodes);
        *ret = nodes;
        *n_ret = n;
        nodes = NULL;
        r = 0;
    }
    free(emit.order);
    free(emit.first);
    free(emit.number);
    free(emit.pending);
    free(nodes);
    return r;
}

int cprof_view_tree(const struct cprof_profile *p, size_t type,
                    struct cprof_tree_node **ret, size_t *n)
{
    struct view_groups groups;
    struct view_sums sums = {0};
    struct tree tree = {.groups = &groups};
    int r;

    if (type >= p->n_types)
        return -EINVAL;
    r = view_groups_init(&groups, p->stacks);
    if (r >= 0)
        r = view_sums_init(&sums, p, type);
    if (r >= 0) {
        view_sums_mark_callers(&sums, p);
        r = tree_build(&tree, &sums);
    }
    if (r >= 0)
        r = tree_finish(&tree, ret, n);
    tree_deinit(&tree);
    view_sums_deinit(&sums);
    view_groups_deinit(&groups);
    return r;
}
