/* Split units: the program has a skeleton of each, which says where its code is; what the
 * code consists of lies in a .dwo file, or with all others in one .dwp. The sections of
 * such a unit and those that it borrows from the program are put together for libdw, as
 * if they were a file of their own. */
#include "symbol_dwarf.h"

#include <dwarf.h>
#include <limits.h>
#include <stdio.h>

enum { COLUMNS_MAX = 16, INDEX_HEADER = 16 };

struct cprof_split {
    bool has_looked;           /* for the .dwp */
    struct cprof_dwarf dwp;    /* its sections */
    struct cprof_cursor index; /* .debug_cu_index */
    struct cprof_dwarf unit;   /* the one that was found last */
    struct cprof_line_program program;
};

/* What the skeleton says. */
struct skeleton {
    uint64_t id, low, addr_base, ranges_base;
    const char *name, *comp_dir;
    unsigned version;
};

void cprof_split_destroy(struct cprof_split *split)
{
    if (!split)
        return;
    cprof_dwarf_close(&split->unit);
    cprof_dwarf_close(&split->dwp);
    cprof_rows_close(&split->program);
    free(split);
}

static bool read_skeleton(const struct cprof_lines *lines, Dwarf_Die *die,
                          struct skeleton *ret)
{
    uint64_t offset = dwarf_dieoffset(die) - dwarf_cuoffset(die);
    struct cprof_unit_bytes bytes;
    Dwarf_Addr low;

    if (!cprof_unit_bytes(lines->file.sections[CPROF_DWARF_INFO], offset, &bytes))
        return false;
    *ret = (struct skeleton){.id = bytes.id, .version = bytes.version};
    if (bytes.version < 5 && !cprof_die_number(die, DW_AT_GNU_dwo_id, &ret->id))
        return false;
    if (!cprof_die_number(die, DW_AT_addr_base, &ret->addr_base))
        cprof_die_number(die, DW_AT_GNU_addr_base, &ret->addr_base);
    cprof_die_number(die, DW_AT_GNU_ranges_base, &ret->ranges_base);
    ret->low = dwarf_lowpc(die, &low) == 0 ? low : 0;
    ret->comp_dir = cprof_die_text(lines, &lines->file, die, DW_AT_comp_dir);
    ret->name = cprof_die_text(lines, &lines->file, die, DW_AT_dwo_name);
    if (!ret->name)
        ret->name = cprof_die_text(lines, &lines->file, die, DW_AT_GNU_dwo_name);
    return true;
}

/* ---- .dwp ---- */

