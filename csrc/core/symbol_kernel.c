/* The kernel's own list of symbols: "ffffffff81000000 T name [module]". */
#include "symbol_internal.h"

#include <fcntl.h>

#include "cleanup.h"

enum { BLOCK = 1 << 20, PAGE = 4096 };

/* Where the reading is. */
struct reading {
    struct cprof_symbols *symbols;
    char module[64]; /* of the line before, with its brackets; "" for the kernel proper */
    uint32_t n_modules;
    bool is_hidden; /* addresses are zero: kernel.kptr_restrict */
};

static uint64_t read_hex(const char **at, const char *end)
{
    uint64_t value = 0;
    int digit;

    for (; *at < end && (digit = cprof_hex_digit(**at)) >= 0; ++*at)
        value = value << 4 | (unsigned)digit;
    return value;
}

static void note_module(struct reading *reading, const char *module, size_t n)
{
    if (n >= sizeof(reading->module))
        n = sizeof(reading->module) - 1;
    if (!strncmp(reading->module, module, n) && !reading->module[n])
        return;
    memcpy(reading->module, module, n);
    reading->module[n] = '\0';
    reading->n_modules++;
}

/* `outer` holds the number of the module until the table is sorted. */
static int add_line(struct reading *reading, const char *line, const char *end)
{
    struct cprof_symbols *symbols = reading->symbols;
    uint64_t address = read_hex(&line, end);
    struct cprof_symbol_entry entry = {.start = address, .source = CPROF_SYMBOL_KERNEL};
    const char *name = line + 3;
    char type;
    size_t n;

    if (end - line < 4 || line[0] != ' ' || line[2] != ' ')
        return 0;
    type = line[1] | 0x20;
    if (type != 't' && type != 'w')
        return 0;
    if (!address) {
        reading->is_hidden = true;
        return 0;
    }
    for (n = 0; name + n < end && name[n] != '\t' && name[n] != ' '; n++)
        ;
    line = name + n;
    while (line < end && (*line == '\t' || *line == ' '))
        line++;
    note_module(reading, line, (size_t)(end - line));
    entry.outer = reading->n_modules;
    entry.rank = type == 'w' ? 1 : name[-2] == 'T' ? 0 : 2;
    if (!n || cprof_symbols_keep(symbols, name, n, "", &entry.name) == -EOVERFLOW)
        return 0;
    return cprof_vec_push(&symbols->entries, entry);
}

/* Whole lines of `text`; *used is how much of it they were. */
static int add_lines(struct reading *reading, const char *text, size_t n, size_t *used)
{
    const char *at = text, *newline;

    while (!reading->is_hidden && (newline = memchr(at, '\n', n - (size_t)(at - text)))) {
        int r = add_line(reading, at, newline);
        if (r < 0)
            return r;
        at = newline + 1;
    }
    *used = (size_t)(at - text);
    return 0;
}

/* There are no sizes: each function ends where the next begins, or a page later at the
 * end of a module. */
static void set_sizes(struct cprof_symbol_entries *entries)
{
    for (size_t i = 0; i < entries->n; i++) {
        struct cprof_symbol_entry *entry = &entries->data[i], *next = entry + 1;
        uint64_t end = (entry->start + PAGE) | (PAGE - 1);
        if (i + 1 < entries->n && (next->outer == entry->outer || next->start < end))
            end = next->start;
        end -= entry->start;
        entry->size = end < UINT32_MAX ? (uint32_t)end : UINT32_MAX;
    }
}

static int read_kallsyms(int fd, struct reading *reading)
{
    _cleanup_free_ char *block = malloc(BLOCK);
    size_t have = 0, used = 0;
    ssize_t n;

    if (!block)
        return -ENOMEM;
    while (!reading->is_hidden && (n = read(fd, block + have, BLOCK - have)) > 0) {
        int r;
        have += (size_t)n;
        r = add_lines(reading, block, have, &used);
        if (r < 0)
            return r;
        have -= used;
        memmove(block, block + used, have);
        if (have == BLOCK) /* no line is so long */
            return 0;
    }
    return 0;
}

int cprof_symbols_create_kallsyms(const char *path, struct cprof_symbols **ret)
{
    _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct reading reading = {0};
    int r = cprof_symbols_create(&reading.symbols);

    if (r < 0)
        return r;
    if (fd >= 0)
        r = read_kallsyms(fd, &reading);
    if (reading.is_hidden)
        reading.symbols->entries.n = 0;
    if (r == 0)
        r = cprof_symbols_sort(reading.symbols);
    if (r < 0) {
        cprof_symbols_destroy(reading.symbols);
        return r;
    }
    set_sizes(&reading.symbols->entries);
    cprof_symbols_nest(reading.symbols);
    *ret = reading.symbols;
    return 0;
}

int cprof_symbols_create_kernel(struct cprof_symbols **ret)
{
    return cprof_symbols_create_kallsyms("/proc/kallsyms", ret);
}
