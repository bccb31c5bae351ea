/* view: rows and frames that match. What go tool pprof leaves of real files is compared
 * in tests/integration/test_pprof_views.py; here are stacks small enough to be read. */
#include "view.h"

#include "profiles.h"
#include "test.h"

enum { MAX_MASK = 64 };

struct mask {
    uint8_t functions[MAX_MASK], mappings[MAX_MASK];
};

static bool is_word_of(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = words; (at = strstr(at, word)); at++)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

/* The functions whose names are in `names` ("a b"), and the mapping of module `module`.
 */
static struct cprof_matches matches(const struct cprof_profile *p, struct mask *mask,
                                    const char *names, const char *module)
{
    const struct cprof_stacks *s = p->stacks;

    memset(mask, 0, sizeof(*mask));
    for (size_t i = 0; i < s->functions.n; i++)
        mask->functions[i] =
            is_word_of(names, cprof_stacks_text(s, s->functions.data[i].name));
    for (size_t i = 0; i < s->mappings.n; i++)
        mask->mappings[i] =
            !strcmp(cprof_stacks_text(s, s->mappings.data[i].module), module);
    return (struct cprof_matches){mask->functions, mask->mappings};
}

/* "outer;...;leaf" of a row. */
static const char *stack_of(const struct cprof_profile *p, size_t row, char text[512])
{
    uint32_t frames[64][2];
    size_t n = frames_of(p, row, frames);

    *text = '\0';
    while (n--) {
        strcat(text, cprof_stacks_text(p->stacks, frames[n][0]));
        strcat(text, n ? ";" : "");
    }
    return text;
}

/* One row of value 10 with `stack`, refined, is the stack `want`; NULL: it goes. */
static void check(const char *stack, const struct cprof_refinement *how,
                  struct cprof_profile *p, const char *want)
{
    struct cprof_profile *view;
    char text[512];

    CHECK_EQ(cprof_view_refine(p, how, &view, NULL), 0);
    if (view->n != !!want)
        fprintf(stderr, "of %s\n", stack);
    CHECK_EQ(view->n, !!want);
    if (want && view->n) {
        CHECK_STR(stack_of(view, 0, text), want);
        CHECK_EQ(cprof_profile_total(view, 1), 10);
        CHECK_EQ(view->time[0], p->time[0]);
        CHECK_EQ(view->thread[0], p->thread[0]);
    }
    CHECK_STR(stack_of(p, 0, text), stack); /* the profile itself stays */
    cprof_profile_unref(view);
}

enum option { DROP, IGNORE, FOCUS, HIDE, SHOW, SHOW_FROM, PRUNE_FROM };

static void refine(const char *frames, const char *stack, enum option option,
                   const char *names, const char *module, const char *want)
{
    struct cprof_refinement how = {0};
    struct cprof_matches *const to[] = {&how.drop,      &how.ignore, &how.focus,
                                        &how.hide,      &how.show,   &how.show_from,
                                        &how.prune_from};
    struct cprof_profile *p;
    struct mask mask;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, frames, 10), 0);
    *to[option] = matches(p, &mask, names, module);
    check(stack, &how, p, want);
    cprof_profile_unref(p);
}

static void test_each_option_by_itself(void)
{
    static const char S[] = "main;a;b;a;c";

    refine(S, S, FOCUS, "b", "", S);
    refine(S, S, FOCUS, "x", "", NULL);
    refine(S, S, FOCUS, "", "prog", S);
    refine(S, S, IGNORE, "b", "", NULL);
    refine(S, S, IGNORE, "x", "", S);
    refine(S, S, IGNORE, "", "prog", NULL);
    refine(S, S, HIDE, "a", "", "main;b;c");
    refine(S, S, HIDE, "c", "", "main;a;b;a");
    refine(S, S, HIDE, "main a b c", "", NULL);
    refine(S, S, SHOW, "a c", "", "a;a;c");
    refine(S, S, SHOW, "x", "", NULL);
    refine(S, S, SHOW_FROM, "a", "", "a;b;a;c");
    refine(S, S, SHOW_FROM, "c", "", "c");
    refine(S, S, SHOW_FROM, "x", "", NULL);
    refine(S, S, PRUNE_FROM, "a", "", "main;a;b;a");
    refine(S, S, PRUNE_FROM, "main", "", "main");
    refine(S, S, PRUNE_FROM, "x", "", S);
    refine(S, S, DROP, "b", "", "main;a");
    refine(S, S, DROP, "main b", "", "main;a"); /* not before the first other frame */
    refine(S, S, DROP, "main a b c", "", S);
    refine(S, S, DROP, "", "prog", S); /* by functions alone */
}

