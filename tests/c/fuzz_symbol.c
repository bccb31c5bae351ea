/* fuzz_symbol: any bytes as an ELF file whose symbols are wanted, and as a JIT map. */
#include <stdlib.h>
#include <string.h>

#include "symbol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name for every address, and where the size is known one that covers it. */
static void find(struct cprof_symbols *symbols, uint64_t address)
{
    struct cprof_symbol found;

    cprof_symbols_find(symbols, address, &found);
    if (!found.name || !strlen(found.name) || found.start > address ||
        (found.size && address - found.start >= found.size))
        abort();
}

static void find_many(struct cprof_symbols *symbols, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 8 <= size && i < 4096; i += 8) {
        uint64_t address;
        memcpy(&address, data + i, sizeof(address));
        find(symbols, address);
        find(symbols, address + 1);
        find(symbols, address & 0xffffff);
    }
    find(symbols, 0);
    find(symbols, UINT64_MAX);
}

static void try_elf(const uint8_t *data, size_t size)
{
    struct cprof_symbols *symbols;
    struct cprof_elf *elf;
    uint8_t *copy = malloc(size + 1);

    memcpy(copy, data, size);
    if (cprof_elf_open_bytes(copy, size, "fuzz", &elf, NULL) < 0)
        return;
    /* a build id of one byte finds no debug file of this machine */
    if (cprof_symbols_create_elf(elf, "", "fuzz", (const uint8_t *)"x", 1, &symbols) ==
        0) {
        find_many(symbols, data, size);
        cprof_symbols_destroy(symbols);
    }
    cprof_elf_unref(elf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_symbols *symbols;

    try_elf(data, size);
    if (cprof_symbols_create_jit((const char *)data, size, &symbols) == 0) {
        find_many(symbols, data, size);
        cprof_symbols_destroy(symbols);
    }
    return 0;
}
