/* fuzz_record: bytes of a ring -> records; every byte that a record points to is touched,
 * so that the sanitizers see one that is not there. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record.h"
#include "ring.h"

#define ALL                                                                              \
    (CPROF_SAMPLE_TYPE_SAMPLING | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |        \
     PERF_SAMPLE_STACK_USER)

static uint64_t sum(const void *bytes, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; bytes && i < n; i++)
        total += ((const uint8_t *)bytes)[i];
    return total;
}

static uint64_t touch(const struct cprof_record *r)
{
    switch (r->type) {
    case PERF_RECORD_SAMPLE:
        return sum(r->sample.chain, r->sample.n_chain * 8) +
               sum(r->sample.regs, r->sample.regs ? CPROF_N_SAMPLED_REGS * 8 : 0) +
               sum(r->sample.stack, r->sample.stack_n);
    case PERF_RECORD_MMAP2:
        return strlen(r->mmap.file) + r->mmap.build_id_n;
    case PERF_RECORD_COMM:
        return strlen(r->comm.name);
    default:
        return 0;
    }
}

/* A record alone, in memory of just its size. */
static void decode_alone(const uint8_t *data, size_t size)
{
    struct cprof_record record;
    struct perf_event_header header;
    uint8_t *bytes;

    if (size < sizeof(header) || size > UINT16_MAX)
        return;
    bytes = malloc(size);
    memcpy(bytes, data, size);
    memcpy(&header, bytes, sizeof(header));
    header.size = (uint16_t)size;
    memcpy(bytes, &header, sizeof(header));
    if (cprof_record_decode((void *)bytes, size, ALL, &record) == 0)
        touch(&record);
    free(bytes);
}

static void read_ring(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static uint8_t *kernel;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 16 * page;
    const struct perf_event_header *bytes;
    struct perf_event_mmap_page *meta;
    struct cprof_record record;
    struct cprof_ring *ring;

    if (fd < 0) {
        fd = memfd_create("ring", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)(page + room)) < 0)
            abort();
        kernel = mmap(NULL, page + room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    meta = (void *)kernel;
    meta->data_tail = room - 64; /* so that records wrap early */
    meta->data_head = meta->data_tail + size;
    for (size_t i = 0; i < size; i++)
        kernel[page + (room - 64 + i) % room] = data[i];
    if (cprof_ring_create(fd, 16, &ring, NULL) < 0)
        abort();
    cprof_ring_refresh(ring);
    while (cprof_ring_next(ring, &bytes) == 1)
        if (cprof_record_decode(bytes, bytes->size, ALL, &record) == 0)
            touch(&record);
    cprof_ring_destroy(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_alone(data, size);
    if (size <= 16384)
        read_ring(data, size & ~(size_t)7);
    return 0;
}
