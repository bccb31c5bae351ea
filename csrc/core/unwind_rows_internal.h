/* unwind_rows_internal.h - what unwind_cache.c needs of a table beyond unwind_rows.h. */
#ifndef CPROF_UNWIND_ROWS_INTERNAL_H
#define CPROF_UNWIND_ROWS_INTERNAL_H

#include "unwind_rows.h"

enum { CPROF_UNWIND_ROWS_MAX = 1 << 28 };

/* A table of these `n` rows, at least one: takes over `data`, which came from malloc,
 * also on failure. 0, -ENOMEM, or -EBADMSG: they are not sorted, or one says what is not
 * said in rows. */
int cprof_unwind_rows_adopt(struct cprof_unwind_row *data, size_t n, uint64_t base,
                            size_t n_bad, struct cprof_unwind_rows **ret);

#endif
