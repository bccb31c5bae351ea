#include "view_frames.h"

/* One input's numbers in the result; CPROF_NONE where not translated yet. */
struct translation {
    const struct cprof_profile *from;
    uint32_t *strings, *functions, *mappings, *locations, *nodes, *threads;
};

struct cprof_merger {
    struct cprof_profile *to;    /* NULL until the first input says of what types */
    struct cprof_stacks *stacks; /* of `to` */
    struct cprof_map mapping_ids;
    struct cprof_map location_ids; /* with their lines, unlike the one of the stacks */
    struct cprof_map comments;     /* strings that are in to->comments already */
    CPROF_VEC(struct cprof_line) lines;
    CPROF_VEC(struct cprof_label) labels;
    bool is_cpu_time_unknown; /* of one input, so of the sum */
    uint32_t host;            /* string: of the first input */
    double duration;
    uint64_t first_start, first_end; /* the first input's run */
    int64_t earliest_unix;           /* 0: no input knows when it began */
};

void cprof_merger_free(struct cprof_merger *m)
{
    if (!m)
        return;
    cprof_profile_unref(m->to);
    cprof_map_deinit(&m->mapping_ids);
    cprof_map_deinit(&m->location_ids);
    cprof_map_deinit(&m->comments);
    free(m->lines.data);
    free(m->labels.data);
    free(m);
}

static void translation_deinit(struct translation *t)
{
    free(t->strings);
    free(t->functions);
    free(t->mappings);
    free(t->locations);
    free(t->nodes);
    free(t->threads);
}

static uint32_t *untranslated(size_t n)
{
    uint32_t *numbers = malloc((n + 1) * sizeof(*numbers));

    if (numbers)
        memset(numbers, 0xff, (n + 1) * sizeof(*numbers));
    return numbers;
}

static int translation_init(struct translation *t, const struct cprof_profile *from)
{
    const struct cprof_stacks *s = from->stacks;

    *t = (struct translation){.from = from};
    t->strings = untranslated(s->strings.n);
    t->functions = untranslated(s->functions.n);
    t->mappings = untranslated(s->mappings.n);
    t->locations = untranslated(s->locations.n);
    t->nodes = untranslated(s->nodes.n);
    t->threads = untranslated(s->threads.n);
    return t->strings && t->functions && t->mappings && t->locations && t->nodes &&
                   t->threads
               ? 0
               : -ENOMEM;
}

static int merge_string(struct cprof_merger *m, struct translation *t, uint32_t string,
                        uint32_t *ret)
{
    const struct cprof_stacks *s = t->from->stacks;
    int r = 0;

    if (t->strings[string] == CPROF_NONE)
        r = cprof_stacks_string(m->stacks, cprof_stacks_text(s, string),
                                &t->strings[string]);
    *ret = t->strings[string];
    return r;
}

static int merge_function(struct cprof_merger *m, struct translation *t,
                          uint32_t function, uint32_t *ret)
{
    uint32_t *known = &t->functions[function];
    struct cprof_function f = t->from->stacks->functions.data[function];
    int r;

    if (*known == CPROF_NONE) {
        if ((r = merge_string(m, t, f.name, &f.name)) < 0 ||
            (r = merge_string(m, t, f.system_name, &f.system_name)) < 0 ||
            (r = merge_string(m, t, f.filename, &f.filename)) < 0 ||
            (r = merge_string(m, t, f.module, &f.module)) < 0 ||
            (r = cprof_stacks_function(m->stacks, &f, known)) < 0)
            return r;
    }
    *ret = *known;
    return 0;
}

static bool is_same_mapping(const struct cprof_mapping *a, const struct cprof_mapping *b)
{
    return a->file == b->file && a->build_id == b->build_id && a->offset == b->offset &&
           a->limit - a->start == b->limit - b->start;
}

/* The mapping of the same part of the same file, wherever it was mapped. */
static int intern_mapping(struct cprof_merger *m, const struct cprof_mapping *mapping,
                          uint32_t *ret)
{
    uint64_t key = cprof_hash_mix(mapping->file | (uint64_t)mapping->build_id << 32);
    size_t at = 0;
    uint32_t id;
    int r;

    key = cprof_hash_mix(key ^ mapping->offset) ^ (mapping->limit - mapping->start);
    while ((id = cprof_map_next(&m->mapping_ids, key, &at)) != CPROF_MAP_NONE) {
        struct cprof_mapping *known = &m->stacks->mappings.data[id];
        if (!is_same_mapping(known, mapping))
            continue;
        known->has_functions &= mapping->has_functions; /* set only if true of all */
        known->has_filenames &= mapping->has_filenames;
        known->has_line_numbers &= mapping->has_line_numbers;
        known->has_inline_frames &= mapping->has_inline_frames;
        *ret = id;
        return 0;
    }
    r = cprof_stacks_add_mapping(m->stacks, mapping, &id);
    if (r >= 0)
        r = cprof_map_add(&m->mapping_ids, key, id);
    if (r >= 0)
        *ret = id;
    return r;
}

