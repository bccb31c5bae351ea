#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void empty(struct cprof_map_slot *slots, size_t n)
{
    memset(slots, 0xff, n * sizeof(*slots)); /* CPROF_MAP_NONE */
}

void cprof_map_deinit(struct cprof_map *map)
{
    free(map->slots);
    memset(map, 0, sizeof(*map));
}

void cprof_map_clear(struct cprof_map *map)
{
    if (map->n_slots)
        empty(map->slots, map->n_slots);
    map->n = 0;
}

uint32_t cprof_map_next(const struct cprof_map *map, uint64_t key, size_t *at)
{
    size_t mask = map->n_slots - 1, first = cprof_hash_mix(key);

    if (!map->n_slots)
        return CPROF_MAP_NONE;
    for (size_t probe = *at; probe < map->n_slots; probe++) {
        const struct cprof_map_slot *slot = &map->slots[(first + probe) & mask];
        if (slot->value == CPROF_MAP_NONE)
            return CPROF_MAP_NONE;
        if (slot->key == key) {
            *at = probe + 1;
            return slot->value;
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

    while (map->slots[i].value != CPROF_MAP_NONE)
        i = (i + 1) & mask;
    map->slots[i] = (struct cprof_map_slot){key, value};
}

static int grow(struct cprof_map *map)
{
    struct cprof_map bigger = {.n = map->n,
                               .n_slots = map->n_slots ? map->n_slots * 2 : 16};

    if (bigger.n_slots > SIZE_MAX / sizeof(*map->slots))
        return -ENOMEM;
    bigger.slots = malloc(bigger.n_slots * sizeof(*bigger.slots));
    if (!bigger.slots)
        return -ENOMEM;
    empty(bigger.slots, bigger.n_slots);
    for (size_t i = 0; i < map->n_slots; i++)
        if (map->slots[i].value != CPROF_MAP_NONE)
            place(&bigger, map->slots[i].key, map->slots[i].value);
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
         probe < map->n_slots && map->slots[i].value != CPROF_MAP_NONE;
         i = (i + 1) & mask, probe++) {
        if (map->slots[i].key == key) {
            map->slots[i].value = value;
            return 0;
        }
    }
    return cprof_map_add(map, key, value);
}

/* What comes after the hole moves into it, unless that is before its own place. */
void cprof_map_remove(struct cprof_map *map, uint64_t key)
{
    size_t mask = map->n_slots - 1, hole = cprof_hash_mix(key) & mask, i;
    struct cprof_map_slot *slots = map->slots;

    if (!map->n_slots)
        return;
    while (slots[hole].value != CPROF_MAP_NONE && slots[hole].key != key)
        hole = (hole + 1) & mask;
    if (slots[hole].value == CPROF_MAP_NONE)
        return;
    for (i = (hole + 1) & mask; slots[i].value != CPROF_MAP_NONE; i = (i + 1) & mask) {
        size_t place = cprof_hash_mix(slots[i].key) & mask;
        if (((i - place) & mask) < ((i - hole) & mask))
            continue;
        slots[hole] = slots[i];
        hole = i;
    }
    slots[hole].value = CPROF_MAP_NONE;
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
