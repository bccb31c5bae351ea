/* Which functions hold an address: one pass over the entries of a unit answers all
 * queries for it. Only functions and inlined functions with code are looked at; of the
 * latter only those inside a function that holds a query. */
#include "symbol_dwarf.h"

#include <dwarf.h>

enum {
    DEPTH_MAX = 4096,   /* levels of entries */
    CHAIN_MAX = 512,    /* functions inlined into each other */
    RANGES_MAX = 65536, /* pieces of one function */
    LIBDW_WORK = 32,    /* a call of libdw's costs as much as so many entries */
};

struct pass {
    struct cprof_lines *lines;
    struct cprof_inside *inside;
    struct cprof_query *queries;
    size_t n;
};

static Dwarf_Die entry_at(const struct cprof_inside *inside, const uint8_t *die)
{
    Dwarf_Die entry = {.addr = (void *)die, .cu = inside->die.cu};

    return entry;
}

/* Give the queries in [start, end) the node `node`: what comes later lies deeper. 1 when
 * there are any. */
static int claim(struct pass *pass, uint64_t start, uint64_t end, uint32_t node)
{
    size_t i = cprof_queries_before(pass->queries, pass->n, start);
    bool is_any = false;

    if (!start) /* the linker dropped this code */
        return 0;
    for (; i < pass->n && pass->queries[i].address < end; i++) {
        pass->queries[i].node = node;
        is_any = true;
    }
    return is_any;
}

/* Where list `number` of a unit's part of .debug_rnglists begins; 0: nowhere. */
static uint64_t numbered_list(const struct cprof_dwarf *dwarf, uint64_t number)
{
    struct cprof_cursor at = dwarf->sections[CPROF_DWARF_RNGLISTS], body;
    unsigned offset_size;

    if (!at.at || !cprof_cursor_unit(&at, &body, &offset_size))
        return 0;
    cprof_cursor_take(&body, 8); /* the rest of the header */
    if (number >= cprof_cursor_left(&body) / offset_size)
        return 0;
    cprof_cursor_take(&body, number * offset_size);
    number = cprof_cursor_fixed(&body, offset_size);
    return number ? number + (offset_size == 8 ? 20 : 12) : 0;
}

/* Where the range list of an entry of a split unit begins. libdw would find it, too, but
 * then takes 0 for the address that it is relative to: that is the skeleton's. */
static uint64_t list_start(const struct cprof_inside *inside, Dwarf_Die *die)
{
    struct cprof_cursor at = {.end = inside->dwarf->sections[CPROF_DWARF_INFO].end};
    Dwarf_Attribute attr;
    Dwarf_Word offset;

    if (!dwarf_attr(die, DW_AT_ranges, &attr))
        return 0;
    at.at = attr.valp;
    if (dwarf_whatform(&attr) == DW_FORM_rnglistx)
        return numbered_list(inside->dwarf, cprof_cursor_uleb(&at));
    return dwarf_formudata(&attr, &offset) ? 0 : offset + inside->ranges_base;
}

/* Claim the queries in all pieces of an entry's code. 1: there were some. */
static int claim_all(struct pass *pass, Dwarf_Die *die, uint32_t node)
{
    const struct cprof_inside *inside = pass->inside;
    Dwarf_Addr base = 0, start, end, shift = 0;
    ptrdiff_t at = 0;
    int is_any = 0;

    if (inside->base != CPROF_NO_BASE) {
        base = inside->base;
        at = (ptrdiff_t)list_start(inside, die);
    }
    for (size_t i = 0; i < RANGES_MAX; i++) {
        at = dwarf_ranges(die, at, &base, &start, &end);
        if (at <= 0)
            break;
        if (cprof_lines_spend(pass->lines, LIBDW_WORK) < 0)
            return -E2BIG;
        if (!i && !base && inside->base != CPROF_NO_BASE)
            shift = inside->base; /* the list at 0: libdw chose the base */
        is_any |= claim(pass, start + shift, end + shift, node);
    }
    return is_any;
}

/* An entry with code that may hold queries: its node, when it does. */
static int look_at(struct pass *pass, const uint8_t *at, uint32_t parent, uint32_t *ret)
{
    struct cprof_inline_node node = {.die = at, .parent = parent};
    Dwarf_Die die = entry_at(pass->inside, at);
    int r;

    *ret = CPROF_NO_NODE;
    r = claim_all(pass, &die, (uint32_t)pass->lines->nodes.n);
    if (r <= 0)
        return r;
    *ret = (uint32_t)pass->lines->nodes.n;
    return cprof_vec_push(&pass->lines->nodes, node);
}

