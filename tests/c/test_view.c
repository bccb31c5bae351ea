/* view: the truth is a sum made row by row and frame by frame, without the trie. */
#include "view.h"

#include <errno.h>

#include "profiles.h"
#include "test.h"

static const char *text(const struct cprof_profile *p, uint32_t string)
{
    return cprof_stacks_text(p->stacks, string);
}

/* The sum of one function, by "name" or "module!name"; NULL when it does not occur. */
static const struct cprof_frame_sum *find(const struct cprof_profile *p,
                                          const struct cprof_frame_sum *sums, size_t n,
                                          const char *module, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(text(p, sums[i].frame.name), name) &&
            !strcmp(text(p, sums[i].frame.module), module))
            return &sums[i];
    return NULL;
}

static void check_sum(const struct cprof_profile *p, const struct cprof_frame_sum *sums,
                      size_t n, const char *module, const char *name, int64_t self,
                      int64_t total)
{
    const struct cprof_frame_sum *sum = find(p, sums, n, module, name);

    CHECK(sum);
    if (sum) {
        CHECK_EQ(sum->self, self);
        CHECK_EQ(sum->total, total);
    }
}

static void test_functions_of_a_known_profile(void)
{
    struct cprof_frame_sum *sums;
    struct cprof_profile *p;
    size_t n;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    CHECK_EQ(n, 7);
    check_sum(p, sums, n, "", "[lost]", 500, 500);
    check_sum(p, sums, n, "prog", "b", 300, 400);
    check_sum(p, sums, n, "libx", "c", 270, 270);
    check_sum(p, sums, n, "prog", "i", 100, 100);
    check_sum(p, sums, n, "prog", "main", 0, 650);
    check_sum(p, sums, n, "prog", "a", 0, 400);
    check_sum(p, sums, n, "", "[truncated]", 0, 20);
    for (size_t i = 1; i < n; i++) /* by self, then by total */
        CHECK(sums[i - 1].self > sums[i].self ||
              (sums[i - 1].self == sums[i].self && sums[i - 1].total >= sums[i].total));
    free(sums);
    CHECK_EQ(cprof_view_functions(p, 2, &sums, &n), -EINVAL);
    cprof_profile_unref(p);
}

static void test_recursion_counts_a_row_once(void)
{
    struct cprof_frame_sum *sums;
    struct cprof_profile *p;
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;f;g;f;g;f", 10), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;f;g", 1), 0);
    CHECK_EQ(profile_row(p, 3, 7, "main;g+g", 100), 0);
    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    check_sum(p, sums, n, "prog", "f", 10, 11);
    check_sum(p, sums, n, "prog", "g", 101, 111);
    check_sum(p, sums, n, "prog", "main", 0, 111);
    free(sums);
    cprof_profile_unref(p);
}

static void test_places_without_a_name_are_unknown_in_their_module(void)
{
    struct cprof_frame_sum *sums;
    struct cprof_profile *p;
    uint32_t location;
    struct cprof_row row = {.values = {1, 4}};
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;?", 1), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;libx!?", 2), 0);
    CHECK_EQ(cprof_stacks_location(p->stacks, 99, CPROF_NONE, &location), 0);
    CHECK_EQ(cprof_stacks_node(p->stacks, CPROF_NONE, location, &row.stack), 0);
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    check_sum(p, sums, n, "prog", "[unknown]", 1, 1);
    check_sum(p, sums, n, "libx", "[unknown]", 2, 2);
    check_sum(p, sums, n, "", "[unknown]", 4, 4);
    CHECK_EQ(n, 4);
    free(sums);
    cprof_profile_unref(p);
}

static void test_functions_agree_with_a_sum_by_rows(void)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct cprof_frame_sum *sums;
        struct cprof_profile *p;
        size_t n;

        CHECK_EQ(random_profile(seed, &p), 0);
        CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
        for (size_t i = 0; i < n; i++) {
            int64_t self = 0, total = 0;
            for (size_t row = 0; row < p->n; row++) {
                uint32_t frames[64][2];
                size_t n_frames = frames_of(p, row, frames), is_in = 0;
                for (size_t k = 0; k < n_frames; k++) {
                    bool is_it = frames[k][0] == sums[i].frame.name &&
                                 frames[k][1] == sums[i].frame.module;
                    is_in |= is_it;
                    self += !k && is_it ? p->values[1][row] : 0;
                }
                total += is_in ? p->values[1][row] : 0;
            }
            CHECK_EQ(sums[i].self, self);
            CHECK_EQ(sums[i].total, total);
        }
        free(sums);
        cprof_profile_unref(p);
    }
}

