/* A table is searched through a small index: for each page of addresses its first row, so
 * that a look-up touches one line of the index and one or two of the rows. */
#include "unwind_rows_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { ROWS_PER_PAGE = 16, SHIFT_MIN = 4 };

struct cprof_unwind_rows {
    struct cprof_unwind_row *data;
    size_t n;
    uint64_t base;
    uint32_t *pages; /* how many rows lie below each page, n_pages + 1 */
    size_t n_pages;
    unsigned shift; /* a page has 1 << shift addresses */
    size_t n_other, n_bad;
};

/* Check all rows and fill the index on the way, without branches on what they say: that
 * is most of the time that it takes to load a table. */
static int fill(struct cprof_unwind_rows *rows)
{
    const struct cprof_unwind_row *data = rows->data;
    uint16_t other = cprof_cfa(CPROF_CFA_SPECIAL, CPROF_SPECIAL_OTHER); /* the last */
    uint32_t *above = rows->pages + 1, last = data[rows->n - 1].pc, before = 0;
    unsigned shift = rows->shift;
    size_t n_other = 0, n = rows->n;
    bool is_bad = false;

    for (size_t i = 0; i < n; i++) {
        struct cprof_unwind_row row = data[i];
        if (row.pc > last)
            return -EBADMSG;
        is_bad |= (row.pc <= before) & (i > 0);
        is_bad |= row.cfa > other;
        is_bad |=
            (row.rbp == CPROF_RBP_AT_RBP) & (cprof_cfa_kind(row.cfa) != CPROF_CFA_DEREF);
        n_other += row.cfa == other;
        above[row.pc >> shift] = (uint32_t)i + 1;
        before = row.pc;
    }
    rows->n_other = n_other;
    for (size_t page = 1; page <= rows->n_pages; page++) /* those without a row */
        if (!rows->pages[page])
            rows->pages[page] = rows->pages[page - 1];
    return is_bad ? -EBADMSG : 0;
}

int cprof_unwind_rows_adopt(struct cprof_unwind_row *data, size_t n, uint64_t base,
                            size_t n_bad, struct cprof_unwind_rows **ret)
{
    struct cprof_unwind_rows *rows = calloc(1, sizeof(*rows));
    int r = -ENOMEM;

    if (!rows) {
        free(data);
        return r;
    }
    *rows = (struct cprof_unwind_rows){
        .data = data, .n = n, .base = base, .n_bad = n_bad, .shift = SHIFT_MIN};
    while (data[n - 1].pc >> rows->shift > n / ROWS_PER_PAGE)
        rows->shift++;
    rows->n_pages = (data[n - 1].pc >> rows->shift) + 1;
    rows->pages = calloc(rows->n_pages + 1, sizeof(*rows->pages));
    if (!rows->pages)
        goto fail;
    r = fill(rows);
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
    free(rows->pages);
    free(rows->data);
    free(rows);
}

const struct cprof_unwind_row *
cprof_unwind_rows_find(const struct cprof_unwind_rows *rows, uint64_t vaddr)
{
    static const struct cprof_unwind_row gap = {
        .cfa = CPROF_CFA_SPECIAL << CPROF_CFA_SHIFT | CPROF_SPECIAL_GAP};
    uint64_t pc = vaddr - rows->base, page = pc >> rows->shift;
    size_t low, high;

    if (vaddr < rows->base || pc > UINT32_MAX)
        return &gap;
    if (page >= rows->n_pages)
        return &rows->data[rows->n - 1];
    low = rows->pages[page];
    high = rows->pages[page + 1];
    while (low < high) { /* the first row above pc */
        size_t middle = low + (high - low) / 2;
        if (rows->data[middle].pc <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &rows->data[low - 1] : &gap;
}

const struct cprof_unwind_row *
cprof_unwind_rows_data(const struct cprof_unwind_rows *rows, size_t *n, uint64_t *base)
{
    *n = rows->n;
    *base = rows->base;
    return rows->data;
}

size_t cprof_unwind_rows_n_other(const struct cprof_unwind_rows *rows)
{
    return rows->n_other;
}

size_t cprof_unwind_rows_n_bad(const struct cprof_unwind_rows *rows)
{
    return rows->n_bad;
}
