/* Rows and frames that match, as google/pprof has it: profile/filter.go,
 * profile/prune.go, and Aggregate() of profile/profile.go for inlined functions. */
#include "cleanup.h"
#include "view_frames.h"

enum { /* what a location is to the stacks that pass it */
       IS_FOCUSED = 1,
       IS_IGNORED = 2,
       IS_HIDDEN = 4,
       IS_SHOWN_FROM = 8,
       IS_PRUNED_FROM = 16, /* what it calls goes */
       IS_DROPPED = 32,     /* it goes, and what it calls */
       IS_DROPPED_BELOW = 64
};

/* A stack of the profile, by its node. */
struct path {
    uint32_t node;   /* the new one; CPROF_NONE where no frame is left */
    uint32_t pruned; /* the new node that everything inside of went of, or CPROF_NONE */
    uint8_t flags;   /* IS_FOCUSED, IS_IGNORED: some location of it is */
    bool has_other;  /* a location that `drop` does not match */
    bool is_cut;     /* `drop` matched outside of here */
};

struct refiner {
    const struct cprof_refinement *how;
    bool changes_stacks;
    struct cprof_stacks *stacks; /* the profile's own, or, where frames go, a copy whose
                                    nodes and lines are being rewritten */
    uint8_t *flags;              /* by location */
    struct path *paths;          /* by node of the profile */
};

static bool is_given(const struct cprof_matches *matches)
{
    return matches->functions != NULL;
}

static bool matches_line(const struct cprof_matches *matches,
                         const struct cprof_line *line)
{
    return matches->functions[line->function];
}

static bool matches_mapping(const struct cprof_matches *matches,
                            const struct cprof_location *at)
{
    return at->mapping != CPROF_NONE && matches->mappings[at->mapping];
}

/* The first line that matches, or n_lines. */
static uint32_t innermost_match(const struct cprof_matches *matches,
                                const struct cprof_line *lines, uint32_t n)
{
    uint32_t i = 0;

    while (i < n && !matches_line(matches, &lines[i]))
        i++;
    return i;
}

/* How many lines there are up to the last that matches: 0 = none does. */
static uint32_t outermost_match(const struct cprof_matches *matches,
                                const struct cprof_line *lines, uint32_t n)
{
    while (n && !matches_line(matches, &lines[n - 1]))
        n--;
    return n;
}

static bool matches_location(const struct cprof_matches *matches,
                             const struct cprof_location *at,
                             const struct cprof_line *lines)
{
    return is_given(matches) &&
           (innermost_match(matches, lines, at->n_lines) < at->n_lines ||
            matches_mapping(matches, at));
}

/* Keep the lines of `at` that match, or those that do not. */
static void keep_lines(struct cprof_location *at, struct cprof_line *lines,
                       const struct cprof_matches *matches, bool is_kept)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < at->n_lines; i++)
        if (matches_line(matches, &lines[i]) == is_kept)
            lines[n++] = lines[i];
    at->n_lines = n;
}

/* `n` inner lines go. */
static void cut_inner(struct cprof_location *at, uint32_t n)
{
    at->first_line += n;
    at->n_lines -= n;
}

static uint8_t drop_lines(const struct cprof_refinement *how, struct cprof_location *at,
                          const struct cprof_line *lines)
{
    uint32_t n =
        is_given(&how->drop) ? outermost_match(&how->drop, lines, at->n_lines) : 0;

    if (!n)
        return 0;
    if (n == at->n_lines)
        return IS_DROPPED;
    cut_inner(at, n);
    return IS_DROPPED_BELOW;
}

static uint8_t hide_lines(const struct cprof_refinement *how, struct cprof_location *at,
                          struct cprof_line *lines)
{
    bool is_hidden = false;

    if (matches_location(&how->hide, at, lines)) {
        if (matches_mapping(&how->hide, at))
            at->n_lines = 0;
        else
            keep_lines(at, lines, &how->hide, false);
        is_hidden = !at->n_lines;
    }
    if (is_given(&how->show)) {
        if (!matches_mapping(&how->show, at))
            keep_lines(at, lines, &how->show, true);
        is_hidden |= !at->n_lines;
    }
    return is_hidden ? IS_HIDDEN : 0;
}

static uint8_t show_lines_from(const struct cprof_refinement *how,
                               struct cprof_location *at, const struct cprof_line *lines)
{
    uint32_t n;

    if (!is_given(&how->show_from))
        return 0;
    if (matches_mapping(&how->show_from, at))
        return IS_SHOWN_FROM;
    n = outermost_match(&how->show_from, lines, at->n_lines);
    if (!n)
        return 0;
    at->n_lines = n;
    return IS_SHOWN_FROM;
}

static uint8_t prune_lines_from(const struct cprof_refinement *how,
                                struct cprof_location *at, const struct cprof_line *lines)
{
    uint32_t i = at->n_lines;

    if (is_given(&how->prune_from))
        i = innermost_match(&how->prune_from, lines, at->n_lines);
    if (i == at->n_lines)
        return 0;
    cut_inner(at, i);
    return IS_PRUNED_FROM;
}

/* Take lines out of a location, and say what it is. */
static uint8_t refine_location(struct cprof_stacks *s, const struct cprof_refinement *how,
                               struct cprof_location *at)
{
    struct cprof_line *all = s->lines.data;
    uint8_t flags = drop_lines(how, at, all + at->first_line);

