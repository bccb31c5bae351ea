/* The handle: which files, which unit an address is in, one pass over each unit. */
#include "symbol_lines.h"

#include <dwarf.h>
#include <limits.h>
#include <stdio.h>

#include "symbol_dwarf.h"

enum {
    UNITS_MAX = 1 << 18,
    RANGES_MAX = 1 << 23,
    NO_UNIT = 0x7fffffff,
};
/* Steps that honest data may make for: an entry, a row or an abbreviation has a byte at
 * least, what costs libdw a call has ten. */
enum { WORK_PER_BYTE = 8, WORK_MIN = 1 << 20 };

/* ---- files ---- */

static bool has_lines(const struct cprof_elf *elf)
{
    return cprof_dwarf_size(elf) != 0;
}

/* A file that must have the build id `id`. */
static int try_alt(struct cprof_lines *lines, const char *path, const void *id,
                   size_t id_n)
{
    struct cprof_elf *elf;
    const uint8_t *found;
    size_t n;
    int r = cprof_elf_open(path, &elf, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    found = cprof_elf_build_id(elf, &n);
    if (n != id_n || memcmp(found, id, n)) {
        cprof_elf_unref(elf);
        return 0;
    }
    return cprof_dwarf_open(elf, &lines->alt) == 0;
}

/* The file that dwz moved what several files share to: by build id, by the path that is
 * noted, which may be relative to the debug file's own; in the target's file system
 * first.
 */
static int open_alt(struct cprof_lines *lines)
{
    const struct cprof_elf_section *link =
        cprof_elf_find(lines->file.elf, ".gnu_debugaltlink");
    const char *roots[] = {lines->root, ""}, *slash = strrchr(lines->path, '/'), *name;
    char hex[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_MAX];
    struct cprof_cursor at;
    size_t n;
    int r = 0;

    if (!link || !link->bytes)
        return 0;
    at = cprof_cursor_of(link->bytes, link->size);
    name = cprof_cursor_string(&at);
    n = cprof_cursor_left(&at);
    if (at.is_bad || n < 2 || n > CPROF_BUILD_ID_MAX)
        return 0;
    cprof_build_id_hex(at.at, n, hex);
    for (size_t i = *lines->root ? 0 : 1; i < 2 && r == 0; i++) {
        if (snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug",
                     roots[i], hex, hex + 2) < (int)sizeof(path))
            r = try_alt(lines, path, at.at, n);
        if (r == 0 && *name == '/' &&
            snprintf(path, sizeof(path), "%s%s", roots[i], name) < (int)sizeof(path))
            r = try_alt(lines, path, at.at, n);
    }
    if (r == 0 && *name != '/' &&
        snprintf(path, sizeof(path), "%.*s/%s", slash ? (int)(slash - lines->path) : 1,
                 slash ? lines->path : ".", name) < (int)sizeof(path))
        r = try_alt(lines, path, at.at, n);
    if (r > 0)
        dwarf_setalt(lines->file.dwarf, lines->alt.dwarf);
    return r < 0 ? r : 0;
}

/* *ret is owned; NULL where there is no debug information. `path` has PATH_MAX bytes. */
static int find_file(const struct cprof_lines_from *from, char *path,
                     struct cprof_elf **ret, struct cprof_error *err)
{
    const uint8_t *build_id = from->build_id;
    size_t build_id_n = from->build_id_n;
    int r;

    *ret = NULL;
    snprintf(path, PATH_MAX, "%s%s", from->root, from->path);
    if (from->elf && has_lines(from->elf)) {
        *ret = cprof_elf_ref(from->elf);
        return 0;
    }
    if (from->elf && !build_id_n)
        build_id = cprof_elf_build_id(from->elf, &build_id_n);
    r = cprof_debug_open(from->elf, from->root, from->path, build_id, build_id_n,
                         has_lines, path, ret);
    if (r < 0)
        return cprof_error_set(err, r, "symbol: out of memory");
    if (*ret || !from->debuginfod || !build_id_n)
        return 0;
    return cprof_debuginfod_open(build_id, build_id_n, ret, err);
}

/* ---- which unit an address is in ---- */

static int by_start(const void *a_arg, const void *b_arg)
{
    const struct cprof_unit_range *a = a_arg, *b = b_arg;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;              /* the larger first */
    return (a->unit < b->unit) - (a->unit > b->unit); /* found first: the first unit */
}

