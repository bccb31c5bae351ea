/* The table: sorting, the choice between aliases, look-up. */
#include "symbol_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "elf_internal.h"

enum { DIGIT_BITS = 11, N_DIGITS = 1 << DIGIT_BITS };

static const char unknown[] = "[unknown]";

int cprof_symbols_create(struct cprof_symbols **ret)
{
    struct cprof_symbols *symbols = calloc(1, sizeof(*symbols));

    if (!symbols)
        return -ENOMEM;
    *ret = symbols;
    return 0;
}

void cprof_symbols_destroy(struct cprof_symbols *symbols)
{
    if (!symbols)
        return;
    cprof_vec_free(&symbols->entries);
    cprof_vec_free(&symbols->plt);
    cprof_vec_free(&symbols->own);
    cprof_vec_free(&symbols->code);
    cprof_vec_free(&symbols->cuts);
    free(symbols->painted);
    cprof_elf_unref(symbols->elf);
    cprof_elf_unref(symbols->debug);
    cprof_elf_unref(symbols->debugdata);
    free(symbols);
}

size_t cprof_symbols_n(const struct cprof_symbols *symbols)
{
    return symbols->entries.n + symbols->plt.n;
}

int cprof_symbols_keep(struct cprof_symbols *symbols, const char *name, size_t n,
                       const char *end, uint32_t *ret)
{
    size_t end_n = strlen(end) + 1;

    if (n > CPROF_SYMBOL_TEXT_MAX - symbols->own.n)
        return -EOVERFLOW;
    if (cprof_vec_reserve(&symbols->own, n + end_n) < 0)
        return -ENOMEM;
    *ret = (uint32_t)symbols->own.n;
    memcpy(symbols->own.data + symbols->own.n, name, n);
    memcpy(symbols->own.data + symbols->own.n + n, end, end_n);
    symbols->own.n += n + end_n;
    symbols->texts[CPROF_TEXT_OWN] = symbols->own.data;
    return 0;
}

static uint64_t end_of(const struct cprof_symbol_entry *entry)
{
    return entry->start + entry->size;
}

/* Least significant digit first: stable, and several times faster than comparing. The
 * result may end up in `scratch`. */
static void radix_sort(struct cprof_symbol_entry **data,
                       struct cprof_symbol_entry **scratch, size_t n, uint64_t least,
                       uint64_t span)
{
    for (unsigned shift = 0; shift < 64 && span >> shift; shift += DIGIT_BITS) {
        struct cprof_symbol_entry *from = *data, *to = *scratch;
        size_t at[N_DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < n; i++)
            at[(from[i].start - least) >> shift & (N_DIGITS - 1)]++;
        for (size_t digit = 0; digit < N_DIGITS; digit++) {
            size_t count = at[digit];
            at[digit] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++)
            to[at[(from[i].start - least) >> shift & (N_DIGITS - 1)]++] = from[i];
        *data = to;
        *scratch = from;
    }
}

static int sort_by_start(struct cprof_symbol_entries *entries)
{
    uint64_t least = UINT64_MAX, greatest = 0;
    struct cprof_symbol_entry *scratch;
    bool is_sorted = true;

    for (size_t i = 0; i < entries->n; i++) {
        uint64_t start = entries->data[i].start;
        is_sorted &= start >= greatest;
        least = start < least ? start : least;
        greatest = start > greatest ? start : greatest;
    }
    if (is_sorted)
        return 0;
    scratch = malloc(entries->n * sizeof(*scratch));
    if (!scratch)
        return -ENOMEM;
    radix_sort(&entries->data, &scratch, entries->n, least, greatest - least);
    entries->capacity = entries->n; /* of whichever block it now is */
    free(scratch);
    return 0;
}

static int larger_first(const void *a, const void *b)
{
    uint32_t x = ((const struct cprof_symbol_entry *)a)->size;
    uint32_t y = ((const struct cprof_symbol_entry *)b)->size;

    return (x < y) - (x > y);
}

/* Is `a` the better name of the two for the same code? Stable whatever the order in the
 * file. */
static bool is_better(const struct cprof_symbols *symbols,
                      const struct cprof_symbol_entry *a,
                      const struct cprof_symbol_entry *b)
{
    const char *x = cprof_symbols_name(symbols, a), *y = cprof_symbols_name(symbols, b);
    size_t x_n = strspn(x, "_"), y_n = strspn(y, "_");
    int order;

    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (x_n != y_n)
        return x_n < y_n;
    x_n = strnlen(x, CPROF_SYMBOL_COMPARED);
    y_n = strnlen(y, CPROF_SYMBOL_COMPARED);
    if (x_n != y_n)
        return x_n < y_n;
    order = strncmp(x, y, CPROF_SYMBOL_COMPARED);
    return order ? order < 0 : a->source < b->source;
}

