#include "cleanup.h"
#include "demangle.h"
#include "pprof_facts.h"
#include "pprof_read.h"

#define bad(rd, ...) pprof_bad((rd)->name, (rd)->err, __VA_ARGS__)

enum { TYPE_TYPE = 1, TYPE_UNIT, TYPE_N };
enum {
    MAPPING_ID = 1,
    MAPPING_START,
    MAPPING_LIMIT,
    MAPPING_OFFSET,
    MAPPING_FILE,
    MAPPING_BUILD_ID,
    MAPPING_HAS_FUNCTIONS,
    MAPPING_HAS_FILENAMES,
    MAPPING_HAS_LINES,
    MAPPING_HAS_INLINES,
    MAPPING_N
};
enum {
    LOCATION_ID = 1,
    LOCATION_MAPPING,
    LOCATION_ADDRESS,
    LOCATION_LINE,
    LOCATION_IS_FOLDED,
    LOCATION_N
};
enum { LINE_FUNCTION = 1, LINE_LINE, LINE_COLUMN, LINE_N };
enum {
    FUNCTION_ID = 1,
    FUNCTION_NAME,
    FUNCTION_SYSTEM_NAME,
    FUNCTION_FILE,
    FUNCTION_START_LINE,
    FUNCTION_N
};

static const char *const KNOWN_TEXTS[N_KNOWN] = {"pid",
                                                 "tid",
                                                 "thread",
                                                 "thread_comm",
                                                 "comm",
                                                 PPROF_LABEL_HOW,
                                                 PPROF_LABEL_ADDED,
                                                 PPROF_UNIT_ADDED,
                                                 PPROF_LABEL_TIME,
                                                 "id"};

static void ids_deinit(struct pprof_ids *ids)
{
    free(ids->direct);
    ids->direct = NULL;
    cprof_map_deinit(&ids->others);
}

static void reader_deinit(struct pprof_reader *rd)
{
    cprof_profile_unref(rd->p);
    cprof_stacks_unref(rd->s);
    free(rd->owned);
    free(rd->strings);
    free(rd->functions);
    ids_deinit(&rd->mapping_ids);
    ids_deinit(&rd->function_ids);
    ids_deinit(&rd->location_ids);
    free(rd->frames.data);
    free(rd->lines.data);
    free(rd->labels.data);
    free(rd->known_stacks.data);
    cprof_map_deinit(&rd->known_stack_ids);
}

int pprof_check_size(struct pprof_reader *rd)
{
    const struct pprof_section *of = rd->sections;
    size_t row = sizeof(struct cprof_row) / 2 + rd->p->n_types * sizeof(int64_t);
    size_t size = of[PROFILE_SAMPLE].n * row +
                  rd->s->lines.n * sizeof(struct cprof_line) +
                  of[PROFILE_LOCATION].n * 2 * sizeof(struct cprof_location) +
                  of[PROFILE_FUNCTION].n * 2 * sizeof(struct cprof_function) +
                  of[PROFILE_MAPPING].n * 2 * sizeof(struct cprof_mapping) +
                  rd->s->labels.n * sizeof(struct cprof_label) +
                  of[PROFILE_STRING].n * 2 * sizeof(uint32_t);

    if (size > CPROF_PPROF_MAX_MEMORY)
        return bad(rd, "takes more than %zu MiB to decode", CPROF_PPROF_MAX_MEMORY >> 20);
    return 0;
}

/* Where what lies; false where the bytes are no message. */
static bool find_sections(struct pprof_reader *rd, const uint8_t *bytes, size_t n)
{
    struct wire w = {.at = bytes, .end = bytes + n};
    struct wire_field field;

    for (const uint8_t *start = bytes; wire_next(&w, &field); start = w.at) {
        struct pprof_section *section =
            &rd->sections[field.number < PROFILE_N ? field.number : 0];
        if (!section->span.at)
            section->span.at = start;
        section->span.end = w.at;
        section->n += field.kind == WIRE_BYTES;
        if (field.kind == WIRE_NUMBER && field.number < PROFILE_N)
            rd->header[field.number] = field.value;
    }
    return !w.is_bad;
}

