/* frames.h - ELF files made in a test, with an .eh_frame and the table to search it. */
#ifndef CPROF_TESTS_FRAMES_H
#define CPROF_TESTS_FRAMES_H

#include "elf_cfi.h"
#include "rows.h"
#include "test.h"
#include "unwind_rows.h"

enum {
    IMAGE = 0x8000,
    BASE = 0x400000,
    TEXT = 0x1000, /* code; offsets in the file are addresses less BASE */
    HDR = 0x2000,
    FRAMES = 0x3000,
    PHDRS_AT = 64,
    SHDRS_AT = 512,
    NAMES_AT = 1024,
    NOTE_AT = 2048,
    FDES_MAX = 64
};

/* An ELF file being made, with an .eh_frame at FRAMES. */
struct image {
    uint8_t bytes[IMAGE];
    Elf64_Ehdr *header;
    Elf64_Phdr *phdrs;
    Elf64_Shdr *shdrs;
    size_t at; /* where the next entry goes */
    size_t cie;
    struct cprof_cfi_pair pairs[FDES_MAX];
    size_t n_fdes;
};

static inline struct image *image_create(void)
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
    image->header->e_phnum = 2;
    image->phdrs[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                                   .p_flags = PF_R | PF_X,
                                   .p_vaddr = BASE,
                                   .p_filesz = IMAGE,
                                   .p_memsz = IMAGE};
    image->at = FRAMES;
    return image;
}

static inline void put(struct image *image, const void *bytes, size_t n)
{
    memcpy(image->bytes + image->at, bytes, n);
    image->at += n;
}

static inline void put32(struct image *image, uint64_t value)
{
    put(image, &(uint32_t){(uint32_t)value}, 4);
}

static inline void end_entry(struct image *image, size_t start)
{
    uint32_t length;

    while ((image->at - start) % 4)
        image->bytes[image->at++] = 0;
    length = (uint32_t)(image->at - start - 4);
    memcpy(image->bytes + start, &length, sizeof(length));
}

struct bytes {
    size_t n;
    const char *data;
};
#define BYTES(text) ((struct bytes){sizeof(text) - 1, text})

/* What compilers begin with: CFA rsp+8, return address at CFA-8. */
#define USUAL BYTES("\x0c\x07\x08\x90\x01")

/* `letters` as "zR" or "zRS": addresses relative to where they stand; "z" and "" whole
 * addresses. */
static inline void put_cie_with(struct image *image, const char *letters,
                                struct bytes program, uint32_t id)
{
    image->cie = image->at;
    image->at += 4;
    put32(image, id);
    put(image, "\1", 1);
    put(image, letters, strlen(letters) + 1);
    put(image, "\x01\x78\x10", 3);
    if (letters[0] == 'z')
        put(image, "\x01\x1b", strchr(letters, 'R') ? 2 : 1);
    if (letters[0] == 'z' && !strchr(letters, 'R'))
        image->bytes[image->at - 1] = 0;
    put(image, program.data, program.n);
    end_entry(image, image->cie);
}

static inline void put_cie(struct image *image, struct bytes program)
{
    put_cie_with(image, "zR", program, 0);
}

/* An FDE of code at TEXT + `start`, listed in the table of the header. */
static inline void put_fde(struct image *image, uint32_t start, uint32_t size,
                           struct bytes program)
{
    size_t at = image->at;
    struct cprof_cfi_pair *pair = &image->pairs[image->n_fdes++];

    pair->start = (int32_t)(TEXT + start - HDR);
    pair->fde = (int32_t)(at - HDR);
    image->at += 4;
    put32(image, image->at - image->cie);
    put32(image, TEXT + start - image->at);
    put32(image, size);
    put(image, "", 1); /* no further lengths */
    put(image, program.data, program.n);
    end_entry(image, at);
}

/* An FDE at TEXT with its addresses written in full, for a CIE "z". */
static inline void put_whole_fde(struct image *image, uint64_t size, struct bytes program)
{
    uint64_t start = BASE + TEXT;
    size_t at = image->at;

    put_fde(image, 0, 0, BYTES(""));
    image->at = at + 8;
    put(image, &start, 8);
    put(image, &size, 8);
    put(image, "", 1);
    put(image, program.data, program.n);
    end_entry(image, at);
}

