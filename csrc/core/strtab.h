/* strtab.h - interned strings: equal text has one number, number 0 is "".
 *
 * Text is kept in one growing block; cprof_strtab_get() is borrowed until the next
 * cprof_strtab_add(). Lengths are limited to CPROF_STRTAB_MAX bytes a string: longer
 * text (a hostile symbol name) is cut there. */
#ifndef CPROF_STRTAB_H
#define CPROF_STRTAB_H

#include "map.h"

enum { CPROF_STRTAB_MAX = 64 * 1024 };

struct cprof_strtab {
    char *text;
    size_t text_n, text_capacity;
    uint32_t *offsets;
    size_t n, offsets_capacity;
    struct cprof_map ids; /* hash of text -> number */
};

/* A zeroed table is valid; it holds "" as number 0 from the first add on. */
void cprof_strtab_deinit(struct cprof_strtab *tab);

/* Intern `n` bytes of `text` (NUL inside ends it), which may be text of this table: 0 and
 * *ret, -ENOMEM, or -EOVERFLOW when the table would pass 4 GiB. */
int cprof_strtab_add_n(struct cprof_strtab *tab, const char *text, size_t n,
                       uint32_t *ret);
int cprof_strtab_add(struct cprof_strtab *tab, const char *text, uint32_t *ret);

/* The text of `id`; "" for numbers that were never given out. */
const char *cprof_strtab_get(const struct cprof_strtab *tab, uint32_t id);

/* *to becomes an independent copy of `from` for reading: its text, not its hash table (0
 * or -ENOMEM, then *to is empty). */
int cprof_strtab_copy(const struct cprof_strtab *from, struct cprof_strtab *to);
/* Make the hash table of a copy, so that text can be added to it. 0 or -ENOMEM. */
int cprof_strtab_reopen(struct cprof_strtab *tab);

#endif