/* The node of a row's path, by walking down the tree by name. */
static size_t walk_down(const struct cprof_tree_node *tree, size_t n,
                        uint32_t (*frames)[2], size_t n_frames)
{
    size_t at = 0;

    while (n_frames--) {
        size_t child = at + 1;
        while (child < n &&
               !(tree[child].parent == at && tree[child].name == frames[n_frames][0] &&
                 tree[child].module == frames[n_frames][1]))
            child++;
        at = child < n ? child : 0;
    }
    return at;
}

static void check_tree_shape(const struct cprof_profile *p,
                             const struct cprof_tree_node *tree, size_t n)
{
    CHECK_EQ(tree[0].parent, CPROF_NONE);
    CHECK_EQ(tree[0].total, cprof_profile_total(p, 1));
    for (size_t i = 1; i < n; i++) {
        int64_t below = tree[i].self;
        int64_t last = INT64_MAX;
        CHECK(tree[i].parent < i);
        CHECK_EQ(tree[i].depth, tree[tree[i].parent].depth + 1);
        for (size_t k = i + 1; k < n; k++) {
            if (tree[k].parent != i)
                continue;
            CHECK(tree[k].total <= last);
            last = tree[k].total;
            below += tree[k].total;
        }
        CHECK_EQ(tree[i].total, below);
    }
}

static void test_tree_agrees_with_a_sum_by_rows(void)
{
    for (uint64_t seed = 1; seed < 6; seed++) {
        struct cprof_tree_node *tree;
        struct cprof_profile *p;
        size_t n;
        int64_t *self;

        CHECK_EQ(random_profile(seed, &p), 0);
        CHECK_EQ(cprof_view_tree(p, 1, &tree, &n), 0);
        check_tree_shape(p, tree, n);
        self = calloc(n, sizeof(*self));
        for (size_t row = 0; row < p->n; row++) {
            uint32_t frames[64][2];
            size_t n_frames = frames_of(p, row, frames);
            size_t at = walk_down(tree, n, frames, n_frames);
            CHECK_EQ(tree[at].depth, n_frames);
            self[at] += p->values[1][row];
        }
        for (size_t i = 0; i < n; i++)
            CHECK_EQ(tree[i].self, self[i]);
        free(self);
        free(tree);
        cprof_profile_unref(p);
    }
}

static void test_very_deep_stacks(void)
{
    enum { DEPTH = 200000 };
    uint32_t *frames = malloc(DEPTH * sizeof(*frames)), a, b;
    struct cprof_row row = {.values = {1, 10}};
    struct cprof_frame_sum *sums;
    struct cprof_tree_node *tree;
    struct cprof_profile *p;
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(stack_named(p->stacks, "main", &a), 0);
    CHECK_EQ(stack_named(p->stacks, "main;b", &b), 0);
    for (int i = 0; i < DEPTH; i++)
        frames[i] = p->stacks->nodes.data[b].location;
    frames[DEPTH - 1] = p->stacks->nodes.data[a].location;
    CHECK_EQ(cprof_stacks_intern(p->stacks, frames, DEPTH, &row.stack), 0);
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK_EQ(cprof_view_functions(p, 1, &sums, &n), 0);
    CHECK_EQ(n, 2);
    check_sum(p, sums, n, "prog", "b", 10, 10);
    free(sums);
    CHECK_EQ(cprof_view_tree(p, 1, &tree, &n), 0);
    CHECK_EQ(n, DEPTH + 1);
    CHECK_EQ(tree[DEPTH].depth, DEPTH);
    CHECK_EQ(tree[DEPTH].self, 10);
    free(tree);
    free(frames);
    cprof_profile_unref(p);
}

static void test_an_empty_profile_has_an_empty_tree(void)
{
    struct cprof_frame_sum *sums;
    struct cprof_tree_node *tree;
    struct cprof_profile *p;
    size_t n;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(cprof_view_functions(p, 0, &sums, &n), 0);
    CHECK_EQ(n, 0);
    free(sums);
    CHECK_EQ(cprof_view_tree(p, 0, &tree, &n), 0);
    CHECK_EQ(n, 1);
    CHECK_EQ(tree[0].total, 0);
    free(tree);
    cprof_profile_unref(p);
}

