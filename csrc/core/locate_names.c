/* locate_names.c - locations -> functions, once per distinct location, after the fact. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "demangle.h"
#include "locate.h"

enum { JIT_MAP_MAX = 256 << 20 };

/* The slot of a dso; NULL when out of memory. */
static struct cprof_locator_dso *slot_of(struct cprof_locator *l, uint32_t dso)
{
    while (l->names.n <= dso)
        if (cprof_vec_push(&l->names, (struct cprof_locator_dso){0}) < 0)
            return NULL;
    return &l->names.data[dso];
}

/* perf-PID.map as the process's own mount namespace has it, under the number that it has
 * there; else ours. */
static int read_jit_map(pid_t pid, char **text, size_t *n)
{
    char path[96];
    pid_t inner;

    if (cprof_proc_last_nspid(pid, &inner) == 0) {
        snprintf(path, sizeof(path), "/proc/%d/root/tmp/perf-%d.map", pid, inner);
        if (cprof_proc_read(path, JIT_MAP_MAX, text, n) == 0)
            return 0;
    }
    snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
    return cprof_proc_read(path, JIT_MAP_MAX, text, n);
}

static void keep_text(struct cprof_locator_dso *slot, pid_t pid)
{
    char *text;
    size_t n;

    if (read_jit_map(pid, &text, &n) < 0)
        return;
    free(slot->jit_text);
    slot->jit_text = text;
    slot->jit_text_n = n;
}

/* The process is about to go, and with it perhaps its files: keep its JIT map. */
void cprof_locator_keep_jit(struct cprof_locator *l, const struct cprof_process *process)
{
    struct cprof_locator_dso *slot;

    for (size_t i = 0; i < process->maps.entries.n; i++) {
        const struct cprof_maps_entry *entry = &process->maps.entries.data[i];
        if (entry->dso->kind != CPROF_DSO_ANON || entry->mapping == CPROF_MAP_NONE)
            continue;
        slot = slot_of(l, entry->dso->no);
        if (slot)
            keep_text(slot, process->pid);
        return;
    }
}

static int open_jit(struct cprof_locator_dso *slot, const struct cprof_dso *dso)
{
    int r;

    keep_text(slot, dso->pid);
    slot->is_jit = slot->jit_text != NULL;
    r = cprof_symbols_create_jit(slot->jit_text ? slot->jit_text : "",
                                 slot->jit_text ? slot->jit_text_n : 0, &slot->symbols);
    return r;
}

static int open_symbols(struct cprof_locator_dso *slot, const struct cprof_dso *dso)
{
    if (dso->kind == CPROF_DSO_KERNEL)
        return cprof_symbols_create_kernel(&slot->symbols);
    if (dso->kind == CPROF_DSO_ANON)
        return open_jit(slot, dso);
    return cprof_symbols_create_elf(dso->elf, dso->root, dso->path, dso->build_id,
                                    dso->build_id_n, &slot->symbols);
}

/* A location's address in the space of its symbol table. */
static uint64_t symbol_address(const struct cprof_dso *dso,
                               const struct cprof_mapping *mapping, uint64_t address)
{
    uint64_t offset = address - mapping->start + mapping->offset, vaddr;

    if (dso->kind == CPROF_DSO_KERNEL || dso->kind == CPROF_DSO_ANON)
        return address;
    if (dso->elf && cprof_elf_vaddr_of(dso->elf, offset, &vaddr))
        return vaddr;
    return offset; /* without the file: linkers lay code out so, as a rule */
}

static int add_function(struct cprof_locator *l, const char *name, uint32_t module,
                        uint32_t *ret)
{
    struct cprof_function function = {.module = module};
    _cleanup_free_ char *readable = NULL;
    int r = cprof_demangle(name, &readable);

    if (r == 0)
        r = cprof_stacks_string(l->stacks, readable ? readable : name, &function.name);
    if (r == 0)
        r = cprof_stacks_string(l->stacks, name, &function.system_name);
    return r < 0 ? r : cprof_stacks_function(l->stacks, &function, ret);
}

