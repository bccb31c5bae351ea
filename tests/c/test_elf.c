/* elf: files made here byte by byte for what must be refused or survived, and files of
 * the system against what readelf says about them. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf.h"

enum { IMAGE = 16384, N_PHDRS = 8, N_SHDRS = 8, PHDRS_AT = 64, SHDRS_AT = 1024 };

/* An ELF file being made: edit it, then open a copy. */
struct image {
    uint8_t bytes[IMAGE];
    Elf64_Ehdr *header;
    Elf64_Phdr *phdrs;
    Elf64_Shdr *shdrs;
};

static struct image *image_create(void)
{
    struct image *image = calloc(1, sizeof(*image));

    image->header = (Elf64_Ehdr *)image->bytes;
    image->phdrs = (Elf64_Phdr *)(image->bytes + PHDRS_AT);
    image->shdrs = (Elf64_Shdr *)(image->bytes + SHDRS_AT);
    memcpy(image->header->e_ident, ELFMAG, SELFMAG);
    image->header->e_ident[EI_CLASS] = ELFCLASS64;
    image->header->e_ident[EI_DATA] = ELFDATA2LSB;
    image->header->e_machine = EM_X86_64;
    image->header->e_phoff = PHDRS_AT;
    image->header->e_phentsize = sizeof(Elf64_Phdr);
    image->header->e_shoff = SHDRS_AT;
    image->header->e_shentsize = sizeof(Elf64_Shdr);
    image->header->e_phnum = N_PHDRS;
    image->header->e_shnum = N_SHDRS;
    return image;
}

static void load(struct image *image, size_t i, uint64_t offset, uint64_t vaddr,
                 uint64_t size, uint32_t flags)
{
    image->phdrs[i] = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_flags = flags,
                                   .p_offset = offset,
                                   .p_vaddr = vaddr,
                                   .p_filesz = size,
                                   .p_memsz = size};
}

static int open_copy(const void *bytes, size_t n, struct cprof_elf **ret)
{
    uint8_t *copy = malloc(n ? n : 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, bytes, n);
    return cprof_elf_open_bytes(copy, n, "image", ret, NULL);
}

static struct cprof_elf *must_open(const struct image *image)
{
    struct cprof_elf *elf = NULL;

    CHECK_EQ(open_copy(image->bytes, IMAGE, &elf), 0);
    return elf;
}

static void test_what_is_not_elf_is_refused(void)
{
    struct image *image = image_create();
    struct cprof_elf *elf = NULL;
    struct cprof_error err;

    CHECK_EQ(open_copy("", 0, &elf), -EBADMSG);
    CHECK_EQ(open_copy("#!/bin/sh\nexit 0\n", 17, &elf), -EBADMSG);
    CHECK_EQ(open_copy(image->bytes, 20, &elf), -EBADMSG);
    image->header->e_ident[EI_CLASS] = ELFCLASS32;
    CHECK_EQ(open_copy(image->bytes, IMAGE, &elf), -EOPNOTSUPP);
    image->header->e_ident[EI_CLASS] = ELFCLASS64;
    image->header->e_ident[EI_DATA] = ELFDATA2MSB;
    CHECK_EQ(open_copy(image->bytes, IMAGE, &elf), -EOPNOTSUPP);
    CHECK_EQ(cprof_elf_open("/nonexistent/file", &elf, &err), -ENOENT);
    CHECK(strstr(err.message, "/nonexistent/file"));
    CHECK_EQ(cprof_elf_open("/dev/null", &elf, &err), -EBADMSG);
    CHECK_EQ(cprof_elf_open("/", &elf, &err), -EBADMSG);
    CHECK(!elf);
    free(image);
}