int pprof_each(struct pprof_reader *rd, unsigned number,
               int (*read)(struct pprof_reader *rd, struct wire bytes))
{
    struct wire w = rd->sections[number].span;
    struct wire_field field;
    int r = 0;

    while (r >= 0 && wire_next(&w, &field))
        if (field.number == number && field.kind == WIRE_BYTES)
            r = read(rd, field.bytes);
    return r;
}

int pprof_read_string(struct pprof_reader *rd, uint64_t index, uint32_t *ret)
{
    if (index >= rd->n_strings)
        return bad(rd, "refers to string %lld, but there are only %zu strings",
                   (long long)index, rd->n_strings);
    *ret = rd->strings[index];
    return 0;
}

static int add_string(struct pprof_reader *rd, struct wire text)
{
    size_t n = (size_t)(text.end - text.at);
    uint32_t *string = &rd->strings[rd->n_strings];
    int r = pprof_check(
        rd, cprof_strtab_add_n(&rd->s->strings, (const char *)text.at, n, string));

    if (r < 0)
        return r;
    if (!rd->n_strings && n)
        return bad(rd, "is not a pprof profile (string 0 is not empty)");
    for (size_t i = 0; i < N_KNOWN; i++)
        if (n == strlen(KNOWN_TEXTS[i]) && !memcmp(text.at, KNOWN_TEXTS[i], n))
            rd->known[i] = *string;
    rd->n_strings++;
    return 0;
}

static int read_strings(struct pprof_reader *rd)
{
    rd->strings = malloc((rd->sections[PROFILE_STRING].n + 1) * sizeof(*rd->strings));
    if (!rd->strings)
        return pprof_no_memory(rd->err);
    memset(rd->known, 0xff, sizeof(rd->known)); /* CPROF_NONE */
    return pprof_each(rd, PROFILE_STRING, add_string);
}

static int read_value_type(struct pprof_reader *rd, struct wire bytes, uint32_t *type,
                           uint32_t *unit)
{
    uint64_t v[TYPE_N];
    int r;

    if (!wire_numbers(bytes, v, TYPE_N))
        return pprof_damaged(rd, "sample type");
    r = pprof_read_string(rd, v[TYPE_TYPE], type);
    return r < 0 ? r : pprof_read_string(rd, v[TYPE_UNIT], unit);
}

static int add_type(struct pprof_reader *rd, struct wire bytes)
{
    struct cprof_sample_type *type = &rd->p->types[rd->p->n_types];
    int r = read_value_type(rd, bytes, &type->type, &type->unit);

    rd->p->n_types += r >= 0;
    return r;
}

static int read_types(struct pprof_reader *rd)
{
    size_t n = rd->sections[PROFILE_TYPE].n;

    if (!n)
        return bad(rd, "has no sample types");
    if (n > CPROF_MAX_SAMPLE_TYPES)
        return bad(rd, "has %zu sample types; at most %d can be read", n,
                   CPROF_MAX_SAMPLE_TYPES);
    return pprof_each(rd, PROFILE_TYPE, add_type);
}

static int add_comment(struct pprof_reader *rd, uint64_t index)
{
    uint32_t comment = 0;
    int r = pprof_read_string(rd, index, &comment);

    if (r < 0)
        return r;
    r = pprof_facts_parse(rd->p, cprof_stacks_text(rd->s, comment));
    if (r < 0)
        return pprof_check(rd, r);
    if (!r && cprof_vec_push(&rd->p->comments, comment) < 0)
        return pprof_no_memory(rd->err);
    return 0;
}

static int read_comments(struct pprof_reader *rd)
{
    struct wire w = rd->sections[PROFILE_COMMENT].span;
    struct wire_field field;
    uint64_t index;

    while (wire_next(&w, &field)) {
        while (field.number == PROFILE_COMMENT && wire_number(&field, &index)) {
            int r = add_comment(rd, index);
            if (r < 0)
                return r;
        }
        if (field.kind == WIRE_BYTES && field.bytes.is_bad)
            return pprof_damaged(rd, "comment");
    }
    return 0;
}

