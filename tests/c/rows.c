/* rows - the table of unwind rows of a file, for tests and benchmarks.
 *
 *   rows dump FILE [DEBUG]     one line "rows N other N bad N", then one for each row,
 *                              as rows.h has it in words
 *   rows time DIR FILE...      for each file one line: rows, and the CPU seconds that it
 * took to make them, and to load them from the cache in DIR (-1: they could not be kept)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rows.h"
#include "unwind_cache.h"

static struct cprof_elf *must_open(const char *path)
{
    struct cprof_error err;
    struct cprof_elf *elf;

    if (cprof_elf_open(path, &elf, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return elf;
}

static void print_row(uint64_t base, const struct cprof_unwind_row *row)
{
    char text[ROW_TEXT];

    printf("%s\n", row_text(base, row, text));
}

static int dump(const char *path, const char *debug_path)
{
    struct cprof_elf *elf = must_open(path);
    struct cprof_elf *debug = debug_path ? must_open(debug_path) : NULL;
    const struct cprof_unwind_row *data;
    struct cprof_unwind_rows *rows;
    struct cprof_error err;
    uint64_t base;
    size_t n;

    if (cprof_unwind_rows_build(elf, debug, &rows, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    data = cprof_unwind_rows_data(rows, &n, &base);
    printf("rows %zu other %zu bad %zu\n", n, cprof_unwind_rows_n_other(rows),
           cprof_unwind_rows_n_bad(rows));
    for (size_t i = 0; i < n; i++)
        print_row(base, &data[i]);
    cprof_unwind_rows_destroy(rows);
    cprof_elf_unref(debug);
    cprof_elf_unref(elf);
    return 0;
}

static double cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Each step once, on a file opened anew, as a recording would. */
static void time_file(const char *dir, const char *path)
{
    struct cprof_elf *elf = must_open(path);
    double making, loading, start = cpu_time();
    struct cprof_unwind_rows *rows = NULL;
    struct cprof_error err;
    uint64_t base;
    size_t n;

    if (cprof_unwind_rows_build(elf, NULL, &rows, &err) < 0) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        exit(1);
    }
    making = cpu_time() - start;
    cprof_unwind_cache_store(dir, elf, rows);
    cprof_unwind_rows_data(rows, &n, &base);
    cprof_unwind_rows_destroy(rows);
    cprof_elf_unref(elf);

    elf = must_open(path);
    start = cpu_time();
    loading = cprof_unwind_cache_load(dir, elf, &rows) == 0 ? cpu_time() - start : -1;
    if (loading >= 0)
        cprof_unwind_rows_destroy(rows);
    printf("%zu %.6f %.6f\n", n, making, loading);
    cprof_elf_unref(elf);
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "dump"))
        return dump(argv[2], argv[3]);
    if (argc < 4 || strcmp(argv[1], "time"))
        return 2;
    for (int i = 3; i < argc; i++)
        time_file(argv[2], argv[i]);
    return 0;
}
