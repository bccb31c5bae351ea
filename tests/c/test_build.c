/* build: the truth is written out beside the tables; hostile tables are the good ones
 * with one thing wrong. */
#include "build.h"

#include <errno.h>

#include "test.h"
#include "view.h"

enum { NONE = CPROF_NONE };

/* main;work+inlined and main;work, a lost sample, and a location without lines. */
struct small {
    struct cprof_build_type types[2];
    struct cprof_build_mapping mappings[1];
    struct cprof_build_function functions[4];
    uint64_t address[4];
    uint32_t mapping[4];
    uint8_t is_folded[4];
    uint32_t line_location[4], line_function[4], line_column[4];
    int64_t line[4];
    uint32_t parent[4], location[4];
    struct cprof_build_label labels[2];
    struct cprof_build_thread threads[3];
    uint64_t time[4];
    uint32_t thread[4], stack[4];
    int32_t cpu[4];
    uint8_t how[4];
    uint16_t n_added[4];
    int64_t values[4];
    struct cprof_tables t;
};

static const struct small SMALL = {
    .types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
    .mappings = {{0x1000, 0x9000, 0, "/bin/prog", "prog", "abcd", "", 3}},
    .functions = {{"main", "main", "m.c", "prog", 1},
                  {"work()", "_Z4workv", "w.c", "prog", 10},
                  {"inlined", "inlined", "w.c", "prog", 20},
                  {"[lost]", "[lost]", "", "", 0}},
    .address = {0x1100, 0x1200, 0, 0x1300},
    .mapping = {0, 0, NONE, 0},
    .is_folded = {0, 0, 0, 1},
    .line_location = {0, 1, 1, 2},
    .line_function = {0, 2, 1, 3},
    .line_column = {0, 5, 6, 0},
    .line = {2, 21, 12, 0},
    .parent = {NONE, 0, NONE, 1},
    .location = {0, 1, 2, 3},
    .labels = {{"kind", "blue", "", 0}, {"size", NULL, "bytes", 4096}},
    .threads = {{7, 8, "t", "prog", NULL, 2},
                {7, 9, "u", "prog", NULL, 0},
                {-1, -1, "[lost]", "[lost]", NULL, 0}},
    .time = {100, 200, 300, 400},
    .thread = {0, 1, 2, 0},
    .stack = {1, 0, 2, 3},
    .cpu = {0, 1, -1, 3},
    .how = {0, 2, 0, 0},
    .n_added = {0, 0, 0, 9},
    .values = {10, 20, 30, 40},
};

static void small_init(struct small *s)
{
    *s = SMALL;
    s->threads[0].labels = s->labels;
    s->t = (struct cprof_tables){.name = "small",
                                 .types = s->types,
                                 .n_types = 2,
                                 .mappings = s->mappings,
                                 .n_mappings = 1,
                                 .functions = s->functions,
                                 .n_functions = 4,
                                 .address = s->address,
                                 .mapping = s->mapping,
                                 .is_folded = s->is_folded,
                                 .n_locations = 4,
                                 .line_location = s->line_location,
                                 .line_function = s->line_function,
                                 .line_column = s->line_column,
                                 .line = s->line,
                                 .n_lines = 4,
                                 .parent = s->parent,
                                 .location = s->location,
                                 .n_nodes = 4,
                                 .threads = s->threads,
                                 .n_threads = 3,
                                 .time = s->time,
                                 .thread = s->thread,
                                 .stack = s->stack,
                                 .cpu = s->cpu,
                                 .how = s->how,
                                 .n_added = s->n_added,
                                 .values = {NULL, s->values},
                                 .n_rows = 4};
}

static const char *text(const struct cprof_profile *p, uint32_t string)
{
    return cprof_stacks_text(p->stacks, string);
}

