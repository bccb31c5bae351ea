/* Line programs: run once for all addresses asked for; no row is kept. */
#include "symbol_dwarf.h"

#include <dwarf.h>

enum {
    FORMATS_MAX = 16, /* kinds of facts about a file */
    OPCODES_PER_STEP = 4,
};

/* ---- the header ---- */

struct format {
    uint64_t content, form;
};

struct header {
    const struct cprof_dwarf *dwarf;
    struct cprof_cursor at;
    unsigned offset_size;
    struct cprof_line_program *ret;
};

static const char *text_at(const struct cprof_dwarf *dwarf,
                           enum cprof_dwarf_section section, uint64_t offset)
{
    struct cprof_cursor text = dwarf->sections[section];

    cprof_cursor_take(&text, offset);
    return cprof_cursor_string(&text);
}

static const char *read_text(struct header *h, uint64_t form)
{
    switch (form) {
    case DW_FORM_string:
        return cprof_cursor_string(&h->at);
    case DW_FORM_line_strp:
        return text_at(h->dwarf, CPROF_DWARF_LINE_STR,
                       cprof_cursor_fixed(&h->at, h->offset_size));
    case DW_FORM_strp:
        return text_at(h->dwarf, CPROF_DWARF_STR,
                       cprof_cursor_fixed(&h->at, h->offset_size));
    }
    cprof_form_skip(&h->at, form, 5, h->offset_size, h->ret->address_size);
    return "";
}

static uint64_t read_number(struct header *h, uint64_t form)
{
    switch (form) {
    case DW_FORM_udata:
        return cprof_cursor_uleb(&h->at);
    case DW_FORM_data1:
        return cprof_cursor_fixed(&h->at, 1);
    case DW_FORM_data2:
        return cprof_cursor_fixed(&h->at, 2);
    }
    cprof_form_skip(&h->at, form, 5, h->offset_size, h->ret->address_size);
    return 0;
}

/* DWARF 5: a list of entries that says itself what it tells of each. */
static int read_list(struct header *h, bool is_files)
{
    struct cprof_line_program *ret = h->ret;
    struct format formats[FORMATS_MAX];
    unsigned n_formats = (unsigned)cprof_cursor_fixed(&h->at, 1);
    uint64_t n;

    if (n_formats > FORMATS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < n_formats; i++) {
        formats[i].content = cprof_cursor_uleb(&h->at);
        formats[i].form = cprof_cursor_uleb(&h->at);
    }
    n = cprof_cursor_uleb(&h->at);
    if (h->at.is_bad || (n && !n_formats) || n > cprof_cursor_left(&h->at))
        return -EBADMSG; /* an entry has a byte at least */
    for (uint64_t i = 0; i < n && !h->at.is_bad; i++) {
        struct cprof_line_file file = {.name = ""};
        for (unsigned k = 0; k < n_formats; k++) {
            if (formats[k].content == DW_LNCT_path)
                file.name = read_text(h, formats[k].form);
            else if (formats[k].content == DW_LNCT_directory_index)
                file.directory = read_number(h, formats[k].form);
            else
                cprof_form_skip(&h->at, formats[k].form, 5, h->offset_size,
                                ret->address_size);
        }
        if (is_files ? cprof_vec_push(&ret->files, file) < 0
                     : cprof_vec_push(&ret->directories, file.name) < 0)
            return -ENOMEM;
    }
    return h->at.is_bad ? -EBADMSG : 0;
}

/* DWARF 2 to 4: directory 0 is the unit's own, file 0 is none. */
static int read_old_lists(struct header *h)
{
    struct cprof_line_program *ret = h->ret;
    struct cprof_line_file file = {.name = ""};
    const char *name = "";

    do {
        if (cprof_vec_push(&ret->directories, name) < 0)
            return -ENOMEM;
        name = cprof_cursor_string(&h->at);
    } while (*name);
    do {
        if (cprof_vec_push(&ret->files, file) < 0)
            return -ENOMEM;
        file.name = cprof_cursor_string(&h->at);
        if (*file.name) {
            file.directory = cprof_cursor_uleb(&h->at);
            cprof_cursor_uleb(&h->at); /* time */
            cprof_cursor_uleb(&h->at); /* size */
        }
    } while (*file.name);
    return h->at.is_bad ? -EBADMSG : 0;
}