static int add_ranges(struct cprof_lines *lines, Dwarf_Die *die, uint32_t unit)
{
    Dwarf_Addr base, start, end;
    ptrdiff_t at = 0;

    while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
        struct cprof_unit_range range = {.start = start, .end = end, .unit = unit};
        if (lines->ranges.n == RANGES_MAX || cprof_lines_spend(lines, 1) < 0)
            return -E2BIG;
        if (start && start < end && cprof_vec_push(&lines->ranges, range) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_units(struct cprof_lines *lines)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    uint8_t type;

    for (size_t n = 0; n < UNITS_MAX; n++) {
        struct cprof_unit unit;
        size_t n_ranges = lines->ranges.n;
        int r = dwarf_get_units(lines->file.dwarf, cu, &cu, NULL, &type, &die, NULL);
        if (r)
            return r > 0 ? 0 : -EBADMSG;
        if (type != DW_UT_compile && type != DW_UT_skeleton)
            continue;
        r = add_ranges(lines, &die, (uint32_t)lines->units.n);
        if (r < 0)
            return r;
        unit = (struct cprof_unit){.die = die, .is_skeleton = type == DW_UT_skeleton};
        if (lines->ranges.n > n_ranges && cprof_vec_push(&lines->units, unit) < 0)
            return -ENOMEM;
    }
    return -E2BIG;
}

static int index_units(struct cprof_lines *lines)
{
    struct cprof_unit_range *ranges;
    bool is_sorted = true;
    int r = add_units(lines);

    if (r == -ENOMEM)
        return r;
    lines->n_refused += r < 0;
    ranges = lines->ranges.data;
    for (size_t i = 1; i < lines->ranges.n; i++)
        is_sorted &= by_start(&ranges[i - 1], &ranges[i]) <= 0;
    if (!is_sorted)
        qsort(ranges, lines->ranges.n, sizeof(*ranges), by_start);
    for (uint32_t i = 0; i < lines->ranges.n; i++) {
        uint32_t outer = i ? i - 1 : NO_UNIT;
        while (outer != NO_UNIT && ranges[outer].end <= ranges[i].end)
            outer = ranges[outer].outer;
        ranges[i].outer = outer;
    }
    return lines->units.n ? 0 : -ENODATA;
}

static uint32_t unit_at(const struct cprof_lines *lines, uint64_t address)
{
    const struct cprof_unit_range *ranges = lines->ranges.data;
    size_t low = 0, high = lines->ranges.n;
    uint32_t i;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    i = low ? (uint32_t)low - 1 : NO_UNIT;
    while (i != NO_UNIT && ranges[i].end <= address)
        i = ranges[i].outer;
    return i != NO_UNIT ? ranges[i].unit : NO_UNIT;
}

/* ---- opening ---- */

static uint64_t work_for(const struct cprof_lines *lines)
{
    return lines->size * WORK_PER_BYTE + WORK_MIN;
}

static int fill(struct cprof_lines *lines, const struct cprof_lines_from *from,
                struct cprof_error *err)
{
    struct cprof_elf *elf;
    char path[PATH_MAX];
    int r = find_file(from, path, &elf, err);

    if (r < 0)
        return r;
    if (!elf)
        return cprof_error_set(err, -ENODATA, "symbol: %s has no debug information",
                               from->path);
    lines->size = cprof_dwarf_size(elf);
    lines->work = work_for(lines);
    lines->root = strdup(from->root);
    lines->path = strdup(path);
    lines->image = strdup(from->path);
    if (from->most && lines->size > from->most) {
        cprof_elf_unref(elf);
        return cprof_error_set(err, -EFBIG, "symbol: %s has %llu bytes of lines", path,
                               (unsigned long long)lines->size);
    }
    r = cprof_dwarf_open(elf, &lines->file);
    if (r == 0 && (!lines->root || !lines->path || !lines->image))
        r = -ENOMEM;
    if (r == 0)
        r = open_alt(lines);
    if (r == 0)
        r = index_units(lines);
    return r < 0 ? cprof_error_set(err, r, "symbol: cannot read the lines of %s", path)
                 : 0;
}

int cprof_lines_open(const struct cprof_lines_from *from, struct cprof_lines **ret,
                     struct cprof_error *err)
{
    struct cprof_lines *lines = calloc(1, sizeof(*lines));
    int r;

    if (!lines)
        return cprof_error_set(err, -ENOMEM, "symbol: out of memory");
    r = fill(lines, from, err);
    if (r < 0) {
        cprof_lines_close(lines);
        return r;
    }
    *ret = lines;
    return 0;
}

void cprof_lines_close(struct cprof_lines *lines)
{
    if (!lines)
        return;
    cprof_split_destroy(lines->split);
    cprof_dwarf_close(&lines->file);
    cprof_dwarf_close(&lines->alt);
    cprof_rows_close(&lines->program);
    cprof_vec_free(&lines->units);
    cprof_vec_free(&lines->ranges);
    cprof_vec_free(&lines->abbrevs.all);
    cprof_vec_free(&lines->queries);
    cprof_vec_free(&lines->nodes);
    cprof_vec_free(&lines->open);
    cprof_vec_free(&lines->frames);
    cprof_arena_deinit(&lines->text);
    free(lines->root);
    free(lines->path);
    free(lines->image);
    free(lines);
}

uint64_t cprof_lines_n_refused(const struct cprof_lines *lines)
{
    return lines->n_refused;
}

uint64_t cprof_lines_size(const struct cprof_lines *lines)
{
    return lines->size;
}

/* ---- answers ---- */

static int by_unit_and_address(const void *a_arg, const void *b_arg)
{
    const struct cprof_query *a = a_arg, *b = b_arg;

    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    return (a->address > b->address) - (a->address < b->address);
}

/* What cannot be read is counted and left out; only the lack of memory ends all. */
static int tolerate(struct cprof_lines *lines, int r)
{
    if (r >= 0 || r == -ENOMEM)
        return r < 0 ? r : 0;
    lines->n_refused++;
    return 0;
}

static int find_rows(struct cprof_lines *lines, struct cprof_unit *unit,
                     struct cprof_query *queries, size_t n)
{
    uint64_t offset;
    int r;

    lines->program.files.n = lines->program.directories.n = 0;
    if (!cprof_die_number(&unit->die, DW_AT_stmt_list, &offset))
        return 0;
    r = cprof_rows_open(lines, &lines->file, offset, &lines->program);
    return r < 0 ? r : cprof_rows_find(lines, &lines->program, queries, n);
}

static int answer_unit(struct cprof_lines *lines, struct cprof_unit *unit,
                       struct cprof_query *queries, size_t n, cprof_lines_taker *take,
                       void *arg)
{
    struct cprof_inside inside = {.dwarf = &lines->file,
                                  .die = unit->die,
                                  .base = CPROF_NO_BASE,
                                  .called = &lines->program};
    const char *comp_dir =
        cprof_die_text(lines, &lines->file, &unit->die, DW_AT_comp_dir);
    int r = tolerate(lines, find_rows(lines, unit, queries, n));

    if (r == 0 && unit->is_skeleton)
        r = tolerate(lines, cprof_split_find(lines, unit, &inside));
    if (r == 0)
        r = tolerate(lines, cprof_inlines_find(lines, &inside, queries, n));
    for (size_t i = 0; i < n && r == 0; i++) {
        r = cprof_inlines_frames(lines, &inside, comp_dir ? comp_dir : "", &queries[i]);
        if (r == 0)
            r = take(arg, queries[i].number, lines->frames.data, lines->frames.n);
    }
    return r;
}

int cprof_lines_find(struct cprof_lines *lines, const uint64_t *addresses, size_t n,
                     cprof_lines_taker *take, void *arg)
{
    struct cprof_query *queries;
    int r = 0;

    lines->queries.n = 0;
    lines->work = work_for(lines);
    if (cprof_vec_reserve(&lines->queries, n) < 0)
        return -ENOMEM;
    queries = lines->queries.data;
    for (size_t i = 0; i < n; i++)
        queries[i] = (struct cprof_query){.address = addresses[i],
                                          .unit = unit_at(lines, addresses[i]),
                                          .number = (uint32_t)i,
                                          .node = CPROF_NO_NODE};
    if (n)
        qsort(queries, n, sizeof(*queries), by_unit_and_address);
    for (size_t i = 0, next; i < n && r == 0; i = next) {
        uint32_t unit = queries[i].unit;
        next = i + 1;
        while (next < n && queries[next].unit == unit)
            next++;
        if (unit != NO_UNIT) {
            r = answer_unit(lines, &lines->units.data[unit], queries + i, next - i, take,
                            arg);
            continue;
        }
        for (size_t k = i; k < next && r == 0; k++)
            r = take(arg, queries[k].number, NULL, 0);
    }
    return r;
}
