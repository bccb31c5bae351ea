/* Sums by source line and by instruction. A row counts once for a place, however often
 * its stack passes it. */
#include "view.h"
#include "view_frames.h"

/* The places of each location: those of location i are of[first[i]] up to of[first[i +
 * 1]], innermost first; CPROF_NONE is a frame that is not asked for. */
struct places {
    struct cprof_map ids; /* hash of a place -> number in all */
    CPROF_VEC(struct cprof_place_sum) all;
    CPROF_VEC(uint32_t) of;
    uint32_t *first;
    uint32_t *last_leaf; /* by place: the last stack that it was counted for */
};

static void places_deinit(struct places *places)
{
    cprof_map_deinit(&places->ids);
    cprof_vec_free(&places->all);
    cprof_vec_free(&places->of);
    free(places->first);
    free(places->last_leaf);
}

static int intern(struct places *places, const struct cprof_place_sum *wanted,
                  uint32_t *ret)
{
    uint64_t key = cprof_hash_mix((uint64_t)wanted->line << 32 ^ wanted->function) ^
                   cprof_hash_mix(wanted->address + 1) ^ wanted->mapping;
    size_t at = 0;
    uint32_t id;

    while ((id = cprof_map_next(&places->ids, key, &at)) != CPROF_MAP_NONE) {
        const struct cprof_place_sum *known = &places->all.data[id];
        if (known->function == wanted->function && known->line == wanted->line &&
            known->address == wanted->address && known->mapping == wanted->mapping) {
            *ret = id;
            return 0;
        }
    }
    *ret = (uint32_t)places->all.n;
    if (cprof_vec_push(&places->all, *wanted) < 0)
        return -ENOMEM;
    return cprof_map_add(&places->ids, key, *ret);
}

static int add_lines(struct places *places, const struct cprof_stacks *s,
                     const struct cprof_location *location, const uint8_t *wanted)
{
    for (uint32_t k = 0; k < location->n_lines; k++) {
        const struct cprof_line *line = &s->lines.data[location->first_line + k];
        struct cprof_place_sum place = {
            .function = line->function, .line = line->line, .mapping = location->mapping};
        uint32_t id = CPROF_NONE;
        if (wanted[line->function] && intern(places, &place, &id) < 0)
            return -ENOMEM;
        if (cprof_vec_push(&places->of, id) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The instruction belongs to the real function; its line is the innermost one. */
static int add_address(struct places *places, const struct cprof_stacks *s,
                       const struct cprof_location *location, const uint8_t *wanted)
{
    const struct cprof_line *lines = &s->lines.data[location->first_line];
    uint32_t id = CPROF_NONE;

    if (location->n_lines && wanted[lines[location->n_lines - 1].function]) {
        struct cprof_place_sum place = {.function = lines[0].function,
                                        .line = lines[0].line,
                                        .address = location->address,
                                        .mapping = location->mapping};
        if (intern(places, &place, &id) < 0)
            return -ENOMEM;
    }
    return cprof_vec_push(&places->of, id);
}

static int collect(struct places *places, const struct cprof_stacks *s,
                   const uint8_t *wanted, bool is_by_address)
{
    int r = 0;

    places->first = calloc(s->locations.n + 1, sizeof(*places->first));
    if (!places->first)
        return -ENOMEM;
    for (size_t i = 0; i < s->locations.n && r == 0; i++) {
        const struct cprof_location *location = &s->locations.data[i];
        places->first[i] = (uint32_t)places->of.n;
        r = is_by_address ? add_address(places, s, location, wanted)
                          : add_lines(places, s, location, wanted);
    }
    places->first[s->locations.n] = (uint32_t)places->of.n;
    places->last_leaf = malloc((places->all.n + 1) * sizeof(*places->last_leaf));
    if (!places->last_leaf)
        return -ENOMEM;
    memset(places->last_leaf, 0xff, (places->all.n + 1) * sizeof(*places->last_leaf));
    return r;
}

/* Count one stack, of which rows make `value`, for each place on it. */
static void count(struct places *places, const struct cprof_stacks *s, uint32_t leaf,
                  int64_t value)
{
    for (uint32_t node = leaf; node != CPROF_NONE; node = s->nodes.data[node].parent) {
        uint32_t location = s->nodes.data[node].location;
        for (uint32_t i = places->first[location]; i < places->first[location + 1]; i++) {
            uint32_t id = places->of.data[i];
            struct cprof_place_sum *sum;
            if (id == CPROF_NONE)
                continue;
            sum = &places->all.data[id];
            if (node == leaf && i == places->first[location])
                sum->self = cprof_sum(sum->self, value);
            if (places->last_leaf[id] == leaf)
                continue;
            places->last_leaf[id] = leaf;
            sum->total = cprof_sum(sum->total, value);
        }
    }
}

/* By node, the rows that end in it: owned, NULL without memory. */
static int64_t *sum_by_node(const struct cprof_profile *p, size_t type)
{
    int64_t *self = calloc(p->stacks->nodes.n + 1, sizeof(*self));

    for (size_t i = 0; i < p->n && self; i++) {
        int64_t *sum = &self[p->stack[i]];
        *sum = cprof_sum(*sum, cprof_profile_value(p, type, i));
    }
    return self;
}

static int compare_places(const void *a_arg, const void *b_arg)
{
    const struct cprof_place_sum *a = a_arg, *b = b_arg;

    if (a->mapping != b->mapping)
        return a->mapping < b->mapping ? -1 : 1;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->function != b->function)
        return a->function < b->function ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

int cprof_view_places(const struct cprof_profile *p, size_t type, const uint8_t *wanted,
                      bool is_by_address, struct cprof_place_sum **ret, size_t *n)
{
    struct places places = {0};
    int64_t *self;
    int r;

    if (type >= p->n_types)
        return -EINVAL;
    self = sum_by_node(p, type);
    r = self ? 0 : -ENOMEM;
    if (r >= 0)
        r = collect(&places, p->stacks, wanted, is_by_address);
    for (size_t i = 0; i < p->stacks->nodes.n && r >= 0; i++)
        if (self[i])
            count(&places, p->stacks, (uint32_t)i, self[i]);
    if (r >= 0) {
        *n = 0;
        for (size_t i = 0; i < places.all.n; i++)
            if (places.last_leaf[i] != CPROF_NONE)
                places.all.data[(*n)++] = places.all.data[i];
        if (*n)
            qsort(places.all.data, *n, sizeof(*places.all.data), compare_places);
        *ret = places.all.data;
        places.all.data = NULL;
        r = 0;
    }
    free(self);
    places_deinit(&places);
    return r;
}
