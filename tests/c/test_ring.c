/* ring: a memfd plays the kernel, so no permission is needed. */
#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"

enum { N_PAGES = 4 };

/* The kernel's side: the same bytes, mapped a second time. */
struct kernel {
    int fd;
    size_t page, size;
    struct perf_event_mmap_page *meta;
    uint8_t *data;
};

static void kernel_init(struct kernel *k)
{
    k->page = (size_t)sysconf(_SC_PAGESIZE);
    k->size = N_PAGES * k->page;
    k->fd = memfd_create("ring", MFD_CLOEXEC);
    CHECK(k->fd >= 0 && ftruncate(k->fd, (off_t)(k->page + k->size)) == 0);
    k->meta = mmap(NULL, k->page + k->size, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
    CHECK(k->meta != MAP_FAILED);
    k->data = (uint8_t *)k->meta + k->page;
}

static void kernel_deinit(struct kernel *k)
{
    munmap(k->meta, k->page + k->size);
    close(k->fd);
}

/* Write one record of `size` bytes whose body counts up from `seed`. */
static void kernel_write(struct kernel *k, uint16_t size, uint8_t seed)
{
    struct perf_event_header header = {.type = seed, .size = size};
    uint8_t bytes[CPROF_RECORD_MAX];
    uint64_t head = k->meta->data_head;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed + i);
    memcpy(bytes, &header, sizeof(header));
    for (size_t i = 0; i < size; i++)
        k->data[(head + i) % k->size] = bytes[i];
    __atomic_store_n(&k->meta->data_head, head + size, __ATOMIC_RELEASE);
}

static bool is_record(const struct perf_event_header *record, uint16_t size, uint8_t seed)
{
    const uint8_t *bytes = (const uint8_t *)record;

    if (record->size != size || record->type != seed)
        return false;
    for (size_t i = sizeof(*record); i < size; i++)
        if (bytes[i] != (uint8_t)(seed + i))
            return false;
    return true;
}

static void test_records_come_whole_and_in_order(void)
{
    const struct perf_event_header *record;
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k);
    CHECK_EQ(cprof_ring_create(k.fd, N_PAGES, &ring, NULL), 0);
    CHECK_EQ(cprof_ring_size(ring), k.size);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    /* sizes that do not divide the ring: many rounds, records wrap at every offset */
    for (int i = 0; i < 5000; i++) {
        uint16_t size = (uint16_t)(8 + 8 * (i * 37 % 400));
        kernel_write(&k, size, (uint8_t)i);
        if (i % 3 == 0) {
            kernel_write(&k, 16, 77);
            CHECK_EQ(cprof_ring_refresh(ring), size + 16u);
        } else {
            CHECK_EQ(cprof_ring_refresh(ring), size);
        }
        CHECK_EQ(cprof_ring_next(ring, &record), 1);
        CHECK(is_record(record, size, (uint8_t)i));
        if (i % 3 == 0) {
            CHECK_EQ(cprof_ring_next(ring, &record), 1);
            CHECK(is_record(record, 16, 77));
        }
        CHECK_EQ(cprof_ring_next(ring, &record), 0);
        CHECK_EQ(k.meta->data_tail, k.meta->data_head);
    }
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* The room of a record is the kernel's again only when the next one is asked for. */
static void test_a_borrowed_record_keeps_its_room(void)
{
    const struct perf_event_header *record;
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k);
    CHECK_EQ(cprof_ring_create(k.fd, N_PAGES, &ring, NULL), 0);
    kernel_write(&k, 64, 1);
    kernel_write(&k, 32, 2);
    cprof_ring_refresh(ring);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    CHECK_EQ(k.meta->data_tail, 0);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    CHECK_EQ(k.meta->data_tail, 64);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    CHECK_EQ(k.meta->data_tail, 96);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

/* What was written after the refresh waits for the next one. */
static void test_a_batch_ends_at_the_refresh(void)
{
    const struct perf_event_header *record;
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k);
    CHECK_EQ(cprof_ring_create(k.fd, N_PAGES, &ring, NULL), 0);
    kernel_write(&k, 24, 1);
    cprof_ring_refresh(ring);
    kernel_write(&k, 24, 2);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    CHECK_EQ(cprof_ring_next(ring, &record), 0);
    CHECK_EQ(cprof_ring_refresh(ring), 24);
    CHECK_EQ(cprof_ring_next(ring, &record), 1);
    CHECK(is_record(record, 24, 2));
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

static void check_bad(uint16_t size, uint64_t head)
{
    const struct perf_event_header *record;
    struct perf_event_header header = {.size = size};
    struct cprof_ring *ring;
    struct kernel k;

    kernel_init(&k);
    CHECK_EQ(cprof_ring_create(k.fd, N_PAGES, &ring, NULL), 0);
    memcpy(k.data, &header, sizeof(header));
    k.meta->data_head = head;
    cprof_ring_refresh(ring);
    CHECK_EQ(cprof_ring_next(ring, &record), -EBADMSG);
    CHECK_EQ(cprof_ring_next(ring, &record), 0); /* the batch is dropped, its room back */
    CHECK_EQ(k.meta->data_tail, head);
    cprof_ring_destroy(ring);
    kernel_deinit(&k);
}

static void test_bytes_that_are_no_record_are_dropped(void)
{
    check_bad(0, 64);                 /* would never advance */
    check_bad(4, 64);                 /* shorter than its own header */
    check_bad(128, 64);               /* longer than what is there */
    check_bad(16, 4);                 /* half a header */
    check_bad(16, (uint64_t)1 << 40); /* more than the ring holds */
}

static void test_sizes_that_cannot_be(void)
{
    struct cprof_error err = {0};
    struct cprof_ring *ring = NULL;

    CHECK_EQ(cprof_ring_create(-1, 0, &ring, &err), -EINVAL);
    CHECK_EQ(cprof_ring_create(-1, 3, &ring, &err), -EINVAL);
    CHECK_EQ(cprof_ring_create(-1, SIZE_MAX / 2 + 1, &ring, &err), -EINVAL);
    CHECK_EQ(cprof_ring_create(-1, 4, &ring, &err), -EBADF);
    CHECK(strstr(err.message, "ring: cannot map") == err.message);
    CHECK(ring == NULL);
    cprof_ring_destroy(NULL);
}

static int attempt(void *fd)
{
    struct cprof_ring *ring;
    int r = cprof_ring_create(*(int *)fd, N_PAGES, &ring, NULL);

    if (r == 0)
        cprof_ring_destroy(ring);
    return r;
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    struct kernel k;

    kernel_init(&k);
    CHECK_EQ(sweep(attempt, &k.fd), 0);
    kernel_deinit(&k);
}

int main(void)
{
    RUN(test_records_come_whole_and_in_order);
    RUN(test_a_borrowed_record_keeps_its_room);
    RUN(test_a_batch_ends_at_the_refresh);
    RUN(test_bytes_that_are_no_record_are_dropped);
    RUN(test_sizes_that_cannot_be);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
