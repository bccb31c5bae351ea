/* map.h - hash table from u64 to u32, for interning and look-ups by number.
 *
 * Open addressing, 16 bytes a slot (one cache line a look-up) at a load of at most 3/4;
 * keys are whole 64-bit values (for composite keys store a hash and compare the object
 * yourself: see cprof_map_next). One writer, no locks. */
#ifndef CPROF_MAP_H
#define CPROF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cprof_map_slot {
    uint64_t key;
    uint32_t value; /* CPROF_MAP_NONE marks a free slot */
};

struct cprof_map {
    struct cprof_map_slot *slots;
    size_t n, n_slots;
};

enum { CPROF_MAP_NONE = 0xffffffffu };

/* A zeroed map is empty and valid. */
void cprof_map_deinit(struct cprof_map *map);
void cprof_map_clear(struct cprof_map *map);

/* The value of `key`, or CPROF_MAP_NONE. */
uint32_t cprof_map_get(const struct cprof_map *map, uint64_t key);

/* Set (insert or replace). `value` must not be CPROF_MAP_NONE. 0 or -ENOMEM. */
int cprof_map_set(struct cprof_map *map, uint64_t key, uint32_t value);

/* Forget `key` (one value of it); nothing happens when it is not there. */
void cprof_map_remove(struct cprof_map *map, uint64_t key);

/* For keys that are hashes: walk the values stored under `key`. Start with *at = 0; each
 * call returns one value, or CPROF_MAP_NONE at the end. Insert with cprof_map_add, which
 * keeps equal keys side by side instead of replacing. */
uint32_t cprof_map_next(const struct cprof_map *map, uint64_t key, size_t *at);
int cprof_map_add(struct cprof_map *map, uint64_t key, uint32_t value);

static inline uint64_t cprof_hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9e3779b97f4a7c15ull;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9ull;
    return x ^ (x >> 32);
}
uint64_t cprof_hash_bytes(const void *bytes, size_t n);

#endif
