#include <math.h>
#include <zlib.h>

#include "arena.h"
#include "outfile.h"
#include "pprof.h"
#include "pprof_facts.h"
#include "profile.pb-c.h"
#include "view.h"

/* The file is written as a row of small Profile messages, each with some elements of one
 * repeated field, which together are the same as one large message: what is being packed
 * stays small whatever the profile's size. */
enum { BATCH = 256, BATCH_BYTES = 1 << 20 };

enum { GZIP_LEVEL = 1, GZIP_WINDOW = 15 + 16 };

struct writer {
    const struct cprof_profile *p; /* one row for each sample */
    struct cprof_profile *sums;    /* that, where samples are sums: owned */
    const struct cprof_stacks *s;
    int error; /* the first failure; nothing is written after it */
    z_stream z;
    bool is_deflating;
    CPROF_VEC(uint8_t) out, packed;
    struct cprof_arena arena;    /* of the batch being built */
    struct cprof_strtab strings; /* the file's string table */
    uint32_t *string_ids;        /* by string of s: number in `strings`, or CPROF_NONE */
    uint64_t *location_ids;      /* by location; 0 = not in the file */
    uint64_t *function_ids;      /* by function */
    CPROF_VEC(int64_t) comments;
};

static void writer_deinit(struct writer *w)
{
    if (w->is_deflating)
        deflateEnd(&w->z);
    free(w->out.data);
    free(w->packed.data);
    cprof_arena_deinit(&w->arena);
    cprof_strtab_deinit(&w->strings);
    free(w->string_ids);
    free(w->location_ids);
    free(w->function_ids);
    cprof_profile_unref(w->sums);
    free(w->comments.data);
}

