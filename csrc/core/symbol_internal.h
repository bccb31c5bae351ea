/* symbol_internal.h - the table behind symbol.h, for the files that fill it.
 *
 * A table is filled with cprof_symbols_add, then sorted, then nested; only then can names
 * be looked up. Functions that return int give 0 or -ENOMEM. */
#ifndef CPROF_SYMBOL_INTERNAL_H
#define CPROF_SYMBOL_INTERNAL_H

#include "symbol.h"
#include "vec.h"

enum {
    CPROF_SYMBOL_MODULE_MAX = 4096, /* of its name, in that of a function without one */
    CPROF_SYMBOL_COMPARED = 4096,   /* bytes of a name that decide between aliases */
    CPROF_SYMBOL_TEXT_MAX = 256 << 20, /* of names that are kept here */
    CPROF_DEBUGDATA_MAX = 256 << 20,
    CPROF_SYMBOL_NO_OUTER = 0xffffffffu,
};

/* The string tables that names lie in. */
enum cprof_symbol_text {
    CPROF_TEXT_OWN, /* names made here */
    CPROF_TEXT_SYMTAB,
    CPROF_TEXT_DEBUGDATA,
    CPROF_TEXT_DYNSYM,
    CPROF_N_TEXTS,
};

/* One function: 24 bytes, as a large library has 200,000 of them. */
struct cprof_symbol_entry {
    uint64_t start;
    uint32_t size;  /* 0: unknown. Larger code than 4 GiB does not exist */
    uint32_t name;  /* where in its text */
    uint32_t outer; /* the nearest entry before this one that ends after it */
    uint8_t text, source;
    uint8_t rank; /* among names of one address: lower is better */
};

struct cprof_symbol_entries { /* a vec */
    struct cprof_symbol_entry *data;
    size_t n, capacity;
};

struct cprof_symbol_range {
    uint64_t start, end;
};

struct cprof_symbols {
    struct cprof_symbol_entries entries; /* by start, the largest first (JIT: as added) */
    struct cprof_symbol_entries plt;     /* by start */
    const char *texts[CPROF_N_TEXTS];
    CPROF_VEC(char) own;
    CPROF_VEC(struct cprof_symbol_range)
    code; /* executable parts of the file, by start */
    struct cprof_elf *elf, *debug, *debugdata; /* what names are borrowed from */

    CPROF_VEC(uint64_t) cuts; /* JIT: painted[i] is the entry of [cuts[i], cuts[i + 1]) */
    uint32_t *painted;

    char module[CPROF_SYMBOL_MODULE_MAX];
    char made[CPROF_SYMBOL_MODULE_MAX + 32]; /* the name made last */
};

/* symbol.c */
int cprof_symbols_create(struct cprof_symbols **ret);
/* A copy of name[0..n) + `end` in the own text: 0 and *ret, -ENOMEM, or -EOVERFLOW when
 * there is too much of it. */
int cprof_symbols_keep(struct cprof_symbols *symbols, const char *name, size_t n,
                       const char *end, uint32_t *ret);
/* Sort, and leave one entry per start and size: the best of its aliases. */
int cprof_symbols_sort(struct cprof_symbols *symbols);
void cprof_symbols_nest(struct cprof_symbols *symbols);
/* The innermost sized function that covers `address`, or NULL. */
const struct cprof_symbol_entry *
cprof_symbols_covering(const struct cprof_symbols *symbols, uint64_t address);
/* How many of `entries`, which are sorted by start, begin at or before `address`. */
size_t cprof_symbols_before(const struct cprof_symbol_entries *entries, uint64_t address);
const struct cprof_symbol_range *
cprof_symbols_code_at(const struct cprof_symbols *symbols, uint64_t address);
static inline const char *cprof_symbols_name(const struct cprof_symbols *symbols,
                                             const struct cprof_symbol_entry *entry)
{
    return symbols->texts[entry->text] + entry->name;
}

static inline int cprof_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* symbol_plt.c: the stubs of symbols->elf. The table is nested already. */
int cprof_symbols_add_plt(struct cprof_symbols *symbols);

/* symbol_debug.c: *ret is owned, NULL when there is none. A debug file must have what
 * `has` looks for, symbols for open_debug; `found_at`, if not NULL, gets its path
 * (PATH_MAX bytes). */
int cprof_symbols_open_debug(const struct cprof_elf *elf, const char *root,
                             const char *path, const uint8_t *build_id, size_t build_id_n,
                             struct cprof_elf **ret);
typedef bool cprof_debug_has(const struct cprof_elf *debug);
int cprof_debug_open(const struct cprof_elf *elf, const char *root, const char *path,
                     const uint8_t *build_id, size_t build_id_n, cprof_debug_has *has,
                     char *found_at, struct cprof_elf **ret);
int cprof_symbols_open_debugdata(const struct cprof_elf *elf, struct cprof_elf **ret);

/* symbol_kernel.c: `path` has the format of /proc/kallsyms. */
int cprof_symbols_create_kallsyms(const char *path, struct cprof_symbols **ret);

#endif
