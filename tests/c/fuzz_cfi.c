/* fuzz_cfi: any bytes as call frame information. The first byte says where they stand:
 * the rest is a whole ELF file, an .eh_frame, a .debug_frame, or the program of an FDE.
 *
 * The seeds are libraries of fuzz_elf with a 0 before them, and the sections and programs
 * of /bin/true, of a function that realigns its stack and of __restore_rt. */
#include <stdlib.h>

#include "elf_internal.h"
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WHOLE_FILE, EH_FRAME, DEBUG_FRAME, PROGRAM, N_PLACES };

static struct cprof_elf *open_copy(const void *bytes, size_t n)
{
    struct cprof_elf *elf = NULL;
    uint8_t *copy = malloc(n + 1);

    memcpy(copy, bytes, n);
    return cprof_elf_open_bytes(copy, n, "fuzz", &elf, NULL) < 0 ? NULL : elf;
}

static struct cprof_elf *open_image(int place, const uint8_t *data, size_t size)
{
    struct image *image = image_create();
    struct cprof_elf *elf;

    if (size > IMAGE - FRAMES - 128)
        size = IMAGE - FRAMES - 128;
    if (place == PROGRAM) {
        put_cie_with(image, size & 1 ? "zR" : "zRS", USUAL, 0);
        put_fde(image, 0, 0x1000, (struct bytes){size, (const char *)data});
        put_header(image);
    } else {
        memcpy(image->bytes + FRAMES, data, size);
        image->header->e_phnum = 1;
        if (place == EH_FRAME)
            put_section(image, 2, ".eh_frame", FRAMES, size, SHF_ALLOC);
        else
            put_section(image, 2, ".debug_frame", FRAMES, size,
                        size & 1 ? SHF_COMPRESSED : 0);
    }
    elf = open_copy(image->bytes, IMAGE);
    free(image);
    return elf;
}

/* Sorted, valid, found again, and no more than the bytes can say. */
static void check(const struct cprof_unwind_rows *rows, size_t n_bytes)
{
    size_t n;
    uint64_t base;
    const struct cprof_unwind_row *data = cprof_unwind_rows_data(rows, &n, &base);

    if (!n || n > n_bytes)
        abort();
    for (size_t i = 0; i < n; i++) {
        char text[ROW_TEXT];
        if ((i && data[i].pc <= data[i - 1].pc) ||
            cprof_unwind_rows_find(rows, base + data[i].pc) != &data[i] ||
            !*row_text(base, &data[i], text))
            abort();
        if (i && cprof_unwind_rows_find(rows, base + data[i].pc - 1) != &data[i - 1])
            abort();
    }
    cprof_unwind_rows_find(rows, 0);
    cprof_unwind_rows_find(rows, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_unwind_rows *rows;
    struct cprof_elf *elf;
    int place;

    if (!size)
        return 0;
    place = data[0] % N_PLACES;
    elf = place == WHOLE_FILE ? open_copy(data + 1, size - 1)
                              : open_image(place, data + 1, size - 1);
    if (!elf)
        return 0;
    cprof_unwind_rows_expected(elf);
    if (cprof_unwind_rows_build(elf, NULL, &rows, NULL) == 0) {
        size_t n;
        cprof_elf_bytes(elf, &n);
        check(rows, n + 2);
        cprof_unwind_rows_destroy(rows);
    }
    cprof_elf_unref(elf);
    return 0;
}