static int writer_init(struct writer *w, const struct cprof_profile *p, bool has_times)
{
    const struct cprof_stacks *s = p->stacks;

    *w = (struct writer){.p = p, .s = s};
    if (has_times && !p->run.has_times)
        return -ENODATA;
    if (!has_times) {
        if (cprof_view_sum(p, &w->sums, NULL) < 0)
            return -ENOMEM;
        w->p = w->sums;
    }
    w->string_ids = malloc((s->strings.n + 1) * sizeof(*w->string_ids));
    w->location_ids = calloc(s->locations.n + 1, sizeof(*w->location_ids));
    w->function_ids = calloc(s->functions.n + 1, sizeof(*w->function_ids));
    if (!w->string_ids || !w->location_ids || !w->function_ids)
        return -ENOMEM;
    memset(w->string_ids, 0xff, (s->strings.n + 1) * sizeof(*w->string_ids));
    if (deflateInit2(&w->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return -ENOMEM;
    w->is_deflating = true;
    return 0;
}

static void fail(struct writer *w, int error)
{
    if (!w->error)
        w->error = error;
}

static int64_t text(struct writer *w, const char *text)
{
    uint32_t id = 0;
    int r = cprof_strtab_add(&w->strings, text, &id);

    if (r < 0)
        fail(w, r);
    return id;
}

static int64_t string(struct writer *w, uint32_t string)
{
    if (w->string_ids[string] == CPROF_NONE)
        w->string_ids[string] = (uint32_t)text(w, cprof_stacks_text(w->s, string));
    return w->string_ids[string];
}

/* Room in the batch for `n` things of `size`; NULL once anything has failed. */
static void *take(struct writer *w, size_t n, size_t size)
{
    void *p = w->error ? NULL : cprof_arena_take(&w->arena, n * size);

    if (!p)
        fail(w, -ENOMEM);
    return p;
}

static void compress_bytes(struct writer *w, const uint8_t *bytes, size_t n, int flush)
{
    const size_t step = 64 * 1024, most = 1 << 30; /* z.avail_in is an int */
    int r = Z_OK;

    do {
        size_t now = n < most ? n : most;
        w->z.next_in = (uint8_t *)bytes;
        w->z.avail_in = (unsigned)now;
        bytes += now;
        n -= now;
        do {
            if (cprof_vec_reserve(&w->out, step) < 0) {
                fail(w, -ENOMEM);
                return;
            }
            w->z.next_out = w->out.data + w->out.n;
            w->z.avail_out = (unsigned)step;
            r = deflate(&w->z, n ? Z_NO_FLUSH : flush);
            w->out.n += step - w->z.avail_out;
        } while (!w->z.avail_out);
    } while (n);
    if (flush == Z_FINISH && r != Z_STREAM_END)
        fail(w, -EIO);
}

/* Pack and compress a batch, and begin a new one. */
static void emit(struct writer *w, const Perftools__Profiles__Profile *message)
{
    size_t n;

    if (w->error)
        return;
    n = perftools__profiles__profile__get_packed_size(message);
    w->packed.n = 0;
    if (cprof_vec_reserve(&w->packed, n + 1) < 0) {
        fail(w, -ENOMEM);
        return;
    }
    perftools__profiles__profile__pack(message, w->packed.data);
    compress_bytes(w, w->packed.data, n, Z_NO_FLUSH);
    cprof_arena_reset(&w->arena);
}

static bool is_full(const struct writer *w, size_t n)
{
    return n == BATCH || w->arena.n >= BATCH_BYTES;
}

static bool is_zero(const struct writer *w, size_t sample)
{
    for (size_t k = 0; k < w->p->n_types; k++)
        if (cprof_profile_value(w->p, k, sample))
            return false;
    return true;
}

/* Ids for the locations that samples use, and for their functions, in order. */
static int number_tables(struct writer *w)
{
    const struct cprof_stacks *s = w->s;
    uint8_t *is_used = calloc(s->nodes.n + 1, 1);
    uint64_t n_locations = 0, n_functions = 0;

    if (!is_used)
        return -ENOMEM;
    for (size_t i = 0; i < w->p->n; i++)
        if (!is_zero(w, i))
            is_used[w->p->stack[i]] = 1;
    for (size_t i = s->nodes.n; i-- > 0;) {
        const struct cprof_node *node = &s->nodes.data[i];
        if (!is_used[i])
            continue;
        w->location_ids[node->location] = 1;
        if (node->parent != CPROF_NONE)
            is_used[node->parent] = 1;
    }
    free(is_used);
    for (size_t i = 0; i < s->locations.n; i++) {
        const struct cprof_location *location = &s->locations.data[i];
        if (!w->location_ids[i])
            continue;
        w->location_ids[i] = ++n_locations;
        for (uint32_t k = 0; k < location->n_lines; k++)
            w->function_ids[s->lines.data[location->first_line + k].function] = 1;
    }
    for (size_t i = 0; i < s->functions.n; i++)
        if (w->function_ids[i])
            w->function_ids[i] = ++n_functions;
    return 0;
}

static int64_t nanoseconds(double seconds)
{
    double ns = seconds * 1e9;

    return ns >= 9.2e18 ? INT64_MAX : ns <= -9.2e18 ? INT64_MIN : llround(ns);
}

static int add_fact(void *writer, const char *comment)
{
    struct writer *w = writer;

    return cprof_vec_push(&w->comments, text(w, comment));
}

static void collect_comments(struct writer *w)
{
    for (size_t i = 0; i < w->p->comments.n; i++)
        if (cprof_vec_push(&w->comments, string(w, w->p->comments.data[i])) < 0)
            fail(w, -ENOMEM);
    if (pprof_facts_each(w->p, add_fact, w) < 0)
        fail(w, -ENOMEM);
}

static void write_header(struct writer *w)
{
    const struct cprof_run *run = &w->p->run;
    Perftools__Profiles__ValueType types[CPROF_MAX_SAMPLE_TYPES];
    Perftools__Profiles__ValueType *type_at[CPROF_MAX_SAMPLE_TYPES];
    Perftools__Profiles__ValueType period = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;

    text(w, ""); /* number 0 */
    for (size_t k = 0; k < w->p->n_types; k++) {
        perftools__profiles__value_type__init(&types[k]);
        types[k].type = string(w, w->p->types[k].type);
        types[k].unit = string(w, w->p->types[k].unit);
        type_at[k] = &types[k];
    }
    collect_comments(w);
    period.type = string(w, run->period_type);
    period.unit = string(w, run->period_unit);
    message.n_sample_type = w->p->n_types;
    message.sample_type = type_at;
    message.drop_frames = string(w, run->drop_frames);
    message.keep_frames = string(w, run->keep_frames);
    if (run->start_unix)
        message.time_nanos = cprof_sum(run->start_unix, nanoseconds(w->p->from));
    message.duration_nanos = nanoseconds(w->p->to - w->p->from);
    message.period_type = period.type || period.unit ? &period : NULL;
    message.period = (int64_t)run->period;
    message.n_comment = w->comments.n;
    message.comment = w->comments.data;
    message.default_sample_type = string(w, run->default_type);
    message.doc_url = string(w, run->doc_url);
    emit(w, &message);
}

static void add_number(struct writer *w, Perftools__Profiles__Label *labels, size_t *n,
                       const char *key, int64_t number, const char *unit)
{
    Perftools__Profiles__Label *label = &labels[*n];

    if (number < 0)
        return;
    perftools__profiles__label__init(label);
    label->key = text(w, key);
    label->num = number;
    label->num_unit = text(w, unit);
    ++*n;
}

static void add_text(struct writer *w, Perftools__Profiles__Label *labels, size_t *n,
                     const char *key, uint32_t value)
{
    Perftools__Profiles__Label *label = &labels[*n];

    if (!*cprof_stacks_text(w->s, value))
        return;
    perftools__profiles__label__init(label);
    label->key = text(w, key);
    label->str = string(w, value);
    ++*n;
}

/* How the stack was found, where there is something to say; pprof_facts.h. */
static void add_how(struct writer *w, Perftools__Profiles__Label *labels, size_t *n,
                    size_t sample)
{
    uint8_t bits = cprof_profile_how(w->p, sample);
    uint16_t n_added = cprof_profile_n_added(w->p, sample);
    char how[CPROF_HOW_TEXT];

    if (bits) {
        perftools__profiles__label__init(&labels[*n]);
        labels[*n].key = text(w, PPROF_LABEL_HOW);
        labels[*n].str = text(w, cprof_how_text(bits, how));
        ++*n;
    }
    if (n_added)
        add_number(w, labels, n, PPROF_LABEL_ADDED, n_added, PPROF_UNIT_ADDED);
}

/* When the sample was taken: since 1970 where that is known, else since the start. */
static int64_t time_of(const struct writer *w, size_t sample)
{
    const struct cprof_run *run = &w->p->run;
    uint64_t since = w->p->time[sample] - run->start_mono;

    return cprof_sum(run->start_unix, since > INT64_MAX ? 0 : (int64_t)since);
}

static void add_labels(struct writer *w, size_t sample, Perftools__Profiles__Sample *to)
{
    const struct cprof_thread *t = &w->s->threads.data[w->p->thread[sample]];
    size_t most = 7 + t->n_labels, n = 0;
    Perftools__Profiles__Label *labels = take(w, most, sizeof(*labels));
    Perftools__Profiles__Label **at = take(w, most, sizeof(*at));

    if (!labels || !at)
        return;
    add_number(w, labels, &n, "pid", t->pid, "id"); /* without a unit, readers lose a 0 */
    add_number(w, labels, &n, "tid", t->tid, "id");
    add_text(w, labels, &n, "thread", t->name);
    add_text(w, labels, &n, "comm", t->comm);
    add_how(w, labels, &n, sample);
    if (!w->sums)
        add_number(w, labels, &n, PPROF_LABEL_TIME, time_of(w, sample), "nanoseconds");
    for (uint32_t i = 0; i < t->n_labels; i++) {
        const struct cprof_label *from = &w->s->labels.data[t->first_label + i];
        perftools__profiles__label__init(&labels[n]);
        labels[n].key = string(w, from->key);
        labels[n].str = string(w, from->text);
        labels[n].num = from->number;
        labels[n++].num_unit = string(w, from->unit);
    }
    for (size_t i = 0; i < n; i++)
        at[i] = &labels[i];
    to->n_label = n;
    to->label = at;
}

static Perftools__Profiles__Sample *sample_message(struct writer *w, size_t i)
{
    const struct cprof_node *nodes = w->s->nodes.data;
    const uint32_t stack = w->p->stack[i];
    Perftools__Profiles__Sample *to = take(w, 1, sizeof(*to));
    size_t n = 0;

    for (uint32_t at = stack; at != CPROF_NONE; at = nodes[at].parent)
        n++;
    if (!to)
        return NULL;
    perftools__profiles__sample__init(to);
    to->location_id = take(w, n, sizeof(*to->location_id));
    if (!to->location_id)
        return NULL;
    for (uint32_t at = stack; at != CPROF_NONE; at = nodes[at].parent)
        to->location_id[to->n_location_id++] = w->location_ids[nodes[at].location];
    to->value = take(w, w->p->n_types, sizeof(*to->value));
    for (size_t k = 0; to->value && k < w->p->n_types; k++)
        to->value[to->n_value++] = cprof_profile_value(w->p, k, i);
    add_labels(w, i, to);
    return to;
}

static void write_samples(struct writer *w)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    Perftools__Profiles__Sample *batch[BATCH];

    message.sample = batch;
    for (size_t i = 0; i < w->p->n && !w->error; i++) {
        if (is_zero(w, i))
            continue;
        batch[message.n_sample++] = sample_message(w, i);
        if (is_full(w, message.n_sample)) {
            emit(w, &message);
            message.n_sample = 0;
        }
    }
    emit(w, &message);
}

/* The program's own mapping comes first, as readers expect; the others keep their order.
 */
static uint64_t mapping_id(const struct writer *w, uint32_t mapping)
{
    uint32_t first = w->p->run.main_mapping;

    if (mapping == CPROF_NONE)
        return 0;
    return mapping == first ? 1 : mapping < first ? mapping + 2ull : mapping + 1ull;
}

static size_t mapping_at(const struct writer *w, size_t place)
{
    size_t first = w->p->run.main_mapping;

    return !place ? first : place <= first ? place - 1 : place;
}

static Perftools__Profiles__Mapping *mapping_message(struct writer *w, size_t i)
{
    const struct cprof_mapping *mapping = &w->s->mappings.data[i];
    Perftools__Profiles__Mapping *to = take(w, 1, sizeof(*to));

    if (!to)
        return NULL;
    perftools__profiles__mapping__init(to);
    to->id = mapping_id(w, (uint32_t)i);
    to->memory_start = mapping->start;
    to->memory_limit = mapping->limit;
    to->file_offset = mapping->offset;
    to->filename = string(w, mapping->file);
    to->build_id = string(w, mapping->build_id);
    to->has_functions = mapping->has_functions;
    to->has_filenames = mapping->has_filenames;
    to->has_line_numbers = mapping->has_line_numbers;
    to->has_inline_frames = mapping->has_inline_frames;
    return to;
}

static void write_mappings(struct writer *w)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    Perftools__Profiles__Mapping *batch[BATCH];

    message.mapping = batch;
    for (size_t i = 0; i < w->s->mappings.n && !w->error; i++) {
        batch[message.n_mapping++] = mapping_message(w, mapping_at(w, i));
        if (is_full(w, message.n_mapping)) {
            emit(w, &message);
            message.n_mapping = 0;
        }
    }
    emit(w, &message);
}

