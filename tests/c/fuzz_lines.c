/* fuzz_lines: any bytes as an ELF file whose lines are wanted.
 *
 * The seeds are three functions, one of them inlined, in a library of 4 KB:
 *     gcc -O2 -gdwarf-N -nostdlib -shared -fPIC -Wl,-z,noseparate-code \
 *         -Wl,-z,max-page-size=256 -Wl,--build-id=none -o vN.elf
 * packed.elf: -gz; ranges.elf: -freorder-blocks-and-partition; split4.elf: -gsplit-dwarf;
 * clang5.elf: by clang, with strings and addresses by number. */
#include <stdlib.h>
#include <string.h>

#include "symbol_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* so that every string handed out is read */
static size_t n_answers;

static int take(void *arg, size_t i, const struct cprof_lines_frame *frames, size_t n)
{
    (void)arg;
    (void)i;
    n_answers++;
    for (size_t k = 0; k < n; k++) {
        sum += strlen(frames[k].file) + (frames[k].name ? strlen(frames[k].name) : 0);
        if (frames[k].line < 0 || frames[k].start_line < 0)
            abort();
    }
    return 0;
}

static void ask(struct cprof_lines *lines, const uint8_t *data, size_t size)
{
    uint64_t addresses[2048];
    size_t n = 0;

    while (n < 1024) /* where the seeds' code is */
        addresses[n] = 0x100 + n, n++;
    for (size_t i = 0; i + 8 <= size && n < 2048; i += 8)
        memcpy(&addresses[n++], data + i, 8);
    n_answers = 0;
    if (cprof_lines_find(lines, addresses, n, take, NULL) < 0 || n_answers != n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cprof_lines_from from = {.root = "", .path = "/nonexistent/fuzz"};
    struct cprof_lines *lines;
    struct cprof_elf *elf;
    uint8_t *copy = malloc(size + 1);

    memcpy(copy, data, size);
    if (cprof_elf_open_bytes(copy, size, "fuzz", &elf, NULL) < 0)
        return 0;
    from.elf = elf;
    from.build_id =
        (const uint8_t *)"x"; /* of one byte: finds no debug file of this machine */
    from.build_id_n = 1;
    if (cprof_lines_open(&from, &lines, NULL) == 0) {
        ask(lines, data, size);
        cprof_lines_close(lines);
    }
    cprof_elf_unref(elf);
    return 0;
}
