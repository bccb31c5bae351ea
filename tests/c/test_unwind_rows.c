/* unwind_rows: what linkers do to tables, and what nobody should; .debug_frame; look-ups;
 * libc and ourselves. */
#include "test.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>

#include "frames.h"
#include "unwind_rows_internal.h"

static void test_order_and_gaps(void)
{
    struct image *image = image_create();
    struct cprof_cfi_pair first;

    put_cie(image, USUAL);
    put_fde(image, 0x00, 0x10, BYTES("\x0e\x10")); /* ends where the next starts */
    put_fde(image, 0x10, 0x10, BYTES("\x0e\x10")); /* and says the same */
    put_fde(image, 0x20, 0x08, BYTES("\x0e\x18"));
    put_fde(image, 0x30, 0x00, BYTES("\x0e\x20")); /* no code */
    put_fde(image, 0x40, 0x40, BYTES("\x0e\x20\x48\x0e\x28\x60\x0e\x30"));
    put_fde(image, 0x50, 0x08, BYTES("\x0e\x38")); /* inside the one before */
    put_fde(image, 0x90, 0x10, BYTES("\x0e\x40"));
    put_fde(image, 0x90, 0x20, BYTES("\x0e\x48")); /* twice: the last is found */
    put_header(image);
#define WANT                                                                             \
    "0 rsp+16 same, 20 rsp+24 same, 28 gap same, 40 rsp+32 same, 48 rsp+40 same, "       \
    "50 rsp+56 same, 58 gap same, 90 rsp+72 same, b0 gap same"
    CHECK_EQ(check_rows(image, WANT), 0);

    /* a table that is not sorted: the entries are read one by one */
    first = image->pairs[0];
    image->pairs[0] = image->pairs[4];
    image->pairs[4] = first;
    put_header(image);
    CHECK_EQ(check_rows(image, WANT), 0);
    /* nor is one needed: another encoding, none */
    image->bytes[HDR + 3] = 0x3c;
    CHECK_EQ(check_rows(image, WANT), 0);
    image->bytes[HDR + 2] = image->bytes[HDR + 3] = 0xff;
    CHECK_EQ(check_rows(image, WANT), 0);
    /* nor the header, if the section is named */
    image->header->e_phnum = 1;
    CHECK_EQ(check_rows(image, "-61"), 0);
    put_section(image, 2, ".eh_frame", FRAMES, image->at - FRAMES, SHF_ALLOC);
    CHECK_EQ(check_rows(image, WANT), 0);
    free(image);
}

/* What linkers leave of functions that they dropped, and entries that lie. */
static void test_functions_that_are_not_there(void)
{
    struct image *image = image_create();

    put_cie(image, USUAL);
    put_fde(image, (uint32_t) - (BASE + TEXT), 0x10, BYTES("\x0e\x10")); /* at 0 */
    put_fde(image, (uint32_t) - (TEXT + 0x10), 0x10,
            BYTES("\x0e\x10")); /* below all code */
    put_fde(image, 0x20, 0x10, BYTES("\x0e\x18"));
    put_header(image);
    CHECK_EQ(check_rows(image, "20 rsp+24 same, 30 gap same"), 0);
    image->pairs[2].start += 1; /* the table says another start than the entry */
    put_header(image);
    CHECK_EQ(check_rows(image, "-74"), 0);
    image->pairs[2].start -= 1;
    put_fde(image, 0x30, 0x10, BYTES("\x0e\x20"));
    image->pairs[3].fde = (int32_t)image->cie - HDR; /* a CIE */
    put_header(image);
    CHECK_EQ(check_rows(image, "20 rsp+24 same, 30 gap same"), 1);
    image->pairs[3].fde = INT32_MAX; /* nowhere */
    put_header(image);
    CHECK_EQ(check_rows(image, "20 rsp+24 same, 30 gap same"), 1);
    free(image);
}

static void test_ends_far_away(void)
{
    struct image *image = image_create();
    struct cprof_unwind_rows *rows;
    char text[TEXT_MAX], one[ROW_TEXT];

    put_cie_with(image, "z", USUAL, 0);
    put_whole_fde(image, 0xfffffff0, BYTES("\x04\xf0\xff\xff\x7f\x0e\x10"));
    put_header(image);
    rows = build(image, text);
    CHECK_STR(text, "0 rsp+8 same, 7ffffff0 rsp+16 same, ffffefff gap same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE + TEXT + 0x7ffffff0ull), one),
              "80000ff0 rsp+16 same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE + 0xfffffffeull), one),
              "80000ff0 rsp+16 same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE + 0xffffffffull), one),
              "ffffffff gap same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE + 0x100000000ull), one),
              "0 gap same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE - 1), one), "0 gap same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE), one), "0 gap same");
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, UINT64_MAX), one), "0 gap same");
    cprof_unwind_rows_destroy(rows);
    free(image);
}

