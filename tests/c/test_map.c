/* map: random operations against a plain array as the truth. */
#include "map.h"

#include <errno.h>

#include "test.h"

enum { N_KEYS = 600, N_STEPS = 40000 };

/* Keys that meet in few slots: the low bits of their hashes are made equal. */
static void colliding_keys(uint64_t keys[N_KEYS])
{
    size_t n = 0;

    for (uint64_t key = 0; n < N_KEYS; key++)
        if ((cprof_hash_mix(key) & 15) < 2)
            keys[n++] = key;
    keys[0] = 0;
    keys[1] = UINT64_MAX;
}

static void check_all(const struct cprof_map *map, const uint64_t keys[N_KEYS],
                      const uint32_t truth[N_KEYS])
{
    size_t n = 0;

    for (size_t i = 0; i < N_KEYS; i++) {
        CHECK_EQ(cprof_map_get(map, keys[i]), truth[i]);
        n += truth[i] != CPROF_MAP_NONE;
    }
    CHECK_EQ(map->n, n);
}

static void test_set_get_remove_as_an_array_says(void)
{
    uint64_t keys[N_KEYS];
    uint32_t truth[N_KEYS];
    struct cprof_map map = {0};

    colliding_keys(keys);
    memset(truth, 0xff, sizeof(truth));
    srand(1);
    for (int step = 0; step < N_STEPS; step++) {
        size_t i = (size_t)rand() % N_KEYS;
        if (rand() % 5 < 3) {
            truth[i] = (uint32_t)rand();
            CHECK_EQ(cprof_map_set(&map, keys[i], truth[i]), 0);
        } else {
            truth[i] = CPROF_MAP_NONE;
            cprof_map_remove(&map, keys[i]);
        }
        if (step % 1000 == 0)
            check_all(&map, keys, truth);
    }
    check_all(&map, keys, truth);
    CHECK(map.n_slots <= 2048);
    cprof_map_clear(&map);
    CHECK_EQ(map.n, 0);
    CHECK_EQ(cprof_map_get(&map, keys[5]), CPROF_MAP_NONE);
    cprof_map_deinit(&map);
}

static void test_empty_map_answers(void)
{
    struct cprof_map map = {0};
    size_t at = 0;

    CHECK_EQ(cprof_map_get(&map, 7), CPROF_MAP_NONE);
    CHECK_EQ(cprof_map_next(&map, 7, &at), CPROF_MAP_NONE);
    cprof_map_remove(&map, 7);
    cprof_map_clear(&map);
    cprof_map_deinit(&map);
}

static void test_the_free_mark_is_no_value(void)
{
    struct cprof_map map = {0};

    CHECK_EQ(cprof_map_set(&map, 1, CPROF_MAP_NONE), -EINVAL);
    CHECK_EQ(cprof_map_add(&map, 1, CPROF_MAP_NONE), -EINVAL);
    CHECK_EQ(map.n, 0);
    cprof_map_deinit(&map);
}

static void test_add_keeps_equal_keys_and_next_finds_each_once(void)
{
    struct cprof_map map = {0};
    uint64_t seen = 0;
    size_t at = 0, n = 0;
    uint32_t value;

    for (uint32_t i = 0; i < 40; i++) {
        CHECK_EQ(cprof_map_add(&map, 99, i), 0);
        CHECK_EQ(cprof_map_add(&map, 1000 + i, 77), 0);
    }
    while ((value = cprof_map_next(&map, 99, &at)) != CPROF_MAP_NONE) {
        CHECK(value < 40 && !(seen >> value & 1));
        seen |= 1ull << value;
        n++;
    }
    CHECK_EQ(n, 40);
    cprof_map_deinit(&map);
}

static void test_hash_of_bytes_differs_by_length_and_content(void)
{
    char bytes[64] = {0};
    uint64_t seen[65];

    for (size_t n = 0; n <= 64; n++) {
        seen[n] = cprof_hash_bytes(bytes, n);
        for (size_t k = 0; k < n; k++)
            CHECK(seen[k] != seen[n]);
    }
    for (size_t i = 0; i < 64; i++) {
        bytes[i] = 1;
        CHECK(cprof_hash_bytes(bytes, 64) != seen[64]);
        bytes[i] = 0;
    }
}

static int fill(void *arg)
{
    struct cprof_map map = {0};
    int r = 0;

    (void)arg;
    for (uint32_t i = 0; r == 0 && i < 200; i++) {
        r = cprof_map_set(&map, i * 7919, i);
        for (uint32_t k = 0; k < i; k++)
            CHECK_EQ(cprof_map_get(&map, k * 7919), k);
    }
    cprof_map_deinit(&map);
    return r;
}

static void test_survives_failing_allocations(void)
{
    CHECK_EQ(sweep(fill, NULL), 0);
}

int main(void)
{
    RUN(test_set_get_remove_as_an_array_says);
    RUN(test_empty_map_answers);
    RUN(test_the_free_mark_is_no_value);
    RUN(test_add_keeps_equal_keys_and_next_finds_each_once);
    RUN(test_hash_of_bytes_differs_by_length_and_content);
    RUN(test_survives_failing_allocations);
    return test_report(__FILE__);
}
