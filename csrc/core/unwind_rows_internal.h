/* unwind_rows_internal.h - what unwind_cache.c needs of a table beyond unwind_rows.h. */
#ifndef CPROF_UNWIND_ROWS_INTERNAL_H
#define CPROF_UNWIND_ROWS_INTERNAL_H

#include "unwind_rows.h"

enum { CPROF_UNWIND_ROWS_MAX = 1 << 28 };

/* Where rows are: in memory from malloc, or (n_mapped) in that many bytes of a file that
 * are mapped at `memory`. */
struct cprof_row_memory {
    void *memory;
    size_t n_mapped;
    const struct cprof_unwind_row *data;
    size_t n; /* rows, at least one */
};

/* A table of these rows: takes over their memory, also on failure. 0, -ENOMEM, or
 * -EBADMSG: they are not sorted, or one says what is not said in rows. */
int cprof_unwind_rows_adopt(const struct cprof_row_memory *rows, uint64_t base,
                            size_t n_bad, struct cprof_unwind_rows **ret);

/* The bytes of a file that its rows are made from, with their addresses (0: they have
 * none): [0, the number returned) of `ret`. None: they would come from a debug file. */
struct cprof_span {
    const uint8_t *bytes;
    size_t n;
    uint64_t vaddr;
};
enum { CPROF_SPANS_MAX = 3 };
size_t cprof_unwind_rows_spans(const struct cprof_elf *elf,
                               struct cprof_span ret[CPROF_SPANS_MAX]);

#endif