static void test_everything_arrives(void)
{
    struct cprof_profile *p;
    const struct cprof_stacks *st;
    struct small s;

    small_init(&s);
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    st = p->stacks;
    CHECK_EQ(p->n, 4);
    CHECK_EQ(p->n_types, 2);
    CHECK_STR(text(p, p->types[1].unit), "nanoseconds");
    CHECK(p->run.has_times);
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(p->time[i], s.time[i]);
        CHECK_EQ(p->thread[i], s.thread[i]);
        CHECK_EQ(p->stack[i], s.stack[i]);
        CHECK_EQ(p->cpu[i], s.cpu[i]);
        CHECK_EQ(p->pid[i], s.threads[s.thread[i]].pid);
        CHECK_EQ(p->tid[i], s.threads[s.thread[i]].tid);
        CHECK_EQ(cprof_profile_how(p, i), s.how[i]);
        CHECK_EQ(cprof_profile_n_added(p, i), s.n_added[i]);
        CHECK_EQ(cprof_profile_value(p, 0, i), 1);
        CHECK_EQ(cprof_profile_value(p, 1, i), s.values[i]);
    }
    CHECK_EQ(st->mappings.n, 1);
    CHECK_STR(text(p, st->mappings.data[0].build_id), "abcd");
    CHECK(st->mappings.data[0].has_functions && st->mappings.data[0].has_filenames);
    CHECK(!st->mappings.data[0].has_inline_frames);
    CHECK_EQ(st->nodes.n, 4);
    CHECK_EQ(st->nodes.data[3].parent, 1);
    CHECK_EQ(st->nodes.data[2].location, st->pseudo[CPROF_PSEUDO_LOST]);
    CHECK(st->locations.data[st->nodes.data[3].location].is_folded);
    CHECK_EQ(st->locations.data[st->nodes.data[3].location].n_lines, 0);
    CHECK_EQ(st->threads.data[0].n_labels, 2);
    CHECK_EQ(st->labels.data[1].number, 4096);
    CHECK_STR(text(p, st->labels.data[0].text), "blue");
    CHECK_STR(text(p, st->labels.data[1].unit), "bytes");
    cprof_profile_unref(p);
}

static void test_lines_keep_their_order(void)
{
    struct cprof_profile *p;
    const struct cprof_location *at;
    const struct cprof_line *line;
    struct small s;

    small_init(&s);
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    at = &p->stacks->locations.data[p->stacks->nodes.data[1].location];
    CHECK_EQ(at->address, 0x1200);
    CHECK_EQ(at->n_lines, 2);
    line = &p->stacks->lines.data[at->first_line];
    CHECK_STR(text(p, p->stacks->functions.data[line[0].function].name), "inlined");
    CHECK_STR(text(p, p->stacks->functions.data[line[1].function].name), "work()");
    CHECK_STR(text(p, p->stacks->functions.data[line[1].function].system_name),
              "_Z4workv");
    CHECK_EQ(line[0].line, 21);
    CHECK_EQ(line[0].column, 5);
    cprof_profile_unref(p);
}

/* The reason for a pseudo frame to be one: quality counts it. */
static void test_quality_knows_what_was_lost(void)
{
    struct cprof_quality q;
    struct cprof_profile *p;
    struct small s;

    small_init(&s);
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    CHECK_EQ(cprof_profile_quality(p, &q), 0);
    CHECK_EQ(q.n_samples, 3);
    CHECK_EQ(q.n_lost, 1);
    CHECK_EQ(q.n_guessed, 1);
    CHECK_EQ(q.ends[CPROF_END_ROOT], 3);
    cprof_profile_unref(p);
}

static void test_optional_columns(void)
{
    struct cprof_profile *p;
    struct small s;

    small_init(&s);
    s.t.time = NULL;
    s.t.cpu = NULL;
    s.t.how = NULL;
    s.t.n_added = NULL;
    s.t.is_folded = NULL;
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    CHECK(!p->run.has_times);
    CHECK_EQ(p->time[3], 0);
    CHECK_EQ(p->cpu[3], -1);
    CHECK_EQ(cprof_profile_how(p, 1), 0);
    cprof_profile_unref(p);
}

static void test_equal_functions_and_threads_become_one(void)
{
    struct cprof_profile *p;
    struct small s;

    small_init(&s);
    s.functions[2] = s.functions[0];
    s.threads[1] = s.threads[0];
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    CHECK_EQ(p->stacks->threads.n, 2);
    CHECK_EQ(p->stacks->functions.n, CPROF_N_PSEUDO + 2);
    CHECK_EQ(p->thread[1], 0);
    CHECK_EQ(p->thread[2], 1);
    cprof_profile_unref(p);
}

