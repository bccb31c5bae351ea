/* stack: interned things have one number each; a stack reads back as it was put in. */
#include "stack.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static void test_equal_stacks_are_one_and_share_callers(void)
{
    struct cprof_stacks *s;
    uint32_t ab, ab_again, ac, a;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(stack_named(s, "main;a;b", &ab), 0);
    CHECK_EQ(stack_named(s, "main;a;c", &ac), 0);
    CHECK_EQ(stack_named(s, "main;a;b", &ab_again), 0);
    CHECK_EQ(stack_named(s, "main;a", &a), 0);
    CHECK_EQ(ab, ab_again);
    CHECK(ab != ac);
    CHECK_EQ(s->nodes.data[ab].parent, a);
    CHECK_EQ(s->nodes.data[ac].parent, a);
    CHECK_EQ(s->nodes.n, 4);
    for (size_t i = 0; i < s->nodes.n; i++)
        CHECK(s->nodes.data[i].parent == CPROF_NONE || s->nodes.data[i].parent < i);
    cprof_stacks_unref(s);
}

/* The same frames by hand, node by node, must give the same numbers as intern(), which
 * takes a short cut through the stack before. */
static void test_intern_agrees_with_nodes_laid_one_by_one(void)
{
    struct cprof_stacks *s;
    uint64_t random = 1;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    for (int i = 0; i < 5000; i++) {
        uint32_t frames[12], node = CPROF_NONE, interned;
        size_t n = 1 + (random >> 20) % 12;
        for (size_t k = 0; k < n; k++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            frames[k] = (random >> 33) % 3;
        }
        CHECK_EQ(cprof_stacks_intern(s, frames, n, &interned), 0);
        for (size_t k = n; k-- > 0;)
            CHECK_EQ(cprof_stacks_node(s, node, frames[k], &node), 0);
        CHECK_EQ(interned, node);
        for (size_t k = 0; k < n; k++, interned = s->nodes.data[interned].parent)
            CHECK_EQ(s->nodes.data[interned].location, frames[k]);
        CHECK_EQ(interned, CPROF_NONE);
    }
    cprof_stacks_unref(s);
}

/* Locations by address, functions as they come to them; every stack is the same. */
static void test_ordered_tables(void)
{
    static const uint64_t ADDRESSES[] = {0x3000, 0x1000, 0x2000, 0x1001};
    struct cprof_stacks *s, *ordered;
    uint32_t frames[4], stack, at;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    for (uint32_t i = 0; i < 4; i++) {
        struct cprof_function function = {.start_line = 10 + i};
        struct cprof_line line = {.line = i};
        CHECK_EQ(cprof_stacks_function(s, &function, &line.function), 0);
        CHECK_EQ(cprof_stacks_location(s, ADDRESSES[i], i % 2, &frames[i]), 0);
        CHECK_EQ(cprof_stacks_set_lines(s, frames[i], &line, 1), 0);
    }
    CHECK_EQ(cprof_stacks_intern(s, frames, 4, &stack), 0);
    CHECK_EQ(cprof_stacks_ordered(s, &ordered), 0);
    CHECK_EQ(ordered->nodes.n, s->nodes.n);
    for (size_t i = 0; i < 4; i++, stack = ordered->nodes.data[stack].parent) {
        const struct cprof_location *to;
        to = &ordered->locations.data[ordered->nodes.data[stack].location];
        CHECK_EQ(to->address, ADDRESSES[i]);
        CHECK_EQ(to->mapping, i % 2);
        at = ordered->lines.data[to->first_line].function;
        CHECK_EQ(ordered->functions.data[at].start_line, 10 + i);
    }
    CHECK_EQ(stack, CPROF_NONE);
    for (size_t i = 1; i < ordered->locations.n; i++)
        CHECK(ordered->locations.data[i - 1].address <=
              ordered->locations.data[i].address);
    at = (uint32_t)ordered->functions.n - 4; /* behind those of the pseudo frames */
    CHECK_EQ(ordered->functions.data[at].start_line, 11);
    CHECK_EQ(ordered->functions.data[at + 1].start_line, 13);
    CHECK_EQ(ordered->functions.data[at + 2].start_line, 12);
    CHECK_EQ(ordered->functions.data[at + 3].start_line, 10);
    for (unsigned i = 0; i < CPROF_N_PSEUDO; i++)
        CHECK_EQ(cprof_stacks_pseudo_of(ordered, ordered->pseudo[i]), i);
    cprof_stacks_unref(ordered);
    cprof_stacks_unref(s);
}

