#include "stack.h"

static const char *const PSEUDO_NAMES[CPROF_N_PSEUDO] = {
    [CPROF_END_ROOT] = "[root]",
    [CPROF_END_KERNEL] = "[kernel]",
    [CPROF_END_TRUNCATED] = "[truncated]",
    [CPROF_END_NO_INFO] = "[no unwind info]",
    [CPROF_END_BAD_MEMORY] = "[bad memory]",
    [CPROF_END_NO_MAPPING] = "[no mapping]",
    [CPROF_END_OTHER_STACK] = "[other stack]",
    [CPROF_END_DEPTH] = "[too deep]",
    [CPROF_END_UNSUPPORTED] = "[unsupported]",
    [CPROF_PSEUDO_LOST] = "[lost]",
    [CPROF_PSEUDO_NO_STACK] = "[no stack]",
};

static const char *const END_NAMES[CPROF_N_ENDS] = {
    [CPROF_END_ROOT] = "root",
    [CPROF_END_KERNEL] = "kernel",
    [CPROF_END_TRUNCATED] = "truncated",
    [CPROF_END_NO_INFO] = "no_info",
    [CPROF_END_BAD_MEMORY] = "bad_memory",
    [CPROF_END_NO_MAPPING] = "no_mapping",
    [CPROF_END_OTHER_STACK] = "other_stack",
    [CPROF_END_DEPTH] = "depth",
    [CPROF_END_UNSUPPORTED] = "unsupported",
};

const char *cprof_pseudo_name(unsigned pseudo)
{
    return pseudo < CPROF_N_PSEUDO ? PSEUDO_NAMES[pseudo] : "";
}

const char *cprof_end_name(enum cprof_end end)
{
    return (unsigned)end < CPROF_N_ENDS ? END_NAMES[end] : "";
}

/* Pseudo frames are the first locations, so that location == enum value. They are not in
 * location_ids: no address leads to them. */
static int add_pseudo_frames(struct cprof_stacks *s)
{
    for (uint32_t i = 0; i < CPROF_N_PSEUDO; i++) {
        struct cprof_location location = {.mapping = CPROF_NONE};
        struct cprof_function function = {0};
        struct cprof_line line = {0};
        int r = cprof_stacks_string(s, PSEUDO_NAMES[i], &function.name);

        if (r < 0)
            return r;
        function.system_name = function.name;
        r = cprof_stacks_function(s, &function, &line.function);
        if (r < 0)
            return r;
        s->pseudo[i] = (uint32_t)s->locations.n;
        if (cprof_vec_push(&s->locations, location) < 0)
            return -ENOMEM;
        r = cprof_stacks_set_lines(s, s->pseudo[i], &line, 1);
        if (r < 0)
            return r;
    }
    return 0;
}

int cprof_stacks_create(struct cprof_stacks **ret)
{
    struct cprof_stacks *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    atomic_init(&s->refs, 1);
    r = add_pseudo_frames(s);
    if (r >= 0)
        r = cprof_stacks_string(s, "[unknown]", &s->unknown);
    if (r < 0) {
        cprof_stacks_unref(s);
        return r;
    }
    *ret = s;
    return 0;
}

struct cprof_stacks *cprof_stacks_ref(struct cprof_stacks *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void cprof_stacks_unref(struct cprof_stacks *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->mappings.n; i++)
        cprof_elf_unref(s->mappings.data[i].elf);
    cprof_stacks_close(s);
    cprof_strtab_deinit(&s->strings);
    free(s->mappings.data);
    free(s->functions.data);
    free(s->lines.data);
    free(s->locations.data);
    free(s->nodes.data);
    free(s->labels.data);
    free(s->threads.data);
    free(s);
}

void cprof_stacks_close_tables(struct cprof_stacks *s)
{
    cprof_map_deinit(&s->strings.ids);
    cprof_map_deinit(&s->function_ids);
    cprof_map_deinit(&s->location_ids);
}

void cprof_stacks_close(struct cprof_stacks *s)
{
    cprof_stacks_close_tables(s);
    cprof_map_deinit(&s->thread_ids);
    cprof_vec_free(&s->path);
    free(s->node_slots);
    s->node_slots = NULL;
    s->n_node_slots = 0;
}

static int copy_array(void *data_at, size_t *n, size_t *capacity, const void *from,
                      size_t from_n, size_t size)
{
    void *copy;

    if (!from_n)
        return 0;
    if (cprof_vec_grow(data_at, 0, capacity, from_n, size) < 0)
        return -ENOMEM;
    memcpy(&copy, data_at, sizeof(copy)); /* the slot is a T *: copy, do not alias */
    memcpy(copy, from, from_n * size);
    *n = from_n;
    return 0;
}