static void test_no_rows_is_an_empty_profile(void)
{
    struct cprof_tables t = {.name = "none"};
    struct cprof_build_type type = {"cpu", "nanoseconds"};
    struct cprof_profile *p = NULL;

    CHECK_EQ(cprof_build(&t, &p, NULL), -EBADMSG); /* not even a sample type */
    CHECK(!p);
    t.types = &type;
    t.n_types = 1;
    CHECK_EQ(cprof_build(&t, &p, NULL), 0);
    CHECK_EQ(p->n, 0);
    cprof_profile_unref(p);
}

/* Each entry makes one thing wrong. */
static void no_such_mapping(struct small *s)
{
    s->mapping[1] = 1;
}
static void no_such_function(struct small *s)
{
    s->line_function[2] = 4;
}
static void no_such_pseudo_function(struct small *s)
{
    s->line_function[3] = 0xfffffffe;
}
static void no_such_location(struct small *s)
{
    s->location[0] = 4;
}
static void no_such_thread(struct small *s)
{
    s->thread[3] = 3;
}
static void no_such_stack(struct small *s)
{
    s->stack[0] = NONE;
}
static void parent_is_self(struct small *s)
{
    s->parent[2] = 2;
}
static void parent_is_later(struct small *s)
{
    s->parent[0] = 1;
}
static void lines_out_of_order(struct small *s)
{
    s->line_location[0] = 2;
}
static void line_of_no_location(struct small *s)
{
    s->line_location[3] = 4;
}
static void many_types(struct small *s)
{
    s->t.n_types = CPROF_MAX_SAMPLE_TYPES + 1;
}
static void many_nodes(struct small *s)
{
    s->t.n_nodes = 0xfffffffeu;
}

