#include "build.h"

#include <stdarg.h>

struct builder {
    const struct cprof_tables *t;
    struct cprof_error *err;
    struct cprof_stacks *s;
    struct cprof_profile *p;
    uint32_t *functions, *locations, *threads; /* by number in the tables: that in s */
};

static void builder_deinit(struct builder *b)
{
    cprof_profile_unref(b->p);
    cprof_stacks_unref(b->s);
    free(b->functions);
    free(b->locations);
    free(b->threads);
}

static int bad(const struct builder *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int bad(const struct builder *b, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = cprof_error_bad_file(b->err, "build", b->t->name, format, args);
    va_end(args);
    return r;
}

/* What the interning functions return, with its message. */
static int check(const struct builder *b, int r)
{
    if (r == -ENOMEM)
        return cprof_error_set(b->err, r, "build: out of memory");
    return r < 0 ? bad(b, "holds more than can be numbered") : r;
}

static int refers(const struct builder *b, const char *what, size_t i, const char *to,
                  uint32_t number, size_t n)
{
    if (number < n)
        return 0;
    return bad(b, "%s %zu refers to %s %u, but there are %zu", what, i, to, number, n);
}

/* NULL is "". */
static int intern(const struct builder *b, const char *text, uint32_t *ret)
{
    return check(b, cprof_stacks_string(b->s, text ? text : "", ret));
}

/* ---- what rows refer to ---- */

static int add_mappings(struct builder *b)
{
    for (size_t i = 0; i < b->t->n_mappings; i++) {
        const struct cprof_build_mapping *from = &b->t->mappings[i];
        struct cprof_mapping to = {
            .start = from->start,
            .limit = from->limit,
            .offset = from->offset,
            .has_functions = from->flags & CPROF_BUILD_HAS_FUNCTIONS,
            .has_filenames = from->flags & CPROF_BUILD_HAS_FILENAMES,
            .has_line_numbers = from->flags & CPROF_BUILD_HAS_LINE_NUMBERS,
            .has_inline_frames = from->flags & CPROF_BUILD_HAS_INLINE_FRAMES,
        };
        uint32_t number;
        int r;

        if ((r = intern(b, from->file, &to.file)) < 0 ||
            (r = intern(b, from->module, &to.module)) < 0 ||
            (r = intern(b, from->build_id, &to.build_id)) < 0 ||
            (r = intern(b, from->root, &to.root)) < 0 ||
            (r = check(b, cprof_stacks_add_mapping(b->s, &to, &number))) < 0)
            return r;
    }
    return 0;
}

static int add_functions(struct builder *b)
{
    for (size_t i = 0; i < b->t->n_functions; i++) {
        const struct cprof_build_function *from = &b->t->functions[i];
        struct cprof_function to = {.start_line = from->start_line};
        int r;

        if ((r = intern(b, from->name, &to.name)) < 0 ||
            (r = intern(b, from->system_name, &to.system_name)) < 0 ||
            (r = intern(b, from->filename, &to.filename)) < 0 ||
            (r = intern(b, from->module, &to.module)) < 0 ||
            (r = check(b, cprof_stacks_function(b->s, &to, &b->functions[i]))) < 0)
            return r;
    }
    return 0;
}

static int add_threads(struct builder *b)
{
    CPROF_VEC(struct cprof_label) labels = {0};
    int r = 0;

    for (size_t i = 0; i < b->t->n_threads && r == 0; i++) {
        const struct cprof_build_thread *from = &b->t->threads[i];
        struct cprof_thread to = {.pid = from->pid, .tid = from->tid};

        labels.n = 0;
        r = check(b, cprof_vec_reserve(&labels, from->n_labels));
        for (size_t k = 0; k < from->n_labels && r == 0; k++) {
            const struct cprof_build_label *label = &from->labels[k];
            struct cprof_label *at = &labels.data[labels.n++];
            *at = (struct cprof_label){.number = label->text ? 0 : label->number};
            if ((r = intern(b, label->key, &at->key)) == 0 &&
                (r = intern(b, label->text, &at->text)) == 0)
                r = intern(b, label->unit, &at->unit);
        }
        if (r == 0 && (r = intern(b, from->name, &to.name)) == 0 &&
            (r = intern(b, from->comm, &to.comm)) == 0)
            r = check(
                b, cprof_stacks_thread(b->s, &to, labels.data, labels.n, &b->threads[i]));
    }
    cprof_vec_free(&labels);
    return r;
}

/* ---- locations ---- */

/* The lines of the location that starts at line `at` of the tables: how many. */
static size_t count_lines(const struct cprof_tables *t, size_t at, size_t location)
{
    size_t n = 0;

    while (at + n < t->n_lines && t->line_location[at + n] == location)
        n++;
    return n;
}

/* The pseudo frame that a location of these lines is, or -1. */
static int pseudo_frame(const struct builder *b, size_t location, size_t at, size_t n)
{
    const struct cprof_function *function;
    uint32_t number = n == 1 ? b->t->line_function[at] : CPROF_NONE;

    if (number >= b->t->n_functions || b->t->address[location] ||
        b->t->mapping[location] != CPROF_NONE)
        return -1;
    function = &b->s->functions.data[b->functions[number]];
    for (int i = 0; i < CPROF_N_PSEUDO; i++)
        if (!strcmp(cprof_stacks_text(b->s, function->name),
                    cprof_pseudo_name((unsigned)i)))
            return i;
    return -1;
}

static int add_lines(struct builder *b, size_t at, size_t n)
{
    const struct cprof_tables *t = b->t;

    if (cprof_vec_reserve(&b->s->lines, n) < 0)
        return check(b, -ENOMEM);
    for (size_t i = at; i < at + n; i++) {
        struct cprof_line *to = &b->s->lines.data[b->s->lines.n];
        uint32_t function = t->line_function[i];
        int r = refers(b, "line", i, "function", function, t->n_functions);
        if (r < 0)
            return r;
        to->function = b->functions[function];
        to->line = t->line[i];
        to->column = t->line_column[i];
        b->s->lines.n++;
    }
    return 0;
}

static int add_location(struct builder *b, size_t i, size_t at, size_t n)
{
    const struct cprof_tables *t = b->t;
    struct cprof_location to = {.address = t->address[i], .mapping = t->mapping[i]};
    int r = 0;

    if (to.mapping != CPROF_NONE)
        r = refers(b, "location", i, "mapping", to.mapping, t->n_mappings);
    if (r < 0)
        return r;
    to.first_line = (uint32_t)b->s->lines.n;
    to.n_lines = (uint32_t)n;
    to.is_folded = t->is_folded && t->is_folded[i];
    b->locations[i] = (uint32_t)b->s->locations.n;
    r = add_lines(b, at, n);
    return r < 0 ? r : check(b, cprof_vec_push(&b->s->locations, to));
}

static int add_locations(struct builder *b)
{
    size_t at = 0;

    for (size_t i = 0; i < b->t->n_locations; i++) {
        size_t n = count_lines(b->t, at, i);
        int pseudo = pseudo_frame(b, i, at, n);
        int r = 0;

        if (pseudo >= 0)
            b->locations[i] = b->s->pseudo[pseudo];
        else
            r = add_location(b, i, at, n);
        if (r < 0)
            return r;
        at += n;
    }
    if (at < b->t->n_lines)
        return bad(b, "line %zu belongs to location %u, out of order", at,
                   b->t->line_location[at]);
    return 0;
}

static int add_nodes(struct builder *b)
{
    const struct cprof_tables *t = b->t;

    if (cprof_vec_reserve(&b->s->nodes, t->n_nodes) < 0)
        return check(b, -ENOMEM);
    for (size_t i = 0; i < t->n_nodes; i++) {
        struct cprof_node node = {.parent = t->parent[i], .location = t->location[i]};
        int r = refers(b, "node", i, "location", node.location, t->n_locations);
        if (r < 0)
            return r;
        if (node.parent != CPROF_NONE && node.parent >= i)
            return bad(b, "node %zu comes before its caller, node %u", i, node.parent);
        node.location = b->locations[node.location];
        b->s->nodes.data[b->s->nodes.n++] = node;
    }
    return 0;
}

/* ---- rows ---- */

static int add_types(struct builder *b)
{
    if (!b->t->n_types)
        return bad(b, "has no sample types");
    if (b->t->n_types > CPROF_MAX_SAMPLE_TYPES)
        return bad(b, "has %zu sample types; at most %d can be read", b->t->n_types,
                   CPROF_MAX_SAMPLE_TYPES);
    for (size_t k = 0; k < b->t->n_types; k++) {
        const struct cprof_build_type *type = &b->t->types[k];
        int r = check(b, cprof_profile_add_type(b->p, type->type, type->unit));
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_row(const struct builder *b, size_t i, const struct cprof_row *row)
{
    int r = refers(b, "row", i, "thread", row->thread, b->t->n_threads);

    return r < 0 ? r : refers(b, "row", i, "stack", row->stack, b->t->n_nodes);
}

static int add_rows(struct builder *b)
{
    const struct cprof_tables *t = b->t;
    struct cprof_row row = {.cpu = -1};

    for (size_t i = 0; i < t->n_rows; i++) {
        int r;
        row.thread = t->thread[i];
        row.stack = t->stack[i];
        r = check_row(b, i, &row);
        if (r < 0)
            return r;
        row.thread = b->threads[row.thread];
        row.pid = b->s->threads.data[row.thread].pid;
        row.tid = b->s->threads.data[row.thread].tid;
        if (t->time)
            row.time = t->time[i];
        if (t->cpu)
            row.cpu = t->cpu[i];
        if (t->how)
            row.how = t->how[i];
        if (t->n_added)
            row.n_added = t->n_added[i];
        for (size_t k = 0; k < t->n_types; k++)
            row.values[k] = t->values[k] ? t->values[k][i] : 1;
        if (cprof_profile_add(b->p, &row) < 0)
            return check(b, -ENOMEM);
    }
    b->p->run.has_times = t->time != NULL;
    return 0;
}

/* ---- all ---- */

static int check_sizes(const struct builder *b)
{
    const struct cprof_tables *t = b->t;
    const struct {
        const char *what;
        size_t n;
    } sizes[] = {{"mappings", t->n_mappings},   {"functions", t->n_functions},
                 {"locations", t->n_locations}, {"lines", t->n_lines},
                 {"nodes", t->n_nodes},         {"threads", t->n_threads}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].n >= CPROF_NONE - CPROF_N_PSEUDO)
            return bad(b, "has %zu %s, more than can be numbered", sizes[i].n,
                       sizes[i].what);
    return 0;
}

static int builder_init(struct builder *b)
{
    int r = check_sizes(b);

    if (r < 0 || (r = check(b, cprof_stacks_create(&b->s))) < 0 ||
        (r = check(b, cprof_profile_create(b->s, &b->p))) < 0)
        return r;
    b->functions = malloc((b->t->n_functions + 1) * sizeof(*b->functions));
    b->locations = malloc((b->t->n_locations + 1) * sizeof(*b->locations));
    b->threads = malloc((b->t->n_threads + 1) * sizeof(*b->threads));
    return check(b, b->functions && b->locations && b->threads ? 0 : -ENOMEM);
}

int cprof_build(const struct cprof_tables *tables, struct cprof_profile **ret,
                struct cprof_error *err)
{
    static int (*const STEPS[])(struct builder *) = {
        builder_init,  add_types, add_mappings, add_functions,
        add_locations, add_nodes, add_threads,  add_rows};
    struct builder b = {.t = tables, .err = err};
    int r = 0;

    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]) && r == 0; i++)
        r = STEPS[i](&b);
    if (r == 0) {
        *ret = b.p;
        b.p = NULL;
    }
    builder_deinit(&b);
    return r;
}

