/* view: the trie of frames; the truth is each row's own frames, one by one. */
#include "view.h"

#include "profiles.h"
#include "test.h"

/* "outer;...;leaf" of a row by following its location's lines, without any trie. */
static void path_of_row(const struct cprof_profile *p, size_t row, char text[512])
{
    const struct cprof_stacks *s = p->stacks;
    char before[512];

    *text = '\0';
    for (uint32_t at = p->stack[row]; at != CPROF_NONE; at = s->nodes.data[at].parent) {
        const struct cprof_location *l = &s->locations.data[s->nodes.data[at].location];
        for (uint32_t i = 0; i < l->n_lines || !i; i++) {
            uint32_t name =
                l->n_lines
                    ? s->functions.data[s->lines.data[l->first_line + i].function].name
                    : s->unknown;
            snprintf(before, sizeof(before), "%s", text);
            snprintf(text, 512, "%s;%.400s", cprof_stacks_text(s, name), before);
        }
    }
}

static void path_of_node(const struct cprof_profile *p,
                         const struct cprof_frame_tree *tree, uint32_t node,
                         char text[512])
{
    char before[512];

    *text = '\0';
    for (; node != CPROF_NONE; node = tree->parent.data[node]) {
        uint32_t name = tree->frames.data[tree->frame.data[node]].name;
        snprintf(before, sizeof(before), "%s", text);
        snprintf(text, 512, "%s;%.400s", cprof_stacks_text(p->stacks, name), before);
    }
}

static void check_tree(const struct cprof_profile *p, const struct cprof_frame_tree *tree)
{
    for (uint32_t i = 0; i < tree->parent.n; i++)
        CHECK(tree->parent.data[i] == CPROF_NONE || tree->parent.data[i] < i);
    CHECK_EQ(tree->parent.n, tree->frame.n);
    for (size_t i = 0; i < p->n; i++) {
        char want[512], got[512];
        path_of_row(p, i, want);
        path_of_node(p, tree, tree->node[i], got);
        CHECK_STR(got, want);
    }
}

static void test_frame_tree_of_a_known_profile(void)
{
    struct cprof_frame_tree tree;
    struct cprof_profile *p;

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_frame_tree(p, false, &tree), 0);
    check_tree(p, &tree);
    CHECK_EQ(tree.parent.n, 8); /* main a b (b+i) i, libx!c, [truncated] libx!c, [lost] */
    CHECK_EQ(tree.frames.n, 7);
    CHECK_EQ(tree.node[0], tree.node[2]);
    CHECK_EQ(tree.parent.data[tree.node[3]], tree.node[0]); /* inlined into b */
    for (size_t i = 0; i < tree.frames.n; i++)
        CHECK_EQ(tree.frames.data[i].line, 0);
    cprof_frame_tree_deinit(&tree);
    cprof_profile_unref(p);
}

/* main;f with the lines of f that `lines` tells, one row each. */
static int lined_profile(struct cprof_profile **ret, const int64_t *lines, size_t n)
{
    struct cprof_profile *p = NULL;
    int r = profile_new(&p);

    for (size_t i = 0; i < n && r >= 0; i++) {
        struct cprof_row row = {.values = {1, 1}};
        struct cprof_line line = {0};
        uint32_t main_frame, location;
        char name[] = "main";
        if ((r = frame_named(p->stacks, name, &main_frame)) >= 0 &&
            (r = cprof_stacks_add_location(p->stacks, 0x2000 + i, 0, &location)) >= 0 &&
            (r = line_named(p->stacks, "f", p->stacks->mappings.data[0].module, &line)) >=
                0) {
            line.line = lines[i];
            r = cprof_stacks_set_lines(p->stacks, location, &line, 1);
        }
        if (r >= 0)
            r = cprof_stacks_intern(p->stacks, (uint32_t[]){location, main_frame}, 2,
                                    &row.stack);
        if (r >= 0 && i == 0)
            r = cprof_stacks_thread(p->stacks, &(struct cprof_thread){.pid = 7}, NULL, 0,
                                    &row.thread);
        if (r >= 0)
            r = cprof_profile_add(p, &row);
    }
    *ret = p;
    return r;
}

static void test_lines_are_told_apart_where_asked(void)
{
    static const int64_t LINES[] = {3, 9, 3};
    struct cprof_frame_tree tree;
    struct cprof_profile *p;

    CHECK_EQ(lined_profile(&p, LINES, 3), 0);
    CHECK_EQ(cprof_view_frame_tree(p, false, &tree), 0);
    check_tree(p, &tree);
    CHECK_EQ(tree.parent.n, 2);
    cprof_frame_tree_deinit(&tree);
    CHECK_EQ(cprof_view_frame_tree(p, true, &tree), 0);
    check_tree(p, &tree);
    CHECK_EQ(tree.parent.n, 3);
    CHECK_EQ(tree.node[0], tree.node[2]);
    CHECK_EQ(tree.frames.data[tree.frame.data[tree.node[0]]].line, 3);
    CHECK_EQ(tree.frames.data[tree.frame.data[tree.node[1]]].line, 9);
    CHECK_EQ(tree.frames.data[tree.frame.data[tree.node[1]]].mapping, 0);
    cprof_frame_tree_deinit(&tree);
    cprof_profile_unref(p);
}

static void test_a_view_has_only_its_own_frames(void)
{
    struct cprof_frame_tree tree;
    struct cprof_profile *p, *view;
    uint8_t mask[8] = {[4] = 1};

    CHECK_EQ(profile_sample(&p), 0);
    CHECK_EQ(cprof_view_select(p, mask, &view, NULL), 0);
    CHECK_EQ(view->n, 1);
    CHECK_EQ(view->time[0], p->time[4]);
    CHECK_EQ(cprof_profile_total(view, 1), 200);
    CHECK_EQ(cprof_view_frame_tree(view, false, &tree), 0);
    check_tree(view, &tree);
    CHECK_EQ(tree.parent.n, 2); /* main, libx!c */
    CHECK_EQ(tree.frames.n, 2);
    cprof_frame_tree_deinit(&tree);
    mask[4] = 0;
    cprof_profile_unref(view);
    CHECK_EQ(cprof_view_select(p, mask, &view, NULL), 0);
    CHECK_EQ(view->n, 0);
    CHECK_EQ(cprof_view_frame_tree(view, false, &tree), 0);
    CHECK_EQ(tree.parent.n, 0);
    cprof_frame_tree_deinit(&tree);
    cprof_profile_unref(view);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    uint8_t mask[8] = {1, 0, 0, 1, 1, 0, 0, 1};
    struct cprof_frame_tree tree;
    struct cprof_profile *p, *view = NULL;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    if ((r = cprof_view_select(p, mask, &view, NULL)) >= 0 &&
        (r = cprof_view_frame_tree(view, true, &tree)) >= 0)
        cprof_frame_tree_deinit(&tree);
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
    RUN(test_frame_tree_of_a_known_profile);
    RUN(test_lines_are_told_apart_where_asked);
    RUN(test_a_view_has_only_its_own_frames);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
