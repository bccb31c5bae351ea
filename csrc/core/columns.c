#include "columns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cleanup.h"
#include "map.h"

enum { LEVEL = 6, MEMORY = 8, MAX_WIDTH = 8, HEAD = 8 };

enum { MOST_INFLATED = 1032 }; /* bytes that zlib makes of one */

static bool is_valid(size_t n, const struct cprof_column_format *format)
{
    size_t width = format->width;

    return n && n <= CPROF_COLUMNS_MAX && width <= MAX_WIDTH && width &&
           !(width & (width - 1)) && format->kind <= CPROF_COLUMN_ZIGZAG;
}

/* `numbers` is of any alignment. */
static uint64_t number_at(const void *numbers, size_t i, size_t width)
{
    const char *at = (const char *)numbers + i * width;
    uint64_t number = 0;
    uint32_t number_4;
    uint16_t number_2;

    switch (width) {
    case 1:
        return *(const uint8_t *)at;
    case 2:
        memcpy(&number_2, at, sizeof(number_2));
        return number_2;
    case 4:
        memcpy(&number_4, at, sizeof(number_4));
        return number_4;
    default:
        memcpy(&number, at, sizeof(number));
        return number;
    }
}

static void set_number(void *numbers, size_t i, size_t width, uint64_t number)
{
    switch (width) {
    case 1:
        ((uint8_t *)numbers)[i] = (uint8_t)number;
        break;
    case 2:
        ((uint16_t *)numbers)[i] = (uint16_t)number;
        break;
    case 4:
        ((uint32_t *)numbers)[i] = (uint32_t)number;
        break;
    default:
        ((uint64_t *)numbers)[i] = number;
    }
}

/* A difference of `bits` bits, either way; both work on the low bits of what is around.
 */
static uint64_t zigzag(uint64_t step, size_t bits)
{
    return step << 1 ^ (0 - (step >> (bits - 1) & 1));
}

static uint64_t unzigzag(uint64_t number)
{
    return number >> 1 ^ (0 - (number & 1));
}

/* What is stored of each number, but for the least of it, which is returned; *most is the
 * largest of them less that. */
static uint64_t reduce(const void *numbers, size_t n,
                       const struct cprof_column_format *format, uint64_t base,
                       uint64_t added, uint64_t *stored, uint64_t *most)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * format->width);
    uint64_t before = base, least = UINT64_MAX, largest = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t number = number_at(numbers, i, format->width);
        number += number == mask ? 0 : added;
        stored[i] = number;
        if (format->kind == CPROF_COLUMN_STEPS)
            stored[i] = number - before;
        else if (format->kind == CPROF_COLUMN_BACK)
            stored[i] = base + i - number;
        else if (format->kind == CPROF_COLUMN_ZIGZAG)
            stored[i] = zigzag(number - before, 8 * format->width);
        before = number;
        stored[i] &= mask;
        least = stored[i] < least ? stored[i] : least;
        largest = stored[i] > largest ? stored[i] : largest;
    }
    *most = largest - least;
    return least;
}

/* The bytes of a block before they are compressed: *n_bytes of them. NULL when out of
 * memory. */
static uint8_t *split(const uint64_t *stored, size_t n, uint64_t least, uint64_t most,
                      size_t *n_bytes)
{
    size_t n_planes = 1;
    uint8_t *bytes;

    while (n_planes < MAX_WIDTH && most >> 8 * n_planes)
        n_planes++;
    *n_bytes = HEAD + n_planes * n;
    bytes = malloc(*n_bytes);
    if (!bytes)
        return NULL;
    for (size_t k = 0; k < HEAD; k++)
        bytes[k] = (uint8_t)(least >> 8 * k);
    for (size_t k = 0; k < n_planes; k++)
        for (size_t i = 0; i < n; i++)
            bytes[HEAD + k * n + i] = (uint8_t)((stored[i] - least) >> 8 * k);
    return bytes;
}

/* Into `to`, which has room for anything; 0 when out of memory. */
static size_t deflate_by(int strategy, const uint8_t *bytes, size_t n, uint8_t *to,
                         size_t room)
{
    z_stream z = {.next_in = (uint8_t *)bytes,
                  .avail_in = (unsigned)n,
                  .next_out = to,
                  .avail_out = (unsigned)room};
    int r;

    if (deflateInit2(&z, LEVEL, Z_DEFLATED, MAX_WBITS, MEMORY, strategy) != Z_OK)
        return 0;
    r = deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return r == Z_STREAM_END ? z.total_out : 0;
}

/* Noise is smaller without a search for what repeats: try both ways. */
static int deflate_best(const uint8_t *bytes, size_t n, uint8_t **ret, size_t *n_ret)
{
    size_t room = compressBound((uLong)n) + 64;
    _cleanup_free_ uint8_t *a = malloc(room), *b = malloc(room);
    size_t n_a = 0, n_b = 0;

    if (a && b) {
        n_a = deflate_by(Z_DEFAULT_STRATEGY, bytes, n, a, room);
        n_b = deflate_by(Z_RLE, bytes, n, b, room);
    }
    if (!n_a || !n_b)
        return -ENOMEM;
    *ret = n_b < n_a ? b : a;
    *n_ret = n_b < n_a ? n_b : n_a;
    if (n_b < n_a)
        b = NULL;
    else
        a = NULL;
    return 0;
}