/* ---- the other way ---- */

static size_t n_lines_from(const struct cprof_stacks *s, size_t first)
{
    size_t n = 0;

    for (size_t i = first; i < s->locations.n; i++)
        n += s->locations.data[i].n_lines;
    return n;
}

static void fill_location(const struct cprof_stacks *s, enum cprof_build_column column,
                          size_t first, void *to)
{
    for (size_t i = first; i < s->locations.n; i++) {
        const struct cprof_location *from = &s->locations.data[i];
        if (column == CPROF_BUILD_ADDRESS)
            ((uint64_t *)to)[i - first] = from->address;
        else if (column == CPROF_BUILD_MAPPING)
            ((uint32_t *)to)[i - first] = from->mapping;
        else
            ((uint8_t *)to)[i - first] = from->is_folded;
    }
}

static void fill_line(const struct cprof_stacks *s, enum cprof_build_column column,
                      size_t first, void *to)
{
    size_t n = 0;

    for (size_t i = first; i < s->locations.n; i++) {
        const struct cprof_location *at = &s->locations.data[i];
        for (uint32_t k = 0; k < at->n_lines; k++, n++) {
            const struct cprof_line *line = &s->lines.data[at->first_line + k];
            if (column == CPROF_BUILD_LINE)
                ((int64_t *)to)[n] = line->line;
            else
                ((uint32_t *)to)[n] = column == CPROF_BUILD_LINE_LOCATION ? (uint32_t)i
                                      : column == CPROF_BUILD_LINE_FUNCTION
                                          ? line->function
                                          : line->column;
        }
    }
}

static void fill_node(const struct cprof_stacks *s, enum cprof_build_column column,
                      size_t first, uint32_t *to)
{
    for (size_t i = first; i < s->nodes.n; i++)
        to[i - first] = column == CPROF_BUILD_PARENT ? s->nodes.data[i].parent
                                                     : s->nodes.data[i].location;
}

int cprof_build_column(const struct cprof_stacks *s, enum cprof_build_column column,
                       size_t first, void **ret, size_t *n)
{
    bool is_line = column >= CPROF_BUILD_LINE_LOCATION && column < CPROF_BUILD_PARENT;
    bool is_node = column >= CPROF_BUILD_PARENT;
    size_t n_all = is_node ? s->nodes.n : s->locations.n;
    void *to;

    first = first < n_all ? first : n_all;
    *n = is_line ? n_lines_from(s, first) : n_all - first;
    to = malloc((*n + 1) * sizeof(uint64_t)); /* enough for any */
    if (!to)
        return -ENOMEM;
    if (is_node)
        fill_node(s, column, first, to);
    else if (is_line)
        fill_line(s, column, first, to);
    else
        fill_location(s, column, first, to);
    *ret = to;
    return 0;
}