static void test_what_does_not_fit_is_refused(void)
{
    static const struct {
        void (*spoil)(struct small *s);
        const char *says;
    } cases[] = {
        {no_such_mapping, "location 1 refers to mapping 1, but there are 1"},
        {no_such_function, "line 2 refers to function 4, but there are 4"},
        {no_such_pseudo_function, "line 3 refers to function 4294967294"},
        {no_such_location, "node 0 refers to location 4"},
        {no_such_thread, "row 3 refers to thread 3, but there are 3"},
        {no_such_stack, "row 0 refers to stack 4294967295"},
        {parent_is_self, "node 2 comes before its caller, node 2"},
        {parent_is_later, "node 0 comes before its caller, node 1"},
        {lines_out_of_order, "line 1 belongs to location 1, out of order"},
        {line_of_no_location, "line 3 belongs to location 4, out of order"},
        {many_types, "has 17 sample types; at most 16"},
        {many_nodes, "nodes, more than can be numbered"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cprof_profile *p = NULL;
        struct cprof_error err;
        struct small s;

        small_init(&s);
        cases[i].spoil(&s);
        CHECK_EQ(cprof_build(&s.t, &p, &err), -EBADMSG);
        CHECK(!p);
        CHECK(!strncmp(err.message, "build: small: ", 14));
        CHECK(strstr(err.message, cases[i].says));
    }
}

/* Whatever a number is: an error, or a profile that every view can walk. */
static void walk(const struct small *s)
{
    struct cprof_frame_sum *sums = NULL;
    struct cprof_tree_node *tree = NULL;
    struct cprof_quality q;
    struct cprof_profile *p;
    size_t n;

    if (cprof_build(&s->t, &p, NULL) < 0)
        return;
    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    CHECK_EQ(cprof_view_tree(p, 1, &tree, &n), 0);
    CHECK_EQ(cprof_profile_quality(p, &q), 0);
    free(sums);
    free(tree);
    cprof_profile_unref(p);
}

static void test_any_number_anywhere(void)
{
    static const uint32_t NUMBERS[] = {0, 1, 2, 3, 4, 0x7fffffff, 0xfffffffe, NONE};
    const size_t columns[] = {
        offsetof(struct small, mapping),       offsetof(struct small, line_location),
        offsetof(struct small, line_function), offsetof(struct small, parent),
        offsetof(struct small, location),      offsetof(struct small, thread),
        offsetof(struct small, stack)};
    size_t n_numbers = sizeof(NUMBERS) / sizeof(NUMBERS[0]);
    uint32_t seed = 1;

    for (int i = 0; i < 20000; i++) {
        struct small s;
        small_init(&s);
        for (int k = 0; k < 3; k++) {
            uint32_t *column;
            seed = seed * 1664525 + 1013904223;
            column = (void *)((char *)&s + columns[(seed >> 8) % 7]);
            column[seed >> 16 & 3] = NUMBERS[(seed >> 24) % n_numbers];
        }
        walk(&s);
    }
}

static void check_column(const struct cprof_profile *p, enum cprof_build_column column,
                         size_t first, const void *want, size_t n, size_t size)
{
    size_t n_got;
    void *got;

    CHECK_EQ(cprof_build_column(p->stacks, column, first, &got, &n_got), 0);
    CHECK_EQ(n_got, n);
    CHECK(n_got != n || !memcmp(got, want, n * size));
    free(got);
}

/* Locations are those of the pseudo frames first; theirs are 3 of ours. */
static void test_the_other_way(void)
{
    const uint64_t address[] = {0x1100, 0x1200, 0x1300};
    const uint8_t is_folded[] = {0, 0, 1};
    const uint32_t n = CPROF_N_PSEUDO, of[] = {n, n + 1, n + 1};
    const uint32_t functions[] = {n, n + 2, n + 1}, columns[] = {0, 5, 6};
    const uint32_t location[] = {n + 1, CPROF_PSEUDO_LOST, n + 2},
                   parent[] = {0, NONE, 1};
    const int64_t line[] = {2, 21, 12};
    struct cprof_profile *p;
    struct small s;

    small_init(&s);
    CHECK_EQ(cprof_build(&s.t, &p, NULL), 0);
    check_column(p, CPROF_BUILD_ADDRESS, n, address, 3, 8);
    check_column(p, CPROF_BUILD_MAPPING, n, s.mapping, 2 + 1, 0);
    check_column(p, CPROF_BUILD_IS_FOLDED, n, is_folded, 3, 1);
    check_column(p, CPROF_BUILD_LINE_LOCATION, n, of, 3, 4);
    check_column(p, CPROF_BUILD_LINE_FUNCTION, n, functions, 3, 4);
    check_column(p, CPROF_BUILD_LINE, n, line, 3, 8);
    check_column(p, CPROF_BUILD_LINE_COLUMN, n, columns, 3, 4);
    check_column(p, CPROF_BUILD_PARENT, 1, parent, 3, 4);
    check_column(p, CPROF_BUILD_LOCATION, 1, location, 3, 4);
    check_column(p, CPROF_BUILD_PARENT, 99, parent, 0, 4);
    cprof_profile_unref(p);
}

static int build_small(void *arg)
{
    struct cprof_profile *p;
    struct small s;
    void *column;
    size_t n;
    int r;

    small_init(&s);
    r = cprof_build(&s.t, &p, arg);
    if (r < 0)
        return r;
    r = cprof_build_column(p->stacks, CPROF_BUILD_ADDRESS, 0, &column, &n);
    if (r == 0)
        free(column);
    cprof_profile_unref(p);
    return r;
}

static void test_allocations_fail(void)
{
    struct cprof_error err;

    CHECK_EQ(sweep(build_small, &err), 0);
}

int main(void)
{
    RUN(test_everything_arrives);
    RUN(test_lines_keep_their_order);
    RUN(test_quality_knows_what_was_lost);
    RUN(test_optional_columns);
    RUN(test_equal_functions_and_threads_become_one);
    RUN(test_no_rows_is_an_empty_profile);
    RUN(test_what_does_not_fit_is_refused);
    RUN(test_any_number_anywhere);
    RUN(test_the_other_way);
    RUN(test_allocations_fail);
    return test_report(__FILE__);
}
