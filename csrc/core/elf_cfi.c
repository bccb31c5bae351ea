#include "elf_cfi.h"

#include <stdlib.h>

#include "elf_internal.h"
#include "vec.h"

enum { LEB_MAX = 16, AUGMENTATION_MAX = 64 }; /* bytes */

uint64_t cprof_cursor_long_leb(struct cprof_cursor *c, bool is_signed)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;

    do {
        byte = cprof_cursor_fixed(c, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && shift < 7 * LEB_MAX);
    if (byte & 0x80)
        cprof_cursor_fail(c);
    if (is_signed && byte & 0x40 && shift < 64)
        value |= -(1ull << shift);
    return value;
}

uint64_t cprof_cursor_format(struct cprof_cursor *c, uint8_t encoding)
{
    switch (encoding & PE_FORMAT) {
    case PE_ABSPTR:
    case PE_UDATA8:
    case PE_SDATA8:
        return cprof_cursor_fixed(c, 8);
    case PE_ULEB128:
        return cprof_cursor_uleb(c);
    case PE_SLEB128:
        return (uint64_t)cprof_cursor_sleb(c);
    case PE_UDATA2:
        return cprof_cursor_fixed(c, 2);
    case PE_SDATA2:
        return (uint64_t)(int16_t)cprof_cursor_fixed(c, 2);
    case PE_UDATA4:
        return cprof_cursor_fixed(c, 4);
    case PE_SDATA4:
        return (uint64_t)(int32_t)cprof_cursor_fixed(c, 4);
    }
    cprof_cursor_fail(c);
    return 0;
}

uint64_t cprof_cursor_pointer(struct cprof_cursor *c, uint8_t encoding,
                              uint64_t data_base)
{
    uint64_t base = 0;

    switch (encoding & (PE_BASE | PE_INDIRECT)) {
    case 0:
        break;
    case PE_PCREL:
        base = cprof_cursor_vaddr(c);
        break;
    case PE_DATAREL:
        base = data_base;
        break;
    default:
        cprof_cursor_fail(c);
    }
    return base + cprof_cursor_format(c, encoding);
}

/* Some tools write the frames of new code elsewhere and let one table point to both. A
 * file with more segments than that has been made to cost time. */
enum { SEGMENTS_MAX = 64 };

struct cprof_cfi cprof_cfi_of(const struct cprof_elf *elf, uint64_t vaddr,
                              uint64_t data_base)
{
    struct cprof_cfi cfi = {.vaddr = vaddr, .data_base = data_base};

    cfi.bytes = cprof_elf_at(elf, vaddr, &cfi.n);
    if (!cfi.bytes)
        cfi.n = 0;
    if (!cprof_elf_segment(elf, SEGMENTS_MAX))
        cfi.elf = elf;
    return cfi;
}

static struct cprof_cursor cursor_at(const struct cprof_cfi *cfi, uint64_t vaddr)
{
    struct cprof_cursor c = {0};
    size_t n = 0;

    if (vaddr - cfi->vaddr < cfi->n) {
        c.at = cfi->bytes + (vaddr - cfi->vaddr);
        n = cfi->n - (vaddr - cfi->vaddr);
    } else if (cfi->elf) {
        c.at = cprof_elf_at(cfi->elf, vaddr, &n);
    }
    if (!c.at)
        return (struct cprof_cursor){.is_bad = true};
    c.end = c.at + n;
    c.bias = vaddr - (uint64_t)(uintptr_t)c.at;
    return c;
}

bool cprof_cfi_entry(const struct cprof_cfi *cfi, uint64_t vaddr,
                     struct cprof_cfi_entry *ret)
{
    struct cprof_cursor c = cursor_at(cfi, vaddr);
    uint64_t length = cprof_cursor_fixed(&c, 4), id_at, id;
    bool is_64 = length == UINT32_MAX;

    if (is_64)
        length = cprof_cursor_fixed(&c, 8);
    if (!length || length > cprof_cursor_left(&c))
        return false;
    c.end = c.at + length;
    id_at = cprof_cursor_vaddr(&c);
    id = is_64 ? cprof_cursor_fixed(&c, 8) : cprof_cursor_fixed(&c, 4);
    if (c.is_bad)
        return false;
    ret->body = c;
    ret->next = id_at + length;
    if (cfi->is_debug_frame) {
        ret->is_cie = id == (is_64 ? UINT64_MAX : UINT32_MAX);
        ret->cie = cfi->vaddr + id;
    } else { /* how far back the CIE is */
        ret->is_cie = !id;
        ret->cie = id_at - id;
    }
    return true;
}

/* What the letters of the augmentation stand for. Unknown ones end what can be read of
 * it, which its length lets us pass over. */
static void read_augmentation(struct cprof_cursor *c, const char *letters,
                              struct cprof_cie *cie)
{
    uint64_t n = cprof_cursor_uleb(c);
    struct cprof_cursor data = *c;