static Perftools__Profiles__Location *location_message(struct writer *w, size_t i)
{
    const struct cprof_location *location = &w->s->locations.data[i];
    const struct cprof_line *from = w->s->lines.data + location->first_line;
    size_t n = location->n_lines;
    Perftools__Profiles__Location *to = take(w, 1, sizeof(*to));
    Perftools__Profiles__Line *lines = take(w, n, sizeof(*lines));
    Perftools__Profiles__Line **at = take(w, n, sizeof(*at));

    if (!to || !lines || !at)
        return NULL;
    perftools__profiles__location__init(to);
    to->id = w->location_ids[i];
    to->mapping_id = mapping_id(w, location->mapping);
    to->address = location->address;
    to->is_folded = location->is_folded;
    for (size_t k = 0; k < n; k++) {
        perftools__profiles__line__init(&lines[k]);
        lines[k].function_id = w->function_ids[from[k].function];
        lines[k].line = from[k].line;
        lines[k].column = from[k].column;
        at[k] = &lines[k];
    }
    to->n_line = n;
    to->line = at;
    return to;
}

static void write_locations(struct writer *w)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    Perftools__Profiles__Location *batch[BATCH];

    message.location = batch;
    for (size_t i = 0; i < w->s->locations.n && !w->error; i++) {
        if (!w->location_ids[i])
            continue;
        batch[message.n_location++] = location_message(w, i);
        if (is_full(w, message.n_location)) {
            emit(w, &message);
            message.n_location = 0;
        }
    }
    emit(w, &message);
}

