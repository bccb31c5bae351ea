#include "locate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cprof_locator_init(struct cprof_locator *l, struct cprof_stacks *stacks,
                       struct cprof_dsos *dsos)
{
    memset(l, 0, sizeof(*l));
    l->stacks = stacks;
    l->dsos = dsos;
    l->kernel_mapping = CPROF_NONE;
    l->n_cache = CPROF_LOCATOR_CACHE_FIRST;
    l->cache = calloc(l->n_cache, sizeof(*l->cache));
    return l->cache ? 0 : -ENOMEM;
}

void cprof_locator_deinit(struct cprof_locator *l)
{
    for (size_t i = 0; i < l->names.n; i++) {
        cprof_symbols_destroy(l->names.data[i].symbols);
        free(l->names.data[i].jit_text);
    }
    cprof_vec_free(&l->names);
    cprof_vec_free(&l->mappings);
    cprof_map_deinit(&l->mapping_ids);
    cprof_vec_free(&l->functions);
    cprof_map_deinit(&l->function_ids);
    cprof_liner_deinit(&l->liner);
    free(l->cache);
    l->cache = NULL;
}

int cprof_locate_mapping(struct cprof_locator *l, struct cprof_maps_entry *entry)
{
    bool is_file =
        entry->dso->kind == CPROF_DSO_FILE || entry->dso->kind == CPROF_DSO_VDSO;
    struct cprof_locator_mapping wanted = {
        entry->dso,
        is_file ? entry->offset : entry->start, /* without a file only the place tells */
        entry->end - entry->start,
    };
    uint64_t key = cprof_hash_mix(entry->dso->no) ^ cprof_hash_mix(wanted.offset + 1) ^
                   cprof_hash_mix(wanted.length + 2);
    struct cprof_mapping mapping = {.start = entry->start,
                                    .limit = entry->end,
                                    .offset = entry->offset,
                                    .elf = entry->dso->elf};
    char build_id[2 * CPROF_BUILD_ID_MAX + 1];
    const char *path = entry->dso->path, *module = strrchr(path, '/');
    uint32_t i;
    size_t at = 0;
    int r;

    while ((i = cprof_map_next(&l->mapping_ids, key, &at)) != CPROF_MAP_NONE) {
        const struct cprof_locator_mapping *known = &l->mappings.data[i];
        if (known->dso == wanted.dso && known->offset == wanted.offset &&
            known->length == wanted.length) {
            entry->mapping = i;
            entry->shift = l->stacks->mappings.data[i].start - entry->start;
            return 0;
        }
    }
    cprof_build_id_hex(entry->dso->build_id, entry->dso->build_id_n, build_id);
    r = cprof_stacks_string(l->stacks, path, &mapping.file);
    if (r == 0)
        r = cprof_stacks_string(
            l->stacks, entry->dso->kind == CPROF_DSO_FILE && module ? module + 1 : path,
            &mapping.module);
    if (r == 0)
        r = cprof_stacks_string(l->stacks, build_id, &mapping.build_id);
    if (r == 0)
        r = cprof_stacks_string(l->stacks, entry->dso->root, &mapping.root);
    if (r == 0)
        r = cprof_vec_push(&l->mappings, wanted);
    if (r == 0)
        r = cprof_stacks_add_mapping(l->stacks, &mapping, &i);
    if (r == 0)
        r = cprof_map_add(&l->mapping_ids, key, i);
    if (r < 0)
        return r;
    entry->mapping = i;
    entry->shift = 0;
    return 0;
}

int cprof_locate_kernel(struct cprof_locator *l, uint64_t pc, uint32_t *ret)
{
    struct cprof_maps_entry entry = {
        .start = 0xffff800000000000ull, .end = UINT64_MAX, .mapping = CPROF_MAP_NONE};
    int r;

    if (l->kernel_mapping == CPROF_NONE) {
        r = cprof_dsos_kernel(l->dsos, &entry.dso);
        if (r == 0)
            r = cprof_locate_mapping(l, &entry);
        if (r < 0)
            return r;
        l->kernel_mapping = entry.mapping;
    }
    return cprof_stacks_location(l->stacks, pc, l->kernel_mapping, ret);
}

static struct cprof_locator_cached *slot_of(const struct cprof_locator *l, uint64_t pc,
                                            uint32_t serial)
{
    return &l->cache[cprof_hash_mix(pc ^ serial) & (l->n_cache - 1)];
}

void cprof_locate_ahead(const struct cprof_locator *l,
                        const struct cprof_process *process, const uint64_t *pcs,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(slot_of(l, pcs[i], process->serial));
}

static void count_miss(struct cprof_locator *l)
{
    struct cprof_locator_cached *cache, *old = l->cache;
    size_t n = l->n_cache;

    if (++l->n_missed < n / 2 || n >= CPROF_LOCATOR_CACHE_MOST)
        return;
    l->n_missed = 0;
    cache = calloc(n * 4, sizeof(*cache));
    if (!cache)
        return;
    l->cache = cache;
    l->n_cache = n * 4;
    for (size_t i = 0; i < n; i++)
        *slot_of(l, old[i].pc, old[i].serial) = old[i];
    free(old);
}

int cprof_locate_user(struct cprof_locator *l, struct cprof_process *process, uint64_t pc,
                      uint32_t *ret)
{
    struct cprof_locator_cached *cached = slot_of(l, pc, process->serial);
    struct cprof_maps_entry *entry;
    int r;

    if (cached->pc == pc && cached->serial == process->serial) {
        *ret = cached->location;
        return 0;
    }
    entry = (struct cprof_maps_entry *)cprof_maps_find(&process->maps, pc);
    if (!entry)
        return cprof_stacks_location(l->stacks, pc, CPROF_NONE, ret);
    if (entry->mapping == CPROF_MAP_NONE) {
        r = cprof_locate_mapping(l, entry);
        if (r < 0)
            return r;
    }
    r = cprof_stacks_location(l->stacks, pc + entry->shift, entry->mapping, ret);
    count_miss(l);
    if (r == 0)
        *slot_of(l, pc, process->serial) =
            (struct cprof_locator_cached){pc, process->serial, *ret};
    return r;
}
