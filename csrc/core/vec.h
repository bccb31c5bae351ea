/* vec.h - growing arrays of one type.
 *
 *     CPROF_VEC(uint32_t) ids = {0};
 *     if (cprof_vec_push(&ids, 7) < 0) ...   // -ENOMEM, ids unchanged
 *     ids.data[0], ids.n
 *     cprof_vec_free(&ids);
 *
 * A zeroed vec is empty and valid. Growth is by half, so that large tables keep their
 * unused room small; the pages of that room are untouched and cost no memory. */
#ifndef CPROF_VEC_H
#define CPROF_VEC_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CPROF_VEC(type)                                                                  \
    struct {                                                                             \
        type *data;                                                                      \
        size_t n;                                                                        \
        size_t capacity;                                                                 \
    }

/* Room for `more` further elements of `size` bytes: 0 or -ENOMEM (then unchanged). */
static inline int cprof_vec_grow(void *data_at, size_t n, size_t *capacity, size_t more,
                                 size_t size)
{
    size_t want, grown;
    void *p, *old;

    if (more > SIZE_MAX / 2 / size - n)
        return -ENOMEM;
    want = n + more;
    if (want <= *capacity)
        return 0;
    grown = *capacity + *capacity / 2 + 8;
    if (grown < want || grown > SIZE_MAX / 2 / size)
        grown = want;
    memcpy(&old, data_at, sizeof(old)); /* the slot is a T *: copy, do not alias */
    p = realloc(old, grown * size);
    if (!p)
        return -ENOMEM;
    memcpy(data_at, &p, sizeof(p));
    *capacity = grown;
    return 0;
}

#define cprof_vec_reserve(v, more)                                                       \
    cprof_vec_grow(&(v)->data, (v)->n, &(v)->capacity, (more), sizeof(*(v)->data))

#define cprof_vec_push(v, ...)                                                           \
    (cprof_vec_reserve((v), 1) < 0 ? -ENOMEM : ((v)->data[(v)->n++] = (__VA_ARGS__), 0))

#define cprof_vec_free(v)                                                                \
    do {                                                                                 \
        free((v)->data);                                                                 \
        memset((v), 0, sizeof(*(v)));                                                    \
    } while (0)

#endif