/* A build id of four times this byte. */
static inline void put_build_id(struct image *image, uint8_t byte)
{
    static const Elf64_Nhdr note = {
        .n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID};
    uint8_t *at = image->bytes + NOTE_AT;

    memcpy(at, &note, sizeof(note));
    memcpy(at + sizeof(note), "GNU", 4);
    memset(at + sizeof(note) + 4, byte, 4);
    image->header->e_phnum = 3;
    image->phdrs[2] = (Elf64_Phdr){.p_type = PT_NOTE,
                                   .p_offset = NOTE_AT,
                                   .p_filesz = sizeof(note) + 8,
                                   .p_align = 4};
}

/* Write the header and its table as they stand in `pairs`. */
static inline void put_header(struct image *image)
{
    size_t end = image->at;

    memset(image->bytes + end, 0, 4);
    image->phdrs[1] = (Elf64_Phdr){.p_type = PT_GNU_EH_FRAME,
                                   .p_offset = HDR,
                                   .p_vaddr = BASE + HDR,
                                   .p_filesz = 12 + image->n_fdes * 8};
    image->at = HDR;
    put(image, "\1\x1b\3\x3b", 4);
    put32(image, FRAMES - (HDR + 4));
    put32(image, image->n_fdes);
    put(image, image->pairs, image->n_fdes * 8);
    image->at = end;
}

/* A section of this name with these bytes of the image. */
static inline void put_section(struct image *image, size_t i, const char *name, size_t at,
                               size_t n, uint64_t flags)
{
    image->header->e_shoff = SHDRS_AT;
    image->header->e_shentsize = sizeof(Elf64_Shdr);
    image->header->e_shnum = 4;
    image->header->e_shstrndx = 1;
    image->shdrs[1] =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = NAMES_AT, .sh_size = 128};
    strcpy((char *)image->bytes + NAMES_AT + 32 * i, name);
    image->shdrs[i] = (Elf64_Shdr){.sh_name = (uint32_t)(32 * i),
                                   .sh_type = SHT_PROGBITS,
                                   .sh_flags = flags,
                                   .sh_addr = flags & SHF_ALLOC ? BASE + at : 0,
                                   .sh_offset = at,
                                   .sh_size = n};
}

static inline struct cprof_elf *must_open(const struct image *image)
{
    uint8_t *copy = malloc(IMAGE);
    struct cprof_elf *elf = NULL;

    memcpy(copy, image->bytes, IMAGE);
    CHECK_EQ(cprof_elf_open_bytes(copy, IMAGE, "image", &elf, NULL), 0);
    return elf;
}

/* The table of `image`, and all its rows as one line of text (with addresses relative to
 * TEXT), or the error's number. */
enum { TEXT_MAX = 4096 };

static inline struct cprof_unwind_rows *build(const struct image *image,
                                              char text[TEXT_MAX])
{
    struct cprof_elf *elf = must_open(image);
    struct cprof_unwind_rows *rows = NULL;
    const struct cprof_unwind_row *data;
    size_t n, at = 0;
    uint64_t base;
    int r = cprof_unwind_rows_build(elf, NULL, &rows, NULL);

    cprof_elf_unref(elf);
    snprintf(text, TEXT_MAX, "%d", r);
    if (r < 0)
        return NULL;
    data = cprof_unwind_rows_data(rows, &n, &base);
    CHECK_EQ(base, BASE);
    for (size_t i = 0; i < n; i++) {
        char one[ROW_TEXT];
        at += (size_t)snprintf(text + at, TEXT_MAX - at, "%s%s", i ? ", " : "",
                               row_text(-(uint64_t)TEXT, &data[i], one));
    }
    return rows;
}

static inline size_t check_rows(const struct image *image, const char *want)
{
    char text[TEXT_MAX];
    struct cprof_unwind_rows *rows = build(image, text);
    size_t n_bad = rows ? cprof_unwind_rows_n_bad(rows) : 0;

    CHECK_STR(text, want);
    cprof_unwind_rows_destroy(rows);
    return n_bad;
}

#endif