/* Rows of a window by looking at every time. */
static size_t count_within(const struct cprof_profile *p, uint64_t start, uint64_t end)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += p->time[i] >= start && p->time[i] < end;
    return n;
}

static void check_windows(const struct cprof_profile *p)
{
    for (int a = -1; a < 12; a++) {
        for (int b = a; b < 13; b++) {
            uint64_t start = p->run.start_mono + (uint64_t)(a * 1000000000ll);
            uint64_t end = p->run.start_mono + (uint64_t)(b * 1000000000ll);
            double from = a < 0 ? 0 : a, to = b > 10 ? 10 : b;
            struct cprof_profile *view;
            CHECK_EQ(cprof_view_window(p, start, end, &view, NULL), 0);
            CHECK_EQ(view->n, count_within(p, start, end));
            CHECK(view->to >= view->from);
            if (a < 10 && b > 0)
                CHECK(view->from == from && view->to == (to > from ? to : from));
            CHECK(view->stacks == p->stacks);
            cprof_profile_unref(view);
        }
    }
}

static void test_windows_hold_what_lies_in_them(void)
{
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(
        cprof_vec_push(&p->marks, (struct cprof_mark){.time = 1005000000000, .n = 1}), 0);
    check_windows(p);
    CHECK_EQ(cprof_view_window(p, 1005000000000, 1008000000000, &view, NULL), 0);
    CHECK_EQ(cprof_profile_total(view, 1), 270);
    CHECK_EQ(view->marks.n, 1);
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_window(p, 1005000000001, 1008000000000, &view, NULL), 0);
    CHECK_EQ(view->marks.n, 0);
    cprof_profile_unref(view);
    CHECK_EQ(profile_row(p, 2.5, 7, "main;a", 1), 0); /* now it is not in order of time */
    check_windows(p);
    cprof_profile_unref(p);
}

static void test_no_window_without_times(void)
{
    struct cprof_error err;
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_sample(&p), 0);
    p->run.has_times = false;
    CHECK_EQ(cprof_view_window(p, 0, 1, &view, &err), -ENODATA);
    CHECK(strstr(err.message, "no times"));
    cprof_profile_unref(p);
}

static int64_t filtered_cpu(const struct cprof_profile *p, struct cprof_filter filter)
{
    struct cprof_profile *view;
    int64_t cpu;

    CHECK_EQ(cprof_view_filter(p, &filter, &view, NULL), 0);
    cpu = cprof_profile_total(view, 1);
    cprof_profile_unref(view);
    return cpu;
}

static void test_filters_keep_what_they_say(void)
{
    uint8_t thread[2] = {0, 1}, module[2] = {0, 1}, under[64] = {0};
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(p->stacks->threads.n, 2);
    CHECK_EQ(p->stacks->mappings.n, 2);
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){0}), 1170);
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){.thread = thread}), 200);
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){.module = module}), 270);
    for (size_t i = 0; i < p->stacks->functions.n; i++)
        under[i] = !strcmp(text(p, p->stacks->functions.data[i].name), "a");
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){.under = under}), 400);
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){.under = under, .thread = thread}),
             200);
    for (size_t i = 0; i < p->stacks->functions.n; i++) /* an inlined function */
        under[i] = !strcmp(text(p, p->stacks->functions.data[i].name), "i");
    CHECK_EQ(filtered_cpu(p, (struct cprof_filter){.under = under}), 100);
    cprof_profile_unref(p);
}

static void test_a_part_forgets_the_counts_of_the_whole(void)
{
    struct cprof_profile *p, *part, *whole;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;a", 1), 0);
    CHECK_EQ(profile_row(p, 2, 7, "main;b", 1), 0);
    p->run.cpu_time = 1000;
    p->run.n_switches = 17;
    p->run.n_verified = p->run.n_agreed = p->run.n_waited = p->run.n_live_dropped = 3;
    CHECK_EQ(cprof_view_window(p, p->time[1], UINT64_MAX, &part, NULL), 0);
    CHECK_EQ(part->n, 1);
    CHECK_EQ(part->run.cpu_time, 0);
    CHECK_EQ(part->run.n_switches, 0);
    CHECK_EQ(part->run.n_verified + part->run.n_agreed, 0);
    CHECK_EQ(part->run.n_waited + part->run.n_live_dropped, 0);
    cprof_profile_unref(part);
    CHECK_EQ(cprof_view_window(p, 0, UINT64_MAX, &whole, NULL), 0);
    CHECK_EQ(whole->run.cpu_time, 1000);
    CHECK_EQ(whole->run.n_switches, 17);
    CHECK_EQ(whole->run.n_live_dropped, 3);
    cprof_profile_unref(whole);
    cprof_profile_unref(p);
}