static int read_period_type(struct pprof_reader *rd, struct wire bytes)
{
    return read_value_type(rd, bytes, &rd->p->run.period_type, &rd->p->run.period_unit);
}

static int read_run(struct pprof_reader *rd)
{
    struct cprof_run *run = &rd->p->run;
    int64_t duration = (int64_t)rd->header[PROFILE_DURATION];
    int r;

    if ((r = pprof_read_string(rd, rd->header[PROFILE_DROP_FRAMES], &run->drop_frames)) <
            0 ||
        (r = pprof_read_string(rd, rd->header[PROFILE_KEEP_FRAMES], &run->keep_frames)) <
            0 ||
        (r = pprof_read_string(rd, rd->header[PROFILE_DEFAULT_TYPE],
                               &run->default_type)) < 0 ||
        (r = pprof_read_string(rd, rd->header[PROFILE_DOC_URL], &run->doc_url)) < 0 ||
        (r = pprof_each(rd, PROFILE_PERIOD_TYPE, read_period_type)) < 0)
        return r;
    run->period = rd->header[PROFILE_PERIOD];
    run->start_unix = (int64_t)rd->header[PROFILE_TIME];
    run->end_mono = duration > 0 ? (uint64_t)duration : 0;
    rd->p->to = (double)duration / 1e9;
    return read_comments(rd);
}

/* Room for ids up to `n`, the number of things there are. */
static int ids_init(struct pprof_reader *rd, struct pprof_ids *ids, size_t n)
{
    ids->direct = malloc((n + 1) * sizeof(*ids->direct));
    if (!ids->direct)
        return pprof_no_memory(rd->err);
    memset(ids->direct, 0xff, (n + 1) * sizeof(*ids->direct));
    ids->n_direct = n + 1;
    return 0;
}

static int add_id(struct pprof_reader *rd, struct pprof_ids *ids, const char *what,
                  uint64_t id, uint32_t number)
{
    if (!id)
        return bad(rd, "a %s has the reserved id 0", what);
    if (pprof_number_of(ids, id) != CPROF_NONE)
        return bad(rd, "two %ss have the id %llu", what, (unsigned long long)id);
    if (id >= ids->n_direct)
        return pprof_check(rd, cprof_map_add(&ids->others, id, number));
    ids->direct[id] = number;
    return 0;
}

/* What people call a mapped file: the last part of its path. Memory of no file with
 * functions in it is a compiler's, as the recorder has it. */
static int read_module(struct pprof_reader *rd, const struct cprof_mapping *mapping,
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
    return pprof_check(rd, cprof_strtab_add_n(&rd->s->strings, path, n, ret));
}

static int read_mapping(struct pprof_reader *rd, struct wire bytes)
{
    struct cprof_mapping mapping = {0};
    uint64_t v[MAPPING_N];
    uint32_t number;
    int r;

    if (!wire_numbers(bytes, v, MAPPING_N))
        return pprof_damaged(rd, "mapping");
    mapping.start = v[MAPPING_START];
    mapping.limit = v[MAPPING_LIMIT];
    mapping.offset = v[MAPPING_OFFSET];
    mapping.has_functions = v[MAPPING_HAS_FUNCTIONS];
    mapping.has_filenames = v[MAPPING_HAS_FILENAMES];
    mapping.has_line_numbers = v[MAPPING_HAS_LINES];
    mapping.has_inline_frames = v[MAPPING_HAS_INLINES];
    if ((r = pprof_read_string(rd, v[MAPPING_FILE], &mapping.file)) < 0 ||
        (r = pprof_read_string(rd, v[MAPPING_BUILD_ID], &mapping.build_id)) < 0 ||
        (r = read_module(rd, &mapping, &mapping.module)) < 0 ||
        (r = pprof_check(rd, cprof_stacks_add_mapping(rd->s, &mapping, &number))) < 0)
        return r;
    return add_id(rd, &rd->mapping_ids, "mapping", v[MAPPING_ID], number);
}

/* A function that has only its mangled name, or both the same: make the readable one. */
static int read_name(struct pprof_reader *rd, struct cprof_function *function)
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
    return pprof_check(rd, r);
}