int cprof_symbols_sort(struct cprof_symbols *symbols)
{
    struct cprof_symbol_entry *e;
    size_t n = symbols->entries.n, kept = 0;

    if (sort_by_start(&symbols->entries) < 0)
        return -ENOMEM;
    e = symbols->entries.data;
    for (size_t i = 0, next; i < n; i = next) {
        next = i + 1;
        while (next < n && e[next].start == e[i].start)
            next++;
        if (next - i > 1)
            qsort(e + i, next - i, sizeof(*e), larger_first);
        for (size_t j = i; j < next; j++) {
            if (j > i && !e[j].size && e[kept - 1].size)
                break; /* a sized name is here already */
            if (j == i || e[j].size != e[kept - 1].size)
                e[kept++] = e[j];
            else if (is_better(symbols, &e[j], &e[kept - 1]))
                e[kept - 1] = e[j];
        }
    }
    symbols->entries.n = kept;
    return 0;
}

void cprof_symbols_nest(struct cprof_symbols *symbols)
{
    struct cprof_symbol_entry *e = symbols->entries.data;

    for (size_t i = 0; i < symbols->entries.n; i++) {
        uint32_t outer = i ? (uint32_t)i - 1 : CPROF_SYMBOL_NO_OUTER;
        while (outer != CPROF_SYMBOL_NO_OUTER && end_of(&e[outer]) <= end_of(&e[i]))
            outer = e[outer].outer;
        e[i].outer = outer;
    }
}

size_t cprof_symbols_before(const struct cprof_symbol_entries *entries, uint64_t address)
{
    size_t low = 0, high = entries->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries->data[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct cprof_symbol_entry *
cprof_symbols_covering(const struct cprof_symbols *symbols, uint64_t address)
{
    const struct cprof_symbol_entry *e = symbols->entries.data;
    size_t n = cprof_symbols_before(&symbols->entries, address);
    uint32_t i = n ? (uint32_t)n - 1 : CPROF_SYMBOL_NO_OUTER;

    while (i != CPROF_SYMBOL_NO_OUTER && end_of(&e[i]) <= address)
        i = e[i].outer;
    return i != CPROF_SYMBOL_NO_OUTER ? &e[i] : NULL;
}

const struct cprof_symbol_range *
cprof_symbols_code_at(const struct cprof_symbols *symbols, uint64_t address)
{
    size_t low = 0, high = symbols->code.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->code.data[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address < symbols->code.data[low - 1].end ? &symbols->code.data[low - 1]
                                                            : NULL;
}

/* Hand-written assembly says where it begins, not where it ends: until the next name, the
 * end of the section or the next function that the unwind table knows. */
static const struct cprof_symbol_entry *unsized(const struct cprof_symbols *symbols,
                                                uint64_t address)
{
    size_t n = cprof_symbols_before(&symbols->entries, address);
    const struct cprof_symbol_entry *entry = n ? &symbols->entries.data[n - 1] : NULL;
    const struct cprof_symbol_range *code;
    uint64_t start, end;

    if (!entry || entry->size || entry->outer != CPROF_SYMBOL_NO_OUTER)
        return NULL;
    code = cprof_symbols_code_at(symbols, address);
    if (!code || entry->start < code->start)
        return NULL;
    if (symbols->elf && cprof_elf_fde_before(symbols->elf, address, &start, &end) &&
        start > entry->start)
        return NULL;
    return entry;
}

static const struct cprof_symbol_entry *stub(const struct cprof_symbols *symbols,
                                             uint64_t address)
{
    size_t n = cprof_symbols_before(&symbols->plt, address);
    const struct cprof_symbol_entry *entry = n ? &symbols->plt.data[n - 1] : NULL;

    return entry && address < end_of(entry) ? entry : NULL;
}

static const struct cprof_symbol_entry *painted(const struct cprof_symbols *symbols,
                                                uint64_t address)
{
    size_t low = 0, high = symbols->cuts.n;
    uint32_t i;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->cuts.data[middle] <= address)
            low = middle + 1;
        else
            high = middle;
    }
    i = low ? symbols->painted[low - 1] : CPROF_SYMBOL_NO_OUTER;
    return i != CPROF_SYMBOL_NO_OUTER ? &symbols->entries.data[i] : NULL;
}

void cprof_symbols_find(struct cprof_symbols *symbols, uint64_t address,
                        struct cprof_symbol *ret)
{
    const struct cprof_symbol_entry *entry;
    uint64_t start, end;

    if (symbols->painted)
        entry = painted(symbols, address);
    else
        entry = cprof_symbols_covering(symbols, address);
    if (!entry && symbols->code.n)
        entry = unsized(symbols, address);
    if (!entry)
        entry = stub(symbols, address);
    if (entry) {
        *ret = (struct cprof_symbol){.name = cprof_symbols_name(symbols, entry),
                                     .start = entry->start,
                                     .size = entry->size,
                                     .source = entry->source};
    } else if (symbols->elf && cprof_elf_fde_range(symbols->elf, address, &start, &end)) {
        snprintf(symbols->made, sizeof(symbols->made), "%s!fn_0x%" PRIx64,
                 symbols->module, start);
        *ret = (struct cprof_symbol){.name = symbols->made,
                                     .start = start,
                                     .size = end - start,
                                     .source = CPROF_SYMBOL_FDE};
    } else {
        *ret = (struct cprof_symbol){
            .name = unknown, .start = address, .source = CPROF_SYMBOL_UNKNOWN};
    }
}
