/* columns.h - columns of integers as few bytes.
 *
 * What is easily foretold is taken off each number, and then the least of what is left,
 * modulo 2^(8 * width). A block is zlib data of that least number (8 bytes,
 * little-endian) and of byte planes: the lowest byte of every number, then the next one
 * of every number, and so on as far as any of them has bits there. So a block of n
 * numbers has 8 + n, 8 + 2n
 * ... bytes when inflated, and their count says how many planes there are.
 *
 *     raw = zlib.decompress(block)                     # Python without anything else
 *     least, planes = int.from_bytes(raw[:8], "little"), raw[8:]
 *     numbers = [least + int.from_bytes(planes[i::n], "little") for i in range(n)] */
#ifndef CPROF_COLUMNS_H
#define CPROF_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPROF_COLUMNS_MAX = 1 << 24 }; /* numbers of one block */

enum cprof_column_kind {
    CPROF_COLUMN_PLAIN,
    CPROF_COLUMN_STEPS, /* each number less the one before it; the first less `base` */
    CPROF_COLUMN_BACK,  /* base, base + 1 ... less the number: how far back it refers */
    CPROF_COLUMN_ZIGZAG /* as STEPS, but 0 -1 1 -2 2 ... are stored as 0 1 2 3 4 ... */
};

struct cprof_column_format {
    size_t width; /* bytes of a number: 1, 2, 4 or 8 */
    enum cprof_column_kind kind;
};

/* `n` numbers, 1 to CPROF_COLUMNS_MAX; `added` to each first, but for those of which all
 * bits are set: they refer to nothing. *ret is owned: free(). 0, -ENOMEM, -EINVAL. */
int cprof_columns_encode(const void *numbers, size_t n,
                         const struct cprof_column_format *format, uint64_t base,
                         uint64_t added, uint8_t **ret, size_t *n_ret);

struct cprof_column_part {
    const void *block; /* NULL: the same number n times */
    size_t n_block, n; /* n: 1 to CPROF_COLUMNS_MAX */
    uint64_t base;
};

/* The numbers of all parts, one after the other. *ret is owned: free(). 0, -ENOMEM,
 * -EINVAL, or -EBADMSG where a block does not hold n numbers.
 */
int cprof_columns_decode(const struct cprof_column_part *parts, size_t n_parts,
                         const struct cprof_column_format *format, uint64_t otherwise,
                         void **ret, size_t *n);

/* The locations of `n` nodes of a trie, the first of which has number `first`, <-> small
 * numbers: how far each location is from that of the node before it whose parent has the
 * same location (a call calls the same function, nearly always), zigzag as above. Where
 * there was none, from the parent's own location; where the parent is not among these
 * nodes, from that of the last such node, the first of them from `start`. All modulo
 * 2^32. `to` has room for n. 0 or -ENOMEM. */
int cprof_columns_siblings(const uint32_t *parent, const uint32_t *from, size_t n,
                           uint32_t first, uint32_t start, bool is_back, uint32_t *to);

#endif