static void test_tables_outside_the_file(void)
{
    struct image *image = image_create();
    struct cprof_elf *elf = NULL;
    uint64_t vaddr;

    load(image, 0, 0x1000, 0x401000, 0x100, PF_R | PF_X);
    image->header->e_phoff = IMAGE - 8;
    CHECK_EQ(open_copy(image->bytes, IMAGE, &elf), -EBADMSG);
    image->header->e_phoff = UINT64_MAX - 8;
    CHECK_EQ(open_copy(image->bytes, IMAGE, &elf), -EBADMSG);
    image->header->e_phoff = PHDRS_AT;

    /* without its section table the program still can be read */
    image->header->e_shoff = UINT64_MAX - 100;
    elf = must_open(image);
    CHECK_EQ(cprof_elf_n_sections(elf), 0);
    CHECK(cprof_elf_vaddr_of(elf, 0x1004, &vaddr) && vaddr == 0x401004);
    cprof_elf_unref(elf);
    free(image);
}

static void test_sections_are_checked(void)
{
    struct image *image = image_create();
    const struct cprof_elf_section *section;
    struct cprof_elf *elf;

    image->header->e_shstrndx = 1;
    memcpy(image->bytes + 3000, "\0.text\0unended", 14);
    image->shdrs[1] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = 3000, .sh_size = 14};
    image->shdrs[2] = (Elf64_Shdr){
        .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = 4000, .sh_size = 16};
    image->shdrs[3] = (Elf64_Shdr){
        .sh_name = 7, .sh_type = SHT_PROGBITS, .sh_offset = IMAGE - 4, .sh_size = 5};
    image->shdrs[4] = (Elf64_Shdr){.sh_name = 1u << 31,
                                   .sh_type = SHT_PROGBITS,
                                   .sh_offset = UINT64_MAX,
                                   .sh_size = 2};
    image->shdrs[5] = (Elf64_Shdr){.sh_type = SHT_NOBITS, .sh_size = 1ull << 40};
    elf = must_open(image);
    CHECK_EQ(cprof_elf_n_sections(elf), N_SHDRS);
    section = cprof_elf_find(elf, ".text");
    CHECK(section && section->bytes && section->size == 16);
    for (size_t i = 3; i < 5; i++) { /* past the end: dropped; bad names are none */
        section = cprof_elf_section(elf, i);
        CHECK(!section->bytes && section->size == 0);
        CHECK_STR(section->name, "");
    }
    CHECK_EQ(cprof_elf_section(elf, 5)->size, 1ull << 40);
    CHECK(!cprof_elf_section(elf, 5)->bytes && !cprof_elf_section(elf, N_SHDRS));
    CHECK(!cprof_elf_find(elf, "unended"));
    cprof_elf_unref(elf);
    free(image);
}

static void test_counts_in_section_zero(void)
{
    struct image *image = image_create();
    struct cprof_elf *elf;
    uint64_t vaddr;

    load(image, 0, 0x1000, 0x401000, 0x100, PF_R | PF_X);
    image->header->e_shnum = 0;
    image->header->e_phnum = PN_XNUM;
    image->header->e_shstrndx = SHN_XINDEX;
    image->shdrs[0] = (Elf64_Shdr){.sh_size = 3, .sh_link = 1, .sh_info = 1};
    memcpy(image->bytes + 3000, "\0.x", 4);
    image->shdrs[1] = (Elf64_Shdr){
        .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = 3000, .sh_size = 4};
    elf = must_open(image);
    CHECK_EQ(cprof_elf_n_sections(elf), 3);
    CHECK(cprof_elf_find(elf, ".x"));
    CHECK(cprof_elf_vaddr_of(elf, 0x1000, &vaddr));
    cprof_elf_unref(elf);
    image->shdrs[0].sh_size = UINT64_MAX; /* more than the file has: none */
    elf = must_open(image);
    CHECK_EQ(cprof_elf_n_sections(elf), 0);
    cprof_elf_unref(elf);
    free(image);
}

/* Two executable segments and one that shares a page of the file with them, as lld lays
 * them out: the vaddr of a page is that of the segment asked for, code first. */