static int make_ordered(void *arg)
{
    struct cprof_stacks *ordered;
    int r = cprof_stacks_ordered(arg, &ordered);

    if (r == 0)
        cprof_stacks_unref(ordered);
    return r;
}

static void test_a_stack_of_no_frames_has_a_frame_that_says_so(void)
{
    struct cprof_stacks *s;
    uint32_t stack, location;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(cprof_stacks_intern(s, NULL, 0, &stack), 0);
    location = s->nodes.data[stack].location;
    CHECK_EQ(cprof_stacks_pseudo_of(s, location), CPROF_PSEUDO_NO_STACK);
    CHECK_STR(cprof_stacks_text(
                  s, s->functions.data[cprof_stacks_leaf_function(s, stack)].name),
              "[no stack]");
    cprof_stacks_unref(s);
}

static void test_every_pseudo_frame_and_end_has_a_name_of_its_own(void)
{
    for (unsigned i = 0; i < CPROF_N_PSEUDO; i++) {
        CHECK_EQ(cprof_pseudo_name(i)[0], '[');
        for (unsigned k = 0; k < i; k++)
            CHECK(strcmp(cprof_pseudo_name(i), cprof_pseudo_name(k)));
    }
    for (unsigned i = 0; i < CPROF_N_ENDS; i++)
        CHECK(*cprof_end_name(i));
    CHECK_STR(cprof_pseudo_name(CPROF_N_PSEUDO), "");
    CHECK_STR(cprof_pseudo_name(CPROF_END_TRUNCATED), "[truncated]");
}

static void test_an_address_without_mapping_is_no_pseudo_frame(void)
{
    struct cprof_stacks *s;
    uint32_t location, again;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(cprof_stacks_location(s, 0, CPROF_NONE, &location), 0);
    CHECK_EQ(cprof_stacks_pseudo_of(s, location), -1);
    CHECK_EQ(cprof_stacks_location(s, 0, CPROF_NONE, &again), 0);
    CHECK_EQ(location, again);
    CHECK_EQ(cprof_stacks_location(s, 1, CPROF_NONE, &again), 0);
    CHECK(location != again);
    cprof_stacks_unref(s);
}

static void test_lines_are_replaced(void)
{
    struct cprof_line lines[3] = {{1, 0, 10}, {2, 0, 20}, {3, 0, 30}};
    const struct cprof_location *at;
    struct cprof_stacks *s;
    uint32_t location;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(cprof_stacks_location(s, 0x1234, CPROF_NONE, &location), 0);
    CHECK_EQ(cprof_stacks_set_lines(s, location, lines, 1), 0);
    CHECK_EQ(cprof_stacks_set_lines(s, location, lines, 3), 0);
    at = &s->locations.data[location];
    CHECK_EQ(at->n_lines, 3);
    CHECK_EQ(s->lines.data[at->first_line + 2].line, 30);
    CHECK_EQ(cprof_stacks_set_lines(s, location, lines + 1, 1), 0);
    CHECK_EQ(at->n_lines, 1);
    CHECK_EQ(s->lines.data[at->first_line].line, 20);
    CHECK_EQ(cprof_stacks_set_lines(s, location, NULL, 0), 0);
    CHECK_EQ(at->n_lines, 0);
    cprof_stacks_unref(s);
}