#define copy_vec(to, from)                                                               \
    copy_array(&(to)->data, &(to)->n, &(to)->capacity, (from)->data, (from)->n,          \
               sizeof(*(from)->data))

int cprof_stacks_copy(const struct cprof_stacks *from, struct cprof_stacks **ret)
{
    struct cprof_stacks *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    atomic_init(&s->refs, 1);
    memcpy(s->pseudo, from->pseudo, sizeof(s->pseudo));
    s->unknown = from->unknown;
    s->is_without_lines = from->is_without_lines;
    r = cprof_strtab_copy(&from->strings, &s->strings);
    if (r < 0)
        goto fail;
    r = -ENOMEM;
    if (copy_vec(&s->mappings, &from->mappings) < 0)
        goto fail;
    for (size_t i = 0; i < s->mappings.n; i++)
        if (s->mappings.data[i].elf)
            cprof_elf_ref(s->mappings.data[i].elf);
    if (copy_vec(&s->functions, &from->functions) < 0 ||
        copy_vec(&s->lines, &from->lines) < 0 ||
        copy_vec(&s->locations, &from->locations) < 0 ||
        copy_vec(&s->nodes, &from->nodes) < 0 ||
        copy_vec(&s->labels, &from->labels) < 0 ||
        copy_vec(&s->threads, &from->threads) < 0)
        goto fail;
    *ret = s;
    return 0;
fail:
    cprof_stacks_unref(s);
    return r;
}

static int claim_number(struct cprof_map *map, uint64_t key, size_t number)
{
    return number >= CPROF_NONE - 1 ? -EOVERFLOW
                                    : cprof_map_add(map, key, (uint32_t)number);
}

/* Room for one more in `vec`, and its number entered in `map`: all or nothing. */
#define claim(vec, map, key)                                                             \
    (cprof_vec_reserve((vec), 1) < 0 ? -ENOMEM : claim_number((map), (key), (vec)->n))

int cprof_stacks_string(struct cprof_stacks *s, const char *text, uint32_t *ret)
{
    return cprof_strtab_add(&s->strings, text, ret);
}

const char *cprof_stacks_text(const struct cprof_stacks *s, uint32_t string)
{
    return cprof_strtab_get(&s->strings, string);
}

static uint64_t function_key(const struct cprof_function *function)
{
    uint64_t key = cprof_hash_mix(function->name | (uint64_t)function->system_name << 32);

    key = cprof_hash_mix(key ^ (function->filename | (uint64_t)function->module << 32));
    return cprof_hash_mix(key ^ (uint64_t)function->start_line);
}

int cprof_stacks_reopen(struct cprof_stacks *s)
{
    int r = cprof_strtab_reopen(&s->strings);

    cprof_map_clear(&s->function_ids);
    for (size_t i = 0; i < s->functions.n && r == 0; i++)
        r = cprof_map_add(&s->function_ids, function_key(&s->functions.data[i]),
                          (uint32_t)i);
    return r;
}

static bool is_same_function(const struct cprof_function *a,
                             const struct cprof_function *b)
{
    return a->name == b->name && a->system_name == b->system_name &&
           a->filename == b->filename && a->module == b->module &&
           a->start_line == b->start_line;
}

int cprof_stacks_function(struct cprof_stacks *s, const struct cprof_function *function,
                          uint32_t *ret)
{
    uint64_t key = function_key(function);
    size_t at = 0;
    uint32_t id;
    int r;

    while ((id = cprof_map_next(&s->function_ids, key, &at)) != CPROF_MAP_NONE) {
        if (is_same_function(&s->functions.data[id], function)) {
            *ret = id;
            return 0;
        }
    }
    r = claim(&s->functions, &s->function_ids, key);
    if (r < 0)
        return r;
    s->functions.data[s->functions.n] = *function;
    *ret = (uint32_t)s->functions.n++;
    return 0;
}

/* The node right behind its caller's, as all are of a path that was new, is found there;
 * only the others stand in the table. */
static bool is_behind(const struct cprof_stacks *s, size_t node)
{
    return node == (uint32_t)(s->nodes.data[node].parent + 1); /* 0 without a caller */
}

static bool is_node(const struct cprof_stacks *s, uint32_t number, uint32_t parent,
                    uint32_t location)
{
    const struct cprof_node *node = &s->nodes.data[number];

    return node->parent == parent && node->location == location;
}

/* Where a node stands in the table, or the free place where it is to stand. Only numbers
 * are kept there: a profile may have millions of nodes. */