static Perftools__Profiles__Function *function_message(struct writer *w, size_t i)
{
    const struct cprof_function *function = &w->s->functions.data[i];
    Perftools__Profiles__Function *to = take(w, 1, sizeof(*to));

    if (!to)
        return NULL;
    perftools__profiles__function__init(to);
    to->id = w->function_ids[i];
    to->name = string(w, function->name);
    to->system_name = string(w, function->system_name);
    to->filename = string(w, function->filename);
    to->start_line = function->start_line;
    return to;
}

static void write_functions(struct writer *w)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    Perftools__Profiles__Function *batch[BATCH];

    message.function = batch;
    for (size_t i = 0; i < w->s->functions.n && !w->error; i++) {
        if (!w->function_ids[i])
            continue;
        batch[message.n_function++] = function_message(w, i);
        if (is_full(w, message.n_function)) {
            emit(w, &message);
            message.n_function = 0;
        }
    }
    emit(w, &message);
}

static void write_strings(struct writer *w)
{
    Perftools__Profiles__Profile message = PERFTOOLS__PROFILES__PROFILE__INIT;
    char *batch[BATCH];

    message.string_table = batch;
    for (size_t i = 0; i < w->strings.n; i++) {
        batch[message.n_string_table++] =
            (char *)cprof_strtab_get(&w->strings, (uint32_t)i);
        if (message.n_string_table == BATCH) {
            emit(w, &message);
            message.n_string_table = 0;
        }
    }
    emit(w, &message);
}

