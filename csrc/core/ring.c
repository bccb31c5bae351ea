#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct cprof_ring {
    struct perf_event_mmap_page *meta; /* shared with the kernel */
    const uint8_t *data;
    uint8_t *scratch; /* joins records that wrap */
    size_t page, size;
    uint64_t head; /* as of the last refresh */
    uint64_t at;   /* start of the record after the borrowed one */
};

int cprof_ring_create(int fd, size_t n_pages, struct cprof_ring **ret,
                      struct cprof_error *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct cprof_ring *ring;
    void *map;
    int r;

    if (!n_pages || (n_pages & (n_pages - 1)) || n_pages > SIZE_MAX / page - 1)
        return cprof_error_set(err, -EINVAL, "ring: bad size, %zu pages", n_pages);
    ring = calloc(1, sizeof(*ring));
    if (!ring)
        return cprof_error_set(err, -ENOMEM, "ring: out of memory");
    ring->page = page;
    ring->size = n_pages * page;

    ring->scratch = malloc(CPROF_RECORD_MAX);
    if (!ring->scratch) {
        r = cprof_error_set(err, -ENOMEM, "ring: out of memory");
        goto fail;
    }
    map = mmap(NULL, page + ring->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        r = cprof_error_set(err, -errno, "ring: cannot map %zu KiB: %s", ring->size >> 10,
                            strerror(errno));
        goto fail;
    }
    ring->meta = map; /* set last: destroy() unmaps only what is here */
    ring->data = (const uint8_t *)map + page;
    ring->at = ring->head = ring->meta->data_tail;
    *ret = ring;
    return 0;
fail:
    cprof_ring_destroy(ring);
    return r;
}

void cprof_ring_destroy(struct cprof_ring *ring)
{
    if (!ring)
        return;
    if (ring->meta)
        munmap(ring->meta, ring->page + ring->size);
    free(ring->scratch);
    free(ring);
}

size_t cprof_ring_size(const struct cprof_ring *ring)
{
    return ring->size;
}

static void give_back(struct cprof_ring *ring)
{
    __atomic_store_n(&ring->meta->data_tail, ring->at, __ATOMIC_RELEASE);
}

size_t cprof_ring_refresh(struct cprof_ring *ring)
{
    ring->head = __atomic_load_n(&ring->meta->data_head, __ATOMIC_ACQUIRE);
    return (size_t)(ring->head - ring->at);
}

/* `n` bytes at position `at`, joined in `scratch` where they wrap. */
static const void *bytes_at(const struct cprof_ring *ring, uint64_t at, size_t n,
                            void *scratch)
{
    size_t from = (size_t)(at & (ring->size - 1));
    size_t straight = ring->size - from;

    if (n <= straight)
        return ring->data + from;
    memcpy(scratch, ring->data + from, straight);
    memcpy((uint8_t *)scratch + straight, ring->data, n - straight);
    return scratch;
}

/* The record at position `at` with `waiting` bytes behind it; NULL: it cannot be one. */
static const struct perf_event_header *
record_at(const struct cprof_ring *ring, uint64_t at, uint64_t waiting, void *scratch)
{
    struct perf_event_header header;

    if (waiting > ring->size || waiting < sizeof(header))
        return NULL;
    memcpy(&header, bytes_at(ring, at, sizeof(header), scratch), sizeof(header));
    if (header.size < sizeof(header) || header.size % 8 || header.size > waiting)
        return NULL;
    return bytes_at(ring, at, header.size, scratch);
}

/* The kernel wrote on another CPU, some time ago: fetch the end of the next record, where
 * the size of its stack is, and the beginning of the one after that. */
static void prefetch_next(const struct cprof_ring *ring)
{
    enum { LINE = 64, FIRST = 6 };
    size_t mask = ring->size - 1;
    struct perf_event_header next;
    uint64_t end;

    if (ring->head - ring->at < sizeof(next))
        return;
    /* records are at multiples of 8: a header does not wrap */
    memcpy(&next, ring->data + (ring->at & mask), sizeof(next));
    end = ring->at + next.size;
    __builtin_prefetch(ring->data + ((end - 8) & mask));
    for (size_t i = 0; i < FIRST; i++)
        __builtin_prefetch(ring->data + ((end + i * LINE) & mask));
}

int cprof_ring_next(struct cprof_ring *ring, const struct perf_event_header **ret)
{
    uint64_t waiting = ring->head - ring->at;
    const struct perf_event_header *record;

    give_back(ring);
    if (!waiting)
        return 0;
    record = record_at(ring, ring->at, waiting, ring->scratch);
    if (!record) {
        ring->at = ring->head;
        give_back(ring);
        return -EBADMSG;
    }
    *ret = record;
    ring->at += record->size;
    prefetch_next(ring);
    return 1;
}

int cprof_ring_peek(const struct cprof_ring *ring, uint64_t *at, void *scratch,
                    const struct perf_event_header **ret)
{
    uint64_t tail = __atomic_load_n(&ring->meta->data_tail, __ATOMIC_ACQUIRE);
    uint64_t head = __atomic_load_n(&ring->meta->data_head, __ATOMIC_ACQUIRE);
    const struct perf_event_header *record;
    uint16_t size;

    if ((int64_t)(*at - tail) < 0)
        *at = tail;
    if (*at == head)
        return 0;
    record = record_at(ring, *at, head - *at, scratch);
    size = record ? record->size : 0; /* it may be overwritten under our eyes */
    if (!size) {
        *at = head;
        return -EBADMSG;
    }
    *ret = record;
    *at += size;
    return size;
}

bool cprof_ring_holds(const struct cprof_ring *ring, uint64_t at)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* after all that was read of it */
    return (int64_t)(at - __atomic_load_n(&ring->meta->data_tail, __ATOMIC_RELAXED)) >= 0;
}

size_t cprof_ring_waiting(const struct cprof_ring *ring)
{
    uint64_t tail = __atomic_load_n(&ring->meta->data_tail, __ATOMIC_ACQUIRE);

    return (size_t)(__atomic_load_n(&ring->meta->data_head, __ATOMIC_ACQUIRE) - tail);
}