static uint32_t *node_slot(const struct cprof_stacks *s, uint32_t parent,
                           uint32_t location)
{
    size_t mask = s->n_node_slots - 1;
    size_t i = cprof_hash_mix((uint64_t)parent << 32 | location) & mask;

    while (s->node_slots[i] != CPROF_NONE &&
           !is_node(s, s->node_slots[i], parent, location))
        i = (i + 1) & mask;
    return &s->node_slots[i];
}

static int make_node_slots(struct cprof_stacks *s)
{
    size_t n = 64;

    free(s->node_slots); /* made anew from the nodes */
    s->node_slots = NULL;
    s->n_in_slots = s->n_node_slots = 0;
    for (size_t i = 0; i < s->nodes.n; i++)
        s->n_in_slots += !is_behind(s, i);
    while ((s->n_in_slots + 1) * 3 > n * 2)
        n *= 2;
    s->node_slots = malloc(n * sizeof(*s->node_slots));
    if (!s->node_slots)
        return -ENOMEM;
    memset(s->node_slots, 0xff, n * sizeof(*s->node_slots)); /* CPROF_NONE */
    s->n_node_slots = n;
    for (size_t i = 0; i < s->nodes.n; i++)
        if (!is_behind(s, i))
            *node_slot(s, s->nodes.data[i].parent, s->nodes.data[i].location) =
                (uint32_t)i;
    return 0;
}

/* At most two thirds of the table are in use. */
static int grow_node_slots(struct cprof_stacks *s)
{
    if (s->n_node_slots && (s->n_in_slots + 1) * 3 <= s->n_node_slots * 2)
        return 0;
    return make_node_slots(s);
}

static int add_node(struct cprof_stacks *s, uint32_t parent, uint32_t location,
                    uint32_t *ret)
{
    struct cprof_node node = {.parent = parent, .location = location};

    if (s->nodes.n >= CPROF_NONE - 1)
        return -EOVERFLOW;
    *ret = (uint32_t)s->nodes.n;
    return cprof_vec_push(&s->nodes, node);
}

int cprof_stacks_node(struct cprof_stacks *s, uint32_t parent, uint32_t location,
                      uint32_t *ret)
{
    uint32_t behind = parent + 1, number = 0, *slot;
    int r;

    if (behind == s->nodes.n)
        return add_node(s, parent, location, ret);
    if (is_node(s, behind, parent, location)) {
        *ret = behind;
        return 0;
    }
    if (grow_node_slots(s) < 0)
        return -ENOMEM;
    slot = node_slot(s, parent, location);
    if (*slot == CPROF_NONE) {
        r = add_node(s, parent, location, &number);
        if (r < 0)
            return r;
        *slot = number;
        s->n_in_slots++;
    }
    *ret = *slot;
    return 0;
}

static bool is_same_thread(const struct cprof_stacks *s, const struct cprof_thread *a,
                           const struct cprof_thread *b, const struct cprof_label *labels)
{
    if (a->pid != b->pid || a->tid != b->tid || a->name != b->name ||
        a->comm != b->comm || a->n_labels != b->n_labels)
        return false;
    for (uint32_t i = 0; i < a->n_labels; i++) {
        const struct cprof_label *mine = &s->labels.data[a->first_label + i];
        if (mine->key != labels[i].key || mine->text != labels[i].text ||
            mine->unit != labels[i].unit || mine->number != labels[i].number)
            return false;
    }
    return true;
}

static uint64_t hash_thread(const struct cprof_thread *thread,
                            const struct cprof_label *labels)
{
    uint64_t key =
        cprof_hash_mix((uint32_t)thread->pid | (uint64_t)(uint32_t)thread->tid << 32);

    key = cprof_hash_mix(key ^ (thread->name | (uint64_t)thread->comm << 32));
    for (uint32_t i = 0; i < thread->n_labels; i++) {
        key = cprof_hash_mix(key ^ (labels[i].key | (uint64_t)labels[i].text << 32));
        key = cprof_hash_mix(key ^ labels[i].unit ^ (uint64_t)labels[i].number << 8);
    }
    return key;
}