    cprof_cursor_skip(c, n);
    data.end = c->at;
    for (; *letters && !data.is_bad; letters++) {
        if (*letters == 'R')
            cie->encoding = (uint8_t)cprof_cursor_fixed(&data, 1);
        else if (*letters == 'L')
            cprof_cursor_skip(&data, 1);
        else if (*letters == 'P')
            cprof_cursor_format(&data, (uint8_t)cprof_cursor_fixed(&data, 1));
        else if (*letters == 'S')
            cie->is_signal = true;
        else if (*letters != 'B' && *letters != 'G')
            break;
    }
    if (data.is_bad)
        cprof_cursor_fail(c);
}

bool cprof_cfi_cie(const struct cprof_cfi *cfi, uint64_t vaddr, struct cprof_cie *ret)
{
    struct cprof_cie cie = {.encoding = PE_ABSPTR};
    struct cprof_cfi_entry entry;
    struct cprof_cursor *c = &cie.program;
    const char *letters;
    uint64_t version;

    if (!cprof_cfi_entry(cfi, vaddr, &entry) || !entry.is_cie)
        return false;
    *c = entry.body;
    version = cprof_cursor_fixed(c, 1);
    letters = (const char *)c->at;
    while (cprof_cursor_fixed(c, 1) && (const char *)c->at - letters < AUGMENTATION_MAX)
        ;
    if (c->is_bad || c->at[-1] || (version != 1 && version != 3 && version != 4))
        return false;
    if (version == 4 && /* sizes of an address and of a segment selector */
        (cprof_cursor_fixed(c, 1) != 8 || cprof_cursor_fixed(c, 1) != 0))
        return false;
    cie.code_align = cprof_cursor_uleb(c);
    cie.data_align = cprof_cursor_sleb(c);
    cie.return_register = version == 1 ? cprof_cursor_fixed(c, 1) : cprof_cursor_uleb(c);
    cie.has_lengths = letters[0] == 'z';
    if (cie.has_lengths)
        read_augmentation(c, letters + 1, &cie);
    else if (letters[0])
        return false;
    if (c->is_bad)
        return false;
    *ret = cie;
    return true;
}

bool cprof_cfi_fde(const struct cprof_cfi *cfi, const struct cprof_cfi_entry *entry,
                   const struct cprof_cie *cie, struct cprof_fde *ret)
{
    struct cprof_cursor c = entry->body;
    uint64_t start = cprof_cursor_pointer(&c, cie->encoding, cfi->data_base);
    uint64_t size = cprof_cursor_format(&c, cie->encoding & PE_FORMAT);

    if (cie->has_lengths)
        cprof_cursor_skip(&c, cprof_cursor_uleb(&c));
    if (c.is_bad || size > UINT64_MAX - start)
        return false;
    ret->program = c;
    ret->start = start;
    ret->end = start + size;
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct cprof_cfi_pair *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->fde > y->fde) - (x->fde < y->fde);
}

static bool to_pair(uint64_t start, uint64_t at, uint64_t origin,
                    struct cprof_cfi_pair *ret)
{
    ret->start = (int32_t)(start - origin);
    ret->fde = (int32_t)(at - origin);
    return origin + (uint64_t)(int64_t)ret->start == start &&
           origin + (uint64_t)(int64_t)ret->fde == at;
}

int cprof_cfi_pairs(const struct cprof_cfi *cfi, uint64_t vaddr, uint64_t end,
                    uint64_t origin, struct cprof_cfi_pair **ret, size_t *n,
                    size_t *n_bad)
{
    CPROF_VEC(struct cprof_cfi_pair) pairs = {0};
    struct cprof_cfi_entry entry = {.next = vaddr};
    struct cprof_cie cie = {0};
    struct cprof_fde fde;
    struct cprof_cfi_pair pair;
    uint64_t at, cie_at = 0;
    size_t bad = 0;
    bool is_known = false, is_sorted = true;

    for (at = vaddr; at < end && cprof_cfi_entry(cfi, at, &entry); at = entry.next) {
        if (entry.is_cie)
            continue;
        if (!is_known || cie_at != entry.cie)
            is_known = cprof_cfi_cie(cfi, cie_at = entry.cie, &cie);
        if (!is_known || !cprof_cfi_fde(cfi, &entry, &cie, &fde)) {
            bad++;
            continue;
        }
        if (fde.start == fde.end || !to_pair(fde.start, at, origin, &pair))
            continue;
        is_sorted &= !pairs.n || pairs.data[pairs.n - 1].start <= pair.start;
        if (pairs.n == CPROF_CFI_FDES_MAX)
            break;
        if (cprof_vec_push(&pairs, pair) < 0) {
            cprof_vec_free(&pairs);
            return -ENOMEM;
        }
    }
    if (!is_sorted)
        qsort(pairs.data, pairs.n, sizeof(*pairs.data), by_start);
    *ret = pairs.data;
    *n = pairs.n;
    if (n_bad)
        *n_bad += bad;
    return 0;
}
