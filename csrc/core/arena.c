#include "arena.h"

#include <stdint.h>
#include <stdlib.h>

enum { CHUNK = 256 * 1024, ALIGNMENT = 16 };

struct cprof_arena_chunk {
    struct cprof_arena_chunk *previous;
    size_t n, capacity;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static struct cprof_arena_chunk *add_chunk(struct cprof_arena *arena, size_t n)
{
    size_t capacity = n < CHUNK ? CHUNK : n;
    struct cprof_arena_chunk *chunk;

    if (n > SIZE_MAX / 2)
        return NULL;
    chunk = malloc(sizeof(*chunk) + capacity);
    if (!chunk)
        return NULL;
    chunk->previous = arena->last;
    chunk->n = 0;
    chunk->capacity = capacity;
    arena->last = chunk;
    return chunk;
}

void *cprof_arena_take(struct cprof_arena *arena, size_t n)
{
    struct cprof_arena_chunk *chunk = arena->last;
    size_t rounded = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    void *p;

    if (rounded < n || (arena->limit && rounded > arena->limit - arena->n)) {
        arena->is_over_limit = true;
        chunk = NULL;
    } else if (!chunk || rounded > chunk->capacity - chunk->n) {
        chunk = add_chunk(arena, rounded);
    }
    if (!chunk) {
        arena->is_failed = true;
        return NULL;
    }
    p = chunk->bytes + chunk->n;
    chunk->n += rounded;
    arena->n += rounded;
    return p;
}

/* Release chunks down to `keep`, which may be NULL. */
static void release(struct cprof_arena *arena, const struct cprof_arena_chunk *keep)
{
    while (arena->last != keep) {
        struct cprof_arena_chunk *chunk = arena->last;
        arena->last = chunk->previous;
        free(chunk);
    }
}

void cprof_arena_reset(struct cprof_arena *arena)
{
    struct cprof_arena_chunk *first = arena->last;

    while (first && first->previous)
        first = first->previous;
    release(arena, first);
    if (first)
        first->n = 0;
    arena->n = 0;
    arena->is_failed = arena->is_over_limit = false;
}

void cprof_arena_deinit(struct cprof_arena *arena)
{
    release(arena, NULL);
    *arena = (struct cprof_arena){0};
}