int cprof_stacks_thread(struct cprof_stacks *s, const struct cprof_thread *thread,
                        const struct cprof_label *labels, size_t n_labels, uint32_t *ret)
{
    struct cprof_thread wanted = *thread;
    uint64_t key;
    size_t at = 0;
    uint32_t id;
    int r;

    if (n_labels > CPROF_NONE - s->labels.n)
        return -EOVERFLOW;
    wanted.first_label = (uint32_t)s->labels.n;
    wanted.n_labels = (uint32_t)n_labels;
    key = hash_thread(&wanted, labels);
    while ((id = cprof_map_next(&s->thread_ids, key, &at)) != CPROF_MAP_NONE) {
        if (is_same_thread(s, &s->threads.data[id], &wanted, labels)) {
            *ret = id;
            return 0;
        }
    }
    if (cprof_vec_reserve(&s->labels, n_labels) < 0)
        return -ENOMEM;
    r = claim(&s->threads, &s->thread_ids, key);
    if (r < 0)
        return r;
    s->threads.data[s->threads.n] = wanted;
    *ret = (uint32_t)s->threads.n++;
    if (n_labels)
        memcpy(s->labels.data + s->labels.n, labels, n_labels * sizeof(*labels));
    s->labels.n += n_labels;
    return 0;
}

int cprof_stacks_add_mapping(struct cprof_stacks *s, const struct cprof_mapping *mapping,
                             uint32_t *ret)
{
    if (s->mappings.n >= CPROF_NONE - 1)
        return -EOVERFLOW;
    if (cprof_vec_push(&s->mappings, *mapping) < 0)
        return -ENOMEM;
    if (mapping->elf)
        cprof_elf_ref(mapping->elf);
    *ret = (uint32_t)s->mappings.n - 1;
    return 0;
}

static uint64_t location_key(uint64_t address, uint32_t mapping)
{
    return cprof_hash_mix(address) ^ mapping * 0x9e3779b97f4a7c15ull;
}

int cprof_stacks_add_location(struct cprof_stacks *s, uint64_t address, uint32_t mapping,
                              uint32_t *ret)
{
    struct cprof_location location = {.address = address, .mapping = mapping};
    int r = claim(&s->locations, &s->location_ids, location_key(address, mapping));

    if (r < 0)
        return r;
    s->locations.data[s->locations.n] = location;
    *ret = (uint32_t)s->locations.n++;
    return 0;
}

int cprof_stacks_location(struct cprof_stacks *s, uint64_t address, uint32_t mapping,
                          uint32_t *ret)
{
    uint64_t key = location_key(address, mapping);
    size_t at = 0;
    uint32_t id;

    while ((id = cprof_map_next(&s->location_ids, key, &at)) != CPROF_MAP_NONE) {
        const struct cprof_location *known = &s->locations.data[id];
        if (known->address == address && known->mapping == mapping) {
            *ret = id;
            return 0;
        }
    }
    return cprof_stacks_add_location(s, address, mapping, ret);
}

int cprof_stacks_set_lines(struct cprof_stacks *s, uint32_t location,
                           const struct cprof_line *lines, size_t n)
{
    struct cprof_location *at = &s->locations.data[location];

    if (n > at->n_lines) { /* no room where the old ones are: they stay behind, unused */
        if (n > CPROF_NONE - s->lines.n)
            return -EOVERFLOW;
        if (cprof_vec_reserve(&s->lines, n) < 0)
            return -ENOMEM;
        at->first_line = (uint32_t)s->lines.n;
        s->lines.n += n;
    }
    at->n_lines = (uint32_t)n;
    if (n)
        memcpy(s->lines.data + at->first_line, lines, n * sizeof(*lines));
    return 0;
}

int cprof_stacks_intern(struct cprof_stacks *s, const uint32_t *frames, size_t n,
                        uint32_t *ret)
{
    uint32_t node = CPROF_NONE;
    size_t depth = 0;

    if (!n)
        return cprof_stacks_node(s, CPROF_NONE, s->pseudo[CPROF_PSEUDO_NO_STACK], ret);
    if (n > s->path.n && cprof_vec_reserve(&s->path, n - s->path.n) < 0)
        return -ENOMEM;
    /* callers that the stack before had too need no look-up */
    while (depth < n && depth < s->path.n &&
           s->nodes.data[s->path.data[depth]].location == frames[n - 1 - depth])
        node = s->path.data[depth++];
    for (; depth < n; depth++) {
        int r = cprof_stacks_node(s, node, frames[n - 1 - depth], &node);
        s->path.n = depth; /* what is known to be one path, should this fail */
        if (r < 0)
            return r;
        s->path.data[depth] = node;
    }
    s->path.n = n;
    *ret = node;
    return 0;
}

uint32_t cprof_stacks_leaf_function(const struct cprof_stacks *s, uint32_t node)
{
    const struct cprof_location *leaf = &s->locations.data[s->nodes.data[node].location];

    return leaf->n_lines ? s->lines.data[leaf->first_line].function : CPROF_NONE;
}

int cprof_stacks_pseudo_of(const struct cprof_stacks *s, uint32_t location)
{
    return location < CPROF_N_PSEUDO && s->pseudo[location] == location ? (int)location
                                                                        : -1;
}
