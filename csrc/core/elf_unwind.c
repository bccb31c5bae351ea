/* The unwind tables of a file: .eh_frame_hdr and the FDEs it points to. */
#include "elf_internal.h"

#include <stdlib.h>
#include <string.h>

#include "vec.h"

/* How a pointer is written: the low four bits are its format, the next three what it is
 * relative to (LSB Core, "DWARF Extensions"). */
enum {
    PE_ABSPTR = 0x00,
    PE_ULEB128 = 0x01,
    PE_UDATA2 = 0x02,
    PE_UDATA4 = 0x03,
    PE_UDATA8 = 0x04,
    PE_SLEB128 = 0x09,
    PE_SDATA2 = 0x0a,
    PE_SDATA4 = 0x0b,
    PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_INDIRECT = 0x80,
    PE_OMIT = 0xff,
    PE_FORMAT = 0x0f,
    PE_BASE = 0x70,
};

enum { AUGMENTATION_MAX = 64, FDES_MAX = 16 << 20 };

/* Bytes at a virtual address, eaten from the front; nothing is read past the end. */
struct cursor {
    const uint8_t *at;
    size_t n;
    uint64_t vaddr;
    bool is_bad;
};

static struct cursor cursor_at(const struct cprof_elf *elf, uint64_t vaddr)
{
    struct cursor c = {.vaddr = vaddr};

    c.at = cprof_elf_at(elf, vaddr, &c.n);
    c.is_bad = !c.at;
    return c;
}

static void skip(struct cursor *c, uint64_t n)
{
    if (c->is_bad || n > c->n) {
        c->is_bad = true;
        return;
    }
    c->at += n;
    c->n -= n;
    c->vaddr += n;
}

static uint64_t read_fixed(struct cursor *c, size_t n)
{
    const uint8_t *at = c->at;
    uint64_t value = 0;

    skip(c, n);
    if (!c->is_bad)
        memcpy(&value, at, n);
    return value;
}

static uint64_t read_leb(struct cursor *c, bool is_signed)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;

    do {
        byte = read_fixed(c, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !c->is_bad);
    if (is_signed && byte & 0x40 && shift < 64)
        value |= -(1ull << shift);
    return value;
}

static uint64_t read_format(struct cursor *c, uint8_t encoding)
{
    switch (encoding & PE_FORMAT) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return read_fixed(c, 8);
    case PE_ULEB128:
        return read_leb(c, false);
    case PE_SLEB128:
        return read_leb(c, true);
    case PE_UDATA2:
        return read_fixed(c, 2);
    case PE_SDATA2:
        return (uint64_t)(int16_t)read_fixed(c, 2);
    case PE_UDATA4:
        return read_fixed(c, 4);
    case PE_SDATA4:
        return (uint64_t)(int32_t)read_fixed(c, 4);
    }
    c->is_bad = true;
    return 0;
}

/* Text-relative, function-relative, aligned and indirect pointers need a running process
 * or are not written for code by any linker: they are refused. */
static uint64_t read_pointer(struct cursor *c, uint8_t encoding, uint64_t data_base)
{
    uint64_t base = 0;

    switch (encoding & (PE_BASE | PE_INDIRECT)) {
    case 0:
        break;
    case PE_PCREL:
        base = c->vaddr;
        break;
    case PE_DATAREL:
        base = data_base;
        break;
    default:
        c->is_bad = true;
    }
    return base + read_format(c, encoding);
}

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
    struct cursor c = {0};
    size_t bytes, i = 0;

    while ((segment = cprof_elf_segment(elf, i)) && segment->p_type != PT_GNU_EH_FRAME)
        i++;
    if (!segment)
        return;
    c = cursor_at(elf, segment->p_vaddr);
    if (c.n > segment->p_filesz)
        c.n = segment->p_filesz;
    unwind->hdr_vaddr = c.vaddr;
    if (read_fixed(&c, 1) != 1)
        return;
    pointer_encoding = (uint8_t)read_fixed(&c, 1);
    count_encoding = (uint8_t)read_fixed(&c, 1);
    tables.table_encoding = (uint8_t)read_fixed(&c, 1);
    unwind->eh_frame_vaddr = read_pointer(&c, pointer_encoding, unwind->hdr_vaddr);
    if (c.is_bad)
        return;
    if (count_encoding != PE_OMIT)
        unwind->n_fdes = read_pointer(&c, count_encoding, unwind->hdr_vaddr);
    if (c.is_bad)
        return;
    unwind->table_vaddr = c.vaddr;
    bytes = format_size(tables.table_encoding) * 2;
    if (!bytes)
        unwind->n_fdes = 0;
    else if (unwind->n_fdes > c.n / bytes)
        unwind->n_fdes = c.n / bytes;
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

