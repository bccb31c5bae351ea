#define _GNU_SOURCE /* qsort_r */
#include "view_frames.h"

/* A frame tree being made. */
struct builder {
    struct view_groups groups;
    struct cprof_frame_tree *to;
    uint32_t *frames;          /* by group: number in to->frames, or CPROF_NONE */
    struct cprof_map children; /* parent << 32 | frame -> node */
};

static void builder_deinit(struct builder *b)
{
    view_groups_deinit(&b->groups);
    free(b->frames);
    cprof_map_deinit(&b->children);
}

void cprof_frame_tree_deinit(struct cprof_frame_tree *tree)
{
    cprof_vec_free(&tree->frames);
    cprof_vec_free(&tree->parent);
    cprof_vec_free(&tree->frame);
    free(tree->node);
}

static int builder_init(struct builder *b, const struct cprof_profile *p, bool is_by_line)
{
    enum cprof_granularity by = is_by_line ? CPROF_BY_LINE : CPROF_BY_FUNCTION;

    if (view_groups_init(&b->groups, p->stacks, by, false) < 0)
        return -ENOMEM;
    b->frames = malloc((b->groups.all.n + 1) * sizeof(*b->frames));
    b->to->node = malloc((p->n + 1) * sizeof(*b->to->node));
    if (!b->frames || !b->to->node)
        return -ENOMEM;
    memset(b->frames, 0xff, (b->groups.all.n + 1) * sizeof(*b->frames));
    return 0;
}

/* Only frames that occur are numbered. */
static int number_frame(struct builder *b, uint32_t group, uint32_t *ret)
{
    if (b->frames[group] == CPROF_NONE) {
        if (cprof_vec_push(&b->to->frames, b->groups.all.data[group]) < 0)
            return -ENOMEM;
        b->frames[group] = (uint32_t)b->to->frames.n - 1;
    }
    *ret = b->frames[group];
    return 0;
}

static int add_child(struct builder *b, uint32_t parent, uint32_t group, uint32_t *ret)
{
    uint32_t frame = 0, id;
    uint64_t key;

    if (number_frame(b, group, &frame) < 0)
        return -ENOMEM;
    key = (uint64_t)parent << 32 | frame;
    id = cprof_map_get(&b->children, key);
    if (id == CPROF_MAP_NONE) {
        if (b->to->parent.n >= CPROF_NONE - 1)
            return -EOVERFLOW;
        id = (uint32_t)b->to->parent.n;
        if (cprof_vec_push(&b->to->parent, parent) < 0 ||
            cprof_vec_push(&b->to->frame, frame) < 0 ||
            cprof_map_add(&b->children, key, id) < 0)
            return -ENOMEM;
    }
    *ret = id;
    return 0;
}

/* Lay each used node's frames on top of its caller's; leaf[node] is the innermost. */
static int add_nodes(struct builder *b, const uint8_t *is_used, uint32_t *leaf)
{
    const struct cprof_stacks *s = b->groups.stacks;
    int r = 0;

    for (size_t i = 0; i < s->nodes.n && r == 0; i++) {
        const struct cprof_node *node = &s->nodes.data[i];
        uint32_t at = node->parent == CPROF_NONE ? CPROF_NONE : leaf[node->parent];
        if (!is_used[i])
            continue;
        for (uint32_t k = view_n_frames(&b->groups, node->location); k-- > 0 && r == 0;)
            r = add_child(b, at, view_frame(&b->groups, node->location, k), &at);
        leaf[i] = at;
    }
    return r;
}

int cprof_view_frame_tree(const struct cprof_profile *p, bool is_by_line,
                          struct cprof_frame_tree *ret)
{
    struct cprof_frame_tree tree = {0};
    struct builder b = {.to = &tree};
    uint8_t *is_used = view_used_nodes(p);
    uint32_t *leaf = malloc((p->stacks->nodes.n + 1) * sizeof(*leaf));
    int r = is_used && leaf ? builder_init(&b, p, is_by_line) : -ENOMEM;

    if (r >= 0)
        r = add_nodes(&b, is_used, leaf);
    for (size_t i = 0; i < p->n && r >= 0; i++)
        tree.node[i] = leaf[p->stack[i]];
    builder_deinit(&b);
    free(is_used);
    free(leaf);
    if (r < 0)
        cprof_frame_tree_deinit(&tree);
    else
        *ret = tree;
    return r;
}

struct tree {
    const struct cprof_stacks *stacks;
    struct cprof_tree_node *nodes; /* parents before children; the root of all first */
    size_t n;
};

static void sum_up(struct tree *tree)
{
    for (size_t i = tree->n; i-- > 0;) {
        struct cprof_tree_node *node = &tree->nodes[i];
        struct cprof_tree_node *parent = i ? &tree->nodes[node->parent] : NULL;
        node->total = cprof_sum(node->total, node->self);
        if (parent)
            parent->total = cprof_sum(parent->total, node->total);
    }
}

/* The frame tree with a root above it, and with sums. */
static int tree_init(struct tree *tree, const struct cprof_profile *p, size_t type,
                     const struct cprof_frame_tree *from)
{
    tree->stacks = p->stacks;
    tree->n = from->parent.n + 1;
    tree->nodes = calloc(tree->n, sizeof(*tree->nodes));
    if (!tree->nodes)
        return -ENOMEM;
    tree->nodes[0] = (struct cprof_tree_node){.parent = CPROF_NONE,
                                              .name = CPROF_NONE,
                                              .module = CPROF_NONE,
                                              .function = CPROF_NONE};
    for (size_t i = 1; i < tree->n; i++) {
        const struct cprof_frame *frame = &from->frames.data[from->frame.data[i - 1]];
        uint32_t parent = from->parent.data[i - 1] + 1; /* CPROF_NONE + 1 is 0 */
        tree->nodes[i] = (struct cprof_tree_node){.parent = parent,
                                                  .name = frame->name,
                                                  .module = frame->module,
                                                  .function = frame->function,
                                                  .depth = tree->nodes[parent].depth + 1};
    }
    for (size_t i = 0; i < p->n; i++) {
        int64_t *self = &tree->nodes[from->node[i] + 1].self;
        *self = cprof_sum(*self, cprof_profile_value(p, type, i));
    }
    sum_up(tree);
    return 0;
}

/* Largest sibling last: the walk takes them from the end. */
static int compare_siblings(const void *a_arg, const void *b_arg, void *tree_arg)
{
    const struct tree *tree = tree_arg;
    const struct cprof_stacks *s = tree->stacks;
    const struct cprof_tree_node *a = &tree->nodes[*(const uint32_t *)a_arg];
    const struct cprof_tree_node *b = &tree->nodes[*(const uint32_t *)b_arg];
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
    const struct cprof_tree_node *nodes = tree->nodes;
    size_t n = tree->n, n_pending = 1;

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
    size_t n = tree->n;
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
    struct cprof_frame_tree frames;
    struct tree tree = {0};
    int r;

    if (type >= p->n_types)
        return -EINVAL;
    r = cprof_view_frame_tree(p, false, &frames);
    if (r < 0)
        return r;
    r = tree_init(&tree, p, type, &frames);
    cprof_frame_tree_deinit(&frames);
    if (r >= 0)
        r = tree_finish(&tree, ret, n);
    free(tree.nodes);
    return r;
}
