/* A table is searched through a small index: for each page of addresses its first row, so
 * that a look-up touches one line of the index and one or two of the rows. */
#include "unwind_rows_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ROWS_PER_PAGE = 8, SHIFT_MIN = 4, SHIFT_MAX = 31 };

struct cprof_unwind_rows {
    struct cprof_row_memory of;
    uint64_t base;
    uint32_t *pages; /* how many rows lie below each page, n_pages + 1 */
    size_t n_pages;
    unsigned shift; /* a page has 1 << shift addresses */
    size_t n_other, n_bad;
};

/* `cfa` is one of those that carry something. */
static bool carries(uint16_t cfa)
{
    unsigned argument = cprof_cfa_argument(cfa);

    return cprof_cfa_kind(cfa) == CPROF_CFA_SPECIAL &&
           (argument >> 4 == CPROF_SPECIAL_PLT >> 4 ||
            argument >> 12 == CPROF_SPECIAL_DEREF >> 12);
}

/* Check all rows and fill the index on the way: much of the time that it takes to load a
 * table goes here, so what is rare is asked for first. */
static int fill(struct cprof_unwind_rows *rows, uint32_t last)
{
    static const uint16_t other =
        CPROF_CFA_SPECIAL << CPROF_CFA_SHIFT | CPROF_SPECIAL_OTHER;
    uint32_t *above = rows->pages + 1;
    unsigned shift = rows->shift;
    int64_t before = -1;

    for (size_t i = 0; i < rows->of.n; i++) {
        struct cprof_unwind_row row = rows->of.data[i];
        if (row.pc <= before || row.pc > last)
            return -EBADMSG;
        if (row.rbp == CPROF_RBP_AT_RBP && cprof_cfa_kind(row.cfa) != CPROF_CFA_DEREF)
            return -EBADMSG;
        if (row.cfa >= other) {
            rows->n_other += row.cfa == other;
            if (row.cfa > other && !carries(row.cfa))
                return -EBADMSG;
        }
        above[row.pc >> shift] = (uint32_t)i + 1;
        before = row.pc;
    }
    for (size_t page = 1; page <= rows->n_pages; page++) /* those without a row */
        if (!rows->pages[page])
            rows->pages[page] = rows->pages[page - 1];
    return 0;
}

static void release(const struct cprof_row_memory *of)
{
    if (of->n_mapped)
        munmap(of->memory, of->n_mapped);
    else
        free(of->memory);
}

int cprof_unwind_rows_adopt(const struct cprof_row_memory *of, uint64_t base,
                            size_t n_bad, struct cprof_unwind_rows **ret)
{
    struct cprof_unwind_rows *rows = calloc(1, sizeof(*rows));
    uint32_t last = of->data[of->n - 1].pc;
    int r = -ENOMEM;

    if (!rows) {
        release(of);
        return r;
    }
    rows->of = *of;
    rows->base = base;
    rows->n_bad = n_bad;
    rows->shift = SHIFT_MIN;
    while (rows->shift < SHIFT_MAX && last >> rows->shift > of->n / ROWS_PER_PAGE)
        rows->shift++;
    rows->n_pages = (last >> rows->shift) + 1;
    rows->pages = calloc(rows->n_pages + 1, sizeof(*rows->pages));
    if (!rows->pages)
        goto fail;
    r = fill(rows, last);
    if (r < 0)
        goto fail;
    *ret = rows;
    return 0;
fail:
    cprof_unwind_rows_destroy(rows);
    return r;
}

void cprof_unwind_rows_destroy(struct cprof_unwind_rows *rows)
{
    if (!rows)
        return;
    release(&rows->of);
    free(rows->pages);
    free(rows);
}

const struct cprof_unwind_row *
cprof_unwind_rows_find(const struct cprof_unwind_rows *rows, uint64_t vaddr)
{
    static const struct cprof_unwind_row gap = {
        .cfa = CPROF_CFA_SPECIAL << CPROF_CFA_SHIFT | CPROF_SPECIAL_GAP};
    uint64_t pc = vaddr - rows->base, page = pc >> rows->shift;
    const struct cprof_unwind_row *above; /* the first row above pc, in the end */
    size_t n;

    if (vaddr < rows->base || pc > UINT32_MAX)
        return &gap;
    if (page >= rows->n_pages)
        return &rows->of.data[rows->of.n - 1];
    above = &rows->of.data[rows->pages[page]];
    n = rows->pages[page + 1] - rows->pages[page];
    while (n) { /* without a branch on what a row says: half of them would go wrong */
        size_t half = (n + 1) / 2;
        above += (above[half - 1].pc <= pc) * half;
        n -= half;
    }
    return above > rows->of.data ? above - 1 : &gap;
}

const struct cprof_unwind_row *
cprof_unwind_rows_data(const struct cprof_unwind_rows *rows, size_t *n, uint64_t *base)
{
    *n = rows->of.n;
    *base = rows->base;
    return rows->of.data;
}

size_t cprof_unwind_rows_n_other(const struct cprof_unwind_rows *rows)
{
    return rows->n_other;
}

size_t cprof_unwind_rows_n_bad(const struct cprof_unwind_rows *rows)
{
    return rows->n_bad;
}
