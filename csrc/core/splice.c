#include "splice.h"

#include <string.h>

enum {
    FUNCTIONS_MOST = 2000, /* are looked at, all over the file */
    AGREE_LEAST = 2,
};

enum start { OTHER, FRAME, GLUE };

/* How does code begin, behind an endbr64: push %rbp; mov %rsp,%rbp (in either encoding)?
 * Or is it what the linker adds: stubs, and the entry, which clears %ebp. */
static enum start start_of(const uint8_t *code, size_t n)
{
    static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
    static const struct {
        uint8_t bytes[4], n;
        enum start start;
    } known[] = {{{0x55, 0x48, 0x89, 0xe5}, 4, FRAME},
                 {{0x55, 0x48, 0x8b, 0xec}, 4, FRAME},
                 {{0x31, 0xed}, 2, GLUE},
                 {{0xff, 0x25}, 2, GLUE},
                 {{0xff, 0x35}, 2, GLUE},
                 {{0xf2, 0xff, 0x25}, 3, GLUE}};

    if (n >= sizeof(endbr) && !memcmp(code, endbr, sizeof(endbr))) {
        code += sizeof(endbr);
        n -= sizeof(endbr);
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (n >= known[i].n && !memcmp(code, known[i].bytes, known[i].n))
            return known[i].start;
    return OTHER;
}

bool cprof_splice_has_frames(const struct cprof_elf *elf)
{
    struct cprof_elf_unwind unwind;
    size_t n_starts[GLUE + 1] = {0}, room = SIZE_MAX, n, step;
    const uint8_t *table, *code;
    int32_t start;

    if (!cprof_elf_unwind(elf, &unwind) || !unwind.is_table_usable)
        return false;
    table = unwind.made_table ? (const uint8_t *)unwind.made_table
                              : cprof_elf_at(elf, unwind.table_vaddr, &room);
    step = unwind.n_fdes / FUNCTIONS_MOST + 1;
    for (size_t i = 0; table && i < unwind.n_fdes && i < room / 8; i += step) {
        memcpy(&start, table + i * 2 * sizeof(start), sizeof(start));
        code = cprof_elf_at(elf, unwind.hdr_vaddr + (uint64_t)(int64_t)start, &n);
        if (code)
            n_starts[start_of(code, n)]++;
    }
    return n_starts[FRAME] && n_starts[FRAME] * 2 >= n_starts[OTHER];
}

/* How many of the chain's callers, from the outermost inwards, are ips[at], ips[at - 1]
 * ... A caller's address in the chain lies one byte inside its call. */
static size_t agreement(const struct cprof_unwind_chain *chain, const uint64_t *ips,
                        size_t at)
{
    size_t n = 0;

    while (n < at && n + 1 < chain->n && chain->pc[chain->n - 1 - n] + 1 == ips[at - n])
        n++;
    return n;
}

size_t cprof_splice(struct cprof_unwind_chain *chain, const uint64_t *ips, size_t n)
{
    size_t best = 0, place = 0, room = CPROF_UNWIND_MAX_FRAMES - chain->n, n_added;
    bool is_only = false;

    for (size_t at = 1; at < n; at++) {
        size_t agreed = agreement(chain, ips, at);
        if (agreed >= best) {
            is_only = agreed > best;
            best = agreed;
            place = at;
        }
    }
    if (best < AGREE_LEAST || !is_only)
        return 0;
    n_added = n - place - 1 < room ? n - place - 1 : room;
    for (size_t i = 0; i < n_added; i++)
        chain->pc[chain->n++] = ips[place + 1 + i] - 1;
    return n_added;
}