static int try_dwp(struct cprof_split *split, const char *root, const char *of)
{
    const struct cprof_elf_section *index;
    char path[PATH_MAX];
    struct cprof_elf *elf;
    int r = -ENOENT;

    if (snprintf(path, sizeof(path), "%s%s.dwp", root, of) < (int)sizeof(path))
        r = cprof_elf_open(path, &elf, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    index = cprof_elf_find(elf, ".debug_cu_index");
    if (!index || !index->bytes) {
        cprof_elf_unref(elf);
        return 0;
    }
    split->index = cprof_cursor_of(index->bytes, index->size);
    return cprof_dwarf_load(elf, &split->dwp);
}

static int look_for_dwp(struct cprof_lines *lines)
{
    struct cprof_split *split = lines->split;
    int r;

    if (split->has_looked)
        return 0;
    split->has_looked = true;
    r = try_dwp(split, "", lines->path);
    if (r == 0 && !split->index.at)
        r = try_dwp(split, lines->root, lines->image);
    if (r == 0 && !split->index.at && *lines->root)
        r = try_dwp(split, "", lines->image);
    return r;
}

/* A cell of a table of 32-bit numbers behind the index's hash table. */
static uint32_t cell(const struct cprof_cursor *tables, uint64_t n_columns, uint64_t row,
                     uint64_t column)
{
    struct cprof_cursor at = *tables;

    cprof_cursor_take(&at, 4 * (row * n_columns + column));
    return (uint32_t)cprof_cursor_fixed(&at, 4);
}

/* Which section a column is of; the numbers of version 2 and 5 differ. */
static int section_of(uint32_t number, unsigned version)
{
    switch (number) {
    case 1:
        return CPROF_DWARF_INFO;
    case 3:
        return CPROF_DWARF_ABBREV;
    case 4:
        return CPROF_DWARF_LINE;
    case 6:
        return CPROF_DWARF_STR_OFFSETS;
    case 8:
        return version >= 5 ? CPROF_DWARF_RNGLISTS : -1;
    }
    return -1;
}

/* The row of the unit `id`, from 1; 0: it is not there. *tables becomes what follows the
 * hash table. */
static uint32_t find_row(struct cprof_cursor index, uint32_t n_slots, uint64_t id,
                         struct cprof_cursor *tables)
{
    struct cprof_cursor ids = index, rows;

    cprof_cursor_take(&index, 8 * (uint64_t)n_slots);
    rows = index;
    cprof_cursor_take(&index, 4 * (uint64_t)n_slots);
    *tables = index;
    if (index.is_bad || !n_slots || (n_slots & (n_slots - 1)))
        return 0;
    for (uint64_t n = 0, slot = id; n < n_slots; n++) {
        struct cprof_cursor at = ids;
        uint32_t row;
        slot &= n_slots - 1;
        cprof_cursor_take(&at, 8 * slot);
        row = cell(&rows, 1, slot, 0);
        if (!row || cprof_cursor_fixed(&at, 8) == id)
            return row;
        slot += (id >> 32 & (n_slots - 1)) | 1;
    }
    return 0;
}

/* The unit's own part of each section of the .dwp. */
static bool find_in_dwp(const struct cprof_split *split, uint64_t id,
                        struct cprof_cursor *sections)
{
    struct cprof_cursor index = split->index, tables;
    unsigned version = (unsigned)cprof_cursor_fixed(&index, 2);
    uint32_t n_columns, n_units, n_slots, row;

    cprof_cursor_fixed(&index, 2);
    n_columns = (uint32_t)cprof_cursor_fixed(&index, 4);
    n_units = (uint32_t)cprof_cursor_fixed(&index, 4);
    n_slots = (uint32_t)cprof_cursor_fixed(&index, 4);
    if (index.is_bad || (version != 2 && version != 5) || n_columns > COLUMNS_MAX)
        return false;
    row = find_row(index, n_slots, id, &tables);
    if (!row || row > n_units)
        return false;
    sections[CPROF_DWARF_STR] = split->dwp.sections[CPROF_DWARF_STR];
    for (uint32_t i = 0; i < n_columns; i++) {
        int section = section_of(cell(&tables, n_columns, 0, i), version);
        struct cprof_cursor part;
        uint32_t n = cell(&tables, n_columns, (uint64_t)n_units + row, i);
        if (section < 0)
            continue;
        part = split->dwp.sections[section];
        cprof_cursor_take(&part, cell(&tables, n_columns, row, i));
        if (!part.at || part.is_bad || n > cprof_cursor_left(&part))
            return false;
        sections[section] = cprof_cursor_of(part.at, n);
    }
    return true;
}

/* ---- .dwo ---- */

static int try_dwo(struct cprof_split *split, const char *root, const char *folder,
                   const char *name)
{
    char path[PATH_MAX];
    struct cprof_elf *elf;
    int r = -ENOENT;

    if (snprintf(path, sizeof(path), "%s%s%s%s", root, folder, *folder ? "/" : "", name) <
        (int)sizeof(path))
        r = cprof_elf_open(path, &elf, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    return cprof_dwarf_load(elf, &split->unit);
}

/* Where the compiler put it; in the folder of the program. */
static int find_dwo(struct cprof_lines *lines, const struct skeleton *s)
{
    const char *roots[] = {lines->root, ""}, *slash = strrchr(lines->path, '/');
    const char *folder = *s->name == '/' || !s->comp_dir ? "" : s->comp_dir;
    struct cprof_split *split = lines->split;
    char beside[PATH_MAX];
    int r = 0;

    for (size_t i = *lines->root ? 0 : 1; i < 2 && r == 0; i++)
        if (!split->unit.elf && (*folder == '/' || *s->name == '/'))
            r = try_dwo(split, roots[i], folder, s->name);
    if (r == 0 && !split->unit.elf && *s->name != '/' && slash &&
        snprintf(beside, sizeof(beside), "%.*s", (int)(slash - lines->path),
                 lines->path) < (int)sizeof(beside))
        r = try_dwo(split, "", beside, s->name);
    return r;
}

/* ---- the unit ---- */

/* The root of the unit `id` in what was put together. */
static bool find_unit(struct cprof_split *split, const struct skeleton *s, Dwarf_Die *ret)
{
    const struct cprof_cursor info = split->unit.sections[CPROF_DWARF_INFO];
    struct cprof_cursor at = info;

    while (at.at < at.end && !at.is_bad) {
        uint64_t offset = (uint64_t)(at.at - info.at), id = 0;
        struct cprof_unit_bytes unit;
        Dwarf_Die die;
        if (!cprof_unit_bytes(info, offset, &unit))
            return false;
        at.at = unit.dies.end;
        if (!dwarf_offdie(split->unit.dwarf, (Dwarf_Off)(unit.dies.at - info.at), &die))
            continue;
        id = unit.id;
        if (unit.version < 5)
            cprof_die_number(&die, DW_AT_GNU_dwo_id, &id);
        if (dwarf_tag(&die) != DW_TAG_compile_unit || id != s->id)
            continue;
        *ret = die;
        return true;
    }
    return false;
}

/* What the unit borrows from the program. */
static void lend(const struct cprof_lines *lines, const struct skeleton *s,
                 struct cprof_dwarf *unit)
{
    struct cprof_cursor addresses = lines->file.sections[CPROF_DWARF_ADDR];

    cprof_cursor_take(&addresses, s->addr_base);
    if (!addresses.is_bad)
        unit->sections[CPROF_DWARF_ADDR] = addresses;
    if (s->version < 5)
        unit->sections[CPROF_DWARF_RANGES] = lines->file.sections[CPROF_DWARF_RANGES];
}

int cprof_split_find(struct cprof_lines *lines, struct cprof_unit *unit,
                     struct cprof_inside *ret)
{
    struct cprof_split *split = lines->split;
    struct skeleton skeleton;
    uint64_t offset;
    Dwarf_Die die;
    int r;

    if (!split)
        split = lines->split = calloc(1, sizeof(*split));
    if (!split)
        return -ENOMEM;
    cprof_dwarf_close(&split->unit);
    if (!read_skeleton(lines, &unit->die, &skeleton))
        return -EBADMSG;
    r = look_for_dwp(lines);
    if (r < 0)
        return r;
    if (!find_in_dwp(split, skeleton.id, split->unit.sections) && skeleton.name) {
        memset(split->unit.sections, 0, sizeof(split->unit.sections));
        r = find_dwo(lines, &skeleton);
    }
    if (r < 0 || !split->unit.sections[CPROF_DWARF_INFO].at)
        return r;
    lend(lines, &skeleton, &split->unit);
    r = cprof_dwarf_begin(&split->unit);
    if (r < 0)
        return r;
    if (!find_unit(split, &skeleton, &die))
        return -EBADMSG; /* of another build */
    ret->dwarf = &split->unit;
    ret->die = die;
    ret->base = skeleton.low;
    ret->ranges_base = skeleton.ranges_base;
    if (!cprof_die_number(&die, DW_AT_stmt_list, &offset))
        return 0;
    ret->called = &split->program; /* with files of its own */
    return cprof_rows_open(lines, &split->unit, offset, &split->program);
}