static void test_offsets_become_addresses(void)
{
    static const struct {
        uint64_t offset, vaddr; /* 0: none */
    } cases[] = {
        {0x0, 0x200000},    {0x1233, 0x202233}, /* page 0x1000 is mapped as code too */
        {0x1234, 0x202234}, {0x17ff, 0x2027ff}, {0x1800, 0x403800}, {0x1fff, 0x403fff},
        {0x2100, 0x404100}, {0x2fff, 0x404fff}, {0x3000, 0},        {~0ull, 0},
    };
    struct image *image = image_create();
    struct cprof_elf *elf;
    const uint8_t *at;
    size_t n;

    load(image, 0, 0x0, 0x200000, 0x1234, PF_R);
    load(image, 1, 0x1234, 0x202234, 0x1800 - 0x1234, PF_R | PF_X);
    load(image, 2, 0x1800, 0x403800, 0x2101 - 0x1800, PF_R | PF_X);
    elf = must_open(image);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t vaddr = 0;
        CHECK(cprof_elf_vaddr_of(elf, cases[i].offset, &vaddr) == !!cases[i].vaddr);
        CHECK_EQ(vaddr, cases[i].vaddr);
    }
    image->bytes[0x1810] = 0x42;
    cprof_elf_unref(elf);
    elf = must_open(image);
    at = cprof_elf_at(elf, 0x403810, &n);
    CHECK(at && *at == 0x42);
    CHECK_EQ(n, 0x2101 - 0x1810);
    CHECK(!cprof_elf_at(elf, 0x404101, &n) && !cprof_elf_at(elf, 0, &n));
    cprof_elf_unref(elf);

    /* a segment that reaches past the end holds what is there; a wrapping one nothing */
    load(image, 1, IMAGE - 16, 0x500000, 0x1000, PF_R | PF_X);
    load(image, 2, 0x1000, UINT64_MAX - 4, 0x1000, PF_R | PF_X);
    load(image, 3, UINT64_MAX - 4, 0x700000, 0x1000, PF_R | PF_X);
    elf = must_open(image);
    CHECK(cprof_elf_at(elf, 0x500008, &n) && n == 8);
    CHECK(!cprof_elf_at(elf, 0x500010, &n) && !cprof_elf_at(elf, UINT64_MAX - 2, &n));
    CHECK(!cprof_elf_at(elf, 0x700000, &n));
    cprof_elf_unref(elf);
    free(image);
}

static size_t put_note(uint8_t *at, const char *name, uint32_t type, const void *desc,
                       uint32_t n, size_t align)
{
    Elf64_Nhdr note = {
        .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = n, .n_type = type};
    size_t desc_at = (sizeof(note) + note.n_namesz + align - 1) / align * align;

    memcpy(at, &note, sizeof(note));
    memcpy(at + sizeof(note), name, note.n_namesz);
    memcpy(at + desc_at, desc, n);
    return (desc_at + n + align - 1) / align * align;
}

static void check_build_id(const struct image *image, const char *want)
{
    char hex[2 * CPROF_BUILD_ID_MAX + 1] = "";
    struct cprof_elf *elf = must_open(image);
    size_t n;
    const uint8_t *id = cprof_elf_build_id(elf, &n);

    if (n)
        cprof_build_id_hex(id, n, hex);
    CHECK_STR(hex, want);
    cprof_elf_unref(elf);
}