int cprof_columns_encode(const void *numbers, size_t n,
                         const struct cprof_column_format *format, uint64_t base,
                         uint64_t added, uint8_t **ret, size_t *n_ret)
{
    _cleanup_free_ uint64_t *stored = NULL;
    _cleanup_free_ uint8_t *bytes = NULL;
    uint64_t least, most;
    size_t n_bytes;

    if (!is_valid(n, format))
        return -EINVAL;
    stored = malloc(n * sizeof(*stored));
    if (!stored)
        return -ENOMEM;
    least = reduce(numbers, n, format, base, added, stored, &most);
    bytes = split(stored, n, least, most, &n_bytes);
    return bytes ? deflate_best(bytes, n_bytes, ret, n_ret) : -ENOMEM;
}

/* What is stored of the first numbers, from the planes; a pass for each is faster than to
 * gather the bytes of each number. */
static void gather(const uint8_t *planes, size_t n_planes, size_t n, uint64_t least,
                   uint64_t *stored)
{
    for (size_t i = 0; i < n; i++)
        stored[i] = least + planes[i];
    for (size_t k = 1; k < n_planes; k++)
        for (size_t i = 0; i < n; i++)
            stored[i] += (uint64_t)planes[k * n + i] << 8 * k;
}

static void restore(const struct cprof_column_part *part,
                    const struct cprof_column_format *format, const uint64_t *stored,
                    void *to)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * format->width), before = part->base;

    for (size_t i = 0; i < part->n; i++) {
        uint64_t number = stored[i];
        if (format->kind == CPROF_COLUMN_STEPS)
            before = number += before;
        else if (format->kind == CPROF_COLUMN_BACK)
            number = part->base + i - number;
        else if (format->kind == CPROF_COLUMN_ZIGZAG)
            before = number = before + unzigzag(number & mask);
        set_number(to, i, format->width, number);
    }
}

static uint64_t least_of(const uint8_t *bytes)
{
    uint64_t least = 0;

    for (size_t k = 0; k < HEAD; k++)
        least |= (uint64_t)bytes[k] << 8 * k;
    return least;
}

static int decode_block(const struct cprof_column_part *part,
                        const struct cprof_column_format *format, void *to)
{
    _cleanup_free_ uint64_t *stored = NULL;
    _cleanup_free_ uint8_t *bytes = NULL;
    uLong size = (uLong)(HEAD + part->n * format->width), n_read = (uLong)part->n_block;
    int r;

    if (part->n / MOST_INFLATED > part->n_block)
        return -EBADMSG;
    bytes = malloc(size);
    stored = malloc(part->n * sizeof(*stored));
    if (!bytes || !stored)
        return -ENOMEM;
    r = uncompress2(bytes, &size, part->block, &n_read);
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    if (r != Z_OK || n_read != part->n_block || size <= HEAD || (size - HEAD) % part->n)
        return -EBADMSG;
    gather(bytes + HEAD, (size - HEAD) / part->n, part->n, least_of(bytes), stored);
    restore(part, format, stored, to);
    return 0;
}

static int decode_part(const struct cprof_column_part *part,
                       const struct cprof_column_format *format, uint64_t otherwise,
                       void *to)
{
    if (part->block)
        return decode_block(part, format, to);
    for (size_t i = 0; i < part->n; i++)
        set_number(to, i, format->width, otherwise);
    return 0;
}

int cprof_columns_decode(const struct cprof_column_part *parts, size_t n_parts,
                         const struct cprof_column_format *format, uint64_t otherwise,
                         void **ret, size_t *n)
{
    size_t n_all = 0, at = 0;
    char *to;
    int r = 0;

    for (size_t i = 0; i < n_parts; i++) {
        if (!is_valid(parts[i].n, format))
            return -EINVAL;
        n_all += parts[i].n;
    }
    to = malloc((n_all + 1) * format->width);
    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < n_parts && r == 0; i++) {
        r = decode_part(&parts[i], format, otherwise, to + at * format->width);
        at += parts[i].n;
    }
    if (r < 0) {
        free(to);
        return r;
    }
    *ret = to;
    *n = n_all;
    return 0;
}

/* ---- the locations of a trie's nodes ---- */

static const uint64_t OUTSIDE = UINT64_MAX; /* the family of parents that are not here */

/* The location of the last node of the family; before there is one, its parent's. */
static uint32_t expected(const struct cprof_map *last, uint64_t family,
                         const uint32_t *locations, uint32_t start)
{
    uint32_t at = cprof_map_get(last, family);

    if (at != CPROF_MAP_NONE)
        return locations[at];
    return family == OUTSIDE ? start : (uint32_t)family;
}

int cprof_columns_siblings(const uint32_t *parent, const uint32_t *from, size_t n,
                           uint32_t first, uint32_t start, bool is_back, uint32_t *to)
{
    const uint32_t *locations = is_back ? to : from;
    struct cprof_map last = {0}; /* location of the parents -> the last of their nodes */
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        bool is_here = parent[i] >= first && parent[i] - first < i;
        uint64_t family = is_here ? locations[parent[i] - first] : OUTSIDE;
        uint32_t near = expected(&last, family, locations, start);
        to[i] = is_back ? near + (uint32_t)unzigzag(from[i])
                        : (uint32_t)zigzag(from[i] - near, 32);
        r = cprof_map_set(&last, family, (uint32_t)i);
    }
    cprof_map_deinit(&last);
    return r;
}
