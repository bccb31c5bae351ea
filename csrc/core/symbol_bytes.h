/* symbol_bytes.h - read numbers and strings out of bytes that may end anywhere. Nothing
 * is read beyond `end`: what does not fit is 0 or "" and sets is_bad. */
#ifndef CPROF_SYMBOL_BYTES_H
#define CPROF_SYMBOL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cprof_bytes {
    const uint8_t *at, *end;
    bool is_bad;
};

static inline struct cprof_bytes cprof_bytes_of(const void *data, size_t n)
{
    return (struct cprof_bytes){.at = data, .end = (const uint8_t *)data + n};
}

static inline size_t cprof_bytes_left(const struct cprof_bytes *b)
{
    return (size_t)(b->end - b->at);
}

/* `n` bytes, or NULL at the end of all. */
static inline const uint8_t *cprof_bytes_take(struct cprof_bytes *b, uint64_t n)
{
    const uint8_t *at = b->at;

    if (n > cprof_bytes_left(b)) {
        b->is_bad = true;
        b->at = b->end;
        return NULL;
    }
    b->at += n;
    return at;
}

/* A little-endian number of `n` <= 8 bytes. */
static inline uint64_t cprof_bytes_number(struct cprof_bytes *b, unsigned n)
{
    const uint8_t *at = cprof_bytes_take(b, n);
    uint64_t value = 0;

    if (at)
        memcpy(&value, at, n);
    return value;
}

static inline uint64_t cprof_bytes_uleb(struct cprof_bytes *b)
{
    uint64_t value = 0;

    for (unsigned shift = 0; b->at < b->end; shift += 7) {
        uint8_t byte = *b->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    b->is_bad = true;
    return 0;
}

static inline int64_t cprof_bytes_sleb(struct cprof_bytes *b)
{
    uint64_t value = 0;

    for (unsigned shift = 0; b->at < b->end;) {
        uint8_t byte = *b->at++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (byte & 0x80)
            continue;
        if (byte & 0x40 && shift < 64)
            value |= ~(uint64_t)0 << shift;
        return (int64_t)value;
    }
    b->is_bad = true;
    return 0;
}

/* The string that begins here; "" when it does not end. */
static inline const char *cprof_bytes_string(struct cprof_bytes *b)
{
    const uint8_t *start = b->at;
    const uint8_t *nul = start < b->end ? memchr(start, 0, cprof_bytes_left(b)) : NULL;

    if (!nul) {
        b->is_bad = true;
        b->at = b->end;
        return "";
    }
    b->at = nul + 1;
    return (const char *)start;
}

/* The first length of a DWARF unit or table: its bytes from there on become *ret, and `b`
 * moves beyond them. *offset_size is 4 or 8. */
static inline bool cprof_bytes_unit(struct cprof_bytes *b, struct cprof_bytes *ret,
                                    unsigned *offset_size)
{
    uint64_t n = cprof_bytes_number(b, 4);
    const uint8_t *at;

    *offset_size = n == 0xffffffff ? 8 : 4;
    if (*offset_size == 8)
        n = cprof_bytes_number(b, 8);
    at = cprof_bytes_take(b, n);
    if (!at || b->is_bad)
        return false;
    *ret = cprof_bytes_of(at, n);
    return true;
}

#endif
