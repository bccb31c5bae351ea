/* fuzz_elf: any bytes as an ELF file; everything that elf.h can be asked about it.
 *
 * The seeds, here and of fuzz_symbol, are two functions in a library of 3 KB:
 *     gcc -O1 -nostdlib -shared -fPIC -Wl,-z,noseparate-code -Wl,-z,max-page-size=256 ...
 * lazy.elf: -fcf-protection=none -Wl,-z,lazy; ibt.elf: -fcf-protection=full
 * -Wl,-z,ibtplt,--hash-style=sysv, strip -s; mini.elf: strip -s, .gnu_debugdata added. */
#include <stdlib.h>
#include <string.h>

#include "elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum; /* so that every byte handed out is read */

static void read_all(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; bytes && i < n; i++)
        sum += bytes[i];
}

static void ask_about(const struct cprof_elf *elf, uint64_t vaddr)
{
    uint64_t start, end;
    const uint8_t *at;
    size_t n;

    at = cprof_elf_at(elf, vaddr, &n);
    if (at)
        read_all(at, n);
    if (cprof_elf_fde_range(elf, vaddr, &start, &end) && (vaddr < start || vaddr >= end))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_elf_unwind unwind;
    struct cprof_elf *elf;
    uint8_t *copy = malloc(size + 1);
    const uint8_t *id;
    size_t n;

    memcpy(copy, data, size);
    if (cprof_elf_open_bytes(copy, size, "fuzz", &elf, NULL) < 0)
        return 0;
    id = cprof_elf_build_id(elf, &n);
    read_all(id, n);
    for (size_t i = 0; i < cprof_elf_n_sections(elf); i++) {
        const struct cprof_elf_section *section = cprof_elf_section(elf, i);
        sum += strlen(section->name);
        if (i < 64)
            read_all(section->bytes, section->bytes ? section->size : 0);
    }
    cprof_elf_find(elf, ".text");
    if (cprof_elf_unwind(elf, &unwind)) {
        ask_about(elf, unwind.hdr_vaddr);
        ask_about(elf, unwind.eh_frame_vaddr);
    }
    for (uint64_t offset = 0; offset < size; offset += 1 + size / 16) {
        uint64_t vaddr;
        if (cprof_elf_vaddr_of(elf, offset, &vaddr))
            ask_about(elf, vaddr);
    }
    cprof_elf_unref(elf);
    return 0;
}
