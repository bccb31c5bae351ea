/* ring: a memfd mapped by the test plays the kernel. */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

/* The kernel's side: its own mapping of the same memory. */
struct kernel {
    int fd;
    size_t size;
    struct perf_event_mmap_page *meta;
    uint8_t *data;
    uint64_t head;
};

static void kernel_init(struct kernel *k, size_t n_pages, uint64_t start)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    k->size = n_pages * page;
    k->fd = memfd_create("ring", MFD_CLOEXEC);
    CHECK_EQ(ftruncate(k->fd, (off_t)(page + k->size)), 0);
    k->meta = mmap(NULL, page + k->size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
    k->data = (uint8_t *)k->meta + page;
    k->meta->data_head = k->meta->data_tail = k->head = start;
}

static void kernel_deinit(struct kernel *k)
{
    munmap(k->meta, (size_t)(k->data - (uint8_t *)k->meta) + k->size);
    close(k->fd);
}

static void put(struct kernel *k, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        k->data[(k->head + i) % k->size] = ((const uint8_t *)bytes)[i];
    k->head += n;
}

static void commit(struct kernel *k)
{
    __atomic_store_n(&k->meta->data_head, k->head, __ATOMIC_RELEASE);
}

static uint8_t byte_of(uint64_t seed, size_t i)
{
    return (uint8_t)((seed * 131 + i) * 0x9e3779b97f4a7c15ull >> 56);
}

/* A record whose bytes follow from `seed`, written as far as there is room. */
static bool put_record(struct kernel *k, uint64_t seed, uint16_t size)
{
    static uint8_t bytes[CPROF_RECORD_MAX];
    struct perf_event_header header = {.type = (uint32_t)seed, .misc = 7, .size = size};

    if (k->head + size - k->meta->data_tail > k->size)
        return false;
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_of(seed, i);
    memcpy(bytes, &header, sizeof(header));
    put(k, bytes, size);
    return true;
}

static void check_record(const struct perf_event_header *record, uint64_t seed,
                         uint16_t size)
{
    const uint8_t *bytes = (const uint8_t *)record;
    size_t n_wrong = 0;

    CHECK_EQ(record->type, (uint32_t)seed);
    CHECK_EQ(record->size, size);
    for (size_t i = sizeof(*record); i < record->size; i++)
        n_wrong += bytes[i] != byte_of(seed, i);
    CHECK_EQ(n_wrong, 0);
}

static struct cprof_ring *open_ring(const struct kernel *k)
{
    struct cprof_ring *ring = NULL;

    CHECK_EQ(
        cprof_ring_create(k->fd, k->size / (size_t)sysconf(_SC_PAGESIZE), &ring, NULL),
        0);
    CHECK_EQ(cprof_ring_size(ring), k->size);
    return ring;
}