/* Functions enter the tables with the locations that use them, once for each module: here
 * they are only taken down. */
static int read_function(struct pprof_reader *rd, struct wire bytes)
{
    struct cprof_function *function = &rd->functions[rd->n_functions];
    uint64_t v[FUNCTION_N];
    int r;

    if (!wire_numbers(bytes, v, FUNCTION_N))
        return pprof_damaged(rd, "function");
    *function = (struct cprof_function){.start_line = (int64_t)v[FUNCTION_START_LINE]};
    if ((r = pprof_read_string(rd, v[FUNCTION_NAME], &function->name)) < 0 ||
        (r = pprof_read_string(rd, v[FUNCTION_SYSTEM_NAME], &function->system_name)) <
            0 ||
        (r = pprof_read_string(rd, v[FUNCTION_FILE], &function->filename)) < 0 ||
        (r = read_name(rd, function)) < 0)
        return r;
    return add_id(rd, &rd->function_ids, "function", v[FUNCTION_ID],
                  (uint32_t)rd->n_functions++);
}

static int read_functions(struct pprof_reader *rd)
{
    size_t n = rd->sections[PROFILE_FUNCTION].n;

    rd->functions = malloc((n + 1) * sizeof(*rd->functions));
    if (!rd->functions)
        return pprof_no_memory(rd->err);
    return pprof_each(rd, PROFILE_FUNCTION, read_function);
}

/* rd->lines becomes the lines of a location, their functions in order of the file. */
static int collect_lines(struct pprof_reader *rd, struct wire location, uint64_t id)
{
    struct wire_field field;

    rd->lines.n = 0;
    while (wire_next(&location, &field)) {
        uint64_t v[LINE_N];
        struct cprof_line line;
        if (field.number != LOCATION_LINE || field.kind != WIRE_BYTES)
            continue;
        if (!wire_numbers(field.bytes, v, LINE_N))
            return pprof_damaged(rd, "line");
        line.function = pprof_number_of(&rd->function_ids, v[LINE_FUNCTION]);
        line.line = (int64_t)v[LINE_LINE];
        line.column = v[LINE_COLUMN] <= UINT32_MAX ? (uint32_t)v[LINE_COLUMN] : 0;
        if (line.function == CPROF_NONE)
            return bad(rd, "location %llu refers to function %llu, which does not exist",
                       (unsigned long long)id, (unsigned long long)v[LINE_FUNCTION]);
        if (cprof_vec_push(&rd->lines, line) < 0)
            return pprof_no_memory(rd->err);
    }
    return 0;
}

/* The pseudo frame of cprof that this location is, or -1. */
static int pseudo_frame(const struct pprof_reader *rd, const uint64_t v[LOCATION_N])
{
    const char *name;

    if (v[LOCATION_MAPPING] || v[LOCATION_ADDRESS] || rd->lines.n != 1)
        return -1;
    name = cprof_stacks_text(rd->s, rd->functions[rd->lines.data[0].function].name);
    for (int i = 0; *name == '[' && i < CPROF_N_PSEUDO; i++)
        if (!strcmp(name, cprof_pseudo_name((unsigned)i)))
            return i;
    return -1;
}

static int add_location(struct pprof_reader *rd, const uint64_t v[LOCATION_N],
                        uint32_t *ret)
{
    uint32_t mapping = CPROF_NONE, module = 0;
    int r;

    if (v[LOCATION_MAPPING]) {
        mapping = pprof_number_of(&rd->mapping_ids, v[LOCATION_MAPPING]);
        if (mapping == CPROF_NONE)
            return bad(rd, "location %llu refers to mapping %llu, which does not exist",
                       (unsigned long long)v[LOCATION_ID],
                       (unsigned long long)v[LOCATION_MAPPING]);
        module = rd->s->mappings.data[mapping].module;
    }
    for (size_t i = 0; i < rd->lines.n; i++) {
        struct cprof_function function = rd->functions[rd->lines.data[i].function];
        function.module = module;
        r = cprof_stacks_function(rd->s, &function, &rd->lines.data[i].function);
        if (r < 0)
            return pprof_check(rd, r);
    }
    r = cprof_stacks_add_location(rd->s, v[LOCATION_ADDRESS], mapping, ret);
    if (r < 0)
        return pprof_check(rd, r);
    rd->s->locations.data[*ret].is_folded = v[LOCATION_IS_FOLDED];
    return pprof_check(rd,
                       cprof_stacks_set_lines(rd->s, *ret, rd->lines.data, rd->lines.n));
}