static void test_views_keep_how_a_stack_was_found(void)
{
    uint8_t keep[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct cprof_filter filter = {.thread = keep};
    struct cprof_profile *p, *views[3];
    struct cprof_row row = {
        .how = CPROF_HOW_SPLICED | CPROF_HOW_GUESSED, .n_added = 70, .values = {1, 5}};

    CHECK_EQ(profile_sample(&p), 0);
    row.time = p->time[2];
    row.stack = p->stack[2];
    CHECK_EQ(cprof_profile_add(p, &row), 0);
    CHECK_EQ(cprof_view_window(p, row.time, row.time + 1, &views[0], NULL), 0);
    CHECK_EQ(cprof_view_filter(p, &filter, &views[1], NULL), 0);
    CHECK_EQ(cprof_view_with_comments(p, NULL, 0, &views[2], NULL), 0);
    for (int i = 0; i < 3; i++) {
        size_t last = views[i]->n - 1;
        CHECK_EQ(cprof_profile_how(views[i], last), row.how);
        CHECK_EQ(cprof_profile_n_added(views[i], last), 70);
        CHECK_EQ(cprof_profile_how(views[i], 0), 0);
        cprof_profile_unref(views[i]);
    }
    cprof_profile_unref(p);
}

static void test_comments_are_added_to_a_copy(void)
{
    const char *const comments[] = {"one", "two"};
    struct cprof_profile *p, *view;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_profile_add_comment(p, "zero"), 0);
    CHECK_EQ(cprof_view_with_comments(p, comments, 2, &view, NULL), 0);
    CHECK_EQ(p->comments.n, 1);
    CHECK_EQ(view->comments.n, 3);
    CHECK_STR(text(view, view->comments.data[0]), "zero");
    CHECK_STR(text(view, view->comments.data[2]), "two");
    CHECK_EQ(cprof_profile_total(view, 1), 1170);
    cprof_profile_unref(p);
    cprof_profile_unref(view);
}

static void test_leaf_functions_by_row(void)
{
    struct cprof_profile *p;
    uint32_t *leaves;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(profile_row(p, 9, 7, "main;?", 1), 0);
    CHECK_EQ(cprof_view_leaf_functions(p, &leaves), 0);
    CHECK_STR(text(p, p->stacks->functions.data[leaves[0]].name), "b");
    CHECK_STR(text(p, p->stacks->functions.data[leaves[3]].name), "i");
    CHECK_EQ(leaves[8], CPROF_NONE);
    free(leaves);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    struct cprof_frame_sum *sums;
    struct cprof_tree_node *tree;
    struct cprof_filter filter = {0};
    struct cprof_profile *p, *view;
    uint8_t under[64] = {0, 1, 1};
    size_t n;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    filter.under = under;
    if ((r = cprof_view_functions(p, 1, &sums, &n)) >= 0)
        free(sums);
    if (r >= 0 && (r = cprof_view_tree(p, 1, &tree, &n)) >= 0)
        free(tree);
    if (r >= 0 && (r = cprof_view_filter(p, &filter, &view, NULL)) >= 0)
        cprof_profile_unref(view);
    if (r >= 0 && (r = cprof_view_window(p, 0, UINT64_MAX, &view, NULL)) >= 0)
        cprof_profile_unref(view);
    cprof_profile_unref(p);
    return r;
}

static void test_out_of_memory_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_functions_of_a_known_profile);
    RUN(test_recursion_counts_a_row_once);
    RUN(test_places_without_a_name_are_unknown_in_their_module);
    RUN(test_functions_agree_with_a_sum_by_rows);
    RUN(test_tree_agrees_with_a_sum_by_rows);
    RUN(test_very_deep_stacks);
    RUN(test_an_empty_profile_has_an_empty_tree);
    RUN(test_windows_hold_what_lies_in_them);
    RUN(test_no_window_without_times);
    RUN(test_filters_keep_what_they_say);
    RUN(test_a_part_forgets_the_counts_of_the_whole);
    RUN(test_views_keep_how_a_stack_was_found);
    RUN(test_comments_are_added_to_a_copy);
    RUN(test_leaf_functions_by_row);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
