/* backlog.h - perf records that were taken out of a kernel ring before their turn.
 *
 * While what a record needs is being made, the kernel must not run out of room: whole
 * records are copied here and come back in the same order. One thread at a time. */
#ifndef CPROF_BACKLOG_H
#define CPROF_BACKLOG_H

#include <linux/perf_event.h>
#include <stdbool.h>

#include "vec.h"

struct cprof_backlog {
    CPROF_VEC(uint8_t) bytes;
    size_t at; /* of the next record */
};

/* A zeroed backlog is valid and empty. */
void cprof_backlog_deinit(struct cprof_backlog *b);

/* Room for one more record of any size; false past `limit` bytes or out of memory. May
 * move the bytes. */
bool cprof_backlog_reserve(struct cprof_backlog *b, size_t limit);
/* Append a copy; cprof_backlog_reserve() said there is room. */
void cprof_backlog_push(struct cprof_backlog *b, const struct perf_event_header *record);

/* The first record, borrowed until the next call; NULL when there is none (its memory is
 * given back then). */
const struct perf_event_header *cprof_backlog_next(struct cprof_backlog *b);
/* Put the record that next() gave last back to the front. */
void cprof_backlog_return(struct cprof_backlog *b,
                          const struct perf_event_header *record);

#endif