/* 20,000 records of all sizes go round and round; each arrives whole and in order. */
static void test_wrapped_records_arrive_joined(void)
{
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;
    uint64_t n_put = 0, n_got = 0;
    uint16_t sizes[64];

    kernel_init(&k, 4, 0);
    ring = open_ring(&k);
    srand(3);
    while (n_got < 20000) {
        for (int i = rand() % 20; i > 0; i--) {
            uint16_t size = (uint16_t)(8 * (1 + rand() % (rand() % 8 ? 20 : 1000)));
            if (n_put - n_got < 64 && put_record(&k, n_put, size))
                sizes[n_put++ % 64] = size;
        }
        commit(&k);
        cprof_ring_refresh(ring);
        for (int i = rand() % 30; i > 0 && cprof_ring_next(ring, &record) == 1; i--) {
            check_record(record, n_got, sizes[n_got % 64]);
            n_got++;
        }
    }
    CHECK(k.head > 10 * k.size);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* A second walk sees the same records, leaves them there, and skips what is given back.
 */
static void test_peeking_takes_nothing(void)
{
    static uint8_t scratch[CPROF_RECORD_MAX];
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;
    uint64_t at = 0;

    kernel_init(&k, 1, 2400); /* used before; the records wrap */
    ring = open_ring(&k);
    for (uint64_t i = 0; i < 4; i++)
        CHECK(put_record(&k, i, 800));
    CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), 0); /* not committed */
    commit(&k);
    CHECK_EQ(cprof_ring_waiting(ring), 4 * 800);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), 800);
        check_record(record, i, 800);
        CHECK(cprof_ring_holds(ring, at - 800));
    }
    CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), 0);
    cprof_ring_refresh(ring);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(cprof_ring_next(ring, &record), 1);
        check_record(record, i, 800);
    }
    CHECK(cprof_ring_holds(ring, at - 800)); /* borrowed, not yet given back */
    CHECK(!cprof_ring_holds(ring, at - 1600));
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    CHECK(!cprof_ring_holds(ring, at - 800));
    at -= 1600;
    CHECK(put_record(&k, 9, 800));
    commit(&k);
    CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), 800);
    check_record(record, 9, 800);
    k.data[k.head % k.size + 6] = 3; /* no size of a record */
    k.head += 8;
    commit(&k);
    CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), -EBADMSG);
    CHECK_EQ(cprof_ring_peek(ring, &at, scratch, &record), 0);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* The largest record there can be, at every alignment to the end of the ring. */
static void test_records_of_64_KiB_arrive_joined(void)
{
    enum { LARGEST = 65528 };
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;

    for (uint64_t start = 0; start < 131072; start += 8 * 1021) {
        kernel_init(&k, 32, start);
        ring = open_ring(&k);
        CHECK(put_record(&k, start, LARGEST));
        CHECK(put_record(&k, start + 1, LARGEST));
        CHECK(!put_record(&k, start + 2, LARGEST));
        commit(&k);
        CHECK_EQ(cprof_ring_refresh(ring), 2 * LARGEST);
        CHECK_EQ(cprof_ring_next(ring, &record), 1);
        check_record(record, start, LARGEST);
        CHECK_EQ(cprof_ring_next(ring, &record), 1);
        check_record(record, start + 1, LARGEST);
        CHECK_EQ(cprof_ring_next(ring, &record), 0);
        cprof_ring_destroy(ring);
        kernel_deinit(&k);
    }
}

