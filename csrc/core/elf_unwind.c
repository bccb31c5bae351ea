/* The unwind tables of a file: .eh_frame_hdr and the FDEs it points to. */
#include "elf_internal.h"

#include <stdlib.h>
#include <string.h>

#include "elf_cfi.h"

/* Bytes of one value in the search table, 0 where it cannot be indexed. */
static size_t format_size(uint8_t encoding)
{
    switch (encoding == PE_OMIT ? PE_OMIT : encoding & PE_FORMAT) {
    case PE_UDATA2:
    case PE_SDATA2:
        return 2;
    case PE_UDATA4:
    case PE_SDATA4:
        return 4;
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return 8;
    }
    return 0;
}

static void read_header(const struct cprof_elf *elf, struct cprof_elf_tables *ret)
{
    struct cprof_elf_tables tables = {.is_there = true};
    struct cprof_elf_unwind *unwind = &tables.unwind;
    uint8_t pointer_encoding, count_encoding;
    const Elf64_Phdr *segment;
    struct cprof_cursor c = {0};
    size_t bytes, n, i = 0;

    while ((segment = cprof_elf_segment(elf, i)) && segment->p_type != PT_GNU_EH_FRAME)
        i++;
    if (!segment)
        return;
    c.at = cprof_elf_at(elf, segment->p_vaddr, &n);
    if (!c.at)
        return;
    c.end = c.at + (n < segment->p_filesz ? n : segment->p_filesz);
    c.bias = segment->p_vaddr - (uint64_t)(uintptr_t)c.at;
    unwind->hdr_vaddr = segment->p_vaddr;
    if (cprof_cursor_fixed(&c, 1) != 1)
        return;
    pointer_encoding = (uint8_t)cprof_cursor_fixed(&c, 1);
    count_encoding = (uint8_t)cprof_cursor_fixed(&c, 1);
    tables.table_encoding = (uint8_t)cprof_cursor_fixed(&c, 1);
    unwind->eh_frame_vaddr =
        cprof_cursor_pointer(&c, pointer_encoding, unwind->hdr_vaddr);
    if (c.is_bad)
        return;
    if (count_encoding != PE_OMIT)
        unwind->n_fdes = cprof_cursor_pointer(&c, count_encoding, unwind->hdr_vaddr);
    if (c.is_bad)
        return;
    unwind->table_vaddr = cprof_cursor_vaddr(&c);
    bytes = format_size(tables.table_encoding) * 2;
    if (!bytes)
        unwind->n_fdes = 0;
    else if (unwind->n_fdes > cprof_cursor_left(&c) / bytes)
        unwind->n_fdes = cprof_cursor_left(&c) / bytes;
    unwind->is_table_usable =
        tables.table_encoding == (PE_DATAREL | PE_SDATA4) && unwind->n_fdes;
    *ret = tables;
}

bool cprof_elf_unwind(const struct cprof_elf *elf, struct cprof_elf_unwind *ret)
{
    const struct cprof_elf_tables *tables = cprof_elf_tables(elf);

    if (tables->is_there)
        *ret = tables->unwind;
    return tables->is_there;
}

/* What .eh_frame_hdr would have said. */
static void make_table(const struct cprof_elf *elf, struct cprof_elf_tables *ret)
{
    const struct cprof_elf_section *section = cprof_elf_find(elf, ".eh_frame");
    struct cprof_cfi_pair *pairs;
    struct cprof_cfi cfi;
    uint64_t base;
    size_t n;

    if (!section || !section->bytes || !section->vaddr)
        return;
    base = section->vaddr;
    cfi = cprof_cfi_of(elf, base, base);
    if (cprof_cfi_pairs(&cfi, base, base + section->size, base, &pairs, &n, NULL) < 0 ||
        !n)
        return;
    ret->made = pairs;
    ret->is_there = true;
    ret->table_encoding = PE_DATAREL | PE_SDATA4;
    ret->unwind = (struct cprof_elf_unwind){.hdr_vaddr = base,
                                            .eh_frame_vaddr = base,
                                            .n_fdes = n,
                                            .is_table_usable = true,
                                            .made_table = (const int32_t *)pairs};
}

void cprof_elf_tables_read(const struct cprof_elf *elf, struct cprof_elf_tables *ret)
{
    read_header(elf, ret);
    if (!ret->is_there)
        make_table(elf, ret);
}

void cprof_elf_tables_deinit(struct cprof_elf_tables *tables)
{
    free(tables->made);
}

/* Value `i` of the table: FDE number i / 2, its start when even, its place when odd. */
static uint64_t table_value(const struct cprof_elf_tables *tables, const uint8_t *table,
                            size_t i)
{
    size_t size = format_size(tables->table_encoding);
    const uint8_t *at = table + i * size;
    struct cprof_cursor c = {.at = at,
                             .end = at + size,
                             .bias = tables->unwind.table_vaddr + i * size -
                                     (uint64_t)(uintptr_t)at};

    return cprof_cursor_pointer(&c, tables->table_encoding, tables->unwind.hdr_vaddr);
}

static bool read_fde(const struct cprof_elf *elf, uint64_t vaddr, struct cprof_fde *ret)
{
    const struct cprof_elf_unwind *unwind = &cprof_elf_tables(elf)->unwind;
    struct cprof_cfi cfi = cprof_cfi_of(elf, unwind->eh_frame_vaddr, unwind->hdr_vaddr);
    struct cprof_cfi_entry entry;
    struct cprof_cie cie;

    return cprof_cfi_entry(&cfi, vaddr, &entry) && !entry.is_cie &&
           cprof_cfi_cie(&cfi, entry.cie, &cie) && cprof_cfi_fde(&cfi, &entry, &cie, ret);
}

bool cprof_elf_fde_before(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                          uint64_t *end)
{
    const struct cprof_elf_tables *tables = cprof_elf_tables(elf);
    size_t low = 0, high = tables->unwind.n_fdes, n;
    const uint8_t *table;
    struct cprof_fde fde;

    if (!tables->is_there || !high)
        return false;
    table = tables->made ? (const uint8_t *)tables->made
                         : cprof_elf_at(elf, tables->unwind.table_vaddr, &n);
    if (!table)
        return false;
    while (low < high) { /* the first that begins after vaddr */
        size_t middle = low + (high - low) / 2;
        if (table_value(tables, table, 2 * middle) <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || !read_fde(elf, table_value(tables, table, 2 * low - 1), &fde) ||
        fde.start > vaddr)
        return false;
    *start = fde.start;
    *end = fde.end;
    return true;
}

bool cprof_elf_fde_range(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                         uint64_t *end)
{
    uint64_t first, last;

    if (!cprof_elf_fde_before(elf, vaddr, &first, &last) || vaddr >= last)
        return false;
    *start = first;
    *end = last;
    return true;
}
