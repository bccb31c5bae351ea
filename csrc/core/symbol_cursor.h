/* symbol_cursor.h - what reading DWARF's tables takes beyond the cursor of elf_cfi.h: no
 * byte beyond `end` is touched, what does not fit is 0 or "" and sets is_bad. */
#ifndef CPROF_SYMBOL_CURSOR_H
#define CPROF_SYMBOL_CURSOR_H

#include "elf_cfi.h"

static inline struct cprof_cursor cprof_cursor_of(const void *data, size_t n)
{
    return (struct cprof_cursor){.at = data, .end = (const uint8_t *)data + n};
}

/* `n` bytes, or NULL at the end of all. */
static inline const uint8_t *cprof_cursor_take(struct cprof_cursor *c, uint64_t n)
{
    const uint8_t *at = c->at;

    if (n)
        cprof_cursor_skip(c, n);
    return c->is_bad ? NULL : at;
}

/* The string that begins here; "" when it does not end. */
static inline const char *cprof_cursor_string(struct cprof_cursor *c)
{
    const uint8_t *start = c->at;
    const uint8_t *nul = start < c->end ? memchr(start, 0, cprof_cursor_left(c)) : NULL;

    if (!nul) {
        cprof_cursor_fail(c);
        return "";
    }
    c->at = nul + 1;
    return (const char *)start;
}

/* The first length of a DWARF unit or table: its bytes from there on become *ret, and `c`
 * moves beyond them. *offset_size is 4 or 8. */
static inline bool cprof_cursor_unit(struct cprof_cursor *c, struct cprof_cursor *ret,
                                     unsigned *offset_size)
{
    uint64_t n = cprof_cursor_fixed(c, 4);
    const uint8_t *at;

    *offset_size = n == 0xffffffff ? 8 : 4;
    if (*offset_size == 8)
        n = cprof_cursor_fixed(c, 8);
    at = cprof_cursor_take(c, n);
    if (!at)
        return false;
    *ret = cprof_cursor_of(at, n);
    return true;
}

#endif
