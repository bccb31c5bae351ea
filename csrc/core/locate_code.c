/* locate_code.c - what is where in one file, for those who look at instructions. */
#include "locate_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cprof_code {
    char *path;
    struct cprof_elf *elf;
    struct cprof_symbols *symbols;
    struct cprof_lines *lines; /* NULL until asked for */
};

static int fill(struct cprof_code *code, const char *path, const char *wanted,
                struct cprof_error *err)
{
    char hex[2 * CPROF_BUILD_ID_MAX + 1];
    const uint8_t *id;
    size_t n;
    int r = cprof_elf_open(path, &code->elf, err);

    if (r < 0)
        return r;
    id = cprof_elf_build_id(code->elf, &n);
    cprof_build_id_hex(id, n, hex);
    if (strncmp(hex, wanted, strlen(wanted))) /* the kernel tells the first 20 bytes */
        return cprof_error_set(err, -ESTALE,
                               "locate: %s is not the file that was recorded: its build "
                               "id is %.40s, not %.40s",
                               path, *hex ? hex : "none", wanted);
    code->path = strdup(path);
    r = code->path ? cprof_symbols_create_elf(code->elf, "", path, id, n, &code->symbols)
                   : -ENOMEM;
    return r < 0 ? cprof_error_set(err, r, "locate: out of memory") : 0;
}

int cprof_code_open(const char *path, const char *hex, struct cprof_code **ret,
                    struct cprof_error *err)
{
    struct cprof_code *code = calloc(1, sizeof(*code));
    int r;

    if (!code)
        return cprof_error_set(err, -ENOMEM, "locate: out of memory");
    r = fill(code, path, hex, err);
    if (r < 0) {
        cprof_code_close(code);
        return r;
    }
    *ret = code;
    return 0;
}

void cprof_code_close(struct cprof_code *code)
{
    if (!code)
        return;
    cprof_lines_close(code->lines);
    cprof_symbols_destroy(code->symbols);
    cprof_elf_unref(code->elf);
    free(code->path);
    free(code);
}

uint64_t cprof_code_vaddr(const struct cprof_code *code, uint64_t offset)
{
    uint64_t vaddr;

    return cprof_elf_vaddr_of(code->elf, offset, &vaddr) ? vaddr : offset;
}

void cprof_code_function(struct cprof_code *code, uint64_t vaddr,
                         struct cprof_symbol *ret)
{
    cprof_symbols_find(code->symbols, vaddr, ret);
}

int cprof_code_lines(struct cprof_code *code, const uint64_t *vaddrs, size_t n,
                     cprof_lines_taker *take, void *arg, struct cprof_error *err)
{
    struct cprof_lines_from from = {.elf = code->elf, .root = "", .path = code->path};
    int r = 0;

    if (!code->lines)
        r = cprof_lines_open(&from, &code->lines, err);
    for (size_t i = 0; i < n && r == -ENODATA && !code->lines; i++)
        if (take(arg, i, NULL, 0) < 0)
            return cprof_error_set(err, -ENOMEM, "locate: out of memory");
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    r = cprof_lines_find(code->lines, vaddrs, n, take, arg);
    return r < 0 ? cprof_error_set(err, r, "locate: out of memory") : 0;
}