/* An FDE of .debug_frame: offsets count from the section's start, addresses are whole. */
static void put_debug_fde(struct image *image, size_t section, uint64_t start,
                          uint64_t size, struct bytes program)
{
    size_t at = image->at;

    start += start ? BASE + TEXT : 0;
    image->at += 4;
    put32(image, image->cie - section);
    put(image, &start, 8);
    put(image, &size, 8);
    put(image, program.data, program.n);
    end_entry(image, at);
}

enum { DEBUG = 0x5000, PACKED = 0x6000 };

static size_t put_debug_frame(struct image *image)
{
    image->at = DEBUG;
    put_cie_with(image, "", USUAL, UINT32_MAX);
    put_debug_fde(image, DEBUG, 0x80, 0x10, BYTES("\x0e\x50"));
    put_debug_fde(image, DEBUG, 0x100, 0x10, BYTES("\x0e\x60\x42\x86\x02"));
    put_debug_fde(image, DEBUG, 0x18, 0x10, BYTES("\x0e\x70"));
    put_debug_fde(image, DEBUG, 0, 0x10, BYTES("\x0e\x78"));
    return image->at - DEBUG;
}

#define WANT_DEBUG                                                                       \
    "18 rsp+112 same, 28 gap same, 80 rsp+80 same, 90 gap same, 100 rsp+96 same, "       \
    "102 rsp+96 c-16, 110 gap same"

static void test_debug_frame(void)
{
    struct image *image = image_create();
    size_t n = put_debug_frame(image);

    image->header->e_phnum = 1;
    CHECK_EQ(check_rows(image, "-61"), 0);
    put_section(image, 2, ".debug_frame", DEBUG, n, 0);
    CHECK_EQ(check_rows(image, WANT_DEBUG), 0);

    /* beside an .eh_frame it says what that does not */
    image->header->e_phnum = 2;
    image->at = FRAMES;
    put_cie(image, USUAL);
    put_fde(image, 0x10, 0x10, BYTES("\x0e\x18"));
    put_fde(image, 0x70, 0x20, BYTES("\x0e\x20"));
    put_header(image);
    CHECK_EQ(check_rows(image,
                        "10 rsp+24 same, 20 gap same, 70 rsp+32 same, 90 gap same, "
                        "100 rsp+96 same, 102 rsp+96 c-16, 110 gap same"),
             0);
    free(image);
}

static void test_compressed_debug_frame(void)
{
    struct image *image = image_create();
    size_t n = put_debug_frame(image);
    Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = n, .ch_addralign = 8};
    uLongf packed_n = IMAGE - PACKED - sizeof(header);

    image->header->e_phnum = 1;
    CHECK_EQ(compress(image->bytes + PACKED + sizeof(header), &packed_n,
                      image->bytes + DEBUG, n),
             Z_OK);
    memcpy(image->bytes + PACKED, &header, sizeof(header));
    put_section(image, 2, ".debug_frame", PACKED, sizeof(header) + packed_n,
                SHF_COMPRESSED);
    CHECK_EQ(check_rows(image, WANT_DEBUG), 0);

    for (size_t cut = 1; cut < packed_n; cut += 7) {
        image->shdrs[2].sh_size = sizeof(header) + packed_n - cut;
        CHECK_EQ(check_rows(image, "-74"), 0);
    }
    image->shdrs[2].sh_size = sizeof(header) + packed_n;
    for (int i = 0; i < 4; i++) { /* sizes that are not so */
        static const uint64_t sizes[] = {0, 1, 1ull << 40, UINT64_MAX};
        header.ch_size = sizes[i];
        memcpy(image->bytes + PACKED, &header, sizeof(header));
        CHECK_EQ(check_rows(image, "-74"), 0);
    }
    header = (Elf64_Chdr){.ch_type = 2 /* zstd */, .ch_size = n};
    memcpy(image->bytes + PACKED, &header, sizeof(header));
    CHECK_EQ(check_rows(image, "-61"), 0);
    image->shdrs[2].sh_size = sizeof(header) - 1;
    CHECK_EQ(check_rows(image, "-74"), 0);
    free(image);
}