/* How the FDEs of the CIE at `vaddr` write their addresses. */
static bool cie_encoding(const struct cprof_elf *elf, uint64_t vaddr, uint8_t *ret)
{
    struct cursor c = cursor_at(elf, vaddr);
    const char *augmentation;
    uint64_t length = read_fixed(&c, 4), version;
    bool is_64 = length == UINT32_MAX;

    if (is_64)
        read_fixed(&c, 8);
    if (read_fixed(&c, is_64 ? 8 : 4)) /* not a CIE */
        return false;
    version = read_fixed(&c, 1);
    augmentation = (const char *)c.at;
    while (read_fixed(&c, 1) && (const char *)c.at - augmentation < AUGMENTATION_MAX)
        ;
    if (c.is_bad || c.at[-1] || (version != 1 && version != 3 && version != 4))
        return false;
    *ret = PE_ABSPTR;
    if (augmentation[0] != 'z')
        return !augmentation[0];
    if (version == 4)
        skip(&c, 2); /* sizes of an address and of a segment selector */
    read_leb(&c, false);
    read_leb(&c, true);
    if (version == 1)
        skip(&c, 1);
    else
        read_leb(&c, false);
    read_leb(&c, false);
    for (const char *a = augmentation + 1; *a && !c.is_bad; a++) {
        if (*a == 'R')
            *ret = (uint8_t)read_fixed(&c, 1);
        else if (*a == 'L')
            skip(&c, 1);
        else if (*a == 'P')
            read_format(&c, (uint8_t)read_fixed(&c, 1));
        else if (*a != 'S' && *a != 'B' && *a != 'G')
            break;
    }
    return !c.is_bad;
}

static bool read_fde(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                     uint64_t *end)
{
    struct cursor c = cursor_at(elf, vaddr);
    uint64_t length = read_fixed(&c, 4), cie_at, back, first, size;
    bool is_64 = length == UINT32_MAX;
    uint8_t encoding;

    if (is_64)
        length = read_fixed(&c, 8);
    if (!length || length > c.n)
        return false;
    c.n = length;
    cie_at = c.vaddr;
    back = read_fixed(&c, is_64 ? 8 : 4);
    if (c.is_bad || !back || !cie_encoding(elf, cie_at - back, &encoding))
        return false;
    first = read_pointer(&c, encoding, cprof_elf_tables(elf)->unwind.hdr_vaddr);
    size = read_format(&c, encoding & PE_FORMAT);
    if (c.is_bad || size > UINT64_MAX - first)
        return false;
    *start = first;
    *end = first + size;
    return true;
}

/* One entry of .eh_frame at `vaddr`: *next is the one after it. false at the end. */
static bool next_entry(const struct cprof_elf *elf, uint64_t vaddr, uint64_t end,
                       uint64_t *next)
{
    struct cursor c = cursor_at(elf, vaddr);
    uint64_t length = read_fixed(&c, 4);

    if (length == UINT32_MAX)
        length = read_fixed(&c, 8);
    if (c.is_bad || !length || length > c.n || vaddr >= end)
        return false;
    *next = c.vaddr + length;
    return true;
}

struct pair {
    int32_t start, fde;
};

static int by_start(const void *a, const void *b)
{
    int32_t x = ((const struct pair *)a)->start, y = ((const struct pair *)b)->start;
    return (x > y) - (x < y);
}

/* What .eh_frame_hdr would have said. */
static void make_table(const struct cprof_elf *elf, struct cprof_elf_tables *ret)
{
    const struct cprof_elf_section *section = cprof_elf_find(elf, ".eh_frame");
    CPROF_VEC(struct pair) pairs = {0};
    uint64_t base, at, next, start, end;

    if (!section || !section->bytes || !section->vaddr)
        return;
    base = section->vaddr;
    for (at = base; next_entry(elf, at, base + section->size, &next); at = next) {
        struct pair pair = {.fde = (int32_t)(at - base)};
        if (!read_fde(elf, at, &start, &end) || start == end)
            continue;
        pair.start = (int32_t)(start - base);
        if (base + (uint64_t)(int64_t)pair.start != start || at - base > INT32_MAX)
            continue;
        if (pairs.n == FDES_MAX || cprof_vec_push(&pairs, pair) < 0)
            break;
    }
    if (!pairs.n)
        return;
    qsort(pairs.data, pairs.n, sizeof(*pairs.data), by_start);
    ret->made = (int32_t *)pairs.data;
    ret->is_there = true;
    ret->table_encoding = PE_DATAREL | PE_SDATA4;
    ret->unwind = (struct cprof_elf_unwind){.hdr_vaddr = base,
                                            .eh_frame_vaddr = base,
                                            .n_fdes = pairs.n,
                                            .is_table_usable = true,
                                            .made_table = ret->made};
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
    struct cursor c = {.at = table + i * size,
                       .n = size,
                       .vaddr = tables->unwind.table_vaddr + i * size};

    return read_pointer(&c, tables->table_encoding, tables->unwind.hdr_vaddr);
}

bool cprof_elf_fde_before(const struct cprof_elf *elf, uint64_t vaddr, uint64_t *start,
                          uint64_t *end)
{
    const struct cprof_elf_tables *tables = cprof_elf_tables(elf);
    size_t low = 0, high = tables->unwind.n_fdes, n;
    const uint8_t *table;

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
    return low && read_fde(elf, table_value(tables, table, 2 * low - 1), start, end) &&
           *start <= vaddr;
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
