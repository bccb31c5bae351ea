/* locate.h - code addresses of processes -> locations of a profile -> functions.
 *
 * One locator fills one `struct cprof_stacks`: locate.c gives each (process, address) its
 * location, once; locate_names.c gives locations their functions, after the fact and once
 * for each distinct location, locate_lines.c then their lines. One thread at a time. */
#ifndef CPROF_LOCATE_H
#define CPROF_LOCATE_H

#include "locate_lines.h"
#include "process.h"
#include "stack.h"
#include "symbol.h"

/* A mapping of the profile and where it came from. */
struct cprof_locator_mapping {
    struct cprof_dso *dso;
    uint64_t offset, length;
};

struct cprof_locator_dso {         /* by dso number */
    struct cprof_symbols *symbols; /* NULL until something of it is named */
    char *jit_text; /* ANON: its perf-PID.map, kept when the process ended */
    size_t jit_text_n;
    bool is_jit;
};

struct cprof_locator_function { /* one function of a dso that has been named */
    uint64_t start;
    uint32_t dso, function;
};

/* (process serial, pc) -> location, direct mapped; larger after many misses. */
enum { CPROF_LOCATOR_CACHE_FIRST = 1 << 13, CPROF_LOCATOR_CACHE_MOST = 1 << 17 };
struct cprof_locator_cached {
    uint64_t pc;
    uint32_t serial, location;
};

struct cprof_locator {
    struct cprof_stacks *stacks;                      /* borrowed */
    struct cprof_dsos *dsos;                          /* borrowed */
    CPROF_VEC(struct cprof_locator_mapping) mappings; /* parallel to stacks->mappings */
    struct cprof_map mapping_ids;
    uint32_t kernel_mapping;
    struct cprof_locator_cached *cache;
    size_t n_cache, n_missed;
    CPROF_VEC(struct cprof_locator_dso) names;
    struct cprof_map function_ids; /* (dso, symbol start) hash -> index in functions */
    CPROF_VEC(struct cprof_locator_function) functions;
    size_t n_named;           /* locations below this have their functions */
    bool wants_lines;         /* name_all() gives lines, too: */
    struct cprof_liner liner; /* of files of at most liner.most bytes of them */
};

/* `stacks` and `dsos` must outlive it. 0 or -ENOMEM (deinit is legal then too). */
int cprof_locator_init(struct cprof_locator *l, struct cprof_stacks *stacks,
                       struct cprof_dsos *dsos);
void cprof_locator_deinit(struct cprof_locator *l);

/* Give an entry of an address space its mapping in the profile: the one made before for
 * the same piece of the same file, wherever it was mapped, or a new one. 0 or -ENOMEM. */
int cprof_locate_mapping(struct cprof_locator *l, struct cprof_maps_entry *entry);

/* The location of a code address (already moved into its call). 0 or -ENOMEM. */
int cprof_locate_user(struct cprof_locator *l, struct cprof_process *process, uint64_t pc,
                      uint32_t *ret);
/* Fetch what the locations of these addresses will be looked up in, all at once: they are
 * asked for one by one next. */
void cprof_locate_ahead(const struct cprof_locator *l,
                        const struct cprof_process *process, const uint64_t *pcs,
                        size_t n);
int cprof_locate_kernel(struct cprof_locator *l, uint64_t pc, uint32_t *ret);

/* Give every location that has none its function, and its lines where they are wanted. 0
 * or -ENOMEM. */
int cprof_locator_name_all(struct cprof_locator *l);

/* The process is about to go, and with it perhaps its files: keep its JIT map. */
void cprof_locator_keep_jit(struct cprof_locator *l, const struct cprof_process *process);

#endif
