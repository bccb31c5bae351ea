#include "record.h"

#include <errno.h>
#include <string.h>

/* A cursor over the words of one record: reading past the end sets `is_short` once and
 * yields zeros, so that decoders check a single flag at their end. */
struct cursor {
    const uint8_t *at, *end;
    bool is_short;
};

static const void *take(struct cursor *c, uint64_t n)
{
    const void *p = c->at;

    if (n > (uint64_t)(c->end - c->at)) {
        c->is_short = true;
        return NULL;
    }
    c->at += n;
    return p;
}

static uint64_t take_u64(struct cursor *c)
{
    const void *p = take(c, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, 8);
    return v;
}

static void take_pair(struct cursor *c, uint32_t *a, uint32_t *b)
{
    uint64_t v = take_u64(c);

    *a = (uint32_t)v;
    *b = (uint32_t)(v >> 32);
}

/* Text up to its NUL, inside the record; "" and short when there is no NUL. */
static const char *take_text(struct cursor *c)
{
    const char *text = (const char *)c->at;
    size_t room = (size_t)(c->end - c->at), n = strnlen(text, room);

    if (n == room) {
        c->is_short = true;
        return "";
    }
    c->at = c->end;
    return text;
}

static void decode_regs(struct cursor *c, struct cprof_sample *sample)
{
    sample->regs_abi = take_u64(c);
    if (sample->regs_abi != PERF_SAMPLE_REGS_ABI_NONE)
        sample->regs = take(c, CPROF_N_SAMPLED_REGS * sizeof(uint64_t));
}

static void decode_stack(struct cursor *c, struct cprof_sample *sample)
{
    sample->stack_asked = take_u64(c);
    if (!sample->stack_asked)
        return;
    sample->stack = take(c, sample->stack_asked);
    sample->stack_n = take_u64(c);
    if (sample->stack_n > sample->stack_asked)
        c->is_short = true;
}

static void decode_sample(struct cursor *c, uint64_t sample_type, struct cprof_record *r)
{
    struct cprof_sample *sample = &r->sample;
    uint32_t reserved;

    r->id = take_u64(c);
    sample->ip = take_u64(c);
    take_pair(c, (uint32_t *)&r->pid, (uint32_t *)&r->tid);
    r->time = take_u64(c);
    r->stream_id = take_u64(c);
    take_pair(c, &r->cpu, &reserved);
    sample->period = take_u64(c);
    if (sample_type & PERF_SAMPLE_CALLCHAIN) {
        sample->n_chain = take_u64(c);
        if (sample->n_chain > CPROF_FILENAME_MAX * 2ull)
            c->is_short = true;
        else
            sample->chain = take(c, sample->n_chain * sizeof(uint64_t));
    }
    if (sample_type & PERF_SAMPLE_REGS_USER)
        decode_regs(c, sample);
    if (sample_type & PERF_SAMPLE_STACK_USER)
        decode_stack(c, sample);
}