static void test_build_id(void)
{
    for (size_t align = 4; align <= 8; align += 4) {
        struct image *image = image_create();
        size_t n = put_note(image->bytes + 5000, "Linux", 7, "\1\2\3\4\5", 5, align);
        n += put_note(image->bytes + 5000 + n, "GNU", NT_GNU_ABI_TAG, "12345", 5, align);
        n += put_note(image->bytes + 5000 + n, "GNU", NT_GNU_BUILD_ID, "\xab\xcd\x01", 3,
                      align);
        image->phdrs[2] = (Elf64_Phdr){
            .p_type = PT_NOTE, .p_offset = 5000, .p_filesz = n, .p_align = align};
        check_build_id(image, "abcd01");
        image->phdrs[2].p_type = PT_NULL;
        check_build_id(image, "");
        image->shdrs[2] =
            (Elf64_Shdr){.sh_type = SHT_NOTE, .sh_offset = 5000, .sh_size = n};
        check_build_id(image, "abcd01");
        image->shdrs[2].sh_size = n - align; /* cut inside the note */
        check_build_id(image, "");
        free(image);
    }
}

static void test_build_id_of_hostile_notes(void)
{
    static const uint8_t big[65];
    struct image *image = image_create();
    uint32_t huge = UINT32_MAX;

    image->phdrs[2] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 5000, .p_filesz = 200};
    put_note(image->bytes + 5000, "GNU", NT_GNU_BUILD_ID, "", 0, 4);
    check_build_id(image, "");
    put_note(image->bytes + 5000, "GNU", NT_GNU_BUILD_ID, big, sizeof(big), 4);
    check_build_id(image, "");
    memcpy(image->bytes + 5004, &huge, 4); /* n_descsz */
    check_build_id(image, "");
    memcpy(image->bytes + 5000, &huge, 4); /* n_namesz */
    check_build_id(image, "");
    free(image);
}

/* One function in .eh_frame, and an .eh_frame_hdr that finds it. */
enum { HDR = 0x2000, CIE = 0x2100, FDE = 0x2140, TEXT = 0x1000 };

static void put32(struct image *image, size_t at, uint32_t value)
{
    memcpy(image->bytes + at, &value, sizeof(value));
}

static struct image *image_with_fde(void)
{
    static const uint8_t cie[] = {0x14, 0, 0, 0, 0,    0,    0,    0,    1, 'z',
                                  'R',  0, 1, 1, 0x10, 0x01, 0x1b, 0x0c, 7, 8};
    struct image *image = image_create();

    load(image, 0, 0x0, 0x400000, IMAGE, PF_R | PF_X);
    image->phdrs[1] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME,
                                   .p_offset = HDR,
                                   .p_vaddr = 0x400000 + HDR,
                                   .p_filesz = 20};
    memcpy(image->bytes + HDR, "\1\x1b\3\x3b", 4);
    put32(image, HDR + 4, CIE - (HDR + 4));
    put32(image, HDR + 8, 1);
    put32(image, HDR + 12, (uint32_t)(TEXT - HDR));
    put32(image, HDR + 16, FDE - HDR);
    memcpy(image->bytes + CIE, cie, sizeof(cie));
    put32(image, FDE, 16);
    put32(image, FDE + 4, FDE + 4 - CIE);
    put32(image, FDE + 8, (uint32_t)(TEXT - (FDE + 8)));
    put32(image, FDE + 12, 0x80);
    return image;
}

static bool covers(const struct image *image, uint64_t vaddr)
{
    struct cprof_elf *elf = must_open(image);
    uint64_t start, end;
    bool is_there = cprof_elf_fde_range(elf, vaddr, &start, &end);

    CHECK(!is_there || (start == 0x401000 && end == 0x401080));
    cprof_elf_unref(elf);
    return is_there;
}

static void test_unwind_table(void)
{
    struct image *image = image_with_fde();
    struct cprof_elf *elf = must_open(image);
    struct cprof_elf_unwind unwind;

    CHECK(cprof_elf_unwind(elf, &unwind));
    CHECK_EQ(unwind.hdr_vaddr, 0x400000 + HDR);
    CHECK_EQ(unwind.table_vaddr, 0x400000 + HDR + 12);
    CHECK_EQ(unwind.eh_frame_vaddr, 0x400000 + CIE);
    CHECK_EQ(unwind.n_fdes, 1);
    CHECK(unwind.is_table_usable);
    cprof_elf_unref(elf);
    CHECK(covers(image, 0x401000) && covers(image, 0x40107f));
    CHECK(!covers(image, 0x400fff) && !covers(image, 0x401080));

    put32(image, HDR + 8, UINT32_MAX); /* more than the segment holds: cut */
    elf = must_open(image);
    CHECK(cprof_elf_unwind(elf, &unwind) && unwind.n_fdes == 1);
    cprof_elf_unref(elf);
    free(image);
}

