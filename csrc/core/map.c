#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void cprof_map_deinit(struct cprof_map *map)
{
    free(map->keys);
    free(map->values);
    memset(map, 0, sizeof(*map));
}

void cprof_map_clear(struct cprof_map *map)
{
    if (map->n_slots)
        memset(map->values, 0xff, map->n_slots * sizeof(*map->values));
    map->n = 0;
}

uint32_t cprof_map_next(const struct cprof_map *map, uint64_t key, size_t *at)
{
    size_t mask = map->n_slots - 1;

    if (!map->n_slots)
        return CPROF_MAP_NONE;
    for (size_t probe = *at; probe < map->n_slots; probe++) {
        size_t i = (cprof_hash_mix(key) + probe) & mask;
        if (map->values[i] == CPROF_MAP_NONE)
            return CPROF_MAP_NONE;
        if (map->keys[i] == key) {
            *at = probe + 1;
            return map->values[i];
        }
    }
    return CPROF_MAP_NONE;
}

uint32_t cprof_map_get(const struct cprof_map *map, uint64_t key)
{
    size_t at = 0;
    return cprof_map_next(map, key, &at);
}

static void place(struct cprof_map *map, uint64_t key, uint32_t value)
{
    size_t mask = map->n_slots - 1, i = cprof_hash_mix(key) & mask;

    while (map->values[i] != CPROF_MAP_NONE)
        i = (i + 1) & mask;
    map->keys[i] = key;
    map->values[i] = value;
}

static int grow(struct cprof_map *map)
{
    struct cprof_map bigger = {.n = map->n,
                               .n_slots = map->n_slots ? map->n_slots * 2 : 16};

    if (bigger.n_slots > SIZE_MAX / sizeof(*map->keys))
        return -ENOMEM;
    bigger.keys = malloc(bigger.n_slots * sizeof(*bigger.keys));
    bigger.values = malloc(bigger.n_slots * sizeof(*bigger.values));
    if (!bigger.keys || !bigger.values) {
        cprof_map_deinit(&bigger);
        return -ENOMEM;
    }
    memset(bigger.values, 0xff, bigger.n_slots * sizeof(*bigger.values));
    for (size_t i = 0; i < map->n_slots; i++)
        if (map->values[i] != CPROF_MAP_NONE)
            place(&bigger, map->keys[i], map->values[i]);
    cprof_map_deinit(map);
    *map = bigger;
    return 0;
}

int cprof_map_add(struct cprof_map *map, uint64_t key, uint32_t value)
{
    if (value == CPROF_MAP_NONE)
        return -EINVAL;
    if ((map->n + 1) * 4 > map->n_slots * 3) {
        int r = grow(map);
        if (r < 0)
            return r;
    }
    place(map, key, value);
    map->n++;
    return 0;
}

int cprof_map_set(struct cprof_map *map, uint64_t key, uint32_t value)
{
    size_t mask = map->n_slots - 1;

    if (value == CPROF_MAP_NONE)
        return -EINVAL;
    for (size_t i = map->n_slots ? cprof_hash_mix(key) & mask : 0, probe = 0;
         probe < map->n_slots && map->values[i] != CPROF_MAP_NONE;
         i = (i + 1) & mask, probe++) {
        if (map->keys[i] == key) {
            map->values[i] = value;
            return 0;
        }
    }
    return cprof_map_add(map, key, value);
}

/* What comes after the hole moves into it, unless that is before its own place. */
void cprof_map_remove(struct cprof_map *map, uint64_t key)
{
    size_t mask = map->n_slots - 1, hole = cprof_hash_mix(key) & mask, i;

    if (!map->n_slots)
        return;
    while (map->values[hole] != CPROF_MAP_NONE && map->keys[hole] != key)
        hole = (hole + 1) & mask;
    if (map->values[hole] == CPROF_MAP_NONE)
        return;
    for (i = (hole + 1) & mask; map->values[i] != CPROF_MAP_NONE; i = (i + 1) & mask) {
        size_t place = cprof_hash_mix(map->keys[i]) & mask;
        if (((i - place) & mask) < ((i - hole) & mask))
            continue;
        map->keys[hole] = map->keys[i];
        map->values[hole] = map->values[i];
        hole = i;
    }
    map->values[hole] = CPROF_MAP_NONE;
    map->n--;
}

uint64_t cprof_hash_bytes(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325ull ^ n;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = cprof_hash_mix(h ^ word);
    }
    for (; n; n--, p++)
        h = (h ^ *p) * 0x100000001b3ull;
    return cprof_hash_mix(h);
}