static int merge_mapping(struct cprof_merger *m, struct translation *t, uint32_t mapping,
                         uint32_t *ret)
{
    uint32_t *known = &t->mappings[mapping];
    struct cprof_mapping wanted = t->from->stacks->mappings.data[mapping];
    int r;

    if (*known == CPROF_NONE) {
        if ((r = merge_string(m, t, wanted.file, &wanted.file)) < 0 ||
            (r = merge_string(m, t, wanted.module, &wanted.module)) < 0 ||
            (r = merge_string(m, t, wanted.build_id, &wanted.build_id)) < 0 ||
            (r = merge_string(m, t, wanted.root, &wanted.root)) < 0 ||
            (r = intern_mapping(m, &wanted, known)) < 0)
            return r;
    }
    *ret = *known;
    return 0;
}

/* m->lines becomes the location's lines, translated. */
static int merge_lines(struct cprof_merger *m, struct translation *t,
                       const struct cprof_location *location)
{
    const struct cprof_line *from = t->from->stacks->lines.data + location->first_line;

    m->lines.n = 0;
    for (uint32_t i = 0; i < location->n_lines; i++) {
        struct cprof_line line = from[i];
        int r = merge_function(m, t, from[i].function, &line.function);
        if (r < 0)
            return r;
        if (cprof_vec_push(&m->lines, line) < 0)
            return -ENOMEM;
    }
    return 0;
}

static bool is_same_location(const struct cprof_merger *m,
                             const struct cprof_location *known,
                             const struct cprof_location *wanted)
{
    const struct cprof_line *lines = m->stacks->lines.data + known->first_line;

    if (known->address != wanted->address || known->mapping != wanted->mapping ||
        known->is_folded != wanted->is_folded || known->n_lines != m->lines.n)
        return false;
    for (size_t i = 0; i < m->lines.n; i++)
        if (lines[i].function != m->lines.data[i].function ||
            lines[i].line != m->lines.data[i].line ||
            lines[i].column != m->lines.data[i].column)
            return false;
    return true;
}

/* A location is its place and its lines: code that a JIT compiler put at the place of
 * other code stays apart. */
static int intern_location(struct cprof_merger *m, const struct cprof_location *wanted,
                           uint32_t *ret)
{
    uint64_t key = cprof_hash_mix(wanted->address) ^ wanted->mapping;
    size_t at = 0;
    uint32_t id;
    int r;

    for (size_t i = 0; i < m->lines.n; i++)
        key = cprof_hash_mix(key ^ m->lines.data[i].function ^
                             (uint64_t)m->lines.data[i].line << 32);
    while ((id = cprof_map_next(&m->location_ids, key, &at)) != CPROF_MAP_NONE) {
        if (is_same_location(m, &m->stacks->locations.data[id], wanted)) {
            *ret = id;
            return 0;
        }
    }
    r = cprof_stacks_add_location(m->stacks, wanted->address, wanted->mapping, &id);
    if (r >= 0)
        r = cprof_stacks_set_lines(m->stacks, id, m->lines.data, m->lines.n);
    if (r >= 0)
        r = cprof_map_add(&m->location_ids, key, id);
    if (r < 0)
        return r;
    m->stacks->locations.data[id].is_folded = wanted->is_folded;
    *ret = id;
    return 0;
}

static int merge_location(struct cprof_merger *m, struct translation *t,
                          uint32_t location, uint32_t *ret)
{
    const struct cprof_stacks *s = t->from->stacks;
    struct cprof_location wanted = s->locations.data[location];
    int pseudo = cprof_stacks_pseudo_of(s, location), r;

    if (pseudo >= 0)
        t->locations[location] = m->stacks->pseudo[pseudo];
    if (t->locations[location] == CPROF_NONE) {
        if (wanted.mapping != CPROF_NONE) {
            uint64_t start = s->mappings.data[wanted.mapping].start;
            r = merge_mapping(m, t, wanted.mapping, &wanted.mapping);
            if (r < 0)
                return r;
            wanted.address += m->stacks->mappings.data[wanted.mapping].start - start;
        }
        r = merge_lines(m, t, &wanted);
        if (r >= 0)
            r = intern_location(m, &wanted, &t->locations[location]);
        if (r < 0)
            return r;
    }
    *ret = t->locations[location];
    return 0;
}

