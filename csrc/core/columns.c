#include "columns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "cleanup.h"

enum { LEVEL = 6, MAX_WIDTH = 8 };

enum { MOST_INFLATED = 1032 }; /* bytes that zlib makes of one */

static bool is_valid(size_t n, const struct cprof_column_format *format)
{
    size_t width = format->width;

    return n && n <= CPROF_COLUMNS_MAX && width <= MAX_WIDTH && width &&
           !(width & (width - 1)) && format->kind <= CPROF_COLUMN_BACK;
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

/* Fills the planes; how many have any bit. */
static size_t split(const void *numbers, size_t n,
                    const struct cprof_column_format *format, uint64_t base,
                    uint64_t added, uint8_t *planes)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * format->width);
    uint64_t before = base, all = 0;
    size_t n_planes = 1;

    for (size_t i = 0; i < n; i++) {
        uint64_t number = number_at(numbers, i, format->width), stored;
        number += number == mask ? 0 : added;
        stored = number;
        if (format->kind == CPROF_COLUMN_STEPS)
            stored = number - before;
        else if (format->kind == CPROF_COLUMN_BACK)
            stored = base + i - number;
        before = number;
        stored &= mask;
        all |= stored;
        for (size_t k = 0; k < format->width; k++)
            planes[k * n + i] = (uint8_t)(stored >> 8 * k);
    }
    while (n_planes < format->width && all >> 8 * n_planes)
        n_planes++;
    return n_planes;
}

int cprof_columns_encode(const void *numbers, size_t n,
                         const struct cprof_column_format *format, uint64_t base,
                         uint64_t added, uint8_t **ret, size_t *n_ret)
{
    _cleanup_free_ uint8_t *planes = NULL;
    uLong size, bound;
    uint8_t *block;

    if (!is_valid(n, format))
        return -EINVAL;
    planes = malloc(n * format->width);
    if (!planes)
        return -ENOMEM;
    size = (uLong)(split(numbers, n, format, base, added, planes) * n);
    bound = compressBound(size);
    block = malloc(bound);
    if (!block)
        return -ENOMEM;
    if (compress2(block, &bound, planes, size, LEVEL) != Z_OK) {
        free(block);
        return -ENOMEM; /* there is no other reason */
    }
    *ret = block;
    *n_ret = bound;
    return 0;
}

static void join(const uint8_t *planes, size_t n_planes,
                 const struct cprof_column_part *part,
                 const struct cprof_column_format *format, void *to)
{
    uint64_t before = part->base;

    for (size_t i = 0; i < part->n; i++) {
        uint64_t number = 0;
        for (size_t k = 0; k < n_planes; k++)
            number |= (uint64_t)planes[k * part->n + i] << 8 * k;
        if (format->kind == CPROF_COLUMN_STEPS)
            before = number += before;
        else if (format->kind == CPROF_COLUMN_BACK)
            number = part->base + i - number;
        set_number(to, i, format->width, number);
    }
}

static int decode_block(const struct cprof_column_part *part,
                        const struct cprof_column_format *format, void *to)
{
    _cleanup_free_ uint8_t *planes = NULL;
    uLong size = (uLong)(part->n * format->width), n_read = (uLong)part->n_block;
    int r;

    if (part->n / MOST_INFLATED > part->n_block)
        return -EBADMSG;
    planes = malloc(size);
    if (!planes)
        return -ENOMEM;
    r = uncompress2(planes, &size, part->block, &n_read);
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    if (r != Z_OK || n_read != part->n_block || !size || size % part->n)
        return -EBADMSG;
    join(planes, size / part->n, part, format, to);
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