static int read_header(struct header *h)
{
    struct cprof_line_program *ret = h->ret;
    struct cprof_cursor *at = &h->at;
    uint64_t n;
    int r;

    ret->version = (unsigned)cprof_cursor_fixed(at, 2);
    if (ret->version < 2 || ret->version > 5)
        return -EBADMSG;
    if (ret->version >= 5) {
        ret->address_size = (unsigned)cprof_cursor_fixed(at, 1);
        cprof_cursor_fixed(at, 1); /* of a segment selector */
    }
    n = cprof_cursor_fixed(at, h->offset_size);
    ret->code = *at;
    cprof_cursor_take(&ret->code, n);
    ret->least_step = (unsigned)cprof_cursor_fixed(at, 1);
    ret->n_per_step = ret->version >= 4 ? (unsigned)cprof_cursor_fixed(at, 1) : 1;
    cprof_cursor_fixed(at, 1); /* whether lines begin statements */
    ret->line_base = (int8_t)cprof_cursor_fixed(at, 1);
    ret->line_range = (unsigned)cprof_cursor_fixed(at, 1);
    ret->n_opcodes = (unsigned)cprof_cursor_fixed(at, 1);
    ret->operands = cprof_cursor_take(at, ret->n_opcodes ? ret->n_opcodes - 1 : 0);
    if (at->is_bad || ret->code.is_bad || !ret->line_range)
        return -EBADMSG;
    if (ret->version < 5)
        return read_old_lists(h);
    r = read_list(h, false);
    return r < 0 ? r : read_list(h, true);
}

int cprof_rows_open(struct cprof_lines *lines, const struct cprof_dwarf *dwarf,
                    uint64_t offset, struct cprof_line_program *ret)
{
    struct header h = {.dwarf = dwarf, .ret = ret};
    struct cprof_cursor section = dwarf->sections[CPROF_DWARF_LINE];
    int r;

    ret->directories.n = ret->files.n = 0;
    ret->address_size = 8;
    cprof_cursor_take(&section, offset);
    ret->code = (struct cprof_cursor){0};
    if (!cprof_cursor_unit(&section, &h.at, &h.offset_size))
        return -EBADMSG;
    r = read_header(&h);
    if (r < 0) {
        ret->directories.n = ret->files.n = 0;
        ret->code = (struct cprof_cursor){0};
        return r;
    }
    return cprof_lines_spend(lines, ret->directories.n + ret->files.n);
}

void cprof_rows_close(struct cprof_line_program *program)
{
    cprof_vec_free(&program->directories);
    cprof_vec_free(&program->files);
}

/* ---- the program ---- */

struct row {
    uint64_t address;
    uint64_t file, line, column;
    bool is_end; /* of a sequence */
};

struct machine {
    const struct cprof_line_program *program;
    struct cprof_cursor at;
    struct row now, before;      /* `before` is the last row that was put out */
    unsigned operation;          /* within a VLIW instruction */
    bool has_before, is_dropped; /* the linker left the sequence's code out */
    struct cprof_query *queries;
    size_t n;
};

/* The row before reaches up to this one. */
static void put_row(struct machine *m)
{
    if (!m->has_before)
        m->is_dropped = !m->now.address;
    else if (!m->is_dropped && m->before.address < m->now.address &&
             m->queries[0].address < m->now.address &&
             m->queries[m->n - 1].address >= m->before.address) {
        size_t i = cprof_queries_before(m->queries, m->n, m->before.address);
        for (; i < m->n && m->queries[i].address < m->now.address; i++) {
            struct cprof_query *query = &m->queries[i];
            if (query->has_row)
                continue; /* the first of two that overlap */
            query->has_row = true;
            query->file = (uint32_t)m->before.file;
            query->line = (int64_t)(m->before.line & INT32_MAX);
            query->column = (uint32_t)m->before.column;
        }
    }
    m->before = m->now;
    m->has_before = !m->now.is_end;
}

static void reset(struct machine *m)
{
    m->now = (struct row){.file = 1, .line = 1};
    m->operation = 0;
    m->has_before = false;
}

