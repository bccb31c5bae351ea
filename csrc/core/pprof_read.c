#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <zlib.h>

#include "arena.h"
#include "cleanup.h"
#include "demangle.h"
#include "pprof.h"
#include "pprof_facts.h"
#include "profile.pb-c.h"

enum { GZIP_WINDOW = 15 + 16, NAME_SHOWN = 200 };

typedef CPROF_VEC(uint8_t) bytes_vec;

struct reader {
    const char *name; /* for messages */
    struct cprof_error *err;
    const Perftools__Profiles__Profile *m;
    struct cprof_stacks *s;
    struct cprof_profile *p;
    uint32_t *strings; /* by the file's index: string of s */
    struct cprof_map mappings, functions,
        locations; /* id -> index, index, location of s */
    CPROF_VEC(uint32_t) frames;
    CPROF_VEC(struct cprof_label) labels;
};

static void reader_deinit(struct reader *rd)
{
    cprof_profile_unref(rd->p);
    cprof_stacks_unref(rd->s);
    free(rd->strings);
    cprof_map_deinit(&rd->mappings);
    cprof_map_deinit(&rd->functions);
    cprof_map_deinit(&rd->locations);
    free(rd->frames.data);
    free(rd->labels.data);
}

/* The bytes are not a profile: say in words what is wrong. */
static int bad(const char *name, struct cprof_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int bad(const char *name, struct cprof_error *err, const char *format, ...)
{
    size_t n = strlen(name);
    char what[CPROF_ERROR_MESSAGE];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return cprof_error_set(err, -EBADMSG, "pprof: %s%s: %.150s",
                           n > NAME_SHOWN ? "..." : "",
                           n > NAME_SHOWN ? name + n - NAME_SHOWN : name, what);
}

static int no_memory(struct cprof_error *err)
{
    return cprof_error_set(err, -ENOMEM, "pprof: out of memory");
}

/* What the core's interning functions return, with its message. */
static int check(struct reader *rd, int r)
{
    if (r == -ENOMEM)
        return no_memory(rd->err);
    return r < 0 ? bad(rd->name, rd->err, "holds more than can be numbered") : r;
}

static int read_string(struct reader *rd, int64_t index, uint32_t *ret)
{
    if (index < 0 || (uint64_t)index >= rd->m->n_string_table)
        return bad(rd->name, rd->err,
                   "refers to string %lld, but there are only %zu strings",
                   (long long)index, rd->m->n_string_table);
    *ret = rd->strings[index];
    return 0;
}

static int read_strings(struct reader *rd)
{
    size_t n = rd->m->n_string_table;

    if (!n || *rd->m->string_table[0])
        return bad(rd->name, rd->err, "is not a pprof profile (string 0 is not empty)");
    rd->strings = malloc(n * sizeof(*rd->strings));
    if (!rd->strings)
        return no_memory(rd->err);
    for (size_t i = 0; i < n; i++) {
        int r = check(
            rd, cprof_stacks_string(rd->s, rd->m->string_table[i], &rd->strings[i]));
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_types(struct reader *rd)
{
    const Perftools__Profiles__Profile *m = rd->m;

    if (!m->n_sample_type)
        return bad(rd->name, rd->err, "has no sample types");
    if (m->n_sample_type > CPROF_MAX_SAMPLE_TYPES)
        return bad(rd->name, rd->err, "has %zu sample types; at most %d can be read",
                   m->n_sample_type, CPROF_MAX_SAMPLE_TYPES);
    for (size_t i = 0; i < m->n_sample_type; i++) {
        struct cprof_sample_type *type = &rd->p->types[i];
        int r = read_string(rd, m->sample_type[i]->type, &type->type);
        if (r >= 0)
            r = read_string(rd, m->sample_type[i]->unit, &type->unit);
        if (r < 0)
            return r;
        rd->p->n_types++;
    }
    return 0;
}

static int read_comments(struct reader *rd)
{
    for (size_t i = 0; i < rd->m->n_comment; i++) {
        uint32_t comment = 0;
        int r = read_string(rd, rd->m->comment[i], &comment);

        if (r < 0)
            return r;
        r = pprof_facts_parse(rd->p, cprof_stacks_text(rd->s, comment));
        if (r < 0)
            return check(rd, r);
        if (!r && cprof_vec_push(&rd->p->comments, comment) < 0)
            return no_memory(rd->err);
    }
    return 0;
}

static int read_run(struct reader *rd)
{
    const Perftools__Profiles__Profile *m = rd->m;
    struct cprof_run *run = &rd->p->run;
    int r;

    if ((r = read_string(rd, m->drop_frames, &run->drop_frames)) < 0 ||
        (r = read_string(rd, m->keep_frames, &run->keep_frames)) < 0 ||
        (r = read_string(rd, m->default_sample_type, &run->default_type)) < 0 ||
        (r = read_string(rd, m->doc_url, &run->doc_url)) < 0)
        return r;
    if (m->period_type &&
        ((r = read_string(rd, m->period_type->type, &run->period_type)) < 0 ||
         (r = read_string(rd, m->period_type->unit, &run->period_unit)) < 0))
        return r;
    run->period = (uint64_t)m->period;
    run->start_unix = m->time_nanos;
    run->end_mono = m->duration_nanos > 0 ? (uint64_t)m->duration_nanos : 0;
    rd->p->to = (double)m->duration_nanos / 1e9;
    return read_comments(rd);
}

/* Enter `id` into one of the id tables. */
static int add_id(struct reader *rd, struct cprof_map *ids, const char *what, uint64_t id,
                  uint32_t number)
{
    if (!id)
        return bad(rd->name, rd->err, "a %s has the reserved id 0", what);
    if (cprof_map_get(ids, id) != CPROF_MAP_NONE)
        return bad(rd->name, rd->err, "two %ss have the id %llu", what,
                   (unsigned long long)id);
    return check(rd, cprof_map_add(ids, id, number));
}

/* What people call a mapped file: the last part of its path. Memory of no file with
 * functions in it is a compiler's, as the recorder has it. */
static int read_module(struct reader *rd, const struct cprof_mapping *mapping,
                       uint32_t *ret)
{
    static const char DELETED[] = " (deleted)", KERNEL[] = "[kernel.kallsyms]";
    const char *path = cprof_stacks_text(rd->s, mapping->file);
    const char *slash = strrchr(path, '/');
    size_t n;

    if (mapping->has_functions && !strcmp(path, "//anon"))
        path = "[jit]";
    else if (!strncmp(path, KERNEL, sizeof(KERNEL) - 1)) /* "..._stext" from some tools */
        path = KERNEL;
    else if (*path != '[' && strncmp(path, "//", 2) && slash && slash[1])
        path = slash + 1;
    n = strlen(path);
    if (n > sizeof(DELETED) - 1 && !strcmp(path + n - (sizeof(DELETED) - 1), DELETED))
        n -= sizeof(DELETED) - 1;
    return check(rd, cprof_strtab_add_n(&rd->s->strings, path, n, ret));
}

static int read_mappings(struct reader *rd)
{
    for (size_t i = 0; i < rd->m->n_mapping; i++) {
        const Perftools__Profiles__Mapping *from = rd->m->mapping[i];
        struct cprof_mapping mapping = {.start = from->memory_start,
                                        .limit = from->memory_limit,
                                        .offset = from->file_offset,
                                        .has_functions = from->has_functions,
                                        .has_filenames = from->has_filenames,
                                        .has_line_numbers = from->has_line_numbers,
                                        .has_inline_frames = from->has_inline_frames};
        uint32_t number;
        int r;

        if ((r = read_string(rd, from->filename, &mapping.file)) < 0 ||
            (r = read_string(rd, from->build_id, &mapping.build_id)) < 0 ||
            (r = read_module(rd, &mapping, &mapping.module)) < 0 ||
            (r = check(rd, cprof_stacks_add_mapping(rd->s, &mapping, &number))) < 0 ||
            (r = add_id(rd, &rd->mappings, "mapping", from->id, number)) < 0)
            return r;
    }
    return 0;
}

/* Functions enter the tables with the locations that use them, once for each module: here
 * only their ids are taken down. */
static int read_functions(struct reader *rd)
{
    for (size_t i = 0; i < rd->m->n_function; i++) {
        const Perftools__Profiles__Function *from = rd->m->function[i];
        uint32_t string;
        int r = add_id(rd, &rd->functions, "function", from->id, (uint32_t)i);

        if (r < 0 || (r = read_string(rd, from->name, &string)) < 0 ||
            (r = read_string(rd, from->system_name, &string)) < 0 ||
            (r = read_string(rd, from->filename, &string)) < 0)
            return r;
    }
    return 0;
}

/* A function that has only its mangled name, or both the same: make the readable one. */
static int read_name(struct reader *rd, struct cprof_function *function)
{
    const char *mangled = cprof_stacks_text(rd->s, function->system_name);
    _cleanup_free_ char *readable = NULL;
    int r;

    if (function->name && function->name != function->system_name)
        return 0;
    function->name = function->system_name;
    if (strncmp(mangled, "_Z", 2) && strncmp(mangled, "_R", 2))
        return 0;
    r = cprof_demangle(mangled, &readable);
    if (r >= 0 && readable)
        r = cprof_stacks_string(rd->s, readable, &function->name);
    return check(rd, r);
}

static int read_line(struct reader *rd, const Perftools__Profiles__Location *location,
                     const Perftools__Profiles__Line *from, uint32_t module,
                     struct cprof_line *to)
{
    uint32_t index = cprof_map_get(&rd->functions, from->function_id);
    const Perftools__Profiles__Function *f;
    struct cprof_function function = {.module = module};
    int r;

    if (index == CPROF_MAP_NONE)
        return bad(rd->name, rd->err,
                   "location %llu refers to function %llu, which does not exist",
                   (unsigned long long)location->id,
                   (unsigned long long)from->function_id);
    f = rd->m->function[index];
    function.name = rd->strings[f->name];
    function.system_name = rd->strings[f->system_name];
    function.filename = rd->strings[f->filename];
    function.start_line = f->start_line;
    r = read_name(rd, &function);
    if (r < 0)
        return r;
    to->line = from->line;
    to->column =
        from->column > 0 && from->column <= UINT32_MAX ? (uint32_t)from->column : 0;
    return check(rd, cprof_stacks_function(rd->s, &function, &to->function));
}

/* The pseudo frame of cprof that this location is, or -1. */
static int pseudo_frame(struct reader *rd, const Perftools__Profiles__Location *from)
{
    uint32_t index;
    const char *name;

    if (from->mapping_id || from->address || from->n_line != 1)
        return -1;
    index = cprof_map_get(&rd->functions, from->line[0]->function_id);
    if (index == CPROF_MAP_NONE)
        return -1;
    name = rd->m->string_table[rd->m->function[index]->name];
    for (int i = 0; i < CPROF_N_PSEUDO; i++)
        if (!strcmp(name, cprof_pseudo_name((unsigned)i)))
            return i;
    return -1;
}

static int read_location(struct reader *rd, const Perftools__Profiles__Location *from,
                         uint32_t *ret)
{
    uint32_t mapping = CPROF_NONE, module = 0;
    CPROF_VEC(struct cprof_line) lines = {0};
    int r;

    if (from->mapping_id) {
        mapping = cprof_map_get(&rd->mappings, from->mapping_id);
        if (mapping == CPROF_MAP_NONE)
            return bad(rd->name, rd->err,
                       "location %llu refers to mapping %llu, which does not exist",
                       (unsigned long long)from->id,
                       (unsigned long long)from->mapping_id);
        module = rd->s->mappings.data[mapping].module;
    }
    if (cprof_vec_reserve(&lines, from->n_line) < 0)
        return no_memory(rd->err);
    for (size_t i = 0; i < from->n_line; i++) {
        r = read_line(rd, from, from->line[i], module, &lines.data[i]);
        if (r < 0)
            goto finish;
    }
    r = check(rd, cprof_stacks_add_location(rd->s, from->address, mapping, ret));
    if (r < 0)
        goto finish;
    rd->s->locations.data[*ret].is_folded = from->is_folded;
    r = check(rd, cprof_stacks_set_lines(rd->s, *ret, lines.data, from->n_line));
finish:
    free(lines.data);
    return r;
}

static int read_locations(struct reader *rd)
{
    for (size_t i = 0; i < rd->m->n_location; i++) {
        const Perftools__Profiles__Location *from = rd->m->location[i];
        int pseudo = pseudo_frame(rd, from), r = 0;
        uint32_t location;

        if (pseudo >= 0)
            location = rd->s->pseudo[pseudo];
        else
            r = read_location(rd, from, &location);
        if (r >= 0)
            r = add_id(rd, &rd->locations, "location", from->id, location);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_stack(struct reader *rd, size_t i, uint32_t *ret)
{
    const Perftools__Profiles__Sample *from = rd->m->sample[i];
    int r;

    rd->frames.n = 0;
    if (cprof_vec_reserve(&rd->frames, from->n_location_id) < 0)
        return no_memory(rd->err);
    for (size_t k = 0; k < from->n_location_id; k++) {
        uint32_t location = cprof_map_get(&rd->locations, from->location_id[k]);
        if (location == CPROF_MAP_NONE)
            return bad(rd->name, rd->err,
                       "sample %zu refers to location %llu, which does not exist", i + 1,
                       (unsigned long long)from->location_id[k]);
        rd->frames.data[rd->frames.n++] = location;
    }
    if (rd->s->nodes.n + rd->frames.n > CPROF_PPROF_MAX_NODES)
        return bad(rd->name, rd->err, "has stacks of more than %zu frames",
                   CPROF_PPROF_MAX_NODES);
    r = cprof_stacks_intern(rd->s, rd->frames.data, rd->frames.n, ret);
    return check(rd, r);
}

/* A label that says which thread: taken into *to. false for any other label, and for a
 * second one of the same key. */
static bool is_thread_label(struct reader *rd, const struct cprof_label *label,
                            struct cprof_thread *to)
{
    const char *key = cprof_stacks_text(rd->s, label->key);
    const char *unit = cprof_stacks_text(rd->s, label->unit);
    bool is_id = !label->text && label->number >= 0 && label->number <= INT32_MAX &&
                 (!*unit || !strcmp(unit, "id"));

    if (is_id && to->pid < 0 && !strcmp(key, "pid"))
        to->pid = (int32_t)label->number;
    else if (is_id && to->tid < 0 && !strcmp(key, "tid"))
        to->tid = (int32_t)label->number;
    else if (label->text && !to->name &&
             (!strcmp(key, "thread") || !strcmp(key, "thread_comm")))
        to->name = label->text;
    else if (label->text && !to->comm && !strcmp(key, "comm"))
        to->comm = label->text;
    else
        return false;
    return true;
}

/* A label of ours that says how the stack was found: taken into *to. */
static bool is_how_label(struct reader *rd, const struct cprof_label *label,
                         struct cprof_row *to)
{
    const char *key = cprof_stacks_text(rd->s, label->key);

    if (!to->how && !strcmp(key, PPROF_LABEL_HOW))
        return cprof_how_parse(cprof_stacks_text(rd->s, label->text), &to->how);
    if (to->n_added || label->text || label->number <= 0 || label->number > UINT16_MAX ||
        strcmp(key, PPROF_LABEL_ADDED) ||
        strcmp(cprof_stacks_text(rd->s, label->unit), PPROF_UNIT_ADDED))
        return false;
    to->n_added = (uint16_t)label->number;
    return true;
}

/* Whose sample it is, and how its stack was found. */
static int read_labels(struct reader *rd, const Perftools__Profiles__Sample *from,
                       struct cprof_row *row)
{
    struct cprof_thread thread = {.pid = -1, .tid = -1};
    int r;

    rd->labels.n = 0;
    for (size_t i = 0; i < from->n_label; i++) {
        struct cprof_label label = {.number = from->label[i]->num};
        if ((r = read_string(rd, from->label[i]->key, &label.key)) < 0 ||
            (r = read_string(rd, from->label[i]->str, &label.text)) < 0 ||
            (r = read_string(rd, from->label[i]->num_unit, &label.unit)) < 0)
            return r;
        if (!label.text && !label.number && !label.unit)
            continue; /* says nothing: no reader keeps it */
        if (!is_thread_label(rd, &label, &thread) && !is_how_label(rd, &label, row) &&
            cprof_vec_push(&rd->labels, label) < 0)
            return no_memory(rd->err);
    }
    row->pid = thread.pid;
    row->tid = thread.tid;
    r = cprof_stacks_thread(rd->s, &thread, rd->labels.data, rd->labels.n, &row->thread);
    return check(rd, r);
}

static int read_samples(struct reader *rd)
{
    const Perftools__Profiles__Profile *m = rd->m;

    for (size_t i = 0; i < m->n_sample; i++) {
        const Perftools__Profiles__Sample *from = m->sample[i];
        struct cprof_row row = {.cpu = -1};
        int r;

        if (from->n_value != m->n_sample_type)
            return bad(rd->name, rd->err,
                       "sample %zu has %zu values for %zu sample types", i + 1,
                       from->n_value, m->n_sample_type);
        if ((r = read_stack(rd, i, &row.stack)) < 0 ||
            (r = read_labels(rd, from, &row)) < 0)
            return r;
        memcpy(row.values, from->value, from->n_value * sizeof(*row.values));
        r = check(rd, cprof_profile_add(rd->p, &row));
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_message(struct reader *rd)
{
    int r = check(rd, cprof_stacks_create(&rd->s));

    if (r < 0 || (r = check(rd, cprof_profile_create(rd->s, &rd->p))) < 0 ||
        (r = read_strings(rd)) < 0 || (r = read_types(rd)) < 0 ||
        (r = read_run(rd)) < 0 || (r = read_mappings(rd)) < 0 ||
        (r = read_functions(rd)) < 0 || (r = read_locations(rd)) < 0)
        return r;
    return read_samples(rd);
}

static void *arena_alloc(void *arena, size_t n)
{
    return cprof_arena_take(arena, n);
}

static void arena_free(void *arena, void *p)
{
    (void)arena; /* all at once, in the end */
    (void)p;
}

/* pprof's formats from before profile.proto: text, and the binary one of gperftools,
 * which begins with the words 0 and 3, of 4 or 8 bytes. */
static bool is_legacy(const uint8_t *bytes, size_t n)
{
    static const struct {
        size_t n;
        const char *bytes;
    } STARTS[] = {
        {3, "---"},
        {12, "heap profile"},
        {17, "goroutine profile"},
        {20, "threadcreate profile"},
        {18, "contention profile"},
        {8, "\0\0\0\0\3\0\0\0"},
        {16, "\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"},
    };

    for (size_t i = 0; i < sizeof(STARTS) / sizeof(STARTS[0]); i++)
        if (n >= STARTS[i].n && !memcmp(bytes, STARTS[i].bytes, STARTS[i].n))
            return true;
    return false;
}

static int decode_plain(const uint8_t *bytes, size_t n, const char *name,
                        struct cprof_profile **ret, struct cprof_error *err)
{
    struct cprof_arena arena = {.limit = CPROF_PPROF_MAX_MEMORY};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};
    struct reader rd = {.name = name, .err = err};
    int r;

    if (!n)
        return bad(name, err, "is empty");
    rd.m = perftools__profiles__profile__unpack(&allocator, n, bytes);
    if (rd.m && rd.m->n_string_table)
        r = read_message(&rd);
    else if (arena.is_over_limit)
        r = bad(name, err, "takes more than %zu MiB to decode", arena.limit >> 20);
    else if (arena.is_failed)
        r = no_memory(err);
    else if (is_legacy(bytes, n))
        r = bad(name, err,
                "is in a legacy format of pprof: convert it with "
                "`go tool pprof -proto`");
    else
        r = bad(name, err, "is not a pprof profile");
    if (r >= 0) {
        *ret = rd.p;
        rd.p = NULL;
    }
    reader_deinit(&rd);
    cprof_arena_deinit(&arena);
    return r;
}

static int inflate_all(z_stream *z, bytes_vec *to, const char *name,
                       struct cprof_error *err)
{
    int r;

    do {
        size_t room;
        if (to->n > CPROF_PPROF_MAX_BYTES)
            return bad(name, err, "inflates to more than %zu MiB",
                       CPROF_PPROF_MAX_BYTES >> 20);
        if (cprof_vec_reserve(to, 64 * 1024) < 0)
            return no_memory(err);
        room = to->capacity - to->n;
        if (room > CPROF_PPROF_MAX_BYTES + 1 - to->n)
            room = CPROF_PPROF_MAX_BYTES + 1 - to->n;
        z->next_out = to->data + to->n;
        z->avail_out = (unsigned)room;
        r = inflate(z, Z_NO_FLUSH);
        to->n = (size_t)(z->next_out - to->data);
    } while (r == Z_OK);
    if (r == Z_MEM_ERROR)
        return no_memory(err);
    if (r == Z_BUF_ERROR)
        return bad(name, err, "is cut off: the gzip data ends too early");
    if (r != Z_STREAM_END)
        return bad(name, err, "is damaged: bad gzip data");
    if (z->avail_in)
        return bad(name, err, "has %u bytes after the end of its gzip data", z->avail_in);
    return 0;
}

static int decode_gzip(const uint8_t *bytes, size_t n, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    z_stream z = {.next_in = (uint8_t *)bytes, .avail_in = (unsigned)n};
    bytes_vec plain = {0};
    int r;

    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return no_memory(err);
    r = inflate_all(&z, &plain, name, err);
    inflateEnd(&z);
    if (r >= 0)
        r = decode_plain(plain.data, plain.n, name, ret, err);
    free(plain.data);
    return r;
}

int cprof_pprof_decode(const void *bytes, size_t n, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    const uint8_t *b = bytes;

    if (n > CPROF_PPROF_MAX_BYTES)
        return bad(name, err, "is larger than %zu MiB", CPROF_PPROF_MAX_BYTES >> 20);
    if (n >= 2 && b[0] == 0x1f && b[1] == 0x8b)
        return decode_gzip(b, n, name, ret, err);
    return decode_plain(b, n, name, ret, err);
}

/* All of a file, which may be a pipe, up to a little more than the limit. */
static int read_all(int fd, bytes_vec *to)
{
    struct stat st;
    size_t step = 64 * 1024;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < (1 << 30))
        step = (size_t)st.st_size + 1;
    do {
        if (cprof_vec_reserve(to, step) < 0)
            return -ENOMEM;
        n = read(fd, to->data + to->n, to->capacity - to->n);
        if (n < 0 && errno != EINTR)
            return -errno;
        to->n += n > 0 ? (size_t)n : 0;
        step = 64 * 1024;
    } while (n && to->n <= CPROF_PPROF_MAX_BYTES);
    return 0;
}

int cprof_pprof_read(const char *path, struct cprof_profile **ret,
                     struct cprof_error *err)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    bytes_vec bytes = {0};
    int r = fd < 0 ? -errno : read_all(fd, &bytes);

    if (r < 0) {
        errno = -r;
        cprof_error_set(err, r, "pprof: cannot read %s: %m", path);
    } else {
        r = cprof_pprof_decode(bytes.data, bytes.n, path, ret, err);
    }
    free(bytes.data);
    return r;
}
