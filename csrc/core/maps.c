#include "maps.h"

#include <errno.h>
#include <string.h>

void cprof_maps_deinit(struct cprof_maps *maps)
{
    cprof_vec_free(&maps->entries);
}

struct cprof_maps_entry cprof_maps_entry_of(const struct cprof_mmap *mmap,
                                            struct cprof_dso *dso)
{
    struct cprof_maps_entry entry = {
        .start = mmap->start,
        .end = mmap->start + mmap->length,
        .offset = mmap->offset,
        .dso = dso,
        .mapping = CPROF_MAP_NONE,
    };
    uint64_t vaddr;

    if (dso->elf && cprof_elf_vaddr_of(dso->elf, mmap->offset, &vaddr))
        entry.bias = mmap->start - vaddr;
    return entry;
}

/* The first entry that ends after `address`. */
static size_t first_after(const struct cprof_maps *maps, uint64_t address)
{
    size_t low = 0, high = maps->entries.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (maps->entries.data[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Remove entries [from, to) and put `n` others in their place; room was reserved. */
static void splice(struct cprof_maps *maps, size_t from, size_t to,
                   const struct cprof_maps_entry *others, size_t n)
{
    struct cprof_maps_entry *data = maps->entries.data;

    memmove(data + from + n, data + to, (maps->entries.n - to) * sizeof(*data));
    memcpy(data + from, others, n * sizeof(*data));
    maps->entries.n = maps->entries.n - (to - from) + n;
}

int cprof_maps_insert(struct cprof_maps *maps, const struct cprof_maps_entry *entry)
{
    struct cprof_maps_entry parts[3], *old;
    size_t from, to, n = 0;

    if (entry->end <= entry->start)
        return -EINVAL;
    if (maps->entries.n >= CPROF_MAPS_MAX)
        return -E2BIG;
    if (cprof_vec_reserve(&maps->entries, 2) < 0)
        return -ENOMEM;
    from = to = first_after(maps, entry->start);
    while (to < maps->entries.n && maps->entries.data[to].start < entry->end)
        to++;
    if (from < to && maps->entries.data[from].start < entry->start) {
        parts[n] = maps->entries.data[from]; /* what is left of it below */
        parts[n++].end = entry->start;
    }
    parts[n++] = *entry;
    if (from < to && maps->entries.data[to - 1].end > entry->end) {
        old = &maps->entries.data[to - 1]; /* what is left of it above */
        parts[n] = *old;
        parts[n].offset += entry->end - old->start;
        parts[n].start = entry->end;
        parts[n++].mapping = CPROF_MAP_NONE;
    }
    splice(maps, from, to, parts, n);
    return from < to;
}

const struct cprof_maps_entry *cprof_maps_find(const struct cprof_maps *maps,
                                               uint64_t address)
{
    size_t i = first_after(maps, address);

    if (i < maps->entries.n && maps->entries.data[i].start <= address)
        return &maps->entries.data[i];
    return NULL;
}

static bool holds(const struct cprof_maps_entry *entry, uint64_t address)
{
    const struct cprof_dso *dso = entry->dso;

    return dso->elf && address >= entry->bias + dso->low &&
           address < entry->bias + dso->high;
}

const struct cprof_maps_entry *cprof_maps_find_image(const struct cprof_maps *maps,
                                                     uint64_t address)
{
    size_t i = first_after(maps, address);

    if (i < maps->entries.n && holds(&maps->entries.data[i], address))
        return &maps->entries.data[i];
    if (i > 0 && holds(&maps->entries.data[i - 1], address))
        return &maps->entries.data[i - 1];
    return NULL;
}

int cprof_maps_copy(const struct cprof_maps *from, struct cprof_maps *to)
{
    if (cprof_vec_reserve(&to->entries, from->entries.n) < 0)
        return -ENOMEM;
    if (from->entries.n)
        memcpy(to->entries.data, from->entries.data,
               from->entries.n * sizeof(*from->entries.data));
    to->entries.n = from->entries.n;
    return 0;
}
