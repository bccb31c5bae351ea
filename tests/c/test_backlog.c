/* backlog: records come back whole and in order, whatever was put in between. */
#include "backlog.h"

#include "ring.h"
#include "test.h"

static const struct perf_event_header *record_of(uint16_t size, uint8_t fill)
{
    static uint64_t room[CPROF_RECORD_MAX / 8];
    struct perf_event_header *header = (struct perf_event_header *)room;

    memset(room, fill, size);
    *header = (struct perf_event_header){.type = PERF_RECORD_SAMPLE, .size = size};
    return header;
}

static bool is_record(const struct perf_event_header *r, uint16_t size, uint8_t fill)
{
    const uint8_t *bytes = (const uint8_t *)r;

    return r && r->size == size && bytes[sizeof(*r)] == fill && bytes[size - 1] == fill;
}

static void test_first_in_first_out(void)
{
    struct cprof_backlog b = {0};
    const struct perf_event_header *first;

    CHECK(!cprof_backlog_next(&b));
    for (uint8_t i = 1; i <= 100; i++) {
        CHECK(cprof_backlog_reserve(&b, 1 << 20));
        cprof_backlog_push(&b, record_of((uint16_t)(8 + 8 * i), i));
    }
    first = cprof_backlog_next(&b);
    CHECK(is_record(first, 16, 1));
    cprof_backlog_return(&b, first);
    for (uint8_t i = 1; i <= 100; i++)
        CHECK(is_record(cprof_backlog_next(&b), (uint16_t)(8 + 8 * i), i));
    CHECK(!cprof_backlog_next(&b));
    CHECK_EQ(b.bytes.capacity, 0); /* its memory is given back */
    cprof_backlog_deinit(&b);
}

static void test_the_limit_counts_the_largest_record(void)
{
    struct cprof_backlog b = {0};

    CHECK(!cprof_backlog_reserve(&b, CPROF_RECORD_MAX - 1));
    CHECK(cprof_backlog_reserve(&b, CPROF_RECORD_MAX + 8));
    cprof_backlog_push(&b, record_of(16, 1));
    CHECK(!cprof_backlog_reserve(&b, CPROF_RECORD_MAX + 8));
    cprof_backlog_deinit(&b);
}

static int fill(void *arg)
{
    struct cprof_backlog b = {0};
    bool has_room = cprof_backlog_reserve(&b, 1 << 20);

    (void)arg;
    cprof_backlog_deinit(&b);
    return has_room ? 0 : -ENOMEM;
}

static void test_no_memory_is_no_room(void)
{
    CHECK_EQ(sweep(fill, NULL), 0);
}

int main(void)
{
    RUN(test_first_in_first_out);
    RUN(test_the_limit_counts_the_largest_record);
    RUN(test_no_memory_is_no_room);
    return test_report(__FILE__);
}
