/* unwind_build.h - makes the tables of rows of files when they are first wanted.
 *
 * Small ones are made at once. Large ones come from the cache on disk or are made by a
 * thread of the builder's own, so that nobody who empties a ring has to wait for a file
 * of a hundred megabytes. The builder owns the tables; dso->rows borrows them.
 *
 * All functions are for one thread at a time (the builder's own thread aside). */
#ifndef CPROF_UNWIND_BUILD_H
#define CPROF_UNWIND_BUILD_H

#include <stdbool.h>

#include "dso.h"

struct cprof_unwind_builder;

/* `wake_fd` is an eventfd that becomes readable when a table is done, or -1: then all are
 * made at once. `use_cache`: read and write tables on disk. 0 and *ret, or -ENOMEM. */
int cprof_unwind_builder_create(int wake_fd, bool use_cache,
                                struct cprof_unwind_builder **ret);
/* Waits for a table that is being made. Accepts NULL. */
void cprof_unwind_builder_destroy(struct cprof_unwind_builder *builder);

/* Settle the rows of `dso`, or begin to: true when they are settled now. */
bool cprof_unwind_builder_want(struct cprof_unwind_builder *builder,
                               struct cprof_dso *dso);

/* Wait until no table is being made any more. */
void cprof_unwind_builder_wait(struct cprof_unwind_builder *builder);

#endif