static void test_separate_debug_file(void)
{
    struct image *image = image_create(), *debug = image_create();
    struct cprof_unwind_rows *rows = NULL;
    struct cprof_elf *elf, *debug_elf;
    struct cprof_error err;
    char one[ROW_TEXT];

    image->header->e_phnum = 1;
    put_section(debug, 2, ".debug_frame", DEBUG, put_debug_frame(debug), 0);
    elf = must_open(image);
    debug_elf = must_open(debug);
    CHECK_EQ(cprof_unwind_rows_build(elf, NULL, &rows, &err), -ENODATA);
    CHECK(strstr(err.message, "neither .eh_frame nor .debug_frame"));
    CHECK_EQ(cprof_unwind_rows_build(elf, debug_elf, &rows, &err), 0);
    CHECK_STR(row_text(0, cprof_unwind_rows_find(rows, BASE + TEXT + 0x105), one),
              "1102 rsp+96 c-16");
    CHECK_EQ(cprof_unwind_rows_expected(elf), 0);
    CHECK(cprof_unwind_rows_expected(debug_elf) > 0);
    cprof_unwind_rows_destroy(rows);
    cprof_elf_unref(elf);
    cprof_elf_unref(debug_elf);
    free(image);
    free(debug);
}

static void test_what_has_no_rows(void)
{
    struct image *image = image_create();

    put_cie(image, USUAL);
    put_fde(image, 0, 0x10, BYTES("\x0e\x10"));
    put_header(image);
    image->header->e_machine = EM_AARCH64;
    CHECK_EQ(check_rows(image, "-61"), 0);
    image->header->e_machine = EM_X86_64;
    image->phdrs[0].p_flags = PF_R;
    CHECK_EQ(check_rows(image, "-61"), 0);
    image->phdrs[0].p_flags = PF_R | PF_X;
    image->bytes[image->cie + 8] = 7; /* a version that does not exist */
    CHECK_EQ(check_rows(image, "-74"), 0);
    free(image);
}

/* FDEs that all reach to the end of their section: a program of n bytes n times over. The
 * bytes that may be run are limited to those of the file. */
static void test_entries_within_entries(void)
{
    struct image *image = image_create();
    char text[TEXT_MAX];

    put_cie(image, USUAL);
    for (uint32_t i = 0; i < 60; i++)
        put_fde(image, i * 16, 16, BYTES("\x0e\x10"));
    for (uint32_t i = 0; i < 60; i++) {
        size_t at = (size_t)(image->pairs[i].fde + HDR);
        uint32_t length = (uint32_t)(IMAGE - at - 4);
        memcpy(image->bytes + at, &length, sizeof(length));
    }
    put_header(image);
    CHECK(!build(image, text));
    CHECK_STR(text, "-7"); /* -E2BIG */
    free(image);
}

static int attempt_build(void *arg)
{
    struct cprof_unwind_rows *rows = NULL;
    int r = cprof_unwind_rows_build(arg, NULL, &rows, NULL);

    cprof_unwind_rows_destroy(rows);
    return r;
}

static void test_allocation_failures(void)
{
    struct image *image = image_create();
    struct cprof_elf *elf;

    put_cie(image, USUAL);
    put_fde(image, 0, 0x10, BYTES("\x0e\x10"));
    put_header(image);
    put_section(image, 2, ".debug_frame", DEBUG, put_debug_frame(image), 0);
    image->bytes[HDR + 3] = 0xff; /* no table: the pairs are made */
    elf = must_open(image);
    CHECK_EQ(sweep(attempt_build, elf), 0);
    cprof_elf_unref(elf);
    free(image);
}

/* Each byte of headers, CIE and FDEs at some values: any table or none, no wild read (the
 * sanitizers watch). */
static void test_every_byte_otherwise(void)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
    struct image *image = image_create();

    put_cie(image, USUAL);
    put_fde(image, 0, 0x10, BYTES("\x41\x0e\x10\x0a\x41\x86\x02\x0b"));
    put_fde(image, 0x20, 0x10, BYTES("\x0f\x03\x76\x78\x06\x10\x06\x02\x76\x00"));
    put_header(image);
    for (size_t i = HDR; i < image->at; i = i == HDR + 27 ? FRAMES : i + 1)
        for (size_t k = 0; k < sizeof(values); k++) {
            uint8_t was = image->bytes[i];
            char text[TEXT_MAX];
            image->bytes[i] = values[k];
            cprof_unwind_rows_destroy(build(image, text));
            image->bytes[i] = was;
        }
    CHECK_EQ(check_rows(image, "0 rsp+8 same, 1 rsp+16 same, 10 gap same, "
                               "20 *rbp-8 *rbp, 30 gap same"),
             0);
    free(image);
}

