#include "backlog.h"

#include "ring.h"

void cprof_backlog_deinit(struct cprof_backlog *b)
{
    cprof_vec_free(&b->bytes);
    b->at = 0;
}

bool cprof_backlog_reserve(struct cprof_backlog *b, size_t limit)
{
    return b->bytes.n + CPROF_RECORD_MAX <= limit &&
           cprof_vec_reserve(&b->bytes, CPROF_RECORD_MAX) == 0;
}

void cprof_backlog_push(struct cprof_backlog *b, const struct perf_event_header *record)
{
    memcpy(b->bytes.data + b->bytes.n, record, record->size);
    b->bytes.n += record->size;
}

const struct perf_event_header *cprof_backlog_next(struct cprof_backlog *b)
{
    const struct perf_event_header *record;

    if (b->at == b->bytes.n) {
        if (b->bytes.n)
            cprof_backlog_deinit(b);
        return NULL;
    }
    record = (const struct perf_event_header *)(b->bytes.data + b->at);
    b->at += record->size;
    return record;
}

void cprof_backlog_return(struct cprof_backlog *b, const struct perf_event_header *record)
{
    b->at -= record->size;
}