    if (matches_location(&how->ignore, at, all + at->first_line))
        flags |= IS_IGNORED;
    if (matches_location(&how->focus, at, all + at->first_line))
        flags |= IS_FOCUSED;
    flags |= hide_lines(how, at, all + at->first_line);
    flags |= show_lines_from(how, at, all + at->first_line);
    flags |= prune_lines_from(how, at, all + at->first_line);
    if (how->noinlines && at->n_lines > 1)
        cut_inner(at, at->n_lines - 1);
    return flags;
}

static bool changes_stacks(const struct cprof_refinement *how)
{
    return is_given(&how->drop) || is_given(&how->hide) || is_given(&how->show) ||
           is_given(&how->show_from) || is_given(&how->prune_from) || how->noinlines;
}

static const struct path NO_PATH = {.node = CPROF_NONE, .pruned = CPROF_NONE};

/* Does the location stay in a stack that is `path` up to here? */
static bool stays(const struct refiner *rf, const struct path *path, uint8_t flags)
{
    if (flags & IS_HIDDEN)
        return false;
    return !is_given(&rf->how->show_from) || path->node != CPROF_NONE ||
           (flags & IS_SHOWN_FROM);
}

/* `drop` cuts the stack at or below the location; true when the location itself goes. */
static bool is_dropped(struct path *path, uint8_t flags)
{
    bool is_match = flags & (IS_DROPPED | IS_DROPPED_BELOW);

    if (path->is_cut)
        return true;
    path->is_cut = is_match && path->has_other;
    path->has_other |= !is_match;
    return path->is_cut && (flags & IS_DROPPED);
}

static int extend(struct refiner *rf, const struct path *caller, uint32_t location,
                  struct path *ret)
{
    uint8_t flags = rf->flags[location];
    int r = 0;

    *ret = *caller;
    if (is_dropped(ret, flags))
        return 0;
    ret->flags |= flags & (IS_FOCUSED | IS_IGNORED);
    if (!stays(rf, caller, flags))
        return 0;
    if (rf->changes_stacks)
        r = cprof_stacks_node(rf->stacks, caller->node, location, &ret->node);
    if (flags & IS_PRUNED_FROM)
        ret->pruned = ret->node;
    return r;
}

static int make_paths(struct refiner *rf, const struct cprof_profile *p)
{
    const struct cprof_stacks *s = p->stacks;
    _cleanup_free_ uint8_t *is_used = view_used_nodes(p);
    int r = 0;

    if (!is_used)
        return -ENOMEM;
    for (size_t i = 0; i < s->nodes.n && r == 0; i++) {
        const struct cprof_node *node = &s->nodes.data[i];
        const struct path *caller =
            node->parent == CPROF_NONE ? &NO_PATH : &rf->paths[node->parent];
        if (is_used[i])
            r = extend(rf, caller, node->location, &rf->paths[i]);
        if (!rf->changes_stacks)
            rf->paths[i].node = (uint32_t)i;
    }
    return r;
}

static int refiner_init(struct refiner *rf, const struct cprof_profile *p)
{
    const struct cprof_stacks *s = p->stacks;
    int r = 0;

    if (rf->changes_stacks)
        r = cprof_stacks_copy(s, &rf->stacks);
    else
        rf->stacks = cprof_stacks_ref(p->stacks);
    if (r < 0)
        return r;
    rf->flags = malloc(s->locations.n + 1);
    rf->paths = malloc((s->nodes.n + 1) * sizeof(*rf->paths));
    if (!rf->flags || !rf->paths)
        return -ENOMEM;
    for (size_t i = 0; i < s->locations.n; i++)
        rf->flags[i] =
            refine_location(rf->stacks, rf->how, &rf->stacks->locations.data[i]);
    if (rf->changes_stacks) {
        rf->stacks->is_without_lines = true;
        rf->stacks->nodes.n = 0;
    }
    return make_paths(rf, p);
}

static void refiner_deinit(struct refiner *rf)
{
    cprof_stacks_unref(rf->stacks);
    free(rf->flags);
    free(rf->paths);
}

static bool is_kept(const struct refiner *rf, const struct path *path)
{
    return path->node != CPROF_NONE && !(path->flags & IS_IGNORED) &&
           (!is_given(&rf->how->focus) || (path->flags & IS_FOCUSED));
}

/* The rows that stay, on their new stacks. */
static int refine_rows(const struct refiner *rf, const struct cprof_profile *p,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    _cleanup_free_ uint8_t *mask = malloc(p->n + 1);
    struct cprof_profile *view;
    int r;

    if (!mask)
        return cprof_error_set(err, -ENOMEM, "view: out of memory");
    for (size_t i = 0; i < p->n; i++)
        mask[i] = is_kept(rf, &rf->paths[p->stack[i]]);
    r = cprof_view_select(p, mask, &view, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < view->n; i++) {
        const struct path *path = &rf->paths[view->stack[i]];
        view->stack[i] = path->pruned == CPROF_NONE ? path->node : path->pruned;
    }
    cprof_stacks_unref(view->stacks);
    view->stacks = cprof_stacks_ref(rf->stacks);
    *ret = view;
    return 0;
}

int cprof_view_refine(const struct cprof_profile *p, const struct cprof_refinement *how,
                      struct cprof_profile **ret, struct cprof_error *err)
{
    struct refiner rf = {.how = how, .changes_stacks = changes_stacks(how)};
    int r = refiner_init(&rf, p);

    if (r < 0)
        cprof_error_set(err, r,
                        r == -ENOMEM ? "view: out of memory"
                                     : "view: more stacks than can be numbered");
    else
        r = refine_rows(&rf, p, ret, err);
    refiner_deinit(&rf);
    return r;
}
