/* Symbols that a JIT compiler wrote down: "START SIZE name".
 *
 * Compilers reuse memory, so entries overlap and the later one is right. The entries are
 * painted over the addresses, the last one first, each on what is still bare. */
#include "symbol_internal.h"

#include "cleanup.h"

enum { PAGE = 4096 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* A word of hex digits, with or without 0x, and the space after it. */
static bool read_number(const char **at, const char *end, uint64_t *ret)
{
    const char *p = *at;
    uint64_t value = 0;
    size_t n = 0;

    if (end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x')
        p += 2;
    for (; p < end && !is_space(*p); p++, n++) {
        int digit = cprof_hex_digit(*p);
        if (digit < 0)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    while (p < end && is_space(*p))
        p++;
    if (!n || n > 16)
        return false;
    *at = p;
    *ret = value;
    return true;
}

/* A line that is no entry is passed over: the map is written while it is read. */
static int add_line(struct cprof_symbols *symbols, const char *at, const char *end)
{
    struct cprof_symbol_entry entry = {.outer = CPROF_SYMBOL_NO_OUTER,
                                       .source = CPROF_SYMBOL_JIT};
    uint64_t start, size = 0, most;
    const char *rest;
    size_t n;
    int r;

    while (at < end && is_space(end[-1]))
        end--;
    while (at < end && is_space(*at))
        at++;
    if (!read_number(&at, end, &start) || at == end)
        return 0;
    rest = at;
    if (read_number(&rest, end, &size) && rest < end)
        at = rest;
    else
        size = 0; /* "START name" */
    most = UINT64_MAX - start < UINT32_MAX ? UINT64_MAX - start : UINT32_MAX;
    entry.start = start;
    entry.size = (uint32_t)(size < most ? size : most);
    n = strnlen(at, (size_t)(end - at));
    if (!n)
        return 0;
    r = cprof_symbols_keep(symbols, at, n, "", &entry.name);
    if (r < 0)
        return r == -EOVERFLOW ? 0 : r;
    return cprof_vec_push(&symbols->entries, entry);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t sort_unique(uint64_t *values, size_t n)
{
    size_t kept = 0;

    qsort(values, n, sizeof(*values), compare);
    for (size_t i = 0; i < n; i++)
        if (!kept || values[i] != values[kept - 1])
            values[kept++] = values[i];
    return kept;
}

/* The number of the first of `values` that is >= value. */
static size_t first_from(const uint64_t *values, size_t n, uint64_t value)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (values[middle] < value)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/* What painting works on. */
struct canvas {
    struct cprof_symbols *symbols;
    uint64_t *starts; /* of all entries, sorted */
    size_t n_starts;
    uint32_t *bare; /* piece -> itself when bare, else a later piece to look at */
};

/* An entry of unknown size reaches to the next start, at most to the end of the page. */
static uint64_t end_of(const struct canvas *canvas,
                       const struct cprof_symbol_entry *entry)
{
    uint64_t page_end = (entry->start & -(uint64_t)PAGE) + PAGE;
    size_t next;

    if (entry->size)
        return entry->start + entry->size;
    if (entry->start == UINT64_MAX || page_end < entry->start)
        return UINT64_MAX;
    next = first_from(canvas->starts, canvas->n_starts, entry->start + 1);
    return next < canvas->n_starts && canvas->starts[next] < page_end
               ? canvas->starts[next]
               : page_end;
}

static size_t next_bare(uint32_t *bare, size_t i)
{
    while (bare[i] != i) {
        bare[i] = bare[bare[i]];
        i = bare[i];
    }
    return i;
}

static void paint_entry(struct canvas *canvas, size_t number)
{
    struct cprof_symbols *symbols = canvas->symbols;
    const struct cprof_symbol_entry *entry = &symbols->entries.data[number];
    const uint64_t *cuts = symbols->cuts.data;
    size_t i = first_from(cuts, symbols->cuts.n, entry->start);
    size_t end = first_from(cuts, symbols->cuts.n, end_of(canvas, entry));

    for (i = next_bare(canvas->bare, i); i < end; i = next_bare(canvas->bare, i)) {
        symbols->painted[i] = (uint32_t)number;
        canvas->bare[i] = (uint32_t)i + 1;
    }
}

/* Entries whose size is known go before those where it is a guess. */
static int paint(struct cprof_symbols *symbols)
{
    const struct cprof_symbol_entry *e = symbols->entries.data;
    size_t n = symbols->entries.n;
    _cleanup_free_ uint64_t *starts = malloc((n + 1) * sizeof(*starts));
    _cleanup_free_ uint32_t *bare = malloc((2 * n + 1) * sizeof(*bare));
    struct canvas canvas = {.symbols = symbols, .starts = starts, .bare = bare};

    symbols->painted = malloc((2 * n + 1) * sizeof(*symbols->painted));
    if (!starts || !bare || !symbols->painted ||
        cprof_vec_reserve(&symbols->cuts, 2 * n) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        starts[i] = e[i].start;
    canvas.n_starts = sort_unique(starts, n);
    for (size_t i = 0; i < n; i++) {
        symbols->cuts.data[2 * i] = e[i].start;
        symbols->cuts.data[2 * i + 1] = end_of(&canvas, &e[i]);
    }
    symbols->cuts.n = sort_unique(symbols->cuts.data, 2 * n);
    for (size_t i = 0; i <= symbols->cuts.n; i++) {
        symbols->painted[i] = CPROF_SYMBOL_NO_OUTER;
        bare[i] = (uint32_t)i;
    }
    for (size_t i = n; i--;)
        if (e[i].size)
            paint_entry(&canvas, i);
    for (size_t i = n; i--;)
        if (!e[i].size)
            paint_entry(&canvas, i);
    return 0;
}

int cprof_symbols_create_jit(const char *text, size_t n, struct cprof_symbols **ret)
{
    const char *at = text, *end = text + n;
    struct cprof_symbols *symbols;
    int r = cprof_symbols_create(&symbols);

    if (r < 0)
        return r;
    while (r == 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            newline = end;
        r = add_line(symbols, at, newline);
        at = newline + 1;
    }
    if (r == 0 && symbols->entries.n)
        r = paint(symbols);
    if (r < 0) {
        cprof_symbols_destroy(symbols);
        return r;
    }
    *ret = symbols;
    return 0;
}