/* A look-up finds what a walk through all rows finds. */
static void check_find(const struct cprof_unwind_rows *rows)
{
    size_t n, next = 0;
    uint64_t base;
    const struct cprof_unwind_row *data = cprof_unwind_rows_data(rows, &n, &base);
    uint32_t step = data[n - 1].pc / 100000 + 1;

    for (uint32_t pc = data[0].pc; pc < data[n - 1].pc; pc += step) {
        while (next + 1 < n && data[next + 1].pc <= pc)
            next++;
        if (cprof_unwind_rows_find(rows, base + pc) != &data[next]) {
            CHECK(false);
            return;
        }
    }
    for (size_t i = 1; i < n; i++) {
        bool is_right =
            cprof_unwind_rows_find(rows, base + data[i].pc) == &data[i] &&
            cprof_unwind_rows_find(rows, base + data[i].pc - 1) == &data[i - 1];
        CHECK(is_right && data[i].pc > data[i - 1].pc);
        if (!is_right)
            return;
    }
    CHECK(cprof_unwind_rows_find(rows, base + data[n - 1].pc + 1) == &data[n - 1]);
}

static void check_real(const char *path)
{
    struct cprof_unwind_rows *rows = NULL;
    struct cprof_elf *elf = NULL;
    size_t n;
    uint64_t base;

    if (access(path, R_OK) < 0)
        return;
    CHECK_EQ(cprof_elf_open(path, &elf, NULL), 0);
    CHECK_EQ(cprof_unwind_rows_build(elf, NULL, &rows, NULL), 0);
    cprof_unwind_rows_data(rows, &n, &base);
    CHECK(n > 50 && n > cprof_unwind_rows_expected(elf));
    CHECK_EQ(cprof_unwind_rows_n_bad(rows), 0);
    CHECK(cprof_unwind_rows_n_other(rows) < n / 50);
    check_find(rows);
    cprof_unwind_rows_destroy(rows);
    cprof_elf_unref(elf);
}

static void test_real_files(void)
{
    check_real("/proc/self/exe");
    check_real("/lib/x86_64-linux-gnu/libc.so.6");
    check_real("/lib64/libc.so.6");
    check_real("/usr/bin/python3");
}

/* What a cache file could hold. */
static void test_adopting_rows(void)
{
    static const struct {
        struct cprof_unwind_row rows[2];
        int want;
    } cases[] = {
        {{{.pc = 0}, {.pc = 1}}, 0},
        {{{.pc = 0}, {.pc = UINT32_MAX}}, 0},
        {{{.pc = 1}, {.pc = 1}}, -EBADMSG},
        {{{.pc = UINT32_MAX}, {.pc = 0}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0xc003}, {.pc = 1}}, 0},
        {{{.pc = 0, .cfa = 0xc004}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0xc7ff}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0xc800}, {.pc = 1, .cfa = 0xc80f}}, 0},
        {{{.pc = 0, .cfa = 0xc810}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0xcfff}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0xd000}, {.pc = 1, .cfa = 0xdfff}}, 0},
        {{{.pc = 0, .cfa = 0xe000}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .rbp = CPROF_RBP_AT_RBP}, {.pc = 1}}, -EBADMSG},
        {{{.pc = 0, .cfa = 0x8001, .rbp = CPROF_RBP_AT_RBP}, {.pc = 1}}, 0},
        {{{.pc = 0, .rbp = CPROF_RBP_UNDEFINED}, {.pc = 1}}, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct cprof_unwind_rows *rows = NULL;
        struct cprof_row_memory of = {.memory = malloc(sizeof(cases[i].rows)), .n = 2};
        memcpy(of.memory, cases[i].rows, sizeof(cases[i].rows));
        of.data = of.memory;
        CHECK_EQ(cprof_unwind_rows_adopt(&of, BASE, 0, &rows), cases[i].want);
        CHECK_EQ(!rows, cases[i].want < 0);
        cprof_unwind_rows_destroy(rows);
    }
    cprof_unwind_rows_destroy(NULL);
}

int main(void)
{
    RUN(test_order_and_gaps);
    RUN(test_functions_that_are_not_there);
    RUN(test_ends_far_away);
    RUN(test_debug_frame);
    RUN(test_compressed_debug_frame);
    RUN(test_separate_debug_file);
    RUN(test_what_has_no_rows);
    RUN(test_entries_within_entries);
    RUN(test_allocation_failures);
    RUN(test_every_byte_otherwise);
    RUN(test_real_files);
    RUN(test_adopting_rows);
    return test_report(__FILE__);
}
