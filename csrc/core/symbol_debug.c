/* Files that hold the symbols of another: separate debug files and .gnu_debugdata. */
#include "symbol_internal.h"

#include <limits.h>
#include <lzma.h>
#include <stdio.h>
#include <zlib.h>

#include "elf_internal.h"

enum { LZMA_MEMORY_MAX = 128 << 20 };

/* What a debug file must agree with, and what it must have. */
struct wanted {
    const uint8_t *build_id;
    size_t build_id_n;
    const uint32_t *crc; /* NULL: found by build id, which it must then have */
    cprof_debug_has *has;
    char *path; /* where it was found: PATH_MAX bytes, or NULL */
};

static bool is_wanted(const struct cprof_elf *debug, const struct wanted *wanted)
{
    size_t n;
    const uint8_t *id = cprof_elf_build_id(debug, &n), *bytes;
    bool is_same =
        n && n == wanted->build_id_n && !memcmp(id, wanted->build_id, wanted->build_id_n);

    if (!wanted->crc)
        return is_same;
    if (n && wanted->build_id_n && !is_same)
        return false;
    bytes = cprof_elf_bytes(debug, &n);
    return crc32_z(0, bytes, n) == *wanted->crc;
}

static bool has_symbols(const struct cprof_elf *debug)
{
    const struct cprof_elf_section *section;

    for (size_t i = 0; (section = cprof_elf_section(debug, i)); i++)
        if (section->type == SHT_SYMTAB && section->size)
            return true;
    return false;
}

/* 0 also when there is no such file, or not the one that is wanted. */
static int try_open(const char *path, const struct wanted *wanted, struct cprof_elf **ret)
{
    struct cprof_elf *debug;
    int r = cprof_elf_open(path, &debug, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    if (!wanted->has(debug) || !is_wanted(debug, wanted)) {
        cprof_elf_unref(debug);
        return 0;
    }
    *ret = debug;
    if (wanted->path)
        snprintf(wanted->path, PATH_MAX, "%s", path);
    return 0;
}

static int by_build_id(const char *root, const struct wanted *wanted,
                       struct cprof_elf **ret)
{
    char hex[2 * CPROF_BUILD_ID_MAX + 1], path[PATH_MAX];

    if (wanted->build_id_n < 2 || wanted->build_id_n > CPROF_BUILD_ID_MAX)
        return 0;
    cprof_build_id_hex(wanted->build_id, wanted->build_id_n, hex);
    if (snprintf(path, sizeof(path), "%s/usr/lib/debug/.build-id/%.2s/%s.debug", root,
                 hex, hex + 2) >= (int)sizeof(path))
        return 0;
    return try_open(path, wanted, ret);
}

/* .gnu_debuglink: a file name, padding to four bytes, the CRC-32 of the file. */
static bool read_debuglink(const struct cprof_elf *elf, const char **name, uint32_t *crc)
{
    const struct cprof_elf_section *link = cprof_elf_find(elf, ".gnu_debuglink");
    size_t n, crc_at;

    if (!link || !link->bytes)
        return false;
    n = strnlen((const char *)link->bytes, link->size);
    crc_at = (n + 4) & ~(size_t)3;
    if (!n || crc_at > link->size || link->size - crc_at < sizeof(*crc) ||
        memchr(link->bytes, '/', n))
        return false;
    *name = (const char *)link->bytes;
    memcpy(crc, link->bytes + crc_at, sizeof(*crc));
    return true;
}

static int by_debuglink(const char *root, const char *path, const char *name,
                        const struct wanted *wanted, struct cprof_elf **ret)
{
    static const char *const before[] = {"", "", "/usr/lib/debug"};
    static const char *const after[] = {"", "/.debug", ""};
    const char *slash = strrchr(path, '/');
    char full[PATH_MAX];

    if (path[0] != '/')
        return 0;
    for (size_t i = 0; i < 3 && !*ret; i++) {
        int r;
        if (snprintf(full, sizeof(full), "%s%s%.*s%s/%s", root, before[i],
                     (int)(slash - path), path, after[i], name) >= (int)sizeof(full))
            continue;
        r = try_open(full, wanted, ret);
        if (r < 0)
            return r;
    }
    return 0;
}

/* In the target's file system first, then in ours. */
int cprof_debug_open(const struct cprof_elf *elf, const char *root, const char *path,
                     const uint8_t *build_id, size_t build_id_n, cprof_debug_has *has,
                     char *found_at, struct cprof_elf **ret)
{
    const char *const roots[] = {root, ""};
    size_t n_roots = *root ? 2 : 1;
    struct wanted wanted = {
        .build_id = build_id, .build_id_n = build_id_n, .has = has, .path = found_at};
    const char *name;
    uint32_t crc;
    int r = 0;

    for (size_t i = 0; i < n_roots && !*ret && r == 0; i++)
        r = by_build_id(roots[i], &wanted, ret);
    if (r < 0 || *ret || !elf || !read_debuglink(elf, &name, &crc))
        return r;
    wanted.crc = &crc;
    for (size_t i = 0; i < n_roots && !*ret && r == 0; i++)
        r = by_debuglink(roots[i], path, name, &wanted, ret);
    return r;
}

int cprof_symbols_open_debug(const struct cprof_elf *elf, const char *root,
                             const char *path, const uint8_t *build_id, size_t build_id_n,
                             struct cprof_elf **ret)
{
    return cprof_debug_open(elf, root, path, build_id, build_id_n, has_symbols, NULL,
                            ret);
}

/* Bytes that are not xz, or too many, are no symbols: *n is then 0. */
static int decompress(const struct cprof_elf_section *section, uint8_t **ret, size_t *n)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    CPROF_VEC(uint8_t) out = {0};
    lzma_ret status;

    status = lzma_stream_decoder(&stream, LZMA_MEMORY_MAX, 0);
    stream.next_in = section->bytes;
    stream.avail_in = section->size;
    while (status == LZMA_OK) {
        if (out.n > CPROF_DEBUGDATA_MAX) {
            status = LZMA_DATA_ERROR;
        } else if (cprof_vec_reserve(&out, 64 << 10) < 0) {
            status = LZMA_MEM_ERROR;
        } else {
            stream.next_out = out.data + out.n;
            stream.avail_out = out.capacity - out.n;
            status = lzma_code(&stream, LZMA_FINISH);
            out.n = out.capacity - stream.avail_out;
        }
    }
    lzma_end(&stream);
    if (status != LZMA_STREAM_END) {
        cprof_vec_free(&out);
        *n = 0;
        return status == LZMA_MEM_ERROR ? -ENOMEM : 0;
    }
    *ret = out.data;
    *n = out.n;
    return 0;
}

int cprof_symbols_open_debugdata(const struct cprof_elf *elf, struct cprof_elf **ret)
{
    const struct cprof_elf_section *section = cprof_elf_find(elf, ".gnu_debugdata");
    uint8_t *bytes;
    size_t n;
    int r;

    if (!section || !section->bytes)
        return 0;
    r = decompress(section, &bytes, &n);
    if (r < 0 || !n)
        return r;
    r = cprof_elf_open_bytes(bytes, n, section->name, ret, NULL);
    return r == -ENOMEM ? r : 0;
}
