/* symbol_dwarf.h - private to symbol_lines.c and its parts:
 *   symbol_lines.c    the handle: files, which unit an address is in, one pass each
 *   symbol_dwarf.c    one file with debug information, opened
 *   symbol_dies.c     the quick way over the entries of a unit
 *   symbol_inlines.c  functions and inlined functions at addresses
 *   symbol_rows.c     line programs
 *   symbol_split.c    units that lie in .dwo and .dwp files
 * Functions that return int give 0 or a negative errno; -EBADMSG: the data contradicts
 * itself, -E2BIG: it makes too much work. */
#ifndef CPROF_SYMBOL_DWARF_H
#define CPROF_SYMBOL_DWARF_H

#include <elfutils/libdw.h>

#include "arena.h"
#include "symbol_cursor.h"
#include "symbol_internal.h"
#include "symbol_lines.h"

enum cprof_dwarf_section {
    CPROF_DWARF_INFO,
    CPROF_DWARF_TYPES,
    CPROF_DWARF_ABBREV,
    CPROF_DWARF_LINE,
    CPROF_DWARF_STR,
    CPROF_DWARF_LINE_STR,
    CPROF_DWARF_STR_OFFSETS,
    CPROF_DWARF_ADDR,
    CPROF_DWARF_RANGES,
    CPROF_DWARF_RNGLISTS,
    CPROF_N_DWARF_SECTIONS,
};
extern const char *const CPROF_DWARF_NAMES[CPROF_N_DWARF_SECTIONS]; /* ".debug_info" */

/* One file with debug information. */
struct cprof_dwarf {
    struct cprof_elf *elf;                                /* owned */
    struct cprof_cursor sections[CPROF_N_DWARF_SECTIONS]; /* decompressed */
    uint8_t *unpacked[CPROF_N_DWARF_SECTIONS]; /* owned: those that were compressed */
    char names[256];                           /* of the sections, for libdw */
    Elf *handle;
    Dwarf *dwarf;
};

/* The bytes of one unit. */
struct cprof_unit_bytes {
    const uint8_t *start;     /* of its header */
    struct cprof_cursor dies; /* from its first entry to its end */
    uint64_t abbrev_offset, id;
    unsigned version, type, offset_size, address_size;
};

struct cprof_abbrev {
    uint64_t code;
    const uint8_t *forms; /* (attribute, form) pairs up to (0, 0) */
    uint32_t size; /* of its attributes, CPROF_ABBREV_VARIES: not always the same */
    uint16_t tag;
    bool has_children, has_code;
};
enum { CPROF_ABBREV_VARIES = 0xffffffffu };

struct cprof_abbrevs {
    CPROF_VEC(struct cprof_abbrev) all; /* by code */
    const uint8_t *at;                  /* what they were read from */
    unsigned version, offset_size, address_size;
};

/* A compilation unit with code: `die` is its root, or that of its skeleton. */
struct cprof_unit {
    Dwarf_Die die;
    bool is_skeleton;
};

struct cprof_unit_range { /* code of a unit; by start, the larger first */
    uint64_t start, end;
    uint32_t unit;
    uint32_t outer; /* the nearest range before this one that ends after it */
};

/* An address that is asked for, and what is found. */
struct cprof_query {
    uint64_t address;
    uint32_t unit;
    uint32_t number; /* in the caller's list */
    uint32_t node;   /* the innermost function, CPROF_NO_NODE: none */
    uint32_t file, column;
    int64_t line;
    bool has_row;
};

/* How many of the queries, sorted by address, ask for one below `address`. */
static inline size_t cprof_queries_before(const struct cprof_query *queries, size_t n,
                                          uint64_t address)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (queries[middle].address < address)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

struct cprof_inline_node { /* a function or inlined function that holds a query */
    const uint8_t *die;
    uint32_t parent; /* the function that it is inlined in; CPROF_NO_NODE: none */
    bool is_read;    /* what follows is */
    const char *name;
    uint32_t start_line, call_file, call_line, call_column;
};
enum { CPROF_NO_NODE = 0xffffffffu };

struct cprof_line_file {
    const char *name;
    uint64_t directory;
};

/* The header of a unit's line program. */
struct cprof_line_program {
    struct cprof_cursor code;
    unsigned version, address_size, n_opcodes;
    unsigned least_step, n_per_step, line_range;
    int line_base;
    const uint8_t *operands; /* of standard opcodes 1 .. n_opcodes - 1 */
    CPROF_VEC(const char *) directories;
    CPROF_VEC(struct cprof_line_file) files; /* by the number that rows use */
};

struct cprof_split; /* symbol_split.c */

