#include "view_frames.h"

void view_groups_deinit(struct view_groups *groups)
{
    cprof_vec_free(&groups->all);
    free(groups->of_line);
    free(groups->of_location);
}

static bool is_same(const struct cprof_frame *a, const struct cprof_frame *b)
{
    return a->name == b->name && a->module == b->module && a->filename == b->filename &&
           a->line == b->line && a->address == b->address;
}

static int group_add(struct view_groups *groups, const struct cprof_frame *frame,
                     uint32_t *ret)
{
    uint64_t key = cprof_hash_mix((uint64_t)frame->name << 32 | frame->module);
    size_t at = 0;
    uint32_t id;

    key = cprof_hash_mix(key ^ frame->filename ^ (uint64_t)frame->line << 32);
    key ^= frame->address;
    while ((id = cprof_map_next(&groups->ids, key, &at)) != CPROF_MAP_NONE) {
        if (is_same(&groups->all.data[id], frame)) {
            *ret = id;
            return 0;
        }
    }
    *ret = (uint32_t)groups->all.n;
    if (cprof_vec_push(&groups->all, *frame) < 0 ||
        cprof_map_add(&groups->ids, key, *ret) < 0)
        return -ENOMEM;
    return 0;
}

/* A frame of `location`, all that is known of it; `line` is NULL where it has none. */
static struct cprof_frame whole_frame(const struct cprof_stacks *s,
                                      const struct cprof_location *location,
                                      const struct cprof_line *line)
{
    struct cprof_frame frame = {.name = s->unknown,
                                .function = CPROF_NONE,
                                .mapping = location->mapping,
                                .address = location->address};

    if (location->mapping != CPROF_NONE)
        frame.module = s->mappings.data[location->mapping].module;
    if (line) {
        const struct cprof_function *f = &s->functions.data[line->function];
        frame.name = f->name;
        frame.module = f->module;
        frame.filename = f->filename;
        frame.function = line->function;
        frame.line = line->line;
    }
    return frame;
}

/* What the granularity does not tell apart is left out. */
static void coarsen(struct cprof_frame *frame, const struct view_groups *groups)
{
    enum cprof_granularity by = groups->by;
    bool is_file = by == CPROF_BY_FILE && frame->filename;

    if (by != CPROF_BY_ADDRESS)
        frame->address = 0;
    if (by != CPROF_BY_ADDRESS && by != CPROF_BY_LINE)
        frame->line = 0;
    if (by == CPROF_BY_FUNCTION || by == CPROF_BY_MODULE)
        frame->filename = 0;
    if (by == CPROF_BY_MODULE || is_file)
        frame->name = 0;
    if (is_file || (groups->is_across_modules && frame->name != groups->stacks->unknown &&
                    by != CPROF_BY_MODULE))
        frame->module = 0;
}

static int group_location(struct view_groups *groups, uint32_t number)
{
    const struct cprof_stacks *s = groups->stacks;
    const struct cprof_location *at = &s->locations.data[number];
    uint32_t *one = &groups->of_location[number];

    *one = CPROF_NONE;
    for (uint32_t i = 0; i < at->n_lines || !i; i++) {
        uint32_t line = at->first_line + i;
        struct cprof_frame frame =
            whole_frame(s, at, at->n_lines ? &s->lines.data[line] : NULL);
        coarsen(&frame, groups);
        if (group_add(groups, &frame, at->n_lines > 1 ? &groups->of_line[line] : one) < 0)
            return -ENOMEM;
    }
    return 0;
}

int view_groups_init(struct view_groups *groups, const struct cprof_stacks *s,
                     enum cprof_granularity by, bool is_across_modules)
{
    int r = 0;

    *groups = (struct view_groups){
        .stacks = s, .by = by, .is_across_modules = is_across_modules};
    groups->of_line = malloc((s->lines.n + 1) * sizeof(*groups->of_line));
    groups->of_location = malloc((s->locations.n + 1) * sizeof(*groups->of_location));
    if (!groups->of_line || !groups->of_location)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->locations.n && r == 0; i++)
        r = group_location(groups, i);
    cprof_map_deinit(&groups->ids);
    return r;
}

uint8_t *view_used_nodes(const struct cprof_profile *p)
{
    const struct cprof_node *nodes = p->stacks->nodes.data;
    size_t n = p->stacks->nodes.n;
    uint8_t *is_used = calloc(n + 1, 1);

    if (!is_used)
        return NULL;
    for (size_t i = 0; i < p->n; i++)
        is_used[p->stack[i]] = 1;
    for (size_t i = n; i-- > 0;) /* what is called comes after its caller */
        if (is_used[i] && nodes[i].parent != CPROF_NONE)
            is_used[nodes[i].parent] = 1;
    return is_used;
}

int view_compare_text(const struct cprof_stacks *s, uint32_t a, uint32_t b)
{
    return a == b ? 0 : strcmp(cprof_stacks_text(s, a), cprof_stacks_text(s, b));
}