/* The forms of the table that linkers may write, each with the same answer. */
static void test_unwind_encodings(void)
{
    struct image *image = image_with_fde();
    struct cprof_elf_unwind unwind;
    struct cprof_elf *elf;
    uint64_t wide[2] = {(uint64_t)TEXT - HDR, FDE - HDR};

    image->phdrs[1].p_filesz = 28;
    image->bytes[HDR + 3] = 0x3c; /* datarel sdata8 */
    memcpy(image->bytes + HDR + 12, wide, 16);
    CHECK(covers(image, 0x401001));
    elf = must_open(image);
    CHECK(cprof_elf_unwind(elf, &unwind) && !unwind.is_table_usable);
    cprof_elf_unref(elf);
    image->bytes[HDR + 3] = 0x04; /* absolute udata8 */
    wide[0] = 0x401000;
    wide[1] = 0x400000 + FDE;
    memcpy(image->bytes + HDR + 12, wide, 16);
    CHECK(covers(image, 0x401001));
    image->bytes[HDR + 2] = image->bytes[HDR + 3] = 0xff; /* no table at all */
    CHECK(!covers(image, 0x401001));
    elf = must_open(image);
    CHECK(cprof_elf_unwind(elf, &unwind) && !unwind.n_fdes && !unwind.is_table_usable);
    cprof_elf_unref(elf);
    image->bytes[HDR] = 2; /* a version that does not exist */
    elf = must_open(image);
    CHECK(!cprof_elf_unwind(elf, &unwind));
    cprof_elf_unref(elf);
    free(image);
}

static void test_unwind_of_hostile_frames(void)
{
    static const struct {
        size_t at;
        uint32_t value;
    } edits[] = {
        {FDE, 0},
        {FDE, UINT32_MAX},
        {FDE, 0x7fffffff},
        {FDE + 4, 0},
        {FDE, 3},
        {FDE + 4, UINT32_MAX},
        {FDE + 4, 4},
        {CIE, UINT32_MAX},
        {CIE + 4, 1},
        {CIE + 8, 0x00527a07},
        {CIE + 8, 0x527a4c01},
        {CIE + 16, 0xff},
        {CIE + 16, 0x9b},
        {HDR + 16, UINT32_MAX},
        {HDR + 4, UINT32_MAX},
    };

    for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
        struct image *image = image_with_fde();
        put32(image, edits[i].at, edits[i].value);
        covers(image, 0x401000); /* any answer, but the right one or none */
        free(image);
    }
}

/* Each FDE that readelf prints ("... FDE ... pc=START..END") is the one found at its
 * first and its last address. */
static void check_fdes_of(const char *path)
{
    char command[512], line[512];
    struct cprof_elf *elf = NULL;
    unsigned long long start, end;
    size_t n = 0;
    FILE *pipe;

    if (access(path, R_OK) < 0)
        return;
    CHECK_EQ(cprof_elf_open(path, &elf, NULL), 0);
    snprintf(command, sizeof(command),
             "readelf -W --debug-dump=frames '%s' 2>/dev/null | grep ' FDE '", path);
    pipe = popen(command, "r");
    while (fgets(line, sizeof(line), pipe)) {
        const char *pc = strstr(line, "pc=");
        uint64_t first = 0, last = 0;
        if (!pc || sscanf(pc, "pc=%llx..%llx", &start, &end) != 2 || start >= end)
            continue;
        n++;
        CHECK(cprof_elf_fde_range(elf, start, &first, &last) && first == start &&
              last == end);
        CHECK(cprof_elf_fde_range(elf, end - 1, &first, &last) && first == start);
    }
    pclose(pipe);
    CHECK(n > 5);
    cprof_elf_unref(elf);
}