static int read_location(struct pprof_reader *rd, struct wire bytes)
{
    uint64_t v[LOCATION_N];
    uint32_t location;
    int pseudo, r;

    if (!wire_numbers(bytes, v, LOCATION_N))
        return pprof_damaged(rd, "location");
    r = pprof_check_size(rd);
    if (r >= 0)
        r = collect_lines(rd, bytes, v[LOCATION_ID]);
    if (r < 0)
        return r;
    pseudo = pseudo_frame(rd, v);
    if (pseudo >= 0)
        location = rd->s->pseudo[pseudo];
    else
        r = add_location(rd, v, &location);
    return r < 0 ? r
                 : add_id(rd, &rd->location_ids, "location", v[LOCATION_ID], location);
}

static int read_tables(struct pprof_reader *rd)
{
    int r;

    if ((r = ids_init(rd, &rd->mapping_ids, rd->sections[PROFILE_MAPPING].n)) < 0 ||
        (r = ids_init(rd, &rd->function_ids, rd->sections[PROFILE_FUNCTION].n)) < 0 ||
        (r = ids_init(rd, &rd->location_ids, rd->sections[PROFILE_LOCATION].n)) < 0 ||
        (r = pprof_each(rd, PROFILE_MAPPING, read_mapping)) < 0 ||
        (r = read_functions(rd)) < 0)
        return r;
    return pprof_each(rd, PROFILE_LOCATION, read_location);
}

/* Let go of all that only the tables needed: samples, and the stacks that are made of
 * them, need most. The samples mostly come first in a file. */
static void drop_tables(struct pprof_reader *rd)
{
    struct wire *samples = &rd->sections[PROFILE_SAMPLE].span;
    uint8_t *kept = NULL;
    size_t from, n;

    free(rd->functions);
    rd->functions = NULL;
    ids_deinit(&rd->function_ids);
    ids_deinit(&rd->mapping_ids);
    cprof_stacks_close_tables(rd->s);
    if (!rd->owned || !samples->at)
        return;
    from = (size_t)(samples->at - rd->owned);
    n = (size_t)(samples->end - rd->owned);
    kept = realloc(rd->owned, n);
    if (!kept)
        return;
    rd->owned = kept;
    samples->at = kept + from;
    samples->end = kept + n;
}

static int read_message(struct pprof_reader *rd)
{
    int r = pprof_check(rd, cprof_stacks_create(&rd->s));

    if (r < 0 || (r = pprof_check(rd, cprof_profile_create(rd->s, &rd->p))) < 0 ||
        (r = pprof_check_size(rd)) < 0 || (r = read_strings(rd)) < 0 ||
        (r = read_types(rd)) < 0 || (r = read_run(rd)) < 0 || (r = read_tables(rd)) < 0)
        return r;
    drop_tables(rd);
    r = pprof_read_samples(rd);
    if (r >= 0)
        cprof_stacks_close(rd->s);
    return r;
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

int pprof_read_message(const uint8_t *bytes, size_t n, uint8_t *owned, const char *name,
                       struct cprof_profile **ret, struct cprof_error *err)
{
    struct pprof_reader rd = {.name = name, .err = err, .owned = owned};
    int r;

    if (!n)
        r = pprof_bad(name, err, "is empty");
    else if (find_sections(&rd, bytes, n) && rd.sections[PROFILE_STRING].n)
        r = read_message(&rd);
    else if (is_legacy(bytes, n))
        r = pprof_bad(name, err,
                      "is in a legacy format of pprof: convert it with "
                      "`go tool pprof -proto`");
    else
        r = pprof_bad(name, err, "is not a pprof profile");
    if (r >= 0) {
        *ret = rd.p;
        rd.p = NULL;
        r = 0;
    }
    reader_deinit(&rd);
    return r;
}
