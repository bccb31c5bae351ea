/* columns: blocks written out by hand, and numbers that have to come back. */
#include "columns.h"

#include <errno.h>
#include <zlib.h>

#include "test.h"

static const struct cprof_column_format U8 = {1, CPROF_COLUMN_PLAIN};
static const struct cprof_column_format U32 = {4, CPROF_COLUMN_PLAIN};
static const struct cprof_column_format STEPS = {8, CPROF_COLUMN_STEPS};
static const struct cprof_column_format BACK = {4, CPROF_COLUMN_BACK};
static const struct cprof_column_format ZIGZAG = {4, CPROF_COLUMN_ZIGZAG};

/* The bytes that a block inflates to. */
static size_t inflated(const uint8_t *block, size_t n, uint8_t *to, size_t room)
{
    uLong size = (uLong)room;

    CHECK_EQ(uncompress(to, &size, block, (uLong)n), Z_OK);
    return size;
}

static void check_planes(const void *numbers, size_t n,
                         const struct cprof_column_format *format, uint64_t base,
                         uint64_t least, const char *want, size_t n_want)
{
    uint8_t *block, bytes[256];
    size_t n_block;

    CHECK_EQ(cprof_columns_encode(numbers, n, format, base, 0, &block, &n_block), 0);
    CHECK_EQ(inflated(block, n_block, bytes, sizeof(bytes)), 8 + n_want);
    for (int k = 0; k < 8; k++)
        CHECK_EQ(bytes[k], least >> 8 * k & 0xff);
    CHECK(!memcmp(bytes + 8, want, n_want));
    free(block);
}

static void test_planes_are_the_lowest_bytes_first(void)
{
    const uint32_t numbers[] = {1, 0x203, 0x10005};
    const uint32_t small[] = {7, 8, 9};
    const uint64_t times[] = {1003, 1005, 1004 + 256};
    const uint32_t parents[] = {0xffffffff, 0, 1, 0};
    const uint32_t turns[] = {7, 6, 8, 8, 0x108};

    check_planes(numbers, 3, &U32, 0, 1, "\0\2\4\0\2\0\0\0\1", 9);
    check_planes(small, 3, &U32, 0, 7, "\0\1\2", 3);
    check_planes(times, 3, &STEPS, 1000, 2, "\1\0\375", 3);
    check_planes(parents, 4, &BACK, 0, 1, "\0\0\0\2", 4);
    check_planes(turns, 5, &ZIGZAG, 7, 0, "\0\1\4\0\0\0\0\0\0\2", 10);
}

/* What came back equals what went in. */
static void round_trip(const void *numbers, size_t n,
                       const struct cprof_column_format *format, uint64_t base)
{
    struct cprof_column_part part = {.n = n, .base = base};
    uint8_t *block;
    void *back;
    size_t n_back;

    CHECK_EQ(cprof_columns_encode(numbers, n, format, base, 0, &block, &part.n_block), 0);
    part.block = block;
    CHECK_EQ(cprof_columns_decode(&part, 1, format, 0, &back, &n_back), 0);
    CHECK_EQ(n_back, n);
    CHECK(!memcmp(back, numbers, n * format->width));
    free(back);
    free(block);
}

static void test_every_width_and_kind_comes_back(void)
{
    uint64_t numbers[1000], seed = 1;

    for (int shift = 0; shift < 64; shift += 7) {
        for (size_t i = 0; i < 1000; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            numbers[i] = seed >> shift;
        }
        for (size_t width = 1; width <= 8; width *= 2)
            for (int kind = CPROF_COLUMN_PLAIN; kind <= CPROF_COLUMN_ZIGZAG; kind++) {
                struct cprof_column_format format = {width, kind};
                round_trip(numbers, 1, &format, 5);
                round_trip(numbers, 1000, &format, seed);
            }
    }
}

static void test_numbers_move_together(void)
{
    const uint32_t numbers[] = {0, 5, 0xffffffff};
    uint8_t *block, bytes[32];
    size_t n;

    CHECK_EQ(cprof_columns_encode(numbers, 3, &U32, 0, 10, &block, &n), 0);
    CHECK_EQ(inflated(block, n, bytes, sizeof(bytes)), 8 + 12);
    CHECK_EQ(bytes[0], 10); /* and none stays none: */
    CHECK(!memcmp(bytes + 8, "\0\5\365\0\0\377", 6));
    free(block);
}

static void test_numbers_of_any_alignment(void)
{
    char bytes[4 * 3 + 1] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

    round_trip(bytes + 1, 3, &U32, 0);
}

static void test_parts_follow_each_other(void)
{
    const uint64_t first[] = {10, 20}, last[] = {5};
    struct cprof_column_part parts[3] = {{.n = 2, .base = 7}, {.n = 2}, {.n = 1}};
    const uint64_t want[] = {10, 20, 99, 99, 5};
    uint8_t *a, *b;
    void *back;
    size_t n;

    CHECK_EQ(cprof_columns_encode(first, 2, &STEPS, 7, 0, &a, &parts[0].n_block), 0);
    CHECK_EQ(cprof_columns_encode(last, 1, &STEPS, 0, 0, &b, &parts[2].n_block), 0);
    parts[0].block = a;
    parts[2].block = b;
    CHECK_EQ(cprof_columns_decode(parts, 3, &STEPS, 99, &back, &n), 0);
    CHECK_EQ(n, 5);
    CHECK(!memcmp(back, want, sizeof(want)));
    free(back);
    free(a);
    free(b);
    CHECK_EQ(cprof_columns_decode(NULL, 0, &U8, 0, &back, &n), 0);
    CHECK_EQ(n, 0);
    free(back);
}