static void advance(struct machine *m, uint64_t operations)
{
    const struct cprof_line_program *program = m->program;

    if (program->n_per_step <= 1) {
        m->now.address += program->least_step * operations;
        return;
    }
    operations += m->operation;
    m->now.address += program->least_step * (operations / program->n_per_step);
    m->operation = (unsigned)(operations % program->n_per_step);
}

static void special(struct machine *m, unsigned opcode)
{
    unsigned by = opcode - m->program->n_opcodes;

    advance(m, by / m->program->line_range);
    m->now.line +=
        (uint64_t)(int64_t)(m->program->line_base + (int)(by % m->program->line_range));
    put_row(m);
}

static void extended(struct machine *m)
{
    uint64_t n = cprof_cursor_uleb(&m->at);
    const uint8_t *bytes = cprof_cursor_take(&m->at, n);
    struct cprof_cursor at;

    if (!bytes || !n)
        return;
    at = cprof_cursor_of(bytes + 1, n - 1);
    switch (*bytes) {
    case DW_LNE_end_sequence:
        m->now.is_end = true;
        put_row(m);
        reset(m);
        return;
    case DW_LNE_set_address:
        m->now.address = cprof_cursor_fixed(&at, n - 1 < 8 ? (unsigned)n - 1 : 8);
        m->operation = 0;
        return;
    }
}

static void standard(struct machine *m, unsigned opcode)
{
    switch (opcode) {
    case DW_LNS_copy:
        put_row(m);
        return;
    case DW_LNS_advance_pc:
        advance(m, cprof_cursor_uleb(&m->at));
        return;
    case DW_LNS_advance_line:
        m->now.line += (uint64_t)cprof_cursor_sleb(&m->at);
        return;
    case DW_LNS_set_file:
        m->now.file = cprof_cursor_uleb(&m->at);
        return;
    case DW_LNS_set_column:
        m->now.column = cprof_cursor_uleb(&m->at);
        return;
    case DW_LNS_const_add_pc:
        advance(m, (255 - m->program->n_opcodes) / m->program->line_range);
        return;
    case DW_LNS_fixed_advance_pc:
        m->now.address += cprof_cursor_fixed(&m->at, 2);
        m->operation = 0;
        return;
    }
    for (unsigned i = m->program->operands[opcode - 1]; i && !m->at.is_bad; i--)
        cprof_cursor_uleb(&m->at);
}

int cprof_rows_find(struct cprof_lines *lines, const struct cprof_line_program *program,
                    struct cprof_query *queries, size_t n)
{
    struct machine m = {
        .program = program, .at = program->code, .queries = queries, .n = n};
    int r = cprof_lines_spend(lines, cprof_cursor_left(&m.at) / OPCODES_PER_STEP);

    reset(&m);
    while (r == 0 && m.at.at < m.at.end) {
        unsigned opcode = *m.at.at++;
        if (opcode >= program->n_opcodes)
            special(&m, opcode);
        else if (opcode)
            standard(&m, opcode);
        else
            extended(&m);
    }
    return r == 0 && m.at.is_bad ? -EBADMSG : r;
}

/* ---- files ---- */

const char *cprof_rows_path(struct cprof_lines *lines,
                            const struct cprof_line_program *program,
                            const char *comp_dir, uint64_t file)
{
    const char *parts[3] = {comp_dir, "", ""};
    size_t n = 0, first = 0;
    char *path;

    if (file >= program->files.n || !*program->files.data[file].name)
        return "";
    parts[2] = program->files.data[file].name;
    if (program->files.data[file].directory < program->directories.n)
        parts[1] = program->directories.data[program->files.data[file].directory];
    for (size_t i = 0; i < 3; i++) {
        first = parts[i][0] == '/' ? i : first;
        n += strlen(parts[i]) + 1;
    }
    path = cprof_arena_take(&lines->text, n + 1);
    if (!path)
        return NULL;
    path[0] = '\0';
    n = 0;
    for (size_t i = first; i < 3; i++) {
        size_t size = strlen(parts[i]);
        if (!size)
            continue;
        if (n && path[n - 1] != '/')
            path[n++] = '/';
        memcpy(path + n, parts[i], size + 1);
        n += size;
    }
    return path;
}
