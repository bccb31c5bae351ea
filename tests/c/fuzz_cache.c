/* fuzz_cache: any bytes as a kept table of rows. Where the first byte is odd the sums in
 * its header are made right, so that what comes after them is reached.
 *
 * The seed is the table of two functions, by test_unwind_cache's setting. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "frames.h"
#include "unwind_cache.c" /* its sums */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cprof_elf *elf;
static char dir[64] = "/dev/shm/fuzz_cache-XXXXXX";

static void end(void)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/abababab", dir);
    unlink(path);
    rmdir(dir);
    cprof_elf_unref(elf);
}

static void begin(void)
{
    struct image *image = image_create();

    put_cie(image, USUAL);
    put_fde(image, 0, 0x10, BYTES("\x0e\x10"));
    put_header(image);
    put_build_id(image, 0xab);
    elf = must_open(image);
    free(image);
    if (!mkdtemp(dir) || atexit(end))
        abort();
}

static void put_file(const uint8_t *data, size_t size, bool is_made_right)
{
    static uint8_t copy[1 << 16];
    struct header header;
    char path[128];
    int fd;

    if (size > sizeof(copy))
        size = sizeof(copy);
    memcpy(copy, data, size);
    if (is_made_right && size >= sizeof(header)) {
        memcpy(&header, copy, sizeof(header));
        memcpy(header.magic, magic, sizeof(magic));
        header.version = VERSION;
        header.row_size = sizeof(struct cprof_unwind_row);
        header.n = (size - sizeof(header)) / sizeof(struct cprof_unwind_row);
        digest_of(elf, &header.of);
        header.checksum = checksum(header, (const void *)(copy + sizeof(header)));
        memcpy(copy, &header, sizeof(header));
    }
    snprintf(path, sizeof(path), "%s/abababab", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, copy, size) != (ssize_t)size)
        abort();
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cprof_unwind_row *row;
    struct cprof_unwind_rows *rows;
    uint64_t base;
    size_t n;

    if (!elf)
        begin();
    if (!size)
        return 0;
    put_file(data + 1, size - 1, data[0] & 1);
    if (cprof_unwind_cache_load(dir, elf, &rows) < 0)
        return 0;
    row = cprof_unwind_rows_data(rows, &n, &base);
    for (size_t i = 0; i < n; i++) {
        char text[ROW_TEXT];
        if (i && row[i].pc <= row[i - 1].pc)
            abort();
        row_text(base, &row[i], text);
        if (base + row[i].pc >= base &&
            cprof_unwind_rows_find(rows, base + row[i].pc) != &row[i])
            abort();
    }
    cprof_unwind_rows_destroy(rows);
    return 0;
}