/* The function of a symbol: demangled and interned once. */
static int function_of(struct cprof_locator *l, uint32_t dso,
                       const struct cprof_symbol *symbol, uint32_t module, uint32_t *ret)
{
    struct cprof_locator_function made = {.start = symbol->start, .dso = dso};
    uint64_t key = cprof_hash_mix(symbol->start) ^ cprof_hash_mix(dso + 1);
    bool is_shared = symbol->source != CPROF_SYMBOL_UNKNOWN;
    size_t at = 0;
    uint32_t i;
    int r;

    while (is_shared &&
           (i = cprof_map_next(&l->function_ids, key, &at)) != CPROF_MAP_NONE) {
        if (l->functions.data[i].start == symbol->start &&
            l->functions.data[i].dso == dso) {
            *ret = l->functions.data[i].function;
            return 0;
        }
    }
    r = add_function(l, symbol->name, module, &made.function);
    if (r < 0)
        return r;
    *ret = made.function;
    if (!is_shared)
        return 0;
    r = cprof_vec_push(&l->functions, made);
    return r < 0 ? r : cprof_map_add(&l->function_ids, key, (uint32_t)l->functions.n - 1);
}

static int unknown_function(struct cprof_locator *l, uint32_t *ret)
{
    struct cprof_function function = {0};
    int r = cprof_stacks_string(l->stacks, "[unknown]", &function.name);

    function.system_name = function.name;
    return r < 0 ? r : cprof_stacks_function(l->stacks, &function, ret);
}

static int name_location(struct cprof_locator *l, uint32_t i)
{
    const struct cprof_location *location = &l->stacks->locations.data[i];
    struct cprof_line line = {0};
    struct cprof_mapping *mapping;
    struct cprof_locator_dso *slot;
    struct cprof_symbol symbol;
    struct cprof_dso *dso;
    int r = 0;

    if (location->mapping == CPROF_NONE) {
        r = unknown_function(l, &line.function);
        return r < 0 ? r : cprof_stacks_set_lines(l->stacks, i, &line, 1);
    }
    mapping = &l->stacks->mappings.data[location->mapping];
    dso = l->mappings.data[location->mapping].dso;
    slot = slot_of(l, dso->no);
    if (!slot)
        return -ENOMEM;
    if (!slot->symbols)
        r = open_symbols(slot, dso);
    if (r == 0 && slot->is_jit)
        r = cprof_stacks_string(l->stacks, "[jit]", &mapping->module);
    if (r < 0)
        return r;
    cprof_symbols_find(slot->symbols, symbol_address(dso, mapping, location->address),
                       &symbol);
    mapping->has_functions |= symbol.source != CPROF_SYMBOL_UNKNOWN;
    r = function_of(l, dso->no, &symbol, mapping->module, &line.function);
    return r < 0 ? r : cprof_stacks_set_lines(l->stacks, i, &line, 1);
}

int cprof_locator_name_all(struct cprof_locator *l)
{
    /* a compiler of machine code goes on writing its map: read it anew each time */
    for (size_t i = 0; i < l->names.n; i++) {
        struct cprof_locator_dso *slot = &l->names.data[i];
        if (slot->symbols && l->dsos->all.data[i]->kind == CPROF_DSO_ANON) {
            cprof_symbols_destroy(slot->symbols);
            slot->symbols = NULL;
        }
    }
    for (; l->n_named < l->stacks->locations.n; l->n_named++) {
        int r;
        if (cprof_stacks_pseudo_of(l->stacks, (uint32_t)l->n_named) >= 0)
            continue;
        r = name_location(l, (uint32_t)l->n_named);
        if (r < 0)
            return r;
    }
    return l->wants_lines ? cprof_locate_lines(&l->liner, l->stacks, NULL) : 0;
}