static int merge_thread(struct cprof_merger *m, struct translation *t, uint32_t number)
{
    const struct cprof_stacks *s = t->from->stacks;
    struct cprof_thread thread = s->threads.data[number];
    int r;

    if (t->threads[number] != CPROF_NONE)
        return 0;
    m->labels.n = 0;
    for (uint32_t i = 0; i < thread.n_labels; i++) {
        struct cprof_label label = s->labels.data[thread.first_label + i];
        if ((r = merge_string(m, t, label.key, &label.key)) < 0 ||
            (r = merge_string(m, t, label.text, &label.text)) < 0 ||
            (r = merge_string(m, t, label.unit, &label.unit)) < 0 ||
            (r = cprof_vec_push(&m->labels, label)) < 0)
            return r;
    }
    if ((r = merge_string(m, t, thread.name, &thread.name)) < 0 ||
        (r = merge_string(m, t, thread.comm, &thread.comm)) < 0)
        return r;
    return cprof_stacks_thread(m->stacks, &thread, m->labels.data, m->labels.n,
                               &t->threads[number]);
}

/* Only what rows use is taken over: a window may share the tables of a long recording. */
static int merge_nodes(struct cprof_merger *m, struct translation *t)
{
    const struct cprof_profile *p = t->from;
    const struct cprof_node *nodes = p->stacks->nodes.data;
    size_t n = p->stacks->nodes.n;
    uint8_t *is_used = view_used_nodes(p);
    int r = is_used ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r >= 0; i++) {
        uint32_t parent = nodes[i].parent, location;
        if (!is_used[i])
            continue;
        if (parent != CPROF_NONE)
            parent = t->nodes[parent];
        r = merge_location(m, t, nodes[i].location, &location);
        if (r >= 0)
            r = cprof_stacks_node(m->stacks, parent, location, &t->nodes[i]);
    }
    free(is_used);
    return r;
}

static int merge_rows(struct cprof_merger *m, struct translation *t)
{
    const struct cprof_profile *p = t->from;

    for (size_t i = 0; i < p->n; i++) {
        struct cprof_row row = {.time = m->to->run.has_times ? p->time[i] : 0,
                                .pid = p->pid[i],
                                .tid = p->tid[i],
                                .cpu = p->cpu[i],
                                .stack = t->nodes[p->stack[i]],
                                .how = cprof_profile_how(p, i),
                                .n_added = cprof_profile_n_added(p, i)};
        int r = merge_thread(m, t, p->thread[i]);
        if (r < 0)
            return r;
        row.thread = t->threads[p->thread[i]];
        for (size_t k = 0; k < p->n_types; k++)
            row.values[k] = cprof_profile_value(p, k, i);
        r = cprof_profile_add(m->to, &row);
        if (r < 0)
            return r;
    }
    return 0;
}

