/* fuzz_maps: lines of /proc/PID/maps -> an address space; what is found must hold. */
#include <stdlib.h>
#include <string.h>

#include "maps.h"
#include "proc.h"

static struct cprof_dso dso;

static void check(const struct cprof_maps *maps)
{
    for (size_t i = 0; i < maps->entries.n; i++) {
        const struct cprof_maps_entry *entry = &maps->entries.data[i];
        if (entry->start >= entry->end || cprof_maps_find(maps, entry->start) != entry ||
            cprof_maps_find(maps, entry->end - 1) != entry)
            abort();
        if (i && maps->entries.data[i - 1].end > entry->start)
            abort();
        cprof_maps_find_image(maps, entry->start);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_maps maps = {0};
    struct cprof_mmap mmap;
    char *text = malloc(size + 1), *line, *rest = text;

    memcpy(text, data, size);
    text[size] = '\0';
    for (int i = 0; i < 300 && rest; i++) {
        size_t n = strcspn(rest, "\n");
        bool is_last = !rest[n];
        rest[n] = '\0';
        line = rest;
        rest = is_last ? NULL : rest + n + 1;
        if (!cprof_proc_parse_map(line, &mmap))
            continue;
        struct cprof_maps_entry entry = cprof_maps_entry_of(&mmap, &dso);
        cprof_maps_insert(&maps, &entry);
    }
    check(&maps);
    cprof_maps_deinit(&maps);
    free(text);
    return 0;
}