struct cprof_lines {
    struct cprof_dwarf file, alt;
    char *root, *path; /* of the file with the debug information, as the target sees it */
    char *image;       /* of the program or library */
    struct cprof_split *split;
    CPROF_VEC(struct cprof_unit) units;
    CPROF_VEC(struct cprof_unit_range) ranges;
    struct cprof_abbrevs abbrevs;
    struct cprof_line_program program;
    CPROF_VEC(struct cprof_query) queries;
    CPROF_VEC(struct cprof_inline_node) nodes;
    CPROF_VEC(uint32_t) open; /* the node around each level of the entries passed */
    CPROF_VEC(struct cprof_lines_frame) frames;
    struct cprof_arena text; /* the paths of `frames` */
    uint64_t size;           /* of the debug information */
    uint64_t work;           /* that may still be done */
    uint64_t n_refused;
};

/* symbol_dwarf.c. Both take over `elf`, also on failure. -ENODATA: nothing there that
 * libdw can read. load() fills elf and sections, the latter with those that are there. */
int cprof_dwarf_open(struct cprof_elf *elf, struct cprof_dwarf *ret);
int cprof_dwarf_load(struct cprof_elf *elf, struct cprof_dwarf *ret);
/* Make the handles of one whose sections are there. Close it also after failure. */
int cprof_dwarf_begin(struct cprof_dwarf *dwarf);
void cprof_dwarf_close(struct cprof_dwarf *dwarf);
/* The bytes that hold DWARF's entries and lines when decompressed; 0: no such thing. */
uint64_t cprof_dwarf_size(const struct cprof_elf *elf);
/* Header and bytes of the unit at `offset` of `info`. */
bool cprof_unit_bytes(struct cprof_cursor info, uint64_t offset,
                      struct cprof_unit_bytes *ret);
/* A number, or a string that ends within one of the file's sections; false: no such
 * attribute, here or where the entry refers to. */
bool cprof_die_number(Dwarf_Die *die, unsigned attribute, uint64_t *ret);
const char *cprof_die_text(const struct cprof_lines *lines,
                           const struct cprof_dwarf *dwarf, Dwarf_Die *die,
                           unsigned attribute);

/* Take `n` steps of work: -E2BIG when there is none left. */
static inline int cprof_lines_spend(struct cprof_lines *lines, uint64_t n)
{
    if (n > lines->work)
        return -E2BIG;
    lines->work -= n;
    return 0;
}

/* symbol_dies.c */
int cprof_abbrevs_read(struct cprof_lines *lines, const struct cprof_dwarf *dwarf,
                       const struct cprof_unit_bytes *unit);
const struct cprof_abbrev *cprof_abbrevs_find(const struct cprof_abbrevs *abbrevs,
                                              uint64_t code);
/* Move `at`, which stands behind an entry's code, beyond its attributes. */
void cprof_die_skip(const struct cprof_abbrev *abbrev,
                    const struct cprof_unit_bytes *unit, struct cprof_cursor *at);
void cprof_form_skip(struct cprof_cursor *at, uint64_t form, unsigned version,
                     unsigned offset_size, unsigned address_size);

/* Where the entries of a unit are. */
struct cprof_inside {
    const struct cprof_dwarf *dwarf;
    Dwarf_Die die; /* its root */
    uint64_t base; /* what its range lists are relative to, where it does not say itself;
                      CPROF_NO_BASE: it says so */
    uint64_t ranges_base;                    /* where they begin in .debug_ranges, then */
    const struct cprof_line_program *called; /* files of calls of inlined functions */
};
#define CPROF_NO_BASE UINT64_MAX

/* symbol_inlines.c: give each query its node; all are in the unit, and sorted. */
int cprof_inlines_find(struct cprof_lines *lines, struct cprof_inside *inside,
                       struct cprof_query *queries, size_t n);
/* Fill lines->frames for one query, also for one without a node. */
int cprof_inlines_frames(struct cprof_lines *lines, const struct cprof_inside *inside,
                         const char *comp_dir, const struct cprof_query *query);

/* symbol_split.c: the entries that a skeleton stands for, if they are found: 0, or a
 * negative errno; *ret stays as it is when they are not. */
int cprof_split_find(struct cprof_lines *lines, struct cprof_unit *skeleton,
                     struct cprof_inside *ret);
void cprof_split_destroy(struct cprof_split *split); /* accepts NULL */

/* symbol_debuginfod.c: ask the servers of DEBUGINFOD_URLS for a debug file. *ret is
 * owned, NULL: they have none. -EOPNOTSUPP: no libdebuginfod here, -EINVAL: no server
 * named. */
int cprof_debuginfod_open(const uint8_t *build_id, size_t n, struct cprof_elf **ret,
                          struct cprof_error *err);

/* symbol_rows.c */
int cprof_rows_open(struct cprof_lines *lines, const struct cprof_dwarf *dwarf,
                    uint64_t offset, struct cprof_line_program *ret);
void cprof_rows_close(struct cprof_line_program *program);
/* Give each query, sorted by address, its row. */
int cprof_rows_find(struct cprof_lines *lines, const struct cprof_line_program *program,
                    struct cprof_query *queries, size_t n);
/* The full path of a file of the program, in lines->text; "" for a number that it does
 * not have, NULL when out of memory. */
const char *cprof_rows_path(struct cprof_lines *lines,
                            const struct cprof_line_program *program,
                            const char *comp_dir, uint64_t file);

#endif