static void decode_mmap(struct cursor *c, struct cprof_record *r)
{
    struct cprof_mmap *mmap = &r->mmap;
    const uint8_t *identity;

    take_pair(c, (uint32_t *)&r->pid, (uint32_t *)&r->tid);
    mmap->start = take_u64(c);
    mmap->length = take_u64(c);
    mmap->offset = take_u64(c);
    identity = take(c, 24); /* maj min ino gen, or size and 20 bytes of build id */
    if (identity && (r->misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
        mmap->build_id_n = identity[0] <= 20 ? identity[0] : 20;
        memcpy(mmap->build_id, identity + 4, 20);
    } else if (identity) {
        memcpy(&mmap->major, identity, 4);
        memcpy(&mmap->minor, identity + 4, 4);
        memcpy(&mmap->inode, identity + 8, 8);
    }
    take_pair(c, &mmap->protection, &mmap->flags);
    mmap->file = take_text(c);
}

static void decode_body(struct cursor *c, struct cprof_record *r)
{
    switch (r->type) {
    case PERF_RECORD_MMAP2:
        decode_mmap(c, r);
        break;
    case PERF_RECORD_COMM:
        take_pair(c, (uint32_t *)&r->pid, (uint32_t *)&r->tid);
        r->comm.name = take_text(c);
        break;
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
        take_pair(c, (uint32_t *)&r->task.pid, (uint32_t *)&r->task.parent_pid);
        take_pair(c, (uint32_t *)&r->task.tid, (uint32_t *)&r->task.parent_tid);
        take_u64(c); /* time, again in the trailer */
        break;
    case PERF_RECORD_LOST:
        take_u64(c); /* id */
        r->lost.n = take_u64(c);
        break;
    case PERF_RECORD_LOST_SAMPLES:
        r->lost.n = take_u64(c);
        break;
    default:
        break;
    }
}

/* The sample_id trailer: TID, TIME, STREAM_ID, CPU, IDENTIFIER, in that order, last. */
enum { TRAILER = 5 * 8 };

static void decode_trailer(const uint8_t *end, struct cprof_record *r)
{
    struct cursor c = {end - TRAILER, end, false};
    uint32_t reserved;

    take_pair(&c, (uint32_t *)&r->pid, (uint32_t *)&r->tid);
    r->time = take_u64(&c);
    r->stream_id = take_u64(&c);
    take_pair(&c, &r->cpu, &reserved);
    r->id = take_u64(&c);
}

int cprof_record_decode(const struct perf_event_header *bytes, size_t n,
                        uint64_t sample_type, struct cprof_record *ret)
{
    struct cursor c = {(const uint8_t *)(bytes + 1), (const uint8_t *)bytes + n, false};

    if (n < sizeof(*bytes) || bytes->size != n)
        return -EBADMSG;
    memset(ret, 0, sizeof(*ret));
    ret->type = bytes->type;
    ret->misc = bytes->misc;
    if (ret->type == PERF_RECORD_SAMPLE) {
        decode_sample(&c, sample_type, ret);
        return c.is_short ? -EBADMSG : 0;
    }
    if (n < sizeof(*bytes) + TRAILER)
        return -EBADMSG;
    c.end -= TRAILER;
    decode_trailer((const uint8_t *)bytes + n, ret);
    decode_body(&c, ret);
    return c.is_short ? -EBADMSG : 0;
}

/* Encoding: the mirror image, into a bounded buffer. */
struct writer {
    uint8_t *at, *end;
    bool is_full;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
    if (n > (size_t)(w->end - w->at)) {
        w->is_full = true;
        return;
    }
    if (n && bytes)
        memcpy(w->at, bytes, n);
    else
        memset(w->at, 0, n);
    w->at += n;
}
static void put_u64(struct writer *w, uint64_t v)
{
    put(w, &v, 8);
}
static void put_pair(struct writer *w, uint32_t a, uint32_t b)
{
    put_u64(w, a | (uint64_t)b << 32);
}
static void put_text(struct writer *w, const char *text)
{
    size_t n = strlen(text) + 1;

    put(w, text, n);
    put(w, NULL, (8 - n % 8) % 8);
}

static void encode_sample(struct writer *w, const struct cprof_record *r, uint64_t type)
{
    const struct cprof_sample *sample = &r->sample;

    put_u64(w, r->id);
    put_u64(w, sample->ip);
    put_pair(w, (uint32_t)r->pid, (uint32_t)r->tid);
    put_u64(w, r->time);
    put_u64(w, r->stream_id);
    put_pair(w, r->cpu, 0);
    put_u64(w, sample->period);
    if (type & PERF_SAMPLE_CALLCHAIN) {
        put_u64(w, sample->n_chain);
        put(w, sample->chain, sample->n_chain * 8);
    }
    if (type & PERF_SAMPLE_REGS_USER) {
        put_u64(w, sample->regs_abi);
        if (sample->regs_abi != PERF_SAMPLE_REGS_ABI_NONE)
            put(w, sample->regs, CPROF_N_SAMPLED_REGS * 8);
    }
    if (type & PERF_SAMPLE_STACK_USER) {
        put_u64(w, sample->stack_asked);
        put(w, sample->stack, sample->stack_asked);
        if (sample->stack_asked)
            put_u64(w, sample->stack_n);
    }
}

static void encode_mmap(struct writer *w, const struct cprof_record *r)
{
    const struct cprof_mmap *mmap = &r->mmap;

    put_pair(w, (uint32_t)r->pid, (uint32_t)r->tid);
    put_u64(w, mmap->start);
    put_u64(w, mmap->length);
    put_u64(w, mmap->offset);
    if (r->misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
        uint8_t head[4] = {mmap->build_id_n};
        put(w, head, 4);
        put(w, mmap->build_id, 20);
    } else {
        put_pair(w, mmap->major, mmap->minor);
        put_u64(w, mmap->inode);
        put_u64(w, 0);
    }
    put_pair(w, mmap->protection, mmap->flags);
    put_text(w, mmap->file);
}

static void encode_body(struct writer *w, const struct cprof_record *r)
{
    switch (r->type) {
    case PERF_RECORD_MMAP2:
        encode_mmap(w, r);
        break;
    case PERF_RECORD_COMM:
        put_pair(w, (uint32_t)r->pid, (uint32_t)r->tid);
        put_text(w, r->comm.name);
        break;
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT:
        put_pair(w, (uint32_t)r->task.pid, (uint32_t)r->task.parent_pid);
        put_pair(w, (uint32_t)r->task.tid, (uint32_t)r->task.parent_tid);
        put_u64(w, r->time);
        break;
    case PERF_RECORD_LOST:
        put_u64(w, r->id);
        put_u64(w, r->lost.n);
        break;
    case PERF_RECORD_LOST_SAMPLES:
        put_u64(w, r->lost.n);
        break;
    default:
        break;
    }
}

int cprof_record_encode(const struct cprof_record *record, uint64_t sample_type,
                        void *bytes, size_t room)
{
    struct writer w = {bytes, (uint8_t *)bytes + room, false};
    struct perf_event_header header = {.type = record->type, .misc = record->misc};

    put(&w, &header, sizeof(header));
    if (record->type == PERF_RECORD_SAMPLE) {
        encode_sample(&w, record, sample_type);
    } else {
        encode_body(&w, record);
        put_pair(&w, (uint32_t)record->pid, (uint32_t)record->tid);
        put_u64(&w, record->time);
        put_u64(&w, record->stream_id);
        put_pair(&w, record->cpu, 0);
        put_u64(&w, record->id);
    }
    if (w.is_full || w.at - (uint8_t *)bytes > UINT16_MAX)
        return -ENOSPC;
    header.size = (uint16_t)(w.at - (uint8_t *)bytes);
    memcpy(bytes, &header, sizeof(header));
    return header.size;
}
