/* stack_order.c - the same tables in an order of which little has to be stored. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "stack.h"

struct place { /* of a location */
    uint64_t address;
    uint32_t mapping, number;
};

static int compare_places(const void *a_at, const void *b_at)
{
    const struct place *a = a_at, *b = b_at;

    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->mapping != b->mapping)
        return a->mapping < b->mapping ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Locations by address; numbers[old] is the new one. */
static void order_locations(const struct cprof_stacks *from, struct place *places,
                            struct cprof_stacks *s, uint32_t *numbers)
{
    size_t n = s->locations.n;

    for (size_t i = 0; i < n; i++)
        places[i] = (struct place){from->locations.data[i].address,
                                   from->locations.data[i].mapping, (uint32_t)i};
    qsort(places, n, sizeof(*places), compare_places);
    for (size_t i = 0; i < n; i++) {
        s->locations.data[i] = from->locations.data[places[i].number];
        numbers[places[i].number] = (uint32_t)i;
    }
    for (size_t i = 0; i < s->nodes.n; i++)
        s->nodes.data[i].location = numbers[s->nodes.data[i].location];
    for (size_t i = 0; i < CPROF_N_PSEUDO; i++)
        s->pseudo[i] = numbers[s->pseudo[i]];
}

static uint32_t move_function(const struct cprof_stacks *from, uint32_t function,
                              struct cprof_stacks *s, uint32_t *numbers, uint32_t *n)
{
    if (numbers[function] == CPROF_NONE) {
        s->functions.data[*n] = from->functions.data[function];
        numbers[function] = (*n)++;
    }
    return numbers[function];
}

/* Functions as the locations come to them, and after those all others. */
static void order_functions(const struct cprof_stacks *from, struct cprof_stacks *s,
                            uint32_t *numbers)
{
    uint32_t n = 0;

    memset(numbers, 0xff, s->functions.n * sizeof(*numbers)); /* CPROF_NONE */
    for (size_t i = 0; i < s->locations.n; i++) {
        const struct cprof_location *at = &s->locations.data[i];
        for (uint32_t k = at->first_line; k < at->first_line + at->n_lines; k++)
            s->lines.data[k].function =
                move_function(from, from->lines.data[k].function, s, numbers, &n);
    }
    for (uint32_t i = 0; i < s->functions.n; i++)
        move_function(from, i, s, numbers, &n);
}

int cprof_stacks_ordered(const struct cprof_stacks *from, struct cprof_stacks **ret)
{
    size_t n_locations = from->locations.n, n_functions = from->functions.n;
    _cleanup_free_ struct place *places = calloc(n_locations + 1, sizeof(*places));
    _cleanup_free_ uint32_t *numbers =
        calloc(n_locations + n_functions + 1, sizeof(*numbers));
    struct cprof_stacks *s;
    int r = places && numbers ? cprof_stacks_copy(from, &s) : -ENOMEM;

    if (r < 0)
        return r;
    order_locations(from, places, s, numbers);
    order_functions(from, s, numbers);
    *ret = s;
    return 0;
}