static void test_fdes_are_those_of_readelf(void)
{
    check_fdes_of("/bin/bash");
    check_fdes_of("/lib64/ld-linux-x86-64.so.2");
}

static void test_build_id_is_that_of_readelf(void)
{
    char line[256] = "", hex[2 * CPROF_BUILD_ID_MAX + 1] = "";
    FILE *pipe = popen("readelf -n /bin/bash | sed -n 's/.*Build ID: *//p'", "r");
    struct cprof_elf *elf = NULL;
    size_t n;

    CHECK(fgets(line, sizeof(line), pipe));
    pclose(pipe);
    line[strcspn(line, "\n")] = '\0';
    CHECK_EQ(cprof_elf_open("/bin/bash", &elf, NULL), 0);
    const uint8_t *id = cprof_elf_build_id(elf, &n);
    cprof_build_id_hex(id, n, hex);
    CHECK_STR(hex, line);
    cprof_elf_unref(elf);
}

static void test_references_and_fds(void)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct cprof_elf *elf = NULL, *same;

    CHECK_EQ(cprof_elf_open_fd(fd, "self", &elf, NULL), 0);
    close(fd);
    same = cprof_elf_ref(elf);
    cprof_elf_unref(elf);
    CHECK(cprof_elf_find(same, ".text"));
    cprof_elf_unref(same);
    cprof_elf_unref(NULL);
}

static int attempt_open(void *arg)
{
    struct cprof_elf *elf = NULL;
    int r = open_copy(((struct image *)arg)->bytes, IMAGE, &elf);

    if (r == 0)
        cprof_elf_unref(elf);
    return r;
}

static void test_allocation_failures(void)
{
    struct image *image = image_with_fde();

    CHECK_EQ(sweep(attempt_open, image), 0);
    free(image);
}

/* Every header field that counts or points, at its extremes: no crash, no wild read (the
 * sanitizers watch), and whatever opens can be asked everything. */
static void test_every_header_byte_at_its_extremes(void)
{
    struct image *image = image_with_fde();

    for (size_t i = EI_NIDENT; i < PHDRS_AT + 2 * sizeof(Elf64_Phdr); i++) {
        for (int value = 0; value < 256; value += 51) {
            uint8_t was = image->bytes[i];
            struct cprof_elf *elf = NULL;
            image->bytes[i] = (uint8_t)value;
            if (open_copy(image->bytes, IMAGE, &elf) == 0) {
                uint64_t start, end;
                size_t n;
                cprof_elf_fde_range(elf, 0x401000, &start, &end);
                cprof_elf_vaddr_of(elf, 0x1000, &start);
                cprof_elf_at(elf, 0x401000, &n);
                cprof_elf_unref(elf);
            }
            image->bytes[i] = was;
        }
    }
    free(image);
}

int main(void)
{
    RUN(test_what_is_not_elf_is_refused);
    RUN(test_tables_outside_the_file);
    RUN(test_sections_are_checked);
    RUN(test_counts_in_section_zero);
    RUN(test_offsets_become_addresses);
    RUN(test_build_id);
    RUN(test_build_id_of_hostile_notes);
    RUN(test_unwind_table);
    RUN(test_unwind_encodings);
    RUN(test_unwind_of_hostile_frames);
    RUN(test_fdes_are_those_of_readelf);
    RUN(test_build_id_is_that_of_readelf);
    RUN(test_references_and_fds);
    RUN(test_allocation_failures);
    RUN(test_every_header_byte_at_its_extremes);
    return test_report(__FILE__);
}