static void test_threads_differ_by_every_part_of_their_identity(void)
{
    struct cprof_label labels[2] = {{.key = 1, .text = 2}, {.key = 1, .number = 3}};
    struct cprof_thread t = {.pid = 1, .tid = 2}, other;
    uint32_t ids[7], again;
    struct cprof_stacks *s;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(cprof_stacks_thread(s, &t, NULL, 0, &ids[0]), 0);
    other = t, other.pid = 9;
    CHECK_EQ(cprof_stacks_thread(s, &other, NULL, 0, &ids[1]), 0);
    other = t, other.tid = 9;
    CHECK_EQ(cprof_stacks_thread(s, &other, NULL, 0, &ids[2]), 0);
    other = t, other.name = 1;
    CHECK_EQ(cprof_stacks_thread(s, &other, NULL, 0, &ids[3]), 0);
    other = t, other.comm = 1;
    CHECK_EQ(cprof_stacks_thread(s, &other, NULL, 0, &ids[4]), 0);
    CHECK_EQ(cprof_stacks_thread(s, &t, labels, 1, &ids[5]), 0);
    CHECK_EQ(cprof_stacks_thread(s, &t, labels, 2, &ids[6]), 0);
    for (uint32_t i = 0; i < 7; i++)
        CHECK_EQ(ids[i], i);
    CHECK_EQ(cprof_stacks_thread(s, &t, labels, 2, &again), 0);
    CHECK_EQ(again, ids[6]);
    CHECK_EQ(s->labels.n, 3);
    cprof_stacks_unref(s);
}

static void test_a_copy_stays_as_it_was(void)
{
    struct cprof_stacks *s, *copy;
    uint32_t stack, later;

    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(stack_named(s, "main;libx!a", &stack), 0);
    CHECK_EQ(cprof_stacks_copy(s, &copy), 0);
    CHECK_EQ(stack_named(s, "main;later", &later), 0);
    CHECK_EQ(copy->nodes.n, 2);
    CHECK_STR(
        cprof_stacks_text(
            copy, copy->functions.data[cprof_stacks_leaf_function(copy, stack)].name),
        "a");
    CHECK_STR(cprof_stacks_text(copy, copy->unknown), "[unknown]");
    CHECK_EQ(cprof_stacks_pseudo_of(copy, 3), 3);
    cprof_stacks_unref(s);
    CHECK_STR(cprof_stacks_text(copy, copy->mappings.data[1].file), "/lib/libx");
    cprof_stacks_unref(copy);
}

/* A string may be interned from the table's own text, which then moves. */
static void test_strings_from_their_own_table(void)
{
    struct cprof_strtab tab = {0};
    uint32_t id, part;

    CHECK_EQ(cprof_strtab_add(&tab, "cprof.event: cycles", &id), 0);
    for (int i = 0; i < 2000; i++) {
        char text[32];
        CHECK_EQ(cprof_strtab_add(&tab, cprof_strtab_get(&tab, id) + i % 19, &part), 0);
        CHECK_STR(cprof_strtab_get(&tab, part), "cprof.event: cycles" + i % 19);
        snprintf(text, sizeof(text), "filler %d", i);
        CHECK_EQ(cprof_strtab_add(&tab, text, &part), 0);
    }
    CHECK_EQ(cprof_strtab_add_n(&tab, cprof_strtab_get(&tab, id), 5, &part), 0);
    CHECK_STR(cprof_strtab_get(&tab, part), "cprof");
    cprof_strtab_deinit(&tab);
}

static int attempt(void *unused)
{
    struct cprof_stacks *s, *copy;
    uint32_t stack;
    int r = cprof_stacks_create(&s);

    (void)unused;
    if (r < 0)
        return r;
    r = stack_named(s, "main;a;libx!b;c+d;?", &stack);
    if (r >= 0) {
        r = cprof_stacks_copy(s, &copy);
        if (r >= 0)
            cprof_stacks_unref(copy);
    }
    cprof_stacks_unref(s);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    struct cprof_stacks *s;

    CHECK_EQ(sweep(attempt, NULL), 0);
    CHECK_EQ(cprof_stacks_create(&s), 0);
    CHECK_EQ(sweep(make_ordered, s), 0);
    cprof_stacks_unref(s);
}

int main(void)
{
    RUN(test_equal_stacks_are_one_and_share_callers);
    RUN(test_intern_agrees_with_nodes_laid_one_by_one);
    RUN(test_ordered_tables);
    RUN(test_a_stack_of_no_frames_has_a_frame_that_says_so);
    RUN(test_every_pseudo_frame_and_end_has_a_name_of_its_own);
    RUN(test_an_address_without_mapping_is_no_pseudo_frame);
    RUN(test_lines_are_replaced);
    RUN(test_threads_differ_by_every_part_of_their_identity);
    RUN(test_a_copy_stays_as_it_was);
    RUN(test_strings_from_their_own_table);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