static int encode(struct writer *w)
{
    int r = number_tables(w);

    if (r < 0)
        return r;
    write_header(w);
    write_samples(w);
    write_mappings(w);
    write_locations(w);
    write_functions(w);
    write_strings(w);
    compress_bytes(w, (const uint8_t *)"", 0, Z_FINISH);
    return w->error;
}

int cprof_pprof_encode(const struct cprof_profile *p, bool has_times, uint8_t **ret,
                       size_t *n, struct cprof_error *err)
{
    struct writer w;
    int r = writer_init(&w, p, has_times);

    if (r >= 0)
        r = encode(&w);
    if (r >= 0) {
        *ret = w.out.data;
        *n = w.out.n;
        w.out.data = NULL;
    } else {
        cprof_error_set(err, r,
                        r == -ENOMEM    ? "pprof: out of memory"
                        : r == -ENODATA ? "pprof: this profile has no times"
                                        : "pprof: too large to be written");
    }
    writer_deinit(&w);
    return r;
}

int cprof_pprof_write(const struct cprof_profile *p, bool has_times, const char *path,
                      struct cprof_error *err)
{
    uint8_t *bytes;
    size_t n;
    int r = cprof_pprof_encode(p, has_times, &bytes, &n, err);

    if (r < 0)
        return r;
    r = cprof_outfile_write(path, bytes, n, "pprof", err);
    free(bytes);
    return r;
}
