/* arena: memory that does not overlap, up to its limit. */
#include "arena.h"

#include <stdalign.h>

#include "test.h"

static void test_pieces_do_not_overlap(void)
{
    struct cprof_arena arena = {0};
    unsigned char *pieces[500];

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++) {
            pieces[i] = cprof_arena_take(&arena, i * 7);
            CHECK(pieces[i] != NULL);
            CHECK_EQ((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            memset(pieces[i], (int)(i % 251), i * 7);
        }
        for (size_t i = 0; i < 500; i++)
            for (size_t k = 0; k < i * 7; k++)
                if (pieces[i][k] != i % 251)
                    CHECK(false);
        CHECK(!arena.is_failed);
        cprof_arena_reset(&arena);
        CHECK_EQ(arena.n, 0);
    }
    cprof_arena_deinit(&arena);
}

static void test_the_limit_holds(void)
{
    struct cprof_arena arena = {.limit = 1000};

    CHECK(cprof_arena_take(&arena, 900) != NULL);
    CHECK(cprof_arena_take(&arena, 200) == NULL);
    CHECK(arena.is_failed && arena.is_over_limit);
    cprof_arena_reset(&arena);
    CHECK(!arena.is_failed && !arena.is_over_limit);
    CHECK(cprof_arena_take(&arena, SIZE_MAX) == NULL);
    CHECK(arena.is_failed);
    cprof_arena_deinit(&arena);
}

static int attempt(void *arg)
{
    struct cprof_arena arena = {0};
    bool is_failed;

    (void)arg;
    for (int i = 0; i < 50; i++)
        cprof_arena_take(&arena, 10000);
    is_failed = arena.is_failed;
    cprof_arena_deinit(&arena);
    return is_failed ? -12 : 0; /* -ENOMEM */
}

static void test_a_failing_allocation_leaves_nothing_behind(void)
{
    CHECK_EQ(sweep(attempt, NULL), 0);
}

int main(void)
{
    RUN(test_pieces_do_not_overlap);
    RUN(test_the_limit_holds);
    RUN(test_a_failing_allocation_leaves_nothing_behind);
    return test_report(__FILE__);
}