static int pass_over(struct pass *pass, const struct cprof_unit_bytes *unit)
{
    struct cprof_lines *lines = pass->lines;
    struct cprof_cursor at = unit->dies;
    uint32_t around = CPROF_NO_NODE;

    lines->open.n = 0;
    while (at.at < at.end) {
        const struct cprof_abbrev *abbrev;
        const uint8_t *start = at.at;
        uint64_t code = cprof_cursor_uleb(&at);
        uint32_t node = around;
        int r = cprof_lines_spend(lines, 1);
        if (r < 0)
            return r;
        if (!code) { /* the end of a level */
            if (!lines->open.n)
                return 0;
            around = lines->open.data[--lines->open.n];
            continue;
        }
        abbrev = cprof_abbrevs_find(&lines->abbrevs, code);
        if (abbrev)
            cprof_die_skip(abbrev, unit, &at);
        if (!abbrev || at.is_bad)
            return -EBADMSG;
        if (abbrev->tag == DW_TAG_subprogram && abbrev->has_code)
            r = look_at(pass, start, CPROF_NO_NODE, &node);
        else if (abbrev->tag == DW_TAG_inlined_subroutine && around != CPROF_NO_NODE)
            r = look_at(pass, start, around, &node);
        if (r < 0)
            return r;
        if (!abbrev->has_children)
            continue;
        if (lines->open.n == DEPTH_MAX)
            return -E2BIG;
        if (cprof_vec_push(&lines->open, around) < 0)
            return -ENOMEM;
        around = node;
    }
    return 0;
}

int cprof_inlines_find(struct cprof_lines *lines, struct cprof_inside *inside,
                       struct cprof_query *queries, size_t n)
{
    struct pass pass = {lines, inside, queries, n};
    uint64_t offset = dwarf_dieoffset(&inside->die) - dwarf_cuoffset(&inside->die);
    struct cprof_unit_bytes unit;
    int r;

    lines->nodes.n = 0;
    if (!cprof_unit_bytes(inside->dwarf->sections[CPROF_DWARF_INFO], offset, &unit))
        return -EBADMSG;
    r = cprof_abbrevs_read(lines, inside->dwarf, &unit);
    return r < 0 ? r : pass_over(&pass, &unit);
}

/* What the function of an entry is called. */
static const char *name_of(const struct cprof_lines *lines,
                           const struct cprof_dwarf *dwarf, Dwarf_Die *die)
{
    static const unsigned attributes[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name,
                                          DW_AT_name};
    const char *name = NULL;

    for (size_t i = 0; !name && i < sizeof(attributes) / sizeof(*attributes); i++)
        name = cprof_die_text(lines, dwarf, die, attributes[i]);
    return name && *name ? name : NULL;
}

static uint32_t number_of(Dwarf_Die *die, unsigned attribute)
{
    uint64_t value;

    return cprof_die_number(die, attribute, &value) && value <= INT32_MAX
               ? (uint32_t)value
               : 0;
}

/* What is known of a node; several queries may lie in it. */
static const struct cprof_inline_node *
read_node(struct cprof_lines *lines, const struct cprof_inside *inside, uint32_t number)
{
    struct cprof_inline_node *node = &lines->nodes.data[number];
    Dwarf_Die die = entry_at(inside, node->die);

    if (node->is_read)
        return node;
    node->name = name_of(lines, inside->dwarf, &die);
    node->start_line = number_of(&die, DW_AT_decl_line);
    if (node->parent != CPROF_NO_NODE) {
        node->call_file = number_of(&die, DW_AT_call_file);
        node->call_line = number_of(&die, DW_AT_call_line);
        node->call_column = number_of(&die, DW_AT_call_column);
    }
    node->is_read = true;
    return node;
}

int cprof_inlines_frames(struct cprof_lines *lines, const struct cprof_inside *inside,
                         const char *comp_dir, const struct cprof_query *query)
{
    struct cprof_lines_frame frame = {.line = query->line, .column = query->column};
    uint32_t at = query->node;

    lines->frames.n = 0;
    cprof_arena_reset(&lines->text);
    if (at == CPROF_NO_NODE && !query->has_row)
        return 0;
    frame.file = query->has_row
                     ? cprof_rows_path(lines, &lines->program, comp_dir, query->file)
                     : "";
    for (size_t n = 0; n < CHAIN_MAX; n++) {
        const struct cprof_inline_node *node =
            at == CPROF_NO_NODE ? NULL : read_node(lines, inside, at);
        frame.name = node ? node->name : NULL;
        frame.start_line = node ? node->start_line : 0;
        if (!frame.file || cprof_vec_push(&lines->frames, frame) < 0)
            return -ENOMEM;
        if (!node || node->parent == CPROF_NO_NODE)
            break;
        at = node->parent;
        frame.line = node->call_line;
        frame.column = node->call_column;
        frame.file = cprof_rows_path(lines, inside->called, comp_dir, node->call_file);
    }
    return 0;
}