static void test_inlined_functions_are_frames_of_their_own(void)
{
    static const char F[] = "main;a+b;d+c", S[] = "main;a;b;d;c";

    refine(F, S, HIDE, "b", "", "main;a;d;c");
    refine(F, S, HIDE, "a b", "", "main;d;c");
    refine(F, S, SHOW, "b d", "", "b;d");
    refine(F, S, SHOW_FROM, "b", "", "b;d;c");
    refine(F, S, SHOW_FROM, "d", "", "d;c");
    refine(F, S, PRUNE_FROM, "d", "", "main;a;b;d");
    refine(F, S, PRUNE_FROM, "b d", "", "main;a;b;d");
    refine(F, S, DROP, "b", "", "main;a");
    refine(F, S, DROP, "a", "", "main");
    refine(F, S, FOCUS, "c", "", S);
}

static void test_code_without_names_is_known_by_its_mapping(void)
{
    static const char F[] = "main;libx!?;a", S[] = "main;[unknown];a";

    refine(F, S, HIDE, "", "libx", "main;a");
    refine(F, S, HIDE, "a", "", "main;[unknown]");
    refine(F, S, FOCUS, "", "libx", S);
    refine(F, S, SHOW_FROM, "", "libx", "[unknown];a");
    refine(F, S, SHOW, "a", "libx", "a"); /* show leaves only what has a name */
}

static void test_options_work_together_in_order(void)
{
    struct cprof_refinement how = {.noinlines = true};
    struct mask hide, from, prune, focus, ignore;
    struct cprof_profile *p;

    CHECK_EQ(profile_new(&p), 0);
    CHECK_EQ(profile_row(p, 1, 7, "main;a;b+i;c;d", 10), 0);
    check("main;a;b;i;c;d", &how, p, "main;a;b;c;d");
    how.hide = matches(p, &hide, "c", "");
    how.show_from = matches(p, &from, "a", "");
    how.prune_from = matches(p, &prune, "i", "");
    check("main;a;b;i;c;d", &how, p, "a;b");
    how.focus = matches(p, &focus, "c", ""); /* also what is hidden is looked for */
    check("main;a;b;i;c;d", &how, p, "a;b");
    how.ignore = matches(p, &ignore, "d", "");
    check("main;a;b;i;c;d", &how, p, NULL);
    cprof_profile_unref(p);
}

static void test_tables_are_shared_where_no_frame_goes(void)
{
    struct cprof_refinement how = {0};
    struct cprof_profile *p, *view;
    struct mask mask;

    CHECK_EQ(profile_sample(&p), 0);
    how.focus = matches(p, &mask, "c", "");
    CHECK_EQ(cprof_view_refine(p, &how, &view, NULL), 0);
    CHECK(view->stacks == p->stacks);
    CHECK_EQ(view->n, 3);
    CHECK_EQ(cprof_profile_total(view, 1), 270);
    CHECK_EQ(view->stack[0], p->stack[4]);
    cprof_profile_unref(view);
    how.hide = matches(p, &mask, "c", "");
    how.focus = (struct cprof_matches){0};
    CHECK_EQ(cprof_view_refine(p, &how, &view, NULL), 0);
    CHECK(view->stacks != p->stacks);
    CHECK(view->stacks->is_without_lines);
    CHECK_EQ(view->n, 8); /* "[truncated]" alone is left of one */
    CHECK_EQ(cprof_profile_total(view, 1), 1170);
    cprof_profile_unref(view);
    cprof_profile_unref(p);
}

static int attempt(void *unused)
{
    struct cprof_refinement how = {.noinlines = true};
    struct cprof_profile *p, *view;
    struct mask mask;
    int r = profile_sample(&p);

    (void)unused;
    if (r < 0)
        return r;
    how.hide = matches(p, &mask, "b", "");
    r = cprof_view_refine(p, &how, &view, NULL);
    if (r >= 0)
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
    RUN(test_each_option_by_itself);
    RUN(test_inlined_functions_are_frames_of_their_own);
    RUN(test_code_without_names_is_known_by_its_mapping);
    RUN(test_options_work_together_in_order);
    RUN(test_tables_are_shared_where_no_frame_goes);
    RUN(test_out_of_memory_leaves_nothing_behind);
    return test_report(__FILE__);
}