static int merge_comments(struct cprof_merger *m, struct translation *t)
{
    for (size_t i = 0; i < t->from->comments.n; i++) {
        uint32_t comment;
        int r = merge_string(m, t, t->from->comments.data[i], &comment);
        if (r < 0)
            return r;
        if (cprof_map_get(&m->comments, comment) != CPROF_MAP_NONE)
            continue;
        if (cprof_map_add(&m->comments, comment, 0) < 0 ||
            cprof_vec_push(&m->to->comments, comment) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; i < t->from->marks.n; i++)
        if (cprof_vec_push(&m->to->marks, t->from->marks.data[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* *to becomes what it was, and `string` of the input too when it is not in it yet:
 * "task-clock,cycles". */
static int join_text(struct cprof_merger *m, struct translation *t, uint32_t string,
                     const char *separator, uint32_t *to)
{
    const char *add = cprof_stacks_text(t->from->stacks, string);
    const char *known = cprof_stacks_text(m->stacks, *to), *part = known;
    size_t known_n = strlen(known), add_n = strlen(add), separator_n = strlen(separator);
    char *joined;
    int r;

    if (!add_n)
        return 0;
    while (part) {
        if (!strncmp(part, add, add_n) &&
            (!part[add_n] || !strncmp(part + add_n, separator, separator_n)))
            return 0;
        part = strstr(part, separator);
        part = part ? part + separator_n : NULL;
    }
    joined = malloc(known_n + separator_n + add_n + 1);
    if (!joined)
        return -ENOMEM;
    stpcpy(stpcpy(stpcpy(joined, known), known_n ? separator : ""), add);
    r = cprof_stacks_string(m->stacks, joined, to);
    free(joined);
    return r;
}

static int first_text(struct cprof_merger *m, struct translation *t, uint32_t string,
                      uint32_t *to)
{
    return *to ? 0 : merge_string(m, t, string, to);
}

static int merge_texts(struct cprof_merger *m, struct translation *t)
{
    const struct cprof_run *run = &t->from->run;
    struct cprof_run *to = &m->to->run;
    int r;

    if ((r = join_text(m, t, run->event, ",", &to->event)) < 0 ||
        (r = join_text(m, t, run->unwinder, ",", &to->unwinder)) < 0 ||
        (r = join_text(m, t, run->exact, ",", &to->exact)) < 0 ||
        (r = join_text(m, t, run->command, "; ", &to->command)) < 0 ||
        (r = join_text(m, t, run->host, ",", &to->host)) < 0 ||
        (r = first_text(m, t, run->default_type, &to->default_type)) < 0 ||
        (r = first_text(m, t, run->doc_url, &to->doc_url)) < 0 ||
        (r = first_text(m, t, run->drop_frames, &to->drop_frames)) < 0 ||
        (r = first_text(m, t, run->keep_frames, &to->keep_frames)) < 0 ||
        (r = first_text(m, t, run->period_type, &to->period_type)) < 0 ||
        (r = first_text(m, t, run->period_unit, &to->period_unit)) < 0)
        return r;
    return 0;
}

static void merge_counts(struct cprof_run *to, const struct cprof_run *run)
{
    to->cpu_time += run->cpu_time;
    to->n_switches += run->n_switches;
    to->n_records_bad += run->n_records_bad;
    to->n_verified += run->n_verified;
    to->n_agreed += run->n_agreed;
    to->n_waited += run->n_waited;
    to->n_live_dropped += run->n_live_dropped;
    to->n_lines_refused += run->n_lines_refused;
    to->is_kernel_excluded |= run->is_kernel_excluded;
    if (run->rate_asked > to->rate_asked)
        to->rate_asked = run->rate_asked;
    if (run->period > to->period)
        to->period = run->period;
    if (run->stack_bytes > to->stack_bytes)
        to->stack_bytes = run->stack_bytes;
}

static int64_t unix_from(const struct cprof_profile *p)
{
    return p->run.start_unix ? cprof_sum(p->run.start_unix, (int64_t)(p->from * 1e9)) : 0;
}

/* The run so far begins no later than this input, as long as all share one clock. */
static void start_no_later(struct cprof_profile *to, const struct cprof_profile *p)
{
    struct cprof_run *run = &to->run;
    double begin;

    if (p->run.start_mono < run->start_mono) {
        to->from += (double)(run->start_mono - p->run.start_mono) / 1e9;
        run->start_mono = p->run.start_mono;
        run->start_unix = p->run.start_unix;
    }
    begin = (double)(p->run.start_mono - run->start_mono) / 1e9 + p->from;
    to->from = begin < to->from ? begin : to->from;
    if (p->run.end_mono > run->end_mono)
        run->end_mono = p->run.end_mono;
}

static void begin_span(struct cprof_merger *m, const struct cprof_profile *p)
{
    struct cprof_run *run = &m->to->run;

    run->has_times = true;
    run->start_mono = m->first_start = p->run.start_mono;
    run->end_mono = m->first_end = p->run.end_mono;
    run->start_unix = p->run.start_unix;
    m->to->from = p->from;
}

/* When the result was recorded, as far as this input tells; see view.h. */
static void merge_span(struct cprof_merger *m, const struct cprof_profile *p)
{
    const char *host = cprof_stacks_text(m->stacks, m->host);
    int64_t start = unix_from(p);

    m->to->run.has_times &=
        p->run.has_times && !strcmp(cprof_stacks_text(p->stacks, p->run.host), host);
    if (m->to->run.has_times)
        start_no_later(m->to, p);
    if (start && (!m->earliest_unix || start < m->earliest_unix))
        m->earliest_unix = start;
    m->duration += p->to - p->from;
}

static void finish_span(struct cprof_merger *m)
{
    struct cprof_profile *to = m->to;

    if (!to->run.has_times) {
        to->run.start_mono = m->first_start;
        to->run.end_mono = m->first_end;
        to->run.start_unix = m->earliest_unix;
        to->from = 0;
        to->is_unsorted = false;
        if (to->n)
            memset(to->time, 0, to->n * sizeof(*to->time));
    }
    to->to = to->from + m->duration;
}

static int check_types(const struct cprof_profile *a, const struct cprof_profile *b,
                       struct cprof_error *err)
{
    if (a->n_types != b->n_types)
        return cprof_error_set(err, -EINVAL,
                               "view: cannot merge profiles of %zu and of %zu "
                               "sample types",
                               a->n_types, b->n_types);
    for (size_t k = 0; k < a->n_types; k++) {
        const char *type_a = cprof_stacks_text(a->stacks, a->types[k].type);
        const char *type_b = cprof_stacks_text(b->stacks, b->types[k].type);
        const char *unit_a = cprof_stacks_text(a->stacks, a->types[k].unit);
        const char *unit_b = cprof_stacks_text(b->stacks, b->types[k].unit);
        if (strcmp(type_a, type_b) || strcmp(unit_a, unit_b))
            return cprof_error_set(
                err, -EINVAL,
                "view: cannot merge sample types %.80s/%.40s and %.80s/%.40s", type_a,
                unit_a, type_b, unit_b);
    }
    return 0;
}

static int merge_one(struct cprof_merger *m, struct translation *t)
{
    const struct cprof_profile *from = t->from;
    int r = 0;

    if (from->stacks->mappings.n && !m->stacks->mappings.n)
        r = merge_mapping(m, t, from->run.main_mapping, &m->to->run.main_mapping);
    if (r < 0 || (r = merge_nodes(m, t)) < 0 || (r = merge_rows(m, t)) < 0 ||
        (r = merge_comments(m, t)) < 0 || (r = merge_texts(m, t)) < 0)
        return r;
    merge_counts(&m->to->run, &from->run);
    m->is_cpu_time_unknown |= from->n && !from->run.cpu_time;
    return 0;
}

/* The first input says which sample types there are. */
static int begin(struct cprof_merger *m, const struct cprof_profile *first)
{
    int r = cprof_stacks_create(&m->stacks);

    if (r < 0)
        return r;
    r = cprof_profile_create(m->stacks, &m->to);
    cprof_stacks_unref(m->stacks); /* the profile holds its own */
    for (size_t k = 0; k < first->n_types && r >= 0; k++)
        r = cprof_profile_add_type(
            m->to, cprof_stacks_text(first->stacks, first->types[k].type),
            cprof_stacks_text(first->stacks, first->types[k].unit));
    if (r >= 0)
        r = cprof_stacks_string(
            m->stacks, cprof_stacks_text(first->stacks, first->run.host), &m->host);
    if (r >= 0)
        begin_span(m, first);
    return r;
}

static int failed(int r, struct cprof_error *err)
{
    return cprof_error_set(err, r,
                           r == -ENOMEM ? "view: out of memory while merging"
                                        : "view: too much to merge into one profile");
}

int cprof_merger_create(struct cprof_merger **ret, struct cprof_error *err)
{
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : failed(-ENOMEM, err);
}

int cprof_merger_add(struct cprof_merger *m, const struct cprof_profile *p,
                     struct cprof_error *err)
{
    struct translation t;
    int r = m->to ? check_types(m->to, p, err) : 0;

    if (r < 0)
        return r;
    r = translation_init(&t, p);
    if (r >= 0 && !m->to)
        r = begin(m, p);
    if (r >= 0) {
        merge_span(m, p);
        r = merge_one(m, &t);
    }
    translation_deinit(&t);
    return r < 0 ? failed(r, err) : 0;
}

int cprof_merger_finish(struct cprof_merger *m, struct cprof_profile **ret,
                        struct cprof_error *err)
{
    if (!m->to)
        return cprof_error_set(err, -EINVAL, "view: there is no profile to merge");
    finish_span(m);
    if (m->is_cpu_time_unknown)
        m->to->run.cpu_time = 0;
    cprof_stacks_close(m->stacks);
    *ret = m->to;
    m->to = NULL;
    return 0;
}