static void test_only_what_is_committed_and_seen_is_read(void)
{
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;

    kernel_init(&k, 1, 0);
    ring = open_ring(&k);
    put_record(&k, 1, 64);
    CHECK_EQ(cprof_ring_refresh(ring), 0); /* written, not committed */
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    commit(&k);
    CHECK_EQ(cprof_ring_next(ring, &record), 0); /* committed, not refreshed */
    CHECK_EQ(cprof_ring_refresh(ring), 64);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    put_record(&k, 2, 32);
    commit(&k);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    CHECK_EQ(cprof_ring_refresh(ring), 32);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    check_record(record, 2, 32);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* A borrowed record is not given back before the next call. */
static void test_the_tail_is_given_back_record_by_record(void)
{
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;

    kernel_init(&k, 1, 4096 - 24);
    ring = open_ring(&k);
    for (uint64_t i = 0; i < 3; i++)
        put_record(&k, i, 40);
    commit(&k);
    cprof_ring_refresh(ring);
    CHECK_EQ(k.meta->data_tail, 4096 - 24);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQ(cprof_ring_next(ring, &record), 1);
        CHECK_EQ(k.meta->data_tail, 4096 - 24 + 40 * i);
        check_record(record, i, 40);
    }
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    CHECK_EQ(k.meta->data_tail, k.head);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

static void test_a_ring_in_use_is_read_from_its_tail(void)
{
    struct kernel k;
    struct cprof_ring *ring;
    const struct perf_event_header *record;

    kernel_init(&k, 1, UINT64_MAX - 63); /* the positions themselves wrap */
    put_record(&k, 1, 48);
    put_record(&k, 2, 48);
    commit(&k);
    ring = open_ring(&k);
    CHECK_EQ(cprof_ring_refresh(ring), 96);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    check_record(record, 1, 48);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    check_record(record, 2, 48);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* Bytes that cannot be a record: the batch is dropped, and what comes later is read. */
static void check_recovers(uint64_t start, uint16_t size, size_t n)
{
    struct perf_event_header header = {.type = 1, .size = size};
    uint8_t bytes[4096] = {0};
    const struct perf_event_header *record;
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k, 1, start);
    ring = open_ring(&k);
    put_record(&k, 5, 56);
    memcpy(bytes, &header, sizeof(header));
    put(&k, bytes, n);
    commit(&k);
    cprof_ring_refresh(ring);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    check_record(record, 5, 56);
    CHECK_EQ(cprof_ring_next(ring, &record), -EBADMSG);
    CHECK_EQ(k.meta->data_tail, k.head);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    put_record(&k, 6, 56);
    commit(&k);
    cprof_ring_refresh(ring);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    check_record(record, 6, 56);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

static void test_corrupt_sizes_drop_the_batch(void)
{
    for (uint64_t start = 0; start < 8192; start += 8 * 31) {
        check_recovers(start, 0, 64);
        check_recovers(start, 7, 64);
        check_recovers(start, 12, 64);    /* the next record would be misaligned */
        check_recovers(start, 72, 64);    /* longer than what waits */
        check_recovers(start, 65535, 64); /* longer than the ring */
        check_recovers(start, 8, 4);      /* not even a header */
    }
}

static void test_a_head_beyond_the_ring_is_refused(void)
{
    const struct perf_event_header *record;
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k, 1, 0);
    ring = open_ring(&k);
    k.head = 4096 + 8;
    commit(&k);
    CHECK_EQ(cprof_ring_refresh(ring), 4104);
    CHECK_EQ(cprof_ring_next(ring, &record), -EBADMSG);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    k.head -= 8; /* backwards */
    commit(&k);
    cprof_ring_refresh(ring);
    CHECK_EQ(cprof_ring_next(ring, &record), -EBADMSG);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

static void test_sizes_that_are_refused(void)
{
    static const size_t sizes[] = {
        0, 3, 6, 12, SIZE_MAX, (size_t)1 << 52, (size_t)1 << 63};
    struct cprof_ring *ring = (struct cprof_ring *)1;
    struct cprof_error err;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CHECK_EQ(cprof_ring_create(0, sizes[i], &ring, &err), -EINVAL);
        CHECK_EQ(err.code, -EINVAL);
    }
    CHECK_EQ(cprof_ring_create(-1, 1, &ring, &err), -EBADF);
    CHECK(strstr(err.message, "4 KiB") != NULL);
    CHECK(ring == (struct cprof_ring *)1);
    cprof_ring_destroy(NULL);
}

static int create(void *arg)
{
    struct kernel *k = arg;
    struct cprof_ring *ring = NULL;
    int r = cprof_ring_create(k->fd, 1, &ring, NULL);

    CHECK_EQ(r == 0, ring != NULL);
    cprof_ring_destroy(ring);
    return r;
}

static void test_survives_failing_allocations(void)
{
    struct kernel k;

    kernel_init(&k, 1, 0);
    CHECK_EQ(sweep(create, &k), 0);
    kernel_deinit(&k);
}

int main(void)
{
    RUN(test_wrapped_records_arrive_joined);
    RUN(test_peeking_takes_nothing);
    RUN(test_records_of_64_KiB_arrive_joined);
    RUN(test_only_what_is_committed_and_seen_is_read);
    RUN(test_the_tail_is_given_back_record_by_record);
    RUN(test_a_ring_in_use_is_read_from_its_tail);
    RUN(test_corrupt_sizes_drop_the_batch);
    RUN(test_a_head_beyond_the_ring_is_refused);
    RUN(test_sizes_that_are_refused);
    RUN(test_survives_failing_allocations);
    return test_report(__FILE__);
}
