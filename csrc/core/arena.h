/* arena.h - memory for many small things that are released together. */
#ifndef CPROF_ARENA_H
#define CPROF_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct cprof_arena_chunk;

/* A zeroed arena is empty and has no limit. */
struct cprof_arena {
    struct cprof_arena_chunk *last;
    size_t n;           /* bytes taken since the last reset */
    size_t limit;       /* take() fails beyond; 0 = none */
    bool is_failed;     /* some take() failed since the last reset, */
    bool is_over_limit; /* and that for the limit */
};

/* `n` bytes, aligned for anything, not zeroed; NULL when out of memory or over the limit.
 * Borrowed until reset or deinit. */
void *cprof_arena_take(struct cprof_arena *arena, size_t n);
/* Give everything back, keeping some room for what comes next. */
void cprof_arena_reset(struct cprof_arena *arena);
void cprof_arena_deinit(struct cprof_arena *arena);

#endif
