/* unwind_fp.c - the chain of frame pointers: right only where every function keeps one,
 * cheap everywhere. Each frame is {caller's rbp, return address} at rbp. */
#include "unwind.h"

#include <string.h>

#include "maps.h"

static int create(struct cprof_unwind_space **ret)
{
    *ret = NULL; /* nothing is remembered */
    return 0;
}
static void destroy(struct cprof_unwind_space *space)
{
    (void)space;
}

static bool read_word(const struct cprof_unwind_input *in, uint64_t address,
                      uint64_t *ret)
{
    uint64_t at = address - in->regs[CPROF_REG_RSP];

    if (in->stack_n < 8 || at > in->stack_n - 8)
        return false;
    memcpy(ret, in->stack + at, 8);
    return true;
}

/* A frame that starts the program has no caller, and no need of a frame pointer. */
static bool is_entry(const struct cprof_maps_entry *entry, uint64_t pc)
{
    enum { START_SIZE = 64 };
    uint64_t start = entry->bias + entry->dso->entry;

    return entry->dso->entry && pc >= start && pc < start + START_SIZE;
}

static void unwind(struct cprof_unwind_space *space, const struct cprof_maps *maps,
                   const struct cprof_unwind_input *in, struct cprof_unwind_chain *chain)
{
    uint64_t fp = in->regs[CPROF_REG_RBP], low = in->regs[CPROF_REG_RSP], next, ip;
    const struct cprof_maps_entry *entry;

    (void)space;
    cprof_unwind_chain_begin(chain, in);
    for (;;) {
        entry = cprof_maps_find(maps, chain->pc[chain->n - 1]);
        if (!entry && chain->n > 1)
            chain->n--; /* no code there: the chain had left the frames */
        if (!entry)
            chain->end = CPROF_END_NO_MAPPING;
        else if (!fp || is_entry(entry, chain->pc[chain->n - 1]))
            chain->end = CPROF_END_ROOT;
        else if (fp < low || fp % 8)
            chain->end = CPROF_END_BAD_MEMORY;
        else if (!read_word(in, fp, &next) || !read_word(in, fp + 8, &ip))
            chain->end = fp - in->regs[CPROF_REG_RSP] < CPROF_STACK_REACH
                             ? CPROF_END_TRUNCATED
                             : CPROF_END_BAD_MEMORY;
        else if (!ip)
            chain->end = CPROF_END_ROOT;
        else if (chain->n == CPROF_UNWIND_MAX_FRAMES)
            chain->end = CPROF_END_DEPTH;
        else {
            chain->pc[chain->n++] = ip - 1;
            low = fp + 16;
            fp = next;
            continue;
        }
        return;
    }
}

const struct cprof_unwind_ops cprof_unwind_fp = {
    .name = "fp",
    .needs_stack = true,
    .create = create,
    .destroy = destroy,
    .flush = destroy,
    .unwind = unwind,
};
