/* maps.h - the address space of one process: code address -> mapping -> file.
 *
 * Holds executable mappings, sorted and without overlap: a new mapping cuts away what it
 * covers, as mmap(2) does. Records arrive in time order, so this is the space "now". */
#ifndef CPROF_MAPS_H
#define CPROF_MAPS_H

#include "dso.h"

enum { CPROF_MAPS_MAX = 1 << 20 };

struct cprof_maps_entry {
    uint64_t start, end, offset; /* run-time [start, end), offset in the file */
    struct cprof_dso *dso;       /* borrowed from the table of dsos */
    uint64_t bias;    /* run-time address - virtual address in the file; 0 where
                         the file is not known */
    uint32_t mapping; /* the owner's number for it, CPROF_MAP_NONE at first */
    uint64_t shift;   /* the owner's: to be added to make an address canonical */
};

struct cprof_maps {
    CPROF_VEC(struct cprof_maps_entry) entries;
};

/* A zeroed space is valid and empty. */
void cprof_maps_deinit(struct cprof_maps *maps);

/* What the kernel said of a mapping -> entry; only its dso must be found before. */
struct cprof_maps_entry cprof_maps_entry_of(const struct cprof_mmap *mmap,
                                            struct cprof_dso *dso);

/* Put `entry` in. Returns 1 when it replaced (part of) another one, 0 when not, -ENOMEM,
 * -EINVAL for an empty or wrapping range, -E2BIG past CPROF_MAPS_MAX. */
int cprof_maps_insert(struct cprof_maps *maps, const struct cprof_maps_entry *entry);

/* The entry that holds `address`, or NULL; borrowed until the next change. */
const struct cprof_maps_entry *cprof_maps_find(const struct cprof_maps *maps,
                                               uint64_t address);

/* The entry whose file image, code or data, holds `address`: unwind tables lie outside
 * the executable mapping. NULL when none. */
const struct cprof_maps_entry *cprof_maps_find_image(const struct cprof_maps *maps,
                                                     uint64_t address);

/* *to (empty) becomes a copy: a fork. 0 or -ENOMEM. */
int cprof_maps_copy(const struct cprof_maps *from, struct cprof_maps *to);

#endif
