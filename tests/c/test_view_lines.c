/* view_lines: sums by line and by address; the truth is counted row by row and frame by
 * frame, and what cprof_view_functions says of the same rows. */
#include "view.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

/* The place of the i-th frame of a location; false when the mask leaves it out. */
static bool place_of(const struct cprof_profile *p, uint32_t location, uint32_t i,
                     const uint8_t *wanted, bool is_by_address,
                     struct cprof_place_sum *ret)
{
    const struct cprof_stacks *s = p->stacks;
    const struct cprof_location *at = &s->locations.data[location];
    const struct cprof_line *lines = &s->lines.data[at->first_line];
    uint32_t owner = lines[is_by_address ? at->n_lines - 1 : i].function;

    *ret = (struct cprof_place_sum){.function = lines[is_by_address ? 0 : i].function,
                                    .line = lines[is_by_address ? 0 : i].line,
                                    .mapping = at->mapping,
                                    .address = is_by_address ? at->address : 0};
    return wanted[owner];
}

static bool is_same(const struct cprof_place_sum *a, const struct cprof_place_sum *b)
{
    return a->function == b->function && a->line == b->line && a->mapping == b->mapping &&
           a->address == b->address;
}

/* Count one place by hand. */
static void count(const struct cprof_profile *p, size_t type, const uint8_t *wanted,
                  bool is_by_address, struct cprof_place_sum *place)
{
    const struct cprof_stacks *s = p->stacks;

    place->self = place->total = 0;
    for (size_t row = 0; row < p->n; row++) {
        bool is_leaf = true, is_there = false;
        for (uint32_t node = p->stack[row]; node != CPROF_NONE;
             node = s->nodes.data[node].parent) {
            uint32_t location = s->nodes.data[node].location;
            uint32_t n = is_by_address ? 1 : s->locations.data[location].n_lines;
            for (uint32_t i = 0; i < n; i++, is_leaf = false) {
                struct cprof_place_sum here;
                if (!s->locations.data[location].n_lines ||
                    !place_of(p, location, i, wanted, is_by_address, &here) ||
                    !is_same(&here, place))
                    continue;
                is_there = true;
                if (is_leaf)
                    place->self += cprof_profile_value(p, type, row);
            }
        }
        if (is_there)
            place->total += cprof_profile_value(p, type, row);
    }
}

static void check_places(const struct cprof_profile *p, const uint8_t *wanted,
                         bool is_by_address, size_t expected)
{
    struct cprof_place_sum *sums;
    size_t n;

    for (size_t type = 0; type < 2; type++) {
        CHECK_EQ(cprof_view_places(p, type, wanted, is_by_address, &sums, &n), 0);
        CHECK_EQ(n, expected);
        for (size_t i = 0; i < n; i++) {
            struct cprof_place_sum truth = sums[i];
            count(p, type, wanted, is_by_address, &truth);
            CHECK_EQ(sums[i].self, truth.self);
            CHECK_EQ(sums[i].total, truth.total);
        }
        free(sums);
    }
}

/* main, a, b, i and c have a line each; "[lost]" and "[truncated]" have functions, too.
 */
static void test_a_known_profile(void)
{
    struct cprof_profile *p;
    uint8_t *wanted;

    CHECK_EQ(profile_sample(&p), 0);
    wanted = malloc(p->stacks->functions.n);
    memset(wanted, 1, p->stacks->functions.n);
    check_places(p, wanted, false, 7);
    check_places(p, wanted, true, 7); /* b alone, and b with i in it: two addresses */
    memset(wanted, 0, p->stacks->functions.n);
    check_places(p, wanted, false, 0);
    check_places(p, wanted, true, 0);
    free(wanted);
    cprof_profile_unref(p);
}

/* A function on a stack several times counts a row once; so does one inlined in itself.
 */
static void test_recursion_counts_once(void)
{
    struct cprof_place_sum *sums;
    struct cprof_profile *p;
    uint8_t *wanted;
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;f;g;f;f+f", 100), 0);
    wanted = calloc(1, p->stacks->functions.n);
    for (size_t i = 0; i < p->stacks->functions.n; i++)
        wanted[i] =
            !strcmp(cprof_stacks_text(p->stacks, p->stacks->functions.data[i].name), "f");
    CHECK_EQ(cprof_view_places(p, 1, wanted, false, &sums, &n), 0);
    CHECK_EQ(n, 1);
    CHECK_EQ(sums[0].self, 100);
    CHECK_EQ(sums[0].total, 100);
    CHECK_EQ(sums[0].line, 12);
    CHECK_STR(cprof_stacks_text(p->stacks,
                                p->stacks->functions.data[sums[0].function].filename),
              "prog.c");
    free(sums);
    free(wanted);
    cprof_profile_unref(p);
}

static void test_no_such_type(void)
{
    struct cprof_place_sum *sums;
    struct cprof_profile *p;
    uint8_t wanted[64] = {0};
    size_t n;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_places(p, 2, wanted, false, &sums, &n), -EINVAL);
    cprof_profile_unref(p);
}

static int attempt(void *arg)
{
    struct cprof_place_sum *sums;
    struct cprof_profile *p = arg;
    uint8_t wanted[64];
    size_t n;
    int r;

    memset(wanted, 1, sizeof(wanted));
    r = cprof_view_places(p, 0, wanted, false, &sums, &n);
    if (r == 0)
        free(sums);
    return r;
}

static void test_out_of_memory(void)
{
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK(p->stacks->functions.n < 64);
    CHECK_EQ(sweep(attempt, p), 0);
    cprof_profile_unref(p);
}

int main(void)
{
    RUN(test_a_known_profile);
    RUN(test_recursion_counts_once);
    RUN(test_no_such_type);
    RUN(test_out_of_memory);
    return test_report(__FILE__);
}
