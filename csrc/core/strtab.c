#include "strtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vec.h"

void cprof_strtab_deinit(struct cprof_strtab *tab)
{
    free(tab->text);
    free(tab->offsets);
    cprof_map_deinit(&tab->ids);
    memset(tab, 0, sizeof(*tab));
}

static int append(struct cprof_strtab *tab, const char *text, size_t n, uint64_t hash)
{
    size_t own =
        (uintptr_t)text - (uintptr_t)tab->text; /* where, if it is from the table */
    bool is_own = tab->text && own < tab->text_n;
    int r;

    if (tab->text_n + n + 1 > UINT32_MAX)
        return -EOVERFLOW;
    if (cprof_vec_grow(&tab->text, tab->text_n, &tab->text_capacity, n + 1, 1) < 0 ||
        cprof_vec_grow(&tab->offsets, tab->n, &tab->offsets_capacity, 1,
                       sizeof(*tab->offsets)) < 0)
        return -ENOMEM;
    r = cprof_map_add(&tab->ids, hash, (uint32_t)tab->n);
    if (r < 0)
        return r;
    tab->offsets[tab->n++] = (uint32_t)tab->text_n;
    memcpy(tab->text + tab->text_n, is_own ? tab->text + own : text, n);
    tab->text[tab->text_n + n] = '\0';
    tab->text_n += n + 1;
    return 0;
}

int cprof_strtab_add_n(struct cprof_strtab *tab, const char *text, size_t n,
                       uint32_t *ret)
{
    size_t at = 0;
    uint64_t hash;
    uint32_t id;
    int r;

    if (!tab->n) {
        r = append(tab, "", 0, cprof_hash_bytes("", 0));
        if (r < 0)
            return r;
    }
    n = strnlen(text, n < CPROF_STRTAB_MAX ? n : CPROF_STRTAB_MAX);
    hash = cprof_hash_bytes(text, n);
    while ((id = cprof_map_next(&tab->ids, hash, &at)) != CPROF_MAP_NONE) {
        const char *known = tab->text + tab->offsets[id];
        if (!strncmp(known, text, n) && !known[n])
            goto found;
    }
    id = (uint32_t)tab->n;
    r = append(tab, text, n, hash);
    if (r < 0)
        return r;
found:
    *ret = id;
    return 0;
}

int cprof_strtab_add(struct cprof_strtab *tab, const char *text, uint32_t *ret)
{
    return cprof_strtab_add_n(tab, text, CPROF_STRTAB_MAX, ret);
}

const char *cprof_strtab_get(const struct cprof_strtab *tab, uint32_t id)
{
    return id < tab->n ? tab->text + tab->offsets[id] : "";
}

int cprof_strtab_copy(const struct cprof_strtab *from, struct cprof_strtab *to)
{
    struct cprof_strtab copy = {0};

    if (from->n) {
        copy.text = malloc(from->text_n);
        copy.offsets = malloc(from->n * sizeof(*copy.offsets));
        if (!copy.text || !copy.offsets) {
            cprof_strtab_deinit(&copy);
            memset(to, 0, sizeof(*to));
            return -ENOMEM;
        }
        memcpy(copy.text, from->text, from->text_n);
        memcpy(copy.offsets, from->offsets, from->n * sizeof(*copy.offsets));
        copy.text_n = copy.text_capacity = from->text_n;
        copy.n = copy.offsets_capacity = from->n;
    }
    *to = copy;
    return 0;
}

int cprof_strtab_reopen(struct cprof_strtab *tab)
{
    int r = 0;

    cprof_map_clear(&tab->ids);
    for (size_t i = 0; i < tab->n && r == 0; i++) {
        const char *text = tab->text + tab->offsets[i];
        r = cprof_map_add(&tab->ids, cprof_hash_bytes(text, strlen(text)), (uint32_t)i);
    }
    return r;
}