/* Nodes 10 to 16: what is stored was reckoned by hand. */
static void test_siblings_are_near_each_other(void)
{
    const uint32_t parent[] = {0xffffffff, 10, 10, 11, 12, 3, 15};
    const uint32_t location[] = {5, 40, 41, 90, 92, 4, 0xfffffffe};
    /* from 0; from 5; from 40; from 40; from 41; from 5; from 4 (back, modulo 2^32) */
    const uint32_t want[] = {10, 70, 2, 100, 102, 1, 11};
    uint32_t stored[7], back[7];

    CHECK_EQ(cprof_columns_siblings(parent, location, 7, 10, 0, false, stored), 0);
    CHECK(!memcmp(stored, want, sizeof(want)));
    CHECK_EQ(cprof_columns_siblings(parent, stored, 7, 10, 0, true, back), 0);
    CHECK(!memcmp(back, location, sizeof(location)));
    CHECK_EQ(cprof_columns_siblings(parent, stored, 7, 10, 3, true, back), 0);
    CHECK_EQ(back[1], 43); /* all of them move */
}

static void test_siblings_of_one_place(void)
{
    const uint32_t parent[] = {0xffffffff, 0, 1, 0xffffffff, 3};
    const uint32_t location[] = {7, 20, 7, 7, 21};
    const uint32_t want[] = {14, 26, 25, 0, 2};
    uint32_t stored[5];

    CHECK_EQ(cprof_columns_siblings(parent, location, 5, 0, 0, false, stored), 0);
    CHECK(!memcmp(stored, want, sizeof(want)));
}

static int decode(const void *block, size_t n_block, size_t n,
                  const struct cprof_column_format *format)
{
    struct cprof_column_part part = {.block = block, .n_block = n_block, .n = n};
    void *back;
    size_t n_back;
    int r = cprof_columns_decode(&part, 1, format, 0, &back, &n_back);

    if (r == 0)
        free(back);
    return r;
}

static void test_bad_blocks_are_refused(void)
{
    const uint32_t numbers[] = {1, 0x203, 0x10005, 4};
    const struct cprof_column_format odd = {3, CPROF_COLUMN_PLAIN}, kind = {4, 4};
    int n_unseen = 0;
    uint8_t *block;
    size_t n;

    CHECK_EQ(cprof_columns_encode(numbers, 4, &U32, 0, 0, &block, &n), 0); /* 3 planes */
    CHECK_EQ(decode(block, n, 4, &U32), 0);
    CHECK_EQ(decode(block, n, 5, &U32), -EBADMSG);
    CHECK_EQ(decode(block, n, 2, &U32), -EBADMSG); /* too many planes */
    CHECK_EQ(decode(block, n, 4, &U8), -EBADMSG);
    CHECK_EQ(decode(block, n - 1, 4, &U32), -EBADMSG);
    CHECK_EQ(decode("", 0, 4, &U32), -EBADMSG);
    CHECK_EQ(decode("x", 1, CPROF_COLUMNS_MAX, &U32), -EBADMSG);
    CHECK_EQ(decode(block, n, 0, &U32), -EINVAL);
    CHECK_EQ(decode(block, n, (size_t)CPROF_COLUMNS_MAX + 1, &U32), -EINVAL);
    CHECK_EQ(decode(block, n, 4, &odd), -EINVAL);
    CHECK_EQ(decode(block, n, 4, &kind), -EINVAL);
    for (size_t i = 0; i < n; i++) /* adler32 sees it, or the sizes */
        for (int bit = 0; bit < 8; bit++) {
            block[i] ^= (uint8_t)(1u << bit);
            n_unseen += decode(block, n, 4, &U32) != -EBADMSG;
            block[i] ^= (uint8_t)(1u << bit);
        }
    CHECK(n_unseen < 8); /* bits that only fill up the last byte of the data */
    free(block);
    CHECK_EQ(cprof_columns_encode(numbers, 0, &U32, 0, 0, &block, &n), -EINVAL);
}

static void test_bytes_after_a_block(void)
{
    uint8_t number = 1, *block, longer[64] = {0};
    size_t n;

    CHECK_EQ(cprof_columns_encode(&number, 1, &U8, 0, 0, &block, &n), 0);
    memcpy(longer, block, n);
    CHECK_EQ(decode(longer, n, 1, &U8), 0);
    CHECK_EQ(decode(longer, n + 1, 1, &U8), -EBADMSG);
    free(block);
}

static int both_ways(void *arg)
{
    const uint32_t numbers[] = {1, 2, 3};
    struct cprof_column_part part = {.n = 3};
    uint32_t stored[3];
    uint8_t *block;
    void *back;
    size_t n;
    int r = cprof_columns_siblings(numbers, numbers, 3, 0, 0, false, stored);

    (void)arg;
    if (r == 0)
        r = cprof_columns_encode(numbers, 3, &U32, 0, 0, &block, &part.n_block);
    if (r < 0)
        return r;
    part.block = block;
    r = cprof_columns_decode(&part, 1, &U32, 0, &back, &n);
    if (r == 0)
        free(back);
    free(block);
    return r;
}

static void test_allocations_fail(void)
{
    CHECK_EQ(sweep(both_ways, NULL), 0);
}

int main(void)
{
    RUN(test_planes_are_the_lowest_bytes_first);
    RUN(test_every_width_and_kind_comes_back);
    RUN(test_numbers_move_together);
    RUN(test_numbers_of_any_alignment);
    RUN(test_parts_follow_each_other);
    RUN(test_siblings_are_near_each_other);
    RUN(test_siblings_of_one_place);
    RUN(test_bad_blocks_are_refused);
    RUN(test_bytes_after_a_block);
    RUN(test_allocations_fail);
    return test_report(__FILE__);
}
